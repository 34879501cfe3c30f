"""A minibatch of MNIST the way it was published, written out: interpolation, convolution and a threshold for
every weight. Kept to be timed beside :mod:`chemlearn.learning`, and shown to give the same updates.
"""

from __future__ import annotations

import numpy as np

KNOTS, SAMPLES, RISE = 9, 100, 0.1
TOGETHER = 1 << 14  #: parameters whose samples are held at once
RATES = {"W1": 0.1, "b1": 0.1, "W2": 0.05, "b2": 0.05}
THRESHOLDS = {"W1": 1.2e-6, "b1": 1e-5, "W2": 2e-5, "b2": 2e-4}

State = list[np.ndarray]
Params = dict[str, np.ndarray]


def relaxed(params: Params, state: State, steps: int, target: np.ndarray, nudge: float) -> State:
    """Gradient steps of size 0.5 on F = E + nudge·|output − target|², clipped (F29, F30)."""
    for _ in range(steps):
        x, h, o = state
        slope_h = h - x @ params["W1"] - o @ params["W2"].T - params["b1"]
        slope_o = o - h @ params["W2"] - params["b2"] + 2 * nudge * (o - target)
        state = [x, np.clip(h - 0.5 * slope_h, 0, 1), np.clip(o - 0.5 * slope_o, 0, 1)]
    return state


def signals(state: State) -> Params:
    """−∂E/∂θ, mean over the minibatch."""
    x, h, o = state
    return {"W1": x.T @ h / len(x), "b1": h.mean(axis=0), "W2": h.T @ o / len(x), "b2": o.mean(axis=0)}


def response(course: np.ndarray, threshold: float) -> np.ndarray:
    """∫ g_θ(u) dt of parameters with signals (n_knots, n): sampled, convolved periodically, integrated."""
    up = np.linspace(0, RISE, KNOTS)
    times = np.concatenate([up, np.linspace(RISE, 1, KNOTS)[1:]])
    values = np.concatenate([course, course[-2::-1]])
    at = np.arange(SAMPLES) / SAMPLES
    place = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    share = ((at - times[place]) / (times[place + 1] - times[place]))[:, None]
    s = (1 - share) * values[place] + share * values[place + 1]
    kernel = np.sin(2 * np.pi * np.arange(10) / 10) / 3
    u = sum(weight * np.roll(s, lag, axis=0) for lag, weight in enumerate(kernel)) * 0.01
    return np.where(np.abs(u) >= threshold, u, 0.0).mean(axis=0)


def lesson(params: Params, x: np.ndarray, target: np.ndarray, nudge: float, stored: State) -> State:
    """Free phase, nine nudges each from the free state, updates in place; the free state (F App. B)."""
    free = relaxed(params, [x, *stored], 20, target, 0.0)
    knots = [signals(relaxed(params, free, 4, target, nudge * k / (KNOTS - 1))) for k in range(KNOTS)]
    for name in params:
        course = np.stack([knot[name].ravel() for knot in knots])
        flat = params[name].reshape(-1)
        for first in range(0, len(flat), TOGETHER):
            part = slice(first, first + TOGETHER)
            flat[part] += RATES[name] * 0.5e4 / nudge * response(course[:, part], THRESHOLDS[name])
    return free[1:]
