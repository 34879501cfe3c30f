"""The two-rail Markov ladder: a receptor that compares two levels of its ligand, and pays for it.

Two rails, top and bottom, of methylation states m = 0, 1, ...; ligand moves molecules from the top to the
bottom rail, slow methylation brings them back, and γ < 1 turns the chain round. States are numbered top 0, 1,
..., then bottom 0, 1, ...; ``W[i, j]`` is the rate from j to i.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from chemlearn.errors import ConvergenceError
from chemlearn.kernel import ExponentialKernel
from chemlearn.markov import checked_rates, entropy_production_rate, steady_state

_TOLERABLE = 1e-9  # relative error of an exponential sum in K(0), which is known directly


@dataclass(frozen=True)
class Ladder:
    """One molecule on the ladder (F Figs. 6 and 9; F50–F52).

    Parameters
    ----------
    gamma : float
        Asymmetry of the methylation steps: 1 is detailed balance; two lobes need γ < 1/e. Above 0, at most 1.
    F : float
        The slower of the two vertical rates, in units of one clockwise step.
    columns : int
        Methylation states of a rail, at least 2.
    K_off, K_on : float
        Ligand affinities of the bottom and the top rail, in µM.

    Raises
    ------
    ValueError
        For values outside these ranges.
    """

    gamma: float
    F: float = 25.0
    columns: int = 5
    K_off: float = 18.2
    K_on: float = 3000.0

    def __post_init__(self) -> None:
        if not 0 < self.gamma <= 1:
            raise ValueError(f"gamma must be above 0 and at most 1, got {self.gamma}; 1 is detailed balance")
        if not (isinstance(self.columns, int) and self.columns >= 2):
            raise ValueError(f"a ladder needs at least 2 columns, got {self.columns}")
        for name in ("F", "K_off", "K_on"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")

    @property
    def top(self) -> np.ndarray:
        """1 in the states of the top rail, (2 columns,)."""
        return np.repeat([1.0, 0.0], self.columns)

    def energies(self, s: float) -> np.ndarray:
        """Energy of the top over the bottom state of each column, in k_B T (F51)."""
        if not (math.isfinite(s) and s >= 0):
            raise ValueError(f"the ligand level s must be 0 or more, got {s}")
        ligand = math.log1p(s / self.K_off) - math.log1p(s / self.K_on)
        return 2.0 * (1.0 - np.arange(self.columns)) + ligand

    def rates(self, s: float) -> np.ndarray:
        """The rate matrix W at a ligand level, (2 columns, 2 columns); its columns sum to zero (F50, F52)."""
        n, against = self.columns, math.e * self.gamma
        matrix = np.zeros((2 * n, 2 * n))
        for m, energy in enumerate(self.energies(s)):
            matrix[n + m, m] = self.F * math.exp(max(energy, 0.0))
            matrix[m, n + m] = self.F * math.exp(max(-energy, 0.0))
        for m in range(n - 1):
            matrix[n + m + 1, n + m] = matrix[m, m + 1] = 1.0
            matrix[m + 1, m] = matrix[n + m, n + m + 1] = against
        return checked_rates(matrix)

    def steady_state(self, s: float) -> np.ndarray:
        """Probabilities at rest, (2 columns,), to full relative accuracy at any γ."""
        return steady_state(self.rates(s))

    def occupancy(self, s: float) -> float:
        """Probability of the top rail at rest."""
        return float(self.top @ self.steady_state(s))

    def dissipation(self, s: float) -> float:
        """Entropy production rate of one molecule at rest, in k_B per clockwise step (F13, F59)."""
        return entropy_production_rate(self.rates(s), self.steady_state(s))

    def affinity(self) -> float:
        """Of every square of the ladder, at every level of the ligand: −2 ln γ, in k_B."""
        return -2.0 * math.log(self.gamma)

    def kernel(self, before: float, after: float) -> ExponentialKernel:
        r"""Memory of the top rail's occupancy, from a finite step of the ligand (F58).

        :math:`K(t) = 1_\mathrm{top} W e^{Wt} p_0/(s_1 - s_0)` with :math:`p_0` the steady state before the
        step: exact, by the eigenvectors of W after it.

        Parameters
        ----------
        before, after : float
            Ligand levels s₀ and s₁.

        Returns
        -------
        ExponentialKernel
            Per unit of the ligand and of time; negative at first where the ligand rises, for it empties the
            top rail.

        Raises
        ------
        ValueError
            Without a step.
        ConvergenceError
            Where the eigenvectors are too nearly parallel for a sum of exponentials.
        """
        if before == after:
            raise ValueError(f"a kernel needs two different ligand levels, got {before:g} twice")
        matrix, start = self.rates(after), self.steady_state(before)
        values, vectors = np.linalg.eig(matrix)
        parts = np.linalg.solve(vectors, start.astype(complex))
        coefficients = (self.top @ vectors) * values * parts / (after - before)
        moving = np.argsort(values.real)[:-1]  # the steady state does not
        direct = float(self.top @ matrix @ start) / (after - before)
        error = abs(coefficients[moving].sum() - direct) / np.abs(coefficients[moving]).sum()
        if not error < _TOLERABLE:
            raise ConvergenceError(
                f"the eigenvectors of this ladder are too nearly parallel (error {error:.1e}); change "
                f"gamma a little",
                residual=float(error),
            )
        return ExponentialKernel(coefficients[moving], -values[moving])
