"""What the figures of Stern et al. share: their network and tasks, power laws, and their source."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from chemlearn.figures.shared import annotated
from chemlearn.resistors.coupled import ErrorKind, coupled_learning
from chemlearn.resistors.files import published_network
from chemlearn.resistors.network import ResistorNetwork
from chemlearn.resistors.tasks import Task, allosteric

__all__ = ["PowerLaw", "Trials", "power_law", "stern_data", "training_times"]

SOURCE = "Stern, Dillavou, Miskin, Durian, Liu, arXiv:2112.11399"


class Trials(NamedTuple):
    """The network and random tasks of a figure."""

    network: ResistorNetwork
    tasks: list[Task]

    @classmethod
    def drawn(cls, count: int, sources: int, seed: int) -> Trials:
        """The published network with tasks whose seeds follow from the root seed."""
        network = published_network()
        seeds = np.random.SeedSequence(seed, spawn_key=(sources,)).generate_state(count)
        return cls(network, [allosteric(network, sources=sources, seed=int(s)) for s in seeds])


class PowerLaw(NamedTuple):
    """y = prefactor · x^exponent, with the standard error of the exponent over the tasks."""

    exponent: float
    error: float
    prefactor: float
    tasks: int


def power_law(x: np.ndarray, values: np.ndarray) -> PowerLaw:
    """Fit each row of values (n_tasks, n_x) that has no gap; mean and standard error over the rows."""
    whole = values[np.isfinite(values).all(axis=1)]
    if len(whole) < 2:
        return PowerLaw(math.nan, math.nan, math.nan, len(whole))
    slopes, heights = np.polyfit(np.log(x), np.log(whole).T, 1)
    error = float(slopes.std(ddof=1) / math.sqrt(len(slopes)))
    return PowerLaw(float(slopes.mean()), error, float(np.exp(heights.mean())), len(whole))


def training_times(trials: Trials, rates: np.ndarray, error: ErrorKind) -> np.ndarray:
    """γT of all tasks at all α/γ, (n_tasks, n_rates); nan where the goal is not reached."""
    return np.array(
        [
            [
                float(coupled_learning(trials.network, task, alpha=rate, error=error).training_time)
                for rate in rates
            ]
            for task in trials.tasks
        ]
    )


def stern_data(data: xr.Dataset, *, figure: str, fast: bool, seed: int, **parameters: Any) -> xr.Dataset:
    """As :func:`chemlearn.figures.shared.annotated`, with the right source."""
    found = annotated(data, figure=figure, fast=fast, seed=seed, **parameters)
    return found.assign_attrs(source=SOURCE, network=published_network().source)
