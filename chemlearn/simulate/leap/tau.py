"""A step of tau-leaping: leaps, few molecules one at a time, exact steps where leaps are short."""

from __future__ import annotations

import math
from typing import Any

from chemlearn.simulate.leap.rule import CRITICAL
from chemlearn.simulate.leap.step import Step

SINGLES = 100  #: steps of at most one firing, once a leap would be too short


class TauStep(Step):
    """One step of one vector of lanes.

    A reaction does not leap where it is within ``CRITICAL`` firings of running out, or changes what laws read
    by more than 1/``CRITICAL`` of itself at once. The first of those to fire ends the leap of the others; it
    comes after the waiting time of the direct method, with propensities as they are at the start of the step,
    except that they follow the signal. An exact step is one in which no reaction leaps. A leap that ends
    below 0 is not made, and the next one at most half as long.
    """

    def choose(self) -> None:
        b, v, layout = self.b, self.v, self.layout
        critical = [self._critical(j) for j in range(len(self.laws))]
        self.leaping = [self._unless(c, a) for c, a in zip(critical, self.laws, strict=True)]
        self.leaping_later = [
            leaps if a is self.laws[j] else self._unless(critical[j], a)
            for j, (leaps, a) in enumerate(zip(self.leaping, self.later, strict=True))
        ]
        longest = self.longest(self.counter(layout.haste))
        single = self.counter(layout.exact)
        self.exact = b.fcmp_ordered(">", single, self.zero)
        few = b.fcmp_ordered("<", self._firings(longest), self.parameter("useful"))
        short = b.and_(b.fcmp_ordered("<", longest, self.left), few)
        short = b.and_(b.and_(short, self.going), b.not_(self.exact))
        self.exact = b.or_(self.exact, short)
        self.set_row(layout.exact, b.select(short, v.number(float(SINGLES)), single))
        self.held = [self.exact if c is None else b.or_(c, self.exact) for c in critical]
        self.leaping = [self._unless(self.exact, a) for a in self.leaping]
        self.leaping_later = [self._unless(self.exact, a) for a in self.leaping_later]
        longest = b.select(self.exact, v.number(math.inf), longest)
        tau, alone = self.even_steps(longest)
        self._wait()
        wait = self.row(layout.wait)
        self.fires = b.and_(self.going, b.fcmp_ordered("<", wait, tau))
        self.lapse = b.select(self.fires, wait, tau)
        self.is_last = b.and_(alone, b.not_(self.fires))

    def _critical(self, reaction: int) -> Any:
        """Lanes in which a reaction does not leap; None for one that always may."""
        b, critical = self.b, None
        for species, change in self.plan.changes[reaction]:
            if change < 0 or species in self.leaps.read:
                low = b.fcmp_ordered("<", self.row(species), self.v.number(CRITICAL * abs(change)))
                critical = low if critical is None else b.or_(critical, low)
        return critical

    def _unless(self, lanes: Any, value: Any) -> Any:
        return value if lanes is None else self.b.select(lanes, self.zero, value)

    def _firings(self, tau: Any) -> Any:
        """Mean number of all firings within a time."""
        b = self.b
        total = self.sum(self.laws)
        if self.leaps.ramped:
            rise = b.fdiv(b.fsub(self.sum(self.later), total), self.left)
            total = b.fadd(total, b.fmul(b.fmul(rise, tau), self.v.number(0.5)))
        return b.fmul(total, tau)

    def _wait(self) -> None:
        """When the first of the reactions that do not leap would fire."""
        b, v, layout = self.b, self.v, self.layout
        self.set_row(layout.wait, v.number(math.inf))
        self.alone = [b.fsub(a, leaps) for a, leaps in zip(self.laws, self.leaping, strict=True)]
        self.alone_later = [
            self.alone[j] if a is self.laws[j] else b.fsub(a, leaps)
            for j, (a, leaps) in enumerate(zip(self.later, self.leaping_later, strict=True))
        ]
        total, later = self.sum(self.alone), self.sum(self.alone_later)
        some = b.fcmp_ordered(">", b.fadd(total, later), self.zero)
        some = b.and_(b.and_(some, self.going), b.fcmp_ordered(">", self.left, self.zero))
        with b.if_then(v.any(some)):
            old = [self.row(layout.stream + i, v.ints) for i in range(4)]
            first, state = v.xoshiro(old)
            second, state = v.xoshiro(state)
            for i in range(4):
                self.set_row(layout.stream + i, b.select(some, state[i], old[i]))
            wait = self._waiting_time(v.exponential(first), total, later)
            self.set_row(layout.wait, b.select(some, wait, v.number(math.inf)))
            self.set_row(layout.choice, v.fraction(second))

    def _waiting_time(self, hazard: Any, total: Any, later: Any) -> Any:
        """2E/(P + √(P² + 2QE)) for a total that goes from P with slope Q; infinite where it falls to 0."""
        b, v = self.b, self.v
        if not self.leaps.ramped:
            return b.fdiv(hazard, total)
        rise = b.fdiv(b.fsub(later, total), self.left)
        twice = b.fadd(hazard, hazard)
        under = b.fadd(b.fmul(total, total), b.fmul(rise, twice))
        wait = b.fdiv(twice, b.fadd(total, v.intrinsic("sqrt", under)))
        return b.select(b.fcmp_ordered("<", under, self.zero), v.number(math.inf), wait)

    def sound_amounts(self) -> Any:
        """Lanes in which nothing has been used up beyond 0."""
        return self._all_at_least(self.leaps.used, self.zero)

    def _stays_positive(self) -> Any:
        """Lanes in which no law is below 0 after the step, as one of K − X is with too many X."""
        b, fine = self.b, self.going
        formulas = self.formulas(self.layout.after, b.fadd(self.now, self.lapse))
        for i in sorted(self.plan.watched):
            fine = b.and_(fine, b.fcmp_ordered(">=", formulas(self.plan.laws[i]), self.zero))
        return fine

    def finish(self) -> None:
        b, v, layout = self.b, self.v, self.layout
        with b.if_then(v.any(self.fires)):
            self._fire()
        sound = b.and_(self._were_sound(), self.sound_amounts())
        sound = b.and_(sound, b.or_(self.exact, self._stays_positive()))
        accepted = b.and_(self.going, sound)
        self.take_over(accepted)
        again = b.fdiv(v.number(2.0), self.lapse)
        self.set_row(layout.haste, b.select(accepted, self.zero, again))
        single = self.row(layout.exact)
        alone = b.and_(accepted, self.exact)
        self.set_row(layout.exact, b.select(alone, b.fsub(single, self.one), single))
        ended = b.and_(accepted, b.or_(self.exact, self.fires))
        self.count(layout.singles, ended, self.one)
        self.count(layout.fired, accepted, self.leapt)
        self.tally("steps", accepted, self.one)
        self.tally("fired", accepted, b.fadd(self.leapt, b.select(self.fires, self.one, self.zero)))
        bound = b.fadd(self.row(layout.fired), self.parameter("patience"))
        dominated = b.and_(self.going, b.fcmp_ordered(">", self.row(layout.singles), bound))
        self.advance(accepted, b.or_(self.broken, dominated))

    def _fire(self) -> None:
        """Change the amounts by the one reaction that fires by itself, chosen by the propensities then."""
        b, layout = self.b, self.layout
        share_of_way = b.fdiv(self.lapse, self.left)
        sums: list[Any] = []
        for a, later in zip(self.alone, self.alone_later, strict=True):
            if later is not a:
                a = b.fadd(a, b.fmul(share_of_way, b.fsub(later, a)))
            sums.append(b.fadd(sums[-1], a) if sums else a)
        share = b.fmul(self.row(layout.choice), sums[-1])
        before = self.fires  # lanes whose share lies beyond all sums so far
        for j, value in enumerate(sums):
            beyond = b.and_(before, b.fcmp_ordered("<=", value, share))
            chosen = b.select(b.and_(before, b.not_(beyond)), self.one, self.zero)
            before = beyond
            for i, change in self.plan.changes[j]:
                row = layout.after + i
                self.set_row(row, b.fadd(self.row(row), b.fmul(self.v.number(change), chosen)))
