"""The whole question asked of the shipped models, and of models on which it makes no sense."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from chemlearn import assessment as assessment_module
from chemlearn.assessment import Assessment, assess
from chemlearn.curves.curve import linear_range
from chemlearn.entropy.cycle import cycle_dissipation
from chemlearn.errors import ConvergenceError, ModelError, SimulationError
from chemlearn.model import Model
from chemlearn.report import summary
from chemlearn.settings import Settings
from chemlearn.simulate import EnsembleInterrupted


@cache
def found(name: str, **how: float) -> Assessment:
    return assess(Model.load(name), Settings(trajectories=0, seed=1, **how))


def failing(name: str, **how: float) -> str:
    verdict = found(name, **how).verdict
    assert not verdict.contrastive
    return " | ".join(r.text for r in verdict.reasons if not r.holds)


@pytest.mark.parametrize(
    "name", ["linker", "mechanochemical", "integral_feedback", "maxwell", "capacitor_memristor"]
)
def test_contrastive_models(name: str) -> None:
    result = found(name)
    assert result.verdict.contrastive, str(result.verdict)
    assert result.kernel.first_moment < 0
    assert all(r.holds for r in result.verdict.reasons)


@pytest.mark.parametrize("name", ["linker", "mechanochemical"])
@pytest.mark.parametrize("curve", ["closed", "deterministic"])
@pytest.mark.parametrize("sign", [1, -1])
def test_slope_at_thirty_half_times(name: str, curve: str, sign: int) -> None:
    result = found(name)
    assert result.cycle.rise == pytest.approx(30 * result.kernel.half_time)
    line = linear_range(getattr(result, curve), sign=sign)
    assert 0.9 < line.slope < 1.1, line
    assert abs(line.amplitude_max) == pytest.approx(result.settings.amplitude)
    assert abs(line.amplitude_max / line.amplitude_min) > 4


@pytest.mark.parametrize("name", ["linker_hebbian", "mechanochemical_hebbian", "leaky"])
def test_controls_without_feedback_are_not_contrastive_for_their_one_lobe(name: str) -> None:
    assert "the kernel has one lobe" in failing(name)
    assert found(name).kernel.first_moment > 0
    assert "remains" in failing(name)


@pytest.mark.parametrize("name", ["maxwell", "capacitor_memristor"])
def test_continuous_models_have_no_ensemble(name: str) -> None:
    result = assess(Model.load(name), Settings(seed=1))
    assert result.verdict.contrastive
    assert result.ensemble is None
    assert result.no_ensemble.startswith("deterministic only: ")
    assert "rate rule" in result.no_ensemble
    assert result.settings.trajectories == 0
    assert np.isnan(result.noise)


def test_equal_and_inverted_swings_are_refused_for_their_timing() -> None:
    rise = found("integral_feedback").cycle.rise
    assert "they cancel" in failing("integral_feedback", rise=rise, fall=rise)
    assert "times as slow as the one back" in failing("integral_feedback", rise=10 * rise, fall=rise)


def test_linear_model_agrees_with_its_closed_form() -> None:
    """integral_feedback's reactions are the linear equations themselves (F14, F15)."""
    result = found("integral_feedback")
    exact = result.closed(result.deterministic.amplitudes)
    loud = np.abs(result.deterministic.amplitudes) > 0.2 * result.settings.amplitude
    assert result.deterministic.updates[loud] == pytest.approx(exact[loud], rel=1e-5)
    assert result.kernel.first_moment == pytest.approx(-1.0, rel=1e-9)


def test_ladder_loses_lobe_and_dissipation_with_its_drive() -> None:
    driven = found("ladder")
    balanced = assess(Model.load("ladder").with_values(gamma=1), Settings(trajectories=0, seed=1))
    assert len(driven.kernel.lobes) == 2
    assert len(balanced.kernel.lobes) == 1
    assert driven.dissipation.rate > 400
    assert balanced.dissipation.balanced
    assert not balanced.verdict.contrastive


def test_everything_that_was_chosen_is_filled_in_and_repeats() -> None:
    first = found("linker")
    settings = first.settings
    assert None not in (settings.mean, settings.rise, settings.fall, settings.amplitude, settings.seed)
    assert settings.fall == pytest.approx(10 * settings.rise)
    again = assess(Model.load("linker"), settings)
    assert np.array_equal(again.deterministic.updates, first.deterministic.updates)
    assert np.array_equal(again.closed.updates, first.closed.updates)
    assert str(again.verdict) == str(first.verdict)


