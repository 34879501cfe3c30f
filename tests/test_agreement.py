"""Native engine, GillesPy2 and libroadrunner agree on every chemical model that comes with the package.

Where all laws are linear, mean and variance are known exactly for the model as it stands. The others are held
against the master equation at few molecules, and against one another as they stand. Every bound is
z = isf(α/2K) standard errors for K comparisons with α = 1e-6; each model with one rate constant 3 % off must
be caught by the same test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest
from scipy.linalg import expm

from chemlearn.expression import compile_expressions
from chemlearn.model import Model
from chemlearn.paths import shipped_models
from chemlearn.simulate import simulate_ssa
from tests.conftest import needs_compiler
from tests.statistics import assert_moments, master_equation, z_threshold

pytestmark = pytest.mark.statistical

ENGINES = pytest.mark.parametrize(
    "engine", ["native", "roadrunner", pytest.param("gillespy2", marks=needs_compiler)]
)


def counts(
    name: str, values: dict[str, float], start: dict[str, int], times: np.ndarray, species: tuple[str, ...]
) -> Callable[[str, int, int], np.ndarray]:
    """``run(engine, n, seed)`` gives (n, n_times, n_species)."""
    model = Model.load(name).with_values(**values)

    def run(engine: str, n: int, seed: int) -> np.ndarray:
        data = simulate_ssa(model, times, start=start, trajectories=n, seed=seed, engine=engine, workers=1)
        return np.stack([data[one].values for one in species], axis=-1)

    return run


# --------------------------------------------------------------------------------------------- linear laws


@dataclass(frozen=True)
class Linear:
    """A model that starts at rest and meets another input; with how many trajectories, and a wrong rate."""

    values: dict[str, float]
    end: float
    wrong: str
    few: int = 400  # trajectories of the slower engines


LINEAR = {
    "leaky": Linear({"s": 3}, 2.0, "k"),
    "mechanochemical_hebbian": Linear({"s": 1.5}, 1.5, "k_rel"),
    "integral_feedback": Linear({"s": 300}, 1.2, "k_w", few=200),
    "ladder": Linear({"s": 120}, 1.5, "K_off", few=200),
}
MANY = 20_000  # trajectories of the native engine


def exact_moments(model: Model, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of every species, (n_times, n_species), where all laws are affine in the amounts.

    With propensities a + Ax, the mean follows x' = S(a + Ax) and the covariance follows
    C' = SAC + (SAC)ᵀ + S diag(a + A⟨x⟩) Sᵀ: one linear system for (1, x, C).
    """
    network = model.network
    n, change = len(network.species), network.stoichiometry()
    laws = compile_expressions([r.law for r in network.reactions], [*network.species, *network.constants])

    def propensities(x: np.ndarray) -> np.ndarray:
        return np.array(laws([*x, *network.constants.values()]), float)

    x = np.array([network.initial[name] for name in network.species])
    slopes = np.array([propensities(x + one) - propensities(x) for one in np.eye(n)]).T
    base = propensities(x) - slopes @ x
    elsewhere = x + np.arange(2, n + 2)
    np.testing.assert_allclose(propensities(elsewhere), base + slopes @ elsewhere, rtol=1e-8)
    drift, one = change @ slopes, np.eye(n)
    squares = np.einsum("ir,jr->ijr", change, change).reshape(n * n, -1)
    whole = np.zeros((1 + n + n * n,) * 2)
    whole[1 : n + 1, 0], whole[1 : n + 1, 1 : n + 1] = change @ base, drift
    whole[n + 1 :, 0], whole[n + 1 :, 1 : n + 1] = squares @ base, squares @ slopes
    whole[n + 1 :, n + 1 :] = np.kron(drift, one) + np.kron(one, drift)
    solutions = np.array([expm(whole * t) @ np.concatenate([[1.0], x, np.zeros(n * n)]) for t in times])
    return solutions[:, 1 : n + 1], solutions[:, n + 1 :].reshape(-1, n, n).diagonal(axis1=1, axis2=2)


