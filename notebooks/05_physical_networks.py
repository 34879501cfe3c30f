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
# # Physical networks that learn: with two copies, with one, and made of other stuff
#
# A network of resistors computes by itself: apply voltages to some nodes, and the others settle where the least power is
# dissipated. It learns if every resistor follows a rule of its own. The rule of Stern et al. compares two copies of the
# network, a **free** one and one that is **clamped**, its targets nudged towards the wanted voltages; every resistor looks at its
# own voltage drop in both. That takes two networks with the same conductances. Falk et al. showed how to do without the second
# one: nudge a single network up and down in a sawtooth, and let every edge remember the last moment.
#
# 1. A network and what it is to learn.
# 2. Two copies, slow: the voltages are always at rest.
# 3. Two copies, out of equilibrium: the conductances change faster than the voltages settle.
# 4. One network: what one edge sees.
# 5. One network learns, and what it cannot do without.
# 6. One network out of equilibrium: how slow the nudge must be.
# 7. Other bodies: tubes with a messenger, springs with dashpots, memristors with capacitors.
#
# Everything runs in about half a minute.

# %%
import math
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image

from chemlearn.bodies import flow, memristors, springs, train_body
from chemlearn.kernels.cut import sine
from chemlearn.kernels.kernel import exponential
from chemlearn.resistors import (
    Protocol, Swing, allosteric, coupled_learning, published_network, train_temporal,
)
from chemlearn.resistors.animation import animate
from chemlearn.resistors.pictures import draw_before_after, draw_network
from chemlearn.resistors.solve import response
from chemlearn.resistors.swings import memory, moves

# %%
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
plt.rcParams.update({
    "figure.figsize": (6.4, 3.6), "figure.constrained_layout.use": True, "figure.dpi": 80,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "legend.fontsize": 8,
})

# %% [markdown]
# ## 1. A network and a task
#
# The network is the published one: 64 nodes, 143 edges, in a square that closes on itself, so that an edge which leaves at the
# right enters at the left. The task is **allosteric**: with given voltages at five sources, three targets are to
# have given voltages. All conductances begin at 1. One node, the **ground**, is held at 0 V.

# %%
network = published_network()
task = allosteric(network, seed=9)
at_first = response(network, np.ones(network.n_edges), task).free[0]

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2), width_ratios=[1.2, 1])
drops = np.abs(network.drops(at_first))
edges = draw_network(left, network, drops, task=task, label="drop", widest=6)
left.set_title("voltage drops before learning", fontsize=10)
places = np.arange(3)
right.plot(places, task.outputs[0], "s", mfc="white", mec=ORANGE, mew=2, ms=9, label="wanted")
right.plot(places, at_first[task.targets], "o", color=GREY, label="before learning")
right.set(xticks=places, xticklabels=[f"node {n}" for n in task.targets], xlim=(-0.5, 2.5), ylabel="voltage of the target")
right.legend()
plt.show()
print("sources:", ", ".join(f"node {n} at {v:+.2f} V" for n, v in zip(task.sources, task.inputs[0])))

# %% [markdown]
# ## 2. Two copies, slow
#
# Sources are held in both copies; in the clamped one the targets are held too, at $v_T^F + \eta\,(V_T - v_T^F)$ with
# $\eta = 10^{-3}$. Voltages relax and conductances learn at the same time,
#
# $$\dot v = -\gamma\,\Delta^\top \mathrm{diag}(g)\,\Delta\, v, \qquad
# \dot g_j = \frac{\alpha}{\eta}\left\{[\Delta v_j^F]^2 - [\Delta v_j^C]^2\right\}, \qquad g_j \ge 10^{-6},$$
#
# and only the ratio of learning to relaxation matters. With $\alpha/\gamma = 10^{-2}$ the voltages hardly lag behind.

# %%
slow = coupled_learning(network, task, alpha=0.01, gamma=1.0, points=200)
rest = coupled_learning(network, task, gamma=math.inf)
print(f"α/γ = 0.01:  {slow.outcome};  in steps, αt = {0.01 * float(slow.training_time):.1f}")
print(f"α/γ → 0:     steps αt = {float(rest.training_time):.1f}")

