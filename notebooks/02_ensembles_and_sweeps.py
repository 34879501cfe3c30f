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
# # Ensembles and sweeps
#
# In [the first notebook](01_first_synapse.ipynb) you looked at a few synapses with one set of parameters. Here there
# are more of both: many **trajectories** of the same chemistry (an *ensemble*), and many values of a parameter with an
# ensemble at each (a *sweep*). Four questions are answered on the way:
#
# - When do the rate equations tell the truth about the average cell, and when do they not?
# - How do you keep 100,000 trajectories without filling the memory?
# - What does it cost a receptor to compare two situations well?
# - What happens to a long calculation when the computer is switched off, and how do you move it to a cluster?
#
# Everything runs in about a minute on two cores. All files go into a temporary folder; leave out the two lines with
# `workspace` to keep them.

# %%
import os
import shlex
import subprocess
import sys
import tempfile
from threading import Event

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import poisson

from chemlearn import (
    Histogram, Model, Quantiles, Signal, SimulationError, SweepInterrupted, dissipation, load_sweep, repeat, simulate_ode,
    simulate_paths, simulate_ssa, sweep,
)

workspace = tempfile.TemporaryDirectory()
os.chdir(workspace.name)

# %%
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
plt.rcParams.update({
    "figure.figsize": (6.4, 3.6), "figure.constrained_layout.use": True, "figure.dpi": 90,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
})

# %% [markdown]
# ## 1. Rate equations and molecules
#
# `ladder` is a receptor with ten states; the ligand `s` drives it, and `u` counts the receptors on its lower rail. We
# show 100 receptors a sawtooth: the ligand rises quickly from 5 to 200 µM and falls back slowly, as in learning
# between a free and a clamped state. Rate equations and an ensemble get the same model, times and signal.

# %%
ladder = Model.load("ladder")
sawtooth = Signal.sawtooth(5, 200, rise=4, fall=26, periodic=True)
times = np.linspace(0, 60, 241)
smooth = simulate_ode(ladder, times, signal=sawtooth)
noisy = simulate_ssa(ladder, times, signal=sawtooth, trajectories=150, seed=1)

# %%
mean, sd = noisy.u.mean("trajectory"), noisy.u.std("trajectory", ddof=1)
fig, (top, bottom) = plt.subplots(2, 1, sharex=True, figsize=(6.4, 4.8), height_ratios=[1, 2.2])
top.plot(times, sawtooth(times), color="black")
top.set(title="The ladder under a sawtooth", ylabel="ligand s (µM)")
bottom.plot(times, noisy.u[0], color=GREY, lw=0.7, label="one trajectory")
bottom.fill_between(times, mean - sd, mean + sd, color=BLUE, alpha=0.2, lw=0, label="mean ± sd of 150")
bottom.plot(times, mean, color=BLUE)
bottom.plot(times, smooth.u, "--", color=ORANGE, label="rate equations")
bottom.set(xlabel="time (time unit of the model)", ylabel="output u (molecules)", ylim=(25, 88))
bottom.legend(ncols=3);

# %% [markdown]
# The mean lies on the rate equations. It has to: every propensity of the ladder is linear in the amounts, and then
# the rate equations *are* the equations of the mean, for any number of molecules. What is left is the scatter of an
# average over 150 trajectories, one **standard error**. At 240 times the largest distance is allowed to be about
# three of them:

# %%
distance = (np.abs(mean - smooth.u) / (sd / np.sqrt(150)))[1:]  # at time 0 all trajectories are alike
print(f"largest distance: {distance.max().item():.1f} standard errors")

# %% [markdown]
# ### Where the two differ
#
# `linker` is not linear: its output `u` is broken up by meeting its controller `p` (a product of two amounts), and
# `p` is removed at a saturated rate. The average of a product is not the product of the averages. That matters where
# molecules are few, so we let the input fall to 0.05, where `p` nearly runs out. The parameter `size` multiplies all
# amounts and leaves the rate equations as they are, up to that factor.

