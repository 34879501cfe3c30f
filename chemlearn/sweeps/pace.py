"""How fast a sweep goes, and how long it will take: from the work done so far, weighted by what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic

_ENOUGH_SECONDS, _ENOUGH_SHARDS = 3.0, 2  # of work, the second for each worker, before one may tell


@dataclass(frozen=True)
class Progress:
    """How far a sweep is.

    Parameters
    ----------
    done, total : int
        Shards; ``total`` without those that will not be simulated because their point failed.
    trajectories : int
        Simulated since this run began.
    rate : float
        Of them, per second.
    left : float or None
        Seconds until everything is done; None while too little is done to tell.
    failed : int
        Points.
    """

    done: int
    total: int
    trajectories: int
    rate: float
    left: float | None
    failed: int = 0

    def __str__(self) -> str:
        left = "time left not known yet" if self.left is None else f"about {duration(self.left)} left"
        if self.done == self.total:
            left = "done"
        failed = f", {self.failed} failed point{'s' if self.failed > 1 else ''}" if self.failed else ""
        return f"{self.done} of {self.total} shards, {self.rate:.3g} trajectories/s, {left}{failed}"


def duration(seconds: float) -> str:
    """A time in the two largest units that matter."""
    seconds = round(seconds)
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = seconds % size // smaller
            return f"{seconds // size} {unit}" + (f" {rest} {name}" if rest else "")
    return f"{seconds} s"


@dataclass
class Pace:
    """What has been done in this run.

    Points differ in cost. That of a planned point is known (firings per trajectory); where a point has not
    been planned yet it is taken as that of the average point.

    Parameters
    ----------
    workers : int
    """

    workers: int
    began: float = field(default_factory=monotonic)
    costs: dict[int, float] = field(default_factory=dict)
    shards: int = 0
    trajectories: int = 0
    spent: float = 0.0

    def finished(self, point: int, trajectories: int) -> None:
        """A shard of a point has been simulated."""
        self.shards += 1
        self.trajectories += trajectories
        self.spent += trajectories * self.costs[point]

    @property
    def rate(self) -> float:
        """Trajectories per second in this run."""
        return self.trajectories / max(monotonic() - self.began, 1e-9)

    def left(self, waiting: Mapping[int, int]) -> float | None:
        """Seconds for the trajectories that wait, by point; None while too little is done to tell."""
        elapsed = monotonic() - self.began
        if not any(waiting.values()):
            return 0.0
        if elapsed < _ENOUGH_SECONDS or self.shards < _ENOUGH_SHARDS * self.workers:
            return None
        typical = sum(self.costs.values()) / len(self.costs)
        rest = sum(count * self.costs.get(point, typical) for point, count in waiting.items())
        return elapsed * rest / self.spent
