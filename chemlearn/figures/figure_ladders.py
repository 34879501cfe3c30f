"""Offset against dissipation of ladders of N molecules: what molecular noise adds to the offset."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.stats import t as student

from chemlearn.curves.update import weight_update_from_samples
from chemlearn.figures.ladder_sketch import log_ticks
from chemlearn.figures.noisy_ladders import (
    AMPLITUDE_MAX,
    FALL,
    MEAN,
    PERIODS,
    RISE,
    SLOWER,
    Setting,
    gate_of,
    gated_sd,
    many_molecules,
    simulated,
)
from chemlearn.figures.shared import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LEVELS,
    ORANGE,
    SEED,
    Claim,
    Drawn,
    annotated,
    column,
    judged,
    letter,
    panels,
    styled,
)

AMPLITUDES = np.array([5.0, 10.0, 15.0, 20.0])
"""Contrasts of the simulated curves, µM; the offset is read at the last."""

MOLECULES = np.array([100, 1000, 10000])
"""N of the simulated synapses."""

GAMMAS, FAST_GAMMAS = (0.15, 0.07, 0.03, 0.01, 1e-3, 1e-6), (0.07, 1e-3)
"""γ of the simulated ladders."""

SHOWN = 1e-3
"""γ of the update curves that are shown."""

TRAJECTORIES = 32
"""Synapses that are simulated at each point."""

CLEAR = 0.4
"""Largest standard error of a gain that is worth a marker."""

COLUMNS = (
    ("pooled", "uM", "update of a pooled synapse, mean"),
    ("pooled_sd", "uM", "its standard deviation from cycle to cycle"),
    ("alone", "uM", "update of a synapse alone, mean"),
    ("alone_sd", "uM", "its standard deviation from cycle to cycle"),
    ("cycles", "1", "cycles simulated"),
)


def ladders(*, fast: bool = False, seed: int = SEED) -> Drawn:
    """Update curves and offsets of the shipped ladder model with N = 10², 10³ and 10⁴ molecules.

    Every synapse goes through the sawtooth by exact stochastic simulation. Its weight reads u, the molecules
    on the bottom rail beyond those without ligand, in two ways: alone, where its own noisy u must pass the
    threshold; pooled, where the mean of very many synapses opens a gate and the molecules of this one count
    while it is open. The offset is Δw − A at the largest contrast: the published intercept changes sign along
    γ where the ligand may not fall below 0 (A ≤ 2 s̄), so its size says nothing there.

    Parameters
    ----------
    fast : bool
        2 values of γ and 2 contrasts instead of 6 and 4.
    seed : int
        Root seed of the trajectories.
    """
    data = _data(fast, seed)
    return Drawn(data, _draw(data), _claims(data))


def _data(fast: bool, seed: int) -> xr.Dataset:
    gammas = np.array(FAST_GAMMAS if fast else GAMMAS)
    amplitudes = AMPLITUDES[1::2] if fast else AMPLITUDES
    settings = [Setting.of(gamma) for gamma in gammas.tolist()]
    limit = xr.concat([many_molecules(setting, amplitudes) for setting in settings], dim="gamma")
    noisy = _simulations(settings, amplitudes, limit.gate.values, seed)
    grid = {
        "gamma": column("gamma", gammas, "1", "gamma"),
        "amplitude": column("amplitude", amplitudes, "uM", "contrast"),
    }
    parts = xr.merge([limit.assign_coords(grid), noisy.assign_coords(grid), _curves(8 if fast else 60)])
    how = {
        "model": "ladder",
        "engine": "native",
        "F": SLOWER,
        "mean": MEAN,
        "rise": RISE,
        "fall": FALL,
        "amplitude_max": AMPLITUDE_MAX,
        "threshold": "safe",
        "trajectories": TRAJECTORIES,
        "cycles_of_each": PERIODS,
    }
    return annotated(parts, figure="ladders", fast=fast, seed=seed, **how)


def _simulations(settings: list[Setting], amplitudes: np.ndarray, gates: np.ndarray, seed: int) -> xr.Dataset:
    """Simulated synapses, (gamma, molecules, amplitude); every point of the grid has streams of its own."""
    shape = (len(settings), len(MOLECULES), len(amplitudes))
    rows = []
    for point, (i, k, j) in enumerate(np.ndindex(shape)):
        how = {"trajectories": TRAJECTORIES, "seed": seed, "point": point}
        rows.append(simulated(settings[i], int(MOLECULES[k]), float(amplitudes[j]), gates[i, j], **how))
    over = ("gamma", "molecules", "amplitude")
    return xr.Dataset(
        {
            name: column(over, np.reshape([row[name] for row in rows], shape), units, words)
            for name, units, words in COLUMNS
        },
        {"molecules": column("molecules", MOLECULES, "1", "molecules of a synapse")},
    )


def _curves(points: int) -> xr.Dataset:
    """Offset of many molecules at the largest contrast, its noise, and F10, on a fine grid of γ."""
    gammas = np.geomspace(1e-7, 0.2, points)
    settings = [Setting.of(gamma) for gamma in gammas.tolist()]
    offsets, noise = [], []
    for setting in settings:
        times, occupied = setting.course(AMPLITUDE_MAX)
        u = setting.read(occupied)
        update = float(weight_update_from_samples(times, u, setting.threshold, knots=[RISE]))
        offsets.append(update - AMPLITUDE_MAX)
        noise.append(gated_sd(setting, gate_of(times, u, setting.threshold)))
    costs = [setting.ladder.dissipation(MEAN) for setting in settings]
    predicted = [setting.level * RISE for setting in settings]
    over = "gamma_curve"
    return xr.Dataset(
        {
            "curve_dissipation": column(over, costs, "k_B per clockwise step", "of a molecule at rest"),
            "curve_offset": column(over, offsets, "uM", "offset of many molecules"),
            "curve_predicted": column(over, predicted, "uM", "offset I s tau_f of F10"),
            "curve_sd_times_root": column(over, noise, "uM", "standard deviation, pooled, times sqrt(N)"),
        },
        {over: column(over, gammas, "1", "gamma")},
    )


def _offset(data: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Of pooled synapses: the offset at the largest contrast and its standard error."""
    top = data.isel(amplitude=-1)
    return top.pooled - float(top.amplitude), top.pooled_sd / np.sqrt(top.cycles)


