"""The periodic steady state of a model under a periodic signal: where every period begins."""

from __future__ import annotations

import numpy as np

from chemlearn.errors import ConvergenceError, ModelError
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import simulate_ode

_REPEATS = 1e-10  # largest relative change of an amount of the core from one period to the next
_SMALL = 1e-6  # of the largest amount: what is less need not repeat so well
_NEAR = 1e-5  # relative size of the displacements from which derivatives are taken
_PLAIN, _STEPS = 3, 20  # periods before Newton's iteration takes over, and periods in all


def periodic_orbit(model: Model, signal: Signal) -> np.ndarray:
    """The state of the rate equations at the beginning of a period, once every amount of the core repeats.

    A few periods are simulated; where they have not settled, Newton's iteration finds the state that comes
    back to itself, so that a cycle may be much shorter than the memory of the molecules.

    Parameters
    ----------
    model : Model
    signal : Signal
        Periodic.

    Returns
    -------
    (n_variables,) array
        What lies outside the core, such as the weight, is as in the steady state at the signal's mean.

    Raises
    ------
    ValueError
        For a signal that is not periodic.
    ModelError
        For one that takes the input of a chemical model below zero.
    ConvergenceError
        When the amounts do not repeat, or there is no steady state at the signal's mean to begin with.
    """
    _check(model, signal)
    state = model.dynamics.steady_state(signal.mean)
    core, change = model.dynamics.core, np.zeros(len(state))
    for step in range(_STEPS):
        after = _after_a_period(model, signal, state)
        size = np.abs(after[core])
        change = np.abs(after - state)[core] / np.maximum(size, _SMALL * np.max(size, initial=1e-300))
        if np.max(change, initial=0.0) <= _REPEATS:
            return after
        state = after if step < _PLAIN else _newton_step(model, signal, state, after)
    worst = int(np.argmax(change))
    raise ConvergenceError(
        f"{model.origin}: '{model.network.variables[core[worst]]}' does not become periodic: after "
        f"{_STEPS} steps it changes by {change[worst]:.2g} of itself in a period of {signal.period:g}; take "
        f"a longer cycle",
        residual=float(change[worst]),
        steps=_STEPS,
    )


def _check(model: Model, signal: Signal) -> None:
    if not signal.periodic:
        raise ValueError("a cycle needs a periodic signal, got one that ends; make it with periodic=True")
    lowest = float(signal.values.min())
    if lowest < 0 and model.species:
        raise ModelError(
            f"{model.origin}: the signal takes {model.input} down to {lowest:g}, but the input of a chemical "
            f"model cannot be negative; use a smaller amplitude or a larger mean"
        )


def _after_a_period(model: Model, signal: Signal, state: np.ndarray) -> np.ndarray:
    """The state with its core where the rate equations take it."""
    names = model.network.variables
    start = dict(zip(names, state.tolist(), strict=True))
    data = simulate_ode(model, np.array([signal.period]), signal=signal, start=start)
    result = state.copy()
    for i in model.dynamics.core:
        result[i] = data[names[i]].values[-1]
    return result


def _newton_step(model: Model, signal: Signal, state: np.ndarray, after: np.ndarray) -> np.ndarray:
    """A better beginning than a state that goes over into another one; that one where it is no better."""
    core, basis = model.dynamics.core, model.dynamics.basis
    distance = _NEAR * float(np.max(np.abs(state[core]), initial=1.0))
    columns = []
    for direction in basis.T:
        beside = state.copy()
        beside[core] += distance * direction
        columns.append((_after_a_period(model, signal, beside) - after)[core] / distance)
    map_ = basis.T @ np.array(columns).T
    result = state.copy()
    result[core] += basis @ np.linalg.lstsq(np.eye(len(map_)) - map_, basis.T @ (after - state)[core])[0]
    sound = np.all(np.isfinite(result)) and np.all(result[: len(model.species)] >= 0)
    return result if sound else after
