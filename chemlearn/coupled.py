"""Two copies of a network that share their noise, so that what a change of the input does stands out.

Both copies are in one model. Where one copy would fire a reaction at rate a and the other at rate b, they
fire it together at rate min(a, b), the first alone at max(a − b, 0) and the second alone at max(b − a, 0)
(the coupled finite difference, Anderson, doi:10.1137/110849079). Each copy by itself follows exactly the law
of the original, and the two stay apart only by what happened to one of them alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import libsbml

from chemlearn.expression import ZERO, Expr, call, infix, substitute, symbol, symbols
from chemlearn.model import Model
from chemlearn.network import Network, Reaction

SHARED, DRIVEN, RESTING = "both", "driven", "resting"  #: which copies fire; the endings of reaction names


class Coupled(NamedTuple):
    """Two coupled copies of a model.

    Parameters
    ----------
    model : Model
        The copy that follows the input keeps all names; the other one's have an ending.
    rest : str
        The constant that is the other copy's input.
    output : str
        What the output is called in that other copy.
    """

    model: Model
    rest: str
    output: str


class _Firing(NamedTuple):
    """A reaction of the coupled network."""

    name: str
    reactants: Mapping[str, float]
    products: Mapping[str, float]
    law: Expr


def coupled_model(model: Model, rest: float | None = None) -> Coupled:
    r"""A model with two copies of a network, of which one follows the input and one stays where it was.

    Only what influences the output is doubled: a weight that it merely writes would cost firings and tell
    nothing. Rules, functions, volumes and local parameters are written out, so that the new model names
    amounts and constants only.

    Parameters
    ----------
    model : Model
        Fit for stochastic runs, without events and laws that name time.
    rest : float, optional
        Input of the resting copy; the model's own by default.

    Returns
    -------
    Coupled
        Its model has the input and the output of the original, which is the driven copy. The resting copy's
        names end in ``_rest``: its output, and the constant that holds its input. A reaction R becomes
        ``R_both``, ``R_driven`` and ``R_resting``; the last two are left out where they never fire.

    Raises
    ------
    ModelError
        When the model cannot be fired reaction by reaction, has events, rate rules or laws that name time,
        or has no input or output.

    Notes
    -----
    As long as both inputs have been the same, so are both copies, at the cost of one.

    References
    ----------
    D. F. Anderson, SIAM J. Numer. Anal. 50 (2012), doi:10.1137/110849079.
    """
    model.require(stochastic=True)
    network, core = model.network, model.dynamics.core
    kept = tuple(network.variables[i] for i in core)
    ending = _free_ending(network)
    held = _legal(network.constants, network.names)
    driven = {name: symbol(held[name]) for name in network.constants}
    resting = {**driven, **{name: symbol(name + ending) for name in (*kept, model.input)}}
    rules = _outputs(model, ending, driven, resting)
    constants = {held[name]: value for name, value in network.constants.items()}
    constants[model.input + ending] = network.constants[model.input] if rest is None else float(rest)
    amounts = {name: network.initial[name] for name in kept}
    amounts |= {name + ending: value for name, value in amounts.items()}
    taken = {*amounts, *constants, *rules}
    firings = [
        f._replace(name=_free(f.name, taken)) for f in _firings(network, kept, ending, driven, resting)
    ]
    made = replace(
        model,
        name=f"{model.name}, coupled",
        text=_written(amounts, constants, rules, firings),
        origin=f"{model.origin} (coupled)",
        values=(),
        weight=Model.weight,
        split=False,
    )
    return Coupled(made, model.input + ending, model.output + ending)


def _free_ending(network: Network) -> str:
    """What names of the second copy end in; longer where the model has such names itself."""
    ending = "_rest"
    while any(name.endswith(ending) for name in network.names):
        ending += "_"
    return ending


def _legal(names: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Names as SBML takes them: a local parameter ``R.k`` becomes ``R_k``."""
    legal: dict[str, str] = {}
    for name in names:
        legal[name] = _free(name.replace(".", "_"), {*taken, *legal.values()}) if "." in name else name
    return legal


def _free(name: str, taken: Collection[str]) -> str:
    """The name, with underscores as long as it is taken."""
    while name in taken:
        name += "_"
    return name


