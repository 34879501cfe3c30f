"""Draw the README's picture, docs/synapse.png, from an assessment of the linker."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import chemlearn

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"

found = chemlearn.assess(chemlearn.Model.load("linker"), chemlearn.Settings(trajectories=0, seed=1))
figure = Figure(figsize=(11.5, 3.3), layout="constrained", dpi=130)
memory, swing, learned = figure.subplots(1, 3)
for ax in (memory, swing, learned):
    ax.spines[["top", "right"]].set_visible(False)
    ax.axhline(0, color=GREY, linewidth=0.8)

lags = np.linspace(0, 6 * found.kernel.half_time, 600)
values = found.kernel.tail(0, lags)
memory.plot(lags, values, color=BLUE)
memory.fill_between(lags, values, where=values > 0, color=BLUE, alpha=0.2, linewidth=0)
memory.fill_between(lags, values, where=values < 0, color=ORANGE, alpha=0.2, linewidth=0)
memory.set(title="its memory has two lobes that cancel", xlabel="lag (min)", ylabel="kernel K")

times, u = found.cycles.time.values, found.cycles.u.isel(amplitude=-1).values
signal = found.cycle.signal(float(found.closed.amplitudes[-1]))
shown = np.append(signal(times[:-1]), signal(0.0))
swing.axhspan(-found.threshold, found.threshold, color=GREY, alpha=0.15, linewidth=0)
swing.fill_between(times, u, where=np.abs(u) >= found.threshold, color=GREEN, alpha=0.35, linewidth=0)
swing.plot(times, u, color=ORANGE, label="output u − its resting level")
swing.plot(times, 3 * shown, "--", color=BLUE, label="input s (× 3): free → clamped → free")
swing.set(
    title="only the fast swing passes the threshold", xlabel="time (min)", ylabel="molecules", ylim=(-2, 15)
)
swing.legend(frameon=False, fontsize=8, loc="upper right")

ideal = found.closed.ideal_slope
learned.plot([-2, 2], [-2, 2], "--", color=GREY, label="ideal: clamped − free")
learned.plot(found.closed.amplitudes, found.closed.updates / ideal, color=BLUE, label="closed form")
curve = found.deterministic
learned.plot(
    curve.amplitudes, curve.updates / ideal, "s", mfc="none", color=ORANGE, ms=5, label="full rate equations"
)
learned.set(title="so the weight learns the difference", xlabel="clamped − free", ylabel="update Δw / |M₁|")
learned.legend(frameon=False, fontsize=8)
figure.savefig(Path(__file__).parent / "synapse.png")
