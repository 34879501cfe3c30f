"""Ensembles in worker processes: what comes back, what fails, and Ctrl-C."""

from __future__ import annotations

import os
import signal as process_signals
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from chemlearn.errors import SimulationError
from chemlearn.model import Model
from chemlearn.simulate import engines, simulate_ssa
from tests.conftest import BOTH

BIRTH_DEATH = """
substanceOnly species X; X = 0; s = 10; k = 0.5;
made: => X; s;
lost: X => ; k*X;
"""


def test_the_dataset_and_the_progress() -> None:
    seen: list[tuple[int, int]] = []
    data = simulate_ssa(
        Model.load(BIRTH_DEATH),
        np.array([0.0, 1.0]),
        trajectories=100,
        seed=5,
        engine="roadrunner",
        progress=lambda *p: seen.append(p),
    )
    assert dict(data.sizes) == {"trajectory": 100, "time": 2}
    assert data.X.dims == ("trajectory", "time")
    np.testing.assert_array_equal(data.trajectory, np.arange(100))
    assert (data.attrs["engine"], data.attrs["seed"], data.attrs["trajectories"]) == ("roadrunner", "5", 100)
    assert seen[-1] == (100, 100)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert all(wanted == 100 for _, wanted in seen)


def test_an_error_in_a_callback_comes_through() -> None:
    def stop(done: int, wanted: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        simulate_ssa(Model.load(BIRTH_DEATH), np.array([0.0, 1.0]), trajectories=100, seed=5, progress=stop)


def test_a_crash_in_a_worker_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        engines._RoadRunnerRun, "__call__", lambda *_: os.kill(os.getpid(), process_signals.SIGSEGV)
    )
    with pytest.raises(SimulationError, match="a worker process of the engine died"):
        simulate_ssa(
            Model.load(BIRTH_DEATH), np.array([0.0, 1.0]), trajectories=100, seed=5, engine="roadrunner"
        )


def test_an_engine_error_in_a_worker_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise SimulationError("no more")

    monkeypatch.setattr(engines._RoadRunnerRun, "__call__", fail)
    with pytest.raises(SimulationError, match="no more"):
        simulate_ssa(
            Model.load(BIRTH_DEATH), np.array([0.0, 1.0]), trajectories=100, seed=5, engine="roadrunner"
        )


INTERRUPTED = """
    import numpy as np
    from chemlearn.model import Model
    from chemlearn.simulate import EnsembleInterrupted, simulate_ssa

    model = Model.load({text!r})

    def run(model, end, **how):
        try:
            return simulate_ssa(model, np.linspace(0, end, 3), seed=5, engine={engine!r}, **how)
        except EnsembleInterrupted as error:
            print("message", error, flush=True)
            return error.done

    say = lambda *p: print("progress", flush=True)
    done = run(model, 10, trajectories=2_000_000, workers=2, progress=say)
    again = run(model, 10, trajectories=int(done.trajectory.max()) + 1)
    print("same", np.array_equal(done.X, again.X.sel(trajectory=done.trajectory)), flush=True)
    done = run(model.with_values(s=1e7, k=1e-3), 1e6, trajectories=200, workers=2)
    print("nothing", done)
"""


@BOTH
def test_ctrl_c(engine: str) -> None:
    """As from a terminal, where the whole process group gets the signal.

    First in a large ensemble: what is done is kept, and is what it would have been. Then in trajectories that
    would run for hours: they are ended at once, and so are the programs in which GillesPy2 runs them.
    """
    script = textwrap.dedent(INTERRUPTED.format(text=BIRTH_DEATH, engine=engine))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", script], start_new_session=True, **pipes)  # type: ignore[call-overload]
    try:
        lines = (line.split() for line in process.stdout if line.strip() != "progress")
        assert process.stdout.readline() == "progress\n"
        os.killpg(process.pid, process_signals.SIGINT)
        began = time.monotonic()
        message = next(lines)
        assert time.monotonic() - began < 5
        assert message[:2] == ["message", "interrupted:"]
        assert 0 < int(message[2]) < 2_000_000
        assert " ".join(message[3:]) == "of 2000000 trajectories are done and kept"
        assert next(lines) == ["same", "True"]

        at_work = {"roadrunner": 2, "gillespy2": 4}[
            engine
        ]  # two workers, and with GillesPy2 a program for each
        deadline = time.monotonic() + 30
        while len(descendants := _descendants(process.pid)) < at_work:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.5)
        os.killpg(process.pid, process_signals.SIGINT)
        began = time.monotonic()
        assert " ".join(next(lines)) == "message interrupted: 0 of 200 trajectories are done and kept"
        assert next(lines) == ["nothing", "None"]
        assert time.monotonic() - began < 5
        assert process.wait(timeout=10) == 0
        assert process.stderr.read() == ""
        assert not [pid for pid in descendants if _alive(pid)]
    finally:
        for pid in [*_descendants(process.pid), process.pid]:
            if _alive(pid):
                os.kill(pid, process_signals.SIGKILL)
        process.communicate()


def _descendants(pid: int) -> set[int]:
    found: set[int] = set()
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                for child in map(int, file.read().split()):
                    found |= {child, *_descendants(child)}
    except OSError:  # it has ended meanwhile
        pass
    return found


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
