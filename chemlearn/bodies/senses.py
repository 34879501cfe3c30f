"""How an edge turns what happens to it into the input of its model, and what of the answer it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from chemlearn.checks import check_positive

__all__ = ["Product", "Sense", "Shear"]


class Sense(Protocol):
    """Input s and reading x of all edges; arrays end in (n_edges,), ``s`` and ``u`` in (n_times, n_edges)."""

    @property
    def gain(self) -> float:
        """What a unit of contrast comes to in units of the kernel's first moment."""

    def stimulus(self, weights: np.ndarray, drops: np.ndarray) -> np.ndarray:
        """s, of the drop over each edge."""

    def reading(self, s: np.ndarray, u: np.ndarray) -> np.ndarray:
        """x, what the weight follows, of input and output of the model."""

    def moved(self, weights: np.ndarray, drops: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """By how much what the edge compares changes where its drop shifts: the contrast."""


@dataclass(frozen=True)
class Shear:
    """A messenger that the wall shear releases: s = basal + gain (r Δp)², x = u − set_point.

    Parameters
    ----------
    basal, gain : float
        Positive.
    set_point : float
        c₀ of the messenger, in the model's units.
    """

    basal: float
    gain: float
    set_point: float

    def __post_init__(self) -> None:
        check_positive(basal=self.basal, gain=self.gain)

    def stimulus(self, weights: np.ndarray, drops: np.ndarray) -> np.ndarray:
        """s."""
        return self.basal + self.gain * (weights * drops) ** 2

    def reading(self, s: np.ndarray, u: np.ndarray) -> np.ndarray:
        """x."""
        return u - self.set_point

    def moved(self, weights: np.ndarray, drops: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Change of (r Δp)²."""
        return weights**2 * shift * (2 * drops + shift)


@dataclass(frozen=True)
class Product:
    """A model driven by the drop itself, read against it: s = e, x = s u, to first order d(e²/2)/dt."""

    gain: float = 1.0

    def stimulus(self, weights: np.ndarray, drops: np.ndarray) -> np.ndarray:
        """s."""
        return drops

    def reading(self, s: np.ndarray, u: np.ndarray) -> np.ndarray:
        """x."""
        return s * u

    def moved(self, weights: np.ndarray, drops: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Change of e²/2."""
        return shift * (drops + 0.5 * shift)
