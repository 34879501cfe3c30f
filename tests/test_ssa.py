"""Stochastic simulation against exact laws, mean and variance; streams of random numbers; refusals."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.linalg import expm

from chemlearn.errors import ModelError, SimulationError
from chemlearn.expression import compile_expressions
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import engines, gillespie2, repeat, simulate_ode, simulate_ssa
from tests.conftest import BOTH, needs_compiler
from tests.statistics import (
    MassAction,
    assert_means,
    assert_moments,
    independent_molecules,
    master_equation,
    oracle_ssa,
    poisson_fourth,
)

# Each structure costs GillesPy2 a compilation of some seconds, so the tests share these three; the first two
# are those of the test suite's cases 00021 and 00031, down to the names of the species.
BIRTH_DEATH = """
substanceOnly species X; X = 0; s = 10; k = 0.5;
made: => X; s;
lost: X => ; k*X;
u := 2*s + X;
"""
DIMERS = """
substanceOnly species P, P2; P = 21; P2 = 0; s = 1; k_on = 0.1; k_off = 0.5;
bind: 2 P => P2; s*k_on*P*(P - 1)/2;
part: P2 => 2 P; k_off*P2;
"""
CASCADE = """
substanceOnly species M, Q; M = 0; Q = 0; s = 1;
transcribed: => M; 5*s;   gone: M => ; M;
translated: => Q; 2*M;    lost: Q => ; Q/2;
"""
pytestmark = pytest.mark.statistical


@cache
def model(text: str) -> Model:
    return Model.load(text)


def test_seeds_of_an_engine_are_its_whole_numbers() -> None:
    seeds = engines.streams(5, 0, range(1000))
    assert len(np.unique(seeds)) == 1000
    assert seeds.min() >= 1
    assert seeds.max() < 2**32
    np.testing.assert_array_equal(engines.streams(5, 0, range(17, 18)), seeds[17:18])
    assert not np.any(seeds == engines.streams(5, 1, range(1000)))


# ---------------------------------------------------------------------------------------------- exact laws


@BOTH
def test_immigration_and_death(engine: str, seed) -> None:
    """From 0 the law is Poisson; from 30 what is left of them is binomial, and adds."""
    s, n, times = seed(21), 2000, np.array([0.0, 0.5, 2.0, 5.0, 10.0])
    data = simulate_ssa(model(BIRTH_DEATH), times, trajectories=n, seed=s, engine=engine)
    mean = 20 * (1 - np.exp(-0.5 * times))
    assert_moments(data.X.values, mean, mean, fourth=poisson_fourth(mean), seed=s)
    np.testing.assert_array_equal(data.u, 20 + data.X)

    data = simulate_ssa(
        model(BIRTH_DEATH), times, start={"X": 30}, trajectories=n, seed=s, engine=engine, point=1
    )
    left = np.exp(-0.5 * times)
    mean, var = mean + 30 * left, mean + 30 * left * (1 - left)
    assert_moments(data.X.values, mean, var, seed=s)


@BOTH
def test_dimerisation_and_its_conserved_total(engine: str, seed) -> None:
    s, times = seed(22), np.array([0.0, 0.2, 1.0, 5.0])
    data = simulate_ssa(model(DIMERS), times, trajectories=2000, seed=s, engine=engine)
    counts = np.stack([data.P.values, data.P2.values], axis=-1)
    assert np.all(counts @ [1, 2] == 21)  # along every path
    assert counts.min() >= 0
    assert np.all(counts == np.round(counts))
    reactions = [MassAction(0.05, (2, 0), (0, 1)), MassAction(0.5, (0, 1), (2, 0))]
    law = master_equation(reactions, [21, 0], times, sizes=[22, 12])
    assert_moments(counts, law.mean, law.central(2), fourth=law.central(4), seed=s)


@BOTH
def test_a_cascade_with_a_catalyst_and_a_division(engine: str, seed) -> None:
    """M is no reactant of what it makes; Q/2 is no whole-number division. Linear, so that moments close."""
    s, times = seed(23), np.array([0.5, 2.0, 6.0, 20.0])
    data = simulate_ssa(model(CASCADE), times, trajectories=1500, seed=s, engine=engine)
    counts = np.stack([data.M.values, data.Q.values], axis=-1)
    # d<x>/dt = A<x> + b; dC/dt = AC + CAᵀ + Σ propensity × change × changeᵀ
    a, b = np.array([[-1.0, 0.0], [2.0, -0.5]]), np.array([5.0, 0.0])
    mean, covariance = np.zeros((len(times), 2)), np.zeros((len(times), 2, 2))
    one = np.eye(2)
    lyapunov = np.kron(a, one) + np.kron(one, a)
    noise = np.zeros((4, 3))  # diagonal entries of the noise: 5 + M, 2 M + Q/2
    noise[0] = [5, 1, 0]
    noise[3] = [0, 2, 0.5]
    whole = np.zeros((7, 7))  # (1, M, Q, C)
    whole[1:3, 0], whole[1:3, 1:3] = b, a
    whole[3:, :3], whole[3:, 3:] = noise, lyapunov
    for i, t in enumerate(times):
        solution = expm(whole * t)[:, 0]
        mean[i], covariance[i] = solution[1:3], solution[3:].reshape(2, 2)
    ode = simulate_ode(model(CASCADE), times)
    np.testing.assert_allclose(np.stack([ode.M, ode.Q], axis=-1), mean, rtol=1e-9)
    assert_moments(counts, mean, np.diagonal(covariance, axis1=1, axis2=2), seed=s)


def ladder_rates(ladder: Model) -> tuple[list[str], np.ndarray]:
    """W[i, j] = rate from state j to state i of one molecule, from the laws at one molecule in state j."""
    states = [name for name in ladder.species if name != "w"]
    network = ladder.network
    evaluate = compile_expressions([r.law for r in network.reactions], [*network.species, *network.constants])
    rows = [network.species.index(name) for name in states]
    columns = []
    for name in states:
        amounts = [float(name == other) for other in network.species]
        columns.append(
            (network.stoichiometry() @ np.array(evaluate([*amounts, *network.constants.values()]), float))[
                rows
            ]
        )
    return states, np.array(columns).T


def test_the_molecules_of_the_ladder_are_independent(seed) -> None:
    """Each walks alone, so every count is a sum of binomial ones at all times, and multinomial at rest."""
    s, times = seed(24), np.array([0.0, 0.3, 2.0, 30.0])
    ladder = Model.load("ladder").with_values(
        F=1, k_w=0, k_f=0
    )  # slower vertical steps: fewer firings to wait for
    states, rates = ladder_rates(ladder)
    assert np.abs(rates.sum(axis=0)).max() < 1e-12
    start = np.array([ladder.network.initial[name] for name in states])
    data = simulate_ssa(ladder, times, trajectories=500, seed=s)
    counts = np.stack([data[name].values for name in states], axis=-1)
    assert np.all(counts.sum(axis=-1) == start.sum())
    laws = [independent_molecules(start, np.asarray(expm(rates * t))) for t in times]
    mean, var, fourth = (np.array(column) for column in zip(*laws, strict=True))
    np.testing.assert_allclose(var[-1], mean[-1] * (1 - mean[-1] / start.sum()), rtol=1e-6)  # multinomial
    assert_means(counts, mean, var, seed=s)
    often = mean[1:].min(axis=0) > 3  # where the law is near enough to normal for a bound on the variance
    assert_moments(counts[..., often], mean[:, often], var[:, often], fourth=fourth[:, often], seed=s)


# ------------------------------------------------------------------------------------------- under a signal

STAIRCASES = {
    "square": Signal.square(10, 30, first=1, second=1.5, periodic=True),
    "narrow pulses": Signal.square(0, 4000, first=2.49, second=0.01, periodic=True),
    "staircase": Signal.sawtooth(0, 40, rise=1, fall=1.5, periodic=True).staircase(4),
}
RAMPS = {
    "fast sawtooth from zero": Signal.sawtooth(0, 60, rise=0.02, fall=0.06, periodic=True),
    "slow sawtooth from zero": Signal.sawtooth(0, 60, rise=2, fall=3, periodic=True),
    "bump with jumps": Signal(np.array([0, 1, 2, 2, 4, 4.0]), np.array([0, 80, 5, 40, 0, 20.0])),
}
TWO_OUTPUTS, SOME_OUTPUTS = np.array([0.0, 4.0]), np.array([0.37, 1.0, 2.0, 2.5, 3.9, 4.4])


@BOTH
@pytest.mark.parametrize("name", STAIRCASES)
def test_immigration_under_constant_steps_is_poisson(name: str, engine: str, seed) -> None:
    """Times lie on knots, between them, and at uneven steps."""
    s, signal, times = seed(25), STAIRCASES[name], np.array([0.0, 0.5, 1.0, 2.5, 2.6, 5.0])
    n = 2000 if engine == "roadrunner" else 150
    data = simulate_ssa(model(BIRTH_DEATH), times, signal=signal, trajectories=n, seed=s, engine=engine)
    mean = simulate_ode(model(BIRTH_DEATH), times, signal=signal).X.values
    assert_moments(data.X.values, mean, mean, fourth=poisson_fourth(mean), seed=s)
    np.testing.assert_array_equal(data.u - data.X, np.broadcast_to(2 * signal(times), data.X.shape))


@pytest.mark.parametrize("name", RAMPS)
@pytest.mark.parametrize("times", [TWO_OUTPUTS, SOME_OUTPUTS], ids=["two outputs", "some outputs"])
def test_immigration_under_ramps_is_poisson(name: str, times: np.ndarray, seed) -> None:
    """Signals that the engine gets silently wrong when they stand in the model; not piece by piece."""
    s, signal = seed(26), RAMPS[name]
    n = 200 if "fast" in name else 2000
    data = simulate_ssa(model(BIRTH_DEATH), times, signal=signal, trajectories=n, seed=s)
    mean = simulate_ode(model(BIRTH_DEATH), times, signal=signal).X.values
    assert_moments(data.X.values, mean, mean, fourth=poisson_fourth(mean), seed=s)


def test_dimerisation_under_a_ramp_follows_the_master_equation(seed) -> None:
    """A propensity that is not linear in the counts, driven; which reaction fires depends on when."""
    s, times = seed(27), np.array([0.3, 1.0, 1.5, 3.0])
    signal = Signal.sawtooth(0, 4, rise=1, fall=0.7, periodic=True)
    data = simulate_ssa(model(DIMERS), times, signal=signal, trajectories=3000, seed=s)
    reactions = [MassAction(0.05, (2, 0), (0, 1), driven=True), MassAction(0.5, (0, 1), (2, 0))]
    law = master_equation(reactions, [21, 0], times, sizes=[22, 12], signal=signal, steps=200)
    counts = np.stack([data.P.values, data.P2.values], axis=-1)
    assert np.all(counts @ [1, 2] == 21)
    assert_moments(counts, law.mean, law.central(2), fourth=law.central(4), seed=s)


def test_a_wrong_model_is_caught_under_a_ramp(seed) -> None:
    """Negative control: 5 % more immigration, and the fast sawtooth taken at its mean without its phase."""
    s, times, signal = seed(28), np.array([1.0, 2.0, 4.0]), RAMPS["slow sawtooth from zero"]
    mean = simulate_ode(model(BIRTH_DEATH), times, signal=signal).X.values
    for wrong in (Signal(signal.times, 1.1 * signal.values, True), Signal.constant(signal.mean)):
        data = simulate_ssa(model(BIRTH_DEATH), times, signal=wrong, trajectories=2000, seed=s)
        with pytest.raises(AssertionError, match="off by z"):
            assert_moments(data.X.values, mean, mean, fourth=poisson_fourth(mean), seed=s)


@pytest.mark.parametrize(
    ("times", "steps"),
    [
        ([0.0, 0.5, 2.0, 5.0, 10.0], [20]),  # one call at the common step
        ([0.0, 0.1, 0.2, 0.1 * 3], [3]),
        ([0.37, 1.0, 2.0, 2.5], [1, 1, 1, 1]),
        ([5.0, 10.0], [2]),
        (np.linspace(0, 1, 10_001), [10_000]),
    ],
)
def test_gillespy2_takes_few_calls_for_outputs_on_even_steps(times: list[float], steps: list[int]) -> None:
    stretches = gillespie2._stretches(np.array(times), None)
    assert [stretch.steps for stretch in stretches] == steps
    reported = [s.begin + (s.stop - s.begin) / s.steps * s.at for s in stretches]
    np.testing.assert_allclose(np.concatenate(reported), [t for t in times if t > 0], rtol=1e-12)


@needs_compiler
def test_engines_and_the_oracle_agree(seed) -> None:
    """Four simulators that share no code: the same means, by their pooled standard error."""
    s, times, n = seed(29), np.array([0.5, 2.0]), 2000
    reactions = [MassAction(10.0, (0,), (1,)), MassAction(0.5, (1,), (0,))]
    samples = [oracle_ssa(reactions, [0], times, trajectories=n, seed=s)[..., 0]]
    for engine in engines.EXACT:
        data = simulate_ssa(model(BIRTH_DEATH), times, trajectories=n, seed=s, engine=engine)
        samples.append(data.X.values)
    mean = 20 * (1 - np.exp(-0.5 * times))
    for one in samples:
        assert_moments(one, mean, mean, fourth=poisson_fourth(mean), seed=s)
    assert len({tuple(one[:, 0]) for one in samples}) == 4


# ------------------------------------------------------------------------------------------ random streams


@pytest.mark.parametrize("engine", ["roadrunner"])
def test_consecutive_trajectories_are_independent(engine: str, seed) -> None:
    """Correlation of neighbours is normal with standard deviation 1/√n where there is none."""
    s, n = seed(30), 4000
    data = simulate_ssa(model(BIRTH_DEATH), np.array([1.0, 2.0]), trajectories=n, seed=s, engine=engine)
    x = data.X.values[:, 0] - data.X.values[:, 0].mean()
    z = np.array([x[:-lag] @ x[lag:] / (x @ x) * np.sqrt(n) for lag in (1, 2, 3, 250)])
    assert np.abs(z).max() < 5.2, f"correlation {z} standard errors (K = 4, seed {s})"


@BOTH
@pytest.mark.parametrize("signal", [None, STAIRCASES["square"]], ids=["constant", "square"])
def test_the_same_seed_gives_the_same_numbers_for_any_number_of_workers(
    engine: str, signal: Signal | None
) -> None:
    times, n = np.array([0.0, 1.0, 2.0]), 20 if signal else 260  # 260: more than GillesPy2 has in a block

    def run(**how: int) -> np.ndarray:
        arguments = {"trajectories": n, "seed": 5, **how}
        return simulate_ssa(model(BIRTH_DEATH), times, signal=signal, engine=engine, **arguments).X.values

    first = run(workers=1)
    np.testing.assert_array_equal(first, run(workers=2))
    np.testing.assert_array_equal(first, run(workers=3))
    np.testing.assert_array_equal(first[:7], run(workers=2, trajectories=7))  # nor on how many there are
    for other in (run(seed=6), run(point=1)):
        assert np.mean(first[:, 1:] == other[:, 1:]) < 0.5


def test_one_trajectory_can_be_made_again_alone() -> None:
    from chemlearn.simulate import roadrunner

    times, bd = np.array([0.0, 1.0, 2.0]), model(BIRTH_DEATH)
    saw = RAMPS["slow sawtooth from zero"]
    whole = simulate_ssa(bd, times, signal=saw, trajectories=20, seed=5, point=3, engine="roadrunner")
    alone = roadrunner.fire(bd, times, saw, {}, engines.streams(5, 3, range(17, 18)))
    np.testing.assert_array_equal(whole.X.values[17], alone[0, :, 0])


@BOTH
def test_a_seed_that_was_not_given_is_drawn_and_recorded(engine: str) -> None:
    times = np.array([0.0, 1.0, 2.0])
    first, second = (simulate_ssa(model(BIRTH_DEATH), times, trajectories=5, engine=engine) for _ in range(2))
    assert first.attrs["seed"] != second.attrs["seed"]
    assert not np.array_equal(first.X, second.X)
    assert repeat(first).identical(first)


def test_the_seed_must_be_a_natural_number() -> None:
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0, got -1"):
        simulate_ssa(model(BIRTH_DEATH), np.array([0.0, 1.0]), seed=-1)


# ------------------------------------------------------------------------------------------------ refusals


def test_gillespy2_refuses_ramps() -> None:
    with pytest.raises(
        SimulationError,
        match=r"GillesPy2 .* cannot follow a ramp exactly; use engine='roadrunner'.*staircase",
    ):
        simulate_ssa(model(BIRTH_DEATH), SOME_OUTPUTS, signal=RAMPS["bump with jumps"], engine="gillespy2")


def test_roadrunner_refuses_ramps_where_a_propensity_is_not_linear_in_the_input() -> None:
    hill = Model.load("substanceOnly species X; X = 0; s = 1; made: => X; s/(1 + s); lost: X => ; X; u := X")
    with pytest.raises(
        SimulationError, match=r"reaction made: its propensity is not linear in s, so .*staircase"
    ):
        simulate_ssa(hill, SOME_OUTPUTS, signal=RAMPS["bump with jumps"], engine="roadrunner")
    simulate_ssa(hill, SOME_OUTPUTS, signal=STAIRCASES["square"], seed=1, engine="roadrunner")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A = 5; B = 0; k = 1; R: A -> B; k*A - k*B", r"model:3: reaction R: .*net rate.*split=True"),
        (
            "A = 5; B = 0; k = 1; R: 2 A => B; k*A*A",
            r"reaction R: it takes 2 A.*still runs at A = 1.*A\*\(A - 1\)",
        ),
        ("A = 5; B = 0; k = 1; R: A => B; k", "reaction R: .*does not vanish when A is used up"),
        ("A = 5.5; B = 0; k = 1; R: A => B; k*A", "species A: its initial amount 5.5 is not a whole number"),
        ("A = 5; B = 0; k = 1; R: A => 1.5 B; k*A", "stoichiometry 1.5 of B is not a whole number"),
        ("A = 5; B = 0; k = 1; B' = k*A; R: A => ; k*A", "variable B: it changes continuously"),
        ("A = 5; B = 0; k = 1; R: A => B; kk*A", "name 'kk': it has no value"),
    ],
)
@pytest.mark.parametrize("engine", engines.EXACT)
def test_the_lint_refuses(text: str, words: str, engine: str) -> None:
    with pytest.raises(ModelError, match=words):
        simulate_ssa(Model.load(f"substanceOnly species A, B\n\n{text}"), np.array([0.0, 1.0]), engine=engine)


def test_a_signal_that_makes_a_propensity_negative_is_refused() -> None:
    with pytest.raises(ModelError, match=r"where the signal is -5: .*reaction made: .*negative"):
        simulate_ssa(model(BIRTH_DEATH), SOME_OUTPUTS, signal=Signal.sawtooth(-5, 5, rise=1, fall=1))


def test_a_split_reversible_reaction_fires_both_ways(seed) -> None:
    """A ⇌ B from 10: binomial with chance 2/3; as one net rate it would stand still at rest."""
    s = seed(31)
    reversible = "substanceOnly species A, B; A = 10; B = 0; R: A -> B; 2*A - B"
    data = simulate_ssa(
        Model.load(reversible, split=True), np.array([0.0, 1.0, 20.0]), trajectories=1000, seed=s
    )
    chance = 2 / 3 * (1 - np.exp(-3 * data.time.values))[:, None]
    mean, var, fourth = independent_molecules(np.array([10]), chance)
    assert_moments(data.B.values, mean, var, fourth=fourth, seed=s)


@pytest.mark.parametrize("amount", [2.5, -1.0, float("nan"), float("inf")])
def test_a_start_must_be_whole(amount: float) -> None:
    with pytest.raises(ValueError, match=r"the start of 'X' must be a (whole|finite) number, got"):
        simulate_ssa(model(BIRTH_DEATH), np.array([0.0, 1.0]), start={"X": amount})


def test_arguments_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"no engine named 'magic'; there are native, .*, langevin"):
        simulate_ssa(model(BIRTH_DEATH), np.array([0.0, 1.0]), engine="magic")
    with pytest.raises(ValueError, match="trajectories must be at least 1, got 0"):
        simulate_ssa(model(BIRTH_DEATH), np.array([0.0, 1.0]), trajectories=0)
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        simulate_ssa(model(BIRTH_DEATH), np.array([0.0, 1.0]), workers=0)


def test_counts_stop_at_zero() -> None:
    """A death that takes its last molecules leaves nothing, on both ends of the path."""
    decay = Model.load("substanceOnly species A, B; A = 5; B = 0; k = 1; A => B; k*A")
    data = simulate_ssa(decay, np.array([0.0, 1.0, 50.0]), trajectories=50, seed=1)
    assert data.A.values.min() == 0
    assert np.all(data.A.values[:, -1] == 0)
    assert np.all(data.A + data.B == 5)
