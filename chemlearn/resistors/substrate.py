"""Linear networks as substrates of any learning rule; of resistors, s = −½ (Δv)² at every edge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from chemlearn.learning.arrays import Array, xp
from chemlearn.learning.substrate import Block, Params, RampGroup, blocks_of, check_nudge
from chemlearn.resistors.network import LinearNetwork, check_conductances
from chemlearn.resistors.solve import Response, power, response
from chemlearn.resistors.tasks import Task, check_tasks

__all__ = ["LinearSubstrate", "Moves", "Nudge", "ResistorSubstrate"]

Nudge = Literal["clamp", "energy"]
"""What a nudge does to the targets; see :class:`LinearSubstrate`."""


@dataclass(frozen=True, eq=False)
class Moves:
    """Signals of one group as their start and how far they are from it: small moves keep all their digits.

    Parameters
    ----------
    start : array, (...)
        s_0.
    moves : array, (n_knots, ...)
        s_k − s_0, the first of them 0; at least two.
    """

    start: Array
    moves: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the group."""
        return self.start.shape

    @property
    def knots(self) -> int:
        """Number of knots."""
        return len(self.moves)

    @property
    def dtype(self) -> Any:
        """Type of the numbers."""
        return self.moves.dtype

    def combine(self, weights: Array) -> Array:
        """Σ_k weights_k s_k."""
        level = weights.sum()
        total = xp.tensordot(weights[1:], self.moves[1:], axes=1)
        return total + level * self.start if level else total

    def blocks(self, least: float, with_start: bool) -> Iterator[Block]:
        """As :meth:`chemlearn.learning.substrate.RampGroup.blocks`."""
        return blocks_of(self.moves, self.start, least, with_start)


