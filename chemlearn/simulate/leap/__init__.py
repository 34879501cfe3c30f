"""Approximate stochastic engines for large copy numbers: tau-leaping and the chemical Langevin equation.

Many firings in one step, with a stated error, and a refusal where the assumptions behind it fail. Laws,
machine code and random numbers are those of the exact engine (``native``); ``rule`` says how long a step may
be, ``step`` and ``tau`` are the instructions of one, ``variates`` draws, ``engine`` runs blocks of
trajectories, and ``check`` measures what the error is.
"""

from chemlearn.simulate.leap.check import Comparison, check
from chemlearn.simulate.leap.engine import LangevinRun, TauRun
from chemlearn.simulate.leap.statement import Statement

__all__ = ["Comparison", "LangevinRun", "Statement", "TauRun", "check"]
