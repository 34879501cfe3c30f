"""Rate equations, their derivatives and their steady states."""

from __future__ import annotations

import time

import numpy as np
import pytest

from chemlearn.errors import ConvergenceError, ModelError, SimulationError
from chemlearn.model import Model
from chemlearn.paths import shipped_models

BRUSSELATOR = (
    "s = 3; substanceOnly species u = 1, y = 1; => u; 1; 2 u + y => 3 u; u*u*y; u => y; s*u; u => ; u\n"
)
SWITCH = "s = 3; substanceOnly species u = {start}; => u; 0.2 + 2*s*u^4/(1 + u^4); u => ; 2*u\n"


@pytest.mark.parametrize("name", shipped_models())
def test_jacobian_is_the_derivative(name: str) -> None:
    dynamics = Model.load(name).dynamics
    s = dynamics.input_value * 1.1
    x = dynamics.initial * 0.9 + 1.7
    jacobian, by_input = dynamics.jacobian(x, s)
    scale = np.abs(dynamics.stoichiometry) @ np.abs(dynamics.rates(x, s))
    for i in range(len(x)):
        step = 1e-5 * (1 + abs(x[i])) * np.eye(len(x))[i]
        slope = (dynamics.velocity(x + step, s) - dynamics.velocity(x - step, s)) / (2 * step[i])
        assert np.all(np.abs(slope - jacobian[:, i]) <= 1e-8 * scale + 1e-9 * (1 + np.abs(slope)))
    step_s = 1e-5 * s
    slope = (dynamics.velocity(x, s + step_s) - dynamics.velocity(x, s - step_s)) / (2 * step_s)
    assert np.all(np.abs(slope - by_input) <= 1e-8 * scale / s + 1e-9 * (1 + np.abs(slope)))


@pytest.mark.parametrize("name", shipped_models())
def test_steady_state_of_shipped_models(name: str) -> None:
    dynamics = Model.load(name).dynamics
    x = dynamics.steady_state(dynamics.input_value)
    core = dynamics.core
    throughput = np.abs(dynamics.stoichiometry) @ np.abs(dynamics.rates(x, dynamics.input_value))
    assert np.all(
        np.abs(dynamics.velocity(x, dynamics.input_value)[core]) <= 1e-11 * (throughput[core] + 1e-3)
    )
    if dynamics.network.species:
        assert np.all(x >= 0)
    q = dynamics.basis  # what the reactions conserve is that of the start
    moved = (x - dynamics.initial)[core]
    assert np.allclose(q @ (q.T @ moved), moved, atol=1e-9 * (1 + np.max(np.abs(x))))


@pytest.mark.parametrize(
    ("name", "core"),
    [
        ("linker", {"d", "act", "u", "p"}),
        ("linker_hebbian", {"d", "act", "u"}),
        ("integral_feedback", {"u", "m", "a"}),
        ("mechanochemical", {"c", "r"}),
        ("leaky", {"u"}),
        ("maxwell", {"eps_v"}),
        ("ladder", {f"{rail}{m}" for rail in "TB" for m in range(5)}),
    ],
)
def test_the_core_leaves_out_the_weight(name: str, core: set[str]) -> None:
    dynamics = Model.load(name).dynamics
    assert {dynamics.variables[i] for i in dynamics.core} == core


@pytest.mark.parametrize(
    ("name", "totals"), [("linker", 1), ("integral_feedback", 1), ("ladder", 1), ("leaky", 0)]
)
def test_conserved_totals_are_taken_out(name: str, totals: int) -> None:
    dynamics = Model.load(name).dynamics
    q = dynamics.basis
    assert q.shape == (len(dynamics.core), len(dynamics.core) - totals)
    assert np.allclose(q.T @ q, np.eye(q.shape[1]))
    matrix = dynamics.reduced(dynamics.steady_state(dynamics.input_value), dynamics.input_value)[0]
    assert np.max(np.linalg.eigvals(matrix).real) < 0  # no mode of zero rate is left


def test_functions_take_many_states_at_once() -> None:
    dynamics = Model.load("linker").dynamics
    states = np.linspace(1.0, 2.0, 7) * dynamics.initial[:, None]
    levels = np.linspace(1.0, 3.0, 7)
    each = np.array([dynamics.velocity(states[:, i], levels[i]) for i in range(7)]).T
    assert np.allclose(dynamics.velocity(states, levels), each, rtol=1e-14)
    assert dynamics.output(states, levels).shape == (7,)
    assert dynamics.output_velocity(states, levels).shape == (7,)


def test_output_that_reads_the_input_directly() -> None:
    model = Model.load("s = 2; u := s^2*x - 3*s; x = 1; => x; s; x => ; x\n")
    dynamics = model.dynamics
    x = dynamics.steady_state(2.0)
    gradient, through = dynamics.output_gradient(x, 2.0)
    assert gradient == pytest.approx([4.0])
    assert through == pytest.approx(2 * 2 * 2 - 3)
    assert dynamics.reduced(x, 2.0)[3] == pytest.approx(5.0)
    assert dynamics.output_velocity(np.array([5.0]), 2.0) == pytest.approx(4 * (2 - 5))


# --- steady states ------------------------------------------------------------------------------------------


def test_steady_state_in_closed_form() -> None:
    dynamics = Model.load("leaky").dynamics
    assert dynamics.steady_state(3.5)[dynamics.variables.index("u")] == pytest.approx(350.0, rel=1e-14)
    feedback = Model.load("integral_feedback").dynamics
    state = dict(zip(feedback.variables, feedback.steady_state(130.0), strict=True))
    assert state["u"] == pytest.approx(400.0, rel=1e-9)
    assert state["m"] == pytest.approx(130.0, rel=1e-9)
    assert state["w"] == 8000.0  # outside the core: as at the start


