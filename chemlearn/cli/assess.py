"""chemlearn assess: the whole question asked of one model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

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


def command(
    source: Source,
    folder: Annotated[Path | None, typer.Option("-o", "--folder", help="Where the report goes.")] = None,
    values: Values = None,
    mean: Annotated[float | None, typer.Option(help="Mean input; the model's own by default.")] = None,
    rise: Annotated[
        float | None, typer.Option(help="Time from free to clamped; 30 kernel half-times by default.")
    ] = None,
    fall: Annotated[
        float | None, typer.Option(help="Time back from clamped to free; ten times --rise by default.")
    ] = None,
    amplitude: Annotated[
        float | None, typer.Option(help="Largest contrast; fits the working range by default.")
    ] = None,
    rule: Annotated[
        str, typer.Option(help="Threshold: safe, down_ramp, geometric, arithmetic or eq45.")
    ] = "safe",
    margin: Annotated[float, typer.Option(help="Factor on the threshold of the rule.")] = 1.2,
    tolerance: Annotated[
        float, typer.Option(help="Residual of a step response that counts as adapted.")
    ] = 0.05,
    trajectories: Annotated[int | None, typer.Option(help="Trajectories per contrast; 0 for none.")] = None,
    firings: Annotated[
        float | None, typer.Option(help="Reaction firings to spend without --trajectories.")
    ] = None,
    engine: Engine = "native",
    seed: Seed = None,
    workers: Workers = None,
    input: Input = "s",
    output: Output = "u",
    weight: Weight = "w",
    split: Split = False,
) -> None:
    """Can this model learn contrastively, in which range, at what cost? Prints a table, writes a report."""
    from chemlearn.assessment import assess as assess_model
    from chemlearn.report import check_writable, summary, write_report
    from chemlearn.settings import Settings

    cycle = (mean, rise, fall, amplitude, rule, margin, tolerance)
    try:
        settings = Settings(*cycle, trajectories, firings, engine, seed, workers)  # type: ignore[arg-type]
    except ValueError as error:
        raise Usage(str(error)) from None
    model = load(source, values, input, output, weight, split)
    folder = folder or Path("reports") / model.name
    check_writable(folder)
    stage, stop = terminal.progress()
    try:
        found = assess_model(model, settings, stage=stage)
        page = write_report(found, folder, source=source)
    finally:
        stop()
    terminal.table(summary(found), f"{model.name} ({model.origin})")
    print()
    for line in str(found.verdict).splitlines():
        print(terminal.wrapped(line))
    print(f"\nreport: {page}")
    if "interrupted" in found.no_ensemble:
        print(f"chemlearn: {found.no_ensemble}; the report says so", file=sys.stderr)
        raise SystemExit(130)
