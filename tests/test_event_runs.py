"""Runs with events: identical in any company, as paths, stopped and refused with reasons."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from chemlearn.errors import ModelError, SimulationError
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import gillespie2, roadrunner, simulate_ode
from chemlearn.simulate.engines import streams
from chemlearn.simulate.sparse import Run
from tests.test_events import COURSES, STILL, TEETH, states

#: where SBML leaves the order open, and an equation in time that libroadrunner steps over
OPEN = {"no priority comes last", "time at and after an instant"}


@pytest.mark.parametrize("name", sorted(COURSES.keys() - OPEN))
def test_libroadrunner_fires_the_same_events(name: str) -> None:
    """In its deterministic simulation, at times away from the instants themselves."""
    text, _, _ = COURSES[name]
    times = np.array([0.003, 0.55, 1.13, 1.57, 2.17, 2.63, 3.19, 3.77, 4.33, 5.9, 8.7])
    model = Model.load(STILL + text)
    ours = Run(model, times, None, {})(range(1), 1, 0)[0, :, 0]
    np.testing.assert_allclose(simulate_ode(model, times).X.values, ours, rtol=1e-9)


BUSY = (
    "substanceOnly species X, Y; X = 0; Y = 0; k = 5; s = 1; up: => X; k*s; down: X => Y; X; off: Y => ; Y;"
    "A: at X > 4, priority = 1: X = X - 2; B: at X > 4, priority = 1: Y = Y + 1;"
    "C: at time - k > 0: k = k + 1;"
    "D: at 0.3 after Y > 3, persistent = false: Y = 0; F: at s > X: X = X + 1"
)


def test_a_trajectory_with_events_is_the_same_in_any_company() -> None:
    times, signal = np.linspace(0, 6, 25), Signal.sawtooth(0, 2, rise=0.3, fall=0.9, periodic=True)
    run = Run(Model.load(BUSY), times, signal, {})
    whole = run(range(40), 7, 3)
    for block in (range(17, 18), range(39, 40), range(13), range(3, 38, 5)):
        np.testing.assert_array_equal(run(block, 7, 3), whole[np.asarray(block)])
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda k: run(range(k, k + 10), 7, 3), range(0, 40, 10)))
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    few = Run(Model.load(BUSY), times[::3], signal, {})(range(40), 7, 3)
    np.testing.assert_array_equal(whole[:, ::3], few)


@pytest.mark.parametrize("room", [2**22, 200], ids=["at once", "in parts"])
def test_paths_with_events(room: int, monkeypatch) -> None:
    """However often the log is full, also amid the events of one instant."""
    monkeypatch.setattr("chemlearn.simulate.sparse.engine._LOG_BYTES", room)
    times, signal = np.linspace(0, 6, 25), Signal.sawtooth(0, 2, rise=0.3, fall=0.9, periodic=True)
    run = Run(Model.load(BUSY), times, signal, {})
    counts, happened = run(range(5), 7, 3), set()
    changes = run.network.stoichiometry().T
    for k, at, what, after in run.paths(range(5), 7, 3):
        before = np.vstack([run.initial, after])
        fires = what >= 0
        np.testing.assert_array_equal(np.diff(before, axis=0)[fires][:, :2], changes[what[fires]])
        np.testing.assert_array_equal(before[np.searchsorted(at, times, side="right")], counts[k])
        assert np.all(np.diff(at) >= 0)
        happened |= set(what.tolist())
    assert happened >= {0, 1, 2, -1, -2, -3, -4, -5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("E: at time > 1: X = X/2", "event E: it sets X to 2.5 at t=1; give a whole number of at least 0"),
        ("E: at time > 1: X = Y - 1", "event E: it sets X to -1 at t=1"),
        ("E: at time > 1: Y = 2, k = 1/Y", "event E: it sets k to inf at t=1; give a finite number"),
        ("E: at Y - 3 after time > 1: X = 3", "event E: its delay is -3 at t=1; a delay is a number of at"),
        ("at time > 1: Y = 1; at Y == 1: Y = 2; at Y == 2: Y = 1", "events that trigger one another at t=1"),
    ],
)
def test_what_cannot_happen_is_named(text: str, message: str) -> None:
    with pytest.raises(SimulationError, match=message.replace("?", r"\?")):
        states(STILL + text, [0, 2])


@pytest.mark.parametrize(
    ("trigger", "reason"),
    [
        ("sin(time) > 0.5", "event E: the trigger cannot be followed exactly: .*not linear in time"),
        ("time*time > X", "not linear in time"),
        ("X > 2 && piecewise(time, X > 3, 1)", "it uses time other than in a comparison"),
    ],
)
def test_triggers_whose_instants_cannot_be_computed_are_refused(trigger: str, reason: str) -> None:
    model = Model.load(STILL + f"E: at {trigger}: X = 0")
    with pytest.raises(ModelError, match=reason):
        model.require(stochastic=True)
    with pytest.raises(SimulationError, match=reason):
        Run(model, np.array([0.0, 1.0]), None, {})


def test_a_trigger_that_bends_with_a_ramp_is_refused_under_ramps_only() -> None:
    model = Model.load("s = 1;" + STILL + "E: at s*s > 2: X = 0")
    model.require(stochastic=True)
    Run(model, np.array([0.0, 1.0]), TEETH.staircase(5), {})
    with pytest.raises(SimulationError, match=r"'\(\(s \* s\) > 2\)' is not linear in s.*staircase\(200\)"):
        Run(model, np.array([0.0, 1.0]), TEETH, {})


@pytest.mark.parametrize("text", ["E: at X > 6: X = 0", "S: => X; time"])
def test_the_other_engines_refuse_what_they_take_wrongly(text: str) -> None:
    model, times = Model.load(STILL + text), np.array([0.0, 1.0])
    place = r"model:2: (event E|reaction S): .* between firings|reactions"
    with pytest.raises(SimulationError, match=place):
        roadrunner.refuse_inexact(model, None)
    with pytest.raises(SimulationError, match=r"GillesPy2 .*; use engine='native'"):
        gillespie2.Run(model, times, None, {}, streams)