# %%
linker = Model.load("linker")
dip = Signal.sawtooth(0.05, 3, rise=8, fall=40, periodic=True)
minutes = np.linspace(0, 56, 449)
limit = simulate_ode(linker, minutes, signal=dip)
ensembles = {
    size: simulate_ssa(linker.with_values(size=size), minutes, signal=dip, trajectories=trajectories, seed=2)
    for size, trajectories in [(1, 200), (4, 80), (16, 30)]
}

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), width_ratios=[1.5, 1])
noise = {}
for (size, data), colour in zip(ensembles.items(), (BLUE, GREEN, PURPLE)):
    u = data.u / size
    mean, sd = u.mean("trajectory"), u.std("trajectory", ddof=1)
    error = sd / np.sqrt(u.sizes["trajectory"])
    left.fill_between(minutes, mean - error, mean + error, color=colour, alpha=0.3, lw=0)
    left.plot(minutes, mean, color=colour, label=f"mean, size {size}")
    noise[size] = 100 * (sd / mean).sel(time=slice(10, 30)).mean().item()
left.plot(minutes, limit.u, "--", color=ORANGE, label="rate equations")
left.set(title="The lowest input is at 48 min (bands: ± 1 standard error)", xlabel="time (min)",
         ylabel="output u / size (molecules)", xlim=(44, 53), ylim=(160, 290))
left.legend(loc="upper left")
right.loglog(list(noise), list(noise.values()), "o", color=BLUE, label="ensembles, 10 to 30 min")
right.loglog([1, 16], [noise[1], noise[1] / 4], color=GREY, lw=1, label="1/√size, from the first")
right.set(title="Noise", xlabel="size", ylabel="sd of u / mean of u (%)")
right.set_xticks([1, 4, 16], labels=[1, 4, 16])
right.set_yticks([2, 4, 8], labels=[2, 4, 8])
right.minorticks_off()
right.legend();

# %%
lowest = ensembles[1].sel(time=48)
print(f"u at 48 min: {limit.u.sel(time=48):.0f} by the rate equations, {lowest.u.mean():.0f} "
      f"± {lowest.u.std(ddof=1) / np.sqrt(200):.1f} on average at size 1")
print(f"p at 48 min: {limit.p.sel(time=48):.1f} by the rate equations, {lowest.p.mean():.1f} on average, "
      f"and {(lowest.p == 0).mean():.0%} of the synapses have none")

# %% [markdown]
# At the lowest input the average synapse of size 1 has less `u` than the rate equations say, by more than ten
# standard errors, and it answers the following rise later. A synapse cannot have less than no `p`. The rate equations
# let `p` fall smoothly to a few molecules; molecules scatter: some synapses have none, others many more, and the
# average is higher. So there is more `p` than expected to break up `u`. With size the difference fades: the rate
# equations are the limit of many molecules, not the average of small cells.
#
# Right: the noise falls with the square root of the size. Half the noise costs four times the molecules.
#
# ## 2. What to keep of an ensemble
#
# A trajectory that is kept whole takes a number for every species and time. Often only statistics are wanted;
# `reduce` computes them while the trajectories are made and forgets the trajectories. The memory then does not depend
# on how many there are. We take 100,000 trajectories of `leaky`, a protein that is made in proportion to `s` and
# lost.

# %%
leaky = Model.load("leaky").with_values(size=5)
swing = Signal.sawtooth(1, 5, rise=2, fall=8, periodic=True)
times = np.linspace(0, 20, 81)
kept = simulate_ssa(
    leaky, times, signal=swing, trajectories=100_000, seed=3,
    reduce=("mean", "variance", Quantiles((0.05, 0.25, 0.5, 0.75, 0.95)), Histogram({"u": np.arange(61)})),
)
print("kept:", ", ".join(name for name in kept.data_vars if name.startswith("u_")))
print(f"{kept.nbytes / 1e6:.2f} MB instead of {100_000 * len(times) * len(leaky.species) * 8 / 1e6:.0f} MB")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8))
bounds = kept.u_quantile
for low, high, alpha in [(0.05, 0.95, 0.2), (0.25, 0.75, 0.35)]:
    left.fill_between(times, bounds.sel(quantile=low), bounds.sel(quantile=high), step="mid", color=BLUE, alpha=alpha,
                      lw=0, label=f"{100 * low:.0f} % to {100 * high:.0f} %")
left.plot(times, kept.u_mean, color=BLUE, label="mean")
left.plot(times, simulate_ode(leaky, times, signal=swing).u, "--", color=ORANGE, label="rate equations")
left.set(title="100,000 trajectories", xlabel="time (units of the lifetime of u)", ylabel="output u (molecules)",
         ylim=(0, 42))
