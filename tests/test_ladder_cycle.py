"""The ladder away from rest: relaxation after a step, the periodic state under a signal, and their costs."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from numpy.polynomial import legendre
from scipy.integrate import solve_ivp

from chemlearn.markov.cycle import smooth_pieces
from chemlearn.markov.ladder import Ladder
from chemlearn.signal import Signal
from tests.precise import applied, at_rest, entropy_production, ladder_rates, precisely, propagator

KINDS: dict[str, dict[str, Any]] = {
    "published": {"gamma": 0.01},
    "slow": {"gamma": 0.3, "F": 1.0},
    "tiniest gamma": {"gamma": 1e-300, "F": 100.0},
    "balanced": {"gamma": 1.0},
    "nine columns": {"gamma": 0.9, "columns": 9},
    "each its own": {"gamma": (1e-300, 0.5, 1.0, 1e-8), "F": (1.0, 100.0, 25.0, 0.1, 7.0)},
}
kinds = pytest.mark.parametrize("values", KINDS.values(), ids=KINDS)


def quadrature(edges: np.ndarray, points: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Gauss points and weights over neighbouring intervals."""
    x, w = legendre.leggauss(points)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (1 + x)).ravel(), (half * w).ravel()


# --- relaxation ---------------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize(("before", "after"), [(0.0, 200.0), (60.0, 3.0)])
def test_relaxation_against_80_digits(values: dict[str, Any], before: float, after: float) -> None:
    ladder, times = Ladder(**values), np.array([1e-3, 0.3, 3.0])
    rates = ladder_rates(after, ladder.gamma, ladder.F, ladder.columns)
    start = at_rest(ladder_rates(before, ladder.gamma, ladder.F, ladder.columns))

    @precisely
    def probabilities(t: float) -> list[Decimal]:
        return applied(propagator(rates, t), start)

    exact = [probabilities(t) for t in times]
    found = ladder.relaxation(before, after, times)
    np.testing.assert_allclose(found, np.array(exact, float), rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-12)
    costs = [float(entropy_production(rates, p)) for p in exact]
    np.testing.assert_allclose(ladder.relaxation_dissipation(before, after, times), costs, rtol=1e-8)


@kinds
def test_relaxation_starts_and_ends_at_rest(values: dict[str, Any]) -> None:
    ladder = Ladder(**values)
    p = ladder.relaxation(10.0, 150.0, [0.0, 300.0])
    np.testing.assert_allclose(p[0], ladder.steady_state(10.0), rtol=1e-10)
    np.testing.assert_allclose(p[1], ladder.steady_state(150.0), rtol=1e-10)
    end = ladder.relaxation_dissipation(10.0, 150.0, 300.0)
    assert end == pytest.approx(ladder.dissipation(150.0), rel=1e-9, abs=1e-12)
    np.testing.assert_array_equal(ladder.relaxation(7.0, 7.0, [0.0, 1.0])[1], ladder.steady_state(7.0))
    with pytest.raises(ValueError, match="times after a step must be 0 or more, got -1"):
        ladder.relaxation(0.0, 5.0, [1.0, -1.0])


@kinds
@pytest.mark.parametrize(("before", "after"), [(0.0, 200.0), (60.0, 3.0)])
def test_the_entropy_of_a_step_is_the_integral_of_its_production(
    values: dict[str, Any], before: float, after: float
) -> None:
    """The closed form against Gauss quadrature from 1e-12 on; before that it is at most 1e-12 × its start."""
    ladder = Ladder(**values)
    times, weights = quadrature(np.append(0.0, np.geomspace(1e-12, 400.0, 60)))
    above = ladder.relaxation_dissipation(before, after, times) - ladder.dissipation(after)
    assert ladder.relaxation_entropy(before, after) == pytest.approx(
        float(weights @ above), rel=1e-8, abs=1e-8
    )
    assert ladder.relaxation_entropy(after, after) == 0.0


def test_the_entropy_of_a_step_in_balance_is_a_relative_entropy() -> None:
    ladder = Ladder(1.0)
    p, q = ladder.steady_state(0.0), ladder.steady_state(200.0)
    assert ladder.relaxation_entropy(0.0, 200.0) == pytest.approx(float(p @ np.log(p / q)), rel=1e-10)
    assert ladder.relaxation_entropy(200.0, 0.0) == pytest.approx(float(q @ np.log(q / p)), rel=1e-10)


