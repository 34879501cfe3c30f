"""Synapses of N ladder molecules under the sawtooth: their updates by simulation, and the limit of many.

The weight reads u, the molecules on the bottom rail beyond those without ligand, over N|M₁|: so u is in units
of s, and a synapse without an offset would be updated by the contrast A.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.special import ndtr

from chemlearn.curves.update import threshold, thresholded, update_curve, weight_update_from_samples
from chemlearn.cycle import Cycle, periodic_response
from chemlearn.figures.shared import column
from chemlearn.markov.ladder import Ladder
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import simulate_ssa

MEAN, RISE, FALL, AMPLITUDE_MAX = 10.0, 5.0, 25.0, 20.0
"""s̄ in µM; τ_f and τ_s in clockwise steps; the largest contrast that keeps the ligand above 0."""

SLOWER = 5.0
"""F: the vertical rates take most of the firings, and a smaller F changes the offset little."""

NUMBERS = np.geomspace(10, 1e7, 61)
"""N of synapses whose updates are computed, not simulated."""

READ = np.append(np.linspace(0, RISE, 61)[:-1], RISE + np.linspace(0, FALL, 121))
"""Instants of a cycle at which simulated molecules are counted."""

PERIODS = 3
"""Cycles of a simulated synapse that count, after one that does not."""


class Setting(NamedTuple):
    """A ladder and what its synapse reads.

    Parameters
    ----------
    ladder : Ladder
    moment : float
        −M₁ of the linear kernel of the bottom rail at s̄.
    level : float
        What u is at rest at s̄: I s̄ of the linear theory.
    threshold : float
        θ by the safe rule.
    """

    ladder: Ladder
    moment: float
    level: float
    threshold: float

    @classmethod
    def of(cls, gamma: float) -> Setting:
        """The setting of one γ."""
        ladder = Ladder(gamma, F=SLOWER)
        kernel = ladder.linear_kernel(MEAN, rail="bottom")
        moment = -kernel.first_moment
        level = (ladder.occupancy(MEAN, "bottom") - ladder.occupancy(0.0, "bottom")) / moment
        area = kernel.area / moment
        how = {"amplitude_max": AMPLITUDE_MAX, "rise": RISE, "fall": FALL}
        theta = threshold("safe", kernel_area=area, mean=level / area, **how)
        return cls(ladder, moment, level, theta)

    @property
    def base(self) -> float:
        """Occupancy of the bottom rail without ligand."""
        return self.ladder.occupancy(0.0, "bottom")

    def model(self, molecules: float) -> Model:
        """The model that the package comes with, with these rates."""
        gamma = float(self.ladder.gammas[0])
        return Model.load("ladder").with_values(N=molecules, gamma=gamma, F=SLOWER)

    def read(self, occupied: np.ndarray) -> np.ndarray:
        """u from the share of molecules on the bottom rail."""
        return (occupied - self.base) / self.moment

    def course(self, amplitude: float) -> tuple[np.ndarray, np.ndarray]:
        """Times of a cycle and the probability of the bottom rail, by the rate equations of the model."""
        molecules = 1000.0
        response = periodic_response(self.model(molecules), Cycle(MEAN, RISE, FALL), amplitude)
        return response.time.values, response.u.values / molecules


def many_molecules(setting: Setting, amplitudes: np.ndarray) -> xr.Dataset:
    """What synapses of many molecules do, and the noise of those of fewer, over ``amplitude``.

    ``rate_equations`` and ``linear_kernel`` are updates; ``gate`` the weights (amplitude, read) that sum u up
    while its mean is above the threshold; ``sd_times_root`` the standard deviation of that sum times √N;
    ``alone_computed`` (amplitude, number) the mean update of a synapse that listens to itself alone.
    """
    updates, gates, alone = [], [], []
    for amplitude in amplitudes.tolist():
        fine, occupied = setting.course(amplitude)
        u = setting.read(occupied)
        updates.append(float(weight_update_from_samples(fine, u, setting.threshold, knots=[RISE])))
        gates.append(gate_of(fine, u, setting.threshold))
        alone.append([_alone(setting, fine, occupied, number) for number in NUMBERS])
    kernel = setting.ladder.linear_kernel(MEAN, rail="bottom").normalized()
    mean = setting.level / kernel.area  # so that u at rest is what it is
    linear = update_curve(
        kernel, amplitudes, threshold=setting.threshold, rise=RISE, fall=FALL, mean=mean
    ).updates
    noise = [gated_sd(setting, gate) for gate in gates]
    return xr.Dataset(
        {
            "rate_equations": column("amplitude", updates, "uM", "update, many molecules"),
            "linear_kernel": column("amplitude", linear, "uM", "update by the linear kernel at the mean"),
            "gate": column(("amplitude", "read"), gates, "clockwise step", "weights of a pooled reading"),
            "sd_times_root": column("amplitude", noise, "uM", "standard deviation, pooled, times sqrt(N)"),
            "alone_computed": column(("amplitude", "number"), alone, "uM", "update of a synapse alone"),
            "dissipation": column(
                (), setting.ladder.dissipation(MEAN), "k_B per clockwise step", "of a molecule at rest"
            ),
            "predicted": column((), setting.level * RISE, "uM", "offset I s tau_f of F10"),
            "threshold": column((), setting.threshold, "uM per clockwise step", "of u"),
            "moment": column((), setting.moment, "clockwise step per uM", "|M1| of the linear kernel"),
        },
        {
            "number": column("number", NUMBERS, "1", "molecules of a synapse, computed"),
            "read": column("read", READ, "clockwise step", "time in the cycle"),
        },
    )


def _alone(setting: Setting, times: np.ndarray, occupied: np.ndarray, number: float) -> float:
    """Mean update of a synapse of N molecules that puts its own u through the threshold.

    The molecules are independent, so their number on a rail is binomial; here a Gaussian of its variance.
    """
    u, spread = setting.read(occupied), np.sqrt(occupied * (1.0 - occupied) / number) / setting.moment
    heard = np.zeros_like(u)
    for side in (1.0, -1.0):
        excess = (side * u - setting.threshold) / spread
        density = np.exp(-0.5 * excess**2) / math.sqrt(2.0 * math.pi)
        heard += side * (side * u * ndtr(excess) + spread * density)
    return float(np.trapezoid(heard, times))


def gate_of(times: np.ndarray, u: np.ndarray, theta: float) -> np.ndarray:
    """Weights of the instants ``READ`` that integrate straight lines between them while |u| ≥ θ."""
    parts = 200 * len(READ)
    middle = (np.arange(parts) + 0.5) * (READ[-1] / parts)
    passed = middle[np.abs(np.interp(middle, times, u)) >= theta]
    left = np.searchsorted(READ, passed) - 1
    share = (passed - READ[left]) / np.diff(READ)[left]
    both = np.bincount(left, 1.0 - share, len(READ)) + np.bincount(left + 1, share, len(READ))
    return both * (READ[-1] / parts)


def gated_sd(setting: Setting, gate: np.ndarray) -> float:
    """Standard deviation of a pooled update times √N, with the correlations of rest at s̄ (exact there)."""
    ladder = setting.ladder
    p, bottom = ladder.steady_state(MEAN), 1.0 - ladder.top
    values, vectors = np.linalg.eig(ladder.rates(MEAN))
    parts = (bottom @ vectors) * np.linalg.solve(vectors, (p * bottom).astype(complex))
    moving = np.argsort(values.real)[:-1]
    used = gate > 0
    apart = np.abs(np.subtract.outer(READ[used], READ[used]))
    together = np.zeros_like(apart)
    for part, value in zip(parts[moving], values[moving], strict=True):
        together += (part * np.exp(value * apart)).real
    return math.sqrt(max(float(gate[used] @ together @ gate[used]), 0.0)) / setting.moment


def simulated(
    setting: Setting,
    molecules: int,
    amplitude: float,
    gate: np.ndarray,
    *,
    trajectories: int,
    seed: int,
    point: int,
) -> dict[str, float]:
    """Updates of simulated synapses, pooled and alone: means, and standard deviations over cycles.

    Cycles of one synapse count as independent: between two openings of the gate its molecules forget.
    """
    free, clamped = MEAN - amplitude / 2, MEAN + amplitude / 2
    signal = Signal.sawtooth(free, clamped, rise=RISE, fall=FALL, periods=PERIODS + 1)
    last = len(READ) - 1
    starts = (RISE + FALL) * np.arange(1, PERIODS + 1)
    instants = np.append(np.add.outer(starts, READ[:-1]).ravel(), starts[-1] + READ[-1])
    run = simulate_ssa(
        setting.model(molecules), instants, signal=signal, trajectories=trajectories, seed=seed, point=point
    )
    cycles = [run.u.values[:, k * last : (k + 1) * last + 1] for k in range(PERIODS)]
    u = setting.read(np.concatenate(cycles) / molecules)
    pooled = u @ gate
    alone = np.trapezoid(thresholded(u, setting.threshold), READ, axis=1)
    return {
        "pooled": float(pooled.mean()),
        "pooled_sd": float(pooled.std(ddof=1)),
        "alone": float(alone.mean()),
        "alone_sd": float(alone.std(ddof=1)),
        "cycles": len(pooled),
    }
