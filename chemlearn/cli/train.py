"""chemlearn train: a network learns the MNIST digits, with checkpoints; or what a saved network knows."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chemlearn import terminal
from chemlearn.cli.shared import Seed, Usage

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from chemlearn.data import MNIST
    from chemlearn.learning.rules import Rule
    from chemlearn.learning.training import Progress, Training

RULES = "temporal", "contrastive", "hebbian"
RESOLUTION = 200
"""Dots per inch of the PNG."""


def command(
    what: Annotated[str, typer.Argument(metavar="TASK", help="What to learn: mnist.")],
    epochs: Annotated[int, typer.Option(min=1, help="Rounds through the digits, in all.")] = 35,
    rule: Annotated[str, typer.Option(help=f"Of: {', '.join(RULES)}.")] = "temporal",
    symmetric: Annotated[
        bool,
        typer.Option("--symmetric", help="Rise and fall take equal times: the control that learns nothing."),
    ] = False,
    sizes: Annotated[str, typer.Option(help="Units per layer, pixels first.")] = "784,500,10",
    train_size: Annotated[
        int | None, typer.Option(min=1, help="Digits to learn from; 10000 by default.")
    ] = None,
    holdout: Annotated[int | None, typer.Option(min=0, help="Digits held out; 2000 by default.")] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of MNIST's files; the shipped digits by default.")
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch the full set once.")] = False,
    batch: Annotated[int, typer.Option(min=1, help="Digits per minibatch.")] = 20,
    nudge: Annotated[
        float, typer.Option(help="β at its largest; its sign is drawn anew each minibatch.")
    ] = 0.5,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="A new order of the digits each epoch.")] = False,
    stop: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many epochs without a lower holdout error.")
    ] = None,
    backend: Annotated[
        str, typer.Option(help="numba (compiled loops) or numpy: equal but for rounding.")
    ] = "numba",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads of the compiled loops; all processors by default.")
    ] = None,
    seed: Seed = None,
    folder: Annotated[Path, typer.Option("-o", "--folder", help="Where the files go.")] = Path("mnist"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint there.")] = False,
    evaluate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Only say how well this saved network does.")
    ] = None,
) -> None:
    """Train a network on handwritten digits: network, learning curves (netCDF, PNG) and a checkpoint.

    Exit codes: 0 done; 130 interrupted, the last state is kept; 2 it cannot go on, and says why.
    """
    if what != "mnist":
        raise Usage(f"no task is named {what!r}; there is mnist")
    if evaluate is not None:
        _evaluate(evaluate, train_size, holdout, data, download)
        return
    layers = _layers(sizes)
    chosen = _rule(rule, layers, symmetric)
    digits = _digits(train_size or 10_000, 2_000 if holdout is None else holdout, data, download)
    how = {"epochs": epochs, "seed": seed, "shuffle": shuffle, "stop": stop, "resume": resume}
    how |= {"batch": batch, "nudge": nudge, "backend": backend, "workers": workers}
    _train(layers, chosen, digits, folder, how)


def _train(layers: tuple[int, ...], rule: Rule, digits: MNIST, folder: Path, how: dict[str, Any]) -> None:
    """Train, show how it goes, and write what came out, also when interrupted."""
    from chemlearn.learning.layered import LayeredNetwork
    from chemlearn.learning.training import TrainingInterrupted, train

    show, end = terminal.bar("epochs")
    try:
        training = train(
            LayeredNetwork(layers),
            rule,
            digits,
            on_epoch=_Watch(show),
            checkpoint=folder / "checkpoint.npz",
            **how,
        )
    except TrainingInterrupted as interrupted:
        end()
        _finish(interrupted.training, folder)
        print(
            f"chemlearn: {interrupted}; run the same command with --resume to go on",
            file=sys.stderr,
        )
        raise SystemExit(130) from None
    except ValueError as error:
        raise Usage(str(error)) from None
    finally:
        end()
    _finish(training, folder, digits)


@dataclass
class _Watch:
    """Says after each epoch how it went and how long the rest will take."""

    show: Callable[[int, int, str], None]
    done: int = 0

    def __post_init__(self) -> None:
        self.began = monotonic()

    def __call__(self, progress: Progress) -> None:
        self.done += 1
        left = (progress.epochs - progress.epoch) * (monotonic() - self.began) / self.done
        held_out = "" if isnan(progress.holdout_error) else f"holdout error {progress.holdout_error:.2%}, "
        words = (
            f"epoch {progress.epoch} of {progress.epochs}: train error {progress.train_error:.2%}, "
            f"{held_out}{_duration(left)} left"
        )
        self.show(progress.epoch, progress.epochs, words)


def _duration(seconds: float) -> str:
    """Seconds below two minutes, minutes below two hours, hours above."""
    for size, name in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"


def _layers(text: str) -> tuple[int, ...]:
    try:
        layers = tuple(int(word) for word in text.split(","))
    except ValueError:
        layers = ()
    if len(layers) < 2 or min(layers) < 1 or layers[0] != 784 or layers[-1] != 10:
        raise Usage(f"--sizes takes units per layer, 784 first and 10 last, such as 784,500,10, got {text!r}")
    return layers


def _rule(name: str, layers: tuple[int, ...], symmetric: bool) -> Rule:
    """A rule as strong as the published one: the controls have its rates times its gain within its range."""
    from chemlearn.learning.rules import Contrastive, Hebbian, Temporal

    if name not in RULES:
        raise Usage(f"--rule takes one of {', '.join(RULES)}, got {name!r}")
    if symmetric and name != "temporal":
        raise Usage(
            f"--symmetric is about the sawtooth of the temporal rule; leave it out with --rule {name}"
        )
    if name == "temporal" and len(layers) != 3:
        raise Usage(
            f"the published thresholds of the temporal rule are for three layers, got {len(layers)}; take "
            "three, or --rule contrastive"
        )
    temporal = Temporal.falk2023(fall=0.5 if symmetric else 0.9)
    if name == "temporal":
        return temporal
    gain = float(temporal.gain or 0) * abs(temporal.kernel.first_moment)
    last = len(layers) - 1
    rates = {
        f"{kind}{layer}": gain * (0.05 if layer == last else 0.1)
        for layer in range(1, last + 1)
        for kind in "Wb"
    }
    return Contrastive(rates) if name == "contrastive" else Hebbian(rates)


def _digits(train_size: int, holdout: int, folder: Path | None, download: bool) -> MNIST:
    from chemlearn.data import load_mnist

    try:
        return load_mnist(train_size, holdout, folder=folder, download=download)
    except ValueError as error:
        raise Usage(str(error)) from None


def _evaluate(
    file: Path, train_size: int | None, holdout: int | None, folder: Path | None, download: bool
) -> None:
    """How a saved network does on the digits that it learned from, those held out, and the test file's."""
    from chemlearn.learning.checkpoints import load_network
    from chemlearn.learning.evaluation import error_share

    saved = load_network(file)
    settings = saved.provenance.get("settings", {})
    if saved.network.sizes[0] != 784 or saved.network.sizes[-1] != 10:
        raise Usage(f"{file}: this network is not for MNIST's digits: its sizes are {saved.network.sizes}")
    sizes = (
        train_size or settings.get("train_size", 10_000),
        settings.get("holdout_size", 2_000) if holdout is None else holdout,
    )
    digits = _digits(*sizes, folder, download)
    parts = {"train": digits.train, "holdout": digits.holdout, "test": digits.test}
    rows = [("sizes", "–".join(map(str, saved.network.sizes))), ("seed", str(saved.provenance.get("seed")))]
    for name, part in parts.items():
        if part is not None and len(part.labels):
            share = error_share(saved.network, saved.params, part)
            rows.append((f"{name} error", f"{share:.2%} of {len(part.labels)}"))
    terminal.table(rows, str(file))


