"""The SBML discrete stochastic models test suite: every case loads; what an engine can run, it runs right.

The suite's own rule, for n = 10,000 trajectories at 50 times: √n (x̄ − μ)/σ within ±3, √(n/2) (s²/σ² − 1)
within ±5. It is no sharp instrument:

- A right simulator misses the ±3 for some seeds: 1 % of them where counts hardly change between the 50 times
  (00001), 6 % with a memory of ten (00021), 13 % where the times are as good as independent (00039), 15 %
  where a reset makes them so, of two species (00033).
- The second statistic takes counts for Gaussian. Its own standard deviation is √((κ − 1)/2), κ the kurtosis:
  1 for a Gaussian (κ = 3), 1.7 for the batches of case 00039, up to 6.9 for the heavy tails of case 00003. So
  right simulators fail there, and 00003 is held against its exact law instead.

There is one seed for all cases, chosen once, before any was run; those that miss the rule with it are in
``MISSES`` with the reason, and must pass a bound that knows their kurtosis.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from chemlearn.errors import SimulationError
from chemlearn.model import Model
from chemlearn.simulate import simulate_ssa
from tests.conftest import needs_compiler
from tests.statistics import assert_means, assert_moments

SEED = 20240
MISSES = {
    ("00003", "native"): "sd statistic 6.7 from heavy tails; its own sd is up to 6.9",
    (
        "00003",
        "roadrunner",
    ): "sd statistic 9.1 at t = 46, from heavy tails: 1.6 of its own standard deviations",
    (
        "00003",
        "gillespy2",
    ): "sd statistic 12.0 at t = 41, from heavy tails: 2.7 of its own standard deviations",
    ("00033", "native"): "mean 3.53, in the case that misses for 15 % of seeds (6 of 40)",
    ("00039", "gillespy2"): "mean 3.03, in the case that misses for 13 % of seeds",
}
FAST = ["00001", "00011", "00027", "00031", "00035", "00037"]  # 1 to 6 s each
COMPILED = ["00021", "00031"]  # their programs are those of test_ssa.py: nothing more to compile
TRAJECTORIES = 10_000
CASES = [f"{number:05d}" for number in range(1, 40, 2)]
EVENTS = ["00029", "00033"]  # they reset species at a time or at a count, which one engine alone can


def load(shared: Path, case: str, version: int = 1) -> Model:
    return Model.load(shared / "dsmts" / case / f"{case}-sbml-l3v{version}.xml")


def expected(shared: Path, case: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Times, and the columns such as ``X-mean`` and ``X-sd``."""
    with (shared / "dsmts" / case / f"{case}-results.csv").open() as file:
        rows = list(csv.DictReader(file, skipinitialspace=True))
    columns = {name.strip(): np.array([float(row[name]) for row in rows]) for name in rows[0]}
    return columns.pop("time"), columns


def scores(
    shared: Path, case: str, engine: str, *, seed: int, trajectories: int = TRAJECTORIES
) -> tuple[dict[str, np.ndarray], xr.Dataset]:
    """The suite's two statistics at all times after 0, by column; and the counts."""
    model = load(shared, case)
    times, columns = expected(shared, case)
    data = simulate_ssa(model, times, trajectories=trajectories, seed=seed, engine=engine)
    found = {}
    for column in columns:
        name, kind = column.rsplit("-", 1)
        mean, sd = columns[f"{name}-mean"], columns[f"{name}-sd"]
        counts = data[name].values
        with np.errstate(divide="ignore", invalid="ignore"):
            if kind == "mean":
                z = np.sqrt(trajectories) * (counts.mean(axis=0) - mean) / sd
            else:
                z = np.sqrt(trajectories / 2) * (counts.var(axis=0, ddof=1) / sd**2 - 1)
        still = sd == 0  # nothing varies: the mean must be met exactly
        assert np.array_equal(counts[:, still], np.broadcast_to(mean[still], counts[:, still].shape))
        found[column] = z[~still]
    return found, data


def largest(found: dict[str, np.ndarray], kind: str) -> float:
    return max(
        (float(np.abs(z).max(initial=0)) for name, z in found.items() if name.endswith(kind)), default=0.0
    )


def check(shared: Path, case: str, engine: str) -> None:
    """The suite's rule; for the known misses, moments with the errors that their kurtosis gives."""
    found, data = scores(shared, case, engine, seed=SEED)
    if (case, engine) in MISSES:
        times, columns = expected(shared, case)
        upto = times <= 20  # later the tails of case 00003 are too heavy for any normal bound
        for name in (column.removesuffix("-mean") for column in columns if column.endswith("-mean")):
            counts, mean, var = data[name].values, columns[f"{name}-mean"], columns[f"{name}-sd"] ** 2
            assert_means(counts, mean, var, seed=SEED)
            mean, var, fourth = mean[upto], var[upto], None
            if case == "00003":
                mean, var, fourth = np.array([birth_and_death(1.0, 1.1, 100, t) for t in times[upto]]).T
            assert_moments(counts[:, upto], mean, var, fourth=fourth, seed=SEED)
        return
    assert largest(found, "mean") < 3, f"{case}: mean {largest(found, 'mean'):.2f} (seed {SEED})"
    assert largest(found, "sd") < 5, f"{case}: sd {largest(found, 'sd'):.2f} (seed {SEED})"


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_every_case_loads(shared: Path, case: str, version: int) -> None:
    model = load(shared, case, version)
    assert model.species
    assert not [f for f in model.findings() if f.level == "error" and not f.stochastic_only]


