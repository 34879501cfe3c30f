"""What must hold before a model is simulated, and before its reactions are fired one molecule at a time.

Every finding names the file and line, says what is wrong and how to mend it. The engines underneath check little of
this: a net rate law, a fractional amount or ``2 X`` with ``k*X*X`` runs there without a word and gives wrong numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from chemlearn.expression import TIME, Expr, compile_expressions, is_affine, symbols
from chemlearn.network import Network, Reaction
from chemlearn.sbml import looks_like_sbml

_PROBES = 40  # random states at which a law is tried; a law that is wrong is wrong at almost all of them


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


#: level, stochastic only, place, name to look for in the text, reason, mend
_Raw = tuple[str, bool, str, str, str, str]


def findings(network: Network, text: str, origin: str, *, input: str | None = None) -> tuple[Finding, ...]:
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
    """
    checks = (_unreadable, _values, _continuous, _amounts, _laws, _signal, _volumes)
    found = [
        Finding(level, stochastic, origin, locate(text, name), place, reason, mend)
        for check in checks
        for level, stochastic, place, name, reason, mend in check(network, input)
    ]
    return tuple(sorted(found, key=lambda f: ("error", "warning", "note").index(f.level)))


def locate(text: str, name: str) -> int | None:
    """Line, from 1, on which a name is defined in an Antimony or SBML text; None when it is not found."""
    lines = text.splitlines()
    if looks_like_sbml(text):
        patterns = [rf"\b(?:id|variable|symbol)\s*=\s*[\"']{re.escape(name)}[\"']"]
    else:
        lines = [re.sub(r"(//|#).*", "", line) for line in lines]
        word = rf"(?<![\w.]){re.escape(name)}(?!\w)"
        patterns = [rf"^\s*{word}\s*:(?!=)", rf"{word}\s*(:?=(?!>)|')", rf"\bspecies\b.*{word}", word]
        unnamed = re.fullmatch(r"_J(\d+)", name)
        if unnamed:  # Antimony numbers the reactions that have no name
            arrows = [i for i, line in enumerate(lines) if re.search(r"[-=]>", line) and not re.match(r"\s*\w+\s*:", line)]
            return arrows[int(unnamed[1])] + 1 if int(unnamed[1]) < len(arrows) else None
    for pattern in patterns:
        for i, line in enumerate(lines):
            if re.search(pattern, line):
                return i + 1
    return None


def _unreadable(network: Network, _: str | None) -> Iterator[_Raw]:
    for place, reason in network.unsupported:
        yield "error", False, place, place.split()[-1], reason, "rewrite the model without it"
    for name in network.lawless:
        yield "error", False, f"reaction {name}", name, "it has no rate law", "write one after the reaction, as in 'A => B; k*A'"


def _values(network: Network, _: str | None) -> Iterator[_Raw]:
    """Unknown names come out of Antimony as parameters without a value."""
    trees = [r.law for r in network.reactions] + list(network.rates_of.values()) + list(network.rules.values())
    used = frozenset[str]().union(*map(symbols, trees))
    for name, value in network.constants.items():
        if np.isnan(value) and name in used:
            yield "error", False, f"name {name!r}", name, "it has no value", f"write '{name} = ...', or correct its spelling"
    for name, value in network.initial.items():
        if np.isnan(value):
            yield "error", False, f"species {name}", name, "it has no initial amount", f"write '{name} = 0' or its amount"


def _continuous(network: Network, _: str | None) -> Iterator[_Raw]:
    """What changes other than by firing a reaction."""
    for name in network.events:
        reason = "no engine here fires events exactly between reactions"
        yield "error", True, f"event {name}", name, reason, "run it deterministically, or write a signal for what it switches"
    for name in network.rates_of:
        reason = "it changes continuously, by a rate rule, not by whole molecules"
        yield "error", True, f"variable {name}", name, reason, "simulate it deterministically, or write reactions for it"
    for reaction in network.reactions:
        if TIME in symbols(reaction.law):
            reason = "its law depends on time itself, which the engines take wrongly between firings"
            yield "error", True, f"reaction {reaction.name}", reaction.name, reason, "drive the model by a Signal on its input"


def _amounts(network: Network, _: str | None) -> Iterator[_Raw]:
    for name in network.species:
        amount = network.initial[name]
        if amount < 0:
            yield "error", False, f"species {name}", name, f"its initial amount is {amount:g}", "amounts cannot be negative"
        elif not np.isnan(amount) and amount != round(amount):
            mend = f"start with {round(amount)} or {int(amount) + 1} molecules"
            yield "error", True, f"species {name}", name, f"its initial amount {amount:g} is not a whole number", mend
    for reaction in network.reactions:
        for name, count in (*reaction.reactants, *reaction.products):
            if count != round(count) or count < 0:
                reason = f"the stoichiometry {count:g} of {name} is not a whole number"
                yield "error", True, f"reaction {reaction.name}", reaction.name, reason, "use whole numbers of molecules"


