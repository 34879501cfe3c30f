"""Kernels against closed forms, brute-force convolution and each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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

# Formulas written out a second time, without the package: name -> (kernel, K, delta, lag where it is over).
FAST, SLOW = (3 + np.sqrt(9 - 2.4)) / 2, (3 - np.sqrt(9 - 2.4)) / 2
TURN = np.sqrt(2 * 1.5 - 1)
FORMULAS: dict[str, tuple[Kernel, Callable[[np.ndarray], np.ndarray], float, float]] = {
    "over-damped feedback": (
        integral_feedback(3.0, 0.2),
        lambda t: 3 * (FAST * np.exp(-FAST * t) - SLOW * np.exp(-SLOW * t)) / (FAST - SLOW),
        0.0,
        160.0,
    ),
    "critical feedback": (integral_feedback(4.0, 1.0), lambda t: 4 * (1 - 2 * t) * np.exp(-2 * t), 0.0, 20.0),
    "under-damped feedback": (
        integral_feedback(2.0, 1.5),
        lambda t: 2 * np.exp(-t) * (np.cos(TURN * t) - np.sin(TURN * t) / TURN),
        0.0,
        40.0,
    ),
    "high-pass": (high_pass(0.7), lambda t: -np.exp(-t / 0.7) / 0.7, 1.0, 28.0),
    "leaky": (exponential(2.0), lambda t: np.exp(-t / 2) / 2, 0.0, 80.0),
    "Celani-Vergassola, area 0.3": (
        celani_vergassola(0.3, 5.0),
        lambda t: (3 * 0.3 * 25 + 125) * np.exp(-5 * t) * (t - (25 + 10 * 0.3) / (6 * 0.3 + 10) * t**2),
        0.0,
        9.0,
    ),
}
SIGNALS = {
    "swing": Signal.sawtooth(1.0, 3.0, rise=0.5, fall=2.0),
    "sawtooth": Signal.sawtooth(1.0, 3.0, rise=0.5, fall=2.0, periodic=True),
    "square": Signal.square(1.0, 2.0, first=0.5, second=0.3, periodic=True),
    "jumps and ramps": Signal(np.array([0.0, 0, 1, 1, 2]), np.array([0.0, 1, 2, 0.5, 3])),
    "saw edge": Signal(np.array([0.0, 0.3, 0.3]), np.array([2.0, 1, 0]), periodic=True),
}
INSTANTS = np.array([-0.3, 0.0, 0.25, 0.5, 1.1, 2.5, 4.9, 7.0])
kernels = pytest.mark.parametrize("name", FORMULAS)
relaxed = settings(max_examples=40, deadline=None, derandomize=True)


def exponential_sums() -> st.SearchStrategy[ExponentialKernel]:
    """Kernels of one to four components: powers to 3, rates over three decades, some of them complex."""
    component = st.tuples(
        st.floats(0.1, 3) | st.floats(-3, -0.1),
        st.floats(0.05, 50),
        st.sampled_from([0.0, 0.0, 0.7, 4.0]),
        st.integers(0, 3),
    )
    return st.lists(component, min_size=1, max_size=4).map(
        lambda rows: ExponentialKernel(
            np.array([c * rate**p for c, rate, _, p in rows]),
            np.array([rate * (1 + 1j * turn) for _, rate, turn, _ in rows]),
            np.array([p for *_, p in rows]),
        )
    )


def periodic_signals() -> st.SearchStrategy[Signal]:
    return st.builds(
        lambda low, high, rise, fall: Signal.sawtooth(low, high, rise=rise, fall=fall, periodic=True),
        *(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.05, 5), st.floats(0.05, 5)),
    )


# ---- formulas and moments


@kernels
def test_formulas(name: str) -> None:
    kernel, formula, delta, reach = FORMULAS[name]
    lags = np.linspace(0, reach / 3, 200)
    np.testing.assert_allclose(kernel(lags), formula(lags), rtol=1e-12, atol=1e-13)
    assert kernel.delta == delta


@kernels
def test_area_and_first_moment_are_integrals(name: str) -> None:
    kernel, formula, delta, reach = FORMULAS[name]
    cuts = np.array([0.0, reach])
    assert kernel.area == pytest.approx(delta + quadrature(formula, cuts), abs=1e-13)
    assert kernel.first_moment == pytest.approx(quadrature(lambda t: t * formula(t), cuts), rel=1e-12)


@pytest.mark.parametrize("area", [-20 / 3, -1.0, 0.0, 0.05, 3.0])
def test_celani_vergassola_has_the_area_it_says_and_unit_moment(area: float) -> None:
    """F46–F48; at area −B/3 the published c has a pole, the kernel has not."""
    kernel = celani_vergassola(area, 20.0)
    assert kernel.area == pytest.approx(area, abs=1e-14)
    assert kernel.first_moment == pytest.approx(-1, rel=1e-14)


@pytest.mark.parametrize(("k_u", "k_m"), [(3.0, 0.2), (4.0, 1.0), (2.0, 1.5), (1e4, 1e-3), (1.0, 100.0)])
def test_integral_feedback_adapts(k_u: float, k_m: float) -> None:
    kernel = integral_feedback(k_u, k_m)
    assert abs(kernel.area) < 1e-14
    assert kernel.first_moment == pytest.approx(-1 / k_m, rel=1e-12)
    assert kernel(0.0) == pytest.approx(k_u, rel=1e-12)


@pytest.mark.parametrize("gap", [1e-2, 1.1e-3, 9e-4, 1e-5, 1e-8, 0.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_integral_feedback_through_critical_damping(gap: float, sign: int) -> None:
    """K in the form that has no division by the gap: e^(−at) (cosh gt − a sinh(gt)/g), for real and imaginary
    g."""
    k_u, t = 2.0, np.linspace(0, 12, 60)
    kernel = integral_feedback(k_u, (1 - sign * gap**2) / 2)
    x = sign * (gap * t) ** 2
    even = sum(x**n / np.prod(np.arange(1.0, 2 * n + 1)) for n in range(9))
    odd = sum(x**n / np.prod(np.arange(1.0, 2 * n + 2)) for n in range(9))
    np.testing.assert_allclose(kernel(t), k_u * np.exp(-t) * (even - t * odd), rtol=2e-11, atol=1e-12)


@given(exponential_sums())
@relaxed
def test_tails_are_integrals_of_each_other(kernel: ExponentialKernel) -> None:
    reach = 45 / np.min(kernel.rates.real)
    lags = np.array([0.0, 0.1, 1.0]) / np.max(kernel.rates.real)
    scale = np.max(np.abs(kernel.coefficients)) * reach
    for order in (1, 2, 3):
        for lag in lags:
            cuts = np.concatenate([[lag], lag + np.geomspace(1e-4, 1, 30) * reach])
            integral = quadrature(lambda t, n=order - 1: kernel.tail(n, t), cuts, reach)
            assert kernel.tail(order, lag) == pytest.approx(
                integral, rel=1e-9, abs=1e-11 * scale * reach**order
            )


def test_a_conjugate_pair_may_be_given_whole_or_half() -> None:
    half = ExponentialKernel(np.array([2 - 1j]), np.array([1 + 3j]))
    whole = ExponentialKernel(np.array([1 - 0.5j, 1 + 0.5j]), np.array([1 + 3j, 1 - 3j]))
    t = np.linspace(0, 5, 40)
    np.testing.assert_allclose(half(t), whole(t), atol=1e-15)
    np.testing.assert_allclose(
        half.respond(SIGNALS["sawtooth"], t), whole.respond(SIGNALS["sawtooth"], t), atol=1e-14
    )


def test_no_components_is_a_pure_delta() -> None:
    kernel = ExponentialKernel(np.zeros(0), np.zeros(0), delta=2.0)
    np.testing.assert_array_equal(kernel.respond(SIGNALS["swing"], INSTANTS), 2 * SIGNALS["swing"](INSTANTS))
    assert (kernel.area, kernel.first_moment, kernel.duration) == (2.0, 0.0, 0.0)
    assert kernel.lobes == [(0.0, 0.0, 2.0)]


# ---- the exact response


@kernels
@pytest.mark.parametrize("signal", SIGNALS)
def test_respond_is_the_convolution(name: str, signal: str) -> None:
    kernel, formula, delta, reach = FORMULAS[name]
    s = SIGNALS[signal]
    slow = [delta * float(s(t)) + convolved(formula, s, t, reach) for t in INSTANTS]
    np.testing.assert_allclose(kernel.respond(s, INSTANTS), slow, rtol=1e-11, atol=1e-12)


@kernels
@pytest.mark.parametrize("signal", SIGNALS)
def test_respond_integral_and_rate_belong_to_respond(name: str, signal: str) -> None:
    kernel, s = FORMULAS[name][0], SIGNALS[signal]
    k = np.arange(-2, 12)
    knots = (np.add.outer(k * s.period, s.times) if s.periodic else s.times).ravel()
    start, stop = np.array([-0.4, 0.1, 0.3, 2.0]), np.array([0.2, 0.9, 3.7, 2.0])
    for left, right in zip(start, stop, strict=True):
        inside = knots[(knots > left) & (knots < right)]
        cuts = np.unique(np.concatenate([[left, right], inside]))
        slow = quadrature(lambda t: kernel.respond(s, t), cuts, 0.1) if right > left else 0.0
        assert kernel.respond_integral(s, left, right) == pytest.approx(slow, rel=1e-11, abs=1e-13)
    assert kernel.respond_integral(s, start, 4.0).shape == (4,)
    t, h = np.array([0.13, 0.21, 0.77]) * s.period, 1e-5
    difference = (kernel.respond(s, t + h) - kernel.respond(s, t - h)) / (2 * h)
    np.testing.assert_allclose(kernel.respond_rate(s, t), difference, rtol=1e-7, atol=1e-7)


@given(exponential_sums(), periodic_signals())
@relaxed
def test_periodic_response_is_that_after_many_periods(kernel: ExponentialKernel, signal: Signal) -> None:
    slowest = np.min(kernel.rates.real)
    periods = min(int(45 / slowest / signal.period) + 1, 400)
    forgotten = np.exp(-slowest * periods * signal.period)
    rise = signal.times[1]
    once = Signal.sawtooth(
        *signal.values[:2], rise=rise, fall=signal.period - rise, periods=periods + 1, periodic=False
    )
    t = np.linspace(0, 0.99, 13) * signal.period
    u = kernel.respond(signal, t)
    scale = np.max(np.abs(kernel.coefficients / kernel.rates ** (kernel.powers + 1))) * 50
    late = kernel.respond(once, periods * signal.period + t)
    np.testing.assert_allclose(u, late, rtol=1e-9, atol=scale * (1e-11 + 1e3 * forgotten))


@given(exponential_sums(), periodic_signals(), st.floats(1e-9, 1e9))
@relaxed
def test_response_does_not_depend_on_the_unit_of_time(
    kernel: ExponentialKernel, signal: Signal, unit: float
) -> None:
    """Kernel and signal with all times in another unit give the same u: no hidden scale in the series."""
    other = ExponentialKernel(
        kernel.coefficients / unit ** (kernel.powers + 1), kernel.rates / unit, kernel.powers
    )
    stretched = Signal(signal.times * unit, signal.values, periodic=True)
    t = np.linspace(0, 0.99, 7) * signal.period
    scale = np.max(np.abs(kernel.coefficients / kernel.rates ** (kernel.powers + 1))) * 10
    np.testing.assert_allclose(
        other.respond(stretched, t * unit), kernel.respond(signal, t), rtol=1e-9, atol=1e-11 * scale
    )


@pytest.mark.parametrize("power", [0, 1, 2, 3])
def test_periodic_response_from_tiny_to_huge_periods(power: int) -> None:
    """One component against its own Fourier series, K̂(ω) = p!/(λ + iω)^(p+1), over sixteen decades of λT."""
    kernel = ExponentialKernel(np.array([1.0]), np.array([1.0]), np.array([power]))
    phase = np.array([0.1, 0.35, 0.8])
    n = np.arange(1, 4001)
    for period in (1e-8, 1e-5, 1e-2, 0.5, 1.9, 2.1, 10.0):
        s = Signal.sawtooth(0.0, 1.0, rise=0.25 * period, fall=0.75 * period, periodic=True)
        # Fourier coefficients of a sawtooth from its two kinks: −kink/(T ω²) e^(−iωt_k).
        omega = 2 * np.pi * n / period
        kinks = s.segments.kinks[:, None] * np.exp(-1j * omega * s.segments.starts[:, None])
        waves = (
            -kinks.sum(0)
            / (period * omega**2)
            * np.prod(np.arange(1, power + 1))
            / (1 + 1j * omega) ** (power + 1)
        )
        series = 2 * np.real(np.exp(2j * np.pi * np.outer(phase, n)) @ waves)
        ripple = kernel.respond(s, phase * period) - kernel.area * s.mean
        assert np.max(np.abs(ripple - series)) < 2e-7 * np.max(np.abs(series)) + 4e-16 * kernel.area
    # Far beyond the memory: u = I s − M₁ s' to the last digits.
    s = Signal.sawtooth(0.0, 1.0, rise=0.25e8, fall=0.75e8, periodic=True)
    t = phase * s.period
    np.testing.assert_allclose(
        kernel.respond(s, t), kernel.area * s(t) - kernel.first_moment * s.slope(t), rtol=1e-14
    )


def test_a_slow_memory_keeps_its_digits() -> None:
    """From rest, over times far shorter than the memory, u = ∫ s dt/τ to first order; differences of tails
    would be 0."""
    kernel, s = exponential(1e9), Signal.sawtooth(0.0, 1.0, rise=1.0, fall=1.0)
    t = np.array([0.5, 1.0, 2.0])
    np.testing.assert_allclose(kernel.respond(s, t), np.array([0.125, 0.5, 1.0]) / 1e9, rtol=2e-9)
    # Once periodic, u hardly moves about the mean: du/dt = (s − mean)/τ.
    periodic = Signal.sawtooth(0.0, 1.0, rise=1.0, fall=1.0, periodic=True)
    np.testing.assert_allclose(kernel.respond_rate(periodic, [0.25, 1.1]), [-0.25e-9, 0.4e-9], rtol=1e-8)
    kernel = exponential(1e5)
    moved = kernel.respond(periodic, 0.5) - kernel.respond(periodic, 0.0)
    assert moved == pytest.approx(-0.125e-5, rel=2e-5)


@kernels
def test_slow_ramp_reads_level_and_slope(name: str) -> None:
    """For s linear in time, u = I s − M₁ s' (F24); for a normalised kernel without area, u = ds/dt."""
    kernel = FORMULAS[name][0]
    ramp = Signal(np.array([0.0, 1e5]), np.array([2.0, 3.0]))
    u = kernel.respond(ramp, [9e4])
    np.testing.assert_allclose(u, kernel.area * 2.9 - kernel.first_moment * 1e-5, rtol=1e-9)
    if abs(kernel.area) < 1e-12:
        np.testing.assert_allclose(kernel.normalized().respond(ramp, [9e4]), 1e-5, rtol=1e-9)


