"""Continuous-time Markov chains: steady state, entropy production, cycle affinities.

Everywhere ``W[i, j]`` is the rate from state j to state i, and the columns of W sum to zero: dp/dt = W p
(F11, F49).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from chemlearn.errors import ConvergenceError


def checked_rates(rates: ArrayLike) -> np.ndarray:
    """A rate matrix whose diagonal makes the columns sum to zero; the given diagonal is not looked at.

    Raises
    ------
    ValueError
        Where a rate is negative or not finite, or the matrix is not square.
    """
    matrix = np.array(rates, float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a rate matrix is square, got shape {matrix.shape}")
    np.fill_diagonal(matrix, 0.0)
    wrong = np.argwhere(~(np.isfinite(matrix) & (matrix >= 0)))
    if len(wrong):
        i, j = wrong[0]
        raise ValueError(f"the rate from state {j} to {i} must be 0 or more, got {matrix[i, j]:g}")
    np.fill_diagonal(matrix, -matrix.sum(axis=0))
    return matrix


def steady_state(rates: ArrayLike) -> np.ndarray:
    """Probabilities at rest, (n,), by state reduction.

    Nothing is subtracted, so every probability keeps its relative accuracy, however far apart the rates are
    (Grassmann, Taksar and Heyman, doi:10.1287/opre.33.5.1107).

    Raises
    ------
    ConvergenceError
        Where some states cannot be reached from others: then there is no single steady state.
    """
    leaving = checked_rates(rates).T.copy()  # leaving[i, j]: from i to j
    n = len(leaving)
    for k in range(n - 1, 0, -1):
        out = leaving[k, :k].sum()
        if not out > 0:
            raise ConvergenceError(
                f"state {k} is never left for another, so there is no single steady state", residual=np.nan
            )
        leaving[:k, k] /= out
        leaving[:k, :k] += np.outer(leaving[:k, k], leaving[k, :k])
    p = np.ones(n)
    for k in range(1, n):
        p[k] = p[:k] @ leaving[:k, k]
    return p / p.sum()


def entropy_production_rate(rates: ArrayLike, p: ArrayLike | None = None) -> float:
    r"""Entropy production rate in k_B per time, at the steady state or at any probabilities.

    :math:`\sigma = \sum_{i<j} (W_{ij} p_j - W_{ji} p_i) \ln [W_{ij} p_j/(W_{ji} p_i)]` (F13, F59). Infinite
    where a transition has no reverse.

    Parameters
    ----------
    rates : (n, n) array_like
    p : (n,) array_like, optional
        The steady state by default.

    Raises
    ------
    ValueError
        For probabilities that are not one number of 0 or more per state.
    """
    matrix = checked_rates(rates)
    state = steady_state(matrix) if p is None else checked_probabilities(p, len(matrix))
    i, j = np.triu_indices(len(matrix), 1)
    linked = (matrix[i, j] > 0) | (matrix[j, i] > 0)
    i, j = i[linked], j[linked]
    with np.errstate(divide="ignore"):
        force = np.log(matrix[i, j]) - np.log(matrix[j, i])
    return float(pair_production(matrix[i, j], matrix[j, i], force, state[j], state[i]).sum())


def checked_probabilities(p: ArrayLike, states: int) -> np.ndarray:
    """Probabilities (..., n); ValueError where they are not one number of 0 or more per state."""
    state = np.asarray(p, float)
    if state.ndim == 0 or state.shape[-1] != states:
        raise ValueError(f"one probability per state is needed, {states} of them, got shape {state.shape}")
    if not np.all(state >= 0):
        raise ValueError(f"probabilities must be 0 or more, got {state[~(state >= 0)].flat[0]:g}")
    return state


def pair_production(
    forward: np.ndarray, backward: np.ndarray, force: np.ndarray, source: np.ndarray, target: np.ndarray
) -> np.ndarray:
    """Entropy production of pairs of transitions, (J⁺ − J⁻) ln(J⁺/J⁻), broadcast over all arguments.

    Parameters
    ----------
    forward, backward : ndarray
        Rates of a transition and of its reverse.
    force : ndarray
        ln(forward/backward), given apart because a rate may be too small for a double to have all its digits.
    source, target : ndarray
        Probabilities of the states that the transition leaves and enters.
    """
    ahead, back = forward * source, backward * target
    net = ahead - back
    near = np.abs(net) < 0.5 * back  # where a difference of logarithms would lose digits
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        logs = np.where(near, np.log1p(net / back), force + np.log(source) - np.log(target))
        one_way = ((forward > 0) & (source > 0)) != ((backward > 0) & (target > 0))
        return np.where(one_way, np.inf, np.where(net == 0, 0.0, net * logs))


def affinity(rates: ArrayLike, cycle: Sequence[int]) -> float:
    """Affinity of a cycle of states, in k_B: ln of its forward rates over its backward rates.

    Positive where the chain is driven through the states in the given order; 0 for every cycle exactly where
    detailed balance holds.
    """
    matrix = checked_rates(rates)
    ring = list(cycle)
    following = [*ring[1:], ring[0]]
    with np.errstate(divide="ignore"):
        forward = np.log([matrix[b, a] for a, b in zip(ring, following, strict=True)])
        backward = np.log([matrix[a, b] for a, b in zip(ring, following, strict=True)])
    return float(np.sum(forward - backward))
