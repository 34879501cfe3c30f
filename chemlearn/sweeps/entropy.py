"""Entropy production of single trajectories at rest, for the measure ``dissipation``."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import xarray as xr

from chemlearn.entropy.flow import EntropyFlow, at_rest
from chemlearn.entropy.network import Dissipation, dissipation
from chemlearn.model import Model


@lru_cache(maxsize=32)
def steady_dissipation(model: Model) -> Dissipation:
    """:func:`chemlearn.dissipation` at the model's own input, remembered."""
    return dissipation(model)


@lru_cache(maxsize=32)
def _flow(model: Model) -> tuple[EntropyFlow, np.ndarray]:
    """Its laws, compiled once per point of a sweep, and the amounts at rest."""
    return EntropyFlow(model), at_rest(model, model.input_value)


def entropy_production(model: Model, window: xr.Dataset) -> np.ndarray:
    """Mean over the instants of a window of the rate at which firings produce entropy.

    A function of the amounts, ṡ(n) with the mean rate at which φ changes (:mod:`chemlearn.entropy.flow`),
    which at rest is 0 on average: much less noisy than what the firings themselves add.

    Parameters
    ----------
    model : Model
        At the input of the window.
    window : xarray.Dataset
        At rest: species over (``trajectory``, ``time``).

    Returns
    -------
    (n_trajectories,) array
        In k_B per time unit of the model; inf where a trajectory could do what cannot be undone.
    """
    flow, around = _flow(model)
    amounts = [window[name].values for name in model.species]
    return flow.rate(amounts, model.input_value, around).mean(axis=1)
