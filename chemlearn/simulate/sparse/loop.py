"""The hot loop: candidates at the rate of the tree's bounds, some of which fire.

This is Gillespie's direct method (doi:10.1021/j100540a008) thinned (Lewis and Shedler,
doi:10.1002/nav.3800260304): the waiting time comes from the total of the bounds, the reaction from walking
down the tree by a share of that total, and what is left of the share at the leaf is uniform up to its bound
and tells whether the candidate fires. That is exact for any bounds that hold, chosen by what has been.

The random numbers of a step are drawn before it is its turn, so that drawing them and walking the tree go on
side by side in the processor.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from chemlearn.simulate.sparse.attention import ANEW, GO_ON, NEXT, Attention
from chemlearn.simulate.sparse.code import DOUBLE, INFINITY, INT, SHORT, Variable
from chemlearn.simulate.sparse.layout import Cause, Failure, Word
from chemlearn.simulate.sparse.program import Parts, Program, failed, log

_RARELY = [1, 1000]  # weights of a branch that is hardly ever taken, against the other


def build_module(program: Program) -> ir.Module:
    """``run(words)``: steps until nothing is left, something failed or needs room, or ``Word.END``."""
    module = ir.Module(name="sparse")
    parts = Parts(module, program)
    _Loop(parts, Attention(parts)).build()
    return module


class _Loop:
    """The function ``run`` under construction."""

    def __init__(self, parts: Parts, attention: Attention) -> None:
        self.parts, self.attention, self.program = parts, attention, parts.program
        self.c = c = parts.code("run")
        self.b = c.b
        self.tree = parts.tree(c)
        self.evaluation, self.end = self.tree.evaluation, c.word(Word.END)
        self.time, self.due = c.variable(c.number(Word.TIME)), c.variable(INFINITY)
        self.steps, self.fired = c.variable(c.word(Word.STEPS)), c.variable(c.word(Word.FIRED))
        self.soon = c.variable(c.number(Word.ATTENTION))
        self.waiting, self.choice = (c.variable(c.number(w)) for w in (Word.WAITING, Word.CHOICE))
        self.stream = [c.variable(c.load(c.words, INT(Word.STREAM + i))) for i in range(4)]
        names = ("head", "late", "begin", "anew", "leave")
        self.head, self.late, self.begin, self.anew, self.leave = map(self.b.append_basic_block, names)

    def build(self) -> None:
        b, c = self.b, self.c
        if self.program.events:
            with c.only_if(b.icmp_signed("!=", c.word(Word.UNFINISHED), INT(0)), likely=False):
                self._go_where(c.call(self.attention.settle))
        fresh = b.fcmp_ordered("<", self.time(), DOUBLE(0.0))  # before the first trajectory
        b.cbranch(fresh, self.begin, self.head)
        b.position_at_end(self.head)
        self._step()
        b.position_at_end(self.late)
        self._put_down()
        self._go_where(c.call(self.attention.attend, self.due()))
        b.position_at_end(self.begin)
        more = b.icmp_signed("<", c.word(Word.TRAJECTORY), c.word(Word.N_TRAJECTORIES))
        with c.only_if(b.and_(more, b.not_(failed(c)))):
            self._go_where(c.call(self.attention.begin))
        b.branch(self.leave)
        b.position_at_end(self.anew)
        self._take_up()
        self._draw()
        b.branch(self.head)
        b.position_at_end(self.leave)
        c.set_word(Word.WAITING, self.waiting())
        c.set_word(Word.CHOICE, self.choice())
        b.ret_void()

    def _step(self) -> None:
        """One candidate, from the head of the loop back to it."""
        b, c = self.b, self.c
        over = b.icmp_signed(">=", self.steps(), self.end)
        if self.program.logged:
            over = b.or_(over, b.icmp_signed(">=", c.word(Word.LOGGED), c.word(Word.LOG_ROOM)))
        with c.only_if(over, likely=False):
            self._put_down()
            b.branch(self.leave)
        self.steps.set(c.plus(self.steps(), 1))
        total = self.evaluation.total()
        self.due.set(b.fadd(self.time(), b.fdiv(self.waiting(), total)))
        soon = b.and_(b.fcmp_ordered("<", self.due(), self.soon()), b.fcmp_ordered("<", total, INFINITY))
        self._otherwise(soon, self.late)
        share = b.fmul(self.choice(), total)
        self._draw()
        law, left = self.tree.descend(share)
        self.time.set(self.due())
        if self.program.moved:
            c.call(self.parts.move, self.time(), c.word(Word.NOW))
        possible = b.fcmp_ordered("<", left, c.load(self.tree.propensities, law, DOUBLE))
        fires = b.append_basic_block("fires")
        b.cbranch(possible, fires, self.head)
        b.position_at_end(fires)
        if self.program.moved:
            with c.only_if(b.icmp_signed(">=", law, c.word(Word.FIRST_MOVED))):
                self._thin(law, left)
        self._fire(law)

    def _thin(self, law: Any, left: Any) -> None:
        """Go on only if a candidate of a reaction that moves fires: look at its propensity now."""
        b, c = self.b, self.c
        value = c.call(self.parts.value, law)
        held = b.fcmp_ordered("<=", value, c.load(self.tree.propensities, law, DOUBLE))
        with c.only_if(b.not_(held), likely=False):
            self._stop(Failure.UNBOUNDED)
        with c.only_if(b.fcmp_ordered("<", value, self.evaluation.least()), likely=False):
            self._stop(Failure.BROKEN)
        with c.only_if(b.not_(b.fcmp_ordered("<", left, value))):
            rejected = c.plus(c.word(Word.REJECTED), 1)
            c.set_word(Word.REJECTED, rejected)
            with c.only_if(b.icmp_signed("<=", rejected, c.word(Word.MOST_REJECTED)), likely=True):
                b.branch(self.head)
            self._put_down()
            self._go_where(c.call(self.attention.narrow))

    def _fire(self, law: Any) -> None:
        """Change the state, and everything that follows from it."""
        b, c, cells = self.b, self.c, self.evaluation.cells
        self.fired.set(c.plus(self.fired(), 1))
        record = self.tree.record(law)
        changes = self.tree.listed(record, Cause.CHANGES)
        short = b.icmp_signed("!=", c.short(record, INT(Cause.SHORT)), INT(0))
        with c.only_if(short, likely=False), c.counting(*changes, by=2) as i:
            after = self._after(record, i)
            with c.only_if(b.fcmp_ordered("<", after, DOUBLE(0.0)), likely=False):
                self._stop(Failure.BROKEN)
        self._integrate(law)
        with c.counting(*changes, by=2) as i:
            c.store(self._after(record, i), cells, c.short(record, i))
        if self.program.counted:
            cell = b.add(c.word(Word.N_STATE), c.short(c.address(Word.ORDER), law))
            c.store(b.fadd(c.load(cells, cell, DOUBLE), DOUBLE(1.0)), cells, cell)
        if self.program.logged:
            log(c, self.time(), c.short(c.address(Word.ORDER), law))
        fine = self.tree.refresh(record)
        with c.only_if(b.not_(fine), likely=False):
            self._stop(Failure.BROKEN)
        if self.attention.fired is not None:
            with c.only_if(self._watched(record)):
                self._put_down()
                self._go_where(c.call(self.attention.fired, law))
        b.branch(self.head)

    def _integrate(self, law: Any) -> None:
        """Bring the integrals forward of what a firing is about to change."""
        b, c, integrals = self.b, self.c, self.attention.integrals
        if integrals is not None:
            c.call(integrals.touch, law, self.time())
            if self.program.bent:
                with c.only_if(failed(c), likely=False):
                    self._put_down()
                    b.branch(self.leave)

    def _after(self, record: Any, i: Any) -> Any:
        """An amount after the change at an entry of a record."""
        c, b = self.c, self.b
        change = b.sitofp(c.load(record, c.plus(i, 1), SHORT), DOUBLE)
        return b.fadd(c.load(self.evaluation.cells, c.short(record, i), DOUBLE), change)

    def _watched(self, record: Any) -> Any:
        """Whether a trigger or one of its lines reads what a cause changes."""
        first, last = (self.c.short(record, INT(int(which))) for which in (Cause.TRIGGERS, Cause.END))
        return self.b.icmp_signed("<", first, last)

    def _stop(self, failure: Failure) -> None:
        self.c.set_word(Word.FAILED, INT(int(failure)))
        self._put_down()
        self.b.branch(self.leave)

    def _otherwise(self, condition: Any, target: ir.Block) -> None:
        """Go on if a condition holds, as nearly always, and elsewhere if not."""
        going = self.b.append_basic_block("going")
        self.b.cbranch(condition, going, target).set_weights(_RARELY[::-1])
        self.b.position_at_end(going)

    def _go_where(self, status: Any) -> None:
        """Take the way that a function has answered."""
        b = self.b
        go_on = b.append_basic_block("go_on")
        choice = b.switch(status, self.leave)
        choice.add_case(GO_ON, go_on)
        choice.add_case(ANEW, self.anew)
        choice.add_case(NEXT, self.begin)
        b.position_at_end(go_on)
        self._take_up()
        b.branch(self.head)

    def _draw(self) -> None:
        """Draw for the next step: an exponential variate of mean 1 and a uniform one in [0, 1)."""
        c, v, zero = self.c, self.c.v, SHORT(0)
        first, vectors = v.xoshiro([self._as_vector(word) for word in self.stream])
        second, vectors = v.xoshiro(vectors)
        for word, vector in zip(self.stream, vectors, strict=True):
            word.set(c.b.extract_element(vector, zero))
        self.waiting.set(c.b.extract_element(v.exponential(first), zero))
        self.choice.set(c.b.extract_element(v.fraction(second), zero))

    def _as_vector(self, word: Variable) -> Any:
        undefined = ir.Constant(self.c.v.ints, ir.Undefined)
        return self.b.insert_element(undefined, word(), SHORT(0))

    def _put_down(self) -> None:
        """Write what is in registers to the words, where the other functions find it."""
        c = self.c
        for word, variable in ((Word.TIME, self.time), (Word.STEPS, self.steps), (Word.FIRED, self.fired)):
            c.set_word(word, variable())
        for i, part in enumerate(self.stream):
            c.store(part(), c.words, INT(Word.STREAM + i))

    def _take_up(self) -> None:
        c = self.c
        self.time.set(c.number(Word.TIME))
        self.fired.set(c.word(Word.FIRED))
        self.soon.set(c.number(Word.ATTENTION))
        for i, part in enumerate(self.stream):
            part.set(c.load(c.words, INT(Word.STREAM + i)))
