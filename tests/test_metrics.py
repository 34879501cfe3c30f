"""The fit of three segments against brute force and known lines; the published metrics by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from chemlearn.curves.curve import UpdateCurve
from chemlearn.curves.metrics import markov_range, published_range, segmented_fit
from chemlearn.curves.update import threshold, update_curve
from chemlearn.kernels.kernel import celani_vergassola, exponential

relaxed = settings(max_examples=25, deadline=None, derandomize=True)


def residual(breaks: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """Sum of squares of the best continuous line with these breaks, by its heights at breaks and ends."""
    knots = np.unique(np.clip([x[0], *breaks, x[-1]], x[0], x[-1]))
    basis = np.column_stack([np.interp(x, knots, height) for height in np.eye(len(knots))])
    return float(np.sum((y - basis @ np.linalg.lstsq(basis, y)[0]) ** 2))


def by_brute_force(x: np.ndarray, y: np.ndarray, per_interval: int = 2, polished: int = 4) -> float:
    """Least residual of all pairs of breaks on a grid, the best of them improved by a simplex search."""
    places = np.linspace(0, len(x) - 1, per_interval * (len(x) - 1) + 1)
    grid = np.interp(places, np.arange(len(x)), x)
    pairs = np.array([(a, b) for k, a in enumerate(grid) for b in grid[k:]])
    found = np.array([residual(pair, x, y) for pair in pairs])
    best = float(np.min(found))
    for k in np.argsort(found)[:polished]:
        options = {"xatol": 1e-12, "fatol": 1e-18, "maxiter": 600}
        polish = minimize(residual, pairs[k], args=(x, y), method="Nelder-Mead", options=options)
        best = min(best, float(polish.fun))
    return best


def three_lines(x: np.ndarray, breaks: tuple[float, float], heights: tuple[float, ...]) -> np.ndarray:
    return np.interp(x, [x[0], *breaks, x[-1]], heights)


def check_fit(x: np.ndarray, y: np.ndarray) -> float:
    """The fit is a continuous line of three segments with the residual it says, which is returned."""
    fit = segmented_fit(x, y)
    assert fit.breaks.shape == (2,)
    assert fit.slopes.shape == fit.intercepts.shape == (3,)
    assert x[0] <= fit.breaks[0] <= fit.breaks[1] <= x[-1]
    heights = fit.intercepts + fit.slopes * np.append(fit.breaks, np.nan)
    reached = fit.intercepts[1:] + fit.slopes[1:] * fit.breaks
    size = np.max(np.abs(y)) + np.max(np.abs(fit.slopes)) * np.max(np.abs(x))
    np.testing.assert_allclose(heights[:2], reached, rtol=0, atol=1e-12 * size)
    assert fit.residual == pytest.approx(float(np.sum((y - fit(x)) ** 2)), rel=1e-12, abs=1e-28 * size**2)
    assert residual(fit.breaks, x, y) <= fit.residual * (1 + 1e-9) + 1e-26 * size**2
    return fit.residual


# ---- the fit of three segments


@pytest.mark.parametrize("n", [4, 5, 6, 7, 9, 14, 22])
@pytest.mark.parametrize("kind", ["noise", "walk", "bend", "jump", "wave"])
def test_no_breaks_are_better(kind: str, n: int) -> None:
    rng = np.random.default_rng([n, len(kind)])
    x = np.sort(rng.uniform(0, 1, n)) if kind != "wave" else np.linspace(-3, 5, n)
    y = {
        "noise": lambda: rng.normal(size=n),
        "walk": lambda: np.cumsum(rng.normal(size=n)),
        "bend": lambda: np.maximum(x - 0.4, 0) + 0.02 * rng.normal(size=n),
        "jump": lambda: np.where(x > 0.6, x, 0) + 0.1 * rng.normal(size=n),
        "wave": lambda: np.sin(1.3 * x),
    }[kind]()
    ours, slow = check_fit(x, y), by_brute_force(x, y)
    assert ours <= slow * (1 + 1e-9) + 1e-24


@given(st.integers(0, 10**6), st.integers(20, 400))
@relaxed
def test_known_breaks_are_found(seed: int, n: int) -> None:
    """Without noise the breaks are found to 1e-9 of the range, wherever they lie between the points."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-2, 7, n))
    x = x[np.append(True, np.diff(x) > 1e-4)]
    first, second = sorted(rng.choice(np.arange(3, len(x) - 4), 2, replace=False))
    if second - first < 3:
        return
    breaks = tuple(rng.uniform(x[k], x[k + 1]) for k in (first, second))
    slopes = np.cumsum(rng.choice([-1, 1], 3) * rng.uniform(0.3, 3, 3))
    heights = np.append(0.4, 0.4 + np.cumsum(slopes * np.diff([x[0], *breaks, x[-1]])))
    fit = segmented_fit(x, three_lines(x, breaks, tuple(heights)))
    np.testing.assert_allclose(fit.breaks, breaks, rtol=0, atol=1e-9 * (x[-1] - x[0]))
    np.testing.assert_allclose(fit.slopes, slopes, rtol=1e-8, atol=1e-8)
    assert fit.residual < 1e-24 * len(x) * np.max(np.abs(heights)) ** 2


