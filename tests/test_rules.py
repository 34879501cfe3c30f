"""Learning rules against the letter of the published arithmetic, and the laws that each must obey."""

from __future__ import annotations

import numpy as np
import pytest

from chemlearn.curves.curve import UpdateCurve
from chemlearn.kernels.cut import sine
from chemlearn.kernels.kernel import celani_vergassola, exponential, high_pass, integral_feedback
from chemlearn.learning.layered import LayeredNetwork
from chemlearn.learning.responses import GridKernel, Sawtooth, response_map
from chemlearn.learning.rules import Chemical, Contrastive, Hebbian, Temporal, learn
from chemlearn.learning.substrate import Stack, as_ramp
from chemlearn.signal import Signal
from tests import literal_learning as literal

PUBLISHED = {"W1": 1.2e-6, "b1": 1e-5, "W2": 2e-5, "b2": 2e-4}
RATES = {"W1": 0.1, "b1": 0.1, "W2": 0.05, "b2": 0.05}
SIZES = (12, 9, 5)


def minibatch(sizes=SIZES, batch=20, dtype="float64", nudge=0.5):
    """A network, its parameters and the ramp of one minibatch; some inputs are dark, some examples rest."""
    rng = np.random.default_rng(11)
    network = LayeredNetwork(sizes, dtype)
    params = network.init(rng)
    params["W1"] *= 2
    x = rng.uniform(0, 1, (batch, sizes[0])) * (rng.uniform(size=(batch, sizes[0])) < 0.6)
    x[:, :2] = 0
    target = np.eye(sizes[-1])[rng.integers(sizes[-1], size=batch)]
    state, ramp = network.swing(params, x, target, nudge)
    return network, params, x, target, state, ramp


def straight(amplitude, knots=9):
    """The ramp of one weight that rises in a straight line."""
    return {"W1": Stack(np.linspace(0, amplitude, knots)[:, None])}


def gain(rule, amplitude, rate=0.1):
    return rule(straight(amplitude), 1.0)["W1"][0] / rate / amplitude


def sure(stack, threshold, map_):
    """Parameters whose response keeps a distance from the threshold at all instants."""
    steps = np.diff(stack.reshape(len(stack), -1), axis=0)
    u = np.concatenate([tier.rows for tier in map_.tiers]) @ steps
    return (np.abs(np.abs(u) - threshold) > 1e-9 * threshold).all(axis=0).reshape(stack.shape[1:])


@pytest.mark.parametrize("nudge", [0.5, -0.5])
@pytest.mark.parametrize("integral", ["periodic", "open"])
def test_published_update_is_the_literal_one(nudge, integral):
    _, params, x, target, _, ramp = minibatch(nudge=nudge)
    expected = literal.ramp(params, SIZES, x, target, nudge)
    rule = Temporal.falk2023(integral=integral)
    found = rule(ramp, nudge)
    for name, threshold in PUBLISHED.items():
        stack = np.stack([signals[name] for signals in expected])
        by_letter = literal.updates(stack, threshold, periodic=integral == "periodic")
        by_letter *= RATES[name] * 0.5e4 / nudge
        agree = np.abs(found[name] - by_letter) <= 1e-7 * np.maximum(1, np.abs(by_letter))
        ties = ~sure(stack, threshold, rule.map(9))
        assert np.all(agree | ties)
        assert ties.mean() < 0.01
        assert np.abs(by_letter).max() > 1e-4


@pytest.mark.parametrize("factor", [0.1, 3.0, 30.0, 100.0])
def test_pruning_changes_nothing_at_any_threshold(factor):
    _, _, _, _, _, ramp = minibatch()
    group = ramp["W1"]
    theta = 1.2e-6 * factor
    rule = Temporal(GridKernel.falk2023(), 0.1, theta, gain=0.5e4)
    found = rule({"W1": group}, 0.5)["W1"]
    stack = group.stack()
    by_letter = literal.updates(stack, theta) * 0.1 * 0.5e4 / 0.5
    close = np.abs(found - by_letter) < 1e-9
    assert np.all(close | ~sure(stack, theta, rule.map(9)))
    dense = rule({"W1": Stack(stack)}, 0.5)["W1"]
    assert np.all((np.abs(dense - by_letter) < 1e-9) | ~sure(stack, theta, rule.map(9)))
    assert (by_letter == 0).any()
    assert (by_letter != 0).any()


