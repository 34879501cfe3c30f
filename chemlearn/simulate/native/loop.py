"""The hot loop: Gillespie's direct method in lock-step lanes, as one LLVM function per plan."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir

from chemlearn.simulate.native.attention import POINTER, Scalars, build_attend, build_tidy
from chemlearn.simulate.native.changes import change_table, layout_of, nothing_fires
from chemlearn.simulate.native.laws import Plan
from chemlearn.simulate.native.layout import Layout, Word
from chemlearn.simulate.native.reading import alone, of_lane, only
from chemlearn.simulate.native.step import Step
from chemlearn.simulate.native.thinning import ThinnedStep, build_weigh
from chemlearn.simulate.native.vectors import INT

WIDE = 16  #: lanes in one vector: two registers of 512 bits side by side hide each other's latencies
NARROW = 1  #: for a trajectory or two, which would leave most lanes of a vector idle


def build_module(plan: Plan, width: int) -> ir.Module:
    """``run(words)``: steps until nothing is left, something failed, or sweep ``Word.END`` is reached."""
    module = ir.Module(name="native")
    layout = layout_of(plan)
    table = change_table(module, plan, layout)
    integrals = partial(_integrals, plan) if plan.integrated else None
    attend = build_attend(module, layout, nothing_fires(plan), integrals)

    weigh = build_weigh(module, plan, layout) if plan.thinned else None

    def step(s: Scalars, first: Any, constants: Any) -> None:
        kind = ThinnedStep if plan.thinned else Step
        kind(s, plan, first, width, constants, table, attend, weigh).build()

    build_run(module, layout, width, step)
    return module


def _integrals(plan: Plan, s: Scalars, lane: Any, begin: Any, end: Any) -> list[Any]:
    """Integrals of the propensities of one lane, in the order of the network."""
    b = s.builder
    made = of_lane(plan, s, lane).integrals(alone(b, begin), alone(b, end))
    return [only(b, value) for _, value in sorted(zip(plan.order, made, strict=True), key=lambda p: p[0])]


def build_run(
    module: ir.Module, layout: Layout, width: int, step: Callable[[Scalars, Any, Any], None]
) -> None:
    """The loop around one step of a vector of lanes.

    Parameters
    ----------
    step : callable
        Builds a step, called as ``step(scalars, first_lane, constants)``.
    """
    tidy = build_tidy(module, layout)
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
    count = b.udiv(b.add(s.word(Word.ACTIVE), INT(width - 1)), INT(width))
    with s.counting(count) as number:
        step(s, b.mul(number, INT(width)), constants)
    s.set_word(Word.SWEEPS, b.add(s.word(Word.SWEEPS), INT(1)))
    failed = b.icmp_signed("!=", s.word(Word.FAILED), INT(0))
    idle = b.icmp_signed("!=", s.word(Word.IDLE), INT(0))
    b.cbranch(b.and_(idle, b.not_(failed)), tidying, check)  # what has failed stays where it is

    b.position_at_end(done)
    b.ret_void()
