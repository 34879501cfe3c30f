"""Simulated data as xarray Datasets that say how they were made, so that a file can be made again."""

from __future__ import annotations

import json
import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from chemlearn.errors import SimulationError
from chemlearn.model import Model
from chemlearn.signal import Signal


def dataset(
    model: Model, times: np.ndarray, values: np.ndarray, signal: Signal | None, **how: str | int | float
) -> xr.Dataset:
    """A Dataset of simulated variables with its provenance in ``attrs``.

    Parameters
    ----------
    model : Model
    times : (n_times,) array
    values : (n_times, n_names) or (n_trajectories, n_times, n_names) array
        In the order of :func:`recorded`.
    signal : Signal or None
        What drove the input; None where it stood at the model's own value.
    **how
        Engine, its version, seed, tolerances: whatever is needed to repeat the run.
    """
    dims = ("trajectory", "time")[3 - values.ndim :]
    variables: dict[str, Any] = {}
    for i, name in enumerate(recorded(model)):
        unit = "molecules" if name in model.network.species else "as in the model"
        variables[name] = (dims, values[..., i], {"units": unit})
    held = sorted(model.network.boundary & model.network.constants.keys() - {model.input})
    for name in held:  # boundary species stay where someone else holds them
        amount = model.network.constants[name]
        variables[name] = (
            dims,
            np.full(values.shape[:-1], amount),
            {"units": "as in the model", "role": "boundary"},
        )
    variables |= driven(model, times, signal)
    coordinates = {"time": ("time", times, {"units": "time unit of the model"})}
    if values.ndim == 3:
        coordinates["trajectory"] = ("trajectory", np.arange(len(values)), {})
    return xr.Dataset(variables, coordinates, {**annotated(model, signal), **how})


def driven(model: Model, times: np.ndarray, signal: Signal | None) -> dict[str, Any]:
    """The input's course, as a variable of a Dataset; nothing for a model without one."""
    if model.input not in model.network.constants:
        return {}
    held = model.network.constants[model.input]
    level = np.full(len(times), held) if signal is None else signal(times)
    return {model.input: (("time",), level, {"role": "input", "units": "as in the model"})}


def annotated(model: Model, signal: Signal | None) -> dict[str, Any]:
    """What a file says of the model and the signal that it was made with."""
    return {
        "model": model.name,
        "model_text": model.text,
        "model_fingerprint": model.fingerprint,
        "model_values": json.dumps(dict(model.values)),
        "roles": json.dumps({"input": model.input, "output": model.output, "weight": model.weight}),
        "split_reversible": int(model.split),
        "parameters": json.dumps(model.parameters),
        "signal": json.dumps(signal.to_dict()) if signal is not None else "",
        "chemlearn_version": version("chemlearn"),
    }


def recorded(model: Model) -> tuple[str, ...]:
    """Names that a simulation records: the variables and the assignment rules."""
    return (*model.network.variables, *model.network.rules)


def save(data: xr.Dataset, path: str | Path) -> Path:
    """Write a Dataset as netCDF, whole or not at all.

    Raises
    ------
    SimulationError
        When the folder cannot be written; a file of that name is then as it was.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        os.close(handle)
    except OSError as error:
        raise SimulationError(
            f"{path.parent}: cannot write here ({error.strerror}); choose another place"
        ) from None
    try:
        data.to_netcdf(temporary, engine="h5netcdf")
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise SimulationError(
            f"{path}: writing failed ({error.strerror or error}); nothing was replaced"
        ) from None
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path


def load(path: str | Path) -> xr.Dataset:
    """Read a Dataset that :func:`save` wrote.

    Raises
    ------
    SimulationError
        When there is no such file, or it holds something else.
    """
    if not Path(path).is_file():
        raise SimulationError(f"{path}: this file does not exist; give one that chemlearn wrote")
    try:
        return xr.load_dataset(path, engine="h5netcdf")
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise SimulationError(
            f"{path}: this is no netCDF file ({reason}); give one that chemlearn wrote"
        ) from None


def repeat(data: xr.Dataset) -> xr.Dataset:
    """Simulate again what a Dataset of a simulation (rate equations, ensemble or paths) says of itself.

    Raises
    ------
    SimulationError
        When the Dataset does not say how it was made.
    """
    from chemlearn.simulate import simulate_ode, simulate_paths, simulate_ssa

    missing = [key for key in ("model_text", "engine", "kind") if key not in data.attrs]
    if missing:
        raise SimulationError(
            f"the data do not say how they were made: no {missing[0]!r} in their attributes"
        )
    how = data.attrs
    model = Model(
        name=how["model"],
        text=how["model_text"],
        origin=how["model"],
        values=tuple(sorted(json.loads(how["model_values"]).items())),
        **json.loads(how["roles"]),
        split=bool(how["split_reversible"]),
    )
    signal = Signal.from_dict(json.loads(how["signal"])) if how["signal"] else None
    start = json.loads(how["start"]) or None
    if how["kind"] == "ode":
        return simulate_ode(model, data.time.values, signal=signal, start=start)
    first = int(how.get("first_trajectory", 0))
    ensemble: dict[str, Any] = {
        "signal": signal,
        "start": start,
        "trajectories": range(first, first + int(how["trajectories"])),
        "seed": int(how["seed"]),
        "point": int(how["point"]),
    }
    if how["kind"] == "paths":
        return simulate_paths(model, float(how["until"]), **ensemble)
    return simulate_ssa(
        model,
        data.time.values,
        **ensemble,
        engine=how["engine"],
        reduce=json.loads(how["reduce"]) if "reduce" in how else None,
        firings=bool(how.get("firings", 0)),
        propensity_integrals=bool(how.get("propensity_integrals", 0)),
        accuracy=float(how["accuracy"]) if "accuracy" in how else None,
    )
