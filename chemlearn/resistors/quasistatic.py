"""Coupled learning with both copies at rest at every instant (S1): the limit α/γ → 0."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from chemlearn.resistors.network import ResistorNetwork
from chemlearn.resistors.solve import response
from chemlearn.resistors.stepping import DIFFERENCE, TABLEAU
from chemlearn.resistors.tasks import Task

__all__ = ["Flow", "Instant", "flow", "quasistatic_rates"]


class Instant(NamedTuple):
    """Where learning is at the end of a step."""

    time: float
    error: float
    """Volts squared."""
    voltages: np.ndarray
    """Of the targets of all examples, (n_targets_in_all,)."""
    conductance: np.ndarray
    reached: bool


class Flow(NamedTuple):
    """The quasi-static dynamics and where they stop."""

    network: ResistorNetwork
    tasks: tuple[Task, ...]
    alpha: float
    eta: float
    least: float
    tolerance: float
    goal: float
    """Volts squared; below 0 for none."""
    last: float


def quasistatic_rates(
    network: ResistorNetwork, tasks: Sequence[Task], conductance: np.ndarray, eta: float
) -> tuple[np.ndarray, float, np.ndarray]:
    """ġ/α of coupled learning at rest (S1), without a bound; error and voltages of the targets with it.

    Returns
    -------
    rates : array, (n_edges,)
        −(2 Δv Δu + η Δu²), mean over the examples.
    error : float
    voltages : array, (n_targets_in_all,)
    """
    examples = sum(map(len, tasks))
    rates, error, voltages = np.zeros(network.n_edges), 0.0, []
    for task in tasks:
        found = response(network, conductance, task)
        drop, gap = network.drops(found.free), network.drops(found.clamped(task))
        rates -= (gap * (2 * drop + eta * gap)).sum(axis=0) / examples
        reached = found.free[:, task.targets]
        error += float(((task.outputs - reached) ** 2).sum()) / examples
        voltages.append(reached.ravel())
    return rates, error, np.concatenate(voltages)


def flow(how: Flow, conductance: np.ndarray) -> Iterator[Instant]:
    """Steps of Dormand and Prince's from the given conductances, until the goal or the last time."""
    g, time = conductance, 0.0
    rate, error, voltages = _rates(how, g)
    level = float(g.mean())
    step = 1e-2 * level / max(np.abs(rate).max(), 1e-300)
    while time < how.last:
        step = min(step, how.last - time)
        end, size = _step(how, g, rate, step, level)
        if not size <= 1:
            step *= max(0.1, 0.8 * size**-0.2) if np.isfinite(size) else 0.1
            continue
        end_rate, end_error, voltages = _rates(how, end)
        if end_error <= how.goal:
            yield _arrival(how, time, step, g, rate)
            return
        time, g, rate, error = time + step, end, end_rate, end_error
        yield Instant(time, error, voltages, g, False)
        step *= min(5.0, 0.85 * max(size, 1e-9) ** -0.2)


def _rates(how: Flow, conductance: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """ġ with the stages' conductances put on their bound."""
    seen = np.maximum(conductance, how.least)
    rates, error, voltages = quasistatic_rates(how.network, how.tasks, seen, how.eta)
    return how.alpha * rates, error, voltages


def _step(how: Flow, g: np.ndarray, rate: np.ndarray, step: float, level: float) -> tuple[np.ndarray, float]:
    """Conductances after a step, and the size of its error, 1 if as large as allowed."""
    stages = [rate]
    for weights in TABLEAU:
        end = g + step * np.tensordot(weights[: len(stages)], stages, 1)
        stages.append(_rates(how, end)[0])
    error = step * np.tensordot(DIFFERENCE, stages, 1)
    size = float(np.abs(error / (how.tolerance * (level + np.abs(end)))).max())
    return np.maximum(end, how.least), size


def _arrival(how: Flow, time: float, step: float, g: np.ndarray, rate: np.ndarray) -> Instant:
    """The shorter step after which the error is at the goal."""

    def above(share: float) -> float:
        return _rates(how, _step(how, g, rate, share * step, 1.0)[0])[1] - how.goal

    share = float(brentq(above, 0.0, 1.0, xtol=1e-9)) if above(0.0) > 0 else 0.0
    end = _step(how, g, rate, share * step, 1.0)[0]
    _rate, error, voltages = _rates(how, end)
    return Instant(time + share * step, error, voltages, end, True)
