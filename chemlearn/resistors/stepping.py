r"""Steps of coupled learning out of equilibrium, in compiled loops.

``explicit`` steps are those of Dormand and Prince, ``stabilised`` ones those of Runge, Kutta and Chebyshev
(Sommeijer, Shampine, Verwer, J. Comput. Appl. Math. 88 (1998), doi:10.1016/S0377-0427(97)00219-7), whose
stages reach as far along the relaxation of the voltages as their number squared, without a matrix.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from chemlearn.learning.arrays import Array
from chemlearn.learning.compiled.loops import compiled
from chemlearn.resistors.loops import Law, Wiring, rates, stiffness

__all__ = ["DIFFERENCE", "DONE", "FULL", "LATE", "STUCK", "TABLEAU", "Control", "Record", "advance"]

FULL, DONE, LATE, STUCK = 0, 1, 2, 3
"""Why :func:`advance` came back: its record is full, the goal or the last time is reached, no step is small
enough."""

LOOKS = 16
"""Instants within a step at which the error is compared with the goal."""

MOST_STAGES = 3000

# Dormand and Prince's fifth-order formula, and its difference to the fourth-order one.
TABLEAU = np.array(
    [
        [1 / 5, 0, 0, 0, 0, 0],
        [3 / 40, 9 / 40, 0, 0, 0, 0],
        [44 / 45, -56 / 15, 32 / 9, 0, 0, 0],
        [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0, 0],
        [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656, 0],
        [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
    ]
)
DIFFERENCE = np.array([71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40])


class Control(NamedTuple):
    """How steps are chosen, and when to stop."""

    stabilised: bool
    tolerance: float
    sizes: tuple[float, float, float]
    """Sizes of v, u and g, below which their errors are not relative."""
    goal: float
    """Error at which the goal is reached; below 0 for none."""
    stop: bool
    """Whether to stop there."""
    last: float
    """Time at which to stop in any case."""


class Record(NamedTuple):
    """What was seen at the end of each step, in rows."""

    times: Array
    errors: Array
    voltages: Array
    """Of the targets, (n_rows, n_targets)."""
    conductances: Array


@compiled
def advance(
    wiring: Wiring, law: Law, control: Control, y: Array, clock: Array, record: Record
) -> tuple[int, int]:
    """Take steps until the record is full or there is a reason to stop; the rows written and the reason.

    ``y`` and ``clock``, which holds the time, the next step, the time of the goal (nan before) and the
    numbers of steps and of evaluations, are where to begin and, afterwards, where to go on.
    """
    half, size = wiring.copies * wiring.nodes, len(y)
    f, later, end = np.empty(size), np.empty(size), np.empty(size)
    work, sums = np.empty((6, size)), np.empty((2, wiring.nodes))
    rates(wiring, law, y, f)
    clock[4] += 1
    count = 0
    power = 1.0 / 3.0 if control.stabilised else 0.2
    while count < len(record.times):
        bound = stiffness(wiring, law, y, sums)
        if not clock[1] > 0:
            clock[1] = 0.05 / bound
        h = min(clock[1], control.last - clock[0])
        if control.stabilised:
            h = min(h, 0.65 * (MOST_STAGES**2 - 1.0) / bound)
        error = _step(wiring, law, control, y, f, h, bound, later, end, work, clock)
        if not error <= 1.0:
            clock[1] = h * (max(0.1, 0.8 * error**-power) if np.isfinite(error) else 0.1)
            if clock[1] < 1e-13 * (clock[0] + 1.0 / bound):
                return count, STUCK
            continue
        grow = min(5.0, 0.85 * max(error, 1e-9) ** -power)
        if h == clock[1] or grow < 1:
            clock[1] = h * grow
        _hold(law, 2 * half, end)
        rates(wiring, law, end, later)
        clock[3] += 1
        clock[4] += 1
        reached = np.nan
        if control.goal >= 0 and np.isnan(clock[2]):
            reached = _reached(wiring, control.goal, y, f, end, later, h)
        stop = control.stop and not np.isnan(reached)
        if not np.isnan(reached):
            clock[2] = clock[0] + reached
        if stop:
            # A shorter step leads there: between its ends a step does not know who was bounded when.
            h = reached
            _step(wiring, law, control, y, f, h, bound, later, end, work, clock)
            _hold(law, 2 * half, end)
        clock[0] += h
        y[:] = end
        f[:] = later
        _note(wiring, y, clock[0], count, record)
        count += 1
        if stop:
            return count, DONE
        if clock[0] >= control.last * (1 - 1e-14):
            return count, LATE
    return count, FULL


@compiled
def _hold(law: Law, begin: int, y: Array) -> None:
    """Put the conductances, which begin there, on their bound where they are below it."""
    for i in range(begin, len(y)):
        if y[i] < law.least:
            y[i] = law.least


@compiled
def _step(
    wiring: Wiring,
    law: Law,
    control: Control,
    y: Array,
    f: Array,
    h: float,
    bound: float,
    later: Array,
    end: Array,
    work: Array,
    clock: Array,
) -> float:
    """A step into ``end``, before conductances are put on their bound; the size of its error, at most 1."""
    if control.stabilised:
        return _stabilised(wiring, law, control, y, f, h, bound, later, end, work, clock)
    return _explicit(wiring, law, control, y, f, h, later, end, work, clock)


@compiled
def _explicit(
    wiring: Wiring,
    law: Law,
    control: Control,
    y: Array,
    f: Array,
    h: float,
    later: Array,
    end: Array,
    work: Array,
    clock: Array,
) -> float:
    """A step of Dormand and Prince's into ``end``; the size of its error, at most 1."""
    size = len(y)
    work[0, :] = f
    for stage in range(6):
        for i in range(size):
            end[i] = TABLEAU[stage, 0] * work[0, i]
        for k in range(1, stage + 1):
            weight = TABLEAU[stage, k]
            if weight != 0:
                for i in range(size):
                    end[i] += weight * work[k, i]
        for i in range(size):
            end[i] = y[i] + h * end[i]
        rates(wiring, law, end, later if stage == 5 else work[stage + 1])
    clock[4] += 6
    for i in range(size):
        middle = DIFFERENCE[0] * work[0, i] + DIFFERENCE[6] * later[i]
        for k in range(2, 6):
            middle += DIFFERENCE[k] * work[k, i]
        work[0, i] = h * middle
    return _size(wiring, control, y, end, work[0])


