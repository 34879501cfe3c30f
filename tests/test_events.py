"""Events: read from SBML, fired exactly with the semantics of Level 3, refused where that is impossible."""

from __future__ import annotations

import csv

import libsbml
import numpy as np
import pytest
from scipy.linalg import expm

from chemlearn.events import Event
from chemlearn.expression import infix, number
from chemlearn.model import Model
from chemlearn.network import Network
from chemlearn.sbml import to_sbml
from chemlearn.signal import Signal
from chemlearn.simulate.sparse import Run
from tests.statistics import assert_means, assert_moments, z_threshold

STILL = "substanceOnly species X, Y; X = 5; Y = 0; k = 1; R: X => Y; 0*X;\n"


def states(
    text: str, times: list[float], *, signal: Signal | None = None, seed: int = 1, n: int = 1, **how: float
) -> np.ndarray:
    """States of the first trajectories, (n, n_times, n_columns)."""
    model = Model.load(text)
    model.require(stochastic=True)
    return Run(model, np.array(times), signal, {}, **how)(range(n), seed, 0)  # type: ignore[arg-type]


def course(text: str, times: list[float], signal: Signal | None = None) -> list[float]:
    """The first species of a model in which only events happen."""
    return states(STILL + text, times, signal=signal)[0, :, 0].tolist()


# ----------------------------------------------------------------------------------------------- as read


def read(text: str) -> Network:
    return Network.read(to_sbml(text, "my.ant"))


def test_an_event_is_read_with_all_its_parts() -> None:
    network = read(
        "compartment c = 2; species S in c; S = 3; substanceOnly species X; X = 1; r := X + 1; k = 1;\n"
        "E: at 4 after time > r && S < 2, priority = 3, persistent = false, t0 = false, fromTrigger = false:"
        " X = r, S = 5, k = k + 1\n S => X; k*S"
    )
    (event,) = network.events
    assert (event.name, event.persistent, event.initial, event.values_at_trigger) == (
        "E",
        False,
        False,
        False,
    )
    assert infix(event.trigger) == "((time > (X + 1)) && ((S / c) < 2))"
    assert {name: infix(tree) for name, tree in event.assignments} == {
        "X": "(X + 1)",
        "S": "(5 * c)",
        "k": "(k + 1)",
    }
    assert (event.delay, event.priority) == (number(4), number(3))
    assert network.switched == ("k",)
    assert network.variables == ("S", "X", "k")
    assert network.initial == {"S": 6.0, "X": 1.0, "k": 1.0}
    assert "k" not in network.constants


def test_antimony_means_that_triggers_were_true_before() -> None:
    (event,) = read("A = 1; at A > 3: A = 0").events
    assert event == Event("_E0", event.trigger, event.assignments)
    assert (event.initial, event.persistent, event.values_at_trigger) == (True, True, True)
    assert (event.delay, event.priority, str(event), event.place) == (None, None, "_E0", "event _E0")


def test_level_2_knows_neither_priorities_nor_earlier_triggers() -> None:
    text = "A = 1; R: => A; 1; E: at 3 after A > 3, priority = 2, persistent = false, t0 = false: A = 0"
    document = libsbml.readSBMLFromString(to_sbml(text, "my.ant"))
    assert document.setLevelAndVersion(2, 4, False)
    (event,) = Network.read(libsbml.writeSBMLToString(document)).events
    assert (event.initial, event.persistent, event.values_at_trigger) == (True, True, True)
    assert (event.priority, event.delay) == (None, number(3))


def test_an_event_without_a_condition_never_happens() -> None:
    sbml = to_sbml("A = 1; R: => A; 1; E: at A > 3: A = 0", "my.ant")
    empty = sbml[: sbml.index("<trigger")] + sbml[sbml.index("</trigger>") + len("</trigger>") :]
    assert Network.read(empty).events == ()


def test_volumes_and_boundary_species_may_be_set() -> None:
    """What stands in a volume that is set keeps its amount; a concentration is set in the new volume."""
    network = read(
        "compartment c = 2; species S in c, $B in c; S = 3; B = 4; R: S => ; c*S*B;"
        "E: at time > 1: c = 5, S = 2; F: at time > 2: B = 7"
    )
    assert network.switched == ("c", "B")
    assert network.initial == {"S": 6.0, "c": 2.0, "B": 8.0}
    assert infix(dict(network.events[0].assignments)["S"]) == "10"
    assert infix(dict(network.events[1].assignments)["B"]) == "(7 * c)"
    text = "compartment c = 2; species S in c, $B in c; S = 3; B = 4; R: S => ; 0*S*B; u := B; v := S;"
    after = states(text + "E: at time > 1: c = 5, S = 2; F: at time > 2: B = 7", [0, 1, 2, 3])[0]
    assert after.tolist() == [
        [6, 2, 8, 4, 3],
        [10, 5, 8, 1.6, 2],
        [10, 5, 35, 7, 2],
        [10, 5, 35, 7, 2],
    ]


