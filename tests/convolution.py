"""The slow oracle of the kernels: integrals by Gauss-Legendre quadrature, convolutions by definition."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from chemlearn.signal import Signal

__all__ = ["convolved", "quadrature"]

NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)


def quadrature(f: Callable[[np.ndarray], np.ndarray], cuts: np.ndarray, longest: float = 0.25) -> float:
    """∫ f between the cuts, in stretches no longer than given."""
    total = 0.0
    for left, right in pairwise(cuts):
        edges = np.linspace(left, right, 1 + max(1, int(np.ceil((right - left) / longest))))
        middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
        total += float(np.sum(half[:, None] * WEIGHTS * f(middle[:, None] + half[:, None] * NODES)))
    return total


def convolved(formula: Callable[[np.ndarray], np.ndarray], signal: Signal, t: float, reach: float) -> float:
    """∫_0^reach K(τ) s(t−τ) dτ, cut where s bends or jumps."""
    k = np.arange(np.floor((t - reach) / (signal.period or 1)) - 1, np.ceil(t / (signal.period or 1)) + 2)
    knots = (np.add.outer(k * signal.period, signal.times) if signal.periodic else signal.times).ravel()
    lags = t - knots
    cuts = np.unique(np.concatenate([[0.0, reach], lags[(lags > 1e-12) & (lags < reach)]]))
    return quadrature(lambda lag: formula(lag) * signal(t - lag), cuts)
