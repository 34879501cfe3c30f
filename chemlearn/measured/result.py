"""A measured kernel: the numbers, their errors and bands, and how they follow from the moments of records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

from chemlearn.kernels.kernel import SampledKernel
from chemlearn.measured.fit import FEWEST_LAGS, Fit, Moments, Rows, band_factor, fitted

_FEWEST = 10  # trajectories
_CLEAR = 4.0  # standard errors of a drift that is said
_OF_SECTION = 8  # samples of K in a section of its spline


class Estimate(NamedTuple):
    """A number and its standard error."""

    value: float
    error: float

    def __str__(self) -> str:
        if not (np.isfinite(self.error) and 1e-9 < self.error < 1e6):
            return f"{self.value:.5g} ± {self.error:.2g}"
        digits = max(0, 1 - int(np.floor(np.log10(self.error))))  # two of the error
        return f"{self.value:.{digits}f} ± {self.error:.{digits}f}"


class Gain(NamedTuple):
    """How many times smaller the variances of pairs are than those of as many independent ones.

    Parameters
    ----------
    response, kernel : (n_lags,) array
        At every lag; ``nan`` where no pair has begun to differ.
    area, first_moment : float
    firings : float
        Firings of an independent pair for each firing of such a pair: what it spares on top, in firings. (A
        firing of a coupled network takes longer, since it has three times the reactions.)
    """

    response: np.ndarray
    kernel: np.ndarray
    area: float
    first_moment: float
    firings: float


@dataclass(frozen=True, eq=False, repr=False)
class MeasuredKernel:
    r"""A memory kernel with its errors, from noisy answers to a step of the input.

    Parameters
    ----------
    data : xarray.Dataset
        Over ``lag``: ``response``, the mean change of the output per unit of the input, not smoothed;
        ``smooth``, the spline through it; ``kernel``, the spline's derivative; their standard errors
        ``response_error``, ``smooth_error``, ``kernel_error``; the ends of the kernel's confidence bands,
        ``low`` and ``high`` for each lag by itself, ``all_low`` and ``all_high`` for all lags together; and,
        over ``lag`` and ``other_lag``, ``response_covariance`` and ``kernel_covariance``. Where it came from
        is in the attributes.
    kernel : SampledKernel
        The kernel, to respond to signals and to give update curves; 0 after its end.
    area, first_moment : Estimate
        ∫K and ∫τK up to the end of the kernel.
    delta : Estimate
        Weight of the kernel's instantaneous part.
    trajectories : int
        Or pairs.
    method : str
        How the responses came about, in words.
    confidence : float
        Of the bands.
    factors : tuple of float
        Half-widths of the bands in standard errors: for each lag by itself, and for all lags together.
    sections : int
        Of the spline.
    drift : float
        How far the output went where the input had not changed, in standard errors; within ±4 if it had
        settled, ``nan`` where nothing tells.
    gain : Gain or None
        What pairs gained; None where there were none.
    """

    data: xr.Dataset
    kernel: SampledKernel
    area: Estimate
    first_moment: Estimate
    delta: Estimate
    trajectories: int
    method: str
    confidence: float
    factors: tuple[float, float]
    sections: int
    drift: float
    gain: Gain | None = None

    @property
    def lags(self) -> np.ndarray:
        """Times after the step, (n_lags,)."""
        return np.asarray(self.data.lag.values)

    def band(self, *, simultaneous: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper end of the confidence band of K, (n_lags,) each.

        Parameters
        ----------
        simultaneous : bool
            Whether the band holds the whole kernel with the confidence, rather than K at each single lag.
        """
        prefix = "all_" if simultaneous else ""
        return np.asarray(self.data[f"{prefix}low"].values), np.asarray(self.data[f"{prefix}high"].values)

    def rows(self) -> list[tuple[str, str]]:
        """What there is to say, as pairs of label and text."""
        single, together = self.factors
        of_lags = f"{len(self.lags)} lags from {self.lags[0]:g} to {self.lags[-1]:.4g}"
        found = [
            ("measured on", f"{self.trajectories} {self.method}; {of_lags}"),
            ("area I", str(self.area)),
            ("first moment M₁", str(self.first_moment)),
            ("smoothing", f"cubic spline of the step response in {self.sections} sections"),
            (
                "bands",
                f"{100 * self.confidence:g} % within {single:.2f} standard errors at each lag, "
                f"{together:.2f} at all lags together",
            ),
        ]
        if self.delta != (0.0, 0.0):
            found.insert(3, ("instantaneous", f"{self.delta} δ(t)"))
        if self.gain is not None:
            found.append(("gain", _gain_in_words(self.gain)))
        if abs(self.drift) > _CLEAR:
            warning = f"at rest the output drifts by {self.drift:.1f} standard errors; let it settle longer"
            found.append(("warning", warning))
        return found

    def __str__(self) -> str:
        rows = self.rows()
        width = max(len(label) for label, _ in rows)
        return "\n".join(f"{label:<{width}}  {text}" for label, text in rows)

    def __repr__(self) -> str:
        return f"MeasuredKernel({self.trajectories} {self.method}, area {self.area}, M₁ {self.first_moment})"


