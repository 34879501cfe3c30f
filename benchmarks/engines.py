"""CPU time per exact trajectory, engine against engine, in one run.

Usage: python benchmarks/engines.py [--rounds 5] [--seconds 0.5] [--engines native,roadrunner,gillespy2]

Models: M1 (immigration and death), M2 (dimers and an enzyme), M3 (a ladder of 1000 molecules) and M4 (a
regulated gene), in benchmarks/models. Every round runs every engine once on every model, one thread, the
array of results included; what is compared are the medians over the rounds of the ratios within a round, so
that a machine that is busy with something else slows both sides of a ratio.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import gillespie2, roadrunner
from chemlearn.simulate.native import Run
from chemlearn.simulate.ssa import streams

TIMES = {
    "M1": np.linspace(0, 50, 51),
    "M2": np.linspace(0, 50, 51),
    "M3": np.linspace(0, 5, 501),
    "M4": np.linspace(0, 100, 101),
}
Simulate = Callable[[int], np.ndarray]  # a number of trajectories to their counts


def native(model: Model, times: np.ndarray) -> Simulate:
    run = Run(model, times, None, {})

    def simulate(n: int) -> np.ndarray:
        return np.concatenate([run(block, 1, 0) for block in run.blocks(n, 1)])

    return simulate


def libroadrunner(model: Model, times: np.ndarray) -> Simulate:
    return lambda n: roadrunner.fire(model, times, None, {}, streams(1, 0, range(n)))


def gillespy2(model: Model, times: np.ndarray) -> Simulate:
    run = gillespie2.Run(model, times, None, {}, streams)

    def simulate(n: int) -> np.ndarray:
        return np.concatenate([run(block, 1, 0) for block in run.blocks(n, 1)])

    return simulate


ENGINES: dict[str, Callable[[Model, np.ndarray], Simulate]] = {
    "native": native,
    "roadrunner": libroadrunner,
    "gillespy2": gillespy2,
}


class Prepared(NamedTuple):
    """An engine ready for a model."""

    simulate: Simulate
    trajectories: int  # that take about the wanted time
    setup: float  # CPU seconds


def cpu_seconds() -> float:
    """Of this process and of the programs that it has run."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def timed(work: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """CPU seconds of a call, and what it returned."""
    begun = cpu_seconds()
    result = work(*arguments)
    return cpu_seconds() - begun, result


def prepared(engine: str, model: Model, times: np.ndarray, seconds: float) -> Prepared:
    setup, simulate = timed(ENGINES[engine], model, times)
    n, took = 1, 0.0
    while took < seconds / 4 and n < 200_000:
        n = min(200_000, 4 * n)
        took, _ = timed(simulate, n)
    return Prepared(simulate, max(4, int(n * seconds / max(took, 1e-6))), setup)


def compare(folder: Path, engines: list[str], rounds: int, seconds: float) -> None:
    first = engines[0]
    print(f"CPU microseconds per trajectory, medians of {rounds} rounds; × is the paired ratio to {first}")
    print("| model | " + " | ".join(f"{e} | × | set-up s" for e in engines) + " |")
    print("| --- " * (1 + 3 * len(engines)) + "|")
    for name, times in TIMES.items():
        model = Model.load(folder / f"{name}.ant")
        ready = {e: prepared(e, model, times, seconds) for e in engines}
        costs: dict[str, list[float]] = {e: [] for e in engines}
        for _ in range(rounds):
            for e in engines:
                took, counts = timed(ready[e].simulate, ready[e].trajectories)
                costs[e].append(1e6 * took / len(counts))
        cells = []
        for e in engines:
            ratio = median(c / c0 for c, c0 in zip(costs[e], costs[first], strict=True))
            cells.append(f"{median(costs[e]):.4g} | {ratio:.3g} | {ready[e].setup:.2f}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def compare_driven(rounds: int, trajectories: int = 4000) -> None:
    """The same mean number of firings with a constant input, along ramps, and under constant steps."""
    model = Model.load("substanceOnly species X; X = 20; s = 10; made: => X; s; lost: X => ; 0.5*X;")
    times = np.linspace(0, 50, 51)
    signals = {
        "undriven": None,
        "sawtooth": Signal.sawtooth(5, 15, rise=1, fall=4, periodic=True),
        "square": Signal.square(5, 15, first=2.5, second=2.5, periodic=True),
    }
    runs = {name: Run(model, times, signal, {}) for name, signal in signals.items()}
    costs: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            costs[name].append(timed(run, range(trajectories), 1, 0)[0])
    for name in ("sawtooth", "square"):
        ratio = median(c / c0 for c, c0 in zip(costs[name], costs["undriven"], strict=True))
        print(
            f"native, immigration and death: {name} costs {ratio:.2f} times the undriven run per trajectory"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "models")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, default=0.5, help="CPU time of every engine per round and model"
    )
    parser.add_argument(
        "--engines", default=",".join(ENGINES), help="the first one is what others are compared with"
    )
    options = parser.parse_args()
    chosen = options.engines.split(",")
    unknown = sorted(set(chosen) - ENGINES.keys())
    if unknown:
        parser.error(f"no engine named {unknown[0]!r}; there are {', '.join(ENGINES)}")
    compare(options.folder, chosen, options.rounds, options.seconds)
    if "native" in chosen:
        compare_driven(options.rounds)


if __name__ == "__main__":
    main()
