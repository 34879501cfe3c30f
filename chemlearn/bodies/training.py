r"""Temporal contrast in bodies whose edges are physical: each integrates its own model, without a break.

The targets of one network are moved along a sawtooth towards what is wanted, fast, and back, slowly. The
drops over the edges follow at once and drive the models of the edges; of what an edge reads, what passes its
threshold moves its weight:

    Δw = −(2 rate/η) ∫ g_θ(x) dt / M     over one swing,

M being what a unit of contrast leaves in x times time. Where the fast leg passes and the slow one does not
this is −(2 rate/η) (a_clamped − a_free), a = d²/2 or, in tubes, (r Δp)². Nothing is taken to be periodic or
steady: the states of the edges go on through all swings, pauses and updates.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from chemlearn.bodies.body import Body
from chemlearn.bodies.elastic import SpringNetwork, check_rigid
from chemlearn.bodies.swinging import SwungEdges, contrasts
from chemlearn.errors import SimulationError
from chemlearn.resistors.network import check_conductances
from chemlearn.resistors.solve import Response, response
from chemlearn.resistors.tasks import Task, check_tasks
from chemlearn.resistors.temporal import Protocol, check_training, outcome_of

__all__ = ["train_body"]


@threadpool_limits.wrap(limits=1)  # its matrices are small, and threads would wait for each other
def train_body(
    body: Body,
    task: Task,
    protocol: Protocol | None = None,
    *,
    rate: float | None = None,
    memory: bool | Literal["ideal"] = True,
    weights: ArrayLike = 1.0,
    least: float | None = None,
    goal: float = 1e-2,
    steps: int = 600,
    keep: bool = False,
) -> xr.Dataset:
    r"""Learn a task in one body, one update after each swing of the targets.

    Parameters
    ----------
    body : Body
        :func:`~chemlearn.bodies.body.flow`, ``springs``, ``memristors``, or one of these changed.
    task : Task
        On ``body.network``; its examples take turns, and weights change after all of them, by the mean.
    protocol : Protocol, optional
        In units of the model's time; the body's own if not given. The pause comes before each swing: in it
        the edges forget what the last update did to them, and learn nothing.
    rate : float, optional
        Of learning, weight per value squared; the body's own if not given.
    memory : bool or 'ideal'
        False for edges without their memory element; ``ideal`` for edges that know the contrast, whatever
        their model, with the same nudges and bounds.
    weights : float or array, (n_edges,)
        At the beginning.
    least : float, optional
        Smallest weight; updates below it end there. The body's own if not given.
    goal : float
        Share of the first error C = Σ_T (V_T − v_T^F)² at which to stop, between 0 and 1.
    steps : int
        Updates at most.
    keep : bool
        Whether to keep the weights after every update.

    Returns
    -------
    xarray.Dataset
        Over ``step``: ``error``, C at rest in units of the first, and ``weights`` (step, edge) where kept;
        over ``update``: ``nudge`` η and ``moved``, the share of edges with x beyond their threshold.
        ``weight`` and ``weight_first`` over ``edge``. In ``attrs`` all settings, ``lowest`` and ``highest`` s
        on the swings, ``reached`` (0 or 1), ``updates``, ``training_time`` in units of the model's time (nan
        if the goal was not reached) and ``outcome`` in words.

    Raises
    ------
    ValueError
        If a setting makes no sense, the task cannot be asked of the network, or it is solved from the first.

    Notes
    -----
    The network is at rest at every instant; only the edges take time. The sliding threshold of ``own`` needs
    one swing before the first update, which the time includes.

    References
    ----------
    F, eq. (3)–(7) and Fig. 7.
    """
    how = protocol or body.protocol
    run = _Run(
        body if memory else body.without_memory(),
        task,
        how,
        float(body.rate if rate is None else rate),
        float(body.least if least is None else least),
        memory,
    )
    check_training(goal, steps, rate=run.rate, least=run.least)
    begin = _begin(run, weights)
    course = _Course([begin])
    _follow(run, goal, int(steps), course)
    return _dataset(run, course, goal, int(steps), keep)


@dataclass(frozen=True)
class _Run:
    """What stays the same in all steps."""

    body: Body
    task: Task
    protocol: Protocol
    rate: float
    least: float
    memory: bool | Literal["ideal"]


@dataclass
class _Course:
    """What happened."""

    weights: list[np.ndarray]
    errors: list[float] = field(default_factory=list)
    nudges: list[float] = field(default_factory=list)
    moved: list[float] = field(default_factory=list)
    lowest: float = math.nan
    highest: float = math.nan
    ended: str = "steps"
    trouble: str = ""


def _begin(run: _Run, weights: ArrayLike) -> np.ndarray:
    """The first weights, once all is checked."""
    network = run.body.network
    if run.memory not in (True, False, "ideal"):
        raise ValueError(f"memory must be True, False or 'ideal', got {run.memory!r}")
    check_tasks(network, [run.task])
    if isinstance(network, SpringNetwork):
        check_rigid(network, run.task)
    begin = check_conductances(network, weights, "weights")
    if begin.min() < run.least:
        raise ValueError(f"weights begin at the least one, {run.least:g}, or above, got {begin.min():g}")
    return begin


def _follow(run: _Run, goal: float, steps: int, course: _Course) -> None:
    """Learn, and note why it ended: 'goal', 'still', 'steps' or 'lost'."""
    edges = None if run.memory == "ideal" else SwungEdges(run.body, run.task, run.protocol, run.least)
    slides = edges is not None and run.protocol.threshold == "own"
    idle = 0
    try:
        for step, (found, error) in enumerate(_states(run, course)):
            if error <= goal or step == steps:
                course.ended = "goal" if error <= goal else "steps"
                break
            now = course.weights[-1]
            nudge = run.protocol.amplitude(step, math.sqrt(error))
            change, moved = contrasts(run.body, now, found, run.task, nudge), 1.0
            if edges is not None:
                change, moved = edges.change(now, found, nudge, change)
            course.weights.append(np.maximum(now - 2 * run.rate / nudge * change, run.least))
            course.nudges.append(nudge)
            course.moved.append(moved)
            # Nothing that decides the next round has changed, unless thresholds slide.
            idle = idle + 1 if np.array_equal(course.weights[-1], now) else 0
            if idle >= run.protocol.ladder and not slides:
                course.errors.append(error)
                course.ended = "still"
                break
    except SimulationError as error:
        course.ended, course.trouble = "lost", str(error)
    if edges is not None:
        course.lowest, course.highest = float(edges.lowest), float(edges.highest)


def _states(run: _Run, course: _Course) -> Iterator[tuple[Response, float]]:
    """The network at rest with the weights of the moment, and its error in units of the first."""
    first = 0.0
    while True:
        now = course.weights[-1]
        try:
            with np.errstate(all="ignore"):
                found = response(run.body.network, now**run.body.exponent, run.task)
                error = float(((run.task.outputs - found.free[:, run.task.targets]) ** 2).sum())
        except np.linalg.LinAlgError:
            error = math.nan
        if not course.errors:
            first = error
            if not first > 0:
                raise ValueError(
                    "the targets have the wanted values from the first; there is nothing to learn"
                )
        course.errors.append(error / first)
        if not math.isfinite(error):
            raise SimulationError(
                f"with weights from {now.min():.3g} to {now.max():.3g} the network cannot be solved; "
                "lower the rate or raise the least weight"
            )
        yield found, error / first


def _dataset(run: _Run, course: _Course, goal: float, steps: int, keep: bool) -> xr.Dataset:
    """All that happened, with all settings."""
    body, edges = run.body, run.body.network.edges
    begin, last = course.weights[0], course.weights[-1]
    data: dict[str, Any] = {
        "error": ("step", course.errors, {"units": "1", "long_name": "C/C0 at rest"}),
        "nudge": ("update", course.nudges, {"units": "1", "long_name": "nudge at its peak"}),
        "moved": (
            "update",
            course.moved,
            {"units": "1", "long_name": "share of edges beyond their threshold"},
        ),
        "weight": ("edge", last, {"long_name": f"{body.parameter} at the end"}),
        "weight_first": ("edge", begin, {"long_name": f"{body.parameter} at the beginning"}),
    }
    if keep:
        kept = np.array(course.weights[: len(course.errors)])
        data["weights"] = (("step", "edge"), kept, {"long_name": body.parameter})
    coords = {"first_node": ("edge", edges[:, 0]), "second_node": ("edge", edges[:, 1])}
    return xr.Dataset(data, coords, _settings(run, course, goal, steps))


def _settings(run: _Run, course: _Course, goal: float, steps: int) -> dict[str, Any]:
    """Attributes of the result."""
    body, updates = run.body, len(course.nudges)
    lead = int(run.memory != "ideal" and run.protocol.threshold == "own")
    time = (updates + lead) * run.protocol.swing.period * len(run.task)
    return {
        "body": body.name,
        "model": "ideal" if run.memory == "ideal" else repr(body.model),
        "sense": repr(body.sense),
        "parameter": body.parameter,
        "protocol": json.dumps(asdict(run.protocol)),
        "rate": run.rate,
        "least": run.least,
        "goal": goal,
        "steps": steps,
        "task": run.task.about,
        "network": body.network.source,
        "lowest": course.lowest,
        "highest": course.highest,
        "reached": int(course.ended == "goal"),
        "updates": updates,
        "training_time": time if course.ended == "goal" else math.nan,
        "outcome": _outcome(course, goal),
        "chemlearn_version": version("chemlearn"),
    }


def _outcome(course: _Course, goal: float) -> str:
    """How it ended, in words."""
    updates = len(course.nudges)
    if course.ended == "lost":
        return f"did not reach C/C0 = {goal:g}, lost after {updates} updates: {course.trouble}"
    return outcome_of(course.ended, goal, updates, course.errors)
