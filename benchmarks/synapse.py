"""Speed of the results at one synapse, beside a literal implementation of how they were published.

Usage: python -m benchmarks.synapse [--only curve,fit,ladder,figure] [--rounds 5] [--amplitudes 3]
           [--kernels 500]

curve    a curve of 500 amplitudes: Celani-Vergassola, whole and cut at 1, and a ladder's kernel, against
         sums on a grid of 1e-4. The grid is timed at a few amplitudes and scaled to 500.
fit      the continuous line of three segments through such a curve, against pwlf, where that is installed
ladder   kernel and dissipation of one ladder, against an ODE solver on a grid of 5e-4
figure   random ladders as in F Fig. 6B, each with kernel, dissipation, curve of 500 amplitudes and metric;
         scaled to 5,000

CPU time of one thread. In every round each side runs once, so that a machine which is busy with something
else slows both; compared are the medians over the rounds of the ratios within a round. Beside it stands how
far the two results are apart.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import literal
from benchmarks.timing import Company, cpu, header, paired, row, verdict
from chemlearn.curves.metrics import markov_range, segmented_fit
from chemlearn.curves.update import threshold, update_curve
from chemlearn.kernels.base import Kernel
from chemlearn.kernels.kernel import celani_vergassola
from chemlearn.markov.ladder import Ladder

try:
    import pwlf
except ImportError:
    pwlf = None

RISE, FALL, TOP = 1.0, 9.0, 100.0
AMPLITUDES = np.linspace(TOP / 500, TOP, 500)
CURVE_WANTED = 20e-3  #: seconds of a curve
LADDER_WANTED = 1e-3  #: seconds of a ladder's kernel and dissipation
FIGURE_WANTED = 60.0  #: seconds of 5,000 ladders
LADDERS = 5000
LONG_ENOUGH = 0.1  #: seconds that the fast side is repeated for in a round


def per_call(work: Callable[[], object]) -> float:
    """CPU seconds of a call, repeated until that is well above the clock's resolution."""
    calls, took = 0, 0.0
    while took < LONG_ENOUGH:
        took += cpu(work)[0]
        calls += 1
    return took / calls


def compared(ours: Callable[[], object], theirs: Callable[[], float], rounds: int) -> tuple[list[float], ...]:
    """Seconds of both sides, one per round; ``theirs`` says its own."""
    ours()
    costs = [(per_call(ours), theirs()) for _ in range(rounds)]
    return tuple(map(list, zip(*costs, strict=True)))


def show(name: str, mine: list[float], theirs: list[float], apart: str, met: bool) -> None:
    ratio, least, most = paired(theirs, mine)
    row(
        name,
        f"{1e3 * median(mine):.3g}",
        f"{1e3 * median(theirs):.4g}",
        f"{ratio:,.0f}",
        f"{least:,.0f} … {most:,.0f}",
        apart,
        verdict(met) if not np.isnan(theirs[0]) else "not compared",
    )


def heading(wanted: str) -> None:
    header("what", "ms", "literal, ms", "×", "least … largest ×", "apart by", wanted)


# ------------------------------------------------------------------------------------------------- curves


def curves() -> Iterator[tuple[str, Callable[[], Kernel], float, np.ndarray]]:
    """Name, how the kernel is made, mean of the signal, and the kernel's samples on the literal's grid."""
    lags = np.arange(0.0, 1.0, literal.STEP)
    for name, area, mean in (("no area", 0.0, 0.0), ("area 0.05", 0.05, 25.0)):
        make = partial(celani_vergassola, area)
        yield f"Celani-Vergassola, {name}", make, mean, make()(lags)
        yield "the same, cut at 1", lambda make=make: make().cut(1.0), mean, make()(lags)
    ladder = partial(Ladder(1e-4).published_kernel, 200.0)
    yield "ladder, F = 25, γ = 1e-4", ladder, 10.0, ladder()(lags)


def curve(options: argparse.Namespace) -> None:
    print(
        f"\nA curve of {len(AMPLITUDES)} amplitudes, the kernel made anew; the grid at {options.amplitudes}"
    )
    heading(f"under {1e3 * CURVE_WANTED:g} ms")
    for name, make, mean, samples in curves():
        area = make().area
        theta = threshold("safe", amplitude_max=TOP, rise=RISE, fall=FALL, kernel_area=area, mean=mean)
        settings = {"threshold": theta, "rise": RISE, "fall": FALL, "mean": mean}
        few = AMPLITUDES[np.linspace(150, len(AMPLITUDES) - 2, options.amplitudes).astype(int)]

        def exact(make: Callable[[], Kernel] = make, settings: dict = settings) -> np.ndarray:
            return update_curve(make(), AMPLITUDES, **settings).updates

        def grid(samples: np.ndarray = samples, few: np.ndarray = few, settings: dict = settings) -> float:
            took, _ = cpu(lambda: [literal.weight_update(samples, A, **settings) for A in few])
            return took / len(few) * len(AMPLITUDES)

        mine, theirs = compared(exact, grid, options.rounds)
        updates = dict(zip(AMPLITUDES, exact(), strict=True))
        worst = max(abs(literal.weight_update(samples, A, **settings) - updates[A]) for A in few)
        show(name, mine, theirs, f"{worst:.1e}", median(mine) < CURVE_WANTED)


