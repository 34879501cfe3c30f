"""A drawing of the two-rail ladder, and ticks, for the figures that show what it does."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from chemlearn.figures.shared import BLACK, BLUE, GREY, ORANGE

COLUMNS = 5
_HEIGHT, _GAP, _ASIDE = 1.0, 0.17, 0.055  # of the rails; between arrow and state; between opposite arrows


def sketch(ax: Axes, *, rates: bool = False) -> None:
    """Ten states on two rails, the exchange between the rails, and the methylation steps along them.

    Column 0 stands at the right, so that the way the drive turns the ladder is clockwise to the eye too.

    Parameters
    ----------
    ax : Axes
        Nothing else should be in it.
    rates : bool
        Write every kind of rate beside its arrow, and the energy below; else only what turns the ladder.
    """
    for m in range(COLUMNS):
        _exchange(ax, m)
        for y in (0.0, _HEIGHT):
            ax.plot(_place(m), y, "o", ms=11, mfc="white", mec=BLACK, mew=1.1, zorder=3)
            ax.text(_place(m), y, f"{m}", ha="center", va="center", fontsize=7, zorder=4)
    for left in range(COLUMNS - 1):
        _steps(ax, left, _HEIGHT, rightwards=True)
        _steps(ax, left, 0.0, rightwards=False)
    ax.text(-0.45, _HEIGHT, "top", ha="right", va="center")
    ax.text(-0.45, 0.0, "bottom", ha="right", va="center")
    for x, y, words, colour in (
        (0.5, _HEIGHT + 0.2, "1", BLUE),
        (0.5, _HEIGHT - 0.28, r"$e\gamma$", GREY),
        (3.5, 0.14, r"$e\gamma$", GREY),
        (3.5, -0.32, "1", BLUE),
    ):
        ax.text(x, y, words, color=colour, ha="center")
    if rates:
        _write_rates(ax)
    else:
        _write_cause(ax)
    ax.set(xlim=(-1.5, COLUMNS - 0.4), ylim=(-0.95, _HEIGHT + 0.5))
    ax.set_axis_off()


def log_ticks(ax: Axes, places: Sequence[float]) -> None:
    """Ticks of a logarithmic horizontal axis at these places only, written in full."""
    ax.set_xticks(places, [f"{place:g}" for place in places])
    ax.xaxis.set_minor_formatter("")


def _place(m: int) -> float:
    return COLUMNS - 1.0 - m


def _exchange(ax: Axes, m: int) -> None:
    """Down and up between the rails, the faster one with a thick arrow at zero ligand."""
    for aside, start, stop, thick in ((-_ASIDE, _HEIGHT, 0.0, m <= 1), (_ASIDE, 0.0, _HEIGHT, m >= 1)):
        inwards = _GAP if start < stop else -_GAP
        x = _place(m) + aside
        _arrow(ax, (x, start + inwards), (x, stop - inwards), ORANGE, 1.6 if thick else 0.8)


def _steps(ax: Axes, left: int, y: float, *, rightwards: bool) -> None:
    """Methylation steps between two columns: clockwise outside, the driven way, and back inside."""
    outer = _ASIDE if y > 0 else -_ASIDE
    ends = (left + _GAP, left + 1 - _GAP) if rightwards else (left + 1 - _GAP, left + _GAP)
    _arrow(ax, (ends[0], y + outer), (ends[1], y + outer), BLUE, 1.4)
    _arrow(ax, (ends[1], y - outer), (ends[0], y - outer), GREY, 0.8)


def _arrow(
    ax: Axes, start: tuple[float, float], stop: tuple[float, float], colour: str, width: float
) -> None:
    how = {"arrowstyle": "-|>", "mutation_scale": 7, "color": colour, "lw": width, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", stop, start, arrowprops=how)


def _write_cause(ax: Axes) -> None:
    """What the ligand does and what γ does."""
    ax.text(
        (COLUMNS - 1) / 2,
        -0.72,
        "ligand $s$ moves molecules down at once (orange);\n"
        r"methylation, driven where $\gamma < 1$, brings them back (blue)",
        ha="center",
        va="center",
        fontsize=8,
    )


def _write_rates(ax: Axes) -> None:
    """The rates of F50 to F52."""
    left, right = _place(COLUMNS - 1), _place(0)
    ax.text(left - 0.12, 0.5, "$F$", color=ORANGE, ha="right", va="center")
    ax.text(left + 0.12, 0.5, r"$F e^{-\Delta E}$", color=ORANGE, ha="left", va="center")
    ax.text(right - 0.12, 0.5, r"$F e^{\Delta E}$", color=ORANGE, ha="right", va="center")
    ax.text(right + 0.12, 0.5, "$F$", color=ORANGE, ha="left", va="center")
    energy = r"$\Delta E_m = 2(1-m) + \ln\,[(1 + s/18.2)\,/\,(1 + s/3000)]$"
    ax.text((COLUMNS - 1) / 2, -0.72, energy, ha="center", va="center")
