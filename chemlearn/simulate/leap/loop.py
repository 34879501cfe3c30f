"""The machine code of a leaping run, from memory where it has been made before."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from llvmlite import ir

from chemlearn.simulate.leap.layout import layout_of
from chemlearn.simulate.leap.rule import Leaps
from chemlearn.simulate.leap.step import Step
from chemlearn.simulate.leap.tau import TauStep
from chemlearn.simulate.leap.variates import build_normal, build_poisson
from chemlearn.simulate.native.attention import Scalars, build_attend
from chemlearn.simulate.native.compiled import Compiled, compiling
from chemlearn.simulate.native.loop import build_run

WIDE, NARROW = 16, 8  #: lanes in one vector
_MANY = 10  # reactions from which on wide vectors run no faster, and take twice as long to compile


@lru_cache(maxsize=64)
def _compiled(leaps: Leaps) -> Compiled:
    few = len(leaps.plan.laws) < _MANY
    return Compiled.of_module(build_module(leaps, WIDE if few else NARROW))


def compiled(leaps: Leaps) -> Compiled:
    """The machine code of leaps; made once per process."""
    with compiling:
        return _compiled(leaps)


def build_module(leaps: Leaps, width: int) -> ir.Module:
    """``run(words)``, the loop of the exact engine around another step.

    Results do not depend on ``width``, the number of lanes in one vector.
    """
    module = ir.Module(name="leap")
    layout = layout_of(leaps)
    attend = build_attend(module, layout, 0)
    draw = (build_normal if leaps.normal else build_poisson)(module, width)
    kind = Step if leaps.normal else TauStep

    def step(scalars: Scalars, first: Any, constants: Any) -> None:
        kind(scalars, leaps, width, first, constants, draw, attend).build()

    build_run(module, layout, width, step)
    return module
