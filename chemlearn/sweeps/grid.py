"""Which values the swept parameters take: lists and regular series, and the points of their product."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

_ITEM = re.compile(r"\s*(?:([A-Za-z_]\w*)\s*\(([^()]*)\)|([^,()]*))\s*(?:,|$)")
_DIGITS = 15  # significant ones: computed series then are the same on every machine


@dataclass(frozen=True)
class Axis:
    """One swept parameter or initial amount, and its values.

    Parameters
    ----------
    name : str
        As :meth:`chemlearn.Model.with_values` takes it.
    values : tuple of float
        Finite and different; kept to 15 significant digits.

    Raises
    ------
    ValueError
        For values that are not numbers, not finite, missing or given twice.
    """

    name: str
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(
                f"{self.name!r} is no name of a parameter; write NAME=VALUES, such as s=5,50,200"
            )
        try:
            values = tuple(float(f"{float(v):.{_DIGITS}g}") for v in self.values)
        except (TypeError, ValueError):
            raise ValueError(f"the values of {self.name!r} must be numbers, got {self.values!r}") from None
        if not values:
            raise ValueError(f"{self.name!r} has no values; give at least one")
        for value in values:
            if not math.isfinite(value):
                raise ValueError(f"the values of {self.name!r} must be finite, got {value}")
        twice = next((v for i, v in enumerate(values) if v in values[:i]), None)
        if twice is not None:
            raise ValueError(f"the value {twice:g} of {self.name!r} is given twice; leave one out")
        object.__setattr__(self, "values", values)

    @classmethod
    def parse(cls, text: str) -> Axis:
        """An axis from ``NAME=VALUES``.

        VALUES are numbers and series between commas: ``5,50,200``, ``linspace(a,b,n)``, ``logspace(a,b,n)``
        (a and b are exponents of ten), ``geomspace(a,b,n)``, ``arange(start,stop,step)``; as NumPy's.

        Raises
        ------
        ValueError
            With the place of what cannot be read.

        Examples
        --------
        >>> Axis.parse("s=0,geomspace(5,500,3)").values
        (0.0, 5.0, 50.0, 500.0)
        """
        name, equals, values = text.partition("=")
        if not equals:
            raise ValueError(f"{text!r} has no '='; write NAME=VALUES, such as s=5,50,200")
        return cls(name.strip(), tuple(_numbers(values, text, len(name) + 1)))


def _numbers(values: str, text: str, start: int) -> list[float]:
    """The values of a specification that begins at character ``start`` of ``text``."""
    found: list[float] = []
    position = 0
    while position <= len(values):
        item = _ITEM.match(values, position)
        place = f"{text!r}, character {start + position + 1}"
        if item is None:
            raise ValueError(f"{place}: {values[position:].strip()!r} is neither a number nor a series")
        series, arguments, single = item.groups()
        found += _series(series, arguments, place) if series else [_number(single, place)]
        if not item[0].endswith(","):
            return found
        position = item.end()
    return found


def _number(word: str, place: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"{place}: {word.strip()!r} is not a number") from None


def _series(name: str, arguments: str, place: str) -> list[float]:
    if name not in _SERIES:
        raise ValueError(f"{place}: no series named {name!r}; there are {', '.join(_SERIES)}")
    names, make = _SERIES[name]
    numbers = [_number(word, place) for word in arguments.split(",")] if arguments.strip() else []
    if len(numbers) != 3:
        raise ValueError(f"{place}: {name} takes {names}, got {len(numbers)} numbers")
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{place}: {name} takes finite numbers, got {arguments}")
    try:
        with np.errstate(all="ignore"):
            return [float(v) for v in make(*numbers)]
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{place}: {name}({arguments}) makes no series ({error})") from None


def _counted(make: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """A series of NumPy's whose third number is how many."""

    def made(start: float, stop: float, count: float) -> np.ndarray:
        if count < 1 or count != int(count) or count > 1e7:
            raise ValueError(f"the count must be a whole number from 1 to ten million, not {count:g}")
        return make(start, stop, int(count))

    return made


def _arange(start: float, stop: float, step: float) -> np.ndarray:
    if step == 0 or (stop - start) / step <= 0:
        raise ValueError("the step must lead from start towards stop")
    if (stop - start) / step > 1e7:
        raise ValueError("that would be more than ten million values")
    return start + step * np.arange(math.ceil((stop - start) / step - 1e-9))


_SERIES: dict[str, tuple[str, Callable[..., np.ndarray]]] = {
    "linspace": ("start, stop and count", _counted(np.linspace)),
    "logspace": ("two exponents of ten and a count", _counted(np.logspace)),
    "geomspace": ("start, stop and count", _counted(np.geomspace)),
    "arange": ("start, stop and step", _arange),
}


@dataclass(frozen=True)
class Grid:
    """The product of some axes; its points are numbered in C order, the last axis fastest.

    Parameters
    ----------
    axes : tuple of Axis

    Raises
    ------
    ValueError
        Without axes, or for two that set the same name.
    """

    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        if not self.axes:
            raise ValueError("a sweep needs at least one parameter, such as gamma=logspace(-8,0,50)")
        plain = [name.rstrip("_") for name in self.names]  # gamma_ may be called gamma
        for i, name in enumerate(plain):
            if name in plain[:i]:
                raise ValueError(f"{self.names[i]!r} is swept twice; put all its values into one list")

    @classmethod
    def of(cls, over: Mapping[str, str | float | Iterable[float]]) -> Grid:
        """From names and their values, as numbers, or as text such as ``"logspace(-8,0,50)"``."""
        axes = []
        for name, values in over.items():
            if isinstance(values, str):
                axes.append(Axis.parse(f"{name}={values}"))
            else:
                axes.append(Axis(name, tuple(np.atleast_1d(np.asarray(values)).ravel())))
        return cls(tuple(axes))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the axes, in order."""
        return tuple(axis.name for axis in self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of values."""
        return tuple(len(axis.values) for axis in self.axes)

    @property
    def size(self) -> int:
        """Number of points."""
        return math.prod(self.shape)

    def values(self, point: int) -> dict[str, float]:
        """What is set at a point."""
        indices = np.unravel_index(point, self.shape)
        return {axis.name: axis.values[i] for axis, i in zip(self.axes, indices, strict=True)}

    def describe(self, point: int) -> str:
        """A point in words, such as ``gamma=1e-08, s=50``."""
        return ", ".join(f"{name}={value:.6g}" for name, value in self.values(point).items())
