"""libroadrunner behind both simulations: loaded models, one engine call for every linear piece of the signal.

Its traps are kept in here: parameters survive ``reset``, its Gillespie integrator takes output times only
with a fixed step and lets counts go negative unless told, CVODE writes to stderr past every log level and
refuses a first output that is closer than rounding, and nothing of it may run in several threads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import roadrunner

from chemlearn.errors import ModelError, SimulationError
from chemlearn.expression import is_affine
from chemlearn.model import Model
from chemlearn.sbml import PIECE_SLOPE, PIECE_START, PIECE_VALUE, driven
from chemlearn.signal import Piece, Signal
from chemlearn.simulate.arguments import has_ramps, same_instant
from chemlearn.simulate.provenance import recorded
from chemlearn.simulate.refusals import refuse_beyond_reactions

ENGINE_VERSION = str(roadrunner.__version__)
#: libroadrunner multiplies the absolute one by each amount at the start of a piece, where that is not 0
RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-12, 1e-12


@lru_cache(maxsize=8)
def _loaded(sbml: str) -> Any:
    """A compiled model; the same object is reset for every run."""
    roadrunner.Logger.setLevel(roadrunner.Logger.LOG_CRITICAL)  # what goes wrong comes back as an exception
    try:
        return roadrunner.RoadRunner(sbml)
    except RuntimeError as error:
        raise ModelError(f"libroadrunner cannot load the model: {_last_line(error)}") from None


@contextmanager
def _quiet_solver() -> Iterator[None]:
    """Keep CVODE's own log off stderr: whenever it is set up it asks the environment where to write."""
    names = ("SUNLOGGER_ERROR_FILENAME", "SUNLOGGER_WARNING_FILENAME")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update({name: before[name] or os.devnull for name in names})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]


def _prepared(model: Model, signal: Signal | None, start: Mapping[str, float] | None) -> Any:
    """The compiled model at time 0."""
    runner = _loaded(model.sbml if signal is None else driven(model.sbml, model.input))
    runner.resetAll()
    for name, value in (start or {}).items():
        runner[name] = value
    runner.timeCourseSelections = ["time", *recorded(model)]
    return runner


def _through_pieces(runner: Any, times: np.ndarray, signal: Signal | None) -> np.ndarray:
    """Values at the output times, with one call per linear piece so that no knot is stepped over.

    An output on a knot belongs to the piece that begins there, as the signal itself does: the last one, which
    no piece follows, is read after the input has been set to its value there.
    """
    end = float(times[-1])
    result = np.empty((len(times), len(runner.timeCourseSelections) - 1))
    same = same_instant(times)
    pieces = [Piece(0.0, end, 0.0, 0.0)] if signal is None else list(signal.pieces(0.0, end))
    for piece in pieces:
        if signal is not None:
            _follow(runner, piece)
        inside = (times >= piece.start) & (times < piece.stop)
        if piece.stop - piece.start <= same:
            result[inside] = _now(runner)
            continue
        between = times[inside & (times > piece.start + same) & (times < piece.stop - same)]
        grid = np.concatenate(([piece.start], between, [piece.stop]))
        values = np.asarray(runner.simulate(times=grid.tolist()))[:, 1:]
        result[inside] = values[np.searchsorted(grid, times[inside] + same, side="right") - 1]
    if signal is not None:
        _follow(runner, Piece(end, end, float(signal(end)), 0.0))
    result[-1] = _now(runner)
    return result


def _now(runner: Any) -> list[float]:
    return [runner.getValue(name) for name in runner.timeCourseSelections[1:]]


def _follow(runner: Any, piece: Piece) -> None:
    runner[PIECE_VALUE], runner[PIECE_SLOPE], runner[PIECE_START] = piece.value, piece.slope, piece.start


def integrate(
    model: Model, times: np.ndarray, signal: Signal | None, start: Mapping[str, float] | None
) -> np.ndarray:
    """Solve the rate equations with CVODE; shape (n_times, n_recorded).

    Raises
    ------
    SimulationError
        When the solver fails or a value stops being finite, with the time it had reached.
    """
    runner = _prepared(model, signal, start)
    with _quiet_solver():
        runner.setIntegrator("cvode")
        integrator = runner.integrator
        integrator.relative_tolerance = RELATIVE_TOLERANCE
        integrator.absolute_tolerance = ABSOLUTE_TOLERANCE
        integrator.stiff = True
        integrator.maximum_num_steps = 1_000_000
        try:
            values = _through_pieces(runner, times, signal)
        except RuntimeError as error:
            reached = float(runner.getCurrentTime())
            raise SimulationError(
                f"{model.origin}: the rate equations could not be solved beyond t={reached:.4g} "
                f"({_last_line(error)}); check for amounts that grow without bound and for laws that are not "
                f"finite"
            ) from None
    if not np.all(np.isfinite(values)):
        bad = int(np.argmin(np.all(np.isfinite(values), axis=1)))
        name = recorded(model)[int(np.argmin(np.isfinite(values[bad])))]
        raise SimulationError(f"{model.origin}: '{name}' is not finite at t={times[bad]:.4g}; check its law")
    return values


def fire(
    model: Model,
    times: np.ndarray,
    signal: Signal | None,
    start: Mapping[str, float] | None,
    seeds: np.ndarray,
) -> np.ndarray:
    """One exact trajectory per seed by the direct method; shape (n_seeds, n_times, n_recorded)."""
    runner = _prepared(model, signal, start)
    runner.setIntegrator("gillespie")
    runner.integrator.variable_step_size = False
    runner.integrator.nonnegative = True
    results = np.empty((len(seeds), len(times), len(recorded(model))))
    for k, seed in enumerate(seeds):
        runner.resetAll()
        for name, value in (start or {}).items():
            runner[name] = value
        runner.integrator.seed = int(seed)
        try:
            results[k] = _through_pieces(runner, times, signal)
        except RuntimeError as error:
            raise SimulationError(
                f"{model.origin}: trajectory failed with seed {seed}: {_last_line(error)}"
            ) from None
    return results


def refuse_inexact(model: Model, signal: Signal | None) -> None:
    """Under a ramp the engine integrates the total propensity by trapezoids: exact only if linear in time.

    Raises
    ------
    SimulationError
        Naming the first reaction whose propensity is not linear in the input; or an event, or a law that
        names time.
    """
    refuse_beyond_reactions(model, "libroadrunner")
    if signal is None or not has_ramps(signal):
        return
    for reaction in model.network.reactions:
        if not is_affine(reaction.law, model.input):
            raise SimulationError(
                f"{model.origin}: reaction {reaction.name}: its propensity is not linear in {model.input}, "
                f"so libroadrunner cannot fire it exactly along a ramp; give the signal as constant steps, "
                f"signal.staircase(200)"
            )


def _last_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
