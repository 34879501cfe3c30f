"""Streams of random numbers: one per trajectory, from root seed, point and trajectory number alone."""

from __future__ import annotations

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ over the golden ratio


def streams(seed: int, point: int, trajectories: range) -> np.ndarray:
    """Where each trajectory's xoshiro256++ generator starts.

    ``SeedSequence(seed, spawn_key=(point,))`` gives the point a key of 256 bits. The state of trajectory k is
    a hash of that key and k in which every word has been through two rounds of a bijective mixer, each with
    another word of the key. For one key each word is a bijection of k, so no two trajectories of a point
    share a state.

    Parameters
    ----------
    seed : int
        Root seed, at least 0, of any size.
    point : int
    trajectories : range

    Returns
    -------
    (n_trajectories, 4) array of uint64
    """
    key = np.random.SeedSequence(seed, spawn_key=(point,)).generate_state(4, np.uint64)
    numbers = np.arange(trajectories.start, trajectories.stop, trajectories.step, dtype=np.uint64)[:, None]
    with np.errstate(over="ignore"):
        first = _mixed(key + _GOLDEN * (numbers + np.uint64(1)))
        return np.ascontiguousarray(_mixed(first ^ np.roll(key, 1)))


def _mixed(x: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64 (Steele, Lea, Flood, doi:10.1145/2714064.2660195), a bijection."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
