"""Files say how they were made, and are made again to the last bit; a failed write changes nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from chemlearn.errors import SimulationError
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import load, repeat, save, simulate_ode, simulate_ssa
from tests.conftest import needs_compiler

TEXT = """
substanceOnly species X, $S; X = 0; S = 3; light = 10; k = 0.5;
made: => X; light; lost: X => ; k*X; fed: $S => X; 0.1*S;
v := 2*light + X;
"""
TIMES = np.array([0.0, 1 / 3, 1.0, 2.7])
SQUARE = Signal.square(10, 30.1, first=1 / 3, second=1.5, periodic=True)


def model() -> Model:
    return Model.load(TEXT, input="light", output="v").with_values(k=0.3)


def made(kind: str) -> xr.Dataset:
    if kind == "ode":
        return simulate_ode(model(), TIMES, signal=SQUARE, start={"X": 2.5})
    how = {"ssa": {}, "large seed": {"seed": 2**127 + 1}, "gillespy2": {"engine": "gillespy2"}}[kind]
    return simulate_ssa(
        model(), TIMES, signal=SQUARE, start={"X": 2}, point=4, **{"trajectories": 12, "seed": 5, **how}
    )


KINDS = ["ode", "ssa", "large seed", pytest.param("gillespy2", marks=[needs_compiler, pytest.mark.full])]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_comes_back_and_is_made_again(kind: str, tmp_path: Path) -> None:
    data = made(kind)
    path = save(data, tmp_path / "new folder" / "data.nc")
    back = load(path)
    assert back.identical(data)
    assert repeat(back).identical(data)
    assert [p.name for p in path.parent.iterdir()] == ["data.nc"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_repeating_keeps_what_a_split_model_was(tmp_path: Path) -> None:
    text = "substanceOnly species A, B; A = 10; B = 0; R: A -> B; 2*A - B"
    data = simulate_ssa(Model.load(text, split=True), TIMES, trajectories=3, seed=5)
    assert repeat(load(save(data, tmp_path / "a.nc"))).identical(data)


def test_the_whole_story_is_in_the_attributes() -> None:
    attrs = made("ssa").attrs
    assert json.loads(attrs["roles"]) == {"input": "light", "output": "v", "weight": "w"}
    assert json.loads(attrs["start"]) == {"X": 2.0}
    assert (attrs["seed"], attrs["point"], attrs["trajectories"], attrs["engine"]) == (
        "5",
        4,
        12,
        "native",
    )
    assert attrs["engine_version"]
    assert attrs["chemlearn_version"]


def test_a_boundary_species_is_in_the_data() -> None:
    assert np.all(made("ode").S == 3)
    assert made("ode").S.attrs["role"] == "boundary"


def test_a_signal_of_many_knots_fits_into_a_file(tmp_path: Path) -> None:
    signal = Signal.sawtooth(0, 30, rise=0.1, fall=0.3, periods=100).staircase(50)
    data = simulate_ode(model(), TIMES[:2], signal=signal)
    assert len(data.attrs["signal"]) > 2**16  # where plain HDF5 attributes end
    assert load(save(data, tmp_path / "a.nc")).identical(data)


def test_an_existing_file_is_replaced(tmp_path: Path) -> None:
    path = save(made("ode"), tmp_path / "a.nc")
    data = simulate_ode(model(), TIMES)
    assert load(save(data, path)).identical(data)
    assert os.listdir(tmp_path) == ["a.nc"]


def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SimulationError, match=r"file: cannot write here \(.*\); choose another place"):
        save(made("ode"), tmp_path / "file" / "a.nc")
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a system call that refuses, for root may write anywhere."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(SimulationError, match=r"cannot write here \(Permission denied\)"):
        save(made("ode"), tmp_path / "a.nc")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_old_file(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = made("ode")
    path = save(data, tmp_path / "a.nc")

    def fail(self: xr.Dataset, target: str, **_: object) -> None:
        Path(target).write_bytes(b"half")
        raise error

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
    with pytest.raises((SimulationError, KeyboardInterrupt)) as caught:
        save(simulate_ode(model(), TIMES), path)
    if isinstance(error, OSError):
        assert caught.match("a.nc: writing failed .No space left on device.; nothing was replaced")
    assert os.listdir(tmp_path) == ["a.nc"]
    assert load(path).identical(data)


def test_data_that_do_not_say_how_they_were_made() -> None:
    with pytest.raises(SimulationError, match="no 'model_text' in their attributes"):
        repeat(xr.Dataset())


def test_a_file_that_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "a.nc").write_text("no data")
    with pytest.raises(
        SimulationError, match=r"a\.nc: this is no netCDF file .*; give one that chemlearn wrote"
    ):
        load(tmp_path / "a.nc")
    with pytest.raises(SimulationError, match=r"b\.nc: this file does not exist"):
        load(tmp_path / "b.nc")
