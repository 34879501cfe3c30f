"""How the symbols of prepared laws are read, and what the laws make over time while the amounts stay."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir

from chemlearn.expression import Expr
from chemlearn.simulate.native.attention import Scalars
from chemlearn.simulate.native.groups import groups_of
from chemlearn.simulate.native.laws import Plan
from chemlearn.simulate.native.layout import Layout, Word
from chemlearn.simulate.native.vectors import INT, Formulas, Vectors

#: places and weights on 0 ... 1 of Gauss's rules, by number of points: exact up to degree 1, and 5
GAUSS = {
    1: ((0.5, 1.0),),
    3: ((0.5 - 0.15**0.5, 5 / 18), (0.5, 8 / 18), (0.5 + 0.15**0.5, 5 / 18)),
}


_FIRST = ir.Constant(ir.IntType(32), 0)


class Reading:
    """The laws of a plan at any time, for a vector of lanes or for one.

    Parameters
    ----------
    plan : Plan
    layout : Layout
    vectors : Vectors
    row : callable
        Reads a row of the table of lanes, as a vector of doubles.
    constant : callable
        Reads a constant by its number, likewise.
    """

    def __init__(
        self,
        plan: Plan,
        layout: Layout,
        vectors: Vectors,
        row: Callable[[int], Any],
        constant: Callable[[int], Any],
    ) -> None:
        self.plan, self.layout, self.v, self.b = plan, layout, vectors, vectors.builder
        self.row, self.constant = row, constant

    def at(self, time: Any) -> Formulas:
        """The laws at a time on the lane's straight piece of the signal."""
        plan, layout = self.plan, self.layout
        names: dict[str, Callable[[], Any]] = {}
        for i in range(plan.n_species):
            names[f"X{i}"] = partial(self.row, i)
        for i in range(plan.n_constants + len(groups_of(plan).constants)):
            names[f"K{i}"] = partial(self.constant, i)
        for j in range(plan.n_drives):
            names[f"D{j}"] = partial(self._drive, j, time)
            names[f"G{j}"] = partial(self.row, layout.slopes + j)
        for j, tree in enumerate(plan.moved):
            names[f"T{j}"] = partial(self._moved, tree, time)
        return Formulas(self.v, names)

    def integrals(self, begin: Any, end: Any) -> list[Any]:
        """∫ of every propensity from one time to another on the same piece, while the amounts stay.

        In closed form where it is constant or affine, and else by Gauss's rule of three points: the pieces
        are short enough for that.
        """
        b, v, plan = self.b, self.v, self.plan
        lapse = b.fsub(end, begin)
        start = self.at(begin)
        held = [b.fmul(start(law), lapse) for law in plan.laws[: plan.first_driven]]
        places = GAUSS[3 if plan.thinned else 1]
        nodes = [self.at(b.fadd(begin, b.fmul(lapse, v.number(place)))) for place, _ in places]
        driven = []
        for law in plan.laws[plan.first_driven :]:
            parts = [b.fmul(node(law), v.number(w)) for node, (_, w) in zip(nodes, places, strict=True)]
            total = parts[0]
            for part in parts[1:]:
                total = b.fadd(total, part)
            driven.append(b.fmul(total, lapse))
        return held + driven

    def _moved(self, tree: Expr, time: Any) -> Any:
        """What the input makes of itself."""
        return self.at(time)(tree)

    def _drive(self, j: int, time: Any) -> Any:
        """What depends on the input."""
        start = self.row(self.layout.drives + j)
        if not self.plan.ramped:
            return start
        since = self.b.fsub(time, self.row(self.layout.start))
        return self.b.fadd(start, self.b.fmul(self.row(self.layout.slopes + j), since))


def of_lane(plan: Plan, s: Scalars, lane: Any) -> Reading:
    """Of a single lane, in vectors of one number."""
    b, v = s.builder, Vectors(s.builder, 1)
    constants = s.address(Word.CONSTANTS)

    def row(number: int) -> Any:
        return b.load(s.cell(number, lane), align=8, typ=v.doubles)

    def constant(number: int) -> Any:
        return b.load(s.at(constants, INT(number)), align=8, typ=v.doubles)

    return Reading(plan, s.layout, v, row, constant)


def alone(b: ir.IRBuilder, value: Any) -> Any:
    """A vector of one number."""
    return b.insert_element(ir.Constant(ir.VectorType(value.type, 1), ir.Undefined), value, _FIRST)


def only(b: ir.IRBuilder, vector: Any) -> Any:
    """The number of a vector of one."""
    return b.extract_element(vector, _FIRST)
