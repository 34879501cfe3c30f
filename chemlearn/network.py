"""The reaction network of an SBML model: what varies, what is constant, which reactions change what, and how fast.

Everything is in amounts: a species that SBML reads as a concentration stands in a law as amount/volume. Assignment
rules, function definitions and local parameters are inlined, so a law names only variables, constants and time.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import libsbml
import numpy as np

from chemlearn.errors import ModelError
from chemlearn.expression import TIME, Expr, compile_expressions, from_sbml, substitute, symbol, symbols
from chemlearn.sbml import function_definitions

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
    rates_of : mapping of str to Expr
        Rate rules: further, continuous variables and their time derivatives.
    rules : mapping of str to Expr
        Assignment rules, inlined.
    constants : mapping of str to float
        Parameters, compartment sizes, constant and boundary species; ``nan`` where the model gives no value.
    initial : mapping of str to float
        Initial value of every variable (amounts for species); ``nan`` where the model gives none.
    reactions : tuple of Reaction
    volumes : mapping of str to str
        Species that laws read as concentrations, and their compartment.
    boundary : frozenset of str
        Species that no reaction may change.
    events : tuple of str
        Names of the events.
    unsupported : tuple of (str, str)
        Place and reason of each construct that nothing here can run.
    lawless : tuple of str
        Reactions without a rate law.
    """

    species: tuple[str, ...]
    rates_of: Mapping[str, Expr]
    rules: Mapping[str, Expr]
    constants: Mapping[str, float]
    initial: Mapping[str, float]
    reactions: tuple[Reaction, ...]
    volumes: Mapping[str, str]
    boundary: frozenset[str]
    events: tuple[str, ...]
    unsupported: tuple[tuple[str, str], ...]
    lawless: tuple[str, ...]

    @property
    def variables(self) -> tuple[str, ...]:
        """Species, then the targets of rate rules."""
        return (*self.species, *self.rates_of)

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
        rules = [model.getRule(i) for i in range(model.getNumRules())]
        self.assignment = {r.getVariable(): r for r in rules if r.isAssignment()}
        self.rate = {r.getVariable(): r for r in rules if r.isRate()}
        if any(r.isAlgebraic() for r in rules):
            self.unsupported.append(("algebraic rule", "algebraic rules are not supported"))
        self.assigned = {
            a.getSymbol(): a for a in map(model.getInitialAssignment, range(model.getNumInitialAssignments()))
        }
        self.all_species = [model.getSpecies(i) for i in range(model.getNumSpecies())]
        self.volumes = {
            s.getId(): s.getCompartment()
            for s in self.all_species
            if not s.getHasOnlySubstanceUnits() and model.getCompartment(s.getCompartment()).getSpatialDimensions() > 0
        }
        self.constants: dict[str, float] = {}

    def network(self) -> Network:
        self._compartments_and_parameters()
        floating = []
        initial: dict[str, float] = {}
        for s in self.all_species:
            name = s.getId()
            if s.isSetConversionFactor() or (self.model.getLevel() == 3 and self.model.isSetConversionFactor()):
                self.unsupported.append((f"species {name}", "conversion factors are not supported"))
            if name in self.assignment:
                continue
            if name in self.rate or not (s.getBoundaryCondition() or s.getConstant()):
                initial[name] = self._initial(s)
                if name not in self.rate:
                    floating.append(name)
            else:  # a boundary species that nothing changes: a constant, in the unit in which laws read it
                amount = self._initial(s)
                self.constants[name] = amount / self._volume(name) if name in self.volumes else amount
        for name in self.rate:
            if name not in initial:
                initial[name] = self._value_of_element(name)
            elif name in self.volumes:
                initial[name] /= self._volume(name)  # the rule gives the rate of the concentration
        concentration = {n: symbol(n) / symbol(c) for n, c in self.volumes.items() if n in floating}
        rules = self._inlined_rules(concentration)
        inline = {**concentration, **rules}
        laws = {r.getId(): r.getKineticLaw() for r in self._reactions()}
        lawless = [name for name, law in laws.items() if law is None or law.getMath() is None]
        network = Network(
            species=tuple(floating),
            rates_of={n: substitute(self._math(r), inline) for n, r in self.rate.items()},
            rules=rules,
            constants=self.constants,
            initial=initial,
            reactions=tuple(self._reaction(r, inline) for r in self._reactions() if r.getId() not in lawless),
            volumes={n: c for n, c in self.volumes.items() if n in floating},
            boundary=frozenset(s.getId() for s in self.all_species if s.getBoundaryCondition() or s.getConstant()),
            events=tuple(
                e.getId() or f"event {i + 1}"
                for i, e in enumerate(map(self.model.getEvent, range(self.model.getNumEvents())))
            ),
            unsupported=tuple(self.unsupported),
            lawless=tuple(lawless),
        )
        return self._with_initial_assignments(network)

    def _reactions(self) -> list[Any]:
        return [self.model.getReaction(i) for i in range(self.model.getNumReactions())]

    def _math(self, element: Any) -> Expr:
        return from_sbml(element.getMath(), self.functions)

    def _volume(self, species: str) -> float:
        return self.constants[self.volumes[species]]

    def _compartments_and_parameters(self) -> None:
        for c in map(self.model.getCompartment, range(self.model.getNumCompartments())):
            # Level 3 gives no default size; Antimony and the suites mean 1 litre when they leave it out
            self.constants[c.getId()] = c.getSize() if c.isSetSize() else 1.0
            if c.getId() in self.assignment or c.getId() in self.rate:
                reason = "the volume changes in time, which is not supported"
                self.unsupported.append((f"compartment {c.getId()}", reason))
        for p in map(self.model.getParameter, range(self.model.getNumParameters())):
            if p.getId() not in self.assignment and p.getId() not in self.rate:
                self.constants[p.getId()] = p.getValue() if p.isSetValue() else math.nan

    def _value_of_element(self, name: str) -> float:
        element = self.model.getElementBySId(name)
        return element.getValue() if element.isSetValue() else math.nan

    def _initial(self, species: Any) -> float:
        """Initial amount."""
        if species.isSetInitialAmount():
            return float(species.getInitialAmount())
        if species.isSetInitialConcentration():
            return float(species.getInitialConcentration()) * self.constants[species.getCompartment()]
        return math.nan

    def _inlined_rules(self, concentration: Mapping[str, Expr]) -> dict[str, Expr]:
        """Bodies of the assignment rules in terms of variables and constants."""
        bodies = {name: substitute(self._math(rule), concentration) for name, rule in self.assignment.items()}
        for _ in bodies:
            if not any(symbols(b) & bodies.keys() for b in bodies.values()):
                break
            bodies = {name: substitute(body, bodies) for name, body in bodies.items()}
        circular = sorted(name for name, body in bodies.items() if symbols(body) & bodies.keys())
        if circular:
            raise ModelError(f"the assignment rules of {', '.join(circular)} refer to one another in a circle")
        return bodies

    def _reaction(self, reaction: Any, inline: Mapping[str, Expr]) -> Reaction:
        name, law = reaction.getId(), reaction.getKineticLaw()
        if self.model.getLevel() < 3 or self.model.getVersion() < 2:
            if reaction.isSetFast() and reaction.getFast():
                self.unsupported.append((f"reaction {name}", "'fast' reactions are not supported"))
        local: dict[str, Expr] = {}
        parameters = [law.getParameter(i) for i in range(law.getNumParameters())]
        parameters += [law.getLocalParameter(i) for i in range(law.getNumLocalParameters())]
        for p in parameters:
            local[p.getId()] = symbol(f"{name}.{p.getId()}")
            self.constants[f"{name}.{p.getId()}"] = p.getValue() if p.isSetValue() else math.nan
        return Reaction(
            name=name,
            reactants=self._side(name, map(reaction.getReactant, range(reaction.getNumReactants()))),
            products=self._side(name, map(reaction.getProduct, range(reaction.getNumProducts()))),
            law=substitute(substitute(self._math(law), local), inline),
            reversible=bool(reaction.getReversible()),
            formula=libsbml.formulaToL3String(law.getMath()),
        )

    def _side(self, reaction: str, references: Iterable[Any]) -> Stoichiometry:
        counts: Counter[str] = Counter()
        for reference in references:
            variable = reference.getId() and (reference.getId() in self.assignment or reference.getId() in self.rate)
            if reference.isSetStoichiometryMath() or variable:
                self.unsupported.append((f"reaction {reaction}", "a stoichiometry that is computed is not supported"))
            stoichiometry = reference.getStoichiometry()
            counts[reference.getSpecies()] += 1.0 if math.isnan(stoichiometry) else stoichiometry  # type: ignore[assignment]
        return tuple((name, float(n)) for name, n in counts.items())

    def _with_initial_assignments(self, network: Network) -> Network:
        """Constants and initial amounts that the model computes from one another."""
        constants, initial = dict(network.constants), dict(network.initial)
        concentration = {n: symbol(n) / symbol(c) for n, c in network.volumes.items()}
        pending = {n: substitute(self._math(a), {**concentration, **network.rules}) for n, a in self.assigned.items()}
        for name in pending:
            (initial if name in initial else constants)[name] = math.nan
        while pending:
            ready = [n for n, tree in pending.items() if not symbols(tree) & pending.keys()]
            if not ready:
                raise ModelError(f"the initial assignments of {', '.join(pending)} refer to one another in a circle")
            for name in ready:
                values = {**constants, **initial, TIME: 0.0}
                value = float(compile_expressions([pending.pop(name)], list(values))(list(values.values()))[0])
                if name in initial:
                    initial[name] = value * constants[network.volumes[name]] if name in network.volumes else value
                else:
                    constants[name] = value
        return Network(**{**network.__dict__, "constants": constants, "initial": initial})
