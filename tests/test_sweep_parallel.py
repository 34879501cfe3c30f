"""The same sweep wherever the work is done: threads, processes, Dask over TCP; and how it is stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chemlearn
from chemlearn.errors import SimulationError
from chemlearn.sweeps.crew import Inline
from chemlearn.sweeps.pace import Pace, Progress, duration
from chemlearn.sweeps.results import load_sweep
from chemlearn.sweeps.sweep import SweepInterrupted
from tests.sweeping import ROTOR, quick, shards, tree

#: a shard that takes minutes: only an interruption ends it
ENDLESS: dict[str, Any] = {"over": {"N": [20, 10**8]}, "memory": 30.0}
ROOT = Path(chemlearn.__file__).parents[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "o.zarr"
    quick(path)
    return path


def eventually(holds: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait for something that is about to happen."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- executors ---------------------------------------------------------------------------------------------


def test_processes_give_the_same(whole: Path, tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        quick(tmp_path / "o.zarr", executor=executor)
    assert tree(tmp_path / "o.zarr") == tree(whole)


@pytest.mark.parametrize("make", [Inline, lambda: ThreadPoolExecutor(3)])
def test_any_executor_gives_the_same(whole: Path, tmp_path: Path, make: Callable[[], Executor]) -> None:
    with make() as executor:
        quick(tmp_path / "o.zarr", executor=executor)
    assert tree(tmp_path / "o.zarr") == tree(whole)


def test_other_engines_give_the_same_in_any_number_of_processes(tmp_path: Path) -> None:
    how: dict[str, Any] = {"engine": "roadrunner", "over": {"s": [2.0]}, "trajectories": 8}
    quick(tmp_path / "one.zarr", **how)
    quick(tmp_path / "two.zarr", **how, workers=2)
    assert tree(tmp_path / "one.zarr") == tree(tmp_path / "two.zarr")


class Failing(Inline):
    """Breaks after some tasks."""

    def __init__(self, tasks: int, how: Callable[[], Future]) -> None:
        self.tasks, self.how = tasks, how

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future:
        self.tasks -= 1
        return super().submit(fn, *args, **kwargs) if self.tasks >= 0 else self.how()


def _refused() -> Future:
    raise BrokenExecutor("no more workers")


def _cancelled() -> Future:
    future: Future = Future()
    future.cancel()
    future.set_running_or_notify_cancel()
    return future


@pytest.mark.parametrize(
    ("how", "what"),
    [(_refused, "BrokenExecutor: no more workers"), (_cancelled, "it cancelled the work: the connection")],
)
def test_a_broken_executor_is_named_and_what_is_done_is_kept(
    whole: Path, tmp_path: Path, how: Callable[[], Future], what: str
) -> None:
    path = tmp_path / "o.zarr"
    with pytest.raises(SimulationError, match=rf"the executor failed \({what}.*\); what is done is kept"):
        quick(path, executor=Failing(7, how))
    kept = load_sweep(path)
    assert 0 < len(shards(path)) < 12
    assert kept.trajectories.values.sum() == 8 * len(shards(path))
    quick(path)
    assert tree(path) == tree(whole)


def test_a_killed_worker_process_breaks_a_pool_of_processes(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "o.zarr"
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        worker = executor.submit(os.getpid).result()

        def watch(progress: Progress) -> None:
            if progress.done:
                with suppress(ProcessLookupError):  # it is killed already
                    os.kill(worker, signal.SIGKILL)

        with pytest.raises(SimulationError, match=r"the executor failed \(BrokenProcessPool"):
            quick(path, executor=executor, progress=watch, trajectories=400, shard_size=8)
    assert 0 < len(shards(path)) < 300


# --- Dask --------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """A real scheduler and two workers, processes of their own that speak TCP."""
    pytest.importorskip("distributed")
    told, team = tmp_path / "scheduler.json", []

    def start(*words: str) -> subprocess.Popen:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "dask", *words, "--no-dashboard"]
        team.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
        return team[-1]

    try:
        start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(told))
        eventually(told.exists)
        address = json.loads(told.read_text())["address"]
        workers = [start("worker", address, "--no-nanny", "--nthreads", "1") for _ in range(2)]
        yield address, workers
    finally:
        for process in team:
            process.kill()
            process.wait()


def test_dask_gives_the_same_though_a_worker_is_killed(
    cluster: tuple[str, list[subprocess.Popen]], tmp_path: Path
) -> None:
    from distributed import Client

    address, workers = cluster
    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
    path, long = tmp_path / "o.zarr", {"trajectories": 240, "memory": 30.0}

    def watch(progress: Progress) -> None:
        if progress.done >= 20:
            workers[0].kill()

    quick(path, scheduler=address, progress=watch, **long)
    assert workers[0].wait() == -signal.SIGKILL
    quick(tmp_path / "here.zarr", **long)
    assert tree(path) == tree(tmp_path / "here.zarr")


PLANNED = """
from chemlearn import Model
from chemlearn.sweeps.grid import Grid
from chemlearn.sweeps.manifest import Sweep
from chemlearn.sweeps.measure import Conditions
from chemlearn.sweeps.measures import measures
from chemlearn.sweeps.tasks import planned, recipe_of

