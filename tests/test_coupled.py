"""Two copies that share their noise: each by itself is exact, and what parts them is small and known."""

from __future__ import annotations

from collections.abc import Callable

import libsbml
import numpy as np
import pytest

from chemlearn.coupled import coupled_model
from chemlearn.errors import ModelError
from chemlearn.expression import compile_expressions
from chemlearn.model import Model
from chemlearn.network import Network
from chemlearn.paths import shipped_models
from chemlearn.probe import probe_states
from chemlearn.signal import Signal
from chemlearn.simulate import simulate_ssa
from tests.statistics import MassAction, assert_moments, master_equation, poisson_fourth

BIRTH = Model.load("model birth\n s = 2; u = 40\n make: => u; 20*s\n lose: u => ; u\nend")
#: birth, death and annihilation of pairs: the laws are not linear
PAIRING = Model.load(
    "model pairing\n s = 2; u = 4\n make: => u; 3*s\n lose: u => ; u\n meet: 2 u => ; 0.1*u*(u - 1)\nend"
)
#: everything that must be written out, a volume, a function, rules, a boundary species, and
#: names that the copies would like to have
ODD = """
function hill(x, k) x^2/(k^2 + x^2) end
model odd
  compartment big = 4; species A in big, u_rest in big, $food in big; substanceOnly species w in big
  s = 2; A = 5; u_rest = 3; food = 1.5; w = 0; k = 2; drop_both = 9
  half := k/2
  u := 2*A*big - half*u_rest + s
  make: => A; big*food*s*hill(u_rest, k)*half
  turn: A => u_rest; big*k*A
  drop: u_rest => ; big*drop_both*u_rest/(1 + A)
  write: => w; u_rest
end
"""


