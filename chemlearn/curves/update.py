"""Update curves: what one swing of a signal does to a weight, over the contrast s_clamped − s_free.

The signal is a sawtooth s(t) = s̄ + A w(t) (F5), so u = I s̄ + A v(t) with one v for all amplitudes A. That one
is resolved once, into polynomials that agree with it to rounding error. Its extrema cut the period into
stretches on which u is monotonic; on each, the instants at which u crosses ±θ are found to rounding error,
for all amplitudes at a time, and ∫ u between them is closed. There is no time grid, and a weight change of
zero comes out as zero.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline, PPoly

from chemlearn.checks import check_positive, finite_column
from chemlearn.curves.curve import LinearRange, UpdateCurve, linear_range
from chemlearn.curves.resolved import Resolved, Stretches
from chemlearn.kernels.kernel import Kernel
from chemlearn.signal import Signal

__all__ = [
    "LinearRange",
    "ThresholdRule",
    "UpdateCurve",
    "linear_range",
    "threshold",
    "thresholded",
    "trajectory_updates",
    "update_curve",
    "weight_update_from_samples",
]

ThresholdRule = Literal["down_ramp", "geometric", "arithmetic", "eq45", "safe"]

PLATEAU = 1e-10
"""A u that exceeds the threshold by less than this share of it, and then turns back, counts as below.

