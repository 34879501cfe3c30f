"""A sweep survives: interruption, kill -9, damaged files, a full disk; and it knows what it is."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

import chemlearn
from chemlearn.errors import SimulationError
from chemlearn.model import Model
from chemlearn.sweeps.lock import locked
from chemlearn.sweeps.pace import Progress
from chemlearn.sweeps.results import load_sweep
from chemlearn.sweeps.sweep import SweepInterrupted
from tests.sweeping import ROTOR, collected, quick, rotor, shards, tree


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep that nothing disturbed."""
    path = tmp_path_factory.mktemp("whole") / "o.zarr"
    quick(path)
    return path


# --- what is in it -----------------------------------------------------------------------------------------


def test_xarray_and_zarr_read_it(whole: Path, recwarn: pytest.WarningsRecorder) -> None:
    data = xr.open_zarr(whole)
    assert data["mean"].dims == ("c", "s")
    assert data.c.values.tolist() == [0.1, 0.3]
    assert data.trajectories.values.tolist() == [[24, 24]] * 2
    raw = xr.open_zarr(whole, group="raw")
    assert raw.result.dims == ("point", "column", "trajectory")
    assert raw.s.values.tolist() == [1.0, 2.0] * 2
    means = raw.result.sel(column="mean").values
    assert data["mean"].values.ravel() == pytest.approx(means.mean(axis=1), rel=1e-15)
    assert zarr.open_group(whole, mode="r")["raw/result"].nchunks_initialized == 12
    assert not recwarn.list


def test_it_is_what_the_call_returned(whole: Path, tmp_path: Path) -> None:
    assert load_sweep(whole).identical(quick())  # without a file
    assert load_sweep(whole).identical(quick(whole))  # with nothing left to do
    assert load_sweep(whole).attrs["complete"] == 1


def test_nothing_depends_on_workers_or_shards(whole: Path, tmp_path: Path) -> None:
    quick(tmp_path / "w.zarr", workers=3)
    assert tree(tmp_path / "w.zarr") == tree(whole)
    one = quick(tmp_path / "s.zarr", shard_size=24)
    assert one.identical(load_sweep(whole))
    assert len(shards(tmp_path / "s.zarr")) == 4


def test_a_drawn_seed_is_recorded_and_kept(tmp_path: Path) -> None:
    first = quick(tmp_path / "o.zarr", seed=None, over={"s": [2.0]})
    assert int(first.attrs["seed"]) > 2**64
    assert quick(tmp_path / "o.zarr", seed=None, over={"s": [2.0]}).identical(first)


# --- interruption ------------------------------------------------------------------------------------------


def stopped(path: Path, after: int, **changes: Any) -> xr.Dataset:
    """Interrupt a sweep after some shards; what it kept."""
    stopping = threading.Event()

    def watch(progress: Progress) -> None:
        if len(shards(path)) >= after:
            stopping.set()

    with pytest.raises(SweepInterrupted, match=r"shards are done and kept in .*; the same call") as end:
        quick(path, stopping=stopping, progress=watch, **changes)
    return end.value.done


