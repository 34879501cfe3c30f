"""Integrated propensities of the sparse engine: along paths, in closed form, as what firings make up for."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.special import erf

from chemlearn.errors import SimulationError
from chemlearn.expression import TIME, compile_expressions
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import simulate_ssa
from chemlearn.simulate.native.compiled import Compiled
from chemlearn.simulate.native.paths import Path
from chemlearn.simulate.reduce import Column
from chemlearn.simulate.sparse import Run, suits
from chemlearn.simulate.sparse.loop import build_module
from tests.statistics import assert_means
from tests.test_sparse import chain

TEETH = Signal.sawtooth(0, 4, rise=0.9, fall=0.4, periodic=True)
RING = (
    "substanceOnly species A, B, C; A = 60; B = 0; C = 20; ab: A => B; A; ba: B => A; 2*B/(1 + (C/9)^2);"
    "bc: B => C; 1.4*B; ca: C => A; 0.5*C; pair: 2 A => 2 C; 0.01*A*(A - 1); idle: => ; 3; none: => A; 0*C;"
)
#: events that set amounts and what laws read, by state, by time, with delays
EVENTS = (
    "substanceOnly species X, Y; X = 0; Y = 0; k = 0.4; up: => X; 12*k; down: X => Y; X; off: Y => ; Y;"
    "A: at X > 4, priority = 1: X = X - 2; B: at X > 4, priority = 1: Y = Y + 1;"
    "C: at time - k > 0: k = k + 1; D: at 0.3 after Y > 3, persistent = false: Y = 0;"
)
#: every kind of law along ramps: constant, straight, bent by the input, by time, by both
BENT = (
    "substanceOnly species X, Y; X = 3; Y = 9; s = 1; n = 2; h = 2.5; flat: Y => ; Y/5; line: => X; s*(2+Y);"
    "hill: => X; 9*s^n/(1 + s^n + X); steep: => Y; 4*s^h/(3 + s^h); lost: X => ; X/(1 + s);"
    "wave: => Y; 3*(1 + sin(7*time)); both: X => ; 0.1*X*s*time; down: Y => X; 0.3*Y*exp(-time);"
)
FELT = BENT + "E: at s > 2: Y = Y + 2; F: at time > 1.4 && X > 5: X = X - 3;"


def genes(number: int) -> str:
    """Birth by a Hill law in the input and the amount, and death, of each of many species."""
    text = "substanceOnly species " + ", ".join(f"X{i}" for i in range(number)) + "; s = 1;"
    for i in range(number):
        text += f"X{i} = {i % 3}; m{i}: => X{i}; {6 + i % 3}*s^2/({1 + i % 4} + s^2 + X{i});"
        text += f"l{i}: X{i} => ; X{i};"
    return text


CASES: dict[str, tuple[str, Signal | None]] = {
    "plain": (RING, None),
    "events": (EVENTS, None),
    "many reactions": (chain(93), None),
    "ramps": (BENT, TEETH),
    "ramps and events": (FELT, TEETH),
    "steps": (BENT, TEETH.staircase(5)),
    "many driven reactions": (genes(90), TEETH),
}
TIMES = np.array([0.0, 0.37, 0.9, 1.1, 2.0])


@cache
def model(text: str) -> Model:
    return Model.load(text)


def integrated(run: Run, trajectories: int | range, seed: int = 5) -> np.ndarray:
    """Integrals of a run, (n_trajectories, n_times, n_reactions)."""
    block = range(trajectories) if isinstance(trajectories, int) else trajectories
    chosen = [i for i, column in enumerate(run.columns) if column.name == "propensity_integral"]
    return run(block, seed, 0)[..., chosen]


def along_the_path(run: Run, path: Path, signal: Signal | None) -> np.ndarray:
    """Integrals at the run's output times, by a rule with 30 points between any two of all instants."""
    network, constants = run.network, dict(run.network.constants)
    laws = compile_expressions([r.law for r in network.reactions], [*run.prepared.state, *constants, TIME])
    knots = [] if signal is None else [piece.start for piece in signal.pieces(0.0, run.times[-1])]
    edges = np.unique(np.concatenate([[0.0], path.times, run.times, knots]))
    after = np.searchsorted(path.times, edges[:-1], side="right")
    state = np.vstack([run.initial, path.amounts])[after].T[..., None]
    points, weights = np.polynomial.legendre.leggauss(30)
    half = 0.5 * np.diff(edges)[:, None]
    t = edges[:-1, None] + half * (1 + points)
    if signal is not None:
        constants[str(run.input)] = signal(t)
    values = np.array([np.broadcast_to(v, t.shape) for v in laws([*state, *constants.values(), t])])
    course = np.cumsum(np.append(np.zeros((len(values), 1)), (values * half) @ weights, axis=1), axis=1)
    return course[:, np.searchsorted(edges, run.times)].T


