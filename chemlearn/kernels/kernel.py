"""Kernels: what a molecule remembers of its input, u(t) = ∫ K(τ) s(t−τ) dτ, as exponential sums, samples or
formulas."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.interpolate import CubicSpline, PPoly

from chemlearn.checks import check_positive
from chemlearn.kernels.base import Kernel, Lobe, slow_memory, time_at_hand
from chemlearn.kernels.exponentials import SLOW, Exponentials, feature_lags
from chemlearn.signal import Signal

if TYPE_CHECKING:
    from chemlearn.kernels.cut import CutKernel

__all__ = [
    "ExponentialKernel",
    "Kernel",
    "Lobe",
    "SampledKernel",
    "celani_vergassola",
    "exponential",
    "high_pass",
    "integral_feedback",
]

NEGLIGIBLE = 1e-12
"""A kernel has ended where it and the area still to come are below this share of their peaks."""


@dataclass(frozen=True, eq=False, repr=False)
class ExponentialKernel(Kernel):
    r"""Sum of exponential-polynomials, :math:`K(\tau) = \delta\,\delta(\tau) + \mathrm{Re} \sum_i c_i
    \tau^{p_i} e^{-\lambda_i \tau}`.

    Every tail, and its sum over the periods of a periodic signal (a geometric series and its derivatives), is
    closed. Where |λ|·time is small the closed forms are differences of huge numbers; there the same sums are
    taken as power series, so that slow components lose no digits.

    Parameters
    ----------
    coefficients : array_like of complex, (n,)
        c. A conjugate pair may be given as both its members or as one of them with twice its coefficient.
    rates : array_like of complex, (n,)
        λ, in 1/time, with positive real parts.
    powers : array_like of int, (n,), optional
        p ≥ 0; 0 by default.
    delta : float
        Weight of the instantaneous part.

    Raises
    ------
    ValueError
        If the shapes differ, a number is not finite, a real part is not positive or a power is negative.
    """

    coefficients: np.ndarray
    rates: np.ndarray
    powers: np.ndarray = field(default_factory=lambda: np.zeros((), int))
    delta: float = 0.0

    def __post_init__(self) -> None:
        checked = Exponentials.checked(self.coefficients, self.rates, self.powers, self.delta)
        staying = checked.rates[checked.rates.real <= 0]
        if len(staying):
            raise ValueError(
                f"every rate of a kernel must have a positive real part, got {staying[0]:g}; "
                "a memory that does not decay has no kernel, unless it is cut (CutKernel)"
            )
        for name in ("coefficients", "rates", "powers"):
            object.__setattr__(self, name, getattr(checked, name))
        object.__setattr__(self, "delta", float(self.delta))

    def __repr__(self) -> str:
        return (
            f"ExponentialKernel({len(self.rates)} components, area {self.area:.4g}, "
            f"first moment {self.first_moment:.4g})"
        )

    def scaled(self, factor: float) -> Self:
        """The kernel times a number."""
        return replace(self, coefficients=self.coefficients * factor, delta=self.delta * factor)

    def rescaled(self, factor: float) -> Self:
        """The kernel in a time that runs slower by the factor: all lags times it, the area unchanged."""
        check_positive(factor=factor)
        sums = self._sum.rescaled(factor)
        return replace(self, coefficients=sums.coefficients, rates=sums.rates)

    def cut(self, duration: float) -> CutKernel:
        """The kernel up to a lag, and exactly 0 beyond it.

        Parameters
        ----------
        duration : float
            The lag, positive, in the time unit of the kernel.

        Returns
        -------
        CutKernel
            As exact as this one. Its area and first moment are those of what is left; see ``normalized``.
        """
        from chemlearn.kernels.cut import CutKernel

        return CutKernel(self.coefficients, self.rates, duration, self.powers, self.delta)

    @cached_property
    def _sum(self) -> Exponentials:
        return Exponentials(self.coefficients, self.rates, self.powers)

    def _tail(self, order: int, lags: np.ndarray) -> np.ndarray:
        return self._sum.tail(order, lags)

    def _envelope(self, order: int, lags: np.ndarray) -> np.ndarray:
        return self._sum.envelope(order, lags)

    @cached_property
    def duration(self) -> float:
        """Lag beyond which K and T₁ stay below 1e-12 of their peaks."""
        if not np.any(self.coefficients):
            return 0.0
        lags = feature_lags(self.rates)
        ends = []
        for order in (0, 1):
            small = NEGLIGIBLE * np.max(np.abs(self._tail(order, lags)))
            late = lags[-1]
            above = np.flatnonzero(self._envelope(order, lags) > small)
            ends.append(lags[above[-1] + 1] if len(above) and above[-1] + 1 < len(lags) else late)
        return float(max(ends))

    @cached_property
    def lags(self) -> np.ndarray:
        """Lags from 0 to ``duration`` that resolve every component, its oscillation too."""
        lags = feature_lags(self.rates)
        return lags[lags <= self.duration] if self.duration else np.zeros(1)

    def _periodic_tail(self, order: int, lags: np.ndarray, period: float) -> np.ndarray:
        return self._sum.periodic_tail(order, lags, period)

    def _memory(self, signal: Signal, t: np.ndarray, order: int) -> np.ndarray:
        slow = np.abs(self.rates) * time_at_hand(signal, t) < SLOW
        if not slow.any():
            return super()._memory(signal, t, order)
        fast_part = self._part(~slow, self.delta)
        fast = Kernel._memory(fast_part, signal, t, order)
        part = self._part(slow, 0.0)
        return fast + slow_memory(part.area, signal, t, order, part._sum.periodic_remainder, part._sum.head)

    def _part(self, chosen: np.ndarray, delta: float) -> ExponentialKernel:
        return ExponentialKernel(self.coefficients[chosen], self.rates[chosen], self.powers[chosen], delta)


@dataclass(frozen=True, eq=False, repr=False)
class SampledKernel(Kernel):
    """A kernel known at some lags: a cubic spline between them, zero after the last.

    Parameters
    ----------
    times : array_like, (n_samples,)
        Lags, increasing, the first one 0; at least two.
    values : array_like, (n_samples,)
        K at the lags, in 1/time.
    delta : float
        Weight of an instantaneous part.

    Raises
    ------
    ValueError
        If the samples are not as described.
    """

    times: np.ndarray
    values: np.ndarray
    delta: float = 0.0

    def __post_init__(self) -> None:
        times, values = np.array(self.times, float), np.array(self.values, float)
        if times.ndim != 1 or times.shape != values.shape or len(times) < 2:
            raise ValueError(
                f"a sampled kernel needs at least two lags and one value for each, "
                f"got shapes {times.shape} and {values.shape}"
            )
        if not (np.isfinite(times).all() and np.isfinite(values).all() and np.isfinite(self.delta)):
            raise ValueError("lags, values and delta of a sampled kernel must be finite")
        if times[0] != 0 or np.any(np.diff(times) <= 0):
            raise ValueError(f"lags of a sampled kernel must start at 0 and increase, got {times}")
        for name, column in (("times", times), ("values", values)):
            column.setflags(write=False)
            object.__setattr__(self, name, column)
        object.__setattr__(self, "delta", float(self.delta))

    def __repr__(self) -> str:
        return (
            f"SampledKernel({len(self.times)} lags to {self.duration:g}, area {self.area:.4g}, "
            f"first moment {self.first_moment:.4g})"
        )

    def scaled(self, factor: float) -> Self:
        """The kernel times a number."""
        return replace(self, values=self.values * factor, delta=self.delta * factor)

    def rescaled(self, factor: float) -> Self:
        """The kernel in a time that runs slower by the factor: all lags times it, the area unchanged."""
        check_positive(factor=factor)
        return replace(self, times=self.times * factor, values=self.values / factor)

    @property
    def duration(self) -> float:
        """The last lag."""
        return float(self.times[-1])

    @cached_property
    def lags(self) -> np.ndarray:
        """The sampled lags and three more between each two."""
        steps = np.arange(len(self.times) * 4 - 3) / 4
        return np.interp(steps, np.arange(len(self.times)), self.times)

    @property
    def seams(self) -> np.ndarray:
        """The sampled lags: there the third derivative jumps, and K at the last one."""
        return self.times[1:]

    @cached_property
    def _polynomials(self) -> tuple[PPoly, ...]:
        """Splines of K, T₁, T₂, T₃."""
        tails: list[PPoly] = [CubicSpline(self.times, self.values)]
        for _ in range(3):
            antiderivative = tails[-1].antiderivative()
            rest = -antiderivative.c
            rest[-1] += antiderivative(self.duration)
            tails.append(PPoly(rest, self.times))
        return tuple(tails)

    def _tail(self, order: int, lags: np.ndarray) -> np.ndarray:
        inside = self._polynomials[order](np.minimum(lags, self.duration))
        return np.where(lags <= self.duration, inside, 0.0)

    def _envelope(self, order: int, lags: np.ndarray) -> np.ndarray:
        return np.full(lags.shape, np.max(np.abs(self._polynomials[order](self.times))))


def integral_feedback(k_u: float, k_m: float) -> ExponentialKernel:
    """Integral feedback, u̇ = k_u (s − m − (u − u₀)), ṁ = k_m (u − u₀) (F14, F15): area 0, M₁ = −1/k_m.

    Two decays for k_u > 4 k_m, a damped oscillation for k_u < 4 k_m, and (1 − λt) e^(−λt) between them.

    Parameters
    ----------
    k_u, k_m : float
        Rates of the output and of the memory, positive, 1/time.
    """
    check_positive(k_u=k_u, k_m=k_m)
    middle = k_u / 2
    square = middle * (middle - 2 * k_m)
    if abs(square) < (5e-4 * middle) ** 2:
        # Both rates nearly equal: the difference quotient would lose digits, its Taylor series in their gap²
        # does not.
        series = [1.0, -middle, square / 2, -middle * square / 6]
        return ExponentialKernel(k_u * np.array(series), np.full(4, middle), np.arange(4))
    if square < 0:
        rate = middle + 1j * np.sqrt(-square)
        return ExponentialKernel(np.array([-1j * k_u * rate / rate.imag]), np.array([rate]))
    fast = middle + np.sqrt(square)
    rates = np.array([fast, k_u * k_m / fast])
    return ExponentialKernel(k_u * rates * [1, -1] / (2 * np.sqrt(square)), rates)


def high_pass(tau: float) -> ExponentialKernel:
    """High-pass filter δ(t) − e^(−t/τ)/τ (Maxwell element; capacitor and memristor): area 0, M₁ = −τ."""
    check_positive(tau=tau)
    return ExponentialKernel(np.array([-1 / tau]), np.array([1 / tau]), delta=1.0)


def exponential(tau: float) -> ExponentialKernel:
    """Leaky average e^(−t/τ)/τ: area 1, M₁ = τ; the control that can take no difference."""
    check_positive(tau=tau)
    return ExponentialKernel(np.array([1 / tau]), np.array([1 / tau]))


def celani_vergassola(area: float = 0.0, rate: float = 20.0) -> ExponentialKernel:
    """K(t) = a e^(−Bt) (t − c t²) (F32, F33, F46–F48), not cut off: the given area, M₁ = −1 for every area.

    The published curves cut it at t = 1, ``celani_vergassola(area).cut(1.0)``, which changes them by about
    1e-5.

    Parameters
    ----------
    area : float
        I, in units of u over units of s; a = 3IB² + B³ and c = (B² + 2BI)/(6I + 2B).
    rate : float
        B > 0, 1/time; the kernel's time scale is 1/B.
    """
    check_positive(rate=rate)
    # a·c written out, since c alone has a pole at 3I = −B, where the kernel does not.
    coefficients = np.array([rate**2 * (3 * area + rate), -(rate**3) * (rate + 2 * area) / 2])
    return ExponentialKernel(coefficients, np.full(2, rate), np.array([1, 2]))
