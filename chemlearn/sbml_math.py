"""The mathematics of SBML, libSBML's trees, read as :class:`~chemlearn.expression.Expr`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

import libsbml

from chemlearn.errors import ModelError
from chemlearn.expression import ONE, TIME, TWO, ZERO, Expr, call, number, operation, substitute, symbol

# Once tellurium has loaded libSEDML, trees come back as that library's ASTNode, whose methods fail; libSBML's
# own, called by name, take both.
_Node = libsbml.ASTNode

_BINARY = {
    libsbml.AST_DIVIDE: "/",
    libsbml.AST_POWER: "^",
    libsbml.AST_FUNCTION_POWER: "^",
}
_UNARY = {
    libsbml.AST_FUNCTION_EXP: "exp",
    libsbml.AST_FUNCTION_LN: "ln",
    libsbml.AST_FUNCTION_ABS: "abs",
    libsbml.AST_FUNCTION_FLOOR: "floor",
    libsbml.AST_FUNCTION_CEILING: "ceil",
    libsbml.AST_FUNCTION_SIN: "sin",
    libsbml.AST_FUNCTION_COS: "cos",
    libsbml.AST_FUNCTION_TAN: "tan",
    libsbml.AST_FUNCTION_SINH: "sinh",
    libsbml.AST_FUNCTION_COSH: "cosh",
    libsbml.AST_FUNCTION_TANH: "tanh",
    libsbml.AST_FUNCTION_ARCSIN: "arcsin",
    libsbml.AST_FUNCTION_ARCCOS: "arccos",
    libsbml.AST_FUNCTION_ARCTAN: "arctan",
    libsbml.AST_LOGICAL_NOT: "not",
}
_FOLDED = {
    libsbml.AST_FUNCTION_MIN: "min",
    libsbml.AST_FUNCTION_MAX: "max",
    libsbml.AST_LOGICAL_AND: "and",
    libsbml.AST_LOGICAL_OR: "or",
}
_COMPARED = {
    libsbml.AST_RELATIONAL_LT: "<",
    libsbml.AST_RELATIONAL_LEQ: "<=",
    libsbml.AST_RELATIONAL_GT: ">",
    libsbml.AST_RELATIONAL_GEQ: ">=",
    libsbml.AST_RELATIONAL_EQ: "==",
    libsbml.AST_RELATIONAL_NEQ: "!=",
}
_CONSTANTS = {
    libsbml.AST_CONSTANT_E: math.e,
    libsbml.AST_CONSTANT_PI: math.pi,
    libsbml.AST_CONSTANT_TRUE: 1.0,
    libsbml.AST_CONSTANT_FALSE: 0.0,
    libsbml.AST_NAME_AVOGADRO: 6.02214076e23,
}


def from_sbml(node: Any, functions: Mapping[str, Any] | None = None) -> Expr:
    """Read a libSBML ``ASTNode``; function definitions are inlined.

    Parameters
    ----------
    node : libsbml.ASTNode
    functions : mapping of str to libsbml.ASTNode, optional
        The model's function definitions: id to ``lambda`` node.

    Raises
    ------
    ModelError
        For mathematics that no engine here can take (delays, ``rateOf``, random draws, unknown functions).
    """
    functions = functions or {}
    kind = _Node.getType(node)
    children = _children(node)
    if kind == libsbml.AST_FUNCTION:
        return _inlined(node, children, functions)
    if kind == libsbml.AST_FUNCTION_PIECEWISE:
        args = [from_sbml(c, functions) for c in children]
        otherwise = args.pop() if len(args) % 2 else number(math.nan)
        pairs = list(zip(args[::2], args[1::2], strict=True))
        return reduce(lambda rest, pair: call("if", pair[1], pair[0], rest), reversed(pairs), otherwise)
    if kind in (libsbml.AST_INTEGER, libsbml.AST_REAL, libsbml.AST_REAL_E, libsbml.AST_RATIONAL):
        return number(_Node.getInteger(node) if kind == libsbml.AST_INTEGER else _Node.getReal(node))
    if kind == libsbml.AST_NAME:
        return symbol(_Node.getName(node))
    if kind == libsbml.AST_NAME_TIME:
        return symbol(TIME)
    if kind in _CONSTANTS:
        return number(_CONSTANTS[kind])
    args = [from_sbml(c, functions) for c in children]
    if kind == libsbml.AST_PLUS:
        return reduce(Expr.__add__, args, ZERO)
    if kind == libsbml.AST_TIMES:
        return reduce(Expr.__mul__, args, ONE)
    if kind == libsbml.AST_MINUS:
        return -args[0] if len(args) == 1 else args[0] - args[1]
    if kind in _BINARY:
        return operation(_BINARY[kind], args)
    if kind in _UNARY:
        return call(_UNARY[kind], args[0])
    if kind in _FOLDED and args:
        return reduce(lambda a, b: call(_FOLDED[kind], a, b), args)
    if kind in _COMPARED and len(args) >= 2:
        links = [call(_COMPARED[kind], a, b) for a, b in pairwise(args)]
        return reduce(lambda a, b: call("and", a, b), links)
    if kind == libsbml.AST_FUNCTION_ROOT:
        degree, radicand = args if len(args) == 2 else (TWO, args[0])
        return call("sqrt", radicand) if degree == TWO else radicand ** (ONE / degree)
    if kind == libsbml.AST_FUNCTION_LOG:
        base, argument = args if len(args) == 2 else (number(10), args[0])
        return call("log10", argument) if base == number(10) else call("ln", argument) / call("ln", base)
    text = libsbml.formulaToL3String(node)
    raise ModelError(
        f"the formula '{text}' uses mathematics that is not supported; use + - * / ^ and ordinary functions"
    )


def _inlined(node: Any, children: Sequence[Any], functions: Mapping[str, Any]) -> Expr:
    """A call of a user-defined function, its body with the arguments put in."""
    name = _Node.getName(node)
    if name not in functions:
        raise ModelError(f"the function {name!r} is not defined; known are {', '.join(functions) or 'none'}")
    arguments = [from_sbml(c, functions) for c in children]
    *parameters, body = _children(functions[name])
    if len(parameters) != len(arguments):
        raise ModelError(f"the function {name!r} takes {len(parameters)} arguments, got {len(arguments)}")
    names = map(_Node.getName, parameters)
    return substitute(from_sbml(body, functions), dict(zip(names, arguments, strict=True)))


def _children(node: Any) -> list[Any]:
    return [_Node.getChild(node, i) for i in range(_Node.getNumChildren(node))]
