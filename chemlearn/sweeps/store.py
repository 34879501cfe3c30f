"""A sweep on disk: a zarr v3 group that is complete, or says what is missing, at every instant.

::

    out.zarr/
      zarr.json  gamma/  s/  dissipation/  dissipation_error/ ...    the labelled results (results.py)
      raw/
        zarr.json                         what is swept: the manifest, written once
        result/c/POINT/0/SHARD            (point, column, trajectory): one file for each shard
        plan/c/POINT/0                    (point, plan_byte): the plan of a point
        failure/c/POINT/0                 (point, failure_byte): why a point failed, and in which shard

A shard is done when its file is there. A store of a part holds the shards of that part only.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec

from chemlearn.errors import SimulationError
from chemlearn.sweeps.chunks import Chunks, Damaged
from chemlearn.sweeps.manifest import Sweep
from chemlearn.sweeps.plan import Plan

GROUP = "raw"
_REASON = 400  # characters of a reason that are kept
_PLAN_BYTES, _FAILURE_BYTES = 2048, 4096  # the first for each measure, and once more


@dataclass(frozen=True)
class Part:
    """The i-th of n parts of the shards of a sweep, i from 1; the whole sweep is part 1 of 1."""

    number: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise ValueError(f"a part is i/n with i from 1 to n, got {self.number}/{self.of}")

    @classmethod
    def parse(cls, text: str) -> Part:
        """From ``i/n``."""
        try:
            number, of = (int(word) for word in text.split("/"))
        except ValueError:
            raise ValueError(f"a part is i/n with whole numbers, such as 2/8, got {text!r}") from None
        return cls(number, of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def path(self, whole: Path) -> Path:
        """Where this part of a store goes: its own store beside the whole one."""
        if self.of == 1:
            return whole
        return whole.with_name(f"{whole.stem}.shard-{self.number}-of-{self.of}{whole.suffix}")

    def pattern(self, whole: Path) -> str:
        """All parts, for a shell."""
        return str(whole.with_name(f"{whole.stem}.shard-*-of-{self.of}{whole.suffix}"))


@dataclass(frozen=True)
class Failure:
    """Why a point failed, and in which shard; shard −1 where it could not even be planned."""

    shard: int
    reason: str


@dataclass(frozen=True)
class Store:
    """The store of a sweep, or of a part of it.

    Parameters
    ----------
    path : Path
    sweep : Sweep
    part : Part
    """

    path: Path
    sweep: Sweep
    part: Part = Part()

    @property
    def group(self) -> Path:
        """Where the numbers of single trajectories are."""
        return self.path / GROUP

    @cached_property
    def result(self) -> Chunks:
        """(1, n_columns, shard_size) numbers of each shard; nan beyond the last trajectory."""
        return Chunks(self.group / "result", (1, len(self.sweep.columns), self.sweep.shard_size), "<f8")

    @cached_property
    def plan(self) -> Chunks:
        width = _PLAN_BYTES * (1 + len(self.sweep.measures))
        return Chunks(self.group / "plan", (1, width), "|u1")

    @cached_property
    def failure(self) -> Chunks:
        return Chunks(self.group / "failure", (1, _FAILURE_BYTES), "|u1")

    def create(self) -> None:
        """Make the store, empty; it appears whole or not at all.

        Raises
        ------
        SimulationError
            When the place cannot be written.
        """
        fresh = self.path.with_name(f"{self.path.name}.new")
        try:
            shutil.rmtree(fresh, ignore_errors=True)  # of one who was killed while making it
            self._build(fresh)
            for folder, _, files in os.walk(fresh):
                for file in (folder, *(os.path.join(folder, name) for name in files)):
                    _sync(file)
            os.rename(fresh, self.path)
        except OSError as error:
            shutil.rmtree(fresh, ignore_errors=True)
            raise SimulationError(
                f"{self.path}: cannot be made ({error.strerror or error}); choose another place"
            ) from None

    def _build(self, root: Path) -> None:
        """The group with arrays of which no chunk is there yet."""
        sweep = self.sweep
        zarr.create_group(root)
        points = [sweep.grid.values(point) for point in range(sweep.grid.size)]
        coordinates: dict[str, Any] = {n: ("point", [p[n] for p in points]) for n in sweep.grid.names}
        attrs = {"sweep": json.dumps(sweep.manifest()), "part": str(self.part)}
        names = xr.Dataset(
            coords=coordinates | {"column": np.array(sweep.columns, dtype=object)}, attrs=attrs
        )
        names.to_zarr(root, group=GROUP, zarr_format=3, consolidated=False)
        group = zarr.open_group(root / GROUP, mode="a")
        wanted = sweep.grid.size, len(sweep.columns), sweep.trajectories
        self._array(group, self.result, wanted, ("point", "column", "trajectory"), np.nan)
        for chunks in (self.plan, self.failure):
            name = chunks.folder.name
            self._array(group, chunks, (sweep.grid.size, chunks.shape[1]), ("point", f"{name}_byte"), 0)

    @staticmethod
    def _array(
        group: zarr.Group, chunks: Chunks, shape: tuple[int, ...], dims: tuple[str, ...], fill: float
    ) -> None:
        group.create_array(
            chunks.folder.name,
            shape=shape,
            chunks=chunks.shape,
            dtype=chunks.dtype,
            fill_value=fill,
            compressors=[Crc32cCodec()],
            dimension_names=dims,
        )

    # --- what is done --------------------------------------------------------------------------------------

    def own(self, point: int, shard: int) -> bool:
        """Whether a shard is one of this part: they are dealt out in turn, so every part costs the same."""
        return (point * self.sweep.shards + shard) % self.part.of == self.part.number - 1

    def shards(self, point: int) -> list[int]:
        """The shards of a point that are of this part."""
        return [shard for shard in range(self.sweep.shards) if self.own(point, shard)]

    def damaged(self) -> Iterator[tuple[Chunks, tuple[int, ...], str]]:
        """Look at every file: the chunks that are damaged, and how."""
        for point in range(self.sweep.grid.size):
            shards = ((self.result, (point, 0, shard)) for shard in range(self.sweep.shards))
            for chunks, index in ((self.plan, (point, 0)), (self.failure, (point, 0)), *shards):
                if chunks.has(*index):
                    try:
                        chunks.read(*index)
                    except Damaged as error:
                        yield chunks, index, str(error)

    def clear_damage(self) -> Iterator[str]:
        """Take away what is damaged, so that it is made again, and say so."""
        for chunks, index, what in self.damaged():
            chunks.remove(*index)
            yield f"{what}; it is made again"

    def write_shard(self, point: int, shard: int, numbers: np.ndarray) -> None:
        """Keep the numbers (n_columns, n_trajectories) of a shard."""
        whole = np.full(self.result.shape, np.nan)
        whole[0, :, : numbers.shape[1]] = numbers
        self.result.write(whole, point, 0, shard)

    def numbers(self, point: int) -> dict[str, np.ndarray]:
        """All columns of a point whose shards are all there, each (n_trajectories,)."""
        shards = [self.result.read(point, 0, shard)[0] for shard in range(self.sweep.shards)]
        table = np.concatenate(shards, axis=1)[:, : self.sweep.trajectories]
        return dict(zip(self.sweep.columns, table, strict=True))

    def write_plan(self, point: int, plan: Plan) -> Plan:
        """Keep a plan; the plan as it will be read, in which long reasons are cut."""
        self.plan.write_text(plan.to_json(), point, 0)
        return Plan.from_json(plan.to_json())

    def read_plan(self, point: int) -> Plan | None:
        """None where the point has not been planned."""
        return Plan.from_json(self.plan.read_text(point, 0)) if self.plan.has(point, 0) else None

    def write_failure(self, point: int, failure: Failure) -> None:
        reason = failure.reason if len(failure.reason) <= _REASON else f"{failure.reason[:_REASON]} …"
        self.failure.write_text({"shard": failure.shard, "reason": reason}, point, 0)

    def read_failure(self, point: int) -> Failure | None:
        """None where the point has not failed."""
        return Failure(**self.failure.read_text(point, 0)) if self.failure.has(point, 0) else None


def _sync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_manifest(path: Path) -> tuple[dict[str, Any], Part]:
    """What a store says it is.

    Raises
    ------
    SimulationError
        When there is no store at the path, or its manifest cannot be read.
    """
    file = path / GROUP / "zarr.json"
    try:
        attributes = json.loads(file.read_text())["attributes"]
        return json.loads(attributes["sweep"]), Part.parse(attributes["part"])
    except (FileNotFoundError, NotADirectoryError):
        what = "is no sweep" if path.exists() else "does not exist"
        raise SimulationError(
            f"{path}: this {what}; give a folder that chemlearn sweep wrote, or a name that is not taken yet"
        ) from None
    except (OSError, ValueError, KeyError) as error:
        raise SimulationError(
            f"{file}: damaged ({error}): without it nobody knows what was swept; bring the file back from a "
            f"copy, or remove {path} and begin again"
        ) from None
