"""Kernels from noise: right within their errors, bands that hold what they say, and what coupling gains."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.stats import binom, chi2, f, norm

from chemlearn.coupled import coupled_model
from chemlearn.kernels.kernel import ExponentialKernel
from chemlearn.linear import step_kernel
from chemlearn.measured import METHODS, Estimate, Gain, MeasuredKernel, kernel_from_responses, measured_kernel
from chemlearn.measured.fit import Basis, Moments, band_factor
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import load, save, simulate_ssa
from tests.statistics import z_threshold

#: u takes a difference and every propensity is linear, so the mean response is that of the rate equations
PAIR = Model.load(
    "model pair\n s = 2; a = 40; b = 40\n u := a - b\n => a; 80*s\n a => ; 4*a\n => b; 20*s\n b => ; b\nend"
)
KERNEL = ExponentialKernel(np.array([80.0, -20.0]), np.array([4.0, 1.0]))  # area 0, M₁ = −15
#: the output jumps with the input
JUMPING = Model.load("model jumping\n s = 2; x = 40\n u := 3*s - x/4\n => x; 20*s\n x => ; x\nend")
SIZE = 0.5
STEP, BEFORE, LAGS, TAIL = 24.0, 40, 48, 40


# --- do the bands hold what they say? -----------------------------------------------------------------------


@cache
def many(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times from the step, and the output with and without it, of 60 × 150 pairs."""
    before = -10.0 * (1 - (np.arange(BEFORE) + 0.5) / BEFORE)
    lags = 0.5 * np.expm1(np.linspace(0, np.log1p(10 / 0.5), LAGS + 1)[:-1])
    times = np.concatenate([before, lags, 10 + 20 * (np.arange(TAIL) + 0.5) / TAIL])
    pair = coupled_model(PAIR)
    signal = Signal.step(2.0, 2.0 + SIZE, at=STEP)
    data = simulate_ssa(pair.model, STEP + times, signal=signal, trajectories=9000, seed=seed)
    return times, data[PAIR.output].values, data[pair.output].values


def groups(seed: int, *, paired: bool, size: float = SIZE) -> list[MeasuredKernel]:
    times, stepped, rested = many(seed)
    used = times >= 0 if paired else times >= -10
    records = (stepped - rested if paired else stepped)[:, used].reshape(60, 150, -1)
    return [kernel_from_responses(part, times[used], size, settled=10.0) for part in records]


def hits(found: list[MeasuredKernel]) -> tuple[np.ndarray, int]:
    """How often the bands hold the kernel: at each lag, and at all together."""
    inside = []
    for simultaneous in (False, True):
        bands = [(measured.lags, *measured.band(simultaneous=simultaneous)) for measured in found]
        inside.append([(low <= KERNEL(lags)) & (KERNEL(lags) <= high) for lags, low, high in bands])
    return np.sum(inside[0], axis=0), int(np.sum(np.all(inside[1], axis=1)))


def fewest(count: int, checks: int) -> int:
    """Hits that a 95 % band has with probability 1 − 1e-6, in all of so many checks."""
    return int(binom.ppf(1e-6 / checks, count, 0.95))


@pytest.mark.statistical
@pytest.mark.parametrize("paired", [True, False], ids=["differences of pairs", "single records"])
def test_bands_hold_the_kernel_as_often_as_they_say(seed: Callable[[int], int], paired: bool) -> None:
    found = groups(seed(21), paired=paired)
    single, together = hits(found)
    assert single.min() >= fewest(60, LAGS + 1)
    assert together >= fewest(60, LAGS + 1)
    # nor are they wide: as many misses as they say (lags are correlated, so by the spread over groups)
    missed = np.array([np.mean(hits([measured])[0] == 0) for measured in found])
    assert abs(missed.mean() - 0.05) < norm.isf(0.5e-6) * missed.std(ddof=1) / np.sqrt(60)


