"""The models that come with the package: what each file says of itself, and what it claims to do."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest

from chemlearn.linear import linear_kernel
from chemlearn.model import Model
from chemlearn.paths import models_folder, shipped_models

NAMES = tuple(shipped_models())
DETERMINISTIC = ("maxwell", "capacitor_memristor")
ADAPTING = ("integral_feedback", "linker", "mechanochemical", *DETERMINISTIC)
CONTROLS = ("linker_hebbian", "mechanochemical_hebbian", "leaky")


def header(name: str) -> str:
    lines = shipped_models()[name].read_text(encoding="utf-8").splitlines()
    end = next(i for i, line in enumerate(lines) if not line.startswith("//"))
    return "\n".join(lines[:end])


def test_the_promised_models_are_here() -> None:
    assert set(NAMES) >= {*ADAPTING, *CONTROLS, "ladder"}


@pytest.mark.parametrize("name", NAMES)
def test_header(name: str) -> None:
    text = header(name)
    assert text.startswith(f"// {name}: ")
    for part in ("Roles", "Conserved", "Units", "Operating point", "Source"):
        assert part in text, f"the header of {name} does not say: {part}"
    for role in ("s  input", "u  output", "w  weight"):
        assert role in text
    assert ("Deterministic only" in text) is (name in DETERMINISTIC)
    assert ("// Reactions" in text) is (name not in DETERMINISTIC)


@pytest.mark.parametrize("name", NAMES)
def test_roles_and_runs(name: str) -> None:
    model = Model.load(name)
    assert model.input in model.network.constants
    assert model.output in (*model.network.variables, *model.network.rules)
    assert model.has_weight
    model.require(stochastic=name not in DETERMINISTIC)
    assert all(value == round(value) for value in model.network.initial.values())


@pytest.mark.parametrize("name", [n for n in NAMES if n not in DETERMINISTIC])
def test_every_reaction_is_in_the_header(name: str) -> None:
    text = header(name)
    for reaction in Model.load(name).network.reactions:
        word = re.sub(r"\d$", "_m", reaction.name) if name == "ladder" else reaction.name
        assert re.search(rf"^//\s+{word}\s", text, re.MULTILINE), (
            f"{reaction.name} is not in the table of {name}"
        )


@pytest.mark.parametrize("name", NAMES)
def test_the_weight_does_not_act_on_the_output(name: str) -> None:
    dynamics = Model.load(name).dynamics
    weight = dynamics.variables.index("w")
    if name != "capacitor_memristor":  # there it does, at second order only
        assert weight not in dynamics.core
    state = dynamics.steady_state(dynamics.input_value)
    heavier = state.copy()
    heavier[weight] = 2 * state[weight] + 1
    moved = dynamics.output_velocity(heavier, dynamics.input_value)
    assert moved == pytest.approx(dynamics.output_velocity(state, dynamics.input_value), abs=1e-9)


@pytest.mark.parametrize("name", ADAPTING)
def test_models_that_adapt(name: str) -> None:
    kernel = linear_kernel(Model.load(name))
    assert kernel.residual <= 0.01
    assert kernel.first_moment < 0
    assert [np.sign(lobe.area) for lobe in kernel.lobes] == [1, -1]


@pytest.mark.parametrize("name", CONTROLS)
def test_controls_that_do_not(name: str) -> None:
    kernel = linear_kernel(Model.load(name))
    assert kernel.residual == pytest.approx(1.0)
    assert kernel.first_moment > 0
    assert len(kernel.lobes) == 1


def test_ladder_compares_only_when_driven() -> None:
    driven, at_rest = (linear_kernel(Model.load("ladder").with_values(gamma=g)) for g in (0.01, 1.0))
    assert len(driven.lobes) == 2
    assert driven.first_moment < 0
    assert driven.residual < 0.05
    assert len(at_rest.lobes) == 1
    assert at_rest.first_moment > 0
    assert at_rest.residual == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["linker", "mechanochemical"])
def test_first_moment_is_the_same_at_every_level(name: str) -> None:
    model = Model.load(name)
    moments = [
        linear_kernel(model, factor * model.input_value).first_moment for factor in (0.3, 1.0, 3.0, 10.0)
    ]
    assert np.allclose(moments, moments[1], rtol=0.01)


@pytest.mark.parametrize("name", [n for n in NAMES if "size" in Model.load(n).parameters])
def test_size_only_scales_the_amounts(name: str) -> None:
    small = Model.load(name)
    factor = 4
    large = small.with_values(size=factor * small.parameters["size"])
    ratio = large.dynamics.steady_state(large.input_value) / small.dynamics.steady_state(small.input_value)
    assert np.allclose(ratio, factor, rtol=1e-9)
    times = np.linspace(0, 10, 50)
    assert np.allclose(
        linear_kernel(large)(times), factor * linear_kernel(small)(times), rtol=1e-7, atol=1e-7
    )


@pytest.mark.parametrize("name", NAMES)
def test_initial_amounts_are_near_the_steady_state(name: str) -> None:
    dynamics = Model.load(name).dynamics
    state = dynamics.steady_state(dynamics.input_value)
    scale = np.max(np.abs(state[dynamics.core]), initial=1.0)
    assert np.all(np.abs(state - dynamics.initial)[dynamics.core] <= 0.01 * scale + 1)


def test_the_table_lists_every_model_and_its_numbers() -> None:
    text = (models_folder() / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \| [a-z]", text, re.MULTILINE)) == set(NAMES)
    rows = re.findall(
        r"^\| `(\w+)` \| ([\d.]+) \| (\d) [^|]*\| ([\d.]+) \| ([−+][\d.]+) \|", text, re.MULTILINE
    )
    assert {row[0] for row in rows} == set(NAMES) - {"ladder"}
    for name, s, lobes, half_time, moment in rows:
        model = Model.load(name)
        kernel = linear_kernel(model)
        assert model.input_value == float(s)
        assert len(kernel.lobes) == int(lobes)
        assert kernel.half_time == pytest.approx(float(half_time), abs=0.0006)
        assert kernel.first_moment == pytest.approx(float(moment.replace("−", "-")), rel=6e-4)


@pytest.mark.parametrize("name", NAMES)
def test_loading_and_checking_is_quick(name: str) -> None:
    text = shipped_models()[name].read_text(encoding="utf-8")
    best = np.inf
    for attempt in range(3):  # a different text each time, so that nothing is remembered
        began = time.process_time()
        Model.load(f"{text}// {attempt}\n").findings()
        best = min(best, time.process_time() - began)
    assert best < 0.1
