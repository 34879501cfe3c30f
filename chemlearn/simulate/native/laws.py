"""Rate laws made ready for the hot loop: what is constant taken out, what must be watched found.

In a prepared law only four kinds of names are left: ``X0, X1, ...`` are amounts, ``K0, K1, ...`` what
depends on constants only (computed once per run), ``D0, D1, ...`` what depends on the input and constants
only and is affine along every piece of the signal (computed once per piece), and ``T0, T1, ...`` what depends
on them in any other way (bounded once per piece, computed where that is not enough). A plan holds no values,
so that all parameter values share its machine code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import filterfalse

from chemlearn.expression import (
    ONE,
    ZERO,
    Expr,
    derivative,
    is_affine,
    number,
    operation,
    substitute,
    symbol,
    symbols,
)
from chemlearn.network import Network


@dataclass(frozen=True)
class Plan:
    """Everything that the machine code of a network depends on; equal plans share it.

    Parameters
    ----------
    laws : tuple of Expr
        Propensities in X, K and D; those that the input moves come last.
    slopes : tuple of Expr
        Their time derivatives along a ramp, in X, K, D and ``G0, G1, ...``, the time derivatives of D; all 0
        where the signal has constant pieces only.
    changes : tuple of tuple of (int, float)
        Species and net change by one firing of each.
    watched : frozenset of int
        Reactions whose propensity is not known to stay at 0 or above: checked at every step.
    short : tuple of (int, int, float)
        Reaction, species, amount: the reaction takes that much of the species and its law is not known to be
        0 when there is less; checked at every step.
    n_species, n_constants, n_drives : int
    ramped : bool
        Whether the input ever moves other than by jumps.
    thinned : bool
        Whether it then moves a law that is not affine in it, so that waiting times come from thinning.
    order : tuple of int
        The reactions' numbers in the network.
    moved : tuple of Expr
        What T0, T1, ... are, in K and D0, the input itself.
    negative : frozenset of str
        The K and T that can be negative; needed where laws are bounded.
    counted, integrated : bool
        Whether firings of every reaction of the network are counted, and propensities integrated over time.
    logged : bool
        Whether every firing is written down.
    """

    laws: tuple[Expr, ...]
    slopes: tuple[Expr, ...]
    changes: tuple[tuple[tuple[int, float], ...], ...]
    watched: frozenset[int]
    short: tuple[tuple[int, int, float], ...]
    n_species: int
    n_constants: int
    n_drives: int
    ramped: bool
    thinned: bool
    order: tuple[int, ...] = ()
    moved: tuple[Expr, ...] = ()
    negative: frozenset[str] = frozenset()
    counted: bool = False
    integrated: bool = False
    logged: bool = False

    @property
    def first_driven(self) -> int:
        """The first reaction that a ramp moves."""
        moving = (
            slope != ZERO or _kinds(law, "T") for slope, law in zip(self.slopes, self.laws, strict=True)
        )
        return next((i for i, moves in enumerate(moving) if moves), len(self.laws))


class Prepared:
    """The laws of a network in prepared form.

    Parameters
    ----------
    network : Network
    input : str or None
        The constant that the signal drives, if any.
    ramped : bool
        Whether it ever moves other than by jumps.
    every : bool
        Whether reactions that change nothing are kept, to be counted.

    Attributes
    ----------
    laws : list of Expr
        In the order of ``order``, the reactions' numbers in the network.
    constants, drives, moved : list of Expr
        What K0, K1, ..., D0, D1, ... and T0, T1, ... stand for, in names of the network.
    """

    def __init__(self, network: Network, input: str | None, ramped: bool, *, every: bool = False) -> None:
        self.network, self.input, self.ramped = network, input, ramped
        self.thinned = ramped and not all(is_affine(r.law, input or "") for r in network.reactions)
        self.places = {name: symbol(f"X{i}") for i, name in enumerate(network.species)}
        self.constants: list[Expr] = []
        self.drives: list[Expr] = [symbol(input)] if self.thinned and input else []
        self.moved: list[Expr] = []
        prepared = [self._prepare(r.law) for r in network.reactions]
        # those that change nothing would only take time
        changing = [i for i in range(len(prepared)) if every or self._change(i)]
        self.order = sorted(changing, key=lambda i: _kinds(prepared[i], "T" if self.thinned else "D"))
        self.laws = [prepared[i] for i in self.order]
        self.exact = tuple(self._of_input(tree) for tree in self.moved)  # may hold further constants

    def plan(self, negative: frozenset[str], **recorded: bool) -> Plan:
        """The plan for a run in which the named K and D can be negative; ``recorded`` beside the amounts."""
        changes = tuple(self._change(i) for i in self.order)
        watched = frozenset(i for i, law in enumerate(self.laws) if not never_negative(law, negative))
        short = tuple(
            (i, species, -change)
            for i, law in enumerate(self.laws)
            for species, change in changes[i]
            if change < 0 and not vanishes_below(law, species, -change)
        )
        return Plan(
            laws=tuple(self.laws),
            slopes=tuple(self._slope(law) for law in self.laws),
            changes=changes,
            watched=watched,
            short=short,
            n_species=len(self.network.species),
            moved=self.exact,
            negative=negative if self.thinned else frozenset(),
            n_constants=len(self.constants),
            n_drives=len(self.drives),
            ramped=self.ramped,
            thinned=self.thinned,
            order=tuple(self.order) if any(recorded.values()) else (),
            **recorded,
        )

    def _change(self, reaction: int) -> tuple[tuple[int, float], ...]:
        net = self.network.reactions[reaction].net()
        return tuple((i, net[n]) for i, n in enumerate(self.network.species) if n in net)

    def _slope(self, law: Expr) -> Expr:
        if not self.ramped or self.thinned:
            return ZERO
        terms = (derivative(law, f"D{j}") * symbol(f"G{j}") for j in range(len(self.drives)))
        return reduce(Expr.__add__, terms, ZERO)

    def _prepare(self, tree: Expr) -> Expr:
        if tree.op == "number":
            return tree
        if not symbols(tree) & self.places.keys():
            return self._held(tree)
        if tree.op == "symbol":
            return self.places[tree.name]
        if tree.op in ("*", "/"):
            return self._product(tree)
        return operation(tree.op, [self._prepare(a) for a in tree.args])

    def _product(self, tree: Expr) -> Expr:
        """A product of one held factor and of other factors, over the other divisors."""
        above, below = factors(tree)
        held = reduce(Expr.__mul__, filterfalse(self._has_species, above), ONE)
        held = reduce(Expr.__truediv__, filterfalse(self._has_species, below), held)
        parts = [self._prepare(f) for f in above if self._has_species(f)]
        divisors = [self._prepare(f) for f in below if self._has_species(f)]
        if held != ONE or not parts:
            parts.insert(0, self._held(held))
        product = reduce(Expr.__mul__, parts)
        return product / reduce(Expr.__mul__, divisors) if divisors else product

    def _has_species(self, tree: Expr) -> bool:
        return bool(symbols(tree) & self.places.keys())

    def _of_input(self, tree: Expr) -> Expr:
        """A tree of the input and constants, in K and D0."""
        if self.input not in symbols(tree):
            return tree if tree.op == "number" else self._held(tree)
        if tree.op == "symbol":
            return symbol("D0")
        return operation(tree.op, [self._of_input(a) for a in tree.args])

    def _held(self, tree: Expr) -> Expr:
        """The name that stands for a tree without species."""
        kind, known = "K", self.constants
        if self.input in symbols(tree):
            kind, known = ("T", self.moved) if self.thinned else ("D", self.drives)
        if tree not in known:
            known.append(tree)
        return symbol(f"{kind}{known.index(tree)}")


def factors(tree: Expr) -> tuple[list[Expr], list[Expr]]:
    """What a product multiplies, and what it divides by."""
    if tree.op not in ("*", "/"):
        return [tree], []
    (above, below), (other_above, other_below) = (factors(a) for a in tree.args)
    if tree.op == "/":
        other_above, other_below = other_below, other_above
    return above + other_above, below + other_below


def never_negative(tree: Expr, negative: frozenset[str]) -> bool:
    """Whether a prepared law is at 0 or above at all whole amounts ≥ 0.

    ``negative`` names the K and D that can be below 0. Judged by the form, so False may be too strict.
    """

    def fine(t: Expr) -> bool:
        return never_negative(t, negative)

    args = tree.args
    match tree.op:
        case "number":
            return tree.value >= 0
        case "symbol":
            return tree.name not in negative
        case "*" | "/":
            above, below = factors(tree)
            return all(map(fine, _without_falling(above))) and all(map(fine, _without_falling(below)))
        case "+" | "min" | "sqrt" | "floor" | "ceil":
            return tree.op == "sqrt" or all(map(fine, args))
        case "max":
            return any(map(fine, args))
        case "if":
            return fine(args[1]) and fine(args[2])
        case "^":
            return fine(args[0]) or (args[1].op == "number" and args[1].value % 2 == 0)
    return tree.op in ("exp", "abs", "cosh", "<", "<=", ">", ">=", "==", "!=", "and", "or", "not")


def _without_falling(parts: Sequence[Expr]) -> list[Expr]:
    """Factors without those of X(X − 1)(X − 2)…: their product is at 0 or above at whole X ≥ 0."""
    held = set(parts)

    def falls(part: Expr) -> bool:
        if part.op != "-" or part.args[1].op != "number" or part.args[0] not in held:
            return False
        base, steps = part.args[0], part.args[1].value
        lesser = (base - number(k) for k in range(1, int(steps)))
        return base.name.startswith("X") and steps == int(steps) > 0 and all(p in held for p in lesser)

    return [p for p in parts if not falls(p)]


def vanishes_below(law: Expr, species: int, amount: float) -> bool:
    """Whether a law is 0 by its form at every whole amount of a species below the given one."""
    if amount > 8:  # nobody writes such a law; the check at every step is always right
        return False
    lower = range(int(-(-amount // 1)))
    return all(substitute(law, {f"X{species}": number(x)}) == ZERO for x in lower)


def _kinds(tree: Expr, kind: str) -> bool:
    """Whether names of a kind occur in a prepared law."""
    return any(re.match(rf"{kind}\d", name) for name in symbols(tree))


def possibly_negative(values: Mapping[str, float]) -> frozenset[str]:
    """Names whose least value is below 0 or unknown."""
    return frozenset(name for name, value in values.items() if not value >= 0)
