"""The best that a two-rail ladder can do at a given dissipation, over all its rates.

A ladder has one γ per square and one F per column. For steps of the ligand from 0 to each of several levels
its normalised kernel has the area I(s), which offsets every update by I s̄ τ_f (F10). Here the largest |I|
over the levels is made as small as it can be while the ladder dissipates at most so much and adapts in at
most so long. (At one single level an area of exactly 0 can be tuned; over a range of levels it cannot.)

Everything comes from linear equations, whose solutions are analytic in the logarithms of the rates: so
derivatives come from a step along the imaginary axis, exact to rounding.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize, nnls

from chemlearn.kernels.kernel import Kernel
from chemlearn.markov.ladder import Ladder

LEVELS = np.geomspace(5.0, 250.0, 6)
"""Levels of the ligand after the step from 0, the range of the published kernels, µM."""

WINDOW = 5.0
"""Clockwise steps in a unit of the published time; areas are per that unit."""

GAMMAS, SPEEDS = (1e-12, 1.0), (1.0, 100.0)
"""Bounds of every γ and of every F."""

_DRAWN = (0.003, 0.8)  # γ of random starts
_IMAGINARY = 1e-30
_FEASIBLE = 1e-7  # by which a constraint may be missed
_SMALLEST = 1e-4  # first moment of a ladder that takes a difference
_SAME = 1e-3  # relative difference of optima that count as the same


class Answers(NamedTuple):
    """What ladders answer to the steps, each (..., n_levels); dissipation (..., 1 + n_levels), at 0 first.

    Parameters
    ----------
    change : ndarray
        Of the occupancy of the bottom rail, from rest to rest.
    moment, delay : ndarray
        ∫ r dt and ∫ t r dt of what the answer r(t) is above its end: −M₁ of the kernel, and −M₂/2.
    dissipation : ndarray
        At rest, k_B per clockwise step.
    """

    change: np.ndarray
    moment: np.ndarray
    delay: np.ndarray
    dissipation: np.ndarray

    @property
    def area(self) -> np.ndarray:
        """Of the kernels, normalised and in published units of time."""
        return WINDOW * self.change / self.moment

    @property
    def time(self) -> np.ndarray:
        """Mean time of adaptation, in clockwise steps."""
        return self.delay / self.moment


class Problem(NamedTuple):
    """Ladders of so many columns that adapt, after every step, in a mean time of at most ``slowest``."""

    columns: int = 5
    slowest: float = math.inf
    bounds_of_F: tuple[float, float] = SPEEDS

    @property
    def bounds(self) -> np.ndarray:
        """Of the logarithms of γ, then of F, (2 columns − 1, 2)."""
        return np.log([GAMMAS] * (self.columns - 1) + [self.bounds_of_F] * self.columns)

    def uniform(self, gamma: float, F: float = 25.0) -> np.ndarray:
        """The published ladder as a point."""
        return np.log(np.repeat([gamma, F], [self.columns - 1, self.columns]))

    def random(self, rng: np.random.Generator) -> np.ndarray:
        """A point to start from."""
        low, high = np.log([_DRAWN] * (self.columns - 1) + [self.bounds_of_F] * self.columns).T
        return rng.uniform(low, high)

    def ladder(self, point: np.ndarray) -> Ladder:
        """The ladder of a point."""
        rates = np.exp(np.clip(point, *self.bounds.T))
        gammas, slower = np.split(rates, [self.columns - 1])
        return Ladder(np.minimum(gammas, 1.0).tolist(), F=slower.tolist(), columns=self.columns)

    def answers(self, point: np.ndarray) -> Answers:
        """At points (..., 2 columns − 1), real or complex."""
        n = self.columns
        # W p = 0 and Σ p = 1 in one: (W − 1 1ᵀ) p = −1; the same inverse integrates what relaxes to p
        inverse = np.linalg.inv(self._rates(point) - 1.0)
        p = -inverse.sum(axis=-1)
        later = inverse[..., 1:, :, :]
        once = (later @ (p[..., 1:, :] - p[..., :1, :])[..., None])[..., 0]
        twice = -(later @ once[..., None])[..., 0]
        top = p[..., :n].sum(axis=-1)
        logs = point[..., None, : n - 1]
        currents = p[..., 1:n] - math.e * np.exp(logs) * p[..., : n - 1]
        return Answers(
            top[..., :1] - top[..., 1:],
            -once[..., :n].sum(axis=-1),
            -twice[..., :n].sum(axis=-1),
            (-2.0 * logs * currents).sum(axis=-1),
        )

    def _rates(self, point: np.ndarray) -> np.ndarray:
        """Rate matrices at 0 and at all levels, (..., 1 + n_levels, 2 columns, 2 columns)."""
        n = self.columns
        against, slower = np.exp(1.0 + point[..., None, : n - 1]), np.exp(point[..., None, n - 1 :])
        down, up = _vertical(n)
        rates = np.zeros((*point.shape[:-1], len(down), 2 * n, 2 * n), point.dtype)
        each, left = np.arange(n), np.arange(n - 1)
        rates[..., n + each, each] = slower * down
        rates[..., each, n + each] = slower * up
        rates[..., n + left + 1, n + left] = rates[..., left, left + 1] = 1.0
        rates[..., left + 1, left] = rates[..., n + left, n + left + 1] = against
        diagonal = np.arange(2 * n)
        rates[..., diagonal, diagonal] = -rates.sum(axis=-2)
        return rates

    def with_slopes(self, point: np.ndarray) -> tuple[Answers, Answers]:
        """The answers at a point and their derivatives, (n_levels, 2 columns − 1) each."""
        steps = point + 1j * _IMAGINARY * np.eye(len(point))
        found = self.answers(steps)
        return Answers(*(p.real[0] for p in found)), Answers(*(p.imag.T / _IMAGINARY for p in found))


@lru_cache
def _vertical(columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Rates down and up at F = 1, at 0 and at all levels, (1 + n_levels, n_columns)."""
    energies = Ladder(1.0, columns=columns).energies(np.append(0.0, LEVELS))
    return np.exp(np.maximum(energies, 0.0)), np.exp(np.maximum(-energies, 0.0))