def test_blocks_do_not_matter(monkeypatch):
    _, _, _, _, _, ramp = minibatch((12, 9, 7, 5))
    rule = Temporal(GridKernel.falk2023(), 0.1, 1e-6)
    whole = rule(ramp, 0.5)
    for module in ("correlations", "rules", "substrate"):
        monkeypatch.setattr(f"chemlearn.learning.{module}.BLOCK", 50)
    for name, update in rule(ramp, 0.5).items():
        np.testing.assert_allclose(update, whole[name], rtol=1e-12, atol=1e-15)


def test_single_precision_is_close():
    double, single = (Temporal.falk2023()(minibatch(dtype=d)[-1], 0.5) for d in ("float64", "float32"))
    for name, update in double.items():
        near = np.abs(single[name] - update) < 1e-3 * np.abs(update).max()
        assert near.mean() > 0.95


def test_learn_adds_the_update_in_place():
    _, params, _, _, _, ramp = minibatch()
    for rule in (Temporal.falk2023(), Contrastive(0.1), Hebbian(0.1)):
        params["W1"] = np.asfortranarray(params["W1"])
        before = {name: values.copy() for name, values in params.items()}
        update = rule(ramp, 0.5)
        learn(params, rule, ramp, 0.5)
        for name, values in params.items():
            assert np.array_equal(values, before[name] + update[name])


def test_symmetric_sawtooth_changes_nothing_at_all():
    _, params, _, _, _, ramp = minibatch()
    before = {name: values.copy() for name, values in params.items()}
    learn(params, Temporal.falk2023(fall=0.5), ramp, 0.5)
    assert all(np.array_equal(values, before[name]) for name, values in params.items())
    exact = Temporal(sine(), 0.1, 1e-6, Sawtooth(0.5, 0.5))
    assert not any(update.any() for update in exact(ramp, 0.5).values())


@pytest.mark.parametrize("kernel", [sine(), integral_feedback(40.0, 8.0), high_pass(0.05)])
def test_straight_symmetric_sawtooth_teaches_no_kernel_without_area(kernel):
    rule = Temporal(kernel, 0.1, 1e-6, Sawtooth(0.5, 0.5))
    assert rule(straight(0.3, knots=2), 1.0)["W1"] == 0


def test_open_integral_leaves_a_rest():
    # Half of the first and of the last sample is missing, both on the slow plateau of slope A/0.5.
    rule = Temporal.falk2023(fall=0.5, integral="open")
    moment = GridKernel.falk2023().first_moment
    assert gain(rule, 1.0) == pytest.approx(0.5e4 * 0.01 * abs(moment) / 0.5, rel=1e-9)


def test_dynamic_range_of_the_published_weights():
    rule = Temporal.falk2023()
    plateau = abs(GridKernel.falk2023().first_moment) / 0.1
    low, high = 1.2e-6 / plateau, 9 * 1.2e-6 / plateau
    assert (f"{low:.2e}", f"{high:.2e}") == ("2.34e-04", "2.11e-03")
    assert gain(rule, 0.99 * low) == 0
    assert gain(rule, 1.01 * low) > 0.5
    assert all(2.0 < gain(rule, a) < 2.4 for a in np.geomspace(4e-4, 0.99 * high, 30))
    above = [gain(rule, a) for a in np.geomspace(1.01 * high, 2.9 * high, 20)]
    assert np.abs(above).max() < 0.03
    assert min(above) < -0.01
    assert abs(gain(rule, 4 * high)) < 1e-12
    assert gain(rule, -1e-3) == pytest.approx(gain(rule, 1e-3))


@pytest.mark.parametrize(
    "kernel",
    [sine(), integral_feedback(40.0, 8.0), celani_vergassola(0.3), exponential(0.2), high_pass(0.05)],
)
def test_map_is_the_exact_response(kernel):
    saw, values = Sawtooth(0.2, 0.5, 35), np.array([0.3, -0.1, 0.8, 1.1])
    up, down = np.linspace(0, 0.2, 4), np.linspace(0.2, 0.7, 4)[1:]
    signal = Signal(np.append(up, down), np.append(values, values[-2::-1]), periodic=True)
    u = kernel.respond(signal, saw.times)
    for theta in (0.0, 0.02 * np.abs(u).max(), 0.5 * np.abs(u).max()):
        rule = Temporal(kernel, 1.0, theta, saw, gain=1.0)
        update = rule({"w": Stack(values[:, None])}, 1.0)["w"][0]
        assert update == pytest.approx(np.where(np.abs(u) >= theta, u, 0).sum() * 0.02, abs=1e-12)


def test_area_acts_on_the_level_also_in_factors():
    _, _, _, _, _, ramp = minibatch()
    rule = Temporal(celani_vergassola(0.3), 1.0, 0.02)
    factored, dense = rule(ramp, 0.5), rule({"W1": Stack(ramp["W1"].stack())}, 0.5)
    np.testing.assert_allclose(factored["W1"], dense["W1"], atol=1e-12)
    lifted = rule({"W1": Stack(ramp["W1"].stack() + 1.0)}, 0.5)["W1"]
    assert np.all(lifted - dense["W1"] > 0.1)


