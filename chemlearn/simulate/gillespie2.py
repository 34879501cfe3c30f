"""GillesPy2's C++ direct method: the only module that imports GillesPy2 (which is licensed under GPL-3).

The GillesPy2 model is built from our own reading of the SBML, never by its SBML importer, which is silently
wrong for boundary species and volumes. Every part of a law without a species becomes one parameter, computed
here: that keeps C++ integer division, reserved names and unsupported functions out of the generated code, and
one compiled solver serves all parameter values and signal levels.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from chemlearn.errors import SimulationError
from chemlearn.expression import TIME, TWO, Expr, compile_expressions, symbols
from chemlearn.model import Model
from chemlearn.network import Network
from chemlearn.signal import Signal
from chemlearn.simulate.arguments import has_ramps, same_instant
from chemlearn.simulate.refusals import refuse_beyond_reactions

_BLOCK = 100  # trajectories that share one of GillesPy2's streams; fixed: results must not depend on workers
_WRAPPED = 2**31  # the C++ counts are 32-bit and unsigned: a negative count shows up as a huge one

Streams = Callable[[int, int, range], np.ndarray]


class Run:
    """An ensemble prepared for GillesPy2: its solver is compiled once, here.

    Raises
    ------
    SimulationError
        For a signal with ramps, for events and laws that name time, for laws that its C++ code cannot
        evaluate, or without a C++ compiler.
    """

    version = version("gillespy2")
    method = "exact: Gillespie's direct method under constant pieces of the signal"
    has_children = True  # every call runs a program of its own, which must not outlive a worker

    def __init__(
        self,
        model: Model,
        times: np.ndarray,
        signal: Signal | None,
        start: Mapping[str, float],
        streams: Streams,
    ) -> None:
        refuse_beyond_reactions(model, "GillesPy2")
        if signal is not None and has_ramps(signal):
            raise SimulationError(
                f"{model.origin}: GillesPy2 holds propensities constant between firings, so it cannot follow "
                f"a ramp exactly; use engine='roadrunner', or give it constant steps, signal.staircase(200)"
            )
        self.network, self.times, self.streams = model.network, times, streams
        self.input = model.input
        self.levels = None if signal is None else signal(times)
        self.start = {**self.network.initial, **start}
        self.laws = _Laws(self.network)
        self.solver = _solver(self.laws)
        self.calls = _stretches(times, signal)

    def blocks(self, trajectories: int, workers: int) -> list[range]:
        size = _BLOCK if len(self.calls) == 1 else max(1, min(_BLOCK, trajectories // (8 * workers)))
        return [range(k, min(k + size, trajectories)) for k in range(0, trajectories, size)]

    def __call__(self, block: range, seed: int, point: int) -> np.ndarray:
        if len(self.calls) > 1:
            return self._simulated(block, seed, point)
        parts = []
        for first in range(block.start - block.start % _BLOCK, block.stop, _BLOCK):
            whole = self._simulated(range(first, min(first + _BLOCK, block.stop)), seed, point)
            parts.append(whole[max(0, block.start - first) :])
        return np.concatenate(parts)

    def _simulated(self, block: range, seed: int, point: int) -> np.ndarray:
        """Counts of trajectories of which the first begins a stream, where several share one."""
        species = self.network.species
        amounts = np.array([self.start[name] for name in species])
        counts = np.empty((len(block), len(self.times), len(species)))
        counts[:, self.times <= same_instant(self.times)] = amounts
        if len(self.calls) == 1:  # GillesPy2 repeats a run from the same start by itself
            root = int(self.streams(seed, point, block)[0])
            self._call(self.calls[0], amounts, root, counts)
        else:
            for row, k in enumerate(block):
                state = amounts
                seeds = np.random.SeedSequence(seed, spawn_key=(point, k)).generate_state(len(self.calls))
                for call, engine_seed in zip(self.calls, seeds, strict=True):
                    state = self._call(call, state, 1 + int(engine_seed) % (2**31 - 2), counts[row : row + 1])
        return self._with_rules(counts)

    def _call(self, call: _Stretch, state: np.ndarray, seed: int, into: np.ndarray) -> np.ndarray:
        """Run one stretch, store what is asked for in ``into``, return the last state of its last row."""
        constants = dict(self.network.constants)
        if call.level is not None:
            constants[self.input] = call.level
        places = _species_names(self.network)
        variables: dict[str, float] = {name: int(v) for name, v in zip(places, state, strict=True)}
        variables.update(self.laws.parameters(constants))
        self.solver.model.timespan(np.linspace(0.0, call.stop - call.begin, call.steps + 1))
        with _tools_on_path(), _old_ways():
            results = self.solver.run(
                number_of_trajectories=len(into), seed=seed % (2**31 - 1) or 1, variables=variables
            )
        for row, result in enumerate(results):
            values = np.column_stack([result[name] for name in places])
            if len(values) != call.steps + 1:
                raise SimulationError(
                    f"GillesPy2 returned {len(values)} points in place of {call.steps + 1}; report this model"
                )
            if values.max(initial=0.0) >= _WRAPPED:
                name = self.network.species[int(values.max(axis=0).argmax())]
                raise SimulationError(
                    f"GillesPy2: the count of '{name}' went below zero; check the laws that remove it"
                )
            into[row, call.outputs] = values[call.at]
        return np.asarray(values[-1])

    def _with_rules(self, counts: np.ndarray) -> np.ndarray:
        """Add the assignment rules, at the signal's level of each time."""
        if not self.network.rules:
            return counts
        constants: dict[str, Any] = dict(self.network.constants)
        if self.levels is not None:
            constants[self.input] = self.levels
        names = [*self.network.species, *constants, TIME]
        evaluate = compile_expressions(list(self.network.rules.values()), names)
        values = evaluate([*np.moveaxis(counts, -1, 0), *constants.values(), self.times])
        rules = [np.broadcast_to(v, counts.shape[:2]) for v in values]
        return np.concatenate([counts, np.stack(rules, axis=-1)], axis=-1)


