"""The four ways in which chemlearn fails; everything else is a plain ValueError or a bug."""

from __future__ import annotations


class ModelError(ValueError):
    """The model cannot be used as asked: its text, its names or its structure."""


class DataError(ValueError):
    """A file of data is not there or not what it should be, or holds less than was asked for."""


class SimulationError(RuntimeError):
    """An engine could not finish, or cannot do exactly what was asked of it."""


class ConvergenceError(RuntimeError):
    """An iteration ended away from its goal.

    Parameters
    ----------
    message : str
        One sentence: what did not converge, and what to do.
    residual : float
        The remaining error, in the units that the message names.
    steps : int
        Iterations made.
    """

    def __init__(self, message: str, *, residual: float = float("nan"), steps: int = 0) -> None:
        super().__init__(message)
        self.residual = residual
        self.steps = steps
