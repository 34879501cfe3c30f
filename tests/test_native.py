"""The native engine against exact laws; its arithmetic; identity to the last bit; its guards."""

from __future__ import annotations

import _thread
import ctypes
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pytest
from llvmlite import ir
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from chemlearn.errors import SimulationError
from chemlearn.model import Model
from chemlearn.signal import Piece, Signal
from chemlearn.simulate import simulate_ode
from chemlearn.simulate.native import Run, compiled, step
from chemlearn.simulate.native.changes import layout_of
from chemlearn.simulate.native.groups import groups_of
from chemlearn.simulate.native.streams import streams
from chemlearn.simulate.native.vectors import INT, Vectors
from tests.statistics import (
    MassAction,
    assert_means,
    assert_moments,
    independent_molecules,
    master_equation,
    poisson_fourth,
    z_threshold,
)

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


@cache
def model(text: str) -> Model:
    loaded = Model.load(text)
    loaded.require(stochastic=True)
    return loaded


def fired(
    text: str, times: np.ndarray, *, trajectories: int, seed: int, signal: Signal | None = None, **start: int
) -> np.ndarray:
    """Counts, (n_trajectories, n_times, n_recorded)."""
    return Run(model(text), times, signal, start)(range(trajectories), seed, 0)


# ---------------------------------------------------------------------------------------------- exact laws


@pytest.mark.statistical
def test_immigration_and_death(seed) -> None:
    s, n, times = seed(31), 20000, np.array([0.0, 0.5, 2.0, 5.0, 10.0])
    data = fired(BIRTH_DEATH, times, trajectories=n, seed=s)
    mean = 20 * (1 - np.exp(-0.5 * times))
    assert_moments(data[..., 0], mean, mean, fourth=poisson_fourth(mean), seed=s)
    np.testing.assert_array_equal(data[..., 1], 20 + data[..., 0])
    left = np.exp(-0.5 * times)
    data = fired(BIRTH_DEATH, times, trajectories=n, seed=s + 1, X=30)
    assert_moments(data[..., 0], mean + 30 * left, mean + 30 * left * (1 - left), seed=s + 1)


@pytest.mark.statistical
def test_a_wrong_rate_is_caught(seed) -> None:
    """Negative control: 3 % more immigration."""
    s, times = seed(32), np.array([0.5, 2.0, 5.0, 10.0])
    run = Run(model(BIRTH_DEATH).with_values(s=10.3), times, None, {})
    mean = 20 * (1 - np.exp(-0.5 * times))
    with pytest.raises(AssertionError, match="off by z"):
        assert_means(run(range(20000), s, 0)[..., 0], mean, mean, seed=s)


@pytest.mark.statistical
def test_dimerisation_and_its_conserved_total(seed) -> None:
    s, times = seed(33), np.array([0.0, 0.2, 1.0, 5.0])
    counts = fired(DIMERS, times, trajectories=10000, seed=s)
    assert np.all(counts @ [1, 2] == 21)
    assert counts.min() >= 0
    reactions = [MassAction(0.05, (2, 0), (0, 1)), MassAction(0.5, (0, 1), (2, 0))]
    law = master_equation(reactions, [21, 0], times, sizes=[22, 12])
    assert_moments(counts, law.mean, law.central(2), fourth=law.central(4), seed=s)


ENZYME = """
substanceOnly species A, A2, E, S, ES, Z; A = 5; A2 = 0; E = 2; S = 4; ES = 0; Z = 0;
dimerise: 2 A => A2; 0.1*A*(A - 1);  part: A2 => 2 A; 0.4*A2;
bind: E + S => ES; 0.3*E*S;          free: ES => E + S; 0.2*ES;
turn: ES => E + Z; 0.5*ES;
"""


@pytest.mark.statistical
def test_an_enzyme_follows_the_master_equation(seed) -> None:
    s, times = seed(34), np.array([0.3, 1.0, 4.0])
    counts = fired(ENZYME, times, trajectories=10000, seed=s)
    reactions = [
        MassAction(0.1, (2, 0, 0, 0, 0, 0), (0, 1, 0, 0, 0, 0)),
        MassAction(0.4, (0, 1, 0, 0, 0, 0), (2, 0, 0, 0, 0, 0)),
        MassAction(0.3, (0, 0, 1, 1, 0, 0), (0, 0, 0, 0, 1, 0)),
        MassAction(0.2, (0, 0, 0, 0, 1, 0), (0, 0, 1, 1, 0, 0)),
        MassAction(0.5, (0, 0, 0, 0, 1, 0), (0, 0, 1, 0, 0, 1)),
    ]
    law = master_equation(reactions, [5, 0, 2, 4, 0, 0], times, sizes=[6, 3, 3, 5, 3, 5])
    assert law.lost < 1e-9
    assert_moments(counts, law.mean, law.central(2), fourth=law.central(4), seed=s)


@dataclass(frozen=True)
class AnyLaw:
    """A reaction of one species with any propensity, for the master equation."""

    law: Callable[[np.ndarray], np.ndarray]
    change: np.ndarray
    driven: bool = False

    def propensity(self, state: np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.asarray(self.law(state[:, 0].astype(float)), float), len(state))


