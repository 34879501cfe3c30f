"""A step where laws are not affine in the input: candidates at the rate of a bound, some of which fire.

The groups are drawn by their upper bounds. A second uniform number says how far up in its group's bound the
candidate lies, and it fires if that is below the propensity at its time. Most candidates lie below the lower
bound, and then the propensity need not be looked at. Exact for any bounds that hold (Lewis and Shedler,
doi:10.1002/nav.3800260304).
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir

from chemlearn.simulate.native.attention import POINTER, Scalars, lesser
from chemlearn.simulate.native.bounds import Bounds
from chemlearn.simulate.native.groups import groups_of
from chemlearn.simulate.native.laws import Plan, never_negative
from chemlearn.simulate.native.layout import Layout
from chemlearn.simulate.native.reading import Reading, alone, of_lane, only
from chemlearn.simulate.native.step import Step, running_sums, unbroken
from chemlearn.simulate.native.vectors import BIT, DOUBLE, INT

_ROUNDING = 1e-12  # relative: how far below what is sure to fire rounding may take a propensity
_FIRES, _NOTHING, _BROKEN = INT(1), INT(0), INT(2)


class ThinnedStep(Step):
    """One step of one vector of lanes along ramps that bend the laws."""

    def _draw(self) -> None:
        b, v, layout = self.b, self.v, self.layout
        waiting, choice, inner = self._draws(3)
        now, stop = self.row(layout.time), self.row(layout.stop)
        bounds = _bounds(self.reading, now)
        highs, sound = self._highs(bounds)
        sums = running_sums(b, highs)
        candidate = b.fadd(now, b.fdiv(waiting, sums[-1]))
        passed = self._passed(sums[:-1], b.fmul(choice, sums[-1]))
        chosen = self._member(passed, inner, lambda tree: bounds(tree)[1])
        certain = b.and_(sound, self._certain(bounds, highs, passed, inner))
        closed = b.or_(certain, b.fcmp_ordered(">=", candidate, stop))
        group = self._of_group(passed, 1)
        in_vain, broken = self._weighed(closed, group, lesser(b, candidate, stop), inner)
        fine = b.and_(b.fcmp_ordered("<", sums[-1], v.number(math.inf)), b.not_(broken))
        self._go_on(now, candidate, fine, b.select(in_vain, v.whole(self.nothing_fires), chosen))

    def _highs(self, bounds: Bounds) -> tuple[list[Any], Any]:
        """Upper bounds of the propensities on the piece, and whether none can be below 0."""
        b, v, plan = self.b, self.v, self.plan
        highs, zero = [], v.number(0.0)
        sound = v.truth(True)
        for g, law in enumerate(self.groups.laws):
            low, high = bounds(law)
            if g in plan.watched:  # there groups have one member each, in the order of the plan
                sound = b.and_(sound, b.fcmp_ordered(">=", low, zero))
                high = v.intrinsic("maximum", high, zero)
            highs.append(high)
        for i, species, amount in plan.short:  # may take what is not there: to be looked at
            enough = b.fcmp_ordered(">=", self.row(species), v.number(amount))
            sound = b.and_(sound, b.or_(enough, b.fcmp_ordered("<=", highs[i], zero)))
        return highs, sound

    def _certain(self, bounds: Bounds, highs: list[Any], passed: list[Any], inner: Any) -> Any:
        """Whether a candidate lies below the lower bound of its group's propensity."""
        b, groups, first = self.b, self.groups, self.groups.first_driven
        sure = b.fcmp_ordered("<", inner, self.row(self.layout.sure))
        certain = b.or_(sure, b.not_(passed[first - 1])) if first else sure
        for g in range(first, len(highs)):
            if groups.moving[g] is None:
                below = b.fcmp_ordered("<", b.fmul(inner, highs[g]), bounds(groups.laws[g])[0])
                certain = b.select(passed[g - 1], below, certain) if g else below
        return certain

    def _weighed(self, closed: Any, group: Any, due: Any, inner: Any) -> tuple[Any, Any]:
        """Which candidates do not fire, and where something is wrong, after a look at those that are open."""
        b = self.b
        bits = ir.IntType(self.width)
        before, weigh, after = b.block, b.append_basic_block("weigh"), b.append_basic_block("weighed")
        every = b.zext(b.bitcast(b.not_(closed), bits), INT)
        b.cbranch(b.icmp_unsigned("==", every, INT(0)), after, weigh)
        b.position_at_end(weigh)
        left, in_vain, broken = (b.phi(INT) for _ in range(3))
        lane = b.cttz(left, BIT(1))
        of_one = [b.extract_element(vector, lane) for vector in (group, due, inner)]
        status = b.call(self.weigh, [self.s.run, b.add(self.first, lane), *of_one])
        rest = b.and_(left, b.sub(left, INT(1)))
        bit = b.xor(left, rest)
        vain_then = b.or_(in_vain, b.select(b.icmp_signed("==", status, _NOTHING), bit, INT(0)))
        broken_then = b.or_(broken, b.select(b.icmp_signed("==", status, _BROKEN), bit, INT(0)))
        outcomes = (left, every, rest), (in_vain, INT(0), vain_then), (broken, INT(0), broken_then)
        for phi, start, then in outcomes:
            phi.add_incoming(start, before)
            phi.add_incoming(then, weigh)
        b.cbranch(b.icmp_unsigned("==", rest, INT(0)), after, weigh)
        b.position_at_end(after)
        masks = b.phi(INT), b.phi(INT)
        for mask, then in zip(masks, (vain_then, broken_then), strict=True):
            mask.add_incoming(INT(0), before)
            mask.add_incoming(then, weigh)
        vain_lanes, broken_lanes = (b.bitcast(b.trunc(mask, bits), closed.type) for mask in masks)
        return vain_lanes, broken_lanes


