"""F Fig. 6: the two-rail ladder, its kernels, and the offset of random ladders against their dissipation."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from chemlearn.figures.ladder_sketch import sketch
from chemlearn.figures.random_ladders import (
    AMPLITUDE_MAX,
    AMPLITUDES,
    BINS,
    ENVELOPE,
    FALL,
    FEW,
    MEAN,
    OUTCOMES,
    RISE,
    VARIANTS,
    WINDOW,
    envelope,
    normalised,
    random_ladders,
    rank_correlation,
)
from chemlearn.figures.shared import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LEVELS,
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
from chemlearn.markov.ladder import Ladder

SHOWN = np.array([0.9, 0.2, 0.05, 1e-2, 1e-4])
"""γ of the kernels that are shown, at F = 25 and a step to 50 µM."""

STEPS = np.array([5.0, 50.0, 249.0])
"""Steps whose kernels' areas are shown."""

LOWEST = 1e-8
"""Share of the first lobe below which the second could be rounding error."""


def fig6(*, fast: bool = False, seed: int = SEED) -> Drawn:
    """Kernels of the ladder, when they have two lobes, and the offset of 5,000 random ladders.

    The offset is the published one: the intercept of the least-squares line of Δw/A_max from where it exceeds
    0.05. Ladders without one are counted, with the reason.

    Parameters
    ----------
    fast : bool
        300 random ladders instead of 5,000.
    seed : int
        Root seed of the ladders: F = 1, 2, …, 99, steps from 0 to s = 5, 6, …, 249 µM; a fifth of γ uniform
        in (0, 1), the rest y·10⁻ˣ with y uniform in (0, 1) and x = 0, 1, …, 24.
    """
    data = _data(fast, seed)
    return Drawn(data, _draw(data), _claims(data))


def _data(fast: bool, seed: int) -> xr.Dataset:
    count, varied = (300, 40) if fast else (5000, 500)
    parts = [_kernels(120 if fast else 400), _lobes(13 if fast else 49), random_ladders(count, varied, seed)]
    how = {
        "rise": RISE,
        "fall": FALL,
        "mean": MEAN,
        "amplitude_max": AMPLITUDE_MAX,
        "amplitudes": len(AMPLITUDES),
        "window": WINDOW,
        "threshold": "eq45",
        "dissipation": "at s = 0",
        "ladders": count,
        "ladders_of_variants": varied,
    }
    return annotated(xr.merge(parts), figure="6", fast=fast, seed=seed, **how)


def _kernels(points: int) -> xr.Dataset:
    """K of the bottom rail after a step to 50 µM, whole, whether it takes a difference or not."""
    lags = np.geomspace(1e-4, 4.0, points)
    rows = [Ladder(g).kernel(0.0, 50.0, rail="bottom").rescaled(1 / WINDOW)(lags) for g in SHOWN]
    return xr.Dataset(
        {"kernel": column(("gamma_shown", "lag"), rows, "per s and window", "kernel of the bottom rail")},
        {
            "gamma_shown": column("gamma_shown", SHOWN, "1", "gamma of the kernels shown"),
            "lag": column("lag", lags, "window", "lag"),
        },
    )


def _lobes(points: int) -> xr.Dataset:
    """Area of the lobes, and of the normalised kernels, against γ, on both sides of 1/e."""
    gammas = np.unique(np.append(np.geomspace(1e-4, 1.0, points), np.array([0.98, 1.02]) / math.e))
    second, cut, whole = np.empty((3, len(STEPS), len(gammas)))
    for i, step in enumerate(STEPS):
        for j, gamma in enumerate(gammas):
            kernel = Ladder(float(gamma)).kernel(0.0, float(step), rail="bottom")
            areas = [lobe.area for lobe in kernel.lobes_above(LOWEST)]
            second[i, j] = -areas[1] / areas[0] if len(areas) > 1 else 0.0
            for table, window in ((cut, WINDOW), (whole, None)):
                found = normalised(Ladder(float(gamma)), float(step), window)
                table[i, j] = np.nan if found is None else found.area
    over = ("step", "gamma")
    return xr.Dataset(
        {
            "second_lobe": column(over, second, "1", "second lobe of the whole kernel over its first"),
            "area_cut": column(over, cut, "1", "area of the normalised kernel, cut at the window"),
            "area_whole": column(over, whole, "1", "area of the normalised kernel, whole"),
        },
        {
            "step": column("step", STEPS, "uM", "ligand after the step from 0"),
            "gamma": column("gamma", gammas, "1", "gamma"),
        },
    )


