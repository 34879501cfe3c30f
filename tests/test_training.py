"""Training: it learns, its controls do not, and a checkpoint gives back what a kill took, to the bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from chemlearn.data import Digits, load_mnist
from chemlearn.errors import DataError
from chemlearn.learning import training as module
from chemlearn.learning.checkpoints import load_network, read_arrays, write_arrays
from chemlearn.learning.compiled.lesson import CompiledLesson
from chemlearn.learning.evaluation import error_share
from chemlearn.learning.layered import LayeredNetwork
from chemlearn.learning.rules import Contrastive, Hebbian, Rule, Temporal
from chemlearn.learning.schedules import Annealed
from chemlearn.learning.training import Progress, Training, TrainingInterrupted, train

NETWORK = LayeredNetwork((49, 12, 3))
RATES = {"W1": 0.25, "b1": 0.25, "W2": 0.125, "b2": 0.125}
EPOCHS = 4


class Few(NamedTuple):
    """What :func:`train` needs of data."""

    train: Digits
    holdout: Digits


@cache
def digits() -> Few:
    """0, 1 and 2 of the shipped digits, as 7 × 7 means of pixels."""
    whole = load_mnist(1500, 600)
    return Few(_small(whole.train, 300), _small(whole.holdout, 150))


def _small(whole: Digits, count: int) -> Digits:
    kept = np.flatnonzero(whole.labels < 3)[:count]
    return Digits(
        whole.images[kept].reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(-1, 49), whole.labels[kept]
    )


def temporal(fall: float = 0.9) -> Temporal:
    """The published rule with thresholds for the larger signals of a network with few weights."""
    published = Temporal.falk2023(fall=fall)
    return replace(published, thresholds={"W1": 1e-5, "b1": 1e-4, "W2": 1e-4, "b2": 1e-3})


def quick(rule: Rule | None = None, **how: Any) -> Training:
    how = {"epochs": EPOCHS, "seed": 5, "shuffle": True, **how}
    return train(how.pop("network", NETWORK), rule or temporal(), how.pop("data", digits()), **how)


def assert_same(found: Training, expected: Training) -> None:
    """To the bit."""
    assert found.params.keys() == expected.params.keys()
    for name, values in expected.params.items():
        assert found.params[name].tobytes() == values.tobytes(), name
    assert found.curves.identical(expected.curves)


@pytest.mark.parametrize("rule", [temporal(), Contrastive(RATES)], ids=["temporal", "contrastive"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_it_learns_to_tell_digits(rule: Rule, shuffle: bool, seed: Callable[[int], int]) -> None:
    found = quick(rule, epochs=12, seed=seed(1), shuffle=shuffle).curves
    # Two thirds are wrong by chance. The median, since one minibatch may spoil what stands after an epoch.
    assert float(found.holdout_error[-5:].median()) < 0.15
    assert float(found.train_error[-1]) < 0.15
    assert float(found.train_error[0]) > 2 * float(found.train_error[-1])


def test_without_memory_it_stays_at_chance(seed: Callable[[int], int]) -> None:
    found = quick(Hebbian(RATES), epochs=12, seed=seed(2)).curves
    labels = digits().holdout.labels
    always_one = {float(np.mean(labels != label)) for label in range(3)}
    assert float(found.holdout_error[-1]) in always_one


def test_a_symmetric_sawtooth_changes_nothing() -> None:
    begun = NETWORK.init(np.random.default_rng(np.random.SeedSequence(5, spawn_key=(0,))))
    found = quick(temporal(fall=0.5), epochs=2)
    for name, values in begun.items():
        assert found.params[name].tobytes() == values.tobytes()
    moved = quick(epochs=2)
    assert all((moved.params[name] != values).any() for name, values in begun.items())


def test_one_seed_is_one_training() -> None:
    assert_same(quick(), quick())
    assert quick(seed=6).params["W1"].tobytes() != quick().params["W1"].tobytes()
    assert quick(shuffle=False).params["W1"].tobytes() != quick().params["W1"].tobytes()
    assert_same(quick(workers=2), quick(workers=1))
    drawn = quick(seed=None, epochs=1)
    assert_same(quick(seed=int(drawn.curves.seed), epochs=1), drawn)


def test_a_free_phase_begins_where_the_example_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each example's own state, zero at first, whatever the order; the targets are one-hot."""
    left: dict[bytes, Any] = {}
    swing = LayeredNetwork.swing
    signs = []

    def watched(self: Any, params: Any, x: Any, target: Any, nudge: float, **how: Any) -> Any:
        for row, image in enumerate(x):
            expected = left.get(image.tobytes(), [0 * layer[row] for layer in how["start"][1:]])
            for layer, values in zip(how["start"][1:], expected, strict=True):
                assert (layer[row] == values).all()
        assert (target.sum(axis=1) == 1).all()
        assert set(np.unique(target)) == {0, 1}
        state, ramp = swing(self, params, x, target, nudge, **how)
        left.update({x[i].tobytes(): [layer[i].copy() for layer in state[1:]] for i in range(len(x))})
        signs.append(nudge)
        return state, ramp

    monkeypatch.setattr(LayeredNetwork, "swing", watched)
    assert len(np.unique(digits().train.images, axis=0)) == 300
    quick(epochs=3, backend="numpy")
    assert set(signs) == {-0.5, 0.5}
    assert len(signs) == 3 * 15
    signs.clear()
    left.clear()
    quick(Hebbian(RATES), epochs=1, backend="numpy")
    assert set(signs) == {0.5}


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_from_zero_an_error_is_that_of_a_prediction(backend: str, tmp_path: Path) -> None:
    """What training counts as wrong is then what the network, as it stands, gets wrong."""
    one = Few(Digits(digits().train.images[:20], digits().train.labels[:20]), digits().holdout)
    path, before = tmp_path / "checkpoint.npz", [1.0]

    def note(progress: Progress) -> None:
        expected.append(before[-1])
        before.append(error_share(NETWORK, progress.params, one.train))

    expected: list[float] = []
    how = {"data": one, "epochs": 12, "backend": backend, "from_zero": True}
    found = quick(**how, on_epoch=note, checkpoint=path)
    # One minibatch is an epoch: its errors are those of the network of the epoch before.
    assert list(found.curves.train_error[1:]) == expected[1:]
    assert len(set(expected)) > 3
    assert not [name for name in read_arrays(path, "checkpoint")[1] if name.startswith(("stored", "held"))]
    left = quick(**how | {"from_zero": False})
    assert any((left.params[name] != values).any() for name, values in found.params.items())


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_held_out_examples_go_on_from_where_they_were_left(backend: str) -> None:
    """Each epoch's free phase of a held-out example begins at the end of the last one's, or at 0."""
    held = digits().holdout
    network = LayeredNetwork((49, 12, 3), free_steps=2)  # too few to come to rest: where it begins matters
    state, expected = None, []

    def follow(progress: Progress) -> None:
        nonlocal state
        state = network.equilibrium(progress.params, held.images, start=state)
        anew = network.equilibrium(progress.params, held.images)
        wrong = [np.mean(np.argmax(found[-1], axis=1) != held.labels) for found in (anew, state)]
        expected.append(tuple(map(float, wrong)))
        assert (progress.holdout_error, progress.holdout_error_stored) == expected[-1]

    found = quick(network=network, epochs=6, backend=backend, on_epoch=follow).curves
    pairs = list(zip(found.holdout_error.values, found.holdout_error_stored.values, strict=True))
    assert pairs == expected
    assert pairs[0][0] == pairs[0][1]  # all are at 0 before the first
    assert any(anew != stored for anew, stored in pairs)
    zero = quick(network=network, epochs=6, backend=backend, from_zero=True).curves
    assert zero.holdout_error_stored.values.tolist() == zero.holdout_error.values.tolist()


