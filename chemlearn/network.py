"""The reaction network of an SBML model: what varies, what is constant, which reactions change what, and how
fast.

Everything is in amounts: a species that SBML reads as a concentration stands in a law as amount/volume.
Assignment rules, function definitions and local parameters are inlined, so a law names only variables,
constants and time.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import libsbml
import numpy as np

from chemlearn.errors import ModelError
from chemlearn.events import Event, read_events
from chemlearn.expression import TIME, ZERO, Expr, number, substitute, symbol, symbols
from chemlearn.sbml import function_definitions
from chemlearn.sbml_math import from_sbml

Stoichiometry = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Reaction:
    """One reaction.

    Parameters
    ----------
    name : str
    reactants, products : tuple of (species, stoichiometry)
        Boundary species included.
    law : Expr
        Rate in amount per time, with rules and functions inlined.
    reversible : bool
        As declared; a reversible reaction's law is a net rate.
    formula : str
        The law as it is written in the model, for messages.
    """

    name: str
    reactants: Stoichiometry
    products: Stoichiometry
    law: Expr
    reversible: bool
    formula: str

    def net(self) -> dict[str, float]:
        """Net change of every species by one firing, boundary species included; zeros left out."""
        change: Counter[str] = Counter()
        for sign, side in ((-1.0, self.reactants), (1.0, self.products)):
            for name, count in side:
                change[name] += sign * count  # type: ignore[assignment]
        return {name: float(n) for name, n in change.items() if n}


@dataclass(frozen=True)
class Network:
    """Variables, constants, reactions and rules of a model.

    Parameters
    ----------
    species : tuple of str
        Species that reactions change; their amounts are the first variables.
    switched : tuple of str
        What only events change: parameters, volumes, and the boundary species that they set or enclose; the
        next variables.
    rates_of : mapping of str to Expr
        Rate rules: further, continuous variables and their time derivatives.
    rules : mapping of str to Expr
        Assignment rules, inlined.
    constants : mapping of str to float
        Parameters, compartment sizes, and constant and boundary species in the unit in which laws read them;
        ``nan`` where the model gives no value.
    initial : mapping of str to float
        Initial value of every variable, amounts for species; ``nan`` where the model gives none.
    reactions : tuple of Reaction
    volumes : mapping of str to str
        Species that laws read as concentrations, and their compartment.
    boundary : frozenset of str
        Species that no reaction may change.
    events : tuple of Event
        With rules and functions inlined, what they set as a concentration in amounts.
    unsupported : tuple of (str, str)
        Place and reason of each construct that nothing here can run.
    lawless : tuple of str
        Reactions without a rate law.
    used_reactions : frozenset of str
        Reactions whose rate other formulas use by their name.
    substance : str
        SBML unit in which amounts are declared, such as ``"mole"`` or ``"item"``; "" where nothing is
        declared.
    """

    species: tuple[str, ...]
    switched: tuple[str, ...]
    rates_of: Mapping[str, Expr]
    rules: Mapping[str, Expr]
    constants: Mapping[str, float]
    initial: Mapping[str, float]
    reactions: tuple[Reaction, ...]
    volumes: Mapping[str, str]
    boundary: frozenset[str]
    events: tuple[Event, ...]
    unsupported: tuple[tuple[str, str], ...]
    lawless: tuple[str, ...]
    used_reactions: frozenset[str]
    substance: str

    @property
    def variables(self) -> tuple[str, ...]:
        """Species, then what only events change, then the targets of rate rules."""
        return (*self.species, *self.switched, *self.rates_of)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that has a value: variables, rules, constants."""
        return (*self.variables, *self.rules, *self.constants)

    def stoichiometry(self) -> np.ndarray:
        """Net change of the species (rows) by each reaction (columns), shape (n_species, n_reactions)."""
        row = {name: i for i, name in enumerate(self.species)}
        matrix = np.zeros((len(self.species), len(self.reactions)))
        for column, reaction in enumerate(self.reactions):
            for name, change in reaction.net().items():
                if name in row:
                    matrix[row[name], column] = change
        return matrix

    def value_of(self, name: str) -> Expr:
        """What a name stands for, in amounts, constants and time: itself, or the body of its rule."""
        return self.rules.get(name, symbol(name))

    def in_amounts(self, tree: Expr, reaction: str) -> Expr:
        """A formula of a reaction, as the model writes it, in terms of the names of this network."""
        prefix = f"{reaction}."
        local = {n.removeprefix(prefix): symbol(n) for n in self.constants if n.startswith(prefix)}
        concentrations = {n: symbol(n) / symbol(c) for n, c in self.volumes.items()}
        return substitute(substitute(tree, local), {**concentrations, **self.rules})

    @classmethod
    def read(cls, sbml: str) -> Network:
        """Read an SBML text that libSBML has accepted.

        Raises
        ------
        ModelError
            For mathematics that is not supported, or rules that refer to one another in a circle.
        """
        return _Reader(libsbml.readSBMLFromString(sbml).getModel()).network()