# -------------------------------------------------------------------------------- along every single path


@pytest.mark.parametrize("name", CASES)
def test_integrals_are_those_along_the_path(name: str) -> None:
    text, signal = CASES[name]
    run = Run(model(text), TIMES, signal, {}, propensity_integrals=True)
    found = integrated(run, 4)
    for path, result in zip(run.paths(range(4), 5, 0), found, strict=True):
        assert len(path.times) > 10
        expected = along_the_path(run, path, signal)
        exact = [not law.curve for law in sorted(run.laws, key=lambda law: law.reaction)]
        np.testing.assert_allclose(result[:, exact], expected[:, exact], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(result, expected, rtol=1e-10, atol=1e-12)
    assert np.all(np.diff(found, axis=1) >= 0)


@pytest.mark.parametrize(("name", "wrong"), [("plain", "after"), ("events", "after"), ("ramps", "knots")])
def test_integrals_that_are_not_brought_forward_are_caught(name: str, wrong: str, monkeypatch) -> None:
    """Negative control: the state after a firing counts as that before it; a knot goes unnoticed."""
    text, signal = CASES[name]
    run = Run(model(text), TIMES, signal, {}, propensity_integrals=True)
    step = "loop._Loop._integrate" if wrong == "after" else "integrals.Integrals._bring"
    monkeypatch.setattr(f"chemlearn.simulate.sparse.{step}", lambda *_: None)
    run.code = Compiled.of_module(build_module(run.tables.program))
    (path,) = run.paths(range(1), 5, 0)
    error = np.abs(integrated(run, 1)[0] - along_the_path(run, path, signal)).max()
    assert error > 0.1


# ----------------------------------------------------------------------------------------- closed forms


def bump(t: np.ndarray) -> np.ndarray:
    return math.sqrt(math.pi) * 0.005 * (erf((t - 2.7) / 0.01) + erf(270))


def tent(u: np.ndarray) -> np.ndarray:
    return np.where(u < 0, (1 + u) ** 2 / 2, 1 - (1 - u) ** 2 / 2)


#: laws and what they integrate to; jumps, pulses and peaks lie where points could miss them
FORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "10*time": lambda t: 5 * t**2,
    "1e-9*exp(5*time)": lambda t: 2e-10 * np.expm1(5 * t),
    "10*(1 + sin(3*time))": lambda t: 10 * (t + (1 - np.cos(3 * t)) / 3),
    "1 + cos(2000*time)": lambda t: t + np.sin(2000 * t) / 2000,
    "30/(1 + time)^2": lambda t: 30 - 30 / (1 + t),
    "1 - cos(time)": lambda t: t - np.sin(t),
    "sqrt(time)": lambda t: t**1.5 / 1.5,
    "1 + exp(-((time - 2.7)/0.01)^2)": lambda t: t + bump(t),
    "abs(time - 1.3)": lambda t: 0.5 * (1.3**2 + np.sign(t - 1.3) * (t - 1.3) ** 2),
    "max(0, 1 - 100*abs(time - 2.7))": lambda t: tent(np.clip(100 * (t - 2.7), -1, 1)) / 100,
    "piecewise(5, time < 1.3, 2)": lambda t: 2 * t + 3 * np.minimum(t, 1.3),
    "piecewise(5, time <= 2, 7, time > 3, 1)": lambda t: t + 4 * np.minimum(t, 2) + 6 * np.clip(t - 3, 0, 1),
    "piecewise(9, time > 2.7 && time < 2.70001, 1)": lambda t: t + 8 * np.clip(t - 2.7, 0, 1e-5),
    "(time > 1.3)*2 + 1": lambda t: t + 2 * np.clip(t - 1.3, 0, None),
    "floor(3*time)": lambda t: np.sum([np.clip(t - k / 3, 0, None) for k in range(1, 13)], axis=0),
    "piecewise(3, sin(2*pi*time) > 0, 1)": lambda t: t + np.floor(t) + 2 * np.clip(t % 1, 0, 0.5),
    "piecewise(3, tan(time) > 1, 1)": lambda t: (
        t + 2 * (np.clip(t, math.pi / 4, math.pi / 2) - math.pi / 4 + np.clip(t - 1.25 * math.pi, 0, None))
    ),
    "piecewise(3, time == 2, 1)": lambda t: t,
    "piecewise(sqrt(abs(time - 1)), time > 1, 0)": lambda t: np.clip(t - 1, 0, None) ** 1.5 / 1.5,
}


