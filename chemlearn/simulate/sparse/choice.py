"""Which of our two engines a model runs on."""

from __future__ import annotations

from chemlearn.expression import TIME, symbols
from chemlearn.network import Network

#: reactions from which on the sparse engine is the faster one, by ``benchmarks/scaling.py``: between the 155
#: of a chain and the 230 of a dense random network
MANY = 180


def suits(network: Network) -> str | None:
    """Why a network is to run on the sparse engine; None if it is not.

    Only the network counts, never how many trajectories are asked for, so that a trajectory can be made again
    in any company.
    """
    if network.events:
        return f"it has events ({network.events[0]})"
    for reaction in network.reactions:
        if TIME in symbols(reaction.law):
            return f"a law names time (that of {reaction.name})"
    if len(network.reactions) >= MANY:
        return f"it has {len(network.reactions)} reactions, {MANY} or more"
    return None
