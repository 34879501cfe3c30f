"""The two-rail ladder under a periodic ligand signal: its periodic state, and what a cycle costs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from chemlearn.markov.periodic import PeriodicState, Stretch, periodic_state
from chemlearn.markov.rails import column_basis
from chemlearn.signal import Piece, Signal

if TYPE_CHECKING:
    from chemlearn.markov.ladder import Ladder


def ladder_cycle(ladder: Ladder, signal: Signal, tolerance: float) -> PeriodicState:
    """Probabilities of the states over one period; see ``Ladder.cycle``."""
    pieces = smooth_pieces(ladder, signal)
    middle = ladder.rails_at(signal.mean)
    minor = middle.energies < 0
    into, back = column_basis(minor)
    stretches = [Stretch(piece.stop - piece.start, _matrix(ladder, piece, minor)) for piece in pieces]
    conserved = np.repeat([0.0, 1.0], ladder.columns)
    scale = into @ middle.at_rest()[0]
    return periodic_state(stretches, conserved, scale, tolerance=tolerance).through(back)


def ladder_cycle_dissipation(ladder: Ladder, signal: Signal, tolerance: float) -> float:
    """Entropy production of one molecule in one period; see ``Ladder.cycle_dissipation``."""
    state, pieces = ladder_cycle(ladder, signal, tolerance), smooth_pieces(ladder, signal)
    levels = np.empty(len(state.times))
    for k, piece in enumerate(pieces):
        mine = state.stretches == k
        levels[mine] = _level(piece, state.since[mine])
    return float(state.weights @ ladder.entropy_production_rate(levels, state.values))


def smooth_pieces(ladder: Ladder, signal: Signal) -> list[Piece]:
    """Pieces of one period on which the rates are smooth: none goes across a level where an energy is 0.

    Raises
    ------
    ValueError
        For a signal that is not periodic, or below 0 somewhere.
    """
    if not signal.periodic:
        raise ValueError("a cycle needs a periodic signal, got one that ends; make it with periodic=True")
    ladder.energies(signal.values)  # complains about levels below 0
    ratio = np.exp(2.0 * (np.arange(ladder.columns) - 1.0))
    with np.errstate(divide="ignore"):
        kinks = (ratio - 1.0) / (1.0 / ladder.K_off - ratio / ladder.K_on)
    found = []
    for piece in signal.pieces(0.0, signal.period):
        length = piece.stop - piece.start
        after = (kinks - piece.value) / piece.slope if piece.slope else np.zeros(0)
        inside = np.sort(after[(after > 1e-12 * length) & (after < (1 - 1e-12) * length)])
        edges = [0.0, *inside.tolist(), length]
        for start, stop in pairwise(edges):
            level = piece.value + piece.slope * start
            found.append(Piece(piece.start + start, piece.start + stop, level, piece.slope))
    return found


def _matrix(ladder: Ladder, piece: Piece, minor: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda since: ladder.rails_at(_level(piece, since)).column_matrix(minor)


def _level(piece: Piece, since: np.ndarray) -> np.ndarray:
    """The signal at times since the start of a piece, its end included; rounding never takes it below 0."""
    return np.maximum(piece.value + piece.slope * since, 0.0)