@pytest.mark.parametrize("law", FORMS)
@pytest.mark.parametrize("touched", [0, 5], ids=["in peace", "often looked at"])
def test_laws_that_name_time_integrate_to_their_closed_forms(law: str, touched: float) -> None:
    times = np.array([0.0, 0.1, 1.0, 1.3, 2.0, 2.7003, 3.5, 4.0])
    text = f"substanceOnly species X; X = 0; law: => ; ({law})*(X + 1)/(X + 1); other: => X; {touched};"
    found = integrated(Run(model(text), times, None, {}, propensity_integrals=True), 2)[..., 0]
    np.testing.assert_allclose(found, [FORMS[law](times)] * 2, rtol=1e-10, atol=1e-12)


def test_a_law_that_jumps_with_the_input() -> None:
    """Up a ramp of 1 and down one of 2, past thresholds and to a knot that is one."""
    signal = Signal.sawtooth(0, 4, rise=1, fall=2, periodic=True)
    text = "substanceOnly species X; s = 1; X = 0; a: => X; piecewise(9, s > 3, 1) + floor(s) + (s == 4);"
    times = np.array([0.5, 0.9, 1.0, 2.0, 3.0, 4.0])
    found = integrated(Run(model(text), times, signal, {}, propensity_integrals=True), 1)[0, :, 0]
    above = np.interp(times, [0, 0.75, 1.5, 3, 3.75, 4], [0, 0, 0.75, 0.75, 0.75, 1.0])
    steps = np.interp(
        times,
        [0, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.25, 3.5, 3.75, 4],
        np.cumsum([0, 0, 0.25, 0.5, 0.75, 1.5, 1, 0.5, 0, 0, 0.25, 0.5, 0.75]),
    )
    np.testing.assert_allclose(found, times + 8 * above + steps, rtol=1e-10)


@pytest.mark.parametrize("top", [0.02, 1.0, 50.0])
def test_a_narrow_peak_along_a_ramp_is_found(top: float) -> None:
    """Also a low one on a high level, far from what the points of one step would see."""
    text = f"substanceOnly species X; s = 1; X = 0; a: => X; 1 + {top}*exp(-((s - 2.3)/0.01)^2);"
    run = Run(
        model(text),
        np.array([1.0]),
        Signal(np.array([0, 1.0]), np.array([0, 4.0])),
        {},
        propensity_integrals=True,
    )
    peak = top * math.sqrt(math.pi) * 0.01 / 4
    np.testing.assert_allclose(integrated(run, 1)[0, 0, 0], 1 + peak, rtol=1e-10)


def test_a_law_that_turns_too_fast_is_named() -> None:
    text = "substanceOnly species X; X = 0; fine: => X; 1; fast: => ; 1 + sin(1e10*time);"
    run = Run(model(text), np.array([0.0, 10.0]), None, {}, propensity_integrals=True)
    with pytest.raises(
        SimulationError, match=r"reaction fast: its propensity changes too fast around t=.*do w"
    ):
        run(range(1), 1, 0)