#: births as written in the model and as computed here; every kind of function that a law may hold
BIRTHS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "12/(1 + (X/6)^2)": lambda x: 12 / (1 + (x / 6) ** 2),
    "12/(1 + (X/K)^n)": lambda x: 12 / (1 + (x / 6) ** 3),  # a whole power known at run time
    "12/(1 + (X/K)^h)": lambda x: 12 / (1 + (x / 6) ** 2.5),
    "8*X^n/(K^n + X^n) + 1": lambda x: 8 * x**3 / (216 + x**3) + 1,
    "9*exp(-X/K)": lambda x: 9 * np.exp(-x / 6),
    "2 + ln(1 + X) + log10(1 + X)": lambda x: 2 + np.log1p(x) + np.log10(1 + x),
    "min(X + 1, K)": lambda x: np.minimum(x + 1, 6),
    "max(K - X, 1)": lambda x: np.maximum(6 - x, 1),
    "abs(X - K)*sqrt(X + 1)": lambda x: np.abs(x - 6) * np.sqrt(x + 1),
    "piecewise(7, X < 3, 4, X == 3, 1)": lambda x: np.where(x < 3, 7, np.where(x == 3, 4, 1)),
    "piecewise(6, X > 2 && !(X > 9) || X == 0, 2)": lambda x: np.where((x > 2) & (x <= 9) | (x == 0), 6, 2),
    "3 + sin(X) + cos(X) + tanh(X)": lambda x: 3 + np.sin(x) + np.cos(x) + np.tanh(x),
    "floor(X/2) + ceil(X/K) + 1": lambda x: np.floor(x / 2) + np.ceil(x / 6) + 1,
    "20*(X + 1)^-1 + X^0.5": lambda x: 20 / (x + 1) + x**0.5,
}


@pytest.mark.statistical
@pytest.mark.parametrize("law", BIRTHS)
def test_every_kind_of_law_follows_the_master_equation(law: str, seed) -> None:
    s, times, size = seed(35), np.array([0.5, 3.0]), 120
    constants = "K = 6; n = 3; h = 2.5; v = 30;"
    text = f"substanceOnly species X; X = 2; {constants} made: => X; {law}; lost: X => ; v*X/(9 + X);"
    counts = fired(text, times, trajectories=4000, seed=s)
    births, deaths = AnyLaw(BIRTHS[law], np.array([1])), AnyLaw(lambda x: 30 * x / (9 + x), np.array([-1]))
    exact = master_equation([births, deaths], [2], times, sizes=[size])  # type: ignore[list-item]
    assert exact.lost < 1e-9
    assert_moments(counts, exact.mean, exact.central(2), fourth=exact.central(4), seed=s)


@pytest.mark.statistical
def test_members_of_a_group_fire_in_proportion_to_their_constants(seed) -> None:
    """Every molecule of A goes one of four ways; ways with constant 0, wherever they stand, are not gone."""
    s, n, times = seed(48), 4000, np.array([0.3, 9.0])
    ways = dict(zip("abcd", "BCDE", strict=True))
    text = "substanceOnly species A, B, C, D, E; A = 50;" + " ".join(
        f"{name} = 0; {k} = 1; {k}{name}: A => {name}; {k}*A;" for k, name in ways.items()
    )
    for rates in ((0, 2, 0, 1), (1, 0.5, 0, 0), (0, 0, 0, 3), (1, 1, 1, 1), (0, 0, 0, 0)):
        free = model(text).with_values(**dict(zip("abcd", map(float, rates), strict=True)))
        run = Run(free, times, None, {}, firings=True)
        assert groups_of(run.plan).size == 4
        counts = run(range(n), s, 0)
        total = sum(rates)
        shares = np.array(rates) / (total or 1)
        gone = 1 - np.exp(-total * times)
        chances = np.column_stack([1 - gone, gone[:, None] * shares])[:, :, None]
        laws = [independent_molecules(np.array([50]), chance) for chance in chances]
        mean, var, fourth = (np.array(column) for column in zip(*laws, strict=True))
        assert_moments(counts[..., :5], mean, var, fourth=fourth, seed=s)
        np.testing.assert_array_equal(counts[..., 5:], counts[..., 1:5])  # one firing for each molecule


@pytest.mark.statistical
def test_the_molecules_of_a_ring_are_independent(seed) -> None:
    s, times = seed(36), np.array([0.0, 0.1, 1.0, 8.0])
    counts = fired(RING, times, trajectories=5000, seed=s)
    start = np.array([60, 0, 20])
    assert np.all(counts.sum(axis=-1) == 80)
    laws = [independent_molecules(start, expm(ring_rates(1.0) * t)) for t in times]
    mean, var, fourth = (np.array(column) for column in zip(*laws, strict=True))
    assert_moments(counts, mean, var, fourth=fourth, seed=s)


def ring_rates(s: float) -> np.ndarray:
    """W[i, j] = rate from state j to state i."""
    w = np.array([[0, 0.7, 0.5], [s, 0, 0.3 * s], [0.1, 1.4, 0]])
    return w - np.diag(w.sum(axis=0))


BURSTS = """
compartment cell = 2; species X in cell, $F in cell; substanceOnly species Y; X = 3; F = 2; Y = 0;
function twice(a, b) 2*a*b end
burst: => 3 X; cell*F*0.5;
used: 2 X + F => Y; cell*twice(X, X - 1/cell)*0.05;
lost: X => ; cell*0.4*X;
gone: 2 Y => ; 0.1*Y*(Y - 1);
"""


