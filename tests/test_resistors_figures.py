"""Figures of Stern et al.: what they compute, and their parts against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from chemlearn.figures import figure_stern1, figure_stern2, figure_stern3, stern_many
from chemlearn.figures.shared import Drawn
from chemlearn.figures.stern_runs import Trials, power_law
from chemlearn.resistors.solve import laplacian


@pytest.fixture(scope="module")
def stern1() -> Drawn:
    return figure_stern1.stern1(fast=True)


@pytest.fixture(scope="module")
def stern2() -> Drawn:
    return figure_stern2.stern2(fast=True)


def test_the_experiment_learns_until_its_noise(stern1: Drawn) -> None:
    assert [claim.holds for claim in stern1.claims[:2]] == [True, True]
    data = stern1.data
    assert data.attrs["source"].startswith("Stern")
    assert (data.course.isel(step=0) == 1).all()
    assert float(data.course.isel(shown=0)[-100:].median()) < 0.05
    assert len(stern1.figure.axes) == 4


def test_a_network_learns_at_seven_rates(stern2: Drawn) -> None:
    assert [claim.holds for claim in stern2.claims[:2]] == [True, True]
    data = stern2.data
    assert data.sizes["rate"] == 7
    # In steps the slowest runs are one, down to the goal; the fastest needs more of them.
    steps = [
        np.interp(1e-3, run[::-1], alpha_t[::-1])
        for run, alpha_t in zip(
            data.course.values[[0, 1, -1]], (data.course_time * data.rate).values[[0, 1, -1]], strict=True
        )
    ]
    assert steps[1] == pytest.approx(steps[0], rel=0.05)
    assert steps[2] > 5 * steps[0]
    assert len(stern2.figure.axes) == 4


def test_capacitors_relax_as_a_solver_says() -> None:
    """Every edge with its capacitor: Δᵀ Δ v̇ = −Δᵀ diag(g) Δ v."""
    grid, rng = figure_stern1.GRID, np.random.default_rng(3)
    g, start, held = rng.uniform(0.2, 2, grid.n_edges), rng.uniform(0, 1, grid.nodes), np.array([0, 5])
    free = np.delete(np.arange(grid.nodes), held)
    capacity = laplacian(grid, np.ones(grid.n_edges)).toarray()[np.ix_(free, free)]

    def rates(_t: float, v: np.ndarray) -> np.ndarray:
        out = np.zeros(grid.nodes)
        out[free] = -np.linalg.solve(capacity, (laplacian(grid, g) @ v)[free])
        return out

    end = solve_ivp(rates, (0, 0.8), start, rtol=1e-10, atol=1e-12).y[:, -1]
    found = figure_stern1._relax(grid.incidence().toarray(), start, g, held, 0.8)
    assert found == pytest.approx(end, abs=1e-8)


def test_power_laws_and_where_they_meet() -> None:
    x = np.logspace(-3, 6, 10)
    heights = np.array([[50.0], [200.0], [90.0]])
    law = power_law(x, heights * x**-0.7)
    assert law.exponent == pytest.approx(-0.7)
    assert law.error < 1e-10
    assert law.prefactor == pytest.approx(np.exp(np.log(heights).mean()))
    gap = np.vstack([heights * x**-0.7, np.full((1, 10), np.nan)])
    assert power_law(x, gap).tasks == 3
    assert np.isnan(power_law(x, gap[2:]).exponent)
    times = np.where(x < 3, 240 / x, 120 / np.sqrt(x))[None].repeat(4, axis=0)
    assert stern_many.meeting(times, x, 1) == pytest.approx((4.0, 4.0, 4.0))
    times[:, 0] = np.nan
    assert np.isnan(stern_many.meeting(times, x, 1)[0])


def test_many_tasks_decide_exponents_and_where_the_laws_meet() -> None:
    """The shipped times are what is found again, and times of another law are not what was claimed."""
    kept = stern_many.saved_times()
    again = stern_many.many_times(tasks=2).training_time
    np.testing.assert_allclose(again, kept.training_time.isel(task=slice(2)), rtol=1e-4)
    assert kept.sizes == {"error": 2, "task": 400, "rate": 8}
    assert [claim.holds for claim in stern_many.many_claims(kept)] == [True] * 3
    quick = kept.rate > stern_many.FAST
    wrong = kept.assign(
        training_time=kept.training_time * np.where(quick, 2.5 * kept.rate**-0.1, kept.rate**0.1)
    )
    assert [claim.holds for claim in stern_many.many_claims(wrong)] == [False] * 3


def test_tasks_follow_from_the_root_seed() -> None:
    one, same, other = (Trials.drawn(3, 5, seed) for seed in (1, 1, 2))
    assert [t.about for t in one.tasks] == [t.about for t in same.tasks]
    assert one.tasks[0].about != other.tasks[0].about
    assert len({t.about for t in one.tasks}) == 3


def test_one_number_decides_the_scaled_training_time() -> None:
    data = figure_stern3._collapse(Trials.drawn(1, 10, 1))
    assert float((data.collapsed.std("level") / data.collapsed.mean("level")).max()) < 1e-4
