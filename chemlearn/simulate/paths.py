"""Full jump paths: every firing of every trajectory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from threading import Event
from typing import Any

import numpy as np
import xarray as xr

from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import native, sparse
from chemlearn.simulate.arguments import checked_ensemble, checked_times, require_fit, root_seed
from chemlearn.simulate.provenance import annotated

_BLOCK = 64  # trajectories that are in work at once


def simulate_paths(
    model: Model,
    until: float,
    *,
    signal: Signal | None = None,
    start: Mapping[str, float] | None = None,
    trajectories: int | range = 1,
    seed: int | None = None,
    point: int = 0,
    most_firings: int | None = None,
    timeout: float | None = None,
    stopping: Event | None = None,
) -> xr.Dataset:
    """Every firing of an ensemble of exact trajectories, by the native engine.

    The trajectories are those that :func:`simulate_ssa` makes with the same seed, point and signal.

    Parameters
    ----------
    model : Model
    until : float
        End time.
    signal, start, trajectories, seed, point, most_firings, timeout, stopping
        As of :func:`simulate_ssa`.

    Returns
    -------
    xarray.Dataset
        Over ``jump``, trajectory after trajectory: ``time``; ``fired``, the number of the reaction in
        ``reaction_name`` (−1 for the beginning of a trajectory, −2 − i for event i); ``trajectory``; and
        the amount of every species, and of what events set, from then on. ``jumps`` (number) says how many
        belong to each trajectory; the last amounts hold until ``attrs["until"]``.

    Raises
    ------
    ModelError, SimulationError
        As of :func:`simulate_ssa`.
    KeyboardInterrupt
        On Ctrl-C: a path that is cut short is of no use.
    """
    times = checked_times(np.array([float(until)]))
    numbers = checked_ensemble(trajectories, None, seed, most_firings, timeout)
    amounts = require_fit(model, signal, start)
    seed = root_seed(seed)
    limits = {"most_steps": most_firings, "timeout": timeout}
    chosen: dict[str, Any] = {key: value for key, value in limits.items() if value is not None}
    names = (*model.network.species, *model.network.switched)
    run: native.Run | sparse.Run
    made: Callable[[range, int, int], Iterator[Any]]
    if sparse.suits(model.network) is None:
        run = native.Run(model, times, signal, amounts, stopping=stopping, logged=True, **chosen)
        made = partial(native.paths, run)
    else:
        run = sparse.Run(model, times, signal, amounts, stopping=stopping, **chosen)
        made = run.paths
    first = run.initial[: len(names)]
    columns: dict[str, list[np.ndarray]] = {"time": [], "fired": [], "trajectory": []}
    states: list[np.ndarray] = []
    for begin in range(numbers.start, numbers.stop, _BLOCK):
        for number, at, fired, after in made(range(begin, min(begin + _BLOCK, numbers.stop)), seed, point):
            columns["time"].append(np.concatenate([[0.0], at]))
            columns["fired"].append(np.concatenate([[-1], np.where(fired < 0, fired - 1, fired)]))
            columns["trajectory"].append(np.full(1 + len(at), number))
            states.append(np.vstack([first, after]))
    state = np.concatenate(states)
    variables: dict[str, Any] = {name: ("jump", np.concatenate(parts)) for name, parts in columns.items()}
    for i, name in enumerate(names):
        unit = "molecules" if name in model.species else "as in the model"
        variables[name] = ("jump", state[:, i], {"units": unit})
    variables["jumps"] = ("number", [len(part) for part in columns["time"]])
    how = {
        "kind": "paths",
        "engine": "native",
        "engine_version": run.version,
        "seed": str(seed),
        "point": point,
        "start": json.dumps(amounts),
        "trajectories": len(numbers),
        "first_trajectory": numbers.start,
        "until": float(until),
    }
    coordinates = {"number": list(numbers), "reaction_name": [r.name for r in model.network.reactions]}
    return xr.Dataset(variables, coordinates, {**annotated(model, signal), **how})
