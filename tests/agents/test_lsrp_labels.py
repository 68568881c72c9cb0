"""NSGA-II finds a front that is known, the knee is where it is by hand, and labels follow from its weights."""

from __future__ import annotations

import math

import numpy as np
import pytest

from memagent.agents.lsrp.knee import knee, turning_angles
from memagent.agents.lsrp.labels import best_options
from memagent.agents.lsrp.pareto import Evolution, objectives, pareto_front, picks
from memagent.agents.lsrp.scores import Unread
from memagent.errors import InvalidInput

SHORT = Evolution(population=40, generations=15)


def test_the_front_of_points_on_a_sphere_is_all_of_them() -> None:
    # One task: each option is a point. Those on the sphere are extreme, so that some weights pick each; those
    # inside it are dominated.
    angles = np.linspace(0, np.pi / 2, 5)[1:-1]
    outer = np.array(
        [[math.cos(a) * math.cos(b), math.sin(a) * math.cos(b), math.sin(b)] for a in angles for b in angles]
    )
    front = pareto_front(np.concatenate([0.6 * outer, outer])[None], evolution=SHORT)
    assert sorted(map(tuple, front.objectives.round(9))) == sorted(map(tuple, outer.round(9)))
    assert (np.diff(front.objectives[:, 0]) >= 0).all()


def test_no_point_of_a_front_is_dominated_and_its_weights_lead_to_it() -> None:
    random = np.random.default_rng(3)
    cells = np.stack([random.random((30, 4)), -random.random((30, 4)), 10 * random.random((30, 4))], axis=-1)
    front = pareto_front(cells, evolution=SHORT)
    points = front.objectives
    assert len(front) > 10
    assert not ((points[:, None] >= points).all(-1) & (points[:, None] > points).any(-1)).any()
    z = (cells - cells.mean((0, 1))) / cells.std((0, 1))
    assert np.allclose(objectives(cells, picks(z, front.weights)), points)
    assert (np.abs(front.weights) <= 10).all()


def test_the_same_scores_give_the_same_front_whatever_was_drawn_before() -> None:
    cells = np.random.default_rng(0).random((9, 4, 3))
    settings = Evolution(population=20, generations=8)
    first = pareto_front(cells, evolution=settings)
    np.random.seed(5)  # noqa: NPY002  # pymoo's own mutation draws from generators without a seed
    assert pareto_front(cells, evolution=settings).weights.tobytes() == first.weights.tobytes()


def test_the_knee_is_the_inner_point_at_which_the_way_turns_most() -> None:
    # On the unit circle, sorted: 80, 20, 10 and 0 degrees. A chord's direction is that of its middle (plus 90), so the
    # way turns by 50 - 15 = 35 degrees at 20 and by 15 - 5 = 10 at 10.
    points = np.array(
        [[math.cos(math.radians(degrees)), math.sin(math.radians(degrees))] for degrees in (80, 0, 20, 10)]
    )
    assert np.allclose(np.degrees(turning_angles(points[[0, 2, 3, 1]])), [35, 10])
    assert knee(points) == 2
    assert knee(points * np.array([[3.0], [1.0], [7.0], [2.0]])) == 2  # each point is divided by its norm


def test_equal_angles_go_to_the_first_and_duplicates_count_once() -> None:
    angles = np.radians([90, 60, 30, 0])
    even = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    assert knee(even) == 1
    assert knee(np.concatenate([even[[0]], even[[0]], even])) == 3


def test_fewer_than_three_points_have_a_rule_of_their_own() -> None:
    assert knee(np.array([[0.1, -1.0, 5.0]])) == 0
    assert knee(np.array([[0.1, -1.0, 5.0]] * 4)) == 0
    # shares of the greatest magnitudes: 0.5 + 1 and 1 + 0.9
    assert knee(np.array([[1.0, 10.0], [2.0, 9.0]])) == 1
    assert knee(np.zeros((2, 3))) == 0


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.zeros(3), np.array([[math.nan, 1.0]])])
def test_what_is_no_set_of_points_has_no_knee(points: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    with pytest.raises(InvalidInput, match="no knee"):
        knee(points)


def test_equal_styles_go_to_the_first_and_unknown_scores_to_neither_side() -> None:
    z = np.array([[[1.0, 0, 0], [1.0, 0, 0], [0.0, 0, 0]], [[0, 0, np.nan], [0, 0, -1.0], [0, 0, 1.0]]])
    assert picks(z, np.array([1.0, 0.0, 0.0])).tolist() == [0, 0]
    assert picks(z, np.array([0.0, 0.0, 1.0])).tolist() == [0, 2]


def test_labels_are_what_the_knee_picks_where_all_scores_agree() -> None:
    quality = np.random.default_rng(1).random((25, 4))
    cells = np.stack([quality, quality - 2, 10 * quality], axis=-1)
    labels = best_options(cells, evolution=SHORT)
    assert labels.picked.tolist() == quality.argmax(axis=1).tolist()
    assert (labels.margins > 0).all()
    assert len(labels.front) == 1


def test_without_a_judge_the_other_scores_decide() -> None:
    cells = np.full((6, 4, 3), np.nan)
    cells[..., 0] = np.random.default_rng(2).random((6, 4))
    for unread in Unread:
        labels = best_options(cells, evolution=SHORT, unread=unread)
        assert labels.picked.tolist() == cells[..., 0].argmax(axis=1).tolist()


def test_scores_without_any_difference_label_every_task_with_the_first_style() -> None:
    labels = best_options(np.full((3, 4, 3), 0.7), evolution=SHORT)
    assert labels.picked.tolist() == [0, 0, 0]
    assert labels.margins.tolist() == [0, 0, 0]


@pytest.mark.parametrize("cells", [np.zeros((2, 4)), np.zeros((0, 4, 3)), np.full((1, 2, 3), np.inf)])
def test_what_is_no_table_of_scores_is_refused(cells: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    with pytest.raises(InvalidInput):
        pareto_front(cells)
    with pytest.raises(InvalidInput, match="generations"):
        Evolution(generations=0)
