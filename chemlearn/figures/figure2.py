"""F Fig. 2: a kernel with two lobes answers changes and forgets levels, so a sawtooth becomes a contrast."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from chemlearn.curves.update import threshold, thresholded, update_curve
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
    Sheet,
    annotated,
    column,
    judged,
    letter,
    styled,
)
from chemlearn.kernels.kernel import Kernel, celani_vergassola, exponential
from chemlearn.signal import Signal

RATE = 20.0
"""B of the kernel a e^(−Bt)(t − c t²); the kernel time τ_K is 1/B, as for all figures of the paper."""

RISE, FALL = 1.0, 9.0
"""τ_f and τ_s of the sawtooth, 20 and 180 kernel times."""

LEAKY_THRESHOLD = 0.4
"""θ of the leaky kernel's updates, in units of A_max: between the levels of u at the means that are shown."""

RAMPS = np.array([1.0, 4.0, 16.0])
"""Durations of single ramps of the same height, in kernel times."""


def fig2(*, fast: bool = False, seed: int = SEED) -> Drawn:
    """Kernel, step response, response to ramps, thresholded sawtooth and update; with a leaky control.

    Parameters
    ----------
    fast : bool
        Fewer points along every line.
    seed : int
        Recorded; nothing here is random.

    Returns
    -------
    Drawn
        Times in units of the kernel time τ_K = 1/20, u in units of what it is compared with.
    """
    data = _data(fast, seed)
    return Drawn(data, _draw(data), _claims(data))


def _kernels() -> dict[str, Kernel]:
    return {"two lobes": celani_vergassola(rate=RATE), "leaky": exponential(1 / RATE)}


def _data(fast: bool, seed: int) -> xr.Dataset:
    points = 300 if fast else 1500
    parts = [_memory(points), _ramps(points), _cycles(points), _updates(41 if fast else 201), _limit()]
    data = xr.merge(parts, compat="no_conflicts")
    how = {"rate": RATE, "rise": RISE, "fall": FALL, "leaky_tau": 1 / RATE}
    return annotated(data, figure="2", fast=fast, seed=seed, **how)


def _memory(points: int) -> xr.Dataset:
    """K and the step response of both kernels, relative to their peaks."""
    kernels = _kernels()
    lags = np.linspace(0, 12, points)
    after = np.linspace(-2, 12, points)
    fine = np.linspace(0, 12, 20001) / RATE
    values = [kernel(lags / RATE) / kernel(fine).max() for kernel in kernels.values()]
    steps = [
        kernel.step_response(after / RATE) / kernel.step_response(fine).max() for kernel in kernels.values()
    ]
    residuals = [kernel.residual for kernel in kernels.values()]
    return xr.Dataset(
        {
            "kernel": column(("memory", "lag"), values, "1", "K / max K"),
            "step_response": column(("memory", "since_step"), steps, "1", "u / max u after a step"),
            "residual": column("memory", residuals, "1", "share of a step response that stays"),
        },
        {
            "memory": list(kernels),
            "lag": column("lag", lags, "tau_K", "lag"),
            "since_step": column("since_step", after, "tau_K", "time after the step"),
        },
    )


def _ramps(points: int) -> xr.Dataset:
    """Answer of the kernel with two lobes to single ramps of one height, over the slope of each."""
    kernel = _kernels()["two lobes"]
    times = np.linspace(-2, 30, points)
    s, u = np.empty((2, len(RAMPS), points))
    for k, duration in enumerate(RAMPS / RATE):
        ramp = Signal(np.array([0.0, duration]), np.array([0.0, 1.0]))
        s[k], u[k] = ramp(times / RATE), kernel.respond(ramp, times / RATE) * duration
    return xr.Dataset(
        {
            "ramp": column(("duration", "since_start"), s, "A", "signal s"),
            "ramp_response": column(("duration", "since_start"), u, "1", "u / slope of the ramp"),
        },
        {
            "duration": column("duration", RAMPS, "tau_K", "duration of the ramp"),
            "since_start": column("since_start", times, "tau_K", "time after the ramp's start"),
        },
    )


