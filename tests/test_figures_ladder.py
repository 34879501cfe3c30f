"""Figures of the ladder against its exact identities, and their claims against the data they come with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import xarray as xr
from scipy.linalg import expm
from scipy.stats import binom, spearmanr

from chemlearn.curves.update import threshold, update_curve
from chemlearn.figures import figure_ladders, figure_pareto, noisy_ladders, pareto_data
from chemlearn.figures.figure6 import fig6
from chemlearn.figures.figure9 import fig9
from chemlearn.figures.figure_ladders import ladders
from chemlearn.figures.figure_pareto import pareto
from chemlearn.figures.ladder_front import LEVELS, Problem, areas, front, kernel_of, residual
from chemlearn.figures.noisy_ladders import READ, Setting, gate_of, gated_sd, many_molecules, simulated
from chemlearn.figures.random_ladders import AMPLITUDES, FALL, MEAN, RISE, Variant, judge, normalised
from chemlearn.figures.shared import Drawn
from chemlearn.markov.ladder import Ladder
from tests.statistics import z_threshold


@pytest.fixture(scope="module")
def six() -> Drawn:
    return fig6(fast=True, seed=5)


@pytest.fixture(scope="module")
def nine() -> Drawn:
    return fig9(fast=True)


@pytest.fixture(scope="module")
def front_of_all() -> Drawn:
    return pareto(fast=True, seed=5)


@pytest.fixture(scope="module")
def few_molecules() -> Iterator[Drawn]:
    """The figure of noise with synapses that take little time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figure_ladders, "MOLECULES", np.array([50, 200, 800]))
        yield ladders(fast=True, seed=5)


def verdicts(drawn: Drawn) -> dict[str, bool | None]:
    return {claim.published: claim.holds for claim in drawn.claims}


# --- Fig. 6 -----------------------------------------------------------------------------------------------


def step_response(ladder: Ladder, step: float, window: float) -> tuple[np.ndarray, np.ndarray]:
    """Times from 0 to the window, dense where the answer is fast, and the bottom rail less its start."""
    times = window * np.unique(np.append(0.0, np.geomspace(1e-7, 1.0, 20001)))
    return times, (ladder.occupancy(0.0) - ladder.relaxation(0.0, step, times) @ ladder.top)


def test_areas_are_those_of_the_step_response(six: Drawn) -> None:
    """∫K and ∫τK by parts, from the probabilities after the step."""
    data = six.data
    assert set(data.outcome.values.tolist()) == {0, 1}
    for kind in (0, 1):
        for ladder in np.flatnonzero(data.outcome == kind)[:8]:
            chosen = data.isel(ladder=ladder)
            gamma, slower, step = (float(chosen[name]) for name in ("gamma_drawn", "F", "step_drawn"))
            times, response = step_response(Ladder(gamma, F=slower), step, 5.0)
            moment = float(np.trapezoid(response[-1] - response, times))
            assert (moment < 0) == (kind == 0)
            if kind == 0:
                assert float(chosen.area) == pytest.approx(-5.0 * response[-1] / moment, rel=1e-5)


def test_an_offset_is_that_of_a_literal_grid(six: Drawn) -> None:
    """u on a grid of times from the step response, Δw by the trapezoidal rule, a line by least squares."""
    chosen = six.data.isel(ladder=int(np.flatnonzero(six.data.outcome == 0)[3]))
    gamma, slower, step = (float(chosen[name]) for name in ("gamma_drawn", "F", "step_drawn"))
    lags, response = step_response(Ladder(gamma, F=slower), step, 5.0)
    lags = lags / 5.0
    pieces = np.diff(lags) * (response[1:] + response[:-1]) / 2
    left = np.append(np.cumsum(pieces[::-1])[::-1], 0.0)
    second = (1 - lags) * response[-1] - left  # ∫_t^1 (τ − t) K dτ
    area, second = -response[-1] / second[0], -second / second[0]
    times = np.unique(np.concatenate([np.linspace(0, 18, 200_001), lags, 3 + lags]))
    saw = np.where(times < 3, times / 3 - 0.5, 0.5 - (times - 3) / 15)
    kink = 1 / 3 + 1 / 15
    after = np.where(times < 3, 1.0, -1.0) * np.interp(np.where(times < 3, times, times - 3), lags, second)
    shape = area * saw + np.where(times < 3, 1 / 3, -1 / 15) + kink * after
    theta = abs(-50 / 15 + area * (10 + 25))
    updates = []
    for amplitude in AMPLITUDES:
        u = 10 * area + amplitude * shape
        updates.append(np.trapezoid(np.where(np.abs(u) >= theta, u, 0.0), times) / 50)
    loud = int(np.argmax(np.array(updates) > 0.05))
    slope, offset = np.polyfit(AMPLITUDES[loud:] / 50, updates[loud:], 1)
    assert float(chosen.area) == pytest.approx(area, rel=1e-5)
    assert float(chosen.amplitude_min) == AMPLITUDES[loud]
    assert float(chosen.slope) == pytest.approx(slope, rel=1e-3)
    assert float(chosen.offset) == pytest.approx(offset, rel=1e-3)