def _outputs(
    model: Model, ending: str, driven: Mapping[str, Expr], resting: Mapping[str, Expr]
) -> dict[str, Expr]:
    """The output's rule in both copies; nothing where it is a species."""
    if model.output not in model.network.rules:
        return {}
    body = model.network.rules[model.output]
    return {model.output: substitute(body, driven), model.output + ending: substitute(body, resting)}


def _firings(
    network: Network,
    kept: tuple[str, ...],
    ending: str,
    driven: Mapping[str, Expr],
    resting: Mapping[str, Expr],
) -> Iterator[_Firing]:
    """The reactions that change what is kept: both copies together, and either alone."""
    for reaction in network.reactions:
        if not reaction.net().keys() & set(kept):
            continue
        first, second = substitute(reaction.law, driven), substitute(reaction.law, resting)
        here, there = _sides(reaction, kept, ""), _sides(reaction, kept, ending)
        both = {**here[0], **there[0]}, {**here[1], **there[1]}
        shared = first if first == second else call("min", first, second)
        yield _Firing(f"{reaction.name}_{SHARED}", *both, shared)
        if first != second:
            yield _Firing(f"{reaction.name}_{DRIVEN}", *here, call("max", first - second, ZERO))
            yield _Firing(f"{reaction.name}_{RESTING}", *there, call("max", second - first, ZERO))


def _sides(
    reaction: Reaction, kept: tuple[str, ...], ending: str
) -> tuple[dict[str, float], dict[str, float]]:
    """Reactants and products of one copy, among the species that are kept."""
    first, second = (
        {name + ending: count for name, count in side if name in kept}
        for side in (reaction.reactants, reaction.products)
    )
    return first, second


def _written(
    amounts: Mapping[str, float],
    constants: Mapping[str, float],
    rules: Mapping[str, Expr],
    firings: list[_Firing],
) -> str:
    """SBML of a network in amounts."""
    document = libsbml.SBMLDocument(3, 2)
    made = document.createModel()
    made.setId("coupled")
    used = frozenset[str]().union(*map(symbols, rules.values()), *(symbols(f.law) for f in firings))
    for name, value in constants.items():
        if name in used:
            _add_parameter(made, name, value)
    place = _free("cell", {*amounts, *constants, *rules})
    compartment = made.createCompartment()
    compartment.setId(place)
    compartment.setConstant(True)
    compartment.setSize(1.0)
    for name, amount in amounts.items():
        _add_species(made, name, amount, place)
    for name in rules:
        _add_parameter(made, name, None)
    for name, body in rules.items():
        rule = made.createAssignmentRule()
        rule.setVariable(name)
        rule.setMath(_formula(body, made))
    for firing in firings:
        _add_reaction(made, firing)
    return str(libsbml.writeSBMLToString(document))


def _formula(tree: Expr, made: Any) -> Any:
    return libsbml.parseL3FormulaWithModel(infix(tree), made)


def _add_parameter(made: Any, name: str, value: float | None) -> None:
    """A constant, or what a rule computes."""
    parameter = made.createParameter()
    parameter.setId(name)
    parameter.setConstant(value is not None)
    if value is not None:
        parameter.setValue(value)


def _add_species(made: Any, name: str, amount: float, place: str) -> None:
    species = made.createSpecies()
    species.setId(name)
    species.setCompartment(place)
    species.setInitialAmount(amount)
    species.setHasOnlySubstanceUnits(True)
    species.setBoundaryCondition(False)
    species.setConstant(False)


def _add_reaction(made: Any, firing: _Firing) -> None:
    reaction = made.createReaction()
    reaction.setId(firing.name)
    reaction.setReversible(False)
    for side, create in (
        (firing.reactants, reaction.createReactant),
        (firing.products, reaction.createProduct),
    ):
        for name, count in side.items():
            reference = create()
            reference.setSpecies(name)
            reference.setStoichiometry(count)
            reference.setConstant(True)
    for name in sorted(symbols(firing.law) & {s.getId() for s in made.getListOfSpecies()}):
        if name not in firing.reactants and name not in firing.products:
            modifier = reaction.createModifier()
            modifier.setSpecies(name)
    reaction.createKineticLaw().setMath(_formula(firing.law, made))
