"""Networks in the plane: edges as wide as they conduct, before and after they have learned."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from chemlearn.colours import BLACK, BLUE, ORANGE
from chemlearn.resistors.tasks import Task

__all__ = ["DrawnEdges", "Placed", "draw_before_after", "draw_network", "visible_segments"]

WIDEST = 5.0
"""Width in points of the widest edge, unless told otherwise."""

HAIRLINE = 0.4
"""Width of the pale line that every edge has, so that those too thin to be seen are there."""

FOLDS = 3.0
"""Colours of a change end at factors of 2 to the power of this, up and down."""

INK, PALE = "#404040", "#c8c8c8"

MARKS = (("source", "o", BLUE, True), ("target", "s", ORANGE, False), ("held", "X", BLACK, True))
"""Name, marker, colour and whether it is filled."""


class Placed(Protocol):
    """What can be drawn: edges between nodes that lie somewhere in the plane.

    Networks of resistors are; so are those whose places are the coordinates of nodes, x and y of node n being
    places 2n and 2n + 1.
    """

    @property
    def nodes(self) -> int:
        """Number of places."""

    @property
    def edges(self) -> np.ndarray:
        """The two nodes of each edge, (n_edges, 2)."""

    @property
    def positions(self) -> np.ndarray | None:
        """Where the nodes lie, (n_nodes, 2)."""

    @property
    def box(self) -> float | None:
        """Side of the square from (0, 0) in which the network is periodic; None if it is not."""

    @property
    def held(self) -> np.ndarray:
        """Places whose value is always 0."""


class DrawnEdges(NamedTuple):
    """The edges of a picture."""

    lines: LineCollection
    """One line for each visible piece; give it to a colour bar if there are colours."""
    edge: np.ndarray
    """Whose piece each line is, (n_lines,)."""
    width: float
    """Points for each unit of the weight: two pictures of the same width are comparable."""

    def resize(self, weights: np.ndarray) -> None:
        """Give the edges other weights, (n_edges,), on the same scale."""
        self.lines.set(linewidths=self.width * weights[self.edge])


def visible_segments(network: Placed) -> tuple[np.ndarray, np.ndarray]:
    """The pieces of all edges that lie in the picture.

    Parameters
    ----------
    network : Placed

    Returns
    -------
    segments : array, (n_segments, 2, 2)
        Both ends of each piece. In a periodic square an edge takes the shortest way; one that crosses the
        border is two pieces that end there, three if it passes by a corner.
    edge : array of int, (n_segments,)
        The edge that each is a piece of.

    Raises
    ------
    ValueError
        If the network does not say where its nodes lie.
    """
    places, box = _places(network), network.box
    a, b = np.moveaxis(places[network.edges], 1, 0)
    number = np.arange(len(a))
    if box is None:
        return np.stack([a, b], axis=1), number
    way = b - a
    way -= box * np.round(way / box)
    found, owner = [], []
    for shift in box * np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), axis=-1).reshape(-1, 2):
        begin, end = _inside(a + shift, way, box)
        seen = end > begin + 1e-12
        ends = (a + shift)[seen, None] + np.stack([begin, end], axis=1)[seen, :, None] * way[seen, None]
        found.append(np.clip(ends, 0.0, box))
        owner.append(number[seen])
    return np.concatenate(found), np.concatenate(owner)


def _inside(start: np.ndarray, way: np.ndarray, box: float) -> tuple[np.ndarray, np.ndarray]:
    """Shares of each way at which it enters and leaves the square, (n,); the first is larger if never."""
    flat = way == 0
    safe = np.where(flat, 1.0, way)
    low, high = -start / safe, (box - start) / safe
    within = (start >= 0) & (start <= box)
    enter = np.where(flat, np.where(within, 0.0, 2.0), np.minimum(low, high))
    leave = np.where(flat, 1.0, np.maximum(low, high))
    return np.maximum(enter.max(axis=1), 0.0), np.minimum(leave.min(axis=1), 1.0)


def _places(network: Placed) -> np.ndarray:
    if network.positions is None:
        raise ValueError("the network does not say where its nodes lie; give it positions, (n_nodes, 2)")
    return network.positions if network.box is None else network.positions % network.box


def draw_network(
    ax: Axes,
    network: Placed,
    weights: ArrayLike,
    *,
    task: Task | None = None,
    label: str = "conductance",
    largest: float | None = None,
    widest: float = WIDEST,
    colours: ArrayLike | None = None,
    cmap: str | Colormap = "viridis",
    limits: tuple[float, float] | None = None,
    legend: bool = True,
) -> DrawnEdges:
    """Draw a network with edges as wide as their weights are large.

    Parameters
    ----------
    ax : matplotlib Axes
        Its limits become those of the network.
    network : Placed
        With positions.
    weights : float or array, (n_edges,)
        Conductances, stiffnesses or what else is not negative; widths are proportional to it. Every edge
        also has a pale hairline, whatever its weight.
    task : Task, optional
        Whose sources and targets are marked.
    label : str
        What the weight is, for the legend.
    largest : float, optional
        Weight of an edge ``widest`` points wide, by default the largest one; give the same to pictures that
        are to be compared.
    widest : float
        In points.
    colours : array, (n_edges,), optional
        A second quantity, shown by the colours of the edges; a colour bar is the caller's, made from the
        ``lines`` that are returned.
    cmap, limits
        Its colours and the values at their two ends, by default the least and the largest.
    legend : bool
        Whether to say below the picture what marks and widths mean.

    Raises
    ------
    ValueError
        If the network has no positions, a number is not finite, a weight is negative or all are 0, there
        are not as many numbers as edges, or the task names a node that is not there.
    """
    heavy = _per_edge(network, weights, label)
    if heavy.min() < 0:
        edge = int(np.argmin(heavy))
        raise ValueError(
            f"{label}: none may be negative, which no width is, got {heavy[edge]:g} on edge {edge}"
        )
    top = float(heavy.max()) if largest is None else float(largest)
    if not (np.isfinite(top) and top > 0):
        raise ValueError(f"the largest weight must be positive and finite, got {top:g}")
    segments, edge_of = visible_segments(network)
    ax.add_collection(LineCollection(list(segments), linewidths=HAIRLINE, colors=PALE, zorder=1))
    # Lines that are given one colour do not take those of an array.
    lines = LineCollection(list(segments), colors=INK if colours is None else None, zorder=2)
    if colours is not None:
        lines.set(array=_per_edge(network, colours, "colours")[edge_of], cmap=cmap)
        lines.set_clim(*(limits or (None, None)))
    ax.add_collection(lines)
    drawn = DrawnEdges(lines, edge_of, widest / top)
    drawn.resize(heavy)
    marks = _draw_nodes(ax, network, task)
    _frame(ax, network)
    if legend:
        scale = _scale(top, drawn.width, label)
        ax.legend(
            handles=[*marks, *scale], loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=2, frameon=False
        )
    return drawn


def _per_edge(network: Placed, values: ArrayLike, what: str) -> np.ndarray:
    """One finite number for each edge, (n_edges,)."""
    found = np.asarray(values, float)
    count = len(network.edges)
    if found.shape not in ((), (count,)):
        raise ValueError(f"{what}: one number or one for each of {count} edges, got shape {found.shape}")
    found = np.broadcast_to(found, count)
    wrong = np.flatnonzero(~np.isfinite(found))
    if len(wrong):
        raise ValueError(f"{what}: all must be finite, got {found[wrong[0]]} on edge {wrong[0]}")
    return found


def _draw_nodes(ax: Axes, network: Placed, task: Task | None) -> list[Any]:
    """Dots, and marks where something is held or wanted; those are returned for a legend."""
    places = _places(network)
    ax.plot(*places.T, "o", color=INK, ms=2.5, zorder=3)
    per_node = network.nodes // len(places)
    groups = {"source": () if task is None else task.sources, "target": () if task is None else task.targets}
    for name, named in groups.items():
        wrong = [place for place in named if not 0 <= place < network.nodes]
        if wrong:
            raise ValueError(
                f"{name} {wrong[0]} is none of 0 to {network.nodes - 1}; the task is of another network"
            )
    groups["held"] = network.held
    found = []
    for name, marker, colour, filled in MARKS:
        nodes = np.unique(np.asarray(groups[name], int) // per_node)
        if len(nodes):
            shown = "ground" if name == "held" and per_node == 1 else name
            found += ax.plot(
                *places[nodes].T,
                marker,
                ms=10 if name == "held" else 8,
                mfc=colour if filled else "white",
                mec="white" if filled else colour,
                mew=0.8 if filled else 2.0,
                label=shown,
                # Marks on the border are whole.
                clip_on=False,
                zorder=4,
            )
    return found


def _frame(ax: Axes, network: Placed) -> None:
    """A square for a periodic network, a margin around one that is not."""
    places = _places(network)
    if network.box is None:
        low, high = places.min(axis=0), places.max(axis=0)
        margin = 0.04 * float((high - low).max() or 1.0)
        ax.set(xlim=(low[0] - margin, high[0] + margin), ylim=(low[1] - margin, high[1] + margin))
    else:
        ax.set(xlim=(0, network.box), ylim=(0, network.box))
    ax.set(aspect="equal", xticks=[], yticks=[])
    # Dashes say that what leaves there enters on the other side.
    for spine in ax.spines.values():
        spine.set(visible=network.box is not None, color=PALE, linestyle=(0, (4, 3)), linewidth=1.0)


def _scale(largest: float, width: float, label: str) -> list[Line2D]:
    """Lines of two round weights, as wide as edges that have them."""
    top = _round(largest)
    return [
        Line2D([], [], color=INK, linewidth=width * value, label=f"{label} {value:g}", solid_capstyle="butt")
        for value in (top, _round(top / 4))
    ]


def _round(value: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten up to a value."""
    power = 10.0 ** np.floor(np.log10(value * (1 + 1e-12)))
    return float(power * max(step for step in (1, 2, 5) if step * power <= value * (1 + 1e-9)))


