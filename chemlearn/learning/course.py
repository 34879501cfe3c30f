"""Where training stands, what is made of it in the end, and the checkpoint from which it goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from chemlearn.learning.arrays import Array, float_type, xp
from chemlearn.learning.checkpoints import save_network
from chemlearn.learning.evaluation import Data, Labelled
from chemlearn.learning.layered import LayeredNetwork
from chemlearn.learning.records import Record, load_record, save_record
from chemlearn.learning.substrate import Params

__all__ = ["Course", "Keeper", "Progress", "Training", "begin", "least", "stream"]


class Progress(NamedTuple):
    """What is known after an epoch."""

    epoch: int
    """From 1."""
    epochs: int
    """How many are asked for."""
    train_error: float
    """Share of examples with a wrong prediction just before they were learned from."""
    holdout_error: float
    """Share of held-out examples with a wrong prediction, from 0, after the epoch; nan without any."""
    holdout_error_stored: float
    """The same from where each example was left after the epoch before."""
    params: Params
    """As they are now; training goes on in these very arrays, so copy what is to be kept."""


@dataclass(frozen=True, eq=False)
class Training:
    """A trained network and how it came about.

    Attributes
    ----------
    network : LayeredNetwork
    params : Params
        After the last epoch, or where training was interrupted.
    curves : xarray.Dataset
        Shares over ``epoch``: ``train_error``, ``holdout_error``, which is what a saved network has, and
        ``holdout_error_stored``, of free phases that begin where each held-out example was left after the
        epoch before, as those of training do. Settings, seed and checksum of the data in ``attrs``.
    record : Record
        Settings and seed.
    best : Params or None
        After the epoch of least holdout error, the first of several; None if nothing was held out or no epoch
        is done.
    """

    network: LayeredNetwork
    params: Params
    curves: xr.Dataset
    record: Record
    best: Params | None

    def at_best(self) -> Training:
        """The training as it stood after the epoch of least holdout error.

        Raises
        ------
        ValueError
            If nothing was held out or no epoch is done.
        """
        place = least(self.curves.holdout_error.values)
        if self.best is None or place is None:
            raise ValueError("the best epoch is known by held-out examples, got none or no whole epoch")
        return replace(self, params=self.best, curves=self.curves.isel(epoch=slice(place + 1)))

    def save(self, path: str | Path) -> None:
        """Write the network with settings, seed, checksum of the data and its last errors.

        Raises
        ------
        DataError
            If the file cannot be written.
        """
        last = {name: [float(value) for value in self.curves[name][-1:]] for name in self.curves}
        save_network(path, self.network, self.params, **self.record.provenance, last=last)


@dataclass
class Course:
    """Where training stands; it changes as training goes on."""

    params: Params
    stored: list[Array]
    """Where each example was left, for each layer but the input; none from zero."""
    held: list[Array]
    """The same of the examples held out."""
    best: Params | None = None
    minibatch: int = 0
    wrong: int = 0
    train: list[float] = field(default_factory=list)
    holdout: list[float] = field(default_factory=list)
    holdout_stored: list[float] = field(default_factory=list)

    @classmethod
    def new(cls, network: LayeredNetwork, data: Data, seed: int, from_zero: bool) -> Course:
        """A new network, and every example at 0."""
        sizes, number = () if from_zero else network.sizes[1:], float_type(network.dtype)

        def zero(part: Labelled) -> list[Array]:
            return [xp.zeros((len(part.labels), size), number) for size in sizes]

        return cls(network.init(stream(seed, 0)), zero(data.train), zero(data.holdout))

    @classmethod
    def of(cls, counts: Mapping[str, Any], arrays: Mapping[str, Array]) -> Course:
        """What :attr:`counts` and :attr:`arrays` say."""
        groups: dict[str, dict[str, Array]] = {"params": {}, "best": {}, "stored": {}, "held": {}}
        for name, values in arrays.items():
            group, _, place = name.partition(".")
            groups[group][place] = values
        stored, held = (
            [groups[name][place] for place in sorted(groups[name], key=int)] for name in ("stored", "held")
        )
        return cls(groups["params"], stored, held, groups["best"] or None, **counts)

    @property
    def counts(self) -> dict[str, Any]:
        """All but the arrays."""
        names = ("minibatch", "wrong", "train", "holdout", "holdout_stored")
        return {name: getattr(self, name) for name in names}

    @property
    def arrays(self) -> dict[str, Array]:
        """All arrays, each by its group and its name or place there."""
        groups: dict[str, Params] = {"params": self.params, "best": self.best or {}}
        groups |= {
            name: {str(k): v for k, v in enumerate(getattr(self, name))} for name in ("stored", "held")
        }
        return {f"{group}.{name}": values for group, some in groups.items() for name, values in some.items()}

    def close(self, train: float, holdout: tuple[float, float]) -> None:
        """End an epoch: its errors are known."""
        self.train.append(train)
        self.holdout.append(holdout[0])
        self.holdout_stored.append(holdout[1])
        if least(self.holdout) == len(self.holdout) - 1:
            self.best = {name: values.copy() for name, values in self.params.items()}
        self.minibatch = self.wrong = 0

    def result(self, network: LayeredNetwork, record: Record) -> Training:
        """What came of it so far."""
        held_out = "share of wrong predictions on held-out examples"
        curves = xr.Dataset(
            {
                "train_error": _curve(self.train, "share of wrong predictions just before learning"),
                "holdout_error": _curve(self.holdout, held_out),
                "holdout_error_stored": _curve(self.holdout_stored, f"{held_out}, from where each was left"),
            },
            {"epoch": np.arange(1, len(self.train) + 1)},
            record.attrs,
        )
        return Training(network, self.params, curves, record, self.best)


def _curve(errors: list[float], words: str) -> tuple[str, np.ndarray, dict[str, str]]:
    return "epoch", np.array(errors, float), {"units": "1", "long_name": words}


@dataclass(frozen=True)
class Keeper:
    """Writes where training stands, at most every so many seconds."""

    path: Path | None
    record: Record
    course: Course
    every: float
    last: list[float] = field(default_factory=lambda: [monotonic()])

    def keep_if_due(self) -> None:
        if self.path is not None and monotonic() - self.last[0] >= self.every:
            self.keep()

    def keep(self) -> None:
        if self.path is not None:
            save_record(self.path, self.record, self.course.counts, self.course.arrays)
            self.last[0] = monotonic()


def begin(
    network: LayeredNetwork, data: Data, asked: Record, path: Path | None, resume: bool, epochs: int
) -> tuple[Record, Course]:
    """Where training begins: at the beginning, which is written, or at the checkpoint."""
    if resume:
        record, counts, arrays = load_record(path, asked)
        if len(counts["train"]) > epochs:
            raise ValueError(
                f"{path}: {len(counts['train'])} epochs are done and {epochs} asked for; "
                "ask for as many or more"
            )
        return record, Course.of(counts, arrays)
    record = asked.with_seed()
    course = Course.new(network, data, record.root, asked.settings["from_zero"])
    if path is not None:
        record.require_room(path)
        save_record(path, record, course.counts, course.arrays)
    return record, course


def least(errors: Sequence[float] | np.ndarray) -> int | None:
    """The place of the least error, the first of several; None if no error is known."""
    return int(np.argmin(errors)) if len(errors) and not np.isnan(errors).any() else None


def stream(seed: int, number: int) -> np.random.Generator:
    """Stream 0 makes the network; stream e belongs to epoch e."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
