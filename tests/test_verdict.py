"""The verdict's conditions, one at a time, on kernels that are known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from chemlearn.curves.update import threshold, update_curve
from chemlearn.cycle import Cycle
from chemlearn.kernels.kernel import ExponentialKernel, Kernel, exponential, integral_feedback
from chemlearn.linear import WorkingRange
from chemlearn.verdict import Verdict, judge, percent, span

RANGE = WorkingRange(xr.Dataset(), 0.5, 20.0, 0.05, False, True)
NOWHERE = WorkingRange(
    xr.Dataset(), np.nan, np.nan, 0.05, False, False, "at s=1 the residual is 30.0% of the peak"
)


def verdict(
    kernel: Kernel,
    cycle: Cycle = Cycle(1.0, 30.0, 300.0),  # noqa: B008
    working: WorkingRange = RANGE,
    noise: float = np.nan,
) -> Verdict:
    theta = 1.2 * threshold(
        "safe", amplitude_max=1.0, rise=cycle.rise, fall=cycle.fall, kernel_area=kernel.area,
        first_moment=kernel.first_moment,
    )  # fmt: skip
    curve = update_curve(kernel, np.linspace(-1, 1, 41), threshold=theta, rise=cycle.rise, fall=cycle.fall)
    return judge(kernel, working, cycle, curve, curve, noise=noise)  # type: ignore[arg-type]


def failing(found: Verdict) -> list[str]:
    return [r.text for r in found.reasons if not r.holds]


def test_integral_feedback_on_a_slow_sawtooth_is_contrastive() -> None:
    found = verdict(integral_feedback(6.0, 1.0))
    assert found.contrastive
    assert found.headline == "contrastive"
    assert failing(found) == []
    assert found.advice == ()
    assert len(found.reasons) == 5
    assert str(found).splitlines()[0] == "contrastive"
    assert "from 0.5 to 20 or more" in str(found)


def test_one_lobe_is_named_and_feedback_advised() -> None:
    found = verdict(exponential(1.0), working=NOWHERE)
    assert not found.contrastive
    assert "one lobe" in failing(found)[0]
    assert failing(found)[1] == "100 % of the answer to a step remains; 5 % is allowed"
    assert "regulate its own removal" in found.advice[0]


def test_wrong_sign_is_named() -> None:
    found = verdict(integral_feedback(6.0, 1.0).scaled(-1.0))
    assert "falls when the input rises" in failing(found)[0]
    assert "complement" in found.advice[0]


@pytest.mark.parametrize(
    ("rise", "fall", "words"),
    [
        (100.0, 100.0, "as fast as the one back: they cancel"),
        (300.0, 30.0, "10 times as slow as the one back"),
    ],
)
def test_the_swings_must_differ_the_right_way(rise: float, fall: float, words: str) -> None:
    found = verdict(integral_feedback(6.0, 1.0), Cycle(1.0, rise, fall))
    assert not found.contrastive
    assert words in failing(found)[0]
    assert found.advice == ("make the rise shorter than the fall (--rise, --fall)",)


def test_leftover_area_spoils_long_ramps() -> None:
    leaky = ExponentialKernel(np.array([4.0, -0.9]), np.array([4.0, 1.0]))
    assert leaky.area == pytest.approx(0.1)
    found = verdict(leaky, working=NOWHERE)
    assert not found.contrastive
    assert "shorten the swings" in found.advice[0]


def test_noise_is_weighed_only_where_it_matters() -> None:
    kernel = integral_feedback(6.0, 1.0)
    quiet, loud = verdict(kernel, noise=1e-4), verdict(kernel, noise=2.0)
    assert "stands clear of the molecular noise" in quiet.advice[0]
    assert loud.contrastive, "pooled synapses of this kind still learn"
    assert "a single synapse of this size is too noisy" in loud.advice[0]
    assert "e+" not in loud.advice[0]
    assert verdict(exponential(1.0), working=NOWHERE, noise=2.0).advice == verdict(exponential(1.0)).advice


def test_words_for_shares_and_ranges() -> None:
    assert [percent(x) for x in (1.0, 0.000167, 0.0)] == ["100 %", "0.0167 %", "nothing"]
    assert span(RANGE) == "from 0.5 to 20 or more"
    assert span(NOWHERE) == "none"


@pytest.mark.parametrize("kernel", [integral_feedback(6.0, 1.0), exponential(1.0)])
def test_reasons_are_short_and_plain(kernel: Kernel) -> None:
    for reason in verdict(kernel).reasons:
        assert len(reason.text) < 150
        assert "nan" not in reason.text
