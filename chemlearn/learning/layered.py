"""Layered energy network that learns by relaxing: the dense network of equilibrium propagation (F29, F30).

E(x) = ½ Σ x_i² − Σ_layers x_preᵀ W x_post − Σ b_i x_i over units held in [0, 1]; neighbouring layers are
coupled symmetrically. A nudge β adds β Σ_out (x_i − y_i)².
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from chemlearn.learning.arrays import Array, float_type, xp
from chemlearn.learning.correlations import Correlations
from chemlearn.learning.substrate import Params, RampGroup, Stack, check_nudge

__all__ = ["LayeredNetwork", "State", "halved", "ramp_of"]

State = tuple[Array, ...]
"""All layers, the input first, each (n_batch, n_units)."""


@dataclass(frozen=True)
class LayeredNetwork:
    """Layers of units in [0, 1], each coupled to the next, symmetrically and all to all (F Fig. 3, App. B).

    Parameters are named ``W1``, ``b1`` for the first layer after the input, ``W2``, ``b2``, …; ``Wl`` is
    (n_before, n_after).

    Parameters
    ----------
    sizes : sequence of int
        Units per layer, the input first; at least two layers.
    dtype : {'float64', 'float32'}
        Numbers that the parameters and states are held in.
    free_steps, nudged_steps : int
        Steps of a free phase, and of a nudged one from its end; those of the published network by default. A
        nudge reaches one layer further back with each step, so deeper networks need more of both.
    in_turn : bool
        Whether, while a nudge acts, the layers move one after the other, from the first on, each seeing where
        the one before it has just gone; by default all at once, as always in free phases. Nothing published
        says which.

    Raises
    ------
    ValueError
        If there are fewer than two layers, a size or a number of steps is not a whole positive number or the
        type is unknown.

    References
    ----------
    Scellier, Bengio, Front. Comput. Neurosci. 11, 24 (2017), doi:10.3389/fncom.2017.00024; Falk et al.,
    doi:10.1038/s41467-025-57043-x, App. B.
    """

    sizes: tuple[int, ...]
    dtype: str = "float64"
    free_steps: int = 20
    nudged_steps: int = 4
    in_turn: bool = False

    def __post_init__(self) -> None:
        sizes = tuple(self.sizes)
        if len(sizes) < 2:
            raise ValueError(
                f"a layered network has at least two layers, input and output, got sizes {sizes}"
            )
        for size in sizes:
            if int(size) != size or size < 1:
                raise ValueError(f"each layer has a whole number of units of at least 1, got sizes {sizes}")
        object.__setattr__(self, "sizes", tuple(int(size) for size in sizes))
        for name in ("free_steps", "nudged_steps"):
            steps = getattr(self, name)
            if int(steps) != steps or steps < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {steps}")
            object.__setattr__(self, name, int(steps))
        float_type(self.dtype)

    def init(self, rng: Any) -> Params:
        """Weights uniform in (−a, a), a = ½ √(6/(n_before + n_after)); biases 0.

        Parameters
        ----------
        rng : numpy.random.Generator
            Advanced by one draw per weight, in float64 whatever ``dtype``, so that one seed is one network.
        """
        number = float_type(self.dtype)
        params = {}
        for layer, (before, after) in enumerate(pairwise(self.sizes), start=1):
            bound = 0.5 * (6 / (before + after)) ** 0.5
            params[f"W{layer}"] = rng.uniform(-bound, bound, (before, after)).astype(number)
            params[f"b{layer}"] = xp.zeros(after, number)
        return params

    def energy(self, params: Params, state: State) -> Array:
        """E of each example, (n_batch,) (F29), without the nudge; input units have no bias."""
        total = sum(0.5 * xp.sum(layer**2, axis=-1) for layer in state)
        for layer in range(1, len(self.sizes)):
            pull = state[layer - 1] @ params[f"W{layer}"] + params[f"b{layer}"]
            total = total - xp.sum(pull * state[layer], axis=-1)
        return xp.asarray(total)

    def equilibrium(
        self,
        params: Params,
        x: Array,
        *,
        target: Array | None = None,
        nudge: float = 0.0,
        start: State | None = None,
        steps: int | None = None,
    ) -> State:
        """The state after a number of steps x ← clip(x − ½ ∂F/∂x, 0, 1) of all layers (F30).

        Parameters
        ----------
        params : Params
        x : array, (n_batch, n_in)
            Held fixed; in [0, 1].
        target : array, (n_batch, n_out), optional
            y, needed for a nudge.
        nudge : float
            β, of either sign.
        start : State, optional
            Where the layers after the input begin; at 0 if not given. Not changed.
        steps : int, optional
            ``free_steps`` by default without a target, ``nudged_steps`` with one.

        Raises
        ------
        ValueError
            If a shape does not fit, steps is negative, or there is a nudge but no target.
        """
        x = self._input(params, x)
        if nudge and target is None:
            raise ValueError(f"a nudge needs a target, got nudge={nudge} and none")
        if steps is None:
            steps = self.free_steps if target is None else self.nudged_steps
        if int(steps) != steps or steps < 0:
            raise ValueError(f"steps must be a whole number of at least 0, got {steps}")
        layers = self._start(x, start)
        half = halved(params, len(layers))
        drive = _drive(params, x)
        aim = None if target is None else self._target(target, len(x))
        if aim is None or not nudge:
            return (x, *_relax(layers, drive, half, int(steps)))
        pull = _Pull(aim, xp.asarray(nudge, x.dtype), self.in_turn)
        return (x, *_relax(layers, drive, half, int(steps), pull))

    def output(self, state: State) -> Array:
        """The last layer, (n_batch, n_out)."""
        return state[-1]

    def signal(self, params: Params, state: State) -> Params:
        """s = −∂E/∂θ, mean over the batch: ⟨x_pre x_post⟩ for weights and ⟨x⟩ for biases."""
        found = {}
        for layer in range(1, len(self.sizes)):
            found[f"W{layer}"] = state[layer - 1].T @ state[layer] / len(state[0])
            found[f"b{layer}"] = state[layer].mean(axis=0)
        return found

    def swing(
        self,
        params: Params,
        x: Array,
        target: Array,
        nudge: float,
        *,
        knots: int = 9,
        start: State | None = None,
    ) -> tuple[State, dict[str, RampGroup]]:
        """The free state of a minibatch and its signals while the nudge rises from 0 in equal steps.

        The same numbers as ``equilibrium`` and ``signal`` for the free state and, from there, for each
        nudge·k/(knots − 1); only the input acts on the first layer once, all nudges relax at once, and
        examples whose output stays on its target, where no nudge acts, once instead of ``knots`` times.

        Parameters
        ----------
        params, x, target, start
            As for :meth:`equilibrium`; ``start`` for the free phase.
        nudge : float
            β at the last knot, of either sign, not 0.
        knots : int
            At least 2.

        Returns
        -------
        state : State
            The free state, to start from the next time.
        ramp : dict
            Signals of each group of parameters, for a rule.

        Raises
        ------
        ValueError
            As :meth:`equilibrium`, or if the nudge is 0 or there are fewer than two knots.
        """
        check_nudge(nudge)
        if int(knots) != knots or knots < 2:
            raise ValueError(f"a ramp has a whole number of knots of at least 2, got {knots}")
        x = self._input(params, x)
        target = self._target(target, len(x))
        layers = self._start(x, start)
        half = halved(params, len(layers))
        drive = _drive(params, x)
        free = _relax(layers, drive, half, self.free_steps)
        rest, moving = _at_rest(free, drive, half, self.nudged_steps, target)
        nudges = (nudge * xp.arange(1, knots) / (knots - 1)).astype(x.dtype)
        begin, pull = [layer[moving] for layer in free], _Pull(target[moving], nudges, self.in_turn)
        nudged = _at_nudges(begin, drive[moving], half, self.nudged_steps, pull)
        moved = [
            xp.concatenate([first[None, moving], later]) for first, later in zip(rest, nudged, strict=True)
        ]
        return (x, *free), ramp_of([x[None, moving], *moved], (x, *rest))

    def _input(self, params: Params, x: Array) -> Array:
        """Inputs in this network's numbers, checked with the parameters."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, (before, after) in enumerate(pairwise(self.sizes), start=1):
            shapes[f"W{layer}"], shapes[f"b{layer}"] = (before, after), (after,)
        found = {name: xp.shape(values) for name, values in params.items()}
        if found != shapes:
            raise ValueError(
                f"parameters of a network of sizes {self.sizes} have shapes {shapes}, got {found}"
            )
        return self._rows(x, None, self.sizes[0], "inputs")

    def _target(self, target: Array, batch: int) -> Array:
        return self._rows(target, batch, self.sizes[-1], "targets")

    def _start(self, x: Array, start: State | None) -> list[Array]:
        if start is None:
            return [xp.zeros((len(x), size), x.dtype) for size in self.sizes[1:]]
        if len(start) != len(self.sizes):
            raise ValueError(f"a state has {len(self.sizes)} layers, the input too, got {len(start)}")
        pairs = zip(start[1:], self.sizes[1:], strict=True)
        return [self._rows(layer, len(x), size, "layers of the start") for layer, size in pairs]

    def _rows(self, values: Array, batch: int | None, size: int, name: str) -> Array:
        values = xp.asarray(values, float_type(self.dtype))
        if values.ndim != 2 or values.shape != (batch or len(values), size) or not len(values):
            raise ValueError(
                f"{name} must have one row of {size} per example, {batch or 'at least one'} in all, "
                f"got shape {values.shape}"
            )
        return values


