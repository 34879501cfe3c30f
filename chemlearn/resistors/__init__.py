"""Networks of resistors that learn: tasks, coupled learning in and out of equilibrium, any rule."""

from chemlearn.resistors.coupled import coupled_learning
from chemlearn.resistors.critical import critical_rate, discriminant_rate
from chemlearn.resistors.files import load_network, published_network, save_network
from chemlearn.resistors.generate import disordered_network
from chemlearn.resistors.network import ResistorNetwork
from chemlearn.resistors.substrate import ResistorSubstrate
from chemlearn.resistors.swings import Swing
from chemlearn.resistors.tasks import Task, allosteric, regression
from chemlearn.resistors.temporal import Protocol, train_temporal

__all__ = [
    "Protocol",
    "ResistorNetwork",
    "ResistorSubstrate",
    "Swing",
    "Task",
    "allosteric",
    "coupled_learning",
    "critical_rate",
    "discriminant_rate",
    "disordered_network",
    "load_network",
    "published_network",
    "regression",
    "save_network",
    "train_temporal",
]
