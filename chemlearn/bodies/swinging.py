"""One period of a body: its edges settle, its targets are swung, and what edges read passes thresholds."""

from __future__ import annotations

import math

import numpy as np

from chemlearn.bodies.body import Body
from chemlearn.bodies.edges import Edges
from chemlearn.resistors.solve import Response
from chemlearn.resistors.swings import Swing, mean_square, passed
from chemlearn.resistors.tasks import Task
from chemlearn.resistors.temporal import Protocol, SlidingThreshold

__all__ = ["SwungEdges", "contrasts"]

SETTLING = 20.0
"""Periods for which edges rest before the first swing, from the initial amounts to the steady state."""


def contrasts(body: Body, weights: np.ndarray, found: Response, task: Task, nudge: float) -> np.ndarray:
    """What each edge compares, clamped less free, mean over the examples, (n_edges,)."""
    network = body.network
    shift = nudge * network.drops(found.clamped(task))
    return body.sense.moved(weights, network.drops(found.free), shift).mean(axis=0)


class SwungEdges:
    """The edges of a body with their states and thresholds, which go on from period to period.

    Parameters
    ----------
    body : Body
    task : Task
    protocol : Protocol
    least : float
        Smallest weight.

    Attributes
    ----------
    lowest, highest : float
        Range of s on all swings so far.
    """

    def __init__(self, body: Body, task: Task, protocol: Protocol, least: float) -> None:
        self.body, self.task, self.swing, self.least = body, task, protocol.swing, least
        self.edges = Edges(body.model, body.network.n_edges)
        self.thresholds = SlidingThreshold(protocol, body.moment)
        self.sliding = protocol.threshold == "own"
        self.lowest, self.highest = math.inf, -math.inf
        self.begun = False
        self.rise, self.fall = _instants(self.swing, body.kernel.duration / 12)
        self.steps = np.diff(np.concatenate([self.rise[:-1], self.fall]))

    def change(
        self, weights: np.ndarray, found: Response, nudge: float, contrast: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """What this period says the contrast is, and the share of edges that pass their thresholds.

        Parameters
        ----------
        weights : array, (n_edges,)
        found : Response
            The network at rest with these weights.
        nudge : float
        contrast : array, (n_edges,)
            The true one: some thresholds follow its largest.

        Returns
        -------
        found : array, (n_edges,)
            ∫ g_θ(x) dt over the moment of the body, mean over the examples.
        moved : float

        Raises
        ------
        SimulationError
            If the edges cannot be integrated.
        """
        movable = (weights > self.least) | (contrast < 0)
        if not self.begun:
            self.begun = True
            self._rest(weights, found, 0, SETTLING * self.swing.period)
            if self.sliding:
                self.thresholds(self._squares(self.readings(weights, found, nudge)), contrast, movable)
        x = self.readings(weights, found, nudge)
        threshold = self.thresholds(self._squares(x), contrast, movable)
        total = passed(x[:, :-1], x[:, 1:], self.steps, threshold).mean(axis=0)
        loud = (np.abs(x) >= threshold).any(axis=(0, 1))
        return total / self.body.moment, float(loud.mean())

    def readings(self, weights: np.ndarray, found: Response, nudge: float) -> np.ndarray:
        """x on the swings of one period, a pause before each, (n_examples, n_times, n_edges)."""
        network, sense, swing = self.body.network, self.body.sense, self.swing
        drops = network.drops(found.free)
        shifts = nudge * network.drops(found.clamped(self.task))
        whole = np.append(self.rise[:-1], self.fall)
        out = np.empty((len(self.task), len(whole), network.n_edges))
        for example, (drop, shift) in enumerate(zip(drops, shifts, strict=True)):
            if swing.pause:
                self._rest(weights, found, example, swing.pause)

            def rising(t: float, drop: np.ndarray = drop, shift: np.ndarray = shift) -> np.ndarray:
                return sense.stimulus(weights, drop + t / swing.rise * shift)

            def falling(t: float, drop: np.ndarray = drop, shift: np.ndarray = shift) -> np.ndarray:
                return sense.stimulus(weights, drop + (swing.rise + swing.fall - t) / swing.fall * shift)

            s, u = self.edges.follow(self.rise, rising)
            later = self.edges.follow(self.fall, falling)
            s, u = np.concatenate([s[:-1], later[0]]), np.concatenate([u[:-1], later[1]])
            self.lowest, self.highest = min(self.lowest, s.min()), max(self.highest, s.max())
            out[example] = sense.reading(s, u)
        return out

    def _rest(self, weights: np.ndarray, found: Response, example: int, duration: float) -> None:
        """The edges go on while the targets are free; nothing is learned."""
        drops = self.body.network.drops(found.free[example])
        s = self.body.sense.stimulus(weights, drops)
        self.edges.follow(np.array([0.0, duration]), lambda _t: s)

    def _squares(self, x: np.ndarray) -> np.ndarray:
        """⟨x²⟩ over the swings, (n_edges,)."""
        return mean_square(x[:, :-1], x[:, 1:], self.steps).mean(axis=0)


def _instants(swing: Swing, finest: float) -> tuple[np.ndarray, np.ndarray]:
    """At which a rise and a fall are looked at, with their ends."""
    times, count = swing.times(finest), swing.instants
    end = swing.rise + swing.fall
    return np.append(times[:count], swing.rise), np.append(times[count : 2 * count], end)
