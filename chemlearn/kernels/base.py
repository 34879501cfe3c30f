"""What every kernel can tell: its exact answer to a signal, its time scale, its lobes.

The answer is u(t) = ∫ K(τ) s(t−τ) dτ. With the tails T₁(t) = ∫_t^∞ K, T₂ = ∫_t^∞ T₁, T₃ = ∫_t^∞ T₂, area I =
T₁(0) and first moment M₁ = ∫ τ K = T₂(0), two integrations by parts give, for a piecewise-linear signal,

    u(t) = I s(t) − M₁ s'(t) + Σ_knots [Δs'_k T₂(t − t_k) − Δs_k T₁(t − t_k)],

the sum over the knots already passed, where the slope changes by Δs'_k and s jumps by Δs_k. A weight δ on an
instantaneous part of K adds δ s(t). A periodic signal sums each knot over all past periods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize.elementwise import find_root

from chemlearn.signal import Signal

__all__ = ["Kernel", "Lobe", "slow_memory", "time_at_hand"]


LOBE_NOISE = 1e-3
"""Lobes whose |area| is below this share of the largest one's are noise: no signal would show them."""


class Lobe(NamedTuple):
    """A stretch of lags where K keeps one sign, and its area; an instantaneous part has start = stop = 0."""

    start: float
    stop: float
    area: float