def rates(network: Network, states: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = list(states)
    found = compile_expressions([r.law for r in network.reactions], names)([states[n] for n in names])
    shape = np.shape(next(iter(states.values())))
    return {r.name: np.broadcast_to(v, shape) for r, v in zip(network.reactions, found, strict=True)}


def stochastic_models() -> list[Model]:
    names = [name for name in shipped_models() if not Model.load(name).network.rates_of]
    return [*map(Model.load, names), BIRTH, PAIRING, Model.load(ODD)]


# --- what it is made of -------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", stochastic_models(), ids=lambda m: m.name)
def test_each_copy_fires_at_its_own_rate_and_changes_as_the_original(model: Model) -> None:
    pair = coupled_model(model)
    ending = pair.rest.removeprefix(model.input)
    network, made = model.network, pair.model.network
    core = {network.variables[i] for i in model.dynamics.core}
    here, there = probe_states(network), probe_states(network)
    generator = np.random.default_rng(1)
    for name in core:
        there[name] = generator.permutation(there[name])
    there[model.input] = 1.5 * there[model.input]
    both = {name: here[name] for name in (*core, model.input)}
    both |= {name + ending: there[name] for name in (*core, model.input)}
    both |= {
        name: here.get(name, np.full(40, value)) for name, value in made.constants.items() if name not in both
    }
    found = rates(made, both)
    found = {name.rstrip("_"): values for name, values in found.items()}  # one name was taken
    change = {r.name.rstrip("_"): r.net() for r in made.reactions}
    for reaction in network.reactions:
        wanted = {name: n for name, n in reaction.net().items() if name in core}
        if not wanted:
            assert f"{reaction.name}_both" not in found
            continue
        first, second = rates(network, here)[reaction.name], rates(network, there)[reaction.name]
        shared, name = found[f"{reaction.name}_both"], reaction.name
        alone = [found.get(f"{name}_{copy}", np.zeros(40)) for copy in ("driven", "resting")]
        assert np.allclose(shared + alone[0], first, rtol=1e-12)
        assert np.allclose(shared + alone[1], second, rtol=1e-12)
        assert not np.any((alone[0] > 0) & (alone[1] > 0)), "as much as can be is shared"
        moved = {name + ending: n for name, n in wanted.items()}
        assert change[f"{name}_both"] == wanted | moved
        assert change.get(f"{name}_driven", wanted) == wanted
        assert change.get(f"{name}_resting", moved) == moved


def test_names_that_are_taken_stay_with_their_owners() -> None:
    pair = coupled_model(Model.load(ODD))
    assert (pair.rest, pair.output) == ("s_rest_", "u_rest_")
    assert set(pair.model.species) == {"A", "u_rest", "A_rest_", "u_rest_rest_"}
    assert pair.model.network.rules.keys() == {"u", "u_rest_"}


def test_local_parameters_get_names_of_their_own() -> None:
    document = libsbml.readSBMLFromString(
        Model.load("s = 1; u = 0; make_k = 5; make: => u; s*make_k; u => ; u\n").sbml
    )
    law = document.getModel().getReaction("make").getKineticLaw()
    local = law.createLocalParameter()
    local.setId("k")
    local.setValue(3.0)
    law.setMath(libsbml.parseL3Formula("s*make_k*k"))
    pair = coupled_model(Model.load(libsbml.writeSBMLToString(document)))
    assert pair.model.parameters["make_k_"] == 3.0
    assert pair.model.parameters["make_k"] == 5.0
    at = {
        name: np.full(1, value) for name, value in {**pair.model.parameters, "u": 0.0, "u_rest": 0.0}.items()
    }
    assert rates(pair.model.network, at | {"s": np.full(1, 2.0)})["make_driven"] == 15.0


def test_what_only_reads_the_output_is_left_out() -> None:
    pair = coupled_model(Model.load("linker"))
    assert "w" in Model.load("linker").species
    assert not any(name.startswith("w") for name in pair.model.species)
    assert pair.model.parameters[pair.rest] == pair.model.input_value == 2.0
    assert coupled_model(Model.load("linker"), 3.0).model.parameters[pair.rest] == 3.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("s = 1; u = 0; => u; s; u => ; u; at (time > 1): u = 5\n", "events has no kernel"),
        ("s = 1; u = 0; => u; s*(1 + time); u => ; u\n", "depends on time itself"),
        ("s = 1; u = 0; x = 1; x' = -x; => u; s*x; u => ; u\n", "rate rule"),
        ("s = 1; u = 0; u -> ; u - s\n", "net rate"),
        ("k = 1; u = 0; => u; k; u => ; u\n", "no constant 's' to be its input"),
    ],
)
def test_what_cannot_be_coupled_is_refused(text: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        coupled_model(Model.load(text))


# --- what it does -------------------------------------------------------------------------------------------


@pytest.mark.statistical
def test_each_copy_has_the_law_of_the_original(seed: Callable[[int], int]) -> None:
    """Against the master equation; a copy read for the other one is caught."""
    root, times = seed(5), np.array([0.5, 1.5, 2.5, 4.0])
    pair = coupled_model(PAIRING)
    step = Signal.step(2.0, 5.0, at=1.0)
    data = simulate_ssa(pair.model, times, signal=step, trajectories=4000, seed=root)
    reactions = [
        MassAction(3.0, (0,), (1,), driven=True),
        MassAction(1.0, (1,), (0,)),
        MassAction(0.1, (2,), (0,)),
    ]
    copies = {"u": step, pair.output: Signal.constant(2.0)}
    laws = {n: master_equation(reactions, [4], times, sizes=[60], signal=s) for n, s in copies.items()}

    def check(name: str, against: str) -> None:
        law = laws[against]
        assert law.lost < 1e-12
        mean, var, fourth = law.mean[:, 0], law.central(2)[:, 0], law.central(4)[:, 0]
        assert_moments(data[name].values, mean, var, fourth=fourth, seed=root)

    for name in copies:
        check(name, name)
    with pytest.raises(AssertionError, match="off by z"):
        check(pair.output, "u")


@pytest.mark.statistical
def test_the_copies_of_a_birth_death_process_differ_by_a_poisson_number(seed: Callable[[int], int]) -> None:
    """What the step makes in addition is born and dies alone; independent copies vary far more."""
    root, times = seed(6), np.array([1.0, 2.0, 2.3, 4.0, 8.0])
    pair = coupled_model(BIRTH)
    data = simulate_ssa(pair.model, times, signal=Signal.step(2.0, 2.5, at=2.0), trajectories=4000, seed=root)
    difference = data.u.values - data[pair.output].values
    assert not difference[:, :2].any()
    assert difference.min() == 0
    mean = 10.0 * (1 - np.exp(-(times[2:] - 2.0)))
    assert_moments(difference[:, 2:], mean, mean, fourth=poisson_fourth(mean), seed=root)
    apart = data.u.values - np.roll(data[pair.output].values, 1, axis=0)
    with pytest.raises(AssertionError, match="variance off"):
        assert_moments(apart[:, 2:], mean, mean, fourth=poisson_fourth(mean), seed=root)


@pytest.mark.statistical
def test_the_driven_copy_follows_ramps(seed: Callable[[int], int]) -> None:
    root, times = seed(7), np.array([0.5, 1.0, 2.0, 3.0])
    pair = coupled_model(BIRTH)
    ramp = Signal(np.array([0.0, 3.0]), np.array([2.0, 5.0]))
    data = simulate_ssa(pair.model, times, signal=ramp, trajectories=3000, seed=root)
    mean = 20.0 * (times - 1 + np.exp(-times))
    difference = data.u.values - data[pair.output].values
    assert_moments(difference, mean, mean, fourth=poisson_fourth(mean), seed=root)
