"""The Antimony model ``ladder`` is the matrix of ``Ladder``: laws, rest, kernel and molecules."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from chemlearn.entropy.network import dissipation
from chemlearn.expression import compile_expressions
from chemlearn.linear import linear_kernel
from chemlearn.markov.ladder import Ladder
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import simulate_ode, simulate_ssa
from tests.statistics import assert_moments

STATES = [f"{rail}{m}" for rail in "TB" for m in range(5)]  # in the order of the matrix
MOLECULES = 200


def rate_matrix(model: Model) -> np.ndarray:
    """W[i, j] from the laws of all reactions that move a molecule, each with one molecule where it starts."""
    network = model.network
    laws = compile_expressions([r.law for r in network.reactions], [*network.species, *network.constants])
    rates = np.zeros((10, 10))
    for j, source in enumerate(STATES):
        alone = [float(name == source) for name in network.species]
        values = np.array(laws([*alone, *network.constants.values()]), float)
        for reaction, value in zip(network.reactions, values, strict=True):
            if value and reaction.name not in ("write", "forget"):
                ((before, _),), ((after, _),) = reaction.reactants, reaction.products
                assert before == source
                rates[STATES.index(after), j] += value
                rates[j, j] -= value
    return rates


@pytest.mark.parametrize("gamma", [1.0, 0.3, 0.01, 1e-24, 1e-300])
@pytest.mark.parametrize("F", [0.5, 25.0, 100.0])
def test_every_rate_is_that_of_the_matrix(gamma: float, F: float) -> None:
    for s in (0.0, 3.0, 50.0, 121.0, 250.0, 5000.0):
        model = Model.load("ladder").with_values(gamma=gamma, F=F, s=s)
        np.testing.assert_allclose(rate_matrix(model), Ladder(gamma, F=F).rates(s), rtol=1e-13)


def test_a_model_with_one_wrong_rate_is_caught() -> None:
    """Negative control."""
    model = Model.load("ladder")
    text = model.text.replace("br2: B2 => B3;  B2;", "br2: B2 => B3;  1.001*B2;")
    assert text != model.text
    with pytest.raises(AssertionError, match="Mismatched elements: 2 / 100"):
        np.testing.assert_allclose(rate_matrix(Model.load(text)), Ladder(0.01).rates(50.0), rtol=1e-13)


@pytest.mark.parametrize(
    ("gamma", "F", "s"), [(1.0, 25.0, 9.0), (0.2, 1.0, 3.0), (0.01, 25.0, 50.0), (1e-6, 50.0, 200.0)]
)
def test_rest_kernel_and_dissipation_agree(gamma: float, F: float, s: float) -> None:
    """u counts the bottom rail, so the kernel has the opposite sign of the top rail's."""
    model, ladder = Model.load("ladder").with_values(gamma=gamma, F=F, s=s), Ladder(gamma, F=F)
    dynamics, molecules = model.dynamics, model.parameters["N"]
    state = dict(zip(model.network.variables, dynamics.steady_state(s), strict=True))
    found = np.array([state[name] for name in STATES]) / molecules
    np.testing.assert_allclose(found, ladder.steady_state(s), rtol=1e-8)
    assert dissipation(model).per_molecule == pytest.approx(ladder.dissipation(s), rel=1e-8, abs=1e-12)
    kernel, exact = linear_kernel(model), ladder.linear_kernel(s, rail="bottom")
    lags = np.array([0.0, 1e-3, 0.05, 1.0, 4.0])
    np.testing.assert_allclose(kernel(lags) / molecules, exact(lags), rtol=1e-8, atol=1e-10 * exact(0.0))


def test_rate_equations_repeat_the_cycle_of_the_matrix() -> None:
    signal = Signal.sawtooth(20, 150, rise=0.5, fall=2.0, periodic=True)
    model, cycle = Model.load("ladder").with_values(k_w=0, k_f=0), Ladder(0.01).cycle(signal)
    times = np.array([0.1, 0.5, 0.6, 1.5, 2.5])
    start = dict(zip(STATES, 100 * cycle(0.0), strict=True))
    data = simulate_ode(model, times, signal=signal, start=start)
    found = np.stack([data[name].values for name in STATES], axis=-1)
    np.testing.assert_allclose(found, 100 * cycle(times), rtol=1e-5, atol=1e-6)


# --- molecules ----------------------------------------------------------------------------------------------

GAMMA = 0.1
WARM = 10.0  # e^(−2·0.5·10) is what is left of the start in the variance, far below its error
STEP = Signal(np.array([0.0, WARM, WARM]), np.array([5.0, 5.0, 120.0]))
RAMPS = Signal.sawtooth(20.0, 150.0, rise=0.5, fall=2.0, periodic=True)
TIMES = WARM + np.array([0.0, 0.02, 0.2, 0.5, 1.0, 2.0])


@cache
def chances(name: str) -> np.ndarray:
    """Probabilities of the states, (n_times, 10), from the matrix; at a jump the value before it."""
    if name == "step":
        return Ladder(GAMMA).relaxation(5.0, 120.0, TIMES - WARM)
    return Ladder(GAMMA).cycle(RAMPS)(TIMES)


def binomial(p: np.ndarray) -> dict[str, np.ndarray]:
    """Exact mean, variance and fourth central moment of how many of all molecules are there."""
    var = p * (1 - p)
    fourth = MOLECULES * var * (1 + 3 * (MOLECULES - 2) * var)
    return {"mean": MOLECULES * p, "var": MOLECULES * var, "fourth": fourth}


def counts(name: str, gamma: float, n: int, seed: int) -> np.ndarray:
    """Molecules in each state and on the top rail, (n, n_times, 11)."""
    model = Model.load("ladder").with_values(gamma=gamma, N=MOLECULES, k_w=0, k_f=0)
    signal = STEP if name == "step" else RAMPS
    data = simulate_ssa(model, TIMES, signal=signal, trajectories=n, seed=seed, workers=1)
    each = np.stack([data[state].values for state in STATES], axis=-1)
    return np.append(each, each[..., :5].sum(axis=-1, keepdims=True), axis=-1)


def law(name: str) -> dict[str, np.ndarray]:
    p = chances(name)
    return binomial(np.append(p, p[:, :5].sum(axis=1, keepdims=True), axis=1))


@pytest.mark.statistical
@pytest.mark.parametrize("name", ["step", "ramps"])
def test_molecules_are_binomial_with_the_chances_of_the_matrix(name: str, seed) -> None:
    s = seed(601)
    found, exact = counts(name, GAMMA, 1000, s), law(name)
    frequent = exact["mean"].min(axis=0) > 3  # where a normal bound on the variance is fair
    assert frequent.sum() >= 8
    assert_moments(found[..., frequent], **{key: value[:, frequent] for key, value in exact.items()}, seed=s)


@pytest.mark.statistical
@pytest.mark.parametrize("name", ["step", "ramps"])
def test_molecules_of_another_ladder_are_caught(name: str, seed) -> None:
    """Negative control: gamma 20 % off, and a third of the trajectories."""
    s = seed(602)
    with pytest.raises(AssertionError, match="mean off by z"):
        assert_moments(counts(name, 1.2 * GAMMA, 300, s), **law(name), seed=s)