@dataclass(frozen=True, eq=False)
class _Pull:
    """The nudge on the output layer: target, (n_rows, n_out), and β, one for all or one for each."""

    target: Array
    nudge: Array
    in_turn: bool


def _drive(params: Params, x: Array) -> Array:
    """Half of what the input and its bias do to the first layer, which nothing changes within a minibatch."""
    lit = xp.flatnonzero(x.any(axis=0))
    weights = params["W1"]
    drive = x @ weights if len(lit) > 0.7 * len(weights) else x[:, lit] @ weights[lit]
    return 0.5 * (drive + params["b1"])


def halved(params: Params, count: int) -> list[tuple[Array, Array, Array]]:
    """½ W, its transpose and ½ b of the layers after the first: a step of ½ is (x + what pulls at it)/2."""
    found = []
    for layer in range(2, count + 1):
        weights = 0.5 * params[f"W{layer}"]
        found.append((weights, xp.ascontiguousarray(weights.T), 0.5 * params[f"b{layer}"]))
    return found


def _relax(
    layers: Sequence[Array],
    drive: Array,
    half: Sequence[tuple[Array, Array, Array]],
    steps: int,
    pull: _Pull | None = None,
) -> list[Array]:
    """The layers after a number of steps."""
    layers = list(layers)
    last = len(layers) - 1
    in_turn = pull is not None and pull.in_turn
    for _ in range(steps):
        later: list[Array] = []
        before = later if in_turn else layers
        for place, layer in enumerate(layers):
            moved = 0.5 * layer
            if place == 0:
                moved += drive
            else:
                weights, _transposed, bias = half[place - 1]
                moved += before[place - 1] @ weights
                moved += bias
            if place < last:
                moved += layers[place + 1] @ half[place][1]
            elif pull is not None:
                moved -= pull.nudge * (layer - pull.target)
            xp.maximum(moved, 0, out=moved)
            xp.minimum(moved, 1, out=moved)
            later.append(moved)
        layers = later
    return layers


