"""Statistical assertions with a stated false-alarm rate, and the exact laws that they compare with.

With K comparisons the bound is z = isf(α/2K) standard errors (Bonferroni), so that a right simulator fails
with probability at most α = 1e-6 per assertion whatever the correlations: no retries, no percent tolerances.
Standard errors come from the exact law, not from the sample. :func:`oracle_ssa` is a slow, readable simulator
to hold the fast ones against; :func:`master_equation` needs no random numbers at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, dia_array
from scipy.sparse.linalg import expm_multiply
from scipy.stats import norm

from chemlearn.signal import Piece, Signal


def z_threshold(n_checks: int, alpha: float = 1e-6) -> float:
    """Standard errors that a right simulator exceeds anywhere with probability at most ``alpha``."""
    return float(norm.isf(alpha / 2 / n_checks))


def assert_means(
    samples: np.ndarray, mean: np.ndarray, var: np.ndarray, *, seed: int, alpha: float = 1e-6
) -> float:
    """Sample means against exact ones, in standard errors from the exact variance; returns the largest |z|.

    ``samples`` is (n_samples, ...); ``mean`` and ``var`` have the shape that is left. Where the variance is 0
    the samples must be equal to the mean.
    """
    samples, mean, var = _checked(samples, mean, var)
    error = np.sqrt(var / len(samples))
    z = _in_errors(samples.mean(axis=0) - mean, error)
    return _assert_within({"mean": z}, len(samples), seed, alpha)


def assert_moments(
    samples: np.ndarray,
    mean: np.ndarray,
    var: np.ndarray,
    *,
    seed: int,
    fourth: np.ndarray | None = None,
    alpha: float = 1e-6,
) -> float:
    """Sample means and variances against exact ones; returns the largest |z|.

    The variance is taken about the exact mean, so its standard error is √((μ₄ − σ⁴)/n). ``fourth`` is the
    exact fourth central moment μ₄; without it the sampled one is used, which is honest for laws near a
    Gaussian but too small, so too strict, where rare events make the tail.
    """
    samples, mean, var = _checked(samples, mean, var)
    squares = (samples - mean) ** 2
    mu4 = (squares**2).mean(axis=0) if fourth is None else np.broadcast_to(fourth, mean.shape)
    error = np.sqrt(var / len(samples))
    error_of_var = np.sqrt(np.maximum(mu4 - var**2, 0.0) / len(samples))
    z = {
        "mean": _in_errors(samples.mean(axis=0) - mean, error),
        "variance": _in_errors(squares.mean(axis=0) - var, error_of_var),
    }
    return _assert_within(z, len(samples), seed, alpha)


def _checked(samples: np.ndarray, mean: np.ndarray, var: np.ndarray) -> tuple[np.ndarray, ...]:
    samples = np.asarray(samples, float)
    assert len(samples) > 1, "two samples at least"
    shape = samples.shape[1:]
    return (
        samples,
        np.broadcast_to(np.asarray(mean, float), shape),
        np.broadcast_to(np.asarray(var, float), shape),
    )


def _in_errors(difference: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Differences in standard errors; where there is no error, none is allowed but rounding."""
    exact = np.where(np.abs(difference) <= 1e-9, 0.0, np.inf)
    return np.where(error > 0, difference / np.where(error > 0, error, 1.0), exact)


def _assert_within(z: dict[str, np.ndarray], n: int, seed: int, alpha: float) -> float:
    checks = sum(values.size for values in z.values())
    bound = z_threshold(checks, alpha)
    kind = max(z, key=lambda name: float(np.abs(z[name]).max()))
    worst = np.unravel_index(int(np.abs(z[kind]).argmax()), z[kind].shape)
    place = tuple(int(i) for i in worst)
    assert abs(z[kind][worst]) < bound, (
        f"{kind} off by z = {z[kind][worst]:.1f} standard errors at {place}, bound {bound:.1f} "
        f"(K = {checks} comparisons, {n} samples, seed {seed})"
    )
    return float(abs(z[kind][worst]))


@dataclass(frozen=True)
class MassAction:
    """A reaction with propensity ``rate`` × falling factorials of the reactants' counts, k X (X − 1) for 2 X.

    Parameters
    ----------
    rate : float
    reactants, products : tuple of int
        Stoichiometry, one number per species.
    driven : bool
        Whether the signal multiplies the rate.
    """

    rate: float
    reactants: tuple[int, ...]
    products: tuple[int, ...]
    driven: bool = False

    @property
    def change(self) -> np.ndarray:
        return np.subtract(self.products, self.reactants)

    def propensity(self, state: np.ndarray) -> np.ndarray:
        """At states of shape (n, n_species), without the signal."""
        value = np.full(len(state), self.rate)
        for species, count in enumerate(self.reactants):
            for taken in range(count):
                value = value * np.maximum(state[:, species] - taken, 0)
        return value


