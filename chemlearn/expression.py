"""Rate laws as small immutable trees: differentiated exactly, turned into NumPy code, written as formulas.

One form serves everything that must look inside a law: the checks before a stochastic run, the Jacobian of
the linear response, and the propensities handed to an engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chemlearn.errors import ModelError

TIME = "time"  #: the symbol that stands for simulated time


@dataclass(frozen=True, slots=True)
class Expr:
    """One node: a number, a symbol, or an operation on other nodes.

    Parameters
    ----------
    op : str
        ``"number"``, ``"symbol"``, an arithmetic sign (``^`` is the power), a comparison, ``"and"``,
        ``"or"``, ``"not"``, ``"min"``, ``"max"``, ``"if"`` (condition, value, otherwise) or a name in
        :data:`FUNCTIONS`.
    args : tuple of Expr
    value : float
        Of a number.
    name : str
        Of a symbol.

    Notes
    -----
    The arithmetic operators build trees and fold constants as they go, so that a derivative that vanishes
    comes out as the number 0.
    """

    op: str
    args: tuple[Expr, ...] = ()
    value: float = 0.0
    name: str = ""

    def __add__(self, other: Expr) -> Expr:
        if self.op == other.op == "number":
            return number(self.value + other.value)
        if self == ZERO:
            return other
        return self if other == ZERO else Expr("+", (self, other))

    def __sub__(self, other: Expr) -> Expr:
        if self.op == other.op == "number":
            return number(self.value - other.value)
        if other == ZERO:
            return self
        return ZERO if self == other else Expr("-", (self, other))

    def __mul__(self, other: Expr) -> Expr:
        if self.op == other.op == "number":
            return number(self.value * other.value)
        if ZERO in (self, other):
            return ZERO
        if self == ONE:
            return other
        return self if other == ONE else Expr("*", (self, other))

    def __truediv__(self, other: Expr) -> Expr:
        if self.op == other.op == "number" and other.value != 0:
            return number(self.value / other.value)
        if self == ZERO and other != ZERO:
            return ZERO
        return self if other == ONE else Expr("/", (self, other))

    def __pow__(self, other: Expr) -> Expr:
        if other == ZERO:
            return ONE
        if other == ONE:
            return self
        if self.op == other.op == "number" and (
            self.value > 0 or (self.value < 0 and other.value.is_integer())
        ):
            try:
                return number(self.value**other.value)
            except OverflowError:
                pass  # left as it stands: evaluating it gives inf where it is used
        return Expr("^", (self, other))

    def __neg__(self) -> Expr:
        return number(-1) * self

    def __str__(self) -> str:
        return infix(self)


def number(value: float) -> Expr:
    """A constant."""
    return Expr("number", value=float(value))


def symbol(name: str) -> Expr:
    """A named quantity."""
    return Expr("symbol", name=name)


def call(name: str, *args: Expr) -> Expr:
    """A function, comparison or choice applied to its arguments; folded where all are numbers."""
    tree = Expr(name, args)
    if all(a.op == "number" for a in args):
        with np.errstate(all="ignore"):  # what is not finite stays as it stands
            folded = float(compile_expressions([tree], [])([])[0])
        return number(folded) if math.isfinite(folded) else tree
    if name == "if" and args[1] == args[2]:
        return args[1]
    return tree


ZERO, ONE, TWO = number(0), number(1), number(2)
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")

#: functions of one argument: their NumPy name and their derivative, as a tree in the argument
FUNCTIONS: dict[str, tuple[str, Callable[[Expr], Expr]]] = {
    "exp": ("exp", lambda a: call("exp", a)),
    "ln": ("log", lambda a: ONE / a),
    "log10": ("log10", lambda a: ONE / (number(math.log(10)) * a)),
    "sqrt": ("sqrt", lambda a: number(0.5) / call("sqrt", a)),
    "abs": ("abs", lambda a: call("if", call("<", a, ZERO), number(-1), ONE)),
    "floor": ("floor", lambda a: ZERO),
    "ceil": ("ceil", lambda a: ZERO),
    "sin": ("sin", lambda a: call("cos", a)),
    "cos": ("cos", lambda a: -call("sin", a)),
    "tan": ("tan", lambda a: ONE + call("tan", a) ** TWO),
    "sinh": ("sinh", lambda a: call("cosh", a)),
    "cosh": ("cosh", lambda a: call("sinh", a)),
    "tanh": ("tanh", lambda a: ONE - call("tanh", a) ** TWO),
    "arcsin": ("arcsin", lambda a: ONE / call("sqrt", ONE - a**TWO)),
    "arccos": ("arccos", lambda a: -ONE / call("sqrt", ONE - a**TWO)),
    "arctan": ("arctan", lambda a: ONE / (ONE + a**TWO)),
}


def symbols(tree: Expr) -> frozenset[str]:
    """Names that occur in a tree (simulated time as :data:`TIME`)."""
    if tree.op == "symbol":
        return frozenset((tree.name,))
    return frozenset().union(*map(symbols, tree.args))


def substitute(tree: Expr, replacements: Mapping[str, Expr]) -> Expr:
    """The tree with symbols replaced by trees, folding what becomes constant."""
    if tree.op == "symbol":
        return replacements.get(tree.name, tree)
    if not tree.args:
        return tree
    return operation(tree.op, [substitute(a, replacements) for a in tree.args])


def operation(op: str, args: Sequence[Expr]) -> Expr:
    """A node of any kind, folding what is constant."""
    match op:
        case "+":
            return args[0] + args[1]
        case "-":
            return args[0] - args[1]
        case "*":
            return args[0] * args[1]
        case "/":
            return args[0] / args[1]
        case "^":
            return args[0] ** args[1]
    return call(op, *args)


def derivative(tree: Expr, name: str) -> Expr:
    """Exact partial derivative with respect to a symbol; the jumps of ``floor``, ``if`` and ``abs`` are left
    out.
    """
    if name not in symbols(tree):
        return ZERO
    if tree.op == "symbol":
        return ONE
    a = tree.args[0]
    if tree.op == "if":
        return call("if", a, derivative(tree.args[1], name), derivative(tree.args[2], name))
    da = derivative(a, name)
    if tree.op in FUNCTIONS:
        return FUNCTIONS[tree.op][1](a) * da
    if len(tree.args) == 1 or tree.op in COMPARISONS or tree.op in ("and", "or"):
        return ZERO
    b = tree.args[1]
    db = derivative(b, name)
    match tree.op:
        case "+":
            return da + db
        case "-":
            return da - db
        case "*":
            return da * b + a * db
        case "/":
            return da / b - a * db / b**TWO
        case "^":
            if db == ZERO:
                return b * a ** (b - ONE) * da
            return tree * (db * call("ln", a) + b * da / a)
        case "min":
            return call("if", call("<", a, b), da, db)
        case "max":
            return call("if", call(">", a, b), da, db)
    raise AssertionError(f"no derivative of {tree.op}")


def is_affine(tree: Expr, *names: str) -> bool:
    """Whether the tree is linear or constant in symbols together everywhere (no products among them); judged
    by its form, so False may be too strict.
    """

    def moves(part: Expr) -> bool:
        return not symbols(part).isdisjoint(names)

    if not moves(tree) or tree.op == "symbol":
        return True
    if tree.op == "if":
        return not moves(tree.args[0]) and all(is_affine(a, *names) for a in tree.args[1:])
    if tree.op in ("+", "-"):
        return all(is_affine(a, *names) for a in tree.args)
    if tree.op == "*":
        return sum(map(moves, tree.args)) == 1 and all(is_affine(a, *names) for a in tree.args)
    return tree.op == "/" and not moves(tree.args[1]) and is_affine(tree.args[0], *names)


# --- as code ------------------------------------------------------------------------------------------------


def compile_expressions(
    trees: Sequence[Expr], variables: Sequence[str]
) -> Callable[[Sequence[Any]], list[Any]]:
    """A function that evaluates all trees on NumPy arrays.

    Parameters
    ----------
    trees : sequence of Expr
    variables : sequence of str
        Names, in the order in which their values will be given.

    Returns
    -------
    callable
        ``f(values)``: one array (or float) per variable, broadcastable, gives one array (or float) per tree.

    Raises
    ------
    ModelError
        When a tree uses a name that is not among the variables.
    """
    places = {name: f"v[{i}]" for i, name in enumerate(variables)}
    body = ", ".join(_numpy_source(tree, places) for tree in trees)
    namespace = {f"_{name}": getattr(np, name) for name, _ in FUNCTIONS.values()}
    namespace |= {"_where": np.where, "_min": np.minimum, "_max": np.maximum, "_pow": np.power}
    namespace |= {"_and": np.logical_and, "_or": np.logical_or, "_not": np.logical_not}
    function = eval(f"lambda v: [{body}]", namespace)  # the text comes from our own trees only
    return function


def _numpy_source(tree: Expr, places: Mapping[str, str]) -> str:
    if tree.op == "number":
        return f"({tree.value!r})" if math.isfinite(tree.value) else f"float('{tree.value}')"
    if tree.op == "symbol":
        if tree.name not in places:
            raise ModelError(f"the name {tree.name!r} has no value; the known names are {', '.join(places)}")
        return places[tree.name]
    args = [_numpy_source(a, places) for a in tree.args]
    if tree.op in FUNCTIONS:
        return f"_{FUNCTIONS[tree.op][0]}({args[0]})"
    match tree.op:
        case "if":
            return f"_where({', '.join(args)})"
        case "min" | "max" | "and" | "or" | "not":
            return f"_{tree.op}({', '.join(args)})"
        case "^":
            # small whole powers as products: exact, and much faster than pow
            if tree.args[1] == TWO:
                return f"({args[0]}*{args[0]})"
            return f"_pow(1.0*{args[0]}, {args[1]})"
    return f"({args[0]}{tree.op}{args[1]})"


def infix(tree: Expr) -> str:
    """The tree as an SBML Level 3 formula, which libSBML and Antimony read back."""
    if tree.op == "number":
        return f"{tree.value:.17g}" if tree.value >= 0 else f"({tree.value:.17g})"
    if tree.op == "symbol":
        return tree.name
    args = [infix(a) for a in tree.args]
    if tree.op == "if":  # what has no "otherwise" is read as not a number there
        missing = tree.args[2].op == "number" and math.isnan(tree.args[2].value)
        return f"piecewise({', '.join((args[1], args[0], args[2])[: 2 if missing else 3])})"
    if tree.op == "and":
        return f"({args[0]} && {args[1]})"
    if tree.op == "or":
        return f"({args[0]} || {args[1]})"
    if tree.op == "not":
        return f"!({args[0]})"
    if len(tree.args) == 2 and tree.op not in ("min", "max"):
        return f"({args[0]} {tree.op} {args[1]})"
    return f"{tree.op}({', '.join(args)})"
