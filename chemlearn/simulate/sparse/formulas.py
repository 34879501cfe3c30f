"""Machine code of formulas: evaluated by their shape, operands found through tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from llvmlite import ir

from chemlearn.simulate.native.bounds import Bounds
from chemlearn.simulate.native.vectors import Formulas
from chemlearn.simulate.sparse.code import DOUBLE, INT, SHORT, Code
from chemlearn.simulate.sparse.layout import DRIVES, Word
from chemlearn.simulate.sparse.shapes import PRODUCT, Shape, places

ROOT = INT(1)
ROUNDING = 1e-9  #: by how much a bound along a ramp is raised; of the total, how far below 0 a law may round


class Evaluation:
    """Builds formulas into a function.

    Parameters
    ----------
    code : Code
    shapes : sequence of Shape
        Of all formulas, by their numbers in the table of laws.
    """

    def __init__(self, code: Code, shapes: Sequence[Shape]) -> None:
        self.code, self.shapes = code, shapes
        self.cells, self.bounds = code.address(Word.CELLS), code.address(Word.BOUNDS)
        self.laws, self.operands = code.address(Word.LAWS), code.address(Word.OPERANDS)

    def kind(self, number: Any) -> Any:
        """The number of a formula's shape."""
        return self.code.load(self.laws, self.code.b.shl(number, INT(1)), SHORT)

    def first(self, number: Any, shape: Shape | None = None) -> Any:
        """The address of its operands; computed where all formulas up to it have one and the same shape."""
        c, b = self.code, self.code.b
        if shape is not None:
            place = b.mul(number, INT(len(places(shape.tree))))
        else:
            place = c.short(self.laws, c.plus(b.shl(number, INT(1)), 1))
        return b.gep(self.operands, [place], source_etype=SHORT)

    def now(self, shape: Shape, first: Any, further: int = 0) -> Any:
        """A formula's value, with what moves read so many cells further on."""
        return self.scalar(self.formulas(shape, first, further)(shape.tree))

    def bound(self, shape: Shape, first: Any) -> Any:
        """What a law cannot exceed from now to the end of the window; not a number where it is below 0."""
        b, v = self.code.b, self.code.v
        now, end = (self.formulas(shape, first, by) for by in (0, DRIVES))
        if shape.straight:
            highest = v.intrinsic("maximum", now(shape.tree), end(shape.tree))
        else:
            ranges = {}
            for name in shape.moved:
                ends = [formulas.names[name]() for formulas in (now, end)]
                ranges[name] = v.intrinsic("minimum", *ends), v.intrinsic("maximum", *ends)
            highest = Bounds(now, ranges, shape.never_negative)(shape.tree)[1]
        raised = v.intrinsic("maximum", b.fmul(highest, v.number(1.0 + ROUNDING)), v.number(0.0))
        bound = self.scalar(raised)
        if not shape.watched:
            return bound
        fine = b.fcmp_ordered(">=", self.scalar(now(shape.tree)), self.least())
        return b.select(fine, bound, DOUBLE(math.nan))

    def total(self) -> Any:
        return self.code.load(self.bounds, ROOT, DOUBLE)

    def least(self) -> Any:
        """How far below 0 rounding may take a propensity."""
        return self.code.b.fmul(self.total(), DOUBLE(-ROUNDING))

    def scalar(self, value: Any) -> Any:
        """What a vector of one lane holds."""
        return self.code.b.extract_element(value, SHORT(0))

    def formulas(self, shape: Shape, first: Any, further: int) -> Formulas:
        """How a shape is evaluated, with what moves read so many cells further on."""
        names = {
            name: partial(self._operand, first, i, further if name.startswith("D") else 0)
            for i, name in enumerate(places(shape.tree))
        }
        return Formulas(self.code.v, names)

    def _operand(self, first: Any, position: int, further: int) -> Any:
        c = self.code
        cell = c.plus(c.short(first, INT(position)), further)
        return c.b.load(c.b.gep(self.cells, [cell], source_etype=DOUBLE), typ=c.v.doubles, align=8)


class Library:
    """Functions that evaluate formulas, each shape built once.

    Parameters
    ----------
    module : ir.Module
    shapes : sequence of Shape
        Of all formulas.
    kinds : sequence of int
        Numbers of those that are laws.
    """

    def __init__(self, module: ir.Module, shapes: Sequence[Shape], kinds: Sequence[int]) -> None:
        self.module, self.shapes, self.kinds = module, shapes, kinds
        self.value = self._value()
        self.most = self._most()

    def largest(self, evaluation: Evaluation, law: Any) -> Any:
        """Build a law's propensity, or the most that it can be until the end of the window if it moves."""
        b = evaluation.code.b
        shapes = [self.shapes[kind] for kind in self.kinds]
        if PRODUCT not in shapes:
            return evaluation.code.call(self.most, law)
        if len(shapes) == 1:
            return evaluation.now(PRODUCT, evaluation.first(law, PRODUCT))
        simple = b.icmp_signed("==", evaluation.kind(law), SHORT(self.shapes.index(PRODUCT)))
        with b.if_else(simple) as (then, otherwise):
            with then:
                product, here = evaluation.now(PRODUCT, evaluation.first(law)), b.block
            with otherwise:
                other, there = evaluation.code.call(self.most, law), b.block
        result = b.phi(DOUBLE)
        result.add_incoming(product, here)
        result.add_incoming(other, there)
        return result

    def _value(self) -> ir.Function:
        """``value(words, number)``: a formula now."""
        c = Code(self.module, "value", [INT], DOUBLE)
        evaluation, (number,) = Evaluation(c, self.shapes), c.arguments
        first = evaluation.first(number)
        self.choose(
            evaluation, number, range(len(self.shapes)), lambda kind: evaluation.now(self.shapes[kind], first)
        )
        return c.function

    def _most(self) -> ir.Function:
        """``most(words, law)``: what :meth:`largest` tells."""
        c = Code(self.module, "most", [INT], DOUBLE)
        evaluation, (law,) = Evaluation(c, self.shapes), c.arguments
        first = evaluation.first(law)
        moved = [kind for kind in self.kinds if self.shapes[kind].moved]
        self.choose(evaluation, law, moved, lambda kind: evaluation.bound(self.shapes[kind], first))
        return c.function

    def choose(
        self,
        evaluation: Evaluation,
        number: Any,
        kinds: Sequence[int],
        build: Callable[[int], Any],
        default: Any = None,
    ) -> None:
        """Return what is built for the shape of a formula; a default or its value for the other shapes."""
        c, b = evaluation.code, evaluation.code.b
        otherwise = b.append_basic_block("otherwise")
        choice = b.switch(evaluation.kind(number), otherwise)
        for kind in kinds:
            block = b.append_basic_block("shape")
            choice.add_case(SHORT(kind), block)
            b.position_at_end(block)
            c.return_(build(kind))
        b.position_at_end(otherwise)
        if len(kinds) == len(self.shapes):
            b.unreachable()
        else:
            c.return_(c.call(self.value, number) if default is None else default)
