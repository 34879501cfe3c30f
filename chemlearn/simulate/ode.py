"""Deterministic simulation of a driven model."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import xarray as xr

from chemlearn.errors import ModelError
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import roadrunner as engine
from chemlearn.simulate.provenance import dataset


def simulate_ode(
    model: Model,
    times: np.ndarray,
    *,
    signal: Signal | None = None,
    start: Mapping[str, float] | None = None,
) -> xr.Dataset:
    """Solve the rate equations of a model whose input follows a signal.

    libroadrunner's CVODE is called once for every linear piece of the signal, so that it never steps over a knot.

    Parameters
    ----------
    model : Model
    times : (n_times,) array
        Output times, increasing, from 0 on, in the model's time unit.
    signal : Signal, optional
        What the input does; it stays at the model's value by default.
    start : mapping of str to float, optional
        Amounts at time 0 that differ from the model's.

    Returns
    -------
    xarray.Dataset
        One variable per species (in molecules), rate-rule variable and assignment rule, over ``time``, with the
        provenance in ``attrs``.

    Raises
    ------
    ValueError
        For times that are negative or not increasing.
    ModelError
        When the model is not complete.
    SimulationError
        When the equations cannot be solved, such as an amount that grows without bound.
    """
    times = checked_times(times)
    model.require(stochastic=False)
    require_input(model, signal)
    values = engine.integrate(model, times, signal, checked_start(model, start))
    return dataset(
        model,
        times,
        values,
        signal,
        kind="ode",
        engine="roadrunner",
        engine_version=engine.ENGINE_VERSION,
        relative_tolerance=engine.RELATIVE_TOLERANCE,
        absolute_tolerance=engine.ABSOLUTE_TOLERANCE,
        start=json.dumps(dict(start or {})),
    )


def checked_times(times: np.ndarray) -> np.ndarray:
    """Output times as an array, or a ValueError that says what is wrong with them."""
    times = np.asarray(times, dtype=float)
    if times.ndim != 1 or not len(times) or not np.all(np.isfinite(times)):
        raise ValueError(f"times must be a one-dimensional array of finite numbers, got shape {times.shape}")
    if times[0] < 0 or np.any(np.diff(times) <= 0):
        raise ValueError("times must increase from 0 or later, such as numpy.linspace(0, 10, 101)")
    return times


def require_input(model: Model, signal: Signal | None) -> None:
    """A signal needs a constant to drive."""
    if signal is not None and model.input not in model.network.constants:
        raise ModelError(model.missing_role("input"))


def checked_start(model: Model, start: Mapping[str, float] | None) -> dict[str, float]:
    """Amounts to start from, every name known."""
    for name in start or {}:
        if name not in model.network.variables:
            raise ModelError(f"no species named {name!r} to start; '{model.name}' has {', '.join(model.species)}")
    return {name: float(value) for name, value in (start or {}).items()}
