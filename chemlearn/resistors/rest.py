"""Errors of tasks with the voltages at rest, for many sets of conductances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chemlearn.learning.arrays import Array
from chemlearn.learning.compiled.loops import compiled
from chemlearn.resistors.network import ResistorNetwork
from chemlearn.resistors.solve import DENSE, equilibrium_voltages
from chemlearn.resistors.tasks import Task, as_tasks

__all__ = ["equilibrium_error"]


def equilibrium_error(
    network: ResistorNetwork, tasks: Task | Sequence[Task], conductance: np.ndarray
) -> np.ndarray:
    """C = Σ_T (V_T − v_T)² at rest, mean over all examples of all tasks.

    Parameters
    ----------
    network : ResistorNetwork
    tasks : Task or sequence of Task
    conductance : array, (n_edges,) or (n_rows, n_edges)
        Positive.

    Returns
    -------
    array, () or (n_rows,)
        Volts squared.
    """
    tasks = as_tasks(tasks)
    rows = np.atleast_2d(np.asarray(conductance, float))
    examples = sum(map(len, tasks))
    total = np.zeros(len(rows))
    for task in tasks:
        total += len(task) * _errors(network, task, rows) / examples
    return np.asarray(total if np.ndim(conductance) == 2 else total[0])


def _errors(network: ResistorNetwork, task: Task, rows: np.ndarray) -> np.ndarray:
    if network.nodes > DENSE:
        found = [equilibrium_voltages(network, row, task)[:, task.targets] for row in rows]
        return ((np.array(found) - task.outputs) ** 2).sum(axis=2).mean(axis=1)
    held = np.zeros((network.nodes, len(task)))
    held[task.sources] = task.inputs.T
    order = np.ones(network.nodes, bool)
    order[task.sources] = order[task.targets] = False
    if network.ground is not None:
        order[network.ground] = False
    unknown = np.concatenate([task.targets, np.flatnonzero(order)])
    place = np.full(network.nodes, -1)
    place[unknown] = np.arange(len(unknown))
    first, second = np.ascontiguousarray(network.edges.T)
    wanted = np.ascontiguousarray(task.outputs.T)
    return _errors_at_rest(first, second, place, held, wanted, np.ascontiguousarray(rows))


@compiled
def _errors_at_rest(
    first: Array, second: Array, place: Array, held: Array, wanted: Array, conductances: Array
) -> Array:
    """Σ_T (V_T − v_T)² at rest, mean over the examples of one task, for each row of conductances.

    Parameters
    ----------
    first, second : the nodes of each edge
    place : row of each node in the equations, −1 if it is held; targets come first
    held : voltages of the nodes that are held in each example, (n_nodes, n_examples)
    wanted : (n_targets, n_examples)
    conductances : (n_rows, n_edges)
    """
    size, examples = place.max() + 1, held.shape[1]
    errors = np.zeros(len(conductances))
    matrix, drive = np.empty((size, size)), np.empty((size, examples))
    for row in range(len(conductances)):
        matrix[:] = 0
        drive[:] = 0
        for j in range(len(first)):
            g = conductances[row, j]
            for a, b in ((first[j], second[j]), (second[j], first[j])):
                p, q = place[a], place[b]
                if p < 0:
                    continue
                matrix[p, p] += g
                if q >= 0:
                    matrix[p, q] -= g
                else:
                    for k in range(examples):
                        drive[p, k] += g * held[b, k]
        voltages = np.linalg.solve(matrix, drive)
        for i in range(len(wanted)):
            for k in range(examples):
                errors[row] += (wanted[i, k] - voltages[i, k]) ** 2 / examples
    return errors