@pytest.mark.statistical
def test_bursts_volumes_functions_and_boundary_species(seed) -> None:
    """A compartment of volume 2: the amount of X starts at 6, its law 2 (X/2)(X/2 − 1/2) is X(X − 1)/2."""
    s, times = seed(37), np.array([0.0, 0.4, 2.0])
    counts = fired(BURSTS, times, trajectories=10000, seed=s)
    reactions = [
        MassAction(2.0, (0, 0), (3, 0)),
        MassAction(0.05, (2, 0), (0, 1)),
        MassAction(0.4, (1, 0), (0, 0)),
        MassAction(0.1, (0, 2), (0, 0)),
    ]
    law = master_equation(reactions, [6, 0], times, sizes=[50, 30])
    assert law.lost < 1e-9
    assert_moments(counts, law.mean, law.central(2), fourth=law.central(4), seed=s)


# ------------------------------------------------------------------------------------------- under a signal

SIGNALS = {
    "square": Signal.square(10, 30, first=1, second=1.5, periodic=True),
    "narrow pulses": Signal.square(0, 4000, first=2.49, second=0.01, periodic=True),
    "fast sawtooth from zero": Signal.sawtooth(0, 60, rise=0.02, fall=0.06, periodic=True),
    "slow sawtooth from zero": Signal.sawtooth(0, 60, rise=2, fall=3, periodic=True),
    "bump with jumps": Signal(np.array([0, 1, 2, 2, 4, 4.0]), np.array([0, 80, 5, 40, 0, 20.0])),
    "falls to zero for ever": Signal(np.array([0, 3.0]), np.array([50, 0.0])),
}


@pytest.mark.statistical
@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize(
    "times", [[0.0, 4.0], [0.37, 1.0, 2.0, 2.5, 3.9, 5.0]], ids=["two outputs", "some outputs"]
)
def test_immigration_under_a_signal_is_poisson(name: str, times: list[float], seed) -> None:
    s, at = seed(38), np.array(times)
    data = fired(BIRTH_DEATH, at, signal=SIGNALS[name], trajectories=5000, seed=s)
    mean = simulate_ode(model(BIRTH_DEATH), at, signal=SIGNALS[name]).X.values
    assert_moments(data[..., 0], mean, mean, fourth=poisson_fourth(mean), seed=s)
    np.testing.assert_array_equal(data[..., 1], 2 * SIGNALS[name](at) + data[..., 0])


DEATH = "substanceOnly species X; X = 100; s = 1; lost: X => ; s*X;"


@pytest.mark.statistical
@pytest.mark.parametrize("name", ["down", "teeth", "up from zero"])
def test_death_under_a_ramp_is_binomial(name: str, seed) -> None:
    """Each molecule lives with probability exp(−∫s); a hazard that falls to 0 must let some live for ever."""
    s, times = seed(39), np.array([0.25, 0.5, 1.0, 1.7, 4.0])
    signal = {
        "down": Signal(np.array([0, 1.0]), np.array([2.0, 0.0])),
        "teeth": Signal.sawtooth(1.0, 0.0, rise=0.3, fall=0.05, periodic=True),
        "up from zero": Signal(np.array([0, 2.0]), np.array([0.0, 3.0])),
    }[name]
    data = fired(DEATH, times, signal=signal, trajectories=5000, seed=s)
    left = np.exp(-signal.integral(times))
    laws = [independent_molecules(np.array([100]), np.array([[p]])) for p in left]
    mean, var, fourth = (np.array(column) for column in zip(*laws, strict=True))
    assert_moments(data, mean, var, fourth=fourth, seed=s)


@pytest.mark.statistical
def test_a_ring_under_a_square_signal(seed) -> None:
    s, times = seed(40), np.array([0.5, 1.0, 1.2, 2.9, 4.1])
    signal = Signal.square(0.2, 5, first=0.6, second=0.5, periodic=True)
    counts = fired(RING, times, signal=signal, trajectories=5000, seed=s)
    chances, now, laws = np.eye(3), 0.0, []
    for t in times:
        for piece in signal.pieces(now, t):
            chances = expm(ring_rates(piece.value) * (piece.stop - piece.start)) @ chances
        laws.append(independent_molecules(np.array([60, 0, 20]), chances))
        now = t
    mean, var, fourth = (np.array(column) for column in zip(*laws, strict=True))
    assert_moments(counts, mean, var, fourth=fourth, seed=s)


RAMPED_TIMES = np.array([0.3, 1.0, 1.5, 3.0])
TEETH = Signal.sawtooth(0, 4, rise=1, fall=0.7, periodic=True)


def ramped_dimers() -> tuple[np.ndarray, ...]:
    reactions = [MassAction(0.05, (2, 0), (0, 1), driven=True), MassAction(0.5, (0, 1), (2, 0))]
    law = master_equation(reactions, [21, 0], RAMPED_TIMES, sizes=[22, 12], signal=TEETH, steps=200)
    return law.mean, law.central(2), law.central(4)


