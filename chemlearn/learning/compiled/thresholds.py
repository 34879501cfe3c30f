"""The thresholded response of many parameters in compiled loops: the numbers of the temporal rule.

:mod:`chemlearn.learning.responses` says what the rows and tiers of a response map are, and
:mod:`chemlearn.learning.rules` how bounds decide.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from chemlearn.learning.arrays import Array
from chemlearn.learning.compiled.loops import compiled, padded
from chemlearn.learning.responses import ResponseMap, Tier
from chemlearn.learning.rules import MARGIN

__all__ = ["Instants", "instants", "respond"]

FEW = 4
"""Tiers with fewer rows are looked at for all parameters, which costs less than to pick some."""


class Instants(NamedTuple):
    """A response map and a threshold as plain arrays."""

    tiers: Array
    """First row and one past the last of each tier, first part and one past the last, (n_tiers, 4)."""
    parts: Array
    """First row and one past the last of each part, first column and one past the last, (n_parts, 4)."""
    rows: Array
    """R, (n_rows, n_steps)."""
    weights: Array
    """Of each row in the integral, (n_rows,)."""
    sums: Array
    """Σ weight·R of each tier, (n_tiers, n_steps)."""
    quiet: Array
    """Largest increments below which no row of a tier passes θ, (n_tiers,)."""
    loud: Array
    """Smallest increments, all of one sign, above which every row of a tier does, (n_tiers,)."""
    theta: Array
    """θ, a number of the type of all these."""


def instants(response: ResponseMap, n_steps: int, theta: float, dtype: np.dtype) -> Instants:
    """The map for one threshold, in numbers of one type."""
    rows: list[np.ndarray] = []
    weights: list[float] = []
    parts: list[tuple[int, ...]] = []

    def take(tier: Tier) -> tuple[int, int]:
        first = len(rows)
        for row, weight in zip(tier.rows, tier.weights, strict=True):
            whole = np.zeros(n_steps)
            whole[tier.columns] = row
            rows.append(whole)
            weights.append(weight)
        return first, len(rows)

    tiers = []
    for tier in response.tiers:
        first, begun = len(rows), len(parts)
        for part in tier.parts:
            parts.append((*take(part), part.columns.start, part.columns.stop))
        if not tier.parts:
            take(tier)
        tiers.append((first, len(rows), begun, len(parts)))
    hold = np.array([tier.hold for tier in response.tiers])
    loud = np.full(len(hold), np.inf)
    np.divide(theta * (1 + MARGIN), hold, out=loud, where=hold > 0)
    quiet = [theta * (1 - MARGIN) / tier.reach for tier in response.tiers]
    return Instants(
        np.array(tiers, np.int64).reshape(-1, 4),
        np.array(parts, np.int64).reshape(-1, 4),
        np.array(rows, dtype).reshape(-1, n_steps),
        np.array(weights, dtype),
        np.array([tier.weights @ tier.rows for tier in response.tiers], dtype).reshape(-1, n_steps),
        np.array(quiet, dtype),
        loud.astype(dtype),
        dtype.type(theta),
    )


@compiled
def room_for(knots: tuple[int, ...], total: Array) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Arrays for :func:`respond` to work in, for as many parameters as ``total`` has."""
    some = np.empty_like(total), np.empty_like(total), np.empty_like(total), np.empty_like(total)
    return (*some, np.empty((len(knots), len(total)), total.dtype), np.empty(len(total) + 1, np.int64))


@compiled
def respond(
    knots: tuple[int, ...],
    steps: Array,
    count: int,
    at: Instants,
    room: tuple[Array, Array, Array, Array, Array, Array],
    total: Array,
) -> None:
    """∫ g_θ(u) dt of ``count`` parameters into ``total`` from their increments ``steps``, (n_steps, ≥ count).

    ``knots`` is any tuple of n_steps entries: its length is known when this is compiled. Increments of 0 may
    pad those wanted to a number that is good for the loops.
    """
    largest, smallest, sums, u, near, found = room
    top, bottom = _bounds(knots, steps, count, largest, smallest)
    for c in range(count):
        total[c] = 0
    for tier in range(len(at.quiet)):
        quiet, loud = at.quiet[tier], at.loud[tier]
        if top < quiet:
            continue
        first, stop, begun, ended = at.tiers[tier]
        unsure = 0
        for c in range(count):
            unsure += (largest[c] >= quiet) & (smallest[c] <= loud)
        everywhere = begun == ended and (stop - first < FEW or 4 * unsure > count)
        rows_of, many, picked, into = steps, count, count, total
        if not everywhere:
            if bottom > loud:
                _add_all(knots, steps, count, at.sums[tier], smallest, loud, total)
            if unsure == 0:
                continue
            rows_of, many, into = near, 0, sums
            for c in range(count):
                found[many] = c
                many += (largest[c] >= quiet) & (smallest[c] <= loud)
            for k in range(len(knots)):
                for c in range(many):
                    near[k, c] = steps[k, found[c]]
                for c in range(many, padded(many)):
                    near[k, c] = 0
            for c in range(padded(many)):
                sums[c] = 0
            picked, many = many, padded(many)
        if begun == ended:
            _pass(knots, rows_of, many, at, first, stop, into)
        for part in range(begun, ended):
            _pass_part(rows_of, many, at, at.parts[part], u, into)
        if not everywhere:
            for c in range(picked):
                total[found[c]] += sums[c]