@pytest.mark.statistical
@pytest.mark.parametrize("paired", [True, False], ids=["differences of pairs", "single records"])
def test_area_and_first_moment_scatter_as_their_errors_say(seed: Callable[[int], int], paired: bool) -> None:
    found = groups(seed(21), paired=paired)
    for name, exact in (("area", KERNEL.area), ("first_moment", KERNEL.first_moment)):
        estimates: list[Estimate] = [getattr(measured, name) for measured in found]
        z = np.array([(e.value - exact) / e.error for e in estimates])
        assert abs(z.mean()) * np.sqrt(60) < z_threshold(4)
        assert chi2.ppf(1e-6, 60) < np.sum(z**2) < chi2.isf(1e-6, 60)


@pytest.mark.statistical
def test_a_response_read_at_the_wrong_size_is_caught(seed: Callable[[int], int]) -> None:
    single, together = hits(groups(seed(21), paired=True, size=0.7 * SIZE))
    assert together < fewest(60, LAGS + 1)
    assert single.min() < fewest(60, LAGS + 1)


# --- from a model -------------------------------------------------------------------------------------------


@cache
def by(method: str, seed: int, **how: Any) -> MeasuredKernel:
    return measured_kernel(PAIR, SIZE, method=method, trajectories=600, seed=seed, **how)


def assert_right(found: MeasuredKernel, exact: Any) -> None:
    """Area, first moment and every value of the kernel within errors, at α = 1e-6 for all of them."""
    bound = z_threshold(len(found.lags) + 2)
    assert abs(found.area.value - exact.area) < bound * found.area.error
    assert abs(found.first_moment.value - exact.first_moment) < bound * found.first_moment.error
    missed = np.abs(found.data.kernel.values - exact.tail(0, found.lags))
    assert np.all(missed <= bound * found.data.kernel_error.values)


@pytest.mark.statistical
@pytest.mark.parametrize("method", METHODS)
def test_every_method_measures_the_kernel(seed: Callable[[int], int], method: str) -> None:
    found = by(method, seed(31))
    assert_right(found, KERNEL)
    assert abs(found.drift) < z_threshold(1)
    assert (found.gain is None) is (method == "single")
    assert found.method == METHODS[method]
    raw = (found.data.response.values - KERNEL.step_response(found.lags))[1:]
    assert np.all(np.abs(raw) < z_threshold(len(raw)) * found.data.response_error.values[1:])


@pytest.mark.statistical
@pytest.mark.parametrize("method", METHODS)
def test_a_step_may_start_anywhere_and_go_down(seed: Callable[[int], int], method: str) -> None:
    """u relaxes at the rate 1 + s, so its kernel depends on both levels."""
    text = "s = 2; a = 30; u := a\n make: => a; 90\n lose: a => ; (1 + s)*a\n"
    model = Model.load(text)
    found = measured_kernel(model, -1.0, 4.0, method=method, trajectories=400, seed=seed(35))
    assert_right(found, step_kernel(model, 4.0, 3.0))
    with pytest.raises(AssertionError):
        assert_right(found, step_kernel(model, 2.0, 1.0))


@pytest.mark.statistical
def test_a_ladder_is_measured_over_five_decades(seed: Callable[[int], int]) -> None:
    ladder = Model.load("ladder").with_values(N=20, T2=5, B1=6, B0=2, B2=3, B3=0, T1=1, T3=3, T4=0)
    found = measured_kernel(ladder, 25.0, trajectories=300, seed=seed(32))
    assert found.lags[-1] / found.lags[1] > 1e4
    assert_right(found, step_kernel(ladder, 50.0, 75.0))


@pytest.mark.statistical
def test_an_instantaneous_part_is_told_from_the_rest(seed: Callable[[int], int]) -> None:
    exact = ExponentialKernel(np.array([-5.0]), np.array([1.0]), delta=3.0)
    paired = measured_kernel(JUMPING, 0.5, trajectories=400, seed=seed(33))
    assert paired.delta == pytest.approx((3.0, 0.0))
    assert paired.kernel.delta == pytest.approx(3.0)
    single = measured_kernel(JUMPING, 0.5, trajectories=400, seed=seed(33), method="single")
    assert abs(single.delta.value - 3.0) < z_threshold(1) * single.delta.error
    for found in (paired, single):
        assert_right(found, exact)
        assert re.search(r"^instantaneous +\d", str(found), re.M)


