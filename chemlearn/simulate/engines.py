"""The stochastic engines by name, each made ready for a run."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Event
from typing import Any

import numpy as np

from chemlearn.errors import SimulationError
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import gillespie2, leap, native, sparse
from chemlearn.simulate import roadrunner as rr
from chemlearn.simulate.ensemble import Run

EXACT = ("native", "roadrunner", "gillespy2")
APPROXIMATE = ("tau", "langevin")  # by leaps, for large copy numbers
ENGINES = EXACT + APPROXIMATE
IN_PROCESSES = ("roadrunner", "gillespy2")  # their code holds Python's lock, and can take the process with it

_KNOWN = {
    "native": {"most_steps", "timeout", "firings", "propensity_integrals"},
    "tau": {"most_steps", "timeout", "accuracy"},
    "langevin": {"most_steps", "timeout", "accuracy"},
    "roadrunner": {"timeout"},
    "gillespy2": {"timeout"},
}
_ARGUMENTS = {"most_steps": "most_firings"}  # as the user knows them, where that is another name


def engine(
    name: str,
    model: Model,
    times: np.ndarray,
    signal: Signal | None,
    start: Mapping[str, float],
    stopping: Event,
    options: Mapping[str, Any],
) -> Run:
    """An engine, ready; ``options`` that are None or False were not asked for.

    Raises
    ------
    ValueError
        For a name that is none.
    SimulationError
        For options that the engine does not know, and for what it cannot simulate exactly.
    """
    if name not in ENGINES:
        raise ValueError(f"no engine named {name!r}; there are {', '.join(ENGINES)}")
    chosen = {key: value for key, value in options.items() if value is not None and value is not False}
    for key in chosen:
        if key not in _KNOWN[name]:
            able = ", ".join(repr(other) for other, known in _KNOWN.items() if key in known)
            argument = _ARGUMENTS.get(key, key)
            raise SimulationError(f"the engine {name!r} does not know {argument}; use engine={able}")
    if name == "native":
        return exact(model, times, signal, start, stopping=stopping, **chosen)
    if name in APPROXIMATE:
        leaping = leap.TauRun if name == "tau" else leap.LangevinRun
        return leaping(model, times, signal, start, stopping=stopping, **chosen)
    if name == "roadrunner":
        return _RoadRunnerRun(model, times, signal, start)
    return gillespie2.Run(model, times, signal, start, streams)


def exact(
    model: Model, times: np.ndarray, signal: Signal | None, start: Mapping[str, float], **options: Any
) -> native.Run | sparse.Run:
    """Our own exact engine: in lanes, or sparse where the network asks for it; never by the ensemble."""
    made = native.Run if sparse.suits(model.network) is None else sparse.Run
    return made(model, times, signal, start, **options)


def streams(seed: int, point: int, trajectories: range) -> np.ndarray:
    """One 32-bit engine seed per trajectory, from its own ``SeedSequence``.

    libroadrunner takes seeds modulo 2³², and a negative one as the wish for a random one.
    """
    keys = (np.random.SeedSequence(seed, spawn_key=(point, k)).generate_state(1)[0] for k in trajectories)
    return np.array([1 + int(k) % (2**32 - 2) for k in keys], dtype=np.uint64)


class _RoadRunnerRun:
    """Trajectories by libroadrunner: each from its own stream."""

    version = rr.ENGINE_VERSION
    method = "exact: Gillespie's direct method, total hazards integrated along ramps of affine laws"
    has_children = False

    def __init__(
        self, model: Model, times: np.ndarray, signal: Signal | None, start: Mapping[str, float]
    ) -> None:
        rr.refuse_inexact(model, signal)
        self.arguments = (model, times, signal, start)

    def blocks(self, trajectories: int, workers: int) -> list[range]:
        size = max(1, min(250, trajectories // (8 * workers)))
        return [range(k, min(k + size, trajectories)) for k in range(0, trajectories, size)]

    def __call__(self, block: range, seed: int, point: int) -> np.ndarray:
        return rr.fire(*self.arguments, streams(seed, point, block))
