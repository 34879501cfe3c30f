"""Dissipation over a learning cycle: against the rate matrix of one molecule under the same sawtooth."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from chemlearn.cycle import Cycle, deterministic_curve
from chemlearn.entropy.cycle import CycleDissipation, cycle_dissipation
from chemlearn.entropy.network import dissipation
from chemlearn.errors import ModelError
from chemlearn.markov.chain import entropy_production_rate
from chemlearn.markov.ladder import Ladder
from chemlearn.model import Model
from chemlearn.signal import Signal
from tests.statistics import z_threshold
from tests.sweeping import rotor
from tests.test_entropy import CYCLE
from tests.test_entropy import ladder as matrix


def saw(free: float, clamped: float, rise: float, fall: float) -> Signal:
    return Signal.sawtooth(free, clamped, rise=rise, fall=fall, periodic=True)


@cache
def ladder(gamma: float, n: int = 100) -> Model:
    return Model.load("ladder").with_values(gamma=gamma, N=n)


def by_matrix(gamma: float, signal: Signal) -> float:
    """Entropy production of one molecule in a period, from the periodic state of its master equation.

    The map over a period is followed for all first states at once; what it leaves as it is is solved for.
    """

    def rates(t: float) -> np.ndarray:
        return matrix(gamma, 25.0, float(signal(t)))

    def velocity(t: float, y: np.ndarray) -> np.ndarray:
        return (rates(t) @ y.reshape(10, -1)).ravel()

    def producing(t: float, y: np.ndarray) -> np.ndarray:
        return np.append(rates(t) @ y[:-1], entropy_production_rate(rates(t), y[:-1]))

    def through(rhs, y: np.ndarray, jac) -> np.ndarray:
        for piece in signal.pieces(0.0, signal.period):
            inside = piece.stop - 1e-12 * signal.period  # the knot belongs to the next piece
            found = solve_ivp(rhs, (piece.start, inside), y, "LSODA", jac=jac, rtol=1e-10, atol=1e-13)
            y = found.y[:, -1]
        return y

    one = np.eye(10)
    whole = through(velocity, one.ravel(), lambda t, _: np.kron(rates(t), one)).reshape(10, 10)
    normal = np.vstack([whole - one, np.ones(10)])
    start = np.linalg.lstsq(normal, np.append(np.zeros(10), 1.0))[0]
    return float(through(producing, np.append(start, 0.0), None)[-1])


# --- three ways --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gamma", "signal"),
    [(0.01, saw(25, 75, 1, 9)), (0.3, saw(0, 200, 0.5, 2)), (1.0, saw(10, 90, 0.2, 0.3))],
    ids=["slow", "from nothing", "balanced, short"],
)
def test_network_formula_is_that_of_the_rate_matrix(gamma: float, signal: Signal) -> None:
    found = cycle_dissipation(ladder(gamma), signal)
    assert found.molecules == pytest.approx(100)
    assert found.per_molecule == pytest.approx(by_matrix(gamma, signal), rel=1e-7)
    assert found.per_molecule == pytest.approx(Ladder(gamma).cycle_dissipation(signal), rel=1e-9)
    assert found.error < 1e-8 * found.per_cycle
    assert float(found.course.contribution.sum()) == found.per_cycle
    assert float(found.course.rate @ found.course.weight) == pytest.approx(found.per_cycle, rel=1e-12)
    assert found.course.rate.values.min() >= 0


@pytest.mark.statistical
@pytest.mark.parametrize(("gamma", "n", "clamped"), [(0.1, 1, 90), (1.0, 1, 400), (0.01, 10, 90)])
def test_trajectories_dissipate_the_same(gamma: float, n: int, clamped: float, seed) -> None:
    """Whole cycles in the periodic state, every firing at the input of its instant; K = 2."""
    signal = saw(10, clamped, 0.3, 0.7)
    found = cycle_dissipation(ladder(gamma, n), signal, trajectories=1500 // n, cycles=2, seed=seed(51))
    assert found.ensemble is not None
    assert found.ensemble.attrs["start"] == "periodic"
    value, error = found.sampled
    assert abs(value - found.per_cycle) < z_threshold(2) * error
    observed = signal.period * found.ensemble.observed_rate.item()
    observed_error = signal.period * found.ensemble.observed_rate_error.item()
    assert abs(observed - found.per_cycle) < z_threshold(2) * observed_error
    assert error < 0.15 * found.per_cycle
    assert "trajectories" in str(found)


@pytest.mark.statistical
def test_the_systems_own_entropy_is_as_it_was_after_a_period(seed) -> None:
    found = cycle_dissipation(rotor(), saw(0.5, 3, 0.5, 1.5), trajectories=800, seed=seed(52))
    assert found.ensemble is not None
    system = found.ensemble.system.values
    assert system.std() > 0.5
    assert abs(system.mean()) < z_threshold(1) * system.std(ddof=1) / math.sqrt(len(system))


@pytest.mark.statistical
def test_a_wrong_network_formula_is_caught(seed) -> None:
    """Rates at the mean of the signal instead of at every instant: what rest costs, not the cycle."""
    found = cycle_dissipation(ladder(1.0, 1), saw(0, 400, 0.5, 1), trajectories=1500, seed=seed(53))
    value, error = found.sampled
    assert abs(value - found.per_cycle) < z_threshold(2) * error
    assert abs(value - found.resting) > z_threshold(2) * error


# --- what it must be ---------------------------------------------------------------------------------------


def test_without_a_swing_it_is_what_rest_costs() -> None:
    found = cycle_dissipation(ladder(0.01), saw(50, 50, 1, 9))
    assert found.per_cycle == pytest.approx(10 * dissipation(ladder(0.01), 50).rate, rel=1e-9)
    assert found.per_cycle == pytest.approx(found.resting, rel=1e-9)
    assert found.update == pytest.approx(0.0, abs=1e-7)


def test_in_detailed_balance_a_slow_cycle_costs_nothing() -> None:
    """Only haste dissipates: half as much when the cycle is twice as long."""
    costs = [cycle_dissipation(ladder(1.0), saw(25, 75, 1e3 * k, 9e3 * k)).per_cycle for k in (1, 2)]
    assert costs[1] == pytest.approx(costs[0] / 2, rel=5e-3)
    assert cycle_dissipation(ladder(1.0), saw(25, 75, 1e3, 9e3)).resting == pytest.approx(0.0, abs=1e-15)


def test_a_ring_turns_at_the_cost_of_its_affinity() -> None:
    """With equal rates round the ring a third of the molecules is everywhere: σ = N (f s − b) ln(f s/b)."""
    text = CYCLE.format(f=3.0).replace("f*B", "f*s*B").replace("f*C", "f*s*C").replace("b*s*B", "b*B")
    model = Model.load(text.replace("A = 30; B = 0; C = 0", "A = 10; B = 10; C = 10"))
    found = cycle_dissipation(model, saw(1.0, 2.0, 0.4, 1.0))
    s, dt = np.linspace(1.0, 2.0, 20001), 1.4 / 20000  # each level for the same time, up and down
    exact = np.trapezoid(30 * (3 * s - 1) * np.log(3 * s), dx=dt)
    assert found.per_cycle == pytest.approx(exact, rel=1e-8)


def test_the_update_is_that_of_the_curve() -> None:
    cycle, model = Cycle(50.0, 1.0, 9.0), ladder(0.01)
    curve, _ = deterministic_curve(model, cycle, np.array([40.0]), threshold=1.5)
    found = cycle_dissipation(model, cycle.signal(40.0), threshold=1.5)
    assert curve.updates[0] > 1
    assert found.update == pytest.approx(curve.updates[0], rel=1e-4)
    assert found.per_update == pytest.approx(found.per_cycle / found.update)


def test_in_words() -> None:
    found = cycle_dissipation(ladder(0.01), saw(30, 70, 1, 9), threshold=1.5)
    assert found.in_landauer == pytest.approx(found.per_cycle / math.log(2))
    text = str(found)
    assert text.startswith(f"{found.per_cycle:.4g} k_B per cycle, {found.per_molecule:.4g} per molecule (")
    assert f"({found.in_landauer:.4g} times k_B T ln 2)" in text
    assert f"at rest {found.resting:.4g} in the same time" in text
    assert f"the weight changes by {found.update:.4g}" in text
    assert "trajectories" not in text
    assert all(map(math.isnan, found.sampled))


# --- what cannot be told -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "start"),
    [("linker", "infinite: regulate, remove, break_up run one way"), ("mechanochemical", "infinite: ")],
)
def test_one_way_reactions_are_infinite_and_named(name: str, start: str) -> None:
    model = Model.load(name)
    s = model.input_value
    found = cycle_dissipation(model, saw(0.8 * s, 1.2 * s, 20, 180), trajectories=5, seed=1)
    assert found.per_cycle == math.inf
    assert str(found).startswith(start)
    assert found.ensemble is None


def test_what_cannot_be_told_is_unknown_with_its_reason() -> None:
    found = cycle_dissipation(Model.load("maxwell"), saw(1, 2, 1, 9))
    assert isinstance(found, CycleDissipation)
    assert math.isnan(found.per_cycle)
    assert str(found) == "unknown: the model has no reactions to count"
    assert math.isfinite(found.update)


@pytest.mark.parametrize(
    ("signal", "options", "error", "message"),
    [
        (Signal.sawtooth(1, 2, rise=1, fall=1), {}, ValueError, "needs a periodic signal"),
        (saw(-1, 2, 1, 1), {}, ModelError, "cannot be negative"),
        (saw(1, 2, 1, 1), {"threshold": -1.0}, ValueError, "threshold must be 0 or positive"),
        (saw(1, 2, 1, 1), {"cycles": 0}, ValueError, "cycles must be a whole number of at least 1, got 0"),
        (saw(1, 2, 1, 1), {"trajectories": 1}, ValueError, "at least 2 trajectories"),
    ],
)
def test_arguments_that_make_no_sense(
    signal: Signal, options: dict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        cycle_dissipation(rotor(), signal, **options)
