"""Reading Antimony and SBML: every level, every complaint with its line, and the edits made before a run."""

from __future__ import annotations

import libsbml
import numpy as np
import pytest
import roadrunner

from chemlearn.errors import ModelError
from chemlearn.model import Model
from chemlearn.network import Network
from chemlearn.sbml import (
    PIECE_SLOPE,
    PIECE_START,
    PIECE_VALUE,
    driven,
    looks_like_sbml,
    to_sbml,
    with_values,
)

ANTIMONY = """
model small
  compartment cell = 2;
  species A in cell = 3, $X in cell = 5;
  substanceOnly species B in cell = 4;
  k = 0.5; s = 1;
  R1: X => A; k*X*s;
  R2: 2 A => B; k*A^2;
end
"""


def at_level(sbml: str, level: int, version: int) -> str:
    document = libsbml.readSBMLFromString(sbml)
    assert document.setLevelAndVersion(level, version, False)
    return str(libsbml.writeSBMLToString(document))


# --- complaints ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            "// a comment\n\n/* and\n   another */\nmodel m\n  A => B k*A;\nend",
            6,
            r"unexpected '\*' where .* should be",
        ),
        ("model m\n  A => B; k*A;\n", 2, "unexpected end of file"),
        ("hello world", 1, "unexpected end of line"),
        ("// x\nmodel m\n  A => B; k*(A;\nend", 3, r"unexpected ';' where '\)' or ',' should be"),
        ("// x\nmodel m\n  B => ; +;\nend", 3, "syntax error: In the reaction rate .*unexpected end"),
        ("a = 1\n\ngamma = 3\n", 3, "'gamma' is a reserved word"),
        ("# x\nA => B; foo(A)\n", 2, "'foo' was used as a function"),
    ],
)
def test_antimony_errors_name_the_line(text: str, line: int, words: str) -> None:
    with pytest.raises(ModelError, match=words) as error:
        to_sbml(text, "my.ant")
    assert str(error.value).startswith(f"my.ant:{line}: Antimony ")
    assert "\n" not in str(error.value)


def test_what_libsbml_refuses_has_no_false_line() -> None:
    text = "// x\nmodel m\n  A => B; 1\n  A := 3\nend"
    with pytest.raises(
        ModelError, match=r"^my.ant: Antimony .* 'A' occurs in both a rule and reaction '_J0'$"
    ):
        to_sbml(text, "my.ant")


@pytest.mark.parametrize("text", ["", "  \n\t\n"])
def test_an_empty_file_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match=r"^my.ant: the file is empty"):
        to_sbml(text, "my.ant")


def test_broken_xml_names_the_line() -> None:
    lines = to_sbml(ANTIMONY, "my.ant").splitlines()
    with pytest.raises(ModelError, match=r"^my.xml:\d+: this is not valid SBML: ") as error:
        to_sbml("\n".join(lines[:20]), "my.xml")
    assert 19 <= int(str(error.value).split(":")[1]) <= 21


def test_invalid_sbml_names_the_line() -> None:
    lines = to_sbml(ANTIMONY, "my.ant").splitlines()
    wrong = next(i for i, line in enumerate(lines) if 'speciesReference species="B"' in line)
    lines[wrong] = lines[wrong].replace('"B"', '"nobody"')
    with pytest.raises(ModelError, match=rf"^my.xml:{wrong + 1}: this is not valid SBML: .*nobody"):
        to_sbml("\n".join(lines), "my.xml")


def test_other_xml_is_refused() -> None:
    with pytest.raises(ModelError, match=r"my.xml:\d+: this is not valid SBML"):
        to_sbml("<html><body/></html>", "my.xml")


def test_sbml_without_a_model_is_refused() -> None:
    text = '<sbml xmlns="http://www.sbml.org/sbml/level3/version2/core" level="3" version="2"/>'
    with pytest.raises(ModelError, match="the SBML has no <model>"):
        to_sbml(text, "my.xml")


