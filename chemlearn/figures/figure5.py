"""F Fig. 5: a kernel with an area adds an offset to what is learned, and it grows with the rise time."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from chemlearn.curves.metrics import published_range
from chemlearn.curves.update import ThresholdRule, threshold, update_curve
from chemlearn.figures.shared import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LEVELS,
    ORANGE,
    PURPLE,
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
from chemlearn.kernels.kernel import celani_vergassola

RATE = 20.0
"""B of the kernel: τ_K = 1/20."""

AREA, MEAN, AMPLITUDE_MAX = 0.05, 25.0, 100.0
"""I, s̄ and A_max of Fig. 5C."""

AMPLITUDES = np.linspace(0, 0.75 * AMPLITUDE_MAX, 400, endpoint=False)
"""Contrasts of the published curves."""

AREAS = np.array([0.0, AREA, 1.0])
"""Areas of the kernels that are shown."""

RISE, FALL = 4.0, 36.0
"""The protocol of panel B."""

MEANS = np.array([-25.0, 0.0, 25.0])
"""Means of panel B."""

RULES: tuple[ThresholdRule, ...] = ("down_ramp", "eq45", "safe")
"""Threshold rules: what Fig. 5C was made with, what App. D.2 states, and one that holds for any area."""

LONG = 20.0
"""Falls above this are long enough for the published fit to see the offset well."""

OUTLIERS = (0.0, 0.5)
"""Offsets outside, over A_max, were removed from the published figure."""

FRAME = (-0.06, 0.11)
"""Offsets over A_max that panels D to F show."""


def fig5(*, fast: bool = False, seed: int = SEED) -> Drawn:
    """Kernels with an area, update curves, and the offset of 1,000 random protocols by three thresholds.

    Parameters
    ----------
    fast : bool
        40 protocols instead of 1,000.
    seed : int
        Root seed of the protocols, τ_f = 0.2, 0.4, …, 4.8 and τ_s = 0.2, 0.4, …, 49.8, as published.
    """
    data = _data(fast, seed)
    return Drawn(data, _draw(data), _claims(data))


def _theta(rule: ThresholdRule, rise: float, fall: float) -> float:
    how = {"kernel_area": AREA, "mean": MEAN}
    return threshold(rule, amplitude_max=AMPLITUDE_MAX, rise=rise, fall=fall, **how)


def _data(fast: bool, seed: int) -> xr.Dataset:
    count = 40 if fast else 1000
    data = xr.merge([_kernels(), _curves(), _fall(), _offsets(count, seed)])
    how = {"rate": RATE, "area": AREA, "mean": MEAN, "amplitude_max": AMPLITUDE_MAX, "protocols": count}
    return annotated(data, figure="5", fast=fast, seed=seed, **how)


def _kernels() -> xr.Dataset:
    lags = np.linspace(0, 10, 401)
    kernels = [celani_vergassola(area, RATE) for area in AREAS]
    return xr.Dataset(
        {
            "kernel": column(("area", "lag"), [k(lags / RATE) for k in kernels], "1/time^2", "K"),
            "step_response": column(
                ("area", "lag"), [k.step_response(lags / RATE) for k in kernels], "1/time", "answer to a step"
            ),
        },
        {
            "area": column("area", AREAS, "1/time", "area of the kernel"),
            "lag": column("lag", lags, "tau_K", "lag"),
        },
    )


def _curves() -> xr.Dataset:
    """Update curves of one protocol at several means, with the published threshold."""
    amplitudes = np.linspace(0, 1, 301)[1:] * AMPLITUDE_MAX
    how: dict[str, Any] = {"threshold": AMPLITUDE_MAX / FALL, "rise": RISE, "fall": FALL}
    kernel = celani_vergassola(AREA, RATE)
    updates = [update_curve(kernel, amplitudes, mean=mean, **how).updates for mean in MEANS]
    return xr.Dataset(
        {
            "weight_update": column(
                ("mean", "amplitude"), np.array(updates) / AMPLITUDE_MAX, "A_max", "update"
            )
        },
        {
            "mean": column("mean", MEANS, "s", "time mean of the signal"),
            "amplitude": column("amplitude", amplitudes / AMPLITUDE_MAX, "A_max", "contrast"),
        },
    )


def _fall() -> xr.Dataset:
    """u at both ends of the slow swing at the largest contrast, and the thresholds, against τ_s (F38)."""
    falls = np.geomspace(2, 200, 241)
    ends = [AREA * (MEAN + side * AMPLITUDE_MAX / 2) - AMPLITUDE_MAX / falls for side in (1, -1)]
    thetas = [[_theta(rule, RISE, fall) for fall in falls] for rule in RULES]
    return xr.Dataset(
        {
            "fall_end": column(("end", "fall_shown"), np.abs(ends), "u", "size of u at an end of the fall"),
            "theta": column(("rule", "fall_shown"), thetas, "u", "threshold"),
        },
        {
            "end": ["start", "stop"],
            "rule": list(RULES),
            "fall_shown": column("fall_shown", falls, "time", "tau_s"),
        },
    )


def _offsets(count: int, seed: int) -> xr.Dataset:
    """Range and offset of random protocols by the published fit, for each threshold rule."""
    rng = np.random.default_rng(seed)
    rises, falls = rng.integers(1, 25, count) / 5, rng.integers(1, 250, count) / 5
    kernel = celani_vergassola(AREA, RATE)
    lowest, offsets = np.empty((2, len(RULES), count))
    for j, rule in enumerate(RULES):
        for i, (rise, fall) in enumerate(zip(rises, falls, strict=True)):
            how = {"threshold": _theta(rule, rise, fall), "rise": rise, "fall": fall, "mean": MEAN}
            fit = published_range(update_curve(kernel, AMPLITUDES, **how), AMPLITUDE_MAX)
            lowest[j, i], offsets[j, i] = fit.amplitude_min, fit.offset
    dims = ("rule", "protocol")
    return xr.Dataset(
        {
            "rise": column("protocol", rises, "time", "tau_f"),
            "fall": column("protocol", falls, "time", "tau_s"),
            "amplitude_min": column(dims, lowest, "s", "bottom of the range by the published fit"),
            "offset": column(dims, offsets / AMPLITUDE_MAX, "A_max", "intercept of the third segment"),
        },
        {"rule": list(RULES)},
    )


def _kept(data: xr.Dataset, rule: ThresholdRule) -> xr.Dataset:
    """Protocols with a range and with an offset that was not removed as an outlier."""
    chosen = data[["rise", "fall", "offset"]].sel(rule=rule)
    return chosen.where((chosen.offset >= OUTLIERS[0]) & (chosen.offset <= OUTLIERS[1]), drop=True)


def _slope(kept: xr.Dataset) -> float:
    """Least-squares slope of offset/A_max on τ_f; nan for fewer than three protocols."""
    if kept.sizes["protocol"] < 3:
        return np.nan
    return float(np.polyfit(kept.rise, kept.offset, 1)[0])


def _claims(data: xr.Dataset) -> tuple[Claim, ...]:
    predicted = AREA * MEAN / AMPLITUDE_MAX
    slopes = {}
    for rule in RULES:
        kept = _kept(data, rule)
        slopes[rule] = _slope(kept.where(kept.fall > LONG, drop=True)), _slope(kept), kept.sizes["protocol"]
    silenced = int((AMPLITUDE_MAX / data.fall <= AREA * MEAN).sum())
    count = data.sizes["protocol"]

    def told(rule: ThresholdRule) -> str:
        long, every, kept = slopes[rule]
        slow = f"no slope for τ_s > {LONG:g}" if np.isnan(long) else f"slope {long:.4f} for τ_s > {LONG:g}"
        rest = "" if np.isnan(every) else f", {every:.4f} over all"
        removed = int(np.isfinite(data.offset.sel(rule=rule)).sum()) - kept
        left_out = f", {removed} more were left out as outliers, as when published" if removed else ""
        return f"{slow}{rest}; {kept} of {count} protocols have an offset{left_out}"

    offset_grows = f"offset/A_max grows with τ_f by I s̄/A_max = {predicted:g} (F10, Fig. 5C)"
    return (
        judged(
            f"{offset_grows}, with θ = A_max/τ_s as in the published data",
            told("down_ramp"),
            slopes["down_ramp"][0] / predicted,
            0.8,
            1.2,
        ),
        Claim(
            f"{offset_grows}, with θ by Eq. 45 as App. D.2 states",
            f"{told('eq45')}; Eq. 45 silences the whole fall only where I s̄ ≥ A_max/τ_s, "
            f"in {silenced} of {count}",
            bool(0.8 <= slopes["eq45"][0] / predicted <= 1.2),
        ),
        judged(
            f"{offset_grows}, with a θ above u on the whole fall (not in the paper)",
            told("safe"),
            slopes["safe"][0] / predicted,
            0.8,
            1.2,
        ),
    )


@styled
def _draw(data: xr.Dataset) -> Figure:
    figure, ((kernels, curves, fall), scatters) = panels(2, 3, (11.0, 7.0))
    _draw_kernels(kernels, data)
    _draw_curves(curves, data)
    _draw_fall(fall, data)
    titles = (
        r"$\theta = A_{max}/\tau_s$ (published data)",
        r"$\theta$ by Eq. 45",
        r"$\theta$ above all of the fall",
    )
    for ax, rule, name, title in zip(scatters, RULES, "DEF", titles, strict=True):
        points = _draw_offsets(ax, data, rule)
        letter(ax, name, f"{title}\n{_counted(data, rule)}")
    scatters[1].sharey(scatters[0])
    scatters[2].sharey(scatters[0])
    scatters[0].set(ylabel=r"offset$/A_{max}$")
    scatters[0].legend(loc="upper left")
    figure.colorbar(points, ax=scatters.tolist(), label=r"fall $\tau_s/\tau_K$", pad=0.01)
    return figure


def _draw_kernels(ax: Axes, data: xr.Dataset) -> None:
    ax.axhline(0, color=GREY, linewidth=0.8)
    looks = ((BLACK, "-"), (ORANGE, (0, (1, 1.5))), (BLUE, "--"))
    for area, (colour, line) in zip(data.area.values, looks, strict=True):
        shown = data.step_response.sel(area=area)
        ax.plot(data.lag, shown, color=colour, linestyle=line, label=f"I = {area:g}")
    ax.set(xlabel=r"time after a step / $\tau_K$", ylabel="u / size of the step")
    ax.legend(loc="upper right")
    letter(ax, "A", "an area I: a level is not forgotten")


def _draw_curves(ax: Axes, data: xr.Dataset) -> None:
    ax.axhline(0, color=GREY, linewidth=0.8)
    looks = ((PURPLE, "-."), (BLACK, "-"), (BLUE, "--"))
    for mean, (colour, line) in zip(data["mean"].values, looks, strict=True):
        update = data.weight_update.sel(mean=mean)
        error = (update - data.amplitude).where(update != 0)
        ax.plot(data.amplitude, error, line, color=colour, label=rf"$\bar s = {mean:g}$")
        ax.axhline(AREA * mean * RISE / AMPLITUDE_MAX, color=colour, linewidth=0.8, linestyle=":")
    ax.set(
        xlabel=r"contrast $A/A_{max}$", ylabel=r"$(\Delta w - A)/A_{max}$", xlim=(0, 1), ylim=(-0.16, 0.16)
    )
    ax.legend(loc="upper right", title=r"dotted: $I \bar s \tau_f$", alignment="left")
    letter(ax, "B", "it adds an offset")


def _draw_fall(ax: Axes, data: xr.Dataset) -> None:
    shown = data.fall_shown
    ax.axvspan(2, 49.8, color=GREY, alpha=0.12, linewidth=0, label=r"$\tau_s$ of D, E, F")
    ax.plot(shown, data.fall_end.sel(end="start"), color=BLUE, label="where the fall starts: Eq. 45")
    ax.plot(shown, data.fall_end.sel(end="stop"), "--", color=GREEN, label="where it ends")
    ax.plot(shown, data.theta.sel(rule="down_ramp"), ":", color=ORANGE, label=r"$A_{max}/\tau_s$")
    even = AMPLITUDE_MAX / (AREA * MEAN)
    ax.axvline(even, ymax=0.65, color=GREY, linewidth=0.8)
    ax.annotate(r"$I \bar s = A_{max}/\tau_s$", (even, 0.35), (3, 0), textcoords="offset points")
    ax.set(xscale="log", yscale="log", xlim=(2, 500), ylim=(0.3, 300))
    ax.set(xlabel=r"fall $\tau_s$", ylabel=r"$|u|$ at $A_{max}$")
    ax.legend(loc="upper right")
    letter(ax, "C", "Eq. 45 takes the lower end of the fall")


def _counted(data: xr.Dataset, rule: ThresholdRule) -> str:
    """How many protocols a panel shows, of how many."""
    kept = _kept(data, rule)
    above = int((kept.offset > FRAME[1]).sum())
    beyond = f" ({above} above the frame)" if above else ""
    return f"{kept.sizes['protocol']} of {data.sizes['protocol']} protocols{beyond}"


def _draw_offsets(ax: Axes, data: xr.Dataset, rule: ThresholdRule) -> PathCollection:
    chosen, kept = data.sel(rule=rule), _kept(data, rule)
    away = chosen.where((chosen.offset < OUTLIERS[0]) | (chosen.offset > OUTLIERS[1]), drop=True)
    label = "outliers, removed when published"
    ax.plot(away.rise * RATE, away.offset, "x", color=GREY, markersize=3, label=label)
    points = ax.scatter(
        kept.rise * RATE, kept.offset, c=kept.fall * RATE, cmap=LEVELS, vmin=0, vmax=1000, s=9, linewidths=0
    )
    rises = np.array([0.0, 4.8])
    slope = AREA * MEAN / AMPLITUDE_MAX
    ax.plot(rises * RATE, slope * rises, color=BLACK, linewidth=1.0, label=r"$I \bar s \tau_f/A_{max}$ (F10)")
    ax.set(xlabel=r"rise $\tau_f/\tau_K$", ylim=FRAME)
    return points