@compiled
def _stabilised(
    wiring: Wiring,
    law: Law,
    control: Control,
    y: Array,
    f: Array,
    h: float,
    bound: float,
    later: Array,
    end: Array,
    work: Array,
    clock: Array,
) -> float:
    """A step of Runge, Kutta and Chebyshev's into ``end``; the size of its error, at most 1."""
    size = len(y)
    stages = max(2, 1 + int(np.sqrt(1.54 * h * bound + 1.0)))
    damping = 1.0 + 2.0 / 13.0 / stages**2
    root = np.sqrt(damping**2 - 1.0)
    angle = stages * np.log(damping + root)
    slope = np.sinh(angle) * root**2 / (np.cosh(angle) * stages * root - damping * np.sinh(angle))
    # Chebyshev's polynomials at the damped end, with their first and second derivatives.
    z, z_before, dz, dz_before, ddz, ddz_before = damping, 1.0, 1.0, 0.0, 0.0, 0.0
    b = b_before = 1.0 / (2.0 * damping) ** 2
    before, now, new, rate = work[0], work[1], work[2], work[3]
    for i in range(size):
        before[i] = y[i]
        now[i] = y[i] + h * slope * b * f[i]
    for _stage in range(2, stages + 1):
        z_new = 2 * damping * z - z_before
        dz_new = 2 * damping * dz - dz_before + 2 * z
        ddz_new = 2 * damping * ddz - ddz_before + 4 * dz
        b_new = ddz_new / dz_new**2
        mu, nu, shift = 2 * damping * b_new / b, -b_new / b_before, 1.0 - z * b
        reach = h * mu * slope / damping
        rates(wiring, law, now, rate)
        for i in range(size):
            new[i] = mu * now[i] + nu * before[i] + (1 - mu - nu) * y[i] + reach * (rate[i] - shift * f[i])
        before, now, new = now, new, before
        z, z_before, dz, dz_before, ddz, ddz_before = z_new, z, dz_new, dz, ddz_new, ddz
        b, b_before = b_new, b
    end[:] = now
    rates(wiring, law, end, later)
    clock[4] += stages
    for i in range(size):
        rate[i] = 0.8 * (y[i] - end[i]) + 0.4 * h * (f[i] + later[i])
    return _size(wiring, control, y, end, rate)


