"""Findings: each with its line, its reason and its mend; errors refuse the run; good models raise no
alarm.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from chemlearn.errors import ModelError
from chemlearn.lint import Finding
from chemlearn.locate import locate
from chemlearn.model import Model
from chemlearn.paths import shipped_models
from chemlearn.sbml import to_sbml

SHARED = Path(__file__).parents[2] / "shared"

HEADER = """// a comment that names R1: A => B; A = 0.5
model m
  /* another
     R1: A -> B; */
  s = 1; k = 2; kr = 1; p = 0
  substanceOnly species A = 10, B = 20, C = 5
"""  # the next line is line 7

#: text after the header, level, stochastic only, line, place, reason, mend
WRONG = {
    "net, reversible": (
        "R1: A -> B; k*A - kr*B",
        "error",
        True,
        7,
        "reaction R1",
        "net rate",
        "A => B and B => A, or pass",
    ),
    "net, one arrow": (
        "R1: A => B; k*A - kr*B",
        "error",
        True,
        7,
        "reaction R1",
        "net rate",
        "reactions of their own",
    ),
    "net, no reactant": (
        "R1: => A; k*A*B - k*A",
        "error",
        True,
        7,
        "reaction R1",
        "net rate",
        "reactions of their own",
    ),
    "net in a rule": ("v := k*A - B\n R1: A => B; v", "error", True, 8, "reaction R1", "net rate", "max"),
    "net of michaelis": (
        "R1: A -> B; (k*A - B)/(1 + A + B)",
        "error",
        True,
        7,
        "reaction R1",
        "net rate",
        "split=True",
    ),
    "wrong arrow": ("R1: A -> B; k*A", "warning", True, 7, "reaction R1", "only runs forward", "'=>'"),
    "two, squared": (
        "R1: 2 A => B; k*A*A",
        "error",
        True,
        7,
        "reaction R1",
        "still runs at A = 1",
        r"A*(A - 1) in place of A^2",
    ),
    "two, listed twice": (
        "R1: A + A => B; k*A^2",
        "error",
        True,
        7,
        "reaction R1",
        "takes 2 A",
        "count pairs",
    ),
    "three, cubed": (
        "R1: 3 A => B; k*A^3",
        "error",
        True,
        7,
        "reaction R1",
        "still runs at A = 1",
        "groups of 3",
    ),
    "three, pairs": (
        "R1: 3 A => B; k*A*(A - 1)",
        "error",
        True,
        7,
        "reaction R1",
        "still runs at A = 2",
        "groups of 3",
    ),
    "never vanishes": (
        "R1: A => B; k",
        "error",
        True,
        7,
        "reaction R1",
        "does not vanish when A is used up",
        "A/(K + A)",
    ),
    "consumed, not in the law": (
        "R1: A + C => B; k*A",
        "error",
        True,
        7,
        "reaction R1",
        "when C is used up",
        "proportional",
    ),
    "typo for a species": ("R1: A => B; k*a", "error", False, 7, "name 'a'", "no value", "spelling"),
    "typo for a product": (
        "R1: A => BB; k*A",
        "error",
        False,
        7,
        "species BB",
        "no initial amount",
        "'BB = 0'",
    ),
    "typo for a constant": ("R1: A => B; K*A", "error", False, 7, "name 'K'", "no value", "spelling"),
    "constant only in a rule": (
        "v := K*A\n R1: A => B; v",
        "error",
        False,
        7,
        "name 'K'",
        "no value",
        "spelling",
    ),
    "fraction": (
        "A = 2.5\n R1: A => B; k*A",
        "error",
        True,
        7,
        "species A",
        "2.5 is not a whole number",
        "2 or 3 molecules",
    ),
    "moles": ("A = 1e-21\n R1: A => B; k*A", "error", True, 7, "species A", "not a whole number", "6.022e23"),
    "negative amount": (
        "A = -2\n R1: A => B; k*A",
        "error",
        False,
        7,
        "species A",
        "-2",
        "cannot be negative",
    ),
    "half a molecule": ("R1: A => 1.5 B; k*A", "error", True, 7, "reaction R1", "1.5 of B", "whole numbers"),
    "negative constant": (
        "kd = -2\n R1: A => B; kd*A",
        "error",
        True,
        8,
        "reaction R1",
        "because kd = -2",
        "positive",
    ),
    "rate rule": (
        "x = 1\n x' = k - x\n R1: A => B; x*A",
        "error",
        True,
        8,
        "variable x",
        "continuously",
        "reactions",
    ),
    "event": (
        "R1: A => B; k*A\n E1: at A < 3 && time^2 > 3: A = 10",
        "error",
        True,
        8,
        "event E1",
        "cannot be followed exactly: '((time ^ 2) > 3)' is not linear in time",
        "linear in time",
    ),
    "event without name": (
        "R1: A => B; k*A\n at sin(time) > A: A = 10",
        "error",
        True,
        8,
        "event _E0",
        "is not linear in time",
        "linear in time",
    ),
    "name without value in an event": (
        "R1: A => B; k*A\n E1: at A < tresh: A = 10",
        "error",
        False,
        8,
        "name 'tresh'",
        "no value",
        "spelling",
    ),
    "set by an event alone": (
        "R1: A => B; q*A\n E1: at A < 3: q = 10",
        "error",
        False,
        7,
        "name 'q'",
        "no initial value",
        "until an event sets it",
    ),
    "no law": ("R1: A => B;", "error", False, 7, "reaction R1", "no rate law", "write one"),
    "mathematics": (
        "R1: A => B; k*delay(A, 1)",
        "error",
        False,
        7,
        "reaction R1",
        "not supported",
        "without it",
    ),
    "volume": (
        "compartment v = 2\n species D in v = 3\n R1: D => ; v*k*D",
        "warning",
        True,
        7,
        "compartment v",
        "size is 2",
        "check",
    ),
    "tiny volume": (
        "compartment v = 1e-15\n species D in v = 1e-6\n R1: D => ; v*k*D",
        "error",
        True,
        8,
        "species D",
        "1e-21",
        "6.022e23",
    ),
    "pairs of concentrations": (
        "compartment v = 2\n species D in v = 3\n R1: 2 D => ; v*k*D^2",
        "error",
        True,
        9,
        "reaction R1",
        "takes 2 D",
        "D*(D - 1/v)",
    ),
    "catalyst": ("R1: A + C => B + C; k*A", "warning", True, 7, "reaction R1", "needs 1 C", "leave C out"),
    "from nothing": ("R1: A => 2 A; k", "warning", True, 7, "reaction R1", "still runs at A = 0", "vanish"),
    "pole": (
        "R1: A => B; k*A/C",
        "warning",
        False,
        7,
        "reaction R1",
        "not a finite number at C = 0",
        "divisor",
    ),
    "moles declared": (
        "unit substance = 1e-3 mole\n R1: A => B; k*A",
        "warning",
        True,
        7,
        "unit substance",
        "in moles",
        "item",
    ),
    "not linear in s": (
        "R1: A => B; k*A*s^2",
        "note",
        True,
        7,
        "reaction R1",
        "not linear in s",
        "staircase",
    ),
    "changing volume": (
        "compartment v = 1\n v' = 1\n species D in v = 3\n R1: D => ; v*k*D",
        "error",
        False,
        8,
        "compartment v",
        "volume changes",
        "without it",
    ),
}


def findings(text: str) -> tuple[Finding, ...]:
    return Model.load(HEADER + " " + text + "\nend\n").findings()


@pytest.mark.parametrize("name", WRONG)
def test_finding(name: str) -> None:
    text, level, stochastic_only, line, place, reason, mend = WRONG[name]
    found = findings(text)
    fitting = [f for f in found if f.place == place and reason in f.reason]
    assert fitting, [str(f) for f in found]
    finding = fitting[0]
    assert (finding.level, finding.stochastic_only, finding.line) == (level, stochastic_only, line)
    assert mend in finding.mend
    assert str(finding).startswith(f"model:{line}: {place}: ")
    assert all(f.line is not None for f in found)


@pytest.mark.parametrize("name", WRONG)
def test_finding_in_sbml(name: str) -> None:
    text, level, _, _, place, reason, _ = WRONG[name]
    sbml = to_sbml(HEADER + " " + text + "\nend\n", "m")
    found = [f for f in Model.load(sbml).findings() if f.place == place and reason in f.reason]
    assert found
    assert found[0].level == level
    assert found[0].line is not None
    word = place.split()[-1].strip("'")
    assert word in sbml.splitlines()[found[0].line - 1]


@pytest.mark.parametrize("name", WRONG)
def test_errors_refuse_the_run(name: str) -> None:
    text, level, stochastic_only, line, *_ = WRONG[name]
    model = Model.load(HEADER + " " + text + "\nend\n")
    if level != "error":
        model.require(stochastic=True)
        return
    with pytest.raises(ModelError, match=rf"^model:{line}: "):
        model.require(stochastic=True)
    if stochastic_only:
        model.require(stochastic=False)
    else:
        with pytest.raises(ModelError):
            model.require(stochastic=False)


def test_errors_come_first_and_are_counted() -> None:
    model = Model.load(HEADER + "A = 0.5\nR0: A -> B; k*A\nR1: A => B; k\nR2: 2 A => B; k*A^2\nend\n")
    levels = [f.level for f in model.findings()]
    assert levels == ["error", "error", "error", "warning"]
    with pytest.raises(ModelError, match=r"\(2 more: chemlearn check\)$"):
        model.require(stochastic=True)


GOOD = [
    "R1: A => B; k*A",
    "R1: A => ; k*A/(0.5 + A)",
    "R1: => A; k/(1 + (B/10)^2)",
    "R1: => A; k*B^4/(10^4 + B^4)",
    "R1: A + C => B + C; k*A*C",
    "R1: => B; k*A*C",
    "R1: 2 A => B; k*A*(A - 1)/2",
    "R1: A + A => B; k*A*(A - 1)",
    "R1: 3 A => B; k*A*(A - 1)*(A - 2)/6",
    "R1: A => 2 A; k*A",
    "R1: A + B => 2 B; k*A*B",
    "R1: 2 A + B => 3 A; k*A*(A - 1)*B",
    "R1: A => B; k*max(0, A - 3)",
    "R1: A => B; piecewise(k*A, A > 5, 0)",
    "R1: A => B; p*A",
    "R1: A => ; k*sqrt(A)",
    "R1: A => B; k*A/(A + B + C)",
    "R1: A => B; k*A*exp(-B/10)",
    "v := k*A\n R1: A => B; v",
    "R1: => A; k*s\n R2: A => ; k*A*s",
    "unit substance = item\n R1: A => B; k*A",
    "compartment c = 1\n species D in c = 3\n R1: D => ; k*D",
    "compartment c = 2\n substanceOnly species D in c = 3\n R1: D => ; k*D",
    "compartment c = 30\n substanceOnly species D in c\n D = 0.1*30\n R1: D => ; k*D",
    "$X = 3\n R1: X => A; k*X",
]


@pytest.mark.parametrize("text", GOOD)
def test_no_false_alarm(text: str) -> None:
    assert [str(f) for f in findings(text)] == []


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_models_are_clean(name: str) -> None:
    model = Model.load(name)
    found = model.findings()
    if name in ("maxwell", "capacitor_memristor"):
        assert {f.reason.split(",")[0] for f in found} == {"it changes continuously"}
        model.require(stochastic=False)
    else:
        assert all(f.level == "note" for f in found)
        model.require(stochastic=True)
    lines = model.text.splitlines()
    assert all(f.line and f.place.split()[-1] in lines[f.line - 1] for f in found)


@pytest.mark.skipif(not (SHARED / "bench").is_dir(), reason="the benchmark models are not here")
def test_benchmark_models_are_clean() -> None:
    for path in sorted((SHARED / "bench").glob("*.ant")):
        assert not Model.load(path).findings(), path.name


@pytest.mark.skipif(not (SHARED / "dsmts").is_dir(), reason="the stochastic test suite is not here")
@pytest.mark.parametrize("version", ["l3v1", "l3v2"])
def test_stochastic_test_suite(version: str) -> None:
    for path in sorted((SHARED / "dsmts").glob(f"*/*{version}.xml")):
        found = [f.place for f in Model.load(path).findings()]
        assert found == (["compartment Cell"] if path.parent.name == "00011" else []), path.name


def test_events_and_laws_that_name_time_are_fine() -> None:
    assert not findings("R1: A => B; k*A*(1 + sin(time))\n E1: at A < 3 && time > 7: A = 10, k = 3")


def test_splitting_that_failed_is_not_advised_again() -> None:
    text = HEADER + " R1: A -> B; k*A*cos(B)\nend\n"
    assert "pass split=True" in Model.load(text).findings()[0].mend
    assert "could not be split" in Model.load(text, split=True).findings()[0].mend


def test_split_reactions_are_found_in_the_text() -> None:
    model = Model.load(HEADER + " A = 2.5\n R1: A -> B; A*k*(1 - A*B/C)\nend\n", split=True)
    assert all(f.line in (7, 8) for f in model.findings())


# --- lines --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "line"),
    [
        ("A => B; k*A\n R1: B => A; k*B\n A -> C; k*C; C => A; k*A\n", "_J0", 1),
        ("A => B; k*A\n R1: B => A; k*B\n A -> C; k*C; C => A; k*A\n", "_J1", 3),
        ("A => B; k*A\n R1: B => A; k*B\n A -> C; k*C; C => A; k*A\n", "_J2", 3),
        ("R1: A => B; 1\n A -| R1;\n C -> A; 1\n", "_J1", 3),  # the interaction is _J0
        ("E1: at A > 1: A = 0\n at (A > 2): A = 0\n\n at 1 after A > 3: A = 0\n", "_E1", 4),
        ("// A = 1\n# A = 2\n/* A = 3\n*/ A = 4\n", "A", 4),
        ("k1 = 3; x = 1\n R: => A; k1*k\n k = 2\n", "k", 3),
        ("R: => A; k*k1\n", "k1", 1),
        ("compartment c\n species A, B in c\n R: A => B; 1\n", "B", 2),
        ("R: A => B; 1\n A in c = 3\n", "A", 2),
        ("x := A\n y' = x\n", "y", 2),
        ("R2: A => B; 1\n R: A => B; 1\n", "R", 2),
        ("R: A => B; 1\n", "R_reverse", 1),
        ("R: A => B; 1\n", "Q", None),
    ],
)
def test_lines_in_antimony(text: str, name: str, line: int | None) -> None:
    assert locate(text, name) == line


def test_lines_in_sbml() -> None:
    sbml = "<sbml>\n<parameter metaid='k' id=\"k1\"/>\n<parameter id='k'/>\n"
    sbml += "<event>\n</event>\n<event >\n<ci> q </ci>\n"
    assert locate(sbml, "k") == 3
    assert locate(sbml, "R.k1") is None
    assert locate(sbml, "event 2") == 6
    assert locate(sbml, "q") == 7
    assert locate(sbml, "event 3") is None