On a long ramp u settles on a plateau. The usual rule puts the threshold just there, and which side of it a
rounding error falls on must not decide whether the slow swing counts.
"""


def thresholded(u: ArrayLike, threshold: float) -> np.ndarray:
    """g_θ(u): u where |u| ≥ θ, else 0 (F6); elementwise."""
    u = np.asarray(u, float)
    return np.where(np.abs(u) >= threshold, u, 0.0)


def threshold(
    rule: ThresholdRule,
    *,
    amplitude_max: float,
    rise: float,
    fall: float,
    kernel_area: float = 0.0,
    first_moment: float = -1.0,
    mean: float = 0.0,
) -> float:
    """Threshold θ by one of the published rules, for amplitudes up to ``amplitude_max``.

    - ``down_ramp``: size of u on the slow swing, ``|M₁| A/fall``; puts the top of the range at A (F Fig. 4).
    - ``geometric``: geometric mean of ``|M₁| A/rise`` and ``|M₁| A/fall``; best for the one amplitude A.
    - ``arithmetic``: their arithmetic mean (F Fig. 8).
    - ``eq45``: size of u where the down-swing starts (F45); the extreme of that swing only where
      I·mean ≥ ``|M₁| A/fall``.
    - ``safe``: the largest size of u at the two ends of the down-swing, and on a constant signal, for any I.

    Parameters
    ----------
    rule : {'down_ramp', 'geometric', 'arithmetic', 'eq45', 'safe'}
        Name of the rule.
    amplitude_max : float
        A, the largest contrast that should still be learned, positive, in units of s.
    rise, fall : float
        Durations of the two swings (τ_f and τ_s).
    kernel_area, first_moment : float
        I and M₁ of the kernel, which need not be normalised.
    mean : float
        s̄, mean of the signal; it matters only where I ≠ 0.

    Returns
    -------
    float
        θ ≥ 0 in units of u.

    Raises
    ------
    ValueError
        If the rule is unknown, or ``amplitude_max`` or a duration is not positive.
    """
    check_positive(amplitude_max=amplitude_max)
    check_positive(rise=rise, fall=fall)
    up, down = abs(first_moment) * amplitude_max / rise, abs(first_moment) * amplitude_max / fall
    # u on the down-swing, where s falls by A/fall per time, for s at its start and at its end.
    ramp = first_moment * amplitude_max / fall
    start = abs(kernel_area * (mean + amplitude_max / 2) + ramp)
    end = abs(kernel_area * (mean - amplitude_max / 2) + ramp)
    values: dict[str, float] = {
        "down_ramp": down,
        "geometric": float(np.sqrt(up * down)),
        "arithmetic": (up + down) / 2,
        "eq45": start,
        "safe": max(start, end, abs(kernel_area * mean)),
    }
    if rule not in values:
        raise ValueError(f"no threshold rule named {rule!r}; there are {', '.join(get_args(ThresholdRule))}")
    return float(values[rule])


def update_curve(
    kernel: Kernel,
    amplitudes: ArrayLike,
    *,
    threshold: float,
    rise: float,
    fall: float,
    mean: float = 0.0,
    label: str = "closed form",
) -> UpdateCurve:
    r"""Weight change over one period of a sawtooth, :math:`\Delta w = \int g_\theta(u)\,dt` (F5–F7).

    It is that of the periodic steady state, when all earlier periods were like this one.

    Parameters
    ----------
    kernel : Kernel
        Memory of the molecule, normalised or not; its lags in the time unit of ``rise`` and ``fall``.
    amplitudes : array_like, (n,)
        s_clamped − s_free, of either sign; 0 allowed.
    threshold : float
        θ ≥ 0, in units of u; 0 for none.
    rise, fall : float
        Durations of free → clamped and of clamped → free (τ_f and τ_s), positive.
    mean : float
        s̄, time mean of the signal.
    label : str
        Name of the curve.

    Returns
    -------
    UpdateCurve
        With ``|M₁|`` of the kernel as its ideal slope. A swing on which u exceeds θ by less than 1e-10 of it
        counts as below: on long ramps u settles on a plateau, and the usual thresholds lie just there.

    Raises
    ------
    ValueError
        If a duration is not positive, the threshold negative, the mean not finite or the kernel's first
        moment zero.
    """
    amplitudes = finite_column(amplitudes, "amplitudes")
    _check_threshold(threshold)
    if not np.isfinite(mean):
        raise ValueError(f"the mean of the signal must be finite, got {mean}")
    if not kernel.first_moment:
        raise ValueError(
            "an update curve needs a kernel with a first moment other than 0: this one has no memory"
        )
    saw = Signal.sawtooth(-0.5, 0.5, rise=rise, fall=fall, periodic=True)
    # Second axis: the stretches on each of which v, and so u = I s̄ + A v for every A, is monotonic.
    shape = _monotonic(kernel, saw)
    level, scale = kernel.area * mean, amplitudes[:, None]
    u = level + scale * shape.values[shape.ends]
    updates = np.zeros(len(amplitudes))
    for side in (1, -1):
        updates += _loud_integral(shape, side * level, side * scale, side * u, threshold) * side
    return UpdateCurve(
        amplitudes, updates, threshold=float(threshold), ideal_slope=abs(kernel.first_moment), label=label
    )


def _loud_integral(
    shape: Stretches, level: float, scale: np.ndarray, u: np.ndarray, threshold: float
) -> np.ndarray:
    """∫ u dt over u ≥ θ; u = level + scale·v is given at the ends of stretches, (n_amplitudes, n_ends)."""
    times, integrals = shape.times[shape.ends], shape.integrals[shape.ends]
    rising = u[:, 1:] > u[:, :-1]
    quiet, loud = np.minimum(u[:, :-1], u[:, 1:]), np.maximum(u[:, :-1], u[:, 1:])
    margin = threshold * PLATEAU
    # Where u settles on θ the crossing of θ itself has no place; that of θ and the margin has.
    goal = np.where(np.abs(quiet - threshold) <= margin, threshold + margin, threshold)
    reached = loud > threshold + margin
    # Where the loud part of a stretch begins or ends; its other end is the end of the stretch.
    at_start = (reached & (quiet >= goal)) == rising
    turn, so_far = (np.where(at_start, ends[:-1], ends[1:]) for ends in (times, integrals))
    rows, columns = np.nonzero(reached & (quiet < goal))
    if len(rows):
        goals = (goal[rows, columns] - level) / scale[rows, 0]
        turn[rows, columns], so_far[rows, columns] = shape.crossings(columns, goals)
    lasting, risen = (
        np.where(rising, ends[1:] - at, at - ends[:-1]) for ends, at in ((times, turn), (integrals, so_far))
    )
    return (level * lasting + scale * risen).sum(axis=1)


def _monotonic(kernel: Kernel, saw: Signal) -> Stretches:
    """The response to the sawtooth over one period, resolved, and cut into monotonic stretches."""
    knots = np.append(saw.segments.starts, saw.period)
    seams = np.mod(np.add.outer(knots[:-1], kernel.seams).ravel(), saw.period)
    # Where K changes fast, so does the response after each knot: every few lags are close enough to start.
    lags = np.add.outer(knots[:-1], kernel.lags[::8]).ravel()
    edges = np.unique(np.concatenate([knots, seams, lags[lags < saw.period]]))
    return Resolved.of(lambda t: kernel.respond(saw, t), edges).stretches(knots)


def weight_update_from_samples(
    times: ArrayLike, u: ArrayLike, threshold: float, knots: ArrayLike = ()
) -> np.ndarray:
    r"""Weight change :math:`\int g_\theta(u)\,dt` of a smooth u that was sampled, as by an ODE solver (F7).

    Between the samples u is a cubic spline, one per straight piece of the signal, since u bends at the
    signal's knots. Its crossings of ±θ and its integral between them are exact, so the only error is that of
    the samples and of the spline.

    Parameters
    ----------
    times : array_like, (n_times,)
        Non-decreasing; two equal times, with u before and after, where u jumps.
    u : array_like, (n_times,) or (n_signals, n_times)
        Samples, relative to the level that the weight does not react to.
    threshold : float
        θ ≥ 0, in units of u.
    knots : array_like, (n_knots,)
        Instants where the signal bends. Those inside the sampled time must have been sampled.

    Returns
    -------
    ndarray
        Δw, of shape () or (n_signals,).

    Raises
    ------
    ValueError
        If shapes differ, times decrease, a knot was not sampled or the threshold is negative.
    """
    times, u = _samples(times, u, threshold)
    updates = np.zeros(u.shape[:-1])
    for piece in _pieces_between(times, np.asarray(knots, float)):
        spline = CubicSpline(times[piece], u[..., piece], axis=-1)
        for row in np.ndindex(updates.shape):
            coefficients = spline.c[(slice(None), slice(None), *row)]
            updates[row] += _integral_above(PPoly(coefficients, spline.x), threshold)
    return updates


def trajectory_updates(times: ArrayLike, u: ArrayLike, threshold: float) -> np.ndarray:
    r"""Weight change :math:`\int g_\theta(u)\,dt` of each stochastic trajectory (F7).

    By the trapezoidal rule: copy numbers jump and have no slope to interpolate. The threshold acts on each
    trajectory, before any mean is taken.

    Parameters
    ----------
    times : array_like, (n_times,)
        Non-decreasing.
    u : array_like, (..., n_times)
        Samples of every trajectory, relative to the level that the weight does not react to.
    threshold : float
        θ ≥ 0, in units of u.

    Returns
    -------
    ndarray, (...)
        One Δw per trajectory.
    """
    times, u = _samples(times, u, threshold)
    return np.asarray(np.trapezoid(thresholded(u, threshold), times, axis=-1))


def _samples(times: ArrayLike, u: ArrayLike, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Samples as arrays, checked."""
    _check_threshold(threshold)
    times, u = finite_column(times, "times"), np.asarray(u, float)
    if u.shape[-1:] != times.shape:
        raise ValueError(
            f"u needs one sample per time along its last axis, got shape {u.shape} for {len(times)} times"
        )
    if np.any(np.diff(times) < 0):
        raise ValueError("times must not decrease")
    return times, u


