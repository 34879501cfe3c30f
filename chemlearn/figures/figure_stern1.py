"""S Fig. 1 and 3A: the experiment, a network of digital resistors with capacitors that learns in steps.

What the paper states is used: resistors from 781 Ω to 100 kΩ, a capacitor of 2.2 to 2200 µF beside each of
them, 2 sources and 2 targets, a pause of half a step before each learning step, α_exp = 1/τ and
γ_exp = 1/(R₀c) with R₀ = 10 kΩ. Only α/γ = R₀c/τ decides the course of a run, so the capacitors are not told
apart. What the paper leaves open is chosen here: the network (nine nodes in three rows, joined along rows,
columns and one diagonal); 128 equal steps of resistance, by one of which every resistor changes in a learning
step, according to the sign of ``|Δv^C| − |Δv^F|``; where they begin (50 kΩ); η = 0.5; the voltages; that the
clamped targets are set from the free ones once in each step; and the noise of the comparison.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.linalg import eigh

from chemlearn.figures.shared import (
    BLACK,
    BLUE,
    GREY,
    LEVELS,
    ORANGE,
    SEED,
    Claim,
    Drawn,
    column,
    judged,
    letter,
    panels,
    styled,
)
from chemlearn.figures.stern_runs import SOURCE, stern_data
from chemlearn.resistors.network import ResistorNetwork
from chemlearn.resistors.solve import equilibrium_voltages
from chemlearn.resistors.tasks import Task

__all__ = ["SOURCE", "stern1"]

STEP, MOST = 781.25, 128
"""Ω of a step of the digital resistors, and how many there are: 781 Ω to 100 kΩ."""

STANDARD = 1e4
"""R₀, Ω."""

CAPACITANCES = np.array([2.2e-6, 22e-6, 220e-6, 2200e-6])
"""Farad."""

NUDGE = 0.5
"""η."""

NOISE = 1e-3
"""Volts: spread of what a comparison adds to the voltage drops it compares."""

RATIOS = np.array([0.003, 0.03, 0.3, 3.0, 30.0])
"""α/γ of the courses that are shown."""

STEPS = 400
"""Learning steps of a run."""

START = 64
"""Steps of resistance of all edges in the beginning."""

GOAL = 0.1
"""Share of the first error at which a run counts as trained."""

GRID = ResistorNetwork(
    9,
    np.array(
        [[3 * r + c, 3 * r + c + 1] for r in range(3) for c in range(2)]
        + [[3 * r + c, 3 * r + c + 3] for r in range(2) for c in range(3)]
        + [[3 * r + c, 3 * r + c + 4] for r in range(2) for c in range(2)]
    ),
    positions=np.array([[c, -r] for r in range(3) for c in range(3)], float),
    source="nine nodes in three rows with one diagonal in each square",
)


def stern1(*, fast: bool = False, seed: int = SEED) -> Drawn:
    """A simulated experiment: discrete resistors with capacitors learn an allosteric task.

    Parameters
    ----------
    fast : bool
        Fewer tasks.
    seed : int
        Root seed of the tasks and of the noise.
    """
    data = _data(fast, seed)
    return Drawn(data, _draw(data), tuple(_claims(data)))


def _data(fast: bool, seed: int) -> xr.Dataset:
    ratios = np.logspace(-3, 1.5, 10)
    tasks = 4 if fast else 20
    times, shown = np.full((tasks, len(ratios)), np.nan), np.empty((len(RATIOS), STEPS + 1))
    for i in range(tasks):
        for k, ratio in enumerate(ratios.tolist()):
            run = _learn(_task(seed, i), ratio, np.random.default_rng([seed, i, k]))
            below = np.flatnonzero(run <= GOAL)
            times[i, k] = below[0] if len(below) else np.nan
    for k, ratio in enumerate(RATIOS.tolist()):
        shown[k] = _learn(_task(seed, 0), ratio, np.random.default_rng([seed, 0, 100 + k]))
    found = xr.Dataset(
        {
            "course": column(("shown", "step"), shown, "1", "C/C0, instantaneous"),
            "training_steps": column(("task", "ratio"), times, "1", f"steps until C/C0 = {GOAL:g}"),
        },
        {
            "shown": column("shown", RATIOS, "1", "alpha/gamma"),
            "step": column("step", np.arange(STEPS + 1), "1", "learning steps"),
            "ratio": column("ratio", ratios, "1", "alpha/gamma"),
        },
    )
    how = {"eta": NUDGE, "noise": NOISE, "resistance_step": STEP, "resistance_steps": MOST, "R0": STANDARD}
    return stern_data(
        found,
        figure="stern-1",
        fast=fast,
        seed=seed,
        **how,
        network=GRID.source,
        capacitances=[*CAPACITANCES],
    ).assign_attrs(network=GRID.source)


def _task(seed: int, number: int) -> Task:
    """0 and 1 V at two sources; two targets that the network can reach, as another one of its kind does."""
    rng = np.random.default_rng([seed, number])
    nodes = rng.permutation(GRID.nodes)[:4]
    other = 1 / (STEP * np.exp(rng.uniform(np.log(2), np.log(MOST), GRID.n_edges)))
    inputs = np.array([0.0, 1.0])
    wanted = equilibrium_voltages(GRID, other, Task(nodes[:2], inputs, nodes[2:], np.zeros(2)))
    return Task(nodes[:2], inputs, nodes[2:], wanted[0, nodes[2:]])


def _learn(task: Task, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """C/C₀ before the first and at each of STEPS learning steps, which take τ = R₀c/(α/γ); times in R₀c."""
    notches = np.full(GRID.n_edges, START)
    targets, pause = task.targets, 0.5 / ratio
    ends = GRID.incidence().toarray()
    free = equilibrium_voltages(GRID, 1 / (STEP * notches), task)[0]
    clamped = free.copy()
    errors = np.empty(STEPS + 1)
    errors[0] = ((task.outputs[0] - free[targets]) ** 2).sum()
    for step in range(1, STEPS + 1):
        conductance = STANDARD / (STEP * notches)
        free = _relax(ends, free, conductance, task.sources, pause)
        errors[step] = ((task.outputs[0] - free[targets]) ** 2).sum()
        clamped[targets] = free[targets] + NUDGE * (task.outputs[0] - free[targets])
        clamped = _relax(ends, clamped, conductance, np.concatenate([task.sources, targets]), pause)
        # A larger drop in the clamped state asks for more resistance.
        more = np.abs(ends @ clamped) - np.abs(ends @ free) + NOISE * rng.standard_normal(GRID.n_edges)
        notches = np.clip(notches + np.sign(more).astype(int), 1, MOST)
    return errors / errors[0]


def _relax(
    ends: np.ndarray, voltages: np.ndarray, conductance: np.ndarray, held: np.ndarray, time: float
) -> np.ndarray:
    """Voltages after a time in which every edge has its resistor and its capacitor: Δᵀ Δ v̇ = −Δᵀ g Δ v."""
    free = np.delete(np.arange(GRID.nodes), held)
    resist, capacity = (ends.T * conductance) @ ends, ends[:, free].T @ ends[:, free]
    inside = resist[np.ix_(free, free)]
    rest = voltages.copy()
    rest[free] = -np.linalg.solve(inside, resist[np.ix_(free, held)] @ voltages[held])
    rates, modes = eigh(inside, capacity)
    rest[free] += modes @ (np.exp(-rates * time) * (modes.T @ capacity @ (voltages - rest)[free]))
    return rest


def _tail(data: xr.Dataset, k: int) -> np.ndarray:
    """The last half of a course."""
    return np.asarray(data.course.isel(shown=k)[STEPS // 2 :])


def _steps(data: xr.Dataset) -> xr.DataArray:
    """Geometric mean of the training steps over the tasks that are trained."""
    return np.exp(np.log(data.training_steps.clip(min=1)).mean("task"))


def _claims(data: xr.Dataset) -> Iterator[Claim]:
    slow = _steps(data).sel(ratio=slice(None, 0.11))
    spread = float(slow.max() / slow.min())
    yield judged(
        "for α ≪ γ the steps of training do not depend on α/γ (Fig. 1D)",
        f"{float(slow.min()):.1f} to {float(slow.max()):.1f} steps on average for α/γ up to 0.1",
        spread,
        high=1.5,
    )
    quick = _steps(data).sel(ratio=slice(2.9, None))
    yield judged(
        "with fast learning more steps are needed (Fig. 1D)",
        f"{float(quick.mean()):.1f} steps from α = 3 γ on, {float(slow.mean()):.1f} up to 0.1 γ",
        float(quick.mean() / slow.mean()),
        low=1.0,
    )
    floor, ringing = float(np.median(_tail(data, 0))), float(np.median(_tail(data, -1)))
    yield judged(
        "for α ≳ γ oscillations do not end, while slow learning stays at the noise floor (Fig. 1D, E)",
        f"the median error of the second half of the run is {ringing:.2g} at α/γ = {RATIOS[-1]:g} and "
        f"{floor:.2g} at {RATIOS[0]:g}",
        ringing / floor,
        low=3.0,
    )
    trained = data.training_steps.notnull().mean("task")
    yield Claim(
        "training succeeds beyond the critical rate too (abstract, Fig. 3A)",
        f"at α/γ = {float(data.ratio[-1]):.0f} {float(trained[-1]):.0%} of the tasks pass C/C0 = {GOAL:g}, "
        f"{float(trained[0]):.0%} at {float(data.ratio[0]):g}",
        bool(trained[-1] > 0.5),
    )


@styled
def _draw(data: xr.Dataset) -> Figure:
    figure, axes = panels(2, 2, (9.6, 7.0))
    _draw_network(axes[0, 0], data)
    _draw_course(axes[0, 1], data, 1.0)
    _draw_course(axes[1, 0], data, None)
    _draw_times(axes[1, 1], data)
    return figure


def _draw_network(ax: Axes, data: xr.Dataset) -> None:
    places = GRID.positions
    assert places is not None
    task = _task(int(data.attrs["seed"]), 0)
    for a, b in GRID.edges:
        ax.plot(*places[[a, b]].T, color=GREY, linewidth=1.2, zorder=1)
    ax.plot(*places.T, "o", color=BLACK, ms=5)
    ax.plot(*places[task.sources].T, "o", color=BLUE, ms=12, label="sources, 0 and 1 V")
    ax.plot(*places[task.targets].T, "o", color=ORANGE, mfc="white", mew=2, ms=12, label="targets")
    ax.set(aspect="equal", xlim=(-0.4, 2.4), ylim=(-2.4, 0.9))
    ax.set_axis_off()
    ax.legend(loc="upper center", ncols=2)
    letter(ax, "A", "an assumed network")


def _draw_course(ax: Axes, data: xr.Dataset, unit: float | None) -> None:
    tints = LEVELS(np.linspace(0, 1, data.sizes["shown"]))
    for k, tint in enumerate(tints):
        ratio = float(data.shown[k])
        x = data.step * (unit or 1 / ratio)
        ax.plot(x[1:], data.course.isel(shown=k)[1:], color=tint, label=f"{ratio:g}", linewidth=0.8)
    ax.set(xscale="log", yscale="log", ylim=(1e-4, 30), ylabel=r"error $C/C_0$")
    ax.set(xlabel="learning steps" if unit else r"time $t/R_0c$")
    if unit:
        ax.legend(loc="lower left", title=r"$\alpha/\gamma$")
    letter(ax, "B" if unit else "C", "against steps" if unit else "against time")


def _draw_times(ax: Axes, data: xr.Dataset) -> None:
    steps, ratio = _steps(data), data.ratio
    ax.plot(ratio, (data.training_steps / ratio).T, ".", color=GREY, ms=3)
    ax.plot([], [], ".", color=GREY, label="a task")
    ax.plot(ratio, steps / ratio, "o", color=BLUE, label="geometric mean")
    x = np.array([1e-3, 1.0])
    ax.plot(x, float(steps[0]) / x, "--", color=BLACK, linewidth=1.0, label=r"$(\alpha/\gamma)^{-1}$")
    ax.set(xscale="log", yscale="log", xlabel=r"$\alpha/\gamma$", ylabel=r"training time $T/R_0c$")
    ax.legend(loc="upper right")
    letter(ax, "D", f"time until C/C0 = {GOAL:g}")
