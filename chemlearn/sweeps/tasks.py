"""The two kinds of work that a worker does: plan a point, simulate a shard.

Both are plain functions of small picklable arguments, so that they run in this process, another one or
another machine. What goes wrong with a point comes back as a value; what goes wrong with the worker is an
exception.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from threading import Event, RLock
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from chemlearn.errors import ConvergenceError, ModelError, SimulationError
from chemlearn.model import Model
from chemlearn.simulate import simulate_ssa
from chemlearn.sweeps.course import Course
from chemlearn.sweeps.manifest import Sweep
from chemlearn.sweeps.measure import Column, Conditions, Measure, Samples
from chemlearn.sweeps.plan import Plan, plan

_ONE_AT_A_TIME = RLock()  # Antimony, libSBML and libroadrunner are not made for several threads


@dataclass(frozen=True)
class Broken:
    """What went wrong with a point."""

    reason: str


@dataclass(frozen=True)
class Limits:
    """What a single trajectory may take; the point fails where one takes more.

    Parameters
    ----------
    most_firings : int, optional
    timeout : float, optional
        Seconds.
    """

    most_firings: int | None = None
    timeout: float | None = None


class Stop(Event):
    """Set by whoever holds it, or by a parent; setting it does not set the parent.

    A simulation that fails ends its own threads by the event that it was given; those of others must go on.
    """

    def __init__(self, parent: Event) -> None:
        super().__init__()
        self.parent = parent

    def is_set(self) -> bool:
        return super().is_set() or self.parent.is_set()


@cache
def own_version() -> str:
    """Version of chemlearn in this process."""
    return version("chemlearn")


@dataclass(frozen=True)
class Recipe:
    """What makes the model of a point, without anything that has been computed from it.

    Parameters
    ----------
    fields : tuple of (name, value)
        Of a :class:`~chemlearn.Model`.
    values : tuple of (name, value)
        Set at the point.
    version : str
        Of chemlearn, which a worker on another machine must have too.
    """

    fields: tuple[tuple[str, Any], ...]
    values: tuple[tuple[str, float], ...]
    version: str = field(default_factory=own_version)

    @classmethod
    def of(cls, model: Model, values: Mapping[str, float]) -> Recipe:
        plain = tuple((item.name, getattr(model, item.name)) for item in fields(model))
        return cls(plain, tuple(values.items()))

    def require_same_version(self) -> None:
        """Raises RuntimeError where this process has another chemlearn than the one that asks."""
        if self.version != own_version():
            raise RuntimeError(f"a worker has chemlearn {own_version()} instead of {self.version}")


@lru_cache(maxsize=32)
def _made(recipe: Recipe) -> Model:
    """The model of a point, looked at closely once in every process."""
    model = Model(**dict(recipe.fields)).with_values(**dict(recipe.values))
    model.require(stochastic=True)
    return model


def recipe_of(sweep: Sweep, point: int) -> Recipe:
    """The recipe of a point of a sweep."""
    return Recipe.of(sweep.model, sweep.grid.values(point))


def planned(
    recipe: Recipe,
    measures: tuple[Measure, ...],
    conditions: Conditions,
    stopping: Event | None = None,
) -> Plan | Broken:
    """Plan a point; ``KeyboardInterrupt`` when ``stopping`` was set meanwhile."""
    recipe.require_same_version()
    try:
        # linear algebra on several threads rounds in another way, and others may have another number of them
        with _ONE_AT_A_TIME, threadpool_limits(1):
            return plan(_made(recipe), measures, conditions, stopping)
    except Exception as error:
        return Broken(told(error))


def simulated(
    recipe: Recipe,
    course: Course,
    columns: tuple[Column, ...],
    seed: int,
    point: int,
    block: range,
    engine: str,
    limits: Limits,
    workers: int = 1,
    stopping: Event | None = None,
) -> np.ndarray | Broken:
    """Simulate a shard, and keep its columns.

    Returns
    -------
    (n_columns, n_trajectories) array

    Raises
    ------
    KeyboardInterrupt
        When ``stopping`` was set meanwhile.
    RuntimeError
        When the worker has another version of chemlearn.
    """
    recipe.require_same_version()
    try:
        with _ONE_AT_A_TIME:
            model = _made(recipe)
        data = simulate_ssa(
            model,
            course.times,
            signal=course.signal,
            trajectories=block,
            seed=seed,
            engine=engine,
            workers=workers,
            point=point,
            most_firings=limits.most_firings,
            timeout=limits.timeout,
            stopping=None if stopping is None else Stop(stopping),
        )
        samples = Samples(model, course, data)
        return np.array([_kept(column, samples) for column in columns]).reshape(len(columns), len(block))
    except Exception as error:
        return Broken(told(error))


def _kept(column: Column, samples: Samples) -> np.ndarray:
    """A column, which must have one number for each trajectory."""
    numbers = np.asarray(column.of(samples), float)
    wanted = (samples.data.sizes["trajectory"],)
    if numbers.shape != wanted:
        raise ValueError(f"the column {column.name!r} must have the shape {wanted}, got {numbers.shape}")
    return numbers


def told(error: Exception) -> str:
    """An exception in one line; with its place where it is none that we raise ourselves."""
    if isinstance(error, (ModelError, SimulationError, ConvergenceError)):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
