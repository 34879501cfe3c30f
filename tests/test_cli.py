"""The command line: what it prints, and one clear sentence with exit code 2 for every bad input."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from chemlearn import cli, plot
from chemlearn.model import Model
from chemlearn.simulate import load, simulate_ssa

Run = Callable[..., tuple[int, str, str]]

PAIR = """model pair
  s = 2; a = 40; b = 40
  u := a - b
  => a; 80*s
  a => ; 4*a
  => b; 20*s
  b => ; b
end
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        plot, "FIGURES", {"kernel": plot.kernel}
    )  # drawing takes most of the time of a report

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["chemlearn", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


# --- what goes well ----------------------------------------------------------------------------------------


def test_assess_ends_with_verdict_and_report(run: Run) -> None:
    code, out, err = run("assess", "maxwell", "--seed", "1")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "maxwell (models/maxwell.ant)"
    assert "contrastive" in lines
    assert lines[-1] == "report: reports/maxwell/maxwell.html"
    assert Path("reports/maxwell/maxwell.html").exists()
    assert re.search(r"^stochastic +none: deterministic only", out, re.M)
    assert err.splitlines()[0] == "kernel"
    assert "update curve: rate equations: 20 of 20" in err
    assert "\x1b" not in out + err
    assert "\r" not in err


def test_rows_are_whole_lines_where_nobody_watches(run: Run) -> None:
    _, out, _ = run("kernel", "ladder")
    assert re.search(r"^rates +([\d.e+-]+, ){8}[\d.e+-]+$", out, re.M)
    assert not any(line.endswith(" ") for line in out.splitlines())


def test_models_lists_what_is_shipped(run: Run) -> None:
    code, out, _ = run("models")
    assert code == 0
    names = [line.split()[0] for line in out.splitlines()]
    assert {"linker", "ladder", "maxwell", "leaky", "integral_feedback"} <= set(names)


def test_check_says_what_a_model_is_ready_for(run: Run) -> None:
    code, out, _ = run("check", "linker")
    assert code == 0
    assert "ready for a stochastic run" in out
    code, out, _ = run("check", "maxwell")
    assert code == 2
    assert "rate rule" in out
    assert "errors for a stochastic run" in out
    code, out, _ = run("check", "maxwell", "--deterministic")
    assert code == 0
    assert "ready for a deterministic run" in out


def test_simulate_writes_what_the_library_computes(run: Run) -> None:
    code, out, _ = run(
        "simulate", "leaky", "--until", "2", "--points", "5", "--trajectories", "3", "--seed", "8",
        "--set", "size=10", "--signal", "step:2,3,1", "-o", "x/l.nc",
    )  # fmt: skip
    assert code == 0
    assert "data: x/l.nc" in out
    data = load("x/l.nc")
    from chemlearn.signal import Signal

    again = simulate_ssa(
        Model.load("leaky").with_values(size=10), np.linspace(0, 2, 5), signal=Signal.step(2.0, 3.0, at=1.0),
        trajectories=3, seed=8,
    )  # fmt: skip
    assert np.array_equal(data.u.values, again.u.values)
    assert "mean, sd over trajectories" in out


@pytest.mark.parametrize("signal_text", ["constant:3", "sawtooth:1,3,1,4", "square:1,3,2,2", "table:t.csv"])
def test_signals_in_their_short_form(run: Run, signal_text: str) -> None:
    Path("t.csv").write_text("0,1\n1,3\n5,3\n")
    code, _, err = run(
        "simulate", "leaky", "--until", "4", "--points", "9", "--signal", signal_text, "-o", "o.nc"
    )
    assert code == 0, err
    level = load("o.nc").s.values
    assert level.max() == pytest.approx(3.0)


def test_simulate_keeps_what_is_asked_for(run: Run) -> None:
    common = ["simulate", "leaky", "--until", "2", "--points", "3", "--trajectories", "40", "--seed", "1"]
    code, out, err = run(*common, "--reduce", "mean, quantiles", "-o", "kept.nc")
    assert code == 0, err
    kept = load("kept.nc")
    assert kept.u_mean.dims == ("time",)
    assert float(_row(out, "u_mean")) == pytest.approx(float(kept.u_mean[-1]), rel=1e-5)
    code, out, err = run(*common, "--paths", "-o", "paths.nc")
    assert code == 0, err
    paths = load("paths.nc")
    last = [float(paths.u[paths.trajectory == k][-1]) for k in range(40)]
    assert np.mean(last) == pytest.approx(float(kept.u_mean[-1]))  # the same trajectories
    assert out.startswith(f"{paths.sizes['jump'] - 40} firings of 40 trajectories")


def test_kernel_file_holds_the_kernel(run: Run) -> None:
    code, out, _ = run("kernel", "maxwell", "-o", "k.nc")
    assert code == 0
    data = load("k.nc")
    assert data.kernel.values == pytest.approx(-np.exp(-data.lag.values))
    assert data.step_response.values == pytest.approx(np.exp(-data.lag.values), abs=1e-9)
    assert re.search(r"^K\(0\) +-1 and 1 δ\(t\)$", out, re.M)


def _row(out: str, label: str) -> str:
    (text,) = re.findall(rf"^{re.escape(label)} +(.*)$", out, re.M)
    return str(text)


def test_kernel_of_the_ladder_agrees_with_the_reference(run: Run, shared: Path) -> None:
    """u counts the bottom rail of N = 100, per unit of the step of 200: signs and scales by hand."""
    rows = json.loads((shared / "reference" / "synapse.json").read_text())["ladder"]
    (row,) = [r["exact"] for r in rows if (r["F"], r["s"], r["gamma"]) == (25, 200, "1e-2")]
    code, out, _ = run("kernel", "ladder", "--set", "gamma=0.01", "--step", "0,200")
    assert code == 0
    scale = -200 / 100
    assert float(_row(out, "K(0)")) * scale == pytest.approx(float(row["kernel0"]), rel=1e-6)
    area = float(row["topinf"]) - float(row["top0"])
    assert float(_row(out, "area I")) * scale == pytest.approx(area, rel=1e-6)
    moment = float(row["m1_inf_orig"])
    assert float(_row(out, "first moment M₁")) * scale == pytest.approx(moment, rel=1e-6)
    each = re.search(r"\(([\d.]+) per molecule\)", out)
    assert each
    assert float(each[1]) == pytest.approx(float(row["diss_s"]), rel=2e-6)
    assert _row(out, "lobes").startswith("2: ")


def test_ladder_in_balance_has_one_lobe_and_costs_nothing(run: Run) -> None:
    code, out, _ = run("kernel", "ladder", "--set", "gamma=1", "--step", "0,200")
    assert code == 0
    assert _row(out, "lobes").startswith("1: ")
    assert "zero to rounding" in _row(out, "dissipation")


# --- bad input ---------------------------------------------------------------------------------------------

HEAD = "model m\n  s = 1; k = 1\n"
MODELS = {
    "syntax": HEAD + "  => u; k*;\nend\n",
    "no_input": "model m\n  x = 1; u = 0\n  => u; x\n  u => ; u\nend\n",
    "no_output": HEAD + "  v = 0\n  => v; k*s\n  v => ; v\nend\n",
    "no_steady_state": HEAD + "  u = 0\n  => u; k*s\nend\n",
    "blows_up": HEAD + "  u = 2\n  => u; k*s*u^2\n  u => ; u\nend\n",
}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "assess nowhere.ant",
            "nowhere.ant: this file does not exist; give a file, or one of the shipped models",
        ),
        ("assess syntax.ant", r"syntax\.ant:3: .*correct this line"),
        ("assess no_input.ant", "has no constant 's' to be its input"),
        ("assess no_output.ant", "has no variable 'u' to be its output"),
        ("assess no_steady_state.ant", "grows without bound"),
        ("assess blows_up.ant", "the rate equations blow up at s=1: 'u' grows without bound"),
        ("assess linker --set gama=1", "no parameter or species named 'gama'; 'linker' has .*k_on"),
        ("assess linker --set k_on=fast", "--set takes NAME=VALUE with a number.*got 'k_on=fast'"),
        ("assess linker --set k_on", "--set takes NAME=VALUE"),
        ("assess linker --set k_on=nan", "'k_on' must be a finite number"),
        ("assess linker --rise -1", "rise must be positive, got -1"),
        ("assess linker --fall 0", "fall must be positive, got 0"),
        ("assess linker --rise soon", "Invalid value for '--rise'"),
        ("assess linker --rule best", "no rule named 'best'; there are down_ramp, geometric"),
        (
            "assess linker --engine copasi",
            "no engine named 'copasi'; there are native, roadrunner, gillespy2",
        ),
        ("assess linker --seed -1", "Invalid value for '--seed'"),
        ("assess linker --workers 0", "Invalid value for '--workers'"),
        ("assess linker --trajectories 1", "trajectories must be 0 or at least 2"),
        ("assess leaky --amplitude 9", "cannot be negative; use amplitudes up to 4, twice the mean"),
        ("assess linker --input S", "has no constant 'S' to be its input"),
        ("assess maxwell -o file/below/deep", "nothing can be written here .*choose another folder with -o"),
        ("simulate leaky --until 0", "--until must be positive and --points at least 2, got 0 and 501"),
        ("simulate leaky --until -5", "--until must be positive"),
        ("simulate leaky --points 1", "--points at least 2"),
        ("simulate leaky --trajectories -1", "--trajectories must be 0 or more"),
        ("simulate leaky --trajectories 2 --seed -1", "Invalid value for '--seed'"),
        ("simulate leaky --trajectories 2 --engine copasi", "--engine one of native, roadrunner, gillespy2"),
        ("simulate leaky --paths", "are for stochastic runs: say how many --trajectories"),
        ("simulate leaky --trajectories 2 --paths --reduce mean", "leave --reduce and --engine out"),
        ("simulate leaky --trajectories 2 --reduce median", "no reduction named 'median'; there are mean"),
        ("simulate leaky --trajectories 2 --engine tau --until 1", "leaps bring no gain: a step fires"),
        ("simulate leaky --signal wave:1,2", "--signal knows constant, step, sawtooth, square and table"),
        ("simulate leaky --signal step:1,2", "step: takes BEFORE,AFTER,AT as numbers, got '1,2'"),
        ("simulate leaky --signal sawtooth:1,2,1,0", "rise and fall must be positive"),
        ("simulate leaky --signal table:none.csv", "none.csv"),
        ("simulate leaky --signal step:1,2,1 --staircase 0", "steps must be a whole number of at least 1"),
        ("simulate leaky --trajectories 2 --until 1 --signal step:1,-2,0.5", "negative"),
        ("simulate blows_up.ant --until 10", "could not be solved beyond t=0.69"),
        ("simulate maxwell --trajectories 2", "rate rule"),
        ("simulate leaky --until 1 -o file/x.nc", "cannot write here"),
        ("kernel leaky --step 1", "--step takes BEFORE,AFTER as numbers, got '1'"),
        ("kernel leaky --step 1,1", "--step needs two different levels"),
        ("kernel leaky --step=-1,1", "cannot be negative"),
        ("check nowhere.xml", "does not exist"),
        ("guess linker", "No such command 'guess'"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(run: Run, words: str, message: str) -> None:
    for name, text in MODELS.items():
        Path(f"{name}.ant").write_text(text)
    Path("file").write_text("")
    before = sorted(Path().rglob("*"))
    code, out, err = run(*words.split())
    assert code == 2
    assert "Traceback" not in err
    assert "report:" not in out
    said = " ".join(err.split())
    assert re.search(message, said), said
    if "Invalid value" not in message and "No such command" not in message:
        sentences = [line for line in err.splitlines() if line.startswith("chemlearn: ")]
        assert len(sentences) == 1
        assert err.splitlines()[-1] == sentences[0]
    assert sorted(Path().rglob("*")) == before


def test_swings_the_wrong_way_are_allowed_and_explained(run: Run) -> None:
    code, out, _ = run("assess", "maxwell", "--rise", "100", "--fall", "10", "--seed", "1")
    assert code == 0
    assert "not contrastive" in out.splitlines()
    assert "- the swing to clamped is 10 times as slow as the one back" in out
    assert "make the rise shorter than the fall" in out


def test_a_bug_keeps_its_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **how: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("chemlearn.assessment.assess", broken)
    monkeypatch.setattr(sys, "argv", ["chemlearn", "assess", "maxwell"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


# --- Ctrl-C ------------------------------------------------------------------------------------------------


def interrupted(folder: Path, words: list[str], when: str) -> tuple[int, str, str]:
    """Run in a process of its own and interrupt it once a line of stderr matches."""
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-m", "chemlearn", *words], cwd=folder, env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    said = ""
    assert process.stderr
    for line in process.stderr:
        said += line
        if re.search(when, line):
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            break
    out, rest = process.communicate(timeout=60)
    return process.returncode, out, said + rest


def test_interrupted_simulation_keeps_what_is_done(tmp_path: Path) -> None:
    words = ["simulate", "leaky", "--trajectories", "640", "--seed", "1", "--until", "200", "-o", "l.nc"]
    words += ["--engine", "roadrunner"]  # slow enough to be interrupted
    code, out, err = interrupted(tmp_path, words, r"trajectories: \d+ of 640")
    assert code == 130
    assert "Traceback" not in err
    said = re.search(r"chemlearn: interrupted: (\d+) of 640 trajectories are done and kept", err)
    assert said
    assert xr.load_dataset(tmp_path / "l.nc").sizes["trajectory"] == int(said[1]) > 0
    assert "data: l.nc" in out
    assert [f.name for f in tmp_path.iterdir()] == ["l.nc"]


def test_interrupted_ensemble_of_an_assessment_is_reported(tmp_path: Path) -> None:
    (tmp_path / "pair.ant").write_text(PAIR)
    words = [
        "assess",
        "pair.ant",
        "--trajectories",
        "160",
        "--seed",
        "1",
        "-o",
        "out",
        "--rise",
        "5",
        "--fall",
        "30",
        "--engine",
        "roadrunner",  # slow enough to be interrupted
    ]
    code, out, err = interrupted(tmp_path, words, r"stochastic ensemble: 3\d\d of 640")
    assert code == 130
    assert "Traceback" not in err
    kept = "interrupted: [12] of 4 amplitudes were finished and are kept"
    assert re.search(f"{kept}; the report says so", err)
    assert out.splitlines()[-1] == "report: out/pair.html"
    assert re.search(kept, (tmp_path / "out" / "pair.html").read_text(encoding="utf-8"))


def test_interrupt_before_the_ensemble_writes_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*args: object, **how: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("chemlearn.assessment.deterministic_curve", stopped)
    code, out, err = run("assess", "maxwell")
    assert code == 130
    assert err.splitlines()[-1] == "chemlearn: interrupted; nothing was written"
    assert out == ""
    assert list(Path().iterdir()) == []
