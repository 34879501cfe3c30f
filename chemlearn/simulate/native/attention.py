"""What happens to one lane outside the stream of firings: outputs, knots of the signal, ends and beginnings.

Built as two functions that the hot loop calls. ``attend`` serves a lane whose next firing is not before its
next instant of attention. ``tidy`` fills the lanes that have ended with waiting trajectories and, when none
are left, closes the gaps, so that the last trajectories of a block do not drag empty lanes along.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from chemlearn.simulate.native.layout import LANES, Layout, Word
from chemlearn.simulate.native.vectors import BIT, DOUBLE, INT

POINTER = ir.PointerType()
Integrals = Callable[["Scalars", Any, Any, Any], list[Any]]
_UNROLLED = 32  # up to as many species the copying of a state is written out


class Scalars:
    """Plain instructions on the run and on single lanes."""

    def __init__(self, builder: ir.IRBuilder, run: Any, layout: Layout) -> None:
        self.builder, self.run, self.layout = builder, run, layout
        self.state = self.address(Word.STATE)

    def word(self, word: Word) -> Any:
        return self.builder.load(self.at(self.run, INT(int(word))), typ=INT)

    def set_word(self, word: Word, value: Any) -> None:
        self.builder.store(value, self.at(self.run, INT(int(word))))

    def address(self, word: Word) -> Any:
        return self.builder.load(self.at(self.run, INT(int(word))), typ=POINTER)

    def at(self, base: Any, index: Any) -> Any:
        """The address of a 64-bit word of an array."""
        return self.builder.gep(base, [index], source_etype=INT)

    def cell(self, row: int | Any, lane: Any) -> Any:
        """The address of a row's word in a lane."""
        first = INT(row * LANES) if isinstance(row, int) else self.builder.mul(row, INT(LANES))
        return self.at(self.state, self.builder.add(first, lane))

    def get(self, row: int, lane: Any, kind: Any = DOUBLE) -> Any:
        return self.builder.load(self.cell(row, lane), typ=kind)

    def put(self, row: int, lane: Any, value: Any) -> None:
        self.builder.store(value, self.cell(row, lane))

    @contextmanager
    def counting(self, count: int | Any) -> Iterator[Any]:
        """A loop over 0 ... count − 1, for a count of at least 1."""
        b = self.builder
        before = b.block
        body, after = b.append_basic_block("each"), b.append_basic_block("all")
        b.branch(body)
        b.position_at_end(body)
        index = b.phi(INT)
        index.add_incoming(INT(0), before)
        yield index
        following = b.add(index, INT(1))
        index.add_incoming(following, b.block)
        end = INT(count) if isinstance(count, int) else count
        b.cbranch(b.icmp_unsigned("<", following, end), body, after)
        b.position_at_end(after)

    def copy_in(self, row: int, count: int, source: Any, lane: Any) -> None:
        """Words of an array into rows of a lane."""

        def copy(i: Any) -> None:
            value = self.builder.load(self.at(source, i), typ=INT)
            self.builder.store(value, self.cell(self.builder.add(INT(row), i), lane))

        self._each(count, copy)

    def copy_out(self, count: int, lane: Any, target: Any) -> None:
        """The first rows of a lane into an array."""

        def copy(i: Any) -> None:
            self.builder.store(self.builder.load(self.cell(i, lane), typ=INT), self.at(target, i))

        self._each(count, copy)

    def _each(self, count: int, do: Any) -> None:
        if count > _UNROLLED:
            with self.counting(count) as i:
                do(i)
        else:
            for k in range(count):
                do(INT(k))


def lesser(b: ir.IRBuilder, x: Any, y: Any) -> Any:
    return b.select(b.fcmp_ordered("<", x, y), x, y)


