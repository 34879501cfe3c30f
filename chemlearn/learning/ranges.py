"""Which parameters are below, in and above the range of contrasts that a memory with a threshold learns.

A synapse learns because its threshold lets the answer to the fast swing pass and holds back the answer to the
slow one. Where the signal moves too little, neither passes; where it moves too much, both do, and the slow
swing takes back what the fast one gave.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from chemlearn.learning.arrays import Array, xp
from chemlearn.learning.responses import SAME, sampled_response
from chemlearn.learning.rules import MARGIN, Temporal, per_group
from chemlearn.learning.substrate import BLOCK, Block, Ramp, RampGroup

__all__ = ["RangeShares", "Swings", "range_shares", "swings"]


class RangeShares(NamedTuple):
    """Shares of all parameters of a group; they add up to 1."""

    silent: float
    """The signal does not change along the ramp."""
    below: float
    """It changes, but the response never reaches θ: no update."""
    within: float
    """The response reaches θ, and only while it answers the fast swing."""
    above: float
    """It reaches θ also while it answers the slow swing, which takes some or all of the update back."""


class Swings(NamedTuple):
    """The response as a linear map of the increments of the ramp, apart for the two swings."""

    fast: np.ndarray
    """Rows for the instants that belong to the fast swing, (n_fast, n_knots − 1)."""
    slow: np.ndarray
    """Rows for the instants that belong to the slow swing, (n_slow, n_knots − 1)."""
    area: float
    """Of the kernel: what a constant signal of 1 adds to the response at every instant."""


def swings(rule: Temporal, knots: int) -> Swings:
    """The instants of a period shared out between the fast and the slow swing.

    A memory answers late. In the first instants of the fall it still answers the rise, for as long as its
    kernel lasts; and in the first instants of the rise it still answers the fall. So the clock does not say
    which swing a response belongs to. What says it is the sign of the response to a straight ramp, less its
    mean over the period: while it has the sign that the rise gives it, it answers the rise; while it has the
    opposite sign, what passes the threshold takes back. For a kernel with two lobes and no area this is the
    swing with the larger part in the response, because its parts that stem from the rise and from the fall
    then have opposite signs at every instant. The instants are shared out once, for all ramps.

    With the published kernel, whose ten numbers last as long as the rise, instants 3 to 17 of 100 belong to
    the fast swing, which itself covers 0 to 10. Sharing them out anew for every weight of a network, by the
    larger part of its own response, changes no class on MNIST; going by the clock changes every second.

    Parameters
    ----------
    rule : Temporal
        Its faster swing is the fast one; of two equal ones the rise.
    knots : int
        Of the ramp, at least 2.

    Returns
    -------
    Swings
        Of rows that are equal, or equal and opposite, one is kept, which changes no answer to whether a
        threshold is reached.
    """
    rungs = rule.sawtooth.rungs(knots)
    rows = np.stack([sampled_response(rule.kernel, rung, rule.sawtooth) for rung in rungs], axis=1)
    straight = rows.sum(axis=1)
    rises = (straight - straight.mean()) * -rule.kernel.first_moment > 0
    fast = rises if rule.sawtooth.rise <= rule.sawtooth.fall else ~rises
    area = rule.kernel.area
    same = SAME * np.abs(rows).max()
    if abs(area) <= same:
        return Swings(_unlike(rows[fast], same), _unlike(rows[~fast], same), 0.0)
    return Swings(rows[fast], rows[~fast], area)


def range_shares(rule: Temporal, ramp: Ramp) -> dict[str, RangeShares]:
    """Shares of the parameters below, in and above the range, at one swing of the nudge.

    The response of every parameter whose signal moves is looked at, at every instant at which the rule looks
    at it, and compared with the threshold; nothing is estimated. For straight ramps of contrast A the range
    begins where the fast swing reaches θ and ends where the slow one does; with the published kernel and
    θ = 1.2e-6, at 2.34e-4 and 2.11e-3, a factor of τ_s/τ_f = 9. Curved ramps have narrower ranges: most of a
    signal may move within a small part of the slow swing.

    Parameters
    ----------
    rule : Temporal
    ramp : Ramp
        As :meth:`chemlearn.learning.layered.LayeredNetwork.swing` hands it over.

    Returns
    -------
    dict
        Name of the group to :class:`RangeShares`. The size of the nudge matters through the ramp only.

    Raises
    ------
    ValueError
        If the rule has no threshold for a group.
    """
    return {name: _shares(rule, name, group) for name, group in ramp.items()}


def _shares(rule: Temporal, name: str, group: RampGroup) -> RangeShares:
    """Counts over blocks of the parameters that move."""
    threshold = per_group(rule.thresholds, name, "threshold")
    parts = swings(rule, group.knots)
    moving = within = above = 0
    # The least positive number: all that moves at all, and nothing is built for what does not.
    for block in group.blocks(np.nextafter(0, 1), bool(parts.area)):
        block = _chosen(block, xp.abs(block.steps).max(axis=0, initial=0) > 0)
        moving += len(block.places)
        slow = _reached(parts.slow, parts.area, block, threshold)
        above += int(slow.sum())
        within += int(_reached(parts.fast, parts.area, _chosen(block, ~slow), threshold).sum())
    count = int(np.prod(group.shape))
    return RangeShares(
        (count - moving) / count, (moving - within - above) / count, within / count, above / count
    )


def _chosen(block: Block, which: Array) -> Block:
    start = None if block.start is None else block.start[which]
    return Block(block.places[which], block.steps[:, which], start)


def _reached(rows: np.ndarray, area: float, block: Block, threshold: float) -> Array:
    """Whether |u| reaches the threshold at any of the rows, (n,)."""
    found = xp.zeros(len(block.places), bool)
    if not (len(rows) and len(found)):
        return found
    near = xp.arange(len(found))
    if block.start is None:  # then |u| stays below the largest increment times the largest row
        reach = np.abs(rows).sum(axis=1).max() * (1 + MARGIN)
        near = xp.flatnonzero(xp.abs(block.steps).max(axis=0) * reach >= threshold)
    rows = rows.astype(block.steps.dtype)
    width = max(1, BLOCK // len(rows))
    for first in range(0, len(near), width):
        part = near[first : first + width]
        u = rows @ block.steps[:, part]
        if block.start is not None:
            u += (area * block.start[part]).astype(u.dtype)
        found[part] = (xp.abs(u) >= threshold).any(axis=0)
    return found


def _unlike(rows: np.ndarray, same: float) -> np.ndarray:
    """The rows that differ from those before by more than their sign and rounding error, less empty ones."""
    kept: list[np.ndarray] = []
    for row in rows:
        known = any(min(np.abs(row - old).max(), np.abs(row + old).max()) <= same for old in kept)
        if np.abs(row).max() > same and not known:
            kept.append(row)
    return np.array(kept).reshape(-1, rows.shape[1])
