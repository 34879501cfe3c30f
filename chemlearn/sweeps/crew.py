"""Who does the work: threads here, processes, any executor of ``concurrent.futures``, or Dask."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any

from chemlearn.errors import SimulationError
from chemlearn.simulate.engines import IN_PROCESSES

_AHEAD = 3  # tasks handed out for each worker elsewhere, where results travel


@dataclass(frozen=True)
class Crew:
    """Workers, and how they are to be used.

    Parameters
    ----------
    executor : concurrent.futures.Executor
    workers : int
    capacity : int
        Tasks to hand out at a time: more than there are workers, so that none is idle.
    planners : int
        Of them, how many may plan points; where all share one process only one can.
    inner : int
        Processes that each task may start.
    here : bool
        Whether the tasks run in this process, where an event can stop them.
    """

    executor: Executor
    workers: int
    capacity: int
    planners: int
    inner: int = 1
    here: bool = False

    def extra(self, stopping: Event) -> tuple[Any, ...]:
        """What a simulation is told beside the shard itself."""
        return (self.inner, stopping) if self.here else (self.inner,)


class Inline(Executor):
    """Does each task at once, in the calling thread."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


def cores() -> int:
    """Cores that this process may use: on a cluster often fewer than the machine has."""
    return len(os.sched_getaffinity(0))


@contextmanager
def local(engine: str, workers: int | None) -> Iterator[Crew]:
    """This machine: a thread for each core, or, for engines that hold Python's lock, processes.

    Those engines start their own processes for each shard; the shards are then done one after the other.
    """
    count = workers or cores()
    if engine in IN_PROCESSES:
        yield Crew(Inline(), 1, 1, 1, inner=count, here=True)
        return
    team = ThreadPoolExecutor(count, thread_name_prefix="sweep")
    try:
        yield Crew(team, count, 2 * count, 1, here=True)
    finally:
        team.shutdown(wait=True, cancel_futures=True)


def given(executor: Executor, workers: int | None) -> Crew:
    """An executor that somebody else made, and will end."""
    count = workers or getattr(executor, "_max_workers", None) or cores()
    here = isinstance(executor, ThreadPoolExecutor)
    return Crew(executor, count, _AHEAD * count, 1 if here else count, here=here)


@contextmanager
def dask(address: str) -> Iterator[Crew]:
    """The workers of a Dask scheduler.

    Raises
    ------
    SimulationError
        Without Dask, without a scheduler at the address, or without workers there.
    """
    try:
        from distributed import Client
    except ImportError:
        raise SimulationError(
            "Dask is not installed, so no scheduler can be used; install it: pip install 'chemlearn[cluster]'"
        ) from None
    with _quiet("distributed", "distributed.client"):
        try:
            # never the default: a client that has died would answer for every Dask array of the process
            client = Client(address, timeout=10, set_as_default=False)
        except (OSError, ValueError) as error:
            raise SimulationError(
                f"no Dask scheduler answers at {address!r} ({' '.join(str(error).split())[:120]}); start one "
                f"with 'dask scheduler' and give the address that it prints"
            ) from None
        try:
            count = sum(client.ncores().values())
            if not count:
                raise SimulationError(
                    f"the Dask scheduler at {address!r} has no workers; start some: dask worker {address}"
                )
            yield given(client.get_executor(pure=False), count)
        finally:
            client.close()


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Keep loggers from telling in pages what comes back as an exception."""
    logs = [logging.getLogger(name) for name in names]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)
