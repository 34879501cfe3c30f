"""What a user gets from each of our engines is what that engine makes: kept or reduced, on any threads."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest

from chemlearn.model import Model
from chemlearn.simulate import simulate_ssa
from chemlearn.simulate.engines import engine
from chemlearn.simulate.leap import LangevinRun, TauRun
from chemlearn.simulate.native import Run as Lanes
from chemlearn.simulate.sparse import Run as Sparse

REACTIONS = "s = 100000; k = 1; made: => X; s; lost: X => ; k*X; u := 2*X;"
BIRTH_DEATH = f"substanceOnly species X; X = 200000; {REACTIONS}"
EVENT = f"substanceOnly species X; X = 200; {REACTIONS} at time > 0.7: X = 9;".replace("100000", "90")
TIMES = np.array([0.0, 0.5, 1.5])
OURS = {
    "lanes": ("native", BIRTH_DEATH.replace("000;", ";"), Lanes),
    "sparse": ("native", EVENT, Sparse),
    "tau": ("tau", BIRTH_DEATH, TauRun),
    "langevin": ("langevin", BIRTH_DEATH, LangevinRun),
}


@pytest.mark.parametrize("name", OURS)
def test_a_user_gets_what_the_engine_makes(name: str) -> None:
    which, text, kind = OURS[name]
    model, how = Model.load(text), {"seed": 5, "engine": which, "trajectories": 70}
    run = engine(which, model, TIMES, None, {}, Event(), {})
    assert type(run) is kind
    made = run(range(70), 5, 0)
    for workers in (1, 2):
        kept = simulate_ssa(model, TIMES, workers=workers, **how)
        np.testing.assert_array_equal(kept.X, made[..., 0])
        np.testing.assert_array_equal(kept.u, 2 * made[..., 0])
        assert kept.attrs["method"] == run.method
        reduced = simulate_ssa(model, TIMES, workers=workers, reduce="mean", **how)
        np.testing.assert_allclose(reduced.X_mean, made[..., 0].mean(axis=0), rtol=1e-12)
    part = simulate_ssa(model, TIMES, **(how | {"trajectories": range(33, 41)}))
    np.testing.assert_array_equal(part.X, made[33:41, :, 0])


@pytest.mark.parametrize("which", ["tau", "langevin"])
def test_approximate_engines_are_not_the_exact_one(which: str) -> None:
    """And the Langevin equation has real amounts, leaps have whole ones."""
    model = Model.load(BIRTH_DEATH)
    exact = simulate_ssa(model, TIMES, trajectories=3, seed=5)
    other = simulate_ssa(model, TIMES, trajectories=3, seed=5, engine=which)
    assert not np.array_equal(exact.X[:, 1:], other.X[:, 1:])
    assert np.all(np.round(other.X) == other.X) == (which == "tau")
