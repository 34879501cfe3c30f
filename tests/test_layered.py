"""The layered network: its energy and gradient, its relaxation, and the exact shortcuts of a whole swing."""

from __future__ import annotations

import numpy as np
import pytest

from chemlearn.learning.layered import LayeredNetwork
from chemlearn.learning.lesson import lesson
from chemlearn.learning.rules import Contrastive
from tests import literal_learning as literal

SIZES = [(7, 5, 3), (6, 5, 4, 3), (4, 2)]


def example(sizes, batch=4, strength=4.0, dtype="float64"):
    """A network with weights of some strength, inputs and one-hot targets."""
    rng = np.random.default_rng(7)
    network = LayeredNetwork(sizes, dtype)
    params = network.init(rng)
    for name, values in params.items():
        params[name] = (
            values * strength if name[0] == "W" else rng.uniform(0, 0.3, values.shape).astype(dtype)
        )
    x = rng.uniform(0, 1, (batch, sizes[0]))
    x[:, 0] = 0
    target = np.eye(sizes[-1])[rng.integers(sizes[-1], size=batch)]
    return network, params, x, target


def test_initial_weights():
    network = LayeredNetwork((300, 200, 10))
    params = network.init(np.random.default_rng(1))
    assert set(params) == {"W1", "b1", "W2", "b2"}
    for name, before, after in (("W1", 300, 200), ("W2", 200, 10)):
        bound = 0.5 * np.sqrt(6 / (before + after))
        assert params[name].shape == (before, after)
        assert 0.99 * bound < np.abs(params[name]).max() < bound
    assert not params["b1"].any()
    assert not params["b2"].any()
    single = LayeredNetwork((300, 200, 10), "float32").init(np.random.default_rng(1))
    assert single["W1"].dtype == np.float32
    assert np.array_equal(single["W1"], params["W1"].astype(np.float32))


@pytest.mark.parametrize("sizes", SIZES)
def test_signal_is_minus_the_energy_gradient(sizes):
    network, params, x, _ = example(sizes)
    rng = np.random.default_rng(3)
    state = (x, *(rng.uniform(0, 1, (len(x), size)) for size in sizes[1:]))
    signal = network.signal(params, state)
    for name, values in params.items():
        for place in np.ndindex(values.shape):
            up, down = ({k: v.copy() for k, v in params.items()} for _ in range(2))
            up[name][place] += 0.5
            down[name][place] -= 0.5
            slope = np.mean(network.energy(up, state) - network.energy(down, state))
            assert signal[name][place] == pytest.approx(-slope, abs=1e-12)


@pytest.mark.parametrize("sizes", SIZES)
def test_equilibrium_has_no_force_left(sizes):
    network, params, x, target = example(sizes, strength=1.0)
    state = network.equilibrium(params, x, target=target, nudge=0.3, steps=400)
    step = 1e-6

    def energy(moved):
        return network.energy(params, moved) + 0.3 * ((moved[-1] - target) ** 2).sum(axis=1)

    for layer in range(1, len(sizes)):
        for unit in range(sizes[layer]):
            up, down = ([part.copy() for part in state] for _ in range(2))
            up[layer][:, unit] += step
            down[layer][:, unit] -= step
            force = -(energy(up) - energy(down)) / (2 * step)
            held = state[layer][:, unit]
            inside = (held > 0) & (held < 1)
            assert np.all(np.abs(force[inside]) < 1e-7)
            assert np.all(force[held == 0] < 1e-7)
            assert np.all(force[held == 1] > -1e-7)


def test_energy_never_rises_when_layers_settle():
    network, params, x, _ = example((6, 5, 3), strength=1.0)
    energies = [network.energy(params, network.equilibrium(params, x, steps=n)) for n in range(15)]
    assert np.all(np.diff(energies, axis=0) <= 1e-12)
    assert np.all(energies[-1] < energies[0] - 1e-3)


