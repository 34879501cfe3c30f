"""Blocks of trajectories in worker processes.

No executor of the standard library is used: ending the workers of a ``ProcessPoolExecutor`` while its feeder
thread writes can leave it waiting for itself for ever (seen with Python 3.11.7). Here the parent hands out
blocks and collects results itself, over one pipe to each worker, without a thread.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from time import monotonic
from typing import Protocol

import numpy as np

from chemlearn.errors import SimulationError

Progress = Callable[[int, int], None]


class Run(Protocol):
    """An ensemble that an engine is ready to simulate, block by block."""

    version: str
    has_children: bool  # whether a block is simulated by a program of its own, which an interrupt ends

    def blocks(self, trajectories: int, workers: int) -> list[range]:
        """The trajectories in blocks of work; results must not depend on how they are cut."""

    def __call__(self, block: range, seed: int, point: int) -> np.ndarray:
        """Counts of a block, (n_trajectories, n_times, n_recorded)."""


def in_processes(
    run: Run, blocks: list[range], seed: int, point: int, workers: int, progress: Progress | None
) -> tuple[dict[int, np.ndarray], bool]:
    """Results by block number, and whether Ctrl-C ended the work early.

    Always in child processes, one worker or many: an engine's C++ loop then cannot hold up Ctrl-C, and its
    crash cannot take the caller with it. Forking, because the engines' compiled models cannot be pickled.

    Raises
    ------
    SimulationError
        When a worker dies; what a block raises and what ``progress`` raises come through as they are.
    """
    finished: dict[int, np.ndarray] = {}
    waiting = deque(range(len(blocks)))
    busy: dict[Connection, int] = {}
    team: dict[Connection, BaseProcess] = {}
    try:
        with _calm_forking():
            for _ in range(min(workers, len(blocks))):
                _start(team, run, seed, point)
        for connection in team:
            busy[connection] = waiting.popleft()
            connection.send(blocks[busy[connection]])
        while busy:
            ready = wait(list(busy))
            for connection in [c for c in busy if c in ready]:
                finished[busy.pop(connection)] = _received(connection)
                if waiting:
                    busy[connection] = waiting.popleft()
                    connection.send(blocks[busy[connection]])
            if progress is not None:
                progress(sum(len(blocks[i]) for i in finished), sum(map(len, blocks)))
        return finished, False
    except KeyboardInterrupt:
        return finished, True
    finally:
        for connection in team:
            connection.close()  # which ends a worker that has nothing to do
        _end(list(team.values()), at_once=len(finished) < len(blocks))


def _start(team: dict[Connection, BaseProcess], run: Run, seed: int, point: int) -> None:
    """Fork one more worker."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    inherited = [*team, ours]  # ends of the parent, which a child must not keep open
    process = context.Process(target=_serve, args=(run, theirs, inherited, seed, point), daemon=True)
    process.start()
    theirs.close()
    team[ours] = process


def _received(connection: Connection) -> np.ndarray:
    try:
        answer = connection.recv()
    except (EOFError, ConnectionError):
        raise SimulationError(
            "a worker process of the engine died (out of memory, or a crash of the engine); "
            "try fewer workers, or the other engine"
        ) from None
    if isinstance(answer, Exception):
        raise answer
    return np.asarray(answer)


def _serve(run: Run, connection: Connection, inherited: list[Connection], seed: int, point: int) -> None:
    """A worker's life: simulate the blocks that come, until the parent hangs up."""
    ending = False

    def end(*_: object) -> None:
        nonlocal ending
        ending = True
        threading.excepthook = lambda _: (
            None
        )  # its reader may trip over what is cut off; nobody wants to know
        raise KeyboardInterrupt  # which the engine takes as the wish to end the program that it runs

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends the workers
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if run.has_children:
        signal.signal(signal.SIGTERM, end)
    for other in inherited:
        other.close()
    try:
        while not ending:
            block = connection.recv()
            answer: np.ndarray | Exception
            try:
                answer = run(block, seed, point)
            except Exception as error:
                answer = error
            if not ending:
                connection.send(answer)
    except (EOFError, ConnectionError, KeyboardInterrupt):
        pass
    os._exit(0)  # nothing of the parent's is to be tidied up here, such as GillesPy2's folders


@contextmanager
def _calm_forking() -> Iterator[None]:
    """Fork with Ctrl-C held back until the workers ignore it, and without Python's warning about threads.

    The warning (3.12 and later) is about locks that another thread may hold in the child; a worker only runs
    an engine that no thread of ours has ever used.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(processes: list[BaseProcess], *, at_once: bool) -> None:
    """See the workers out: those at work politely, so that they end what they run, then for certain."""
    if at_once:
        for process in processes:
            process.terminate()
    deadline = monotonic() + 2.0
    for process in processes:
        process.join(max(0.0, deadline - monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
