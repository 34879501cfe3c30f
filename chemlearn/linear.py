"""Kernels of a model: its linear response from the exact Jacobian, and its response to a finite step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from chemlearn.errors import ConvergenceError, ModelError, SimulationError
from chemlearn.kernels.kernel import ExponentialKernel, Kernel, SampledKernel
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import simulate_ode

_SPLITTINGS = (0.0, 1e-12, 1e-11, 1e-10, 1e-9)  # relative perturbations that part eigenvalues which coincide
_ROUNDING = float(np.finfo(float).eps)
_GOOD = 1e-10  # relative error of an exponential sum that ends the search for a better one
_TOLERABLE = 1e-7  # that is accepted at all


def linear_kernel(model: Model, s: float | None = None) -> ExponentialKernel:
    r"""Linear-response kernel of a model around its steady state at constant input, as an exact exponential
    sum.

    With the linearised core :math:`\dot z = A z + b\,\delta s`, :math:`\delta u = c z + d\,\delta s`, the
    kernel is :math:`K(t) = c\,e^{At} b + d\,\delta(t)`; A, b, c, d come from exact derivatives of the rate
    laws.

    Parameters
    ----------
    model : Model
    s : float, optional
        Input level; the model's own by default.

    Returns
    -------
    ExponentialKernel
        In units of u per unit of s and time.

    Raises
    ------
    ConvergenceError
        Without a stable steady state, or if the eigenvectors are too nearly parallel for a sum of
        exponentials.
    ModelError
        If the input does not act on the output at all.
    """
    dynamics = model.dynamics
    level = dynamics.input_value if s is None else float(s)
    return _kernel_at(model, level, dynamics.steady_state(level))


def _kernel_at(model: Model, s: float, state: np.ndarray) -> ExponentialKernel:
    matrix, into, out, through = model.dynamics.reduced(state, s)
    if not np.any(into) and through == 0:
        raise ModelError(
            f"{model.origin}: the input {model.input!r} does not act on the output {model.output!r}; "
            f"check the laws, or name other roles with --input and --output"
        )
    best: tuple[float, np.ndarray, np.ndarray] = (np.inf, into, into)
    decays = np.sqrt(np.abs(np.diag(matrix)))
    noise = np.random.default_rng(0).standard_normal(matrix.shape) * np.outer(decays, decays)
    for splitting in _SPLITTINGS:
        values, vectors = np.linalg.eig(matrix + splitting * noise)
        try:
            coefficients = (out @ vectors) * np.linalg.solve(vectors, into.astype(complex))
        except np.linalg.LinAlgError:  # parallel eigenvectors
            continue
        error = _sum_error(matrix, into, out, coefficients, -values)
        if error < best[0]:
            best = error, coefficients, -values
        if error < _GOOD:
            break
    if best[0] > _TOLERABLE:
        raise ConvergenceError(
            f"{model.origin}: the eigenvectors at {model.input}={s:g} are too nearly parallel for a sum of "
            f"exponentials; take the kernel from a small step (step_kernel) instead",
            residual=best[0],
        )
    return _without_idle_parts(*best[1:], through)


def _sum_error(
    matrix: np.ndarray, into: np.ndarray, out: np.ndarray, coefficients: np.ndarray, rates: np.ndarray
) -> float:
    """Error of an exponential sum, seen in K(0), its slope, ∫K and ∫τK, which can be solved for directly.

    Parts that cancel add their rounding errors. All relative to the size that these numbers would have if the
    outputs of the states did not cancel: an adapted kernel has an area of nearly 0.
    """
    first = -np.linalg.solve(matrix, into)
    columns = (matrix @ into, into, first, -np.linalg.solve(matrix, first))
    worst = 0.0
    for k, column in zip((-1, 0, 1, 2), columns, strict=True):
        parts = coefficients / rates**k
        error = abs(np.sum(parts) - (-1 if k == -1 else 1) * (out @ column)) + _ROUNDING * np.sum(
            np.abs(parts)
        )
        worst = max(worst, float(error / (np.linalg.norm(out) * np.linalg.norm(column) or 1.0)))
    return worst if np.isfinite(worst) else np.inf


def _without_idle_parts(coefficients: np.ndarray, rates: np.ndarray, through: float) -> ExponentialKernel:
    """The sum without components that the input does not excite, one member for each conjugate pair."""
    weight = np.abs(coefficients)
    keep = (rates.imag >= 0) & (weight > 1e-13 * weight.max(initial=0.0))
    # Both members of a pair count: their rounding errors cancel in the sum, not in twice one of them.
    partners = rates == np.conj(rates)[:, None]
    halves = (coefficients + partners @ np.conj(coefficients) / partners.sum(axis=1)) / 2
    twice = np.where(rates[keep].imag > 0, 2.0, 1.0)
    return ExponentialKernel(twice * halves[keep], rates[keep], delta=through)


def step_response(model: Model, before: float, after: float, times: np.ndarray) -> xr.Dataset:
    """The model's variables after its input steps, from the steady state at ``before``.

    Parameters
    ----------
    model : Model
    before, after : float
        Input levels.
    times : (n_times,) array
        From 0, at which the state is still that of ``before``.

    Returns
    -------
    xarray.Dataset
        As of :func:`chemlearn.simulate_ode`.
    """
    start = model.dynamics.steady_state(before)
    amounts = dict(zip(model.network.variables, (float(v) for v in start), strict=True))
    return simulate_ode(model, times, signal=Signal.constant(after), start=amounts)


def step_kernel(
    model: Model, before: float | None = None, after: float | None = None, *, times: np.ndarray | None = None
) -> SampledKernel:
    r"""Kernel from a finite step of the input, :math:`K(t) = \dot u(t) / (s_\mathrm{after} -
    s_\mathrm{before})`.

    The non-linear equations are solved; :math:`\dot u` is taken from the rate laws along the solution, so
    nothing is differentiated numerically. For a small step this is the linear response; for a large one the
    definition of the Markov kernels in the paper (F58).

    Parameters
    ----------
    model : Model
    before, after : float, optional
        Input levels: by default one percent below and above the model's own.
    times : (n_times,) array, optional
        Lags from 0; by default 2,400 of them, denser near 0, over all time scales of the linear response.

    Raises
    ------
    ValueError
        If the two levels are equal.
    """
    level = model.input_value
    before = 0.99 * level if before is None else float(before)
    after = 1.01 * level if after is None else float(after)
    if before == after:
        raise ValueError(f"a step needs two different levels, got {before} twice; give before and after")
    dynamics = model.dynamics
    if times is None:
        kernels = [linear_kernel(model, s) for s in (before, after)]
        times = _lags(kernels)
    data = step_response(model, before, after, times)
    states = np.array([data[name].values for name in model.network.variables])
    if not states.size:
        states = np.empty((0, len(times)))
    size = after - before
    values = dynamics.output_velocity(states, after) / size if states.size else np.zeros(len(times))
    jump = float(dynamics.output(states[:, 0], after) - dynamics.output(states[:, 0], before)) / size
    return SampledKernel(times, values, delta=jump)


def _lags(kernels: list[ExponentialKernel]) -> np.ndarray:
    """Lags that resolve the fastest and reach the end of the slowest component."""
    fastest = max(float(np.max(np.abs(k.rates), initial=0.0)) for k in kernels) or 1.0
    end = max(k.duration for k in kernels) or 1.0
    return np.concatenate(([0.0], np.geomspace(1e-4 / fastest, end, 2400)))


@dataclass(frozen=True)
class WorkingRange:
    """Range of the input over which a synapse adapts.

    Parameters
    ----------
    table : xarray.Dataset
        Over the scanned levels ``s``: ``residual`` (|area| over the peak of the step response), ``area``,
        ``first_moment``, ``half_time``, ``steady_output``; ``nan`` where there is no stable steady state.
    low, high : float
        Ends of the range around the operating point; ``nan`` when it is empty.
    tolerance : float
        Largest residual that counts as adapted.
    open_low, open_high : bool
        Whether the range reaches the end of the scan, and so may be wider.
    reason : str
        Why it is empty; otherwise "".
    """

    table: xr.Dataset
    low: float
    high: float
    tolerance: float
    open_low: bool
    open_high: bool
    reason: str = ""

    def __str__(self) -> str:
        if self.reason:
            return f"none: {self.reason}"
        ends = (
            f"{'≤ ' if self.open_low else ''}{self.low:.3g}",
            f"{'≥ ' if self.open_high else ''}{self.high:.3g}",
        )
        return f"{ends[0]} to {ends[1]}"


def working_range(
    model: Model, *, tolerance: float = 0.05, decades: float = 2.0, points: int = 41
) -> WorkingRange:
    """Scan the input around the operating point for the range in which the output adapts.

    Parameters
    ----------
    model : Model
    tolerance : float
        Largest residual |area| / max |step response| that counts as adapted.
    decades : float
        How far to look on either side of the operating point (of 1, where that is 0).
    points : int
        Levels of the scan, evenly spaced in the logarithm; the ends of the range are then found by bisection.

    Returns
    -------
    WorkingRange

    Raises
    ------
    ConvergenceError, SimulationError
        When there is no steady state at the operating point itself.
    """
    centre = model.input_value or 1.0
    levels = np.sort(centre * np.logspace(-decades, decades, points | 1))
    middle = len(levels) // 2
    states: dict[int, np.ndarray] = {middle: model.dynamics.steady_state(centre)}
    rows: dict[int, tuple[float, ...]] = {middle: _row(model, centre, states[middle])}
    for step in (1, -1):  # outward, each level started from its neighbour's state
        near = states[middle]
        for i in range(middle + step, len(levels) if step > 0 else -1, step):
            try:
                near = model.dynamics.steady_state(levels[i], near)
                rows[i] = _row(model, levels[i], near)
            except (ModelError, ConvergenceError, SimulationError, np.linalg.LinAlgError):
                break
            states[i] = near
    empty = (np.nan,) * 5
    columns = np.array([rows.get(i, empty) for i in range(len(levels))])
    names = ("residual", "area", "first_moment", "half_time", "steady_output")
    table = xr.Dataset({n: ("s", columns[:, k]) for k, n in enumerate(names)}, {"s": levels})
    if not columns[middle, 0] <= tolerance:
        reason = f"at {model.input}={centre:g} the residual is {columns[middle, 0]:.1%} of the peak"
        return WorkingRange(table, np.nan, np.nan, tolerance, False, False, reason)
    low, open_low = _end(model, levels, states, columns[:, 0], tolerance, -1)
    high, open_high = _end(model, levels, states, columns[:, 0], tolerance, 1)
    return WorkingRange(table, low, high, tolerance, open_low, open_high)


def _row(model: Model, s: float, state: np.ndarray) -> tuple[float, ...]:
    kernel: Kernel = _kernel_at(model, s, state)
    output = float(model.dynamics.output(state, s))
    return kernel.residual, kernel.area, kernel.first_moment, kernel.half_time, output


def _end(
    model: Model,
    levels: np.ndarray,
    states: dict[int, np.ndarray],
    residual: np.ndarray,
    tolerance: float,
    step: int,
) -> tuple[float, bool]:
    """Where the residual passes the tolerance on one side of the middle, and whether the scan ended before it
    did.
    """
    i = len(levels) // 2
    while 0 <= i + step < len(levels) and residual[i + step] <= tolerance:
        i += step
    if not 0 <= i + step < len(levels):
        return float(levels[i]), True
    inside, outside, state = levels[i], levels[i + step], states[i]
    if np.isnan(residual[i + step]):
        return float(inside), False
    for _ in range(12):
        s = float(np.sign(inside) * np.sqrt(inside * outside))
        try:
            near = model.dynamics.steady_state(s, state)
            adapted = _row(model, s, near)[0] <= tolerance
        except (ModelError, ConvergenceError, SimulationError):
            adapted = False
        if adapted:
            inside, state = s, near
        else:
            outside = s
    return float(inside), False
