"""Data to learn from: the MNIST digits, shipped, from a folder of IDX files, or downloaded.

README.md in this folder names their source and licence.
"""

from chemlearn.data.mnist import MNIST, Digits, Provenance, load_mnist

__all__ = ["MNIST", "Digits", "Provenance", "load_mnist"]
