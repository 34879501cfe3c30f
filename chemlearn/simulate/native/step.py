"""One step of a vector of lanes: when something fires, what, and what it changes.

All propensities and their running sums; an exponential waiting time; the choice of a reaction by counting the
running sums that a uniform number exceeds; and the changes that it makes, lane by lane from a table. Nothing
in it branches on what a lane does, but for lanes whose next instant of attention comes before their next
firing.

Along a ramp the propensities are affine in time, so the hazard that a waiting time τ uses up is Pτ + Qτ²/2,
with P the total propensity and Q its slope. Setting it equal to an exponential variate E gives τ = 2E/(P +
√(P² + 2QE)), the root that stays finite as Q → 0 and holds for P = 0. Where the root is not real the hazard
falls to 0 before E is used up, and nothing fires before the ramp ends. The reaction is chosen by the
propensities at t + τ. Where a law is not affine in the input, candidates come at the rate of a proven bound,
and some of them fire.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir

from chemlearn.expression import ZERO, Expr
from chemlearn.simulate.native.attention import Scalars, lesser
from chemlearn.simulate.native.bounds import Bounds
from chemlearn.simulate.native.changes import most_changes, nothing_fires, stride
from chemlearn.simulate.native.groups import Groups, groups_of
from chemlearn.simulate.native.laws import Plan, never_negative
from chemlearn.simulate.native.layout import LANES, LOG_ROWS, Word
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
    ) -> None:
        self.s, self.plan, self.first = scalars, plan, first
        self.constants, self.table, self.attend = constants, table, attend
        self.nothing_fires = nothing_fires(plan)
        self.layout, self.b = scalars.layout, scalars.builder
        self.width = width
        self.v = Vectors(self.b, width)

    def row(self, number: int, kind: Any = None) -> Any:
        return self.b.load(self.s.cell(number, self.first), align=8 * self.width, typ=kind or self.v.doubles)

    def set_row(self, number: int, value: Any) -> None:
        self.b.store(value, self.s.cell(number, self.first), align=8 * self.width)

    def build(self) -> None:
        if self.plan.thinned:
            self._thin()
        elif (groups := groups_of(self.plan)) is not None:
            self._draw_of(groups)
        else:
            self._draw()
        if self.plan.logged:
            self._log()
        self._fire()

    def _draw(self) -> None:
        """The waiting time from the integrated hazard, which is known in closed form."""
        b, v, layout, plan = self.b, self.v, self.layout, self.plan
        waiting, choice = self._draws(2)
        now = self.row(layout.time)
        formulas = self._formulas(now)
        laws = [formulas(law) for law in plan.laws]
        sums = _running_sums(b, laws) or [v.number(0.0)]
        slopes = {i: formulas(tree) for i, tree in enumerate(plan.slopes) if i >= plan.first_driven}
        if plan.integrated:
            self._integrate(now, laws, slopes)
        total = sums[-1]
        if slopes:
            rises = dict(zip(slopes, _running_sums(b, list(slopes.values())), strict=True))
            after = self._wait_on_ramp(waiting, total, rises[len(laws) - 1])
            for i, rise in rises.items():
                sums[i] = b.fadd(sums[i], b.fmul(after, rise))
        else:
            after = b.fdiv(waiting, total)
        due = b.fadd(now, after)
        fine = b.fcmp_ordered("<", sums[-1], v.number(math.inf))  # an infinite total would stop the clock
        if slopes:  # where no firing comes before the knot its propensities do not matter
            fine = b.or_(fine, b.fcmp_ordered("==", after, v.number(math.inf)))
        fine = self._unbroken(fine, formulas, laws, slopes, after, total)
        share = b.fmul(choice, sums[-1])
        self._go_on(now, due, fine, self._chosen(sums[:-1], share))

    def _draw_of(self, groups: Groups) -> None:
        """The same for groups of reactions with constant propensities: first the group, then its member."""
        b, v, layout, plan = self.b, self.v, self.layout, self.plan
        waiting, choice, inner = self._draws(3)
        now = self.row(layout.time)
        formulas = self._formulas(now)
        if plan.integrated:
            self._integrate(now, [formulas(law) for law in plan.laws], {})
        behind, many = plan.n_constants, len(groups.terms)
        totals = [b.fmul(self._constant(behind + g), formulas(term)) for g, term in enumerate(groups.terms)]
        sums = _running_sums(b, totals)
        due = b.fadd(now, b.fdiv(waiting, sums[-1]))
        share = b.fmul(choice, sums[-1])
        chosen = v.whole(0)
        thresholds = [self._constant(behind + (1 + j) * many) for j in range(groups.size - 1)]
        for g, value in enumerate(sums[:-1]):
            passed = b.fcmp_ordered("<=", value, share)
            chosen = b.select(passed, b.add(chosen, v.whole(stride(plan) * groups.size)), chosen)
            for j, before in enumerate(thresholds):
                threshold = self._constant(behind + (1 + j) * many + g + 1)
                thresholds[j] = b.select(passed, threshold, before)
        for threshold in thresholds:
            passed = b.fcmp_ordered("<=", threshold, inner)
            chosen = b.select(passed, b.add(chosen, v.whole(stride(plan))), chosen)
        self._go_on(now, due, b.fcmp_ordered("<", sums[-1], v.number(math.inf)), chosen)

    def _integrate(self, now: Any, laws: list[Any], slopes: dict[int, Any]) -> None:
        """Add what the propensities of the last step make until now, and note the new ones.

        They are affine in between, and the lane may have been stopped before its firing was due.
        """
        b, layout = self.b, self.layout
        lapse = b.fsub(now, self.row(layout.since))
        half = b.fmul(b.fmul(lapse, lapse), self.v.number(0.5))
        for i, number in enumerate(self.plan.order):
            rise = b.fmul(self.row(layout.rises + number), half)
            added = b.fadd(b.fmul(self.row(layout.propensities + number), lapse), rise)
            self.set_row(layout.integrated + number, b.fadd(self.row(layout.integrated + number), added))
            self.set_row(layout.propensities + number, laws[i])
            self.set_row(layout.rises + number, slopes.get(i, self.v.number(0.0)))
        self.set_row(layout.since, now)

    def _log(self) -> None:
        """Write down when what fires, in which trajectory; 3 rows of all lanes for every sweep."""
        b, s = self.b, self.s
        sweep = b.sub(s.word(Word.SWEEPS), s.word(Word.LOG_START))
        place = b.add(b.mul(sweep, INT(LOG_ROWS * LANES)), self.first)
        log = s.address(Word.LOG)
        for i, row in enumerate((self.layout.time, self.layout.chosen, self.layout.trajectory)):
            b.store(self.row(row, self.v.ints), s.at(log, b.add(place, INT(i * LANES))), align=8 * self.width)

    def _thin(self) -> None:
        """Thinning: candidates at the rate of a bound that holds to the end of the piece; some of them fire.

        A candidate falls on the lower bounds of the propensities, and then fires for certain, or on what lies
        between the bounds. Only there the propensities at its time are needed: the candidate then falls on
        what they have above their lower bounds, or on nothing. Exact for any bounds that hold.
        """
        b, v, layout = self.b, self.v, self.layout
        waiting, choice = self._draws(2)
        now, stop = self.row(layout.time), self.row(layout.stop)
        lows, highs, sound = self._ranges(now)
        bound = _running_sums(b, highs)[-1]
        candidate = b.fadd(now, b.fdiv(waiting, bound))
        share = b.fmul(choice, bound)
        sums = _running_sums(b, lows)
        chosen = self._chosen(sums[:-1], share)
        certain = b.and_(sound, b.fcmp_ordered("<", share, sums[-1]))
        beyond = b.fcmp_ordered(">=", candidate, stop)
        fine = b.fcmp_ordered("<", bound, v.number(math.inf))
        fine, chosen = self._weighed(
            b.or_(certain, beyond),
            fine,
            chosen,
            lesser(b, candidate, stop),
            b.fsub(share, sums[-1]),
            lows,
            highs,
        )
        self._go_on(now, candidate, fine, chosen)

    def _ranges(self, now: Any) -> tuple[list[Any], list[Any], Any]:
        """Bounds of the propensities on the piece, at least 0, and whether none had to be lifted to that."""
        b, v, layout, plan = self.b, self.v, self.layout, self.plan
        between = {
            f"T{j}": (self.row(layout.lows + j), self.row(layout.highs + j)) for j in range(len(plan.moved))
        }
        bounds = Bounds(self._formulas(now), between, lambda tree: never_negative(tree, plan.negative))
        lows, highs, zero = [], [], v.number(0.0)
        sound = v.truth(True)
        for i, law in enumerate(plan.laws):
            low, high = bounds(law)
            if i in plan.watched:
                sound = b.and_(sound, b.fcmp_ordered(">=", low, zero))
                low, high = v.intrinsic("maximum", low, zero), v.intrinsic("maximum", high, zero)
            lows.append(low)
            highs.append(high)
        for i, species, amount in plan.short:  # may take what is not there: to be looked at
            enough = b.fcmp_ordered(">=", self.row(species), v.number(amount))
            sound = b.and_(sound, b.or_(enough, b.fcmp_ordered("<=", highs[i], zero)))
        return lows, highs, sound

    def _weighed(
        self, certain: Any, fine: Any, chosen: Any, due: Any, share: Any, lows: list[Any], highs: list[Any]
    ) -> tuple[Any, Any]:
        """Whether all is well, and what fires, after looking at the propensities where that is needed."""
        b, v, plan = self.b, self.v, self.plan
        before = b.block
        weigh, after = b.append_basic_block("weigh"), b.append_basic_block("weighed")
        open_lanes = b.icmp_unsigned(
            "!=", b.bitcast(b.not_(certain), ir.IntType(self.width)), ir.IntType(self.width)(0)
        )
        b.cbranch(open_lanes, weigh, after)
        b.position_at_end(weigh)
        formulas = self._formulas(due)
        laws = [formulas(law) for law in plan.laws]
        first = plan.first_driven
        gaps = [b.fsub(law, low) for law, low in zip(laws[first:], lows[first:], strict=True)]
        sums = _running_sums(b, gaps) or [v.number(0.0)]
        fires = b.fcmp_ordered("<", share, sums[-1])
        late = b.add(self._chosen(sums[:-1], share), v.whole(first * stride(plan)))
        late = b.select(fires, late, v.whole(self.nothing_fires))
        late = b.select(b.fcmp_ordered("<", share, v.number(0.0)), chosen, late)
        right = self._unbroken(fine, formulas, laws, {}, due, v.number(0.0))
        for law, low, high in zip(laws[first:], lows[first:], highs[first:], strict=True):
            inside = b.and_(b.fcmp_ordered(">=", law, low), b.fcmp_ordered("<=", law, high))
            right = b.and_(right, inside)
        weighed = b.select(certain, chosen, late), b.select(certain, fine, right)
        end = b.block
        b.branch(after)
        b.position_at_end(after)
        results = []
        for plain, new in zip((chosen, fine), weighed, strict=True):
            phi = b.phi(new.type)
            phi.add_incoming(plain, before)
            phi.add_incoming(new, end)
            results.append(phi)
        return results[1], results[0]

    def _go_on(self, now: Any, due: Any, fine: Any, chosen: Any) -> None:
        """Note what fires when, and serve the lanes for which that is not all."""
        b, v, layout = self.b, self.v, self.layout
        # a time below 0 marks a lane that cannot go on, and tells when
        self.set_row(layout.time, b.select(fine, due, b.fsub(v.number(-1.0), now)))
        self.set_row(layout.chosen, chosen)
        late = b.fcmp_unordered(">=", due, self.row(layout.attention))
        self._attend(b.or_(late, b.not_(fine)))

    def _formulas(self, time: Any) -> Formulas:
        """The laws at a time."""
        return Formulas(self.v, self._names(time))

    def _names(self, now: Any) -> dict[str, Callable[[], Any]]:
        """How the symbols of prepared laws are read."""
        plan, layout = self.plan, self.layout
        names: dict[str, Callable[[], Any]] = {}
        for i in range(plan.n_species):
            names[f"X{i}"] = partial(self.row, i)
        for i in range(plan.n_constants):
            names[f"K{i}"] = partial(self._constant, i)
        for j in range(plan.n_drives):
            names[f"D{j}"] = partial(self._drive, j, now)
            names[f"G{j}"] = partial(self.row, layout.slopes + j)
        for j, tree in enumerate(plan.moved):
            names[f"T{j}"] = partial(self._moved, tree, now)
        return names

    def _moved(self, tree: Expr, now: Any) -> Any:
        """What the input makes of itself, now."""
        return self._formulas(now)(tree)

    def _constant(self, i: int) -> Any:
        return self.v.spread(self.b.load(self.s.at(self.constants, INT(i)), typ=DOUBLE))

    def _drive(self, j: int, now: Any) -> Any:
        """What depends on the input, now."""
        start = self.row(self.layout.drives + j)
        if not self.plan.ramped:
            return start
        since = self.b.fsub(now, self.row(self.layout.start))
        return self.b.fadd(start, self.b.fmul(self.row(self.layout.slopes + j), since))

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
        for i in sorted(self.plan.watched):
            fine = b.and_(fine, b.fcmp_ordered(">=", laws[i], least))
            if i in slopes and self.plan.slopes[i] != ZERO:
                later = b.fadd(laws[i], b.fmul(self._within_piece(after), slopes[i]))
                fine = b.and_(fine, b.fcmp_ordered(">=", later, least))
        for i, species, amount in self.plan.short:
            enough = b.fcmp_ordered(">=", formulas.names[f"X{species}"](), v.number(amount))
            fine = b.and_(fine, b.or_(enough, b.fcmp_ordered("<=", laws[i], v.number(0.0))))
        return fine

    def _within_piece(self, after: Any) -> Any:
        """A waiting time, or what is left of the straight piece of the signal where that is less."""
        left = self.b.fsub(self.row(self.layout.stop), self.row(self.layout.time))
        return lesser(self.b, after, left)

    def _chosen(self, sums: list[Any], share: Any) -> Any:
        """Offset in the table of the first reaction whose running sum exceeds a share of the total.

        A reaction with propensity 0 adds nothing to the sum and is never chosen.
        """
        b, v = self.b, self.v
        chosen = v.whole(0)
        for value in sums:
            passed = b.fcmp_ordered("<=", value, share)
            chosen = b.select(passed, b.add(chosen, v.whole(stride(self.plan))), chosen)
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
        b, s = self.b, self.s
        for k in range(self.width):
            lane = b.add(self.first, INT(k))
            entry = s.at(self.table, s.get(self.layout.chosen, lane, INT))
            for c in range(most_changes(self.plan)):
                offset = b.load(s.at(entry, INT(2 * c)), typ=INT)
                change = b.load(s.at(entry, INT(2 * c + 1)), typ=DOUBLE)
                target = s.at(s.state, b.add(offset, lane))
                b.store(b.fadd(b.load(target, typ=DOUBLE), change), target)


def _running_sums(b: ir.IRBuilder, values: list[Any]) -> list[Any]:
    sums = values[:1]
    for value in values[1:]:
        sums.append(b.fadd(sums[-1], value))
    return sums