@pytest.mark.statistical
def test_a_cut_kernel_ends_where_it_is_told_to(seed: Callable[[int], int]) -> None:
    found = measured_kernel(PAIR, SIZE, duration=1.5, trajectories=400, seed=seed(34))
    assert found.lags[-1] == found.kernel.duration == 1.5
    t = 1.5  # the integrals of the kernel up to there
    area = 20 * (1 - np.exp(-4 * t)) - 20 * (1 - np.exp(-t))
    moment = 5 * (1 - (1 + 4 * t) * np.exp(-4 * t)) - 20 * (1 - (1 + t) * np.exp(-t))
    assert abs(found.area.value - area) < z_threshold(2) * found.area.error
    assert abs(found.first_moment.value - moment) < z_threshold(2) * found.first_moment.error


# --- what coupling gains ------------------------------------------------------------------------------------


@pytest.mark.statistical
def test_coupled_pairs_vary_less_than_independent_ones(seed: Callable[[int], int]) -> None:
    """A ratio of variances above 1 at α = 1e-6 (F distribution), everywhere and in the area."""
    gain = by("coupled", seed(31)).gain
    assert isinstance(gain, Gain)
    least = f.isf(1e-6 / 200, 599, 599)
    assert np.isnan(gain.response[0])
    assert np.nanmin(gain.response) > least
    assert np.nanmin(gain.kernel) > least
    assert min(gain.area, gain.first_moment) > least
    assert 1 < gain.firings < 2


@pytest.mark.statistical
def test_the_gain_is_that_over_pairs_that_are_really_independent(seed: Callable[[int], int]) -> None:
    coupled, apart = by("coupled", seed(31), sections=18), by("independent", seed(31), sections=18)
    assert coupled.gain is not None
    assert apart.gain is not None
    low, high = f.ppf([1e-6, 1 - 1e-6], 599, 599)
    for name in ("response", "kernel"):
        errors = [found.data[f"{name}_error"].values[5::8] for found in (apart, coupled)]
        ratio = (errors[0] / errors[1]) ** 2
        told = getattr(coupled.gain, name)[5::8]
        if name == "response":  # the kernel's weights differ from method to method
            assert np.all((low < ratio / told) & (ratio / told < high))
        assert np.all(ratio > f.isf(1e-6, 599, 599))
        own = getattr(apart.gain, name)[5::8]
        assert np.all((low < own) & (own < high)), "independent pairs gain nothing"


@pytest.mark.statistical
def test_pairs_with_the_same_seeds_gain_less_than_coupled_ones(seed: Callable[[int], int]) -> None:
    seeds, coupled = by("seeds", seed(31)).gain, by("coupled", seed(31)).gain
    assert seeds is not None
    assert coupled is not None
    assert seeds.firings == 1.0
    assert np.median(coupled.kernel / seeds.kernel) > f.isf(1e-6, 599, 599)


# --- what it is like to use ---------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_numbers_for_any_number_of_workers() -> None:
    first, second = (by("coupled", 3, workers=workers) for workers in (1, 2))
    xr.testing.assert_identical(first.data, second.data)
    other = measured_kernel(PAIR, SIZE, trajectories=600, seed=4)
    assert other.area != first.area


def test_the_kernel_answers_signals_as_its_samples_do() -> None:
    found = by("coupled", 3)
    scale = np.abs(found.data.kernel.values).max()
    assert np.allclose(found.kernel(found.lags), found.data.kernel.values, atol=2e-3 * scale)
    assert found.kernel.area == pytest.approx(found.area.value, abs=0.1 * found.area.error)
    assert found.kernel.first_moment == pytest.approx(
        found.first_moment.value, abs=0.1 * found.first_moment.error
    )
    sawtooth = Signal.sawtooth(1.0, 3.0, rise=5.0, fall=50.0, periodic=True)
    assert np.isfinite(found.kernel.respond(sawtooth, np.linspace(0, 55, 12))).all()


def test_the_data_say_where_they_come_from(tmp_path: Path) -> None:
    found = by("coupled", 3)
    again = load(save(found.data, tmp_path / "k.nc"))
    xr.testing.assert_equal(again, found.data)
    assert again.attrs["seed"] == "3"
    assert again.attrs["model_text"] == PAIR.text
    assert again.attrs["area_error"] == found.area.error
    assert again.kernel_covariance.values.diagonal() == pytest.approx(found.data.kernel_error.values**2)


