"""What happens outside the stream of firings: beginnings, outputs, knots of the signal, windows, ends."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from chemlearn.simulate.sparse.code import DOUBLE, INFINITY, INT, Code
from chemlearn.simulate.sparse.formulas import ROOT
from chemlearn.simulate.sparse.happenings import SAME, Happenings
from chemlearn.simulate.sparse.integrals import Integrals
from chemlearn.simulate.sparse.layout import DRIVES, PIECE, Failure, Word
from chemlearn.simulate.sparse.program import Parts, fail_if, failed

#: what to do next: the firing that is due, a new draw, another trajectory, or return to Python
GO_ON, ANEW, NEXT, LEAVE = (INT(i) for i in range(4))


_PARTS = 1024  # of what is left of a piece: a law that has no bound for one of them is infinite there


class Attention:
    """Functions for instants of attention; those that return an integer say what to do next."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.program = parts, parts.program
        self.integrals = Integrals(parts) if parts.program.integrated else None
        self.happenings = Happenings(parts, self.integrals) if parts.program.events else None
        self.open_window = self._open_window()
        self.set_attention = self._set_attention()
        self.report = self._report()
        self.settle = self._settle()
        self.begin = self._begin()
        self.narrow = self._narrow()
        self.look_ahead = self._look_ahead() if parts.program.moved else None
        self.attend = self._attend()
        self.fired = self._fired(self.happenings) if self.happenings else None

    def _open_window(self) -> ir.Function:
        """``open_window(words, first)``: bounds that hold from now on, of the laws from one on."""
        c = self.parts.code("open_window", INT)
        b, now = c.b, c.number(Word.TIME)
        end = c.lesser(b.fadd(now, c.number(Word.WINDOW)), c.number(Word.STOP))
        c.set_word(Word.WINDOW_END, end)
        c.set_word(Word.LENGTH, b.fsub(end, now))
        c.set_word(Word.REJECTED, INT(0))
        c.call(self.parts.move, end, c.plus(c.word(Word.NOW), DRIVES))
        c.call(self.parts.renew, c.arguments[0])
        c.return_()
        return c.function

    def _set_attention(self) -> ir.Function:
        c = self.parts.code("set_attention")
        instant = c.number(Word.STOP)
        if self.program.moved:
            instant = c.lesser(instant, c.number(Word.WINDOW_END))
        if self.happenings:
            instant = self.happenings.next_instant(c, instant)
        c.set_word(Word.INSTANT, instant)
        self._await_output(c, instant)
        c.return_()
        return c.function

    def _await_output(self, c: Code, instant: Any) -> None:
        """Attention is due at an instant, or at the output before it."""
        output = c.load(c.address(Word.TIMES), c.word(Word.OUTPUT), DOUBLE)
        c.set_word(Word.ATTENTION, c.lesser(output, instant))

    def _report(self) -> ir.Function:
        """``report(words, until)``: write the state at the output times before an instant."""
        c = self.parts.code("report", DOUBLE)
        b, (until,) = c.b, c.arguments
        cells, times, result = (c.address(w) for w in (Word.CELLS, Word.TIMES, Word.RESULT))
        width, copied = c.word(Word.N_RECORDED), c.word(Word.N_COPIED)
        first = b.mul(c.word(Word.TRAJECTORY), c.word(Word.N_TIMES))
        output = c.variable(c.word(Word.OUTPUT))
        # a nan stands after the last time and ends the loop
        with c.while_(lambda: b.fcmp_ordered("<", c.load(times, output(), DOUBLE), until)):
            row = b.mul(b.add(first, output()), width)
            with c.counting(INT(0), copied) as i:
                c.store(c.load(cells, i, DOUBLE), result, b.add(row, i))
            if self.integrals:
                c.call(self.integrals.complete, c.load(times, output(), DOUBLE), b.add(row, copied))
            output.set(c.plus(output(), 1))
        c.set_word(Word.OUTPUT, output())
        c.return_()
        return c.function

    def _settle(self) -> ir.Function:
        """``settle(words)``: execute the events of this instant and see what is next."""
        c = self.parts.code("settle", result=INT)
        b = c.b
        if self.happenings:
            full = c.call(self.happenings.cycle)
            c.set_word(Word.UNFINISHED, b.zext(full, INT))
            c.return_if(b.or_(full, failed(c)), LEAVE)
        with c.only_if(b.icmp_signed("!=", c.word(Word.CLOSING), INT(0)), likely=False):
            c.call(self.report, INFINITY)
            too_many = b.icmp_signed(">", c.word(Word.FIRED), c.word(Word.LIMIT))
            fail_if(c, too_many, Failure.TOO_LONG)
            c.set_word(Word.TRAJECTORY, c.plus(c.word(Word.TRAJECTORY), 1))
            c.return_(NEXT)
        c.call(self.set_attention)
        c.return_(ANEW)
        return c.function

    def _begin(self) -> ir.Function:
        """``begin(words)``: put the trajectory at its start."""
        c = self.parts.code("begin", result=INT)
        b, cells = c.b, c.address(Word.CELLS)
        with c.counting(INT(0), c.word(Word.N_COPIED)) as i:
            c.store(c.load(c.address(Word.INITIAL), i, DOUBLE), cells, i)
        stream = b.mul(c.word(Word.TRAJECTORY), INT(4))
        for i in range(4):
            c.store(c.load(c.address(Word.STREAMS), c.plus(stream, i)), c.words, INT(Word.STREAM + i))
        for word in (Word.OUTPUT, Word.AT_PIECE, Word.LOOKED, Word.FIRED, Word.CLOSING):
            c.set_word(word, INT(0))
        c.set_word(Word.TIME, DOUBLE(0.0))
        stop = c.load(c.address(Word.PIECES), INT(0), DOUBLE)
        c.set_word(Word.STOP, stop)
        c.set_word(Word.WINDOW, stop)
        if self.integrals:
            c.call(self.integrals.reset)
        if self.program.driven:
            c.call(self.parts.move, DOUBLE(0.0), c.word(Word.NOW))
        c.call(self.open_window if self.program.moved else self.parts.renew, INT(0))
        c.return_if(failed(c), LEAVE)
        if self.happenings:
            c.call(self.happenings.start)
        c.return_(c.call(self.settle))
        return c.function

    def _look_ahead(self) -> ir.Function:
        """``look_ahead(words)``: fail where a law is infinite further along the piece, the state as it is.

        There would be no end of firings before it. Looked for once in every piece, when first a window has no
        bound.
        """
        c = self.parts.code("look_ahead")
        b, now, cell = c.b, c.number(Word.TIME), c.word(Word.NOW)
        piece = c.plus(c.word(Word.AT_PIECE), 1)
        c.return_if(b.icmp_signed("==", c.word(Word.LOOKED), piece))
        c.set_word(Word.LOOKED, piece)
        part = b.fmul(b.fsub(c.number(Word.STOP), now), DOUBLE(1.0 / _PARTS))
        with c.counting(INT(0), INT(_PARTS)) as i:
            begin = b.fadd(now, b.fmul(b.sitofp(i, DOUBLE), part))
            c.call(self.parts.move, begin, cell)
            c.call(self.parts.move, b.fadd(begin, part), c.plus(cell, DRIVES))
            c.call(self.parts.renew, c.word(Word.FIRST_MOVED))
            c.set_word(Word.FAILED, INT(0))  # what is below 0 may no longer be so when its time comes
            total = c.load(c.address(Word.BOUNDS), ROOT, DOUBLE)
            with c.only_if(b.not_(b.fcmp_ordered("<", total, INFINITY)), likely=False):
                c.set_word(Word.FAILED, INT(int(Failure.UNBOUNDED)))
                c.return_()
        c.call(self.parts.move, now, cell)
        c.return_()
        return c.function

    def _narrow(self) -> ir.Function:
        """``narrow(words)``: bounds over half as long a window, for those there are do not serve."""
        c = self.parts.code("narrow", result=INT)
        b = c.b
        if not self.program.moved:
            c.set_word(Word.FAILED, INT(int(Failure.BROKEN)))
            c.return_(LEAVE)
            return c.function
        now, half = c.number(Word.TIME), b.fmul(c.number(Word.LENGTH), DOUBLE(0.5))
        c.set_word(Word.WINDOW, half)
        c.call(self.open_window, c.word(Word.FIRST_MOVED))
        fail_if(c, b.fcmp_ordered("<=", b.fadd(now, half), now), Failure.UNBOUNDED)
        c.call(self.set_attention)
        c.return_(b.select(failed(c), LEAVE, ANEW))
        return c.function

    def _attend(self) -> ir.Function:
        """``attend(words, due)``: the next firing is not before the next instant of attention."""
        c = self.parts.code("attend", DOUBLE, result=INT)
        b, (due,) = c.b, c.arguments
        total = c.load(c.address(Word.BOUNDS), ROOT, DOUBLE)
        with c.only_if(b.not_(b.fcmp_ordered("<", total, INFINITY)), likely=False):
            if self.program.moved:
                c.call(self.look_ahead)
                c.return_if(failed(c), LEAVE)
            c.return_(c.call(self.narrow))
        instant = c.number(Word.INSTANT)
        # an output that is meant to be at the instant itself shows what is then
        before = b.fmul(instant, DOUBLE(1.0 - SAME))
        # and one that is at the firing to the last bit is behind it, or it would be awaited for ever
        behind = b.bitcast(c.plus(b.bitcast(due, INT), 1), DOUBLE)
        c.call(self.report, b.select(b.fcmp_ordered("<", due, instant), behind, before))
        if self.integrals and self.program.bent:
            c.return_if(failed(c), LEAVE)
        with c.only_if(b.fcmp_ordered("<", due, instant)):
            self._await_output(c, instant)
            c.return_(GO_ON)
        c.set_word(Word.TIME, instant)
        c.set_word(Word.FIRED, c.plus(c.word(Word.FIRED), 1))
        knot = b.fcmp_ordered(">=", instant, c.number(Word.STOP))
        with c.only_if(knot):
            if self.integrals and self.program.moved:
                c.call(self.integrals.catch_up, instant)
            self._enter_piece(c)
        if self.program.driven:
            c.call(self.parts.move, instant, c.word(Word.NOW))
        if self.program.moved:
            self._go_on_bounding(c, instant, knot)
            c.return_if(failed(c), LEAVE)
        if self.happenings:
            c.call(self.happenings.arrive, knot)
        c.return_(c.call(self.settle))
        return c.function

    def _enter_piece(self, c: Code) -> None:
        """Follow the next straight piece of the signal; the last one only tells what holds at the end."""
        piece = c.plus(c.word(Word.AT_PIECE), 1)
        c.set_word(Word.AT_PIECE, piece)
        c.set_word(Word.STOP, c.load(c.address(Word.PIECES), c.b.mul(piece, INT(PIECE)), DOUBLE))
        last = c.b.icmp_signed("==", c.plus(piece, 1), c.word(Word.N_PIECES))
        c.set_word(Word.CLOSING, c.b.zext(last, INT))

    def _go_on_bounding(self, c: Code, instant: Any, knot: Any) -> None:
        """A new window, twice as long where hardly any candidate was in vain."""
        b = c.b
        over = b.or_(knot, b.fcmp_ordered(">=", instant, c.number(Word.WINDOW_END)))
        goes_on = b.icmp_signed("==", c.word(Word.CLOSING), INT(0))
        with c.only_if(b.and_(over, goes_on)):
            few = b.icmp_signed("<=", b.shl(c.word(Word.REJECTED), INT(1)), c.word(Word.MOST_REJECTED))
            window = c.number(Word.WINDOW)
            c.set_word(Word.WINDOW, b.select(b.and_(few, b.not_(knot)), b.fadd(window, window), window))
            c.call(self.open_window, c.word(Word.FIRST_MOVED))

    def _fired(self, happenings: Happenings) -> ir.Function:
        """``fired(words, cause)``: what a firing means for events."""
        c = self.parts.code("fired", INT, result=INT)
        with c.only_if(happenings.touched(c, c.arguments[0])):
            c.set_word(Word.EXECUTED, INT(0))
            c.return_(c.call(self.settle))
        if self.program.lines:
            c.call(self.set_attention)
        c.return_(GO_ON)
        return c.function
