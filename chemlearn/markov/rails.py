"""The numbers of a two-rail ladder at one level of its ligand: rates, currents, and a basis where it is tame.

Where vertical rates are thousands of times the horizontal ones, rounding errors of the fast exchange would
drown the slow drift. So the drift is written in column totals, which the fast exchange does not touch, and
the currents round the squares as sums of products of rates, of which none is subtracted.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_MOST_COLUMNS = 25  # beyond, probabilities may be too small for a double
LARGEST = 1e100  # of F, the affinities and the ligand: no rate is too large for a double then

_Link = tuple[float, float, float]  # rates ahead and back, and η


class Rails(NamedTuple):
    """Rates of the ladder, each (n_columns,) or, between columns, (n_columns − 1,), after any axes of levels.

    Parameters
    ----------
    energies : ndarray
        Of the top over the bottom state, k_B T.
    down, up : ndarray
        Rates from top to bottom and from bottom to top.
    against : ndarray
        Counter-clockwise horizontal rates, e γ; the clockwise ones are 1.
    gammas : ndarray
    """

    energies: np.ndarray
    down: np.ndarray
    up: np.ndarray
    against: np.ndarray
    gammas: np.ndarray

    def matrix(self) -> np.ndarray:
        """W, (..., 2 n, 2 n), top rail first; ``W[i, j]`` is the rate from j to i and columns sum to zero."""
        n = self.down.shape[-1]
        matrix = self._horizontal()
        for source, target, rate in ((0, n, self.down), (n, 0, self.up)):
            _add(matrix, source, target, rate, n)
        return matrix

    def _horizontal(self) -> np.ndarray:
        """W without its vertical rates."""
        n = self.down.shape[-1]
        matrix = np.zeros((*self.down.shape[:-1], 2 * n, 2 * n))
        _add(matrix, 1, 0, 1.0, n - 1)
        _add(matrix, 0, 1, self.against, n - 1)
        _add(matrix, n, n + 1, 1.0, n - 1)
        _add(matrix, n + 1, n, self.against, n - 1)
        return matrix

    def column_matrix(self, minor: np.ndarray) -> np.ndarray:
        """W in the coordinates of :func:`column_basis`, (..., 2 n, 2 n), where no column total sees the fast
        vertical rates.
        """
        n = self.down.shape[-1]
        into, back = column_basis(minor)
        matrix = into @ self._horizontal() @ back
        each = np.arange(n)
        matrix[..., each, each] -= self.down + self.up
        matrix[..., each, n + each] += np.where(minor, self.down, self.up)
        return matrix

    @property
    def pairs(self) -> tuple[np.ndarray, ...]:
        """Source and target state, forward and backward rate, and ln of their ratio, of every pair."""
        n = self.down.shape[-1]
        top, left = np.arange(n), np.arange(n - 1)
        ones = np.ones((*self.down.shape[:-1], n - 1))
        force = -1.0 - np.log(self.gammas) * ones
        return (
            np.concatenate([top, left + 1, n + left]),
            np.concatenate([n + top, left, n + left + 1]),
            np.concatenate([self.down, ones, ones], axis=-1),
            np.concatenate([self.up, self.against * ones, self.against * ones], axis=-1),
            np.concatenate([self.energies, force, force], axis=-1),
        )

    def at_rest(self) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities at rest, (2 n,), and clockwise net current round each square, (n − 1,).

        Both keep full relative accuracy, for nothing is subtracted. What lies left of a square, and what lies
        right of it, is one link between the two rails, with rates ahead (the way the clock goes) and back
        whose ratio is that of equilibrium over 1 − η. Links in parallel add; a link seen through one more
        square is reduced by two states. η is kept apart, for the rates would lose it where it is small: 1 − η
        is multiplied by γ² per square, and averaged where links add.
        """
        down, up, against, gammas = (
            each.tolist() for each in (self.down, self.up, self.against, self.gammas)
        )
        left = _links(down, up, against, gammas)
        right = _links(up[::-1], down[::-1], against[::-1], gammas[::-1])[::-1]
        top, bottom = _probabilities(left, against)
        currents = []
        for m, (k, gamma) in enumerate(zip(against, gammas, strict=True)):
            ahead, back, drive = left[m]
            other, other_back, other_drive = _through(right[m + 1], k, gamma)
            share = ahead / (ahead + back + other + other_back)
            currents.append((top[m] + bottom[m]) * share * other * (drive + other_drive * (1.0 - drive)))
        return np.array(top + bottom), np.array(currents)

    def slow_basis(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """W in column totals and imbalances: the matrix, and the maps from states and to states.

        The imbalance of a column is what the vertical exchange undoes. Fast columns come first, and all is
        scaled so that the matrix is nearly symmetric: then its eigenvalues and vectors are good to rounding.
        """
        n, fast = len(self.down), self.down + self.up
        top, bottom = self.up / fast, self.down / fast
        share = self._shares(top, bottom)
        order, each = np.argsort(-fast), np.arange(n)
        total, imbalance = np.sqrt(share), np.sqrt(share * top * bottom * fast)[order]
        into, back = np.zeros((2, 2 * n, 2 * n))
        into[each, order], into[each, n + order] = bottom[order] / imbalance, -top[order] / imbalance
        into[n + each, each] = into[n + each, n + each] = 1.0 / total
        back[order, each], back[n + order, each] = imbalance, -imbalance
        back[each, n + each], back[n + each, n + each] = top * total, bottom * total
        matrix = into @ self._horizontal() @ back
        matrix[each, each] -= fast[order]
        return matrix, into, back

    def _shares(self, top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
        """Probabilities of the columns if the vertical exchange were at equilibrium, up to a factor."""
        onward = np.log(bottom[:-1] + self.against * top[:-1])
        backward = np.log(top[1:] + self.against * bottom[1:])
        logs = np.append(0.0, np.cumsum(onward - backward))
        return np.exp(np.maximum(logs - logs.max(), -700.0))


def column_basis(minor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One state of each column and the column's total in place of both: maps from states and to states.

    Parameters
    ----------
    minor : ndarray of bool, (n_columns,)
        Whether it is the bottom state; best the less frequent of the two, which keeps its digits so.
    """
    bottom, one = np.diag(minor.astype(float)), np.eye(len(minor))
    into = np.block([[one - bottom, bottom], [one, one]])
    back = np.block([[one - 2.0 * bottom, bottom], [2.0 * bottom - one, one - bottom]])
    return into, back


def _add(matrix: np.ndarray, source: int, target: int, rate: np.ndarray | float, count: int) -> None:
    """Add rates from ``source`` to ``target`` and from the following states to the following ones."""
    flat, size = matrix.reshape(*matrix.shape[:-2], -1), matrix.shape[-1]
    for row, sign in ((target, 1.0), (source, -1.0)):
        first = row * size + source
        flat[..., first : first + count * (size + 1) - size : size + 1] += sign * rate


def _links(ahead: list[float], back: list[float], against: list[float], gammas: list[float]) -> list[_Link]:
    """For each column the link that it and all columns before it make."""
    links = [(ahead[0], back[0], 0.0)]
    for rung, rung_back, k, gamma in zip(ahead[1:], back[1:], against, gammas, strict=True):
        forward, backward, drive = _through(links[-1], k, gamma)
        total = rung + forward
        links.append((total, rung_back + backward, forward / total * drive))
    return links


def _through(link: _Link, against: float, gamma: float) -> _Link:
    """A link as it is seen through one square."""
    ahead, back, drive = link
    reduced = against * (1.0 + back) + ahead
    return (
        ahead / reduced,
        against * back * (against / reduced),
        (1.0 - gamma) * (1.0 + gamma) + gamma * gamma * drive,
    )


def _probabilities(links: list[_Link], against: list[float]) -> tuple[list[float], list[float]]:
    """Probabilities at rest of the top and of the bottom states, from the links to the left."""
    ahead, back, _ = links[-1]
    states = [(back / (ahead + back), ahead / (ahead + back))]
    whole = 1.0
    for (ahead, back, _), k in zip(links[-2::-1], against[::-1], strict=True):
        top, bottom = states[-1]
        reduced = k * (1.0 + back) + ahead
        top, bottom = (
            (top * (1.0 + back) + bottom * k * back) / reduced,
            (top * ahead + bottom * k * (k + ahead)) / reduced,
        )
        states.append((top, bottom))
        whole += top + bottom
        if whole > 1e100:  # many columns span more than a double does
            states, whole = [(t / whole, b / whole) for t, b in states], 1.0
    return tuple([state[rail] / whole for state in states[::-1]] for rail in (0, 1))  # type: ignore[return-value]


def checked_columns(columns: int) -> int:
    """A number of columns as an int."""
    try:
        number = operator.index(columns)
    except TypeError:
        number = 0
    if not 2 <= number <= _MOST_COLUMNS:
        raise ValueError(f"a ladder has 2 to {_MOST_COLUMNS} columns, got {columns}")
    return number


def checked_numbers(
    value: float | Sequence[float], name: str, count: int, each: str
) -> float | tuple[float, ...]:
    """A positive number, or one per square or column as a tuple; at most 1 where it is γ."""
    numbers = np.asarray(value, float)
    if numbers.ndim > 1 or (numbers.ndim == 1 and (not each or len(numbers) != count)):
        allowed = f"one number, or one per {each}, {count} of them" if each else "one number"
        raise ValueError(f"{name} must be {allowed}, got {value}")
    largest, allowed = (
        (1.0, "above 0 and at most 1") if name == "gamma" else (LARGEST, f"positive and at most {LARGEST:g}")
    )
    fine = (numbers > 0) & (numbers <= largest)
    if not np.all(fine):
        end = "; 1 is detailed balance" if name == "gamma" else ""
        raise ValueError(f"{name} must be {allowed}, got {numbers[~fine].flat[0]}{end}")
    return float(numbers) if numbers.ndim == 0 else tuple(numbers.tolist())
