"""Full jump paths: the same trajectories as on a grid, and waiting times against their exact law."""

from __future__ import annotations

import numpy as np
import pytest

from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import load, repeat, save, simulate_paths, simulate_ssa
from tests.statistics import assert_moments

DIMERS = """
substanceOnly species P, P2; P = 21; P2 = 0; s = 1; k_on = 0.05; k_off = 0.5;
bind: 2 P => P2; s*k_on*P*(P - 1);
part: P2 => 2 P; k_off*P2;
"""
HILL = "substanceOnly species X; X = 0; s = 1; made: => X; 9*s^2/(1 + s^2 + X); lost: X => ; X/(1 + s);"
RING = """
substanceOnly species A, B, C; A = 60; B = 0; C = 20; s = 1; k = 0.7;
ab: A => B; s*A;     ba: B => A; k*B;
bc: B => C; 2*k*B;   cb: C => B; 0.3*s*C;
ca: C => A; 0.5*C;   ac: A => C; 0.1*A;
"""
TEETH = Signal.sawtooth(0, 4, rise=1, fall=0.7, periodic=True)
TIMES = np.linspace(0, 6, 37)


@pytest.mark.parametrize("text", [DIMERS, HILL, RING], ids=["affine", "thinned", "groups"])
@pytest.mark.parametrize("signal", [None, TEETH, TEETH.staircase(5)], ids=["constant", "ramps", "steps"])
def test_a_path_is_the_trajectory_between_its_outputs(text: str, signal: Signal | None) -> None:
    model = Model.load(text)
    numbers = range(3, 90)
    grid = simulate_ssa(model, TIMES, signal=signal, trajectories=numbers, seed=5, point=2)
    paths = simulate_paths(model, TIMES[-1], signal=signal, trajectories=numbers, seed=5, point=2)
    assert list(paths.number) == list(numbers)
    assert int(paths.jumps.sum()) == paths.sizes["jump"] > 20 * len(numbers)
    for k in numbers:
        path = paths.isel(jump=np.flatnonzero(paths.trajectory == k))
        assert path.sizes["jump"] == paths.jumps.sel(number=k)
        assert path.time[0] == 0
        assert np.all(np.diff(path.time) > 0)
        assert path.time[-1] <= TIMES[-1]
        at = np.searchsorted(path.time, TIMES, side="right") - 1
        for name in model.species:
            np.testing.assert_array_equal(path[name].values[at], grid[name].sel(trajectory=k))
            jumps = np.diff(path[name])
            by_reaction = model.network.stoichiometry()[model.species.index(name)]
            np.testing.assert_array_equal(jumps, by_reaction[path.fired.values[1:]])


@pytest.mark.statistical
def test_waiting_times_are_exponential(seed) -> None:
    """Of a reaction with a constant propensity: mean 1/a, variance 1/a², fourth central moment 9/a⁴."""
    s = seed(61)
    model = Model.load("substanceOnly species X; X = 0; made: => X; 4;")
    paths = simulate_paths(model, 50.0, trajectories=200, seed=s)
    first = np.cumsum(paths.jumps.values) - paths.jumps.values
    waits = np.stack([paths.time.values[first + i + 1] - paths.time.values[first + i] for i in range(5)], -1)
    one = np.ones(5)
    assert_moments(waits, one / 4, one / 16, fourth=9 * one / 256, seed=s)
    with pytest.raises(AssertionError, match="off by z"):
        assert_moments(1.5 * waits, one / 4, one / 16, fourth=9 * one / 256, seed=s)


def test_a_trajectory_in_which_nothing_fires_has_its_beginning_only() -> None:
    still = Model.load("substanceOnly species X; X = 4; k = 0; lost: X => ; k*X;")
    paths = simulate_paths(still, 10.0, trajectories=2, seed=1)
    assert paths.jumps.values.tolist() == [1, 1]
    assert paths.fired.values.tolist() == [-1, -1]
    assert paths.X.values.tolist() == [4, 4]
    assert paths.attrs["until"] == 10.0


def test_a_file_of_paths_is_made_again(tmp_path) -> None:
    how = {"trajectories": range(4, 7), "seed": 3, "point": 2, "start": {"P": 15}}
    paths = simulate_paths(Model.load(DIMERS), 2.0, signal=TEETH, **how)
    assert repeat(load(save(paths, tmp_path / "paths.nc"))).identical(paths)
    events = Model.load(
        "substanceOnly species X; X = 9; k = 1; lost: X => ; k*X; E: at time > 1: k = 3, X = 8;"
    )
    paths = simulate_paths(events, 2.0, trajectories=3, seed=3)
    assert np.count_nonzero(paths.fired == -2) == 3  # the event, once in each
    assert repeat(paths).identical(paths)


def test_the_names_of_reactions_are_those_of_the_model() -> None:
    paths = simulate_paths(Model.load(DIMERS), 1.0, seed=1)
    assert list(paths.reaction_name.values) == ["bind", "part"]
    first = paths.isel(jump=1)
    assert (int(first.P), int(first.P2), int(first.fired)) == (19, 1, 0)  # nothing else can fire at first
