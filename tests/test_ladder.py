"""The two-rail ladder against 80-digit arithmetic and against its own identities."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from chemlearn.kernels.cut import CutKernel
from chemlearn.markov.chain import affinity, steady_state
from chemlearn.markov.ladder import Ladder
from tests.precise import (
    applied,
    at_rest,
    entropy_production,
    ladder_rates,
    passed,
    precisely,
    product,
    propagator,
)

#: ladders of all kinds, as arguments of the class
KINDS: dict[str, dict[str, Any]] = {
    "published": {"gamma": 0.01},
    "slow": {"gamma": 0.1, "F": 1.0},
    "fast": {"gamma": 1e-4, "F": 100.0},
    "tiny gamma": {"gamma": 1e-24},
    "tiniest gamma": {"gamma": 1e-300},
    "no digits left in e gamma": {"gamma": 5e-324},
    "nearly balanced": {"gamma": 0.999999999},
    "balanced": {"gamma": 1.0},
    "two columns": {"gamma": 1e-6, "columns": 2},
    "nine columns": {"gamma": 0.9, "columns": 9},
    "each its own": {"gamma": (1e-300, 0.5, 1.0, 1e-8), "F": (1.0, 100.0, 25.0, 0.1, 7.0)},
}
kinds = pytest.mark.parametrize("values", KINDS.values(), ids=KINDS)


def exactly(ladder: Ladder, s: float) -> list[list[Decimal]]:
    return ladder_rates(s, ladder.gamma, ladder.F, ladder.columns)


@precisely
def exact_kernel(ladder: Ladder, before: float, after: float, lags: list[float]) -> dict[str, Any]:
    """K at lags, area and first moment of the top rail's kernel."""
    rates, start, n = exactly(ladder, after), at_rest(exactly(ladder, before)), ladder.columns
    step, kick = Decimal(after) - Decimal(before), applied(rates, start)
    away = [a - b for a, b in zip(start, at_rest(rates), strict=True)]
    return {
        "values": [float(sum(applied(propagator(rates, t), kick)[:n]) / step) for t in lags],
        "area": float(-sum(away[:n]) / step),
        "first_moment": float(-sum(passed(rates, away)[:n]) / step),
    }


