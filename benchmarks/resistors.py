"""Speed of resistor networks that learn out of equilibrium (S Figs. 2 and 3).

Usage: python -m benchmarks.resistors [--only task,figure,size,large,many] [--tasks 50] [--rounds 5]

task    the published network of 64 nodes at α/γ = 0.1 and 10, and at rest; median over tasks that are solved
figure  training times of S Fig. 3B: all tasks at 13 rates of learning, by both definitions of the error
size    a step of the dynamics in networks of 64 to 10,000 nodes, per edge
large   a network of 10,000 nodes learns a task, beside one factorisation of its equations
many    the training times that ship with the package, again, beside those; not unless asked for, 400 take
        a quarter of an hour

CPU time of one thread. What is compiled is compiled, and kept, before.
"""

from __future__ import annotations

import argparse
import math
from functools import partial
from statistics import median

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.timing import Company, cpu, header, row, verdict
from chemlearn.figures.stern_many import many_times, saved_times
from chemlearn.resistors.coupled import coupled_learning
from chemlearn.resistors.files import published_network
from chemlearn.resistors.generate import disordered_network
from chemlearn.resistors.solve import response
from chemlearn.resistors.tasks import allosteric

WANTED = {0.1: 30e-3, 10.0: 20e-3}  #: seconds of a task at α/γ
FIGURE_WANTED = 180.0  #: seconds of 50 tasks at 13 rates
RATES = np.logspace(-3, 6, 13)
TASKS_WANTED = 50
SIZES = (64, 250, 1000, 4000, 10_000)
SLACK = 2.0  #: how much more than the smallest network's a step may cost per edge


def compile_all() -> None:
    network = disordered_network(20, seed=1)
    for stepper in ("explicit", "stabilised"):
        coupled_learning(network, allosteric(network, seed=1), error="equilibrium", stepper=stepper)


def task(options: argparse.Namespace) -> None:
    network = published_network()
    tasks = [allosteric(network, seed=seed) for seed in range(options.tasks)]
    print(f"\nA task in the published network: {options.tasks} tasks, {options.rounds} rounds")
    header("α/γ", "solved", "ms, median of tasks", "ms, longest of the solved", "steps", "wanted")
    for ratio in (*WANTED, math.inf):
        how = {"gamma": math.inf} if math.isinf(ratio) else {"alpha": ratio}
        found = []
        for one in tasks:
            learn = partial(coupled_learning, network, one, **how)
            cost, data = cpu(learn)
            if data.attrs["reached"]:  # others take up to minutes at rest: they are run once
                costs = [cost, *(cpu(learn)[0] for _ in range(options.rounds - 1))]
                found.append((median(costs), data.attrs["steps"]))
        costs = [cost for cost, _steps in found]
        limit = WANTED.get(ratio)
        row(
            f"{ratio:g}",
            f"{len(found)} of {len(tasks)}",
            f"{1e3 * median(costs):.1f}",
            f"{1e3 * max(costs):.1f}",
            f"{median(steps for _cost, steps in found):.0f}",
            f"{verdict(median(costs) < limit)} (< {1e3 * limit:.0f} ms)" if limit else "no limit",
        )


def figure(options: argparse.Namespace) -> None:
    network = published_network()
    print(f"\nS Fig. 3B: {options.tasks} tasks at {len(RATES)} rates of learning")
    header("error", "runs", "solved", "CPU s", "wanted")
    for error in ("instantaneous", "equilibrium"):

        def all_runs(error: str = error) -> int:
            return sum(
                coupled_learning(network, allosteric(network, seed=seed), alpha=alpha, error=error).attrs[
                    "reached"
                ]
                for seed in range(options.tasks)
                for alpha in RATES
            )

        took, solved = cpu(all_runs)
        judged = (
            f"{verdict(took < FIGURE_WANTED)} (< {FIGURE_WANTED:.0f} s)"
            if options.tasks == TASKS_WANTED
            else f"{TASKS_WANTED} tasks are judged"
        )
        row(error, options.tasks * len(RATES), solved, f"{took:.1f}", judged)


def size(options: argparse.Namespace) -> None:
    print("\nAn evaluation of the dynamics: from the difference of a long and a short run at α = γ")
    header("nodes", "edges", "evaluations", "µs each", "ns per edge", "linear in edges")
    least = math.inf
    for nodes in SIZES:
        network = disordered_network(nodes, seed=nodes)
        one = allosteric(network, seed=1)
        run = partial(coupled_learning, network, one, stop=False, stepper="explicit", points=2)
        spans = (5.0, 5.0 + 3e5 / (nodes + 500))
        each = []
        for _ in range(options.rounds):
            (short, few), (long, many) = (cpu(partial(run, longest=span)) for span in spans)
            count = many.attrs["evaluations"] - few.attrs["evaluations"]
            each.append((long - short) / count)
        per_edge = median(each) / network.n_edges
        least = min(least, per_edge)
        met = verdict(per_edge < SLACK * least)
        row(nodes, network.n_edges, count, f"{1e6 * median(each):.2f}", f"{1e9 * per_edge:.1f}", met)


def large(options: argparse.Namespace) -> None:
    took, network = cpu(partial(disordered_network, 10_000, seed=1))
    one = allosteric(network, seed=1)
    solving, _ = cpu(response, network, np.ones(network.n_edges), one)
    print(f"\nA network of {network.nodes:,} nodes and {network.n_edges:,} edges, made in {took:.1f} s;")
    print(f"voltages at rest take {solving:.2f} s")
    header("α/γ", "outcome", "steps", "evaluations", "CPU s")
    for alpha in (1.0, 100.0):
        took, data = cpu(partial(coupled_learning, network, one, alpha=alpha, goal=1e-2, points=5))
        row(alpha, data.attrs["outcome"], data.attrs["steps"], data.attrs["evaluations"], f"{took:.1f}")


def many(options: argparse.Namespace) -> None:
    kept = saved_times().training_time.isel(task=slice(options.tasks))
    took, data = cpu(partial(many_times, options.tasks))
    apart = np.abs(data.training_time / kept - 1)
    alike = int((data.training_time.isnull() == kept.isnull()).all(["error", "rate"]).sum())
    print(
        f"\nTraining times that ship (`chemlearn figure stern-3`), {options.tasks} tasks again: {took:.0f} s;"
    )
    print(f"{alike} are solved at the same rates, and times differ by at most {float(apart.max()):.0e}")


PARTS = {"task": task, "figure": figure, "size": size, "large": large, "many": many}


DEFAULT = "task,figure,size,large"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=DEFAULT, help="parts, separated by commas; all but many by default")
    parser.add_argument("--tasks", type=int, default=TASKS_WANTED)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    unknown = sorted(set(options.only.split(",")) - PARTS.keys())
    if unknown:
        parser.error(f"no part named {unknown[0]!r}; there are {', '.join(PARTS)}")
    with threadpool_limits(1):
        compile_all()
        for part in options.only.split(","):
            company = Company()
            PARTS[part](options)
            print(f"({company})")


if __name__ == "__main__":
    main()
