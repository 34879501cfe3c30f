"""How noisy the output is: the linear noise approximation around a steady state."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_continuous_lyapunov

from chemlearn.errors import ModelError
from chemlearn.model import Model


def output_sd(model: Model, s: float | None = None) -> float:
    r"""Standard deviation of u at constant input, in the linear noise approximation.

    Solves :math:`A C + C A^T + N \,\mathrm{diag}(v)\, N^T = 0` for the covariance C of the core at its
    steady state (A the Jacobian, N the stoichiometry, v the rates). Exact where every propensity is linear.

    Parameters
    ----------
    model : Model
    s : float, optional
        Input level; the model's own by default.

    Returns
    -------
    float
        In units of u.

    Raises
    ------
    ModelError
        For a model with rate rules: it has no molecular noise.
    ConvergenceError, SimulationError
        Without a stable steady state.

    References
    ----------
    van Kampen, Stochastic Processes in Physics and Chemistry, ch. X.
    """
    if model.network.rates_of:
        raise ModelError(f"{model.origin}: a model with rate rules has no molecular noise")
    dynamics = model.dynamics
    level = dynamics.input_value if s is None else float(s)
    state = dynamics.steady_state(level)
    matrix, _, out, _ = dynamics.reduced(state, level)
    firing = dynamics.basis.T @ dynamics.stoichiometry[dynamics.core]
    covariance = solve_continuous_lyapunov(matrix, -(firing * dynamics.rates(state, level)) @ firing.T)
    return float(np.sqrt(max(out @ covariance @ out, 0.0)))