@kernels
def test_respond_is_linear(name: str) -> None:
    kernel = FORMULAS[name][0]
    a, b = SIGNALS["swing"], SIGNALS["jumps and ramps"]
    both = Signal(
        np.array([0.0, 0, 0.5, 1, 1, 2, 2.5]),
        np.concatenate([[1.0 + 0, 1 + 1], [3 + 1.5], [a(1.0) + 2, a(1.0) + 0.5], [a(2.0) + 3], [1 + 3.0]]),
    )
    np.testing.assert_allclose(
        kernel.respond(both, INSTANTS), kernel.respond(a, INSTANTS) + kernel.respond(b, INSTANTS), atol=1e-12
    )


def test_step_response_is_the_response_to_a_step() -> None:
    for kernel, formula, delta, _ in FORMULAS.values():
        t = np.array([-1.0, 0.0, 0.3, 2.0])
        np.testing.assert_allclose(
            kernel.step_response(t), kernel.respond(Signal.step(0.0, 1.0), t), atol=1e-14
        )
        slow = [delta + quadrature(formula, np.array([0.0, at])) for at in t[2:]]
        np.testing.assert_allclose(kernel.step_response(t[2:]), slow, atol=1e-13)
        assert kernel.step_response(-1.0) == 0


# ---- sampled kernels


