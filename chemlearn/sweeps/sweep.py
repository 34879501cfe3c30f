"""The entry point: a sweep in one call."""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import xarray as xr

from chemlearn.errors import ModelError, SimulationError
from chemlearn.model import Model
from chemlearn.simulate.arguments import checked_ensemble, root_seed
from chemlearn.simulate.engines import EXACT, IN_PROCESSES
from chemlearn.sweeps.crew import Crew, dask, given, local
from chemlearn.sweeps.grid import Grid
from chemlearn.sweeps.lock import locked
from chemlearn.sweeps.manifest import Sweep, differences, resumed
from chemlearn.sweeps.measure import Conditions, Measure
from chemlearn.sweeps.measures import measures as chosen_measures
from chemlearn.sweeps.pace import Progress
from chemlearn.sweeps.plan import Plan
from chemlearn.sweeps.results import Table, load_sweep, results, write_results
from chemlearn.sweeps.runner import Runner, interruptible
from chemlearn.sweeps.store import GROUP, Part, Store, read_manifest
from chemlearn.sweeps.tasks import Broken, Limits, Stop, planned, recipe_of

_FIRINGS = {"roadrunner": 1e7}  # of a shard, else 1e8: a second or a few
_BYTES = 2**26  # of counts while a shard is simulated
_TOGETHER = 8  # trajectories that our own engine simulates in lock-step anyway, however much they cost


class SweepInterrupted(KeyboardInterrupt):
    """A sweep was ended early, by Ctrl-C or by the event ``stopping``; what is done is kept.

    Parameters
    ----------
    message : str
    done : xarray.Dataset
        As of :func:`chemlearn.sweep`; nan where a point is not complete.
    """

    def __init__(self, message: str, done: xr.Dataset) -> None:
        super().__init__(message)
        self.done = done


@dataclass(frozen=True)
class Means:
    """By what means a sweep is done; nothing of it changes the numbers."""

    limits: Limits
    retry_failed: bool
    workers: int | None
    executor: Executor | None
    scheduler: str | None
    progress: Callable[[Progress], None] | None
    stopping: Event
    notice: Callable[[str], None]

    @contextmanager
    def crew(self, engine: str) -> Iterator[Crew]:
        """Who does the work."""
        if self.scheduler is not None:
            with dask(self.scheduler) as crew:
                yield crew
        elif self.executor is not None:
            yield given(self.executor, self.workers)
        else:
            with local(engine, self.workers) as crew:
                yield crew