@pytest.mark.statistical
def test_dimerisation_under_a_ramp_follows_the_master_equation(seed) -> None:
    """Which reaction fires depends on when; inside, driven reactions come last, here the first one."""
    s = seed(41)
    counts = fired(DIMERS, RAMPED_TIMES, signal=TEETH, trajectories=20000, seed=s)
    mean, var, fourth = ramped_dimers()
    assert np.all(counts @ [1, 2] == 21)
    assert_moments(counts, mean, var, fourth=fourth, seed=s)


@pytest.mark.statistical
def test_a_propensity_frozen_between_firings_is_caught(seed, monkeypatch) -> None:
    """Negative control: the waiting time of the direct method under constant propensities."""
    s = seed(42)
    run = Run(model(DIMERS), RAMPED_TIMES, TEETH, {})
    monkeypatch.setattr(
        step.Step, "_wait_on_ramp", lambda self, waiting, total, rise: self.b.fdiv(waiting, total)
    )
    run.code = compiled.Compiled(run.plan)
    mean, var, fourth = ramped_dimers()
    with pytest.raises(AssertionError, match="off by z"):
        assert_moments(run(range(20000), s, 0), mean, var, fourth=fourth, seed=s)


@pytest.mark.statistical
def test_any_law_under_constant_steps(seed) -> None:
    """A law that is not linear in the input, under a staircase: one matrix exponential per step."""
    s, times = seed(43), np.array([0.5, 1.25, 2.0])
    text = "substanceOnly species X; X = 0; s = 1; made: => X; 9*s^2/(1 + s^2 + X); lost: X => ; X/(1 + s);"
    signal = Signal.sawtooth(0, 3, rise=1, fall=1, periodic=True).staircase(4)
    counts = fired(text, times, signal=signal, trajectories=10000, seed=s)
    p, now, moments = np.eye(60)[:, 0], 0.0, []
    x = np.arange(60.0)
    for t in times:
        for piece in signal.pieces(now, t):
            up, down = 9 * piece.value**2 / (1 + piece.value**2 + x), x / (1 + piece.value)
            w = np.diag(up[:-1], -1) + np.diag(down[1:], 1) - np.diag(up + down)
            p = expm(w * (piece.stop - piece.start)) @ p
        mean = p @ x
        moments.append([mean, p @ (x - mean) ** 2, p @ (x - mean) ** 4])
        now = t
    mean, var, fourth = np.array(moments).T
    assert_moments(counts[..., 0], mean, var, fourth=fourth, seed=s)


HILL = (
    "substanceOnly species X; X = 0; s = 1; n = 2; made: => X; 9*s^n/(1 + s^n + X); lost: X => ; X/(1 + s);"
)

FACTOR = "substanceOnly species X; X = 5; s = 1; made: => X; 9*exp(s/4); lost: X => ; X; gone: X => ; s^2*X;"


@pytest.mark.statistical
@pytest.mark.parametrize("teeth", [(1.0, 0.7), (0.05, 0.02)], ids=["slow", "fast"])
def test_laws_that_are_not_linear_in_a_ramp_follow_the_master_equation(
    teeth: tuple[float, float], seed
) -> None:
    """By thinning; the master equation integrated piece by piece."""
    s, times = seed(45), np.array([0.5, 1.25, 2.0])
    signal = Signal.sawtooth(0, 3, rise=teeth[0], fall=teeth[1], periodic=True)
    counts = fired(HILL, times, signal=signal, trajectories=20000, seed=s)
    x, p, now, moments = np.arange(45.0), np.eye(45)[0], 0.0, []

    def flow(t: float, p: np.ndarray, piece: Piece) -> np.ndarray:
        level = piece.value + piece.slope * (t - piece.start)
        up, down = 9 * level**2 / (1 + level**2 + x) * p, x / (1 + level) * p
        return np.append(0, up[:-1]) + np.append(down[1:], 0) - up - down

    for t in times:
        for piece in signal.pieces(now, t):
            span = (piece.start, piece.stop)
            p = solve_ivp(flow, span, p, "LSODA", rtol=1e-9, atol=1e-12, args=(piece,)).y[:, -1]
        mean = p @ x
        moments.append([mean, p @ (x - mean) ** 2, p @ (x - mean) ** 4])
        now = t
    mean, var, fourth = np.array(moments).T
    assert_moments(counts[..., 0], mean, var, fourth=fourth, seed=s)


@pytest.mark.statistical
def test_the_ladder_under_a_sawtooth(seed) -> None:
    """Its laws are exponential in the input; each molecule walks alone, so means and variances are known."""
    s, times = seed(47), np.array([0.1, 0.35, 1.0])
    ladder = Model.load("ladder").with_values(k_w=0, k_f=0)
    signal = Signal.sawtooth(20, 150, rise=0.1, fall=0.4, periodic=True)
    run = Run(ladder, times, signal, {})
    assert run.plan.thinned
    states = [name for name in ladder.species if name != "w"]
    start = np.array([ladder.network.initial[name] for name in states])
    chances = np.empty((len(times), len(states), len(states)))  # from state j to state i
    for j, begin in enumerate(states):
        alone = {name: float(name == begin) for name in states}
        data = simulate_ode(ladder, times, signal=signal, start=alone)
        chances[:, :, j] = np.stack([data[name].values for name in states], axis=-1)
    mean, var, _ = independent_molecules(start, chances)
    counts = run(range(500), s, 0)[..., [ladder.species.index(name) for name in states]]
    assert np.all(counts.sum(axis=-1) == start.sum())
    assert_means(counts, mean, var, seed=s)
    frequent = mean.min(axis=0) > 3  # where a normal bound on the variance is fair
    assert_moments(counts[..., frequent], mean[:, frequent], var[:, frequent], seed=s)


