"""Formulas by their shape: those that differ in their symbols only share one piece of machine code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chemlearn.expression import ONE, ZERO, Expr, is_affine, symbol, symbols
from chemlearn.simulate.native.laws import factors, never_negative

_KEPT = (-2.0, -1.0, 0.0, 1.0, 2.0)  # numbers that stay in a shape; all others are operands


@dataclass(frozen=True)
class Shape:
    """What a formula is but for its operands.

    Parameters
    ----------
    tree : Expr
        In ``X0, X1, ...`` (state), ``K0, ...`` (constants), ``D0, ...`` (what moves) and ``A0, ...`` (signs),
        numbered as they occur.
    negative : frozenset of str
        Those of its symbols that can be below 0; needed for laws that move.
    """

    tree: Expr
    negative: frozenset[str] = frozenset()

    @property
    def moved(self) -> tuple[str, ...]:
        """Its symbols whose values change between firings."""
        return tuple(sorted(name for name in symbols(self.tree) if name.startswith("D")))

    @property
    def watched(self) -> bool:
        """Whether a law of this shape that moves might go below 0."""
        return not self.never_negative(self.tree)

    def never_negative(self, part: Expr) -> bool:
        """Whether a part of the tree is known to stay at 0 or above."""
        return never_negative(part, self.negative)

    @property
    def straight(self) -> bool:
        """Whether it is linear in what moves, taken together."""
        return is_affine(self.tree, *self.moved)


#: a b (c − d): all mass action up to the second order, k, k X, k X Y and k X (X − 1), without a branch
PRODUCT = Shape(symbol("K0") * symbol("X0") * (symbol("X1") - symbol("X2")))


@dataclass(frozen=True)
class Formula:
    """A shape and what stands in its places: symbols and numbers, in the order of :func:`places`."""

    shape: Shape
    operands: tuple[Expr, ...]


def places(tree: Expr) -> list[str]:
    """Names of a shape's symbols, in the order in which they occur."""
    if tree.op == "symbol":
        return [tree.name]
    return list(dict.fromkeys(name for part in tree.args for name in places(part)))


def formula(tree: Expr, negative: frozenset[str] = frozenset()) -> Formula:
    """A prepared law, or any other formula, as shape and operands.

    ``negative`` names what can be below 0; it matters where a law moves.
    """
    operands = _product(tree)
    if operands is not None:
        return Formula(PRODUCT, operands)
    known: dict[Expr, Expr] = {}
    shape = Shape(_abstract(tree, known))
    if shape.moved:
        below = frozenset(made.name for operand, made in known.items() if _negative(operand, negative))
        shape = Shape(shape.tree, below)
    return Formula(shape, tuple(known))


def _negative(operand: Expr, negative: frozenset[str]) -> bool:
    return not operand.value >= 0 if operand.op == "number" else operand.name in negative


def _product(tree: Expr) -> tuple[Expr, ...] | None:
    """a, b, c, d of a product a b (c − d); None for anything else, and for what moves."""
    above, below = factors(tree)
    plain = [f for f in above if _is_operand(f)]
    shifted = [f for f in above if f.op == "-" and all(map(_is_operand, f.args))]
    if below or len(plain) + len(shifted) < len(above) or any(n.startswith("D") for n in symbols(tree)):
        return None
    if len(shifted) > 1 or len(plain) > 3 - len(shifted):
        return None
    last = shifted[0].args if shifted else (plain.pop() if len(plain) == 3 else ONE, ZERO)
    first = (*plain, ONE, ONE)[:2]
    return (*first, *last)


def _is_operand(tree: Expr) -> bool:
    return tree.op in ("symbol", "number")


def _abstract(tree: Expr, known: dict[Expr, Expr]) -> Expr:
    """The tree with numbered symbols; ``known`` collects what they stand for."""
    if tree.op == "number" and tree.value in _KEPT:
        return tree
    if _is_operand(tree):
        return known.setdefault(tree, _next(tree, known))
    if tree.op == "^" and tree.args[1].op == "number":  # a known exponent makes better code
        return Expr("^", (_abstract(tree.args[0], known), tree.args[1]))
    return Expr(tree.op, tuple(_abstract(a, known) for a in tree.args))


def _next(operand: Expr, known: dict[Expr, Expr]) -> Expr:
    kind = operand.name[0] if operand.op == "symbol" else "K"
    return symbol(f"{kind}{sum(made.name[0] == kind for made in known.values())}")


def grouped(formulas: Sequence[Formula]) -> tuple[Shape, ...]:
    """The shapes that occur, in a fixed order, so that equal sets of shapes share their machine code."""
    found = dict.fromkeys(f.shape for f in formulas)
    return tuple(sorted(found, key=lambda shape: (shape != PRODUCT, str(shape.tree), sorted(shape.negative))))
