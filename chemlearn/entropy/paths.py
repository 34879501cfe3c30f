r"""Entropy production of single trajectories, and what its fluctuations obey.

Along a trajectory the firings add :math:`\Delta s_m` to the entropy of the surroundings
(:mod:`chemlearn.entropy.flow`) and the system's own entropy changes by :math:`-\ln p_T(n_T) + \ln p_0(n_0)`.
For any network whose reactions can all be undone, under any signal, their sum obeys the integral fluctuation
theorem :math:`\langle e^{-\Delta s_{tot}} \rangle = 1` (Seifert, doi:10.1103/PhysRevLett.95.040602).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from chemlearn.entropy.flow import EntropyFlow
from chemlearn.entropy.law import MOST_STATES
from chemlearn.entropy.network import UNIT, one_way_reason
from chemlearn.entropy.starts import Beginning, beginning
from chemlearn.entropy.sums import PathEnsemble, Sums, grouped, stream
from chemlearn.model import Model
from chemlearn.signal import Signal
from chemlearn.simulate.arguments import root_seed
from chemlearn.simulate.ensemble import Progress
from chemlearn.simulate.provenance import annotated

_EFFECTIVE = 100.0  # trajectories that must carry the mean of exp(-Δs)
_MOST = 0.8  # of all of them, where there are few
_UNSEEN = 2.0  # standard errors that may be missing from it
_ROUNDING = 1e-9  # of Δs


class Fluctuation(NamedTuple):
    r"""The mean of :math:`e^{-\Delta s}` over an ensemble.

    Parameters
    ----------
    mean, error : float
        With its standard error; nan where the sample cannot tell.
    effective : float
        Number of trajectories that carry it, :math:`(\sum x)^2/\sum x^2`.
    unseen : float
        At rest, the share of the trajectories whose Δs is larger than the most negative one is negative:
        p(−Δs) = p(Δs) exp(−Δs), so those opposite to them should have carried that much of the mean, and none
        was seen. Under a signal nan.
    reason : str
        Why the sample cannot tell; "" where it can.
    """

    mean: float
    error: float
    effective: float
    unseen: float
    reason: str = ""


def fluctuation(total: np.ndarray, *, at_rest: bool = True) -> Fluctuation:
    r"""Mean of :math:`e^{-\Delta s}`, which the integral fluctuation theorem says is 1.

    Rare trajectories with Δs below 0 carry it. Where too few of them were seen the sample mean is too small,
    and so is its scatter: then there is no number, but a reason.

    Parameters
    ----------
    total : (n_trajectories,) array
        Δs of each, at least 2, in k_B.
    at_rest : bool
        Whether they stayed in a steady state, where the opposite of each trajectory is one of the same
        ensemble.

    Returns
    -------
    Fluctuation
    """
    lowest = float(np.min(total))
    weight = np.exp(lowest - total)
    effective = float(np.sum(weight)) ** 2 / float(np.sum(weight**2))
    # all are 0 but for rounding in detailed balance
    unseen = float(np.mean(total > max(-lowest, 0.0) + _ROUNDING)) if at_rest else np.nan
    scale = float(np.exp(min(-lowest, 700.0)))
    error = scale * float(np.std(weight, ddof=1)) / np.sqrt(len(weight))
    if effective < min(_EFFECTIVE, _MOST * len(total)):
        reason = (
            f"exp(-Δs) has too heavy a tail for {len(total)} trajectories: {effective:.3g} of them carry its "
            f"mean; take more of them, fewer molecules or a shorter time"
        )
        return Fluctuation(np.nan, np.nan, effective, unseen, reason)
    if unseen > _UNSEEN * error:
        reason = (
            f"{unseen:.1%} of the mean of exp(-Δs) would come from trajectories so unlikely that none was "
            f"seen; take more of them, fewer molecules or a shorter time"
        )
        return Fluctuation(np.nan, np.nan, effective, unseen, reason)
    return Fluctuation(scale * float(np.mean(weight)), error, effective, unseen)


def trajectory_entropy(
    model: Model,
    duration: float,
    *,
    s: float | None = None,
    signal: Signal | None = None,
    trajectories: int = 1000,
    seed: int | None = None,
    workers: int | None = None,
    most_states: int = MOST_STATES,
    progress: Progress | None = None,
) -> xr.Dataset:
    r"""Entropy production of every trajectory of an exact stochastic ensemble.

    The trajectories start at rest at the input level ``s``; under a periodic signal without ``s``, in the
    periodic state. Their beginnings are drawn from the exact law of the amounts where that is known: for
    molecules that react one by one, and where few enough states can be reached to solve the master equation.
    Elsewhere a run-in of 20 times the slowest memory goes before, and the system's entropy is not known.

    Parameters
    ----------
    model : Model
        Every reaction that moves the output needs its reverse (:func:`reversible_pairs`); the reactions of
        the weight do not count.
    duration : float
        In the model's time unit.
    s : float, optional
        Input level at rest; by default the signal's first value, or the model's own without a signal.
    signal : Signal, optional
        What the input does from time 0 on; every firing is counted at the input of its instant, along ramps
        too.
    trajectories : int
        At least 2.
    seed : int, optional
        Root seed; drawn and recorded by default. The numbers do not depend on ``workers``.
    workers : int, optional
        Threads; one by default.
    most_states : int
        Of which a master equation is solved.
    progress : callable, optional
        Called as ``progress(done, wanted)`` with numbers of trajectories.

    Returns
    -------
    xarray.Dataset
        Over ``trajectory``, in k_B: ``medium``, what its firings gave to the surroundings (inf where a
        reaction without a reverse fired); ``observed``, the same by the rates at which reactions can fire in
        the amounts that were there (another estimate of the same mean, at rest less noisy); ``system`` and
        ``total`` where the law is known, nan elsewhere. Of the ensemble: ``rate`` and ``rate_error``, the
        mean of ``total`` per time; ``observed_rate`` and its error, for ``observed`` in place of ``medium``;
        and :class:`Fluctuation`'s ``fluctuation``, ``fluctuation_error``, ``effective``, ``unseen``. Where
        the law is not known the rates are those of ``medium``; at rest and over whole periods, where the
        system's own entropy comes back, φ of :mod:`chemlearn.entropy.flow` takes most of the noise out of
        them. ``attrs`` hold ``law`` (how the beginnings were drawn), ``reason`` (what cannot be told and why)
        and the provenance.

    Raises
    ------
    ValueError
        For a duration that is not positive, or fewer than 2 trajectories.
    ModelError
        Where entropy cannot be counted by the reactions of the model; the reason.
    ConvergenceError, SimulationError
        Without a stable steady state, where one is needed to begin from; when a trajectory fires too often to
        be held in memory.
    KeyboardInterrupt
        On Ctrl-C.

    Examples
    --------
    >>> ladder = Model.load("ladder").with_values(gamma=0.7, N=1)
    >>> data = trajectory_entropy(ladder, 1.0, s=0.0, trajectories=2000, seed=1)
    >>> bool(abs(data.fluctuation - 1) < 5 * data.fluctuation_error)
    True
    """
    if not (np.isfinite(duration) and duration > 0):
        raise ValueError(f"duration must be positive, got {duration}")
    if trajectories < 2:
        raise ValueError(f"an ensemble with error bars needs at least 2 trajectories, got {trajectories}")
    seed = root_seed(seed)
    if signal is None and s is not None:
        model = model.with_values(**{model.input: s})
    flow = EntropyFlow(model)
    begin = beginning(model, duration, s=s, signal=signal, most_states=most_states)
    law, system = begin.law, np.full(trajectories, np.nan)
    starts = None if law is None else law.draw(stream(seed, 0, 0, 0), trajectories)
    ensemble = PathEnsemble(model, flow, begin.lead, begin.lead + duration, begin.signal, seed)
    sums = ensemble.run(grouped(starts, trajectories), workers=workers or 1, progress=progress)
    if law is not None:
        end = law if signal is None else law.after(signal, duration)
        system = law.log_probability(sums.first) - end.log_probability(sums.last)
    how = {
        **annotated(model, signal),
        "kind": "entropy",
        "seed": str(seed),
        "duration": float(duration),
        "s": begin.level,
        "start": begin.how,
        "law": "" if law is None else law.how,
    }
    stand_in = sums.potential if law is None and _comes_back(begin, duration) else np.zeros(trajectories)
    return _summary(sums, system, stand_in, float(duration), begin.reason, how)


def _comes_back(begin: Beginning, duration: float) -> bool:
    """Whether the law of the amounts is at the end what it was at the beginning."""
    if begin.signal is None or begin.how != "periodic":
        return begin.signal is None
    periods = duration / begin.signal.period
    return abs(periods - round(periods)) <= _ROUNDING * periods


def _summary(
    sums: Sums,
    system: np.ndarray,
    stand_in: np.ndarray,
    duration: float,
    reason: str,
    how: dict[str, object],
) -> xr.Dataset:
    """The trajectories and their ensemble as one Dataset; ``stand_in`` is for system entropy of mean 0."""
    total = sums.medium + system
    known = bool(np.all(np.isfinite(system)))
    reasons = [reason] if reason else []
    if sums.one_way:
        reasons.append(one_way_reason(sorted(sums.one_way)))
    tail = Fluctuation(np.nan, np.nan, np.nan, np.nan)
    if known and not sums.one_way:
        tail = fluctuation(total, at_rest=not how["signal"])
        reasons += [tail.reason] if tail.reason else []
    more = system if known else stand_in
    rate, rate_error = _mean_and_error((sums.medium + more) / duration)
    observed_rate, observed_error = _mean_and_error((sums.observed + more) / duration)
    each = {"medium": sums.medium, "observed": sums.observed, "system": system, "total": total}
    ensemble = {
        "rate": (rate, UNIT),
        "rate_error": (rate_error, UNIT),
        "observed_rate": (observed_rate, UNIT),
        "observed_rate_error": (observed_error, UNIT),
        "fluctuation": (tail.mean, "1"),
        "fluctuation_error": (tail.error, "1"),
        "effective": (tail.effective, "trajectories"),
        "unseen": (tail.unseen, "1"),
    }
    variables = {name: ("trajectory", values, {"units": "k_B"}) for name, values in each.items()}
    variables |= {name: ((), value, {"units": unit}) for name, (value, unit) in ensemble.items()}  # type: ignore[misc]
    return xr.Dataset(variables, {"trajectory": np.arange(len(total))}, {**how, "reason": "; ".join(reasons)})


def _mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Mean over trajectories and its standard error; inf and nan where one of them is infinite."""
    if np.any(np.isinf(values)):
        return np.inf, np.nan
    return float(np.mean(values)), float(np.std(values, ddof=1)) / np.sqrt(len(values))
