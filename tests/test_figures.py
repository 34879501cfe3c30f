"""Figures 2, 4, 5 and 8: data against closed forms, claims against data; and the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.optimize import brentq, minimize_scalar
from scipy.special import gammainc

from chemlearn import celani_vergassola, cli, figures, update_curve
from chemlearn.figures import figure2, figure4, figure5, figure8
from chemlearn.figures.shared import SEED, Claim, Drawn, judged
from tests.pictures import assert_readable

OURS = ("2", "4", "5", "8")
each = pytest.mark.parametrize("name", OURS)


class Made(NamedTuple):
    drawn: Drawn
    settings_changed: bool
    files: list[str]


@cache
def made(name: str) -> Made:
    """A figure, and what making it did besides."""
    before = dict(matplotlib.rcParams)
    with TemporaryDirectory() as place, chdir(place):
        figure = figures.FIGURES[name](fast=True)
        files = os.listdir()
    return Made(figure, dict(matplotlib.rcParams) != before, files)


def drawn(name: str) -> Drawn:
    return made(name).drawn


def pixels(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def settled(ratio: np.ndarray | float) -> np.ndarray:
    """u over the slope of a ramp that began so many kernel times ago: the integral of the step response
    B³t²e^(−Bt)/2, a gamma distribution of shape 3."""
    return gammainc(3, np.maximum(ratio, 0.0))


# --- what all figures keep to ------------------------------------------------------------------------------


@each
def test_a_figure_writes_nothing_and_changes_no_setting(name: str) -> None:
    assert not made(name).settings_changed
    assert made(name).files == []
    assert isinstance(drawn(name).figure, Figure)


def test_the_package_is_loaded_when_used() -> None:
    code = (
        "import sys, chemlearn.figures as f; names = dir(f); "
        "assert 'matplotlib' not in sys.modules and 'numpy' not in sys.modules; "
        "fig = f.fig2; import chemlearn.figures.figure2; assert f.fig2 is fig and callable(f.FIGURES['2']); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="fig10"):
        figures.__getattr__("fig10")


@pytest.mark.parametrize("name", figures.FIGURES)
def test_every_name_leads_to_a_figure(name: str) -> None:
    entry = figures.FIGURES[name]
    function = getattr(figures, entry.function)
    assert function.__module__ == f"chemlearn.figures.{entry.module}"
    assert entry.function in figures.__all__
    assert entry.about


@each
def test_everything_is_inside_the_picture(name: str) -> None:
    assert_readable(drawn(name).figure)


def test_the_reader_s_own_style_does_not_show() -> None:
    data = drawn("2").data
    plain = pixels(figure2._draw(data))
    with matplotlib.rc_context({"font.size": 20, "axes.grid": True, "lines.linewidth": 5, "xtick.top": True}):
        assert np.array_equal(pixels(figure2._draw(data)), plain)


@each
def test_data_say_how_they_were_made(name: str) -> None:
    data = drawn(name).data
    assert data.attrs["figure"] == name
    assert data.attrs["resolution"] == "fast"
    assert data.attrs["seed"] == SEED
    assert json.loads(data.attrs["parameters"])["rate"] == 20.0
    for variable in data.data_vars.values():
        assert variable.attrs["units"]
        assert variable.attrs["long_name"]


@pytest.mark.parametrize("module", [figure4, figure5])
def test_the_same_seed_gives_the_same_protocols(module: object) -> None:
    make: Callable[[int], xr.Dataset]
    if module is figure4:
        make = lambda seed: figure4._ranges(celani_vergassola(), 4, seed)  # noqa: E731
    else:
        make = lambda seed: figure5._offsets(4, seed)  # noqa: E731
    xr.testing.assert_identical(make(7), make(7))
    assert not np.array_equal(make(7).fall, make(8).fall)


def test_claims_without_a_number_are_not_judged() -> None:
    assert judged("p", "f", np.nan, 0.0, 1.0).verdict == "cannot be judged"
    assert str(Claim("a", "b", False)) == "published: a; found: b; does not hold"


# --- Fig. 2 ------------------------------------------------------------------------------------------------


def test_fig2_responses_are_the_closed_forms() -> None:
    data = drawn("2").data
    after = np.maximum(data.since_step.values, 0.0)
    lobes = data.step_response.sel(memory="two lobes").values
    assert lobes == pytest.approx(after**2 * np.exp(2 - after) / 4, abs=1e-6)
    start, duration = data.since_start.values, data.duration.values[:, None]
    expected = settled(start) - settled(start - duration)
    assert data.ramp_response.values == pytest.approx(expected, abs=1e-12)
    leaky = data.step_response.sel(memory="leaky").values
    assert leaky / leaky.max() == pytest.approx(-np.expm1(-after) / -np.expm1(-12), abs=1e-12)


def test_fig2_two_lobes_contrast_and_the_leaky_kernel_does_not() -> None:
    updates = drawn("2").data.weight_update
    lobes, leaky = updates.sel(memory="two lobes"), updates.sel(memory="leaky")
    assert lobes.values == pytest.approx(-lobes.values[:, ::-1], abs=1e-12)  # odd in the contrast
    assert lobes.isel(mean=2).values == pytest.approx(lobes.isel(mean=0).values, abs=1e-12)
    assert leaky.values == pytest.approx(leaky.values[:, ::-1], abs=0.01)  # even in it
    silent = leaky.sel(mean=1.0).sel(amplitude=0.6, method="nearest")  # u stays above θ: Δw = I s̄ T
    assert float(silent) == pytest.approx(1.0, rel=1e-9)


def test_fig2_claims_hold_and_see_a_wrong_kernel() -> None:
    found = drawn("2")
    assert [claim.holds for claim in found.claims] == [True] * 4
    wrong = found.data.copy(deep=True)
    wrong["residual"][0] = 0.01
    wrong["gain"][-1] = 0.9
    wrong["weight_update"][1] = wrong.weight_update[0]
    assert [claim.holds for claim in figure2._claims(wrong)] == [False, True, False, False]


# --- Fig. 4 ------------------------------------------------------------------------------------------------


def test_fig4_smallest_contrast_is_where_updates_begin() -> None:
    data = drawn("4").data
    kernel = celani_vergassola()
    for i in (0, 3, 8):
        rise, fall, least = (float(data[name][i]) for name in ("rise", "fall", "silent_below"))
        near = least * np.array([1 - 1e-6, 1 + 1e-6])
        updates = update_curve(kernel, near, threshold=100 / fall, rise=rise, fall=fall).updates
        assert updates[0] == 0
        assert updates[1] > 0


def test_fig4_keeps_to_the_bound() -> None:
    """u never exceeds the slope A/τ_f, so nothing below θ τ_f is learned; the fit is as good as its steps."""
    data = drawn("4").data
    bottom = 100 * data.rise / data.fall
    assert np.all(data.silent_below >= bottom * (1 - 1e-12))
    found = data.amplitude_min.values[np.isfinite(data.amplitude_min)]
    assert len(found) > 40
    step = figure4.AMPLITUDES[1]
    assert np.nanmin(data.amplitude_min - data.silent_below) > -step
    slow = data.rise * 20 >= 20
    ratio = (data.amplitude_min / bottom).where(slow & (data.fall / data.rise > 2))
    assert float(ratio.min()) > 0.99
    assert float(ratio.median()) < 1.1


def test_fig4_claims_come_from_the_data() -> None:
    found = drawn("4")
    assert [claim.holds for claim in found.claims] == [True, True, True]
    wide = found.data.assign(amplitude_min=found.data.amplitude_min / 2)
    assert [claim.holds for claim in figure4._claims(wide)] == [False, True, True]
    flat = found.data.assign(amplitude_min=found.data.amplitude_min**0.5)
    assert figure4._claims(flat)[1].holds is False
    empty = found.data.assign(amplitude_min=found.data.amplitude_min * np.nan)
    assert figure4._claims(empty)[1].holds is None


# --- Fig. 5 ------------------------------------------------------------------------------------------------


def test_fig5_offset_is_the_area_times_the_mean_times_the_rise() -> None:
    """F10: learned at s̄ = 25 less learned at 0 is I s̄ times the time above θ, some kernel times from τ_f."""
    data = drawn("5").data
    inside = data.weight_update.sel(amplitude=0.4, method="nearest")
    added = float(inside.sel(mean=25.0) - inside.sel(mean=0.0)) * 100
    assert added / (0.05 * 25) == pytest.approx(figure5.RISE, abs=6 / 20)


def test_fig5_eq45_is_below_the_extreme_of_every_published_fall() -> None:
    data = drawn("5").data
    published = data.sel(fall_shown=data.fall_shown < 50)
    start, stop = published.fall_end.sel(end="start"), published.fall_end.sel(end="stop")
    assert np.all(start < stop)
    assert published.theta.sel(rule="eq45").values == pytest.approx(start.values)
    assert np.all(data.theta.sel(rule="safe") >= data.fall_end.max("end") - 1e-12)


def test_fig5_claims_come_from_the_data() -> None:
    found = drawn("5")
    assert [claim.holds for claim in found.claims] == [True, False, True]
    assert "in 0 of" in found.claims[1].found
    steeper = found.data.assign(offset=found.data.offset * 1.5)
    assert figure5._claims(steeper)[0].holds is False
    assert figure5._claims(found.data.assign(offset=found.data.offset * np.nan))[0].holds is None


# --- Fig. 8 ------------------------------------------------------------------------------------------------


def theta(ratio: float) -> float:
    """Threshold of Fig. 8 over the slope of the rise."""
    return (1 + ratio / 400) / 2


def answer(ratio: float, after: float) -> float:
    """u over the slope of the rise, so many kernel times after its start, on a fall that has settled."""
    down = ratio / (400 - ratio)
    return float((settled(after) - settled(after - ratio)) * (1 + down) - down)


def test_fig8_onsets_are_those_of_the_closed_form() -> None:
    data = drawn("8").data
    rising = brentq(lambda x: answer(x, x) - theta(x), 1, 5, xtol=1e-12)
    assert float(data.onset_in_rise) == pytest.approx(rising, abs=1e-8)

    def highest(x: float) -> float:
        found = minimize_scalar(lambda t: -answer(x, t), bounds=(x, x + 5), method="bounded")
        return float(-found.fun)

    onset = brentq(lambda x: highest(x) - theta(x), 1, 5, xtol=1e-12)
    assert float(data.onset) == pytest.approx(onset, abs=1e-6)


def test_fig8_gains(shared: Path) -> None:
    reference = json.loads((shared / "reference" / "synapse.json").read_text())["figure8"]
    for row in reference:
        assert figure8._gain(row["tau_ratio"]) == pytest.approx(row["exact"], rel=1e-9)


def test_fig8_parts_and_whole() -> None:
    data = drawn("8").data
    assert np.all(data.rise_gain <= data.gain + 1e-12)
    assert np.all(np.diff(data.gain) >= 0)
    assert np.all((data.gain > 0) == (data.ratio >= float(data.onset) - 1e-8))
    assert np.all((data.rise_gain > 0) == (data.ratio > float(data.onset_in_rise)))
    for ratio, course in zip(data.shown.values, data.course.values, strict=True):
        expected = [answer(ratio, t * ratio) for t in data.time.values if t > 0]
        assert course[data.time.values > 0] == pytest.approx(np.array(expected), abs=1e-9)


def test_fig8_claims_say_which_reading_holds() -> None:
    found = drawn("8")
    assert [claim.holds for claim in found.claims] == [True, False, True]
    moved = found.data.assign(onset_in_rise=found.data.onset_in_rise + 0.02)
    assert figure8._claims(moved)[0].holds is False


# --- the command -------------------------------------------------------------------------------------------

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in an empty folder, with figures that were made before."""
    monkeypatch.chdir(tmp_path)
    entry = figures.FIGURES["2"]

    class Remembered(type(entry)):  # type: ignore[misc]
        def __call__(self, **how: object) -> Drawn:
            return drawn("2") if how["fast"] else entry(**how)

    monkeypatch.setitem(figures.FIGURES, "2", Remembered(*entry))

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["chemlearn", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


def test_command_writes_picture_and_data_and_tells_every_claim(run: Run) -> None:
    code, out, _ = run("figure", "2", "--fast", "-o", "made/here")
    assert code == 0
    names = sorted(path.name for path in Path("made/here").iterdir())
    assert names == ["fig2.nc", "fig2.pdf", "fig2.png"]
    told = [line for line in out.splitlines() if line.startswith("published: ")]
    assert told == [str(claim) for claim in drawn("2").claims]
    data = xr.load_dataset("made/here/fig2.nc", engine="h5netcdf")
    xr.testing.assert_equal(data, drawn("2").data)
    assert [claim["verdict"] for claim in json.loads(data.attrs["claims"])] == ["holds"] * 4
    assert Path("made/here/fig2.png").read_bytes()[:4] == b"\x89PNG"
    assert Path("made/here/fig2.pdf").read_bytes()[:4] == b"%PDF"


def test_command_lists_all_figures(run: Run) -> None:
    code, out, _ = run("figure")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == list(figures.FIGURES)
    assert not list(Path().iterdir())


def test_full_figures_have_more_points_than_fast_ones() -> None:
    fast, full = drawn("2").data, figures.FIGURES["2"](fast=False).data
    assert full.attrs["resolution"] == "full"
    assert full.sizes["lag"] > 2 * fast.sizes["lag"]
    assert drawn("4").data.sizes["protocol"] < 1000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["10"], "no figure is named '10'; there are 2, 3, 4, 5"),
        (["2", "-o", "file"], "nothing can be written here"),
        (["2", "-o", "file/below"], "nothing can be written here"),
    ],
)
def test_command_refuses_in_one_sentence(run: Run, words: list[str], said: str) -> None:
    Path("file").write_text("mine")
    code, out, err = run("figure", *words, "--fast")
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1
    assert Path("file").read_text() == "mine"


def test_a_failure_leaves_older_files_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("fig2.png").write_text("older")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    code, _, err = run("figure", "2", "--fast")
    assert code == 2
    assert "No space left" in err
    assert [path.name for path in Path().iterdir()] == ["fig2.png"]
    assert Path("fig2.png").read_text() == "older"
