"""A lesson on one minibatch in compiled loops: relaxation for every rule, updates for the temporal one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from chemlearn.learning.arrays import Array, float_type
from chemlearn.learning.compiled.loops import Share
from chemlearn.learning.compiled.relaxation import drive, relax
from chemlearn.learning.compiled.thresholds import Instants, instants
from chemlearn.learning.compiled.weights import update
from chemlearn.learning.correlations import MARGIN as LOOSER
from chemlearn.learning.layered import LayeredNetwork, State, halved, ramp_of
from chemlearn.learning.rules import MARGIN, Rule, Temporal, learn, per_group
from chemlearn.learning.substrate import Params

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
    _courses: dict[tuple[int, int, int], tuple[Array, ...]] = field(default_factory=dict)
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
        """Relax, swing and learn, in place; the free state, valid until the next call."""
        x = np.ascontiguousarray(x, self._number)
        nudges = (nudge * np.arange(1, KNOTS) / (KNOTS - 1)).astype(self._number)
        steps = self.network.free_steps, self.network.nudged_steps
        [(courses, moving)] = self._relaxed(params, x, target, nudges, steps, [start])
        some = np.flatnonzero(moving)
        layers = [x[None, some], *(course[:KNOTS, some] for course in courses)]
        if isinstance(self.rule, Temporal) and not self.rule.map(KNOTS).area:
            one = np.ones((1, len(some), 1), self._number)
            for layer, (pre, post) in enumerate(pairwise(layers), start=1):
                self._learn(params[f"W{layer}"], f"W{layer}", pre, post, nudge, len(x))
                # A bias is the weight from a unit that is held at 1.
                self._learn(params[f"b{layer}"][None], f"b{layer}", one, post, nudge, len(x))
        else:
            rest = (x, *(course[0] for course in courses))
            learn(params, self.rule, ramp_of(layers, rest), nudge)
        return (x, *(course[-1] for course in courses))

    def free(self, params: Params, x: Array, *starts: State) -> list[State]:
        """The free states from 0 and from each of the starts, valid until the next call."""
        x = np.ascontiguousarray(x, self._number)
        aims, none = np.zeros((len(x), self.network.sizes[-1])), np.empty(0, self._number)
        zero = (x, *(np.zeros(1, self._number) for _ in self.network.sizes[1:]))
        found = self._relaxed(params, x, aims, none, (self.network.free_steps, 0), [zero, *starts])
        return [(x, *(course[0] for course in courses)) for courses, _moving in found]

    def _relaxed(
        self,
        params: Params,
        x: Array,
        target: Array,
        nudges: Array,
        steps: tuple[int, int],
        starts: Sequence[State],
    ) -> list[tuple[tuple[Array, ...], Array]]:
        """From each start, courses of all layers and which examples move, as :func:`relax` says."""
        half = halved(params, len(self.network.sizes) - 1)
        drives = np.empty((len(x), self.network.sizes[1]), self._number)
        fixed = (
            drives,
            tuple(transposed for _weights, transposed, _bias in half),
            tuple(bias.astype(self._number) for _weights, _transposed, bias in half),
            np.ascontiguousarray(target, self._number),
            nudges,
            steps,
            self.network.in_turn,
        )
        found = []
        for place, start in enumerate(starts):
            courses = self._room(place, len(nudges) + 2, len(x))
            for course, layer in zip(courses, start[1:], strict=True):
                course[-1] = layer
            found.append((courses, np.zeros(len(x), bool)))

        def part(share: Share) -> None:
            # Examples of a share are driven and relaxed by the same thread, which waits for no other.
            drive(x, params["W1"], params["b1"], drives, share)
            for way in found:
                relax(*fixed, *way, *self._rooms[share[0]], share)

        self._share(part)
        return found

    def _room(self, place: int, knots: int, batch: int) -> tuple[Array, ...]:
        """Where the courses of all layers are written, the same the next time."""
        if (place, knots, batch) not in self._courses:
            shapes = [(knots, batch, size) for size in self.network.sizes[1:]]
            self._courses[place, knots, batch] = tuple(np.zeros(shape, self._number) for shape in shapes)
        return self._courses[place, knots, batch]

    def _learn(self, params: Array, name: str, pre: Array, post: Array, nudge: float, batch: int) -> None:
        """The temporal rule on the weights (n_pre, n_post) between two layers, from their courses."""
        assert isinstance(self.rule, Temporal)
        response = self.rule.map(KNOTS)
        if not (post.shape[1] and response.tiers):
            return
        theta = per_group(self.rule.thresholds, name, "threshold") * batch
        if (name, batch) not in self._instants:
            self._instants[name, batch] = instants(response, KNOTS - 1, theta, self._number)
        least = theta * (1 - MARGIN) * (1 - LOOSER) / response.reach
        factor = per_group(self.rule.rates, name, "rate") * float(self.rule.gain or 0) / nudge / batch
        # The longer layer is that of the columns where both move: loops run along columns.
        turned = len(pre) > 1 and params.shape[0] > params.shape[1]
        if turned:
            pre, post = post, pre
        weights = np.ascontiguousarray(params.T) if turned else params
        number = self._number.type
        fixed = (0,) * (KNOTS - 1), weights, pre, post, number(least), number(factor)
        self._share(lambda share: update(*fixed, self._instants[name, batch], share))
        if turned:
            params[...] = weights.T

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
