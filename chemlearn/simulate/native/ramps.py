"""Ramps cut into short stretches, with bounds on what the input makes there that are proven by intervals.

For a law that is not affine in the input nothing but such bounds is known between its firings. They depend on
the signal and the constants alone, so they are computed here once for all trajectories.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from chemlearn.expression import FUNCTIONS, ZERO, Expr, compile_expressions, symbols
from chemlearn.simulate.native.bounds import Bounds
from chemlearn.simulate.native.reading import GAUSS

_CHANGE = 0.005  # of each quantity along a stretch, about
_MOST = 256  # stretches of a ramp
_MOST_STRETCHES = 100_000  # of all ramps, which are as many rows of a table
_FIRINGS = 8.0  # in a stretch, about: shorter ones would cost more than the closer bounds save
_MARGIN = 1e-9  # relative: more than rounding can take from a bound
_HALVINGS = 30  # at most, of a stretch over which propensities are integrated
_TOLERANCE = 1e-10  # of the integral over a stretch, relative to the greatest value of all
_SAMPLES = 33  # of a ramp, to see how much is going on

Values = Callable[[np.ndarray], np.ndarray]  # levels of the input (n,) to what depends on it, (n_moved, n)


def cut(pieces: np.ndarray, values: Values, firings: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The rows of a table of straight pieces with every ramp cut into even stretches.

    How many there are only decides how fast a run is, not what it gives.

    Parameters
    ----------
    pieces : (n, 4) array
        Stop, start, level and slope of the input.
    values : callable
    firings : callable
        Expected firings on each of the pieces, from what depends on the input in their middle.
    """
    stop, start, level, slope = pieces.T
    length = np.where(slope == 0, 0.0, stop - start)
    keys, first, same = np.unique(
        np.column_stack([level, slope, np.round(length, 12)]), axis=0, return_index=True, return_inverse=True
    )
    share = np.linspace(0, 1, _SAMPLES)
    with np.errstate(all="ignore"):
        course = values((keys[:, :1] + (keys[:, 1] * length[first])[:, None] * share).ravel())
        course = course.reshape(len(course), len(keys), _SAMPLES)
        change = np.abs(np.diff(course, axis=2)).sum(axis=2) / np.abs(course).max(axis=2)
        wanted = np.nan_to_num(change.max(axis=0, initial=0.0), posinf=math.inf) / _CHANGE
        often = np.nan_to_num(firings(course[:, :, _SAMPLES // 2]) * length[first], nan=math.inf) / _FIRINGS
        number = np.clip(np.ceil(np.minimum(wanted, often)), 1, _MOST)[same.ravel()]
    number = np.maximum(1, np.floor(number * min(1.0, _MOST_STRETCHES / number.sum()))).astype(int)
    row = np.repeat(np.arange(len(pieces)), number)
    step = np.arange(len(row)) - np.repeat(np.cumsum(number) - number, number)
    begin = start[row] + length[row] * step / number[row]
    end = np.where(step + 1 == number[row], stop[row], start[row] + length[row] * (step + 1) / number[row])
    return np.column_stack([end, begin, level[row] + slope[row] * (begin - start[row]), slope[row]])


def refined(
    pieces: np.ndarray, values: Values, trees: Sequence[Expr], input: str, constants: Mapping[str, float]
) -> np.ndarray:
    """Pieces halved until Gauss's rule integrates over each what the input makes there.

    Its three points on the two halves tell the error of those on the whole. Where something jumps or bends
    the halving ends, and what remains of the error is the jump times a length that has been halved thirty
    times.

    Parameters
    ----------
    pieces : (n, 4) array
        Stop, start, level and slope of the input.
    values : callable
    trees, input, constants
        As of :func:`ranges`.
    """
    switches = [*{switch: None for tree in trees for switch in _switches(tree, input)}]
    done = [pieces[:0]]
    largest: Any = 0.0
    for _ in range(_HALVINGS):
        stop, start, level, slope = pieces.T
        length = np.where(slope == 0, 0.0, stop - start)
        coarse, fine, most = _integrated(values, level, slope, length)
        largest = np.maximum(largest, most)
        wrong = np.any(np.abs(fine - coarse) > _TOLERANCE * (largest * length), axis=0)
        if switches:
            wrong |= (length > 0) & _undecided(switches, _between(input, constants, pieces))
        if len(pieces) * 2 > _MOST_STRETCHES:
            break
        done.append(pieces[~wrong])
        left = pieces[wrong]
        middle = (left[:, 0] + left[:, 1]) / 2
        first, second = left.copy(), left.copy()
        first[:, 0] = second[:, 1] = middle
        second[:, 2] += left[:, 3] * (middle - left[:, 1])
        pieces = np.concatenate([first, second])
    whole = np.concatenate([*done, pieces])
    return whole[np.argsort(whole[:, 1], kind="stable")]


def _integrated(
    values: Values, level: np.ndarray, slope: np.ndarray, length: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Integrals over pieces by one rule, and by two on the halves, (n_moved, n); largest values."""
    places, weights = np.array(GAUSS[3]).T
    halves = np.concatenate([places / 2, (1 + places) / 2])
    at = np.concatenate([places, halves])
    with np.errstate(all="ignore"):
        course = values((level[:, None] + (slope * length)[:, None] * at).ravel())
        course = np.nan_to_num(course.reshape(len(course), len(level), len(at)))
    coarse = course[..., :3] @ weights * length
    fine = course[..., 3:] @ np.tile(weights / 2, 2) * length
    return coarse, fine, np.abs(course).max(axis=(1, 2), initial=0.0)[:, None]


def _switches(tree: Expr, input: str) -> list[Expr]:
    """Where the input makes a tree jump or bend: comparisons that change there, and what is rounded."""
    if input not in symbols(tree):
        return []
    found = [switch for part in tree.args for switch in _switches(part, input)]
    if tree.op in ("<", "<=", ">", ">=", "floor", "ceil"):  # equal for an instant only: that adds nothing
        found.append(tree)
    elif tree.op in ("min", "max"):
        found.append(Expr("<", tree.args))
    elif tree.op == "abs":
        found.append(Expr("<", (tree.args[0], ZERO)))
    return found


def _undecided(switches: Sequence[Expr], between: Bounds) -> np.ndarray:
    """Whether one of them may change on a piece, (n_pieces,)."""
    changes: Any = False
    for tree in switches:
        if tree.op in ("floor", "ceil"):
            low, high = between(tree)
            changes = changes | (low != high)
        else:
            always, never = between.truth(tree)
            changes = changes | ~(np.asarray(always) | never)
    return changes


def _between(input: str, constants: Mapping[str, float], pieces: np.ndarray) -> Bounds:
    """Bounds for what depends on the input, (n_pieces,)."""
    length = np.where(pieces[:, 3] == 0, 0.0, pieces[:, 0] - pieces[:, 1])
    ends = pieces[:, 2], pieces[:, 2] + pieces[:, 3] * length
    return Bounds(cast(Any, _Formulas(constants)), {input: (np.minimum(*ends), np.maximum(*ends))})


def ranges(
    trees: Sequence[Expr], input: str, constants: Mapping[str, float], pieces: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Proven least and greatest values of trees on every piece, (n_pieces, n_trees) each."""
    between = _between(input, constants, pieces)
    with np.errstate(all="ignore"):
        found = np.array([np.broadcast_arrays(*between(tree), pieces[:, 0])[:2] for tree in trees])
        low, high = (
            np.moveaxis(found, 2, 0).transpose(2, 0, 1) if len(trees) else np.zeros((2, len(pieces), 0))
        )
        return low - _MARGIN * np.abs(low), high + _MARGIN * np.abs(high)


class _Arrays:
    """Arithmetic on NumPy arrays under the names of LLVM's instructions."""

    fadd, fsub, fmul, fdiv = np.add, np.subtract, np.multiply, np.divide
    and_, or_, not_, select = np.logical_and, np.logical_or, np.logical_not, staticmethod(np.where)

    @property
    def builder(self) -> _Arrays:
        return self

    def number(self, value: float) -> float:
        return value

    def intrinsic(self, name: str, *args: Any) -> Any:
        return {"minimum": np.minimum, "maximum": np.maximum}[name](*args)

    def fcmp_ordered(self, relation: str, x: Any, y: Any) -> Any:
        compare = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}
        return compare[relation](x, y)


class _Formulas:
    """Values of trees of constants, and functions of numbers."""

    def __init__(self, constants: Mapping[str, float]) -> None:
        self.vectors = _Arrays()
        self.constants = constants

    def __call__(self, tree: Expr) -> Any:
        return compile_expressions([tree], list(self.constants))(list(self.constants.values()))[0]

    def holds(self, tree: Expr) -> Any:
        return np.not_equal(self(tree), 0)

    def applied(self, name: str, x: Any) -> Any:
        return getattr(np, FUNCTIONS[name][0])(x)

    def power(self, x: Any, exponent: Expr) -> Any:
        return np.power(x, self(exponent))
