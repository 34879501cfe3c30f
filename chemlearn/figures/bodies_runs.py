"""Runs behind the figure of bodies that learn: random tasks, with and without what makes edges remember."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from chemlearn.bodies import Body, flow, memristors, springs, train_body
from chemlearn.bodies.swinging import SwungEdges, contrasts
from chemlearn.figures.shared import annotated, column
from chemlearn.resistors.files import published_network
from chemlearn.resistors.solve import response
from chemlearn.resistors.tasks import Task, allosteric

__all__ = ["GOAL", "IDEAL", "PATIENCE", "RULES", "SMALL", "WITH", "WITHOUT", "measured"]

STEPS = 600
"""Updates that the ideal rule has."""

PATIENCE = 3
"""Times its updates that the others have."""

GOAL = 1e-2

SOURCES, TARGETS = 5, 3

IDEAL, WITH, WITHOUT, SMALL = "ideal rule", "with memory", "without memory", "without, small steps"
RULES = (IDEAL, WITH, WITHOUT, SMALL)

TYPICAL = 20
"""Updates of the ideal rule that make a task worth showing."""


def measured(fast: bool, seed: int) -> xr.Dataset:
    """All runs of the figure; fewer tasks if fast."""
    network, count = published_network(), 3 if fast else 25
    # The same seeds as for the tasks of resistors.
    seeds = np.random.SeedSequence(seed, spawn_key=(SOURCES,)).generate_state(count)
    tried = [_Tried.of(make(network), seeds.tolist()) for make in (flow, springs, memristors)]
    names = [one.body.name for one in tried]
    found = xr.concat([_dataset(one) for one in tried], "body", join="outer", coords="minimal").assign_coords(
        body=("body", names, {"units": "1", "long_name": "body"})
    )
    how: dict[str, Any] = {
        one.body.name: {
            "rate": one.body.rate,
            "least": one.body.least,
            "protocol": asdict(one.body.protocol),
            "sense": repr(one.body.sense),
        }
        for one in tried
    }
    how |= {"tasks": count, "sources": SOURCES, "targets": TARGETS}
    how |= {"goal": GOAL, "steps": STEPS, "patience": PATIENCE}
    return annotated(found, figure="bodies", fast=fast, seed=seed, **how).assign_attrs(
        source="ours; the bodies are those of Fig. 7 of Falk, Strupp, Scellier, Murugan, "
        "doi:10.1038/s41467-025-57043-x (arXiv:2312.17723)",
        network=network.source,
    )


class _Tried(NamedTuple):
    """A body, its tasks, and what each rule did on each; others than the ideal only where that one did."""

    body: Body
    tasks: list[Task]
    runs: list[dict[str, xr.Dataset]]
    rates: list[float]
    """Of small steps, in units of the body's; nan where they were not taken."""

    @classmethod
    def of(cls, body: Body, seeds: list[int]) -> _Tried:
        tasks = [allosteric(body.network, sources=SOURCES, targets=TARGETS, seed=int(s)) for s in seeds]
        runs, rates = [], []
        for task in tasks:
            ideal = train_body(body, task, memory="ideal", goal=GOAL, steps=STEPS)
            rates.append(_small(body, task) if ideal.reached else math.nan)
            runs.append({IDEAL: ideal})
            if ideal.reached:
                runs[-1] |= _learned(body, task, PATIENCE * ideal.updates, rates[-1])
        return cls(body, tasks, runs, rates)

    @property
    def shown(self) -> int:
        """The first task that is not too easy, of those that are solved with memory."""
        able = [n for n, run in enumerate(self.runs) if WITH in run and run[WITH].reached]
        return next((n for n in able if self.runs[n][IDEAL].updates >= TYPICAL), able[0] if able else 0)


def _learned(body: Body, task: Task, most: int, small: float) -> dict[str, xr.Dataset]:
    """With memory and without, the latter also by small steps."""
    return {
        WITH: train_body(body, task, goal=GOAL, steps=most),
        WITHOUT: train_body(body, task, goal=GOAL, steps=most, memory=False),
        SMALL: train_body(
            body, task, _open(body).protocol, rate=small * body.rate, goal=GOAL, steps=most, memory=False
        ),
    }


def _open(body: Body) -> Body:
    """The body with thresholds that a reading that hardly changes passes too, if only half of the time."""
    return replace(body, protocol=replace(body.protocol, margin=min(1.0, body.protocol.margin)))


