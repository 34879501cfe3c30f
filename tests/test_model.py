"""Loading models, their roles, their values, and what is said when something is missing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from chemlearn.errors import ModelError
from chemlearn.model import Model
from chemlearn.paths import models_folder, shipped_models
from chemlearn.sbml import to_sbml

TEXT = (
    "s = 2; k = 3; x := k*u; substanceOnly species u = 4, w = 0, d = 1; "
    "=> u; k*s; u => ; u; => w; u; d =>; d\n"
)


# --- loading ------------------------------------------------------------------------------------------------


def test_by_name_path_and_text_are_the_same_model(tmp_path: Path) -> None:
    by_name = Model.load("linker")
    path = models_folder() / "linker.ant"
    by_path, by_text = Model.load(path), Model.load(path.read_text(encoding="utf-8"))
    assert by_name.sbml == by_path.sbml == by_text.sbml == Model.load(str(path)).sbml
    assert by_name.fingerprint == by_path.fingerprint == by_text.fingerprint
    assert (by_name.name, by_name.origin) == ("linker", "models/linker.ant")
    assert (by_path.name, by_path.origin) == ("linker", str(path))
    assert (by_text.name, by_text.origin) == ("model", "model")
    as_sbml = tmp_path / "linker.xml"
    as_sbml.write_text(by_name.sbml, encoding="utf-8")
    assert Model.load(as_sbml).network == by_name.network


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    for name, text in (("a.ant", TEXT), ("a.xml", to_sbml(TEXT, "a"))):
        path = tmp_path / name
        path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
        assert Model.load(path).species == ("u", "w", "d")


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"^nothing.ant: this file does not exist; .* shipped models .*linker"
    ):
        Model.load("nothing.ant")
    with pytest.raises(ModelError, match="this file is a folder"):
        Model.load(tmp_path)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(
        ModelError, match=rf"^{path}: this file cannot be read .*; give an Antimony or SBML text"
    ):
        Model.load(path)
    path.write_bytes(b"\x00\x01\x02")
    with pytest.raises(ModelError, match=rf"^{path}"):
        Model.load(path)
    path.write_bytes(b"")
    with pytest.raises(ModelError, match=rf"^{path}: the file is empty"):
        Model.load(path)


def test_errors_name_the_origin_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.ant"
    path.write_text("// x\nA => B; k*(2;\n", encoding="utf-8")
    with pytest.raises(ModelError, match=rf"^{path}:2: Antimony") as error:
        Model.load(path)
    assert str(error.value).count("bad.ant") == 1
    path.write_text("function f(x)\n x\nend\nx = a; a = x; A = 1; A => ; x\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"bad.ant") as error:
        Model.load(path)
    assert str(error.value).count("bad.ant") == 1


def test_shipped_models_are_found() -> None:
    assert set(shipped_models()) >= {"linker", "ladder", "leaky"}
    assert all(path.is_file() for path in shipped_models().values())


# --- roles --------------------------------------------------------------------------------------------------


def test_roles() -> None:
    model = Model.load(TEXT)
    assert (model.input, model.output, model.weight) == ("s", "u", "w")
    assert model.input_value == 2.0
    assert model.has_weight
    other = Model.load(TEXT, input="k", output="x", weight="d")
    assert other.input_value == 3.0
    assert other.dynamics.steady_state(3.0)[0] == pytest.approx(6.0)
    assert not Model.load("s = 1; => u; s; u =>; u; u = 0\n").has_weight


@pytest.mark.parametrize("role", ["input", "output", "weight"])
def test_a_role_that_nothing_plays(role: str) -> None:
    with pytest.raises(
        ModelError, match=rf"no \w+ 'ligand' to be its {role}; name one with {role}=... \(--{role}\)"
    ):
        Model.load(TEXT, **{role: "ligand"})


def test_missing_input() -> None:
    model = Model.load("k = 1; u = 0; => u; k; u => ; u\n")
    with pytest.raises(
        ModelError, match=r"^model: the model has no constant 's' to be its input; .* it has .*k"
    ):
        _ = model.dynamics


def test_missing_output() -> None:
    model = Model.load("s = 1; v = 0; => v; s; v => ; v\n")
    with pytest.raises(
        ModelError, match=r"^model: the model has no variable 'u' to be its output; .* it has v"
    ):
        _ = model.dynamics


@pytest.mark.parametrize(
    "text",
    [
        "k = 1; s = 1; u = 0; => s; k; s => u; s; u => ; u\n",  # a species that reactions change
        "k = 1; s := 2*k; u = 0; => u; s; u => ; u\n",  # computed by a rule
        "s = 1; s' = -s; u = 0; => u; s; u => ; u\n",  # by a rate rule
    ],
)
def test_an_input_that_the_model_computes(text: str) -> None:
    with pytest.raises(ModelError, match="'s' is computed by the model, so no signal can drive it"):
        _ = Model.load(text).dynamics


# --- values -------------------------------------------------------------------------------------------------


def test_with_values() -> None:
    model = Model.load(TEXT)
    changed = model.with_values(k=5.0, u=7)
    assert changed.network.constants["k"] == 5.0
    assert changed.network.initial["u"] == 7.0
    assert model.network.constants["k"] == 3.0
    assert changed.with_values(k=6.0).parameters == {**changed.parameters, "k": 6.0}
    assert changed.values == (("k", 5.0), ("u", 7.0))


def test_reserved_names_may_be_given_without_underscore() -> None:
    ladder = Model.load("ladder")
    assert ladder.with_values(gamma=0.5) == ladder.with_values(gamma_=0.5)
    assert ladder.with_values(gamma=0.5).parameters["gamma_"] == 0.5


def test_values_that_cannot_be_set() -> None:
    model = Model.load(TEXT)
    with pytest.raises(
        ModelError, match=r"no parameter or species named 'gama'; 'model' has .*s, k.*u, w, d"
    ):
        model.with_values(gama=1.0)
    with pytest.raises(
        ModelError, match="'x' is computed by an assignment rule of 'model' and cannot be set"
    ):
        model.with_values(x=1.0)
    for bad in (np.nan, np.inf):
        with pytest.raises(ModelError, match="'k' must be a finite number, got"):
            model.with_values(k=bad)


def test_values_that_initial_assignments_read() -> None:
    linker = Model.load("linker").with_values(size=3)
    assert linker.network.initial["act"] == 5400.0
    ladder = Model.load("ladder").with_values(N=1000)
    assert sum(v for n, v in ladder.network.initial.items() if n != "w") == 1000.0


def test_models_do_not_change() -> None:
    model = Model.load(TEXT)
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.name = "other"  # type: ignore[misc]
    before = (model.sbml, dict(model.parameters), dict(model.network.initial))
    model.with_values(k=9.0, u=1.0)
    model.parameters["k"] = 77.0
    model.findings()
    assert (model.sbml, dict(model.parameters), dict(model.network.initial)) == before


def test_fingerprint_changes_with_the_content_only() -> None:
    model = Model.load(TEXT)
    same = [
        Model.load(TEXT),
        dataclasses.replace(model, name="other", origin="elsewhere"),
        model.with_values(k=1.0).with_values(k=2.0).with_values(u=1.0),
    ]
    assert same[0].fingerprint == same[1].fingerprint == model.fingerprint
    assert same[2].fingerprint == model.with_values(u=1.0, k=2.0).fingerprint
    others = [
        model.with_values(k=4.0),
        model.with_values(u=3.0),
        Model.load(TEXT + "\n"),
        Model.load(TEXT, output="w"),
        Model.load(TEXT, split=True),
    ]
    assert len({m.fingerprint for m in [model, *others]}) == 6
    assert len(model.fingerprint) == 64


def test_tellurium_takes_the_model() -> None:
    runner = Model.load(TEXT).with_values(k=7.0).tellurium()
    assert runner["k"] == 7.0
