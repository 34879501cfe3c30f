"""Entropy of single trajectories against rate matrices: its mean, its fluctuations, the theorem they obey.

Where one molecule's chain is known, mean, variance and the second moment of exp(-Δs) are exact, from the
exponential of a block matrix; elsewhere a difference is counted in standard errors of the sample. The bound
is z = isf(α/2K), α = 1e-6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, reduce

import numpy as np
import pytest
import xarray as xr
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from chemlearn.entropy.flow import EntropyFlow
from chemlearn.entropy.network import dissipation
from chemlearn.entropy.paths import fluctuation, trajectory_entropy
from chemlearn.entropy.sums import PathEnsemble
from chemlearn.errors import ModelError, SimulationError
from chemlearn.markov.chain import entropy_production_rate, steady_state
from chemlearn.markov.ladder import Ladder
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import simulate_paths
from tests.statistics import assert_means, z_threshold
from tests.sweeping import rotor
from tests.test_entropy import BOUND, CYCLE
from tests.test_entropy import ladder as matrix
from tests.test_exact_law import DIMERS, OPEN

TEETH = Signal.sawtooth(0.5, 3.0, rise=0.4, fall=1.1, periodic=True)


@cache
def ladder(gamma: float, n: int = 1) -> Model:
    return Model.load("ladder").with_values(gamma=gamma, N=n)


def added_by(w: np.ndarray) -> np.ndarray:
    """What each jump of one molecule at rest adds to Δs."""
    flux = w * steady_state(w)
    moves = (w > 0) & ~np.eye(len(w), dtype=bool)
    added = np.zeros(w.shape)
    added[moves] = np.log(flux[moves] / flux.T[moves])
    return added


def exact_total(w: np.ndarray, duration: float) -> tuple[float, float]:
    """Mean and variance of Δs of one molecule at rest over a time."""
    p, n, added = steady_state(w), len(w), added_by(w)
    zero, first, second = np.zeros((n, n)), w * added, w * added**2 / 2
    powers = expm(duration * np.block([[w, first, second], [zero, w, first], [zero, zero, w]]))
    mean = float((powers[:n, n : 2 * n] @ p).sum())
    square = 2 * float((powers[:n, 2 * n :] @ p).sum())
    return mean, square - mean**2


def exact_square(w: np.ndarray, duration: float) -> float:
    """⟨exp(-2 Δs)⟩ of one molecule at rest over a time."""
    return float((expm(duration * w * np.exp(-2 * added_by(w))) @ steady_state(w)).sum())


def away(data: xr.Dataset, name: str, exact: float) -> float:
    """In standard errors of the sample."""
    return abs(data[name].item() - exact) / data[f"{name}_error"].item()


# --- at rest -----------------------------------------------------------------------------------------------


@pytest.mark.statistical
@pytest.mark.parametrize(("gamma", "s"), [(0.5, 0.0), (0.5, 200.0), (0.1, 50.0), (0.01, 50.0), (1e-4, 200.0)])
def test_three_ways_agree_on_the_ladder(gamma: float, s: float, seed) -> None:
    """Rate matrix, reaction network, firings of one molecule; K = 2."""
    chain, root, duration = Ladder(gamma), seed(31), 1.0
    matrix = chain.dissipation(s)
    assert dissipation(ladder(gamma), s).per_molecule == pytest.approx(matrix, rel=1e-9)
    data = trajectory_entropy(ladder(gamma), duration, s=s, trajectories=2500, seed=root)
    assert data.attrs["law"].startswith("multinomial")
    mean, variance = exact_total(chain.rates(s), duration)
    assert mean == pytest.approx(matrix * duration, rel=1e-9)
    assert_means(data.total.values, np.array(mean), np.array(variance), seed=root)
    assert data.rate_error.item() < 0.12 * matrix  # or the comparison would say nothing
    assert away(data, "observed_rate", matrix) < z_threshold(1)
    assert data.observed_rate_error < 0.3 * data.rate_error


@pytest.mark.statistical
@pytest.mark.parametrize(("gamma", "s", "duration"), [(0.7, 0.0, 1.0), (0.5, 50.0, 0.5), (0.3, 200.0, 0.2)])
def test_integral_fluctuation_theorem(gamma: float, s: float, duration: float, seed) -> None:
    """With the exact scatter of exp(-Δs); K = 1 for each."""
    root = seed(32)
    data = trajectory_entropy(ladder(gamma), duration, s=s, trajectories=4000, seed=root)
    second = exact_square(Ladder(gamma).rates(s), duration)
    assert second < 2
    assert_means(np.exp(-data.total.values), np.array(1.0), np.array(second - 1), seed=root)
    assert data.effective == pytest.approx(4000 / second, rel=0.3)
    with pytest.raises(AssertionError, match="off by z"):  # the surroundings alone do not obey it
        assert_means(np.exp(-data.medium.values), np.array(1.0), np.array(second - 1), seed=root)


@pytest.mark.parametrize("signal", [None, Signal.constant(50.0)], ids=["still", "signal"])
def test_in_detailed_balance_every_trajectory_produces_nothing(signal: Signal | None) -> None:
    """Not only on average: what the surroundings get the system gives, with all factorials."""
    data = trajectory_entropy(ladder(1.0, 30), 0.5, s=50.0, signal=signal, trajectories=50, seed=4)
    assert np.abs(data.medium).max() > 1
    np.testing.assert_allclose(data.total, 0.0, atol=2e-7 if signal else 1e-10)
    assert data.fluctuation.item() == pytest.approx(1.0, abs=1e-7)
    if signal is None:
        assert data.observed_rate.item() == pytest.approx(0.0, abs=1e-10)


@pytest.mark.statistical
def test_many_molecules_dissipate_as_many_times_one(seed) -> None:
    """And the rates of firing say it with less scatter than the firings; K = 3."""
    data = trajectory_entropy(ladder(0.01, 30), 1.0, trajectories=200, seed=seed(33))
    exact = 30 * Ladder(0.01).dissipation(50.0)
    for name in ("rate", "observed_rate"):
        assert away(data, name, exact) < z_threshold(3)
    difference = (data.medium - data.observed).values
    assert abs(difference.mean()) < z_threshold(3) * difference.std(ddof=1) / math.sqrt(200)
    assert data.observed_rate_error < data.rate_error / 3
    assert data.rate_error.item() < 0.02 * exact


@pytest.mark.statistical
def test_a_reverse_rate_that_is_ten_percent_off_is_caught(seed) -> None:
    """Round a ring of equal rates f and b, Δs_m is ln(f/b) times the difference of two Poisson counts."""
    root, duration = seed(34), 60.0
    right = Model.load(CYCLE.format(f=2.0)).with_values(A=1)
    wrong = Model.load(right.text.replace("ac: A => C; b*A", "ac: A => C; 1.1*b*A")).with_values(A=1)
    paths = simulate_paths(right, duration, trajectories=2000, seed=root)

    def compare(model: Model) -> None:
        ensemble = PathEnsemble(model, EntropyFlow(model), 0.0, duration, None, root)
        medium = ensemble.of([paths], np.random.default_rng(0)).medium
        mean, variance = duration * math.log(2), 3 * duration * math.log(2) ** 2
        assert_means(medium, np.array(mean), np.array(variance), seed=root)

    compare(right)
    with pytest.raises(AssertionError, match="off by z"):
        compare(wrong)


# --- molecules that act on each other ----------------------------------------------------------------------


def dimers(n: int, s: float = 2.0) -> np.ndarray:
    """Rate matrix of n monomers, single and in dimers, written down independently."""
    states = [(n - 2 * (d + e), d, e) for d in range(n // 2 + 1) for e in range(n // 2 + 1 - d)]
    at = {state: i for i, state in enumerate(states)}
    w = np.zeros((len(states), len(states)))
    for a, d, e in states:
        pairs = a * (a - 1)
        rates = {
            (a - 2, d + 1, e): 0.3 * s * pairs, (a + 2, d - 1, e): 0.5 * d, (a, d - 1, e + 1): d,
            (a, d + 1, e - 1): 0.2 * e, (a + 2, d, e - 1): 2 * e, (a - 2, d, e + 1): 0.01 * pairs,
        }  # fmt: skip
        for to, rate in rates.items():
            if rate:
                w[at[to], at[a, d, e]] = rate
    return w - np.diag(w.sum(axis=0))


@pytest.mark.statistical
def test_few_dimers_dissipate_as_their_master_equation_says_not_as_rate_equations(seed) -> None:
    n, root, duration = 4, seed(35), 8.0
    model = Model.load(DIMERS.format(n=n))
    exact = entropy_production_rate(dimers(n))
    data = trajectory_entropy(model, duration, trajectories=3000, seed=root)
    assert data.attrs["law"] == "master equation of 6 states"
    for name in ("rate", "observed_rate"):
        assert away(data, name, exact) < z_threshold(2)
        assert away(data, name, dissipation(model).rate) > 4 * z_threshold(2)
    mean, variance = exact_total(dimers(n), duration)
    assert_means(data.total.values, np.array(mean), np.array(variance), seed=root)


def test_with_many_molecules_both_formulas_agree() -> None:
    """By the exact law alone, without trajectories: the difference falls as 1/N."""

    def excess(n: int) -> float:
        model = Model.load(DIMERS.format(n=n).replace("*(A - 1)", f"*(A - 1)/{n}"))
        w = dimers(n)  # with propensities of pairs divided by n, as in a larger volume
        states = [(n - 2 * (d + e), d, e) for d in range(n // 2 + 1) for e in range(n // 2 + 1 - d)]
        monomers = np.array([a for a, _, _ in states])
        w = np.where(np.subtract.outer(monomers, monomers) == -2, w / n, w)
        return entropy_production_rate(w) / dissipation(model).rate - 1

    small, large = abs(excess(10)), abs(excess(40))
    assert small > 0.01
    assert large == pytest.approx(small / 4, rel=0.3)


@pytest.mark.statistical
def test_two_ways_between_the_same_states_are_told_apart(seed) -> None:
    """A matrix that adds them up has no dissipation at all here; the theorem holds for the reactions."""
    model = Model.load(BOUND.format(fuel=5.0)).with_values(A=3, B=4)
    duration, root = 4.0, seed(36)
    data = trajectory_entropy(model, duration, trajectories=3000, seed=root)
    assert data.attrs["law"] == "master equation of 4 states"
    assert away(data, "fluctuation", 1.0) < z_threshold(2)
    p, exact = np.ones(4), 0.0
    for u in range(3):  # one quantity: in balance between neighbours
        free = (3 - u) * (4 - u)
        p[u + 1] = p[u] * (0.02 + 0.004) * free / ((0.5 + 0.5) * (u + 1))
    p /= p.sum()
    for u in range(3):
        free = (3 - u) * (4 - u)
        for k, back in ((0.02, 0.5), (0.004, 0.5)):
            up, down = k * free * p[u], back * (u + 1) * p[u + 1]
            exact += (up - down) * math.log(up / down)
    assert away(data, "rate", exact) < z_threshold(2)
    assert data.rate_error.item() < 0.1 * exact


@pytest.mark.statistical
def test_open_networks(seed) -> None:
    """Molecules that enter and leave: Poisson, and σ that of the rate equations; K = 3."""
    model = Model.load(OPEN)
    data = trajectory_entropy(model, 0.3, trajectories=1500, seed=seed(37))
    assert data.attrs["law"].startswith("Poisson")
    exact = dissipation(model).rate
    for name in ("rate", "observed_rate"):
        assert away(data, name, exact) < z_threshold(3)
    assert data.observed_rate_error.item() < 0.05 * exact


@pytest.mark.statistical
def test_without_a_law_it_runs_in_and_says_what_it_cannot_tell(seed) -> None:
    model = Model.load(DIMERS.format(n=4))
    exact = entropy_production_rate(dimers(4))
    data = trajectory_entropy(model, 8.0, trajectories=1500, seed=seed(38), most_states=5)
    assert data.attrs["law"] == ""
    assert data.attrs["reason"].startswith("the system's entropy and the fluctuation theorem cannot be told")
    assert "more than 5 states" in data.attrs["reason"]
    assert np.isnan(data.system).all()
    assert np.isnan(data.fluctuation)
    for name in ("rate", "observed_rate"):
        assert away(data, name, exact) < z_threshold(2)


def test_the_noise_of_balanced_reactions_cancels() -> None:
    """Of mass action nothing is left of ṡ(n) but net rates of firing times affinities."""
    model = Model.load(BOUND.format(fuel=5.0))
    flow, rest = EntropyFlow(model), model.dynamics.steady_state(1.0)
    amounts = [np.random.default_rng(2).integers(0, 50, 40).astype(float) for _ in model.species]
    pairs = ["on", "off", "burn", "make"]
    reactions = [reaction.name for reaction in model.network.reactions]
    order = [reactions.index(name) for name in pairs]
    a, j = model.dynamics.rates(np.array(amounts), 1.0)[order], model.dynamics.rates(rest, 1.0)[order]
    wanted = (a[0] - a[1]) * math.log(j[0] / j[1]) + (a[2] - a[3]) * math.log(j[2] / j[3])
    np.testing.assert_allclose(flow.rate(amounts, 1.0, rest), wanted, rtol=1e-9)
    plain = flow.rate(amounts, 1.0)
    assert np.std(plain - wanted) > 1


# --- under a signal ----------------------------------------------------------------------------------------


SAW = Signal.sawtooth(20, 150, rise=0.2, fall=0.8, periodic=True)


@pytest.mark.statistical
@pytest.mark.parametrize(
    "signal", [Signal.step(20, 150), Signal([0, 0.3, 0.5], [20, 150, 60]), SAW], ids=["step", "ramps", "saw"]
)
def test_driven_entropy_is_that_of_the_master_equation(signal: Signal, seed) -> None:
    """∫ σ(p(t), s(t)) dt of one molecule from rest at 20, and the theorem; K = 3."""
    duration = 0.7
    data = trajectory_entropy(ladder(0.5), duration, s=20, signal=signal, trajectories=4000, seed=seed(39))

    def production(t: float, y: np.ndarray) -> np.ndarray:
        w = matrix(0.5, 25.0, float(signal(t)))
        return np.append(w @ y[:-1], entropy_production_rate(w, y[:-1]))

    y = np.append(steady_state(matrix(0.5, 25.0, 20.0)), 0.0)
    for piece in signal.pieces(0.0, duration):
        inside = piece.stop - 1e-12  # the knot belongs to the next piece
        y = solve_ivp(production, (piece.start, inside), y, "LSODA", rtol=1e-8, atol=1e-10).y[:, -1]
    for name in ("rate", "observed_rate"):
        assert away(data, name, y[-1] / duration) < z_threshold(3)
    assert data.rate_error.item() * duration < 0.1 * y[-1]
    assert data.attrs["reason"] == ""
    assert away(data, "fluctuation", 1.0) < z_threshold(3)


@pytest.mark.statistical
@pytest.mark.parametrize("most_states", [5, 1000], ids=["run-in", "master equation"])
def test_dimers_in_a_periodic_state(most_states: int, seed) -> None:
    """By waiting until it repeats and from a law that does, against steps of the matrix; K = 2."""
    steps = 300
    half = TEETH.period / steps / 2
    rates = [dimers(4, float(TEETH((2 * k + 1) * half))) for k in range(steps)]
    maps = [expm(w * half) for w in rates]
    whole = reduce(lambda done, m: m @ m @ done, maps, np.eye(6))
    p, exact = steady_state(whole - np.eye(6)), 0.0
    for w, m in zip(rates, maps, strict=True):
        exact += 2 * half * entropy_production_rate(w, m @ p)
        p = m @ (m @ p)
    data = trajectory_entropy(Model.load(DIMERS.format(n=4)), 2 * TEETH.period, signal=TEETH,
                              trajectories=2000, seed=seed(40), most_states=most_states)  # fmt: skip
    assert data.attrs["start"] == "periodic"
    assert (data.attrs["law"] == "") == (most_states == 5)
    for name in ("rate", "observed_rate"):
        assert away(data, name, exact / TEETH.period) < z_threshold(2)
    assert data.rate_error.item() * TEETH.period < 0.05 * exact


# --- what cannot be told -----------------------------------------------------------------------------------


def test_heavy_tails_are_said_not_averaged() -> None:
    data = trajectory_entropy(ladder(0.01, 30), 0.5, trajectories=100, seed=5)
    assert np.isnan(data.fluctuation)
    assert np.isnan(data.fluctuation_error)
    assert data.effective < 20
    assert "too heavy a tail for 100 trajectories" in data.attrs["reason"]
    assert np.isfinite(data.rate)


@pytest.mark.statistical
def test_a_tail_that_was_never_seen_is_noticed(seed) -> None:
    """One forward firing adds 20 k_B and its opposite, which should carry a tenth, never comes."""
    total = np.where(np.random.default_rng(seed(42)).random(5000) < 0.1, 20.0, 0.0)
    found = fluctuation(total)
    assert found.effective > 4000
    assert np.isnan(found.mean)
    assert found.unseen == pytest.approx(0.1, abs=0.03)
    assert "so unlikely that none was seen" in found.reason
    fine = fluctuation(np.random.default_rng(seed(42)).normal(0.3, math.sqrt(0.6), 5000))
    assert fine.reason == ""
    assert abs(fine.mean - 1) < z_threshold(1) * fine.error


def test_a_one_way_reaction_is_infinite_where_it_fired_and_named() -> None:
    text = rotor().text.replace("  ac: A => C; 0.02*A\n", "")
    data = trajectory_entropy(Model.load(text).with_values(N=1), 1.0, trajectories=200, seed=6)
    fired = np.isinf(data.medium.values)
    assert 0 < fired.sum() < 200
    assert data.rate.item() == data.observed_rate.item() == math.inf
    assert data.attrs["reason"] == "ca runs one way, without a reverse reaction"
    assert np.isnan(data.fluctuation)


def test_a_firing_that_cannot_be_undone_in_some_states_is_named() -> None:
    text = rotor().text.replace("0.02*A", "0.02*A*piecewise(1, A > 5, 0)")
    data = trajectory_entropy(Model.load(text).with_values(N=1), 2.0, trajectories=100, seed=6)
    assert "ca runs one way" in data.attrs["reason"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace("end\n", "  ab2: A => B; 3*A\nend\n"), "not clear which of ab"),
        (lambda text: "model m\n s = 1; u' = s - u; u = 0\nend", "no reactions to count"),
    ],
)
def test_models_whose_entropy_cannot_be_counted(change: Callable[[str], str], reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        trajectory_entropy(Model.load(change(rotor().text)), 1.0, trajectories=2, seed=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"duration": 0.0}, "duration must be positive, got 0"),
        ({"duration": math.inf}, "duration must be positive"),
        ({"trajectories": 1}, "at least 2 trajectories"),
    ],
)
def test_arguments_that_make_no_sense(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trajectory_entropy(rotor(), **{"duration": 1.0, "trajectories": 10, "seed": 1} | options)


def test_trajectories_too_long_for_the_memory_are_refused() -> None:
    with pytest.raises(SimulationError, match=r"fires about .* take a shorter time or fewer molecules"):
        trajectory_entropy(ladder(0.01, 120_000), 1.0, trajectories=2, seed=1)


# --- the same numbers again --------------------------------------------------------------------------------


def test_neither_workers_nor_more_trajectories_change_a_trajectory() -> None:
    model = rotor().with_values(N=5)
    one = trajectory_entropy(model, 2.0, trajectories=60, seed=9)
    xr.testing.assert_identical(one, trajectory_entropy(model, 2.0, trajectories=60, seed=9, workers=3))
    more = trajectory_entropy(model, 2.0, trajectories=90, seed=9)
    np.testing.assert_array_equal(one.total, more.total[:60])
    assert one.attrs["seed"] == "9"
    other = trajectory_entropy(model, 2.0, trajectories=60, seed=10)
    assert np.any(one.total.values != other.total.values)
