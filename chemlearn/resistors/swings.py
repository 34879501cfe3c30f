r"""How a network of resistors follows a nudge that swings at its targets, and what edges make of it.

The nudge φ(t) rises straight from 0 to 1, falls straight back, and rests. At rest at every instant all
voltages follow it. At a physical rate γ the interior obeys ẇ = −γ (D w + B δv_T), D and B being parts of the
Laplacian: each of its modes, D = Q Λ Qᵀ, follows φ through a low-pass filter of rate γΛ_i, whose periodic
state is known in closed form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from chemlearn.checks import check_positive
from chemlearn.kernels.kernel import Kernel
from chemlearn.resistors.network import ResistorNetwork
from chemlearn.resistors.solve import Response
from chemlearn.resistors.tasks import Task
from chemlearn.signal import Signal

__all__ = ["Memory", "Swing", "followed", "mean_square", "memory", "moves", "passed", "rest_modes"]

STRAIGHT = 1e-2
"""Below this k t the lag of a mode is summed as a series, which loses no digits."""


@dataclass(frozen=True)
class Swing:
    """One period of the nudge φ(t): from 0 to 1, back to 0, and a rest at 0.

    Parameters
    ----------
    rise, fall : float
        τ_f and τ_s, positive.
    pause : float
        Rest between two swings, in which the targets are released and the free voltages read; 0 for none.
    instants : int
        Instants at which each swing is looked at, at least 8; they are closest where it begins.
    """

    rise: float = 1.0
    fall: float = 30.0
    pause: float = 0.0
    instants: int = 24

    def __post_init__(self) -> None:
        check_positive(rise=self.rise, fall=self.fall)
        if not (math.isfinite(self.pause) and self.pause >= 0):
            raise ValueError(f"the pause must be 0 or positive, got {self.pause}")
        if int(self.instants) != self.instants or self.instants < 8:
            raise ValueError(f"instants must be a whole number of at least 8, got {self.instants}")

    @property
    def period(self) -> float:
        """Rise, fall and pause."""
        return self.rise + self.fall + self.pause

    @property
    def ratio(self) -> float:
        """τ_s/τ_f."""
        return self.fall / self.rise

    @property
    def pieces(self) -> tuple[tuple[float, float, float], ...]:
        """Duration of each straight piece, and φ at its beginning and at its end."""
        found = ((self.rise, 0.0, 1.0), (self.fall, 1.0, 0.0), (self.pause, 0.0, 0.0))
        return found if self.pause else found[:2]

    def times(self, finest: float) -> np.ndarray:
        """Instants of one period from 0, (n_instants,), at most ``finest`` apart where a piece begins."""
        start, found = 0.0, []
        for duration, _begin, _end in self.pieces:
            found.append(start + _spread(duration, min(finest, duration / self.instants), int(self.instants)))
            start += duration
        return np.concatenate(found)

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """φ at instants from 0 to the period."""
        starts = np.cumsum([0.0] + [duration for duration, _begin, _end in self.pieces])
        return np.interp(times, starts, [0.0] + [end for _duration, _begin, end in self.pieces])


def _spread(duration: float, first: float, count: int) -> np.ndarray:
    """Instants from 0 to below the duration, (count,), the first step as given, the others ever longer."""
    places = np.arange(count) / count
    share = first * count / duration
    if share > 1 - 1e-6:
        return duration * places
    # sinh(a/n)/sinh(a), without its overflow.
    bend = brentq(lambda a: count * math.sinh(a / count) / math.sinh(a) - share, 1e-6, 300.0)
    return duration * np.sinh(bend * places) / math.sinh(bend)


class Memory(NamedTuple):
    """A kernel on the instants of a swing."""

    times: np.ndarray
    """(n_instants,)"""
    answer: np.ndarray
    """u at all instants for signals straight between them, (n_instants, n_instants): exact for those."""
    steps: np.ndarray
    """From each instant to the next, the last to the next period, (n_instants,)."""
    moment: float
    """``|M₁|``."""
    area: float
    """∫ K, 0 where it is rounding error."""

    def passed(self, u: np.ndarray, threshold: float | np.ndarray) -> np.ndarray:
        """∫ g_θ(u) dt over one period, u straight between the instants of its second axis from the end.

        Parameters
        ----------
        u : array, (..., n_instants, n_edges)
        threshold : float or array, (n_edges,)
        """
        return passed(u, np.roll(u, -1, axis=-2), self.steps, threshold)

    def mean_square(self, u: np.ndarray) -> np.ndarray:
        """⟨u²⟩ over one period, u straight between the instants of its second axis from the end."""
        return mean_square(u, np.roll(u, -1, axis=-2), self.steps)


def passed(u: np.ndarray, after: np.ndarray, steps: np.ndarray, threshold: float | np.ndarray) -> np.ndarray:
    """∫ g_θ(u) dt of what goes straight from each u to what is after it, (..., n_edges).

    Parameters
    ----------
    u, after : array, (..., n_steps, n_edges)
        At the beginning and at the end of each step.
    steps : array, (n_steps,)
    threshold : float or array, (n_edges,)
        θ: of u all passes where ``|u|`` ≥ θ, else nothing.
    """
    loud, later = np.abs(u) >= threshold, np.abs(after) >= threshold
    total = np.where(loud & later, 0.5 * (u + after), 0.0)
    # Where u crosses ±θ: ∫ u du from θ on, over the change of u.
    some = np.nonzero(loud ^ later)
    a, b, limit = u[some], after[some], np.broadcast_to(threshold, u.shape)[some]
    outer = np.maximum(np.abs(a), np.abs(b))
    total[some] = np.where(loud[some], -1, 1) * 0.5 * (outer - limit) * (outer + limit) / (b - a)
    return np.tensordot(total, steps, axes=(-2, 0))


def mean_square(u: np.ndarray, after: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """⟨u²⟩ of what goes straight from each u to what is after it; shapes as in :func:`passed`."""
    squares = (u * u + u * after + after * after) / 3
    return np.tensordot(squares, steps, axes=(-2, 0)) / steps.sum()


@lru_cache(maxsize=32)
def memory(kernel: Kernel, swing: Swing) -> Memory:
    """What an edge with this kernel makes of one period, in the periodic steady state.

    Raises
    ------
    ValueError
        If the kernel does not decay, or has no first moment.
    """
    moment = abs(kernel.first_moment)
    if not (math.isfinite(moment) and moment > 0 and math.isfinite(kernel.area)):
        raise ValueError(f"the kernel must decay and have a first moment, got {kernel!r}")
    times = swing.times(kernel.duration / 12)
    ends = np.append(times, swing.period)
    answer = np.empty((len(times), len(times)))
    for place in range(len(times)):
        hat = np.zeros(len(ends))
        hat[place] = 1.0
        hat[-1] = hat[0]
        answer[:, place] = kernel.respond(Signal(ends, hat, periodic=True), times)
    level = np.abs(answer).sum(axis=1).max()
    area = 0.0 if abs(kernel.area) <= 1e-12 * level else kernel.area
    return Memory(times, answer, np.diff(ends), moment, area)


def followed(rates: np.ndarray, swing: Swing, times: np.ndarray) -> np.ndarray:
    r"""y of ẏ = −k (y − φ(t)) in the periodic steady state, (n_times, n_rates).

    Parameters
    ----------
    rates : array, (n_rates,)
        k ≥ 0, per time. At 0 it is the mean of φ, to which it tends.
    swing : Swing
    times : array, (n_times,)
        Ascending, from 0 to below the period.
    """
    pieces = swing.pieces
    rates = np.maximum(rates, 1e-12 / swing.period)
    # One period maps y to y·decay + gain; its fixed point is where the period begins.
    gain = np.zeros_like(rates)
    for duration, begin, end in pieces:
        gain = gain * np.exp(-rates * duration) + _driven(rates, duration, begin, (end - begin) / duration)
    y = gain / -np.expm1(-rates * swing.period)
    found = np.empty((len(times), len(rates)))
    start = 0.0
    for number, (duration, begin, end) in enumerate(pieces):
        last = number == len(pieces) - 1
        here = (times >= start) & (np.full(len(times), last) | (times < start + duration))
        since, slope = (times[here] - start)[:, None], (end - begin) / duration
        found[here] = y * np.exp(-rates * since) + _driven(rates, since, begin, slope)
        y = y * np.exp(-rates * duration) + _driven(rates, duration, begin, slope)
        start += duration
    return found


def _driven(rates: np.ndarray, since: np.ndarray | float, begin: float, slope: float) -> np.ndarray:
    """y from 0 under φ = begin + slope·t."""
    x = rates * since
    series = x * (1 / 2 - x / 6 * (1 - x / 4 * (1 - x / 5 * (1 - x / 6))))
    with np.errstate(invalid="ignore"):
        late = np.where(x > STRAIGHT, 1 + np.expm1(-x) / np.maximum(x, STRAIGHT), series)
    return -begin * np.expm1(-x) + slope * since * late


class Modes(NamedTuple):
    """How the interior relaxes while the sources, the ground and the targets are held."""

    inside: np.ndarray
    """Nodes of the interior, (n_inside,)."""
    rates: np.ndarray
    """Λ, (n_inside,), conductances."""
    shapes: np.ndarray
    """Q, (n_inside, n_inside), a mode in each column."""


def rest_modes(network: ResistorNetwork, conductance: np.ndarray, task: Task) -> Modes:
    """The modes, by a dense decomposition: for networks of up to some hundred nodes."""
    inside = np.ones(network.nodes, bool)
    inside[task.sources] = inside[task.targets] = False
    if network.ground is not None:
        inside[network.ground] = False
    nodes = np.flatnonzero(inside)
    matrix = np.zeros((network.nodes, network.nodes))
    first, second = network.edges.T
    np.add.at(matrix, (first, second), -conductance)
    matrix += matrix.T
    np.fill_diagonal(matrix, -matrix.sum(axis=1))
    rates, shapes = np.linalg.eigh(matrix[np.ix_(nodes, nodes)])
    return Modes(nodes, np.maximum(rates, 0.0), shapes)


def moves(
    network: ResistorNetwork,
    conductance: np.ndarray,
    task: Task,
    found: Response,
    nudge: float,
    gamma: float,
    swing: Swing,
    times: np.ndarray,
) -> np.ndarray:
    """How far s = −½ (Δv)² of every edge is from its free value, (n_examples, n_times, n_edges).

    Parameters
    ----------
    network : ResistorNetwork
    conductance : array, (n_edges,)
        It stays as it is during the swing.
    task : Task
    found : Response
        The network at rest.
    nudge : float
        η at the peak of the swing; the targets are at v_T^F + η φ(t) (V_T − v_T^F).
    gamma : float
        Rate of the physical relaxation; ``math.inf`` for a network that is at rest at every instant.
    swing : Swing
    times : array, (n_times,)
    """
    phase = swing(times)
    drop = network.drops(found.free)
    pulled = nudge * found.clamped(task)
    out = np.empty((len(task), len(times), network.n_edges))
    if math.isinf(gamma):
        shift = network.drops(pulled)
        for example in range(len(task)):
            part = phase[:, None] * shift[example]
            out[example] = -part * (drop[example] + 0.5 * part)
        return out
    modes = rest_modes(network, conductance, task)
    filtered = followed(gamma * modes.rates, swing, times)
    for example in range(len(task)):
        # Targets follow the drive at once; the interior, mode by mode.
        voltages = phase[:, None] * pulled[example]
        weights = modes.shapes.T @ pulled[example, modes.inside]
        voltages[:, modes.inside] = (filtered * weights) @ modes.shapes.T
        part = network.drops(voltages)
        out[example] = -part * (drop[example] + 0.5 * part)
    return out