def _bounds(reading: Reading, now: Any) -> Bounds:
    """Least and greatest values on the piece."""
    layout, plan = reading.layout, reading.plan
    between = {}
    for j in range(len(plan.moved)):
        high = reading.row(layout.highs + j)
        between[f"T{j}"] = (reading.row(layout.lows + j) if layout.n_lows else high, high)
    return Bounds(reading.at(now), between, lambda tree: never_negative(tree, plan.negative))


def build_weigh(module: ir.Module, plan: Plan, layout: Layout) -> ir.Function:
    """``weigh(run, lane, group, due, inner)``: whether a candidate fires, by its propensity at its time."""
    groups = groups_of(plan)
    kind = ir.FunctionType(INT, [POINTER, INT, INT, DOUBLE, DOUBLE])
    function = ir.Function(module, kind, "weigh")
    run, lane, group, due, inner = function.args
    b = ir.IRBuilder(function.append_basic_block())
    s = Scalars(b, run, layout)
    reading = of_lane(plan, s, lane)
    due, inner = alone(b, due), alone(b, inner)
    v = reading.v
    if plan.watched or plan.short:
        formulas = reading.at(due)
        laws = [formulas(law) for law in groups.laws]
        right = unbroken(reading, v.truth(True), formulas, laws, v.number(0.0))
        with b.if_then(b.not_(only(b, right))):
            b.ret(_BROKEN)
    otherwise = b.append_basic_block("constant")
    choice = b.switch(group, otherwise)
    for g in range(groups.first_driven, len(groups.laws)):
        block = b.append_basic_block("group")
        choice.add_case(INT(g), block)
        b.position_at_end(block)
        law = reading.at(due)(groups.laws[g])
        low, high = _bounds(reading, due)(groups.laws[g])
        if groups.moving[g] is not None:
            low = b.fmul(b.fmul(reading.row(layout.sure), v.number(1.0 - _ROUNDING)), high)
        right = b.and_(b.fcmp_ordered(">=", law, low), b.fcmp_ordered("<=", law, high))
        fires = b.fcmp_ordered("<", b.fmul(inner, high), law)
        status = b.select(only(b, fires), _FIRES, _NOTHING)
        b.ret(b.select(only(b, right), status, _BROKEN))
    b.position_at_end(otherwise)
    b.ret(_FIRES)
    return function
