"""A function in pieces, on each of which a polynomial agrees with it to rounding error.

What is costly to evaluate is evaluated once, at some hundred instants. Afterwards the instants at which the
function takes given values, and its integral up to there, cost a polynomial each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.polynomial import chebyshev

__all__ = ["Resolved", "Stretches"]

DEGREE = 16
"""Of the polynomials; each goes through one point more, crowded at the ends of its cell."""

ROUNDING = 1e-15
"""A cell is resolved where the last coefficients are below this share of the function's size in it."""

NOISE = 1e-12
"""Coefficients below this share of the function that do not fall in smaller cells are rounding error."""

FLAT = 1e-12
"""Slopes below this share of the function's size over the cell's half width are rounding error."""

_ORDERS = np.arange(DEGREE + 1)
_SIGNS = (-1.0) ** _ORDERS
_NODES = np.cos(np.pi * (1 - _ORDERS / DEGREE))
_HALVED = np.where(_ORDERS % DEGREE, 1.0, 0.5)
_SERIES = 2 / DEGREE * np.outer(_HALVED, _HALVED) * np.cos(np.pi * np.outer(_ORDERS, 1 - _ORDERS / DEGREE))
"""Chebyshev coefficients from values at the nodes."""

_POWERS = np.array([np.append(chebyshev.cheb2poly(row), 0 * row)[: DEGREE + 1] for row in np.eye(DEGREE + 1)])
"""Row k holds the powers of the Chebyshev polynomial of order k."""


