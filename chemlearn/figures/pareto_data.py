"""The data of the fronts: optima, the one-parameter curve beside them, and ladders to look at closely."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.optimize import brentq

from chemlearn.curves.update import threshold, update_curve
from chemlearn.figures.ladder_front import (
    GAMMAS,
    LEVELS,
    SPEEDS,
    WINDOW,
    Optimum,
    Problem,
    areas,
    front,
    kernel_of,
    largest_dissipation,
)
from chemlearn.figures.shared import annotated, column
from chemlearn.kernels.kernel import Kernel
from chemlearn.markov.ladder import Ladder


class Wanted(NamedTuple):
    """A front: columns of the ladder, and how long its adaptation may take in the mean."""

    columns: int
    slowest: float


FRONTS = {
    "fast": Wanted(5, 1.7),
    "medium": Wanted(5, 2.5),
    "any": Wanted(5, math.inf),
    "4 columns": Wanted(4, 2.5),
    "6 columns": Wanted(6, 2.5),
}
"""1.7 clockwise steps admit the published ladder for γ ≪ 1, 2.5 also with γ up to 0.3."""

SHOWN = 4.0
"""Dissipation of the ladders whose areas and update curves are shown."""

RISE, FALL, MEAN, AMPLITUDE_MAX, STEP = 3.0, 15.0, 10.0, 50.0, 50.0
"""Protocol of the update curves, as of F Fig. 6B, and the step of their kernels."""

WIDER = (0.1, 1000.0)
"""Bounds of F that show what those of the fronts cost."""


def pareto_data(fast: bool, seed: int) -> xr.Dataset:
    """Everything that the figure shows and claims; see :func:`chemlearn.figures.pareto`."""
    budgets = 0.5 * 2.0 ** (np.arange(5.0) if fast else np.arange(14) / 3)
    starts = 3 if fast else 12
    fronts = {}
    for number, (name, (columns, slowest)) in enumerate(FRONTS.items()):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
        fronts[name] = front(Problem(columns, slowest), budgets, starts=starts, rng=rng)
    wider = Problem(5, FRONTS["medium"].slowest, bounds_of_F=WIDER)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(len(FRONTS),)))
    (unbound,) = front(wider, np.array([SHOWN]), starts=starts, rng=rng)
    parts = [_fronts(budgets, fronts), _gamma_curve(budgets, 40 if fast else 160)]
    parts.append(_examples(budgets, fronts, 21 if fast else 101))
    how = {
        "levels": LEVELS.tolist(),
        "gamma_bounds": GAMMAS,
        "F_bounds": SPEEDS,
        "starts": starts,
        "area_unit": f"per {WINDOW:g} clockwise steps",
        "rise": RISE,
        "fall": FALL,
        "mean": MEAN,
        "amplitude_max": AMPLITUDE_MAX,
        "step": STEP,
        "threshold": "safe",
    }
    return annotated(xr.merge(parts), figure="pareto", fast=fast, seed=seed, **how).assign_attrs(
        area_with_wider_F=unbound.area
    )


def _fronts(budgets: np.ndarray, fronts: dict[str, tuple[Optimum, ...]]) -> xr.Dataset:
    """The optima, with the answers of their ladders computed anew from their kernels."""
    names, most = list(fronts), max(wanted.columns for wanted in FRONTS.values())
    shape = (len(names), len(budgets))
    table = {key: np.full(shape, np.nan) for key in ("area", "dissipation", "time", "residual")}
    counts = {key: np.zeros(shape, int) for key in ("starts", "agreeing")}
    gammas, speeds = np.full((*shape, most - 1), np.nan), np.full((*shape, most), np.nan)
    for i, name in enumerate(names):
        problem = Problem(*FRONTS[name])
        for j, optimum in enumerate(fronts[name]):
            counts["starts"][i, j], counts["agreeing"][i, j] = optimum.starts, optimum.agreeing
            if np.isnan(optimum.area):
                continue
            ladder = problem.ladder(optimum.point)
            gammas[i, j, : problem.columns - 1], speeds[i, j, : problem.columns] = ladder.gammas, ladder.F
            table["area"][i, j] = np.abs(areas(ladder, LEVELS)).max()
            table["dissipation"][i, j] = largest_dissipation(ladder)
            table["time"][i, j] = problem.answers(optimum.point).time.max()
            table["residual"][i, j] = optimum.residual
    over = ("front", "budget")
    return xr.Dataset(
        {
            "area": column(over, table["area"], "1", "largest size of the kernel's area over the steps"),
            "dissipation": column(over, table["dissipation"], "k_B per clockwise step", "at rest, largest"),
            "time": column(over, table["time"], "clockwise step", "mean time of adaptation, longest"),
            "kkt_residual": column(over, table["residual"], "1", "of the conditions of an optimum"),
            "starts": column(over, counts["starts"], "1", "random starts that ended in a ladder"),
            "agreeing": column(over, counts["agreeing"], "1", "of these, within 0.1 % of the best"),
            "gamma_best": column((*over, "square"), gammas, "1", "gamma of each square"),
            "F_best": column((*over, "column"), speeds, "per clockwise step", "F of each column"),
            "columns": column("front", [FRONTS[n].columns for n in names], "1", "columns of the ladder"),
            "slowest": column("front", [FRONTS[n].slowest for n in names], "clockwise step", "allowed time"),
        },
        {
            "front": names,
            "budget": column("budget", budgets, "k_B per clockwise step", "largest dissipation allowed"),
            "square": np.arange(most - 1),
            "column": np.arange(most),
        },
    )


def _gamma_curve(budgets: np.ndarray, points: int) -> xr.Dataset:
    """The published ladder, F = 25, all γ equal: on a fine grid, and at the dissipations of the fronts."""
    problem = Problem()

    def excess(log_gamma: float, budget: float) -> float:
        return float(problem.answers(problem.uniform(math.exp(log_gamma))).dissipation.max()) - budget

    matched = np.exp([brentq(excess, math.log(1e-12), math.log(0.99), args=(b,)) for b in budgets])
    gammas = np.geomspace(1e-4, 0.34, points)
    parts = {}
    for name, values in (("gamma", gammas), ("budget", matched)):
        answers = [problem.answers(problem.uniform(gamma)) for gamma in values]
        fine = np.array([bool(np.all(a.moment > 0)) for a in answers])
        area = np.where(fine, [np.abs(a.area).max() for a in answers], np.nan)
        parts[name] = {
            "area": column(name, area, "1", "largest size of the area, one gamma"),
            "time": column(
                name, [a.time.max() for a in answers], "clockwise step", "mean time of adaptation, one gamma"
            ),
            "dissipation": column(
                name, [a.dissipation.max() for a in answers], "k_B per clockwise step", "at rest, one gamma"
            ),
        }
    variables = {f"curve_{key}": value for key, value in parts["gamma"].items()}
    variables |= {f"matched_{key}": value for key, value in parts["budget"].items()}
    variables["matched_gamma"] = column("budget", matched, "1", "gamma of one-gamma ladders")
    return xr.Dataset(variables, {"gamma": column("gamma", gammas, "1", "gamma of all squares")})


def _examples(budgets: np.ndarray, fronts: dict[str, tuple[Optimum, ...]], points: int) -> xr.Dataset:
    """Areas over all steps, and update curves, of three ladders of one dissipation."""
    problem, at = Problem(), int(np.abs(budgets - SHOWN).argmin())
    gamma = brentq(lambda g: largest_dissipation(Ladder(g)) - SHOWN, 1e-6, 0.9)
    ladders = {"one gamma": Ladder(gamma)}
    ladders |= {name: problem.ladder(fronts[name][at].point) for name in ("fast", "medium")}
    steps = np.geomspace(1.0, 1000.0, points)
    amplitudes = np.linspace(0.0, AMPLITUDE_MAX, points)
    over_steps = [areas(ladder, steps) for ladder in ladders.values()]
    updates = [_updates(kernel_of(ladder, STEP), amplitudes) for ladder in ladders.values()]
    return xr.Dataset(
        {
            "step_area": column(("example", "step"), over_steps, "1", "area of the kernel"),
            "weight_update": column(("example", "amplitude"), updates, "s", "update"),
        },
        {
            "example": list(ladders),
            "step": column("step", steps, "uM", "ligand after the step from 0"),
            "amplitude": column("amplitude", amplitudes, "s", "contrast"),
        },
    )


def _updates(kernel: Kernel, amplitudes: np.ndarray) -> np.ndarray:
    theta = threshold(
        "safe", amplitude_max=AMPLITUDE_MAX, rise=RISE, fall=FALL, kernel_area=kernel.area, mean=MEAN
    )
    return update_curve(kernel, amplitudes, threshold=theta, rise=RISE, fall=FALL, mean=MEAN).updates
