"""Kernels measured on a model: when the input steps, when one looks, and what the pairs of copies share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from chemlearn.coupled import SHARED, coupled_model
from chemlearn.errors import ModelError
from chemlearn.expression import compile_expressions, symbols
from chemlearn.measured.fit import Moments, Rows
from chemlearn.measured.result import MeasuredKernel, check_request, moments_of, summarised
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate import simulate_ssa
from chemlearn.simulate.arguments import checked_ensemble, root_seed
from chemlearn.simulate.provenance import annotated

METHODS = {
    "coupled": "coupled pairs",
    "seeds": "pairs with the same seeds",
    "independent": "independent pairs",
    "single": "trajectories, each against its own past",
}

SETTLE, RESPONSE, STEADY = 14.0, 10.0, 20.0  # in units of the slowest memory
_BEFORE, _AFTER = 64, 128  # looks at the output before the step, and once it has settled
_FINE = 2.0  # up to which the lags are even, in units of the fastest time constant
_COUNTED = 64  # pairs whose firings are estimated
_BLOCK, _BLOCK_BYTES = 1000, 2**26  # trajectories that are at work at once

Progress = Callable[[int, int], None]


def measured_kernel(
    model: Model,
    size: float | None = None,
    at: float | None = None,
    *,
    method: str = "coupled",
    trajectories: int = 1000,
    samples: int = 64,
    duration: float | None = None,
    settle: float | None = None,
    confidence: float = 0.95,
    sections: int | None = None,
    seed: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> MeasuredKernel:
    r"""Kernel of a model from an ensemble of stochastic step responses.

    Every trajectory starts from the model's initial amounts, settles at the level before the step, and sees
    the input step from ``at`` to ``at + size``. What is estimated is the derivative of the mean response per
    unit of s: for the rate equations that is :func:`chemlearn.step_kernel` ``(model, at, at + size)``, and
    the linear kernel as the step becomes small. Where laws are not linear the mean of molecules differs from
    the rate equations; this is that of molecules.

    Parameters
    ----------
    model : Model
    size : float, optional
        Of the step; a tenth of the level by default. The response grows with it, its variance over coupled
        pairs in proportion only, and the noise of independent ones not at all: small steps are what coupling
        is for.
    at : float, optional
        Level of the input before the step; the model's own by default.
    method : {"coupled", "seeds", "independent", "single"}
        What a response is told from: a copy that does not see the step and shares the noise
        (:func:`coupled_model`), that has the same random numbers, or that has its own; or the trajectory's
        own past.
    trajectories : int
        Number of them, or of pairs; at least 10.
    samples : int
        Number of lags; at least 20. They are even up to twice the model's fastest time constant, and even in
        the logarithm beyond.
    duration : float, optional
        Where the kernel ends: what comes later does not count in area and first moment. By default 10 of the
        model's slowest memories; the mean over another 20 of them then gives the end value of the response,
        which reaches it without a bend.
    settle : float, optional
        Time at the level before the step; by default 14 of the slowest memories (1e-6 of where the model
        started is left, if that was not too far); with ``"single"`` the 10 memories in which the level is
        taken come on top.
    confidence : float
        Of the bands.
    sections : int, optional
        Of the spline; see Notes.
    seed, workers, progress
        As of :func:`chemlearn.simulate_ssa`, with the native engine.

    Returns
    -------
    MeasuredKernel

    Raises
    ------
    ValueError
        For numbers that make no sense, or too few pairs that differ.
    ModelError
        When the model cannot be fired reaction by reaction, or its input does not act on its output.
    ConvergenceError, SimulationError
        Without a stable steady state of the rate equations, which gives the time scales.

    Notes
    -----
    The response is smoothed by a cubic least-squares spline whose knots have equal numbers of lags between
    them; their number minimises the expected squared error (Mallows' criterion with the covariance over
    lags), and three times as many sections are used: the error of smoothing then is small beside the
    standard errors, and the bands hold what they say. All errors come from the covariance over trajectories.

    References
    ----------
    D. F. Anderson, SIAM J. Numer. Anal. 50 (2012), doi:10.1137/110849079, for the coupling.
    """
    if method not in METHODS:
        raise ValueError(f"no method named {method!r}; there are {', '.join(METHODS)}")
    checked_ensemble(trajectories, workers, seed, None, None)
    check_request(trajectories, samples, confidence, sections)
    course = _Course.of(model, size, at, duration, settle, samples, past=method == "single")
    seed = root_seed(seed)
    rows = Rows.of(course.looks, course.settled)
    record = _recorder(model, course, method, seed, workers)
    moments: Moments | None = None
    for block in _blocks(trajectories, 2 * len(model.network.names) * len(course.looks)):
        found = moments_of(rows, record(block))
        moments = found if moments is None else moments.merged(found)
        if progress is not None:
            progress(block.stop, trajectories)
    assert moments is not None
    how = {
        "method": method,
        "engine": "native",
        "seed": str(seed),
        "before": course.before,
        "settle": course.begin,
        "duration": rows.end,
        "samples": samples,
    }
    with threadpool_limits(1):  # several threads would round in another way, and take longer
        return summarised(
            rows,
            moments,
            size=course.size,
            instantaneous=model.input in symbols(model.dynamics.output_tree),
            words=METHODS[method],
            confidence=confidence,
            sections=sections,
            firings=_firings_spared(model, course, seed, workers) if method == "coupled" else 1.0,
            attrs={**annotated(model, course.signal), **how},
        )


class _Course(NamedTuple):
    """What the input does in one trajectory, and when one looks.

    ``looks`` are counted from the step, which comes at ``begin``; from ``settled`` on it is at rest again.
    """

    before: float
    size: float
    begin: float
    looks: np.ndarray
    settled: float | None

    @classmethod
    def of(
        cls,
        model: Model,
        size: float | None,
        at: float | None,
        duration: float | None,
        settle: float | None,
        samples: int,
        *,
        past: bool,
    ) -> _Course:
        """A course from what was asked for and the time scales of the model."""
        before = float(model.input_value if at is None else at)
        size = 0.1 * abs(before) if size is None else float(size)
        if not (np.isfinite(size) and size):
            raise ValueError(f"the size of a step must be a number other than 0, got {size:g}; give size")
        for name, length in (("duration", duration), ("settle", settle)):
            if length is not None and not (np.isfinite(length) and length > 0):
                raise ValueError(f"{name} must be positive, got {length:g}")
        fastest, slowest = _time_scales(model, (before, before + size))
        last = RESPONSE * slowest if duration is None else float(duration)
        looks = [_lags(last, samples, _FINE * fastest)]
        if past:
            looks.insert(0, -RESPONSE * slowest * (1 - _middles(_BEFORE)))
        if duration is None:
            looks.append(last + STEADY * slowest * _middles(_AFTER))
        begin = SETTLE * slowest if settle is None else float(settle)
        begin += RESPONSE * slowest if past else 0.0
        return cls(before, size, begin, np.concatenate(looks), last if duration is None else None)

    @property
    def signal(self) -> Signal:
        return Signal.step(self.before, self.before + self.size, at=self.begin)

    @property
    def unstepped(self) -> Signal:
        """As ``signal``, a knot at the step too, but without the step."""
        return Signal(np.array([0.0, self.begin, self.begin]), np.full(3, self.before))


def _time_scales(model: Model, levels: tuple[float, ...]) -> tuple[float, float]:
    """The fastest and the slowest time constant of what moves the output, to three digits."""
    fastest, slowest = np.inf, 0.0
    for level in levels:
        matrix = model.dynamics.reduced(model.dynamics.steady_state(level), level)[0]
        if not len(matrix):
            raise ModelError(f"{model.origin}: nothing moves the output {model.output!r}")
        rates = np.linalg.eigvals(matrix)
        fastest = min(fastest, 1 / float(np.max(np.abs(rates))))
        slowest = max(slowest, 1 / float(np.min(-rates.real)))
    return float(f"{fastest:.3g}"), float(f"{slowest:.3g}")


def _lags(last: float, count: int, fine: float) -> np.ndarray:
    """Lags from 0 to the last, (count + 1,): even up to ``fine``, then in the logarithm.

    What is slow is seen late, so that features at a lag are about as wide as that lag.
    """
    inner = fine * np.expm1(np.linspace(0.0, np.log1p(last / fine), count + 1)[:-1])
    return np.append(inner, last)


def _middles(count: int) -> np.ndarray:
    return (np.arange(count) + 0.5) / count


def _recorder(
    model: Model, course: _Course, method: str, seed: int, workers: int | None
) -> Callable[[range], list[np.ndarray]]:
    """What makes the records of a block, (n_trajectories, n_times): with the step and, of pairs, without."""
    times = course.begin + course.looks
    common: dict[str, Any] = {"seed": seed, "workers": workers}
    if method == "coupled":
        pair = coupled_model(model, course.before)

        def together(block: range) -> list[np.ndarray]:
            data = simulate_ssa(pair.model, times, signal=course.signal, trajectories=block, **common)
            return [data[name].values for name in (model.output, pair.output)]

        return together
    signals = [course.signal] if method == "single" else [course.signal, course.unstepped]

    def apart(block: range) -> list[np.ndarray]:
        points = range(len(signals)) if method == "independent" else [0] * len(signals)
        return [
            simulate_ssa(model, times, signal=signal, trajectories=block, point=point, **common)[
                model.output
            ].values
            for signal, point in zip(signals, points, strict=True)
        ]

    return apart


def _blocks(trajectories: int, values_each: int) -> Iterator[range]:
    """Blocks whose size depends on nothing but the model and the times."""
    size = max(1, min(_BLOCK, _BLOCK_BYTES // (8 * values_each)))
    return (range(k, min(k + size, trajectories)) for k in range(0, trajectories, size))


def _firings_spared(model: Model, course: _Course, seed: int, workers: int | None) -> float:
    """Firings of two independent copies for each of a coupled pair, from the propensities of some pairs."""
    pair = coupled_model(model, course.before).model
    data = simulate_ssa(
        pair,
        course.begin + course.looks,
        signal=course.signal,
        trajectories=_COUNTED,
        seed=seed,
        workers=workers,
    )
    network = pair.network
    constants = {**network.constants, pair.input: course.before + course.size}
    evaluate = compile_expressions([r.law for r in network.reactions], [*network.species, *constants])
    values = evaluate([*(data[name].values for name in network.species), *constants.values()])
    shape = (_COUNTED, len(course.looks))
    rates = np.array([np.broadcast_to(value, shape).mean(axis=0) for value in values])
    shared = np.array([r.name.rstrip("_").endswith(f"_{SHARED}") for r in network.reactions])
    fired = np.trapezoid(rates, course.looks, axis=1)
    fired[shared] += rates[shared, 0] * course.begin
    return 1.0 + float(fired[shared].sum() / fired.sum())