def _finish(training: Training, folder: Path, digits: MNIST | None = None) -> None:
    """Write the network and its curves, and say how it went."""
    from chemlearn.learning.evaluation import error_share
    from chemlearn.simulate.provenance import save

    curves = training.curves
    network = folder / "network.npz"
    training.save(network)
    files = [network]
    rows = [("seed", curves.attrs["seed"]), ("epochs", str(curves.sizes["epoch"]))]
    if curves.sizes["epoch"]:
        files += [save(curves, folder / "curves.nc"), _picture(curves, folder / "curves.png")]
        last = {name: float(curves[f"{name}_error"][-1]) for name in ("train", "holdout")}
        rows += [(f"{name} error", f"{share:.2%}") for name, share in last.items() if not isnan(share)]
    if digits is not None and digits.test is not None:
        share = error_share(training.network, training.params, digits.test)
        rows.append(("test error", f"{share:.2%} of {len(digits.test.labels)}"))
    terminal.table(rows, "mnist")
    print(f"written: {', '.join(str(file) for file in files)}")


def _picture(curves: xr.Dataset, path: Path) -> Path:
    """The learning curves as a PNG, whole or not at all."""
    unfinished = path.with_name(f".{path.name}.new")
    try:
        drawing(curves).savefig(unfinished, dpi=RESOLUTION, format="png")
        os.replace(unfinished, path)
    except OSError as error:
        raise Usage(f"{path}: cannot be written ({error.strerror or error})") from None
    return path


def drawing(curves: xr.Dataset) -> Figure:
    """Train and holdout error in percent against the epoch; the scale ends at 0 where one is 0."""
    import numpy as np
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    from chemlearn.figures.shared import BLUE, ORANGE, panels, style

    with style():
        figure, axes = panels(1, 1, (4.4, 3.0))
        ax = axes[0, 0]
        lines = (
            ("holdout_error", "held out", ORANGE, "-", "o"),
            ("train_error", "training, before each update", BLUE, "--", "s"),
        )
        for name, label, colour, dash, marker in lines:
            if curves[name].notnull().any():
                ax.plot(
                    curves.epoch, 100 * curves[name], color=colour, ls=dash, marker=marker, ms=3, label=label
                )
        _scale(ax, 100 * np.concatenate([curves.train_error, curves.holdout_error]))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="epoch", ylabel="wrong predictions (%)")
        ax.legend()
    return figure


def _scale(ax: Axes, percent: ArrayLike) -> None:
    """Logarithmic from the decade below the least positive error to 100; down to 0 where there are zeros."""
    import numpy as np

    known = np.asarray(percent)[np.isfinite(percent)]
    least = 10 ** np.floor(np.log10(known[known > 0].min(initial=99)))
    if (known == 0).any():
        ax.set_yscale("symlog", linthresh=least, linscale=0.3)
        ax.set_ylim(0, 100)
    else:
        ax.set_yscale("log")
        ax.set_ylim(least, 100)
