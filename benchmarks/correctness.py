"""Are the engines right? Means and variances against exact laws, and wrong engines that must be caught.

    python -m benchmarks.correctness [--seconds 3] [--engines native,rebop,...]

Every row compares all species at all its times; a right engine is beyond the bound with a probability of at
most 1e-6. The status is 1 if a right engine is beyond it or a wrong one is not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks import exact
from benchmarks.moments import Moments, off_by
from benchmarks.own import driven_ladder
from benchmarks.peers import ENGINES, Simulate, as_array, seeds
from benchmarks.timing import fitting, header, row
from chemlearn import Model, Signal
from chemlearn.simulate import native, roadrunner
from tests.statistics import MassAction, z_threshold

MODELS = Path(__file__).parent / "models"
MOST, LEAST = 200_000, 400  #: trajectories


@dataclass(frozen=True)
class Case:
    """A model whose law is known.

    Parameters
    ----------
    name : str
    model : Model
    times : (n_times,) array
        Even, from 0.
    solve : callable
        Makes the law at the times.
    signal : Signal, optional
        Only the native engine and libroadrunner, piece by piece, follow one exactly.
    species : tuple of str
        Those that the law is for; all by default.
    engines : tuple of str
        Those that can run it; all by default.
    """

    name: str
    model: Model
    times: np.ndarray
    solve: Callable[[np.ndarray], Moments]
    signal: Signal | None = None
    species: tuple[str, ...] = ()
    engines: tuple[str, ...] = tuple(e for e in ENGINES if e != "simulate_ssa")

    @cached_property
    def law(self) -> Moments:
        return self.solve(self.times)

    @property
    def bound(self) -> float:
        return z_threshold(2 * self.law.mean[1:].size)

    def prepare(self, engine: str) -> Simulate:
        """What simulates the law's species."""
        if self.signal is None:
            simulate = ENGINES[engine].prepare(self.model, self.times)
            return lambda n, seed: self._ours(as_array(simulate(n, seed), self.model))

        if engine == "native":
            run = native.Run(self.model, self.times, self.signal, {})
            return lambda n, seed: self._ours(run(range(n), seed, 0))
        return lambda n, seed: self._ours(
            roadrunner.fire(self.model, self.times, self.signal, {}, np.array(seeds(n, seed)))
        )

    def _ours(self, counts: np.ndarray) -> np.ndarray:
        all_ = self.model.network.species
        return counts[..., [all_.index(name) for name in self.species or all_]]


# --------------------------------------------------------------------------------------------------- cases

BIRTH_DEATH = "substanceOnly species X; X = 0; s = 10; k = 0.5; made: => X; s; lost: X => ; k*X;"
FROM_ZERO = Signal.sawtooth(0, 60, rise=2, fall=3, periodic=True)
LIFTED = Signal.sawtooth(20, 60, rise=2, fall=3, periodic=True)  #: where freezing is not so plainly wrong
DIMERS = (
    "substanceOnly species A, A2; A = 100; A2 = 0; bind = 0.004; part = 0.1;"
    "dimerise: 2 A => A2; bind*A*(A - 1); fall: A2 => 2 A; part*A2;"
)
#: numbers of M4 and those with which few molecules are there at once
FEW = {
    "20.0/(1.0+(P2/40.0)^2.0)": "1.0/(1.0+(P2/1.5)^2.0)",
    "k_dM = 0.5": "k_dM = 1.0",
    "k_tl = 2.0": "k_tl = 0.7",
    "k_dP = 0.1": "k_dP = 0.5",
    "k_dim = 0.005": "k_dim = 0.4",
    "k_sL = 5.0": "k_sL = 0.3",
    "k_dL = 0.05": "k_dL = 0.4",
    "k_on = 0.01": "k_on = 1.5",
    "k_off = 0.2": "k_off = 0.3",
    "T in c = 50": "T in c = 2",
    "k_cT = 0.02": "k_cT = 1.0",
    "k_rep = 1.0": "k_rep = 0.5",
    "k_dR = 0.1": "k_dR = 0.6",
}


def regulated_gene(times: np.ndarray) -> Moments:
    """M4 with FEW; species M, P, P2, L, C, T, CT, R."""
    names = ["M", "P", "P2", "L", "C", "T", "CT", "R"]

    def fire(rate: float, reactants: str, products: str) -> MassAction:
        taken, made = (tuple(side.split().count(n) for n in names) for side in (reactants, products))
        return MassAction(rate, taken, made)

    reactions: list[exact.Reaction] = [
        exact.Repressed(1.0, 1.5, 2, np.eye(8, dtype=int)[0]),
        fire(1.0, "M", ""),
        fire(0.7, "M", "M P"),
        fire(0.5, "P", ""),
        fire(0.4, "P P", "P2"),
        fire(0.5, "P2", "P P"),
        fire(0.3, "", "L"),
        fire(0.4, "L", ""),
        fire(1.5, "P2 L", "C"),
        fire(0.3, "C", "P2 L"),
        fire(1.0, "C T", "CT"),
        fire(0.3, "CT", "C T"),
        fire(0.5, "CT", "CT R"),
        fire(0.6, "R", ""),
    ]
    counted = [names.index(name) for name in ("M", "P", "P2", "L", "C", "R")]
    law, lost = exact.truncated(reactions, [0, 0, 0, 0, 0, 2, 0, 0], times, most=15, counted=counted)
    print(f"M4 with few molecules: {lost:.1g} of the probability leaves the states of its master equation")
    return law


