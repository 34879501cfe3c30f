"""Dissipation of reaction networks: entropy production of the chemistry that moves the output."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import xarray as xr

from chemlearn.expression import compile_expressions, symbols
from chemlearn.model import Model
from chemlearn.network import Reaction
from chemlearn.probe import Probe, probe_states

UNIT = "k_B per time unit of the model"
_ROUNDING = 1e-12  # σ below this share of all fluxes is zero to rounding


@dataclass(frozen=True)
class Dissipation:
    """Entropy production rate at a steady state; times temperature it is the heat given off.

    Parameters
    ----------
    rate : float
        σ in k_B per time, of all molecules together; ``inf`` where a reaction runs one way only, ``nan``
        where it cannot be told; ``reason`` then says which and why.
    molecules : float
        Number of molecules, where the network only shuffles a conserved number of them; ``nan`` otherwise.
    pairs : xarray.Dataset
        Over the reversible ``pair``\\ s: ``forward`` and ``backward`` flux, ``contribution`` to σ.
    s : float
        Input level.
    reason : str
    """

    rate: float
    molecules: float
    pairs: xr.Dataset
    s: float
    reason: str = ""

    @property
    def per_molecule(self) -> float:
        """σ per molecule of the conserved number; ``nan`` where there is none."""
        return self.rate / self.molecules

    @property
    def balanced(self) -> bool:
        """Whether σ is zero to rounding: every reaction is undone as often as it happens."""
        return abs(self.rate) <= _ROUNDING * float((self.pairs.forward + self.pairs.backward).sum())

    def __str__(self) -> str:
        if not np.isfinite(self.rate):
            return f"{'infinite' if np.isinf(self.rate) else 'unknown'}: {self.reason}"
        if self.balanced:
            return f"zero to rounding ({self.rate:.1g} {UNIT}): detailed balance"
        each = f" ({self.per_molecule:.6g} per molecule)" if np.isfinite(self.molecules) else ""
        return f"{self.rate:.6g} {UNIT}{each}"


class ReversiblePairs(NamedTuple):
    """The reactions that move the output, each beside the one that undoes it.

    Parameters
    ----------
    pairs : tuple of (Reaction, Reaction)
        Each reaction and its reverse.
    one_way : tuple of Reaction
        Without a reverse.
    reason : str
        Why entropy cannot be counted by these reactions, and what to do; "" where it can.
    """

    pairs: tuple[tuple[Reaction, Reaction], ...]
    one_way: tuple[Reaction, ...]
    reason: str = ""


@lru_cache(maxsize=64)
def reversible_pairs(model: Model) -> ReversiblePairs:
    """The pairs of opposite reactions among those that move the output.

    Only reactions that change what the output depends on count: the weight that merely reads it is another
    machine. Two reactions are a pair when each undoes the other *and* the ratio of their rates depends on
    nothing but what they convert: making a molecule with a catalyst and degrading it are not one reaction and
    its reverse.

    Parameters
    ----------
    model : Model

    Returns
    -------
    ReversiblePairs
        With a reason where a rate is a difference of two fluxes, where it is not clear which reaction undoes
        which, and where the model has rate rules or no reactions.
    """
    core = {model.dynamics.variables[i] for i in model.dynamics.core}
    relevant = [r for r in model.network.reactions if core & r.net().keys()]
    if not relevant:
        return ReversiblePairs((), (), "the model has no reactions to count")
    if model.network.rates_of:
        return ReversiblePairs((), (), "a rate rule is no reaction with a reverse")
    pairs, single, unclear = _matched(model, relevant)
    states = probe_states(model.network)
    net = [r.name for r in single if Probe(states, r.law, model.species).is_negative()]
    reason = ""
    if net:
        reason = (
            f"the rate of {', '.join(net)} is a difference of two fluxes; load the model with "
            "split=True (--split)"
        )
    elif unclear:
        reason = (
            f"it is not clear which of {', '.join(unclear)} undoes which; give opposite "
            "reactions distinct partners"
        )
    return ReversiblePairs(tuple(pairs), tuple(single), reason)


def one_way_reason(names: Iterable[str]) -> str:
    """What to say of reactions that run without a reverse."""
    listed = list(names)
    return f"{', '.join(listed)} {'run' if len(listed) > 1 else 'runs'} one way, without a reverse reaction"


def dissipation(model: Model, s: float | None = None) -> Dissipation:
    r"""Entropy production rate of a reversible network at its steady state.

    :math:`\sigma = \sum_\rho (J_\rho^+ - J_\rho^-) \ln (J_\rho^+ / J_\rho^-)` over the pairs of opposite
    reactions (F13, F59; Schnakenberg, doi:10.1103/RevModPhys.48.571), in k_B per time; see
    :func:`reversible_pairs` for what counts as a pair.

    Parameters
    ----------
    model : Model
    s : float, optional
        Input level; the model's own by default.

    Returns
    -------
    Dissipation

    Raises
    ------
    ConvergenceError, SimulationError
        Without a stable steady state.
    """
    dynamics = model.dynamics
    level = dynamics.input_value if s is None else float(s)
    state = dynamics.steady_state(level)
    found = reversible_pairs(model)
    fluxes = dict(zip((r.name for r in model.network.reactions), dynamics.rates(state, level), strict=False))
    table = _table(found.pairs, fluxes)
    countable = found.pairs or found.one_way
    molecules = conserved_number(model, state) if countable else np.nan
    if found.reason:
        return Dissipation(np.nan, molecules, table, level, found.reason)
    one_way = [r.name for r in found.one_way if fluxes[r.name] > 0]
    one_way += [a.name for a, b in found.pairs if (fluxes[a.name] > 0) != (fluxes[b.name] > 0)]
    if one_way:
        return Dissipation(np.inf, molecules, table, level, one_way_reason(one_way))
    return Dissipation(float(table.contribution.sum()), molecules, table, level)


def pair_production(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """(J⁺ − J⁻) ln(J⁺/J⁻), elementwise; the digits stay where the two fluxes are nearly equal."""
    with np.errstate(all="ignore"):
        produced = (forward - backward) * np.log1p((forward - backward) / backward)
    return np.where(forward == backward, 0.0, produced)


def _table(pairs: Sequence[tuple[Reaction, Reaction]], fluxes: Mapping[str, float]) -> xr.Dataset:
    forward, backward = (np.array([fluxes[pair[i].name] for pair in pairs]) for i in (0, 1))
    return xr.Dataset(
        {
            "forward": ("pair", forward),
            "backward": ("pair", backward),
            "contribution": ("pair", pair_production(forward, backward)),
        },
        {"pair": [f"{a.name} / {b.name}" for a, b in pairs]},
        {"units": UNIT},
    )


def _matched(
    model: Model, reactions: list[Reaction]
) -> tuple[list[tuple[Reaction, Reaction]], list[Reaction], list[str]]:
    """Pairs of opposite reactions, reactions without a reverse, and names where several matches fit."""
    sides: dict[tuple[frozenset, frozenset], list[Reaction]] = defaultdict(list)
    for reaction in reactions:
        sides[frozenset(reaction.reactants), frozenset(reaction.products)].append(reaction)
    pairs: list[tuple[Reaction, Reaction]] = []
    single: list[Reaction] = []
    unclear: list[str] = []
    for (left, right), forward in sides.items():
        backward = sides.get((right, left), [])
        fits = {f.name: [b for b in backward if b is not f and _undoes(model, f, b)] for f in forward}
        for f in forward:
            if not fits[f.name]:
                single.append(f)
            elif len(fits[f.name]) > 1 or sum(fits[f.name][0] in others for others in fits.values()) > 1:
                unclear.append(f.name)
            elif (fits[f.name][0], f) not in pairs:
                pairs.append((f, fits[f.name][0]))
    return pairs, single, unclear


def _undoes(model: Model, forward: Reaction, backward: Reaction) -> bool:
    """Whether the ratio of two opposite rates depends only on the amounts that they convert."""
    network = model.network
    converted = {name for name, _ in (*forward.reactants, *forward.products)}
    bystanders = (symbols(forward.law) | symbols(backward.law)) & set(network.variables) - converted
    if not bystanders:
        return True
    generator = np.random.default_rng(7)
    values = {n: np.full(8, generator.uniform(5.0, 50.0)) for n in network.variables}
    values |= {n: np.full(8, v) for n, v in network.constants.items()}
    values |= {n: generator.uniform(5.0, 50.0, 8) for n in bystanders}
    evaluate = compile_expressions([forward.law, backward.law], list(values))
    with np.errstate(all="ignore"):
        up, down = (np.broadcast_to(v, (8,)) for v in evaluate(list(values.values())))
        ratio = up / down
    return bool(np.all(np.isfinite(ratio)) and np.ptp(ratio) <= 1e-9 * np.max(np.abs(ratio)))


def conserved_number(model: Model, state: np.ndarray) -> float:
    """Number of molecules in the core, where every reaction turns one into one; nan elsewhere."""
    dynamics = model.dynamics
    changes = dynamics.stoichiometry[dynamics.core]
    moving = np.any(changes != 0, axis=0)
    conserved = bool(np.all(changes.sum(axis=0) == 0) and np.all(np.abs(changes[:, moving]).sum(axis=0) == 2))
    return float(state[dynamics.core].sum()) if conserved else np.nan
