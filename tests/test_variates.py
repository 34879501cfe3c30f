"""Poisson and normal variates of the leaping engines, against their exact laws."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from llvmlite import ir
from scipy.special import ndtri
from scipy.stats import chi2, poisson

from chemlearn.simulate.leap.variates import Variates, build_normal, build_poisson
from chemlearn.simulate.native.attention import POINTER
from chemlearn.simulate.native.compiled import Compiled
from chemlearn.simulate.native.engine import aligned
from chemlearn.simulate.native.layout import LANES
from chemlearn.simulate.native.streams import streams
from chemlearn.simulate.native.vectors import INT
from tests.statistics import assert_moments, poisson_fourth

Build = Callable[[ir.Module, int], ir.Function]


def drawn(build: Build, means: np.ndarray, starts: np.ndarray, width: int = 16) -> np.ndarray:
    """Variates for means (n, 32), each column with its own generator from ``starts`` (32, 4)."""
    module = ir.Module()
    draw = build(module, width)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER]), "run")
    b = ir.IRBuilder(function.append_basic_block())
    table, stream, count = (
        b.load(b.gep(function.args[0], [INT(i)], source_etype=INT), typ=kind)
        for i, kind in enumerate((POINTER, POINTER, INT))
    )
    each, done = b.append_basic_block(), b.append_basic_block()
    before = b.block
    b.branch(each)
    b.position_at_end(each)
    row = b.phi(INT)
    row.add_incoming(INT(0), before)
    for lane in range(0, LANES, width):
        target = b.gep(table, [b.add(b.mul(row, INT(LANES)), INT(lane))], source_etype=INT)
        b.call(draw, [target, b.gep(stream, [INT(lane)], source_etype=INT)])
    following = b.add(row, INT(1))
    row.add_incoming(following, each)
    b.cbranch(b.icmp_unsigned("<", following, count), each, done)
    b.position_at_end(done)
    b.ret_void()
    code = Compiled.of_module(module)
    values, state = aligned(len(means), LANES), aligned(4, LANES)
    values[:], state[:] = np.ascontiguousarray(means).view(np.int64), starts.T.view(np.int64)
    words = np.array([values.ctypes.data, state.ctypes.data, len(means)], np.int64)
    code.call(words.ctypes.data)
    return values.view(float)


def misfit(samples: np.ndarray, mean: float) -> float:
    """Probability of a larger chi-square than that of samples in cells of about equal Poisson probability."""
    edges = np.unique(poisson.ppf(np.linspace(0, 1, 42)[1:-1], mean))
    expected = np.diff(np.concatenate([[0], poisson.cdf(edges, mean), [1]])) * samples.size
    assert expected.min() > 20
    found = np.bincount(np.searchsorted(edges, samples.ravel()), minlength=len(expected))
    return float(chi2.sf(((found - expected) ** 2 / expected).sum(), len(edges)))


MEANS = (0.02, 0.7, 4.0, 9.999, 10.0, 11.5, 40.0, 900.0, 1e5)


@pytest.mark.statistical
def test_poisson_variates_follow_their_law(seed) -> None:
    s = seed(51)
    for i, mean in enumerate(MEANS):
        samples = drawn(build_poisson, np.full((8000, LANES), mean), streams(s, i, range(LANES)))
        assert misfit(samples, mean) > 1e-6 / len(MEANS), f"mean {mean}, seed {s}"
    for i, mean in enumerate((1e8, 1e13)):
        samples = drawn(build_poisson, np.full((8000, LANES), mean), streams(s, 90 + i, range(LANES)))
        assert_moments(samples.reshape(-1, 1), mean, mean, fourth=poisson_fourth(mean), seed=s)


@pytest.mark.statistical
def test_rounded_normal_variates_are_caught(seed) -> None:
    """Negative control of the chi-square test: mean and variance are right, the skewness is not."""
    s = seed(52)
    samples = drawn(build_normal, np.full((8000, LANES), 40.0), streams(s, 0, range(LANES)))
    assert misfit(np.maximum(np.round(samples), 0), 40.0) < 1e-12


def test_normal_variates_are_quantiles(seed) -> None:
    """Against SciPy's quantile of the middle of the same cell of (0, 1), out to the last cells."""
    rng = np.random.default_rng(1)
    words = rng.integers(0, 2**64, 64 * LANES, np.uint64)
    words[:400] >>= rng.integers(12, 52, 400).astype(np.uint64)
    words[:2] = 0, 2**64 - 1
    fractions = (words >> np.uint64(12)).astype(float) * 2.0**-52 + 2.0**-53

    def build(module: ir.Module, width: int) -> ir.Function:
        kind = ir.FunctionType(ir.VoidType(), [POINTER, POINTER])
        function = ir.Function(module, kind, "draw")
        b = ir.IRBuilder(function.append_basic_block())
        v = Variates(b, width)
        b.store(v.normal(b.load(function.args[0], typ=v.ints, align=8)), function.args[0], align=8)
        b.ret_void()
        return function

    table = words.view(float).reshape(64, LANES)
    values = drawn(build, table, np.zeros((LANES, 4), np.uint64)).ravel()
    np.testing.assert_allclose(values, ndtri(fractions), rtol=1e-14, atol=1e-16)
    assert values[0] == -values[1] < -8


@pytest.mark.parametrize("build", [build_poisson, build_normal], ids=["poisson", "normal"])
def test_a_lane_draws_the_same_beside_any_others(build: Build) -> None:
    rng = np.random.default_rng(2)
    means = 10.0 ** rng.uniform(-2, 6, (300, LANES)) * (rng.random((300, LANES)) > 0.2)
    starts, order = streams(5, 0, range(LANES)), rng.permutation(LANES)
    whole = drawn(build, means, starts)
    np.testing.assert_array_equal(drawn(build, means[:, order], starts[order]), whole[:, order])
    for width in (8, 32):
        np.testing.assert_array_equal(drawn(build, means, starts, width), whole)
    assert np.all(whole[means == 0] == 0)
