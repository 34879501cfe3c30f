"""What the input does in one trajectory of a sweep, and when one looks.

A trajectory that answers a step holds the input at ``before`` until it has settled, is then watched at rest
(the baseline), sees the input step to the point's own level, is watched while it responds, and then at rest
again (steady). Where only the steady state is wanted it starts at the level of the point and settles there.
All lengths are in units of the slowest memory of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from chemlearn.signal import Signal

SETTLE, BASELINE, RESPONSE, STEADY = 14.0, 10.0, 10.0, 20.0  # in units of the slowest memory
_BASELINE_SAMPLES, _STEADY_SAMPLES = 64, 256  # the second for quantities that fluctuate fast
_PANELS, _NODES, _RATIO = 10, 10, 4.0  # of the quadrature over the response, finer towards the step


@dataclass(frozen=True)
class Course:
    """The course of the input, and the times at which a trajectory is looked at.

    Parameters
    ----------
    level : float
        The input of the point.
    memory : float
        Slowest time constant of the model. A trajectory settles for 14 of them (to 1e-6 of where it
        started); the baseline lasts 10, the response 10 (all but 5e-5 of it) and the steady window 20.
    before : float, optional
        Level from which the input steps; without it only the steady state is watched.
    """

    level: float
    memory: float
    before: float | None = None

    @property
    def step_at(self) -> float:
        """Instant of the step; where there is none, of the end of settling."""
        return self.memory * (SETTLE if self.before is None else SETTLE + BASELINE)

    @property
    def response(self) -> float:
        """Length of the response; 0 without a step."""
        return 0.0 if self.before is None else RESPONSE * self.memory

    @property
    def end(self) -> float:
        """Length of a trajectory."""
        return self.step_at + self.response + STEADY * self.memory

    @property
    def lengths(self) -> tuple[float, ...]:
        """Times spent at the level of the point and, where there is a step, before it."""
        return (self.end,) if self.before is None else (self.end - self.step_at, self.step_at)

    @property
    def signal(self) -> Signal | None:
        """What the input does; None where it stays at the level of the point."""
        return None if self.before is None else Signal.step(self.before, self.level, at=self.step_at)

    @cached_property
    def _quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        """Nodes and weights on the response: Gauss–Legendre in panels that widen away from the step.

        The mean response is a sum of exponentials, fast ones first; this integrates it to 1e-7 with hundred
        looks, where equal steps would need thousands.
        """
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        ends = np.append(0.0, _RATIO ** -np.arange(_PANELS - 1.0, -1.0, -1.0)) * self.response
        half, middle = np.diff(ends)[:, None] / 2, (ends[1:] + ends[:-1])[:, None] / 2
        return (middle + half * nodes).ravel(), (half * weights).ravel()

    @property
    def weights(self) -> np.ndarray:
        """Weights of the times of the response, (n_response,): they sum to its length."""
        return self._quadrature[1]

    @cached_property
    def _windows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Times of baseline, response and steady state; the first two empty without a step."""
        after = self.step_at + self.response
        steady = after + STEADY * self.memory * _middles(_STEADY_SAMPLES)
        if self.before is None:
            return np.empty(0), np.empty(0), steady
        baseline = self.memory * (SETTLE + BASELINE * _middles(_BASELINE_SAMPLES))
        return baseline, self.step_at + self._quadrature[0], steady

    @property
    def times(self) -> np.ndarray:
        """All times at which a trajectory is looked at."""
        return np.concatenate(self._windows)

    @property
    def parts(self) -> tuple[slice, slice, slice]:
        """Where baseline, response and steady state are among the times."""
        ends = np.cumsum([0, *map(len, self._windows)]).tolist()
        baseline, response, steady = (slice(a, b) for a, b in pairwise(ends))
        return baseline, response, steady


def _middles(count: int) -> np.ndarray:
    return (np.arange(count) + 0.5) / count


def rounded(length: float) -> float:
    """A length of time to three digits: chosen alike by machines that differ in the last bits."""
    return float(f"{length:.3g}")
