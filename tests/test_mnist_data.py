"""MNIST: the shipped digits, folders of IDX files, downloads, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import struct
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from chemlearn.data import load_mnist, original, shipped
from chemlearn.data.idx import read_images, read_labels, write_idx
from chemlearn.errors import DataError

IMAGES, LABELS = original.TRAIN
TEST_IMAGES, TEST_LABELS = original.TEST


def digits(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random pixels (all 256 values occur) and labels (all ten occur)."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 784), dtype=np.uint8)
    return pixels, np.resize(np.arange(10, dtype=np.uint8), count)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder like MNIST's: 30 digits to train with, 11 to test with."""
    where = tmp_path / "digits"
    where.mkdir()
    for names, (pixels, labels) in ((original.TRAIN, digits(30, 1)), (original.TEST, digits(11, 2))):
        (where / names[0]).write_bytes(write_idx(pixels))
        (where / names[1]).write_bytes(write_idx(labels))
    return where


def compress(folder: Path) -> None:
    """Leave every file of the folder as .gz only."""
    for path in list(folder.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()


# the shipped digits


def test_shipped_digits_are_the_published_split() -> None:
    mnist = load_mnist()
    assert mnist.train.images.shape == (10_000, 784)
    assert mnist.holdout.images.shape == (2_000, 784)
    assert mnist.train.images.dtype == np.float64
    assert mnist.test is None
    assert mnist.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.holdout.labels[:5].tolist() == [3, 8, 7, 9, 9]
    assert np.bincount(mnist.train.labels).tolist() == [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]
    # Sums of the integer pixels: exact in binary, since every value is a multiple of 1/256.
    assert mnist.train.images.sum() * 256 == 262_146_600
    assert mnist.holdout.images.sum() * 256 == 54_033_451
    assert mnist.train.images.min() == 0
    assert mnist.train.images.max() == 255 / 256
    assert mnist.provenance.genuine
    assert mnist.provenance.sha256 == shipped.CONTENTS


def test_shipped_files_are_idx_files_under_two_megabytes() -> None:
    home = Path(shipped.__file__).parent
    for name, sha256 in shipped.CONTENTS.items():
        packed = (home / name).read_bytes()
        assert len(packed) < 2_000_000
        content = lzma.decompress(packed)
        assert hashlib.sha256(content).hexdigest() == sha256
        assert f"{sha256}  {name.removesuffix('.xz')}" in (home / "README.md").read_text()
    assert struct.unpack(">4I", lzma.decompress((home / shipped.IMAGES).read_bytes())[:16]) == (
        2051,
        12000,
        28,
        28,
    )


def test_shipped_digits_are_those_of_the_original_file(shared: Path) -> None:
    whole = load_mnist(10_000, 2_000, folder=shared / "mnist")
    part = load_mnist()
    assert whole.provenance.genuine
    assert whole.provenance.sha256 == original.CONTENTS
    for a, b in ((whole.train, part.train), (whole.holdout, part.holdout)):
        assert np.array_equal(a.images, b.images)
        assert np.array_equal(a.labels, b.labels)
    assert whole.test is not None
    assert whole.test.images.shape == (10_000, 784)
    assert whole.test.labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_shipped_files_can_be_made_again(shared: Path, tmp_path: Path) -> None:
    home = Path(shipped.__file__).parent
    for path in shipped.write(shared / "mnist", tmp_path):
        assert path.read_bytes() == (home / path.name).read_bytes()


def test_shipped_files_that_changed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shipped.CONTENTS, shipped.LABELS, "0" * 64)
    with pytest.raises(DataError, match=r"labels-idx1-ubyte\.xz is not the file .* install chemlearn again"):
        load_mnist()


def test_writing_a_shorter_set(folder: Path, tmp_path: Path) -> None:
    compress(folder)
    first, again = tmp_path / "first", tmp_path / "again"
    for target in (first, again):
        target.mkdir()
        images, labels = shipped.write(folder, target, count=20)
    pixels, numbers = digits(30, 1)
    assert np.array_equal(read_images(images).values, pixels[:20])
    assert np.array_equal(read_labels(labels).values, numbers[:20])
    assert all((first / path.name).read_bytes() == path.read_bytes() for path in (images, labels))
    with pytest.raises(DataError, match="holds 30 digits for training; ask for 31 or fewer"):
        shipped.write(folder, again, count=31)


# a folder


