"""The temporal rule for all weights between two layers in compiled loops, one row of weights after another.

The numbers of :class:`chemlearn.learning.correlations.Correlations` and
:class:`chemlearn.learning.rules.Temporal`; a weight is looked at only where a bound says that it may change.
"""

from __future__ import annotations

import numpy as np

from chemlearn.learning.arrays import Array
from chemlearn.learning.compiled.loops import Share, compiled, padded
from chemlearn.learning.compiled.thresholds import Instants, respond, room_for

__all__ = ["update"]


@compiled
def update(
    knots: tuple[int, ...],
    params: Array,
    pre: Array,
    post: Array,
    least: float,
    factor: float,
    at: Instants,
    share: Share,
) -> None:
    """Add ``factor`` times ∫ g_θ(u) dt to weights (n_pre, n_post), from the courses of the layers they join.

    Parameters
    ----------
    knots : any tuple of n_knots − 1 entries
    params : (n_pre, n_post)
    pre, post : (n_knots or 1, n_moving, n_pre) and (n_knots, n_moving, n_post)
    least : increments below it do nothing
    at : for θ of sums over examples, not means, as ``least`` and ``factor`` are
    """
    held = len(pre) == 1
    n_moving = post.shape[1]
    columns = _moving_columns(post) if held else np.arange(post.shape[2])
    width = padded(len(columns))
    moves = np.zeros((n_moving, len(knots), width), post.dtype)
    levels = np.zeros((n_moving, len(knots), 0 if held else width), post.dtype)
    reach, height = np.zeros((n_moving, width), post.dtype), np.zeros((n_moving, width), post.dtype)
    _courses(post, columns, moves, levels, reach, height)
    bound, total = np.empty(width, post.dtype), np.empty(width, post.dtype)
    chosen, steps = np.empty(width + 1, np.int64), np.empty((len(knots), width), post.dtype)
    every, room = np.empty((len(knots), width), post.dtype), room_for(knots, total)
    for i in range(share[0], len(params), share[1]):
        if not _bounds(i, pre, reach, height, bound):
            continue
        count = 0
        for c in range(width):
            count += bound[c] >= least
        if count == 0:
            continue
        if 4 * count > len(columns):
            # To work out all, side by side, costs less than to pick some.
            _increments(i, pre, moves, levels, every)
            count = _large(knots, every, least, chosen, total, steps)
        else:
            count = _at_least(least, bound, chosen)
            _chosen_increments(i, pre, moves, levels, chosen, count, steps)
        for k in range(len(knots)):
            for c in range(count, padded(count)):
                steps[k, c] = 0
        respond(knots, steps, padded(count), at, room, total)
        for c in range(count):
            params[i, columns[chosen[c]]] += factor * total[c]


@compiled
def _at_least(least: float, sizes: Array, chosen: Array) -> int:
    """Which sizes are at least ``least``, which is more than 0; how many."""
    count = 0
    for c in range(len(sizes)):
        chosen[count] = c
        count += sizes[c] >= least
    return count


@compiled
def _large(
    knots: tuple[int, ...], every: Array, least: float, chosen: Array, largest: Array, steps: Array
) -> int:
    """Pick the weights of a row with an increment of at least ``least``; how many."""
    for c in range(len(largest)):
        size = abs(every[0, c])
        for k in range(1, len(knots)):
            other = abs(every[k, c])
            size = other if other > size else size
        largest[c] = size
    count = _at_least(least, largest, chosen)
    for k in range(len(knots)):
        for c in range(count):
            steps[k, c] = every[k, chosen[c]]
    return count


@compiled
def _courses(post: Array, columns: Array, moves: Array, levels: Array, reach: Array, height: Array) -> None:
    """Increments of units, where these begin unless the other layer is held, and the largest of both."""
    for e in range(len(moves)):
        for k in range(moves.shape[1]):
            for c in range(len(columns)):
                before = post[k, e, columns[c]]
                move = post[k + 1, e, columns[c]] - before
                moves[e, k, c] = move
                reach[e, c] = max(reach[e, c], abs(move))
                height[e, c] = max(height[e, c], before)
                if levels.shape[2]:
                    levels[e, k, c] = before