def test_step_responses_start_at_rest_even_where_the_output_jumps() -> None:
    """Maxwell: u jumps with the step and decays, 1 − (1 − e^{−t}) per unit of strain."""
    for share, data in found("maxwell").steps.items():
        answer = (data.u.values - data.attrs["rest"]) / share
        assert answer == pytest.approx(np.exp(-data.time.values), abs=1e-6)


def test_mean_can_be_set_and_moves_the_cycle() -> None:
    result = found("linker", mean=4.0)
    assert result.cycle.mean == 4.0
    assert result.model.input_value == 4.0
    assert result.settings.amplitude == 4.0


def test_amplitude_is_fitted_into_the_working_range_but_not_to_nothing() -> None:
    ladder = found("ladder")
    assert ladder.settings.amplitude == pytest.approx(2 * (50 - ladder.working.low))
    at_its_edge = replace(ladder.working, low=49.99)
    filled = assessment_module._filled(Settings(), ladder.model, 50.0, ladder.kernel, at_its_edge)
    assert filled.amplitude == pytest.approx(5.0)


def test_zero_and_negative_means_of_a_linear_device() -> None:
    zero, below = found("maxwell", mean=0.0), found("maxwell", mean=-2.0)
    assert zero.verdict.contrastive
    assert zero.settings.amplitude == 1.0
    assert below.verdict.contrastive
    assert below.settings.amplitude == 2.0


def test_an_output_that_is_a_rule_and_jumps_has_a_time_scale() -> None:
    text = "model m\n s = 1; x = 0.1\n u := 10*s + x\n => x; 0.1*s\n x => ; x\nend"
    result = assess(Model.load(text), Settings(trajectories=0, seed=1))
    assert result.kernel.half_time == 0
    assert result.cycle.rise == pytest.approx(30 * np.log(2))
    assert not result.verdict.contrastive


def test_sbml_gives_the_same_answer_as_antimony() -> None:
    result = assess(Model.load(Model.load("linker").sbml), Settings(trajectories=0, seed=1))
    assert result.deterministic.updates == pytest.approx(found("linker").deterministic.updates, rel=1e-6)


def test_steps_that_blow_up_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = assessment_module.step_response

    def fragile(model: Model, before: float, after: float, times: np.ndarray):
        if after > 1.2 * before:
            raise SimulationError("blows up")
        return real(model, before, after, times)

    monkeypatch.setattr(assessment_module, "step_response", fragile)
    result = assess(Model.load("maxwell"), Settings(seed=1))
    assert list(result.steps) == [-0.5, -0.1, 0.1]


# --- the ensemble ------------------------------------------------------------------------------------------


def small() -> Model:
    return Model.load("integral_feedback").with_values(s=200)


def test_ensemble_with_settings_and_data_that_load(tmp_path) -> None:
    import xarray as xr

    stages: list[str] = []
    result = assess(
        small(),
        Settings(rise=5.0, fall=20.0, amplitude=80.0, trajectories=2, seed=3),
        stage=lambda what, done, wanted: stages.append(what),
    )
    assert result.ensemble is not None
    assert result.no_ensemble == ""
    assert list(dict.fromkeys(stages)) == [
        "kernel", "working range", "update curve: closed form", "update curve: rate equations", "dissipation",
        "update curve: stochastic ensemble",
    ]  # fmt: skip
    tree = result.to_datatree()
    tree.to_netcdf(tmp_path / "all.nc", engine="h5netcdf")
    again = xr.load_datatree(tmp_path / "all.nc", engine="h5netcdf")
    for name in ("closed_form", "rate_equations", "single_synapse", "pooled"):
        assert np.array_equal(again[f"update_{name}"]["update"], tree[f"update_{name}"]["update"])
    assert again.attrs["seed"] == "3"
    assert again.attrs["model_text"] == small().text


def test_the_cost_of_a_cycle_where_dissipation_is_finite(tmp_path) -> None:
    """Of the cycle with the largest contrast; of a driven ladder it is near what rest costs in that time."""
    ladder = Model.load("ladder").with_values(gamma=0.1, N=10)
    found = assess(ladder, Settings(rise=2.0, fall=10.0, amplitude=20.0, trajectories=0, seed=1))
    cost = found.cycle_dissipation
    assert cost is not None
    alone = cycle_dissipation(ladder, found.cycle.signal(20.0), threshold=found.threshold)
    assert cost.per_cycle == alone.per_cycle
    assert cost.update == alone.update
    assert cost.per_cycle == pytest.approx(12 * found.dissipation.rate, rel=0.1)
    assert ("dissipation per cycle", str(cost)) in summary(found)
    found.to_datatree().to_netcdf(tmp_path / "all.nc", engine="h5netcdf")
    one_way = assess(Model.load("leaky"), Settings(trajectories=0, seed=1))
    assert (one_way.cycle_dissipation is None) == (not np.isfinite(one_way.dissipation.rate))


