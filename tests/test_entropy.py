"""Entropy production against rate matrices written down here, closed forms and 50-digit references."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import null_space

from chemlearn.entropy.network import Dissipation, dissipation, reversible_pairs
from chemlearn.model import Model

STATES = [f"{rail}{m}" for rail in "TB" for m in range(5)]


def ladder(gamma: float, vertical: float, s: float) -> np.ndarray:
    """Rate matrix W[i, j] = rate from j to i of one molecule (F50 to F52), written down independently."""
    w = np.zeros((10, 10))
    for m in range(5):
        energy = 2 * (1 - m) + math.log((1 + s / 18.2) / (1 + s / 3000))
        w[5 + m, m] = vertical * math.exp(max(energy, 0))
        w[m, 5 + m] = vertical * math.exp(max(-energy, 0))
    for m in range(4):
        w[m + 1, m], w[m, m + 1] = math.e * gamma, 1.0
        w[6 + m, 5 + m], w[5 + m, 6 + m] = 1.0, math.e * gamma
    return w - np.diag(w.sum(axis=0))


def stationary(w: np.ndarray) -> np.ndarray:
    p = null_space(w)[:, 0]
    return p / p.sum()


def production(w: np.ndarray) -> float:
    """Schnakenberg's formula over all pairs of states (F13)."""
    flux = (w - np.diag(np.diag(w))) * stationary(w)
    i, j = np.nonzero(np.triu(flux))
    return float(np.sum((flux[i, j] - flux[j, i]) * np.log(flux[i, j] / flux[j, i])))


@cache
def driven(gamma: float, vertical: float) -> Model:
    return Model.load("ladder").with_values(gamma=gamma, F=vertical)


def of_ladder(gamma: float, vertical: float, s: float) -> Dissipation:
    return dissipation(driven(gamma, vertical), s)


@pytest.mark.parametrize("gamma", [0.5, 0.1, 0.01, 1e-4])
@pytest.mark.parametrize(("vertical", "s"), [(1.0, 50.0), (25.0, 0.0), (100.0, 200.0)])
def test_ladder_agrees_with_its_rate_matrix_and_with_the_cycle_affinity(
    gamma: float, vertical: float, s: float
) -> None:
    found = of_ladder(gamma, vertical, s)
    w = ladder(gamma, vertical, s)
    assert found.per_molecule == pytest.approx(production(w), rel=1e-9)
    p = stationary(w)
    around = sum(p[m + 1] - math.e * gamma * p[m] for m in range(4))
    assert found.per_molecule == pytest.approx(-2 * math.log(gamma) * around, rel=1e-9)
    assert found.molecules == pytest.approx(100)


@pytest.mark.parametrize("s", [0.0, 50.0, 200.0])
def test_ladder_in_detailed_balance_gives_off_nothing(s: float) -> None:
    found = of_ladder(1.0, 25.0, s)
    assert found.balanced
    assert found.rate < 1e-20
    assert "zero to rounding" in str(found)


def test_driven_ladder_is_not_balanced() -> None:
    found = of_ladder(0.01, 25.0, 50.0)
    assert not found.balanced
    assert found.rate > 100
    assert found.pairs.sizes["pair"] == 13
    assert float(found.pairs.contribution.sum()) == pytest.approx(found.rate)
    assert "per molecule" in str(found)


def test_close_to_balance_the_digits_stay() -> None:
    """σ = O((1 − γ)²): differences of nearly equal fluxes must not be lost."""
    small = [of_ladder(1 - e, 25.0, 0.0).per_molecule / e**2 for e in (1e-3, 1e-5)]
    assert small[1] == pytest.approx(small[0], rel=3e-3)


def _number(text: str) -> float:
    return 1 / math.e if text == "1/e" else float(text)


def test_ladder_against_the_50_digit_reference(shared: Path) -> None:
    rows = json.loads((shared / "reference" / "synapse.json").read_text())["ladder"]
    assert len(rows) == 28
    for row in rows:
        gamma, vertical, s = _number(row["gamma"]), float(row["F"]), float(row["s"])
        for level, key in ((0.0, "diss0"), (s, "diss_s")):
            found = of_ladder(gamma, vertical, level)
            wanted = float(row["exact"][key])
            assert found.per_molecule == pytest.approx(wanted, rel=1e-8, abs=1e-25), (row, key)


