"""The verdict: can this synapse learn contrastively, and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chemlearn.curves.curve import BAND, UpdateCurve, linear_range
from chemlearn.cycle import Cycle
from chemlearn.kernels.kernel import ExponentialKernel
from chemlearn.linear import WorkingRange


@dataclass(frozen=True)
class Reason:
    """One condition of the verdict.

    Parameters
    ----------
    holds : bool
    text : str
        What was asked and what was found, in one sentence.
    """

    holds: bool
    text: str


@dataclass(frozen=True)
class Verdict:
    """Whether a synapse learns contrastively.

    Parameters
    ----------
    contrastive : bool
        All conditions hold.
    reasons : tuple of Reason
    advice : tuple of str
        What would mend it, or what to keep in mind.
    """

    contrastive: bool
    reasons: tuple[Reason, ...]
    advice: tuple[str, ...]

    @property
    def headline(self) -> str:
        """``"contrastive"`` or ``"not contrastive"``."""
        return "contrastive" if self.contrastive else "not contrastive"

    def __str__(self) -> str:
        lines = [self.headline]
        lines += [f"  {'+' if r.holds else '-'} {r.text}" for r in self.reasons]
        lines += [f"  > {text}" for text in self.advice]
        return "\n".join(lines)


def judge(
    kernel: ExponentialKernel,
    working: WorkingRange,
    cycle: Cycle,
    closed: UpdateCurve,
    deterministic: UpdateCurve,
    *,
    noise: float = np.nan,
) -> Verdict:
    """Weigh what was measured.

    Parameters
    ----------
    kernel : ExponentialKernel
        Linear kernel at the mean input.
    working : WorkingRange
    cycle : Cycle
    closed, deterministic : UpdateCurve
        From the kernel, and from the full rate equations.
    noise : float
        Standard deviation of u of one synapse; ``nan`` where there is no molecular noise.
    """
    reasons = [_lobes(kernel), _adaptation(kernel, working), _timing(cycle)]
    reasons += [
        _curve(closed, "update by the closed form"),
        _curve(deterministic, "update by the rate equations"),
    ]
    contrastive = all(r.holds for r in reasons)
    advice = [*_mending(kernel, cycle, reasons), *_noise(noise, kernel, cycle, deterministic, contrastive)]
    return Verdict(contrastive, tuple(reasons), tuple(advice))


def _lobes(kernel: ExponentialKernel) -> Reason:
    lobes = kernel.lobes
    if len(lobes) < 2:
        return Reason(False, "the kernel has one lobe: the output follows the input itself, not its changes")
    if kernel.first_moment >= 0:
        text = (
            f"the kernel has {len(lobes)} lobes, but its first moment {kernel.first_moment:.4g} is "
            "not negative"
        )
        if lobes[0].area < 0:
            text += ": the output falls when the input rises, so an update would have the wrong sign"
        return Reason(False, text)
    moment = f"{kernel.first_moment:.4g}"
    return Reason(True, f"the kernel has {len(lobes)} lobes of opposite sign and first moment {moment}")


def _adaptation(kernel: ExponentialKernel, working: WorkingRange) -> Reason:
    text = f"{percent(kernel.residual)} of the answer to a step remains"
    limit = percent(working.tolerance)
    if working.reason:
        return Reason(False, f"{text}; {limit} is allowed")
    return Reason(True, f"{text}; at most {limit}, as allowed, at inputs {span(working)}")


def percent(share: float) -> str:
    """A share in words, such as ``"3.2 %"``."""
    return "nothing" if abs(share) < 1e-9 else f"{100 * share:.3g} %"


def span(working: WorkingRange) -> str:
    """A working range in words, such as ``"from 0.1 to 200 or more"``."""
    if working.reason:
        return "none"
    low = f"{working.low:.3g}{' or less' if working.open_low else ''}"
    return f"from {low} to {working.high:.3g}{' or more' if working.open_high else ''}"


def _timing(cycle: Cycle) -> Reason:
    ratio = cycle.fall / cycle.rise
    if ratio > 1:
        text = (
            f"the swing to clamped is {ratio:.3g} times as fast as the one back: a threshold tells them apart"
        )
        return Reason(True, text)
    if ratio == 1:
        return Reason(
            False, "the swing to clamped is as fast as the one back: they cancel, whatever the kernel"
        )
    text = (
        f"the swing to clamped is {1 / ratio:.3g} times as slow as the one back: a threshold "
        "cannot keep it alone"
    )
    return Reason(False, text)


def _curve(curve: UpdateCurve, how: str) -> Reason:
    found = [linear_range(curve, sign=sign) for sign in (1, -1)]
    missing = [r.reason for r in found if r.reason]
    if missing:
        return Reason(False, f"{how}: no linear range ({missing[0]})")
    ends = f"{found[0].amplitude_min:.3g} to {found[0].amplitude_max:.3g}"
    good = all(BAND[0] <= r.slope <= BAND[1] for r in found)
    up, down = (f"{r.slope:.3f}" for r in found)
    text = f"{how}: slope {up} |M₁| for contrasts {ends} upward, {down} |M₁| downward"
    return Reason(good, text if good else f"{text}; {BAND[0]} to {BAND[1]} is asked for")


def _mending(kernel: ExponentialKernel, cycle: Cycle, reasons: list[Reason]) -> list[str]:
    lobes, adaptation, timing, *curves = reasons
    if not timing.holds:
        return ["make the rise shorter than the fall (--rise, --fall)"]
    if not lobes.holds:
        if kernel.first_moment >= 0 and len(kernel.lobes) > 1 and kernel.lobes[0].area < 0:
            return ["read out the complement of u (--output), or let the weight fall where u rises"]
        return ["let the output regulate its own removal through something that integrates it"]
    # along a ramp the part of u that follows s grows with its length, the part that follows ds/dt does not
    leak = abs(kernel.area) * cycle.rise / (2 * abs(kernel.first_moment))
    if not all(c.holds for c in curves) and leak > 0.1:
        return [
            f"what remains of the answer to a step adds up to {percent(leak)} of the wanted response "
            f"on the fast swing: adapt better, or shorten the swings"
        ]
    if not adaptation.holds:
        return ["move the mean into a range where the output adapts, or strengthen the feedback"]
    return []


def _noise(
    noise: float, kernel: ExponentialKernel, cycle: Cycle, curve: UpdateCurve, contrastive: bool
) -> list[str]:
    """How a single synapse fares with its own molecular noise."""
    if not (contrastive and noise > 0):
        return []
    largest = float(np.max(curve.amplitudes))
    response = abs(kernel.first_moment) * largest / cycle.rise
    if curve.threshold >= 3 * noise:
        return [f"the threshold, {curve.threshold:.3g}, stands clear of the molecular noise (sd {noise:.3g})"]
    factor = float(f"{(3 * noise / curve.threshold) ** 2:.2g}")
    return [
        f"a single synapse of this size is too noisy: u has sd {noise:.3g} at rest, the fast swing moves it "
        f"by {response:.3g} at most, and the threshold is {curve.threshold:.3g}; about {factor:,.0f} times "
        f"the molecules, or as many synapses pooled before the threshold, would do"
    ]
