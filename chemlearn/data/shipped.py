"""The first 12,000 digits of MNIST's training file, as the package carries them.

They are two IDX files, compressed by xz. They were made by, and can be made again with

    python -c "from chemlearn.data.shipped import write; write('FOLDER OF MNIST', 'FOLDER TO WRITE TO')"
"""

from __future__ import annotations

import lzma
from pathlib import Path

from chemlearn.data.idx import Content, read_pair, write_idx
from chemlearn.data.original import find
from chemlearn.errors import DataError

COUNT = 12_000
IMAGES = "mnist-12000-images-idx3-ubyte.xz"
LABELS = "mnist-12000-labels-idx1-ubyte.xz"
#: SHA-256 of the uncompressed files
CONTENTS = {
    IMAGES: "dcb5db4d00d217c253d297e530dbd4ee402e840c88dfbb51ac744c47306c98c1",
    LABELS: "2c90b8c2199fe10795e2ce1bdba6c1f0d101391374b748823bdf06b4f282b679",
}
# A pixel is best guessed from the four high bits of the one before (lc); alignment says nothing (pb).
_FILTER = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}


def read() -> tuple[Content, Content]:
    """The shipped images and labels; DataError where they are not the ones that were shipped."""
    folder = Path(__file__).parent
    pixels, digits = read_pair(folder / IMAGES, folder / LABELS)
    for name, content in ((IMAGES, pixels), (LABELS, digits)):
        if content.sha256 != CONTENTS[name]:
            raise DataError(f"{name} is not the file that chemlearn came with: install chemlearn again.")
    return pixels, digits


def write(source: str | Path, target: str | Path, count: int = COUNT) -> tuple[Path, Path]:
    """Write the first digits of a training file as the package ships them.

    Parameters
    ----------
    source : path
        A folder with MNIST's training files.
    target : path
        The folder to write to.
    count : int, optional
        How many digits.

    Returns
    -------
    tuple of Path
        The file of images and the file of labels; their bytes depend on nothing but the digits and liblzma.

    Raises
    ------
    DataError
        If the files are not there, not in order, or hold fewer digits.
    """
    pixels, digits = read_pair(*find(Path(source)).train)
    if len(pixels.values) < count:
        raise DataError(f"{source} holds {len(pixels.values)} digits for training; ask for {count} or fewer.")
    written = Path(target) / IMAGES, Path(target) / LABELS
    for path, content in zip(written, (pixels, digits), strict=True):
        path.write_bytes(lzma.compress(write_idx(content.values[:count]), filters=[_FILTER]))
    return written
