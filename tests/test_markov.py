"""Markov chains, their relaxation and their periodic states against closed forms and exact numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import expm
from scipy.stats import poisson

from chemlearn.errors import ConvergenceError
from chemlearn.kernels.kernel import exponential
from chemlearn.markov.chain import affinity, checked_rates, entropy_production_rate, steady_state
from chemlearn.markov.modes import relaxation_modes
from chemlearn.markov.periodic import Stretch, periodic_state
from chemlearn.signal import Signal
from tests.precise import entropy_production


def random_rates(n: int, seed: int, decades: float = 2.0) -> np.ndarray:
    return 10 ** (decades * np.random.default_rng(seed).uniform(-1, 1, (n, n)))


# --- chains -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_a_steady_state_is_at_rest(seed: int) -> None:
    rates = checked_rates(random_rates(7, seed))
    assert np.abs(rates.sum(axis=0)).max() < 1e-12 * np.abs(rates).max()
    p = steady_state(rates)
    assert p.min() > 0
    assert p.sum() == pytest.approx(1, rel=1e-15)
    assert np.abs(rates @ p).max() < 1e-13 * np.abs(rates).max()
    assert entropy_production_rate(rates) > 0


def test_rates_far_apart_keep_their_digits() -> None:
    """A chain of three: p ∝ products of rates, in closed form."""
    for small in (1e-10, 1e-100, 1e-300):
        rates = np.array([[0, 1, 0], [small, 0, 1], [0, small, 0]])
        p = steady_state(rates)
        np.testing.assert_allclose(p[1] / p[0], small, rtol=1e-14)
        assert p[2] == pytest.approx(small * small, rel=1e-13)


def test_detailed_balance_costs_nothing_and_a_driven_ring_what_its_affinity_says() -> None:
    energies = np.array([0.3, -1.0, 0.7, 0.0])
    barriers = random_rates(4, 9)
    balanced = (barriers + barriers.T) * np.exp(energies)[None, :]
    assert abs(affinity(balanced, [0, 1, 2])) < 1e-14
    assert abs(entropy_production_rate(balanced)) < 1e-13 * balanced.max()
    forward, backward = 3.0, 0.5  # a ring of 5: current (f - b)/5 through five steps of ln(f/b)
    ring = np.roll(forward * np.eye(5), 1, axis=0) + np.roll(backward * np.eye(5), -1, axis=0)
    expected = (forward - backward) * math.log(forward / backward)
    assert entropy_production_rate(ring) == pytest.approx(expected, rel=1e-14)
    assert affinity(ring, range(5)) == pytest.approx(5 * math.log(forward / backward), rel=1e-14)


def test_entropy_production_away_from_rest() -> None:
    """Two states in balance relax: what they produce is what their free energy loses, −d/dt D(p‖rest)."""
    rates = checked_rates([[0.0, 2.0], [0.5, 0.0]])
    rest = steady_state(rates)
    for p in (np.array([0.3, 0.7]), np.array([0.8 + 1e-9, 0.2 - 1e-9]), np.array([1e-200, 1.0])):
        expected = -(rates @ p) @ np.log(p / rest)
        assert entropy_production_rate(rates, p) == pytest.approx(expected, rel=1e-6)
    assert entropy_production_rate(rates, [0.0, 1.0]) == math.inf
    near = [0.8 + 1e-9, 0.2 - 1e-9]  # these rates multiply without rounding, so no digit need be lost
    exact = entropy_production(
        [[Decimal(rate) for rate in row] for row in rates.tolist()], [*map(Decimal, near)]
    )
    assert entropy_production_rate(rates, near) == pytest.approx(float(exact), rel=1e-13, abs=0.0)


def test_chains_that_are_none() -> None:
    with pytest.raises(ValueError, match="the rate from state 1 to 0 must be 0 or more, got -1"):
        checked_rates([[0, -1], [1, 0]])
    with pytest.raises(ValueError, match=r"a rate matrix is square, got shape \(2, 3\)"):
        checked_rates(np.ones((2, 3)))
    with pytest.raises(ConvergenceError, match="no single steady state"):
        steady_state([[0, 0], [0, 0]])
    assert entropy_production_rate([[0, 1, 0], [0, 0, 1], [1, 0, 0]]) == math.inf
    with pytest.raises(ValueError, match=r"one probability per state is needed, 2 of them, got shape \(3,\)"):
        entropy_production_rate([[0, 1], [1, 0]], [0.5, 0.2, 0.3])
    with pytest.raises(ValueError, match=r"probabilities must be 0 or more, got -0\.1"):
        entropy_production_rate([[0, 1], [1, 0]], [1.1, -0.1])


# --- relaxation ---------------------------------------------------------------------------------------------


def conserving(n: int) -> np.ndarray:
    """A deviation from rest: its sum is 0."""
    start = np.cos(np.arange(n) * 1.7)
    return start - start.mean()


@pytest.mark.parametrize("seed", range(4))
def test_modes_are_the_matrix_exponential(seed: int) -> None:
    rates, start = checked_rates(random_rates(6, seed, decades=0.5)), conserving(6)
    modes, times = relaxation_modes(rates, start), np.array([0.0, 0.1, 1.0])
    exact = np.array([expm(rates * t) @ start for t in times])
    np.testing.assert_allclose(modes(times), exact, atol=1e-13)
    whole = np.linalg.lstsq(np.vstack([rates, np.ones(6)]), np.append(-start, 0.0))[0]
    np.testing.assert_allclose(modes.integral, whole, atol=1e-12)
    kernel = modes.kernel(np.arange(6.0), stretch=0.25)
    np.testing.assert_allclose(kernel(times / 4), 4 * exact @ np.arange(6.0), atol=1e-12)


@pytest.mark.parametrize("stages", [2, 4, 6])
def test_stages_in_a_row_have_one_eigenvector(stages: int) -> None:
    """Equal rates one after the other: a Jordan block, whose law is Poisson; eigenvectors give nothing."""
    n = stages + 1
    chain = np.diag(np.append(-np.ones(stages), 0.0)) + np.diag(np.ones(stages), -1)
    start = np.append(1.0, np.zeros(stages))
    times = np.array([0.0, 0.5, 3.0, 20.0])
    modes = relaxation_modes(chain, start - np.eye(n)[-1])
    expected = poisson.pmf(np.arange(stages), times[:, None])
    np.testing.assert_allclose(modes(times)[:, :-1], expected, rtol=1e-12, atol=1e-15)
    assert modes.powers.max() == stages - 1


@pytest.mark.parametrize("gap", [0.0, 1e-13, 1e-9, 1e-6, 1e-3, 0.1])
def test_two_stages_whose_rates_are_near(gap: float) -> None:
    """(e^(−t) − e^(−(1+g)t))/g, which is t e^(−t) for g = 0, for all gaps without loss."""
    chain = np.array([[-1.0, 0.0, 0.0], [1.0, -1.0 - gap, 0.0], [0.0, 1.0 + gap, 0.0]])
    times = np.array([0.1, 1.0, 5.0, 30.0])
    second = times * np.exp(-times) if gap == 0 else -np.exp(-times) * np.expm1(-gap * times) / gap
    found = relaxation_modes(chain, np.array([1.0, 0.0, -1.0]))(times)[:, 1]
    np.testing.assert_allclose(found, second, rtol=1e-11)


def test_rates_far_apart_do_not_drown_the_slow_one() -> None:
    """Two fast variables that follow a slow one, in closed form but for terms of the ratio of the rates."""
    for fast in (1e6, 1e10, 1e14):
        matrix = np.array(
            [
                [-3 * fast, 1.0, 2.0, 0.0],
                [1.0, -3 * fast, 1.0, 0.0],
                [1.0, 2.0, -1.0, 0.0],
                [3 * fast - 2.0, 3 * fast - 3.0, -2.0, 0.0],
            ]
        )
        modes = relaxation_modes(matrix, np.array([0.0, 0.0, 1.0, -1.0]))
        slow = modes.rates[np.argmin(modes.rates.real)].real
        a, b = np.linalg.solve([[3 * fast - slow, -1.0], [-1.0, 3 * fast - slow]], [2.0, 1.0])
        assert slow == pytest.approx(1.0 - a - 2 * b, rel=1e-14)
        kept = modes(1.0)[2] * math.exp(
            slow
        )  # the share of the slow mode; what it lent the fast ones is left
        assert kept == pytest.approx(1.0 - (a + 2 * b) / (3 * fast), rel=1e-12)


def test_a_rate_that_rounding_has_spoilt_is_refused() -> None:
    chain = checked_rates([[0.0, 1e-17, 0.0], [1e-17, 0.0, 1.0], [0.0, 1.0, 0.0]])
    with pytest.raises(ConvergenceError, match="the slowest rates of this relaxation are lost in rounding"):
        relaxation_modes(chain, np.array([1.0, -0.5, -0.5]))


# --- periodic states ----------------------------------------------------------------------------------------


def affine(rate: float, drive: Signal) -> list[Stretch]:
    """x' = b(t) − rate·x as a linear system of (x, 1), one stretch per piece of b."""

    def matrix(value: float, slope: float) -> Callable[[np.ndarray], np.ndarray]:
        def at(since: np.ndarray) -> np.ndarray:
            found = np.zeros((len(since), 2, 2))
            found[:, 0, 0], found[:, 0, 1] = -rate, value + slope * since
            return found

        return at

    pieces = drive.pieces(0.0, drive.period)
    return [Stretch(piece.stop - piece.start, matrix(piece.value, piece.slope)) for piece in pieces]


