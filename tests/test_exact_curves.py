"""Update curves against reference values, brute force on a grid, and one amplitude at a time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq

from chemlearn.curves.update import threshold, update_curve
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
from tests.test_update import ADAPTIVE, adaptive


def on_a_grid(kernel: Kernel, signal: Signal, theta: float, points: int = 100_001) -> float:
    """Δw by the midpoint rule on a fine grid: slow, and as good as its step."""
    edges = np.linspace(0, signal.period, points)
    u = kernel.respond(signal, (edges[1:] + edges[:-1]) / 2)
    return float(np.sum(np.where(np.abs(u) >= theta, u, 0.0)) * edges[1])


@pytest.fixture(scope="module")
def reference(shared: Path) -> dict:
    return json.loads((shared / "reference" / "synapse.json").read_text())


# ---- published and exact values


@pytest.mark.parametrize("column", ["exact", "exact_kernel_cut_at_1"])
def test_reference_updates(reference: dict, column: str) -> None:
    """Every exact value of the reference to 1e-11, for the whole kernel and as published, cut at 1."""
    for row in reference["updates"]:
        kernel = celani_vergassola(row["I"])
        curve = update_curve(
            kernel if column == "exact" else kernel.cut(1.0),
            [row["A"]],
            threshold=row["theta"],
            rise=row["t1"],
            fall=row["t2"],
            mean=row["mean"],
        )
        assert curve.updates[0] == pytest.approx(row[column], rel=1e-11, abs=0), row


def test_what_a_grid_costs(reference: dict) -> None:
    """The reference's values from a grid are no targets; their distance from the exact ones is understood.

    With steps dt = 1e-4 each of up to four crossings of the threshold is off by up to a step, which changes
    Δw by θ dt. And the sum over the kernel is a trapezoidal rule, whose area is off by dt² K'(0)/12: that
    adds this much of the mean at all times.
    """
    dt = 1e-4
    for row in reference["updates"]:
        area, amplitude = row["I"], row["A"]
        slope = 3 * area * 20**2 + 20**3
        level = dt**2 / 12 * slope * (abs(row["mean"]) + amplitude / 2)
        bound = 4 * row["theta"] * dt + level * (row["t1"] + row["t2"])
        assert abs(row["grid_dt_1e-4"] - row["exact_kernel_cut_at_1"]) <= bound, row


def test_reference_thresholds(reference: dict) -> None:
    for row in reference["updates"]:
        theta = threshold(
            "eq45",
            kernel_area=row["I"],
            amplitude_max=row["Amax"],
            rise=row["t1"],
            fall=row["t2"],
            mean=row["mean"],
        )
        assert theta == pytest.approx(row["theta"], rel=1e-14), row


def test_reference_figure8(reference: dict) -> None:
    """F Fig. 8: a period of 20 and A = 20; the second slope of its threshold is A over the period, not over
    the fall."""
    for row in reference["figure8"]:
        rise, period, amplitude = row["t"], 20.0, 20.0
        assert row["theta"] == (amplitude / rise + amplitude / period) / 2
        curve = update_curve(
            celani_vergassola(), [amplitude], threshold=row["theta"], rise=rise, fall=period - rise
        )
        assert curve.updates[0] / amplitude == pytest.approx(row["exact"], rel=1e-9)


@pytest.mark.parametrize("area", [0.0, 0.05])
@adaptive
def test_against_a_grid(name: str, area: float) -> None:
    kernel = celani_vergassola(area) if name == "Celani-Vergassola" else ADAPTIVE[name].normalized()
    rise, fall, mean = 1.0, 7.0, 4.0
    theta = threshold("geometric", amplitude_max=20, rise=rise, fall=fall)
    amplitudes = np.array([-20.0, 12, 60])
    curve = update_curve(kernel, amplitudes, threshold=theta, rise=rise, fall=fall, mean=mean)
    for amplitude, update in zip(amplitudes, curve.updates, strict=True):
        signal = Signal.sawtooth(
            mean - amplitude / 2, mean + amplitude / 2, rise=rise, fall=fall, periodic=True
        )
        # Each crossing of a threshold costs the grid up to half a step of u.
        tolerance = 8 * np.max(np.abs(kernel.respond(signal, np.linspace(0, 8, 999)))) * signal.period / 1e5
        assert update == pytest.approx(on_a_grid(kernel, signal, theta), abs=tolerance)


def one_by_one(
    kernel: Kernel, amplitude: float, theta: float, rise: float, fall: float, mean: float
) -> tuple[float, float]:
    """Δw and ∫|g(u)| dt of one amplitude: crossings by bisection of the exact u, found on a fine grid."""
    saw = Signal.sawtooth(mean - amplitude / 2, mean + amplitude / 2, rise=rise, fall=fall, periodic=True)
    seams = np.mod(np.add.outer([0.0, rise], np.append(0.0, kernel.seams)).ravel(), saw.period)
    steps = np.concatenate([np.geomspace(1e-9, 1, 700), np.linspace(0, 1, 3000)]) * saw.period
    grid = np.unique(np.mod(np.add.outer(seams, steps).ravel(), saw.period))
    grid = np.append(grid, saw.period)
    u = kernel.respond(saw, grid)
    cuts = [0.0, rise, saw.period]
    for goal in (theta, -theta):
        for k in np.flatnonzero((u[1:] < goal) != (u[:-1] < goal)):
            if u[k] != goal:
                edges = (grid[k], grid[k + 1])
                cuts.append(
                    brentq(
                        lambda t, g=goal: float(kernel.respond(saw, t)) - g, *edges, xtol=1e-300, rtol=1e-15
                    )
                )
    cuts = np.unique(cuts)
    loud = np.abs(kernel.respond(saw, (cuts[1:] + cuts[:-1]) / 2)) >= theta
    parts = kernel.respond_integral(saw, cuts[:-1], cuts[1:]) * loud
    return float(parts.sum()), float(np.abs(parts).sum())


TWINS: dict[str, Kernel] = {
    **ADAPTIVE,
    "area": celani_vergassola(0.3, 8.0),
    "leaky": exponential(3.0),
    "very slow": exponential(1e7).scaled(1e7),
    "very fast": celani_vergassola(0.01, 3e4),
    "cut": celani_vergassola(0.05, 3.0).cut(0.7),
    "longer than the period": CutKernel([1.0, -1.0], [0.05, 0.3], 25.0),
    "sine": sine(0.8, 2.0),
    "box": CutKernel([1.0], [0.0], 0.3, delta=-0.5),
    "many scales": ExponentialKernel([300.0, -20.0, 1.0], [300.0, 20.0, 0.5], delta=-0.3),
    "sampled": SampledKernel(np.linspace(0, 2, 9), np.cos(2 * np.linspace(0, 2, 9)), 0.2),
}


@pytest.mark.parametrize("mean", [0.0, 7.0])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.95])
@pytest.mark.parametrize("name", TWINS)
def test_against_one_amplitude_at_a_time(name: str, share: float, mean: float) -> None:
    """The curve and its slow twin agree to rounding, for thresholds from 0 to nearly the largest u.

    A crossing is as uncertain as u in units of its slope, and shifts Δw by θ times that.
    """
    kernel, rise, fall = TWINS[name], 1.3, 7.1
    amplitudes = np.array([-20.0, -3.0, 1.0, 9.0, 20.0])
    saw = Signal.sawtooth(mean - 10, mean + 10, rise=rise, fall=fall, periodic=True)
    theta = share * float(np.max(np.abs(kernel.respond(saw, np.linspace(0, saw.period, 999)))))
    curve = update_curve(kernel, amplitudes, threshold=theta, rise=rise, fall=fall, mean=mean)
    for amplitude, update in zip(amplitudes, curve.updates, strict=True):
        slow, size = one_by_one(kernel, amplitude, theta, rise, fall, mean)
        assert update == pytest.approx(slow, rel=0, abs=1e-12 * (size + theta * saw.period))


@pytest.mark.parametrize("name", ["high-pass", "Celani-Vergassola", "over-damped feedback"])
def test_a_plateau_on_the_threshold_is_silent(name: str) -> None:
    """On a long fall u settles on −θ: it counts as below for A = A_max, as above for the least bit more.

    Where it counts, the twin with a threshold that is lower by twice the margin agrees.
    """
    kernel, rise, fall, top = ADAPTIVE[name].normalized(), 30.0, 270.0, 50.0
    theta = threshold("down_ramp", amplitude_max=top, rise=rise, fall=fall)
    curve = update_curve(kernel, [top, top * (1 + 1e-9)], threshold=theta, rise=rise, fall=fall)
    assert curve.updates[0] == pytest.approx(top, rel=0.03)
    assert abs(curve.updates[1]) < 0.05 * top
    slow, size = one_by_one(kernel, top * (1 + 1e-9), theta, rise, fall, 0.0)
    assert curve.updates[1] == pytest.approx(slow, abs=1e-7 * size)


def test_a_swing_that_is_loud_only_in_its_middle() -> None:
    """A ringing kernel passes θ in the middle of each swing and is below it at both ends: extrema must be
    found."""
    kernel, rise, fall, amplitude = integral_feedback(8.0, 5.0).normalized(), 4.0, 8.0, 10.0
    theta = 1.03 * amplitude / rise
    signal = Signal.sawtooth(0.0, amplitude, rise=rise, fall=fall, periodic=True)
    ends = kernel.respond(signal, [0.0, rise])
    assert np.all(np.abs(ends) < theta)
    update = update_curve(kernel, [amplitude], threshold=theta, rise=rise, fall=fall).updates[0]
    assert update > 1.0
    assert update == pytest.approx(on_a_grid(kernel, signal, theta), abs=1e-3)


def test_high_pass_by_hand() -> None:
    """High-pass, single exponential: u, its crossings and Δw written out."""
    tau, rise, fall, amplitude, theta = 0.1, 1.0, 9.0, 10.0, 0.4
    top, bottom = tau * amplitude / rise, -tau * amplitude / fall
    # u relaxes to `top` on the rise, to `bottom` on the fall: periodic after u(0) = x.
    shrink_up, shrink_down = np.exp(-rise / tau), np.exp(-fall / tau)
    start = (bottom + (top - bottom - top * shrink_up) * shrink_down) / (1 - shrink_up * shrink_down)
    peak = top + (start - top) * shrink_up
    t_up = tau * np.log((top - start) / (top - theta))
    t_down = tau * np.log((peak - bottom) / (theta - bottom))
    by_hand = top * (rise - t_up) - tau * (peak - theta) + bottom * t_down + tau * (peak - theta)
    curve = update_curve(high_pass(tau), [amplitude], threshold=theta, rise=rise, fall=fall)
    assert curve.updates[0] == pytest.approx(by_hand, rel=1e-13)