@precisely
def exact_currents(rates: list[list[Decimal]], p: list[Decimal]) -> np.ndarray:
    """Net current from right to left between the states of the top rail."""
    pairs = range(len(p) // 2 - 1)
    return np.array([p[m + 1] * rates[m][m + 1] - p[m] * rates[m + 1][m] for m in pairs], float)


# --- 80 digits ----------------------------------------------------------------------------------------------


@kinds
def test_rest_keeps_its_relative_accuracy(values: dict[str, Any]) -> None:
    ladder = Ladder(**values)
    for s in (0.0, 50.0, 5000.0):
        rates = exactly(ladder, s)
        p = at_rest(rates)
        np.testing.assert_allclose(ladder.rates(s), np.array(rates, float), rtol=2e-15, atol=1e-323)
        np.testing.assert_allclose(ladder.steady_state(s), np.array(p, float), rtol=2e-14)
        np.testing.assert_allclose(steady_state(ladder.rates(s)), np.array(p, float), rtol=2e-14)
        n = ladder.columns
        np.testing.assert_allclose(ladder.currents(s), exact_currents(rates, p), rtol=1e-13, atol=1e-70)
        assert ladder.occupancy(s) == pytest.approx(float(sum(p[:n])), rel=1e-14)
        assert ladder.occupancy(s, "bottom") == pytest.approx(float(sum(p[n:])), rel=1e-14)
        expected = float(entropy_production(rates, p))
        assert ladder.dissipation(s) == pytest.approx(expected, rel=1e-13, abs=1e-70)


@kinds
@pytest.mark.parametrize(("before", "after"), [(0.0, 200.0), (60.0, 3.0)])
def test_kernels_keep_their_accuracy(values: dict[str, Any], before: float, after: float) -> None:
    ladder, lags = Ladder(**values), [0.0, 1e-3, 0.2, 4.0]
    kernel, exact = ladder.kernel(before, after), exact_kernel(ladder, before, after, lags)
    large = np.abs(exact["values"]).max()
    np.testing.assert_allclose(kernel(lags), exact["values"], rtol=1e-10, atol=1e-14 * large)
    assert kernel.area == pytest.approx(exact["area"], rel=1e-10)
    assert kernel.first_moment == pytest.approx(exact["first_moment"], rel=1e-10)


def test_kernels_of_many_columns_keep_their_accuracy() -> None:
    """Rates of 14 columns reach 1e12, and the slow modes are none the worse for it."""
    ladder = Ladder(1e-8, F=100.0, columns=14)
    kernel, exact = ladder.kernel(0.0, 250.0), exact_kernel(ladder, 0.0, 250.0, [0.5])
    assert kernel(0.5) == pytest.approx(exact["values"][0], rel=1e-10)
    assert kernel.area == pytest.approx(exact["area"], rel=1e-9)
    assert max(kernel.rates.real) > 1e10


@pytest.mark.parametrize("gamma", [1e-300, 0.01, 1.0])
def test_kernels_of_slow_rails_keep_nine_digits(gamma: float) -> None:
    """Slow vertical rates and γ = 0: all horizontal decays are one, and their eigenvectors nearly so."""
    ladder = Ladder(gamma, F=1e-5)
    kernel, exact = ladder.kernel(0.0, 50.0), exact_kernel(ladder, 0.0, 50.0, [0.0, 0.5, 30.0])
    np.testing.assert_allclose(kernel([0.0, 0.5, 30.0]), exact["values"], rtol=1e-9)
    assert kernel.area == pytest.approx(exact["area"], rel=1e-9)


def meeting(ladder: Ladder, low: float, high: float) -> float:
    """The level between two others at which two rates of decay meet and become a complex pair."""

    def turning(s: float) -> bool:
        return bool(np.any(np.abs(np.linalg.eigvals(ladder.rates(s)).imag)))

    assert turning(low) != turning(high)
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if turning(middle) == turning(low) else (low, middle)
    return low


def test_where_eigenvectors_are_parallel() -> None:
    """At such a level there are too few eigenvectors; near it their sum is a difference of huge terms."""
    ladder, lags = Ladder(0.1, F=1.0, columns=3), [0.0, 1e-3, 0.1, 1.0, 3.0]
    level = meeting(ladder, 58.0, 58.5)
    for s in (level, level * (1 + 1e-12), level * (1 + 1e-9), level * (1 + 1e-5)):
        kernel, exact = ladder.kernel(0.0, s), exact_kernel(ladder, 0.0, s, lags)
        large = np.abs(exact["values"]).max()
        np.testing.assert_allclose(kernel(lags), exact["values"], rtol=1e-12, atol=1e-14 * large)
        assert kernel.area == pytest.approx(exact["area"], rel=1e-12)
        assert (kernel.powers.max() > 0) == (s < level * (1 + 1e-6))
        values, vectors = np.linalg.eig(ladder.rates(s))
        parts = np.linalg.solve(vectors, ladder.steady_state(0.0)) * (ladder.top @ vectors) * values / s
        if s == level:  # what the plain sum would give
            assert np.abs(parts).max() > 1e4 * large


# --- identities ---------------------------------------------------------------------------------------------


@kinds
def test_dissipation_is_affinity_times_current(values: dict[str, Any]) -> None:
    ladder = Ladder(**values)
    n, gammas = ladder.columns, np.broadcast_to(ladder.gamma, ladder.columns - 1)
    np.testing.assert_allclose(ladder.affinities, -2 * np.log(gammas), rtol=1e-15)
    for s in (0.0, 50.0, 5000.0):
        p, rates = ladder.steady_state(s), ladder.rates(s)
        current = p[1:n] - math.e * gammas * p[: n - 1]
        assert ladder.dissipation(s) == pytest.approx(float(ladder.affinities @ current), rel=1e-9, abs=1e-15)
        assert ladder.entropy_production_rate(s, p) == pytest.approx(
            ladder.dissipation(s), rel=1e-9, abs=1e-13
        )
        for m in range(n - 1):
            square = [m, n + m, n + m + 1, m + 1]
            expected = ladder.affinities[m]
            if gammas[m] > 1e-307:  # below, the rate e γ has not all its digits
                assert affinity(rates, square) == pytest.approx(expected, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("columns", [2, 5, 12])
def test_balance(columns: int) -> None:
    ladder = Ladder(1.0, columns=columns)
    for s in (0.0, 3.0, 200.0):
        assert ladder.dissipation(s) == 0.0
        assert np.all(ladder.currents(s) == 0.0)
        weight = math.exp(-2) * (1 + s / 18.2) / (1 + s / 3000)
        if columns == 5:
            assert ladder.occupancy(s) == pytest.approx(1 / (1 + weight), rel=1e-14)
        assert len(ladder.kernel(0.0, 200.0).lobes) == 1


def test_one_number_for_all_is_one_number_each() -> None:
    one, each = Ladder(0.1, F=7.0), Ladder([0.1] * 4, F=np.full(5, 7.0))
    assert each == Ladder((0.1,) * 4, F=(7.0,) * 5)
    assert hash(each) != hash(one)
    np.testing.assert_array_equal(one.rates(50.0), each.rates(50.0))
    assert one.dissipation(50.0) == each.dissipation(50.0)
    assert one.published_kernel(50.0).area == each.published_kernel(50.0).area


# --- kernels ------------------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("s", [0.0, 50.0])
def test_the_linear_kernel_is_the_limit_of_small_steps(values: dict[str, Any], s: float) -> None:
    """Steps upward, for at s = 0 an energy is 0 and the rates have a kink; 80 digits allow steps of 1e-30."""
    ladder = Ladder(**values)
    linear, small = ladder.linear_kernel(s), ladder.kernel(s, s + 1e-7)
    lags = np.array([0.0, 1e-3, 0.1, 1.0, 5.0])
    np.testing.assert_allclose(small(lags), linear(lags), rtol=1e-6, atol=1e-7 * abs(linear(0.0)))

    @precisely
    def slope() -> float:
        step, n = Decimal("1e-30"), ladder.columns
        tops = [
            sum(at_rest(ladder_rates(level, ladder.gamma, ladder.F, n))[:n])
            for level in (Decimal(s), Decimal(s) + step)
        ]
        return float((tops[1] - tops[0]) / step)

    assert linear.area == pytest.approx(slope(), rel=1e-10)


def test_a_window_and_the_other_rail() -> None:
    ladder, lags = Ladder(0.01), np.linspace(0.0, 4.0, 9)
    whole, cut = ladder.kernel(5.0, 100.0), ladder.kernel(5.0, 100.0, 3.0)
    assert isinstance(cut, CutKernel)
    np.testing.assert_allclose(cut(lags), np.where(lags <= 3.0, whole(lags), 0.0), rtol=1e-13)
    change = ladder.relaxation(5.0, 100.0, 3.0) @ ladder.top - ladder.occupancy(5.0)
    assert cut.area * 95 == pytest.approx(change, rel=1e-12)
    other = ladder.kernel(5.0, 100.0, rail="bottom")
    np.testing.assert_allclose(other(lags), -whole(lags), rtol=1e-9)
    np.testing.assert_allclose(
        ladder.linear_kernel(50.0, rail="bottom")(lags), -ladder.linear_kernel(50.0)(lags), rtol=1e-9
    )
    assert whole(0.0) < 0 < other(0.0)


def test_the_window_of_the_published_kernel() -> None:
    """The price of a finite ladder: 0.1470 whole, 0.3481 in the window of 5, about 0.137 at any γ."""
    ladder = Ladder(1e-4)
    bottom = ladder.kernel(0.0, 200.0, rail="bottom")
    assert ladder.published_kernel(200.0).area == pytest.approx(0.3481, abs=5e-5)
    assert bottom.rescaled(1 / 5).normalized().area == pytest.approx(0.1470, abs=5e-5)
    wide = ladder.published_kernel(200.0, window=60.0)
    assert wide.area == pytest.approx(60 * bottom.normalized().area, rel=1e-10)
    assert wide.first_moment == pytest.approx(-1, rel=1e-12)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"gamma": 0.0}, "gamma must be above 0 and at most 1, got 0.0; 1 is detailed balance"),
        ({"gamma": -1e-5}, "gamma must be above 0 and at most 1, got -1e-05"),
        ({"gamma": 1.5}, "gamma must be above 0 and at most 1, got 1.5"),
        ({"gamma": math.nan}, "gamma must be above 0 and at most 1, got nan"),
        ({"gamma": math.inf}, "gamma must be above 0 and at most 1, got inf"),
        ({"gamma": [0.1, 0.1, 0.0, 0.1]}, "gamma must be above 0 and at most 1, got 0.0"),
        ({"gamma": [0.1, 0.2]}, r"gamma must be one number, or one per square, 4 of them, got \[0.1, 0.2\]"),
        ({"gamma": 0.1, "F": [1.0] * 4}, "F must be one number, or one per column, 5 of them"),
        ({"gamma": 0.1, "F": -1.0}, r"F must be positive and at most 1e\+100, got -1"),
        ({"gamma": 0.1, "K_on": math.inf}, r"K_on must be positive and at most 1e\+100, got inf"),
        ({"gamma": 0.1, "F": 1e200}, r"F must be positive and at most 1e\+100, got 1e\+200"),
        ({"gamma": 0.1, "columns": 1}, "a ladder has 2 to 25 columns, got 1"),
        ({"gamma": 0.1, "columns": 2.5}, "a ladder has 2 to 25 columns, got 2.5"),
    ],
)
def test_ladders_that_are_none(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Ladder(**wrong)


def test_questions_that_have_no_answer() -> None:
    ladder = Ladder(0.1)
    for s in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=rf"level s must be 0 or more and at most 1e\+100, got {s:g}"):
            ladder.rates(s)
    with pytest.raises(ValueError, match="two different ligand levels, got 5 twice"):
        ladder.kernel(5.0, 5.0)
    with pytest.raises(ValueError, match="two different ligand levels, got 0 twice"):
        ladder.published_kernel(0.0)
    for window in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"must be positive and finite, got {window}"):
            ladder.published_kernel(50.0, window)
    with pytest.raises(ValueError, match="'top' and 'bottom', got 'left'"):
        ladder.kernel(0.0, 5.0, rail="left")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the ligand does not act on this ladder at 5, whose K_off is 10"):
        Ladder(0.1, K_off=10.0, K_on=10.0).linear_kernel(5.0)
    with pytest.raises(ValueError, match=r"can be normalised; take gamma well below 1/e, got 0.5"):
        Ladder(0.5).published_kernel(50.0)
    with pytest.raises(
        ValueError, match=r"one probability per state is needed, 10 of them, got shape \(3,\)"
    ):
        ladder.entropy_production_rate(5.0, [0.2, 0.3, 0.5])


def test_products_are_products() -> None:
    """The yardstick itself: e^(W/2) twice is e^W, and moves rest nowhere."""
    rates = ladder_rates(50.0, 0.01)
    half, whole = propagator(rates, 0.5), propagator(rates, 1.0)
    twice = product(half, half)
    assert (
        max(abs(a - b) for rows in zip(twice, whole, strict=True) for a, b in zip(*rows, strict=True)) < 1e-60
    )
    rest = at_rest(rates)
    assert max(abs(a - b) for a, b in zip(applied(whole, rest), rest, strict=True)) < 1e-60
