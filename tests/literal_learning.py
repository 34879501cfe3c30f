"""Learning by the letter: one nudge, one parameter, one instant at a time; the oracle of chemlearn.learning.

Nothing here is shared with the package: the network relaxes by its written gradient, the sawtooth is
interpolated between its knots, convolved as a periodic sum, and passed through the threshold, for every
parameter on its own.
"""

from __future__ import annotations

import numpy as np

Layers = list[np.ndarray]


def relaxed(params: dict, layers: Layers, steps: int, target: np.ndarray | None, nudge: float) -> Layers:
    """x <- clip(x - 0.5 dF/dx, 0, 1), all layers at once; layers[0] is the input."""
    last = len(layers) - 1
    for _ in range(steps):
        new = [layers[0]]
        for layer in range(1, last + 1):
            gradient = layers[layer] - params[f"b{layer}"] - layers[layer - 1] @ params[f"W{layer}"]
            if layer < last:
                gradient = gradient - layers[layer + 1] @ params[f"W{layer + 1}"].T
            if layer == last and target is not None:
                gradient = gradient + 2 * nudge * (layers[layer] - target)
            new.append(np.clip(layers[layer] - 0.5 * gradient, 0, 1))
        layers = new
    return layers


def signals(layers: Layers) -> dict[str, np.ndarray]:
    """-dE/dtheta, batch mean."""
    found = {}
    for layer in range(1, len(layers)):
        found[f"W{layer}"] = np.einsum("ni,nj->ij", layers[layer - 1], layers[layer]) / len(layers[0])
        found[f"b{layer}"] = layers[layer].mean(axis=0)
    return found


def ramp(
    params: dict, sizes: tuple, x: np.ndarray, target: np.ndarray, nudge: float, knots: int = 9
) -> list[dict]:
    """Signals at every nudge, each relaxed for 4 steps from the free state."""
    free = relaxed(params, [x, *(np.zeros((len(x), size)) for size in sizes[1:])], 20, None, 0.0)
    nudges = [nudge * k / (knots - 1) for k in range(knots)]
    return [signals(relaxed(params, free, 4, target, beta)) for beta in nudges]


def update(
    values: np.ndarray,
    threshold: float,
    rise: float = 0.1,
    fall: float = 0.9,
    samples: int = 100,
    periodic: bool = True,
) -> float:
    """Integral of the thresholded response of one parameter, as published; values (n_knots,) of the ramp."""
    knots = len(values)
    times = [rise * k / (knots - 1) for k in range(knots)]
    times += [rise + fall * k / (knots - 1) for k in range(1, knots)]
    course = list(values) + list(values[-2::-1])
    s = np.interp(np.arange(samples) / samples, times, course)
    u = np.zeros(samples)
    for j in range(samples):
        for k in range(10):
            u[j] += np.sin(2 * np.pi * k / 10) / 3 * s[(j - k) % samples] * 0.01
    u[np.abs(u) < threshold] = 0
    return float(u.mean()) if periodic else float(np.trapezoid(u, dx=1 / samples))


def updates(stack: np.ndarray, threshold: float, **options: float | bool) -> np.ndarray:
    """:func:`update` of every parameter of a group, (n_knots, ...)."""
    flat = stack.reshape(len(stack), -1)
    found = [update(flat[:, place], threshold, **options) for place in range(flat.shape[1])]
    return np.array(found).reshape(stack.shape[1:])
