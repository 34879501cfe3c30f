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
# # Your first synapse
#
# Can a handful of proteins learn the way a neural network does? In *contrastive learning* a connection sees two
# situations: a **free** one, in which the network answers by itself, and a **clamped** one, in which the right answer
# is imposed. Its weight should change in proportion to the difference of the two,
#
# $$\Delta w \;\propto\; s_\mathrm{clamped} - s_\mathrm{free},$$
#
# where $s$ is the activity that the connection sees. The two situations come one after the other, so the connection
# has to compare the present with the past. [Falk and co-workers (2025)](https://doi.org/10.1038/s41467-025-57043-x)
# propose that ordinary chemistry can do it: a reaction network that answers a *change* of $s$ and then returns to
# where it was, as bacteria do when they follow a scent. We call such a network a **contrastive synapse**.
#
# Here you take one such network, nine reactions, and find out whether it can do the job, over which range, and at
# what cost. Everything runs in about a minute; change any number and run it again.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from chemlearn import (
    Cycle, Model, Settings, Signal, assess, deterministic_curve, dissipation, linear_kernel, load, output_sd, repeat,
    save, shipped_models, simulate_ode, simulate_ssa, step_kernel, step_response, threshold, working_range,
)

# %% [markdown]
# The colours of all plots are those of Okabe and Ito, which colour-blind readers can tell apart.

# %%
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
plt.rcParams.update({
    "figure.figsize": (6.4, 3.6), "figure.constrained_layout.use": True, "figure.dpi": 90,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
})

# %% [markdown]
# ## 1. Load a synapse
#
# chemlearn comes with nine models. Each is a text file in
# [Antimony](https://tellurium.readthedocs.io/en/latest/antimony.html), a notation for reaction networks that one can
# read aloud. `Model.load` takes one of these names, the path of your own file (Antimony or SBML), or the text itself.

# %%
print(", ".join(shipped_models()))

# %%
linker = Model.load("linker")
print(linker.text[linker.text.index("model linker"):])

# %% [markdown]
# In words: two monomers meet (at a rate set by `s`, the **input**) and form a dimer `d`. The dimer switches on an
# activator and becomes the active complex `u`, the **output**. `u` makes the linker protein `w`, the **weight**. And
# `u` also makes `p`, which breaks `u` up: negative feedback. One detail matters: the enzyme that removes `p` is
# *saturated*, it works at full speed however much `p` there is. So `p` rests only when its production `k_p*u` equals
# that constant speed `k_p*u0`, that is, at `u = u0`. Whatever `s` is, `u` is driven back to 200 molecules, as long as
# there is some `p`.
#
# Time is counted in minutes, amounts in molecules. Before a run, chemlearn checks that the text makes sense; an empty
# list of findings means that this model can be simulated both ways, as rate equations and molecule by molecule.

# %%
print("findings:", list(linker.findings()))
print("species: ", linker.species)
print("input s: ", linker.input_value)

# %% [markdown]
# ## 2. A step of the input, and an edited parameter
#
# What happens when `s` jumps from 2 to 3? `step_response` lets the model rest at the first level and then solves the
# rate equations.
#
# A parameter is edited with `with_values`. It returns a new model; the old one is unchanged. Here `k_p`, which sets
# how fast `p` is made and removed, is four times smaller.

# %%
sluggish = linker.with_values(k_p=0.5)
minutes = np.linspace(0, 15, 601)
quick_step = step_response(linker, 2, 3, minutes)
sluggish_step = step_response(sluggish, 2, 3, minutes)

# %%
fig, (top, bottom) = plt.subplots(2, 1, sharex=True, figsize=(6.4, 4.8))
for data, colour, style, name in [(quick_step, BLUE, "-", "k_p = 2 (as shipped)"),
                                  (sluggish_step, ORANGE, "--", "k_p = 0.5")]:
    top.plot(data.time, data.u, style, color=colour, label=name)
    bottom.plot(data.time, data.p, style, color=colour)
top.set(title="s jumps from 2 to 3: u comes back, p stays changed", ylabel="output u (molecules)")
bottom.set(xlabel="time after the step (min)", ylabel="controller p (molecules)")
top.legend();

