"""Blocks of trajectories: prepared once per ensemble, run anywhere, the same to the last bit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property, reduce
from importlib.metadata import version
from threading import Event
from time import perf_counter
from typing import Any

import numpy as np

from chemlearn.errors import SimulationError
from chemlearn.expression import TIME, ZERO, Expr, compile_expressions, derivative, symbols
from chemlearn.model import Model
from chemlearn.network import Network
from chemlearn.signal import Piece, Signal
from chemlearn.simulate.arguments import has_ramps
from chemlearn.simulate.native.changes import layout_of
from chemlearn.simulate.native.compiled import Compiled, compiled
from chemlearn.simulate.native.diagnosis import Diagnosis, Situation
from chemlearn.simulate.native.groups import groups_of
from chemlearn.simulate.native.laws import Prepared
from chemlearn.simulate.native.layout import LANES, Word
from chemlearn.simulate.native.loop import NARROW
from chemlearn.simulate.native.ramps import cut, ranges, refined
from chemlearn.simulate.native.streams import streams
from chemlearn.simulate.outputs import add_rules, blocks_of
from chemlearn.simulate.reduce import Column

MOST_STEPS = 10**12  #: of one trajectory: hours of firing
_STRETCH = 0.02  # seconds of machine code between two looks at Ctrl-C
_FEW = 2  # trajectories that are faster one after the other


class Run:
    """An ensemble prepared for the native engine: its laws are compiled once, here.

    Parameters
    ----------
    model : Model
        Fit for stochastic runs (``model.require(stochastic=True)``).
    times : (n_times,) array
        Output times, increasing, from 0 on.
    signal : Signal or None
        Drives the model's input. Along ramps waiting times come from the integrated hazard in closed form
        where every law is affine in the input, and otherwise from thinning under a proven bound.
    start : mapping of str to float
        Amounts at time 0 that differ from the model's.
    most_steps : int
        Firings and knots of the signal that one trajectory may take.
    timeout : float
        Seconds that one trajectory may be at work, beside the others of its lanes.
    stopping : threading.Event, optional
        Ends the calls of all threads when it is set.
    firings, propensity_integrals : bool
        Count every reaction's firings, and integrate its propensity, from time 0 on.
    logged : bool
        Write every firing down, for :func:`~chemlearn.simulate.native.paths.paths`.

    Raises
    ------
    SimulationError
        For what this engine cannot fire exactly: rate rules, events, laws that name the time; and for
        integrals of propensities that are not affine in a ramp.

    Notes
    -----
    A call with a block of trajectory numbers returns what ``columns`` name, (n_trajectories, n_times,
    n_columns). It may come from any thread or forked process, several at a time: the machine code holds no
    lock, and trajectory k is the same in every block.
    Ctrl-C ends a call of the main thread within a fraction of a second.
    """

    version = version("chemlearn")
    has_children = False
    _least_sweeps = 1000  # between two looks at Ctrl-C

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
        logged: bool = False,
    ) -> None:
        _refuse(model)
        self.network, self.times, self.signal = model.network, np.asarray(times, float), signal
        self.most_steps, self.timeout = most_steps, timeout
        self.stopping = stopping or Event()
        self.input = None if signal is None else model.input
        ramped = signal is not None and has_ramps(signal)
        amounts = {**self.network.initial, **start}
        prepared = Prepared(self.network, self.input, ramped, every=firings or propensity_integrals)
        self.initial = np.array([amounts[name] for name in self.network.species], float)
        self.constants = self._values(prepared.constants, self.network.constants)
        self.pieces = self._pieces(prepared, ramped, propensity_integrals)
        self.plan = prepared.plan(
            self._possibly_negative(len(prepared.drives), ramped),
            counted=firings,
            integrated=propensity_integrals,
            logged=logged,
        )
        if self.plan.moved:
            self.pieces = self._for_thinning(self.pieces)
        rows = layout_of(self.plan).nothing  # whatever else stands among the amounts starts from 0
        self.initial = np.append(self.initial, np.zeros(rows - len(self.initial)))
        self.prepared = prepared
        self.diagnosis = Diagnosis(model, prepared, self.plan, self.constants)
        self.columns = _columns(self.network, firings, propensity_integrals)

    @cached_property
    def known(self) -> np.ndarray:
        """Numbers that the machine code reads: K0, K1, ..., and those of groups of reactions."""
        return np.append(self.constants, groups_of(self.plan).known(self.constants))

    @cached_property
    def code(self) -> Compiled:
        """For vectors of lanes."""
        return compiled(self.plan)

    def code_for(self, trajectories: int) -> Compiled:
        """For a few trajectories narrow code, unless the other has been made: both give the same."""
        if trajectories <= _FEW and "code" not in self.__dict__:
            return compiled(self.plan, NARROW)
        return self.code

    @property
    def method(self) -> str:
        """How waiting times are drawn, and for which reactions."""
        names = [self.network.reactions[i].name for i in self.prepared.order]
        moving = names[self.plan.first_driven :]
        if not moving:
            return "exact: every propensity is constant between firings and knots of the signal"
        how = "thinning under a proven bound" if self.plan.thinned else "integrated hazard in closed form"
        held = ", ".join(names[: self.plan.first_driven]) or "none"
        if self.plan.thinned and self.plan.integrated:
            held += "; integrals of what is thinned by Gauss's rule of three points on short stretches"
        return f"exact: {how} along ramps for {', '.join(moving)}; constant between firings: {held}"

    def blocks(self, trajectories: int, workers: int) -> list[range]:
        return blocks_of(trajectories, workers, len(self.times) * len(self.columns), together=LANES)

    def __call__(self, block: range, seed: int, point: int) -> np.ndarray:
        counts = np.empty((len(block), len(self.times), len(self.columns)))
        self.fill(counts, block, seed, point)
        return counts

    def fill(self, counts: np.ndarray, block: range, seed: int, point: int) -> None:
        """Write what a call returns into an array, whose memory need not be new."""
        lanes = self._lanes(counts, streams(seed, point, block))
        stretch = self._least_sweeps
        while lanes.words[Word.ACTIVE]:
            began = perf_counter()
            lanes.advance(stretch)
            took = perf_counter() - began
            stretch = max(self._least_sweeps, int(stretch * min(2.0, _STRETCH / max(took, 1e-9))))
        driven = None if self.signal is None or self.input is None else (self.input, self.signal)
        add_rules(counts, self.network, self.network.species, self.times, driven)

    def _lanes(self, counts: np.ndarray, seeds: np.ndarray) -> Lanes:
        """One block at work."""
        return Lanes(self, counts, seeds)

    def _values(self, trees: Sequence[Expr], constants: Mapping[str, Any]) -> np.ndarray:
        """Trees of constants, (n_trees, ...); what is not finite is found when it matters."""
        with np.errstate(all="ignore"):
            values = compile_expressions(trees, list(constants))(list(constants.values()))
        shape = np.broadcast_shapes(*(np.shape(v) for v in (*values, *constants.values())))
        return np.array([np.broadcast_to(v, shape) for v in values], float).reshape(len(trees), *shape)

    def _pieces(self, prepared: Prepared, ramped: bool, integrated: bool) -> np.ndarray:
        """One row per straight piece of the signal: stop, start, D0.., and G0.. where it has ramps.

        Where laws are not affine in the input, pieces are short, and bounds of T0.. follow.
        """
        if self.signal is None or self.input is None:
            return np.array([[math.inf, 0.0]])
        end = float(self.times[-1])
        pieces = list(self.signal.pieces(0.0, end)) or [Piece(0.0, math.inf, float(self.signal(0.0)), 0.0)]
        table = np.array(pieces)  # start, stop, value, slope
        if prepared.thinned:
            return self._bounded(table[:, [1, 0, 2, 3]], prepared, integrated)
        drives = prepared.drives
        constants = {**self.network.constants, self.input: table[:, 2]}
        rows = [table[:, 1], table[:, 0], *self._values(drives, constants)]
        if ramped:
            rises = self._values([derivative(tree, self.input) for tree in drives], constants) * table[:, 3]
            lengths = np.nan_to_num(table[:, 1] - table[:, 0], posinf=0.0)
            rows += [_kept_from_crossing(d, g, lengths) for d, g in zip(rows[2:], rises, strict=True)]
        return np.ascontiguousarray(np.column_stack(rows))

    def _bounded(self, pieces: np.ndarray, prepared: Prepared, integrated: bool) -> np.ndarray:
        """Rows for thinning: stop, start, input, its slope, then the least and the greatest T0.. ."""
        constants, input = self.network.constants, str(self.input)
        names = [f"X{i}" for i in range(len(self.initial))] + [f"K{i}" for i in range(len(self.constants))]
        total = compile_expressions(
            [reduce(Expr.__add__, prepared.laws, ZERO)],
            [*names, *(f"T{j}" for j in range(len(prepared.moved)))],
        )

        def values(levels: np.ndarray) -> np.ndarray:
            return self._values(prepared.moved, {**constants, input: levels})

        def firings(moved: np.ndarray) -> np.ndarray:
            return np.broadcast_to(total([*self.initial, *self.constants, *moved])[0], moved.shape[1:])

        short = cut(pieces, values, firings)
        if integrated:
            short = refined(short, values, prepared.moved, input, constants)
        lengths = np.nan_to_num(short[:, 0] - short[:, 1], posinf=0.0)
        short[:, 3] = _kept_from_crossing(short[:, 2], short[:, 3], lengths)
        return np.ascontiguousarray(np.hstack([short, *ranges(prepared.moved, input, constants, short)]))

    def _for_thinning(self, pieces: np.ndarray) -> np.ndarray:
        """The rows that the machine code reads: only such lower bounds as it needs, and what they come to."""
        head, lows, highs = np.split(pieces, [4, 4 + len(self.plan.moved)], axis=1)
        sure = groups_of(self.plan).sure(self.known, lows, highs)
        needed = lows[:, : layout_of(self.plan).n_lows]
        return np.ascontiguousarray(np.column_stack([head, needed, highs, sure]))

    def _possibly_negative(self, n_drives: int, ramped: bool) -> frozenset[str]:
        """Names of the K and D that are below 0 or unknown anywhere in this run."""
        least = {f"K{i}": value for i, value in enumerate(self.constants)}
        length = np.nan_to_num(self.pieces[:, 0] - self.pieces[:, 1], posinf=0.0)
        for j in range(n_drives):
            begin = self.pieces[:, 2 + j]
            end = begin + (length * self.pieces[:, 2 + n_drives + j] if ramped else 0.0)
            size = float(np.abs(begin).max())
            least[f"D{j}"] = float(np.minimum(begin, end).min()) + 1e-12 * size  # a ramp's end is rounded
        bounds = self.pieces[:, 2 + (1 + ramped) * n_drives :]
        least |= {f"T{j}": low for j, low in enumerate(bounds[:, : bounds.shape[1] // 2].min(axis=0))}
        return frozenset(name for name, value in least.items() if not value >= 0)


def _columns(network: Network, firings: bool, propensity_integrals: bool) -> tuple[Column, ...]:
    """What a run records: amounts, what was asked for of each reaction, and rules."""
    names = [r.name for r in network.reactions]
    return (
        *(Column(name) for name in network.species),
        *(Column("firings", name) for name in names if firings),
        *(Column("propensity_integral", name, False) for name in names if propensity_integrals),
        *(Column(name, None, False) for name in network.rules),
    )


class Lanes:
    """One block at work: the memory that the machine code reads and writes."""

    def __init__(self, run: Run, counts: np.ndarray, seeds: np.ndarray) -> None:
        self.run, self.layout, self.code = run, layout_of(run.plan), run.code_for(len(counts))
        self.worked: list[tuple[float, float]] = [(0.0, 0.0)]  # sweeps made, and seconds that they took
        self.state = aligned(self.layout.n_rows, LANES)
        self.state[:] = 0
        self.state[self.layout.trajectory] = -1
        self.words = np.zeros(len(Word), np.int64)
        arrays = {
            Word.STATE: self.state,
            Word.CONSTANTS: run.known,
            Word.TIMES: np.append(run.times, np.nan),
            Word.INITIAL: run.initial,
            Word.STREAMS: seeds,
            Word.PIECES: run.pieces,
            Word.RESULT: counts,
        }
        self.kept = arrays  # the machine code knows addresses only
        for word, array in arrays.items():
            self.words[word] = array.ctypes.data
        self.words[Word.N_TIMES] = len(run.times)
        self.words[Word.N_RECORDED] = counts.shape[-1]
        self.words[Word.N_TRAJECTORIES] = len(counts)
        self.words[Word.ACTIVE] = LANES
        self.words[Word.LIMIT] = run.most_steps

    def advance(self, sweeps: int) -> None:
        """Let every lane make some steps.

        Raises
        ------
        SimulationError
            When a trajectory cannot go on, or would for ever.
        """
        if self.run.stopping.is_set():
            raise KeyboardInterrupt("the run was stopped")
        layout, words, began = self.layout, self.words, perf_counter()
        before = self.state[[layout.trajectory, layout.time]].copy()
        words[Word.END] = words[Word.SWEEPS] + sweeps
        self.code.call(words.ctypes.data)
        if words[Word.FAILED]:
            raise self._failure(int(words[Word.FAILED]) - 1)
        active = slice(0, int(words[Word.ACTIVE]))
        if np.any(words[Word.SWEEPS] - self.state[layout.born, active] > self.run.most_steps):
            raise self.run.diagnosis.too_long(self.run.most_steps)
        if self.run.timeout < math.inf:
            self._require_in_time(self.state[layout.born, active], perf_counter() - began)
        after = self.state[[layout.trajectory, layout.time]]
        still = np.flatnonzero(np.all(before == after, axis=0)[active])
        if len(still) and words[Word.SWEEPS] == words[Word.END]:
            raise self.run.diagnosis.clock_stands(self._situation(int(still[0]))[0])

    def _require_in_time(self, born: np.ndarray, took: float) -> None:
        """Refuse a trajectory that has been at work for too long; ``born`` is the sweep of its first step."""
        seconds = self.worked[-1][1] + took
        self.worked.append((float(self.words[Word.SWEEPS]), seconds))
        while len(self.worked) > 2 and self.worked[1][0] <= min(born, default=0):
            del self.worked[0]  # from before any of these began
        sweeps, clock = np.array(self.worked).T
        if np.any(seconds - np.interp(born, sweeps, clock) > self.run.timeout):
            raise self.run.diagnosis.too_slow(self.run.timeout)

    def _failure(self, lane: int) -> SimulationError:
        if self.state[self.layout.trajectory, lane] < 0:
            return self.run.diagnosis.too_long(self.run.most_steps)
        return self.run.diagnosis.broken(*self._situation(lane))

    def _situation(self, lane: int) -> tuple[Situation, Situation]:
        """A lane now, and at the end of its straight piece of the signal if nothing fires before."""
        layout = self.layout
        column = self.state[:, lane].copy().view(float)
        time, stop, start = (float(column[row]) for row in (layout.time, layout.stop, layout.start))
        now = -1.0 - time if time < 0 else time  # below 0 where the lane cannot go on
        drives = column[layout.drives : layout.drives + layout.n_drives]
        rises = column[layout.slopes : layout.slopes + layout.n_drives] if layout.ramped else 0.0 * drives
        ends = (now, stop) if layout.ramped else (now, now)
        first, last = (Situation(column[: layout.n_species], drives + rises * (t - start), t) for t in ends)
        return first, last


def _kept_from_crossing(values: np.ndarray, slopes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Slopes with which rounding does not carry a value past 0 at the end of a ramp that ends at 0."""
    slopes = slopes.copy()
    for attempt in range(20):
        ends = values + slopes * lengths  # as the machine code computes it; in between it is monotonic
        crossing = (ends * values < 0) & (np.abs(ends) < 1e-12 * np.abs(values))
        straight = slopes[crossing] if attempt else -values[crossing] / lengths[crossing]
        slopes[crossing] = np.nextafter(straight, 0.0)
    return slopes


def aligned(rows: int, columns: int) -> np.ndarray:
    """Words at an address that whole vectors may be loaded from."""
    raw = np.empty(rows * columns + 16, np.int64)
    offset = (-raw.ctypes.data % 128) // 8
    return raw[offset : offset + rows * columns].reshape(rows, columns)


def _refuse(model: Model) -> None:
    """Say what cannot be fired exactly here."""
    network = model.network
    if network.events or network.rates_of:
        what = (
            f"event {network.events[0]}" if network.events else f"rate rule of {next(iter(network.rates_of))}"
        )
        raise SimulationError(f"{model.origin}: {what}: the native engine fires reactions only; remove it")
    for reaction in network.reactions:
        if TIME in symbols(reaction.law):
            raise SimulationError(
                f"{model.origin}: reaction {reaction.name}: its law depends on time itself; "
                f"drive the model through its input instead"
            )
