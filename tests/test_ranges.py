"""Which parameters are below, in and above the dynamic range, against a literal twin and closed forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from chemlearn.kernels.kernel import celani_vergassola
from chemlearn.learning.layered import LayeredNetwork
from chemlearn.learning.ranges import RangeShares, range_shares, swings
from chemlearn.learning.responses import GridKernel, Sawtooth
from chemlearn.learning.rules import Temporal
from chemlearn.learning.substrate import Stack, as_ramp
from tests import literal_learning as literal

DTYPES = ("float32", "float64")
SIZES = (14, 9, 3)
THRESHOLDS = {"W1": 3e-5, "b1": 1.5e-4, "W2": 1e-4, "b2": 1e-3}
PUBLISHED = Temporal.falk2023()
RULE = replace(PUBLISHED, thresholds=THRESHOLDS)


# --- the twin: one parameter, one instant, one lag at a time


def course(values: np.ndarray, rise: float, samples: int = 100) -> np.ndarray:
    """The sampled signal of one parameter over a period of 1."""
    knots = len(values)
    times = np.append(np.linspace(0, rise, knots), np.linspace(rise, 1, knots)[1:])
    return np.interp(np.arange(samples) / samples, times, np.append(values, values[-2::-1]))


def answers(values: np.ndarray, rise: float = 0.1, kernel: np.ndarray | None = None) -> np.ndarray:
    """u at all instants, and its parts that stem from the changes on the rise and on the fall, (3, 100)."""
    kernel = np.sin(2 * np.pi * np.arange(10) / 10) / 300 if kernel is None else kernel
    s = course(values, rise)
    after_step = np.cumsum(kernel)
    u, risen, fallen = np.zeros((3, 100))
    for j in range(100):
        for lag in range(len(kernel)):
            i = (j - lag) % 100
            u[j] += kernel[lag] * s[i]
            part = risen if 0 < i <= round(100 * rise) else fallen
            part[j] += after_step[lag] * (s[i] - s[i - 1])
    return np.array([u, risen, fallen])


def kind(values: np.ndarray, threshold: float, by_the_clock: bool = False) -> int:
    """0 silent, 1 below, 2 within, 3 above; an instant is of the swing with the larger part in its u."""
    if (values == values[0]).all():
        return 0
    u, risen, fallen = answers(values)
    fast = np.arange(100) <= 10 if by_the_clock else np.abs(risen) > np.abs(fallen)
    passes = np.abs(u) >= threshold
    return 3 if (passes & ~fast).any() else 2 if passes.any() else 1


def shares(stack: np.ndarray, threshold: float, **how: bool) -> RangeShares:
    flat = stack.reshape(len(stack), -1)
    kinds = [kind(flat[:, place], threshold, **how) for place in range(flat.shape[1])]
    return RangeShares(*(np.bincount(kinds, minlength=4) / len(kinds)).tolist())


def ramp_of_a_network(rng: np.random.Generator, dtype: str = "float64") -> dict:
    """A ramp of a few examples with dark pixels, large weights and an output on its target."""
    network = LayeredNetwork(SIZES, dtype)
    params = {name: 2 * values for name, values in network.init(rng).items()}
    params["b1"][:2] = -9  # two units that nothing moves
    x = rng.random((4, SIZES[0]))
    x[:, :3] = 0
    return network.swing(params, x, np.eye(3)[rng.integers(3, size=4)], 0.5)[1]


def test_the_twin_is_a_sum_of_its_parts_and_is_the_oracle_s(seed: Callable[[int], int]) -> None:
    values = np.random.default_rng(seed(1)).normal(size=9)
    u, risen, fallen = answers(values)
    assert risen + fallen == pytest.approx(u, abs=1e-15)
    assert np.where(np.abs(u) < 1e-3, 0, u).mean() == pytest.approx(literal.update(values, 1e-3), abs=1e-15)


def test_shares_of_a_network_are_those_of_the_twin(seed: Callable[[int], int]) -> None:
    rng = np.random.default_rng(seed(2))
    seen = np.zeros((2, 4))
    for _ in range(4):
        ramp = ramp_of_a_network(rng)
        found = range_shares(RULE, ramp)
        assert found.keys() == ramp.keys()
        for name, group in ramp.items():
            stack = group.stack() if hasattr(group, "stack") else group.values  # type: ignore[attr-defined]
            expected = shares(stack, THRESHOLDS[name])
            assert found[name] == pytest.approx(expected, abs=1e-12), name
            assert sum(found[name]) == pytest.approx(1, abs=1e-12)
            seen[0] += expected
            seen[1] += shares(stack, THRESHOLDS[name], by_the_clock=True)
    assert (seen[0] > 0.1).all()  # every kind is among them
    assert abs(seen[1] - seen[0]).max() > 1  # the clock is the wrong judge, and is told apart


def test_half_the_digits_of_numbers_change_no_more_than_ties(seed: Callable[[int], int]) -> None:
    start = seed(7)
    for number in range(start, start + 4):
        half, whole = (ramp_of_a_network(np.random.default_rng(number), kind) for kind in DTYPES)
        higher, lower = (
            range_shares(replace(RULE, thresholds={k: v * wide for k, v in THRESHOLDS.items()}), whole)
            for wide in (1 + 1e-3, 1 - 1e-3)
        )
        for name, found in range_shares(RULE, half).items():
            bounds = (loud(shares) for shares in (higher[name], found, lower[name]))
            for least, share, most in zip(*bounds, strict=True):
                assert least - 1e-12 <= share <= most + 1e-12, name


def loud(found: RangeShares) -> tuple[float, float]:
    """Shares that grow as the threshold falls: of what it lets through, and of what it lets through twice."""
    return found.within + found.above, found.above


def test_weights_of_dark_pixels_and_of_units_at_rest_are_silent(seed: Callable[[int], int]) -> None:
    found = range_shares(RULE, ramp_of_a_network(np.random.default_rng(seed(3))))
    inputs, hidden = SIZES[:2]
    assert found["b1"].silent >= 2 / hidden
    assert found["W1"].silent >= 1 - (inputs - 3) * (hidden - 2) / (inputs * hidden) - 1e-12


# --- straight ramps: where the range begins and ends


def one(rule: Temporal, values: np.ndarray) -> str:
    """The kind of a single parameter."""
    found = range_shares(rule, {"W1": Stack(values[:, None])})["W1"]
    assert sorted(found) == [0, 0, 0, 1]
    return found._fields[int(np.argmax(found))]


@pytest.mark.parametrize("knots", [2, 9])
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_published_range_is_that_of_theory(knots: int, sign: int) -> None:
    moment = sum(k * np.sin(2 * np.pi * k / 10) / 3 for k in range(10)) * 1e-4
    low, high = (1.2e-6 * duration / abs(moment) for duration in (0.1, 0.9))
    assert (low, high) == (pytest.approx(2.34e-4, rel=2e-3), pytest.approx(2.11e-3, rel=3e-3))
    for amplitude, expected in (
        (0, "silent"),
        (low * (1 - 1e-9), "below"),
        (low * (1 + 1e-9), "within"),
        (high * (1 - 1e-9), "within"),
        (high * (1 + 1e-9), "above"),
    ):
        assert one(PUBLISHED, 0.4 + sign * amplitude * np.linspace(0, 1, knots)) == expected, amplitude


def test_the_range_of_any_kernel_that_settles_is_the_ratio_of_the_durations() -> None:
    kernel = celani_vergassola(rate=200.0)
    rule = Temporal(kernel, 1.0, 2.0, Sawtooth(0.2, 0.8, 200))
    ramp = np.linspace(0, 1, 5)
    kinds = [one(rule, amplitude * ramp) for amplitude in (0.399, 0.401, 1.599, 1.601)]
    assert kinds == ["below", "within", "within", "above"]
    turned = replace(rule, sawtooth=Sawtooth(0.8, 0.2, 200))
    assert [one(turned, amplitude * ramp) for amplitude in (0.399, 0.401, 1.599, 1.601)] == kinds


def test_a_symmetric_sawtooth_has_no_range(seed: Callable[[int], int]) -> None:
    rule = replace(Temporal.falk2023(fall=0.5), thresholds=THRESHOLDS)
    rng = np.random.default_rng(seed(4))
    found = [range_shares(rule, ramp_of_a_network(rng)) for _ in range(6)]
    assert {kinds.within for ramp in found for kinds in ramp.values()} == {0}
    assert max(ramp["W1"].above for ramp in found) > 0.05


def test_a_curved_signal_may_pass_only_on_the_slow_swing() -> None:
    """Ups and downs that average out within the kernel while the nudge rises."""
    values = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0.0])
    u = np.abs(answers(values)[0])
    fast, slow = u[3:18].max(), u[18:].max()
    assert fast < 0.95 * slow
    assert one(PUBLISHED, 1.2e-6 / np.sqrt(fast * slow) * values) == "above"


# --- what else a rule may bring


def test_with_an_area_the_level_counts_too(seed: Callable[[int], int]) -> None:
    kernel = np.sin(2 * np.pi * np.arange(10) / 10) / 3 + 0.02
    rule = Temporal(GridKernel(kernel, 0.01), 1.0, 2e-3)
    rng = np.random.default_rng(seed(5))
    stack = 0.5 * rng.random(80) + 0.1 * rng.normal(size=(9, 80)).cumsum(axis=0)
    stack[:, :7] = stack[0, :7]
    found = range_shares(rule, as_ramp([{"w": values} for values in stack]))["w"]
    loud = [np.abs(answers(values, kernel=kernel / 100)[0]).max() >= 2e-3 for values in stack[:, 7:].T]
    assert 10 < sum(loud) < 63
    assert found.silent == 7 / 80
    assert found.within + found.above == pytest.approx(sum(loud) / 80)


def test_without_a_threshold_all_that_moves_is_above() -> None:
    rule = replace(PUBLISHED, thresholds=0.0)
    assert one(rule, 1e-9 * np.linspace(0, 1, 9)) == "above"
    assert one(rule, np.ones(9)) == "silent"


def test_large_groups_are_looked_at_in_parts(seed: Callable[[int], int]) -> None:
    """More numbers than one working array holds."""
    amplitudes = np.random.default_rng(seed(6)).uniform(0, 3e-3, 30_000)
    low, high = 2.3394218e-4, 2.1054796e-3
    near = (np.abs(amplitudes / low - 1) < 1e-6) | (np.abs(amplitudes / high - 1) < 1e-6)
    amplitudes = amplitudes[~near]
    ramp = {"W1": Stack(np.linspace(0, 1, 9)[:, None] * amplitudes)}
    expected = (0, np.mean(amplitudes < low), np.mean((amplitudes > low) & (amplitudes < high)))
    assert range_shares(PUBLISHED, ramp)["W1"][:3] == pytest.approx(expected, abs=1e-12)


def test_instants_are_shared_out_by_what_they_answer() -> None:
    found = swings(PUBLISHED, 9)
    assert found.area == 0
    assert (found.fast.sum(axis=1) > 0).all()
    assert (found.slow.sum(axis=1) < 0).all()


def test_a_group_without_a_threshold_is_refused() -> None:
    with pytest.raises(ValueError, match="no threshold for the parameters 'W7'"):
        range_shares(PUBLISHED, {"W7": Stack(np.zeros((9, 2)))})
