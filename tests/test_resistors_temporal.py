"""Temporal contrast in one network of resistors: other integrations, exact limits, wrong controls."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from chemlearn.kernels.cut import sine
from chemlearn.kernels.kernel import Kernel, exponential
from chemlearn.learning.responses import Sawtooth
from chemlearn.learning.rules import Contrastive, Temporal
from chemlearn.resistors.generate import disordered_network
from chemlearn.resistors.solve import laplacian, response
from chemlearn.resistors.substrate import ResistorSubstrate
from chemlearn.resistors.swings import Swing, memory, moves
from chemlearn.resistors.tasks import Task, allosteric
from chemlearn.resistors.temporal import Protocol, train_temporal

NETWORK = disordered_network(20, seed=6)
TASKS = [allosteric(NETWORK, sources=3, targets=2, seed=number) for number in (1, 2, 6, 7, 8, 9, 11)]
TASK = TASKS[0]
KERNEL = sine(0.5)
ONES = np.ones(NETWORK.n_edges)


def change(kernel: Kernel | None, protocol: Protocol, task: Task = TASK, **how: Any) -> np.ndarray:
    """What the first update does."""
    run = train_temporal(NETWORK, task, kernel, protocol, steps=1, **how)
    return (run.conductance - run.conductance_first).values


def test_a_fast_network_is_at_rest_at_every_instant() -> None:
    protocol = Protocol(Swing(1.0, 9.0))
    at_rest = train_temporal(NETWORK, TASK, KERNEL, protocol, steps=8)
    far = [
        float(
            np.abs(
                train_temporal(NETWORK, TASK, KERNEL, protocol, gamma=gamma, steps=8).conductance
                - at_rest.conductance
            ).max()
        )
        for gamma in (1e2, 1e4, 1e6)
    ]
    assert far[2] < 1e-4
    assert far[2] < far[1] < far[0]


# -------------------------------------------------------------------------------------- memory and thresholds


def test_the_ideal_rule_is_the_contrastive_one() -> None:
    substrate = ResistorSubstrate.of(NETWORK, TASK)
    _free, ramp = substrate.swing(substrate.init(), TASK.inputs, TASK.outputs, 1e-3)
    expected = Contrastive(2 * 0.05)(ramp, 1e-3)["conductance"]
    found = change(None, Protocol(nudge=1e-3), alpha=0.05)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)


def test_a_short_memory_and_a_long_fall_make_the_contrastive_rule() -> None:
    ideal = change(None, Protocol(nudge=1e-4), alpha=0.05)
    off = []
    for ratio in (3.0, 30.0, 300.0):
        found = change(sine(0.02), Protocol(Swing(1.0, ratio), nudge=1e-4), alpha=0.05)
        off.append(np.abs(found - ideal).max() / np.abs(ideal).max())
    assert off[2] < 1e-3
    assert off[2] < off[1] < off[0]


def test_a_fixed_threshold_is_the_temporal_rule_on_the_substrate() -> None:
    """The same kernel and θ by the rule that samples the response: equal but for its sampling."""
    swing, nudge = Swing(1.0, 9.0, instants=100), 1e-3
    found = change(KERNEL, Protocol(swing, nudge, threshold="fixed"), alpha=0.05)
    substrate = ResistorSubstrate.of(NETWORK, TASK)
    _free, ramp = substrate.swing(substrate.init(), TASK.inputs, TASK.outputs, nudge)
    contrast = np.abs(Contrastive(1.0)(ramp, 1.0)["conductance"])
    largest = contrast.max()
    theta = abs(KERNEL.first_moment) * largest / 9.0
    rule = Temporal(KERNEL, 2 * 0.05, float(theta), Sawtooth(1.0, 9.0, 800))
    expected = rule(ramp, nudge)["conductance"]
    # The threshold is touched, not passed, by the slow swing of the largest contrast.
    other = contrast < 0.99 * largest
    size = np.abs(expected).max()
    np.testing.assert_allclose(found[other], expected[other], atol=4e-3 * size)
    assert (expected == 0).any()
    assert np.array_equal(found[other] == 0, expected[other] == 0)


def answers(conductance: np.ndarray, swing: Swing, nudge: float) -> np.ndarray:
    """u of all edges over one period at rest, (n_instants, n_edges)."""
    kept = memory(KERNEL, swing)
    found = response(NETWORK, conductance, TASK)
    return kept.answer @ moves(NETWORK, conductance, TASK, found, nudge, math.inf, swing, kept.times)[0]


@pytest.mark.parametrize("recall", [1.0, 4.0])
def test_a_threshold_of_its_own_slides_with_the_periods_before(recall: float) -> None:
    swing, nudge, alpha, margin = Swing(1.0, 9.0), 0.1, 0.2, 1.3
    kept = memory(KERNEL, swing)
    now, squared = ONES, None
    for _step in range(5):
        u = answers(now, swing, nudge)
        seen = kept.mean_square(u)
        theta = margin * np.sqrt(seen if squared is None else squared)
        squared = seen if squared is None else squared + (seen - squared) / recall
        now = np.maximum(now + 2 * alpha / nudge * kept.passed(u, theta) / kept.moment, 1e-6)
    protocol = Protocol(swing, nudge, margin=margin, recall=recall)
    run = train_temporal(NETWORK, TASK, KERNEL, protocol, alpha=alpha, steps=5, goal=1e-9)
    np.testing.assert_allclose(run.conductance, now, rtol=1e-9)


def test_edges_that_cannot_move_hold_no_threshold_up() -> None:
    """The loudest edge has the least conductance and would go lower: the loudest of the rest counts."""
    task, swing = TASKS[2], Swing(1.0, 4.0)
    falls = change(None, Protocol(nudge=1e-3), task, alpha=1e-6)
    loudest = int(np.argmax(np.abs(falls)))
    assert falls[loudest] < 0
    begin = ONES.copy()
    begin[loudest] = 0.9
    shares = []
    for threshold in ("largest", "movable"):
        protocol = Protocol(swing, 1e-3, threshold=threshold)
        run = train_temporal(
            NETWORK, task, KERNEL, protocol, steps=1, conductance=begin, least=0.9, alpha=1e-6
        )
        shares.append(float(run.moved[0]))
    assert shares[1] > 2 * shares[0] > 0


def test_a_floor_keeps_small_signals_out() -> None:
    swing = Swing(1.0, 30.0)
    free = train_temporal(NETWORK, TASK, KERNEL, Protocol(swing), goal=1e-6, steps=400)
    noisy = train_temporal(NETWORK, TASK, KERNEL, Protocol(swing, floor=0.1), goal=1e-6, steps=400)
    assert free.reached == 1
    assert noisy.reached == 0
    assert float(noisy.moved[-1]) < 0.2 < float(noisy.moved[0])


# ------------------------------------------------------------------------------------------------- it learns


@pytest.mark.parametrize("gamma", [math.inf, 3.0])
def test_one_network_learns_what_the_ideal_rule_learns(gamma: float) -> None:
    """At half the rate of the others, at which the ideal rule itself does not oscillate."""
    for task in TASKS:
        ideal = train_temporal(NETWORK, task, None, Protocol(nudge=1e-3), alpha=0.5, steps=600)
        assert ideal.reached
        found = train_temporal(
            NETWORK,
            task,
            KERNEL,
            Protocol(Swing(1.0, 9.0)),
            alpha=0.5,
            gamma=gamma,
            steps=3 * ideal.updates,
        )
        assert found.reached, found.outcome
        assert float(found.error[-1]) <= 0.01
        assert found.training_time == pytest.approx((found.updates + 1) * 10.0)


def carried(swing: Swing, gamma: float, nudge: float, steps: int, learn_in_pause: bool) -> np.ndarray:
    """C/C0 of one network whose voltages and memory go on from period to period, on a fine grid of time.

    The pause comes first, so that the network settles after the change of the conductances.
    """
    step = KERNEL.duration / 24
    lags = round(KERNEL.duration / step)
    weights = KERNEL(np.arange(lags) * step) * step
    times = np.arange(round(swing.period / step) + 1) * step - swing.pause
    phase = np.where(times < 0, 0.0, swing(np.clip(times, 0, swing.rise + swing.fall)))
    learns = (times[:-1] >= -1e-9) | learn_in_pause
    held = [*TASK.sources, *TASK.targets, NETWORK.ground]
    inside = np.setdiff1d(np.arange(NETWORK.nodes), held)
    now, squared, errors = ONES, None, []
    v = response(NETWORK, now, TASK).free[0]
    past = np.tile(-0.5 * NETWORK.drops(v) ** 2, (lags, 1))
    for _number in range(steps):
        found = response(NETWORK, now, TASK)
        errors.append(float(((TASK.outputs - found.free[:, TASK.targets]) ** 2).sum()))
        rates, shapes = np.linalg.eigh(laplacian(NETWORK, now).toarray()[np.ix_(inside, inside)])
        x, decay = gamma * rates * step, np.exp(-gamma * rates * step)
        pulled = nudge * found.clamped(TASK)[0]
        aim, w = shapes.T @ pulled[inside], shapes.T @ (v - found.free[0])[inside]
        voltages = found.free[0] + phase[:, None] * pulled
        voltages[0, inside] = v[inside]
        for j, (before, after) in enumerate(pairwise(phase)):
            w = w * decay + aim * (before * (1 - decay) + (after - before) * (1 - (1 - decay) / x))
            voltages[j + 1, inside] = found.free[0, inside] + shapes @ w
        v, s = voltages[-1], -0.5 * NETWORK.drops(voltages) ** 2
        whole = np.concatenate([past, s])
        u = sum(weight * whole[lags - j : len(whole) - j - 1] for j, weight in enumerate(weights))[learns]
        past = whole[-lags - 1 : -1]
        seen = (u**2).mean(axis=0)
        theta = np.sqrt(seen if squared is None else squared)
        squared = seen
        total = (u * (np.abs(u) >= theta)).sum(axis=0) * step
        now = np.maximum(now + 2 * 0.5 / nudge * total / abs(KERNEL.first_moment), 1e-6)
    return np.array(errors) / errors[0]


def test_a_network_that_settles_before_each_swing_learns_as_one_in_its_steady_period() -> None:
    gamma, nudge, swing = 2.0, 0.1, Swing(1.0, 9.0, 5.0)
    steady = train_temporal(NETWORK, TASK, KERNEL, Protocol(swing, nudge), alpha=0.5, gamma=gamma, goal=1e-3)
    errors = carried(swing, gamma, nudge, steady.updates, False)
    np.testing.assert_allclose(np.log(errors), np.log(steady.error[:-1]), atol=0.1)
    assert errors[-1] < 2e-3


def test_edges_that_also_learn_from_the_change_of_their_network_go_astray() -> None:
    """What an update does to s is a fast signal too: without a pause to forget it in, it feeds on itself."""
    errors = carried(Swing(1.0, 9.0), 2.0, 0.1, 60, True)
    assert errors.max() > 3
    assert errors.min() > 0.01


@pytest.mark.parametrize("gamma", [math.inf, 1.0])
def test_without_slow_and_fast_there_is_no_contrast(gamma: float) -> None:
    """At rest nothing changes; a network that lags is changed by the nudge squared alone."""
    symmetric = [
        np.abs(change(KERNEL, Protocol(Swing(1.0, 1.0), nudge), gamma=gamma)).max() for nudge in (1e-2, 1e-3)
    ]
    usual = np.abs(change(KERNEL, Protocol(Swing(1.0, 9.0), 1e-3), gamma=gamma)).max()
    if math.isinf(gamma):
        assert max(symmetric) < 1e-10 * usual
    else:
        assert symmetric[1] < 1e-3 * usual
        assert symmetric[0] / symmetric[1] == pytest.approx(10, rel=0.2)


def test_a_memory_of_one_lobe_does_not_learn() -> None:
    for task in TASKS[:3]:
        found = train_temporal(NETWORK, task, exponential(0.5), Protocol(Swing(1.0, 9.0)), steps=60)
        assert not found.reached
        assert float(found.error[-1]) > 0.1


def test_a_nudge_too_fast_for_the_network_moves_the_edges_at_the_targets_alone() -> None:
    swing = Swing(1.0, 9.0)
    inner = ~np.isin(NETWORK.edges, TASK.targets).any(axis=1)
    moved = np.abs(change(KERNEL, Protocol(swing), gamma=1e-4))
    assert moved[inner].max() < 1e-3 * moved.max()
    found = [train_temporal(NETWORK, task, KERNEL, Protocol(swing), gamma=1e-4, steps=100) for task in TASKS]
    failed = [run for run in found if not run.reached]
    assert len(failed) >= 3
    assert all("did not reach C/C0 = 0.01 in 100 updates" in run.outcome for run in failed)


def test_a_fixed_threshold_loses_its_signals_and_says_so() -> None:
    found = [
        train_temporal(NETWORK, task, KERNEL, Protocol(Swing(1.0, 9.0), threshold="fixed"), steps=300)
        for task in TASKS
    ]
    ended = [run for run in found if not run.reached]
    assert len(ended) >= 3
    for run in ended:
        assert "did not reach C/C0 = 0.01" in run.outcome
        assert math.isnan(run.training_time)
        assert len(run.error) == run.updates + 1
    assert any("no edge changes any more" in run.outcome for run in ended)


def test_a_constant_displacement_moves_the_targets_equally_far() -> None:
    found = train_temporal(NETWORK, TASK, KERNEL, Protocol(Swing(1.0, 9.0), 0.1, "displacement"), steps=100)
    far = found.nudge.values * np.sqrt(found.error.values[: len(found.nudge)])
    np.testing.assert_allclose(far, 0.1, rtol=1e-9)


def test_sizes_take_turns_on_a_ladder() -> None:
    found = train_temporal(
        NETWORK, TASK, KERNEL, Protocol(Swing(1.0, 9.0), 0.1, ladder=3), steps=4, goal=1e-9
    )
    np.testing.assert_allclose(found.nudge, [0.1, 0.1 / 9, 0.1 / 81, 0.1], rtol=1e-12)


def test_equal_examples_are_one_example_that_takes_twice_the_time() -> None:
    twice = Task(TASK.sources, np.tile(TASK.inputs, (2, 1)), TASK.targets, np.tile(TASK.outputs, (2, 1)))
    one = train_temporal(NETWORK, TASK, KERNEL, Protocol(Swing(1.0, 9.0)), steps=200, gamma=2.0)
    two = train_temporal(NETWORK, twice, KERNEL, Protocol(Swing(1.0, 9.0)), steps=200, gamma=2.0)
    np.testing.assert_allclose(two.conductance, one.conductance, rtol=1e-9)
    assert one.reached
    assert two.training_time == 2 * one.training_time


def test_the_result_says_how_it_was_made() -> None:
    found = train_temporal(NETWORK, TASK, KERNEL, Protocol(Swing(1.0, 9.0), margin=0.8), steps=2)
    protocol = json.loads(found.protocol)
    assert protocol["margin"] == 0.8
    assert protocol["swing"]["fall"] == 9.0
    assert found.sizes["step"] == 3
    assert found.sizes["update"] == 2
    assert (found.conductance >= found.least).all()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"alpha": 0.0}, "alpha"),
        ({"gamma": -1.0}, "gamma must be positive"),
        ({"goal": 1.0}, "share of the first error"),
        ({"steps": 0}, "steps must be a whole number"),
        ({"conductance": 1e-9}, "begin at the least one"),
        ({"conductance": -1.0}, "positive and finite"),
    ],
)
def test_settings_that_make_no_sense_are_refused(how: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        train_temporal(NETWORK, TASK, KERNEL, **how)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"size": "half"}, "size must be 'share' or 'displacement'"),
        ({"threshold": "mean"}, "threshold must be 'fixed'"),
        ({"nudge": 0.0}, "nudge"),
        ({"ladder": 0}, "ladder"),
        ({"recall": 0.5}, "at least 1 period"),
        ({"floor": -1.0}, "floor"),
    ],
)
def test_protocols_that_make_no_sense_are_refused(how: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Protocol(**how)


def test_swings_and_kernels_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="rise and fall must be positive"):
        Swing(0.0, 1.0)
    with pytest.raises(ValueError, match="pause"):
        Swing(1.0, 1.0, -1.0)
    with pytest.raises(ValueError, match="at least 8"):
        Swing(1.0, 1.0, instants=4)
    solved = Task(
        TASK.sources, TASK.inputs, TASK.targets, response(NETWORK, ONES, TASK).free[:, TASK.targets]
    )
    with pytest.raises(ValueError, match="nothing to learn"):
        train_temporal(NETWORK, solved, KERNEL)
