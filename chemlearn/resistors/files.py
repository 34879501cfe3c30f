"""Networks of resistors in files: JSON that a person can read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from chemlearn.errors import DataError
from chemlearn.resistors.network import ResistorNetwork, check_conductances

__all__ = ["load_network", "published_network", "save_network"]


def published_network() -> ResistorNetwork:
    """The network of Stern et al. (S Fig. 2A): 64 nodes, 143 edges, periodic, the last node the ground."""
    return load_network(Path(__file__).parent / "published64.json")[0]


def load_network(path: str | Path) -> tuple[ResistorNetwork, np.ndarray | None]:
    """Read a network and, where the file has them, its conductances.

    Parameters
    ----------
    path : path
        JSON: ``nodes``, a list of objects with ``id`` and, all or none, ``x`` and ``y``; ``edges``, a list of
        pairs of ids; and, if they are there, ``ground_node``, ``periodic``, ``box_L``, ``conductances`` and
        ``source``.

    Returns
    -------
    network : ResistorNetwork
        Its nodes are numbered in the order of the file.
    conductance : array, (n_edges,), or None

    Raises
    ------
    DataError
        If the file is not there or not such a file; it names the line, the node or the edge.
    """
    content = _read(Path(path))
    try:
        return _network(content, Path(path).name)
    except ValueError as problem:
        raise DataError(f"{path}: {problem}") from None


def save_network(path: str | Path, network: ResistorNetwork, conductance: Any = None) -> None:
    """Write what :func:`load_network` reads, one node or edge in a line.

    Raises
    ------
    ValueError
        If the conductances do not fit.
    DataError
        If the file cannot be written.
    """
    content: dict[str, Any] = {"source": network.source, "periodic": network.box is not None}
    if network.box is not None:
        content["box_L"] = network.box
    if network.ground is not None:
        content["ground_node"] = int(network.ground)
    nodes: list[dict[str, Any]] = [{"id": node} for node in range(network.nodes)]
    if network.positions is not None:
        for node, (x, y) in zip(nodes, network.positions.tolist(), strict=True):
            node |= {"x": x, "y": y}
    content |= {"nodes": nodes, "edges": network.edges.tolist()}
    if conductance is not None:
        content["conductances"] = check_conductances(network, conductance).tolist()
    try:
        Path(path).write_text(_text(content), encoding="utf-8")
    except OSError as problem:
        raise DataError(f"{path} cannot be written: {problem.strerror}") from None


def _text(content: dict[str, Any]) -> str:
    """JSON with each entry of a list on its own line."""
    parts = []
    for name, value in content.items():
        text = json.dumps(value)
        if isinstance(value, list):
            text = "[\n" + ",\n".join(json.dumps(entry) for entry in value) + "\n]"
        parts.append(f"{json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not a text file of a network") from None
    except json.JSONDecodeError as problem:
        raise DataError(
            f"{path}: line {problem.lineno}, column {problem.colno}: not valid JSON: {problem.msg}"
        ) from None
    if not isinstance(content, dict) or not isinstance(content.get("nodes"), list | int):
        raise DataError(f"{path} holds no network: it needs 'nodes' and 'edges'")
    if not isinstance(content.get("edges"), list):
        raise DataError(f"{path} holds no network: 'edges' must be a list of pairs of nodes")
    return content


def _network(content: dict[str, Any], name: str) -> tuple[ResistorNetwork, np.ndarray | None]:
    numbers, positions = _nodes(content["nodes"])
    edges = [_edge(row, entry, numbers) for row, entry in enumerate(content["edges"])]
    ground = content.get("ground_node")
    if ground is not None and not _known(ground, numbers):
        raise ValueError(f"the ground {ground!r} is none of the nodes")
    box = content.get("box_L") if content.get("periodic", False) else None
    if content.get("periodic", False) and not isinstance(box, int | float):
        raise ValueError(f"a periodic network needs the side of its box, 'box_L', a number, got {box!r}")
    network = ResistorNetwork(
        nodes=len(numbers),
        edges=np.array(edges, np.int64).reshape(-1, 2),
        ground=None if ground is None else numbers[ground],
        positions=positions,
        box=box,
        source=str(content.get("source", name)),
    )
    if content.get("conductances") is None:
        return network, None
    return network, check_conductances(network, _floats(content["conductances"], "conductances"))


def _known(node: Any, numbers: dict[Any, int]) -> bool:
    return isinstance(node, int | str) and not isinstance(node, bool) and node in numbers


def _nodes(entries: Any) -> tuple[dict[Any, int], np.ndarray | None]:
    """Numbers of the nodes by their ids, and positions where there are any."""
    if isinstance(entries, int):
        return {node: node for node in range(entries)}, None
    numbers: dict[Any, int] = {}
    places: list[tuple[float, ...]] = []
    for row, entry in enumerate(entries):
        node = entry.get("id") if isinstance(entry, dict) else entry
        if not isinstance(node, int | str) or isinstance(node, bool):
            raise ValueError(f"node number {row} of the list has no id that is a whole number or a name")
        if node in numbers:
            raise ValueError(
                f"node {node!r} is there twice, as numbers {numbers[node]} and {row} of the list"
            )
        numbers[node] = row
        if isinstance(entry, dict) and ("x" in entry or "y" in entry):
            try:
                places.append((float(entry["x"]), float(entry["y"])))
            except (KeyError, TypeError, ValueError):
                raise ValueError(f"node {node!r} needs numbers x and y, got {entry}") from None
    if places and len(places) != len(numbers):
        raise ValueError(f"{len(places)} of {len(numbers)} nodes have positions; give all of them or none")
    return numbers, np.array(places) if places else None


def _edge(row: int, entry: Any, numbers: dict[Any, int]) -> tuple[int, int]:
    if not isinstance(entry, list) or len(entry) != 2:
        raise ValueError(f"edge {row} must be a pair of nodes, got {entry!r:.60}")
    for node in entry:
        if not _known(node, numbers):
            raise ValueError(f"edge {row} ({entry[0]}–{entry[1]}) names {node!r}, which is none of the nodes")
    return numbers[entry[0]], numbers[entry[1]]


def _floats(values: Any, name: str) -> np.ndarray:
    try:
        return np.array(values, float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a list of numbers") from None