left.legend(ncols=2, loc="upper left")
counts = np.arange(61)
for time, colour, mark in [(10, GREEN, "o"), (12.5, PURPLE, "s")]:
    share = kept.u_histogram.sel(time=time)[1:] / 100_000  # the first cell holds what lies below all edges
    right.plot(counts, 100 * share, mark, ms=4, mfc="none", color=colour, label=f"time {time:g}")
    right.plot(counts, 100 * poisson.pmf(counts, kept.u_mean.sel(time=time)), color=colour, lw=1)
right.set(title="Histograms, and Poisson's law (lines)", xlabel="output u (molecules)", ylabel="trajectories (%)",
          xlim=(-1, 36))
right.legend();

# %% [markdown]
# For this simple chemistry the law is known: the number of proteins follows Poisson's law at every time, under any
# signal, so that its variance equals its mean. The trajectories confirm it to the percent that 100,000 of
# them can tell:

# %%
ratio = (kept.u_variance / kept.u_mean).sel(time=slice(10, 20))
print(f"variance / mean: {ratio.min().item():.3f} to {ratio.max().item():.3f}")

# %% [markdown]
# ### One of them again, firing by firing
#
# Every trajectory has a stream of random numbers of its own, made from the seed and from its number. So any one of the
# 100,000 can be made again alone: `trajectories=range(17, 18)` is number 17. `simulate_paths` gives *every firing* of
# it instead of values on a grid.

# %%
alone = simulate_ssa(leaky, times, signal=swing, trajectories=range(17, 18), seed=3)
among = simulate_ssa(leaky, times, signal=swing, trajectories=20, seed=3)
path = simulate_paths(leaky, 20, signal=swing, trajectories=range(17, 18), seed=3)
print("number 17 alone is number 17 of 20:", alone.u.sel(trajectory=17).equals(among.u.sel(trajectory=17)))
print("firings on the path:", path.sizes["jump"] - 1, " first ones:",
      ", ".join(path.reaction_name.values[path.fired.values[1:7]]))

# %%
fig, ax = plt.subplots()
ax.step(path.time, path.u, where="post", color=GREY, lw=0.8, label="simulate_paths: every firing")
ax.plot(times, alone.u.sel(trajectory=17), ".", color=BLUE, label="simulate_ssa: on a grid of times")
ax.set(title="Trajectory 17", xlabel="time (units of the lifetime of u)", ylabel="output u (molecules)", ylim=(0, 36))
ax.legend(ncols=2);

# %% [markdown]
# Every Dataset carries its recipe, reductions included. `repeat` runs it again and finds the same numbers:

# %%
print("the same 100,000:", repeat(kept).identical(kept))

# %% [markdown]
# ### What fires, and how often
#
# With `firings=True` the Dataset also tells how often every reaction has fired since time 0. Here are 20 ladders at
# rest, 50 units of time each.

# %%
counted = simulate_ssa(ladder, [5, 55], trajectories=20, seed=4, firings=True)
rate = (counted.firings.sel(time=55) - counted.firings.sel(time=5)) / 50  # firings per unit of time

# %%
pairs = [(f"down{m}", f"up{m}") for m in range(5)] + [(f"tl{m}", f"tr{m}") for m in range(4)] + [
    (f"br{m}", f"bl{m}") for m in range(4)]
fig, ax = plt.subplots(figsize=(7.4, 3.8))
for place, (one, other) in enumerate(pairs):
    values = [rate.sel(reaction=name).mean().item() for name in (one, other)]
    ax.plot([place, place], values, color=GREY, lw=1)
    ax.plot(place, values[0], "o", color=BLUE, label="upper name" if place == 0 else None)
    ax.plot(place, values[1], "s", ms=9, mfc="none", color=ORANGE, label="lower name" if place == 0 else None)
ax.set_yscale("log")
ax.set_xticks(range(len(pairs)), labels=[f"{one}\n{other}" for one, other in pairs], fontsize=8)
ax.set(title="Each reaction and its reverse", ylabel="firings per time unit")
ax.legend();

# %% [markdown]
# The five pairs between the rails (`down`, `up`) run both ways nearly equally often. Along the rails the reactions run
# one way, `tl` on the upper and `br` on the lower: the receptors are driven round and round. That is what costs. Each
# turn around one of the ladder's four squares gives $-2\ln\gamma$ = 9.2 $k_B$ of entropy to the surroundings, so that
# the dissipation can be *counted*: it is the net number of firings of `tl` over `tr`, times 9.2.

