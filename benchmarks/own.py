"""What the native engine is measured against itself: signals, threads, first results, memory."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from benchmarks.timing import cpu, header, paired, row, verdict, wall
from chemlearn import Model, Signal, simulate_ssa
from chemlearn.simulate.native import Run

# ------------------------------------------------------------------------------------------------- signals

MOST_PER_FIRING = 2.0  #: times the undriven cost


@dataclass(frozen=True)
class Driven:
    """A model with an input, and the signals that drive it; all have the mean of the undriven input."""

    name: str
    model: Model
    times: np.ndarray
    low: float
    high: float
    period: float

    @property
    def signals(self) -> dict[str, Signal | None]:
        rise, half = self.period / 5, self.period / 2
        return {
            "none": None,
            "sawtooth": Signal.sawtooth(
                self.low, self.high, rise=rise, fall=self.period - rise, periodic=True
            ),
            "square": Signal.square(self.low, self.high, first=half, second=half, periodic=True),
        }


def driven_cases(folder: Path) -> Iterator[Driven]:
    """Laws that are affine in the input, which need no thinning, and two that are not."""
    birth = Model.load("substanceOnly species X; X = 20; s = 10; made: => X; s; lost: X => ; 0.5*X;")
    yield Driven("immigration and death", birth, np.linspace(0, 50, 51), 5, 15, 5)
    yield Driven(
        "M3, s on every step down", Model.load(driven_ladder(folder)), np.linspace(0, 5, 501), 0.5, 1.5, 1
    )
    text = (folder / "M4.ant").read_text()
    influx = text.replace("k_sL = 5.0;", "s = 5.0;").replace("k_sL;", "s;")
    yield Driven("M4, s the influx of L", Model.load(influx), np.linspace(0, 100, 101), 2.5, 7.5, 10)
    hill = text.replace("(P2/40.0)^2.0", "(P2/(40.0*s))^2.0").replace("k_dM = 0.5;", "k_dM = 0.5; s = 1;")
    receptor = Model.load("ladder")  # its laws hold exponentials of logarithms of s
    yield Driven("published ladder (thinned)", receptor, np.linspace(0, 5, 51), 20, 80, 5)
    yield Driven(
        "M4, s within the Hill law (thinned)", Model.load(hill), np.linspace(0, 100, 101), 0.5, 1.5, 10
    )


def driven_ladder(folder: Path) -> str:
    """M3 with an input on its steps from the upper rail to the lower one."""
    text = (folder / "M3.ant").read_text().replace("k_uf0 =", "s = 1;\n  k_uf0 =")
    for level in range(5):
        text = text.replace(f"k_d{level}*U{level}", f"s*k_d{level}*U{level}")
    return text


def firings(case: Driven, signal: Signal | None) -> float:
    """Mean number of one trajectory."""
    ends = case.times[[0, -1]]
    data = simulate_ssa(case.model, ends, signal=signal, trajectories=400, seed=1, firings=True)
    return float(data.firings.isel(time=-1).sum("reaction").mean())


def driven(folder: Path, rounds: int, seconds: float) -> None:
    """Cost per firing under signals, paired with the undriven run of the same round."""
    print(f"\nCPU time per firing of the native engine, {rounds} rounds; × is the paired ratio to no signal")
    header(
        "model", "signal", "firings", "ns", "×", "least … largest ×", f"wanted at most {MOST_PER_FIRING:g}"
    )
    for case in driven_cases(folder):
        signals = case.signals
        counts = {name: firings(case, signal) for name, signal in signals.items()}
        runs = {name: Run(case.model, case.times, signal, {}) for name, signal in signals.items()}
        took, _ = cpu(runs["none"], range(320), 1, 0)
        block = range(max(320, int(320 * seconds / took)))
        costs: dict[str, list[float]] = {name: [] for name in runs}
        for k in range(rounds):
            for name, run in runs.items():
                costs[name].append(1e9 * cpu(run, block, k, 0)[0] / len(block) / counts[name])
        for name in runs:
            ratio, least, most = paired(costs[name], costs["none"])
            verdicts = verdict(ratio <= MOST_PER_FIRING) if name == "sawtooth" else ""
            span = f"{least:.2f} … {most:.2f}"
            row(
                case.name,
                name,
                f"{counts[name]:.0f}",
                f"{median(costs[name]):.1f}",
                f"{ratio:.2f}",
                span,
                verdicts,
            )


# ------------------------------------------------------------------------------------------------- threads

WANTED_OF_TWO = 1.8


def threads(folder: Path, times: Mapping[str, np.ndarray], rounds: int, seconds: float = 1.5) -> None:
    """Wall time of an ensemble with one thread and with two, and what two processes reach beside it."""
    print(f"\nOne thread against two, wall time, medians of {rounds} rounds ({os.cpu_count()} cores)")
    header("what", "ratio", "least … largest", f"wanted {WANTED_OF_TWO:g}")
    work = {}
    for name, at in times.items():
        model = Model.load(folder / f"{name}.ant")
        work[f"{name}, every trajectory kept"] = lasting(model, at, seconds, None)
        work[f"{name}, mean kept"] = lasting(model, at, seconds, "mean")
    found: dict[str, list[float]] = {name: [] for name in work}
    plain, apart = "control: a plain loop in two processes", "control: the last one in two processes"
    found |= {plain: [], apart: []}
    for k in range(rounds):
        for name, run in work.items():
            found[name].append(wall(run, k, 1)[0] / wall(run, k, 2)[0])
        found[plain].append(of_two_processes(loop))
        found[apart].append(of_two_processes(partial(run, k, 1)))
    for name, ratios in found.items():
        met = verdict(median(ratios) >= WANTED_OF_TWO) if name in work else ""
        row(name, f"{median(ratios):.2f}", f"{min(ratios):.2f} … {max(ratios):.2f}", met)


def lasting(
    model: Model, times: np.ndarray, seconds: float, reduce: str | None
) -> Callable[[int, int], object]:
    """``run(seed, workers)``: an ensemble that takes one thread about so long."""

    def run(n: int, seed: int, workers: int) -> object:
        return simulate_ssa(model, times, trajectories=n, seed=seed, workers=workers, reduce=reduce)

    run(500, 1, 1)
    took, _ = wall(run, 2000, 1, 1)
    return partial(run, int(2000 * seconds / took))


def loop() -> int:
    """Nothing but the processor, for about a second."""
    total = 0
    for k in range(20_000_000):
        total += k
    return total


def of_two_processes(work: Callable[[], object]) -> float:
    """How many times the work of one process two of them do in the same time."""
    return 2 * max(at_once(work, 1)) / max(at_once(work, 2))


def at_once(work: Callable[[], object], processes: int) -> list[float]:
    """Seconds that each of several processes takes, all starting together."""
    context = multiprocessing.get_context("fork")
    start, answers = context.Barrier(processes), context.SimpleQueue()

    def labour() -> None:
        start.wait()
        answers.put(wall(work)[0])

    team = [context.Process(target=labour) for _ in range(processes)]
    for process in team:
        process.start()
    took = [answers.get() for _ in team]
    for process in team:
        process.join()
    return took


# ------------------------------------------------------------------------------------------- first results

COLD, WARM = 1.5, 0.5  #: seconds


def first(path: Path, times: np.ndarray, rounds: int) -> None:
    """From a text to 1,000 trajectories: with a reaction that was never there, or with another value."""
    text = path.read_text()
    ensemble(Model.load(path.parent / "M1.ant"), times)  # imports, and what LLVM does once
    print(f"\nFrom an edited {path.stem} to its first 1,000 trajectories, wall seconds, {rounds} rounds")
    header("edit", "seconds", "least … largest", "load", "check", "compile", "simulate", "wanted below", "")
    fresh = edits(text)
    cases: dict[str, tuple[Callable[[int], Model], float]] = {
        "a reaction added": (lambda _: Model.load(next(fresh)), COLD),
        "a number in the text changed": (
            lambda k: Model.load(text.replace("k_uf0 = 1.0", f"k_uf0 = 1.{k + 1}")),
            WARM,
        ),
        "a value set": (lambda k: known.with_values(k_uf0=2.0 + k), WARM),
    }
    known = Model.load(text)
    for name, (make, wanted) in cases.items():
        took, stages = [], []
        for k in range(rounds):
            took.append(wall(lambda k=k, make=make: ensemble(make(k), times))[0])
            stages.append(stages_of(partial(make, k + rounds), times))
        parts = [f"{value:.2f}" for value in np.median(stages, axis=0)]
        span = f"{min(took):.2f} … {max(took):.2f}"
        row(name, f"{median(took):.2f}", span, *parts, f"{wanted:g}", verdict(median(took) < wanted))


def ensemble(model: Model, times: np.ndarray) -> object:
    return simulate_ssa(model, times, trajectories=1000, seed=1)


def stages_of(make: Callable[[], Model], times: np.ndarray) -> list[float]:
    """Seconds for reading, checks, compiling, and all the rest."""
    stamps = [perf_counter()]
    model = make()
    stamps.append(perf_counter())
    model.require(stochastic=True)
    stamps.append(perf_counter())
    Run(model, times, None, {})
    stamps.append(perf_counter())
    ensemble(model, times)
    stamps.append(perf_counter())
    return np.diff(stamps).tolist()


def edits(text: str) -> Iterator[str]:
    """The ladder with one more reaction, between another pair of states each time."""
    states = [f"{rail}{level}" for rail in "UL" for level in range(5)]
    for one in states:
        for other in states:
            if one != other and f"{one} => {other}" not in text:
                yield text.replace("\n  k_uf0 =", f"\n  J_edit: {one} => {other}; 0.01*{one};\n  k_uf0 =")


# ------------------------------------------------------------------------------------------------- memory

MOST_MEGABYTES = 500
_ALONE = """
import sys
import numpy as np
from chemlearn import Model, simulate_ssa