# %%
draw_before_after(network, 1.0, slow.conductance.values[-1], task=task, size=(10, 3.7))

# %% [markdown]
# Both pictures have one scale of widths. An edge too thin to be seen keeps its pale hairline: learning has cut it. The right
# panel has every edge equally wide and shows by what factor it changed.

# %%
changes = slow.conductance.values[-1] / slow.conductance.values[0]
print(f"of {len(changes)} edges {np.sum(np.abs(changes - 1) < 0.1)} changed by less than 10 %, "
      f"{np.sum(slow.conductance.values[-1] < 1e-5)} were cut, {np.sum(changes > 1.5)} grew by more than half")

# %% [markdown]
# The same as a moving picture, one row of the course after the other, beside the error.

# %%
with tempfile.TemporaryDirectory() as folder:
    film = animate(
        network, slow.conductance, Path(folder) / "learning.gif", task=task, errors=slow.error,
        at=0.01 * slow.time, at_label="steps αt", frames=16, fps=6, dpi=50,
    )
    shown = Image(film.read_bytes(), format="gif")
shown

# %% [markdown]
# ## 3. Out of equilibrium
#
# Nothing in the equations says that learning has to wait for the voltages. Let $\alpha/\gamma$ go from $10^{-2}$ to $10^4$.
# There are now two errors: of the free copy as it is (**instantaneous**), and as it would be at rest with the conductances of the
# moment.

# %%
rates = np.logspace(-2, 4, 7)
runs = [
    coupled_learning(network, task, alpha=rate, stop=False, longest=150 / rate + 120 / math.sqrt(rate), points=4000)
    for rate in rates
]
tints = plt.cm.viridis(np.linspace(0, 0.9, len(rates)))

fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), sharey=True)
for rate, run, tint in zip(rates, runs, tints):
    later = run.isel(time=slice(1, None))
    label = f"$10^{{{round(math.log10(rate))}}}$"
    left.plot(rate * later.time, later.error, color=tint, lw=1.2, label=label)
    right.plot(later.time, later.error, color=tint, lw=1.2)
left.plot(rest.time[1:], rest.error[1:], ":", color="black", lw=1.8, label="at rest")
left.set(xscale="log", yscale="log", xlim=(1e-1, 1e5), ylim=(1e-5, 3), xlabel="learning steps αt", ylabel="error $C/C_0$")
right.set(xscale="log", xlim=(1e-3, 1e4), xlabel="time γt")
left.legend(title="α/γ", ncols=2, loc="lower left")
for ax in (left, right):
    ax.axhline(1e-3, color=GREY, lw=0.7)
plt.show()

# %%
print(" α/γ     steps αT   time γT   rebound   C/C0 at rest then")
for rate, run in zip(rates, runs):
    time = float(run.training_time)
    error = run.error.values
    rebound = max(1.0, (error[1:] / np.minimum.accumulate(error)[:-1]).max())
    settled = math.exp(np.interp(time, run.time, np.log(run.error_equilibrium)))
    print(f"{rate:7g} {rate * time:10.1f} {time:10.3f} {rebound:8.1f} {settled:14.4f}")

# %% [markdown]
# $T$ is when the error is first at $10^{-3}$; the rebound is the largest factor by which it rises again above the least so far, 1 if it never
# does. Slow learning is one curve in steps, and monotone. From $\alpha \approx \gamma$ on the error rings, and $T$ goes on falling, in the
# end as $1/\sqrt{\alpha\gamma}$ rather than $1/\alpha$: more steps, less time. The three targets (dotted: what is wanted):