def draw_before_after(
    network: Placed,
    first: ArrayLike,
    last: ArrayLike,
    *,
    task: Task | None = None,
    label: str = "conductance",
    names: tuple[str, str] = ("before", "after"),
    size: tuple[float, float] = (10.5, 4.0),
) -> Figure:
    """Two states of a network on one scale of widths, and by what factor each edge has changed.

    Parameters
    ----------
    network : Placed
        With positions.
    first, last : float or array, (n_edges,)
        Weights, positive.
    task : Task, optional
        Whose sources and targets are marked.
    label : str
        What the weight is.
    names : tuple of str
        Titles of the two states.
    size : tuple of float
        Of the figure, in inches.

    Returns
    -------
    matplotlib Figure
        It belongs to no window. In its third panel all edges are equally wide; factors beyond 8 up or down
        have the last colour.

    Raises
    ------
    ValueError
        As :func:`draw_network`, or if a weight is 0.
    """
    states = [_per_edge(network, weights, label) for weights in (first, last)]
    for weights in states:
        if weights.min() <= 0:
            edge = int(np.argmin(weights))
            raise ValueError(
                f"{label}: all must be positive for their change, got {weights[edge]:g} on edge {edge}"
            )
    largest = float(np.max(states))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, 3)
    for ax, weights, name in zip(axes[:2], states, names, strict=True):
        draw_network(ax, network, weights, task=task, label=label, largest=largest, legend=False)
        ax.set_title(name)
    change = np.log2(states[1] / states[0])
    drawn = draw_network(
        axes[2],
        network,
        1.0,
        task=task,
        widest=2.5,
        colours=change,
        cmap="RdBu_r",
        limits=(-FOLDS, FOLDS),
        legend=False,
    )
    axes[2].set_title(f"{label}: factor of change")
    _bar(figure, axes[2], drawn.lines, change)
    marks = [line for line in axes[0].lines if not line.get_label().startswith("_")]
    scale = _scale(largest, WIDEST / largest, label)
    figure.legend(handles=[*marks, *scale], loc="outside lower center", ncols=5, frameon=False)
    return figure


def _bar(figure: Figure, ax: Axes, lines: LineCollection, change: np.ndarray) -> None:
    """A colour bar in factors of two, with arrows where changes are beyond it."""
    beyond = (change.min() < -FOLDS, change.max() > FOLDS)
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max"}.get(beyond, "both")
    ticks = np.arange(-FOLDS, FOLDS + 1)
    bar = figure.colorbar(lines, ax=ax, ticks=ticks, extend=extend, shrink=0.8, pad=0.03)
    bar.ax.set_yticklabels([f"×{2.0**k:g}" if k >= 0 else f"×1/{2.0**-k:g}" for k in ticks])