# ------------------------------------------------------------------------------- what happens, and when

COURSES: dict[str, tuple[str, list[float], list[float]]] = {
    "time at and after an instant": (
        "A: at time >= 2: X = 7; B: at time > 2: X = X + 1; C: at time == 3: X = 20; D: at time <= 4: X = 1",
        [0, 1.999, 2, 2.5, 3, 3.5, 5],
        [5, 5, 8, 8, 20, 20, 20],
    ),
    "an interval": (
        "A: at time > 2 && !(time > 3): X = 7; B: at time < 2 || time >= 3: X = 1",
        [1, 2, 3],
        [5, 7, 1],
    ),
    "the instant of the last output": ("A: at time > 4: X = 8", [0, 4], [5, 8]),
    "before time 0": ("A: at time >= 0, t0 = false: X = 7; B: at time > 0, t0 = false: X = X + 1", [0], [8]),
    "true before time 0": ("A: at time >= 0: X = 7", [0, 1], [5, 5]),
    "a delay": ("A: at 2 after time > 1: X = 9", [2.9, 3, 4], [5, 9, 9]),
    "a delay that the state tells": ("A: at X/2 after time > 1: X = 9", [3.4, 3.5], [5, 9]),
    "new values at the trigger": (
        "A: at 2 after time > 1: X = Y; B: at time > 2: Y = 6",
        [2, 3, 4],
        [5, 0, 0],
    ),
    "new values at the execution": (
        "A: at 2 after time > 1, fromTrigger = false: X = Y; B: at time > 2: Y = 6",
        [2, 3, 4],
        [5, 6, 6],
    ),
    "all assignments at once": ("A: at time > 1: X = Y + 1, Y = X", [0, 1], [5, 1]),
    "priorities": (
        "A: at time > 1, priority = 1, fromTrigger = false: X = 2*X;"
        "B: at time > 1, priority = 2, fromTrigger = false: X = X + 1;"
        "C: at time > 1, priority = X - 4, fromTrigger = false: X = X - 2",  # 2 once B is done: before A
        [0, 1],
        [5, 8],
    ),
    "values at the trigger beside priorities": (
        "A: at time > 1, priority = 1: X = 2*X; B: at time > 1, priority = 2: X = X + 1",
        [0, 1],
        [5, 10],
    ),
    "no priority comes last": (
        "A: at time > 1: X = 20; B: at time > 1, priority = -5: X = 30",
        [0, 1],
        [5, 20],
    ),
    "one event triggers another": (
        "A: at time > 1: Y = 3; B: at Y > 2: X = 8, Y = 0; C: at X == 8 && Y == 0: X = 9",
        [0, 1],
        [5, 9],
    ),
    "not persistent": (
        "A: at 2 after Y > 2, persistent = false: X = 8; B: at time > 1: Y = 3; C: at time > 2: Y = 0",
        [2, 3, 4],
        [5, 5, 5],
    ),
    "persistent": (
        "A: at 2 after Y > 2: X = 8; B: at time > 1: Y = 3; C: at time > 2: Y = 0",
        [2, 3, 4],
        [5, 8, 8],
    ),
    "not persistent at one instant": (
        "A: at time > 1, priority = 2: Y = 3;"
        "B: at time > 1 && Y == 0, persistent = false, priority = 1: X = 9",
        [0, 1, 2],
        [5, 5, 5],
    ),
    "again and again": (
        "last = 0; A: at time - last >= 1.5: X = X + 1, last = time",
        [1, 1.5, 2.9, 3, 4.5, 5],
        [5, 6, 6, 7, 8, 8],
    ),
    "a threshold that an event moves": (
        "A: at time >= k, fromTrigger = false: X = X + 1, k = 2*k",
        [0.5, 1, 2, 3, 4, 8, 9],
        [5, 6, 7, 7, 8, 9, 9],
    ),
    "outputs that round": (
        "last = 0; A: at time - last >= 0.1: X = X + 1, last = last + 0.1",
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7],
        [6, 7, 8, 9, 10, 11, 12],
    ),
    "a crossing that rounds": (
        "A: at 3*time >= 0.3: X = X + 1; B: at time > 0.05: k = 2",
        [0.09, 0.3],
        [5, 6],
    ),
    "several executions wait": (
        "A: at 10 after time - k >= 0, fromTrigger = false: X = X + 1; B: at time - k >= 0: k = k + 0.25",
        [9, 10.9, 11, 12, 30],
        [5, 5, 6, 10, 82],
    ),
}


