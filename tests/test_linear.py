"""Kernels of models against closed forms, an independent master equation and the reference values."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from chemlearn.errors import ConvergenceError, ModelError, SimulationError
from chemlearn.kernels.kernel import high_pass, integral_feedback
from chemlearn.linear import linear_kernel, step_kernel, working_range
from chemlearn.model import Model

DAMPING = [(6.0, 1.0), (1.0, 1.0), (4.0, 1.0), (4.0 + 1e-9, 1.0), (40.0, 0.5), (0.3, 2.0)]


# --- integral feedback --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k_u", "k_m"), DAMPING)
def test_linear_kernel_of_integral_feedback(k_u: float, k_m: float) -> None:
    """F14, F15: over-, under- and critically damped."""
    kernel, exact = (
        linear_kernel(Model.load("integral_feedback").with_values(k_u=k_u, k_m=k_m)),
        integral_feedback(k_u, k_m),
    )
    times = np.linspace(0, exact.duration, 4000)
    assert np.max(np.abs(kernel(times) - exact(times))) < 1e-9 * np.max(np.abs(exact(times)))
    assert kernel.area == pytest.approx(0, abs=1e-9)
    assert kernel.first_moment == pytest.approx(-1 / k_m, rel=1e-9)
    assert kernel.delta == 0


@pytest.mark.parametrize(("k_u", "k_m"), DAMPING[:5])
def test_step_kernel_of_integral_feedback(k_u: float, k_m: float) -> None:
    """The model's reactions are linear while sites last, so a finite step gives the same kernel."""
    model, exact = Model.load("integral_feedback").with_values(k_u=k_u, k_m=k_m), integral_feedback(k_u, k_m)
    kernel = step_kernel(model)
    times = np.linspace(0, kernel.duration, 4000)  # between the samples too
    assert np.max(np.abs(kernel(times) - exact(times))) < 1e-6 * np.max(np.abs(exact(times)))
    assert kernel.area == pytest.approx(0, abs=1e-6)
    assert kernel.first_moment == pytest.approx(-1 / k_m, rel=1e-6)


def test_a_large_step_of_integral_feedback() -> None:
    kernel, exact = step_kernel(Model.load("integral_feedback"), 150.0, 250.0), integral_feedback(6.0, 1.0)
    times = np.linspace(0, 10, 1000)
    assert np.max(np.abs(kernel(times) - exact(times))) < 1e-6 * exact(0.0)


# --- other closed forms -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "values", "tau"), [
    ("maxwell", {"eta": 3.0, "E": 2.0}, 1.5),
    ("capacitor_memristor", {"C": 3.0, "G0": 2.0, "q": 3.0}, 1.5),
])  # fmt: skip
def test_high_pass_models(name: str, values: dict[str, float], tau: float) -> None:
    model, gain = Model.load(name).with_values(**values), values.get("E", 1.0)
    exact = high_pass(tau).scaled(gain)
    times = np.linspace(0, 10 * tau, 500)
    kernel = linear_kernel(model)
    assert kernel.delta == gain
    assert np.allclose(kernel(times), exact(times), rtol=0, atol=1e-12 * gain)
    assert kernel.area == pytest.approx(0, abs=1e-12)
    assert kernel.first_moment == pytest.approx(-gain * tau)
    stepped = step_kernel(model)
    assert stepped.delta == pytest.approx(gain, rel=1e-9)
    # the memristor's conductance follows the step at second order, by k_w of it
    tolerance = 1e-4 if name == "capacitor_memristor" else 1e-6
    assert np.allclose(stepped(times), exact(times), rtol=0, atol=tolerance * gain)


def test_leaky_is_an_exponential() -> None:
    model = Model.load("leaky").with_values(tau=2.5)
    times = np.linspace(0, 30, 500)
    for kernel, tolerance in ((linear_kernel(model), 1e-10), (step_kernel(model), 1e-6)):
        assert np.allclose(kernel(times), 100 * np.exp(-times / 2.5), rtol=0, atol=100 * tolerance)
        assert kernel.area == pytest.approx(250)
        assert len(kernel.lobes) == 1


def test_an_instantaneous_part_beside_a_memory() -> None:
    model = Model.load("s = 2; u := 3*s - x; x = 0; => x; s; x => ; 2*x\n")
    for kernel in (linear_kernel(model), step_kernel(model)):
        assert kernel.delta == pytest.approx(3.0)
        assert kernel.area == pytest.approx(2.5, rel=1e-6)


def test_no_memory_at_all() -> None:
    kernel = linear_kernel(Model.load("s = 2; u := 3*s^2; x = 1; => x; x\n"))
    assert kernel.delta == pytest.approx(12.0)
    assert kernel.area == pytest.approx(12.0)


# --- the ladder ---------------------------------------------------------------------------------------------


