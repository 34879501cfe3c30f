"""Coupled learning of resistors, at rest and out of equilibrium, against other integrations and laws."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.integrate import solve_ivp

from chemlearn.resistors import loops
from chemlearn.resistors.coupled import coupled_learning
from chemlearn.resistors.critical import (
    critical_rate,
    discriminant_rate,
    fast_frequencies,
    loop_matrix,
    measured_frequency,
)
from chemlearn.resistors.files import published_network
from chemlearn.resistors.generate import disordered_network
from chemlearn.resistors.network import ResistorNetwork
from chemlearn.resistors.rest import equilibrium_error
from chemlearn.resistors.solve import equilibrium_voltages, laplacian, response
from chemlearn.resistors.tasks import Task, allosteric, regression

NETWORK = disordered_network(20, seed=6)
TASK = allosteric(NETWORK, seed=1)
ETA = 1e-3


def time_of(data: xr.Dataset) -> float:
    return float(data.training_time)


# ---------------------------------------------------------- an independent integration of S3 as it is printed


def literal_rates(
    network: ResistorNetwork, task: Task, v: np.ndarray, c: np.ndarray, g: np.ndarray, alpha: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """S3 with γ = 1 in the two copies' own voltages, by matrices, no bound."""
    c = c.copy()
    c[task.targets] = v[task.targets] + ETA * (task.outputs[0] - v[task.targets])
    matrix = laplacian(network, g).toarray()
    free, clamped = -matrix @ v, -matrix @ c
    held = [*task.sources, network.ground]
    free[held] = clamped[held] = clamped[task.targets] = 0
    return free, clamped, alpha / ETA * (network.drops(v) ** 2 - network.drops(c) ** 2)


def begin(network: ResistorNetwork, task: Task) -> tuple[np.ndarray, np.ndarray]:
    found = response(network, np.ones(network.n_edges), task)
    return found.free[0], found.free[0] + ETA * found.clamped(task)[0]


@pytest.mark.parametrize("stepper", ["explicit", "stabilised"])
@pytest.mark.parametrize(("alpha", "last"), [(0.03, 3.0), (3.0, 0.3)])
def test_the_course_is_that_of_the_printed_equations(alpha: float, last: float, stepper) -> None:
    n = NETWORK.nodes

    def printed(_t: float, y: np.ndarray) -> np.ndarray:
        return np.concatenate(literal_rates(NETWORK, TASK, y[:n], y[n : 2 * n], y[2 * n :], alpha))

    start = np.concatenate([*begin(NETWORK, TASK), np.ones(NETWORK.n_edges)])
    end = solve_ivp(printed, (0, last), start, rtol=1e-10, atol=1e-12).y[:, -1]
    data = coupled_learning(
        NETWORK, TASK, alpha=alpha, longest=last, stop=False, stepper=stepper, tolerance=1e-9
    )
    assert end[2 * n :].min() > 0.1  # the bound, which the printed equations lack, plays no part
    # The literal contrast is a difference of squares divided by η, which is what limits the agreement.
    assert data.conductance.values[-1] == pytest.approx(end[2 * n :], abs=2e-7)
    assert data.voltage.values[-1] == pytest.approx(end[TASK.targets], abs=2e-7)


@pytest.mark.parametrize("alpha", [0.5, 20.0])
def test_with_projection_too(alpha: float) -> None:
    """Against fixed small steps that put every conductance back on its bound."""
    task = allosteric(NETWORK, seed=3)
    (v, c), g = begin(NETWORK, task), np.ones(NETWORK.n_edges)
    last = 0.95 * time_of(coupled_learning(NETWORK, task, alpha=alpha))
    data = coupled_learning(NETWORK, task, alpha=alpha, longest=last, stop=False, tolerance=1e-9)
    step = last / 2000
    for _ in range(2000):
        first = literal_rates(NETWORK, task, v, c, g, alpha)
        middle = [x + step / 2 * rate for x, rate in zip((v, c, g), first, strict=True)]
        rates = literal_rates(NETWORK, task, *middle[:2], np.maximum(middle[2], 1e-6), alpha)
        v, c, g = v + step * rates[0], c + step * rates[1], np.maximum(g + step * rates[2], 1e-6)
    assert (g == 1e-6).any()  # the bound plays a part
    assert data.conductance.values[-1] == pytest.approx(g, rel=1e-4, abs=1e-4)
    assert data.voltage.values[-1] == pytest.approx(v[task.targets], abs=1e-4)