# %%
turns = sum(rate.sel(reaction=f"tl{m}") - rate.sel(reaction=f"tr{m}") for m in range(4))
counted_cost = -2 * np.log(0.01) * turns
error = counted_cost.std(ddof=1) / np.sqrt(20)
print(f"counted:        {counted_cost.mean():.1f} ± {error:.1f} k_B per time unit")
print(f"rate equations: {dissipation(ladder).rate:.1f} k_B per time unit")

# %% [markdown]
# ## 3. A sweep: what does a good comparison cost?
#
# A receptor compares two situations well if its answer depends on the *change* of the ligand and not on its level.
# How much must it spend for that? The parameter `gamma` sets the drive: at 1 there is none, and the smaller it is, the
# harder the receptor is driven. We take six values of it and measure two things at each.
#
# **`dissipation`** is the entropy that the molecules give to their surroundings per unit of time at rest, in $k_B$;
# times temperature it is the heat that they give off. It is read off the states that the trajectories visit, from how
# likely each reaction is there compared with its reverse.
#
# **`offset`** is the part of a weight update that does not come from the difference: with a kernel of area $I$ and
# first moment $M_1$, a fast swing by $A$ around the level $\bar s$ that lasts $\tau_f$ gives the update
# $A + I \bar s\, \tau_f/|M_1|$, in units of the input. It is measured by letting the ligand step from 0 to `s` in
# every trajectory, and the ideal synapse has none.
#
# Both are taken from [Falk and co-workers](https://doi.org/10.1038/s41467-025-57043-x). As in their Fig. 6 the swing is
# around $\bar s$ = 10 µM and lasts $\tau_f$ = 15 (their 3, counted in units of five of ours); our ligand steps to
# 200 µM.

# %%
receptors = ladder.with_values(s=200)
over = {"gamma": "logspace(-4.5, -0.75, 6)"}
options = {"measures": ("dissipation", "offset"), "trajectories": 200, "seed": 5, "mean": 10, "rise": 15}
results = sweep(receptors, over, **options)

# %%
table = ["dissipation", "dissipation_error", "dissipation_rate_equations", "offset", "offset_error",
         "offset_rate_equations"]
results[table].to_dataframe().round(2)

# %% [markdown]
# The result is a Dataset over `gamma`. Each measure comes with its standard error and with its **companion**: the
# same quantity by the rate equations, without random numbers.

# %%
N = ladder.parameters["N"]
exact = {"fmt": "s-", "ms": 9, "mfc": "none", "color": ORANGE, "lw": 0.8, "label": "rate equations (the companion)"}
drawn = {"fmt": "o", "ms": 5, "color": BLUE, "capsize": 3, "label": "200 trajectories, ± standard error"}

fig, (top, bottom) = plt.subplots(2, 1, sharex=True, figsize=(6.4, 4.8))
top.errorbar(results.gamma, results.dissipation_rate_equations / N, **exact)
top.errorbar(results.gamma, results.dissipation / N, results.dissipation_error / N, **drawn)
top.set(xscale="log", title="Two measures along gamma", ylabel="dissipation per receptor\n($k_B$ per time unit)")
top.legend()
bottom.errorbar(results.gamma, results.offset_rate_equations, **exact)
bottom.errorbar(results.gamma, results.offset, results.offset_error, **drawn)
bottom.set(yscale="log", xlabel="gamma (1: no drive)", ylabel="offset (µM)")
bottom.set_yticks([5, 10, 20, 50], labels=[5, 10, 20, 50])
bottom.minorticks_off();

# %% [markdown]
# Now one against the other:

# %%
fig, ax = plt.subplots()
ax.errorbar(results.dissipation_rate_equations / N, results.offset_rate_equations, **exact)
ax.errorbar(results.dissipation / N, results.offset, results.offset_error, results.dissipation_error / N, **drawn)
ax.set(yscale="log", title="A better comparison costs more", xlabel="dissipation per receptor ($k_B$ per time unit)",
       ylabel="offset (µM)")
ax.set_yticks([5, 10, 20, 50], labels=[5, 10, 20, 50])
ax.minorticks_off()
ax.legend();

