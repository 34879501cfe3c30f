"""The array module behind learning: the one place that names it.

Everything in this package calls ``xp``, whose functions are those of the array API that NumPy has too, so
that another module with the same functions is a change of this one line.
"""

from __future__ import annotations

import numpy as xp

__all__ = ["Array", "float_type", "xp"]

Array = xp.ndarray

_FLOATS = {"float32": xp.float32, "float64": xp.float64}


def float_type(name: str) -> type:
    """The float type of the name, ``float32`` or ``float64``.

    Raises
    ------
    ValueError
        For any other name.
    """
    if name not in _FLOATS:
        raise ValueError(f"numbers of a network are 'float64' or 'float32', got {name!r}")
    return _FLOATS[name]
