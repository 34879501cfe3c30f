"""What the command line shows: tables, folded lines, progress; plain whole lines where nobody watches."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Callable
from time import monotonic
from typing import Any

_SILENCE = 30.0  # seconds after which a line is due where nobody watches


def table(rows: list[tuple[str, str]], title: str = "") -> None:
    if not sys.stdout.isatty():  # whole lines, for files and other programs
        width = max((len(label) for label, _ in rows), default=0)
        print("\n".join([title] * bool(title) + [f"{label:<{width}}  {text}" for label, text in rows]))
        return
    from rich.console import Console
    from rich.table import Table

    grid = Table(title=title or None, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    for label, text in rows:
        grid.add_row(label, text)
    Console(highlight=False).print(grid, markup=False)


def wrapped(line: str) -> str:
    """A line of the verdict, folded to the width of a terminal."""
    if not sys.stdout.isatty():
        return line
    return textwrap.fill(line, shutil.get_terminal_size().columns, subsequent_indent="    ")


def progress() -> tuple[Callable[[str, int, int], None], Callable[[], None]]:
    """How stages are reported, and how reporting ends: a bar on a terminal, plain lines elsewhere."""
    if not sys.stderr.isatty():
        said: dict[str, int] = {}

        def say(what: str, done: int, wanted: int) -> None:
            quarter = 4 * done // max(wanted, 1)
            if said.get(what, -1) < quarter:
                said[what] = quarter
                print(f"{what}{f': {done} of {wanted}' if done else ''}", file=sys.stderr, flush=True)

        return say, lambda: None
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    bar.start()
    tasks: dict[str, Any] = {}

    def show(what: str, done: int, wanted: int) -> None:
        if what not in tasks:
            for task in tasks.values():
                bar.update(task, visible=False)
            tasks[what] = bar.add_task(what, total=wanted)
        bar.update(tasks[what], completed=done, total=wanted)

    return show, bar.stop


def bar(what: str) -> tuple[Callable[[int, int, str], None], Callable[[], None]]:
    """How one long piece of work is reported, as ``show(done, total, words)``, and how reporting ends.

    A bar that is drawn anew on a terminal; elsewhere a line for every tenth and at least every half minute.
    """
    if not sys.stderr.isatty():
        said: dict[str, float] = {"tenth": -1, "at": -_SILENCE}

        def say(done: int, total: int, words: str) -> None:
            tenth = 10 * done // max(total, 1)
            if tenth > said["tenth"] or monotonic() - said["at"] > _SILENCE:
                said.update(tenth=tenth, at=monotonic())
                print(words, file=sys.stderr, flush=True)

        return say, lambda: None
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = BarColumn(), TextColumn("{task.description}")
    drawn = Progress(*columns, console=Console(stderr=True), transient=True)
    task = drawn.add_task(what, total=None)

    def show(done: int, total: int, words: str) -> None:
        drawn.start()
        drawn.update(task, completed=done, total=total, description=words)

    return show, drawn.stop