@kernels
def test_sampled_kernel_approaches_the_formula(name: str) -> None:
    kernel, formula, delta, reach = FORMULAS[name]
    lags = reach * np.linspace(0, 1, 3001) ** 2
    sampled = SampledKernel(lags, formula(lags), delta)
    for s in SIGNALS.values():
        np.testing.assert_allclose(sampled.respond(s, INSTANTS), kernel.respond(s, INSTANTS), atol=2e-4)
        np.testing.assert_allclose(
            sampled.respond_integral(s, 0.1, [0.9, 4.0]),
            kernel.respond_integral(s, 0.1, [0.9, 4.0]),
            atol=6e-4,
        )
    assert sampled.half_time == pytest.approx(kernel.half_time, rel=1e-3)
    assert len(sampled.lobes) == len(kernel.lobes)


def test_sampled_kernel_that_is_a_cubic_is_exact() -> None:
    """A spline through samples of a cubic is that cubic: no error but rounding is left."""
    lags = np.linspace(0, 2, 9)
    kernel = SampledKernel(lags, (2 - lags) ** 2 * (1 - lags))
    assert kernel.area == pytest.approx(4 / 3, rel=1e-13)
    assert kernel.first_moment == pytest.approx(4 / 15, rel=1e-13)
    for s in SIGNALS.values():
        slow = [convolved(lambda t: (2 - t) ** 2 * (1 - t), s, at, 2.0) for at in INSTANTS]
        np.testing.assert_allclose(kernel.respond(s, INSTANTS), slow, atol=1e-13)
    assert kernel.tail(0, 2.1) == kernel.tail(1, 2.1) == kernel.tail(3, 5.0) == 0


