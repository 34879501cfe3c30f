"""Where leaps pay: CPU time per trajectory of the exact engine, of tau-leaping and of the Langevin equation.

    python -m benchmarks.leaping [--rounds 5] [--seconds 0.3] [--accuracy 0.03] [--largest 1e7]

Immigration and death at rest for five lifetimes, dimerisation of 100,000 molecules, the ladder of 100,000 and
of ten million receptors and the linker at 100 times its size, each undriven and under a sawtooth. All from
near their steady state, so that the Langevin equation may hold. One thread, the array of results included;
medians over rounds, in each of which every engine runs once; × is the median of the ratios within a round.
Exact trajectories of more firings than ``MOST_EXACT`` are timed over a shorter span, and the rest is counted
at the same cost. An engine that refuses is named below the table, with its reason.
"""

from __future__ import annotations

import argparse
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks.timing import cpu, header, row
from chemlearn.errors import SimulationError
from chemlearn.expression import compile_expressions
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import native, simulate_ode
from chemlearn.simulate.leap import LangevinRun, TauRun
from chemlearn.simulate.native.layout import LANES

BIRTH_DEATH = "substanceOnly species X; X = 1000; s = 100; k = 0.1; made: => X; s; lost: X => ; k*X;"
DIMERS = """
substanceOnly species P, P2; P = 60000; P2 = 20000; k_on = 1e-5; k_off = 0.5;
bind: 2 P => P2; k_on*P*(P - 1);
part: P2 => 2 P; k_off*P2;
"""
MOST_EXACT = 1e6  #: firings of an exact trajectory that is timed
MOST = 16_000  #: trajectories in one timed call
ENGINES = {"exact": native.Run, "tau": TauRun, "langevin": LangevinRun}


class Case(NamedTuple):
    """What is simulated."""

    name: str
    model: Model
    times: np.ndarray
    signal: Signal | None = None


def cases(largest: float) -> list[Case]:
    found = []
    sizes = (100, 200, 400, *(10**n for n in range(3, round(np.log10(largest)) + 1)))
    for size in sizes:
        model = Model.load(BIRTH_DEATH).with_values(s=size / 10, X=size)
        found.append(Case(f"immigration and death, mean {size:g}", model, np.linspace(0, 50, 51)))
    found.append(Case("dimerisation, 1e5 molecules", Model.load(DIMERS), np.linspace(0, 5, 21)))
    teeth = Signal.sawtooth(20, 150, rise=0.5, fall=2, periodic=True)
    swing = Signal.sawtooth(1, 3, rise=2, fall=8, periodic=True)
    ladders = {f"ladder, N = 1e{n}": Model.load("ladder").with_values(N=10.0**n) for n in (5, 6, 7)}
    linker = Model.load("linker").with_values(size=100)
    for name, model, times, signal in (
        *((name, ladder, np.linspace(0, 1, 11), teeth) for name, ladder in ladders.items()),
        ("linker, size = 100", linker, np.linspace(0, 20, 41), swing),
    ):
        found += [Case(name, model, times), Case(f"{name}, sawtooth", model, times, signal)]
    return found


def near_rest(model: Model) -> dict[str, float]:
    """Whole amounts after some relaxation."""
    end = simulate_ode(model, np.array([0.0, 5.0])).isel(time=-1)
    return {name: float(round(float(end[name]))) for name in model.species}


def firings(case: Case, start: dict[str, float]) -> float:
    """Mean number of firings of a trajectory: the integral of all propensities along the rate equations."""
    network, times = case.model.network, np.linspace(0, case.times[-1], 401)
    data = simulate_ode(case.model, times, signal=case.signal, start=start)
    values = dict(network.constants) | {name: data[name].values for name in network.species}
    if case.signal is not None:
        values[str(case.model.input)] = case.signal(times)
    laws = [reaction.law for reaction in network.reactions]
    rates = sum(compile_expressions(laws, list(values))(list(values.values())))
    return float(np.trapezoid(np.broadcast_to(rates, times.shape), times))


class Timed(NamedTuple):
    """An engine ready for a case."""

    run: native.Run
    trajectories: int
    scale: float  # wanted span over timed span


def simulate(run: native.Run, trajectories: int, seed: int) -> None:
    for block in run.blocks(trajectories, 1):
        run(block, seed, 0)


def prepared(engine: str, case: Case, start: dict[str, float], expected: float, options: Options) -> Timed:
    """All lanes full, and about the wanted time."""
    share = min(1.0, MOST_EXACT / expected) if engine == "exact" else 1.0
    how = {} if engine == "exact" else {"accuracy": options.accuracy}
    run = ENGINES[engine](case.model, case.times * share, case.signal, start, **how)
    simulate(run, LANES, 0)
    took, _ = cpu(simulate, run, LANES, 1)
    wanted = int(options.seconds / max(took, 1e-6)) * LANES
    return Timed(run, min(MOST, max(LANES, wanted)), 1.0 / share)


class Options(NamedTuple):
    rounds: int
    seconds: float
    accuracy: float


def compare(case: Case, options: Options) -> list[str]:
    """One row of the table; what was refused."""
    start, ready, refused = near_rest(case.model), {}, []
    expected = firings(case, start)
    for engine in ENGINES:
        try:
            ready[engine] = prepared(engine, case, start, expected, options)
        except SimulationError as error:
            refused.append(f"{case.name}, {engine}: {error}")
    costs: dict[str, list[float]] = {engine: [] for engine in ready}
    for number in range(options.rounds):
        for engine, (run, trajectories, scale) in ready.items():
            took, _ = cpu(simulate, run, trajectories, number)
            costs[engine].append(1e6 * scale * took / trajectories)
    exact = costs["exact"]
    cells = [f"{expected:.3g}", f"{median(exact):.4g}", f"{1e3 * median(exact) / expected:.3g}"]
    for engine in ("tau", "langevin"):
        if engine in ready:
            gains = [e / c for e, c in zip(exact, costs[engine], strict=True)]
            run = ready[engine].run
            assert isinstance(run, TauRun | LangevinRun)
            cells += [f"{run.firings_per_step:.3g}", f"{median(costs[engine]):.4g}", f"{median(gains):.3g}"]
        else:
            cells += ["–", "refused", "–"]
    row(case.name, *cells)
    return refused


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="CPU time of every engine per round")
    parser.add_argument("--accuracy", type=float, default=0.03)
    parser.add_argument("--largest", type=float, default=1e7, help="mean in immigration and death")
    given = parser.parse_args()
    options = Options(given.rounds, given.seconds, given.accuracy)
    print(f"CPU microseconds per trajectory, medians of {options.rounds} rounds; accuracy {options.accuracy}")
    leaps = [f"{name}: {what}" for name in ("tau", "Langevin") for what in ("firings per step", "µs", "×")]
    header("model", "firings", "exact: µs", "ns per firing", *leaps)
    refused = [line for case in cases(given.largest) for line in compare(case, options)]
    print("\nRefused:\n" + "\n".join(refused) if refused else "")


if __name__ == "__main__":
    main()
