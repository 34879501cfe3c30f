"""The four files of MNIST: their names, where they are kept, and the checksums by which they are known."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from chemlearn.errors import DataError

TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

#: SHA-256 of the uncompressed files
CONTENTS = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
#: SHA-256 of the .gz files as first published; the mirrors keep those
ARCHIVES = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
#: tried in this order
MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)


class Files(NamedTuple):
    """The files of a set: images and labels to train with, and to test with where there are any."""

    train: tuple[Path, Path]
    test: tuple[Path, Path] | None


def find(folder: Path) -> Files:
    """Look for the files of MNIST in a folder.

    Parameters
    ----------
    folder : Path
        A name may have a dot before ``idx`` instead of a dash, and .gz at its end. Of several spellings the
        plain file comes first.

    Returns
    -------
    Files
        ``test`` is None where neither of its two files is there.

    Raises
    ------
    DataError
        If the folder or a file is missing.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}: name the one that holds MNIST's IDX files.")
    found = {name: _find(folder, name) for name in (*TRAIN, *TEST)}
    needed = TRAIN if all(found[name] is None for name in TEST) else (*TRAIN, *TEST)
    for name in needed:
        if found[name] is None:
            raise DataError(
                f"{folder} holds no {name}, plain or .gz: put MNIST's four files there under their own names."
            )
    paths = [path for path in found.values() if path is not None]
    return Files((paths[0], paths[1]), (paths[2], paths[3]) if len(paths) == 4 else None)


def _find(folder: Path, name: str) -> Path | None:
    """The first spelling of the name that the folder holds."""
    spellings = (name, name.replace("-idx", ".idx"))
    candidates = [folder / (spelling + ending) for ending in ("", ".gz") for spelling in spellings]
    return next((path for path in candidates if path.is_file()), None)


def check_names(found: dict[str, str]) -> bool:
    """Whether all are MNIST's own files; DataError where one of them goes by the name of another.

    Parameters
    ----------
    found : dict
        Name (as in ``CONTENTS``) to the SHA-256 of the uncompressed file that goes by it.
    """
    known = {sha256: name for name, sha256 in CONTENTS.items()}
    for name, sha256 in found.items():
        if known.get(sha256, name) != name:
            raise DataError(f"the file named {name} is MNIST's {known[sha256]}: give it its own name.")
    return all(CONTENTS[name] == sha256 for name, sha256 in found.items())


def download() -> Path:
    """Fetch the four files by pooch, unless they are kept already.

    Returns
    -------
    Path
        The folder that keeps them: ``$CHEMLEARN_DATA`` where that is set, else pooch's cache for chemlearn.

    Raises
    ------
    DataError
        If a file came from no mirror, or came with another checksum.
    """
    kept = [_download(name) for name in ARCHIVES]
    return kept[0].parent


def _download(name: str) -> Path:
    """One file from the first mirror that has it."""
    import pooch

    failures = []
    for mirror in MIRRORS:
        registry = {name: f"sha256:{ARCHIVES[name]}"}
        store = pooch.create(pooch.os_cache("chemlearn"), mirror, registry=registry, env="CHEMLEARN_DATA")
        try:
            return Path(store.fetch(name))
        # requests fails with an OSError; pooch says with a ValueError that the checksum differs.
        except (OSError, ValueError) as error:
            differs = isinstance(error, ValueError) and not isinstance(error, OSError)
            failures.append(f"{mirror}: {'another checksum' if differs else type(error).__name__}")
    raise DataError(
        f"{name} could not be downloaded ({'; '.join(failures)}): "
        "check the connection, or put MNIST's four files into a folder and name that."
    )
