"""The coordinator: hands out plans and shards, writes what comes back, goes on after failures.

Only the coordinator writes. It may be killed at any instant: what is in the store is whole, and the next run
does what is missing.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, NamedTuple

import numpy as np

from chemlearn.errors import SimulationError
from chemlearn.sweeps.crew import Crew
from chemlearn.sweeps.measure import Estimate
from chemlearn.sweeps.pace import Pace, Progress
from chemlearn.sweeps.plan import Plan
from chemlearn.sweeps.results import Outcome, estimates
from chemlearn.sweeps.store import Failure, Store
from chemlearn.sweeps.tasks import Broken, Limits, planned, recipe_of, simulated

_LOOK = 0.05  # seconds between two looks at whether to stop
_SHOW = 0.25  # seconds between two reports of progress
_UNPLANNED = -1  # the shard of a failure that came before any shard


class Job(NamedTuple):
    """A shard of a point to be simulated, or a point to be planned (shard −1)."""

    point: int
    shard: int = _UNPLANNED


class Runner:
    """A sweep under way.

    Parameters
    ----------
    store : Store
    limits : Limits
    stopping : threading.Event
        Ends the work when it is set, from any thread.
    notice : callable
        Called with each sentence that the user should read.
    progress : callable, optional
        Called with a :class:`~chemlearn.sweeps.pace.Progress` now and then.
    """

    def __init__(
        self,
        store: Store,
        limits: Limits,
        stopping: threading.Event,
        notice: Callable[[str], None],
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self.store, self.sweep = store, store.sweep
        self.limits, self.stopping, self.notice, self.progress = limits, stopping, notice, progress
        self.plans: dict[int, Plan] = {}
        self.failures: dict[int, Failure] = {}
        self.wanted: dict[int, set[int]] = {}  # shards of this part that are still to be simulated
        self.outcomes: dict[int, Outcome] = {}
        self.unplanned: deque[int] = deque()
        self.touched: set[int] = set()
        self.done = 0
        self.shown = 0.0

    # --- what there is -------------------------------------------------------------------------------------

    def take_stock(self, *, retry_failed: bool = False) -> None:
        """Find out what is done, take away what is damaged."""
        store = self.store
        for sentence in store.clear_damage():
            self.notice(sentence)
        for point in range(self.sweep.grid.size):
            if retry_failed:
                store.failure.remove(point, 0)
            failure, plan = store.read_failure(point), store.read_plan(point)
            if failure is not None:
                self.failures[point] = failure
            missing = {shard for shard in store.shards(point) if not store.result.has(point, 0, shard)}
            self.done += len(store.shards(point)) - len(missing)
            self.wanted[point] = missing
            if plan is not None:
                self._learn(point, plan)
            elif failure is None and store.shards(point):
                self.unplanned.append(point)
            self._settle(point)

    def _learn(self, point: int, plan: Plan) -> None:
        """A plan is there."""
        self.plans[point] = plan
        if not plan.columns(self.sweep.measures):  # nothing can be estimated here
            self.wanted[point] = set()

    def _settle(self, point: int) -> None:
        """Note what is known of a point, and what is not wanted any more."""
        plan, failure = self.plans.get(point), self.failures.get(point)
        if failure is not None:
            self.wanted[point] = {shard for shard in self.wanted[point] if shard < failure.shard}
        there = [s for s in range(self.sweep.shards) if self.store.result.has(point, 0, s)]
        kept = sum(len(self.sweep.block(s)) for s in there if failure is None or s < failure.shard)
        found: tuple[Estimate, ...] = ()
        if plan is not None and failure is None:
            if not plan.columns(self.sweep.measures):
                found = estimates(self.sweep, plan, {})
            elif len(there) == self.sweep.shards:
                found = estimates(self.sweep, plan, self.store.numbers(point))
        self.outcomes[point] = Outcome(plan, failure, kept, found)

    @property
    def left(self) -> int:
        """Shards of this part that are still to be simulated."""
        return sum(map(len, self.wanted.values()))

    @property
    def everything_done(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.left or self.unplanned)

    # --- the work ------------------------------------------------------------------------------------------

    def run(self, crew: Crew) -> bool:
        """Do what is wanted; whether it was ended before everything was done.

        Raises
        ------
        SimulationError
            When the disk is full, or the executor fails; what was written before is whole.
        """
        self.pace = Pace(crew.workers)
        self.pace.costs.update({point: plan.firings for point, plan in self.plans.items()})
        self.ready = deque(Job(p, s) for p in self.plans for s in sorted(self.wanted[p]))
        self.finished: SimpleQueue[Future] = SimpleQueue()
        self.under_way: dict[Future, Job] = {}
        try:
            while not self.stopping.is_set():
                self._hand_out(crew)
                if not self.under_way:
                    break
                self._take_next()
                self._show()
            while not self.finished.empty():
                self._take_next()
            self._show(last=True)
            return not self.everything_done
        except BaseException:
            self.stopping.set()
            raise
        finally:
            for future in self.under_way:
                future.cancel()
            for point in self.touched:
                self._settle(point)

    def _hand_out(self, crew: Crew) -> None:
        """Keep the crew busy."""
        while len(self.under_way) < crew.capacity and (job := self._next(crew)) is not None:
            try:
                future = crew.executor.submit(*self._task(job, crew))
            except Exception as error:
                raise _executor_failed(error) from None
            self.under_way[future] = job
            future.add_done_callback(self.finished.put)

    def _next(self, crew: Crew) -> Job | None:
        """A plan where shards would run out soon, else the next shard."""
        planning = sum(job.shard == _UNPLANNED for job in self.under_way.values())
        if self.unplanned and len(self.ready) < crew.capacity and planning < crew.planners:
            return Job(self.unplanned.popleft())
        while self.ready:
            job = self.ready.popleft()
            if job.shard in self.wanted[job.point]:
                return job
        return None

    def _task(self, job: Job, crew: Crew) -> tuple[Any, ...]:
        """The function to call, and its arguments."""
        sweep, recipe = self.sweep, recipe_of(self.sweep, job.point)
        if job.shard == _UNPLANNED:
            stopping = (self.stopping,) if crew.here else ()
            return planned, recipe, sweep.measures, sweep.conditions, *stopping
        plan = self.plans[job.point]
        how = sweep.seed, job.point, sweep.block(job.shard), sweep.engine, self.limits
        columns = plan.columns(sweep.measures)
        return simulated, recipe, plan.course, columns, *how, *crew.extra(self.stopping)

    def _take_next(self) -> None:
        """Wait a moment for something to be finished."""
        try:
            future = self.finished.get(timeout=_LOOK)
        except Empty:
            return
        job = self.under_way.pop(future)
        answer = self._answer(future)
        if isinstance(answer, Broken):
            self._fail(job, answer.reason)
        elif isinstance(answer, Plan):
            self._learn(job.point, self.store.write_plan(job.point, answer))
            self.pace.costs[job.point] = answer.firings
            self.ready.extend(Job(job.point, shard) for shard in sorted(self.wanted[job.point]))
            if not self.wanted[job.point]:
                self._settle(job.point)
        elif answer is not None:
            self._keep(job, answer)

    def _answer(self, future: Future) -> Any:
        """What a task returned; None from one that was told to stop."""
        try:
            return future.result()
        except KeyboardInterrupt:
            return None
        except (Exception, CancelledError) as error:
            if type(error).__name__ == "KilledWorker":  # Dask's, which may not be installed
                return Broken(
                    "it ended several worker processes that simulated it: out of memory, or a crash"
                )
            raise _executor_failed(error) from None

    def _keep(self, job: Job, numbers: np.ndarray) -> None:
        """Write a shard."""
        names = [column.name for column in self.plans[job.point].columns(self.sweep.measures)]
        table = np.full((len(self.sweep.columns), numbers.shape[1]), np.nan)
        table[[self.sweep.columns.index(name) for name in names]] = numbers
        self.store.write_shard(job.point, job.shard, table)
        self.pace.finished(job.point, numbers.shape[1])
        self.wanted[job.point].discard(job.shard)
        self.done += 1
        self.touched.add(job.point)
        if not self.wanted[job.point]:
            self._settle(job.point)
            self.touched.remove(job.point)

    def _fail(self, job: Job, reason: str) -> None:
        """Mark a point as failed; of several failures the one in the first shard counts, whoever is fast."""
        known = self.failures.get(job.point)
        if known is None or job.shard < known.shard:
            self.failures[job.point] = Failure(job.shard, reason)
            self.store.write_failure(job.point, self.failures[job.point])
        self._settle(job.point)

    def _show(self, *, last: bool = False) -> None:
        """Report progress, not too often."""
        if self.progress is None or (monotonic() - self.shown < _SHOW and not last):
            return
        self.shown = monotonic()
        size = self.sweep.shard_size
        waiting = {point: len(shards) * size for point, shards in self.wanted.items() if shards}
        pace, failed = self.pace, len(self.failures)
        left = pace.left(waiting)
        self.progress(Progress(self.done, self.done + self.left, pace.trajectories, pace.rate, left, failed))


def _executor_failed(error: BaseException) -> SimulationError:
    what = " ".join(f"{type(error).__name__}: {error}".split())[:300].rstrip(": ")
    if isinstance(error, CancelledError):
        what = "it cancelled the work: the connection is lost, or it was shut down"
    return SimulationError(
        f"the executor failed ({what}); what is done is kept: run the same again with one that works"
    )


@contextmanager
def interruptible(stopping: threading.Event) -> Iterator[None]:
    """Let Ctrl-C set an event instead of breaking in anywhere; a second Ctrl-C breaks in.

    In the main thread, for only there Python lets signals be handled; elsewhere the event itself is the way.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def stop(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        stopping.set()

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
