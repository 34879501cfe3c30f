"""The published metrics of update curves: where a molecule learns contrastively, in two ways."""

from __future__ import annotations

import numpy as np

from chemlearn.checks import check_positive
from chemlearn.curves.curve import BAND, LinearRange, UpdateCurve
from chemlearn.curves.segments import SegmentedFit, segmented_fit

__all__ = ["SegmentedFit", "markov_range", "published_range", "segmented_fit"]

AUDIBLE = 0.05
"""Share of the largest amplitude that Δw must exceed before a Markov kernel's range begins."""


def published_range(curve: UpdateCurve, amplitude_max: float | None = None) -> LinearRange:
    """The range of a kernel of little area, by the published fit of three segments.

    Δw/A_max against A/A_max is fitted by a continuous line of three segments. The range is the third, if its
    slope is in the band of contrastive gains, 0.75 to 1.25; its intercept is the offset.

    Parameters
    ----------
    curve : UpdateCurve
        Amplitudes from 0 to ``amplitude_max`` count, at least four.
    amplitude_max : float, optional
        A_max, positive, in units of s; the curve's largest amplitude by default.

    Returns
    -------
    LinearRange
        Slope in units of the ideal one, offset in units of s. Where there is no range all are nan, with the
        reason; published data then have A_min = A_max.

    Raises
    ------
    ValueError
        If ``amplitude_max`` is not positive.

    See Also
    --------
    linear_range : reads the gains themselves, and needs no shape of the curve.
    """
    amplitudes, updates, top = _in_units_of_the_top(curve, amplitude_max)
    if len(amplitudes) < 4:
        return _no_range("fewer than four amplitudes from 0 up")
    fit = segmented_fit(amplitudes, updates)
    slope, start = float(fit.slopes[2]), float(fit.breaks[1])
    if not BAND[0] < slope < BAND[1]:
        return _no_range(
            f"the third segment of the fit has slope {slope:.3g}, outside {BAND[0]:g} to {BAND[1]:g}"
        )
    return LinearRange(start * top, amplitudes[-1] * top, slope, float(fit.intercepts[2]) * top)


def markov_range(curve: UpdateCurve, amplitude_max: float | None = None) -> LinearRange:
    """The range of a kernel with a large area, as published for the Markov ladder.

    It begins at the smallest amplitude with Δw/A_max above 0.05, and its line is the least-squares line from
    there to A_max.

    Parameters
    ----------
    curve : UpdateCurve
        Amplitudes from 0 to ``amplitude_max`` count.
    amplitude_max : float, optional
        A_max, positive, in units of s; the curve's largest amplitude by default.

    Returns
    -------
    LinearRange
        Slope in units of the ideal one, offset in units of s. Where there is no range all are nan, with the
        reason.

    Raises
    ------
    ValueError
        If ``amplitude_max`` is not positive.
    """
    amplitudes, updates, top = _in_units_of_the_top(curve, amplitude_max)
    loud = np.flatnonzero(updates > AUDIBLE)
    if not len(loud):
        return _no_range(f"no amplitude changes the weight by more than {AUDIBLE:g} of the largest amplitude")
    amplitudes, updates = amplitudes[loud[0] :], updates[loud[0] :]
    if len(amplitudes) < 2:
        return _no_range(f"only the largest amplitude changes the weight by more than {AUDIBLE:g} of it")
    slope, offset = np.polyfit(amplitudes, updates, 1)
    return LinearRange(amplitudes[0] * top, amplitudes[-1] * top, float(slope), float(offset) * top)


def _in_units_of_the_top(
    curve: UpdateCurve, amplitude_max: float | None
) -> tuple[np.ndarray, np.ndarray, float]:
    """A/A_max and Δw/(ideal slope · A_max) for amplitudes from 0 to A_max, and A_max."""
    if amplitude_max is not None:
        check_positive(amplitude_max=amplitude_max)
    # A curve of negative amplitudes only has none to count, in any unit.
    top = float(amplitude_max or max(curve.amplitudes[-1], np.finfo(float).tiny))
    chosen = (curve.amplitudes >= 0) & (curve.amplitudes <= top)
    return curve.amplitudes[chosen] / top, curve.updates[chosen] / (curve.ideal_slope * top), top


def _no_range(reason: str) -> LinearRange:
    return LinearRange(np.nan, np.nan, np.nan, np.nan, reason)
