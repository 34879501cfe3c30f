"""Bodies at rest and their edges in time: slopes of energies, exact kernels, the whole network integrated."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from chemlearn import Model, Signal, linear_kernel
from chemlearn.bodies import BodySubstrate, SpringNetwork, flow, memristors, springs
from chemlearn.bodies.edges import Edges
from chemlearn.bodies.senses import Product, Shear
from chemlearn.errors import SimulationError
from chemlearn.learning.rules import Contrastive
from chemlearn.resistors import ResistorNetwork, Task, allosteric, disordered_network, solve
from chemlearn.resistors.solve import power, response

NETWORK = disordered_network(24, seed=3)
BODIES = {make.__name__: make(NETWORK) for make in (flow, springs, memristors)}
STEP = 1e-5


def some_weights(seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.6, 1.4, NETWORK.n_edges)


def some_task(name: str) -> Task:
    return allosteric(BODIES[name].network, seed=2)


def slope(function: Callable[[np.ndarray], float], at: np.ndarray) -> np.ndarray:
    """Central differences, of fourth order."""
    found = []
    for unit in STEP * np.eye(len(at)):
        near, far = (
            function(at + unit) - function(at - unit),
            function(at + 2 * unit) - function(at - 2 * unit),
        )
        found.append((8 * near - far) / (12 * STEP))
    return np.array(found)


def assert_slope(found: np.ndarray, wanted: np.ndarray) -> None:
    """To 1e-6 of the largest."""
    assert np.abs(found - wanted).max() < 1e-6 * np.abs(wanted).max()


# ----------------------------------------------------------------------------------------- slopes of energies


@pytest.mark.parametrize("name", BODIES)
def test_signals_are_slopes_of_the_energy(name: str) -> None:
    """Values at rest do not move in first order; another exponent of the weight is caught."""
    body, task, w = BODIES[name], some_task(name), some_weights()
    substrate = BodySubstrate.of(body, task)
    state = substrate.equilibrium({body.parameter: w}, task.inputs)

    def total(exponent: int) -> Callable[[np.ndarray], float]:
        def energy(at: np.ndarray) -> float:
            free = response(body.network, at**exponent, task).free
            return float(power(body.network, at**exponent, free)[0])

        return energy

    found = substrate.signal({body.parameter: w}, state)[body.parameter]
    assert substrate.energy({body.parameter: w}, state)[0] == pytest.approx(total(body.exponent)(w))
    assert_slope(found, -slope(total(body.exponent), w))
    with pytest.raises(AssertionError):
        assert_slope(found, -slope(total(body.exponent + 1), w))


@pytest.mark.parametrize("name", BODIES)
def test_the_energy_nudge_descends_the_error(name: str) -> None:
    body, task, w = BODIES[name], some_task(name), some_weights()
    substrate = BodySubstrate.of(body, task, nudge="energy")
    _state, ramp = substrate.swing({body.parameter: w}, task.inputs, task.outputs, 1e-8, knots=2)
    update = Contrastive(1.0)(ramp, 1e-8)[body.parameter]

    def error(at: np.ndarray) -> float:
        free = response(body.network, at**body.exponent, task).free
        return float(((task.outputs - free[:, task.targets]) ** 2).sum())

    wanted = slope(error, w)
    assert_slope(update, -wanted)


@pytest.mark.parametrize("name", BODIES)
def test_what_edges_compare_is_the_contrast_of_their_signals(name: str) -> None:
    """Of a tube it is −s contrasted over 2r, of the others −s contrasted; whatever the nudge."""
    body, task, w, nudge = BODIES[name], some_task(name), some_weights(), 0.3
    substrate = BodySubstrate.of(body, task)
    free, clamped = (
        substrate.equilibrium({body.parameter: w}, task.inputs, target=task.outputs, nudge=size)
        for size in (0.0, nudge)
    )
    s = [substrate.signal({body.parameter: w}, state)[body.parameter] for state in (free, clamped)]
    drop, shift = body.network.drops(free[0]), body.network.drops(clamped[0] - free[0])
    per_weight = 2 * w if name == "flow" else 1.0
    np.testing.assert_allclose(per_weight * body.sense.moved(w, drop, shift), s[0] - s[1], atol=1e-13)


@pytest.mark.parametrize("sense", [Product(), Shear(1.0, 0.3, 200.0)])
def test_the_input_of_a_model_holds_what_edges_compare(sense: Product | Shear) -> None:
    w, d, shift = some_weights(), np.sin(np.arange(NETWORK.n_edges)), np.full(NETWORK.n_edges, 0.2)
    before, after = sense.stimulus(w, d), sense.stimulus(w, d + shift)
    gated = isinstance(sense, Shear)
    difference = (after - before) / sense.gain if gated else 0.5 * (after**2 - before**2)
    np.testing.assert_allclose(sense.moved(w, d, shift), difference, atol=1e-14)


# -------------------------------------------------------------------------------------------------- springs


def test_forces_balance_at_every_coordinate_that_is_not_held() -> None:
    network, task, k = SpringNetwork(NETWORK), some_task("springs"), some_weights()
    x = response(network, k, task).free[0]
    forces = np.zeros((NETWORK.nodes, 2))
    for (a, b), stiffness, n in zip(network.edges, k, network.directions, strict=True):
        pull = stiffness * (n @ (x[2 * a : 2 * a + 2] - x[2 * b : 2 * b + 2])) * n
        forces[a] += pull
        forces[b] -= pull
    outside = np.concatenate([task.sources, network.held])
    free = np.setdiff1d(np.arange(network.nodes), outside)
    assert np.abs(forces.ravel()[free]).max() < 1e-12
    assert np.abs(forces.ravel()[outside]).max() > 1e-2
    np.testing.assert_array_equal(x[task.sources], task.inputs[0])
    np.testing.assert_array_equal(x[network.held], 0.0)


def test_bonds_know_shifts_turns_and_stretches() -> None:
    plane = disordered_network(24, periodic=False, seed=3)
    network = SpringNetwork(plane)
    places = plane.positions
    assert places is not None
    shift, turn = np.tile([0.3, -0.2], plane.nodes), (places[:, ::-1] * [-1.0, 1.0]).ravel()
    assert np.abs(network.drops(np.stack([shift, turn]))).max() < 1e-13
    lengths = np.linalg.norm(places[plane.edges[:, 0]] - places[plane.edges[:, 1]], axis=1)
    np.testing.assert_allclose(network.drops(0.01 * places.ravel()), 0.01 * lengths, rtol=1e-12)
    np.testing.assert_allclose(network.incidence() @ shift, 0, atol=1e-13)


def test_bonds_of_a_periodic_network_go_to_the_nearest_image() -> None:
    places = np.array([[0.2, 1.0], [3.8, 1.0], [2.0, 3.7], [2.0, 1.5]])
    plane = ResistorNetwork(4, np.array([[0, 1], [0, 3], [2, 3], [1, 3]]), 3, places, 4.0)
    network = SpringNetwork(plane)
    np.testing.assert_allclose(network.directions[0], [1.0, 0.0])
    assert network.drops(np.array([0.1, 0, 0, 0, 0, 0, 0, 0]))[0] == pytest.approx(0.1)
    np.testing.assert_allclose(network.directions[2], [0.0, -1.0])


def test_sparse_and_dense_springs_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    network, task, k = SpringNetwork(NETWORK), some_task("springs"), some_weights()
    dense = response(network, k, task)
    monkeypatch.setattr(solve, "DENSE", 0)
    sparse = response(network, k, task)
    for name in ("free", "lift", "stiffness"):
        np.testing.assert_allclose(getattr(sparse, name), getattr(dense, name), atol=1e-11)


# -------------------------------------------------------------------------------- edges against exact kernels


def swings(count: int) -> tuple[Signal, np.ndarray]:
    """A sawtooth that grows, as one signal, and the instants at which it bends."""
    times = np.cumsum([0.0, *[2.0, 9.0] * count])
    return Signal(
        times, np.array([1.0, *np.ravel([[1.5 + 0.2 * k, 1.0 - 0.1 * k] for k in range(count)])])
    ), times


@pytest.mark.parametrize("name", ["maxwell", "capacitor_memristor"])
def test_edges_answer_as_their_kernel_says(name: str) -> None:
    """States go on from piece to piece; edges of three amplitudes at once."""
    model = Model.load(name).with_values(k_w=0)
    signal, bends = swings(3)
    sizes = np.array([1.0, -0.7, 0.0])
    edges = Edges(model, 3)
    edges.follow(np.array([0.0, 40.0]), lambda _t: sizes)
    for begin, end in pairwise(bends):
        times = np.linspace(begin, end, 9)
        s, u = edges.follow(times, lambda t: sizes * signal(t))
        np.testing.assert_allclose(s, signal(times)[:, None] * sizes, rtol=1e-13)
        exact = linear_kernel(model).respond(signal, times)
        np.testing.assert_allclose(u, exact[:, None] * sizes, atol=1e-6)
    assert np.abs(exact).max() > 0.01


def test_messengers_answer_as_one_edge_alone_does() -> None:
    """c and r written out by hand, by another method, on a swing from another level for each edge."""
    levels, lifts = np.array([1.0, 1.8, 3.5]), np.array([0.2, -0.5, 0.05])
    legs = [(np.linspace(0, 6, 13), lambda t: t / 6), (np.linspace(6, 60, 13), lambda t: (60 - t) / 54)]
    for number, (level, lift) in enumerate(zip(levels, lifts, strict=True)):

        def rate(t: float, y: np.ndarray, size: float, phase: Any, level: float = level) -> list[float]:
            c, r = y
            made = 1200 * (level + size * phase(t))
            return [made - 0.5 * c - 0.0125 * c * r, 2 * c - 400 * r / (0.05 + r)]

        how: dict[str, Any] = {"method": "Radau", "rtol": 1e-10, "atol": 1e-9}
        y = solve_ivp(rate, (0, 300), [200.0, 440.0], args=(0.0, legs[0][1]), **how).y[:, -1]
        alone = []
        for times, phase in legs:
            run = solve_ivp(rate, (times[0], times[-1]), y, t_eval=times, args=(lift, phase), **how)
            alone.append(run.y[0])
            y = run.y[:, -1]
        together = Edges(Model.load("mechanochemical"), 3)
        together.follow(np.array([0.0, 300.0]), lambda _t: levels)
        for (times, phase), exact in zip(legs, alone, strict=True):
            _s, u = together.follow(times, lambda t, phase=phase: levels + phase(t) * lifts)
            np.testing.assert_allclose(u[:, number], exact, atol=1e-4)
            assert np.abs(exact - exact[0]).max() > 0.1


def test_edges_without_memory_pass_on_what_they_see() -> None:
    for body in (BODIES["springs"], BODIES["memristors"]):
        edges = Edges(body.without_memory().model, 2)
        s, u = edges.follow(np.linspace(0, 1000, 5), lambda t: np.array([1 + t, -2.0]))
        np.testing.assert_allclose(u, s, rtol=1e-6)


def test_rates_that_cannot_be_followed_are_an_error() -> None:
    with pytest.raises(SimulationError, match="'maxwell' of the edges could not be integrated from t=0 to 1"):
        Edges(Model.load("maxwell"), 2).follow(np.array([0.0, 1.0]), lambda _t: np.full(2, np.nan))


# ----------------------------------------------------------------------- nothing is left out: the Zener facts


def coupled(
    network: Any, weights: np.ndarray, ratio: float, tau: Any, held: np.ndarray, start: np.ndarray
) -> Callable[[Callable[[float], np.ndarray], np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The whole network with a branch beside every edge: drops and what branches hold, at given times.

    A branch is ``ratio`` times as stiff (as conducting) as its edge and holds q, q̇ = (d − q)/τ: the strain
    of a dashpot, or the voltage of a capacitor. At all times forces (currents) w (d + ratio (d − q)) balance.
    """
    delta = network.incidence().toarray()
    free = np.setdiff1d(np.arange(network.nodes), held)
    inner, outer = delta[:, free], delta[:, held]
    matrix = (1 + ratio) * inner.T @ (weights[:, None] * inner)

    def drops(values: np.ndarray, q: np.ndarray) -> np.ndarray:
        load = inner.T @ (weights * (ratio * q - (1 + ratio) * (outer @ values)))
        return inner @ np.linalg.solve(matrix, load) + outer @ values

    def run(values: Callable[[float], np.ndarray], times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = solve_ivp(
            lambda t, q: (drops(values(t), q) - q) / tau,
            (times[0], times[-1]),
            start,
            t_eval=times,
            rtol=1e-10,
            atol=1e-12,
        )
        return np.array([drops(values(t), q) for t, q in zip(times, found.y.T, strict=True)]), found.y.T

    return run


SMALL = disordered_network(16, seed=2)
ZENER = {"springs": SpringNetwork(SMALL), "memristors": SMALL}


def small_case(name: str) -> tuple[Any, np.ndarray, np.ndarray, Callable, Callable]:
    """A network, its weights, places that are held, their values, and the drops of the edges alone."""
    network = ZENER[name]
    weights = np.random.default_rng(1).uniform(0.3, 2.0, network.n_edges)
    moving = [0, 3, 7]
    held = np.concatenate([moving, network.held])
    signal, _bends = swings(2)

    def values(t: float) -> np.ndarray:
        sizes = np.concatenate([[1.0, -0.4], np.zeros(len(network.held))])
        return np.concatenate([[signal(t)], sizes[:2] * np.sin(t / 3 + 1), np.zeros(len(network.held))])

    def alone(k: np.ndarray, at: np.ndarray) -> np.ndarray:
        task = Task(moving, [values(t)[:3] for t in at], [1], np.zeros((len(at), 1)))
        return network.drops(response(network, k, task).free)

    return network, weights, held, values, alone


@pytest.mark.parametrize("ratio", [0.1, 10.0])
@pytest.mark.parametrize("name", ZENER)
def test_branches_that_go_with_the_weights_leave_the_drops_as_they_are(name: str, ratio: float) -> None:
    network, weights, held, values, alone = small_case(name)
    times = np.linspace(0, 20, 41)
    exact = alone(weights, times)
    together = coupled(network, weights, ratio, 1.0, held, exact[0])(values, times)[0]
    np.testing.assert_allclose(together, exact, atol=1e-7)
    unequal = np.linspace(0.3, 3.0, network.n_edges)
    other = coupled(network, weights, ratio, unequal, held, exact[0])(values, times)[0]
    assert np.abs(other - exact).max() > 1e-2 * min(ratio, 1)


@pytest.mark.parametrize("name", ZENER)
def test_after_a_change_of_weights_branches_forget_in_their_time_and_as_long_as_they_are_strong(
    name: str,
) -> None:
    """Held still, the drops come back to those of the edges alone as exp(−t/((1 + ratio) τ))."""
    network, weights, held, values, alone = small_case(name)
    ratio, tau, times = 0.5, 1.0, np.array([0.0, 1.0, 4.0])
    before, after = alone(weights, times[:1])[0], weights * np.linspace(0.5, 1.5, len(weights))
    run = coupled(network, after, ratio, tau, held, before)
    off = run(lambda _t: values(0.0), times)[0] - alone(after, times[:1])[0]
    assert np.abs(off[0]).max() > 0.01
    np.testing.assert_allclose(off, off[0] * np.exp(-times / ((1 + ratio) * tau))[:, None], atol=1e-8)


# ---------------------------------------------------------------------------------------------- bad networks


def test_networks_that_springs_cannot_be_are_refused() -> None:
    edges = np.array([[0, 1], [1, 2], [2, 0], [2, 3]])
    places = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
    with pytest.raises(ValueError, match="nodes need positions"):
        springs(ResistorNetwork(4, edges, 0))
    with pytest.raises(ValueError, match="needs a ground"):
        springs(ResistorNetwork(4, edges, None, places))
    with pytest.raises(ValueError, match="nodes 2 and 3 of edge 3 lie at the same point"):
        springs(ResistorNetwork(4, edges, 0, places[[0, 1, 2, 2]]))
    loose = springs(ResistorNetwork(4, edges, 0, places))
    with pytest.raises(ValueError, match="floppy: node 3 can move"):
        BodySubstrate.of(loose, Task([3], [1.0], [4], [0.1]))
    with pytest.raises(ValueError, match="source 1 is held at 0; take another of the coordinates"):
        BodySubstrate.of(loose, Task([1], [1.0], [4], [0.1]))
    with pytest.raises(ValueError, match="target 8 is none of the coordinates 0 to 7"):
        BodySubstrate.of(loose, Task([3], [1.0], [8], [0.1]))
