"""Texts to SBML and SBML to texts: Antimony in, values set, the input driven by a signal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import antimony
import libsbml

from chemlearn.errors import ModelError

#: parameters that :func:`driven` adds; an engine sets them at the start of every linear piece
PIECE_VALUE, PIECE_SLOPE, PIECE_START = "signal_value__", "signal_slope__", "signal_start__"

ANTIMONY_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|#[^\n]*", re.DOTALL)


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
        raise ModelError(_antimony_error(antimony.getLastError(), text, origin))
    sbml = antimony.getSBMLString(antimony.getMainModuleName())
    antimony.clearPreviousLoads()
    return str(sbml)


def _antimony_error(message: str, text: str, origin: str) -> str:
    """Antimony's message in one sentence with ``origin:line`` in front."""
    found = re.match(r"Error in model string, line (\d+):\s*", message)
    place, reason = (
        (f"{origin}:{_true_line(text, int(found[1]))}", message[found.end() :])
        if found
        else (origin, message)
    )
    from_libsbml = re.search(
        r"Error message\(s\) from libSBML:.*?Reference: [^\n]*\n([^\n]+)", message, re.DOTALL
    )
    if from_libsbml:  # found only after the whole text was read: its line means nothing
        place, reason = origin, from_libsbml[1]
    reason = " ".join(reason.replace("'\\n'", "end of line").split()).rstrip(". ")
    syntax = re.search(r"syntax error, (unexpected .*?)(?:, expecting (.*))?$", reason)
    if not syntax:
        return f"{place}: Antimony cannot read this: {reason}"
    wanted = f" where {syntax[2]} should be" if syntax[2] else ""
    before = "" if syntax.start() == 0 else f" {reason[: syntax.start()].rstrip(' :')}:"
    reason = f"Antimony syntax error:{before} {syntax[1]}{wanted}"
    return f"{place}: {reason}; correct this line or the end of the one before"


def _true_line(text: str, counted: int) -> int:
    """Line of a text from Antimony's count, which passes over the ends of lines inside ``/* */``."""
    marked = ANTIMONY_COMMENT.sub(lambda m: m[0].replace("\n", "\0"), text)
    return counted + sum(line.count("\0") for line in marked.split("\n")[:counted])


def parse(sbml: str, origin: str) -> Any:
    """libSBML document of an SBML text, or a ModelError that names the line.

    Only errors of reading and of identifiers or mathematics are asked for: unit warnings are the modeller's.
    """
    document = libsbml.readSBMLFromString(sbml)
    for category in (libsbml.LIBSBML_CAT_UNITS_CONSISTENCY, libsbml.LIBSBML_CAT_MODELING_PRACTICE):
        document.setConsistencyChecks(category, False)
    if (
        document.getNumErrors(libsbml.LIBSBML_SEV_ERROR) + document.getNumErrors(libsbml.LIBSBML_SEV_FATAL)
        == 0
    ):
        document.checkConsistency()
    for i in range(document.getNumErrors()):
        error = document.getError(i)
        if error.getSeverity() >= libsbml.LIBSBML_SEV_ERROR:
            reason = " ".join(error.getMessage().split()).rstrip(".")
            raise ModelError(
                f"{origin}:{error.getLine()}: this is not valid SBML: {reason}; correct the file"
            )
    if document.getModel() is None:
        raise ModelError(f"{origin}: the SBML has no <model>; write one")
    level, version = document.getLevel(), document.getVersion()
    if (level, version) < (2, 4) or (level, version) > (3, 2):
        raise ModelError(
            f"{origin}: SBML Level {level} Version {version}; Level 2 Version 4 to Level 3 Version 2 are read"
        )
    for i in range(document.getNumPlugins() if level == 3 else 0):
        package = document.getPlugin(i).getPackageName()
        # libSBML lists the mathematics of Level 3 Version 2 as a package; what of it is not supported is said
        # by name
        if document.getPackageRequired(package) and package != "l3v2extendedmath":
            raise ModelError(
                f"{origin}: the SBML package '{package}' is required and not supported; export core SBML"
            )
    return document


def with_values(sbml: str, values: Mapping[str, float]) -> str:
    """SBML in which parameters, compartments and initial amounts take the given values.

    A value set here wins over an initial assignment of the same name. Species that reactions change are given
    in amounts, all others in the unit in which the laws read them.
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
            element.unsetInitialConcentration()
            element.unsetInitialAmount()
            (
                element.setInitialConcentration
                if _is_read_as_given(model, element)
                else element.setInitialAmount
            )(value)
        elif element.getTypeCode() == libsbml.SBML_COMPARTMENT:
            element.setSize(value)
        else:
            element.setValue(value)
    return str(libsbml.writeSBMLToString(document))


def _is_read_as_given(model: Any, species: Any) -> bool:
    """Whether a species is a concentration that no reaction changes."""
    fixed = (
        species.getBoundaryCondition() or species.getConstant() or model.getRule(species.getId()) is not None
    )
    return fixed and not species.getHasOnlySubstanceUnits()


def driven(sbml: str, name: str) -> str:
    """SBML in which a constant is replaced by ``value + slope*(time - start)``, set anew on every linear
    piece.
    """
    document = libsbml.readSBMLFromString(sbml)
    model = document.getModel()
    element = model.getElementBySId(name)
    element.setConstant(False)
    if element.getTypeCode() == libsbml.SBML_SPECIES:
        element.setBoundaryCondition(True)
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


def function_definitions(model: Any) -> dict[str, Any]:
    """The model's functions: id to ``lambda`` node."""
    definitions = [model.getFunctionDefinition(i) for i in range(model.getNumFunctionDefinitions())]
    return {d.getId(): d.getMath() for d in definitions}
