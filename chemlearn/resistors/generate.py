"""Disordered planar networks of any size, like the contact networks of jammed discs."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial import Delaunay

from chemlearn.resistors.network import ResistorNetwork

__all__ = ["disordered_network"]

COORDINATION = 2 * 143 / 64
"""Mean number of edges at a node of the published network."""


def disordered_network(
    nodes: int,
    *,
    coordination: float = COORDINATION,
    periodic: bool = True,
    rounds: int = 5,
    seed: int | None = None,
) -> ResistorNetwork:
    """A random planar network of given mean coordination.

    Points are thrown uniformly into a square of one node per unit area and spread out by ``rounds`` of
    moving each to the mean of its Delaunay neighbours. Of the edges of their last Delaunay triangulation the
    longest go first, until the coordination is reached, but none that leaves a node with fewer than three
    edges, as in a jammed packing, or that belongs to the shortest tree through all nodes, which keeps them
    connected. The last node is the ground, as in the published networks; where it lies is random.

    Parameters
    ----------
    nodes : int
        At least 16.
    coordination : float
        Mean number of edges at a node, at least 3 and, as in any triangulation, below 6; by default that of
        the published network, 4.47. Where nodes with three edges forbid it, it stays somewhat higher.
    periodic : bool
        Whether the square closes on itself; otherwise the network has a border, near which points spread out
        as if it were a mirror.
    rounds : int
        None leaves the points as thrown, many make them nearly a lattice.
    seed : int, optional
        Drawn and recorded in ``source`` if not given.

    Raises
    ------
    ValueError
        If there are too few nodes, or the coordination or the rounds make no sense or cannot be had.
    """
    if int(nodes) != nodes or nodes < 16:
        raise ValueError(f"a disordered network has a whole number of nodes of at least 16, got {nodes}")
    if not 3 <= coordination < 6:
        raise ValueError(f"the mean coordination must be at least 3 and below 6, got {coordination}")
    if int(rounds) != rounds or rounds < 0:
        raise ValueError(f"rounds must be a whole number of at least 0, got {rounds}")
    root = np.random.SeedSequence(seed)
    side = float(np.sqrt(nodes))
    points = np.random.default_rng(root).uniform(0, side, (int(nodes), 2))
    for _ in range(rounds):
        points = _spread(points, side) if periodic else _spread_within(points, side)
    edges, steps = _triangulated(points, side, periodic)
    wanted = round(nodes * coordination / 2)
    if len(edges) < wanted:
        raise ValueError(
            f"the triangulation of these {nodes} points has {len(edges)} edges, fewer than the {wanted} of "
            f"a mean coordination of {coordination:.4g}; lower it, or take more nodes or a periodic square"
        )
    kept = _pruned(int(nodes), edges, np.linalg.norm(steps, axis=1), wanted)
    source = (
        f"Delaunay triangulation of {nodes} random points after {rounds} rounds of spreading, longest edges "
        f"taken out down to coordination {coordination:.4g}, {'' if periodic else 'not '}periodic, "
        f"seed {root.entropy}"
    )
    return ResistorNetwork(
        int(nodes), edges[kept], int(nodes) - 1, points, side if periodic else None, source
    )


def _triangulated(points: np.ndarray, side: float, periodic: bool) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the Delaunay triangulation, (n_edges, 2), each once, and the ways along them."""
    n = len(points)
    origin, image = np.arange(n), points
    if periodic:
        shifts = side * np.stack(np.meshgrid([0, -1, 1], [0, -1, 1]), axis=-1).reshape(-1, 2)
        image = (points + shifts[:, None]).reshape(-1, 2)
        origin = np.tile(origin, len(shifts))
        # Only what lies near the square can be a neighbour of something in it.
        margin = min(side, 6.0)
        near = np.flatnonzero(((image > -margin) & (image < side + margin)).all(axis=1))
        image, origin = image[near], origin[near]
    corners = Delaunay(image).simplices
    pairs = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    pairs = pairs[(pairs < n).any(axis=1)]
    edges, steps = origin[pairs], image[pairs[:, 1]] - image[pairs[:, 0]]
    turned = edges[:, 0] > edges[:, 1]
    edges[turned], steps[turned] = edges[turned, ::-1], -steps[turned]
    apart = edges[:, 0] != edges[:, 1]
    _, first = np.unique(edges[apart], axis=0, return_index=True)
    return edges[apart][first].astype(np.int64), steps[apart][first]


def _spread(points: np.ndarray, side: float) -> np.ndarray:
    """Each point moved to the mean of its neighbours, in a square that closes on itself."""
    edges, steps = _triangulated(points, side, periodic=True)
    moved, count = np.zeros_like(points), np.bincount(edges.ravel(), minlength=len(points))
    np.add.at(moved, edges[:, 0], steps)
    np.add.at(moved, edges[:, 1], -steps)
    return (points + moved / count[:, None]) % side


def _spread_within(points: np.ndarray, side: float) -> np.ndarray:
    """Each point moved to the mean of its neighbours, mirror images beyond the border among them.

    Without these all points on the border would move inwards, and leave a void behind the crowd.
    """
    mirrored = [points * sign + shift for sign, shift in _mirrors(side)]
    image = np.concatenate(mirrored)
    corners = Delaunay(image).simplices
    pairs = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    pairs = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)
    first, second = pairs[pairs[:, 0] < len(points)].T
    moved = np.zeros_like(points)
    np.add.at(moved, first, image[second] - image[first])
    return points + moved / np.bincount(first, minlength=len(points))[:, None]


def _mirrors(side: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Signs and shifts that map the square onto itself, which is first, and onto its eight mirror images."""
    one = [(1.0, 0.0), (-1.0, 0.0), (-1.0, 2 * side)]
    return [(np.array([a, c]), np.array([b, d])) for a, b in one for c, d in one]


def _pruned(nodes: int, edges: np.ndarray, lengths: np.ndarray, wanted: int) -> np.ndarray:
    """Places of the edges that stay when the longest go."""
    graph = csr_array((lengths, (edges[:, 0], edges[:, 1])), shape=(nodes, nodes))
    tree = minimum_spanning_tree(graph).tocoo()
    needed = np.isin(edges @ [nodes, 1], tree.row.astype(np.int64) * nodes + tree.col)
    degree, left, gone = np.bincount(edges.ravel(), minlength=nodes), len(edges), list[int]()
    for place in np.argsort(-lengths, kind="stable").tolist():
        a, b = edges[place]
        if left <= wanted:
            break
        if not needed[place] and degree[a] > 3 and degree[b] > 3:
            gone.append(place)
            degree[a] -= 1
            degree[b] -= 1
            left -= 1
    return np.delete(np.arange(len(edges)), gone)
