"""The least offset of a two-rail ladder at each dissipation, over all its rates and not only γ."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chemlearn.figures.ladder_front import GAMMAS, LEVELS, SPEEDS
from chemlearn.figures.ladder_sketch import log_ticks
from chemlearn.figures.pareto_data import AMPLITUDE_MAX, FRONTS, SHOWN, WIDER, pareto_data
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
    judged,
    letter,
    panels,
    styled,
)
from chemlearn.figures.shared import (
    LEVELS as COLOURS,
)


def pareto(*, fast: bool = False, seed: int = SEED) -> Drawn:
    """Fronts of the area of the kernel against dissipation, beside the one-parameter curve of γ.

    Parameters
    ----------
    fast : bool
        5 dissipations and 3 starts each instead of 14 and 12.
    seed : int
        Root seed of the starts.
    """
    data = pareto_data(fast, seed)
    return Drawn(data, _draw(data), _claims(data))


def _saved(data: xr.Dataset, name: str, area: float) -> tuple[float, float]:
    """Dissipation of the one-γ ladder and of a front at an area, by interpolation in its logarithm."""
    curve = _falling(data.curve_area.values, data.curve_dissipation.values)
    best = _falling(data.area.sel(front=name).values, data.budget.values)
    return tuple(
        float(np.interp(-math.log(area), -np.log(a), s, left=np.nan, right=np.nan)) for a, s in (curve, best)
    )  # type: ignore[return-value]


def _falling(area: np.ndarray, dissipation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points in order of decreasing area, each area once."""
    fine = np.isfinite(area)
    order = np.argsort(dissipation[fine])
    lowest = np.minimum.accumulate(area[fine][order])
    first = np.append(True, np.diff(lowest) < 0)
    return lowest[first], dissipation[fine][order][first]


def _at_bounds(data: xr.Dataset, name: str) -> tuple[int, int]:
    """How many rates of a front's ladders lie at a bound, and of how many."""
    chosen = data.sel(front=name)
    at = 0
    count = 0
    for values, (low, high) in ((chosen.gamma_best, GAMMAS), (chosen.F_best, SPEEDS)):
        finite = values.values[np.isfinite(values.values)]
        at += int(np.sum((finite <= low * (1 + 1e-4)) | (finite >= high * (1 - 1e-4))))
        count += finite.size
    return at, count


def _claims(data: xr.Dataset) -> tuple[Claim, ...]:
    return tuple(_all_claims(data))


def _all_claims(data: xr.Dataset) -> Iterator[Claim]:
    medium = data.sel(front="medium")
    allowed = medium.matched_time <= float(medium.slowest)
    ratio = float((medium.area / medium.matched_area).where(allowed).max())
    yield judged(
        "one γ for all squares is not the cheapest ladder (not in the paper)",
        f"ladders no slower than {float(medium.slowest):g} clockwise steps with a γ per square and an F per "
        f"column have at most {ratio:.2f} of the one-γ area at the same dissipation",
        ratio,
        high=1.0,
    )
    floor = float(data.curve_area.min())
    for name in ("medium", "fast"):
        one, best = _saved(data, name, 1.05 * floor)
        yield judged(
            "dissipation for the same offset (not in the paper)",
            f"the offset that one γ reaches at {one:.2f} k_B per step, 5 % above its floor of {floor:.3f}, "
            f"costs {best:.2f} k_B per step at the best rates (time of adaptation ≤ "
            f"{float(data.slowest.sel(front=name)):g}): {one / best:.1f} times less",
            one / best,
            low=1.0,
        )
    agreeing, starts = (int(data[key].sum()) for key in ("agreeing", "starts"))
    worst = float(data.kkt_residual.max())
    yield judged(
        "the fronts are optima (not in the paper)",
        f"{agreeing} of {starts} random starts end within 0.1 % of the best; the conditions of an optimum "
        f"are missed by at most {worst:.0e}",
        worst,
        high=1e-3,
    )
    at, count = _at_bounds(data, "medium")
    at_shown = float(data.area.sel(front="medium").sel(budget=SHOWN, method="nearest"))
    wider = float(data.attrs["area_with_wider_F"])
    yield Claim(
        f"γ from {GAMMAS[0]:g} to {GAMMAS[1]:g} and F from {SPEEDS[0]:g} to {SPEEDS[1]:g} bound the ladders",
        f"{at} of {count} rates of the front with time ≤ {float(medium.slowest):g} lie at a bound; with F "
        f"from {WIDER[0]:g} to {WIDER[1]:g} the area at {SHOWN:g} k_B is {wider:.3f}, not {at_shown:.3f}",
        None,
    )


@styled
def _draw(data: xr.Dataset) -> Figure:
    figure, ((speeds, columns, levels), (gammas, slower, updates)) = panels(2, 3, (12.4, 7.2))
    _draw_speeds(speeds, data)
    _draw_columns(columns, data)
    _draw_areas(levels, data)
    _draw_rates(gammas, data, "gamma_best", "square", GAMMAS)
    gammas.set_ylim(1e-5, 2)
    letter(gammas, "D", "the first squares are driven hardest")
    _draw_rates(slower, data, "F_best", "column", SPEEDS)
    letter(slower, "E", "$F$ goes to its bounds")
    _draw_updates(updates, data)
    return figure


_LOOKS = {
    "fast": (ORANGE, "o", "-"),
    "medium": (BLUE, "s", "-"),
    "any": (GREEN, "^", "--"),
    "4 columns": (SKY, "v", "-."),
    "6 columns": (PURPLE, "D", "--"),
}