def test_it_reads_well() -> None:
    lines = str(by("coupled", 3)).splitlines()
    labels = ["measured on", "area I", "first moment M₁", "smoothing", "bands", "gain"]
    assert [line[:16].rstrip() for line in lines] == labels
    assert re.search(r" 600 coupled pairs; 64 lags from 0 to 9\.\d+$", lines[0])
    assert repr(by("coupled", 3)).startswith("MeasuredKernel(600 coupled pairs, area ")
    assert str(Estimate(0.123456, 0.0123)) == "0.123 ± 0.012"
    assert str(Estimate(123.456, 12.3)) == "123 ± 12"


@pytest.mark.parametrize("method", ["coupled", "single"])
def test_an_output_that_has_not_settled_is_said_to_drift(method: str) -> None:
    far = PAIR.with_values(a=4000)
    settle = {"coupled": 0.5, "single": 0.01}[method]
    text = str(measured_kernel(far, SIZE, settle=settle, trajectories=100, seed=1, method=method))
    assert re.search(
        r"^warning +at rest the output drifts by -?\d+\.\d standard errors; let it settle", text, re.M
    )


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"size": 0.0}, "size of a step must be a number other than 0"),
        ({"method": "paired"}, "no method named 'paired'; there are coupled, seeds, independent, single"),
        ({"trajectories": 9}, "at least 10 trajectories, got 9"),
        ({"samples": 19}, "at least 20 lags after the step, got 19"),
        ({"confidence": 95}, "confidence must lie between 0 and 1, got 95"),
        ({"sections": 60}, "64 lags allow 2 to 32 sections of a spline, got 60"),
        ({"duration": -1.0}, "duration must be positive, got -1"),
        ({"settle": 0.0}, "settle must be positive, got 0"),
        ({"size": 1e-4, "trajectories": 20}, "take more trajectories or a larger step"),
        ({"at": 0.0}, "size of a step must be a number other than 0, got 0; give size"),
    ],
)
def test_what_makes_no_sense_is_refused(how: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        measured_kernel(PAIR, **how)


# --- from records -------------------------------------------------------------------------------------------


def noisy(count: int, times: np.ndarray, seed: int, white: float = 0.0) -> np.ndarray:
    """Records with K = 80 e^{−4t} − 20 e^{−t}, on stationary Ornstein–Uhlenbeck noise and white noise."""
    rng = np.random.default_rng(seed)
    noise = np.empty((count, len(times)))
    noise[:, 0] = rng.standard_normal(count)
    for i, kept in enumerate(np.exp(-np.diff(times) / 0.7), start=1):
        noise[:, i] = kept * noise[:, i - 1] + np.sqrt(1 - kept**2) * rng.standard_normal(count)
    answer = np.where(times < 0, 0.0, KERNEL.step_response(np.maximum(times, 0.0)))
    return 50.0 + answer * 2.0 + 3.0 * noise + white * rng.standard_normal(noise.shape)


@pytest.mark.statistical
@pytest.mark.parametrize("white", [0.0, 5.0])
@pytest.mark.parametrize("settled", [None, 8.0])
def test_records_with_measurement_noise(
    seed: Callable[[int], int], white: float, settled: float | None
) -> None:
    """More than 200 lags, which are averaged; the level before the step is in the records."""
    times = np.arange(-200, 1201) / 100
    found = kernel_from_responses(noisy(200, times, seed(41), white), times, 2.0, settled=settled)
    assert len(found.lags) == 201
    assert abs(found.drift) < z_threshold(1)
    assert found.gain is None
    bound = z_threshold(len(found.lags) + 1)
    missed = np.abs(found.data.kernel.values - KERNEL(found.lags))
    assert np.all(missed < bound * found.data.kernel_error.values)
    assert abs(found.area.value - KERNEL.step_response(found.kernel.duration)) < bound * found.area.error


def test_a_simulated_ensemble_is_read_as_it_is() -> None:
    times = np.concatenate([np.linspace(4, 10, 20)[:-1], 10 + np.linspace(0, 5, 30)])
    step = Signal.step(2.0, 2.5, at=10.0)
    data = simulate_ssa(PAIR, times, signal=step, trajectories=50, seed=1)
    found = kernel_from_responses(data)
    same = kernel_from_responses(data.u.values, times - 10.0, 0.5)
    assert found.area == pytest.approx(same.area, rel=1e-9)
    assert found.data.attrs["model_text"] == PAIR.text
    assert "kind" not in found.data.attrs, "what is no simulation is not to be repeated as one"
    for signal in (None, Signal.sawtooth(1, 2, rise=1, fall=1), Signal.square(1, 2, first=1, second=1)):
        other = simulate_ssa(PAIR, times, signal=signal, trajectories=10, seed=1)
        with pytest.raises(ValueError, match="no single step"):
            kernel_from_responses(other)
    with pytest.raises(ValueError, match="no ensemble of simulate_ssa"):
        kernel_from_responses(found.data)


TIMES = np.linspace(-1, 3, 41)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"times": None}, "need their times, 0 at the step, and the size"),
        ({"size": 0.0}, "other than 0"),
        ({"times": TIMES[::-1]}, "that increase"),
        ({"times": TIMES + 2}, "times begin at 1, after the step at 0"),
        ({"times": TIMES[:-1]}, r"shape \(n_trajectories, 40\), got \(30, 41\)"),
        ({"responses": np.full((30, 41), np.nan)}, "must be finite numbers"),
        ({"settled": -1.0}, "settled must be positive"),
        ({"settled": 1.0}, "at least 20 lags after the step, got 9"),
        ({"responses": np.ones((5, 41))}, "at least 10 trajectories, got 5"),
        ({"times": TIMES + 1, "instantaneous": True}, "only samples before the step tell a jump"),
    ],
)
def test_records_that_are_none_are_refused(change: dict[str, Any], words: str) -> None:
    how = {"responses": noisy(30, TIMES, 1), "times": TIMES, "size": 2.0, **change}
    with pytest.raises(ValueError, match=words):
        kernel_from_responses(how.pop("responses"), **how)