# ------------------------------------------------------------------------------------------ known numbers


def test_training_times_at_rest_are_those_of_an_independent_program() -> None:
    """α T of three tasks, computed elsewhere to four digits with the same tasks and the same bound."""
    network = published_network()
    for seed, published in ((0, 268.5), (1, 306.7), (2, 21.99)):
        data = coupled_learning(network, allosteric(network, seed=seed), gamma=math.inf)
        assert time_of(data) == pytest.approx(published, rel=2e-4)


def test_slow_learning_becomes_that_at_rest() -> None:
    """T α → its limit, with a difference in proportion to α/γ."""
    network = published_network()
    task = allosteric(network, seed=2)
    limit = time_of(coupled_learning(network, task, gamma=math.inf, tolerance=1e-8))
    off = [
        ratio * time_of(coupled_learning(network, task, alpha=ratio, tolerance=1e-7)) / limit - 1
        for ratio in (1e-3, 1e-2)
    ]
    assert abs(off[0]) < 1e-3
    assert off[1] / off[0] == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("ratio", [1e-2, 3.0, 1e5])
def test_training_times_collapse_on_one_number(ratio: float) -> None:
    """T √(αγ) depends on α V²/(γ g₀²) and g_min/g₀ alone."""
    reference = coupled_learning(NETWORK, TASK, alpha=ratio, gamma=1.0)
    for gamma, level in ((7.0, 1.0), (0.2, 30.0)):
        alpha = ratio * gamma * level**2
        other = coupled_learning(
            NETWORK, TASK, alpha=alpha, gamma=gamma, conductance=level, least=1e-6 * level
        )
        collapsed = time_of(other) * math.sqrt(alpha * gamma)
        assert collapsed == pytest.approx(time_of(reference) * math.sqrt(ratio), rel=1e-4)
    # A level alone is no scaling: this would be caught.
    plain = coupled_learning(NETWORK, TASK, alpha=ratio, gamma=1.0, conductance=3.0)
    assert abs(time_of(plain) / time_of(reference) - 1) > 1e-3


def test_the_slow_exponent() -> None:
    network = published_network()
    ratios = np.array([1e-3, 1e-2, 1e-1])
    times = [
        [time_of(coupled_learning(network, allosteric(network, seed=s), alpha=a)) for a in ratios]
        for s in (1, 2, 3)
    ]
    slopes = np.polyfit(np.log(ratios), np.log(times).T, 1)[0]
    assert slopes == pytest.approx(-1, abs=0.03)


@pytest.mark.full
def test_published_training_times(shared: Path) -> None:
    """Mean over 50 tasks for α ≤ 100 γ, in standard errors of both means."""
    published = json.loads((shared / "reference" / "resistor_published.json").read_text())["training_time"]
    network = published_network()
    tasks = [allosteric(network, seed=seed) for seed in range(50)]
    for row in published:
        if row["alpha"] > 101:
            continue
        times = np.array(
            [time_of(coupled_learning(network, t, alpha=row["alpha"], error="equilibrium")) for t in tasks]
        )
        times = times[np.isfinite(times)]
        spread = math.hypot(row["sd_or_se"], times.std() / math.sqrt(len(times)))
        assert abs(times.mean() - row["T"]) < 2 * spread, row


# -------------------------------------------------------------------------------------------- no lost digits


def test_the_contrast_keeps_its_digits_where_the_difference_of_squares_loses_them() -> None:
    v, u, eta = np.array([1.3, 0.4]), np.array([0.0, 0.011]), 1e-9
    wiring = loops.Wiring(
        2, 1, np.array([0], np.uint64), np.array([1], np.uint64), np.zeros(2), np.zeros(2),
        np.zeros(0, np.int64), np.zeros(0)
    )  # fmt: skip
    law = loops.Law(1.0, 1.0, eta, 1e-6, False)
    y, dy = np.concatenate([v, u, [1.0]]), np.empty(5)
    loops.rates(wiring, law, y, dy)
    drop, gap = v[0] - v[1], u[0] - u[1]
    exact = -(2 * drop * gap + eta * gap**2)
    squares = (drop**2 - (drop + eta * gap) ** 2) / eta
    assert dy[4] == pytest.approx(exact, rel=1e-15)
    assert abs(squares / exact - 1) > 1e-7