@pytest.mark.parametrize("sizes", SIZES)
def test_equilibrium_is_the_literal_one(sizes):
    network, params, x, target = example(sizes)
    zeros = [np.zeros((len(x), size)) for size in sizes[1:]]
    free = literal.relaxed(params, [x, *zeros], 20, None, 0.0)
    found = network.equilibrium(params, x)
    clamped = network.equilibrium(params, x, target=target, nudge=-0.4, start=found)
    expected = literal.relaxed(params, free, 4, target, -0.4)
    for ours, theirs in zip((*found, *clamped), (*free, *expected), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-13)
    assert np.array_equal(network.output(found), found[-1])


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("nudge", [0.5, -0.5])
def test_swing_is_the_literal_one(sizes, nudge):
    network, params, x, target = example(sizes, batch=9)
    state, ramp = network.swing(params, x, target, nudge)
    expected = literal.ramp(params, sizes, x, target, nudge)
    assert np.allclose(state[-1], network.equilibrium(params, x)[-1], atol=1e-14)
    for name, group in ramp.items():
        stack = group.stack() if name[0] == "W" else group.values
        for k, signals in enumerate(expected):
            np.testing.assert_allclose(stack[k], signals[name], atol=1e-13)


@pytest.mark.parametrize("sizes", SIZES)
def test_steps_are_those_of_the_network(sizes):
    """The free and the nudged phases of a swing and of an equilibrium take as many."""
    published, params, x, target = example(sizes)
    network = LayeredNetwork(sizes, free_steps=7, nudged_steps=3)
    assert (published.free_steps, published.nudged_steps) == (20, 4)
    free = published.equilibrium(params, x, steps=7)
    clamped = published.equilibrium(params, x, target=target, nudge=0.5, start=free, steps=3)
    state, ramp = network.swing(params, x, target, 0.5)
    for found in (state, network.equilibrium(params, x)):
        for ours, theirs in zip(found, free, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-14)
    signal = published.signal(params, clamped)
    for name, group in ramp.items():
        stack = group.stack() if name[0] == "W" else group.values
        np.testing.assert_allclose(stack[-1], signal[name], atol=1e-14)
    other = published.swing(params, x, target, 0.5)[1]["b1"].values
    assert np.abs(other - ramp["b1"].values).max() > 1e-4


def by_hand(network, params, x, target, nudge, start, steps):
    """Layers that move one after the other, each from where the one before it has just gone."""
    layers = [x, *start[1:]]
    for _ in range(steps):
        for place in range(1, len(layers)):
            pull = layers[place - 1] @ params[f"W{place}"] + params[f"b{place}"]
            if place + 1 < len(layers):
                pull = pull + layers[place + 1] @ params[f"W{place + 1}"].T
            else:
                pull = pull - 2 * nudge * (layers[place] - target)
            layers[place] = np.clip(layers[place] + 0.5 * (pull - layers[place]), 0, 1)
    return tuple(layers)


@pytest.mark.parametrize("sizes", SIZES)
def test_in_turn_each_layer_sees_where_the_one_before_it_went(sizes):
    published, params, x, target = example(sizes)
    params = {name: 0.4 * values for name, values in params.items()}  # few units at their limits
    network = LayeredNetwork(sizes, in_turn=True)
    free = published.equilibrium(params, x)
    for ours, theirs in zip(network.equilibrium(params, x), free, strict=True):  # free phases are the same
        np.testing.assert_array_equal(ours, theirs)
    ramp = network.swing(params, x, target, 0.5, knots=3)[1]
    ends = [by_hand(network, params, x, target, beta, free, 4) for beta in (0.25, 0.5)]
    found = network.equilibrium(params, x, target=target, nudge=0.5, start=free)
    for ours, theirs in zip(found, ends[1], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-14)
    rest = network.equilibrium(params, x, start=free, steps=4)
    signals = [published.signal(params, end) for end in (rest, *ends)]
    for name, group in ramp.items():
        stack = group.stack() if name[0] == "W" else group.values
        for k, signal in enumerate(signals):
            np.testing.assert_allclose(stack[k], signal[name], atol=1e-13)
    other = published.swing(params, x, target, 0.5, knots=3)[1]
    apart = max(np.abs(other[name].values - ramp[name].values).max() for name in ramp if name[0] == "b")
    assert apart > 1e-4 if len(sizes) > 2 else apart < 1e-14  # one layer has no other to see


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("sizes", SIZES[:2])
def test_lessons_take_the_steps_of_the_network(sizes, backend):
    """Whoever does the arithmetic: the update is that of both phases with as many steps."""
    network = LayeredNetwork(sizes, free_steps=7, nudged_steps=3)
    params, x, target = example(sizes)[1:]
    free = network.equilibrium(params, x, steps=7)
    ends = [network.equilibrium(params, x, target=target, nudge=b, start=free, steps=3) for b in (0, 0.5)]
    signals = [network.signal(params, state) for state in ends]
    before = {name: values.copy() for name, values in params.items()}
    with lesson(network, Contrastive(0.1), backend, 1) as teach:
        start = (x, *(np.zeros((len(x), size)) for size in sizes[1:]))
        state = teach(params, x, target, 0.5, start)
        for ours, theirs in zip(state, free, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-13)
    for name, values in params.items():
        expected = 0.1 / 0.5 * (signals[1][name] - signals[0][name])
        np.testing.assert_allclose(values - before[name], expected, atol=1e-12)


