"""A lesson on one minibatch in compiled loops: relaxation for every rule, updates for the temporal one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from chemlearn.learning.arrays import Array, float_type
from chemlearn.learning.compiled.loops import Share
from chemlearn.learning.compiled.relaxation import relax
from chemlearn.learning.compiled.thresholds import Instants, instants
from chemlearn.learning.compiled.weights import update
from chemlearn.learning.correlations import MARGIN as LOOSER
from chemlearn.learning.correlations import Correlations
from chemlearn.learning.layered import FREE_STEPS, NUDGED_STEPS, LayeredNetwork, State, halved, ramp_of
from chemlearn.learning.rules import MARGIN, Rule, Temporal, learn, per_group
from chemlearn.learning.substrate import Params, Ramp, RampGroup, Stack

__all__ = ["CompiledLesson"]

KNOTS = 9


@dataclass(eq=False)
class CompiledLesson:
    """What a minibatch teaches, as :class:`chemlearn.learning.lesson.Lesson`; close it after use.

    Parameters
    ----------
    network : LayeredNetwork
        Of at least three layers.
    rule : Rule
    workers : int
        Threads; the numbers do not depend on how many.
    """

    network: LayeredNetwork
    rule: Rule
    workers: int
    _courses: dict[int, tuple[Array, ...]] = field(default_factory=dict)
    _instants: dict[tuple[str, int], Instants] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._number = np.dtype(float_type(self.network.dtype))
        self._rooms = [(self._layers(4), self._layers(4)) for _ in range(self.workers)]
        self._team = ThreadPoolExecutor(self.workers - 1) if self.workers > 1 else None

    def close(self) -> None:
        """End the threads."""
        if self._team is not None:
            self._team.shutdown()

    def __call__(self, params: Params, x: Array, target: Array, nudge: float, start: State) -> State:
        """Relax, swing and learn, in place; the free state."""
        x = np.ascontiguousarray(x, self._number)
        target = np.ascontiguousarray(target, self._number)
        free, ramp = self._swing(params, x, target, nudge, start)
        if isinstance(self.rule, Temporal) and not self.rule.map(KNOTS).area:
            for name, group in ramp.items():
                self._learn(params[name], name, group, nudge, len(x))
        else:
            learn(params, self.rule, ramp, nudge)
        return free

    def _swing(
        self, params: Params, x: Array, target: Array, nudge: float, start: State
    ) -> tuple[State, Ramp]:
        """As :meth:`LayeredNetwork.swing`."""
        if len(x) not in self._courses:
            sizes = self.network.sizes[1:]
            self._courses[len(x)] = tuple(np.zeros((KNOTS + 1, len(x), size), self._number) for size in sizes)
        courses, moving = self._courses[len(x)], np.zeros(len(x), bool)
        for course, layer in zip(courses, start[1:], strict=True):
            course[-1] = layer
        half = halved(params, len(courses))
        nudges = (nudge * np.arange(1, KNOTS) / (KNOTS - 1)).astype(self._number)
        fixed = (
            x,
            (params["W1"], params["b1"]),
            tuple(transposed for _weights, transposed, _bias in half),
            tuple(bias.astype(self._number) for _weights, _transposed, bias in half),
            target,
            nudges,
            (FREE_STEPS, NUDGED_STEPS),
            courses,
            moving,
        )
        self._share(lambda share: relax(*fixed, *self._rooms[share[0]], share))
        some = np.flatnonzero(moving)
        rest = (x, *(course[0] for course in courses))
        ramp = ramp_of([x[None, some], *(course[:KNOTS, some] for course in courses)], rest)
        return (x, *(course[-1] for course in courses)), ramp

    def _learn(self, params: Array, name: str, group: RampGroup, nudge: float, batch: int) -> None:
        """The temporal rule on one group of parameters."""
        assert isinstance(self.rule, Temporal)
        with _as_weights(params, group) as (weights, pre, post, count):
            response = self.rule.map(KNOTS)
            if not (post.shape[1] and response.tiers):
                return
            theta = per_group(self.rule.thresholds, name, "threshold") * count
            if (name, count) not in self._instants:
                self._instants[name, count] = instants(response, KNOTS - 1, theta, self._number)
            at = self._instants[name, count]
            least = theta * (1 - MARGIN) * (1 - LOOSER) / response.reach
            factor = per_group(self.rule.rates, name, "rate") * float(self.rule.gain or 0) / nudge / count
            number = self._number.type
            fixed = (0,) * (KNOTS - 1), weights, pre, post, number(least), number(factor), at
            self._share(lambda share: update(*fixed, share))

    def _share(self, do: Callable[[Share], None]) -> None:
        """Do all shares of some work, one in this thread."""
        others = []
        if self._team is not None:
            others = [self._team.submit(do, (k, self.workers)) for k in range(1, self.workers)]
        do((0, self.workers))
        for other in others:
            other.result()

    def _layers(self, rows: int) -> tuple[Array, ...]:
        return tuple(np.zeros((rows, size), self._number) for size in self.network.sizes[1:])


@contextmanager
def _as_weights(params: Array, group: RampGroup) -> Iterator[tuple[Array, Array, Array, int]]:
    """Parameters as weights (n_pre, n_post) with the courses that they join, and over how many these sum.

    The longer side becomes that of the columns where both move; biases join one unit that is held at 1.
    """
    if isinstance(group, Stack):
        one = np.ones((1, 1, 1), group.dtype)
        yield params[None], one, np.ascontiguousarray(group.values[:, None]), 1
        return
    assert isinstance(group, Correlations)
    if len(group.pre) > 1 and group.shape[0] > group.shape[1]:
        weights = np.ascontiguousarray(params.T)
        yield weights, group.post, group.pre, group.batch
        params[...] = weights.T
        return
    yield params, group.pre, group.post, group.batch
