"""Interval arithmetic on rate laws, as LLVM instructions: how large can a propensity become along a ramp?

Amounts and constants are single numbers here; what depends on the input moves between its values at the two
ends of a stretch of time. Every operation returns an interval that holds all values which its arguments can
take, so the upper end is a proven bound, if not always the least one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

from chemlearn.expression import COMPARISONS, Expr, symbols
from chemlearn.simulate.native.vectors import Formulas, Vectors

Interval = tuple[Any, Any]
_RISING = ("exp", "ln", "log10", "sqrt", "floor", "ceil", "sinh", "tanh", "arcsin", "arctan")


class Bounds:
    """Ranges of prepared laws.

    Parameters
    ----------
    formulas : Formulas
        For what does not depend on the input.
    drives : mapping of str to Interval
        Least and greatest D0, D1, ...
    nonnegative : callable, optional
        Whether a tree is known to be at 0 or above, which makes products cheaper to bound.
    """

    def __init__(
        self,
        formulas: Formulas,
        drives: Mapping[str, Interval],
        nonnegative: Callable[[Expr], bool] = lambda tree: False,
    ) -> None:
        self.formulas, self.drives, self.nonnegative = formulas, drives, nonnegative
        self.v: Vectors = formulas.vectors
        self.b = self.v.builder
        self.known: dict[Expr, Interval] = {}

    def __call__(self, tree: Expr) -> Interval:
        if tree not in self.known:
            self.known[tree] = self._range(tree)
        return self.known[tree]

    def moves(self, tree: Expr) -> bool:
        """Whether the input occurs in a tree."""
        return not symbols(tree).isdisjoint(self.drives)

    def _range(self, tree: Expr) -> Interval:
        v, b, args = self.v, self.b, tree.args
        if not self.moves(tree):
            value = self.formulas(tree)
            return value, value
        match tree.op:
            case "symbol":
                return self.drives[tree.name]
            case "if":
                return self._choice(*args)
            case "^":
                return self._power(*args)
            case "sin" | "cos":
                return v.number(-1.0), v.number(1.0)
        if tree.op in (*COMPARISONS, "and", "or", "not"):
            return v.number(0.0), v.number(1.0)
        ranges = [self(a) for a in args]
        low, high = ranges[0]
        match tree.op:
            case "+":
                return b.fadd(low, ranges[1][0]), b.fadd(high, ranges[1][1])
            case "-":
                return b.fsub(low, ranges[1][1]), b.fsub(high, ranges[1][0])
            case "*" if all(map(self.nonnegative, args)):
                return b.fmul(low, ranges[1][0]), b.fmul(high, ranges[1][1])
            case "*":
                return self._hull([b.fmul(x, y) for x in (low, high) for y in ranges[1]])
            case "/":
                return self._quotient(ranges[0], ranges[1])
            case "min" | "max":
                pick = self._lesser if tree.op == "min" else self._greater
                return pick(low, ranges[1][0]), pick(high, ranges[1][1])
            case "abs" | "cosh":
                ends = [self._applied(tree.op, x) for x in (low, high)]
                return self._even(low, high, ends, 1.0 if tree.op == "cosh" else 0.0)
        if tree.op in _RISING:
            return self._applied(tree.op, low), self._applied(tree.op, high)
        if tree.op == "arccos":
            return self._applied(tree.op, high), self._applied(tree.op, low)
        return self._anything()

    def _choice(self, condition: Expr, first: Expr, second: Expr) -> Interval:
        """The branch that holds all along, or either where the input decides in between."""
        select = self.b.select
        one, other = self(first), self(second)
        always, never = self.truth(condition)
        low = select(always, one[0], select(never, other[0], self._lesser(one[0], other[0])))
        return low, select(always, one[1], select(never, other[1], self._greater(one[1], other[1])))

    def truth(self, condition: Expr) -> tuple[Any, Any]:
        """Whether a condition holds all along, and whether it never does."""
        b, args = self.b, condition.args
        if not self.moves(condition):
            holds = self.formulas.holds(condition)
            return holds, b.not_(holds)
        if condition.op == "not":
            return self.truth(args[0])[::-1]
        if condition.op in ("and", "or"):
            (always, never), (also, nor) = map(self.truth, args)
            one, all_of = (b.or_, b.and_) if condition.op == "or" else (b.and_, b.or_)
            return one(always, also), all_of(never, nor)
        if condition.op in ("<", "<=", ">", ">="):
            ranges = [self(a) for a in args]
            (low, high), (least, most) = ranges if condition.op[0] == "<" else ranges[::-1]
            relation, opposite = ("<", ">=") if len(condition.op) == 1 else ("<=", ">")
            return b.fcmp_ordered(relation, high, least), b.fcmp_ordered(opposite, low, most)
        unknown = b.fcmp_ordered("<", self.v.number(1.0), self.v.number(0.0))
        return unknown, unknown

    def _quotient(self, above: Interval, below: Interval) -> Interval:
        b, zero = self.b, self.v.number(0.0)
        low, high = self._hull([b.fdiv(x, y) for x in above for y in below])
        through = b.and_(b.fcmp_ordered("<=", below[0], zero), b.fcmp_ordered(">=", below[1], zero))
        return self._unless(through, low, high)

    def _power(self, base: Expr, exponent: Expr) -> Interval:
        b, v = self.b, self.v
        zero = v.number(0.0)
        low, high = self(base)
        negative = b.fcmp_ordered("<", low, zero)
        if self.moves(exponent):  # a^b = exp(b ln a) for a > 0
            logs = (self._applied("ln", low), self._applied("ln", high))
            first, last = self._hull([b.fmul(x, y) for x in logs for y in self(exponent)])
            nothing = b.fcmp_ordered("<=", low, zero)
            return self._unless(nothing, self._applied("exp", first), self._applied("exp", last))
        ends = [self.formulas.power(x, exponent) for x in (low, high)]
        if exponent.op == "number" and exponent.value > 0 and exponent.value % 2 == 0:
            return self._even(low, high, ends, 0.0)
        if exponent.op == "number" and exponent.value > 0 and exponent.value % 2 == 1:
            return ends[0], ends[1]
        return self._unless(negative, *self._hull(ends))  # on a base of 0 or more it only rises or only falls

    def _even(self, low: Any, high: Any, ends: list[Any], least: float) -> Interval:
        """Of a function that falls below 0 and rises above it."""
        b, zero = self.b, self.v.number(0.0)
        inside = b.and_(b.fcmp_ordered("<=", low, zero), b.fcmp_ordered(">=", high, zero))
        smallest, largest = self._hull(ends)
        return b.select(inside, self.v.number(least), smallest), largest

    def _applied(self, name: str, value: Any) -> Any:
        return self.formulas.applied(name, value)

    def _unless(self, condition: Any, low: Any, high: Any) -> Interval:
        """An interval, or all numbers."""
        everywhere = self._anything()
        return self.b.select(condition, everywhere[0], low), self.b.select(condition, everywhere[1], high)

    def _anything(self) -> Interval:
        return self.v.number(-math.inf), self.v.number(math.inf)

    def _hull(self, values: list[Any]) -> Interval:
        return reduce(self._lesser, values), reduce(self._greater, values)

    def _lesser(self, x: Any, y: Any) -> Any:
        return self.v.intrinsic("minimum", x, y)  # not a number if either is not: no bound is lost

    def _greater(self, x: Any, y: Any) -> Any:
        return self.v.intrinsic("maximum", x, y)
