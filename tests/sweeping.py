"""What the tests of sweeps share: a driven cycle with its exact law, stores compared file by file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from chemlearn.model import Model
from chemlearn.sweeps.sweep import sweep

#: N independent molecules on a cycle A, B, C; the output B overshoots after a step of s
ROTOR = """model rotor
  s = 2; c = 0.3; N = 20
  substanceOnly species A, B, C
  A = N; B = 0; C = 0
  u := B
  ab: A => B; s*A
  ba: B => A; 0.5*B
  bc: B => C; B
  cb: C => B; 0.05*C
  ca: C => A; c*C
  ac: A => C; 0.02*A
end
"""
#: what makes planning and simulating it fast
QUICK: dict[str, Any] = {"measures": ["mean"], "memory": 0.5, "seed": 7, "workers": 1}


def rotor() -> Model:
    return Model.load(ROTOR)


def quick(file: Path | None = None, **changes: Any) -> xr.Dataset:
    """A small sweep over four points, three shards each."""
    options: dict[str, Any] = {"trajectories": 24, "shard_size": 8, "notice": lambda _: None, **QUICK}
    over = changes.pop("over", {"c": [0.1, 0.3], "s": [1.0, 2.0]})
    return sweep(changes.pop("model", rotor()), over, file=file, **options | changes)


def tree(store: Path) -> dict[str, bytes]:
    """Every file of a store."""
    return {str(p.relative_to(store)): p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()}


def shards(store: Path) -> list[Path]:
    """The files of the shards that are done."""
    return sorted(p for p in (store / "raw" / "result" / "c").rglob("*") if p.is_file())


class Exact:
    """The law of one molecule of the rotor."""

    def __init__(self, s: float, c: float) -> None:
        self.s = s
        rates = np.array([[0.0, 0.5, c], [s, 0.0, 0.05], [0.02, 1.0, 0.0]])  # from column to row
        self.rates = rates
        self.generator = rates - np.diag(rates.sum(axis=0))
        self.rest = _rest(self.generator)

    @property
    def entropy_production(self) -> float:
        """Σ (J⁺ − J⁻) ln(J⁺/J⁻) over the three edges."""
        flux, edges = self.rates * self.rest, ((1, 0), (2, 1), (0, 2))
        return float(sum((flux[i, j] - flux[j, i]) * np.log(flux[i, j] / flux[j, i]) for i, j in edges))

    def step(self, before: float, c: float) -> tuple[float, float]:
        """Area and first moment of the response of B to the step from another level."""
        missing = np.linalg.solve(
            self.generator - np.outer(self.rest, np.ones(3)), Exact(before, c).rest - self.rest
        )  # ∫ [p(∞) − p(t)] dt
        size = self.s - before
        return float(self.rest[1] - Exact(before, c).rest[1]) / size, float(missing[1]) / size


def _rest(generator: np.ndarray) -> np.ndarray:
    """Probabilities at rest."""
    padded = np.vstack([generator, np.ones(3)])
    return np.linalg.lstsq(padded, np.array([0.0, 0.0, 0.0, 1.0]), rcond=None)[0]


def collected() -> tuple[list[str], Callable[[str], None]]:
    """Notices, and what collects them."""
    notices: list[str] = []
    return notices, notices.append