@pytest.mark.parametrize("name", COURSES)
def test_what_happens_and_when(name: str) -> None:
    text, times, expected = COURSES[name]
    assert course(text, times) == expected


TEETH = Signal.sawtooth(0, 3, rise=1, fall=3, periodic=True)


@pytest.mark.parametrize(
    ("text", "times", "expected", "signal"),
    [
        ("A: at s >= 2: X = X + 1", [0.6, 0.7, 4.6, 4.7], [5, 6, 6, 7], TEETH),
        ("A: at s >= 3: X = X + 1", [0.99, 1, 4.99, 5, 9], [5, 6, 6, 7, 8], TEETH),  # the peak alone
        ("A: at s > 3: X = X + 1", [0, 9], [5, 5], TEETH),
        ("A: at s < 1: X = X + 1", [2.9, 3, 6.9, 7], [5, 6, 6, 7], TEETH),
        ("A: at s <= 0: X = X + 1", [3.9, 4, 8], [5, 6, 7], TEETH),
        ("A: at s > X/2: X = X + 1", [0.8, 0.9, 12], [5, 6, 6], TEETH),  # 2.5, then 3, which is not passed
        ("A: at s + time > 3: X = X + 1", [0.74, 0.76, 9], [5, 6, 6], TEETH),
        ("A: at s*s > 4: X = X + 1", [0.9, 1.1, 2.1, 3.1], [5, 6, 6, 7], "square"),
        ("A: at s > 1: X = X + 1; B: at s < 1: X = 10*X", [0.9, 1, 2, 3], [5, 6, 60, 61], "square"),
    ],
)
def test_what_the_input_triggers(text, times, expected, signal) -> None:
    if signal == "square":
        signal = Signal.square(0, 3, first=1, second=1, periodic=True)
    assert course("s = 0;" + text, times, signal) == expected


@pytest.mark.statistical
def test_equal_priorities_come_in_random_order(seed) -> None:
    """Each of three events is the last of them in a third of the trajectories, by the trajectory's stream."""
    s, n = seed(81), 6000
    text = STILL + "".join(f"E{i}: at time > 1, priority = Y: X = {i};" for i in (1, 2, 3))
    last = states(text, [0, 1], seed=s, n=n)[:, 1, 0]
    share = np.array([(last == i).mean() for i in (1, 2, 3)])
    assert np.abs((share - 1 / 3) / np.sqrt(2 / 9 / n)).max() < z_threshold(3)


# ------------------------------------------------------------------------------------------ exact laws


@pytest.mark.statistical
def test_a_reset_at_a_time(seed) -> None:
    s, times = seed(82), np.array([1.0, 3.0, 4.5, 9.0])
    text = "substanceOnly species X; X = 0; made: => X; 10; lost: X => ; 0.5*X; E: at time >= 3: X = 20"
    counts = states(text, times.tolist(), seed=s, n=20000)[..., 0]
    since, left = np.maximum(times - 3, 0), np.exp(-0.5 * np.maximum(times - 3, 0))
    new = 20 * (1 - left)
    mean = np.where(times < 3, 20 * (1 - np.exp(-0.5 * times)), new + 20 * left)
    var = np.where(times < 3, mean, new + 20 * left * (1 - left))
    assert since[1] == 0
    assert_moments(counts, mean, var, seed=s)


RESET = "substanceOnly species X; X = 0; k = 8; made: => X; k; lost: X => ; 0.2*X;"


def reset_law(times: np.ndarray, change: float) -> tuple[np.ndarray, ...]:
    """X from 0 up to 10, and back to 0 instead of 11; from then on births are slower."""
    x = np.arange(22)  # 0 ... 10 before the first reset, and again after it
    w = np.zeros((22, 22))
    for i in range(22):
        level, after = i % 11, i >= 11
        w[11 if level == 10 else i + 1, i] += 8 * (change if after else 1.0)
        if level:
            w[i - 1, i] += 0.2 * level
    w -= np.diag(w.sum(axis=0))
    p = np.stack([expm(w * t)[:, 0] for t in times])
    level = x % 11
    mean = p @ level
    moments = [(p * (level - mean[:, None]) ** k).sum(axis=1) for k in (2, 4)]
    return mean, *moments, p @ (x >= 11)


