"""What every figure shares: what it returns, its style, its panels, and the attributes of its data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from importlib.metadata import version
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from chemlearn.colours import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY

__all__ = [
    "BLACK",
    "BLUE",
    "GREEN",
    "GREY",
    "LEVELS",
    "ORANGE",
    "OURS",
    "PURPLE",
    "SEED",
    "SKY",
    "Claim",
    "Drawn",
    "Sheet",
    "annotated",
    "column",
    "judged",
    "letter",
    "panels",
    "style",
    "styled",
]

SEED = 2312
"""Root seed of figures that draw at random and are given none."""

LEVELS = ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0, 0.9, 256)), name="levels")
"""Colour map for ordered values: viridis, whose lightness rises evenly, less its yellow, pale on white."""

_STYLE: Any = {
    "axes.grid": False,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "font.size": 9,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}


OURS = "(not in the paper)"
"""What ends a claim that is ours, where a figure or a panel is not in the paper."""


class Claim(NamedTuple):
    """A published statement beside what was found: True if it holds, False if not, None if undecided."""

    published: str
    found: str
    holds: bool | None

    @property
    def verdict(self) -> str:
        """In words."""
        return {True: "holds", False: "does not hold", None: "cannot be judged"}[self.holds]

    def __str__(self) -> str:
        source = "expected" if self.published.endswith(OURS) else "published"
        return f"{source}: {self.published}; found: {self.found}; {self.verdict}"


class Drawn(NamedTuple):
    """A figure with the data behind it and how these compare with what was published."""

    data: xr.Dataset
    figure: Figure
    claims: tuple[Claim, ...]


def judged(published: str, found: str, value: float, low: float = -np.inf, high: float = np.inf) -> Claim:
    """A claim that holds if low ≤ value ≤ high, and that cannot be judged if the value is nan."""
    return Claim(published, found, None if np.isnan(value) else bool(low <= value <= high))


@contextmanager
def style() -> Iterator[None]:
    """The style of all figures, whatever the reader's own; matplotlib's settings are as before afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


class Sheet(Figure):
    """A figure in the style of all figures, which also holds when it is drawn or saved later.

    Ticks are made, and their number is chosen, only when a figure is drawn; so a style that held while it was
    composed is not enough.
    """

    def draw(self, renderer: RendererBase) -> None:
        """Draw it in its own style, whatever matplotlib's settings are then."""
        with style():
            super().draw(renderer)


def styled(draw: Callable[[xr.Dataset], Figure]) -> Callable[[xr.Dataset], Figure]:
    """Run a drawing function with the style of all figures."""

    @wraps(draw)
    def drawn(data: xr.Dataset) -> Figure:
        with style():
            return draw(data)

    return drawn


def panels(rows: int, columns: int, size: tuple[float, float], **how: Any) -> tuple[Figure, np.ndarray]:
    """A figure of the given size (inches) that belongs to no window, and its axes, (rows, columns)."""
    figure = Sheet(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **how)


def letter(ax: Axes, name: str, title: str = "") -> None:
    """Name a panel by its bold letter and, after it, what it shows."""
    ax.set_title(rf"$\mathbf{{{name}}}$  {title}".rstrip(), loc="left")


def column(
    dims: str | Sequence[str], values: ArrayLike, units: str, long_name: str
) -> tuple[Any, np.ndarray, dict[str, str]]:
    """A variable or coordinate of a Dataset: its dimensions, values, unit and meaning."""
    return dims, np.asarray(values), {"units": units, "long_name": long_name}


def annotated(data: xr.Dataset, *, figure: str, fast: bool, seed: int, **parameters: Any) -> xr.Dataset:
    """The data of a figure with what is needed to make them again.

    Parameters
    ----------
    data : xarray.Dataset
    figure : str
        Number or name, as on the command line.
    fast : bool
        Whether fewer points than published were computed.
    seed : int
        Root seed; recorded also where nothing is random.
    **parameters
        Every number that the figure rests on, of kinds that JSON knows.
    """
    return data.assign_attrs(
        figure=figure,
        source="Falk, Strupp, Scellier, Murugan, doi:10.1038/s41467-025-57043-x (arXiv:2312.17723)",
        resolution="fast" if fast else "full",
        seed=int(seed),
        parameters=json.dumps(parameters),
        chemlearn_version=version("chemlearn"),
    )