# %% [markdown]
# The output answers and returns to 200: it **adapts**. With the slow controller it needs longer, but it returns to
# the same 200. The memory of the new level is kept in `p`.
#
# ## 3. The same step, molecule by molecule
#
# A cell has few molecules, and they react at random. `simulate_ssa` draws exact random trajectories (Gillespie's
# method), `simulate_ode` solves the rate equations; both take the same model, times and signal, and both return one
# labelled [xarray](https://docs.xarray.dev) Dataset. The seed makes the numbers repeatable.

# %%
step = Signal.step(2, 3, at=5)
times = np.linspace(0, 15, 151)
smooth = simulate_ode(linker, times, signal=step)
noisy = simulate_ssa(linker, times, signal=step, trajectories=60, seed=1)
print(dict(noisy.sizes), "variables:", list(noisy.data_vars))

# %%
mean, sd = noisy.u.mean("trajectory"), noisy.u.std("trajectory")
fig, ax = plt.subplots()
ax.plot(times, noisy.u[0], color=GREY, lw=0.8, label="one synapse")
ax.fill_between(times, mean - sd, mean + sd, color=BLUE, alpha=0.2, lw=0, label="mean ± sd of 60 synapses")
ax.plot(times, mean, color=BLUE)
ax.plot(times, smooth.u, "--", color=ORANGE, label="rate equations")
ax.set(title="The step at 5 min: one synapse, many, and their average", xlabel="time (min)", ylabel="output u (molecules)")
ax.legend();

# %% [markdown]
# The average of the molecules follows the rate equations. A single synapse scatters; theory (the linear noise
# approximation) says by how much, and the simulation agrees within the few percent that 60 synapses can tell:

# %%
before_step = noisy.u.sel(time=slice(3, 5))
print(f"sd of u at rest: {output_sd(linker):.1f} molecules predicted, {before_step.std().item():.1f} simulated")

# %% [markdown]
# ## 4. The kernel: what the synapse remembers
#
# For small changes of $s$ the whole network is summed up in one curve, the **kernel** $K$: how much an input that
# came a time $\tau$ ago still counts in the output now,
#
# $$u(t) - u_0 = \int_0^\infty K(\tau)\, \bigl(s(t-\tau) - \bar s\bigr)\, d\tau .$$
#
# `linear_kernel` computes it exactly from the rate laws (they are differentiated symbolically). `step_kernel` takes
# it from a simulated step: it is the slope of the output after a step, per unit of step. A step of 1 % must agree
# with the linear kernel; a large step shows how far the linear picture carries.

# %%
kernel = linear_kernel(linker)
small_step = step_kernel(linker, 2.00, 2.02)
large_step = step_kernel(linker, 2, 3)
for name, k in [("linear", kernel), ("step of 1 %", small_step), ("step 2 to 3", large_step)]:
    print(f"{name:12} area {k.area:7.4f}   first moment {k.first_moment:8.2f}   half-time {k.half_time:.3f} min")
for start, stop, area in kernel.lobes:
    print(f"lobe from {start:.2f} to {stop:5.2f} min, area {area:+.2f}")

# %%
lag = np.linspace(0, 5, 500)
marks = np.linspace(0.05, 5, 34)
fig, ax = plt.subplots(figsize=(6.4, 4.0))
ax.axhline(0, color=GREY, lw=0.8)
ax.fill_between(lag, kernel(lag), where=kernel(lag) > 0, color=BLUE, alpha=0.2, lw=0)
ax.fill_between(lag, kernel(lag), where=kernel(lag) < 0, color=ORANGE, alpha=0.3, lw=0)
ax.plot(lag, kernel(lag), color=BLUE, label="linear response")
ax.plot(marks, small_step(marks), "o", mfc="none", ms=4, color="black", label="finite step of 1 %")
ax.plot(lag, large_step(lag), "--", color=PURPLE, label="finite step from 2 to 3")
ax.set(title="Two lobes: the recent past minus the past before it", xlabel="how long ago τ (min)",
       ylabel="K (molecules per min and unit of s)")
ax.legend();

