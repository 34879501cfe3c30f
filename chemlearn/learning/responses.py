"""From the knots of a ramp to the memory's response: one fixed linear map, built once from the kernel.

One period of the signal rises through the knots s_0 … s_n in equal steps of time and falls back through the
same knots in reverse, straight between them. So the response at any instant is I s_0 + Σ_k R_k (s_k −
s_(k−1)), with I the kernel's area. Instants whose rows R are equal, or equal and opposite, pass the
threshold together: they are one row with the (signed) sum of their weights in the integral. Where the swings
are mirror images nothing remains, and the update is exactly zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from chemlearn.checks import check_positive, finite_column
from chemlearn.kernels.kernel import Kernel
from chemlearn.signal import Signal

__all__ = ["GridKernel", "Integral", "ResponseMap", "Sawtooth", "Tier", "response_map", "sampled_response"]

Integral = Literal["periodic", "open"]

SAME = 1e-12
"""Rows that differ by less than this share of the largest entry are one: they differ by rounding error."""

FEW_ROWS = 10
"""Tiers with fewer rows are looked at row by row."""

QUIETER = 0.6
"""Rows smaller than this share of a larger one are looked at apart: far fewer signals reach θ there."""


@dataclass(frozen=True, eq=False)
class GridKernel:
    """A kernel held as numbers on the grid on which the signal is sampled: u_j = step · Σ_k values_k s_(j−k).

    Parameters
    ----------
    values : array_like, (n_lags,)
        K at lags 0, step, 2·step, …, in 1/time.
    step : float
        Positive; the sawtooth must be sampled just so.
    """

    values: np.ndarray
    step: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", finite_column(self.values, "values"))
        check_positive(step=self.step)

    @classmethod
    def falk2023(cls) -> GridKernel:
        """sin(2πk/10)/3, k = 0 … 9, at a step of 0.01 (F31)."""
        return cls(np.sin(2 * np.pi * np.arange(10) / 10) / 3, 0.01)

    @property
    def area(self) -> float:
        """Σ K · step."""
        return float(self.values.sum() * self.step)

    @property
    def first_moment(self) -> float:
        """Σ τ K · step, −5.13e-4 for the published ten numbers."""
        return float(np.arange(len(self.values)) @ self.values * self.step**2)


@dataclass(frozen=True)
class Sawtooth:
    """How the nudge swings, and where the response is sampled.

    Parameters
    ----------
    rise, fall : float
        Durations of free → clamped and of clamped → free, τ_f and τ_s.
    samples : int
        Instants per period, t = 0 included and equally spaced.
    """

    rise: float = 0.1
    fall: float = 0.9
    samples: int = 100

    def __post_init__(self) -> None:
        check_positive(rise=self.rise, fall=self.fall)
        if int(self.samples) != self.samples or self.samples < 2:
            raise ValueError(f"samples must be a whole number of at least 2, got {self.samples}")

    @property
    def period(self) -> float:
        """τ_f + τ_s."""
        return self.rise + self.fall

    @property
    def times(self) -> np.ndarray:
        """The sampled instants, (samples,)."""
        return np.arange(self.samples) * self.period / self.samples

    def rungs(self, knots: int) -> list[Signal]:
        """For each k ≥ 1, the signal that is 1 at or beyond knot k of the ramp, 0 below, straight between."""
        up = np.linspace(0, self.rise, knots)
        down = np.linspace(self.rise, self.period, knots)[1:]
        values = np.tri(knots)[:, 1:].T
        return [Signal(np.append(up, down), np.append(v, v[-2::-1]), periodic=True) for v in values]


class Tier(NamedTuple):
    """Distinct rows of the map of about one size: what increments do at some instants."""

    columns: slice
    """The increments that matter, of those that the tier it is part of looks at."""
    rows: np.ndarray
    """R, (n_rows, n_columns)."""
    weights: np.ndarray
    """Of each row in the integral, (n_rows,)."""
    reach: float
    """Largest Σ_k |R_k|: at increments below θ over it no row passes the threshold."""
    hold: float
    """Smallest Σ_k |R_k|: at increments of one sign, all above θ over it, every row does; 0 if signs mix."""
    parts: tuple[Tier, ...] = ()
    """The same rows by the few increments that each depends on, if that is worth looking at."""


class ResponseMap(NamedTuple):
    """u at the distinct instants as a linear map of the knots; in tiers of like rows."""

    tiers: tuple[Tier, ...]
    area: float

    @property
    def reach(self) -> float:
        """Largest Σ_k |R_k|: |u| stays below it times the largest increment, where the area is 0."""
        return max((tier.reach for tier in self.tiers), default=0.0)


def response_map(
    kernel: Kernel | GridKernel, sawtooth: Sawtooth, knots: int, integral: Integral
) -> ResponseMap:
    """The map for a number of knots on the ramp.

    Parameters
    ----------
    kernel : Kernel or GridKernel
        A ``Kernel`` gives the exact response at the sampled instants, a ``GridKernel`` the discrete
        convolution.
    sawtooth : Sawtooth
    knots : int
        At least 2.
    integral : {'periodic', 'open'}
        All samples with equal weight, or the trapezoid over the samples, which leaves the way from the last
        to the first out.

    Raises
    ------
    ValueError
        If the kernel does not decay, does not fit the grid, or the integral's name is unknown.
    """
    if integral not in get_args(Integral):
        raise ValueError(f"no integral named {integral!r}; there are {', '.join(get_args(Integral))}")
    weights = np.full(sawtooth.samples, sawtooth.period / sawtooth.samples)
    if integral == "open":
        weights[[0, -1]] /= 2
    rungs = sawtooth.rungs(knots)
    rows = np.stack([sampled_response(kernel, rung, sawtooth) for rung in rungs], axis=1)
    if not (np.isfinite(rows).all() and np.isfinite(kernel.area)):
        raise ValueError(f"the kernel must decay, so that its response to a period is finite, got {kernel!r}")
    scale = np.abs(rows).max(initial=0.0)
    # A constant signal must leave nothing: an area that is only rounding error counts as none.
    area = 0.0 if abs(kernel.area) <= SAME * scale else kernel.area
    if not area:
        rows, weights = _distinct(rows, weights, SAME * scale)
    return ResponseMap(_tiers(rows, weights), area)


def sampled_response(kernel: Kernel | GridKernel, signal: Signal, sawtooth: Sawtooth) -> np.ndarray:
    """u at the sampled instants, (samples,).

    Raises
    ------
    ValueError
        If a ``GridKernel`` is of another step than the samples.
    """
    if isinstance(kernel, Kernel):
        return kernel.respond(signal, sawtooth.times)
    step = sawtooth.period / sawtooth.samples
    if abs(kernel.step - step) > 1e-9 * step:
        raise ValueError(
            f"a kernel on a grid of step {kernel.step:g} needs samples at that step, got one every {step:g}"
        )
    samples = signal(sawtooth.times)
    return kernel.step * sum(value * np.roll(samples, lag) for lag, value in enumerate(kernel.values))


def _distinct(rows: np.ndarray, weights: np.ndarray, same: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows that differ by more than their sign and rounding error, with the signed sums of their weights."""
    kept: list[np.ndarray] = []
    totals: list[float] = []
    for row, weight in zip(rows, weights, strict=True):
        if np.abs(row).max() <= same:
            continue
        for place, other in enumerate(kept):
            sign = next((s for s in (1, -1) if np.abs(row - s * other).max() <= same), 0)
            if sign:
                totals[place] += sign * weight
                break
        else:
            kept.append(row)
            totals.append(weight)
    found, sums = np.array(kept).reshape(-1, rows.shape[1]), np.array(totals)
    counts = np.abs(sums) > SAME * weights.max()
    return found[counts], sums[counts]


