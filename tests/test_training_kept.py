"""What training keeps: a checkpoint gives back what a kill took, to the bit; saved networks do as before."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chemlearn.data import Digits
from chemlearn.errors import DataError
from chemlearn.learning import training as module
from chemlearn.learning.checkpoints import load_network, read_arrays, write_arrays
from chemlearn.learning.compiled.lesson import CompiledLesson
from chemlearn.learning.evaluation import error_share
from chemlearn.learning.layered import LayeredNetwork
from chemlearn.learning.rules import Contrastive, Temporal
from chemlearn.learning.training import Progress, TrainingInterrupted
from tests.small_training import NETWORK, RATES, Few, assert_same, digits, quick


def die(place: str, path: str) -> None:
    """Train until killed, with nothing tidied up; run in a process of its own."""
    if place == "between epochs":

        def end(progress: Progress) -> None:
            if progress.epoch == 2:
                os._exit(9)

        quick(checkpoint=path, every=0.0, on_epoch=end)
    if place == "before the first is done":
        quick(checkpoint=path, every=1e9, on_epoch=lambda _: os._exit(9))
    calls = count()
    if place == "within an update":
        learn = CompiledLesson._learn

        def half(*given: Any) -> None:
            if next(calls) == 4 * 37 + 2:  # of the four groups of parameters two are done
                os._exit(9)
            learn(*given)

        CompiledLesson._learn = half
    if place == "while writing":
        swap = os.replace
        os.replace = lambda *names: os._exit(9) if next(calls) == 37 else swap(*names)
    quick(checkpoint=path, every=0.0)


@pytest.mark.parametrize(
    ("place", "epochs"),
    [("between epochs", 1), ("before the first is done", 0), ("within an update", 2), ("while writing", 2)],
)
def test_a_killed_training_goes_on_to_the_bit(place: str, epochs: int, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    code = f"from tests.test_training_kept import die; die({place!r}, {str(path)!r})"
    root = Path(__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, timeout=100).returncode == 9
    counts = read_arrays(path, "checkpoint")[0]["counts"]
    assert len(counts["train"]) == epochs
    assert (counts["minibatch"] > 0) == (place != "before the first is done")
    assert_same(quick(checkpoint=path, resume=True, seed=None), quick())
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_more_epochs_go_on_where_the_first_ended(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    quick(epochs=1, checkpoint=path)
    assert_same(quick(checkpoint=path, resume=True), quick())
    assert_same(quick(checkpoint=path, resume=True), quick())
    with pytest.raises(ValueError, match="4 epochs are done and 2 asked for"):
        quick(epochs=2, checkpoint=path, resume=True)


def test_ctrl_c_waits_for_the_minibatch_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.npz"
    learn = module._Term._learn
    calls = count()

    def pressed(*given: Any) -> None:
        if next(calls) == 20:
            os.kill(os.getpid(), signal.SIGINT)
        learn(*given)

    monkeypatch.setattr(module._Term, "_learn", pressed)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(TrainingInterrupted) as caught:
        quick(checkpoint=path)
    assert signal.getsignal(signal.SIGINT) is before
    assert caught.value.training.curves.sizes["epoch"] == 1
    assert read_arrays(path, "checkpoint")[0]["counts"]["minibatch"] == 6
    assert_same(quick(checkpoint=path, resume=True), quick())


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"batch": 10}, "batch 20, got 10"),
        ({"nudge": 0.4}, "nudge 0.5, got 0.4"),
        ({"shuffle": False}, "shuffle True, got False"),
        ({"backend": "numpy"}, "backend numba, got numpy"),
        ({"seed": 6}, "seed 5, got 6"),
        ({"rule": Temporal.falk2023()}, "rule.thresholds.W1 1e-05, got 1.2e-06"),
        ({"rule": Contrastive(RATES)}, "rule.kind Temporal, got Contrastive"),
        ({"network": LayeredNetwork((49, 13, 3))}, r"sizes \[49, 12, 3\], got \[49, 13, 3\]"),
        ({"network": LayeredNetwork((49, 12, 3), "float32")}, "dtype float64, got float32"),
        ({"network": LayeredNetwork((49, 12, 3), free_steps=9)}, "free_steps 20, got 9"),
        ({"network": LayeredNetwork((49, 12, 3), nudged_steps=5)}, "nudged_steps 4, got 5"),
    ],
)
def test_other_settings_are_refused_by_name(changed: dict[str, Any], name: str, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    quick(epochs=1, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(DataError, match=f"made with {name}"):
        quick(checkpoint=path, resume=True, **changed)
    assert path.read_bytes() == before


def test_other_data_and_misplaced_checkpoints_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(DataError, match="cannot be read"):
        quick(checkpoint=path, resume=True)
    quick(epochs=1, checkpoint=path)
    before = path.read_bytes()
    images = digits().train.images.copy()
    images[7, 7] += 1e-3
    other = Few(Digits(images, digits().train.labels), digits().holdout)
    with pytest.raises(DataError, match="made with data_sha256"):
        quick(checkpoint=path, resume=True, data=other)
    with pytest.raises(DataError, match="there is a checkpoint already"):
        quick(checkpoint=path)
    with pytest.raises(DataError, match="a network is needed, got a checkpoint"):
        load_network(path)
    with pytest.raises(ValueError, match="resume needs a checkpoint"):
        quick(resume=True)
    assert path.read_bytes() == before


def test_a_damaged_checkpoint_is_found(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    quick(epochs=1, checkpoint=path)
    whole = path.read_bytes()
    header, arrays = read_arrays(path, "checkpoint")
    for end in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match=rf"{path}: .*(damaged|cannot be read)"):
            quick(checkpoint=path, resume=True)
    rng = np.random.default_rng(3)
    refused = 0
    for place in rng.integers(len(whole), size=200):
        changed = bytearray(whole)
        changed[place] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        try:
            found = read_arrays(path, "checkpoint")
        except DataError:
            refused += 1
        else:  # a byte that says nothing, such as a date in the zip file
            assert found[0] == header
            assert all((found[1][name] == values).all() for name, values in arrays.items())
    assert refused > 150


def test_numbers_changed_with_care_are_found_by_their_sum(tmp_path: Path) -> None:
    """A zip file that is right in itself, with one number changed."""
    path = tmp_path / "network.npz"
    quick(epochs=1).save(path)
    with np.load(path) as file:
        members = dict(file)
    members["array.W1"][3, 3] += 1e-9
    np.savez(path, **members)
    with pytest.raises(DataError, match="its SHA-256 is not the one noted"):
        load_network(path)


def test_a_saved_network_does_as_training_said(tmp_path: Path) -> None:
    training = quick()
    path = tmp_path / "folder" / "network.npz"
    training.save(path)
    found = load_network(path)
    assert found.network == NETWORK
    assert error_share(found.network, found.params, digits().holdout) == training.curves.holdout_error[-1]
    assert found.provenance["seed"] == 5
    assert found.provenance["settings"] == json.loads(training.curves.settings)
    assert found.provenance["settings"]["rule"]["sawtooth"]["fall"] == 0.9
    assert found.provenance["last"]["train_error"] == [float(training.curves.train_error[-1])]
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        training.save(tmp_path / "file" / "network.npz")


def test_a_saved_network_keeps_its_steps(tmp_path: Path) -> None:
    network = LayeredNetwork((49, 12, 3), "float32", free_steps=7, nudged_steps=3)
    quick(epochs=1, network=network).save(tmp_path / "network.npz")
    assert load_network(tmp_path / "network.npz").network == network


def test_an_older_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    quick(epochs=1, checkpoint=path)
    header, arrays = read_arrays(path, "checkpoint")
    header = {name: value for name, value in header.items() if name not in ("kind", "layout")}
    write_arrays(path, "checkpoint", header, arrays)
    with pytest.raises(DataError, match=r"was written by chemlearn .* cannot be resumed by this one"):
        quick(checkpoint=path, resume=True)