@dataclass(frozen=True, eq=False)
class LinearSubstrate:
    r"""A linear network with its sources and targets, whose edges have one parameter each.

    The energy is E = ½ Σ w^p (Δv)², w the parameter, so that an edge sees s = −½ p w^(p−1) (Δv)². A state is
    the values of all places (voltages, pressures, displacements of coordinates), (n_batch, n_places);
    inputs are those of the sources, targets those wanted. The state of rest is solved for, so ``start`` and
    ``steps`` change nothing.

    Parameters
    ----------
    network : LinearNetwork
    sources, targets : array of int
        Places; none is held.
    nudge : {'clamp', 'energy'}
        ``clamp`` holds the targets at v_T^F + η (V_T − v_T^F), η the nudge: coupled learning, whose rate α is
        a :class:`~chemlearn.learning.rules.Contrastive` rate of 2α. ``energy`` adds η Σ_T (v_T − V_T)² to the
        power, so that for η → 0 a contrastive rule of rate 1 descends the error C = Σ_T (V_T − v_T)² itself.
    initial : float
        Parameter of all edges before learning.
    least : float
        Smallest parameter; :meth:`bounded` puts those below it there.
    parameter : str
        Name of the parameter.
    exponent : int
        p: what couples the ends of an edge is w^p.

    Raises
    ------
    ValueError
        If the network cannot be asked this, or a number makes no sense.

    References
    ----------
    S, eq. (1); Scellier, Bengio, doi:10.3389/fncom.2017.00024.
    """

    network: LinearNetwork
    sources: Array
    targets: Array
    nudge: Nudge = "clamp"
    initial: float = 1.0
    least: float = 1e-6
    parameter: str = "conductance"
    exponent: int = 1

    def __post_init__(self) -> None:
        task = Task(
            self.sources, xp.zeros(xp.shape(self.sources)), self.targets, xp.zeros(xp.shape(self.targets))
        )
        check_tasks(self.network, [task])
        object.__setattr__(self, "sources", task.sources)
        object.__setattr__(self, "targets", task.targets)
        if self.nudge not in get_args(Nudge):
            raise ValueError(f"the nudge is {' or '.join(map(repr, get_args(Nudge)))}, got {self.nudge!r}")
        if not 0 < self.least <= self.initial < float("inf"):
            raise ValueError(
                f"{self._plural} begin at the least one or above, got {self.initial} and {self.least}, "
                "which must be positive"
            )

    @property
    def _plural(self) -> str:
        return {"radius": "radii", "stiffness": "stiffnesses"}.get(self.parameter, f"{self.parameter}s")

    def init(self, rng: Any = None) -> Params:
        """All parameters equal; nothing is drawn."""
        return {self.parameter: xp.full(self.network.n_edges, float(self.initial))}

    def bounded(self, params: Params) -> Params:
        """The parameters with none below ``least``: what to do after each update."""
        return {self.parameter: xp.maximum(params[self.parameter], self.least)}

    def energy(self, params: Params, state: Array) -> Array:
        """E = ½ Σ w^p (Δv)² of each example, (n_batch,), without the nudge."""
        return power(self.network, self._weights(params) ** self.exponent, state)

    def equilibrium(
        self,
        params: Params,
        x: Array,
        *,
        target: Array | None = None,
        nudge: float = 0.0,
        start: Any = None,
        steps: int | None = None,
    ) -> Array:
        """Values at rest, (n_batch, n_places), free or nudged towards a target.

        Parameters
        ----------
        params : Params
        x : array, (n_batch, n_sources)
        target : array, (n_batch, n_targets), optional
            V_T, needed for a nudge.
        nudge : float
            Of either sign; how it acts says the class.
        start, steps
            Of no effect.

        Raises
        ------
        ValueError
            If a shape does not fit, a parameter is not positive, or there is a nudge but no target.
        """
        if nudge and target is None:
            raise ValueError(f"a nudge needs a target, got nudge={nudge} and none")
        found, task = self._response(params, x, target)
        return found.free + self._shift(found, task, nudge) if nudge else found.free

    def output(self, state: Array) -> Array:
        """Values of the targets, (n_batch, n_targets)."""
        return state[:, self.targets]

    def signal(self, params: Params, state: Array) -> Params:
        """s = −∂E/∂w of each edge, mean over the batch."""
        slope = self._slope(params)
        return {self.parameter: -0.5 * slope * (self.network.drops(state) ** 2).mean(axis=0)}

    def swing(
        self, params: Params, x: Array, target: Array, nudge: float, *, knots: int = 9, start: Any = None
    ) -> tuple[Array, dict[str, RampGroup]]:
        """The free state, and the signals while the nudge rises from 0 in ``knots`` − 1 equal steps.

        Returns
        -------
        state : array, (n_batch, n_places)
            The free one.
        ramp : dict
            Signals as :class:`Moves`, from the values' differences to the free state, so that a small
            nudge costs no digits.

        Raises
        ------
        ValueError
            As :meth:`equilibrium`, or if the nudge is 0 or there are fewer than two knots.
        """
        check_nudge(nudge)
        if int(knots) != knots or knots < 2:
            raise ValueError(f"a ramp has a whole number of knots of at least 2, got {knots}")
        found, task = self._response(params, x, target)
        drop, slope = self.network.drops(found.free), self._slope(params)
        moves = xp.zeros((int(knots), self.network.n_edges))
        for knot in range(1, int(knots)):
            shift = self.network.drops(self._shift(found, task, nudge * knot / (knots - 1)))
            moves[knot] = -slope * (shift * (drop + 0.5 * shift)).mean(axis=0)
        return found.free, {self.parameter: Moves(self.signal(params, found.free)[self.parameter], moves)}

    @property
    def _kind(self) -> str:
        return "resistors" if self.parameter == "conductance" else f"edges with a {self.parameter}"

    def _weights(self, params: Params) -> Array:
        if set(params) != {self.parameter}:
            raise ValueError(
                f"parameters of a network of {self._kind} are {self.parameter!r}, got {sorted(params)}"
            )
        return check_conductances(self.network, params[self.parameter], self._plural)

    def _slope(self, params: Params) -> Array:
        """d(w^p)/dw, (n_edges,)."""
        if self.exponent == 1:
            return xp.ones(self.network.n_edges)
        return self.exponent * self._weights(params) ** (self.exponent - 1)

    def _response(self, params: Params, x: Array, target: Array | None) -> tuple[Response, Task]:
        x = xp.asarray(x, float)
        if target is None:
            target = xp.zeros((len(x), len(self.targets)))
        task = Task(self.sources, x, self.targets, target)
        return response(self.network, self._weights(params) ** self.exponent, task), task

    def _shift(self, found: Response, task: Task, nudge: float) -> Array:
        """How far the nudge moves all values."""
        if self.nudge == "clamp":
            return nudge * found.clamped(task)
        return found.pulled(task, nudge)


@dataclass(frozen=True, eq=False)
class ResistorSubstrate(LinearSubstrate):
    """A network of resistors: the parameter of an edge is its ``conductance``, the energy the power."""

    @classmethod
    def of(cls, network: LinearNetwork, task: Task, **how: Any) -> ResistorSubstrate:
        """The substrate with the sources and targets of a task."""
        return cls(network, task.sources, task.targets, **how)
