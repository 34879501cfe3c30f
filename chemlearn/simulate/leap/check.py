"""How large is the error really? Two ensembles side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import native
from chemlearn.simulate.leap.engine import LangevinRun, TauRun

METHODS: dict[str, type[TauRun] | type[LangevinRun]] = {"tau": TauRun, "langevin": LangevinRun}
AGAINST = ("half", "native")


@dataclass(frozen=True)
class Comparison:
    """Means and variances of a leaping run less those of another one, with standard errors.

    Parameters
    ----------
    names : tuple of str
        What was recorded, along the last axis.
    times : (n_times,) array
    mean, mean_error, variance, variance_error : (n_times, n_names) arrays
        Differences, and their standard errors from the samples.
    mean_of_other, variance_of_other : (n_times, n_names) arrays
    against : {"half", "native"}
        The other run: the same method at half the accuracy ε, or the exact engine.
    """

    names: tuple[str, ...]
    times: np.ndarray
    mean: np.ndarray
    mean_error: np.ndarray
    variance: np.ndarray
    variance_error: np.ndarray
    mean_of_other: np.ndarray
    variance_of_other: np.ndarray
    against: str

    def largest(self) -> tuple[float, str]:
        """The largest difference in standard errors, and what it is of."""
        off = ((self.mean, self.mean_error), (self.variance, self.variance_error))
        sizes = np.stack([_in_errors(difference, error) for difference, error in off])
        what, time, name = (int(i) for i in np.unravel_index(int(sizes.argmax()), sizes.shape))
        kind = ("mean", "variance")[what]
        return float(sizes[what, time, name]), f"{kind} of {self.names[name]} at t={self.times[time]:g}"

    def differs(self, alpha: float = 1e-3) -> bool:
        """Whether a difference is larger than chance would make any of them with probability ``alpha``.

        By Bonferroni over all means and variances, for laws near a Gaussian.
        """
        return self.largest()[0] > -NormalDist().inv_cdf(alpha / 2 / (2 * self.mean.size))

    def __str__(self) -> str:
        z, where = self.largest()
        other = "half the accuracy" if self.against == "half" else "the exact engine"
        seen = "more than chance" if self.differs() else "no more than chance"
        with np.errstate(all="ignore"):
            means = _greatest(self.mean_error / np.abs(self.mean_of_other))
            variances = _greatest(self.variance_error / self.variance_of_other)
        return (
            f"against {other}: the largest difference is {z:.1f} standard errors ({where}), {seen}; a "
            f"standard error is {100 * means:.2g} % of a mean and {100 * variances:.2g} % of a variance at "
            f"most"
        )


def check(
    model: Model,
    times: np.ndarray,
    *,
    signal: Signal | None = None,
    start: Mapping[str, float] | None = None,
    method: str = "tau",
    accuracy: float = 0.03,
    against: str = "half",
    trajectories: int = 400,
    seed: int = 0,
) -> Comparison:
    """Compare a leaping run with the same at half the accuracy, or with exact trajectories.

    Both ensembles are drawn independently. Errors fall at least in proportion to the accuracy once they are
    small; the error of the first is then at most twice its difference from half the accuracy. Far from that,
    both may be wrong alike: only ``against="native"`` is sure.

    Parameters
    ----------
    model, times, signal, start
        As for :class:`~chemlearn.simulate.leap.TauRun`.
    method : {"tau", "langevin"}
    accuracy : float
    against : {"half", "native"}
        Exact trajectories may take long: their cost is that of their firings.
    trajectories : int
        Of each; at least 10.
    seed : int

    Returns
    -------
    Comparison

    Raises
    ------
    SimulationError
        As the run itself, but not because exact steps would be faster.
    """
    if method not in METHODS or against not in AGAINST:
        allowed = f"methods are {', '.join(METHODS)}; they are held against {', '.join(AGAINST)}"
        raise ValueError(f"cannot check {method!r} against {against!r}; {allowed}")
    if trajectories < 10:
        raise ValueError(f"trajectories must be at least 10, got {trajectories}")
    times, amounts = np.asarray(times, float), dict(start or {})
    one = METHODS[method](model, times, signal, amounts, accuracy=accuracy, even_if_slow=True)
    other: native.Run = (
        METHODS[method](model, times, signal, amounts, accuracy=accuracy / 2, even_if_slow=True)
        if against == "half"
        else native.Run(model, times, signal, amounts)
    )
    samples = [_counts(run, trajectories, seed, point) for point, run in enumerate((one, other))]
    names = tuple(column.name for column in one.columns)
    return _compared(names, times, samples, against)


def _counts(run: native.Run, trajectories: int, seed: int, point: int) -> np.ndarray:
    return np.concatenate([run(block, seed, point) for block in run.blocks(trajectories, 1)])


def _compared(
    names: tuple[str, ...], times: np.ndarray, samples: list[np.ndarray], against: str
) -> Comparison:
    means, variances, squares = [], [], []
    for counts in samples:
        n, off = len(counts), counts - counts.mean(axis=0)
        variance = (off**2).sum(axis=0) / (n - 1)
        means.append(counts.mean(axis=0))
        variances.append(variance)
        spread = np.maximum((off**4).mean(axis=0) - variance**2, 0.0)
        squares.append(np.stack([variance, spread]) / n)
    mean_error, variance_error = np.sqrt(squares[0] + squares[1])
    return Comparison(
        names,
        times,
        means[0] - means[1],
        mean_error,
        variances[0] - variances[1],
        variance_error,
        means[1],
        variances[1],
        against,
    )


def _greatest(ratios: np.ndarray) -> float:
    return float(ratios.max(where=np.isfinite(ratios), initial=0.0))


def _in_errors(difference: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Sizes of differences in standard errors; where nothing scatters, none or infinitely many."""
    none = np.abs(difference) < 1e-9
    with np.errstate(all="ignore"):
        return np.where(none, 0.0, np.abs(difference) / error)
