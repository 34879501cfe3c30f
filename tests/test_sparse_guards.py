"""What stops a run of the sparse engine: laws that are none, what has no bound, endless runs, Ctrl-C."""

from __future__ import annotations

import _thread
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from chemlearn.errors import SimulationError
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate.sparse import Run

DEATH = "substanceOnly species X; X = 100; s = 1; lost: X => ; s*X;"
ENDLESS = "substanceOnly species X; X = 1000; up: => X; 1000; down: X => ; X;"


def unchecked(text: str, signal: Signal | None = None, **how: float) -> np.ndarray:
    """Without the lint, which refuses such models: the engine must not trust it."""
    times = np.array([0.0, 10.0])
    return Run(Model.load(text), times, signal, {}, **how)(range(40), 1, 0)  # type: ignore[arg-type]


def test_a_negative_propensity_is_named() -> None:
    text = "substanceOnly species X, Y; X = 5; Y = 0; fine: X => Y; X; net: => X; 3 - 2*Y;"
    with pytest.raises(SimulationError, match=r"reaction net: its propensity is -1 at t=.* with Y=2;"):
        unchecked(text)


def test_a_propensity_that_goes_below_zero_in_time_is_named() -> None:
    text = "substanceOnly species X; X = 0; s = 1; made: => X; 5; odd: => X; (s - 1)*(X + 1);"
    with pytest.raises(SimulationError, match="reaction odd: its propensity is"):
        unchecked(text, Signal(np.array([0, 5.0]), np.array([3.0, 0.0])))
    with pytest.raises(SimulationError, match="reaction odd: its propensity is"):
        unchecked("substanceOnly species X; X = 0; odd: => X; 5*cos(time)")


def test_a_law_that_just_reaches_zero_is_none_of_these() -> None:
    text = "substanceOnly species X; X = 0; s = 1; k = 0.7; made: => X; k*(s - 0.1)*(3 - s);"
    assert np.all(unchecked(text, Signal.sawtooth(0.1, 3.0, rise=0.7, fall=0.3, periodic=True)) >= 0)


def test_a_reaction_that_takes_more_than_there_is_is_named() -> None:
    with pytest.raises(SimulationError, match="reaction R: it takes 2 X, but fires with 1"):
        unchecked("substanceOnly species X; X = 5; R: 2 X => ; X;")
    with pytest.raises(SimulationError, match="reaction R: it takes 1 X, but fires with 0"):
        unchecked("substanceOnly species X; X = 5; R: X => ; 2;")
    with pytest.raises(SimulationError, match="reaction R: it takes 1 X, but fires with 0"):
        unchecked("substanceOnly species X; X = 5; R: X => ; 2 + sin(time);")


def test_a_propensity_that_is_not_a_number_is_named() -> None:
    with pytest.raises(SimulationError, match="reaction R: its propensity is inf"):
        unchecked("substanceOnly species X, Y; X = 5; Y = 0; Q: X => Y; X; R: => X; 1/X;")
    with pytest.raises(SimulationError, match="reaction R: its propensity is nan"):
        unchecked("substanceOnly species X, Y; X = 5; Y = 0; Q: X => Y; X; R: => X; X/X;")


def test_what_has_no_bound_is_named() -> None:
    text = "substanceOnly species X; X = 0; s = 1; made: => X; 1/(s - 2)^2;"
    with pytest.raises(SimulationError, match=r"reaction made: its propensity is inf at t=2.5 "):
        unchecked(text, Signal(np.array([0, 5.0]), np.array([3.0, 1.0])))
    with pytest.raises(SimulationError, match=r"cannot be bounded along the ramp at t=2\.99"):
        unchecked("substanceOnly species X; X = 0; made: => X; 1/abs(time - 3)^1.5")


def test_a_loose_bound_is_made_close_by_shorter_windows() -> None:
    """1/(s - s^2 ...) is unbounded by its form over long windows, and harmless."""
    text = "substanceOnly species X; X = 0; s = 1; made: => X; 1/(s^2 - s + 0.3);"
    counts = unchecked(text, Signal.sawtooth(0, 2, rise=1, fall=1, periodic=True))
    assert counts[:, 1].mean() > 10


def test_an_explosion_ends() -> None:
    with pytest.raises(SimulationError, match=r"(too fast for time to advance|propensity is inf)"):
        unchecked("substanceOnly species X; X = 5; R: X => 100 X; X^3;")


def test_a_trajectory_may_not_take_for_ever() -> None:
    text = "substanceOnly species X; X = 5; up: => X; 1000; down: X => ; X;"
    for most in (100, 15000):
        with pytest.raises(SimulationError, match=f"more than {most} firings"):
            unchecked(text, most_steps=most)
    assert unchecked(text, most_steps=10**6).shape == (40, 2, 1)


def test_a_trajectory_may_not_take_too_long() -> None:
    run = Run(Model.load(ENDLESS), np.array([0.0, 1e9]), None, {}, timeout=0.2)
    begun = time.perf_counter()
    with pytest.raises(SimulationError, match=r"more than 0.2 s"):
        run(range(2), 1, 0)
    assert time.perf_counter() - begun < 2


def test_an_absorbed_trajectory_ends_at_once() -> None:
    times = np.linspace(0, 1e9, 5)
    begun = time.perf_counter()
    for signal in (None, Signal.sawtooth(0, 1, rise=1e6, fall=1e6, periodic=True)):
        assert np.all(Run(Model.load(DEATH), times, signal, {})(range(1000), 1, 0)[:, 1:] == 0)
    assert time.perf_counter() - begun < 4


def test_a_model_without_reactions_stays() -> None:
    assert np.all(unchecked("substanceOnly species X;\nX = 5; k = 1;") == 5)


def test_the_state_at_time_zero_alone() -> None:
    for signal in (None, Signal.sawtooth(0, 1, rise=1, fall=1)):
        counts = Run(Model.load(DEATH), np.array([0.0]), signal, {})(range(3), 1, 0)
        assert counts.tolist() == [[[100.0]]] * 3


def test_what_is_not_fired_is_refused() -> None:
    with pytest.raises(SimulationError, match="rate rule of x: what changes continuously cannot be fired"):
        unchecked("substanceOnly species X; X = 0; x = 1; x' = -x; R: => X; 1")
    with pytest.raises(SimulationError, match="reaction R: it changes amounts by other than whole numbers"):
        unchecked("substanceOnly species X; X = 0; R: => 1.5 X; 1")


def test_ctrl_c_stops_the_main_thread_within_a_second() -> None:
    run = Run(Model.load(ENDLESS), np.array([0.0, 1e9]), None, {})
    timer = threading.Timer(0.3, _thread.interrupt_main)
    begun = time.perf_counter()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run(range(32), 1, 0)
    assert time.perf_counter() - begun < 1.3


def test_other_threads_can_be_stopped_and_python_goes_on_beside_them() -> None:
    stopping = threading.Event()
    run = Run(Model.load(ENDLESS), np.array([0.0, 1e9]), None, {}, stopping=stopping)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(partial(run, range(32)), k, 0) for k in range(2)]
        begun = time.perf_counter()
        while time.perf_counter() - begun < 0.2:
            pass
        stopping.set()
        for future in waiting:
            with pytest.raises(KeyboardInterrupt):
                future.result(timeout=1)


def test_blocks_cover_every_trajectory_once() -> None:
    run = Run(Model.load(DEATH), np.array([0.0, 1.0]), None, {})
    for trajectories, workers in ((1, 1), (33, 4), (1000, 2), (100_000, 2)):
        numbers = [k for block in run.blocks(trajectories, workers) for k in block]
        assert numbers == list(range(trajectories))
