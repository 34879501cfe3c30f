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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chemlearn.checks import check_positive
from chemlearn.learning.arrays import Array, float_type, xp
from chemlearn.learning.course import Course, Keeper, Progress, Training, begin, least, stream
from chemlearn.learning.evaluation import Data, check_data, error_shares
from chemlearn.learning.layered import LayeredNetwork
from chemlearn.learning.lesson import Backend, Lesson, check_backend, lesson
from chemlearn.learning.records import Record, settings_of
from chemlearn.learning.rules import Hebbian, Rule
from chemlearn.learning.schedules import Schedule, rule_at
from chemlearn.learning.substrate import check_nudge

__all__ = ["Progress", "Training", "TrainingInterrupted", "train"]


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
    rule: Rule | Schedule,
    data: Data,
    *,
    epochs: int,
    seed: int | None = None,
    batch: int = 20,
    nudge: float = 0.5,
    shuffle: bool = False,
    from_zero: bool = False,
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
    rule : Rule or Schedule
        One rule for all epochs, or a schedule such as :class:`chemlearn.learning.schedules.Annealed`.
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
    from_zero : bool
        Every free phase begins at 0, as a prediction does; by default where the example was left, as
        published.
    stop : int, optional
        Stop when the holdout error has not fallen below its least for so many epochs. What is handed back is
        the last state, as without; :meth:`Training.at_best` is that of the least.
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
    _check(network, data, nudge, epochs=epochs, batch=batch, stop=stop, workers=workers)
    check_backend(backend)
    how: dict[str, Any] = {"rule": rule, "batch": batch, "nudge": nudge, "shuffle": shuffle}
    how |= {name: getattr(network, name) for name in ("free_steps", "nudged_steps", "in_turn")}
    settings = settings_of(network, data=data, **how, from_zero=from_zero, backend=backend)
    path = None if checkpoint is None else Path(checkpoint)
    record, course = begin(network, data, Record(settings, seed), path, resume, epochs)
    keeper = Keeper(path, record, course, every)
    threads = workers or os.cpu_count() or 1
    with _interrupts(path is not None) as interrupted:
        while len(course.train) < epochs and not _settled(course.holdout, stop):
            now = rule_at(rule, len(course.train) + 1)
            with lesson(network, now, backend, threads) as teach:
                term = _Term(network, now, data, course, record.root, batch, nudge, shuffle, teach)
                for _ in term.minibatches():
                    if interrupted():
                        keeper.keep()
                        raise TrainingInterrupted(course.result(network, record))
                    keeper.keep_if_due()
                term.close()
            if on_epoch is not None:
                last = course.train[-1], course.holdout[-1], course.holdout_stored[-1]
                on_epoch(Progress(len(course.train), epochs, *last, course.params))
    keeper.keep()
    return course.result(network, record)


@dataclass(frozen=True)
class _Term:
    """One epoch after another: what is done with each minibatch."""

    network: LayeredNetwork
    rule: Rule
    data: Data
    course: Course
    seed: int
    batch: int
    nudge: float
    shuffle: bool
    teach: Lesson

    def minibatches(self) -> Iterator[None]:
        """Learn from the minibatches of this epoch that are left, stopping after each."""
        course, count = self.course, len(self.data.train.labels)
        rng = stream(self.seed, len(course.train) + 1)
        order = xp.asarray(rng.permutation(count)) if self.shuffle else None
        signs = rng.choice([-1, 1], size=-(-count // self.batch))
        if isinstance(self.rule, Hebbian):
            signs = abs(signs)
        while course.minibatch < len(signs):
            first = course.minibatch * self.batch
            part = slice(first, first + self.batch)
            self._learn(part if order is None else order[part], self.nudge * signs[course.minibatch])
            course.minibatch += 1
            yield

    def _learn(self, rows: Array | slice, nudge: float) -> None:
        """One minibatch; rows that follow each other are not copied."""
        course = self.course
        images, labels = self.data.train.images[rows], self.data.train.labels[rows]
        number, sizes = float_type(self.network.dtype), self.network.sizes[1:]
        left = [layer[rows] for layer in course.stored] or [xp.zeros((len(labels), n), number) for n in sizes]
        target = xp.eye(sizes[-1], dtype=number)[labels]
        state = self.teach(course.params, images, target, float(nudge), (images, *left))
        for layer, values in zip(course.stored, state[1:], strict=False):  # none are stored from zero
            layer[rows] = values
        course.wrong += int(xp.sum(xp.argmax(self.network.output(state), axis=1) != labels))

    def close(self) -> None:
        """End the epoch: its errors are known."""
        course, data = self.course, self.data
        holdout = error_shares(self.network, course.params, data.holdout, course.held, self.teach)
        course.close(course.wrong / len(data.train.labels), holdout)


def _settled(errors: list[float], stop: int | None) -> bool:
    """Whether the least error is so many epochs ago."""
    place = least(errors)
    return stop is not None and place is not None and len(errors) - 1 - place >= stop


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


def _check(network: LayeredNetwork, data: Data, nudge: float, **counts: int | None) -> None:
    """Refuse settings that make no sense and data that do not fit."""
    for name, value in counts.items():
        if value is not None and (int(value) != value or value < 1):
            raise ValueError(f"{name} must be a whole number of at least 1, got {value}")
    check_nudge(nudge)
    check_positive(nudge=nudge)
    if counts["stop"] is not None and not len(data.holdout.labels):
        raise ValueError("stopping early needs held-out examples, got none; hold some out or leave out stop")
    check_data(network, data)
