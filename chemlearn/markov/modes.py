"""Relaxation of a linear system as a closed sum of decaying terms.

A system dx/dt = A x that comes to rest is followed by its eigenvectors, x(t) = Re Σ_k a_k e^(−λ_k t). Near
eigenvectors that are parallel, as where two rates of decay meet, that sum is a small difference of huge
terms. Rates that lie close are then kept together: on the invariant subspace of a group A is −λ + N with the
mean rate λ and a small N, and e^(Nt) is its power series, so the terms are t^p e^(−λt) and nothing is
divided by a distance between rates.

Rates that are far above all others would drown the slow ones in their rounding errors. They are taken off
first: what leads them and what follows them are two small matrices, whose products alone change the rest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import schur, solve_sylvester
from scipy.special import factorial, xlogy

from chemlearn.errors import ConvergenceError
from chemlearn.kernels.kernel import ExponentialKernel

_GROWTH = 1e3
"""Terms may exceed what they sum to by this factor, which is the loss of three digits of sixteen."""

_HOPELESS = 1e6
"""The same for what is accepted at last; ten digits are left."""

_TOLERABLE = 3e-11
"""Relative error of A ∫x dt = −x(0), which is what a rate that rounding has spoilt shows in."""

_NEARNESS = (1e-4, 1e-3, 1e-2, 0.05, 0.2)
"""Relative distances up to which rates are kept together, tried in this order."""

_MOST_POWERS = 60
"""Terms of the power series of a group, whose ratio is about its nearness."""

_STIFF, _APART = 1e5, 3.0
"""Rates are taken off where they exceed the slowest, and the next one, by these factors."""

_ROUNDS = 20
"""Corrections when rates are taken off; each is smaller than the one before by orders of magnitude."""


class Modes(NamedTuple):
    """x(t) = Re Σ_k amplitudes[:, k] t^powers[k] e^(−rates[k] t).

    Parameters
    ----------
    amplitudes : ndarray, (n, n_terms)
    rates : ndarray, (n_terms,)
        With positive real parts, 1/time.
    powers : ndarray of int, (n_terms,)
    """

    amplitudes: np.ndarray
    rates: np.ndarray
    powers: np.ndarray

    def __call__(self, times: ArrayLike) -> np.ndarray:
        """x at instants t ≥ 0, (..., n)."""
        t = np.asarray(times, float)[..., None]
        return np.real(np.exp(xlogy(self.powers, t) - self.rates * t) @ self.amplitudes.T)

    @property
    def integral(self) -> np.ndarray:
        """∫_0^∞ x dt, (n,)."""
        return np.real(self.amplitudes @ (factorial(self.powers) / self.rates ** (self.powers + 1.0)))

    def through(self, basis: np.ndarray) -> Modes:
        """The modes of ``basis @ x``."""
        return self._replace(amplitudes=basis @ self.amplitudes)

    def kernel(self, weights: np.ndarray, stretch: float = 1.0) -> ExponentialKernel:
        """K(t) = weights · x(t) as a kernel, its lags multiplied by ``stretch`` and K divided by it."""
        coefficients = (weights @ self.amplitudes) / stretch ** (self.powers + 1.0)
        return ExponentialKernel(coefficients, self.rates / stretch, self.powers)


def relaxation_modes(matrix: np.ndarray, start: np.ndarray) -> Modes:
    """The solution of dx/dt = A x from a deviation from rest, to about 1e-12.

    Parameters
    ----------
    matrix : ndarray, (n, n)
        A, with one eigenvalue 0 (what is conserved) and all others in the left half-plane, in a basis where
        it is near a normal matrix; the sizes of its diagonal may range widely if they fall from the first on.
    start : ndarray, (n,)
        x(0), without a part that stays.

    Raises
    ------
    ConvergenceError
        If even groups of rates leave terms a million times larger than their sum, or if rates are too far
        apart for the slowest to be known.
    """
    modes = _modes(matrix, start)
    error = float(np.linalg.norm(matrix @ modes.integral + start) / np.linalg.norm(start))
    if not (error <= _TOLERABLE and np.all(modes.rates.real > 0)):
        raise ConvergenceError(
            "the slowest rates of this relaxation are lost in rounding beside its fastest "
            f"(error {error:.1e}); take rates that are less far apart",
            residual=error,
        )
    return modes


def _modes(matrix: np.ndarray, start: np.ndarray) -> Modes:
    """Fast variables apart from the rest, as often as there are some."""
    fast = _fast_variables(matrix)
    if not fast:
        return _spectral(matrix, start)
    head, tail = _parted(matrix, fast)
    each = np.eye(len(start))
    lead = np.linalg.solve(each[:fast, :fast] - tail @ head, start[:fast] - tail @ start[fast:])
    quick = _spectral(matrix[:fast, :fast] + matrix[:fast, fast:] @ head, lead, moving=True)
    rest = _modes(matrix[fast:, fast:] + matrix[fast:, :fast] @ tail, start[fast:] - head @ lead)
    both = (
        quick.through(np.vstack([each[:fast, :fast], head])),
        rest.through(np.vstack([tail, each[fast:, fast:]])),
    )
    return Modes(*(np.concatenate(part, axis=-1) for part in zip(*both, strict=True)))


def _fast_variables(matrix: np.ndarray) -> int:
    """How many of the first variables decay far faster than all others; as few as stand apart."""
    sizes = np.abs(np.diag(matrix))
    slowest = _STIFF * sizes.min()
    if sizes[0] > slowest:
        for count in range(1, len(sizes) - 1):
            least = sizes[:count].min()
            if least > slowest and least > _APART * sizes[count:].max():
                return count
    return 0


def _parted(matrix: np.ndarray, fast: int) -> tuple[np.ndarray, np.ndarray]:
    """H and T for which (x, H x) with fast variables x, and (T y, y) with slow ones y, each stay of their
    kind.
    """
    first, into, out, rest = (
        matrix[:fast, :fast],
        matrix[:fast, fast:],
        matrix[fast:, :fast],
        matrix[fast:, fast:],
    )
    head, tail, change = np.zeros_like(out), np.zeros_like(into), np.inf
    for _ in range(_ROUNDS):
        before = head, tail
        head = solve_sylvester(-rest, first + into @ head, out)
        tail = solve_sylvester(first, -(rest + out @ tail), -into)
        change = max(float(np.abs(new - old).max()) for new, old in zip((head, tail), before, strict=True))
        if change <= 1e-16:
            return head, tail
    raise ConvergenceError(
        f"fast and slow rates of this relaxation cannot be told apart: after {_ROUNDS} rounds the map "
        f"between them still changes by {change:.1e}",
        residual=change,
        steps=_ROUNDS,
    )


def _spectral(matrix: np.ndarray, start: np.ndarray, moving: bool = False) -> Modes:
    """By eigenvectors, or by groups where they are nearly parallel; ``moving`` says that none is at rest."""
    values, vectors = np.linalg.eig(matrix)
    parts = _solved(vectors, start)
    if np.abs(parts).sum() <= _GROWTH * float(np.linalg.norm(start)):
        chosen = np.argsort(np.abs(values))[0 if moving else 1 :]
        return Modes((vectors * parts)[:, chosen], -values[chosen], np.zeros(len(chosen), int))
    growth = np.inf
    for nearness in _NEARNESS:
        found, growth = _grouped(matrix, start, nearness, moving)
        if growth <= _GROWTH or (growth <= _HOPELESS and nearness == _NEARNESS[-1]):
            return found
    raise ConvergenceError(
        f"this relaxation is no sum of decaying terms to ten digits: they are {growth:.1e} times their sum; "
        "change a rate a little",
        residual=growth,
    )


def _solved(vectors: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Parts of the start along the eigenvectors; infinite where those are parallel to rounding."""
    try:
        return np.linalg.solve(vectors, start.astype(vectors.dtype))
    except np.linalg.LinAlgError:
        return np.full(len(start), np.inf)


