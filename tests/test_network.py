"""From SBML to species, constants and laws in amounts; and reversible reactions made two."""

from __future__ import annotations

import numpy as np
import pytest
import roadrunner

from chemlearn.errors import ModelError
from chemlearn.expression import compile_expressions
from chemlearn.model import Model
from chemlearn.network import Network
from chemlearn.sbml import to_sbml

MATH = '<math xmlns="http://www.w3.org/1998/Math/MathML"><ci> {} </ci></math>'


def read(antimony: str) -> Network:
    return Network.read(to_sbml(antimony, "my.ant"))


def laws(network: Network, **amounts: float) -> list[float]:
    values = {**network.constants, **network.initial, "time": 0.0, **amounts}
    return [
        float(v)
        for v in compile_expressions([r.law for r in network.reactions], list(values))([*values.values()])
    ]


def agrees_with_roadrunner(model: Model) -> None:
    """Initial amounts and rates are those of an independent reader."""
    network, runner = model.network, roadrunner.RoadRunner(model.sbml)
    for name in network.species:
        assert network.initial[name] == pytest.approx(runner[name], rel=1e-12)
    assert laws(network) == pytest.approx(list(runner.getReactionRates()), rel=1e-12)


# --- reading ------------------------------------------------------------------------------------------------

READABLE = {
    "concentrations": "compartment c = 2; species A in c = 3, B in c = 4; k = 0.7; A + B => ; c*k*A*B\n",
    "amounts": "compartment c = 2; substanceOnly species A in c = 3, B in c = 4; k = 0.7; A + B => ; k*A*B\n",
    "computed volume": "compartment c; V = 3; c = 2*V; species A in c = 5; k = 1; A => ; c*k*A\n",
    "boundary": "compartment c = 2; species A in c = 3, $X in c = 4; k = 1; X + A => 2 A; k*X*A\n",
    "boundary amount": "compartment c = 2; substanceOnly species $X in c = 4; A in c = 1; X => A; 3*X\n",
    "chain": "a = 2; b = 3*a; d = b^2; species A; A = d + a; A => ; a*b*A\n",
    "rules": "k = 2; x := k*A; y := x + B; A = 3; B = 4; A => B; y; B => ; x*B\n",
    "function": "function mm(x, v, k)\n v*x/(k + x)\nend\nA = 3; v = 2; A => ; mm(A, v, 1)\n",
    "rate used by name": "A = 3; B = 1; k = 2; R: A => B; k*A; flux := 2*R; B => ; flux + R\n",
    "species by rule": "compartment c=2; species A in c = 3, $T in c; T := 2*A; B = 1; T => B; T; B => ; B\n",
    "assignment reads rule": "k = 2; x := 3*k; A = x + 1; A => ; A*x\n",
}


@pytest.mark.parametrize("name", READABLE)
def test_agrees_with_roadrunner(name: str) -> None:
    model = Model.load(READABLE[name])
    assert not model.network.unsupported
    agrees_with_roadrunner(model)


def test_concentrations_become_amounts() -> None:
    network = read(READABLE["concentrations"])
    assert network.initial == {"A": 6.0, "B": 8.0}
    assert network.volumes == {"A": "c", "B": "c"}
    assert laws(network, A=2.0, B=8.0) == [pytest.approx(2 * 0.7 * 1 * 4)]


def test_boundary_species_are_held() -> None:
    network = read(READABLE["boundary"])
    assert network.species == ("A",)
    assert network.constants["X"] == 4.0  # as the laws read it
    assert network.boundary == {"X"}
    assert np.array_equal(network.stoichiometry(), [[1.0]])
    assert dict(network.reactions[0].reactants) == {"X": 1.0, "A": 1.0}
    assert network.reactions[0].net() == {"X": -1.0, "A": 1.0}


def test_a_species_listed_twice_counts_twice() -> None:
    network = read("A = 3; B = 0; k = 1; A + A => B; k*A*(A - 1)\n")
    assert network.reactions[0].reactants == (("A", 2.0),)


def test_local_parameters_have_names_of_their_own() -> None:
    text = to_sbml("k = 2; A = 3; R: A => ; k*A\nQ: => A; k\n", "my.ant")
    text = text.replace(
        "</kineticLaw>",
        '<listOfLocalParameters><localParameter id="k" value="5"/></listOfLocalParameters></kineticLaw>',
        1,
    )
    network = Network.read(to_sbml(text, "my.xml"))
    assert network.constants["R.k"] == 5.0
    assert network.constants["k"] == 2.0
    assert laws(network) == [15.0, 2.0]
    model = Model.load(text)
    with pytest.raises(ModelError, match=r"no parameter or species named 'R.k'"):
        model.with_values(**{"R.k": 1.0})