def test_every_nudge_down_to_none() -> None:
    none, tiny, small = (
        time_of(coupled_learning(NETWORK, TASK, alpha=1.0, nudge=nudge)) for nudge in (0.0, 1e-12, 1e-3)
    )
    assert tiny == pytest.approx(none, rel=1e-9)
    assert small == pytest.approx(none, rel=1e-2)
    assert small != none


# ---------------------------------------------------------------------------------------------- oscillation


def divider(g: tuple[float, float] = (2.0, 0.5)) -> tuple[ResistorNetwork, Task, float, float]:
    """Source, target, ground: one voltage that relaxes at rate H γ and is taught by W."""
    network = ResistorNetwork(3, np.array([[0, 1], [1, 2]]), ground=2)
    v = 1.5 * g[0] / (g[0] + g[1])
    return network, Task([0], [1.5], [1], [0.0]), g[0] + g[1], (1.5 - v) ** 2 + v**2


def test_critical_rate_of_one_voltage() -> None:
    """s² + γ H s + 2αγ W = 0: complex from α/γ = H²/(8 W) on; here S4 is the full loop."""
    network, task, relax, teach = divider()
    g = np.array([2.0, 0.5])
    assert critical_rate(network, task, g) == pytest.approx(relax**2 / (8 * teach), rel=1e-3)
    assert discriminant_rate(network, task, g) == pytest.approx(relax**2 / (8 * teach), rel=1e-3)
    found = np.sort_complex(np.linalg.eigvals(loop_matrix(network, task, g, alpha=40.0, gamma=2.0)))
    root = math.sqrt(8 * 40.0 * 2.0 * teach - (2.0 * relax) ** 2) / 2
    assert found == pytest.approx(np.array([-relax - 1j * root, -relax + 1j * root]), rel=1e-10)


def test_the_loop_matrix_is_the_derivative_of_the_rates() -> None:
    """Eigenvalues against those of differences of the compiled rates."""
    g = np.random.default_rng(3).uniform(0.5, 2.0, NETWORK.n_edges)
    voltages = equilibrium_voltages(NETWORK, g, TASK)[0]
    solved = Task(TASK.sources, TASK.inputs, TASK.targets, voltages[TASK.targets])
    free = np.ones(NETWORK.nodes)
    free[[*TASK.sources, NETWORK.ground]] = 0
    clamped = free.copy()
    clamped[TASK.targets] = 0
    first, second = np.ascontiguousarray(NETWORK.edges.T.astype(np.uint64))
    wiring = loops.Wiring(
        NETWORK.nodes, 1, first, second, free, clamped, TASK.targets, solved.outputs.ravel()
    )
    law = loops.Law(5.0, 1.0, 0.0, 1e-6, False)
    y = np.concatenate([voltages, np.zeros(NETWORK.nodes), g])

    def rates(at: np.ndarray) -> np.ndarray:
        out = np.empty(len(at))
        loops.rates(wiring, law, at, out)
        return out

    h = 1e-5
    jacobian = np.array([(rates(y + h * e) - rates(y - h * e)) / (2 * h) for e in np.eye(len(y))]).T
    mine = np.linalg.eigvals(loop_matrix(NETWORK, solved, g, alpha=5.0))
    theirs = np.linalg.eigvals(jacobian)
    for value in mine[np.abs(mine) > 1e-3]:
        assert np.abs(theirs - value).min() < 1e-6 * np.abs(mine).max()


@pytest.mark.parametrize("ratio", [1e4, 1e6])
@pytest.mark.parametrize("task_seed", [0, 1, 2])
def test_the_fastest_eigenvalue_is_that_of_the_closed_form(task_seed: int, ratio: float) -> None:
    network = published_network()
    task = allosteric(network, seed=task_seed)
    g = coupled_learning(network, task, alpha=0.1).conductance.values[-1]
    omega = fast_frequencies(network, task, g, alpha=ratio)[-1]
    eigenvalues = np.linalg.eigvals(loop_matrix(network, task, g, alpha=ratio))
    assert np.abs(eigenvalues.imag).max() == pytest.approx(omega, rel=0.01)
    # The same number from the definition: edges at targets with their voltage drops.
    drops = network.drops(equilibrium_voltages(network, g, task)[0])
    ends = np.array([network.drops(np.eye(network.nodes)[node]) for node in task.targets])
    largest = np.linalg.eigvalsh(ends * drops**2 @ ends.T)[-1]
    assert math.sqrt(2 * ratio * largest) == pytest.approx(omega, rel=1e-12)


