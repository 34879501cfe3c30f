"""What all tests share: ``--full``, fresh seeds on demand, the reference material beside the repository."""

from __future__ import annotations

import os
import shutil
import signal
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest


def pytest_configure() -> None:
    """Let programs that tests start be interrupted, also where a shell started this in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the exhaustive tests too (marker 'full')")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--full"):
        return
    for item in items:
        if "full" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="exhaustive and slow; run it with --full"))


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """The seed that a test writes down; with CHEMLEARN_TEST_SEED another one, different in every test.

    The bounds of the statistical tests hold for any seed: nightly runs set CHEMLEARN_TEST_SEED=$RANDOM.
    """
    fresh = os.environ.get("CHEMLEARN_TEST_SEED")

    def choose(written: int) -> int:
        if fresh is None:
            return written
        return (int(fresh) << 32) + zlib.crc32(f"{request.node.nodeid} {written}".encode())

    return choose


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference material that is no part of the package: skips where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"no reference material: there is no folder {folder.name!r} beside the repository")
    return folder


#: for what runs GillesPy2, which compiles its simulations
needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None, reason="no C++ compiler (g++), which GillesPy2 needs"
)
#: a test on each engine
BOTH = pytest.mark.parametrize("engine", ["roadrunner", pytest.param("gillespy2", marks=needs_compiler)])
