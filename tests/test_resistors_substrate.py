"""Resistors as a substrate: currents against finite differences, and the rules of learning on them."""

from __future__ import annotations

import numpy as np
import pytest

from chemlearn.curves.curve import UpdateCurve
from chemlearn.kernels.kernel import celani_vergassola
from chemlearn.learning.responses import Sawtooth
from chemlearn.learning.rules import Chemical, Contrastive, Hebbian, Temporal, learn
from chemlearn.learning.substrate import as_ramp
from chemlearn.resistors.generate import disordered_network
from chemlearn.resistors.network import ResistorNetwork
from chemlearn.resistors.quasistatic import quasistatic_rates
from chemlearn.resistors.rest import equilibrium_error
from chemlearn.resistors.solve import equilibrium_voltages, power
from chemlearn.resistors.substrate import Moves, ResistorSubstrate
from chemlearn.resistors.tasks import Task, allosteric, regression

NETWORK = disordered_network(40, seed=3)
TASK = allosteric(NETWORK, seed=2)
EXAMPLES = regression(NETWORK, seed=1, examples=4)[0]
STEP = 1e-5


def some_conductances(seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.3, 2.0, NETWORK.n_edges)


def slope(function, g: np.ndarray) -> np.ndarray:
    """Central differences, of fourth order."""
    found = []
    for unit in np.eye(len(g)):
        near, far = STEP * unit, 2 * STEP * unit
        found.append(
            (8 * (function(g + near) - function(g - near)) - (function(g + far) - function(g - far)))
            / (12 * STEP)
        )
    return np.array(found)


def assert_slope(found: np.ndarray, wanted: np.ndarray) -> None:
    """To 1e-6 of the largest."""
    assert np.abs(found - wanted).max() < 1e-6 * np.abs(wanted).max()


# --------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("sign", [1, -1])
def test_currents_are_slopes_of_the_power(sign: int) -> None:
    """∂P/∂g = ½ (Δv)² with the voltages at rest, which do not move in first order; a wrong sign is caught."""
    substrate, g = ResistorSubstrate.of(NETWORK, EXAMPLES), some_conductances()

    def total(conductance: np.ndarray) -> float:
        return float(power(NETWORK, conductance, equilibrium_voltages(NETWORK, conductance, EXAMPLES)).mean())

    state = substrate.equilibrium({"conductance": g}, EXAMPLES.inputs)
    currents = substrate.signal({"conductance": g}, state)["conductance"]
    wanted = -sign * slope(total, g)
    if sign == 1:
        assert_slope(currents, wanted)
    else:
        with pytest.raises(AssertionError):
            assert_slope(currents, wanted)


def test_the_contrast_at_rest_is_a_slope_of_powers() -> None:
    """ġ/α of S1 = −(2/η) ∂(P^C − P^F)/∂g, the clamped targets held where they are."""
    g, eta = some_conductances(), 0.01
    free = equilibrium_voltages(NETWORK, g, TASK)[0, TASK.targets]
    held = np.concatenate([TASK.sources, TASK.targets])
    inputs = np.concatenate([TASK.inputs[0], free + eta * (TASK.outputs[0] - free)])
    other = np.setdiff1d(np.arange(NETWORK.nodes - 1), held)[:1]
    clamped = Task(held, inputs, other, [0.0])

    def contrast(conductance: np.ndarray) -> float:
        powers = [
            power(NETWORK, conductance, equilibrium_voltages(NETWORK, conductance, task))[0]
            for task in (clamped, TASK)
        ]
        return float(powers[0] - powers[1]) / eta

    rates, error, voltages = quasistatic_rates(NETWORK, [TASK], g, eta)
    assert_slope(rates, -2 * slope(contrast, g))
    assert voltages == pytest.approx(free)
    assert error == pytest.approx(float(equilibrium_error(NETWORK, TASK, g)))


def test_the_energy_nudge_descends_the_error() -> None:
    """Contrastive of rate 1 with a small nudge is −∂C/∂g, C the mean over the examples."""
    substrate, g = ResistorSubstrate.of(NETWORK, EXAMPLES, nudge="energy"), some_conductances()
    _state, ramp = substrate.swing({"conductance": g}, EXAMPLES.inputs, EXAMPLES.outputs, 1e-8, knots=2)
    update = Contrastive(1.0)(ramp, 1e-8)["conductance"]
    wanted = slope(lambda at: float(equilibrium_error(NETWORK, EXAMPLES, at)), g)
    assert_slope(update, -wanted)


