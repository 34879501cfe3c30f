"""The edges of a body in time: every edge integrates its own copy of one model, all as one system."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy.integrate import ODEintWarning, odeint

from chemlearn.errors import SimulationError
from chemlearn.model import Model

__all__ = ["Edges"]

RTOL = 1e-8
"""What an edge learns from is a small part of what it holds: a thousandth and less."""

ATOL = 1e-10
"""In units of the largest initial amount, or of 1."""


class Edges:
    """All edges with their states, which go on from call to call.

    Parameters
    ----------
    model : Model
        Only what its output depends on is integrated; its own weight, if it has one, usually is not.
    n_edges : int

    Attributes
    ----------
    state : array, (n_variables, n_edges)
        It begins with the model's initial amounts.
    """

    def __init__(self, model: Model, n_edges: int) -> None:
        self.model, self.dynamics = model, model.dynamics
        initial, core = self.dynamics.initial, self.dynamics.core
        self.state = np.tile(initial[:, None], n_edges)
        self._atol = ATOL * float(np.abs(initial[core]).max(initial=1.0))

    def follow(
        self, times: np.ndarray, stimulus: Callable[[float], np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Integrate from the first of ``times`` to the last, at which the states are left.

        Parameters
        ----------
        times : array, (n_times,)
            Ascending, at least two.
        stimulus : callable
            s of all edges at an instant, (n_edges,), smooth in between.

        Returns
        -------
        s, u : array, (n_times, n_edges)
            Input and output of the model.

        Raises
        ------
        SimulationError
            If the rate equations cannot be solved.
        """
        core, full = self.dynamics.core, self.state.copy()
        shape = (full.shape[1], len(core))

        def velocity(t: float, y: np.ndarray) -> np.ndarray:
            full[core] = y.reshape(shape).T
            return self.dynamics.velocity(full, stimulus(t))[core].T.ravel()

        course = self._solved(velocity, full[core].T.ravel(), times, len(core) - 1)
        s = np.array([stimulus(t) for t in times])
        u = np.empty_like(s)
        for number, y in enumerate(course):
            full[core] = y.reshape(shape).T
            u[number] = self.dynamics.output(full, s[number])
        self.state = full
        return s, u

    def _solved(
        self,
        velocity: Callable[[float, np.ndarray], np.ndarray],
        start: np.ndarray,
        times: np.ndarray,
        band: int,
    ) -> np.ndarray:
        """LSODA; variables of one edge lie together, so that the Jacobian is a narrow band."""
        how = {"ml": band, "mu": band, "rtol": RTOL, "atol": self._atol, "mxstep": 10_000}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ODEintWarning)  # it is raised as an error below
            course, note = odeint(velocity, start, times, tfirst=True, full_output=True, **how)
        if note["message"] != "Integration successful." or not np.isfinite(course).all():
            raise SimulationError(
                f"the model '{self.model.name}' of the edges could not be integrated from t={times[0]:g} to "
                f"{times[-1]:g}: {note['message']}"
            )
        return course