# %% [markdown]
# All three agree closely, even for the step from 2 to 3, which is not small. The positive lobe is the present, the
# negative lobe the past that is subtracted from it: **the synapse takes a difference**. Three numbers say what the
# kernel is worth:
#
# - its **area** (blue minus orange) is what remains in the end of the answer to a lasting change. It is nearly 0: the
#   synapse forgets the level of $s$. As a share of the peak of that answer it is called the **residual**, here
#   0.02 %;
# - its **first moment** $M_1 = \int \tau K\, d\tau$ is negative, and on a slow ramp the output is
#   $u - u_0 = |M_1|\, ds/dt$: the synapse reports how fast $s$ *changes*;
# - its **half-time** says how slow "slow" must be: a ramp should last many half-times.

# %% [markdown]
# ## 5. A learning cycle: the sawtooth
#
# Let the network go back and forth between its free and its clamped state, **quickly** from free to clamped (8 min,
# ten half-times) and **slowly** back (80 min). Our signal begins in the middle of a slow swing; `Signal.sawtooth`
# makes the same one, starting at the free level. For the contrast
# $A = s_\mathrm{clamped} - s_\mathrm{free} = 3 - 1 = 2$:

# %%
swing = Signal(times=[0, 40, 48, 88], values=[2, 1, 3, 2], periodic=True)
times = np.linspace(0, 88, 353)
smooth = simulate_ode(linker, times, signal=swing)
noisy = simulate_ssa(linker, times, signal=swing, trajectories=20, seed=2)
predicted = linker.parameters["u0"] + kernel.respond(swing, times) - kernel.area * swing.mean

# %%
binned = noisy.u.coarsen(time=8, boundary="trim").mean()  # means over 2 minutes
error = binned.std("trajectory") / np.sqrt(20)
fig, (top, bottom) = plt.subplots(2, 1, sharex=True, figsize=(6.4, 4.8), height_ratios=[1, 2])
top.plot(times, swing(times), color="black")
top.set(title="Quickly from free (1) to clamped (3), slowly back", ylabel="input s")
bottom.errorbar(binned.time, binned.mean("trajectory"), error, fmt="o", ms=3, color=BLUE,
                label="20 synapses, 2-min means ± standard error")
bottom.plot(times, smooth.u, color=ORANGE, label="rate equations")
bottom.plot(times, predicted, ":", color="black", label="predicted by the kernel")
bottom.set(xlabel="time (min)", ylabel="output u (molecules)", ylim=(188, 248))
bottom.legend(loc="upper left");

# %% [markdown]
# During the fast swing the output is high, by about $|M_1| A / 8\,\mathrm{min}$ = 25 molecules; during the slow one
# it is a little low, by 2.5 molecules. (The kernel, which is made for small changes, puts the plateau 3 molecules too
# high: this swing is not small.)
#
# Over a whole cycle the two would cancel: 25 molecules for 8 min against −2.5 molecules for 80 min. A **threshold**
# prevents that. If only deviations of at least $\theta$ change the weight, the fast swing counts, the slow one does
# not, and
#
# $$\Delta w \approx \frac{|M_1| A}{8\,\mathrm{min}} \times 8\,\mathrm{min} = |M_1|\,A .$$
#
# This is the contrastive rule: proportional to $A$, and negative where clamped lies below free. We set $\theta$ a
# fifth above what the slow swing reaches at $A = 2$.

# %%
cycle = Cycle(mean=2, rise=8, fall=80)
theta = 1.2 * threshold("safe", amplitude_max=2, rise=8, fall=80, kernel_area=kernel.area, first_moment=kernel.first_moment)
print(f"threshold: {theta:.2f} molecules")

# %% [markdown]
# ## 6. Why feedback is needed: the Hebbian control
#
# `linker_hebbian` is the same network without `p`. Its kernel has one lobe: the output follows $s$ itself. This is
# the classical Hebbian rule, "activity strengthens the connection".

# %%
hebbian = Model.load("linker_hebbian")
for name, k in [("linker", kernel), ("linker_hebbian", linear_kernel(hebbian))]:
    print(f"{name:15} {len(k.lobes)} lobe(s), first moment {k.first_moment:+.1f}, residual {k.residual:.2%}")

# %%
curves, cycles = {}, {}
for model in (linker, hebbian):
    curves[model.name], cycles[model.name] = deterministic_curve(
        model, cycle, [-2, -1, 1, 2], threshold=theta, kernel=linear_kernel(model)
    )