def _cycles(points: int) -> xr.Dataset:
    """Two periods of a sawtooth of height 1 around 1, in the periodic steady state, and what passes θ."""
    saw = Signal.sawtooth(0.5, 1.5, rise=RISE, fall=FALL, periodic=True)
    times = np.unique(np.append(np.linspace(-2, 18, 2 * points), [-1.0, 0.0, 1.0, 9.0, 10.0, 11.0]))
    kernels = _kernels()
    thetas = np.array([threshold("geometric", amplitude_max=1.0, rise=RISE, fall=FALL), saw.mean])
    u = np.array([kernel.respond(saw, times) for kernel in kernels.values()])
    heard = np.array([thresholded(row, theta) for row, theta in zip(u, thetas, strict=True)])
    units = np.array(
        [1 / RISE, 1.0]
    )  # a derivative of s is seen beside its slope, an average beside its level
    return xr.Dataset(
        {
            "saw": column("time", saw(times), "A", "signal s"),
            "saw_response": column(("memory", "time"), u / units[:, None], "1", "u over A/rise, or over A"),
            "heard": column(("memory", "time"), heard / units[:, None], "1", "g(u) in the units of u"),
            "threshold": column("memory", thetas / units, "1", "threshold in the units of u"),
        },
        {"memory": list(kernels), "time": column("time", times * RATE, "tau_K", "time")},
    )


def _updates(points: int) -> xr.Dataset:
    """Δw against the contrast for both kernels at three means, amplitudes and means in units of A_max."""
    amplitudes = np.linspace(-1.2, 1.2, points)
    means = np.array([0.0, 0.5, 1.0])
    thetas = [threshold("down_ramp", amplitude_max=1.0, rise=RISE, fall=FALL), LEAKY_THRESHOLD]
    updates = [
        [
            update_curve(kernel, amplitudes, threshold=theta, rise=RISE, fall=FALL, mean=mean).updates
            for mean in means
        ]
        for kernel, theta in zip(_kernels().values(), thetas, strict=True)
    ]
    # What a leaky kernel adds up over a period is its mean times the period, not a contrast.
    units = np.array([1.0, RISE + FALL])
    return xr.Dataset(
        {
            "weight_update": column(
                ("memory", "mean", "amplitude"),
                np.array(updates) / units[:, None, None],
                "A_max",
                "update; of the leaky kernel per unit of time",
            ),
            "update_threshold": column("memory", thetas, "A_max/time; A_max", "threshold of the updates"),
        },
        {
            "memory": list(_kernels()),
            "mean": column("mean", means, "A_max", "time mean of the signal"),
            "amplitude": column("amplitude", amplitudes, "A_max", "contrast, clamped - free"),
        },
    )


def _limit() -> xr.Dataset:
    """Gain Δw/A where τ_K ≪ τ_f ≪ τ_s is better and better met (F8)."""
    separations = np.array([10.0, 30.0, 100.0, 300.0, 1000.0])
    gains = []
    for separation in separations:
        rise = separation / RATE
        swings = {"rise": rise, "fall": separation * rise}
        theta = threshold("geometric", amplitude_max=1.0, **swings)
        gains.append(update_curve(_kernels()["two lobes"], [1.0], threshold=theta, **swings).updates[0])
    return xr.Dataset(
        {"gain": column("separation", gains, "1", "update over contrast")},
        {"separation": column("separation", separations, "1", "tau_f/tau_K = tau_s/tau_f")},
    )


def _sign_share(data: xr.Dataset, memory: str) -> float:
    """Share of the updates that depends on the sign of the contrast: 1 for a contrast, 0 for none."""
    update = data.weight_update.sel(memory=memory)
    flipped = update.isel(amplitude=slice(None, None, -1)).values
    odd, even = np.abs(update.values - flipped).sum(), np.abs(update.values + flipped).sum()
    return float(odd / (odd + even))