def _at_rest(
    free: list[Array], drive: Array, half: Sequence[tuple[Array, Array, Array]], steps: int, target: Array
) -> tuple[list[Array], Array]:
    """The layers without a nudge, and the examples whose output is ever off its target, which nudges move."""
    layers, off = free, xp.zeros(len(target), bool)
    for _ in range(steps):
        off |= (layers[-1] != target).any(axis=1)
        layers = _relax(layers, drive, half, 1)
    return layers, xp.flatnonzero(off)


def _at_nudges(
    begin: list[Array], drive: Array, half: Sequence[tuple[Array, Array, Array]], steps: int, pull: _Pull
) -> list[Array]:
    """The layers at several nudges, (n_nudges, n_examples, n_units), all relaxed as one large minibatch."""
    count, examples = len(pull.nudge), len(pull.target)
    every = _Pull(xp.tile(pull.target, (count, 1)), xp.repeat(pull.nudge, examples)[:, None], pull.in_turn)
    layers = [xp.tile(layer, (count, 1)) for layer in begin]
    layers = _relax(layers, xp.tile(drive, (count, 1)), half, steps, every)
    return [layer.reshape(count, examples, layer.shape[1]) for layer in layers]


def ramp_of(courses: list[Array], rest: State) -> dict[str, RampGroup]:
    """Signals from the courses of those examples that move and all examples at rest."""
    ramp: dict[str, RampGroup] = {}
    for layer in range(1, len(courses)):
        before, after = courses[layer - 1], courses[layer]
        ramp[f"W{layer}"] = Correlations(before, after, rest[layer - 1], rest[layer])
        moved = (after - after[0]).sum(axis=1) / len(rest[0])
        ramp[f"b{layer}"] = Stack(moved + rest[layer].mean(axis=0))
    return ramp
