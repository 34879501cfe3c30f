"""Kernels that end, against quadrature, moving averages, what they were cut from, and stretched time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chemlearn.kernels.cut import CutKernel, sine
from chemlearn.kernels.kernel import (
    ExponentialKernel,
    Kernel,
    SampledKernel,
    celani_vergassola,
    exponential,
    high_pass,
    integral_feedback,
)
from chemlearn.signal import Signal
from tests.convolution import convolved, quadrature

ONE = np.ones(1)

# Formulas written out a second time, without the package: name -> (kernel, K up to the window).
FORMULAS: dict[str, tuple[CutKernel, Callable[[np.ndarray], np.ndarray]]] = {
    "Celani-Vergassola": (
        celani_vergassola(0.05, 4.0).cut(1.0),
        lambda t: (3 * 0.05 * 16 + 64) * np.exp(-4 * t) * (t - (16 + 8 * 0.05) / (6 * 0.05 + 8) * t**2),
    ),
    "sine": (sine(0.7, 2.0), lambda t: 2 * np.sin(2 * np.pi * t / 0.7)),
    "five turns": (CutKernel(1j * ONE, 20j * ONE, np.pi / 2), lambda t: np.sin(20 * t)),
    "constant": (CutKernel(0.5 * ONE, 0 * ONE, 2.0), lambda t: 0.5 + 0 * t),
    "cubic": (CutKernel([1.0, -2.0], [0, 0], 1.5, [3, 1]), lambda t: t**3 - 2 * t),
    "hardly decaying": (CutKernel(ONE, 1e-9 * ONE, 0.8, 1), lambda t: t * np.exp(-1e-9 * t)),
    "growing": (CutKernel([1.0, 0.1], [-0.5, -9.0], 1.2), lambda t: np.exp(t / 2) + 0.1 * np.exp(9 * t)),
    "growing turns": (
        CutKernel(ONE, (-2 + 5j) * ONE, 1.1, 2),
        lambda t: t**2 * np.exp(2 * t) * np.cos(5 * t),
    ),
    "fast and slow": (
        ExponentialKernel([40.0, -0.3], [40.0, 0.3]).cut(3.0),
        lambda t: 40 * np.exp(-40 * t) - 0.3 * np.exp(-0.3 * t),
    ),
}
SIGNALS = {
    "swing": Signal.sawtooth(1.0, 3.0, rise=0.5, fall=2.0),
    "sawtooth": Signal.sawtooth(1.0, 3.0, rise=0.5, fall=2.0, periodic=True),
    "quick sawtooth": Signal.sawtooth(1.0, 3.0, rise=0.03, fall=0.08, periodic=True),
    "square": Signal.square(1.0, 2.0, first=0.5, second=0.3, periodic=True),
    "jumps and ramps": Signal(np.array([0.0, 0, 1, 1, 2]), np.array([0.0, 1, 2, 0.5, 3])),
    "late": Signal(np.array([0.0, 0.01, 0.02, 0.02]), np.array([2.0, 1, 3, 5])),
}
INSTANTS = np.array([-0.3, 0.0, 0.015, 0.25, 0.5, 1.1, 2.5, 4.9])
kernels = pytest.mark.parametrize("name", FORMULAS)
relaxed = settings(max_examples=40, deadline=None, derandomize=True)


def cut_sums() -> st.SearchStrategy[CutKernel]:
    """One to three components in a window of 1: any complex rate of size 0 or 1e-6 to 30, powers to 3."""
    component = st.tuples(
        st.floats(0.1, 3) | st.floats(-3, -0.1),
        st.just(0.0) | st.floats(-6, 1.5).map(lambda x: 10**x),
        st.sampled_from([0.0, 0.7, np.pi / 2, 2.4, np.pi]),
        st.integers(0, 3),
    )
    return st.lists(component, min_size=1, max_size=3).map(
        lambda rows: CutKernel(
            np.array([row[0] for row in rows]),
            np.array([size * np.exp(1j * angle) for _, size, angle, _ in rows]),
            1.0,
            np.array([row[3] for row in rows]),
        )
    )


def size_of(kernel: CutKernel) -> float:
    return float(np.max(np.abs(kernel(np.linspace(0, kernel.window, 200)))))


# ---- formulas, tails, moments


@kernels
def test_formulas_and_moments(name: str) -> None:
    kernel, formula = FORMULAS[name]
    lags, cuts = np.linspace(0, kernel.window, 99), np.array([0.0, kernel.window])
    scale = size_of(kernel)
    np.testing.assert_allclose(kernel(lags), formula(lags), rtol=1e-12, atol=1e-13 * scale)
    for order in range(4):
        np.testing.assert_array_equal(kernel.tail(order, kernel.window * np.array([1 + 1e-12, 2, 1e9])), 0.0)
    assert kernel.area == pytest.approx(quadrature(formula, cuts), abs=1e-13 * scale)
    moment = quadrature(lambda t: t * formula(t), cuts)
    assert kernel.first_moment == pytest.approx(moment, abs=1e-13 * scale)


@given(cut_sums())
@relaxed
def test_tails_are_integrals_of_each_other(kernel: CutKernel) -> None:
    lags = np.array([0.0, 0.3, 0.9, 1.0])
    for order in (1, 2, 3):
        integrals = [
            quadrature(lambda t, n=order - 1: kernel.tail(n, t), np.array([lag, 1.0]), 0.1) for lag in lags
        ]
        largest = np.max(np.abs(kernel.tail(order - 1, np.linspace(0, 1, 50))))
        np.testing.assert_allclose(kernel.tail(order, lags), integrals, rtol=0, atol=1e-13 * largest)


def test_area_of_a_whole_period_is_zero() -> None:
    kernel = sine()
    assert abs(kernel.area) < 1e-17
    assert kernel.first_moment == pytest.approx(-1 / 3 * 0.01 / (2 * np.pi), rel=1e-13)
    # The ten published samples and their time step.
    samples = kernel(0.01 * np.arange(10))
    np.testing.assert_allclose(samples, np.sin(2 * np.pi * np.arange(10) / 10) / 3, atol=1e-15)
    assert 0.01 * samples @ (0.01 * np.arange(10)) == pytest.approx(-5.13e-4, rel=1e-3)


# ---- the exact response


@kernels
@pytest.mark.parametrize("signal", SIGNALS)
def test_respond_is_the_convolution(name: str, signal: str) -> None:
    kernel, formula = FORMULAS[name]
    s = SIGNALS[signal]
    slow = [convolved(formula, s, t, kernel.window) for t in INSTANTS]
    np.testing.assert_allclose(kernel.respond(s, INSTANTS), slow, rtol=1e-12, atol=3e-13 * size_of(kernel))
    # From rest and for a short time, where a window that is hardly passed must not matter.
    early = INSTANTS[INSTANTS < 0.3]
    np.testing.assert_allclose(kernel.respond(s, early), slow[: len(early)], rtol=1e-12, atol=3e-13)


@kernels
@pytest.mark.parametrize("signal", SIGNALS)
def test_respond_integral_and_rate_belong_to_respond(name: str, signal: str) -> None:
    kernel, s = FORMULAS[name][0], SIGNALS[signal]
    repeats = np.arange(np.floor(-4 / s.period), np.ceil(4 / s.period)) * s.period
    knots = (np.add.outer(repeats, s.times) if s.periodic else s.times).ravel()
    bends = np.concatenate([knots, knots + kernel.window])
    scale = size_of(kernel)
    for left, right in ((-0.4, 0.2), (0.1, 0.9), (0.3, 3.7), (2.0, 2.0)):
        inside = bends[(bends > left) & (bends < right)]
        cuts = np.unique(np.concatenate([[left, right], inside]))
        slow = quadrature(lambda t: kernel.respond(s, t), cuts, 0.1) if right > left else 0.0
        assert kernel.respond_integral(s, left, right) == pytest.approx(slow, abs=3e-13 * scale)
    # Differences on both sides of instants that are away from all bends.
    t = np.array([0.013, 0.4321, 1.777])
    t, h = t[np.min(np.abs(np.subtract.outer(t, bends)), axis=1) > 1e-5], 1e-6
    difference = (kernel.respond(s, t + h) - kernel.respond(s, t - h)) / (2 * h)
    np.testing.assert_allclose(kernel.respond_rate(s, t), difference, atol=1e-6 * scale)


@pytest.mark.parametrize("turns", [0, 1, 7, 10_000, 10**6])
@pytest.mark.parametrize("rate", [0.0, 1e-13, -1e-13])
def test_a_moving_average_over_many_periods_keeps_its_digits(turns: int, rate: float) -> None:
    """u = ∫ s over the window: so many whole periods, and what is left of it; du/dt is a difference."""
    s = Signal.sawtooth(-1.0, 3.0, rise=0.25, fall=0.75, periodic=True)
    rest = 0.375
    kernel = CutKernel(ONE, rate * ONE, turns + rest)
    t = np.array([0.1, 0.25, 0.5, 0.9375])
    average = turns * s.mean + s.integral(t) - s.integral(t - rest)
    np.testing.assert_allclose(kernel.respond(s, t), average, rtol=1e-14 + (turns + 1) * abs(rate))
    tolerance = 1e-13 + 8 * (turns + 1) * abs(rate)
    np.testing.assert_allclose(kernel.respond_rate(s, t), s(t) - s(t - rest), rtol=0, atol=tolerance)


@pytest.mark.parametrize("rate", [0.0, 1e-9, 1e-9j, -1e-9])
def test_from_rest_a_long_window_is_not_felt(rate: complex) -> None:
    """A window of 1e9 and a swing of 1: u rises from rest by ∫ s, to full precision."""
    s = Signal.sawtooth(0.0, 1.0, rise=1.0, fall=1.0)
    kernel = CutKernel(ONE, rate * ONE, 1e9)
    np.testing.assert_allclose(kernel.respond(s, [0.5, 1.0, 2.0]), [0.125, 0.5, 1.0], rtol=3e-9)
    exact = CutKernel(ONE, 0 * ONE, 1e9)
    np.testing.assert_allclose(exact.respond(s, [0.5, 1.0, 2.0]), [0.125, 0.5, 1.0], rtol=1e-15)


@given(cut_sums(), st.floats(-1.5, 1.5), st.floats(0.1, 0.9))
@relaxed
def test_periodic_response_is_that_after_many_periods(kernel: CutKernel, size: float, share: float) -> None:
    """A window is passed after finitely many periods; from then on nothing is left of the start."""
    period = 10**size
    periods = int(kernel.window / period) + 2
    once, always = (
        Signal.sawtooth(1.0, 3.0, rise=share * period, fall=(1 - share) * period, **kind)
        for kind in ({"periods": periods + 1}, {"periodic": True})
    )
    t = np.linspace(0, 0.99, 13) * period
    late = kernel.respond(once, periods * period + t)
    # The sum over knots of the finite signal is the less exact of the two.
    tolerance = 1e-13 * periods * (size_of(kernel) + 1)
    np.testing.assert_allclose(kernel.respond(always, t), late, rtol=0, atol=tolerance)


@given(cut_sums(), st.floats(-2, 2), st.floats(1e-9, 1e9))
@relaxed
def test_response_does_not_depend_on_the_unit_of_time(kernel: CutKernel, size: float, unit: float) -> None:
    s = Signal.sawtooth(1.0, 3.0, rise=0.3 * 10**size, fall=0.7 * 10**size, periodic=True)
    stretched = Signal(s.times * unit, s.values, periodic=True)
    t = np.linspace(0, 0.99, 7) * s.period
    expected = kernel.respond(s, t)
    tolerance = 1e-12 * size_of(kernel)
    np.testing.assert_allclose(
        kernel.rescaled(unit).respond(stretched, t * unit), expected, rtol=1e-12, atol=tolerance
    )


# ---- cutting


@pytest.mark.parametrize(
    "kernel",
    [celani_vergassola(0.3, 5.0), integral_feedback(2.0, 1.5), high_pass(0.7), exponential(2.0)],
)
def test_cut_where_nothing_is_left_changes_nothing(kernel: ExponentialKernel) -> None:
    """Also with a window of many periods, which a sum over periods answers in place of a geometric series."""
    whole = kernel.cut(2 * kernel.duration)
    assert whole.area == pytest.approx(kernel.area, abs=1e-12)
    assert whole.first_moment == pytest.approx(kernel.first_moment, rel=1e-10)
    for s in SIGNALS.values():
        np.testing.assert_allclose(whole.respond(s, INSTANTS), kernel.respond(s, INSTANTS), atol=3e-11)


def test_cut_keeps_the_instantaneous_part() -> None:
    kernel = high_pass(0.7).cut(0.5)
    assert kernel.delta == 1.0
    assert kernel.area == pytest.approx(np.exp(-0.5 / 0.7), rel=1e-14)
    s = SIGNALS["sawtooth"]
    slow = [float(s(t)) + convolved(lambda x: -np.exp(-x / 0.7) / 0.7, s, t, 0.5) for t in INSTANTS]
    np.testing.assert_allclose(kernel.respond(s, INSTANTS), slow, rtol=1e-12)


def test_cutting_costs_the_area_and_the_moment_what_was_cut_off() -> None:
    kernel = celani_vergassola(0.05)
    rest = celani_vergassola(0.05).tail(1, 1.0)
    assert kernel.cut(1.0).area == pytest.approx(0.05 - rest, rel=1e-12)
    normal = kernel.cut(0.25).normalized()
    assert normal.first_moment == pytest.approx(-1, rel=1e-14)
    assert normal.window == 0.25


# ---- shape


def test_lobes() -> None:
    first, second = sine().lobes
    assert first.stop == second.start == pytest.approx(0.05, rel=1e-12)
    assert second.stop == pytest.approx(0.1)
    assert first.area == pytest.approx(-second.area) == pytest.approx(0.1 / 3 / np.pi, rel=1e-12)
    assert len(FORMULAS["five turns"][0].lobes) == 10


@kernels
def test_lags_show_the_whole_kernel(name: str) -> None:
    kernel = FORMULAS[name][0]
    assert kernel.lags[0] == 0
    assert kernel.lags[-1] == kernel.window == kernel.duration
    fine = np.max(np.abs(kernel(np.linspace(0, kernel.window, 5001))))
    assert np.max(np.abs(kernel(kernel.lags))) == pytest.approx(fine, rel=1e-2)
    for before, after in pairwise(kernel.lobes):
        assert before.area * after.area < 0


def test_half_time() -> None:
    """A window of a constant answers a step by a ramp."""
    assert CutKernel(0.5 * ONE, 0 * ONE, 2.0).half_time == pytest.approx(1.0, rel=1e-12)
    assert sine(1.0).half_time == pytest.approx(0.25, rel=1e-12)


# ---- stretched time


@pytest.mark.parametrize("factor", [0.2, 1.0, 30.0])
@pytest.mark.parametrize(
    "kernel",
    [
        celani_vergassola(0.3, 5.0),
        high_pass(2.0),
        integral_feedback(2.0, 1.5),
        FORMULAS["cubic"][0],
        FORMULAS["growing turns"][0],
        SampledKernel(np.linspace(0, 2, 9), np.linspace(1, -1, 9), 0.5),
    ],
)
def test_rescaled(kernel: Kernel, factor: float) -> None:
    """All lags times the factor, K divided by it: the area stays, the first moment grows."""
    slow = kernel.rescaled(factor)
    lags = np.linspace(0, 1.0, 50)
    np.testing.assert_allclose(slow(factor * lags), kernel(lags) / factor, rtol=1e-12, atol=1e-14)
    assert slow.area == pytest.approx(kernel.area, abs=1e-14)
    assert slow.first_moment == pytest.approx(factor * kernel.first_moment, rel=1e-13)
    assert slow.delta == kernel.delta
    assert slow.duration == pytest.approx(factor * kernel.duration, rel=1e-12)
    s = SIGNALS["sawtooth"]
    stretched = Signal(s.times * factor, s.values, periodic=True)
    np.testing.assert_allclose(
        slow.respond(stretched, factor * INSTANTS), kernel.respond(s, INSTANTS), rtol=1e-12, atol=1e-12
    )


def test_scaled() -> None:
    kernel = high_pass(0.7).cut(0.5)
    double = kernel.scaled(-2.0)
    lags = np.linspace(0, 0.6, 9)
    np.testing.assert_allclose(double(lags), -2 * kernel(lags), rtol=1e-14)
    assert (double.delta, double.window) == (-2.0, 0.5)


def test_bad_arguments() -> None:
    for window in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"window must be positive, got window="):
            exponential(1.0).cut(window)
    with pytest.raises(ValueError, match=r"may grow by at most e\^600 within its window, got e\^1000"):
        CutKernel(ONE, -1000 * ONE, 1.0)
    with pytest.raises(ValueError, match="one coefficient, one rate and one power"):
        CutKernel(ONE, np.ones(2), 1.0)
    with pytest.raises(ValueError, match="must be finite"):
        CutKernel(ONE, ONE * np.inf, 1.0)
    with pytest.raises(ValueError, match="powers of a kernel must be 0 or positive, got -1"):
        CutKernel(ONE, ONE, 1.0, -1)
    with pytest.raises(ValueError, match="period must be positive, got period=0"):
        sine(0.0)
    with pytest.raises(ValueError, match="factor must be positive, got factor=-1"):
        sine().rescaled(-1.0)
    with pytest.raises(ValueError, match=r"first moment is negative .* got first moment 0\.5"):
        CutKernel(ONE, 0 * ONE, 1.0).normalized()


def test_a_memory_that_does_not_decay_must_be_cut() -> None:
    """Driven periodically for ever it would have no steady state."""
    for rate in (0.0, -1.0, 3j):
        with pytest.raises(ValueError, match=r"positive real part, got .* no kernel, unless it is cut"):
            ExponentialKernel(ONE, rate * ONE)
        assert np.isfinite(CutKernel(ONE, rate * ONE, 1.0).respond(SIGNALS["sawtooth"], INSTANTS)).all()
