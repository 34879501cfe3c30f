"""Speed and memory of learning MNIST (F Fig. 3), beside a literal implementation.

Usage: python -m benchmarks.learning [--only training,literal,threads,memory] [--epochs 35] [--seed 1]

training  35 epochs of 10,000 digits and 2,000 held out, by both backends on one thread
literal   the first minibatches and late ones, beside interpolation and convolution for every weight
threads   the first epochs with one thread and with two, in turn
memory    peak memory of a whole training in a process of its own, digits and Python included

CPU time of one thread, but for ``threads``. What is compiled is compiled, and kept, before.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable
from statistics import median

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import literal_learning
from benchmarks.timing import Company, cpu, header, paired, row, verdict, wall
from chemlearn.data import load_mnist
from chemlearn.learning.layered import LayeredNetwork
from chemlearn.learning.lesson import Backend, lesson
from chemlearn.learning.rules import Temporal
from chemlearn.learning.training import Training, train

NETWORK = LayeredNetwork((784, 500, 10))
WANTED = {"numpy": 90.0, "numba": 20.0}  #: CPU seconds of 35 epochs
EPOCHS_WANTED = 35
MEMORY_WANTED = 1000.0  #: MB
LATE = 20  #: epochs after which late minibatches are timed
FEW = 5  #: minibatches that the literal twin does


def trained(backend: Backend, epochs: int, seed: int, workers: int = 1, size: int = 10_000) -> Training:
    """The published experiment, or its beginning."""
    digits = load_mnist(size, 2_000)
    rule = Temporal.falk2023()
    return train(NETWORK, rule, digits, epochs=epochs, seed=seed, backend=backend, workers=workers)


def training(epochs: int, seed: int) -> None:
    """Both backends on one thread."""
    header("backend", "CPU s", "s per epoch", "train error", "holdout error", "wanted")
    for backend, wanted in WANTED.items():
        took, found = cpu(trained, backend, epochs, seed)
        last = [f"{float(found.curves[name][-1]):.2%}" for name in ("train_error", "holdout_error")]
        judged = verdict(took < wanted) if epochs == EPOCHS_WANTED else f"{EPOCHS_WANTED} epochs are judged"
        row(backend, f"{took:.1f}", f"{took / epochs:.2f}", *last, f"{judged} (< {wanted:.0f} s)")


def beside_literal(seed: int) -> None:
    """Minibatches by both backends and by the letter, with the largest difference of an update."""
    digits = load_mnist(10_000, 2_000)
    header("minibatches", "backend", "ms", "literal, ms", "×", "apart by")
    for name, epochs in (("first", 0), (f"after {LATE} epochs", LATE)):
        rng = np.random.default_rng(seed)
        params = NETWORK.init(rng) if not epochs else trained("numba", epochs, seed).params
        for backend in ("numpy", "numba"):
            costs, apart = _both(digits.train, params, backend)
            mine, theirs = zip(*costs, strict=True)
            ratio = paired(theirs, mine)[0]
            shown = f"{1e3 * median(mine):.2f}", f"{1e3 * median(theirs):.0f}", f"{ratio:.0f}"
            row(
                name,
                backend,
                *shown,
                f"{apart:.0e} of an update of up to {_largest(digits.train, params):.0e}",
            )


def _minibatch(examples, k: int, params):  # type: ignore[no-untyped-def]
    """A minibatch, its targets and where its free phase starts: a state at rest."""
    rows = slice(20 * k, 20 * k + 20)
    x, target = examples.images[rows], np.eye(10)[examples.labels[rows]]
    return x, target, NETWORK.equilibrium(params, x)


def _both(examples, params, backend: Backend):  # type: ignore[no-untyped-def]
    """Seconds of a backend and of the twin for a few minibatches, and how far their updates are apart."""
    costs, apart = [], 0.0
    with lesson(NETWORK, Temporal.falk2023(), backend, 1) as teach:
        for k in range(-1, FEW):  # the first one is not counted
            x, target, start = _minibatch(examples, max(k, 0), params)
            mine = {name: values.copy() for name, values in params.items()}
            theirs = {name: values.copy() for name, values in params.items()}
            took, _state = cpu(teach, mine, x, target, 0.5, start)
            literally, _stored = cpu(literal_learning.lesson, theirs, x, target, 0.5, list(start[1:]))
            if k >= 0:
                costs.append((took, literally))
                apart = max(apart, *(float(np.abs(mine[name] - theirs[name]).max()) for name in params))
    return costs, apart


def _largest(examples, params) -> float:  # type: ignore[no-untyped-def]
    """Size of the largest update of these minibatches."""
    sizes = []
    with lesson(NETWORK, Temporal.falk2023(), "numpy", 1) as teach:
        for k in range(FEW):
            after = {name: values.copy() for name, values in params.items()}
            x, target, start = _minibatch(examples, k, params)
            teach(after, x, target, 0.5, start)
            sizes += [float(np.abs(after[name] - params[name]).max()) for name in params]
    return max(sizes)


def threads(rounds: int, seed: int) -> None:
    """The first two epochs with one thread and with two, in turn; the numbers are the same."""
    header("threads", "s", "× one thread", "least … largest ×", "wanted")
    times, results = [], []
    for _ in range(rounds):
        pair = [wall(trained, "numba", 2, seed, workers) for workers in (1, 2)]
        times.append(tuple(took for took, _found in pair))
        results += [found.params["W1"].tobytes() for _took, found in pair]
    one, two = zip(*times, strict=True)
    ratio, least, most = paired(one, two)
    row(2, f"{median(two):.2f}", f"{ratio:.2f}", f"{least:.2f} … {most:.2f}", verdict(ratio > 1))
    if len(set(results)) > 1:
        raise SystemExit("the numbers depend on the number of threads")


def memory(seed: int) -> None:
    """Peak memory of two epochs of the published experiment, in fresh processes."""
    header("backend", "digits", "MB", "wanted")
    for backend in WANTED:
        code = f"from benchmarks.learning import peak; print(peak({backend!r}, {seed}))"
        found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        used = float(found.stdout)
        row(backend, "10,000", f"{used:.0f}", f"{verdict(used < MEMORY_WANTED)} (< {MEMORY_WANTED:.0f} MB)")


def peak(backend: Backend, seed: int) -> float:
    """MB at most in use of this process, after two epochs."""
    trained(backend, 2, seed)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="training,literal,threads,memory")
    parser.add_argument("--epochs", type=int, default=EPOCHS_WANTED)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    parts: dict[str, Callable[[], None]] = {
        "training": lambda: training(chosen.epochs, chosen.seed),
        "literal": lambda: beside_literal(chosen.seed),
        "threads": lambda: threads(chosen.rounds, chosen.seed),
        "memory": lambda: memory(chosen.seed),
    }
    trained("numba", 1, chosen.seed, size=100)  # compiled from here on
    for name in chosen.only.split(","):
        if name not in parts:
            raise SystemExit(f"no part is named {name!r}; there are {', '.join(parts)}")
        company = Company()
        print(f"\n{name}\n")
        if name == "threads":
            parts[name]()
        else:
            with threadpool_limits(1):
                parts[name]()
        print(f"\n{company}")


if __name__ == "__main__":
    main()
