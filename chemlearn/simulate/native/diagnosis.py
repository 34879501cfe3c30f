"""Why a trajectory cannot go on: the reaction, its propensity and the state, in words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from chemlearn.errors import SimulationError
from chemlearn.expression import compile_expressions, substitute, symbols
from chemlearn.model import Model
from chemlearn.simulate.native.laws import Plan, Prepared


class Situation(NamedTuple):
    """Where a trajectory is."""

    amounts: np.ndarray
    drives: np.ndarray  # D0, D1, ...
    time: float


class Diagnosis:
    """What to say of a situation in which the machine code stopped."""

    def __init__(self, model: Model, prepared: Prepared, plan: Plan, constants: np.ndarray) -> None:
        self.origin, self.plan, self.constants = model.origin, plan, constants
        moved = {f"T{j}": tree for j, tree in enumerate(plan.moved)}
        self.laws = [substitute(law, moved) for law in plan.laws]
        self.species = model.network.species
        self.names = [model.network.reactions[i].name for i in prepared.order]

    def propensities(self, at: Situation) -> np.ndarray:
        """All laws, in the order of the plan."""
        plan = self.plan
        names = [f"X{i}" for i in range(plan.n_species)]
        names += [f"K{i}" for i in range(plan.n_constants)] + [f"D{i}" for i in range(plan.n_drives)]
        with np.errstate(all="ignore"):
            values = compile_expressions(self.laws, names)([*at.amounts, *self.constants, *at.drives])
        return np.array(values, float)

    def broken(self, now: Situation, later: Situation) -> SimulationError:
        """A reaction lacks what it takes, or a propensity is negative, not finite or without a bound.

        ``later`` is the end of a ramp that begins now.
        """
        values = self.propensities(now)
        for i, species, needed in self.plan.short:
            have = now.amounts[species]
            if values[i] > 0 and have < needed:
                what = (
                    f"it takes {needed:g} {self.species[species]}, but fires with {have:g} (t={now.time:.4g})"
                )
                mend = "its law must be 0 without enough of what it takes, as k*X*(X - 1) for 2 X"
                return self._error(i, what, mend)
        for at in (now, later):
            values = self.propensities(at)
            wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
            if len(wrong):
                i = int(wrong[0])
                what = f"its propensity is {values[i]:.4g} at t={at.time:.4g} with {self._state(i, at)}"
                mend = "a propensity must be finite and never below 0: check its law and the signal's range"
                return self._error(i, what, mend)
        return SimulationError(
            f"{self.origin}: the propensities cannot be bounded along the ramp at t={now.time:.4g}; "
            f"give the signal as constant steps, signal.staircase(200)"
        )

    def clock_stands(self, at: Situation) -> SimulationError:
        """So many firings happen at once that time no longer advances."""
        values = self.propensities(at)
        fastest = int(np.argmax(values))
        return self._error(
            fastest,
            f"it fires at {values[fastest]:.3g} per time at t={at.time:.4g}, too fast for time to advance, "
            f"with {self._state(fastest, at)}",
            "check for amounts that grow without bound",
        )

    def too_long(self, most_steps: int) -> SimulationError:
        """A trajectory has taken all the steps that it may."""
        return SimulationError(
            f"{self.origin}: a trajectory needs more than {most_steps} firings; shorten the run or allow more"
        )

    def too_slow(self, seconds: float) -> SimulationError:
        """A trajectory has taken all the time that it may."""
        return SimulationError(
            f"{self.origin}: a trajectory needs more than {seconds:g} s; allow more time, or shorten the run"
        )

    def _state(self, reaction: int, at: Situation) -> str:
        """The amounts that a law reads."""
        read = symbols(self.plan.laws[reaction])
        amounts = enumerate(zip(self.species, at.amounts, strict=True))
        listed = [f"{name}={x:g}" for i, (name, x) in amounts if f"X{i}" in read]
        return ", ".join(listed) or "no species in its law"

    def _error(self, reaction: int, what: str, mend: str) -> SimulationError:
        return SimulationError(f"{self.origin}: reaction {self.names[reaction]}: {what}; {mend}")