def _small(body: Body, task: Task) -> float:
    """Rate at which the first update is as large without memory as with it, in units of the body's.

    Edges that do not compare read a level rather than its change, so that their updates are orders of
    magnitude larger, and one is enough to bring all weights to their bounds.
    """
    # So low a rate that no bound is met.
    how: dict[str, Any] = {"rate": 1e-6 * body.rate, "steps": 1, "goal": 1e-9}
    runs = (train_body(body, task, **how), train_body(_open(body), task, memory=False, **how))
    sizes = [float(np.sqrt(((run.weight - run.weight_first) ** 2).mean())) for run in runs]
    return min(1.0, sizes[0] / sizes[1]) if sizes[1] else 1.0


def _dataset(tried: _Tried) -> xr.Dataset:
    """One body: all tasks, and one of them in detail."""
    reached = [
        [run[rule].updates if rule in run and run[rule].reached else math.nan for run in tried.runs]
        for rule in RULES
    ]
    least = [
        [float(run[rule].error.min()) if rule in run else math.nan for run in tried.runs] for rule in RULES
    ]
    about = f"updates to C/C0 = {GOAL:g}, nan if not reached in {STEPS}, or {PATIENCE} times the ideal ones"
    whole = xr.Dataset(
        {
            "updates": column(("rule", "task"), reached, "1", about),
            "least_error": column(("rule", "task"), least, "1", "least C/C0, nan where not tried"),
            "small_rate": column("task", tried.rates, "1", "rate of small steps, in units of the body's"),
        },
        {"rule": ("rule", list(RULES), {"units": "1", "long_name": "what edges know of the contrast"})},
    )
    return xr.merge([whole, _example(tried), _swing(tried.body, tried.tasks[tried.shown])])


def _example(tried: _Tried) -> xr.Dataset:
    """The task that is shown: places, weights at the end, and errors."""
    task, run = tried.tasks[tried.shown], tried.runs[tried.shown]
    length = max(one.sizes["step"] for one in run.values())
    courses = np.full((len(RULES), length), math.nan)
    for row, rule in enumerate(RULES):
        if rule in run:
            courses[row, : run[rule].sizes["step"]] = run[rule].error
    last = run.get(WITH, run[IDEAL])
    places, wanted = tried.body.network.places, "values"
    return xr.Dataset(
        {
            "shown": column((), tried.shown, "1", "number of the task that is shown"),
            "source": column("place_in", task.sources, "1", f"sources: {places} of the network"),
            "input": column("place_in", task.inputs[0], "1", f"{wanted} at the sources"),
            "target": column("place_out", task.targets, "1", f"targets: {places} of the network"),
            "output": column("place_out", task.outputs[0], "1", f"{wanted} wanted at the targets"),
            "weight": column("edge", last.weight, "1", "weight after learning, 1 before"),
            "course": column(("rule", "step"), courses, "1", "C/C0"),
        },
        {"step": column("step", np.arange(length), "1", "updates")},
    )


def _swing(body: Body, task: Task) -> xr.Dataset:
    """What one edge sees of a swing before the first update, and what it reads with memory and without."""
    network, protocol = body.network, body.protocol
    begin = np.ones(network.n_edges)
    found = response(network, begin**body.exponent, task)
    contrast = contrasts(body, begin, found, task, protocol.nudge)
    per_node = network.nodes // (int(network.edges.max()) + 1)
    inner = ~np.isin(network.edges, task.targets // per_node).any(axis=1)
    edge = int(np.argmax(contrast * inner))
    readings = []
    for kind in (body, body.without_memory()):
        edges = SwungEdges(kind, task, protocol, body.least)
        edges.change(begin, found, protocol.nudge, contrast)
        x = edges.readings(begin, found, protocol.nudge)[0, :, edge]
        squared = edges.thresholds.squared
        assert squared is not None
        readings.append(x / (protocol.margin * math.sqrt(squared[edge])))
    times = np.append(edges.rise[:-1], edges.fall)
    phase = protocol.nudge * protocol.swing(times)[:, None]
    drops = network.drops(found.free)[0] + phase * network.drops(found.clamped(task))[0]
    seen = body.sense.stimulus(begin, drops)[:, edge]
    names, unit = [WITH, WITHOUT], "threshold"
    return xr.Dataset(
        {
            "watched": column((), edge, "1", "edge whose swing is shown"),
            "time": column("instant", times / protocol.swing.rise, "tau_f", "time since the swing began"),
            "seen": column("instant", seen, "1", "s, input of the model"),
            "reading": column(("kind", "instant"), readings, unit, "x in units of the edge's own threshold"),
        },
        {"kind": ("kind", names, {"units": "1", "long_name": "whether the edge remembers"})},
    )