# %%
fig, rows = plt.subplots(2, 1, sharex=True, figsize=(6.4, 4.8))
for ax, name, title in zip(rows, cycles, ["linker, with feedback", "linker_hebbian, without feedback"]):
    u = cycles[name].u.sel(amplitude=2)  # counted from its level at rest
    ax.axhspan(-theta, theta, color=GREY, alpha=0.25, lw=0)
    ax.fill_between(u.time, u, where=u >= theta, color=GREEN, alpha=0.4, lw=0, label="raises the weight")
    ax.fill_between(u.time, u, where=u <= -theta, color=PURPLE, alpha=0.4, lw=0, label="lowers the weight")
    ax.plot(u.time, u, color="black", lw=1)
    ax.set(title=title, ylabel="u − u at rest (molecules)")
rows[1].set_xlabel("time since the free state (min); clamped at 8 min")
rows[1].legend();

# %% [markdown]
# Above: only the fast swing leaves the grey band, the deviations below the threshold. Below: the output is high
# whenever $s$ is high, on the way up and on the way down, and the slow swing, which lasts ten times longer, decides.
# Now swap free and clamped, so that $A$ changes its sign. The update should change its sign too:

# %%
for name, curve in curves.items():
    print(f"{name:15} A = -1: {curve(-1):+7.1f}   A = +1: {curve(+1):+7.1f}   molecules × min")

# %% [markdown]
# The Hebbian control gives the same update for both: it cannot tell clamped from free. (That the update is not 0
# comes from saturation: `u` loses more when $s$ is low than it gains when $s$ is high.)

# %% [markdown]
# ## 7. The update curve and the verdict
#
# `assess` does all of this at once and weighs it. We ask it for our cycle and a small stochastic ensemble.

# %%
found = assess(linker, Settings(rise=8, fall=80, amplitude=2, trajectories=10, seed=3))

# %%
unit = abs(found.kernel.first_moment)
fig, ax = plt.subplots(figsize=(6.4, 4.4))
ax.plot([-2, 2], [-2, 2], color=GREY, lw=1, label="ideal: Δw = |M₁| A")
ax.plot(found.closed.amplitudes, found.closed.updates / unit, color=BLUE, label="predicted by the kernel")
ax.plot(found.deterministic.amplitudes, found.deterministic.updates / unit, "s", mfc="none", color=ORANGE,
        label="rate equations")
for curve, mark, colour, name, shift in [(found.ensemble.pooled, "o", GREEN, "stochastic, many synapses pooled", -0.02),
                                         (found.ensemble.single, "^", PURPLE, "stochastic, each synapse alone", 0.02)]:
    ax.errorbar(curve.amplitudes + shift, curve.updates / unit, curve.errors / unit, fmt=mark, color=colour,
                capsize=3, label=name)
ax.set(title="The update curve (bars: ± 1 standard error)", xlabel="contrast A = clamped − free (units of s)",
       ylabel="update Δw / |M₁| (units of s)")
ax.legend();

# %%
print(found.verdict)

# %% [markdown]
# Along the diagonal lies the ideal rule. The rate equations and the kernel's prediction follow it closely; on the
# flat piece in the middle even the fast swing stays below the threshold. Where many synapses share a weight (green),
# the noise averages out before the threshold, and the rule holds. A synapse that applies the threshold to its own few
# molecules (purple) fails: they scatter by 17, far above the threshold of 3, so nearly everything passes on both
# swings, and the two cancel. The last line of the verdict says so. The README of the models tells which sizes and
# swings suffice for a synapse on its own.

# %% [markdown]
# ## 8. Break it
#
# Adaptation rests on the saturated removal of `p`. `K_p` is the number of molecules at which that enzyme is half
# busy: 0.05 here, next to some 400 molecules of `p`. A larger `K_p` makes the enzyme notice how much `p` there is.
# The controller then *leaks*: it forgets, and a part of every answer remains. The working range, the inputs at which
# the residual is at most 5 %, shrinks.

# %%
leaky = {K_p: linker.with_values(K_p=K_p) for K_p in (0.05, 5, 50)}
ranges = {K_p: working_range(model) for K_p, model in leaky.items()}
for K_p, found_range in ranges.items():
    print(f"K_p = {K_p:<5} working range of s: {found_range}")