def test_map_merges_instants():
    map_ = response_map(GridKernel.falk2023(), Sawtooth(), 9, "periodic")
    assert sum(len(tier.rows) for tier in map_.tiers) < 100
    assert response_map(GridKernel.falk2023(), Sawtooth(0.5, 0.5), 9, "periodic").tiers == ()


def test_ideal_temporal_rule_is_the_contrastive_one():
    ramp, fast = {"w": Stack(np.array([[0.0], [5e-4]]))}, celani_vergassola(rate=2000.0)
    whole = Temporal(GridKernel.falk2023(), 0.1, 0.0)(ramp, 0.5)
    assert abs(whole["w"][0]) < 1e-15  # without a threshold both swings cancel
    threshold = Temporal(fast, 0.1, 1e-4, Sawtooth(1.0, 9.0, 10000))
    updates = threshold(ramp, 0.5)
    assert updates["w"][0] == pytest.approx(0.1 * 5e-4 / 0.5, rel=5e-3)


@pytest.mark.parametrize("sizes", [(6, 5, 3), (6, 5, 4, 3)])
def test_contrastive_direction_is_the_true_gradient(sizes):
    rng = np.random.default_rng(5)
    network = LayeredNetwork(sizes)
    params = {name: values + 0.3 * (name[0] == "b") for name, values in network.init(rng).items()}
    x = rng.uniform(0.2, 0.8, (6, sizes[0]))
    target = np.eye(sizes[-1])[rng.integers(sizes[-1], size=6)]

    def loss(trial):
        out = network.output(network.equilibrium(trial, x, steps=300))
        return np.mean(((out - target) ** 2).sum(axis=1))

    def cosine(nudge):
        free = network.equilibrium(params, x, steps=300)
        clamped = network.equilibrium(params, x, target=target, nudge=nudge, start=free, steps=300)
        signals = [network.signal(params, state) for state in (free, clamped)]
        update = Contrastive(1.0)(as_ramp(signals), nudge)
        ours = np.concatenate([update[name].ravel() for name in params])
        return ours, ours @ gradient / np.linalg.norm(ours) / np.linalg.norm(gradient)

    slopes = []
    for name, values in params.items():
        for place in np.ndindex(values.shape):
            up, down = ({k: v.copy() for k, v in params.items()} for _ in range(2))
            up[name][place] += 1e-5
            down[name][place] -= 1e-5
            slopes.append((loss(down) - loss(up)) / 2e-5)
    gradient = np.array(slopes)
    near, far = cosine(1e-5), cosine(0.5)
    assert near[1] > 1 - 1e-6
    np.testing.assert_allclose(near[0], gradient, atol=1e-4 * np.abs(gradient).max())
    assert far[1] < near[1]


def test_any_rule_takes_the_two_phases_alone():
    free, clamped = {"w": np.array([0.2, 0.5])}, {"w": np.array([0.3, 0.1])}
    ramp = as_ramp([free, clamped])
    np.testing.assert_allclose(Contrastive(0.1)(ramp, 0.5)["w"], 0.2 * np.array([0.1, -0.4]))
    np.testing.assert_allclose(Contrastive({"w": 0.1})(ramp, -0.5)["w"], -0.2 * np.array([0.1, -0.4]))
    np.testing.assert_allclose(Hebbian(0.1)(ramp, 0.5)["w"], 0.2 * np.array([0.25, 0.3]))
    curve = UpdateCurve([-1.0, 0.0, 1.0], [-0.5, 0.0, 2.0])
    np.testing.assert_allclose(Chemical(curve, 0.1)(ramp, 0.5)["w"], 0.2 * np.array([0.2, -0.2]))


def test_hebbian_is_the_mean_over_the_sawtooth():
    values = np.array([0.1, 0.4, 0.2, 0.9])
    times = np.append(np.linspace(0, 0.3, 4), np.linspace(0.3, 1.0, 4)[1:])
    course = np.append(values, values[-2::-1])
    update = Hebbian(1.0)({"w": Stack(values[:, None])}, 0.5)["w"][0]
    assert update == pytest.approx(np.trapezoid(course, times) / 0.5)


