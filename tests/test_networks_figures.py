"""Whole figures of networks that learn, at their fast size: data, claims and what the picture shows."""

from __future__ import annotations

import numpy as np
import pytest

from chemlearn.figures.figure_one_network import _claims as one_network_claims
from chemlearn.figures.figure_one_network import one_network
from chemlearn.figures.figure_stern3 import _claims as stern3_claims
from chemlearn.figures.figure_stern3 import stern3
from chemlearn.figures.shared import Drawn
from chemlearn.figures.stern_runs import Trials
from chemlearn.resistors.coupled import coupled_learning
from chemlearn.resistors.temporal import train_temporal
from tests.pictures import assert_readable


@pytest.fixture(scope="module")
def times() -> Drawn:
    return stern3(fast=True)


@pytest.fixture(scope="module")
def one() -> Drawn:
    return one_network(fast=True)


def held(drawn: Drawn, words: str) -> list[bool | None]:
    found = [claim.holds for claim in drawn.claims if words in claim.published]
    assert found, words
    return found


@pytest.mark.parametrize("name", ["times", "one"])
def test_data_say_what_they_are(name: str, request: pytest.FixtureRequest) -> None:
    data = request.getfixturevalue(name).data
    assert data.attrs["resolution"] == "fast"
    for variable in data.data_vars.values():
        assert variable.attrs["units"]
        assert variable.attrs["long_name"]


@pytest.mark.parametrize("name", ["times", "one"])
def test_titles_are_inside_the_picture_and_apart(name: str, request: pytest.FixtureRequest) -> None:
    assert_readable(request.getfixturevalue(name).figure)


def test_training_times_are_those_of_the_dynamics(times: Drawn) -> None:
    data = times.data
    trials = Trials.drawn(2, 5, int(data.attrs["seed"]))
    run = coupled_learning(trials.network, trials.tasks[1], alpha=0.1, error="equilibrium")
    found = data.training_time.sel(error="equilibrium").isel(task=1).sel(rate=0.1, method="nearest")
    assert float(found) == pytest.approx(float(run.training_time), rel=1e-6, nan_ok=True)


def test_few_tasks_are_not_judged_and_what_is_exact_is(times: Drawn) -> None:
    assert held(times, "T √(αγ) depends on R") == [True]
    assert held(times, "400 shipped tasks") == [True] * 3
    others = [
        c.holds for c in times.claims if "shipped" not in c.published and "depends on R" not in c.published
    ]
    assert others == [None] * len(others)
    whole = times.data.assign_attrs(resolution="full")
    judged = {claim.published: claim.holds for claim in stern3_claims(whole)}
    slow = next(holds for words, holds in judged.items() if words.startswith("for α ≪ γ"))
    assert slow is True
    apart = whole.assign(collapsed=whole.collapsed * np.array([1, 1, 1.001])[:, None])
    wrong = {claim.published: claim.holds for claim in stern3_claims(apart)}
    assert [holds for words, holds in wrong.items() if "depends on R" in words] == [False]


def test_one_network_learns_by_its_own_thresholds(one: Drawn) -> None:
    assert held(one, "with a threshold of its own") == [True]
    assert held(one, "with one fixed threshold") == [True]
    assert held(one, "equal swings change nothing") == [True]
    data = one.data
    solved = np.isfinite(data.updates).mean("task")
    assert float(solved.sel(rule="own").min()) > float(solved.sel(rule="fixed").max())
    swapped = data.copy(deep=True)
    swapped["updates"].loc[{"rule": "own"}] = data.updates.sel(rule="fixed").values
    swapped["updates"].loc[{"rule": "fixed"}] = data.updates.sel(rule="own").values
    swapped["symmetric"] = data.symmetric + 1e-6
    claims = list(one_network_claims(swapped))
    assert [claim.holds for claim in claims[:3]] == [False] * 3


def test_updates_of_the_ideal_rule_are_counted(one: Drawn) -> None:
    """Of the tasks drawn, those that it solves, in order."""
    drawn = Trials.drawn(5, 5, int(one.data.attrs["seed"]))
    runs = [train_temporal(drawn.network, task, None, goal=1e-2, steps=600) for task in drawn.tasks]
    expected = [run.attrs["updates"] for run in runs if run.attrs["reached"]]
    assert one.data.ideal_updates.values.tolist() == expected