def _claims(data: xr.Dataset) -> tuple[Claim, ...]:
    return tuple(_all_claims(data))


def _all_claims(data: xr.Dataset) -> Iterator[Claim]:
    rank, count = rank_correlation(data.dissipation.values, data.offset.values)
    yield judged(
        "the offset falls as dissipation rises (Fig. 6B; rank correlation −0.917, recomputed)",
        f"rank correlation {rank:.3f} of ln|offset| with dissipation, {count} ladders between 1 and 10",
        rank,
        high=-0.85,
    )
    lowest, sizes = envelope(data)
    enough = bool((sizes >= FEW).all())
    worst = float(np.max(np.abs(lowest / ENVELOPE - 1))) if enough else np.nan
    yield judged(
        "smallest |offset|/s̄ per bin of dissipation: " + ", ".join(f"{e:g}" for e in ENVELOPE),
        ", ".join(f"{e:.3g}" for e in lowest)
        + (f"; {worst:.0%} away at most" if enough else "; too few ladders"),
        worst,
        high=0.2,
    )
    right = (data.second_lobe > 0) == (data.gamma < 1 / math.e)
    yield judged(
        "a ladder that dissipates has a kernel of two lobes (main text)",
        f"only for γ < 1/e: so for {int(right.sum())} of {right.size} kernels; between 1/e and 1 the ladder "
        f"dissipates and cannot compare",
        float(right.mean()),
        low=1.0,
    )
    yield Claim(
        "5,000 kernels (App. G.3)",
        "; ".join(f"{int((data.outcome == i).sum())}: {OUTCOMES[i]}" for i in range(len(OUTCOMES)))
        + f"; of the offsets {int((data.offset < 0).sum())} are negative, for the threshold eats more than "
        f"I s̄ τ_f adds",
        None,
    )
    yield _variant_claim(data)


def _variant_claim(data: xr.Dataset) -> Claim:
    words = []
    for name in list(VARIANTS)[1:]:
        chosen = data.sel(variant=name)
        rank, count = rank_correlation(chosen.variant_dissipation.values, chosen.variant_offset.values)
        words.append(f"{name}: {rank:.3f}")
    first = data.sel(variant="as published")
    rank, count = rank_correlation(first.variant_dissipation.values, first.variant_offset.values)
    learning = data.outcome == 0
    change = float(np.abs(data.dissipation_F25 / data.dissipation - 1).where(learning).max())
    return Claim(
        "all dissipations at F = 25, θ by F45, kernels cut at 5 clockwise steps",
        f"rank correlation {rank:.3f} of {count} ladders as published; {', '.join(words)}; F = 25 changes "
        f"the dissipation of ladders that learn by up to {change:.1%}",
        None,
    )


@styled
def _draw(data: xr.Dataset) -> Figure:
    figure, axes = panels(2, 3, (12.4, 7.0))
    sketch(axes[0, 0])
    letter(axes[0, 0], "A", "a ladder that is driven round")
    _draw_kernels(axes[0, 1], data)
    _draw_lobes(axes[0, 2], data)
    _draw_area(axes[1, 0], data)
    _draw_offsets(figure, axes[1, 1], data)
    _draw_variants(axes[1, 2], data)
    return figure


def _draw_kernels(ax: Axes, data: xr.Dataset) -> None:
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.axvline(1, color=GREY, linewidth=0.8, linestyle=":")
    looks = ((GREY, "-"), (ORANGE, "--"), (PURPLE, "-."), (GREEN, ":"), (BLUE, "-"))
    for gamma, (colour, line) in zip(data.gamma_shown.values, looks, strict=True):
        label = rf"$\gamma = {gamma:g}$"
        ax.plot(
            data.lag, 1e3 * data.lag * data.kernel.sel(gamma_shown=gamma), line, color=colour, label=label
        )
    ax.set(xscale="log", xlabel="lag $t$ / window", ylabel=r"$10^3\; t\,K(t)$ (equal areas count equally)")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.text(1.15, 0.03, "cut here", color=GREY, fontsize=8, transform=ax.get_xaxis_transform())
    ax.legend(loc="lower left")
    letter(ax, "B", r"$\gamma < 1/e$ gives the kernel its second lobe")


def _by_step() -> Iterator[tuple[int, str, str]]:
    return iter(((0, SKY, "-."), (1, BLUE, "-"), (2, PURPLE, "--")))


def _gamma_axis(ax: Axes) -> None:
    ax.axvspan(1 / math.e, 1.0, color=GREY, alpha=0.15, linewidth=0)
    ax.set(xscale="log", xlim=(1e-4, 1.0), xlabel=r"$\gamma$")


