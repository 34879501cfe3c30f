"""Picture of a measured kernel: the kernel in its confidence bands, above the response that it comes from."""

from __future__ import annotations

import json

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chemlearn.colours import BLUE, GREY, ORANGE
from chemlearn.kernels.kernel import Kernel
from chemlearn.measured import MeasuredKernel

_SIZE = (6.4, 5.6)
_WIDE = 1000.0  # the last lag over the first one, from which on the axis is logarithmic


def plot_measured_kernel(found: MeasuredKernel, reference: Kernel | None = None) -> Figure:
    """The kernel with its bands, and the mean response with its errors and its spline.

    Where the lags span decades their axis is logarithmic and shows τ K(τ), whose area there is that of K.

    Parameters
    ----------
    found : MeasuredKernel
    reference : Kernel, optional
        What to compare with, such as the kernel of the rate equations.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=_SIZE, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1.6, 1])
    lags = found.lags[found.lags > 0]
    wide = bool(lags[-1] > _WIDE * lags[0])
    for ax in (above, below):
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=9)
        ax.axhline(0, color=GREY, linewidth=0.8, zorder=0)
        if wide:
            ax.set_xscale("log")
    _kernel(above, found, reference, wide)
    _response(below, found, reference, wide)
    u, s = _roles(found)
    above.set_ylabel(f"τ K(τ): {u} per {s}" if wide else f"K(τ): {u} per {s} and time")
    below.set_ylabel(f"R(τ): {u} per {s}")
    below.set_xlabel("lag τ after the step (time unit of the model)")
    handles = [ax.get_legend_handles_labels() for ax in (above, below)]
    entries = dict(zip(handles[1][1] + handles[0][1], handles[1][0] + handles[0][0], strict=True))
    figure.legend(
        entries.values(), entries.keys(), loc="outside lower center", ncols=2, frameon=False, fontsize=9
    )
    above.set_title(
        f"{found.trajectories} {found.method}: area {found.area}, M₁ {found.first_moment}",
        fontsize=9,
        loc="left",
    )
    return figure


def _shown(found: MeasuredKernel, wide: bool) -> np.ndarray:
    """Which lags there is a place for."""
    return found.lags > 0 if wide else found.lags >= 0


def _kernel(ax: Axes, found: MeasuredKernel, reference: Kernel | None, wide: bool) -> None:
    """The kernel in its bands, at the lags."""
    shown = _shown(found, wide)
    lags, percent = found.lags[shown], f"{100 * found.confidence:g} %"
    weight = lags if wide else np.ones(len(lags))
    for simultaneous, alpha, words in (
        (True, 0.15, "all lags together"),
        (False, 0.35, "each lag by itself"),
    ):
        low, high = (weight * end[shown] for end in found.band(simultaneous=simultaneous))
        ax.fill_between(lags, low, high, color=BLUE, alpha=alpha, linewidth=0, label=f"{percent}, {words}")
    ax.plot(lags, weight * found.data.kernel.values[shown], color=BLUE, linewidth=1.4, label="measured")
    if reference is not None:
        fine = _fine(lags, wide)
        values = reference.tail(0, fine) * (fine if wide else 1.0)
        ax.plot(fine, values, "--", color="black", linewidth=1.2, label="rate equations")


def _response(ax: Axes, found: MeasuredKernel, reference: Kernel | None, wide: bool) -> None:
    """The mean response at the lags, and the spline whose derivative is the kernel."""
    shown = _shown(found, wide)
    lags, data = found.lags[shown], found.data
    ax.errorbar(
        lags, data.response.values[shown], data.response_error.values[shown],
        fmt="o", color=ORANGE, ms=2.5, linewidth=0.8, label="mean response ± 1 s.e.",
    )  # fmt: skip
    ax.plot(lags, data.smooth.values[shown], color=BLUE, linewidth=1.4)
    if reference is not None:
        fine = _fine(lags, wide)
        ax.plot(fine, reference.step_response(fine), "--", color="black", linewidth=1.2)


def _fine(lags: np.ndarray, wide: bool) -> np.ndarray:
    return np.geomspace(lags[0], lags[-1], 500) if wide else np.linspace(lags[0], lags[-1], 500)


def _roles(found: MeasuredKernel) -> tuple[str, str]:
    """What the output and the input are called."""
    roles = json.loads(found.data.attrs.get("roles", "{}"))
    return roles.get("output", "output"), roles.get("input", "input")
