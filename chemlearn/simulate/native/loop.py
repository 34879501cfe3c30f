"""The hot loop: Gillespie's direct method in lock-step lanes, as one LLVM function per plan.

One step of a vector of lanes: all propensities and their running sums; an exponential waiting time; the
choice of a reaction by counting the running sums that a uniform number exceeds; and the changes that it
makes, lane by lane from a table. Nothing in it branches on what a lane does, but for lanes whose next instant
of attention comes before their next firing.

Along a ramp the propensities are affine in time, so the hazard that a waiting time τ uses up is Pτ + Qτ²/2,
with P the total propensity and Q its slope. Setting it equal to an exponential variate E gives τ = 2E/(P +
√(P² + 2QE)), the root that stays finite as Q → 0 and holds for P = 0. Where the root is not real the hazard
falls to 0 before E is used up, and nothing fires before the ramp ends. The reaction is chosen by the
propensities at t + τ.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir

from chemlearn.expression import ZERO
from chemlearn.simulate.native.attention import POINTER, Scalars, build_attend, build_tidy, lesser
from chemlearn.simulate.native.bounds import Bounds
from chemlearn.simulate.native.laws import Plan
from chemlearn.simulate.native.layout import LANES, LOG_ROWS, Layout, Word
from chemlearn.simulate.native.vectors import BIT, DOUBLE, INT, Formulas, Vectors

WIDTH = 16  # lanes in one vector: two registers of 512 bits side by side hide each other's latencies
_ROUNDING = 1e-9  # how far below 0, of the total, rounding may take a propensity at the end of a ramp


def layout_of(plan: Plan) -> Layout:
    counted = len(plan.order) if plan.counted else 0
    integrated = len(plan.order) if plan.integrated else 0
    return Layout(plan.n_species, plan.n_drives, counted, integrated, plan.ramped, plan.thinned)


def build_module(plan: Plan) -> ir.Module:
    """``run(words)``: steps until nothing is left, something failed, or sweep ``Word.END`` is reached."""
    module = ir.Module(name="native")
    layout = layout_of(plan)
    table = _change_table(module, plan, layout)
    attend = build_attend(module, layout, nothing_fires(plan))
    tidy = build_tidy(module, layout)
    _build_run(module, plan, layout, table, attend, tidy)
    return module


def _changes(plan: Plan) -> list[tuple[tuple[int, float], ...]]:
    """Rows and changes by one firing of each reaction: amounts, and the number of its firings."""
    counters = [
        ((layout_of(plan).counted + number, 1.0),) if plan.counted else ()
        for number in (plan.order or range(len(plan.changes)))
    ]
    return [(*changes, *counter) for changes, counter in zip(plan.changes, counters, strict=True)]


def _most_changes(plan: Plan) -> int:
    return max(1, *(len(c) for c in _changes(plan))) if plan.changes else 1


def stride(plan: Plan) -> int:
    """Words of one reaction in the table of changes."""
    return 2 * _most_changes(plan)


def nothing_fires(plan: Plan) -> int:
    """Offset of the entry of the table that changes nothing."""
    return len(plan.changes) * stride(plan)


def _change_table(module: ir.Module, plan: Plan, layout: Layout) -> ir.GlobalVariable:
    """Row and change of every species, padded to the largest reaction; at the end one without change."""
    words: list[ir.Constant] = []
    for changes in (*_changes(plan), ()):
        padded = [*changes, *[(layout.nothing, 0.0)] * (_most_changes(plan) - len(changes))]
        for species, change in padded:
            words += [INT(species * LANES), DOUBLE(change).bitcast(INT)]
    kind = ir.ArrayType(INT, len(words))
    table = ir.GlobalVariable(module, kind, "changes")
    table.linkage, table.global_constant = "internal", True
    table.initializer = ir.Constant(kind, words)
    return table


def _build_run(
    module: ir.Module, plan: Plan, layout: Layout, table: Any, attend: ir.Function, tidy: ir.Function
) -> None:
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER]), "run")
    (run,) = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    s = Scalars(b, run, layout)
    constants = s.address(Word.CONSTANTS)
    sweep, tidying, check, done = (b.append_basic_block(n) for n in ("sweep", "tidying", "check", "done"))
    b.branch(tidying)

    b.position_at_end(tidying)
    b.call(tidy, [run])
    b.branch(check)

    b.position_at_end(check)
    over = b.icmp_signed(">=", s.word(Word.SWEEPS), s.word(Word.END))
    empty = b.icmp_signed("==", s.word(Word.ACTIVE), INT(0))
    failed = b.icmp_signed("!=", s.word(Word.FAILED), INT(0))
    b.cbranch(b.or_(over, b.or_(empty, failed)), done, sweep)

    b.position_at_end(sweep)
    count = b.udiv(b.add(s.word(Word.ACTIVE), INT(WIDTH - 1)), INT(WIDTH))
    with s.counting(count) as number:
        _Step(s, plan, b.mul(number, INT(WIDTH)), constants, table, attend).build()
    s.set_word(Word.SWEEPS, b.add(s.word(Word.SWEEPS), INT(1)))
    failed = b.icmp_signed("!=", s.word(Word.FAILED), INT(0))
    idle = b.icmp_signed("!=", s.word(Word.IDLE), INT(0))
    b.cbranch(b.and_(idle, b.not_(failed)), tidying, check)  # what has failed stays where it is

    b.position_at_end(done)
    b.ret_void()


class _Step:
    """One step of one vector of lanes, from ``first`` on."""

    def __init__(
        self, scalars: Scalars, plan: Plan, first: Any, constants: Any, table: Any, attend: ir.Function
    ) -> None:
        self.s, self.plan, self.first = scalars, plan, first
        self.constants, self.table, self.attend = constants, table, attend
        self.nothing_fires = nothing_fires(plan)
        self.layout, self.b = scalars.layout, scalars.builder
        self.v = Vectors(self.b, WIDTH)

    def row(self, number: int, kind: Any = None) -> Any:
        return self.b.load(self.s.cell(number, self.first), align=8 * WIDTH, typ=kind or self.v.doubles)

    def set_row(self, number: int, value: Any) -> None:
        self.b.store(value, self.s.cell(number, self.first), align=8 * WIDTH)

    def build(self) -> None:
        if self.plan.thinned:
            self._thin()
        else:
            self._draw()
        if self.plan.logged:
            self._log()
        self._fire()

    def _draw(self) -> None:
        """The waiting time from the integrated hazard, which is known in closed form."""
        b, v, layout, plan = self.b, self.v, self.layout, self.plan
        waiting, choice = self._draws()
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
            b.store(self.row(row, self.v.ints), s.at(log, b.add(place, INT(i * LANES))), align=8 * WIDTH)

    def _thin(self) -> None:
        """Thinning: candidates at the rate of a bound that holds to the end of a window; some of them fire.

        A candidate falls on one of the propensities at its time in proportion to it, or on what the bound has
        above their total, and then nothing fires. Without a candidate in the window a new one begins at its
        end. A window is halved where nothing fires at a candidate and doubled where none comes, so that the
        bound is close and yet few windows are empty; the method is exact for any windows chosen by the past.
        """
        b, v, layout, plan = self.b, self.v, self.layout, self.plan
        waiting, choice = self._draws()
        now, window, stop = (self.row(r) for r in (layout.time, layout.window, layout.stop))
        end = lesser(b, b.fadd(now, window), stop)
        bound = self._bound(now, end)
        candidate = b.fadd(now, b.fdiv(waiting, bound))
        within = b.fcmp_ordered("<=", candidate, end)
        due = b.select(within, candidate, end)
        formulas = self._formulas(due)
        laws = [formulas(law) for law in plan.laws]
        sums = _running_sums(b, laws)
        share = b.fmul(choice, bound)
        fires = b.and_(within, b.fcmp_ordered("<", share, sums[-1]))
        chosen = b.select(fires, self._chosen(sums[:-1], share), v.whole(self.nothing_fires))
        length = b.fsub(end, now)
        longer = b.select(b.fcmp_ordered("<", end, stop), b.fadd(window, window), window)
        shorter = b.select(fires, window, b.fmul(length, v.number(0.5)))
        self.set_row(layout.window, b.select(within, shorter, longer))
        fine = b.fcmp_ordered("<", bound, v.number(math.inf))
        fine = b.and_(fine, b.fcmp_ordered("<=", sums[-1], bound))
        self._go_on(now, due, self._unbroken(fine, formulas, laws, {}, due, bound), chosen)

    def _bound(self, now: Any, end: Any) -> Any:
        """What the total propensity cannot exceed between two times, the amounts as they are."""
        b, v = self.b, self.v
        drives = {}
        for j in range(self.plan.n_drives):
            ends = self._drive(j, now), self._drive(j, end)
            drives[f"D{j}"] = v.intrinsic("minimum", *ends), v.intrinsic("maximum", *ends)
        bounds = Bounds(self._formulas(now), drives)
        total = _running_sums(b, [bounds(law)[1] for law in self.plan.laws])[-1]
        return b.fmul(total, v.number(1.0 + _ROUNDING))

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
        return names

    def _constant(self, i: int) -> Any:
        return self.v.spread(self.b.load(self.s.at(self.constants, INT(i)), typ=DOUBLE))

    def _drive(self, j: int, now: Any) -> Any:
        """What depends on the input, now."""
        start = self.row(self.layout.drives + j)
        if not self.plan.ramped:
            return start
        since = self.b.fsub(now, self.row(self.layout.start))
        return self.b.fadd(start, self.b.fmul(self.row(self.layout.slopes + j), since))

    def _draws(self) -> tuple[Any, Any]:
        """An exponential variate of mean 1 and a uniform one in [0, 1)."""
        state = [self.row(self.layout.stream + i, self.v.ints) for i in range(4)]
        first, state = self.v.xoshiro(state)
        second, state = self.v.xoshiro(state)
        for i, word in enumerate(state):
            self.set_row(self.layout.stream + i, word)
        return self.v.exponential(first), self.v.fraction(second)

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
        all_used = b.icmp_signed(">=", used, INT(WIDTH))
        in_use = b.select(all_used, INT(-1), b.sub(b.shl(INT(1), used), INT(1)))
        wide = b.and_(b.zext(b.bitcast(due, ir.IntType(WIDTH)), INT), in_use)
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
        for k in range(WIDTH):
            lane = b.add(self.first, INT(k))
            entry = s.at(self.table, s.get(self.layout.chosen, lane, INT))
            for c in range(_most_changes(self.plan)):
                offset = b.load(s.at(entry, INT(2 * c)), typ=INT)
                change = b.load(s.at(entry, INT(2 * c + 1)), typ=DOUBLE)
                target = s.at(s.state, b.add(offset, lane))
                b.store(b.fadd(b.load(target, typ=DOUBLE), change), target)


def _running_sums(b: ir.IRBuilder, values: list[Any]) -> list[Any]:
    sums = values[:1]
    for value in values[1:]:
        sums.append(b.fadd(sums[-1], value))
    return sums
