"""Further rows of the table of lanes, for runs that leap."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from chemlearn.simulate.leap.rule import Leaps
from chemlearn.simulate.native.layout import Layout, Word
from chemlearn.simulate.native.loop import layout_of as exact_layout

TALLIES = ("steps", "fired")  #: of all trajectories that a lane has served
TALLY_WORD = len(Word)  #: a further word of the run: address of the tallies, (2, n_lanes)


@dataclass(frozen=True)
class LeapLayout(Layout):
    """Rows of the table of lanes.

    Parameters
    ----------
    n_reactions : int
    """

    n_reactions: int = 0

    @property
    def exact(self) -> int:
        """Steps that are still to be taken one firing at a time."""
        return super().n_rows

    @property
    def haste(self) -> int:
        """1/τ that the next leap must exceed, after one that went below 0; else 0."""
        return self.exact + 1

    @property
    def singles(self) -> int:
        """Steps of the trajectory that a reaction ended which fired by itself, and exact ones."""
        return self.exact + 2

    @property
    def fired(self) -> int:
        """Firings in its leaps, in the mean."""
        return self.exact + 3

    @property
    def wait(self) -> int:
        """How long until a reaction fires by itself; infinite if none does in this step."""
        return self.exact + 4

    @property
    def choice(self) -> int:
        """A uniform number that says which."""
        return self.exact + 5

    @property
    def sound(self) -> int:
        """1 if the leap has not gone below 0 so far, else 0."""
        return self.exact + 6

    @property
    def means(self) -> int:
        """Of each reaction: the mean of its firings in a stage, then their number."""
        return self.exact + 7

    @property
    def after(self) -> int:
        """The amounts after the stage."""
        return self.means + self.n_reactions

    @property
    def n_rows(self) -> int:
        return self.after + self.n_species


def layout_of(leaps: Leaps) -> LeapLayout:
    plain = exact_layout(replace(leaps.plan, ramped=leaps.ramped))
    return LeapLayout(**asdict(plain), n_reactions=len(leaps.plan.laws))
