"""Where things lie in memory: one trajectory's cells, the tree of bounds, tables, and the words of a run.

The *cells* hold every number that a formula may read: the state first (amounts, then what events set), then
counts of firings, constants, what moves, signs, and numbers. A formula finds its operands by their cells.

The tree has four children per node: node i has the children 4i ... 4i + 3, the root is node 1, and the leaves
are the last level. A node is the sum of its children, (a + b) + (c + d), computed anew whenever one of them
changes: a binary tree of sums of which every second level is stored, without drift.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

DRIVES = 3  #: what moves: the input, time, and the input's slope; now, and then at the end of the window
INPUT, CLOCK, SLOPE = range(DRIVES)
BEGIN, END = (
    2 * DRIVES,
    3 * DRIVES,
)  #: so many cells further on, what moves at the ends of a part of an integral
PIECE = 5  #: numbers of a straight piece of the signal: stop, start, value, slope, value at its end
LOG_HEAD = 2  #: numbers of an entry of the log before the state: time, and what happened
PENDING_HEAD = 2  #: numbers of a pending event before its new values: which it is, and when


class Word(IntEnum):
    """Words of a run: addresses, numbers, and counts that the machine code changes."""

    # addresses
    CELLS = 0
    BOUNDS = 1  # the tree
    SUMS = 2  # at 4i + k the sum of the first k children of node i
    PROPENSITIES = 3  # of every law; the bound over the window where it moves
    LAWS = 4  # shape and first operand of every formula; those of the reactions come first
    OPERANDS = 5  # cells
    CAUSES = 6  # where the records of the reactions begin, then those of the events
    RECORDS = 7
    ORDER = 8  # the reactions' numbers in the network
    TIMES = 9  # output times, and a nan after them
    INITIAL = 10  # state at time 0
    STREAMS = 11  # four words per trajectory: where its random numbers start
    PIECES = 12
    RESULT = 13  # (trajectory, output time, recorded)
    LOG = 14  # time, what, and the state after it, of every firing
    EVENTS = 15  # a row of the table per event
    ASSIGNED = 16  # a row per assignment
    LINES = 17  # a row per straight line
    TRUTH = 18  # of each trigger
    ROOTS = 19  # when each line crosses 0
    SLOPES = 20  # and where to
    PENDING = 21  # events that wait for their execution
    SCRATCH = 22  # new values
    # counts that stay
    N_STATE = 23
    N_COPIED = 24  # cells that are written at output times
    N_RECORDED = 25  # words of the result per output time
    N_TIMES = 26
    N_TRAJECTORIES = 27
    N_PIECES = 28
    N_LAWS = 29
    N_EVENTS = 30
    N_LINES = 31
    FIRST_MOVED = 32  # number of the first law that the input or time moves
    LEAVES = 33  # node of the first leaf
    NOW = 34  # cell of the first thing that moves
    SIGNS = 35  # cell of the first sign
    LIMIT = 36  # most firings and instants of a trajectory
    MOST_REJECTED = 37  # candidates that do not fire, before a window is halved
    LOG_ROOM = 38  # entries
    PENDING_ROOM = 39
    PENDING_WIDTH = 40  # numbers of a pending event
    # counts that change
    TRAJECTORY = 41
    OUTPUT = 42  # number of the next output time
    AT_PIECE = 43  # number of the straight piece
    STEPS = 44
    END = 45  # step at which to return
    FIRED = 46  # firings and instants of the trajectory
    REJECTED = 47  # candidates that did not fire in this window
    LOGGED = 48  # entries of the log
    N_PENDING = 49
    EXECUTED = 50  # events at this instant
    UNFINISHED = 51  # whether the events of this instant wait for room
    CLOSING = 52  # whether this instant is the last
    FAILED = 53  # a Failure
    LOOKED = 69  # 1 + the piece that has been looked through for what is infinite
    CULPRIT = 54  # the event or the assignment that it is about
    # numbers
    TIME = 55
    INSTANT = 56  # when something other than a firing or an output is next
    ATTENTION = 57  # when something other than a firing is next
    STOP = 58  # end of the straight piece
    WINDOW = 59  # length of windows
    LENGTH = 60  # of this one
    WINDOW_END = 61  # until when the bounds in the tree hold
    WAITING = 62  # drawn for the next firing: exponential
    CHOICE = 63  # and uniform
    VALUE = 64  # what a failure is about
    STREAM = 65  # four words: the random numbers
    # integrals of propensities
    INTEGRALS = 70  # address: of every law, since when, and the integral until then
    STRIDES = 71  # address: how far to go at once, for laws that move
    CURVES = 72  # address: a Curve of every law
    LEAST = 73  # numbers: between which values a law stays
    MOST = 74
    HALVED = 75  # whether a stretch had to be cut

    WORDS = 76  # how many there are


class Curve(IntFlag):
    """How a law moves between two changes of the state."""

    BENT = 1  # not in proportion to the input or time
    TIMED = 2  # also where the input stands still
    JUMPS = 4


class Cause(IntEnum):
    """Where in the record of a cause (a reaction, an event) each of its lists begins.

    The next list's beginning is its end.
    """

    CHANGES = 0  # cells of the state, and by how much they change
    DEPENDENTS = 1  # laws to compute anew
    TRIGGERS = 2  # events to look at
    LINES = 3  # straight lines to locate anew
    END = 4
    SHORT = 5  # whether there might not be enough to take; after it the lists


class Happening(IntEnum):
    """Columns of the table of events; formulas by their numbers, -1 for none."""

    TRIGGER = 0
    FIRST = 1  # row of its first assignment
    COUNT = 2  # of its assignments
    DELAY = 3
    PRIORITY = 4
    PERSISTENT = 5
    AT_TRIGGER = 6  # whether new values are those at the trigger
    INITIAL = 7

    WIDTH = 8


class Assigned(IntEnum):
    """Columns of the table of assignments."""

    FORMULA = 0
    CELL = 1
    IS_AMOUNT = 2

    WIDTH = 3


class Straight(IntEnum):
    """Columns of the table of straight lines."""

    DIFFERENCE = 0
    RATE = 1
    DRIVEN = 2  # whether the input occurs in it

    WIDTH = 3


class Failure(IntEnum):
    """Why the machine code stopped."""

    BROKEN = 1  # a propensity is negative or not a number, or more is taken than there is
    UNBOUNDED = 2  # no bound along the ramp
    TOO_LONG = 3
    ASSIGNED = 4  # an event sets what cannot be
    DELAY = 5
    ENDLESS = 6  # events that trigger one another for ever
    ROUGH = 7  # a propensity that cannot be integrated
