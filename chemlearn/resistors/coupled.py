r"""Coupled learning of a network of resistors, at rest (S1) and out of equilibrium (S3).

Two copies of the network share their conductances. In the free one only the sources are held; in the clamped
one also the targets, at v_T^C = v_T^F + η (V_T − v_T^F). Every edge sees its own voltage drop in both copies:

    v̇ = −γ Δᵀ diag(g) Δ v   on all nodes that are not held,      ġ_j = (α/η) {[Δv_j^F]² − [Δv_j^C]²}.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from chemlearn.checks import check_positive
from chemlearn.resistors.loops import Law
from chemlearn.resistors.network import ResistorNetwork, check_conductances
from chemlearn.resistors.quasistatic import Flow, flow
from chemlearn.resistors.rest import equilibrium_error
from chemlearn.resistors.running import Course, Run, learn_out_of_equilibrium
from chemlearn.resistors.solve import response
from chemlearn.resistors.tasks import Task, as_tasks, check_tasks

__all__ = ["Bound", "ErrorKind", "Stepper", "coupled_learning"]

Bound = Literal["projection", "published"]
"""What keeps conductances positive: ġ = 0 where g ≤ g_min and ġ < 0, or ġ ≥ γ (g_min − g) everywhere."""

ErrorKind = Literal["instantaneous", "equilibrium"]
"""Error of the free copy as it is, or as it would be at rest with the conductances of the moment."""

Stepper = Literal["auto", "explicit", "stabilised"]


def coupled_learning(
    network: ResistorNetwork,
    tasks: Task | Sequence[Task],
    *,
    alpha: float = 1.0,
    gamma: float = 1.0,
    conductance: ArrayLike = 1.0,
    nudge: float = 1e-3,
    bound: Bound = "projection",
    least: float = 1e-6,
    goal: float = 1e-3,
    error: ErrorKind = "instantaneous",
    stop: bool = True,
    longest: float | None = None,
    points: int = 100,
    tolerance: float = 1e-6,
    stepper: Stepper = "auto",
) -> xr.Dataset:
    r"""Learn tasks from the state of rest, until the error has fallen to a share of what it was.

    Parameters
    ----------
    network : ResistorNetwork
    tasks : Task or sequence of Task
        Every example has its own two copies of the network; all share the conductances, which learn from the
        mean over the examples.
    alpha : float
        Learning rate, conductance per time and volt squared.
    gamma : float
        Rate of the physical relaxation, per time and conductance; ``math.inf`` for both copies at rest at
        every instant (S1).
    conductance : float or array, (n_edges,)
        At the beginning; positive.
    nudge : float
        η of the clamped copy, from 0, which is the exact limit, to 1.
    bound : {'projection', 'published'}
        ``projection``: ġ = 0 where g is ``least`` and would fall. ``published``: ġ is at least
        ``gamma·(least − g)`` at every g, as in the published program; for α ≫ γ conductances then hardly
        fall, while nothing limits their rise. With an infinite γ both are the same.
    least : float
        Smallest conductance, positive.
    goal : float
        Share of the first error, between 0 and 1.
    error : {'instantaneous', 'equilibrium'}
        Which error is compared with the goal; both are recorded. The text of the paper has the first, its
        published data the second.
    stop : bool
        Whether to stop at the goal, or to go on until ``longest``.
    longest : float, optional
        Time at which to stop in any case; by default some 40 times what a task of the paper needs.
    points : int
        At most twice as many steps are recorded.
    tolerance : float
        Largest error of a step in any variable.
    stepper : {'auto', 'explicit', 'stabilised'}
        ``stabilised`` where the voltages relax faster than the network learns, ``explicit`` elsewhere; see
        :mod:`chemlearn.resistors.stepping`.

    Returns
    -------
    xarray.Dataset
        Over ``time``: ``error`` and ``error_equilibrium`` in units of the first one, ``voltage`` of the
        targets of all examples and ``conductance``; ``training_time`` is when the goal was first reached,
        nan if it was not. In ``attrs`` all settings, the tasks, ``reached`` (0 or 1) and ``outcome``, which
        says in words how it ended.

    Raises
    ------
    ValueError
        If a setting makes no sense, a task cannot be asked of the network, or it is solved from the first.
    SimulationError
        If no step is small enough.

    References
    ----------
    S, eqs. (1) to (3).
    """
    tasks = as_tasks(tasks)
    check_tasks(network, tasks)
    begin = check_conductances(network, conductance)
    _check(alpha, gamma, nudge, bound, least, goal, error, longest, points, tolerance, stepper)
    if begin.min() < least:
        raise ValueError(f"conductances begin at the least one, {least:g}, or above, got {begin.min():g}")
    first = float(equilibrium_error(network, tasks, begin))
    if not first > 0:
        raise ValueError("the targets have the wanted voltages from the first; there is nothing to learn")
    if longest is None:
        longest = _patience(tasks, alpha, gamma, begin)
    course = Course(points)
    if math.isinf(gamma):
        how = Flow(network, tasks, alpha, nudge, least, tolerance, goal * first if stop else -1.0, longest)
        reached = _learn_at_rest(how, begin, goal * first, course)
    else:
        law = Law(float(alpha), float(gamma), float(nudge), float(least), bound == "published")
        run = Run(network, tasks, law, goal * first, error, stop, longest, tolerance, stepper)
        reached = learn_out_of_equilibrium(run, begin, course)
    settings = {
        "alpha": alpha,
        "gamma": gamma,
        "nudge": nudge,
        "bound": bound,
        "least": least,
        "goal": goal,
        "error_kind": error,
        "stop": int(stop),
        "longest": longest,
        "tolerance": tolerance,
        "stepper": stepper,
        "first_error": first,
    }
    return _dataset(network, tasks, course, reached, settings)


def _check(
    alpha: float,
    gamma: float,
    nudge: float,
    bound: str,
    least: float,
    goal: float,
    error: str,
    longest: float | None,
    points: int,
    tolerance: float,
    stepper: str,
) -> None:
    check_positive(alpha=alpha)
    if not gamma > 0:
        raise ValueError(f"gamma must be positive, or infinite for voltages at rest, got {gamma}")
    if not 0 <= nudge <= 1:
        raise ValueError(f"the nudge is a share from 0 to 1, got {nudge}")
    check_positive(least=least)
    if not 0 < goal < 1:
        raise ValueError(f"the goal is a share of the first error between 0 and 1, got {goal}")
    if not 1e-12 <= tolerance <= 1e-2:
        raise ValueError(f"the tolerance must be between 1e-12 and 1e-2, got {tolerance}")
    if int(points) != points or points < 2:
        raise ValueError(f"points must be a whole number of at least 2, got {points}")
    if longest is not None:
        check_positive(longest=longest)
    for name, value, known in (
        ("bound", bound, get_args(Bound)),
        ("error", error, get_args(ErrorKind)),
        ("stepper", stepper, get_args(Stepper)),
    ):
        if value not in known:
            raise ValueError(f"{name} must be {' or '.join(map(repr, known))}, got {value!r}")


def _patience(tasks: Sequence[Task], alpha: float, gamma: float, begin: np.ndarray) -> float:
    """Some 40 times the training times of the paper, scaled to these voltages and conductances."""
    squared = np.mean([np.mean(task.inputs**2) for task in tasks]) or 1.0
    slow = begin.mean() / (alpha * squared)
    return float(1e4 * (slow + 1 / math.sqrt(alpha * gamma * squared)))


def _learn_at_rest(how: Flow, begin: np.ndarray, goal: float, course: Course) -> bool:
    """Follow S1; whether the goal was reached."""
    free = [response(how.network, begin, task).free[:, task.targets].ravel() for task in how.tasks]
    now: tuple[Any, ...] = (
        0.0,
        float(equilibrium_error(how.network, how.tasks, begin)),
        np.concatenate(free),
        begin,
    )
    course.add(*now)
    for instant in flow(how, begin):
        course.steps += 1
        if math.isnan(course.time) and instant.error <= goal * (1 + 1e-9):
            before = (now[0], now[1])
            course.time = instant.time if instant.reached else _crossing(before, instant, goal)
        now = tuple(instant[:4])
        course.add(*now)
    course.finish(*now)
    return not math.isnan(course.time)


def _crossing(before: tuple[float, float], after: Any, goal: float) -> float:
    """When the error was at the goal, its logarithm straight between two instants."""
    rise = math.log(after.error / before[1]) or -1.0
    return float(before[0] + (after.time - before[0]) * math.log(goal / before[1]) / rise)


def _dataset(
    network: ResistorNetwork,
    tasks: Sequence[Task],
    course: Course,
    reached: bool,
    settings: dict[str, Any],
) -> xr.Dataset:
    times, errors, voltages, conductances = (np.array(part) for part in zip(*course.rows, strict=True))
    first = settings["first_error"]
    at_rest = equilibrium_error(network, tasks, conductances) / first
    wanted = np.concatenate([task.outputs.ravel() for task in tasks])
    nodes = np.concatenate([np.tile(task.targets, len(task)) for task in tasks])
    data = {
        "error": ("time", errors / first, {"units": "1", "long_name": "C/C0 of the free copy"}),
        "error_equilibrium": ("time", at_rest, {"units": "1", "long_name": "C/C0 at rest"}),
        "voltage": (("time", "target"), voltages, {"units": "V", "long_name": "v of the targets"}),
        "conductance": (("time", "edge"), conductances, {"long_name": "conductance"}),
        "training_time": ((), course.time, {"long_name": "when the goal was first reached"}),
    }
    coords = {
        "time": ("time", times),
        "target": ("target", nodes, {"long_name": "node of the target, example after example"}),
        "wanted": ("target", wanted, {"units": "V"}),
        "first_node": ("edge", network.edges[:, 0]),
        "second_node": ("edge", network.edges[:, 1]),
    }
    kind = "instantaneous" if math.isinf(settings["gamma"]) else settings["error_kind"]
    if reached:
        outcome = f"C/C0 = {settings['goal']:g} at time {course.time:.6g}"
    else:
        least = float(min(errors.min() / first, at_rest.min()))
        outcome = (
            f"did not reach C/C0 = {settings['goal']:g} ({kind}) until time {times[-1]:.6g}: "
            f"the least recorded is {least:.3g}"
        )
    described = [
        {name: getattr(task, name).tolist() for name in ("sources", "inputs", "targets", "outputs")}
        | {"about": task.about}
        for task in tasks
    ]
    attrs = settings | {
        "reached": int(reached),
        "outcome": outcome,
        "steps": course.steps,
        "evaluations": course.evaluations,
        "network": network.source,
        "tasks": json.dumps(described),
        "chemlearn_version": version("chemlearn"),
    }
    return xr.Dataset(data, coords, attrs)
