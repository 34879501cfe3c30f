# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Kernels, the ladder, and what a difference costs
#
# A synapse that learns contrastively compares two states which it never sees at the same time. All it has is a
# **memory**: its output is $u(t) = \int_0^\infty K(\tau)\, s(t-\tau)\, d\tau$ with a kernel $K$ that says how much a
# moment counts that lies $\tau$ back. This notebook takes the memory apart.
#
# 1. Which kernels take a difference, and what does an **area** do to them?
# 2. Which contrasts does a synapse learn: its **update curve**, and the range in which it is right.
# 3. A molecule whose kernel is known in closed form, the **two-rail ladder**.
# 4. What a better comparison **costs** in entropy, computed in three ways that must agree.
# 5. How to read a kernel from **noisy data**.
#
# Sliders appear in Jupyter (they need `ipywidgets`); the pictures above them show one setting each, so you can also
# just read. Everything runs in about a minute.

# %%
import matplotlib.pyplot as plt
import numpy as np
from ipywidgets import FloatLogSlider, FloatSlider, interact

from chemlearn import (
    Ladder, Model, Signal, celani_vergassola, cycle_dissipation, dissipation, exponential, markov_range,
    measured_kernel, published_range, simulate_ssa, threshold, trajectory_entropy, update_curve,
)

# %%
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
plt.rcParams.update({
    "figure.figsize": (6.4, 3.6), "figure.constrained_layout.use": True, "figure.dpi": 90,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
})

# %% [markdown]
# ## 1. Two lobes, and an area
#
# `celani_vergassola` is the kernel of the bacterial receptor: a positive lobe ("now"), then a negative one ("a moment
# ago"). Its area $I = \int K$ is what remains of a constant input. At $I = 0$ nothing remains: the output is the rate of
# change of the input and nothing else. We show three kernels a **sawtooth**, a quick rise from the free to the clamped
# state and a slow way back.

# %%
def show_kernel(area=0.05, rise=1.0):
    saw = Signal.sawtooth(20, 30, rise=rise, fall=10 - rise, periodic=True)
    t = np.linspace(0, 10, 2001)
    lags = np.linspace(0, 0.6, 400)
    kernels = {f"area {area:g}": (celani_vergassola(area), ORANGE), "area 0": (celani_vergassola(0.0), BLUE),
               "leaky (one lobe)": (exponential(0.1), GREY)}
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.2), width_ratios=[1, 1.5])
    for name, (kernel, colour) in kernels.items():
        u = kernel.respond(saw, t)
        dashes = "--" if colour == BLUE else "-"
        left.plot(lags, kernel(lags) / np.abs(kernel(lags)).max(), dashes, color=colour, label=name)
        right.plot(t, u if kernel.area < 0.9 else (u - saw.mean), dashes, color=colour)
    left.axhline(0, color="black", lw=0.6)
    left.set(title="The kernel, in units of its peak", xlabel="lag τ", ylabel="K")
    left.legend(fontsize=8)
    right.axhline(0, color="black", lw=0.6)
    right.axvspan(0, rise, color="black", alpha=0.07, lw=0)
    right.set(title="Its answer to the sawtooth (rise shaded)", xlabel="time", ylabel="output u")
    plt.show()


show_kernel()

# %% [markdown]
# Without area (blue) the output is $+10/\tau_f$ while the input rises in the time $\tau_f$ and $-10/\tau_s$ while it falls.
# With area (orange) everything is lifted by $I\,\bar s$. The leaky kernel (grey, shown without its mean) repeats the
# input: it does not know which way it went. Turn both knobs:

# %%
interact(show_kernel, area=FloatSlider(0.05, min=-0.1, max=0.1, step=0.01), rise=FloatSlider(1.0, min=0.1, max=5, step=0.1));

# %% [markdown]
# ## 2. What is learned: the update curve
#
# A weight that simply adds up $u$ learns nothing, for rise and fall cancel. It needs a **threshold**: outputs below $\theta$
# do not count, so the slow way back is not heard. Over one cycle the weight changes by
# $\Delta w = \oint g_\theta(u)\,dt$, and the curve of $\Delta w$ against the contrast $A = s_\text{clamped} - s_\text{free}$
# is all that a network needs to know about its synapse. It is computed without a time grid: 500 contrasts take some
# milliseconds.