def test_old_levels_are_refused() -> None:
    text = at_level(to_sbml(ANTIMONY, "my.ant"), 3, 1)
    old = text.replace("level3/version1/core", "level2/version3").replace(
        'level="3" version="1"', 'level="2" version="3"'
    )
    with pytest.raises(ModelError, match=r"my.xml"):
        to_sbml(old, "my.xml")


# --- levels -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [(2, 4), (2, 5), (3, 1), (3, 2)])
def test_every_level_reads_the_same(level: tuple[int, int]) -> None:
    text = at_level(to_sbml(ANTIMONY, "my.ant"), *level)
    network, reference = Network.read(to_sbml(text, "my.xml")), Network.read(to_sbml(ANTIMONY, "my.ant"))
    assert network.species == reference.species == ("A", "B")
    assert network.initial == reference.initial == {"A": 6.0, "B": 4.0}
    assert [r.law for r in network.reactions] == [r.law for r in reference.reactions]
    assert np.array_equal(network.stoichiometry(), [[1, -2], [0, 1]])
    assert not network.unsupported


def test_looks_like_sbml() -> None:
    assert looks_like_sbml("\ufeff\n  <?xml version='1.0'?>")
    assert not looks_like_sbml("A => B; k")


# --- edits --------------------------------------------------------------------------------------------------


def test_with_values_sets_what_the_network_lists() -> None:
    sbml = to_sbml(ANTIMONY, "my.ant")
    values = {"A": 8.0, "X": 7.0, "B": 1.0, "cell": 4.0, "k": 2.0}
    network = Network.read(with_values(sbml, values))
    assert {**network.constants, **network.initial} == {**values, "s": 1.0}
    assert with_values(sbml, {}) is sbml


def test_a_value_wins_over_an_initial_assignment() -> None:
    sbml = to_sbml("s = 1; a = 2*s; b = a + 1; substanceOnly species A; A = b; => A; a*b*s\n", "my.ant")
    network = Network.read(with_values(sbml, {"a": 10.0}))
    assert network.constants["b"] == 11.0
    assert network.initial["A"] == 11.0
    network = Network.read(with_values(sbml, {"A": 3.0, "s": 4.0}))
    assert network.initial["A"] == 3.0
    assert network.constants["a"] == 8.0


@pytest.mark.parametrize("level", [(2, 4), (3, 1), (3, 2)])
@pytest.mark.parametrize("name", ["s", "X"])
def test_driven_runs_in_roadrunner(name: str, level: tuple[int, int]) -> None:
    sbml = at_level(to_sbml(ANTIMONY.replace("k*A^2", "0"), "my.ant"), *level)
    runner = roadrunner.RoadRunner(driven(sbml, name))
    runner[PIECE_VALUE], runner[PIECE_SLOPE], runner[PIECE_START] = 3.0, 2.0, 0.0
    runner.timeCourseSelections = ["time", "[X]", "s", "A"]
    rows = runner.simulate(0, 1, 3)
    other = 5.0 if name == "s" else 1.0
    assert np.allclose(rows[:, 1 if name == "X" else 2], [3, 4, 5])
    assert rows[-1, 3] == pytest.approx(6 + 0.5 * other * 4, rel=1e-5)


def test_driven_wins_over_an_initial_assignment() -> None:
    sbml = driven(to_sbml("b = 2; s = 3*b; substanceOnly species A = 0; => A; s\n", "my.ant"), "s")
    runner = roadrunner.RoadRunner(sbml)
    runner[PIECE_VALUE] = 1.0
    assert runner.simulate(0, 2, 2)[-1, 1] == pytest.approx(2.0)


def test_a_boundary_species_can_be_the_input() -> None:
    model = Model.load("$s => u; 2*s; u => ; u; u = 0; s = 3\n")
    assert model.input_value == 3.0
    assert model.dynamics.steady_state(3.0) == pytest.approx([6.0])
