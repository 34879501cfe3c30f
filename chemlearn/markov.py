"""Continuous-time Markov chains: steady state, relaxation, entropy production, cycle affinities.

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
    """
    matrix = checked_rates(rates)
    state = steady_state(matrix) if p is None else np.asarray(p, float)
    i, j = np.triu_indices(len(matrix), 1)
    forward, backward = matrix[i, j] * state[j], matrix[j, i] * state[i]
    one_way = ((matrix[i, j] > 0) & (state[j] > 0)) != ((matrix[j, i] > 0) & (state[i] > 0))
    if np.any(one_way):
        return float("inf")
    net = forward - backward
    moving = net != 0
    with np.errstate(divide="ignore", invalid="ignore"):
        # of rates and probabilities apart, whose product may be too small for a double
        logs = np.log(matrix[i, j]) - np.log(matrix[j, i]) + np.log(state[j]) - np.log(state[i])
        near = np.abs(net) < 0.5 * backward  # where a difference of logarithms would lose digits
        logs = np.where(near, np.log1p(np.where(near, net, 0.0) / np.where(near, backward, 1.0)), logs)
    return float(np.sum(net[moving] * logs[moving]))


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
