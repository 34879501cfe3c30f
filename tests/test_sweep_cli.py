"""chemlearn sweep and merge: what they print, exit codes, and one sentence for every bad input."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from chemlearn import cli
from chemlearn.cli.sweep import MEASURES as IN_HELP
from chemlearn.model import Model
from chemlearn.sweeps.measures import MEASURES
from chemlearn.sweeps.results import load_sweep
from tests.sweeping import ROTOR, quick, shards, tree

Run = Callable[[str], tuple[int, str, str]]
GRID = "--over c=0.1,0.3 --over s=1,2"
QUICK = f"{GRID} --trajectories 24 --shard-size 8 --measure mean --memory 0.5 --workers 1"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in a folder with a model: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    Path("rotor.ant").write_text(ROTOR)

    def call(words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["chemlearn", *words.split()])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


def test_a_sweep_ends_with_a_table_and_where_the_data_are(run: Run) -> None:
    code, out, err = run(f"sweep rotor.ant {QUICK} --seed 7 -o out.zarr")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "rotor"
    assert re.match(r"points +4 \(c 2 × s 2\), 4 complete, 0 failed$", lines[1])
    assert re.match(r"trajectories +96, 24 at each point$", lines[2])
    assert re.search(r"^mean +[\d.]+ to [\d.]+, standard error .* errors of the rate equations$", out, re.M)
    assert re.search(r"^c=0\.3, s=2 +mean [\d.]+ ± [\d.]+ \(4\.37\d*\)$", out, re.M)
    assert lines[-1] == "data: out.zarr"
    assert "12 of 12 shards" in err.splitlines()[-1]
    assert "time left not known yet" in err.splitlines()[0]
    assert "\x1b" not in out + err
    quick(Path("python.zarr"), model=Model.load("rotor.ant"))
    assert tree(Path("out.zarr")) == tree(Path("python.zarr"))


def test_the_same_command_finds_nothing_left(run: Run) -> None:
    run(f"sweep rotor.ant {QUICK} -o out.zarr")
    before = tree(Path("out.zarr"))
    code, out, err = run(f"sweep rotor.ant {QUICK} -o out.zarr")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "data: out.zarr"
    assert tree(Path("out.zarr")) == before


def test_failed_points_are_listed_and_the_exit_code_is_3(run: Run) -> None:
    words = "sweep rotor.ant --over N=10,20000 --trajectories 8 --measure mean --memory 0.5 -o out.zarr"
    code, out, _ = run(f"{words} --most-firings 3000")
    assert code == 3
    assert re.search(r"^failed: N=20000: .*3000", out, re.M)
    assert re.search(r"^points +2 \(N 2\), 1 complete, 1 failed$", out, re.M)
    assert run(f"{words} --most-firings 3000")[0] == 3
    code, out, _ = run(f"{words} --retry-failed")
    assert code == 0
    assert "failed:" not in out


def test_parts_are_merged(run: Run) -> None:
    words = f"sweep rotor.ant {QUICK} --seed 7"
    for part in ("1/2", "2/2"):
        code, out, _ = run(f"{words} -o out.zarr --shard {part}")
        assert code == 0
        then = "chemlearn merge out.zarr out.shard-*-of-2.zarr"
        assert out.splitlines()[0] == f"part {part} is done; when all are: {then}"
    code, out, _ = run("merge out.zarr out.shard-1-of-2.zarr out.shard-2-of-2.zarr")
    assert code == 0
    assert out.splitlines()[-1] == "data: out.zarr"
    assert run(f"{words} -o whole.zarr")[0] == 0
    assert tree(Path("out.zarr")) == tree(Path("whole.zarr"))
    code, _, err = run("merge more.zarr out.shard-1-of-2.zarr")
    assert code == 2
    assert err == "chemlearn: of the 2 parts 2 is missing; name all of them, or run those first\n"


def test_what_was_damaged_is_said(run: Run) -> None:
    run(f"sweep rotor.ant {QUICK} --seed 7 -o out.zarr")
    file = shards(Path("out.zarr"))[2]
    file.write_bytes(b"")
    code, _, err = run(f"sweep rotor.ant {QUICK} -o out.zarr")
    assert code == 0
    damage = "damaged: 0 bytes long where 68 were written; it is made again"
    assert err.splitlines()[0] == f"chemlearn: {file}: {damage}"
    assert np.isfinite(load_sweep("out.zarr")["mean"].values).all()


def test_what_cannot_be_estimated_is_said_before_it_starts(run: Run) -> None:
    words = "--over s=1,2 --trajectories 4 --measure dissipation,mean --memory 0.1 --seed 1"
    code, out, err = run(f"sweep linker {words}")
    assert code == 0
    assert err.splitlines()[0].startswith("chemlearn: dissipation is infinite at s=1 and will be so wherever")
    assert re.search(r"^dissipation +infinite$", out, re.M)
    assert out.splitlines()[-1] == "data: linker.zarr"


def test_help_names_every_measure() -> None:
    assert ", ".join(MEASURES) == IN_HELP


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--over gamma", "--over 'gamma' has no '='; write NAME=VALUES"),
        ("--over c=logspace(0,1)", "--over 'c=logspace(0,1)', character 3: logspace takes two exponents"),
        ("--over c=1 --over c=2", "--over 'c' is swept twice"),
        ("--over gama=1", "no parameter or species named 'gama'; 'rotor' has"),
        ("--over c=1 --set c=2", "'c' is set by --set and swept by --over; leave one of them out"),
        ("--over c=1 --measure heat", "no measure named 'heat'; there are mean, variance"),
        ("--over c=1 --measure mean,", "no measure named ''"),
        ("--over c=1 --trajectories 1", "trajectories must be at least 2, for an error bar, got 1"),
        ("--over c=1 --memory -1", "memory must be positive, got -1"),
        ("--over c=1 --timeout 0", "timeout must be positive, got 0"),
        ("--over c=1 --engine copasi", "no engine named 'copasi'; there are native"),
        ("--over c=1 --engine roadrunner --most-firings 9", "the engine 'roadrunner' does not count firings"),
        ("--over c=1 --shard 3/2 --seed 1", "a part is i/n with i from 1 to n, got 3/2"),
        ("--over c=1 --shard 1/2", "the parts of a sweep need one seed; give the same to all of them"),
        ("--over c=1 --workers 0", "Invalid value for '--workers'"),
        ("--over c=1 -o rotor.ant", "rotor.ant: this is no sweep"),
        ("--over c=1 -o rotor.ant/out", "cannot write here"),
        ("", "Missing option '--over'"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(run: Run, words: str, message: str) -> None:
    code, out, err = run(f"sweep rotor.ant {words}")
    assert code == 2
    assert out == ""
    assert message in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err
    assert [p.name for p in Path().iterdir()] == ["rotor.ant"]
