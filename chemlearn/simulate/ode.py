"""Deterministic simulation of a driven model."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import xarray as xr

from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import roadrunner as engine
from chemlearn.simulate.arguments import checked_start, checked_times, require_input
from chemlearn.simulate.provenance import dataset


def simulate_ode(
    model: Model,
    times: np.ndarray,
    *,
    signal: Signal | None = None,
    start: Mapping[str, float] | None = None,
) -> xr.Dataset:
    """Solve the rate equations of a model whose input follows a signal.

    libroadrunner's CVODE is called once for every linear piece of the signal, so that it never steps over a
    knot. An output time on a jump shows what holds from there on.

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
        One variable per species (in molecules), rate-rule variable and assignment rule, over ``time``, with
        the provenance in ``attrs``.

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
