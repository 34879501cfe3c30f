"""What one minibatch teaches: the one place where it is chosen who does the arithmetic.

``numpy`` calls the substrate and the rule, which use the array module of :mod:`chemlearn.learning.arrays`;
``numba`` runs the same formulas in compiled loops.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from chemlearn.learning.arrays import Array
from chemlearn.learning.layered import LayeredNetwork, State
from chemlearn.learning.rules import Rule, learn
from chemlearn.learning.substrate import Params

__all__ = ["Backend", "Lesson", "check_backend", "lesson"]

Backend = Literal["numba", "numpy"]


class Lesson(Protocol):
    """Swing the nudge for a minibatch and change the parameters in place."""

    def __call__(self, params: Params, x: Array, target: Array, nudge: float, start: State) -> State:
        """The free state, to start from the next time; valid until the next call."""

    def free(self, params: Params, x: Array, *starts: State) -> list[State]:
        """The free states from 0, to predict with, and from each of the starts."""


def check_backend(backend: str) -> None:
    """Refuse an unknown name."""
    if backend not in get_args(Backend):
        raise ValueError(f"no backend named {backend!r}; there are {', '.join(get_args(Backend))}")


@contextmanager
def lesson(network: LayeredNetwork, rule: Rule, backend: Backend, workers: int) -> Iterator[Lesson]:
    """The lesson of a backend; ``workers`` threads where it has its own.

    A network of two layers has no layer that relaxes against another, and needs no compiled loops.
    """
    if backend == "numpy" or len(network.sizes) < 3:
        yield _ByArrays(network, rule)
        return
    from chemlearn.learning.compiled.lesson import CompiledLesson

    compiled = CompiledLesson(network, rule, workers)
    try:
        yield compiled
    finally:
        compiled.close()


@dataclass(frozen=True)
class _ByArrays:
    """The substrate's swing and the rule, as they are."""

    network: LayeredNetwork
    rule: Rule

    def __call__(self, params: Params, x: Array, target: Array, nudge: float, start: State) -> State:
        state, ramp = self.network.swing(params, x, target, nudge, start=start)
        learn(params, self.rule, ramp, nudge)
        return state

    def free(self, params: Params, x: Array, *starts: State) -> list[State]:
        return [self.network.equilibrium(params, x, start=start) for start in (None, *starts)]
