"""Signals of weights between two layers, in factors: s = ⟨ρ_pre ρ_post⟩ at every knot of the ramp.

A weight is looked at only where a bound on its increments says that it may matter: silent inputs, units that
do not move and examples that the nudge does not touch cost nothing, and no array of all weights at all knots
is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chemlearn.learning.arrays import Array, xp
from chemlearn.learning.substrate import BLOCK, Block

__all__ = ["Correlations"]

MARGIN = 1e-4
"""Share by which bounds are widened, far above the rounding error of a sum over a minibatch in float32."""


@dataclass(frozen=True, eq=False)
class Correlations:
    """Batch means of products of two layers at the knots of a ramp.

    Parameters
    ----------
    pre, post : array, (n_knots or 1, n_moving, n_pre) and (n_knots, n_moving, n_post)
        Layers of those examples that move at all; one knot where the layer is held, as the input is.
    start_pre, start_post : array, (n_batch, n_pre) and (n_batch, n_post)
        Layers of all examples at the first knot.
    """

    pre: Array
    post: Array
    start_pre: Array
    start_post: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the group, (n_pre, n_post)."""
        return self.pre.shape[-1], self.post.shape[-1]

    @property
    def knots(self) -> int:
        """Number of knots."""
        return len(self.post)

    @property
    def dtype(self) -> Any:
        """Type of the numbers."""
        return self.post.dtype

    @property
    def batch(self) -> int:
        """Number of examples."""
        return len(self.start_pre)

    def combine(self, weights: Array) -> Array:
        """Σ_k weights_k s_k, from the changes along the ramp: what is common to all knots leaves no rest."""
        weights = weights.astype(self.post.dtype)
        total = xp.zeros(self.shape, self.post.dtype)
        if len(self.pre) == 1:
            total += self.pre[0].T @ xp.tensordot(weights[1:], self.post[1:] - self.post[0], axes=1)
        else:
            for k in range(1, self.knots):
                moved = self.pre[k].T @ (self.post[k] - self.post[0])
                total += weights[k] * (moved + (self.pre[k] - self.pre[0]).T @ self.post[0])
        level = weights.sum()
        if level:
            total += level * (self.start_pre.T @ self.start_post)
        return total / self.batch

    def stack(self) -> Array:
        """The signals at all knots, (n_knots, n_pre, n_post): what this class avoids; for small networks."""
        return xp.stack([self.combine(row) for row in xp.eye(self.knots, dtype=self.post.dtype)])

    def blocks(self, least: float, with_start: bool) -> Iterator[Block]:
        """Weights with an increment of at least ``least``, as :meth:`RampGroup.blocks`."""
        steps_pre = self.pre[1:] - self.pre[:-1]
        steps_post = self.post[1:] - self.post[:-1]
        rows, columns = self._candidates(steps_pre, steps_post, least)
        if not (len(rows) and len(columns)):
            return
        if len(columns) < self.shape[1]:
            steps_post = steps_post[..., columns]
        post = self.post[..., columns] if len(steps_pre) else self.post
        height = max(1, BLOCK // ((self.knots - 1) * len(columns)))
        for first in range(0, len(rows), height):
            part = rows[first : first + height]
            steps = self._steps(part, steps_pre, steps_post, post)
            size = xp.abs(steps[0])
            for step in steps[1:]:
                xp.maximum(size, xp.abs(step), out=size)
            found = xp.flatnonzero(size.reshape(-1) >= least)
            if len(found):
                row, column = part[found // len(columns)], columns[found % len(columns)]
                start = None
                if with_start:
                    start = (self.start_pre.T[part] @ self.start_post[:, columns]).reshape(-1)[
                        found
                    ] / self.batch
                chosen = xp.take(steps.reshape(len(steps), -1), found, axis=1)
                yield Block(row * self.shape[1] + column, chosen, start)

    def _candidates(self, steps_pre: Array, steps_post: Array, least: float) -> tuple[Array, Array]:
        """Rows and columns of weights whose increments may reach ``least``, by the triangle inequality."""
        if least <= 0:
            return xp.arange(self.shape[0]), xp.arange(self.shape[1])
        rows = xp.flatnonzero(self.pre.any(axis=(0, 1)))
        reach = xp.abs(steps_post).max(axis=0)
        columns = xp.arange(self.shape[1]) if len(steps_pre) else xp.flatnonzero(reach.any(axis=0))
        bound = xp.abs(self.pre).max(axis=0)[:, rows].T @ reach[:, columns]
        if len(steps_pre):
            bound += xp.abs(steps_pre).max(axis=0)[:, rows].T @ xp.abs(self.post).max(axis=0)[:, columns]
        near = bound >= least * self.batch * (1 - MARGIN)
        return rows[near.any(axis=1)], columns[near.any(axis=0)]

    def _steps(self, rows: Array, steps_pre: Array, steps_post: Array, post: Array) -> Array:
        """Increments of some rows of weights, (n_knots − 1, n_rows, n_columns)."""
        if not len(steps_pre):
            steps = self.pre[0][:, rows].T @ steps_post
        else:
            steps = xp.swapaxes(self.pre[1:][..., rows], 1, 2) @ steps_post
            steps += xp.swapaxes(steps_pre[..., rows], 1, 2) @ post[:-1]
        steps /= self.batch
        return steps
