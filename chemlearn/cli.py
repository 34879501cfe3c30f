"""The command line: assess, models, check, simulate, kernel; heavy imports wait until they are needed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from chemlearn import terminal

if TYPE_CHECKING:
    from chemlearn.kernel import Kernel
    from chemlearn.model import Model
    from chemlearn.signal import Signal


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
Engine = Annotated[str, typer.Option(help="Stochastic engine: native, roadrunner or gillespy2.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Root seed; drawn and recorded by default.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes; all cores by default.")]


def main() -> None:
    """Run a command; what the user can mend is one sentence and exit code 2, a bug keeps its traceback."""
    from chemlearn.errors import ConvergenceError, ModelError, SimulationError

    try:
        app()
    except (ModelError, SimulationError, ConvergenceError, _Usage) as error:
        print(f"chemlearn: {error}", file=sys.stderr)
        raise SystemExit(2) from None


class _Usage(Exception):
    """An option that makes no sense, in one sentence."""


def _load(source: str, values: list[str] | None, input: str, output: str, weight: str, split: bool) -> Model:
    from chemlearn.model import Model

    model = Model.load(source, input=input, output=output, weight=weight, split=split)
    return model.with_values(**dict(_assignment(text) for text in values or []))


def _assignment(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        return name.strip(), float(number)
    except ValueError:
        raise _Usage(f"--set takes NAME=VALUE with a number, such as --set k_on=0.5, got {text!r}") from None


def _numbers(text: str, option: str, names: str) -> list[float]:
    """Comma-separated numbers, as many as there are names."""
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(names.split(",")):
        raise _Usage(f"{option} takes {names} as numbers, got {text!r}")
    return numbers


@app.command()
def assess(
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
        raise _Usage(str(error)) from None
    model = _load(source, values, input, output, weight, split)
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


@app.command()
def models() -> None:
    """The models that come with chemlearn."""
    from chemlearn.paths import shipped_models

    rows = []
    for name, path in shipped_models().items():
        first = path.read_text(encoding="utf-8").splitlines()[0].lstrip("/ ")
        rows.append((name, first.removeprefix(f"{name}:").strip()))
    terminal.table(rows)


@app.command()
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
    model = _load(source, values, input, output, weight, split)
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


@app.command()
def simulate(
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

    from chemlearn.simulate import EnsembleInterrupted, save, simulate_ode, simulate_ssa
    from chemlearn.simulate.ssa import ENGINES

    if not (until > 0 and points >= 2):
        raise _Usage(f"--until must be positive and --points at least 2, got {until:g} and {points}")
    if trajectories < 0 or engine not in ENGINES:
        raise _Usage(f"--trajectories must be 0 or more, and --engine one of {', '.join(ENGINES)}")
    model = _load(source, values, input, output, weight, split)
    driven = _signal(signal, staircase)
    times = np.linspace(0.0, until, points)
    file = file or Path(f"{model.name}.nc")
    if not trajectories:
        _finish(simulate_ode(model, times, signal=driven), save, file)
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
            progress=lambda done, wanted: stage("trajectories", done, wanted),
        )
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
        last = column.isel(time=-1)
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
            made = Signal.constant(*_numbers(rest, "constant:", "VALUE"))
        elif kind == "step":
            before, after, at = _numbers(rest, "step:", "BEFORE,AFTER,AT")
            made = Signal.step(before, after, at=at)
        elif kind == "sawtooth":
            free, clamped, rise, fall = _numbers(rest, "sawtooth:", "FREE,CLAMPED,RISE,FALL")
            made = Signal.sawtooth(free, clamped, rise=rise, fall=fall, periodic=True)
        elif kind == "square":
            low, high, first, second = _numbers(rest, "square:", "LOW,HIGH,FIRST,SECOND")
            made = Signal.square(low, high, first=first, second=second, periodic=True)
        elif kind == "table":
            made = Signal.from_table(Path(rest))
        else:
            raise _Usage(f"--signal knows constant, step, sawtooth, square and table, got {text!r}")
        return made if staircase is None else made.staircase(staircase)
    except (ValueError, OSError) as error:
        raise _Usage(str(error)) from None


def _kernel_rows(found: Kernel) -> list[tuple[str, str]]:
    """The numbers of a kernel; its rates too where it is a sum of exponentials."""
    lobes = ", ".join(f"{lobe.area:.6g} ({lobe.start:.3g} to {lobe.stop:.3g})" for lobe in found.lobes)
    instant = f" and {found.delta:.6g} δ(t)" if found.delta else ""
    rows = [
        ("lobes", f"{len(found.lobes)}: {lobes}"),
        ("area I", f"{found.area:.8g}"),
        ("first moment M₁", f"{found.first_moment:.8g}"),
        ("K(0)", f"{float(found.tail(0, [0.0])[0]):.8g}{instant}"),
        ("half-time", f"{found.half_time:.6g}"),
        ("residual", f"{found.residual:.4g} of the peak of the step response"),
    ]
    rates = getattr(found, "rates", ())
    if len(rates):
        rows.append(("rates", ", ".join(f"{r:.6g}" if r.imag else f"{r.real:.6g}" for r in rates)))
    return rows


@app.command()
def kernel(
    source: Source,
    step: Annotated[
        str | None, typer.Option(help="BEFORE,AFTER: from this finite step of the input.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("-o", "--file", help="netCDF file to write: lag, K, step response.")
    ] = None,
    values: Values = None,
    input: Input = "s",
    output: Output = "u",
    weight: Weight = "w",
    split: Split = False,
) -> None:
    """The memory kernel of a model around its steady state, or from a finite step; with its dissipation."""
    import numpy as np
    import xarray as xr

    from chemlearn.entropy import dissipation
    from chemlearn.linear import linear_kernel, step_kernel
    from chemlearn.simulate import save

    model = _load(source, values, input, output, weight, split)
    at = model.input_value
    if step is None:
        found: Any = linear_kernel(model)
        end = found.duration or 1.0
        lags = np.concatenate(([0.0], np.geomspace(1e-6 * end, end, 800)))
        rows = [("kernel", f"linear response at {model.input} = {at:g}")]
    else:
        before, after = _numbers(step, "--step", "BEFORE,AFTER")
        if min(before, after) < 0 and model.species:
            raise _Usage(f"--step of a chemical input cannot be negative, got {before:g} and {after:g}")
        if before == after:
            raise _Usage(f"--step needs two different levels, got {before:g} twice")
        found, at = step_kernel(model, before, after), after
        lags = found.times
        rows = [("kernel", f"response to the step {model.input} = {before:g} -> {after:g}, per unit of step")]
    rows += _kernel_rows(found)
    rows.append(("dissipation", f"at {model.input} = {at:g}: {dissipation(model, at)}"))
    terminal.table(rows, model.name)
    if file is not None:
        columns = {
            "kernel": ("lag", found.tail(0, lags)),
            "step_response": ("lag", found.step_response(lags)),
        }
        attrs = {"model": model.name, "model_text": model.text, "model_fingerprint": model.fingerprint}
        data = xr.Dataset(
            columns, {"lag": lags}, {**attrs, "area": found.area, "first_moment": found.first_moment}
        )
        print(f"data: {save(data, file)}")