@pytest.mark.parametrize("ratio", [1e4, 1e6])
@pytest.mark.parametrize("task_seed", [0, 3, 6])
def test_a_fast_run_oscillates_at_the_frequency_of_the_closed_form(task_seed: int, ratio: float) -> None:
    """One target, whose wanted voltage is a little off, so that the loop stays linear."""
    network = published_network()
    task = allosteric(network, targets=1, seed=task_seed)
    g = np.ones(network.n_edges)
    omega = fast_frequencies(network, task, g, alpha=ratio)[-1]
    assert omega > 60  # beside a relaxation at rates of some 4, which would show otherwise
    voltage = equilibrium_voltages(network, g, task)[0, task.targets]
    nearby = Task(task.sources, task.inputs, task.targets, voltage + 1e-5)
    how = {"stop": False, "tolerance": 1e-10, "points": 5000}
    run = coupled_learning(network, nearby, alpha=ratio, longest=20 / omega, **how)
    assert 2 * math.pi * measured_frequency(run) == pytest.approx(omega, rel=0.01)
    slow = coupled_learning(network, nearby, alpha=1e-3, longest=100.0, **how)
    assert math.isnan(measured_frequency(slow))


# ----------------------------------------------------------------------------------------------------- bounds


def test_the_published_bound_lets_no_conductance_fall_faster_than_it_relaxes() -> None:
    """g ≥ g_min + (g₀ − g_min) exp(−γt) at all times; with projection it is not so."""
    how = {"alpha": 1e4, "stop": False, "longest": 1.0}
    for bound, holds in (("published", True), ("projection", False)):
        data = coupled_learning(NETWORK, TASK, bound=bound, **how)
        floor = 1e-6 + (1 - 1e-6) * np.exp(-data.time)
        assert bool((data.conductance >= floor * (1 - 1e-6)).all()) is holds
        assert float(data.conductance.min()) >= 1e-6


def test_at_slow_rates_both_bounds_are_the_same() -> None:
    times = [
        time_of(coupled_learning(NETWORK, TASK, alpha=1e-3, bound=b)) for b in ("projection", "published")
    ]
    assert times[1] == pytest.approx(times[0], rel=1e-2)


# ------------------------------------------------------------------------------------------------ results


