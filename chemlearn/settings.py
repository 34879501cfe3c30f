"""How a model is assessed: what the user may choose, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np

from chemlearn.curves.update import ThresholdRule
from chemlearn.simulate.engines import EXACT


@dataclass(frozen=True)
class Settings:
    """How a model is assessed; what is None is chosen from the model and filled in.

    Parameters
    ----------
    mean : float, optional
        s̄, mean of the sawtooth; the model's own input value by default.
    rise, fall : float, optional
        Durations of the fast and the slow swing: 30 half-times of the kernel, and ten times that.
    amplitude : float, optional
        Largest contrast |s_clamped − s_free|: the mean, or what fits into the working range if that is
        less, but at least a tenth of the mean.
    rule : str
        Threshold rule, see :func:`chemlearn.threshold`.
    margin : float
        The threshold is the rule's times this. Above 1, since the rule puts it exactly on the slow swing's
        plateau.
    tolerance : float
        Residual of the step response that still counts as adapted.
    trajectories : int, optional
        Per amplitude; by default what ``firings`` allow. 0 for no ensemble.
    firings : float, optional
        Reaction firings to spend on the ensemble where ``trajectories`` is not given; by default what the
        engine does in some ten seconds.
    engine : str
    seed : int, optional
    workers : int, optional

    Raises
    ------
    ValueError
        For a setting that makes no sense, by name.
    """

    mean: float | None = None
    rise: float | None = None
    fall: float | None = None
    amplitude: float | None = None
    rule: ThresholdRule = "safe"
    margin: float = 1.2
    tolerance: float = 0.05
    trajectories: int | None = None
    firings: float | None = None
    engine: str = "native"
    seed: int | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        for name in ("rise", "fall", "amplitude", "margin", "tolerance", "firings"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive, got {value:g}")
        if self.mean is not None and not np.isfinite(self.mean):
            raise ValueError(f"mean must be a finite number, got {self.mean}")
        if self.trajectories is not None and (self.trajectories < 0 or self.trajectories == 1):
            raise ValueError(
                f"trajectories must be 0 or at least 2 for an error bar, got {self.trajectories}"
            )
        for name, least in (("seed", 0), ("workers", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        for name, allowed in (("rule", get_args(ThresholdRule)), ("engine", EXACT)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"no {name} named {getattr(self, name)!r}; there are {', '.join(allowed)}")
