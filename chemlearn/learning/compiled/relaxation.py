"""Relaxation of a layered network in compiled loops: the numbers of :mod:`chemlearn.learning.layered`.

Four rows, of four examples or of one at four nudges, take each step together, so that weights between layers
are read once for four.
"""

from __future__ import annotations

import numpy as np

from chemlearn.learning.arrays import Array
from chemlearn.learning.compiled.loops import Share, compiled

__all__ = ["drive", "relax"]

Arrays = tuple[Array, ...]


@compiled
def _clipped(value: float, zero: float, one: float) -> float:
    """Into [0, 1]."""
    value = value if value > zero else zero
    return value if value < one else one


@compiled
def _first_layer(row: int, here: Array, drive: Array, after: Array, back: Array, new: Array) -> None:
    """The first layer's step in one row; silent units of the layer after it cost nothing."""
    zero, half, one = new.dtype.type(0), new.dtype.type(0.5), new.dtype.type(1)
    count, first, last = 0, 0, 0
    for k in range(after.shape[1]):
        if after[row, k] != 0:
            first, last = k if count == 0 else first, k
            count += 1
    if count == 0:
        for j in range(new.shape[1]):
            new[row, j] = _clipped(half * here[row, j] + drive[row, j], zero, one)
        return
    size = after[row, first]
    if count == 1:
        for j in range(new.shape[1]):
            pulled = half * here[row, j] + drive[row, j] + size * back[first, j]
            new[row, j] = _clipped(pulled, zero, one)
        return
    for j in range(new.shape[1]):
        new[row, j] = half * here[row, j] + drive[row, j] + size * back[first, j]
    for k in range(first + 1, last):
        size = after[row, k]
        if size != 0:
            for j in range(new.shape[1]):
                new[row, j] += size * back[k, j]
    size = after[row, last]
    for j in range(new.shape[1]):
        new[row, j] = _clipped(new[row, j] + size * back[last, j], zero, one)


@compiled
def _later_layer(before: Array, here: Array, into: Array, bias: Array, new: Array) -> None:
    """½ x plus what the layer before pulls, in four rows at once, so that weights are read once for four."""
    half, zero = new.dtype.type(0.5), new.dtype.type(0)
    for j in range(into.shape[0]):
        one = two = three = four = zero
        for i in range(into.shape[1]):
            weight = into[j, i]
            one += before[0, i] * weight
            two += before[1, i] * weight
            three += before[2, i] * weight
            four += before[3, i] * weight
        new[0, j] = half * here[0, j] + bias[j] + one
        new[1, j] = half * here[1, j] + bias[j] + two
        new[2, j] = half * here[2, j] + bias[j] + three
        new[3, j] = half * here[3, j] + bias[j] + four


@compiled
def _step(
    here: Arrays,
    later: Arrays,
    drive: Array,
    weights: Arrays,
    biases: Arrays,
    target: Array,
    nudges: Array,
    in_turn: bool,
) -> None:
    """One step of all layers of four rows from ``here`` to ``later``, tuples of layers (4, n_layer)."""
    zero, one = drive.dtype.type(0), drive.dtype.type(1)
    last = len(weights)
    for r in range(4):
        _first_layer(r, here[0], drive, here[1], weights[0], later[0])
    for place in range(1, last + 1):
        old, new = here[place], later[place]
        before = later[place - 1] if in_turn else here[place - 1]
        _later_layer(before, old, weights[place - 1], biases[place - 1], new)
        for r in range(4):
            if place < last:
                after, back = here[place + 1], weights[place]
                for k in range(after.shape[1]):
                    size = after[r, k]
                    if size != 0:
                        for j in range(new.shape[1]):
                            new[r, j] += size * back[k, j]
            elif nudges[r] != 0:
                for j in range(new.shape[1]):
                    new[r, j] -= nudges[r] * (old[r, j] - target[r, j])
            for j in range(new.shape[1]):
                new[r, j] = _clipped(new[r, j], zero, one)


@compiled
def _take(course: Arrays, knot: int, example: int, layers: Arrays, row: int) -> None:
    """From the course of all examples into one row of the layers worked in."""
    for place in range(len(layers)):
        into, source = layers[place], course[place]
        for j in range(into.shape[1]):
            into[row, j] = source[knot, example, j]


