"""Pictures of networks: which pieces are drawn, how wide, on which scale, and how many frames are written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.animation import PillowWriter
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

from chemlearn.errors import DataError
from chemlearn.resistors.animation import animate
from chemlearn.resistors.files import published_network
from chemlearn.resistors.generate import disordered_network
from chemlearn.resistors.network import ResistorNetwork
from chemlearn.resistors.pictures import draw_before_after, draw_network, visible_segments
from chemlearn.resistors.tasks import Task, allosteric

TRIANGLE = ResistorNetwork(3, np.array([[0, 1], [1, 2], [2, 0]]), 2, np.array([[0, 0], [4, 0], [0, 3.0]]))
TASK = Task(np.array([0]), np.array([1.0]), np.array([1]), np.array([0.5]))


def pair(first: tuple[float, float], second: tuple[float, float]) -> ResistorNetwork:
    """Two nodes in a periodic square of side 1."""
    return ResistorNetwork(2, np.array([[0, 1]]), positions=np.array([first, second]), box=1.0)


def panel() -> Axes:
    return Figure().subplots()


def lengths(segments: np.ndarray) -> np.ndarray:
    return np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)


def pieces(network: ResistorNetwork) -> list[list[float]]:
    """Ends of all pieces, in an order that does not depend on how they were found."""
    segments, _edge = visible_segments(network)
    return sorted(np.round(np.sort(s.reshape(2, 2), axis=0).ravel(), 12).tolist() for s in segments)


# --------------------------------------------------------------------------------------------------- pieces


def test_without_a_border_every_edge_is_one_line() -> None:
    segments, edge = visible_segments(TRIANGLE)
    assert TRIANGLE.positions is not None
    np.testing.assert_array_equal(segments, TRIANGLE.positions[TRIANGLE.edges])
    assert edge.tolist() == [0, 1, 2]


def test_an_edge_across_the_border_is_two_stubs() -> None:
    assert pieces(pair((0.1, 0.5), (0.9, 0.5))) == [[0.0, 0.5, 0.1, 0.5], [0.9, 0.5, 1.0, 0.5]]
    assert pieces(pair((0.3, 0.5), (0.7, 0.5))) == [[0.3, 0.5, 0.7, 0.5]]


def test_an_edge_past_a_corner_is_three_stubs() -> None:
    network = pair((0.1, 0.2), (0.9, 0.9))
    segments, edge = visible_segments(network)
    assert edge.tolist() == [0, 0, 0]
    assert lengths(segments).sum() == pytest.approx(np.hypot(0.2, 0.3))
    assert pieces(pair((0.1, 0.1), (0.9, 0.9))) == [[0.0, 0.0, 0.1, 0.1], [0.9, 0.9, 1.0, 1.0]]


def test_positions_outside_the_square_are_taken_into_it() -> None:
    assert pieces(pair((-0.9, 1.5), (0.9, 2.5))) == pieces(pair((0.1, 0.5), (0.9, 0.5)))


@pytest.mark.parametrize("network", [published_network(), disordered_network(30, seed=4)])
def test_pieces_lie_in_the_square_and_make_up_the_shortest_ways(network: ResistorNetwork) -> None:
    places, box = network.positions, network.box
    assert places is not None
    assert box is not None
    segments, edge = visible_segments(network)
    assert segments.min() >= 0
    assert segments.max() <= box
    way = places[network.edges[:, 1]] - places[network.edges[:, 0]]
    shortest = np.linalg.norm(way - box * np.round(way / box), axis=1)
    np.testing.assert_allclose(np.bincount(edge, lengths(segments)), shortest)
    # Every stub that does not begin at a node begins at the border.
    ends = segments.reshape(-1, 2)
    at_border = (np.isclose(ends, 0) | np.isclose(ends, box)).any(axis=1)
    at_node = (np.abs(ends[:, None] - places % box).max(axis=-1) < 1e-9).any(axis=1)
    assert (at_border | at_node).all()
    # Straight from node to node, without the border, lines would go through the whole picture.
    assert np.linalg.norm(way, axis=1).max() > 0.7 * box
    assert lengths(segments).max() < 0.5 * box


def test_a_network_without_positions_is_refused() -> None:
    network = ResistorNetwork(2, np.array([[0, 1]]))
    with pytest.raises(ValueError, match="give it positions"):
        draw_network(panel(), network, 1.0)


# --------------------------------------------------------------------------------------- widths and colours


def test_widths_are_proportional_to_weights_on_all_pieces() -> None:
    network = published_network()
    weights = np.random.default_rng(1).uniform(0, 3, network.n_edges)
    drawn = draw_network(panel(), network, weights, widest=6.0)
    widths = np.array(drawn.lines.get_linewidths())
    np.testing.assert_allclose(widths, 6.0 * (weights / weights.max())[drawn.edge])
    assert len(widths) > network.n_edges
    drawn.resize(2 * weights)
    np.testing.assert_allclose(drawn.lines.get_linewidths(), 2 * widths)


def test_pictures_with_the_same_largest_weight_are_comparable() -> None:
    one, other = (draw_network(panel(), TRIANGLE, w, largest=4.0) for w in (1.0, [1.0, 2.0, 3.0]))
    assert one.width == other.width
    assert one.lines.get_linewidths()[0] == other.lines.get_linewidths()[0]


def test_a_second_quantity_colours_the_lines() -> None:
    values = np.array([-1.0, 0.0, 3.0])
    drawn = draw_network(panel(), TRIANGLE, 1.0, colours=values, cmap="viridis", limits=(-1, 1))
    drawn.lines.update_scalarmappable()
    map_ = matplotlib.colormaps["viridis"]
    np.testing.assert_allclose(drawn.lines.get_edgecolors(), map_([0.0, 0.5, 1.0]), atol=1e-2)


def test_marks_stand_where_the_task_says_and_the_legend_names_them() -> None:
    ax = panel()
    draw_network(ax, TRIANGLE, [2.1, 1.0, 0.5], task=TASK, label="radius")
    where = {line.get_label(): np.column_stack(line.get_data()).tolist() for line in ax.lines}
    assert where["source"] == [[0, 0]]
    assert where["target"] == [[4, 0]]
    assert where["ground"] == [[0, 3]]
    legend = ax.get_legend()
    assert legend is not None
    words = [text.get_text() for text in legend.get_texts()]
    assert words == ["source", "target", "ground", "radius 2", "radius 0.5"]
    # The line in the legend is as wide as an edge of that weight would be.
    widths = {line.get_label(): line.get_linewidth() for line in legend.get_lines()}
    assert widths["radius 2"] == pytest.approx(5.0 * 2 / 2.1)


@dataclass(frozen=True)
class Coordinates:
    """Nodes with two coordinates each, of which the last two are held."""

    positions: np.ndarray
    edges: np.ndarray
    box: float | None = None

    @property
    def nodes(self) -> int:
        return 2 * len(self.positions)

    @property
    def held(self) -> np.ndarray:
        return np.array([self.nodes - 2, self.nodes - 1])


def test_coordinates_are_marked_at_their_nodes() -> None:
    assert TRIANGLE.positions is not None
    ax = panel()
    draw_network(
        ax, Coordinates(TRIANGLE.positions, TRIANGLE.edges), 1.0, task=Task([0, 1], [1, 1], [3], [1])
    )
    where = {line.get_label(): np.column_stack(line.get_data()).tolist() for line in ax.lines}
    assert where["source"] == [[0, 0]]
    assert where["target"] == [[4, 0]]
    assert where["held"] == [[0, 3]]


def test_before_and_after_share_one_scale() -> None:
    first, last = np.array([1.0, 2.0, 4.0]), np.array([8.0, 2.0, 1e-3])
    figure = draw_before_after(TRIANGLE, first, last, task=TASK)
    before, after, change = (
        [c for c in ax.collections if isinstance(c, LineCollection)][-1] for ax in figure.axes[:3]
    )
    np.testing.assert_allclose(before.get_linewidths() / first, after.get_linewidths() / last)
    np.testing.assert_allclose(change.get_array(), np.log2(last / first))
    assert change.get_clim() == (-3, 3)
    assert len(set(change.get_linewidths())) == 1
    assert len(figure.legends) == 1
    bar = figure.axes[3]
    assert [text.get_text() for text in bar.get_yticklabels()][::3] == ["×1/8", "×1", "×8"]


@pytest.mark.parametrize(
    ("weights", "how", "words"),
    [
        ([1.0, 2.0], {}, "one for each of 3 edges"),
        ([1.0, np.nan, 1.0], {}, "got nan on edge 1"),
        ([1.0, 1.0, -2.0], {"label": "stiffness"}, "stiffness: none may be negative.*-2 on edge 2"),
        (0.0, {}, "largest weight must be positive"),
        (1.0, {"colours": [1.0]}, "colours: one number"),
        (1.0, {"task": Task([0], [1.0], [7], [1.0])}, "target 7 is none of 0 to 2"),
    ],
)
def test_what_cannot_be_drawn_is_refused(weights: Any, how: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        draw_network(panel(), TRIANGLE, weights, **how)


def test_a_change_from_nothing_has_no_factor() -> None:
    with pytest.raises(ValueError, match="positive for their change, got 0 on edge 1"):
        draw_before_after(TRIANGLE, 1.0, [1.0, 0.0, 1.0])


# ------------------------------------------------------------------------------------------ moving pictures

COURSES = np.linspace([1.0, 1.0, 1.0], [3.0, 2.0, 0.1], 41)
ERRORS = np.logspace(0, -2, 41)


def frames(path: Path) -> list[np.ndarray]:
    with Image.open(path) as film:
        found = []
        for number in range(film.n_frames):
            film.seek(number)
            found.append(np.asarray(film.convert("L")))
        return found


def test_a_film_has_the_frames_asked_for(tmp_path: Path) -> None:
    path = animate(
        TRIANGLE, COURSES, tmp_path / "new" / "film.gif", task=TASK, errors=ERRORS, frames=7, dpi=40
    )
    found = frames(path)
    assert len(found) == 7
    assert found[0].shape == (168, 336)
    assert [file.name for file in path.parent.iterdir()] == ["film.gif"]
    # The third edge, which stands upright at the left, is hardly there in the end.
    ink = [(frame[:, :160] < 100).sum(axis=0).max() for frame in (found[0], found[-1])]
    assert ink[1] < 0.5 * ink[0]


def test_a_short_course_has_no_more_frames_than_rows(tmp_path: Path) -> None:
    path = animate(TRIANGLE, COURSES[:4], tmp_path / "film.gif", frames=50, dpi=30)
    assert len(frames(path)) == 4


def test_a_film_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "film.gif"
    path.write_bytes(b"old")

    def full(_self: PillowWriter) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PillowWriter, "finish", full)
    with pytest.raises(DataError, match=r"film\.gif cannot be written: No space left"):
        animate(TRIANGLE, COURSES, path, frames=2, dpi=20)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["film.gif"]


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        animate(TRIANGLE, COURSES, tmp_path / "file" / "film.gif")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"path": "film.mp4"}, r"ends in \.gif, got 'film.mp4'"),
        ({"courses": COURSES[:1]}, "at least two rows"),
        ({"courses": -COURSES}, "finite and not negative"),
        ({"frames": 1}, "frames=1"),
        ({"fps": 0}, "fps=0"),
        ({"errors": ERRORS[1:]}, r"errors are one finite number for each of 41 rows, got shape \(40,\)"),
        ({"errors": ERRORS - 0.01}, "errors must be positive"),
        ({"at": -np.arange(41)}, "times of the rows must ascend"),
    ],
)
def test_a_film_that_makes_no_sense_is_refused(how: dict[str, Any], words: str, tmp_path: Path) -> None:
    given = {"courses": COURSES, "path": "film.gif"} | how
    courses, name = given.pop("courses"), given.pop("path")
    with pytest.raises(ValueError, match=words):
        animate(TRIANGLE, courses, tmp_path / name, **given)
    assert list(tmp_path.iterdir()) == []


def test_a_task_of_the_published_network_can_be_drawn(tmp_path: Path) -> None:
    """The whole of it once, saved as a reader would."""
    network = published_network()
    figure = draw_before_after(
        network, 1.0, np.linspace(0.01, 4, network.n_edges), task=allosteric(network, seed=1)
    )
    figure.savefig(tmp_path / "picture.png", dpi=40)
    assert (tmp_path / "picture.png").stat().st_size > 1000
