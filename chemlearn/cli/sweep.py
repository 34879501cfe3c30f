"""chemlearn sweep and chemlearn merge: ensembles over a grid of parameter values."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chemlearn import terminal
from chemlearn.cli.shared import (
    Engine,
    Input,
    Output,
    Seed,
    Source,
    Split,
    Usage,
    Values,
    Weight,
    Workers,
    load,
)

if TYPE_CHECKING:
    import xarray as xr

    from chemlearn.sweeps.grid import Grid

#: names for --help, which must not wait for the modules that know them
MEASURES = "mean, variance, dissipation, area, first_moment, offset"
SOME_FAILED = 3  #: exit code when some points failed and everything else is done


def command(
    source: Source,
    over: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=VALUES",
            help="Parameter and its values, such as s=5,50,200 or gamma=logspace(-8,0,50) (exponents of "
            "ten), linspace(a,b,n), geomspace(a,b,n), arange(a,b,step); repeatable: every combination is a "
            "point.",
        ),
    ],
    trajectories: Annotated[int, typer.Option(help="At every point.")] = 1000,
    measure: Annotated[str, typer.Option(help=f"Of: {MEASURES}.")] = "dissipation,offset",
    file: Annotated[
        Path | None, typer.Option("-o", "--file", help="Folder to write; MODEL.zarr by default.")
    ] = None,
    before: Annotated[
        float, typer.Option(help="Input level from which area, first_moment and offset see a step.")
    ] = 0.0,
    memory: Annotated[
        float | None, typer.Option(help="Slowest time constant of the model; from its Jacobian by default.")
    ] = None,
    mean: Annotated[
        float | None, typer.Option(help="Mean input for offset; that of each point by default.")
    ] = None,
    rise: Annotated[
        float | None, typer.Option(help="Duration of the fast swing for offset; 30 half-times by default.")
    ] = None,
    most_firings: Annotated[
        int | None, typer.Option(min=1, help="Firings of a trajectory beyond which its point fails.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds of a trajectory beyond which its point fails.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try failed points again.")] = False,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Only the I-th of N parts, into a store of its own; see merge."),
    ] = None,
    shard_size: Annotated[
        int | None, typer.Option(min=1, help="Trajectories per shard; about a second's work by default.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Dask scheduler whose workers do the work.")
    ] = None,
    values: Values = None,
    engine: Engine = "native",
    seed: Seed = None,
    workers: Workers = None,
    input: Input = "s",
    output: Output = "u",
    weight: Weight = "w",
    split: Split = False,
) -> None:
    """Stochastic ensembles over a grid of parameter values; run it again to go on after an interruption.

    Exit codes: 0 done; 3 done, but some points failed; 130 interrupted; 2 it cannot go on, and says why.
    """
    from threading import Event

    from chemlearn.sweeps.measure import Conditions
    from chemlearn.sweeps.store import Part
    from chemlearn.sweeps.sweep import Means, SweepInterrupted, request
    from chemlearn.sweeps.tasks import Limits

    model = load(source, values, input, output, weight, split)
    file = file or Path(f"{model.name}.zarr")
    show, stop = terminal.bar("shards")
    means = Means(
        Limits(most_firings, timeout),
        retry_failed,
        workers,
        None,
        scheduler,
        lambda progress: show(progress.done, progress.total, str(progress)),
        Event(),
        lambda sentence: print(f"chemlearn: {sentence}", file=sys.stderr),
    )
    try:
        grid, names = _grid(over, values), [name.strip() for name in measure.split(",")]
        part = Part() if shard is None else Part.parse(shard)
        conditions = Conditions(before, memory, mean, rise)
        asked = request(model, grid, names, conditions, trajectories, seed, engine, shard_size, means)
        asked.require(file, part)
    except ValueError as error:
        raise Usage(str(error)) from None
    try:
        data = asked.done(file, part)
    except SweepInterrupted as interrupted:
        stop()
        _finish(interrupted.done, part.path(file))
        print(f"chemlearn: {interrupted}", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        stop()
    if part.of > 1:
        print(f"part {part} is done; when all are: chemlearn merge {file} {part.pattern(file)}")
    if _finish(data, part.path(file)):
        raise SystemExit(SOME_FAILED)


def _grid(over: list[str], values: list[str] | None) -> Grid:
    """The grid of all --over options."""
    from chemlearn.sweeps.grid import Axis, Grid

    try:
        grid = Grid(tuple(Axis.parse(text) for text in over))
    except ValueError as error:
        raise Usage(f"--over {error}") from None
    fixed = {text.partition("=")[0].strip().rstrip("_") for text in values or []}
    for name in grid.names:
        if name.rstrip("_") in fixed:
            raise Usage(f"{name!r} is set by --set and swept by --over; leave one of them out")
    return grid


def merge(
    file: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the whole sweep.")],
    parts: Annotated[list[Path], typer.Argument(metavar="PARTS...", help="Stores of all parts.")],
) -> None:
    """Make one sweep of the parts that sweep --shard wrote, if all are there and complete."""
    from chemlearn.sweeps.merge import merge_sweep

    if _finish(merge_sweep(file, parts), file):
        raise SystemExit(SOME_FAILED)


def _finish(data: xr.Dataset, path: Path) -> bool:
    """Print what there is; whether some points failed."""
    from chemlearn.sweeps.summary import failures, summary

    terminal.table(summary(data), str(data.attrs["model"]))
    failed = failures(data)
    for line in failed:
        print(f"failed: {line}")
    print(f"data: {path}")
    return bool(failed)