@compiled
def _put(layers: Arrays, row: int, course: Arrays, knot: int, example: int) -> None:
    """From one row of the layers worked in into the course of all examples."""
    for place in range(len(layers)):
        source, into = layers[place], course[place]
        for j in range(source.shape[1]):
            into[knot, example, j] = source[row, j]


@compiled
def relax(
    drives: Array,
    weights: Arrays,
    biases: Arrays,
    target: Array,
    nudges: Array,
    steps: tuple[int, int],
    in_turn: bool,
    course: Arrays,
    moving: Array,
    here: Arrays,
    later: Arrays,
    share: Share,
) -> None:
    """Free phases, and nudged ones of those examples that the nudge moves; in blocks of four examples.

    Parameters
    ----------
    drives : (n_batch, n_first)
        As :func:`drive` says.
    target : (n_batch, n_out)
    weights, biases : of the layers after the first, for each; halves, and the weights transposed
    nudges : β of all knots but the first
    steps : of a free and of a nudged phase
    in_turn : whether layers move one after the other while a nudge acts
    course : for each layer, (n_knots + 1, n_batch, n_layer)
        Its last entry holds the start and, afterwards, the free state; entry 0 becomes the state at rest and
        entry k that at ``nudges[k - 1]``, where ``moving``.
    moving : (n_batch,)
        Set: whether the output is ever off its target.
    here, later : for each layer, (4, n_layer)
        To work in.
    """
    size, count = len(drives), 0
    left = np.empty(size, np.int64)
    for begin in range(4 * share[0], size, 4 * share[1]):
        for e in range(begin, min(begin + 4, size)):
            _take(course, len(nudges) + 1, e, here, 0)
            left[count] = e
            count += not _settled(0, e, steps, drives, weights, biases, target, course, moving, here)
    for begin in range(0, count, 4):
        some = left[begin : min(begin + 4, count)]
        _free(some, drives, weights, biases, target, steps, course, moving, here, later)
    for begin in range(4 * share[0], size, 4 * share[1]):
        for e in range(begin, min(begin + 4, size)):
            if moving[e]:
                _swing(e, drives, weights, biases, target, nudges, steps[1], in_turn, course, here, later)


@compiled
def _free(
    examples: Array,
    drives: Array,
    weights: Arrays,
    biases: Arrays,
    target: Array,
    steps: tuple[int, int],
    course: Arrays,
    moving: Array,
    here: Arrays,
    later: Arrays,
) -> None:
    """Free phase and rest of up to four examples, which leave where they settle."""
    count, last, free = len(examples), len(weights), len(course[0]) - 1
    drive = np.empty((4, drives.shape[1]), drives.dtype)
    aims, pulls = np.empty((4, target.shape[1]), drives.dtype), np.zeros(4, drives.dtype)
    active = np.ones(4, np.bool_)
    for r in range(4):
        e = examples[min(r, count - 1)]
        _take(course, free, e, here, r)
        _aim(r, e, drives, target, drive, aims)
        moving[e] = False
    for step in range(steps[0] + steps[1]):
        ahead = steps[0] - step, steps[1]
        some = False
        for r in range(count):
            e = examples[r]
            if active[r] and (step == 2 or step == 4 or step == 8) and step <= steps[0]:
                active[r] = not _settled(r, e, ahead, drives, weights, biases, target, course, moving, here)
            if active[r] and step == steps[0]:
                _put(here, r, course, free, e)
            if active[r] and step >= steps[0]:
                for k in range(target.shape[1]):
                    moving[e] |= here[last][r, k] != aims[r, k]
            some |= active[r]
        if not some:
            return
        _step(here, later, drive, weights, biases, aims, pulls, False)
        here, later = later, here
    for r in range(count):
        if active[r]:
            _put(here, r, course, 0, examples[r])