def _draw_lobes(ax: Axes, data: xr.Dataset) -> None:
    _gamma_axis(ax)
    ax.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
    for i, colour, line in _by_step():
        label = rf"$s = {STEPS[i]:g}$ µM"
        ax.plot(data.gamma, data.second_lobe.isel(step=i), line, color=colour, label=label)
    ax.text(1.3e-4, 1.02, "perfect adaptation", color=GREY, fontsize=8)
    ax.text(0.6, 0.5, r"$\gamma > 1/e$: one lobe", rotation=90, ha="center", va="center", fontsize=8)
    ax.set(ylim=(-0.03, 1.12), ylabel="second lobe / first lobe")
    ax.legend(loc="lower left")
    letter(ax, "C", "the second lobe takes back the first")


def _draw_area(ax: Axes, data: xr.Dataset) -> None:
    _gamma_axis(ax)
    for i, colour, line in _by_step():
        label = rf"$s = {STEPS[i]:g}$ µM"
        ax.plot(data.gamma, data.area_cut.isel(step=i), line, color=colour, label=f"{label}, cut")
        ax.plot(data.gamma, data.area_whole.isel(step=i), line, color=colour, alpha=0.45, linewidth=1)
    ax.plot([], [], "-", color=GREY, alpha=0.6, linewidth=1, label="the same, whole")
    ax.set(yscale="log", ylim=(0.1, 40), ylabel="area $I$ of the normalised kernel")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.text(0.6, 2.0, "cannot be normalised", rotation=90, ha="center", va="center", fontsize=8)
    ax.legend(loc="upper left")
    letter(ax, "D", "the area never reaches 0")


def _draw_offsets(figure: Figure, ax: Axes, data: xr.Dataset) -> None:
    ax.axvspan(BINS[0], BINS[-1], color=GREY, alpha=0.12, linewidth=0)
    size = np.abs(data.offset) / MEAN
    points = ax.scatter(
        data.dissipation,
        size,
        c=data.step_drawn,
        cmap=LEVELS,
        norm=LogNorm(5, 250),
        s=5,
        linewidths=0,
        alpha=0.8,
        rasterized=True,
    )
    ax.stairs(ENVELOPE, BINS, color=ORANGE, linewidth=1.6, baseline=None, label="smallest, recomputed")
    ax.set(xscale="log", yscale="log", xlim=(0.3, 60), ylim=(0.006, 5))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_major_formatter("{x:g}")
    rank, count = rank_correlation(data.dissipation.values, data.offset.values)
    ax.text(0.33, 0.0072, rf"grey: $\rho = {rank:.3f}$, {count} of {data.sizes['ladder']}", fontsize=8)
    ax.set(xlabel=r"dissipation $\sigma$ at $s = 0$ ($k_B$ per clockwise step)")
    ax.set(ylabel=r"$|\mathrm{offset}|\,/\,\bar{s}$ (units of $A_{max}$)")
    ax.legend(loc="upper right")
    bar = figure.colorbar(
        points, ax=ax, label="step to $s$ (µM)", ticks=[5, 20, 50, 100, 250], format="{x:g}"
    )
    bar.ax.minorticks_off()
    letter(ax, "E", "offset against dissipation, random ladders")


def _draw_variants(ax: Axes, data: xr.Dataset) -> None:
    looks = ((BLACK, "o", "-"), (SKY, "s", "--"), (GREEN, "^", ":"), (ORANGE, "D", "-"), (PURPLE, "v", "--"))
    for i, (name, (colour, mark, line)) in enumerate(zip(VARIANTS, looks, strict=True)):
        chosen = data.sel(variant=name)
        sigma, size = chosen.variant_dissipation.values, np.abs(chosen.variant_offset.values) / MEAN
        fine = np.isfinite(size)
        inside = [fine & (sigma >= low) & (sigma < low + 1) for low in BINS[:-1]]
        middle = [np.median(size[c]) if c.any() else np.nan for c in inside]
        at = BINS[:-1] + 0.5 + 0.06 * (i - 2)
        ax.plot(at, middle, line, marker=mark, mfc="white", color=colour, label=name)
    ax.set(yscale="log", xlabel=r"dissipation $\sigma$ at $s = 0$ ($k_B$ per clockwise step)")
    ax.set(ylabel=r"median $|\mathrm{offset}|\,/\,\bar{s}$ (units of $A_{max}$)")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.legend(loc="upper right")
    letter(ax, "F", "what the published choices change")
