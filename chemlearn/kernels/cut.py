"""Kernels that end: an exponential-polynomial up to some lag and exactly 0 beyond it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.polynomial.polynomial import polyval

from chemlearn.checks import check_positive
from chemlearn.kernels.base import Kernel, slow_memory, time_at_hand
from chemlearn.kernels.exponentials import FLAT, SLOW, Exponentials, feature_lags
from chemlearn.signal import Signal

__all__ = ["CutKernel", "sine"]


@dataclass(frozen=True, eq=False, repr=False)
class CutKernel(Kernel):
    r"""A sum of exponential-polynomials that ends, :math:`K(\tau) = \delta\,\delta(\tau) + \mathrm{Re} \sum_i
    c_i \tau^{p_i} e^{-\lambda_i \tau}` for τ ≤ window and 0 beyond.

    Since it ends, its components need not decay: a rate may be 0 (a constant, a polynomial), imaginary (a
    sine) or have a negative real part (growth). All tails are closed, so the answer to a piecewise-linear
    signal is exact; a periodic one is summed over the periods within the window. Components that hardly
    change over the window, or over the period, are summed as power series and lose no digits.

    Parameters
    ----------
    coefficients : array_like of complex, (n,)
        c. A conjugate pair may be given as both its members or as one of them with twice its coefficient.
    rates : array_like of complex, (n,)
        λ, in 1/time, any complex numbers.
    window : float
        Lag after which K is 0, positive.
    powers : array_like of int, (n,), optional
        p ≥ 0; 0 by default.
    delta : float
        Weight of the instantaneous part.

    Raises
    ------
    ValueError
        If the shapes differ, a number is not finite, a power is negative, the window is not positive, or K
        grows beyond all numbers within it.
    """

    coefficients: np.ndarray
    rates: np.ndarray
    window: float
    powers: np.ndarray = field(default_factory=lambda: np.zeros((), int))
    delta: float = 0.0

    def __post_init__(self) -> None:
        check_positive(window=self.window)
        checked = Exponentials.checked(self.coefficients, self.rates, self.powers, self.delta)
        for name in ("coefficients", "rates", "powers"):
            object.__setattr__(self, name, getattr(checked, name))
        for name in ("window", "delta"):
            object.__setattr__(self, name, float(getattr(self, name)))
        growth = -float(np.min(checked.rates.real, initial=0.0)) * self.window
        if growth > 600:
            raise ValueError(
                f"a kernel may grow by at most e^600 within its window, got e^{growth:.0f}; cut it earlier"
            )

    def __repr__(self) -> str:
        return (
            f"CutKernel({len(self.rates)} components to {self.window:g}, area {self.area:.4g}, "
            f"first moment {self.first_moment:.4g})"
        )

    def scaled(self, factor: float) -> Self:
        """The kernel times a number."""
        return replace(self, coefficients=self.coefficients * factor, delta=self.delta * factor)

    def rescaled(self, factor: float) -> Self:
        """The kernel in a time that runs slower by the factor: all lags times it, the area unchanged."""
        check_positive(factor=factor)
        sums = self._sum.rescaled(factor)
        window = self.window * factor
        return replace(self, coefficients=sums.coefficients, rates=sums.rates, window=window)

    @property
    def duration(self) -> float:
        """The window."""
        return self.window

    @cached_property
    def lags(self) -> np.ndarray:
        """Lags from 0 to the window that resolve every component, where it decays, turns or grows."""
        growing = self.rates[self.rates.real < 0]
        found = [
            np.linspace(0.0, self.window, 65),
            feature_lags(self.rates[self.rates.real >= 0]),
            self.window - feature_lags(growing),
        ]
        lags = np.unique(np.concatenate(found))
        return lags[(lags >= 0) & (lags <= self.window)]

    @property
    def seams(self) -> np.ndarray:
        """The window."""
        return np.array([self.window])

    @cached_property
    def _sum(self) -> Exponentials:
        return Exponentials(self.coefficients, self.rates, self.powers)

    @cached_property
    def _steep(self) -> Exponentials:
        """The components that change by many times within the window."""
        return self._sum.part(np.abs(self.rates) * self.window > FLAT)

    @cached_property
    def _flat(self) -> np.ndarray:
        """The other components, as powers of 1 − lag/window."""
        return self._sum.part(np.abs(self.rates) * self.window <= FLAT).before_end(self.window)

    @cached_property
    def _polynomials(self) -> tuple[np.ndarray, ...]:
        """What each tail has beside the steep components, as powers of 1 − lag/window.

        A repeated integral that ends at the window is the one to infinity less the polynomial that takes over
        beyond it.
        """
        ends = [float(self._steep.tail(order, np.array(self.window))) for order in range(4)]
        found = [np.append(self._flat, 0.0)]
        for order in (1, 2, 3):
            risen = self.window * found[-1] / np.arange(1, len(found[-1]) + 1)
            found.append(np.append(-ends[order], risen))
        return tuple(found)

    def _tail(self, order: int, lags: np.ndarray) -> np.ndarray:
        inside = np.minimum(lags, self.window)
        flat = polyval(1 - inside / self.window, self._polynomials[order])
        return np.where(lags <= self.window, self._steep.tail(order, inside) + flat, 0.0)

    def _envelope(self, order: int, lags: np.ndarray) -> np.ndarray:
        inside = np.minimum(lags, self.window)
        sizes = polyval(1 - inside / self.window, np.abs(self._polynomials[order]))
        return np.where(lags <= self.window, self._steep.envelope(order, inside) + sizes, 0.0)

    def _periodic_tail(self, order: int, lags: np.ndarray, period: float) -> np.ndarray:
        return super()._periodic_tail(order, lags, period) if len(self.rates) else np.zeros_like(lags)

    def _memory(self, signal: Signal, t: np.ndarray, order: int) -> np.ndarray:
        span = time_at_hand(signal, t)
        # From rest what matters is whether a component decays; over periods, whether it changes at all.
        slow = (np.abs(self.rates) if signal.periodic else self.rates.real) * span < SLOW
        if self.window <= span or not slow.any():
            return super()._memory(signal, t, order)
        fast = Kernel._memory(self._part(~slow, self.delta), signal, t, order)
        part = self._part(slow, 0.0)
        return fast + slow_memory(part.area, signal, t, order, part._remainder, part._sum.head)

    def _part(self, chosen: np.ndarray, delta: float) -> CutKernel:
        part = self._sum.part(chosen)
        return CutKernel(part.coefficients, part.rates, self.window, part.powers, delta)

    @cached_property
    def _beyond(self) -> Exponentials:
        """What was cut off, with its lags counted from the window's end."""
        return self._sum.later(self.window)

    def _remainder(self, order: int, lags: np.ndarray, period: float) -> np.ndarray:
        """That of the kernel that is not cut, less that of what was cut off, which answers later."""
        late = np.mod(lags - np.fmod(self.window, period), period)
        whole = self._sum.periodic_remainder(order, lags, period)
        return whole - self._beyond.periodic_remainder(order, late, period)


def sine(period: float = 0.1, scale: float = 1 / 3) -> CutKernel:
    """One period of a sine, K(τ) = scale · sin(2πτ/period) for τ ≤ period (F31): area 0, M₁ < 0.

    The published network holds it as the ten numbers K_k = ``sine()(0.01 * np.arange(10))`` and takes
    u(t) = 0.01 Σ K_k s(t − 0.01 k) in place of the integral; the first moment of those samples is −5.13e-4,
    that of the sine −5.31e-4.

    Parameters
    ----------
    period : float
        Length of the kernel, positive.
    scale : float
        Height of the sine, in 1/time. M₁ = −scale · period²/2π.
    """
    check_positive(period=period)
    return CutKernel(np.array([1j * scale]), np.array([2j * np.pi / period]), period)