def _grouped(matrix: np.ndarray, start: np.ndarray, nearness: float, moving: bool) -> tuple[Modes, float]:
    """Modes with rates of that nearness kept together, and how far the groups' parts exceed the start."""
    values = np.diag(schur(matrix, output="complex")[0])
    bases, blocks = [], []
    for group in _groups(values, nearness):
        block, vectors, size = schur(matrix, output="complex", sort=_Member(values, group))
        bases.append(vectors[:, :size])
        blocks.append(block[:size, :size])
    parts = np.linalg.solve(np.hstack(bases), start.astype(complex))
    ends = np.cumsum([len(block) for block in blocks])
    pieces = np.split(parts, ends[:-1])
    growth = sum(float(np.linalg.norm(piece)) for piece in pieces) / float(np.linalg.norm(start))
    still = None if moving else int(np.argmin([np.abs(np.diag(block)).min() for block in blocks]))
    rows = [_series(*each) for k, each in enumerate(zip(bases, blocks, pieces, strict=True)) if k != still]
    return Modes(*(np.concatenate(part, axis=-1) for part in zip(*rows, strict=True))), growth


class _Member:
    """Whether an eigenvalue is one of a group."""

    def __init__(self, values: np.ndarray, group: list[int]) -> None:
        self.values, self.group = values, group

    def __call__(self, value: complex) -> bool:
        return int(np.argmin(np.abs(self.values - value))) in self.group


def _groups(values: np.ndarray, nearness: float) -> list[list[int]]:
    """Indices of eigenvalues, chained together where they are relatively near."""
    size = np.abs(values)
    near = np.abs(values[:, None] - values) <= nearness * np.minimum(size[:, None], size)
    reach = np.linalg.matrix_power((near | np.eye(len(values), dtype=bool)).astype(float), len(values)) > 0
    return [list(np.flatnonzero(row)) for row in np.unique(reach, axis=0)]


def _series(basis: np.ndarray, block: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, ...]:
    """Amplitudes, rates and powers of basis e^(block t) part, by its power series about the mean rate."""
    rate = -np.trace(block) / len(block)
    if abs(rate.imag) <= 1e-9 * rate.real:  # a group that is its own conjugate; the rest takes what is left
        rate = complex(rate.real)
    rest = block + rate * np.eye(len(block))
    terms = [part]
    # t^j e^(−λt)/j! is never above λ^−j, so this is what a term can reach
    while len(terms) < _MOST_POWERS:
        following = rest @ terms[-1] / len(terms)
        reach = np.linalg.norm(following) * factorial(len(terms)) / rate.real ** len(terms)
        if reach <= 1e-17 * np.linalg.norm(part):
            break
        terms.append(following)
    return basis @ np.array(terms).T, np.full(len(terms), rate), np.arange(len(terms))