def _gain_in_words(gain: Gain) -> str:
    response = np.median(gain.response[np.isfinite(gain.response)])
    return (
        f"variances of as many independent pairs over these: {response:.3g} for the response (median over "
        f"lags), {gain.area:.3g} for the area, {gain.first_moment:.3g} for M₁; with {gain.firings:.2f} times "
        f"the firings"
    )


def check_request(trajectories: int, lags: int, confidence: float, sections: int | None) -> None:
    """Refuse what gives no error bars, no band or no spline.

    Raises
    ------
    ValueError
        Naming it.
    """
    if trajectories < _FEWEST:
        raise ValueError(f"error bars need at least {_FEWEST} trajectories, got {trajectories}")
    if lags < FEWEST_LAGS:
        raise ValueError(f"a kernel needs at least {FEWEST_LAGS} lags after the step, got {lags}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence:g}")
    if sections is not None and not 2 <= sections <= lags // 2:
        raise ValueError(f"{lags} lags allow 2 to {lags // 2} sections of a spline, got {sections}")


def moments_of(rows: Rows, records: list[np.ndarray]) -> Moments:
    """Of a block of records, (n_trajectories, n_times); of pairs, of their differences, then of each."""
    with threadpool_limits(1):  # several threads would round in another way, and take longer
        parts = [record @ rows.average.T for record in records]
        return Moments.of(parts[0] if len(parts) == 1 else np.hstack([parts[0] - parts[1], *parts]))


def summarised(
    rows: Rows,
    moments: Moments,
    *,
    size: float,
    instantaneous: bool,
    words: str,
    confidence: float,
    sections: int | None,
    firings: float,
    attrs: dict[str, Any],
) -> MeasuredKernel:
    """The kernel from moments of the rows; of pairs, of their differences and of each."""
    count, pairs = len(rows.centres), len(moments.mean) > len(rows.centres)
    own = moments.part(slice(0, count))
    fit = fitted(rows, own, level=not pairs, instantaneous=instantaneous, sections=sections)
    views = _views(rows, fit, own.mean)
    covariances = {name: _spread(view.rows, own) / size**2 for name, view in views.items()}
    values = {name: view.values / size for name, view in views.items()}
    freedom = moments.number - 1
    factors = (
        float(student.ppf((1 + confidence) / 2, freedom)),
        band_factor(covariances["kernel"], confidence, freedom),
    )
    area, first_moment, delta = (
        Estimate(float(values[name][0]), float(np.sqrt(covariances[name][0, 0])))
        for name in ("area", "first_moment", "delta")
    )
    about = {"size": size, "trajectories": moments.number, "confidence": confidence}
    for name, estimate in (("area", area), ("first_moment", first_moment), ("delta", delta)):
        about |= {name: estimate.value, f"{name}_error": estimate.error}
    return MeasuredKernel(
        data=_table(rows.lags, values, covariances, factors, {**attrs, **about}),
        kernel=_sampled(fit, size, delta.value),
        area=area,
        first_moment=first_moment,
        delta=delta,
        trajectories=moments.number,
        method=words,
        confidence=confidence,
        factors=factors,
        sections=fit.sections,
        drift=_drift(rows, moments.part(slice(2 * count, None)) if pairs else own, pairs),
        gain=_gain(views, moments, count, firings) if pairs else None,
    )