class Optimum(NamedTuple):
    """The best ladder of a problem at a dissipation, with what speaks for its being the best.

    Parameters
    ----------
    point : ndarray
        Logarithms of γ and F; nan where no ladder is both as frugal and as fast.
    area : float
        The largest |I| over the levels.
    starts, agreeing : int
        Random starts that ended in a feasible ladder, and how many of them within 0.1 % of the best.
    residual : float
        Of the conditions of Karush, Kuhn and Tucker: the part of the area's gradient that no active
        constraint or bound holds back, as a share of it.
    """

    point: np.ndarray
    area: float
    starts: int
    agreeing: int
    residual: float


def front(
    problem: Problem, budgets: np.ndarray, *, starts: int, rng: np.random.Generator
) -> tuple[Optimum, ...]:
    """The best ladder at each dissipation, in increasing order of these; never worse than at a smaller one.

    Parameters
    ----------
    problem : Problem
    budgets : (n,) array
        Largest dissipations at rest, at 0 and at all levels, in k_B per clockwise step; increasing.
    starts : int
        Random ones at each budget, beside the best ladders of the one before.
    rng : numpy.random.Generator
    """
    found: list[Optimum] = []
    known: list[tuple[float, np.ndarray]] = []
    for budget in budgets:
        drawn = [problem.random(rng) for _ in range(starts)]
        ends = [end for end in (_descend(problem, budget, point) for point in drawn) if end is not None]
        warm = (_descend(problem, budget, point) for _, point in known[:2])
        known += [end for end in (*ends, *warm) if end is not None]
        known.sort(key=lambda end: end[0])
        if not known:
            nowhere = np.full(2 * problem.columns - 1, np.nan)
            found.append(Optimum(nowhere, np.nan, 0, 0, np.nan))
            continue
        area, point = known[0]
        agreeing = sum(end[0] <= (1 + _SAME) * area for end in ends)
        found.append(Optimum(point, area, len(ends), agreeing, residual(problem, budget, point)))
        known = known[:4]
    return tuple(found)


