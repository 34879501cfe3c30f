"""Integrals of laws along a stretch of time in which only the input and time move, in machine code.

The rule with thirteen points of Gander and Gautschi (doi:10.1023/A:1022318402393) is compared with the one on
seven of them, exact up to the ninth degree, and a stretch is halved until both agree. What points can miss
is looked for with intervals: a stretch on which a law may jump is halved until the jump no longer counts, so
that no pulse is missed, and a long one also where there is much room beyond the values at the points.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir

from chemlearn.simulate.sparse.code import BIT, DOUBLE, INT, Code
from chemlearn.simulate.sparse.formulas import Evaluation
from chemlearn.simulate.sparse.layout import BEGIN, END, PIECE, Curve, Failure, Word
from chemlearn.simulate.sparse.program import Parts
from chemlearn.simulate.sparse.ranges import Ranges

TOLERANCE = 1e-11  #: of an integral so far, by which the two rules may differ on a stretch
_MOST_PARTS = 2**40  # in which a stretch is cut: a jump is located to one of them
_MOST_HALVINGS = 2**18  # of a stretch
_LONG = 1.0 / 1024  # of a straight piece of the signal: a stretch on which intervals are asked for peaks
_HIDDEN = 1.0 / 64  # of a piece at the greatest value at the points: what room may hide on a long stretch


def _rules() -> list[tuple[float, float, float]]:
    """Points in [0, 1], their weights in the rule on thirteen points, and on the seven among them."""
    seven = np.array([0.0, 1 / math.sqrt(5), math.sqrt(2 / 3), 1.0])
    thirteen = np.sort(np.append(seven, (0.236383199662150, 0.641853342345781, 0.942882415695480)))
    weights = dict(zip(seven, _weights(seven), strict=True))
    return [
        ((1 + side * x) / 2, weight, weights.get(x, 0.0))
        for x, weight in zip(thirteen, _weights(thirteen), strict=True)
        for side in ((1,) if x == 0 else (-1, 1))
    ]


def _weights(points: np.ndarray) -> np.ndarray:
    """Of a rule on points in [-1, 1], of which those from 0 on are given, so that its weights add up to 1.

    It is exact for as many even powers as there are points from 0 on, and for all odd ones.
    """
    powers = 2 * np.arange(len(points))
    sides = np.where(points == 0, 1.0, 2.0)
    return np.linalg.solve(sides * points ** powers[:, None], 1.0 / (powers + 1.0))


class Quadrature:
    """Functions for the integrals of laws that move.

    Parameters
    ----------
    parts : Parts
    """

    def __init__(self, parts: Parts) -> None:
        self.parts, self.library = parts, parts.library
        self.at = self._at()
        if parts.program.bent:
            self.range = self._range()
            self.stretch = self._stretch()

    def place(self, c: Code, time: Any, which: int) -> None:
        """Let what moves at a time within the piece stand where :meth:`at` and :meth:`range` read it."""
        c.call(self.parts.move, time, c.plus(c.word(Word.NOW), which))

    def _at(self) -> ir.Function:
        """``at(words, law)``: a law that moves, at the placed beginning."""
        c = self.parts.code("at", INT, result=DOUBLE)
        evaluation, (law,) = Evaluation(c, self.library.shapes), c.arguments
        first = evaluation.first(law)
        shapes = self.library.shapes
        moved = [kind for kind in self.library.kinds if shapes[kind].moved]
        self.library.choose(evaluation, law, moved, lambda kind: evaluation.now(shapes[kind], first, BEGIN))
        return c.function

    def _range(self) -> ir.Function:
        """``range(words, law)``: between which values a law stays from the placed beginning to the end.

        They are written to words; whether it is certain that it does not jump is returned.
        """
        c = self.parts.code("range", INT, result=BIT)
        evaluation, (law,) = Evaluation(c, self.library.shapes), c.arguments
        first, shapes = evaluation.first(law), self.library.shapes

        def build(kind: int) -> Any:
            (low, high), smooth = self._ranges(evaluation, kind, first)
            c.set_word(Word.LEAST, low)
            c.set_word(Word.MOST, high)
            return smooth

        bent = [kind for kind in self.library.kinds if shapes[kind].moved and not shapes[kind].straight]
        self.library.choose(evaluation, law, bent, build, BIT(1))
        return c.function

    def _ranges(self, evaluation: Evaluation, kind: int, first: Any) -> tuple[tuple[Any, Any], Any]:
        shape = self.library.shapes[kind]
        begin, end = (evaluation.formulas(shape, first, by) for by in (BEGIN, END))
        ends = {name: (begin.names[name](), end.names[name]()) for name in shape.moved}
        v, drives = evaluation.code.v, {}
        for name, pair in ends.items():
            drives[name] = v.intrinsic("minimum", *pair), v.intrinsic("maximum", *pair)
        ranges = Ranges(begin, drives, shape.never_negative)
        low, high = (evaluation.scalar(x) for x in ranges(shape.tree))
        return (low, high), evaluation.scalar(ranges.smooth(shape.tree))

    def _stretch(self) -> ir.Function:
        """``stretch(words, law, begin, end)``: the integral of a law that moves.

        The stretch is cut into equal parts, of which the first ones are done; the next one is added or cut in
        two, and two that make one of twice the length are followed by such a one. ``Word.HALVED`` tells
        whether it was ever cut.
        """
        c = self.parts.code("stretch", INT, DOUBLE, DOUBLE, result=DOUBLE)
        b, (law, begin, end) = c.b, c.arguments
        kept = _size(c, c.load(c.address(Word.INTEGRALS), c.plus(b.shl(law, INT(1)), 1), DOUBLE))
        length, total = b.fsub(end, begin), c.variable(DOUBLE(0.0))
        done, parts, halvings = c.variable(INT(0)), c.variable(INT(1)), c.variable(INT(0))
        with c.while_(lambda: b.icmp_signed("<", done(), parts())):
            low = self._cut(c, begin, length, done(), parts())
            high = c.lesser(self._cut(c, begin, length, c.plus(done(), 1), parts()), end)
            last = b.icmp_signed(">=", parts(), INT(_MOST_PARTS))
            part = _Part(self, c, law, low, high)
            part.weigh(b.fadd(kept, _size(c, total())), last)
            with b.if_else(b.or_(part.good(), last)) as (then, otherwise):
                with then:
                    total.set(b.fadd(total(), part.integral()))
                    after = c.plus(done(), 1)
                    even = b.icmp_signed("==", b.and_(after, INT(1)), INT(0))
                    done.set(b.select(even, b.ashr(after, INT(1)), after))
                    parts.set(b.select(even, b.ashr(parts(), INT(1)), parts()))
                with otherwise:
                    for variable in (done, parts):
                        variable.set(b.shl(variable(), INT(1)))
                    halvings.set(c.plus(halvings(), 1))
            with c.only_if(b.icmp_signed(">", halvings(), INT(_MOST_HALVINGS)), likely=False):
                for word, what in ((Word.FAILED, INT(int(Failure.ROUGH))), (Word.CULPRIT, law)):
                    c.set_word(word, what)
                c.set_word(Word.VALUE, low)
                c.return_(total())
        c.set_word(Word.HALVED, halvings())
        c.return_(total())
        return c.function

    def _cut(self, c: Code, begin: Any, length: Any, number: Any, parts: Any) -> Any:
        """Where a part begins."""
        b = c.b
        share = b.fdiv(b.sitofp(number, DOUBLE), b.sitofp(parts, DOUBLE))
        return b.fadd(begin, b.fmul(length, share))


class _Part:
    """A part of a stretch: its integral, and whether that is good enough."""

    def __init__(self, quadrature: Quadrature, c: Code, law: Any, low: Any, high: Any) -> None:
        self.quadrature, self.c, self.law, self.low, self.high = quadrature, c, law, low, high
        self.length = c.b.fsub(high, low)
        self.good, self.integral = c.variable(BIT(1)), c.variable(DOUBLE(0.0))
        self.least, self.most = (c.variable(DOUBLE(0.0)) for _ in range(2))

    def weigh(self, so_far: Any, last: Any) -> None:
        """Set :attr:`integral` and :attr:`good`; a part that might jump is looked at closely only if last."""
        c, b = self.c, self.c.b
        curve = c.short(c.address(Word.CURVES), self.law)
        jumps = b.icmp_signed("!=", b.and_(curve, INT(Curve.JUMPS)), INT(0))
        piece = b.fsub(c.number(Word.STOP), of_piece(c, 1))
        long = b.fcmp_ordered(">", self.length, b.fmul(piece, DOUBLE(_LONG)))
        with c.only_if(b.or_(jumps, long)):
            self.quadrature.place(c, self.low, BEGIN)
            self.quadrature.place(c, self.high, END)
            smooth = c.call(self.quadrature.range, self.law)
            room = b.fmul(b.fsub(c.number(Word.MOST), c.number(Word.LEAST)), self.length)
            nothing = b.fcmp_ordered("<=", room, b.fmul(so_far, DOUBLE(TOLERANCE)))
            self.good.set(b.or_(smooth, nothing))
        with c.only_if(b.or_(self.good(), last)):
            difference = self._sample()
            allowed = b.fmul(b.fadd(so_far, _size(c, self.integral())), DOUBLE(TOLERANCE))
            close = b.fcmp_unordered("<=", difference, allowed)  # what is not a number gets no better
            self.good.set(b.and_(self.good(), b.and_(close, self._covered(piece, long, allowed))))

    def _sample(self) -> Any:
        """Set :attr:`integral`; by how much the rule on fewer points differs."""
        c, b = self.c, self.c.b
        table, size = self._table()
        sums = [c.variable(DOUBLE(0.0)) for _ in range(2)]
        self.least.set(DOUBLE(math.inf))
        self.most.set(DOUBLE(-math.inf))
        with c.counting(INT(0), INT(size), by=3) as i:
            x, *weights = (c.load(table, c.plus(i, k), DOUBLE) for k in range(3))
            time = b.fadd(self.low, b.fmul(self.length, x))
            self.quadrature.place(c, c.lesser(time, self.high), BEGIN)
            value = c.call(self.quadrature.at, self.law)
            self.least.set(c.lesser(self.least(), value))
            self.most.set(c.greater(self.most(), value))
            for total, weight in zip(sums, weights, strict=True):
                total.set(b.fadd(total(), b.fmul(value, weight)))
        fine, coarse = (b.fmul(total(), self.length) for total in sums)
        self.integral.set(fine)
        return _size(c, b.fsub(fine, coarse))

    def _table(self) -> tuple[ir.GlobalVariable, int]:
        """Points and weights in memory, and how many numbers these are."""
        module, rules = self.c.b.module, np.array(_rules()).ravel().tolist()
        table = ir.GlobalVariable(module, ir.ArrayType(DOUBLE, len(rules)), module.get_unique_name("rules"))
        table.global_constant = True
        table.initializer = ir.Constant(table.value_type, rules)
        return table, len(rules)

    def _covered(self, piece: Any, long: Any, allowed: Any) -> Any:
        """A bit, whether no peak or dip that counts can lie between the points."""
        c, b = self.c, self.c.b
        above = b.fsub(c.number(Word.MOST), self.most())
        hidden = b.fadd(above, b.fsub(self.least(), c.number(Word.LEAST)))
        enough = c.greater(allowed, b.fmul(b.fmul(self.most(), piece), DOUBLE(_HIDDEN)))
        return b.or_(b.not_(long), b.fcmp_ordered("<=", b.fmul(hidden, self.length), enough))


def of_piece(c: Code, column: int) -> Any:
    """A number of the straight piece of the signal: stop, start, value, slope."""
    place = c.plus(c.b.mul(c.word(Word.AT_PIECE), INT(PIECE)), column)
    return c.load(c.address(Word.PIECES), place, DOUBLE)


def _size(c: Code, x: Any) -> Any:
    return c.b.call(c.b.module.declare_intrinsic("llvm.fabs", [DOUBLE]), [x])