# %%
fig, axes = plt.subplots(1, 3, figsize=(9.8, 3), sharey=True)
for ax, which in zip(axes, (0, 3, 5)):
    run = runs[which]
    seen = run.sel(time=slice(0, 2 * float(run.training_time)))
    for k, colour in enumerate((BLUE, ORANGE, GREEN)):
        ax.plot(seen.time, seen.voltage[:, k], color=colour, lw=1.2)
        ax.axhline(float(run.wanted[k]), color=colour, ls=":", lw=1)
    ax.set(xlabel="time γt")
    ax.set_title(f"α/γ = {rates[which]:g}", fontsize=10)
axes[0].set_ylabel("voltages of the targets")
plt.show()

# %% [markdown]
# The last column of the table is a warning. When a network of $\alpha/\gamma \ge 100$ first shows the right voltages, they only pass by: left to
# settle with the conductances of that moment, it would be further off than before it learned anything ($C/C_0$ about 2). It has to go
# on learning until the error at rest has fallen as well, and it does fall.

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
for ax, which in zip(axes, (1, 5)):
    run = runs[which].isel(time=slice(1, None))
    ax.plot(run.time, run.error, color=BLUE, label="instantaneous")
    ax.plot(run.time, run.error_equilibrium, "--", color=ORANGE, lw=1.2, label="at rest")
    ax.set(yscale="log", ylim=(1e-6, 5), xlabel="time γt", xlim=(0, (4 if rates[which] > 1 else 2) * float(run.training_time)))
    ax.set_title(f"α/γ = {rates[which]:g}", fontsize=10)
axes[0].set_ylabel("error $C/C_0$")
axes[0].legend()
plt.show()

# %% [markdown]
# ## 4. One network: what one edge sees
#
# Now there is one network, and nobody stores what its free state was. The nudge at the targets rises from 0 to $\eta$ = 0.1 in a
# time $\tau_f$ = 1 and falls back in $\tau_s$ = 10. Every edge sees its own $s = -\tfrac12(\Delta v)^2$ move with it. Its memory is a
# kernel with two lobes, here one period of a sine of length 1: $u = K * s$ is how fast $s$ changed a moment ago. The
# conductance changes by $\int u\,dt$ over those times at which $|u|$ passes a threshold $\theta$.

# %%
swing = Swing(rise=1.0, fall=10.0, instants=100)
kernel = sine(1.0)
kept = memory(kernel, swing)
found = response(network, np.ones(network.n_edges), task)
seen = moves(network, np.ones(network.n_edges), task, found, 0.1, math.inf, swing, kept.times)[0]
u = kept.answer @ seen                                     # (instants, edges)
contrast = seen[np.argmin(np.abs(kept.times - 1.0))]       # s at the top of the nudge, less that of the free state
fixed = kept.moment * np.abs(contrast).max() / swing.fall
own = np.sqrt(kept.mean_square(u))

# %%
order = np.argsort(np.abs(contrast))[::-1]
chosen = {"largest contrast of all": order[0], "the 40th": order[39]}
fig, axes = plt.subplots(2, 2, figsize=(9, 4.6), sharex=True, height_ratios=[1, 1.4])
for (title, edge), (top, bottom) in zip(chosen.items(), axes.T):
    top.plot(np.append(kept.times, swing.period), 1e3 * np.append(seen[:, edge], 0), color=BLUE)
    top.set_title(f"{title}: Δs = {1e3 * contrast[edge]:.2f} × 10⁻³ V²".replace("-", "−"), fontsize=10)
    bottom.plot(kept.times, 1e3 * u[:, edge], color=GREY, lw=1.2, label="u")
    passes = np.abs(u[:, edge]) >= own[edge]
    bottom.fill_between(kept.times, 1e3 * np.where(passes, u[:, edge], 0), color=ORANGE, alpha=0.5, lw=0, label="passes its own θ")
    for sign in (-1, 1):
        bottom.axhline(1e3 * sign * own[edge], color=ORANGE, lw=1, label="±θ, the edge's own" if sign > 0 else None)
        bottom.axhline(1e3 * sign * fixed, color=PURPLE, lw=1, ls="--", label="±θ, one for all" if sign > 0 else None)
    bottom.set(xlabel="time in $\\tau_f$")
