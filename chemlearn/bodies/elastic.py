"""Networks of springs in the plane: coordinates of nodes, bonds between them, and how bonds stretch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from scipy.sparse import csr_array

from chemlearn.resistors.network import ResistorNetwork
from chemlearn.resistors.tasks import Task

__all__ = ["SpringNetwork", "check_rigid"]

FLOPPY = 1e-9
"""Stiffness of the softest mode, in units of that of the stiffest, below which it counts as none."""


@dataclass(frozen=True, eq=False)
class SpringNetwork:
    r"""The nodes and edges of a network in the plane, joined by springs; small displacements.

    Its places are coordinates: number 2a is the displacement of node a along x, 2a + 1 along y. The ground is
    held in both. Bond j from node a to node b stretches by e_j = n_j · (x_a − x_b), n_j being the direction
    from b to a at rest; where the network is periodic, to the nearest image.

    Parameters
    ----------
    plane : ResistorNetwork
        With positions and a ground.

    Raises
    ------
    ValueError
        Without positions or a ground, or if two nodes that are joined lie at the same point.
    """

    places: ClassVar[str] = "coordinates"

    plane: ResistorNetwork

    def __post_init__(self) -> None:
        if self.plane.positions is None:
            raise ValueError("springs have directions, so nodes need positions; this network has none")
        if self.plane.ground is None:
            raise ValueError("a network of springs needs a ground, the node that is held; this one has none")
        short = np.flatnonzero(np.linalg.norm(self._ways, axis=1) == 0)
        if len(short):
            a, b = self.edges[short[0]]
            raise ValueError(f"nodes {a} and {b} of edge {short[0]} lie at the same point; move one of them")

    @property
    def nodes(self) -> int:
        """Number of coordinates, two for each node."""
        return 2 * self.plane.nodes

    @property
    def edges(self) -> np.ndarray:
        """The two nodes of each bond, (n_edges, 2)."""
        return self.plane.edges

    @property
    def n_edges(self) -> int:
        """Number of bonds."""
        return self.plane.n_edges

    @property
    def positions(self) -> np.ndarray | None:
        """Where the nodes lie, (n_nodes, 2)."""
        return self.plane.positions

    @property
    def box(self) -> float | None:
        """Side of the periodic square, if it is one."""
        return self.plane.box

    @property
    def held(self) -> np.ndarray:
        """Both coordinates of the ground."""
        ground = self.plane.ground
        assert ground is not None
        return np.array([2 * ground, 2 * ground + 1])

    @property
    def source(self) -> str:
        """Where the network comes from."""
        return self.plane.source

    @cached_property
    def _ways(self) -> np.ndarray:
        """From the second node of each bond to the first, (n_edges, 2)."""
        places, box = self.plane.positions, self.plane.box
        assert places is not None
        way = places[self.edges[:, 0]] - places[self.edges[:, 1]]
        return way if box is None else way - box * np.round(way / box)

    @cached_property
    def directions(self) -> np.ndarray:
        """n, of length 1, (n_edges, 2)."""
        return self._ways / np.linalg.norm(self._ways, axis=1, keepdims=True)

    @cached_property
    def _compatibility(self) -> np.ndarray:
        """Δ, dense."""
        return self.incidence().toarray()

    def drops(self, voltages: np.ndarray) -> np.ndarray:
        """e: by how much bonds stretch, (..., n_edges), for displacements (..., n_coordinates)."""
        nodes = voltages.reshape(*voltages.shape[:-1], self.plane.nodes, 2)
        apart = nodes[..., self.edges[:, 0], :] - nodes[..., self.edges[:, 1], :]
        return (apart * self.directions).sum(axis=-1)

    def incidence(self) -> csr_array:
        """Δ, the compatibility matrix, sparse (n_edges, n_coordinates): n_j at the first node, −n_j at the
        second.
        """
        rows = np.repeat(np.arange(self.n_edges), 4)
        columns = (2 * self.edges[:, :, None] + np.arange(2)).reshape(-1)
        values = np.concatenate([self.directions, -self.directions], axis=1).ravel()
        return csr_array((values, (rows, columns)), shape=(self.n_edges, self.nodes))

    def dense(self, coupling: np.ndarray) -> np.ndarray:
        """Δᵀ diag(k) Δ, the stiffness matrix, (n_coordinates, n_coordinates)."""
        return self._compatibility.T @ (coupling[:, None] * self._compatibility)

    def adjacency(self) -> csr_array:
        """Coordinates that share a bond, sparse and symmetric (n_coordinates, n_coordinates)."""
        shared = abs(self.incidence())
        return csr_array(shared.T @ shared)


def check_rigid(network: SpringNetwork, task: Task) -> None:
    """Refuse a network in which something can move and stretches no bond, sources and the ground held.

    Raises
    ------
    ValueError
        It names the node that moves most.
    """
    free = np.setdiff1d(np.arange(network.nodes), np.concatenate([task.sources, network.held]))
    stiffness, modes = np.linalg.eigh(network.dense(np.ones(network.n_edges))[np.ix_(free, free)])
    if len(free) and stiffness[0] <= FLOPPY * stiffness[-1]:
        node = free[np.argmax(np.abs(modes[:, 0]))] // 2
        raise ValueError(
            f"the network of springs is floppy: node {node} can move and no bond stretches, with the sources "
            "and the ground held; take a network with more bonds"
        )
