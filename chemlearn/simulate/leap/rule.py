"""The step rule: how far a state may be leapt over (Cao, Gillespie, Petzold 2006, doi:10.1063/1.2159468).

No propensity may be expected to change by more than a fraction ε of itself during a leap, neither by the
mean change of what it reads nor by its standard deviation. For an amount x that laws read this leaves the
change δ = max(εx/g, 1), where g is the greatest order of a law that reads it, and so

    τ ≤ δ/|μ|,  τ ≤ δ²/σ²,    with μ = Σ ν a and σ² = Σ ν² a over the reactions that leap.

At rest μ is small, σ² falls behind x², and the rule would leap over many relaxation times, where no scheme of
finite order keeps the fluctuations right. A third condition on what is made and used up together,

    τ ≤ max(cx/g, 1)/Σ |ν| a,    c = √(6ε),

keeps every leap within the turnover, and so within the relaxation, of each amount; it does not bind as long
as an amount is only made or only used up.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from chemlearn.expression import (
    COMPARISONS,
    ONE,
    ZERO,
    Expr,
    call,
    derivative,
    is_affine,
    number,
    symbol,
    symbols,
)
from chemlearn.simulate.native.laws import Plan, factors, never_negative

CRITICAL = 10  #: fewer firings away from 0 than this, reactions fire one at a time
_JUMPS = {"if", "floor", "ceil", "abs", "min", "max", "and", "or", "not", *COMPARISONS}


@dataclass(frozen=True)
class Leaps:
    """Everything that the machine code of a leaping run depends on.

    Parameters
    ----------
    plan : Plan
        D may stand for any function of the input; it is straight along each piece of the run's table.
    orders : tuple of (int, Expr)
        Every species that a law reads and a reaction changes, with g, in names of the plan.
    ramped : bool
        Whether D ever moves other than by jumps.
    normal : bool
        Langevin steps in place of Poisson leaps.
    """

    plan: Plan
    orders: tuple[tuple[int, Expr], ...]
    ramped: bool
    normal: bool

    @property
    def read(self) -> tuple[int, ...]:
        """Species whose amounts act on propensities and change."""
        return tuple(species for species, _ in self.orders)

    @property
    def used(self) -> tuple[int, ...]:
        """Species that some reaction uses up."""
        return tuple(sorted({i for changes in self.plan.changes for i, change in changes if change < 0}))


def turnover(accuracy: float) -> float:
    """c for an ε: √(6ε), with which relaxation rates and variances at rest are off by at most ε."""
    return math.sqrt(6.0 * accuracy)


def orders(plan: Plan, negative: frozenset[str]) -> tuple[tuple[int, Expr], ...]:
    """g of every species that a law reads and a reaction changes; ``negative`` as for a plan."""
    changed = {i for changes in plan.changes for i, _ in changes}
    greatest: dict[int, Expr] = {}
    for law in plan.laws:
        read = _amounts(law)
        order = _order(law, negative)
        for name in read:
            species = int(name[1:])
            # an order that is not a number, where the law is 0, does not count
            greatest[species] = call("max", order, greatest.get(species, ONE))
    return tuple((i, greatest[i]) for i in sorted(greatest.keys() & changed))


def _order(law: Expr, negative: frozenset[str]) -> Expr:
    """Σ |∂ ln law/∂ ln X| over the amounts X, or more: by how much a law changes when all X change a little.

    For mass action with falling factors this is the order of Cao and colleagues: 2 for XY, 2 + 1/(X − 1) for
    X(X − 1).
    """
    if not _amounts(law):
        return ZERO
    if law.op == "symbol":
        return ONE
    above, below = factors(law)
    if len(above) > 1 and not any(map(_amounts, below)):
        return reduce(Expr.__add__, (_order(f, negative) for f in above))
    if law.op == "+" and all(never_negative(part, negative) for part in law.args):
        return call("max", *(_order(part, negative) for part in law.args))
    if law.op == "^" and law.args[1].op == "number":
        return number(abs(law.args[1].value)) * _order(law.args[0], negative)
    terms = (call("abs", symbol(n) * derivative(law, n)) for n in sorted(_amounts(law)))
    return reduce(Expr.__add__, terms) / call("abs", law)


def rough(law: Expr) -> str | None:
    """What makes a law not smooth in the amounts, if anything does."""
    if law.op in _JUMPS and _amounts(law):
        return law.op
    return next(filter(None, map(rough, law.args)), None)


def _amounts(tree: Expr) -> frozenset[str]:
    return frozenset(name for name in symbols(tree) if re.fullmatch(r"X\d+", name))


def curved(laws: Sequence[Expr], drive: int) -> bool:
    """Whether a law is not affine in D at given amounts."""
    return not all(is_affine(law, f"D{drive}") for law in laws)