axes[0, 0].set_ylabel("s − s free, ×10³")
axes[1, 0].set_ylabel("memory u, ×10³")
axes[1, 0].legend(loc="lower right")
plt.show()

# %%
ideal = contrast
got = {"own": kept.passed(u, own) / kept.moment, "one for all": kept.passed(u, fixed) / kept.moment}
for name, total in got.items():
    heard = np.abs(total) > 0.5 * np.abs(ideal)
    print(f"threshold {name}: {heard.sum()} of {len(ideal)} edges learn more than half of s clamped − s free; "
          f"correlation with it {np.corrcoef(total, ideal)[0, 1]:.4f}")

# %% [markdown]
# The fast rise passes, the slow fall does not; so $\int u\,dt$ over what passes, over the first moment of the kernel, is the
# difference of the clamped and the free $s$, which two copies would have told. One threshold for all edges (dashed; as high as the
# slow fall of the loudest) hears only the loudest. If each edge has its own, $\theta = \sqrt{\langle u^2\rangle}$ over the last
# period, nearly all hear their rise, however small: a triangle of contrast $A$ has
# $\langle u^2\rangle \propto A^2/(\tau_f\tau_s)$, so that this θ always lies halfway, on a logarithmic scale, between what rise and
# fall come to.
#
# ## 5. One network learns
#
# After each period the conductances change by $2\alpha/(\eta|M_1|)$ times what has passed, $M_1$ being the first moment of the
# kernel. Here $\alpha$ = 1, so that an update is worth one step $\alpha t$ = 1 of coupled learning. The goal is 1 % of the first error.

# %%
sawtooth = Swing(1.0, 10.0)
trials = {
    "ideal rule (two copies)": (None, Protocol(sawtooth)),
    "own threshold": (kernel, Protocol(sawtooth)),
    "one fixed threshold": (kernel, Protocol(sawtooth, threshold="fixed")),
    "memory of one lobe": (exponential(0.3), Protocol(sawtooth)),
    "equal swings": (kernel, Protocol(Swing(1.0, 1.0))),
}
learned = {name: train_temporal(network, task, *how, steps=80) for name, how in trials.items()}
for name, run in learned.items():
    print(f"{name:24} {run.outcome}")

# %%
looks = dict(zip(learned, (("black", "-"), (BLUE, "-"), (PURPLE, "--"), (GREEN, "-."), (GREY, ":"))))
fig, ax = plt.subplots()
for name, run in learned.items():
    ax.plot(run.error, color=looks[name][0], ls=looks[name][1], label=name)
ax.axhline(1e-2, color=GREY, lw=0.7)
ax.set(yscale="log", xlabel="updates", ylabel="error at rest, $C/C_0$")
ax.legend(loc="center right")
plt.show()

# %%
equal = learned["equal swings"]
print(f"equal swings: largest change of a conductance {float(np.abs(equal.conductance - equal.conductance_first).max()):.0e}")
ends = {name: learned[name].conductance.values for name in ("ideal rule (two copies)", "own threshold")}
both = np.corrcoef(*ends.values())[0, 1]
print(f"conductances in the end, own threshold against the ideal rule: correlation {both:.3f}")

# %% [markdown]
# The single network takes about as many updates as the ideal rule and ends with much the same conductances. The controls fail
# for three reasons. With one fixed threshold learning stops by itself: as the error shrinks, so does every nudge, until no edge
# hears anything. A memory with one lobe adds up $s$ itself, which is not the difference. With equal swings the fall takes back what the
# rise gave; what is left is rounding.

# %%
draw_before_after(network, 1.0, learned["own threshold"].conductance.values, task=task, size=(10, 3.7))

# %% [markdown]
# One task is an anecdote. Eight others, and beside them $\alpha T$ of the two copies of section 2, always at rest
# (`chemlearn figure one-network` takes fifty, and more ranges and protocols):

