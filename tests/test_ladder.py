"""Markov chains and the two-rail ladder against exact numbers, the reference, and its model in Antimony."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from chemlearn.entropy import dissipation
from chemlearn.errors import ConvergenceError
from chemlearn.ladder import Ladder
from chemlearn.markov import affinity, checked_rates, entropy_production_rate, steady_state
from chemlearn.model import Model


def random_rates(n: int, seed: int, decades: float = 2.0) -> np.ndarray:
    return 10 ** (decades * np.random.default_rng(seed).uniform(-1, 1, (n, n)))


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


def test_chains_that_are_none() -> None:
    with pytest.raises(ValueError, match="the rate from state 1 to 0 must be 0 or more, got -1"):
        checked_rates([[0, -1], [1, 0]])
    with pytest.raises(ValueError, match=r"a rate matrix is square, got shape \(2, 3\)"):
        checked_rates(np.ones((2, 3)))
    with pytest.raises(ConvergenceError, match="no single steady state"):
        steady_state([[0, 0], [0, 0]])
    assert entropy_production_rate([[0, 1, 0], [0, 0, 1], [1, 0, 0]]) == math.inf


def test_the_ladder_against_the_reference(shared: Path) -> None:
    """All rows, to 1e-8; a dissipation of 0 to rounding. The kernels there are not divided by the step."""
    rows = json.loads((shared / "reference" / "synapse.json").read_text())["ladder"]
    assert len(rows) == 28
    for row in rows:
        gamma = 1 / math.e if row["gamma"] == "1/e" else float(row["gamma"])
        ladder, exact = (
            Ladder(gamma, F=row["F"]),
            {k: float(v) for k, v in row["exact"].items()},
        )
        s = row["s"]
        kernel = ladder.kernel(0.0, s)
        assert ladder.occupancy(0.0) == pytest.approx(exact["top0"], rel=1e-13)
        assert ladder.occupancy(s) == pytest.approx(exact["topinf"], rel=1e-13)
        assert float(kernel.tail(0, [0.0])[0]) * s == pytest.approx(exact["kernel0"], rel=1e-8)
        assert kernel.area * s == pytest.approx(exact["topinf"] - exact["top0"], rel=1e-8)
        assert kernel.first_moment * s == pytest.approx(exact["m1_inf_orig"], rel=1e-8)
        assert min(kernel.rates.real) == pytest.approx(exact["slowest_rate"], rel=1e-8)
        for level, name in ((0.0, "diss0"), (s, "diss_s")):
            assert ladder.dissipation(level) == pytest.approx(exact[name], rel=1e-8, abs=1e-13)


@pytest.mark.parametrize("gamma", [1e-300, 1e-24, 0.01, 0.9])
@pytest.mark.parametrize("columns", [2, 5, 9])
def test_dissipation_is_the_affinity_times_the_current(gamma: float, columns: int) -> None:
    ladder = Ladder(gamma, columns=columns)
    for s in (0.0, 50.0, 5000.0):
        p = ladder.steady_state(s)
        current = sum(p[m + 1] - math.e * gamma * p[m] for m in range(columns - 1))
        assert ladder.dissipation(s) == pytest.approx(ladder.affinity() * current, rel=1e-9)
        squares = [[m, columns + m, columns + m + 1, m + 1] for m in range(columns - 1)]
        for square in squares:
            assert affinity(ladder.rates(s), square) == pytest.approx(ladder.affinity(), rel=1e-9)


def test_the_model_in_antimony_is_this_ladder() -> None:
    for gamma, s in ((0.01, 50.0), (0.2, 3.0), (1e-6, 200.0)):
        model, ladder = Model.load("ladder").with_values(gamma=gamma, s=s), Ladder(gamma)
        assert dissipation(model).per_molecule == pytest.approx(ladder.dissipation(s), rel=1e-8)
        rest = float(model.dynamics.output(model.dynamics.steady_state(s), s))
        assert rest / 100 == pytest.approx(1 - ladder.occupancy(s), rel=1e-9)  # u counts the bottom rail


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"gamma": 0.0}, "gamma must be above 0 and at most 1, got 0"),
        ({"gamma": 1.5}, "gamma must be above 0 and at most 1, got 1.5"),
        ({"gamma": 0.1, "columns": 1}, "at least 2 columns, got 1"),
        ({"gamma": 0.1, "F": -1.0}, "F must be positive, got -1"),
    ],
)
def test_ladders_that_are_none(wrong: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Ladder(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="s must be 0 or more, got -1"):
        Ladder(0.1).rates(-1.0)
    with pytest.raises(ValueError, match="two different ligand levels, got 5 twice"):
        Ladder(0.1).kernel(5.0, 5.0)