@pytest.mark.parametrize("dots", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_folders_of_idx_files(folder: Path, dots: bool, packed: bool) -> None:
    if dots:
        for path in list(folder.iterdir()):
            path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    if packed:
        compress(folder)
    mnist = load_mnist(20, 7, folder=folder)
    pixels, labels = digits(30, 1)
    assert np.array_equal(mnist.train.images * 256, pixels[:20])
    assert np.array_equal(mnist.holdout.images * 256, pixels[20:27])
    assert np.array_equal(mnist.train.labels, labels[:20])
    assert np.array_equal(mnist.holdout.labels, labels[20:27])
    assert mnist.test is not None
    assert np.array_equal(mnist.test.images * 256, digits(11, 2)[0])
    assert np.array_equal(mnist.test.labels, digits(11, 2)[1])
    assert not mnist.provenance.genuine
    assert "not (all) MNIST's own" in mnist.provenance.source
    assert mnist.provenance.sha256[IMAGES] == hashlib.sha256(write_idx(pixels)).hexdigest()


def test_single_precision_is_exact(folder: Path) -> None:
    double, single = (load_mnist(30, 0, folder=folder, dtype=kind) for kind in (np.float64, np.float32))
    assert single.train.images.dtype == np.float32
    assert np.array_equal(single.train.images, double.train.images)
    assert len(single.holdout.images) == 0


def test_folder_without_a_test_file(folder: Path) -> None:
    (folder / TEST_IMAGES).unlink()
    with pytest.raises(DataError, match=r"holds no t10k-images-idx3-ubyte, plain or \.gz: put"):
        load_mnist(20, 5, folder=folder)
    (folder / TEST_LABELS).unlink()
    assert load_mnist(20, 5, folder=folder).test is None


# what is refused: (file, what happens to its bytes, what is said)

Damage = Callable[[bytes], bytes]


def put(position: int, new: bytes) -> Damage:
    """Overwrite bytes."""
    return lambda body: body[:position] + new + body[position + len(new) :]


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        (IMAGES, lambda body: body[:-1], "is truncated: 30 images need 23536 bytes, and it has 23535"),
        (LABELS, lambda body: body[:20], "is truncated: 30 labels need 38 bytes, and it has 20"),
        (IMAGES, lambda body: body[:10], "ends after 10 bytes, within the 16 bytes of its header"),
        (LABELS, lambda body: b"", "ends after 0 bytes, within the 8 bytes of its header"),
        (TEST_IMAGES, lambda body: body + b"\0", "is longer than its header says: 11 images need 8640"),
        (IMAGES, put(4, b"\xff\xff\xff\xff"), "is truncated: 4294967295 images"),
        (IMAGES, put(0, b"\0\0\x08\x04"), "begins with 0x00000804, where IDX images begin with 0x00000803"),
        (LABELS, put(0, b"PK\x03\x04"), "begins with 0x504b0304.*no file of labels"),
        (LABELS, gzip.compress, "it is compressed; let its name end in .gz"),
        (
            IMAGES,
            put(8, struct.pack(">2I", 14, 56)),
            "holds images of 14 × 56 pixels, where MNIST's have 28 × 28",
        ),
        (LABELS, put(8 + 13, b"\x0a"), "has the label 10 at position 13 .*labelled 0 to 9"),
        (
            LABELS,
            lambda body: struct.pack(">2I", 2049, 29) + body[9:],
            "holds 30 images, but .* has 29 labels",
        ),
        (TEST_LABELS, lambda body: struct.pack(">2I", 2049, 0), "holds no labels"),
    ],
)
def test_wrong_files_are_refused_by_name(folder: Path, name: str, damage: Damage, said: str) -> None:
    load_mnist(20, 5, folder=folder)
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    with pytest.raises(DataError, match=said) as caught:
        load_mnist(20, 5, folder=folder)
    assert str(folder / name) in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (gzip.decompress, "is not compressed as its name says .*take the ending off"),
        (lambda packed: packed[:-9], "is truncated or damaged"),
        (lambda packed: packed[:1], "is not compressed as its name says"),
        (put(100, bytes(50)), "is truncated or damaged"),
        (put(10, b"\xff"), "is truncated or damaged .*invalid block type"),
        (lambda packed: packed + b"more", "is truncated or damaged"),
    ],
)
def test_wrong_gz_files_are_refused_by_name(folder: Path, damage: Damage, said: str) -> None:
    compress(folder)
    load_mnist(20, 5, folder=folder)
    path = folder / f"{IMAGES}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=said) as caught:
        load_mnist(20, 5, folder=folder)
    assert str(path) in str(caught.value)


def test_truncated_xz_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.xz"
    path.write_bytes(lzma.compress(write_idx(digits(30, 1)[1]))[:-5])
    with pytest.raises(DataError, match=r"labels\.xz is truncated or damaged"):
        read_labels(path)


