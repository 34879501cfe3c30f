"""The public names: there, documented, and not loaded before they are used."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import chemlearn

HEAVY = (
    "roadrunner",
    "tellurium",
    "gillespy2",
    "libsbml",
    "antimony",
    "matplotlib",
    "scipy",
    "xarray",
    "numpy",
)


@pytest.mark.parametrize("name", chemlearn.__all__)
def test_public_names_are_there_and_documented(name: str) -> None:
    value = getattr(chemlearn, name)
    assert callable(value)
    text = inspect.getdoc(value)
    assert text
    if inspect.isclass(value):
        assert not text.startswith(f"{name}("), "only the docstring that dataclasses make up"


def test_every_home_is_named_once() -> None:
    assert sorted(chemlearn.__all__) == sorted(chemlearn._HOME_OF)
    assert set(dir(chemlearn)) == set(chemlearn.__all__)


def test_submodules_do_not_shadow_public_functions() -> None:
    import importlib
    import pkgutil

    for module in pkgutil.iter_modules(chemlearn.__path__):
        if module.name != "__main__":
            importlib.import_module(f"chemlearn.{module.name}")
    for name in chemlearn.__all__:
        assert callable(getattr(chemlearn, name)), name
    assert chemlearn.dissipation.__module__ == "chemlearn.entropy.network"
    assert chemlearn.assess.__module__ == "chemlearn.assessment"


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'assessment_of'"):
        chemlearn.assessment_of  # noqa: B018


@pytest.mark.parametrize(
    "code",
    [
        "import chemlearn; dir(chemlearn)",
        "import sys; sys.argv = ['chemlearn', '--help']\ntry:\n    from chemlearn.cli import main; main()\n"
        "except SystemExit as end:\n    assert not end.code",
    ],
    ids=["import", "help"],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code: str) -> None:
    code += f"\nimport sys; print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "[]"
