"""Networks of resistors: nodes, edges between them, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

__all__ = ["LinearNetwork", "ResistorNetwork", "check_conductances", "whole_numbers"]


class LinearNetwork(Protocol):
    """Values at places, and edges that see linear combinations of them: what Kirchhoff's law is solved on.

    A place is a node of a network of resistors, or one coordinate of a node of a network of springs.
    """

    places: ClassVar[str]
    """What places are called in messages, in the plural."""

    @property
    def nodes(self) -> int:
        """Number of places."""

    @property
    def edges(self) -> np.ndarray:
        """The two nodes of each edge, (n_edges, 2)."""

    @property
    def n_edges(self) -> int:
        """Number of edges."""

    @property
    def held(self) -> np.ndarray:
        """Places whose value is always 0."""

    @property
    def source(self) -> str:
        """Where the network comes from."""

    def drops(self, voltages: np.ndarray) -> np.ndarray:
        """What each edge sees of the values, (..., n_edges)."""

    def incidence(self) -> csr_array:
        """Δ, sparse (n_edges, n_places): drops of all edges are Δ times the values."""

    def dense(self, coupling: np.ndarray) -> np.ndarray:
        """Δᵀ diag(coupling) Δ, (n_places, n_places)."""

    def adjacency(self) -> csr_array:
        """Which places share an edge, sparse and symmetric (n_places, n_places)."""


@dataclass(frozen=True, eq=False)
class ResistorNetwork:
    """Nodes joined by resistors; the conductances, which learn, are no part of it.

    Parameters
    ----------
    nodes : int
        Number of nodes; they are numbered from 0.
    edges : array of int, (n_edges, 2)
        The two nodes of each edge. Two edges may join the same nodes, as resistors in parallel.
    ground : int or None
        A node held at 0 V; the last one in the networks of Stern et al.
    positions : array, (n_nodes, 2), optional
        For pictures only.
    box : float, optional
        Side of the square in which the network is periodic; None if it is not.
    source : str
        Where the network comes from, or how it was made.

    Raises
    ------
    ValueError
        If an edge names a node that is not there or joins a node with itself, if the network is not
        connected, or if a number or shape makes no sense.

    References
    ----------
    Stern, Dillavou, Miskin, Durian, Liu, arXiv:2112.11399 (cited as S).
    """

    places: ClassVar[str] = "nodes"

    nodes: int
    edges: np.ndarray
    ground: int | None = None
    positions: np.ndarray | None = None
    box: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.nodes, bool) or int(self.nodes) != self.nodes or self.nodes < 2:
            raise ValueError(f"a network has a whole number of nodes of at least 2, got {self.nodes}")
        nodes = int(self.nodes)
        edges = whole_numbers(self.edges, "edges")
        _check_edges(nodes, edges)
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "edges", _fixed(edges))
        if self.ground is not None and (int(self.ground) != self.ground or not 0 <= self.ground < nodes):
            raise ValueError(f"the ground is one of the nodes 0 to {nodes - 1}, got {self.ground}")
        if self.box is not None and not (np.isfinite(self.box) and self.box > 0):
            raise ValueError(f"the side of the periodic box must be positive, got {self.box}")
        if self.positions is not None:
            places = np.array(self.positions, float)
            if places.shape != (nodes, 2) or not np.isfinite(places).all():
                raise ValueError(
                    f"positions are two finite numbers for each of {nodes} nodes, got shape {places.shape}"
                )
            object.__setattr__(self, "positions", _fixed(places))
        _check_connected(nodes, edges)

    def __len__(self) -> int:
        return self.nodes

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return len(self.edges)

    @property
    def held(self) -> np.ndarray:
        """The ground, if there is one, as an array."""
        return np.array([] if self.ground is None else [self.ground], np.int64)

    @property
    def coordination(self) -> float:
        """Mean number of edges at a node."""
        return 2 * self.n_edges / self.nodes

    def drops(self, voltages: np.ndarray) -> np.ndarray:
        """Δv: voltage of the first node of each edge less that of the second, (..., n_edges)."""
        return voltages[..., self.edges[:, 0]] - voltages[..., self.edges[:, 1]]

    def incidence(self) -> csr_array:
        """Δ, sparse (n_edges, n_nodes): +1 at the first node of each edge, −1 at the second."""
        rows = np.repeat(np.arange(self.n_edges), 2)
        signs = np.tile([1.0, -1.0], self.n_edges)
        return csr_array((signs, (rows, self.edges.ravel())), shape=(self.n_edges, self.nodes))

    def dense(self, coupling: np.ndarray) -> np.ndarray:
        """Δᵀ diag(g) Δ, (n_nodes, n_nodes), for networks of up to some hundred nodes."""
        n, (a, b) = self.nodes, self.edges.T
        flat = np.bincount(a * n + b, coupling, n * n) + np.bincount(b * n + a, coupling, n * n)
        matrix = -flat.reshape(n, n)
        matrix[np.arange(n), np.arange(n)] = -matrix.sum(axis=1)
        return matrix

    def adjacency(self) -> csr_array:
        """Number of edges between each two nodes, sparse and symmetric (n_nodes, n_nodes)."""
        one = np.ones(self.n_edges)
        half = csr_array((one, (self.edges[:, 0], self.edges[:, 1])), shape=(self.nodes, self.nodes))
        return csr_array(half + half.T)


def whole_numbers(values: ArrayLike, what: str) -> np.ndarray:
    """The values as integers; refused if any is not a whole number."""
    found = np.asarray(values)
    if found.dtype.kind not in "iuf" or not (np.mod(found, 1) == 0).all():
        raise ValueError(f"{what} are given by whole numbers of nodes, got {values!r:.60}")
    return found.astype(np.int64)


def check_conductances(
    network: LinearNetwork, conductance: ArrayLike, what: str = "conductances"
) -> np.ndarray:
    """Conductances, or what else edges have, (n_edges,), from one number or one for each.

    Raises
    ------
    ValueError
        If there are not as many as edges, or one is not positive and finite; it names the edge.
    """
    found = np.asarray(conductance, float)
    if found.shape not in ((), (network.n_edges,)):
        raise ValueError(f"{what} are one number or {network.n_edges}, got shape {found.shape}")
    found = np.broadcast_to(found, network.n_edges).copy()
    wrong = np.flatnonzero(~(np.isfinite(found) & (found > 0)))
    if len(wrong):
        a, b = network.edges[wrong[0]]
        raise ValueError(
            f"{what} must be positive and finite, got {found[wrong[0]]:g} on edge {wrong[0]} ({a}–{b})"
        )
    return found


def _fixed(array: np.ndarray) -> np.ndarray:
    """The array, which nobody can write to any more."""
    array.setflags(write=False)
    return array


def _check_edges(nodes: int, edges: np.ndarray) -> None:
    if edges.ndim != 2 or edges.shape[1] != 2 or not len(edges):
        raise ValueError(f"edges are pairs of nodes, at least one, got shape {edges.shape}")
    wrong = np.flatnonzero(((edges < 0) | (edges >= nodes)).any(axis=1))
    if len(wrong):
        a, b = edges[wrong[0]]
        raise ValueError(f"edge {wrong[0]} ({a}–{b}) names a node that is none of 0 to {nodes - 1}")
    loops = np.flatnonzero(edges[:, 0] == edges[:, 1])
    if len(loops):
        raise ValueError(f"edge {loops[0]} joins node {edges[loops[0], 0]} with itself; take it out")


def _check_connected(nodes: int, edges: np.ndarray) -> None:
    graph = csr_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(nodes, nodes))
    count, part = connected_components(graph, directed=False)
    if count > 1:
        alone = np.flatnonzero(part != part[0])[0]
        raise ValueError(
            f"the network is not connected: it has {count} parts, and no path joins nodes 0 and {alone}"
        )
