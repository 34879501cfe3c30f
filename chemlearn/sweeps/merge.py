"""Parts of a sweep made one: what each machine of a job array wrote, checked and copied together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import xarray as xr

from chemlearn.errors import SimulationError
from chemlearn.sweeps.lock import locked
from chemlearn.sweeps.manifest import Sweep, differences, sweep_of
from chemlearn.sweeps.measure import Measure
from chemlearn.sweeps.results import load_sweep, results, write_results
from chemlearn.sweeps.runner import Runner
from chemlearn.sweeps.store import Failure, Part, Store, read_manifest
from chemlearn.sweeps.tasks import Limits


def merge_sweep(
    file: str | Path,
    parts: Sequence[str | Path],
    *,
    measures: Iterable[Measure] = (),
) -> xr.Dataset:
    """Make one sweep of its parts.

    Parameters
    ----------
    file : path
        The folder of the whole sweep. It is made, or an interrupted merge into it goes on.
    parts : sequence of path
        The stores of all parts, in any order. They stay as they are.
    measures : iterable of Measure
        Those that are not known by name.

    Returns
    -------
    xarray.Dataset
        As of :func:`chemlearn.sweep`: the same to the last bit as of a sweep in one piece.

    Raises
    ------
    SimulationError
        Naming what is missing, given twice, unfinished, damaged, or of another sweep.
    """
    path = Path(file)
    manifest, found = _checked([Path(part) for part in parts])
    sweep = sweep_of(manifest, measures)
    stores = [Store(place, sweep, part) for part, place in sorted(found.items(), key=lambda p: p[0].number)]
    for store in stores:
        _require_complete(store)
    with locked(path):
        whole = _whole(path, sweep, manifest)
        for point in range(sweep.grid.size):
            _copy(point, stores, whole)
        runner = Runner(whole, Limits(), Event(), lambda _: None)
        runner.take_stock()
        write_results(whole, results(sweep, runner.outcomes))
        return load_sweep(path)


def _whole(path: Path, sweep: Sweep, manifest: dict[str, Any]) -> Store:
    """The store of the whole sweep: a new one, or that of a merge that was interrupted."""
    there, part = (manifest, Part()) if not path.exists() else read_manifest(path)
    unlike = differences(there, sweep.manifest())
    if unlike or part != Part():
        what = "; ".join(unlike) or f"it is part {part} of this sweep"
        raise SimulationError(f"{path}: another sweep is there: {what}; give another output")
    store = Store(path, sweep)
    if not path.exists():
        store.create()
    for _ in store.clear_damage():
        pass  # it is copied again
    return store


def _checked(paths: list[Path]) -> tuple[dict[str, Any], dict[Part, Path]]:
    """What is swept, and where its parts are."""
    if not paths:
        raise SimulationError("nothing to merge; name the stores of all parts")
    manifest, first = read_manifest(paths[0])
    found: dict[Part, Path] = {}
    for path in paths:
        other, part = read_manifest(path)
        unlike = differences(manifest, other)
        if unlike:
            raise SimulationError(
                f"{path}: this is of another sweep than {paths[0]}: {'; '.join(unlike)}; leave it out"
            )
        if part.of != first.of:
            raise SimulationError(
                f"{path}: this is part {part}, but {paths[0]} is part {first}: the sweep was cut in two "
                f"ways; merge the parts of one"
            )
        if part in found:
            raise SimulationError(f"{path}: part {part} is given twice, also as {found[part]}; leave one out")
        found[part] = path
    missing = [str(n) for n in range(1, first.of + 1) if Part(n, first.of) not in found]
    if missing:
        raise SimulationError(
            f"of the {first.of} parts {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing; "
            f"name all of them, or run those first"
        )
    return manifest, found


def _require_complete(store: Store) -> None:
    """Every shard of a part is there and whole, unless its point has failed or cannot be measured."""
    for _, _, what in store.damaged():
        raise SimulationError(f"{what}; run the command of part {store.part} again, which makes it anew")
    missing = total = 0
    for point in range(store.sweep.grid.size):
        wanted = store.shards(point)
        plan, failure = store.read_plan(point), store.read_failure(point)
        if plan is not None and not plan.columns(store.sweep.measures):
            wanted = []
        if failure is not None:
            wanted = [shard for shard in wanted if shard < failure.shard]
        total += len(wanted)
        missing += sum(not store.result.has(point, 0, shard) for shard in wanted)
    if missing:
        raise SimulationError(
            f"{store.path}: {missing} of its {total} shards are missing; run the command of part "
            f"{store.part} again, which does the rest"
        )


def _copy(point: int, stores: list[Store], whole: Store) -> None:
    """Bring together what the parts hold of a point."""
    plans = {store.path: plan for store in stores if (plan := store.read_plan(point)) is not None}
    for path, plan in plans.items():
        first = next(iter(plans))
        if plan.course != plans[first].course:
            raise SimulationError(
                f"{path}: at {whole.sweep.grid.describe(point)} the windows are others than in {first}, for "
                f"the machines computed other memories; give all parts one memory (--memory)"
            )
    if plans:
        whole.write_plan(point, next(iter(plans.values())))
    failures = [failure for store in stores if (failure := store.read_failure(point)) is not None]
    if failures:
        whole.write_failure(point, min(failures, key=_first))
    for store in stores:
        for shard in store.shards(point):
            if store.result.has(point, 0, shard) and not whole.result.has(point, 0, shard):
                whole.result.write(store.result.read(point, 0, shard), point, 0, shard)


def _first(failure: Failure) -> int:
    return failure.shard