def swap(folder: Path, first: str, second: str) -> None:
    """Give two files each other's names."""
    a, b = (folder / first).read_bytes(), (folder / second).read_bytes()
    (folder / first).write_bytes(b)
    (folder / second).write_bytes(a)


def test_swapped_images_and_labels_are_refused(folder: Path) -> None:
    swap(folder, IMAGES, LABELS)
    with pytest.raises(DataError, match=r"train-images.* it holds labels; .*are the two swapped"):
        load_mnist(20, 5, folder=folder)


def test_swapped_training_and_test_files_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in original.CONTENTS:
        sha256 = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        monkeypatch.setitem(original.CONTENTS, name, sha256)
    assert load_mnist(5, 5, folder=folder).provenance.genuine
    swap(folder, IMAGES, TEST_IMAGES)
    with pytest.raises(DataError, match=r"holds 11 images, but .* has 30 labels"):
        load_mnist(5, 5, folder=folder)
    swap(folder, LABELS, TEST_LABELS)
    with pytest.raises(DataError, match="named train-images-idx3-ubyte is MNIST's t10k-images-idx3-ubyte"):
        load_mnist(5, 5, folder=folder)


def test_missing_files_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*nowhere: name the one"):
        load_mnist(folder=folder / "nowhere")
    (folder / LABELS).unlink()
    with pytest.raises(DataError, match=r"holds no train-labels-idx1-ubyte, plain or \.gz: put"):
        load_mnist(20, 5, folder=folder)
    with pytest.raises(DataError, match=r"gone cannot be read \(No such file or directory\)"):
        read_labels(folder / "gone")


def test_more_digits_than_there_are(folder: Path) -> None:
    with pytest.raises(DataError, match=r"10000 \+ 2001 .* more than the 12000 .* download them"):
        load_mnist(10_000, 2_001)
    with pytest.raises(DataError, match=r"30 \+ 1 .* more than the 30 there are .*: ask for fewer"):
        load_mnist(30, 1, folder=folder)
    assert len(load_mnist(29, 1, folder=folder).train.labels) == 29


def test_arguments_without_a_meaning(folder: Path) -> None:
    for wrong in (0, -5, 2.5, True):
        with pytest.raises(ValueError, match="train_size must be a whole number of digits, 1 or more, got"):
            load_mnist(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="holdout_size must be a whole number of digits, 0 or more, got -1"):
        load_mnist(5, -1)
    with pytest.raises(ValueError, match="dtype must be float32 or float64, got int8"):
        load_mnist(dtype=np.int8)
    with pytest.raises(ValueError, match="folder and download were both given"):
        load_mnist(folder=folder, download=True)


# downloads, from a server of this test


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(folder: Path) -> Iterator[str]:
    """The address of a server of ``folder``, whose files are compressed."""
    compress(folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}/"
        http.shutdown()
        thread.join()


@pytest.fixture
def cache(server: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; the first mirror has nothing, the second is the server."""
    monkeypatch.setattr(original, "MIRRORS", (f"{server}nothing/", server))
    monkeypatch.setenv("CHEMLEARN_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in original.ARCHIVES:
        monkeypatch.setitem(original.ARCHIVES, name, hashlib.sha256((folder / name).read_bytes()).hexdigest())
    return tmp_path / "cache"


def test_downloads_try_every_mirror_and_are_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mnist = load_mnist(20, 10, download=True)
    assert np.array_equal(mnist.train.images * 256, digits(30, 1)[0][:20])
    assert mnist.test is not None
    assert mnist.provenance.source.endswith(f"downloaded to {cache}")
    assert sorted(path.name for path in cache.iterdir()) == sorted(original.ARCHIVES)
    monkeypatch.setattr(original, "MIRRORS", ("http://127.0.0.1:9/",))
    again = load_mnist(20, 10, download=True)
    assert np.array_equal(again.train.images, mnist.train.images)


def test_downloads_of_something_else_are_refused(cache: Path, folder: Path) -> None:
    path = folder / f"{TEST_IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(
        DataError, match=r"t10k-images-idx3-ubyte\.gz could not .*HTTPError; .*another checksum"
    ):
        load_mnist(20, 10, download=True)
    assert f"{TEST_IMAGES}.gz" not in {path.name for path in cache.iterdir()}


def test_mirrors_keep_the_four_files() -> None:
    assert set(original.ARCHIVES) == {f"{name}.gz" for name in original.CONTENTS}
    assert all(mirror.startswith("https://") and mirror.endswith("/") for mirror in original.MIRRORS)
    assert all(len(bytes.fromhex(sha256)) == 32 for sha256 in original.ARCHIVES.values())
