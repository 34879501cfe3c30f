"""chemlearn train: what it writes, says and refuses, and that it goes on after Ctrl-C."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import xarray as xr

from chemlearn.cli.shared import Usage
from chemlearn.cli.train import command
from chemlearn.errors import DataError
from chemlearn.learning import training as module
from chemlearn.learning.checkpoints import load_network
from chemlearn.learning.rules import Contrastive, Hebbian, Temporal


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


def settings(file: str) -> Any:
    return load_network(file).provenance["settings"]


def test_settings_of_network_and_rule_reach_training(run: Any) -> None:
    run(
        f"{TINY} --epochs 2 -o a --thresholds 2 --rates 0.5 --anneal-thresholds 0.25 --anneal-rates 0.1 "
        "--free-steps 30 --nudged-steps 6 --in-turn --float32 --from-zero"
    )
    found = settings("a/network.npz")
    plain = Temporal.falk2023()
    assert (found["dtype"], found["free_steps"], found["nudged_steps"]) == ("float32", 30, 6)
    assert (found["from_zero"], found["in_turn"]) == (True, True)
    assert load_network("a/network.npz").network.in_turn
    schedule = found["rule"]
    assert [schedule[name] for name in ("kind", "epochs", "rates", "thresholds")] == [
        "Annealed",
        2,
        0.1,
        0.25,
    ]
    assert schedule["rule"]["thresholds"] == {name: 2 * value for name, value in plain.thresholds.items()}
    assert schedule["rule"]["rates"] == {name: 0.5 * value for name, value in plain.rates.items()}
    run(f"{TINY} --epochs 1 -o b")
    found = settings("b/network.npz")
    assert (found["dtype"], found["free_steps"], found["nudged_steps"]) == ("float64", 20, 4)
    assert (found["from_zero"], found["in_turn"]) == (False, False)
    assert found["rule"]["kind"] == "Temporal"


def test_a_slower_fall_goes_on_the_grid_of_the_kernel(run: Any) -> None:
    run(f"{TINY} --epochs 1 -o a --fall 9.9")
    found = settings("a/network.npz")["rule"]
    sawtooth = {"rise": 0.1, "fall": 9.9, "samples": 1000}
    assert {name: found["sawtooth"][name] for name in sawtooth} == sawtooth
    assert found["thresholds"] == Temporal.falk2023().thresholds
    run(f"{TINY} --epochs 1 -o b --fall 0.9")
    run(f"{TINY} --epochs 1 -o c")
    slow, published, default = (load_network(f"{name}/network.npz").params["W1"] for name in "abc")
    np.testing.assert_allclose(published, default, rtol=0, atol=1e-12)
    assert np.abs(slow - default).max() > 1e-4


@pytest.mark.parametrize(("rule", "kind"), [("contrastive", Contrastive), ("hebbian", Hebbian)])
@pytest.mark.parametrize("sizes", ["784,10", "784,8,10", "784,8,8,8,10"])
def test_controls_are_as_strong_as_the_published_rule(rule: str, kind: Any, sizes: str, run: Any) -> None:
    run(f"{TINY.replace('784,8,10', sizes)} --epochs 1 --rule {rule} -o a")
    wanted = kind.like(Temporal.falk2023(layers=len(sizes.split(","))))
    assert settings("a/network.npz")["rule"] == {"kind": kind.__name__, "rates": wanted.rates}


def test_deeper_networks_learn_by_the_temporal_rule(run: Any) -> None:
    code, _, _ = run("--sizes 784,8,8,10 --train-size 60 --holdout 20 --seed 3 --epochs 1 -o a")
    assert code == 0
    assert settings("a/network.npz")["rule"]["thresholds"] == Temporal.falk2023(layers=4).thresholds
    assert "784–8–8–10" in run("--evaluate a/network.npz")[1]


def test_early_stop_keeps_the_best_network(run: Any) -> None:
    """A rate that grows spoils what was learned."""
    _, out, _ = run(f"{TINY} --epochs 12 --rates 2 --anneal-rates 50 --stop 2 -o a")
    curves = xr.load_dataset("a/curves.nc", engine="h5netcdf")
    least = int(curves.holdout_error.values.argmin())
    assert curves.sizes["epoch"] == least + 3 < 12
    assert f"of epoch {least + 1}\n" in out
    said = f"holdout error  {float(curves.holdout_error[least]):.2%}"
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
        ("--rule hebbian --symmetric", "--symmetric and --fall are about the sawtooth of the temporal rule"),
        ("--rule contrastive --fall 2", "--symmetric and --fall are about the sawtooth of the temporal rule"),
        ("--symmetric --fall 2", "leave out one"),
        ("--fall 0.905", "positive multiple of 0.01, the step of the kernel, got 0.905"),
        ("--fall 0", "positive multiple of 0.01, .* got 0.0"),
        ("--fall inf", "positive multiple of 0.01, .* got inf"),
        ("--rule contrastive --thresholds 2", "a Contrastive rule has no thresholds, got a factor of 2.0"),
        ("--rule hebbian --anneal-thresholds 2", "a Hebbian rule has no thresholds, got a factor of 2.0"),
        ("--rates 0", "rates and thresholds must be positive, got rates=0.0"),
        ("--anneal-rates -1", "rates and thresholds must be positive, got rates=-1.0"),
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
