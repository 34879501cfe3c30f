"""Pictures of what an assessment found; every function returns a matplotlib Figure and writes nothing.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; curves also differ in line and marker.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chemlearn.assessment import Assessment
from chemlearn.colours import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY
from chemlearn.curves.curve import UpdateCurve

_SIZE = (6.4, 4.0)


def _figure(rows: int = 1, size: tuple[float, float] = _SIZE, **how: Any) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, 1, squeeze=False, **how)[:, 0]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=9)
    return figure, axes


def _legend(figure: Figure, ax: Axes, columns: int = 2) -> None:
    """Below the plot, where it hides nothing."""
    figure.legend(
        *ax.get_legend_handles_labels(), loc="outside lower center", ncols=columns, frameon=False, fontsize=9
    )


def _zero_line(ax: Axes) -> None:
    ax.axhline(0, color=GREY, linewidth=0.8, zorder=0)


def kernel(found: Assessment) -> Figure:
    """The memory kernel: linear response from the Jacobian, and from a small finite step."""
    figure, (ax,) = _figure()
    end = min(found.step.duration, 12 * found.kernel.half_time)
    lags = np.concatenate(([0.0], np.geomspace(1e-4, 1.0, 600))) * end
    values = found.kernel.tail(0, lags)
    _zero_line(ax)
    ax.fill_between(lags, values, where=values > 0, color=BLUE, alpha=0.15, linewidth=0)
    ax.fill_between(lags, values, where=values < 0, color=ORANGE, alpha=0.15, linewidth=0)
    ax.plot(lags, values, color=BLUE, label="linear response (Jacobian)")
    marks = end * np.unique(np.concatenate((np.geomspace(1e-3, 1, 16), np.linspace(0, 1, 13)[1:])))
    ax.plot(marks, found.step.tail(0, marks), "o", color=ORANGE, ms=4, mfc="none", label="finite step of 1 %")
    if found.kernel.delta:
        instant = f"and an instantaneous part, {found.kernel.delta:.3g} δ(t)"
        ax.set_title(instant, fontsize=9, color=BLUE, loc="right")
    _symmetric_log_if_spiky(ax, values, float(found.kernel.tail(0, np.array(found.kernel.half_time))))
    ax.set_xlabel("lag t (time unit of the model)")
    ax.set_ylabel(f"K(t): {found.model.output} per {found.model.input} and time")
    _legend(figure, ax)
    return figure


def _symmetric_log_if_spiky(ax: Axes, values: np.ndarray, later: float) -> None:
    """A fast spike would hide the slow part of the kernel: compress the axis, but say so."""
    highest, up, down = float(np.max(np.abs(values))), float(values.max()), -float(values.min())
    other = min(up, down) if up > 1e-9 * highest < down else abs(later)
    if 0 < other < 0.02 * highest:
        ax.set_yscale("symlog", linthresh=other)
        ax.set_title("vertical axis linear near zero, logarithmic beyond", fontsize=8, color=GREY, loc="left")


def step_response(found: Assessment) -> Figure:
    """Output after steps of the input of several sizes, per unit of input."""
    figure, (ax,) = _figure()
    _zero_line(ax)
    colours = {-0.5: SKY, -0.1: BLUE, 0.1: ORANGE, 0.5: PURPLE}
    end = 0.0
    for share, data in found.steps.items():
        size = share * (abs(found.cycle.mean) or 1.0)
        u = data[found.model.output].values
        end = float(data.time.values[-1])
        style = "--" if share < 0 else "-"
        label = f"step of {100 * share:+.0f} %".replace("-", "−")
        ax.plot(
            data.time.values,
            (u - data.attrs["rest"]) / size,
            style,
            color=colours[share],
            label=label,
            linewidth=1.4,
        )
    times = np.linspace(0, end, 400)
    ax.plot(
        times, found.kernel.step_response(times), ":", color="black", linewidth=1.6, label="linear response"
    )
    ax.set_xlabel("time after the step (time unit of the model)")
    ax.set_ylabel(f"change of {found.model.output} per change of {found.model.input}")
    _legend(figure, ax, 3)
    return figure


def update(found: Assessment) -> Figure:
    """The update curve by every method, with the ideal contrastive rule."""
    figure, (ax,) = _figure(size=(6.4, 4.6))
    ideal = found.closed.ideal_slope
    largest = float(found.closed.amplitudes[-1])
    _zero_line(ax)
    ax.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    ax.plot(
        [-largest, largest], [-largest, largest], "--", color=GREY, linewidth=1.2, label="ideal, Δw = |M₁| A"
    )
    ax.plot(
        found.closed.amplitudes, found.closed.updates / ideal, color=BLUE, label="closed form from the kernel"
    )
    curve = found.deterministic
    ax.plot(
        curve.amplitudes,
        curve.updates / ideal,
        "s",
        color=ORANGE,
        ms=5,
        mfc="none",
        label="full rate equations",
    )
    if found.ensemble is not None:
        for curve, colour, mark, label, aside in (
            (found.ensemble.pooled, GREEN, "o", "stochastic, synapses pooled", -0.012),
            (found.ensemble.single, PURPLE, "^", "stochastic, one synapse alone", 0.012),
        ):
            _with_errors(ax, curve, ideal, colour, mark, label, aside * largest)
    reach = 1.6 * largest  # one noisy synapse must not squeeze the curve; its bars may leave the frame
    ax.set_ylim(max(-reach, ax.get_ylim()[0]), min(reach, ax.get_ylim()[1]))
    ax.set_xlabel(f"contrast A = clamped − free (units of {found.model.input})")
    ax.set_ylabel(f"update Δw / |M₁| (units of {found.model.input})")
    _legend(figure, ax)
    return figure


def _with_errors(
    ax: Axes, curve: UpdateCurve, ideal: float, colour: str, mark: str, label: str, aside: float
) -> None:
    ax.errorbar(
        curve.amplitudes + aside, curve.updates / ideal, curve.errors / ideal,  # type: ignore[operator]
        fmt=mark, color=colour, ms=5, capsize=3, linewidth=1.2, label=f"{label}, ± 1 s.e.",
    )  # fmt: skip


def cycle(found: Assessment) -> Figure:
    """One learning cycle: the input, what the output makes of it, and what the threshold lets through."""
    figure, (above, below) = _figure(2, (6.4, 4.8), sharex=True, height_ratios=[1, 1.6])
    times = found.cycles.time.values
    largest = float(found.cycles.amplitude.values[-1])
    shown = found.cycles.u.isel(amplitude=-1).values
    free, clamped = found.cycle.mean - largest / 2, found.cycle.mean + largest / 2
    above.plot([0.0, found.cycle.rise, found.cycle.period], [free, clamped, free], color=BLUE)
    above.set_ylabel(f"input {found.model.input}")
    _zero_line(below)
    below.axhspan(
        -found.threshold,
        found.threshold,
        color=GREY,
        alpha=0.15,
        linewidth=0,
        label="below threshold, not heard",
    )
    heard = np.abs(shown) >= found.threshold
    below.fill_between(
        times, shown, where=heard, color=GREEN, alpha=0.3, linewidth=0, label="adds to the weight"
    )
    below.plot(times, shown, color=ORANGE, label=f"{found.model.output}, rate equations")
    below.set_ylabel(f"{found.model.output} − its level at rest")
    below.set_xlabel("time (time unit of the model)")
    _legend(figure, below, 3)
    above.set_title(f"one cycle at the largest contrast, {largest:.3g}", fontsize=9, loc="left")
    return figure


def working_range(found: Assessment) -> Figure:
    """Residual, size and speed of the response against the input level."""
    figure, (above, below) = _figure(2, (6.4, 5.0), sharex=True)
    table, working = found.working.table, found.working
    residual = np.maximum(table.residual.values, 1e-6)
    levels = np.abs(table.s.values)  # a negative mean is scanned on its own side
    above.loglog(levels, residual, "-", color=BLUE, label="remains of a step / its peak")
    above.axhline(
        working.tolerance,
        color=ORANGE,
        linestyle="--",
        linewidth=1.2,
        label=f"tolerance {working.tolerance:g}",
    )
    if not working.reason:
        for ax in (above, below):
            ax.axvspan(abs(working.low), abs(working.high), color=GREEN, alpha=0.12, linewidth=0)
        above.plot([], [], color=GREEN, alpha=0.3, linewidth=8, label="working range")
    for ax in (above, below):
        ax.axvline(abs(found.cycle.mean) or 1.0, color=GREY, linewidth=1.0, linestyle=":")
    above.set_ylabel("remaining share")
    above.set_ylim(min(0.5 * np.nanmin(residual), 0.1 * working.tolerance), 2.0)
    moment = np.abs(table.first_moment.values)
    below.loglog(levels, moment, "-", color=PURPLE, label="gain of the update, |M₁|")
    below.loglog(levels, table.half_time.values, "--", color=BLUE, label="half-time")
    low, high = below.get_ylim()
    if high < 10 * low:  # flat curves: a decade at least, or the ticks come too close
        below.set_ylim(low / 10, high * 10)
    sign = "−" if found.cycle.mean < 0 else ""
    below.set_xlabel(f"input level {sign}{found.model.input}")
    below.set_ylabel("|M₁| and half-time")
    above.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    below.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return figure


def dissipation(found: Assessment) -> Figure | None:
    """Share of each pair of reactions in the entropy production; None where that is 0 or not finite."""
    pairs = found.dissipation.pairs
    if not np.isfinite(found.dissipation.rate) or found.dissipation.balanced:
        return None
    order = np.argsort(pairs.contribution.values)[-14:]
    figure, (ax,) = _figure(size=(6.4, 1.2 + 0.28 * len(order)))
    names = [str(n).replace(" / ", " ⇌ ") for n in pairs.pair.values[order]]
    ax.barh(names, pairs.contribution.values[order], color=BLUE)
    ax.set_xlabel(
        f"entropy production at {found.model.input} = {found.dissipation.s:.3g} (k_B per time unit)"
    )
    return figure


FIGURES = {
    "update": update,
    "kernel": kernel,
    "step_response": step_response,
    "cycle": cycle,
    "working_range": working_range,
    "dissipation": dissipation,
}
