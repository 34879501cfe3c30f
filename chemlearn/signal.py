"""Signals: exact piecewise-linear s(t), what is imposed on a molecule.

A signal is a table of knots, straight between them, so its slope, its integral and every instant where it
bends or jumps are known exactly; nothing that is driven by it needs a time grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Piece", "Segments", "Signal"]


class Piece(NamedTuple):
    """One straight stretch of a signal, s(t) = value + slope·(t − start) for start ≤ t < stop."""

    start: float
    stop: float
    value: float
    slope: float


class Segments(NamedTuple):
    """The straight stretches of a signal's table and what happens where each begins; all (n_segments,).

    A periodic signal has one segment per stretch of one period; any other has one more, the value held for
    ever after its end. At ``starts[i]`` the signal jumps by ``jumps[i]`` (to ``values[i]``) and its slope
    changes by ``kinks[i]`` (to ``slopes[i]``).
    """

    starts: np.ndarray
    values: np.ndarray
    slopes: np.ndarray
    jumps: np.ndarray
    kinks: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class Signal:
    """A piecewise-linear signal s(t), periodic or not.

    Parameters
    ----------
    times : array_like, (n_knots,)
        Instants of the knots: finite, non-decreasing, the first one 0. Two equal times make a jump; the
        signal is right-continuous, so the second of the two values holds at that instant.
    values : array_like, (n_knots,)
        s at the knots, in the units of the model's input.
    periodic : bool
        Repeat the table with period ``times[-1]`` for all times, before 0 too; its end and its start are then
        one instant, where the start's value holds. Otherwise s is held at ``values[0]`` before 0 and at
        ``values[-1]`` after the end.

    Raises
    ------
    ValueError
        If the table is not as described; the message names the knot.
    """

    times: np.ndarray
    values: np.ndarray
    periodic: bool = False

    def __post_init__(self) -> None:
        times, values = _as_column(self.times, "times"), _as_column(self.values, "values")
        if len(times) != len(values):
            raise ValueError(f"a signal needs one value per time, got {len(times)} and {len(values)}")
        if (problem := _table_problem(times, values)) is not None:
            raise ValueError(f"knot {problem[0]} of the signal: {problem[1]}")
        if self.periodic and times[-1] == 0:
            raise ValueError("a periodic signal needs a period above 0, got a table that ends at time 0")
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "periodic", bool(self.periodic))

    @classmethod
    def constant(cls, value: float) -> Signal:
        """The same value at all times."""
        return cls(np.zeros(1), np.array([value], float))

    @classmethod
    def step(cls, before: float, after: float, *, at: float = 0.0) -> Signal:
        """A jump from ``before`` to ``after`` at the instant ``at`` ≥ 0, when it already is ``after``."""
        if not (np.isfinite(at) and at >= 0):
            raise ValueError(f"a step happens at a finite time of 0 or later, got at={at}")
        if at == 0:
            return cls(np.zeros(2), np.array([before, after], float))
        return cls(np.array([0.0, at, at]), np.array([before, before, after], float))

    @classmethod
    def sawtooth(
        cls,
        free: float,
        clamped: float,
        *,
        rise: float,
        fall: float,
        periods: int = 1,
        periodic: bool = False,
    ) -> Signal:
        """Swings between the free and the clamped value of the contrastive phases (F5).

        Parameters
        ----------
        free, clamped : float
            s at t = 0, where each swing starts and ends, and at t = rise, in either order of size.
        rise, fall : float
            Durations of free → clamped (τ_f) and of clamped → free (τ_s), positive; any ratio.
        periods : int
            Number of swings in the table.
        periodic : bool
            Go on for ever, also before t = 0.
        """
        _check_swings(periods, rise=rise, fall=fall)
        starts = np.arange(periods) * (rise + fall)
        times = np.append(np.column_stack([starts, starts + rise]).ravel(), periods * (rise + fall))
        return cls(times, np.append(np.tile([free, clamped], periods), free), periodic)

    @classmethod
    def square(
        cls, low: float, high: float, *, first: float, second: float, periods: int = 1, periodic: bool = False
    ) -> Signal:
        """``low`` for the duration ``first``, then ``high`` for ``second``, then back to ``low``."""
        _check_swings(periods, first=first, second=second)
        starts = np.arange(periods) * (first + second)
        ends = np.append(starts[1:], periods * (first + second))
        inner = np.column_stack([starts + first, starts + first, ends, ends]).ravel()
        values = np.tile(np.array([low, high, high, low], float), periods)
        return cls(np.append(0.0, inner), np.append(low, values), periodic)

    @classmethod
    def from_table(cls, table: str | Path | ArrayLike, *, periodic: bool = False) -> Signal:
        """A signal from rows of (time, value).

        Parameters
        ----------
        table : path or array_like, (n_knots, 2)
            A text file's path, or the rows themselves. In a file the columns are parted by a comma, a
            semicolon, a tab or blanks; one header line, empty lines and lines that begin with ``#`` are
            passed over.
        periodic : bool
            As for the class.

        Raises
        ------
        ValueError
            If the file cannot be read or a row cannot be a knot; the message names the file and the line.
        """
        if isinstance(table, str | Path):
            return _read_table(Path(table), periodic)
        rows = np.asarray(table, float)
        if rows.ndim != 2 or rows.shape[1] != 2:
            raise ValueError(f"a signal table has rows of (time, value), got an array of shape {rows.shape}")
        return cls(rows[:, 0], rows[:, 1], periodic)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Signal:
        """The signal that :meth:`to_dict` described."""
        return cls(np.array(data["times"], float), np.array(data["values"], float), data["periodic"])

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able description, from which :meth:`from_dict` makes the same signal to the last bit."""
        return {"times": self.times.tolist(), "values": self.values.tolist(), "periodic": self.periodic}

    def __repr__(self) -> str:
        knots = f"{len(self.times)} knot{'s' * (len(self.times) != 1)}"
        spread = f"s from {self.values.min():g} to {self.values.max():g}"
        return f"Signal({knots}, {'period' if self.periodic else 'length'} {self.period:g}, {spread})"

    @property
    def period(self) -> float:
        """Duration of the table: the period, or the instant after which the signal is held."""
        return float(self.times[-1])

    @property
    def mean(self) -> float:
        """Time mean over [0, ``period``], exact; the last value where the table has no duration."""
        if self.period == 0:
            return float(self.values[-1])
        lengths = np.diff(self.times)
        # Deviations from one value: a constant signal then has that constant as its mean, to the last bit.
        above = self.values - self.values[0]
        return float(self.values[0] + lengths @ (above[1:] + above[:-1]) / 2 / self.period)

    @cached_property
    def segments(self) -> Segments:
        """The straight stretches of the table, and the jump and the change of slope at the start of each."""
        starts, first = np.unique(self.times, return_index=True)
        arriving = self.values[first]
        leaving = self.values[np.append(first[1:], len(self.times)) - 1]
        slopes = (arriving[1:] - leaving[:-1]) / np.diff(starts)
        if self.periodic:
            starts, leaving = starts[:-1], leaving[:-1]
            arriving = np.append(arriving[-1], arriving[1:-1])
            before = np.roll(slopes, 1)
        else:
            before, slopes = np.append(0.0, slopes), np.append(slopes, 0.0)
        return Segments(starts, leaving, slopes, leaving - arriving, slopes - before)

    def locate(self, t: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """The repeat and the segment that hold at each instant.

        Parameters
        ----------
        t : array_like
            Instants.

        Returns
        -------
        repeat, index : ndarray of int
            The segment ``index`` holds, and began at ``repeat * period + segments.starts[index]``, computed
            in just this way, so that knots of late periods do not drift. ``index`` is −1 before the start of
            a signal that is not periodic.
        """
        t = np.asarray(t, float)
        starts = self.segments.starts
        if not self.periodic:
            return np.zeros(t.shape, int), np.searchsorted(starts, t, side="right") - 1
        repeat = np.floor(t / self.period)
        repeat = repeat - (repeat * self.period > t)
        repeat = repeat + ((repeat + 1) * self.period <= t)
        offset = repeat * self.period
        index = np.searchsorted(starts, t - offset, side="right") - 1
        # t - offset is rounded: settle knots by comparing instants themselves.
        later = np.minimum(index + 1, len(starts) - 1)
        index = np.where(offset + starts[later] <= t, later, index)
        index = np.where(offset + starts[index] > t, index - 1, index)
        return repeat.astype(int), index

    def __call__(self, t: ArrayLike) -> np.ndarray:
        """The value s(t), of the same shape as t: right-continuous at jumps, exact at knots."""
        since, index = self._since_start(t)
        seg = self.segments
        return np.where(index < 0, self.values[0], seg.values[index] + seg.slopes[index] * since)

    def slope(self, t: ArrayLike) -> np.ndarray:
        """Slope of s to the right of each instant, without the infinite slope of a jump."""
        _, index = self.locate(t)
        return np.where(index < 0, 0.0, self.segments.slopes[index])

    def integral(self, t: ArrayLike) -> np.ndarray:
        """∫ s from 0 to each instant t, exact; negative times allowed."""
        since, index = self._since_start(t)
        repeat, _ = self.locate(t)
        seg = self.segments
        lengths = np.diff(seg.starts)
        before = np.append(0.0, np.cumsum(lengths * (seg.values[:-1] + seg.slopes[:-1] * lengths / 2)))
        inside = before[index] + since * (seg.values[index] + seg.slopes[index] * since / 2)
        whole = repeat * self.period * self.mean
        return np.where(index < 0, self.values[0] * np.asarray(t, float), whole + inside)

    def pieces(self, start: float, stop: float) -> Iterator[Piece]:
        """The straight pieces that cover [start, stop] without gap or overlap, none of them across a knot.

        Parameters
        ----------
        start, stop : float
            Instants, start ≤ stop; equal ones give no piece.

        Yields
        ------
        Piece
            In order; a piece ends exactly where the next one starts. Values left constant across a knot still
            make two pieces.

        Raises
        ------
        ValueError
            If start and stop are not finite and in order.
        """
        if not (np.isfinite(start) and np.isfinite(stop) and start <= stop):
            raise ValueError(f"pieces need finite instants start <= stop, got start={start}, stop={stop}")
        return self._pieces(float(start), float(stop))

    def staircase(self, steps: int) -> Signal:
        """This signal with equally long constant steps in place of ramps, for engines that cannot follow one.

        Each step sits at the ramp's value in its middle, so the time mean, over each ramp too, is unchanged.
        What is held before 0 and after the end stays.

        Parameters
        ----------
        steps : int
            Steps per ramp, at least 1.
        """
        if int(steps) != steps or steps < 1:
            raise ValueError(f"steps must be a whole number of at least 1, got {steps}")
        times, values = [np.zeros(1)], [self.values[:1]]
        for left, right, low, high in zip(
            self.times[:-1], self.times[1:], self.values[:-1], self.values[1:], strict=True
        ):
            if right > left:
                count = int(steps) if high != low else 1
                times.append(np.repeat(np.linspace(left, right, count + 1), 2)[1:-1])
                values.append(np.repeat(low + (high - low) * (np.arange(count) + 0.5) / count, 2))
        times.append(self.times[-1:])
        values.append(self.values[-1:])
        return Signal(np.concatenate(times), np.concatenate(values), self.periodic)

    def _since_start(self, t: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Time since the start of the segment that holds at t, and the segment."""
        repeat, index = self.locate(t)
        return np.asarray(t, float) - (repeat * self.period + self.segments.starts[index]), index

    def _pieces(self, start: float, stop: float) -> Iterator[Piece]:
        starts, slopes = self.segments.starts, self.segments.slopes
        repeat, index = (int(i) for i in self.locate(start))
        while start < stop:
            repeat_next, index_next = repeat, index + 1
            if index_next == len(starts) and self.periodic:
                repeat_next, index_next = repeat + 1, 0
            end = stop
            if index_next < len(starts):
                end = min(stop, repeat_next * self.period + float(starts[index_next]))
            if end > start:
                value, slope = (float(self.values[0]), 0.0)
                if index >= 0:
                    since = start - (repeat * self.period + float(starts[index]))
                    slope = float(slopes[index])
                    value = float(self.segments.values[index]) + slope * since
                yield Piece(start, end, value, slope)
            start, repeat, index = end, repeat_next, index_next


def _as_column(numbers: ArrayLike, name: str) -> np.ndarray:
    """A read-only copy as a one-dimensional array of floats."""
    column = np.array(numbers, float)
    if column.ndim != 1 or len(column) == 0:
        raise ValueError(
            f"{name} of a signal must be a list of at least one number, got shape {column.shape}"
        )
    column.setflags(write=False)
    return column


def _table_problem(times: np.ndarray, values: np.ndarray) -> tuple[int, str] | None:
    """The first knot that cannot stand, and why."""
    for k, (time, value) in enumerate(zip(times, values, strict=True)):
        if not (np.isfinite(time) and np.isfinite(value)):
            return k, f"time and value must be finite, got {time:g} and {value:g}"
        if k == 0 and time != 0:
            return k, f"the first time must be 0, got {time:g}; subtract it from all times"
        if k > 0 and time < times[k - 1]:
            return k, f"times must not decrease, got {time:g} after {times[k - 1]:g}"
        if k > 1 and time == times[k - 2]:
            return k, f"at most two knots may share a time (a jump), got a third at {time:g}"
    return None


def _check_swings(periods: int, **durations: float) -> None:
    """Refuse durations that are not positive and finite, and numbers of periods that are not whole."""
    for name, duration in durations.items():
        if not (np.isfinite(duration) and duration > 0):
            kind = "positive" if np.isfinite(duration) else "finite"
            raise ValueError(f"{' and '.join(durations)} must be {kind}, got {name}={duration}")
    if int(periods) != periods or periods < 1:
        raise ValueError(f"periods must be a whole number of at least 1, got {periods}")


def _read_table(path: Path, periodic: bool) -> Signal:
    """Rows of a text file as a signal, with the file's line in every complaint."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ValueError(f"cannot read the signal table {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"cannot read the signal table {path}: it is not a text file in UTF-8") from error
    rows: dict[int, tuple[float, float]] = {}
    first = True
    for number, line in enumerate(lines, start=1):
        fields = line.replace(",", " ").replace(";", " ").split()
        if not fields or fields[0].startswith("#"):
            continue
        row = _row(fields)
        if row is not None:
            rows[number] = row
        elif not first:
            raise ValueError(f"{path}:{number}: a row is two numbers, time and value, got {line.strip()!r}")
        first = False
    if not rows:
        raise ValueError(f"{path}: no rows of two numbers, time and value, found")
    times, values = np.array(list(rows.values())).T
    if (problem := _table_problem(times, values)) is not None:
        raise ValueError(f"{path}:{list(rows)[problem[0]]}: {problem[1]}")
    return Signal(times, values, periodic)


def _row(fields: list[str]) -> tuple[float, float] | None:
    try:
        time, value = (float(field) for field in fields)
    except ValueError:
        return None
    return time, value
