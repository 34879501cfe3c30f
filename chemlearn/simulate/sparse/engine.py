"""Blocks of trajectories, one after the other: networks of any size, events, laws that name time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from threading import Event
from time import perf_counter

import numpy as np

from chemlearn.errors import SimulationError
from chemlearn.expression import Expr, compile_expressions
from chemlearn.model import Model
from chemlearn.signal import Piece, Signal
from chemlearn.simulate.arguments import has_ramps
from chemlearn.simulate.native.compiled import Compiled, compiling
from chemlearn.simulate.native.paths import Path
from chemlearn.simulate.native.streams import streams
from chemlearn.simulate.outputs import add_rules, blocks_of
from chemlearn.simulate.reduce import Column
from chemlearn.simulate.sparse.diagnosis import Diagnosis
from chemlearn.simulate.sparse.layout import LOG_HEAD, Curve, Word
from chemlearn.simulate.sparse.loop import build_module
from chemlearn.simulate.sparse.memory import Memory
from chemlearn.simulate.sparse.prepared import Law, Prepared
from chemlearn.simulate.sparse.program import Program
from chemlearn.simulate.sparse.quadrature import TOLERANCE
from chemlearn.simulate.sparse.tables import Tables

MOST_STEPS = 10**12  #: of one trajectory: hours of firing
_STRETCH = 0.02  # seconds of machine code between two looks at Ctrl-C
_LOG_BYTES = 2**22
_NAMED = 20  # reactions in a description


class Run:
    """An ensemble prepared for the sparse engine, which has no limit of size and knows events.

    Parameters
    ----------
    model : Model
        Fit for stochastic runs (``model.require(stochastic=True)``).
    times : (n_times,) array
        Output times, increasing, from 0 on. At the instant of an event the state after it is recorded.
    signal : Signal or None
        Drives the model's input; reactions that it moves are thinned under a proven bound.
    start : mapping of str to float
        Amounts at time 0 that differ from the model's.
    most_steps : int
        Firings, events and knots of the signal that one trajectory may take.
    timeout : float
        Seconds that one trajectory may take.
    stopping : threading.Event, optional
        Ends the calls of all threads when it is set.
    firings : bool
        Count every reaction's firings from time 0 on.
    propensity_integrals : bool
        Integrate every reaction's propensity from time 0 on. Exact to rounding where it is constant or
        straight in time while the state stays; by adaptive quadrature elsewhere, where each step agrees with
        a simpler rule to 1e-11 of the integral so far, jumps included: to 1e-10 or better in all. What can
        be missed is a smooth peak or dip that is narrower than a thousandth of a straight piece of the
        signal (of the run without one), or makes less than a 500th of what the law may give in that piece.

    Attributes
    ----------
    columns : tuple of Column
        What a call returns: species, what events set, firings and integrated propensity of each reaction if
        wanted, rules.

    Raises
    ------
    SimulationError
        For rate rules, and for events whose instants cannot be computed.

    Notes
    -----
    A call with a block of trajectory numbers returns (n_trajectories, n_times, n_columns). It may come from
    any thread, several at a time, and trajectory k is the same in every block. Networks of the same kinds of
    laws share their machine code, whatever their size and parameter values.
    """

    version = version("chemlearn")
    has_children = False

    def __init__(
        self,
        model: Model,
        times: np.ndarray,
        signal: Signal | None,
        start: Mapping[str, float],
        *,
        most_steps: int = MOST_STEPS,
        timeout: float = math.inf,
        stopping: Event | None = None,
        firings: bool = False,
        propensity_integrals: bool = False,
    ) -> None:
        network = model.network
        for name in network.rates_of:
            raise SimulationError(
                f"{model.origin}: rate rule of {name}: what changes continuously cannot be fired; remove it"
            )
        self.network, self.times, self.signal = network, np.asarray(times, float), signal
        self.most_steps, self.timeout, self.firings = most_steps, timeout, firings
        self.stopping = stopping or Event()
        self.input = None if signal is None else model.input
        self.ramped = signal is not None and has_ramps(signal)
        prepared = Prepared(network, self.input, self.ramped, model.origin)
        self.constants = _values(list(prepared.constants), network.constants)
        self.pieces = _pieces(signal, float(self.times[-1]))
        self.prepared, self.laws = prepared, prepared.laws()
        self.tables = self._tables(counted=firings, integrated=propensity_integrals)
        self.code = compiled(self.tables.program)
        initial = {**network.initial, **start}
        self.initial = np.array([initial[name] for name in prepared.state], float)
        self.diagnosis = Diagnosis(model, prepared, self.laws, self.constants)
        self.columns = (
            *(Column(name) for name in network.species),
            *(Column(name, None, False) for name in network.switched),
            *(Column("firings", reaction.name) for reaction in network.reactions if firings),
            *(
                Column("propensity_integral", r.name, False)
                for r in network.reactions
                if propensity_integrals
            ),
            *(Column(name, None, False) for name in network.rules),
        )

    @property
    def method(self) -> str:
        """How candidates are made, for which reactions bounds hold over windows of time, and how propensities
        are integrated.
        """
        how = "exact: candidates under bounds of every propensity, "
        moving = [law for law in self.laws if law.moved]
        how += (
            f"over windows of time for {self._named(moving)}" if moving else "each constant between firings"
        )
        if not self.tables.program.integrated:
            return how
        counts = Curve.BENT if self.ramped else Curve.TIMED  # on constant steps only time bends a law
        bent = [law for law in moving if law.curve & counts]
        how += "; integrals of propensities in closed form"
        return f"{how}, by adaptive quadrature to {TOLERANCE:g} for {self._named(bent)}" if bent else how

    def _named(self, laws: Sequence[Law]) -> str:
        names = [self.network.reactions[law.reaction].name for law in laws]
        return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" * (len(names) > _NAMED))

    def blocks(self, trajectories: int, workers: int) -> list[range]:
        return blocks_of(trajectories, workers, len(self.times) * len(self.columns))

    def __call__(self, block: range, seed: int, point: int) -> np.ndarray:
        counts = np.empty((len(block), len(self.times), len(self.columns)))
        self.fill(counts, block, seed, point)
        return counts

    def fill(self, counts: np.ndarray, block: range, seed: int, point: int) -> None:
        """Write what a call returns into an array, whose memory need not be new."""
        memory = Memory(self, self.tables, counts, streams(seed, point, block))
        for _ in self._advanced(memory, self.code):
            pass
        driven = None if self.signal is None or self.input is None else (self.input, self.signal)
        add_rules(counts, self.network, self.prepared.state, self.times, driven)

    def paths(self, block: range, seed: int, point: int) -> Iterator[Path]:
        """Every firing and event of the trajectories that a call of the run makes, one after the other.

        Yields
        ------
        Path
            Its ``amounts`` end with what events set, (n_firings, n_state).
        """
        tables = self._tables(logged=True)
        code = compiled(tables.program)
        width = LOG_HEAD + len(self.initial)
        log = np.empty((max(1, _LOG_BYTES // (8 * width)), width))
        for k in block:
            counts = np.empty((1, len(self.times), len(self.columns)))
            memory = Memory(self, tables, counts, streams(seed, point, range(k, k + 1)), log)
            parts = [log[:0]]
            for entries in self._advanced(memory, code):
                parts.append(entries.copy())
            whole = np.concatenate(parts)
            yield Path(k, whole[:, 0], whole[:, 1].astype(np.int64), whole[:, LOG_HEAD:])

    def _advanced(self, memory: Memory, code: Compiled) -> Iterator[np.ndarray]:
        """Let machine code run to its end, stretch by stretch; the entries of the log of each."""
        words, stretch = memory.words, 1000
        current, begun = 0, perf_counter()
        while not memory.finished:
            if self.stopping.is_set():
                raise KeyboardInterrupt("the run was stopped")
            before, came = memory.progress(), perf_counter()
            words[Word.END] = words[Word.STEPS] + stretch
            code.call(words.ctypes.data)
            if words[Word.FAILED]:
                raise self.diagnosis.failure(memory, self.most_steps)
            yield memory.drained()
            now = perf_counter()
            if words[Word.TRAJECTORY] != current:
                current, begun = int(words[Word.TRAJECTORY]), now
            elif words[Word.FIRED] > self.most_steps:
                raise self.diagnosis.too_long(self.most_steps)
            elif now - begun > self.timeout:
                raise self.diagnosis.too_slow(self.timeout)
            elif memory.progress() == before and words[Word.STEPS] == words[Word.END]:
                raise self.diagnosis.clock_stands(memory.situations()[0])
            stretch = max(1000, int(stretch * min(2.0, _STRETCH / max(now - came, 1e-9))))

    def _tables(self, *, counted: bool = False, logged: bool = False, integrated: bool = False) -> Tables:
        """The tables for a run in which some values are below 0, or unknown."""
        first, last = len(self.network.species), len(self.prepared.state)
        least = {f"X{i}": math.nan for i in range(first, last)}  # events may set what they like
        least |= {f"K{i}": value for i, value in enumerate(self.constants)}
        least["D0"] = 0.0 if self.signal is None else float(self.signal.values.min())
        negative = frozenset(name for name, value in least.items() if not value >= 0)
        return Tables(
            self.prepared, self.laws, negative, counted=counted, logged=logged, integrated=integrated
        )


def compiled(program: Program) -> Compiled:
    """The machine code of a program, from memory where it has been made before."""
    with compiling:
        return _compiled(program)


@lru_cache(maxsize=64)
def _compiled(program: Program) -> Compiled:
    return Compiled.of_module(build_module(program))


def _values(trees: list[Expr], constants: Mapping[str, float]) -> np.ndarray:
    """Trees of constants; what is not finite is found when it matters."""
    with np.errstate(all="ignore"):
        return np.array(compile_expressions(trees, list(constants))(list(constants.values())), float)


def _pieces(signal: Signal | None, end: float) -> np.ndarray:
    """One row per straight piece of the signal up to the end, and one for what holds there and goes on.

    Stop, start, value, slope, and value at the stop: exactly the knot's where there is one.
    """
    pieces, after = [Piece(0.0, end, 0.0, 0.0)], Piece(end, math.inf, 0.0, 0.0)
    if signal is not None:
        pieces = list(signal.pieces(0.0, end)) or [Piece(0.0, end, float(signal(0.0)), 0.0)]
        after = Piece(end, math.inf, float(signal(end)), float(signal.slope(end)))
    start, stop, value, slope = np.array([*pieces, after]).T
    arrives = value + slope * np.where(slope == 0, 0.0, stop - start)
    if signal is not None:
        arrives = _at_knots(arrives, np.unique(signal.values))
    return np.ascontiguousarray(np.column_stack([stop, start, value, slope, arrives]))


def _at_knots(values: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Values, but a knot's own where they differ from it by rounding only; ``knots`` are sorted."""
    after = np.searchsorted(knots, values)
    for beside in (after - 1, after):
        knot = knots[np.clip(beside, 0, len(knots) - 1)]
        values = np.where(np.abs(values - knot) <= 1e-12 * np.abs(knots).max(), knot, values)
    return values
