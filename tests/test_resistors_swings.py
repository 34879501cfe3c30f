"""How a network of resistors follows a swinging nudge, and what its edges remember of it: by integration."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from chemlearn.kernels.cut import sine
from chemlearn.resistors.generate import disordered_network
from chemlearn.resistors.solve import laplacian, response
from chemlearn.resistors.swings import Swing, followed, memory, moves
from chemlearn.resistors.tasks import Task, allosteric

NETWORK = disordered_network(20, seed=6)
TASK = allosteric(NETWORK, sources=3, targets=2, seed=1)
KERNEL = sine(0.5)
ONES = np.ones(NETWORK.n_edges)


@pytest.mark.parametrize("swing", [Swing(0.7, 3.1), Swing(0.7, 3.1, 0.5), Swing(2.0, 1.0)])
@pytest.mark.parametrize("rate", [1e-7, 1e-3, 0.3, 2.0, 40.0])
def test_a_mode_follows_as_an_integration_of_its_equation(swing: Swing, rate: float) -> None:
    times = swing.times(0.02)
    found = followed(np.array([rate]), swing, times)[:, 0]
    knots = np.cumsum([0.0] + [duration for duration, _begin, _end in swing.pieces])
    y, expected = found[0], np.empty(len(times))
    for start, stop in pairwise(knots):
        here = np.flatnonzero((times >= start) & (times < stop))
        run = solve_ivp(
            lambda t, y: -rate * (y - swing(np.atleast_1d(t))[0]),
            (start, stop),
            [y],
            t_eval=np.append(times[here], stop),
            rtol=1e-10,
            atol=1e-13,
        )
        expected[here], y = run.y[0, :-1], run.y[0, -1]
    np.testing.assert_allclose(found, expected, atol=1e-8)
    assert y == pytest.approx(found[0], abs=1e-8)  # periodic


def test_a_slow_mode_stays_at_the_mean_of_the_nudge_and_a_fast_one_follows_it() -> None:
    swing = Swing(0.7, 3.1, 0.5)
    times = swing.times(0.02)
    slow, fast = followed(np.array([0.0, 1e9]), swing, times).T
    np.testing.assert_allclose(slow, 0.5 * 3.8 / 4.3, atol=1e-10)
    np.testing.assert_allclose(fast, swing(times), atol=1e-8)


def literal(
    task: Task, gamma: float, nudge: float, swing: Swing, periods: int
) -> tuple[np.ndarray, np.ndarray]:
    """Instants of the last period, and s(t) − s_free of an integration of all voltages from rest."""
    matrix = laplacian(NETWORK, ONES).toarray()
    found = response(NETWORK, ONES, task)
    free, off = found.free[0], nudge * (task.outputs - found.free[:, task.targets])[0]
    held = [*task.sources, *task.targets, NETWORK.ground]

    def full(t: float, v: np.ndarray) -> np.ndarray:
        v = v.copy()
        v[task.targets] = free[task.targets] + off * swing(np.array([t % swing.period]))[0]
        return v

    def rate(t: float, v: np.ndarray) -> np.ndarray:
        change = -gamma * matrix @ full(t, v)
        change[held] = 0
        return change

    times = swing.times(0.05) + (periods - 1) * swing.period
    run = solve_ivp(
        rate, (0, periods * swing.period), free, t_eval=times, rtol=1e-9, atol=1e-12, max_step=swing.rise / 8
    )
    voltages = np.array([full(t, v) for t, v in zip(run.t, run.y.T, strict=True)])
    return times, -0.5 * (NETWORK.drops(voltages) ** 2 - NETWORK.drops(free) ** 2)


def test_edges_see_what_an_integration_of_all_voltages_shows() -> None:
    swing, gamma, nudge = Swing(1.0, 4.0), 0.7, 0.3
    _times, expected = literal(TASK, gamma, nudge, swing, 12)
    found = response(NETWORK, ONES, TASK)
    seen = moves(NETWORK, ONES, TASK, found, nudge, gamma, swing, swing.times(0.05))[0]
    size = np.abs(expected).max()
    np.testing.assert_allclose(seen, expected, atol=1e-6 * size)
    at_rest = moves(NETWORK, ONES, TASK, found, nudge, math.inf, swing, swing.times(0.05))[0]
    assert np.abs(at_rest - expected).max() > 0.05 * size  # and it is not at rest


def test_the_integral_beyond_the_threshold_is_exact_between_the_instants() -> None:
    kept = memory(KERNEL, Swing(1.0, 4.0))
    u = np.random.default_rng(3).standard_normal((2, len(kept.times), 5))
    limits = np.array([0.0, 0.3, 0.7, 1.5, 9.0])
    fine = np.empty((2, 5))
    for example, edge in np.ndindex(2, 5):
        total = 0.0
        for place, step in enumerate(kept.steps):
            ends = u[example, place, edge], u[example, (place + 1) % len(kept.times), edge]
            course = np.interp((np.arange(4000) + 0.5) / 4000, [0, 1], ends)
            total += step * float((course * (np.abs(course) >= limits[edge])).mean())
        fine[example, edge] = total
    np.testing.assert_allclose(kept.passed(u, limits), fine, atol=2e-3)
    trapezoid = np.einsum("etj,t->ej", 0.5 * (u + np.roll(u, -1, axis=1)), kept.steps)
    np.testing.assert_allclose(kept.passed(u, 0.0), trapezoid, atol=1e-12)


def test_the_root_mean_square_of_u_is_the_geometric_mean_of_both_slopes() -> None:
    """But for the share of the kernel's time in each swing."""
    for ratio in (3.0, 30.0):
        swing = Swing(1.0, ratio)
        kept = memory(sine(0.005), swing)
        u = kept.answer @ (2.5 * swing(kept.times))[:, None]
        expected = kept.moment * 2.5 / math.sqrt(ratio)
        assert math.sqrt(kept.mean_square(u)[0]) == pytest.approx(expected, rel=0.01)
