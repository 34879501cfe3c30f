"""chemlearn simulate: trajectories into a file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    numbers,
)

if TYPE_CHECKING:
    from chemlearn.signal import Signal


def command(
    source: Source,
    until: Annotated[float, typer.Option(help="End time.")] = 100.0,
    points: Annotated[int, typer.Option(help="Number of output times.")] = 501,
    signal: Annotated[
        str | None,
        typer.Option(
            help="What the input does: constant:VALUE, step:BEFORE,AFTER,AT, "
            "sawtooth:FREE,CLAMPED,RISE,FALL, square:LOW,HIGH,FIRST,SECOND, or table:FILE with two columns."
        ),
    ] = None,
    staircase: Annotated[int | None, typer.Option(help="Make every ramp this many constant steps.")] = None,
    trajectories: Annotated[int, typer.Option(help="Stochastic trajectories; 0 for the rate equations.")] = 0,
    reduce: Annotated[
        str | None,
        typer.Option(
            help="Keep only this of the trajectories: mean, variance, covariance, quantiles, or several of "
            "them with commas. Memory then does not grow with their number."
        ),
    ] = None,
    paths: Annotated[bool, typer.Option("--paths", help="Write every firing, native engine only.")] = False,
    accuracy: Annotated[
        float | None, typer.Option(help="Of the engines tau and langevin; 0.03 by default.")
    ] = None,
    file: Annotated[Path | None, typer.Option("-o", "--file", help="netCDF file to write.")] = None,
    values: Values = None,
    engine: Engine = "native",
    seed: Seed = None,
    workers: Workers = None,
    input: Input = "s",
    output: Output = "u",
    weight: Weight = "w",
    split: Split = False,
) -> None:
    """Simulate a model, deterministically or as an ensemble of trajectories, into a netCDF file."""
    import numpy as np

    from chemlearn.simulate import EnsembleInterrupted, save, simulate_ode, simulate_paths, simulate_ssa
    from chemlearn.simulate.engines import ENGINES

    if not (until > 0 and points >= 2):
        raise Usage(f"--until must be positive and --points at least 2, got {until:g} and {points}")
    if trajectories < 0 or engine not in ENGINES:
        raise Usage(f"--trajectories must be 0 or more, and --engine one of {', '.join(ENGINES)}")
    if (paths or reduce) and not trajectories:
        raise Usage("--paths and --reduce are for stochastic runs: say how many --trajectories")
    if paths and (reduce or engine != "native"):
        raise Usage("--paths writes everything that the native engine does: leave --reduce and --engine out")
    model = load(source, values, input, output, weight, split)
    driven = _signal(signal, staircase)
    times = np.linspace(0.0, until, points)
    file = file or Path(f"{model.name}.nc")
    if not trajectories:
        _finish(simulate_ode(model, times, signal=driven), save, file)
        return
    if paths:
        every = simulate_paths(model, until, signal=driven, trajectories=trajectories, seed=seed)
        print(f"{every.sizes['jump'] - trajectories} firings of {trajectories} trajectories")
        print(f"data: {save(every, file)}")
        return
    stage, stop = terminal.progress()
    try:
        data = simulate_ssa(
            model,
            times,
            signal=driven,
            trajectories=trajectories,
            seed=seed,
            engine=engine,
            workers=workers,
            reduce=None if reduce is None else [name.strip() for name in reduce.split(",")],
            accuracy=accuracy,
            progress=lambda done, wanted: stage("trajectories", done, wanted),
        )
    except ValueError as error:
        raise Usage(str(error)) from None
    except EnsembleInterrupted as interrupted:
        stop()
        if interrupted.done is None:
            raise
        _finish(interrupted.done, save, file)
        print(f"chemlearn: {interrupted}", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        stop()
    _finish(data, save, file)


def _finish(data: Any, save: Callable[[Any, Path], Path], file: Path) -> None:
    """Write the data and say what they end with."""
    path = save(data, file)
    rows = []
    for name, column in data.data_vars.items():
        if "time" not in column.dims:
            continue
        last = column.isel(time=-1)
        if last.dims and "trajectory" not in last.dims:
            continue  # a whole distribution: in the file
        if "trajectory" in last.dims:
            rows.append(
                (
                    str(name),
                    f"{float(last.mean()):.6g} ± {float(last.std()):.3g} (mean, sd over trajectories)",
                )
            )
        else:
            rows.append((str(name), f"{float(last):.6g}"))
    terminal.table(rows, f"at t = {float(data.time[-1]):g}")
    print(f"data: {path}")


def _signal(text: str | None, staircase: int | None) -> Signal | None:
    """A Signal from its short form on the command line."""
    from chemlearn.signal import Signal

    if text is None:
        return None
    kind, _, rest = text.partition(":")
    try:
        if kind == "constant":
            made = Signal.constant(*numbers(rest, "constant:", "VALUE"))
        elif kind == "step":
            before, after, at = numbers(rest, "step:", "BEFORE,AFTER,AT")
            made = Signal.step(before, after, at=at)
        elif kind == "sawtooth":
            free, clamped, rise, fall = numbers(rest, "sawtooth:", "FREE,CLAMPED,RISE,FALL")
            made = Signal.sawtooth(free, clamped, rise=rise, fall=fall, periodic=True)
        elif kind == "square":
            low, high, first, second = numbers(rest, "square:", "LOW,HIGH,FIRST,SECOND")
            made = Signal.square(low, high, first=first, second=second, periodic=True)
        elif kind == "table":
            made = Signal.from_table(Path(rest))
        else:
            raise Usage(f"--signal knows constant, step, sawtooth, square and table, got {text!r}")
        return made if staircase is None else made.staircase(staircase)
    except (ValueError, OSError) as error:
        raise Usage(str(error)) from None
