"""Exact means and variances of the models in correctness.py, from nothing that the engines use.

Rates stand here as numbers once more, so that a model that was misread is found too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.integrate import solve_ivp
from scipy.sparse import coo_array, csr_array
from scipy.sparse.linalg import expm_multiply

from benchmarks.moments import Moments
from chemlearn.signal import Signal
from tests.statistics import MassAction, independent_molecules, master_equation, poisson_fourth


def poisson(mean: np.ndarray) -> Moments:
    """Of one species with a mean (n_times,)."""
    mean = np.asarray(mean, float)[:, None]
    return Moments(mean, mean, poisson_fourth(mean))


def immigration_and_death(
    times: np.ndarray, rate: float, loss: float, signal: Signal | None = None
) -> Moments:
    """From 0: Poisson at all times; the mean solves m' = s − loss m, in closed form on straight pieces."""
    if signal is None:
        return poisson(rate / loss * (1 - np.exp(-loss * times)))
    means, now, mean = [], 0.0, 0.0
    for t in times:
        for piece in signal.pieces(now, t):
            length = piece.stop - piece.start
            settled = (
                piece.value / loss - piece.slope / loss**2
            )  # of the solution without memory, at the start
            mean = settled + piece.slope / loss * length + (mean - settled) * np.exp(-loss * length)
        means.append(mean)
        now = t
    return poisson(np.array(means))


def dimers(times: np.ndarray, molecules: int, bind: float, part: float) -> Moments:
    """2 A to A2 with propensity bind A (A − 1), and back."""
    reactions = [MassAction(bind, (2, 0), (0, 1)), MassAction(part, (0, 1), (2, 0))]
    law = master_equation(reactions, [molecules, 0], times, sizes=[molecules + 1, molecules // 2 + 1])
    return Moments(law.mean, law.central(2), law.central(4))


def independent(
    times: np.ndarray, start: np.ndarray, rates: Callable[[float], np.ndarray], signal: Signal
) -> Moments:
    """Molecules that each walk alone; ``rates(s)[i, j]`` is the rate from state j to state i."""
    n, chances, now, laws = len(start), np.eye(len(start)), 0.0, []

    def flow(t: float, p: np.ndarray) -> np.ndarray:
        w = rates(float(signal(t)))
        return np.asarray((w - np.diag(w.sum(axis=0))) @ p.reshape(n, n)).ravel()

    for t in times:
        for piece in signal.pieces(now, t):
            inside = np.nextafter(piece.stop, piece.start)  # at a knot the signal already has its next value
            solved = solve_ivp(flow, (piece.start, inside), chances.ravel(), "DOP853", rtol=1e-11, atol=1e-14)
            chances = solved.y[:, -1].reshape(n, n)
        laws.append(independent_molecules(start, chances))
        now = t
    mean, variance, fourth = (np.array(column) for column in zip(*laws, strict=True))
    return Moments(mean, variance, fourth)


def walk_rates(text: str, states: Sequence[str]) -> Callable[[float], np.ndarray]:
    """Read from a model whose reactions all are ``J: A => B; k*A;`` or ``J: A => B; s*k*A;``."""
    values = dict(re.findall(r"(k_\w+) = ([\d.e-]+);", text))
    held, driven = np.zeros((2, len(states), len(states)))
    for source, target, input_, constant in re.findall(r": (\w+) => (\w+); (s\*)?(k_\w+)\*\w+;", text):
        table = driven if input_ else held
        table[states.index(target), states.index(source)] = float(values[constant])
    return lambda s: held + s * driven


def receptor_rates(s: float, fast: float = 25.0, gamma: float = 0.01) -> np.ndarray:
    """The two-rail ladder as its model's header has it; states T0 … T4, B0 … B4."""
    w, turned = np.zeros((10, 10)), np.e * gamma
    for m in range(5):
        energy = 2 * (1 - m) + np.log((1 + s / 18.2) / (1 + s / 3000))
        w[5 + m, m] = fast * np.exp(energy) if energy >= 0 else fast
        w[m, 5 + m] = fast * np.exp(-energy) if energy < 0 else fast
    for m in range(4):
        w[m + 1, m], w[m, m + 1] = turned, 1.0
        w[6 + m, 5 + m], w[5 + m, 6 + m] = 1.0, turned
    return w


# ------------------------------------------------------------------------------------------- many species


class Reaction(Protocol):
    """What the master equation needs to know."""

    @property
    def change(self) -> np.ndarray: ...

    def propensity(self, state: np.ndarray) -> np.ndarray:
        """At states of shape (n, n_species)."""


@dataclass(frozen=True)
class Repressed:
    """=> product, at the rate most/(1 + (repressor/half)²)."""

    most: float
    half: float
    repressor: int
    change: np.ndarray

    def propensity(self, state: np.ndarray) -> np.ndarray:
        return self.most / (1 + (state[:, self.repressor] / self.half) ** 2)


def truncated(
    reactions: Sequence[Reaction],
    start: Sequence[int],
    times: np.ndarray,
    *,
    most: int,
    counted: Sequence[int],
) -> tuple[Moments, float]:
    """The master equation where at most so many molecules of the counted species are there at once.

    Returns also the probability that has left these states by the last time: no other one is off by more.
    """
    states = _reachable(reactions, np.asarray(start), most, np.asarray(counted))
    generator, key = _generator(reactions, states)
    p = (key == _keys(np.asarray(start)[None])).astype(float)
    now, found = 0.0, []
    for t in times:
        p = expm_multiply(generator * (t - now), p) if t > now else p
        away = states - p @ states
        found.append((p @ states, p @ away**2, p @ away**4))
        now = t
    mean, variance, fourth = (np.array(column) for column in zip(*found, strict=True))
    return Moments(mean, variance, fourth), float(1 - p.sum())


def _keys(states: np.ndarray) -> np.ndarray:
    """One number for a state of up to 10 species with counts below 64."""
    return np.asarray(states @ 64 ** np.arange(states.shape[1], dtype=np.int64))


def _reachable(
    reactions: Sequence[Reaction], start: np.ndarray, most: int, counted: np.ndarray
) -> np.ndarray:
    """States, in the order of their keys."""
    states = newest = start[None]
    while len(newest):
        after = [newest[r.propensity(newest) > 0] + r.change for r in reactions]
        inside = np.concatenate([a[a[:, counted].sum(axis=1) <= most] for a in after])
        keys, first = np.unique(_keys(inside), return_index=True)
        newest = inside[first][~np.isin(keys, _keys(states))]
        states = np.concatenate([states, newest])
    return states[np.argsort(_keys(states))]


def _generator(reactions: Sequence[Reaction], states: np.ndarray) -> tuple[csr_array, np.ndarray]:
    """Rates of change of the probabilities, and the states' keys; what leaves the states is lost."""
    keys, n = _keys(states), len(states)
    values, to, of = [], [], []
    for reaction in reactions:
        propensity = reaction.propensity(states)
        place = np.minimum(np.searchsorted(keys, _keys(states + reaction.change)), n - 1)
        stays = (propensity > 0) & (keys[place] == _keys(states + reaction.change))
        values += [propensity[stays], -propensity]
        to += [place[stays], np.arange(n)]
        of += [np.flatnonzero(stays), np.arange(n)]
    whole = (np.concatenate(values), (np.concatenate(to), np.concatenate(of)))
    return csr_array(coo_array(whole, shape=(n, n))), keys
