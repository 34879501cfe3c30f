"""The formulas of a network in prepared form: laws, and everything that its events ask for.

Four kinds of names are left in them: ``X0, X1, ...`` is the state (amounts, then what only events set), ``K0,
K1, ...`` what depends on constants only, ``D0, D1, D2`` the input, time and the input's slope, and ``A0, A1,
...`` signs of the straight lines in triggers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import filterfalse

from chemlearn.errors import ModelError, SimulationError
from chemlearn.events import Event, straightened
from chemlearn.expression import (
    ONE,
    TIME,
    Expr,
    derivative,
    is_affine,
    operation,
    symbol,
    symbols,
)
from chemlearn.network import Network
from chemlearn.simulate.native.laws import factors, vanishes_below
from chemlearn.simulate.sparse.layout import CLOCK, INPUT, SLOPE, Curve
from chemlearn.simulate.sparse.ranges import can_jump

_MOVED = (f"D{INPUT}", f"D{CLOCK}")
_SLOPE = "slope of the input"  # no name of a model has a blank in it


@dataclass(frozen=True)
class Line:
    """A difference in a trigger that is straight in time while the state stays.

    Parameters
    ----------
    difference, rate : Expr
        Prepared; the second is the first one's time derivative.
    driven : bool
        Whether the input occurs in it.
    """

    difference: Expr
    rate: Expr
    driven: bool


@dataclass(frozen=True)
class Law:
    """A reaction's propensity.

    Parameters
    ----------
    reaction : int
        Number in the network.
    tree : Expr
        Prepared.
    change : tuple of (int, int)
        Number in the state, and net change.
    short : tuple of (int, float)
        What it takes although the law is not known to be 0 when there is less.
    """

    reaction: int
    tree: Expr
    change: tuple[tuple[int, int], ...]
    short: tuple[tuple[int, float], ...]

    @property
    def moved(self) -> bool:
        """Whether the input or time moves it."""
        return not symbols(self.tree).isdisjoint(_MOVED)

    @property
    def curve(self) -> Curve:
        """How, while the state stays."""
        if is_affine(self.tree, *_MOVED):
            return Curve(0)
        timed = Curve.TIMED if f"D{CLOCK}" in symbols(self.tree) else Curve(0)
        return Curve.BENT | timed | (Curve.JUMPS if can_jump(self.tree, *_MOVED) else Curve(0))


class Prepared:
    """A network made ready.

    Parameters
    ----------
    network : Network
    input : str or None
        The constant that a signal drives, if any.
    ramped : bool
        Whether it ever moves other than by jumps.
    origin : str
        What to begin an error with.

    Raises
    ------
    SimulationError
        When the instants of an event cannot be computed.
    """

    def __init__(self, network: Network, input: str | None, ramped: bool, origin: str) -> None:
        self.network, self.input, self.origin = network, input, origin
        self.moving = {TIME} | ({input} if input and ramped else set())
        self.state = (*network.species, *network.switched)
        self.places = {name: symbol(f"X{i}") for i, name in enumerate(self.state)}
        self.places |= {TIME: symbol(f"D{CLOCK}"), _SLOPE: symbol(f"D{SLOPE}")}
        if input is not None:
            self.places[input] = symbol(f"D{INPUT}")
        self.constants: dict[Expr, Expr] = {}  # what depends on constants only, and the K that stands for it
        self.lines: list[Line] = []
        self.events = [self._event(event) for event in network.events]
        self.trees = [self._prepared(reaction.law) for reaction in network.reactions]

    def laws(self) -> list[Law]:
        """The laws, those that move last."""
        number = {name: i for i, name in enumerate(self.network.species)}
        laws = []
        for i, (reaction, tree) in enumerate(zip(self.network.reactions, self.trees, strict=True)):
            net = {number[n]: by for n, by in reaction.net().items() if n in number}
            if any(by != int(by) for by in net.values()):
                raise SimulationError(
                    f"{self.origin}: reaction {reaction.name}: it changes amounts by other than whole "
                    f"numbers; use whole numbers of molecules"
                )
            change = tuple((n, int(by)) for n, by in net.items())
            short = tuple((n, -by) for n, by in change if by < 0 and not vanishes_below(tree, n, -by))
            laws.append(Law(i, tree, change, short))
        return sorted(laws, key=lambda law: law.moved)

    def _event(self, event: Event) -> Event:
        try:
            trigger = straightened(event.trigger, self.moving, self._sign_of)
        except ModelError as error:
            raise SimulationError(
                f"{self.origin}: {event.place}: the trigger cannot be followed exactly: {error}; compare "
                f"something linear in time and in {self.input or 'the input'}, or give the signal as "
                f"constant steps, signal.staircase(200)"
            ) from None
        return Event(
            event.name,
            self._prepared(trigger),
            tuple((name, self._prepared(tree)) for name, tree in event.assignments),
            None if event.delay is None else self._prepared(event.delay),
            None if event.priority is None else self._prepared(event.priority),
            event.persistent,
            event.initial,
            event.values_at_trigger,
        )

    def _sign_of(self, difference: Expr) -> Expr:
        """The sign of a difference, under a name of its own."""
        rate = derivative(difference, TIME)
        if self.input in self.moving and self.input is not None:
            rate = rate + derivative(difference, self.input) * symbol(_SLOPE)
        name = f"sign {len(self.lines)}"
        self.places[name] = symbol(f"A{len(self.lines)}")
        driven = self.input in symbols(difference)
        self.lines.append(Line(self._prepared(difference), self._prepared(rate), driven))
        return symbol(name)

    def _prepared(self, tree: Expr) -> Expr:
        if tree.op == "number":
            return tree
        if not self._varies(tree):
            return self._held(tree)
        if tree.op == "symbol":
            return self.places[tree.name]
        if tree.op in ("*", "/"):
            return self._product(tree)
        return operation(tree.op, [self._prepared(a) for a in tree.args])

    def _product(self, tree: Expr) -> Expr:
        """A product of one constant and of other factors, over the other divisors."""
        above, below = factors(tree)
        held = reduce(Expr.__mul__, filterfalse(self._varies, above), ONE)
        held = reduce(Expr.__truediv__, filterfalse(self._varies, below), held)
        parts = [self._prepared(f) for f in above if self._varies(f)]
        divisors = [self._prepared(f) for f in below if self._varies(f)]
        if held != ONE or not parts:
            parts.insert(0, self._held(held))
        product = reduce(Expr.__mul__, parts)
        return product / reduce(Expr.__mul__, divisors) if divisors else product

    def _varies(self, tree: Expr) -> bool:
        return any(name in self.places for name in symbols(tree))

    def _held(self, tree: Expr) -> Expr:
        return self.constants.setdefault(tree, symbol(f"K{len(self.constants)}"))