def test_breaks_at_points_are_found() -> None:
    x = np.arange(11.0)
    fit = segmented_fit(x, three_lines(x, (3.0, 7.0), (0.0, 0.0, 8.0, 6.0)))
    np.testing.assert_allclose(fit.breaks, [3, 7], atol=1e-12)
    np.testing.assert_allclose(fit.slopes, [0, 2, -2 / 3], atol=1e-12)
    np.testing.assert_allclose(fit([-3.0, 5.0, 13.0]), [0, 4, 4], atol=1e-11)


def test_a_jump_is_a_steep_segment() -> None:
    """Two lines that do not meet are joined between the two points of the jump: no residual is left."""
    x = np.linspace(0, 1, 101)
    fit = segmented_fit(x, np.where(x > 0.305, 1 + x, 0.0))
    np.testing.assert_allclose(fit.breaks, [0.30, 0.31], atol=1e-12)
    np.testing.assert_allclose(fit.slopes[[0, 2]], [0, 1], atol=1e-10)
    assert fit.residual < 1e-20


def test_one_bend_leaves_the_longest_last_segment() -> None:
    x = np.linspace(0, 1, 201)
    fit = segmented_fit(x, np.maximum(x - 0.3725, 0))
    assert fit.breaks[1] == pytest.approx(0.3725, abs=1e-9)
    assert fit.slopes[2] == pytest.approx(1.0)


def test_a_straight_line_has_no_breaks() -> None:
    x = np.linspace(1, 3, 50)
    for y in (2 * x - 1, 0 * x, 0 * x + 5):
        fit = segmented_fit(x, y)
        np.testing.assert_array_equal(fit.breaks, [1, 1])
        np.testing.assert_allclose(fit(x), y, atol=1e-14)


@given(st.integers(0, 10**6), st.floats(1e-6, 1e6), st.floats(-10, 10), st.floats(1e-6, 1e6))
@relaxed
def test_units_and_a_tilt_do_not_matter(seed: int, unit: float, tilt: float, height: float) -> None:
    """In other units of x and y, mirrored, and with a line added, it is the same fit."""
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 1, 80)
    y = three_lines(x, (0.3, 0.6), tuple(rng.normal(size=4))) + 0.05 * rng.normal(size=80)
    fit = segmented_fit(x, y)
    other = segmented_fit(unit * (x - 0.5), height * (y + tilt * x))
    np.testing.assert_allclose(other.breaks / unit + 0.5, fit.breaks, atol=1e-7)
    assert other.residual / height**2 == pytest.approx(fit.residual, rel=1e-7)
    mirrored = segmented_fit(-x[::-1], y[::-1])
    np.testing.assert_allclose(-mirrored.breaks[::-1], fit.breaks, atol=1e-9)


def test_a_curve_at_full_size() -> None:
    """500 amplitudes of a real curve: no pair of breaks near the found ones, or on a grid, is better."""
    x, y = real_curve()
    best = check_fit(x, y)
    grid = np.concatenate([np.linspace(0.005, 0.2, 40), np.linspace(0.22, 0.99, 20)])
    pairs = [np.array([b, c]) for k, b in enumerate(grid) for c in grid[k + 1 :]]
    assert best <= min(residual(pair, x, y) for pair in pairs)
    fit = segmented_fit(x, y)
    for shift in (1e-4, -1e-4):
        for which in (0, 1):
            moved = fit.breaks + shift * np.eye(2)[which]
            assert best < residual(moved, x, y)


def real_curve() -> tuple[np.ndarray, np.ndarray]:
    amplitudes = np.linspace(0, 50, 501)
    theta = threshold("down_ramp", amplitude_max=50, rise=1, fall=9)
    curve = update_curve(celani_vergassola(), amplitudes, threshold=theta, rise=1, fall=9)
    return curve.amplitudes / 50, curve.updates / 50


def test_bad_points() -> None:
    with pytest.raises(ValueError, match="at least four points, one y for each x, got 3 and 3"):
        segmented_fit([0, 1, 2], [0, 1, 2])
    with pytest.raises(ValueError, match="one y for each x, got 5 and 4"):
        segmented_fit(np.arange(5.0), np.arange(4.0))
    with pytest.raises(ValueError, match="x must increase from point to point, got 1 after 1"):
        segmented_fit([0, 1, 1, 2], np.zeros(4))
    with pytest.raises(ValueError, match="y must be finite, got nan"):
        segmented_fit(np.arange(4.0), [0, np.nan, 0, 0])


# ---- the published metrics


def curve_of(gain: np.ndarray, amplitudes: np.ndarray, ideal_slope: float = 1.0) -> UpdateCurve:
    return UpdateCurve(amplitudes, gain * ideal_slope, ideal_slope=ideal_slope)


AMPLITUDES = np.linspace(-20, 60, 401)