#: immigration as written in the model and as computed here: everything that a bound must hold for
MOVED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "20*s^2/(4 + s^2)": lambda s: 20 * s**2 / (4 + s**2),
    "20*s^n/(9 + s^n)": lambda s: 20 * s**2.5 / (9 + s**2.5),
    "20*exp(-s) + ln(1 + s) + log10(1 + s)": lambda s: 20 * np.exp(-s) + np.log1p(s) + np.log10(1 + s),
    "5*abs(s - 2) + sqrt(s)": lambda s: 5 * np.abs(s - 2) + np.sqrt(s),
    "(s - 2)^2 + (s - 1)^3 + 1": lambda s: (s - 2) ** 2 + (s - 1) ** 3 + 1,
    "piecewise(9, s > 3, 1)": lambda s: np.where(s > 3, 9, 1),
    "piecewise(9*s, k > 3, s^2)": lambda s: s**2,
    "min(s, 2) + max(2, s^2 - 3)": lambda s: np.minimum(s, 2) + np.maximum(2, s**2 - 3),
    "10/(1 + s) - 10/(9 + s)": lambda s: 10 / (1 + s) - 10 / (9 + s),
    "2^s + 3*k^(-s)": lambda s: 2**s + 3 * 2.0**-s,
    "5 + 3*sin(7*s) + cos(s)": lambda s: 5 + 3 * np.sin(7 * s) + np.cos(s),
    "tanh(s) + cosh(s - 2) + arctan(s) + arccos(s/5)": lambda s: (
        np.tanh(s) + np.cosh(s - 2) + np.arctan(s) + np.arccos(s / 5)
    ),
    "piecewise(8*s, s < 1 || s > 3, 4 + s) + piecewise(2, s >= k && !(s > 4), 1)": lambda s: (
        np.where((s < 1) | (s > 3), 8 * s, 4 + s) + np.where((s >= 2) & ~(s > 4), 2, 1)
    ),
    "floor(2*s) + ceil(s) + 3/(s + 1)^2": lambda s: np.floor(2 * s) + np.ceil(s) + 3 / (s + 1) ** 2,
}


@pytest.mark.statistical
@pytest.mark.parametrize("law", MOVED)
def test_every_kind_of_law_along_ramps_is_poisson(law: str, seed) -> None:
    s, times = seed(46), np.array([0.2, 1.0, 1.3, 4.0])
    signal = Signal(np.array([0, 1.1, 1.3, 1.3, 2, 4.0]), np.array([0, 5, 0.5, 4, 4, 0.0]))
    text = f"substanceOnly species X; X = 0; s = 1; k = 2; n = 2.5; made: => X; {law};"
    counts = fired(text, times, signal=signal, trajectories=4000, seed=s)[..., 0]
    fine = (np.arange(400_000) + 0.5) * 1e-5
    below = np.concatenate([[0], np.cumsum(np.broadcast_to(MOVED[law](signal(fine)), fine.shape)) * 1e-5])
    mean = below[np.round(times / 1e-5).astype(int)]
    assert_moments(counts, mean, mean, fourth=poisson_fourth(mean), seed=s)


@pytest.mark.parametrize("side", ["low", "high"])
@pytest.mark.parametrize("text", [HILL, FACTOR], ids=["a law that bends", "a factor that does"])
def test_a_bound_that_does_not_hold_is_noticed(text: str, side: str) -> None:
    """Negative control of thinning: upper bounds at half their height, lower ones too near to them."""
    run = Run(model(text), np.array([0.0, 4.0]), TEETH, {})
    layout = layout_of(run.plan)
    first, moved = 2 - layout.drives, len(run.plan.moved)  # the columns after stop and start are these rows
    assert moved > 0
    if side == "high":
        run.pieces[:, layout.highs + first :][:, :moved] *= 0.5
    elif layout.n_lows:
        lows, highs = (run.pieces[:, row + first :][:, :moved] for row in (layout.lows, layout.highs))
        lows += (highs - lows) / 2
    else:
        run.pieces[:, layout.sure + first] = (1 + run.pieces[:, layout.sure + first]) / 2
    with pytest.raises(SimulationError, match="cannot be bounded"):
        run(range(100), 1, 0)


# ---------------------------------------------------------------------------------- identity to the last bit

CASES = {
    "plain": (DIMERS, None),
    "groups": (RING, None),
    "square": (RING, Signal.square(0.2, 5, first=0.6, second=0.5, periodic=True)),
    "ramps": (BIRTH_DEATH, SIGNALS["bump with jumps"]),
    "thinning": (HILL, SIGNALS["bump with jumps"]),
}
SEVERAL = np.linspace(0, 5, 23)


