"""The sparse engine against exact laws; with signals and time; identity to the last bit; its guards."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from chemlearn.model import Model
from chemlearn.signal import Piece, Signal
from chemlearn.simulate import native, simulate_ode
from chemlearn.simulate.native.compiled import Compiled
from chemlearn.simulate.sparse import Run, suits, tree
from chemlearn.simulate.sparse.loop import build_module
from tests.statistics import (
    MassAction,
    assert_means,
    assert_moments,
    independent_molecules,
    master_equation,
    poisson_fourth,
    z_threshold,
)
from tests.test_native import BIRTHS, MOVED, SIGNALS, AnyLaw, ring_rates

BIRTH_DEATH = """
substanceOnly species X; X = 0; s = 10; k = 0.5;
made: => X; s;
lost: X => ; k*X;
u := 2*s + X;
"""
DIMERS = """
substanceOnly species P, P2; P = 21; P2 = 0; s = 1; k_on = 0.05; k_off = 0.5;
bind: 2 P => P2; s*k_on*P*(P - 1);
part: P2 => 2 P; k_off*P2;
"""
RING = """
substanceOnly species A, B, C; A = 60; B = 0; C = 20; s = 1; k = 0.7;
ab: A => B; s*A;     ba: B => A; k*B;
bc: B => C; 2*k*B;   cb: C => B; 0.3*s*C;
ca: C => A; 0.5*C;   ac: A => C; 0.1*A;
"""
HILL = (
    "substanceOnly species X; X = 0; s = 1; n = 2; made: => X; 9*s^n/(1 + s^n + X); lost: X => ; X/(1 + s);"
)
TEETH = Signal.sawtooth(0, 4, rise=1, fall=0.7, periodic=True)


@cache
def model(text: str) -> Model:
    loaded = Model.load(text)
    loaded.require(stochastic=True)
    return loaded


def fired(
    text: str, times: np.ndarray, *, trajectories: int, seed: int, signal: Signal | None = None, **start: int
) -> np.ndarray:
    """Counts, (n_trajectories, n_times, n_columns)."""
    return Run(model(text), times, signal, start)(range(trajectories), seed, 0)


# ---------------------------------------------------------------------------------------------- exact laws


@pytest.mark.statistical
def test_immigration_and_death(seed) -> None:
    s, times = seed(61), np.array([0.0, 0.5, 2.0, 5.0, 10.0])
    data = fired(BIRTH_DEATH, times, trajectories=20000, seed=s)
    mean = 20 * (1 - np.exp(-0.5 * times))
    assert_moments(data[..., 0], mean, mean, fourth=poisson_fourth(mean), seed=s)
    np.testing.assert_array_equal(data[..., 1], 20 + data[..., 0])
    left = np.exp(-0.5 * times)
    data = fired(BIRTH_DEATH, times, trajectories=20000, seed=s + 1, X=30)
    assert_moments(data[..., 0], mean + 30 * left, mean + 30 * left * (1 - left), seed=s + 1)


def dimers(times: np.ndarray, signal: Signal | None) -> tuple[np.ndarray, ...]:
    reactions = [MassAction(0.05, (2, 0), (0, 1), driven=True), MassAction(0.5, (0, 1), (2, 0))]
    signal = signal or Signal.constant(1.0)
    law = master_equation(reactions, [21, 0], times, sizes=[22, 12], signal=signal, steps=200)
    return law.mean, law.central(2), law.central(4)


@pytest.mark.statistical
@pytest.mark.parametrize("signal", [None, TEETH], ids=["undriven", "teeth from zero"])
def test_dimerisation_and_its_conserved_total(signal: Signal | None, seed) -> None:
    s, times = seed(62), np.array([0.0, 0.3, 1.0, 1.5, 3.0])
    counts = fired(DIMERS, times, trajectories=10000, seed=s, signal=signal)
    mean, var, fourth = dimers(times, signal)
    assert np.all(counts @ [1, 2] == 21)
    assert counts.min() >= 0
    assert_moments(counts, mean, var, fourth=fourth, seed=s)


@pytest.mark.statistical
@pytest.mark.parametrize("slack", [0.6, 0.9])
def test_a_bound_below_the_propensity_is_caught(slack: float, seed, monkeypatch) -> None:
    """Negative control: leaves that are too small make reactions too slow."""
    s, times = seed(63), np.array([0.3, 1.0, 3.0])
    run = Run(model(DIMERS), times, None, {})
    monkeypatch.setattr(tree, "SLACK", slack)
    run.code = Compiled.of_module(build_module(run.tables.program))
    mean, var, fourth = dimers(times, None)
    with pytest.raises(AssertionError, match="off by z"):
        assert_moments(run(range(40000), s, 0), mean, var, fourth=fourth, seed=s)


@pytest.mark.statistical
@pytest.mark.parametrize("law", BIRTHS)
def test_every_kind_of_law_follows_the_master_equation(law: str, seed) -> None:
    s, times = seed(64), np.array([0.5, 3.0])
    constants = "K = 6; n = 3; h = 2.5; v = 30;"
    text = f"substanceOnly species X; X = 2; {constants} made: => X; {law}; lost: X => ; v*X/(9 + X);"
    counts = fired(text, times, trajectories=4000, seed=s)
    births, deaths = AnyLaw(BIRTHS[law], np.array([1])), AnyLaw(lambda x: 30 * x / (9 + x), np.array([-1]))
    exact = master_equation([births, deaths], [2], times, sizes=[120])  # type: ignore[list-item]
    assert_moments(counts, exact.mean, exact.central(2), fourth=exact.central(4), seed=s)


def chain(length: int) -> str:
    """Conversions along a chain of species, with rates that differ, 20 molecules of each."""
    text = "substanceOnly species " + ", ".join(f"X{i}" for i in range(length)) + ";\n"
    text += "".join(f"X{i} = 20;" for i in range(length)) + "\n"
    for i in range(length - 1):
        text += f"f{i}: X{i} => X{i + 1}; {1 + i % 3}*X{i}; b{i}: X{i + 1} => X{i}; {0.5 + i % 2}*X{i + 1};\n"
    return text


@pytest.mark.statistical
def test_the_molecules_of_a_long_chain_are_independent(seed) -> None:
    s, length, times = seed(65), 120, np.array([0.3, 1.5])
    counts = fired(chain(length), times, trajectories=1500, seed=s)
    w = np.zeros((length, length))
    for i in range(length - 1):
        w[i + 1, i], w[i, i + 1] = 1 + i % 3, 0.5 + i % 2
    w -= np.diag(w.sum(axis=0))
    chances = np.stack([expm(w * t) for t in times])
    mean, var, fourth = independent_molecules(np.full(length, 20), chances)
    assert np.all(counts.sum(axis=-1) == 20 * length)
    assert_moments(counts, mean, var, fourth=fourth, seed=s)


# --------------------------------------------------------------------------------------- signals and time


@pytest.mark.statistical
@pytest.mark.parametrize("name", SIGNALS)
def test_immigration_under_a_signal_is_poisson(name: str, seed) -> None:
    s, at = seed(66), np.array([0.37, 1.0, 2.0, 2.5, 3.9, 5.0])
    data = fired(BIRTH_DEATH, at, signal=SIGNALS[name], trajectories=5000, seed=s)
    mean = simulate_ode(model(BIRTH_DEATH), at, signal=SIGNALS[name]).X.values
    assert_moments(data[..., 0], mean, mean, fourth=poisson_fourth(mean), seed=s)
    np.testing.assert_array_equal(data[..., 1], 2 * SIGNALS[name](at) + data[..., 0])


@pytest.mark.statistical
@pytest.mark.parametrize("teeth", [(0.6, 0.5), (0.03, 0.01)], ids=["slow", "fast"])
def test_a_ring_under_ramps_from_zero(teeth: tuple[float, float], seed) -> None:
    s, times = seed(67), np.array([0.5, 1.0, 1.2, 2.9])
    signal = Signal.sawtooth(0, 6, rise=teeth[0], fall=teeth[1], periodic=True)
    counts = fired(RING, times, signal=signal, trajectories=5000, seed=s)
    chances = np.empty((len(times), 3, 3))
    for j, begin in enumerate("ABC"):
        alone = {name: float(name == begin) for name in "ABC"}
        data = simulate_ode(model(RING), times, signal=signal, start=alone)
        chances[:, :, j] = np.stack([data[name].values for name in "ABC"], axis=-1)
    np.testing.assert_allclose(expm(ring_rates(1.0) * 0).sum(axis=0), 1)
    mean, var, fourth = independent_molecules(np.array([60, 0, 20]), chances)
    assert_moments(counts, mean, var, fourth=fourth, seed=s)


Flow = Callable[[float, np.ndarray], np.ndarray]


def one_species(
    up: Callable, down: Callable, times: np.ndarray, pieces: Callable, size: int
) -> tuple[np.ndarray, ...]:
    """Mean, variance and fourth moment of a birth-death process whose rates move, from X = 0."""
    x, p, now, moments = np.arange(float(size)), np.eye(size)[0], 0.0, []

    def flow(t: float, p: np.ndarray, piece: Piece) -> np.ndarray:
        level = piece.value + piece.slope * (t - piece.start)
        rise, fall = up(x, level, t) * p, down(x, level, t) * p
        return np.append(0, rise[:-1]) + np.append(fall[1:], 0) - rise - fall

    for t in times:
        for piece in pieces(now, t):
            span = (piece.start, piece.stop)
            p = solve_ivp(flow, span, p, "LSODA", rtol=1e-9, atol=1e-12, max_step=0.05, args=(piece,)).y[
                :, -1
            ]
        mean = p @ x
        moments.append([mean, p @ (x - mean) ** 2, p @ (x - mean) ** 4])
        now = t
    return tuple(np.array(moments).T)


@pytest.mark.statistical
@pytest.mark.parametrize("teeth", [(1.0, 0.7), (0.05, 0.02)], ids=["slow", "fast"])
def test_laws_that_are_not_linear_in_a_ramp(teeth: tuple[float, float], seed) -> None:
    s, times = seed(68), np.array([0.5, 1.25, 2.0])
    signal = Signal.sawtooth(0, 3, rise=teeth[0], fall=teeth[1], periodic=True)
    counts = fired(HILL, times, signal=signal, trajectories=20000, seed=s)
    up = lambda x, s, t: 9 * s**2 / (1 + s**2 + x)  # noqa: E731
    mean, var, fourth = one_species(up, lambda x, s, t: x / (1 + s), times, signal.pieces, 45)
    assert_moments(counts[..., 0], mean, var, fourth=fourth, seed=s)


@pytest.mark.statistical
@pytest.mark.parametrize("law", MOVED)
def test_every_kind_of_law_along_ramps_is_poisson(law: str, seed) -> None:
    s, times = seed(69), np.array([0.2, 1.0, 1.3, 4.0])
    signal = Signal(np.array([0, 1.1, 1.3, 1.3, 2, 4.0]), np.array([0, 5, 0.5, 4, 4, 0.0]))
    text = f"substanceOnly species X; X = 0; s = 1; k = 2; n = 2.5; made: => X; {law};"
    counts = fired(text, times, signal=signal, trajectories=4000, seed=s)[..., 0]
    fine = (np.arange(400_000) + 0.5) * 1e-5
    below = np.concatenate([[0], np.cumsum(np.broadcast_to(MOVED[law](signal(fine)), fine.shape)) * 1e-5])
    mean = below[np.round(times / 1e-5).astype(int)]
    assert_moments(counts, mean, mean, fourth=poisson_fourth(mean), seed=s)


#: immigration that names time, and its integral
TIMED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "10*time": lambda t: 5 * t**2,
    "10*(1 + sin(3*time))": lambda t: 10 * (t + (1 - np.cos(3 * t)) / 3),
    "20*exp(-time)": lambda t: 20 * (1 - np.exp(-t)),
    "piecewise(9, time > 1.5 && time < 3, 1)": lambda t: t + 8 * np.clip(t - 1.5, 0, 1.5),
    "30/(1 + time)^2": lambda t: 30 - 30 / (1 + t),
}


@pytest.mark.statistical
@pytest.mark.parametrize("law", TIMED)
def test_immigration_that_names_time_is_poisson(law: str, seed) -> None:
    s, times = seed(70), np.array([0.0, 0.7, 1.5, 4.0])
    counts = fired(f"substanceOnly species X; X = 0; made: => X; {law};", times, trajectories=5000, seed=s)
    mean = TIMED[law](times)
    assert_moments(counts[..., 0], mean, mean, fourth=poisson_fourth(mean), seed=s)


@pytest.mark.statistical
def test_a_law_of_state_time_and_input_together(seed) -> None:
    s, times = seed(71), np.array([0.4, 1.1, 2.5])
    text = "substanceOnly species X; X = 0; s = 1; made: => X; 6*s*time/(1 + X); lost: X => ; X*exp(-time);"
    counts = fired(text, times, signal=TEETH, trajectories=20000, seed=s)
    up = lambda x, s, t: 6 * s * t / (1 + x)  # noqa: E731
    mean, var, fourth = one_species(up, lambda x, s, t: x * np.exp(-t), times, TEETH.pieces, 45)
    assert_moments(counts[..., 0], mean, var, fourth=fourth, seed=s)


@pytest.mark.statistical
def test_a_law_frozen_between_firings_is_caught(seed, monkeypatch) -> None:
    """Negative control: candidates of a law that moves all fire, at the rate of their bound."""
    s, times = seed(72), np.array([0.7, 1.5, 4.0])
    run = Run(model("substanceOnly species X; X = 0; made: => X; 20*exp(-time);"), times, None, {})
    monkeypatch.setattr("chemlearn.simulate.sparse.loop._Loop._thin", lambda self, law, left: None)
    run.code = Compiled.of_module(build_module(run.tables.program))
    mean = 20 * (1 - np.exp(-times))
    with pytest.raises(AssertionError, match="off by z"):
        assert_means(run(range(5000), s, 0)[..., 0], mean, mean, seed=s)


@pytest.mark.statistical
@pytest.mark.parametrize("signal", [None, TEETH], ids=["undriven", "teeth"])
def test_both_engines_agree(signal: Signal | None, seed) -> None:
    """Means and mean squares of a network with a Hill law, in the standard errors of both samples."""
    s, times, n = seed(73), np.array([0.5, 2.0, 5.0]), 20000
    text = DIMERS + "substanceOnly species Q; Q = 3; make: => Q; 4*s/(1 + (P/6)^2); lose: Q + P2 => P2; Q*P2;"
    one = Run(model(text), times, signal, {})(range(n), s, 0)
    other = native.Run(model(text), times, signal, {})(range(n), s + 1, 0)
    for power in (1, 2):
        a, b = one**power, other**power
        z = (a.mean(axis=0) - b.mean(axis=0)) / np.sqrt((a.var(axis=0) + b.var(axis=0)) / n)
        assert np.abs(z).max() < z_threshold(2 * z.size)


# ---------------------------------------------------------------------------------- identity to the last bit

CASES = {
    "plain": (DIMERS, None),
    "square": (RING, Signal.square(0.2, 5, first=0.6, second=0.5, periodic=True)),
    "ramps": (BIRTH_DEATH, SIGNALS["bump with jumps"]),
    "not linear": (HILL, SIGNALS["bump with jumps"]),
    "time": ("substanceOnly species X; X = 9; up: => X; 9*time; down: X => ; X*(1 + sin(time));", None),
}
SEVERAL = np.linspace(0, 5, 23)


@pytest.mark.parametrize("name", CASES)
def test_a_trajectory_is_the_same_in_any_company(name: str) -> None:
    text, signal = CASES[name]
    run = Run(model(text), SEVERAL, signal, {})
    whole = run(range(60), 7, 3)
    assert len(np.unique(whole.reshape(60, -1), axis=0)) == 60
    for block in (range(17, 18), range(1), range(59, 60), range(24), range(24, 60), range(3, 52, 5)):
        np.testing.assert_array_equal(run(block, 7, 3), whole[np.asarray(block)])
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda k: run(range(k, k + 10), 7, 3), range(0, 60, 10)))
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    for other in (run(range(60), 8, 3), run(range(60), 7, 4)):
        assert not np.any(np.all(other.reshape(60, -1) == whole.reshape(60, -1), axis=1))


@pytest.mark.parametrize("name", CASES)
def test_outputs_change_nothing(name: str) -> None:
    text, signal = CASES[name]
    few, many = (Run(model(text), t, signal, {})(range(30), 1, 0) for t in (SEVERAL[::2], SEVERAL))
    np.testing.assert_array_equal(many[:, ::2], few)


def test_machine_code_depends_on_the_kinds_of_laws_only() -> None:
    first = Run(model(DIMERS), SEVERAL, None, {})
    other = Run(model(DIMERS).with_values(k_on=0.5, P=10), SEVERAL, None, {})
    assert first.code is other.code
    assert not np.array_equal(first(range(5), 1, 0), other(range(5), 1, 0))
    assert Run(model(chain(10)), SEVERAL, None, {}).code is Run(model(chain(50)), SEVERAL, None, {}).code
    assert Run(model(chain(10)), SEVERAL, None, {}).code is first.code  # all mass action


def test_the_choice_of_the_engine_depends_on_the_model_alone() -> None:
    assert suits(model(chain(20)).network) is None
    assert "218 reactions" in str(suits(model(chain(110)).network))
    assert "names time (that of R)" in str(suits(model("X = 1; R: => X; time;").network))
    assert "events (E)" in str(suits(model("X = 1; R: => X; 1; E: at X > 3: X = 0;").network))


# --------------------------------------------------------------------------------------- firings and paths


@pytest.mark.parametrize("name", CASES)
def test_firings_and_paths_tell_the_same_trajectories(name: str) -> None:
    text, signal = CASES[name]
    idle = "idle: => ; 3;"  # changes nothing, and is counted all the same
    m = model(text + idle)
    plain, counting = Run(m, SEVERAL, signal, {}), Run(m, SEVERAL, signal, {}, firings=True)
    counts, both = plain(range(4), 1, 0), counting(range(4), 1, 0)
    n, reactions = len(m.species), len(m.network.reactions)
    assert [c.name for c in counting.columns] == [*m.species, *["firings"] * reactions, *m.network.rules]
    assert [c.reaction for c in counting.columns[n : n + reactions]] == [r.name for r in m.network.reactions]
    np.testing.assert_array_equal(np.delete(both, range(n, n + reactions), axis=-1), counts)
    firings = both[..., n : n + reactions]
    changes = m.network.stoichiometry()
    np.testing.assert_array_equal(counts[..., :n], plain.initial + firings @ changes.T)
    for k, times, what, amounts in plain.paths(range(4), 1, 0):
        assert np.all(np.diff(times) > 0)
        np.testing.assert_array_equal(amounts, plain.initial + np.cumsum(changes.T[what], axis=0))
        done = np.searchsorted(times, SEVERAL, side="right")
        states = np.vstack([plain.initial, amounts])[done]
        np.testing.assert_array_equal(states, counts[k, :, :n])
        numbers = [np.bincount(what[:m], minlength=reactions) for m in done]
        np.testing.assert_array_equal(numbers, firings[k])


def test_long_paths_come_whole(monkeypatch) -> None:
    run = Run(model(BIRTH_DEATH), np.array([0.0, 30.0]), None, {})
    (whole,) = run.paths(range(3, 4), 1, 0)
    monkeypatch.setattr("chemlearn.simulate.sparse.engine._LOG_BYTES", 1000)
    (parts,) = run.paths(range(3, 4), 1, 0)
    assert len(whole[1]) > 300
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)
