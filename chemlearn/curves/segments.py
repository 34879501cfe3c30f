"""The best continuous line of three segments through points: the least-squares optimum, found without chance.

Both breaks may lie anywhere. Say which points lie on which segment, and the best lines of the segments are
known in closed form from sums over the points; where neighbouring lines do not meet between the right points,
the best break is at a point, and what remains is closed again. Which points those are is found by branch and
bound: three lines that need not meet fit at least as well, and a segment fits worse the more points it has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from chemlearn.checks import finite_column

__all__ = ["SegmentedFit", "segmented_fit"]

BLOCK = 16
"""Splits are bounded by squares of this side first."""

FIRST = 32
"""Corners of squares, the most promising ones, that are worked out before anything else: they set a limit."""

BATCH = 1024
"""Splits that are worked out at a time."""

FINALISTS = 16
"""Solutions that are fitted again from the points, where sums over points leave open which is best."""


@dataclass(frozen=True, eq=False)
class SegmentedFit:
    """A continuous line of three segments; a callable value.

    Parameters
    ----------
    breaks : ndarray, (2,)
        Where the segments meet, in order.
    slopes, intercepts : ndarray, (3,)
        Of each segment, extended to x = 0.
    residual : float
        Sum of squared distances in y.
    """

    breaks: np.ndarray
    slopes: np.ndarray
    intercepts: np.ndarray
    residual: float

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """The line at any x; the outer segments go on beyond the points."""
        x = np.asarray(x, float)
        segment = np.searchsorted(self.breaks, x)
        return self.intercepts[segment] + self.slopes[segment] * x


def segmented_fit(x: ArrayLike, y: ArrayLike) -> SegmentedFit:
    """Best continuous line of three segments through points, by least squares in y, with both breaks free.

    It is the global optimum, and the same at every call: no start values, no random search.

    Parameters
    ----------
    x : array_like, (n,)
        Increasing; at least four.
    y : array_like, (n,)
        One value for each.

    Returns
    -------
    SegmentedFit
        Of several equally good lines the one with the longest last segment. Points on one straight line
        have no breaks; both are then at the first point.

    Raises
    ------
    ValueError
        If there are fewer than four points, shapes differ, a number is not finite or x does not increase.
    """
    x, y = finite_column(x, "x"), finite_column(y, "y")
    if x.shape != y.shape or len(x) < 4:
        raise ValueError(
            f"three segments need at least four points, one y for each x, got {len(x)} and {len(y)}"
        )
    falls = np.flatnonzero(np.diff(x) <= 0)
    if len(falls):
        raise ValueError(
            f"x must increase from point to point, got {x[falls[0] + 1]:g} after {x[falls[0]]:g}"
        )
    slope, intercept = _hinged(x, y, [])[0]
    rest = y - intercept - slope * x
    if np.max(np.abs(rest)) <= 1e-14 * np.max(np.abs(y)):
        return _joined([(slope, intercept)] * 3, np.repeat(x[0], 2), x, y)
    # About one line, and in units of their spread, the points leave their sums no common part to cancel.
    unit = _Points((x - x.mean()) / (x[-1] - x[0]), rest / np.max(np.abs(rest)))
    fits = [_assembled(solution, x, y) for solution in _best_solutions(unit)]
    rounding = len(x) * (1e-14 * np.max(np.abs(y))) ** 2
    good = min(fit.residual for fit in fits) + rounding
    return min((fit for fit in fits if fit.residual <= good), key=lambda fit: tuple(fit.breaks[::-1]))


# ---- sums over points


@dataclass(frozen=True, eq=False)
class _Points:
    """Points, and what all solutions need of them."""

    x: np.ndarray
    y: np.ndarray

    @cached_property
    def mirrored(self) -> _Points:
        return _Points(-self.x[::-1], self.y[::-1])

    @cached_property
    def _sums(self) -> np.ndarray:
        """Running sums of 1, x, y, x², xy, y², (n + 1, 6)."""
        x, y = self.x, self.y
        columns = np.column_stack([np.ones_like(x), x, y, x * x, x * y, y * y])
        return np.concatenate([np.zeros((1, 6)), np.cumsum(columns, axis=0)])

    @cached_property
    def lines_to(self) -> np.ndarray:
        """The lines through the first points up to each, (n, 4)."""
        last = np.arange(len(self.x))
        return np.column_stack(self.line(np.zeros_like(last), last))

    @cached_property
    def lines_after(self) -> np.ndarray:
        """The lines through the points after each, (n, 4)."""
        first = np.arange(1, len(self.x) + 1)
        return np.column_stack(self.line(first, np.full_like(first, len(first) - 1)))

    @cached_property
    def arms_to(self) -> np.ndarray:
        """The points up to a hinge, its own point among them, (n, 5)."""
        k = np.arange(len(self.x))
        return np.column_stack(self.arm(np.zeros_like(k), k, k))

    @cached_property
    def arms_from(self) -> np.ndarray:
        """The points from a hinge on, its own point among them, (n, 5)."""
        k = np.arange(len(self.x))
        return np.column_stack(self.arm(k, np.full_like(k, len(k) - 1), k))

    def between(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Sums over the points from first to last, both included, (6, …); 0 where there are none."""
        return (self._sums[last + 1] - self._sums[np.minimum(first, last + 1)]).T

    def about(self, first: np.ndarray, last: np.ndarray, k: np.ndarray) -> tuple[np.ndarray, ...]:
        """The same sums with point k as the origin of x and y."""
        n, sx, sy, sxx, sxy, syy = self.between(first, last)
        x, y = self.x[k], self.y[k]
        nx, ny = n * x, n * y
        return (
            n,
            sx - nx,
            sy - ny,
            sxx - x * (2 * sx - nx),
            sxy - x * (sy - ny) - y * sx,
            syy - y * (2 * sy - ny),
        )

    def line(self, first: np.ndarray, last: np.ndarray) -> _Line:
        """The least-squares line through the points from first to last."""
        n, sx, sy, sxx, sxy, syy = self.between(first, last)
        count = np.maximum(n, 1)
        x, y = sx / count, sy / count
        cxx, cxy, cyy = sxx - sx * x, sxy - sx * y, syy - sy * y
        slope = np.where(n > 1, cxy / np.where(n > 1, cxx, 1), 0.0)
        return _Line(x, y, slope, np.where(n > 2, np.maximum(cyy - slope * cxy, 0), 0.0))

    def arm(self, first: np.ndarray, last: np.ndarray, k: np.ndarray) -> _Arm:
        """The points from first to last as the arm of a hinge at point k, which they lie beside."""
        n, sd, se, sdd, sde, see = self.about(first, last, k)
        sdd = np.where(sdd > 0, sdd, 1.0)
        v, w = sde / sdd, sd / sdd
        return _Arm(n - sd * w, se - sd * v, see - sde * v, v, w)


