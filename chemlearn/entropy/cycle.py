r"""What one cycle of learning dissipates: entropy production over a period of the signal.

In the periodic state all the entropy that is produced in a period goes to the surroundings, for the
molecules end as they began. It is :math:`\oint \sigma(t)\,dt` with :math:`\sigma = \sum (J^+ - J^-) \ln
(J^+/J^-)` along the rate equations, and the mean of what the firings of single trajectories add. The sign of
one difference s_clamped − s_free is a bit, and to erase a bit costs at least k_B T ln 2 (Landauer,
doi:10.1147/rd.53.0183).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import xarray as xr

from chemlearn.curves.update import weight_update_from_samples
from chemlearn.entropy.law import MOST_STATES
from chemlearn.entropy.network import dissipation, one_way_reason, pair_production, reversible_pairs
from chemlearn.entropy.paths import trajectory_entropy
from chemlearn.model import Model
from chemlearn.orbit import periodic_orbit
from chemlearn.signal import Signal
from chemlearn.simulate import simulate_ode
from chemlearn.simulate.ensemble import Progress

_ACCURACY = 1e-9  # relative change of the integral that ends its refinement
_ROUNDING = 1e-12  # what is less than this share of all that flows is zero to rounding
_AFTER, _BEFORE = 20, 10  # halvings of a swing towards the knot before it, where σ is steep, and after it
_NODES = 10  # of Gauss and Legendre in a panel
_FINEST = 32  # parts of a panel


@dataclass(frozen=True)
class CycleDissipation:
    """Dissipation over one cycle of learning, in k_B: times temperature it is the heat given off.

    Parameters
    ----------
    per_cycle : float
        Entropy produced in a period by all molecules together, from the rate equations; ``inf`` where a
        reaction runs one way only, ``nan`` where it cannot be told; ``reason`` then says which and why.
    error : float
        What the last refinement of the integral changed.
    update : float
        Δw of the cycle, ∮ g_θ(u − ū) dt (F7), where ū is the output at rest at the signal's mean.
    molecules : float
        Number of molecules, where the network only shuffles a conserved number of them; ``nan`` otherwise.
    resting : float
        What the molecules dissipate in the same time at rest at the signal's mean, learning nothing.
    course : xarray.Dataset
        Over the ``time`` of a period, the input ``s``, the output ``u`` and the ``rate`` of entropy
        production σ, whose integral is its product with ``weight``; over the reversible ``pair``\\ s, the
        ``contribution`` of each to the cycle.
    ensemble : xarray.Dataset or None
        The same from single trajectories, as of :func:`chemlearn.trajectory_entropy`.
    reason : str
    """

    per_cycle: float
    error: float
    update: float
    molecules: float
    resting: float
    course: xr.Dataset
    ensemble: xr.Dataset | None = None
    reason: str = ""

    @property
    def per_molecule(self) -> float:
        """Entropy per cycle and molecule of the conserved number; ``nan`` where there is none."""
        return self.per_cycle / self.molecules

    @property
    def in_landauer(self) -> float:
        """Heat of a cycle in units of k_B T ln 2, the least that erasing a bit costs."""
        return self.per_cycle / math.log(2)

    @property
    def per_update(self) -> float:
        """Entropy for each unit by which the weight changes; ``inf`` where it does not."""
        return self.per_cycle / abs(self.update) if self.update else math.inf

    @property
    def sampled(self) -> tuple[float, float]:
        """Entropy per cycle from single trajectories and its standard error; ``nan`` without any."""
        if self.ensemble is None:
            return math.nan, math.nan
        period = self.course.attrs["period"]
        return period * self.ensemble.rate.item(), period * self.ensemble.rate_error.item()

    def __str__(self) -> str:
        if not math.isfinite(self.per_cycle):
            return f"{'infinite' if math.isinf(self.per_cycle) else 'unknown'}: {self.reason}"
        each = f", {self.per_molecule:.4g} per molecule" if math.isfinite(self.molecules) else ""
        text = f"{self.per_cycle:.4g} k_B per cycle{each} ({self.in_landauer:.4g} times k_B T ln 2)"
        text += f"; at rest {self.resting:.4g} in the same time"
        if self.update:
            text += f"; the weight changes by {self.update:.4g}, {self.per_update:.4g} k_B per unit"
        if self.ensemble is not None:
            value, error = self.sampled
            count = self.ensemble.sizes["trajectory"]
            text += f"; {value:.4g} ± {error:.2g} k_B per cycle from {count} trajectories"
        return text


def cycle_dissipation(
    model: Model,
    signal: Signal,
    *,
    threshold: float = 0.0,
    trajectories: int = 0,
    cycles: int = 1,
    seed: int | None = None,
    workers: int | None = None,
    most_states: int = MOST_STATES,
    progress: Progress | None = None,
) -> CycleDissipation:
    """What a model dissipates in one period of a signal, in its periodic state.

    Parameters
    ----------
    model : Model
        Only reactions that move the output count, as in :func:`chemlearn.dissipation`.
    signal : Signal
        One period of the cycle, such as ``Signal.sawtooth(free, clamped, rise=1, fall=9, periodic=True)`` or
        ``Cycle.signal(amplitude)``.
    threshold : float
        θ of the weight's update, in units of u.
    trajectories : int
        Single trajectories to sample beside the rate equations, which for few molecules that act on each
        other are only approximate; none by default.
    cycles : int
        Periods that each of them is looked at.
    seed, workers, most_states, progress
        As of :func:`chemlearn.trajectory_entropy`.

    Returns
    -------
    CycleDissipation

    Raises
    ------
    ValueError
        For a signal that is not periodic, a negative threshold, or fewer than one cycle.
    ModelError
        For a signal that takes the input of a chemical model below zero, or a model that cannot be solved.
    ConvergenceError
        When the rate equations do not become periodic.

    Examples
    --------
    >>> saw = Signal.sawtooth(25, 75, rise=1, fall=9, periodic=True)
    >>> cost = cycle_dissipation(Model.load("ladder"), saw)
    >>> print(f"{cost.in_landauer / cost.molecules:.3g} k_B T ln 2 per molecule")
    64.5 k_B T ln 2 per molecule
    """
    if cycles < 1 or cycles != int(cycles):
        raise ValueError(f"cycles must be a whole number of at least 1, got {cycles}")
    start = periodic_orbit(model, signal)
    course, error = _refined(model, signal, start)
    found = reversible_pairs(model)
    rest = dissipation(model, signal.mean)
    level = float(model.dynamics.output(model.dynamics.steady_state(signal.mean), signal.mean))
    inner = signal.segments.starts[1:]
    update = weight_update_from_samples(course.time, course.u - level, threshold, knots=inner)
    one_way = course.attrs["one_way"]
    per_cycle, reason = float(course.contribution.sum()), ""
    if found.reason:
        per_cycle, reason = math.nan, found.reason
    elif one_way:
        per_cycle, reason = math.inf, one_way_reason(one_way.split(", "))
    ensemble = None
    if trajectories and not reason:
        ensemble = trajectory_entropy(
            model,
            cycles * signal.period,
            signal=signal,
            trajectories=trajectories,
            seed=seed,
            workers=workers,
            most_states=most_states,
            progress=progress,
        )
    return CycleDissipation(
        per_cycle=per_cycle,
        error=error,
        update=float(update),
        molecules=rest.molecules,
        resting=rest.rate * signal.period,
        course=course,
        ensemble=ensemble,
        reason=reason,
    )


def _refined(model: Model, signal: Signal, start: np.ndarray) -> tuple[xr.Dataset, float]:
    """One period on a grid that is fine enough for its integral, and what the last refinement changed."""
    parts, before, change = 1, math.inf, math.inf
    while True:
        course = _course(model, signal, start, parts)
        value = float(course.contribution.sum())
        change, before = abs(value - before), value
        if not change > max(_ACCURACY * abs(value), _ROUNDING * course.attrs["flow"]) or parts == _FINEST:
            return course, change
        parts *= 2


def _course(model: Model, signal: Signal, start: np.ndarray, parts: int) -> xr.Dataset:
    """Entropy production along one period of the rate equations."""
    times, weights = _grid(signal, parts)
    names = model.network.variables
    data = simulate_ode(model, times, signal=signal, start=dict(zip(names, start.tolist(), strict=True)))
    states = np.array([data[name].values for name in names]).reshape(len(names), -1)
    states[: len(model.species)] = np.maximum(states[: len(model.species)], 0.0)  # what a solver undershoots
    s = signal(times)
    rates = dict(
        zip((r.name for r in model.network.reactions), model.dynamics.rates(states, s), strict=False)
    )
    found = reversible_pairs(model)
    inner = weights > 0  # a knot may be an instant at which a reaction stands still
    forward, backward = (
        np.array([rates[pair[i].name] for pair in found.pairs]).reshape(-1, len(times)) for i in (0, 1)
    )
    produced = pair_production(forward, backward)
    one_way = [r.name for r in found.one_way if np.any(rates[r.name][inner] > 0)]
    stuck = np.any((forward > 0) != (backward > 0), axis=1, where=inner)
    one_way += [pair[0].name for pair, is_stuck in zip(found.pairs, stuck, strict=True) if is_stuck]
    return xr.Dataset(
        {
            "s": ("time", s),
            "u": ("time", data[model.output].values),
            "rate": ("time", produced.sum(axis=0), {"units": "k_B per time unit of the model"}),
            "weight": ("time", weights, {"units": "time unit of the model"}),
            "contribution": ("pair", produced[:, inner] @ weights[inner], {"units": "k_B per cycle"}),
        },
        {"time": times, "pair": [f"{a.name} / {b.name}" for a, b in found.pairs]},
        {
            "period": signal.period,
            "one_way": ", ".join(one_way),
            "flow": float(((forward + backward)[:, inner] @ weights[inner]).sum()),
        },
    )


def _grid(signal: Signal, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Instants and weights of Gauss and Legendre, in panels that shrink towards the knots; knots weigh 0."""
    node, weight = np.polynomial.legendre.leggauss(_NODES)
    after, before = 0.5 ** np.arange(_AFTER, 0, -1), 1.0 - 0.5 ** np.arange(2, _BEFORE + 1)
    shape = np.concatenate(([0.0], after, before, [1.0]))
    knots = np.append(signal.segments.starts, signal.period)
    times, weights = [knots], [np.zeros(len(knots))]
    for start, stop in pairwise(knots):
        coarse = start + (stop - start) * shape
        edges = np.append(np.linspace(coarse[:-1], coarse[1:], parts, endpoint=False).T.ravel(), stop)
        half = np.diff(edges) / 2
        times.append((edges[:-1, None] + half[:, None] * (1.0 + node)).ravel())
        weights.append(np.outer(half, weight).ravel())
    at, each = np.concatenate(times), np.concatenate(weights)
    order = np.argsort(at)
    return at[order], each[order]
