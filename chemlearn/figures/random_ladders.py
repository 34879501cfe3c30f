"""Random two-rail ladders as published: what they learn, and how their offset goes with dissipation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.stats import spearmanr

from chemlearn.curves.metrics import markov_range
from chemlearn.curves.update import ThresholdRule, threshold, update_curve
from chemlearn.figures.shared import column
from chemlearn.kernels.kernel import Kernel
from chemlearn.markov.ladder import Ladder

RISE, FALL, MEAN, AMPLITUDE_MAX = 3.0, 15.0, 10.0, 50.0
"""The published protocol, in units of the window and of s."""

AMPLITUDES = np.linspace(0.0, AMPLITUDE_MAX, 500)
"""Contrasts of every update curve."""

WINDOW = 5.0
"""Clockwise steps after which the published kernels are cut; rescaled to 1."""

BINS = np.arange(1, 11)
"""Edges of the bins of dissipation in which offsets are compared."""

ENVELOPE = np.array([0.155, 0.067, 0.035, 0.019, 0.0136, 0.0126, 0.0112, 0.0110, 0.0109])
"""Smallest |offset|/(A_max s̄) in each bin, from an independent recomputation of the published data."""

FEW = 20
"""Ladders that a bin must hold before its smallest offset says anything."""

OUTCOMES = ("learns", "takes no difference (M1 >= 0)", "no range")


class Variant(NamedTuple):
    """A way to judge a ladder: threshold rule, where its kernel is cut, and whose dissipation counts."""

    rule: ThresholdRule = "eq45"
    window: float | None = WINDOW
    own_F: bool = True


VARIANTS = {
    "as published": Variant(),
    "dissipation at F = 25": Variant(own_F=False),
    "safe threshold": Variant(rule="safe"),
    "whole kernel": Variant(window=None),
    "whole kernel, safe threshold": Variant(rule="safe", window=None),
}


def normalised(ladder: Ladder, step: float, window: float | None) -> Kernel | None:
    """The kernel in published units with M₁ = −1; None where it takes no difference."""
    kernel: Kernel = ladder.kernel(0.0, step, window, rail="bottom")
    if not kernel.first_moment < 0:
        return None
    return kernel.rescaled(1 / WINDOW).normalized()


def drawn(count: int, seed: int) -> tuple[np.ndarray, ...]:
    """γ, F and s of random ladders, as published."""
    rng = np.random.default_rng(seed)
    each = np.arange(count)
    exponents = np.where(each % 5 == 0, 0, rng.integers(0, 25, count))
    gammas = np.maximum(rng.random(count), 2.0**-53) * 10.0**-exponents
    return gammas, rng.integers(1, 100, count).astype(float), rng.integers(5, 250, count).astype(float)


class Judged(NamedTuple):
    """A ladder by one variant; its outcome is a number of ``OUTCOMES``, and what there is none of is nan."""

    outcome: int
    area: float = np.nan
    offset: float = np.nan
    slope: float = np.nan
    amplitude_min: float = np.nan


def judge(ladder: Ladder, step: float, variant: Variant) -> Judged:
    """Update curve of the kernel of a step from 0, and its published offset in units of A_max."""
    kernel = normalised(ladder, step, variant.window)
    if kernel is None:
        return Judged(1)
    theta = threshold(
        variant.rule,
        amplitude_max=AMPLITUDE_MAX,
        rise=RISE,
        fall=FALL,
        kernel_area=kernel.area,
        mean=MEAN,
    )
    curve = update_curve(kernel, AMPLITUDES, threshold=theta, rise=RISE, fall=FALL, mean=MEAN)
    found = markov_range(curve, AMPLITUDE_MAX)
    if found.reason:
        return Judged(2, kernel.area)
    return Judged(0, kernel.area, found.offset / AMPLITUDE_MAX, found.slope, found.amplitude_min)


def random_ladders(count: int, varied: int, seed: int) -> xr.Dataset:
    """The random ladders by the published settings, and the first that dissipate 1 to 10 by every variant."""
    gammas, speeds, steps = drawn(count, seed)
    ladders = [Ladder(g, F=f) for g, f in zip(gammas.tolist(), speeds.tolist(), strict=True)]
    first = [judge(ladder, s, Variant()) for ladder, s in zip(ladders, steps.tolist(), strict=True)]
    own = np.array([ladder.dissipation(0.0) for ladder in ladders])
    common = np.array([Ladder(g).dissipation(0.0) for g in gammas.tolist()])
    chosen = np.flatnonzero((own >= BINS[0]) & (own <= BINS[-1]))[:varied]
    offsets = np.full((len(VARIANTS), len(chosen)), np.nan)
    for i, variant in enumerate(VARIANTS.values()):
        known = variant._replace(own_F=True) == Variant()
        for k, j in enumerate(chosen.tolist()):
            offsets[i, k] = (first[j] if known else judge(ladders[j], float(steps[j]), variant)).offset
    shares = np.array([own[chosen] if variant.own_F else common[chosen] for variant in VARIANTS.values()])
    each = {name: np.array([getattr(found, name) for found in first]) for name in ("area", "offset", "slope")}
    return xr.Dataset(
        {
            "gamma_drawn": column("ladder", gammas, "1", "gamma"),
            "F": column("ladder", speeds, "per clockwise step", "slower vertical rate"),
            "step_drawn": column("ladder", steps, "uM", "ligand after the step from 0"),
            "dissipation": column("ladder", own, "k_B per clockwise step", "at rest at s = 0"),
            "dissipation_F25": column("ladder", common, "k_B per clockwise step", "the same with F = 25"),
            "area": column("ladder", each["area"], "1", "area of the normalised kernel"),
            "offset": column("ladder", each["offset"], "A_max", "intercept of the published line"),
            "slope": column("ladder", each["slope"], "1", "slope of the published line"),
            "amplitude_min": column("ladder", [f.amplitude_min for f in first], "s", "where the line begins"),
            "outcome": column("ladder", [f.outcome for f in first], "1", ", ".join(OUTCOMES)),
            "variant_offset": column(("variant", "ladder_varied"), offsets, "A_max", "intercept, by variant"),
            "variant_dissipation": column(
                ("variant", "ladder_varied"), shares, "k_B per clockwise step", "by variant"
            ),
        },
        {"variant": list(VARIANTS)},
    )


def rank_correlation(dissipation: np.ndarray, offset: np.ndarray) -> tuple[float, int]:
    """Spearman's, of ln|offset| with dissipation from 1 to 10, and how many ladders there are."""
    chosen = np.isfinite(offset) & (dissipation >= BINS[0]) & (dissipation <= BINS[-1])
    count = int(chosen.sum())
    if count < 3:
        return np.nan, count
    return float(spearmanr(np.abs(offset[chosen]), dissipation[chosen]).statistic), count


def envelope(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Smallest |offset|/s̄ in each bin, and how many ladders lie in it."""
    offset, sigma = np.abs(data.offset.values) / MEAN, data.dissipation.values
    inside = [np.isfinite(offset) & (sigma >= low) & (sigma < low + 1) for low in BINS[:-1]]
    return (
        np.array([offset[chosen].min() if chosen.any() else np.nan for chosen in inside]),
        np.array([chosen.sum() for chosen in inside]),
    )
