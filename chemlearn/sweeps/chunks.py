"""One piece of an array in one file: whole on the disk, or not there at all.

zarr's own store replaces files atomically but does not wait for the disk, so a power failure may leave an
empty file behind; here a file gets its name only after its bytes are safe. The bytes are those of zarr v3
with the codecs ``bytes`` and ``crc32c``, so that zarr reads them and finds what is damaged.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from chemlearn.errors import SimulationError

PART = "writing.part"  # the name of a file that is being written; one writer, so one name is enough
_CRC_BYTES = 4


class Damaged(Exception):
    """A file that does not hold what was written."""


def write_whole(path: Path, content: bytes, scratch: Path, *, wait: bool = True) -> None:
    """Write a file so that it is there whole or not at all, whatever happens meanwhile.

    Parameters
    ----------
    path : Path
    content : bytes
    scratch : Path
        Folder on the same disk, where half-written files do no harm.
    wait : bool
        Whether to wait until the disk has it, so that a power failure cannot take it any more.

    Raises
    ------
    SimulationError
        When the disk is full or cannot be written; nothing is half-written then.
    """
    temporary = scratch / PART
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            if wait:
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if wait:
            _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise SimulationError(
            f"{path}: writing failed ({error.strerror or error}); everything written before is whole: make "
            f"room or choose another place, and run the same command again to go on"
        ) from None


def _sync_folder(folder: Path) -> None:
    """Make the new name of a file safe too, where the file system can; without it the file may be missing
    after a power failure, but never damaged.
    """
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@dataclass(frozen=True)
class Chunks:
    """The chunks of a zarr v3 array as files.

    Parameters
    ----------
    folder : Path
        Of the array.
    shape : tuple of int
        Of one chunk.
    dtype : str
        NumPy's name, little-endian.
    """

    folder: Path
    shape: tuple[int, ...]
    dtype: str

    def path(self, *index: int) -> Path:
        """File of a chunk, by zarr's default naming."""
        return self.folder.joinpath("c", *map(str, index))

    def has(self, *index: int) -> bool:
        return self.path(*index).exists()

    def write(self, values: np.ndarray, *index: int) -> None:
        """Write a chunk, (…) of the whole shape.

        Raises
        ------
        SimulationError
            As :func:`write_whole`.
        """
        content = np.ascontiguousarray(values, self.dtype).reshape(self.shape).tobytes()
        checksum = google_crc32c.value(content).to_bytes(_CRC_BYTES, "little")
        write_whole(self.path(*index), content + checksum, self.folder)

    def read(self, *index: int) -> np.ndarray:
        """A chunk.

        Raises
        ------
        Damaged
            When size or checksum are wrong.
        """
        path = self.path(*index)
        content = path.read_bytes()
        wanted = int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize + _CRC_BYTES
        if len(content) != wanted:
            raise Damaged(f"{path}: damaged: {len(content)} bytes long where {wanted} were written")
        body, checksum = content[:-_CRC_BYTES], content[-_CRC_BYTES:]
        if google_crc32c.value(body) != int.from_bytes(checksum, "little"):
            raise Damaged(f"{path}: damaged: the checksum is not that of its content")
        return np.frombuffer(body, self.dtype).reshape(self.shape)

    def remove(self, *index: int) -> None:
        self.path(*index).unlink(missing_ok=True)

    def write_text(self, content: Any, *index: int) -> None:
        """Write something for JSON into a chunk of bytes."""
        text = json.dumps(content).encode()
        width = int(np.prod(self.shape))
        if len(text) > width:
            raise ValueError(f"a text of {len(text)} bytes does not fit into {width}")
        self.write(np.frombuffer(text.ljust(width, b" "), np.uint8), *index)

    def read_text(self, *index: int) -> Any:
        """What :meth:`write_text` wrote."""
        return json.loads(self.read(*index).tobytes())
