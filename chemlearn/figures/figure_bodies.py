"""Bodies that learn by what their edges remember: tubes with a messenger, springs, memristors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, NullLocator

from chemlearn.bodies import SpringNetwork
from chemlearn.figures.bodies_runs import GOAL, IDEAL, PATIENCE, RULES, SMALL, WITH, WITHOUT, measured
from chemlearn.figures.shared import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    OURS,
    PURPLE,
    SEED,
    Claim,
    Drawn,
    Sheet,
    letter,
    styled,
)
from chemlearn.resistors.files import published_network
from chemlearn.resistors.network import ResistorNetwork
from chemlearn.resistors.pictures import DrawnEdges, draw_network
from chemlearn.resistors.tasks import Task

SHARE = 0.8
"""Share of the ideal rule's tasks that a body is to solve."""

ACCIDENTS = 0.1
"""Share of them that edges which do not compare may solve by small steps; chosen after 1 of 73 was seen."""

ENOUGH = 10
"""Tasks from which on a share can be judged."""

CHANGES = LinearSegmentedColormap.from_list(
    "changes", ("#053061", "#2a7fbd", "#a8a8a8", "#d6604d", "#67001f")
)
"""Of a change; what has not changed is grey, not white, since it is still there."""

FOLDS = 3.0
"""Colours of a change end at factors of 2 to the power of this, up and down."""


def bodies(*, fast: bool = False, seed: int = SEED) -> Drawn:
    """Flow, elastic and memristor networks learn by the physics of their edges, and not without its memory.

    Parameters
    ----------
    fast : bool
        3 tasks for each body instead of 25.
    seed : int
        Root seed of the tasks.
    """
    data = measured(fast, seed)
    return Drawn(data, _draw(data), tuple(_claims(data)))


class Words(NamedTuple):
    """What a body is called, and what its edges see, read and lack."""

    title: str
    parameter: str
    seen: str
    reading: str
    element: str


WORDS = {
    "flow": Words("flow", "radius", "release $s$", "messenger", "autoregulation"),
    "springs": Words("springs", "stiffness", "strain $s$", "stress × strain", "dashpot"),
    "memristors": Words("memristors", "conductance", "voltage $s$", "product of voltages", "capacitor"),
}


class Score(NamedTuple):
    """How many of the ideal rule's tasks a rule solves, and in how many times its updates (median)."""

    solved: int
    of: int
    longer: float

    @classmethod
    def found(cls, data: xr.Dataset, body: str, rule: str) -> Score:
        updates = data.updates.sel(body=body)
        ideal, other = updates.sel(rule=IDEAL).values, updates.sel(rule=rule).values
        both = np.isfinite(ideal) & np.isfinite(other)
        longer = float(np.median(other[both] / ideal[both])) if both.any() else math.nan
        return cls(int(both.sum()), int(np.isfinite(ideal).sum()), longer)

    def __str__(self) -> str:
        return f"{self.solved} of {self.of}"


def _claims(data: xr.Dataset) -> Iterator[Claim]:
    for body in data.body.values.tolist():
        score = Score.found(data, body, WITH)
        enough = score.of >= ENOUGH
        time = "" if math.isnan(score.longer) else f", in {score.longer:.2f} times its updates (median)"
        few = "" if enough else f"; {ENOUGH} tasks or more would tell"
        yield Claim(
            f"{body}: edges that remember solve at least {SHARE:.0%} of what the ideal rule of the same body "
            f"solves, in at most {PATIENCE} times its updates {OURS}",
            f"{score} tasks{time}{few}",
            score.solved >= SHARE * score.of if enough else None,
        )
    yield _control(
        data,
        WITHOUT,
        f"without {_listed([word.element for word in WORDS.values()])} none solves any {OURS}",
        0.0,
    )
    yield _control(
        data,
        SMALL,
        "nor do they by updates as small as the first one with memory, but for accidents, at most "
        f"{ACCIDENTS:.0%} {OURS}",
        ACCIDENTS,
    )


