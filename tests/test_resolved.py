"""Functions resolved into polynomials, against the functions themselves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from chemlearn.curves.resolved import Resolved, Stretches

Function = Callable[[np.ndarray], np.ndarray]

# name -> (function, its integral from the first edge, its derivative, edges)
FUNCTIONS: dict[str, tuple[Function, Function, Function, np.ndarray]] = {
    "decay": (
        lambda t: np.exp(-30 * t),
        lambda t: -np.expm1(-30 * t) / 30,
        lambda t: -30 * np.exp(-30 * t),
        np.array([0.0, 0.01, 4.0]),
    ),
    "waves": (
        lambda t: np.sin(20 * t),
        lambda t: (1 - np.cos(20 * t)) / 20,
        lambda t: 20 * np.cos(20 * t),
        np.array([0.0, 1.0, 3.0]),
    ),
    "bend": (
        lambda t: np.abs(t - 1),
        lambda t: (1 + (t - 1) * np.abs(t - 1)) / 2,
        lambda t: np.sign(t - 1),
        np.array([0.0, 1.0, 3.0]),
    ),
    "two scales": (
        lambda t: t + 1e-3 * np.exp(-1e6 * t),
        lambda t: t**2 / 2 - 1e-9 * np.expm1(-1e6 * t),
        lambda t: 1 - 1e3 * np.exp(-1e6 * t),
        np.array([0.0, 1.0]),
    ),
    "small beside large": (
        lambda t: np.exp(-300 * t) + 1e-6 * np.cos(t),
        lambda t: -np.expm1(-300 * t) / 300 + 1e-6 * np.sin(t),
        lambda t: -300 * np.exp(-300 * t) - 1e-6 * np.sin(t),
        np.array([0.0, 1.0, 3.0]),
    ),
}
functions = pytest.mark.parametrize("name", FUNCTIONS)


def stretches_of(name: str) -> Stretches:
    function, _, _, edges = FUNCTIONS[name]
    return Resolved.of(function, edges).stretches(edges)


@functions
def test_values_and_integrals_at_all_marks(name: str) -> None:
    """To rounding error of what the function is in the cell, not only of what it is at its largest.

    An instant too is known to rounding error only, which counts where the function is steep.
    """
    function, integral, derivative, edges = FUNCTIONS[name]
    found = stretches_of(name)
    cells = found.function
    sizes = np.max(np.abs(cells.values), axis=1)[found.cells]
    sizes += np.abs(found.times * derivative(found.times))
    assert np.max(np.abs(found.values - function(found.times)) / sizes) < 5e-15
    np.testing.assert_allclose(found.integrals, integral(found.times), rtol=0, atol=3e-15)
    assert (found.times[0], found.times[-1]) == (edges[0], edges[-1])
    assert np.all(np.diff(found.times) >= 0)


@functions
def test_stretches_end_where_the_slope_changes_its_sign(name: str) -> None:
    derivative = FUNCTIONS[name][2]
    found = stretches_of(name)
    ends = found.times[found.ends]
    inside = np.linspace(0.001, 0.999, 200)[:, None] * np.diff(ends) + ends[:-1]
    slopes = derivative(inside)
    rising = np.diff(found.values[found.ends]) > 0
    assert np.all((slopes >= 0) == rising)


def test_extrema_of_waves() -> None:
    found = stretches_of("waves")
    turns = np.pi / 40 * (1 + 2 * np.arange(19))
    np.testing.assert_allclose(
        found.times[found.ends], [0, *turns[turns < 1], 1, *turns[turns > 1], 3], atol=1e-9
    )


@functions
def test_crossings(name: str) -> None:
    """The function has the value that was asked for, at an instant within the stretch."""
    function, integral, derivative, _ = FUNCTIONS[name]
    found = stretches_of(name)
    low, high = found.values[found.ends[:-1]], found.values[found.ends[1:]]
    shares = np.array([1e-9, 1e-3, 0.2, 0.5, 0.77, 0.999, 1 - 1e-9])
    stretches, place = (index.ravel() for index in np.indices((len(low), len(shares))))
    goals = low[stretches] + shares[place] * (high - low)[stretches]
    times, integrals = found.crossings(stretches, goals)
    size = np.maximum(np.abs(goals), np.abs(derivative(times)) * times)
    np.testing.assert_array_less(
        np.abs(function(times) - goals), 1e-14 * size + 1e-15 * np.abs(low - high)[stretches]
    )
    np.testing.assert_allclose(integrals, integral(times), rtol=0, atol=3e-15)
    ends = found.times[found.ends]
    assert np.all((times >= ends[stretches]) & (times <= ends[stretches + 1]))


def test_values_at_the_very_ends_of_a_stretch() -> None:
    found = stretches_of("decay")
    first, last = found.ends[[0, -1]]
    stretches = np.array([0, len(found.ends) - 2])
    times, _ = found.crossings(stretches, found.values[[first, last]])
    np.testing.assert_allclose(times, [0, 4], atol=1e-12)


def test_a_function_that_settles_has_no_extrema_of_rounding() -> None:
    """Ten decades after it has settled, differences of its values are noise, not turns."""
    settled = Resolved.of(
        lambda t: 0.3 + np.exp(-t) / 3 - 0.1 * np.exp(-2 * t), np.array([0.0, 1.0, 1e3, 1e6])
    )
    assert len(settled.stretches(np.array([0.0, 1e6])).ends) == 2


def test_noise_does_not_split_cells_for_ever() -> None:
    """What cannot be resolved because it is rounding error is left as it is."""
    rng = np.random.default_rng(1)
    noisy = Resolved.of(
        lambda t: np.cos(t) - 1 + 1e-15 * rng.normal(size=t.shape), np.array([0.0, 1e-3, 1.0])
    )
    assert len(noisy.halves) < 60