@compiled
def _settled(
    r: int,
    e: int,
    steps: tuple[int, int],
    drives: Array,
    weights: Arrays,
    biases: Arrays,
    target: Array,
    course: Arrays,
    moving: Array,
    here: Arrays,
) -> bool:
    """Whether the outputs provably stay at 0 or 1; if so, the free state and the rest are known and written.

    With one hidden layer and constant outputs a hidden unit goes to its fixed point p as
    ``p + (x − p)/2**n``, clipped, one way. So what pulls at an output stays between its value now and the
    sums over all units of what can only raise it and of what can only lower it.
    """
    hidden, out = here[0], here[1]
    if len(weights) > 1:
        return False
    for k in range(out.shape[1]):
        if out[r, k] != 0 and out[r, k] != 1:
            return False
    zero, one, half = hidden.dtype.type(0), hidden.dtype.type(1), hidden.dtype.type(0.5)
    fixed, way = np.empty(hidden.shape[1], hidden.dtype), np.empty(hidden.shape[1], hidden.dtype)
    for j in range(len(fixed)):
        fixed[j] = drives[e, j] + drives[e, j]
    for k in range(out.shape[1]):
        if out[r, k] != 0:
            for j in range(len(fixed)):
                fixed[j] += weights[0][k, j] + weights[0][k, j]
    for j in range(len(fixed)):
        way[j] = _clipped(fixed[j], zero, one) - hidden[r, j]
    for k in range(out.shape[1]):
        now = up = down = zero
        for j in range(len(fixed)):
            now += hidden[r, j] * weights[0][k, j]
            move = way[j] * weights[0][k, j]
            up += move if move > zero else zero
            down += move if move < zero else zero
        pull = now + biases[0][k] + half * out[r, k]
        if (out[r, k] == 0 and pull + up > 0) or (out[r, k] == 1 and pull + down < 1):
            return False
    moving[e] = False
    first, then = hidden.dtype.type(0.5 ** steps[0]), hidden.dtype.type(0.5 ** (steps[0] + steps[1]))
    last = len(course[0]) - 1
    for j in range(len(fixed)):
        off = hidden[r, j] - fixed[j]
        course[0][last, e, j] = _clipped(fixed[j] + first * off, zero, one)
        course[0][0, e, j] = _clipped(fixed[j] + then * off, zero, one)
    for k in range(out.shape[1]):
        course[1][last, e, k] = course[1][0, e, k] = out[r, k]
        moving[e] |= out[r, k] != target[e, k]
    return True


@compiled
def _aim(r: int, e: int, drives: Array, target: Array, drive: Array, aims: Array) -> None:
    """Give one row the drive and the target of an example."""
    for j in range(drive.shape[1]):
        drive[r, j] = drives[e, j]
    for k in range(aims.shape[1]):
        aims[r, k] = target[e, k]


@compiled
def _swing(
    e: int,
    drives: Array,
    weights: Arrays,
    biases: Arrays,
    target: Array,
    nudges: Array,
    steps: int,
    in_turn: bool,
    course: Arrays,
    here: Arrays,
    later: Arrays,
) -> None:
    """One example at all nudges, each from its free state, four nudges at once."""
    drive = np.empty((4, drives.shape[1]), drives.dtype)
    aims, pulls = np.empty((4, target.shape[1]), drives.dtype), np.empty(4, drives.dtype)
    for r in range(4):
        _aim(r, e, drives, target, drive, aims)
    for first in range(0, len(nudges), 4):
        count = min(4, len(nudges) - first)
        for r in range(4):
            _take(course, len(nudges) + 1, e, here, r)
            pulls[r] = nudges[first + min(r, count - 1)]
        for _ in range(steps):
            _step(here, later, drive, weights, biases, aims, pulls, in_turn)
            here, later = later, here
        for r in range(count):
            _put(here, r, course, first + r + 1, e)


@compiled
def drive(x: Array, weights: Array, bias: Array, drives: Array, share: Share) -> None:
    """Half of what input and bias do to the first layer, (n_batch, n_first); dark pixels cost nothing."""
    lit, half = np.empty(len(weights) + 1, np.int64), drives.dtype.type(0.5)
    for begin in range(4 * share[0], len(x), 4 * share[1]):
        for e in range(begin, min(begin + 4, len(x))):
            drives[e] = 0
            count = 0
            for i in range(len(weights)):
                lit[count] = i
                count += x[e, i] != 0
            for place in range(0, count - count % 4, 4):
                h, i, k, m = lit[place], lit[place + 1], lit[place + 2], lit[place + 3]
                one, two, three, four = weights[h], weights[i], weights[k], weights[m]
                a, b, c, d = x[e, h], x[e, i], x[e, k], x[e, m]
                for j in range(len(bias)):
                    drives[e, j] += a * one[j] + b * two[j] + c * three[j] + d * four[j]
            for place in range(count - count % 4, count):
                one, a = weights[lit[place]], x[e, lit[place]]
                for j in range(len(bias)):
                    drives[e, j] += a * one[j]
            for j in range(len(bias)):
                drives[e, j] = half * (drives[e, j] + bias[j])