# --- the pieces ---------------------------------------------------------------------------------------------


def test_splines_hold_any_cubic_and_its_integrals() -> None:
    basis = Basis.of(np.geomspace(0.1, 2.0, 40), 2.0, 7, 0.0)
    t = np.linspace(0, 2, 33)
    coefficients = np.linalg.lstsq(basis.response(t), t - 0.5 * t**2 + 0.1 * t**3, rcond=None)[0]
    assert np.allclose(basis.kernel(t) @ coefficients, 1 - t + 0.3 * t**2)
    assert basis.area @ coefficients == pytest.approx(2 - 2 + 0.8)
    assert basis.first_moment @ coefficients == pytest.approx(2 - 8 / 3 + 0.3 * 4)
    assert np.all(basis.response(np.array([-1.0])) == 0)
    assert basis.response(np.array([5.0])) @ coefficients == pytest.approx(0.8)


def test_moments_do_not_depend_on_how_blocks_are_cut() -> None:
    rows = np.random.default_rng(1).standard_normal((50, 4)) + 100
    whole, parts = Moments.of(rows), Moments.of(rows[:13]).merged(Moments.of(rows[13:]))
    for one, other in zip(whole, parts, strict=True):
        assert np.allclose(one, other)
    assert np.allclose(whole.covariance, np.cov(rows.T))


@pytest.mark.parametrize("places", [1, 20])
def test_the_factor_of_a_simultaneous_band_is_that_of_independent_places(places: int) -> None:
    """At many degrees of freedom (2Φ(c) − 1)^n is the confidence, up to the finite number of draws."""
    factor = band_factor(np.diag(np.arange(1.0, places + 1)), 0.95, 10**7)
    kept = (2 * norm.cdf(factor) - 1) ** places
    assert abs(kept - 0.95) < norm.isf(0.5e-6) * np.sqrt(0.95 * 0.05 / 20_000)
    assert band_factor(np.ones((places, places)), 0.95, 10**7) == pytest.approx(1.96, abs=0.05)
    assert band_factor(np.diag(np.ones(places)), 0.95, 5) > factor
