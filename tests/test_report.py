"""The report: one page that needs nothing else, pictures, data, and a command that repeats it."""

from __future__ import annotations

import re
import shlex
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from chemlearn import cli, report
from chemlearn.assessment import Assessment, assess
from chemlearn.errors import SimulationError
from chemlearn.model import Model
from chemlearn.report import command, summary, write_report
from chemlearn.settings import Settings

TEXT = """// sharp <b>bold</b> & "quoted"
model pair
  s = 2; k = 80; a = 40; b = 40
  u := a - b
  => a; k*s
  a => ; 4*a
  => b; 20*s
  b => ; b
end
"""
QUICK = Settings(rise=5.0, fall=30.0, amplitude=2.0, trajectories=2, seed=5)


@cache
def pair() -> Assessment:
    return assess(Model.load(TEXT).with_values(k=80.5), QUICK)


@cache
def leaky() -> Assessment:
    return assess(Model.load("leaky").with_values(size=10), Settings(trajectories=0, seed=1))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a report with all its pictures."""
    return write_report(pair(), tmp_path_factory.mktemp("reports") / "new" / "folder")


@pytest.fixture
def one_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of the time of writing."""
    monkeypatch.setattr(report.plot, "FIGURES", {"kernel": report.plot.kernel})


class Page(HTMLParser):
    """What a browser would fetch, and the text that a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.text = ""
        self._silent = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe", "object")
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        self._silent = tag == "style"

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.text += data


def test_page_is_self_contained_and_says_everything(written: Path) -> None:
    html = written.read_text(encoding="utf-8")
    page = Page(html)
    assert page.links
    assert all(link.startswith("data:image/svg+xml;base64,") for link in page.links)
    assert not re.search(r"url\(|@import", html)
    found = pair()
    assert found.verdict.headline.capitalize() in page.text
    for reason in found.verdict.reasons:
        assert reason.text in page.text
    for label, text in summary(found):
        assert label in page.text
        assert text in page.text
    assert command(found, "model.ant") in page.text
    assert found.model.fingerprint in page.text
    assert "k = 80.5" in page.text
    assert re.search(r"libroadrunner \d", page.text)
    assert "nan" not in page.text.replace("nanofluidic", "")


def test_text_of_the_model_is_escaped(written: Path) -> None:
    html = written.read_text(encoding="utf-8")
    assert "<b>" not in html
    assert "&lt;b&gt;bold&lt;/b&gt; &amp;" in html
    assert TEXT.strip() in Page(html).text


def test_pictures_data_and_model_lie_beside_the_page(written: Path) -> None:
    folder = written.parent
    names = {file.name for file in folder.iterdir()}
    pictures = {
        f"{n}.{kind}"
        for n in ("update", "kernel", "step_response", "cycle", "working_range")
        for kind in ("png", "svg")
    }
    assert names == pictures | {"model.html", "model.nc", "model.ant"} | (
        names & {"dissipation.png", "dissipation.svg"}
    )
    assert (folder / "update.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (folder / "update.svg").read_bytes()
    tree = xr.load_datatree(folder / "model.nc", engine="h5netcdf")
    assert np.array_equal(tree["update_closed_form"]["update"], pair().closed.updates)
    assert np.array_equal(tree["update_rate_equations"]["amplitude"], pair().deterministic.amplitudes)
    assert np.array_equal(tree["update_pooled"]["error"], pair().ensemble.pooled.errors)
    assert tree["kernel"].attrs["first_moment"] == pair().kernel.first_moment
    assert tree.attrs["model_fingerprint"] == pair().model.fingerprint


def test_two_writes_give_the_same_bytes(written: Path, tmp_path: Path) -> None:
    two = write_report(pair(), tmp_path)
    for file in sorted(written.parent.iterdir()):
        if file.suffix in (".html", ".svg", ".ant", ".png"):
            assert file.read_bytes() == (two.parent / file.name).read_bytes(), file.name


def test_a_second_report_replaces_the_first_and_leaves_other_files(tmp_path: Path, one_picture: None) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    write_report(pair(), tmp_path)
    before = sorted(file.name for file in tmp_path.iterdir())
    write_report(pair(), tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == before
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SimulationError, match=r"nothing can be written here .*choose another folder"):
        write_report(pair(), tmp_path / "file" / "below")
    assert [f.name for f in tmp_path.iterdir()] == ["file"]


def test_a_write_that_fails_half_way_leaves_nothing(
    tmp_path: Path, one_picture: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **how: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.DataTree, "to_netcdf", full)
    with pytest.raises(SimulationError, match="No space left on device"):
        write_report(pair(), tmp_path / "deep" / "folder")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_while_writing_leaves_nothing(
    tmp_path: Path, one_picture: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object, **how: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "_page", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_report(pair(), tmp_path / "deep" / "folder")
    assert list(tmp_path.iterdir()) == []


def test_command_names_every_choice() -> None:
    words = shlex.split(command(pair(), "my models/pair.ant"))
    assert words[:3] == ["chemlearn", "assess", "my models/pair.ant"]
    for pair_of_words in (("--set", "k=80.5"), ("--rise", "5.0"), ("--seed", "5"), ("--trajectories", "2")):
        assert words[words.index(pair_of_words[1]) - 1] == pair_of_words[0]
    renamed = TEXT.replace(" s ", " light ").replace("*s", "*light").replace("u :=", "out :=")
    model = Model.load(renamed, input="light", output="out", split=True)
    other = assess(model, Settings(trajectories=0, seed=1))
    words = shlex.split(command(other, "m.ant"))
    assert words[3:8] == ["--input", "light", "--output", "out", "--split"]


@pytest.mark.usefixtures("one_picture")
def test_the_command_on_the_page_repeats_the_assessment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run as it stands in the page, in the folder where the copy of the model lies."""
    path = write_report(pair(), tmp_path)
    line = next(
        text
        for text in Page(path.read_text(encoding="utf-8")).text.splitlines()
        if text.startswith("chemlearn")
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [*shlex.split(line), "-o", "again"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    assert "report: again/model.html" in capsys.readouterr().out
    old, new = (xr.load_datatree(p, engine="h5netcdf") for p in ("model.nc", "again/model.nc"))
    for name in ("closed_form", "rate_equations", "pooled", "single_synapse"):
        assert np.array_equal(old[f"update_{name}"]["update"], new[f"update_{name}"]["update"]), name
    assert old.attrs["model_fingerprint"] == new.attrs["model_fingerprint"]


@pytest.mark.usefixtures("one_picture")
def test_shipped_models_are_named_and_sbml_is_kept_as_sbml(tmp_path: Path) -> None:
    text = Page(write_report(leaky(), tmp_path / "a").read_text(encoding="utf-8")).text
    assert "chemlearn assess leaky --set size=10.0 " in text
    (tmp_path / "m.xml").write_text(pair().model.sbml)
    result = assess(
        Model.load(tmp_path / "m.xml"), Settings(rise=5.0, fall=30.0, amplitude=2.0, trajectories=0, seed=5)
    )
    write_report(result, tmp_path / "b")
    assert (tmp_path / "b" / "m.xml").read_text() == pair().model.sbml


def test_captions_promise_nothing(tmp_path: Path) -> None:
    """They stand under the pictures of every verdict."""
    assert set(report.CAPTIONS) == set(report.plot.FIGURES)
    for caption in report.CAPTIONS.values():
        assert caption.endswith(".")
        assert "succe" not in caption


def test_no_silly_digits() -> None:
    for found in (pair(), leaky()):
        for label, text in summary(found):
            assert not re.search(r"\d\.\d{8,}|e\+0\d", text), (label, text)
