"""Reversible reactions with a net rate law, made two reactions that can each be fired."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

import libsbml

from chemlearn.expression import ZERO, Expr, infix, number, substitute, symbols
from chemlearn.network import Network
from chemlearn.probe import Probe, probe_states
from chemlearn.sbml import function_definitions
from chemlearn.sbml_math import from_sbml


def net_terms(law: Expr) -> Iterator[tuple[Expr, Expr]]:
    """Every way to read a law as forward minus backward rate by the differences in it.

    Factors and divisors around a difference are carried into both terms, so that ``cell*(k1*A - k2*B)`` gives
    ``cell*k1*A`` and ``cell*k2*B``. The terms are not yet known to be positive: ``A*(A - 1)`` gives ``A*A``
    and ``A``.
    """
    if law.op not in ("+", "-", "*", "/"):
        return
    a, b = law.args
    if law.op == "-":
        yield a, b
        yield from ((f, g + b) for f, g in net_terms(a))
        yield from ((a + g, f) for f, g in net_terms(b))
    elif law.op == "+":
        yield from ((f + b, g) for f, g in net_terms(a))
        yield from ((a + f, g) for f, g in net_terms(b))
    elif a.op == "number" and a.value < 0:
        yield ZERO, number(-a.value) * b if law.op == "*" else number(-a.value) / b
    else:
        yield from (((f * b, g * b) if law.op == "*" else (f / b, g / b)) for f, g in net_terms(a))
        if law.op == "*":
            yield from ((a * f, a * g) for f, g in net_terms(b))


def split_reversible(sbml: str) -> str:
    """SBML in which every reversible reaction whose law goes negative becomes two reactions, where it can.

    The backward one is called ``<id>_reverse``. A law that is no difference of two terms which are never
    negative stays as it is, and so does one whose net rate is used elsewhere by the reaction's name; the lint
    says so.
    """
    document = libsbml.readSBMLFromString(sbml)
    model = document.getModel()
    network = Network.read(sbml)
    functions = function_definitions(model)
    rules = {
        r.getVariable(): from_sbml(r.getMath(), functions)
        for r in map(model.getRule, range(model.getNumRules()))
        if r.getVariable() in network.rules
    }
    states = probe_states(network)

    def negative(law: Expr) -> bool:
        return Probe(states, law, network.species).is_negative()

    net = [r.name for r in network.reactions if r.reversible and negative(r.law)]
    for name in (n for n in net if n not in network.used_reactions):
        reaction = model.getReaction(name)
        raw = from_sbml(reaction.getKineticLaw().getMath(), functions)
        for forward, backward in chain(net_terms(raw), net_terms(_expanded(raw, rules))):
            if not any(negative(network.in_amounts(term, name)) for term in (forward, backward)):
                _split(model, reaction, forward, backward)
                break
    return str(libsbml.writeSBMLToString(document))


def _expanded(tree: Expr, rules: Mapping[str, Expr]) -> Expr:
    """The tree with assignment rules written out; they hold no circles, which was checked when they were
    read.
    """
    while symbols(tree) & rules.keys():
        tree = substitute(tree, rules)
    return tree


def _split(model: libsbml.Model, reaction: libsbml.Reaction, forward: Expr, backward: Expr) -> None:
    reverse = reaction.clone()
    reverse.setId(f"{reaction.getId()}_reverse")
    for element in (reverse, reverse.getKineticLaw()):
        element.unsetMetaId()
    reverse.getListOfReactants().clear()
    reverse.getListOfProducts().clear()
    for i in range(reaction.getNumProducts()):
        reverse.addReactant(_anonymous(reaction.getProduct(i)))
    for i in range(reaction.getNumReactants()):
        reverse.addProduct(_anonymous(reaction.getReactant(i)))
    for half, term in ((reaction, forward), (reverse, backward)):
        half.setReversible(False)
        half.getKineticLaw().setMath(libsbml.parseL3FormulaWithModel(infix(term), model))
    model.addReaction(reverse)


def _anonymous(reference: libsbml.SpeciesReference) -> libsbml.SpeciesReference:
    """A copy without identifiers, which must stay unique."""
    copy = reference.clone()
    copy.unsetId()
    copy.unsetMetaId()
    return copy
