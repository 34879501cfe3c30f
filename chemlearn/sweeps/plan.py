"""What is known of a point before its trajectories are simulated: windows, cost, companions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from threading import Event

import numpy as np

from chemlearn.errors import ConvergenceError, ModelError, SimulationError
from chemlearn.model import Model
from chemlearn.sweeps.course import Course, rounded
from chemlearn.sweeps.measure import Column, Conditions, Expected, Measure, Point
from chemlearn.sweeps.measures import columns_of

_REASON = 300  # characters


@dataclass(frozen=True)
class Plan:
    """How the trajectories of a point are simulated, and what is expected of them.

    Parameters
    ----------
    course : Course
    firings : float
        Of reactions in one trajectory, roughly: what it costs.
    expected : tuple of Expected
        In the order of the measures.
    """

    course: Course
    firings: float
    expected: tuple[Expected, ...]

    def columns(self, measures: Iterable[Measure]) -> tuple[Column, ...]:
        """What is to be kept of the trajectories; nothing where no measure can be estimated."""
        pairs = zip(measures, self.expected, strict=True)
        return columns_of(measure for measure, expected in pairs if not expected.reason)

    def to_json(self) -> str:
        """As text: every digit is kept, and the beginning of a long reason."""
        expected = tuple(replace(item, reason=item.reason[:_REASON]) for item in self.expected)
        return json.dumps(asdict(replace(self, expected=expected)))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """From :meth:`to_json`."""
        data = json.loads(text)
        expected = tuple(Expected(**item) for item in data["expected"])
        return cls(Course(**data["course"]), data["firings"], expected)


def plan(
    model: Model,
    measures: tuple[Measure, ...],
    conditions: Conditions,
    stopping: Event | None = None,
) -> Plan:
    """Plan the point that a model with its values is.

    Raises
    ------
    KeyboardInterrupt
        When ``stopping`` was set meanwhile.
    ModelError
        When the model cannot be fired reaction by reaction.
    ConvergenceError, SimulationError
        Without a steady state whose memory sets the lengths (unless ``conditions.memory`` does).
    """
    model.require(stochastic=True)
    level = model.input_value
    before = conditions.before if conditions.before != level else None
    if not any(column.stepped for column in columns_of(measures)):
        before = None
    rests = [_Rest.of(model, at) for at in ([level] if before is None else [level, before])]
    memory = conditions.memory or rounded(max(rest.memory() for rest in rests))
    course = Course(level, memory, before)
    point = Point(model, course, conditions)
    firings = sum(rest.activity * time for rest, time in zip(rests, course.lengths, strict=True))
    expected = []
    for measure in measures:
        if stopping is not None and stopping.is_set():
            raise KeyboardInterrupt("the planning was stopped")
        expected.append(measure.expected(point))
    return Plan(course, firings, tuple(expected))


@dataclass(frozen=True)
class _Rest:
    """A model at rest at one level of its input; ``trouble`` where it finds no rest."""

    model: Model
    level: float
    state: np.ndarray
    trouble: Exception | None = None

    @classmethod
    def of(cls, model: Model, level: float) -> _Rest:
        try:
            return cls(model, level, model.dynamics.steady_state(level))
        except (ConvergenceError, SimulationError) as error:
            return cls(model, level, model.dynamics.initial, error)

    def memory(self) -> float:
        """Slowest time constant of what moves the output, from the Jacobian."""
        if self.trouble is not None:
            raise self.trouble
        matrix = self.model.dynamics.reduced(self.state, self.level)[0]
        if not len(matrix):
            raise ModelError(f"{self.model.origin}: nothing moves the output {self.model.output!r}")
        return float(1.0 / np.min(-np.linalg.eigvals(matrix).real))

    @property
    def activity(self) -> float:
        """Firings per time."""
        rates = self.model.dynamics.rates(self.state, self.level)[: len(self.model.network.reactions)]
        return max(float(np.nan_to_num(np.sum(rates))), 1e-300)
