"""F Fig. 8: how long the rise must last, in kernel times, for learning to set in."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import brentq

from chemlearn.curves.update import update_curve
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
from chemlearn.kernels.kernel import celani_vergassola
from chemlearn.signal import Signal

RATE = 20.0
"""B of the kernel: τ_K = 1/20."""

AMPLITUDE, PERIOD = 20.0, 20.0
"""The published contrast, and the published period; the rise is part of it."""

SHOWN = np.array([1.5, 2.3, 4.0, 12.0])
"""Rises, in kernel times, of which the course of u is shown: before, between and after the two onsets."""

PUBLISHED = 2.70
"""The published onset of learning, τ_f/τ_K."""


def fig8(*, fast: bool = False, seed: int = SEED) -> Drawn:
    """Update over contrast against τ_f/τ_K at a fixed period, and where it sets in.

    The published rule for the threshold, the mean of the slopes A/τ_f and A/period, is about half of the
    slope of the rise. Rises of some kernel times give a u that passes it only *after* the clamped value has
    been reached, when u still rises for a while; longer ones pass it during the rise. Both onsets are found.

    Parameters
    ----------
    fast : bool
        Fewer points along the curve; the onsets are exact in both cases.
    seed : int
        Recorded; nothing here is random.
    """
    data = _data(fast, seed)
    return Drawn(data, _draw(data), _claims(data))


def _swings(ratio: float) -> dict[str, float]:
    """Rise, fall and threshold for a rise of so many kernel times."""
    rise = ratio / RATE
    slopes = AMPLITUDE / rise, AMPLITUDE / PERIOD
    return {"rise": rise, "fall": PERIOD - rise, "threshold": sum(slopes) / 2}


def _gain(ratio: float) -> float:
    """Δw/A over a whole period."""
    swings = _swings(ratio)
    kernel = celani_vergassola(rate=RATE)
    curve = update_curve(
        kernel, [AMPLITUDE], threshold=swings["threshold"], rise=swings["rise"], fall=swings["fall"]
    )
    return float(curve.updates[0] / AMPLITUDE)


def _answer(ratio: float, times: np.ndarray | float) -> np.ndarray:
    """u in the periodic steady state, t = 0 at the start of a rise."""
    swings = _swings(ratio)
    saw = Signal.sawtooth(
        -AMPLITUDE / 2, AMPLITUDE / 2, rise=swings["rise"], fall=swings["fall"], periodic=True
    )
    return celani_vergassola(rate=RATE).respond(saw, times)


def _excess(ratio: float) -> float:
    """u − θ at the end of the rise, where u is largest while s still rises."""
    swings = _swings(ratio)
    return float(_answer(ratio, swings["rise"])) - swings["threshold"]


def _rise_gain(ratio: float) -> float:
    """What the rise alone adds to Δw/A: ∫ u from where it passes θ to the end of the rise."""
    swings = _swings(ratio)
    rise = swings["rise"]
    if _excess(ratio) <= 0:
        return 0.0
    start = brentq(lambda t: float(_answer(ratio, t)) - swings["threshold"], 0.0, rise, xtol=1e-14)
    saw = Signal.sawtooth(-0.5, 0.5, rise=rise, fall=swings["fall"], periodic=True)
    return float(celani_vergassola(rate=RATE).respond_integral(saw, start, rise))


def _first(positive: float, zero: float) -> float:
    """The ratio between the two at which Δw leaves zero, by halving."""
    while positive - zero > 1e-9:
        middle = (positive + zero) / 2
        positive, zero = (middle, zero) if _gain(middle) > 0 else (positive, middle)
    return positive


def _data(fast: bool, seed: int) -> xr.Dataset:
    onset, rising = _first(4.0, 1.0), brentq(_excess, 1.0, 10.0, xtol=1e-12)
    half = brentq(lambda ratio: _gain(ratio) - 0.5, onset + 0.1, 10.0, xtol=1e-9)
    wide = np.geomspace(1.0, 160.0, 30 if fast else 120)
    close = np.linspace(1.5, 3.5, 14 if fast else 81)
    near = np.geomspace(1e-4, 0.1, 8)  # Δw leaves zero as a square root does
    ratios = np.unique(np.concatenate([wide, close, onset + near, rising + near]))
    times = np.linspace(-0.5, 3.0, 200 if fast else 800)
    courses = [_answer(ratio, times * ratio / RATE) * ratio / RATE / AMPLITUDE for ratio in SHOWN]
    data = xr.Dataset(
        {
            "gain": column("ratio", [_gain(r) for r in ratios], "1", "update over contrast"),
            "rise_gain": column("ratio", [_rise_gain(r) for r in ratios], "1", "part of it from the rise"),
            "course": column(("shown", "time"), courses, "1", "u over the slope of the rise"),
            "threshold": column(
                "shown",
                [_swings(r)["threshold"] * r / RATE / AMPLITUDE for r in SHOWN],
                "1",
                "threshold over the slope of the rise",
            ),
            "onset": column((), onset, "1", "ratio at which the update leaves zero"),
            "onset_in_rise": column((), rising, "1", "ratio at which u reaches the threshold in the rise"),
            "half": column((), half, "1", "ratio at which the update is half of the contrast"),
            "gain_at_published": column((), _gain(PUBLISHED), "1", "update over contrast at 2.70"),
        },
        {
            "ratio": column("ratio", ratios, "1", "tau_f/tau_K"),
            "shown": column("shown", SHOWN, "1", "tau_f/tau_K"),
            "time": column("time", times, "tau_f", "time since the start of the rise"),
        },
    )
    how = {"rate": RATE, "amplitude": AMPLITUDE, "period": PERIOD, "threshold": "(A/rise + A/period)/2"}
    return annotated(data, figure="8", fast=fast, seed=seed, **how)


def _claims(data: xr.Dataset) -> tuple[Claim, ...]:
    onset, rising, half = (float(data[name]) for name in ("onset", "onset_in_rise", "half"))
    last = data.gain.isel(ratio=-1)
    published = f"learning sets in at τ_f/τ_K = {PUBLISHED:.2f} (Fig. 8)"
    return (
        judged(
            f"{published}, read as: u reaches θ while s still rises",
            f"{rising:.4f}",
            rising,
            PUBLISHED - 0.005,
            PUBLISHED + 0.005,
        ),
        judged(
            f"{published}, read as: Δw over the whole period leaves zero",
            f"{onset:.4f}, since u goes on rising after s has stopped; Δw/A is "
            f"{float(data.gain_at_published):.3f} at {PUBLISHED:.2f} and 1/2 at {half:.3f}",
            onset,
            PUBLISHED - 0.005,
            PUBLISHED + 0.005,
        ),
        judged(
            "Δw approaches A for τ_f ≫ τ_K (App. A.3)",
            f"Δw/A rises to {float(last):.3f} at τ_f/τ_K = {float(last.ratio):g}",
            float(last),
            0.95,
            1.0,
        ),
    )


@styled
def _draw(data: xr.Dataset) -> Figure:
    figure, ((wide, close, courses),) = panels(1, 3, (11.0, 3.7))
    _draw_gain(wide, data)
    wide.set(xscale="log", xlim=(1, 170), ylim=(-0.03, 1.05))
    wide.xaxis.set_major_formatter("{x:g}")
    wide.legend(loc="center right")
    letter(wide, "A", "update against the length of the rise")
    _draw_gain(close, data)
    close.set(xlim=(1.5, 3.5), ylim=(-0.03, 0.75))
    _mark_onsets(close, data)
    letter(close, "B", "the onset")
    _draw_courses(courses, data)
    return figure


def _draw_gain(ax: Axes, data: xr.Dataset) -> None:
    ax.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
    ax.plot(data.ratio, data.gain, color=BLUE, label="whole period")
    ax.plot(data.ratio, data.rise_gain, "--", color=ORANGE, label="from the rise alone")
    ax.set(xlabel=r"rise $\tau_f/\tau_K$", ylabel=r"update $\Delta w/A$")


def _mark_onsets(ax: Axes, data: xr.Dataset) -> None:
    for name, colour, words, height, side in (
        ("onset", BLUE, "Δw leaves\nzero", 0.5, "right"),
        ("onset_in_rise", ORANGE, "u reaches θ\nduring the rise", 0.6, "left"),
    ):
        at = float(data[name])
        ax.axvline(at, color=colour, linewidth=0.9, linestyle=":")
        aside: dict[str, Any] = {"textcoords": "offset points", "ha": side, "color": colour}
        ax.annotate(f"{words}\n{at:.3f}", (at, height), (4 if side == "left" else -4, 0), **aside)
    ax.plot(PUBLISHED, 0, "v", color=BLACK, clip_on=False, zorder=5)
    ax.annotate("published\n2.70", (PUBLISHED, 0), (-6, 6), textcoords="offset points", ha="right")


def _draw_courses(ax: Axes, data: xr.Dataset) -> None:
    ax.axvspan(0, 1, color=GREY, alpha=0.12, linewidth=0)
    ax.axhline(0, color=GREY, linewidth=0.8)
    looks = ((SKY, ":"), (BLUE, "-"), (PURPLE, "-."), (GREEN, "--"))
    for ratio, (colour, line) in zip(data.shown.values, looks, strict=True):
        ax.plot(data.time, data.course.sel(shown=ratio), line, color=colour, label=rf"{ratio:g} $\tau_K$")
    ax.axhline(float(data.threshold[0]), color=BLACK, linewidth=0.9, linestyle="--")
    ax.annotate(r"$\theta$", (3.0, float(data.threshold[0])), (0, 3), textcoords="offset points")
    ax.text(0.5, 1.06, "s rises", ha="center", color=GREY)
    ax.set(xlabel=r"time / $\tau_f$", ylabel=r"$u\,\tau_f/A$", ylim=(-0.1, 1.15))
    ax.legend(title="rise in", loc="upper right")
    letter(ax, "C", "u passes the threshold late, or never")
