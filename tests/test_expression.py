"""Expression trees against complex-step differentiation, libSBML's own parser and Python's arithmetic."""

from __future__ import annotations

import math

import libsbml
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chemlearn.errors import ModelError
from chemlearn.expression import (
    FUNCTIONS,
    ONE,
    TIME,
    ZERO,
    Expr,
    call,
    compile_expressions,
    derivative,
    infix,
    is_affine,
    number,
    substitute,
    symbol,
    symbols,
)
from chemlearn.sbml_math import from_sbml

NAMES = ("a", "b", "c")


def parsed(formula: str, functions: dict[str, str] | None = None) -> Expr:
    definitions = {name: libsbml.parseL3Formula(body) for name, body in (functions or {}).items()}
    return from_sbml(libsbml.parseL3Formula(formula), definitions)


def value(tree: Expr, **values: complex) -> complex:
    return compile_expressions([tree], list(values))(list(values.values()))[0]


def smooth_trees() -> st.SearchStrategy[Expr]:
    """Trees that are analytic near a, b, c in (0.5, 2), so that a complex step differentiates them
    exactly.
    """
    leaves = st.one_of(st.sampled_from([symbol(n) for n in NAMES]), st.floats(0.5, 3.0).map(number))

    def grown(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        bounded = inner.map(lambda t: call("tanh", t))
        positive = inner.map(lambda t: ONE + t * t)
        return st.one_of(
            st.tuples(inner, inner).map(lambda p: p[0] + p[1]),
            st.tuples(inner, inner).map(lambda p: p[0] - p[1]),
            st.tuples(bounded, inner).map(lambda p: p[0] * p[1]),
            st.tuples(inner, positive).map(lambda p: p[0] / p[1]),
            st.tuples(positive, bounded).map(lambda p: p[0] ** p[1]),
            inner.map(lambda t: t ** number(3)),
            bounded.map(lambda t: call("exp", t)),
            positive.map(lambda t: call("ln", t)),
            positive.map(lambda t: call("sqrt", t)),
            inner.map(lambda t: call("sin", t)),
            inner.map(lambda t: call("arctan", call("cos", t))),
        )

    return st.recursive(leaves, grown, max_leaves=8)


@given(tree=smooth_trees(), point=st.tuples(*[st.floats(0.5, 2.0)] * 3))
@settings(max_examples=150, deadline=None)
def test_derivative_is_exact(tree: Expr, point: tuple[float, float, float]) -> None:
    step = 1e-30
    for name in NAMES:
        values: dict[str, complex] = dict(zip(NAMES, point, strict=True))
        exact = value(derivative(tree, name), **values)
        with np.errstate(all="ignore"):
            stepped = complex(value(tree, **(values | {name: values[name] + 1j * step})))
        scale = 1.0 + abs(stepped.real) + abs(exact)
        if np.isfinite(scale) and scale < 1e8:
            assert stepped.imag / step == pytest.approx(exact, rel=1e-9, abs=1e-9 * scale)


@given(tree=smooth_trees(), point=st.tuples(*[st.floats(0.5, 2.0)] * 3))
@settings(max_examples=150, deadline=None)
def test_infix_is_read_back_by_libsbml(tree: Expr, point: tuple[float, float, float]) -> None:
    values = dict(zip(NAMES, point, strict=True))
    again = parsed(infix(tree))
    with np.errstate(all="ignore"):
        assert value(again, **values) == pytest.approx(value(tree, **values), rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_derivative_of_every_function(name: str) -> None:
    x, step = 0.37, 1e-6
    tree = call(name, symbol("a"))
    slope = (value(tree, a=x + step) - value(tree, a=x - step)) / (2 * step)
    assert value(derivative(tree, "a"), a=x) == pytest.approx(slope, rel=1e-8, abs=1e-10)
    again = parsed(infix(tree))
    assert value(again, a=x) == value(tree, a=x)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("a + b + c", 6.0),
        ("a * b * c", 6.0),
        ("-a", -1.0),
        ("a - b - c", -4.0),
        ("2^3^2", 512.0),
        ("a/b/2", 0.25),
        ("5/2", 2.5),  # no integer division
        ("log10(1000)", 3.0),
        ("log(2, 8)", 3.0),
        ("ln(exp(2))", 2.0),
        ("sqrt(9)", 3.0),
        ("root(3, 27)", 3.0),
        ("min(3, 1, 2)", 1.0),
        ("max(a, b, c)", 3.0),
        ("piecewise(10, a > 5, 20, b == 2, 30)", 20.0),
        ("piecewise(10, a > 5, 20)", 20.0),
        ("piecewise(1, (a < b) && (b < c) && !(a == 2), 0)", 1.0),
        ("piecewise(1, (a > b) || (b != 2), 0)", 0.0),
        ("a <= 1", 1.0),
        ("floor(2.5) + ceil(2.5) + abs(-1)", 6.0),
        ("pi", math.pi),
        ("exponentiale", math.e),
        ("avogadro", 6.02214076e23),
        ("1e-3 + 2E2", 200.001),
    ],
)
def test_formulas(formula: str, expected: float) -> None:
    tree = parsed(formula)
    assert float(value(tree, a=1.0, b=2.0, c=3.0)) == pytest.approx(expected, rel=1e-14)
    again = parsed(infix(tree))
    assert float(value(again, a=1.0, b=2.0, c=3.0)) == pytest.approx(expected, rel=1e-14)


