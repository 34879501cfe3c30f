"""What every picture keeps to."""

from __future__ import annotations

from itertools import combinations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

ROOM = 0.02
"""Inches that anything may stick out of a picture."""


def assert_readable(figure: Figure, titles: int | None = None) -> None:
    """Everything is inside, titles at the left do not overlap, and their letters are in order.

    Parameters
    ----------
    figure : Figure
    titles : int, optional
        How many there are.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    box = figure.get_tightbbox(canvas.get_renderer())
    width, height = figure.get_size_inches()
    assert min(box.x0, box.y0) > -ROOM
    assert box.x1 < width + ROOM
    assert box.y1 < height + ROOM
    named = [ax for ax in figure.axes if ax.get_title(loc="left")]
    boxes = [ax._left_title.get_window_extent() for ax in named]
    assert not any(one.overlaps(two) for one, two in combinations(boxes, 2))
    letters = [ax.get_title(loc="left")[:12] for ax in named]
    assert letters == sorted(set(letters))
    assert titles in (None, len(letters))
