"""Online reductions of ensembles: what is kept of a block of trajectories, and how two blocks become one.

The memory that a reduction takes does not depend on the number of trajectories. Blocks are cut by the model
and the output times alone and merged in the order of their trajectories, so that the result is the same to
the last bit for any number of workers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike

MOMENTS = ("mean", "variance", "covariance")
_TINY = 1e-9  # values that are smaller in size count as 0 in a quantile


class Column(NamedTuple):
    """One recorded quantity of a trajectory: a species, a rule, or what a reaction did."""

    name: str
    reaction: str | None = None  # for "firings" and "propensity_integral", of which there is one per reaction
    whole: bool = True  # whether it only takes whole numbers


Variables = dict[str, tuple[tuple[str, ...], np.ndarray]]
State = Any


class Reduction(Protocol):
    """What is kept of many trajectories."""

    @property
    def recipe(self) -> list[Any]:
        """Names and numbers from which :func:`reductions` makes it again."""

    def of(self, counts: np.ndarray, columns: Sequence[Column]) -> State:
        """Of a block, (n_trajectories, n_times, n_columns)."""

    def merged(self, first: State, second: State) -> State:
        """Of two blocks."""

    def variables(self, state: State, columns: Sequence[Column]) -> tuple[Variables, dict[str, Any]]:
        """Dataset variables over time, and coordinates."""


@dataclass(frozen=True)
class Moments:
    """Means, variances (n − 1 in the denominator) and covariances, by stable pairwise updates.

    Chan, Golub and LeVeque, doi:10.1080/00031305.1983.10483115.
    """

    wanted: tuple[str, ...]

    @property
    def recipe(self) -> list[Any]:
        return list(self.wanted)

    def of(self, counts: np.ndarray, columns: Sequence[Column]) -> State:
        mean = counts.mean(axis=0)
        away = counts - mean
        if "covariance" in self.wanted:
            return len(counts), mean, np.einsum("ktc,ktd->tcd", away, away)
        squares = np.einsum("ktc,ktc->tc", away, away) if "variance" in self.wanted else np.zeros(0)
        return len(counts), mean, squares

    def merged(self, first: State, second: State) -> State:
        (n, mean, squares), (m, other, more) = first, second
        apart = other - mean
        if "covariance" in self.wanted:
            between = apart[:, :, None] * apart[:, None, :]
        else:
            between = apart**2 if "variance" in self.wanted else np.zeros(0)
        return n + m, mean + apart * (m / (n + m)), squares + more + between * (n * m / (n + m))

    def variables(self, state: State, columns: Sequence[Column]) -> tuple[Variables, dict[str, Any]]:
        n, mean, squares = state
        found: Variables = {}
        coordinates: dict[str, Any] = {}
        with np.errstate(invalid="ignore"):
            spread = squares / (n - 1 if n > 1 else math.nan)
        if "mean" in self.wanted:
            found |= _named(mean, columns, "mean", ("time",))
        if "variance" in self.wanted:
            diagonal = np.einsum("tcc->tc", spread) if spread.ndim == 3 else spread
            found |= _named(diagonal, columns, "variance", ("time",))
        if "covariance" in self.wanted:
            labels = [c.name if c.reaction is None else f"{c.name} of {c.reaction}" for c in columns]
            found["covariance"] = (("time", "quantity", "other"), spread)
            coordinates |= {"quantity": labels, "other": labels}
        return found, coordinates


@dataclass(frozen=True)
class Quantiles:
    """Quantiles at every output time, from counts in cells that grow with the value.

    A quantile is that of the sorted trajectories at rank ⌊level (n − 1)⌋, to a relative ``accuracy``; whole
    numbers below 1/(2 accuracy) are exact. After Masson, Rim and Lee, doi:10.14778/3352063.3352135.

    Parameters
    ----------
    levels : tuple of float
        Between 0 and 1.
    accuracy : float
        Largest relative error.

    Raises
    ------
    ValueError
        For levels outside [0, 1] or an accuracy outside (0, 0.5).
    """

    levels: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)
    accuracy: float = 0.005

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(map(float, self.levels)))
        if not self.levels or not all(0 <= level <= 1 for level in self.levels):
            raise ValueError(f"the levels of quantiles lie between 0 and 1, got {self.levels}")
        if not 0 < self.accuracy < 0.5:
            raise ValueError(f"accuracy must lie between 0 and 0.5, got {self.accuracy}")

    @property
    def recipe(self) -> list[Any]:
        return [{"levels": list(self.levels), "accuracy": self.accuracy}]

    @property
    def _growth(self) -> float:
        return (1 + self.accuracy) / (1 - self.accuracy)

    @property
    def _first(self) -> int:
        """Cell of the smallest values that are not 0."""
        return math.ceil(math.log(_TINY) / math.log(self._growth))

    def _cells(self, values: np.ndarray) -> np.ndarray:
        """Whole numbers that rise with the values; 0 for 0."""
        size = np.abs(values)
        with np.errstate(divide="ignore"):
            steps = np.ceil(np.log(size) / math.log(self._growth)) - self._first + 1
        return np.where(size < _TINY, 0.0, np.copysign(steps, values)).astype(np.int64)

    def _value(self, cells: np.ndarray) -> np.ndarray:
        """The value that no member of a cell is further from than the accuracy."""
        upper = self._growth ** (np.abs(cells) - 1.0 + self._first)
        return np.sign(cells) * 2 * upper / (1 + self._growth)

    def of(self, counts: np.ndarray, columns: Sequence[Column]) -> State:
        finite = np.isfinite(counts)
        cells = self._cells(np.where(finite, counts, 0.0))
        return [_tally(cells[..., i]) for i in range(len(columns))], finite.all(axis=0)

    def merged(self, first: State, second: State) -> State:
        (tallies, finite), (others, also) = first, second
        return [_added(one, other) for one, other in zip(tallies, others, strict=True)], finite & also

    def variables(self, state: State, columns: Sequence[Column]) -> tuple[Variables, dict[str, Any]]:
        tallies, finite = state
        values = np.stack(
            [self._quantiles(tally, c.whole) for tally, c in zip(tallies, columns, strict=True)], axis=-1
        )
        found = _named(np.where(finite, values, np.nan), columns, "quantile", ("quantile", "time"))
        return found, {"quantile": np.array(self.levels)}

    def _quantiles(self, tally: tuple[int, np.ndarray], whole: bool) -> np.ndarray:
        """(n_levels, n_times)."""
        lowest, numbers = tally
        below = np.cumsum(numbers, axis=1)
        ranks = np.floor(np.array(self.levels)[:, None] * (below[:, -1] - 1))
        cells = lowest + (below[None] <= ranks[:, :, None]).sum(axis=2)
        values = self._value(cells)
        # a cell below 1/accuracy holds one whole number at most, and that is the nearest one
        return np.where(np.abs(values) * self.accuracy < 0.5, np.round(values), values) if whole else values


@dataclass(frozen=True)
class Histogram:
    """How many trajectories lie between given edges at every output time.

    Parameters
    ----------
    edges : mapping of str to array_like
        For each quantity, rising: cell i holds edges[i] ≤ value < edges[i + 1]. What lies below or above all
        is counted in two open cells at the ends.

    Raises
    ------
    ValueError
        For edges that do not rise, or a quantity that the run does not record.
    """

    edges: Mapping[str, ArrayLike]

    def __post_init__(self) -> None:
        for name, edges in self.edges.items():
            column = np.asarray(edges, float)
            if column.ndim != 1 or len(column) < 2 or not np.all(np.diff(column) > 0):
                raise ValueError(f"the edges of the histogram of {name!r} must be at least two and rise")

    @property
    def recipe(self) -> list[Any]:
        return [{"edges": {name: np.asarray(edges, float).tolist() for name, edges in self.edges.items()}}]

    def of(self, counts: np.ndarray, columns: Sequence[Column]) -> State:
        names = [c.name for c in columns if c.reaction is None]
        state = {}
        for name, edges in self.edges.items():
            if name not in names:
                raise ValueError(f"no quantity named {name!r} for a histogram; there are {', '.join(names)}")
            index = next(i for i, c in enumerate(columns) if c.name == name)
            column = np.asarray(edges, float)
            cells = np.searchsorted(column, counts[..., index], side="right")
            state[name] = _tally(cells, 0, len(column))[1]
        return state

    def merged(self, first: State, second: State) -> State:
        return {name: first[name] + second[name] for name in first}

    def variables(self, state: State, columns: Sequence[Column]) -> tuple[Variables, dict[str, Any]]:
        found: Variables = {
            f"{name}_histogram": (("time", f"{name}_from"), cells) for name, cells in state.items()
        }
        starts = {
            f"{name}_from": np.concatenate([[-np.inf], np.asarray(edges, float)])
            for name, edges in self.edges.items()
        }
        return found, starts


def reductions(wanted: str | Reduction | Iterable[str | Reduction]) -> tuple[Reduction, ...]:
    """Reductions from their names or themselves.

    Raises
    ------
    ValueError
        For a name that is none.
    """
    single = isinstance(wanted, str) or not isinstance(wanted, Iterable)
    items: tuple[Any, ...] = (wanted,) if single else tuple(wanted)  # type: ignore[arg-type]
    names = [item for item in items if isinstance(item, str)]
    for name in names:
        if name not in (*MOMENTS, "quantiles"):
            raise ValueError(
                f"no reduction named {name!r}; there are {', '.join(MOMENTS)}, quantiles, and the objects "
                f"Quantiles and Histogram"
            )
    moments = tuple(name for name in MOMENTS if name in names)
    found: list[Reduction] = [Moments(moments)] if moments else []
    if "quantiles" in names:
        found.append(Quantiles())
    for item in items:
        if isinstance(item, dict):  # a recipe
            found.append(Histogram(**item) if "edges" in item else Quantiles(**item))
        elif not isinstance(item, str):
            found.append(item)
    if not found:
        raise ValueError("reduce needs at least one reduction, such as 'mean'")
    return tuple(found)


def _named(values: np.ndarray, columns: Sequence[Column], kind: str, dims: tuple[str, ...]) -> Variables:
    """One variable per quantity; those of reactions over a dimension ``reaction``. Columns come last."""
    found: Variables = {}
    for i, column in enumerate(columns):
        if column.reaction is None:
            found[f"{column.name}_{kind}"] = (dims, values[..., i])
    for name in dict.fromkeys(c.name for c in columns if c.reaction is not None):
        chosen = [i for i, c in enumerate(columns) if c.name == name and c.reaction is not None]
        found[f"{name}_{kind}"] = ((*dims, "reaction"), values[..., chosen])
    return found


def _tally(
    cells: np.ndarray, lowest: int | None = None, highest: int | None = None
) -> tuple[int, np.ndarray]:
    """The lowest cell, and how many of the (n, n_times) cells are which, (n_times, n_cells)."""
    first = int(cells.min()) if lowest is None else lowest
    width = (int(cells.max()) if highest is None else highest) - first + 1
    places = np.arange(cells.shape[1]) * width + (cells - first)
    numbers = np.bincount(places.ravel(), minlength=cells.shape[1] * width)
    return first, numbers.reshape(cells.shape[1], width)


def _added(one: tuple[int, np.ndarray], other: tuple[int, np.ndarray]) -> tuple[int, np.ndarray]:
    """Two tallies as one."""
    first = min(one[0], other[0])
    last = max(lowest + numbers.shape[1] for lowest, numbers in (one, other))
    total = np.zeros((one[1].shape[0], last - first), np.int64)
    for lowest, numbers in (one, other):
        total[:, lowest - first : lowest - first + numbers.shape[1]] += numbers
    return first, total
