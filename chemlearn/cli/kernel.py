"""chemlearn kernel: the memory of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chemlearn import terminal
from chemlearn.cli.shared import (
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
    from chemlearn.kernels.kernel import Kernel, SampledKernel
    from chemlearn.measured import MeasuredKernel
    from chemlearn.model import Model


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


def command(
    source: Source,
    step: Annotated[
        str | None,
        typer.Option(help="BEFORE,AFTER: from this finite step of the input; measured, a tenth by default."),
    ] = None,
    measured: Annotated[
        bool, typer.Option("--measured", help="Measure it on stochastic trajectories, with confidence bands.")
    ] = False,
    trajectories: Annotated[
        int | None, typer.Option(help="Of them, or pairs of them; 1000 by default.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="What tells a response from noise: coupled (the default), seeds or independent pairs, or "
            "single trajectories."
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("-o", "--file", help="netCDF file to write: lag, K, step response.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture of the measured kernel to write.")] = None,
    values: Values = None,
    seed: Seed = None,
    workers: Workers = None,
    input: Input = "s",
    output: Output = "u",
    weight: Weight = "w",
    split: Split = False,
) -> None:
    """The memory kernel of a model: around its steady state, from a finite step, or measured on noise."""
    model = load(source, values, input, output, weight, split)
    levels = None if step is None else _levels(model, step)
    ensemble = {"trajectories": trajectories, "method": method, "seed": seed, "workers": workers}
    chosen = {name: value for name, value in ensemble.items() if value is not None}
    if measured:
        _measure(model, levels, chosen, file, plot)
        return
    extra = next(iter([*chosen, *(["plot"] if plot else [])]), None)
    if extra is not None:
        raise Usage(f"--{extra} is for kernels that are measured on trajectories: add --measured")
    _derive(model, levels, file)


def _levels(model: Model, step: str) -> tuple[float, float]:
    """The levels before and after a step."""
    before, after = numbers(step, "--step", "BEFORE,AFTER")
    if min(before, after) < 0 and model.species:
        raise Usage(f"--step of a chemical input cannot be negative, got {before:g} and {after:g}")
    if before == after:
        raise Usage(f"--step needs two different levels, got {before:g} twice")
    return before, after


def _derive(model: Model, levels: tuple[float, float] | None, file: Path | None) -> None:
    """The kernel of the rate equations, with its dissipation."""
    import numpy as np
    import xarray as xr

    from chemlearn.entropy.network import dissipation
    from chemlearn.linear import linear_kernel, step_kernel
    from chemlearn.simulate import save

    at = model.input_value
    if levels is None:
        found: Any = linear_kernel(model)
        end = found.duration or 1.0
        lags = np.concatenate(([0.0], np.geomspace(1e-6 * end, end, 800)))
        rows = [("kernel", f"linear response at {model.input} = {at:g}")]
    else:
        before, at = levels
        found = step_kernel(model, before, at)
        lags = found.times
        rows = [("kernel", f"response to the step {model.input} = {before:g} -> {at:g}, per unit of step")]
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


def _measure(
    model: Model,
    levels: tuple[float, float] | None,
    ensemble: dict[str, Any],
    file: Path | None,
    plot: Path | None,
) -> None:
    """The kernel of an ensemble, beside that of the rate equations."""
    from chemlearn.measured import measured_kernel
    from chemlearn.simulate import save

    before, after = levels or (model.input_value, 1.1 * model.input_value)
    if before == after:
        raise Usage(f"{model.input} is 0 in the model, so say which step to measure: --step BEFORE,AFTER")
    reference = _reference(model, before, after)
    stage, stop = terminal.progress()
    try:
        found = measured_kernel(
            model,
            after - before,
            before,
            progress=lambda done, wanted: stage("trajectories", done, wanted),
            **ensemble,
        )
    except ValueError as error:
        raise Usage(str(error)) from None
    finally:
        stop()
    terminal.table(_measured_rows(model, found, reference, before, after), model.name)
    if file is not None:
        print(f"data: {save(found.data, file)}")
    if plot is not None:
        print(f"picture: {_drawn(found, reference, plot)}")


def _reference(model: Model, before: float, after: float) -> SampledKernel | None:
    """The same kernel by the rate equations, where they have one."""
    from chemlearn.errors import ConvergenceError, ModelError, SimulationError
    from chemlearn.linear import step_kernel

    try:
        return step_kernel(model, before, after)
    except (ConvergenceError, ModelError, SimulationError, ValueError):
        return None


def _measured_rows(
    model: Model, found: MeasuredKernel, reference: SampledKernel | None, before: float, after: float
) -> list[tuple[str, str]]:
    """What was measured, and what the rate equations say to it."""
    told = {} if reference is None else {"area I": reference.area, "first moment M₁": reference.first_moment}
    rows = [("kernel", f"response to the step {model.input} = {before:g} -> {after:g}, per unit of step")]
    for label, text in found.rows():
        aside = f" (rate equations: {told[label]:.5g})" if label in told else ""
        rows.append((label, f"{text}{aside}"))
    rows.append(("seed", str(found.data.attrs["seed"])))
    return rows


def _drawn(found: MeasuredKernel, reference: SampledKernel | None, path: Path) -> Path:
    """Write the picture."""
    from chemlearn.errors import SimulationError
    from chemlearn.plot_measured import plot_measured_kernel

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        plot_measured_kernel(found, reference).savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise SimulationError(f"{path}: the picture cannot be written ({error}); name a .png file") from None
    return path
