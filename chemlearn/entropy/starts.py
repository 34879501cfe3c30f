"""From which amounts the trajectories of an entropy begin: drawn from an exact law, or waited for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from chemlearn.entropy.law import Enumerated, IndependentMolecules, Law, law_at_rest
from chemlearn.model import Model
from chemlearn.orbit import periodic_orbit
from chemlearn.signal import Signal

_MEMORIES = 20.0  # slowest time constants after which the beginning is forgotten
_SAME = 1e-7  # change of a probability from one period to the next that counts as periodic
_PERIODS = 100


class Beginning(NamedTuple):
    """How an ensemble begins.

    Parameters
    ----------
    law : Law or None
        Of the first amounts; None where it is not known.
    reason : str
        Why it is not known.
    lead : float
        Time to wait from the model's own amounts instead.
    signal : Signal or None
        With that time before it.
    level : float
        Input at rest, or at the beginning of a period.
    how : {"rest", "periodic"}
    """

    law: Law | None
    reason: str
    lead: float
    signal: Signal | None
    level: float
    how: str


def beginning(
    model: Model, duration: float, *, s: float | None, signal: Signal | None, most_states: int
) -> Beginning:
    """In the periodic state under a periodic signal, at rest elsewhere and where a level is given.

    Parameters
    ----------
    model : Model
        At the level ``s`` where there is no signal.
    duration : float
        That follows.
    s : float, optional
        Level at rest; the signal's first value by default.
    signal : Signal, optional
    most_states : int
        Of which a master equation is solved.

    Raises
    ------
    ConvergenceError, SimulationError
        Without a stable steady state, where one is needed.
    """
    if signal is None:
        law, how, level = (
            law_at_rest(model, model.input_value, most_states=most_states),
            "rest",
            model.input_value,
        )
    elif signal.periodic and s is None:
        law, how, level = _periodic_law(model, signal, most_states), "periodic", float(signal(0.0))
    else:
        level, how = float(signal.values[0]) if s is None else float(s), "rest"
        law = law_at_rest(model, level, levels=_levels(signal), most_states=most_states)
    if not isinstance(law, str):
        return Beginning(law, "", 0.0, signal, level, how)
    reason = f"the system's entropy and the fluctuation theorem cannot be told: {law}"
    lead = _memory(model, level if signal is None else signal.mean)
    if signal is None:
        return Beginning(None, reason, lead, None, level, how)
    if how == "periodic":
        lead = signal.period * float(np.ceil(lead / signal.period))
        return Beginning(None, reason, lead, signal, level, how)
    return Beginning(None, reason, lead, delayed(signal, level, lead, duration), level, how)


def delayed(signal: Signal, level: float, lead: float, duration: float) -> Signal:
    """A signal of which some time is run after the input was held at a level."""
    times, values = [0.0, lead], [level, level]
    for piece in signal.pieces(0.0, duration):
        times += [lead + piece.start, lead + piece.stop]
        values += [piece.value, piece.value + piece.slope * (piece.stop - piece.start)]
    return Signal(np.array(times), np.array(values))


def _levels(signal: Signal) -> tuple[float, ...]:
    """Inputs at which it is looked what can happen."""
    return float(signal.values.min()), signal.mean, float(signal.values.max())


def _periodic_law(model: Model, signal: Signal, most_states: int) -> Law | str:
    """The law at the beginning of a period, once it repeats."""
    law = law_at_rest(model, signal.mean, levels=_levels(signal), most_states=most_states)
    if isinstance(law, IndependentMolecules):
        return IndependentMolecules(model, law.parts, periodic_orbit(model, signal))
    if not isinstance(law, Enumerated):
        return law
    for _ in range(_PERIODS):
        before, law = law.probabilities, law.after(signal, signal.period)
        if np.max(np.abs(law.probabilities - before)) < _SAME:
            return law
    return f"the master equation of {len(law.chain.states)} states is not periodic after {_PERIODS} periods"


def _memory(model: Model, s: float) -> float:
    """Time after which the beginning is forgotten, by the linear response at a steady state."""
    dynamics = model.dynamics
    rates = -np.linalg.eigvals(dynamics.reduced(dynamics.steady_state(s), s)[0]).real
    return _MEMORIES / float(np.min(rates, initial=np.inf))
