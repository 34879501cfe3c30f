"""The exact law of the amounts of a model, where one is known: to draw from, and to look probabilities up in.

It is known for molecules that react one by one, which are independent of each other: then the law is
multinomial in what is closed and Poisson in what is open, at rest and under any signal, with the means of the
rate equations (Jahnke and Huisinga, doi:10.1007/s00285-006-0034-x). And it is known where so few states can
be reached that the master equation itself is solved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.integrate import solve_ivp
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.special import gammaln, xlogy

from chemlearn.errors import ConvergenceError
from chemlearn.expression import ZERO, compile_expressions, is_affine, substitute, symbols
from chemlearn.markov.chain import steady_state
from chemlearn.model import Model
from chemlearn.network import Reaction
from chemlearn.signal import Piece, Signal
from chemlearn.simulate import simulate_ode

MOST_STATES = 1000  #: of which a master equation is solved, by default: half a second
_ACCURACY = 1e-8  # of the master equation under a signal


class Law(Protocol):
    """Probabilities of the amounts of the core, (n, n_core) arrays in the order of the model's variables."""

    @property
    def how(self) -> str:
        """Where it comes from, in words."""

    def draw(self, generator: np.random.Generator, n: int) -> np.ndarray:
        """Amounts at random, (n, n_core)."""

    def log_probability(self, amounts: np.ndarray) -> np.ndarray:
        """ln p of amounts (n, n_core); −inf where they cannot be."""

    def after(self, signal: Signal, duration: float) -> Law:
        """The law when the signal has run from time 0 for a while."""


def law_at_rest(model: Model, s: float, *, levels: Iterable[float] = (), most_states: int) -> Law | str:
    """The law of the amounts at rest at a constant input, or why it is not known.

    Parameters
    ----------
    model : Model
        Of reactions only.
    s : float
        Input level.
    levels : iterable of float
        Others that the input will take, where other states may become reachable.
    most_states : int
        Of which a master equation is solved.
    """
    parts = _independent_parts(model)
    if parts is not None:
        return IndependentMolecules(model, parts, model.dynamics.steady_state(s))
    chain = reachable(model, (s, *levels), most_states)
    if chain is None:
        return (
            f"the molecules are not independent of each other, and more than {most_states} states can be "
            f"reached"
        )
    try:
        return Enumerated(chain, steady_state(chain.rates(s).toarray()))
    except ConvergenceError as error:
        return f"of {len(chain.states)} states, {error}"


# --- independent molecules ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class IndependentMolecules:
    """Multinomial in the closed parts of the core, Poisson in the open ones.

    Parameters
    ----------
    model : Model
    parts : tuple of (array of int, bool)
        Places in the core of the species that turn into each other, and whether none enters or leaves.
    expected : (n_variables,) array
        Mean amounts.
    """

    model: Model
    parts: tuple[tuple[np.ndarray, bool], ...]
    expected: np.ndarray

    @property
    def how(self) -> str:
        kinds = {closed for _, closed in self.parts}
        named = " and ".join(("Poisson", "multinomial")[kind] for kind in sorted(kinds, reverse=True))
        return f"{named}: the molecules are independent of each other"

    @cached_property
    def _means(self) -> np.ndarray:
        return np.maximum(self.expected[self.model.dynamics.core], 0.0)

    def draw(self, generator: np.random.Generator, n: int) -> np.ndarray:
        amounts = np.empty((n, len(self._means)))
        for places, closed in self.parts:
            means = self._means[places]
            total = means.sum()
            if closed:
                chances = means / total if total else np.full(len(places), 1 / len(places))
                amounts[:, places] = generator.multinomial(round(total), chances, size=n)
            else:
                amounts[:, places] = generator.poisson(means, size=(n, len(places)))
        return amounts

    def log_probability(self, amounts: np.ndarray) -> np.ndarray:
        result = np.zeros(len(amounts))
        for places, closed in self.parts:
            means, here = self._means[places], amounts[:, places]
            result += np.sum(xlogy(here, means) - gammaln(here + 1), axis=1)
            total = means.sum()
            result += gammaln(round(total) + 1) - xlogy(round(total), total) if closed else -total
        return result

    def after(self, signal: Signal, duration: float) -> IndependentMolecules:
        names = self.model.network.variables
        start = dict(zip(names, self.expected.tolist(), strict=True))
        data = simulate_ode(self.model, np.array([duration]), signal=signal, start=start)
        reached = np.array([data[name].values[-1] for name in names])
        return IndependentMolecules(self.model, self.parts, reached)


def _independent_parts(model: Model) -> tuple[tuple[np.ndarray, bool], ...] | None:
    """Groups of species that turn into each other; None where molecules act on each other."""
    dynamics = model.dynamics
    names = [dynamics.variables[i] for i in dynamics.core]
    edges: list[tuple[int, int]] = []
    open_at: set[int] = set()
    for reaction in model.network.reactions:
        change = {n: c for n, c in reaction.net().items() if n in names}
        if not change:
            continue
        if not _is_single(reaction, change, names):
            return None
        ends = [names.index(name) for name in change]
        if len(ends) == 2:
            edges.append((ends[0], ends[1]))
        else:
            open_at.add(ends[0])
    rows, columns = np.array(edges, int).reshape(-1, 2).T
    size = (len(names), len(names))
    count, labels = connected_components(csr_array((np.ones(len(edges)), (rows, columns)), shape=size))
    parts = [np.flatnonzero(labels == k) for k in range(count)]
    return tuple((places, open_at.isdisjoint(places.tolist())) for places in parts)


