"""Why a trajectory cannot go on, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chemlearn.errors import SimulationError
from chemlearn.model import Model
from chemlearn.simulate.native import diagnosis
from chemlearn.simulate.native.laws import Plan
from chemlearn.simulate.sparse.layout import DRIVES, Failure, Happening, Word
from chemlearn.simulate.sparse.memory import Memory
from chemlearn.simulate.sparse.prepared import Law, Prepared


class Diagnosis(diagnosis.Diagnosis):
    """What to say when the machine code of the sparse engine has stopped."""

    def __init__(self, model: Model, prepared: Prepared, laws: Sequence[Law], constants: np.ndarray) -> None:
        self.origin, self.constants, self.species = model.origin, constants, prepared.state
        self.names = [model.network.reactions[law.reaction].name for law in laws]
        self.laws = [law.tree for law in laws]
        self.network = model.network
        short = tuple((i, species, needed) for i, law in enumerate(laws) for species, needed in law.short)
        self.plan = Plan(
            laws=tuple(self.laws),
            slopes=(),
            changes=(),
            watched=frozenset(),
            short=short,
            n_species=len(prepared.state),
            n_constants=len(constants),
            n_drives=DRIVES,
            ramped=True,
            thinned=False,
        )

    def failure(self, memory: Memory, most_steps: int) -> SimulationError:
        """The error that fits what the machine code has left."""
        failure, culprit = Failure(int(memory.words[Word.FAILED])), int(memory.words[Word.CULPRIT])
        value, time = float(memory.numbers[Word.VALUE]), float(memory.numbers[Word.TIME])
        match failure:
            case Failure.TOO_LONG:
                return self.too_long(most_steps)
            case Failure.ASSIGNED:
                return self._assigned(memory, culprit, value, time)
            case Failure.DELAY:
                what = f"its delay is {value:g}"
                return self._of_event(culprit, what, time, "a delay is a number of at least 0")
            case Failure.ENDLESS:
                what = f"it is one of more than {value - 1:g} events that trigger one another"
                return self._of_event(culprit, what, time, "give one of them a delay or another trigger")
            case Failure.ROUGH:
                what = f"its propensity changes too fast around t={value:.4g} to be integrated"
                return self._error(culprit, what, "make its law smoother, or do without propensity_integrals")
        return self.broken(*memory.situations())

    def _assigned(self, memory: Memory, row: int, value: float, time: float) -> SimulationError:
        first = memory.tables.events[:, Happening.FIRST]
        count = memory.tables.events[:, Happening.COUNT]
        event = int(np.flatnonzero((first <= row) & (row < first + count))[0])
        name, _ = self.network.events[event].assignments[row - int(first[event])]
        kind = "a whole number of at least 0" if name in self.network.species else "a finite number"
        return self._of_event(event, f"it sets {name} to {value:.10g}", time, f"give {kind}")

    def _of_event(self, event: int, what: str, time: float, mend: str) -> SimulationError:
        place = self.network.events[event].place
        return SimulationError(f"{self.origin}: {place}: {what} at t={time:.4g}; {mend}")