# ------------------------------------------------------------------------------------------------- the fit


def fit(options: argparse.Namespace) -> None:
    print("\nThree segments through a curve of 500 amplitudes; apart: pwlf's residual over ours, less 1")
    if pwlf is None:
        print("pwlf is not installed: no comparison")
    heading("residual at most pwlf's")
    for rise, fall in ((1.0, 9.0), (2.0, 40.0), (0.3, 5.0), (8.0, 12.0)):
        theta = threshold("down_ramp", amplitude_max=TOP, rise=rise, fall=fall)
        found = update_curve(celani_vergassola(), AMPLITUDES, threshold=theta, rise=rise, fall=fall)
        x, y = AMPLITUDES / TOP, found.updates / TOP
        residuals = []

        def search(x: np.ndarray = x, y: np.ndarray = y, residuals: list = residuals) -> float:
            if pwlf is None:
                return np.nan
            model = pwlf.PiecewiseLinFit(x, y)
            took, _ = cpu(model.fit, 3)
            residuals.append(float(model.ssr))
            return took

        mine, theirs = compared(partial(segmented_fit, x, y), search, options.rounds)
        least = min(residuals, default=np.nan) / segmented_fit(x, y).residual - 1
        show(f"τ_f = {rise:g}, τ_s = {fall:g}", mine, theirs, f"{least:.1e}", not least < -1e-12)


# ------------------------------------------------------------------------------------------------- ladders


def ladder(options: argparse.Namespace) -> None:
    print("\nKernel and dissipation of one ladder; apart: areas of the kernel")
    heading(f"under {1e3 * LADDER_WANTED:g} ms")
    for gamma, F, s in ((1e-4, 25.0, 200.0), (0.1, 1.0, 50.0), (1e-20, 100.0, 5.0)):

        def exact(gamma: float = gamma, F: float = F, s: float = s) -> tuple[Kernel, float]:
            one = Ladder(gamma, F)
            return one.published_kernel(s), one.dissipation(0.0)

        def grid(gamma: float = gamma, F: float = F, s: float = s) -> float:
            return cpu(literal.ladder_kernel, gamma, F, s)[0]

        mine, theirs = compared(exact, grid, options.rounds)
        apart = abs(literal.ladder_kernel(gamma, F, s)[1] - exact()[0].area)
        name = f"γ = {gamma:g}, F = {F:g}, s = {s:g}"
        show(name, mine, theirs, f"{apart:.1e}", median(mine) < LADDER_WANTED)


# ------------------------------------------------------------------------------------------------- figure 6B


def random_ladders(count: int, seed: int = 1) -> list[tuple[Ladder, float]]:
    """With their levels: a fifth of the asymmetries uniform, the others over 25 decades (F App. F)."""
    rng = np.random.default_rng(seed)
    uniform = rng.random(count) < 0.2
    gammas = np.where(uniform, rng.random(count), rng.random(count) * 10.0 ** -rng.uniform(0, 25, count))
    pairs = zip(gammas, rng.uniform(1, 100, count), rng.uniform(5, 250, count), strict=True)
    return [(Ladder(float(gamma), float(F)), float(s)) for gamma, F, s in pairs]


def figure(options: argparse.Namespace) -> None:
    """Time of all steps of F Fig. 6B, with its rise 3, fall 15, mean 10 and largest amplitude 50."""
    amplitudes, offsets, dull = np.linspace(0.1, 50, 500), [], 0

    def all_of_them() -> None:
        nonlocal dull
        for one, s in random_ladders(options.kernels):
            try:
                kernel = one.published_kernel(s)
            except ValueError:  # it takes no difference
                dull += 1
                continue
            area = kernel.area
            theta = threshold("eq45", amplitude_max=50, rise=3, fall=15, kernel_area=area, mean=10)
            found = update_curve(kernel, amplitudes, threshold=theta, rise=3, fall=15, mean=10)
            offsets.append((one.dissipation(0.0), markov_range(found).offset))

    took, _ = cpu(all_of_them)
    whole = took / options.kernels * LADDERS
    print(f"\n{options.kernels} random ladders, of which {dull} take no difference; scaled to {LADDERS:,}")
    header("CPU seconds", f"for {LADDERS:,}", f"under {FIGURE_WANTED:g} s")
    row(f"{took:.2f}", f"{whole:.1f}", verdict(whole < FIGURE_WANTED))


PARTS = {"curve": curve, "fit": fit, "ladder": ladder, "figure": figure}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--amplitudes", type=int, default=3, help="of the literal curve that are timed")
    parser.add_argument("--kernels", type=int, default=500, help="random ladders of the part figure")
    options = parser.parse_args()
    unknown = sorted(set(options.only.split(",")) - PARTS.keys())
    if unknown:
        parser.error(f"no part named {unknown[0]!r}; there are {', '.join(PARTS)}")
    with threadpool_limits(1):
        for part in options.only.split(","):
            company = Company()
            PARTS[part](options)
            print(f"({company})")


if __name__ == "__main__":
    main()