def test_variants_differ_where_they_should() -> None:
    ladder = Ladder(1e-4, F=30.0)
    published = judge(ladder, 200.0, Variant())
    whole = judge(ladder, 200.0, Variant(window=None))
    assert whole.area < 0.6 * published.area  # the window cuts adaptation short
    assert judge(ladder, 200.0, Variant(rule="safe")) == published  # I s̄ exceeds A_max/τ_s
    assert judge(ladder, 200.0, Variant(rule="safe", window=None)).offset != whole.offset
    assert judge(Ladder(0.37), 200.0, Variant()).outcome == 1


def test_lobes_change_at_one_over_e(six: Drawn) -> None:
    for gamma in (0.98 / math.e, 1.02 / math.e):
        second = six.data.second_lobe.sel(gamma=gamma, method="nearest")
        assert bool((second > 0).all()) == (gamma < 1 / math.e)
        assert bool((second == 0).all()) == (gamma > 1 / math.e)
    assert float(six.data.area_whole.min()) > 0.13  # the price of five columns


def test_what_is_claimed_of_random_ladders_follows_from_their_data(six: Drawn) -> None:
    from chemlearn.figures.figure6 import _claims

    data = six.data
    sigma, offset = data.dissipation.values, data.offset.values
    inside = np.isfinite(offset) & (sigma >= 1) & (sigma <= 10)
    rank = spearmanr(np.log(np.abs(offset[inside])), sigma[inside]).statistic
    assert f"{rank:.3f}" in six.claims[0].found
    assert six.claims[0].holds is bool(rank <= -0.85)
    assert six.claims[1].holds is None  # 300 ladders are too few for nine minima
    rng = np.random.default_rng(1)
    blind = data.assign(offset=("ladder", rng.permutation(offset)))
    assert _claims(blind)[0].holds is False
    round_about = data.assign(second_lobe=data.second_lobe + 0.1)
    assert _claims(round_about)[2].holds is False


def test_random_ladders_are_the_seeds(six: Drawn) -> None:
    from chemlearn.figures.random_ladders import random_ladders

    first, again, other = (random_ladders(25, 5, seed) for seed in (5, 5, 6))
    xr.testing.assert_identical(first, again)
    assert not first.gamma_drawn.equals(other.gamma_drawn)
    drawn = six.data
    assert float(drawn.gamma_drawn.max()) < 1
    assert float((drawn.gamma_drawn > 0.01).mean()) > 0.15
    assert float(drawn.step_drawn.min()) >= 5
    assert float(drawn.F.max()) <= 99


# --- Fig. 9 -----------------------------------------------------------------------------------------------


def test_the_answers_end_at_rest(nine: Drawn) -> None:
    data = nine.data
    for gamma in data.gamma_shown.values.tolist():
        ladder, chosen = Ladder(gamma), data.sel(gamma_shown=gamma)
        assert float(chosen.top[-1]) == pytest.approx(ladder.occupancy(50.0), rel=1e-4)
        assert float(chosen.top[0]) == pytest.approx(float(chosen.top_before), abs=5e-3)
        end = float(chosen.relaxation_dissipation[-1])
        assert end == pytest.approx(ladder.dissipation(50.0), rel=1e-4, abs=1e-6)
    assert (
        float(np.abs(data.affinity_times_current / data.dissipation - 1).sel(gamma=slice(0.9)).max()) < 1e-9
    )