class _Laws:
    """Rate laws as C++ text in which everything without a species is a parameter K0, K1, ..."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.hoisted: list[Expr] = []
        places = dict(zip(network.species, _species_names(network), strict=True))
        self.texts = tuple(self._text(r.law, places, r.name) for r in network.reactions)
        self._names = list(network.constants)
        self._evaluate = compile_expressions(self.hoisted, self._names)

    def parameters(self, constants: Mapping[str, float]) -> dict[str, float]:
        """Values of K0, K1, ... for given constants."""
        with np.errstate(all="ignore"):
            values = [float(v) for v in self._evaluate([constants[n] for n in self._names])]
        bad = [
            str(tree) for tree, value in zip(self.hoisted, values, strict=True) if not math.isfinite(value)
        ]
        if bad:
            raise SimulationError(f"'{bad[0]}' is not finite at these parameter values; correct them")
        return {f"K{i}": value for i, value in enumerate(values)}

    def _text(self, tree: Expr, places: Mapping[str, str], reaction: str) -> str:
        if not symbols(tree) & places.keys():
            if tree not in self.hoisted:
                self.hoisted.append(tree)
            return f"K{self.hoisted.index(tree)}"
        if tree.op == "symbol":
            return f"(1.0*{places[tree.name]})"  # a double: C++ would divide the counts as integers
        if tree.op in ("+", "-", "*", "/"):
            left, right = (self._text(a, places, reaction) for a in tree.args)
            return f"({left}{tree.op}{right})"
        if tree.op == "^":
            base = self._text(tree.args[0], places, reaction)
            if tree.args[1] == TWO:
                return f"({base}*{base})"
            return f"pow({base},{self._text(tree.args[1], places, reaction)})"
        if tree.op in ("exp", "sqrt", "ln"):
            return f"{'log' if tree.op == 'ln' else tree.op}({self._text(tree.args[0], places, reaction)})"
        raise SimulationError(
            f"reaction {reaction}: GillesPy2 cannot evaluate {tree.op!r} of a species; "
            f"use engine='roadrunner'"
        )


def _species_names(network: Network) -> list[str]:
    return [f"X{i}" for i in range(len(network.species))]


class _Stretch(NamedTuple):
    """A time of constant input that GillesPy2 runs in one call, reporting at even steps."""

    begin: float
    stop: float
    steps: int
    level: float | None
    outputs: np.ndarray  # numbers of the output times that it reports
    at: np.ndarray  # and the step at which each of them is


def _stretches(times: np.ndarray, signal: Signal | None) -> list[_Stretch]:
    """The stretches that cover the output times: new at every knot, and where no even steps meet all outputs.

    Starting anew is exact, for between knots the process has no memory, but every call is a program to start.
    """
    end, same = float(times[-1]), same_instant(times)
    held: list[tuple[float, float | None]] = [(end, None)]
    if signal is not None:
        held = [(p.stop, p.value) for p in signal.pieces(0.0, end)]
    found: list[_Stretch] = []
    begin = 0.0
    for stop, level in held:
        if stop - begin <= same:
            continue
        outputs = np.flatnonzero((times > begin + same) & (times <= stop + same))
        inner = times[outputs]
        stops = np.append(inner[inner < stop - same], stop)
        gaps = np.diff(stops, prepend=begin)
        groups = [stops]
        if _even_steps(stops - begin) is None:
            groups = np.split(
                stops, np.flatnonzero(~np.isclose(gaps[1:], gaps[:-1], rtol=1e-9, atol=0.0)) + 1
            )
        for group in groups:
            steps = _even_steps(group - begin)
            if steps is None:  # equal gaps up to rounding
                steps = np.arange(1, len(group) + 1)
            here = outputs[(inner > begin + same) & (inner <= group[-1] + same)]
            at = steps[np.searchsorted(group, times[here] - same)]
            found.append(_Stretch(begin, float(group[-1]), int(steps[-1]), level, here, at))
            begin = float(group[-1])
    return found


def _even_steps(offsets: np.ndarray) -> np.ndarray | None:
    """Numbers of the even steps from 0 that meet all offsets, (n,); None where it takes far too many."""
    shortest = np.diff(offsets, prepend=0.0).min()
    for parts in range(1, 11):
        steps = np.round(offsets / shortest * parts)
        if steps[-1] > 10 * len(offsets) + 1000:
            return None
        if np.allclose(steps / steps[-1] * offsets[-1], offsets, rtol=1e-12, atol=1e-9 * shortest):
            return steps.astype(int)
    return None


def _solver(laws: _Laws) -> Any:
    network = laws.network
    reactions = tuple((r.reactants, r.products) for r in network.reactions)
    return _compiled(network.species, network.boundary, reactions, laws.texts, len(laws.hoisted))


@contextmanager
def _old_ways() -> Iterator[None]:
    """GillesPy2 walks syntax trees as Python 3.7 did, and Python warns of it at every expression."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@lru_cache(maxsize=16)
