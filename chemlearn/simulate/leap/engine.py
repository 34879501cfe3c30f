"""Ensembles by leaps: tau-leaping and Langevin runs, prepared once, simulated block by block."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from threading import Event
from typing import ClassVar

import numpy as np

from chemlearn.errors import SimulationError
from chemlearn.expression import Expr, is_affine
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate.leap.drives import piece_table
from chemlearn.simulate.leap.layout import TALLIES, LeapLayout, layout_of
from chemlearn.simulate.leap.loop import compiled
from chemlearn.simulate.leap.reasons import Reasons, refuse
from chemlearn.simulate.leap.rule import Leaps, curved, orders
from chemlearn.simulate.leap.statement import Statement
from chemlearn.simulate.native import engine as native
from chemlearn.simulate.native.diagnosis import Situation
from chemlearn.simulate.native.laws import Prepared
from chemlearn.simulate.native.layout import LANES, Word
from chemlearn.simulate.native.streams import streams
from chemlearn.simulate.reduce import Column

LEAST_FIRINGS = 10.0  #: shorter leaps give way to exact steps
PATIENCE = 10_000  #: single firings of a trajectory beyond those in leaps
_SWEEPS = 100  # in the first stretch: each may be many firings
_PILOT = 50_000  # most sweeps times reactions of the pilot run


class _LeapRun(native.Run):
    """What both kinds of run share."""

    _least_sweeps = _SWEEPS
    normal: ClassVar[bool]
    draw_cost: ClassVar[float]  # of the two variates of a reaction, in firings of the exact engine

    def __init__(
        self,
        model: Model,
        times: np.ndarray,
        signal: Signal | None,
        start: Mapping[str, float],
        *,
        accuracy: float = 0.03,
        most_steps: int = native.MOST_STEPS,
        timeout: float = math.inf,
        stopping: Event | None = None,
        even_if_slow: bool = False,
    ) -> None:
        if not 0 < accuracy <= 0.5:
            raise ValueError(f"accuracy must be above 0 and at most 0.5, got {accuracy}")
        self.network, self.times, self.signal = model.network, np.asarray(times, float), signal
        self.most_steps, self.timeout, self.stopping = most_steps, timeout, stopping or Event()
        self.accuracy, self.error = float(accuracy), Statement(self.normal, float(accuracy))
        self.input = None if signal is None else model.input
        prepared = Prepared(self.network, self.input, False)  # drives may be any functions of the input
        refuse(model, prepared)
        self.constants = self._values(prepared.constants, self.network.constants)
        self.pieces = self._table(prepared.drives, prepared.laws)
        n_drives = len(prepared.drives)
        ramped = self.pieces.shape[1] > 2 + n_drives
        negative = self._possibly_negative(n_drives, ramped)
        self.plan = prepared.plan(negative)
        self.leaps = Leaps(self.plan, orders(self.plan, negative), ramped, self.normal)
        self.diagnosis: Reasons = Reasons(model, prepared, self.leaps, self.constants)
        self.worth = 10.0 + self.draw_cost * len(self.plan.laws)
        self.patience = math.inf if even_if_slow else float(PATIENCE)
        self.constants = np.append(self.constants, self._parameters())
        amounts = {**self.network.initial, **start}
        self.initial = np.zeros(layout_of(self.leaps).nothing)
        self.initial[: len(self.network.species)] = [amounts[name] for name in self.network.species]
        self.columns = (
            *(Column(name, None, not self.normal) for name in self.network.species),
            *(Column(name, None, False) for name in self.network.rules),
        )
        self._require_copies()
        self.code = compiled(self.leaps)
        self.firings_per_step = self._pilot(even_if_slow)

    @property
    def error_statement(self) -> str:
        """What the numbers may be off by, in words."""
        pilot = f" A step of this run fires {self.firings_per_step:.3g} reactions in the mean (pilot run)."
        return f"{self.error}{pilot}"

    @property
    def method(self) -> str:
        """The error statement, for the files that are written."""
        return self.error_statement

    def _lanes(self, counts: np.ndarray, seeds: np.ndarray) -> _Lanes:
        """One block at work."""
        return _Lanes(self, counts, seeds)

    def _parameters(self) -> list[float]:
        """In the order of :data:`~chemlearn.simulate.leap.step.PARAMETERS`."""
        error = self.error
        return [error.accuracy, error.turnover, LEAST_FIRINGS, error.least_amount, self.patience]

    def _table(self, drives: Sequence[Expr], laws: Sequence[Expr]) -> np.ndarray:
        """The straight pieces of what the signal drives."""
        name = self.input or ""
        bent = [j for j, tree in enumerate(drives) if not is_affine(tree, name) or curved(laws, j)]

        def values(levels: np.ndarray) -> np.ndarray:
            return self._values(drives, {**self.network.constants, name: levels})

        signal = None if self.input is None else self.signal
        return piece_table(signal, float(self.times[-1]), values, bent, self.accuracy)

    def _require_copies(self) -> None:
        amounts = self.initial[: self.plan.n_species]
        if any(amounts[i] < self.error.least_amount for i in self.leaps.read):
            raise self.diagnosis.too_few(amounts, 0.0)

    def _pilot(self, even_if_slow: bool) -> float:
        """Mean number of firings in a step at the beginning of some trajectories.

        Always the same trajectories, so that a model is refused or not whatever the seed.
        """
        counts = np.empty((LANES, len(self.times), len(self.columns)))
        lanes = _Lanes(self, counts, streams(0, 0, range(LANES)))
        lanes.advance(max(2 * _SWEEPS, _PILOT // max(1, len(self.plan.laws))))
        steps, firings = lanes.tallies.sum(axis=1)
        if firings < steps * self.worth and not even_if_slow:
            raise self.diagnosis.no_gain(firings, steps, self.worth, self._seen(lanes, counts))
        return float(firings / steps)

    def _seen(self, lanes: _Lanes, counts: np.ndarray) -> Situation:
        """Where the first trajectory of a pilot run is, or ended."""
        if lanes.words[Word.ACTIVE]:
            return lanes.situations(0)[0]
        n_drives = self.plan.n_drives
        drives, end = self.pieces[-1, 2 : 2 + n_drives], float(self.times[-1])
        return Situation(counts[0, -1, : self.plan.n_species], drives, end)


class TauRun(_LeapRun):
    """An ensemble by tau-leaping: many firings at a time, where copy numbers are large.

    Poisson leaps in the weak trapezoidal scheme, their length by the rule of Cao, Gillespie and Petzold with
    a bound on the turnover beside it (:mod:`~chemlearn.simulate.leap.rule`).

    Parameters
    ----------
    model : Model
        Fit for stochastic runs (``model.require(stochastic=True)``).
    times : (n_times,) array
        Output times, increasing, from 0 on. No leap goes over one, so close ones cost time, and a trajectory
        depends on all of them.
    signal : Signal or None
        Drives the model's input. No leap goes over a knot; along a ramp every propensity counts with its
        integral where it is affine in the input and else, to ε/8, with its value in the middle of the step.
    start : mapping of str to float
        Amounts at time 0 that differ from the model's.
    accuracy : float
        ε, at most 0.5: the fraction by which propensities may be expected to change during a leap; what
        follows for means and covariances is in ``error`` and, in words, in ``error_statement``.
    most_steps : int
        Leaps, exact steps and knots of the signal that one trajectory may take.
    timeout : float
        Seconds that one trajectory may be at work, beside the others of its lanes.
    stopping : threading.Event, optional
        Ends the calls of all threads when it is set.
    even_if_slow : bool
        Do not refuse a model because exact steps would be faster; for checks of the method.

    Raises
    ------
    SimulationError
        For events, rate rules, laws that name the time or are not smooth in the amounts; where leaps bring
        no gain over exact steps, at once or as soon as a trajectory shows it.

    Notes
    -----
    A call is that of :class:`~chemlearn.simulate.native.engine.Run`: from any thread or forked process,
    trajectory k the same to the last bit in every block.
    """

    normal = False
    draw_cost = 4.0


class LangevinRun(_LeapRun):
    """An ensemble by the chemical Langevin equation: real amounts, Gaussian noise in every reaction.

    The scheme, the step rule and the parameters are those of :class:`TauRun`.

    Raises
    ------
    SimulationError
        As :class:`TauRun`, and as soon as a species that laws read and reactions change has fewer than 100
        molecules: there a Poisson law is visibly not Gaussian (its skewness exceeds 0.1) and below, the
        equation is wrong where it matters, for at 0 it has no boundary.
    """

    normal = True
    draw_cost = 1.5


class _Lanes(native.Lanes):
    """One block at work."""

    run: _LeapRun
    layout: LeapLayout

    def __init__(self, run: _LeapRun, counts: np.ndarray, seeds: np.ndarray) -> None:
        super().__init__(run, counts, seeds)
        self.layout = layout_of(run.leaps)
        self.state = native.aligned(self.layout.n_rows, LANES)
        self.state[:] = 0
        self.state[self.layout.trajectory] = -1
        self.words[Word.STATE] = self.state.ctypes.data
        table = native.aligned(len(TALLIES), LANES).view(float)
        table[:] = 0.0
        self.tallies = table
        self.words = np.append(self.words, table.ctypes.data)

    def situations(self, lane: int) -> tuple[Situation, Situation]:
        """A lane now, and at the end of its piece of the signal."""
        return self._situation(lane)

    def _failure(self, lane: int) -> SimulationError:
        layout, run = self.layout, self.run
        if self.state[layout.trajectory, lane] < 0:
            return run.diagnosis.too_long(run.most_steps)
        column, (now, later) = self.state[:, lane].copy().view(float), self.situations(lane)
        after = column[layout.after : layout.after + layout.n_species]
        if run.normal and any(after[i] < run.error.least_amount for i in run.leaps.read):
            return run.diagnosis.too_few(after, now.time)
        singles, fired = (float(column[row]) for row in (layout.singles, layout.fired))
        if not run.normal and singles > fired + run.patience:
            return run.diagnosis.mostly_single(singles, fired, now)
        middle = Situation(after, now.drives, now.time)
        if not np.all(np.isfinite(run.diagnosis.propensities(middle))):
            later = middle
        return run.diagnosis.broken(now, later)
