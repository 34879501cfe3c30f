"""Stochastic simulation of a driven model: ensembles of trajectories, side by side on all cores."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from threading import Event
from typing import Any

import numpy as np
import xarray as xr

from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate.arguments import checked_ensemble, checked_times, require_fit, root_seed
from chemlearn.simulate.engines import IN_PROCESSES
from chemlearn.simulate.engines import engine as prepared
from chemlearn.simulate.ensemble import Progress, Run, Work, in_processes, in_threads
from chemlearn.simulate.gather import Gathered, Reduced
from chemlearn.simulate.provenance import recorded
from chemlearn.simulate.reduce import Column, Reduction, reductions

_REDUCED_BLOCK = 500  # trajectories; a multiple of those that share a stream in GillesPy2
_REDUCED_GROWTH = 32_000  # so many more trajectories make a block larger by as many again, which costs less
_REDUCED_MOST = 8  # times at most
_REDUCED_BYTES = 2**25  # of counts in such a block


class EnsembleInterrupted(KeyboardInterrupt):
    """Ctrl-C during an ensemble; the finished trajectories are in ``done``.

    Parameters
    ----------
    done : xarray.Dataset or None
        The trajectories that were finished, with their own numbers in the coordinate ``trajectory``, or what
        is kept of them; None if none were.
    wanted, count : int
        Numbers of trajectories.
    """

    def __init__(self, done: xr.Dataset | None, wanted: int, count: int = 0) -> None:
        super().__init__(f"interrupted: {count} of {wanted} trajectories are done and kept")
        self.done, self.wanted, self.count = done, wanted, count


def simulate_ssa(
    model: Model,
    times: np.ndarray,
    *,
    signal: Signal | None = None,
    start: Mapping[str, float] | None = None,
    trajectories: int | range = 1,
    seed: int | None = None,
    engine: str = "native",
    workers: int | None = None,
    point: int = 0,
    reduce: str | Reduction | Iterable[str | Reduction] | None = None,
    accuracy: float | None = None,
    firings: bool = False,
    propensity_integrals: bool = False,
    most_firings: int | None = None,
    timeout: float | None = None,
    stopping: Event | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """An ensemble of stochastic trajectories of a model whose input follows a signal.

    Parameters
    ----------
    model : Model
        Every error of ``model.findings()`` refuses the run.
    times : (n_times,) array
        Output times, increasing, from 0 on, in the model's time unit.
    signal : Signal, optional
        What the input does; it stays at the model's value by default. ``"native"`` follows every ramp
        exactly; ``"roadrunner"`` where every propensity is linear in the input; ``"gillespy2"`` takes
        constant pieces only. What an engine cannot do exactly it refuses: make the signal a staircase of
        constant steps (:meth:`Signal.staircase`) if that is accurate enough for you.
    start : mapping of str to int, optional
        Amounts at time 0 that differ from the model's; whole numbers.
    trajectories : int or range
        How many, or the numbers of just those that are wanted: ``range(17, 18)`` makes trajectory 17 again.
    seed : int, optional
        Root seed; drawn and recorded by default. The same seed gives the same numbers for any number of
        workers.
    engine : {"native", "roadrunner", "gillespy2", "tau", "langevin"}
        Ours, compiled for the model without a C compiler and some hundred times as fast; libroadrunner's and
        GillesPy2's direct methods stand beside it as cross-checks. The last two are approximate, for large
        copy numbers: leaps over many firings, and the chemical Langevin equation with real amounts. What
        their error is stands in ``attrs["method"]``; where they gain nothing or do not hold, they refuse.
    workers : int, optional
        Threads of the native engine, processes of the others; all cores by default.
    point : int
        Number of this ensemble within a larger study with the same root seed: each has streams of its own.
    reduce : str, reduction or list of them, optional
        Keep only this of the trajectories: ``"mean"``, ``"variance"``, ``"covariance"``, ``"quantiles"``,
        :class:`Quantiles`, :class:`Histogram`. The memory then does not grow with their number.
    accuracy : float, optional
        ε of ``"tau"`` and ``"langevin"``, 0.03 by default.
    firings, propensity_integrals : bool
        Record also how often every reaction has fired since time 0, and the integral of its propensity, over
        a dimension ``reaction``. Native engine only, for every model that it fires. The integrals are exact
        to rounding where a propensity is constant or linear in time between firings, and by quadrature
        elsewhere: to 1e-9 or better, jumps included; ``attrs["method"]`` says for which. A smooth peak
        narrower than a thousandth of a straight piece of the signal can be missed.
    most_firings : int, optional
        Firings (and knots of the signal) that a trajectory may take. Native engine only.
    timeout : float, optional
        Seconds that a trajectory may take, beside those that are simulated with it.
    stopping : threading.Event, optional
        Ends the ensemble as Ctrl-C does when it is set, from any thread.
    progress : callable, optional
        Called as ``progress(done, wanted)`` with numbers of trajectories.

    Returns
    -------
    xarray.Dataset
        One variable per species (in molecules) and assignment rule over (``trajectory``, ``time``), with
        provenance. With ``reduce``, over ``time``: ``X_mean``, ``X_variance`` and so on.

    Raises
    ------
    ModelError
        When the model cannot be fired reaction by reaction; the message says where and how to mend it.
    SimulationError
        When the engine cannot do this exactly, or fails, or a trajectory takes more than it may.
    EnsembleInterrupted
        On Ctrl-C; holds what was done.

    Notes
    -----
    Trajectory k has its own stream: with ``"native"`` a hash of k and of
    ``SeedSequence(seed, spawn_key=(point,))``, with ``"roadrunner"`` a seed from
    ``SeedSequence(seed, spawn_key=(point, k))``.
    GillesPy2 draws several trajectories from one stream; they come in blocks of fixed size that have streams
    of their own.
    """
    times = checked_times(times)
    numbers = checked_ensemble(trajectories, workers, seed, most_firings, timeout)
    workers = (os.cpu_count() or 1) if workers is None else workers
    wanted = None if reduce is None else reductions(reduce)
    amounts = require_fit(model, signal, start)
    seed = root_seed(seed)
    ending = Event()  # of this run alone: what is given may stop others too
    options = {
        "most_steps": most_firings,
        "timeout": timeout,
        "accuracy": accuracy,
        "firings": firings,
        "propensity_integrals": propensity_integrals,
    }
    run = prepared(engine, model, times, signal, amounts, ending, options)
    how: dict[str, Any] = {
        "kind": "ssa",
        "engine": engine,
        "engine_version": run.version,
        "seed": str(seed),  # a drawn seed has 128 bits, more than a netCDF integer
        "point": point,
        "trajectories": len(numbers),
        "first_trajectory": numbers.start,
        "start": json.dumps(amounts),
        "firings": int(firings),
        "propensity_integrals": int(propensity_integrals),
        "method": run.method,
        **({} if accuracy is None else {"accuracy": accuracy}),
    }
    gather, blocks = _gathering(model, run, numbers, len(times), workers, wanted)
    work = Work(
        do=lambda block: gather.of(run, block, seed, point),
        blocks=blocks,
        take=lambda i, result: gather.take(blocks[i], result),
        progress=progress,
        stopping=stopping or Event(),
        ending=ending,
        timeout=timeout,
    )
    if engine in IN_PROCESSES:
        interrupted = in_processes(work, workers, has_children=run.has_children)
    else:
        interrupted = in_threads(work, workers)
    done = gather.dataset(model, times, signal, how)
    if interrupted:
        raise EnsembleInterrupted(done, len(numbers), gather.finished)
    return done  # type: ignore[return-value]  # only an interrupted ensemble has nothing


def _gathering(
    model: Model, run: Run, numbers: range, n_times: int, workers: int, wanted: tuple[Reduction, ...] | None
) -> tuple[Gathered | Reduced, list[range]]:
    """What becomes of finished blocks, and the blocks."""
    columns = getattr(run, "columns", None) or tuple(
        Column(n, None, n in model.species) for n in recorded(model)
    )
    if wanted is None:
        return Gathered(numbers, n_times, columns), _shifted(run.blocks(len(numbers), workers), numbers.start)
    return Reduced(numbers, wanted, columns), _even_blocks(numbers, n_times * max(1, len(columns)))


def _shifted(blocks: list[range], by: int) -> list[range]:
    return [range(block.start + by, block.stop + by) for block in blocks]


def _even_blocks(numbers: range, values_each: int) -> list[range]:
    """Blocks of a size that depends on nothing but the model, the output times and how many there are."""
    wanted = _REDUCED_BLOCK * max(1, min(_REDUCED_MOST, len(numbers) // _REDUCED_GROWTH))
    size = max(1, min(wanted, _REDUCED_BYTES // (8 * values_each)))
    return [range(k, min(k + size, numbers.stop)) for k in range(numbers.start, numbers.stop, size)]
