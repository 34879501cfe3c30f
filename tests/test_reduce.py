"""Online reductions against the same statistics of all trajectories; what they depend on; their memory."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from chemlearn.errors import SimulationError
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import EnsembleInterrupted, Histogram, Quantiles, native, repeat, simulate_ssa
from chemlearn.simulate.reduce import Column, reductions
from tests.conftest import needs_compiler
from tests.statistics import assert_moments, z_threshold

CASCADE = """
substanceOnly species X, Y; X = 0; Y = 3; s = 10;
made: => X; s;          lost: X => ; X/2;
seen: X => X + Y; X/5;  gone: Y => ; Y;
idle: X => X; X;
u := X - 2*Y;
"""
TIMES = np.array([0.0, 0.5, 2.0, 6.0])
ALL = ("mean", "variance", "covariance", Quantiles((0, 0.1, 0.5, 1)), Histogram({"X": [0, 5, 10, 40]}))
ENDLESS = "substanceOnly species X; X = 1000; up: => X; 1000; down: X => ; X;"


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load(CASCADE)


def test_reductions_are_the_statistics_of_the_trajectories(model: Model) -> None:
    how = {"trajectories": 1700, "seed": 3, "firings": True}
    whole, kept = simulate_ssa(model, TIMES, **how), simulate_ssa(model, TIMES, reduce=ALL, **how)
    for name in ("X", "Y", "u"):
        np.testing.assert_allclose(kept[f"{name}_mean"], whole[name].mean("trajectory"), rtol=1e-13)
        np.testing.assert_allclose(
            kept[f"{name}_variance"], whole[name].var("trajectory", ddof=1), rtol=1e-12
        )
    np.testing.assert_allclose(kept.firings_mean, whole.firings.mean("trajectory"), rtol=1e-13)
    together = np.concatenate([[whole.X, whole.Y], np.moveaxis(whole.firings.values, -1, 0), [whole.u]])
    assert list(kept.quantity.values[[0, 2, -1]]) == ["X", "firings of made", "u"]
    for i in range(len(TIMES)):
        np.testing.assert_allclose(kept.covariance[i], np.cov(together[:, :, i]), rtol=1e-10, atol=1e-10)
    exact = np.quantile(whole.X.values, kept["quantile"].values, axis=0, method="lower")
    np.testing.assert_array_equal(kept.X_quantile, exact)  # whole numbers below 100
    exact = np.quantile(whole.u.values, kept["quantile"].values, axis=0, method="lower")
    np.testing.assert_allclose(kept.u_quantile, exact, rtol=0.005)  # of both signs
    for low, high in ((5, 10), (10, 40)):
        counted = whole.X.where((low <= whole.X) & (high > whole.X)).count("trajectory")
        np.testing.assert_array_equal(kept.X_histogram.sel(X_from=low), counted)
    assert np.all(kept.X_histogram.sum("X_from") == 1700)
    assert list(kept.X_from.values) == [-np.inf, 0, 5, 10, 40]


def test_large_values_have_quantiles_of_the_stated_accuracy() -> None:
    rng = np.random.default_rng(1)
    values = np.floor(rng.lognormal(9, 3, (3000, 2, 1)))
    for accuracy in (0.005, 0.05):
        (sketch,) = reductions(Quantiles((0.01, 0.3, 0.5, 0.99), accuracy))
        columns = [Column("X")]
        state = sketch.merged(sketch.of(values[:1000], columns), sketch.of(values[1000:], columns))
        found = sketch.variables(state, columns)[0]["X_quantile"][1]
        exact = np.quantile(values[..., 0], sketch.levels, axis=0, method="lower")
        assert np.abs(found / exact - 1).max() <= accuracy
        assert np.abs(found / exact - 1).max() > accuracy / 10  # so that the bound is a bound of something


def test_what_is_not_a_number_has_no_quantile() -> None:
    counts = np.array([[[1.0], [np.nan]], [[3.0], [2.0]]])
    (sketch,) = reductions("quantiles")
    found = sketch.variables(sketch.of(counts, [Column("v")]), [Column("v")])[0]["v_quantile"][1]
    assert np.all(np.isfinite(found[:, 0]))
    assert np.all(np.isnan(found[:, 1]))


def test_reductions_do_not_depend_on_the_workers(model: Model) -> None:
    how = {"trajectories": range(40, 2300), "seed": 3, "reduce": ALL, "firings": True}
    first = simulate_ssa(model, TIMES, workers=1, **how)
    for workers in (2, 5):
        assert simulate_ssa(model, TIMES, workers=workers, **how).identical(first)
    assert repeat(first).identical(first)


@pytest.mark.parametrize("engine", ["roadrunner", pytest.param("gillespy2", marks=needs_compiler)])
def test_the_other_engines_reduce_too(engine: str) -> None:
    """And make any range of their trajectories again."""
    small = Model.load("substanceOnly species X; X = 0; s = 10; k = 0.5; made: => X; s; lost: X => ; k*X;")
    how = {"seed": 3, "engine": engine}
    whole = simulate_ssa(small, TIMES, trajectories=260, **how)
    part = simulate_ssa(small, TIMES, trajectories=range(130, 207), **how)
    np.testing.assert_array_equal(part.X, whole.X.sel(trajectory=part.trajectory))
    kept = simulate_ssa(small, TIMES, trajectories=260, reduce="variance", **how)
    np.testing.assert_allclose(kept.X_variance, whole.X.var("trajectory", ddof=1), rtol=1e-12)
    with pytest.raises(SimulationError, match=f"the engine '{engine}' does not know firings; use"):
        simulate_ssa(small, TIMES, firings=True, **how)


@pytest.mark.parametrize("signal", [None, Signal.sawtooth(5, 40, rise=0.3, fall=0.9, periodic=True)])
def test_firings_add_up_and_propensities_integrate_to_them(model: Model, signal: Signal | None, seed) -> None:
    """Amounts are what the firings make of them, and N − ∫a is a martingale with variance E∫a."""
    s, n = seed(51), 4000
    data = simulate_ssa(
        model, TIMES, signal=signal, trajectories=n, seed=s, firings=True, propensity_integrals=True
    )
    plain = simulate_ssa(model, TIMES, signal=signal, trajectories=n, seed=s)
    made, lost, seen, gone, idle = np.moveaxis(data.firings.values, -1, 0)
    np.testing.assert_array_equal(data.X, made - lost)
    np.testing.assert_array_equal(data.Y, 3 + seen - gone)
    assert np.all(data.firings[:, 1:].mean("trajectory") > 0)  # a reaction that changes nothing fires too
    assert idle.max() > 0
    assert not np.array_equal(plain.X, data.X)  # it takes draws of its own
    martingale = (data.firings - data.propensity_integral).values[:, 1:]
    variance = data.propensity_integral.mean("trajectory").values[1:]
    assert_moments(martingale, np.zeros(variance.shape), variance, seed=s)
    level = (10 if signal is None else 1) * (TIMES if signal is None else signal.integral(TIMES))
    np.testing.assert_allclose(data.propensity_integral[0, :, 0], level, rtol=1e-12)


def test_a_reduction_keeps_no_trajectories(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is alive at any time is some blocks, however many trajectories there are."""
    alive, most = [0], [0]
    lock = threading.Lock()
    whole = native.Run.__call__

    class Counted(np.ndarray):
        def __del__(self) -> None:
            with lock:
                alive[0] -= 1

    def counted(*arguments: object) -> np.ndarray:
        made = whole(*arguments).view(Counted)  # type: ignore[arg-type]
        with lock:
            alive[0] += 1
            most[0] = max(most[0], alive[0])
        return made

    monkeypatch.setattr(native.Run, "__call__", counted)
    simulate_ssa(model, TIMES, trajectories=30_000, seed=1, workers=2, reduce="mean")
    assert 1 <= most[0] <= 20  # of 60 blocks, with their temporary views


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("median", "no reduction named 'median'; there are mean, variance, covariance, quantiles"),
        ([], "reduce needs at least one reduction"),
        (Histogram({"Z": [0, 1]}), "no quantity named 'Z' for a histogram; there are X, Y, u"),
    ],
)
def test_reductions_that_are_none(wanted: object, words: str, model: Model) -> None:
    with pytest.raises(ValueError, match=words):
        simulate_ssa(model, TIMES, reduce=wanted)  # type: ignore[arg-type]


