"""The results of a sweep in a few lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import numpy as np
import xarray as xr

_FEW = 12  # points that are listed one by one


def summary(data: xr.Dataset) -> list[tuple[str, str]]:
    """Rows of a table: how much is done, then each measure, then the points where they are few."""
    names = [str(name) for name in data.trajectories.dims]
    sizes = " × ".join(f"{name} {data.sizes[name]}" for name in names)
    companions = json.loads(data.attrs["measures"])
    failed, wanted = data.failed.values != "", data.attrs["trajectories_wanted"]
    measured = _measured(data, companions)
    rows = [
        ("points", f"{failed.size} ({sizes}), {measured.sum()} complete, {failed.sum()} failed"),
        (
            "trajectories",
            f"{int(data.trajectories.sum())}, {wanted} at each point",
        ),
        ("seed", f"{data.attrs['seed']}, {data.attrs['engine']} engine"),
    ]
    rows += [(name, _range(data, name, companion, measured)) for name, companion in companions.items()]
    if failed.size <= _FEW:
        rows += [(place, _point(at, companions)) for place, at in _points(data, measured | failed)]
    return rows


def failures(data: xr.Dataset) -> list[str]:
    """Each failed point with its reason."""
    return [f"{place}: {at.failed.item()}" for place, at in _points(data, data.failed.values != "")]


def _measured(data: xr.Dataset, measures: Mapping[str, str]) -> np.ndarray:
    """Which points have their values, or a reason why not."""
    known = [~np.isnan(data[name].values) for name in measures]
    return np.any([*known, data.reason.values != ""], axis=0)


def _points(data: xr.Dataset, chosen: np.ndarray) -> Iterator[tuple[str, xr.Dataset]]:
    """Some points, each with its name."""
    names = [str(name) for name in data.trajectories.dims]
    for index in np.argwhere(chosen):
        at = data.isel(dict(zip(names, index.tolist(), strict=True)))
        yield ", ".join(f"{name}={at[name].item():.6g}" for name in names), at


def _range(data: xr.Dataset, name: str, companion: str, measured: np.ndarray) -> str:
    """What values a measure takes, and how they compare with its companion."""
    values, errors = data[name].values, data[f"{name}_error"].values
    known = np.isfinite(values)
    if not known.any():
        return "infinite" if np.isinf(values).any() else "no value"
    text = f"{values[known].min():.5g} to {values[known].max():.5g}"
    text += f", standard error {np.median(errors[known]):.2g} (median)"
    if np.any(measured & ~known):
        text += f", {np.count_nonzero(measured & ~known)} points without a value"
    if companion:
        with np.errstate(all="ignore"):
            away = np.abs(values - data[f"{name}_{companion}"].values) / errors
        if np.isfinite(away).any():
            text += f", within {np.nanmax(away):.1f} errors of the {companion.replace('_', ' ')}"
    return text


def _point(at: xr.Dataset, companions: Mapping[str, str]) -> str:
    """The values at one point; what they should be by their companions in brackets."""
    if at.failed.item():
        return "failed"
    words = []
    for name, companion in companions.items():
        value, error = at[name].item(), at[f"{name}_error"].item()
        text = f"{name} {value:.5g}" + (f" ± {error:.2g}" if np.isfinite(error) else "")
        if companion and np.isfinite(at[f"{name}_{companion}"].item()):
            text += f" ({at[f'{name}_{companion}'].item():.5g})"
        words.append(text)
    return ", ".join(words) + (f" [{at.reason.item()}]" if at.reason.item() else "")
