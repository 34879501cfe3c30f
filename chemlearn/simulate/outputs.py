"""What our engines share around their machine code: blocks of work, and the rules at the output times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chemlearn.expression import TIME, compile_expressions
from chemlearn.network import Network
from chemlearn.signal import Signal

_BYTES = 2**26  # of results in one block
_LARGEST = 4096


def blocks_of(trajectories: int, workers: int, values_each: int, *, together: int = 1) -> list[range]:
    """Trajectories in blocks of work; several for each worker, so that Ctrl-C finds some of them finished.

    Parameters
    ----------
    values_each : int
        Numbers that are recorded of one trajectory.
    together : int
        How many go side by side.
    """
    most = max(1, min(_LARGEST, _BYTES // (8 * max(1, values_each))))
    size = min(most, together * max(1, -(-trajectories // (8 * workers * together))))
    return [range(k, min(k + size, trajectories)) for k in range(0, trajectories, size)]


def add_rules(
    counts: np.ndarray,
    network: Network,
    state: Sequence[str],
    times: np.ndarray,
    driven: tuple[str, Signal] | None,
) -> None:
    """Evaluate the assignment rules into the last columns, at the signal's level of each time.

    Parameters
    ----------
    counts : (n_trajectories, n_times, n_columns) array
        The state first.
    state : sequence of str
        Names of its columns.
    times : (n_times,) array
    driven : (str, Signal), optional
        The input and what drives it.
    """
    if not network.rules:
        return
    constants: dict[str, Any] = dict(network.constants)
    if driven is not None:
        constants[driven[0]] = driven[1](times)
    evaluate = compile_expressions(list(network.rules.values()), [*state, *constants, TIME])
    with np.errstate(all="ignore"):
        columns = np.moveaxis(counts[..., : len(state)], -1, 0)
        values = evaluate([*columns, *constants.values(), times])
    for i, value in enumerate(values):
        counts[..., i - len(values)] = value
