"""What a network makes of labelled examples when nothing is learned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from chemlearn.learning.arrays import Array, xp
from chemlearn.learning.layered import LayeredNetwork, State
from chemlearn.learning.substrate import Params

__all__ = ["Data", "Labelled", "check_data", "error_share", "error_shares", "prediction"]

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


class Free(Protocol):
    """Who relaxes, such as :class:`chemlearn.learning.lesson.Lesson`."""

    def free(self, params: Params, x: Array, *starts: State) -> list[State]:
        """The free states from 0 and from each of the starts."""


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
    for part in _parts(len(images)):
        found[part] = _answers(network, network.equilibrium(params, images[part]))
    return found


def error_share(network: LayeredNetwork, params: Params, examples: Labelled) -> float:
    """Share of examples with a wrong :func:`prediction`; nan if there are none."""
    if not len(examples.labels):
        return float("nan")
    return float(xp.mean(prediction(network, params, examples.images) != examples.labels))


def error_shares(
    network: LayeredNetwork, params: Params, examples: Labelled, left: Sequence[Array], relaxing: Free
) -> tuple[float, float]:
    """Shares of wrong answers of free phases that start at 0, and where each example was left the last time.

    Parameters
    ----------
    network : LayeredNetwork
    params : Params
    examples : Labelled
    left : list of array
        For each layer but the input, (n, n_layer): where each example was left, changed in place; none where
        nothing is kept, and then both shares are the first.
    relaxing : Free

    Returns
    -------
    tuple of float
        nan if there are no examples.
    """
    count = len(examples.labels)
    if not count:
        return float("nan"), float("nan")
    wrong = [0, 0]
    for part in _parts(count):
        images, labels = examples.images[part], examples.labels[part]
        starts = [(images, *(layer[part] for layer in left))] if left else []
        states = relaxing.free(params, images, *starts)
        for place, state in enumerate((states[0], states[-1])):
            wrong[place] += int(xp.sum(_answers(network, state) != labels))
        for layer, values in zip(left, states[-1][1:], strict=False):  # none are kept from zero
            layer[part] = values
    return wrong[0] / count, wrong[1] / count


def _parts(count: int) -> Iterator[slice]:
    return (slice(first, first + EVALUATED) for first in range(0, count, EVALUATED))


def _answers(network: LayeredNetwork, state: State) -> Array:
    return xp.argmax(network.output(state), axis=1)


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
