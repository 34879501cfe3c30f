"""Temporal contrast in one network of resistors: which thresholds let it learn, how slow a nudge must be."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from chemlearn.figures.one_network_runs import GOAL, MAPPED, PATIENCE, RANGES, measured
from chemlearn.figures.shared import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LEVELS,
    ORANGE,
    OURS,
    PURPLE,
    SEED,
    SKY,
    Claim,
    Drawn,
    judged,
    letter,
    panels,
    styled,
)

SHARE = 0.9
"""Share of tasks that counts as learning."""


def one_network(*, fast: bool = False, seed: int = SEED) -> Drawn:
    """One network learns from a sawtooth by what its edges remember, at rest and out of equilibrium.

    Parameters
    ----------
    fast : bool
        5 tasks instead of 50 (2 instead of 12 for the maps and times) and coarser maps.
    seed : int
        Root seed of the tasks.
    """
    data = measured(fast, seed)
    return Drawn(data, _draw(data), tuple(_claims(data)))


def _claims(data: xr.Dataset) -> Iterator[Claim]:
    count = data.sizes["task"]
    solved = np.isfinite(data.updates).mean("task")
    own = solved.sel(rule="own")
    longer = (data.updates.sel(rule="own") / data.ideal_updates).median("task")
    yield judged(
        f"with a threshold of its own at every edge one network solves at least {SHARE:.0%} of what the "
        f"ideal rule solves, in at most {PATIENCE} times its updates {OURS}",
        f"at {_listed(RANGES)} {', '.join(f'{s:.0%}' for s in own.values)} of {count} tasks are solved "
        f"in {', '.join(f'{s:.2f}' for s in longer.values)} times the updates (median)",
        float(own.sel(range=10.0)),
        low=SHARE,
    )
    naive = solved.sel(rule="fixed")
    yield judged(
        f"with one fixed threshold it does not {OURS}",
        f"{', '.join(f'{s:.0%}' for s in naive.values)}; following the largest contrast of all edges "
        f"{', '.join(f'{s:.0%}' for s in solved.sel(rule='follows the largest').values)}",
        float(naive.max()),
        high=SHARE,
    )
    moved, lobe = float(data.symmetric.max()), int(np.isfinite(data.one_lobe).sum())
    yield judged(
        f"equal swings change nothing, and a memory of one lobe does not learn {OURS}",
        f"the largest change of a conductance is {moved:.0e}; a memory of one lobe solves {lobe} of {count} "
        "tasks",
        max(moved, lobe),
        high=1e-9,
    )
    yield from _slow_claims(data)


def _slow_claims(data: xr.Dataset) -> Iterator[Claim]:
    """Out of equilibrium."""
    rest = data.share.sel(memory=1.0, method="nearest").isel(rate=-1)
    yield judged(
        f"a network that follows the nudge (γτ_f = {float(data.rate[-1]):g}) learns as one at rest {OURS}",
        f"at τ_f = τ_K it solves {', '.join(f'{s:.0%}' for s in rest.values)} at ranges {_listed(MAPPED)}",
        float(rest.min()),
        low=SHARE,
    )
    fall = [_boundary(data, ratio) * ratio for ratio in MAPPED.tolist()]
    yield judged(
        f"the fall must be slow against the network, the rise need not be: the least γτ_s is the same "
        f"whatever τ_s/τ_f {OURS}",
        f"{SHARE:.0%} are solved from γτ_s = {', '.join(f'{value:.2g}' for value in fall)} at ranges "
        f"{_listed(MAPPED)}, τ_f = 10 τ_K",
        max(fall) / min(fall),
        high=4.0,
    )
    typical, coupled = _typical(data.time), _typical(data.time_coupled)
    best, other = float(typical.min(skipna=True)), float(coupled.min())
    ratio = typical.sel(kind="100").isel(period=-1) / coupled.isel(period=-1)
    yield judged(
        f"at one rate of learning it takes as long as two copies, if slow {OURS}",
        f"at γ·period = {float(data.period[-1]):g} the median time is {float(ratio):.2f} times that of two "
        f"copies; the shortest median times are {best:.0f}/γ and {other:.0f}/γ",
        float(ratio),
        high=1.5,
    )
    last = data["last"].median("few")
    words = ", ".join(f"{way} {float(last.sel(way=way)):.1e}" for way in last.way.values)
    yield judged(
        f"at rest its final error is that of two copies {OURS}",
        f"median C/C0 after αt = {int(data.span)}: {words}",
        float(np.log10(last.sel(way="one network") / last.sel(way="two copies"))),
        high=1.0,
    )


def _boundary(data: xr.Dataset, ratio: float) -> float:
    """Least γτ_f from which on enough tasks are solved, at the shortest memory."""
    share = data.share.sel(mapped=ratio).isel(memory=-1).values
    below = np.flatnonzero(share < SHARE)
    first = below[-1] + 1 if len(below) else 0
    return float(data.rate[first]) if first < len(share) else math.nan


def _typical(times: xr.DataArray) -> xr.DataArray:
    """Median over the tasks, one that is not solved being slower than all; nan if that is the median."""
    found = times.fillna(math.inf).median("few")
    return found.where(np.isfinite(found))


def _listed(values: np.ndarray) -> str:
    return ", ".join(f"{value:g}" for value in values)


@styled
def _draw(data: xr.Dataset) -> Figure:
    figure, axes = panels(2, 3, (13.6, 7.2))
    _draw_signals(axes[0, 0], data)
    _draw_courses(axes[0, 1], data)
    _draw_protocols(axes[0, 2], data)
    for ax, name, ratio in zip(axes[1, :2], "DE", MAPPED.tolist(), strict=True):
        mesh = _draw_map(ax, data, ratio)
        letter(ax, name, rf"out of equilibrium, $\tau_s/\tau_f = {ratio:g}$")
    bar = figure.colorbar(mesh, ax=axes[1, 1], pad=0.02)
    bar.set_label("share of the ideal rule's tasks")
    _draw_times(axes[1, 2], data)
    return figure


_LOOKS = (
    (BLACK, "-"),
    (BLUE, "--"),
    (GREEN, "-."),
    (ORANGE, ":"),
)


def _draw_signals(ax: Axes, data: xr.Dataset) -> None:
    for gamma, (colour, line) in zip(data.watched.values, _LOOKS, strict=False):
        name = r"at rest" if math.isinf(gamma) else rf"$\gamma\tau_f = {gamma:g}$"
        ax.plot(data.instant, data.u.sel(watched=gamma), color=colour, linestyle=line, label=name)
    for side in (-1, 1):
        ax.axhline(side, color=GREY, linewidth=0.8, linestyle=":")
    ax.text(4.5, -1.06, r"$\pm\theta$ of its own", ha="center", va="top", color=GREY, fontsize=8)
    ax.set(xlabel=r"time ($\tau_f$)", xlim=(0, 11))
    ax.set(ylabel=r"answer of the memory $u/\sqrt{\langle u^2 \rangle}$")
    ax.legend(loc="upper right")
    letter(ax, "A", "one edge over one period")


_RULE_LOOKS = {
    "ideal": (BLACK, "-", ""),
    "fixed": (ORANGE, ":", "s"),
    "fixed, equally far": (PURPLE, (0, (5, 1)), "D"),
    "two sizes": (SKY, "-", "v"),
    "follows the largest": (GREY, "--", "P"),
    "largest that can move": (GREEN, "-.", "X"),
    "own": (BLUE, "--", "^"),
    "own, of 10 periods": (BLACK, "-", "o"),
}
"""Colour, line and mark of each rule, the same in all panels."""


def _draw_courses(ax: Axes, data: xr.Dataset) -> None:
    for name in data.rule_shown.values:
        colour, line, _mark = _RULE_LOOKS[name]
        label = {"ideal": "ideal rule, two copies", "own": "own threshold"}.get(name, name)
        ax.plot(data.course_step, data.course.sel(rule_shown=name), color=colour, linestyle=line, label=label)
    ax.axhline(GOAL, color=GREY, linewidth=0.8, linestyle=":")
    ax.set(yscale="log", xlabel="updates", ylabel=r"error $C/C_0$", ylim=(1e-4, 2))
    ax.legend(loc="lower right")
    letter(ax, "B", r"one task at rest, $\tau_s/\tau_f = 10$")


def _draw_protocols(ax: Axes, data: xr.Dataset) -> None:
    share = np.isfinite(data.updates).mean("task")
    for name in data.rule.values:
        colour, line, mark = _RULE_LOOKS[name]
        ax.plot(data.range, share.sel(rule=name), marker=mark, color=colour, linestyle=line, label=name)
    ax.axhline(SHARE, color=GREY, linewidth=0.8, linestyle=":")
    ax.set(xscale="log", xlabel=r"range $\tau_s/\tau_f$", ylim=(-0.03, 1.05))
    ax.set(ylabel="share of the ideal rule's tasks")
    ax.set_xticks(RANGES, [f"{value:g}" for value in RANGES])
    ax.minorticks_off()
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="threshold", alignment="left")
    letter(ax, "C", f"solved at rest in {PATIENCE} × the ideal updates")


def _draw_map(ax: Axes, data: xr.Dataset, ratio: float) -> QuadMesh:
    share = data.share.sel(mapped=ratio)
    mesh = ax.pcolormesh(data.rate, data.memory, share, vmin=0, vmax=1, cmap=LEVELS, shading="nearest")
    ax.set(xscale="log", yscale="log", xlabel=r"$\gamma\tau_f$", ylabel=r"$\tau_f/\tau_K$")
    ax.axvline(1 / ratio, color="white", linestyle="--", linewidth=1.2)
    ax.axhline(1 / ratio, color="white", linestyle=":", linewidth=1.2)
    ax.text(1.15 / ratio, data.memory[-1], r"$\gamma\tau_s = 1$", color="white", va="top", fontsize=8)
    ax.text(
        data.rate[-1], 1.1 / ratio, r"$\tau_s = \tau_K$", color="white", ha="right", va="bottom", fontsize=8
    )
    return mesh


def _draw_times(ax: Axes, data: xr.Dataset) -> None:
    names = {
        "10": r"$\tau_s/\tau_f = 10$",
        "100": r"$\tau_s/\tau_f = 100$",
        "100, pause": r"100, pause $10/\gamma$",
    }
    coupled = _typical(data.time_coupled)
    ax.plot(data.period, coupled, color=BLACK, label=r"two copies, rate 1/period")
    for (name, label), (colour, line), mark in zip(names.items(), _LOOKS[1:], "osv", strict=False):
        ax.plot(
            data.period,
            _typical(data.time.sel(kind=name)),
            color=colour,
            linestyle=line,
            marker=mark,
            label=label,
        )
    ax.set(xscale="log", yscale="log", xlabel=r"period of the nudge ($1/\gamma$)")
    ax.set(ylabel=r"median time to $C/C_0 = 0.01$ ($1/\gamma$)")
    ax.text(0.98, 0.03, "no mark: fewer than half solved", transform=ax.transAxes, ha="right", fontsize=8)
    ax.legend(loc="upper left")
    letter(ax, "F", "time to learn")
