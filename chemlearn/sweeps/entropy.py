r"""Entropy production of single trajectories.

A firing of reaction f from the state n to n' = n + ν, undone by b, adds :math:`\ln[a_f(n)/a_b(n')]` to the
entropy of the surroundings (theory of stochastic thermodynamics; Seifert, doi:10.1103/PhysRevLett.95.040602).
The mean rate at which firings add it is a function of the state alone,

.. math:: \dot s(n) = \sum_{(f, b)} a_f(n) \ln\frac{a_f(n)}{a_b(n+\nu)} + a_b(n) \ln\frac{a_b(n)}{a_f(n-\nu)},

whose average over the steady state is the entropy production rate of the master equation. Where all laws are
linear that equals :math:`\sum (J^+ - J^-) \ln (J^+/J^-)` of the rate equations exactly, for any number of
molecules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr

from chemlearn.entropy import Dissipation, dissipation
from chemlearn.expression import compile_expressions
from chemlearn.model import Model
from chemlearn.network import Reaction

_Laws = Callable[[Sequence[Any]], Sequence[Any]]


@lru_cache(maxsize=32)
def steady_dissipation(model: Model) -> Dissipation:
    """:func:`chemlearn.dissipation` at the model's own input, remembered."""
    return dissipation(model)


def _pairs(model: Model) -> list[tuple[Reaction, Reaction]]:
    """The pairs of opposite reactions of the core."""
    reactions = {reaction.name: reaction for reaction in model.network.reactions}
    names = (str(pair).split(" / ") for pair in steady_dissipation(model).pairs.pair.values)
    return [(reactions[forward], reactions[backward]) for forward, backward in names]


def entropy_production(model: Model, window: xr.Dataset) -> np.ndarray:
    """Mean of ṡ(n) over the instants of a window.

    Parameters
    ----------
    model : Model
        At the input of the window.
    window : xarray.Dataset
        Species over (``trajectory``, ``time``).

    Returns
    -------
    (n_trajectories,) array
        In k_B per time unit of the model; inf where a trajectory could do what cannot be undone.
    """
    shape = (window.sizes["trajectory"], window.sizes["time"])
    counts = {name: window[name].values for name in model.species}
    constants = model.network.constants
    total = np.zeros(shape)
    for forward, backward in _pairs(model):
        laws = compile_expressions([forward.law, backward.law], [*counts, *constants])
        change = {name: n for name, n in forward.net().items() if name in counts}
        here, after, before = (_propensities(laws, counts, constants, change, n) for n in (0, 1, -1))
        total += _weighted_log(here[0], after[1]) + _weighted_log(here[1], before[0])
    return total.mean(axis=1)


def _propensities(
    laws: _Laws,
    counts: Mapping[str, np.ndarray],
    constants: Mapping[str, float],
    change: Mapping[str, float],
    firings: int,
) -> list[np.ndarray]:
    """The laws after so many firings of a reaction, each of the shape of the counts."""
    moved = [n + firings * change[name] if name in change else n for name, n in counts.items()]
    shape = np.broadcast_shapes(*(np.shape(n) for n in moved))
    with np.errstate(all="ignore"):
        return [np.broadcast_to(a, shape) for a in laws([*moved, *constants.values()])]


def _weighted_log(rate: np.ndarray, reverse: np.ndarray) -> np.ndarray:
    """a ln(a/b): 0 where nothing fires, inf where what fires could not be undone."""
    fires = rate > 0
    with np.errstate(divide="ignore"):
        ratio = np.where(fires, rate, 1.0) / np.where(fires, reverse, 1.0)
    return np.where(fires, rate * np.log(ratio), 0.0)
