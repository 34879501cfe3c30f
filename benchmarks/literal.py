"""The synapse results the way they were published, written out: grids, convolutions, an ODE solver.

These are the slow twins of what chemlearn computes in closed form. They are kept to be timed beside it, and
to show what their grids cost in digits.
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import odeint

STEP = 1e-4  #: of the grid that signals and kernels are sampled on
LADDER_STEP = 5e-4  #: of the grid that the ladder's relaxation is sampled on, in clockwise steps
WINDOW = 5.0  #: time over which the ladder's kernel is taken, in clockwise steps


def sawtooth(amplitude: float, rise: float, fall: float, mean: float, periods: int) -> np.ndarray:
    """Samples of whole periods (F5)."""
    up, down = round(rise / STEP), round(fall / STEP)
    swing = np.concatenate([np.arange(up) / up - 0.5, 0.5 - np.arange(down) / down])
    return np.tile(mean + amplitude * swing, periods)


def weight_update(
    kernel: np.ndarray, amplitude: float, threshold: float, rise: float, fall: float, mean: float = 0.0
) -> float:
    """Weight change over the last of enough periods to fill the sampled kernel (F3, F6, F7)."""
    one = round(rise / STEP) + round(fall / STEP)
    s = sawtooth(amplitude, rise, fall, mean, 1 + -(-len(kernel) // one))
    u = np.convolve(s, kernel)[len(s) - one : len(s)] * STEP
    return float(np.trapezoid(np.where(np.abs(u) >= threshold, u, 0.0), dx=STEP))


def ladder_rates(gamma: float, F: float, s: float) -> np.ndarray:
    """Rate matrix of ten states, top rail first; columns sum to zero (F50–F52)."""
    W = np.zeros((10, 10))
    for m in range(5):
        energy = 2 * (1 - m) + np.log((1 + s / 18.2) / (1 + s / 3000.0))
        W[5 + m, m] = F * max(np.exp(energy), 1.0)
        W[m, 5 + m] = F * max(np.exp(-energy), 1.0)
    for m in range(4):
        W[5 + m + 1, 5 + m] = W[m, m + 1] = 1.0
        W[m + 1, m] = W[5 + m, 5 + m + 1] = np.e * gamma
    return W - np.diag(W.sum(axis=0))


def at_rest(W: np.ndarray) -> np.ndarray:
    """Steady state as the eigenvector of the eigenvalue nearest to 0."""
    values, vectors = np.linalg.eig(W)
    p = np.real(vectors[:, np.argmin(np.abs(values))])
    return p / p.sum()


def dissipation(W: np.ndarray, p: np.ndarray) -> float:
    """Entropy production rate, pair by pair (F13, F59)."""
    total = 0.0
    for i in range(10):
        for j in range(i):
            if W[i, j] > 0 and W[j, i] > 0:
                there, back = W[i, j] * p[j], W[j, i] * p[i]
                total += (there - back) * np.log(there / back)
    return float(total)


def ladder_kernel(gamma: float, F: float, s: float) -> tuple[np.ndarray, float, float]:
    """Kernel of a step from 0 to s on a grid, its window rescaled to 1 and M₁ = −1; its area; dissipation."""
    resting, W = ladder_rates(gamma, F, 0.0), ladder_rates(gamma, F, s)
    start = at_rest(resting)
    times = np.arange(round(WINDOW / LADDER_STEP) + 1) * LADDER_STEP
    top = odeint(lambda p, t: W @ p, start, times)[:, :5].sum(axis=1)
    kernel = -np.gradient(top, times / WINDOW)
    kernel /= -np.trapezoid(kernel * times / WINDOW, times / WINDOW)
    return kernel, float(np.trapezoid(kernel, times / WINDOW)), dissipation(resting, start)
