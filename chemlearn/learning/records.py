"""What training rests on, settings, data and seed, and the checkpoint that holds it with where it stands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chemlearn.errors import DataError
from chemlearn.learning.arrays import Array
from chemlearn.learning.checkpoints import read_arrays, write_arrays
from chemlearn.learning.layered import LayeredNetwork

if TYPE_CHECKING:
    from chemlearn.learning.evaluation import Data
    from chemlearn.learning.rules import Rule

__all__ = ["Record", "load_record", "save_record", "settings_of"]

_LAYOUT = 2  # of a checkpoint; since 2 the states of held-out examples are part of it
_WIDTH = 60  # characters of a value that a message shows


@dataclass(frozen=True)
class Record:
    """Settings, of kinds that JSON knows, and the root seed; None where it is still to be drawn."""

    settings: dict[str, Any]
    seed: int | None

    @property
    def root(self) -> int:
        """The root seed, which is known by now."""
        assert self.seed is not None
        return self.seed

    def with_seed(self) -> Record:
        """The same with a seed, drawn if there is none."""
        return (
            self
            if self.seed is not None
            else replace(self, seed=int(np.random.SeedSequence().generate_state(1)[0]))
        )

    @property
    def provenance(self) -> dict[str, Any]:
        """What is needed to repeat the training, for a saved network."""
        return {"settings": self.settings, "seed": self.seed}

    @property
    def attrs(self) -> dict[str, Any]:
        """The same for a Dataset, of kinds that netCDF knows."""
        return {
            "settings": json.dumps(self.settings),
            "seed": str(self.seed),
            "chemlearn_version": version("chemlearn"),
        }

    def require_room(self, path: Path) -> None:
        """Refuse to write over an older checkpoint."""
        if path.exists():
            raise DataError(
                f"{path}: there is a checkpoint already; resume it, or name another place or delete it"
            )

    def require_same(self, path: Path, found: Record) -> None:
        """Refuse a checkpoint of other settings, data or seed, naming the first that differs."""
        ours, theirs = dict(_flat(self.settings)), dict(_flat(found.settings))
        if self.seed is not None:
            ours["seed"], theirs["seed"] = self.seed, found.seed
        for name in [*theirs, *ours]:
            was, now = theirs.get(name, "nothing"), ours.get(name, "nothing")
            if was != now:
                raise DataError(
                    f"{path}: this checkpoint was made with {name} {_short(was)}, got {_short(now)}; "
                    "ask for the same or begin anew elsewhere"
                )


def settings_of(network: LayeredNetwork, rule: Rule, data: Data, **how: Any) -> dict[str, Any]:
    """All that decides how training goes, but the seed and the number of epochs."""
    found = {
        "sizes": network.sizes,
        "dtype": network.dtype,
        "rule": rule,
        **how,
        "train_size": len(data.train.labels),
        "holdout_size": len(data.holdout.labels),
        "data_sha256": _checksum(data),
    }
    return json.loads(json.dumps(_described(found)))


def save_record(path: Path, record: Record, counts: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a checkpoint."""
    header = {**record.provenance, "counts": dict(counts), "layout": _LAYOUT}
    write_arrays(path, "checkpoint", header, arrays)


def load_record(path: Path | None, asked: Record) -> tuple[Record, dict[str, Any], dict[str, Array]]:
    """Read a checkpoint of what is asked: its record, counts and arrays.

    Raises
    ------
    ValueError
        If there is no path.
    DataError
        If the file is not there, is damaged, is an older chemlearn's, or is of other settings, data or seed.
    """
    if path is None:
        raise ValueError("resume needs a checkpoint, got none; name its file")
    header, arrays = read_arrays(path, "checkpoint")
    if header.get("layout") != _LAYOUT:
        raise DataError(
            f"{path}: this checkpoint was written by chemlearn {header['chemlearn_version']} and cannot be "
            "resumed by this one; go on with that version or begin anew elsewhere"
        )
    record = Record(header["settings"], header["seed"])
    asked.require_same(path, record)
    return record, header["counts"], arrays


def _checksum(data: Data) -> str:
    """SHA-256 of all examples and classes with their types and shapes."""
    digest = hashlib.sha256()
    for part in (data.train, data.holdout):
        for values in (part.images, part.labels):
            digest.update(f"{values.dtype.str} {values.shape}\n".encode())
            digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _described(value: Any) -> Any:
    """A value, such as a rule with its kernel, in kinds that JSON knows."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return _described(value.item())
    if isinstance(value, complex):
        return [value.real, value.imag]
    if isinstance(value, Mapping):
        return {str(key): _described(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return _described(value.tolist())
    if isinstance(value, list | tuple):
        return [_described(entry) for entry in value]
    parts = {f.name: getattr(value, f.name) for f in fields(value)} if is_dataclass(value) else vars(value)
    return {"kind": type(value).__qualname__} | {name: _described(part) for name, part in parts.items()}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings of settings under one name each, such as rule.sawtooth.rise."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}…"
