"""Molecular noise by the linear noise approximation against exact laws and an ensemble."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from chemlearn.errors import ModelError
from chemlearn.model import Model
from chemlearn.noise import output_sd
from chemlearn.simulate import simulate_ssa
from tests.statistics import assert_moments, poisson_fourth


@pytest.mark.parametrize("s", [0.5, 2.0])
def test_birth_and_death_is_poisson(s: float) -> None:
    assert output_sd(Model.load("leaky"), s) ** 2 == pytest.approx(100 * s, rel=1e-10)


@pytest.mark.parametrize("gamma", [0.01, 1.0])
def test_independent_molecules_are_binomial(gamma: float) -> None:
    model = Model.load("ladder").with_values(gamma=gamma)
    dynamics = model.dynamics
    u = float(dynamics.output(dynamics.steady_state(50.0), 50.0))
    assert output_sd(model) ** 2 == pytest.approx(u * (1 - u / 100), rel=1e-9)


def test_integral_feedback_has_twice_the_poisson_variance() -> None:
    assert output_sd(Model.load("integral_feedback")) ** 2 == pytest.approx(800, rel=1e-6)


def test_a_burst_of_two_widens_the_law() -> None:
    """Molecules made two at a time: Fano factor (1 + b)/2 with b = 2."""
    text = "model m\n s = 1; u = 40\n make: => 2 u; 20*s\n lose: u => ; u\nend"
    assert output_sd(Model.load(text)) ** 2 == pytest.approx(40 * 1.5, rel=1e-10)


def test_rate_rules_have_no_molecular_noise() -> None:
    with pytest.raises(ModelError, match="no molecular noise"):
        output_sd(Model.load("maxwell"))


@pytest.mark.statistical
def test_ensemble_scatters_as_the_approximation_says(seed: Callable[[int], int]) -> None:
    """Linear propensities, so mean and variance are exact: bound for a false alarm in 1e6."""
    model = Model.load("leaky").with_values(size=10, u=20, w=0)
    drawn = seed(11)
    data = simulate_ssa(model, np.array([8.0]), trajectories=2000, seed=drawn)
    assert_moments(
        data.u.values[:, 0], 20.0, output_sd(model) ** 2, seed=drawn, fourth=poisson_fourth(np.array(20.0))
    )
