"""Networks of resistors at rest: closed forms, laws, generated networks, files and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from chemlearn.errors import DataError
from chemlearn.resistors.files import load_network, published_network, save_network
from chemlearn.resistors.generate import disordered_network
from chemlearn.resistors.network import ResistorNetwork, check_conductances
from chemlearn.resistors.rest import equilibrium_error
from chemlearn.resistors.solve import DENSE, equilibrium_voltages, laplacian, power, response
from chemlearn.resistors.tasks import Task, allosteric, check_tasks, regression

CHAIN = ResistorNetwork(4, np.array([[0, 1], [1, 2], [2, 3]]), ground=3)


def random_conductances(network: ResistorNetwork, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.2, 3.0, network.n_edges)


# ------------------------------------------------------------------------------------------- closed forms


def test_a_chain_divides_the_voltage_by_its_resistances() -> None:
    g = np.array([0.5, 2.0, 1.25])
    found = equilibrium_voltages(CHAIN, g, Task([0], [6.0], [1], [0.0]))[0]
    drops = 6.0 * (1 / g) / (1 / g).sum()
    assert found == pytest.approx([6, 6 - drops[0], drops[2], 0], rel=1e-14)


def test_parallel_edges_add_their_conductances() -> None:
    network = ResistorNetwork(3, np.array([[0, 1], [0, 1], [1, 2]]), ground=2)
    found = equilibrium_voltages(network, np.array([1.0, 3.0, 2.0]), Task([0], [3.0], [1], [0.0]))[0]
    assert found[1] == pytest.approx(3.0 * 4 / (4 + 2), rel=1e-14)


def test_series_and_parallel_make_the_conductance_that_the_power_tells() -> None:
    # Two ways from 0 to 3, of 1 and 2 in series and of 4 and 4 in series: 2/3 + 2.
    network = ResistorNetwork(4, np.array([[0, 1], [1, 3], [0, 2], [2, 3]]), ground=3)
    g = np.array([1.0, 2.0, 4.0, 4.0])
    voltages = equilibrium_voltages(network, g, Task([0], [5.0], [1], [0.0]))
    assert power(network, g, voltages)[0] == pytest.approx(0.5 * (2 / 3 + 2) * 5.0**2, rel=1e-14)


def test_a_balanced_bridge_carries_no_current_whatever_joins_it() -> None:
    network = ResistorNetwork(4, np.array([[0, 1], [0, 2], [1, 3], [2, 3], [1, 2]]), ground=3)
    for bridge in (1e-6, 1.0, 1e6):
        g = np.array([1.0, 2.0, 3.0, 6.0, bridge])
        voltages = equilibrium_voltages(network, g, Task([0], [1.0], [1], [0.0]))[0]
        assert voltages[1] == pytest.approx(voltages[2], abs=1e-14)


def test_a_symmetric_ring_answers_symmetrically() -> None:
    edges = np.array([[k, (k + 1) % 8] for k in range(8)])
    network = ResistorNetwork(8, edges, ground=4)
    voltages = equilibrium_voltages(network, np.ones(8), Task([0], [1.0], [2], [0.0]))[0]
    assert voltages == pytest.approx([1, 0.75, 0.5, 0.25, 0, 0.25, 0.5, 0.75], abs=1e-14)


@pytest.mark.parametrize("nodes", [64, DENSE + 100])
def test_kirchhoff_superposition_and_the_maximum_principle(nodes: int) -> None:
    """Dense and sparse: no current is lost at a free node, and all voltages lie between those held."""
    network = disordered_network(nodes, seed=3)
    g = random_conductances(network, 4)
    task = Task([1, 5, 9], [[1.0, -0.5, 2.0], [0.3, 0.2, -1.0]], [20, 30], np.zeros((2, 2)))
    voltages = equilibrium_voltages(network, g, task)
    currents = (laplacian(network, g) @ voltages.T).T
    free = np.delete(np.arange(nodes), [1, 5, 9, nodes - 1])
    assert np.abs(currents[:, free]).max() < 1e-12
    assert (voltages.max(axis=1) == [2.0, 0.3]).all()
    assert (voltages.min(axis=1) == [-0.5, -1.0]).all()
    both = equilibrium_voltages(network, g, Task([1, 5, 9], task.inputs.sum(axis=0), [20], [0.0]))
    assert both[0] == pytest.approx(voltages.sum(axis=0), abs=1e-12)


def test_reciprocity() -> None:
    """A current into i raises j by what the same current into j raises i: the stiffness is symmetric."""
    network = disordered_network(80, seed=8)
    g = random_conductances(network, 1)
    there = response(network, g, Task([0], [0.0], [11, 42], [0, 0])).stiffness
    grounded = laplacian(network, g).toarray()
    held = np.delete(np.arange(80), [0, 79])
    inverse = np.linalg.inv(grounded[np.ix_(held, held)])
    places = [np.flatnonzero(held == node)[0] for node in (11, 42)]
    assert np.linalg.inv(there) == pytest.approx(inverse[np.ix_(places, places)], rel=1e-10)


@pytest.mark.parametrize("nodes", [64, DENSE + 100])
def test_the_clamped_state_is_that_of_a_network_whose_targets_are_held(nodes: int) -> None:
    network = disordered_network(nodes, seed=5)
    g, eta = random_conductances(network, 2), 0.3
    task = allosteric(network, seed=1)
    found = response(network, g, task)
    nudged = found.free[0, task.targets] + eta * (task.outputs[0] - found.free[0, task.targets])
    other = np.delete(np.arange(nodes), np.concatenate([task.sources, task.targets, [nodes - 1]]))[:1]
    held = Task(
        np.concatenate([task.sources, task.targets]), np.concatenate([task.inputs[0], nudged]), other, [0.0]
    )
    clamped = equilibrium_voltages(network, g, held)[0]
    assert found.free[0] + eta * found.clamped(task)[0] == pytest.approx(clamped, abs=1e-12)


def test_the_error_at_rest_is_that_of_the_voltages() -> None:
    network = disordered_network(64, seed=2)
    tasks = [allosteric(network, seed=1), regression(network, seed=2, examples=3)[0]]
    g = np.array([random_conductances(network, k) for k in range(4)])
    examples = np.zeros(4)
    for row in range(4):
        for task in tasks:
            voltages = equilibrium_voltages(network, g[row], task)[:, task.targets]
            examples[row] += ((voltages - task.outputs) ** 2).sum()
    assert equilibrium_error(network, tasks, g) == pytest.approx(examples / 4, rel=1e-11)
    assert equilibrium_error(network, tasks, g[1]) == pytest.approx(examples[1] / 4, rel=1e-11)


# --------------------------------------------------------------------------------------------- generated


@pytest.mark.parametrize("periodic", [True, False])
def test_rounds_of_spreading_fill_the_square(periodic: bool) -> None:
    """How far some place of the square is from every node, at worst, mean over networks: it gets less."""
    places = (np.stack(np.meshgrid(np.arange(40), np.arange(40)), axis=-1).reshape(-1, 2) + 0.5) / 5
    worst = np.empty((2, 12))
    for seed in range(12):
        for row, rounds in enumerate((0, 5)):
            points = disordered_network(64, periodic=periodic, rounds=rounds, seed=seed).positions
            assert points is not None
            apart = np.abs(places[:, None] - points)
            apart = np.minimum(apart, 8 - apart) if periodic else apart
            worst[row, seed] = np.linalg.norm(apart, axis=2).min(axis=1).max()
    less = worst[0] - worst[1]
    assert less.mean() > 4 * less.std(ddof=1) / np.sqrt(12)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("nodes", [40, 64, 500])
def test_disordered_networks_are_connected_and_as_coordinated_as_asked(nodes: int, periodic: bool) -> None:
    network = disordered_network(nodes, periodic=periodic, seed=7)
    assert network.n_edges == round(nodes * 143 / 64)
    assert network.ground == nodes - 1
    degrees = np.bincount(network.edges.ravel(), minlength=nodes)
    assert degrees.min() >= 3
    assert connected_components(network.adjacency(), directed=False)[0] == 1
    assert len(np.unique(np.sort(network.edges, axis=1), axis=0)) == network.n_edges


def test_planar_edges_do_not_cross() -> None:
    network = disordered_network(60, periodic=False, seed=1)
    assert network.positions is not None
    ends = network.positions[network.edges]

    def side(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        return np.sign((q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1])
                       - (q[..., 1] - p[..., 1]) * (r[..., 0] - p[..., 0]))  # fmt: skip

    a, b = ends[:, None, 0], ends[:, None, 1]
    c, d = ends[None, :, 0], ends[None, :, 1]
    crossing = (side(a, b, c) * side(a, b, d) < 0) & (side(c, d, a) * side(c, d, b) < 0)
    assert not crossing.any()


def test_one_seed_is_one_network_and_no_seed_is_recorded() -> None:
    first, again, other = (disordered_network(64, seed=s) for s in (4, 4, 5))
    assert (first.edges == again.edges).all()
    assert first.edges.shape != other.edges.shape or (first.edges != other.edges).any()
    drawn = disordered_network(64)
    seed = int(drawn.source.rsplit(" ", 1)[1])
    assert (disordered_network(64, seed=seed).edges == drawn.edges).all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"nodes": 15}, "at least 16"),
        ({"nodes": 64, "coordination": 6.0}, "below 6"),
        ({"nodes": 64, "rounds": -1}, "rounds"),
        ({"nodes": 16, "coordination": 5.9, "periodic": False, "seed": 1}, "fewer than the 47"),
    ],
)
def test_networks_that_cannot_be_made(wrong: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        disordered_network(**wrong)


# ------------------------------------------------------------------------------------------------- files


def test_the_published_network(shared: Path) -> None:
    network = published_network()
    assert (network.nodes, network.n_edges, network.ground) == (64, 143, 63)
    reference, conductance = load_network(shared / "reference" / "resistor_network64.json")
    assert conductance is None
    assert (network.edges == reference.edges).all()
    assert network.positions is not None
    assert (network.positions == reference.positions).all()
    assert "zenodo" in network.source


def test_a_saved_network_comes_back(tmp_path: Path) -> None:
    network = disordered_network(40, seed=1)
    g = random_conductances(network, 3)
    save_network(tmp_path / "net.json", network, g)
    back, conductance = load_network(tmp_path / "net.json")
    assert conductance is not None
    assert (conductance == g).all()
    assert (back.edges == network.edges).all()
    assert (back.positions == network.positions).all()
    assert (back.ground, back.box, back.source) == (network.ground, network.box, network.source)


def test_names_of_nodes_may_be_words(tmp_path: Path) -> None:
    content = {"nodes": [{"id": "in"}, {"id": "out"}], "edges": [["in", "out"]], "ground_node": "out"}
    (tmp_path / "net.json").write_text(json.dumps(content))
    network, _ = load_network(tmp_path / "net.json")
    assert network.ground == 1
    assert network.edges.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"nodes": [{"id": 0},\n{"id": 1}\n{"id": 2}], "edges": []}', "line 3"),
        ('{"nodes": [{"id": 4}, {"id": 4}], "edges": [[4, 4]]}', "node 4 is there twice"),
        ('{"nodes": [{"id": 0}, {"id": 1}], "edges": [[0, 1], [0, 7]]}', "edge 1 .* names 7"),
        ('{"nodes": [{"id": 0}, {"id": 1}], "edges": [[0, 1, 1]]}', "edge 0 must be a pair"),
        ('{"nodes": [{"id": 0}, {"id": 1}], "edges": [[0, 0]]}', "edge 0 joins node 0 with itself"),
        ('{"nodes": [{"id": 0}, {"id": 1}, {"id": 2}], "edges": [[0, 1]]}', "not connected.* 0 and 2"),
        ('{"nodes": [{"id": 0, "x": 1}, {"id": 1}], "edges": [[0, 1]]}', "node 0 needs numbers x and y"),
        ('{"nodes": [{"x": 1, "y": 1}], "edges": []}', "has no id"),
        ('{"nodes": 2, "edges": [[0, 1]], "conductances": [-1]}', "got -1 on edge 0"),
        ('{"nodes": 2, "edges": [[0, 1]], "ground_node": 2}', "ground 2"),
        ('{"nodes": 2, "edges": [[0, 1]], "periodic": true}', "box_L"),
        ('{"edges": [[0, 1]]}', "needs 'nodes'"),
        ("[]", "holds no network"),
        ('{"nodes": 2, "edges": 3}', "'edges' must be a list"),
    ],
)
def test_malformed_files_are_refused_with_the_place(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        load_network(tmp_path / "bad.json")
    assert "bad.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_network(tmp_path / "none.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not a text file"):
        load_network(tmp_path / "bytes.json")
    with pytest.raises(DataError, match="cannot be written"):
        save_network(tmp_path / "no folder" / "net.json", CHAIN)


# ---------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((4, [[0, 1], [2, 3]]), "not connected: it has 2 parts, and no path joins nodes 0 and 2"),
        ((3, [[0, 1], [1, 3]]), r"edge 1 \(1–3\) names a node"),
        ((3, [[0, 1], [1, 1], [1, 2]]), "edge 1 joins node 1 with itself"),
        ((1, [[0, 0]]), "at least 2"),
        ((2, [[0, 1.5]]), "whole numbers"),
        ((2, []), "at least one"),
        ((2, [[0, 1]], 2), "the ground is one of"),
        ((2, [[0, 1]], None, [[0, 0]]), "positions"),
        ((2, [[0, 1]], None, None, -1.0), "box must be positive"),
    ],
)
def test_networks_that_make_no_sense(arguments: tuple, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ResistorNetwork(*arguments)


def test_conductances_must_be_positive() -> None:
    with pytest.raises(ValueError, match=r"got -2 on edge 1 \(1–2\)"):
        check_conductances(CHAIN, [1.0, -2.0, 1.0])
    with pytest.raises(ValueError, match="one number or 3"):
        check_conductances(CHAIN, [1.0, 2.0])


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (lambda: Task([0, 0], [1, 1], [1], [0]), "node 0 is named twice, as source and as source"),
        (lambda: Task([0], [1], [0], [0]), "node 0 is named twice, as source and as target"),
        (lambda: Task([0], [1, 2], [1], [0]), "inputs are 1 finite voltages"),
        (lambda: Task([0], [np.nan], [1], [0]), "finite"),
        (lambda: Task([0], [[1], [2]], [1], [[0]]), "2 examples of inputs and 1 of outputs"),
        (lambda: Task([0], [1], [3], [0]), "target 3 is the ground"),
        (lambda: Task([9], [1], [1], [0]), "source 9 is none of the nodes 0 to 3"),
        (lambda: Task([0], [1], [1, 2, 4, 5], [0, 0, 0, 0]), "1 sources and 4 targets are more than the 4"),
        (lambda: allosteric(CHAIN, sources=2, targets=2), "no more than 3 in all"),
        (lambda: regression(ResistorNetwork(2, [[0, 1]])), "needs a network with a ground"),
        (lambda: regression(CHAIN, examples=0), "at least one example"),
    ],
)
def test_tasks_that_make_no_sense(task, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_tasks(CHAIN, [task()])


def test_a_target_behind_the_ground_is_reached_by_no_source() -> None:
    network = ResistorNetwork(4, np.array([[0, 1], [1, 2], [2, 3]]), ground=2)
    with pytest.raises(ValueError, match="no source reaches target 3: every path passes through the ground"):
        check_tasks(network, [Task([0], [1.0], [3], [0.1])])
    check_tasks(network, [Task([0], [1.0], [1], [0.1])])


def test_tasks_follow_from_their_seed_and_say_it() -> None:
    network = published_network()
    one, same, other = (allosteric(network, seed=s) for s in (3, 3, 4))
    assert (one.inputs == same.inputs).all()
    assert (one.targets == same.targets).all()
    assert (one.inputs != other.inputs).any()
    assert network.ground not in [*one.sources, *one.targets]
    assert one.about.endswith("seed 3")
    task, coefficients = regression(network, seed=3)
    assert task.outputs == pytest.approx(task.inputs @ coefficients.T)
    assert (coefficients >= 0).all()
    assert (coefficients.sum(axis=1) < 1).all()
