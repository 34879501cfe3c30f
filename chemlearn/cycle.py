"""The learning cycle simulated: update curves of a whole model, deterministic and stochastic.

The closed form (:func:`chemlearn.update_curve`) knows a model only by its linear kernel. Here the model
itself goes through the sawtooth: its rate equations until they repeat, or many trajectories of single
molecules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import xarray as xr

from chemlearn.curves.curve import UpdateCurve
from chemlearn.curves.update import trajectory_updates, weight_update_from_samples
from chemlearn.errors import ConvergenceError, ModelError
from chemlearn.kernels.kernel import ExponentialKernel
from chemlearn.linear import linear_kernel
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import EnsembleInterrupted, simulate_ode, simulate_ssa

Progress = Callable[[int, int], None]

_REPEATS = (
    1e-6  # largest change of u from one period to the next, relative to its swing, that counts as periodic
)
_ROUNDING = 1e-10  # the same relative to u itself: what the solver cannot resolve
_PERIODS = 40


@dataclass(frozen=True)
class Cycle:
    """The sawtooth between free and clamped, without its amplitude.

    Parameters
    ----------
    mean : float
        s̄, half-way between free and clamped.
    rise, fall : float
        Durations of free → clamped (τ_f) and of clamped → free (τ_s).
    """

    mean: float
    rise: float
    fall: float

    def __post_init__(self) -> None:
        self.signal(0.0)  # complains about durations that are not positive

    @property
    def period(self) -> float:
        """rise + fall."""
        return self.rise + self.fall

    def signal(self, amplitude: float) -> Signal:
        """The periodic sawtooth with s_clamped − s_free = amplitude (F5)."""
        free, clamped = self.mean - amplitude / 2, self.mean + amplitude / 2
        return Signal.sawtooth(free, clamped, rise=self.rise, fall=self.fall, periodic=True)

    def times(self, per_leg: int = 160) -> np.ndarray:
        """Instants of one period, dense after each knot, where u bends; knots and end are among them."""
        shape = np.concatenate(
            ([0.0], np.geomspace(1e-6, 0.3, per_leg // 2), np.linspace(0.3, 1.0, per_leg // 2)[1:])
        )
        return np.concatenate((self.rise * shape[:-1], self.rise + self.fall * shape))

    def check(self, model: Model, amplitudes: np.ndarray) -> None:
        """Refuse a sawtooth that drives a chemical input below zero."""
        lowest = self.mean - float(np.max(np.abs(amplitudes), initial=0.0)) / 2
        if lowest < 0 and model.species:
            mend = (
                f"use amplitudes up to {2 * self.mean:g}, twice the mean"
                if self.mean > 0
                else "use a positive mean"
            )
            raise ModelError(
                f"{model.origin}: the sawtooth takes {model.input} down to {lowest:g}, but the input "
                "of a chemical "
                f"model cannot be negative; {mend}"
            )


def periodic_response(model: Model, cycle: Cycle, amplitude: float) -> xr.Dataset:
    """One period of the model's rate equations once they repeat.

    Parameters
    ----------
    model : Model
    cycle : Cycle
    amplitude : float
        s_clamped − s_free.

    Returns
    -------
    xarray.Dataset
        As of :func:`chemlearn.simulate_ode` over one period, free at its start, with ``attrs["periods"]``.

    Raises
    ------
    ConvergenceError
        When the output has not become periodic after 40 periods.
    """
    cycle.check(model, np.array([amplitude]))
    signal, times = cycle.signal(amplitude), cycle.times()
    core = [model.network.variables[i] for i in model.dynamics.core]
    steady = model.dynamics.steady_state(cycle.mean)
    state = dict(zip(model.network.variables, (float(v) for v in steady), strict=True))
    before = None
    change = np.inf
    for period in range(1, _PERIODS + 1):
        data = simulate_ode(model, times, signal=signal, start=state)
        u = data[model.output].values
        if before is not None:
            change = float(np.max(np.abs(u - before)))
            if change <= max(_REPEATS * float(np.ptp(u)), _ROUNDING * float(np.max(np.abs(u)))):
                return data.assign_attrs(periods=period)
        before = u
        state |= {name: float(data[name].values[-1]) for name in core}
    raise ConvergenceError(
        f"{model.origin}: u is not periodic after {_PERIODS} periods at amplitude {amplitude:g} "
        f"(it still changes by {change:.3g}); take a longer cycle",
        residual=change,
        steps=_PERIODS,
    )


def deterministic_curve(
    model: Model,
    cycle: Cycle,
    amplitudes: np.ndarray,
    *,
    threshold: float,
    kernel: ExponentialKernel | None = None,
    progress: Progress | None = None,
) -> tuple[UpdateCurve, xr.Dataset]:
    r"""Update curve of the full, non-linear rate equations in their periodic steady state.

    Δw = ∮ g_θ(u − ū) dt (F7), where ū is the output's steady state at the mean input.

    Parameters
    ----------
    model : Model
    cycle : Cycle
    amplitudes : (n,) array
        s_clamped − s_free, of either sign.
    threshold : float
        θ, in units of u.
    kernel : ExponentialKernel, optional
        Linear kernel at the mean, if it is at hand; its ``|M₁|`` is the ideal slope.
    progress : callable, optional
        Called as ``progress(done, wanted)``.

    Returns
    -------
    UpdateCurve
    xarray.Dataset
        ``u`` (amplitude, time) over one period, and ``update``.
    """
    kernel = kernel or linear_kernel(model, cycle.mean)
    rest = steady_output(model, cycle.mean)
    times = cycle.times()
    rows, updates = [], []
    for i, amplitude in enumerate(amplitudes):
        u = periodic_response(model, cycle, float(amplitude))[model.output].values - rest
        rows.append(u)
        updates.append(float(weight_update_from_samples(times, u, threshold, knots=[cycle.rise])))
        if progress is not None:
            progress(i + 1, len(amplitudes))
    curve = UpdateCurve(
        amplitudes,
        np.array(updates),
        threshold=threshold,
        ideal_slope=abs(kernel.first_moment),
        label="rate equations",
    )
    data = xr.Dataset(
        {"u": (("amplitude", "time"), np.array(rows)), "update": ("amplitude", updates)},
        {"amplitude": amplitudes, "time": times},
        {"rest": rest, "threshold": threshold},
    )
    return curve, data


def steady_output(model: Model, s: float) -> float:
    """The output's steady state at constant input, in units of u.

    Raises
    ------
    ConvergenceError, SimulationError
        Without a stable steady state.
    """
    return float(model.dynamics.output(model.dynamics.steady_state(s), s))


def stochastic_signal(cycle: Cycle, amplitude: float, *, settle: float) -> Signal:
    """Hold for ``settle``, then the end of a slow swing for as long, then one whole cycle from free.

    The lead-in ends as every cycle does, on the slow swing, so that the cycle after it already is a
    periodic one.
    """
    free, clamped = cycle.mean - amplitude / 2, cycle.mean + amplitude / 2
    before = free + amplitude * settle / cycle.fall
    begin = 2 * settle
    times = [0.0, settle, begin, begin + cycle.rise, begin + cycle.period]
    return Signal(np.array(times), np.array([before, before, free, clamped, free]))


@dataclass(frozen=True)
class Ensemble:
    """What an ensemble of trajectories did to a weight.

    Parameters
    ----------
    single : UpdateCurve
        The threshold acts in every synapse on its own molecules; mean and standard error over trajectories.
    pooled : UpdateCurve
        The threshold acts on the mean of very many synapses that share a weight: the molecules of each
        trajectory count while the rate equations are above it.
    data : xarray.Dataset
        ``u_mean`` and ``u_sd`` (amplitude, time) over one cycle, updates and errors, provenance.
    interrupted : str
        What is missing after Ctrl-C; "" when nothing is.
    """

    single: UpdateCurve
    pooled: UpdateCurve
    data: xr.Dataset
    interrupted: str = ""


def settling_time(cycle: Cycle, kernel: ExponentialKernel) -> float:
    """Time in which the slowest memory decays to e⁻¹⁰, at most half the slow swing."""
    return min(10.0 / float(np.min(kernel.rates.real)), cycle.fall / 2)


def firings_per_trajectory(model: Model, cycle: Cycle, kernel: ExponentialKernel) -> float:
    """Expected number of reaction firings of one trajectory of :func:`stochastic_curve`."""
    dynamics = model.dynamics
    rates = dynamics.rates(dynamics.steady_state(cycle.mean), cycle.mean)[: len(model.network.reactions)]
    return max(1.0, float(np.sum(rates)) * (2 * settling_time(cycle, kernel) + cycle.period))


def stochastic_curve(
    model: Model,
    cycle: Cycle,
    amplitudes: np.ndarray,
    *,
    threshold: float,
    trajectories: int,
    kernel: ExponentialKernel | None = None,
    seed: int | None = None,
    engine: str = "native",
    workers: int | None = None,
    staircase: int | None = None,
    progress: Progress | None = None,
) -> Ensemble:
    """Update curves of an ensemble of stochastic trajectories, with error bars.

    Each trajectory settles, then goes through one cycle. The level from which u is counted is the
    ensemble's mean over that cycle: a stochastic steady state need not be the deterministic one.

    Parameters
    ----------
    model, cycle, amplitudes, threshold, kernel
        As of :func:`deterministic_curve`.
    trajectories : int
        Per amplitude, at least 2.
    seed, engine, workers
        As of :func:`chemlearn.simulate_ssa`; amplitude i is point i of the root seed.
    staircase : int, optional
        Make every ramp that many constant steps, for engines that cannot follow it.
    progress : callable, optional
        Called as ``progress(done, wanted)`` with numbers of trajectories.

    Returns
    -------
    Ensemble
        After Ctrl-C, of the amplitudes that were finished.

    Raises
    ------
    ValueError
        With fewer than two trajectories: one has no error bar.
    EnsembleInterrupted
        On Ctrl-C before the first amplitude was finished.
    """
    if trajectories < 2:
        raise ValueError(f"an ensemble with error bars needs at least 2 trajectories, got {trajectories}")
    cycle.check(model, amplitudes)
    seed = int(np.random.SeedSequence().entropy) if seed is None else seed  # type: ignore[arg-type]
    kernel = kernel or linear_kernel(model, cycle.mean)
    settle = settling_time(cycle, kernel)
    grid = np.concatenate((np.linspace(0, cycle.rise, 61)[:-1], cycle.rise + np.linspace(0, cycle.fall, 241)))
    rest = steady_output(model, cycle.mean)
    rows: list[dict[str, np.ndarray]] = []
    attrs: dict[str, object] = {}
    interrupted = ""
    for point, amplitude in enumerate(amplitudes):
        signal = stochastic_signal(cycle, float(amplitude), settle=settle)

        def report(done: int, wanted: int, before: int = point * trajectories) -> None:
            if progress is not None:
                progress(before + done, len(amplitudes) * trajectories)

        try:
            data = simulate_ssa(
                model,
                2 * settle + grid,
                signal=signal.staircase(staircase) if staircase else signal,
                trajectories=trajectories,
                seed=seed,
                engine=engine,
                workers=workers,
                point=point,
                progress=report,
            )
        except EnsembleInterrupted:
            if not rows:
                raise
            interrupted = (
                f"interrupted: {len(rows)} of {len(amplitudes)} amplitudes were finished and are kept"
            )
            break
        attrs = {k: v for k, v in data.attrs.items() if k not in ("signal", "point")}
        smooth = periodic_response(model, cycle, float(amplitude))
        heard = np.abs(np.interp(grid, smooth.time.values, smooth[model.output].values) - rest) >= threshold
        rows.append(_reduced(data[model.output].values, grid, threshold, heard))
    attrs |= {"staircase": staircase or 0, "settle": settle, **asdict(cycle)}
    finished = amplitudes[: len(rows)]
    return _as_ensemble(rows, finished, grid, threshold, abs(kernel.first_moment), attrs, interrupted)


def _as_ensemble(
    rows: list[dict[str, np.ndarray]],
    finished: np.ndarray,
    grid: np.ndarray,
    threshold: float,
    ideal: float,
    attrs: dict[str, object],
    interrupted: str,
) -> Ensemble:
    """Curves and table of the amplitudes that were finished, one row for each."""
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    single, pooled = (
        UpdateCurve(finished, columns[name], columns[f"{name}_error"], threshold, ideal, f"stochastic, {how}")
        for name, how in (("single", "each synapse by itself"), ("pooled", "many synapses pooled"))
    )
    dims = {"u_mean": ("amplitude", "time"), "u_sd": ("amplitude", "time")}
    table = xr.Dataset(
        {name: (dims.get(name, ("amplitude",)), column) for name, column in columns.items()},
        {"amplitude": finished, "time": grid},
        attrs,
    )
    return Ensemble(single, pooled, table, interrupted)


def _reduced(u: np.ndarray, grid: np.ndarray, threshold: float, heard: np.ndarray) -> dict[str, np.ndarray]:
    """What is kept of the trajectories (n_trajectories, n_times) of one amplitude."""
    period = grid[-1] - grid[0]
    own_rest = np.trapezoid(u, grid, axis=1) / period
    deviation = u - own_rest.mean()
    alone = trajectory_updates(grid, deviation, threshold)
    # each trajectory against its own mean, so that the scatter holds the uncertainty of the resting level too
    shares = np.trapezoid(np.where(heard, u - own_rest[:, None], 0.0), grid, axis=1)
    return {
        "u_mean": deviation.mean(axis=0),
        "u_sd": u.std(axis=0, ddof=1),
        "single": alone.mean(),
        "single_error": alone.std(ddof=1) / np.sqrt(len(u)),
        "pooled": shares.mean(),
        "pooled_error": shares.std(ddof=1) / np.sqrt(len(u)),
    }
