"""What both simulations ask of their arguments, checked once at the door."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

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


def checked_ensemble(
    trajectories: int | range,
    workers: int | None,
    seed: int | None,
    most_firings: int | None,
    timeout: float | None,
) -> range:
    """Numbers of the trajectories, everything else found to be fine."""
    numbers = trajectories if isinstance(trajectories, range) else range(trajectories)
    if isinstance(trajectories, range) and (trajectories.step != 1 or trajectories.start < 0):
        raise ValueError(
            f"trajectories must be a number or a range of neighbours from 0 on, got {trajectories}"
        )
    for name, number in (
        ("trajectories", len(numbers)),
        ("workers", workers),
        ("most_firings", most_firings),
    ):
        if number is not None and number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout must be positive, got {timeout}")
    if seed is not None and (seed != int(seed) or seed < 0):
        raise ValueError(f"seed must be a whole number of at least 0, got {seed}")
    return numbers


def require_fit(model: Model, signal: Signal | None, start: Mapping[str, float] | None) -> dict[str, float]:
    """A model that can be fired under this signal, and whole amounts to start from."""
    model.require(stochastic=True)
    require_input(model, signal)
    _require_positive(model, signal)
    amounts = checked_start(model, start)
    for name, value in amounts.items():
        if name in model.network.species and (value != round(value) or value < 0):
            raise ValueError(f"the start of {name!r} must be a whole number, got {value}")
    return amounts


def _require_positive(model: Model, signal: Signal | None) -> None:
    """The model must be fit for firing at both ends of the signal's range too, not only at its own input."""
    for level in () if signal is None else sorted({float(signal.values.min()), float(signal.values.max())}):
        wrong = _wrong_at(model, level)
        if wrong:
            raise ModelError(f"where the signal is {level:g}: {wrong}")


@lru_cache(maxsize=256)
def _wrong_at(model: Model, level: float) -> str:
    """What stands in the way of firing a model at a level of its input; "" if nothing does."""
    try:
        model.with_values(**{model.input: level}).require(stochastic=True)
    except ModelError as error:
        return str(error)
    return ""


def root_seed(seed: int | None) -> int:
    """The seed that was given, or one drawn from the machine's entropy."""
    return int(np.random.SeedSequence().entropy) if seed is None else int(seed)  # type: ignore[arg-type]