def sweep(
    model: Model,
    over: Mapping[str, str | float | Iterable[float]],
    *,
    measures: str | Iterable[str | Measure] = ("dissipation", "offset"),
    trajectories: int = 1000,
    seed: int | None = None,
    file: str | Path | None = None,
    before: float = 0.0,
    memory: float | None = None,
    mean: float | None = None,
    rise: float | None = None,
    engine: str = "native",
    most_firings: int | None = None,
    timeout: float | None = None,
    shard_size: int | None = None,
    part: str | None = None,
    retry_failed: bool = False,
    workers: int | None = None,
    executor: Executor | None = None,
    scheduler: str | None = None,
    progress: Callable[[Progress], None] | None = None,
    stopping: Event | None = None,
    notice: Callable[[str], None] | None = None,
) -> xr.Dataset:
    """Stochastic ensembles at every point of a grid of parameter values.

    Parameters
    ----------
    model : Model
    over : mapping of str to values
        Parameters or initial amounts (as :meth:`Model.with_values` takes them) and their values: numbers, or
        text such as ``"logspace(-8,0,50)"``. Every combination is a point.
    measures : list of str or Measure
        ``"mean"``, ``"variance"``, ``"dissipation"``, ``"area"``, ``"first_moment"``, ``"offset"``, or your
        own (:mod:`chemlearn.sweeps.measure`).
    trajectories : int
        At every point, at least 2.
    seed : int, optional
        Root seed; drawn and recorded by default, or that of the sweep in ``file``. Trajectory k of point p
        has its own stream, so that nothing depends on workers, shards, machines or restarts.
    file : path, optional
        A folder, such as ``"out.zarr"``. What is done there already is not done again: call it with the same
        arguments after an interruption. Without it nothing is kept but the result.
    before : float
        For ``area``, ``first_moment`` and ``offset``: the level from which the input steps to the point's own
        (F58). 0 by default, as in the paper.
    memory : float, optional
        Slowest time constant of the model, in which a trajectory's parts are counted (it settles for 14 and
        is watched for 10, 10 and 20); from the Jacobian at each point by default.
    mean, rise : float, optional
        s̄ and τ_f of ``offset`` (F10): by default the point's own input, and 30 half-times of its kernel.
    engine : {"native", "roadrunner", "gillespy2"}
        As of :func:`chemlearn.simulate_ssa`.
    most_firings, timeout : int, float, optional
        Firings, and seconds, that one trajectory may take. A point with one that takes more fails, with its
        reason, and the rest goes on.
    shard_size : int, optional
        Trajectories that are simulated together and written as one file; about a second's work by default.
    part : str, optional
        ``"2/8"``: only the second of eight parts of the shards, into a store of its own beside ``file``; see
        :func:`chemlearn.merge_sweep`.
    retry_failed : bool
        Try failed points again.
    workers : int, optional
        Threads (processes, for engines other than the native one); all cores by default.
    executor : concurrent.futures.Executor, optional
        Does the work instead.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers do the work instead.
    progress : callable, optional
        Called with a :class:`~chemlearn.sweeps.pace.Progress` a few times a second.
    stopping : threading.Event, optional
        Ends the sweep as Ctrl-C does when it is set, from any thread.
    notice : callable, optional
        Called with each sentence that you should read, such as what was found damaged; warns by default.

    Returns
    -------
    xarray.Dataset
        Over the swept names: every measure with its ``…_error`` (standard error) and its companion, such as
        ``dissipation_rate_equations``; ``trajectories`` done, and in words why a point ``failed`` and the
        ``reason`` why a value is nan or infinite.

    Raises
    ------
    ValueError
        For arguments that make no sense.
    ModelError
        When the model cannot be swept.
    SimulationError
        When the store cannot be written, holds another sweep, or is in use; when the executor fails.
    SweepInterrupted
        On Ctrl-C; what is done is kept in ``file``.
    """
    means = Means(
        Limits(most_firings, timeout),
        retry_failed,
        workers,
        executor,
        scheduler,
        progress,
        Stop(stopping or Event()),
        notice or _warn,
    )
    conditions = Conditions(before, memory, mean, rise)
    chosen = Part() if part is None else Part.parse(part)
    asked = request(model, Grid.of(over), measures, conditions, trajectories, seed, engine, shard_size, means)
    return asked.done(file, chosen)


@dataclass(frozen=True)
class Request:
    """A sweep that makes sense; what was not given (seed, shard size) is taken from what is there already.

    Parameters
    ----------
    asked : Sweep
        With a shard size of 0 where none is given.
    seeded : bool
        Whether the seed was given.
    means : Means
    """

    asked: Sweep
    seeded: bool
    means: Means

    def require(self, file: str | Path | None, part: Part) -> None:
        """Refuse a part that could not be merged with the others."""
        if part.of > 1 and file is None:
            raise ValueError("a part of a sweep needs a file to be kept in; give one")
        if part.of > 1 and not self.seeded:
            raise ValueError("the parts of a sweep need one seed; give the same to all of them")

    def done(self, file: str | Path | None, part: Part) -> xr.Dataset:
        """The results of it; see :func:`sweep`."""
        self.require(file, part)
        with _place(file) as whole:
            path = part.path(whole)
            with locked(path):
                return _run(self._opened(path, part), self.means, kept=file is not None)

    def _opened(self, path: Path, part: Part) -> Store:
        """The store that is there, if it holds what is asked, or a new one."""
        if not path.exists():
            return self._made(path, part)
        there, held = read_manifest(path)
        asked = resumed(self.asked, there, seed=self.seeded, shard_size=self.asked.shard_size > 0)
        unlike = differences(there, asked.manifest())
        if held != part:
            unlike.append(f"it is part {held} there and {part} here")
        if unlike:
            raise SimulationError(
                f"{path}: another sweep is there: {'; '.join(unlike)}; give another output, or remove that "
                f"folder"
            )
        return Store(path, asked, part)

    def _made(self, path: Path, part: Part) -> Store:
        """A new store, empty but for the plans that were needed to make it."""
        plans = _probed(self.asked, self.means)
        asked = self.asked
        if not asked.shard_size:
            asked = replace(asked, shard_size=_shard_size(asked, plans))
        store = Store(path, asked, part)
        store.create()
        for point, plan in plans.items():
            if store.shards(point):
                store.write_plan(point, plan)
        write_results(store, results(asked, {}))
        return store