def _limit(data: xr.Dataset) -> xr.DataArray:
    """The offset of many molecules at the largest contrast."""
    return data.rate_equations.isel(amplitude=-1) - AMPLITUDE_MAX


def _needed(data: xr.Dataset) -> xr.DataArray:
    """Cycles to average until the noise of a pooled synapse is as small as its offset."""
    return (data.pooled_sd.isel(amplitude=-1) / _limit(data)) ** 2


def _gain(updates: xr.DataArray) -> xr.DataArray:
    """Slope of an update curve from half the largest contrast to the largest."""
    low, high = (updates.sel(amplitude=share * AMPLITUDE_MAX) for share in (0.5, 1.0))
    return (high - low) / (0.5 * AMPLITUDE_MAX)


def _gain_alone(data: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """The gain of simulated synapses alone over that of many molecules, and its standard error."""
    ends = data.sel(amplitude=[0.5 * AMPLITUDE_MAX, AMPLITUDE_MAX])
    error = np.sqrt((ends.alone_sd**2 / ends.cycles).sum("amplitude")) / (0.5 * AMPLITUDE_MAX)
    whole = _gain(data.rate_equations)
    return _gain(data.alone) / whole, error / whole


def _claims(data: xr.Dataset) -> tuple[Claim, ...]:
    return tuple(_all_claims(data))


def _all_claims(data: xr.Dataset) -> Iterator[Claim]:
    z = np.abs(data.pooled - data.rate_equations) * np.sqrt(data.cycles) / data.pooled_sd
    yield judged(
        "pooled synapses have the offset of many molecules (not in the paper)",
        f"{z.size} updates of {', '.join(f'{n:g}' for n in MOLECULES)} molecules differ from the rate "
        f"equations by at most {float(z.max()):.1f} standard errors",
        float(z.max()),
        high=float(student.isf(5e-4 / z.size, float(data.cycles.min()) - 1)),
    )
    sizes = np.log(data.pooled_sd.mean(["gamma", "amplitude"]))
    power = float(np.polyfit(np.log(MOLECULES), sizes, 1)[0])
    share = float((data.pooled_sd * np.sqrt(data.molecules) / data.sd_times_root).mean())
    yield judged(
        "noise falls as 1/√N (not in the paper)",
        f"as N to the power {power:.3f}; it is {share:.3f} of what correlations of the chain at rest give",
        power,
        -0.55,
        -0.45,
    )
    needed = _needed(data)
    many, few = needed.isel(gamma=-1), needed.isel(gamma=0)
    words = "; ".join(
        f"{float(few.sel(molecules=n)):.2g} and {float(many.sel(molecules=n)):.2g} for N = {n:g}"
        for n in MOLECULES
    )
    yield judged(
        "a smaller offset needs more cycles to be seen (not in the paper)",
        f"cycles until the noise of a synapse falls below its offset, at {float(data.dissipation[0]):.2g} "
        f"and {float(data.dissipation[-1]):.2g} k_B per step: {words}",
        float((many / few).min()),
        low=1.0,
    )
    yield _alone_claim(data)


def _alone_claim(data: xr.Dataset) -> Claim:
    last = data.isel(gamma=-1)
    gain, error = _gain_alone(last)
    found = ", ".join(
        f"{float(gain.sel(molecules=n)):.2f} ± {float(error.sel(molecules=n)):.2f} for N = {n:g}"
        for n in MOLECULES
    )
    shares = _gain(last.alone_computed) / _gain(last.rate_equations)
    enough = float(data.number.where(shares >= 0.5).min())
    return Claim(
        "each synapse puts its own memory through the threshold (F4, F6)",
        f"with noise its gain is that of many molecules times {found}, at γ = {float(last.gamma):g}; half of "
        f"it takes {enough:.0e} molecules, for fewer pass the threshold by noise whatever the contrast",
        None,
    )


@styled
def _draw(data: xr.Dataset) -> Figure:
    figure, axes = panels(2, 3, (12.4, 7.0))
    _draw_pooled(axes[0, 0], data)
    _draw_alone(axes[0, 1], data)
    _draw_gain(axes[0, 2], data)
    _draw_offset(axes[1, 0], data)
    _draw_needed(axes[1, 1], data)
    _draw_price(axes[1, 2], data)
    return figure


def _by_number() -> Iterator[tuple[int, str, str, float]]:
    """N, colour, marker, and a factor that sets markers aside of one another."""
    looks = ((ORANGE, "^", 0.94), (GREEN, "s", 1.0), (BLUE, "o", 1.06))
    for number, (colour, mark, aside) in zip(MOLECULES.tolist(), looks, strict=True):
        yield number, colour, mark, aside


def _power(number: float) -> str:
    return rf"$N = 10^{{{round(math.log10(number))}}}$"


def _gamma(value: float) -> str:
    power = math.log10(value)
    return rf"$\gamma = {value:g}$" if power > -3.5 else rf"$\gamma = 10^{{{round(power)}}}$"


def _bars(
    ax: Axes, x: ArrayLike, y: ArrayLike, error: ArrayLike, mark: str, colour: Any, label: str | None = None
) -> None:
    """Markers with error bars of one standard error."""
    ax.errorbar(x, y, error, fmt=mark, color=colour, ms=4.5, capsize=2.5, linewidth=1.1, label=label)


def _points(ax: Axes, data: xr.Dataset, name: str) -> None:
    """Simulated updates with their standard errors."""
    for number, colour, mark, aside in _by_number():
        chosen = data.sel(molecules=number)
        error = chosen[f"{name}_sd"] / np.sqrt(chosen.cycles)
        _bars(ax, chosen.amplitude + 8 * (aside - 1), chosen[name], error, mark, colour, _power(number))


def _curve_axes(ax: Axes) -> None:
    ends = [0.0, 1.08 * AMPLITUDE_MAX]
    ax.plot(ends, ends, color=GREY, linewidth=0.9, linestyle=(0, (1, 2)), label=r"ideal, $\Delta w = A$")
    ax.set(xlim=ends, xlabel="contrast $A$ (µM)", ylabel=r"update $\Delta w/(N|M_1|)$ (µM)")
    ax.set_xticks([0, 5, 10, 15, 20])


def _draw_pooled(ax: Axes, data: xr.Dataset) -> None:
    chosen = data.sel(gamma=SHOWN)
    ax.plot(data.amplitude, chosen.rate_equations, color=BLACK, label="rate equations")
    ax.plot(data.amplitude, chosen.linear_kernel, "--", color=GREY, label="linear kernel")
    _points(ax, chosen, "pooled")
    _curve_axes(ax)
    ax.set_ylim(0, 42)
    ax.legend(loc="upper left", ncols=2)
    letter(ax, "A", rf"many synapses pooled, $\gamma = {SHOWN:g}$, {_cycles(data)} cycles")


def _cycles(data: xr.Dataset) -> int:
    return int(data.cycles.max())


def _draw_alone(ax: Axes, data: xr.Dataset) -> None:
    chosen = data.sel(gamma=SHOWN)
    ax.plot(data.amplitude, chosen.rate_equations, color=BLACK, label="many molecules")
    for number, colour, _, _ in _by_number():
        expected = chosen.alone_computed.sel(number=number, method="nearest")
        ax.plot(data.amplitude, expected, ":", color=colour)
    _points(ax, chosen, "alone")
    _curve_axes(ax)
    ax.set_ylim(0, 55)
    ax.legend(loc="upper left", ncols=2)
    letter(ax, "B", rf"each synapse by itself, $\gamma = {SHOWN:g}$, {_cycles(data)} cycles")


def _draw_gain(ax: Axes, data: xr.Dataset) -> None:
    colours = LEVELS(np.linspace(0.0, 1.0, data.sizes["gamma"]))
    gain, error = _gain_alone(data)
    for i, (gamma, colour) in enumerate(zip(data.gamma.values, colours, strict=True)):
        chosen = data.isel(gamma=i)
        share = _gain(chosen.alone_computed) / float(_gain(chosen.rate_equations))
        ax.plot(data.number, share, color=colour, label=_gamma(gamma))
        at, spread = gain.isel(gamma=i), error.isel(gamma=i)
        clear = spread < CLEAR
        _bars(ax, data.molecules[clear], at[clear], spread[clear], "o", colour)
    for level in (0, 1):
        ax.axhline(level, color=GREY, linewidth=0.8, linestyle=":")
    ax.set(
        xscale="log", xlabel="molecules $N$ of a synapse by itself", ylabel="gain / gain of many molecules"
    )
    ax.legend(loc="lower right")
    letter(ax, "C", "what its own threshold takes to work")


def _sigma_axis(ax: Axes) -> None:
    ax.set(xscale="log", xlabel=r"dissipation $\sigma$ at $\bar{s}$ ($k_B$ per molecule and step)")
    log_ticks(ax, [1, 2, 5, 10])


def _draw_offset(ax: Axes, data: xr.Dataset) -> None:
    ax.plot(data.curve_dissipation, data.curve_offset, color=BLACK, label="many molecules")
    ax.plot(data.curve_dissipation, data.curve_predicted, "--", color=GREY, label=r"$I\bar{s}\tau_f$ (F10)")
    offset, error = _offset(data)
    for number, colour, mark, aside in _by_number():
        at, spread = offset.sel(molecules=number), error.sel(molecules=number)
        _bars(ax, data.dissipation * aside, at, spread, mark, colour, _power(number))
    ax.set(ylim=(0, 45), ylabel=r"offset $\Delta w - A$ at the largest $A$ (µM)")
    _sigma_axis(ax)
    ax.legend(loc="upper right")
    letter(ax, "D", f"the offset of pooled synapses, {_cycles(data)} cycles")


def _draw_needed(ax: Axes, data: xr.Dataset) -> None:
    expected = (data.curve_sd_times_root / data.curve_offset) ** 2
    needed = _needed(data)
    for number, colour, mark, _ in _by_number():
        ax.plot(data.curve_dissipation, expected / number, color=colour, linewidth=1)
        ax.plot(data.dissipation, needed.sel(molecules=number), mark, color=colour, label=_power(number))
    ax.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
    ax.set(yscale="log", ylim=(0.003, 60), ylabel="cycles until noise = offset")
    ax.yaxis.set_major_formatter("{x:g}")
    _sigma_axis(ax)
    ax.legend(loc="upper left", ncols=3)
    letter(ax, "E", "noise hides a small offset for longer")


def _draw_price(ax: Axes, data: xr.Dataset) -> None:
    """Entropy that a synapse of any N produces in those cycles."""
    period = RISE + FALL
    cost = data.curve_dissipation * period * (data.curve_sd_times_root / data.curve_offset) ** 2
    ax.plot(data.curve_offset, cost, color=BLACK, label="correlations of the chain")
    for number, colour, mark, _ in _by_number():
        spent = data.dissipation * number * period * _needed(data).sel(molecules=number)
        ax.plot(_limit(data), spent, mark, color=colour, label=_power(number))
    ax.set(xscale="log", yscale="log", xlabel="offset (µM)", ylabel=r"entropy until noise = offset ($k_B$)")
    log_ticks(ax, [10, 20, 30])
    ax.legend(loc="upper right")
    letter(ax, "F", "what it costs to see it, whatever $N$")