def megabytes(name):
    line = next(line for line in open("/proc/self/status") if line.startswith(name))
    return int(line.split()[1]) / 1024

model = Model.load(sys.argv[1])
simulate_ssa(model, np.linspace(0, 50, 51), trajectories=100, seed=1)
before = megabytes("VmRSS")
data = simulate_ssa(
    model, np.linspace(0, 50, 51), trajectories=int(sys.argv[2]), seed=1, reduce=("mean", "variance")
)
print(before, megabytes("VmHWM"), float(data.X_mean[-1]), float(data.X_variance[-1]))
"""


def memory(path: Path, trajectories: int) -> None:
    """Of a process of its own; the high-water mark of what the system has given it."""
    command = [sys.executable, "-c", _ALONE, str(path), str(trajectories)]
    took, run = wall(partial(subprocess.run, command, capture_output=True, text=True, check=True))
    before, peak, mean, variance = map(float, run.stdout.split())
    print(
        f"\nMean and variance of {trajectories:,} trajectories of {path.stem}, a process alone ({took:.1f} s)"
    )
    header("before, MB", "peak, MB", "wanted below", "", "mean, variance at the end")
    row(
        f"{before:.0f}",
        f"{peak:.0f}",
        MOST_MEGABYTES,
        verdict(peak < MOST_MEGABYTES),
        f"{mean:.3f}, {variance:.3f}",
    )
