"""Why a leaping run is refused: species or reaction, value and mend, in words."""

from __future__ import annotations

import numpy as np

from chemlearn.errors import SimulationError
from chemlearn.expression import TIME, compile_expressions, symbols
from chemlearn.model import Model
from chemlearn.simulate.leap.rule import Leaps, rough
from chemlearn.simulate.leap.statement import LEAST_AMOUNT
from chemlearn.simulate.native.diagnosis import Diagnosis, Situation
from chemlearn.simulate.native.laws import Prepared

_MEND = "use the exact engine, engine='native'"


def refuse(model: Model, prepared: Prepared) -> None:
    """Say what cannot be leapt over at all.

    Raises
    ------
    SimulationError
    """
    network = model.network
    if network.events or network.rates_of:
        what = "events" if network.events else f"a rate rule for {next(iter(network.rates_of))}"
        raise SimulationError(
            f"{model.origin}: the model has {what}, and leaps go over reactions only; {_MEND}"
        )
    for number, law in zip(prepared.order, prepared.laws, strict=True):
        reaction = network.reactions[number]
        if TIME in symbols(reaction.law):
            what, mend = "depends on time itself", "drive the model through its input instead"
        elif kind := rough(law):
            what, mend = f"is not smooth in the amounts ({kind})", _MEND
        else:
            continue
        raise SimulationError(f"{model.origin}: reaction {reaction.name}: its law {what}; {mend}")


class Reasons(Diagnosis):
    """What to say of a situation in which a leaping run stopped."""

    def __init__(self, model: Model, prepared: Prepared, leaps: Leaps, constants: np.ndarray) -> None:
        super().__init__(model, prepared, leaps.plan, constants)
        self.leaps = leaps

    def too_few(self, amounts: np.ndarray, time: float) -> SimulationError:
        """An amount is too small for the Langevin equation."""
        i = min(self.leaps.read, key=lambda i: float(amounts[i]))
        return SimulationError(
            f"{self.origin}: species {self.species[i]}: {amounts[i]:.4g} molecules at t={time:.4g}, fewer "
            f"than the {LEAST_AMOUNT:g} from which on the Langevin equation holds; {_MEND}, or 'tau'"
        )

    def no_gain(self, firings: float, steps: float, worth: float, at: Situation) -> SimulationError:
        """Steps are so short that firing every reaction by itself is faster."""
        return SimulationError(
            f"{self.origin}: leaps bring no gain: a step fires {firings / max(steps, 1.0):.3g} reactions in "
            f"the mean, and pays from {worth:.3g} on; {self._limit(at)}; {_MEND}"
        )

    def mostly_single(self, singles: float, fired: float, at: Situation) -> SimulationError:
        """Most of a trajectory has to be fired one reaction at a time."""
        return SimulationError(
            f"{self.origin}: leaps bring no gain: by t={at.time:.4g} a trajectory took {singles:.4g} steps "
            f"of single firings, and fired {fired:.4g} reactions in leaps; {self._limit(at)}; {_MEND}"
        )

    def _limit(self, at: Situation) -> str:
        """What keeps leaps short: the species whose relative change is fastest, if any."""
        plan, x = self.plan, at.amounts
        names = [f"X{i}" for i in range(plan.n_species)] + [f"K{i}" for i in range(plan.n_constants)]
        names += [f"D{i}" for i in range(plan.n_drives)]
        values = [*x, *self.constants, *at.drives]
        with np.errstate(all="ignore"):
            orders = compile_expressions([g for _, g in self.leaps.orders], names)(values)
        speeds = {}
        for (species, _), order in zip(self.leaps.orders, orders, strict=True):
            gross = sum(abs(change) * a for a, change in self._changing(species, at))
            speeds[species] = order * gross / max(float(x[species]), 1.0)
        if not speeds or not max(speeds.values()) > 0:
            return "few reactions fire between output times"
        fastest = max(speeds, key=lambda i: speeds[i])
        return (
            f"{self.species[fastest]} changes fastest, with {x[fastest]:.4g} molecules at t={at.time:.4g}, "
            f"or output times lie closer than a leap"
        )

    def _changing(self, species: int, at: Situation) -> list[tuple[float, float]]:
        """Propensity and change of every reaction that changes a species."""
        propensities = self.propensities(at)
        return [
            (float(a), dict(changes)[species])
            for a, changes in zip(propensities, self.plan.changes, strict=True)
            if species in dict(changes)
        ]
