"""F Fig. 4: the range of contrasts that is learned, against the timescales of the protocol."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from chemlearn.curves.metrics import published_range
from chemlearn.curves.update import threshold, update_curve
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
from chemlearn.kernels.kernel import Kernel, celani_vergassola
from chemlearn.signal import Signal

RATE = 20.0
"""B of the kernel: τ_K = 1/20."""

AMPLITUDE_MAX = 100.0
"""The largest contrast that is to be learned."""

AMPLITUDES = np.linspace(0, 0.75 * AMPLITUDE_MAX, 400, endpoint=False)
"""Contrasts of the published curves."""

RISE, FALL = 1.0, 9.0
"""The protocol of panels A and B."""

SHOWN = np.array([7.0, 50.0, 120.0])
"""Contrasts of panel A: too small, learned, too large."""

FALLS = np.array([3.0, 9.0, 50.0])
"""Slow swings of panel B."""

ROUNDING = 1e-9
"""A share of the bound that exceeds 1 by less does so by rounding: u on a long rise is its slope."""

SLOW = 20.0
"""Rises of at least so many kernel times are long for the kernel."""


def fig4(*, fast: bool = False, seed: int = SEED) -> Drawn:
    """Protocols, update curves, and dynamic range of 1,000 random protocols beside the bound of F9.

    Thresholds are A_max/τ_s, which puts the top of the range at A_max; the bottom is that of the published
    fit of three straight segments. Beside it stands the smallest contrast that is learned at all, which is
    exact.

    Parameters
    ----------
    fast : bool
        60 protocols instead of 1,000.
    seed : int
        Root seed of the protocols, τ_f = 0.1, 0.2, …, 4.9 and τ_s = 0.2, 0.4, …, 49.8, as published.
    """
    data = _data(fast, seed)
    return Drawn(data, _draw(data), _claims(data))


def _theta(rise: float, fall: float) -> float:
    return threshold("down_ramp", amplitude_max=AMPLITUDE_MAX, rise=rise, fall=fall)


def _data(fast: bool, seed: int) -> xr.Dataset:
    kernel = celani_vergassola(rate=RATE)
    count = 60 if fast else 1000
    parts = [_courses(kernel), _curves(kernel, 80 if fast else 400), _best(kernel)]
    parts.append(_ranges(kernel, count, seed))
    how = {"rate": RATE, "amplitude_max": AMPLITUDE_MAX, "mean": 0.0, "threshold": "A_max/fall"}
    return annotated(xr.merge(parts), figure="4", fast=fast, seed=seed, **how, protocols=count)


def _courses(kernel: Kernel) -> xr.Dataset:
    """u over θ for one protocol at contrasts below, in and above the range."""
    times = np.unique(np.append(np.linspace(-1.0, 11.0, 1201), [0.0, RISE, RISE + FALL]))
    saw = Signal.sawtooth(-0.5, 0.5, rise=RISE, fall=FALL, periodic=True)
    u = np.outer(SHOWN, kernel.respond(saw, times)) / _theta(RISE, FALL)
    return xr.Dataset(
        {
            "signal": column("time", saw(times), "A", "signal less its mean"),
            "course": column(("shown", "time"), u, "threshold", "u over the threshold"),
        },
        {
            "shown": column("shown", SHOWN / AMPLITUDE_MAX, "A_max", "contrast"),
            "time": column("time", times * RATE, "tau_K", "time"),
        },
    )


def _curves(kernel: Kernel, points: int) -> xr.Dataset:
    """Update curves of one rise and several falls, with the ranges that the published fit finds in them."""
    amplitudes = np.unique(np.append(np.geomspace(0.01, 1.5, points) * AMPLITUDE_MAX, AMPLITUDES[1:]))
    updates, lowest = [], []
    for fall in FALLS:
        how = {"threshold": _theta(RISE, fall), "rise": RISE, "fall": fall}
        updates.append(update_curve(kernel, amplitudes, **how).updates / AMPLITUDE_MAX)
        fitted = published_range(update_curve(kernel, AMPLITUDES, **how), AMPLITUDE_MAX)
        lowest.append(fitted.amplitude_min / AMPLITUDE_MAX)
    return xr.Dataset(
        {
            "weight_update": column(("fall_shown", "amplitude"), updates, "A_max", "update"),
            "lowest_shown": column("fall_shown", lowest, "A_max", "A_min of the published fit"),
        },
        {
            "fall_shown": column("fall_shown", FALLS, "time", "tau_s of the curves that are shown"),
            "amplitude": column("amplitude", amplitudes / AMPLITUDE_MAX, "A_max", "contrast"),
        },
    )


def _peak(kernel: Kernel, rise: float, fall: float) -> float:
    """Largest u of a swing of height 1; it comes at the end of the rise or up to some kernel times later."""
    saw = Signal.sawtooth(-0.5, 0.5, rise=rise, fall=fall, periodic=True)
    low, high = rise, rise + min(4 / RATE, fall)
    for _ in range(4):  # each look is 16 times as close; u is flat at its peak, so four leave 1e-10 of it
        times = np.linspace(low, high, 33)
        u = kernel.respond(saw, times)
        at = int(np.argmax(u))
        low, high = times[max(at - 1, 0)], times[min(at + 1, 32)]
    return float(u[at])


def _ranges(kernel: Kernel, count: int, seed: int) -> xr.Dataset:
    """Range of random protocols: by the published fit, and from the smallest contrast that is learned."""
    rng = np.random.default_rng(seed)
    rises, falls = rng.integers(1, 50, count) / 10, rng.integers(1, 250, count) / 5
    fits, silent = [], []
    for rise, fall in zip(rises, falls, strict=True):
        theta = _theta(rise, fall)
        curve = update_curve(kernel, AMPLITUDES, threshold=theta, rise=rise, fall=fall)
        fits.append(published_range(curve, AMPLITUDE_MAX))
        silent.append(theta / _peak(kernel, rise, fall))
    lowest, slope, offset = (
        np.array([getattr(fit, name) for fit in fits]) for name in ("amplitude_min", "slope", "offset")
    )
    return xr.Dataset(
        {
            "rise": column("protocol", rises, "time", "tau_f"),
            "fall": column("protocol", falls, "time", "tau_s"),
            "amplitude_min": column("protocol", lowest, "s", "bottom of the range by the published fit"),
            "slope": column("protocol", slope, "1", "slope of the third segment"),
            "offset": column("protocol", offset, "s", "intercept of the third segment"),
            "silent_below": column("protocol", silent, "s", "smallest contrast with an update, exact"),
        }
    )


def _best(kernel: Kernel) -> xr.Dataset:
    """Share of the bound that the smallest contrast with an update reaches, against the rise; fall long."""
    rises = np.geomspace(0.1, 4.9, 60)
    shares = [_peak(kernel, rise, FALLS[-1]) * rise for rise in rises]
    return xr.Dataset(
        {"best_share": column("rise_shown", shares, "1", "largest share of the bound, fall 50")},
        {"rise_shown": column("rise_shown", rises, "time", "tau_f")},
    )


def _slow_line(data: xr.Dataset) -> tuple[float, float, int]:
    """Least-squares line of ln(A_max/A_min) on ln(τ_s/τ_f) where the rise is slow: slope, level, points."""
    chosen = data.where((data.rise * RATE >= SLOW) & np.isfinite(data.amplitude_min), drop=True)
    if chosen.sizes["protocol"] < 3:
        return np.nan, np.nan, chosen.sizes["protocol"]
    x, y = np.log(chosen.fall / chosen.rise), np.log(AMPLITUDE_MAX / chosen.amplitude_min)
    slope, level = np.polyfit(x, y, 1)
    return float(slope), float(level), chosen.sizes["protocol"]


def _shares(data: xr.Dataset, lowest: str) -> xr.DataArray:
    """A_max/A_min as a share of the bound τ_s/τ_f; nan for protocols without a range."""
    return AMPLITUDE_MAX / data[lowest] / (data.fall / data.rise)


def _claims(data: xr.Dataset) -> tuple[Claim, ...]:
    fitted, exact = _shares(data, "amplitude_min"), _shares(data, "silent_below")
    above = int((fitted > 1).sum())
    # The fit knows the curve at its contrasts only, so its break may lie up to one step of these too low.
    steps = float((AMPLITUDE_MAX * data.rise / data.fall - data.amplitude_min).max() / AMPLITUDES[1])
    by = f", by at most {steps:.2f} steps of the contrasts that it is made to" if above else ""
    slope, _, count = _slow_line(data)
    short, long = (float(fitted.where(c).median()) for c in (data.rise * RATE <= 4, data.rise * RATE >= SLOW))
    return (
        judged(
            "A_max/A_min ≤ τ_s/τ_f (F9, Fig. 4C)",
            f"by the published fit {above} of {int(fitted.notnull().sum())} protocols lie above{by}; by the "
            f"smallest contrast that is learned at all, which is exact, {int((exact > 1 + ROUNDING).sum())} "
            f"of {exact.size}",
            max(steps, float((exact - 1).max() / ROUNDING)),
            high=1.0,
        ),
        judged(
            "A_max/A_min grows as τ_s/τ_f (F9, Fig. 4C)",
            f"log-log slope {slope:.3f} over {count} protocols with τ_f ≥ {SLOW:g} τ_K",
            slope,
            0.95,
            1.02,
        ),
        judged(
            "the range breaks down as τ_f comes near τ_K (App. A.3)",
            f"half of the protocols reach {short:.2f} of the bound at τ_f ≤ 4 τ_K, "
            f"{long:.2f} at τ_f ≥ {SLOW:g} τ_K",
            long - short,
            low=0.1,
        ),
    )


@styled
def _draw(data: xr.Dataset) -> Figure:
    figure, ((courses, curves), (ranges, shares)) = panels(2, 2, (9.0, 7.4))
    _draw_courses(courses, data)
    _draw_curves(curves, data)
    _draw_ranges(figure, ranges, data)
    _draw_shares(figure, shares, data)
    return figure


def _draw_courses(ax: Axes, data: xr.Dataset) -> None:
    ax.axhspan(-1, 1, color=GREY, alpha=0.15, linewidth=0)
    looks = ((PURPLE, "--", "the fall passes too"), (BLUE, "-", "learned"), (ORANGE, ":", "nothing passes"))
    for size, (colour, line, words) in zip(data.shown.values[::-1], looks, strict=True):
        label = rf"$A = {size:g}\,A_{{max}}$: {words}"
        ax.plot(data.time, data.course.sel(shown=size), line, color=colour, label=label)
    ax.text(160, 1.15, r"$|u| < \theta = A_{max}/\tau_s$", ha="right", color=GREY)
    ax.set(xlabel=r"time / $\tau_K$", ylabel=r"$u/\theta$", xlim=(-15, 165))
    ax.legend(loc="upper right")
    letter(ax, "A", r"$\theta$ parts the fast from the slow swing")


def _draw_curves(ax: Axes, data: xr.Dataset) -> None:
    ax.plot([0.01, 1.5], [0.01, 1.5], color=GREY, linewidth=0.9, linestyle=(0, (1, 2)), label="ideal")
    looks = ((GREEN, "--", "s"), (BLUE, "-", "o"), (PURPLE, "-.", "^"))
    for fall, (colour, line, mark) in zip(data.fall_shown.values, looks, strict=True):
        chosen = data.sel(fall_shown=fall)
        learned = chosen.weight_update.where(chosen.weight_update > 1e-3)
        ax.plot(data.amplitude, learned, line, color=colour, label=rf"$\tau_s = {fall:g}\,\tau_f$")
        lowest = float(chosen.lowest_shown)
        at = float(np.interp(lowest, data.amplitude, chosen.weight_update))
        ax.plot(lowest, at, mark, color=colour, mfc="white", zorder=3)
    ax.set(xscale="log", yscale="log", xlim=(0.01, 1.6), ylim=(0.005, 1.6))
    ax.set(xlabel=r"contrast $A/A_{max}$", ylabel=r"update $\Delta w/A_{max}$")
    ax.legend(loc="upper left", title=r"$A_{min}$: open markers", alignment="left")
    letter(ax, "B", "a slower fall opens the range downwards")


def _draw_ranges(figure: Figure, ax: Axes, data: xr.Dataset) -> None:
    ratio, ranges = data.fall / data.rise, AMPLITUDE_MAX / data.amplitude_min
    ends = np.array([1.0, float(ratio.max())])
    ax.plot(ends, ends, color=BLACK, linewidth=1.0, label=r"bound, $\tau_s/\tau_f$")
    slope, level, _ = _slow_line(data)
    points = ax.scatter(
        ratio, ranges, c=data.rise * RATE, cmap=LEVELS, norm=LogNorm(2, 100), s=9, linewidths=0, alpha=0.9
    )
    label = rf"slope {slope:.3f}, $\tau_f \geq {SLOW:g}\,\tau_K$"
    ax.plot(ends, np.exp(level) * ends**slope, "--", color=ORANGE, label=label)
    ax.set(xscale="log", yscale="log", xlabel=r"$\tau_s/\tau_f$", ylabel=r"dynamic range $A_{max}/A_{min}$")
    ax.legend(loc="upper left")
    _bar(figure, ax, points, r"rise $\tau_f/\tau_K$", [2, 5, 10, 20, 50, 100])
    letter(ax, "C", "random protocols keep to the bound")


def _draw_shares(figure: Figure, ax: Axes, data: xr.Dataset) -> None:
    rise, bound = data.rise * RATE, data.fall / data.rise
    ax.axhline(1, color=BLACK, linewidth=1.0)
    points = ax.scatter(
        rise,
        _shares(data, "amplitude_min"),
        c=bound,
        cmap=LEVELS,
        norm=LogNorm(1, 500),
        s=9,
        linewidths=0,
    )
    label = "nothing is learned above (exact)"
    ax.plot(data.rise_shown * RATE, data.best_share, color=ORANGE, linewidth=1.0, label=label)
    ax.set(xscale="log", ylim=(0, 1.08), xlabel=r"rise $\tau_f/\tau_K$")
    ax.set(ylabel=r"$(A_{max}/A_{min})\,/\,(\tau_s/\tau_f)$")
    ax.set_xticks([2, 5, 10, 20, 50, 100])
    ax.xaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    ax.legend(loc="lower right")
    _bar(figure, ax, points, r"$\tau_s/\tau_f$", [1, 3, 10, 30, 100, 300])
    letter(ax, "D", "the share of the bound that a rise reaches")


def _bar(figure: Figure, ax: Axes, points: PathCollection, label: str, ticks: list[int]) -> None:
    """A bar of logarithmic colours with plain numbers."""
    bar = figure.colorbar(points, ax=ax, label=label, ticks=ticks, format="{x:g}")
    bar.minorticks_off()
