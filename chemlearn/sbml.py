"""Texts to SBML and SBML to texts: Antimony in, values set, reactions split, the input driven by a signal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import antimony
import libsbml

from chemlearn.errors import ModelError
from chemlearn.expression import Expr, from_sbml, infix

#: parameters that :func:`driven` adds; an engine sets them at the start of every linear piece
PIECE_VALUE, PIECE_SLOPE, PIECE_START = "signal_value__", "signal_slope__", "signal_start__"


def looks_like_sbml(text: str) -> bool:
    """Whether a text is XML rather than Antimony."""
    return text.lstrip("\ufeff \t\r\n").startswith("<")


@cache
def to_sbml(text: str, origin: str) -> str:
    """SBML of an Antimony or SBML text.

    Parameters
    ----------
    text : str
        Antimony, or SBML from Level 2 Version 4 to Level 3 Version 2.
    origin : str
        What to call the text in an error, usually its path.

    Raises
    ------
    ModelError
        With ``origin:line`` for a syntax error, or for SBML that libSBML finds invalid.
    """
    if not text.strip():
        raise ModelError(f"{origin}: the file is empty; write a model in Antimony or SBML")
    if looks_like_sbml(text):
        parse(text, origin)
        return text
    antimony.clearPreviousLoads()
    if antimony.loadAntimonyString(text) < 0:
        raise ModelError(_antimony_error(antimony.getLastError(), origin))
    sbml = antimony.getSBMLString(antimony.getMainModuleName())
    antimony.clearPreviousLoads()
    return str(sbml)


def _antimony_error(message: str, origin: str) -> str:
    """Antimony's own message with ``origin:line`` in front and its preamble gone."""
    line = re.search(r"line\s+(\d+)", message)
    place = f"{origin}:{line.group(1)}" if line else origin
    reason = " ".join(re.sub(r"Error in model string, line \d+:", "", message).split()).rstrip(". ")
    return f"{place}: Antimony cannot read this: {reason}; correct that line"


def parse(sbml: str, origin: str) -> Any:
    """libSBML document of an SBML text, or a ModelError that names the line.

    Only errors of reading and of identifiers or mathematics are asked for: unit warnings are the modeller's.
    """
    document = libsbml.readSBMLFromString(sbml)
    for category in (libsbml.LIBSBML_CAT_UNITS_CONSISTENCY, libsbml.LIBSBML_CAT_MODELING_PRACTICE):
        document.setConsistencyChecks(category, False)
    if document.getNumErrors(libsbml.LIBSBML_SEV_ERROR) + document.getNumErrors(libsbml.LIBSBML_SEV_FATAL) == 0:
        document.checkConsistency()
    for i in range(document.getNumErrors()):
        error = document.getError(i)
        if error.getSeverity() >= libsbml.LIBSBML_SEV_ERROR:
            reason = " ".join(error.getMessage().split()).rstrip(".")
            raise ModelError(f"{origin}:{error.getLine()}: this is not valid SBML: {reason}; correct the file")
    if document.getModel() is None:
        raise ModelError(f"{origin}: the SBML has no <model>; write one")
    level, version = document.getLevel(), document.getVersion()
    if (level, version) < (2, 4) or (level, version) > (3, 2):
        raise ModelError(f"{origin}: SBML Level {level} Version {version}; Level 2 Version 4 to Level 3 Version 2 are read")
    for i in range(document.getNumPlugins()):
        package = document.getPlugin(i).getPackageName()
        if document.getPackageRequired(package):
            raise ModelError(f"{origin}: the SBML package '{package}' is required and not supported; export core SBML")
    return document


def with_values(sbml: str, values: Mapping[str, float]) -> str:
    """SBML in which parameters, compartments and initial amounts take the given values.

    A value set here wins over an initial assignment of the same name.
    """
    if not values:
        return sbml
    document = libsbml.readSBMLFromString(sbml)
    model = document.getModel()
    for name, value in values.items():
        element = model.getElementBySId(name)
        if model.getInitialAssignmentBySymbol(name) is not None:
            model.removeInitialAssignment(name)
        if element.getTypeCode() == libsbml.SBML_SPECIES:
            if element.isSetInitialConcentration():
                element.unsetInitialConcentration()
            element.setInitialAmount(value)
        elif element.getTypeCode() == libsbml.SBML_COMPARTMENT:
            element.setSize(value)
        else:
            element.setValue(value)
    return str(libsbml.writeSBMLToString(document))


def driven(sbml: str, name: str) -> str:
    """SBML in which a constant is replaced by ``value + slope*(time - start)``, set anew on every linear piece."""
    document = libsbml.readSBMLFromString(sbml)
    model = document.getModel()
    element = model.getElementBySId(name)
    element.setConstant(False)
    if model.getInitialAssignmentBySymbol(name) is not None:
        model.removeInitialAssignment(name)
    for added in (PIECE_VALUE, PIECE_SLOPE, PIECE_START):
        parameter = model.createParameter()
        parameter.setId(added)
        parameter.setConstant(True)
        parameter.setValue(0.0)
    rule = model.createAssignmentRule()
    rule.setVariable(name)
    rule.setMath(libsbml.parseL3Formula(f"{PIECE_VALUE} + {PIECE_SLOPE}*(time - {PIECE_START})"))
    return str(libsbml.writeSBMLToString(document))


def net_terms(law: Expr) -> tuple[Expr, Expr] | None:
    """Forward and backward rate of a law that is a difference, or None.

    Factors around the difference are carried into both terms, so that ``cell*(k1*A - k2*B)`` gives
    ``cell*k1*A`` and ``cell*k2*B``.
    """
    if law.op == "-":
        return law.args
    if law.op in ("*", "/"):
        for i, factor in enumerate(law.args):
            inner = net_terms(factor)
            if inner is not None and not (law.op == "/" and i == 1):
                other = law.args[1 - i]
                forward, backward = ((t / other if law.op == "/" else t * other) for t in inner)
                return forward, backward
    return None


def split_reversible(sbml: str) -> str:
    """SBML in which every reversible reaction whose law is a difference becomes two reactions.

    The backward one is called ``<id>_reverse``. Reactions of another form stay as they are; the lint says so.
    """
    document = libsbml.readSBMLFromString(sbml)
    model = document.getModel()
    functions = function_definitions(model)
    for reaction in [model.getReaction(i) for i in range(model.getNumReactions())]:
        law = reaction.getKineticLaw()
        if law is None or not reaction.getReversible():
            continue
        terms = net_terms(from_sbml(law.getMath(), functions))
        if terms is None:
            continue
        backward = reaction.clone()
        backward.setId(f"{reaction.getId()}_reverse")
        backward.getListOfReactants().clear()
        backward.getListOfProducts().clear()
        for i in range(reaction.getNumProducts()):
            backward.addReactant(reaction.getProduct(i))
        for i in range(reaction.getNumReactants()):
            backward.addProduct(reaction.getReactant(i))
        for half, term in ((reaction, terms[0]), (backward, terms[1])):
            half.setReversible(False)
            half.getKineticLaw().setMath(libsbml.parseL3Formula(infix(term)))
        model.addReaction(backward)
    return str(libsbml.writeSBMLToString(document))


def function_definitions(model: Any) -> dict[str, Any]:
    """The model's functions: id to ``lambda`` node."""
    definitions = [model.getFunctionDefinition(i) for i in range(model.getNumFunctionDefinitions())]
    return {d.getId(): d.getMath() for d in definitions}
