"""Kernels from noise: the memory of a molecule from stochastic step responses, with confidence bands.

A step of the input by Δ makes the mean output answer with Δ·R(τ), and K = dR/dτ. What hides R is the noise of
the molecules; two copies that share their noise (:mod:`chemlearn.coupled`) are rid of most of it.
"""

from chemlearn.measured.ensemble import METHODS, measured_kernel
from chemlearn.measured.records import kernel_from_responses
from chemlearn.measured.result import Estimate, Gain, MeasuredKernel

__all__ = ["METHODS", "Estimate", "Gain", "MeasuredKernel", "kernel_from_responses", "measured_kernel"]
