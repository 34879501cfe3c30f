"""What learns: parameters, the substrate that relaxes under them, and what its synapses see on one swing.

On a swing the nudge rises in equal steps from 0 to its full size; a *ramp* holds the signal −∂E/∂θ of every
parameter at each of these knots. A substrate may hand it over as plain arrays (:class:`Stack`) or, where the
signal is a correlation of two neighbours, in factors
(:class:`chemlearn.learning.correlations.Correlations`), from which what a rule does not need is never
computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from chemlearn.learning.arrays import Array, xp

__all__ = [
    "Block",
    "Params",
    "Ramp",
    "RampGroup",
    "Stack",
    "Substrate",
    "as_ramp",
    "blocks_of",
    "check_nudge",
]

Params = dict[str, Array]
"""Parameters, signals or updates by the name of their group."""

BLOCK = 1 << 17
"""Numbers in one working array: what bounds the memory of an update."""


class Block(NamedTuple):
    """Some parameters of one group: where they are, and how their signals move along the ramp."""

    places: Array
    """Flat indices into the group, (n,)."""
    steps: Array
    """Increments s_k − s_(k−1), (n_knots − 1, n)."""
    start: Array | None
    """s_0, (n,), where it was asked for."""


class RampGroup(Protocol):
    """Signals of one group of parameters at the knots of the ramp."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the group."""

    @property
    def knots(self) -> int:
        """Number of knots, the free and the clamped one included."""

    @property
    def dtype(self) -> Any:
        """Type of the numbers."""

    def combine(self, weights: Array) -> Array:
        """Σ_k weights_k s_k, of the group's shape; weights (n_knots,)."""

    def blocks(self, least: float, with_start: bool) -> Iterator[Block]:
        """All parameters with an increment of at least ``least`` in size, in blocks; others may come too."""


Ramp = Mapping[str, RampGroup]


class Substrate(Protocol):
    """A physical system with an energy E(params, state), whose synapses see −∂E/∂θ."""

    def init(self, rng: Any) -> Params:
        """Parameters before learning."""

    def equilibrium(
        self,
        params: Params,
        x: Array,
        *,
        target: Array | None = None,
        nudge: float = 0.0,
        start: Any = None,
        steps: int | None = None,
    ) -> Any:
        """The state reached for inputs x, (n_batch, n_in), free or nudged towards a target."""

    def output(self, state: Any) -> Array:
        """What the state says, (n_batch, n_out)."""

    def signal(self, params: Params, state: Any) -> Params:
        """s = −∂E/∂θ, mean over the batch."""

    def swing(
        self, params: Params, x: Array, target: Array, nudge: float, *, knots: int = 9, start: Any = None
    ) -> tuple[Any, Ramp]:
        """The free state, and the signals while the nudge rises from 0 in ``knots`` − 1 equal steps."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Signals of one group as they are.

    Parameters
    ----------
    values : array, (n_knots, ...)
        s_0 (free) to the last (clamped); at least two.
    """

    values: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the group."""
        return self.values.shape[1:]

    @property
    def knots(self) -> int:
        """Number of knots."""
        return len(self.values)

    @property
    def dtype(self) -> Any:
        """Type of the numbers."""
        return self.values.dtype

    def combine(self, weights: Array) -> Array:
        """Σ_k weights_k s_k, from the increments, so that what is common to all knots cannot leave a rest."""
        return _combine(self.values, weights)

    def blocks(self, least: float, with_start: bool) -> Iterator[Block]:
        """As :meth:`RampGroup.blocks`."""
        return blocks_of(self.values, self.values[0], least, with_start)


def blocks_of(course: Array, start: Array, least: float, with_start: bool) -> Iterator[Block]:
    """Blocks of a group from how its signals go, (n_knots, ...), up to a constant, and their start, (...)."""
    flat, begin = course.reshape(len(course), -1), start.reshape(-1)
    width = max(1, BLOCK // len(course))
    for first in range(0, flat.shape[1], width):
        part = flat[:, first : first + width]
        steps = part[1:] - part[:-1]
        places = xp.flatnonzero(xp.abs(steps).max(axis=0) >= least)
        yield Block(places + first, steps[:, places], begin[places + first] if with_start else None)


def _combine(values: Array, weights: Array) -> Array:
    """Σ_k weights_k values_k from values_0 and the differences to it."""
    weights = weights.astype(values.dtype)
    total = xp.tensordot(weights[1:], values[1:] - values[0], axes=1)
    level = weights.sum()
    return total + level * values[0] if level else total


def as_ramp(signals: Sequence[Params]) -> dict[str, Stack]:
    """The ramp of a substrate that has signals one knot at a time; two of them make a straight ramp.

    Parameters
    ----------
    signals : sequence of Params
        From the free to the clamped one, the nudge rising in equal steps; at least two, of the same groups
        and shapes.

    Raises
    ------
    ValueError
        If there are fewer than two, or groups or shapes differ.
    """
    if len(signals) < 2:
        raise ValueError(f"a ramp has at least two knots, free and clamped, got {len(signals)}")
    first = {name: xp.shape(values) for name, values in signals[0].items()}
    for k, params in enumerate(signals):
        found = {name: xp.shape(values) for name, values in params.items()}
        if found != first:
            raise ValueError(
                f"signals of a ramp have the same groups and shapes, got {found} at knot {k}, not {first}"
            )
    return {name: Stack(xp.stack([xp.asarray(params[name]) for params in signals])) for name in first}


def check_nudge(nudge: float) -> None:
    """Refuse a nudge that is 0 or no number."""
    if not (xp.isfinite(nudge) and nudge != 0):
        raise ValueError(f"the nudge must be a finite number other than 0, got {nudge}")