# ------------------------------------------------------------------------------------ firings against them


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("name", "trajectories"),
    [("plain", 3000), ("events", 3000), ("ramps and events", 3000), ("many driven reactions", 1500)],
)
def test_firings_less_integrals_are_a_martingale(name: str, trajectories: int, seed) -> None:
    """Of mean 0, and with a square that grows as the integral does."""
    (text, signal), s = CASES[name], seed(75)
    run = Run(model(text), TIMES[1:], signal, {}, firings=True, propensity_integrals=True)
    assert suits(run.network) is None if name == "plain" else suits(run.network)
    found, n = run(range(trajectories), s, 0), len(run.network.reactions)
    first = [c.name for c in run.columns].index("firings")
    fired, owed = found[..., first : first + n], found[..., first + n : first + 2 * n]
    active = owed.max(axis=(0, 1)) > 0
    assert active.sum() >= n - 1
    martingale, square = fired - owed, (fired - owed) ** 2 - owed
    for samples in (martingale[..., active], square[..., active]):
        assert_means(samples, np.zeros(samples.shape[1:]), samples.var(axis=0), seed=s)
    wrong = (fired - 1.1 * owed)[..., active]
    with pytest.raises(AssertionError, match="off by z"):
        assert_means(wrong, np.zeros(wrong.shape[1:]), wrong.var(axis=0), seed=s)


# ---------------------------------------------------------------------------------- identity to the last bit


@pytest.mark.parametrize("name", CASES)
def test_integrals_leave_the_trajectories_as_they_are_and_do_not_depend_on_company(name: str) -> None:
    text, signal = CASES[name]
    times = np.linspace(0, 2, 11)
    plain = Run(model(text), times, signal, {})
    run = Run(model(text), times, signal, {}, propensity_integrals=True)
    whole = run(range(12), 7, 3)
    amounts = [i for i, column in enumerate(run.columns) if column.name != "propensity_integral"]
    np.testing.assert_array_equal(whole[..., amounts], plain(range(12), 7, 3))
    for block in (range(5, 6), range(11, 12), range(5)):
        np.testing.assert_array_equal(run(block, 7, 3), whole[np.asarray(block)])
    few = Run(model(text), times[[3, 10]], signal, {}, propensity_integrals=True)
    np.testing.assert_array_equal(few(range(12), 7, 3), whole[:, [3, 10]])


def test_columns_stand_in_the_order_of_the_other_engine() -> None:
    text = EVENTS + "u := X + time;"
    run = Run(model(text), TIMES, None, {}, firings=True, propensity_integrals=True)
    names = ["X", "Y", "k", *["firings"] * 3, *["propensity_integral"] * 3, "u"]
    assert [column.name for column in run.columns] == names
    assert run.columns[6:9] == tuple(Column("propensity_integral", r, False) for r in ("up", "down", "off"))
    found = run(range(2), 1, 0)
    np.testing.assert_array_equal(found[..., 9], found[..., 0] + TIMES)


def test_ensembles_record_and_reduce_them_with_any_number_of_workers() -> None:
    how: dict[str, Any] = {"signal": TEETH, "trajectories": 40, "seed": 3, "propensity_integrals": True}
    one, two = (simulate_ssa(model(FELT), TIMES, workers=workers, **how) for workers in (1, 2))
    assert one.identical(two)
    assert one.propensity_integral.dims == ("trajectory", "time", "reaction")
    assert list(one.reaction.values)[:3] == ["flat", "line", "hill"]
    kept = simulate_ssa(model(FELT), TIMES, reduce="mean", workers=2, **how)
    mean = one.propensity_integral.mean("trajectory")
    np.testing.assert_allclose(kept.propensity_integral_mean, mean, rtol=1e-12)


def test_how_propensities_are_integrated_is_stated() -> None:
    def method(text: str, signal: Signal | None) -> str:
        return Run(model(text), TIMES, signal, {}, propensity_integrals=True).method

    assert method(RING, None).endswith("between firings; integrals of propensities in closed form")
    assert "adaptive quadrature to 1e-11 for hill, steep, lost, wave, both, down" in method(BENT, TEETH)
    assert method(BENT, TEETH.staircase(5)).endswith("1e-11 for wave, both, down")
    assert "integral" not in Run(model(RING), TIMES, None, {}).method


# ------------------------------------------------------------------------------------------ where they meet


def test_an_output_at_a_candidate_to_the_last_bit_is_passed() -> None:
    """Right after a knot bounds are so high that candidates come at the time of an output at the knot."""
    signal = Signal(np.array([0, 1.1, 1.3, 2]), np.array([0, 5, 0.5, 4.0]))
    text = "substanceOnly species X; X = 0; s = 1; made: => X; s^40/(2^40 + s^40);"
    times = np.array([0.0, 1.1, 2.0])
    found = Run(model(text), times, signal, {}, firings=True)(range(20), 1, 0)
    np.testing.assert_array_equal(found[..., 0], found[..., 1])
    assert found[:, 2].max() > 0
