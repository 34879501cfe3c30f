"""What a sweep measures, against the exact laws of a driven cycle and of the ladder; wrong ones are caught.

A difference is counted in standard errors of the sample, which has a thousand trajectories or more; with K
comparisons the bound is z = isf(α/2K), α = 1e-6.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from chemlearn.entropy.network import dissipation
from chemlearn.errors import ModelError
from chemlearn.linear import step_kernel
from chemlearn.model import Model
from chemlearn.simulate import simulate_ssa
from chemlearn.sweeps.course import Course
from chemlearn.sweeps.crew import Inline
from chemlearn.sweeps.measure import Average, Column, Conditions, Expected, Samples
from chemlearn.sweeps.measures import MEASURES, measures
from chemlearn.sweeps.plan import plan
from chemlearn.sweeps.sweep import sweep
from tests.statistics import z_threshold
from tests.sweeping import Exact, collected, quick, rotor

LEVELS, BEFORE, C, N = (1.0, 3.0), 0.2, 0.3, 20
RISE, MEAN = 7.0, 1.5


#: molecules that pass through and never come back
ONE_WAY = """model m
  s = 2; A = 5; u = 5
  on: A => u; s*A
  off: u => A; u
  enter: => A; 3
  leave: u => ; 0.5*u
end
"""


def _away(data: xr.Dataset, name: str, exact: np.ndarray) -> np.ndarray:
    return np.abs(data[name].values - exact).ravel() / data[f"{name}_error"].values.ravel()


@pytest.fixture(scope="module")
def swept() -> xr.Dataset:
    """All measures, and two that are wrong on purpose."""
    names = (("unshifted", _unshifted), ("even", _even))
    wrong = [Average(name, Column(name, of, stepped=True)) for name, of in names]
    return sweep(
        rotor(), {"s": LEVELS}, measures=[*MEASURES, *wrong], trajectories=4000, seed=11, before=BEFORE,
        mean=MEAN, rise=RISE, workers=1,
    )  # fmt: skip


def _unshifted(samples: Samples) -> np.ndarray:
    """Wrong: Σ (a_f − a_b) ln(a_f/a_b) in one and the same state, as if molecules were many."""
    a, b, c = (samples.steady[name].values for name in "ABC")
    total = np.zeros(a.shape)
    for f, g in ((samples.course.level * a, 0.5 * b), (b, 0.05 * c), (C * c, 0.02 * a)):
        both = (f > 0) & (g > 0)
        total[both] += (f - g)[both] * np.log(f[both] / g[both])
    return total.mean(axis=1)


def _even(samples: Samples) -> np.ndarray:
    """Wrong: the response integrated as if its instants were evenly spaced."""
    course, u = samples.course, samples.model.output
    missing = samples.steady[u].values.mean(axis=1) - samples.response[u].values.mean(axis=1)
    return course.response * missing / (course.level - BEFORE)


def _exact() -> dict[str, np.ndarray]:
    laws = [Exact(s, C) for s in LEVELS]
    steps = np.array([law.step(BEFORE, C) for law in laws])
    p = np.array([law.rest[1] for law in laws])
    return {
        "mean": N * p,
        "variance": N * p * (1 - p),
        "dissipation": N * np.array([law.entropy_production for law in laws]),
        "area": N * steps[:, 0],
        "first_moment": N * steps[:, 1],
        "offset": MEAN * RISE * steps[:, 0] / -steps[:, 1],
    }


@pytest.mark.statistical
@pytest.mark.parametrize("name", list(MEASURES))
def test_measures_agree_with_the_exact_law(swept: xr.Dataset, name: str) -> None:
    """K = 12: six measures at two levels."""
    exact = _exact()[name]
    assert _away(swept, name, exact).max() < z_threshold(12)
    companion = "linear_noise" if name == "variance" else "rate_equations"
    assert swept[f"{name}_{companion}"].values == pytest.approx(exact, rel=1e-5)
    assert np.all(swept[f"{name}_error"].values < 0.2 * np.abs(exact))  # or the comparison would say nothing


@pytest.mark.statistical
def test_wrong_measures_are_caught(swept: xr.Dataset) -> None:
    exact = _exact()
    assert _away(swept, "unshifted", exact["dissipation"]).min() > z_threshold(2)
    assert _away(swept, "even", exact["first_moment"]).min() > z_threshold(2)


@pytest.mark.statistical
def test_ladder_dissipates_as_its_rate_equations_say() -> None:
    """Its propensities are linear, so σ is N times that of one molecule for any N; K = 4 with the offset."""
    ladder = Model.load("ladder").with_values(N=30, gamma=1e-4)
    data = sweep(ladder, {"s": [200.0]}, trajectories=1000, seed=5, workers=1)
    one = dissipation(ladder.with_values(s=200)).per_molecule
    assert _away(data, "dissipation", np.array([30 * one])).max() < z_threshold(4)
    kernel = step_kernel(ladder, 0.0, 200.0)
    factor = data.offset_rise.item() * data.offset_mean.item()
    exact = factor * kernel.area / -kernel.first_moment
    assert _away(data, "offset", np.array([exact])).max() < z_threshold(4)
    assert data.offset_mean.item() == 200.0
    assert data.offset_rise.item() == pytest.approx(30 * 1.04, rel=0.05)


@pytest.mark.statistical
def test_errors_are_those_of_repeated_sweeps(tmp_path: Path) -> None:
    """The scatter of values between 50 ensembles is what their errors say: ln of χ²/49 has sd 0.2; K = 2."""
    quick(
        tmp_path / "o.zarr", over={"s": [2.0]}, measures=["mean", "variance"], trajectories=10000,
        shard_size=2500,
    )  # fmt: skip
    raw = xr.open_zarr(tmp_path / "o.zarr", group="raw").load()
    columns = {str(name): raw.result.sel(point=0, column=name).values for name in raw.column.values}
    for name in ("mean", "variance"):
        found = [
            MEASURES[name].estimate({c: v[k : k + 200] for c, v in columns.items()}, Expected())
            for k in range(0, 10000, 200)
        ]
        scatter = np.var([f.value for f in found], ddof=1) / np.mean([f.error**2 for f in found])
        assert abs(np.log(scatter)) < z_threshold(2) * np.sqrt(2 / 49), (name, scatter)


# --- what cannot be estimated ------------------------------------------------------------------------------


def test_a_one_way_reaction_is_infinite_and_named() -> None:
    notices, notice = collected()
    model = Model.load(ONE_WAY)
    data = quick(model=model, over={"s": [1.0, 2.0]}, measures=["dissipation", "mean"], notice=notice)
    assert np.isinf(data.dissipation.values).all()
    assert np.isnan(data.dissipation_error.values).all()
    assert np.isfinite(data["mean"].values).all()
    one_way = "enter, leave run one way, without a reverse reaction"
    assert data.reason.values.tolist() == [f"dissipation: {one_way}"] * 2
    assert notices == [f"dissipation is infinite at s=1 and will be so wherever the reason holds: {one_way}"]


def test_where_nothing_can_be_estimated_nothing_is_simulated() -> None:
    model = Model.load("leaky")
    data = quick(model=model, over={"s": [1.0]}, measures=["offset"], before=1.0)
    assert data.trajectories.item() == 0
    assert data.attrs["complete"] == 1
    assert "the input does not step: 1 is also the level before" in data.reason.item()


@pytest.mark.statistical
def test_a_kernel_without_two_lobes_has_no_offset() -> None:
    data = sweep(
        Model.load("leaky"), {"s": 4.0}, measures=["offset", "first_moment"], trajectories=100, seed=3,
        workers=1,
    )  # fmt: skip
    assert data.first_moment.item() > 0
    assert np.isnan(data.offset.item())
    assert np.isnan(data.offset_rate_equations.item())
    assert data.reason.item().startswith("offset: no two-lobed kernel: M₁ = ")


def test_an_uncertain_first_moment_is_not_divided_by() -> None:
    columns = {"area": np.full(50, 1.0), "first_moment": np.linspace(-9, 8.0, 50)}
    found = MEASURES["offset"].estimate(columns, Expected(details={"mean": 1.0, "rise": 1.0}))
    assert np.isnan(found.value)
    assert "is not clearly below 0; more trajectories would tell" in found.reason


def test_a_trajectory_that_could_not_go_back_makes_the_mean_infinite() -> None:
    found = MEASURES["dissipation"].estimate({"dissipation": np.array([1.0, np.inf])}, Expected())
    assert found.value == np.inf
    assert "infinite in some trajectories" in found.reason


# --- the course of a trajectory ----------------------------------------------------------------------------


def test_quadrature_integrates_exponentials() -> None:
    course = Course(2.0, 1.5, before=0.0)
    baseline, response, steady = course.parts
    times = course.times
    assert np.all(np.diff(times) > 0)
    assert times[baseline].min() > 14 * 1.5
    assert times[baseline].max() < course.step_at < times[response].min()
    assert times[steady].min() > course.step_at + course.response
    assert course.signal is not None
    assert np.all(course.signal(times[baseline]) == 0)
    assert np.all(course.signal(times[response]) == 2)
    lags = times[response] - course.step_at
    for rate in (0.0, 0.1, 1.0, 30.0, 1e3):
        exact = course.response if not rate else -np.expm1(-rate * course.response) / rate
        assert np.exp(-rate * lags) @ course.weights == pytest.approx(exact, rel=1e-6)


def test_a_sweep_of_steady_measures_needs_no_step() -> None:
    point = plan(rotor(), measures(["mean", "dissipation"]), Conditions())
    assert point.course.signal is None
    assert point.course.end == pytest.approx(34 * point.course.memory)
    stepped = plan(rotor(), measures(["area"]), Conditions(before=0.5))
    assert stepped.course.before == 0.5
    assert stepped.course.end == pytest.approx(54 * stepped.course.memory)


def test_memory_is_the_slowest_time_constant_of_both_levels() -> None:
    found = plan(rotor(), measures(["area"]), Conditions(before=0.5)).course.memory
    rates = [np.sort(-np.linalg.eigvals(Exact(s, C).generator).real)[1] for s in (2.0, 0.5)]
    assert found == pytest.approx(1 / min(rates), rel=5e-3)


@pytest.mark.statistical
def test_cost_is_the_number_of_firings() -> None:
    """What weights the time left: within a percent of what is counted."""
    point = plan(rotor(), measures(["area"]), Conditions(before=0.5))
    data = simulate_ssa(
        rotor(), np.array([0.0, point.course.end]), signal=point.course.signal, trajectories=200, seed=3,
        firings=True,
    )  # fmt: skip
    counted = data.firings.isel(time=-1).sum("reaction")
    error = float(counted.std() / np.sqrt(200))
    settling = 0.02 * point.firings  # it starts away from rest
    assert abs(float(counted.mean()) - point.firings) < z_threshold(1) * error + settling


# --- your own ----------------------------------------------------------------------------------------------


def _largest(samples: Samples) -> np.ndarray:
    return np.asarray(samples.steady[samples.model.output].values.max(axis=1))


def _broken(samples: Samples) -> np.ndarray:
    raise ZeroDivisionError("no such thing")


def _flat(samples: Samples) -> np.ndarray:
    return np.zeros(3)


def test_your_own_measure_is_one_of_the_results() -> None:
    data = quick(
        over={"s": [2.0]}, measures=["mean", Average("largest", Column("largest", _largest), "molecules")]
    )
    assert data.largest.attrs["units"] == "molecules"
    assert data["mean"].item() < data.largest.item() <= N


@pytest.mark.parametrize(
    ("of", "reason"),
    [(_broken, "ZeroDivisionError: no such thing (test_sweep"), (_flat, "must have the shape")],
)
def test_an_error_in_it_is_the_reason_why_the_point_failed(
    of: Callable[[Samples], np.ndarray], reason: str
) -> None:
    data = quick(over={"s": [2.0]}, measures=[Average("mine", Column("mine", of))])
    assert reason in data.failed.item()
    assert np.isnan(data.mine.item())


class _Anonymous(Average):
    __repr__ = object.__repr__


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["heat"], "no measure named 'heat'; there are mean, variance, dissipation"),
        (["mean", "mean"], "'mean' is asked for twice"),
        ([], "a sweep needs a measure"),
        ([_Anonymous("mine", Column("mine", _largest))], "does not show its numbers"),
        (["mean", Average("other", Column("mean", _largest))], "two different columns are named 'mean'"),
        (
            ["mean", Average("mean_error", Column("m", _largest))],
            "would be named 'mean_error'",
        ),
        ([Average("failed", Column("m", _largest))], "two things in the results would be named 'failed'"),
        ([Average("raw", Column("m", _largest))], "two things in the results would be named 'raw'"),
    ],
)
def test_measures_that_make_no_sense(wanted: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quick(measures=wanted)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"memory": -1.0}, "memory must be positive, got -1"),
        ({"rise": 0.0}, "rise must be positive"),
        ({"before": np.nan}, "before must be a finite number"),
        ({"trajectories": 1}, "trajectories must be at least 2, for an error bar"),
        ({"engine": "copasi"}, "no engine named 'copasi'"),
        ({"engine": "roadrunner", "most_firings": 5}, "the engine 'roadrunner' does not count firings"),
        ({"shard_size": 0}, "a shard needs at least 1 trajectory"),
        ({"part": "3/2"}, "i from 1 to n, got 3/2"),
        ({"part": "two"}, "such as 2/8, got 'two'"),
        ({"part": "1/2"}, "needs a file to be kept in"),
        (
            {"executor": Inline(), "scheduler": "tcp://x"},
            "an executor and a scheduler cannot both",
        ),
    ],
)
def test_arguments_that_make_no_sense(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quick(**changes)


def test_a_model_that_cannot_be_fired_is_refused_at_once() -> None:
    with pytest.raises(ModelError, match="rate rule"):
        quick(model=Model.load("maxwell"), over={"s": [1.0, 2.0]})