def _control(data: xr.Dataset, rule: str, published: str, most: float) -> Claim:
    """Edges without memory: each body on its own. What few tasks show can only be that a claim is wrong."""
    names = data.body.values.tolist()
    scores = [Score.found(data, body, rule) for body in names]
    least = data.least_error.sel(rule=rule).median("task")
    words = _listed([f"{name} {score}" for name, score in zip(names, scores, strict=True)])
    holds: bool | None = all(score.solved <= most * score.of for score in scores)
    enough = all(score.of >= ENOUGH for score in scores)
    if not enough and (holds or most > 0):
        holds = None
    levels = _listed([f"{value:.2f}" for value in least.values])
    return Claim(published, f"{words}; the least C/C0 is {levels} (median)", holds)


def _listed(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


# --- the picture


@styled
def _draw(data: xr.Dataset) -> Figure:
    figure = Sheet(figsize=(14.4, 10.4), layout="constrained")
    names = data.body.values.tolist()
    grid = figure.add_gridspec(len(names), 4, width_ratios=(1.05, 1.0, 1.0, 1.0))
    networks, letters = [], iter("ABCDEFGHIJKL")
    for row, name in enumerate(names):
        one, words = data.sel(body=name), WORDS[name]
        networks.append(figure.add_subplot(grid[row, 0]))
        drawn = _draw_learned(networks[-1], one, words, next(letters))
        _draw_swing(figure, grid[row, 1], one, words, next(letters))
        _draw_courses(figure.add_subplot(grid[row, 2]), one, next(letters), legend=row == 0)
        _draw_tasks(figure.add_subplot(grid[row, 3]), data, name, next(letters))
    _explain(figure, networks, drawn)
    return figure


def _draw_learned(ax: Axes, one: xr.Dataset, words: Words, name: str) -> DrawnEdges:
    """The network after it has learned; widths are weights, colours by what factor each has changed."""
    plane = published_network()
    network = SpringNetwork(plane) if words.parameter == "stiffness" else plane
    weight = one.weight.values
    drawn = draw_network(
        ax,
        network,
        weight,
        task=Task(one.source.values, one.input.values, one.target.values, one.output.values),
        label=words.parameter,
        largest=max(2.0, float(weight.max())),
        widest=7.0,
        colours=np.log2(weight),
        cmap=CHANGES,
        limits=(-FOLDS, FOLDS),
        legend=False,
    )
    before = Line2D([], [], color=GREY, linewidth=drawn.width, solid_capstyle="butt")
    handles, labels = [before], [f"{words.parameter} before learning"]
    if isinstance(network, SpringNetwork):
        _draw_directions(ax, plane, one)
        handles.append(Line2D([], [], color=GREY, marker="|", linestyle="", markersize=6, mew=1.5))
        labels.append("moved along")
    ax.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.01), ncols=2)
    letter(ax, name, f"{words.title}: {words.parameter} after learning")
    return drawn


