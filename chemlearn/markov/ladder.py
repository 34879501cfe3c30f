"""The two-rail Markov ladder: a receptor that compares two levels of its ligand, and pays for it.

Two rails, top and bottom, of methylation states m = 0, 1, ...; ligand moves molecules from the top to the
bottom rail, slow methylation brings them back, and γ < 1 turns the chain round. States are numbered top 0, 1,
..., then bottom 0, 1, ...; ``W[i, j]`` is the rate from j to i. Times are in units of one clockwise step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from chemlearn.kernels.cut import CutKernel
from chemlearn.kernels.kernel import ExponentialKernel
from chemlearn.markov.chain import checked_probabilities, pair_production
from chemlearn.markov.modes import Modes, relaxation_modes
from chemlearn.markov.rails import LARGEST, Rails, checked_columns, checked_numbers
from chemlearn.signal import Signal

if TYPE_CHECKING:
    from chemlearn.markov.periodic import PeriodicState

Rail = Literal["top", "bottom"]

_SLOWEST = 1e-5  # F at which the slowest decay still has nine digits beside the horizontal ones


@dataclass(frozen=True)
class Ladder:
    """One molecule on the ladder (F Figs. 6 and 9; F50–F52).

    Parameters
    ----------
    gamma : float or sequence of float
        Asymmetry of the methylation steps: 1 is detailed balance; two lobes need γ < 1/e. Above 0, at most 1.
        One for all squares, or one per square from the left, (columns − 1,).
    F : float or sequence of float
        The slower of the two vertical rates, in units of one clockwise step; one for all or one per column.
    columns : int
        Methylation states of a rail, 2 to 25.
    K_off, K_on : float
        Ligand affinities of the bottom and the top rail, in µM.

    Raises
    ------
    ValueError
        For values outside these ranges.
    """

    gamma: float | Sequence[float]
    F: float | Sequence[float] = 25.0
    columns: int = 5
    K_off: float = 18.2
    K_on: float = 3000.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", checked_columns(self.columns))
        for name, count, each in (("gamma", self.columns - 1, "square"), ("F", self.columns, "column")):
            object.__setattr__(self, name, checked_numbers(getattr(self, name), name, count, each))
        for name in ("K_off", "K_on"):
            object.__setattr__(self, name, checked_numbers(getattr(self, name), name, 1, ""))

    @cached_property
    def gammas(self) -> np.ndarray:
        """γ of each square, (columns − 1,)."""
        return np.broadcast_to(np.asarray(self.gamma, float), self.columns - 1)

    @cached_property
    def affinities(self) -> np.ndarray:
        """Of each square, (columns − 1,), at every level of the ligand: −2 ln γ, in k_B."""
        return -2.0 * np.log(self.gammas)

    @property
    def top(self) -> np.ndarray:
        """1 in the states of the top rail, (2 columns,)."""
        return np.repeat([1.0, 0.0], self.columns)

    def energies(self, s: ArrayLike) -> np.ndarray:
        """Energy of the top over the bottom state of each column, (..., columns), in k_B T (F51)."""
        level = np.asarray(s, float)[..., None]
        fine = (level >= 0) & (level <= LARGEST)
        if not np.all(fine):
            raise ValueError(
                f"the ligand level s must be 0 or more and at most {LARGEST:g}, got {level[~fine].flat[0]:g}"
            )
        ligand = np.log1p(level / self.K_off) - np.log1p(level / self.K_on)
        return 2.0 * (1.0 - np.arange(self.columns)) + ligand

    def rails_at(self, s: ArrayLike) -> Rails:
        """All rates at a ligand level or at an array of them (F50, F52)."""
        energies = self.energies(s)
        slower = np.asarray(self.F, float)
        down, up = slower * np.exp(np.maximum(energies, 0.0)), slower * np.exp(np.maximum(-energies, 0.0))
        return Rails(energies, down, up, math.e * self.gammas, self.gammas)

    def rates(self, s: ArrayLike) -> np.ndarray:
        """The rate matrix W at a ligand level, (2 columns, 2 columns); its columns sum to zero (F50, F52).

        For an array of levels the matrices lie along the last two axes.
        """
        return self.rails_at(s).matrix()

    def steady_state(self, s: float) -> np.ndarray:
        """Probabilities at rest, (2 columns,), to full relative accuracy at any γ."""
        return self.rails_at(s).at_rest()[0]

    def occupancy(self, s: float, rail: Rail = "top") -> float:
        """Probability of one rail at rest, to full relative accuracy."""
        return float(self._on(rail) @ self.steady_state(s))

    def _on(self, rail: Rail) -> np.ndarray:
        """1 in the states of a rail."""
        if rail not in ("top", "bottom"):
            raise ValueError(f"a ladder has the rails 'top' and 'bottom', got {rail!r}")
        return self.top if rail == "top" else 1.0 - self.top

    def currents(self, s: float) -> np.ndarray:
        """Clockwise net current round each square at rest, (columns − 1,), to full relative accuracy."""
        return self.rails_at(s).at_rest()[1]

    def dissipation(self, s: float) -> float:
        """Entropy production rate of one molecule at rest, in k_B per clockwise step (F13, F59).

        As the sum of affinity × current over the squares, which keeps full relative accuracy from γ = 1,
        where it is 0, to the smallest γ.
        """
        return float(self.affinities @ self.currents(s))

    def entropy_production_rate(self, s: ArrayLike, p: ArrayLike) -> np.ndarray:
        """Entropy production rate at any probabilities, in k_B per clockwise step (F13, F59).

        Parameters
        ----------
        s : array_like, (...)
            Ligand levels.
        p : array_like, (..., 2 columns)
            Probabilities of the states at each level.

        Raises
        ------
        ValueError
            For probabilities that are not one number of 0 or more per state.
        """
        state = checked_probabilities(p, 2 * self.columns)
        source, target, forward, backward, force = self.rails_at(s).pairs
        return pair_production(forward, backward, force, state[..., source], state[..., target]).sum(axis=-1)

    def kernel(
        self, before: float, after: float, window: float | None = None, *, rail: Rail = "top"
    ) -> ExponentialKernel | CutKernel:
        r"""Memory of a rail's occupancy, from a finite step of the ligand (F58).

        :math:`K(t) = 1_\mathrm{rail} e^{Wt} W p_0/(s_1 - s_0)` with :math:`p_0` the steady state before the
        step: a closed sum of decaying terms, good to about 1e-12 (1e-9 for F below 0.01).

        Parameters
        ----------
        before, after : float
            Ligand levels s₀ and s₁.
        window : float, optional
            Lag at which the kernel is cut; whole by default.
        rail : {"top", "bottom"}
            The two have opposite signs.

        Returns
        -------
        ExponentialKernel, or CutKernel with a window
            Per unit of the ligand and of time; that of the top rail is negative at first, for a rise of the
            ligand empties it.

        Raises
        ------
        ValueError
            Without a step, for a window that is not positive, or for F below 1e-5.
        ConvergenceError
            If the relaxation is no sum of decaying terms to ten digits.
        """
        kernel = self._answer(after, self._step(before, after), self._on(rail))
        return kernel if window is None else kernel.cut(_window(window))

    def linear_kernel(self, s: float, *, rail: Rail = "top") -> ExponentialKernel:
        """Memory of a rail's occupancy at rest at a level: the kernel of ever smaller steps from there.

        From the exact derivative of the rates. Where an energy is 0 a vertical rate has a kink, and small
        rises count (at s = 0 nothing else can be); a column has one such level at most.
        """
        return self._answer(s, self._kick(s, s), self._on(rail))

    def published_kernel(self, s: float, window: float = 5.0) -> CutKernel:
        """The kernel as the published figures have it: of a step from 0 to s, cut, rescaled and normalised.

        Cut at ``window``, which is rescaled to 1; of that sign and scale that M₁ = −1: positive, then
        negative. The area is that over the window.

        Parameters
        ----------
        s : float
            Ligand level after the step, above 0.
        window : float
            In units of one clockwise step.

        Raises
        ------
        ValueError
            Where the kernel takes no difference, γ near 1/e or above: its first moment then has the wrong
            sign and no factor makes it −1.
        """
        stretch = 1.0 / _window(window)
        kernel = self._answer(s, self._step(0.0, s), self._on("bottom"), stretch).cut(1.0)
        moment = kernel.first_moment
        if not moment < 0:
            raise ValueError(
                f"this ladder takes no difference between 0 and {s:g}: the first moment of its kernel within "
                f"{window:g} is {moment:.3g}, and only a negative one can be normalised; take gamma well "
                f"below 1/e, got {self.gamma}"
            )
        return kernel.scaled(-1.0 / moment)

    def _step(self, before: float, after: float) -> np.ndarray:
        """W(after) p₀ per unit of the ligand, (2 columns,), for a step that is one."""
        if before == after:
            raise ValueError(f"a kernel needs two different ligand levels, got {before:g} twice")
        return self._kick(before, after)

    def _kick(self, before: float, after: float) -> np.ndarray:
        """The same without subtracting rates, and its limit where the two levels are one."""
        old = self.rails_at(before)
        p, energies = old.at_rest()[0], old.energies
        step = after - before
        if step == 0:
            slope = 1.0 / (self.K_off + before) - 1.0 / (self.K_on + before)
            rises = energies >= 0
            down, up = np.where(rises, slope, 0.0), np.where(rises, 0.0, -slope)
        else:
            shift = math.log1p(step / (self.K_off + before)) - math.log1p(step / (self.K_on + before))
            down = np.expm1(_rise(energies, shift)) / step
            up = np.expm1(_rise(-energies, -shift)) / step
        falling = down * old.down * p[: self.columns] - up * old.up * p[self.columns :]
        return np.concatenate([-falling, falling])

    def _modes(self, s: float, deviation: np.ndarray) -> Modes:
        """What becomes of a deviation from rest at a level."""
        if np.min(self.F) < _SLOWEST:
            raise ValueError(
                f"the relaxation of a ladder is known for F of {_SLOWEST:g} and more, got {np.min(self.F):g}"
            )
        matrix, into, back = self.rails_at(s).slow_basis()
        return relaxation_modes(matrix, into @ deviation).through(back)

    def _answer(
        self, s: float, kick: np.ndarray, rail: np.ndarray, stretch: float = 1.0
    ) -> ExponentialKernel:
        """The rail's share of a kick that relaxes at a level, lags times a factor."""
        if not np.any(kick):
            raise ValueError(
                f"the ligand does not act on this ladder at {s:g}, whose K_off is {self.K_off:g} and K_on "
                f"{self.K_on:g}"
            )
        return self._modes(s, kick).kernel(rail, stretch)

    def relaxation(self, before: float, after: float, times: ArrayLike) -> np.ndarray:
        """Probabilities after a step of the ligand, from rest before it.

        Parameters
        ----------
        before, after : float
            Ligand levels.
        times : array_like, (n_times,)
            Since the step, 0 or more.

        Returns
        -------
        ndarray, (n_times, 2 columns)
            To about 1e-13, each above 0: p(t) lies between the smallest and the largest ratio of the two
            steady states, times the second one.
        """
        times = np.asarray(times, float)
        fine = np.isfinite(times) & (times >= 0)
        if not np.all(fine):
            raise ValueError(f"times after a step must be 0 or more, got {times[~fine].flat[0]:g}")
        start, end = self.steady_state(before), self.steady_state(after)
        if before == after:
            return np.broadcast_to(end, (*times.shape, len(end))).copy()
        p = end + self._modes(after, start - end)(times)
        ratio = start / end
        return np.clip(p, ratio.min() * end, ratio.max() * end)

    def relaxation_dissipation(self, before: float, after: float, times: ArrayLike) -> np.ndarray:
        """Entropy production rate after a step of the ligand, (n_times,), in k_B per clockwise step.

        The expression of the steady state with p(t); it tends to :meth:`dissipation` at the level after the
        step. Parameters as for :meth:`relaxation`.
        """
        return self.entropy_production_rate(after, self.relaxation(before, after, times))

    def relaxation_entropy(self, before: float, after: float) -> float:
        r"""Entropy that one step produces beyond what rest at its end would, in k_B.

        :math:`\int_0^\infty [\sigma(t) - \sigma(\infty)] dt` in closed form: what flows into the
        surroundings, linear in the probabilities, plus the change of the molecule's own entropy
        :math:`-\sum p \ln p`. At γ = 1 it is the relative entropy of the two steady states, and otherwise
        it may be negative.
        """
        start, end = self.steady_state(before), self.steady_state(after)
        if before == after:
            return 0.0
        staying = self._modes(after, start - end).integral
        source, target, forward, backward, force = self.rails_at(after).pairs
        flown = force @ (forward * staying[source] - backward * staying[target])
        return float(flown) + _entropy(end) - _entropy(start)

    def cycle(self, signal: Signal, *, tolerance: float = 1e-10) -> PeriodicState:
        """Probabilities in the periodic state under a periodic ligand signal, of the full master equation.

        Parameters
        ----------
        signal : Signal
            Periodic; times in units of one clockwise step, levels 0 or more.
        tolerance : float
            Of each probability at any time, relative to its column's largest total in the cycle.

        Returns
        -------
        PeriodicState
            ``state(t)`` gives the probabilities, (..., 2 columns); ``times``, ``values`` and ``weights``
            integrate over the period.

        Raises
        ------
        ValueError
            For a signal that is not periodic or below 0 somewhere.
        ConvergenceError
            Where the tolerance cannot be met.
        """
        from chemlearn.markov.cycle import ladder_cycle

        return ladder_cycle(self, signal, tolerance)

    def cycle_dissipation(self, signal: Signal, *, tolerance: float = 1e-8) -> float:
        """Entropy production of one molecule in one period of a periodic signal, in k_B.

        The integral of :meth:`entropy_production_rate` along :meth:`cycle`, with its parameters; its relative
        error is far below the tolerance of the probabilities (1e-12 for 1e-8). A ladder that is not driven
        (γ = 1) dissipates only what the signal's haste costs.
        """
        from chemlearn.markov.cycle import ladder_cycle_dissipation

        return ladder_cycle_dissipation(self, signal, tolerance)


def _rise(energies: np.ndarray, shift: float) -> np.ndarray:
    """max(E + shift, 0) − max(E, 0), without loss where the shift is small."""
    return np.where(energies >= 0, np.maximum(shift, -energies), np.maximum(energies + shift, 0.0))


def _entropy(p: np.ndarray) -> float:
    """−Σ p ln p."""
    return -float(p @ np.log(p))


def _window(window: float) -> float:
    if not (math.isfinite(window) and window > 0):
        raise ValueError(f"the window of a kernel must be positive and finite, got {window}")
    return float(window)
