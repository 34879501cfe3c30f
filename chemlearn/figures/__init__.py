"""The figures of Falk et al. and Stern et al. and some of ours: functions that return data, picture, claims.

Every figure is a function ``figN(*, fast=False, seed=...)`` that writes nothing and returns a
:class:`~chemlearn.figures.shared.Drawn`; it is loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from chemlearn.figures.figure2 import fig2
    from chemlearn.figures.figure3 import fig3
    from chemlearn.figures.figure4 import fig4
    from chemlearn.figures.figure5 import fig5
    from chemlearn.figures.figure6 import fig6
    from chemlearn.figures.figure8 import fig8
    from chemlearn.figures.figure9 import fig9
    from chemlearn.figures.figure_bodies import bodies
    from chemlearn.figures.figure_ladders import ladders
    from chemlearn.figures.figure_one_network import one_network
    from chemlearn.figures.figure_pareto import pareto
    from chemlearn.figures.figure_stern1 import stern1
    from chemlearn.figures.figure_stern2 import stern2
    from chemlearn.figures.figure_stern3 import stern3
    from chemlearn.figures.shared import Claim, Drawn


class Entry(NamedTuple):
    """Where a figure is made, and what it shows in one line."""

    function: str
    module: str
    about: str

    def __call__(self, **how: Any) -> Drawn:
        """Make the figure; ``fast`` and ``seed`` as in its function."""
        return getattr(import_module(f"chemlearn.figures.{self.module}"), self.function)(**how)


# No module is called fig2 and so on: once imported it would stand in the place of the function of that name.
FIGURES = {
    "2": Entry("fig2", "figure2", "a kernel with two lobes takes the difference that learning needs"),
    "3": Entry("fig3", "figure3", "a network learns handwritten digits from a sawtooth and memory alone"),
    "4": Entry("fig4", "figure4", "the range of contrasts that is learned against the protocol's timescales"),
    "5": Entry("fig5", "figure5", "a kernel with an area adds an offset that grows with the rise time"),
    "6": Entry("fig6", "figure6", "the offset of random ladders falls as they dissipate more"),
    "8": Entry("fig8", "figure8", "how long the rise must last, in kernel times, for learning to set in"),
    "9": Entry("fig9", "figure9", "the ladder: its kernel, its dissipation and its offset"),
    "ladders": Entry("ladders", "figure_ladders", "offset and molecular noise of ladders of N molecules"),
    "pareto": Entry(
        "pareto", "figure_pareto", "the least offset at each dissipation, over all rates of the ladder"
    ),
    "bodies": Entry(
        "bodies",
        "figure_bodies",
        "tubes, springs and memristors that learn by the physics of their edges",
    ),
    "one-network": Entry(
        "one_network",
        "figure_one_network",
        "a network of resistors that learns by a sawtooth, without a second copy",
    ),
    "stern-1": Entry(
        "stern1", "figure_stern1", "resistors that learn in discrete steps while capacitors slow the voltages"
    ),
    "stern-2": Entry(
        "stern2", "figure_stern2", "learning faster than voltages settle: errors, final errors, oscillations"
    ),
    "stern-3": Entry(
        "stern3",
        "figure_stern3",
        "training time against the ratio of rates, and where it begins to oscillate",
    ),
}
"""Every figure by the name that the command line knows it by."""

_HOME_OF = {entry.function: entry.module for entry in FIGURES.values()} | {
    "Claim": "shared",
    "Drawn": "shared",
}

__all__ = [
    "FIGURES",
    "Claim",
    "Drawn",
    "Entry",
    "bodies",
    "fig2",
    "fig3",
    "fig4",
    "fig5",
    "fig6",
    "fig8",
    "fig9",
    "ladders",
    "one_network",
    "pareto",
    "stern1",
    "stern2",
    "stern3",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'chemlearn.figures' has no attribute {name!r}")
    value = getattr(import_module(f"chemlearn.figures.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