def test_small_gamma_and_near_balance_against_the_reference(shared: Path) -> None:
    rows = json.loads((shared / "reference" / "synapse.json").read_text())["ladder_small_gamma"]
    for row in rows:
        if row["gamma"] >= 1e-8:
            found = of_ladder(row["gamma"], row["F"], 0.0)
            near = abs(row["gamma"] - 1) < 1e-4  # differences of fluxes that agree to six digits or more
            rel = 1e-2 if near else 1e-7
            assert found.per_molecule == pytest.approx(float(row["dissipation"]), rel=rel, abs=1e-22), row


CYCLE = """model ring
  s = 1; f = {f}; b = 1
  A = 30; B = 0; C = 0
  u := B
  ab: A => B; f*s*A
  ba: B => A; b*s*B
  bc: B => C; f*B
  cb: C => B; b*C
  ca: C => A; f*C
  ac: A => C; b*A
end
"""


@pytest.mark.parametrize("f", [1.0, 2.0, 50.0])
def test_ring_of_three_states(f: float) -> None:
    """With equal rates round a ring every state holds N/3, and σ = N (f − b) ln(f/b)."""
    found = dissipation(Model.load(CYCLE.format(f=f)))
    assert found.rate == pytest.approx(30 * (f - 1) * math.log(f), rel=1e-10, abs=1e-20)
    assert found.molecules == pytest.approx(30)


def test_one_way_reaction_is_infinite_and_named() -> None:
    one_way = CYCLE.replace("  ac: A => C; b*A\n", "").format(f=2.0)
    found = dissipation(Model.load(one_way))
    assert found.rate == math.inf
    assert str(found) == "infinite: ca runs one way, without a reverse reaction"


def test_what_only_reads_the_output_does_not_count() -> None:
    text = CYCLE.format(f=2.0).replace("end", "  w = 0\n  write: => w; B\n  forget: w => ; 0.1*w\nend")
    assert dissipation(Model.load(text)).rate == pytest.approx(30 * math.log(2), rel=1e-10)


def test_a_catalysed_reaction_is_not_undone_by_an_uncatalysed_one() -> None:
    text = """model m
      s = 1; A = 10; u = 10; E = 5; k = 1
      on: A + E => u + E; k*s*A*E
      off: u => A; k*u
      eon: => E; k
      eoff: E => ; k*E
    end"""
    found = dissipation(Model.load(text))
    assert found.rate == math.inf
    assert "on" in found.reason


@pytest.mark.parametrize(("on", "off", "finite"), [("E*A", "E*u", True), ("E*A", "u", False)])
def test_a_shared_catalyst_cancels(on: str, off: str, finite: bool) -> None:
    text = f"""model m
      s = 1; A = 10; u = 10; E = 5
      on: A => u; {on}*s
      off: u => A; {off}
      eon: => E; 1
      eoff: E => ; E
    end"""
    assert math.isfinite(dissipation(Model.load(text)).rate) == finite


def test_parallel_reactions_without_distinct_partners_are_unclear() -> None:
    text = CYCLE.format(f=2.0).replace("end", "  ab2: A => B; 3*A\nend")
    found = dissipation(Model.load(text))
    assert math.isnan(found.rate)
    assert "ab, " in found.reason
    assert "ab2" in found.reason
    assert "distinct partners" in found.reason


@pytest.mark.parametrize("name", ["maxwell", "capacitor_memristor"])
def test_continuous_models_have_no_reactions_to_count(name: str) -> None:
    found = dissipation(Model.load(name))
    assert math.isnan(found.rate)
    assert str(found).startswith("unknown: ")
    assert "no reactions" in found.reason


@pytest.mark.parametrize("name", ["linker", "mechanochemical"])
def test_feedback_synapses_have_one_way_reactions(name: str) -> None:
    found = dissipation(Model.load(name))
    assert found.rate == math.inf
    assert "remove" in found.reason


BOUND = """model bound
  const species $F, $W
  s = 1; F = {fuel}; W = 1; A = 40; B = 60; u = 0
  on: A + B => u; 0.02*s*A*B
  off: u => A + B; 0.5*s*u
  burn: $F + u => A + B + $W; 0.1*F*u
  make: A + B + $W => $F + u; 0.004*W*A*B
end
"""


