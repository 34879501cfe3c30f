"""Kernels: what a molecule remembers of its input, u(t) = ∫ K(τ) s(t−τ) dτ, as exponential sums, samples or
formulas."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
from numpy.polynomial.polynomial import polyval
from scipy.interpolate import CubicSpline, PPoly
from scipy.special import bernoulli, comb, factorial, poch, stirling2

from chemlearn.kernel_base import Kernel, Lobe, passings
from chemlearn.signal import Signal

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

SLOW = 2.0
"""Components with |rate|·(time at hand) below this are summed as power series, which then need few terms."""

SERIES_TERMS = 40
"""Terms of those series: at |rate|·time = 2 the first one left out is below rounding error."""


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
        coefficients, rates = (np.array(a, complex) for a in (self.coefficients, self.rates))
        powers = np.array(self.powers, int)
        if powers.ndim == 0:
            powers = np.full(rates.shape, powers)
        if rates.ndim != 1 or not coefficients.shape == rates.shape == powers.shape:
            raise ValueError(
                "a kernel needs one coefficient, one rate and one power per component, got shapes "
                f"{coefficients.shape}, {rates.shape} and {powers.shape}"
            )
        if not (np.isfinite(coefficients).all() and np.isfinite(rates).all() and np.isfinite(self.delta)):
            raise ValueError("coefficients, rates and delta of a kernel must be finite")
        if np.any(rates.real <= 0):
            raise ValueError(
                f"every rate of a kernel must have a positive real part, got {rates[rates.real <= 0][0]:g}; "
                "a memory that does not decay has no kernel"
            )
        if np.any(powers < 0):
            raise ValueError(f"powers of a kernel must be 0 or positive, got {powers.min()}")
        for name, column in (("coefficients", coefficients), ("rates", rates), ("powers", powers)):
            column.setflags(write=False)
            object.__setattr__(self, name, column)
        object.__setattr__(self, "delta", float(self.delta))

    def __repr__(self) -> str:
        return (
            f"ExponentialKernel({len(self.rates)} components, area {self.area:.4g}, "
            f"first moment {self.first_moment:.4g})"
        )

    def scaled(self, factor: float) -> Self:
        """The kernel times a number."""
        return replace(self, coefficients=self.coefficients * factor, delta=self.delta * factor)

    @cached_property
    def _tables(self) -> tuple[_Terms, ...]:
        """Terms of K, T₁, T₂, T₃."""
        return tuple(self._table(order) for order in range(4))

    def _table(self, order: int) -> _Terms:
        # t^p e^(−λt) = (−d/dλ)^p e^(−λt), so its tail is (−d/dλ)^p [λ^(−order) e^(−λt)].
        terms = [
            (c * comb(p, q) * poch(order, p - q) * rate ** -(order + p - q), rate, q)
            for c, rate, p in self._components
            for q in range(p if order == 0 else 0, p + 1)
        ]
        return _Terms.of(terms)

    def _tail(self, order: int, lags: np.ndarray) -> np.ndarray:
        return self._tables[order](lags)

    def _envelope(self, order: int, lags: np.ndarray) -> np.ndarray:
        table = self._tables[order]
        return _Terms(np.abs(table.coefficients), table.rates.real, table.powers)(lags)

    @cached_property
    def duration(self) -> float:
        """Lag beyond which K and T₁ stay below 1e-12 of their peaks."""
        if not np.any(self.coefficients):
            return 0.0
        lags = _feature_lags(self.rates)
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
        lags = _feature_lags(self.rates)
        return lags[lags <= self.duration] if self.duration else np.zeros(1)

    def _periodic_tail(self, order: int, lags: np.ndarray, period: float) -> np.ndarray:
        table = self._tables[order]
        terms = [
            (c * comb(q, r) * period**r * _power_sum(r, rate * period), rate, q - r)
            for c, rate, q in zip(*table, strict=True)
            for r in range(q + 1)
        ]
        return _Terms.of(terms)(lags)

    def _memory(self, signal: Signal, t: np.ndarray, order: int) -> np.ndarray:
        span = signal.period if signal.periodic else float(np.max(t, initial=0.0))
        slow = np.abs(self.rates) * span < SLOW
        if not slow.any():
            return super()._memory(signal, t, order)
        fast_part = self._part(~slow, self.delta)
        fast = Kernel._memory(fast_part, signal, t, order)
        return fast + self._part(slow, 0.0)._slow_memory(signal, t, order)

    def _part(self, chosen: np.ndarray, delta: float) -> ExponentialKernel:
        return ExponentialKernel(self.coefficients[chosen], self.rates[chosen], self.powers[chosen], delta)

    @property
    def _components(self) -> list[tuple[complex, complex, int]]:
        return list(zip(self.coefficients.tolist(), self.rates.tolist(), self.powers.tolist(), strict=True))

    def _slow_memory(self, signal: Signal, t: np.ndarray, order: int) -> np.ndarray:
        """As ``_memory``, with what is common to all knots taken out before it can cancel.

        Over a period that is short for the kernel u is nearly area × mean; from rest, over a time that is
        short for it, u is nearly area × the value at rest. The knots add power series in λ that start with
        the first term which differs.
        """
        level = signal.mean if signal.periodic else float(signal.values[0])
        u = self.area * level * (t, np.ones_like(t), np.zeros_like(t))[order + 1]
        for passing in passings(signal, t):
            for size, base in ((passing.kink, 2), (passing.jump, 1)):
                if not size:
                    continue
                if signal.periodic:
                    # d/dt of the remainder of Σ T_n is minus that of Σ T_{n−1}; kinks enter with +, jumps
                    # with −.
                    sign = (-1) ** (order + base)
                    u = u + sign * size * self._periodic_remainder(base - order, passing.lags, signal.period)
                else:
                    risen = self._head(base - order, np.maximum(passing.lags, 0.0))
                    u = u + size * np.where(passing.visits > 0, risen, 0.0)
        return u

    def _periodic_remainder(self, order: int, lags: np.ndarray, period: float) -> np.ndarray:
        """Σ_m T(lag + m·period) less its terms in area, M₁ and 1/λ.

        Σ_m e^(−λ(t+mP)) = Σ_n B_n(t/P) (−λP)^n / (n! λP), and T of t^p e^(−λt) is (−d/dλ)^p of λ^(−order)
        times it.
        """
        weights = np.zeros(SERIES_TERMS)
        for c, rate, p in self._components:
            for n in range(order + 1 + p, SERIES_TERMS):
                a = n - 1 - order
                falling = factorial(a) / factorial(a - p)
                term = c * (-1) ** (p + n) * falling * (rate * period) ** (a - p) * period ** (order + p)
                weights[n] += term.real
        # Σ w_n B_n(y)/n! as powers of y − 1/2, where Bernoulli polynomials are smallest.
        m = np.arange(SERIES_TERMS)
        centre = (2.0 ** (1 - m) - 1) * bernoulli(SERIES_TERMS - 1) / factorial(m)
        powers = [weights[k:] @ centre[: SERIES_TERMS - k] / factorial(k) for k in range(SERIES_TERMS)]
        return polyval(lags / period - 0.5, powers)

    def _head(self, order: int, lags: np.ndarray) -> np.ndarray:
        """Repeated integral of K from 0 to each lag, by its Taylor series."""
        total = np.zeros_like(lags)
        for c, rate, p in self._components:
            n = np.arange(SERIES_TERMS)
            series = polyval(rate * lags, (-1.0) ** n / factorial(n) / poch(n + p + 1, order))
            total += (c * series).real * lags ** (p + order)
        return total


class _Terms(NamedTuple):
    """Re Σ c t^p e^(−λt), one entry per term."""

    coefficients: np.ndarray
    rates: np.ndarray
    powers: np.ndarray

    @classmethod
    def of(cls, terms: list[tuple[complex, complex, int]]) -> _Terms:
        coefficients, rates, powers = zip(*terms, strict=True) if terms else ((), (), ())
        table = cls(np.array(coefficients, complex), np.array(rates, complex), np.array(powers, int))
        if np.any(table.rates.imag):
            return table
        return cls(table.coefficients.real, table.rates.real, table.powers)  # the same sum, four times faster

    def __call__(self, lags: np.ndarray) -> np.ndarray:
        t = lags[..., None]
        return np.real((np.exp(-self.rates * t) * t**self.powers) @ self.coefficients)


def _power_sum(r: int, x: complex) -> complex:
    """Σ_{m≥0} m^r e^(−xm), without loss where x is small."""
    z, rest = np.exp(-x), -np.expm1(-x)
    return complex(sum(stirling2(r, k) * factorial(k) * (z / rest) ** k for k in range(r + 1)) / rest)


def _feature_lags(rates: np.ndarray) -> np.ndarray:
    """Lags that resolve the decay and the oscillation of every rate, until nothing is left of it."""
    reach = 60.0  # e^−60 is far below NEGLIGIBLE for every power in use
    found = [np.zeros(1)]
    for rate in rates:
        found.append(np.geomspace(1e-4, reach, 145) / rate.real)
        if rate.imag:
            turns = min(reach / 2 * abs(rate.imag / rate.real), 8000.0)
            found.append(np.arange(0.0, turns, np.pi / 12) / abs(rate.imag))
    return np.unique(np.concatenate(found))


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

    @property
    def duration(self) -> float:
        """The last lag."""
        return float(self.times[-1])

    @cached_property
    def lags(self) -> np.ndarray:
        """The sampled lags and three more between each two."""
        steps = np.arange(len(self.times) * 4 - 3) / 4
        return np.interp(steps, np.arange(len(self.times)), self.times)

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
    _check_positive(k_u=k_u, k_m=k_m)
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
    _check_positive(tau=tau)
    return ExponentialKernel(np.array([-1 / tau]), np.array([1 / tau]), delta=1.0)


def exponential(tau: float) -> ExponentialKernel:
    """Leaky average e^(−t/τ)/τ: area 1, M₁ = τ; the control that can take no difference."""
    _check_positive(tau=tau)
    return ExponentialKernel(np.array([1 / tau]), np.array([1 / tau]))


def celani_vergassola(area: float = 0.0, rate: float = 20.0) -> ExponentialKernel:
    """K(t) = a e^(−Bt) (t − c t²) (F32, F33, F46–F48), not cut off: the given area, M₁ = −1 for every area.

    Parameters
    ----------
    area : float
        I, in units of u over units of s; a = 3IB² + B³ and c = (B² + 2BI)/(6I + 2B).
    rate : float
        B > 0, 1/time; the kernel's time scale is 1/B.
    """
    _check_positive(rate=rate)
    # a·c written out, since c alone has a pole at 3I = −B, where the kernel does not.
    coefficients = np.array([rate**2 * (3 * area + rate), -(rate**3) * (rate + 2 * area) / 2])
    return ExponentialKernel(coefficients, np.full(2, rate), np.array([1, 2]))


def _check_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not (np.isfinite(number) and number > 0):
            raise ValueError(f"{' and '.join(numbers)} must be positive, got {name}={number}")