def _draw_directions(ax: Axes, plane: ResistorNetwork, one: xr.Dataset) -> None:
    """Along which axis sources are moved and targets are to move."""
    assert plane.positions is not None
    for places, colour in ((one.source.values, "white"), (one.target.values, ORANGE)):
        for place in places:
            x, y = plane.positions[place // 2] % (plane.box or math.inf)
            ax.plot(x, y, "|" if place % 2 else "_", color=colour, ms=5, mew=1.5, zorder=5, clip_on=False)


def _draw_swing(figure: Figure, place: SubplotSpec, one: xr.Dataset, words: Words, name: str) -> None:
    """What one edge feels, above what it reads of that."""
    part = place.subgridspec(2, 1, height_ratios=(1, 2.6), hspace=0.05)
    above, below = figure.add_subplot(part[0]), figure.add_subplot(part[1])
    above.plot(one.time, one.seen, color=BLACK)
    above.set(ylabel=words.seen, xticklabels=[])
    above.margins(y=0.15)
    below.axhspan(-1, 1, color="#ececec", linewidth=0)
    for kind, colour, line in ((WITH, BLUE, "-"), (WITHOUT, ORANGE, "--")):
        below.plot(one.time, one.reading.sel(kind=kind), color=colour, linestyle=line, label=kind)
    end = float(one.time[-1])
    below.text(0.98 * end, -0.93, "below the threshold", ha="right", va="bottom", color=GREY, fontsize=8)
    below.set(xlabel=r"time since the swing began ($\tau_f$)", ylabel=f"{words.reading} (thresholds)")
    below.set_ylim(-1.6, None)
    for ax in (above, below):
        ax.set_xlim(-0.02 * end, end)
    below.legend(loc="upper right")
    letter(above, name, "one edge over one swing")


_LOOKS: dict[str, dict[str, Any]] = {
    IDEAL: {"color": BLACK, "linestyle": "-"},
    WITH: {"color": BLUE, "linestyle": (0, (4, 1))},
    WITHOUT: {"color": ORANGE, "linestyle": "--"},
    SMALL: {"color": PURPLE, "linestyle": ":"},
}


def _draw_courses(ax: Axes, one: xr.Dataset, name: str, *, legend: bool) -> None:
    """Errors on the task that is shown."""
    for rule in RULES:
        ax.plot(one.step, one.course.sel(rule=rule), label=rule, **_LOOKS[rule])
    ax.axhline(GOAL, color=GREY, linewidth=0.8, linestyle=":")
    ax.set(yscale="log", xlabel="updates", ylabel=r"error $C/C_0$", xlim=(0, _last(one)))
    if legend:
        ax.legend(loc="upper right", bbox_to_anchor=(1.0, 0.7))
    letter(ax, name, "error on that task")


def _last(one: xr.Dataset) -> int:
    """The last update of any rule."""
    return int(one.step[np.isfinite(one.course).any("rule").values][-1])


LEAST, MOST, TOP = 1.3, 400.0, 2e4
"""Updates at the ends of the axes, and where the strip for what is not solved ends."""

STRIP = 2 * PATIENCE * MOST
"""Where it begins."""

MARKS = {WITH: "o", WITHOUT: "x", SMALL: "+"}


def _draw_tasks(ax: Axes, data: xr.Dataset, body: str, name: str) -> None:
    """Updates of all tasks against those of the ideal rule; what is not solved lies in a strip above."""
    updates = data.updates.sel(body=body)
    ideal = updates.sel(rule=IDEAL).values
    span = np.array([LEAST, MOST])
    for factor, line in ((1, "-"), (PATIENCE, ":")):
        ax.plot(span, factor * span, color=GREY, linewidth=0.8, linestyle=line)
    ax.text(MOST, PATIENCE * MOST, f"× {PATIENCE} ", ha="right", va="bottom", color=GREY, fontsize=8)
    ax.axhspan(STRIP, TOP, color="#ececec", linewidth=0)
    levels = np.geomspace(STRIP, TOP, 2 * len(MARKS) + 1)[1::2]
    for level, (rule, mark) in zip(levels, MARKS.items(), strict=True):
        found = updates.sel(rule=rule).values
        shown = np.where(np.isfinite(found), found, level)
        label = f"{rule}: {Score.found(data, body, rule)}"
        ax.plot(ideal, shown, mark, color=_LOOKS[rule]["color"], label=label, mfc="none", mew=1.2)
    ax.set(xscale="log", yscale="log", xlim=span, ylim=(LEAST, TOP))
    ax.set(xlabel="updates of the ideal rule", ylabel="updates")
    ax.set_yticks([10, 100, 1000, levels[1]], ["10", "100", "1000", "not\nsolved"])
    ax.set_xticks([10, 100], ["10", "100"])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_minor_locator(NullLocator())
    height = math.log(STRIP / LEAST) / math.log(TOP / LEAST)
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, height), handletextpad=0.2, borderaxespad=0.2)
    letter(ax, name, "all tasks")


def _explain(figure: Figure, networks: list[Axes], drawn: DrawnEdges) -> None:
    """One bar for the colours of all networks, and what their marks mean."""
    ticks = np.arange(-FOLDS, FOLDS + 1)
    bar = figure.colorbar(drawn.lines, ax=networks, location="left", ticks=ticks, extend="both", shrink=0.5)
    bar.ax.set_yticklabels([f"×{2.0**k:g}" if k >= 0 else f"×1/{2.0**-k:g}" for k in ticks])
    bar.set_label("factor of change")
    marks = [line for line in networks[0].lines if not str(line.get_label()).startswith("_")]
    figure.legend(handles=marks, loc="outside lower left", ncols=3)
