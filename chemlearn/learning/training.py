"""Training: minibatch after minibatch, with a memory on disk from which it goes on to the bit.

All that is random follows from one root seed: stream 0 makes the network, stream e the order and the signs of
the nudge of epoch e, both drawn before the epoch begins. So where training stands is a handful of arrays and
two counts.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from chemlearn.checks import check_positive
from chemlearn.learning.arrays import Array, float_type, xp
from chemlearn.learning.checkpoints import save_network
from chemlearn.learning.evaluation import Data, error_share
from chemlearn.learning.layered import LayeredNetwork
from chemlearn.learning.lesson import Backend, Lesson, check_backend, lesson
from chemlearn.learning.records import Record, load_record, save_record, settings_of
from chemlearn.learning.rules import Hebbian, Rule
from chemlearn.learning.substrate import Params, check_nudge

__all__ = ["Progress", "Training", "TrainingInterrupted", "train"]


class Progress(NamedTuple):
    """What is known after an epoch."""

    epoch: int
    """From 1."""
    epochs: int
    """How many are asked for."""
    train_error: float
    """Share of examples with a wrong prediction just before they were learned from."""
    holdout_error: float
    """Share of held-out examples with a wrong prediction after the epoch; nan without any."""
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
        ``train_error`` and ``holdout_error`` (shares) over ``epoch``; settings, seed and checksum of the data
        in ``attrs``.
    record : Record
        Settings and seed.
    """

    network: LayeredNetwork
    params: Params
    curves: xr.Dataset
    record: Record

    def save(self, path: str | Path) -> None:
        """Write the network with settings, seed, checksum of the data and its last errors.

        Raises
        ------
        DataError
            If the file cannot be written.
        """
        last = {name: [float(value) for value in self.curves[name][-1:]] for name in self.curves}
        save_network(path, self.network, self.params, **self.record.provenance, last=last)


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C, after the minibatch under way was finished and the checkpoint written.

    Attributes
    ----------
    training : Training
        As far as it got.
    """

    def __init__(self, training: Training) -> None:
        super().__init__(f"interrupted in epoch {len(training.curves.epoch) + 1}; the last state is kept")
        self.training = training


def train(
    network: LayeredNetwork,
    rule: Rule,
    data: Data,
    *,
    epochs: int,
    seed: int | None = None,
    batch: int = 20,
    nudge: float = 0.5,
    shuffle: bool = False,
    stop: int | None = None,
    on_epoch: Callable[[Progress], None] | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    every: float = 10.0,
    backend: Backend = "numba",
    workers: int | None = None,
) -> Training:
    """Train a network to name the class of examples (F Fig. 3, App. B).

    For each minibatch: a free phase from the state in which each example was left the last time (all zero at
    first), the swing of the nudge, whose sign is drawn anew, towards the one-hot classes, and the update.

    Parameters
    ----------
    network : LayeredNetwork
    rule : Rule
    data : Data
    epochs : int
        In all, those before a resume included.
    seed : int, optional
        Root seed; drawn and recorded if not given, that of the checkpoint with ``resume``.
    batch : int
        Examples per minibatch; the last one may have fewer.
    nudge : float
        β at its largest, positive; of either sign, except for :class:`Hebbian`, which needs a positive one.
    shuffle : bool
        A new order of the examples in each epoch; by default that of the data, as in equilibrium propagation.
    stop : int, optional
        Stop when the holdout error has not fallen below its least for so many epochs.
    on_epoch : callable, optional
        Called with :class:`Progress` after each epoch.
    checkpoint : path, optional
        File that holds where training stands. With one, Ctrl-C waits for the minibatch under way.
    resume : bool
        Go on from the checkpoint; the result is the same to the bit, on the same machine and libraries, as
        without the interruption, however that came.
    every : float
        Least seconds between two writings of the checkpoint, which is what a kill can cost; the beginning and
        the end are always written.
    backend : {'numba', 'numpy'}
        Compiled loops, or NumPy alone; equal but for rounding, which training makes larger as it goes.
    workers : int, optional
        Threads of the compiled loops, all processors by default; the result is the same to the bit.

    Raises
    ------
    ValueError
        If a setting makes no sense or the data do not fit the network.
    DataError
        If a checkpoint is there and ``resume`` is not asked for, or the other way round; if it is damaged, or
        of other settings or data.
    TrainingInterrupted
        On Ctrl-C, with a checkpoint.
    """
    _check(network, data, epochs, batch, nudge, stop, workers)
    check_backend(backend)
    settings = settings_of(network, rule, data, batch=batch, nudge=nudge, shuffle=shuffle, backend=backend)
    path = None if checkpoint is None else Path(checkpoint)
    record, course = _begin(network, data, Record(settings, seed), path, resume, epochs)
    keeper = _Keeper(path, record, course, every)
    threads = workers or os.cpu_count() or 1
    with lesson(network, rule, backend, threads) as teach, _interrupts(path is not None) as interrupted:
        term = _Term(network, rule, data, course, record.root, batch, nudge, shuffle, teach)
        while len(course.train) < epochs and not _settled(course.holdout, stop):
            for _ in term.minibatches():
                if interrupted():
                    keeper.keep()
                    raise TrainingInterrupted(course.result(network, record))
                keeper.keep_if_due()
            term.close()
            if on_epoch is not None:
                errors = course.train[-1], course.holdout[-1]
                on_epoch(Progress(len(course.train), epochs, *errors, course.params))
    keeper.keep()
    return course.result(network, record)


@dataclass
class _Course:
    """Where training stands; it changes as training goes on."""

    params: Params
    stored: list[Array]
    minibatch: int = 0
    wrong: int = 0
    train: list[float] = field(default_factory=list)
    holdout: list[float] = field(default_factory=list)

    def result(self, network: LayeredNetwork, record: Record) -> Training:
        percent = {"units": "1"}
        curves = xr.Dataset(
            {
                "train_error": (
                    "epoch",
                    np.array(self.train, float),
                    {**percent, "long_name": "share of wrong predictions just before learning"},
                ),
                "holdout_error": (
                    "epoch",
                    np.array(self.holdout, float),
                    {**percent, "long_name": "share of wrong predictions on held-out examples"},
                ),
            },
            {"epoch": np.arange(1, len(self.train) + 1)},
            record.attrs,
        )
        return Training(network, self.params, curves, record)

    def counts(self) -> dict[str, Any]:
        """All but the arrays."""
        return {
            "minibatch": self.minibatch,
            "wrong": self.wrong,
            "train": self.train,
            "holdout": self.holdout,
        }


@dataclass(frozen=True)
class _Keeper:
    """Writes where training stands, at most every so many seconds."""

    path: Path | None
    record: Record
    course: _Course
    every: float
    last: list[float] = field(default_factory=lambda: [monotonic()])

    def keep_if_due(self) -> None:
        if self.path is not None and monotonic() - self.last[0] >= self.every:
            self.keep()

    def keep(self) -> None:
        if self.path is not None:
            course = self.course
            save_record(self.path, self.record, course.counts(), course.params, course.stored)
            self.last[0] = monotonic()


@dataclass(frozen=True)
class _Term:
    """One epoch after another: what is done with each minibatch."""

    network: LayeredNetwork
    rule: Rule
    data: Data
    course: _Course
    seed: int
    batch: int
    nudge: float
    shuffle: bool
    teach: Lesson

    def minibatches(self) -> Iterator[None]:
        """Learn from the minibatches of this epoch that are left, stopping after each."""
        course, count = self.course, len(self.data.train.labels)
        rng = _stream(self.seed, len(course.train) + 1)
        order = rng.permutation(count) if self.shuffle else np.arange(count)
        signs = rng.choice([-1, 1], size=-(-count // self.batch))
        if isinstance(self.rule, Hebbian):
            signs = abs(signs)
        while course.minibatch < len(signs):
            first = course.minibatch * self.batch
            self._learn(xp.asarray(order[first : first + self.batch]), self.nudge * signs[course.minibatch])
            course.minibatch += 1
            yield

    def _learn(self, rows: Array, nudge: float) -> None:
        course = self.course
        images, labels = self.data.train.images[rows], self.data.train.labels[rows]
        target = xp.eye(self.network.sizes[-1], dtype=float_type(self.network.dtype))[labels]
        start = (images, *(layer[rows] for layer in course.stored))
        state = self.teach(course.params, images, target, float(nudge), start)
        for layer, values in zip(course.stored, state[1:], strict=True):
            layer[rows] = values
        course.wrong += int(xp.sum(xp.argmax(self.network.output(state), axis=1) != labels))

    def close(self) -> None:
        """End the epoch: its errors are known."""
        course = self.course
        holdout = error_share(self.network, course.params, self.data.holdout)
        course.train.append(course.wrong / len(self.data.train.labels))
        course.holdout.append(holdout)
        course.minibatch = course.wrong = 0


def _stream(seed: int, number: int) -> np.random.Generator:
    """Stream 0 makes the network; stream e belongs to epoch e."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))


