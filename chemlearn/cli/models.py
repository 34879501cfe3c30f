"""chemlearn models and chemlearn check: what there is, and what stands in the way of running it."""

from __future__ import annotations

from typing import Annotated

import typer

from chemlearn import terminal
from chemlearn.cli.shared import Input, Output, Source, Split, Values, Weight, load


def models() -> None:
    """The models that come with chemlearn."""
    from chemlearn.paths import shipped_models

    rows = []
    for name, path in shipped_models().items():
        first = path.read_text(encoding="utf-8").splitlines()[0].lstrip("/ ")
        rows.append((name, first.removeprefix(f"{name}:").strip()))
    terminal.table(rows)


def check(
    source: Source,
    values: Values = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Ask only for a deterministic run.")
    ] = False,
    input: Input = "s",
    output: Output = "u",
    weight: Weight = "w",
    split: Split = False,
) -> None:
    """What stands in the way of simulating a model, with line and mend. Exit code 2 when something does."""
    model = load(source, values, input, output, weight, split)
    found = [f for f in model.findings() if not (deterministic and f.stochastic_only)]
    for finding in found:
        print(f"{finding.level}: {finding}")
    errors = sum(f.level == "error" for f in found)
    kind = "deterministic" if deterministic else "stochastic"
    print(f"{model.name}: {len(model.species)} species, {len(model.network.reactions)} reactions; ", end="")
    print(
        f"{errors} error{'s' if errors != 1 else ''} for a {kind} run"
        if errors
        else f"ready for a {kind} run"
    )
    if errors:
        raise SystemExit(2)
