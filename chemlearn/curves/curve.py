"""The update curve as a value: Δw against the contrast s_clamped − s_free, and the metrics of its shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from chemlearn.checks import check_positive, finite_column

__all__ = ["LinearRange", "UpdateCurve", "linear_range"]

BAND = (0.75, 1.25)
"""Gains Δw/(ideal Δw) that count as contrastive."""


@dataclass(frozen=True, eq=False, repr=False)
class UpdateCurve:
    """Weight change Δw over one swing against the signed amplitude s_clamped − s_free; a callable value.

    Parameters
    ----------
    amplitudes : array_like, (n,)
        Signed amplitudes, each once, in units of s; sorted on construction, with what belongs to them.
    updates : array_like, (n,)
        Δw at the amplitudes.
    errors : array_like, (n,), optional
        Standard errors of the updates, where they come from an ensemble.
    threshold : float
        θ that the updates were made with, in units of u; nan where not known.
    ideal_slope : float
        Slope of the ideal rule Δw ∝ A for this kernel, ``|M₁|``: the metrics are in its units. 1 for a
        normalised kernel.
    label : str
        How the curve was made, for legends.

    Raises
    ------
    ValueError
        If shapes differ, numbers are not finite, an amplitude comes twice or ``ideal_slope`` is not positive.
    """

    amplitudes: np.ndarray
    updates: np.ndarray
    errors: np.ndarray | None = None
    threshold: float = np.nan
    ideal_slope: float = 1.0
    label: str = ""

    def __post_init__(self) -> None:
        amplitudes = finite_column(self.amplitudes, "amplitudes")
        order = np.argsort(amplitudes)
        if np.any(np.diff(amplitudes[order]) == 0):
            raise ValueError("each amplitude of an update curve may be given once, got one twice")
        check_positive(ideal_slope=self.ideal_slope)
        columns = {"amplitudes": amplitudes, "updates": finite_column(self.updates, "updates")}
        if self.errors is not None:
            columns["errors"] = finite_column(self.errors, "errors")
        for name, column in columns.items():
            if column.shape != amplitudes.shape:
                raise ValueError(
                    f"{name} of an update curve must be one per amplitude, "
                    f"got {len(column)} for {len(amplitudes)}"
                )
            column = column[order]
            column.setflags(write=False)
            object.__setattr__(self, name, column)

    def __repr__(self) -> str:
        low, high = self.amplitudes[[0, -1]]
        label = f"{self.label!r}, " if self.label else ""
        return f"UpdateCurve({label}{len(self.amplitudes)} amplitudes from {low:g} to {high:g})"

    def __call__(self, amplitude: ArrayLike) -> np.ndarray:
        """Δw at any amplitudes inside the curve's, by straight lines between its points.

        Raises
        ------
        ValueError
            If an amplitude lies outside: the curve does not say what happens there.
        """
        amplitude = np.asarray(amplitude, float)
        low, high = self.amplitudes[[0, -1]]
        outside = ~((amplitude >= low) & (amplitude <= high))
        if outside.any():
            raise ValueError(
                f"this update curve is known for amplitudes from {low:g} to {high:g}, "
                f"got {amplitude[outside].flat[0]:g}; make it over a wider range"
            )
        return np.interp(amplitude, self.amplitudes, self.updates)

    @cached_property
    def linear_range(self) -> LinearRange:
        """Linear range of the positive amplitudes, by :func:`linear_range` with its defaults."""
        return linear_range(self)

    @property
    def slope(self) -> float:
        """Slope over the linear range, 1 for the ideal rule; nan where there is none."""
        return self.linear_range.slope

    @property
    def offset(self) -> float:
        """Δw that the linear range extrapolates to at zero amplitude, in units of s; nan where there is
        none."""
        return self.linear_range.offset

    @property
    def dynamic_range(self) -> tuple[float, float]:
        """Smallest and largest amplitude of the linear range; nan, nan where there is none."""
        return self.linear_range.amplitude_min, self.linear_range.amplitude_max

    @property
    def reason(self) -> str:
        """Why there is no linear range; empty where there is one."""
        return self.linear_range.reason


class LinearRange(NamedTuple):
    """Where an update curve follows Δw ∝ A and its line there, or nan and the reason why it nowhere does."""

    amplitude_min: float
    amplitude_max: float
    slope: float
    offset: float
    reason: str = ""


def linear_range(curve: UpdateCurve, *, band: tuple[float, float] = BAND, sign: int = 1) -> LinearRange:
    """The amplitudes over which a molecule learns contrastively, with the line that describes it there.

    The range is the run of neighbouring amplitudes, at least three, whose gains Δw/(ideal_slope·A) all lie
    inside the band; of several runs the one with the largest ratio of its ends. Its ends are amplitudes of
    the curve, so a coarse curve gives a narrow range, never a wide one.

    Parameters
    ----------
    curve : UpdateCurve
        Only amplitudes of the chosen sign count.
    band : (float, float)
        Gains that count as contrastive.
    sign : {1, -1}
        Positive or negative amplitudes. For negative ones too ``amplitude_min`` is the smallest in size; all
        keep their sign.

    Returns
    -------
    LinearRange
        Slope in units of the ideal one, offset in units of s, both of the unweighted least-squares line
        through the range.

    See Also
    --------
    threshold : which rule puts the top of the range where.
    """
    if sign not in (1, -1):
        raise ValueError(f"sign must be 1 or -1, got {sign}")
    side = "positive" if sign == 1 else "negative"
    chosen = np.flatnonzero(curve.amplitudes * sign > 0)[::sign]
    if len(chosen) < 3:
        return _no_range(f"fewer than three {side} amplitudes")
    amplitudes, updates = curve.amplitudes[chosen], curve.updates[chosen] / curve.ideal_slope
    gains = updates / amplitudes
    inside = (gains >= band[0]) & (gains <= band[1])
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(int)))
    runs = [(first, last) for first, last in edges.reshape(-1, 2) if last - first >= 3]
    if not runs:
        return _no_range(_why_none(gains, band, side))
    first, last = max(runs, key=lambda run: amplitudes[run[1] - 1] / amplitudes[run[0]])
    slope, offset = np.polyfit(amplitudes[first:last], updates[first:last], 1)
    return LinearRange(float(amplitudes[first]), float(amplitudes[last - 1]), float(slope), float(offset))


def _why_none(gains: np.ndarray, band: tuple[float, float], side: str) -> str:
    """One clause on what the gains do instead of lying inside the band."""
    if np.all(np.abs(gains) < 1e-9):
        return f"no {side} amplitude changes the weight: u never reaches the threshold, or its swings cancel"
    if np.any((gains >= band[0]) & (gains <= band[1])):
        return (
            f"fewer than three neighbouring {side} amplitudes have a gain inside {band[0]:g} to {band[1]:g}"
        )
    best = gains[np.argmin(np.abs(gains - 1))]
    return f"no {side} amplitude has a gain inside {band[0]:g} to {band[1]:g}; the closest is {best:.3g}"


def _no_range(reason: str) -> LinearRange:
    return LinearRange(np.nan, np.nan, np.nan, np.nan, reason)
