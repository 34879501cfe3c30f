"""Bodies that learn physically (F Fig. 7): flow, springs with dashpots, memristors with capacitors."""

from chemlearn.bodies.body import Body, flow, memristors, springs
from chemlearn.bodies.elastic import SpringNetwork
from chemlearn.bodies.senses import Product, Sense, Shear
from chemlearn.bodies.substrate import BodySubstrate
from chemlearn.bodies.training import train_body

__all__ = [
    "Body",
    "BodySubstrate",
    "Product",
    "Sense",
    "Shear",
    "SpringNetwork",
    "flow",
    "memristors",
    "springs",
    "train_body",
]
