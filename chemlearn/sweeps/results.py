"""The labelled results of a sweep: one Dataset over its axes, written into the store and read from it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from chemlearn.errors import SimulationError
from chemlearn.sweeps.chunks import write_whole
from chemlearn.sweeps.manifest import Sweep
from chemlearn.sweeps.measure import Estimate
from chemlearn.sweeps.plan import Plan
from chemlearn.sweeps.store import GROUP, Failure, Store, read_manifest
from chemlearn.sweeps.tasks import told


@dataclass(frozen=True)
class Outcome:
    """What is known of a point.

    Parameters
    ----------
    plan : Plan or None
    failure : Failure or None
    trajectories : int
        Simulated and kept; of a failed point those before the shard that failed.
    estimates : tuple of Estimate, optional
        Of the measures; empty until the point is complete.
    """

    plan: Plan | None = None
    failure: Failure | None = None
    trajectories: int = 0
    estimates: tuple[Estimate, ...] = ()


def estimates(sweep: Sweep, plan: Plan, numbers: Mapping[str, np.ndarray]) -> tuple[Estimate, ...]:
    """Value and error of every measure at a point.

    Parameters
    ----------
    numbers : mapping of str to (n_trajectories,) array
        By column; empty where no measure can be estimated.
    """
    found = []
    for measure, expected in zip(sweep.measures, plan.expected, strict=True):
        if expected.reason:
            found.append(Estimate(expected.value, np.nan, expected.reason))
            continue
        try:
            found.append(measure.estimate({c.name: numbers[c.name] for c in measure.columns}, expected))
        except Exception as error:  # of a user's own measure: the numbers are kept, and the rest goes on
            found.append(Estimate(np.nan, np.nan, told(error)))
    return tuple(found)


def results(sweep: Sweep, outcomes: Mapping[int, Outcome]) -> xr.Dataset:
    """The Dataset of a sweep.

    Parameters
    ----------
    sweep : Sweep
    outcomes : mapping of int to Outcome
        By point; a point that is missing has not been touched.

    Returns
    -------
    xarray.Dataset
        Over the axes of the grid, for each measure: its value, ``…_error`` (standard error), its companion
        (such as ``dissipation_rate_equations``) and its details (such as ``offset_rise``); ``memory``,
        ``trajectories``, ``failed`` and ``reason``. ``attrs["complete"]`` is 1 when no point is missing.
    """
    table = Table(sweep)
    for point in range(sweep.grid.size):
        table.fill(point, outcomes.get(point, Outcome()))
    unfinished = [p for p in range(sweep.grid.size) if not _settled(outcomes.get(p))]
    return xr.Dataset(table.variables(), table.coordinates(), _attributes(sweep, complete=not unfinished))


def _settled(outcome: Outcome | None) -> bool:
    return outcome is not None and bool(outcome.estimates or outcome.failure)


class Table:
    """The variables while they are filled in, point by point.

    Raises
    ------
    ValueError
        When two variables would have one name.
    """

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.units: dict[str, str] = {}
        self.numbers: dict[str, np.ndarray] = {}
        for measure in sweep.measures:
            for suffix in ("", "_error", *[f"_{measure.companion}"] * bool(measure.companion)):
                self._add(measure.name + suffix, measure.units)
        self._add("memory", "time unit of the model")
        size = sweep.grid.size
        self.trajectories = np.zeros(size, np.int64)
        self.words = {"failed": np.full(size, "", object), "reason": np.full(size, "", object)}

    def _add(self, name: str, units: str) -> None:
        if name in (*self.numbers, "trajectories", "failed", "reason"):
            raise ValueError(f"two things in the results would be named {name!r}; give one another name")
        self.units[name] = units
        self.numbers[name] = np.full(self.sweep.grid.size, np.nan)

    def fill(self, point: int, outcome: Outcome) -> None:
        """Enter what is known of a point."""
        self.trajectories[point] = outcome.trajectories
        if outcome.plan is not None:
            self.numbers["memory"][point] = outcome.plan.course.memory
            for measure, expected in zip(self.sweep.measures, outcome.plan.expected, strict=True):
                if measure.companion:
                    self.numbers[f"{measure.name}_{measure.companion}"][point] = expected.value
                for detail, value in expected.details.items():
                    if f"{measure.name}_{detail}" not in self.numbers:
                        self._add(f"{measure.name}_{detail}", "as in the model")
                    self.numbers[f"{measure.name}_{detail}"][point] = value
        if outcome.failure is not None:
            self.words["failed"][point] = outcome.failure.reason
            return
        reasons = []
        for measure, estimate in zip(self.sweep.measures, outcome.estimates, strict=False):
            self.numbers[measure.name][point] = estimate.value
            self.numbers[f"{measure.name}_error"][point] = estimate.error
            if estimate.reason:
                reasons.append(f"{measure.name}: {estimate.reason}")
        self.words["reason"][point] = "; ".join(reasons)

    def variables(self) -> dict[str, Any]:
        grid = self.sweep.grid
        found: dict[str, Any] = {
            name: (grid.names, column.reshape(grid.shape), {"units": self.units[name]})
            for name, column in self.numbers.items()
        }
        found["trajectories"] = (grid.names, self.trajectories.reshape(grid.shape))
        told = {"failed": "why the point failed", "reason": "why a value is nan or infinite"}
        for name, column in self.words.items():
            found[name] = (grid.names, column.reshape(grid.shape), {"long_name": told[name]})
        return found

    def coordinates(self) -> dict[str, Any]:
        return {axis.name: np.array(axis.values) for axis in self.sweep.grid.axes}


def _attributes(sweep: Sweep, *, complete: bool) -> dict[str, Any]:
    """Provenance, as simulated Datasets carry it, and the whole manifest."""
    manifest = sweep.manifest()
    model = manifest["model"]
    return {
        "kind": "sweep",
        "model": model["name"],
        "model_text": model["text"],
        "model_fingerprint": model["fingerprint"],
        "model_values": json.dumps(model["values"]),
        "roles": json.dumps({role: model[role] for role in ("input", "output", "weight")}),
        "split_reversible": int(model["split"]),
        "engine": sweep.engine,
        "engine_version": manifest["engine_version"],
        "seed": manifest["seed"],
        "measures": json.dumps({measure.name: measure.companion for measure in sweep.measures}),
        "conditions": json.dumps(manifest["conditions"]),
        "trajectories_wanted": sweep.trajectories,
        "chemlearn_version": manifest["chemlearn"],
        "complete": int(complete),
    }


# --- on disk -----------------------------------------------------------------------------------------------


def write_results(store: Store, data: xr.Dataset) -> None:
    """Write the Dataset into the group of a store, file by file, the table of contents last.

    Only of a complete sweep the disk is waited for: what is written on the way is written again anyway.

    Raises
    ------
    SimulationError
        When the disk is full or cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="chemlearn-") as folder:
        staged = Path(folder) / "results"
        try:
            data.to_zarr(staged, zarr_format=3, consolidated=False, write_empty_chunks=True)
        except OSError as error:
            raise SimulationError(
                f"{folder}: writing failed ({error.strerror or error}); make room"
            ) from None
        files = {path.relative_to(staged): path.read_bytes() for path in staged.rglob("*") if path.is_file()}
    root = json.loads(files.pop(Path("zarr.json")))
    wait = bool(data.attrs["complete"])
    for name, content in sorted(files.items()):
        _write(store, name, content, wait=wait)
    root["consolidated_metadata"] = {
        "kind": "inline",
        "must_understand": False,
        "metadata": _contents(store.path),
    }
    _write(store, Path("zarr.json"), json.dumps(root, indent=2).encode(), wait=wait)


