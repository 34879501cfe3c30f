"""One adapter per engine: from a model and a regular grid to counts, (n_trajectories, n_times, n_species).

Each engine is entered by the quickest way that its package offers, also where that is an inner call, and gets
the model in the form that it runs fastest: with rate constants of mass action where it knows those, with
formulas for what is left. The array of results is part of the cost, for all of them.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr

from chemlearn.expression import Expr, compile_expressions, number, substitute
from chemlearn.model import Model
from chemlearn.network import Network, Reaction

#: a number of trajectories and a seed to counts, in the order of the model's species
Simulate = Callable[[int, int], np.ndarray | xr.Dataset]


@dataclass(frozen=True)
class Engine:
    """Something that simulates.

    Parameters
    ----------
    name : str
    prepare : callable
        ``prepare(model, times)`` makes the engine ready and returns what simulates; times are even, from 0.
    package, distribution : str
        What is imported, and what pip installs.
    ours : bool
        Whether it is this package's engine, which is no peer of itself.
    program : str
        An executable that it needs.
    """

    name: str
    prepare: Callable[[Model, np.ndarray], Simulate]
    package: str
    distribution: str
    ours: bool = False
    program: str = ""

    @property
    def missing(self) -> str:
        """What to do before it can be used; empty if nothing."""
        if importlib.util.find_spec(self.package) is None:
            return f"install it with: pip install 'chemlearn[bench]' (or pip install {self.distribution})"
        if self.program and shutil.which(self.program) is None:
            return f"it needs the program {self.program}"
        return ""

    @property
    def version(self) -> str:
        return version(self.distribution)


# ------------------------------------------------------------------------------ what several of them need


def mass_action(reaction: Reaction, network: Network) -> float | None:
    """k where the propensity is k × falling factorials of the reactants' counts, else None.

    Found by evaluating the law at five states, at which other laws do not agree on k.
    """
    states = np.array([[7 + 3 * i + 11 * j**2 for j in range(5)] for i in range(len(network.species))], float)
    evaluate = compile_expressions([reaction.law], [*network.species, *network.constants])
    values = np.broadcast_to(np.asarray(evaluate([*states, *network.constants.values()])[0], float), 5)
    for name, count in reaction.reactants:
        for taken in range(int(count)):
            values = values / (states[network.species.index(name)] - taken)
    return float(values[0]) if np.allclose(values, values[0], rtol=1e-12, atol=0) else None


def formula(law: Expr, network: Network) -> str:
    """The law as text that names species only."""
    return str(substitute(law, {name: number(value) for name, value in network.constants.items()}))


def one_by_one(side: tuple[tuple[str, float], ...]) -> list[str]:
    """2 A + B as A, A, B."""
    return [name for name, count in side for _ in range(int(count))]


def as_array(counts: np.ndarray | xr.Dataset, model: Model) -> np.ndarray:
    """(n_trajectories, n_times, n_species)."""
    if isinstance(counts, xr.Dataset):
        return np.stack([counts[name].values for name in model.network.species], axis=-1)
    return counts


# -------------------------------------------------------------------------------------------------- ours


def native(model: Model, times: np.ndarray) -> Simulate:
    from chemlearn.simulate.native import Run

    run = Run(model, times, None, {})
    return lambda n, seed: run(range(n), seed, 0)


def public(model: Model, times: np.ndarray) -> Simulate:
    """What a user calls, with all that belongs to it: checks, blocks, a dataset with its provenance."""
    from chemlearn import simulate_ssa

    return lambda n, seed: simulate_ssa(model, times, trajectories=n, seed=seed, workers=1)


# ------------------------------------------------------------------------------------------------- peers


def libroadrunner(model: Model, times: np.ndarray) -> Simulate:
    import roadrunner

    runner = roadrunner.RoadRunner(model.sbml)
    runner.setIntegrator("gillespie")
    runner.integrator.variable_step_size = False
    runner.integrator.nonnegative = True
    runner.timeCourseSelections = list(model.network.species)

    def simulate(n: int, seed: int) -> np.ndarray:
        counts = np.empty((n, len(times), len(model.network.species)))
        for k, own in enumerate(seeds(n, seed)):
            runner.reset()
            runner.integrator.seed = own
            counts[k] = runner.simulate(0.0, float(times[-1]), len(times))
        return counts

    return simulate


def gillespy2(model: Model, times: np.ndarray) -> Simulate:
    """By this package's bridge, which gives every 100 trajectories a stream, and so a call, of their own."""
    from chemlearn.simulate import gillespie2

    def stream(seed: int, point: int, block: range) -> np.ndarray:
        return np.random.SeedSequence((seed, block.start)).generate_state(1)

    run = gillespie2.Run(model, times, None, {}, stream)
    return lambda n, seed: run(range(n), seed, 0)


