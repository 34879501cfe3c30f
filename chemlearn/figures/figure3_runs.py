"""The training runs behind Fig. 3: networks that learn by the sawtooth, and their controls."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from chemlearn.data import MNIST, load_mnist
from chemlearn.figures.shared import column
from chemlearn.learning.evaluation import prediction
from chemlearn.learning.layered import LayeredNetwork
from chemlearn.learning.ranges import RangeShares, range_shares
from chemlearn.learning.rules import Contrastive, Hebbian, Rule, Temporal
from chemlearn.learning.substrate import Params
from chemlearn.learning.training import Progress, Training, train

__all__ = ["FAST", "FULL", "IN_TURN", "Size", "measured", "rules"]

NETWORK = LayeredNetwork((784, 500, 10))

IN_TURN = "in turn"
"""Name of the runs in which layers move one after the other while a nudge acts."""

LOOKED = (1, 2, 3, 5, 7, 10, 14, 20, 27, 35)
"""Epochs after which the ranges of the weights are looked at."""

BATCH, NUDGE = 20, 0.5
"""Of the minibatches that are looked at: as in training."""

UNITS = 30
"""Hidden units that are shown: those whose incoming weights changed most from what they were at first."""

MISTAKES = 24
"""Held-out digits that are shown: of those that most networks get wrong, the first."""


class Size(NamedTuple):
    """How much is computed."""

    train: int
    """Digits to learn from."""
    holdout: int
    """Digits held out."""
    epochs: dict[str, int]
    """For each rule."""
    networks: dict[str, int]
    """For each rule; their seeds are seed, seed + 1, …, the same for all rules."""
    minibatches: int
    """In which the ranges are looked at."""


FULL = Size(
    10_000,
    2_000,
    epochs={"temporal": 35, "contrastive": 35, "hebbian": 5, "symmetric": 2, IN_TURN: 20},
    networks={"temporal": 5, "contrastive": 3, "hebbian": 1, "symmetric": 1, IN_TURN: 5},
    minibatches=10,
)
FAST = Size(
    400,
    200,
    epochs={"temporal": 3, "contrastive": 3, "hebbian": 2, "symmetric": 1, IN_TURN: 1},
    networks={"temporal": 2, "contrastive": 1, "hebbian": 1, "symmetric": 1, IN_TURN: 1},
    minibatches=3,
)


class _Run(NamedTuple):
    """What is kept of one training."""

    rule: str
    seed: int
    begun: Params
    training: Training
    shares: dict[int, np.ndarray]


def rules() -> dict[str, Rule]:
    """The published rule, its controls, whose rates are its rates times its gain within its range, and the
    published rule again for layers that move in turn.
    """
    temporal = Temporal.falk2023()
    return {
        "temporal": temporal,
        "contrastive": Contrastive.like(temporal),
        "hebbian": Hebbian.like(temporal),
        "symmetric": Temporal.falk2023(fall=0.5),
        IN_TURN: temporal,
    }


def measured(size: Size, seed: int) -> tuple[xr.Dataset, dict[str, Any]]:
    """Everything that the figure shows, and the settings that it rests on.

    Parameters
    ----------
    size : Size
    seed : int
        Of the first network; the others have those that follow.
    """
    digits = load_mnist(size.train, size.holdout)
    runs = [_run(rule, seed + k, digits, size) for rule in rules() for k in range(size.networks[rule])]
    learned = [run for run in runs if run.rule == "temporal"]
    parts = [_curves(runs), _ranges(learned), _units(learned[0]), _answers(learned, digits)]
    settings = {run.rule: json.loads(run.training.curves.attrs["settings"]) for run in runs}
    how = settings.pop("temporal")
    settings.pop(IN_TURN)
    how["rule_of_controls"] = {rule: control["rule"] for rule, control in settings.items()}
    how |= {"epochs": size.epochs, "minibatches_looked_at": size.minibatches}
    return xr.merge(parts), how


def _run(name: str, seed: int, digits: MNIST, size: Size) -> _Run:
    """Train one network, looking at its ranges on the way if it learns by the temporal rule."""
    rule = rules()[name]
    begun = NETWORK.init(np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,))))
    shares: dict[int, np.ndarray] = {}

    def look(progress: Progress) -> None:
        if progress.epoch in LOOKED and isinstance(rule, Temporal):
            shares[progress.epoch] = _looked(progress.params, rule, digits, size.minibatches)

    watch: Callable[[Progress], None] | None = look if name == "temporal" else None
    epochs = size.epochs[name]
    training = train(
        replace(NETWORK, in_turn=name == IN_TURN),
        rule,
        digits,
        epochs=epochs,
        seed=seed,
        batch=BATCH,
        nudge=NUDGE,
        on_epoch=watch,
    )
    return _Run(name, seed, begun, training, shares)


def _looked(params: Params, rule: Temporal, digits: MNIST, count: int) -> np.ndarray:
    """Mean shares in some minibatches, evenly spread over the digits to learn from, (group, range)."""
    found = []
    last = len(digits.train.labels) // BATCH - 1
    for place, minibatch in enumerate(np.linspace(0, last, count).round().astype(int)):
        rows = slice(minibatch * BATCH, (minibatch + 1) * BATCH)
        target = np.eye(NETWORK.sizes[-1])[digits.train.labels[rows]]
        nudge = NUDGE * (-1) ** place  # both signs, as in training
        ramp = NETWORK.swing(params, digits.train.images[rows], target, nudge)[1]
        found.append([shares for _, shares in sorted(range_shares(rule, ramp).items())])
    return np.mean(found, axis=0)


def _curves(runs: list[_Run]) -> xr.Dataset:
    """Errors by epoch of every run, nan after its end, and how far it moved any parameter."""
    longest = max(run.training.curves.sizes["epoch"] for run in runs)
    words = {
        "train_error": "share of wrong predictions just before learning",
        "holdout_error": "share of wrong predictions, held-out",
        "holdout_error_stored": "share of wrong predictions, held-out, from where each was left",
    }
    over = ("run", "epoch")
    changed = [
        max(float(np.abs(run.training.params[name] - old).max()) for name, old in run.begun.items())
        for run in runs
    ]
    errors = {
        name: column(over, [_padded(run.training.curves[name].values, longest) for run in runs], "1", about)
        for name, about in words.items()
    }
    return xr.Dataset(
        errors
        | {
            "largest_change": column("run", changed, "1", "largest change of any weight or bias"),
        },
        {
            "epoch": column("epoch", np.arange(1, longest + 1), "1", "rounds through the digits"),
            "rule": column("run", [run.rule for run in runs], "1", "rule of the run"),
            "seed": column("run", [run.seed for run in runs], "1", "root seed of the run"),
        },
    )


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    return np.append(values, np.full(length - len(values), np.nan))


def _ranges(runs: list[_Run]) -> xr.Dataset:
    """Shares of parameters below, in and above the range, by epoch."""
    epochs = np.array(sorted(runs[0].shares))
    shares = [[run.shares[epoch] for epoch in epochs.tolist()] for run in runs]
    return xr.Dataset(
        {
            "range_share": column(
                ("network", "looked", "group", "range"),
                shares,
                "1",
                "share of the parameters of the group, mean over minibatches",
            )
        },
        {
            "network": column("network", [run.seed for run in runs], "1", "root seed of the network"),
            "looked": column("looked", epochs, "1", "epoch after which was looked"),
            "group": column("group", sorted(runs[0].begun), "1", "weights and biases"),
            "range": column("range", list(RangeShares._fields), "1", "place of a signal in the range"),
        },
    )


def _units(run: _Run) -> xr.Dataset:
    """Incoming weights of the hidden units that changed most."""
    weights = run.training.params["W1"]
    change = np.linalg.norm(weights - run.begun["W1"], axis=0)
    chosen = np.argsort(-change, kind="stable")[:UNITS]
    words = "length of the change of its incoming weights"
    return xr.Dataset(
        {
            "weights": column(
                ("unit", "pixel"),
                weights[:, chosen].T.astype(np.float32),
                "1",
                "incoming weights of a hidden unit",
            ),
            "change": column("hidden", change.astype(np.float32), "1", words),
        },
        {
            "unit": column("unit", chosen, "1", "hidden unit, those that changed most first"),
            "hidden": column("hidden", np.arange(len(change)), "1", "hidden unit"),
        },
    )


def _answers(runs: list[_Run], digits: MNIST) -> xr.Dataset:
    """What every network says of the held-out digits, and those of them that most get wrong."""
    labels, images = digits.holdout.labels, digits.holdout.images
    said = np.array([prediction(NETWORK, run.training.params, images) for run in runs])
    wrong = (said != labels).sum(axis=0)
    first = len(digits.train.labels)
    chosen = np.argsort(-wrong, kind="stable")[:MISTAKES]
    chosen = np.sort(chosen[wrong[chosen] > 0])
    return xr.Dataset(
        {
            "prediction": column(("network", "digit"), said.astype(np.int8), "1", "what the network says"),
            "label": column("digit", labels.astype(np.int8), "1", "what the digit is"),
            "mistaken": column(
                ("mistake", "pixel"), (256 * images[chosen]).astype(np.uint8), "1/256", "pixels of a digit"
            ),
        },
        {
            "digit": column("digit", first + np.arange(len(labels)), "1", "place in the training file"),
            "mistake": column("mistake", first + chosen, "1", "place in the training file"),
        },
    )
