"""Jump paths of an ensemble, block by block, and the entropy that they add up to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Event
from typing import NamedTuple

import numpy as np
import xarray as xr

from chemlearn.entropy.flow import EntropyFlow, at_rest, potential
from chemlearn.errors import ConvergenceError, SimulationError
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import simulate_paths, simulate_ssa
from chemlearn.simulate.ensemble import Progress, Work, in_threads

_ROWS = 2**18  # firings that a thread holds at once
_MOST_FIRINGS = 4 * 10**6  # of one trajectory: about a gigabyte while they are looked at


class Sums(NamedTuple):
    """Of some trajectories.

    Parameters
    ----------
    medium, observed : (n_trajectories,) array
        Entropy that the firings gave to the surroundings, in k_B, and the same by the rates at which they
        fire.
    potential : (n_trajectories,) array
        By how much φ (:mod:`chemlearn.entropy.flow`) changed: nearly the system's entropy.
    first, last : (n_trajectories, n_core) array
        Amounts at both ends.
    one_way : frozenset of str
        Reactions that fired and could not be undone.
    """

    medium: np.ndarray
    observed: np.ndarray
    potential: np.ndarray
    first: np.ndarray
    last: np.ndarray
    one_way: frozenset[str]


class Groups(NamedTuple):
    """Trajectories that share their first state.

    Parameters
    ----------
    order : (n,) array
        Trajectories, group after group, each in the order of their numbers.
    edges : (n_groups + 1,) array
        Where each group begins among them.
    starts : (n_groups, n_core) array or None
        None for the model's own amounts.
    """

    order: np.ndarray
    edges: np.ndarray
    starts: np.ndarray | None

    def within(self, rows: range) -> list[tuple[int, range]]:
        """The groups of some rows of ``order``, and the numbers of the rows within them."""
        found, row = [], rows.start
        while row < rows.stop:
            group = int(np.searchsorted(self.edges, row, side="right")) - 1
            begin, end = self.edges[[group, group + 1]].tolist()
            found.append((group, range(row - begin, min(end, rows.stop) - begin)))
            row = end
        return found


def grouped(starts: np.ndarray | None, trajectories: int) -> Groups:
    """Groups numbered as they first appear, so that a larger ensemble begins with the same trajectories.

    Parameters
    ----------
    starts : (n, n_core) array or None
        First state of each trajectory.
    trajectories : int
    """
    if starts is None:
        return Groups(np.arange(trajectories), np.array([0, trajectories]), None)
    _, first, inverse = np.unique(starts, axis=0, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))[inverse.ravel()]
    edges = np.append(0, np.cumsum(np.bincount(rank)))
    return Groups(np.argsort(rank, kind="stable"), edges, starts[np.sort(first)])


@dataclass(frozen=True)
class PathEnsemble:
    """Trajectories from time 0 to ``end``, looked at from ``begin`` on.

    Parameters
    ----------
    model : Model
    flow : EntropyFlow
        What its firings add.
    begin, end : float
    signal : Signal or None
    seed : int
    """

    model: Model
    flow: EntropyFlow
    begin: float
    end: float
    signal: Signal | None
    seed: int

    def run(self, groups: Groups, *, workers: int = 1, progress: Progress | None = None) -> Sums:
        """All trajectories, in the order of their numbers.

        Raises
        ------
        SimulationError
            When a trajectory fires too often to be held in memory.
        KeyboardInterrupt
            On Ctrl-C.
        """
        fired = self._firings(self._amounts(groups, 0))
        if fired > _MOST_FIRINGS:
            raise SimulationError(
                f"{self.model.origin}: a trajectory fires about {fired:.2g} reactions, more than the "
                f"{_MOST_FIRINGS:.0e} that are held at once; take a shorter time or fewer molecules"
            )
        size, n = max(1, int(_ROWS / (1 + fired))), len(groups.order)
        blocks = [range(k, min(k + size, n)) for k in range(0, n, size)]
        parts: dict[int, Sums] = {}
        ending = Event()
        work = Work(
            do=lambda rows: self._block(groups, rows, ending),
            blocks=blocks,
            take=parts.__setitem__,
            progress=progress,
            stopping=Event(),
            ending=ending,
        )
        if in_threads(work, workers):
            raise KeyboardInterrupt("the ensemble was interrupted")
        back = np.argsort(groups.order)
        made = [parts[k] for k in range(len(blocks))]
        *columns, _ = zip(*made, strict=True)
        medium, observed, change, first, last = (np.concatenate(column)[back] for column in columns)
        one_way = frozenset(name for part in made for name in part.one_way)
        return Sums(medium, observed, change, first, last, one_way)

    def of(self, paths: Sequence[xr.Dataset], generator: np.random.Generator) -> Sums:
        """What jump paths add up to, all trajectories side by side.

        Parameters
        ----------
        paths : sequence of xarray.Dataset
            As of :func:`chemlearn.simulate_paths`.
        generator : numpy.random.Generator
            For the instants at which the input is read between firings.
        """
        times, fired, jumps = (_joined(paths, name) for name in ("time", "fired", "jumps"))
        ends, rows = np.cumsum(jumps), np.repeat(np.arange(len(jumps)), jumps)
        amounts = [_joined(paths, name) for name in self.model.species]
        added = np.zeros(len(times))
        i = np.flatnonzero((fired >= 0) & (times > self.begin))
        before, after = ([n[k] for n in amounts] for k in (i - 1, i))
        added[i] = self.flow.of_firings(fired[i], before, after, self._level(times[i]))
        known = np.bincount(rows[times <= self.begin], minlength=len(jumps))  # firings before one looks
        first, last = ends - jumps + known - 1, ends - 1
        seen = np.bincount(rows, self._observed(times, ends, amounts, generator), len(jumps))
        change = np.zeros(len(jumps))
        if self._around is not None:
            change = potential([n[last] for n in amounts], self._around)
            change -= potential([n[first] for n in amounts], self._around)
        names = [reaction.name for reaction in self.model.network.reactions]
        core = [amounts[k] for k in self.model.dynamics.core]
        return Sums(
            medium=np.bincount(rows, added, len(jumps)),
            observed=seen - change,
            potential=change,
            first=np.column_stack([n[first] for n in core]),
            last=np.column_stack([n[last] for n in core]),
            one_way=frozenset(names[k] for k in np.unique(fired[np.isinf(added)])),
        )

    def _block(self, groups: Groups, rows: range, stopping: Event) -> Sums:
        """Some rows of the groups."""
        paths = [
            simulate_paths(
                self.model,
                self.end,
                signal=self.signal,
                start=self._amounts(groups, group),
                trajectories=numbers,
                seed=self.seed,
                point=group,
                stopping=stopping,
            )
            for group, numbers in groups.within(rows)
        ]
        return self.of(paths, stream(self.seed, 0, rows.start, 1))

    def _observed(
        self,
        times: np.ndarray,
        ends: np.ndarray,
        amounts: Sequence[np.ndarray],
        generator: np.random.Generator,
    ) -> np.ndarray:
        """∫ ṡ dt over the time that each state lasts.

        Where the input moves ṡ is taken at a random instant of that time: the integral then has no bias.
        """
        begin = np.maximum(times, self.begin)
        stop = np.append(times[1:], self.end)
        stop[ends - 1] = self.end
        lasts = np.maximum(stop - begin, 0.0)
        instants = begin if self.signal is None else begin + lasts * generator.random(len(times))
        rate = self.flow.rate(amounts, self._level(instants), self._around)
        return np.where(lasts > 0, np.where(lasts > 0, lasts, 1.0) * rate, 0.0)

    @cached_property
    def _around(self) -> np.ndarray | None:
        """Amounts at rest at the middle of the signal; None where there is no such state."""
        level = self.model.input_value if self.signal is None else self.signal.mean
        try:
            return at_rest(self.model, level)
        except (ConvergenceError, SimulationError):
            return None

    def _amounts(self, groups: Groups, group: int) -> dict[str, float]:
        """What a group starts from, by name; nothing for the model's own amounts."""
        if groups.starts is None:
            return {}
        names = [self.model.network.variables[i] for i in self.model.dynamics.core]
        return dict(zip(names, groups.starts[group].tolist(), strict=True))

    def _firings(self, start: dict[str, float]) -> float:
        """How many a trajectory takes, seen in one."""
        times = np.array([self.end])
        data = simulate_ssa(self.model, times, signal=self.signal, start=start, seed=self.seed, firings=True)
        return float(data.firings.sum())

    def _level(self, times: np.ndarray) -> np.ndarray | float:
        return self.model.input_value if self.signal is None else self.signal(times)


def stream(seed: int, *key: int) -> np.random.Generator:
    """A stream of its own: the simulations use no keys of three words."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _joined(paths: Sequence[xr.Dataset], name: str) -> np.ndarray:
    return np.concatenate([part[name].values for part in paths])
