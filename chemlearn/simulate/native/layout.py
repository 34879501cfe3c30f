"""Where things lie in memory: the state of all lanes, and the run that they share.

The state is a table of 64-bit words, one row per quantity and one column per lane, so that a step reads and
writes whole vectors. Everything that a trajectory is stands in its column: a lane can be emptied, refilled or
moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

LANES = 32  #: columns; more do not fit the nearest cache of large models, fewer do not hide the latencies
LOG_ROWS = 3  #: rows of the log for every sweep


class Word(IntEnum):
    """Words of the run: addresses, and counts that the machine code changes."""

    STATE = 0  # address of the table of lanes
    CONSTANTS = 1  # address of K0, K1, ...
    TIMES = 2  # address of the output times, and a nan after them
    INITIAL = 3  # address of the amounts at time 0
    STREAMS = 4  # address of four words per trajectory: where its random numbers start
    PIECES = 5  # address of the signal's straight pieces: stop, start, D0.., G0..
    RESULT = 6  # address of the amounts at the output times, (trajectory, time, species)
    N_TIMES = 7
    N_RECORDED = 16  # words of the result per output time: the species', and room for what follows from them
    WAITING = 8  # the next trajectory that no lane has taken
    N_TRAJECTORIES = 9
    ACTIVE = 10  # lanes in use are 0 ... ACTIVE - 1
    IDLE = 11  # 1 when some of those have nothing to do
    FAILED = 12  # 1 + a lane whose next firing cannot be computed
    SWEEPS = 13  # steps made so far
    LIMIT = 14  # most steps that a trajectory may make
    END = 15  # sweep at which to return
    LOG = 17  # address of the log: time, what fired and trajectory of every lane, sweep by sweep
    LOG_START = 18  # the sweep that its first entries belong to


@dataclass(frozen=True)
class Layout:
    """Rows of the table of lanes.

    Parameters
    ----------
    n_species, n_drives : int
    n_counted, n_integrated : int
        Reactions whose firings are counted, and whose propensities are integrated.
    ramped : bool
        As in :class:`~chemlearn.simulate.native.laws.Plan`.
    n_moved, n_lows : int
        Of T0, T1, ..., and of those of which the least value is needed.
    """

    n_species: int
    n_drives: int
    n_counted: int
    n_integrated: int
    ramped: bool
    n_moved: int = 0
    n_lows: int = 0

    @property
    def counted(self) -> int:
        """Firings of each reaction since time 0."""
        return self.n_species

    @property
    def integrated(self) -> int:
        """Integrals of the propensities from time 0 to ``since``."""
        return self.n_species + self.n_counted

    @property
    def n_reported(self) -> int:
        """Rows from the first on that are written at output times."""
        return self.n_species + self.n_counted + self.n_integrated

    @property
    def since(self) -> int:
        """The instant up to which the propensities have been integrated; no row where they are not."""
        return self.n_reported

    @property
    def nothing(self) -> int:
        """A row that nobody reads: what a firing of fewer species changes instead."""
        return self.since + bool(self.n_integrated)

    @property
    def drives(self) -> int:
        """D0, D1, ... at the start of the piece."""
        return self.nothing + 1

    @property
    def slopes(self) -> int:
        """G0, G1, ...; no rows without ramps."""
        return self.drives + self.n_drives

    @property
    def lows(self) -> int:
        """Least T0, T1, ... on the piece."""
        return self.slopes + (self.n_drives if self.ramped else 0)

    @property
    def highs(self) -> int:
        """Greatest T0, T1, ... on the piece."""
        return self.lows + self.n_lows

    @property
    def sure(self) -> int:
        """Least share of its greatest value that a factor of the laws has on the piece."""
        return self.highs + self.n_moved

    @property
    def n_piece(self) -> int:
        """Rows from ``drives`` on that every piece of the signal brings along."""
        return self.time - self.drives

    @property
    def time(self) -> int:
        return self.sure + bool(self.n_moved)

    @property
    def attention(self) -> int:
        """The next instant at which something other than a firing is due."""
        return self.time + 1

    @property
    def stop(self) -> int:
        """When the straight piece of the signal ends."""
        return self.time + 2

    @property
    def start(self) -> int:
        """When it began."""
        return self.time + 3

    @property
    def stream(self) -> int:
        """Four rows: the state of the random numbers."""
        return self.time + 4

    @property
    def chosen(self) -> int:
        """What is to fire: the reaction's offset in the table of changes."""
        return self.time + 8

    @property
    def output(self) -> int:
        """Number of the next output time."""
        return self.time + 9

    @property
    def piece(self) -> int:
        """Address of the straight piece."""
        return self.time + 10

    @property
    def trajectory(self) -> int:
        """Number within the block; -1 in a lane without one."""
        return self.time + 11

    @property
    def born(self) -> int:
        """The sweep at which the trajectory began."""
        return self.time + 12

    @property
    def n_rows(self) -> int:
        return self.time + 13
