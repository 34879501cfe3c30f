"""Simulation of a driven model: the rate equations, or one reaction at a time."""

from chemlearn.simulate.ode import simulate_ode
from chemlearn.simulate.paths import simulate_paths
from chemlearn.simulate.provenance import load, repeat, save
from chemlearn.simulate.reduce import Histogram, Quantiles
from chemlearn.simulate.ssa import EnsembleInterrupted, simulate_ssa

__all__ = [
    "EnsembleInterrupted",
    "Histogram",
    "Quantiles",
    "load",
    "repeat",
    "save",
    "simulate_ode",
    "simulate_paths",
    "simulate_ssa",
]
