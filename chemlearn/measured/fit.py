"""From noisy step responses to a kernel: a spline of the response, its derivative, and their errors.

The record of a trajectory is looked at in rows: its means over the two halves of the time before the step,
its value at every lag, and its mean over the time in which it has settled. The mean response is a cubic
spline R with R(0) = 0, fitted to the rows by least squares, and K = R'. Rows count by a *working covariance*:
noise of one correlation time with a white share, both chosen by likelihood. The errors do not rest on it:
every number here is linear in the rows, and its variance is the one that trajectories show (Liang and Zeger,
doi:10.1093/biomet/73.1.13).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.interpolate import BSpline

FEWEST_LAGS = 20
_MOST_LAGS = 200  # rows; where there are more lags, neighbours are averaged
_NODES = 64  # times that stand for those of a mean in the working covariance
_SECTIONS = (4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40)  # of the spline, among which the criterion chooses
_FINER = 3  # times as many are used, so that what the spline cannot follow is small beside its error
_LAGS_EACH = 5  # in a section that it may choose
_SEEN, _SEEN_SHARE = 30, 4  # trajectories that must differ before the spline may bend, or one in so many
_MEMORIES = np.geomspace(1 / 300, 3, 12)  # correlation times that are tried, in units of the last lag
_WHITE = (1e-9, 0.01, 0.1, 1.0, 10.0)  # variances of white noise that are tried, relative to the other
_DRAWS, _SEED = 20_000, 20_260_101  # of the Gaussian limit, for bands that hold at all lags together


class Moments(NamedTuple):
    """Mean and scatter of rows over trajectories, and how many trajectories are not 0 in each row."""

    number: int
    mean: np.ndarray
    scatter: np.ndarray
    differing: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> Moments:
        """Of a block, (n_trajectories, n_rows)."""
        mean = rows.mean(axis=0)
        away = rows - mean
        return cls(len(rows), mean, away.T @ away, np.count_nonzero(rows, axis=0))

    def merged(self, other: Moments) -> Moments:
        """Of two blocks (Chan, Golub and LeVeque, doi:10.1080/00031305.1983.10483115)."""
        number, apart = self.number + other.number, other.mean - self.mean
        between = np.outer(apart, apart) * (self.number * other.number / number)
        mean = self.mean + apart * (other.number / number)
        return Moments(number, mean, self.scatter + other.scatter + between, self.differing + other.differing)

    def part(self, chosen: slice) -> Moments:
        """Of some of the rows."""
        return Moments(self.number, self.mean[chosen], self.scatter[chosen, chosen], self.differing[chosen])

    @property
    def covariance(self) -> np.ndarray:
        """Of the rows of one trajectory, (n_rows, n_rows)."""
        return self.scatter / (self.number - 1)


class Rows(NamedTuple):
    """How a record over times becomes rows.

    Parameters
    ----------
    times : (n_times,) array
        0 at the step.
    average : (n_rows, n_times) array
        What every time counts in a row.
    centres : (n_rows,) array
        Mean times.
    is_lag : (n_rows,) array of bool
        Whether a row is a lag, and no mean before the step or after settling.
    end : float
        Where the kernel ends: where the response has settled, or the last lag.
    """

    times: np.ndarray
    average: np.ndarray
    centres: np.ndarray
    is_lag: np.ndarray
    end: float

    @classmethod
    def of(cls, times: np.ndarray, settled: float | None) -> Rows:
        """Of times that increase; from ``settled`` on they only give their mean."""
        last = math.inf if settled is None else settled
        before, after = np.flatnonzero(times < 0), np.flatnonzero(times >= last)
        lags = np.flatnonzero((times >= 0) & (times < last))
        first, later = lags[:1], lags[1:]  # the first lag stays alone: it may be that of the step itself
        binned = np.array_split(later, min(len(later), _MOST_LAGS)) if len(later) else []
        parts = [part for part in (*np.array_split(before, 2), first, *binned, after) if len(part)]
        average = np.zeros((len(parts), len(times)))
        for row, part in zip(average, parts, strict=True):
            row[part] = 1 / len(part)
        centres = average @ times
        end = last if len(after) else float(centres[-1])
        return cls(times, average, centres, (centres >= 0) & (centres < last), end)

    @property
    def lags(self) -> np.ndarray:
        """Those of the rows that are lags, (n_lags,)."""
        return self.centres[self.is_lag]

    def noise(self, memory: float, *, anchored: bool) -> np.ndarray:
        """Covariance of the rows, (n_rows, n_rows), for noise of variance 1 with a correlation time.

        The noise is stationary or, where anchored, has begun from 0 at the step.
        """
        nodes = [
            centre[None] if lag else self.times[_spread(np.flatnonzero(row))]
            for row, centre, lag in zip(self.average, self.centres, self.is_lag, strict=True)
        ]
        times = np.concatenate(nodes)
        mixed = np.zeros((len(nodes), len(times)))
        ends = np.cumsum([0, *map(len, nodes)])
        for row, start, stop in zip(mixed, ends[:-1], ends[1:], strict=True):
            row[start:stop] = 1 / (stop - start)
        shared = np.exp(-np.abs(times[:, None] - times) / memory)
        if anchored:
            shared -= np.exp(-(times[:, None] + times) / memory)
        return mixed @ shared @ mixed.T

    @property
    def white(self) -> np.ndarray:
        """Covariance of the rows, (n_rows, n_rows), for white noise of variance 1."""
        return np.diag(np.sum(self.average**2, axis=1))


def _spread(numbers: np.ndarray) -> np.ndarray:
    """Some of the numbers, evenly chosen."""
    return numbers[np.unique(np.linspace(0, len(numbers) - 1, _NODES).astype(int))]


@dataclass(frozen=True, eq=False)
class Basis:
    """Cubic B-splines of the response between lag 0 and the end.

    Parameters
    ----------
    knots : (n_knots,) array
        The ends four times.
    """

    knots: np.ndarray

    @classmethod
    def of(cls, lags: np.ndarray, end: float, sections: int, earliest: float) -> Basis:
        """Sections with equal numbers of the lags from ``earliest`` on, before which there is no knot.

        The first and the last have half as many: at its ends a spline follows less well.
        """
        seen = np.union1d(lags[lags >= earliest], end)
        places = (np.arange(sections - 1) + 0.5) / (sections - 1) * (len(seen) - 1)
        inner = np.interp(places, np.arange(len(seen)), seen)
        return cls(np.concatenate([np.zeros(4), inner, np.full(4, end)]))

    @property
    def end(self) -> float:
        """Where the kernel ends."""
        return float(self.knots[-1])

    @cached_property
    def _splines(self) -> BSpline:
        return BSpline(self.knots, np.eye(len(self.knots) - 4), 3)

    def response(self, times: np.ndarray) -> np.ndarray:
        """Of every B-spline, (n_times, n_splines): 0 before the step, as at the end after it."""
        found = self._splines(np.clip(times, 0.0, self.end))
        return np.where(np.asarray(times)[:, None] < 0, 0.0, found)

    def kernel(self, lags: np.ndarray) -> np.ndarray:
        """Derivative of every B-spline, (n_lags, n_splines)."""
        return np.asarray(self._splines.derivative()(np.asarray(lags, float)))

    @property
    def area(self) -> np.ndarray:
        """∫K = R(end), (1, n_splines)."""
        return self.response(np.array([self.end]))

    @property
    def first_moment(self) -> np.ndarray:
        """∫τK = T R(T) − ∫R by parts, (1, n_splines)."""
        return self.end * self.area - self._splines.integrate(0.0, self.end)


class Fit(NamedTuple):
    """A fitted response.

    Parameters
    ----------
    basis : Basis
    coefficients : (n_splines,) array
        In units of the output.
    weights : (n_splines, n_rows) array
        What each row counts in them.
    level : (n_rows,) array
        What each row counts in the level before the step.
    sections : int
    """

    basis: Basis
    coefficients: np.ndarray
    weights: np.ndarray
    level: np.ndarray
    sections: int


def fitted(
    rows: Rows, moments: Moments, *, level: bool, instantaneous: bool, sections: int | None = None
) -> Fit:
    """The spline that fits the mean response best.

    Parameters
    ----------
    rows : Rows
    moments : Moments
        Of those rows.
    level : bool
        Whether the rows stand on an unknown level, that of before the step; differences do not.
    instantaneous : bool
        Whether the response may jump at the step.
    sections : int, optional
        Of the spline. By default three times as many as minimise the expected squared error of the response
        in units of the working noise: Mallows' criterion with the sampled covariance
        (doi:10.1080/00401706.1973.10489103).

    Raises
    ------
    ValueError
        Where too few trajectories differ for a spline.
    """
    problem = _Problem.of(rows, moments, level=level, instantaneous=instantaneous)
    sections = problem.chosen(sections)
    found = problem.solved(sections)
    jump = problem.offset if instantaneous else 0.0
    coefficients = found.weights @ (moments.mean - problem.offset) + jump
    before = found.level
    if level and problem.anchored:  # the level is the value at the step
        before = np.eye(len(rows.centres))[np.argmax(rows.is_lag)]
    return Fit(found.basis, coefficients, found.weights, before, sections)


class _Solution(NamedTuple):
    """Least squares for one number of sections."""

    basis: Basis
    weights: np.ndarray  # (n_splines, n_rows)
    level: np.ndarray  # (n_rows,)
    risk: float  # expected squared error in units of the working noise, up to a constant


class _Problem(NamedTuple):
    """A least-squares problem, all but the number of sections."""

    rows: Rows
    used: np.ndarray  # numbers of the rows that count
    mean: np.ndarray  # of the rows that count, above the offset
    covariance: np.ndarray  # the same rows, of the mean
    inverse: np.ndarray  # of their working covariance
    anchored: bool
    level: bool  # whether it is to be found
    jumps: bool  # whether R(0) is
    offset: float
    earliest: float
    number: int  # of trajectories

    @classmethod
    def of(cls, rows: Rows, moments: Moments, *, level: bool, instantaneous: bool) -> _Problem:
        """Where nothing varies at the step, the value there is known, and noise begins with the step."""
        spread, start = np.diag(moments.covariance), int(np.argmax(rows.is_lag))
        still = rows.centres[start] == 0 and spread[start] <= 1e-20 * spread.max()
        anchored = bool(still and not (level and instantaneous))
        used = np.arange(start + 1 if anchored else 0, len(rows.centres))
        offset = float(moments.mean[start]) if anchored else 0.0
        covariance = moments.covariance[np.ix_(used, used)]
        return cls(
            rows=rows,
            used=used,
            mean=moments.mean[used] - offset,
            covariance=covariance / moments.number,
            inverse=np.linalg.inv(_likeliest(rows, used, covariance, anchored)),
            anchored=anchored,
            level=level and not anchored,
            jumps=instantaneous and not anchored,
            offset=offset,
            earliest=_earliest(rows, moments) if anchored else 0.0,
            number=moments.number,
        )

    def chosen(self, wanted: int | None) -> int:
        """How many sections to take: what was wanted, if the lags allow it, or what the risk tells."""
        lags = self.rows.lags
        seen = int(np.count_nonzero(lags >= self.earliest))
        tried = [count for count in _SECTIONS if _LAGS_EACH * count <= seen]
        if not tried or (wanted or 0) > seen // 2:
            raise ValueError(
                f"{_enough(self.number)} trajectories or more differ at {seen} of {len(lags)} lags only, too "
                f"few for a spline; take more trajectories or a larger step"
            )
        return wanted or _FINER * min(tried, key=lambda count: self.solved(count).risk)

    def solved(self, sections: int) -> _Solution:
        """The best spline of so many sections."""
        basis = Basis.of(self.rows.lags, self.rows.end, sections, self.earliest)
        splines = self.rows.average[self.used] @ basis.response(self.rows.times)
        free = self._free(splines.shape[1])
        design = splines @ free
        if self.level:
            design = np.column_stack([design, np.ones(len(design))])
        solution = np.linalg.solve(design.T @ self.inverse @ design, design.T @ self.inverse)
        missed = self.mean - design @ (solution @ self.mean)
        freedom = np.trace(self.inverse @ design @ solution @ self.covariance)
        risk = float(missed @ self.inverse @ missed + 2 * freedom)
        weights, level = (np.zeros((count, len(self.rows.centres))) for count in (len(free), 1))
        weights[:, self.used] = free @ solution[: free.shape[1]]
        if self.level:
            level[:, self.used] = solution[-1]
        return _Solution(basis, weights, level[0], risk)

    def _free(self, count: int) -> np.ndarray:
        """Coefficients (rows) from those that are free (columns).

        The first one is R(0). Once the response has settled it is flat: then the last three are equal.
        """
        free = np.eye(count)[:, 0 if self.jumps else 1 :]
        if not self.rows.is_lag[-1]:
            free = free[:, :-2]
            free[-3:, -1] = 1.0
        return free


def _likeliest(rows: Rows, used: np.ndarray, covariance: np.ndarray, anchored: bool) -> np.ndarray:
    """The working covariance under which the sampled one is likeliest, up to a factor."""
    chosen = np.ix_(used, used)
    best = (math.inf, np.empty(0))
    for memory in _MEMORIES:
        slow = rows.noise(memory * rows.end, anchored=anchored)[chosen]
        for share in _WHITE:
            assumed = slow + share * rows.white[chosen]
            scale = np.trace(np.linalg.solve(assumed, covariance)) / len(used)
            unlikely = float(np.linalg.slogdet(assumed)[1] + len(used) * np.log(max(scale, 1e-300)))
            if unlikely < best[0]:
                best = unlikely, assumed
    return best[1]


def _earliest(rows: Rows, moments: Moments) -> float:
    """The lag from which on enough trajectories differ."""
    seen = moments.differing[rows.is_lag] >= _enough(moments.number)
    return float(rows.lags[int(np.argmax(seen))]) if seen.any() else math.inf


def _enough(trajectories: int) -> int:
    """How many of them must differ."""
    return min(_SEEN, trajectories // _SEEN_SHARE)


def band_factor(covariance: np.ndarray, confidence: float, freedom: int) -> float:
    """Standard errors within which estimates lie at all places together, with a probability.

    The quantile of max |t| over the places for Gaussian errors of that covariance, with a common scale that
    is estimated with so many degrees of freedom; by drawing, always the same numbers.
    """
    errors = np.sqrt(np.diag(covariance))
    there = errors > 0
    if not there.any():
        return 0.0
    alike = covariance[np.ix_(there, there)] / np.outer(errors[there], errors[there])
    values, vectors = np.linalg.eigh(alike)
    rng = np.random.default_rng(_SEED)
    draws = rng.standard_normal((_DRAWS, len(values))) @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    scale = np.sqrt(rng.chisquare(freedom, _DRAWS) / freedom)
    return float(np.quantile(np.abs(draws).max(axis=1) / scale, confidence))
