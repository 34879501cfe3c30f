"""Chemistry that learns: reaction networks as contrastive synapses, how well they learn and at what cost.

The names below are loaded when they are first used, so that importing the package starts no simulator.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chemlearn.assessment import Assessment, assess
    from chemlearn.coupled import Coupled, coupled_model
    from chemlearn.curves.curve import LinearRange, UpdateCurve, linear_range
    from chemlearn.curves.metrics import SegmentedFit, markov_range, published_range, segmented_fit
    from chemlearn.curves.update import threshold, thresholded, update_curve
    from chemlearn.cycle import (
        Cycle,
        Ensemble,
        deterministic_curve,
        periodic_response,
        steady_output,
        stochastic_curve,
    )
    from chemlearn.data import MNIST, load_mnist
    from chemlearn.entropy.cycle import CycleDissipation, cycle_dissipation
    from chemlearn.entropy.network import Dissipation, ReversiblePairs, dissipation, reversible_pairs
    from chemlearn.entropy.paths import trajectory_entropy
    from chemlearn.errors import ConvergenceError, DataError, ModelError, SimulationError
    from chemlearn.kernels.cut import CutKernel, sine
    from chemlearn.kernels.kernel import (
        ExponentialKernel,
        Kernel,
        SampledKernel,
        celani_vergassola,
        exponential,
        high_pass,
        integral_feedback,
    )
    from chemlearn.learning.checkpoints import load_network, save_network
    from chemlearn.learning.layered import LayeredNetwork
    from chemlearn.learning.responses import GridKernel, Sawtooth
    from chemlearn.learning.rules import Chemical, Contrastive, Hebbian, Temporal, learn
    from chemlearn.learning.schedules import Annealed
    from chemlearn.learning.training import Training, train
    from chemlearn.linear import WorkingRange, linear_kernel, step_kernel, step_response, working_range
    from chemlearn.lint import Finding
    from chemlearn.markov.ladder import Ladder
    from chemlearn.measured import MeasuredKernel, kernel_from_responses, measured_kernel
    from chemlearn.model import Model
    from chemlearn.noise import output_sd
    from chemlearn.paths import shipped_models
    from chemlearn.report import write_report
    from chemlearn.settings import Settings
    from chemlearn.signal import Signal
    from chemlearn.simulate import (
        EnsembleInterrupted,
        Histogram,
        Quantiles,
        load,
        repeat,
        save,
        simulate_ode,
        simulate_paths,
        simulate_ssa,
    )
    from chemlearn.sweeps.merge import merge_sweep
    from chemlearn.sweeps.results import load_sweep
    from chemlearn.sweeps.sweep import SweepInterrupted, sweep
    from chemlearn.verdict import Verdict

_HOMES = {
    "assessment": "Assessment assess",
    "coupled": "Coupled coupled_model",
    "curves.curve": "LinearRange UpdateCurve linear_range",
    "curves.metrics": "SegmentedFit markov_range published_range segmented_fit",
    "curves.update": "threshold thresholded update_curve",
    "cycle": "Cycle Ensemble deterministic_curve periodic_response steady_output stochastic_curve",
    "data": "MNIST load_mnist",
    "entropy.cycle": "CycleDissipation cycle_dissipation",
    "entropy.network": "Dissipation ReversiblePairs dissipation reversible_pairs",
    "entropy.paths": "trajectory_entropy",
    "errors": "ConvergenceError DataError ModelError SimulationError",
    "kernels.cut": "CutKernel sine",
    "kernels.kernel": "ExponentialKernel Kernel SampledKernel celani_vergassola exponential high_pass "
    "integral_feedback",
    "learning.checkpoints": "load_network save_network",
    "learning.layered": "LayeredNetwork",
    "learning.responses": "GridKernel Sawtooth",
    "learning.rules": "Chemical Contrastive Hebbian Temporal learn",
    "learning.schedules": "Annealed",
    "learning.training": "Training train",
    "linear": "WorkingRange linear_kernel step_kernel step_response working_range",
    "lint": "Finding",
    "markov.ladder": "Ladder",
    "measured": "MeasuredKernel kernel_from_responses measured_kernel",
    "model": "Model",
    "noise": "output_sd",
    "paths": "shipped_models",
    "report": "write_report",
    "settings": "Settings",
    "signal": "Signal",
    "simulate": "EnsembleInterrupted Histogram Quantiles load repeat save simulate_ode simulate_paths "
    "simulate_ssa",
    "sweeps.merge": "merge_sweep",
    "sweeps.results": "load_sweep",
    "sweeps.sweep": "SweepInterrupted sweep",
    "verdict": "Verdict",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "MNIST",
    "Annealed",
    "Assessment",
    "Chemical",
    "Contrastive",
    "ConvergenceError",
    "Coupled",
    "CutKernel",
    "Cycle",
    "CycleDissipation",
    "DataError",
    "Dissipation",
    "Ensemble",
    "EnsembleInterrupted",
    "ExponentialKernel",
    "Finding",
    "GridKernel",
    "Hebbian",
    "Histogram",
    "Kernel",
    "Ladder",
    "LayeredNetwork",
    "LinearRange",
    "MeasuredKernel",
    "Model",
    "ModelError",
    "Quantiles",
    "ReversiblePairs",
    "SampledKernel",
    "Sawtooth",
    "SegmentedFit",
    "Settings",
    "Signal",
    "SimulationError",
    "SweepInterrupted",
    "Temporal",
    "Training",
    "UpdateCurve",
    "Verdict",
    "WorkingRange",
    "assess",
    "celani_vergassola",
    "coupled_model",
    "cycle_dissipation",
    "deterministic_curve",
    "dissipation",
    "exponential",
    "high_pass",
    "integral_feedback",
    "kernel_from_responses",
    "learn",
    "linear_kernel",
    "linear_range",
    "load",
    "load_mnist",
    "load_network",
    "load_sweep",
    "markov_range",
    "measured_kernel",
    "merge_sweep",
    "output_sd",
    "periodic_response",
    "published_range",
    "repeat",
    "reversible_pairs",
    "save",
    "save_network",
    "segmented_fit",
    "shipped_models",
    "simulate_ode",
    "simulate_paths",
    "simulate_ssa",
    "sine",
    "steady_output",
    "step_kernel",
    "step_response",
    "stochastic_curve",
    "sweep",
    "threshold",
    "thresholded",
    "train",
    "trajectory_entropy",
    "update_curve",
    "working_range",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name == "figures":
        return import_module("chemlearn.figures")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'chemlearn' has no attribute {name!r}")
    value = getattr(import_module(f"chemlearn.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