def request(
    model: Model,
    grid: Grid,
    measures: str | Iterable[str | Measure],
    conditions: Conditions,
    trajectories: int,
    seed: int | None,
    engine: str,
    shard_size: int | None,
    means: Means,
) -> Request:
    """A sweep from its arguments, checked; they are those of :func:`sweep`.

    Raises
    ------
    ValueError
        For what makes no sense; ``ModelError``, which is one too, for names that the model does not have.
    """
    limits = means.limits
    if means.executor is not None and means.scheduler is not None:
        raise ValueError("an executor and a scheduler cannot both do the work; give one of them")
    checked_ensemble(trajectories, means.workers, seed, limits.most_firings, limits.timeout)
    if engine not in EXACT:
        raise ValueError(f"no engine named {engine!r}; there are {', '.join(EXACT)}")
    if trajectories < 2:
        raise ValueError(f"trajectories must be at least 2, for an error bar, got {trajectories}")
    if limits.most_firings is not None and engine in IN_PROCESSES:
        raise ValueError(f"the engine {engine!r} does not count firings; use a timeout, or the native engine")
    if shard_size is not None and shard_size < 1:
        raise ValueError(f"a shard needs at least 1 trajectory, got {shard_size}")
    chosen = chosen_measures(measures)
    asked = Sweep(model, grid, chosen, conditions, trajectories, root_seed(seed), engine, shard_size or 0)
    _require_free_names(asked)
    return Request(asked, seed is not None, means)


def _require_free_names(asked: Sweep) -> None:
    """The swept names must be those of the model, and no names of results."""
    asked.model_at(0)
    names = [*asked.grid.names, *Table(asked).variables(), GROUP]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise ValueError(f"two things in the results would be named {twice!r}; give one another name")


@contextmanager
def _place(file: str | Path | None) -> Iterator[Path]:
    """Where the store goes: a folder that is taken away again where none is given."""
    if file is not None:
        yield Path(file)
        return
    with tempfile.TemporaryDirectory(prefix="chemlearn-") as folder:
        yield Path(folder) / "sweep.zarr"


def _warn(sentence: str) -> None:
    warnings.warn(sentence, stacklevel=2)


def _probed(asked: Sweep, means: Means) -> dict[int, Plan]:
    """Plans of the first and the last point, and notice of what cannot be estimated at either.

    Raises
    ------
    ModelError
        When neither can be simulated: then something is wrong with the model.
    """
    plans, reasons = {}, []
    for point in sorted({0, asked.grid.size - 1}):
        found = planned(recipe_of(asked, point), asked.measures, asked.conditions, means.stopping)
        if isinstance(found, Broken):
            reasons.append(f"at {asked.grid.describe(point)}: {found.reason}")
        else:
            plans[point] = found
    if not plans:
        raise ModelError(reasons[0])
    for i, measure in enumerate(asked.measures):
        expected = [plan.expected[i] for plan in plans.values()]
        if all(e.reason for e in expected):
            value = "infinite" if math.isinf(expected[0].value) else "not to be estimated"
            means.notice(
                f"{measure.name} is {value} at {asked.grid.describe(min(plans))} and will be so wherever the "
                f"reason holds: {expected[0].reason}"
            )
    return plans


def _shard_size(asked: Sweep, plans: Mapping[int, Plan]) -> int:
    """A power of two, or all: about a second's work where points cost most, and what fits into memory."""
    firings = max(plan.firings for plan in plans.values())
    recorded = len(asked.model.network.variables) + len(asked.model.network.rules) + 1
    size = max(len(plan.course.times) for plan in plans.values()) * 8 * recorded
    least = 1 if asked.engine in IN_PROCESSES else _TOGETHER
    most = max(least, min(_FIRINGS.get(asked.engine, 1e8) / firings, _BYTES / size))
    return min(asked.trajectories, 2 ** int(math.log2(most)))


def _run(store: Store, means: Means, *, kept: bool) -> xr.Dataset:
    """Do what is missing in a store, and write the results whatever happens."""
    runner = Runner(store, means.limits, means.stopping, means.notice, means.progress)
    runner.take_stock(retry_failed=means.retry_failed)
    ended = False
    try:
        if not runner.everything_done:
            with interruptible(means.stopping), means.crew(store.sweep.engine) as crew:
                ended = runner.run(crew)
    except SimulationError:
        with suppress(SimulationError):  # the first one says more
            write_results(store, results(store.sweep, runner.outcomes))
        raise
    write_results(store, results(store.sweep, runner.outcomes))
    data = load_sweep(store.path)
    if ended:
        where = f"kept in {store.path}; the same call goes on from there" if kept else "in this exception"
        raise SweepInterrupted(
            f"interrupted: {runner.done} of {runner.done + runner.left} shards are done and {where}", data
        )
    return data
