r"""What the firings of reactions add to the entropy of the surroundings, molecule by molecule.

A firing of reaction ρ from the amounts n to n' = n + ν, undone by −ρ, adds

.. math:: \ln \frac{a_\rho(n, s)}{a_{-\rho}(n', s)}

with the propensities a at the input level s of that instant (Seifert, doi:10.1103/PhysRevLett.95.040602;
Schmiedl and Seifert, doi:10.1063/1.2428297). The mean rate at which firings add it is a function of the state
alone,

.. math:: \dot s(n) = \sum_{(f, b)} a_f(n) \ln\frac{a_f(n)}{a_b(n+\nu)} + a_b(n) \ln\frac{a_b(n)}{a_f(n-\nu)},

whose average over the steady state is the entropy production rate of the master equation. Where all laws are
linear that equals :math:`\sum (J^+ - J^-) \ln (J^+/J^-)` of the rate equations exactly, for any number of
molecules; elsewhere only for many.

Reactions that are fast and nearly balanced make :math:`\dot s` noisy. Any function :math:`\varphi(n)` may be
added to it in the form of its own mean rate of change, and taken off at the two ends of the trajectory; with

.. math:: \varphi(n) = \sum_i \ln n_i! - n_i \ln x_i,

−ln p of independent molecules with means x, the noise of balanced reactions cancels: for mass action what is
left is :math:`\sum (a_f - a_b) \ln (J_f/J_b)` with the fluxes J at x.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.special import gammaln

from chemlearn.entropy.network import reversible_pairs
from chemlearn.errors import ModelError
from chemlearn.expression import Expr, compile_expressions
from chemlearn.model import Model

Amounts = Sequence[np.ndarray]  #: one array per species, in the order of ``model.species``
Level = np.ndarray | float  #: of the input, broadcastable to the amounts


class EntropyFlow:
    """Entropy given to the surroundings, in k_B, as a function of amounts and input.

    Parameters
    ----------
    model : Model

    Attributes
    ----------
    one_way : tuple of str
        Reactions without a reverse: when they fire it is infinite.

    Raises
    ------
    ModelError
        Where entropy cannot be counted by the reactions of the model; the reason.
    """

    def __init__(self, model: Model) -> None:
        found = reversible_pairs(model)
        if found.reason:
            raise ModelError(f"{model.origin}: entropy cannot be counted: {found.reason}")
        dynamics, network = model.dynamics, model.network
        self._constants = [value for name, value in network.constants.items() if name != dynamics.input]
        names = [*network.species, dynamics.input]
        names += [name for name in network.constants if name != dynamics.input]
        numbers = {reaction.name: i for i, reaction in enumerate(network.reactions)}
        change = network.stoichiometry()
        self._pairs = [
            (numbers[f.name], numbers[b.name], change[:, numbers[f.name]], self._laws([f.law, b.law], names))
            for f, b in found.pairs
        ]
        self._single = [(numbers[r.name], self._laws([r.law], names)) for r in found.one_way]
        self.one_way = tuple(r.name for r in found.one_way)

    def of_firings(self, fired: np.ndarray, before: Amounts, after: Amounts, level: Level) -> np.ndarray:
        """Entropy that each firing adds.

        Parameters
        ----------
        fired : (n_firings,) array of int
            Numbers of the reactions in the network; others than those of the core add nothing.
        before, after : sequence of (n_firings,) array
            Amounts of every species.
        level : float or (n_firings,) array
            Input at the instant of each firing.

        Returns
        -------
        (n_firings,) array
            In k_B; inf where what fired cannot be undone.
        """
        added = np.zeros(len(fired))
        for forward, backward, _, laws in self._pairs:
            for number, one, other in ((forward, 0, 1), (backward, 1, 0)):
                mine = np.flatnonzero(fired == number)
                s = np.broadcast_to(level, fired.shape)[mine]
                rate = laws([amount[mine] for amount in before], s)[one]
                reverse = laws([amount[mine] for amount in after], s)[other]
                added[mine] = _log_ratio(rate, reverse)
        for number, _ in self._single:
            added[fired == number] = np.inf
        return added

    def rate(self, amounts: Amounts, level: Level, around: np.ndarray | None = None) -> np.ndarray:
        """ṡ(n): mean rate at which firings add entropy, of the shape of the amounts.

        Parameters
        ----------
        amounts : sequence of (...) array
            Of every species.
        level : float or (...) array
            Input.
        around : (n_species,) array, optional
            Amounts x: add the mean rate at which φ changes.

        Returns
        -------
        (...) array
            In k_B per time; inf where something can fire that cannot be undone.
        """
        total = np.zeros(np.shape(amounts[0]))
        for _, _, change, laws in self._pairs:
            here, after, before = (
                laws([n + k * c if c else n for n, c in zip(amounts, change, strict=True)], level)
                for k in (0, 1, -1)
            )
            up = down = np.zeros(())
            if around is not None:
                up, down = (_potential_change(amounts, k * change, around) for k in (1, -1))
            total += _weighted_log(here[0], after[1], up) + _weighted_log(here[1], before[0], down)
        for _, laws in self._single:
            total[laws(amounts, level)[0] > 0] = np.inf
        return total

    def _laws(self, trees: Sequence[Expr], names: Sequence[str]) -> Callable[[Amounts, Level], np.ndarray]:
        """Function of (amounts, level) giving an array (n_trees, ...)."""
        compiled = compile_expressions(trees, names)

        def evaluate(amounts: Amounts, level: Any) -> np.ndarray:
            with np.errstate(all="ignore"):  # amounts below 0 are where nothing fires
                values = compiled([*amounts, level, *self._constants])
            return np.array([np.broadcast_to(value, np.shape(amounts[0])) for value in values], float)

        return evaluate


def _log_ratio(rate: np.ndarray, reverse: np.ndarray) -> np.ndarray:
    """ln(a/b), inf where what fires cannot be undone; a difference, for the ratio may exceed a double."""
    undone = reverse > 0
    return np.where(undone, np.log(rate) - np.log(np.where(undone, reverse, 1.0)), np.inf)


def _weighted_log(rate: np.ndarray, reverse: np.ndarray, more: np.ndarray) -> np.ndarray:
    """a [ln(a/b) + more], 0 where nothing fires."""
    fires = rate > 0
    logs = _log_ratio(np.where(fires, rate, 1.0), np.where(fires, reverse, 1.0))
    return np.where(fires, rate, 0.0) * np.where(fires, logs + more, 0.0)


def at_rest(model: Model, s: float) -> np.ndarray:
    """Amounts of the species of the core in the steady state of the rate equations, 0 for others.

    Raises
    ------
    ConvergenceError, SimulationError
        Without a stable steady state.
    """
    rest, core = model.dynamics.steady_state(s), model.dynamics.core
    amounts = np.zeros(len(model.species))
    amounts[core] = rest[core]
    return amounts


def potential(amounts: Amounts, around: np.ndarray) -> np.ndarray:
    """φ(n) = Σ ln n! − n ln x, of the shape of the amounts; species with x = 0 are left out."""
    total = np.zeros(np.shape(amounts[0]))
    for n, x in zip(amounts, around, strict=True):
        if x > 0:
            total += gammaln(n + 1.0) - n * np.log(x)
    return total


def _potential_change(amounts: Amounts, change: np.ndarray, around: np.ndarray) -> np.ndarray:
    """φ(n + ν) − φ(n); of no meaning where there are not enough molecules."""
    total = np.zeros(np.shape(amounts[0]))
    for n, c, x in zip(amounts, change, around, strict=True):
        if c and x > 0:
            steps = range(1, int(c) + 1) if c > 0 else range(int(c) + 1, 1)
            total += sum(np.sign(c) * np.log(np.maximum(n + k, 1.0)) for k in steps) - c * np.log(x)
    return total