class _Line(NamedTuple):
    """A least-squares line: means of x and of y, slope, and sum of squares (0 for two points or fewer)."""

    x: np.ndarray
    y: np.ndarray
    slope: np.ndarray
    residual: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.y + self.slope * (x - self.x)


class _Arm(NamedTuple):
    """Points beside a hinge that lies h above its point: sum of squares c − 2bh + ah², slope v − hw."""

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    v: np.ndarray
    w: np.ndarray


# ---- the kinds of optimum: each break is free between two points, or at a point


_Group = tuple[int, int, tuple[int, ...]]
_Solution = tuple[_Group, ...]
"""Groups of points that are fitted apart: first, last + 1, and the points in it that are hinges."""


def _both_free(points: _Points, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Residual where three separate lines, to point i, to point j and to the end, meet where they should."""
    one, three = _Line(*points.lines_to[i].T), _Line(*points.lines_after[j].T)
    two = points.line(i + 1, j)
    fits = _meet(points, one, two, i) & _meet(points, two, three, j)
    valid = (i >= 1) & (j >= i + 2) & (j <= len(points.x) - 3) & fits
    return np.where(valid, one.residual + two.residual + three.residual, np.inf)


def _meet(points: _Points, left: _Line, right: _Line, i: np.ndarray) -> np.ndarray:
    """Whether two lines cross between points i and i + 1."""
    here, there = points.x[i], points.x[i + 1]
    return (left(here) - right(here)) * (left(there) - right(there)) <= 0


def _first_free(points: _Points, i: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Residual of a line to point i and a hinge at point k, where they meet between i and i + 1."""
    valid = (i >= 1) & (k >= i + 2) & (k <= len(points.x) - 2)
    one, far = _Line(*points.lines_to[i].T), _Arm(*points.arms_from[k].T)
    near = points.arm(i + 1, np.maximum(k - 1, i), k)
    b = near.b + far.b
    height = b / (near.a + far.a)
    residual = np.maximum(near.c + far.c - b * height, 0)
    two = _Line(points.x[k], points.y[k] + height, near.v - height * near.w, residual)
    return np.where(valid & _meet(points, one, two, i), one.residual + residual, np.inf)


def _both_hinged(points: _Points, k: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Residual of hinges at points k and m."""
    valid = (k >= 1) & (m > k) & (m <= len(points.x) - 2)
    m = np.where(m > k, m, k + 1)
    left, right = _Arm(*points.arms_to[k].T), _Arm(*points.arms_from[m].T)
    width, rise = points.x[m] - points.x[k], points.y[m] - points.y[k]
    count, sd, se, sdd, sde, see = points.about(k + 1, m - 1, k)
    # Between the hinges, heights above the line from point k to point m.
    su, suu = sd / width, sdd / width**2
    sue, far = se - rise * su, sde / width - rise * suu
    square = see - rise * (2 * sde / width - rise * suu)
    aa, ab, bb = left.a + count - 2 * su + suu, su - suu, right.a + suu
    a, b = left.b + sue - far, right.b + far
    explained = (bb * a * a - 2 * ab * a * b + aa * b * b) / (aa * bb - ab * ab)
    residual = left.c + right.c + square - explained
    return np.where(valid, np.maximum(residual, 0), np.inf)


# ---- branch and bound over which points lie on which segment


def _best_solutions(points: _Points) -> list[_Solution]:
    """The solutions with the least residual: several, where rounding leaves it open which is best.

    A split (i, j) has its first break from point i to i + 1 and its second from point j to j + 1. Those of a
    square have a residual of at least that of three lines which need not meet, through the points that
    belong to the same segment in all of them.
    """
    n = len(points.x)
    search = _Search(points)
    starts = np.arange(0, n - 1, BLOCK)
    rows, columns = (index.ravel() for index in np.meshgrid(starts, starts, indexing="ij"))
    rows, columns = rows[rows <= columns], columns[rows <= columns]
    corners = np.argsort(search.apart(rows, rows, columns, columns), kind="stable")[:FIRST]
    search.work_out(rows[corners], columns[corners])
    row_ends, column_ends = (np.minimum(index + BLOCK - 1, n - 2) for index in (rows, columns))
    bounds = search.apart(rows, row_ends, columns, column_ends)
    order = np.argsort(bounds, kind="stable")
    across, down = (index.ravel() for index in np.meshgrid(np.arange(BLOCK), np.arange(BLOCK)))
    few = 2
    while len(order):
        squares, order, few = order[:few], order[few:], BLOCK
        squares = squares[bounds[squares] <= search.limit]
        if not len(squares):
            break
        i, j = np.add.outer(rows[squares], down).ravel(), np.add.outer(columns[squares], across).ravel()
        inside = (i <= j) & (j <= n - 2)
        search.work_out(i[inside], j[inside])
    return search.solutions


class _Search:
    """The solutions found so far that are as good as the best one, to rounding."""

    def __init__(self, points: _Points) -> None:
        self.points = points
        self.noise = 1e-12 * float(points.y @ points.y)
        self.least = np.inf
        self.kept: list[tuple[np.ndarray, ...]] = []

    @property
    def limit(self) -> float:
        """What a solution may have at most: sums over points are known to about this."""
        return self.least * (1 + 1e-9) + self.noise

    def apart(self, i: np.ndarray, i_last: np.ndarray, j: np.ndarray, j_last: np.ndarray) -> np.ndarray:
        """Residual of lines to point i, from point i_last + 1 to j, and from point j_last + 1."""
        outer = self.points.lines_to[i, 3] + self.points.lines_after[j_last, 3]
        return outer + self.points.line(i_last + 1, j).residual

    def work_out(self, i: np.ndarray, j: np.ndarray) -> None:
        """All solutions of the splits, the most promising ones first."""
        bounds = self.apart(i, i, j, j)
        promising = np.flatnonzero(bounds <= self.limit)
        order = promising[np.argsort(bounds[promising], kind="stable")]
        while len(order):
            one, two = i[order[:BATCH]], j[order[:BATCH]]
            order = order[BATCH:]
            n = len(self.points.x)
            residuals = np.stack(
                [
                    _both_free(self.points, one, two),
                    _first_free(self.points, one, two),
                    _first_free(self.points.mirrored, n - 2 - two, n - 1 - one),
                    _both_hinged(self.points, one, two),
                ]
            )
            self.least = min(self.least, float(np.min(residuals)))
            kinds, at = np.nonzero(residuals <= self.limit)
            self.kept.append((residuals[kinds, at], kinds, one[at], two[at]))
            order = order[bounds[order] <= self.limit]

    @property
    def solutions(self) -> list[_Solution]:
        residuals, kinds, i, j = (np.concatenate(column) for column in zip(*self.kept, strict=True))
        open_yet = np.flatnonzero(residuals <= self.limit)
        least = np.argsort(residuals[open_yet], kind="stable")[:FINALISTS]
        longest = np.lexsort((i[open_yet], j[open_yet]))[:FINALISTS]
        n = len(self.points.x)
        chosen = open_yet[np.unique(np.concatenate([least, longest]))]
        return [_solution(int(kinds[b]), int(i[b]), int(j[b]), n) for b in chosen]


def _solution(kind: int, i: int, j: int, n: int) -> _Solution:
    """Groups of points, as (first, last + 1, hinges)."""
    groups: tuple[_Group, ...]
    match kind:
        case 0:
            groups = ((0, i + 1, ()), (i + 1, j + 1, ()), (j + 1, n, ()))
        case 1:
            groups = ((0, i + 1, ()), (i + 1, n, (j,)))
        case 2:
            groups = ((0, j + 1, (i,)), (j + 1, n, ()))
        case _:
            groups = ((0, n, (i, j)),)
    return groups


# ---- the line itself


def _assembled(solution: _Solution, x: np.ndarray, y: np.ndarray) -> SegmentedFit:
    """The fit by least squares proper, group by group."""
    lines: list[tuple[float, float]] = []
    breaks: list[float] = []
    for first, last, hinges in solution:
        found = _hinged(x[first:last], y[first:last], [x[k] for k in hinges])
        if lines:
            (slope, intercept), (next_slope, next_intercept) = lines[-1], found[0]
            gap = slope - next_slope
            meeting = (next_intercept - intercept) / gap if gap else x[first]
            breaks.append(float(np.clip(meeting, x[first - 1], x[first])))
        breaks += [float(x[k]) for k in hinges]
        lines += found
    return _joined(lines, np.array(breaks), x, y)


def _hinged(x: np.ndarray, y: np.ndarray, hinges: list[float]) -> list[tuple[float, float]]:
    """Slope and intercept of each segment of the best line with breaks at the hinges."""
    middle, unit = x.mean(), max(x[-1] - x[0], np.finfo(float).tiny)
    basis = np.column_stack(
        [np.ones_like(x), (x - middle) / unit, *(np.maximum(x - hinge, 0) / unit for hinge in hinges)]
    )
    height, *turns = np.linalg.lstsq(basis, y)[0]
    slopes = np.cumsum(turns) / unit
    intercepts = [height - slopes[0] * middle]
    for hinge, slope, next_slope in zip(hinges, slopes[:-1], slopes[1:], strict=True):
        intercepts.append(intercepts[-1] + (slope - next_slope) * hinge)
    return list(zip(slopes.tolist(), map(float, intercepts), strict=True))


def _joined(
    lines: list[tuple[float, float]], breaks: np.ndarray, x: np.ndarray, y: np.ndarray
) -> SegmentedFit:
    slopes, intercepts = np.array(lines).T
    fit = SegmentedFit(breaks, slopes, intercepts, np.nan)
    return replace(fit, residual=float(np.sum((y - fit(x)) ** 2)))
