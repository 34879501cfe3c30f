"""How far a sample's means and variances are from known ones, in standard errors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Moments(NamedTuple):
    """Mean, variance and fourth central moment, (n_times, n_species) each."""

    mean: np.ndarray
    variance: np.ndarray
    fourth: np.ndarray

    @classmethod
    def of(cls, counts: np.ndarray) -> Moments:
        """Of a sample, (n_trajectories, n_times, n_species)."""
        mean = counts.mean(axis=0)
        squares = (counts - mean) ** 2
        return cls(mean, squares.sum(axis=0) / (len(counts) - 1), (squares**2).mean(axis=0))


def off_by(counts: np.ndarray, known: Moments, of: int | None = None) -> tuple[float, float]:
    """Largest differences of a mean and of a variance; infinite where nothing may vary and something does.

    ``known`` is exact, or from a sample of so many. Its own moments give the standard errors.
    """
    share = 1 / len(counts) + (1 / of if of else 0)
    sample = Moments.of(counts)
    return (
        _largest(sample.mean - known.mean, known.variance * share),
        _largest(sample.variance - known.variance, (known.fourth - known.variance**2) * share),
    )


def _largest(difference: np.ndarray, squared_error: np.ndarray) -> float:
    error = np.sqrt(np.maximum(squared_error, 0))
    nothing = np.where(np.abs(difference) <= 1e-9, 0.0, np.inf)  # rounding only
    return float(np.where(error > 1e-9, np.abs(difference) / np.where(error > 1e-9, error, 1), nothing).max())