class _Reader:
    """Collects the parts of one libSBML model."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.functions = function_definitions(model)
        self.unsupported: list[tuple[str, str]] = []
        self.reactions = _listed(model.getReaction, model.getNumReactions())
        self.all_species = _listed(model.getSpecies, model.getNumSpecies())
        rules = _listed(model.getRule, model.getNumRules())
        self.assignment = {r.getVariable(): r for r in rules if r.isAssignment()}
        self.rate = {r.getVariable(): r for r in rules if r.isRate()}
        assigned = _listed(model.getInitialAssignment, model.getNumInitialAssignments())
        self.assigned = {a.getSymbol(): a for a in assigned}
        self.concentrations = {  # species that formulas read as concentrations, and their compartment
            s.getId(): s.getCompartment()
            for s in self.all_species
            if not s.getHasOnlySubstanceUnits()
            and model.getCompartment(s.getCompartment()).getSpatialDimensions() > 0
        }
        if any(r.isAlgebraic() for r in rules):
            self.unsupported.append(("algebraicRule", "algebraic rules are not supported"))

    def network(self) -> Network:
        ruled = {*self.assignment, *self.rate}
        fixed = {s.getId() for s in self.all_species if s.getBoundaryCondition() or s.getConstant()}
        floating = tuple(s.getId() for s in self.all_species if s.getId() not in fixed | ruled)
        events = read_events(self.model, self._math)
        switched = self._switched(events, {*floating, *ruled})
        changing = {*floating, *switched}
        volumes = {n: c for n, c in self.concentrations.items() if n in changing}
        concentration = {n: symbol(n) / symbol(c) for n, c in volumes.items()}
        laws, given = self._laws(), self._given(volumes)
        definitions = {n: self._math(r, f"rule {n}") for n, r in self.assignment.items()} | laws
        used = frozenset().union(*map(symbols, definitions.values())) & laws.keys()
        definitions = _inlined({n: substitute(tree, concentration) for n, tree in definitions.items()})
        inline = {**concentration, **definitions}
        rates = {n: substitute(self._math(r, f"rate rule {n}"), inline) for n, r in self.rate.items()}
        given |= {
            n: substitute(self._math(a, f"initial assignment {n}"), inline) * symbol(volumes[n])
            if n in volumes
            else substitute(self._math(a, f"initial assignment {n}"), inline)
            for n, a in self.assigned.items()
        }
        happening = tuple(event.in_amounts(inline, volumes) for event in events)
        self._note_oddities(events)
        known = {*given, *self.assignment, TIME}
        definitions, rates, given = (
            self._without_unknown(trees, known) for trees in (definitions, rates, given)
        )
        for event in happening:
            for tree in event.trees:
                self._without_unknown({event.place: tree}, known)
        values, variable = _solved(given), changing | self.rate.keys()
        return Network(
            species=floating,
            switched=switched,
            rates_of=rates,
            rules={n: definitions[n] for n in self.assignment},
            constants={n: v for n, v in values.items() if n not in variable},
            initial={n: values.get(n, math.nan) for n in (*floating, *switched, *self.rate)},
            reactions=tuple(
                self._reaction(r, definitions[r.getId()]) for r in self.reactions if r.getId() in laws
            ),
            volumes=volumes,
            boundary=frozenset(fixed),
            events=happening,
            unsupported=tuple(dict.fromkeys(self.unsupported)),
            lawless=tuple(r.getId() for r in self.reactions if r.getId() not in laws),
            used_reactions=used,
            substance=self._substance(),
        )

    def _switched(self, events: Iterable[Event], otherwise: set[str]) -> tuple[str, ...]:
        """Names that events set and nothing else changes, with the fixed species in a volume that is set."""
        targets = {name for event in events for name, _ in event.assignments}
        targets |= {name for name, volume in self.concentrations.items() if volume in targets}
        model = self.model
        elements = _listed(model.getCompartment, model.getNumCompartments())
        elements += _listed(model.getParameter, model.getNumParameters()) + self.all_species
        return tuple(n for n in map(_identifier, elements) if n in targets - otherwise)

    def _math(self, element: Any, place: str) -> Expr:
        try:
            return from_sbml(element.getMath(), self.functions)
        except ModelError as error:
            self.unsupported.append((place, str(error).partition(";")[0]))
            return number(math.nan)

    def _laws(self) -> dict[str, Expr]:
        """Rate laws as written, with local parameters under names of their own."""
        laws = {}
        for reaction in self.reactions:
            name, law = reaction.getId(), reaction.getKineticLaw()
            if law is not None and law.getMath() is not None:
                local = {p.getId(): symbol(f"{name}.{p.getId()}") for p in _local_parameters(law)}
                laws[name] = substitute(self._math(law, f"reaction {name}"), local)
        return laws

    def _given(self, volumes: Mapping[str, str]) -> dict[str, Expr]:
        """Values of all constants and variables as the model gives them, before its initial assignments."""
        model = self.model
        given: dict[str, Expr] = {}
        for c in _listed(model.getCompartment, model.getNumCompartments()):
            # Level 3 gives no default size; Antimony and the suites mean 1 litre when they leave it out
            given[c.getId()] = number(c.getSize() if c.isSetSize() else 1.0)
        for p in _listed(model.getParameter, model.getNumParameters()):
            given[p.getId()] = _value(p)
        for reaction in self.reactions:
            if reaction.getKineticLaw() is not None:
                for p in _local_parameters(reaction.getKineticLaw()):
                    given[f"{reaction.getId()}.{p.getId()}"] = _value(p)
        for s in self.all_species:
            given[s.getId()] = self._given_species(
                s, as_concentration=s.getId() in self.concentrations.keys() - volumes
            )
        volatile = {c for c in self.assignment if model.getCompartment(c) is not None}
        return {n: tree for n, tree in given.items() if n not in self.assignment or n in volatile}

    def _given_species(self, species: Any, *, as_concentration: bool) -> Expr:
        volume = symbol(species.getCompartment())
        if species.isSetInitialAmount():
            amount = number(species.getInitialAmount())
            return amount / volume if as_concentration else amount
        if species.isSetInitialConcentration():
            concentration = number(species.getInitialConcentration())
            return concentration if as_concentration else concentration * volume
        return number(math.nan)

    def _without_unknown(self, trees: Mapping[str, Expr], known: set[str]) -> dict[str, Expr]:
        """The trees, those that use unknown names noted and without a value."""
        checked = dict(trees)
        for name, tree in trees.items():
            unknown = sorted(symbols(tree) - known)
            if unknown:
                kind = "reaction" if self.model.getReaction(name) is not None else "formula of"
                reason = f"it uses {unknown[0]!r}, which is no species, parameter or compartment"
                self.unsupported.append((f"{kind} {name}", reason))
                checked[name] = number(math.nan)
        return checked

    def _reaction(self, reaction: Any, law: Expr) -> Reaction:
        name = reaction.getId()
        return Reaction(
            name=name,
            reactants=self._side(name, _listed(reaction.getReactant, reaction.getNumReactants())),
            products=self._side(name, _listed(reaction.getProduct, reaction.getNumProducts())),
            law=law,
            reversible=bool(reaction.getReversible()),
            formula=libsbml.formulaToL3String(reaction.getKineticLaw().getMath()),
        )

    def _side(self, reaction: str, references: Iterable[Any]) -> Stoichiometry:
        counts: Counter[str] = Counter()
        for reference in references:
            stoichiometry = reference.getStoichiometry()
            counts[reference.getSpecies()] += 1.0 if math.isnan(stoichiometry) else stoichiometry  # type: ignore[assignment]
        return tuple((name, float(n)) for name, n in counts.items())

    def _note_oddities(self, events: Iterable[Event]) -> None:
        """Constructs that nothing here can run, beside mathematics."""
        model, note = self.model, self.unsupported.append
        for c in _listed(model.getCompartment, model.getNumCompartments()):
            if c.getId() in self.assignment or c.getId() in self.rate:
                note((f"compartment {c.getId()}", "the volume changes in time, which is not supported"))
        for s in self.all_species:
            if s.isSetConversionFactor() or (model.getLevel() == 3 and model.isSetConversionFactor()):
                note((f"species {s.getId()}", "conversion factors are not supported"))
        computed = {*self.assignment, *self.rate, *self.assigned}
        computed |= {name for event in events for name, _ in event.assignments}
        for reaction in self.reactions:
            place = f"reaction {reaction.getId()}"
            if reaction.isSetFast() and reaction.getFast():
                note((place, "'fast' reactions are not supported"))
            references = _listed(reaction.getReactant, reaction.getNumReactants())
            references += _listed(reaction.getProduct, reaction.getNumProducts())
            if any(r.isSetStoichiometryMath() or r.getId() in computed for r in references):
                note((place, "a stoichiometry that is computed is not supported"))
        if model.getElementBySId(TIME) is not None:
            note((TIME, "the name 'time' is kept for simulated time"))

    def _substance(self) -> str:
        unit = self.model.getSubstanceUnits() if self.model.getLevel() == 3 else "substance"
        definition = self.model.getUnitDefinition(unit)
        if definition is None:
            return unit if self.model.getLevel() == 3 else ""
        return (
            str(libsbml.UnitKind_toString(definition.getUnit(0).getKind()))
            if definition.getNumUnits()
            else ""
        )


def _identifier(element: Any) -> str:
    return str(element.getId())


def _listed(item: Callable[[int], Any], count: int) -> list[Any]:
    """Elements of one of libSBML's lists."""
    return [item(i) for i in range(count)]