@pytest.mark.parametrize("case", CASES)
def test_every_case_is_fit_for_firing(shared: Path, case: str) -> None:
    load(shared, case).require(stochastic=True)


@pytest.mark.parametrize("engine", ["roadrunner", "gillespy2"])
@pytest.mark.parametrize("case", EVENTS)
def test_what_an_engine_cannot_run_it_refuses_with_its_reason(shared: Path, case: str, engine: str) -> None:
    reason = rf"{case}-sbml-l3v1.xml:\d+: event reset: \w+ does not fire events.*; use engine='native'"
    with pytest.raises(SimulationError, match=reason):
        simulate_ssa(load(shared, case), np.array([0.0, 1.0]), engine=engine)


@pytest.mark.statistical
@pytest.mark.parametrize("case", CASES)
def test_native(shared: Path, case: str) -> None:
    check(shared, case, "native")


@pytest.mark.statistical
@pytest.mark.parametrize("case", FAST)
def test_roadrunner(shared: Path, case: str) -> None:
    check(shared, case, "roadrunner")


@needs_compiler
@pytest.mark.statistical
@pytest.mark.parametrize("case", COMPILED)
def test_gillespy2(shared: Path, case: str) -> None:
    check(shared, case, "gillespy2")


@pytest.mark.full
@pytest.mark.statistical
@pytest.mark.parametrize("case", [c for c in CASES if c not in EVENTS and c not in FAST])
def test_roadrunner_on_the_rest(shared: Path, case: str) -> None:
    check(shared, case, "roadrunner")


@needs_compiler
@pytest.mark.full
@pytest.mark.statistical
@pytest.mark.parametrize("case", [c for c in CASES if c not in EVENTS and c not in COMPILED])
def test_gillespy2_on_the_rest(shared: Path, case: str) -> None:
    check(shared, case, "gillespy2")


def birth_and_death(birth: float, death: float, start: int, t: float) -> tuple[float, float, float]:
    """Exact mean, variance and fourth central moment of the linear birth-death process.

    The offspring of one molecule: none with chance a, else geometric with ratio b (Kendall, Ann. Math. Stat.
    19, 1, 1948); molecules are independent, so cumulants add.
    """
    growth = np.exp((birth - death) * t)
    a = death * (growth - 1) / (birth * growth - death)
    b = birth * (growth - 1) / (birth * growth - death)
    n = np.arange(20_000)
    p = np.where(n == 0, a, (1 - a) * (1 - b) * b ** np.maximum(n - 1, 0))
    mean = p @ n
    var, fourth = p @ (n - mean) ** 2, p @ (n - mean) ** 4
    return start * mean, start * var, start * (fourth - 3 * var**2) + 3 * (start * var) ** 2


def test_the_law_of_birth_and_death_is_that_of_the_suite(shared: Path) -> None:
    for case, birth, death in (("00001", 0.1, 0.11), ("00003", 1.0, 1.1)):
        times, columns = expected(shared, case)
        law = np.array([birth_and_death(birth, death, 100, t) for t in times[1:]])
        np.testing.assert_allclose(law[:, 0], columns["X-mean"][1:], rtol=2e-5)
        np.testing.assert_allclose(np.sqrt(law[:, 1]), columns["X-sd"][1:], rtol=2e-5)


def test_the_suites_second_statistic_is_wider_than_it_takes_it_for() -> None:
    spread = {}
    for case, birth, death in (("00001", 0.1, 0.11), ("00003", 1.0, 1.1)):
        law = np.array([birth_and_death(birth, death, 100, t) for t in range(1, 51)])
        spread[case] = np.sqrt((law[:, 2] / law[:, 1] ** 2 - 1) / 2)
    assert spread["00001"].max() == pytest.approx(1.097, abs=1e-3)
    np.testing.assert_allclose(spread["00003"][[0, 19, 49]], [1.017, 1.735, 6.882], atol=1e-3)


@pytest.mark.statistical
@pytest.mark.parametrize(
    "engine", ["native", "roadrunner", pytest.param("gillespy2", marks=[needs_compiler, pytest.mark.full])]
)
def test_heavy_tails_against_the_exact_law(shared: Path, engine: str) -> None:
    """Case 00003, with the standard errors of its exact kurtosis, while enough of the population lives."""
    times = np.arange(0.0, 21.0, 2.0)
    data = simulate_ssa(load(shared, "00003"), times, trajectories=2000, seed=SEED, engine=engine)
    mean, var, fourth = np.array([birth_and_death(1.0, 1.1, 100, t) for t in times]).T
    assert_moments(data.X.values, mean, var, fourth=fourth, seed=SEED)
