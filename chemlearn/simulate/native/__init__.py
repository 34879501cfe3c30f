"""Our own exact stochastic engine: trajectories in lock-step lanes, rate laws compiled without a C compiler.

The laws of a model become a :class:`~chemlearn.simulate.native.laws.Plan`, the plan becomes machine code
through LLVM (``loop``, ``attention``, ``vectors``, ``compiled``), and ``engine`` runs blocks of trajectories
with it; ``paths`` writes down every firing.
"""

from chemlearn.simulate.native.engine import Run
from chemlearn.simulate.native.paths import Path, paths

__all__ = ["Path", "Run", "paths"]