# %%
def show_curve(area=0.0, rise=1.0, fall=20.0):
    top, mean = 40.0, 25.0
    amplitudes = np.linspace(0, 1.5 * top, 301)
    fig, ax = plt.subplots(figsize=(6.4, 3.6))
    for value, colour in ((0.0, BLUE), (area, ORANGE)) if area else ((0.0, BLUE),):
        kernel = celani_vergassola(value)
        theta = threshold("down_ramp", amplitude_max=top, rise=rise, fall=fall)
        curve = update_curve(kernel, amplitudes, threshold=theta, rise=rise, fall=fall, mean=mean)
        ax.plot(amplitudes, curve.updates, color=colour, label=f"area {value:g}")
        found = published_range(curve, top)
        if np.isfinite(found.offset):
            ax.plot([0, top], [found.offset, found.offset + found.slope * top], ":", color=colour)
            ax.plot(found.amplitude_min, curve(found.amplitude_min), "o", color=colour)
    ax.plot(amplitudes, amplitudes, "--", color=GREY, lw=1, label="ideal, Δw = A")
    ax.axvline(top, color="black", lw=0.6)
    ax.annotate(" $A_\\mathrm{max}$", (top, 0.62 * ax.get_ylim()[1]), fontsize=9)
    ax.set(xlabel="contrast A = s clamped − s free", ylabel="Δw in one cycle",
           title=f"rise {rise:.3g} and fall {fall:g}, where the kernel time is 0.05")
    ax.legend()
    plt.show()


show_curve(area=0.05)

# %% [markdown]
# Left of the dot the rise itself is too slow to be heard; right of $A_\text{max}$ the fall becomes audible and cancels the rise.
# In between $\Delta w = A$ (blue). The range can be no wider than $\tau_s/\tau_f$, here 20. The area (orange) adds an
# **offset** of about $I\,\bar s\,\tau_f$: a weight that changes although nothing differs. Longer rises make it worse:

# %%
interact(show_curve, area=FloatSlider(0.05, min=-0.1, max=0.1, step=0.01),
         rise=FloatLogSlider(1.0, min=-1, max=0.7), fall=FloatSlider(20, min=2, max=60, step=1));

# %% [markdown]
# ## 3. A molecule that compares: the two-rail ladder
#
# A receptor has two rails (active, inactive) and five methylation states on each. Ligand moves it between the rails at
# once, slow methylation brings it back. With $\gamma = 1$ the chain is in equilibrium; $\gamma < 1$ turns it round, at the
# price of an affinity of $-2\ln\gamma$ in every square. `Ladder` is its exact master equation.

# %%
def show_ladder(gamma=1e-4, s=200.0):
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.2))
    t = np.linspace(0, 5, 600)
    for g, colour in ((1.0, GREY), (0.2, GREEN), (gamma, BLUE)):
        ladder = Ladder(gamma=g)
        response = ladder.kernel(0, s, rail="bottom").step_response(t) * s
        left.plot(t, response, color=colour, label=f"γ = {g:.1g}, σ = {ladder.dissipation(s):.2g}")
    left.set(title=f"Ligand steps from 0 to {s:g} µM", xlabel="time (methylation steps)", ylabel="inactive receptors")
    left.set_ylim(top=0.62)
    left.legend(fontsize=8, loc="upper right")
    gammas = np.logspace(-8, 0, 60)
    right.semilogx(gammas, [Ladder(gamma=g).kernel(0, s, rail="bottom").residual for g in gammas], color=BLUE)
    right.axvline(1 / np.e, color="black", lw=0.6, ls=":")
    right.annotate("1/e", (1 / np.e, 0.9), ha="right", fontsize=8)
    right.plot(gamma, Ladder(gamma=gamma).kernel(0, s, rail="bottom").residual, "o", color=BLUE)
    right.set(title="What remains of a step", xlabel="γ", ylabel="share of the peak", ylim=(0, 1.02))
    plt.show()


show_ladder()

# %% [markdown]
# In equilibrium (grey) the receptor simply follows the ligand. Between $1/e$ and 1 it already dissipates and still cannot
# compare; below $1/e$ it adapts, more and more perfectly, but with five columns never quite.

# %%
interact(show_ladder, gamma=FloatLogSlider(1e-4, min=-12, max=0, step=0.25), s=FloatSlider(200, min=5, max=500, step=5));

# %% [markdown]
# What remains of a step becomes an offset of the update curve. So the question "how well does it compare?" has a price
# tag: one point for every $\gamma$, offset against dissipation (the published kernels: steps from 0 to $s$, seen over 5 units
# of time that are then called 1).

# %%
def offset(ladder, s):
    kernel = ladder.published_kernel(s)
    how = {"rise": 3.0, "fall": 15.0, "mean": 10.0}
    theta = threshold("eq45", amplitude_max=50, rise=3, fall=15, mean=10, kernel_area=kernel.area)
    curve = update_curve(kernel, np.linspace(0, 50, 101), threshold=theta, **how)
    return abs(markov_range(curve, 50).offset) / 50