# %%
rows = []
for seed in range(20, 28):
    other = allosteric(network, seed=seed)
    two = coupled_learning(network, other, gamma=math.inf, goal=1e-2, longest=600)
    single = {
        name: train_temporal(network, other, *trials[name], steps=600)
        for name in ("ideal rule (two copies)", "own threshold", "one fixed threshold")
    }
    rows.append([float(two.training_time)] + [run.updates if run.reached else math.nan for run in single.values()])
times = np.array(rows)
print("task   two copies αT   ideal rule   own threshold   one fixed")
for number, row in enumerate(times):
    print(f"{20 + number:4} " + "".join(f"{'—' if math.isnan(value) else f'{value:.0f}':>14}" for value in row))

# %%
able = ~np.isnan(times[:, 1])
print(f"the ideal rule learns {able.sum()} of {len(times)}; of these one network with own thresholds "
      f"{np.sum(~np.isnan(times[able, 2]))}, in {np.nanmedian(times[able, 2] / times[able, 1]):.2f} times the updates (median), "
      f"with a fixed threshold {np.sum(~np.isnan(times[able, 3]))}")

# %% [markdown]
# ## 6. One network out of equilibrium
#
# The single network, too, may be slow to settle. The targets are moved, and the voltages of the others follow at rate $\gamma$. What
# counts is not whether they can follow the rise, but whether they can follow the fall:

# %%
rates_fall = np.array([1, 3, 10, 30, 100])
ratios = (10.0, 100.0)
most = 3 * learned["ideal rule (two copies)"].updates
updates = np.full((len(ratios), len(rates_fall)), np.nan)
left_over = np.empty_like(updates)
for (i, ratio), (k, fall) in ((a, b) for a in enumerate(ratios) for b in enumerate(rates_fall)):
    run = train_temporal(network, task, kernel, Protocol(Swing(1.0, ratio)), gamma=fall / ratio, steps=most)
    updates[i, k] = run.updates if run.reached else np.nan
    left_over[i, k] = run.error[-1]

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
for row, ratio, colour, mark in zip(left_over, ratios, (BLUE, ORANGE), "os"):
    left.plot(rates_fall / ratio, row, color=colour, marker=mark, label=f"$\\tau_s/\\tau_f$ = {ratio:g}")
    right.plot(rates_fall, row, color=colour, marker=mark)
for ax, name in ((left, "$\\gamma\\tau_f$: against the rise"), (right, "$\\gamma\\tau_s$: against the fall")):
    ax.axhline(1e-2, color=GREY, lw=0.7)
    ax.set(xscale="log", yscale="log", xlabel=name)
left.set_ylabel(f"$C/C_0$ at the goal or after {most} updates")
left.legend()
plt.show()
for ratio, row in zip(ratios, updates):
    print(f"τ_s/τ_f = {ratio:g}: updates at γτ_s = " + ", ".join(
        f"{fall:g}: {'not reached' if math.isnan(value) else int(value)}" for fall, value in zip(rates_fall, row)))

# %%
periods = rates_fall * (1 + 1 / np.array(ratios)[:, None])          # γ·period
fastest = np.nanmin((updates + 1) * periods)                        # the first period sets the thresholds
print(f"time to C/C0 = 0.01 at rest: at best γT = {fastest:.0f} with one network, α = 1 for each period")
for rate in (1e-1, 1e0, 1e2, 1e4):
    two = coupled_learning(network, task, alpha=rate, goal=1e-2, error="equilibrium")
    print(f"with two copies at α/γ = {rate:5g}: γT = {float(two.training_time):.1f}")