def test_sampled_kernel_needs_few_samples() -> None:
    kernel = SampledKernel(np.array([0.0, 1.0]), np.array([1.0, 0.0]))
    assert (kernel.area, kernel.first_moment) == pytest.approx((1 / 2, 1 / 6))


# ---- factors and refusals


@kernels
def test_normalized(name: str) -> None:
    kernel = FORMULAS[name][0]
    if name == "leaky":
        with pytest.raises(ValueError, match=r"first moment is negative .* got first moment 2"):
            kernel.normalized()
        return
    normal = kernel.normalized()
    assert normal.first_moment == pytest.approx(-1, rel=1e-14)
    assert normal.area == pytest.approx(-kernel.area / kernel.first_moment, abs=1e-14)
    assert type(normal) is type(kernel)


def test_scaled() -> None:
    for kernel in (high_pass(2.0), SampledKernel(np.arange(4.0), np.array([1.0, -1, 0, 0]), 0.5)):
        double = kernel.scaled(2.0)
        t = np.linspace(0, 2, 9)
        np.testing.assert_allclose(double(t), 2 * kernel(t), rtol=1e-14)
        assert double.delta == 2 * kernel.delta


@pytest.mark.parametrize("tau", [1e-9, 1.0])
def test_never_normalised_by_the_size_of_a_positive_moment(tau: float) -> None:
    with pytest.raises(ValueError, match="first moment is negative"):
        exponential(tau).normalized()


