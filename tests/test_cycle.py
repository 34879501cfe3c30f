"""The learning cycle: periodic responses, update curves of rate equations and of ensembles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import chi2, t

from chemlearn import cycle as cycle_module
from chemlearn.curves.update import update_curve
from chemlearn.cycle import (
    Cycle,
    Ensemble,
    deterministic_curve,
    firings_per_trajectory,
    periodic_response,
    settling_time,
    steady_output,
    stochastic_curve,
    stochastic_signal,
)
from chemlearn.errors import ConvergenceError, ModelError, SimulationError
from chemlearn.linear import linear_kernel
from chemlearn.model import Model
from chemlearn.simulate import EnsembleInterrupted

BIRTH = Model.load("model birth\n s = 2; u = 40\n make: => u; 20*s\n lose: u => ; u\nend")
#: u takes a difference and every propensity is linear: K = 80 e^{−4t} − 20 e^{−t}, area 0, M₁ = −15
PAIR = Model.load(
    "model pair\n s = 2; a = 40; b = 40\n u := a - b\n => a; 80*s\n a => ; 4*a\n => b; 20*s\n b => ; b\nend"
)
SLOW = Cycle(2.0, 5.0, 30.0)


def feedback() -> Model:
    return Model.load("integral_feedback").with_values(s=200)


# --- the sawtooth ------------------------------------------------------------------------------------------


def test_cycle_runs_from_free_to_clamped_and_back() -> None:
    signal = SLOW.signal(2.0)
    assert signal.period == SLOW.period == 35.0
    assert signal(np.array([0.0, 5.0, 20.0])) == pytest.approx([1.0, 3.0, 2.0])
    times = SLOW.times()
    assert np.all(np.diff(times) > 0)
    assert {0.0, 5.0, 35.0} <= set(times.tolist())


@pytest.mark.parametrize(("rise", "fall"), [(-1.0, 1.0), (0.0, 1.0), (1.0, 0.0)])
def test_durations_must_be_positive(rise: float, fall: float) -> None:
    with pytest.raises(ValueError, match="rise and fall must be positive"):
        Cycle(1.0, rise, fall)


@pytest.mark.parametrize(
    ("mean", "words"),
    [(2.0, "down to -0.5.*cannot be negative; use amplitudes up to 4"), (0.0, "positive mean")],
)
def test_chemical_input_stays_positive(mean: float, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        Cycle(mean, 1.0, 2.0).check(BIRTH, np.array([1.0, -5.0]))


def test_a_voltage_may_be_negative() -> None:
    Cycle(0.0, 1.0, 2.0).check(Model.load("maxwell"), np.array([5.0]))


def test_stochastic_cycle_begins_where_a_periodic_one_would() -> None:
    lead, periodic = stochastic_signal(SLOW, 2.0, settle=5.0), SLOW.signal(2.0)
    within = np.linspace(0, 35, 47)[:-1]
    assert lead(10.0 + within) == pytest.approx(periodic(within))
    before = np.linspace(5.0, 10.0, 7)
    assert lead(before) == pytest.approx(periodic(before + 2 * SLOW.period - 10.0))


# --- the rate equations ------------------------------------------------------------------------------------


def test_periodic_response_repeats_and_is_that_of_the_kernel() -> None:
    """A memory longer than the cycle takes several periods; the closed form knows the answer at once."""
    cycle = Cycle(2.0, 0.3, 0.9)
    data = periodic_response(BIRTH, cycle, 2.0)
    u = data.u.values
    assert data.attrs["periods"] > 3
    assert abs(u[-1] - u[0]) <= 1e-6 * np.ptp(u)
    assert u == pytest.approx(linear_kernel(BIRTH).respond(cycle.signal(2.0), data.time.values), rel=1e-6)


def test_periodic_response_says_when_it_cannot_repeat() -> None:
    slow = Model.load("model slow\n s = 1; u = 1000\n make: => u; s\n lose: u => ; 0.001*u\nend")
    slow = slow.with_values(u=500)
    with pytest.raises(ConvergenceError, match="not periodic after 3 periods"):
        _short(lambda: periodic_response(slow, Cycle(1.0, 1.0, 2.0), 1.0))


def _short(action: Callable[[], object]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cycle_module, "_PERIODS", 3)
        action()


def test_an_output_that_does_not_move_is_periodic() -> None:
    still = Model.load(
        "model still\n s = 1; a = 1; b = 1\n => a; s\n a => ; a\n => b; s\n b => ; b\n u := 5 + a - b\nend"
    )
    data = periodic_response(still, Cycle(1.0, 1.0, 2.0), 1.0)
    assert data.u.values == pytest.approx(5.0)


def test_deterministic_curve_of_a_linear_model_is_the_closed_form() -> None:
    model = feedback()
    kernel = linear_kernel(model)
    cycle = Cycle(200.0, 20.0, 200.0)
    amplitudes, theta = np.array([-60.0, -20.0, 5.0, 20.0, 40.0, 60.0]), 0.4
    curve, data = deterministic_curve(model, cycle, amplitudes, threshold=theta, kernel=kernel)
    exact = update_curve(kernel, amplitudes, threshold=theta, rise=cycle.rise, fall=cycle.fall)
    assert curve.updates == pytest.approx(exact.updates, rel=1e-5, abs=1e-5)
    assert curve.slope == pytest.approx(1.0, abs=0.1)
    assert data.attrs["rest"] == pytest.approx(400.0, rel=1e-9)
    assert data.u.shape == (6, len(cycle.times()))


def test_deterministic_curve_reports_progress() -> None:
    said: list[tuple[int, int]] = []
    deterministic_curve(
        BIRTH, SLOW, np.array([-1.0, 1.0]), threshold=1.0, kernel=linear_kernel(BIRTH),
        progress=lambda *done: said.append(done),
    )  # fmt: skip
    assert said == [(1, 2), (2, 2)]


# --- the ensemble ------------------------------------------------------------------------------------------


def ensemble(
    seed: int, trajectories: int = 150, amplitudes: tuple[float, ...] = (-2.0, 2.0), **how
) -> Ensemble:
    return stochastic_curve(
        PAIR, SLOW, np.array(amplitudes), threshold=2.0, kernel=linear_kernel(PAIR),
        trajectories=trajectories, seed=seed, **how,
    )  # fmt: skip


def exact_pooled(amplitude: float, grid: np.ndarray) -> tuple[float, float]:
    """Mean and sd of one trajectory's share: a and b are Poisson with Cov = m(earlier) e^{−rate |t−t'|}."""
    steps = np.zeros(len(grid))
    steps[1:] += np.diff(grid) / 2
    steps[:-1] += np.diff(grid) / 2
    smooth = periodic_response(PAIR, SLOW, amplitude)
    heard = np.abs(np.interp(grid, smooth.time.values, smooth.u.values)) >= 2.0
    weights = steps * heard - steps @ heard * steps / SLOW.period
    earlier = np.minimum.outer(np.arange(len(grid)), np.arange(len(grid)))
    mean = variance = 0.0
    for name, rate, sign in (("a", 4.0, 1.0), ("b", 1.0, -1.0)):
        alone = linear_kernel(Model.load(PAIR.text, output=name)).respond(SLOW.signal(amplitude), grid)
        covariance = alone[earlier] * np.exp(-rate * np.abs(np.subtract.outer(grid, grid)))
        mean += sign * float(weights @ alone)
        variance += float(weights @ covariance @ weights)
    return mean, float(np.sqrt(variance))


@pytest.mark.statistical
def test_pooled_mean_and_error_bars_are_honest(seed: Callable[[int], int]) -> None:
    """Exact mean and sd of a linear model. Bounds for a false alarm in 1e6 over all comparisons."""
    n, alpha = 150, 1e-6 / 4
    found = ensemble(seed(5), n)
    kernel = linear_kernel(PAIR)
    for k, amplitude in enumerate((-2.0, 2.0)):
        mean, sd = exact_pooled(amplitude, found.data.time.values)
        curve = found.pooled
        z = (curve.updates[k] - mean) / curve.errors[k]
        assert abs(z) < t.isf(alpha / 2, n - 1)
        ratio = (n - 1) * (curve.errors[k] * np.sqrt(n) / sd) ** 2
        assert chi2.isf(1 - alpha / 2, n - 1) < ratio < chi2.isf(alpha / 2, n - 1)
        smooth, _ = deterministic_curve(PAIR, SLOW, np.array([amplitude]), threshold=2.0, kernel=kernel)
        assert mean == pytest.approx(float(smooth.updates[0]), rel=0.02), "the grid is fine enough"


@pytest.mark.statistical
def test_a_wrong_mean_would_be_caught(seed: Callable[[int], int]) -> None:
    """Negative control: the update for the opposite contrast is many standard errors away."""
    found = ensemble(seed(6), 150, (1.0,))
    mean, _ = exact_pooled(-1.0, found.data.time.values)
    assert abs(found.pooled.updates[0] - mean) > 10 * found.pooled.errors[0]


def test_the_same_seed_gives_the_same_numbers() -> None:
    one, again, other = (ensemble(seed, 6, (2.0,)) for seed in (3, 3, 4))
    assert one.data.equals(again.data)
    assert one.pooled.updates[0] == again.pooled.updates[0]
    assert one.pooled.updates[0] != other.pooled.updates[0]
    assert one.interrupted == ""
    assert one.data.attrs["seed"] == "3"


def test_amplitudes_have_streams_of_their_own() -> None:
    """Point i of the root seed: the second amplitude does not repeat the noise of the first."""
    found = ensemble(3, 4, (2.0, 2.0 + 1e-12))
    assert found.pooled.updates[0] != found.pooled.updates[1]


def test_interrupted_ensembles_keep_what_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    real = cycle_module.simulate_ssa

    def interrupted(*args, point: int, **how):
        if point == 1:
            raise EnsembleInterrupted(None, how["trajectories"])
        return real(*args, point=point, **how)

    monkeypatch.setattr(cycle_module, "simulate_ssa", interrupted)
    found = ensemble(3, 4, (-2.0, 1.0, 2.0))
    assert found.interrupted == "interrupted: 1 of 3 amplitudes were finished and are kept"
    assert found.pooled.amplitudes.tolist() == [-2.0]
    assert found.data.sizes["amplitude"] == 1
    monkeypatch.setattr(cycle_module, "simulate_ssa", lambda *a, point, **h: interrupted(*a, point=1, **h))
    with pytest.raises(EnsembleInterrupted):
        ensemble(3, 4)


def test_one_trajectory_has_no_error_bar() -> None:
    with pytest.raises(ValueError, match="at least 2 trajectories, got 1"):
        ensemble(3, 1)


def test_negative_input_is_refused_before_anything_runs() -> None:
    with pytest.raises(ModelError, match="cannot be negative"):
        ensemble(3, 4, (6.0,))


def test_propensities_that_are_not_linear_in_the_input_need_a_staircase() -> None:
    model = Model.load("model m\n s = 2; u = 40\n make: => u; 10*s^2\n lose: u => ; u\nend")
    how = {"threshold": 5.0, "trajectories": 3, "seed": 1, "engine": "roadrunner"}
    with pytest.raises(SimulationError, match="not linear in s"):
        stochastic_curve(model, SLOW, np.array([1.0]), **how)
    found = stochastic_curve(model, SLOW, np.array([1.0]), staircase=40, **how)
    assert found.data.attrs["staircase"] == 40
    assert np.isfinite(found.pooled.updates[0])


def test_costs_are_foreseen() -> None:
    kernel = linear_kernel(PAIR)
    assert settling_time(SLOW, kernel) == pytest.approx(10.0)
    assert settling_time(Cycle(2.0, 1.0, 4.0), kernel) == 2.0
    assert firings_per_trajectory(PAIR, SLOW, kernel) == pytest.approx(400 * 55)
    assert steady_output(BIRTH, 3.0) == pytest.approx(60.0)