def _local_parameters(law: Any) -> list[Any]:
    """Of Level 2 and of Level 3."""
    parameters = _listed(law.getParameter, law.getNumParameters())
    return parameters or _listed(law.getLocalParameter, law.getNumLocalParameters())


def _value(parameter: Any) -> Expr:
    return number(parameter.getValue() if parameter.isSetValue() else math.nan)


def _inlined(definitions: Mapping[str, Expr]) -> dict[str, Expr]:
    """Assignment rules and laws in terms of variables and constants only."""
    bodies = dict(definitions)
    for _ in bodies:
        if not any(symbols(body) & bodies.keys() for body in bodies.values()):
            break
        bodies = {name: substitute(body, bodies) for name, body in bodies.items()}
    unfinished = [name for name, body in bodies.items() if symbols(body) & bodies.keys()]
    if unfinished:
        used = frozenset().union(*(symbols(definitions[name]) for name in unfinished))
        circular = sorted(used.intersection(unfinished))  # not what only reads from the circle
        raise ModelError(f"the rules of {', '.join(circular)} refer to one another in a circle; break it")
    return bodies


def _solved(given: Mapping[str, Expr]) -> dict[str, float]:
    """Values that the model computes from one another at time 0; ``nan`` for what has none."""
    known: dict[str, Expr] = {TIME: ZERO}
    pending = dict(given)
    while pending:
        ready = [n for n, tree in pending.items() if not symbols(tree) & pending.keys()]
        if not ready:
            circle = ", ".join(sorted(pending))
            raise ModelError(f"the initial values of {circle} refer to one another in a circle; break it")
        for name in ready:
            tree = substitute(pending.pop(name), known)
            known[name] = tree if tree.op == "number" else number(math.nan)
    return {name: known[name].value for name in given}
