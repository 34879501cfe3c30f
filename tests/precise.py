"""Markov chains in 80 decimal digits, by other means than the package's: the yardstick of its rounding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from functools import wraps
from typing import Any

Matrix = list[list[Decimal]]

DIGITS = 80


def precisely(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with all its decimals at full precision."""

    @wraps(function)
    def run(*args: Any) -> Any:
        with localcontext() as context:
            context.prec, context.Emin, context.Emax = DIGITS, -(10**6), 10**6
            return function(*args)

    return run


def spread(value: float | Sequence[float], count: int) -> list[Decimal]:
    """One number for all, or one for each."""
    numbers = list(value) if isinstance(value, Sequence) else [value] * count
    assert len(numbers) == count
    return [Decimal(number) for number in numbers]


@precisely
def ladder_rates(
    s: float, gamma: float | Sequence[float], slow: float | Sequence[float] = 25.0, columns: int = 5
) -> Matrix:
    """W of the two-rail ladder, written out from F50 to F52; ``W[i][j]`` is the rate j -> i."""
    n, level, zero = columns, Decimal(s), Decimal(0)
    gammas, slower = spread(gamma, n - 1), spread(slow, n)
    off, on = (
        Decimal(each) for each in (18.2, 3000.0)
    )  # the doubles that the package has, to the last digit
    ligand = ((1 + level / off) / (1 + level / on)).ln()
    rates = [[zero] * (2 * n) for _ in range(2 * n)]
    for m in range(n):
        energy = 2 * (1 - m) + ligand
        rates[n + m][m] = slower[m] * max(energy, zero).exp()
        rates[m][n + m] = slower[m] * max(-energy, zero).exp()
    for m in range(n - 1):
        rates[m][m + 1] = rates[n + m + 1][n + m] = Decimal(1)
        rates[m + 1][m] = rates[n + m][n + m + 1] = Decimal(1).exp() * gammas[m]
    for j in range(2 * n):
        rates[j][j] = -sum(rates[i][j] for i in range(2 * n))
    return rates


@precisely
def solved(matrix: Matrix, goal: list[Decimal]) -> list[Decimal]:
    """By Gaussian elimination with pivots."""
    rows = [[*row, b] for row, b in zip(matrix, goal, strict=True)]
    n = len(rows)
    for k in range(n):
        pivot = max(range(k, n), key=lambda i: abs(rows[i][k]))
        rows[k], rows[pivot] = rows[pivot], rows[k]
        for i in range(k + 1, n):
            factor = rows[i][k] / rows[k][k]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k], strict=True)]
    x = [Decimal(0)] * n
    for k in range(n - 1, -1, -1):
        x[k] = (rows[k][n] - sum(rows[k][j] * x[j] for j in range(k + 1, n))) / rows[k][k]
    return x


@precisely
def at_rest(rates: Matrix) -> list[Decimal]:
    """The steady state."""
    n = len(rates)
    return solved([*rates[:-1], [Decimal(1)] * n], [Decimal(0)] * (n - 1) + [Decimal(1)])


@precisely
def passed(rates: Matrix, deviation: list[Decimal]) -> list[Decimal]:
    """∫_0^∞ e^(Wt) deviation dt, of a deviation whose sum is 0."""
    n = len(rates)
    return solved([*rates[:-1], [Decimal(1)] * n], [-d for d in deviation[:-1]] + [Decimal(0)])


@precisely
def product(a: Matrix, b: Matrix) -> Matrix:
    columns = list(zip(*b, strict=True))
    return [[sum(x * y for x, y in zip(row, column, strict=True)) for column in columns] for row in a]


@precisely
def applied(a: Matrix, x: list[Decimal]) -> list[Decimal]:
    return [row[0] for row in product(a, [[each] for each in x])]


@precisely
def propagator(rates: Matrix, time: float) -> Matrix:
    """e^(Wt), by halving the time, a power series and squaring."""
    n, squarings = len(rates), 0
    reach = max(abs(rates[j][j]) for j in range(n)) * 2 * Decimal(time)
    while reach > Decimal("0.5"):
        reach, squarings = reach / 2, squarings + 1
    step = [[each * Decimal(time) / 2**squarings for each in row] for row in rates]
    one = [[Decimal(int(i == j)) for j in range(n)] for i in range(n)]
    whole, term = one, one
    for k in range(1, 45):
        term = [[each / k for each in row] for row in product(term, step)]
        whole = [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(whole, term, strict=True)]
    for _ in range(squarings):
        whole = product(whole, whole)
    return whole


@precisely
def entropy_production(rates: Matrix, p: list[Decimal]) -> Decimal:
    """Σ (J⁺ − J⁻) ln(J⁺/J⁻) over all pairs of states (F13, F59)."""
    total = Decimal(0)
    for i in range(len(p)):
        for j in range(i):
            if rates[i][j]:
                forward, backward = rates[i][j] * p[j], rates[j][i] * p[i]
                total += (forward - backward) * (forward / backward).ln()
    return total