def enter_piece(s: Scalars, lane: Any, piece: Any) -> None:
    """Let a lane follow the straight piece of the signal at an address."""
    layout = s.layout
    s.put(layout.piece, lane, s.builder.ptrtoint(piece, INT))
    s.put(layout.stop, lane, s.builder.load(piece, typ=DOUBLE))
    s.put(layout.start, lane, s.builder.load(s.at(piece, INT(1)), typ=DOUBLE))
    s.copy_in(layout.drives, layout.n_piece, s.at(piece, INT(2)), lane)


def await_next(s: Scalars, lane: Any) -> None:
    """Set the lane's next instant of attention: an output time or the end of the piece."""
    output = s.get(s.layout.output, lane, INT)
    time = s.builder.load(s.at(s.address(Word.TIMES), output), typ=DOUBLE)
    s.put(s.layout.attention, lane, lesser(s.builder, time, s.get(s.layout.stop, lane)))


def build_attend(
    module: ir.Module, layout: Layout, nothing_fires: int, integrals: Integrals | None = None
) -> ir.Function:
    """``attend(run, lane)``.

    Parameters
    ----------
    nothing_fires : int
        The offset that changes no amount.
    integrals : callable, optional
        Builds the integrals of the propensities of a lane from one time to another, in the order of their
        rows, where they are recorded.
    """
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER, INT]), "attend")
    run, lane = function.args
    b = ir.IRBuilder(function.append_basic_block())
    s = Scalars(b, run, layout)
    due = s.get(layout.time, lane)  # when the next firing would be
    working = b.icmp_signed(">=", s.get(layout.trajectory, lane, INT), INT(0))
    lost = b.fcmp_unordered("<", due, DOUBLE(0.0))  # marked so by a check, or not a number
    with b.if_then(b.and_(working, lost)):
        s.set_word(Word.FAILED, b.add(lane, INT(1)))
    with b.if_then(b.or_(b.not_(working), lost)):
        s.put(layout.chosen, lane, INT(nothing_fires))
        b.ret_void()
    stop = s.get(layout.stop, lane)
    with b.if_else(_report(s, lane, lesser(b, due, stop), integrals)) as (ended, goes_on):
        with ended:
            _end(s, lane, nothing_fires)
        with goes_on:
            with b.if_then(b.fcmp_ordered(">=", due, stop)):
                # nothing fired before the knot; the process has no memory, so it starts anew there
                s.put(layout.time, lane, stop)
                s.put(layout.chosen, lane, INT(nothing_fires))
                here = b.inttoptr(s.get(layout.piece, lane, INT), POINTER)
                enter_piece(s, lane, s.at(here, INT(2 + layout.n_piece)))
            await_next(s, lane)
    b.ret_void()
    return function


def _report(s: Scalars, lane: Any, until: Any, integrals: Integrals | None) -> Any:
    """Write the amounts at the output times up to an instant; whether these were the last."""
    b, layout = s.builder, s.layout
    times, count = s.address(Word.TIMES), s.word(Word.N_TIMES)
    row = b.mul(s.get(layout.trajectory, lane, INT), count)
    result, recorded = s.address(Word.RESULT), s.word(Word.N_RECORDED)
    first = s.get(layout.output, lane, INT)
    before = b.block
    check, write, done = (b.append_basic_block(n) for n in ("check", "write", "reported"))
    b.branch(check)
    b.position_at_end(check)
    i = b.phi(INT)
    i.add_incoming(first, before)
    time = b.load(s.at(times, i), typ=DOUBLE)  # a nan stands after the last and ends the loop
    b.cbranch(b.fcmp_ordered("<=", time, until), write, done)
    b.position_at_end(write)
    target = s.at(result, b.mul(b.add(row, i), recorded))
    s.copy_out(layout.n_reported, lane, target)
    if integrals is not None:
        since = s.get(layout.since, lane)
        for number, value in enumerate(integrals(s, lane, since, time)):
            so_far = s.get(layout.integrated + number, lane)
            b.store(b.fadd(so_far, value), s.at(target, INT(layout.integrated + number)))
    i.add_incoming(b.add(i, INT(1)), b.block)
    b.branch(check)
    b.position_at_end(done)
    s.put(layout.output, lane, i)
    return b.icmp_signed("==", i, count)


