"""Relaxation of a layered network in compiled loops: the numbers of :mod:`chemlearn.learning.layered`.

Four rows, of four examples or of one at four nudges, take each step together, so that weights between layers
are read once for four.
"""

from __future__ import annotations

import numpy as np

from chemlearn.learning.arrays import Array
from chemlearn.learning.compiled.loops import Share, compiled

__all__ = ["relax"]

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
    here: Arrays, later: Arrays, drive: Array, weights: Arrays, biases: Arrays, target: Array, nudges: Array
) -> None:
    """One step of all layers of four rows from ``here`` to ``later``, tuples of layers (4, n_layer)."""
    zero, one = drive.dtype.type(0), drive.dtype.type(1)
    last = len(weights)
    for r in range(4):
        _first_layer(r, here[0], drive, here[1], weights[0], later[0])
    for place in range(1, last + 1):
        old, new = here[place], later[place]
        _later_layer(here[place - 1], old, weights[place - 1], biases[place - 1], new)
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
    x: Array,
    first: tuple[Array, Array],
    weights: Arrays,
    biases: Arrays,
    target: Array,
    nudges: Array,
    steps: tuple[int, int],
    course: Arrays,
    moving: Array,
    here: Arrays,
    later: Arrays,
    share: Share,
) -> None:
    """Free phases, and nudged ones of those examples that the nudge moves; in blocks of four examples.

    Parameters
    ----------
    x, target : (n_batch, n_in) and (n_batch, n_out)
    first : W1 and b1
    weights, biases : of the layers after the first, for each; halves, and the weights transposed
    nudges : β of all knots but the first
    steps : of a free and of a nudged phase
    course : for each layer, (n_knots + 1, n_batch, n_layer)
        Its last entry holds the start and, afterwards, the free state; entry 0 becomes the state at rest and
        entry k that at ``nudges[k - 1]``, where ``moving``.
    moving : (n_batch,)
        Set: whether the output is ever off its target.
    here, later : for each layer, (4, n_layer)
        To work in.
    """
    n_batch, last, free = len(x), len(weights), len(nudges) + 1
    drives, drive = _drive(x, first[0], first[1], share), np.empty((4, len(first[1])), x.dtype)
    aims, pulls = np.empty((4, target.shape[1]), x.dtype), np.zeros(4, x.dtype)
    for begin in range(4 * share[0], n_batch, 4 * share[1]):
        count = min(4, n_batch - begin)
        for r in range(4):
            e = begin + min(r, count - 1)
            _take(course, free, e, here, r)
            _aim(r, e, drives, target, drive, aims)
            pulls[r] = 0
        for step in range(steps[0] + steps[1]):
            for r in range(count):
                if step == 0:
                    moving[begin + r] = False
                if step == steps[0]:
                    _put(here, r, course, free, begin + r)
                if step >= steps[0]:
                    for k in range(target.shape[1]):
                        moving[begin + r] |= here[last][r, k] != aims[r, k]
            _step(here, later, drive, weights, biases, aims, pulls)
            here, later = later, here
        for r in range(count):
            _put(here, r, course, 0, begin + r)
        for e in range(begin, begin + count):
            if moving[e]:
                for r in range(4):
                    _aim(r, e, drives, target, drive, aims)
                _swing(e, drive, weights, biases, aims, nudges, steps[1], course, here, later)


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
    drive: Array,
    weights: Arrays,
    biases: Arrays,
    aims: Array,
    nudges: Array,
    steps: int,
    course: Arrays,
    here: Arrays,
    later: Arrays,
) -> None:
    """One example at all nudges, each from its free state, four nudges at once."""
    pulls = np.empty(4, drive.dtype)
    for first in range(0, len(nudges), 4):
        count = min(4, len(nudges) - first)
        for r in range(4):
            _take(course, len(nudges) + 1, e, here, r)
            pulls[r] = nudges[first + min(r, count - 1)]
        for _ in range(steps):
            _step(here, later, drive, weights, biases, aims, pulls)
            here, later = later, here
        for r in range(count):
            _put(here, r, course, first + r + 1, e)


@compiled
def _drive(x: Array, weights: Array, bias: Array, share: Share) -> Array:
    """Half of what input and bias do to the first layer, (n_batch, n_first); dark pixels cost nothing."""
    drive = np.zeros((len(x), len(bias)), bias.dtype)
    for i in range(0, x.shape[1] - 1, 2):
        for begin in range(4 * share[0], len(x), 4 * share[1]):
            for e in range(begin, min(begin + 4, len(x))):
                lit, also = x[e, i], x[e, i + 1]
                if lit != 0 or also != 0:
                    for j in range(len(bias)):
                        drive[e, j] += lit * weights[i, j] + also * weights[i + 1, j]
    half, last = drive.dtype.type(0.5), len(weights) - 1
    for e in range(len(x)):
        odd = x[e, last] if len(weights) % 2 else 0 * half
        for j in range(len(bias)):
            drive[e, j] = half * (drive[e, j] + bias[j] + odd * weights[last, j])
    return drive
