"""What a network makes of labelled examples when nothing is learned."""

from __future__ import annotations

from typing import Protocol

from chemlearn.learning.arrays import Array, xp
from chemlearn.learning.layered import LayeredNetwork
from chemlearn.learning.substrate import Params

__all__ = ["Data", "Labelled", "error_share", "prediction"]

EVALUATED = 200
"""Examples that are looked at together where nothing is learned."""


class Labelled(Protocol):
    """Examples and the class of each, such as :class:`chemlearn.data.Digits`."""

    @property
    def images(self) -> Array:
        """(n, n_in), in [0, 1]."""

    @property
    def labels(self) -> Array:
        """(n,), whole numbers from 0."""


class Data(Protocol):
    """Examples to learn from and, none or some, to judge by, such as :class:`chemlearn.data.MNIST`."""

    @property
    def train(self) -> Labelled:
        """To learn from."""

    @property
    def holdout(self) -> Labelled:
        """Held out."""


def prediction(network: LayeredNetwork, params: Params, images: Array) -> Array:
    """The class of each example, (n,): the unit with the largest output after a free phase that starts at 0.

    It starts at 0, and not where an earlier phase left off, so that a prediction follows from the parameters
    alone.

    Parameters
    ----------
    network : LayeredNetwork
    params : Params
    images : array, (n, n_in)
    """
    found = xp.zeros(len(images), xp.int64)
    for first in range(0, len(images), EVALUATED):
        part = slice(first, first + EVALUATED)
        found[part] = xp.argmax(network.output(network.equilibrium(params, images[part])), axis=1)
    return found


def error_share(network: LayeredNetwork, params: Params, examples: Labelled) -> float:
    """Share of examples with a wrong :func:`prediction`; nan if there are none."""
    if not len(examples.labels):
        return float("nan")
    return float(xp.mean(prediction(network, params, examples.images) != examples.labels))