def test_seeds_larger_than_an_integer_of_netcdf(tmp_path) -> None:
    result = assess(Model.load("maxwell"), Settings(seed=2**100))
    result.to_datatree().to_netcdf(tmp_path / "all.nc", engine="h5netcdf")
    assert result.to_datatree().attrs["seed"] == str(2**100)


def test_too_few_firings_say_how_many_are_needed() -> None:
    result = assess(small(), Settings(rise=5.0, fall=20.0, amplitude=80.0, firings=10.0, seed=1))
    assert result.ensemble is None
    needed = float(result.no_ensemble.split("--firings ")[1].split()[0])
    each = result.no_ensemble.split()[3]
    assert needed >= 6 * float(each) * 0.97


def test_interrupt_before_anything_is_done_leaves_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args, **how):
        raise EnsembleInterrupted(None, 2)

    monkeypatch.setattr(assessment_module, "stochastic_curve", interrupted)
    result = assess(small(), Settings(rise=5.0, fall=20.0, amplitude=80.0, trajectories=2, seed=1))
    assert result.ensemble is None
    assert result.no_ensemble == "interrupted before the first amplitude was finished"


def test_laws_that_an_engine_cannot_follow_along_ramps_get_a_staircase(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = {}

    def looked_at(*args, **how):
        seen.update(how)
        raise EnsembleInterrupted(None, 2)

    monkeypatch.setattr(assessment_module, "stochastic_curve", looked_at)
    for law, engine, steps in (
        ("s", "roadrunner", None),
        ("s", "gillespy2", 200),
        ("s^2", "roadrunner", 200),
        ("s^2", "native", None),
    ):
        model = Model.load(f"model m\n s = 2; u = 40\n => u; 10*{law}\n u => ; u\nend")
        assess(model, Settings(engine=engine, trajectories=2, seed=1))
        assert seen["staircase"] == steps, (law, engine)


# --- what cannot be assessed -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"rise": -1.0}, "rise must be positive, got -1"),
        ({"fall": 0.0}, "fall must be positive, got 0"),
        ({"amplitude": np.inf}, "amplitude must be positive, got inf"),
        ({"margin": 0.0}, "margin must be positive"),
        ({"tolerance": -0.1}, "tolerance must be positive"),
        ({"mean": np.nan}, "mean must be a finite number"),
        ({"trajectories": 1}, "trajectories must be 0 or at least 2"),
        ({"trajectories": -3}, "trajectories must be 0 or at least 2"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"rule": "best"}, "no rule named 'best'; there are down_ramp"),
        ({"engine": "copasi"}, "no engine named 'copasi'; there are native, roadrunner"),
    ],
)
def test_settings_that_make_no_sense(setting: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Settings(**setting)


HEAD = "model m\n s = 1; k = 1\n"


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ("u := 2*s\nend", ModelError, "follows the input 's' at once and remembers nothing"),
        ("x = 1; => x; s; x => ; x; u := 3*s\nend", ModelError, "at once and remembers nothing"),
        (
            "a = 1; b = 1; => a; s; a => ; a; => b; s; b => ; b; u := a - b\nend",
            ModelError,
            "does not answer",
        ),
        ("u = 1; => u; k; u => ; u\nend", ModelError, "does not act on the output"),
        ("u = 1; => u; k*s\nend", SimulationError, "grows without bound"),
        ("u = 2; => u; k*s*u^2; u => ; u\nend", SimulationError, "blow up"),
        ("v = 1; => v; k*s; v => ; v\nend", ModelError, "no variable 'u'"),
        (
            "x = 1; y = 2; u := x; x => 2 x; x*s; x + y => 2 y; x*y; y => ; y\nend",
            ConvergenceError,
            "steady state",
        ),
    ],
    ids=[
        "algebraic",
        "unused memory",
        "cancelling",
        "unmoved",
        "grows",
        "blows up",
        "no output",
        "oscillates",
    ],
)
def test_models_without_an_answer(body: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        assess(Model.load(HEAD + body), Settings(trajectories=0, seed=1))


def test_contrasts_that_would_make_a_chemical_input_negative() -> None:
    with pytest.raises(ModelError, match="use amplitudes up to 4, twice the mean"):
        assess(Model.load("leaky"), Settings(amplitude=10.0, trajectories=0))
    with pytest.raises(ModelError, match="use a positive mean"):
        assess(Model.load("leaky"), Settings(mean=0.0, trajectories=0))