def _tiers(rows: np.ndarray, weights: np.ndarray) -> tuple[Tier, ...]:
    """Rows from large to small reach, those of a tier of like size; rows of mixed sign apart."""
    reach = np.abs(rows).sum(axis=1)
    pure = np.abs(rows.sum(axis=1)) >= reach * (1 - SAME)
    tiers = []
    for kind in (True, False):
        left = np.flatnonzero(pure == kind)
        left = left[np.argsort(-reach[left], kind="stable")]
        while len(left):
            near = reach[left] >= QUIETER * reach[left[0]]
            part, left = left[near], left[~near]
            tier = _tier(rows[part], weights[part], slice(0, rows.shape[1]))
            tiers.append(tier._replace(parts=_parts(tier)))
    return tuple(tiers)


def _tier(rows: np.ndarray, weights: np.ndarray, columns: slice) -> Tier:
    rows = rows[:, columns]
    reach = np.abs(rows).sum(axis=1)
    pure = np.all(np.abs(rows.sum(axis=1)) >= reach * (1 - SAME))
    return Tier(columns, rows, weights, float(reach.max()), float(reach.min()) if pure else 0.0)


def _parts(tier: Tier) -> tuple[Tier, ...]:
    """Rows that begin at the same increment together; none unless all of these parts are narrow."""
    used = np.abs(tier.rows) > SAME * tier.reach
    # What is left out of a part is zero but for rounding.
    first, stop = used.argmax(axis=1), used.shape[1] - used[:, ::-1].argmax(axis=1)
    if len(tier.rows) < FEW_ROWS or np.any(stop - first > used.shape[1] // 2):
        return ()
    starts = [np.flatnonzero(first == start) for start in np.unique(first)]
    return tuple(
        _tier(tier.rows[part], tier.weights[part], slice(int(first[part[0]]), int(stop[part].max())))
        for part in starts
    )