# %% [markdown]
# Against the fall both ranges nearly agree; against the rise they lie a factor of ten apart. With $\tau_s/\tau_f$ = 100 a network learns
# whose voltages are far too slow to follow the rise. But each update takes a period, and a period takes some times $1/\gamma$: one network
# takes about as long as two copies at $\alpha/\gamma$ = 0.1, while those can learn faster than their voltages settle. That is the price of
# doing without the second copy.
#
# ## 7. Other bodies
#
# So far the memory of an edge was a kernel that we gave it. Falk et al. name bodies whose edges have one by their own physics,
# because something in them integrates what they see and works against it:
#
# - **tubes** in which the flow at the wall releases a messenger; the messenger makes what destroys it (`mechanochemical`). Tubes narrow
#   where the messenger is above its set point.
# - **springs**, each beside a spring with a dashpot in series (`maxwell`): the dashpot creeps until the stress is gone.
# - **channels**, each beside a memristor with a capacitor in series (`capacitor_memristor`): the capacitor charges until the voltage over
#   the memristor is gone.
#
# Every edge now integrates its own copy of that model, all through the run: nothing is taken to be periodic. The thresholds
# are the edges' own, as above. Each body has the same task once more without what makes its edges compare: no
# destruction of the messenger, no dashpot, no capacitor.

# %%
cases = [(flow(network), 9), (springs(network), 4), (memristors(network), 9)]
missing = {"flow": "no feedback on the messenger", "springs": "no dashpot", "memristors": "no capacitor"}
runs = {}
fig, axes = plt.subplots(1, 3, figsize=(9, 2.9), sharey=True)
for ax, (body, seed) in zip(axes, cases):
    own = allosteric(body.network, seed=seed)        # for springs: displacements of nodes along x or y
    ideal = train_body(body, own, memory="ideal")
    learns = train_body(body, own, keep=True)
    fails = train_body(body, own, memory=False, steps=3 * learns.updates)
    runs[body.name] = own, learns
    ax.plot(ideal.error, color="black", lw=1, label="ideal rule")
    ax.plot(learns.error, color=BLUE, label="its own memory")
    ax.plot(fails.error, "--", color=PURPLE, label=missing[body.name])
    ax.axhline(1e-2, color=GREY, lw=0.7)
    ax.set(yscale="log", xlabel="updates", title=body.name)
    ax.legend(loc="upper right", bbox_to_anchor=(1.02, 0.93))
    print(f"{body.name}: {learns.outcome}; {missing[body.name]}: {fails.outcome}")
axes[0].set_ylabel("error at rest, $C/C_0$")
plt.show()

# %% [markdown]
# What has grown and what has withered. The sources of a network of springs are displacements, along x or y, so some nodes
# are both held in one direction and free in the other.

# %%
own, learns = runs["springs"]
body = cases[1][0]
draw_before_after(body.network, learns.weight_first.values, learns.weight.values, task=own, label=body.parameter)

# %% [markdown]
# ## Questions to go on with
#
# - Where does ringing begin? `chemlearn.resistors.critical_rate` finds the least $\alpha/\gamma$ at which a mode of voltages and conductances
#   rotates, which is lower than that at which the error shows it. Why?
# - Is $\alpha$ = 1 the best rate for one network? Too large steps overshoot; how much shorter does learning become before they do?
# - How small may $\tau_s/\tau_f$ be? Try `Swing(1.0, 3.0)` and `Swing(1.0, 1.5)` in section 5.
# - Edges cannot resolve everything: `Protocol(floor=0.1)` gives the threshold a least value. At which floor does learning stop, and
#   does `size="displacement"`, a nudge that moves the targets equally far however small the error is, bring it back?
# - Do two tasks fit into one network? `coupled_learning` takes a list of them.
# - `train_body(..., protocol=...)` takes other swings. What happens to each body without the pause, or with a rise that is short
#   beside the time of its memory?
# - Is a network of another size any different? `disordered_network(400, seed=1)`.
#
# ## Where to go from here
#
# - `chemlearn figure stern-2` draws the error at seven decades of $\alpha/\gamma$ and what is left of it for fifty tasks;
#   `chemlearn figure stern-1` and `stern-3` the experiment and the scaling laws.
# - `chemlearn figure one-network` maps where one network learns; `chemlearn figure bodies` counts how many tasks each body solves,
#   with and without its memory.
# - `animate(body.network, learns.weights.values, "springs.gif", task=own, errors=learns.error.values)` writes a film.
# - Where a kernel with two lobes comes from: [the third notebook](03_kernels_ladder_dissipation.ipynb).