@compiled
def _size(wiring: Wiring, control: Control, y: Array, end: Array, error: Array) -> float:
    """The largest error beside what is allowed; targets' u, which follow v, count once."""
    half, worst = wiring.copies * wiring.nodes, 0.0
    for block in range(3):
        begin, stop = min(block, 2) * half, len(y) if block == 2 else (block + 1) * half
        size = control.sizes[block]
        for i in range(begin, stop):
            worst = max(worst, abs(error[i]) / (size + max(abs(y[i]), abs(end[i]))))
    return worst / control.tolerance


@compiled
def _error_between(
    wiring: Wiring, y: Array, f: Array, end: Array, later: Array, h: float, after: float
) -> float:
    """Error of the free copy within a step, mean over the examples."""
    s, total = after / h, 0.0
    old, rise, new, fall = (1 + 2 * s) * (1 - s) ** 2, s * (1 - s) ** 2, s * s * (3 - 2 * s), s * s * (s - 1)
    for k in range(len(wiring.targets)):
        i = wiring.targets[k]
        voltage = old * y[i] + h * rise * f[i] + new * end[i] + h * fall * later[i]
        total += (wiring.wanted[k] - voltage) ** 2
    return total / wiring.copies


@compiled
def _reached(wiring: Wiring, goal: float, y: Array, f: Array, end: Array, later: Array, h: float) -> float:
    """When within the step the error first is at the goal, which it may be for a short while only; or nan."""
    oldest = before = np.inf
    for look in range(LOOKS + 1):
        after = h * look / LOOKS
        now = _error_between(wiring, y, f, end, later, h, after)
        if now <= goal:
            return _bisected(wiring, goal, y, f, end, later, h, max(0.0, after - h / LOOKS), after)
        curvature = oldest - 2 * before + now
        if before <= oldest and before < now and look > 1:
            # Between two instants there may be a dip: the least of a parabola through three errors.
            least = after - h / LOOKS * (1 - 0.5 * (oldest - now) / curvature)
            if _error_between(wiring, y, f, end, later, h, least) <= goal:
                start = max(0.0, after - 2 * h / LOOKS)
                return _bisected(wiring, goal, y, f, end, later, h, start, least)
        oldest, before = before, now
    return np.nan


@compiled
def _bisected(
    wiring: Wiring,
    goal: float,
    y: Array,
    f: Array,
    end: Array,
    later: Array,
    h: float,
    above: float,
    below: float,
) -> float:
    """When the error falls to the goal between two instants, above it at the first and not at the second."""
    for _ in range(50):
        middle = 0.5 * (above + below)
        if _error_between(wiring, y, f, end, later, h, middle) <= goal:
            below = middle
        else:
            above = middle
    return below


@compiled
def _note(wiring: Wiring, y: Array, time: float, row: int, record: Record) -> None:
    """One row of the record."""
    record.times[row] = time
    total = 0.0
    for k in range(len(wiring.targets)):
        voltage = y[wiring.targets[k]]
        record.voltages[row, k] = voltage
        total += (wiring.wanted[k] - voltage) ** 2
    record.errors[row] = total / wiring.copies
    record.conductances[row, :] = y[2 * wiring.copies * wiring.nodes :]