class _View(NamedTuple):
    """Numbers that are linear in the rows: their values, and what every row counts in them, (n, n_rows)."""

    values: np.ndarray
    rows: np.ndarray


def _views(rows: Rows, fit: Fit, mean: np.ndarray) -> dict[str, _View]:
    """All that is estimated, in units of the output."""
    lags = rows.lags
    raw = np.eye(len(rows.centres))[rows.is_lag] - fit.level
    first = np.eye(len(fit.coefficients))[:1]
    of_splines = {
        "smooth": fit.basis.response(lags),
        "kernel": fit.basis.kernel(lags),
        "area": fit.basis.area,
        "first_moment": fit.basis.first_moment,
        "delta": first,
    }
    found = {name: _View(by @ fit.coefficients, by @ fit.weights) for name, by in of_splines.items()}
    return {"response": _View(raw @ mean, raw), **found}


def _spread(by: np.ndarray, moments: Moments) -> np.ndarray:
    """Covariance of linear combinations of the mean rows."""
    return np.asarray(by @ (moments.covariance / moments.number) @ by.T)


def _drift(rows: Rows, moments: Moments, pairs: bool) -> float:
    """Change of what saw no step, in standard errors: of the copy without it, or before it."""
    change = np.zeros(len(rows.centres))
    if pairs:
        change[[0, -1]] = -1.0, 1.0
    elif rows.centres[1] < 0:
        change[:2] = -1.0, 1.0
    error = float(np.sqrt(_spread(change[None], moments)[0, 0]))
    return float(change @ moments.mean) / error if error else np.nan


def _gain(views: dict[str, _View], moments: Moments, count: int, firings: float) -> Gain:
    """Variances of independent pairs, whose copies vary as these do, over those of the pairs themselves."""
    own, *copies = (moments.part(slice(k * count, (k + 1) * count)) for k in range(3))

    def ratio(name: str) -> np.ndarray:
        apart = sum(np.diag(_spread(views[name].rows, copy)) for copy in copies)
        together = np.diag(_spread(views[name].rows, own))
        return np.asarray(np.divide(apart, together, out=np.full(len(together), np.nan), where=together > 0))

    area, first_moment = (float(ratio(name)[0]) for name in ("area", "first_moment"))
    return Gain(ratio("response"), ratio("kernel"), area, first_moment, firings)


def _sampled(fit: Fit, size: float, delta: float) -> SampledKernel:
    """The derivative of the spline, sampled densely enough for a spline through the samples."""
    knots = np.unique(fit.basis.knots)
    steps = np.arange((len(knots) - 1) * _OF_SECTION + 1) / _OF_SECTION
    lags = np.interp(steps, np.arange(len(knots)), knots)
    return SampledKernel(lags, fit.basis.kernel(lags) @ fit.coefficients / size, delta)


def _table(
    lags: np.ndarray,
    values: dict[str, np.ndarray],
    covariances: dict[str, np.ndarray],
    factors: tuple[float, float],
    attrs: dict[str, Any],
) -> xr.Dataset:
    """What is known over lags."""
    columns: dict[str, Any] = {}
    for name in ("response", "smooth", "kernel"):
        columns[name] = ("lag", values[name])
        columns[f"{name}_error"] = ("lag", np.sqrt(np.diag(covariances[name])))
    for prefix, factor in zip(("", "all_"), factors, strict=True):
        half = factor * columns["kernel_error"][1]
        columns[f"{prefix}low"] = ("lag", values["kernel"] - half)
        columns[f"{prefix}high"] = ("lag", values["kernel"] + half)
    for name in ("response", "kernel"):
        columns[f"{name}_covariance"] = (("lag", "other_lag"), covariances[name])
    return xr.Dataset(columns, {"lag": lags, "other_lag": lags}, attrs)
