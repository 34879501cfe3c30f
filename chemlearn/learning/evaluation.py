"""What a network makes of labelled examples when nothing is learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from chemlearn.learning.arrays import Array, xp
from chemlearn.learning.layered import LayeredNetwork, State
from chemlearn.learning.substrate import Params

__all__ = ["Data", "Labelled", "check_data", "error_share", "prediction"]

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


Free = Callable[[Params, Array], State]
"""The free state from 0 of parameters and inputs."""


def prediction(network: LayeredNetwork, params: Params, images: Array, free: Free | None = None) -> Array:
    """The class of each example, (n,): the unit with the largest output after a free phase that starts at 0.

    It starts at 0, and not where an earlier phase left off, so that a prediction follows from the parameters
    alone.

    Parameters
    ----------
    network : LayeredNetwork
    params : Params
    images : array, (n, n_in)
    free : callable, optional
        Who relaxes; ``network.equilibrium`` by default.
    """
    free = free or network.equilibrium
    found = xp.zeros(len(images), xp.int64)
    for first in range(0, len(images), EVALUATED):
        part = slice(first, first + EVALUATED)
        found[part] = xp.argmax(network.output(free(params, images[part])), axis=1)
    return found


def error_share(
    network: LayeredNetwork, params: Params, examples: Labelled, free: Free | None = None
) -> float:
    """Share of examples with a wrong :func:`prediction`; nan if there are none."""
    if not len(examples.labels):
        return float("nan")
    return float(xp.mean(prediction(network, params, examples.images, free) != examples.labels))


def check_data(network: LayeredNetwork, data: Data) -> None:
    """Refuse data that do not fit the network.

    Raises
    ------
    ValueError
        If images or labels do not fit its input or output layer, or there is nothing to learn from.
    """
    for name, part in {"train": data.train, "holdout": data.holdout}.items():
        count, inputs, outputs = len(part.labels), network.sizes[0], network.sizes[-1]
        if part.images.shape != (count, inputs):
            raise ValueError(
                f"the {name} images must have shape {(count, inputs)}, one row for each label, got "
                f"{part.images.shape}; choose other sizes of the network"
            )
        if count and not 0 <= int(part.labels.min()) <= int(part.labels.max()) < outputs:
            raise ValueError(
                f"the {name} labels must be 0 to {outputs - 1}, one for each output, got "
                f"{int(part.labels.min())} to {int(part.labels.max())}"
            )
    if not len(data.train.labels):
        raise ValueError("there must be examples to learn from, got none")
