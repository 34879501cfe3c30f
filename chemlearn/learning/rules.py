"""Learning rules: from what synapses see on one swing of the nudge to updates of the parameters.

Every rule is called with a ramp, the signals s = −∂E/∂θ at the knots from free to clamped, and the nudge at
its end; ``as_ramp([s_free, s_clamped])`` is the shortest ramp. All work on any substrate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import numpy as np

from chemlearn.checks import check_positive
from chemlearn.curves.curve import UpdateCurve
from chemlearn.kernels.kernel import Kernel
from chemlearn.learning.arrays import Array, xp
from chemlearn.learning.responses import GridKernel, Integral, ResponseMap, Sawtooth, Tier, response_map
from chemlearn.learning.substrate import BLOCK, Params, Ramp, RampGroup, check_nudge

__all__ = [
    "Chemical",
    "Contrastive",
    "Hebbian",
    "PerGroup",
    "Rule",
    "Temporal",
    "learn",
    "multiplied",
    "per_group",
]

PerGroup = float | Mapping[str, float]
"""One number for all groups of parameters, or one for each group by name."""

FALK2023_THRESHOLDS = {"W1": 1.2e-6, "b1": 1e-5, "W2": 2e-5, "b2": 2e-4}
FALK2023_RATES = {"W1": 0.1, "b1": 0.1, "W2": 0.05, "b2": 0.05}
FALK2023_GAIN = 0.5e4
MIDDLE_THRESHOLDS = {"W": 1.2e-6, "b": 2.5e-5}
MIDDLE_RATES = {"W": 0.1, "b": 0.1}

MARGIN = 1e-5
"""Share by which bounds are widened, above the rounding error of a response in float32."""


class Rule(Protocol):
    """What turns a ramp and the nudge at its end into updates d_theta."""

    def __call__(self, ramp: Ramp, nudge: float) -> Params:
        """Updates, of the groups and shapes of the ramp."""


@dataclass(frozen=True)
class Contrastive:
    """Δθ = rate/nudge · (s_clamped − s_free) (F1): equilibrium propagation, coupled learning.

    Parameters
    ----------
    rates : float or mapping
        Positive, for all groups or for each by name.
    """

    rates: PerGroup

    def __post_init__(self) -> None:
        _check_rates(self.rates)

    @classmethod
    def like(cls, temporal: Temporal) -> Contrastive:
        """As strong as a temporal rule within its range: the rates times ``slope``."""
        return cls(multiplied(temporal.rates, temporal.slope))

    def __call__(self, ramp: Ramp, nudge: float) -> Params:
        """Updates; see the class."""
        check_nudge(nudge)
        updates = {}
        for name, group in ramp.items():
            ends = xp.zeros(group.knots)
            ends[[0, -1]] = -1, 1
            updates[name] = per_group(self.rates, name, "rate") / nudge * group.combine(ends)
        return updates


@dataclass(frozen=True)
class Hebbian:
    r"""Δθ = rate/nudge · ∫ s dt over one sawtooth (F2), divided by its period: no memory; the control.

    Parameters
    ----------
    rates : float or mapping
        Positive, for all groups or for each by name.

    Notes
    -----
    It needs a positive nudge. With a random sign the division by the nudge makes it a difference of two
    nudges from one minibatch to another, a contrast in disguise, which does learn.
    """

    rates: PerGroup

    def __post_init__(self) -> None:
        _check_rates(self.rates)

    @classmethod
    def like(cls, temporal: Temporal) -> Hebbian:
        """With the rates of the contrastive rule that is as strong as a temporal one within its range."""
        return cls(multiplied(temporal.rates, temporal.slope))

    def __call__(self, ramp: Ramp, nudge: float) -> Params:
        """Updates; see the class."""
        check_nudge(nudge)
        if nudge < 0:
            raise ValueError(
                f"the Hebbian rule needs a positive nudge, got {nudge}: divided by a nudge of either sign it "
                "would be a contrast between minibatches"
            )
        updates = {}
        for name, group in ramp.items():
            # Both swings go straight through the same knots at equal times, so their means are one, whatever
            # τ_f, τ_s.
            weights = xp.full(group.knots, 1 / (group.knots - 1))
            weights[[0, -1]] /= 2
            updates[name] = per_group(self.rates, name, "rate") / nudge * group.combine(weights)
        return updates


@dataclass(frozen=True, eq=False)
class Chemical:
    """Δθ = rate/nudge · Δw(s_clamped − s_free) by an update curve, as measured or simulated for any molecule.

    Parameters
    ----------
    curve : UpdateCurve
        It must reach as far as the contrasts do.
    rates : float or mapping
        Positive, for all groups or for each by name.
    """

    curve: UpdateCurve
    rates: PerGroup

    def __post_init__(self) -> None:
        _check_rates(self.rates)

    def __call__(self, ramp: Ramp, nudge: float) -> Params:
        """Updates; see the class."""
        contrasts = Contrastive(1.0)(ramp, 1.0)
        check_nudge(nudge)
        return {
            name: per_group(self.rates, name, "rate") / nudge * self.curve(contrast).astype(contrast.dtype)
            for name, contrast in contrasts.items()
        }


@dataclass(frozen=True, eq=False)
class Temporal:
    r"""Δθ = rate · gain/nudge · ∫ g_θ(u) dt over one sawtooth, u = K * s in the periodic steady state
    (F3–F7).

    Parameters
    ----------
    kernel : Kernel or GridKernel
        What every synapse remembers.
    rates, thresholds : float or mapping
        Rates are positive, thresholds θ ≥ 0 in units of u; for all groups of parameters or for each by name.
    sawtooth : Sawtooth
        Rise, fall and sampled instants. The knots of the ramp lie equally spaced on each swing.
    gain : float, optional
        1/``|M₁|`` by default, so that the ideal rule is Δθ = rate/nudge · (s_clamped − s_free).
    integral : {'periodic', 'open'}
        Over all samples of the period, or the open trapezoid as published, which a symmetric sawtooth too
        moves.

    Raises
    ------
    ValueError
        If a rate is not positive, a threshold negative, the integral unknown, or the kernel has no first
        moment and no gain is given.

    References
    ----------
    Falk, Strupp, Scellier, Murugan, Nat. Commun. 16 (2025), doi:10.1038/s41467-025-57043-x, eqs. (3)–(7),
    App. B.
    """

    kernel: Kernel | GridKernel
    rates: PerGroup
    thresholds: PerGroup
    sawtooth: Sawtooth = field(default_factory=Sawtooth)
    gain: float | None = None
    integral: Integral = "periodic"

    def __post_init__(self) -> None:
        _check_rates(self.rates)
        values = self.thresholds.values() if isinstance(self.thresholds, Mapping) else [self.thresholds]
        for value in values:
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"thresholds must be 0 or positive, got {value}")
        if self.gain is None:
            if not self.kernel.first_moment:
                raise ValueError("a kernel without a first moment sets no gain; give one")
            object.__setattr__(self, "gain", 1 / abs(self.kernel.first_moment))
        check_positive(gain=float(self.gain or 0))
        response_map(self.kernel, self.sawtooth, 2, self.integral)

    @classmethod
    def falk2023(cls, *, integral: Integral = "periodic", fall: float = 0.9, layers: int = 3) -> Temporal:
        """The published rule: the sine on a grid, with its thresholds and rates.

        Parameters
        ----------
        integral : {'periodic', 'open'}
            ``open`` is the published one.
        fall : float
            τ_s; the rise is 1 − fall, so 0.5 is the symmetric control.
        layers : int
            Of units, input and output included. Published are the numbers for 3. In deeper networks the first
            and the last weights and biases keep them; in one of two layers all are the last.

        Raises
        ------
        ValueError
            If the fall is not between 0 and 1 or there are fewer than two layers.

        Notes
        -----
        The numbers between the first and the last are not published. They are set by the contrasts,
        ``|s_clamped − s_free|``, of a 784–500–500–10 network after one epoch on 5,000 digits: the middle
        weights have 0.95 times the root mean square of the first ones and hence their threshold; the middle
        biases 2.2 to 2.7 times that of the first ones, and a threshold of 2.5 times theirs. Their rates are
        those of the first.
        """
        if not 0 < fall < 1:
            raise ValueError(f"the fall takes a share of the period of 1 between 0 and 1, got {fall}")
        if int(layers) != layers or layers < 2:
            raise ValueError(f"a network has a whole number of layers of at least 2, got {layers}")
        rates = _deeper(FALK2023_RATES, MIDDLE_RATES, int(layers))
        thresholds = _deeper(FALK2023_THRESHOLDS, MIDDLE_THRESHOLDS, int(layers))
        sawtooth = Sawtooth(1 - fall, fall, 100)
        return cls(GridKernel.falk2023(), rates, thresholds, sawtooth, FALK2023_GAIN, integral)

    @property
    def slope(self) -> float:
        """gain · ``|M₁|``: the update per rate and contrast where the whole fast swing and nothing else
        passes θ."""
        return float(self.gain or 0) * abs(self.kernel.first_moment)

    def map(self, knots: int) -> ResponseMap:
        """The linear map from the knots to the response, made once for each number of knots."""
        return _cached_map(self.kernel, self.sawtooth, int(knots), self.integral)

    def __call__(self, ramp: Ramp, nudge: float) -> Params:
        """Updates; see the class."""
        updates = {}
        for name, group in ramp.items():
            update = xp.zeros(group.shape, group.dtype)
            for places, values in self.changes(name, group, nudge):
                update.reshape(-1)[places] = values
            updates[name] = update
        return updates

    def changes(self, name: str, group: RampGroup, nudge: float) -> Iterator[tuple[Array, Array]]:
        """The updates of one group that may differ from 0: flat indices and values, in blocks."""
        check_nudge(nudge)
        threshold = per_group(self.thresholds, name, "threshold")
        factor = per_group(self.rates, name, "rate") * float(self.gain or 0) / nudge
        response = self.map(group.knots)
        if not response.tiers:
            return
        # With an area even a constant signal has a response, so nothing can be left out.
        least = 0.0 if response.area else threshold * (1 - MARGIN) / response.reach
        for block in group.blocks(least, bool(response.area)):
            yield block.places, factor * _integral(response, block.steps, block.start, threshold)


def learn(params: Params, rule: Rule, ramp: Ramp, nudge: float) -> None:
    """Add a rule's updates to the parameters, in place, touching only those that a temporal rule changes.

    Raises
    ------
    ValueError
        If the ramp has groups or shapes that the parameters do not have.
    """
    for name, group in ramp.items():
        if name not in params or params[name].shape != group.shape:
            shape = params[name].shape if name in params else "no such parameters"
            raise ValueError(f"the ramp has signals of shape {group.shape} for {name!r}, got {shape}")
    if isinstance(rule, Temporal):
        for name, group in ramp.items():
            flat = params[name].reshape(-1)
            for places, values in rule.changes(name, group, nudge):
                flat[places] += values
            if not params[name].flags.c_contiguous:  # then flat is a copy
                params[name][...] = flat.reshape(group.shape)
        return
    for name, update in rule(ramp, nudge).items():
        params[name] += update


@lru_cache(maxsize=32)
def _cached_map(
    kernel: Kernel | GridKernel, sawtooth: Sawtooth, knots: int, integral: Integral
) -> ResponseMap:
    return response_map(kernel, sawtooth, knots, integral)


def _integral(response: ResponseMap, steps: Array, start: Array | None, threshold: float) -> Array:
    """∫ g_θ(u) dt of some parameters, (n,), from increments (n_knots − 1, n) and, with an area, s_0."""
    total = xp.zeros(steps.shape[1], steps.dtype)
    if not len(total):
        return total
    if start is not None:
        level = (response.area * start).astype(steps.dtype)
        for tier in response.tiers:
            total += _by_rows(tier, steps, threshold, level)
        return total
    bounds = _bounds(steps)
    for tier in response.tiers:
        _add_tier(total, tier, steps, bounds, threshold)
    return total


def _bounds(steps: Array) -> tuple[Array, Array]:
    """Largest size of the increments, and the smallest where all have one sign, else below 0; (n,) each."""
    low, high = steps.min(axis=0), steps.max(axis=0)
    return xp.maximum(high, -low), xp.maximum(low, -high)


def _add_tier(total: Array, tier: Tier, steps: Array, bounds: tuple[Array, Array], threshold: float) -> None:
    """Add ∫ g_θ(u) dt over the instants of a tier: by the bounds where they decide, else by a closer look."""
    largest, smallest = bounds
    loud = smallest * tier.hold > threshold * (1 + MARGIN)
    if loud.any():
        total += loud * ((tier.weights @ tier.rows).astype(steps.dtype) @ steps)
    # What only rounding error decides is looked at too.
    unsure = xp.flatnonzero((largest * tier.reach >= threshold * (1 - MARGIN)) & ~loud)
    if not len(unsure):
        return
    some = xp.take(steps, unsure, axis=1)
    if not tier.parts:
        total[unsure] += _by_rows(tier, some, threshold)
        return
    found = xp.zeros(len(unsure), steps.dtype)
    for part in tier.parts:
        near = some[part.columns]
        _add_tier(found, part, near, _bounds(near), threshold)
    total[unsure] += found


def _by_rows(tier: Tier, steps: Array, threshold: float, level: Array | None = None) -> Array:
    """∫ g_θ(u) dt over the instants of a tier from u at each of them, (n,)."""
    rows, weights = tier.rows.astype(steps.dtype), tier.weights.astype(steps.dtype)
    total = xp.empty(steps.shape[1], steps.dtype)
    width = max(1, BLOCK // len(rows))
    for first in range(0, len(total), width):
        part = slice(first, first + width)
        u = rows @ steps[:, part]
        if level is not None:
            u += level[part]
        u *= xp.abs(u) >= threshold
        total[part] = weights @ u
    return total


def per_group(values: PerGroup, name: str, what: str) -> float:
    """The number of one group of parameters; refused if there is none."""
    if not isinstance(values, Mapping):
        return float(values)
    if name not in values:
        raise ValueError(f"no {what} for the parameters {name!r}; there are some for {', '.join(values)}")
    return float(values[name])


def multiplied(values: PerGroup, factor: float) -> PerGroup:
    """The number of each group times a factor."""
    if isinstance(values, Mapping):
        return {name: value * factor for name, value in values.items()}
    return values * factor


def _deeper(published: Mapping[str, float], middle: Mapping[str, float], layers: int) -> dict[str, float]:
    """Published numbers for the first and the last parameters of a network, others for those between."""
    last = layers - 1
    found = {f"{kind}1": published[f"{kind}1"] for kind in "Wb"}
    found |= {f"{kind}{layer}": middle[kind] for layer in range(2, last) for kind in "Wb"}
    return found | {f"{kind}{last}": published[f"{kind}2"] for kind in "Wb"}


def _check_rates(rates: PerGroup) -> None:
    for name, rate in rates.items() if isinstance(rates, Mapping) else [("rate", rates)]:
        check_positive(**{name: rate})