def oracle_ssa(
    reactions: Sequence[MassAction], start: Sequence[int], times: np.ndarray, *, trajectories: int, seed: int
) -> np.ndarray:
    """Gillespie's direct method, one plain step at a time; (n_trajectories, n_times, n_species).

    All trajectories take a step together: draw the waiting time; if the next output comes first, stand there
    and draw anew, for the process has no memory; else fire a reaction chosen in proportion to its propensity.
    """
    rng = np.random.default_rng(seed)
    change = np.array([r.change for r in reactions])
    state = np.tile(np.asarray(start), (trajectories, 1))
    clock = np.zeros(trajectories)
    result = np.empty((trajectories, len(times), len(start)))
    for i, output in enumerate(times):
        active = np.arange(trajectories)
        while len(active):
            propensities = np.stack([r.propensity(state[active]) for r in reactions], axis=-1)
            total = propensities.sum(axis=-1)
            with np.errstate(divide="ignore"):
                later = clock[active] + rng.exponential(size=len(active)) / total
            threshold = rng.random(len(active)) * total
            chosen = (np.cumsum(propensities, axis=-1) <= threshold[:, None]).sum(axis=-1)
            fires = later <= output
            state[active[fires]] += change[chosen[fires]]
            clock[active] = np.where(fires, later, output)
            active = active[fires]
        result[:, i] = state
    return result


@dataclass(frozen=True)
class Law:
    """Exact probabilities on a box of states.

    Parameters
    ----------
    states : (n_states, n_species) array
    probabilities : (n_times, n_states) array
    lost : float
        Probability that has left the box by the last time; must be negligible.
    """

    states: np.ndarray
    probabilities: np.ndarray
    lost: float

    @property
    def mean(self) -> np.ndarray:
        """(n_times, n_species)."""
        return self.probabilities @ self.states

    def central(self, order: int) -> np.ndarray:
        """Central moments, (n_times, n_species)."""
        deviations = self.states[None, :, :] - self.mean[:, None, :]
        return np.einsum("ts,tsk->tk", self.probabilities, deviations**order)


def master_equation(
    reactions: Sequence[MassAction],
    start: Sequence[int],
    times: np.ndarray,
    *,
    sizes: Sequence[int],
    signal: Signal | None = None,
    steps: int = 400,
) -> Law:
    """Solve the chemical master equation on the box 0 ≤ counts < sizes.

    What leaves the box is lost, and said. Constant pieces of the signal are one exponential each; on a ramp
    each of ``steps`` steps takes the generator at its middle, whose error falls as the square of the step.
    """
    states = np.stack([axis.ravel() for axis in np.indices(sizes)], axis=-1)
    held = _generator([r for r in reactions if not r.driven], states, sizes)
    driven = _generator([r for r in reactions if r.driven], states, sizes)
    current = np.zeros(len(states))
    current[np.ravel_multi_index(tuple(start), tuple(sizes))] = 1.0
    probabilities, now = np.empty((len(times), len(states))), 0.0
    for i, output in enumerate(times):
        pieces = [Piece(now, output, 1.0, 0.0)] if signal is None else signal.pieces(now, output)
        for piece in pieces:
            count = 1 if piece.slope == 0 else steps
            length = (piece.stop - piece.start) / count
            for k in range(count if length > 0 else 0):
                level = piece.value + piece.slope * (k + 0.5) * length
                current = expm_multiply((held + level * driven) * length, current)
        probabilities[i], now = current, output
    return Law(states, probabilities, float(1.0 - probabilities[-1].sum()))


def _generator(reactions: Sequence[MassAction], states: np.ndarray, sizes: Sequence[int]) -> csr_array:
    """W[i, j] = rate from state j to state i; a column that leads out of the box sums to less than zero."""
    n = len(states)
    total = csr_array((n, n))
    for reaction in reactions:
        propensity, after = reaction.propensity(states), states + reaction.change
        inside = np.all((after >= 0) & (after < np.asarray(sizes)), axis=1) & (propensity > 0)
        to = np.ravel_multi_index(tuple(after[inside].T), tuple(sizes))
        moves = csr_array((propensity[inside], (to, np.flatnonzero(inside))), shape=(n, n))
        total = total + moves - csr_array(dia_array((propensity[None, :], [0]), shape=(n, n)))
    return total


def poisson_fourth(mean: np.ndarray) -> np.ndarray:
    """Fourth central moment of a Poisson law, μ + 3μ²."""
    return np.asarray(mean) + 3 * np.asarray(mean) ** 2


def independent_molecules(
    counts: np.ndarray, chances: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variance and fourth central moment of a number of independent molecules found in a place.

    ``counts`` (n_starts,) molecules, each from its own start, are there with ``chances`` (..., n_starts).
    """
    p = np.asarray(chances)
    var = p * (1 - p)
    fourth = var * (1 - 3 * var)
    total, squares = var @ counts, var**2 @ counts
    return p @ counts, total, fourth @ counts + 3 * (total**2 - squares)
