"""Training times of many more tasks than the figures draw: fifty do not settle where the two laws meet.

The few hardest tasks weigh most in a mean. The times are shipped, for they take a quarter of an hour;
``python -m benchmarks.resistors --only many`` makes some or all of them again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

import chemlearn.data
from chemlearn.figures.shared import Claim, column, judged
from chemlearn.figures.stern_runs import Trials, power_law, stern_data, training_times
from chemlearn.resistors.coupled import ErrorKind

__all__ = ["FAST", "SLOW", "WINDOW", "many_claims", "many_times", "meeting", "saved_times"]

SLOW, FAST = 0.11, 99.0
"""α/γ below and above which power laws are fitted."""

RATES = np.array([1e-3, 1e-2, 1e-1, 1e2, 1e3, 1e4, 1e5, 1e6])
TASKS, SEED = 400, 3089

KINDS: tuple[ErrorKind, ...] = ("instantaneous", "equilibrium")
"""Of the error; the published one is that of equilibrium."""

REDRAWN = 1000
"""Sets of tasks drawn anew, for the spread of where the laws meet."""

WINDOW = 0.5, 2.0
"""In which α_c/γ is called about 1."""


def many_times(tasks: int = TASKS) -> xr.Dataset:
    """Training times of the first tasks of the shipped set, on one core about 2 s each.

    Parameters
    ----------
    tasks : int
        At most 400.

    Returns
    -------
    xarray.Dataset
        ``training_time`` over ``error``, ``task`` and ``rate``, in 1/γ; nan where the goal is not reached.
    """
    drawn = Trials.drawn(TASKS, 5, SEED)
    some = Trials(drawn.network, drawn.tasks[:tasks])
    data = xr.Dataset(
        {
            "training_time": column(
                ("error", "task", "rate"),
                [training_times(some, RATES, kind) for kind in KINDS],
                "1/gamma",
                "until C/C0 = 1e-3",
            )
        },
        {"error": list(KINDS), "rate": column("rate", RATES, "1", "alpha/gamma")},
    )
    return stern_data(
        data, figure="stern-3", fast=False, seed=SEED, tasks=tasks, goal=1e-3, bound="projection"
    )


def saved_times() -> xr.Dataset:
    """What :func:`many_times` found for all tasks, as shipped."""
    return xr.load_dataset(Path(chemlearn.data.__file__).with_name("stern_times.nc"), engine="h5netcdf")


def meeting(times: np.ndarray, rates: np.ndarray, seed: int) -> tuple[float, float, float]:
    """α/γ at which the mean of αT below and of √(αγ)T above meet, both with the exponents of the paper.

    Parameters
    ----------
    times : array, (n_tasks, n_rates)
        γT; nan where the goal was not reached, which is left out of the means.
    rates : array, (n_rates,)
    seed : int
        Of the redrawing.

    Returns
    -------
    tuple of float
        The value, and the 16th and 84th percentile with tasks drawn anew; nan where no task is solved.
    """
    rng = np.random.default_rng(seed)
    drawn = [_crossover(times[rng.integers(0, len(times), len(times))], rates) for _ in range(REDRAWN)]
    known = np.array(drawn)[np.isfinite(drawn)]
    low, high = np.quantile(known, [0.16, 0.84]) if len(known) else (np.nan, np.nan)
    return _crossover(times, rates), float(low), float(high)


def _crossover(times: np.ndarray, rates: np.ndarray) -> float:
    if np.isnan(times).all(axis=0).any():
        return float("nan")
    mean, slow, quick = np.nanmean(times, axis=0), rates < SLOW, rates > FAST
    below = np.log(mean[slow] * rates[slow]).mean()
    above = np.log(mean[quick] * np.sqrt(rates[quick])).mean()
    return float(np.exp(2 * (below - above)))


def many_claims(data: xr.Dataset) -> Iterator[Claim]:
    """The two laws and where they meet, of data such as :func:`saved_times`."""
    count = data.sizes["task"]
    parts = {"≪": (slice(None, SLOW), -1.0, 0.03), "≫": (slice(FAST, None), -0.5, 0.05)}
    for sign, (where, level, margin) in parts.items():
        laws = [
            power_law(part.rate.values, part.values)
            for part in (data.training_time.sel(error=kind, rate=where) for kind in KINDS)
        ]
        worst = max((law.exponent for law in laws), key=lambda exponent: abs(exponent - level))
        words = " and ".join(
            f"{law.exponent:.3f} ± {law.error:.3f} by the error {kind} ({law.tasks} solved at all rates)"
            for law, kind in zip(laws, KINDS, strict=True)
        )
        yield judged(
            f"for α {sign} γ the training time falls as (α/γ)^{level:g} (Fig. 3B), {count} shipped tasks",
            f"exponents {words}",
            worst,
            level - margin,
            level + margin,
        )
    times, rates = data.training_time.sel(error="equilibrium").values, data.rate.values
    found, low, high = meeting(times, rates, SEED)
    yield judged(
        f"the two laws meet at α_c ~ γ (Fig. 3B; 1.02 in the published data), {count} shipped tasks",
        f"at {found:.2f} γ ({low:.2f} to {high:.2f} with tasks drawn anew), by the error at rest",
        found,
        *WINDOW,
    )
