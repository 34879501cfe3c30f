"""Signals: exact at their knots, exact covers, exact means, and refusals that name the place."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chemlearn.signal import Signal

relaxed = settings(max_examples=80, deadline=None, derandomize=True)


@st.composite
def signals(draw: st.DrawFn, *, periodic: bool | None = None) -> Signal:
    """Tables of up to six stretches, some of them jumps, at awkward binary fractions."""
    gaps = draw(st.lists(st.floats(0.01, 3.0), min_size=1, max_size=6))
    jumps = draw(st.lists(st.booleans(), min_size=len(gaps) + 1, max_size=len(gaps) + 1))
    times = np.repeat(np.concatenate([[0.0], np.cumsum(gaps)]), [1 + jump for jump in jumps])
    values = draw(st.lists(st.floats(-5, 5), min_size=len(times), max_size=len(times)))
    return Signal(times, np.array(values), draw(st.booleans()) if periodic is None else periodic)


def mean_by_hand(signal: Signal) -> float:
    parts = zip(signal.times[:-1], signal.times[1:], signal.values[:-1], signal.values[1:], strict=True)
    return sum((b - a) * (low + high) / 2 for a, b, low, high in parts) / signal.times[-1]


# ---- values


def test_sawtooth_is_the_papers() -> None:
    """F5 written out, s(t) = mean + A (t/rise − 1/2), then mean + A (1/2 − (t − rise)/fall)."""
    signal = Signal.sawtooth(2.0, 5.0, rise=0.5, fall=4.0, periodic=True)
    rising, falling = np.linspace(0, 0.5, 11)[:-1], np.linspace(0.5, 4.5, 11)[:-1]
    np.testing.assert_allclose(signal(rising), 3.5 + 3 * (rising / 0.5 - 0.5), rtol=1e-15)
    np.testing.assert_allclose(signal(falling), 3.5 + 3 * (0.5 - (falling - 0.5) / 4), rtol=1e-15)
    assert signal.period == 4.5
    assert signal.mean == 3.5


@pytest.mark.parametrize("periodic", [False, True])
def test_exact_at_knots_of_every_period(periodic: bool) -> None:
    signal = Signal.sawtooth(0.1, 0.7, rise=0.1, fall=0.2, periods=1 if periodic else 1000, periodic=periodic)
    k = np.arange(1000)
    period = 0.1 + 0.2
    assert np.all(signal(k * period) == 0.1)
    assert np.all(signal(k * period + 0.1) == 0.7)


@given(signals(periodic=True), st.integers(-10_000, 10_000))
@relaxed
def test_knots_do_not_drift(signal: Signal, k: int) -> None:
    seg = signal.segments
    assert np.all(signal(k * signal.period + seg.starts) == seg.values)


@given(signals(periodic=False))
@relaxed
def test_right_continuous_at_jumps_and_held_outside(signal: Signal) -> None:
    last = np.append(np.diff(signal.times) > 0, True)
    assert np.all(signal(signal.times[last]) == signal.values[last])
    assert signal(-1.0) == signal.values[0]
    assert signal(signal.period + 7.0) == signal.values[-1]
    # ... and just before a knot the value is that of the stretch that ends there.
    first = np.append(True, np.diff(signal.times) > 0)[1:]
    ends = signal.times[1:][first]
    np.testing.assert_allclose(signal(np.nextafter(ends, -1)), signal.values[1:][first], atol=1e-12)


def test_a_period_ends_where_it_starts() -> None:
    """The end of a table and its start are one instant; the start's value holds there."""
    signal = Signal(np.array([0.0, 1.0]), np.array([0.0, 1.0]), periodic=True)
    np.testing.assert_array_equal(signal([0.0, 0.5, 1.0, 2.0, -0.25]), [0.0, 0.5, 0.0, 0.0, 0.75])
    assert signal.segments.jumps[0] == -1.0


def test_constructors() -> None:
    np.testing.assert_array_equal(Signal.constant(3.0)([-1, 0, 9]), [3, 3, 3])
    np.testing.assert_array_equal(Signal.step(1.0, 4.0)([-1e-9, 0, 9]), [1, 4, 4])
    np.testing.assert_array_equal(Signal.step(1.0, 4.0, at=2.0)([0, 1.999, 2, 9]), [1, 1, 4, 4])
    square = Signal.square(1.0, 4.0, first=2.0, second=3.0, periods=2)
    np.testing.assert_array_equal(square([0, 1.9, 2, 4.9, 5, 7, 9.9, 10, 11]), [1, 1, 4, 4, 1, 4, 4, 1, 1])
    assert square.mean == pytest.approx((2 * 1 + 3 * 4) / 5, rel=1e-15)
    np.testing.assert_array_equal(Signal.from_table([[0, 1], [2, 5]])([0, 1, 2]), [1, 3, 5])


