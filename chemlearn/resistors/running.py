"""A run of coupled learning out of equilibrium: steps, what is kept of them, and the watch for the goal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator

from chemlearn.errors import SimulationError
from chemlearn.resistors import stepping
from chemlearn.resistors.loops import Law, Wiring
from chemlearn.resistors.network import ResistorNetwork
from chemlearn.resistors.rest import equilibrium_error
from chemlearn.resistors.solve import response
from chemlearn.resistors.tasks import Task

__all__ = ["Course", "Run", "learn_out_of_equilibrium"]

ROWS = 64
"""Steps between two looks at the equilibrium error."""


class Course:
    """Rows of a run, thinned out to every other one whenever there are too many."""

    def __init__(self, points: int) -> None:
        self.points, self.stride, self.seen = points, 1, 0
        self.rows: list[tuple[float, float, np.ndarray, np.ndarray]] = []
        self.steps = self.evaluations = 0
        self.time = math.nan

    def add(self, time: float, error: float, voltages: np.ndarray, conductance: np.ndarray) -> None:
        if self.seen % self.stride == 0:
            self.rows.append((time, error, voltages.copy(), conductance.copy()))
        self.seen += 1
        if len(self.rows) >= 2 * self.points:
            self.rows = self.rows[::2]
            self.stride *= 2

    def finish(self, time: float, error: float, voltages: np.ndarray, conductance: np.ndarray) -> None:
        """The last row, kept in any case."""
        if self.rows[-1][0] != time:
            self.rows.append((time, error, voltages.copy(), conductance.copy()))


class Run(NamedTuple):
    """A run out of equilibrium."""

    network: ResistorNetwork
    tasks: tuple[Task, ...]
    law: Law
    goal: float
    error: str
    stop: bool
    longest: float
    tolerance: float
    stepper: str


def _wiring(network: ResistorNetwork, tasks: Sequence[Task]) -> Wiring:
    copies = sum(map(len, tasks))
    free = np.ones((copies, network.nodes))
    if network.ground is not None:
        free[:, network.ground] = 0
    clamped, places, row = free.copy(), [], 0
    for task in tasks:
        rows = slice(row, row + len(task))
        free[rows, task.sources] = clamped[rows, task.sources] = 0
        clamped[rows, task.targets] = 0
        places.append((np.arange(row, row + len(task))[:, None] * network.nodes + task.targets).ravel())
        row += len(task)
    first, second = np.ascontiguousarray(network.edges.T.astype(np.uint64))
    return Wiring(
        network.nodes,
        copies,
        first,
        second,
        free.ravel(),
        clamped.ravel(),
        np.concatenate(places),
        np.concatenate([task.outputs.ravel() for task in tasks]),
    )


def _state(run: Run, begin: np.ndarray) -> np.ndarray:
    """v, u and g with both copies at rest."""
    found = [(response(run.network, begin, task), task) for task in run.tasks]
    free = [rest.free.ravel() for rest, _task in found]
    clamped = [rest.clamped(task).ravel() for rest, task in found]
    return np.concatenate([*free, *clamped, begin])


def _control(run: Run, wiring: Wiring, y: np.ndarray) -> stepping.Control:
    half = wiring.copies * wiring.nodes
    voltage = math.sqrt(np.mean([np.mean(task.inputs**2) for task in run.tasks])) or 1.0
    level = float(y[2 * half :].mean())
    off = float(np.abs(y[half : 2 * half]).max())
    stabilised = run.stepper == "stabilised"
    if run.stepper == "auto":
        stabilised = run.law.alpha * voltage**2 <= run.law.gamma * level**2
    watched = run.error == "instantaneous"
    return stepping.Control(
        stabilised,
        run.tolerance,
        (voltage, 0.1 * off, level),
        run.goal if watched else -1.0,
        run.stop,
        run.longest,
    )


def learn_out_of_equilibrium(run: Run, begin: np.ndarray, course: Course) -> bool:
    """Follow S3; whether the goal was reached."""
    wiring, y = _wiring(run.network, run.tasks), _state(run, begin)
    control = _control(run, wiring, y)
    clock = np.array([0.0, 0.0, math.nan, 0.0, 0.0])
    targets, edges = len(wiring.targets), run.network.n_edges
    record = stepping.Record(
        np.empty(ROWS), np.empty(ROWS), np.empty((ROWS, targets)), np.empty((ROWS, edges))
    )
    voltages = y[wiring.targets]
    first = float(((wiring.wanted - voltages) ** 2).sum() / wiring.copies)
    course.add(0.0, first, voltages, begin)
    watch = _Watch(run, (0.0, first)) if run.error == "equilibrium" else None
    while True:
        count, why = stepping.advance(wiring, run.law, control, y, clock, record)
        last = count
        if watch is not None and count:
            last = watch.look(record, count, why != stepping.FULL)
            clock[2] = watch.time
        for row in range(last):
            course.add(record.times[row], record.errors[row], record.voltages[row], record.conductances[row])
        arrived = run.stop and not math.isnan(clock[2])
        if why == stepping.STUCK:
            raise SimulationError(
                f"no step is small enough at time {clock[0]:g} for alpha={run.law.alpha:g} and "
                f"gamma={run.law.gamma:g}; raise the tolerance, {run.tolerance:g}, or the least conductance"
            )
        if arrived or why != stepping.FULL:
            break
    if last:
        end = last - 1
        course.finish(record.times[end], record.errors[end], record.voltages[end], record.conductances[end])
    course.time, course.steps, course.evaluations = float(clock[2]), int(clock[3]), int(clock[4])
    return not math.isnan(course.time)


class _Watch:
    """Looks for the instant at which the equilibrium error is at the goal."""

    def __init__(self, run: Run, first: tuple[float, float]) -> None:
        self.run, self.time = run, math.nan
        self.times, self.errors = [first[0]], [first[1]]

    def look(self, record: stepping.Record, count: int, ended: bool) -> int:
        """Go through the rows; how many of them to keep, up to the one that passes the goal."""
        if not math.isnan(self.time):
            return count
        found = equilibrium_error(self.run.network, self.run.tasks, record.conductances[:count])
        below = np.flatnonzero(found <= self.run.goal)
        self.times = [*self.times[-2:], *record.times[:count].tolist()]
        self.errors = [*self.errors[-2:], *found.tolist()]
        if not len(below):
            return count
        row = int(below[0])
        self.time = self._crossing(len(self.times) - count + row)
        return row + 1 if self.run.stop else count

    def _crossing(self, place: int) -> float:
        """The logarithm of the error through the neighbouring rows by a monotone cubic."""
        part = slice(max(0, place - 2), place + 2)
        logs = np.log(np.maximum(self.errors[part], 1e-300)) - math.log(self.run.goal)
        roots = PchipInterpolator(self.times[part], logs).roots(extrapolate=False)
        within = roots[(roots >= self.times[place - 1]) & (roots <= self.times[place])]
        return float(within[0]) if len(within) else self.times[place]