def rebop(sparse: bool | None) -> Callable[[Model, np.ndarray], Simulate]:
    """``sparse`` None leaves the choice of its data structure to rebop."""

    def prepare(model: Model, times: np.ndarray) -> Simulate:
        from rebop import Gillespie

        network = model.network
        system = Gillespie().gillespie  # without the wrapper that makes an xarray.Dataset of every trajectory
        for name in network.species:
            system.add_species(name)
        for reaction in network.reactions:
            constant = mass_action(reaction, network)
            rate = formula(reaction.law, network) if constant is None else constant
            system.add_reaction(rate, one_by_one(reaction.reactants), one_by_one(reaction.products), None)
        system.set_init({name: int(network.initial[name]) for name in network.species})

        def simulate(n: int, seed: int) -> np.ndarray:
            counts = np.empty((n, len(times), len(network.species)))
            for k, own in enumerate(seeds(n, seed)):
                _, found = system.run(float(times[-1]), len(times) - 1, params={}, seed=own, sparse=sparse)
                for i, name in enumerate(network.species):
                    counts[k, :, i] = found[name]
            return counts

        return simulate

    return prepare


def bngsim(model: Model, times: np.ndarray) -> Simulate:
    import bngsim as package
    from bngsim._bngsim_core import TimeSpec

    loaded = package.Model.from_sbml_string(model.sbml)
    outer = package.Simulator(loaded, method="ssa")
    grid = TimeSpec()
    grid.t_start, grid.t_end, grid.n_points = 0.0, float(times[-1]), len(times)
    inner = outer._sim  # run_replicates makes an object of each trajectory, which costs M1 a third more
    names = list(inner.run(grid, 1, 0.0).species_names)
    order = [names.index(name) for name in model.network.species]

    def simulate(n: int, seed: int) -> np.ndarray:
        counts = np.empty((n, len(times), len(names)))
        for k, own in enumerate(seeds(n, seed)):
            loaded.reset()
            counts[k] = inner.run(grid, own % 2**31, 0.0).species_data
        return counts if order == sorted(order) else counts[:, :, order]

    return simulate


def bioscrape(model: Model, times: np.ndarray) -> Simulate:
    from bioscrape.random import py_seed_random
    from bioscrape.simulator import ModelCSimInterface, SSASimulator
    from bioscrape.types import Model as Loaded

    network = model.network

    def reaction(r: Reaction) -> tuple[list[str], list[str], str, dict[str, Any]]:
        constant = mass_action(r, network)
        if constant is None:
            law: tuple[str, dict[str, Any]] = "general", {"rate": formula(r.law, network)}
        else:
            law = "massaction", {"k": constant}
        return one_by_one(r.reactants), one_by_one(r.products), *law

    loaded = Loaded(
        species=list(network.species),
        reactions=[reaction(r) for r in network.reactions],
        initial_condition_dict={name: network.initial[name] for name in network.species},
    )
    interface, simulator, grid = ModelCSimInterface(loaded), SSASimulator(), np.asarray(times, float)
    interface.py_set_dt(float(grid[1] - grid[0]))
    order = [loaded.get_species2index()[name] for name in network.species]

    def simulate(n: int, seed: int) -> np.ndarray:
        py_seed_random(1 + seed)  # 0 takes the clock
        counts = np.empty((n, len(grid), len(order)))
        for k in range(n):
            counts[k] = simulator.py_simulate(interface, grid).py_get_result()
        return counts if order == sorted(order) else counts[:, :, order]

    return simulate


def seeds(n: int, seed: int) -> list[int]:
    """A seed of its own for every trajectory, drawn at once."""
    return np.random.default_rng(seed).integers(1, 2**31, n).tolist()


ENGINES = {
    engine.name: engine
    for engine in (
        Engine("native", native, "chemlearn", "chemlearn", ours=True),
        Engine("simulate_ssa", public, "chemlearn", "chemlearn", ours=True),
        Engine("rebop", rebop(None), "rebop", "rebop"),
        Engine("rebop sparse", rebop(True), "rebop", "rebop"),
        Engine("bngsim", bngsim, "bngsim", "bngsim"),
        Engine("bioscrape", bioscrape, "bioscrape", "bioscrape"),
        Engine("gillespy2", gillespy2, "gillespy2", "gillespy2", program="g++"),
        Engine("roadrunner", libroadrunner, "roadrunner", "libroadrunner"),
    )
}