def _begin(
    network: LayeredNetwork, data: Data, asked: Record, path: Path | None, resume: bool, epochs: int
) -> tuple[Record, _Course]:
    """Where training begins: at the beginning, which is written, or at the checkpoint."""
    if resume:
        record, counts, params, stored = load_record(path, asked)
        if len(counts["train"]) > epochs:
            raise ValueError(
                f"{path}: {len(counts['train'])} epochs are done and {epochs} asked for; "
                "ask for as many or more"
            )
        return record, _Course(params, stored, **counts)
    record = asked.with_seed()
    number, count = float_type(network.dtype), len(data.train.labels)
    stored = [xp.zeros((count, size), number) for size in network.sizes[1:]]
    course = _Course(network.init(_stream(record.root, 0)), stored)
    if path is not None:
        record.require_room(path)
        save_record(path, record, course.counts(), course.params, course.stored)
    return record, course


def _settled(errors: list[float], stop: int | None) -> bool:
    """Whether the least error is so many epochs ago."""
    return stop is not None and bool(errors) and len(errors) - 1 - int(np.argmin(errors)) >= stop


@contextmanager
def _interrupts(active: bool) -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed; a second one does not wait. Only the main thread can be told of it."""
    asked: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    main = threading.current_thread() is threading.main_thread()
    if not (active and main and callable(before)):
        yield lambda: False
        return

    def note(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


def _check(
    network: LayeredNetwork,
    data: Data,
    epochs: int,
    batch: int,
    nudge: float,
    stop: int | None,
    workers: int | None,
) -> None:
    """Refuse settings that make no sense and data that do not fit."""
    counts = {"epochs": epochs, "batch": batch, "stop": stop, "workers": workers}
    for name, value in counts.items():
        if value is not None and (int(value) != value or value < 1):
            raise ValueError(f"{name} must be a whole number of at least 1, got {value}")
    check_nudge(nudge)
    check_positive(nudge=nudge)
    if stop is not None and not len(data.holdout.labels):
        raise ValueError("stopping early needs held-out examples, got none; hold some out or leave out stop")
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
