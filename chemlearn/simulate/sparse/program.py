"""What the machine code of a network depends on, and functions that several parts of it call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from chemlearn.simulate.sparse.code import DOUBLE, INT, Code
from chemlearn.simulate.sparse.formulas import Library
from chemlearn.simulate.sparse.layout import CLOCK, INPUT, LOG_HEAD, PIECE, SLOPE, Failure, Word
from chemlearn.simulate.sparse.shapes import Shape
from chemlearn.simulate.sparse.tree import Tree


@dataclass(frozen=True)
class Program:
    """Everything that machine code depends on; networks of equal programs share it.

    Parameters
    ----------
    shapes : tuple of Shape
        Of all formulas.
    kinds : tuple of int
        Numbers of the shapes that are laws.
    events, lines : bool
        Whether there are events, and straight lines in their triggers.
    counted, logged, integrated : bool
        Whether firings are counted, and written down, and propensities integrated.
    """

    shapes: tuple[Shape, ...]
    kinds: tuple[int, ...]
    events: bool
    lines: bool
    counted: bool
    logged: bool
    integrated: bool

    @property
    def moved(self) -> bool:
        """Whether the input or time moves a law."""
        return any(self.shapes[kind].moved for kind in self.kinds)

    @property
    def bent(self) -> bool:
        """Whether a law moves other than straight."""
        laws = [self.shapes[kind] for kind in self.kinds]
        return any(shape.moved and not shape.straight for shape in laws)

    @property
    def driven(self) -> bool:
        """Whether they occur in any formula."""
        return any(shape.moved for shape in self.shapes)


class Parts:
    """Functions that the others call; each takes the address of the run's words."""

    def __init__(self, module: ir.Module, program: Program) -> None:
        self.module, self.program = module, program
        self.library = Library(module, program.shapes, program.kinds)
        self.value = self.library.value
        self.refresh = self._refresh()
        self.renew = self._renew()
        self.move = self._move()

    def code(self, name: str, *arguments: Any, result: Any = None) -> Code:
        """A function to be built."""
        return Code(self.module, name, arguments, result)

    def tree(self, code: Code) -> Tree:
        return Tree(code, self.library)

    def _refresh(self) -> ir.Function:
        """``refresh(words, cause)``: the laws after a cause."""
        c = self.code("refresh", INT)
        tree = self.tree(c)
        fine = tree.refresh(tree.record(c.arguments[0]))
        fail_if(c, c.b.not_(fine), Failure.BROKEN)
        c.return_()
        return c.function

    def _renew(self) -> ir.Function:
        """``renew(words, first)``: all laws from one on, with new bounds."""
        c = self.code("renew", INT)
        fail_if(c, c.b.not_(self.tree(c).renew(c.arguments[0])), Failure.BROKEN)
        c.return_()
        return c.function

    def _move(self) -> ir.Function:
        """``move(words, time, cell)``: what moves, at a time within the piece, into cells from one on."""
        c = self.code("move", DOUBLE, INT)
        time, first = c.arguments
        b, cells, pieces = c.b, c.address(Word.CELLS), c.address(Word.PIECES)
        piece = b.mul(c.word(Word.AT_PIECE), INT(PIECE))
        _, start, level, slope, last = (c.load(pieces, c.plus(piece, i), DOUBLE) for i in range(PIECE))
        straight = b.fadd(level, b.fmul(slope, b.fsub(time, start)))
        # rounding must not carry the input past its value at the knot: a law may end at 0 there
        within = c.lesser(c.greater(straight, c.lesser(level, last)), c.greater(level, last))
        for i, value in ((INPUT, within), (CLOCK, time), (SLOPE, slope)):
            c.store(value, cells, c.plus(first, i))
        c.return_()
        c.function.attributes.add("alwaysinline")
        return c.function


def fail_if(c: Code, wrong: Any, failure: Failure) -> None:
    with c.only_if(wrong, likely=False):
        c.set_word(Word.FAILED, INT(int(failure)))


def failed(c: Code) -> Any:
    return c.b.icmp_signed("!=", c.word(Word.FAILED), INT(0))


def log(c: Code, time: Any, what: Any) -> None:
    """Write down what has happened, and the state after it."""
    b, entries, cells, width = c.b, c.address(Word.LOG), c.address(Word.CELLS), c.word(Word.N_STATE)
    number = c.word(Word.LOGGED)
    entry = b.mul(number, c.plus(width, LOG_HEAD))
    c.store(time, entries, entry)
    c.store(b.sitofp(what, DOUBLE), entries, c.plus(entry, 1))
    with c.counting(INT(0), width) as i:
        c.store(c.load(cells, i, DOUBLE), entries, b.add(c.plus(entry, LOG_HEAD), i))
    c.set_word(Word.LOGGED, c.plus(number, 1))
