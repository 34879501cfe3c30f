"""Checks of arguments that several modules share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["check_positive", "finite_column"]


def finite_column(numbers: ArrayLike, name: str) -> np.ndarray:
    """At least one finite number, as a one-dimensional array of floats."""
    column = np.array(numbers, float)
    if column.ndim != 1 or not len(column):
        raise ValueError(f"{name} must be a list of at least one number, got shape {column.shape}")
    if not np.isfinite(column).all():
        raise ValueError(f"{name} must be finite, got {column[~np.isfinite(column)][0]}")
    return column


def check_positive(**numbers: float) -> None:
    """Refuse numbers that are not positive and finite, naming the first that is not."""
    for name, number in numbers.items():
        if not (np.isfinite(number) and number > 0):
            raise ValueError(f"{' and '.join(numbers)} must be positive, got {name}={number}")