@dataclass(frozen=True, eq=False)
class Resolved:
    """A function between the first and the last edge, one polynomial per cell between edges.

    Parameters
    ----------
    edges : ndarray, (n + 1,)
        Increasing.
    values : ndarray, (n, DEGREE + 1)
        The function at the points of each cell, both its ends among them.
    powers : ndarray, (n, DEGREE + 1)
        Coefficients in the place within the cell, from −1 to 1, lowest power first.
    """

    edges: np.ndarray
    values: np.ndarray
    powers: np.ndarray

    @classmethod
    def of(cls, function: Callable[[np.ndarray], np.ndarray], edges: np.ndarray) -> Resolved:
        """Resolve a continuous function that is smooth between the edges, by halving cells where needed."""
        lefts, rights, before = edges[:-1], edges[1:], np.full(len(edges) - 1, np.inf)
        done: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        size = 0.0
        while len(lefts):
            middles, halves = (rights + lefts) / 2, (rights - lefts) / 2
            values = function(middles[:, None] + halves[:, None] * _NODES)
            series = values @ _SERIES.T
            rest, sizes = np.max(np.abs(series[:, -2:]), axis=1), np.max(np.abs(values), axis=1)
            size = max(size, float(np.max(sizes)))
            noisy = (rest <= NOISE * size) & (rest > before / 4)
            good = (rest <= ROUNDING * sizes) | noisy | (halves <= 1e-15 * np.abs(middles))
            done.append((lefts[good], values[good], series[good]))
            lefts, middles, rights = lefts[~good], middles[~good], rights[~good]
            lefts, rights = np.concatenate([lefts, middles]), np.concatenate([middles, rights])
            before = np.tile(rest[~good], 2)
        starts, values, series = (np.concatenate(column) for column in zip(*done, strict=True))
        order = np.argsort(starts)
        return cls(np.append(starts[order], edges[-1]), values[order], (series @ _POWERS)[order])

    @cached_property
    def halves(self) -> np.ndarray:
        """Half the width of each cell."""
        return np.diff(self.edges) / 2

    @cached_property
    def _primitives(self) -> np.ndarray:
        """Powers of the integral from the first edge on, (n, DEGREE + 2)."""
        risen = self.halves[:, None] * self.powers / (_ORDERS + 1)
        ends = np.cumsum(risen @ (1 + _SIGNS))
        return np.column_stack([np.append(0.0, ends[:-1]) + risen @ _SIGNS, risen])

    def times(self, cells: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Instants of places in cells."""
        return self.edges[cells] + self.halves[cells] * (1 + places)

    def integrals(self, cells: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Integral of the function from the first edge to places in cells."""
        return _horner(self._primitives[cells].T, places)

    def extrema(self, knots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cells and places where the slope changes its sign, other than at the knots, which are edges."""
        turning = self.powers[:, 1:] * _ORDERS[1:]
        slopes = turning @ np.vander(_NODES, DEGREE, increasing=True).T
        # Once the function has settled its slope is rounding error, whose signs mean nothing.
        seen = np.abs(slopes) > FLAT * np.max(np.abs(self.values), axis=1, keepdims=True)
        cells, nodes = np.nonzero(seen)
        rises = slopes[seen] > 0
        swings = np.searchsorted(knots, self.edges[cells], side="right")
        flips = np.flatnonzero((rises[1:] != rises[:-1]) & (swings[1:] == swings[:-1]))
        same = cells[flips] == cells[flips + 1]
        inside, between = flips[same], flips[~same]
        low, high = _NODES[nodes[inside]], _NODES[nodes[inside + 1]]
        places = _roots(turning[cells[inside]].T, low, high)
        return (
            np.append(cells[inside], cells[between] + 1),
            np.append(places, np.full(len(between), -1.0)),
        )

    def stretches(self, knots: np.ndarray) -> Stretches:
        """The function cut into monotonic stretches, at its extrema and at knots, which are edges."""
        n = len(self.halves)
        turns, turn_places = self.extrema(knots)
        cells = np.concatenate([np.repeat(np.arange(n), DEGREE), turns, [n - 1]])
        places = np.concatenate([np.tile(_NODES[:-1], n), turn_places, [1.0]])
        is_end = np.concatenate([np.zeros(n * DEGREE, bool), np.ones(len(turns) + 1, bool)])
        is_end[: n * DEGREE : DEGREE] = np.isin(self.edges[:-1], knots)
        order = np.lexsort((is_end, places, cells))
        return Stretches(self, cells[order], places[order], np.flatnonzero(is_end[order]))


@dataclass(frozen=True, eq=False)
class Stretches:
    """Stretches on which a function rises or falls throughout.

    Parameters
    ----------
    function : Resolved
        The function.
    cells, places : ndarray, (m,)
        Marks along it, in order.
    ends : ndarray, (n_stretches + 1,)
        The marks between which the stretches lie.
    """

    function: Resolved
    cells: np.ndarray
    places: np.ndarray
    ends: np.ndarray

    @cached_property
    def values(self) -> np.ndarray:
        """The function at the marks."""
        return _horner(self.function.powers[self.cells].T, self.places)

    @cached_property
    def times(self) -> np.ndarray:
        """Instants of the marks."""
        return self.function.times(self.cells, self.places)

    @cached_property
    def integrals(self) -> np.ndarray:
        """Integral of the function up to each mark."""
        return self.function.integrals(self.cells, self.places)

    def crossings(self, stretches: np.ndarray, goals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Instants at which the function takes values that it has on given stretches; integrals up to there.

        Parameters
        ----------
        stretches : ndarray of int, (n,)
            Which stretch to look at.
        goals : ndarray, (n,)
            Value to find there.
        """
        first, last = self.ends[stretches], self.ends[stretches + 1] - 1
        rising = self.values[last + 1] > self.values[first]
        while np.any(first < last):
            middle = (first + last) // 2
            later = (self.values[middle + 1] < goals) == rising
            first, last = np.where(later, np.minimum(middle + 1, last), first), np.where(later, last, middle)
        cells, low = self.cells[first], self.places[first]
        high = np.where(self.cells[first + 1] == cells, self.places[first + 1], 1.0)
        powers = self.function.powers[cells].T.copy()
        powers[0] -= goals
        places = _roots(powers, low, high)
        return self.function.times(cells, places), self.function.integrals(cells, places)


def _horner(powers: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Polynomials, (degree + 1, n), each at its own x."""
    value = powers[-1]
    for row in powers[-2::-1]:
        value = value * x + row
    return value


def _roots(powers: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Where polynomials, (degree + 1, n), of one sign at low and another at high are 0: Newton in brackets.

    Where rounding has left both ends with one sign, it is the end with the smaller value.
    """
    start, stop = _horner(powers, low), _horner(powers, high)
    found = np.where(np.abs(start) <= np.abs(stop), low, high)
    left = np.flatnonzero((start < 0) != (stop < 0))
    powers, low, high, start, stop = (a[..., left] for a in (powers, low, high, start, stop))
    rising, noise = start < 0, np.finfo(float).eps / 2 * np.sum(np.abs(powers), axis=0)
    x = low + (high - low) * (start / (start - stop))
    while len(left):
        value, slope = powers[-1], np.zeros_like(x)
        for row in powers[-2::-1]:
            slope = slope * x + value
            value = value * x + row
        before = (value < 0) == rising
        low, high = np.where(before, x, low), np.where(before, high, x)
        with np.errstate(divide="ignore", invalid="ignore"):
            nearer = x - value / slope
        nearer = np.where((nearer > low) & (nearer < high), nearer, (low + high) / 2)
        settled = (np.abs(value) <= noise) | (np.abs(nearer - x) <= np.finfo(float).eps)
        x = np.where(np.abs(value) <= noise, x, nearer)
        found[left[settled]] = x[settled]
        powers, left = powers[:, ~settled], left[~settled]
        low, high, x, rising, noise = (a[~settled] for a in (low, high, x, rising, noise))
    return found