@compiled
def _moving_columns(post: Array) -> Array:
    """Units that move in any example."""
    found, count = np.empty(post.shape[2], np.int64), 0
    moves = np.zeros(post.shape[2], np.bool_)
    for e in range(post.shape[1]):
        for k in range(1, len(post)):
            for j in range(post.shape[2]):
                moves[j] |= post[k, e, j] != post[k - 1, e, j]
    for j in range(len(moves)):
        if moves[j]:
            found[count] = j
            count += 1
    return found[:count]


@compiled
def _bounds(i: int, pre: Array, reach: Array, height: Array, bound: Array) -> bool:
    """How large the increments of one row of weights can be; whether any can be more than 0."""
    some = False
    for e in range(pre.shape[1]):
        for k in range(len(pre)):
            some |= pre[k, e, i] != 0
    if not some:
        return False
    for c in range(len(bound)):
        bound[c] = 0
    for e in range(pre.shape[1]):
        size, move = pre[0, e, i], pre[0, e, i] * 0
        for k in range(1, len(pre)):
            size, move = max(size, pre[k, e, i]), max(move, abs(pre[k, e, i] - pre[k - 1, e, i]))
        if size != 0:
            for c in range(len(bound)):
                bound[c] += size * reach[e, c]
        if move != 0:
            for c in range(len(bound)):
                bound[c] += move * height[e, c]
    return True


@compiled
def _increments(i: int, pre: Array, moves: Array, levels: Array, steps: Array) -> None:
    """Increments of all of one row of weights."""
    if len(pre) == 1:
        _held_increments(pre[0, :, i], moves, steps)
        return
    steps[:] = 0
    for e in range(len(moves)):
        for k in range(len(steps)):
            size, move = pre[k + 1, e, i], pre[k + 1, e, i] - pre[k, e, i]
            if size != 0 or move != 0:
                for c in range(steps.shape[1]):
                    steps[k, c] += size * moves[e, k, c] + move * levels[e, k, c]


@compiled
def _held_increments(sizes: Array, moves: Array, steps: Array) -> None:
    """Increments where the layer before is held: three examples at once, to write the sums less often."""
    lit = np.empty(len(sizes) + 1, np.int64)
    count = 0
    for e in range(len(sizes)):
        lit[count] = e
        count += sizes[e] != 0
    steps[:] = 0
    for place in range(0, count - count % 3, 3):
        e, f, g = lit[place], lit[place + 1], lit[place + 2]
        one, two, three = sizes[e], sizes[f], sizes[g]
        for k in range(len(steps)):
            for c in range(steps.shape[1]):
                steps[k, c] += one * moves[e, k, c] + two * moves[f, k, c] + three * moves[g, k, c]
    for place in range(count - count % 3, count):
        e, size = lit[place], sizes[lit[place]]
        for k in range(len(steps)):
            for c in range(steps.shape[1]):
                steps[k, c] += size * moves[e, k, c]


@compiled
def _chosen_increments(
    i: int, pre: Array, moves: Array, levels: Array, chosen: Array, count: int, steps: Array
) -> None:
    """Increments of some of one row of weights, side by side."""
    held = len(pre) == 1
    for k in range(len(steps)):
        for c in range(count):
            steps[k, c] = 0
        for e in range(len(moves)):
            size = pre[0, e, i] if held else pre[k + 1, e, i]
            if size != 0:
                for c in range(count):
                    steps[k, c] += size * moves[e, k, chosen[c]]
            if not held:
                move = pre[k + 1, e, i] - pre[k, e, i]
                if move != 0:
                    for c in range(count):
                        steps[k, c] += move * levels[e, k, chosen[c]]
