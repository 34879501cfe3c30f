"""What only the native engine can fire."""

from __future__ import annotations

from chemlearn.errors import SimulationError
from chemlearn.expression import TIME, symbols
from chemlearn.locate import locate
from chemlearn.model import Model


def refuse_beyond_reactions(model: Model, engine: str) -> None:
    """Refuse events and laws that name time for an engine that takes them wrongly.

    Parameters
    ----------
    model : Model
    engine : str
        What to call it in the message.

    Raises
    ------
    SimulationError
        Naming the first of them, with its line.
    """
    for event in model.network.events:
        _refuse(model, event.place, event.name, f"{engine} does not fire events exactly between reactions")
    for reaction in model.network.reactions:
        if TIME in symbols(reaction.law):
            what = f"its law depends on time itself, which {engine} takes wrongly between firings"
            _refuse(model, f"reaction {reaction.name}", reaction.name, what)


def _refuse(model: Model, place: str, name: str, what: str) -> None:
    line = locate(model.text, name)
    where = model.origin if line is None else f"{model.origin}:{line}"
    raise SimulationError(f"{where}: {place}: {what}; use engine='native'")