def _claims(data: xr.Dataset) -> tuple[Claim, ...]:
    residual = float(data.residual.sel(memory="two lobes"))
    slopes = data.ramp_response.interp(since_start=data.duration * 0.999).values
    gains = data.gain.values
    shares = [_sign_share(data, memory) for memory in ("two lobes", "leaky")]
    return (
        judged(
            "the constant parts of a signal leave no output (Fig. 2B)",
            f"{residual:.1e} of the peak of a step response stays",
            residual,
            high=1e-9,
        ),
        judged(
            "u is the derivative of s over a finite time (Fig. 2B)",
            f"at the end of ramps of {', '.join(f'{d:g}' for d in RAMPS)} τ_K u is "
            f"{', '.join(f'{u:.3f}' for u in slopes)} of the slope",
            slopes[-1],
            0.99,
            1.01,
        ),
        judged(
            "Δw = A for τ_K ≪ τ_f ≪ τ_s (F8)",
            f"Δw/A = {', '.join(f'{g:.4f}' for g in gains)} at τ_f/τ_K = τ_s/τ_f = "
            f"{', '.join(f'{s:g}' for s in data.separation.values)}",
            gains[-1] if np.all(np.diff(gains) > 0) else -np.inf,
            0.995,
            1.005,
        ),
        judged(
            "a monotonic kernel cannot contrast free with clamped (Fig. 2)",
            f"{shares[1]:.1%} of its updates depend on the sign of A; {shares[0]:.1%} with two lobes",
            shares[1],
            high=0.05,
        ),
    )


@styled
def _draw(data: xr.Dataset) -> Figure:
    figure = Sheet(figsize=(10.8, 6.6), layout="constrained")
    grid = figure.add_gridspec(2, 3)
    _draw_kernels(figure.add_subplot(grid[0, 0]), data)
    _draw_step(*_stacked(figure, grid[0, 1]), data)
    _draw_ramps(*_stacked(figure, grid[0, 2]), data)
    _draw_cycle(*_stacked(figure, grid[1, 0]), data, "two lobes")
    _draw_cycle(*_stacked(figure, grid[1, 1]), data, "leaky")
    _draw_updates(*_stacked(figure, grid[1, 2], (1, 1)), data)
    return figure


def _stacked(figure: Figure, cell: SubplotSpec, heights: tuple[int, int] = (1, 2)) -> tuple[Axes, Axes]:
    """Two panels above each other with one horizontal axis."""
    inner = cell.subgridspec(2, 1, height_ratios=heights)
    below = figure.add_subplot(inner[1])
    above = figure.add_subplot(inner[0], sharex=below)
    above.tick_params(labelbottom=False)
    return above, below


def _draw_kernels(ax: Axes, data: xr.Dataset) -> None:
    lobes, leaky = (data.kernel.sel(memory=memory).values for memory in ("two lobes", "leaky"))
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.fill_between(data.lag, lobes, where=lobes > 0, color=BLUE, alpha=0.25, linewidth=0)
    ax.fill_between(data.lag, lobes, where=lobes < 0, color=BLUE, alpha=0.1, linewidth=0, hatch="////")
    ax.plot(data.lag, lobes, color=BLUE, label="two lobes of equal area")
    ax.plot(data.lag, leaky, "--", color=ORANGE, label=r"leaky, $e^{-\tau/\tau_K}$ (control)")
    ax.set(xlabel=r"lag $\tau/\tau_K$", ylabel="K / max K")
    ax.legend(loc="upper right")
    letter(ax, "A", "kernels: two lobes, or one")


def _draw_step(above: Axes, below: Axes, data: xr.Dataset) -> None:
    above.plot([-2, 0, 0, 12], [0, 0, 1, 1], color=BLACK)
    above.set(ylabel="s / A", yticks=[0, 1])
    letter(above, "B", "step: its level is forgotten, or kept")
    below.axhline(0, color=GREY, linewidth=0.8)
    for memory, line, colour in (("two lobes", "-", BLUE), ("leaky", "--", ORANGE)):
        below.plot(data.since_step, data.step_response.sel(memory=memory), line, color=colour, label=memory)
    below.set(xlabel=r"time after the step / $\tau_K$", ylabel="u / max u")
    below.legend(loc="center right")


