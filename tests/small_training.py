"""A training that takes a moment: three digits, a small network."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from chemlearn.data import Digits, load_mnist
from chemlearn.learning.layered import LayeredNetwork
from chemlearn.learning.rules import Rule, Temporal
from chemlearn.learning.training import Training, train

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