def test_a_sawtooth_may_rise_slowly_and_may_fall_first() -> None:
    signal = Signal.sawtooth(5.0, 2.0, rise=9.0, fall=1.0)
    np.testing.assert_array_equal(signal([0, 9, 10]), [5, 2, 5])


def test_arrays_are_read_only_copies() -> None:
    times, values = np.array([0.0, 1.0]), np.array([2.0, 3.0])
    signal = Signal(times, values)
    times[1] = values[1] = 99
    assert signal(1.0) == 3.0
    with pytest.raises(ValueError, match="read-only"):
        signal.values[0] = 1.0


def test_repr_is_one_short_line() -> None:
    text = repr(Signal.sawtooth(1, 3, rise=1, fall=9, periods=500, periodic=True))
    assert text == "Signal(1001 knots, period 5000, s from 1 to 3)"


@given(signals())
@relaxed
def test_dict_round_trip_is_exact(signal: Signal) -> None:
    again = Signal.from_dict(json.loads(json.dumps(signal.to_dict())))
    assert np.array_equal(again.times, signal.times)
    assert np.array_equal(again.values, signal.values)
    assert again.periodic is signal.periodic


# ---- means and integrals


@given(signals())
@relaxed
def test_mean(signal: Signal) -> None:
    assert signal.mean == pytest.approx(mean_by_hand(signal), rel=1e-13, abs=1e-13)


def test_mean_of_a_constant_is_that_constant() -> None:
    assert Signal(np.cumsum([0, 0.1, 0.7, 0.3]), np.full(4, 0.1)).mean == 0.1
    assert Signal.constant(0.3).mean == 0.3
    assert Signal.step(0.0, 2.0).mean == 2.0


@given(signals(), st.floats(-20, 20), st.floats(0, 20))
@relaxed
def test_integral_is_the_sum_over_pieces(signal: Signal, start: float, length: float) -> None:
    pieces = list(signal.pieces(start, start + length))
    by_hand = sum((p.stop - p.start) * (p.value + p.slope * (p.stop - p.start) / 2) for p in pieces)
    exact = signal.integral(start + length) - signal.integral(start)
    assert exact == pytest.approx(by_hand, rel=1e-11, abs=1e-10)


# ---- pieces


@given(signals(), st.floats(-20, 20), st.floats(0, 20))
@relaxed
def test_pieces_cover_exactly_and_never_straddle_a_knot(signal: Signal, start: float, length: float) -> None:
    stop = start + length
    pieces = list(signal.pieces(start, stop))
    if stop == start:
        assert pieces == []
        return
    assert (pieces[0].start, pieces[-1].stop) == (start, stop)
    for before, after in pairwise(pieces):
        assert before.stop == after.start
    k = np.arange(np.floor(start / signal.period) - 1, np.ceil(stop / signal.period) + 2)
    knots = (k * signal.period if signal.periodic else np.zeros(1))[:, None] + signal.segments.starts
    for piece in pieces:
        assert piece.start < piece.stop
        assert not np.any((knots > piece.start) & (knots < piece.stop))
        assert piece.value == signal(piece.start)
        inside = np.linspace(piece.start, piece.stop, 5)[1:-1]
        slope_error = 1e-12 * (1 + abs(piece.slope))
        expected = piece.value + piece.slope * (inside - piece.start)
        np.testing.assert_allclose(signal(inside), expected, atol=1e-11 + slope_error, rtol=1e-11)


def test_pieces_of_a_late_period_start_at_its_knots() -> None:
    signal = Signal.sawtooth(0.0, 1.0, rise=0.1, fall=0.2, periodic=True)
    first = 100_000 * signal.period
    pieces = list(signal.pieces(first, first + 3 * signal.period))
    starts = [k * signal.period + knot for k in range(100_000, 100_003) for knot in (0.0, 0.1)]
    assert [piece.start for piece in pieces][:6] == starts
    assert {piece.value for piece in pieces[:6]} == {0.0, 1.0}


# ---- staircase


@given(signals(), st.integers(1, 7))
@relaxed
def test_staircase_keeps_the_mean_and_has_no_ramps(signal: Signal, steps: int) -> None:
    stairs = signal.staircase(steps)
    assert stairs.mean == pytest.approx(signal.mean, rel=1e-12, abs=1e-12)
    assert np.all(stairs.segments.slopes == 0)
    assert stairs.period == signal.period
    if not signal.periodic:
        assert stairs(-1.0) == signal(-1.0)
        assert stairs(signal.period) == signal(signal.period)