def ladder_matrix(s: float, slow: float, gamma: float) -> np.ndarray:
    """Rate matrix of the two-rail ladder written out from F50 to F52; W[i, j] = rate j -> i, top rail
    first.
    """
    rates = np.zeros((10, 10))
    for m in range(5):
        energy = 2 * (1 - m) + np.log((1 + s / 18.2) / (1 + s / 3000))
        rates[5 + m, m], rates[m, 5 + m] = slow * max(np.exp(energy), 1), slow * max(np.exp(-energy), 1)
    for m in range(4):
        rates[m, m + 1] = rates[5 + m + 1, 5 + m] = 1.0
        rates[m + 1, m] = rates[5 + m, 5 + m + 1] = np.e * gamma
    return rates - np.diag(rates.sum(axis=0))


def at_rest(matrix: np.ndarray) -> np.ndarray:
    system = np.vstack([matrix[:-1], np.ones(10)])
    return np.linalg.solve(system, np.eye(10)[9])


@pytest.mark.parametrize("gamma", [1.0, 0.1, 0.01])
@pytest.mark.parametrize("slow", [1.0, 25.0])
def test_ladder_against_its_master_equation(slow: float, gamma: float) -> None:
    """The step 0 -> 50 of the paper, per molecule; u counts the bottom rail, so the sign is opposite."""
    model = Model.load("ladder").with_values(gamma=gamma, F=slow, N=1000)
    before, after = ladder_matrix(0.0, slow, gamma), ladder_matrix(50.0, slow, gamma)
    values, vectors = np.linalg.eig(after)
    weights = np.linalg.solve(vectors, at_rest(before).astype(complex)) * vectors[:5].sum(axis=0)
    kernel = step_kernel(model, 0.0, 50.0)
    times = np.linspace(0, kernel.duration, 3000)
    exact = -(np.exp(np.outer(times, values)) @ (weights * values)).real * 1000 / 50
    assert np.max(np.abs(kernel(times) - exact)) < 1e-6 * np.max(np.abs(exact))
    linear = linear_kernel(model)
    step = 1e-4
    shifted = [at_rest(ladder_matrix(50 + d, slow, gamma))[5:].sum() * 1000 for d in (-step, step)]
    assert linear.area == pytest.approx((shifted[1] - shifted[0]) / (2 * step), rel=1e-5, abs=1e-5)
    assert len(kernel.lobes) == len(linear.lobes) == (2 if gamma < np.exp(-1) else 1)


def ladder_cases(shared: Path) -> list[dict[str, float]]:
    rows = json.loads((shared / "reference" / "synapse.json").read_text())["ladder"]
    number = {"1/e": np.exp(-1)}
    return [
        {"F": row["F"], "s": row["s"], "gamma": number.get(row["gamma"]) or float(row["gamma"])}
        | {k: float(v) for k, v in row["exact"].items()}
        for row in rows
    ]


@pytest.mark.parametrize("part", ["some", pytest.param("all", marks=pytest.mark.full)])
def test_ladder_reference_values(shared: Path, part: str) -> None:
    cases = ladder_cases(shared)
    if part == "some":
        wanted = {
            (25, 50, 1.0),
            (25, 50, 0.01),
            (25, 200, 0.5),
            (25, 200, 1e-4),
            (1, 200, 0.1),
            (1, 50, 0.01),
        }
        cases = [c for c in cases if (c["F"], c["s"], c["gamma"]) in wanted]
        assert len(cases) == len(wanted)
    for case in cases:
        model = Model.load("ladder").with_values(gamma=case["gamma"], F=case["F"], s=case["s"])
        dynamics, total = model.dynamics, model.parameters["N"]
        per_top = -case["s"] / total  # our u is N minus the top rail, and the kernel is per unit of s
        kernel = step_kernel(model, 0.0, case["s"])
        for s, top in ((0.0, "top0"), (case["s"], "topinf")):
            assert 1 - dynamics.output(dynamics.steady_state(s), s) / total == pytest.approx(
                case[top], rel=1e-12
            )
        assert kernel.values[0] * per_top == pytest.approx(case["kernel0"], rel=1e-12)
        assert kernel.first_moment * per_top == pytest.approx(case["m1_inf_orig"], rel=1e-7)
        assert kernel.area * per_top == pytest.approx(case["topinf"] - case["top0"], rel=1e-7)
        window = kernel.step_response(5.0) * per_top
        assert window == pytest.approx(case["topT"] - case["top0"], rel=1e-6)
        assert len(kernel.lobes) == (2 if case["gamma"] < 0.36 else 1)


