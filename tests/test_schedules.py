"""Schedules of rules: the factors are reached, training goes by them, and a resume knows them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from chemlearn.curves.curve import UpdateCurve
from chemlearn.data import Digits
from chemlearn.errors import DataError
from chemlearn.learning.layered import LayeredNetwork
from chemlearn.learning.rules import Chemical, Contrastive, Hebbian, Rule, Temporal
from chemlearn.learning.schedules import Annealed, Schedule, rule_at, scaled
from chemlearn.learning.substrate import Params, Ramp
from chemlearn.learning.training import Training, train

CURVE = UpdateCurve([-1.0, 0.0, 1.0], [-0.5, 0.0, 2.0])


class Few(NamedTuple):
    """What training needs of data."""

    train: Digits
    holdout: Digits


def examples(seed: int) -> Few:
    """Pictures of noise around one of three prototypes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=60)
    images = np.clip(rng.random((3, 8))[labels] + rng.normal(0, 0.1, (60, 8)), 0, 1)
    return Few(Digits(images[:40], labels[:40]), Digits(images[40:], labels[40:]))


def quick(rule: Rule | Schedule, data: Few, **how: object) -> Training:
    return train(LayeredNetwork((8, 6, 3)), rule, data, **{"epochs": 3, "seed": 4, **how})  # type: ignore[arg-type]


class Switched:
    """One rule in the first epoch, another afterwards: any schedule will do."""

    def __init__(self, first: Rule, then: Rule) -> None:
        self.first, self.then = first, then

    def at(self, epoch: int) -> Rule:
        return self.first if epoch == 1 else self.then


def test_factors_are_reached_by_equal_ratios() -> None:
    schedule = Annealed(Temporal.falk2023(), 5, rates=0.01, thresholds=16.0)
    rules = [schedule.at(epoch) for epoch in (1, 2, 3, 4, 5, 6, 50)]
    for name, first in Temporal.falk2023().thresholds.items():
        found = [rule.thresholds[name] for rule in rules]
        np.testing.assert_allclose(found, first * np.array([1, 2, 4, 8, 16, 16, 16]), rtol=1e-12)
    for name, first in Temporal.falk2023().rates.items():
        found = [rule.rates[name] for rule in rules]
        np.testing.assert_allclose(found, first * 10 ** np.array([0, -0.5, -1, -1.5, -2, -2, -2]), rtol=1e-12)
    for rule in rules:
        assert (rule.sawtooth, rule.gain, rule.integral) == (Temporal.falk2023().sawtooth, 0.5e4, "periodic")
        assert rule.kernel is schedule.rule.kernel  # so that its map is made once


def test_a_schedule_of_one_epoch_is_at_its_end() -> None:
    assert Annealed(Contrastive(2.0), 1, rates=0.25).at(1) == Contrastive(0.5)


@pytest.mark.parametrize("rule", [Contrastive(2.0), Hebbian(2.0), Chemical(CURVE, 2.0)])
def test_rules_without_thresholds_have_their_rates_scaled(rule: Rule) -> None:
    assert scaled(rule, rates=0.5).rates == 1.0
    assert type(scaled(rule, rates=0.5)) is type(rule)
    assert scaled(rule) is rule
    with pytest.raises(ValueError, match="rule has no thresholds, got a factor of 2"):
        scaled(rule, thresholds=2.0)


def test_a_rule_is_its_own_schedule() -> None:
    rule = Temporal.falk2023()
    assert rule_at(rule, 7) is rule
    assert rule_at(Switched(rule, Contrastive(1.0)), 7) == Contrastive(1.0)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_training_takes_the_rule_of_each_epoch(backend: str, seed: Callable[[int], int]) -> None:
    """Epoch by epoch with what a schedule says, the same to the bit as at once."""
    data, seen = examples(seed(1)), []

    class Noting:
        def __init__(self, rule: Temporal) -> None:
            self.rule = rule

        def __call__(self, ramp: Ramp, nudge: float) -> Params:
            seen.append(self.rule.rates["W1"])
            return self.rule(ramp, nudge)

    published = scaled(Temporal.falk2023(), thresholds=10.0)
    schedule = Annealed(published, 3, rates=0.01)

    class Watched:
        def at(self, epoch: int) -> Rule:
            return Noting(schedule.at(epoch))

    noted = quick(Watched(), data, backend=backend)
    np.testing.assert_allclose(seen, np.repeat([0.1, 0.01, 0.001], 2))
    found = quick(schedule, data, backend=backend)
    steady = quick(published, data, backend=backend)
    for name, values in found.params.items():
        np.testing.assert_allclose(noted.params[name], values, rtol=0, atol=1e-10)
    assert any((steady.params[name] != values).any() for name, values in found.params.items())


def test_the_sign_of_the_nudge_follows_the_rule_of_the_epoch(seed: Callable[[int], int]) -> None:
    """Hebbian refuses negative nudges, so an epoch of it among others must know."""
    schedule = Switched(Contrastive(0.1), Hebbian(0.1))
    assert quick(schedule, examples(seed(2))).curves.sizes["epoch"] == 3


def test_a_resume_goes_on_within_the_schedule(tmp_path: Path, seed: Callable[[int], int]) -> None:
    data, path = examples(seed(3)), tmp_path / "checkpoint.npz"
    schedule = Annealed(scaled(Temporal.falk2023(), thresholds=10.0), 3, rates=0.1, thresholds=0.5)
    quick(schedule, data, checkpoint=path, epochs=1)
    for other, name in (
        (Annealed(schedule.rule, 4, 0.1, 0.5), "rule.epochs 3, got 4"),
        (Annealed(schedule.rule, 3, 0.2, 0.5), "rule.rates 0.1, got 0.2"),
        (schedule.rule, "rule.kind Annealed, got Temporal"),
    ):
        with pytest.raises(DataError, match=f"made with {name}"):
            quick(other, data, checkpoint=path, resume=True)
    resumed, whole = quick(schedule, data, checkpoint=path, resume=True), quick(schedule, data)
    for name, values in whole.params.items():
        assert resumed.params[name].tobytes() == values.tobytes()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Annealed(Contrastive(1.0), 0), "epochs must be a whole number of at least 1, got 0"),
        (lambda: Annealed(Contrastive(1.0), 2.5), "epochs must be"),
        (lambda: Annealed(Contrastive(1.0), 3, rates=0.0), "must be positive, got rates=0"),
        (lambda: Annealed(Contrastive(1.0), 3, thresholds=0.5), "no thresholds, got a factor of 0.5"),
        (lambda: scaled(Temporal.falk2023(), thresholds=-1.0), "must be positive, got thresholds=-1"),
        (lambda: scaled(lambda ramp, nudge: {}, rates=0.5), "a function rule has no rates"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
