"""Poisson and normal variates on one vector of lanes, as LLVM instructions.

Both come as a function ``draw(target, stream)`` in the module: it replaces a row of means by a row of
variates and moves each lane's generator on by what that lane has used, whatever its neighbours need.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from chemlearn.simulate.native.attention import POINTER
from chemlearn.simulate.native.layout import LANES
from chemlearn.simulate.native.vectors import DOUBLE, INT, LOG_SERIES, SQRT2, Vectors

#: Poisson means from which on rejection is used; its hat does not hold for smaller ones
INVERTED_BELOW = 10.0
_SHIFT = 0x4330000000000000  # bits of 2⁵²
_HUGE = 1e100  # from such means on the test would overflow; whole numbers mean nothing there
_TINY = 1e-20  # cumulated probabilities are rounded; nothing beyond is looked for

#: S(k) = k!² (e/k)²ᵏ = 2π(k + r), r as a polynomial in 1/(k + 1), right at k = 0, 1, 2, ...
_STIRLING = (
    0.16666666666666666,
    0.013888888695965825,
    0.009104960422312285,
    0.0034261879909381478,
    -0.001607710008528288,
    -0.00466583274599816,
    -0.00010588356211133434,
    -0.022471986160451193,
    0.08281409325712616,
    -0.20046703445570746,
    0.25756020506780486,
    -0.14498761207612204,
)

#: numerators and denominators of AS 241 (Wichura, doi:10.2307/2347330), lowest order first
_CENTRE = (
    (
        3.3871328727963666080e0,
        1.3314166789178437745e2,
        1.9715909503065514427e3,
        1.3731693765509461125e4,
        4.5921953931549871457e4,
        6.7265770927008700853e4,
        3.3430575583588128105e4,
        2.5090809287301226727e3,
    ),
    (
        1.0,
        4.2313330701600911252e1,
        6.8718700749205790830e2,
        5.3941960214247511077e3,
        2.1213794301586595867e4,
        3.9307895800092710610e4,
        2.8729085735721942674e4,
        5.2264952788528545610e3,
    ),
)
_TAIL = (
    (
        1.42343711074968357734e0,
        4.63033784615654529590e0,
        5.76949722146069140550e0,
        3.64784832476320460504e0,
        1.27045825245236838258e0,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    ),
    (
        1.0,
        2.05319162663775882187e0,
        1.67638483018380384940e0,
        6.89767334985100004550e-1,
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ),
)
_FAR_TAIL = (
    (
        6.65790464350110377720e0,
        5.46378491116411436990e0,
        1.78482653991729133580e0,
        2.96560571828504891230e-1,
        2.65321895265761230930e-2,
        1.24266094738807843860e-3,
        2.71155556874348757815e-5,
        2.01033439929228813265e-7,
    ),
    (
        1.0,
        5.99832206555887937690e-1,
        1.36929880922735805310e-1,
        1.48753612908506148525e-2,
        7.86869131145613259100e-4,
        1.84631831751005468180e-5,
        1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ),
)


class Variates(Vectors):
    """Vectors that also know the normal quantile."""

    def _split(self, x: Any) -> tuple[Any, Any]:
        """x = m 2ᵉ with m between √½ and √2; e and m as doubles. Of 0: something finite."""
        b = self.builder
        bits = b.bitcast(x, self.ints)
        e = b.ashr(b.sub(bits, self.whole(SQRT2 - (1 << 52))), self.whole(52))
        m = b.bitcast(b.sub(bits, b.shl(e, self.whole(52))), self.doubles)
        # e as a double without a conversion instruction, which narrower vector units do not have
        counted = b.bitcast(b.or_(b.add(e, self.whole(2048)), self.whole(_SHIFT)), self.doubles)
        return b.fsub(counted, self.number(2.0**52 + 2048)), m

    def open_fraction(self, draw: Any) -> Any:
        """The middle of one of 2⁵² equal cells of (0, 1)."""
        return self.builder.fadd(self.fraction(draw), self.number(2.0**-53))  # exact

    def normal(self, draw: Any) -> Any:
        """A normal variate by the quantile of a uniform one, to about 1e-16 of itself (AS 241)."""
        b = self.builder
        u = self.open_fraction(draw)
        q = b.fsub(u, self.number(0.5))
        away = self.intrinsic("fabs", q)
        central = b.fcmp_ordered("<=", away, self.number(0.425))
        r = b.fsub(self.number(0.180625), b.fmul(q, q))
        middle = b.fmul(q, self._ratio(r, _CENTRE))
        log = self.log(b.fsub(self.number(0.5), away))
        root = self.intrinsic("sqrt", b.fneg(log))
        near = b.fcmp_ordered("<=", root, self.number(5.0))
        tail = self._ratio(b.fsub(root, self.number(1.6)), _TAIL)
        far = self._ratio(b.fsub(root, self.number(5.0)), _FAR_TAIL)
        size = b.select(near, tail, far)
        signed = self.intrinsic("copysign", size, q)
        return b.select(central, middle, signed)

    def _ratio(self, x: Any, coefficients: tuple[Sequence[float], Sequence[float]]) -> Any:
        above, below = (self.polynomial(x, c) for c in coefficients)
        return self.builder.fdiv(above, below)

    def any(self, bits: Any) -> Any:
        """Whether a bit of any lane is set."""
        kind = ir.IntType(self.width)
        return self.builder.icmp_unsigned("!=", self.builder.bitcast(bits, kind), kind(0))

    def greater(self, x: Any, y: Any) -> Any:
        """The greater of two; the second where the first is not a number."""
        return self.builder.select(self.builder.fcmp_ordered(">", x, y), x, y)


class _Draw:
    """What both functions share: a row of means, a generator in four rows."""

    def __init__(self, module: ir.Module, width: int) -> None:
        kind = ir.FunctionType(ir.VoidType(), [POINTER, POINTER])
        self.function = ir.Function(module, kind, "draw")
        self.function.linkage = "internal"
        self.target, self.stream = self.function.args
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.v = Variates(self.builder, width)

    def load(self, address: Any, kind: Any) -> Any:
        return self.builder.load(address, typ=kind, align=8 * self.v.width)

    def store(self, value: Any, address: Any) -> None:
        self.builder.store(value, address, align=8 * self.v.width)

    def state(self) -> list[Any]:
        return [self.load(self._word(i), self.v.ints) for i in range(4)]

    def set_state(self, state: Sequence[Any]) -> None:
        for i, word in enumerate(state):
            self.store(word, self._word(i))

    def _word(self, i: int) -> Any:
        return self.builder.gep(self.stream, [INT(i * LANES)], source_etype=INT)

    def advanced(self, lanes: Any, new: Sequence[Any], old: Sequence[Any]) -> list[Any]:
        """The generators, moved on in some lanes only."""
        return [self.builder.select(lanes, n, o) for n, o in zip(new, old, strict=True)]

    def repeat(self, start: Sequence[Any], body: Callable[[list[Any]], tuple[list[Any], Any]]) -> list[Any]:
        """Run ``body(values) -> (next values, whether to go on)`` at least once; the last values."""
        b, before = self.builder, self.builder.block
        loop, done = b.append_basic_block("again"), b.append_basic_block("enough")
        b.branch(loop)
        b.position_at_end(loop)
        phis = [b.phi(value.type) for value in start]
        following, more = body(list(phis))
        for phi, first, then in zip(phis, start, following, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(then, b.block)
        b.cbranch(more, loop, done)
        b.position_at_end(done)
        return following


def build_normal(module: ir.Module, width: int) -> ir.Function:
    """``draw(target, stream)``: m becomes m + √m Z, one draw in every lane."""
    d = _Draw(module, width)
    b, v = d.builder, d.v
    mean = d.load(d.target, v.doubles)
    word, state = v.xoshiro(d.state())
    d.set_state(state)
    d.store(b.fadd(mean, b.fmul(v.intrinsic("sqrt", mean), v.normal(word))), d.target)
    b.ret_void()
    return d.function


def build_poisson(module: ir.Module, width: int) -> ir.Function:
    """``draw(target, stream)``: m becomes a Poisson variate of mean m; a lane with m = 0 draws nothing."""
    d = _Draw(module, width)
    b, v = d.builder, d.v
    mean = d.load(d.target, v.doubles)
    large = b.fcmp_ordered(">=", mean, v.number(INVERTED_BELOW))
    small = b.and_(b.fcmp_ordered(">", mean, v.number(0.0)), b.not_(large))
    d.store(v.number(0.0), d.target)
    with b.if_then(v.any(small)):
        _invert(d, mean, small)
    with b.if_then(v.any(large)):
        _reject(d, mean, large)
    b.ret_void()
    return d.function


def _invert(d: _Draw, mean: Any, lanes: Any) -> None:
    """Count how many of the cumulated probabilities a uniform number reaches."""
    b, v = d.builder, d.v
    old = d.state()
    word, state = v.xoshiro(old)
    d.set_state(d.advanced(lanes, state, old))
    u = v.open_fraction(word)
    mean = b.select(lanes, mean, v.number(0.0))
    first = v.exp(b.fneg(mean))

    def body(values: list[Any]) -> tuple[list[Any], Any]:
        i, probability, below, count = values
        passed = b.and_(b.fcmp_ordered(">=", u, below), b.fcmp_ordered(">", probability, v.number(_TINY)))
        passed = b.and_(passed, lanes)
        count = b.select(passed, b.fadd(count, v.number(1.0)), count)
        i = b.fadd(i, DOUBLE(1.0))
        probability = b.fmul(probability, b.fmul(mean, v.spread(b.fdiv(DOUBLE(1.0), i))))
        return [i, probability, b.fadd(below, probability), count], v.any(passed)

    count = d.repeat([DOUBLE(0.0), first, first, v.number(0.0)], body)[-1]
    d.store(count, d.target)


def _reject(d: _Draw, mean: Any, lanes: Any) -> None:
    """Transformed rejection PTRS (Hörmann 1993, doi:10.1016/0167-6687(93)90997-4), without its short cuts.

    A candidate k is taken with probability α p(k) (a/u² + b), judged by the logarithms of the squares of both
    sides: p(k)² = exp(−2μφ)/S(k), φ = (k/μ) ln(k/μ) − k/μ + 1.
    """
    b, v = d.builder, d.v
    mean = b.select(lanes, mean, v.number(INVERTED_BELOW))
    width = b.fadd(v.number(0.931), b.fmul(v.number(2.53), v.intrinsic("sqrt", mean)))
    slant = b.fadd(v.number(-0.059), b.fmul(v.number(0.02483), width))
    height = b.fdiv(v.number(1.1328), b.fsub(width, v.number(3.4)))
    height = b.fadd(v.number(1.1239), height)
    centre = b.fadd(mean, v.number(0.43))
    per_mean = b.fdiv(v.number(1.0), mean)
    huge = b.fcmp_ordered(">", mean, v.number(_HUGE))

    def body(values: list[Any]) -> tuple[list[Any], Any]:
        *old, pending, count = values
        first, state = v.xoshiro(old)
        second, state = v.xoshiro(state)
        across = b.fsub(v.fraction(first), v.number(0.5 - 2.0**-53))  # exact
        inside = b.fsub(v.number(0.5), v.intrinsic("fabs", across))
        inverse = b.fdiv(v.number(1.0), inside)
        steep = b.fmul(slant, inverse)
        place = b.fmul(b.fadd(b.fadd(steep, steep), width), across)
        candidate = v.intrinsic("floor", b.fadd(place, centre))
        hat = b.fadd(b.fmul(steep, inverse), width)
        taken = _accepted(v, candidate, mean, per_mean, b.fmul(v.open_fraction(second), height), hat)
        taken = b.or_(taken, huge)
        state = d.advanced(pending, state, old)
        count = b.select(b.and_(pending, taken), candidate, count)
        pending = b.and_(pending, b.not_(taken))
        return [*state, pending, count], v.any(pending)

    *state, _, count = d.repeat([*d.state(), lanes, d.load(d.target, v.doubles)], body)
    d.set_state(state)
    d.store(count, d.target)


def _accepted(v: Variates, k: Any, mean: Any, per_mean: Any, level: Any, hat: Any) -> Any:
    """Whether level/hat ≤ p(k), by logarithms; no cancellation where k is near the mean."""
    b, one = v.builder, v.number(1.0)
    x = b.fmul(b.fsub(k, mean), per_mean)
    ratio = b.fmul(k, per_mean)
    near = b.fcmp_ordered("<", v.intrinsic("fabs", x), v.number(0.25))
    exponent, m = v._split(ratio)
    above = b.select(near, x, b.fsub(m, one))
    below = b.select(near, b.fadd(x, v.number(2.0)), b.fadd(m, one))
    # one division for three quotients
    following = b.fadd(k, one)
    shared = b.fdiv(one, b.fmul(b.fmul(below, hat), following))
    q = b.fmul(above, b.fmul(shared, b.fmul(hat, following)))
    relative = b.fmul(level, b.fmul(shared, b.fmul(below, following)))
    stirling = v.polynomial(b.fmul(shared, b.fmul(below, hat)), _STIRLING)
    square = b.fmul(b.fmul(relative, relative), v.number(2 * math.pi))
    left = v.log(b.fmul(square, b.fadd(k, stirling)))
    # φ = ρ ln ρ − x with ρ = (1 + q)/(1 − q), written out near the mean
    z = b.fmul(q, q)
    cubic = b.fmul(b.fmul(q, z), v.polynomial(z, LOG_SERIES))
    close = b.fadd(b.fadd(z, z), b.fmul(b.fadd(q, one), cubic))
    close = b.fmul(b.fmul(b.fadd(x, v.number(2.0)), v.number(0.5)), close)
    log = b.fadd(b.fmul(exponent, v.number(math.log(2.0))), b.fadd(b.fadd(q, q), cubic))
    apart = b.fsub(b.fmul(ratio, log), x)
    right = b.fmul(b.fmul(mean, v.number(-2.0)), b.select(near, close, apart))
    possible = b.fcmp_ordered(">=", k, v.number(0.0))
    return b.and_(possible, b.fcmp_ordered("<=", left, right))
