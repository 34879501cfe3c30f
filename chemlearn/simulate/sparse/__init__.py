"""Our second exact stochastic engine: one trajectory at a time, for large networks, events and time."""

from chemlearn.simulate.sparse.choice import suits
from chemlearn.simulate.sparse.engine import Run

__all__ = ["Run", "suits"]