@compiled
def _bounds(
    knots: tuple[int, ...], steps: Array, count: int, largest: Array, smallest: Array
) -> tuple[float, float]:
    """Largest size of the increments, and the smallest where all have one sign; the largest of each."""
    top, bottom = -np.inf, -np.inf
    for c in range(count):
        low = high = steps[0, c]
        for k in range(1, len(knots)):
            step = steps[k, c]
            low = step if step < low else low
            high = step if step > high else high
        largest[c] = high if high > -low else -low
        smallest[c] = low if low > -high else -high
    for c in range(count):
        top = largest[c] if largest[c] > top else top
        bottom = smallest[c] if smallest[c] > bottom else bottom
    return top, bottom


@compiled
def _add_all(
    knots: tuple[int, ...],
    steps: Array,
    count: int,
    shares: Array,
    smallest: Array,
    loud: float,
    total: Array,
) -> None:
    """Add what all instants of a tier contribute where every one of them passes."""
    for c in range(count):
        u = shares[0] * steps[0, c]
        for k in range(1, len(knots)):
            u += shares[k] * steps[k, c]
        total[c] += u if smallest[c] > loud else 0 * u


@compiled
def _pass(
    knots: tuple[int, ...], steps: Array, count: int, at: Instants, first: int, stop: int, total: Array
) -> None:
    """Add what instants contribute where ``|u|`` reaches θ; two at once, to read increments less often."""
    theta, pairs = at.theta, (stop - first) // 2
    for r in range(first, first + 2 * pairs, 2):
        row, other, weight, its = at.rows[r], at.rows[r + 1], at.weights[r], at.weights[r + 1]
        for c in range(count):
            u, v = row[0] * steps[0, c], other[0] * steps[0, c]
            for k in range(1, len(knots)):
                u += row[k] * steps[k, c]
                v += other[k] * steps[k, c]
            u = weight * u if abs(u) >= theta else 0 * u
            v = its * v if abs(v) >= theta else 0 * v
            total[c] += u + v
    for r in range(first + 2 * pairs, stop):
        row, weight = at.rows[r], at.weights[r]
        for c in range(count):
            u = row[0] * steps[0, c]
            for k in range(1, len(knots)):
                u += row[k] * steps[k, c]
            total[c] += weight * u if abs(u) >= theta else 0 * u


@compiled
def _pass_part(steps: Array, count: int, at: Instants, part: Array, u: Array, total: Array) -> None:
    """Add what the instants of a part contribute, which depend on few increments, by custom on two."""
    theta, (first, stop, begin, end) = at.theta, part
    pairs = (stop - first) // 2 if end - begin < 3 else 0
    here, after = steps[begin], steps[min(begin + 1, end - 1)]
    double, rows, weights = at.weights.dtype.type(end > begin + 1), at.rows, at.weights
    for r in range(first, first + 2 * pairs, 2):
        weight, its = weights[r], weights[r + 1]
        one, two = rows[r, begin], double * rows[r, min(begin + 1, end - 1)]
        three, four = rows[r + 1, begin], double * rows[r + 1, min(begin + 1, end - 1)]
        for c in range(count):
            v, w = one * here[c] + two * after[c], three * here[c] + four * after[c]
            v = weight * v if abs(v) >= theta else 0 * v
            w = its * w if abs(w) >= theta else 0 * w
            total[c] += v + w
    for r in range(first + 2 * pairs, stop):
        row, weight = at.rows[r], at.weights[r]
        for c in range(count):
            u[c] = row[begin] * here[c]
        for k in range(begin + 1, end):
            for c in range(count):
                u[c] += row[k] * steps[k, c]
        for c in range(count):
            total[c] += weight * u[c] if abs(u[c]) >= theta else 0 * theta
