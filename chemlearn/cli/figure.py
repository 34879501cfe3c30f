"""chemlearn figure: the figures of the paper, their data, and how they compare with what was published."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chemlearn import terminal
from chemlearn.cli.shared import Usage

if TYPE_CHECKING:
    from chemlearn.figures.shared import Drawn

RESOLUTION = 200
"""Dots per inch of the PNG."""


def command(
    name: Annotated[
        str | None, typer.Argument(metavar="[FIGURE]", help="Which figure; without it, a list of all.")
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Fewer points than published, in seconds.")] = False,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Root seed of what is drawn at random; fixed by default.")
    ] = None,
    folder: Annotated[Path, typer.Option("-o", "--folder", help="Where the files go.")] = Path(),
) -> None:
    """Make a figure: picture (PNG, PDF), data (netCDF), and one line for every published claim."""
    from chemlearn.figures import FIGURES

    if name is None:
        terminal.table([(key, entry.about) for key, entry in FIGURES.items()], "figures")
        return
    if name not in FIGURES:
        raise Usage(f"no figure is named {name!r}; there are {', '.join(FIGURES)}")
    _check_folder(folder)
    entry = FIGURES[name]
    drawn = entry(fast=fast) if seed is None else entry(fast=fast, seed=seed)
    files = write(drawn, folder, entry.function)
    print(f"figure {name}: {entry.about}{' (fast: fewer points than published)' * fast}")
    for claim in drawn.claims:
        print(terminal.wrapped(str(claim)))
    print(f"written: {', '.join(str(file) for file in files)}")


def write(drawn: Drawn, folder: Path, stem: str) -> list[Path]:
    """The picture and the data of a figure as files; older ones are replaced once all are written.

    Raises
    ------
    Usage
        If a file cannot be written.
    """
    claims = [{"published": c.published, "found": c.found, "verdict": c.verdict} for c in drawn.claims]
    data = drawn.data.assign_attrs(claims=json.dumps(claims, ensure_ascii=False))
    files = [folder / f"{stem}.{kind}" for kind in ("png", "pdf", "nc")]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".figure-") as place:
            picture, page, numbers = (Path(place) / file.name for file in files)
            drawn.figure.savefig(picture, dpi=RESOLUTION)
            drawn.figure.savefig(page, metadata={"CreationDate": None})
            data.to_netcdf(numbers, engine="h5netcdf")
            for file in files:
                os.replace(Path(place) / file.name, file)
    except OSError as error:
        raise Usage(f"{folder}: cannot write the figure here ({error.strerror or error})") from None
    return files


def _check_folder(folder: Path) -> None:
    """Refuse before the work what could not be written after it."""
    nearest = next(place for place in (folder, *folder.parents) if place.exists() or place == place.parent)
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise Usage(
            f"{folder}: nothing can be written here ({error.strerror}); choose another folder with -o"
        ) from None
