"""Arithmetic on one vector of lanes, as LLVM instructions: rate laws, the logarithm, the random numbers.

No instruction moves anything from lane to lane, and none may be regrouped or fused by the optimiser (no
fast-math flags), so a trajectory comes out the same to the last bit in any lane, beside any others, on any
vector width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
from llvmlite import ir

from chemlearn.expression import COMPARISONS, Expr

DOUBLE, INT, BIT = ir.DoubleType(), ir.IntType(64), ir.IntType(1)

#: R in ln((1+q)/(1−q)) = 2q + q³ R(q²) for |q| ≤ (√2 − 1)/(√2 + 1), by interpolation at Chebyshev points;
#: the error is below 3e-17 of the logarithm, so rounding decides
LOG_SERIES = (
    0.6666666666666667,
    0.3999999999990827,
    0.28571428622706074,
    0.2222221163203782,
    0.18182852472921104,
    0.153330105815374,
    0.14599268784368696,
)
_EXP_SERIES = tuple(1.0 / math.factorial(k) for k in range(14))  # for |r| ≤ ln 2 / 2; the rest is 4e-18
_LN2_HIGH = 0.6931467056274414  # ln 2 to 20 bits, so that its product with a small whole number is exact
_LN2_LOW = 4.7493250390316726e-07  # the rest of it
_EXPONENT = 0x3FF0000000000000  # bits of 1.0
_ROUNDER = 1.5 * 2.0**52  # a sum with it is rounded to a whole number, whose bits it ends with
_ROUNDER_BITS = int(np.float64(_ROUNDER).view(np.int64))
SQRT2 = int(np.float64(math.sqrt(2)).view(np.int64))
_INTRINSICS = {
    "log10": "log10",
    "sqrt": "sqrt",
    "abs": "fabs",
    "floor": "floor",
    "ceil": "ceil",
    "sin": "sin",
    "cos": "cos",
    "tan": "tan",
    "sinh": "sinh",
    "cosh": "cosh",
    "tanh": "tanh",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
}
_LARGEST_PRODUCT = 64  # whole powers up to this are multiplied out


class Vectors:
    """Builds instructions on vectors of ``width`` lanes at a builder's position."""

    def __init__(self, builder: ir.IRBuilder, width: int) -> None:
        self.builder, self.width = builder, width
        self.doubles, self.ints = ir.VectorType(DOUBLE, width), ir.VectorType(INT, width)
        self.bits = ir.VectorType(BIT, width)

    def number(self, value: float) -> ir.Constant:
        return ir.Constant(self.doubles, [float(value)] * self.width)

    def truth(self, value: bool) -> ir.Constant:
        return ir.Constant(self.bits, [value] * self.width)

    def whole(self, value: int) -> ir.Constant:
        return ir.Constant(self.ints, [value] * self.width)

    def spread(self, scalar: Any) -> Any:
        """The same scalar in every lane."""
        undefined = ir.Constant(ir.VectorType(scalar.type, self.width), ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.width), [0] * self.width)
        return self.builder.shuffle_vector(first, undefined, zeros)

    def intrinsic(self, name: str, *args: Any) -> Any:
        """A function that LLVM knows by name, lane by lane."""
        module, full = self.builder.module, f"llvm.{name}.v{self.width}f64"
        function = module.globals.get(full)
        if function is None:
            function = ir.Function(module, ir.FunctionType(self.doubles, [self.doubles] * len(args)), full)
        return self.builder.call(function, args)

    def polynomial(self, x: Any, coefficients: Sequence[float]) -> Any:
        b = self.builder
        result = self.number(coefficients[-1])
        for c in coefficients[-2::-1]:
            result = b.fadd(b.fmul(result, x), self.number(c))
        return result

    def xoshiro(self, state: Sequence[Any]) -> tuple[Any, list[Any]]:
        """One draw of xoshiro256++ (Blackman and Vigna, doi:10.1145/3460772): 64 bits, and the next state."""
        b = self.builder
        s0, s1, s2, s3 = state
        result = b.add(self._rotated(b.add(s0, s3), 23), s0)
        shifted = b.shl(s1, self.whole(17))
        s2, s3 = b.xor(s2, s0), b.xor(s3, s1)
        s1, s0 = b.xor(s1, s2), b.xor(s0, s3)
        return result, [s0, s1, b.xor(s2, shifted), self._rotated(s3, 45)]

    def _rotated(self, x: Any, by: int) -> Any:
        b = self.builder
        return b.or_(b.shl(x, self.whole(by)), b.lshr(x, self.whole(64 - by)))

    def fraction(self, draw: Any) -> Any:
        """A multiple of 2⁻⁵² in [0, 1) from the upper 52 bits."""
        b = self.builder
        bits = b.or_(b.lshr(draw, self.whole(12)), self.whole(_EXPONENT))
        return b.fsub(b.bitcast(bits, self.doubles), self.number(1.0))

    def exponential(self, draw: Any) -> Any:
        """An exponential variate of mean 1: −ln x, x in the middle of one of 2⁵² equal cells of (0, 1)."""
        x = self.builder.fsub(self.number(1.0 - 2.0**-53), self.fraction(draw))  # exact
        return self.minus_log(x)

    def minus_log(self, x: Any) -> Any:
        """−ln x for 0 < x < 1, to about one unit in the last place.

        x = m 2⁻ᵏ with m between √½ and √2, q = (m − 1)/(m + 1), ln m = 2q + q³R(q²).
        """
        b = self.builder
        bits = b.bitcast(x, self.ints)
        k = b.lshr(b.sub(self.whole(SQRT2), bits), self.whole(52))
        m = b.bitcast(b.add(bits, b.shl(k, self.whole(52))), self.doubles)
        # k as a double without a conversion instruction, which narrower vector units do not have
        counted = b.bitcast(b.or_(k, self.whole(0x4330000000000000)), self.doubles)
        halvings = b.fsub(counted, self.number(2.0**52))
        q = b.fdiv(b.fsub(m, self.number(1.0)), b.fadd(m, self.number(1.0)))
        z = b.fmul(q, q)
        rest = b.fmul(b.fmul(q, z), self.polynomial(z, LOG_SERIES))
        log_m = b.fadd(b.fadd(q, q), rest)
        return b.fsub(b.fmul(halvings, self.number(math.log(2.0))), log_m)

    def exp(self, x: Any) -> Any:
        """eˣ = 2ⁿ eʳ with whole n and |r| ≤ ln 2 / 2, to two units in the last place."""
        b = self.builder
        inside = self.intrinsic("maxnum", x, self.number(-750.0))
        inside = self.intrinsic("minnum", inside, self.number(710.0))
        shifted = b.fadd(b.fmul(inside, self.number(1.0 / math.log(2))), self.number(_ROUNDER))
        n = b.fsub(shifted, self.number(_ROUNDER))
        whole = b.sub(b.bitcast(shifted, self.ints), self.whole(_ROUNDER_BITS))
        rest = b.fsub(inside, b.fmul(n, self.number(_LN2_HIGH)))
        value = self.polynomial(b.fsub(rest, b.fmul(n, self.number(_LN2_LOW))), _EXP_SERIES)
        half = b.ashr(whole, self.whole(1))
        for part in (half, b.sub(whole, half)):  # in two steps, as 2ⁿ itself may be too small or too large
            scale = b.shl(b.add(part, self.whole(1023)), self.whole(52))
            value = b.fmul(value, b.bitcast(scale, self.doubles))
        return b.select(b.fcmp_unordered("uno", x, x), x, value)

    def log(self, x: Any) -> Any:
        """ln x = k ln 2 + ln m with m between √½ and √2, to two units in the last place."""
        b = self.builder
        subnormal = b.fcmp_ordered("<", x, self.number(2.0**-1022))
        scaled = b.select(subnormal, b.fmul(x, self.number(2.0**54)), x)
        bits = b.bitcast(scaled, self.ints)
        k = b.ashr(b.sub(bits, self.whole(SQRT2 - (1 << 52))), self.whole(52))
        m = b.bitcast(b.sub(bits, b.shl(k, self.whole(52))), self.doubles)
        doubled = b.bitcast(b.add(k, self.whole(_ROUNDER_BITS)), self.doubles)
        n = b.fsub(
            b.fsub(doubled, self.number(_ROUNDER)), b.select(subnormal, *map(self.number, (54.0, 0.0)))
        )
        q = b.fdiv(b.fsub(m, self.number(1.0)), b.fadd(m, self.number(1.0)))
        z = b.fmul(q, q)
        rest = b.fmul(b.fmul(q, z), self.polynomial(z, LOG_SERIES))
        low = b.fadd(b.fadd(q, q), b.fadd(rest, b.fmul(n, self.number(_LN2_LOW))))
        value = b.fadd(b.fmul(n, self.number(_LN2_HIGH)), low)
        value = b.select(b.fcmp_ordered("==", x, self.number(math.inf)), x, value)
        value = b.select(b.fcmp_ordered("==", x, self.number(0.0)), self.number(-math.inf), value)
        return b.select(b.fcmp_unordered("<", x, self.number(0.0)), self.number(math.nan), value)

    def power(self, x: Any, y: Any) -> Any:
        """xʸ = e^(y ln |x|), to |y ln x| units in the last place; 1 for y = 0, and as C has it for x < 0."""
        b = self.builder
        value = self.exp(b.fmul(y, self.log(self.intrinsic("fabs", x))))
        half = b.fmul(y, self.number(0.5))
        odd = b.fcmp_ordered("!=", self.intrinsic("floor", half), half)
        whole = b.fcmp_ordered("==", self.intrinsic("floor", y), y)
        below = b.select(whole, b.select(odd, b.fneg(value), value), self.number(math.nan))
        value = b.select(b.fcmp_ordered("<", x, self.number(0.0)), below, value)
        return b.select(b.fcmp_ordered("==", y, self.number(0.0)), self.number(1.0), value)


