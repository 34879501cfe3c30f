"""Events in machine code: triggers, straight lines that decide them, waiting and execution.

A trigger is a formula of the state and of *signs*. The sign of a difference that is straight in time between
two firings is not computed from the difference, which rounds, but from the instant at which the line crosses
0: before it, at it, after it. At that instant triggers are looked at twice, with the sign 0 and with the sign
that holds right after, so that ``time == 5`` is seen and ``time > 5`` is not missed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

from llvmlite import ir

from chemlearn.simulate.sparse.code import BIT, DOUBLE, INFINITY, INT, Code
from chemlearn.simulate.sparse.integrals import Integrals
from chemlearn.simulate.sparse.layout import (
    CLOCK,
    INPUT,
    PENDING_HEAD,
    PIECE,
    SLOPE,
    Assigned,
    Cause,
    Failure,
    Happening,
    Straight,
    Word,
)
from chemlearn.simulate.sparse.program import Parts, failed, log

_MOST_EXECUTED = 100_000  # events at one instant
_WHOLE = 1e-9  # how far, relatively, an assigned amount may round from a whole number
SAME = 8 * 2.0**-52  # instants that differ by this share are meant to be one: a crossing at a knot
ZERO, ONE = DOUBLE(0.0), DOUBLE(1.0)


class Happenings:
    """Functions for events."""

    def __init__(self, parts: Parts, integrals: Integrals | None) -> None:
        self.parts, self.program, self.integrals = parts, parts.program, integrals
        self.holds = self._holds()
        self.remove = self._remove()
        self.enqueue = self._enqueue()
        self.check = self._check()
        self.locate = self._locate()
        self.pick = self._pick()
        self.execute = self._execute()
        self.cycle = self._cycle()
        self.start = self._start()
        self.arrive = self._arrive()

    # reading the tables -------------------------------------------------------------------------------------

    def _entry(self, c: Code, table: Word, row: Any, column: IntEnum) -> Any:
        width = type(column)["WIDTH"].value
        return c.short(c.address(table), c.plus(c.b.mul(row, INT(width)), int(column)))

    def _of_event(self, c: Code, event: Any, column: Happening) -> Any:
        return self._entry(c, Word.EVENTS, event, column)

    def _pending(self, c: Code, place: Any) -> Any:
        """The address of a pending event."""
        place = c.b.mul(place, c.word(Word.PENDING_WIDTH))
        return c.b.gep(c.address(Word.PENDING), [place], source_etype=DOUBLE)

    def _which(self, c: Code, pending: Any) -> Any:
        return c.b.fptosi(c.load(pending, INT(0), DOUBLE), INT)

    @contextmanager
    def _all_pending(self, c: Code) -> Iterator[tuple[Any, Any]]:
        with c.counting(INT(0), c.word(Word.N_PENDING)) as place:
            yield place, self._pending(c, place)

    # triggers -----------------------------------------------------------------------------------------------

    def _holds(self) -> ir.Function:
        """``holds(words, event)``: its trigger."""
        c = self.parts.code("holds", INT, result=BIT)
        formula = self._of_event(c, c.arguments[0], Happening.TRIGGER)
        c.return_(c.b.fcmp_ordered("!=", c.call(self.parts.value, formula), ZERO))
        return c.function

    def _check(self) -> ir.Function:
        """``check(words)``: see which triggers have changed; whether there was no room to note one."""
        c = self.parts.code("check", result=BIT)
        b, truth = c.b, c.address(Word.TRUTH)
        with c.counting(INT(0), c.word(Word.N_EVENTS)) as event:
            holds = c.call(self.holds, event)
            was = b.icmp_signed("!=", c.load(truth, event), INT(0))
            with c.only_if(b.and_(holds, b.not_(was))):
                c.return_if(c.call(self.enqueue, event), BIT(1))
            with c.only_if(b.and_(was, b.not_(holds))):
                kept = b.icmp_signed("!=", self._of_event(c, event, Happening.PERSISTENT), INT(0))
                with c.only_if(b.not_(kept)):
                    c.call(self.remove, event)
            c.store(b.zext(holds, INT), truth, event)
        c.return_(BIT(0))
        return c.function

    def _enqueue(self) -> ir.Function:
        """``enqueue(words, event)``: an event is triggered; whether there was no room."""
        c = self.parts.code("enqueue", INT, result=BIT)
        b, (event,) = c.b, c.arguments
        count = c.word(Word.N_PENDING)
        c.return_if(b.icmp_signed(">=", count, c.word(Word.PENDING_ROOM)), BIT(1))
        pending = self._pending(c, count)
        delay = c.variable(ZERO)
        formula = self._of_event(c, event, Happening.DELAY)
        with c.only_if(b.icmp_signed(">=", formula, INT(0))):
            delay.set(c.call(self.parts.value, formula))
        with c.only_if(b.not_(b.fcmp_ordered(">=", delay(), ZERO)), likely=False):
            self._fail(c, Failure.DELAY, event, delay())
        c.store(b.sitofp(event, DOUBLE), pending, INT(0))
        c.store(b.fadd(c.number(Word.TIME), delay()), pending, INT(1))
        now = b.icmp_signed("!=", self._of_event(c, event, Happening.AT_TRIGGER), INT(0))
        with c.only_if(now):
            self._evaluate(c, event, c.b.gep(pending, [INT(PENDING_HEAD)], source_etype=DOUBLE))
        c.set_word(Word.N_PENDING, c.plus(count, 1))
        c.return_(BIT(0))
        return c.function

    def _evaluate(self, c: Code, event: Any, target: Any) -> None:
        """The new values of an event, into memory."""
        first = self._of_event(c, event, Happening.FIRST)
        with c.counting(INT(0), self._of_event(c, event, Happening.COUNT)) as i:
            formula = self._entry(c, Word.ASSIGNED, c.b.add(first, i), Assigned.FORMULA)
            c.store(c.call(self.parts.value, formula), target, i)

    def _remove(self) -> ir.Function:
        """``remove(words, event)``: forget all that is pending of an event."""
        c = self.parts.code("remove", INT)
        b, kept = c.b, c.variable(INT(0))
        with self._all_pending(c) as (_, pending):
            stays = b.icmp_signed("!=", self._which(c, pending), c.arguments[0])
            with c.only_if(stays):
                self._copy(c, pending, self._pending(c, kept()))
                kept.set(c.plus(kept(), 1))
        c.set_word(Word.N_PENDING, kept())
        c.return_()
        return c.function

    def _copy(self, c: Code, source: Any, target: Any) -> None:
        with c.counting(INT(0), c.word(Word.PENDING_WIDTH)) as i:
            c.store(c.load(source, i, DOUBLE), target, i)

    def _fail(self, c: Code, failure: Failure, culprit: Any, value: Any) -> None:
        for word, what in ((Word.FAILED, INT(int(failure))), (Word.CULPRIT, culprit), (Word.VALUE, value)):
            c.set_word(word, what)

    # straight lines -----------------------------------------------------------------------------------------

    def _locate(self) -> ir.Function:
        """``locate(words, line)``: where a line crosses 0, and its sign now."""
        c = self.parts.code("locate", INT)
        b, (line,) = c.b, c.arguments
        cells, pieces, now = c.address(Word.CELLS), c.address(Word.PIECES), c.word(Word.NOW)
        piece = b.mul(c.word(Word.AT_PIECE), INT(PIECE))
        stop, start, level, slope = (c.load(pieces, c.plus(piece, i), DOUBLE) for i in range(4))
        kept = [c.load(cells, c.plus(now, i), DOUBLE) for i in range(2)]
        # without the input a line is the same in all pieces, and its root must be so to the last bit
        driven = b.icmp_signed("!=", self._entry(c, Word.LINES, line, Straight.DRIVEN), INT(0))
        origin = b.select(driven, start, ZERO)
        for i, value in ((INPUT, level), (CLOCK, origin), (SLOPE, slope)):
            c.store(value, cells, c.plus(now, i))
        height, rate = (
            c.call(self.parts.value, self._entry(c, Word.LINES, line, column))
            for column in (Straight.DIFFERENCE, Straight.RATE)
        )
        for i, value in enumerate(kept):
            c.store(value, cells, c.plus(now, i))
        time, root = c.number(Word.TIME), b.fsub(origin, b.fdiv(height, rate))
        crosses = b.and_(b.fcmp_ordered("<", root, INFINITY), b.fcmp_ordered(">", root, DOUBLE(-math.inf)))
        near = b.fcmp_ordered("<=", _distance(c, root, stop), b.fmul(stop, DOUBLE(SAME)))
        at_knot = b.and_(b.and_(driven, near), b.fcmp_ordered("<", stop, INFINITY))
        root = b.select(at_knot, b.select(b.fcmp_ordered("<", time, stop), INFINITY, root), root)
        later = b.select(b.fcmp_ordered("<", rate, ZERO), DOUBLE(-1.0), ONE)
        sign = b.select(b.fcmp_ordered("<", time, root), b.fneg(later), later)
        sign = b.select(b.fcmp_ordered("==", time, root), ZERO, sign)
        ahead = b.fcmp_ordered(">=", root, time)
        c.store(b.select(crosses, sign, height), cells, b.add(c.word(Word.SIGNS), line))
        c.store(b.select(b.and_(crosses, ahead), root, INFINITY), c.address(Word.ROOTS), line)
        c.store(later, c.address(Word.SLOPES), line)
        c.return_()
        return c.function

    def _pass_crossings(self, c: Code) -> Any:
        """Give lines that cross 0 now the sign that they have right after; a bit, whether there are any."""
        b, cells, roots, passed = c.b, c.address(Word.CELLS), c.address(Word.ROOTS), c.variable(BIT(0))
        with c.counting(INT(0), c.word(Word.N_LINES)) as line:
            now = b.fcmp_ordered("<=", c.load(roots, line, DOUBLE), c.number(Word.TIME))
            with c.only_if(now):
                after = c.load(c.address(Word.SLOPES), line, DOUBLE)
                c.store(after, cells, b.add(c.word(Word.SIGNS), line))
                c.store(INFINITY, roots, line)
                passed.set(BIT(1))
        return passed()

    def _locate_listed(self, c: Code, cause: Any) -> None:
        """Locate anew the lines that a cause changes."""
        tree = self.parts.tree(c)
        record = tree.record(cause)
        with c.counting(*tree.listed(record, Cause.LINES)) as i:
            c.call(self.locate, c.short(record, i))

    # execution ----------------------------------------------------------------------------------------------

    def _pick(self) -> ir.Function:
        """``pick(words)``: the pending event to execute now; -1 if there is none.

        The one with the greatest priority; one of them at random where several have it.
        """
        c = self.parts.code("pick", result=INT)
        b = c.b
        chosen, best, ties = c.variable(INT(-1)), c.variable(DOUBLE(-math.inf)), c.variable(ZERO)
        with self._all_pending(c) as (place, pending):
            due = b.fcmp_ordered("<=", c.load(pending, INT(1), DOUBLE), c.number(Word.TIME))
            with c.only_if(due):
                priority = self._priority(c, self._which(c, pending))
                first = b.icmp_signed("<", chosen(), INT(0))
                better = b.or_(first, b.fcmp_ordered(">", priority, best()))
                equal = b.and_(b.not_(better), b.fcmp_ordered("==", priority, best()))
                ties.set(b.select(better, ONE, b.select(equal, b.fadd(ties(), ONE), ties())))
                with c.only_if(equal):
                    drawn = b.fcmp_ordered("<", b.fmul(uniform(c), ties()), ONE)
                    chosen.set(b.select(drawn, place, chosen()))
                with c.only_if(better):
                    chosen.set(place)
                    best.set(priority)
        c.return_(chosen())
        return c.function

    def _priority(self, c: Code, event: Any) -> Any:
        """Of an event; less than any number where it has none."""
        formula, priority = self._of_event(c, event, Happening.PRIORITY), c.variable(DOUBLE(-math.inf))
        with c.only_if(c.b.icmp_signed(">=", formula, INT(0))):
            value = c.call(self.parts.value, formula)
            priority.set(c.b.select(c.b.fcmp_ordered("==", value, value), value, DOUBLE(-math.inf)))
        return priority()

    def _execute(self) -> ir.Function:
        """``execute(words, place)``: make the assignments of a pending event."""
        c = self.parts.code("execute", INT)
        b, (place,) = c.b, c.arguments
        pending, values = self._pending(c, place), c.address(Word.SCRATCH)
        event = self._which(c, pending)
        first, count = (self._of_event(c, event, column) for column in (Happening.FIRST, Happening.COUNT))
        noted = b.icmp_signed("!=", self._of_event(c, event, Happening.AT_TRIGGER), INT(0))
        with c.b.if_else(noted) as (then, otherwise):
            with then, c.counting(INT(0), count) as i:
                c.store(c.load(pending, c.plus(i, PENDING_HEAD), DOUBLE), values, i)
            with otherwise:
                self._evaluate(c, event, values)
        last = c.plus(c.word(Word.N_PENDING), -1)
        self._copy(c, self._pending(c, last), pending)
        c.set_word(Word.N_PENDING, last)
        cause = b.add(c.word(Word.N_LAWS), event)
        if self.integrals:
            c.call(self.integrals.touch, cause, c.number(Word.TIME))
        self._assign(c, first, count)
        c.return_if(failed(c))
        if self.program.logged:
            log(c, c.number(Word.TIME), b.sub(INT(-1), event))
        c.call(self.parts.refresh, cause)
        if self.program.lines:
            self._locate_listed(c, cause)
        c.return_()
        return c.function

    def _assign(self, c: Code, first: Any, count: Any) -> None:
        """New values from the scratch into the state, amounts as whole numbers."""
        b, values, cells = c.b, c.address(Word.SCRATCH), c.address(Word.CELLS)
        floor = c.b.module.declare_intrinsic("llvm.floor", [DOUBLE])
        with c.counting(INT(0), count) as i:
            row, value = b.add(first, i), c.load(values, i, DOUBLE)
            is_amount = b.icmp_signed("!=", self._entry(c, Word.ASSIGNED, row, Assigned.IS_AMOUNT), INT(0))
            whole = b.call(floor, [b.fadd(value, DOUBLE(0.5))])
            allowed = b.fmul(c.greater(whole, ONE), DOUBLE(_WHOLE))
            close = b.fcmp_ordered("<=", _distance(c, value, whole), allowed)
            close = b.and_(close, b.fcmp_ordered(">=", whole, ZERO))
            number = b.fcmp_ordered("<", _distance(c, value, ZERO), INFINITY)
            right = b.and_(number, b.or_(close, b.not_(is_amount)))
            with c.only_if(b.not_(right), likely=False):
                self._fail(c, Failure.ASSIGNED, row, value)
            new = b.select(is_amount, whole, value)
            c.store(new, cells, self._entry(c, Word.ASSIGNED, row, Assigned.CELL))

    def _cycle(self) -> ir.Function:
        """``cycle(words)``: everything that happens at this instant; whether there was no room for it."""
        c = self.parts.code("cycle", result=BIT)
        b = c.b
        look, done = b.append_basic_block("look"), b.append_basic_block("done")
        b.branch(look)
        b.position_at_end(look)
        c.return_if(c.call(self.check), BIT(1))
        c.return_if(failed(c), BIT(0))
        if self.program.logged:
            no_room = b.icmp_signed(">=", c.word(Word.LOGGED), c.word(Word.LOG_ROOM))
            with c.only_if(no_room):
                due = b.fcmp_ordered("<=", self._earliest(c, INFINITY), c.number(Word.TIME))
                c.return_if(due, BIT(1))
        place = c.call(self.pick)
        with c.only_if(b.icmp_signed(">=", place, INT(0))):
            executed = c.plus(c.word(Word.EXECUTED), 1)
            c.set_word(Word.EXECUTED, executed)
            with c.only_if(b.icmp_signed(">", executed, INT(_MOST_EXECUTED)), likely=False):
                event = self._which(c, self._pending(c, place))
                self._fail(c, Failure.ENDLESS, event, b.sitofp(executed, DOUBLE))
            c.call(self.execute, place)
            c.return_if(failed(c), BIT(0))
            b.branch(look)
        if self.program.lines:
            b.cbranch(self._pass_crossings(c), look, done)
        else:
            b.branch(done)
        b.position_at_end(done)
        c.return_(BIT(0))
        return c.function

    def _earliest(self, c: Code, instant: Any) -> Any:
        """The execution that is next, or an instant before it."""
        soonest = c.variable(instant)
        with self._all_pending(c) as (_, pending):
            soonest.set(c.lesser(soonest(), c.load(pending, INT(1), DOUBLE)))
        return soonest()

    # for the instants of attention --------------------------------------------------------------------------

    def next_instant(self, c: Code, instant: Any) -> Any:
        """An instant, or what happens before it: an execution, or a line that crosses 0."""
        soonest = c.variable(self._earliest(c, instant))
        if self.program.lines:
            with c.counting(INT(0), c.word(Word.N_LINES)) as line:
                soonest.set(c.lesser(soonest(), c.load(c.address(Word.ROOTS), line, DOUBLE)))
        return soonest()

    def touched(self, c: Code, cause: Any) -> Any:
        """A bit, whether a firing has changed a trigger; what follows from it is not yet done."""
        if self.program.driven:
            c.call(self.parts.move, c.number(Word.TIME), c.word(Word.NOW))
        if self.program.lines:
            self._locate_listed(c, cause)
        b, tree, changed = c.b, self.parts.tree(c), c.variable(BIT(0))
        record, truth = tree.record(cause), c.address(Word.TRUTH)
        with c.counting(*tree.listed(record, Cause.TRIGGERS)) as i:
            event = c.short(record, i)
            was = b.icmp_signed("!=", c.load(truth, event), INT(0))
            changed.set(b.or_(changed(), b.icmp_unsigned("!=", was, c.call(self.holds, event))))
        return changed()

    def _start(self) -> ir.Function:
        """``start(words)``: before time 0."""
        c = self.parts.code("start")
        with c.counting(INT(0), c.word(Word.N_EVENTS)) as event:
            c.store(self._of_event(c, event, Happening.INITIAL), c.address(Word.TRUTH), event)
        for word in (Word.N_PENDING, Word.EXECUTED):
            c.set_word(word, INT(0))
        with c.counting(INT(0), c.word(Word.N_LINES)) as line:
            c.call(self.locate, line)
        c.return_()
        return c.function

    def _arrive(self) -> ir.Function:
        """``arrive(words, knot)``: at an instant of attention, perhaps where another piece begins."""
        c = self.parts.code("arrive", BIT)
        b = c.b
        c.set_word(Word.EXECUTED, INT(0))
        with c.counting(INT(0), c.word(Word.N_LINES)) as line:
            driven = b.icmp_signed("!=", self._entry(c, Word.LINES, line, Straight.DRIVEN), INT(0))
            root = c.load(c.address(Word.ROOTS), line, DOUBLE)
            with c.only_if(b.fcmp_ordered("<=", root, c.number(Word.TIME))):
                c.store(ZERO, c.address(Word.CELLS), b.add(c.word(Word.SIGNS), line))
            with c.only_if(b.and_(driven, c.arguments[0])):
                c.call(self.locate, line)
        c.return_()
        return c.function


def _distance(c: Code, x: Any, y: Any) -> Any:
    return c.b.call(c.b.module.declare_intrinsic("llvm.fabs", [DOUBLE]), [c.b.fsub(x, y)])


def uniform(c: Code) -> Any:
    """A draw from [0, 1) of the trajectory's own stream."""
    v, zero = c.v, ir.Constant(ir.IntType(32), 0)
    undefined = ir.Constant(v.ints, ir.Undefined)
    state = [c.b.insert_element(undefined, c.load(c.words, INT(Word.STREAM + i)), zero) for i in range(4)]
    draw, state = v.xoshiro(state)
    for i, word in enumerate(state):
        c.store(c.b.extract_element(word, zero), c.words, INT(Word.STREAM + i))
    return c.b.extract_element(v.fraction(draw), zero)
