"""What a network of resistors is to learn: voltages at targets in answer to voltages at sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.csgraph import connected_components

from chemlearn.resistors.network import LinearNetwork, whole_numbers

__all__ = ["Task", "allosteric", "as_tasks", "check_tasks", "regression"]


@dataclass(frozen=True, eq=False)
class Task:
    """Voltages wanted at target nodes for voltages at source nodes, in one example or several.

    Parameters
    ----------
    sources : array of int, (n_sources,)
    inputs : array, (n_examples, n_sources) or (n_sources,)
        V_S, volts.
    targets : array of int, (n_targets,)
    outputs : array, (n_examples, n_targets) or (n_targets,)
        V_T, volts.
    about : str
        How it was made, the seed with it; recorded with what is learned.

    Raises
    ------
    ValueError
        If a node is named twice, shapes do not fit or a voltage is not finite.
    """

    sources: np.ndarray
    inputs: np.ndarray
    targets: np.ndarray
    outputs: np.ndarray
    about: str = ""

    def __post_init__(self) -> None:
        seen: dict[int, str] = {}
        for name, one in (("sources", "source"), ("targets", "target")):
            nodes = np.atleast_1d(whole_numbers(getattr(self, name), name))
            if nodes.ndim != 1 or not len(nodes):
                raise ValueError(f"{name} are a list of at least one node, got shape {nodes.shape}")
            for node in nodes.tolist():
                if node in seen:
                    raise ValueError(f"node {node} is named twice, as {seen[node]} and as {one}")
                seen[node] = one
            object.__setattr__(self, name, nodes)
        inputs = _voltages(self.inputs, len(self.sources), "inputs")
        outputs = _voltages(self.outputs, len(self.targets), "outputs")
        if len(inputs) != len(outputs):
            raise ValueError(f"there are {len(inputs)} examples of inputs and {len(outputs)} of outputs")
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "outputs", outputs)

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.inputs)


def _voltages(values: ArrayLike, count: int, name: str) -> np.ndarray:
    found = np.atleast_2d(np.array(values, float))
    if found.ndim != 2 or found.shape[1] != count or not len(found) or not np.isfinite(found).all():
        raise ValueError(
            f"{name} are {count} finite voltages, one for each node, in each example, got shape {found.shape}"
        )
    return found


def as_tasks(tasks: Task | Sequence[Task]) -> tuple[Task, ...]:
    """One task or several, as a tuple."""
    found = (tasks,) if isinstance(tasks, Task) else tuple(tasks)
    if not found:
        raise ValueError("there is no task to learn; give at least one")
    return found


def check_tasks(network: LinearNetwork, tasks: Sequence[Task]) -> None:
    """Refuse tasks that the network cannot even be asked.

    Raises
    ------
    ValueError
        If a task names a node that is not there or the ground, has more targets than there are nodes, or a
        target that no source reaches but through the ground.
    """
    for task in tasks:
        if len(task.sources) + len(task.targets) > network.nodes - len(network.held):
            raise ValueError(
                f"{len(task.sources)} sources and {len(task.targets)} targets are more than the "
                f"{network.nodes} {network.places} of the network, of which the ground can be neither"
            )
        for name, nodes in (("source", task.sources), ("target", task.targets)):
            for node in nodes.tolist():
                if not 0 <= node < network.nodes:
                    raise ValueError(
                        f"{name} {node} is none of the {network.places} 0 to {network.nodes - 1}"
                    )
                if node in network.held:
                    raise ValueError(
                        f"{name} {node} is the ground, which is held at 0 V; take another node"
                        if network.places == "nodes"
                        else f"{name} {node} is held at 0; take another of the {network.places}"
                    )
        _check_reached(network, task)


def _check_reached(network: LinearNetwork, task: Task) -> None:
    """Without the ground, each target must be in one part with a source."""
    if not len(network.held):
        return
    graph = network.adjacency().tolil()
    graph[network.held, :] = 0
    graph[:, network.held] = 0
    _count, part = connected_components(graph.tocsr(), directed=False)
    for target in task.targets.tolist():
        if not (part[task.sources] == part[target]).any():
            raise ValueError(
                f"no source reaches target {target}: every path passes through the ground "
                f"{network.held[-1]}, so its voltage is 0 whatever is learned"
            )


def allosteric(
    network: LinearNetwork,
    *,
    sources: int = 5,
    targets: int = 3,
    spread: float = 0.2,
    seed: int | None = None,
) -> Task:
    """A random allosteric task: V_S ~ N(0, 1) at random sources, V_T ~ ``spread`` N(0, 1) at random targets.

    Parameters
    ----------
    network : LinearNetwork
        Of springs, sources and targets are coordinates, and voltages displacements.
    sources, targets : int
        How many of each; none of them is the ground.
    spread : float
        Standard deviation of the wanted voltages.
    seed : int, optional
        One seed is one task; drawn and recorded if not given.

    Raises
    ------
    ValueError
        If there are fewer nodes than sources and targets.

    References
    ----------
    S, Numerical experiments and Fig. 2A.
    """
    root = np.random.SeedSequence(seed)
    nodes = _some_nodes(network, sources, targets, rng := np.random.default_rng(root))
    inputs, outputs = rng.standard_normal(sources), spread * rng.standard_normal(targets)
    about = f"allosteric, {sources} sources, {targets} targets, spread {spread:g}, seed {root.entropy}"
    return Task(nodes[:sources], inputs, nodes[sources:], outputs, about)


def regression(
    network: LinearNetwork,
    *,
    examples: int = 20,
    sources: int = 3,
    targets: int = 2,
    seed: int | None = None,
) -> tuple[Task, np.ndarray]:
    """Examples of a linear map V_T = A V_S that resistors can have: A ≥ 0, and sums of rows below 1.

    Parameters
    ----------
    network : LinearNetwork
        With a ground, without which the rows of any map of resistors sum to 1.
    examples, sources, targets : int
        How many of each.
    seed : int, optional
        One seed is one map with its examples; drawn and recorded if not given.

    Returns
    -------
    task : Task
        Inputs are N(0, 1).
    coefficients : array, (n_targets, n_sources)
        A; each row is a point drawn uniformly from those that are allowed (Dirichlet).

    Raises
    ------
    ValueError
        If the network has no ground or fewer nodes than sources and targets, or there are no examples.
    """
    if not len(network.held):
        raise ValueError("a regression task needs a network with a ground")
    if examples < 1:
        raise ValueError(f"a regression task has at least one example, got {examples}")
    root = np.random.SeedSequence(seed)
    nodes = _some_nodes(network, sources, targets, rng := np.random.default_rng(root))
    coefficients = rng.dirichlet(np.ones(sources + 1), targets)[:, :sources]
    inputs = rng.standard_normal((examples, sources))
    about = f"regression, {examples} examples, {sources} sources, {targets} targets, seed {root.entropy}"
    return Task(nodes[:sources], inputs, nodes[sources:], inputs @ coefficients.T, about), coefficients


def _some_nodes(network: LinearNetwork, sources: int, targets: int, rng: np.random.Generator) -> np.ndarray:
    """Different nodes but the ground."""
    allowed = np.delete(np.arange(network.nodes), network.held)
    if sources < 1 or targets < 1 or sources + targets > len(allowed):
        raise ValueError(
            f"a task has at least one source and one target and no more than {len(allowed)} in all, "
            f"which is how many {network.places} there are beside the ground, got {sources} and {targets}"
        )
    return rng.choice(allowed, sources + targets, replace=False)
