"""The periodic state of a linear system whose matrix follows a periodic signal, dx/dt = A(t) x.

Polynomial collocation at Radau points on a mesh that refines itself: implicit, so that fast variables that
have nothing to do cost nothing. The map over each interval is a matrix; the state that the product of all of
them, over one period, takes back to itself is the periodic one, and no period need be waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike
from scipy.special import roots_jacobi
from threadpoolctl import threadpool_limits

from chemlearn.errors import ConvergenceError

_POINTS = 8  # of collocation; end points of intervals are of order 15
_ROUNDS = 60  # of halving: an interval of the first mesh shrinks to rounding error
_MOST = 3000  # intervals; where so many are not enough, rounding stands in the way


class Stretch(NamedTuple):
    """A part of the period where the matrix is smooth.

    Parameters
    ----------
    duration : float
    matrix : callable
        A at times since the start of the stretch: (n_times,) -> (n_times, n, n), at its very end too.
    """

    duration: float
    matrix: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class PeriodicState:
    """x(t) over one period, and points and weights for integrals over it.

    Parameters
    ----------
    times, weights : ndarray, (n_points,)
        ``weights @ f(times)`` is the integral over a period.
    values : ndarray, (n_points, n)
        x at the points; where A jumps, before the jump.
    stretches : ndarray of int, (n_points,)
        The stretch of each point.
    since : ndarray, (n_points,)
        Time since its start.
    """

    times: np.ndarray
    weights: np.ndarray
    values: np.ndarray
    stretches: np.ndarray
    since: np.ndarray
    _starts: np.ndarray  # of the intervals, and the period at the end
    _coefficients: np.ndarray  # (n_intervals, degree + 1, n), Legendre

    @property
    def period(self) -> float:
        """Duration of the cycle."""
        return float(self._starts[-1])

    def __call__(self, times: ArrayLike) -> np.ndarray:
        """x at any times, (..., n)."""
        t = np.mod(np.asarray(times, float), self.period)
        k = np.clip(np.searchsorted(self._starts, t, side="right") - 1, 0, len(self._starts) - 2)
        place = (t - self._starts[k]) / (self._starts[k + 1] - self._starts[k])
        polynomials = legendre.legvander(2.0 * place - 1.0, self._coefficients.shape[1] - 1)
        return np.einsum("...j,...ji->...i", polynomials.reshape(*t.shape, -1), self._coefficients[k])

    def through(self, basis: np.ndarray) -> PeriodicState:
        """The periodic state of ``basis @ x``."""
        return replace(self, values=self.values @ basis.T, _coefficients=self._coefficients @ basis.T)


@threadpool_limits.wrap(limits=1)  # its matrices are small, and threads would wait for each other
def periodic_state(
    stretches: Sequence[Stretch], conserved: np.ndarray, scale: np.ndarray, *, tolerance: float = 1e-10
) -> PeriodicState:
    """The state that comes back to itself after all stretches.

    Parameters
    ----------
    stretches : sequence of Stretch
        The period, in order.
    conserved : ndarray, (n,)
        ``conserved @ x`` stays, and is 1.
    scale : ndarray, (n,)
        Typical sizes of the variables, above 0, which may be far apart.
    tolerance : float
        Of x at any time, relative to the largest size that each variable has in the period.

    Raises
    ------
    ConvergenceError
        Where the mesh cannot be refined to that.
    """
    mesh = _first_mesh(stretches)
    maps: dict[tuple[int, float, float], np.ndarray] = {}
    error = np.inf
    for _ in range(_ROUNDS):
        _add_maps(maps, [each for each in mesh if each not in maps], stretches, scale)
        points = _followed(np.array([maps[each] for each in mesh]), conserved * scale)
        coefficients = _rule().to_legendre @ points
        sizes = np.abs(points).max(axis=(0, 1))
        ends = np.abs(coefficients[:, -2:]).sum(axis=1) / sizes  # what the polynomials leave out is less
        errors = ends.max(axis=1)
        error = float(errors.max())
        if error <= tolerance:
            return _result(mesh, stretches, points * scale, coefficients * scale)
        mesh = [part for k, each in enumerate(mesh) for part in _parts(each, errors[k] > tolerance)]
        if len(mesh) > _MOST:
            break
    raise ConvergenceError(
        f"the periodic state is known to {error:.1e} only, asked for {tolerance:.1e}; allow a larger "
        "tolerance",
        residual=error,
    )


class _Rule(NamedTuple):
    """Collocation on the unit interval."""

    points: np.ndarray  # (s,), the last one 1
    integrals: np.ndarray  # (s, s): from 0 to each point, of the polynomial that is 1 at another
    weights: np.ndarray  # (s,)
    to_legendre: np.ndarray  # (s + 1, s + 1), from values at 0 and at the points


@cache
def _rule() -> _Rule:
    """Radau points of the right-hand kind."""
    points = np.append((roots_jacobi(_POINTS - 1, 1, 0)[0] + 1.0) / 2.0, 1.0)
    inverse = np.linalg.inv(legendre.legvander(2.0 * points - 1.0, _POINTS - 1))
    integrate = [legendre.legint(each, lbnd=-1.0) / 2.0 for each in inverse.T]
    integrals = np.array([legendre.legval(2.0 * points - 1.0, each) for each in integrate]).T
    whole = np.append(0.0, points)
    return _Rule(
        points, integrals, integrals[-1], np.linalg.inv(legendre.legvander(2.0 * whole - 1.0, _POINTS))
    )


_Interval = tuple[int, float, float]  # stretch, start within it, length


def _first_mesh(stretches: Sequence[Stretch]) -> list[_Interval]:
    """Intervals that grow from the start of each stretch, where fast variables settle anew."""
    mesh = []
    for k, stretch in enumerate(stretches):
        fastest = float(np.abs(np.diagonal(stretch.matrix(np.zeros(1))[0])).max())
        start, length = 0.0, min(1.0 / fastest, stretch.duration / 4) if fastest else stretch.duration
        while start + 1.5 * length < stretch.duration:
            mesh.append((k, start, length))
            start, length = start + length, min(4.0 * length, stretch.duration / 4)
        mesh.append((k, start, stretch.duration - start))
    return mesh


def _parts(interval: _Interval, halve: bool) -> list[_Interval]:
    k, start, length = interval
    middle = start + length / 2
    return [(k, start, length / 2), (k, middle, start + length - middle)] if halve else [interval]


def _add_maps(
    maps: dict[_Interval, np.ndarray], new: list[_Interval], stretches: Sequence[Stretch], scale: np.ndarray
) -> None:
    """Maps from the start of each new interval to its points, (s, n, n), of variables over their scale."""
    rule, n = _rule(), len(scale)
    for k, stretch in enumerate(stretches):
        mine = [each for each in new if each[0] == k]
        if not mine:
            continue
        starts, lengths = np.array(mine)[:, 1:].T
        times = np.minimum(starts[:, None] + lengths[:, None] * rule.points, stretch.duration)
        matrices = stretch.matrix(times.ravel()).reshape(*times.shape, n, n) / scale[:, None] * scale
        system = -np.einsum("k,ij,kjab->kiajb", lengths, rule.integrals, matrices)
        system = system.reshape(len(mine), _POINTS * n, _POINTS * n) + np.eye(_POINTS * n)
        start = np.broadcast_to(np.tile(np.eye(n), (_POINTS, 1)), (len(mine), _POINTS * n, n))
        rows = np.abs(system).max(axis=2, keepdims=True)  # fast and slow rows alike
        solved = np.linalg.solve(system / rows, start / rows)
        maps.update(zip(mine, solved.reshape(len(mine), _POINTS, n, n), strict=True))


def _followed(maps: np.ndarray, conserved: np.ndarray) -> np.ndarray:
    """The periodic state at the start and at the points of every interval, (n_intervals, s + 1, n)."""
    n = len(conserved)
    whole = np.eye(n)
    for each in maps:
        whole = each[-1] @ whole
    system, goal = np.vstack([whole - np.eye(n), conserved]), np.append(np.zeros(n), 1.0)
    state = np.linalg.lstsq(system, goal)[0]
    points = np.empty((len(maps), _POINTS + 1, n))
    for k, each in enumerate(maps):
        points[k, 0] = state
        points[k, 1:] = each @ state
        state = points[k, -1] / (conserved @ points[k, -1])
    return points


def _result(
    mesh: list[_Interval], stretches: Sequence[Stretch], points: np.ndarray, coefficients: np.ndarray
) -> PeriodicState:
    rule = _rule()
    begins = np.append(0.0, np.cumsum([stretch.duration for stretch in stretches]))
    index = np.array([k for k, _, _ in mesh])
    starts, lengths = np.array(mesh)[:, 1:].T
    since = (starts[:, None] + lengths[:, None] * rule.points).ravel()
    stretch = np.repeat(index, _POINTS)
    return PeriodicState(
        begins[stretch] + since,
        (lengths[:, None] * rule.weights).ravel(),
        points[:, 1:].reshape(len(since), -1),
        stretch,
        since,
        np.append(begins[index] + starts, begins[-1]),
        coefficients,
    )