def _one_gamma(ax: Axes, data: xr.Dataset, *names: str) -> None:
    """The one-parameter curve; open markers where its ladders are just as fast as those of some fronts."""
    ax.plot(
        data.curve_dissipation, data.curve_area, color=BLACK, linewidth=1.8, label=r"one $\gamma$, $F = 25$"
    )
    for name in names:
        colour, mark = _LOOKS[name][:2]
        at = [
            np.exp(np.interp(float(data.slowest.sel(front=name)), data.curve_time, np.log(values)))
            for values in (data.curve_dissipation, data.curve_area)
        ]
        ax.plot(*at, mark, color=colour, mfc="white", ms=6, zorder=4)


def _draw_front(ax: Axes, data: xr.Dataset, name: str, label: str) -> None:
    colour, mark, line = _LOOKS[name]
    area = data.area.sel(front=name)
    ax.plot(data.budget, area, line, marker=mark, ms=3.5, color=colour, label=label)


def _fronts_axes(ax: Axes) -> None:
    ax.set(xscale="log", yscale="log", xlim=(0.45, 12), ylim=(0.003, 30))
    ax.xaxis.set_major_formatter("{x:g}")
    log_ticks(ax, [0.5, 1, 2, 5, 10])
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set(xlabel=r"dissipation $\sigma$ at rest ($k_B$ per clockwise step)")
    ax.set(ylabel=r"largest area $|I|$, steps to 5 … 250 µM")


def _draw_speeds(ax: Axes, data: xr.Dataset) -> None:
    _one_gamma(ax, data, "fast", "medium")
    for name in ("fast", "medium", "any"):
        slowest = float(data.slowest.sel(front=name))
        words = rf"time $\leq {slowest:g}$" if math.isfinite(slowest) else "any time"
        _draw_front(ax, data, name, f"all rates, {words}")
    ax.plot([], [], "D", color=GREY, mfc="white", ms=5, label=r"one $\gamma$, just as fast")
    _fronts_axes(ax)
    ax.legend(loc="upper right")
    letter(ax, "A", r"the best rates beat the best $\gamma$")


def _draw_columns(ax: Axes, data: xr.Dataset) -> None:
    _one_gamma(ax, data)
    for name in ("4 columns", "medium", "6 columns"):
        _draw_front(ax, data, name, f"{int(data.columns.sel(front=name))} columns, all rates")
    _fronts_axes(ax)
    ax.legend(loc="upper right", title=rf"time of adaptation $\leq {FRONTS['medium'].slowest:g}$ steps")
    letter(ax, "B", "more columns lower the floor")


_EXAMPLES = (("one gamma", BLACK, "-"), ("fast", ORANGE, "--"), ("medium", BLUE, "-."))


def _example_label(data: xr.Dataset, name: str) -> str:
    if name == "one gamma":
        return r"one $\gamma$"
    return rf"all rates, time $\leq {float(data.slowest.sel(front=name)):g}$"


def _draw_areas(ax: Axes, data: xr.Dataset) -> None:
    ax.axvspan(LEVELS[0], LEVELS[-1], color=GREY, alpha=0.12, linewidth=0)
    ax.axhline(0, color=GREY, linewidth=0.8)
    for name, colour, line in _EXAMPLES:
        ax.plot(
            data.step, data.step_area.sel(example=name), line, color=colour, label=_example_label(data, name)
        )
    ax.set(xscale="log", xlabel="ligand after the step from 0 (µM)", ylabel="area $I$ of the kernel")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.legend(loc="upper right", title=rf"$\sigma \leq {SHOWN:g}$; grey: optimised for")
    letter(ax, "C", "adaptation at every level, not at one")


def _draw_rates(ax: Axes, data: xr.Dataset, name: str, over: str, bounds: tuple[float, float]) -> None:
    chosen = data[name].sel(front="medium").dropna(over, how="all")
    count = chosen.sizes[over]
    line = "-" if over == "square" else "none"
    for bound in bounds:
        ax.axhline(bound, color=GREY, linestyle=":", linewidth=1)
    for i, (colour, mark) in enumerate(zip(COLOURS(np.linspace(0.0, 1.0, count)), "osD^v", strict=False)):
        at = data.budget * (1.0 + (0.0 if over == "square" else 0.03 * (i - count // 2)))
        rates = chosen.isel({over: i})
        ax.plot(at, rates, linestyle=line, marker=mark, ms=4, color=colour, label=f"{i}")
    ax.set(xscale="log", yscale="log", xlabel=r"dissipation $\sigma$ at rest ($k_B$ per clockwise step)")
    log_ticks(ax, [0.5, 1, 2, 5, 10])
    ax.set_ylabel(f"$F$ of each {over}" if over == "column" else rf"$\gamma$ of each {over}")
    ax.legend(loc="center right" if over == "column" else "lower left", title=over, ncols=2)


def _draw_updates(ax: Axes, data: xr.Dataset) -> None:
    ends = [0.0, AMPLITUDE_MAX]
    ax.plot(ends, ends, color=GREY, linewidth=0.9, linestyle=(0, (1, 2)), label="ideal")
    for name, colour, line in _EXAMPLES:
        ax.plot(
            data.amplitude,
            data.weight_update.sel(example=name),
            line,
            color=colour,
            label=_example_label(data, name),
        )
    ax.set(xlabel="contrast $A$", ylabel=r"update $\Delta w$")
    ax.legend(loc="upper left", title=rf"$\sigma \leq {SHOWN:g}$")
    letter(ax, "F", "no offset; but a slow ladder starts late")
