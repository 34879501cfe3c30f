"""Reactions whose propensities are constants times one and the same term of the amounts, such as k₁X and k₂X.

The term is computed once for all of them and added once to the running sum. A firing falls on the group, and
on one of its members with a probability that does not depend on the amounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from chemlearn.expression import ONE, Expr
from chemlearn.simulate.native.laws import Plan

_WORTH = 2.0  # reactions per term, from which on the choice within a group costs less than it saves
_NEVER = 2.0  # a threshold that no uniform number reaches


@dataclass(frozen=True)
class Groups:
    """The groups of a plan.

    Parameters
    ----------
    terms : tuple of Expr
        Of the amounts, each different.
    members : tuple of tuple of int
        Reactions of the plan, for each term.
    factors : tuple of tuple of (int or None)
        Their constants' numbers; None for 1.
    """

    terms: tuple[Expr, ...]
    members: tuple[tuple[int, ...], ...]
    factors: tuple[tuple[int | None, ...], ...]

    @property
    def size(self) -> int:
        """Of the largest group."""
        return max(map(len, self.members))

    @property
    def entries(self) -> tuple[int, ...]:
        """Reaction of the plan for every place in the table of changes; −1 where groups are filled up."""
        return tuple(i for group in self.members for i in (*group, *[-1] * (self.size - len(group))))

    def constants(self, values: np.ndarray) -> np.ndarray:
        """What stands behind K0, K1, ...: the sum of each group, then thresholds for its further members.

        A member that cannot fire is never chosen: sums of nothing do not grow, and past the last member that
        can fire no threshold is reached.
        """
        totals, thresholds = [], []
        for group in self.factors:
            parts = np.cumsum([1.0 if k is None else values[k] for k in group])
            total = parts[-1]
            shares = [part / total if part < total else _NEVER for part in parts[:-1]]
            totals.append(total)
            thresholds.append(shares + [_NEVER] * (self.size - len(group)))
        return np.concatenate([totals, np.array(thresholds).reshape(len(totals), -1).T.ravel()])


@lru_cache(maxsize=64)
def groups_of(plan: Plan) -> Groups | None:
    """The groups of a plan, where they pay; only where nothing is driven and nothing has to be watched."""
    if plan.n_drives or plan.moved or plan.watched or plan.short or not plan.laws:
        return None
    found: dict[Expr, list[tuple[int, int | None]]] = {}
    for i, law in enumerate(plan.laws):
        factor, term = _parted(law)
        found.setdefault(term, []).append((i, factor))
    if len(plan.laws) < _WORTH * len(found):
        return None
    members = tuple(tuple(i for i, _ in group) for group in found.values())
    return Groups(tuple(found), members, tuple(tuple(k for _, k in group) for group in found.values()))


def _parted(law: Expr) -> tuple[int | None, Expr]:
    """The constant that a law begins with, by its number, and the rest."""
    if law.op == "symbol" and law.name.startswith("K"):
        return int(law.name[1:]), ONE
    if law.op == "*":
        factor, rest = _parted(law.args[0])
        if factor is not None:
            return factor, rest * law.args[1]
    return None, law
