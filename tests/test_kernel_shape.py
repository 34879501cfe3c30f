"""The shape of kernels: time scale, lobes, residual, duration."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given

from chemlearn.kernels.kernel import ExponentialKernel, Kernel, exponential, high_pass, integral_feedback
from tests.test_kernel import exponential_sums, relaxed


@pytest.mark.parametrize(
    ("kernel", "half_time"),
    [
        (exponential(2.0), 2 * np.log(2)),
        (high_pass(3.0), 3 * np.log(2)),
        (high_pass(3.0).scaled(-5.0), 3 * np.log(2)),
        # δ − ½ e^−t: the step response falls from 1 to ½ and is half-way at ln 2.
        (ExponentialKernel(np.array([-0.5]), np.array([1.0]), delta=1.0), np.log(2)),
        # ½ δ + ½ e^−t is at half of its end at once.
        (ExponentialKernel(np.array([0.5]), np.array([1.0]), delta=0.5), 0.0),
    ],
)
def test_half_time(kernel: Kernel, half_time: float) -> None:
    assert kernel.half_time == pytest.approx(half_time, rel=1e-12)


def test_half_time_of_a_pulse_counts_from_its_peak() -> None:
    """Step response k_u t e^(−at) at critical damping: peak at 1/a, half of it at x e^(1−x) = ½, x =
    2.678347."""
    kernel = integral_feedback(4.0, 1.0)
    assert kernel.half_time == pytest.approx((2.678346990016661 - 1) / 2, rel=1e-12)


def test_residual() -> None:
    assert exponential(2.0).residual == 1
    assert high_pass(2.0).residual == 0
    assert integral_feedback(3.0, 0.2).residual < 1e-14
    assert ExponentialKernel(np.array([-0.5]), np.array([1.0]), delta=1.0).residual == pytest.approx(0.5)
    nothing = ExponentialKernel(np.zeros(1), np.ones(1))
    assert np.isnan(nothing.residual)
    assert np.isnan(nothing.half_time)


def test_lobes() -> None:
    (positive, negative) = integral_feedback(4.0, 1.0).lobes
    assert positive.stop == negative.start == pytest.approx(0.5, rel=1e-12)
    assert positive.area == pytest.approx(2 / np.e, rel=1e-13)
    assert negative.area == pytest.approx(-2 / np.e, rel=1e-13)
    assert len(exponential(1.0).lobes) == 1
    assert high_pass(2.0).lobes == [(0.0, 0.0, 1.0), (0.0, high_pass(2.0).duration, -1.0)]


def test_a_delta_of_the_same_sign_joins_the_first_lobe() -> None:
    kernel = ExponentialKernel(np.array([4.0, -3.0]), np.array([2.0, 1.0]), delta=0.5)
    first, second = kernel.lobes
    assert first.start == 0
    assert first.area > 0 > second.area


@given(exponential_sums())
@relaxed
def test_lobes_alternate_and_sum_to_the_area(kernel: ExponentialKernel) -> None:
    lobes = kernel.lobes
    largest = max((abs(lobe.area) for lobe in lobes), default=0.0)
    assert sum(lobe.area for lobe in lobes) == pytest.approx(kernel.area, abs=1e-12 * (largest + 1e-300))
    for before, after in pairwise(lobes):
        assert before.area * after.area < 0
        assert before.stop == after.start
    if len(lobes) > 1:
        assert min(abs(lobe.area) for lobe in lobes) >= 1e-3 * largest


def test_small_lobes_are_noise_unless_asked_for() -> None:
    """A lobe of 1e-4 of the largest is merged into its neighbours, and its area stays in the sum."""
    kernel = ExponentialKernel(np.array([1.0, 1e-4 * (1 + 2j)]), np.array([1.0, 0.5 + 5j]))
    assert len(kernel.lobes) == 1
    assert len(kernel.lobes_above(1e-12)) > 1
    assert kernel.lobes[0].area == pytest.approx(kernel.area, rel=1e-14)


@given(exponential_sums())
@relaxed
def test_nothing_is_left_beyond_the_duration(kernel: ExponentialKernel) -> None:
    peak = np.max(np.abs(kernel(kernel.lags)), initial=0.0)
    late = kernel.duration * np.array([1.0, 1.5, 3.0])
    assert np.all(np.abs(kernel(late)) <= 1.01e-12 * peak)
