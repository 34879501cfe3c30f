"""Training: it learns, its controls do not, held-out examples and the best epoch are followed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chemlearn.data import Digits
from chemlearn.errors import DataError
from chemlearn.learning.checkpoints import load_network, read_arrays
from chemlearn.learning.evaluation import error_share
from chemlearn.learning.layered import LayeredNetwork
from chemlearn.learning.rules import Contrastive, Hebbian, Rule
from chemlearn.learning.schedules import Annealed
from chemlearn.learning.training import Progress
from tests.small_training import NETWORK, RATES, Few, assert_same, digits, quick, temporal


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
