"""The grid of a sweep: series as NumPy makes them, points in C order, bad input named with its place."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chemlearn.errors import ModelError
from chemlearn.model import Model
from chemlearn.sweeps.grid import Axis, Grid
from tests.sweeping import quick


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("5,50,200", [5, 50, 200]),
        ("1e-3", [1e-3]),
        ("linspace(0,1,5)", np.linspace(0, 1, 5)),
        ("logspace(-8,0,50)", np.logspace(-8, 0, 50)),
        ("geomspace(200, 5, 7)", np.geomspace(200, 5, 7)),
        ("arange(0,10,2.5)", np.arange(0, 10, 2.5)),
        ("arange(3,0,-1)", [3, 2, 1]),
        ("arange(0,0.3,0.1)", [0, 0.1, 0.2]),
        ("0, logspace(-2,0,3), 7", [0, 0.01, 0.1, 1, 7]),
    ],
)
def test_series_are_those_of_numpy(text: str, values: np.ndarray) -> None:
    axis = Axis.parse(f" gamma = {text} ")
    assert axis.name == "gamma"
    assert axis.values == pytest.approx(values, rel=1e-14)


def test_computed_values_are_the_plain_numbers() -> None:
    """NumPy's logspace differs in the last bit between machines; fifteen digits do not."""
    assert Axis.parse("g=logspace(-8,0,9)").values == tuple(float(f"1e-{k}") for k in range(8, -1, -1))
    assert Axis("g", tuple(np.logspace(-8, 0, 50))) == Axis.parse("g=logspace(-8,0,50)")


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=20, unique=True))
def test_lists_are_read_as_they_are_written(numbers: list[int]) -> None:
    exact = [number / 8 for number in numbers]
    assert Axis.parse("x=" + ",".join(map(repr, exact))).values == tuple(exact)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gamma", "'gamma' has no '='; write NAME=VALUES"),
        ("2x=1", "'2x' is no name"),
        ("s=", "character 3: '' is not a number"),
        ("s=1,,2", "character 5: '' is not a number"),
        ("s=1,2,", "character 7: '' is not a number"),
        ("s=1,two", "character 5: 'two' is not a number"),
        ("s=1;2", "'1;2' is not a number"),
        ("s=5,nan", "must be finite, got nan"),
        ("s=5,50,5", "the value 5 of 's' is given twice"),
        ("s=logspace(-8,0)", "character 3: logspace takes two exponents of ten and a count, got 2 numbers"),
        ("s=linspace()", "linspace takes start, stop and count, got 0 numbers"),
        ("s=linspace(0,1,2.5)", "the count must be a whole number"),
        ("s=linspace(0,1,0)", "the count must be a whole number"),
        ("s=linspace(0,x,3)", "'x' is not a number"),
        ("s=logspace(0,400,3)", "must be finite, got inf"),
        ("s=geomspace(0,1,3)", "makes no series"),
        ("s=arange(0,1,0)", "the step must lead from start towards stop"),
        ("s=arange(0,1,1e-9)", "more than ten million"),
        ("s=range(3)", "no series named 'range'; there are linspace, logspace, geomspace, arange"),
        ("s=linspace(0,1,3", "'linspace(0,1,3' is neither a number nor a series"),
        ("s=linspace(0,(1),3)", "neither a number nor a series"),
        ("s=__import__('os').getcwd()", "is neither a number nor a series"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Axis.parse(text)


def test_points_are_numbered_with_the_last_axis_fastest() -> None:
    grid = Grid.of({"gamma": "logspace(-1,0,2)", "s": [5, 50, 200], "N": 10})
    assert (grid.names, grid.shape, grid.size) == (("gamma", "s", "N"), (2, 3, 1), 6)
    points = [grid.values(point) for point in range(grid.size)]
    assert points == [{"gamma": g, "s": s, "N": 10} for g in (0.1, 1.0) for s in (5, 50, 200)]
    assert grid.describe(4) == "gamma=1, s=50, N=10"


def test_a_name_is_swept_once() -> None:
    with pytest.raises(ValueError, match="'gamma_' is swept twice"):
        Grid.of({"gamma": [1], "gamma_": [2]})
    with pytest.raises(ValueError, match="needs at least one parameter"):
        Grid.of({})


def test_names_are_those_of_the_model() -> None:
    data = quick(model=Model.load("ladder"), over={"gamma": [0.5], "N": [10]}, trajectories=2)
    assert data.trajectories.dims == ("gamma", "N")
    with pytest.raises(ModelError, match="no parameter or species named 'gama'; 'ladder' has"):
        quick(model=Model.load("ladder"), over={"gama": [0.5]})


def test_a_parameter_cannot_share_the_name_of_a_result() -> None:
    model = Model.load("model m; s = 1; mean = 2; u = 0; => u; s; u => ; mean*u; end\n")
    with pytest.raises(ValueError, match="two things in the results would be named 'mean'"):
        quick(model=model, over={"mean": [1, 2]})
