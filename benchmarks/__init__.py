"""Speed and exactness of the stochastic engines, side by side; no part of the package or of its tests."""