@pytest.mark.parametrize("rate", [1e-3, 1.0, 50.0, 1e6])
@pytest.mark.parametrize(
    "drive",
    [
        Signal.sawtooth(1.0, 3.0, rise=0.5, fall=4.0, periodic=True),
        Signal.square(1.0, 3.0, first=0.5, second=4.0, periodic=True),
    ],
    ids=["sawtooth", "square"],
)
def test_a_periodic_state_is_the_exact_answer_of_a_leaky_memory(rate: float, drive: Signal) -> None:
    state = periodic_state(affine(rate, drive), np.array([0.0, 1.0]), np.array([2.0 / rate, 1.0]))
    kernel = exponential(1 / rate)
    times = np.append(np.linspace(0.0, 9.0, 60), 0.5 + np.geomspace(1e-8, 1.0, 30))
    exact = kernel.respond(drive, times) / rate
    np.testing.assert_allclose(state(times)[:, 0], exact, rtol=3e-10)
    whole = state.weights @ state.values[:, 0]
    assert whole == pytest.approx(drive.mean * drive.period / rate, rel=1e-12)
    twice = state.through(np.array([[2.0, 1.0]]))
    np.testing.assert_allclose(twice(times)[:, 0], 2 * state(times)[:, 0] + 1, rtol=1e-12)
    assert state(0.3).shape == (2,)