@pytest.mark.parametrize("name", CASES)
def test_a_trajectory_is_the_same_in_any_company(name: str) -> None:
    text, signal = CASES[name]
    run = Run(model(text), SEVERAL, signal, {})
    whole = run(range(100), 7, 3)
    assert len(np.unique(whole.reshape(100, -1), axis=0)) == 100
    for block in (range(17, 18), range(1), range(99, 100), range(40), range(40, 100), range(3, 92, 5)):
        np.testing.assert_array_equal(run(block, 7, 3), whole[np.asarray(block)])
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda k: run(range(k, k + 10), 7, 3), range(0, 100, 10)))
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    for other in (run(range(100), 8, 3), run(range(100), 7, 4)):
        assert not np.any(np.all(other.reshape(100, -1) == whole.reshape(100, -1), axis=1))


@pytest.mark.parametrize("name", CASES)
def test_the_width_of_vectors_changes_nothing(name: str) -> None:
    text, signal = CASES[name]
    run = Run(model(text), SEVERAL, signal, {})
    whole = run(range(60), 5, 0)
    for width in (1, 2, 4, 8, 32):
        run.code = compiled.Compiled(run.plan, width)
        np.testing.assert_array_equal(run(range(60), 5, 0), whole)


def test_the_state_between_outputs_is_not_asked_for() -> None:
    """More output times change nothing at the others: nothing is drawn at an output."""
    few, many = (Run(model(DIMERS), t, None, {})(range(50), 1, 0) for t in (SEVERAL[::2], SEVERAL))
    np.testing.assert_array_equal(many[:, ::2], few)


def test_values_do_not_recompile() -> None:
    first = Run(model(DIMERS), SEVERAL, None, {})
    other = Run(model(DIMERS).with_values(k_on=0.5, P=10), SEVERAL, None, {})
    renamed = Run(model(DIMERS.replace("k_on", "fast").replace("0.05", "0.3")), SEVERAL, None, {"P": 4})
    assert first.code is other.code is renamed.code
    assert not np.array_equal(first(range(5), 1, 0), other(range(5), 1, 0))
    hill = "substanceOnly species X; X = 0; n = 2; K = 5; made: => X; 4/(1 + (X/K)^n); lost: X => ; X;"
    assert (
        Run(model(hill), SEVERAL, None, {}).code
        is Run(model(hill).with_values(n=2.5), SEVERAL, None, {}).code
    )


def test_blocks_cover_every_trajectory_once() -> None:
    run = Run(model(DIMERS), SEVERAL, None, {})
    for trajectories, workers in ((1, 1), (33, 4), (1000, 2), (100_000, 2)):
        numbers = [k for block in run.blocks(trajectories, workers) for k in block]
        assert numbers == list(range(trajectories))


# -------------------------------------------------------------------------------------------- arithmetic


