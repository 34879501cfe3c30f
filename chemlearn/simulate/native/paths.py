"""Full jump paths: every firing of every trajectory, written down by the machine code sweep by sweep."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from chemlearn.simulate.native.changes import entries, nothing_fires, stride
from chemlearn.simulate.native.engine import Lanes, Run, aligned
from chemlearn.simulate.native.layout import LANES, LOG_ROWS, Word
from chemlearn.simulate.native.streams import streams

_SWEEPS = 4096  # between two looks at the log, which is emptied then


class Path(NamedTuple):
    """One trajectory, firing by firing.

    Parameters
    ----------
    trajectory : int
    times : (n_firings,) array
    fired : (n_firings,) array of int
        The reaction's number in the network; −1 − i for event i.
    amounts : (n_firings, n_species) array
        After each.
    """

    trajectory: int
    times: np.ndarray
    fired: np.ndarray
    amounts: np.ndarray


def paths(run: Run, block: range, seed: int, point: int) -> Iterator[Path]:
    """The paths of a block up to the run's last output time, in order.

    Parameters
    ----------
    run : Run
        Made with ``logged=True``.
    block, seed, point
        As of a call of the run; the trajectories are the same.
    """
    counts = np.empty((len(block), len(run.times), len(run.columns)))
    lanes = Lanes(run, counts, streams(seed, point, block))
    log = aligned(_SWEEPS * LOG_ROWS, LANES).reshape(_SWEEPS, LOG_ROWS, LANES)
    lanes.words[Word.LOG] = log.ctypes.data
    parts: dict[int, list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
    while lanes.words[Word.ACTIVE]:
        lanes.words[Word.LOG_START] = lanes.words[Word.SWEEPS]
        log[:, -1] = -1  # vectors without a lane in use write nothing
        lanes.advance(_SWEEPS)
        made = int(lanes.words[Word.SWEEPS] - lanes.words[Word.LOG_START])
        _sort(log[:made], nothing_fires(run.plan), parts)
    reactions, changes, table = np.array(run.plan.order, int), _changes(run), np.array(entries(run.plan))
    for row, number in enumerate(block):
        times, chosen = (np.concatenate(column) for column in zip(*parts.pop(row, [_NOTHING]), strict=True))
        fired = table[chosen // stride(run.plan)]
        amounts = run.initial[: run.plan.n_species] + np.cumsum(changes[fired], axis=0)
        yield Path(number, times, reactions[fired], amounts)


_NOTHING = (np.zeros(0), np.zeros(0, np.int64))


def _sort(log: np.ndarray, nothing: int, parts: dict[int, list[tuple[np.ndarray, np.ndarray]]]) -> None:
    """Add the firings of a log (n_sweeps, 3, n_lanes) to those of their trajectories, in order."""
    times, chosen, trajectory = (log[:, i].ravel() for i in range(LOG_ROWS))
    fires = np.flatnonzero((chosen != nothing) & (trajectory >= 0))
    fires = fires[np.argsort(trajectory[fires], kind="stable")]
    owners, numbers = np.unique(trajectory[fires], return_counts=True)
    ends = np.cumsum(numbers)
    for owner, first, end in zip(owners, ends - numbers, ends, strict=True):
        mine = fires[first:end]
        parts[int(owner)].append((times[mine].view(float), chosen[mine]))


def _changes(run: Run) -> np.ndarray:
    """Net change of the species by each reaction of the plan, (n_reactions, n_species)."""
    matrix = np.zeros((len(run.plan.changes), run.plan.n_species))
    for i, changes in enumerate(run.plan.changes):
        for species, change in changes:
            matrix[i, species] = change
    return matrix