def _is_single(reaction: Reaction, change: dict[str, float], core: Sequence[str]) -> bool:
    """Whether molecules of the core turn, enter or leave one by one, whatever the others do."""
    lost = [name for name, n in change.items() if n < 0]
    if any(abs(n) != 1 for n in change.values()) or len(lost) > 1 or len(change) - len(lost) > 1:
        return False
    read = symbols(reaction.law) & set(core)
    if not lost:
        return not read
    proportional = substitute(reaction.law, {lost[0]: ZERO}) == ZERO and is_affine(reaction.law, *core)
    return read == set(lost) and proportional


# --- all states --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Chain:
    """The master equation of the core: its states and the reactions between them.

    Parameters
    ----------
    states : (n_states, n_core) array
    sources, targets, reactions : (n_moves,) arrays of int
        Every move: from which state, to which, by which reaction of the network.
    propensities : callable
        Function of (states, s) giving (n_reactions, n_states).
    """

    states: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    reactions: np.ndarray
    propensities: Callable[[np.ndarray, float], np.ndarray]

    @cached_property
    def place(self) -> dict[bytes, int]:
        """Number of a state, by the bytes of its amounts."""
        return {state.tobytes(): i for i, state in enumerate(self.states)}

    def rates(self, s: float) -> csr_array:
        """W[i, j], the rate from state j to state i at an input level; its columns sum to zero."""
        n, rate = len(self.states), self._moves(s)
        places = np.append(self.targets, self.sources), np.append(self.sources, self.sources)
        return csr_array((np.append(rate, -rate), places), shape=(n, n))

    def velocity(self, s: float, p: np.ndarray) -> np.ndarray:
        """W p at an input level, without making W."""
        flow, n = self._moves(s) * p[self.sources], len(p)
        return np.bincount(self.targets, flow, n) - np.bincount(self.sources, flow, n)

    def _moves(self, s: float) -> np.ndarray:
        return self.propensities(self.states, s)[self.reactions, self.sources]


@dataclass(frozen=True, eq=False)
class Enumerated:
    """Probabilities of all states that can be reached.

    Parameters
    ----------
    chain : Chain
    probabilities : (n_states,) array
    """

    chain: Chain
    probabilities: np.ndarray

    @property
    def how(self) -> str:
        return f"master equation of {len(self.chain.states)} states"

    def draw(self, generator: np.random.Generator, n: int) -> np.ndarray:
        return self.chain.states[generator.choice(len(self.chain.states), n, p=self.probabilities)]

    def log_probability(self, amounts: np.ndarray) -> np.ndarray:
        places = [self.chain.place.get(row.tobytes()) for row in np.ascontiguousarray(amounts, float)]
        with np.errstate(divide="ignore"):
            logs = np.log(self.probabilities)
        return np.array([-np.inf if place is None else logs[place] for place in places])

    def after(self, signal: Signal, duration: float) -> Enumerated:
        p = self.probabilities
        for piece in signal.pieces(0.0, duration):
            p = self._through(piece, p)
        p = np.maximum(p, 0.0)
        return Enumerated(self.chain, p / p.sum())

    def _through(self, piece: Piece, p: np.ndarray) -> np.ndarray:
        """The master equation solved along one straight piece of the signal."""

        def level(t: float) -> float:
            return piece.value + piece.slope * (t - piece.start)

        found = solve_ivp(
            lambda t, y: self.chain.velocity(level(t), y),
            (piece.start, piece.stop),
            p,
            method="BDF",
            jac=lambda t, _: self.chain.rates(level(t)).tocsc(),
            rtol=_ACCURACY,
            atol=1e-4 * _ACCURACY,
            t_eval=[piece.stop],
        )
        return np.asarray(found.y[:, -1])


def reachable(model: Model, levels: Iterable[float], most_states: int) -> Chain | None:
    """All states of the core that can be reached from the model's amounts; None if there are more than asked.

    Parameters
    ----------
    model : Model
    levels : iterable of float
        Of the input: a move counts where it is possible at one of them.
    most_states : int
    """
    dynamics, network = model.dynamics, model.network
    chosen = [i for i, r in enumerate(network.reactions) if np.any(dynamics.stoichiometry[dynamics.core, i])]
    changes = dynamics.stoichiometry[dynamics.core][:, chosen].T
    propensities = _propensities(model)
    known = {(start := dynamics.initial[dynamics.core]).tobytes(): 0}
    states, frontier = [start], [start]
    moves: list[tuple[int, int, int]] = []
    while frontier:
        at = np.array(frontier)
        possible = np.any([propensities(at, s)[chosen] > 0 for s in levels], axis=0)
        begin, frontier = len(states) - len(at), []
        for column, row in np.argwhere(possible):
            reached = at[row] + changes[column]
            number = known.setdefault(reached.tobytes(), len(known))
            if number == len(states) + len(frontier):
                frontier.append(reached)
            moves.append((begin + row, number, chosen[column]))
        states += frontier
        if len(states) > most_states:
            return None
    sources, targets, reactions = np.array(moves, int).reshape(-1, 3).T
    return Chain(np.array(states), sources, targets, reactions, propensities)


def _propensities(model: Model) -> Callable[[np.ndarray, float], np.ndarray]:
    """Function of states of the core (n_states, n_core) and s giving (n_reactions, n_states)."""
    dynamics = model.dynamics
    core = {dynamics.variables[i] for i in dynamics.core}
    laws = [r.law if core & r.net().keys() else ZERO for r in model.network.reactions]
    constants = {n: v for n, v in model.network.constants.items() if n != dynamics.input}
    names = [*(dynamics.variables[i] for i in dynamics.core), dynamics.input, *constants]
    evaluate = compile_expressions(laws, names)

    def propensities(states: np.ndarray, s: float) -> np.ndarray:
        with np.errstate(all="ignore"):
            values = evaluate([*states.T, s, *constants.values()])
        return np.array([np.broadcast_to(value, len(states)) for value in values], float)

    return propensities