def on_lanes(
    build: Callable[[Vectors, list], list], n_in: int, n_out: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Instructions on 8 lanes as a function of words: (n_in, 8) to (n_out, 8)."""
    module = ir.Module()
    function = ir.Function(
        module, ir.FunctionType(ir.VoidType(), [ir.PointerType(), ir.PointerType()]), "run"
    )
    b = ir.IRBuilder(function.append_basic_block())
    v = Vectors(b, 8)
    cell = lambda base, i: b.gep(base, [INT(8 * i)], source_etype=INT)  # noqa: E731
    rows = [b.load(cell(function.args[0], i), typ=v.ints, align=8) for i in range(n_in)]
    for i, value in enumerate(build(v, rows)):
        b.store(value, cell(function.args[1], i), align=8)
    b.ret_void()
    code = compiled.Compiled.of_module(module)
    function_of = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(code.address)
    function_of.kept = code  # type: ignore[attr-defined]

    def evaluate(words: np.ndarray) -> np.ndarray:
        words, result = np.ascontiguousarray(words), np.zeros((n_out, 8), np.int64)
        assert words.shape == (n_in, 8)
        function_of(words.ctypes.data, result.ctypes.data)
        return result

    return evaluate


def test_the_logarithm_is_right_to_the_last_places() -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate(
        [rng.random(400), 2.0 ** -rng.uniform(0, 53, 400), 1 - 2.0 ** -rng.uniform(1, 53, 392)]
    )
    x = np.concatenate(
        [x, [2.0**-53, 1 - 2.0**-53, math.sqrt(0.5), np.nextafter(math.sqrt(0.5), 0), 0.5, 0.25, 0.75, 0.7]]
    )
    minus_log = on_lanes(lambda v, rows: [v.minus_log(v.builder.bitcast(rows[0], v.doubles))], 1, 1)
    for part in x.reshape(-1, 8):
        values = minus_log(part.view(np.int64)[None])[0].view(float)
        exact = -np.log(part.astype(np.longdouble))
        assert np.abs((values - exact) / exact).max() < 4e-16


def functions(name: str, n_in: int) -> Callable[..., np.ndarray]:
    """A function of vectors on arrays whose length is a multiple of 8."""

    def build(v: Vectors, rows: list) -> list:
        return [getattr(v, name)(*(v.builder.bitcast(row, v.doubles) for row in rows))]

    made = on_lanes(build, n_in, 1)

    def evaluate(*x: np.ndarray) -> np.ndarray:
        parts = [made(np.stack([c[k : k + 8] for c in x]).view(np.int64)) for k in range(0, len(x[0]), 8)]
        return np.concatenate(parts, axis=1)[0].view(float)

    return evaluate


def test_exponentials_logarithms_and_powers() -> None:
    """Against extended precision, in units of the last place; and where they have no finite value."""
    rng, unit = np.random.default_rng(2), np.finfo(float).eps
    exp, log, power = functions("exp", 1), functions("log", 1), functions("power", 2)
    x = np.concatenate([rng.uniform(-700, 709, 4000), rng.normal(size=4000), 1e-9 * rng.normal(size=4000)])
    exact = np.exp(x.astype(np.longdouble))
    assert np.abs((exp(x) - exact) / exact).max() < 1.5 * unit
    x = np.concatenate([10 ** rng.uniform(-320, 308, 4000), 1 + 1e-3 * rng.normal(size=4000)])
    exact = np.log(x.astype(np.longdouble))
    assert np.abs((log(x) - exact) / exact).max() < 2 * unit
    x, y = 10 ** rng.uniform(-3, 6, 4000), rng.uniform(-6, 6, 4000)
    exact = np.power(x.astype(np.longdouble), y)
    assert (np.abs((power(x, y) - exact) / exact) / np.maximum(1, np.abs(y * np.log(x)))).max() < 2 * unit
    with np.errstate(all="ignore"):
        ends = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 710.0, -745.0, -1e300])
        np.testing.assert_array_equal(exp(ends), np.exp(ends))
        ends = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, -5e-324])
        np.testing.assert_array_equal(log(ends), np.log(ends))
        bases = np.array([-2.0, -2.0, -2.0, 0.0, 0.0, 0.0, np.inf, 2.0])
        exponents = np.array([3.0, 2.0, 2.5, 2.0, 0.0, -1.0, 2.0, np.nan])
        np.testing.assert_allclose(power(bases, exponents), np.power(bases, exponents), rtol=1e-15)


def test_the_generator_is_xoshiro() -> None:
    """Against the algorithm in whole numbers, and the extreme fractions."""

    def reference(s: list[int]) -> int:
        mask, rotated = 2**64 - 1, lambda x, k: ((x << k) | (x >> (64 - k))) & (2**64 - 1)
        result = (rotated((s[0] + s[3]) & mask, 23) + s[0]) & mask
        t = (s[1] << 17) & mask
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotated(s[3], 45)
        return result

    def draw(v: Vectors, rows: list) -> list:
        result, state = v.xoshiro(rows)
        return [result, *state]

    states = streams(12, 0, range(8))
    expected = [[int(w) for w in state] for state in states]
    rows = states.T
    drawn = on_lanes(draw, 4, 5)
    for _ in range(5):
        out = drawn(rows.view(np.int64)).view(np.uint64)
        assert out[0].tolist() == [reference(s) for s in expected]
        rows = out[1:]
        assert rows.T.tolist() == expected
    ends = np.array([[0, 2**64 - 1, 2**12, 2**63, 1, 2, 3, 4]], np.uint64).view(np.int64)
    fraction = on_lanes(lambda v, rows: [v.fraction(rows[0])], 1, 1)(ends)[0].view(float)
    assert fraction[:4].tolist() == [0.0, 1 - 2.0**-52, 2.0**-52, 0.5]
    waiting = on_lanes(lambda v, rows: [v.exponential(rows[0])], 1, 1)(ends)[0].view(float)
    assert 0 < waiting[0] < 1.2e-16
    assert waiting[1] == pytest.approx(53 * math.log(2), rel=1e-15)


def test_streams_start_apart() -> None:
    """Uniform bits, no two alike, neighbours unrelated, and the same for any block."""
    states = streams(2**100 + 5, 0, range(20000))
    np.testing.assert_array_equal(streams(2**100 + 5, 0, range(17, 29, 3)), states[17:29:3])
    assert len(np.unique(states)) == states.size
    bits = (states[..., None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    bits = bits.reshape(len(states), -1).astype(np.int8)
    bound = z_threshold(3 * 256)
    assert np.abs((bits.mean(axis=0) - 0.5) * 2 * math.sqrt(len(bits))).max() < bound
    changed = (bits[1:] != bits[:-1]).mean(axis=0)
    assert np.abs((changed - 0.5) * 2 * math.sqrt(len(bits) - 1)).max() < bound
    other = (streams(2**100 + 5, 1, range(20000))[..., None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    equal = (other.reshape(bits.shape) == bits).mean(axis=0)
    assert np.abs((equal - 0.5) * 2 * math.sqrt(len(bits))).max() < bound


@pytest.mark.statistical
def test_draws_are_uniform_and_unrelated(seed) -> None:
    """In the streams of neighbouring trajectories: 64 cells, and correlations of lag 1 in both directions."""
    s, n, steps = seed(44), 8 * 250, 40

    def draws(v: Vectors, rows: list) -> list:
        out = []
        for _ in range(steps):
            word, rows = v.xoshiro(rows)
            out.append(v.fraction(word))
        return out

    starts = streams(s, 0, range(n)).T.view(np.int64)
    evaluate = on_lanes(draws, 4, steps)
    u = np.concatenate([evaluate(starts[:, k : k + 8]).view(float) for k in range(0, n, 8)], axis=1)
    cells = np.bincount((u.ravel() * 64).astype(int), minlength=64)
    expected = u.size / 64
    chi = (((cells - expected) ** 2) / expected).sum()
    assert abs(chi - 63) / math.sqrt(2 * 63) < 6
    for a, b in ((u[1:], u[:-1]), (u[:, 1:], u[:, :-1])):
        z = ((a - 0.5) * (b - 0.5)).sum() * 12 / math.sqrt(a.size)
        assert abs(z) < z_threshold(2)


# ------------------------------------------------------------------------------------------------ guards


def unchecked(text: str, signal: Signal | None = None, **how: int) -> np.ndarray:
    """Without the lint, which refuses such models: the engine must not trust it."""
    times = np.array([0.0, 10.0])
    return Run(Model.load(text), times, signal, {}, **how)(range(40), 1, 0)


def test_a_negative_propensity_is_named() -> None:
    text = "substanceOnly species X, Y; X = 5; Y = 0; fine: X => Y; X; net: => X; 3 - 2*Y;"
    with pytest.raises(SimulationError, match=r"reaction net: its propensity is -1 at t=.* with Y=2;"):
        unchecked(text)


def test_a_propensity_that_goes_below_zero_on_a_ramp_is_named() -> None:
    text = "substanceOnly species X; X = 0; s = 1; made: => X; 5; odd: => X; (s - 1)*(X + 1);"
    with pytest.raises(SimulationError, match="reaction odd: its propensity is"):
        unchecked(text, Signal(np.array([0, 5.0]), np.array([3.0, 0.0])))


def test_a_reaction_that_takes_more_than_there_is_is_named() -> None:
    with pytest.raises(SimulationError, match="reaction R: it takes 2 X, but fires with 1"):
        unchecked("substanceOnly species X; X = 5; R: 2 X => ; X;")
    with pytest.raises(SimulationError, match="reaction R: it takes 1 X, but fires with 0"):
        unchecked("substanceOnly species X; X = 5; R: X => ; 2;")


def test_a_propensity_that_is_not_a_number_is_named() -> None:
    with pytest.raises(SimulationError, match="reaction R: its propensity is inf"):
        unchecked("substanceOnly species X, Y; X = 5; Y = 0; Q: X => Y; X; R: => X; 1/X;")


def test_an_explosion_ends() -> None:
    with pytest.raises(SimulationError, match=r"(too fast for time to advance|propensity is inf)"):
        unchecked("substanceOnly species X; X = 5; R: X => 100 X; X^3;")


def test_a_trajectory_may_not_take_for_ever() -> None:
    text = "substanceOnly species X; X = 5; up: => X; 1000; down: X => ; X;"
    for most in (100, 15000):
        with pytest.raises(SimulationError, match=f"more than {most} firings"):
            unchecked(text, most_steps=most)
    assert unchecked(text, most_steps=10**6).shape == (40, 2, 1)


def test_an_absorbed_trajectory_ends_at_once() -> None:
    times = np.linspace(0, 1e9, 5)
    begun = time.perf_counter()
    for signal in (None, Signal.sawtooth(0, 1, rise=1e6, fall=1e6, periodic=True)):
        counts = Run(model(DEATH), times, signal, {})(range(1000), 1, 0)
        assert np.all(counts[:, 1:] == 0)
    assert time.perf_counter() - begun < 2


def test_a_model_without_reactions_stays() -> None:
    counts = unchecked("substanceOnly species X;\nX = 5; k = 1;")
    assert np.all(counts == 5)


def test_what_is_not_exact_is_refused() -> None:
    text = "substanceOnly species X; X = 0; s = 1; made: => X; 1/(s - 2)^2;"
    with pytest.raises(SimulationError, match=r"cannot be bounded along the ramp at t=.*staircase\(200\)"):
        unchecked(text, Signal(np.array([0, 5.0]), np.array([3.0, 1.0])))
    with pytest.raises(SimulationError, match="reaction R: its law depends on time itself"):
        unchecked("substanceOnly species X; X = 0; R: => X; time;")


ENDLESS = "substanceOnly species X; X = 1000; up: => X; 1000; down: X => ; X;"


def test_ctrl_c_stops_the_main_thread_within_a_second() -> None:
    run = Run(model(ENDLESS), np.array([0.0, 1e9]), None, {})
    timer = threading.Timer(0.3, _thread.interrupt_main)
    begun = time.perf_counter()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run(range(32), 1, 0)
    assert time.perf_counter() - begun < 1.3


def test_other_threads_can_be_stopped_and_python_goes_on_beside_them() -> None:
    run = Run(model(ENDLESS), np.array([0.0, 1e9]), None, {})
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(partial(run, range(32)), k, 0) for k in range(2)]
        begun = time.perf_counter()
        while time.perf_counter() - begun < 0.2:
            pass
        run.stopping.set()
        for future in waiting:
            with pytest.raises(KeyboardInterrupt):
                future.result(timeout=1)


def test_the_method_is_stated_for_every_reaction() -> None:
    teeth = Signal.sawtooth(0, 2, rise=1, fall=1, periodic=True)
    assert Run(model(DIMERS), SEVERAL, None, {}).method.startswith("exact: every propensity is constant")
    assert Run(model(DIMERS), SEVERAL, teeth.staircase(4), {}).method.startswith("exact: every propensity")
    assert Run(model(DIMERS), SEVERAL, teeth, {}).method == (
        "exact: integrated hazard in closed form along ramps for bind; constant between firings: part"
    )
    assert Run(model(HILL), SEVERAL, teeth, {}).method == (
        "exact: thinning under a proven bound along ramps for made, lost; constant between firings: none"
    )