def _write(store: Store, name: Path, content: bytes, *, wait: bool) -> None:
    """Write one file, unless it is there already."""
    path = store.path / name
    if not (path.is_file() and path.read_bytes() == content):
        write_whole(path, content, store.result.folder, wait=wait)


def _contents(root: Path) -> dict[str, Any]:
    """The metadata of everything in a group, by path: readers then need to open one file only."""
    found = {}
    for file in sorted(root.rglob("zarr.json")):
        if file.parent != root:
            found[file.parent.relative_to(root).as_posix()] = json.loads(file.read_text())
    return found


def load_sweep(path: str | Path) -> xr.Dataset:
    """The results of a sweep, as far as it is done.

    Parameters
    ----------
    path : str or Path
        The folder that :func:`chemlearn.sweep` wrote. ``xarray.open_zarr(path)`` gives the same without
        loading it, and with ``group="raw"`` the numbers of every trajectory.

    Returns
    -------
    xarray.Dataset
        As of :func:`chemlearn.sweep`.

    Raises
    ------
    SimulationError
        When there is no sweep, or it cannot be read.
    """
    path = Path(path)
    read_manifest(path)
    try:
        with xr.open_dataset(path, engine="zarr", chunks=None, consolidated=True) as data:
            return data.load()
    except (OSError, ValueError, KeyError) as error:
        raise SimulationError(
            f"{path}: the results are damaged ({' '.join(str(error).split())[:160]}); run the command of the "
            f"sweep again: it writes them anew from the trajectories in the folder {GROUP!r}"
        ) from None
