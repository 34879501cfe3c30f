"""libroadrunner behind both simulations: loaded models, one engine call for every linear piece of the signal.

Its traps are kept in here: parameters survive ``reset``, its Gillespie integrator takes output times only with a
fixed step and lets counts go negative unless told, and it must not run in several threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import roadrunner

from chemlearn.errors import ModelError, SimulationError
from chemlearn.expression import is_affine
from chemlearn.model import Model
from chemlearn.sbml import PIECE_SLOPE, PIECE_START, PIECE_VALUE, driven
from chemlearn.signal import Signal
from chemlearn.simulate.provenance import recorded

ENGINE_VERSION = str(roadrunner.__version__)
RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-10, 1e-12


@lru_cache(maxsize=8)
def _loaded(sbml: str) -> Any:
    """A compiled model; the same object is reset for every run."""
    roadrunner.Logger.setLevel(roadrunner.Logger.LOG_CRITICAL)  # what goes wrong comes back as an exception
    try:
        return roadrunner.RoadRunner(sbml)
    except RuntimeError as error:
        raise ModelError(f"libroadrunner cannot load the model: {' '.join(str(error).split())}") from None


def _prepared(model: Model, signal: Signal | None, start: Mapping[str, float] | None) -> Any:
    """The compiled model at time 0."""
    runner = _loaded(model.sbml if signal is None else driven(model.sbml, model.input))
    runner.resetAll()
    for name, value in (start or {}).items():
        runner[name] = value
    runner.timeCourseSelections = ["time", *recorded(model)]
    return runner


def _through_pieces(runner: Any, times: np.ndarray, signal: Signal | None) -> np.ndarray:
    """Values at the output times, with one call per linear piece so that no knot is stepped over."""
    end = float(times[-1])
    result = np.empty((len(times), len(runner.timeCourseSelections) - 1))
    if end == 0.0:
        result[:] = [runner.getValue(name) for name in runner.timeCourseSelections[1:]]
        return result
    pieces = [(0.0, end, None)] if signal is None else [(p.start, p.stop, p) for p in signal.pieces(0.0, end)]
    for begin, stop, piece in pieces:
        if piece is not None:
            runner[PIECE_VALUE], runner[PIECE_SLOPE], runner[PIECE_START] = piece.value, piece.slope, piece.start
        last = stop == end
        inside = (times >= begin) & ((times <= stop) if last else (times < stop))
        wanted = times[inside]
        grid = np.unique(np.concatenate(([begin], wanted, [stop])))
        values = np.asarray(runner.simulate(times=grid.tolist()))[:, 1:]
        result[inside] = values[np.searchsorted(grid, wanted)]
    return result


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
            f"({_last_line(error)}); check for amounts that grow without bound"
        ) from None
    if not np.all(np.isfinite(values)):
        bad = int(np.argmin(np.all(np.isfinite(values), axis=1)))
        name = recorded(model)[int(np.argmin(np.isfinite(values[bad])))]
        raise SimulationError(f"{model.origin}: '{name}' is not finite at t={times[bad]:.4g}; check its law")
    return values


def fire(
    model: Model, times: np.ndarray, signal: Signal | None, start: Mapping[str, float] | None, seeds: np.ndarray
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
            raise SimulationError(f"{model.origin}: trajectory failed with seed {seed}: {_last_line(error)}") from None
    return results


def refuse_inexact(model: Model, signal: Signal | None) -> None:
    """Under a ramp the engine integrates the total propensity by trapezoids: exact only if linear in the signal.

    Raises
    ------
    SimulationError
        Naming the first reaction whose propensity is not linear in the input.
    """
    if signal is None or signal.is_staircase:
        return
    for reaction in model.network.reactions:
        if not is_affine(reaction.law, model.input):
            raise SimulationError(
                f"{model.origin}: reaction {reaction.name}: its propensity is not linear in {model.input}, so "
                f"libroadrunner cannot fire it exactly along a ramp; give the signal as constant steps, "
                f"signal.staircase(200)"
            )


def _last_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
