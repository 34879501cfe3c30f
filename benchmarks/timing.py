"""CPU time and wall time, and numbers as a table."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any


def cpu_seconds() -> float:
    """Of this process and of the programs that it has run."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def cpu(work: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """CPU seconds of a call, and what it returned."""
    begun = cpu_seconds()
    result = work(*arguments)
    return cpu_seconds() - begun, result


def wall(work: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Seconds that a call takes, and what it returned."""
    begun = perf_counter()
    result = work(*arguments)
    return perf_counter() - begun, result


def fitting(simulate: Callable[[int, int], object], seconds: float, most: int) -> int:
    """Trajectories that take about so many CPU seconds, at most so many; a first call does not count."""
    simulate(4, 0)
    n, took = 1, 0.0
    while took < seconds / 4 and n < most:
        n = min(most, 4 * n)
        took, _ = cpu(simulate, n, n)
    return min(most, max(4, int(n * seconds / max(took, 1e-6))))


class Company:
    """How much of the machine other programs use meanwhile."""

    def __init__(self) -> None:
        self.began, self.own, self.all = perf_counter(), cpu_seconds(), _busy_seconds()

    def __str__(self) -> str:
        others = _busy_seconds() - self.all - (cpu_seconds() - self.own)
        cores = max(0.0, others / (perf_counter() - self.began))
        return f"meanwhile other programs used {cores:.1f} of {os.cpu_count()} cores"


def _busy_seconds() -> float:
    """Of all cores since the machine started."""
    user, nice, system, _idle, _waiting, *rest = Path("/proc/stat").read_text().split()[1:9]
    return sum(map(int, (user, nice, system, *rest))) / os.sysconf("SC_CLK_TCK")


def paired(costs: Sequence[float], references: Sequence[float]) -> tuple[float, float, float]:
    """Median, least and largest of the ratios within a round."""
    ratios = [c / r for c, r in zip(costs, references, strict=True)]
    return median(ratios), min(ratios), max(ratios)


def row(*cells: object) -> None:
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def header(*cells: str) -> None:
    row(*cells)
    row(*["---"] * len(cells))


def verdict(met: bool) -> str:
    return "met" if met else "MISSED"