def _pieces_between(times: np.ndarray, knots: np.ndarray) -> list[slice]:
    """Runs of increasing times between knots and repeated times; both sides of a knot get its sample."""
    knots = knots[(knots > times[0]) & (knots < times[-1])]
    nearest = np.abs(np.subtract.outer(knots, times)).argmin(axis=1)
    missed = np.abs(times[nearest] - knots) > 1e-9 * (times[-1] - times[0])
    if missed.any():
        raise ValueError(
            f"the signal bends at {knots[missed][0]:g}, where u was not sampled; sample it at every knot"
        )
    repeated = np.flatnonzero(np.diff(times) == 0)
    firsts = np.sort(np.concatenate([[0], nearest, repeated + 1]).astype(int))
    lasts = np.sort(np.concatenate([nearest, repeated, [len(times) - 1]]).astype(int))
    return [slice(first, last + 1) for first, last in zip(firsts, lasts, strict=True) if last > first]


def _integral_above(spline: PPoly, threshold: float) -> float:
    """∫ of a piecewise polynomial over where it is at least the threshold in size."""
    ends = spline.x[[0, -1]]
    roots = np.concatenate([spline.solve(goal, extrapolate=False) for goal in (threshold, -threshold)])
    cuts = np.unique(np.concatenate([ends, roots[np.isfinite(roots)]]))
    loud = np.abs(spline((cuts[1:] + cuts[:-1]) / 2)) >= threshold * (1 + PLATEAU)
    return float(np.diff(spline.antiderivative()(cuts)) @ loud)


def _check_threshold(threshold: float) -> None:
    if not (np.isfinite(threshold) and threshold >= 0):
        raise ValueError(f"the threshold must be 0 or positive, got {threshold}")