def _laws(network: Network, _: str | None) -> Iterator[_Raw]:
    """Laws that are no propensities, found by trying them on whole numbers of molecules."""
    for reaction in network.reactions:
        if TIME in symbols(reaction.law):
            continue
        place, name = f"reaction {reaction.name}", reaction.name
        probe = _Probe(network, reaction.law)
        if probe.smallest() < 0:
            reason = f"the rate law '{_short(reaction.formula)}' is a net rate, negative at some states"
            left, right = _sides(reaction)
            mend = f"write two reactions, {left} => {right} and {right} => {left}, or pass split=True (--split)"
            if not reaction.reversible:
                mend = "write its two terms as two reactions, or keep it from going negative with max(0, ...)"
            yield "error", True, place, name, reason, mend
            continue
        if reaction.reversible:
            mend = "write '=>' in Antimony, or reversible=\"false\" in SBML"
            yield "warning", True, place, name, "it is declared reversible, but its law only runs forward", mend
        yield from _exhaustion(network, reaction, probe)


def _exhaustion(network: Network, reaction: Reaction, probe: _Probe) -> Iterator[_Raw]:
    """A law must vanish when fewer molecules are left than one firing takes."""
    change = reaction.net()
    for name, count in reaction.reactants:
        if name not in network.species or change.get(name, 0.0) >= 0 or count != round(count):
            continue
        for left in range(int(count)):
            if probe.largest({name: float(left)}) <= 1e-9 * probe.largest({}):
                continue
            place = f"reaction {reaction.name}"
            if left == 0:
                reason = f"the rate law '{_short(reaction.formula)}' does not vanish when {name} is used up"
                mend = f"make it proportional to {name}, or saturate it as {name}/(K + {name})"
            else:
                reason = f"it takes {count:g} {name}, but '{_short(reaction.formula)}' still runs at {name} = {left}"
                mend = f"count pairs: {name}*({name} - 1)" + (f"*({name} - 2)" if count == 3 else "") + " in place of powers"
            yield "error", True, place, reaction.name, reason, mend
            break


class _Probe:
    """A law tried on random whole amounts; the same states for every call."""

    def __init__(self, network: Network, law: Expr) -> None:
        generator = np.random.default_rng(2023)
        total = 2.0 * sum(v for v in network.initial.values() if np.isfinite(v)) + 20.0
        self.values: dict[str, np.ndarray] = {}
        for name in network.variables:  # small and large counts alike: uniform in the logarithm
            self.values[name] = np.floor(np.exp(generator.uniform(0.0, np.log(total), _PROBES)))
            self.values[name][: _PROBES // 8] = 0.0
            generator.shuffle(self.values[name])
        for name, value in network.constants.items():  # a constant of 0 would hide what its law does
            self.values[name] = np.full(_PROBES, value if value else 1.0)
        self.evaluate = compile_expressions([law], list(self.values))

    def _law(self, fixed: dict[str, float]) -> np.ndarray:
        values = {**self.values, **{n: np.full(_PROBES, v) for n, v in fixed.items()}}
        with np.errstate(all="ignore"):
            result = np.broadcast_to(self.evaluate(list(values.values()))[0], (_PROBES,))
        return result[np.isfinite(result)]

    def smallest(self) -> float:
        values = self._law({})
        return float(values.min(initial=0.0)) if values.min(initial=0.0) < -1e-12 * values.max(initial=0.0) else 0.0

    def largest(self, fixed: dict[str, float]) -> float:
        return float(np.abs(self._law(fixed)).max(initial=0.0))


def _signal(network: Network, input: str | None) -> Iterator[_Raw]:
    for reaction in network.reactions:
        if input is not None and not is_affine(reaction.law, input):
            reason = f"its propensity is not linear in {input}"
            mend = "under a ramp, stochastic engines here need the signal as a staircase (Signal.staircase)"
            yield "note", True, f"reaction {reaction.name}", reaction.name, reason, mend


def _volumes(network: Network, _: str | None) -> Iterator[_Raw]:
    for compartment in sorted(set(network.volumes.values())):
        size = network.constants[compartment]
        if size != 1.0:
            reason = f"its size is {size:g}, and its species are read as concentrations"
            mend = "every law is taken as amount per time, with amount/size for each species: check that this is meant"
            yield "warning", True, f"compartment {compartment}", compartment, reason, mend


def _sides(reaction: Reaction) -> tuple[str, str]:
    def side(items: tuple[tuple[str, float], ...]) -> str:
        return " + ".join(name if count == 1 else f"{count:g} {name}" for name, count in items)

    return side(reaction.reactants), side(reaction.products)


def _short(formula: str) -> str:
    return formula if len(formula) <= 60 else formula[:57] + "..."
