"""Between which values a law stays along a stretch of time, and whether it can jump there."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

from chemlearn.expression import COMPARISONS, ONE, ZERO, Expr
from chemlearn.simulate.native.bounds import Bounds, Interval
from chemlearn.simulate.native.laws import factors

_CONDITIONS = (*COMPARISONS, "and", "or", "not")
_STEPS = ("floor", "ceil")


def can_jump(tree: Expr, *names: str) -> bool:
    """Whether a tree has a part that may jump while the named symbols move."""
    if tree.op == "if" and _reads(tree.args[0], names):
        return True
    if tree.op in (*_CONDITIONS, *_STEPS) and _reads(tree, names):
        return True
    return any(can_jump(part, *names) for part in tree.args)


def _reads(tree: Expr, names: tuple[str, ...]) -> bool:
    return tree.name in names if tree.op == "symbol" else any(_reads(part, names) for part in tree.args)


def _terms(tree: Expr) -> list[Expr]:
    """What is added up."""
    return [tree] if tree.op != "+" else [term for part in tree.args for term in _terms(part)]


class Ranges(Bounds):
    """Ranges that close in on the values themselves as the stretch becomes shorter, jumps apart.

    Those of :class:`~chemlearn.simulate.native.bounds.Bounds` are cheaper, and need not do so.
    """

    def smooth(self, tree: Expr) -> Any:
        """A bit, whether it is certain that nothing in a tree jumps."""
        if not self.moves(tree) or tree.op == "symbol":
            return self.v.truth(True)
        if tree.op == "if":
            condition, first, second = tree.args
            if not self.moves(condition):
                holds = self.formulas.holds(condition)
                return self.b.select(holds, self.smooth(first), self.smooth(second))
            always, never = self.truth(condition)
            one = self.b.and_(always, self.smooth(first))
            return self.b.or_(one, self.b.and_(never, self.smooth(second)))
        if tree.op in _CONDITIONS:
            return self.b.or_(*self.truth(tree))
        if tree.op in _STEPS:
            low, high = self(tree)
            return self.b.fcmp_ordered("==", low, high)
        return reduce(self.b.and_, map(self.smooth, tree.args))

    def _range(self, tree: Expr) -> Interval:
        if self.moves(tree):
            match tree.op:
                case "sin" | "cos":
                    return self._wave(tree)
                case "tan":
                    return self._tangent(tree)
                case "/" if (found := self._saturating(tree)) is not None:
                    return found
            if tree.op in _CONDITIONS:
                return self._indicator(tree)
        return super()._range(tree)

    def _saturating(self, tree: Expr) -> Interval | None:
        """Of a x/(c + x), as Hill or Michaelis and Menten have it: it only rises or only falls with x."""
        above, below = factors(tree)
        rising = [part for part in above if self.moves(part)]
        sums = [part for part in below if self.moves(part)]
        if len(rising) != 1 or len(sums) != 1:
            return None
        terms = _terms(sums[0])
        if [term for term in terms if self.moves(term)] != rising:
            return None
        b, zero = self.b, self.v.number(0.0)
        offset = self.formulas(reduce(Expr.__add__, [t for t in terms if t != rising[0]], ZERO))
        factor = reduce(Expr.__mul__, [part for part in above if part != rising[0]], ONE)
        factor = reduce(Expr.__truediv__, [part for part in below if part != sums[0]], factor)
        ends = self(rising[0])
        lows = [b.fadd(offset, x) for x in ends]
        shares = [b.fdiv(x, low) for x, low in zip(ends, lows, strict=True)]
        through = b.and_(b.fcmp_ordered("<=", lows[0], zero), b.fcmp_ordered(">=", lows[1], zero))
        constant = self.formulas(factor)
        return self._unless(through, *self._hull([b.fmul(constant, share) for share in shares]))

    def _wave(self, tree: Expr) -> Interval:
        """A sine or cosine changes by no more than its argument."""
        b, v = self.b, self.v
        low, high = self(tree.args[0])
        half = b.fmul(b.fsub(high, low), v.number(0.5))
        middle = self._applied(tree.op, b.fadd(low, half))
        least = self._greater(b.fsub(middle, half), v.number(-1.0))
        return least, self._lesser(b.fadd(middle, half), v.number(1.0))

    def _tangent(self, tree: Expr) -> Interval:
        """It rises from pole to pole."""
        b, v = self.b, self.v
        low, high = self(tree.args[0])
        branches = [
            v.intrinsic("floor", b.fadd(b.fmul(x, v.number(1.0 / math.pi)), v.number(0.5)))
            for x in (low, high)
        ]
        across = b.fcmp_unordered("!=", *branches)
        return self._unless(across, self._applied("tan", low), self._applied("tan", high))

    def _indicator(self, tree: Expr) -> Interval:
        """A condition that stands for 1 or 0."""
        zero, one = self.v.number(0.0), self.v.number(1.0)
        always, never = self.truth(tree)
        return self.b.select(always, one, zero), self.b.select(never, zero, one)

    def truth(self, condition: Expr) -> tuple[Any, Any]:
        if condition.op in ("==", "!=") and self.moves(condition):
            b = self.b
            (low, high), (least, most) = (self(a) for a in condition.args)
            apart = b.or_(b.fcmp_ordered("<", high, least), b.fcmp_ordered(">", low, most))
            same = b.and_(b.fcmp_ordered(">=", low, most), b.fcmp_ordered("<=", high, least))
            return (same, apart) if condition.op == "==" else (apart, same)
        return super().truth(condition)
