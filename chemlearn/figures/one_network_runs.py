"""Runs behind the figure of temporal contrast in one network: protocols, maps, times, final errors."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from chemlearn.figures.shared import column
from chemlearn.figures.stern_runs import Trials, stern_data
from chemlearn.kernels.cut import sine
from chemlearn.kernels.kernel import Kernel, exponential
from chemlearn.resistors.coupled import coupled_learning
from chemlearn.resistors.solve import response
from chemlearn.resistors.swings import Swing, memory, moves
from chemlearn.resistors.temporal import Protocol, train_temporal

__all__ = ["GOAL", "MAPPED", "PATIENCE", "RANGES", "measured"]

STEPS = 600
"""Updates that the ideal rule has."""

PATIENCE = 3
"""Times its updates that the others have."""

GOAL = 1e-2

RULES: dict[str, dict[str, Any]] = {
    "fixed": {"threshold": "fixed"},
    "fixed, equally far": {"threshold": "fixed", "size": "displacement"},
    "two sizes": {"threshold": "fixed", "size": "displacement", "ladder": 2},
    "follows the largest": {"threshold": "largest"},
    "largest that can move": {"threshold": "movable"},
    "own": {"threshold": "own"},
    "own, of 10 periods": {"threshold": "own", "recall": 10.0},
}
"""Protocols by name, beside a nudge of 0.1 of the error."""

RANGES = np.array([3.0, 10.0, 30.0, 100.0])
"""τ_s/τ_f of panel C."""

MAPPED = np.array([10.0, 100.0])
"""τ_s/τ_f of the maps."""

WATCHED = np.array([math.inf, 1.0, 0.3, 0.1])
"""γτ_f whose u is shown."""

PAUSE = 10.0
"""Rest between swings, times γ, in which the free voltages may be read."""


class _Tasks(NamedTuple):
    """Tasks that the ideal rule solves, and its updates."""

    trials: Trials
    ideal: list[int]

    def solved(self, kernel: Kernel | None, protocol: Protocol, gamma: float = math.inf) -> np.ndarray:
        """Updates until the goal, (n_tasks,); nan where it takes more than a few times those of the ideal."""
        found = []
        for task, most in zip(self.trials.tasks, self.ideal, strict=True):
            run = train_temporal(
                self.trials.network, task, kernel, protocol, gamma=gamma, goal=GOAL, steps=PATIENCE * most
            )
            found.append(run.updates if run.reached else math.nan)
        return np.array(found)


def measured(fast: bool, seed: int) -> xr.Dataset:
    """All runs of the figure; fewer tasks and coarser maps if fast."""
    drawn = Trials.drawn(5 if fast else 50, 5, seed)
    runs = [
        train_temporal(drawn.network, task, None, Protocol(), goal=GOAL, steps=STEPS) for task in drawn.tasks
    ]
    able = [number for number, run in enumerate(runs) if run.reached]
    tasks = _Tasks(Trials(drawn.network, [drawn.tasks[n] for n in able]), [runs[n].updates for n in able])
    some = 2 if fast else 12
    few = _Tasks(Trials(drawn.network, tasks.trials.tasks[:some]), tasks.ideal[:some])
    parts = [_signals(few), _courses(few), _protocols(tasks), _map(few, fast), _times(few, fast)]
    parts.append(_last(few, 60 if fast else 300))
    parts.append(xr.Dataset({"ideal_updates": column("task", tasks.ideal, "1", "updates of the ideal rule")}))
    how = {"tasks": len(drawn.tasks), "alpha": 1.0, "least": 1e-6, "goal": GOAL, "nudge": 0.1, "steps": STEPS}
    return stern_data(xr.merge(parts), figure="one-network", fast=fast, seed=seed, patience=PATIENCE, **how)


def _signals(tasks: _Tasks) -> xr.Dataset:
    """u of an edge within the network over one period at several γτ_f, in units of its root mean square."""
    network, task = tasks.trials.network, tasks.trials.tasks[0]
    begin = np.ones(network.n_edges)
    found = response(network, begin, task)
    shift = 1e-3 * network.drops(found.clamped(task))[0]
    contrast = -shift * (network.drops(found.free)[0] + 0.5 * shift)
    inner = ~np.isin(network.edges, task.targets).any(axis=1)
    edge = int(np.argmax(np.abs(contrast) * inner))
    swing = Swing(1.0, float(MAPPED[0]), instants=200)
    kept = memory(sine(0.3), swing)
    u = []
    for gamma in WATCHED.tolist():
        seen = kept.answer @ moves(network, begin, task, found, 1e-3, gamma, swing, kept.times)[0]
        u.append(seen[:, edge] / np.sqrt(kept.mean_square(seen))[edge] * np.sign(contrast[edge]))
    return xr.Dataset(
        {
            "u": column(
                ("watched", "instant"),
                u,
                "1",
                "answer of the memory of one edge, in units of its root mean square",
            )
        },
        {
            "watched": column("watched", WATCHED, "1", "gamma tau_f"),
            "instant": column("instant", kept.times, "tau_f", "time"),
        },
    )


def _courses(tasks: _Tasks) -> xr.Dataset:
    """Error against updates on the first task that the ideal rule does not solve at once."""
    chosen = next((n for n, count in enumerate(tasks.ideal) if count >= 20), 0)
    network, task = tasks.trials.network, tasks.trials.tasks[chosen]
    length = 4 * tasks.ideal[chosen]
    swing = Swing(1.0, float(MAPPED[0]))
    how = {"ideal": (None, Protocol(swing))} | {
        name: (sine(1.0), Protocol(swing, **RULES[name]))
        for name in ("own", "follows the largest", "fixed, equally far", "fixed")
    }
    courses = np.full((len(how), length + 1), np.nan)
    for row, (kernel, protocol) in enumerate(how.values()):
        errors = train_temporal(network, task, kernel, protocol, goal=1e-4, steps=length).error
        courses[row, : len(errors)] = errors
        if errors[-1] > 1e-4:  # nothing changes any more
            courses[row, len(errors) :] = errors[-1]
    return xr.Dataset(
        {"course": column(("rule_shown", "course_step"), courses, "1", "C/C0")},
        {
            "rule_shown": ("rule_shown", list(how)),
            "course_step": column("course_step", np.arange(length + 1), "1", "updates"),
        },
    )


def _protocols(tasks: _Tasks) -> xr.Dataset:
    """Updates of each protocol at each range, at rest at every instant; and the controls."""
    kernel = sine(1.0)
    updates = [
        [tasks.solved(kernel, Protocol(Swing(1.0, ratio), **how)) for ratio in RANGES.tolist()]
        for how in RULES.values()
    ]
    one_lobe = tasks.solved(exponential(0.3), Protocol(Swing(1.0, float(MAPPED[0]))))
    moved = []
    for task in tasks.trials.tasks:
        run = train_temporal(tasks.trials.network, task, kernel, Protocol(Swing(1.0, 1.0)), steps=1)
        moved.append(float(np.abs(run.conductance - run.conductance_first).max()))
    return xr.Dataset(
        {
            "updates": column(
                ("rule", "range", "task"), updates, "1", "updates to the goal, nan beyond three times"
            ),
            "one_lobe": column("task", one_lobe, "1", "updates with a memory of one lobe"),
            "symmetric": column(
                "task", moved, "1", "largest change of a conductance where rise and fall are equal"
            ),
        },
        {
            "rule": ("rule", list(RULES)),
            "range": column("range", RANGES, "1", "tau_s/tau_f"),
        },
    )


def _map(tasks: _Tasks, fast: bool) -> xr.Dataset:
    """Share of tasks solved out of equilibrium."""
    rates = np.logspace(-3, 2, 6 if fast else 11)
    memories = np.logspace(-1 if fast else -2, 1, 3 if fast else 7)
    share = np.empty((len(MAPPED), len(memories), len(rates)))
    for i, ratio in enumerate(MAPPED.tolist()):
        protocol = Protocol(Swing(1.0, ratio))
        for j, times in enumerate(memories.tolist()):
            kernel = sine(1 / times)
            for k, rate in enumerate(rates.tolist()):
                share[i, j, k] = np.isfinite(tasks.solved(kernel, protocol, rate)).mean()
    return xr.Dataset(
        {"share": column(("mapped", "memory", "rate"), share, "1", "share of the ideal rule's tasks solved")},
        {
            "mapped": column("mapped", MAPPED, "1", "tau_s/tau_f"),
            "memory": column("memory", memories, "1", "tau_f/tau_K"),
            "rate": column("rate", rates, "1", "gamma tau_f"),
        },
    )


def _times(tasks: _Tasks, fast: bool) -> xr.Dataset:
    """γT of one network and of two copies at the same rate of learning."""
    periods = np.logspace(-1, 3, 5 if fast else 13)
    kinds = {"10": (10.0, 0.0), "100": (100.0, 0.0), "100, pause": (100.0, PAUSE)}
    temporal = np.full((len(kinds), len(periods), len(tasks.ideal)), np.nan)
    coupled = np.full((len(periods), len(tasks.ideal)), np.nan)
    for j, period in enumerate(periods.tolist()):
        for i, (ratio, pause) in enumerate(kinds.values()):
            if period <= pause:
                continue
            rise = (period - pause) / (1 + ratio)
            protocol = Protocol(Swing(rise, rise * ratio, pause))
            temporal[i, j] = tasks.solved(sine(rise), protocol, 1.0) * period
        for k, task in enumerate(tasks.trials.tasks):
            run = coupled_learning(
                tasks.trials.network, task, alpha=1 / period, goal=GOAL, error="equilibrium"
            )
            coupled[j, k] = float(run.training_time)
    return xr.Dataset(
        {
            "time": column(("kind", "period", "few"), temporal, "1/gamma", "time to the goal, one network"),
            "time_coupled": column(("period", "few"), coupled, "1/gamma", "time to the goal, two copies"),
        },
        {
            "kind": ("kind", list(kinds)),
            "period": column("period", periods, "1/gamma", "period; the rate of learning is 1/period"),
        },
    )


def _last(tasks: _Tasks, span: int) -> xr.Dataset:
    """C/C0 after as much learning, at rest and out of equilibrium, by steps too small to overshoot."""
    swing, alpha = Swing(1.0, 10.0), 0.2
    gamma = 100 * alpha / swing.period
    network = tasks.trials.network
    kinds = ("ideal", "one network", "one network, moving", "two copies", "two copies, moving")
    last = np.empty((len(kinds), len(tasks.ideal)))
    for k, task in enumerate(tasks.trials.tasks):
        how: dict[str, Any] = {"alpha": alpha, "goal": 1e-10, "steps": round(span / alpha)}
        runs = [
            train_temporal(network, task, None, Protocol(swing, nudge=1e-3), **how),
            train_temporal(network, task, sine(1.0), Protocol(swing), **how),
            train_temporal(network, task, sine(1.0), Protocol(swing), gamma=gamma, **how),
        ]
        last[:3, k] = [max(float(run.error[-1]), 1e-10) for run in runs]
        for row, (learning, rate) in enumerate(((1.0, math.inf), (0.01, 1.0)), 3):
            run = coupled_learning(
                network, task, alpha=learning, gamma=rate, goal=1e-10, longest=span / learning
            )
            last[row, k] = max(float(run.error_equilibrium[-1]), 1e-10)
    return xr.Dataset(
        {"last": column(("way", "few"), last, "1", f"C/C0 after alpha t = {span}, at least 1e-10")},
        {"way": ("way", list(kinds)), "span": span},
    )
