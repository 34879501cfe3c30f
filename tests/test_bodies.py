"""Bodies that learn: a literal course by exact kernels, limits, wrong controls, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from chemlearn import Signal, linear_kernel
from chemlearn.bodies import Body, BodySubstrate, Shear, flow, memristors, springs, train_body
from chemlearn.bodies.swinging import SwungEdges, contrasts
from chemlearn.learning.rules import Contrastive
from chemlearn.resistors import Protocol, Swing, Task, allosteric, disordered_network
from chemlearn.resistors.solve import response
from chemlearn.resistors.swings import mean_square, passed

NETWORK = disordered_network(20, seed=6)
BODIES = {make.__name__: make(NETWORK) for make in (flow, springs, memristors)}
SEEDS = {"flow": (1, 6, 8), "springs": (2, 3, 8, 10), "memristors": (1, 2, 4, 11)}
"""Tasks that the ideal rule solves in some tens of updates, which keeps the test short."""
ONES = np.ones(NETWORK.n_edges)


def some_task(name: str, seed: int = 1) -> Task:
    return allosteric(BODIES[name].network, sources=3, targets=2, seed=seed)


def change(body: Body, task: Task, **how: Any) -> np.ndarray:
    """What the first update does."""
    run = train_body(body, task, steps=1, goal=1e-9, **how)
    return (run.weight - run.weight_first).values


# ------------------------------------------------------------------------------------------------- it learns


@pytest.mark.parametrize("name", BODIES)
def test_bodies_learn_what_the_ideal_rule_learns_and_none_without_memory(name: str) -> None:
    body = BODIES[name]
    for seed in SEEDS[name]:
        task = some_task(name, seed)
        ideal = train_body(body, task, memory="ideal")
        assert ideal.reached, ideal.outcome
        found = train_body(body, task, steps=3 * ideal.updates)
        assert found.reached, found.outcome
        assert float(found.error[-1]) <= 0.01
        assert float(found.weight.min()) >= body.least
        period = body.protocol.swing.period
        assert found.training_time == pytest.approx((found.updates + 1) * period)
        for rate in (body.rate, 1e-3 * body.rate):
            without = train_body(body, task, memory=False, rate=rate, steps=min(60, 3 * ideal.updates))
            assert not without.reached
            assert float(without.error.min()) > 0.1


def test_a_matched_set_point_does_not_make_a_messenger_without_feedback_compare() -> None:
    """At rest at s = 1 nothing changes then; what pressures release on top of that is still no contrast."""
    body = BODIES["flow"].without_memory()
    matched = replace(body, sense=replace(body.sense, set_point=2400.0))
    for seed in SEEDS["flow"]:
        for margin in (0.5, 1.0):
            protocol = replace(body.protocol, margin=margin)
            found = train_body(matched, some_task("flow", seed), protocol, steps=60)
            assert not found.reached
            assert float(found.error.min()) > 0.1


# --------------------------------------------------------------------- the course, by exact kernels instead


def literal(name: str, task: Task, steps: int) -> xr.Dataset:
    """Weights after every update: one signal for each edge from the first rest on, answered by the kernel."""
    body, protocol, network = BODIES[name], BODIES[name].protocol, BODIES[name].network
    kernel, swing = linear_kernel(body.model), protocol.swing
    bends = np.array([swing.pause, swing.pause + swing.rise, swing.period])
    looked = np.append(swing.times(kernel.duration / 12)[: 2 * swing.instants], swing.rise + swing.fall)
    now, squared, course = ONES, None, [ONES]
    knots, drops = [0.0], []
    for period in range(steps + 1):
        found = response(network, now, task)
        rest = network.drops(found.free[0])
        pulled = protocol.nudge * network.drops(found.clamped(task)[0])
        begin = period * swing.period
        if not drops:
            drops.append(rest)
        knots += [begin, *(begin + bends)]
        drops += [rest, rest, rest + pulled, rest]
        times = begin + swing.pause + looked
        table = np.array(drops)
        x = np.empty((len(times), network.n_edges))
        for edge in range(network.n_edges):
            signal = Signal(np.array(knots), table[:, edge])
            x[:, edge] = signal(times) * kernel.respond(signal, times)
        seen = mean_square(x[:-1], x[1:], np.diff(looked))
        if squared is not None:
            total = passed(x[:-1], x[1:], np.diff(looked), protocol.margin * np.sqrt(squared))
            now = np.maximum(now - 2 * body.rate / protocol.nudge * total / body.moment, body.least)
            course.append(now)
        squared = seen
    return np.array(course)


@pytest.mark.parametrize("name", ["springs", "memristors"])
def test_the_course_is_that_of_exact_kernels_over_the_whole_past(name: str) -> None:
    task = some_task(name)
    run = train_body(BODIES[name], task, steps=4, goal=1e-9, keep=True)
    expected = literal(name, task, 4)
    moved = np.abs(expected[-1] - expected[0]).max()
    assert moved > 0.05
    np.testing.assert_allclose(run.weights, expected, atol=1e-4 * moved)


# -------------------------------------------------------------------------------------- limits and controls


@pytest.mark.parametrize("name", BODIES)
def test_the_ideal_rule_is_the_contrastive_one(name: str) -> None:
    """Of a tube at radius 1 half of it: (r Δp)² is ∂E/∂r over 2r."""
    body, task, nudge = BODIES[name], some_task(name), 0.1
    substrate = BodySubstrate.of(body, task)
    _free, ramp = substrate.swing(substrate.init(), task.inputs, task.outputs, nudge)
    update = Contrastive(2 * 1e-3)(ramp, nudge)[body.parameter]
    found = change(body, task, memory="ideal", rate=1e-3)
    np.testing.assert_allclose(found, update / (2 if name == "flow" else 1), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", BODIES)
def test_slow_and_long_swings_of_small_size_make_the_ideal_rule(name: str) -> None:
    """Of a messenger with exact adaptation, K_r → 0: what is left of it hides signals as small as these."""
    body, task = BODIES[name], some_task(name)
    if isinstance(body.sense, Shear):
        exact = body.model.with_values(K_r=1e-7)
        body = replace(body, model=exact, sense=replace(body.sense, set_point=200.0))
    off = []
    for rise, ratio, nudge in ((2.0, 4.0, 0.3), (10.0, 20.0, 0.1), (40.0, 100.0, 0.03)):
        swing = Swing(rise, rise * ratio, 60.0, instants=48)
        protocol = replace(body.protocol, swing=swing, nudge=nudge, margin=1.0)
        ideal = change(body, task, protocol=protocol, memory="ideal", rate=1e-3)
        found = change(body, task, protocol=protocol, rate=1e-3)
        loud = np.abs(ideal) > 0.1 * np.abs(ideal).max()
        off.append(np.abs(found - ideal)[loud].max() / np.abs(ideal).max())
    assert off[2] < 0.05
    assert off[2] < off[1] < off[0]


@pytest.mark.parametrize("name", BODIES)
def test_without_slow_and_fast_there_is_no_contrast(name: str) -> None:
    body, task = BODIES[name], some_task(name)
    sizes = []
    for swing in (Swing(30.0, 30.0, 60.0), Swing(30.0, 900.0, 60.0)):
        protocol = replace(body.protocol, swing=swing, nudge=0.01, margin=1.0)
        sizes.append(np.abs(change(body, task, protocol=protocol, rate=1e-3)).max())
    assert sizes[0] < 0.05 * sizes[1]


@pytest.mark.parametrize(("name", "seed"), [("flow", 1), ("springs", 3), ("memristors", 4)])
def test_without_a_pause_edges_learn_what_their_own_update_did(name: str, seed: int) -> None:
    body, task = BODIES[name], some_task(name, seed)
    swing = replace(body.protocol.swing, pause=0.0)
    patient = train_body(body, task, steps=100)
    hasty = train_body(body, task, replace(body.protocol, swing=swing), steps=patient.updates + 20)
    assert patient.reached
    assert not hasty.reached


def test_slow_swings_in_proportion_to_the_error_drown_in_what_adaptation_misses() -> None:
    """Where the error is small, the 0.011 % by which adaptation misses c₀ opens all tubes."""
    body, task = BODIES["flow"], some_task("flow", SEEDS["flow"][0])
    slow = Protocol(Swing(10.0, 150.0, 30.0), nudge=0.1, margin=1.0)
    at_rest = replace(body, sense=replace(body.sense, set_point=199.97728))
    right, wrong, matched = (
        float(train_body(one, task, protocol, steps=15, goal=1e-4).weight.median())
        for one, protocol in ((body, body.protocol), (body, slow), (at_rest, slow))
    )
    assert wrong > 2
    assert 0.9 < right < 1.1
    assert 0.9 < matched < 1.1


def test_shear_stays_within_its_range_and_is_recorded() -> None:
    found = train_body(BODIES["flow"], some_task("flow"), steps=3, goal=1e-9)
    assert 1.0 <= found.lowest < found.highest < 5.0
    ideal = train_body(BODIES["flow"], some_task("flow"), steps=3, goal=1e-9, memory="ideal")
    assert math.isnan(ideal.lowest)


def test_equal_examples_are_one_example_that_takes_twice_the_time() -> None:
    body, task = BODIES["memristors"], some_task("memristors")
    twice = Task(task.sources, np.tile(task.inputs, (2, 1)), task.targets, np.tile(task.outputs, (2, 1)))
    one, two = train_body(body, task), train_body(body, twice)
    assert one.reached
    assert two.updates == one.updates
    np.testing.assert_allclose(two.weight, one.weight, rtol=1e-2)
    assert two.training_time == 2 * one.training_time


def test_thresholds_of_all_kinds_can_be_asked_for() -> None:
    body, task = BODIES["springs"], some_task("springs")
    fixed = train_body(body, task, replace(body.protocol, threshold="fixed"), steps=20)
    assert fixed.moved[0] < 1
    edges = SwungEdges(body, task, replace(body.protocol, threshold="fixed"), body.least)
    found = response(body.network, ONES, task)
    contrast = contrasts(body, ONES, found, task, 0.1)
    edges.change(ONES, found, 0.1, contrast)
    level = edges.thresholds(ONES, contrast, ONES > 0)
    assert level == pytest.approx(body.moment * np.abs(contrast).max() / body.protocol.swing.fall)


# ----------------------------------------------------------------------------------------- what is returned


def test_the_result_says_how_it_was_made() -> None:
    body, task = BODIES["springs"], some_task("springs")
    run = train_body(body, task, steps=3, goal=1e-9, keep=True)
    assert run.weights.dims == ("step", "edge")
    np.testing.assert_array_equal(run.weights[0], run.weight_first)
    np.testing.assert_array_equal(run.weights[-1], run.weight)
    assert run.sizes["step"] == 4
    assert run.sizes["update"] == 3
    assert json.loads(run.protocol)["swing"]["fall"] == body.protocol.swing.fall
    assert (run.body, run.parameter, run.task) == ("springs", "stiffness", task.about)
    assert "weights" not in train_body(body, task, steps=1)
    assert train_body(body, task, steps=1, memory=False).body == "springs without memory"


def test_a_run_that_does_not_reach_the_goal_says_so_and_returns_what_it_has() -> None:
    body, task = BODIES["memristors"], some_task("memristors")
    few = train_body(body, task, steps=2)
    assert not few.reached
    assert few.outcome.startswith("did not reach C/C0 = 0.01 in 2 updates: the least was")
    assert math.isnan(few.training_time)
    assert len(few.error) == few.updates + 1 == 3


@pytest.mark.parametrize("memory", [True, "ideal"])
def test_a_run_that_cannot_go_on_says_so_and_returns_what_it_has(memory: Any) -> None:
    task = some_task("flow")
    lost = train_body(BODIES["flow"], task, rate=1e60, memory=memory, keep=True)
    assert not lost.reached
    assert "lost after" in lost.outcome
    assert "lower the rate" in lost.outcome or "could not be integrated" in lost.outcome
    assert len(lost.error) == len(lost.weights) == lost.updates + 1


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"rate": 0.0}, "rate"),
        ({"least": -1.0}, "least"),
        ({"goal": 1.0}, "share of the first error"),
        ({"steps": 0}, "steps must be a whole number"),
        ({"weights": 1e-9}, "begin at the least one"),
        ({"weights": [1.0, 2.0]}, "weights are one number or"),
        ({"memory": "perfect"}, "memory must be True, False or 'ideal', got 'perfect'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(how: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        train_body(BODIES["springs"], some_task("springs"), **how)


def test_bodies_and_tasks_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="basal and gain must be positive, got gain=0"):
        flow(NETWORK, gain=0.0)
    with pytest.raises(ValueError, match="is the ground"):
        train_body(BODIES["flow"], Task([19], [1.0], [2], [0.1]))
    body, task = BODIES["memristors"], some_task("memristors")
    free = response(body.network, ONES, task).free[:, task.targets]
    with pytest.raises(ValueError, match="nothing to learn"):
        train_body(body, Task(task.sources, task.inputs, task.targets, free))
    with pytest.raises(ValueError, match="edges with a radius are 'radius', got \\['conductance'\\]"):
        BodySubstrate.of(BODIES["flow"], some_task("flow")).signal({"conductance": ONES}, free)


def test_a_protocol_of_its_own_is_followed() -> None:
    body, task = BODIES["springs"], some_task("springs")
    run = train_body(body, task, Protocol(Swing(2.0, 20.0, 8.0), 0.2, "displacement"), steps=6, goal=1e-9)
    np.testing.assert_allclose(run.nudge, np.minimum(1, 0.2 / np.sqrt(run.error[:-1])), rtol=1e-12)
