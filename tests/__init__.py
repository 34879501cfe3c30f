"""A package, so that ``tests.statistics`` does not stand in the way of Python's own ``statistics``."""
