"""Events: what an SBML model changes at once when a condition becomes true."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from chemlearn.errors import ModelError
from chemlearn.expression import COMPARISONS, ZERO, Expr, is_affine, operation, substitute, symbol, symbols

Read = Callable[[Any, str], Expr]


@dataclass(frozen=True)
class Event:
    """One event, with the semantics of SBML Level 3.

    Parameters
    ----------
    name : str
    trigger : Expr
        Condition; the event is triggered whenever it becomes true.
    assignments : tuple of (str, Expr)
        Variables and their new values, all assigned at once; amounts for species.
    delay : Expr or None
        Time from trigger to execution, evaluated at the trigger.
    priority : Expr or None
        Of several events due at one instant the one with the greatest priority is executed first, then
        priorities are looked at anew; events without one come last, equal ones in random order.
    persistent : bool
        Whether it is executed even if the trigger has become false again by then.
    initial : bool
        What the trigger is taken to have been before time 0.
    values_at_trigger : bool
        Whether the new values are those at the trigger, not those at the execution.
    """

    name: str
    trigger: Expr
    assignments: tuple[tuple[str, Expr], ...]
    delay: Expr | None = None
    priority: Expr | None = None
    persistent: bool = True
    initial: bool = True
    values_at_trigger: bool = True

    def __str__(self) -> str:
        return self.name

    @property
    def place(self) -> str:
        """What to call it in a message."""
        return self.name if " " in self.name else f"event {self.name}"

    @property
    def trees(self) -> tuple[Expr, ...]:
        """Every formula in it."""
        optional = (tree for tree in (self.delay, self.priority) if tree is not None)
        return (self.trigger, *(tree for _, tree in self.assignments), *optional)

    def mapped(self, change: Callable[[Expr], Expr]) -> Event:
        """The event with every formula changed."""
        return replace(
            self,
            trigger=change(self.trigger),
            assignments=tuple((name, change(tree)) for name, tree in self.assignments),
            delay=None if self.delay is None else change(self.delay),
            priority=None if self.priority is None else change(self.priority),
        )

    def in_amounts(self, inline: Mapping[str, Expr], volumes: Mapping[str, str]) -> Event:
        """The event with rules and concentrations written out, what it sets as a concentration in amounts."""
        event = self.mapped(lambda tree: substitute(tree, inline))
        new = dict(event.assignments)
        for name in new.keys() & volumes.keys():
            volume = volumes[name]
            new[name] = new[name] * new.get(volume, symbol(volume))  # the concentration in the new volume
        return replace(event, assignments=tuple(new.items()))


def read_events(model: Any, read: Read) -> tuple[Event, ...]:
    """The events of a libSBML model, formulas as they are written.

    Parameters
    ----------
    model : libsbml.Model
    read : callable
        ``read(element, place)`` gives the formula of an element that has one.
    """
    return tuple(
        _event(model.getEvent(i), i, model.getLevel(), read)
        for i in range(model.getNumEvents())
        if model.getEvent(i).getTrigger() is not None
    )


def _event(element: Any, number: int, level: int, read: Read) -> Event:
    name = element.getId() or f"event {number + 1}"
    place = Event(name, ZERO, ()).place
    trigger = element.getTrigger()
    set_by = (element.getEventAssignment(i) for i in range(element.getNumEventAssignments()))

    def optional(part: Any) -> Expr | None:
        return read(part, place) if part is not None and part.getMath() is not None else None

    return Event(
        name=name,
        trigger=optional(trigger) or ZERO,  # without a condition it never happens
        assignments=tuple((a.getVariable(), read(a, place)) for a in set_by if a.getMath() is not None),
        delay=optional(element.getDelay()),
        priority=optional(element.getPriority()) if level == 3 else None,
        persistent=trigger.getPersistent() if level == 3 else True,
        initial=trigger.getInitialValue() if level == 3 else True,
        values_at_trigger=element.getUseValuesFromTriggerTime(),
    )


def straightened(tree: Expr, moving: Collection[str], sign_of: Callable[[Expr], Expr]) -> Expr:
    """A condition in which nothing moves but signs of straight lines.

    Every comparison of which a side moves becomes the comparison with 0 of ``sign_of(difference)``, where the
    difference of its two sides is linear in what moves, so that the instant of its change can be computed.

    Parameters
    ----------
    tree : Expr
    moving : collection of str
        Names whose values change between firings, all of them linearly in time.
    sign_of : callable
        Makes the tree that stands for the sign of a difference.

    Raises
    ------
    ModelError
        Where that is impossible; the reason.
    """
    made = _straightened(tree, moving, sign_of)
    left = symbols(made) & set(moving)
    if left:
        raise ModelError(f"it uses {min(left)} other than in a comparison")
    return made


def _straightened(tree: Expr, moving: Collection[str], sign_of: Callable[[Expr], Expr]) -> Expr:
    if symbols(tree).isdisjoint(moving) or not tree.args:
        return tree
    if tree.op in COMPARISONS and not any(_holds_condition(a) for a in tree.args):
        difference = tree.args[0] - tree.args[1]
        if not is_affine(difference, *moving):
            names = " and ".join(sorted(symbols(difference) & set(moving)))
            raise ModelError(f"'{tree}' is not linear in {names}, so its instants cannot be computed")
        return Expr(tree.op, (sign_of(difference), ZERO))
    return operation(tree.op, [_straightened(a, moving, sign_of) for a in tree.args])


def _holds_condition(tree: Expr) -> bool:
    conditional = tree.op in COMPARISONS or tree.op in ("and", "or", "not", "if")
    return conditional or any(map(_holds_condition, tree.args))


def obstacle(event: Event, moving: Collection[str]) -> str | None:
    """Why the instants of an event cannot be computed; None where they can."""
    try:
        straightened(event.trigger, moving, lambda difference: symbol("sign"))
    except ModelError as error:
        return f"the trigger cannot be followed exactly: {error}"
    return None
