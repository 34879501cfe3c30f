"""chemlearn train: what it writes, says and refuses, and that it goes on after Ctrl-C."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import typer
import xarray as xr

from chemlearn.cli.shared import Usage
from chemlearn.cli.train import command
from chemlearn.errors import DataError
from chemlearn.learning import training as module


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """The command in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.command()(command)

    def call(words: str) -> tuple[int, str, str]:
        try:
            app(f"mnist {words}".split(), standalone_mode=False)
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return call


TINY = "--sizes 784,8,10 --train-size 60 --holdout 20 --seed 3"


def test_the_command_trains_goes_on_and_evaluates(run: Any) -> None:
    code, out, err = run(f"{TINY} --epochs 1 -o a")
    assert code == 0
    assert "epoch 1 of 1: train error " in err
    assert sorted(file.name for file in Path("a").iterdir()) == [
        "checkpoint.npz",
        "curves.nc",
        "curves.png",
        "network.npz",
    ]
    run(f"{TINY} --epochs 3 -o a --resume")
    code, out, _ = run(f"{TINY} --epochs 3 -o b")
    assert Path("a/network.npz").read_bytes() == Path("b/network.npz").read_bytes()
    curves = xr.load_dataset("a/curves.nc", engine="h5netcdf")
    assert curves.identical(xr.load_dataset("b/curves.nc", engine="h5netcdf"))
    assert Path("a/curves.png").read_bytes().startswith(b"\x89PNG")
    said = f"holdout error  {float(curves.holdout_error[-1]):.2%}"
    assert said in out
    assert f"{said} of 20" in run("--evaluate a/network.npz")[1]


def test_the_command_keeps_what_ctrl_c_interrupts(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    learn = module._Term._learn

    def pressed(*given: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        learn(*given)

    with monkeypatch.context() as patch:
        patch.setattr(module._Term, "_learn", pressed)
        code, _, err = run(f"{TINY} --epochs 2 -o a")
    assert code == 130
    assert "interrupted in epoch 1; the last state is kept" in err
    assert err.endswith("run the same command with --resume to go on\n")
    run(f"{TINY} --epochs 2 -o a --resume")
    run(f"{TINY} --epochs 2 -o b")
    assert Path("a/network.npz").read_bytes() == Path("b/network.npz").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--rule hopfield", "--rule takes one of temporal, contrastive, hebbian, got 'hopfield'"),
        ("--rule hebbian --symmetric", "--symmetric is about the sawtooth of the temporal rule"),
        ("--sizes 784,500,500,10", "thresholds of the temporal rule are for three layers, got 4"),
        ("--sizes 700,10", "784 first and 10 last, .* got '700,10'"),
        ("--train-size 20000", "are more than the 12000"),
        ("--resume -o nowhere", "nowhere/checkpoint.npz: cannot be read"),
        ("--evaluate nothing.npz", "nothing.npz: cannot be read"),
    ],
)
def test_the_command_refuses_in_one_sentence(words: str, message: str, run: Any) -> None:
    with pytest.raises((Usage, DataError), match=message):
        run(words)
    assert not list(Path().iterdir())


def test_without_held_out_digits_nothing_is_said_of_them(run: Any) -> None:
    code, out, err = run("--sizes 784,8,10 --train-size 60 --holdout 0 --epochs 1 -o a")
    assert code == 0
    assert "train error" in out
    assert "holdout" not in out + err
