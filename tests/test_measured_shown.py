"""The picture of a measured kernel, and the command that measures one."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chemlearn import cli
from chemlearn.measured import measured_kernel
from chemlearn.plot_measured import plot_measured_kernel
from chemlearn.simulate import load
from tests.test_measured import KERNEL, PAIR, SIZE


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("duration", [None, 200.0], ids=["linear axis", "logarithmic axis"])
def test_the_picture_shows_bands_and_response(duration: float | None) -> None:
    found = measured_kernel(PAIR, SIZE, trajectories=40, seed=1, duration=duration)
    figure = plot_measured_kernel(found, KERNEL)
    figure.canvas.draw()
    above, below = figure.axes
    (line,) = [artist for artist in above.lines if artist.get_label() == "measured"]
    x, y = np.asarray(line.get_xydata()).T
    shown = found.data.kernel.sel(lag=x).values
    assert np.allclose(y, shown if duration is None else x * shown)
    assert above.get_xscale() == ("linear" if duration is None else "log")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"95 %, all lags together", "95 %, each lag by itself", "rate equations"} <= set(labels)
    assert all(ax.get_ylabel() for ax in figure.axes)
    assert below.get_xlabel()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0) > -0.02
    assert box.x1 < width + 0.02
    assert box.y1 < height + 0.02


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """The command line in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["chemlearn", *words.split()])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0), *capsys.readouterr()

    return call


def test_the_command_writes_numbers_data_and_picture(run: Any) -> None:
    code, out, err = run("kernel leaky --measured --trajectories 60 --seed 1 -o k.nc --plot pictures/k.png")
    assert code == 0
    assert re.search(r"^area I +\d+\.\d+ ± \d\.\d+ \(rate equations: 100\)$", out, re.M)
    assert re.search(r"^measured on +60 coupled pairs; 64 lags from 0 to ", out, re.M)
    assert out.splitlines()[-2:] == ["data: k.nc", "picture: pictures/k.png"]
    assert load("k.nc").attrs["trajectories"] == 60
    assert Path("pictures/k.png").read_bytes().startswith(b"\x89PNG")
    assert "trajectories: 60 of 60" in err


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("kernel leaky --trajectories 100", "--trajectories is for kernels that are measured"),
        ("kernel leaky --plot k.png", "--plot is for kernels that are measured"),
        ("kernel leaky --measured --trajectories 3", "at least 10 trajectories, got 3"),
        ("kernel leaky --measured --method best", "no method named 'best'"),
        ("kernel leaky --measured --set s=0", "say which step to measure: --step BEFORE,AFTER"),
        ("kernel leaky --measured --step 2,2", "--step needs two different levels"),
        ("kernel leaky --measured --trajectories 20 --plot k.xyz", "the picture cannot be written"),
        ("kernel maxwell --measured", "by a rate rule"),
    ],
)
def test_the_command_says_what_is_wrong(run: Any, words: str, answer: str) -> None:
    code, _, err = run(words)
    assert code == 2
    assert answer in err.splitlines()[-1]
