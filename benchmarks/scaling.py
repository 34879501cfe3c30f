"""Cost per firing and set-up against the number of reactions: lock-step lanes and the sparse engine.

Usage: python -m benchmarks.scaling [--sizes 20,50,...] [--lanes-up-to 400] [--firings 2e6] [--rounds 3]

Two kinds of generated networks, with 20 molecules of every species at the start, all laws mass action:

- ``chain``: X0 <-> X1 <-> X2 ..., every reaction split into its two directions; a firing changes 4 laws.
- ``random``: A + B <-> C + D of four random species, one species for every two reactions; a firing changes
  18 laws.

Every round runs both engines on the same network, one thread; what is printed are medians of CPU time. Where
the two lines cross is where the choice of the engine has its threshold.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from benchmarks.timing import cpu, header, row, wall
from chemlearn.model import Model
from chemlearn.simulate import native, sparse

SIZES = (20, 50, 100, 150, 200, 400, 1000, 5000)
START = 20  # molecules of every species
TRAJECTORIES = 64  # at once, enough for full lanes


def chain(reactions: int) -> str:
    """A reversible chain of conversions, each direction a reaction."""
    steps = reactions // 2
    lines = [
        f"f{i}: X{i} => X{i + 1}; k{i}*X{i}; b{i}: X{i + 1} => X{i}; q{i}*X{i + 1};" for i in range(steps)
    ]
    return _network(steps + 1, lines, [f"k{i} = 1; q{i} = 1;" for i in range(steps)])


def random(reactions: int) -> str:
    """Reversible bimolecular reactions of random species."""
    rng = np.random.default_rng(reactions)
    pairs, species = reactions // 2, max(4, reactions // 2)
    lines = []
    for i in range(pairs):
        a, b, c, d = rng.choice(species, 4, replace=False)
        lines.append(f"f{i}: X{a} + X{b} => X{c} + X{d}; k{i}*X{a}*X{b};")
        lines.append(f"b{i}: X{c} + X{d} => X{a} + X{b}; q{i}*X{c}*X{d};")
    return _network(species, lines, [f"k{i} = 0.05; q{i} = 0.05;" for i in range(pairs)])


def _network(species: int, reactions: list[str], values: list[str]) -> str:
    names = ", ".join(f"X{i}" for i in range(species))
    start = " ".join(f"X{i} = {START};" for i in range(species))
    return "\n".join([f"substanceOnly species {names};", start, *values, *reactions])


KINDS: dict[str, Callable[[int], str]] = {"chain": chain, "random": random}
ENGINES: dict[str, Any] = {"lanes": native.Run, "sparse": sparse.Run}


def compiled(engine: str, model: Model, times: np.ndarray) -> Any:
    """An engine that is ready to run."""
    run = ENGINES[engine](model, times, None, {})
    assert run.code is not None  # lanes are compiled when their code is first asked for
    return run


def measure(kind: str, size: int, engines: list[str], firings: float, rounds: int) -> None:
    """One line of the table."""
    text = KINDS[kind](size)
    load, model = wall(Model.load, text)
    lint, _ = wall(model.findings)
    rate = START * size if kind == "chain" else 0.05 * START**2 * size
    each = max(200.0, firings / TRAJECTORIES)
    times = np.array([0.0, each / rate])
    counting = sparse.Run(model, times, None, {}, firings=True)
    first = len(counting.columns) - size
    fired = float(counting(range(4), 1, 0)[:, -1, first:].sum(axis=-1).mean())
    ready = {name: wall(compiled, name, model, times) for name in engines}
    costs: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds):
        for name in engines:
            took, _ = cpu(ready[name][1], range(TRAJECTORIES), 1, 0)
            costs[name].append(1e9 * took / (TRAJECTORIES * fired))
    cells: list[str] = []
    for name in ENGINES:
        done = name in engines
        cells += [f"{median(costs[name]):.0f}" if done else "–", f"{ready[name][0]:.2f}" if done else "–"]
    row(kind, size, *cells, f"{load:.2f}", f"{lint:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--lanes-up-to", type=int, default=400, help="their set-up grows with the size")
    parser.add_argument(
        "--firings", type=float, default=2e6, help="of all trajectories, per engine and round"
    )
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    header(
        "network",
        "reactions",
        "lanes, ns per firing",
        "set-up s",
        "sparse, ns per firing",
        "set-up s",
        "load s",
        "lint s",
    )
    for kind in options.kinds.split(","):
        for size in map(int, options.sizes.split(",")):
            engines = [name for name in ENGINES if name != "lanes" or size <= options.lanes_up_to]
            measure(kind, size, engines, options.firings, options.rounds)


if __name__ == "__main__":
    main()
