"""Speed of the exact stochastic engines, all in one run.

    python -m benchmarks.engines [--only ratios,driven,threads,first,memory] [--rounds 5] [--seconds 0.5]

ratios   CPU time per trajectory of every engine on the models of benchmarks/models: M1 (immigration and
         death), M2 (dimers and an enzyme), M3 (a ladder of 1000 molecules), M4 (a regulated gene). One
         thread, the array of results included. Every round gives every engine the same time; compared are
         the medians over the rounds of the ratios within a round, so that a machine that is busy with
         something else slows both sides of a ratio. An engine that does not simulate the same thing is
         named, not timed.
driven   CPU time per firing of the native engine under a sawtooth and under no signal
threads  wall time with one thread and with two, beside what two processes reach in the same minute
first    wall time from an edited model to its first 1,000 trajectories
memory   peak memory of 1,000,000 trajectories of which only mean and variance are kept
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks import own
from benchmarks.moments import Moments, off_by
from benchmarks.peers import ENGINES, Engine, Simulate, as_array
from benchmarks.timing import Company, cpu, fitting, header, paired, row, verdict
from chemlearn.model import Model

TIMES = {
    "M1": np.linspace(0, 50, 51),
    "M2": np.linspace(0, 50, 51),
    "M3": np.linspace(0, 5, 501),
    "M4": np.linspace(0, 100, 101),
}
WANTED = {"M1": 4.0, "M2": 7.0, "M3": 12.0, "M4": 12.0}  #: times the fastest peer
BOUND = 6.0  #: standard errors from the native engine beyond which an engine counts as wrong
_MOST_BYTES = 2**24  # of results in one call: a larger array is new memory every time, and that is dear
_REFERENCE = 20_000  # trajectories of the native engine that the others are compared with
_LEAST_CHECKED = 200
_FIRST = 8  # trajectories that count as set-up: some engines compile when they are asked for


class Ready(NamedTuple):
    """An engine ready for a model."""

    simulate: Simulate
    trajectories: int  # of one call
    setup: float  # CPU seconds
    z: float  # largest difference from the native engine, standard errors


class Reference(NamedTuple):
    """What the native engine finds at two times."""

    outputs: np.ndarray
    moments: Moments


def reference(model: Model, times: np.ndarray) -> Reference:
    outputs = np.array([len(times) // 2, len(times) - 1])
    counts = as_array(ENGINES["native"].prepare(model, times[outputs])(_REFERENCE, 0), model)
    return Reference(outputs, Moments.of(counts))


def all_prepared(engines: list[Engine], model: Model, times: np.ndarray, seconds: float) -> dict[str, Ready]:
    """Those that simulate the right thing; a line on each other one."""
    known: Reference | None = None
    ready = {}
    for engine in engines:
        try:
            setup, simulate = cpu(started, engine, model, times)
            known = known or reference(model, times)  # not before: set-up would find everything in memory
            one = checked(simulate, setup, model, times, seconds, known)
        except Exception as error:  # a peer may fail in any way; the others go on
            print(f"{model.name}: {engine.name} fails: {type(error).__name__}: {error}")
            continue
        if one.z < BOUND:
            ready[engine.name] = one
        else:
            print(f"{model.name}: {engine.name} is WRONG by {one.z:.1f} standard errors, so it is not timed")
    return ready


def started(engine: Engine, model: Model, times: np.ndarray) -> Simulate:
    """Ready, with what only the first trajectories cost behind it."""
    simulate = engine.prepare(model, times)
    simulate(_FIRST, 1)
    return simulate


def checked(
    simulate: Simulate, setup: float, model: Model, times: np.ndarray, seconds: float, known: Reference
) -> Ready:
    most = max(4, _MOST_BYTES // (8 * len(times) * len(model.network.species)))
    n = fitting(simulate, seconds, most)
    counts = as_array(simulate(max(_LEAST_CHECKED, n), 12), model)
    return Ready(simulate, n, setup, max(off_by(counts[:, known.outputs], known.moments, of=_REFERENCE)))


def costs_of(ready: dict[str, Ready], rounds: int, seconds: float) -> dict[str, list[float]]:
    """CPU microseconds per trajectory, one per round; each round begins with another engine."""
    costs: dict[str, list[float]] = {name: [] for name in ready}
    names = list(ready)
    for k in range(rounds):
        for name in names[k % len(names) :] + names[: k % len(names)]:
            n, done, took = ready[name].trajectories, 0, 0.0
            while took < 0.9 * seconds:
                took += cpu(ready[name].simulate, n, 1000 * k + done)[0]
                done += n
            costs[name].append(1e6 * took / done)
    return costs


def ratios(options: argparse.Namespace) -> None:
    """Every engine on every model; the native engine must be among them and right."""
    engines = available(options.engines)
    print(f"\nCPU time per trajectory, one thread, {options.rounds} rounds; × is the paired ratio to native")
    header("model", "engine", "µs", "×", "least … largest ×", "set-up s", f"off by (bound {BOUND:g} SE)")
    summary = []
    for name, times in TIMES.items():
        ready = all_prepared(engines, Model.load(options.folder / f"{name}.ant"), times, options.seconds)
        costs = costs_of(ready, options.rounds, options.seconds)
        found = {e: paired(costs[e], costs["native"]) for e in ready}
        for e, one in ready.items():
            ratio, least, most = found[e]
            span = f"{least:.3g} … {most:.3g}"
            row(name, e, f"{median(costs[e]):.4g}", f"{ratio:.3g}", span, f"{one.setup:.2f}", f"{one.z:.1f}")
        peers = {e: found[e][0] for e in ready if not ENGINES[e].ours}
        if peers:
            fastest = min(peers, key=lambda e: peers[e])
            summary.append((name, fastest, peers[fastest], WANTED[name]))
    print()
    header("model", "fastest peer", "native is times as fast", "wanted", "")
    for name, fastest, ratio, wanted in summary:
        row(name, fastest, f"{ratio:.2f}", f"{wanted:g}", verdict(ratio >= wanted))


def available(names: str) -> list[Engine]:
    """The chosen engines that can be used; a line on each other one."""
    chosen = [ENGINES[name] for name in names.split(",")]
    for engine in chosen:
        print(f"{engine.name}: {engine.missing or engine.version}")
    return [engine for engine in chosen if not engine.missing]


PARTS = {
    "ratios": ratios,
    "driven": lambda options: own.driven(options.folder, options.rounds, options.seconds),
    "threads": lambda options: own.threads(options.folder, TIMES, options.rounds),
    "first": lambda options: own.first(options.folder / "M3.ant", TIMES["M3"], options.rounds),
    "memory": lambda options: own.memory(options.folder / "M1.ant", options.million),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas; all by default")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "models")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, default=0.5, help="CPU time of an engine per round and model"
    )
    parser.add_argument("--engines", default=",".join(ENGINES), help="for ratios; native must be among them")
    parser.add_argument("--million", type=int, default=1_000_000, help="trajectories of the part memory")
    options = parser.parse_args()
    for kind, chosen, known in (("part", options.only, PARTS), ("engine", options.engines, ENGINES)):
        unknown = sorted(set(chosen.split(",")) - known.keys())
        if unknown:
            parser.error(f"no {kind} named {unknown[0]!r}; there are {', '.join(known)}")
    if "native" not in options.engines.split(","):
        parser.error("native must be among the engines: it is what the others are compared with")
    for part in options.only.split(","):
        company = Company()
        PARTS[part](options)
        print(f"({company})")


if __name__ == "__main__":
    main()
