"""chemlearn kernel: the memory of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chemlearn import terminal
from chemlearn.cli.shared import Input, Output, Source, Split, Usage, Values, Weight, load, numbers

if TYPE_CHECKING:
    from chemlearn.kernel import Kernel


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

    model = load(source, values, input, output, weight, split)
    at = model.input_value
    if step is None:
        found: Any = linear_kernel(model)
        end = found.duration or 1.0
        lags = np.concatenate(([0.0], np.geomspace(1e-6 * end, end, 800)))
        rows = [("kernel", f"linear response at {model.input} = {at:g}")]
    else:
        before, after = numbers(step, "--step", "BEFORE,AFTER")
        if min(before, after) < 0 and model.species:
            raise Usage(f"--step of a chemical input cannot be negative, got {before:g} and {after:g}")
        if before == after:
            raise Usage(f"--step needs two different levels, got {before:g} twice")
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