def test_rate_rules_are_variables() -> None:
    network = read("s = 2; x = 1; x' = s - x; y := 3*x; A = 1; A => ; A*y\n")
    assert network.species == ("A",)
    assert network.variables == ("A", "x")
    assert network.initial == {"A": 1.0, "x": 1.0}
    assert set(network.rates_of) == {"x"}
    assert str(network.value_of("y")) == "(3 * x)"
    assert str(network.value_of("x")) == "x"
    assert network.names == ("A", "x", "y", *network.constants)


def test_values_that_are_not_given_are_not_a_number() -> None:
    network = read("A => B; k*A\n")
    assert all(np.isnan(v) for v in (network.initial["A"], network.initial["B"], network.constants["k"]))
    assert np.isnan(read("a = 1/0; b = ln(-1); A = 1; A => ; a*b\n").constants["b"])


def test_rules_in_a_circle_are_refused() -> None:
    text = (
        to_sbml("x := y; A = 1; A => ; x\n", "my.ant")
        .replace(
            "<listOfRules>",
            (f'<listOfRules><assignmentRule variable="y">{MATH.format("x")}</assignmentRule>'),
        )
        .replace('id="y" constant="true"', 'id="y" constant="false"')
    )
    with pytest.raises(ModelError, match="the rules of x, y refer to one another in a circle"):
        Network.read(text)
    with pytest.raises(ModelError, match=r"^model:\d+: this is not valid SBML"):
        Model.load(text)


def test_a_rate_that_contains_itself_is_refused() -> None:
    with pytest.raises(ModelError, match="itself"):
        Model.load("A = 1; x := 2*R; R: A => ; x\n")


# --- what nothing here can run ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("compartment c = 1; c' = 1; species A in c = 1; A => ; A\n", "compartment c", "volume changes"),
        ("compartment c; c := 1 + time; species A in c = 1; A => ; A\n", "compartment c", "volume changes"),
        ("A = 1; B = 0; n = 2; n' = 1; n A => B; A\n", "reaction _J0", "stoichiometry that is computed"),
        ("A = 1; m = 2; n = m; n A => B; A\n", "reaction _J0", "stoichiometry that is computed"),
        ("A = 1; A => ; delay(A, 2)\n", "reaction _J0", "not supported"),
        ("A = 1; x = 1; x' = 2; y := rateOf(x); A => ; y*A\n", "rule y", "not supported"),
    ],
)
def test_unsupported_constructs_are_listed(text: str, place: str, words: str) -> None:
    network = read(text)
    assert any(place == found and words in reason for found, reason in network.unsupported)


def test_events_and_missing_laws_are_listed() -> None:
    network = read("A = 1; B = 0; E1: at A > 3: A = 0\nR: A => B;\n B => ; B\n")
    assert [str(event) for event in network.events] == ["E1"]
    assert network.lawless == ("R",)
    assert [r.name for r in network.reactions] == ["_J0"]


def test_sbml_only_constructs_are_listed() -> None:
    base = to_sbml("A = 1; time2 = 3; A => ; A*time2\n", "my.ant")
    algebraic = base.replace(
        "<listOfReactions>",
        (
            f"<listOfRules><algebraicRule>{MATH.format('time2')}</algebraicRule></listOfRules><listOfReactions>"
        ),
    )
    assert ("algebraicRule", "algebraic rules are not supported") in Network.read(algebraic).unsupported
    factor = base.replace("<model ", '<model conversionFactor="time2" ')
    assert any("conversion factors" in reason for _, reason in Network.read(factor).unsupported)
    shadow = base.replace("time2", "time")
    assert any("simulated time" in reason for _, reason in Network.read(shadow).unsupported)


def test_the_declared_unit_of_amounts_is_known() -> None:
    assert read("A = 1; A => ; A\n").substance == ""
    assert read("unit substance = 1e-6 mole; A = 1; A => ; A\n").substance == "mole"
    assert read("unit substance = item; A = 1; A => ; A\n").substance == "item"


# --- splitting ----------------------------------------------------------------------------------------------


def split(text: str) -> Network:
    return Model.load(text, split=True).network


