"""What the commands share: their common options, and how these are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from chemlearn.model import Model

Source = Annotated[
    str, typer.Argument(metavar="MODEL", help="Name of a shipped model, or an Antimony or SBML file.")
]
Values = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set a parameter; repeatable.")
]
Input = Annotated[str, typer.Option(help="Constant that the signal drives.")]
Output = Annotated[str, typer.Option(help="Variable that the weight update reads.")]
Weight = Annotated[str, typer.Option(help="The learned weight.")]
Split = Annotated[bool, typer.Option("--split", help="Split reversible reactions with a net law into two.")]
Engine = Annotated[
    str,
    typer.Option(
        help="Stochastic engine: native, roadrunner or gillespy2; to simulate, also tau and langevin, which "
        "are approximate."
    ),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Root seed; drawn and recorded by default.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Threads, or processes; all cores by default.")]


class Usage(Exception):
    """An option that makes no sense, in one sentence."""


def load(source: str, values: list[str] | None, input: str, output: str, weight: str, split: bool) -> Model:
    """The model that a command names, with its values set."""
    from chemlearn.model import Model

    model = Model.load(source, input=input, output=output, weight=weight, split=split)
    return model.with_values(**dict(_assignment(text) for text in values or []))


def _assignment(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        return name.strip(), float(number)
    except ValueError:
        raise Usage(f"--set takes NAME=VALUE with a number, such as --set k_on=0.5, got {text!r}") from None


def numbers(text: str, option: str, names: str) -> list[float]:
    """Comma-separated numbers, as many as there are names."""
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(names.split(",")):
        raise Usage(f"{option} takes {names} as numbers, got {text!r}")
    return numbers
