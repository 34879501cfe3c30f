"""Entropy production: of networks at rest, of single trajectories, of a cycle of learning."""