def test_an_older_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    quick(epochs=1, checkpoint=path)
    header, arrays = read_arrays(path, "checkpoint")
    header = {name: value for name, value in header.items() if name not in ("kind", "layout")}
    write_arrays(path, "checkpoint", header, arrays)
    with pytest.raises(DataError, match=r"was written by chemlearn .* cannot be resumed by this one"):
        quick(checkpoint=path, resume=True)


def test_from_zero_goes_on_to_the_bit(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    quick(epochs=2, checkpoint=path, from_zero=True)
    assert_same(quick(checkpoint=path, resume=True, from_zero=True), quick(from_zero=True))
    with pytest.raises(DataError, match="made with from_zero True, got False"):
        quick(checkpoint=path, resume=True)


def test_it_stops_when_the_holdout_error_falls_no_more() -> None:
    found = quick(temporal(fall=0.5), epochs=9, stop=3)
    assert found.curves.sizes["epoch"] == 4
    assert found.at_best().curves.sizes["epoch"] == 1
    assert quick(epochs=5, stop=5).curves.sizes["epoch"] == 5


def test_the_best_epoch_is_kept_beside_the_last(tmp_path: Path) -> None:
    """The first of least holdout error; rates that rise make the last one worse."""
    rule, path = Annealed(temporal(), 6, rates=50.0), tmp_path / "checkpoint.npz"
    after: list[dict[str, Any]] = []

    def keep(progress: Progress) -> None:
        after.append({name: values.copy() for name, values in progress.params.items()})

    found = quick(rule, epochs=6, on_epoch=keep)
    least = int(np.argmin(found.curves.holdout_error.values))
    assert 0 < least < 5
    best = found.at_best()
    assert best.curves.identical(found.curves.isel(epoch=slice(least + 1)))
    for name, values in after[least].items():
        assert best.params[name].tobytes() == values.tobytes()
        assert found.params[name].tobytes() != values.tobytes()
    best.save(tmp_path / "network.npz")
    saved = load_network(tmp_path / "network.npz")
    error = error_share(saved.network, saved.params, digits().holdout)
    assert error == found.curves.holdout_error.min()
    assert saved.provenance["last"]["holdout_error"] == [error]
    quick(rule, epochs=least + 2, checkpoint=path)  # the best lies before the resume
    resumed = quick(rule, epochs=6, checkpoint=path, resume=True)
    assert_same(resumed, found)
    assert_same(resumed.at_best(), best)


def test_without_an_epoch_or_held_out_digits_there_is_no_best(tmp_path: Path) -> None:
    nothing = Few(digits().train, Digits(digits().holdout.images[:0], digits().holdout.labels[:0]))
    with pytest.raises(ValueError, match="the best epoch is known by held-out examples"):
        quick(epochs=1, data=nothing, checkpoint=tmp_path / "a.npz").at_best()
    assert quick(epochs=2, data=nothing, checkpoint=tmp_path / "a.npz", resume=True).best is None


# --- what is kept


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
    code = f"from tests.test_training import die; die({place!r}, {str(path)!r})"
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


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ({"batch": 0.5}, "batch must be"),
        ({"stop": 0}, "stop must be"),
        ({"nudge": -0.5}, "nudge=-0.5"),
        ({"network": LayeredNetwork((48, 3))}, "train images must have shape"),
        ({"network": LayeredNetwork((49, 2))}, "train labels must be 0 to 1, .* got 0 to 2"),
    ],
)
def test_what_makes_no_sense_is_refused(how: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quick(**how)
