r"""When learning out of equilibrium begins to oscillate, and how fast: the loop, linearised.

It is taken where the network has learned: the targets have the wanted voltages, and u = 0. With
q = Δᵀ diag(Δv) δg, what changed conductances drive into the nodes, the loop (S3) is

    δv̇ = −γ (L δv + q),   u̇_I = −γ (L u)_I with u_T = −δv_T,   q̇ = −2α W u,   W = Δᵀ diag(Δv²) Δ.

S4 is what it becomes if u = −δv at all nodes at once: δv̈ + γ L δv̇ + 2αγ W δv = 0 (the 2 is that of S3, which
leaves out the ½ of the power). Both are for one example.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from chemlearn.checks import check_positive
from chemlearn.errors import ConvergenceError
from chemlearn.resistors.network import ResistorNetwork, check_conductances
from chemlearn.resistors.solve import equilibrium_voltages, laplacian
from chemlearn.resistors.tasks import Task, check_tasks

__all__ = ["critical_rate", "discriminant_rate", "fast_frequencies", "loop_matrix", "measured_frequency"]

ROTATES = 1e-3
"""Least imaginary part of an eigenvalue, beside its size, that counts: rounding gives zeros a small one."""

LOW, HIGH = 1e-5, 1e5
"""Range of α/γ, in conductance over volt squared, that is searched."""


class _Loop(NamedTuple):
    """Matrices over the nodes that are not held, the targets last."""

    relax: np.ndarray
    """L."""
    teach: np.ndarray
    """W."""
    targets: int


def _loop(network: ResistorNetwork, task: Task, conductance: ArrayLike) -> _Loop:
    check_tasks(network, [task])
    if len(task) != 1:
        raise ValueError(f"the linearised loop is that of one example, got {len(task)}")
    g = check_conductances(network, conductance)
    voltages = equilibrium_voltages(network, g, task)[0]
    free = np.ones(network.nodes, bool)
    free[task.sources] = free[task.targets] = False
    if network.ground is not None:
        free[network.ground] = False
    order = np.concatenate([np.flatnonzero(free), task.targets])
    relax = laplacian(network, g).toarray()[np.ix_(order, order)]
    teach = laplacian(network, network.drops(voltages) ** 2).toarray()[np.ix_(order, order)]
    return _Loop(relax, teach, len(task.targets))


def loop_matrix(
    network: ResistorNetwork, task: Task, conductance: ArrayLike, *, alpha: float, gamma: float = 1.0
) -> np.ndarray:
    """Jacobian of the full loop over (δv, u_I, q), where the network has learned.

    Parameters
    ----------
    network : ResistorNetwork
    task : Task
        One example; its wanted voltages do not matter, those of the network are taken for them.
    conductance : float or array, (n_edges,)
        Of the trained network.
    alpha, gamma : float
        Rates of learning and of relaxation.

    Returns
    -------
    array, square
        Nodes that are not held, targets last; without the targets; as the first. Beside its eigenvalues
        the loop has only zeros, one for each change of the conductances that moves no voltage.
    """
    check_positive(alpha=alpha, gamma=gamma)
    return _full(_loop(network, task, conductance), alpha / gamma) * gamma


def critical_rate(network: ResistorNetwork, task: Task, conductance: ArrayLike) -> float:
    """Least α/γ at which an eigenvalue of the full loop turns complex: learning oscillates beyond it.

    Parameters
    ----------
    network, task, conductance
        As for :func:`loop_matrix`.

    Returns
    -------
    float
        To a relative 1e-3.

    Raises
    ------
    ConvergenceError
        If there is no oscillation up to α/γ = 1e5, or still one at 1e-5.
    """
    loop = _loop(network, task, conductance)
    return _first_rotation(lambda ratio: _full(loop, ratio))


def discriminant_rate(network: ResistorNetwork, task: Task, conductance: ArrayLike) -> float:
    """Least α/γ at which S4 oscillates, where H² − 4 (α/γ) D² turns negative for the first mode.

    Parameters
    ----------
    network, task, conductance
        As for :func:`loop_matrix`.

    Raises
    ------
    ConvergenceError
        As :func:`critical_rate`.
    """
    loop = _loop(network, task, conductance)
    size = len(loop.relax)

    def matrix(ratio: float) -> np.ndarray:
        return np.block([[np.zeros((size, size)), np.eye(size)], [-2 * ratio * loop.teach, -loop.relax]])

    return _first_rotation(matrix)


def fast_frequencies(
    network: ResistorNetwork, task: Task, conductance: ArrayLike, *, alpha: float, gamma: float = 1.0
) -> np.ndarray:
    r"""Angular frequencies far beyond the critical rate, ascending, (n_targets,).

    ω = √(2αγ·eig[Σ_j Δv_j² Δ_jT Δ_jT']) over the edges at targets: nothing but the targets moves as fast.

    Parameters
    ----------
    network, task, conductance, alpha, gamma
        As for :func:`loop_matrix`.
    """
    check_positive(alpha=alpha, gamma=gamma)
    loop = _loop(network, task, conductance)
    at_targets = loop.teach[-loop.targets :, -loop.targets :]
    return np.asarray(np.sqrt(2 * alpha * gamma * np.linalg.eigvalsh(at_targets)))


def measured_frequency(data: xr.Dataset) -> float:
    """Cycles per time of the voltages of the targets in a run; nan if none turns three times.

    Each target that turns n times, from rising to falling or back, counts with n − 1 half periods, whatever
    its voltage swings around.

    Parameters
    ----------
    data : xarray.Dataset
        From :func:`chemlearn.resistors.coupled.coupled_learning`, with every step recorded.
    """
    halves, span = 0, 0.0
    for voltage in data.voltage.values.T:
        at = _turns(data.time.values, voltage)
        if len(at) >= 3:
            halves += len(at) - 1
            span += at[-1] - at[0]
    return halves / (2 * span) if halves else float("nan")


def _turns(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """When a course turns: where the slope, taken as straight between the middles of the steps, is 0."""
    middles, slopes = 0.5 * (times[1:] + times[:-1]), np.diff(values) / np.diff(times)
    turns = np.flatnonzero(slopes[:-1] * slopes[1:] < 0)
    share = slopes[turns] / (slopes[turns] - slopes[turns + 1])
    return middles[turns] + share * (middles[turns + 1] - middles[turns])


def _full(loop: _Loop, ratio: float) -> np.ndarray:
    """The full loop in units of 1/γ."""
    size, inner = len(loop.relax), len(loop.relax) - loop.targets
    matrix = np.zeros((2 * size + inner, 2 * size + inner))
    v, u, q = slice(0, size), slice(size, size + inner), slice(size + inner, None)
    # u of all nodes from δv and u of the interior: u_T = −δv_T.
    matrix[v, v], matrix[v, q] = -loop.relax, -np.eye(size)
    matrix[u, u], matrix[u, inner:size] = -loop.relax[:inner, :inner], loop.relax[:inner, inner:]
    matrix[q, u] = -2 * ratio * loop.teach[:, :inner]
    matrix[q, inner:size] = 2 * ratio * loop.teach[:, inner:]
    return matrix


def _rotates(matrix: np.ndarray) -> bool:
    values = np.linalg.eigvals(matrix)
    size = np.abs(values)
    return bool(((np.abs(values.imag) > ROTATES * size) & (size > 1e-5 * size.max())).any())


def _first_rotation(matrix: Callable[[float], np.ndarray]) -> float:
    """Where on a logarithmic scale eigenvalues first turn complex, by a scan and bisection."""
    below, above = LOW, LOW
    if _rotates(matrix(LOW)):
        raise ConvergenceError(f"learning oscillates even at α/γ = {LOW:g}", residual=LOW)
    while not _rotates(matrix(above := 4 * below)):
        below = above
        if below > HIGH:
            raise ConvergenceError(f"learning does not oscillate up to α/γ = {HIGH:g}", residual=HIGH)
    while above / below > 1 + 1e-3:
        middle = float(np.sqrt(below * above))
        below, above = (below, middle) if _rotates(matrix(middle)) else (middle, above)
    return float(np.sqrt(below * above))