@pytest.mark.parametrize(("nudge", "orders"), [("clamp", 1.0), ("energy", 1.0)])
def test_the_error_of_a_finite_nudge_is_in_proportion_to_it(nudge, orders: float) -> None:
    substrate, g = ResistorSubstrate.of(NETWORK, TASK, nudge=nudge), some_conductances()

    def update(size: float) -> np.ndarray:
        _state, ramp = substrate.swing({"conductance": g}, TASK.inputs, TASK.outputs, size)
        return Contrastive(1.0)(ramp, size)["conductance"]

    exact = update(1e-10)
    off = [np.abs(update(size) - exact).max() for size in (1e-4, 1e-3)]
    assert np.log10(off[1] / off[0]) == pytest.approx(orders, abs=0.01)


def test_coupled_learning_is_contrastive_with_twice_the_rate() -> None:
    substrate, g = ResistorSubstrate.of(NETWORK, TASK), some_conductances()
    _state, ramp = substrate.swing({"conductance": g}, TASK.inputs, TASK.outputs, 1e-3)
    update = Contrastive(2.0)(ramp, 1e-3)["conductance"]
    assert update == pytest.approx(quasistatic_rates(NETWORK, [TASK], g, 1e-3)[0], rel=1e-12, abs=1e-15)


# ----------------------------------------------------------------------------------------------- the swing


@pytest.mark.parametrize("nudge", ["clamp", "energy"])
def test_a_swing_is_made_of_equilibria(nudge) -> None:
    substrate, params = ResistorSubstrate.of(NETWORK, EXAMPLES, nudge=nudge), {
        "conductance": some_conductances()
    }  # fmt: skip
    state, ramp = substrate.swing(params, EXAMPLES.inputs, EXAMPLES.outputs, 0.5, knots=5)
    nudges = [0.5 * k / 4 for k in range(5)]
    states = [
        substrate.equilibrium(params, EXAMPLES.inputs, target=EXAMPLES.outputs, nudge=size) for size in nudges
    ]
    assert (states[0] == state).all()
    signals = np.array([substrate.signal(params, one)["conductance"] for one in states])
    group = ramp["conductance"]
    assert isinstance(group, Moves)
    assert group.start + group.moves == pytest.approx(signals, abs=1e-13)
    if nudge == "clamp":
        free, clamped = substrate.output(states[0]), substrate.output(states[-1])
        assert clamped == pytest.approx(free + 0.5 * (EXAMPLES.outputs - free), abs=1e-13)


def test_the_energy_nudge_is_at_the_least_of_power_and_pull() -> None:
    substrate, g = ResistorSubstrate.of(NETWORK, TASK, nudge="energy"), some_conductances()
    params, beta = {"conductance": g}, 0.7
    state = substrate.equilibrium(params, TASK.inputs, target=TASK.outputs, nudge=beta)[0]

    def total(voltages: np.ndarray) -> float:
        off = voltages[TASK.targets] - TASK.outputs[0]
        return float(substrate.energy(params, voltages[None])[0] + beta * (off**2).sum())

    least = total(state)
    free = np.setdiff1d(np.arange(NETWORK.nodes - 1), TASK.sources)
    rng = np.random.default_rng(1)
    for size in (1e-3, 1e-1):
        shift = np.zeros(NETWORK.nodes)
        shift[free] = size * rng.standard_normal(len(free))
        assert total(state + shift) > least
        assert total(state + shift) == pytest.approx(total(state - shift), rel=1e-10)


def test_moves_are_a_ramp_like_any_other() -> None:
    rng = np.random.default_rng(4)
    start, moves = rng.standard_normal((6, 5)), rng.standard_normal((4, 6, 5))
    moves[0] = 0
    group, plain = Moves(start, moves), as_ramp([{"a": start + move} for move in moves])["a"]
    weights = rng.standard_normal(4)
    assert group.combine(weights) == pytest.approx(plain.combine(weights), abs=1e-13)
    assert (group.shape, group.knots, group.dtype) == (plain.shape, plain.knots, plain.dtype)
    for with_start in (True, False):
        for mine, theirs in zip(group.blocks(1.5, with_start), plain.blocks(1.5, with_start), strict=True):
            assert (mine.places == theirs.places).all()
            assert mine.steps == pytest.approx(theirs.steps, abs=1e-13)
            assert (mine.start is None) is (theirs.start is None)
            if mine.start is not None:
                assert mine.start == pytest.approx(theirs.start)