def test_bimolecular_binding_driven_by_chemostats() -> None:
    """u ⇌ A + B by two ways; the fuel F against the waste W drives round, and equal affinities stop it."""
    fuel = 3.0
    found = dissipation(Model.load(BOUND.format(fuel=fuel)))
    # mass balance by hand: (0.02 + 0.004) (40 − u)(60 − u) = (0.5 + 0.1 F) u
    a, c = 0.024, 0.5 + 0.1 * fuel
    u = ((100 * a + c) - math.sqrt((100 * a + c) ** 2 - 4 * a * 2400 * a)) / (2 * a)
    fluxes = [(0.02 * (40 - u) * (60 - u), 0.5 * u), (0.1 * fuel * u, 0.004 * (40 - u) * (60 - u))]
    wanted = sum((f - b) * math.log(f / b) for f, b in fluxes)
    assert found.rate == pytest.approx(wanted, rel=1e-9)
    assert math.isnan(found.molecules)
    assert wanted > 0.1
    balanced = dissipation(Model.load(BOUND.format(fuel=1.0)))
    assert balanced.balanced


NET = """model net
  s = 1; A = 100; u = 0; C = 0
  r1: A -> u; 2*s*A - 1*s*u
  r2: u -> C; 2*u - 1*C
  r3: C -> A; 2*C - 1*A
end
"""


def test_net_laws_are_unknown_until_they_are_split() -> None:
    whole = dissipation(Model.load(NET))
    assert math.isnan(whole.rate)
    assert "split" in whole.reason
    assert "r1" in whole.reason
    parts = dissipation(Model.load(NET, split=True))
    assert parts.rate == pytest.approx(100 * math.log(2), rel=1e-10)
    assert parts.pairs.sizes["pair"] == 3


def test_dissipation_is_never_negative() -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        rates = ", ".join(f"{v:.4g}" for v in rng.uniform(0.1, 10, 6))
        k = [float(v) for v in rates.split(",")]
        text = f"""model m
          s = 1; A = 30; u = 0; C = 0
          ab: A => u; {k[0]}*s*A
          ba: u => A; {k[1]}*u
          bc: u => C; {k[2]}*u
          cb: C => u; {k[3]}*C
          ca: C => A; {k[4]}*C
          ac: A => C; {k[5]}*A
        end"""
        w = np.array([[0, k[1], k[4]], [k[0], 0, k[3]], [k[5], k[2], 0]])
        found = dissipation(Model.load(text))
        assert found.rate == pytest.approx(30 * production(w - np.diag(w.sum(axis=0))), rel=1e-8)
        assert found.rate >= 0


# --- pairs -------------------------------------------------------------------------------------------------


def names(model: Model) -> set[tuple[str, str]]:
    return {(forward.name, backward.name) for forward, backward in reversible_pairs(model).pairs}


def test_the_pairs_of_the_ladder_are_those_of_its_states() -> None:
    found = reversible_pairs(Model.load("ladder"))
    steps = {(f"{rail}r{m}", f"{rail}l{m}") for rail in "tb" for m in range(4)}
    assert names(Model.load("ladder")) == {(f"down{m}", f"up{m}") for m in range(5)} | steps
    assert found.one_way == ()
    assert found.reason == ""


def test_pairs_and_what_has_none() -> None:
    found = reversible_pairs(Model.load(CYCLE.replace("  ac: A => C; b*A\n", "").format(f=2.0)))
    assert names(Model.load(BOUND.format(fuel=2.0))) == {("on", "off"), ("burn", "make")}
    assert [reaction.name for reaction in found.one_way] == ["ca"]
    assert found.reason == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (NET, "the rate of r1, r2, r3 is a difference of two fluxes"),
        (CYCLE.format(f=2.0).replace("end", "  ab2: A => B; 3*A\nend"), "distinct partners"),
        ("model m\n  s = 1; u = 0; u' = s - u\nend\n", "no reactions to count"),
        ("model m\n  s = 1; u = 0; v = 0; v' = s - v\n  on: => u; v\n  off: u => ; u\nend\n", "a rate rule"),
    ],
)
def test_why_pairs_cannot_be_told(text: str, reason: str) -> None:
    assert reason in reversible_pairs(Model.load(text)).reason
    assert reason in dissipation(Model.load(text)).reason