def test_published_numbers_stay_at_the_ends_of_deeper_networks():
    for layers in (3, 4, 6):
        rule, last = Temporal.falk2023(layers=layers), layers - 1
        for found, published in ((rule.thresholds, PUBLISHED), (rule.rates, RATES)):
            assert set(found) == {f"{kind}{layer}" for layer in range(1, layers) for kind in "Wb"}
            for kind in "Wb":
                assert found[f"{kind}1"] == published[f"{kind}1"]
                assert found[f"{kind}{last}"] == published[f"{kind}2"]
    assert Temporal.falk2023().thresholds == PUBLISHED
    assert Temporal.falk2023().rates == RATES
    assert set(Temporal.falk2023(layers=2).thresholds) == {"W1", "b1"}


@pytest.mark.parametrize("control", [Contrastive, Hebbian])
def test_a_control_is_as_strong_as_the_temporal_rule(control):
    """Within the range the temporal rule's gain is near that of a fast swing that passes θ as a whole."""
    temporal = Temporal.falk2023()
    rule = control.like(temporal)
    assert set(rule.rates) == set(temporal.rates)
    assert rule.rates["W2"] / temporal.rates["W2"] == pytest.approx(temporal.slope)
    assert temporal.slope == pytest.approx(2.5 / 3 / np.tan(np.pi / 10))
    # θ is far below the answer to the fast swing, and that to a fall 99 times slower is below θ.
    slow = Temporal(GridKernel.falk2023(), 0.1, 1e-5, Sawtooth(0.1, 9.9, 1000), gain=0.5e4)
    found = gain(slow, 0.1)
    assert found == pytest.approx(slow.slope, rel=0.02)
    assert control.like(slow).rates == pytest.approx(0.1 * slow.slope)


def test_deeper_networks_have_factors_with_both_layers_moving():
    _, params, x, target, _, ramp = minibatch((12, 9, 7, 5))
    rule = Temporal(GridKernel.falk2023(), 0.1, 2e-6, gain=0.5e4)
    found = rule(ramp, 0.5)
    expected = literal.ramp(params, (12, 9, 7, 5), x, target, 0.5)
    for name, update in found.items():
        stack = np.stack([signals[name] for signals in expected])
        by_letter = literal.updates(stack, 2e-6) * 0.1 * 0.5e4 / 0.5
        assert np.all((np.abs(update - by_letter) < 1e-7) | ~sure(stack, 2e-6, rule.map(9)))


REFUSED = [
    (lambda: Contrastive(0.1)(straight(1.0), 0.0), "the nudge must be a finite number other than 0"),
    (lambda: Hebbian(0.1)(straight(1.0), -0.5), "the Hebbian rule needs a positive nudge"),
    (lambda: Contrastive(-1.0), "must be positive, got rate=-1"),
    (lambda: Contrastive({"b1": 0.1})(straight(1.0), 0.5), "no rate for the parameters 'W1'"),
    (lambda: Temporal(sine(), 0.1, -1e-6), "thresholds must be 0 or positive, got -1e-06"),
    (lambda: Temporal(sine(), 0.1, {"b1": 1.0})(straight(1.0), 0.5), "no threshold for the parameters 'W1'"),
    (lambda: Temporal(sine(), 0.1, 0.0, integral="closed"), "no integral named 'closed'"),
    (lambda: Temporal(sine(), 0.1, 0.0, Sawtooth(0.0, 1.0)), "must be positive, got rise=0"),
    (lambda: Temporal(GridKernel.falk2023(), 0.1, 0.0, Sawtooth(0.1, 0.9, 50)), "needs samples at that step"),
    (lambda: Temporal(GridKernel([0.0, 0.0], 0.01), 0.1, 0.0), "sets no gain"),
    (lambda: Temporal(Growing(), 0.1, 0.0), "the kernel must decay"),
    (lambda: Temporal.falk2023(fall=1.0), "between 0 and 1, got 1"),
    (lambda: Temporal.falk2023(layers=1), "layers of at least 2, got 1"),
    (lambda: Sawtooth(samples=1), "samples must be a whole number"),
    (lambda: as_ramp([{"w": np.zeros(2)}]), "at least two knots"),
    (lambda: as_ramp([{"w": np.zeros(2)}, {"w": np.zeros(3)}]), "the same groups and shapes"),
    (lambda: learn({"W1": np.zeros(3)}, Contrastive(1.0), straight(1.0), 1.0), "signals of shape"),
]


class Growing(type(exponential(1.0))):
    """A kernel whose response never comes to rest."""

    def __init__(self):
        super().__init__(np.array([1.0]), np.array([1.0]))

    def respond(self, signal, times):
        return np.full(np.shape(times), np.inf)


@pytest.mark.parametrize(("attempt", "words"), REFUSED)
def test_refusals(attempt, words):
    with pytest.raises(ValueError, match=words):
        attempt()
