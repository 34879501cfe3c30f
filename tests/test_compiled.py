"""Learning in compiled loops against NumPy and against learning by the letter."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from chemlearn import Contrastive, ExponentialKernel, Hebbian, LayeredNetwork, Temporal
from chemlearn.learning.compiled import loops
from chemlearn.learning.lesson import lesson
from chemlearn.learning.responses import GridKernel, Sawtooth
from tests import literal_learning as literal

SEED = 5

SIZES = [(9, 6, 3), (30, 17, 5), (31, 12, 14, 4), (8, 5, 5, 5, 2)]


def thresholds(sizes: tuple[int, ...], scale: float = 1.0) -> dict[str, float]:
    """Somewhere between the updates that such networks have."""
    return {f"{kind}{layer}": scale * 2e-5 for layer in range(1, len(sizes)) for kind in "Wb"}


def temporal(sizes: tuple[int, ...], **how: object) -> Temporal:
    return Temporal(GridKernel.falk2023(), 0.05, thresholds(sizes), Sawtooth(0.1, 0.9, 100), 0.5e4, **how)


def minibatch(sizes: tuple[int, ...], rng: np.random.Generator, batch: int, dtype: str = "float64"):
    """Sparse inputs, targets and where the layers were left, some units at their limits."""
    x = rng.random((batch, sizes[0])) * (rng.random((batch, sizes[0])) < 0.4)
    target = np.eye(sizes[-1])[rng.integers(0, sizes[-1], batch)]
    start = tuple(np.clip(rng.normal(0.5, 0.6, (batch, size)), 0, 1) for size in sizes[1:])
    return tuple(v.astype(dtype) for v in (x, target)), tuple(layer.astype(dtype) for layer in (x, *start))


def taught(network, rule, params, batch, backend, workers=1, nudge=0.5):
    """Parameters and free state after one lesson."""
    (x, target), start = batch
    params = {name: values.copy() for name, values in params.items()}
    with lesson(network, rule, backend, workers) as teach:
        state = teach(params, x, target, nudge, start)
    return params, tuple(layer.copy() for layer in state)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("nudge", [0.5, -0.5])
@pytest.mark.parametrize("batch", [1, 5, 20])
@pytest.mark.parametrize("in_turn", [False, True])
def test_equals_numpy(sizes, nudge, batch, in_turn):
    """Free states and updates to rounding; the updates are neither none nor all."""
    rng = np.random.default_rng(SEED)
    network = LayeredNetwork(sizes, in_turn=in_turn)
    params = network.init(rng)
    examples = minibatch(sizes, rng, batch)
    wanted, wanted_state = taught(network, temporal(sizes), params, examples, "numpy", nudge=nudge)
    found, state = taught(network, temporal(sizes), params, examples, "numba", nudge=nudge)
    moved = 0
    for name in params:
        np.testing.assert_allclose(found[name], wanted[name], rtol=0, atol=1e-11)
        moved += np.count_nonzero(wanted[name] != params[name])
    assert moved > 0
    for mine, theirs in zip(state, wanted_state, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-13)


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_equals_learning_by_the_letter(scale):
    """Every weight and bias, interpolated, convolved and thresholded on its own."""
    sizes, rng = (9, 6, 3), np.random.default_rng(SEED)
    network = LayeredNetwork(sizes)
    params = network.init(rng)
    (x, target), _start = minibatch(sizes, rng, 7)
    start = (x, *(np.zeros((7, size)) for size in sizes[1:]))
    rule = Temporal(GridKernel.falk2023(), 0.05, thresholds(sizes, scale), Sawtooth(0.1, 0.9, 100), 0.5e4)
    found, _state = taught(network, rule, params, ((x, target), start), "numba")
    ramp = literal.ramp(params, sizes, x, target, 0.5)
    some = 0
    for name in params:
        stack = np.stack([signals[name] for signals in ramp])
        wanted = 0.05 * 0.5e4 / 0.5 * literal.updates(stack, rule.thresholds[name])
        some += np.count_nonzero(wanted)
        np.testing.assert_allclose(found[name] - params[name], wanted, rtol=0, atol=1e-7)
    assert some > 0


def test_a_wrong_threshold_is_caught():
    """The comparison with NumPy fails where one threshold is a tenth off."""
    sizes, rng = (30, 17, 5), np.random.default_rng(SEED)
    network = LayeredNetwork(sizes)
    params, examples = network.init(rng), minibatch(sizes, rng, 20)
    wanted, _ = taught(network, temporal(sizes), params, examples, "numpy")
    off = Temporal(GridKernel.falk2023(), 0.05, thresholds(sizes, 1.1), Sawtooth(0.1, 0.9, 100), 0.5e4)
    found, _ = taught(network, off, params, examples, "numba")
    assert max(np.abs(found[name] - wanted[name]).max() for name in params) > 1e-4


@pytest.mark.parametrize(
    "rule",
    [
        Contrastive(0.3),
        Hebbian(0.3),
        temporal((30, 17, 5), integral="open"),
        Temporal(ExponentialKernel([1.0, -0.4], [40.0, 20.0]), 0.3, 1e-6),
        Temporal.falk2023(fall=0.5),
    ],
    ids=["contrastive", "hebbian", "open", "with an area", "symmetric"],
)
def test_every_rule(rule):
    """Rules that have no loops of their own, too."""
    sizes, rng = (30, 17, 5), np.random.default_rng(SEED)
    network = LayeredNetwork(sizes)
    params, examples = network.init(rng), minibatch(sizes, rng, 6)
    wanted, _ = taught(network, rule, params, examples, "numpy")
    found, _ = taught(network, rule, params, examples, "numba")
    for name in params:
        np.testing.assert_allclose(found[name], wanted[name], rtol=0, atol=1e-11)
    if isinstance(rule, Temporal) and rule.sawtooth.rise == rule.sawtooth.fall:
        assert all(np.array_equal(found[name], params[name]) for name in params)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("sizes", SIZES[1:3])
def test_threads_change_no_bit(sizes, dtype):
    """One, two and five threads, also more than there are blocks of examples."""
    rng = np.random.default_rng(SEED)
    network = LayeredNetwork(sizes, dtype)
    params, examples = network.init(rng), minibatch(sizes, rng, 13, dtype)
    alone = taught(network, temporal(sizes), params, examples, "numba")
    for workers in (2, 5):
        found = taught(network, temporal(sizes), params, examples, "numba", workers)
        assert all(np.array_equal(found[0][name], alone[0][name]) for name in params)
        assert all(np.array_equal(mine, theirs) for mine, theirs in zip(found[1], alone[1], strict=True))


def test_float32():
    """Single precision gives the updates of double precision but where a threshold hangs on the rounding."""
    sizes, rng = (30, 17, 5), np.random.default_rng(SEED)
    double, single = LayeredNetwork(sizes), LayeredNetwork(sizes, "float32")
    params, examples = double.init(rng), minibatch(sizes, rng, 20)
    short = {name: values.astype("float32") for name, values in params.items()}
    wanted, _ = taught(double, temporal(sizes), params, examples, "numba")
    found, _ = taught(single, temporal(sizes), short, examples, "numba")
    assert all(values.dtype == np.float32 for values in found.values())
    far = sum(np.count_nonzero(np.abs(found[name] - wanted[name]) > 1e-3) for name in params)
    assert far <= 5


def test_without_a_folder_to_keep_what_is_compiled(monkeypatch):
    """It is compiled anew each time then, and gives the same."""
    njit = numba.njit

    def nowhere(**how):
        if how.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**how)

    with monkeypatch.context() as patch:
        patch.setattr(loops.numba, "njit", nowhere)
        add = loops.compiled(lambda count: count + 1)
    assert add(2) == 3


def test_outputs_that_stay_are_known_to_stay():
    """Where a trained network's outputs sit on their targets, the closed form gives what the steps give."""
    sizes, rng = (30, 40, 5), np.random.default_rng(SEED)
    network = LayeredNetwork(sizes)
    params = network.init(rng)
    (x, target), _start = minibatch(sizes, rng, 40)
    for _ in range(60):
        params, _state = taught(network, Contrastive(0.3), params, ((x, target), at_zero(x, sizes)), "numpy")
    left = network.equilibrium(params, x)
    params = {name: values + rng.normal(0, 1e-3, values.shape) for name, values in params.items()}
    examples = (x, target), left
    low = thresholds(sizes, 0.01)
    rule = Temporal(GridKernel.falk2023(), 0.05, low, Sawtooth(0.1, 0.9, 100), 0.5e4)
    wanted, wanted_state = taught(network, rule, params, examples, "numpy")
    found, state = taught(network, rule, params, examples, "numba")
    assert 10 < np.count_nonzero((left[-1] == target).all(axis=1)) < 40
    for mine, theirs in zip(state, wanted_state, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-13)
    assert any(np.any(wanted[name] != params[name]) for name in params)
    for name in params:
        np.testing.assert_allclose(found[name], wanted[name], rtol=0, atol=1e-11)


def at_zero(x, sizes):
    """A start with all layers at 0."""
    return (x, *(np.zeros((len(x), size)) for size in sizes[1:]))
