"""The MNIST digits, ready to learn from: the published split by default, the full set on request."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from chemlearn.data import original, shipped
from chemlearn.data.idx import Content, read_pair
from chemlearn.errors import DataError


class Digits(NamedTuple):
    """Handwritten digits and what they are.

    Attributes
    ----------
    images : ndarray
        Shape (count, 784), row by row; pixel/256, so that 0 ≤ value < 1.
    labels : ndarray
        Shape (count,), integers 0 to 9.
    """

    images: NDArray[np.floating[Any]]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Provenance:
    """Where digits come from.

    Attributes
    ----------
    source : str
        In words.
    sha256 : dict
        Name of a file to the SHA-256 of its uncompressed bytes.
    genuine : bool
        Whether all of them are MNIST's own, by these checksums.
    """

    source: str
    sha256: dict[str, str]
    genuine: bool


@dataclass(frozen=True, eq=False)
class MNIST:
    """Digits to train with, to choose by and to test with.

    Attributes
    ----------
    train : Digits
        The first of the training file.
    holdout : Digits
        Those that follow them there.
    test : Digits or None
        The test file; None with the shipped digits and where a folder has no test file.
    provenance : Provenance
        Where they come from.
    """

    train: Digits
    holdout: Digits
    test: Digits | None
    provenance: Provenance


def load_mnist(
    train_size: int = 10_000,
    holdout_size: int = 2_000,
    *,
    folder: str | Path | None = None,
    download: bool = False,
    dtype: DTypeLike = np.float64,
) -> MNIST:
    """Load MNIST: handwritten digits of 28 × 28 pixels.

    By default the 12,000 digits that the package ships, split as published: 0 to 9,999 of the training file
    to train with and 10,000 to 11,999 held out.

    Parameters
    ----------
    train_size : int, optional
        Digits to train with: the first of the training file.
    holdout_size : int, optional
        Digits held out: those that follow.
    folder : path, optional
        A folder with MNIST's IDX files, plain or .gz. Sets of the same shape are taken too, and
        ``provenance.genuine`` is False for them.
    download : bool, optional
        Fetch the full set from public mirrors into pooch's cache (or ``$CHEMLEARN_DATA``), once.
    dtype : optional
        float32 or float64. Pixels/256 are exact in both; float32 takes half the memory.

    Returns
    -------
    MNIST
        Training, held-out and test digits.

    Raises
    ------
    DataError
        If a file is missing, truncated, mislabelled or otherwise not what its name says, if a download
        failed, or if more digits are asked for than there are.
    ValueError
        If the sizes, ``dtype`` or the choice of a source make no sense.

    References
    ----------
    Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST database of handwritten digits; CC BY-SA 3.0.
    """
    train_size, holdout_size = _size("train_size", train_size, 1), _size("holdout_size", holdout_size, 0)
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {np.dtype(dtype)}.")
    if folder is not None and download:
        raise ValueError("folder and download were both given: choose one source of digits.")
    test = None
    if folder is None and not download:
        pair = shipped.read()
        names = shipped.IMAGES, shipped.LABELS
        source = f"the first {shipped.COUNT} digits of the MNIST training file, shipped with chemlearn"
        provenance = Provenance(source, _checksums(names, pair), genuine=True)
        advice = "name a folder of MNIST's IDX files or download them"
    else:
        where = original.download() if folder is None else Path(folder)
        pair, test, provenance = _from_folder(where, downloaded=folder is None)
        advice = "ask for fewer"
    end, there = train_size + holdout_size, len(pair[0].values)
    if end > there:
        raise DataError(
            f"{train_size} + {holdout_size} digits (to train with and held out) are more than the {there} "
            f"there are ({provenance.source}): {advice}."
        )
    return MNIST(
        train=_digits(pair, slice(0, train_size), dtype),
        holdout=_digits(pair, slice(train_size, end), dtype),
        test=None if test is None else _digits(test, slice(None), dtype),
        provenance=provenance,
    )


def _from_folder(
    folder: Path, *, downloaded: bool
) -> tuple[tuple[Content, Content], tuple[Content, Content] | None, Provenance]:
    """The training digits, the test digits and the provenance of a folder of IDX files."""
    paths = original.find(folder)
    train = read_pair(*paths.train)
    test = None if paths.test is None else read_pair(*paths.test)
    sha256 = _checksums(original.TRAIN, train)
    if test is not None:
        sha256 |= _checksums(original.TEST, test)
    genuine = original.check_names(sha256)
    kind = "MNIST" if genuine else "IDX files that are not (all) MNIST's own"
    source = f"{kind}, {'downloaded to' if downloaded else 'from'} {folder.resolve()}"
    return train, test, Provenance(source, sha256, genuine)


def _checksums(names: tuple[str, str], pair: tuple[Content, Content]) -> dict[str, str]:
    """Name to checksum, for images and labels."""
    return {name: content.sha256 for name, content in zip(names, pair, strict=True)}


def _digits(pair: tuple[Content, Content], part: slice, dtype: DTypeLike) -> Digits:
    """Some digits as numbers to compute with."""
    pixels, labels = pair
    # 1/256 is a power of two, so the product is exact.
    images = pixels.values[part].astype(dtype)
    images *= 1 / 256
    return Digits(images, labels.values[part].astype(np.int64))


def _size(name: str, value: int, least: int) -> int:
    """The number as an int; ValueError below the least that makes sense."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise ValueError(f"{name} must be a whole number of digits, {least} or more, got {value!r}.")
    return number