@pytest.mark.parametrize("gamma", [1.0, math.inf])
def test_what_is_returned_repeats_the_run(gamma: float, tmp_path: Path) -> None:
    data = coupled_learning(NETWORK, TASK, alpha=0.5, gamma=gamma, points=20)
    assert data.attrs["reached"] == 1
    assert float(data.time[-1]) == time_of(data)
    kind = "error" if gamma == 1.0 else "error_equilibrium"
    assert float(data[kind][-1]) == pytest.approx(1e-3, rel=1e-4)
    assert data.sizes["time"] <= 41
    assert (np.diff(data.time) > 0).all()
    first = float(equilibrium_error(NETWORK, TASK, np.ones(NETWORK.n_edges)))
    assert data.attrs["first_error"] == first
    assert data.error_equilibrium.values[-1] == pytest.approx(
        float(equilibrium_error(NETWORK, TASK, data.conductance.values[-1])) / first
    )
    data.to_netcdf(tmp_path / "run.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "run.nc", engine="h5netcdf") as back:
        told = json.loads(back.attrs["tasks"])[0]
        about = told.pop("about")
        again = coupled_learning(
            NETWORK, Task(**told, about=about), **{name: back.attrs[name] for name in ("alpha", "gamma")},
            points=20,
        )  # fmt: skip
        assert time_of(again) == time_of(back)


def test_both_errors_can_be_the_goal() -> None:
    network = published_network()
    task = allosteric(network, seed=2)
    for alpha in (0.1, 10.0):
        data = coupled_learning(network, task, alpha=alpha, error="equilibrium", tolerance=1e-7)
        whole = coupled_learning(
            network, task, alpha=alpha, stop=False, longest=1.2 * time_of(data), points=4000, tolerance=1e-7
        )
        below = np.flatnonzero(whole.error_equilibrium.values <= 1e-3)[0]
        early, late = whole.time.values[[below - 1, below]]
        assert early <= time_of(data) * (1 + 1e-4)
        assert time_of(data) <= late * (1 + 1e-4)


def test_going_on_after_the_goal_finds_the_same_time() -> None:
    stopped = coupled_learning(NETWORK, TASK, alpha=2.0)
    time = time_of(stopped)
    for error in ("instantaneous", "equilibrium"):
        on = coupled_learning(NETWORK, TASK, alpha=2.0, error=error, stop=False, longest=3 * time)
        assert on.attrs["reached"] == 1
        assert float(on.time[-1]) == pytest.approx(3 * time)
        same = coupled_learning(NETWORK, TASK, alpha=2.0, error=error)
        assert time_of(on) == pytest.approx(time_of(same), rel=1e-4)
    on = coupled_learning(NETWORK, TASK, gamma=math.inf, stop=False, longest=3 * time)
    assert time_of(on) == pytest.approx(time_of(coupled_learning(NETWORK, TASK, gamma=math.inf)), rel=1e-2)


@pytest.mark.parametrize("gamma", [1.0, math.inf])
@pytest.mark.parametrize("error", ["instantaneous", "equilibrium"])
def test_what_cannot_be_learned_says_so_and_comes_back(gamma: float, error) -> None:
    """No voltage lies beyond those of the sources."""
    task = Task(TASK.sources, np.abs(TASK.inputs), TASK.targets, -np.ones(3))
    data = coupled_learning(NETWORK, task, gamma=gamma, error=error, longest=50.0)
    assert data.attrs["reached"] == 0
    assert math.isnan(time_of(data))
    assert "did not reach C/C0 = 0.001" in data.attrs["outcome"]
    assert float(data.time[-1]) == pytest.approx(50.0)
    assert np.isfinite(data.conductance).all()
    assert 0.01 < float(data.error_equilibrium[-1]) < 1


def test_several_tasks_and_a_regression_are_learned_together() -> None:
    network = disordered_network(64, seed=2)
    pair = [allosteric(network, seed=s) for s in (0, 1)]
    both = coupled_learning(network, pair, alpha=0.3, goal=1e-2)
    assert both.attrs["reached"] == 1
    assert both.sizes["target"] == 6
    alone = coupled_learning(network, pair[0], alpha=0.3, goal=1e-2)
    before = float(equilibrium_error(network, pair[1], np.ones(network.n_edges)))
    assert float(equilibrium_error(network, pair[1], alone.conductance.values[-1])) > 0.05 * before
    task, coefficients = regression(network, seed=3, examples=10)
    data = coupled_learning(network, task, alpha=0.3, goal=1e-2)
    assert data.attrs["reached"] == 1
    unit = Task(task.sources, np.eye(3), task.targets, np.zeros((3, 2)))
    learned = equilibrium_voltages(network, data.conductance.values[-1], unit)[:, task.targets].T
    first = equilibrium_voltages(network, np.ones(network.n_edges), unit)[:, task.targets].T
    assert np.abs(learned - coefficients).max() < 0.3 * np.abs(first - coefficients).max()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"alpha": 0.0}, "alpha must be positive|alpha=0"),
        ({"gamma": 0.0}, "gamma must be positive, or infinite"),
        ({"nudge": -0.1}, "from 0 to 1"),
        ({"goal": 1.0}, "between 0 and 1"),
        ({"bound": "hard"}, "'projection' or 'published', got 'hard'"),
        ({"error": "mean"}, "'instantaneous' or 'equilibrium'"),
        ({"stepper": "rk"}, "'auto' or 'explicit' or 'stabilised'"),
        ({"conductance": -1.0}, "got -1 on edge 0"),
        ({"conductance": 0.5, "least": 0.7}, "begin at the least one"),
        ({"longest": -1.0}, "longest"),
        ({"points": 1}, "points"),
        ({"tolerance": 0.1}, "tolerance"),
        ({"tasks": []}, "no task"),
    ],
)
def test_settings_that_make_no_sense(wrong: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        coupled_learning(NETWORK, wrong.pop("tasks", TASK), **wrong)


def test_nothing_to_learn_is_refused() -> None:
    chain = ResistorNetwork(3, np.array([[0, 1], [1, 2]]), ground=2)
    with pytest.raises(ValueError, match="nothing to learn"):
        coupled_learning(chain, Task([0], [2.0], [1], [1.0]))
