"""Machine code of formulas, evaluated by their shape, and of the tree from which reactions are selected.

Every leaf of the tree is a proven upper bound of a propensity; a candidate fires with the chance
propensity/bound. A law that nothing moves between firings is evaluated whenever what it reads has changed,
but its bound is renewed only when the propensity has left the upper part of what it allows: most firings then
change nothing in the tree, which is where the time would go. The bound of a law that the input or time moves
holds to the end of a window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from chemlearn.simulate.native.bounds import Bounds
from chemlearn.simulate.native.vectors import Formulas
from chemlearn.simulate.sparse.code import BIT, DOUBLE, INT, SHORT, Code
from chemlearn.simulate.sparse.layout import DRIVES, Cause, Word
from chemlearn.simulate.sparse.shapes import Shape, places

ROOT = INT(1)
SLACK = 1.25  #: a new bound over its propensity
CLOSE = 0.65  #: of its bound, below which a propensity gets a new one
ROUNDING = 1e-9  #: by how much a bound along a ramp is raised; of the total, how far below 0 a law may round


class Evaluation:
    """Builds the evaluation of formulas into a function.

    Parameters
    ----------
    code : Code
    shapes : sequence of Shape
        Of all formulas.
    kinds : sequence of int
        Numbers of those that are laws.
    """

    def __init__(self, code: Code, shapes: Sequence[Shape], kinds: Sequence[int]) -> None:
        self.code, self.shapes, self.kinds = code, shapes, kinds
        self.cells, self.bounds, self.sums = map(code.address, (Word.CELLS, Word.BOUNDS, Word.SUMS))
        self.laws, self.operands = code.address(Word.LAWS), code.address(Word.OPERANDS)
        self.causes, self.records = code.address(Word.CAUSES), code.address(Word.RECORDS)
        self.propensities = code.address(Word.PROPENSITIES)

    def value(self, number: Any) -> Any:
        """A formula now."""
        return self._by_shape(number, range(len(self.shapes)), self._now)

    def largest(self, law: Any) -> Any:
        """A law's propensity, or the most that it can be until the end of the window if it moves."""
        return self._by_shape(
            law, self.kinds, lambda s, at: self._bound(s, at) if s.moved else self._now(s, at)
        )

    def _by_shape(self, number: Any, kinds: Sequence[int], build: Callable[[Shape, Any], Any]) -> Any:
        c, b = self.code, self.code.b
        if len(kinds) == 1:  # then all have equally many operands
            shape = self.shapes[kinds[0]]
            first = b.mul(number, INT(len(places(shape.tree))))
            return build(shape, b.gep(self.operands, [first], source_etype=SHORT))
        entry = b.shl(number, INT(1))
        first = b.gep(self.operands, [c.short(self.laws, c.plus(entry, 1))], source_etype=SHORT)
        after, impossible = b.append_basic_block("evaluated"), b.append_basic_block("impossible")
        choice = b.switch(c.load(self.laws, entry, SHORT), impossible)
        made = []
        for kind in kinds:
            block = b.append_basic_block("shape")
            choice.add_case(SHORT(kind), block)
            b.position_at_end(block)
            made.append((build(self.shapes[kind], first), b.block))
            b.branch(after)
        b.position_at_end(impossible)
        b.unreachable()
        b.position_at_end(after)
        result = b.phi(DOUBLE)
        for value, block in made:
            result.add_incoming(value, block)
        return result

    def _now(self, shape: Shape, first: Any) -> Any:
        return self._scalar(self._formulas(shape, first, 0)(shape.tree))

    def _scalar(self, value: Any) -> Any:
        return self.code.b.extract_element(value, SHORT(0))

    def _formulas(self, shape: Shape, first: Any, further: int) -> Formulas:
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

    def _bound(self, shape: Shape, first: Any) -> Any:
        """What a law cannot exceed from now to the end of the window; not a number where it is below 0."""
        b, v = self.code.b, self.code.v
        now, end = (self._formulas(shape, first, by) for by in (0, DRIVES))
        if shape.straight:
            highest = v.intrinsic("maximum", now(shape.tree), end(shape.tree))
        else:
            ranges = {}
            for name in shape.moved:
                ends = [formulas.names[name]() for formulas in (now, end)]
                ranges[name] = v.intrinsic("minimum", *ends), v.intrinsic("maximum", *ends)
            highest = Bounds(now, ranges, shape.never_negative)(shape.tree)[1]
        raised = v.intrinsic("maximum", b.fmul(highest, v.number(1.0 + ROUNDING)), v.number(0.0))
        bound = self._scalar(raised)
        if not shape.watched:
            return bound
        fine = b.fcmp_ordered(">=", self._scalar(now(shape.tree)), self.least())
        return b.select(fine, bound, DOUBLE(math.nan))

    def total(self) -> Any:
        return self.code.load(self.bounds, ROOT, DOUBLE)

    def least(self) -> Any:
        """How far below 0 rounding may take a propensity."""
        return self.code.b.fmul(self.total(), DOUBLE(-ROUNDING))

    # the tree -----------------------------------------------------------------------------------------------

    def record(self, cause: Any) -> Any:
        """The address of a cause's record."""
        return self.code.b.gep(self.records, [self.code.short(self.causes, cause)], source_etype=SHORT)

    def listed(self, record: Any, which: Cause) -> tuple[Any, Any]:
        """First and last of a list of a record."""
        c = self.code
        return c.short(record, INT(int(which))), c.short(record, INT(int(which) + 1))

    def refresh(self, record: Any) -> Any:
        """Evaluate anew what a cause changes; a bit, whether every propensity is a number of at least 0."""
        c, b = self.code, self.code.b
        leaves, fine = c.word(Word.LEAVES), c.variable(BIT(1))
        with c.counting(*self.listed(record, Cause.DEPENDENTS)) as i:
            law = c.short(record, i)
            most = self.largest(law)
            c.store(most, self.propensities, law)
            leaf = b.add(leaves, law)
            bound = c.load(self.bounds, leaf, DOUBLE)
            close = b.fcmp_ordered(">=", most, b.fmul(bound, DOUBLE(CLOSE)))
            with c.only_if(b.not_(b.and_(b.fcmp_ordered("<=", most, bound), close)), likely=False):
                fine.set(b.and_(fine(), b.fcmp_ordered(">=", most, DOUBLE(0.0))))
                c.store(self._raised(most), self.bounds, leaf)
                node = c.variable(b.lshr(leaf, INT(2)))
                with c.while_(lambda: b.icmp_signed(">", node(), INT(0))):
                    self._sum_up(node())
                    node.set(b.lshr(node(), INT(2)))
        return fine()

    def renew(self, first: Any) -> Any:
        """Evaluate all laws from one on, with new bounds; a bit as of :meth:`refresh`."""
        c, b = self.code, self.code.b
        leaves, count, fine = c.word(Word.LEAVES), c.word(Word.N_LAWS), c.variable(BIT(1))
        with c.counting(first, count) as law:
            most = self.largest(law)
            fine.set(b.and_(fine(), b.fcmp_ordered(">=", most, DOUBLE(0.0))))
            c.store(most, self.propensities, law)
            c.store(self._raised(most), self.bounds, b.add(leaves, law))
        low, high = c.variable(b.add(leaves, first)), c.variable(b.add(leaves, count))
        with c.while_(lambda: b.icmp_signed(">", low(), INT(1))):
            low.set(b.lshr(low(), INT(2)))
            high.set(b.lshr(high(), INT(2)))
            with c.counting(low(), c.plus(high(), 1)) as node:
                self._sum_up(node)
        return fine()

    def _raised(self, most: Any) -> Any:
        """A new bound; -0, which k X (X - 1) is at X = 0, becomes 0, for waiting times divide by sums."""
        b = self.code.b
        return b.fadd(b.fmul(most, DOUBLE(SLACK)), DOUBLE(0.0))

    def _sum_up(self, node: Any) -> None:
        """A node and the running sums of its children."""
        c, b = self.code, self.code.b
        first = b.shl(node, INT(2))
        values = b.gep(self.bounds, [first], source_etype=DOUBLE)
        one, two, three, four = (c.load(values, INT(i), DOUBLE) for i in range(4))
        half = b.fadd(one, two)
        sums = b.gep(self.sums, [first], source_etype=DOUBLE)
        for i, value in enumerate((one, half, b.fadd(half, three)), start=1):
            c.store(value, sums, INT(i))
        c.store(b.fadd(half, b.fadd(three, four)), self.bounds, node)

    def descend(self, share: Any) -> tuple[Any, Any]:
        """The leaf in whose part of the total a share lies, and how far into it.

        Numbers of at least 0 are compared by their bits, which is quicker. Rounding may lead to a leaf of 0
        or to one that is not in use, but never past the end of the tree.
        """
        c, b = self.code, self.code.b
        leaves = c.word(Word.LEAVES)
        node, left = c.variable(ROOT), c.variable(share)
        loop, found = b.append_basic_block("level"), b.append_basic_block("found")
        b.branch(loop)
        b.position_at_end(loop)
        first = b.shl(node(), INT(2))
        sums = b.gep(self.sums, [first], source_etype=DOUBLE)
        bits = b.bitcast(left(), INT)
        passed = [b.zext(b.icmp_signed(">=", bits, c.load(sums, INT(i))), INT) for i in (1, 2, 3)]
        child = b.add(b.add(passed[0], passed[1]), passed[2])
        left.set(b.fsub(left(), c.load(sums, child, DOUBLE)))
        node.set(b.add(first, child))
        b.cbranch(b.icmp_signed("<", node(), leaves), loop, found)
        b.position_at_end(found)
        return b.sub(node(), leaves), left()