class Formulas:
    """Prepared rate laws on vectors; what occurs twice is computed once.

    Parameters
    ----------
    vectors : Vectors
    names : mapping of str to callable
        How each symbol's vector is made, when first needed.
    """

    def __init__(self, vectors: Vectors, names: Mapping[str, Callable[[], Any]]) -> None:
        self.vectors, self.names = vectors, names
        self.known: dict[Expr, Any] = {}

    def __call__(self, tree: Expr) -> Any:
        """The tree's value as a vector of doubles."""
        if tree not in self.known:
            self.known[tree] = self._built(tree)
        return self.known[tree]

    def holds(self, tree: Expr) -> Any:
        """The tree as a condition: a vector of bits."""
        b, args = self.vectors.builder, tree.args
        if tree.op in COMPARISONS:
            ordered = (
                b.fcmp_unordered if tree.op == "!=" else b.fcmp_ordered
            )  # as everywhere: nan differs from all
            return ordered(tree.op, self(args[0]), self(args[1]))
        if tree.op == "not":
            return b.not_(self.holds(args[0]))
        if tree.op in ("and", "or"):
            combine = b.and_ if tree.op == "and" else b.or_
            return combine(self.holds(args[0]), self.holds(args[1]))
        return b.fcmp_unordered("!=", self(tree), self.vectors.number(0.0))

    def _built(self, tree: Expr) -> Any:
        v, b = self.vectors, self.vectors.builder
        if tree.op == "number":
            return v.number(tree.value)
        if tree.op == "symbol":
            return self.names[tree.name]()
        if tree.op in (*COMPARISONS, "and", "or", "not"):
            return b.select(self.holds(tree), v.number(1.0), v.number(0.0))
        if tree.op == "if":
            return b.select(self.holds(tree.args[0]), self(tree.args[1]), self(tree.args[2]))
        if tree.op == "^":
            return self.power(self(tree.args[0]), tree.args[1])
        args = [self(a) for a in tree.args]
        match tree.op:
            case "+":
                return b.fadd(*args)
            case "-":
                return b.fsub(*args)
            case "*":
                return b.fmul(*args)
            case "/":
                return b.fdiv(*args)
            case "min":
                return b.select(b.fcmp_unordered(">", *args), args[1], args[0])
            case "max":
                return b.select(b.fcmp_unordered("<", *args), args[1], args[0])
        return self.applied(tree.op, *args)

    def applied(self, name: str, *args: Any) -> Any:
        """A function by its name in :data:`chemlearn.expression.FUNCTIONS`."""
        if name in ("exp", "ln"):
            return (self.vectors.exp if name == "exp" else self.vectors.log)(*args)
        return self.vectors.intrinsic(_INTRINSICS[name], *args)

    def power(self, x: Any, exponent: Expr) -> Any:
        """A vector to a power."""
        v, b = self.vectors, self.vectors.builder
        if exponent.op != "number":
            return self._general_power(x, exponent)
        value = exponent.value
        if abs(value) == 0.5:
            root = v.intrinsic("sqrt", x)
            return root if value > 0 else b.fdiv(v.number(1.0), root)
        if value == int(value) and abs(value) <= _LARGEST_PRODUCT:
            power = self._product(x, int(abs(value)))
            return power if value > 0 else b.fdiv(v.number(1.0), power)
        return v.power(x, v.number(value))

    def _product(self, x: Any, times: int) -> Any:
        """x to a whole power by repeated squaring."""
        b, squares, chosen = self.vectors.builder, x, []
        while times:
            if times & 1:
                chosen.append(squares)
            times >>= 1
            if times:
                squares = b.fmul(squares, squares)
        return reduce(b.fmul, chosen) if chosen else self.vectors.number(1.0)

    def _general_power(self, x: Any, exponent: Expr) -> Any:
        """x to a power known at run time only; whole ones, as in most Hill laws, are multiplied out."""
        v, b = self.vectors, self.vectors.builder
        y = self(exponent)
        if not exponent.name.startswith("K"):
            return v.power(x, y)
        scalar = b.extract_element(y, ir.Constant(ir.IntType(32), 0))  # the same in all lanes
        bounded = b.and_(
            b.fcmp_ordered(">=", scalar, DOUBLE(0.0)),
            b.fcmp_ordered("<=", scalar, DOUBLE(float(_LARGEST_PRODUCT))),
        )
        count = b.fptosi(b.select(bounded, scalar, DOUBLE(0.0)), INT)
        whole = b.and_(bounded, b.fcmp_ordered("==", b.sitofp(count, DOUBLE), scalar))
        with b.if_else(whole) as (multiply, general):
            with multiply:
                product, multiplied = self._counted_product(x, count)
            with general:
                power, other = v.power(x, y), b.block
        result = b.phi(v.doubles)
        result.add_incoming(product, multiplied)
        result.add_incoming(power, other)
        return result

    def _counted_product(self, x: Any, count: Any) -> tuple[Any, Any]:
        """x to a whole power known at run time, and the block in which it is ready."""
        v, b = self.vectors, self.vectors.builder
        before = b.block
        loop, done = b.append_basic_block("squaring"), b.append_basic_block("squared")
        b.branch(loop)
        b.position_at_end(loop)
        left, square, product = b.phi(INT), b.phi(v.doubles), b.phi(v.doubles)
        odd = b.trunc(left, BIT)
        following = b.select(odd, b.fmul(product, square), product)
        halved, next_square = b.lshr(left, INT(1)), b.fmul(square, square)
        for phi, start, then in (
            (left, count, halved),
            (square, x, next_square),
            (product, v.number(1.0), following),
        ):
            phi.add_incoming(start, before)
            phi.add_incoming(then, loop)
        b.cbranch(b.icmp_unsigned("==", halved, INT(0)), done, loop)
        b.position_at_end(done)
        return following, done
