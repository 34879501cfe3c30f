"""The command line; one module for each command, and heavy imports wait until they are needed."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from chemlearn.cli import assess, figure, kernel, models, simulate, sweep, train
from chemlearn.cli.shared import Usage

__all__ = ["app", "main"]


class _Commands(TyperGroup):
    """Commands of which Ctrl-C ends with a sentence."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print("chemlearn: interrupted; nothing was written", file=sys.stderr)
            raise SystemExit(130) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Chemistry that learns: reaction networks as contrastive synapses, how well they learn "
    "and at what cost.",
)
app.command("assess")(assess.command)
app.command("models")(models.models)
app.command("check")(models.check)
app.command("simulate")(simulate.command)
app.command("kernel")(kernel.command)
app.command("figure")(figure.command)
app.command("train")(train.command)
app.command("sweep")(sweep.command)
app.command("merge")(sweep.merge)


def main() -> None:
    """Run a command; what the user can mend is one sentence and exit code 2, a bug keeps its traceback."""
    from chemlearn.errors import ConvergenceError, DataError, ModelError, SimulationError

    try:
        app()
    except (ModelError, SimulationError, ConvergenceError, DataError, Usage) as error:
        print(f"chemlearn: {error}", file=sys.stderr)
        raise SystemExit(2) from None
