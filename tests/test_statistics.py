"""The statistical assertions hold a right simulator for right and tell wrong ones; the exact laws agree."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.stats import binom, poisson

from chemlearn.signal import Signal
from tests.statistics import (
    MassAction,
    assert_means,
    assert_moments,
    independent_molecules,
    master_equation,
    oracle_ssa,
    poisson_fourth,
    z_threshold,
)

TIMES = np.linspace(5, 50, 10)
MEAN = 100 * (1 - np.exp(-0.1 * TIMES))  # immigration 10, death 0.1, from 0: a Poisson law at all times
RIGHT = [MassAction(10.0, (0,), (1,)), MassAction(0.1, (1,), (0,))]
BIRTHS_5_PERCENT_UP = [MassAction(10.5, (0,), (1,)), MassAction(0.1, (1,), (0,))]
BURSTS_OF_TWO = [MassAction(5.0, (0,), (2,)), MassAction(0.1, (1,), (0,))]  # the same mean


def sampled(reactions: list[MassAction], seed: int) -> np.ndarray:
    return oracle_ssa(reactions, [0], TIMES, trajectories=1000, seed=seed)[:, :, 0]


def test_thresholds_are_the_stated_ones() -> None:
    assert [round(z_threshold(k), 1) for k in (1, 10, 100)] == [4.9, 5.3, 5.7]
    assert [round(z_threshold(k, 1e-3), 1) for k in (1, 10, 100)] == [3.3, 3.9, 4.4]


@pytest.mark.statistical
def test_a_right_simulator_passes(seed) -> None:
    s = seed(11)
    samples = sampled(RIGHT, s)
    assert_means(samples, MEAN, MEAN, seed=s)
    assert_moments(samples, MEAN, MEAN, fourth=poisson_fourth(MEAN), seed=s)
    assert_moments(samples, MEAN, MEAN, seed=s)  # with the sampled fourth moment


@pytest.mark.statistical
def test_five_percent_more_births_are_caught_by_the_mean(seed) -> None:
    s = seed(12)
    with pytest.raises(AssertionError, match=rf"mean off by z = \d+.*K = 10 .*seed {s}"):
        assert_means(sampled(BIRTHS_5_PERCENT_UP, s), MEAN, MEAN, seed=s)


@pytest.mark.statistical
def test_bursts_of_two_are_caught_by_the_variance_only(seed) -> None:
    s = seed(13)
    samples = sampled(BURSTS_OF_TWO, s)
    assert_means(samples, MEAN, 1.5 * MEAN, seed=s)
    with pytest.raises(AssertionError, match="variance off by z = "):
        assert_moments(samples, MEAN, MEAN, fourth=poisson_fourth(MEAN), seed=s)


def test_where_nothing_varies_nothing_may_differ() -> None:
    samples = np.zeros((10, 2))
    assert_moments(samples, [0, 0], [0, 0], seed=0)
    samples[3, 1] = 1
    with pytest.raises(AssertionError, match=r"at \(1,\)"):
        assert_means(samples, [0, 0], [0, 0], seed=0)


def test_master_equation_of_immigration_and_death_is_poisson() -> None:
    law = master_equation(RIGHT, [0], TIMES, sizes=[220])
    assert abs(law.lost) < 1e-12
    exact = poisson.pmf(np.arange(220)[None, :], MEAN[:, None])
    np.testing.assert_allclose(law.probabilities, exact, atol=1e-11)
    np.testing.assert_allclose(law.central(2)[:, 0], MEAN, rtol=1e-9)
    np.testing.assert_allclose(law.central(4)[:, 0], poisson_fourth(MEAN), rtol=1e-9)


def test_master_equation_says_what_leaves_its_box() -> None:
    assert master_equation(RIGHT, [0], TIMES, sizes=[80]).lost > 0.9


def test_master_equation_follows_ramps_and_jumps() -> None:
    """Driven immigration and death are Poisson with the mean of the rate equation."""
    driven = [MassAction(1.0, (0,), (1,), driven=True), MassAction(1.0, (1,), (0,))]
    signal = Signal(np.array([0, 1, 2, 2, 3]), np.array([0.0, 20.0, 10.0, 5.0, 5.0]))
    law = master_equation(driven, [0], np.array([1.0, 2.0, 3.0]), sizes=[60], signal=signal)
    first = 20 * np.exp(-1)  # x' = 20 t − x from 0: 20 (t − 1 + e^−t)
    second = 20 - 10 - (-10) + (first - (20 - (-10))) * np.exp(-1)  # towards s − s', s' = −10
    third = 5 + (second - 5) * np.exp(-1)
    np.testing.assert_allclose(law.mean[:, 0], [first, second, third], rtol=1e-5)
    np.testing.assert_allclose(law.central(2)[:, 0], [first, second, third], rtol=1e-5)


@pytest.mark.statistical
def test_oracle_agrees_with_the_master_equation_on_dimerisation(seed) -> None:
    s = seed(14)
    reactions = [MassAction(0.05, (2, 0), (0, 1)), MassAction(0.5, (0, 1), (2, 0))]
    times = np.array([0.0, 0.2, 1.0, 5.0])
    law = master_equation(reactions, [21, 0], times, sizes=[22, 12])
    samples = oracle_ssa(reactions, [21, 0], times, trajectories=2000, seed=s)
    assert np.all(samples @ [1, 2] == 21)
    assert_moments(samples, law.mean, law.central(2), fourth=law.central(4), seed=s)


def test_independent_molecules_are_binomial() -> None:
    p = np.array([[0.3, 0.0], [0.9, 1.0]])
    mean, var, fourth = independent_molecules(np.array([50, 7]), p)
    law = binom(50, [0.3, 0.9])
    np.testing.assert_allclose(mean, law.mean() + np.array([0, 7]))
    np.testing.assert_allclose(var, law.var())
    np.testing.assert_allclose(fourth, law.var() ** 2 * (3 + law.stats("k")))


def test_master_equation_of_one_molecule_is_the_matrix_exponential() -> None:
    reactions = [MassAction(0.7, (1, 0), (0, 1)), MassAction(0.2, (0, 1), (1, 0))]
    law = master_equation(reactions, [1, 0], np.array([0.5, 2.0]), sizes=[2, 2])
    rates = np.array([[-0.7, 0.2], [0.7, -0.2]])
    np.testing.assert_allclose(law.mean, [(expm(rates * t) @ [1, 0]) for t in (0.5, 2.0)], rtol=1e-10)