def _descend(problem: Problem, budget: float, start: np.ndarray) -> tuple[float, np.ndarray] | None:
    """The local optimum that a start leads to, and its area; None if it is no ladder within the constraints.

    The largest |I| is not smooth, so the least bound t ≥ |I| is looked for instead.
    """
    first = problem.answers(start)
    if not np.all(first.moment > 0):
        return None
    goal = np.append(np.zeros(len(start)), 1.0)
    found = minimize(
        lambda z: z[-1],
        np.append(start, np.abs(first.area).max()),
        jac=lambda z: goal,
        method="SLSQP",
        bounds=[*map(tuple, problem.bounds), (0.0, None)],
        constraints={
            "type": "ineq",
            "fun": lambda z: _slack(problem, budget, z),
            "jac": lambda z: _slack_slopes(problem, z),
        },
        options={"maxiter": 400, "ftol": 1e-10},
    )
    if not (np.all(np.isfinite(found.x)) and _slack(problem, budget, found.x).min() > -_FEASIBLE):
        return None
    point = np.clip(found.x[:-1], *problem.bounds.T)
    return float(np.abs(problem.answers(point).area).max()), point


def _slack(problem: Problem, budget: float, z: np.ndarray) -> np.ndarray:
    """By how much each constraint is kept."""
    at, bound = problem.answers(z[:-1]), z[-1]
    parts = [bound - at.area, bound + at.area, budget - at.dissipation, at.moment / _SMALLEST - 1.0]
    if math.isfinite(problem.slowest):
        parts.append(problem.slowest - at.time)
    return np.concatenate(parts)


def _slack_slopes(problem: Problem, z: np.ndarray) -> np.ndarray:
    """Derivatives of the slacks, (n_constraints, n_parameters + 1)."""
    at, slopes = problem.with_slopes(z[:-1])
    moment = at.moment[:, None]
    area = WINDOW * (slopes.change - (at.change[:, None] / moment) * slopes.moment) / moment
    parts = [-area, area, -slopes.dissipation, slopes.moment / _SMALLEST]
    by_bound = [
        np.ones(len(area)),
        np.ones(len(area)),
        np.zeros(len(slopes.dissipation)),
        np.zeros(len(area)),
    ]
    if math.isfinite(problem.slowest):
        parts.append(-(slopes.delay - (at.delay[:, None] / moment) * slopes.moment) / moment)
        by_bound.append(np.zeros(len(area)))
    return np.column_stack([np.concatenate(parts), np.concatenate(by_bound)])


def residual(problem: Problem, budget: float, point: np.ndarray, near: float = 1e-5) -> float:
    """How far a point is from the conditions of an optimum: 0 where no first step makes the area smaller.

    The direction of t must be a sum, with weights of 0 or more, of the gradients of the constraints and
    bounds that hold (within ``near``); what is left of it is returned, between 0 and 1.
    """
    z = np.append(point, np.abs(problem.answers(point).area).max())
    low, high = problem.bounds.T
    active = _slack(problem, budget, z) < near
    walls = [np.eye(len(z))[:-1][point - low < near], -np.eye(len(z))[:-1][high - point < near]]
    gradients = np.concatenate([_slack_slopes(problem, z)[active], *walls])
    sizes = np.linalg.norm(gradients, axis=1)
    return float(nnls((gradients / sizes[:, None]).T, np.append(np.zeros(len(point)), 1.0))[1])


def kernel_of(ladder: Ladder, step: float) -> Kernel:
    """Of the bottom rail after a step from 0, whole, normalised, in published units of time."""
    return ladder.kernel(0.0, step, rail="bottom").rescaled(1.0 / WINDOW).normalized()


def areas(ladder: Ladder, levels: np.ndarray) -> np.ndarray:
    """Areas of the kernels of steps from 0 to the levels."""
    return np.array([kernel_of(ladder, level).area for level in levels.tolist()])


def largest_dissipation(ladder: Ladder) -> float:
    """The largest at rest, at 0 and at all levels, k_B per clockwise step."""
    return max(ladder.dissipation(level) for level in (0.0, *LEVELS.tolist()))
