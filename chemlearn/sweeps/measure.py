"""What a measure is: the terms of the language in which one says what a sweep measures.

A measure keeps a number or a few of every trajectory (its columns) and makes of them a value with its
standard error; where there is one, a calculation without random numbers stands beside it (its companion).
The counts themselves are not kept. The measures known by name are in :mod:`chemlearn.sweeps.measures`.

Your own is an :class:`Average` of your own column, or any object with the attributes and methods of
:class:`Measure`::

    def peak(samples):
        return samples.steady[samples.model.output].values.max(axis=1)

    chemlearn.sweep(model, over, measures=["mean", Average("peak", Column("peak", peak))])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import xarray as xr

from chemlearn.model import Model
from chemlearn.sweeps.course import Course


@dataclass(frozen=True)
class Conditions:
    """Under which conditions is measured; what is None is chosen for every point.

    Parameters
    ----------
    before : float
        Level from which the input steps.
    memory : float, optional
        Slowest time constant, in which all lengths are counted; from the Jacobian by default.
    mean, rise : float, optional
        s̄ and τ_f of the fast swing of ``offset``: the point's own input, and 30 half-times of the kernel.

    Raises
    ------
    ValueError
        For a number that makes no sense, by name.
    """

    before: float = 0.0
    memory: float | None = None
    mean: float | None = None
    rise: float | None = None

    def __post_init__(self) -> None:
        for name in ("before", "mean"):
            value = getattr(self, name)
            if value is not None and not np.isfinite(value):
                raise ValueError(f"{name} must be a finite number, got {value}")
        for name in ("memory", "rise"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive, got {value:g}")


@dataclass(frozen=True)
class Point:
    """One point of the grid: its model, what the input does there, and the conditions."""

    model: Model
    course: Course
    conditions: Conditions


@dataclass(frozen=True)
class Samples:
    """Some trajectories of a point.

    Parameters
    ----------
    model : Model
        With the values of the point.
    course : Course
    data : xarray.Dataset
        As of :func:`chemlearn.simulate_ssa`, at ``course.times``.
    """

    model: Model
    course: Course
    data: xr.Dataset

    def _window(self, number: int) -> xr.Dataset:
        return self.data.isel(time=self.course.parts[number])

    @property
    def baseline(self) -> xr.Dataset:
        """At rest before the step: 64 instants."""
        return self._window(0)

    @property
    def response(self) -> xr.Dataset:
        """After the step: 100 instants, whose values times ``course.weights`` sum to the integral."""
        return self._window(1)

    @property
    def steady(self) -> xr.Dataset:
        """At rest at the level of the point: 256 instants."""
        return self._window(2)


@dataclass(frozen=True, repr=False)
class Column:
    """One number of every trajectory.

    Parameters
    ----------
    name : str
    of : callable
        Function of :class:`Samples` giving (n_trajectories,) numbers; defined in a module, so that it can
        be sent to another process.
    stepped : bool
        Whether it needs the baseline and the response, and not only the steady state.
    """

    name: str
    of: Callable[[Samples], np.ndarray]
    stepped: bool = False

    def __repr__(self) -> str:
        where = f"{self.of.__module__}.{self.of.__qualname__}"
        return f"Column({self.name!r}, {where}, stepped={self.stepped})"


@dataclass(frozen=True)
class Expected:
    """What is known of a measure at a point before anything is simulated.

    Parameters
    ----------
    value : float
        Of the companion; nan where there is none.
    reason : str
        Why it cannot be estimated at this point at all, with ``value`` inf or nan as its result; "" where it
        can.
    details : mapping of str to float
        Further numbers that belong to it, such as the duration of a swing.
    """

    value: float = np.nan
    reason: str = ""
    details: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error; nan or infinite with a reason."""

    value: float
    error: float = np.nan
    reason: str = ""


class Measure(Protocol):
    """What :func:`chemlearn.sweep` asks of a measure.

    Its ``repr`` tells it from others, so it must show every number that the results depend on: a frozen
    dataclass does that.
    """

    @property
    def name(self) -> str:
        """Of its variable in the results."""

    @property
    def units(self) -> str: ...

    @property
    def columns(self) -> tuple[Column, ...]:
        """What is kept of every trajectory; columns of one name are computed once."""

    @property
    def companion(self) -> str:
        """How the value without random numbers is called, such as ``rate_equations``; "" for none."""

    def expected(self, point: Point) -> Expected:
        """The companion's value, or why nothing can be estimated at this point."""

    def estimate(self, columns: Mapping[str, np.ndarray], expected: Expected) -> Estimate:
        """Value and error from the columns, each (n_trajectories,)."""


def mean_and_error(numbers: np.ndarray) -> Estimate:
    """Mean over trajectories and its standard error."""
    if np.any(np.isinf(numbers)):
        return Estimate(np.inf, np.nan, "it is infinite in some trajectories")
    return Estimate(float(numbers.mean()), float(numbers.std(ddof=1) / np.sqrt(len(numbers))))


def nothing_expected(point: Point) -> Expected:
    """For a measure without a companion."""
    return Expected()


@dataclass(frozen=True, repr=False)
class Average:
    """A measure that is the mean of one column over the trajectories.

    Parameters
    ----------
    name : str
    column : Column
    units : str
    companion : str
        What ``expectation`` is, such as ``"rate_equations"``; "" where there is none.
    expectation : callable
        Function of a :class:`Point` giving :class:`Expected`.
    """

    name: str
    column: Column
    units: str = ""
    companion: str = ""
    expectation: Callable[[Point], Expected] = nothing_expected

    def __repr__(self) -> str:
        return f"Average({self.name!r}, {self.column!r})"

    @property
    def columns(self) -> tuple[Column, ...]:
        return (self.column,)

    def expected(self, point: Point) -> Expected:
        return self.expectation(point)

    def estimate(self, columns: Mapping[str, np.ndarray], expected: Expected) -> Estimate:
        return mean_and_error(columns[self.column.name])
