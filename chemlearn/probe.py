"""A rate law tried on random whole numbers of molecules: is it a propensity?"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from chemlearn.expression import TIME, Expr, compile_expressions, symbols
from chemlearn.network import Network

_STATES = 40  # a law that is wrong is wrong at almost all states


def probe_states(network: Network, *, positive: bool = False) -> dict[str, np.ndarray]:
    """Random whole amounts and the constants, time included; with ``positive``, negative constants lose their
    sign.
    """
    generator = np.random.default_rng(2023)
    held = {name: network.initial[name] for name in network.switched} | dict(network.constants)
    varying = [name for name in network.variables if name not in held]
    amounts = (network.initial[name] for name in varying)
    total = 2.0 * sum(v for v in amounts if np.isfinite(v) and v > 0) + 20.0
    states: dict[str, np.ndarray] = {}
    for name in varying:  # small and large counts alike: uniform in the logarithm
        states[name] = np.floor(np.exp(generator.uniform(0.0, np.log(total), _STATES)))
        states[name][: _STATES // 8] = 0.0
        generator.shuffle(states[name])
    for name, value in held.items():  # a constant of 0 would hide what its law does
        states[name] = np.full(_STATES, (abs(value) if positive else value) or 1.0)
    states[TIME] = np.linspace(0.0, 10.0, _STATES)
    return states


class Probe:
    """A law tried at states of its network.

    Parameters
    ----------
    states : mapping of str to (n_states,) array
        From :func:`probe_states`.
    law : Expr
        In amounts, as in :class:`~chemlearn.network.Reaction`.
    species : collection of str
        Names among the states that are amounts.
    """

    def __init__(self, states: Mapping[str, np.ndarray], law: Expr, species: Collection[str]) -> None:
        used = sorted(symbols(law))
        self.values = {name: states[name] for name in used}
        self.species = [name for name in used if name in species]
        self.evaluate = compile_expressions([law], used)

    def at(self, fixed: Mapping[str, float], least: float = 0.0) -> np.ndarray:
        """The law with some amounts fixed and the others at ``least`` or above."""
        values = self.values | {n: np.maximum(self.values[n], least) for n in self.species}
        values |= {n: np.full(_STATES, v) for n, v in fixed.items() if n in values}
        with np.errstate(all="ignore"):
            return np.broadcast_to(self.evaluate(list(values.values()))[0], (_STATES,)).astype(float)

    def is_negative(self) -> bool:
        """Whether the law is below 0 at some states, by more than rounding."""
        values = self.at({})
        values = values[np.isfinite(values)]
        return bool(values.min(initial=0.0) < -1e-12 * values.max(initial=0.0))

    def largest(self, fixed: Mapping[str, float]) -> float:
        """Largest finite size."""
        values = np.abs(self.at(fixed))
        return float(values[np.isfinite(values)].max(initial=0.0))

    def undefined_without(self) -> str | None:
        """A species whose last molecule takes the law's value with it, as B in k*A/B; None if there is
        none.
        """
        constants_known = all(np.isfinite(self.at({}, least=1.0)))
        empty = (n for n in self.species if not np.all(np.isfinite(self.at({n: 0.0}, least=1.0))))
        return next(empty, None) if constants_known else None
