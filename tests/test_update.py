"""Laws that every update curve obeys, the threshold rules, and updates from samples of u."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chemlearn.curves.update import (
    threshold,
    thresholded,
    trajectory_updates,
    update_curve,
    weight_update_from_samples,
)
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

ADAPTIVE: dict[str, Kernel] = {
    "Celani-Vergassola": celani_vergassola(),
    "over-damped feedback": integral_feedback(30.0, 2.0),
    "under-damped feedback": integral_feedback(8.0, 5.0),
    "critical feedback": integral_feedback(40.0, 10.0),
    "high-pass": high_pass(0.1),
}
adaptive = pytest.mark.parametrize("name", ADAPTIVE)
relaxed = settings(max_examples=20, deadline=None, derandomize=True)


# ---- laws


@adaptive
def test_a_symmetric_sawtooth_teaches_nothing(name: str) -> None:
    """Without asymmetry in time the up- and the down-swing cancel, whatever the threshold."""
    for theta in (0.0, 1.0, 7.0):
        curve = update_curve(
            ADAPTIVE[name].normalized(), [-40, 3, 10, 40], threshold=theta, rise=2, fall=2, mean=9
        )
        assert np.max(np.abs(curve.updates)) < 1e-12 * 40


@adaptive
def test_no_threshold_teaches_nothing(name: str) -> None:
    """∫u over a period is area × mean × period: without a threshold the two swings cancel at any ratio."""
    curve = update_curve(ADAPTIVE[name].normalized(), [-40, 0, 40], threshold=0.0, rise=1, fall=9, mean=9)
    assert np.max(np.abs(curve.updates)) < 1e-12 * 40
    leaky = update_curve(exponential(0.3), [-40, 0, 40], threshold=0.0, rise=1, fall=9, mean=9)
    np.testing.assert_allclose(leaky.updates, 90.0, rtol=1e-13)


timings = (st.floats(0.2, 5), st.floats(0.2, 50))


@given(st.sampled_from(sorted(ADAPTIVE)), st.floats(-100, 100), st.floats(0.1, 20), *timings)
@relaxed
def test_area_zero_does_not_see_the_mean(
    name: str, mean: float, theta: float, rise: float, fall: float
) -> None:
    kernel, amplitudes = ADAPTIVE[name].normalized(), [-30.0, 5.0, 30.0]
    plain = update_curve(kernel, amplitudes, threshold=theta, rise=rise, fall=fall)
    shifted = update_curve(kernel, amplitudes, threshold=theta, rise=rise, fall=fall, mean=mean)
    np.testing.assert_allclose(shifted.updates, plain.updates, rtol=1e-8, atol=1e-8)


@given(st.sampled_from(sorted(ADAPTIVE)), st.floats(0.1, 20), *timings)
@relaxed
def test_area_zero_is_odd(name: str, theta: float, rise: float, fall: float) -> None:
    amplitudes = np.array([2.0, 11.0, 47.0])
    curve = update_curve(
        ADAPTIVE[name].normalized(),
        np.concatenate([-amplitudes[::-1], amplitudes]),
        threshold=theta,
        rise=rise,
        fall=fall,
    )
    np.testing.assert_allclose(curve.updates[:3], -curve.updates[:2:-1], rtol=1e-9, atol=1e-9)


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.floats(-0.2, 0.2), st.floats(0.5, 10), *timings)
@relaxed
def test_scaling(factor: float, unit: float, area: float, theta: float, rise: float, fall: float) -> None:
    """Another unit of s scales A, θ, s̄ and Δw alike; another unit of time scales the lags, θ and the
    durations."""
    amplitudes, mean = np.array([-30.0, 4.0, 30.0]), 3.0
    plain = update_curve(
        celani_vergassola(area), amplitudes, threshold=theta, rise=rise, fall=fall, mean=mean
    )
    larger = update_curve(
        celani_vergassola(area),
        amplitudes * factor,
        threshold=theta * factor,
        rise=rise,
        fall=fall,
        mean=mean * factor,
    )
    np.testing.assert_allclose(larger.updates, plain.updates * factor, rtol=1e-8, atol=1e-9 * factor)
    # K(t)/unit² has M₁ = −1 in the new time; its area I/unit shrinks as the rates do.
    slower = update_curve(
        celani_vergassola(area / unit, 20 / unit),
        amplitudes,
        threshold=theta / unit,
        rise=rise * unit,
        fall=fall * unit,
        mean=mean,
    )
    np.testing.assert_allclose(slower.updates, plain.updates, rtol=1e-8, atol=1e-9)


@adaptive
def test_unnormalised_kernels_give_the_same_metrics(name: str) -> None:
    kernel = ADAPTIVE[name]
    amplitudes = np.geomspace(1, 200, 60)
    curves = [
        update_curve(
            k,
            amplitudes,
            threshold=threshold(
                "down_ramp", amplitude_max=100, rise=20, fall=200, first_moment=k.first_moment
            ),
            rise=20,
            fall=200,
        )
        for k in (kernel, kernel.normalized())
    ]
    assert curves[0].ideal_slope == pytest.approx(-kernel.first_moment)
    assert curves[1].ideal_slope == pytest.approx(1.0)
    assert curves[0].slope == pytest.approx(curves[1].slope, rel=1e-7)
    assert curves[0].dynamic_range == curves[1].dynamic_range


def test_ideal_limit() -> None:
    """F8: with the kernel fast, the rise slow and the fall slower, Δw = A between the bounds of F9 and 0
    below."""
    rise, fall = 1e4, 1e6
    theta = threshold("down_ramp", amplitude_max=100, rise=rise, fall=fall)
    amplitudes = np.array([-100.0, -50, -1.01, -0.99, 0, 0.5, 0.99, 1.01, 10, 100])
    curve = update_curve(celani_vergassola(), amplitudes, threshold=theta, rise=rise, fall=fall, mean=77.0)
    ideal = np.where(np.abs(amplitudes) >= 1, amplitudes, 0.0)
    np.testing.assert_allclose(curve.updates, ideal, atol=2e-3)
    assert curve.slope == pytest.approx(1, abs=1e-3)


@adaptive
def test_the_top_of_the_range_is_where_the_rule_puts_it(name: str) -> None:
    """At A = A_max u settles on −θ on the fall, which still counts as below (but for its ringing).

    Just above, the swings cancel.
    """
    rise, fall = 10.0, 90.0
    theta = threshold("down_ramp", amplitude_max=50, rise=rise, fall=fall)
    curve = update_curve(
        ADAPTIVE[name].normalized(), [49.9, 50.0, 51.0], threshold=theta, rise=rise, fall=fall
    )
    assert curve.updates[0] > 45
    assert curve.updates[1] == pytest.approx(curve.updates[0] * 50 / 49.9, abs=1.5)
    assert abs(curve.updates[2]) < 2


@given(st.floats(0.005, 0.05), st.floats(1, 40), st.floats(1, 5))
@relaxed
def test_area_makes_an_offset(area: float, mean: float, rise: float) -> None:
    """F10, F36: Δw ≈ A + I s̄ τ_f where the threshold lets only the rise through."""
    fall = 100 * rise
    theta = (
        1.001 * threshold("safe", kernel_area=area, amplitude_max=20, rise=rise, fall=fall, mean=mean)
        + 0.5 * 20 / rise
    )
    curve = update_curve(celani_vergassola(area), [19.0], threshold=theta, rise=rise, fall=fall, mean=mean)
    if theta < 0.8 * (19 / rise + area * (mean - 9.5)):
        lag = 0.1 * 2 * 19 / rise + 1  # the time that u takes to turn round, times its size
        assert curve.updates[0] == pytest.approx(19 + area * mean * rise, abs=lag)


def test_monotonic_kernel_learns_no_contrast() -> None:
    """The control: e^(−t/τ) has no threshold rule that makes it contrastive."""
    kernel = exponential(0.5)
    amplitudes = np.linspace(2, 100, 30)
    for rule in ("down_ramp", "geometric", "arithmetic", "eq45", "safe"):
        theta = threshold(rule, amplitude_max=50, rise=10, fall=100, mean=50, kernel_area=1, first_moment=0.5)
        curve = update_curve(kernel, amplitudes, threshold=theta, rise=10, fall=100, mean=50)
        assert np.isnan(curve.slope)
        assert curve.reason


def test_sampled_kernel_gives_the_same_curve() -> None:
    kernel = celani_vergassola(0.02)
    lags = np.linspace(0, 2.0, 2001)
    amplitudes = np.linspace(-60, 60, 13)
    arguments = {"threshold": 4.0, "rise": 1.0, "fall": 9.0, "mean": 5.0}
    exact = update_curve(kernel, amplitudes, **arguments)
    sampled = update_curve(SampledKernel(lags, kernel(lags)), amplitudes, **arguments)
    np.testing.assert_allclose(sampled.updates, exact.updates, atol=2e-5)


# ---- thresholds


def test_threshold_rules() -> None:
    """Values of the theory sheet at I = 0.05, s̄ = 25, τ = (1, 9), A_max = 100, and hand values without
    area."""
    arguments = {"amplitude_max": 100.0, "rise": 1.0, "fall": 9.0}
    skewed = {**arguments, "kernel_area": 0.05, "mean": 25.0}
    assert threshold("eq45", **skewed) == pytest.approx(7.3611111111, rel=1e-9)
    assert threshold("safe", **skewed) == pytest.approx(12.3611111111, rel=1e-9)
    assert threshold("down_ramp", **skewed) == pytest.approx(100 / 9)
    assert threshold("geometric", **arguments) == pytest.approx(100 / 3)
    assert threshold("arithmetic", **arguments) == pytest.approx((100 + 100 / 9) / 2)
    assert threshold("eq45", **arguments) == threshold("safe", **arguments) == pytest.approx(100 / 9)


@given(st.floats(-1, 1), st.floats(-50, 50), st.floats(0.1, 10), st.floats(0.1, 100))
@relaxed
def test_safe_rule_is_the_largest_u_of_the_settled_down_swing(
    area: float, mean: float, moment: float, amplitude: float
) -> None:
    arguments = {"amplitude_max": amplitude, "rise": 1.0, "fall": 9.0, "kernel_area": area, "mean": mean}
    ramp = area * (mean + amplitude * np.linspace(-0.5, 0.5, 5)) - moment * amplitude / 9
    theta = threshold("safe", **arguments, first_moment=-moment)
    assert theta == pytest.approx(max(np.max(np.abs(ramp)), abs(area * mean)), rel=1e-12)
    assert theta >= threshold("eq45", **arguments, first_moment=-moment)


def test_thresholded() -> None:
    np.testing.assert_array_equal(thresholded([-3, -2, -1, 0, 1, 2, 3], 2.0), [-3, -2, 0, 0, 0, 2, 3])


# ---- sampled u


@adaptive
def test_samples_of_u_give_the_closed_form(name: str) -> None:
    kernel, rise, fall, theta = ADAPTIVE[name].normalized(), 1.0, 9.0, 9.0
    amplitudes = np.array([-30.0, 4.0, 20.0, 30.0, 120.0])
    exact = update_curve(kernel, amplitudes, threshold=theta, rise=rise, fall=fall)
    times = np.unique(
        np.concatenate([start + np.geomspace(1e-4, 1, 1500) * length for start, length in ((0, 1), (1, 9))])
    )
    times = np.unique(np.concatenate([[0.0, rise], times]))
    saw = Signal.sawtooth(-0.5, 0.5, rise=rise, fall=fall, periodic=True)
    u = amplitudes[:, None] * kernel.respond(saw, times)
    updates = weight_update_from_samples(times, u, theta, knots=[0.0, rise, rise + fall])
    np.testing.assert_allclose(updates, exact.updates, rtol=1e-7, atol=1e-7)
    one = weight_update_from_samples(times, u[2], theta, knots=[rise])
    assert one.shape == ()
    assert one == updates[2]


def test_samples_of_cubics_are_exact() -> None:
    """A spline through samples of one cubic per piece is that cubic; so are its crossings."""
    times = np.concatenate([np.linspace(0, 1, 6), np.linspace(1, 3, 5)])
    u = np.concatenate([times[:6] ** 3, 2 - times[6:]])
    # t³ ≥ ½ from 2^(−1/3) to 1; 2 − t ≥ ½ from 1 to 1.5 and ≤ −½ from 2.5 to 3.
    by_hand = (1 - 2 ** (-4 / 3)) / 4 + (1 + 0.5) / 2 * 0.5 - (0.5 + 1) / 2 * 0.5
    assert weight_update_from_samples(times, u, 0.5) == pytest.approx(by_hand, rel=1e-14)
    assert weight_update_from_samples(times, u, 0.0) == pytest.approx(1 / 4 + 0, rel=1e-14)
    flat = weight_update_from_samples([0, 1, 2, 3], [[2.0] * 4, [-2.0] * 4, [1.0] * 4], 1.5)
    np.testing.assert_array_equal(flat, [6, -6, 0])


def test_a_kink_is_not_smoothed() -> None:
    """|t| from −1 to 1: exact with its knot, not without."""
    times = np.linspace(-1, 1, 9)
    assert weight_update_from_samples(times, np.abs(times), 0.5, knots=[0]) == pytest.approx(0.75, rel=1e-14)
    assert weight_update_from_samples(times, np.abs(times), 0.0) != pytest.approx(1.0, rel=1e-4)


def test_trajectories() -> None:
    """Trapezoid of g(u), trajectory by trajectory: noise that crosses the threshold both ways does not cancel
    first."""
    times = np.array([0.0, 1, 2, 4])
    u = np.array([[3.0, 3, 3, 3], [3, -3, 3, -3], [1, 1, 1, 1]])
    np.testing.assert_array_equal(trajectory_updates(times, u, 2.0), [12, 0, 0])
    assert trajectory_updates(times, u[None], 2.0).shape == (1, 3)


@pytest.mark.parametrize("function", [weight_update_from_samples, trajectory_updates])
def test_bad_samples(function) -> None:
    with pytest.raises(
        ValueError, match=r"one sample per time along its last axis, got shape \(2,\) for 3 times"
    ):
        function([0, 1, 2], [1.0, 2.0], 1.0)
    with pytest.raises(ValueError, match="times must not decrease"):
        function([0, 2, 1], [1.0, 2.0, 3.0], 1.0)
    with pytest.raises(ValueError, match="the threshold must be 0 or positive, got -1"):
        function([0, 1], [1.0, 2.0], -1.0)


def test_an_unsampled_knot_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the signal bends at 0\.5, where u was not sampled"):
        weight_update_from_samples([0, 1, 2], [1.0, 2.0, 3.0], 1.0, knots=[0.5, 1.0])


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="no threshold rule named 'median'; there are down_ramp, geometric"):
        threshold("median", amplitude_max=1, rise=1, fall=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="amplitude_max must be positive, got amplitude_max=-2"):
        threshold("safe", amplitude_max=-2, rise=1, fall=1)
    with pytest.raises(ValueError, match="rise and fall must be positive, got fall=0"):
        threshold("safe", amplitude_max=2, rise=1, fall=0)
    with pytest.raises(ValueError, match="rise and fall must be positive, got rise=0"):
        update_curve(high_pass(1.0), [1.0], threshold=1.0, rise=0, fall=1)
    for theta in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=f"the threshold must be 0 or positive, got {theta}"):
            update_curve(high_pass(1.0), [1.0], threshold=theta, rise=1, fall=1)
    with pytest.raises(ValueError, match="a first moment other than 0: this one has no memory"):
        update_curve(ExponentialKernel([], [], delta=1.0), [1.0], threshold=1.0, rise=1, fall=1)
    with pytest.raises(ValueError, match="mean of the signal must be finite, got inf"):
        update_curve(high_pass(1.0), [1.0], threshold=1.0, rise=1, fall=1, mean=np.inf)
    with pytest.raises(ValueError, match="amplitudes must be a list of at least one number"):
        update_curve(high_pass(1.0), [], threshold=1.0, rise=1, fall=1)