def test_bad_edges_levels_and_accuracies() -> None:
    with pytest.raises(ValueError, match="edges of the histogram of 'X' must be at least two and rise"):
        Histogram({"X": [0, 0]})
    with pytest.raises(ValueError, match="levels of quantiles lie between 0 and 1"):
        Quantiles((1.5,))
    with pytest.raises(ValueError, match=r"accuracy must lie between 0 and 0\.5"):
        Quantiles((0.5,), accuracy=0.7)


# ---------------------------------------------------------------------------------------- limits and stopping


def test_a_trajectory_that_takes_too_much_is_an_error() -> None:
    endless = Model.load(ENDLESS)
    with pytest.raises(SimulationError, match="more than 5000 firings"):
        simulate_ssa(endless, np.array([0.0, 1e9]), trajectories=100, seed=1, most_firings=5000)
    begun = time.monotonic()
    with pytest.raises(SimulationError, match=r"a trajectory needs more than 0\.2 s"):
        simulate_ssa(endless, np.array([0.0, 1e9]), trajectories=100, seed=1, timeout=0.2)
    with pytest.raises(SimulationError, match=r"trajectories \d+ to \d+ took more than 0\.01 s each"):
        simulate_ssa(
            endless, np.array([0.0, 1e9]), trajectories=100, seed=1, timeout=0.01, engine="roadrunner"
        )
    assert time.monotonic() - begun < 20
    fine = simulate_ssa(
        endless, np.array([0.0, 0.1]), trajectories=100, seed=1, most_firings=5000, timeout=60
    )
    assert fine.sizes["trajectory"] == 100