# %%
fig, ax = plt.subplots()
for (K_p, found_range), colour, style in zip(ranges.items(), (BLUE, GREEN, PURPLE), ("-", "--", "-.")):
    table = found_range.table.sel(s=slice(0.03, 30))
    ax.loglog(table.s, 100 * table.residual, style, color=colour, label=f"K_p = {K_p}")
ax.axhline(5, color=ORANGE, lw=1.2, label="5 %")
ax.axvline(2, color=GREY, ls=":", lw=1, label="operating point")
ax.xaxis.set_major_formatter("{x:g}")
ax.yaxis.set_major_formatter("{x:g}")
ax.set(title="Less saturation, less adaptation", xlabel="input s", ylabel="residual (%)")
ax.legend();

# %% [markdown]
# A synapse adapts where its curve lies below the orange line. Towards small $s$ adaptation fails in all of them:
# there is hardly any `p` left, and then the removal of `p` is not saturated. At `K_p = 50` the operating point itself
# has fallen out of the range, and the verdict changes:

# %%
broken = assess(leaky[50], Settings(rise=8, fall=80, amplitude=2, trajectories=0))
print(broken.verdict)

# %%
fig, ax = plt.subplots()
ax.plot([-2, 2], [-2, 2], color=GREY, lw=1, label="ideal")
for result, mark, colour, name in [(found, "s-", BLUE, "K_p = 0.05"), (broken, "o--", PURPLE, "K_p = 50")]:
    curve, unit = result.deterministic, abs(result.kernel.first_moment)
    ax.plot(curve.amplitudes, curve.updates / unit, mark, mfc="none", ms=4, lw=1, color=colour, label=name)
ax.set(title="A leaky controller learns the wrong thing (rate equations)", xlabel="contrast A (units of s)",
       ylabel="update Δw / |M₁| (units of s)")
ax.legend();

# %% [markdown]
# The leaky synapse still has two lobes, but a part of the *level* of $s$ always comes through. So its threshold must
# stand higher, and it is deaf to small contrasts. At large positive ones the slow swing ends at low $s$, where
# adaptation is worst: there the output falls below the threshold for long, and takes back what the fast swing gave.

# %% [markdown]
# ## 9. What does it cost?
#
# A receptor binds its ligand; that alone does no lasting work on it. If it is to forget the level of its input,
# something must drive it, by burning ATP for example. In thermal equilibrium its answer to a step only grows, and
# stays. (Devices on which the input itself does the work, such as the spring and dashpot of `maxwell`, need no other
# drive.)
#
# `dissipation` gives the entropy that the chemistry produces at rest; times temperature it is the heat given off. It
# compares how often each reaction runs forwards and backwards, so it needs both directions. `ladder`, a receptor with
# ten states, has them all, and its `gamma` sets the drive: at `gamma = 1` there is none.

# %%
ladder = Model.load("ladder")
driven, undriven = ladder.with_values(gamma=0.01), ladder.with_values(gamma=1)
for name, model in [("ladder, gamma = 0.01", driven), ("ladder, gamma = 1", undriven)]:
    cost = dissipation(model)
    print(f"{name:21} {len(linear_kernel(model).lobes)} lobe(s), {cost.per_molecule:.2f} k_B per receptor and time unit")

# %%
fig, ax = plt.subplots()
time = np.linspace(0, 10, 400)
ax.plot(time, linear_kernel(driven).step_response(time), color=BLUE, label="gamma = 0.01, driven")
ax.plot(time, linear_kernel(undriven).step_response(time), "--", color=ORANGE, label="gamma = 1, in equilibrium")
ax.axhline(0, color=GREY, lw=0.8)
ax.set(title="Without a drive the receptor does not adapt", xlabel="time after a small step (time unit of the model)",
       ylabel="u per unit of s (molecules per µM)")
ax.legend();

# %% [markdown]
# In equilibrium the second lobe is gone, and nothing is spent at all. In between lies a price list: the smaller the
# residual, the more must be spent.