def test_bad_arguments() -> None:
    one = np.ones(1)
    with pytest.raises(ValueError, match=r"positive real part, got -1"):
        ExponentialKernel(one, -one)
    with pytest.raises(ValueError, match="one coefficient, one rate and one power"):
        ExponentialKernel(one, np.ones(2))
    with pytest.raises(ValueError, match="powers of a kernel must be 0 or positive, got -1"):
        ExponentialKernel(one, one, np.array([-1]))
    with pytest.raises(ValueError, match="must be finite"):
        ExponentialKernel(one * np.nan, one)
    with pytest.raises(ValueError, match="at least two lags"):
        SampledKernel(one, one)
    with pytest.raises(ValueError, match="start at 0 and increase"):
        SampledKernel(np.array([0.0, 2, 1]), np.ones(3))
    with pytest.raises(ValueError, match="k_u and k_m must be positive, got k_m=0"):
        integral_feedback(1.0, 0.0)
    with pytest.raises(ValueError, match="tau must be positive, got tau=-2"):
        exponential(-2.0)
    with pytest.raises(ValueError, match="lags must be 0 or positive, got -1"):
        exponential(1.0).tail(1, [-1.0])
    with pytest.raises(ValueError, match="order of a tail is 0, 1, 2 or 3, got 4"):
        exponential(1.0).tail(4, 0.0)