def test_the_published_line_of_an_update_curve(nine: Drawn) -> None:
    data = nine.data
    for gamma in data.gamma_curve.values.tolist():
        chosen = data.sel(gamma_curve=gamma)
        loud = data.amplitude >= float(chosen.curve_low)
        slope, offset = np.polyfit(data.amplitude[loud], chosen.curve[loud], 1)
        assert float(chosen.curve_offset) == pytest.approx(offset, rel=1e-9)
        assert float(chosen.curve_slope) == pytest.approx(slope, rel=1e-9)
    assert all(verdicts(nine).values())


def test_a_ladder_whose_offset_rose_would_be_told(nine: Drawn) -> None:
    from chemlearn.figures.figure9 import _claims

    assert _claims(nine.data.assign(offset=1 / nine.data.offset))[0].holds is False
    assert _claims(nine.data.assign(lobes=nine.data.lobes + 1))[3].holds is False


# --- ladders of N molecules -------------------------------------------------------------------------------


def by_matrix(ladder: Ladder, amplitude: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Times of a period and the bottom rail: an exponential of W for each step."""
    rise, fall = noisy_ladders.RISE, noisy_ladders.FALL
    times = np.linspace(0.0, rise + fall, steps + 1)
    middle = (times[1:] + times[:-1]) / 2
    saw = np.where(middle < rise, middle / rise - 0.5, 0.5 - (middle - rise) / fall)
    steppers = expm(ladder.rates(noisy_ladders.MEAN + amplitude * saw) * times[1])
    course = [ladder.steady_state(noisy_ladders.MEAN)]
    for _ in range(2):
        course = course[-1:]
        for stepper in steppers:
            course.append(stepper @ course[-1])
    return times, np.array(course) @ (1 - ladder.top)


def test_many_molecules_follow_the_matrix() -> None:
    setting, amplitude = Setting.of(0.02), 15.0
    times, coarse = by_matrix(setting.ladder, amplitude, 1500)
    _, fine = by_matrix(setting.ladder, amplitude, 3000)
    occupied = (4 * fine[::2] - coarse) / 3
    read, found = setting.course(amplitude)
    for instant in (0.0, 1.5, 5.0, 12.5, 30.0):  # in both
        exact = occupied[np.abs(times - instant).argmin()]
        assert found[np.abs(read - instant).argmin()] == pytest.approx(exact, abs=1e-6)
    u = setting.read(occupied)
    expected = float(np.interp(READ, times, u) @ gate_of(times, u, setting.threshold))
    limit = many_molecules(setting, np.array([amplitude]))
    assert float(limit.rate_equations[0]) == pytest.approx(expected, rel=2e-3)
    assert float(limit.linear_kernel[0]) == pytest.approx(expected, rel=0.05)


def test_a_gate_integrates_while_it_is_open() -> None:
    times = np.linspace(0, READ[-1], 3001)
    gate = gate_of(times, np.where((times > 2.0) & (times < 11.0), 1.0, 0.0), 0.5)
    assert gate.sum() == pytest.approx(9.0, abs=0.01)
    assert gate @ READ == pytest.approx((11.0**2 - 2.0**2) / 2, rel=2e-3)
    assert not gate_of(times, np.zeros_like(times), 0.5).any()


def test_the_noise_of_a_reading_is_that_of_independent_molecules() -> None:
    """One instant is binomial; two are correlated as the chain's propagator says, here by its powers."""
    setting = Setting.of(0.05)
    ladder = setting.ladder
    p, bottom = ladder.steady_state(noisy_ladders.MEAN), 1 - ladder.top
    share = float(bottom @ p)
    one = np.zeros(len(READ))
    one[20] = 1.0
    assert gated_sd(setting, one) == pytest.approx(math.sqrt(share * (1 - share)) / setting.moment, rel=1e-9)
    two = one.copy()
    two[26] = 2.0
    step = np.eye(len(p)) + ladder.rates(noisy_ladders.MEAN) * (READ[26] - READ[20]) / 2**30
    for _ in range(30):
        step = step @ step
    shared = float(bottom @ step @ (p * bottom)) - share**2
    variance = 5 * share * (1 - share) + 4 * shared
    assert gated_sd(setting, two) == pytest.approx(math.sqrt(variance) / setting.moment, rel=1e-5)


@pytest.mark.statistical
def test_simulated_synapses_do_what_their_law_says(seed: Callable[[int], int]) -> None:
    """The mean of both readings, exactly: u is binomial at every instant. Another γ would be noticed."""
    molecules, setting, drawn = 200, Setting.of(0.01), seed(81)
    (gate,) = many_molecules(setting, np.array([20.0])).gate.values
    fine, occupied = setting.course(20.0)
    p, counts = np.interp(READ, fine, occupied), np.arange(molecules + 1)
    u = setting.read(counts / molecules)
    heard = np.where(np.abs(u) >= setting.threshold, u, 0.0)
    alone = np.trapezoid([binom.pmf(counts, molecules, q) @ heard for q in p], READ)
    expected = {"pooled": float(setting.read(p) @ gate), "alone": float(alone)}
    found = simulated(setting, molecules, 20.0, gate, trajectories=250, seed=drawn, point=0)
    for name, mean in expected.items():
        z = (found[name] - mean) / found[f"{name}_sd"] * math.sqrt(found["cycles"])
        assert abs(z) < z_threshold(2), f"{name} off by z = {z:.1f} (seed {drawn})"
    wrong = simulated(Setting.of(0.05), molecules, 20.0, gate, trajectories=250, seed=drawn, point=0)
    error = wrong["pooled_sd"] / math.sqrt(wrong["cycles"])
    assert abs(wrong["pooled"] - expected["pooled"]) > z_threshold(2) * error


def test_streams_belong_to_seed_and_point() -> None:
    setting = Setting.of(0.01)
    gate = np.ones(len(READ))
    runs = [
        simulated(setting, 20, 10.0, gate, trajectories=4, seed=number, point=point)
        for number, point in ((1, 0), (1, 0), (1, 1), (2, 0))
    ]
    assert runs[0] == runs[1]
    assert len({run["pooled"] for run in runs[1:]}) == 3


def test_what_is_claimed_of_noise_follows_from_the_data(few_molecules: Drawn) -> None:
    data = few_molecules.data
    holds = verdicts(few_molecules)
    assert list(holds.values()) == [True, True, True, None]
    error = data.pooled_sd / np.sqrt(data.cycles)
    shifted = data.assign(pooled=data.pooled + 8 * error)
    assert figure_ladders._claims(shifted)[0].holds is False
    flat = data.assign(pooled_sd=data.pooled_sd.mean("molecules") + 0 * data.pooled_sd)
    assert figure_ladders._claims(flat)[1].holds is False
    assert figure_ladders._claims(data.isel(gamma=slice(None, None, -1)))[2].holds is False


# --- Pareto -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [3, 5, 6])
def test_linear_equations_are_the_ladder(columns: int) -> None:
    problem, rng = Problem(columns), np.random.default_rng(columns)
    for _ in range(3):
        point = problem.random(rng)
        ladder, found = problem.ladder(point), problem.answers(point)
        for i, level in enumerate(LEVELS.tolist()):
            kernel = ladder.kernel(0.0, level, rail="bottom").scaled(level)
            assert found.moment[i] == pytest.approx(-kernel.first_moment, rel=1e-8)
            assert found.area[i] == pytest.approx(-5 * kernel.area / kernel.first_moment, rel=1e-7)
            second = 2 * float(kernel.tail(3, 0.0))  # ∫ τ² K dτ
            assert found.time[i] == pytest.approx(second / (2 * kernel.first_moment), rel=1e-7)
        costs = [ladder.dissipation(level) for level in (0.0, *LEVELS.tolist())]
        np.testing.assert_allclose(found.dissipation, costs, rtol=1e-8)


def test_slopes_are_exact() -> None:
    problem = Problem(5)
    point = problem.random(np.random.default_rng(3))
    values, slopes = problem.with_slopes(point)
    for k in range(len(point)):
        step = 1e-5 * np.eye(len(point))[k]
        ahead, back = problem.answers(point + step), problem.answers(point - step)
        for name in ("change", "moment", "delay", "dissipation"):
            measured = (getattr(ahead, name) - getattr(back, name)) / 2e-5
            scale = np.abs(getattr(values, name)).max()
            np.testing.assert_allclose(getattr(slopes, name)[:, k], measured, rtol=1e-6, atol=1e-8 * scale)


def test_fronts_keep_what_they_promise(front_of_all: Drawn) -> None:
    """Ladders made anew from the rates in the data have that area, within the bounds; more never hurts."""
    data = front_of_all.data
    for name, wanted in pareto_data.FRONTS.items():
        found = data.sel(front=name).dropna("budget", subset=["area"])
        assert found.sizes["budget"] >= 3
        assert bool((found.area.diff("budget") <= 1e-9).all())
        assert bool((found.dissipation <= found.budget * (1 + 1e-6)).all())
        assert bool((found.time <= wanted.slowest * (1 + 1e-6)).all())
        last = found.isel(budget=-1)
        gammas, slower = last.gamma_best.values, last.F_best.values
        ladder = Ladder(
            gammas[np.isfinite(gammas)].tolist(),
            F=slower[np.isfinite(slower)].tolist(),
            columns=wanted.columns,
        )
        assert np.abs(areas(ladder, LEVELS)).max() == pytest.approx(float(last.area), rel=1e-9)


def test_fronts_are_never_above_the_curve_of_one_gamma(front_of_all: Drawn) -> None:
    data = front_of_all.data
    for name in ("fast", "medium", "any"):
        best = data.sel(front=name)
        allowed = (best.matched_time <= float(best.slowest)) & np.isfinite(best.matched_area)
        assert int(allowed.sum()) >= 1
        assert bool((best.area < best.matched_area).where(allowed, True).all())
    gamma = float(data.matched_gamma.sel(budget=2.0))
    assert Ladder(gamma).dissipation(float(LEVELS[-1])) <= 2.0 * (1 + 1e-9)
    exact = max(abs(kernel_of(Ladder(gamma), level).area) for level in LEVELS.tolist())
    assert float(data.matched_area.sel(budget=2.0)) == pytest.approx(exact, rel=1e-7)


def test_optima_agree_and_are_told_from_other_ladders(front_of_all: Drawn) -> None:
    wanted = pareto_data.FRONTS["medium"]
    problem, budgets = Problem(*wanted), np.array([1.0, 4.0])
    again = front(problem, budgets, starts=3, rng=np.random.default_rng(99))
    for budget, optimum in zip(budgets.tolist(), again, strict=True):
        known = float(front_of_all.data.area.sel(front="medium", budget=budget))
        assert optimum.area == pytest.approx(known, rel=1e-3)
        assert optimum.residual < 1e-4
        assert residual(problem, budget, problem.uniform(0.25)) > 0.1
    impossible = front(Problem(5, 0.5), np.array([1.0]), starts=2, rng=np.random.default_rng(1))
    assert math.isnan(impossible[0].area)


def test_what_is_claimed_of_fronts_follows_from_the_data(front_of_all: Drawn) -> None:
    data = front_of_all.data
    assert list(verdicts(front_of_all).values())[:-1] == [True, True, True]  # two claims share their words
    worse = data.assign(area=data.area.where(data.front != "medium", 3 * data.matched_area))
    assert figure_pareto._claims(worse)[0].holds is False
    assert figure_pareto._claims(data.assign(kkt_residual=data.kkt_residual + 0.1))[3].holds is False


def test_update_curves_of_examples_are_closed_form(front_of_all: Drawn) -> None:
    data = front_of_all.data
    gamma = float(data.matched_gamma.sel(budget=pareto_data.SHOWN))
    kernel = normalised(Ladder(gamma), pareto_data.STEP, None)
    assert kernel is not None
    theta = threshold("safe", amplitude_max=50, rise=RISE, fall=FALL, kernel_area=kernel.area, mean=MEAN)
    curve = update_curve(kernel, data.amplitude.values, threshold=theta, rise=RISE, fall=FALL, mean=MEAN)
    np.testing.assert_allclose(
        data.weight_update.sel(example="one gamma"), curve.updates, rtol=1e-6, atol=1e-6
    )
