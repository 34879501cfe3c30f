"""The arithmetic of learning in loops that numba compiles: the same formulas, several times faster."""
