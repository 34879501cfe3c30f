"""F Fig. 9: the ladder in full: its rates, its answer to a step, its dissipation and its offset."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chemlearn.curves.metrics import markov_range
from chemlearn.curves.update import threshold, update_curve
from chemlearn.figures.ladder_sketch import sketch
from chemlearn.figures.random_ladders import AMPLITUDE_MAX, AMPLITUDES, FALL, MEAN, RISE, WINDOW
from chemlearn.figures.shared import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SEED,
    SKY,
    Claim,
    Drawn,
    annotated,
    column,
    judged,
    letter,
    panels,
    styled,
)
from chemlearn.markov.chain import entropy_production_rate
from chemlearn.markov.ladder import Ladder

STEP = 50.0
"""Ligand after the step of panels B to D and F, µM."""

SHOWN = np.array([1.0, 0.3, 0.1, 1e-2, 1e-4])
"""γ of the ladders whose answers are shown, at F = 25."""

CURVES = np.array([0.1, 0.03, 1e-2, 1e-4])
"""γ of the update curves that are shown."""

STEPS = np.array([5.0, 20.0, 50.0, 249.0])
"""Steps of the kernels whose offsets are shown."""

GRAIN = 0.005
"""Share of an offset that the published A_min, which is one of 500 amplitudes, leaves undecided."""

LEVELS = np.array([0.0, STEP])
"""Levels of the ligand at which the ladder rests."""


def fig9(*, fast: bool = False, seed: int = SEED) -> Drawn:
    """The two-rail ladder at F = 25: occupancy and dissipation after a step, and what the offset costs.

    Parameters
    ----------
    fast : bool
        Fewer γ and times.
    seed : int
        Recorded only; nothing is drawn at random.
    """
    data = _data(fast, seed)
    return Drawn(data, _draw(data), _claims(data))


def _data(fast: bool, seed: int) -> xr.Dataset:
    parts = [_answers(60 if fast else 300), _resting(13 if fast else 61), _offsets(9 if fast else 33)]
    parts.append(_curves())
    how = {
        "F": 25.0,
        "columns": 5,
        "rise": RISE,
        "fall": FALL,
        "mean": MEAN,
        "amplitude_max": AMPLITUDE_MAX,
        "window": WINDOW,
        "threshold": "eq45",
        "step": STEP,
    }
    return annotated(xr.merge(parts), figure="9", fast=fast, seed=seed, **how)


def _answers(points: int) -> xr.Dataset:
    """Occupancy of the top rail and entropy production after the step."""
    times = np.geomspace(1e-4, 30.0, points)
    ladders = [Ladder(gamma) for gamma in SHOWN]
    top = [ladder.relaxation(0.0, STEP, times) @ ladder.top for ladder in ladders]
    costs = [ladder.relaxation_dissipation(0.0, STEP, times) for ladder in ladders]
    before = [ladder.occupancy(0.0) for ladder in ladders]
    extra = [ladder.relaxation_entropy(0.0, STEP) for ladder in ladders]
    return xr.Dataset(
        {
            "top": column(("gamma_shown", "time"), top, "1", "occupancy of the top rail after the step"),
            "top_before": column("gamma_shown", before, "1", "occupancy of the top rail before it"),
            "relaxation_dissipation": column(
                ("gamma_shown", "time"), costs, "k_B per clockwise step", "entropy production after the step"
            ),
            "step_entropy": column("gamma_shown", extra, "k_B", "entropy of the step beyond that of rest"),
        },
        {
            "gamma_shown": column("gamma_shown", SHOWN, "1", "gamma"),
            "time": column("time", times, "clockwise step", "time after the step"),
        },
    )


def _resting(points: int) -> xr.Dataset:
    """Dissipation at rest: by the definition (F59), and as affinity times current."""
    gammas = np.unique(np.concatenate([np.geomspace(1e-6, 0.34, points), [0.36, 0.375, 0.4, 0.5, 0.7, 1.0]]))
    defined, circling = np.empty((2, len(LEVELS), len(gammas)))
    lobes = np.empty(len(gammas), int)
    for j, gamma in enumerate(gammas.tolist()):
        ladder = Ladder(gamma)
        lobes[j] = len(ladder.kernel(0.0, STEP).lobes_above(1e-8))
        for i, level in enumerate(LEVELS.tolist()):
            defined[i, j] = entropy_production_rate(ladder.rates(level), ladder.steady_state(level))
            circling[i, j] = -2.0 * math.log(gamma) * float(ladder.currents(level).sum())
    over = ("level", "gamma")
    return xr.Dataset(
        {
            "dissipation": column(over, defined, "k_B per clockwise step", "at rest, F59"),
            "affinity_times_current": column(
                over,
                circling,
                "k_B per clockwise step",
                "at rest, -2 ln(gamma) times the sum of the currents",
            ),
            "lobes": column("gamma", lobes, "1", "lobes of the kernel of the step"),
        },
        {
            "level": column("level", LEVELS, "uM", "ligand"),
            "gamma": column("gamma", gammas, "1", "gamma"),
        },
    )


def _line(gamma: float, step: float) -> tuple[np.ndarray, float, float, float]:
    """Update curve in A_max of the published kernel; its offset, slope and A_min."""
    kernel = Ladder(gamma).published_kernel(step, WINDOW)
    theta = threshold(
        "eq45", amplitude_max=AMPLITUDE_MAX, rise=RISE, fall=FALL, kernel_area=kernel.area, mean=MEAN
    )
    curve = update_curve(kernel, AMPLITUDES, threshold=theta, rise=RISE, fall=FALL, mean=MEAN)
    found = markov_range(curve, AMPLITUDE_MAX)
    updates = curve.updates / AMPLITUDE_MAX
    return updates, found.offset / AMPLITUDE_MAX, found.slope, found.amplitude_min / AMPLITUDE_MAX


def _offsets(points: int) -> xr.Dataset:
    """Published offset against γ, which sets the dissipation, for several steps."""
    gammas = np.geomspace(1e-10, 0.25, points)
    offsets = [[_line(gamma, step)[1] for gamma in gammas.tolist()] for step in STEPS.tolist()]
    costs = [Ladder(gamma).dissipation(0.0) for gamma in gammas.tolist()]
    return xr.Dataset(
        {
            "offset": column(("step", "gamma_driven"), offsets, "A_max", "intercept of the published line"),
            "cost": column("gamma_driven", costs, "k_B per clockwise step", "dissipation at rest at s = 0"),
        },
        {
            "step": column("step", STEPS, "uM", "ligand after the step from 0"),
            "gamma_driven": column("gamma_driven", gammas, "1", "gamma"),
        },
    )


def _curves() -> xr.Dataset:
    """Update curves of the step to 50 µM with their published lines."""
    found = [_line(gamma, STEP) for gamma in CURVES.tolist()]
    curves, offsets, slopes, lows = (np.array(part) for part in zip(*found, strict=True))
    return xr.Dataset(
        {
            "curve": column(("gamma_curve", "amplitude"), curves, "A_max", "update"),
            "curve_offset": column("gamma_curve", offsets, "A_max", "intercept of its line"),
            "curve_slope": column("gamma_curve", slopes, "1", "slope of its line"),
            "curve_low": column("gamma_curve", lows, "A_max", "where its line begins"),
        },
        {
            "gamma_curve": column("gamma_curve", CURVES, "1", "gamma of the update curves"),
            "amplitude": column("amplitude", AMPLITUDES / AMPLITUDE_MAX, "A_max", "contrast"),
        },
    )


def _claims(data: xr.Dataset) -> tuple[Claim, ...]:
    return tuple(_all_claims(data))


def _all_claims(data: xr.Dataset) -> Iterator[Claim]:
    size = np.abs(data.offset)
    rises = float((size.diff("gamma_driven") / size).min())
    low, high = (np.abs(data.offset.isel(gamma_driven=k)) / MEAN for k in (0, -1))
    ends = ", ".join(f"{a:.3g} to {b:.3g}" for a, b in zip(high.values, low.values, strict=True))
    steps = ", ".join(f"{step:g}" for step in STEPS)
    yield judged(
        "lower offset requires more dissipation (Fig. 9B)",
        f"|offset|/s̄ falls with every increase of dissipation from {float(data.cost[-1]):.2g} to "
        f"{float(data.cost[0]):.2g} k_B per step, but for jumps of {max(-rises, 0):.1%} where A_min "
        f"moves to its next amplitude: from {ends} for steps to {steps} µM",
        rises,
        low=-GRAIN,
    )
    at_rest = float(np.abs(data.dissipation.sel(gamma=1.0)).max())
    falling = float(data.dissipation.diff("gamma").max())
    yield judged(
        "dissipation falls with γ and is 0 at γ = 1 (main text)",
        f"at γ = 1 it is {at_rest:.0e}, rounding error; from γ = {float(data.gamma[0]):g} on every increase "
        f"of γ lowers it",
        max(falling, at_rest - 1e-12),
        high=0.0,
    )
    driven = data.sel(gamma=slice(None, 0.999))
    error = float(np.abs(driven.affinity_times_current / driven.dissipation - 1).max())
    yield judged(
        "σ = Σ (J⁺ − J⁻) ln(J⁺/J⁻) (F13, F59)",
        f"equals −2 ln γ times the sum of the currents round the squares to {error:.0e}",
        error,
        high=1e-8,
    )
    dull = data.lobes.sel(gamma=slice(1 / math.e, None))
    yield judged(
        "without dissipation the kernel is monotonic (main text)",
        f"and with dissipation too as long as γ > 1/e: all {dull.size} kernels there have {int(dull.max())} "
        f"lobe; below it {int((data.lobes == 2).sum())} of {data.sizes['gamma'] - dull.size} have two",
        float(dull.max()),
        high=1.0,
    )


@styled
def _draw(data: xr.Dataset) -> Figure:
    figure, axes = panels(2, 3, (12.4, 7.0))
    sketch(axes[0, 0], rates=True)
    letter(axes[0, 0], "A", "the rates of the ladder")
    _draw_answers(axes[0, 1], data)
    _draw_relaxation(axes[0, 2], data)
    _draw_resting(axes[1, 0], data)
    _draw_offsets(axes[1, 1], data)
    _draw_curves(axes[1, 2], data)
    return figure


_LOOKS = ((GREY, "-"), (ORANGE, "--"), (PURPLE, "-."), (GREEN, ":"), (BLUE, "-"))


def _over_time(ax: Axes, data: xr.Dataset, name: str) -> None:
    for gamma, (colour, line) in zip(SHOWN, _LOOKS, strict=True):
        ax.plot(
            data.time, data[name].sel(gamma_shown=gamma), line, color=colour, label=rf"$\gamma = {gamma:g}$"
        )
    ax.axvline(WINDOW, color=GREY, linewidth=0.8, linestyle=":")
    ax.set(xscale="log", xlabel="time after the step (clockwise steps)")
    ax.xaxis.set_major_formatter("{x:g}")


def _draw_answers(ax: Axes, data: xr.Dataset) -> None:
    _over_time(ax, data, "top")
    for gamma, (colour, _) in zip(SHOWN, _LOOKS, strict=True):
        ax.plot(7e-5, data.top_before.sel(gamma_shown=gamma), ">", color=colour, ms=4, clip_on=False)
    ax.set(ylabel="occupancy of the top rail", xlim=(1e-4, 30), ylim=(0.28, 1.08))
    ax.legend(loc="upper right", ncols=3)
    letter(ax, "B", rf"a step to $s = {STEP:g}$ µM is forgotten if $\gamma$ is small")


def _draw_relaxation(ax: Axes, data: xr.Dataset) -> None:
    _over_time(ax, data, "relaxation_dissipation")
    ax.set(
        yscale="log", ylim=(0.02, 400), xlim=(1e-4, 30), ylabel=r"dissipation $\sigma(t)$ ($k_B$ per step)"
    )
    ax.yaxis.set_major_formatter("{x:g}")
    ax.text(WINDOW * 0.9, 300, "window", ha="right", va="top", color=GREY, fontsize=8)
    letter(ax, "C", "entropy production after the step")


def _draw_resting(ax: Axes, data: xr.Dataset) -> None:
    for level, (colour, line) in zip(LEVELS, ((BLACK, "-"), (SKY, "--")), strict=True):
        ax.plot(
            data.gamma, data.dissipation.sel(level=level), line, color=colour, label=rf"$s = {level:g}$ µM"
        )
    ax.axvspan(1 / math.e, 1.0, color=GREY, alpha=0.15, linewidth=0)
    ax.text(0.61, 6.0, "one lobe", rotation=90, ha="center", va="center", fontsize=8)
    ax.set(xscale="log", xlim=(1e-6, 1), ylim=(0, None), xlabel=r"$\gamma$")
    ax.set(ylabel=r"dissipation $\sigma$ at rest ($k_B$ per step)")
    ax.legend(loc="upper right", bbox_to_anchor=(0.9, 1.0))
    letter(ax, "D", r"$\sigma$: affinity $-2\ln\gamma$ times the currents")


def _draw_offsets(ax: Axes, data: xr.Dataset) -> None:
    looks = ((SKY, "-."), (GREEN, ":"), (BLUE, "-"), (PURPLE, "--"))
    for step, (colour, line) in zip(STEPS, looks, strict=True):
        size = np.abs(data.offset.sel(step=step)) / MEAN
        ax.plot(data.cost, size, line, color=colour, label=rf"$s = {step:g}$ µM")
    ax.set(xscale="log", yscale="log", xlabel=r"dissipation $\sigma$ at $s = 0$ ($k_B$ per step)")
    ax.set(ylabel=r"$|\mathrm{offset}|\,/\,\bar{s}$ (units of $A_{max}$)")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter("")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.legend(loc="upper right", title="step to")
    letter(ax, "E", "less offset costs more, down to a floor")


def _draw_curves(ax: Axes, data: xr.Dataset) -> None:
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, linestyle=(0, (1, 2)), label="ideal")
    for gamma, (colour, line) in zip(CURVES, _LOOKS[1:], strict=True):
        chosen = data.sel(gamma_curve=gamma)
        ax.plot(data.amplitude, chosen.curve, line, color=colour, label=rf"$\gamma = {gamma:g}$")
        low, offset, slope = (float(chosen[name]) for name in ("curve_low", "curve_offset", "curve_slope"))
        ax.plot([0, low], [offset, offset + slope * low], color=colour, linewidth=0.7, alpha=0.7)
        ax.plot(0, offset, "o", color=colour, mfc="white", clip_on=False, zorder=3)
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set(xlim=(0, 1), xlabel=r"contrast $A/A_{max}$", ylabel=r"update $\Delta w/A_{max}$")
    ax.legend(loc="lower right", title="thin: published line to its offset", alignment="left")
    letter(ax, "F", rf"update curves, step to {STEP:g} µM")