def test_saturated_feedback() -> None:
    """At s > u0 the sites run out: u follows s, and a tiny number of sites stays open."""
    dynamics = Model.load("integral_feedback").dynamics
    state = dict(zip(dynamics.variables, dynamics.steady_state(405.0), strict=True))
    assert state["u"] == pytest.approx(405.0, rel=1e-9)
    assert 0 < state["a"] < 1e-6
    assert state["a"] == pytest.approx(400e-9 / 5, rel=1e-6)  # u a/(K + a) = u0 m/(K + m)


def test_a_steady_state_of_zero() -> None:
    dynamics = Model.load("s = 0; k = 2; substanceOnly species u = 300; => u; s; u => ; k*u\n").dynamics
    assert dynamics.steady_state(0.0) == pytest.approx([0.0], abs=1e-9)
    assert dynamics.steady_state(0.0)[0] >= -1e-12


@pytest.mark.parametrize(("start", "end"), [(0.1, 0.1003), (0.9, 0.1003), (2.0, 3.066)])
def test_a_switch_goes_where_its_start_leads(start: float, end: float) -> None:
    dynamics = Model.load(SWITCH.format(start=start)).dynamics
    if start == 0.9:  # above the threshold of the switch
        end = 3.066
    assert dynamics.steady_state(3.0) == pytest.approx([end], rel=1e-3)


def test_a_start_may_be_given() -> None:
    dynamics = Model.load(SWITCH.format(start=0.1)).dynamics
    assert dynamics.steady_state(3.0, np.array([3.0])) == pytest.approx([3.0664499], rel=1e-6)
    ladder = Model.load("ladder").dynamics
    near = ladder.steady_state(40.0, ladder.steady_state(50.0))
    assert np.allclose(near[ladder.core], ladder.steady_state(40.0)[ladder.core], rtol=1e-10)


def test_an_output_without_variables() -> None:
    dynamics = Model.load("s = 3; u := 2*s; x = 1; => x; x\n").dynamics
    assert dynamics.steady_state(3.0) == pytest.approx([1.0])
    assert dynamics.output(dynamics.steady_state(3.0), 3.0) == 6.0


@pytest.mark.parametrize(
    "text",
    [
        "s = 1; substanceOnly species u = 0; => u; s\n",  # made, never removed
        "s = 1; substanceOnly species u = 1; u => 2 u; s*u\n",  # exponential
        "s = 1; substanceOnly species u = 3; 2 u => 3 u; s*u*u\n",  # infinite in finite time
        "s = 3; substanceOnly species u = 3; => u; s; u => ; 2*u/(1 + u)\n",  # faster than the removal can be
    ],
)
def test_unbounded_growth(text: str) -> None:
    with pytest.raises(
        SimulationError, match=r"blow up at s=\d: 'u' grows without bound .* removed as well as made"
    ):
        Model.load(text).dynamics.steady_state(Model.load(text).input_value)


@pytest.mark.parametrize(
    "text",
    [BRUSSELATOR, "s = 1; substanceOnly species u = 3, v = 1; => u; s*u; u + v => 2 v; u*v; v => ; v\n"],
)
def test_oscillations_are_no_steady_state(text: str) -> None:
    began = time.process_time()
    with pytest.raises(
        ConvergenceError, match=r"no steady state at s=\d: after t=.* still changes .* oscillate"
    ) as error:
        Model.load(text).dynamics.steady_state(Model.load(text).input_value)
    assert time.process_time() - began < 5
    assert error.value.residual > 0
    assert error.value.steps > 0


def test_an_unstable_start_is_refused() -> None:
    """The Brusselator at its fixed point, u = 1, y = s, exactly."""
    text = BRUSSELATOR.replace("y = 1", "y = 3")
    with pytest.raises(ConvergenceError, match=r"is not stable .*grows at rate"):
        Model.load(text).dynamics.steady_state(3.0)


def test_a_state_that_depends_on_history_is_refused() -> None:
    text = "s = 3; substanceOnly species u = 3, E = 5; u => ; u*E; E => ; E*s\n"
    with pytest.raises(ConvergenceError, match="does not decay"):
        Model.load(text).dynamics.steady_state(3.0)


def test_growth_that_slows_down_is_no_steady_state() -> None:
    text = "s = 2; substanceOnly species u = 3; => u; s; u => ; 2*u/(1 + u)\n"
    with pytest.raises(ConvergenceError, match="still changes"):
        Model.load(text).dynamics.steady_state(2.0)


# --- what is no set of autonomous rate equations ------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("s = 1; u = 1; u => ; s*u\n at u < 0.5: u = 1\n", "event _E0: a model with events has no kernel"),
        ("s = 1; u = 1; u => ; s*u*time\n", "depends on time itself"),
        ("s = 1; u = 1; u => ; s*u*k\n", "'k' has no value; write 'k = ...'"),
        ("s = 1; u => ; s*u\n", "'u' has no value"),
        ("s = 1; u = 1; R: u => ;\n => u; s\n", "reaction R: it has no rate law"),
        ("s = 1; u = 1; u => ; s*delay(u, 1)\n", "reaction _J0: .*not supported"),
    ],
)
def test_refused(text: str, words: str) -> None:
    with pytest.raises(ModelError, match=f"^model: {words}" if words[0] != "d" else words):
        _ = Model.load(text).dynamics
