r"""Voltages at rest: Kirchhoff's law for given conductances, by Cholesky or sparse LU.

With the fixed nodes held, the rest splits into targets T and interior I, L = [[A, B], [Bᵀ, D]]. One
factorisation of A answers all: what the interior does when the targets are held is −A⁻¹B, and
S = D − BᵀA⁻¹B is what the targets alone obey.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csc_array, diags_array
from scipy.sparse.linalg import splu

from chemlearn.resistors.network import LinearNetwork
from chemlearn.resistors.tasks import Task

__all__ = ["Response", "equilibrium_voltages", "laplacian", "power", "response"]

DENSE = 300
"""Up to so many interior nodes a dense factorisation is the faster one."""


@dataclass(frozen=True, eq=False)
class Response:
    """How a network with given conductances answers a task at rest.

    Attributes
    ----------
    free : array, (n_examples, n_nodes)
        v^F, volts: sources and ground held, all others free.
    lift : array, (n_nodes, n_targets)
        Voltages for 1 V at one target, with the other targets, the sources and the ground at 0 V.
    stiffness : array, (n_targets, n_targets)
        S: currents into the targets for voltages at them, with sources and ground at 0 V.
    """

    free: np.ndarray
    lift: np.ndarray
    stiffness: np.ndarray

    def clamped(self, task: Task) -> np.ndarray:
        """u = (v^C − v^F)/η at rest, (n_examples, n_nodes): targets pulled all the way to what is wanted.

        It holds for every nudge η of coupled learning, v_T^C = v_T^F + η (V_T − v_T^F).
        """
        return (task.outputs - self.free[:, task.targets]) @ self.lift.T

    def pulled(self, task: Task, nudge: float) -> np.ndarray:
        """v − v^F, (n_examples, n_nodes), at the least of power + β Σ_T (v_T − V_T)², β the nudge."""
        pull = 2 * nudge * (task.outputs - self.free[:, task.targets])
        held = self.stiffness + 2 * nudge * np.eye(len(self.stiffness))
        return np.linalg.solve(held, pull.T).T @ self.lift.T


def laplacian(network: LinearNetwork, conductance: np.ndarray) -> csc_array:
    """L = Δᵀ diag(g) Δ, sparse (n_nodes, n_nodes)."""
    incidence = network.incidence()
    return csc_array(incidence.T @ diags_array(conductance) @ incidence)


def power(network: LinearNetwork, conductance: np.ndarray, voltages: np.ndarray) -> np.ndarray:
    """P = ½ Σ_j g_j (Δv_j)², the energy of this substrate, over the last axis."""
    return 0.5 * network.drops(voltages) ** 2 @ conductance


def response(network: LinearNetwork, conductance: np.ndarray, task: Task) -> Response:
    """Solve Kirchhoff's law once for all examples of a task.

    Parameters
    ----------
    network : LinearNetwork
    conductance : array, (n_edges,)
        Positive.
    task : Task
    """
    fixed = _held(network, task)
    values = np.zeros((len(task), len(fixed)))
    values[:, : len(task.sources)] = task.inputs
    inside = np.ones(network.nodes, bool)
    inside[fixed] = inside[task.targets] = False
    interior = np.flatnonzero(inside)
    matrix = _matrix(network, conductance, len(interior))
    n_targets = len(task.targets)
    border = matrix[:, np.concatenate([task.targets, fixed])]
    border = border if isinstance(border, np.ndarray) else border.toarray()
    # Columns: the answer of the interior to 1 V at a target, and to each example's sources.
    drive = np.concatenate([border[:, :n_targets], border[:, n_targets:] @ values.T], axis=1)
    answers = np.zeros((network.nodes, drive.shape[1]))
    answers[task.targets, np.arange(n_targets)] = 1.0
    answers[np.ix_(fixed, np.arange(n_targets, drive.shape[1]))] = values.T
    if len(interior):
        answers[interior] = -_solver(matrix, interior)(drive[interior])
    lift, held = answers[:, :n_targets], answers[:, n_targets:]
    currents = matrix[task.targets] @ answers
    stiffness = 0.5 * (currents[:, :n_targets] + currents[:, :n_targets].T)
    free = held - lift @ np.linalg.solve(stiffness, currents[:, n_targets:])
    return Response(np.ascontiguousarray(free.T), lift, stiffness)


def equilibrium_voltages(network: LinearNetwork, conductance: np.ndarray, task: Task) -> np.ndarray:
    """v^F of every example, (n_examples, n_nodes)."""
    return response(network, conductance, task).free


def _held(network: LinearNetwork, task: Task) -> np.ndarray:
    """Sources, then the ground."""
    return np.concatenate([task.sources, network.held])


def _matrix(network: LinearNetwork, conductance: np.ndarray, size: int) -> np.ndarray | csc_array:
    """L, dense if the interior is small."""
    if size > DENSE:
        return laplacian(network, conductance)
    return network.dense(conductance)


def _solver(matrix: np.ndarray | csc_array, interior: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """What solves A x = b, A the interior's part of L, which is symmetric and positive definite."""
    if isinstance(matrix, np.ndarray):
        factor = cho_factor(matrix[np.ix_(interior, interior)], lower=True, check_finite=False)
        return lambda right: cho_solve(factor, right, check_finite=False)
    part = csc_array(matrix[interior][:, interior])
    # Symmetric mode: fill-in is kept low, and no pivoting is needed.
    factor = splu(part, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return factor.solve