# --- cycles -------------------------------------------------------------------------------------------------


def sawtooth(low: float, high: float, rise: float, fall: float) -> Signal:
    return Signal.sawtooth(low, high, rise=rise, fall=fall, periodic=True)


@pytest.mark.parametrize(
    ("values", "signal"),
    [
        ({"gamma": 0.01}, sawtooth(20, 150, 0.5, 4.0)),
        ({"gamma": 1e-24, "F": 1.0}, sawtooth(0, 250, 3.0, 1.0)),
        ({"gamma": (0.5, 1e-6, 0.1, 1.0), "F": (3.0, 1.0, 9.0, 1.0, 2.0)}, sawtooth(250, 0, 1.0, 2.0)),
        ({"gamma": 0.1, "F": 5.0}, Signal([0, 1, 1, 2, 3], [5, 90, 200, 30, 5], periodic=True)),
    ],
)
def test_a_cycle_against_an_ode_solver(values: dict[str, Any], signal: Signal) -> None:
    """From where the cycle starts, LSODA comes back to it, by the same ways and at the same cost."""
    ladder = Ladder(**values)
    cycle = ladder.cycle(signal, tolerance=1e-12)
    assert cycle.period == signal.period
    p, cost, end = cycle(0.0), 0.0, len(ladder.top)
    for piece in signal.pieces(0.0, signal.period):

        def flow(t: float, y: np.ndarray, piece: Any = piece) -> np.ndarray:
            s = max(piece.value + piece.slope * (t - piece.start), 0.0)
            sigma = ladder.entropy_production_rate(s, np.maximum(y[:-1], 0.0))
            return np.append(ladder.rates(s) @ y[:-1], sigma)

        inside = np.linspace(piece.start, piece.stop, 7)[1:]
        span, start = (piece.start, piece.stop), np.append(p, 0.0)
        found = solve_ivp(flow, span, start, "LSODA", inside, rtol=1e-11, atol=1e-14)
        np.testing.assert_allclose(cycle(inside[:-1]), found.y[:-1, :-1].T, rtol=1e-8, atol=1e-10)
        p, cost = found.y[:-1, -1], cost + found.y[-1, -1]
    np.testing.assert_allclose(p, cycle(0.0), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(cycle.values.sum(axis=1), 1.0, rtol=1e-12)
    assert cycle.values.shape == (len(cycle.times), end)
    assert ladder.cycle_dissipation(signal) == pytest.approx(cost, rel=1e-8)


@kinds
def test_a_cycle_that_does_nothing(values: dict[str, Any]) -> None:
    ladder, still = Ladder(**values), Signal([0.0, 3.0], [50.0, 50.0], periodic=True)
    cycle = ladder.cycle(still)
    np.testing.assert_allclose(
        cycle(np.linspace(0, 9, 7)), np.tile(ladder.steady_state(50.0), (7, 1)), rtol=1e-9
    )
    assert cycle.weights.sum() == pytest.approx(3.0, rel=1e-14)
    assert ladder.cycle_dissipation(still) == pytest.approx(3 * ladder.dissipation(50.0), rel=1e-9, abs=1e-12)


@kinds
def test_a_slow_square_wave_is_two_steps(values: dict[str, Any]) -> None:
    """Each half ends at rest, so the cycle costs rest, twice, and the entropy of the two steps."""
    ladder = Ladder(**values)
    signal = Signal.square(3.0, 120.0, first=400.0, second=600.0, periodic=True)
    steps = ladder.relaxation_entropy(3.0, 120.0) + ladder.relaxation_entropy(120.0, 3.0)
    rest = 400 * ladder.dissipation(3.0) + 600 * ladder.dissipation(120.0)
    assert ladder.cycle_dissipation(signal) == pytest.approx(rest + steps, rel=1e-8)


def test_a_slow_ramp_stays_at_rest() -> None:
    """∫ σ at rest along the signal, up to what falls as 1/period; in balance only that is left, for any γ."""
    ladder, balanced = Ladder(0.01), Ladder(1.0)
    nodes, weights = quadrature(np.append(np.linspace(0.0, 0.3, 5), np.linspace(0.3, 1.0, 5)[1:]))
    levels = sawtooth(20.0, 100.0, 0.3, 0.7)(nodes)  # no energy is 0 between
    rest = float(weights @ [ladder.dissipation(s) for s in levels])
    over, cost = [], []
    for period in (8e3, 16e3):
        signal = sawtooth(20.0, 100.0, 0.3 * period, 0.7 * period)
        over.append(ladder.cycle_dissipation(signal) - rest * period)
        cost.append(balanced.cycle_dissipation(signal))
    assert over[0] / over[1] == pytest.approx(2.0, rel=5e-3)
    assert cost[0] / cost[1] == pytest.approx(2.0, rel=5e-3)
    assert 0 < cost[1] < 1e-3


def test_a_cycle_too_short_to_follow() -> None:
    """Then the molecule sees the mean of the rates."""
    ladder, period = Ladder(0.05), 1e-7
    nodes, weights = quadrature(np.linspace(0.0, 1.0, 40))
    mean = np.tensordot(weights, ladder.rates(sawtooth(0.0, 200.0, 0.2, 0.8)(nodes)), 1)
    system = np.vstack([mean, np.ones(10)])
    rest = np.linalg.lstsq(system, np.append(np.zeros(10), 1.0))[0]
    found = ladder.cycle(sawtooth(0.0, 200.0, 0.2 * period, 0.8 * period))
    np.testing.assert_allclose(found(np.linspace(0, period, 5)), np.tile(rest, (5, 1)), rtol=1e-3)


def test_rates_bend_only_between_the_pieces_of_a_cycle() -> None:
    """An energy is 0 at s = 0 and where (1 + s/18.2)/(1 + s/3000) is e², or e⁴, above all levels here."""
    ladder, signal = Ladder(0.1), sawtooth(0.0, 200.0, 1.0, 4.0)
    level = (math.exp(2) - 1) / (1 / 18.2 - math.exp(2) / 3000)
    starts = [piece.start for piece in smooth_pieces(ladder, signal)]
    np.testing.assert_allclose(starts, [0.0, level / 200, 1.0, 1.0 + 4 * (1 - level / 200)], rtol=1e-12)
    assert ladder.energies(level)[2] == pytest.approx(0.0, abs=1e-14)


def test_a_cycle_meets_its_tolerance() -> None:
    ladder, signal = Ladder(0.01), sawtooth(0.0, 250.0, 3.0, 15.0)
    fine = ladder.cycle(signal, tolerance=1e-13)
    times = np.append(np.geomspace(1e-6, 18.0, 200), 3.0 + np.geomspace(1e-6, 15.0, 200))
    exact, large = fine(times), fine.values.max(axis=0)
    wrong = []
    for tolerance in (1e-4, 1e-6, 1e-8):
        error = np.abs(ladder.cycle(signal, tolerance=tolerance)(times) - exact) / large
        wrong.append(error.max())
        assert wrong[-1] < tolerance
    assert wrong[0] > 100 * wrong[-1]  # it is the tolerance that rules
    cost = ladder.cycle_dissipation(signal, tolerance=1e-13)
    assert ladder.cycle_dissipation(signal) == pytest.approx(cost, rel=1e-12)


def test_a_faster_swing_costs_more_than_rest_and_so_does_a_stronger_drive() -> None:
    signal = sawtooth(10.0, 100.0, 1.0, 5.0)
    costs = [Ladder(gamma).cycle_dissipation(signal) for gamma in (1.0, 0.5, 0.1, 1e-3)]
    assert 0 < costs[0] < costs[1] < costs[2] < costs[3]


def test_cycles_that_are_none() -> None:
    ladder = Ladder(0.1)
    with pytest.raises(ValueError, match="a cycle needs a periodic signal, got one that ends"):
        ladder.cycle(Signal.sawtooth(0, 5, rise=1, fall=1))
    with pytest.raises(ValueError, match=r"level s must be 0 or more and at most 1e\+100, got -5"):
        ladder.cycle_dissipation(sawtooth(-5.0, 5.0, 1.0, 1.0))
    with pytest.raises(ValueError, match=r"probabilities must be 0 or more, got -0\.5"):
        ladder.entropy_production_rate(5.0, [1.5, -0.5] + [0.0] * 8)
    assert ladder.entropy_production_rate(5.0, [1.0] + [0.0] * 9) == math.inf
