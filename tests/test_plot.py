"""Pictures: every figure draws every kind of model, with labels, and shows the data that it should."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from matplotlib.figure import Figure

from chemlearn import plot
from chemlearn.assessment import Assessment, assess
from chemlearn.model import Model
from chemlearn.settings import Settings


@cache
def found(name: str, **values: float) -> Assessment:
    mean = values.pop("mean", None)
    return assess(Model.load(name).with_values(**values), Settings(mean=mean, trajectories=0, seed=1))


def drawn(name: str, result: Assessment) -> Figure:
    figure = plot.FIGURES[name](result)
    figure.canvas.draw()
    return figure


def line(figure: Figure, label: str, axes: int = 0) -> np.ndarray:
    (match,) = [artist for artist in figure.axes[axes].lines if artist.get_label() == label]
    return np.asarray(match.get_xydata())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", [n for n in plot.FIGURES if n != "dissipation"])
@pytest.mark.parametrize(
    ("model", "mean"),
    [("leaky", None), ("maxwell", None), ("maxwell", 0.0), ("maxwell", -2.0), ("integral_feedback", None)],
)
def test_every_figure_draws_every_kind_of_model(name: str, model: str, mean: float | None) -> None:
    figure = drawn(name, found(model, mean=mean) if mean is not None else found(model))
    for axes in figure.axes:
        assert axes.get_ylabel()
    assert figure.axes[-1].get_xlabel()


def test_nothing_is_drawn_outside_its_figure() -> None:
    for name in plot.FIGURES:
        figure = plot.FIGURES[name](found("leaky"))
        if figure is None:
            continue
        figure.canvas.draw()
        box = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        assert box.x0 > -0.02, name
        assert box.y0 > -0.02, name
        assert box.x1 < width + 0.02, name
        assert box.y1 < height + 0.02, name


def test_update_figure_shows_the_curves_in_units_of_the_first_moment() -> None:
    result = found("integral_feedback")
    points = line(drawn("update", result), "full rate equations")
    assert points[:, 1] == pytest.approx(result.deterministic.updates / abs(result.kernel.first_moment))
    ideal = line(drawn("update", result), "ideal, Δw = |M₁| A")
    assert ideal[:, 0] == pytest.approx(ideal[:, 1])


def test_update_figure_with_an_ensemble_has_error_bars() -> None:
    text = "model m\n s = 2; u = 40\n => u; 20*s\n u => ; u\nend"
    result = assess(Model.load(text), Settings(trajectories=2, seed=1, rise=3.0, fall=20.0))
    figure = drawn("update", result)
    labels = [t.get_text() for t in figure.legends[0].get_texts()]
    assert "stochastic, synapses pooled, ± 1 s.e." in labels
    assert len(figure.axes[0].containers) == 2


def test_step_responses_include_the_jump_of_an_instantaneous_output() -> None:
    """Maxwell's stress jumps by the strain and decays to zero: every line lies on the linear response."""
    figure = drawn("step_response", found("maxwell"))
    for label in ("step of −50 %", "step of +10 %"):
        points = line(figure, label)
        assert points[:, 1] == pytest.approx(np.exp(-points[:, 0]), abs=1e-6)


def test_kernel_of_one_sign_and_one_time_scale_has_a_linear_axis() -> None:
    assert drawn("kernel", found("leaky")).axes[0].get_yscale() == "linear"
    maxwell = drawn("kernel", found("maxwell")).axes[0]
    assert maxwell.get_yscale() == "linear"
    assert "1 δ(t)" in maxwell.get_title(loc="right")


def test_kernel_with_a_spike_says_that_its_axis_is_compressed() -> None:
    axes = drawn("kernel", found("ladder")).axes[0]
    assert axes.get_yscale() == "symlog"
    assert "logarithmic" in axes.get_title(loc="left")


def test_dissipation_is_drawn_only_where_there_is_some() -> None:
    figure = drawn("dissipation", found("ladder"))
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert sum(widths) == pytest.approx(found("ladder").dissipation.rate, rel=1e-9)
    assert plot.dissipation(found("leaky")) is None
    assert plot.dissipation(found("maxwell")) is None
    assert plot.dissipation(found("integral_feedback")) is None


def test_working_range_is_shaded_where_it_is() -> None:
    result = found("ladder")
    span = drawn("working_range", result).axes[0].patches[0].get_extents()
    figure = drawn("working_range", result)
    to_data = figure.axes[0].transData.inverted()
    low, high = to_data.transform(figure.axes[0].patches[0].get_window_extent().get_points())[:, 0]
    assert span.width > 0
    assert (low, high) == pytest.approx((result.working.low, result.working.high), rel=1e-6)
