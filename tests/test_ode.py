"""Deterministic simulation against closed forms."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from chemlearn import errors
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import simulate_ode

LINEAR = """
substanceOnly species X;
X = 4; s = 10; k = 0.5;
made: => X; s;
lost: X => ; k*X;
u := 2*s + X;
"""
K = 0.5
DRIVES = {
    "ramp": Signal(np.array([0.0, 7.0]), np.array([2.0, 30.0])),
    "sawtooth": Signal.sawtooth(1, 30, rise=0.3, fall=4, periodic=True),
    "square": Signal.square(10, 30, first=0.1, second=0.7, periodic=True),
    "jump": Signal.step(3, 8, at=2.5),
    "ramps and jumps": Signal(
        np.array([0, 1, 1, 2.5, 4, 4, 6.0]), np.array([0, 5, 20, 20, 3, 0, 9.0]), periodic=True
    ),
}


def linear() -> Model:
    return Model.load(LINEAR)


def exact(signal: Signal, times: np.ndarray, start: float, k: float = K) -> np.ndarray:
    """x' = s(t) − k x, piece by piece; without the cancellation that s/k − s'/k² has on short pieces."""
    result, x = np.full(len(times), start), start
    for piece in signal.pieces(0.0, float(times[-1])):

        def after(h: np.ndarray, x: float = x, piece=piece) -> np.ndarray:
            z = k * h
            first = -np.expm1(-z) / k
            second = np.where(z < 1e-3, h**2 * (1 / 2 - z / 6 + z**2 / 24 - z**3 / 120), (h - first) / k)
            return x * np.exp(-z) + piece.value * first + piece.slope * second

        here = (times >= piece.start) & (times <= piece.stop)
        result[here] = after(times[here] - piece.start)
        x = float(after(np.array(piece.stop - piece.start)))
    return result


def relative_error(values: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(values - truth).max() / np.abs(truth).max())


@pytest.mark.parametrize("amount", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("rate", [1e-6, 1.0, 1e6])
def test_exponential_decay_at_any_scale(amount: float, rate: float) -> None:
    model = Model.load(f"substanceOnly species A; A = {amount!r}; k = {rate!r}; A => ; k*A")
    times = np.linspace(0, 10 / rate, 21)
    values = simulate_ode(model, times).A.values
    assert relative_error(values, amount * np.exp(-rate * times)) < 1e-10
    np.testing.assert_allclose(
        values, amount * np.exp(-rate * times), rtol=1e-6
    )  # down to e^-10 of the start


@pytest.mark.parametrize("name", DRIVES)
def test_linear_model_follows_the_signal(name: str) -> None:
    signal, times = DRIVES[name], np.linspace(0, 40, 401)
    data = simulate_ode(linear(), times, signal=signal)
    assert relative_error(data.X.values, exact(signal, times, 4.0)) < 1e-9
    np.testing.assert_array_equal(data.s, signal(times))
    np.testing.assert_allclose(data.u, 2 * signal(times) + data.X, rtol=1e-12)  # right-continuous at jumps


def test_outputs_between_knots_and_exactly_at_them() -> None:
    signal = DRIVES["ramps and jumps"]
    knots = np.unique(signal.times)
    times = np.unique(np.concatenate([knots, knots[:-1] + np.diff(knots) / 3, [6.0, 7.0, 10.0]]))
    data = simulate_ode(linear(), times, signal=signal)
    assert relative_error(data.X.values, exact(signal, times, 4.0)) < 1e-9
    np.testing.assert_allclose(data.u, 2 * signal(times) + data.X, rtol=1e-12)


@pytest.mark.parametrize("end", [2.0, 2.5, 4.0, 6.0])
def test_the_last_output_may_be_a_jump(end: float) -> None:
    signal = Signal.square(10, 30, first=2, second=0.5, periodic=True)
    data = simulate_ode(linear(), np.array([1.0, end]), signal=signal)
    np.testing.assert_allclose(data.u, 2 * data.s + data.X, rtol=1e-12)


def test_time_zero_alone() -> None:
    data = simulate_ode(linear(), np.array([0.0]), signal=Signal.step(3, 8))
    assert data.X.values == [4.0]
    assert data.u.values == [20.0]
    assert simulate_ode(linear(), np.array([0.0])).u.values == [24.0]


def test_knots_that_round_to_output_times() -> None:
    """Knots summed over periods and a linspace differ in the last bits; CVODE refuses steps of that size."""
    signal = Signal.sawtooth(0, 30, rise=0.1, fall=0.2, periodic=True)
    times = np.linspace(0, 30, 301)
    late = np.array([p.start for p in signal.pieces(0, 30)])
    distance = np.abs(times[:, None] - late).min(axis=1)
    assert np.any((distance > 0) & (distance < 1e-13))  # the case is there
    data = simulate_ode(linear(), times, signal=signal)
    assert relative_error(data.X.values, exact(signal, times, 4.0)) < 1e-9


def test_times_closer_than_rounding() -> None:
    square = Signal.square(10, 30, first=0.1, second=0.1, periodic=True)
    times = np.array([0, 0.1, 0.1 + 2e-17, 0.1 + 1e-16, 0.1 + 1e-13, 0.3 - 1e-16, 0.3, 0.3 + 1e-16, 1.0])
    data = simulate_ode(linear(), np.unique(times), signal=square)
    assert relative_error(data.X.values, exact(square, np.unique(times), 4.0)) < 1e-9


@pytest.mark.parametrize("width", [1e-3, 1e-6, 1e-9])
def test_a_narrow_pulse_is_not_missed(width: float) -> None:
    pulse = Signal(np.array([0, 3, 3, 3 + width, 3 + width]), np.array([0, 0, 1 / width, 1 / width, 0]))
    model = linear().with_values(X=0)
    values = simulate_ode(model, np.array([0.0, 2.0, 5.0]), signal=pulse).X.values
    area = 1 / width * ((3 + width) - 3)  # the width itself is rounded
    tolerance = 1e-9 + width + 1e-15 / width  # and within it the engine's clock has few digits left
    np.testing.assert_allclose(values, [0, 0, area * np.exp(-K * 2)], rtol=tolerance, atol=1e-12)


def test_many_periods() -> None:
    signal = Signal.sawtooth(0, 10, rise=0.07, fall=0.31, periodic=True)
    times = np.linspace(0, 380, 39)  # a thousand periods
    data = simulate_ode(linear(), times, signal=signal)
    assert relative_error(data.X.values, exact(signal, times, 4.0)) < 1e-9


@pytest.mark.parametrize(("rise", "end"), [(1e-6, 1e-4), (3000.0, 1e5)])
def test_fast_and_slow_signals(rise: float, end: float) -> None:
    signal = Signal.sawtooth(0, 30, rise=rise, fall=5 * rise, periodic=True)
    times = np.linspace(0, end, 101)
    data = simulate_ode(linear(), times, signal=signal)
    assert relative_error(data.X.values, exact(signal, times, 4.0)) < 1e-9


def test_start_replaces_initial_amounts() -> None:
    times = np.array([0.0, 1.0])
    data = simulate_ode(linear(), times, start={"X": 50})
    np.testing.assert_allclose(data.X, [50, 20 + 30 * np.exp(-0.5)], rtol=1e-10)
    assert json.loads(data.attrs["start"]) == {"X": 50.0}
    np.testing.assert_allclose(simulate_ode(linear(), times).X[0], 4.0)  # and not the model's


def test_start_leaves_amounts_that_the_model_computes_from_others() -> None:
    """An initial amount that is written in terms of another is not computed anew."""
    model = Model.load("substanceOnly species A, B; N = 10; A = 4; B = N - A; k = 1; A => B; k*A")
    data = simulate_ode(model, np.array([0.0, 1.0]), start={"A": 7})
    np.testing.assert_allclose(data.A + data.B, 13, rtol=1e-12)


def test_start_of_unknown_species_and_of_nothing_finite() -> None:
    with pytest.raises(errors.ModelError, match="no species named 'Y' to start; 'model' has X"):
        simulate_ode(linear(), np.array([0.0, 1.0]), start={"Y": 1})
    with pytest.raises(ValueError, match="the start of 'X' must be a finite number, got nan"):
        simulate_ode(linear(), np.array([0.0, 1.0]), start={"X": float("nan")})


@pytest.mark.parametrize("times", [[-1.0, 1.0], [0.0, 0.0], [1.0, 0.5], [0.0, np.nan], [], [[0.0, 1.0]]])
def test_times_must_increase_from_zero(times: list[float]) -> None:
    with pytest.raises(ValueError, match="times must"):
        simulate_ode(linear(), np.array(times))


def test_output_need_not_begin_at_zero() -> None:
    times = np.array([3.0, 3.5, 9.0])
    signal = DRIVES["sawtooth"]
    assert (
        relative_error(simulate_ode(linear(), times, signal=signal).X.values, exact(signal, times, 4.0))
        < 1e-9
    )


def test_a_signal_needs_an_input() -> None:
    model = Model.load("substanceOnly species X; X = 4; k = 1; X => ; k*X")
    with pytest.raises(errors.ModelError, match="no constant 's' to be its input"):
        simulate_ode(model, np.array([0.0, 1.0]), signal=Signal.constant(1))


def test_growth_without_bound_names_the_time(capfd: pytest.CaptureFixture[str]) -> None:
    model = Model.load("substanceOnly species X; X = 1; k = 1; 2 X => 3 X; k*X*X")  # x = 1/(1 − t)
    with pytest.raises(errors.SimulationError, match=r"could not be solved beyond t=1 .*grow without bound"):
        simulate_ode(model, np.linspace(0, 5, 11))
    assert capfd.readouterr() == ("", "")  # the engine's own log stays off the terminal
    fine = simulate_ode(model, np.array([0.0, 0.5]))  # and the model is as good as before
    np.testing.assert_allclose(fine.X, [1, 2], rtol=1e-9)


@pytest.mark.parametrize("law", ["k/(X - X)", "k*ln(-X)", "k/0"])
def test_a_law_that_is_not_finite(law: str, capfd: pytest.CaptureFixture[str]) -> None:
    model = Model.load(f"substanceOnly species X; X = 1; k = 1; X => ; {law}")
    with pytest.raises(errors.SimulationError, match="finite"):
        simulate_ode(model, np.linspace(0, 5, 11))
    assert capfd.readouterr() == ("", "")


def test_rules_that_are_not_finite_are_named() -> None:
    model = Model.load("substanceOnly species X; X = 1; k = 1; X => ; k*X; v := ln(X - 0.5)")
    with pytest.raises(errors.SimulationError, match="'v' is not finite at t=1"):
        simulate_ode(model, np.array([0.0, 1.0]))


def test_rate_rules_of_the_maxwell_model() -> None:
    """One viscoelastic edge: u' = E s' − u E/η, jumping with the strain."""
    model = Model.load("maxwell")
    signal = Signal(np.array([0.0, 2.0, 5.0, 5.0]), np.array([1.0, 3.0, 3.0, 2.0]))
    times = np.array([0.0, 1.0, 2.0, 4.0, 5.0, 6.0])
    data = simulate_ode(model, times, signal=signal)
    u2 = 1 - np.exp(-2)
    u5 = u2 * np.exp(-3) - 1
    expected = [0, 1 - np.exp(-1), u2, u2 * np.exp(-2), u5, u5 * np.exp(-1)]
    np.testing.assert_allclose(data.u, expected, rtol=1e-9, atol=1e-11)
    assert {"eps_v", "w", "u", "s"} <= set(data.data_vars)


def test_a_volume_of_two_with_concentrations() -> None:
    """Laws read concentrations and give amount per time: A' = −k A²/V, B' = k A²/(2V), and J' = q V."""
    model = Model.load(
        """compartment V = 2; species A in V = 3, B in V = 0, C in V = 1;
        k = 0.1; q = 0.7;
        2 A => B; V*k*A*A;
        => C; q*V;
        """
    )
    times = np.linspace(0, 10, 11)
    data = simulate_ode(model, times)
    a = 6 / (1 + 2 * 0.1 * 6 / 2 * times)  # amounts: A' = −2 V k (A/V)²
    np.testing.assert_allclose(data.A, a, rtol=1e-9)
    np.testing.assert_allclose(data.B, (6 - a) / 2, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(data.C, 2 + 1.4 * times, rtol=1e-9)
    assert data.A.attrs["units"] == "molecules"
    started = simulate_ode(model, times, start={"A": 12})
    np.testing.assert_allclose(started.A, 12 / (1 + 2 * 0.1 * 12 / 2 * times), rtol=1e-9)


def test_twice_is_identical_and_leaves_the_model() -> None:
    model, times = linear(), np.linspace(0, 10, 11)
    before = (model.fingerprint, model.sbml, model.parameters, dict(model.network.initial))
    first = simulate_ode(model, times, signal=DRIVES["sawtooth"], start={"X": 7})
    simulate_ode(model, times)  # something else in between
    assert first.identical(simulate_ode(model, times, signal=DRIVES["sawtooth"], start={"X": 7}))
    assert before == (model.fingerprint, model.sbml, model.parameters, dict(model.network.initial))


@pytest.mark.parametrize("name", ["linker", "integral_feedback", "ladder", "mechanochemical"])
def test_shipped_models_agree_with_a_plain_integrator(name: str) -> None:
    """The rate equations as SciPy solves them from our own reading of the laws."""
    from scipy.integrate import solve_ivp

    model = Model.load(name)
    dynamics, times = model.dynamics, np.linspace(0, 10, 6)
    level = 1.2 * dynamics.input_value
    data = simulate_ode(model, times, signal=Signal.constant(level))
    initial = np.array([model.network.initial[v] for v in model.network.variables])
    truth = solve_ivp(
        lambda t, x: dynamics.velocity(x, level), (0, 10), initial, "LSODA", times, rtol=1e-10, atol=1e-9
    ).y
    for row, variable in zip(truth, model.network.variables, strict=True):
        np.testing.assert_allclose(data[variable], row, rtol=2e-6, atol=1e-6 * np.abs(row).max() + 1e-6)


def test_the_dataset_says_what_it_is() -> None:
    model = linear().with_values(k=0.25)
    signal = DRIVES["sawtooth"]
    data = simulate_ode(model, np.linspace(0, 10, 11), signal=signal)
    assert dict(data.sizes) == {"time": 11}
    assert set(data.data_vars) == {"X", "u", "s"}
    assert data.X.dims == data.s.dims == ("time",)
    assert data.X.attrs["units"] == "molecules"
    assert data.s.attrs["role"] == "input"
    attrs = data.attrs
    assert (attrs["kind"], attrs["engine"]) == ("ode", "roadrunner")
    assert attrs["model_text"] == LINEAR
    assert attrs["model_fingerprint"] == model.fingerprint
    assert json.loads(attrs["model_values"]) == {"k": 0.25}
    assert json.loads(attrs["parameters"])["k"] == 0.25
    assert Signal.from_dict(json.loads(attrs["signal"])).period == signal.period
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", attrs["engine_version"])
    assert attrs["relative_tolerance"] <= 1e-10