def test_an_interrupted_sweep_goes_on_and_ends_the_same(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chemlearn.sweeps.runner._SHOW", 0.0)
    path = tmp_path / "o.zarr"
    for after in (1, 7):
        done = stopped(path, after)
        complete = done.trajectories.values == 24
        assert 0 < done.trajectories.values.sum() < 4 * 24
        assert np.array_equal(np.isfinite(done["mean"].values), complete)
        assert done.attrs["complete"] == 0
        exact = load_sweep(whole)["mean"].values
        assert np.array_equal(done["mean"].values[complete], exact[complete])
    assert quick(path).identical(load_sweep(whole))
    assert tree(path) == tree(whole)


WORDS = "--over c=0.1,0.3 --over s=1,2 --trajectories 400 --measure mean --memory 60 --seed 7"


def command(path: Path, model: Path) -> subprocess.Popen:
    """The same sweep on the command line, in a process of its own."""
    root = Path(chemlearn.__file__).parents[1]
    words = ["sweep", str(model), *WORDS.split(), "--shard-size", "10", "-o", str(path)]
    return subprocess.Popen(
        [sys.executable, "-m", "chemlearn", *words], env={**os.environ, "PYTHONPATH": str(root)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_killed_at_any_moment_it_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    """Real kill -9, three times at random moments; whole shards stay, and at most one a worker is redone."""
    model, path, wait = tmp_path / "rotor.ant", tmp_path / "o.zarr", random.Random(4)
    model.write_text(ROTOR)
    written: dict[Path, int] = {}
    for kill in range(3):
        process = command(path, model)
        while len(shards(path)) < 45 * kill + 1:
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        time.sleep(wait.uniform(0.0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        now = {file: file.stat().st_mtime_ns for file in shards(path)}
        assert written.items() <= now.items()  # what was whole was not simulated again
        written = now
    assert len(written) < 160
    _, err = command(path, model).communicate()
    assert "160 of 160 shards" in err, err
    assert written.items() <= {file: file.stat().st_mtime_ns for file in shards(path)}.items()
    quick(tmp_path / "whole.zarr", model=Model.load(model), trajectories=400, memory=60.0, shard_size=10)
    assert tree(path) == tree(tmp_path / "whole.zarr")


def test_a_store_appears_whole(tmp_path: Path) -> None:
    """What one who was killed while making a store left behind is no store, and in nobody's way."""
    (tmp_path / "o.zarr.new" / "raw").mkdir(parents=True)
    (tmp_path / "o.zarr.new" / "raw" / "zarr.json").write_text("{")
    quick(tmp_path / "o.zarr", over={"s": [2.0]})
    assert [p.name for p in tmp_path.iterdir()] == ["o.zarr"]


# --- damage ------------------------------------------------------------------------------------------------


def _flipped(content: bytes) -> bytes:
    return content[:40] + bytes([content[40] ^ 1]) + content[41:]


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (_flipped, "the checksum is not that of its content"),
        (lambda content: content[:33], "33 bytes long where 68 were written"),
        (lambda content: b"", "0 bytes long where 68 were written"),
    ],
)
@pytest.mark.parametrize("chunk", ["result/c/3/0/1", "plan/c/2/0"])
def test_a_damaged_file_is_named_and_made_again(
    whole: Path, tmp_path: Path, spoil: Any, what: str, chunk: str
) -> None:
    path, (notices, notice) = tmp_path / "o.zarr", collected()
    shutil.copytree(whole, path)
    file = path / "raw" / chunk
    file.write_bytes(spoil(file.read_bytes()))
    quick(path, notice=notice)
    if "plan" in chunk:
        what = what.replace("68", "4100")
    assert notices == [f"{file}: damaged: {what}; it is made again"]
    assert tree(path) == tree(whole)


def test_zarr_finds_the_damage_too(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "o.zarr")
    file = shards(tmp_path / "o.zarr")[0]
    file.write_bytes(_flipped(file.read_bytes()))
    with pytest.raises(ValueError, match="checksum"):
        xr.open_zarr(tmp_path / "o.zarr", group="raw").load()


def test_damaged_results_are_written_anew(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "o.zarr"
    shutil.copytree(whole, path)
    shutil.rmtree(path / "mean")
    (path / "zarr.json").write_text("{}")
    with pytest.raises(SimulationError, match=r"the results are damaged .* run the command"):
        load_sweep(path)
    quick(path)
    assert tree(path) == tree(whole)


def test_a_damaged_manifest_is_refused(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "o.zarr"
    shutil.copytree(whole, path)
    (path / "raw" / "zarr.json").write_text('{"attributes": {}}')
    before = tree(path)
    with pytest.raises(SimulationError, match=r"raw/zarr\.json: damaged .*nobody knows what was swept"):
        quick(path)
    assert tree(path) == before


def test_a_full_disk_is_named_and_leaves_nothing_half_written(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, left = tmp_path / "o.zarr", [42]

    def full(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("chemlearn.sweeps.chunks.os.fsync", full)
    with pytest.raises(SimulationError, match=r"o\.zarr/.*: writing failed \(No space left") as end:
        quick(path)
    assert "everything written before is whole" in str(end.value)
    monkeypatch.undo()
    kept = len(shards(path))
    assert 0 < kept < 12
    assert not list(path.rglob("*.part"))
    assert all(file.stat().st_size == 68 for file in shards(path))
    quick(path)
    assert tree(path) == tree(whole)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SimulationError, match=r"cannot write here .*choose another place"):
        quick(tmp_path / "file" / "o.zarr")


# --- another sweep -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"trajectories": 25}, "trajectories is 24 there and 25 here"),
        ({"seed": 8}, "seed is 7 there and 8 here"),
        ({"shard_size": 12}, "shard size is 8 there and 12 here"),
        ({"measures": ["mean", "variance"]}, "the measures are mean there and mean, variance here"),
        ({"memory": 0.6}, "memory is 0.5 there and 0.6 here"),
        ({"before": 1.5}, "before is 0 there and 1.5 here"),
        ({"rise": 3.0}, "rise is not set there and 3 here"),
        ({"engine": "roadrunner"}, "engine is native there and roadrunner here; engine version is"),
        ({"over": {"c": [0.1, 0.3], "s": [1.0, 2.5]}}, "value 2 of s is 2 there and 2.5 here"),
        ({"over": {"c": [0.1], "s": [1.0, 2.0]}}, "c takes 2 values there and 1 here"),
        ({"over": {"s": [1.0, 2.0], "c": [0.1, 0.3]}}, "the swept names are c, s there and s, c here"),
        ({"model": rotor().with_values(N=30)}, "N is not set there and 30 here"),
        ({"model": replace(rotor(), output="A")}, "the model's output is u there and A here"),
        (
            {"model": Model.load(ROTOR.replace("0.5*B", "0.6*B"))},
            "line 7 of the model is 'ba: B => A; 0.5*B' there and 'ba: B => A; 0.6*B' here",
        ),
    ],
)
def test_a_changed_sweep_is_refused_and_the_change_named(whole: Path, changes: Any, difference: str) -> None:
    before = tree(whole)
    with pytest.raises(SimulationError) as end:
        quick(whole, **changes)
    assert f"another sweep is there: {difference}" in str(end.value)
    assert str(end.value).endswith("; give another output, or remove that folder")
    assert tree(whole) == before


def test_another_version_is_refused(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chemlearn.sweeps.manifest.version", lambda name: "9.9")
    with pytest.raises(SimulationError, match=r"chemlearn is [\d.]+ there and 9\.9 here"):
        quick(whole)


def test_what_is_no_sweep_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    with pytest.raises(SimulationError, match="mine: this is no sweep; give a folder"):
        quick(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "precious"
    with pytest.raises(SimulationError, match="this does not exist"):
        load_sweep(tmp_path / "nothing")


def test_only_one_process_writes(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "o.zarr"
    with locked(path), pytest.raises(SimulationError, match=rf"process {os.getpid()} on .* is writing"):
        quick(path)
    (tmp_path / "o.zarr.lock").write_text("of one who was killed")
    quick(path)
    assert [p.name for p in tmp_path.iterdir()] == ["o.zarr"]


# --- failures ----------------------------------------------------------------------------------------------

GROWS = {"c": [0.1], "N": [10, 20, 20000]}  # the last fires a thousand times as often


def test_a_failed_point_has_a_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "o.zarr"
    failed = quick(path, over=GROWS, most_firings=3000)
    assert failed.trajectories.values.tolist() == [[24, 24, 0]]
    assert all("3000" in reason for reason in failed.failed.values[:, 2])
    assert (failed.failed.values[:, :2] == "").all()
    assert np.isnan(failed["mean"].values[:, 2]).all()
    assert failed.attrs["complete"] == 1
    again = quick(path, over=GROWS, most_firings=3000)  # not tried again
    assert again.identical(failed)
    mended = quick(path, over=GROWS, retry_failed=True)
    assert np.isfinite(mended["mean"].values).all()
    quick(tmp_path / "never.zarr", over=GROWS)
    assert tree(path) == tree(tmp_path / "never.zarr")


def test_a_trajectory_that_takes_too_long_fails_its_point(tmp_path: Path) -> None:
    data = quick(over={"N": [20, 10**7]}, timeout=0.05, memory=5.0)
    assert data.failed.values[0] == ""
    assert "0.05" in data.failed.values[1]


def test_a_point_without_a_steady_state_fails_alone() -> None:
    model = Model.load("model m\n s = 1; k = 1; u = 0\n => u; s\n u => ; k*u\nend\n")
    data = quick(model=model, over={"k": [0.0, 1.0]}, memory=None)
    assert "no steady state" in data.failed.values[0] or "grows" in data.failed.values[0]
    assert np.isfinite(data["mean"].values[1])
