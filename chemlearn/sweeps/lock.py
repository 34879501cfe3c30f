"""One writer at a time: a lock beside the store that names who holds it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chemlearn.errors import SimulationError

_CANNOT = {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL}  # this file system knows no locks
_TAKEN = {errno.EACCES, errno.EAGAIN}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a store, in the file ``<store>.lock``.

    The lock is the kernel's, so it ends with the process however that ends; the file only says whose it is.

    Raises
    ------
    SimulationError
        When another process holds it, or the place cannot be written.
    """
    file = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = _held(file, path)
    except OSError as error:
        raise SimulationError(
            f"{path.parent}: cannot write here ({error.strerror}); choose another place"
        ) from None
    try:
        yield
    finally:
        file.unlink(missing_ok=True)  # while it is still ours
        os.close(handle)


def _held(file: Path, path: Path) -> int:
    """The open file with the lock on it."""
    while True:
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_nlink == 0:  # the one who had it has just ended, and taken the file away
                os.close(handle)
                continue
            os.ftruncate(handle, 0)
            me = {"host": socket.gethostname(), "process": os.getpid()}
            os.write(handle, json.dumps(me).encode())
            return handle
        except OSError as error:
            os.close(handle)
            if error.errno in _TAKEN:
                raise _taken(file, path) from None
            if error.errno in _CANNOT:
                raise SimulationError(
                    f"{path.parent}: this file system knows no locks, so nothing would keep two processes "
                    f"from writing one store; choose a place on another one"
                ) from None
            raise


def _taken(file: Path, path: Path) -> SimulationError:
    try:
        holder = json.loads(file.read_text())
        who = f"process {holder['process']} on {holder['host']}"
    except (OSError, ValueError, KeyError):
        who = "another process"
    return SimulationError(
        f"{path}: {who} is writing it; wait until it has ended, or give another output (or --shard)"
    )
