"""Integrated propensities: for every law the integral up to an instant, brought forward only when it is due.

What a firing or an event does not change goes on as it was; so a law's integral is brought forward to an
instant right before the state that it reads changes, and at the knots of the signal if it moves. At output
times it is completed without being brought forward: the results do not depend on the other output times.

Between these instants a law is constant; or straight in time, then its value in the middle tells; or it goes
in strides of a length that has served before, and by quadrature over each of them.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from chemlearn.simulate.sparse.code import DOUBLE, INT, Code
from chemlearn.simulate.sparse.layout import BEGIN, Cause, Curve, Word
from chemlearn.simulate.sparse.program import Parts, failed
from chemlearn.simulate.sparse.quadrature import Quadrature, of_piece

_FIRST_STRIDE = 1.0 / 256  # of the first straight piece
_LEAST_STRIDE = 2.0**-40  # of the time at the piece's end
ZERO, HALF = DOUBLE(0.0), DOUBLE(0.5)


class Integrals:
    """Functions for integrated propensities.

    Parameters
    ----------
    parts : Parts
    """

    def __init__(self, parts: Parts) -> None:
        self.parts, self.program = parts, parts.program
        self.quadrature = Quadrature(parts) if self.program.moved else None
        self.reset = self._reset()
        self.moved = None if self.quadrature is None else self._moved(self.quadrature)
        self.touch = self._touch()
        self.catch_up = self._catch_up()
        self.complete = self._complete()

    def _reset(self) -> ir.Function:
        """``reset(words)``: nothing has been integrated yet."""
        c = self.parts.code("reset")
        stride = c.b.fmul(c.number(Word.STOP), DOUBLE(_FIRST_STRIDE))
        with c.counting(INT(0), c.word(Word.N_LAWS)) as law:
            self._keep(c, law, ZERO, ZERO)
            c.store(stride, c.address(Word.STRIDES), law)
        c.return_()
        return c.function

    def _moved(self, quadrature: Quadrature) -> ir.Function:
        """``moved(words, law, until)``: what a law that moves adds from where its integral has come to.

        Whole strides are brought in at once, as the instants at which they end do not depend on who asks.
        """
        c = self.parts.code("moved", INT, DOUBLE, result=DOUBLE)
        b, (law, until) = c.b, c.arguments
        since = c.variable(self._since(c, law))
        lapse = b.fsub(until, since())
        c.return_if(b.not_(b.fcmp_ordered(">", lapse, ZERO)), ZERO)
        with c.only_if(self._straight(c, law)):
            quadrature.place(c, b.fadd(since(), b.fmul(lapse, HALF)), BEGIN)
            c.return_(b.fmul(c.call(quadrature.at, law), lapse))
        if not self.program.bent:
            b.unreachable()
            return c.function
        stride = c.variable(c.load(c.address(Word.STRIDES), law, DOUBLE))
        with c.while_(lambda: b.fcmp_ordered("<=", b.fadd(since(), stride()), until)):
            end = b.fadd(since(), stride())
            more = c.call(quadrature.stretch, law, since(), end)
            c.return_if(failed(c), ZERO)
            self._keep(c, law, end, b.fadd(self._integral(c, law), more))
            cut = b.icmp_signed("!=", c.word(Word.HALVED), INT(0))
            shorter = c.greater(b.fmul(stride(), HALF), b.fmul(c.number(Word.STOP), DOUBLE(_LEAST_STRIDE)))
            stride.set(b.select(cut, shorter, b.fadd(stride(), stride())))
            c.store(stride(), c.address(Word.STRIDES), law)
            since.set(end)
        c.return_if(b.not_(b.fcmp_ordered("<", since(), until)), ZERO)
        c.return_(c.call(quadrature.stretch, law, since(), until))
        return c.function

    def _straight(self, c: Code, law: Any) -> Any:
        """A bit, whether a law that moves is straight in time, or constant, along this piece."""
        b, curve = c.b, c.short(c.address(Word.CURVES), law)
        rests = b.fcmp_ordered("==", of_piece(c, 3), ZERO)
        counts = b.select(rests, INT(Curve.TIMED), INT(Curve.BENT))
        return b.icmp_signed("==", b.and_(curve, counts), INT(0))

    def _touch(self) -> ir.Function:
        """``touch(words, cause, now)``: bring forward what a cause is about to change."""
        c = self.parts.code("touch", INT, DOUBLE)
        cause, now = c.arguments
        tree = self.parts.tree(c)
        record = tree.record(cause)
        with c.counting(*tree.listed(record, Cause.DEPENDENTS)) as i:
            self._bring(c, c.short(record, i), now)
        c.return_()
        return c.function

    def _catch_up(self) -> ir.Function:
        """``catch_up(words, now)``: bring forward what moves, at the end of a piece."""
        c = self.parts.code("catch_up", DOUBLE)
        with c.counting(c.word(Word.FIRST_MOVED), c.word(Word.N_LAWS)) as law:
            self._bring(c, law, c.arguments[0])
        c.return_()
        return c.function

    def _complete(self) -> ir.Function:
        """``complete(words, until, place)``: write the integrals up to an output time into the result."""
        c = self.parts.code("complete", DOUBLE, INT)
        b, (until, place) = c.b, c.arguments
        result, order = c.address(Word.RESULT), c.address(Word.ORDER)
        with c.counting(INT(0), c.word(Word.N_LAWS)) as law:
            more = self._more(c, law, until)  # which may bring in strides
            value = b.fadd(self._integral(c, law), more)
            c.store(value, result, b.add(place, c.short(order, law)))
        c.return_()
        return c.function

    def _bring(self, c: Code, law: Any, now: Any) -> None:
        more = self._more(c, law, now)
        self._keep(c, law, now, c.b.fadd(self._integral(c, law), more))

    def _more(self, c: Code, law: Any, until: Any) -> Any:
        """What a law adds from where its integral has come to; 0 for an instant before that."""
        b = c.b
        constant = c.load(c.address(Word.PROPENSITIES), law, DOUBLE)
        lapse = c.greater(b.fsub(until, self._since(c, law)), ZERO)
        if self.moved is None:
            return b.fmul(constant, lapse)
        more = c.variable(ZERO)
        with b.if_else(b.icmp_signed(">=", law, c.word(Word.FIRST_MOVED))) as (then, otherwise):
            with then:
                more.set(c.call(self.moved, law, until))
            with otherwise:
                more.set(b.fmul(constant, lapse))
        return more()

    def _since(self, c: Code, law: Any) -> Any:
        return c.load(c.address(Word.INTEGRALS), c.b.shl(law, INT(1)), DOUBLE)

    def _integral(self, c: Code, law: Any) -> Any:
        return c.load(c.address(Word.INTEGRALS), c.plus(c.b.shl(law, INT(1)), 1), DOUBLE)

    def _keep(self, c: Code, law: Any, since: Any, integral: Any) -> None:
        place, kept = c.b.shl(law, INT(1)), c.address(Word.INTEGRALS)
        c.store(since, kept, place)
        c.store(integral, kept, c.plus(place, 1))