conditions = Conditions(0.0, None, None, None)
chosen, grid = measures(("dissipation", "offset")), Grid.of({"gamma": [1e-5, 0.01, 0.1]})
sweep = Sweep(Model.load("ladder"), grid, chosen, conditions, 10, 1, "native", 10)
for point in range(3):
    print(planned(recipe_of(sweep, point), chosen, conditions).to_json())
"""


def test_plans_do_not_depend_on_the_threads_of_linear_algebra() -> None:
    """Which Dask limits in its workers, and which round the companions of measures in another way."""
    told = []
    for threads in ("1", "2"):
        limits = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        done = subprocess.run(
            [sys.executable, "-c", PLANNED],
            capture_output=True,
            text=True,
            env=os.environ | limits,
            check=True,
        )
        told.append(done.stdout)
    assert told[0].count("expected") == 3
    assert told[0] == told[1]


def test_without_a_scheduler_the_sentence_says_how_to_start_one() -> None:
    pytest.importorskip("distributed")
    with pytest.raises(SimulationError, match=r"no Dask scheduler answers at 'nonsense://x'.*start one"):
        quick(scheduler="nonsense://x")


def test_without_dask_the_sentence_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SimulationError, match=r"pip install 'chemlearn\[cluster\]'"):
        quick(scheduler="tcp://127.0.0.1:8786")


# --- stopping ----------------------------------------------------------------------------------------------


def test_an_event_stops_a_sweep_in_another_thread(tmp_path: Path) -> None:
    path, stopping, found = tmp_path / "o.zarr", threading.Event(), []

    def run() -> None:
        try:
            quick(path, stopping=stopping, **ENDLESS)
        except SweepInterrupted as interrupted:
            found.append(interrupted)

    thread = threading.Thread(target=run)
    thread.start()
    eventually(lambda: len(shards(path)) == 3)  # the point that is quick
    time.sleep(0.2)
    stopping.set()
    thread.join(30)
    assert not thread.is_alive()
    assert np.isfinite(found[0].done["mean"].values).tolist() == [True, False]
    assert "interrupted: 3 of 6 shards are done and kept" in str(found[0])


@pytest.mark.parametrize("engine", ["native", "roadrunner"])
def test_ctrl_c_in_the_main_thread_keeps_what_is_done(tmp_path: Path, engine: str) -> None:
    (tmp_path / "rotor.ant").write_text(ROTOR)
    words = "--over N=20,100000000 --memory 30 --measure mean --trajectories 24 --shard-size 8 --seed 7"
    command = [sys.executable, "-m", "chemlearn", "sweep", "rotor.ant", *words.split(), "-o", "o.zarr"]
    process = subprocess.Popen(
        [*command, "--engine", engine],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=tmp_path, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    eventually(lambda: len(shards(tmp_path / "o.zarr")) == 3)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("chemlearn: interrupted: 3 of 6 shards are done and kept in o")
    assert out.splitlines()[-1] == "data: o.zarr"
    assert np.isfinite(load_sweep(tmp_path / "o.zarr")["mean"].values).tolist() == [True, False]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o.zarr", "rotor.ant"]


def test_a_signal_handler_is_put_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    quick(over={"s": [2.0]})
    assert signal.getsignal(signal.SIGINT) is before


# --- progress ----------------------------------------------------------------------------------------------


def test_progress_counts_what_is_done_here_and_before(tmp_path: Path) -> None:
    seen: list[Progress] = []
    quick(tmp_path / "o.zarr", executor=Inline(), progress=seen.append)
    assert (seen[-1].done, seen[-1].total, seen[-1].left) == (12, 12, 0.0)
    assert seen[-1].trajectories == 96
    for file in shards(tmp_path / "o.zarr")[:4]:
        file.unlink()
    seen.clear()
    quick(tmp_path / "o.zarr", executor=Inline(), progress=seen.append)
    assert seen[0].done >= 8
    assert (seen[-1].done, seen[-1].total) == (12, 12)
    assert seen[-1].trajectories == 32


def test_time_left_weighs_points_by_their_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("chemlearn.sweeps.pace.monotonic", lambda: now[0])
    pace = Pace(workers=2, began=0.0, costs={0: 10.0, 1: 40.0})
    waiting = {0: 0, 1: 100, 2: 100}  # the last is not planned yet: taken as the mean of the others, 25
    for _ in range(3):
        pace.finished(0, 100)
    now[0] = 6.0
    assert pace.left(waiting) is None  # three shards for two workers are too few to tell
    pace.finished(0, 100)
    assert pace.left(waiting) == pytest.approx(6.0 * (100 * 40 + 100 * 25) / (400 * 10))
    now[0] = 2.0
    assert pace.left(waiting) is None  # so is so short a time
    assert pace.left({1: 0}) == 0.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.4, "4 s"), (60, "1 min"), (95, "1 min 35 s"), (7260, "2 h 1 min"), (180000, "2 d 2 h")],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text
