"""The figure of bodies that learn: its runs again, its claims, and what its picture shows."""

from __future__ import annotations

import numpy as np
import pytest

from chemlearn.bodies import flow, memristors, springs, train_body
from chemlearn.figures import figure_bodies
from chemlearn.figures.bodies_runs import IDEAL, PATIENCE, SMALL, STEPS, WITH, WITHOUT
from chemlearn.figures.shared import Drawn
from chemlearn.resistors import allosteric, published_network
from tests.pictures import assert_readable

MAKERS = {"flow": flow, "springs": springs, "memristors": memristors}


@pytest.fixture(scope="module")
def small() -> Drawn:
    return figure_bodies.bodies(fast=True)


def test_data_say_what_they_are(small: Drawn) -> None:
    data = small.data
    assert data.attrs["resolution"] == "fast"
    assert data.sizes["task"] == 3
    assert data.body.values.tolist() == list(MAKERS)
    for variable in [*data.data_vars.values(), *data.coords.values()]:
        assert variable.attrs["units"]
        assert variable.attrs["long_name"]


@pytest.mark.parametrize("name", MAKERS)
def test_updates_are_those_of_training(name: str, small: Drawn) -> None:
    """The first task, whose seed follows from that of the figure as those of resistors do."""
    data = small.data
    seed = np.random.SeedSequence(int(data.attrs["seed"]), spawn_key=(5,)).generate_state(1)[0]
    body = MAKERS[name](published_network())
    task = allosteric(body.network, seed=int(seed))
    ideal = train_body(body, task, memory="ideal", steps=STEPS)
    most = PATIENCE * ideal.updates
    runs = {IDEAL: ideal, WITH: train_body(body, task, steps=most)}
    runs[WITHOUT] = train_body(body, task, memory=False, steps=most)
    for rule, run in runs.items():
        found = float(data.updates.sel(body=name, rule=rule).isel(task=0))
        assert found == (run.updates if run.reached else pytest.approx(np.nan, nan_ok=True))
        least = float(data.least_error.sel(body=name, rule=rule).isel(task=0))
        assert least == pytest.approx(float(run.error.min()), rel=1e-9)


def test_reading_and_threshold_are_seen(small: Drawn) -> None:
    """With its memory the edge shown passes only while the nudge rises or just after."""
    for name in MAKERS:
        one = small.data.sel(body=name)
        reading = one.reading.sel(kind=WITH)
        passed = one.time.values[np.abs(reading.values) >= 1]
        assert len(passed)
        assert passed.max() < 3
        assert int(np.abs(one.seen.values).argmax()) > 0


def test_few_tasks_are_not_judged(small: Drawn) -> None:
    assert [claim.holds for claim in small.claims] == [None] * 5
    wrong = small.data.copy(deep=True)
    wrong["updates"].loc[{"rule": WITHOUT}] = wrong.updates.sel(rule=IDEAL).values
    assert [claim.holds for claim in figure_bodies._claims(wrong)] == [None, None, None, False, None]


def test_claims_count_what_was_solved(small: Drawn) -> None:
    """Ten tasks in which all is well, and the same with one thing wrong at a time."""
    data = small.data.isel(task=np.zeros(10, int)).copy(deep=True)
    data["updates"].loc[{"rule": [IDEAL, WITH]}] = 20.0
    data["updates"].loc[{"rule": [WITHOUT, SMALL]}] = np.nan
    assert [claim.holds for claim in figure_bodies._claims(data)] == [True] * 5
    for row, name in enumerate(MAKERS):
        wrong = data.copy(deep=True)
        wrong["updates"].loc[{"rule": WITH, "body": name}] = [np.nan] * 3 + [20.0] * 7
        assert [claim.holds for claim in figure_bodies._claims(wrong)].index(False) == row
    for rule, count, claim in ((WITHOUT, 1, 3), (SMALL, 2, 4)):
        wrong = data.copy(deep=True)
        wrong["updates"].loc[{"rule": rule, "body": "springs"}] = [20.0] * count + [np.nan] * (10 - count)
        held = [one.holds for one in figure_bodies._claims(wrong)]
        assert held[claim] is False
        assert held.count(False) == 1


def test_titles_are_inside_the_picture_and_apart(small: Drawn) -> None:
    assert_readable(small.figure, titles=12)