@pytest.mark.parametrize("ideal_slope", [1.0, 0.02])
def test_published_range_by_hand(ideal_slope: float) -> None:
    """Silent to 5, a steep rise to 7 at 6, then a line of slope 0.9: offset 1.6, range from 6 on."""
    updates = np.interp(AMPLITUDES, [-20, 5, 6, 60], [0, 0, 7, 7 + 0.9 * 54])
    curve = curve_of(updates, AMPLITUDES, ideal_slope)
    found = published_range(curve)
    assert found[:4] == pytest.approx((6.0, 60.0, 0.9, 1.6), rel=1e-9)
    assert found.reason == ""
    # Only amplitudes up to the given one count.
    below = published_range(curve, amplitude_max=40.0)
    assert below[:4] == pytest.approx((6.0, 40.0, 0.9, 1.6), rel=1e-9)


def test_published_range_is_empty_where_the_slope_is_wrong() -> None:
    for slope in (0.7, 1.3, -1.0):
        updates = np.interp(AMPLITUDES, [-20, 5, 6, 60], [0, 0, 7, 7 + slope * 54])
        found = published_range(curve_of(updates, AMPLITUDES))
        assert np.isnan(found[:4]).all()
        assert found.reason == f"the third segment of the fit has slope {slope:g}, outside 0.75 to 1.25"


def test_markov_range_by_hand() -> None:
    """From the first amplitude with Δw above 0.05 of the largest: 3 of 60; then one line to the end."""
    updates = np.where(AMPLITUDES > 9.9, 0.8 * AMPLITUDES + 3, 0.0)
    for ideal_slope in (1.0, 30.0):
        found = markov_range(curve_of(updates, AMPLITUDES, ideal_slope))
        assert found[:4] == pytest.approx((10.0, 60.0, 0.8, 3.0), rel=1e-9)
    # With another largest amplitude the same Δw may count or not.
    small = np.where(AMPLITUDES > 9.9, 0.1 * AMPLITUDES + 1, 0.0)
    assert markov_range(curve_of(small, AMPLITUDES)).amplitude_min == pytest.approx(20.2)
    assert markov_range(curve_of(small, AMPLITUDES), 30.0)[:4] == pytest.approx((10.0, 30.0, 0.1, 1.0))


def test_markov_line_is_the_least_squares_line() -> None:
    rng = np.random.default_rng(4)
    updates = np.where(AMPLITUDES > 10, AMPLITUDES + rng.normal(size=401), 0.0)
    found = markov_range(curve_of(updates, AMPLITUDES))
    inside = found.amplitude_min <= AMPLITUDES
    basis = np.column_stack([AMPLITUDES[inside], np.ones(inside.sum())])
    np.testing.assert_allclose(found[2:4], np.linalg.lstsq(basis, updates[inside])[0], rtol=1e-10)


def test_no_range_has_a_reason() -> None:
    silent = curve_of(0 * AMPLITUDES, AMPLITUDES)
    assert "slope 0, outside" in published_range(silent).reason
    assert "no amplitude changes the weight by more than 0.05" in markov_range(silent).reason
    last = curve_of(np.where(AMPLITUDES > 59.9, 60.0, 0.0), AMPLITUDES)
    assert "only the largest amplitude" in markov_range(last).reason
    backwards = curve_of(np.zeros(3), np.array([-3.0, -2.0, -1.0]))
    assert "fewer than four amplitudes from 0 up" in published_range(backwards).reason
    assert np.isnan(markov_range(backwards)[:4]).all()
    for metric in (published_range, markov_range):
        with pytest.raises(ValueError, match="amplitude_max must be positive, got amplitude_max=-1"):
            metric(silent, -1.0)


def test_published_range_of_a_real_curve() -> None:
    """F9: A_max/A_min ≤ τ_s/τ_f, and nearly that much where the kernel is fast."""
    rise, fall, top = 2.0, 40.0, 100.0
    theta = threshold("down_ramp", amplitude_max=top, rise=rise, fall=fall)
    curve = update_curve(celani_vergassola(), np.linspace(0, top, 501), threshold=theta, rise=rise, fall=fall)
    found = published_range(curve)
    assert found.amplitude_max == pytest.approx(top)
    assert 0.8 * fall / rise < found.amplitude_max / found.amplitude_min < fall / rise
    assert found.slope == pytest.approx(1, abs=0.05)
    assert abs(found.offset) < 0.02 * top


def test_a_leaky_average_has_no_published_range() -> None:
    theta = threshold("down_ramp", amplitude_max=50, rise=1, fall=9, first_moment=0.5)
    curve = update_curve(exponential(0.5), np.linspace(0, 50, 201), threshold=theta, rise=1, fall=9)
    assert np.isnan(published_range(curve).slope)


def test_an_area_offsets_the_markov_line() -> None:
    """F10: with area I the line is shifted by about I s̄ τ_f."""
    area, mean, rise, fall, top = 0.05, 25.0, 2.0, 60.0, 50.0
    theta = threshold("down_ramp", amplitude_max=top, rise=rise, fall=fall) + area * (mean + top / 2)
    amplitudes = np.linspace(0, top, 501)
    curve = update_curve(
        celani_vergassola(area), amplitudes, threshold=theta, rise=rise, fall=fall, mean=mean
    )
    assert markov_range(curve).offset == pytest.approx(area * mean * rise, rel=0.2)