def cases() -> Iterator[Case]:
    ours = ("native", "roadrunner")  # and GillesPy2 follows no ramps
    yield Case(
        "birth and death (M1)",
        Model.load(MODELS / "M1.ant"),
        np.linspace(0, 50, 6),
        lambda t: exact.immigration_and_death(t, 10.0, 0.1),
    )
    yield Case(
        "dimerisation",
        Model.load(DIMERS),
        np.linspace(0, 5, 6),
        lambda t: exact.dimers(t, 100, 0.004, 0.1),
    )
    yield sawtooth_case(FROM_ZERO)
    text = driven_ladder(MODELS)
    states = [f"{rail}{level}" for rail in "UL" for level in range(5)]
    saw = Signal.sawtooth(0, 2, rise=0.2, fall=0.8, periodic=True)
    yield Case(
        "ladder (M3), sawtooth",
        Model.load(text),
        np.linspace(0, 3.6, 7),
        lambda t: exact.independent(t, 1000 * np.eye(10)[0], exact.walk_rates(text, states), saw),
        saw,
        tuple(states),
        ours,
    )
    receptor = Model.load("ladder").with_values(k_w=0, k_f=0)
    places = [f"{rail}{level}" for rail in "TB" for level in range(5)]
    ligand = Signal.sawtooth(0, 250, rise=0.3, fall=1.2, periodic=True)
    start = np.array([receptor.network.initial[name] for name in places])
    yield Case(
        "published ladder, sawtooth (thinned)",
        receptor,
        np.linspace(0, 3.6, 7),
        lambda t: exact.independent(t, start, exact.receptor_rates, ligand),
        ligand,
        tuple(places),
        ("native",),
    )
    few = (MODELS / "M4.ant").read_text()
    for much, little in FEW.items():
        few = few.replace(much, little)
    yield Case("M4 with few molecules", Model.load(few), np.linspace(0, 6, 4), regulated_gene)


def sawtooth_case(signal: Signal) -> Case:
    return Case(
        f"birth and death, sawtooth from {signal.values.min():g}",
        Model.load(BIRTH_DEATH),
        np.linspace(0, 8, 9),
        lambda t: exact.immigration_and_death(t, 10, 0.5, signal),
        signal,
        ("X",),
        ("native", "roadrunner"),
    )


# ------------------------------------------------------------------------------------------- wrong engines


def frozen(times: np.ndarray) -> Simulate:
    """Birth and death under LIFTED with propensities held at their values of the last firing."""

    def simulate(n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        clock, x, counts = np.zeros(n), np.zeros(n), np.zeros((n, len(times), 1))
        while np.any(clock < times[-1]):
            births = LIFTED(clock)
            total = births + 0.5 * x
            later = clock + rng.exponential(size=n) / total
            passed = (times > clock[:, None]) & (times <= later[:, None])
            counts[..., 0] = np.where(passed, x[:, None], counts[..., 0])
            x = x + np.where(rng.random(n) * total < births, 1, -1)
            clock = later
        return counts

    return simulate


def wrong_engines() -> Iterator[tuple[Case, str, Simulate]]:
    """Each with the law that it should follow."""
    m1 = next(cases())
    slow = replace(m1, model=m1.model.with_values(k_death=0.103))
    yield m1, "death 3 % too fast", slow.prepare("native")
    text = (MODELS / "M1.ant").read_text().replace("=> X; k_imm", "=> 2 X; k_imm/2")
    yield m1, "births in twos, same mean", replace(m1, model=Model.load(text)).prepare("native")
    lifted = sawtooth_case(LIFTED)
    yield lifted, "propensities frozen on ramps", frozen(lifted.times)
    stairs = replace(lifted, signal=LIFTED.staircase(6))
    yield lifted, "six steps for each ramp", stairs.prepare("native")


def checked(case: Case, name: str, simulate: Simulate, seconds: float, *, right: bool) -> bool:
    """Whether a right engine agrees, or a wrong one does not; a row of the table."""
    n = max(LEAST, fitting(simulate, seconds, MOST))
    counts = np.asarray(simulate(n, 2))[:, 1:]
    law = Moments(*(part[1:] for part in case.law))
    mean, variance = off_by(counts, law)
    agrees = max(mean, variance) < case.bound
    word = ("agrees" if agrees else "WRONG") if right else ("NOT CAUGHT" if agrees else "caught")
    row(case.name, name, n, f"{mean:.1f}", f"{variance:.1f}", f"{case.bound:.1f}", word)
    return agrees == right


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="CPU time of an engine and case")
    parser.add_argument("--engines", default=",".join(e for e in ENGINES if e != "simulate_ssa"))
    options = parser.parse_args()
    chosen = options.engines.split(",")
    usable = [name for name in chosen if name in ENGINES and not ENGINES[name].missing]
    for name in sorted(set(chosen) - set(usable)):
        print(f"{name}: {ENGINES[name].missing if name in ENGINES else 'there is no such engine'}")
    print("largest difference from the exact law, in standard errors")
    header("law", "engine", "trajectories", "mean off by", "variance off by", "bound", "")
    fine = []
    for case in cases():
        for name in (n for n in usable if n in case.engines):
            fine.append(checked(case, name, case.prepare(name), options.seconds, right=True))
    for case, name, simulate in wrong_engines():
        fine.append(checked(case, name, simulate, options.seconds, right=False))
    print(f"{sum(fine)} of {len(fine)} rows as they should be")
    sys.exit(0 if all(fine) else 1)


if __name__ == "__main__":
    main()