def _end(s: Scalars, lane: Any, nothing_fires: int) -> None:
    """The lane's trajectory is complete."""
    b, layout = s.builder, s.layout
    steps = b.sub(s.word(Word.SWEEPS), s.get(layout.born, lane, INT))
    with b.if_then(b.icmp_signed(">", steps, s.word(Word.LIMIT))):
        s.set_word(Word.FAILED, b.add(lane, INT(1)))
    s.put(layout.trajectory, lane, INT(-1))
    s.put(layout.chosen, lane, INT(nothing_fires))
    # until the lane is filled again it steps along with its neighbours, for ever before its attention is due
    s.put(layout.time, lane, DOUBLE(-math.inf))
    s.put(layout.attention, lane, DOUBLE(math.inf))
    s.set_word(Word.IDLE, INT(1))


def build_tidy(module: ir.Module, layout: Layout) -> ir.Function:
    """``tidy(run)``: between two steps, give every idle lane a trajectory or close its gap."""
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER]), "tidy")
    (run,) = function.args
    b = ir.IRBuilder(function.append_basic_block())
    s = Scalars(b, run, layout)
    s.set_word(Word.IDLE, INT(0))
    before = b.block
    check, look, fill, close, following, done = (
        b.append_basic_block(n) for n in ("check", "look", "fill", "close", "next", "done")
    )
    b.branch(check)
    b.position_at_end(check)
    lane = b.phi(INT)
    lane.add_incoming(INT(0), before)
    b.cbranch(b.icmp_signed("<", lane, s.word(Word.ACTIVE)), look, done)
    b.position_at_end(look)
    idle = b.icmp_signed("<", s.get(layout.trajectory, lane, INT), INT(0))
    waiting = s.word(Word.WAITING)
    more = b.icmp_signed("<", waiting, s.word(Word.N_TRAJECTORIES))
    otherwise = b.append_basic_block("otherwise")
    b.cbranch(b.and_(idle, more), fill, otherwise)
    b.position_at_end(otherwise)
    b.cbranch(idle, close, following)
    b.position_at_end(fill)
    _begin(s, lane, waiting)
    b.branch(following)
    b.position_at_end(close)
    last = b.sub(s.word(Word.ACTIVE), INT(1))
    s.set_word(Word.ACTIVE, last)
    with s.counting(layout.n_rows) as row:
        b.store(b.load(s.cell(row, last), typ=INT), s.cell(row, lane))
    s.put(layout.trajectory, last, INT(-1))
    s.put(layout.time, last, DOUBLE(-math.inf))
    s.put(layout.attention, last, DOUBLE(math.inf))
    lane.add_incoming(lane, b.block)  # what has moved here may be idle itself
    b.branch(check)
    b.position_at_end(following)
    lane.add_incoming(b.add(lane, INT(1)), b.block)
    b.branch(check)
    b.position_at_end(done)
    b.ret_void()
    return function


def _begin(s: Scalars, lane: Any, trajectory: Any) -> None:
    """Put a trajectory at its start into a lane."""
    b, layout = s.builder, s.layout
    s.set_word(Word.WAITING, b.add(trajectory, INT(1)))
    s.put(layout.trajectory, lane, trajectory)
    s.put(layout.born, lane, s.word(Word.SWEEPS))
    s.copy_in(0, layout.nothing, s.address(Word.INITIAL), lane)
    s.copy_in(layout.stream, 4, s.at(s.address(Word.STREAMS), b.mul(trajectory, INT(4))), lane)
    s.put(layout.time, lane, DOUBLE(0.0))
    s.put(layout.output, lane, INT(0))
    enter_piece(s, lane, s.address(Word.PIECES))
    await_next(s, lane)


__all__ = ["BIT", "POINTER", "Scalars", "build_attend", "build_tidy"]
