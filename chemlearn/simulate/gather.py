"""What becomes of finished blocks: their counts side by side, or what a reduction keeps of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate.ensemble import Run
from chemlearn.simulate.provenance import annotated, dataset, driven
from chemlearn.simulate.reduce import Column, Reduction


class Gathered:
    """The counts of all trajectories.

    Parameters
    ----------
    numbers : range
        Of the trajectories.
    n_times : int
    columns : sequence of Column
    """

    def __init__(self, numbers: range, n_times: int, columns: Sequence[Column]) -> None:
        self.numbers, self.columns = numbers, columns
        self.counts = np.empty((len(numbers), n_times, len(columns)))
        self.there = np.zeros(len(numbers), bool)

    @property
    def finished(self) -> int:
        """Number of trajectories."""
        return int(self.there.sum())

    def of(self, run: Run, block: range, seed: int, point: int) -> np.ndarray:
        """The counts of a block, written where they stay if the engine can."""
        if not hasattr(run, "fill"):
            return run(block, seed, point)
        counts = self.counts[self._rows(block)]
        run.fill(counts, block, seed, point)
        return counts

    def take(self, block: range, counts: np.ndarray) -> None:
        rows = self._rows(block)
        if not np.may_share_memory(counts, self.counts):
            self.counts[rows] = counts
        self.there[rows] = True

    def _rows(self, block: range) -> slice:
        return slice(block.start - self.numbers.start, block.stop - self.numbers.start)

    def dataset(
        self, model: Model, times: np.ndarray, signal: Signal | None, how: Mapping[str, Any]
    ) -> xr.Dataset | None:
        """The finished trajectories, each with its own number; None without any."""
        if not self.finished:
            return None
        counts = self.counts if self.there.all() else self.counts[self.there]
        single = [i for i, c in enumerate(self.columns) if c.reaction is None]
        plain = counts if len(single) == len(self.columns) else counts[..., single]
        data = dataset(model, times, plain, signal, **how)
        for name in dict.fromkeys(c.name for c in self.columns if c.reaction is not None):
            chosen = [i for i, c in enumerate(self.columns) if c.reaction is not None and c.name == name]
            data[name] = (("trajectory", "time", "reaction"), counts[..., chosen])
            data = data.assign_coords(reaction=[str(self.columns[i].reaction) for i in chosen])
        return data.assign_coords(trajectory=np.asarray(self.numbers)[self.there])


class Reduced:
    """What reductions keep; blocks are merged in the order of their trajectories.

    Parameters
    ----------
    numbers : range
    reductions : sequence of Reduction
    columns : sequence of Column
    """

    def __init__(self, numbers: range, reductions: Sequence[Reduction], columns: Sequence[Column]) -> None:
        self.reductions, self.columns = reductions, columns
        self.state: list[Any] | None = None
        self.next = numbers.start  # the first trajectory that is not in the state
        self.waiting: dict[int, tuple[range, list[Any]]] = {}
        self.finished = 0

    def of(self, run: Run, block: range, seed: int, point: int) -> list[Any]:
        """What the reductions keep of a block."""
        counts = run(block, seed, point)
        return [reduction.of(counts, self.columns) for reduction in self.reductions]

    def take(self, block: range, found: list[Any]) -> None:
        self.waiting[block.start] = block, found
        while self.next in self.waiting:
            self._merge(*self.waiting.pop(self.next))

    def _merge(self, block: range, found: list[Any]) -> None:
        if self.state is None:
            self.state = found
        else:
            both = zip(self.reductions, self.state, found, strict=True)
            self.state = [reduction.merged(one, other) for reduction, one, other in both]
        self.finished, self.next = self.finished + len(block), block.stop

    def dataset(
        self, model: Model, times: np.ndarray, signal: Signal | None, how: Mapping[str, Any]
    ) -> xr.Dataset | None:
        """The reductions over time; None without any trajectory."""
        for start in sorted(self.waiting):  # after an interruption, what was finished beyond a gap
            self._merge(*self.waiting.pop(start))
        if self.state is None:
            return None
        variables: dict[str, Any] = driven(model, times, signal)
        coordinates: dict[str, Any] = {"time": ("time", times, {"units": "time unit of the model"})}
        for reduction, state in zip(self.reductions, self.state, strict=True):
            more, also = reduction.variables(state, self.columns)
            variables, coordinates = variables | more, coordinates | also
        reactions = [c.reaction for c in self.columns if c.reaction is not None]
        if reactions:
            coordinates["reaction"] = list(dict.fromkeys(reactions))
        attrs = {**annotated(model, signal), **how, "trajectories_done": self.finished}
        attrs["reduce"] = json.dumps([item for reduction in self.reductions for item in reduction.recipe])
        return xr.Dataset(variables, coordinates, attrs)
