"""IDX files of digits (plain, .gz or .xz), read with every doubt resolved before a pixel is used.

An IDX file is a header of big-endian 32-bit integers (a magic number 0x00000801 for a list of labels,
0x00000803 for a stack of images, then the sizes), followed by one byte per entry.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chemlearn.errors import DataError

IMAGE_MAGIC = 0x00000803
LABEL_MAGIC = 0x00000801
#: rows and columns of an image
SIDE = 28
CLASSES = 10
#: first bytes of compressed files, and how their names have to end
_COMPRESSED = {b"\x1f\x8b": ".gz", b"\xfd7zXZ\x00": ".xz"}


class Content(NamedTuple):
    """What an IDX file holds.

    Attributes
    ----------
    values : ndarray
        Labels, shape (count,), or pixels, shape (count, 784).
    sha256 : str
        Of the uncompressed file.
    """

    values: NDArray[np.uint8]
    sha256: str


def read_labels(path: Path) -> Content:
    """Read a file of digit labels.

    Parameters
    ----------
    path : Path
        The file; a name that ends in .gz or .xz says that it is compressed.

    Returns
    -------
    Content
        Labels 0 to 9, shape (count,).

    Raises
    ------
    DataError
        If the file is not exactly a complete IDX file of digit labels.
    """
    body, (count,), sha256 = _open(path, LABEL_MAGIC, "labels", sizes=1)
    _check_length(path, body, count, count, "labels")
    labels = np.frombuffer(body, np.uint8, offset=8)
    wrong = np.flatnonzero(labels >= CLASSES)
    if wrong.size:
        raise DataError(
            f"{path} has the label {labels[wrong[0]]} at position {wrong[0]} (counted from 0), "
            f"but digits are labelled 0 to {CLASSES - 1}: replace the file by one of MNIST's."
        )
    return Content(labels, sha256)


def read_images(path: Path) -> Content:
    """Read a file of 28 × 28 images.

    Parameters
    ----------
    path : Path
        The file; a name that ends in .gz or .xz says that it is compressed.

    Returns
    -------
    Content
        Pixels 0 to 255, row by row, shape (count, 784).

    Raises
    ------
    DataError
        If the file is not exactly a complete IDX file of 28 × 28 images.
    """
    body, (count, rows, columns), sha256 = _open(path, IMAGE_MAGIC, "images", sizes=3)
    if (rows, columns) != (SIDE, SIDE):
        raise DataError(
            f"{path} holds images of {rows} × {columns} pixels, where MNIST's have {SIDE} × {SIDE}: "
            "replace it by a file of such images."
        )
    _check_length(path, body, count, count * SIDE * SIDE, "images")
    return Content(np.frombuffer(body, np.uint8, offset=16).reshape(count, SIDE * SIDE), sha256)


def read_pair(images: Path, labels: Path) -> tuple[Content, Content]:
    """Read a file of images and the file of their labels, which must be equally many (else DataError)."""
    pixels, digits = read_images(images), read_labels(labels)
    if len(pixels.values) != len(digits.values):
        raise DataError(
            f"{images} holds {len(pixels.values)} images, but {labels} has {len(digits.values)} labels: "
            "they do not belong together; take both from the same set."
        )
    return pixels, digits


def write_idx(values: NDArray[np.uint8]) -> bytes:
    """The IDX file of labels (count,) or of 28 × 28 images (count, 784)."""
    if values.ndim == 1:
        header = struct.pack(">2I", LABEL_MAGIC, len(values))
    else:
        header = struct.pack(">4I", IMAGE_MAGIC, len(values), SIDE, SIDE)
    return header + values.tobytes()


def _open(path: Path, magic: int, what: str, *, sizes: int) -> tuple[bytes, tuple[int, ...], str]:
    """All bytes of the file, the sizes that its header names, and its checksum."""
    body = _uncompressed(path)
    length = 4 * (1 + sizes)
    if len(body) >= 4:
        _check_magic(path, body, magic, what)
    if len(body) < length:
        raise DataError(
            f"{path} ends after {len(body)} bytes, within the {length} bytes of its header: "
            "it is truncated; get it again."
        )
    return body, struct.unpack(f">{sizes}I", body[4:length]), hashlib.sha256(body).hexdigest()


def _uncompressed(path: Path) -> bytes:
    """The bytes of the file, uncompressed if its name says so."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): check its name and rights.") from error
    suffix = path.suffix.lower()
    if suffix not in _COMPRESSED.values():
        return raw
    if not any(raw.startswith(mark) for mark, named in _COMPRESSED.items() if named == suffix):
        raise DataError(
            f"{path} is not compressed as its name says (it does not begin like a {suffix} file): "
            "get it again, or take the ending off if it is a plain IDX file."
        )
    try:
        return gzip.decompress(raw) if suffix == ".gz" else lzma.decompress(raw, format=lzma.FORMAT_XZ)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        reason = str(error).rstrip(".")
        raise DataError(f"{path} is truncated or damaged ({reason}): get it again.") from error


def _check_magic(path: Path, body: bytes, magic: int, what: str) -> None:
    """Refuse a file that begins like something else, and say what it begins like."""
    (found,) = struct.unpack(">I", body[:4])
    if found == magic:
        return
    other = {IMAGE_MAGIC: "images", LABEL_MAGIC: "labels"}.get(found)
    packed = next((ending for mark, ending in _COMPRESSED.items() if body.startswith(mark)), None)
    if other is not None:
        advice = f"it holds {other}; give each file the name of what it holds (are the two swapped?)."
    elif packed is not None:
        advice = f"it is compressed; let its name end in {packed}."
    else:
        advice = f"it is no file of {what}; replace it by one of MNIST's."
    raise DataError(f"{path} begins with 0x{found:08x}, where IDX {what} begin with 0x{magic:08x}: {advice}")


def _check_length(path: Path, body: bytes, count: int, entries: int, what: str) -> None:
    """Refuse a file that holds less or more than its header says, or nothing."""
    expected = entries + (16 if what == "images" else 8)
    if len(body) < expected:
        raise DataError(
            f"{path} is truncated: {count} {what} need {expected} bytes, and it has {len(body)}; "
            "get it again."
        )
    if len(body) > expected:
        raise DataError(
            f"{path} is longer than its header says: {count} {what} need {expected} bytes, "
            f"and it has {len(body)}; get it again."
        )
    if count == 0:
        raise DataError(f"{path} holds no {what}: replace it by a file that does.")
