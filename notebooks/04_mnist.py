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
# # A network learns to read digits, and no synapse is told how
#
# Contrastive learning needs a comparison: how strongly are two neighbours active together when the network is left alone
# (**free**), and how strongly when its output is pulled towards the right answer (**clamped**)? Usually somebody stores the
# first and subtracts it from the second. Here nobody does. The pull goes up and down like a **sawtooth**, up quickly and
# down slowly; every synapse sees its own signal go up and down with it, remembers the last moment, and changes whenever
# what it remembers is large enough. That is all, and it learns MNIST.
#
# 1. What one synapse sees and does.
# 2. A network learns, live, in some seconds.
# 3. Take the memory away, or make the swings equal, and it does not.
# 4. The full experiment (10,000 digits, 35 epochs, five networks), from data that come with the package.
# 5. Which weights learn, what hidden units become, and what stays hard.
#
# Everything runs in less than a minute.

# %%
import matplotlib.pyplot as plt
import numpy as np

from chemlearn.data import load_mnist
from chemlearn.figures.figure3 import drawn, saved
from chemlearn.figures.figure3_panels import (
    draw_answers, draw_controls, draw_curves, draw_ranges, draw_units,
)
from chemlearn.figures.figure3_runs import rules
from chemlearn.learning.evaluation import prediction
from chemlearn.learning.layered import LayeredNetwork
from chemlearn.learning.ranges import range_shares
from chemlearn.learning.training import train

# %%
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
plt.rcParams.update({
    "figure.figsize": (6.4, 3.6), "figure.constrained_layout.use": True, "figure.dpi": 90,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "legend.fontsize": 8,
})

# %% [markdown]
# ## 1. One synapse
#
# The network has 784 pixels, 500 hidden units and 10 outputs; neighbouring layers are coupled in both directions, and the
# activities relax into a state of low energy. A weight $W_{ij}$ sees the product of the activities at its two ends, $s = x_i x_j$.
# We show an untrained network 20 digits and let the nudge $\beta$ rise from 0 (free) to ½ (clamped) in eight steps.

# %%
digits = load_mnist(2000, 500)
network = LayeredNetwork((784, 500, 10))
rule = rules()["temporal"]

params = network.init(np.random.default_rng(1))
images, target = digits.train.images[:20], np.eye(10)[digits.train.labels[:20]]
state, ramp = network.swing(params, images, target, 0.5)
signals = ramp["W2"].stack().reshape(9, -1)          # nine knots of every weight between hidden units and outputs
print(f"{signals.shape[1]} weights, each with its signal at {signals.shape[0]} nudges")

# %% [markdown]
# Over one period the signal goes through these knots in a tenth of the time and back through the same knots in the other nine
# tenths. The memory is ten numbers, one arch of recent values with a plus sign and one of older values with a minus sign
# (a sine): what comes out, $u = K * s$, is how fast the signal changed a moment ago. Then the threshold: only while
# $|u| \ge \theta$ does the weight change.

# %%
def over_a_period(knots, rise=0.1):
    """The signal at 100 instants."""
    times = np.append(np.linspace(0, rise, 9), np.linspace(rise, 1, 9)[1:])
    return np.interp(np.arange(100) / 100, times, np.append(knots, knots[-2::-1]))


def remembered(s):
    """u at the same instants."""
    return 0.01 * sum(value * np.roll(s, lag) for lag, value in enumerate(rule.kernel.values))


theta = rule.thresholds["W2"]
moment = abs(rule.kernel.first_moment)
contrast = signals[-1] - signals[0]
examples = {"too small": 0.5, "in range": 4.0, "too large": 9.0}       # contrast in units of the least that counts
fig, axes = plt.subplots(2, 3, figsize=(9, 4.2), sharex=True, height_ratios=[1, 1.3])
t = np.arange(100) / 100
for (title, wanted), (top, bottom) in zip(examples.items(), axes.T):
    chosen = np.argmin(np.abs(contrast - wanted * theta * 0.1 / moment))
    s = over_a_period(signals[:, chosen])
    u = remembered(s)
    counts = np.abs(u) >= theta
    top.plot(t, 1000 * (s - s[0]), color=BLUE)
    top.set_title(f"{title}: $\\Delta s$ = {1000 * contrast[chosen]:.1f} × 10⁻³", fontsize=10)
    bottom.axhspan(-1, 1, color=GREY, alpha=0.15, lw=0)
    bottom.plot(t, u / theta, color=GREY, lw=1)
    bottom.fill_between(t, np.where(counts, u / theta, 0), color=ORANGE, alpha=0.6, lw=0, step="mid")
    update = np.where(counts, u, 0).mean() / moment
    bottom.annotate(f"learned: {1000 * update:.1f} × 10⁻³", (0.97, 0.88), xycoords="axes fraction", ha="right", fontsize=9)
    bottom.set(xlabel="time in periods")
