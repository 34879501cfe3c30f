"""What the signal drives, as a table of straight pieces that the machine code follows.

Along a ramp what is affine in the input is followed exactly. Everything else is followed by chords that stay
within a given fraction of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from chemlearn.signal import Piece, Signal

Values = Callable[[np.ndarray], np.ndarray]  # levels of the input (n,) to what depends on it, (n_drives, n)
_HALVINGS = 24  # where a law jumps inside a ramp no chord is close; the jump is placed with this precision


def piece_table(
    signal: Signal | None, end: float, values: Values, bent: Sequence[int], accuracy: float
) -> np.ndarray:
    """One row per piece: stop, start, D0, D1, ..., and their slopes G0, G1, ... where the signal has ramps.

    Parameters
    ----------
    signal : Signal or None
    end : float
        Last output time.
    values : callable
        The drives at levels of the input.
    bent : sequence of int
        Drives that are not affine in the input, or that a law is not affine in: along one piece they change
        by at most a fraction √ε of themselves and stay within ε/8 of their chord. What is below ε of a
        drive's largest value on its ramp counts as that.
    accuracy : float
        ε.
    """
    if signal is None:
        return np.array([[math.inf, 0.0]])
    pieces = list(signal.pieces(0.0, end)) or [Piece(0.0, math.inf, float(signal(0.0)), 0.0)]
    chords = _Chords(lambda levels: values(levels)[list(bent)], accuracy)
    knots = [_knots(piece, chords) for piece in pieces]
    times, levels = (np.concatenate(column) for column in zip(*knots, strict=True))
    drives = values(levels)
    ends = np.cumsum([len(inside) for inside, _ in knots]) - 1  # where no piece begins
    first = np.delete(np.arange(len(times)), ends)
    rows = [times[first + 1], times[first], *drives[:, first]]
    if np.any(signal.segments.slopes):
        with np.errstate(invalid="ignore"):  # what is not finite is found when it matters
            rows += list((drives[:, first + 1] - drives[:, first]) / (rows[0] - rows[1]))
    return np.ascontiguousarray(np.column_stack(rows))


def _knots(piece: Piece, chords: _Chords) -> tuple[np.ndarray, np.ndarray]:
    """Times at which a piece begins, is cut and ends, and the input there."""
    if not piece.slope:
        return np.array([piece.start, piece.stop]), np.full(2, piece.value)
    length = piece.stop - piece.start
    edges = chords.between(piece.value, piece.value + piece.slope * length)
    times = np.concatenate([[piece.start], piece.start + edges[1:-1] * length, [piece.stop]])
    return times, piece.value + piece.slope * (times - piece.start)


class _Chords:
    """Where to cut ramps so that chords are close; ramps of a periodic signal are cut once."""

    def __init__(self, values: Values, accuracy: float) -> None:
        self.values, self.accuracy = values, accuracy
        self.known: dict[tuple[str, str], np.ndarray] = {}

    def between(self, first: float, last: float) -> np.ndarray:
        """Edges as fractions of the ramp, from 0 to 1."""
        key = (f"{first:.12g}", f"{last:.12g}")
        if key not in self.known:
            self.known[key] = self._edges(first, last)
        return self.known[key]

    def _edges(self, first: float, last: float) -> np.ndarray:
        edges = np.array([0.0, 1.0])
        middle = self._at(first, last, np.linspace(0.0, 1.0, 9))
        least = self.accuracy * np.abs(np.where(np.isfinite(middle), middle, 0.0)).max(axis=1, initial=0.0)
        for _ in range(_HALVINGS):
            far = self._far(first, last, edges, least[:, None])
            if not far.any():
                break
            edges = np.sort(np.append(edges, (edges[:-1] + edges[1:])[far] / 2))
        return edges

    def _at(self, first: float, last: float, fractions: np.ndarray) -> np.ndarray:
        return self.values(first + (last - first) * fractions)

    def _far(self, first: float, last: float, edges: np.ndarray, least: np.ndarray) -> np.ndarray:
        """Stretches between edges along which some drive is far from its chord, or changes much."""
        ends = self._at(first, last, edges)
        begin, end = ends[:, :-1], ends[:, 1:]
        with np.errstate(invalid="ignore"):
            size = np.maximum(np.maximum(np.abs(begin), np.abs(end)), least)
            far = np.abs(end - begin) > math.sqrt(self.accuracy) * size
            for share in (0.25, 0.5, 0.75):
                inside = self._at(first, last, edges[:-1] + share * np.diff(edges))
                chord = (1 - share) * begin + share * end
                far |= np.abs(inside - chord) > self.accuracy / 8 * size
        # cutting does not help where a law has no finite value
        return np.any(far & np.isfinite(begin) & np.isfinite(end), axis=0)