# %% [markdown]
# The better the receptor compares, the more it dissipates. The first few $k_B$ buy most: from 1 to 5 per unit of time
# the offset falls from 44 to 5 µM. Then the curve is flat: with this step, ten states cannot do better than 4.4 µM,
# however hard they are driven. This is the trade-off of the paper's Fig. 6, measured on 100 molecules that react at
# random. They agree with the rate equations because the ladder is linear; where a model is not, the distance from the
# companion tells what its small numbers do.
#
# ## 4. Interrupted, and resumed
#
# A real sweep runs for hours, and something always happens: you need the computer, its battery dies, a job runs out
# of time. Give the sweep a **file** (a folder in the open [zarr](https://zarr.dev) format) and it is safe. The
# trajectories of a point are made in **shards** of about a second's work, and each shard is written whole or not at
# all. Even `kill -9` takes away no more than the shards in work.
#
# Here we interrupt it ourselves. The stop button of the notebook would do (or Ctrl-C in a shell); so that the
# interruption comes in every run of this notebook, we let a third of the shards pass and then set an event.

# %%
enough = Event()


def lose_patience(progress):
    if progress.done >= progress.total / 3:
        enough.set()


try:
    sweep(receptors, over, **options, file="ladder.zarr", progress=lose_patience, stopping=enough)
except SweepInterrupted as interruption:
    print(interruption)

# %% [markdown]
# `load_sweep` reads what is there, at any time, also from another notebook while the sweep runs. A point that is not
# complete has no value yet (NaN), so that you cannot mistake half a result for a whole one.

# %%
half = load_sweep("ladder.zarr")
half[["trajectories", "dissipation", "offset"]].to_dataframe().round(2)

# %% [markdown]
# To go on, say the same again. It takes up where it stopped:

# %%
seen = []
resumed = sweep(receptors, over, **options, file="ladder.zarr", progress=seen.append)
print("simulated now:", seen[-1].trajectories, "of", resumed.trajectories.sum().item(), "trajectories")
print("at the end:", seen[-1])

# %% [markdown]
# Is an interrupted sweep as good as one in a single piece? It is the same, to the last bit, because trajectory 17 of
# point 3 always draws from the same stream:

# %%
assert resumed.identical(results)
print("identical to the uninterrupted sweep:", resumed.identical(results))

# %% [markdown]
# And if you change something in the meantime? Then the numbers in the folder do not belong to the new sweep, and it
# is refused, with the difference in words:

# %%
try:
    sweep(receptors.with_values(F=5), over, **options, file="ladder.zarr")
except SimulationError as error:
    print(error)

# %% [markdown]
# ## 5. The same sweep on Dask
#
# [Dask](https://www.dask.org) hands out Python work to other processes, on this machine or on a hundred others
# (`pip install 'chemlearn[cluster]'`). Here we start a scheduler and two worker processes on this machine, which talk
# over TCP as on a cluster. All that changes is the address of the scheduler. (Any executor of
# `concurrent.futures` does too: `executor=client.get_executor()`, or a `ProcessPoolExecutor`.)

# %%
from distributed import LocalCluster

with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
    on_dask = sweep(receptors, over, **options, file="dask.zarr", scheduler=cluster.scheduler_address)

assert on_dask.identical(results)
print("identical on Dask:", on_dask.identical(results))

# %% [markdown]
# Only this notebook writes the folder; the workers need not see your disk. If one of them dies, its work is done by
# another. On a cluster without Dask, let job $i$ of $n$ run `chemlearn sweep … --shard i/n` and join the
# parts with `chemlearn merge`; [docs/sweeps.md](../docs/sweeps.md) has scripts for both.
#
# ## 6. From the command line
#
# The same sweep as one line in a shell. It writes the same folder, so let us point it at the one that we have: it
# finds that everything is done, and shows it.

# %%
command = """chemlearn sweep ladder --set s=200 --over "gamma=logspace(-4.5, -0.75, 6)" --measure dissipation,offset
    --mean 10 --rise 15 --trajectories 200 --seed 5 -o ladder.zarr"""
shell = subprocess.run([sys.executable, "-m", *shlex.split(command)], capture_output=True, text=True)
print(shell.stdout)

# %% [markdown]
# ## What next
#
# - More measures: `mean`, `variance` (beside it the linear noise approximation), `area`, `first_moment`, and your own:
#   `help("chemlearn.sweeps.measure")`.
# - Two axes: `over={"gamma": ..., "s": [20, 50, 200]}` makes every combination.
# - The numbers of every single trajectory: `xarray.open_zarr("ladder.zarr", group="raw")`.
# - Some points take for ever? `most_firings=` and `timeout=` mark them as failed, with the reason in
#   `results.failed`, and the rest goes on.