@_old_ways()
def _compiled(
    species: tuple[str, ...],
    boundary: frozenset[str],
    reactions: tuple[Any, ...],
    texts: Sequence[str],
    parameters: int,
) -> Any:
    """A compiled solver; amounts and parameters are given at each run."""
    if shutil.which("g++") is None:
        raise SimulationError(
            "GillesPy2 needs the C++ compiler g++, which is not here; install it or use roadrunner"
        )
    import gillespy2

    logging.getLogger("GillesPy2").setLevel(logging.ERROR)
    model = gillespy2.Model(name="network")
    places = {
        name: gillespy2.Species(name=f"X{i}", initial_value=0, mode="discrete")
        for i, name in enumerate(species)
    }
    model.add_species(list(places.values()))
    model.add_parameter([gillespy2.Parameter(name=f"K{i}", expression="1.0") for i in range(parameters)])
    for i, ((reactants, products), text) in enumerate(zip(reactions, texts, strict=True)):
        # boundary species are held by someone else: they stand in the law, not in the bookkeeping
        sides = [{places[n]: int(c) for n, c in side if n in places} for side in (reactants, products)]
        if sides[0] or sides[1]:
            model.add_reaction(
                gillespy2.Reaction(
                    name=f"R{i}", reactants=sides[0], products=sides[1], propensity_function=text
                )
            )
    with _tools_on_path():
        return gillespy2.SSACSolver(model=model, variable=True)


@contextmanager
def _tools_on_path() -> Iterator[None]:
    """Put the folder of this Python on PATH, where GillesPy2 looks for its build tool."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before