NET = {
    "plain": ("A = 5; B = 3; k1 = 2; k2 = 1; R: A -> B; k1*A - k2*B\n", [10.0, 3.0]),
    "factor": ("A = 5; B = 3; k1 = 2; k2 = 1; c = 4; R: A -> B; c*(k1*A - k2*B)\n", [40.0, 12.0]),
    "volume": ("compartment v = 2; species A in v = 5, B in v = 3; R: A -> B; v*(2*A - B)\n", [20.0, 6.0]),
    "order": ("A = 5; B = 3; R: A -> B; -1*B + 2*A\n", [10.0, 3.0]),
    "three": ("A = 5; B = 3; R: A -> B; 2*A - B - 1*B*B\n", [10.0, 12.0]),
    "pairs": ("A = 5; B = 3; R: 2 A -> B; 2*A*(A - 1) - B\n", [40.0, 3.0]),
    "thermodynamic": ("A = 5; B = 3; q = 2; R: 2 A -> B; A*(A - 1)*(1 - B/q)\n", [20.0, 30.0]),
    "michaelis": ("A = 2; B = 4; R: A -> B; (6*A/1 - 3*B/2)/(1 + A/1 + B/2)\n", [12 / 5, 6 / 5]),
    "haldane": ("A = 2; B = 4; q = 2; R: A -> B; 6/1*(A - B/q)/(1 + A/1 + B/2)\n", [12 / 5, 12 / 5]),
    "rule": ("A = 5; B = 3; v := 2*A - B; R: A -> B; v\n", [10.0, 3.0]),
    "function": ("function f(x, y)\n 2*x - y\nend\nA = 5; B = 3; R: A -> B; f(A, B)\n", [10.0, 3.0]),
    "reservoir": ("A = 5; a0 = 3; R: A -> ; 2*(A - a0)\n", [10.0, 6.0]),
    "backward only": ("A = 5; B = 3; R: A -> B; -2*B\n", [0.0, 6.0]),
}


@pytest.mark.parametrize("name", NET)
def test_net_laws_are_split(name: str) -> None:
    text, rates = NET[name]
    network = split(text)
    assert [r.name for r in network.reactions] == ["R", "R_reverse"]
    assert laws(network) == pytest.approx(rates)
    forward, backward = network.reactions
    assert (forward.reactants, forward.products) == (backward.products, backward.reactants)
    assert not forward.reversible
    assert not backward.reversible
    whole = Model.load(text)
    assert laws(network)[0] - laws(network)[1] == pytest.approx(laws(whole.network)[0])
    agrees_with_roadrunner(Model.load(text, split=True))
    errors = [str(f) for f in Model.load(text, split=True).findings() if f.level == "error"]
    assert not errors or name in ("reservoir",)


@pytest.mark.parametrize(
    "text",
    [
        "A = 5; B = 3; R: 2 A -> B; 3*A*(A - 1)\n",  # one-way, only written with the wrong arrow
        "A = 5; B = 3; R: A => B; 2*A - B\n",  # not declared reversible
        "A = 5; B = 3; R: A -> B; sin(A)\n",  # no difference
        "A = 5; B = 3; R: A -> B; 2*A - B\nC = 1; => C; max(0, R)\n",  # its net rate is used elsewhere
    ],
)
def test_what_is_not_split(text: str) -> None:
    assert split(text).reactions == Model.load(text).network.reactions


def test_splitting_keeps_identifiers_unique() -> None:
    text = to_sbml("A = 5; B = 3; R: A -> B; 2*A - B\n", "my.ant")
    text = text.replace('<reaction id="R"', '<reaction id="R" metaid="meta_R"')
    text = text.replace(
        '<speciesReference species="A"', '<speciesReference id="nA" metaid="meta_nA" species="A"'
    )
    model = Model.load(text, split=True)
    to_sbml(model.sbml, "split.xml")  # libSBML's checks accept it
    assert [r.name for r in model.network.reactions] == ["R", "R_reverse"]


def test_split_models_fire_like_the_exact_law() -> None:
    """A <-> B with N molecules is binomial at rest; fired as one net rate its variance would be 0."""
    text = "substanceOnly species A = 6, B = 4; k1 = 2; k2 = 3; R: A -> B; k1*A - k2*B\n"
    runner = roadrunner.RoadRunner(Model.load(text, split=True).sbml)
    runner.setIntegrator("gillespie")
    runner.integrator.variable_step_size = False
    runner.integrator.seed = 7
    samples = np.asarray(runner.simulate(0, 4000, 4001))[100:, 1]
    p = 3 / 5
    assert samples.mean() == pytest.approx(10 * p, abs=4.9 * np.sqrt(10 * p * (1 - p) / 3900))
    assert samples.var() == pytest.approx(10 * p * (1 - p), rel=4.9 * np.sqrt(2 / 3900))
