"""What must hold before a model is simulated, and before its reactions are fired one molecule at a time.

Every finding names the file and line, says what is wrong and how to mend it. The engines underneath check
little of this: a net rate law, a fractional amount or ``2 X`` with ``k*X*X`` runs there without a word and
gives wrong numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from chemlearn.events import obstacle
from chemlearn.expression import TIME, is_affine, symbols
from chemlearn.locate import locate
from chemlearn.network import Network, Reaction
from chemlearn.probe import Probe, probe_states


@dataclass(frozen=True)
class Finding:
    """One thing to know about a model.

    Parameters
    ----------
    level : {"error", "warning", "note"}
        An error refuses the run, a warning does not, a note only informs.
    stochastic_only : bool
        Whether it concerns stochastic runs only.
    origin : str
        File, or name of the model.
    line : int or None
        Line in the text, from 1.
    place : str
        What it is about, such as ``reaction R7``.
    reason, mend : str
        What is wrong, and what to do.
    """

    level: str
    stochastic_only: bool
    origin: str
    line: int | None
    place: str
    reason: str
    mend: str

    def __str__(self) -> str:
        where = self.origin if self.line is None else f"{self.origin}:{self.line}"
        return f"{where}: {self.place}: {self.reason}; {self.mend}"


@dataclass(frozen=True)
class _Question:
    """What the checks look at."""

    network: Network
    input: str | None
    split: bool


#: level, stochastic only, place, name to look for in the text, reason, mend
_Raw = tuple[str, bool, str, str, str, str]


def findings(
    network: Network, text: str, origin: str, *, input: str | None = None, split: bool = False
) -> tuple[Finding, ...]:
    """Everything to know about a network before it is run, errors first.

    Parameters
    ----------
    network : Network
    text : str
        The Antimony or SBML text, searched for line numbers.
    origin : str
        Its file or name.
    input : str, optional
        The constant that a signal will drive.
    split : bool
        Whether splitting net rate laws has been tried.
    """
    question = _Question(network, input, split)
    checks = (_unreadable, _values, _continuous, _amounts, _laws, _signal, _volumes, _units)
    found = [
        Finding(level, stochastic, origin, locate(text, name), place, reason, mend)
        for check in checks
        for level, stochastic, place, name, reason, mend in check(question)
    ]
    return tuple(sorted(found, key=lambda f: ("error", "warning", "note").index(f.level)))


def _unreadable(q: _Question) -> Iterator[_Raw]:
    for place, reason in q.network.unsupported:
        yield "error", False, place, place.split()[-1], reason, "rewrite the model without it"
    for name in q.network.lawless:
        mend = "write one after the reaction, as in 'A => B; k*A'"
        yield "error", False, f"reaction {name}", name, "it has no rate law", mend


def _values(q: _Question) -> Iterator[_Raw]:
    """Unknown names come out of Antimony as parameters without a value."""
    network = q.network
    trees = [r.law for r in network.reactions] + [tree for e in network.events for tree in e.trees]
    trees += [*network.rates_of.values(), *network.rules.values()]
    used = frozenset[str]().union(*map(symbols, trees))
    for name, value in network.constants.items():
        if np.isnan(value) and name in used:
            mend = f"write '{name} = ...', or correct its spelling"
            yield "error", False, f"name {name!r}", name, "it has no value", mend
    for name, value in network.initial.items():
        if np.isnan(value) and name in network.switched:
            mend = f"write '{name} = ...', its value until an event sets it"
            yield "error", False, f"name {name!r}", name, "it has no initial value", mend
        elif np.isnan(value):
            mend = f"write '{name} = 0' or its amount"
            yield "error", False, f"species {name}", name, "it has no initial amount", mend


def _continuous(q: _Question) -> Iterator[_Raw]:
    """What changes other than by firing a reaction."""
    for event in q.network.events:
        reason = obstacle(event, (TIME,))
        if reason is not None:
            mend = "compare something that is linear in time, such as 'time > 10'"
            yield "error", True, event.place, event.name, reason, mend
    for name in q.network.rates_of:
        reason = "it changes continuously, by a rate rule, not by whole molecules"
        mend = "simulate it deterministically, or write reactions for it"
        yield "error", True, f"variable {name}", name, reason, mend


def _amounts(q: _Question) -> Iterator[_Raw]:
    network = q.network
    for name in network.species:
        amount = network.initial[name]
        place = f"species {name}"
        if amount < 0:
            mend = "amounts cannot be negative"
            yield "error", False, place, name, f"its initial amount is {amount:g}", mend
        elif not np.isnan(amount) and abs(amount - round(amount)) > 1e-9 * amount:
            mend = f"start with {int(amount)} or {int(amount) + 1} molecules"
            if amount < 0.01:
                mend = "give amounts as numbers of molecules (moles times 6.022e23)"
            reason = f"its initial amount {amount:g} is not a whole number"
            yield "error", True, place, name, reason, mend
    for reaction in network.reactions:
        for name, count in (*reaction.reactants, *reaction.products):
            if count != round(count) or count < 0:
                reason = f"the stoichiometry {count:g} of {name} is not a whole number"
                mend = "use whole numbers of molecules"
                yield "error", True, f"reaction {reaction.name}", reaction.name, reason, mend


def _laws(q: _Question) -> Iterator[_Raw]:
    """Laws that are no propensities, found by trying them on whole numbers of molecules."""
    states = probe_states(q.network)
    for reaction in q.network.reactions:
        probe = Probe(states, reaction.law, q.network.species)
        if probe.is_negative():
            reason, mend = _why_negative(q, reaction)
            yield "error", True, f"reaction {reaction.name}", reaction.name, reason, mend
            continue
        if reaction.reversible:
            reason = "it is declared reversible, but its law only runs forward"
            mend = "write '=>' in Antimony, or reversible=\"false\" in SBML, or add its reverse"
            yield "warning", True, f"reaction {reaction.name}", reaction.name, reason, mend
        yield from _exhaustion(q.network, reaction, probe)
        yield from _undefined(reaction, probe)


def _why_negative(q: _Question, reaction: Reaction) -> tuple[str, str]:
    constants = q.network.constants
    below = sorted(n for n in symbols(reaction.law) if constants.get(n, 0.0) < 0)
    positive = Probe(probe_states(q.network, positive=True), reaction.law, q.network.species)
    if below and not positive.is_negative():
        cause = f"{below[0]} = {constants[below[0]]:g}"
        reason = f"the rate law '{_short(reaction.formula)}' is negative, because {cause}"
        return reason, "give rate constants as positive numbers and swap the reaction's sides instead"
    reason = f"the rate law '{_short(reaction.formula)}' is a net rate, negative at some states"
    if not reaction.reversible:
        return (
            reason,
            "write its terms as reactions of their own, or keep it from going negative with max(0, ...)",
        )
    left, right = _sides(reaction)
    mend = f"write two reactions, {left} => {right} and {right} => {left}"
    if q.split:
        return (
            reason,
            f"{mend}; it could not be split, being no difference of two terms that are never negative",
        )
    return reason, f"{mend}, or pass split=True (--split)"


def _exhaustion(network: Network, reaction: Reaction, probe: Probe) -> Iterator[_Raw]:
    """A law must vanish when fewer molecules are left than one firing needs."""
    change = reaction.net()
    place, law, usual = f"reaction {reaction.name}", _short(reaction.formula), probe.largest({})
    for name, count in reaction.reactants:
        if name not in network.species or count != round(count):
            continue
        running = (left for left in range(int(count)) if probe.largest({name: float(left)}) > 1e-9 * usual)
        left = next(running, None)
        if left is None:
            continue
        if change.get(name, 0.0) >= 0:  # it is not used up, so nothing goes negative
            reason = f"it needs {count:g} {name}, but '{law}' still runs at {name} = {left}"
            mend = f"make the law vanish there, or leave {name} out of the reaction"
            yield "warning", True, place, reaction.name, reason, mend
        elif left == 0:
            reason = f"the rate law '{law}' does not vanish when {name} is used up"
            mend = f"make it proportional to {name}, or saturate it as {name}/(K + {name})"
            yield "error", True, place, reaction.name, reason, mend
        else:
            one = f"1/{network.volumes[name]}" if name in network.volumes else "1"
            reason = f"it takes {count:g} {name}, but '{law}' still runs at {name} = {left}"
            mend = f"count pairs: {name}*({name} - {one}) in place of {name}^2"
            if count > 2:
                mend = f"count groups of {count:g}: {name}*({name} - {one})*..., a factor for each molecule"
            yield "error", True, place, reaction.name, reason, mend


def _undefined(reaction: Reaction, probe: Probe) -> Iterator[_Raw]:
    name = probe.undefined_without()
    if name is not None:
        reason = f"the rate law '{_short(reaction.formula)}' is not a finite number at {name} = 0"
        mend = f"make sure that {name} never runs out, or add a constant to the divisor"
        yield "warning", False, f"reaction {reaction.name}", reaction.name, reason, mend


def _signal(q: _Question) -> Iterator[_Raw]:
    for reaction in q.network.reactions:
        if q.input is not None and not is_affine(reaction.law, q.input):
            reason = f"its propensity is not linear in {q.input}"
            mend = "under a ramp, engines other than native need the signal as a staircase (Signal.staircase)"
            yield "note", True, f"reaction {reaction.name}", reaction.name, reason, mend


def _volumes(q: _Question) -> Iterator[_Raw]:
    for compartment in sorted(set(q.network.volumes.values())):
        size = {**q.network.constants, **q.network.initial}.get(compartment, 1.0)
        if size != 1.0:
            reason = f"its size is {size:g}, and its species are read as concentrations"
            mend = "check that every law is meant as amount per time, with amount/size for each species"
            yield "warning", True, f"compartment {compartment}", compartment, reason, mend


def _units(q: _Question) -> Iterator[_Raw]:
    if q.network.substance == "mole" and q.network.species:
        reason = "amounts are declared in moles, but are taken as numbers of molecules"
        mend = "give amounts and rate constants in molecules, and declare 'unit substance = item'"
        yield "warning", True, "unit substance", "substance", reason, mend


def _sides(reaction: Reaction) -> tuple[str, str]:
    def side(items: tuple[tuple[str, float], ...]) -> str:
        return " + ".join(name if count == 1 else f"{count:g} {name}" for name, count in items)

    return side(reaction.reactants), side(reaction.products)


def _short(formula: str) -> str:
    return formula if len(formula) <= 60 else formula[:57] + "..."
