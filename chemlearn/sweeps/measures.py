"""The measures known by name: mean, variance, dissipation, area, first_moment and offset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import xarray as xr

from chemlearn.cycle import steady_output
from chemlearn.entropy.network import UNIT
from chemlearn.errors import ConvergenceError, ModelError, SimulationError
from chemlearn.linear import linear_kernel, step_kernel
from chemlearn.model import Model
from chemlearn.noise import output_sd
from chemlearn.sweeps.course import Course, rounded
from chemlearn.sweeps.entropy import entropy_production, steady_dissipation
from chemlearn.sweeps.measure import (
    Average,
    Column,
    Estimate,
    Expected,
    Measure,
    Point,
    Samples,
    mean_and_error,
)

_CLEAR = 3.0  # standard errors by which a first moment must differ from 0 before one divides by it
_HALF_TIMES = 30.0  # of the kernel in the fast swing, unless it is given


# --- columns -----------------------------------------------------------------------------------------------


def _output(window: xr.Dataset, samples: Samples) -> np.ndarray:
    return np.asarray(window[samples.model.output].values)


def _mean_output(samples: Samples) -> np.ndarray:
    return _output(samples.steady, samples).mean(axis=1)


def _mean_square(samples: Samples) -> np.ndarray:
    return (_output(samples.steady, samples) ** 2).mean(axis=1)


def _step_area(samples: Samples) -> np.ndarray:
    """∫K = [u(∞) − u(before)] / Δs."""
    rise = _output(samples.steady, samples).mean(axis=1) - _output(samples.baseline, samples).mean(axis=1)
    return rise / _step_of(samples.course)


def _step_moment(samples: Samples) -> np.ndarray:
    """∫τK dτ = ∫ [u(∞) − u(τ)] dτ / Δs, by parts."""
    course = samples.course
    missing = course.response * _output(samples.steady, samples).mean(axis=1)
    return (missing - _output(samples.response, samples) @ course.weights) / _step_of(course)


def _step_of(course: Course) -> float:
    return course.level - (course.before or 0.0)


def _entropy(samples: Samples) -> np.ndarray:
    return entropy_production(samples.model, samples.steady)


MEAN = Column("mean", _mean_output)
SQUARE = Column("square", _mean_square)
AREA = Column("area", _step_area, stepped=True)
FIRST_MOMENT = Column("first_moment", _step_moment, stepped=True)
ENTROPY = Column("dissipation", _entropy)


# --- measures ----------------------------------------------------------------------------------------------


def _or_nan(compute: Callable[[], float]) -> Expected:
    """A companion's value, nan where the model has none."""
    try:
        return Expected(float(compute()))
    except (ModelError, ConvergenceError, SimulationError):
        return Expected()


def _expected_mean(point: Point) -> Expected:
    return _or_nan(lambda: _rest(point.model, point.course.level))


@lru_cache(maxsize=16)
def _rest(model: Model, level: float) -> float:
    """The output at rest by the rate equations, which several measures ask for."""
    return steady_output(model, level)


def _expected_dissipation(point: Point) -> Expected:
    found = steady_dissipation(point.model)
    return Expected(found.rate, "" if np.isfinite(found.rate) else found.reason)


def _no_step(point: Point) -> str:
    level = point.course.level
    if level != point.conditions.before:
        return ""
    return f"the input does not step: {level:g} is also the level before; choose another one (before)"


def _expected_area(point: Point) -> Expected:
    reason = _no_step(point)
    if reason:
        return Expected(reason=reason)
    before, level = point.conditions.before, point.course.level

    def area() -> float:
        return (_rest(point.model, level) - _rest(point.model, before)) / (level - before)

    return _or_nan(area)


def _expected_moment(point: Point) -> Expected:
    reason = _no_step(point)
    if reason:
        return Expected(reason=reason)
    before, level = point.conditions.before, point.course.level
    return _or_nan(lambda: _moment(point.model, before, level))


@lru_cache(maxsize=8)
def _moment(model: Model, before: float, level: float) -> float:
    """M₁ of the step response by the rate equations, which several measures ask for."""
    return step_kernel(model, before, level).first_moment


@dataclass(frozen=True)
class Variance:
    """Variance of the output at rest, over trajectories and time."""

    name: str = "variance"
    units: str = "square of the unit of the output"
    columns: tuple[Column, ...] = (MEAN, SQUARE)
    companion: str = "linear_noise"

    def expected(self, point: Point) -> Expected:
        """The linear noise approximation, exact for linear propensities and a linear output."""
        return _or_nan(lambda: output_sd(point.model, point.course.level) ** 2)

    def estimate(self, columns: Mapping[str, np.ndarray], expected: Expected) -> Estimate:
        """⟨u²⟩ − ⟨u⟩², without bias; error by the delta method."""
        mean, square = columns[MEAN.name], columns[SQUARE.name]
        n, centre = len(mean), float(mean.mean())
        value = float(square.mean()) - centre**2 + float(mean.var(ddof=1)) / n
        return Estimate(value, mean_and_error(square - 2 * centre * mean).error)


