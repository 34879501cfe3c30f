"""Blocks of trajectories at work: in threads for engines that run beside Python, else in worker processes.

No executor of the standard library is used: ending the workers of a ``ProcessPoolExecutor`` while its feeder
thread writes can leave it waiting for itself for ever (seen with Python 3.11.7), and the threads of a
``ThreadPoolExecutor`` cannot be told to stop. Here the caller hands out blocks and collects results itself.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from time import monotonic
from typing import Any, Protocol

import numpy as np

from chemlearn.errors import SimulationError

Progress = Callable[[int, int], None]
_LOOK = 0.1  # seconds between two looks at whether the work should stop


class Run(Protocol):
    """An ensemble that an engine is ready to simulate, block by block."""

    version: str
    has_children: bool  # whether a block is simulated by a program of its own, which an interrupt ends

    @property
    def method(self) -> str:
        """How exact it is and why, in words."""

    def blocks(self, trajectories: int, workers: int) -> list[range]:
        """The trajectories in blocks of work; results must not depend on how they are cut."""

    def __call__(self, block: range, seed: int, point: int) -> np.ndarray:
        """Counts of a block, (n_trajectories, n_times, n_recorded)."""


@dataclass(frozen=True)
class Work:
    """What is to be done.

    Parameters
    ----------
    do : callable
        Makes the result of a block.
    blocks : sequence of range
        Trajectory numbers.
    take : callable
        Called in the caller's thread as ``take(i, result)`` when block i is finished, in any order.
    progress : callable, optional
        Called as ``progress(done, wanted)`` with numbers of trajectories.
    stopping : threading.Event
        Ends the work early when it is set, from any thread.
    ending : threading.Event
        What the engine looks at in threads: set when nobody wants the rest.
    timeout : float, optional
        Seconds that each trajectory of a block may take in a worker process.
    """

    do: Callable[[range], Any]
    blocks: Sequence[range]
    take: Callable[[int, Any], None]
    progress: Progress | None
    stopping: threading.Event
    ending: threading.Event
    timeout: float | None = None

    @property
    def ended(self) -> bool:
        """Whether nobody wants the rest: told to stop, or left behind by a main thread that has ended."""
        return self.stopping.is_set() or not threading.main_thread().is_alive()

    def finished(self, done: int) -> None:
        if self.progress is not None:
            self.progress(done, sum(map(len, self.blocks)))


def in_threads(work: Work, workers: int) -> bool:
    """Do all blocks in threads; whether Ctrl-C or ``work.stopping`` ended the work early.

    For engines that leave Python while they run and look at ``work.ending``. What a block raises and what
    ``progress`` raises come through, once every thread has ended.
    """
    waiting: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    results: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
    workers = min(workers, len(work.blocks))
    for number in (*range(len(work.blocks)), *[None] * workers):
        waiting.put(number)
    team = [threading.Thread(target=_labour, args=(work, waiting, results)) for _ in range(workers)]
    done, left = 0, len(work.blocks)
    try:
        for thread in team:
            thread.start()
        while left and not work.ended:
            try:
                number, result = results.get(timeout=_LOOK)
            except queue.Empty:
                continue
            if isinstance(result, KeyboardInterrupt):
                return True
            if isinstance(result, BaseException):
                raise result
            work.take(number, result)
            done, left = done + len(work.blocks[number]), left - 1
            work.finished(done)
        return left > 0
    except KeyboardInterrupt:
        return True
    finally:
        if left:
            work.ending.set()
        for thread in team:
            if thread.ident is not None:
                thread.join()


def _labour(work: Work, waiting: queue.SimpleQueue, results: queue.SimpleQueue) -> None:
    """A thread's life: do the blocks that wait, until told otherwise."""
    while (number := waiting.get()) is not None and not work.ending.is_set():
        try:
            results.put((number, work.do(work.blocks[number])))
        except BaseException as error:
            results.put((number, error))
            return


def in_processes(work: Work, workers: int, *, has_children: bool) -> bool:
    """Do all blocks in forked processes; whether Ctrl-C or ``work.stopping`` ended the work early.

    In child processes, one worker or many: an engine's C++ loop then cannot hold up Ctrl-C, and its crash
    cannot take the caller with it. Forking, because the engines' compiled models cannot be pickled.

    Raises
    ------
    SimulationError
        When a worker dies, or a trajectory takes too long; what a block raises and what ``progress`` raises
        come through as they are.
    """
    waiting = deque(range(len(work.blocks)))
    busy: dict[Connection, tuple[int, float]] = {}
    team: dict[Connection, BaseProcess] = {}
    done = 0

    def hand_out(connection: Connection) -> None:
        busy[connection] = waiting.popleft(), monotonic()
        connection.send(work.blocks[busy[connection][0]])

    try:
        with _calm_forking():
            for _ in range(min(workers, len(work.blocks))):
                _start(team, work.do, has_children)
        for connection in team:
            hand_out(connection)
        while busy:
            ready = wait(list(busy), timeout=_LOOK)
            for connection in [c for c in busy if c in ready]:
                number, _ = busy.pop(connection)
                work.take(number, _received(connection))
                done += len(work.blocks[number])
                if waiting:
                    hand_out(connection)
            if ready:
                work.finished(done)
            if work.ended:
                return bool(busy)
            _require_in_time(work, busy)
        return False
    except KeyboardInterrupt:
        return True
    finally:
        for connection in team:
            connection.close()  # which ends a worker that has nothing to do
        _end(list(team.values()), at_once=bool(busy or waiting))


def _require_in_time(work: Work, busy: dict[Connection, tuple[int, float]]) -> None:
    for number, began in busy.values():
        block = work.blocks[number]
        if work.timeout is not None and monotonic() - began > work.timeout * len(block):
            raise SimulationError(
                f"trajectories {block.start} to {block.stop - 1} took more than {work.timeout:g} s each; "
                f"allow more time, or shorten the run"
            )


def _start(team: dict[Connection, BaseProcess], do: Callable[[range], Any], has_children: bool) -> None:
    """Fork one more worker."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    inherited = [*team, ours]  # ends of the parent, which a child must not keep open
    process = context.Process(target=_serve, args=(do, theirs, inherited, has_children), daemon=True)
    process.start()
    theirs.close()
    team[ours] = process


def _received(connection: Connection) -> Any:
    try:
        answer = connection.recv()
    except (EOFError, ConnectionError):
        raise SimulationError(
            "a worker process of the engine died (out of memory, or a crash of the engine); "
            "try fewer workers, or the other engine"
        ) from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _serve(
    do: Callable[[range], Any], connection: Connection, inherited: list[Connection], has_children: bool
) -> None:
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
    if has_children:
        signal.signal(signal.SIGTERM, end)
    for other in inherited:
        other.close()
    try:
        while not ending:
            block = connection.recv()
            try:
                answer = do(block)
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
