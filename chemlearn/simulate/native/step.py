"""One step of a vector of lanes: when something fires, what, and what it changes.

All propensities and their running sums; an exponential waiting time; the choice of a reaction by counting the
running sums that a uniform number exceeds; and the changes that it makes, lane by lane from a table. Nothing
in it branches on what a lane does, but for lanes whose next instant of attention comes before their next
firing.

Along a ramp the propensities are affine in time, so the hazard that a waiting time τ uses up is Pτ + Qτ²/2,
with P the total propensity and Q its slope. Setting it equal to an exponential variate E gives τ = 2E/(P +
√(P² + 2QE)), the root that stays finite as Q → 0 and holds for P = 0. Where the root is not real the hazard
falls to 0 before E is used up, and nothing fires before the ramp ends. The reaction is chosen by the
propensities at t + τ. Where a law is not affine in the input, the step is that of ``thinning``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from chemlearn.expression import ZERO, Expr
from chemlearn.simulate.native.attention import Scalars, lesser
from chemlearn.simulate.native.changes import (
    all_changes,
    changed_together,
    most_changes,
    nothing_fires,
    stride,
)
from chemlearn.simulate.native.groups import groups_of
from chemlearn.simulate.native.laws import Plan
from chemlearn.simulate.native.layout import LANES, LOG_ROWS, Word
from chemlearn.simulate.native.reading import Reading
from chemlearn.simulate.native.vectors import BIT, DOUBLE, INT, Formulas, Vectors

_ROUNDING = 1e-9  # how far below 0, of the total, rounding may take a propensity at the end of a ramp


class Step:
    """One step of one vector of lanes, from ``first`` on."""

    def __init__(
        self,
        scalars: Scalars,
        plan: Plan,
        first: Any,
        width: int,
        constants: Any,
        table: Any,
        attend: ir.Function,
        weigh: ir.Function | None = None,
    ) -> None:
        self.s, self.plan, self.first = scalars, plan, first
        self.constants, self.table, self.attend, self.weigh = constants, table, attend, weigh
        self.groups = groups_of(plan)
        self.nothing_fires = nothing_fires(plan)
        self.layout, self.b = scalars.layout, scalars.builder
        self.width = width
        self.v = Vectors(self.b, width)
        self.reading = Reading(plan, self.layout, self.v, self.row, self._constant)

    def row(self, number: int, kind: Any = None) -> Any:
        return self.b.load(self.s.cell(number, self.first), align=8 * self.width, typ=kind or self.v.doubles)

    def set_row(self, number: int, value: Any) -> None:
        self.b.store(value, self.s.cell(number, self.first), align=8 * self.width)

    def build(self) -> None:
        self._draw()
        if self.plan.logged:
            self._log()
        self._fire()

    def _draw(self) -> None:
        """The waiting time from the integrated hazard, which is known in closed form."""
        b, v, layout, groups = self.b, self.v, self.layout, self.groups
        waiting, choice, *further = self._draws(2 + (groups.size > 1))
        now = self.row(layout.time)
        formulas = self._formulas(now)
        laws = [formulas(law) for law in groups.laws]
        sums = running_sums(b, laws) or [v.number(0.0)]
        slopes = {g: formulas(tree) for g, tree in enumerate(groups.slopes) if g >= groups.first_driven}
        total = sums[-1]
        if slopes:
            rises = dict(zip(slopes, running_sums(b, list(slopes.values())), strict=True))
            after = self._wait_on_ramp(waiting, total, rises[len(laws) - 1])
            for g, rise in rises.items():
                sums[g] = b.fadd(sums[g], b.fmul(after, rise))
        else:
            after = b.fdiv(waiting, total)
        due = b.fadd(now, after)
        fine = b.fcmp_ordered("<", sums[-1], v.number(math.inf))  # an infinite total would stop the clock
        if slopes:  # where no firing comes before the knot its propensities do not matter
            fine = b.or_(fine, b.fcmp_ordered("==", after, v.number(math.inf)))
        fine = self._unbroken(fine, formulas, laws, slopes, after, total)
        passed = self._passed(sums[:-1], b.fmul(choice, sums[-1]))
        chosen = self._member(passed, further[0], self._formulas(due)) if further else self._first_of(passed)
        self._go_on(now, due, fine, chosen)

    def _log(self) -> None:
        """Write down when what fires, in which trajectory; 3 rows of all lanes for every sweep."""
        b, s = self.b, self.s
        sweep = b.sub(s.word(Word.SWEEPS), s.word(Word.LOG_START))
        place = b.add(b.mul(sweep, INT(LOG_ROWS * LANES)), self.first)
        log = s.address(Word.LOG)
        for i, row in enumerate((self.layout.time, self.layout.chosen, self.layout.trajectory)):
            b.store(self.row(row, self.v.ints), s.at(log, b.add(place, INT(i * LANES))), align=8 * self.width)

    def _go_on(self, now: Any, due: Any, fine: Any, chosen: Any) -> None:
        """Note what fires when, and serve the lanes for which that is not all."""
        b, v, layout = self.b, self.v, self.layout
        # a time below 0 marks a lane that cannot go on, and tells when
        self.set_row(layout.time, b.select(fine, due, b.fsub(v.number(-1.0), now)))
        self.set_row(layout.chosen, chosen)
        late = b.fcmp_unordered(">=", due, self.row(layout.attention))
        if not self.plan.integrated:
            self._attend(b.or_(late, b.not_(fine)))
            return
        made = self.reading.integrals(now, lesser(b, due, self.row(layout.stop)))
        self.set_row(layout.since, now)  # outputs before the firing complete the integrals for themselves
        self._attend(b.or_(late, b.not_(fine)))
        for number, value in zip(self.plan.order, made, strict=True):
            row = layout.integrated + number
            self.set_row(row, b.fadd(self.row(row), value))

    def _formulas(self, time: Any) -> Formulas:
        """The laws at a time."""
        return self.reading.at(time)

    def _constant(self, i: int) -> Any:
        return self.v.spread(self.b.load(self.s.at(self.constants, INT(i)), typ=DOUBLE))

    def _draws(self, count: int) -> list[Any]:
        """An exponential variate of mean 1, then uniform ones in [0, 1)."""
        state = [self.row(self.layout.stream + i, self.v.ints) for i in range(4)]
        words = []
        for _ in range(count):
            word, state = self.v.xoshiro(state)
            words.append(word)
        for i, word in enumerate(state):
            self.set_row(self.layout.stream + i, word)
        return [self.v.exponential(words[0]), *map(self.v.fraction, words[1:])]

    def _wait_on_ramp(self, waiting: Any, total: Any, rise: Any) -> Any:
        """2E/(P + √(P² + 2QE)); infinite where the hazard falls to 0 before."""
        b, v = self.b, self.v
        twice = b.fadd(waiting, waiting)
        under = b.fadd(b.fmul(total, total), b.fmul(rise, twice))
        root = b.fadd(total, v.intrinsic("sqrt", under))
        after = b.fdiv(twice, root)
        return b.select(b.fcmp_ordered("<", under, v.number(0.0)), v.number(math.inf), after)

    def _unbroken(
        self, fine: Any, formulas: Formulas, laws: list[Any], slopes: dict[int, Any], after: Any, total: Any
    ) -> Any:
        """Without the lanes where a propensity is negative, or more would be taken than there is."""
        b, v = self.b, self.v
        least = b.fmul(total, v.number(-_ROUNDING if self.plan.ramped else 0.0))
        fine = unbroken(self.reading, fine, formulas, laws, least)
        for i in sorted(self.plan.watched):
            if i in slopes and self.plan.slopes[i] != ZERO:
                later = b.fadd(laws[i], b.fmul(self._within_piece(after), slopes[i]))
                fine = b.and_(fine, b.fcmp_ordered(">=", later, least))
        return fine

    def _within_piece(self, after: Any) -> Any:
        """A waiting time, or what is left of the straight piece of the signal where that is less."""
        left = self.b.fsub(self.row(self.layout.stop), self.row(self.layout.time))
        return lesser(self.b, after, left)

    def _passed(self, sums: list[Any], share: Any) -> list[Any]:
        """Which running sums a share of the total has passed: it lies in the group after the last of these.

        A reaction with propensity 0 adds nothing to the sum and is never chosen.
        """
        return [self.b.fcmp_ordered("<=", value, share) for value in sums]

    def _of_group(self, passed: list[Any], step: int) -> Any:
        """The number of the group that is chosen, times a step."""
        number = self.v.whole(0)
        for g, truth in enumerate(passed, start=1):
            number = self.b.select(truth, self.v.whole(step * g), number)
        return number

    def _first_of(self, passed: list[Any]) -> Any:
        """Offset of the first member of the group that is chosen."""
        return self._of_group(passed, self.groups.size * stride(self.plan))

    def _member(self, passed: list[Any], share: Any, factor: Callable[[Expr], Any]) -> Any:
        """Offset of the member that fires: what a share of 1, or of a moving group's factor, falls on."""
        b, v, groups = self.b, self.v, self.groups
        chosen = self._first_of(passed)
        if groups.size == 1:
            return chosen
        many, behind = len(groups.laws), self.plan.n_constants
        scale: Any = v.number(1.0)
        for g, moving in enumerate(groups.moving):
            value = v.number(1.0) if moving is None else factor(moving)
            if g == 0:
                scale = value
            elif moving is not None or groups.moving[g - 1] is not None:
                scale = b.select(passed[g - 1], value, scale)
        if any(moving is not None for moving in groups.moving):
            share = b.fmul(share, scale)
        for j in range(groups.size - 1):
            row = behind + (1 + j) * many
            threshold = self._constant(row)
            for g, truth in enumerate(passed, start=1):
                threshold = b.select(truth, self._constant(row + g), threshold)
            further = b.add(chosen, v.whole(stride(self.plan)))
            chosen = b.select(b.fcmp_ordered("<=", threshold, share), further, chosen)
        return chosen

    def _attend(self, due: Any) -> None:
        """Serve every lane whose bit is set, and does not only fire."""
        b = self.b
        before = b.block
        each, after = b.append_basic_block("attend"), b.append_basic_block("fire")
        # lanes past the last one in use step along, unheard
        used = b.sub(self.s.word(Word.ACTIVE), self.first)
        all_used = b.icmp_signed(">=", used, INT(self.width))
        in_use = b.select(all_used, INT(-1), b.sub(b.shl(INT(1), used), INT(1)))
        wide = b.and_(b.zext(b.bitcast(due, ir.IntType(self.width)), INT), in_use)
        b.cbranch(b.icmp_unsigned("==", wide, INT(0)), after, each)
        b.position_at_end(each)
        left = b.phi(INT)
        left.add_incoming(wide, before)
        lane = b.cttz(left, BIT(1))
        b.call(self.attend, [self.s.run, b.add(self.first, lane)])
        rest = b.and_(left, b.sub(left, INT(1)))
        left.add_incoming(rest, b.block)
        b.cbranch(b.icmp_unsigned("==", rest, INT(0)), after, each)
        b.position_at_end(after)

    def _fire(self) -> None:
        """Change the amounts of every lane by the reaction that was chosen for it."""
        if changed_together(self.plan):
            self._fire_all()
        else:
            self._fire_each()

    def _fire_all(self) -> None:
        """All lanes at once, reaction by reaction."""
        b, v = self.b, self.v
        chosen = self.row(self.layout.chosen, v.ints)
        rows: dict[int, Any] = {}
        for place, changes in enumerate(all_changes(self.plan)):
            fires = b.icmp_signed("==", chosen, v.whole(place * stride(self.plan)))
            for number, change in changes:
                before = rows.get(number) or self.row(number)
                rows[number] = b.select(fires, b.fadd(before, v.number(change)), before)
        for number, value in rows.items():
            self.set_row(number, value)

    def _fire_each(self) -> None:
        """Lane by lane, from the table of changes."""
        b, s = self.b, self.s
        for k in range(self.width):
            lane = b.add(self.first, INT(k))
            entry = s.at(self.table, s.get(self.layout.chosen, lane, INT))
            for c in range(most_changes(self.plan)):
                offset = b.load(s.at(entry, INT(2 * c)), typ=INT)
                change = b.load(s.at(entry, INT(2 * c + 1)), typ=DOUBLE)
                target = s.at(s.state, b.add(offset, lane))
                b.store(b.fadd(b.load(target, typ=DOUBLE), change), target)


def unbroken(reading: Reading, fine: Any, formulas: Formulas, laws: list[Any], least: Any) -> Any:
    """Without the lanes where a propensity is below the least, or more would be taken than there is.

    ``laws`` are in the order of the plan: where something has to be watched there are no groups of several.
    """
    b, v, plan = reading.b, reading.v, reading.plan
    for i in sorted(plan.watched):
        fine = b.and_(fine, b.fcmp_ordered(">=", laws[i], least))
    for i, species, amount in plan.short:
        enough = b.fcmp_ordered(">=", reading.row(species), v.number(amount))
        fine = b.and_(fine, b.or_(enough, b.fcmp_ordered("<=", laws[i], v.number(0.0))))
    return fine


def running_sums(b: ir.IRBuilder, values: list[Any]) -> list[Any]:
    """Of vectors, from the first to each."""
    sums = values[:1]
    for value in values[1:]:
        sums.append(b.fadd(sums[-1], value))
    return sums
