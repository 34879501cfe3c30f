"""Parts of a sweep, made on different machines, are merged into what one machine would have made."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from chemlearn.errors import SimulationError
from chemlearn.model import Model
from chemlearn.sweeps.measure import Average, Column, Samples
from chemlearn.sweeps.merge import merge_sweep
from chemlearn.sweeps.results import load_sweep
from chemlearn.sweeps.store import Part
from tests.sweeping import ROTOR, quick, shards, tree

GROWS: dict[str, Any] = {"over": {"c": [0.1], "N": [10, 20, 20000]}, "most_firings": 3000}


def parts(folder: Path, count: int, **changes: Any) -> list[Path]:
    """All parts of the quick sweep."""
    whole = folder / "o.zarr"
    for number in range(1, count + 1):
        quick(whole, part=f"{number}/{count}", **changes)
    return [Part(number, count).path(whole) for number in range(1, count + 1)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """The sweep in one piece, and in four parts."""
    folder = tmp_path_factory.mktemp("parts")
    quick(folder / "whole.zarr")
    return folder / "whole.zarr", parts(folder, 4)


def test_parts_are_stores_beside_the_whole_one(made: tuple[Path, list[Path]]) -> None:
    _, found = made
    assert [path.name for path in found] == [f"o.shard-{n}-of-4.zarr" for n in (1, 2, 3, 4)]
    assert sorted(len(shards(path)) for path in found) == [3, 3, 3, 3]
    assert load_sweep(found[0]).attrs["complete"] == 0


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 0, 3, 1)])
def test_merged_they_are_the_same_to_the_last_bit(
    made: tuple[Path, list[Path]], tmp_path: Path, order: tuple[int, ...]
) -> None:
    whole, found = made
    before = [tree(path) for path in found]
    data = merge_sweep(tmp_path / "o.zarr", [found[i] for i in order])
    assert data.identical(load_sweep(whole))
    assert tree(tmp_path / "o.zarr") == tree(whole)
    assert [tree(path) for path in found] == before


def test_an_interrupted_merge_goes_on(made: tuple[Path, list[Path]], tmp_path: Path) -> None:
    whole, found = made
    merge_sweep(tmp_path / "o.zarr", found)
    files = shards(tmp_path / "o.zarr")
    files[0].unlink()
    files[5].write_bytes(b"half")
    (tmp_path / "o.zarr" / "zarr.json").unlink()
    merge_sweep(tmp_path / "o.zarr", found)
    assert tree(tmp_path / "o.zarr") == tree(whole)


def test_a_merged_sweep_is_a_sweep(made: tuple[Path, list[Path]], tmp_path: Path) -> None:
    """The command of the whole sweep finds nothing left to do."""
    whole, found = made
    merge_sweep(tmp_path / "o.zarr", found)
    quick(tmp_path / "o.zarr")
    assert tree(tmp_path / "o.zarr") == tree(whole)


def test_failures_are_merged(tmp_path: Path) -> None:
    found = parts(tmp_path, 3, **GROWS)
    quick(tmp_path / "whole.zarr", **GROWS)
    data = merge_sweep(tmp_path / "o.zarr", found)
    assert data.identical(load_sweep(tmp_path / "whole.zarr"))
    assert (data.failed.values != "").tolist() == [[False, False, True]]


def _copied(path: Path, folder: Path) -> Path:
    return Path(shutil.copytree(path, folder / path.name))


def test_a_missing_part_is_named(made: tuple[Path, list[Path]], tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match="of the 4 parts 2, 4 are missing; name all of them"):
        merge_sweep(tmp_path / "o.zarr", [made[1][0], made[1][2]])
    assert not list(tmp_path.iterdir())


def test_a_part_that_is_given_twice_is_named(made: tuple[Path, list[Path]], tmp_path: Path) -> None:
    again = _copied(made[1][1], tmp_path)
    with pytest.raises(SimulationError, match=rf"part 2/4 is given twice, also as {made[1][1]}"):
        merge_sweep(tmp_path / "o.zarr", [*made[1], again])


def test_a_part_of_another_sweep_is_named(made: tuple[Path, list[Path]], tmp_path: Path) -> None:
    foreign = parts(tmp_path, 4, seed=8)[3]
    with pytest.raises(SimulationError, match=r"of another sweep than .*: seed is 7 there and 8 here;"):
        merge_sweep(tmp_path / "m.zarr", [*made[1][:3], foreign])


def test_parts_of_two_ways_to_cut_are_named(made: tuple[Path, list[Path]], tmp_path: Path) -> None:
    other = parts(tmp_path, 2)[1]
    with pytest.raises(SimulationError, match=r"this is part 2/2, but .* is part 1/4: the sweep was cut"):
        merge_sweep(tmp_path / "m.zarr", [*made[1], other])


def test_an_unfinished_part_is_named(made: tuple[Path, list[Path]], tmp_path: Path) -> None:
    found = [_copied(path, tmp_path) for path in made[1]]
    shards(found[2])[1].unlink()
    total = len(shards(made[1][2]))
    with pytest.raises(SimulationError, match=rf"zarr: 1 of its {total} shards are missing; run .* 3/4"):
        merge_sweep(tmp_path / "o.zarr", found)


@pytest.mark.parametrize("chunk", ["result", "plan"])
def test_a_damaged_part_is_named(made: tuple[Path, list[Path]], tmp_path: Path, chunk: str) -> None:
    found = [_copied(path, tmp_path) for path in made[1]]
    file = next(p for p in sorted((found[1] / "raw" / chunk / "c").rglob("*")) if p.is_file())
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(SimulationError, match=rf"{file}: damaged: .*; run the command of part 2/4 again"):
        merge_sweep(tmp_path / "o.zarr", found)


def test_another_sweep_is_not_overwritten(made: tuple[Path, list[Path]], tmp_path: Path) -> None:
    quick(tmp_path / "o.zarr", seed=9)
    before = tree(tmp_path / "o.zarr")
    with pytest.raises(SimulationError, match="another sweep is there: seed is 9 there and 7 here"):
        merge_sweep(tmp_path / "o.zarr", made[1])
    with pytest.raises(SimulationError, match="another sweep is there: it is part 1/4 of this sweep"):
        merge_sweep(made[1][0], made[1])
    assert tree(tmp_path / "o.zarr") == before


def test_nothing_to_merge() -> None:
    with pytest.raises(SimulationError, match="nothing to merge; name the stores of all parts"):
        merge_sweep("o.zarr", [])


def test_machines_that_chose_other_windows_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memories are rounded to three digits, so this takes machines that differ by more than rounding."""
    quick(tmp_path / "o.zarr", part="1/2", memory=None)
    monkeypatch.setattr("chemlearn.sweeps.plan.rounded", lambda memory: 1.01 * memory)
    quick(tmp_path / "o.zarr", part="2/2", memory=None)
    found = [Part(n, 2).path(tmp_path / "o.zarr") for n in (1, 2)]
    with pytest.raises(SimulationError, match=r"at c=0\.1, s=1 the windows are others .* one memory"):
        merge_sweep(tmp_path / "m.zarr", found)


def test_parts_need_one_seed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the parts of a sweep need one seed"):
        quick(tmp_path / "o.zarr", part="1/2", seed=None)


def _double(samples: Samples) -> Any:
    return 2 * samples.steady[samples.model.output].values.mean(axis=1)


def test_your_own_measure_must_be_at_hand(tmp_path: Path) -> None:
    own = Average("double", Column("double", _double))
    found = parts(tmp_path, 2, measures=[own])
    with pytest.raises(SimulationError, match="is not at hand; give it in Python"):
        merge_sweep(tmp_path / "o.zarr", found)
    quick(tmp_path / "whole.zarr", measures=[own])
    assert merge_sweep(tmp_path / "o.zarr", found, measures=[own]).identical(
        load_sweep(tmp_path / "whole.zarr")
    )


def test_a_model_from_text_is_whole_in_the_manifest(made: tuple[Path, list[Path]], tmp_path: Path) -> None:
    data = merge_sweep(tmp_path / "o.zarr", made[1])
    assert data.attrs["model_text"] == ROTOR
    assert Model.load(data.attrs["model_text"]).fingerprint == data.attrs["model_fingerprint"]