def test_examples_on_their_target_relax_once_and_add_nothing():
    network, params, x, target = example((7, 5, 3), batch=9)
    params["b2"] = np.array([5.0, -9.0, -9.0])  # every output sits at (1, 0, 0)
    target[:] = [0, 1, 0]
    target[2:] = [1, 0, 0]
    _, ramp = network.swing(params, x, target, 0.5)
    assert ramp["W1"].post.shape[1] == 2
    expected = literal.ramp(params, (7, 5, 3), x, target, 0.5)
    np.testing.assert_allclose(ramp["W2"].stack()[-1], expected[-1]["W2"], atol=1e-13)


def test_start_is_used_and_left_alone():
    network, params, x, target = example((7, 5, 3))
    start = network.equilibrium(params, x, steps=3)
    kept = [layer.copy() for layer in start]
    further, _ = network.swing(params, x, target, 0.5, start=start)
    for layer, before in zip(start, kept, strict=True):
        assert np.array_equal(layer, before)
    np.testing.assert_allclose(further[-1], network.equilibrium(params, x, steps=23)[-1], atol=1e-14)


def test_single_precision_stays_single():
    network, params, x, target = example((7, 5, 3), dtype="float32")
    state, ramp = network.swing(params, x, target, 0.5)
    assert {layer.dtype for layer in state} == {np.dtype("float32")}
    assert ramp["W1"].post.dtype == np.float32
    assert ramp["b1"].values.dtype == np.float32


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nudge": 0.0}, "the nudge must be a finite number other than 0"),
        ({"knots": 1}, "at least 2, got 1"),
        ({"x": np.zeros((4, 6))}, "inputs must have one row of 7"),
        ({"target": np.zeros((3, 3))}, "targets must have one row of 3 per example, 4 in all"),
        ({"start": (np.zeros((4, 7)),)}, "a state has 3 layers"),
        ({"params": {"W1": np.zeros((7, 5))}}, "parameters of a network of sizes"),
    ],
)
def test_swing_refuses(change, words):
    network, params, x, target = example((7, 5, 3))
    arguments = {"params": params, "x": x, "target": target, "nudge": 0.5} | change
    with pytest.raises(ValueError, match=words):
        network.swing(**arguments)


def test_network_and_equilibrium_refuse():
    for sizes, words in (((5,), "at least two layers"), ((5, 0), "at least 1"), ((5, 2.5), "whole number")):
        with pytest.raises(ValueError, match=words):
            LayeredNetwork(sizes)
    for name in ("free_steps", "nudged_steps"):
        for steps in (0, 2.5):
            with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, got {steps}"):
                LayeredNetwork((3, 2), **{name: steps})
    with pytest.raises(ValueError, match="'float64' or 'float32', got 'int8'"):
        LayeredNetwork((3, 2), "int8")
    network, params, x, _ = example((7, 5, 3))
    with pytest.raises(ValueError, match="a nudge needs a target"):
        network.equilibrium(params, x, nudge=0.1)
    with pytest.raises(ValueError, match="steps must be a whole number"):
        network.equilibrium(params, x, steps=-1)
