"""The update curve as a value, and the linear range that is read off its gains."""

from __future__ import annotations

import numpy as np
import pytest

from chemlearn.curves.curve import UpdateCurve, linear_range


def line(low: float = 1.0, high: float = 100.0, slope: float = 0.95, offset: float = 0.3) -> UpdateCurve:
    """Follows a line from low to high, silent below, cancelled above."""
    amplitudes = np.arange(-120.0, 121.0)
    size = np.abs(amplitudes)
    updates = np.where((size >= low) & (size <= high), slope * amplitudes + offset, 0.0)
    return UpdateCurve(amplitudes, updates, threshold=2.0, label="line")


def test_metrics_of_a_line() -> None:
    curve = line(5.0, 80.0)
    assert curve.slope == pytest.approx(0.95, rel=1e-12)
    assert curve.offset == pytest.approx(0.3, rel=1e-9)
    assert curve.dynamic_range == (5.0, 80.0)
    assert curve.reason == ""
    doubled = UpdateCurve(curve.amplitudes, 2 * curve.updates, ideal_slope=2.0)
    assert (doubled.slope, doubled.offset) == pytest.approx((0.95, 0.3))
    negative = linear_range(curve, sign=-1)
    assert negative[:2] == (-5.0, -80.0)
    assert negative[2:4] == pytest.approx((0.95, 0.3))


def test_the_widest_run_counts() -> None:
    amplitudes = np.arange(1.0, 41.0)
    updates = np.where((amplitudes < 4) | (amplitudes > 20), amplitudes, 0.0)
    # 1…3 is a ratio of 3, 21…40 one of less than 2.
    assert UpdateCurve(amplitudes, updates).dynamic_range == (1.0, 3.0)


@pytest.mark.parametrize(
    ("amplitudes", "gain", "reason"),
    [
        ([1, 2, 3], 0.0, "no positive amplitude changes the weight"),
        ([1, 2, 3], 0.5, "no positive amplitude has a gain inside 0.75 to 1.25; the closest is 0.5"),
        ([1, 2, 3], -1.0, "the closest is -1"),
        ([-3, -2, -1], 1.0, "fewer than three positive amplitudes"),
        ([1, 2], 1.0, "fewer than three positive amplitudes"),
    ],
)
def test_no_linear_range_has_a_reason(amplitudes: list[float], gain: float, reason: str) -> None:
    curve = UpdateCurve(np.array(amplitudes), gain * np.array(amplitudes, float))
    assert np.isnan([curve.slope, curve.offset, *curve.dynamic_range]).all()
    assert reason in curve.reason


def test_too_short_a_range_has_a_reason() -> None:
    curve = UpdateCurve(np.arange(1.0, 6), np.array([0, 2.0, 3.0, 0, 0]))
    assert np.isnan(curve.slope)
    assert "fewer than three neighbouring positive amplitudes" in curve.reason


def test_curve_is_a_sorted_read_only_value() -> None:
    curve = UpdateCurve(np.array([2.0, -1, 1]), np.array([20.0, -10, 10]), np.array([2.0, 1, 3]))
    np.testing.assert_array_equal(curve.amplitudes, [-1, 1, 2])
    np.testing.assert_array_equal(curve.updates, [-10, 10, 20])
    np.testing.assert_array_equal(curve.errors, [1, 3, 2])
    np.testing.assert_array_equal(curve([-1, 0, 1.5, 2]), [-10, 0, 15, 20])
    with pytest.raises(ValueError, match="read-only"):
        curve.updates[0] = 1
    assert repr(line()) == "UpdateCurve('line', 241 amplitudes from -120 to 120)"


@pytest.mark.parametrize("amplitude", [-1.5, 2.1, np.nan])
def test_outside_the_curve_is_refused(amplitude: float) -> None:
    curve = UpdateCurve(np.array([-1.0, 2.0]), np.zeros(2))
    with pytest.raises(ValueError, match="known for amplitudes from -1 to 2, got"):
        curve([0.0, amplitude])


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="updates of an update curve must be one per amplitude, got 1 for 2"):
        UpdateCurve(np.arange(2.0), np.zeros(1))
    with pytest.raises(ValueError, match="may be given once"):
        UpdateCurve(np.ones(2), np.zeros(2))
    with pytest.raises(ValueError, match="updates must be finite, got nan"):
        UpdateCurve(np.arange(2.0), np.array([0, np.nan]))
    with pytest.raises(ValueError, match="ideal_slope must be positive, got ideal_slope=0"):
        UpdateCurve(np.arange(2.0), np.zeros(2), ideal_slope=0.0)
    with pytest.raises(ValueError, match="sign must be 1 or -1, got 0"):
        linear_range(line(), sign=0)
