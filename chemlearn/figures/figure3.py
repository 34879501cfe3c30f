"""F Fig. 3: a network learns handwritten digits from nothing but a sawtooth and the memory of its synapses.

The full figure takes some minutes. Its data are shipped, so that it can be drawn at once:
``drawn(saved())``; ``chemlearn figure 3`` makes them again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

import chemlearn.data
from chemlearn.figures.figure3_panels import draw
from chemlearn.figures.figure3_runs import FAST, FULL, IN_TURN, measured
from chemlearn.figures.shared import OURS, SEED, Claim, Drawn, annotated, judged

__all__ = ["drawn", "fig3", "saved"]

HELD_OUT = "holdout_error_stored"
"""Holdout errors as published: free phases begin where they ended the last time, as in training."""

REFERENCE = {
    1: ((14.97, 0.52), (9.74, 0.40)),
    5: ((3.40, 0.07), (5.51, 0.35)),
    10: ((1.31, 0.12), (4.58, 0.36)),
    20: ((0.212, 0.050), (4.20, 0.13)),
}
"""Train and holdout error in percent of an independent implementation, mean and standard deviation over five
seeds, by epoch."""

CONTRASTIVE, SPREAD = 4.15, 0.42
"""Holdout error in percent of that implementation with the ideal rule, and its standard deviation over the
seeds after as many epochs."""

HEBBIAN, CHANCE = 89.75, 2.5
"""Its holdout error in percent without memory, and how much more or less it is to say the same of all digits,
whichever of the ten it is."""


def fig3(*, fast: bool = False, seed: int = SEED) -> Drawn:
    """Networks of 784, 500 and 10 units learn MNIST, and their controls do or do not.

    Parameters
    ----------
    fast : bool
        400 digits, 3 epochs and 2 networks instead of 10,000, 35 and 5.
    seed : int
        Root seed of the first network, which is that of ``chemlearn train mnist --seed``; the others have
        those that follow.
    """
    data, how = measured(FAST if fast else FULL, seed)
    return drawn(annotated(data, figure="3", fast=fast, seed=seed, **how))


def saved() -> xr.Dataset:
    """The data of the full figure as the package ships them, made by ``chemlearn figure 3``."""
    return xr.load_dataset(Path(chemlearn.data.__file__).with_name("mnist_runs.nc"), engine="h5netcdf")


def drawn(data: xr.Dataset) -> Drawn:
    """The figure from its data, such as :func:`saved`."""
    return Drawn(data, draw(data), tuple(_claims(data)))


def _claims(data: xr.Dataset) -> tuple[Claim, ...]:
    """All claims; few digits and epochs say nothing of many, so only what is exact is judged then."""
    found = tuple(_all_claims(data))
    if data.attrs["resolution"] == "full":
        return found
    return (*(claim._replace(holds=None) for claim in found[:-1]), found[-1])


def _percent(data: xr.Dataset, rule: str) -> xr.Dataset:
    """Errors of the runs by a rule, in percent, over the epochs that they lasted."""
    runs = data[["train_error", "holdout_error", HELD_OUT]].isel(run=np.flatnonzero(data.rule == rule))
    return 100 * runs.dropna("epoch", how="all")


def _all_claims(data: xr.Dataset) -> Iterator[Claim]:
    learned = _percent(data, "temporal")
    last = learned.isel(epoch=-1)
    count, epochs = learned.sizes["run"], int(last.epoch)
    train = last.train_error
    yield judged(
        "after training for 35 epochs, our classification error drops to 0 (main text, Fig. 3B)",
        f"{float(train.mean()):.3f} % of the training digits are wrong in epoch {epochs}, mean of {count} "
        f"networks, of which {int((train == 0).sum())} make no mistake at all",
        float(train.mean()),
        high=0.05,
    )
    right = 100 - last[HELD_OUT]
    spread, anew = float(right.std(ddof=1)), last.holdout_error
    yield judged(
        "an accuracy of 95 % on our holdout test dataset (main text, Fig. 3B)",
        f"{float(right.mean()):.2f} ± {spread:.2f} %, mean and standard deviation of {count} networks; "
        f"{100 - float(anew.mean()):.2f} % where each digit is asked anew",
        float(right.mean()),
        low=95.0,
    )
    for part, (name, errors) in enumerate({"train": "train_error", "holdout": HELD_OUT}.items()):
        ways = [_percent(data, way)[errors].mean("run") for way in (IN_TURN, "temporal")]
        yield _as_before(ways[0], ways[1], name, part)
    yield from _controls(data, float(last[HELD_OUT].mean()))


def _as_before(in_turn: xr.DataArray, at_once: xr.DataArray, name: str, part: int) -> Claim:
    """Errors against those of the independent implementation.

    How its layers move while a nudge acts is not written down. Both ways are shown; it was likely in turn,
    which is nearer to it.
    """
    known = {epoch: errors[part] for epoch, errors in REFERENCE.items() if epoch in in_turn.epoch}
    expected = ", ".join(f"{level:g} ± {sd:g}" for level, sd in known.values())
    words, away = [], []
    for mean in (in_turn, at_once):
        off = (abs(float(mean.sel(epoch=epoch)) - level) / sd for epoch, (level, sd) in known.items())
        away.append(max(off))
        found = ", ".join(f"{float(mean.sel(epoch=epoch)):.3g}" for epoch in known)
        words.append(f"{found} %, off by at most {away[-1]:.1f} of its standard deviations")
    return judged(
        f"{name} errors in epochs {', '.join(map(str, known))} as in an independent implementation: "
        f"{expected} % {OURS}",
        f"{words[0]}, if layers move in turn while a nudge acts; {words[1]}, if all move at once, as in all "
        "that is drawn",
        away[0],
        high=3.0,
    )


def _controls(data: xr.Dataset, learned: float) -> Iterator[Claim]:
    """What the ideal rule, no memory and equal swings come to; the last is exact at any size."""
    ideal = float(_percent(data, "contrastive")[HELD_OUT].isel(epoch=-1).mean())
    yield judged(
        f"the ideal contrastive rule learns as well: {CONTRASTIVE} % held-out errors {OURS}",
        f"{ideal:.2f} %, beside {learned:.2f} % by the temporal rule",
        abs(ideal - CONTRASTIVE),
        high=3 * SPREAD,
    )
    without = _percent(data, "hebbian")[HELD_OUT]
    yield judged(
        f"without memory (Hebbian) it stays at chance: {HEBBIAN} % held-out errors {OURS}",
        f"{', '.join(f'{error:.2f}' for error in np.unique(without))} % in {without.sizes['epoch']} epochs",
        float(np.abs(without - HEBBIAN).max()),
        high=CHANCE,
    )
    moved = float(data.largest_change.isel(run=np.flatnonzero(data.rule == "symmetric")).max())
    yield judged(
        f"with equal swings nothing is learned {OURS}",
        f"the largest change of any weight or bias is {moved:g}",
        moved,
        high=0.0,
    )
