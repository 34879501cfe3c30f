r"""Temporal contrast in one network of resistors: a swinging nudge at the targets in place of a second copy.

The targets of one network are moved along a sawtooth towards the wanted voltages, fast, and back, slowly.
Every edge sees its own s = −½ (Δv)² through a memory, u = K * s, and changes by what of u passes a threshold:

    Δg = 2α/(η |M₁|) ∫ g_θ(u) dt over one period     (F3–F7),

where the fast swing passes and the slow one does not 2α/η (s_clamped − s_free), the rule of coupled learning
(S1). How large the nudge is and what the threshold follows decides for how many edges that holds.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from chemlearn.checks import check_positive
from chemlearn.kernels.kernel import Kernel
from chemlearn.resistors.network import ResistorNetwork, check_conductances
from chemlearn.resistors.solve import Response, response
from chemlearn.resistors.swings import Memory, Swing, memory, moves
from chemlearn.resistors.tasks import Task, check_tasks

__all__ = [
    "Protocol",
    "Size",
    "SlidingThreshold",
    "Threshold",
    "check_training",
    "outcome_of",
    "train_temporal",
]

Size = Literal["share", "displacement"]
"""What of a nudge is constant: its share η of the error, or the distance by which it moves the targets."""

Threshold = Literal["fixed", "largest", "movable", "own"]
"""What the threshold of an edge follows; see :class:`Protocol`."""


@dataclass(frozen=True)
class Protocol:
    r"""How the targets are nudged and what an edge takes for a signal.

    Parameters
    ----------
    swing : Swing
        Rise τ_f, fall τ_s and pause.
    nudge : float
        η of the first swing, positive; at 1 the targets are moved all the way.
    size : {'share', 'displacement'}
        ``share``: η stays. ``displacement``: η = nudge·|e₀|/|e|, but at most 1, e being the error V_T − v_T^F
        and e₀ the first one, so that the targets are always moved equally far. Updates are divided by η.
    ladder : int
        Swings of so many sizes take turns, each τ_s/τ_f times smaller than the one before; 1 for one size.
    threshold : {'fixed', 'largest', 'movable', 'own'}
        θ of ``fixed`` is margin·\|M₁\|·A/τ_s for ever, A the largest contrast at the beginning: that of the
        network at rest, whose slow swing just does not pass. ``largest``: A is the largest contrast of the
        moment, which takes somebody who sees all edges. ``movable``: the largest but for edges that already
        have the least conductance and would go lower. ``own``: each edge has its own θ = margin·√⟨u²⟩, the
        mean of its own u² over past periods, a sliding threshold.
    margin : float
        Positive factor of the threshold.
    floor : float
        Least threshold, what edges can tell from noise, in units of that of ``fixed`` with a margin of 1; 0
        for edges that can resolve anything.
    recall : float
        Periods over which ``own`` takes its mean, at least 1: θ² moves by 1/recall of the way in each period.

    Notes
    -----
    Of a triangle of contrast A, ⟨u²⟩ = (M₁A)²/(τ_f τ_s), whatever A: ``own`` is the geometric mean of what
    the fast and the slow swing come to, which leaves the same room to both sides.

    References
    ----------
    Bienenstock, Cooper, Munro, doi:10.1523/JNEUROSCI.02-01-00032.1982, for a threshold that follows ⟨u²⟩.
    """

    swing: Swing = field(default_factory=Swing)
    nudge: float = 0.1
    size: Size = "share"
    ladder: int = 1
    threshold: Threshold = "own"
    margin: float = 1.0
    floor: float = 0.0
    recall: float = 1.0

    def __post_init__(self) -> None:
        check_positive(nudge=self.nudge, margin=self.margin)
        for name, known in (("size", get_args(Size)), ("threshold", get_args(Threshold))):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be {' or '.join(map(repr, known))}, got {getattr(self, name)!r}"
                )
        if int(self.ladder) != self.ladder or self.ladder < 1:
            raise ValueError(f"a ladder has a whole number of sizes of at least 1, got {self.ladder}")
        if not (math.isfinite(self.floor) and self.floor >= 0):
            raise ValueError(f"the least threshold must be 0 or positive, got floor={self.floor}")
        if not (math.isfinite(self.recall) and self.recall >= 1):
            raise ValueError(f"the threshold recalls at least 1 period, got {self.recall}")

    def amplitude(self, step: int, error: float) -> float:
        """η of a step, at an error |e|/|e₀|."""
        whole = self.nudge if self.size == "share" else min(1.0, self.nudge / error)
        return whole * self.swing.ratio ** -float(step % self.ladder)


@threadpool_limits.wrap(limits=1)  # its matrices are small, and threads would wait for each other
def train_temporal(
    network: ResistorNetwork,
    task: Task,
    kernel: Kernel | None,
    protocol: Protocol | None = None,
    *,
    alpha: float = 1.0,
    gamma: float = math.inf,
    conductance: ArrayLike = 1.0,
    least: float = 1e-6,
    goal: float = 1e-2,
    steps: int = 600,
) -> xr.Dataset:
    r"""Learn a task in one network, one update after each period of the nudge.

    Parameters
    ----------
    network : ResistorNetwork
    task : Task
        Its examples take turns; conductances change after all of them, by the mean.
    kernel : Kernel or None
        What every edge remembers; None for the ideal rule, which knows s_clamped − s_free.
    protocol : Protocol, optional
        By default a nudge of a tenth of the error and a threshold of each edge's own.
    alpha : float
        Rate of coupled learning times the duration of a step, conductance per volt squared.
    gamma : float
        Rate of the physical relaxation, in units of 1/(time of the swing · conductance); ``math.inf`` for a
        network at rest at every instant.
    conductance : float or array, (n_edges,)
        At the beginning.
    least : float
        Smallest conductance; updates below it end there.
    goal : float
        Share of the first error C = Σ_T (V_T − v_T^F)² at which to stop, between 0 and 1.
    steps : int
        Updates at most.

    Returns
    -------
    xarray.Dataset
        Over ``step``: ``error``, C at rest in units of the first; over ``update``: ``nudge`` η and ``moved``,
        the share of edges with u beyond their threshold. ``conductance`` and ``conductance_first`` over
        ``edge``. In ``attrs`` all settings, ``reached`` (0 or 1), ``updates``, ``training_time`` in units of
        the swing's time (nan if the goal was not reached) and ``outcome`` in words.

    Raises
    ------
    ValueError
        If a setting makes no sense, the task cannot be asked of the network, or it is solved from the first.

    Notes
    -----
    Each period is the steady one at its conductances, which change at its end, and the errors e = V_T − v_T^F
    are those at rest. So it is in a network whose edges learn only during the swing, and which settles in a
    pause of about 10/γ after each change; without one, the change of s that an update makes is itself a fast
    signal, which feeds on itself unless α is small beside η. ``own`` needs one period before the first
    update, which the time includes.
    """
    protocol = protocol or Protocol()
    check_tasks(network, [task])
    begin = check_conductances(network, conductance)
    check_training(goal, steps, alpha=alpha, least=least)
    if not gamma > 0:
        raise ValueError(f"gamma must be positive, or infinite for a network at rest, got {gamma}")
    if begin.min() < least:
        raise ValueError(f"conductances begin at the least one, {least:g}, or above, got {begin.min():g}")
    course = _Course()
    run = _Run(network, task, kernel, protocol, float(alpha), float(gamma), float(least))
    conductance, ended = _follow(run, begin, goal, int(steps), course)
    return _dataset(run, course, begin, conductance, goal, int(steps), ended)


def check_training(goal: float, steps: int, **positive: float) -> None:
    """Refuse a goal that is no share, steps that are none, and what must be positive and is not."""
    check_positive(**positive)
    if not 0 < goal < 1:
        raise ValueError(f"the goal is a share of the first error between 0 and 1, got {goal}")
    if int(steps) != steps or steps < 1:
        raise ValueError(f"steps must be a whole number of at least 1, got {steps}")


class _Run(NamedTuple):
    """What stays the same in all steps."""

    network: ResistorNetwork
    task: Task
    kernel: Kernel | None
    protocol: Protocol
    alpha: float
    gamma: float
    least: float


class _Course:
    """What happened."""

    def __init__(self) -> None:
        self.errors: list[float] = []
        self.nudges: list[float] = []
        self.moved: list[float] = []


def _follow(run: _Run, begin: np.ndarray, goal: float, steps: int, course: _Course) -> tuple[np.ndarray, str]:
    """Learn; the last conductances and why it ended: 'goal', 'still' or 'steps'."""
    now, first, idle = begin, 0.0, 0
    edges = None if run.kernel is None else _Edges(run, memory(run.kernel, run.protocol.swing))
    for step in range(steps + 1):
        found = response(run.network, now, run.task)
        off = run.task.outputs - found.free[:, run.task.targets]
        error = float((off**2).sum() / len(run.task))
        if step == 0:
            first = error
            if not first > 0:
                raise ValueError(
                    "the targets have the wanted voltages from the first; there is nothing to learn"
                )
        course.errors.append(error / first)
        if error <= goal * first:
            return now, "goal"
        if step == steps:
            break
        nudge = run.protocol.amplitude(step, math.sqrt(error / first))
        contrast = _contrasts(run, found, nudge)
        if edges is None:
            change, moved = contrast, 1.0
        else:
            change, moved = edges.change(now, found, nudge, contrast)
        after = np.maximum(now + 2 * run.alpha / nudge * change, run.least)
        course.nudges.append(nudge)
        course.moved.append(moved)
        # Nothing that decides the next round has changed, unless thresholds slide.
        idle = idle + 1 if np.array_equal(after, now) else 0
        if idle >= run.protocol.ladder and not (edges is not None and run.protocol.threshold == "own"):
            course.errors.append(error / first)
            return now, "still"
        now = after
    return now, "steps"


def _contrasts(run: _Run, found: Response, nudge: float) -> np.ndarray:
    """s_clamped − s_free at rest, mean over the examples, (n_edges,)."""
    shift = nudge * run.network.drops(found.clamped(run.task))
    return -(shift * (run.network.drops(found.free) + 0.5 * shift)).mean(axis=0)


class _Edges:
    """The edges with their memory and their thresholds."""

    def __init__(self, run: _Run, kept: Memory) -> None:
        self.run, self.kept = run, kept
        self.thresholds = SlidingThreshold(run.protocol, kept.moment)

    def change(
        self, now: np.ndarray, found: Response, nudge: float, contrast: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """∫ g_θ(u) dt/|M₁| over one period, (n_edges,), and the share of edges where u passes θ."""
        run, kept = self.run, self.kept
        swing = run.protocol.swing
        moved = moves(run.network, now, run.task, found, nudge, run.gamma, swing, kept.times)
        answer = kept.answer @ moved
        if kept.area:
            answer += kept.area * (-0.5 * run.network.drops(found.free) ** 2)[:, None, :]
        squared = kept.mean_square(answer).mean(axis=0)
        threshold = self.thresholds(squared, contrast, (now > run.least) | (contrast > 0))
        passed = np.abs(answer) >= threshold
        total = kept.passed(answer, threshold).mean(axis=0)
        return total / kept.moment, float(passed.any(axis=(0, 1)).mean())


class SlidingThreshold:
    """θ of each period, of a protocol and edges whose memory has the first moment ``moment``.

    Parameters
    ----------
    protocol : Protocol
    moment : float
        ``|M₁|``, what a unit of contrast comes to in u times time.
    """

    def __init__(self, protocol: Protocol, moment: float) -> None:
        self.protocol, self.moment = protocol, moment
        self.squared: np.ndarray | None = None
        self.unit = math.nan

    def __call__(self, squared: np.ndarray, contrast: np.ndarray, movable: np.ndarray) -> float | np.ndarray:
        """θ of this period; afterwards a sliding one moves.

        Parameters
        ----------
        squared : array, (n_edges,)
            ⟨u²⟩ of this period, which moves the thresholds of the next ones; of the first, its own too.
        contrast : array, (n_edges,)
            Of the network at rest.
        movable : array of bool, (n_edges,)
            Edges that can follow their contrast.
        """
        how = self.protocol
        if math.isnan(self.unit):
            self.unit = self.moment * float(np.abs(contrast).max()) / how.swing.fall
        if how.threshold == "own":
            before = squared if self.squared is None else self.squared
            self.squared = before + (squared - before) / how.recall
            return np.maximum(how.margin * np.sqrt(before), how.floor * self.unit)
        if how.threshold == "fixed":
            return max(how.margin, how.floor) * self.unit
        seen = np.abs(contrast)
        if how.threshold == "movable":
            seen = seen[movable]
        level = self.moment * float(seen.max(initial=0.0)) / how.swing.fall
        return max(how.margin * level, how.floor * self.unit)


def outcome_of(ended: str, goal: float, updates: int, errors: list[float]) -> str:
    """How a training ended, in words, from 'goal', 'still' or 'steps'."""
    if ended == "goal":
        return f"C/C0 = {goal:g} after {updates} updates"
    if ended == "still":
        return (
            f"did not reach C/C0 = {goal:g}: no edge changes any more after {updates} updates, "
            f"at {errors[-1]:.3g}"
        )
    return f"did not reach C/C0 = {goal:g} in {updates} updates: the least was {min(errors):.3g}"


def _dataset(
    run: _Run,
    course: _Course,
    begin: np.ndarray,
    conductance: np.ndarray,
    goal: float,
    steps: int,
    ended: str,
) -> xr.Dataset:
    updates = len(course.nudges)
    lead = int(run.kernel is not None and run.protocol.threshold == "own")
    time = (updates + lead) * run.protocol.swing.period * len(run.task)
    data = {
        "error": ("step", course.errors, {"units": "1", "long_name": "C/C0 at rest"}),
        "nudge": ("update", course.nudges, {"units": "1", "long_name": "nudge at its peak"}),
        "moved": (
            "update",
            course.moved,
            {"units": "1", "long_name": "share of edges beyond their threshold"},
        ),
        "conductance": ("edge", conductance, {"long_name": "conductance at the end"}),
        "conductance_first": ("edge", begin, {"long_name": "conductance at the beginning"}),
    }
    edges = run.network.edges
    coords = {"first_node": ("edge", edges[:, 0]), "second_node": ("edge", edges[:, 1])}
    settings: dict[str, Any] = {
        "kernel": "ideal" if run.kernel is None else repr(run.kernel),
        "protocol": json.dumps(asdict(run.protocol)),
        "alpha": run.alpha,
        "gamma": run.gamma,
        "least": run.least,
        "goal": goal,
        "steps": steps,
        "task": run.task.about,
        "network": run.network.source,
        "reached": int(ended == "goal"),
        "updates": updates,
        "training_time": time if ended == "goal" else math.nan,
        "outcome": outcome_of(ended, goal, updates, course.errors),
        "chemlearn_version": version("chemlearn"),
    }
    return xr.Dataset(data, coords, settings)
