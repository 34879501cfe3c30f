"""Stochastic simulation of a driven model: ensembles of exact trajectories, in parallel processes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from chemlearn.errors import ModelError
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import gillespie2, native
from chemlearn.simulate import roadrunner as rr
from chemlearn.simulate.arguments import checked_start, checked_times, require_input
from chemlearn.simulate.ensemble import Progress, Run, in_processes
from chemlearn.simulate.provenance import dataset

ENGINES = ("native", "roadrunner", "gillespy2")


class EnsembleInterrupted(KeyboardInterrupt):
    """Ctrl-C during an ensemble; the finished trajectories are in ``done``.

    Parameters
    ----------
    done : xarray.Dataset or None
        The trajectories that were finished, with their own numbers in the coordinate ``trajectory``; None if
        none were.
    wanted : int
    """

    def __init__(self, done: xr.Dataset | None, wanted: int) -> None:
        count = 0 if done is None else done.sizes["trajectory"]
        super().__init__(f"interrupted: {count} of {wanted} trajectories are done and kept")
        self.done, self.wanted = done, wanted


def simulate_ssa(
    model: Model,
    times: np.ndarray,
    *,
    signal: Signal | None = None,
    start: Mapping[str, float] | None = None,
    trajectories: int = 1,
    seed: int | None = None,
    engine: str = "native",
    workers: int | None = None,
    point: int = 0,
    progress: Progress | None = None,
) -> xr.Dataset:
    """An ensemble of exact stochastic trajectories of a model whose input follows a signal.

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
    trajectories : int
    seed : int, optional
        Root seed; drawn and recorded by default. The same seed gives the same numbers for any number of
        workers.
    engine : {"native", "roadrunner", "gillespy2"}
        Ours, compiled for the model without a C compiler and some hundred times as fast; libroadrunner's and
        GillesPy2's direct methods stand beside it as cross-checks.
    workers : int, optional
        Processes; all cores by default.
    point : int
        Number of this ensemble within a larger study with the same root seed: each has streams of its own.
    progress : callable, optional
        Called as ``progress(done, wanted)`` with numbers of trajectories.

    Returns
    -------
    xarray.Dataset
        One variable per species (in molecules) and assignment rule over (``trajectory``, ``time``), with
        provenance.

    Raises
    ------
    ModelError
        When the model cannot be fired reaction by reaction; the message says where and how to mend it.
    SimulationError
        When the engine cannot do this exactly, or fails.
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
    if engine not in ENGINES:
        raise ValueError(f"no engine named {engine!r}; there are {', '.join(ENGINES)}")
    workers = (os.cpu_count() or 1) if workers is None else workers
    for name, number in (("trajectories", trajectories), ("workers", workers)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    if seed is not None and (seed != int(seed) or seed < 0):
        raise ValueError(f"seed must be a whole number of at least 0, got {seed}")
    model.require(stochastic=True)
    require_input(model, signal)
    _require_positive(model, signal)
    amounts = checked_start(model, start)
    fractional = [name for name, value in amounts.items() if value != round(value) or value < 0]
    if fractional:
        raise ValueError(
            f"the start of {fractional[0]!r} must be a whole number, got {amounts[fractional[0]]}"
        )
    seed = int(np.random.SeedSequence().entropy) if seed is None else int(seed)  # type: ignore[arg-type]
    run = _engine(engine, model, times, signal, amounts)
    blocks = run.blocks(trajectories, workers)
    how: dict[str, Any] = {
        "kind": "ssa",
        "engine": engine,
        "engine_version": run.version,
        "seed": str(seed),  # a drawn seed has 128 bits, more than a netCDF integer
        "point": point,
        "trajectories": trajectories,
        "start": json.dumps(amounts),
    }
    finished, interrupted = in_processes(run, blocks, seed, point, workers, progress)
    if interrupted:
        raise EnsembleInterrupted(_collected(model, times, signal, blocks, finished, how), trajectories)
    return _collected(model, times, signal, blocks, finished, how)  # type: ignore[return-value]


def _require_positive(model: Model, signal: Signal | None) -> None:
    """The model must be fit for firing at both ends of the signal's range too, not only at its own input."""
    for level in () if signal is None else sorted({float(signal.values.min()), float(signal.values.max())}):
        try:
            model.with_values(**{model.input: level}).require(stochastic=True)
        except ModelError as error:
            raise ModelError(f"where the signal is {level:g}: {error}") from None


def streams(seed: int, point: int, trajectories: range) -> np.ndarray:
    """One 32-bit engine seed per trajectory, from its own ``SeedSequence``.

    libroadrunner takes seeds modulo 2³², and a negative one as the wish for a random one.
    """
    keys = (np.random.SeedSequence(seed, spawn_key=(point, k)).generate_state(1)[0] for k in trajectories)
    return np.array([1 + int(k) % (2**32 - 2) for k in keys], dtype=np.uint64)


class _RoadRunnerRun:
    """Trajectories by libroadrunner: each from its own stream."""

    version = rr.ENGINE_VERSION
    has_children = False

    def __init__(
        self, model: Model, times: np.ndarray, signal: Signal | None, start: Mapping[str, float]
    ) -> None:
        rr.refuse_inexact(model, signal)
        self.arguments = (model, times, signal, start)

    def blocks(self, trajectories: int, workers: int) -> list[range]:
        size = max(1, min(250, trajectories // (8 * workers)))
        return [range(k, min(k + size, trajectories)) for k in range(0, trajectories, size)]

    def __call__(self, block: range, seed: int, point: int) -> np.ndarray:
        return rr.fire(*self.arguments, streams(seed, point, block))


def _engine(
    name: str, model: Model, times: np.ndarray, signal: Signal | None, start: Mapping[str, float]
) -> Run:
    if name == "native":
        return native.Run(model, times, signal, start)
    if name == "roadrunner":
        return _RoadRunnerRun(model, times, signal, start)
    return gillespie2.Run(model, times, signal, start, streams)


def _collected(
    model: Model,
    times: np.ndarray,
    signal: Signal | None,
    blocks: list[range],
    finished: Mapping[int, np.ndarray],
    how: Mapping[str, Any],
) -> xr.Dataset | None:
    """The finished blocks in order, each trajectory with its own number."""
    if not finished:
        return None
    order = sorted(finished)
    data = dataset(model, times, np.concatenate([finished[i] for i in order]), signal, **how)
    return data.assign_coords(trajectory=np.concatenate([np.asarray(blocks[i]) for i in order]))