@dataclass(frozen=True)
class Offset:
    r"""What the area of the kernel adds to an update, :math:`I \bar s \tau_f / |M_1|` (F10, F36).

    I and M₁ are area and first moment of the step response of the ensemble; a kernel without two lobes, whose
    M₁ is not negative, takes no difference, and then there is no offset.
    """

    name: str = "offset"
    units: str = "as the input"
    columns: tuple[Column, ...] = (AREA, FIRST_MOMENT)
    companion: str = "rate_equations"

    def expected(self, point: Point) -> Expected:
        """The same from the rate equations, with s̄ (``mean``) and τ_f (``rise``)."""
        conditions, level = point.conditions, point.course.level
        mean = level if conditions.mean is None else conditions.mean
        rise = conditions.rise
        if rise is None:
            try:
                rise = rounded(_HALF_TIMES * linear_kernel(point.model, mean).half_time)
            except (ModelError, ConvergenceError, SimulationError) as error:
                return Expected(reason=f"no half-time to choose the fast swing by ({error}); give its rise")
        area, moment = _expected_area(point), _expected_moment(point)
        value = area.value * mean * rise / abs(moment.value) if moment.value < 0 else np.nan
        return Expected(value, area.reason, {"mean": mean, "rise": rise})

    def estimate(self, columns: Mapping[str, np.ndarray], expected: Expected) -> Estimate:
        """A ratio of means; error by the delta method."""
        area, moment = mean_and_error(columns[AREA.name]), mean_and_error(columns[FIRST_MOMENT.name])
        if not moment.value < 0:
            return Estimate(
                np.nan, np.nan, f"no two-lobed kernel: M₁ = {moment.value:.3g} ± {moment.error:.2g}"
            )
        if moment.value > -_CLEAR * moment.error:
            return Estimate(
                np.nan,
                np.nan,
                f"M₁ = {moment.value:.3g} ± {moment.error:.2g} is not clearly below 0; "
                f"more trajectories would tell",
            )
        factor = expected.details["mean"] * expected.details["rise"]
        ratio = area.value / -moment.value
        error = mean_and_error(columns[AREA.name] + ratio * columns[FIRST_MOMENT.name]).error
        return Estimate(factor * ratio, abs(factor) * error / -moment.value)


_ALL: tuple[Measure, ...] = (
    Average("mean", MEAN, "as the output", "rate_equations", _expected_mean),
    Variance(),
    Average("dissipation", ENTROPY, UNIT, "rate_equations", _expected_dissipation),
    Average("area", AREA, "output per input", "rate_equations", _expected_area),
    Average(
        "first_moment", FIRST_MOMENT, "output per unit of input × time", "rate_equations", _expected_moment
    ),
    Offset(),
)
MEASURES: dict[str, Measure] = {measure.name: measure for measure in _ALL}  #: those known by name


def measures(wanted: Iterable[str | Measure]) -> tuple[Measure, ...]:
    """Measures by name or as objects, each once.

    Raises
    ------
    ValueError
        For an unknown name, two of one name, none at all, or an object that does not tell itself from
        others.
    """
    found: list[Measure] = []
    for item in (wanted,) if isinstance(wanted, str) else wanted:
        if isinstance(item, str) and item not in MEASURES:
            raise ValueError(f"no measure named {item!r}; there are {', '.join(MEASURES)}")
        found.append(MEASURES[item] if isinstance(item, str) else item)
    names = [measure.name for measure in found]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if not found or twice is not None:
        raise ValueError(
            f"the measure {twice!r} is asked for twice; leave one out"
            if twice
            else f"a sweep needs a measure; there are {', '.join(MEASURES)}"
        )
    nameless = next((measure for measure in found if " at 0x" in repr(measure)), None)
    if nameless is not None:
        raise ValueError(
            f"the repr of the measure {nameless.name!r} does not show its numbers, got {nameless!r}; "
            f"make it a frozen dataclass"
        )
    return tuple(found)


def columns_of(wanted: Iterable[Measure]) -> tuple[Column, ...]:
    """All columns that some measures need, each once.

    Raises
    ------
    ValueError
        For two different columns of one name.
    """
    found: dict[str, Column] = {}
    for column in (column for measure in wanted for column in measure.columns):
        if found.setdefault(column.name, column) != column:
            raise ValueError(f"two different columns are named {column.name!r}; give one another name")
    return tuple(found.values())