class Kernel(ABC):
    """Memory kernel K(τ) at lags τ ≥ 0, in 1/time, with an optional instantaneous part ``delta``·δ(τ)."""

    delta: float

    @abstractmethod
    def _tail(self, order: int, lags: np.ndarray) -> np.ndarray:
        """Tail of the given order (0: K itself) at lags ≥ 0."""

    @abstractmethod
    def _envelope(self, order: int, lags: np.ndarray) -> np.ndarray:
        """Sum of the sizes of what K (order 0) or a tail is summed from: rounding error is eps times this."""

    @property
    @abstractmethod
    def duration(self) -> float:
        """Lag beyond which the kernel is negligible."""

    @property
    @abstractmethod
    def lags(self) -> np.ndarray:
        """Lags from 0 to ``duration``, (n_lags,), close enough to show every feature of K."""

    @property
    def seams(self) -> np.ndarray:
        """Lags other than 0 at which K or one of its derivatives jumps, (n_seams,)."""
        return np.zeros(0)

    @abstractmethod
    def scaled(self, factor: float) -> Self:
        """The kernel times a number."""

    @abstractmethod
    def rescaled(self, factor: float) -> Self:
        """The kernel in a time that runs slower by the factor: all lags times it, the area unchanged."""

    def tail(self, order: int, lags: ArrayLike) -> np.ndarray:
        r"""Repeated integral of K to infinity, :math:`T_{n}(t) = \int_t^\infty T_{n-1}` with :math:`T_0 = K`.

        Parameters
        ----------
        order : int
            0 for K itself (1/time), 1, 2, 3 for T₁ (dimensionless), T₂ (time), T₃ (time²).
        lags : array_like
            Lags ≥ 0. The instantaneous part is never included: it has passed.

        Raises
        ------
        ValueError
            If a lag is negative or the order unknown.
        """
        lags = np.asarray(lags, float)
        if order not in (0, 1, 2, 3):
            raise ValueError(f"the order of a tail is 0, 1, 2 or 3, got {order}")
        if np.any(lags < 0):
            raise ValueError(f"lags must be 0 or positive, got {lags.min():g}")
        return self._tail(order, lags)

    def __call__(self, lags: ArrayLike) -> np.ndarray:
        """K at lags ≥ 0, without the instantaneous part."""
        return self.tail(0, lags)

    @cached_property
    def area(self) -> float:
        """∫ K dτ with the instantaneous part: what is left of a constant input; 0 is perfect adaptation."""
        return self.delta + float(self._tail(1, np.zeros(())))

    @cached_property
    def first_moment(self) -> float:
        """M₁ = ∫ τ K dτ (F24): −1 for a kernel that answers a ramp of slope r with u = r."""
        return float(self._tail(2, np.zeros(())))

    def step_response(self, times: ArrayLike) -> np.ndarray:
        """Answer u to a unit step of s at time 0, (n_times,): δ + ∫_0^t K; 0 before."""
        times = np.asarray(times, float)
        return np.where(times < 0, 0.0, self.area - self._tail(1, np.maximum(times, 0.0)))

    @cached_property
    def _sign_changes(self) -> np.ndarray:
        """Lags at which K changes sign, to rounding error."""
        lags = self.lags
        values = self._tail(0, lags)
        # A value that is only rounding error has no sign of its own.
        at = np.flatnonzero(np.abs(values) > 1e-14 * self._envelope(0, lags))
        flips = np.sign(values[at[:-1]]) != np.sign(values[at[1:]])
        before, after = at[:-1][flips], at[1:][flips]
        if not len(before):
            return np.zeros(0)
        return find_root(lambda lag: self._tail(0, lag), (lags[before], lags[after])).x

    def lobes_above(self, noise: float) -> list[Lobe]:
        """Lobes of K in order of lag, with an instantaneous part at lag 0 as the first, or as part of it.

        A lobe whose |area| is below ``noise`` × the largest is merged into its neighbours, smallest first;
        the areas always sum to ``area``. The last lobe is closed at ``duration`` and holds all the area
        beyond.
        """
        edges = np.concatenate([[0.0], self._sign_changes, [self.duration]])
        areas = -np.diff(np.append(self._tail(1, edges[:-1]), 0.0))
        rows = np.column_stack([edges[:-1], edges[1:], areas]).tolist()
        lobes = [Lobe(*row) for row in rows]
        if self.delta:
            lobes.insert(0, Lobe(0.0, 0.0, self.delta))
        lobes = _merge_equal_signs([lobe for lobe in lobes if lobe.area])
        while len(lobes) > 1:
            smallest = min(range(len(lobes)), key=lambda k: abs(lobes[k].area))
            if abs(lobes[smallest].area) >= noise * max(abs(lobe.area) for lobe in lobes):
                break
            around = lobes[max(smallest - 1, 0) : smallest + 2]
            merged = Lobe(around[0].start, around[-1].stop, sum(lobe.area for lobe in around))
            lobes[max(smallest - 1, 0) : smallest + 2] = [merged]
        return lobes

    @property
    def lobes(self) -> list[Lobe]:
        """Lobes of K above the noise; a kernel that takes differences has at least two, of opposite sign."""
        return self.lobes_above(LOBE_NOISE)

    @cached_property
    def _peak(self) -> tuple[float, float]:
        """Time and value of the step response where it is furthest from 0; time inf where that is its end."""
        times = np.append(0.0, self._sign_changes)
        heights = np.append(self.step_response(times), self.area)
        # A response that creeps up to its end value may pass it by rounding error.
        best = int(np.argmax(np.abs(heights)))
        if abs(heights[best]) <= abs(self.area) * (1 + 1e-9):
            return np.inf, self.area
        return float(times[best]), float(heights[best])

    @property
    def residual(self) -> float:
        """|area| / max |step response|: the share of a step that stays, 0 for perfect adaptation; nan for K =
        0."""
        peak = abs(self._peak[1])
        return abs(self.area) / peak if peak else np.nan

    @cached_property
    def half_time(self) -> float:
        """Time scale of the kernel, from its step response.

        The time from the peak of |step response| until it first is half-way between its peak and its final
        value; for a response that is largest at its end, the time to reach half of that end. nan for K = 0.
        """
        peak, height = self._peak
        if not height:
            return np.nan
        start, goal = (0.0, self.area / 2) if np.isinf(peak) else (peak, (height + self.area) / 2)
        lags = np.append(start, self.lags[self.lags > start])
        away = (self.step_response(lags) - goal) * np.sign(height - goal) * (-1 if np.isinf(peak) else 1)
        passed = int(np.argmax(np.append(away[:-1] <= 0, True)))
        if passed == 0:
            return 0.0
        bracket = (lags[passed - 1], lags[passed])
        return float(find_root(lambda t: self.step_response(t) - goal, bracket).x) - start

    def respond(self, signal: Signal, times: ArrayLike) -> np.ndarray:
        r"""Exact response :math:`u(t) = \int_0^\infty K(\tau)\, s(t-\tau)\, d\tau` (F3) to a piecewise-linear
        signal.

        Parameters
        ----------
        signal : Signal
            A periodic signal gives the periodic steady state; any other was at ``values[0]`` for ever before
            0.
        times : array_like
            Instants, in the time unit of the kernel. Where u jumps (an instantaneous part and a jump of s) it
            is the value after the jump.

        Returns
        -------
        ndarray
            u at the instants, of their shape, in units of s × ``area``.
        """
        return self._memory(signal, np.asarray(times, float), 0)

    def respond_rate(self, signal: Signal, times: ArrayLike) -> np.ndarray:
        """Exact du/dt to the right of each instant, without the infinite slope of a jump; as
        :meth:`respond`."""
        return self._memory(signal, np.asarray(times, float), 1)

    def respond_integral(self, signal: Signal, start: ArrayLike, stop: ArrayLike) -> np.ndarray:
        """Exact ∫ u dt from each start to its stop, arrays of one shape (or that broadcast); as
        :meth:`respond`."""
        start, stop = np.broadcast_arrays(np.asarray(start, float), np.asarray(stop, float))
        before, after = self._memory(signal, np.stack([start, stop]), -1)
        return after - before

    def normalized(self) -> Self:
        """The kernel divided by −M₁, so that its first moment is −1 and u → ds/dt where the area is 0.

        Raises
        ------
        ValueError
            If M₁ ≥ 0: such a kernel averages over the past and takes no difference, so no factor makes it a
            derivative.
        """
        if not self.first_moment < 0:
            raise ValueError(
                "only a kernel whose first moment is negative (it takes a difference: a positive lobe, "
                f"then a negative one) can be normalised, got first moment {self.first_moment:g}"
            )
        return self.scaled(-1 / self.first_moment)

    def _memory(self, signal: Signal, t: np.ndarray, order: int) -> np.ndarray:
        """The response u at t (order 0), du/dt (1), or an antiderivative of u (−1)."""
        # du/dt answers s', the antiderivative answers ∫s: one formula, all tails one order lower or higher.
        ladder = (signal.integral, signal, signal.slope)
        u = self.area * ladder[order + 1](t)
        if order < 1:
            u = u - self.first_moment * ladder[order + 2](t)
        sign = 1 if order == 0 else -1
        for passing in _passings(signal, t):
            past = np.zeros_like(t)
            if passing.kink:
                past += passing.kink * self._past(2 - order, passing, signal)
            if passing.jump:
                past -= passing.jump * self._past(1 - order, passing, signal)
            u = u + sign * past
            if order == -1:
                u = u + passing.kink * passing.visits * self._tail(3, np.zeros(()))
        return u

    def _past(self, order: int, passing: _Passing, signal: Signal) -> np.ndarray:
        """Tail of one knot at all instants, over all periods; 0 before the knot has come."""
        if signal.periodic:
            return self._periodic_tail(order, passing.lags, signal.period)
        return np.where(passing.visits > 0, self._tail(order, np.maximum(passing.lags, 0.0)), 0.0)

    def _periodic_tail(self, order: int, lags: np.ndarray, period: float) -> np.ndarray:
        """Σ_m T(lag + m·period) over all past periods m = 0, 1, …"""
        total = np.zeros_like(lags)
        for m in range(int(self.duration / period) + 1):
            total += self._tail(order, lags + m * period)
        return total