def test_small_nudges_keep_their_digits_where_plain_signals_lose_them() -> None:
    substrate, params = ResistorSubstrate.of(NETWORK, TASK), {"conductance": some_conductances()}
    nudge = 1e-10
    exact = quasistatic_rates(NETWORK, [TASK], params["conductance"], nudge)[0] / 2
    _state, ramp = substrate.swing(params, TASK.inputs, TASK.outputs, nudge)
    assert Contrastive(1.0)(ramp, nudge)["conductance"] == pytest.approx(exact, rel=1e-10, abs=1e-15)
    signals = [
        substrate.signal(params, substrate.equilibrium(params, TASK.inputs, target=TASK.outputs, nudge=size))
        for size in (0.0, nudge)
    ]
    plain = Contrastive(1.0)(as_ramp(signals), nudge)["conductance"]
    assert np.abs(plain - exact).max() > 1e-8 * np.abs(exact).max()


# ------------------------------------------------------------------------------------------------- learning


def trained(rule, nudge: float = 0.01, steps: int = 300) -> float:
    """Share of the first error that is left."""
    substrate = ResistorSubstrate.of(NETWORK, TASK)
    params = substrate.init()
    first = float(equilibrium_error(NETWORK, TASK, params["conductance"]))
    for _ in range(steps):
        _state, ramp = substrate.swing(params, TASK.inputs, TASK.outputs, nudge)
        learn(params, rule, ramp, nudge)
        params = substrate.bounded(params)
    return float(equilibrium_error(NETWORK, TASK, params["conductance"])) / first


def test_a_network_learns_by_contrast_and_by_memory_but_not_without() -> None:
    kernel, swing = celani_vergassola(), Sawtooth(1.0, 100.0, 200)
    assert trained(Contrastive(1.0)) < 0.01
    assert trained(Temporal(kernel, 1.0, 1e-5, swing)) < 0.01
    # Without a threshold the two swings cancel, and without a memory there is no contrast.
    assert trained(Temporal(kernel, 1.0, 0.0, swing)) > 0.5
    assert trained(Hebbian(0.01)) > 0.5


def test_a_curve_learns_too() -> None:
    amplitudes = np.linspace(-1, 1, 201)
    assert trained(Chemical(UpdateCurve(amplitudes, amplitudes), 1.0)) < 0.01


# ------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"nudge": "force"}, "'clamp' or 'energy', got 'force'"),
        ({"initial": -1.0}, "begin at the least one"),
        ({"least": 0.0}, "must be positive"),
    ],
)
def test_substrates_that_make_no_sense(how: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ResistorSubstrate.of(NETWORK, TASK, **how)


def test_calls_that_make_no_sense() -> None:
    substrate = ResistorSubstrate.of(NETWORK, TASK)
    params = substrate.init()
    with pytest.raises(ValueError, match="a nudge needs a target"):
        substrate.equilibrium(params, TASK.inputs, nudge=0.1)
    with pytest.raises(ValueError, match="parameters of a network of resistors are 'conductance'"):
        substrate.equilibrium({"W": params["conductance"]}, TASK.inputs)
    with pytest.raises(ValueError, match="got -1 on edge 2"):
        substrate.equilibrium(
            {"conductance": np.where(np.arange(NETWORK.n_edges) == 2, -1.0, 1.0)}, TASK.inputs
        )
    with pytest.raises(ValueError, match="inputs are 5 finite voltages"):
        substrate.equilibrium(params, [[1.0]])
    with pytest.raises(ValueError, match="knots"):
        substrate.swing(params, TASK.inputs, TASK.outputs, 0.1, knots=1)
    with pytest.raises(ValueError, match="target 2 is the ground"):
        ResistorSubstrate(ResistorNetwork(3, np.array([[0, 1], [1, 2]]), ground=2), [0], [2])