@pytest.mark.statistical
def test_a_reset_at_a_count_and_a_parameter_that_it_changes(seed) -> None:
    s, times = seed(83), np.array([0.0, 1.0, 2.0, 5.0])
    counts = states(RESET + "E: at X > 10: X = 0, k = 3", times.tolist(), seed=s, n=20000)
    mean, var, fourth, switched = reset_law(times, 3 / 8)
    assert_moments(counts[..., 0], mean, var, fourth=fourth, seed=s)
    assert_means((counts[..., 1] == 3).astype(float), switched, switched * (1 - switched), seed=s)
    assert set(np.unique(counts[..., 1])) == {3.0, 8.0}


@pytest.mark.statistical
def test_an_event_that_comes_a_firing_late_is_caught(seed) -> None:
    """Negative control: the reset at 12 in place of 11."""
    s, times = seed(84), np.array([1.0, 2.0, 5.0])
    counts = states(RESET + "E: at X > 11: X = 0, k = 3", times.tolist(), seed=s, n=20000)
    mean, var, *_ = reset_law(times, 3 / 8)
    with pytest.raises(AssertionError, match="off by z"):
        assert_means(counts[..., 0], mean, var, seed=s)


@pytest.mark.statistical
def test_a_delay_after_a_random_instant(seed) -> None:
    """One molecule decays; its ashes appear 1.5 later, whatever has happened since."""
    s, times = seed(85), np.array([1.0, 1.6, 2.5, 5.0])
    text = "substanceOnly species X, Z; X = 1; Z = 0; lost: X => ; 0.7*X; E: at 1.5 after X < 1: Z = 1"
    ashes = states(text, times.tolist(), seed=s, n=10000)[..., 1]
    chance = np.where(times > 1.5, 1 - np.exp(-0.7 * (times - 1.5)), 0)
    assert_means(ashes, chance, chance * (1 - chance), seed=s)


@pytest.mark.statistical
def test_laws_that_move_go_on_after_an_event(seed) -> None:
    """A time-dependent birth and an input that kills, reset at time 1."""
    s, times = seed(86), np.array([0.5, 1.0, 1.8, 3.0])
    text = (
        "substanceOnly species X; X = 0; s = 1; made: => X; 40*exp(-time); lost: X => ; s*X;"
        "E: at time > 1: X = 3"
    )
    signal = Signal.sawtooth(0, 2, rise=0.4, fall=0.6, periodic=True)
    counts = states(text, times.tolist(), seed=s, n=10000, signal=signal)[..., 0]
    fine = (np.arange(300_000) + 0.5) * 1e-5
    hazard = np.append(0, np.cumsum(signal(fine)) * 1e-5)
    born = 40 * np.exp(-fine) * 1e-5

    def since(start: float, t: float) -> float:
        """Mean number at t of molecules born since a start."""
        a, b = round(start * 1e5), round(t * 1e5)
        return float((born[a:b] * np.exp(hazard[a:b] - hazard[b])).sum())

    mean, var = np.empty(4), np.empty(4)
    for i, t in enumerate(times):
        left = np.exp(hazard[100_000] - hazard[round(t * 1e5)]) if t >= 1 else 0.0
        new = since(1.0 if t >= 1 else 0.0, t)
        mean[i], var[i] = new + 3 * left, new + 3 * left * (1 - left)
    assert_moments(counts, mean, var, seed=s)


def suite(shared, case: str) -> tuple[Model, np.ndarray, dict[str, np.ndarray]]:
    folder = shared / "dsmts" / case
    with (folder / f"{case}-results.csv").open() as file:
        rows = list(csv.DictReader(file, skipinitialspace=True))
    columns = {name.strip(): np.array([float(row[name]) for row in rows]) for name in rows[0]}
    return Model.load(folder / f"{case}-sbml-l3v1.xml"), columns.pop("time"), columns


@pytest.mark.statistical
@pytest.mark.parametrize("case", ["00029", "00033"])
def test_the_events_of_the_stochastic_test_suite(shared, case: str, seed) -> None:
    s = seed(87)
    model, times, columns = suite(shared, case)
    counts = Run(model, times, None, {})(range(10_000), s, 0)
    mean = np.stack([columns[f"{name}-mean"] for name in model.species], axis=-1)
    sd = np.stack([columns[f"{name}-sd"] for name in model.species], axis=-1)
    moving = sd > 0
    assert_moments(counts[:, moving], mean[moving], sd[moving] ** 2, seed=s)
    np.testing.assert_array_equal(counts[0][~moving], mean[~moving])
