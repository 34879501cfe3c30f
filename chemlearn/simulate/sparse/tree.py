"""The tree from which reactions are selected, in machine code.

Every leaf is a proven upper bound of a propensity; a candidate fires with the chance propensity/bound. A law
that nothing moves between firings is evaluated whenever what it reads has changed, but its bound is renewed
only when the propensity has left the upper part of what it allows: most firings then change nothing in the
tree, which is where the time would go. The bound of a law that the input or time moves holds to the end of a
window.
"""

from __future__ import annotations

from typing import Any

from chemlearn.simulate.sparse.code import BIT, DOUBLE, INT, SHORT, Code
from chemlearn.simulate.sparse.formulas import Evaluation, Library
from chemlearn.simulate.sparse.layout import Cause, Word

SLACK = 1.25  #: a new bound over its propensity
CLOSE = 0.65  #: of its bound, below which a propensity gets a new one


class Tree:
    """Builds work on the tree into a function.

    Parameters
    ----------
    code : Code
    library : Library
        For the laws.
    """

    def __init__(self, code: Code, library: Library) -> None:
        self.code, self.library = code, library
        self.evaluation = Evaluation(code, library.shapes)
        self.bounds, self.sums = self.evaluation.bounds, code.address(Word.SUMS)
        self.propensities, self.leaves = code.address(Word.PROPENSITIES), code.word(Word.LEAVES)
        self.causes, self.records = code.address(Word.CAUSES), code.address(Word.RECORDS)

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
        leaves, fine = self.leaves, c.variable(BIT(1))
        with c.counting(*self.listed(record, Cause.DEPENDENTS)) as i:
            law = c.short(record, i)
            most = self.library.largest(self.evaluation, law)
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
        leaves, count, fine = self.leaves, c.word(Word.N_LAWS), c.variable(BIT(1))
        with c.counting(first, count) as law:
            most = self.library.largest(self.evaluation, law)
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
        leaves = self.leaves
        node, left = c.variable(INT(1)), c.variable(share)
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