axes[0, 0].set_ylabel("signal, ×10³")
axes[1, 0].set_ylabel("memory u / θ")
plt.show()

# %% [markdown]
# Grey band: too quiet to count. Orange: what counts. A small change is not heard at all. A larger one is heard on the way up and
# not on the way down, and the weight changes in its direction; this is the comparison of clamped and free, made without
# ever storing either. The largest is heard on the way down as well, which takes much of it back, and all of it were it larger
# still. For a straight ramp the range in between is as wide as the swings are unlike, $\tau_s/\tau_f = 9$; these signals are
# curved, and their way down ends steeply. Where are the weights of this network?

# %%
for name, shares in range_shares(rule, ramp).items():
    print(f"{name}: " + ", ".join(f"{kind} {share:.1%}" for kind, share in shares._asdict().items()))

# %% [markdown]
# ## 2. A network learns
#
# 2,000 digits, three times through, 20 at a time. After each group of 20 the weights change by what their memories let through.

# %%
def tell(progress):
    print(f"epoch {progress.epoch}: wrong {progress.train_error:6.1%} of the training digits before each update, "
          f"{progress.holdout_error:6.1%} of those held out afterwards")


learned = train(network, rule, digits, epochs=3, seed=1, on_epoch=tell)

# %%
said = prediction(network, learned.params, digits.holdout.images[:16])
fig, axes = plt.subplots(2, 8, figsize=(7.2, 2.2))
for ax, image, number, true in zip(axes.flat, digits.holdout.images, said, digits.holdout.labels):
    ax.imshow(image.reshape(28, 28), cmap="gray_r")
    ax.set_title(str(number), color=GREEN if number == true else ORANGE, fontsize=10)
    ax.set_axis_off()
fig.suptitle("What it makes of digits that it never saw (orange: wrong)", fontsize=10);

# %% [markdown]
# ## 3. Controls
#
# **No memory** (Hebbian): the weights add up their signals themselves. Whatever fires together is strengthened, right or
# wrong.

# %%
hebbian = train(network, rules()["hebbian"], digits, epochs=2, seed=1, on_epoch=tell)

# %% [markdown]
# **Equal swings**: the same memory and threshold, but the way up takes as long as the way down. What one gives the other takes, to
# the last bit.

# %%
same = train(network, rules()["symmetric"], digits, epochs=1, seed=1, on_epoch=tell)
begun = network.init(np.random.default_rng(np.random.SeedSequence(1, spawn_key=(0,))))
largest = max(np.abs(same.params[name] - values).max() for name, values in begun.items())
print(f"largest change of any of {sum(values.size for values in begun.values()):,} weights and biases: {largest}")

# %% [markdown]
# ## 4. The full experiment
#
# As published: the first 10,000 digits of the MNIST training file, 35 epochs, 2,000 digits held out. It takes some minutes, so the
# package brings the data of such a run along; `chemlearn figure 3` makes them anew. Thin lines are single networks.

# %%
data = saved()
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
draw_curves(left, data)
draw_controls(right, data)
plt.show()

# %%
for claim in drawn(data).claims:
    print(f"- {claim}\n")

# %% [markdown]
# ## 5. Which weights learn
#
# As the network gets digits right, its output sits on the target and the nudge changes nothing: more and more weights see no
# signal. Those that do are mostly below the threshold or in range; few are above.

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
draw_ranges(left, data, "W1")
draw_ranges(right, data, "W2", legend=False)
left.set_title("pixels to hidden units", fontsize=10)
right.set_title("hidden units to classes", fontsize=10)
right.set_ylabel("")
plt.show()

# %% [markdown]
# What the hidden units look for: the weights from the pixels, red where ink excites the unit, blue where it inhibits it. Shown are the
# 30 units whose weights changed most.

# %%
fig, ax = plt.subplots(figsize=(6.4, 5.2))
draw_units(ax, data)
plt.show()

# %% [markdown]
# And what stays hard: digits that most of the five networks get wrong, what they are → what they are taken for.

# %%
fig, ax = plt.subplots(figsize=(6.4, 4.8))
draw_answers(ax, data)
plt.show()

# %% [markdown]
# ## Where to go from here
#
# - `chemlearn train mnist` trains with progress and checkpoints; `--rule contrastive` or `--symmetric` for the controls, `--data FOLDER` for
#   all of MNIST, `--resume` to go on.
# - `chemlearn figure 3` repeats the full experiment and says how it compares with what was published.
# - Any memory can learn: `Temporal(kernel, rates, thresholds)` takes the kernel of your own model
#   ([the third notebook](03_kernels_ladder_dissipation.ipynb) shows how to get one).
