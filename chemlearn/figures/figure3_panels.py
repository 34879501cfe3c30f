"""The panels of Fig. 3: learning curves, ranges of the weights, hidden units and mistakes."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from chemlearn.figures.shared import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    letter,
    panels,
    styled,
)

__all__ = ["draw", "draw_answers", "draw_controls", "draw_curves", "draw_ranges", "draw_units"]

SIDE, GAP, COLUMNS = 28, 3, 6
"""Pixels of a digit's side and between tiles, and tiles in a row."""

CAPTION = 9
"""Pixels above a mistake for what it is and what it was taken for."""

RANGES = (
    ("within", GREEN, "in range: updated"),
    ("above", ORANGE, "above: taken back in part or whole"),
    ("below", SKY, "below the threshold"),
    ("silent", "#DDDDDD", "no signal"),
)


@styled
def draw(data: xr.Dataset) -> Figure:
    """The whole figure."""
    figure, axes = panels(2, 3, (12.4, 7.4))
    draw_curves(axes[0, 0], data)
    letter(axes[0, 0], "A", f"{data.sizes['network']} networks learn by the sawtooth alone")
    draw_controls(axes[0, 1], data)
    letter(axes[0, 1], "B", "what it takes: memory, and two different swings")
    draw_ranges(axes[0, 2], data, "W1")
    letter(axes[0, 2], "C", "weights from the pixels, by their signals")
    draw_units(axes[1, 0], data)
    letter(axes[1, 0], "D", f"the {data.sizes['unit']} hidden units that changed most")
    draw_answers(axes[1, 1], data)
    letter(axes[1, 1], "E", "held-out digits that most networks get wrong")
    draw_ranges(axes[1, 2], data, "W2", legend=False)
    letter(axes[1, 2], "F", "the same for the weights to the classes")
    return figure


def _percent_axis(ax: Axes, least: float, zeros: bool) -> None:
    """Percent on a logarithmic scale, which ends in a short linear piece down to 0 where there are zeros."""
    if zeros:
        ax.set_yscale("symlog", linthresh=least, linscale=0.3)
        ax.set_ylim(-0.06 * least, 100)
        ax.set_yticks([0, *10.0 ** np.arange(np.ceil(np.log10(least)), 3)])
    else:
        ax.set_yscale("log")
        ax.set_ylim(least, 100)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))
    ax.set_xlim(0.5 if len(ax.lines[0].get_xdata()) < 9 else 0, None)  # type: ignore[arg-type]
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="epoch", ylabel="wrong predictions (%)")


def draw_curves(ax: Axes, data: xr.Dataset) -> None:
    """Train and holdout error of every network, and their means; also of free phases that begin at 0."""
    learned = data.isel(run=np.flatnonzero(data.rule == "temporal"))
    lines = (
        ("holdout_error_stored", "held out", ORANGE, "-"),
        ("train_error", "training, before each update", BLUE, "--"),
    )
    for name, label, colour, dash in lines:
        percent = 100 * learned[name]
        ax.plot(data.epoch, percent.T, color=colour, lw=0.6, alpha=0.5)
        ax.plot(data.epoch, percent.mean("run"), dash, color=colour, lw=1.8, label=f"{label}, mean")
    anew = 100 * learned.holdout_error.mean("run")
    ax.plot(data.epoch, anew, ":", color=BLACK, lw=1.2, label="held out, each phase from zero, mean")
    positive = learned.train_error.values[learned.train_error.values > 0]
    least = 10 ** np.floor(np.log10(100 * positive.min()))
    _percent_axis(ax, least, bool((learned.train_error == 0).any()))
    ax.legend(loc="upper right")


def draw_controls(ax: Axes, data: xr.Dataset) -> None:
    """Holdout error of the temporal rule beside its controls."""
    looks = {
        "temporal": ("sawtooth and memory", ORANGE, "-", ""),
        "contrastive": ("ideal contrastive rule", GREEN, "--", ""),
        "hebbian": ("no memory (Hebbian)", PURPLE, "-", "s"),
        "symmetric": ("equal swings: not one weight changes", BLACK, "-", "o"),
    }
    for rule, (label, colour, dash, mark) in looks.items():
        percent = 100 * data.holdout_error_stored.isel(run=np.flatnonzero(data.rule == rule)).mean("run")
        shown = percent.dropna("epoch")
        ax.plot(shown.epoch, shown, dash, marker=mark, color=colour, label=label)
    _percent_axis(ax, 1, zeros=False)
    ax.set(ylabel="wrong predictions, held out (%)")
    ax.legend(loc="center right")


def draw_ranges(ax: Axes, data: xr.Dataset, group: str, *, legend: bool = True) -> None:
    """Shares of the weights of a group in and out of the range, by epoch, mean over the networks."""
    shares = 100 * data.range_share.sel(group=group).mean("network")
    names, colours, labels = zip(*RANGES, strict=True)
    parts = [shares.sel(range=name) for name in names]
    ax.stackplot(data.looked, parts, colors=colours, labels=labels, lw=0)
    ax.set(xscale="log", xlim=(1, int(data.looked[-1])), ylim=(0, 100))
    ticks = [epoch for epoch in (1, 2, 3, 5, 10, 20, 35) if epoch <= int(data.looked[-1])]
    ax.set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
    ax.set_xticks([], minor=True)
    ax.set(xlabel="epoch", ylabel="share of the weights (%)")
    if legend:  # in the order of the areas, from top to bottom
        handles = ax.get_legend_handles_labels()[0][::-1]
        ax.legend(handles=handles, loc="upper right", frameon=True, framealpha=0.9)


def _tiled(images: np.ndarray, above: int = 0) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Images side by side in rows, nan between them, and the middle of the upper edge of each, (x, y)."""
    rows = -(-len(images) // COLUMNS)
    high, wide = SIDE + above + GAP, SIDE + GAP
    sheet = np.full((rows * high - GAP, COLUMNS * wide - GAP), np.nan)
    edges = []
    for place, image in enumerate(images):
        top, left = (place // COLUMNS) * high + above, (place % COLUMNS) * wide
        sheet[top : top + SIDE, left : left + SIDE] = image.reshape(SIDE, SIDE)
        edges.append((left + (SIDE - 1) / 2, top - 0.5))
    return sheet, edges


def draw_units(ax: Axes, data: xr.Dataset) -> None:
    """Incoming weights of the hidden units that changed most, as images."""
    sheet, _ = _tiled(data.weights.values)
    most = float(np.quantile(np.abs(data.weights), 0.998))
    image = ax.imshow(sheet, cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
    ax.set_axis_off()
    ax.set_anchor("N")
    figure = ax.get_figure()
    assert figure is not None
    bar = figure.colorbar(
        image, ax=ax, orientation="horizontal", shrink=0.6, aspect=30, pad=0.03, extend="both"
    )
    bar.set_label("incoming weight")


def draw_answers(ax: Axes, data: xr.Dataset) -> None:
    """Digits that networks get wrong: what it is → what most networks that are wrong take it for."""
    images = data.mistaken.values.astype(float)
    sheet, edges = _tiled(images, above=CAPTION)
    ax.imshow(sheet, cmap="gray_r", interpolation="nearest")
    ax.set_axis_off()
    ax.set_anchor("N")
    for place, (x, y) in zip(data.mistake.values, edges, strict=True):
        true = int(data.label.sel(digit=place))
        said = data.prediction.sel(digit=place).values
        taken = int(np.bincount(said[said != true]).argmax())
        ax.text(x, y, rf"{true} $\to$ {taken}", ha="center", va="bottom", fontsize=7.5, color=GREY)
