"""All that the numbers of a sweep depend on, as it is written beside them, and how two sweeps differ."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np

from chemlearn.errors import SimulationError
from chemlearn.model import Model
from chemlearn.sweeps.grid import Axis, Grid
from chemlearn.sweeps.measure import Conditions, Measure
from chemlearn.sweeps.measures import MEASURES, columns_of

FORMAT = 1  # of the store; another number is another layout
_ENGINE_PACKAGES = {"roadrunner": "libroadrunner", "gillespy2": "gillespy2"}  # the others are our own
_ALSO = ("numpy", "scipy", "xarray", "zarr")  # noted, but free to change while a sweep is under way


@dataclass(frozen=True)
class Sweep:
    """What is swept.

    Parameters
    ----------
    model : Model
        Before the values of the grid are set.
    grid : Grid
    measures : tuple of Measure
    conditions : Conditions
    trajectories : int
        At every point, at least 2.
    seed : int
        Root of all streams: trajectory k of point p has its own, whoever simulates it.
    engine : str
    shard_size : int
        Trajectories that are simulated together and written as one file.
    """

    model: Model
    grid: Grid
    measures: tuple[Measure, ...]
    conditions: Conditions
    trajectories: int
    seed: int
    engine: str
    shard_size: int

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of what is kept of every trajectory."""
        return tuple(column.name for column in columns_of(self.measures))

    @property
    def shards(self) -> int:
        """Number of shards of a point."""
        return -(-self.trajectories // self.shard_size)

    def block(self, shard: int) -> range:
        """Trajectories of a shard."""
        start = shard * self.shard_size
        return range(start, min(start + self.shard_size, self.trajectories))

    def model_at(self, point: int) -> Model:
        """The model with the values of a point.

        Raises
        ------
        ModelError
            For a name that it does not have.
        """
        return self.model.with_values(**self.grid.values(point))

    def manifest(self) -> dict[str, Any]:
        """What this is, in a form for JSON."""
        model = self.model
        return {
            "format": FORMAT,
            "model": {
                "name": model.name,
                "text": model.text,
                "values": dict(model.values),
                "input": model.input,
                "output": model.output,
                "weight": model.weight,
                "split": model.split,
                "fingerprint": model.fingerprint,
            },
            "over": [[axis.name, list(axis.values)] for axis in self.grid.axes],
            "measures": [[measure.name, repr(measure)] for measure in self.measures],
            "conditions": asdict(self.conditions),
            "trajectories": self.trajectories,
            "seed": str(self.seed),  # a drawn one has 128 bits
            "engine": self.engine,
            "shard_size": self.shard_size,
            "chemlearn": version("chemlearn"),
            "engine_version": version(_ENGINE_PACKAGES.get(self.engine, "chemlearn")),
            "made_with": {"python": platform.python_version(), **{name: version(name) for name in _ALSO}},
        }


def sweep_of(manifest: Mapping[str, Any], measures: Iterable[Measure] = ()) -> Sweep:
    """The sweep that a manifest describes.

    Parameters
    ----------
    manifest : mapping
        From :meth:`Sweep.manifest`.
    measures : iterable of Measure
        Those that are not known by name.

    Raises
    ------
    SimulationError
        For a measure that is not at hand.
    """
    at_hand = MEASURES | {measure.name: measure for measure in measures}
    for name, text in manifest["measures"]:
        if name not in at_hand or repr(at_hand[name]) != text:
            raise SimulationError(
                f"the measure {text} is not at hand; give it in Python, with measures=[...]"
            )
    told = dict(manifest["model"])
    del told["fingerprint"]
    values = tuple(sorted(told.pop("values").items()))
    return Sweep(
        Model(**told, origin=told["name"], values=values),
        Grid(tuple(Axis(name, tuple(values)) for name, values in manifest["over"])),
        tuple(at_hand[name] for name, _ in manifest["measures"]),
        Conditions(**manifest["conditions"]),
        manifest["trajectories"],
        int(manifest["seed"]),
        manifest["engine"],
        manifest["shard_size"],
    )


def resumed(sweep: Sweep, manifest: Mapping[str, Any], *, seed: bool, shard_size: bool) -> Sweep:
    """The sweep with what was not asked for (seed, shard size) as in the manifest of what is there."""
    if not seed:
        sweep = replace(sweep, seed=int(manifest["seed"]))
    return sweep if shard_size else replace(sweep, shard_size=int(manifest["shard_size"]))


def differences(there: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """How two manifests differ, each difference with its old and its new value; empty where they agree."""
    found = []
    if there.get("format") != asked["format"]:
        return [f"the format of the store is {there.get('format')} there and {asked['format']} here"]
    model, other = there["model"], asked["model"]
    if model["text"] != other["text"]:
        found.append(_line(model["text"], other["text"]))
    found += _changed("the model's ", model, other, ("input", "output", "weight", "split"))
    for name in sorted(model["values"].keys() | other["values"].keys()):
        found += _changed("", model["values"], other["values"], (name,))
    old, new = dict(there["over"]), dict(asked["over"])
    if list(old) != list(new):
        found.append(f"the swept names are {', '.join(old)} there and {', '.join(new)} here")
    found += [_series(name, old[name], new[name]) for name in old if name in new and old[name] != new[name]]
    old, new = dict(there["measures"]), dict(asked["measures"])
    if list(old) != list(new):
        found.append(f"the measures are {', '.join(old)} there and {', '.join(new)} here")
    else:
        found += _changed("the measure ", old, new, tuple(old))
    found += _changed("", there["conditions"], asked["conditions"], tuple(asked["conditions"]))
    plain = ("trajectories", "seed", "engine", "shard_size", "chemlearn", "engine_version")
    return found + _changed("", there, asked, plain)


def _changed(what: str, old: Mapping[str, Any], new: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    return [
        f"{what}{name.replace('_', ' ')} is {_shown(old.get(name))} there and {_shown(new.get(name))} here"
        for name in names
        if old.get(name) != new.get(name)
    ]


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _line(old: str, new: str) -> str:
    """The first line in which two texts differ."""
    lines, others = old.splitlines(), new.splitlines()
    pairs = list(zip(lines, others, strict=False))
    number = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
    a, b = (text[number].strip() if number < len(text) else "missing" for text in (lines, others))
    return f"line {number + 1} of the model is {a!r} there and {b!r} here"


def _series(name: str, old: list[float], new: list[float]) -> str:
    """How the values of an axis differ."""
    if len(old) != len(new):
        return f"{name} takes {len(old)} values there and {len(new)} here"
    i = int(np.flatnonzero(np.asarray(old) != np.asarray(new))[0])
    return f"value {i + 1} of {name} is {old[i]:.15g} there and {new[i]:.15g} here"