@pytest.mark.parametrize("engine", ["native", "roadrunner"])
def test_another_thread_can_stop_an_ensemble(engine: str) -> None:
    """What is done by then is kept, and is what it would have been."""
    quick = Model.load("substanceOnly species X; X = 0; k = 1; made: => X; 40; lost: X => ; k*X;")
    stopping = threading.Event()
    seen: list[int] = []

    def progress(done: int, wanted: int) -> None:
        seen.append(done)
        stopping.set()

    with pytest.raises(EnsembleInterrupted, match="of 3000000 trajectories are done and kept") as caught:
        simulate_ssa(
            quick, TIMES, trajectories=3_000_000, seed=2, engine=engine, stopping=stopping, progress=progress
        )
    done = caught.value.done
    assert done is not None
    assert caught.value.count == done.sizes["trajectory"] >= seen[0] > 0
    some = done.isel(trajectory=slice(0, 5))
    first = int(some.trajectory[0])
    again = simulate_ssa(quick, TIMES, trajectories=range(first, first + 5), seed=2, engine=engine)
    np.testing.assert_array_equal(again.X, some.X)


def test_an_ensemble_in_a_thread_is_stopped_within_a_second() -> None:
    stopping, ended = threading.Event(), []

    def work() -> None:
        try:
            simulate_ssa(Model.load(ENDLESS), np.array([0.0, 1e9]), trajectories=64, stopping=stopping)
        except EnsembleInterrupted as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.5)
    stopping.set()
    thread.join(timeout=1.0)
    assert not thread.is_alive()
    assert ended[0].done is None


def test_neighbours_are_not_correlated_in_a_reduction(model: Model, seed) -> None:
    """The mean of n trajectories has variance σ²/n: streams of different trajectories are independent."""
    s, n, groups = seed(52), 100, 60
    means = np.array(
        [
            simulate_ssa(
                model, TIMES, trajectories=range(g * n, g * n + n), seed=s, reduce="mean"
            ).X_mean.values
            for g in range(groups)
        ]
    )[:, -1]
    exact = 20 * (1 - np.exp(-0.5 * TIMES[-1]))
    z = (means - exact) / np.sqrt(exact / n)
    assert abs(z.mean() * np.sqrt(groups)) < z_threshold(2)
    assert abs((z**2).mean() - 1) / np.sqrt(2 / groups) < z_threshold(2)
