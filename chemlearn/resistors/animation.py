"""A network of edges while it learns, as a moving picture."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.animation import PillowWriter
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from numpy.typing import ArrayLike

from chemlearn.colours import BLUE
from chemlearn.errors import DataError
from chemlearn.resistors.pictures import PALE, DrawnEdges, Placed, draw_network
from chemlearn.resistors.tasks import Task

__all__ = ["animate"]


def animate(
    network: Placed,
    courses: ArrayLike,
    path: str | Path,
    *,
    task: Task | None = None,
    errors: ArrayLike | None = None,
    at: ArrayLike | None = None,
    at_label: str = "updates",
    label: str = "conductance",
    frames: int = 60,
    fps: int = 12,
    dpi: float = 80.0,
) -> Path:
    """Write a GIF of a network while it learns, beside its error.

    Parameters
    ----------
    network : Placed
        With positions.
    courses : array, (n_updates + 1, n_edges)
        Weights before the first update and after each; widths are on one scale throughout.
    path : str or Path
        Ends in ``.gif``. The file is there whole or not at all; one of that name is replaced.
    task : Task, optional
        Whose sources and targets are marked.
    errors : array, (n_updates + 1,), optional
        Positive; drawn on a logarithmic scale.
    at : array, (n_updates + 1,), optional
        Times of the rows, ascending, by default their numbers.
    at_label : str
        What ``at`` is.
    label : str
        What the weight is.
    frames : int
        How many rows are shown, evenly over their numbers, the first and the last among them; all if there
        are no more. Neighbours that look exactly alike become one that lasts longer.
    fps : float
        Frames in a second.
    dpi : float
        Points in an inch; the picture is 8.4 by 4.2 inches, or 4.4 by 4.2 without errors.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        As :func:`draw_network`, or if shapes do not fit, or frames, fps or dpi make no sense.
    DataError
        If the file cannot be written.
    """
    path = Path(path)
    rows = _rows(network, courses, label)
    count = len(rows)
    if path.suffix.lower() != ".gif":
        raise ValueError(f"an animation is a GIF, so its name ends in .gif, got {path.name!r}")
    if int(frames) != frames or frames < 2 or not 0 < fps <= 50 or not 10 <= dpi <= 400:
        raise ValueError(
            "an animation has at least 2 frames, at most 50 in a second and 10 to 400 points in an inch, "
            f"got frames={frames}, fps={fps}, dpi={dpi}"
        )
    times = np.arange(count, dtype=float) if at is None else _per_row(at, count, "times")
    if (np.diff(times) < 0).any():
        raise ValueError("times of the rows must ascend; sort them")
    curve = None if errors is None else _per_row(errors, count, "errors")
    if curve is not None and curve.min() <= 0:
        raise ValueError(f"errors must be positive for their logarithmic scale, got {curve.min():g}")
    film = _Film.of(network, rows, task, label, times, curve, at_label)
    shown = np.unique(np.round(np.linspace(0, count - 1, min(int(frames), count))).astype(int))
    _write(film, shown, path, fps, dpi)
    return path


def _rows(network: Placed, courses: ArrayLike, label: str) -> np.ndarray:
    """Weights of all rows, checked."""
    rows = np.asarray(courses, float)
    if rows.ndim != 2 or len(rows) < 2 or rows.shape[1] != len(network.edges):
        raise ValueError(
            f"courses are at least two rows of one {label} for each of {len(network.edges)} edges, got shape "
            f"{rows.shape}"
        )
    if not np.isfinite(rows).all() or rows.min() < 0:
        raise ValueError(f"courses: every {label} must be finite and not negative")
    return rows


def _per_row(values: ArrayLike, count: int, what: str) -> np.ndarray:
    found = np.asarray(values, float)
    if found.shape != (count,) or not np.isfinite(found).all():
        raise ValueError(f"{what} are one finite number for each of {count} rows, got shape {found.shape}")
    return found


def _number(value: float) -> str:
    """Four digits, large numbers without a power of ten."""
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"


class _Film(NamedTuple):
    """A figure whose state can be set to that of any row."""

    figure: Figure
    edges: DrawnEdges
    rows: np.ndarray
    times: np.ndarray
    curve: np.ndarray | None
    past: Line2D | None
    title: Text
    unit: str

    @classmethod
    def of(
        cls,
        network: Placed,
        rows: np.ndarray,
        task: Task | None,
        label: str,
        times: np.ndarray,
        curve: np.ndarray | None,
        unit: str,
    ) -> _Film:
        """The figure before the first row is shown."""
        figure = Figure(figsize=(4.4 if curve is None else 8.4, 4.2), layout="constrained")
        axes = figure.subplots(1, 1 if curve is None else 2, squeeze=False)[0]
        edges = draw_network(axes[0], network, rows[0], task=task, label=label, largest=float(rows.max()))
        # As wide as it will be, so that the layout, made once, has the room.
        title = axes[0].set_title(f"{unit}: {_number(times[-1])}")
        past = None
        if curve is not None:
            axes[1].plot(times, curve, color=PALE, linewidth=1.0)
            past = axes[1].plot([], [], color=BLUE, linewidth=1.8, marker="o", markevery=[-1])[0]
            axes[1].set(yscale="log", xlabel=unit, ylabel="error")
            axes[1].spines[["top", "right"]].set_visible(False)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        return cls(figure, edges, rows, times, curve, past, title, unit)

    def show(self, row: int) -> None:
        """Set everything to a row."""
        self.edges.resize(self.rows[row])
        self.title.set_text(f"{self.unit}: {_number(self.times[row])}")
        if self.past is not None and self.curve is not None:
            self.past.set_data(self.times[: row + 1], self.curve[: row + 1])


def _write(film: _Film, shown: np.ndarray, path: Path, fps: int, dpi: float) -> None:
    """The GIF, under another name until it is whole."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".gif")
        os.close(handle)
        writer = PillowWriter(fps=fps)
        with writer.saving(film.figure, temporary, dpi):
            for row in shown.tolist():
                film.show(row)
                writer.grab_frame()
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as problem:
        raise DataError(f"{path} cannot be written: {problem.strerror or problem}") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