def test_staircase_steps_sit_at_mid_values() -> None:
    stairs = Signal.sawtooth(0.0, 6.0, rise=3.0, fall=9.0).staircase(3)
    np.testing.assert_array_equal(stairs([0, 0.9, 1, 2, 3, 6, 9, 12]), [1, 1, 3, 5, 5, 3, 1, 0])


# ---- tables in files


@pytest.mark.parametrize(
    "text",
    [
        "0,1\n2,5\n2,7\n",
        "time,value\n0,1\n2,5\n2,7\n",
        "# ligand, uM\n\ntime value\n0 1\n 2\t5\n\n2 7",
        "\ufefft;s\n0;1\n2;5\n2;7\n",
    ],
)
def test_tables_are_read(text: str, tmp_path) -> None:
    path = tmp_path / "drive.csv"
    path.write_text(text, encoding="utf-8")
    signal = Signal.from_table(path)
    np.testing.assert_array_equal(signal.times, [0, 2, 2])
    np.testing.assert_array_equal(signal.values, [1, 5, 7])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t,s\n0,1\n3.0\n", r"drive\.csv:3: a row is two numbers, time and value, got '3\.0'"),
        ("t,s\n0,1\nlater,2\n", r"drive\.csv:3: a row is two numbers"),
        ("t,s\n0,1\n1,nan\n", r"drive\.csv:3: time and value must be finite"),
        ("0,1\n\n2,5\n1,5\n", r"drive\.csv:4: times must not decrease, got 1 after 2"),
        ("# x\n1,1\n2,5\n", r"drive\.csv:2: the first time must be 0, got 1"),
        ("0,1\n1,1\n1,2\n1,3\n", r"drive\.csv:4: at most two knots may share a time"),
        ("time,value\n", r"drive\.csv: no rows"),
    ],
)
def test_bad_tables_name_file_and_line(text: str, message: str, tmp_path) -> None:
    path = tmp_path / "drive.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        Signal.from_table(str(path))


def test_unreadable_tables(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"cannot read the signal table .*none\.csv: No such file"):
        Signal.from_table(tmp_path / "none.csv")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(ValueError, match="not a text file"):
        Signal.from_table(tmp_path / "picture.png")


# ---- refusals


@pytest.mark.parametrize(
    ("times", "values", "message"),
    [
        ([], [], "times of a signal must be a list of at least one number"),
        ([0, 1], [1], "one value per time, got 2 and 1"),
        ([1, 2], [1, 2], "knot 0 of the signal: the first time must be 0, got 1"),
        ([0, 2, 1], [1, 2, 3], "knot 2 of the signal: times must not decrease, got 1 after 2"),
        ([0, 1, 1, 1], [1, 2, 3, 4], "knot 3 of the signal: at most two knots may share a time"),
        ([0, np.inf], [1, 2], "knot 1 of the signal: time and value must be finite"),
        ([0, 1], [1, np.nan], "knot 1 of the signal: time and value must be finite"),
    ],
)
def test_bad_knots_are_named(times: list[float], values: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Signal(np.array(times), np.array(values))


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"rise and fall must be positive, got rise=-1\.0"):
        Signal.sawtooth(0, 1, rise=-1.0, fall=1.0)
    with pytest.raises(ValueError, match="rise and fall must be positive, got fall=0"):
        Signal.sawtooth(0, 1, rise=1.0, fall=0)
    with pytest.raises(ValueError, match="rise and fall must be finite, got fall=inf"):
        Signal.sawtooth(0, 1, rise=1.0, fall=np.inf)
    with pytest.raises(ValueError, match="first and second must be positive"):
        Signal.square(0, 1, first=0.0, second=1.0)
    with pytest.raises(ValueError, match="periods must be a whole number"):
        Signal.sawtooth(0, 1, rise=1.0, fall=1.0, periods=0)
    with pytest.raises(ValueError, match="period above 0"):
        Signal(np.zeros(1), np.ones(1), periodic=True)
    with pytest.raises(ValueError, match="finite time of 0 or later, got at=-1"):
        Signal.step(0, 1, at=-1)
    with pytest.raises(ValueError, match="start <= stop"):
        Signal.constant(1).pieces(2, 1)
    with pytest.raises(ValueError, match="steps must be a whole number"):
        Signal.constant(1).staircase(0)
    with pytest.raises(ValueError, match=r"rows of \(time, value\), got an array of shape \(3,\)"):
        Signal.from_table([0, 1, 2])
