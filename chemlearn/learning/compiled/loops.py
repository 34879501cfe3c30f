"""How loops are compiled by numba, and who does which part of them.

Sums may be taken in another order and multiplications fused with them, so that numbers differ in their last
digits from those of NumPy; nothing is assumed about nan and infinity. What is compiled is kept on disk.

In these loops arrays are indexed from their beginning and rows are read with literal numbers, not through
slices: a compiler that knows that an index cannot be negative works on several numbers at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

__all__ = ["Share", "compiled", "padded"]

Function = TypeVar("Function", bound=Callable[..., Any])

Share = tuple[int, int]
"""Which of how many threads: the k-th of n does every n-th row or block from the k-th on, alone and in one
order, so that numbers do not depend on n."""


def compiled(function: Function) -> Function:
    """The function in machine code, compiled when first called; it lets other threads run.

    What is compiled is kept for the next time, unless there is no folder to keep it in.
    """
    how: Any = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc"}}
    try:
        return numba.njit(cache=True, **how)(function)
    except RuntimeError:  # neither the package's folder nor the user's can be written to
        return numba.njit(**how)(function)


@compiled
def padded(count: int) -> int:
    """The next multiple of 32: loops over such a number of entries have no rest that goes one by one."""
    return (count + 31) // 32 * 32