def test_a_periodic_state_whose_rate_follows_the_signal() -> None:
    """x' = 1 − k(t) x with k = e^(sin 2πt): the solution by quadrature."""

    def matrix(since: np.ndarray) -> np.ndarray:
        found = np.zeros((len(since), 2, 2))
        found[:, 0, 0], found[:, 0, 1] = -np.exp(np.sin(2 * np.pi * since)), 1.0
        return found

    def lost(start: float, stop: float) -> float:
        return quad(lambda t: math.exp(math.sin(2 * math.pi * t)), start, stop, epsabs=1e-13)[0]

    state = periodic_state([Stretch(1.0, matrix)], np.array([0.0, 1.0]), np.ones(2), tolerance=1e-12)
    gained = quad(lambda t: math.exp(-lost(t, 1.0)), 0.0, 1.0, epsabs=1e-12)[0]
    assert state(0.0)[0] == pytest.approx(gained / -math.expm1(-lost(0.0, 1.0)), rel=1e-11)


def test_a_tolerance_beyond_rounding_is_refused() -> None:
    drive = Signal.sawtooth(1.0, 3.0, rise=0.5, fall=4.0, periodic=True)
    with pytest.raises(ConvergenceError, match=r"asked for 1\.0e-30; allow a larger tolerance") as caught:
        periodic_state(affine(1.0, drive), np.array([0.0, 1.0]), np.ones(2), tolerance=1e-30)
    assert 0 < caught.value.residual < 1e-12