def test_a_choice_without_otherwise_is_not_a_number() -> None:
    tree = parsed("piecewise(10, a > 5)")
    assert np.isnan(value(tree, a=1.0))
    assert infix(tree) == "piecewise(10, (a > 5))"
    assert np.isnan(value(parsed(infix(tree)), a=1.0))


def test_trees_take_arrays() -> None:
    tree = parsed("piecewise(a^2, a > 1, min(a, 0.5))")
    assert value(tree, a=np.array([0.25, 0.75, 3.0])).tolist() == [0.25, 0.5, 9.0]
    slope = derivative(tree, "a")
    assert value(slope, a=np.array([0.25, 0.75, 3.0])).tolist() == [1.0, 0.0, 6.0]


def test_functions_are_inlined() -> None:
    functions = {
        "mm": "lambda(x, v, k, v*x/(k + x))",
        "twice": "lambda(x, mm(x, 2, 1) + mm(x, 2, 1))",
        "one": "lambda(1)",
    }
    tree = parsed("twice(a) + mm(b, a, 1) + one()", functions)
    assert symbols(tree) == {"a", "b"}
    assert value(tree, a=1.0, b=3.0) == pytest.approx(2.0 + 0.75 + 1.0)


def test_arguments_of_functions_do_not_capture_names() -> None:
    tree = parsed("f(b, a)", {"f": "lambda(a, b, a - 2*b)"})
    assert value(tree, a=1.0, b=10.0) == 8.0


def test_time_is_a_symbol() -> None:
    tree = parsed("2*time")
    assert symbols(tree) == {TIME}
    assert infix(tree) == "(2 * time)"


def test_constants_fold() -> None:
    a = symbol("a")
    assert ZERO + a == a - ZERO == ONE * a == a / ONE == a**ONE == a
    assert a - a == ZERO * a == ZERO / a == ZERO
    assert a**ZERO == ONE
    assert number(2) ** number(3) == number(8)
    assert (number(1e200) ** number(1e200)).op == "^"  # inf only where it is used
    assert substitute(parsed("exp(a)*b"), {"a": ZERO}) == symbol("b")
    assert call("if", symbol("c"), a, a) == a
    assert derivative(parsed("a*b/c + time"), "d") == ZERO
    assert call("ln", number(-1)).op == "ln"


@pytest.mark.parametrize(
    ("formula", "affine"),
    [
        ("3", True),
        ("b*c", True),
        ("a", True),
        ("2*a*b + c/4 - a/b", True),
        ("b*(a + c)", True),
        ("piecewise(a, b > 1, 2*a)", True),
        ("a*a", False),
        ("b/a", False),
        ("a^2", False),
        ("exp(a)", False),
        ("piecewise(b, a > 1, c)", False),
        ("max(a, 0)", False),
        ("abs(a)", False),
    ],
)
def test_is_affine(formula: str, affine: bool) -> None:
    assert is_affine(parsed(formula), "a") is affine


@pytest.mark.parametrize("formula", ["delay(a, 1)", "rateOf(a)", "xor(a > 1, b > 1)", "uniform(0, 1)"])
def test_unsupported_mathematics_is_refused(formula: str) -> None:
    with pytest.raises(ModelError, match=r"not (supported|defined)"):
        parsed(formula)


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(ModelError, match="'f' takes 2 arguments, got 1"):
        parsed("f(a)", {"f": "lambda(x, y, x*y)"})
    with pytest.raises(ModelError, match="'g' is not defined; known are f"):
        parsed("g(a)", {"f": "lambda(x, x)"})


def test_a_name_without_value_is_refused() -> None:
    with pytest.raises(ModelError, match="'b' has no value; the known names are a"):
        compile_expressions([symbol("b")], ["a"])
