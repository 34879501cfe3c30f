"""Networks and training on disk: npz files that are whole or not there, and that know when they are damaged.

A file holds plain arrays, a header (JSON text) and a SHA-256 of both; nothing in it is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from chemlearn.errors import DataError
from chemlearn.learning.arrays import Array
from chemlearn.learning.layered import LayeredNetwork
from chemlearn.learning.substrate import Params

__all__ = ["SavedNetwork", "load_network", "read_arrays", "save_network", "write_arrays"]

Kind = Literal["network", "checkpoint"]


class SavedNetwork(NamedTuple):
    """A network from a file.

    Attributes
    ----------
    network : LayeredNetwork
    params : Params
    provenance : dict
        How it was made: what :func:`save_network` was given, and ``chemlearn_version``.
    """

    network: LayeredNetwork
    params: Params
    provenance: dict[str, Any]


def save_network(path: str | Path, network: LayeredNetwork, params: Params, **provenance: Any) -> None:
    """Write a network with its provenance; an older file is replaced once all is written.

    Parameters
    ----------
    path : path
        By custom ``.npz``; numpy.load opens it too.
    network : LayeredNetwork
    params : Params
    **provenance
        Settings, seed, checksum of the data and so on, of kinds that JSON knows.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    write_arrays(path, "network", {**asdict(network), "provenance": provenance}, params)


def load_network(path: str | Path) -> SavedNetwork:
    """Read what :func:`save_network` wrote.

    Raises
    ------
    DataError
        If the file is not there, damaged or something else.
    """
    header, params = read_arrays(path, "network")
    # Files from before a network had steps hold none: theirs are the defaults.
    known = {part.name: header[part.name] for part in fields(LayeredNetwork) if part.name in header}
    network = LayeredNetwork(**known)
    return SavedNetwork(
        network, params, header["provenance"] | {"chemlearn_version": header["chemlearn_version"]}
    )


def write_arrays(
    path: str | Path, kind: Kind, header: Mapping[str, Any], arrays: Mapping[str, Array]
) -> None:
    """Write arrays and a header as one file, which appears whole or not at all.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    path = Path(path)
    text = json.dumps({"kind": kind, "chemlearn_version": version("chemlearn"), **header})
    kept = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    # One name for all that is unfinished, so that what a killed process left is overwritten by the next one.
    unfinished = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            members = {f"array.{name}": values for name, values in kept.items()}
            members |= {"header": np.array(text), "sha256": np.array(_digest(text, kept))}
            np.savez(file, **members)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); choose another place"
        ) from None


def read_arrays(path: str | Path, kind: Kind) -> tuple[dict[str, Any], dict[str, Array]]:
    """The header and the arrays of a file.

    Raises
    ------
    DataError
        If the file is not there, is truncated or changed, or is of another kind.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            text, digest = str(file["header"]), str(file["sha256"])
            arrays = {
                name.removeprefix("array."): file[name] for name in file.files if name.startswith("array.")
            }
        header = json.loads(text)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror or error}); name a file that is there"
        ) from None
    except Exception:  # whatever a changed byte leads the reader of zip files to
        raise DataError(f"{path}: this {kind} is damaged, or no {kind} at all; use another file") from None
    if digest != _digest(text, arrays):
        raise DataError(f"{path}: this {kind} is damaged: its SHA-256 is not the one noted; use another file")
    if header["kind"] != kind:
        raise DataError(f"{path}: a {kind} is needed, got a {header['kind']}; name a file of that kind")
    return header, arrays


def _digest(text: str, arrays: Mapping[str, Array]) -> str:
    """SHA-256 of a header and of arrays with their names, types and shapes."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        values = arrays[name]
        digest.update(f"\n{name} {values.dtype.str} {values.shape}\n".encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make the new name in the folder outlive a power cut, where the system lets folders be opened."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