def _draw_ramps(above: Axes, below: Axes, data: xr.Dataset) -> None:
    looks = ((PURPLE, ":"), (GREEN, "--"), (BLUE, "-"))
    below.axhline(1, color=GREY, linewidth=0.8, linestyle=(0, (1, 3)))
    times = data.since_start.values
    for duration, (colour, line) in zip(data.duration.values, looks, strict=True):
        chosen = data.sel(duration=duration)
        above.plot(times, chosen.ramp, line, color=colour)
        below.plot(
            data.since_start,
            chosen.ramp_response,
            line,
            color=colour,
            label=rf"{duration:g} $\tau_K$",
        )
    above.set(ylabel="s / A", yticks=[0, 1])
    below.set(xlabel=r"time after the ramp's start / $\tau_K$", ylabel="u / slope of the ramp")
    below.legend(title="rise in", loc="upper right", bbox_to_anchor=(1.02, 0.97), handlelength=1.8)
    letter(above, "C", "ramps: u tends to their slope")


def _draw_cycle(above: Axes, below: Axes, data: xr.Dataset, memory: str) -> None:
    times, chosen = data.time.values, data.sel(memory=memory)
    u, heard, theta = chosen.saw_response.values, chosen.heard.values, float(chosen.threshold)
    colour, name = (BLUE, "D") if memory == "two lobes" else (ORANGE, "E")
    above.plot(times, data.saw, color=BLACK)
    above.set(ylabel="s / A", yticks=[0.5, 1.5], yticklabels=["free", "clamped"], ylim=(0.35, 1.65))
    above.yaxis.label.set_visible(False)
    below.axhline(0, color=GREY, linewidth=0.8)
    for level in (theta, -theta) if memory == "two lobes" else (theta,):
        below.axhline(level, color=GREY, linewidth=0.8, linestyle="--")
    at: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "color": GREY}
    below.annotate(r"$\theta$", (times[-1], theta), (8, 2), **at)
    below.fill_between(times, heard, step=None, where=heard != 0, color=GREEN, alpha=0.35, linewidth=0)
    below.plot(times, u, color=colour)
    below.set(xlabel=r"time / $\tau_K$", ylabel=r"$u\,\tau_f/A$" if memory == "two lobes" else "u / A")
    title = (
        r"two lobes: the rise alone passes $\theta$"
        if memory == "two lobes"
        else r"leaky: both swings pass $\theta$"
    )
    letter(above, name, title)


def _draw_updates(above: Axes, below: Axes, data: xr.Dataset) -> None:
    above.plot([-1, 1], [-1, 1], color=GREEN, linewidth=5, alpha=0.3)
    above.annotate("ideal", (0.72, 0.72), (-8, 8), textcoords="offset points", ha="right", color=GREEN)
    above.text(-0.95, 0.5, "the same\nat all means", fontsize=8)
    looks = ((BLACK, "-"), (SKY, "--"), (PURPLE, ":"))
    for ax, memory in ((above, "two lobes"), (below, "leaky")):
        ax.axhline(0, color=GREY, linewidth=0.6)
        ax.axvline(0, color=GREY, linewidth=0.6)
        for mean, (colour, line) in zip(data["mean"].values, looks, strict=True):
            chosen = data.weight_update.sel(memory=memory, mean=mean)
            ax.plot(data.amplitude, chosen, line, color=colour)
            if memory == "leaky":
                name = {0.0: "0", 1.0: "A_{max}"}.get(mean, rf"{mean:g}\,A_{{max}}")
                at: dict[str, Any] = {"textcoords": "offset points", "ha": "right"}
                ax.annotate(rf"$\bar s = {name}$", (1.2, float(chosen[-1])), (0, 4), **at)
    above.set(ylabel=r"$\Delta w / A_{max}$")
    below.set(xlabel=r"contrast $A / A_{max}$", ylabel=r"$\Delta w / (A_{max} T)$", ylim=(-0.1, 1.2))
    letter(above, "F", "learned: the contrast, or the mean")
