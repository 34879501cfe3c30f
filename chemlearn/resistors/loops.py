r"""Coupled learning out of equilibrium (S3) in compiled loops: the rates of change.

The state of all examples is one array: v of the free copy, u = (v^C − v^F)/η of what the clamped copy adds,
both (n_examples, n_nodes), and the conductances. In u the contrast is −(2 Δv Δu + η Δu²), exact for every η,
while the difference of the squares of v^F and v^C loses half of the digits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from chemlearn.learning.arrays import Array
from chemlearn.learning.compiled.loops import compiled

__all__ = ["Law", "Wiring", "rates", "stiffness"]


class Wiring(NamedTuple):
    """Where the edges go, and which nodes are held in which example."""

    nodes: int
    copies: int
    """Number of examples."""
    first: Array
    second: Array
    """The nodes of each edge, unsigned."""
    moves_free: Array
    moves_clamped: Array
    """1 where a node is free, 0 where it is held, (n_examples · n_nodes,); targets are not free in u."""
    targets: Array
    """Places of the targets of all examples among the voltages."""
    wanted: Array
    """V_T, of the same length."""


class Law(NamedTuple):
    """Constants of the dynamics."""

    alpha: float
    gamma: float
    eta: float
    least: float
    """Smallest conductance."""
    published: bool
    """Whether the bound is the published one, ġ ≥ γ (g_min − g) at every g, not projection."""


@compiled
def rates(wiring: Wiring, law: Law, y: Array, dy: Array) -> None:
    """Time derivatives of the whole state (S3)."""
    nodes, copies, edges = wiring.nodes, wiring.copies, len(wiring.first)
    half = copies * nodes
    dy[:] = 0
    conductances, learned = y[2 * half :], dy[2 * half :]
    for c in range(copies):
        v, u = y[c * nodes : (c + 1) * nodes], y[half + c * nodes : half + (c + 1) * nodes]
        dv, du = dy[c * nodes : (c + 1) * nodes], dy[half + c * nodes : half + (c + 1) * nodes]
        for j in range(edges):
            a, b = wiring.first[j], wiring.second[j]
            # In a stage a conductance may be below its bound, which it is put on after the step.
            g = max(conductances[j], law.least)
            drop, gap = v[a] - v[b], u[a] - u[b]
            dv[a] -= g * drop
            dv[b] += g * drop
            du[a] -= g * gap
            du[b] += g * gap
            learned[j] -= gap * (2 * drop + law.eta * gap)
    for i in range(half):
        dy[i] *= law.gamma * wiring.moves_free[i]
        dy[half + i] *= law.gamma * wiring.moves_clamped[i]
    for i in range(len(wiring.targets)):
        # u_T = V_T − v_T at every instant.
        dy[half + wiring.targets[i]] = -dy[wiring.targets[i]]
    speed = law.alpha / copies
    for j in range(edges):
        learned[j] *= speed
    if law.published:
        for j in range(edges):
            learned[j] = max(learned[j], law.gamma * (law.least - conductances[j]))


@compiled
def stiffness(wiring: Wiring, law: Law, y: Array, sums: Array) -> float:
    """A bound on the rates of relaxation and learning: λ_max(L) ≤ max over edges of the degrees' sum.

    ``sums`` is (2, n_nodes), to work in.
    """
    nodes, half = wiring.nodes, wiring.copies * wiring.nodes
    sums[:] = 0
    for c in range(wiring.copies):
        v = y[c * nodes : (c + 1) * nodes]
        for j in range(len(wiring.first)):
            a, b = wiring.first[j], wiring.second[j]
            squared = (v[a] - v[b]) ** 2
            sums[1, a] += squared
            sums[1, b] += squared
    relaxing = learning = 0.0
    for j in range(len(wiring.first)):
        g = max(y[2 * half + j], law.least)
        sums[0, wiring.first[j]] += g
        sums[0, wiring.second[j]] += g
    for j in range(len(wiring.first)):
        a, b = wiring.first[j], wiring.second[j]
        relaxing = max(relaxing, sums[0, a] + sums[0, b])
        learning = max(learning, sums[1, a] + sums[1, b])
    return law.gamma * relaxing + np.sqrt(2 * law.alpha * law.gamma * learning)
