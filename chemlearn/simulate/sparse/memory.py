"""One block at work: the memory that the machine code reads and writes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from chemlearn.simulate.native.diagnosis import Situation
from chemlearn.simulate.sparse.layout import CLOCK, DRIVES, PENDING_HEAD, Happening, Word
from chemlearn.simulate.sparse.tables import Tables

if TYPE_CHECKING:
    from chemlearn.simulate.sparse.engine import Run

_FIRST_ROOM = 16  # pending events; more is made when needed


class Memory:
    """Cells, tree and words of one block.

    Parameters
    ----------
    run : Run
    tables : Tables
    counts : (n_trajectories, n_times, n_columns) array
        To be filled.
    seeds : (n_trajectories, 4) array
    log : (n_entries, 2 + n_state) array, optional
        For programs that write firings down.
    """

    def __init__(
        self,
        run: Run,
        tables: Tables,
        counts: np.ndarray,
        seeds: np.ndarray,
        log: np.ndarray | None = None,
    ) -> None:
        self.tables = tables
        self.words = np.zeros(int(Word.WORDS), np.int64)
        self.numbers = self.words.view(float)
        self.log = np.empty((0, 0)) if log is None else log
        self.pending = np.zeros((_FIRST_ROOM, PENDING_HEAD + self._most_assigned()))
        self.cells = self._first_cells(run)
        self.arrays = self._arrays(run, counts, seeds)  # the machine code knows addresses only
        for word, array in self.arrays.items():
            self.words[word] = array.ctypes.data
        for word, count in self._counts(run, counts).items():
            self.words[word] = count
        self.numbers[Word.TIME] = -1.0  # before the first trajectory

    def _arrays(self, run: Run, counts: np.ndarray, seeds: np.ndarray) -> dict[Word, np.ndarray]:
        tables, leaves = self.tables, _leaves(len(self.tables.order))
        return {
            Word.CELLS: self.cells,
            Word.BOUNDS: _aligned(2 * leaves),
            Word.SUMS: _aligned(2 * leaves),
            Word.PROPENSITIES: np.zeros(leaves),
            Word.LAWS: tables.laws,
            Word.OPERANDS: tables.operands,
            Word.CAUSES: tables.causes,
            Word.RECORDS: tables.records,
            Word.ORDER: tables.order,
            Word.TIMES: np.append(run.times, np.nan),
            Word.INITIAL: np.append(run.initial, np.zeros(tables.cells.n_counted)),
            Word.STREAMS: seeds,
            Word.PIECES: run.pieces,
            Word.RESULT: counts,
            Word.LOG: self.log,
            Word.EVENTS: tables.events,
            Word.ASSIGNED: tables.assigned,
            Word.LINES: tables.lines,
            Word.TRUTH: np.zeros(len(tables.events), np.int64),
            Word.ROOTS: np.full(len(tables.lines), math.inf),
            Word.SLOPES: np.zeros(len(tables.lines)),
            Word.PENDING: self.pending,
            Word.SCRATCH: np.zeros(self._most_assigned()),
            Word.INTEGRALS: np.zeros((len(tables.order), 2)),
            Word.STRIDES: np.zeros(len(tables.order)),
            Word.CURVES: tables.curves,
        }

    def _counts(self, run: Run, counts: np.ndarray) -> dict[Word, int]:
        tables, n_laws = self.tables, len(self.tables.order)
        return {
            Word.N_STATE: len(run.initial),
            Word.N_COPIED: tables.cells.constants,
            Word.N_RECORDED: counts.shape[-1],
            Word.N_TIMES: len(run.times),
            Word.N_TRAJECTORIES: len(counts),
            Word.N_PIECES: len(run.pieces),
            Word.N_LAWS: n_laws,
            Word.N_EVENTS: len(tables.events),
            Word.N_LINES: len(tables.lines),
            Word.FIRST_MOVED: tables.first_moved,
            Word.LEAVES: _leaves(n_laws),
            Word.NOW: tables.cells.now,
            Word.SIGNS: tables.cells.signs,
            Word.LIMIT: run.most_steps,
            Word.MOST_REJECTED: 1 + (n_laws - tables.first_moved) // 4,
            Word.LOG_ROOM: len(self.log),
            Word.PENDING_ROOM: len(self.pending),
            Word.PENDING_WIDTH: self.pending.shape[1],
        }

    @property
    def finished(self) -> bool:
        return bool(self.words[Word.TRAJECTORY] == self.words[Word.N_TRAJECTORIES])

    def progress(self) -> tuple[int, float, int]:
        """What changes while a run goes on."""
        words = self.words
        return int(words[Word.TRAJECTORY]), float(self.numbers[Word.TIME]), int(words[Word.LOGGED])

    def drained(self) -> np.ndarray:
        """What the log holds, to be read before the next stretch; and more room for pending events."""
        if self.words[Word.N_PENDING] == self.words[Word.PENDING_ROOM]:
            self.pending = np.concatenate([self.pending, np.zeros_like(self.pending)])
            self.arrays[Word.PENDING] = self.pending
            self.words[Word.PENDING] = self.pending.ctypes.data
            self.words[Word.PENDING_ROOM] = len(self.pending)
        entries = self.log[: int(self.words[Word.LOGGED])]
        self.words[Word.LOGGED] = 0
        return entries

    def situations(self) -> tuple[Situation, Situation]:
        """Now, and at the end of the window of bounds."""
        cells, now = self.cells, self.tables.cells.now
        time = max(float(self.numbers[Word.TIME]), 0.0)
        state = cells[: int(self.words[Word.N_STATE])].copy()
        if not self.tables.program.moved:
            still = np.array([0.0, time, 0.0])
            return Situation(state, still, time), Situation(state, still, time)
        drives, later = cells[now : now + DRIVES].copy(), cells[now + DRIVES : now + 2 * DRIVES].copy()
        return Situation(state, drives, drives[CLOCK]), Situation(state, later, later[CLOCK])

    def _first_cells(self, run: Run) -> np.ndarray:
        tables = self.tables
        cells = np.zeros(len(tables.cells))
        first = tables.cells.constants
        cells[first : first + len(run.constants)] = run.constants
        cells[tables.cells.first_number :] = tables.numbers()
        return cells

    def _most_assigned(self) -> int:
        return int(self.tables.events[:, Happening.COUNT].max(initial=1))


def _leaves(n_laws: int) -> int:
    """The node of the first leaf: a power of 4 that leaves room for one leaf more than there are laws."""
    leaves = 4
    while leaves <= n_laws:
        leaves *= 4
    return leaves


def _aligned(count: int) -> np.ndarray:
    """Zeros of which four neighbours lie in one line of the cache."""
    raw = np.zeros(count + 8)
    offset = (-raw.ctypes.data % 64) // 8
    return raw[offset : offset + count]
