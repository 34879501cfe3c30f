"""Our own exact stochastic engine: trajectories in lock-step lanes, rate laws compiled without a C compiler.

The laws of a model become a :class:`~chemlearn.simulate.native.laws.Plan`, the plan becomes machine code
through LLVM (``loop``, ``attention``, ``vectors``, ``compiled``), and ``engine`` runs blocks of trajectories
with it.
"""

from chemlearn.simulate.native.engine import Run

__all__ = ["Run"]
