"""chemlearn train: a network learns the MNIST digits, with checkpoints; or what a saved network knows."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite, isnan
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
    from chemlearn.learning.layered import LayeredNetwork
    from chemlearn.learning.responses import Sawtooth
    from chemlearn.learning.rules import Rule
    from chemlearn.learning.schedules import Schedule
    from chemlearn.learning.training import Progress, Training

RULES = "temporal", "contrastive", "hebbian"
ERRORS = "train_error", "holdout_error", "holdout_error_stored"
RESOLUTION = 200
"""Dots per inch of the PNG."""


RuleName = Annotated[str, typer.Option("--rule", help=f"Of: {', '.join(RULES)}.")]
Symmetric = Annotated[
    bool, typer.Option("--symmetric", help="Rise and fall take equal times: the control that learns nothing.")
]
Fall = Annotated[
    float | None,
    typer.Option(help="Duration of the slow swing, after a rise of 0.1; a multiple of 0.01, 0.9 by default."),
]
Thresholds = Annotated[float, typer.Option(help="Factor on the temporal rule's published thresholds.")]
Rates = Annotated[float, typer.Option(help="Factor on the learning rates.")]
AnnealThresholds = Annotated[
    float,
    typer.Option(help="Further factor, reached at the last epoch by equal ratios."),
]
AnnealRates = Annotated[float, typer.Option(help="The same for the learning rates.")]
Sizes = Annotated[str, typer.Option(help="Units per layer, pixels first.")]
FreeSteps = Annotated[int, typer.Option(min=1, help="Steps of relaxation without a nudge.")]
NudgedSteps = Annotated[int, typer.Option(min=1, help="Steps of relaxation at each nudge.")]
InTurn = Annotated[
    bool, typer.Option("--in-turn", help="Layers move one after the other while a nudge acts, not at once.")
]
FromZero = Annotated[
    bool, typer.Option("--from-zero", help="Relax from zero, not from where each digit was left.")
]
Float32 = Annotated[bool, typer.Option("--float32", help="Single precision: faster.")]
TrainSize = Annotated[int | None, typer.Option(min=1, help="Digits to learn from; 10000 by default.")]
Holdout = Annotated[int | None, typer.Option(min=0, help="Digits held out; 2000 by default.")]
Data = Annotated[
    Path | None, typer.Option("--data", help="Folder of MNIST's files; the shipped digits by default.")
]
Download = Annotated[bool, typer.Option("--download", help="Fetch the full set once.")]
Batch = Annotated[int, typer.Option(min=1, help="Digits per minibatch.")]
Nudge = Annotated[float, typer.Option(help="β at its largest; its sign is drawn anew each minibatch.")]
Shuffle = Annotated[bool, typer.Option("--shuffle", help="A new order of the digits each epoch.")]
Stop = Annotated[
    int | None,
    typer.Option(min=1, help="Stop after so many epochs without a lower holdout error; keep the lowest one."),
]
Backend = Annotated[str, typer.Option(help="numba (compiled loops) or numpy: equal but for rounding.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Threads of the compiled loops; all processors by default.")
]
Folder = Annotated[Path, typer.Option("-o", "--folder", help="Where the files go.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint there.")]
Evaluate = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Only say how well this saved network does.")
]


def command(
    what: Annotated[str, typer.Argument(metavar="TASK", help="What to learn: mnist.")],
    epochs: Annotated[int, typer.Option(min=1, help="Rounds through the digits, in all.")] = 35,
    rule: RuleName = "temporal",
    symmetric: Symmetric = False,
    fall: Fall = None,
    thresholds: Thresholds = 1.0,
    rates: Rates = 1.0,
    anneal_thresholds: AnnealThresholds = 1.0,
    anneal_rates: AnnealRates = 1.0,
    sizes: Sizes = "784,500,10",
    free_steps: FreeSteps = 20,
    nudged_steps: NudgedSteps = 4,
    in_turn: InTurn = False,
    from_zero: FromZero = False,
    float32: Float32 = False,
    train_size: TrainSize = None,
    holdout: Holdout = None,
    data: Data = None,
    download: Download = False,
    batch: Batch = 20,
    nudge: Nudge = 0.5,
    shuffle: Shuffle = False,
    stop: Stop = None,
    backend: Backend = "numba",
    workers: Workers = None,
    seed: Seed = None,
    folder: Folder = Path("mnist"),
    resume: Resume = False,
    evaluate: Evaluate = None,
) -> None:
    """Train a network on handwritten digits: network, learning curves (netCDF, PNG) and a checkpoint.

    Exit codes: 0 done; 130 interrupted, the last state is kept; 2 it cannot go on, and says why.
    """
    if what != "mnist":
        raise Usage(f"no task is named {what!r}; there is mnist")
    if evaluate is not None:
        _evaluate(evaluate, train_size, holdout, data, download)
        return
    phases = {"free_steps": free_steps, "nudged_steps": nudged_steps, "in_turn": in_turn}
    network = _network(sizes, "float32" if float32 else "float64", phases)
    factors = {"rates": rates, "thresholds": thresholds}
    annealed = {"rates": anneal_rates, "thresholds": anneal_thresholds}
    schedule = _schedule(_rule(rule, len(network.sizes), symmetric, fall), factors, annealed, epochs)
    digits = _digits(train_size or 10_000, 2_000 if holdout is None else holdout, data, download)
    how: dict[str, Any] = {"epochs": epochs, "seed": seed, "shuffle": shuffle, "stop": stop, "resume": resume}
    how |= {"batch": batch, "nudge": nudge, "from_zero": from_zero, "backend": backend, "workers": workers}
    _train(network, schedule, digits, folder, how)


def _train(
    network: LayeredNetwork, rule: Rule | Schedule, digits: MNIST, folder: Path, how: dict[str, Any]
) -> None:
    """Train, show how it goes, and write what came out, also when interrupted."""
    from chemlearn.learning.training import TrainingInterrupted, train

    show, end = terminal.bar("epochs")
    best = how["stop"] is not None
    try:
        training = train(
            network, rule, digits, on_epoch=_Watch(show), checkpoint=folder / "checkpoint.npz", **how
        )
    except TrainingInterrupted as interrupted:
        end()
        _finish(interrupted.training, folder, best)
        print(
            f"chemlearn: {interrupted}; run the same command with --resume to go on",
            file=sys.stderr,
        )
        raise SystemExit(130) from None
    except ValueError as error:
        raise Usage(str(error)) from None
    finally:
        end()
    _finish(training, folder, best, digits)


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


def _network(sizes: str, dtype: str, phases: dict[str, Any]) -> LayeredNetwork:
    from chemlearn.learning.layered import LayeredNetwork

    try:
        layers = tuple(int(word) for word in sizes.split(","))
    except ValueError:
        layers = ()
    if len(layers) < 2 or min(layers) < 1 or layers[0] != 784 or layers[-1] != 10:
        raise Usage(
            f"--sizes takes units per layer, 784 first and 10 last, such as 784,500,10, got {sizes!r}"
        )
    return LayeredNetwork(layers, dtype, **phases)


def _rule(name: str, layers: int, symmetric: bool, fall: float | None) -> Rule:
    """The published rule, with a slower or faster fall, or a control that is as strong."""
    from chemlearn.learning.rules import Contrastive, Hebbian, Temporal

    if name not in RULES:
        raise Usage(f"--rule takes one of {', '.join(RULES)}, got {name!r}")
    if name != "temporal" and (symmetric or fall is not None):
        raise Usage(
            "--symmetric and --fall are about the sawtooth of the temporal rule; leave them out with "
            f"--rule {name}"
        )
    if symmetric and fall is not None:
        raise Usage("--symmetric says how long the fall takes, as --fall does; leave out one")
    temporal = Temporal.falk2023(fall=0.5 if symmetric else 0.9, layers=layers)
    if name == "temporal":
        return temporal if fall is None else replace(temporal, sawtooth=_sawtooth(fall))
    return Contrastive.like(temporal) if name == "contrastive" else Hebbian.like(temporal)


def _sawtooth(fall: float) -> Sawtooth:
    """A rise of 0.1 and a fall, on the grid of the published kernel."""
    from chemlearn.learning.responses import Sawtooth

    steps = round(100 * fall) if isfinite(fall) else 0
    if steps < 1 or abs(steps - 100 * fall) > 1e-6:
        raise Usage(f"--fall takes a positive multiple of 0.01, the step of the kernel, got {fall}")
    return Sawtooth(0.1, steps / 100, 10 + steps)


def _schedule(
    rule: Rule, factors: dict[str, float], annealed: dict[str, float], epochs: int
) -> Rule | Schedule:
    """The rule with its rates and thresholds times factors, the same in all epochs or not."""
    from chemlearn.learning.schedules import Annealed, scaled

    try:
        rule = scaled(rule, **factors)
        return rule if set(annealed.values()) == {1} else Annealed(rule, epochs, **annealed)
    except ValueError as error:
        raise Usage(str(error)) from None


def _digits(train_size: int, holdout: int, folder: Path | None, download: bool) -> MNIST:
    from chemlearn.data import load_mnist

    try:
        # Pixels are as exact in single precision, in half the memory.
        return load_mnist(train_size, holdout, folder=folder, download=download, dtype="float32")
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


def _finish(training: Training, folder: Path, best: bool, digits: MNIST | None = None) -> None:
    """Write the network, the last or the best one, and all curves, and say how it went."""
    from chemlearn.learning.evaluation import error_share
    from chemlearn.simulate.provenance import save

    curves = training.curves
    network = folder / "network.npz"
    kept = training.at_best() if best and training.best is not None else training
    kept.save(network)
    files = [network]
    rows = [("seed", curves.attrs["seed"]), ("epochs", str(curves.sizes["epoch"]))]
    if kept is not training:
        rows.append(("network", f"of epoch {kept.curves.sizes['epoch']}"))
    if curves.sizes["epoch"]:
        files += [save(curves, folder / "curves.nc"), _picture(curves, folder / "curves.png")]
        train, anew, stored = (float(kept.curves[name][-1]) for name in ERRORS)
        rows.append(("train error", f"{train:.2%}"))
        if not isnan(anew):
            rows.append(("holdout error", f"{anew:.2%} ({stored:.2%} from where each digit was left)"))
    if digits is not None and digits.test is not None:
        share = error_share(kept.network, kept.params, digits.test)
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

    from chemlearn.figures.shared import BLUE, ORANGE, SKY, panels, style

    with style():
        figure, axes = panels(1, 1, (4.4, 3.0))
        ax = axes[0, 0]
        lines = (
            ("holdout_error", "held out, asked from zero", ORANGE, "-", "o"),
            ("holdout_error_stored", "held out, from where it was left", SKY, "-", "^"),
            ("train_error", "training, before each update", BLUE, "--", "s"),
        )
        for name, label, colour, dash, marker in lines:
            if curves[name].notnull().any():
                ax.plot(
                    curves.epoch, 100 * curves[name], color=colour, ls=dash, marker=marker, ms=3, label=label
                )
        _scale(ax, 100 * np.concatenate([curves[name] for name, *_look in lines]))
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
