"""What both simulations ask of their arguments, checked once at the door."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from chemlearn.errors import ModelError
from chemlearn.model import Model
from chemlearn.signal import Signal


def checked_times(times: np.ndarray) -> np.ndarray:
    """Output times as an array, or a ValueError that says what is wrong with them."""
    times = np.asarray(times, dtype=float)
    if times.ndim != 1 or not len(times) or not np.all(np.isfinite(times)):
        raise ValueError(f"times must be a one-dimensional array of finite numbers, got shape {times.shape}")
    if times[0] < 0 or np.any(np.diff(times) <= 0):
        raise ValueError("times must increase from 0 or later, such as numpy.linspace(0, 10, 101)")
    return times


def require_input(model: Model, signal: Signal | None) -> None:
    """A signal needs a constant to drive."""
    if signal is not None and model.input not in model.network.constants:
        raise ModelError(model.missing_role("input"))


def checked_start(model: Model, start: Mapping[str, float] | None) -> dict[str, float]:
    """Amounts to start from, every name known."""
    for name in start or {}:
        if name not in model.network.variables:
            raise ModelError(
                f"no species named {name!r} to start; '{model.name}' has {', '.join(model.network.variables)}"
            )
    amounts = {name: float(value) for name, value in (start or {}).items()}
    for name, value in amounts.items():
        if not math.isfinite(value):
            raise ValueError(f"the start of {name!r} must be a finite number, got {value}")
    return amounts


def has_ramps(signal: Signal) -> bool:
    """Whether the input ever changes other than by jumps."""
    return bool(np.any(signal.segments.slopes))


def same_instant(times: np.ndarray) -> float:
    """Differences up to this are rounding: a knot and an output time that are meant to be one instant."""
    return 8 * float(np.finfo(float).eps) * float(times[-1])
