"""The loop of a leaping run: LLVM instructions for one step of a vector of lanes.

A leap over τ has two stages (the weak trapezoidal scheme: Anderson and Koyama 2012, doi:10.1137/110849699;
for the chemical Langevin equation Anderson and Mattingly 2011, doi:10.4310/CMS.2011.v9.n1.a15)::

    y  = x + ν N(a(x, t) τ/2)
    x' = y + ν N([2a(y, t + τ/2) − a(x, t)]⁺ τ/2)

where N(m) is a Poisson variate of mean m, or m + √m Z in a Langevin step. Means and covariances are right to
second order in τ, at the cost of two variates for each reaction. What an affine law takes from a ramp adds up
to its integral over the step; every other law counts with its value in the middle.

Lanes differ in what they do, so what not all of them need is skipped where none does, and has no effect on
the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

from llvmlite import ir

from chemlearn.expression import Expr, symbols
from chemlearn.simulate.leap.layout import TALLIES, TALLY_WORD, LeapLayout, layout_of
from chemlearn.simulate.leap.rule import Leaps
from chemlearn.simulate.leap.variates import Variates
from chemlearn.simulate.native.attention import Scalars, lesser
from chemlearn.simulate.native.layout import LANES, Word
from chemlearn.simulate.native.vectors import BIT, DOUBLE, INT, Formulas

PARAMETERS = ("accuracy", "turnover", "useful", "least", "patience")  #: after K0, K1, ... among the constants
_ROUNDING = 1e-9  # how far below 0, of the total, rounding may take a propensity at the end of a ramp


class Step:
    """One step of one vector of lanes, from ``first`` on; by itself a Langevin step.

    Parameters
    ----------
    scalars : Scalars
    leaps : Leaps
    width : int
        Lanes in the vector.
    first, constants : LLVM values
        Number of the first lane; address of K0, K1, ... and what follows them.
    draw, attend : LLVM functions
    """

    def __init__(
        self,
        scalars: Scalars,
        leaps: Leaps,
        width: int,
        first: Any,
        constants: Any,
        draw: Any,
        attend: Any,
    ) -> None:
        self.s, self.leaps, self.plan, self.first = scalars, leaps, leaps.plan, first
        self.constants, self.draw, self.attend = constants, draw, attend
        self.layout: LeapLayout = layout_of(leaps)
        self.b = scalars.builder
        self.v, self.width = Variates(self.b, width), width
        self.zero, self.one = self.v.number(0.0), self.v.number(1.0)
        self.changes: dict[int, list[tuple[int, float]]] = {}  # species to reactions and changes
        for j, changes in enumerate(self.plan.changes):
            for i, change in changes:
                self.changes.setdefault(i, []).append((j, change))

    # ------------------------------------------------------------------------------------------- the step

    def build(self) -> None:
        b, v, layout = self.b, self.v, self.layout
        self.now, self.end = self.row(layout.time), self.row(layout.attention)
        self.left = b.fsub(self.end, self.now)
        self.fresh = b.icmp_signed("==", self.row(layout.born, v.ints), v.spread(self.s.word(Word.SWEEPS)))
        raw = self.propensities(0, self.now)
        raw_later = raw
        if self.leaps.ramped:
            raw_later = self.propensities(0, self.end, raw)
        working = b.icmp_signed(">=", self.row(layout.trajectory, v.ints), v.whole(0))
        fine = self._fine(raw, raw_later)
        self.going, self.broken = b.and_(working, fine), b.and_(working, b.not_(fine))
        self.laws = [v.greater(a, self.zero) for a in raw]
        # a law that the signal does not move stays one and the same value
        self.later = [
            self.laws[j] if a is raw[j] else v.greater(a, self.zero) for j, a in enumerate(raw_later)
        ]
        self.choose()
        self._leap()
        self.finish()

    def _fine(self, laws: Sequence[Any], later: Sequence[Any]) -> Any:
        """Lanes whose propensities are finite and not negative, with enough of what each reaction takes."""
        b, v = self.b, self.v
        fine = self._plausible(laws)
        if self.leaps.ramped:
            fine = b.and_(fine, self._plausible(later))
        for i, species, amount in self.plan.short:
            enough = b.fcmp_ordered(">=", self.row(species), v.number(amount))
            fine = b.and_(fine, b.or_(enough, b.fcmp_ordered("<=", laws[i], self.zero)))
        return fine

    def _plausible(self, laws: Sequence[Any]) -> Any:
        """Lanes whose propensities are finite and not negative."""
        b, v = self.b, self.v
        total = self.sum(laws)
        fine = b.fcmp_ordered("<", total, v.number(float("inf")))
        least = b.fmul(total, v.number(-_ROUNDING if self.leaps.ramped else 0.0))
        for i in sorted(self.plan.watched):
            fine = b.and_(fine, b.fcmp_ordered(">=", laws[i], least))
        return fine

    def choose(self) -> None:
        """Decide what leaps, and how far."""
        self.leaping, self.leaping_later = self.laws, self.later
        self.held: list[Any] = [None] * len(self.laws)  # lanes in which a reaction does not leap
        self.tau, self.is_last = self.even_steps(self.longest(self.zero))
        self.lapse = self.tau

    def longest(self, haste: Any) -> Any:
        """The longest leap that the rule allows, or 1/``haste`` where that is shorter.

        Along a ramp the propensities are affine in time and the rule's 1/τ a convex function of them, so it
        lies below its chord r + r't; τ(r + r'τ) = 1 gives τ = 2/(r + √(r² + 4r')).
        """
        b, v = self.b, self.v
        shares = self._shares()
        rate = v.greater(self._rate(self.leaping, shares), haste)
        if not self.leaps.ramped:
            return b.fdiv(self.one, rate)
        rise = b.fdiv(b.fsub(self._rate(self.leaping_later, shares), rate), self.left)
        rise = v.greater(rise, self.zero)
        under = b.fadd(b.fmul(rate, rate), b.fmul(v.number(4.0), rise))
        return b.fdiv(v.number(2.0), b.fadd(rate, v.intrinsic("sqrt", under)))

    def _shares(self) -> list[tuple[int, Any, Any]]:
        """Species, 1/δ and one over the allowed turnover."""
        b = self.b
        formulas = self.formulas(0, self.now)
        per_accuracy = b.fdiv(self.one, self.parameter("accuracy"))
        per_turnover = b.fdiv(self.one, self.parameter("turnover"))
        shares = []
        for species, order in self.leaps.orders:
            relative = b.fdiv(formulas(order), self.row(species))
            parts = [b.fmul(relative, per) for per in (per_accuracy, per_turnover)]
            if not self.leaps.normal:  # whole amounts change by one at least
                parts = [lesser(b, part, self.one) for part in parts]
            shares.append((species, *parts))
        return shares

    def _rate(self, propensities: Sequence[Any], shares: Sequence[tuple[int, Any, Any]]) -> Any:
        """1/τ by the rule."""
        b, v = self.b, self.v
        rate = self.zero
        for species, per_change, per_turnover in shares:
            made, used, variance = self._flows(species, propensities)
            gross = b.fadd(made, used)
            drift = v.intrinsic("fabs", b.fsub(made, used))
            spread = b.fmul(b.fmul(gross if variance is None else variance, per_change), per_change)
            for part in (b.fmul(drift, per_change), spread, b.fmul(gross, per_turnover)):
                rate = v.greater(part, rate)
        return rate

    def _flows(self, species: int, propensities: Sequence[Any]) -> tuple[Any, Any, Any]:
        """Σ |ν| a of what makes a species and of what uses it, and Σ ν² a unless that is their sum."""

        def total(changes: list[tuple[int, float]], power: int) -> Any:
            sizes = [(abs(change) ** power, propensities[j]) for j, change in changes]
            return self.sum([a if size == 1 else self.b.fmul(self.v.number(size), a) for size, a in sizes])

        changes = self.changes[species]
        made, used = ([(j, c) for j, c in changes if c * sign > 0] for sign in (1, -1))
        ones = all(abs(change) == 1 for _, change in changes)
        return total(made, 1), total(used, 1), None if ones else total(changes, 2)

    def even_steps(self, longest: Any) -> tuple[Any, Any]:
        """The time left in equal steps of at most ``longest``; and whether one is enough."""
        b, v = self.b, self.v
        count = v.greater(v.intrinsic("ceil", b.fdiv(self.left, longest)), self.one)
        return b.fdiv(self.left, count), b.fcmp_ordered("==", count, self.one)

    # ------------------------------------------------------------------------------------------- a leap

    def _leap(self) -> None:
        """Both stages, where any lane has what can leap; the amounts after them."""
        b, v, layout = self.b, self.v, self.layout
        for i in self.changes:
            self.set_row(layout.after + i, self.row(i))
        self.set_row(layout.sound, self.one)
        half = b.select(self.going, b.fmul(self.lapse, v.number(0.5)), self.zero)
        total = b.fadd(self.sum(self.leaping), self.sum(self.leaping_later))
        self.leapt = b.fmul(total, half)  # their mean number, for the statistics
        with b.if_then(v.any(b.fcmp_ordered(">", total, self.zero))):
            self._stage([b.fmul(a, half) for a in self.leaping])
            sound = self.sound_amounts()
            middle = self.propensities(layout.after, b.fadd(self.now, half))
            sound = b.and_(sound, self._plausible(middle))
            self.set_row(layout.sound, b.select(sound, self.one, self.zero))
            means = []
            for j, a in enumerate(middle):
                ahead = v.greater(b.fsub(b.fadd(a, a), self.leaping[j]), self.zero)
                goes = sound if self.held[j] is None else b.and_(sound, b.not_(self.held[j]))
                means.append(b.select(goes, b.fmul(ahead, half), self.zero))
            self._stage(means)

    def _stage(self, means: Sequence[Any]) -> None:
        """Draw how often each reaction fires, and change the amounts."""
        b, s, layout = self.b, self.s, self.layout
        for j, mean in enumerate(means):
            self.set_row(layout.means + j, mean)
        stream = s.cell(layout.stream, self.first)
        with s.counting(len(means)) as j:
            b.call(self.draw, [s.cell(b.add(INT(layout.means), j), self.first), stream])
        for i, changes in self.changes.items():
            amount = self.row(layout.after + i)
            for j, change in changes:
                fired = b.fmul(self.v.number(change), self.row(layout.means + j))
                amount = b.fadd(amount, fired)
            self.set_row(layout.after + i, amount)

    def sound_amounts(self) -> Any:
        """Lanes in which no amount that laws read has fallen below the least at which the equation holds."""
        least = self.parameter("least")
        return self._all_at_least(self.leaps.read, least)

    def _all_at_least(self, species: Sequence[int], least: Any) -> Any:
        b = self.b
        enough = [b.fcmp_ordered(">=", self.row(self.layout.after + i), least) for i in species]
        return reduce(b.and_, enough, ir.Constant(self.v.bits, [1] * self.width))

    # ------------------------------------------------------------------------------------------- its end

    def finish(self) -> None:
        """Take the new amounts over; where they are not sound the lane cannot go on."""
        b = self.b
        sound = b.and_(self._were_sound(), self.sound_amounts())
        accepted = b.and_(self.going, sound)
        self.take_over(accepted)
        self.tally("steps", accepted, self.one)
        self.tally("fired", accepted, self.leapt)
        self.advance(accepted, b.or_(self.broken, b.and_(self.going, b.not_(sound))))

    def _were_sound(self) -> Any:
        return self.b.fcmp_ordered(">", self.row(self.layout.sound), self.zero)

    def take_over(self, accepted: Any) -> None:
        for i in self.changes:
            self.set_row(i, self.b.select(accepted, self.row(self.layout.after + i), self.row(i)))

    def tally(self, name: str, lanes: Any, by: Any) -> None:
        """Add to what all trajectories of a lane have done."""
        offset = self.b.add(INT(TALLIES.index(name) * LANES), self.first)
        cell = self.s.at(self.s.address(TALLY_WORD), offset)  # type: ignore[arg-type]
        before = self.b.load(cell, align=8 * self.width, typ=self.v.doubles)
        self.b.store(self.b.fadd(before, self.b.select(lanes, by, self.zero)), cell, align=8 * self.width)

    def count(self, row: int, lanes: Any, by: Any) -> None:
        """Add to a counter that begins at 0 with each trajectory."""
        before = self.counter(row)
        self.set_row(row, self.b.select(lanes, self.b.fadd(before, by), before))

    def counter(self, row: int) -> Any:
        return self.b.select(self.fresh, self.zero, self.row(row))

    def advance(self, accepted: Any, lost: Any) -> None:
        """Move the clocks, and serve the lanes for which that is not all."""
        b, layout = self.b, self.layout
        later = b.select(self.is_last, self.end, b.fadd(self.now, self.lapse))
        time = b.select(accepted, later, self.now)
        # a time below 0 marks a lane that cannot go on, and tells when
        time = b.select(lost, b.fsub(self.v.number(-1.0), self.now), time)
        self.set_row(layout.time, time)
        self._attend(b.or_(lost, b.fcmp_ordered(">=", time, self.end)))

    def _attend(self, due: Any) -> None:
        """Serve every lane in use whose bit is set."""
        b, s = self.b, self.s
        before = b.block
        each, after = b.append_basic_block("attend"), b.append_basic_block("attended")
        used = b.sub(s.word(Word.ACTIVE), self.first)
        all_used = b.icmp_signed(">=", used, INT(self.width))
        in_use = b.select(all_used, INT(-1), b.sub(b.shl(INT(1), used), INT(1)))
        wide = b.and_(b.zext(b.bitcast(due, ir.IntType(self.width)), INT), in_use)
        b.cbranch(b.icmp_unsigned("==", wide, INT(0)), after, each)
        b.position_at_end(each)
        left = b.phi(INT)
        left.add_incoming(wide, before)
        b.call(self.attend, [s.run, b.add(self.first, b.cttz(left, BIT(1)))])
        rest = b.and_(left, b.sub(left, INT(1)))
        left.add_incoming(rest, b.block)
        b.cbranch(b.icmp_unsigned("==", rest, INT(0)), after, each)
        b.position_at_end(after)

    # ---------------------------------------------------------------------------------------- quantities

    def row(self, number: int, kind: Any = None) -> Any:
        return self.b.load(self.s.cell(number, self.first), align=8 * self.width, typ=kind or self.v.doubles)

    def set_row(self, number: int, value: Any) -> None:
        self.b.store(value, self.s.cell(number, self.first), align=8 * self.width)

    def sum(self, values: Sequence[Any]) -> Any:
        return reduce(self.b.fadd, values) if values else self.zero

    def parameter(self, name: str) -> Any:
        return self._constant(self.plan.n_constants + PARAMETERS.index(name))

    def propensities(self, amounts: int, time: Any, known: Sequence[Any] | None = None) -> list[Any]:
        """All laws, with the amounts in rows from ``amounts`` on; ``known`` are those without a drive."""
        formulas = self.formulas(amounts, time)
        return [
            formulas(law) if known is None or _is_driven(law) else known[j]
            for j, law in enumerate(self.plan.laws)
        ]

    def formulas(self, amounts: int, time: Any) -> Formulas:
        names: dict[str, Callable[[], Any]] = {}
        for i in range(self.plan.n_species):
            # what no reaction changes has no row among the amounts after a stage
            names[f"X{i}"] = partial(self.row, amounts + i if i in self.changes else i)
        for i in range(self.plan.n_constants):
            names[f"K{i}"] = partial(self._constant, i)
        for j in range(self.plan.n_drives):
            names[f"D{j}"] = partial(self._drive, j, time)
        return Formulas(self.v, names)

    def _constant(self, i: int) -> Any:
        return self.v.spread(self.b.load(self.s.at(self.constants, INT(i)), typ=DOUBLE))

    def _drive(self, j: int, time: Any) -> Any:
        """What depends on the input, at a time."""
        start = self.row(self.layout.drives + j)
        if not self.leaps.ramped:
            return start
        since = self.b.fsub(time, self.row(self.layout.start))
        return self.b.fadd(start, self.b.fmul(self.row(self.layout.slopes + j), since))


def _is_driven(law: Expr) -> bool:
    return any(re.fullmatch(r"D\d+", name) for name in symbols(law))
