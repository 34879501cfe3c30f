"""Firings by members of groups whose factors move, and integrals of propensities along any ramp."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import simulate_ssa
from chemlearn.simulate.native import Run
from chemlearn.simulate.native.groups import groups_of
from chemlearn.simulate.native.paths import paths
from tests.statistics import assert_moments, independent_molecules

TEETH = Signal.sawtooth(0, 4, rise=0.9, fall=0.4, periodic=True)
WAYS = {"linear": "0.4*s", "bent": "2*s^2/(3 + s^2)", "jump": "piecewise(1.5, s > 2.2, 0.1*s)"}
VALUES = {
    "linear": lambda s: 0.4 * s,
    "bent": lambda s: 2 * s**2 / (3 + s**2),
    "jump": lambda s: np.where(s > 2.2, 1.5, 0.1 * s),
}


@cache
def forked(way: str) -> Model:
    """Every molecule of A goes to B, C or D: two ways at constant rates (one of them 0), one driven."""
    return Model.load(
        "substanceOnly species A, B, C, D; A = 40; B = 0; C = 0; D = 0; s = 1; zero = 0; k = 0.7;"
        f"ab: A => B; k*A; ac: A => C; zero*A; ad: A => D; ({WAYS[way]})*A;"
    )


@pytest.mark.statistical
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("teeth", [TEETH, Signal.sawtooth(4, 0, rise=0.02, fall=0.05, periodic=True)])
def test_members_of_a_driven_group_fire_by_their_share_of_the_moment(way: str, teeth: Signal, seed) -> None:
    s, times = seed(71), np.array([0.3, 0.9, 1.6])
    run = Run(forked(way), times, teeth, {})
    assert groups_of(run.plan).size == 3
    fine = np.linspace(0, 1.6, 160_001)
    driven = VALUES[way](teeth(fine))
    cell = 0.5 * np.diff(fine) * (driven[1:] + driven[:-1])
    stays = np.exp(-0.7 * fine - np.append(0, np.cumsum(cell)))
    middle = 0.5 * (stays[1:] + stays[:-1])
    gone = np.array([np.append(0, np.cumsum(middle * part)) for part in (0.7 * np.diff(fine), cell)])
    at = np.round(times / 1e-5).astype(int)
    counts = run(range(20_000), s, 0)
    assert np.all(counts[..., 2] == 0)
    chances = np.array([stays[at], gone[0, at], gone[1, at]]).T[..., None]
    laws = [independent_molecules(np.array([40]), chance) for chance in chances]
    mean, var, fourth = (np.array(column) for column in zip(*laws, strict=True))
    assert_moments(counts[..., [0, 1, 3]], mean, var, fourth=fourth, seed=s)


@pytest.mark.parametrize("way", WAYS)
def test_integrals_are_those_along_the_path(way: str) -> None:
    """For each trajectory, by quadrature over what the amounts were; and the paths are not disturbed."""
    times = np.array([0.0, 0.37, 0.9, 1.1, 2.0])
    run = Run(forked(way), times, TEETH, {}, propensity_integrals=True)
    logged = Run(forked(way), times, TEETH, {}, propensity_integrals=True, logged=True)
    found = run(range(12), 5, 0)
    knots = [0.9, 1.3] + ([0.9 * 2.2 / 4, 0.9 + 0.4 * 1.8 / 4, 1.3 + 0.9 * 2.2 / 4] if way == "jump" else [])
    for path, result in zip(paths(logged, range(12), 5, 0), found, strict=True):
        edges = np.concatenate([[0.0], path.times, times, knots, [2.0]])
        edges = np.unique(edges[edges <= 2.0])
        amounts = np.concatenate([[40], path.amounts[:, 0]])[np.searchsorted(path.times, edges[:-1], "right")]
        drive = [
            quad(lambda t: float(VALUES[way](TEETH(t))), a, b, epsabs=1e-13)[0] for a, b in pairwise(edges)
        ]
        course = np.append(0, np.cumsum(amounts * drive)), np.append(0, np.cumsum(amounts * np.diff(edges)))
        at = np.searchsorted(edges, times)
        np.testing.assert_array_equal(result[:, 0], 40 - result[:, 1:4].sum(axis=1))
        np.testing.assert_allclose(result[:, 4], 0.7 * course[1][at], rtol=1e-12)
        np.testing.assert_array_equal(result[:, 5], 0)
        np.testing.assert_allclose(result[:, 6], course[0][at], rtol=1e-8)


@pytest.mark.statistical
@pytest.mark.parametrize("way", WAYS)
def test_firings_less_integrals_are_a_martingale(way: str, seed) -> None:
    s, times = seed(72), np.array([0.0, 0.4, 0.9, 2.0])
    how = {"signal": TEETH, "trajectories": 6000, "seed": s, "firings": True, "propensity_integrals": True}
    data = simulate_ssa(forked(way), times, **how)
    martingale = (data.firings - data.propensity_integral).values[:, 1:][..., [0, 2]]
    variance = data.propensity_integral.mean("trajectory").values[1:][..., [0, 2]]
    assert_moments(martingale, np.zeros(variance.shape), variance, seed=s)
    wrong = data.propensity_integral * 1.05
    with pytest.raises(AssertionError):
        assert_moments((data.firings - wrong).values[:, 1:][..., [0, 2]], 0 * variance, variance, seed=s)


def test_integrals_are_the_same_for_any_number_of_workers_and_code() -> None:
    times = np.array([0.5, 2.0])
    how = {"signal": TEETH, "seed": 3, "propensity_integrals": True}
    one = simulate_ssa(forked("bent"), times, trajectories=70, workers=1, **how)
    two = simulate_ssa(forked("bent"), times, trajectories=70, workers=2, **how)
    assert one.identical(two)
    alone = simulate_ssa(forked("bent"), times, trajectories=range(41, 42), **how)
    np.testing.assert_array_equal(alone.propensity_integral[0], one.propensity_integral[41])
