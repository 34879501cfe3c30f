"""Kernels from records that somebody measured, or simulated in another way."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from chemlearn.measured.fit import Rows
from chemlearn.measured.result import MeasuredKernel, check_request, moments_of, summarised
from chemlearn.signal import Signal

_SAME = 1e-12  # of the length of a record: instants that differ by less are one


def kernel_from_responses(
    responses: ArrayLike | xr.Dataset,
    times: ArrayLike | None = None,
    size: float | None = None,
    *,
    settled: float | None = None,
    instantaneous: bool = False,
    confidence: float = 0.95,
    sections: int | None = None,
) -> MeasuredKernel:
    """Kernel from measured answers to a step of the input, one record for each cell, molecule or trial.

    Parameters
    ----------
    responses : (n_trajectories, n_times) array, or xarray.Dataset
        The output, at least 10 records. Of a Dataset of :func:`chemlearn.simulate_ssa` the output, its times
        and the step are read off; its signal must be a single step.
    times : (n_times,) array
        Increasing, 0 at the step. Samples at 0 or before give the level that the response starts from; there
        must be at least 20 after it. Where there are more than 200, neighbours are averaged.
    size : float
        Of the step, in units of the input.
    settled : float, optional
        Lag from which on the mean response has its final value: the samples from there on only tell that.
    instantaneous : bool
        Whether the output may jump together with the input; the kernel then has an instantaneous part. Needs
        samples before the step.
    confidence, sections
        As of :func:`measured_kernel`.

    Returns
    -------
    MeasuredKernel
        Records that are all 0 at time 0, such as differences of coupled pairs, are known to start from
        there.

    Raises
    ------
    ValueError
        When the data are not as described.
    """
    attrs: dict[str, Any] = {}
    if isinstance(responses, xr.Dataset):
        responses, times, size, attrs = _read(responses, times, size)
    if times is None or size is None:
        raise ValueError("responses need their times, 0 at the step, and the size of the step")
    records, times = np.asarray(responses, float), np.asarray(times, float)
    if not (np.isfinite(size) and size):
        raise ValueError(f"the size of a step must be a number other than 0, got {size:g}")
    _check_records(records, times, settled)
    lags = int(np.count_nonzero((times > 0) & (times < (np.inf if settled is None else settled))))
    check_request(len(records), lags, confidence, sections)
    if instantaneous and not times[0] < 0:
        raise ValueError("only samples before the step tell a jump from the level; times begin at 0 or later")
    rows = Rows.of(times, settled)
    with threadpool_limits(1):  # several threads would round in another way, and take longer
        return summarised(
            rows,
            moments_of(rows, [records]),
            size=float(size),
            instantaneous=instantaneous,
            words="measured responses",
            confidence=confidence,
            sections=sections,
            firings=1.0,
            attrs=attrs,
        )


def _read(
    data: xr.Dataset, times: ArrayLike | None, size: float | None
) -> tuple[np.ndarray, ArrayLike, float, dict[str, Any]]:
    """Records, times from the step, its size, and what is known of a simulated ensemble."""
    missing = [key for key in ("roles", "signal") if key not in data.attrs]
    if missing or "trajectory" not in data.dims:
        raise ValueError("the data are no ensemble of simulate_ssa; give an array, its times and the size")
    signal = Signal.from_dict(json.loads(data.attrs["signal"])) if data.attrs["signal"] else None
    jumps = np.flatnonzero(signal.segments.jumps) if signal is not None else np.zeros(0, int)
    if signal is None or len(jumps) != 1 or signal.periodic or np.any(signal.segments.slopes):
        raise ValueError("the signal of the ensemble is no single step; give the array, times and size")
    output = json.loads(data.attrs["roles"])["output"]
    begin, step = float(signal.segments.starts[jumps[0]]), float(signal.segments.jumps[jumps[0]])
    instants = np.asarray(data.time.values) - begin
    instants[np.abs(instants) < _SAME * np.ptp(instants)] = 0.0
    told = {key: value for key, value in data.attrs.items() if key != "kind"}  # it is no simulation any more
    return data[output].values, instants if times is None else times, step if size is None else size, told


def _check_records(records: np.ndarray, times: np.ndarray, settled: float | None) -> None:
    """Refuse what is no ensemble of records over increasing times."""
    if times.ndim != 1 or not np.all(np.isfinite(times)) or np.any(np.diff(times) <= 0):
        raise ValueError("times must be a one-dimensional array of finite numbers that increase")
    if not times[0] <= 0:
        raise ValueError(
            f"the level that the response starts from is not known: times begin at {times[0]:g}, after the "
            f"step at 0; give a sample at 0 or before"
        )
    if records.ndim != 2 or records.shape[1] != len(times):
        raise ValueError(f"responses must have the shape (n_trajectories, {len(times)}), got {records.shape}")
    if not np.all(np.isfinite(records)):
        raise ValueError("responses must be finite numbers; leave out records with gaps")
    if settled is not None and not settled > 0:
        raise ValueError(f"settled must be positive, got {settled:g}")