class _Passing(NamedTuple):
    """One knot seen from many instants: lag since its last visit, and visits so far (up to a constant)."""

    lags: np.ndarray
    visits: np.ndarray
    jump: float
    kink: float


def _passings(signal: Signal, t: np.ndarray) -> list[_Passing]:
    """Every knot where the signal bends or jumps, seen from the instants t."""
    repeat, index = signal.locate(t)
    found = []
    for k, (start, _, _, jump, kink) in enumerate(zip(*signal.segments, strict=True)):
        if jump or kink:
            # The signal says on which side of a knot an instant is, so that slopes and lags never disagree.
            visits = repeat - (index < k) if signal.periodic else (index >= k).astype(int)
            origin = (visits if signal.periodic else 0) * signal.period + start
            found.append(_Passing(t - origin, visits, float(jump), float(kink)))
    return found


def time_at_hand(signal: Signal, t: np.ndarray) -> float:
    """The period, or the time since the start of a signal that has none: what a memory must resolve."""
    return signal.period if signal.periodic else float(np.max(t, initial=0.0))


def slow_memory(
    area: float,
    signal: Signal,
    t: np.ndarray,
    order: int,
    remainder: Callable[[int, np.ndarray, float], np.ndarray],
    head: Callable[[int, np.ndarray], np.ndarray],
) -> np.ndarray:
    """As ``Kernel._memory``, with what is common to all knots taken out before it can cancel.

    Over a period that is short for the kernel u is nearly area × mean; from rest, over a time that is short
    for it, u is nearly area × the value at rest. The knots add series that start with the first term which
    differs: remainders of the sum over all periods, or repeated integrals of K from 0 (heads).
    """
    level = signal.mean if signal.periodic else float(signal.values[0])
    u = area * level * (t, np.ones_like(t), np.zeros_like(t))[order + 1]
    for passing in _passings(signal, t):
        for size, base in ((passing.kink, 2), (passing.jump, 1)):
            if not size:
                continue
            if signal.periodic:
                # d/dt of the remainder of Σ T_n is minus that of Σ T_{n−1}; kinks enter with +, jumps with −.
                sign = (-1) ** (order + base)
                u = u + sign * size * remainder(base - order, passing.lags, signal.period)
            else:
                risen = head(base - order, np.maximum(passing.lags, 0.0))
                u = u + size * np.where(passing.visits > 0, risen, 0.0)
    return u


def _merge_equal_signs(lobes: list[Lobe]) -> list[Lobe]:
    """Neighbours of one sign made one lobe."""
    merged: list[Lobe] = []
    for lobe in lobes:
        if merged and merged[-1].area * lobe.area > 0:
            lobe = Lobe(merged[-1].start, lobe.stop, merged[-1].area + lobe.area)
            merged.pop()
        merged.append(lobe)
    return merged