# %%
gammas = np.array([0.9, 0.6, 0.45, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 1e-3, 1e-4, 1e-5])
models = [ladder.with_values(gamma=gamma) for gamma in gammas]
price = np.array([dissipation(model).per_molecule for model in models])
residual = np.array([linear_kernel(model).residual for model in models])
two_lobes = np.array([len(linear_kernel(model).lobes) > 1 for model in models])

# %%
fig, ax = plt.subplots()
ax.semilogy(price, 100 * residual, color=GREY, lw=1)
ax.semilogy(price[two_lobes], 100 * residual[two_lobes], "o", color=BLUE, label="two lobes")
ax.semilogy(price[~two_lobes], 100 * residual[~two_lobes], "s", mfc="none", color=ORANGE,
            label="one lobe: no difference is taken")
ax.set_yticks([2, 5, 10, 20, 50, 100], labels=[2, 5, 10, 20, 50, 100])
ax.minorticks_off()
ax.set(title="Precision costs energy, up to the best that ten states can do", ylabel="residual (%)",
       xlabel="entropy production per receptor (k_B per time unit)")
ax.legend();

# %% [markdown]
# And the linker?

# %%
print("linker:        ", dissipation(linker))
print("linker_hebbian:", dissipation(hebbian))

# %% [markdown]
# "Infinite" does not mean that the cell burns without end. Making and destroying proteins runs, for all practical
# purposes, one way, and the model leaves the reverse reactions out. How much a one-way reaction dissipates depends on
# how rarely it runs backwards, and a model that says "never" cannot give a number. If you want one, write the reverse
# reactions into the text. The Hebbian control needs no drive: its binding and unbinding are in equilibrium at rest.
# (Making and losing `w` is not counted, since it does not act on `u`.)

# %% [markdown]
# ## 10. Keep the data, and make them again
#
# A Dataset carries its own recipe: the model's text, the parameters, the signal, the engine and the seed. `save`
# writes netCDF, `load` reads it, and `repeat` runs the recipe again. The numbers are the same to the last molecule.

# %%
few = simulate_ssa(linker, np.linspace(0, 10, 101), signal=step, trajectories=4, seed=7)
with tempfile.TemporaryDirectory() as folder:  # use a folder of your own to keep the file
    path = save(few, Path(folder) / "step.nc")
    stored = load(path)
again = repeat(stored)
print("engine:", stored.attrs["engine"], " seed:", stored.attrs["seed"], " signal:", stored.attrs["signal"])
print("the same numbers:", again.equals(few))

# %% [markdown]
# ## What next
#
# - The same assessment as one web page, from a shell: `chemlearn assess linker`. Without options it takes a slower
#   cycle (30 half-times); `chemlearn assess --help` lists what can be set. From here:
#   `write_report(found, "my_report")`.
# - Other synapses: `mechanochemical` (the same idea in a strained cell edge), `maxwell` (a spring and a dashpot),
#   `integral_feedback` (the textbook case): `print(assess(Model.load("mechanochemical")).verdict)`.
# - Your own: copy `models/linker.ant`, change it, and load it by its path. `chemlearn check my_synapse.ant` says what
#   stands in the way.
#
# ### Exercise
#
# At `K_p = 20` the linker adapts too little at `s = 2`: the residual is 5.7 %. Suppose that you cannot find a better
# enzyme and cannot move the operating point. Change **one other parameter** so that the verdict becomes "contrastive"
# again. *Hint:* what matters is not `K_p` but `K_p` compared with the number of `p`.

# %%
attempt = linker.with_values(K_p=20)  # add your change here
result = assess(attempt, Settings(rise=8, fall=80, amplitude=2, trajectories=0))
print(f"{result.verdict.headline}: residual {result.kernel.residual:.1%}, half-time {result.kernel.half_time:.2f} min")

# %% [markdown]
# <details><summary>One solution</summary>
#
# Make each `p` weaker, so that more of them are needed: `k_q=0.0075` doubles the number of `p` at rest and halves the
# residual, to 2.8 %. The first moment doubles too, so the synapse answers twice as strongly. The price: the cell has
# to keep twice as many `p`, and the half-time grows from 0.84 to 1.5 min. (`k_on=1400` does it too. Why is that
# nearly the same as moving the operating point to `s = 4`?)
# </details>