@cache
def linear_case(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    case = LINEAR[name]
    times = np.linspace(0, case.end, 4)[1:]
    return times, *exact_moments(Model.load(name).with_values(**case.values), times)


@ENGINES
@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_model_has_its_exact_mean_and_variance(name: str, engine: str, seed) -> None:
    case, (times, mean, var) = LINEAR[name], linear_case(name)
    s, n = seed(301), MANY if engine == "native" else case.few
    species = Model.load(name).network.species
    assert_moments(counts(name, case.values, {}, times, species)(engine, n, s), mean, var, seed=s)


@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_model_with_a_wrong_rate_is_caught(name: str, seed) -> None:
    """Negative control."""
    case, (times, mean, var) = LINEAR[name], linear_case(name)
    model, s = Model.load(name), seed(302)
    off = {**case.values, case.wrong: 1.03 * model.network.constants[case.wrong]}
    samples = counts(name, off, {}, times, model.network.species)("native", MANY, s)
    with pytest.raises(AssertionError, match="off by z"):
        assert_moments(samples, mean, var, seed=s)


# ------------------------------------------------------------------------------------------- few molecules


@dataclass(frozen=True)
class Step:
    """A reaction for the master equation: its law at columns of counts, and what it changes."""

    law: Callable[..., np.ndarray | float]
    change: np.ndarray
    driven: bool = field(default=False, init=False)

    def propensity(self, state: np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.asarray(self.law(*state.T.astype(float)), float), len(state))


def step(law: Callable[..., np.ndarray | float], *change: int) -> Step:
    return Step(law, np.array(change))


@dataclass(frozen=True)
class Few:
    """Values, a start, and the reactions once more, over the species that the master equation needs."""

    values: dict[str, float]
    start: dict[str, int]
    box: dict[str, int]  # species, and the count that it stays below
    steps: tuple[Step, ...]
    wrong: str


FEW = {
    "linker_hebbian": Few(
        {"s": 1, "k_on": 3, "k_off": 1, "ka_on": 0.3, "ka_off": 1, "k_w": 0.3, "k_f": 0.3},
        {"d": 1, "act": 4, "u": 2, "w": 1},
        {"d": 24, "u": 7, "w": 14},
        (
            step(lambda d, u, w: 3.0, 1, 0, 0),
            step(lambda d, u, w: d, -1, 0, 0),
            step(lambda d, u, w: 0.3 * d * (6 - u), -1, 1, 0),
            step(lambda d, u, w: u, 1, -1, 0),
            step(lambda d, u, w: 0.3 * u, 0, 0, 1),
            step(lambda d, u, w: 0.3 * w, 0, 0, -1),
        ),
        "k_on",
    ),
    "linker": Few(
        {
            "s": 1,
            "k_on": 3,
            "k_off": 1,
            "ka_on": 0.3,
            "ka_off": 1,
            "k_p": 1,
            "u0": 2,
            "K_p": 0.5,
            "k_q": 0.2,
            "k_w": 0.3,
            "k_f": 0.3,
        },
        {"d": 1, "act": 4, "u": 2, "p": 3, "w": 1},
        {"d": 18, "u": 7, "p": 24, "w": 11},
        (
            step(lambda d, u, p, w: 3.0, 1, 0, 0, 0),
            step(lambda d, u, p, w: d, -1, 0, 0, 0),
            step(lambda d, u, p, w: 0.3 * d * (6 - u), -1, 1, 0, 0),
            step(lambda d, u, p, w: u, 1, -1, 0, 0),
            step(lambda d, u, p, w: u, 0, 0, 1, 0),
            step(lambda d, u, p, w: 2 * p / (0.5 + p), 0, 0, -1, 0),
            step(lambda d, u, p, w: 0.2 * u * p, 0, -1, 0, 0),
            step(lambda d, u, p, w: 0.3 * u, 0, 0, 0, 1),
            step(lambda d, u, p, w: 0.3 * w, 0, 0, 0, -1),
        ),
        "k_on",
    ),
    "mechanochemical": Few(
        {
            "s": 1,
            "k_rel": 3,
            "k_deg": 0.5,
            "k_r": 1,
            "c0": 2,
            "K_r": 0.5,
            "k_i": 0.2,
            "k_w": 0.3,
            "k_f": 0.3,
        },
        {"c": 2, "r": 3, "w": 1},
        {"c": 24, "r": 26, "w": 12},
        (
            step(lambda c, r, w: 3.0, 1, 0, 0),
            step(lambda c, r, w: 0.5 * c, -1, 0, 0),
            step(lambda c, r, w: c, 0, 1, 0),
            step(lambda c, r, w: 2 * r / (0.5 + r), 0, -1, 0),
            step(lambda c, r, w: 0.2 * c * r, -1, 0, 0),
            step(lambda c, r, w: 0.3 * c, 0, 0, 1),
            step(lambda c, r, w: 0.3 * w, 0, 0, -1),
        ),
        "k_rel",
    ),
}
FEW_TIMES = np.array([0.5, 1.0, 2.0])


@cache
def few_law(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variance and fourth moment."""
    few = FEW[name]
    law = master_equation(
        list(few.steps),  # type: ignore[arg-type]  # they have what it asks for
        [few.start[species] for species in few.box],
        FEW_TIMES,
        sizes=list(few.box.values()),
    )
    assert law.lost < 1e-6
    return law.mean, law.central(2), law.central(4)


@ENGINES
@pytest.mark.parametrize("name", FEW)
def test_at_few_molecules_the_master_equation_holds(name: str, engine: str, seed) -> None:
    few, (mean, var, fourth) = FEW[name], few_law(name)
    s, n = seed(303), 100_000 if engine == "native" else 2000
    run = counts(name, few.values, few.start, FEW_TIMES, tuple(few.box))
    assert_moments(run(engine, n, s), mean, var, fourth=fourth, seed=s)


@pytest.mark.parametrize("name", FEW)
def test_at_few_molecules_a_wrong_rate_is_caught(name: str, seed) -> None:
    """Negative control."""
    few, (mean, var, fourth) = FEW[name], few_law(name)
    s, off = seed(304), {**few.values, few.wrong: 1.03 * few.values[few.wrong]}
    run = counts(name, off, few.start, FEW_TIMES, tuple(few.box))
    with pytest.raises(AssertionError, match="off by z"):
        assert_moments(run("native", 100_000, s), mean, var, fourth=fourth, seed=s)


# ------------------------------------------------------------------------------------------ as they stand

STANDING = {"linker_hebbian": "k_on", "linker": "k_on", "mechanochemical": "k_rel"}
STANDING_TIMES = np.array([0.1, 0.4])
SOME = 700  # trajectories of the slower engines, and of the wrong one


def standing(name: str, **values: float) -> Callable[[str, int, int], np.ndarray]:
    """Away from rest: with half as much input again."""
    model = Model.load(name)
    changed = {"s": 1.5 * model.input_value, **values}
    return counts(name, changed, {}, STANDING_TIMES, model.network.species)


@cache
def standing_native(name: str, seed: int) -> np.ndarray:
    return standing(name)("native", MANY, seed)


def assert_same_law(many: np.ndarray, few: np.ndarray, *, seed: int) -> None:
    """Means and variances of two samples, in standard errors from the moments of the larger one."""
    share = 1 / len(many) + 1 / len(few)
    away = many - many.mean(axis=0)
    var, fourth = (away**2).mean(axis=0), (away**4).mean(axis=0)
    z_mean = (few.mean(axis=0) - many.mean(axis=0)) / np.sqrt(var * share)
    z_var = (few.var(axis=0, ddof=1) - var) / np.sqrt((fourth - var**2) * share)
    z = np.stack([z_mean, z_var])
    worst, bound = float(np.abs(z).max()), z_threshold(z.size)
    assert worst < bound, (
        f"two samples differ by z = {worst:.1f}, bound {bound:.1f} (K = {z.size}, seed {seed})"
    )


@pytest.mark.parametrize("engine", ["roadrunner", pytest.param("gillespy2", marks=needs_compiler)])
@pytest.mark.parametrize("name", STANDING)
def test_engines_agree_on_a_model_as_it_stands(name: str, engine: str, seed) -> None:
    s = seed(305)
    assert_same_law(standing_native(name, s), standing(name)(engine, SOME, s + 1), seed=s)


@pytest.mark.parametrize("name", STANDING)
def test_engines_that_disagree_are_caught(name: str, seed) -> None:
    """Negative control: as few trajectories, with one rate constant 3 % off."""
    s, rate = seed(305), STANDING[name]
    off = {rate: 1.03 * Model.load(name).network.constants[rate]}
    samples = standing(name, **off)("native", SOME, s + 1)
    with pytest.raises(AssertionError, match="differ by z"):
        assert_same_law(standing_native(name, s), samples, seed=s)


def test_no_chemical_model_is_left_out() -> None:
    chemical = {
        name for name in shipped_models() if not any(f.level == "error" for f in Model.load(name).findings())
    }
    assert chemical == LINEAR.keys() | FEW.keys()
    assert FEW.keys() == STANDING.keys()
