"""A rate law tried on random whole numbers of molecules: is it a propensity?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from chemlearn.expression import TIME, Expr, compile_expressions, symbols
from chemlearn.network import Network

_STATES = 40  # a law that is wrong is wrong at almost all states


class Probe:
    """A law at random whole amounts; the same states for every call.

    Parameters
    ----------
    network : Network
    law : Expr
        In amounts, as in :class:`~chemlearn.network.Reaction`.
    positive : bool
        Whether negative constants are taken with the opposite sign.
    """

    def __init__(self, network: Network, law: Expr, *, positive: bool = False) -> None:
        generator = np.random.default_rng(2023)
        total = 2.0 * sum(v for v in network.initial.values() if np.isfinite(v) and v > 0) + 20.0
        self.values: dict[str, np.ndarray] = {}
        for name in network.variables:  # small and large counts alike: uniform in the logarithm
            states = np.floor(np.exp(generator.uniform(0.0, np.log(total), _STATES)))
            states[: _STATES // 8] = 0.0
            generator.shuffle(states)
            self.values[name] = states
        for name, value in network.constants.items():  # a constant of 0 would hide what its law does
            self.values[name] = np.full(_STATES, (abs(value) if positive else value) or 1.0)
        self.values[TIME] = np.linspace(0.0, 10.0, _STATES)
        self.species = sorted(symbols(law) & set(network.species))
        self.evaluate = compile_expressions([law], list(self.values))

    def at(self, fixed: Mapping[str, float], least: float = 0.0) -> np.ndarray:
        """The law with some amounts fixed and the others at ``least`` or above."""
        values = self.values | {n: np.maximum(self.values[n], least) for n in self.species}
        values |= {n: np.full(_STATES, v) for n, v in fixed.items()}
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
        """A species whose last molecule takes the law's value with it, as B in k*A/B; None if there is none."""
        constants_known = all(np.isfinite(self.at({}, least=1.0)))
        empty = (n for n in self.species if not np.all(np.isfinite(self.at({n: 0.0}, least=1.0))))
        return next(empty, None) if constants_known else None
