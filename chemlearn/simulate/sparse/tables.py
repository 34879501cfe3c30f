"""The tables of a run: what its machine code reads, and nothing that it depends on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from chemlearn.expression import Expr, symbols
from chemlearn.simulate.sparse.layout import DRIVES, Assigned, Cause, Happening, Straight
from chemlearn.simulate.sparse.prepared import Law, Prepared
from chemlearn.simulate.sparse.program import Program
from chemlearn.simulate.sparse.shapes import formula, grouped


@dataclass(frozen=True)
class Cells:
    """Where the names of prepared formulas lie.

    Parameters
    ----------
    n_state, n_counted, n_constants, n_moved, n_lines : int
    numbers : dict of float to int
        Numbers that are operands, in the order of their cells.
    """

    n_state: int
    n_counted: int
    n_constants: int
    n_moved: int
    n_lines: int
    numbers: dict[float, int]

    @property
    def constants(self) -> int:
        return self.n_state + self.n_counted

    @property
    def now(self) -> int:
        """The input, time and the input's slope; the same at the end of the window follow, and where
        propensities are integrated, at both ends of a part of an integral.
        """
        return self.constants + self.n_constants

    @property
    def signs(self) -> int:
        return self.now + self.n_moved

    @property
    def first_number(self) -> int:
        return self.signs + self.n_lines

    def __len__(self) -> int:
        return self.first_number + len(self.numbers)

    def of(self, operand: Expr) -> int:
        """The cell of a symbol or number."""
        if operand.op == "number":
            return self.first_number + self.numbers.setdefault(operand.value, len(self.numbers))
        first = {"X": 0, "K": self.constants, "D": self.now, "A": self.signs}[operand.name[0]]
        return first + int(operand.name[1:])


class Tables:
    """Everything that is the same for all trajectories.

    Parameters
    ----------
    prepared : Prepared
    laws : sequence of Law
        From ``prepared.laws``.
    negative : frozenset of str
        Names of prepared formulas that can be below 0.
    counted, logged, integrated : bool
        Whether firings are counted, and written down, and propensities integrated.

    Attributes
    ----------
    program : Program
    laws : (n_formulas, 2) array
        Number of its shape and of its first operand.
    operands, causes, records : array
    order, curves : (n_reactions,) array
        The reactions' numbers in the network, and how their laws move.
    events, assigned, lines : array
    """

    def __init__(
        self,
        prepared: Prepared,
        laws: Sequence[Law],
        negative: frozenset[str],
        *,
        counted: bool,
        logged: bool,
        integrated: bool,
    ) -> None:
        self.prepared, n_state = prepared, len(prepared.state)
        n_counted = len(laws) if counted else 0
        n_moved = (4 if integrated else 2) * DRIVES
        self.cells = Cells(n_state, n_counted, len(prepared.constants), n_moved, len(prepared.lines), {})
        self.formulas = [formula(law.tree, negative if law.moved else frozenset()) for law in laws]
        self.events, self.assigned = self._events()
        self.lines = self._lines()
        self.program = self._program(laws, counted, logged, integrated)
        self.laws, self.operands = self._operands()
        self.causes, self.records = self._records(laws)
        self.order = np.array([law.reaction for law in laws], np.int32)
        self.curves = np.array([law.curve for law in laws], np.int32)
        self.first_moved = sum(not law.moved for law in laws)

    def numbers(self) -> np.ndarray:
        return np.array(list(self.cells.numbers), float)

    def _program(self, laws: Sequence[Law], counted: bool, logged: bool, integrated: bool) -> Program:
        shapes = grouped(self.formulas)
        number = {shape: i for i, shape in enumerate(shapes)}
        kinds = {number[f.shape] for f in self.formulas[: len(laws)]}
        events, lines = bool(self.prepared.events), bool(self.prepared.lines)
        return Program(shapes, tuple(sorted(kinds)), events, lines, counted, logged, integrated)

    def _operands(self) -> tuple[np.ndarray, np.ndarray]:
        number = {shape: i for i, shape in enumerate(self.program.shapes)}
        laws, operands = np.empty((len(self.formulas), 2), np.int32), list[int]()
        for i, f in enumerate(self.formulas):
            laws[i] = number[f.shape], len(operands)
            operands += [self.cells.of(operand) for operand in f.operands]
        return laws, np.array(operands, np.int32)

    def _add(self, tree: Expr | None) -> int:
        """The number of a formula; -1 for none."""
        if tree is None:
            return -1
        self.formulas.append(formula(tree))
        return len(self.formulas) - 1

    def _events(self) -> tuple[np.ndarray, np.ndarray]:
        number = {name: i for i, name in enumerate(self.prepared.state)}
        events = np.zeros((len(self.prepared.events), Happening.WIDTH), np.int32)
        assigned: list[list[int]] = []
        for row, event in zip(events, self.prepared.events, strict=True):
            row[Happening.TRIGGER] = self._add(event.trigger)
            row[Happening.FIRST], row[Happening.COUNT] = len(assigned), len(event.assignments)
            row[Happening.DELAY], row[Happening.PRIORITY] = self._add(event.delay), self._add(event.priority)
            row[Happening.PERSISTENT], row[Happening.INITIAL] = event.persistent, event.initial
            row[Happening.AT_TRIGGER] = event.values_at_trigger
            for name, tree in event.assignments:
                is_amount = number[name] < len(self.prepared.network.species)
                assigned.append([self._add(tree), number[name], is_amount])
        return events, np.array(assigned, np.int32).reshape(-1, Assigned.WIDTH)

    def _lines(self) -> np.ndarray:
        rows = [
            [self._add(line.difference), self._add(line.rate), line.driven] for line in self.prepared.lines
        ]
        return np.array(rows, np.int32).reshape(-1, Straight.WIDTH)

    def _records(self, laws: Sequence[Law]) -> tuple[np.ndarray, np.ndarray]:
        """What follows from every reaction and every event."""
        prepared, events = self.prepared, self.prepared.events
        number = {name: i for i, name in enumerate(prepared.state)}
        readers = _readers([law.tree for law in laws], len(number))
        watchers = _readers([event.trigger for event in events], len(number))
        moving = _readers([line.difference for line in prepared.lines], len(number))
        slopes = _readers([line.rate for line in prepared.lines], len(number))
        lines = [one | other for one, other in zip(moving, slopes, strict=True)]
        begins, records = [], list[int]()
        changes = [(law.change, bool(law.short)) for law in laws]
        changes += [(tuple((number[n], 0) for n, _ in e.assignments), False) for e in events]
        for change, short in changes:
            begins.append(len(records))
            changed = [n for n, _ in change]
            parts = [
                [x for pair in change for x in pair],
                *(_union(which, changed) for which in (readers, watchers, lines)),
            ]
            records += _record(parts, short)
        return np.array(begins, np.int32), np.array(records, np.int32)


def _record(parts: Iterable[Sequence[int]], short: bool) -> list[int]:
    """Where each list begins, then the lists."""
    head, end, entries = [], Cause.SHORT + 1, list[int]()
    for part in parts:
        head.append(end)
        end += len(part)
        entries += part
    return [*head, end, short, *entries]


def _readers(trees: Sequence[Expr], n_state: int) -> list[set[int]]:
    """By number in the state, the trees that read it."""
    readers: list[set[int]] = [set() for _ in range(n_state)]
    for i, tree in enumerate(trees):
        for name in symbols(tree):
            if re.match(r"X\d", name):
                readers[int(name[1:])].add(i)
    return readers


def _union(readers: Sequence[set[int]], numbers: Iterable[int]) -> list[int]:
    return sorted(set().union(*(readers[n] for n in numbers)))