def test_ladder_time_course(shared: Path) -> None:
    modes = json.loads((shared / "reference" / "synapse.json").read_text())["ladder_modes"]
    for case in modes:
        model = Model.load("ladder").with_values(gamma=float(case["gamma"]), F=case["F"], s=case["s"])
        kernel = step_kernel(model, 0.0, case["s"])
        lags = np.array([float(t) for t in case["dtop_dt"]])
        exact = np.array([float(v) for v in case["dtop_dt"].values()])
        assert np.allclose(kernel(lags) * -case["s"] / 100, exact, rtol=1e-6, atol=1e-7 * abs(exact[0]))


# --- what cannot be done ------------------------------------------------------------------------------------


def test_an_input_that_does_not_act() -> None:
    model = Model.load("s = 2; k = 1; u = 0; x = 0; => u; k; u => ; u; => x; s\n")
    with pytest.raises(ModelError, match="the input 's' does not act on the output 'u'"):
        linear_kernel(model)


def test_no_steady_state_no_kernel() -> None:
    with pytest.raises(SimulationError, match="grows without bound"):
        linear_kernel(Model.load("s = 1; u = 0; => u; s\n"))
    text = (
        "s = 3; substanceOnly species u = 1, y = 1; => u; 1; 2 u + y => 3 u; u*u*y; u => y; s*u; u => ; u\n"
    )
    with pytest.raises(ConvergenceError, match="no steady state"):
        step_kernel(Model.load(text))


def test_a_step_needs_two_levels() -> None:
    with pytest.raises(ValueError, match=r"two different levels, got 3.0 twice"):
        step_kernel(Model.load("leaky"), 3.0, 3.0)


def test_a_chain_of_equal_rates() -> None:
    """Five identical stages have one eigenvector: the kernel is t^4 e^-t/4!, or a clear refusal; never
    nonsense.
    """
    stages = "; ".join(f"x{i} => x{i + 1}; x{i}" for i in range(4))
    species = ", ".join(f"x{i} = 0" for i in range(5))
    model = Model.load(
        f"s = 1; substanceOnly species {species}; => x0; s; {stages}; x4 => ; x4\n", output="x4"
    )
    times = np.linspace(0, 20, 200)
    exact = times**4 / 24 * np.exp(-times)
    assert np.allclose(step_kernel(model, times=np.linspace(0, 60, 4000))(times), exact, atol=1e-6)
    try:
        kernel = linear_kernel(model)
    except ConvergenceError as error:
        assert "step_kernel" in str(error)  # noqa: PT017
    else:
        assert np.allclose(kernel(times), exact, atol=1e-6)


# --- working range ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("linker", (0.10, 0.12), None),
        ("mechanochemical", (0.10, 0.13), None),
        ("ladder", (28, 31), (400, 440)),
    ],
)
def test_working_range(name: str, low: tuple[float, float], high: tuple[float, float] | None) -> None:
    model = Model.load(name)
    found = working_range(model)
    assert not found.reason
    assert low[0] < found.low < low[1]
    assert not found.open_low
    assert found.open_high is (high is None)
    if high:
        assert high[0] < found.high < high[1]
    ends = [(found.low, 1 / 1.02)] + ([(found.high, 1.02)] if high else [])
    for end, outward in ends:  # looked at directly, on either side
        assert linear_kernel(model, end).residual <= found.tolerance
        assert linear_kernel(model, end * outward).residual > found.tolerance


def test_working_range_of_integral_feedback_ends_where_the_sites_do() -> None:
    found = working_range(Model.load("integral_feedback"))
    assert found.high == pytest.approx(400.0, rel=1e-3)
    assert found.open_low
    assert str(found) == "≤ 2 to 400"
    inside = found.table.sel(s=slice(2.1, 399))
    assert float(np.abs(inside.steady_output - 400).max()) < 1e-3
    assert np.allclose(inside.first_moment, -1, rtol=1e-3)


def test_working_range_without_adaptation() -> None:
    found = working_range(Model.load("leaky"))
    assert np.isnan(found.low)
    assert str(found) == "none: at s=2 the residual is 100.0% of the peak"


def test_working_range_ends_where_the_steady_state_does() -> None:
    """A controller that can remove u at no more than rate 10 u holds u = 4 only up to s = 40."""
    laws = "=> u; s; u => ; 10*u*m/(5 + m); => m; u; m => ; 4*m/(1e-6 + m)"
    found = working_range(Model.load(f"s = 10; u = 4; m = 2; {laws}\n"))
    assert 0.6 * 40 < found.high < 40
    assert not found.open_high
    assert np.isnan(found.table.residual.sel(s=slice(40, None))).all()


def test_working_range_at_negative_input() -> None:
    found = working_range(Model.load("maxwell").with_values(s=-1.0, eps_v=-1.0))
    assert found.low == pytest.approx(-100)
    assert found.high == pytest.approx(-0.01)
    assert found.open_low
    assert found.open_high


def test_working_range_is_quick() -> None:
    began = time.process_time()
    working_range(Model.load("ladder"))
    assert time.process_time() - began < 5
