"""Laws of the amounts: independent molecules and the master equation must give the same probabilities."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import multinomial, poisson

from chemlearn.entropy.law import Enumerated, IndependentMolecules, law_at_rest, reachable
from chemlearn.errors import ModelError
from chemlearn.markov.chain import steady_state
from chemlearn.model import Model
from chemlearn.orbit import periodic_orbit
from chemlearn.signal import Signal
from tests.statistics import assert_moments
from tests.sweeping import Exact, rotor

OPEN = """model flow
  s = 2
  substanceOnly species A, u
  A = 1; u = 0
  enter: => A; 3*s
  back: A => ; 0.5*A
  on: A => u; 1.2*A
  off: u => A; 0.4*u
  leave: u => ; u
  come: => u; 0.1
end
"""
DIMERS = """model dimers
  s = 2
  substanceOnly species A, u, E
  A = {n}; u = 0; E = 0
  pair: 2 A => u; 0.3*s*A*(A - 1)
  part: u => 2 A; 0.5*u
  turn: u => E; u
  undo: E => u; 0.2*E
  free: E => 2 A; 2*E
  bind: 2 A => E; 0.01*A*(A - 1)
end
"""
TEETH = Signal.sawtooth(0.5, 3.0, rise=0.4, fall=1.1, periodic=True)


def both(model: Model, s: float) -> tuple[IndependentMolecules, Enumerated]:
    law = law_at_rest(model, s, most_states=10)
    chain = reachable(model, (s,), 1000)
    assert isinstance(law, IndependentMolecules)
    assert chain is not None
    return law, Enumerated(chain, steady_state(chain.rates(s).toarray()))


def test_independent_molecules_solve_the_master_equation() -> None:
    law, enumerated = both(rotor().with_values(N=4), 2.0)
    assert len(enumerated.chain.states) == 15
    logs = law.log_probability(enumerated.chain.states)
    np.testing.assert_allclose(np.exp(logs), enumerated.probabilities, rtol=1e-11)
    np.testing.assert_allclose(logs, enumerated.log_probability(enumerated.chain.states), rtol=1e-11)
    one = Exact(2.0, 0.3).rest
    np.testing.assert_allclose(logs, multinomial(4, one).logpmf(enumerated.chain.states), rtol=1e-11)


@pytest.mark.parametrize(
    "signal", [TEETH, Signal.step(2.0, 0.1), TEETH.staircase(3)], ids=["ramps", "step", "stairs"]
)
def test_they_follow_a_signal_alike(signal: Signal) -> None:
    """The means by CVODE, the master equation by an implicit solver of its own."""
    law, enumerated = both(rotor().with_values(N=3), 2.0)
    after = law.after(signal, 2.1)
    logs = after.log_probability(enumerated.chain.states)
    np.testing.assert_allclose(np.exp(logs), enumerated.after(signal, 2.1).probabilities, atol=1e-7)
    assert np.max(np.abs(np.exp(logs) - enumerated.probabilities)) > 0.01


def test_open_networks_are_poisson() -> None:
    model = Model.load(OPEN)
    law = law_at_rest(model, 2.0, most_states=10)
    assert isinstance(law, IndependentMolecules)
    assert law.how == "Poisson: the molecules are independent of each other"
    # by hand: 6 + 0.4 u = 1.7 A, 0.1 + 1.2 A = 1.4 u
    a, u = np.linalg.solve([[1.7, -0.4], [-1.2, 1.4]], [6.0, 0.1])
    counts = np.array(list(product(range(9), range(9))), float)
    exact = poisson(a).logpmf(counts[:, 0]) + poisson(u).logpmf(counts[:, 1])
    np.testing.assert_allclose(law.log_probability(counts), exact, rtol=1e-10)


@pytest.mark.statistical
@pytest.mark.parametrize("text", [OPEN, DIMERS.format(n=7)], ids=["Poisson", "enumerated"])
def test_draws_have_the_law_that_they_are_drawn_from(text: str, seed) -> None:
    law = law_at_rest(Model.load(text), 2.0, most_states=100)
    assert not isinstance(law, str)
    counts = np.array(list(product(range(30), repeat=3 if isinstance(law, Enumerated) else 2)), float)
    p = np.exp(law.log_probability(counts))
    assert p.sum() == pytest.approx(1.0, abs=1e-9)
    mean = p @ counts
    s = seed(5)
    drawn = law.draw(np.random.default_rng(s), 4000)
    moments = [p @ (counts - mean) ** k for k in (2, 4)]
    assert_moments(drawn, mean, moments[0], fourth=moments[1], seed=s)
    with pytest.raises(AssertionError, match="off by z"):
        assert_moments(drawn + (drawn[:, :1] > 2), mean, moments[0], fourth=moments[1], seed=s)


def test_all_states_of_dimers_are_found_and_no_more() -> None:
    chain = reachable(Model.load(DIMERS.format(n=7)), (2.0,), 100)
    assert chain is not None
    wanted = {(7.0 - 2 * (d + e), float(d), float(e)) for d in range(4) for e in range(4 - d)}
    assert {tuple(state) for state in chain.states} == wanted
    np.testing.assert_allclose(chain.rates(2.0).sum(axis=0), 0.0, atol=1e-12)
    at = {tuple(state): i for i, state in enumerate(chain.states)}
    w = chain.rates(3.0)
    assert w[at[3.0, 1.0, 1.0], at[5.0, 0.0, 1.0]] == pytest.approx(0.3 * 3 * 5 * 4)
    assert w[at[5.0, 0.0, 1.0], at[3.0, 1.0, 1.0]] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("1.2*A", "1.2*A*u"), "not independent of each other, and more than 30 states"),
        (("3*s", "3*s*u/(1 + u)"), "not independent of each other, and more than 30 states"),
        (("on: A => u", "on: A => 2 u"), "not independent of each other, and more than 30 states"),
    ],
)
def test_why_a_law_is_not_known(change: tuple[str, str], reason: str) -> None:
    law = law_at_rest(Model.load(OPEN.replace(*change)), 2.0, most_states=30)
    assert isinstance(law, str)
    assert reason in law


def test_states_that_are_left_for_ever_have_no_law_at_rest() -> None:
    text = DIMERS.format(n=4).replace("  undo: E => u; 0.2*E\n  free: E => 2 A; 2*E\n", "")
    law = law_at_rest(Model.load(text.replace("  bind: 2 A => E; 0.01*A*(A - 1)\n", "")), 2.0, most_states=99)
    assert isinstance(law, str)
    assert "no single steady state" in law


@pytest.mark.parametrize("period", [0.05, 1.5, 60.0])
def test_the_orbit_comes_back_to_itself(period: float) -> None:
    """Also where a cycle is a hundred times shorter than the memory; against the master equation's map."""
    saw = Signal.sawtooth(0.5, 3.5, rise=0.2 * period, fall=0.8 * period, periodic=True)
    model = rotor()
    state = periodic_orbit(model, saw)
    steps, whole = 4000, np.eye(3)
    for t in (np.arange(steps) + 0.5) * period / steps:
        half = Exact(float(saw(t)), 0.3).generator * period / steps / 2
        whole = np.linalg.solve(np.eye(3) - half, (np.eye(3) + half) @ whole)  # second order in the step
    found = steady_state(whole - np.eye(3))
    np.testing.assert_allclose(state[:3], 20 * found, rtol=1e-5)


@pytest.mark.parametrize(
    ("signal", "error", "message"),
    [
        (Signal.sawtooth(1, 2, rise=1, fall=2), ValueError, "needs a periodic signal"),
        (Signal.sawtooth(-1, 2, rise=1, fall=2, periodic=True), ModelError, "takes s down to -1"),
    ],
)
def test_signals_without_an_orbit(signal: Signal, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        periodic_orbit(rotor(), signal)