fig, ax = plt.subplots()
for s, colour in ((20, GREEN), (50, BLUE), (200, ORANGE)):
    ladders = [Ladder(gamma=g) for g in np.logspace(-12, -1, 40)]
    ax.semilogy([ladder.dissipation(0) for ladder in ladders], [offset(ladder, s) / 10 for ladder in ladders],
                ".-", color=colour, label=f"step to {s} µM")
ax.set(xlabel="dissipation σ at s = 0 (k$_B$ per methylation step)", ylabel="|offset| / $\\bar s$ (units of $A_\\mathrm{max}$)",
       title="The better the comparison, the more it costs")
ax.legend();

# %% [markdown]
# ## 4. Dissipation, three ways
#
# The **matrix** formula sums $(J^+-J^-)\ln(J^+/J^-)$ over the transitions of one molecule. The **network** formula does the same
# over the reversible reactions of the Antimony model `ladder`; any model you write will do. And a **single trajectory**
# of the stochastic engine produces $\ln[a_\rho(n)/a_{-\rho}(n')]$ with every firing. They must agree.

# %%
one = Model.load("ladder").with_values(N=1, s=50, gamma=0.1)
by_matrix = Ladder(gamma=0.1).dissipation(50)
by_network = dissipation(one).rate
paths = trajectory_entropy(one, 0.5, trajectories=20_000, seed=1, workers=2)
print(f"matrix        {by_matrix:.6f} k_B per unit of time")
print(f"network       {by_network:.6f}")
print(f"trajectories  {paths.rate.item():.4f} ± {paths.rate_error.item():.4f}")
print(f"mean of exp(-Δs) = {paths.fluctuation.item():.3f} ± {paths.fluctuation_error.item():.3f}; the theorem says 1")

# %%
total = paths.total.values
fig, ax = plt.subplots()
edges = np.linspace(-6, 10, 65)
ax.hist(total, edges, color=BLUE, alpha=0.7)
ax.axvline(0, color="black", lw=0.8)
ax.axvline(total.mean(), color=ORANGE, label=f"mean {total.mean():.2f}")
ax.set(xlabel="entropy produced by one molecule in half a unit of time (k$_B$)", ylabel="trajectories",
       title=f"{np.mean(total < 0):.0%} of the trajectories run backwards")
ax.legend();

# %% [markdown]
# A trajectory may well *consume* entropy for a while. The **fluctuation theorem** says how often: so that the mean of
# $e^{-\Delta s}$ is exactly 1.
#
# What does a learning cycle cost? The same sum along a sawtooth, beside the $k_B T \ln 2$ that erasing one bit costs at least:

# %%
receptors = Model.load("ladder").with_values(gamma=0.01)
saw = Signal.sawtooth(25, 75, rise=1, fall=9, periodic=True)
print(cycle_dissipation(receptors, saw, threshold=1.5))

# %% [markdown]
# ## 5. A kernel from noisy data
#
# Real molecules are noisy. `measured_kernel` steps the input of an ensemble and reads the kernel from the mean answer,
# with confidence bands. The trick is the **coupled** perturbation: two copies of the network, one of which sees the step,
# share all the firings that they can. Their difference is much less noisy than either.

# %%
few = Model.load("ladder").with_values(N=50, gamma=0.01, s=50)
exact = Ladder(gamma=0.01).kernel(50, 55, rail="bottom").scaled(50)
fig, axes = plt.subplots(1, 2, figsize=(8.4, 3.2), sharey=True)
for ax, method in zip(axes, ("independent", "coupled")):
    found = measured_kernel(few, size=5, at=50, method=method, trajectories=1000, duration=6, seed=3, workers=2)
    mean, error = found.data.smooth, 1.96 * found.data.smooth_error
    ax.fill_between(found.lags, mean - error, mean + error, color=BLUE, alpha=0.25, lw=0, label="95 % at each lag")
    ax.plot(found.lags, mean, color=BLUE, label="measured")
    ax.plot(found.lags, exact.step_response(found.lags), "--", color=ORANGE, label="exact")
    ax.axhline(0, color="black", lw=0.6)
    ax.set(title=f"1000 {method} pairs: area {found.area}", xlabel="time since the step", xlim=(0, 6))
axes[0].set_ylabel("response of 50 receptors per µM")
axes[1].legend()
plt.show()
print(found)

# %% [markdown]
# What is drawn is the integral of the kernel, the answer to a step of one µM: it rises at once, and adapts. The two
# pictures cost the same number of trajectories.
#
# ## Where to go from here
#
# - `chemlearn figure` lists the published figures; `chemlearn figure 6 --fast` draws one, with its data as netCDF and a line
#   on how it compares with the published claim.
# - `chemlearn kernel MODEL --measured` measures the kernel of your own model.
# - `chemlearn sweep` maps dissipation against offset over any parameter ([the second notebook](02_ensembles_and_sweeps.ipynb)).
