"""The whole question asked of one model: can it learn contrastively, over which range, at what cost?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
import xarray as xr

from chemlearn.curves.curve import UpdateCurve
from chemlearn.curves.update import threshold, update_curve
from chemlearn.cycle import (
    Cycle,
    Ensemble,
    deterministic_curve,
    firings_per_trajectory,
    steady_output,
    stochastic_curve,
)
from chemlearn.entropy.cycle import CycleDissipation, cycle_dissipation
from chemlearn.entropy.network import Dissipation, dissipation
from chemlearn.errors import ModelError, SimulationError
from chemlearn.expression import is_affine
from chemlearn.kernels.kernel import ExponentialKernel, SampledKernel
from chemlearn.linear import WorkingRange, linear_kernel, step_kernel, step_response, working_range
from chemlearn.lint import Finding
from chemlearn.model import Model
from chemlearn.noise import output_sd
from chemlearn.settings import Settings
from chemlearn.simulate import EnsembleInterrupted
from chemlearn.verdict import Verdict, judge

Stage = Callable[[str, int, int], None]  #: what is being done, how much of it is done, how much there is

SHARES = np.array(
    [0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 0.9, 1.0]
)  # of the largest contrast, rate equations
ENSEMBLE_SHARES = np.array([-1.0, -0.5, 0.5, 1.0])  # of the largest contrast, stochastic
STEP_SHARES = (-0.5, -0.1, 0.1, 0.5)  # of the mean, for the step responses
SPEED = {"native": 6e7, "roadrunner": 3e6, "gillespy2": 3e6}  # reaction firings per second on two cores
STAIRCASE = 200  # steps of a ramp, for engines that cannot follow it


@dataclass(frozen=True)
class Assessment:
    """Everything that was measured of a model, and the verdict.

    Parameters
    ----------
    model : Model
    settings : Settings
        With everything that was chosen filled in.
    findings : tuple of Finding
    kernel : ExponentialKernel
        Linear response at the mean.
    step : SampledKernel
        From a small finite step at the mean.
    steps : dict of float to xarray.Dataset
        Responses to steps of several sizes, as shares of the mean: ``time`` and the output, whose level
        before the step is in ``attrs["rest"]``. Sizes from which the model does not come back are left out.
    working : WorkingRange
    cycle : Cycle
    threshold : float
        θ, in units of u.
    closed, deterministic : UpdateCurve
    cycles : xarray.Dataset
        u over one period for every amplitude of the deterministic curve.
    ensemble : Ensemble or None
    no_ensemble : str
        Why there is none, or what is missing from it.
    noise : float
        Standard deviation of u of one synapse (linear noise approximation); nan without molecules.
    dissipation : Dissipation
        At the mean.
    cycle_dissipation : CycleDissipation or None
        Of the cycle with the largest amplitude; None where dissipation is not finite.
    verdict : Verdict
    """

    model: Model
    settings: Settings
    findings: tuple[Finding, ...]
    kernel: ExponentialKernel
    step: SampledKernel
    steps: dict[float, xr.Dataset]
    working: WorkingRange
    cycle: Cycle
    threshold: float
    closed: UpdateCurve
    deterministic: UpdateCurve
    cycles: xr.Dataset
    ensemble: Ensemble | None
    no_ensemble: str
    noise: float
    dissipation: Dissipation
    cycle_dissipation: CycleDissipation | None
    verdict: Verdict

    def to_datatree(self) -> xr.DataTree:
        """All numbers as one tree of Datasets, for netCDF."""
        lags = self.step.times
        kernel = xr.Dataset(
            {
                "linear": ("lag", self.kernel.tail(0, lags)),
                "finite_step": ("lag", self.step.values),
                "step_response": ("lag", self.kernel.step_response(lags)),
                "coefficient": ("component", self.kernel.coefficients.real),
                "coefficient_imag": ("component", self.kernel.coefficients.imag),
                "rate": ("component", self.kernel.rates.real),
                "rate_imag": ("component", self.kernel.rates.imag),
            },
            {"lag": lags},
            {name: getattr(self.kernel, name) for name in ("area", "first_moment", "half_time", "delta")},
        )
        groups = {"kernel": kernel, "working_range": self.working.table, "cycles": self.cycles}
        curves = {"closed_form": self.closed, "rate_equations": self.deterministic}
        if self.ensemble is not None:
            curves |= {"single_synapse": self.ensemble.single, "pooled": self.ensemble.pooled}
            groups["ensemble"] = self.ensemble.data
        for name, curve in curves.items():
            groups[f"update_{name}"] = _as_dataset(curve)
        for share, data in self.steps.items():
            groups[f"step_{share:+g}"] = data
        groups["dissipation"] = self.dissipation.pairs.assign_attrs(
            rate=self.dissipation.rate, reason=self.dissipation.reason, s=self.dissipation.s
        )
        if self.cycle_dissipation is not None:
            cost = self.cycle_dissipation
            groups["cycle_dissipation"] = cost.course.assign_attrs(
                cost.course.attrs | {"per_cycle": cost.per_cycle, "update": cost.update}
            )
        attrs = {k: "" if v is None else v for k, v in asdict(self.settings).items()}
        attrs["seed"] = str(self.settings.seed)  # may be more than a netCDF integer holds
        root = xr.Dataset(
            attrs={
                **attrs,
                "model": self.model.name,
                "model_text": self.model.text,
                "model_fingerprint": self.model.fingerprint,
                "threshold": self.threshold,
                "verdict": str(self.verdict),
            }
        )
        return xr.DataTree.from_dict({"/": root, **groups})


def _as_dataset(curve: UpdateCurve) -> xr.Dataset:
    columns = {"update": ("amplitude", curve.updates)}
    if curve.errors is not None:
        columns["error"] = ("amplitude", curve.errors)
    attrs = {name: getattr(curve, name) for name in ("threshold", "ideal_slope", "slope", "offset")}
    return xr.Dataset(columns, {"amplitude": curve.amplitudes}, attrs)


def assess(model: Model, settings: Settings | None = None, *, stage: Stage | None = None) -> Assessment:
    """Ask a model whether it can learn contrastively, over which range and at what cost.

    Parameters
    ----------
    model : Model
    settings : Settings, optional
    stage : callable, optional
        Called as ``stage(what, done, wanted)`` as the work goes on.

    Returns
    -------
    Assessment

    Raises
    ------
    ModelError
        When the model lacks an input or output, or is not complete; the message says how to mend it.
    ConvergenceError, SimulationError
        Without a stable steady state at the mean.
    """
    settings = settings or Settings()
    tell = stage or (lambda what, done, wanted: None)
    model.require(stochastic=False)
    mean = model.input_value if settings.mean is None else float(settings.mean)
    model = model.with_values(**{model.input: mean})
    tell("kernel", 0, 1)
    kernel = linear_kernel(model)
    _require_memory(model, kernel)
    small = 0.01 * (abs(mean) or 1.0)
    step = step_kernel(model, mean, mean + small)
    steps = _step_responses(model, mean, kernel)
    tell("working range", 0, 1)
    working = working_range(model, tolerance=settings.tolerance)
    settings = _filled(settings, model, mean, kernel, working)
    cycle = Cycle(mean, settings.rise, settings.fall)  # type: ignore[arg-type]
    largest = float(settings.amplitude)  # type: ignore[arg-type]
    cycle.check(model, np.array([largest]))
    theta = _threshold(settings, cycle, kernel, largest)
    tell("update curve: closed form", 0, 1)
    grid = largest * np.linspace(-1, 1, 81)
    closed = update_curve(kernel, grid, threshold=theta, rise=cycle.rise, fall=cycle.fall)
    amplitudes = largest * np.concatenate((-SHARES[::-1], SHARES))
    deterministic, cycles = deterministic_curve(
        model,
        cycle,
        amplitudes,
        threshold=theta,
        kernel=kernel,
        progress=lambda done, wanted: tell("update curve: rate equations", done, wanted),
    )
    tell("dissipation", 0, 1)
    cost = dissipation(model, mean)
    finite = np.isfinite(cost.rate)
    per_cycle = cycle_dissipation(model, cycle.signal(largest), threshold=theta) if finite else None
    noise = np.nan if model.network.rates_of or not model.species else output_sd(model, mean)
    ensemble, missing, settings = _ensemble(model, settings, cycle, kernel, theta, largest, tell)
    return Assessment(
        model=model,
        settings=settings,
        findings=model.findings(),
        kernel=kernel,
        step=step,
        steps=steps,
        working=working,
        cycle=cycle,
        threshold=theta,
        closed=closed,
        deterministic=deterministic,
        cycles=cycles,
        ensemble=ensemble,
        no_ensemble=missing,
        noise=noise,
        dissipation=cost,
        cycle_dissipation=per_cycle,
        verdict=judge(kernel, working, cycle, closed, deterministic, noise=noise),
    )


def _threshold(settings: Settings, cycle: Cycle, kernel: ExponentialKernel, largest: float) -> float:
    """θ of the weight, by the chosen rule for the largest contrast."""
    return settings.margin * threshold(
        settings.rule,
        amplitude_max=largest,
        rise=cycle.rise,
        fall=cycle.fall,
        kernel_area=kernel.area,
        first_moment=kernel.first_moment,
    )


def _require_memory(model: Model, kernel: ExponentialKernel) -> None:
    """Refuse a model whose output does not depend on the history of its input: no question is left to ask."""
    name, parts = f"{model.origin}: the output {model.output!r}", np.abs(kernel.coefficients / kernel.rates)
    answer = float(np.max(np.abs(kernel.step_response(kernel.lags)), initial=abs(kernel.area)))
    if not answer > 1e-9 * (abs(kernel.delta) + float(np.sum(parts))):
        raise ModelError(
            f"{name} does not answer small changes of the input {model.input!r} at {model.input_value:g}; "
            f"take another output (--output) or another mean (--mean)"
        )
    if not parts.size or not kernel.first_moment:
        raise ModelError(
            f"{name} follows the input {model.input!r} at once and remembers nothing of it, so it "
            "cannot tell a change; "
            f"take another output (--output)"
        )


def _filled(
    settings: Settings, model: Model, mean: float, kernel: ExponentialKernel, working: WorkingRange
) -> Settings:
    """The settings with everything chosen that was left open."""
    slowest = float(
        np.log(2) / np.min(kernel.rates.real)
    )  # where the output mostly jumps at once, with no half-time
    rise = 30.0 * (kernel.half_time or slowest) if settings.rise is None else settings.rise
    amplitude = abs(mean) or 1.0
    if not working.reason and mean:
        ends = ((working.low, working.open_low), (working.high, working.open_high))
        fits = min((2 * abs(mean - end) for end, still_open in ends if not still_open), default=amplitude)
        amplitude = min(amplitude, max(fits, 0.1 * amplitude))
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if settings.seed is None else settings.seed
    return replace(
        settings,
        mean=mean,
        rise=rise,
        fall=10.0 * rise if settings.fall is None else settings.fall,
        amplitude=amplitude if settings.amplitude is None else settings.amplitude,
        seed=seed,
    )


def _step_responses(model: Model, mean: float, kernel: ExponentialKernel) -> dict[float, xr.Dataset]:
    """Output after steps of several sizes from the mean."""
    end = max(12.0 * kernel.half_time, 3.0 / float(np.min(kernel.rates.real)))
    times = end * np.concatenate(([0.0], np.geomspace(1e-5, 1.0, 300)))
    unit = abs(mean) or 1.0
    rest = steady_output(model, mean)
    found = {}
    for share in STEP_SHARES:
        try:
            data = step_response(model, mean, mean + share * unit, times)
        except SimulationError:
            continue  # the model blows up after so large a step
        found[share] = data[[model.output]].assign_attrs(share=share, rest=rest)
    return found


def _ensemble(
    model: Model,
    settings: Settings,
    cycle: Cycle,
    kernel: ExponentialKernel,
    theta: float,
    largest: float,
    tell: Stage,
) -> tuple[Ensemble | None, str, Settings]:
    """The stochastic ensemble that the settings allow, why there is none, and the settings with its size."""
    if settings.trajectories == 0:
        return None, "not asked for", settings
    try:
        model.require(stochastic=True)
    except ModelError as error:
        return None, f"deterministic only: {error}", replace(settings, trajectories=0)
    each = firings_per_trajectory(model, cycle, kernel)
    count = settings.trajectories
    if count is None:
        spend = settings.firings or 10.0 * SPEED[settings.engine]
        count = int(min(1000, spend / (each * len(ENSEMBLE_SHARES))))
        if count < 2:
            needed = 2.1 * each * len(ENSEMBLE_SHARES)
            reason = (
                f"one trajectory takes {each:.2g} reaction firings; allow --firings {needed:.2g} "
                "for the smallest ensemble"
            )
            return None, reason, replace(settings, trajectories=0)
    settings = replace(settings, trajectories=count)
    try:
        ensemble = stochastic_curve(
            model,
            cycle,
            largest * ENSEMBLE_SHARES,
            threshold=theta,
            kernel=kernel,
            trajectories=count,
            seed=settings.seed,
            engine=settings.engine,
            workers=settings.workers,
            staircase=_staircase(model, settings.engine),
            progress=lambda done, wanted: tell("update curve: stochastic ensemble", done, wanted),
        )
    except EnsembleInterrupted:
        return None, "interrupted before the first amplitude was finished", settings
    return ensemble, ensemble.interrupted, settings


def _staircase(model: Model, engine: str) -> int | None:
    """Steps into which ramps are cut for an engine that cannot follow them exactly."""
    affine = all(is_affine(r.law, model.input) for r in model.network.reactions)
    return None if engine == "native" or (affine and engine == "roadrunner") else STAIRCASE
