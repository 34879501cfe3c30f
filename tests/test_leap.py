"""Tau-leaping and Langevin runs: exact samplers, moments within the stated error, refusals, identity.

A moment of a leaping run may be off by what its statement allows (``allowed``: computed from the exact law,
see ``allowed_errors``) and by chance; the bounds of chance have the false-alarm rate of tests/statistics.py,
1e-6 per assertion.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from chemlearn.errors import SimulationError
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import simulate_ode
from chemlearn.simulate.leap import LangevinRun, TauRun, check, engine, loop, statement
from chemlearn.simulate.native.compiled import Compiled
from tests.statistics import independent_molecules, z_threshold

BIRTH_DEATH = """
substanceOnly species X; X = 200; s = 1000; k = 1;
made: => X; s;
lost: X => ; k*X;
u := 2*s + X;
"""
DIMERS = """
substanceOnly species P, P2; P = 100000; P2 = 0; k_on = 1e-5; k_off = 0.5;
bind: 2 P => P2; k_on*P*(P - 1);
part: P2 => 2 P; k_off*P2;
"""
GENE = """
substanceOnly species H, G, M; H = 1; G = 0; M = 0; k_on = 0.7; k_off = 1.3; b = 20000;
on: H => G; k_on*H;  off: G => H; k_off*G;
made: => M; b*G;     lost: M => ; M;
"""
METHODS = {"tau": TauRun, "langevin": LangevinRun}


@cache
def model(text: str, **values: float) -> Model:
    loaded = Model.load(text).with_values(**values) if values else Model.load(text)
    loaded.require(stochastic=True)
    return loaded


# -------------------------------------------------------------------------------- moments, as far as stated

Moments = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # log factors of the rate constants to both


def allowed_errors(moments: Moments, n_rates: int, accuracy: float) -> tuple[np.ndarray, np.ndarray]:
    """What the statement allows: ε Σ |∂ moment/∂ ln k|, and for the variance ε of itself beside that."""
    total_mean, total_var, small = 0.0, 0.0, 1e-3
    for factors in np.eye(n_rates) * small:
        up, down = moments(factors), moments(-factors)
        total_mean = total_mean + np.abs(up[0] - down[0]) / (2 * small)
        total_var = total_var + np.abs(up[1] - down[1]) / (2 * small)
    return accuracy * np.asarray(total_mean), accuracy * (
        np.asarray(total_var) + moments(np.zeros(n_rates))[1]
    )


def assert_within_statement(
    samples: np.ndarray, moments: Moments, n_rates: int, accuracy: float, seed: int
) -> None:
    """Means and variances (n_times,) off by no more than the statement allows and chance makes."""
    mean, var = moments(np.zeros(n_rates))
    allowed_mean, allowed_var = allowed_errors(moments, n_rates, accuracy)
    squares = (samples - samples.mean(axis=0)) ** 2
    z = z_threshold(2 * mean.size)
    chance = z * np.sqrt(var / len(samples))
    chance_var = z * np.sqrt(np.maximum((squares**2).mean(axis=0) - var**2, 0) / len(samples))
    assert np.all(np.abs(samples.mean(axis=0) - mean) <= allowed_mean + chance), (
        samples.mean(0) / mean,
        seed,
    )
    assert np.all(np.abs(squares.mean(axis=0) - var) <= allowed_var + chance_var), (
        squares.mean(0) / var,
        seed,
    )


def birth_death(size: float, start: float, times: np.ndarray) -> Moments:
    def moments(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        left = np.exp(-np.exp(logs[1]) * times)
        made = size * np.exp(logs[0] - logs[1]) * (1 - left)
        return made + start * left, made + start * left * (1 - left)

    return moments


@pytest.mark.statistical
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("size", "accuracy"), [(1000, 0.03), (1e6, 0.03), (1e6, 0.3)])
def test_immigration_and_death(method: str, size: float, accuracy: float, seed) -> None:
    """The Langevin equation of linear laws has the means and variances of the master equation."""
    s, times = seed(53), np.array([0.0, 0.3, 1.0, 6.0])
    run = METHODS[method](model(BIRTH_DEATH, s=size), times, None, {"X": size / 5}, accuracy=accuracy)
    data = run(range(8000), s, 0)
    assert_within_statement(data[..., 0], birth_death(size, size / 5, times), 2, accuracy, s)
    np.testing.assert_array_equal(data[..., 1], 2 * size + data[..., 0])
    assert run.firings_per_step > run.worth
    assert run.columns[0].whole == (method == "tau")
    assert np.all(data[..., 0] == np.round(data[..., 0])) == (method == "tau")


def dimers(times: np.ndarray, start: float = 1e5) -> Moments:
    """Mean and variance with the linear-noise variance fed back: right to relative order 1/N² here."""

    def moments(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        on, off = np.array([1e-5, 0.5]) * np.exp(logs)

        def flow(t: float, y: np.ndarray) -> list[float]:
            p, v = y
            pairs, whole = on * (p * p - p + v), off * (1e5 - p) / 2
            pull = -2 * on * (2 * p - 1) - off
            return [2 * (whole - pairs), 2 * pull * v + 4 * (pairs + whole)]

        span = (0.0, float(times[-1]))
        solved = solve_ivp(flow, span, [start, 0.0], "LSODA", t_eval=times, rtol=1e-10, atol=1e-8)
        return solved.y[0], solved.y[1]

    return moments


@pytest.mark.statistical
def test_dimerisation_and_its_conserved_total(seed) -> None:
    s, times = seed(54), np.array([0.1, 0.6, 1.0, 2.0])
    counts = TauRun(model(DIMERS), times, None, {})(range(4000), s, 0)
    assert np.all(counts @ [1, 2] == 100000)
    assert_within_statement(counts[..., 0], dimers(times), 2, 0.03, s)
    begin, later = {"P": 60000, "P2": 20000}, dimers(times, 6e4)
    real = LangevinRun(model(DIMERS), times, None, begin)(range(4000), s, 1)
    np.testing.assert_allclose(real @ [1, 2], 100000, rtol=1e-12)
    assert_within_statement(real[..., 0], later, 2, 0.03, s)


@pytest.mark.statistical
def test_the_error_shrinks_with_the_accuracy(seed) -> None:
    """At least in proportion: the bias of the mean at ε = 0.4, far beyond chance, is a quarter at 0.1."""
    s, times, n = seed(55), np.array([1.0]), 10000
    mean, var = dimers(times)(np.zeros(2))
    coarse, fine = (
        TauRun(model(DIMERS), times, None, {}, accuracy=accuracy)(range(n), s, i)[..., 0].mean(axis=0) - mean
        for i, accuracy in enumerate((0.4, 0.1))
    )
    chance = z_threshold(2) * np.sqrt(var / n)
    assert np.abs(coarse) > 10 * chance
    assert np.abs(fine) < np.abs(coarse) / 4 + chance


@pytest.mark.statistical
@pytest.mark.parametrize("method", METHODS)
def test_a_sawtooth_of_immigration(method: str, seed) -> None:
    """Linear laws: Poisson, with the mean of the rate equation; ramps count with their integrals."""
    s, times = seed(56), np.array([0.4, 1.1, 3.0, 4.3])
    signal = Signal.sawtooth(500, 9000, rise=0.15, fall=0.6, periodic=True)

    def moments(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rates = model(BIRTH_DEATH, k=float(np.exp(logs[1])))
        driven = Signal(signal.times, signal.values * np.exp(logs[0]), True)
        mean = simulate_ode(rates, times, signal=driven, start={"X": 3000}).X.values
        return mean, mean - 3000 * np.exp(-2 * np.exp(logs[1]) * times)

    data = METHODS[method](model(BIRTH_DEATH), times, signal, {"X": 3000})(range(8000), s, 0)
    assert_within_statement(data[..., 0], moments, 2, 0.03, s)
    np.testing.assert_array_equal(data[..., 1], 2 * signal(times) + data[..., 0])


@pytest.mark.statistical
@pytest.mark.parametrize("law", ["4e6*s^2/(4 + s^2)", "2e6*exp(-s)", "1e6*piecewise(9, s > 3, 1)", "1e6*s"])
def test_ramps_of_any_law_of_the_input(law: str, seed) -> None:
    """Births alone are Poisson with the integral of the law, however far a single leap goes."""
    s, times = seed(57), np.array([0.9, 2.0])
    signal = Signal(np.array([0, 0.8, 0.8, 2.0]), np.array([0, 5, 4.5, 0.0]))
    fine = signal((np.arange(2_000_000) + 0.5) * 1e-6)
    laws = {
        "4e6*s^2/(4 + s^2)": 4e6 * fine**2 / (4 + fine**2),
        "2e6*exp(-s)": 2e6 * np.exp(-fine),
        "1e6*piecewise(9, s > 3, 1)": 1e6 * np.where(fine > 3, 9, 1),
        "1e6*s": 1e6 * fine,
    }
    mean = np.cumsum(laws[law])[np.round(times * 1e6).astype(int) - 1] * 1e-6
    text = f"substanceOnly species X; X = 0; s = 1; made: => X; {law};"
    counts = TauRun(model(text), times, signal, {})(range(4000), s, 0)[..., 0]
    chance = z_threshold(2) * np.sqrt(mean / len(counts))
    assert np.all(np.abs(counts.mean(axis=0) - mean) <= 0.03 / 8 * mean + chance), counts.mean(axis=0) / mean


@pytest.mark.statistical
def test_the_ladder_under_a_sawtooth(seed) -> None:
    """Ten million molecules that walk alone, each by laws that are exponential in the input."""
    s, times = seed(58), np.array([0.1, 0.35])
    ladder = Model.load("ladder").with_values(N=1e7, k_w=0, k_f=0)
    signal = Signal.sawtooth(20, 150, rise=0.1, fall=0.4, periodic=True)
    states = [name for name in ladder.species if name != "w"]
    start = np.array([ladder.network.initial[name] for name in states])
    chances = np.empty((len(times), len(states), len(states)))  # from state j to state i
    for j, begin in enumerate(states):
        alone = {name: float(name == begin) for name in states}
        data = simulate_ode(ladder, times, signal=signal, start=alone)
        chances[:, :, j] = np.stack([data[name].values for name in states], axis=-1)
    mean, var, _ = independent_molecules(start, chances)
    counts = TauRun(ladder, times, signal, {})(range(100), s, 0)
    counts = counts[..., [ladder.species.index(name) for name in states]]
    assert np.all(counts.sum(axis=-1) == start.sum())
    chance = z_threshold(2 * mean.size)
    # less than the statement allows, which adds up the effects of 26 rate constants
    assert np.all(np.abs(counts.mean(axis=0) - mean) <= 0.03 * mean + chance * np.sqrt(var / len(counts)))
    ratio = counts.var(axis=0, ddof=1) / var
    assert np.all(np.abs(ratio - 1) <= 0.06 + chance * np.sqrt(2 / len(counts))), ratio


@pytest.mark.statistical
def test_few_molecules_beside_many(seed) -> None:
    """A gene switches one molecule at a time while what it makes leaps: telegraph noise, known exactly."""
    s, times = seed(59), np.array([1.0, 3.0, 30.0])

    def moments(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        on, off, made, lost = np.array([0.7, 1.3, 2e4, 1.0]) * np.exp(logs)

        def flow(t: float, y: np.ndarray) -> list[float]:
            g, m, gm, mm = y  # G has the values 0 and 1; gm and mm are E[GM] and E[M(M − 1)]
            dgm = made * g + on * (m - gm) - (off + lost) * gm
            return [on * (1 - g) - off * g, made * g - lost * m, dgm, 2 * (made * gm - lost * mm)]

        y = solve_ivp(flow, (0, 30), np.zeros(4), "LSODA", t_eval=times, rtol=1e-10, atol=1e-8).y
        return y[1], y[3] + y[1] - y[1] ** 2

    counts = TauRun(model(GENE), times, None, {})(range(4000), s, 0)
    assert set(np.unique(counts[..., 1])) == {0.0, 1.0}
    assert_within_statement(counts[..., 2], moments, 4, 0.03, s)


@pytest.mark.statistical
def test_the_last_molecules_of_many(seed) -> None:
    """From a hundred thousand to about two: a binomial law, by leaps and then by exact steps."""
    s, times = seed(60), np.array([2.0, 8.0, 11.0])
    text = "substanceOnly species X; X = 100000; lost: X => ; X;"

    def moments(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        left = np.exp(-np.exp(logs[0]) * times)
        return 1e5 * left, 1e5 * left * (1 - left)

    counts = TauRun(model(text), times, None, {})(range(4000), s, 0)
    assert counts.min() >= 0
    assert_within_statement(counts[..., 0], moments, 1, 0.03, s)


# ----------------------------------------------------------------------------- the check, and its controls


def test_the_check_measures_both_ways() -> None:
    times = np.array([2.0, 8.0])
    for method, against in (("tau", "native"), ("langevin", "half")):
        found = check(model(BIRTH_DEATH), times, method=method, against=against, trajectories=4000, seed=3)
        assert not found.differs(1e-6), str(found)
        assert found.mean.shape == (2, 2)
        np.testing.assert_allclose(found.mean_error[1, 0], np.sqrt(2 * 1000 / 4000), rtol=0.1)
        np.testing.assert_allclose(found.variance_error[1, 0], 1000 * np.sqrt(4 / 4000), rtol=0.1)
        assert "no more than chance" in str(found)
    with pytest.raises(ValueError, match="cannot check 'euler'"):
        check(model(BIRTH_DEATH), times, method="euler")


def test_leaps_that_are_too_coarse_are_caught(monkeypatch) -> None:
    """Negative controls: a low accuracy; and leaps at rest over whole relaxation times, without the bound on
    turnover, in which half the accuracy is as wrong.
    """
    at_rest, times = {"s": 1e4, "X": 1e4}, np.array([20.0])
    found = check(model(BIRTH_DEATH, **at_rest), times, accuracy=0.5, trajectories=20000)
    assert found.differs(1e-6), str(found)
    assert found.variance[0, 0] > 0
    monkeypatch.setattr(statement, "turnover", lambda accuracy: 1e9)
    found = check(model(BIRTH_DEATH, **at_rest), times, accuracy=0.1, against="native", trajectories=400)
    assert found.differs(1e-6), str(found)
    assert "more than chance" in str(found)


def test_the_statement_has_its_numbers() -> None:
    run = TauRun(model(BIRTH_DEATH, s=1e5), np.array([5.0]), None, {}, accuracy=0.06)
    assert run.error.turnover == pytest.approx(0.6)
    assert (run.error.rate_error, run.error.covariance_error, run.error.least_amount) == (0.06, 0.06, 0)
    for words in ("tau-leaping with accuracy 0.06", "more than 6 %", "more than 60 %", "fires"):
        assert words in run.error_statement
    real = LangevinRun(model(BIRTH_DEATH, s=1e5), np.array([5.0]), None, {})
    assert "stays at 100 or more" in real.error_statement


# ---------------------------------------------------------------------------------- identity to the last bit

TEETH = Signal.sawtooth(300, 5000, rise=0.3, fall=0.9, periodic=True)
CASES = {
    "tau": (TauRun, DIMERS, None, {}),
    "tau, few and many": (TauRun, GENE, None, {}),
    "tau, ramps": (TauRun, BIRTH_DEATH, TEETH, {}),
    "langevin": (LangevinRun, DIMERS, None, {"P": 60000, "P2": 20000}),
    "langevin, ramps": (LangevinRun, BIRTH_DEATH, TEETH, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_trajectory_is_the_same_in_any_company(name: str) -> None:
    kind, text, signal, start = CASES[name]
    run = kind(model(text), np.linspace(0, 3, 13), signal, start)
    whole = run(range(80), 7, 3)
    assert len(np.unique(whole.reshape(80, -1), axis=0)) > 60  # a silent gene makes nothing
    for block in (range(17, 18), range(1), range(79, 80), range(33), range(3, 72, 5)):
        np.testing.assert_array_equal(run(block, 7, 3), whole[np.asarray(block)])
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda k: run(range(k, k + 10), 7, 3), range(0, 80, 10)))
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    for width in (4, 8, 16):
        run.code = Compiled.of_module(loop.build_module(run.leaps, width))
        np.testing.assert_array_equal(run(range(40), 7, 3), whole[:40])


def test_values_do_not_recompile() -> None:
    one = TauRun(model(DIMERS), np.array([1.0]), None, {})
    other = TauRun(model(DIMERS, k_on=2e-5), np.array([2.0]), None, {}, accuracy=0.1)
    assert one.code is other.code


# ------------------------------------------------------------------------------------------------ refusals

LARGE = "substanceOnly species X; X = 100000; s = 1; made: => X; s*50000;"
FEW = "substanceOnly species X; X = 20; a: => X; 2; b: X => ; 0.1*X;"
REFUSED = {
    "few": ("tau", FEW, "a step fires 0.9.* X changes fastest, with .* molecules .*, engine='native'"),
    "piecewise": (
        "tau",
        LARGE + "b: X => ; piecewise(X, X > 5, 0);",
        "reaction b: its law is not smooth .*if",
    ),
    "floor": ("langevin", LARGE + "b: X => ; floor(X);", r"reaction b: its law is not smooth .*\(floor\)"),
    "time": ("tau", LARGE + "b: X => ; X/(1 + time);", "reaction b: its law depends on time itself"),
    "rate rule": (
        "tau",
        "X = 5; X' = -X; substanceOnly species Y; Y = 1000; b: Y => ; Y;",
        "a rate rule for X",
    ),
    "event": ("tau", LARGE + "b: X => ; X; at (time > 1): X = 0;", "has events"),
    "few at the start": (
        "langevin",
        LARGE.replace("100000", "99") + "b: X => ; X;",
        "species X: 99 molecules at t=0",
    ),
    "negative": (
        "tau",
        LARGE + "b: X => ; 20000 - X;",
        "reaction b: its propensity is -8e.04 at t=0 with X=100000",
    ),
    "explosion": (
        "tau",
        "substanceOnly species X; X = 100000; b: => X; X*X;",
        "reaction b: its propensity is inf",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_place_value_and_mend(name: str) -> None:
    method, text, words = REFUSED[name]
    with pytest.raises(SimulationError, match=words):
        METHODS[method](Model.load(text), np.array([0.0, 20.0]), None, {})


def test_refusals_during_a_run(monkeypatch) -> None:
    """What the beginning does not show: the signal falls after some time at a high level."""
    monkeypatch.setattr(engine, "_PILOT", 0)
    high, times = model(BIRTH_DEATH, X=2000), np.array([40.0, 20000.0])
    falls = Signal(np.array([0, 40.0, 40.0]), np.array([2000, 2000, 5.0]))
    with pytest.raises(SimulationError, match=r"species X: 9\d.* molecules at t=4\d.*fewer than the 100"):
        LangevinRun(high, times, falls, {})(range(3), 1, 0)
    with pytest.raises(SimulationError, match=r"by t=1.*e\+04 .* 1.* single firings, and fired 1.6"):
        TauRun(high, times, falls, {})(range(3), 1, 0)
    slow = TauRun(high, times, falls, {}, even_if_slow=True)(range(40), 1, 0)
    assert abs(slow[:, 1, 0].mean() - 5) < z_threshold(1) * np.sqrt(5 / 40)


def test_other_words_at_the_door() -> None:
    with pytest.raises(ValueError, match="accuracy must be above 0 and at most"):
        TauRun(model(DIMERS), np.array([1.0]), None, {}, accuracy=0.0)
    run = TauRun(model(DIMERS), np.array([1.0]), None, {}, stopping=(stopping := threading.Event()))
    stopping.set()
    with pytest.raises(KeyboardInterrupt):
        run(range(10), 1, 0)
    with pytest.raises(SimulationError, match="more than 3"):
        TauRun(model(DIMERS), np.array([1.0]), None, {}, most_steps=3, even_if_slow=True)(range(10), 1, 0)
