"""Sums of exponential-polynomials Re Σ c t^p e^(−λt): their repeated integrals and sums over periods, closed.

This is the mathematics behind the kernels that are formulas. Nothing here asks whether a sum decays: a kernel
that is cut off may grow, stay or swing as it likes until then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import comb, factorial
from typing import NamedTuple, Self

import numpy as np
from numpy.polynomial.polynomial import polyval
from numpy.typing import ArrayLike
from scipy.special import bernoulli, poch

__all__ = ["FLAT", "SERIES_TERMS", "SLOW", "Exponentials", "Term", "feature_lags"]

SERIES_TERMS = 40
"""Terms of the power series in λ·time: for |λ|·time up to 4 the first one left out is below rounding."""

SLOW = 2.0
"""Components of a kernel with |λ|·(time at hand) below this are summed as power series, of few terms."""

FLAT = 4.0
"""Up to this |λ|·time a repeated integral is summed as a power series, which then keeps all digits."""


LAGS_PER_DECADE = 25

_FACTORIALS = np.array([float(factorial(k)) for k in range(SERIES_TERMS)])


class Term(NamedTuple):
    """c t^p e^(−λt)."""

    coefficient: complex
    rate: complex
    power: int


@dataclass(frozen=True, eq=False)
class Exponentials:
    """Re Σ c t^p e^(−λt), with arrays (n,) of complex, complex and int."""

    coefficients: np.ndarray
    rates: np.ndarray
    powers: np.ndarray

    @classmethod
    def checked(cls, coefficients: ArrayLike, rates: ArrayLike, powers: ArrayLike, delta: float) -> Self:
        """Read-only columns of one length, all finite; one power may stand for all."""
        columns = [np.array(coefficients, complex), np.array(rates, complex), np.array(powers, int)]
        if columns[2].ndim == 0:
            columns[2] = np.full(columns[1].shape, columns[2])
        shapes = [column.shape for column in columns]
        if columns[1].ndim != 1 or len(set(shapes)) > 1:
            raise ValueError(
                "a kernel needs one coefficient, one rate and one power per component, got shapes "
                f"{shapes[0]}, {shapes[1]} and {shapes[2]}"
            )
        if not (all(np.isfinite(column).all() for column in columns) and np.isfinite(delta)):
            raise ValueError("coefficients, rates and delta of a kernel must be finite")
        if np.any(columns[2] < 0):
            raise ValueError(f"powers of a kernel must be 0 or positive, got {columns[2].min()}")
        for column in columns:
            column.setflags(write=False)
        return cls(*columns)

    @cached_property
    def terms(self) -> list[Term]:
        columns = (self.coefficients.tolist(), self.rates.tolist(), self.powers.tolist())
        return [Term(*row) for row in zip(*columns, strict=True)]

    def part(self, chosen: np.ndarray) -> Exponentials:
        """Only the chosen terms."""
        return Exponentials(self.coefficients[chosen], self.rates[chosen], self.powers[chosen])

    def rescaled(self, factor: float) -> Exponentials:
        """In a time that runs slower by the factor, with the same integral."""
        return Exponentials(self.coefficients / factor ** (self.powers + 1), self.rates / factor, self.powers)

    def later(self, delay: float) -> Exponentials:
        """The sum at t + delay, as a sum at t."""
        return _gathered(
            Term(c * np.exp(-rate * delay) * comb(p, q) * delay ** (p - q), rate, q)
            for c, rate, p in self.terms
            for q in range(p + 1)
        )

    # ---- repeated integrals to infinity

    @cached_property
    def _remembered(self) -> dict[tuple[int, float], _Sum]:
        return {}

    def tail(self, order: int, lags: np.ndarray) -> np.ndarray:
        """The sum (order 0) or its repeated integral to infinity; formally, where that does not exist."""
        return self._tail_sum(order)(lags)

    def envelope(self, order: int, lags: np.ndarray) -> np.ndarray:
        """As :meth:`tail`, of the sizes of all terms: rounding error is eps times this."""
        return self._tail_sum(order).envelope(lags)

    def periodic_tail(self, order: int, lags: np.ndarray, period: float) -> np.ndarray:
        """Σ_m T(lag + m·period) over m = 0, 1, …: geometric series and their derivatives."""
        key = (order, period)
        if key not in self._remembered:
            self._remembered[key] = _Sum.of(
                Term(c * comb(q, r) * period**r * _power_sum(r, rate * period), rate, q - r)
                for c, rate, q in self._tail_terms(order)
                for r in range(q + 1)
            )
        return self._remembered[key](lags)

    def _tail_sum(self, order: int) -> _Sum:
        key = (order, np.inf)
        if key not in self._remembered:
            self._remembered[key] = _Sum.of(self._tail_terms(order))
        return self._remembered[key]

    def _tail_terms(self, order: int) -> list[Term]:
        # t^p e^(−λt) = (−d/dλ)^p e^(−λt), so its tail is (−d/dλ)^p [λ^(−order) e^(−λt)].
        return [
            Term(c * comb(p, q) * _rising(order, p - q) * rate ** -(order + p - q), rate, q)
            for c, rate, p in self.terms
            for q in range(p if order == 0 else 0, p + 1)
        ]

    # ---- the same where |λ|·time is small and the closed forms are differences of huge numbers

    def periodic_remainder(self, order: int, lags: np.ndarray, period: float) -> np.ndarray:
        """Σ_m T(lag + m·period) less its terms in area, M₁ and 1/λ, which cancel between knots.

        Σ_m e^(−λ(t+mP)) = Σ_n B_n(t/P) (−λP)^n / (n! λP), and T of t^p e^(−λt) is (−d/dλ)^p of λ^(−order)
        times it.
        """
        weights = np.zeros(SERIES_TERMS)
        for c, rate, p in self.terms:
            for n in range(order + 1 + p, SERIES_TERMS):
                a = n - 1 - order
                falling = factorial(a) / factorial(a - p)
                term = c * (-1) ** (p + n) * falling * (rate * period) ** (a - p) * period ** (order + p)
                weights[n] += term.real
        # Σ w_n B_n(y)/n! as powers of y − 1/2, where Bernoulli polynomials are smallest.
        m = np.arange(SERIES_TERMS)
        centre = (2.0 ** (1 - m) - 1) * bernoulli(SERIES_TERMS - 1) / _FACTORIALS
        powers = [weights[k:] @ centre[: SERIES_TERMS - k] / _FACTORIALS[k] for k in range(SERIES_TERMS)]
        return polyval(lags / period - 0.5, powers)

    def head(self, order: int, lags: np.ndarray) -> np.ndarray:
        """Repeated integral from 0 to each lag."""
        total = np.zeros_like(lags)
        reach = np.max(lags, initial=0.0)
        for c, rate, p in self.terms:
            if abs(rate) * reach <= FLAT:
                n = np.arange(SERIES_TERMS)
                series = polyval(rate * lags, (-1.0) ** n / _FACTORIALS / poch(n + p + 1, order))
                total += (c * series).real * lags ** (p + order)
            else:
                total += _gathered([Term(c, rate, p)])._steep_head(order, lags)
        return total

    def _steep_head(self, order: int, lags: np.ndarray) -> np.ndarray:
        ends = [float(self.tail(order - j, np.zeros(()))) for j in range(order)]
        polynomial = [end * (-1) ** j / factorial(j) for j, end in enumerate(ends)]
        return (-1) ** order * (self.tail(order, lags) - (polyval(lags, polynomial) if order else 0.0))

    def before_end(self, window: float) -> np.ndarray:
        """The sum as powers of 1 − t/window, lowest first, where it hardly changes over the window."""
        total = np.zeros(SERIES_TERMS + int(np.max(self.powers, initial=0)))
        n = np.arange(SERIES_TERMS)
        for c, rate, p in self.terms:
            # (D − z)^p e^(−λ(D − z)), z the time to the end, in units of the window D.
            sides = [comb(p, k) * (-1) ** k for k in range(p + 1)]
            series = np.convolve(sides, (rate * window) ** n / _FACTORIALS)
            total[: len(series)] += (c * np.exp(-rate * window) * series).real * window**p
        felt = np.flatnonzero(np.abs(total) > 1e-20 * np.max(np.abs(total)))
        return total[: felt[-1] + 1] if len(felt) else total[:0]


def feature_lags(rates: np.ndarray) -> np.ndarray:
    """Lags from 0 that resolve the decay and the oscillation of every rate, until nothing is left of it."""
    reach = 60.0  # e^−60 is far below NEGLIGIBLE for every power in use
    found = [np.zeros(1)]
    speeds = np.abs(rates.real[rates.real != 0])
    if len(speeds):
        first, last = 1e-4 / np.max(speeds), reach / np.min(speeds)
        found.append(np.geomspace(first, last, 1 + round(LAGS_PER_DECADE * np.log10(last / first))))
    for rate in rates[rates.imag != 0]:
        turns = min(reach / 2 * abs(rate.imag / rate.real), 8000.0) if rate.real else 8000.0
        found.append(np.arange(0.0, turns, np.pi / 12) / abs(rate.imag))
    return np.unique(np.concatenate(found))


class _Sum(NamedTuple):
    """A sum ready to be evaluated: one exponential per rate, which multiplies a polynomial.

    ``parts`` are those with real rates and those with complex ones, each with rates (n,) and weights
    (n, degree + 1).
    """

    parts: tuple[tuple[np.ndarray, np.ndarray], ...]

    @classmethod
    def of(cls, terms: Iterable[Term]) -> _Sum:
        groups: dict[complex, dict[int, complex]] = {}
        for c, rate, power in terms:
            # Both members of a conjugate pair have the same real part.
            upper, weight = (rate.conjugate(), c.conjugate()) if rate.imag < 0 else (rate, c)
            group = groups.setdefault(upper, {})
            group[power] = group.get(power, 0.0) + weight
        parts = []
        for turning in (False, True):
            chosen = [rate for rate in groups if bool(rate.imag) == turning]
            if chosen:
                degree = max(max(groups[rate]) for rate in chosen)
                weights = np.array([[groups[rate].get(q, 0.0) for q in range(degree + 1)] for rate in chosen])
                rates = np.array(chosen)
                parts.append((rates, weights) if turning else (rates.real, weights.real))
        return cls(tuple(parts))

    def __call__(self, lags: np.ndarray) -> np.ndarray:
        total = np.zeros(np.shape(lags))
        for rates, weights in self.parts:
            total += _horner(np.real(np.exp(np.multiply.outer(-lags, rates)) @ weights), lags)
        return total

    def envelope(self, lags: np.ndarray) -> np.ndarray:
        return _Sum(tuple((rates.real, np.abs(weights)) for rates, weights in self.parts))(lags)


def _horner(columns: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Polynomials of the last axis, each with its own x."""
    value = columns[..., -1]
    for q in range(columns.shape[-1] - 2, -1, -1):
        value = value * x + columns[..., q]
    return value


def _gathered(terms: Iterable[Term]) -> Exponentials:
    rows = list(terms)
    return Exponentials(
        np.array([row.coefficient for row in rows], complex),
        np.array([row.rate for row in rows], complex),
        np.array([row.power for row in rows], int),
    )


def _power_sum(r: int, x: complex) -> complex:
    """Σ_{m≥0} m^r e^(−xm), without loss where x is small."""
    rest = complex(-np.expm1(-x))
    ratio = complex(np.exp(-x)) / rest
    return sum(_subsets(r, k) * factorial(k) * ratio**k for k in range(r + 1)) / rest


@lru_cache
def _subsets(r: int, k: int) -> int:
    """Stirling numbers of the second kind."""
    if r == k:
        return 1
    return 0 if k == 0 or k > r else k * _subsets(r - 1, k) + _subsets(r - 1, k - 1)


def _rising(start: int, count: int) -> int:
    """start (start + 1) … with so many factors."""
    product = 1
    for k in range(count):
        product *= start + k
    return product
