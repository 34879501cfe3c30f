"""What the hot loop draws from: groups of reactions whose propensities are factors times one term.


Such are k₁X, k₂X and f(s)X. The term is computed once for all of them and added once to the running sum. A
firing falls on the group, and on one of its members with a probability that does not depend on the amounts.
Where grouping does not pay every reaction is a group of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np

from chemlearn.expression import ONE, ZERO, Expr, compile_expressions, symbol, symbols
from chemlearn.simulate.native.laws import Plan

_WORTH = 2.0  # reactions per term, from which on the choice within a group costs less than it saves
_Found = dict[tuple[Expr, int], list[tuple[int, Expr | None]]]  # term and a number to: reaction and factor
_NEVER = 2.0  # a threshold that no uniform number reaches


@dataclass(frozen=True)
class Groups:
    """The groups of a plan.

    Parameters
    ----------
    laws, slopes : tuple of Expr
        Their propensities and what those rise by along a ramp, as in a plan; those that the input moves come
        last. The sum of a group's constants is a constant of its own, numbered on from the plan's.
    members : tuple of tuple of int
        Reactions of the plan, for each group. At most one factor of a group moves, the last one.
    constants : tuple of tuple of (int or None)
        Numbers of the others' constants; None for 1.
    moving : tuple of (Expr or None)
        All factors of a group whose last one moves, as one; None where the term moves, or nothing does.
    """

    laws: tuple[Expr, ...]
    slopes: tuple[Expr, ...]
    members: tuple[tuple[int, ...], ...]
    constants: tuple[tuple[int | None, ...], ...]
    moving: tuple[Expr | None, ...]

    @property
    def size(self) -> int:
        """Of the largest group."""
        return max(map(len, self.members), default=1)

    @property
    def first_driven(self) -> int:
        """The first group that a ramp moves."""
        moves = (_moves(law, "T") or slope != ZERO for law, slope in zip(self.laws, self.slopes, strict=True))
        return next((g for g, driven in enumerate(moves) if driven), len(self.laws))

    @property
    def bends(self) -> bool:
        """Whether the input moves a law other than by a factor."""
        return any(moving is None for moving in self.moving[self.first_driven :])

    def sure(self, values: np.ndarray, lows: np.ndarray, highs: np.ndarray) -> np.ndarray:
        """The least share of its greatest value that any moving factor has on each piece, (n_pieces,).

        Parameters
        ----------
        values : array
            What stands behind K0, K1, ..., those of the groups too.
        lows, highs : (n_pieces, n_moved) arrays
            Bounds of T0, T1, ...
        """
        trees = [moving for moving in self.moving if moving is not None]
        names = [f"K{i}" for i in range(len(values))] + [f"T{j}" for j in range(lows.shape[1])]
        evaluate = compile_expressions(trees, names)
        share = np.ones(len(lows))
        with np.errstate(all="ignore"):
            for least, most in zip(evaluate([*values, *lows.T]), evaluate([*values, *highs.T]), strict=True):
                share = np.minimum(share, np.where(most == least, 1.0, np.nan_to_num(least / most)))
        return np.maximum(share, 0.0)

    @property
    def entries(self) -> tuple[int, ...]:
        """Reaction of the plan for every place in the table of changes; −1 where groups are filled up."""
        return tuple(i for group in self.members for i in (*group, *[-1] * (self.size - len(group))))

    def known(self, values: np.ndarray) -> np.ndarray:
        """What stands behind K0, K1, ...: the sum of each group's constants, then thresholds for its members.

        A member fires where a uniform number reaches the threshold before it and not its own; where the last
        factor moves thresholds are not shares of the sum of all factors but of 1. A member that cannot fire
        is never chosen: sums of nothing do not grow, and past the last member that can fire no threshold is
        reached.
        """
        if not self.laws:
            return np.zeros(0)
        totals, thresholds = [], []
        for group, moving in zip(self.constants, self.moving, strict=True):
            parts = np.cumsum([1.0 if k is None else values[k] for k in group])
            total = parts[-1] if len(parts) else 0.0
            if moving is None:
                shares = [part / total if part < total else _NEVER for part in parts[:-1]]
            else:
                shares = list(parts)
            totals.append(total)
            thresholds.append(shares + [_NEVER if moving is None else np.inf] * (self.size - 1 - len(shares)))
        return np.concatenate([totals, np.array(thresholds).reshape(len(totals), -1).T.ravel()])


@lru_cache(maxsize=64)
def groups_of(plan: Plan) -> Groups:
    """The groups of a plan; only where they pay, and nothing has to be watched, of more than one reaction."""
    parts = [_parted(law) for law in plan.laws]
    alone = {(term, i): [(i, factor)] for i, (factor, term) in enumerate(parts)}
    if plan.watched or plan.short:
        return _grouped(plan, alone)
    found: _Found = {}
    for i, (factor, term) in enumerate(parts):
        key = (term, -1 - i if _moves(term) else 0)  # what fires there is not told by factors alone
        if factor is not None and _moves(factor):
            while key in found and (last := found[key][-1][1]) is not None and _moves(last):
                key = (term, key[1] + 1)  # the laws that move come last: one for each group of the term
        found.setdefault(key, []).append((i, factor))
    return _grouped(plan, alone if len(plan.laws) < _WORTH * len(found) else found)


def _grouped(plan: Plan, found: _Found) -> Groups:
    """The groups of what has been found, those that move last."""
    ordered = sorted(found.items(), key=lambda item: _moves(plan.laws[item[1][-1][0]]))
    laws, slopes, members, constants, factors = [], [], [], [], []
    for g, ((term, _), group) in enumerate(ordered):
        members.append(tuple(i for i, _ in group))
        last = group[-1][1]
        if _moves(term):
            held, moving, total = [], None, ONE if last is None else last
        else:
            moving = last if last is not None and _moves(last) else None
            held = [factor for _, factor in (group if moving is None else group[:-1])]
            total = symbol(f"K{plan.n_constants + g}") if held else ZERO
        constants.append(tuple(None if factor is None else int(factor.name[1:]) for factor in held))
        factor = total if moving is None else total + moving
        factors.append(None if moving is None else factor)
        laws.append(factor * term)
        slopes.append(reduce(Expr.__add__, (plan.slopes[i] for i in members[-1]), ZERO))
    return Groups(tuple(laws), tuple(slopes), tuple(members), tuple(constants), tuple(factors))


def _moves(tree: Expr, kinds: str = "TD") -> bool:
    """Whether names of the given kinds occur in a prepared tree."""
    return any(name[0] in kinds for name in symbols(tree))


def _parted(law: Expr) -> tuple[Expr | None, Expr]:
    """The named factor that a law begins with, and the rest."""
    if law.op == "symbol" and law.name[0] in "KDT":
        return law, ONE
    if law.op in ("*", "/"):
        factor, rest = _parted(law.args[0])
        if factor is not None:
            return factor, rest * law.args[1] if law.op == "*" else rest / law.args[1]
    return None, law
