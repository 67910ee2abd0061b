"""A head's movement and what changes about it: each number answers to what was put in, and to nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ffdv.features.head import STEADY_POINTS, HeadTrack, HeadWatch, changes_about, head_numbers
from ffdv.features.landmarks import FACE_OVAL, Mesh
from ffdv.features.unison import NUM_PARTS
from ffdv.records import Frame

N = 75


def a_head(heights: np.ndarray, *, size: float = 60.0, nods: np.ndarray | None = None) -> HeadTrack:
    """Eighteen points on half a ball of `size` pixels, moved up and down by `heights` of its radius and nodding."""
    rng = np.random.default_rng(0)
    shape = rng.normal(size=(len(STEADY_POINTS), 3))
    shape[:, 2] = -np.abs(shape[:, 2])
    shape /= np.linalg.norm(shape, axis=1, keepdims=True)
    turns = np.zeros(len(heights)) if nods is None else nods
    points = np.empty((len(heights), *shape.shape))
    for k, (height, nod) in enumerate(zip(heights, turns, strict=True)):
        turn = np.array([[1, 0, 0], [0, np.cos(nod), -np.sin(nod)], [0, np.sin(nod), np.cos(nod)]])
        points[k] = shape @ turn.T + [0, height, 0]
    changes = np.ones(len(heights), np.float32)
    seconds = np.arange(len(heights)) / 25
    return HeadTrack(seconds, (points * size + 100).astype(np.float32), 2 * changes, changes, skin(len(heights)))


def skin(count: int) -> np.ndarray:
    """Colours that stand still, and so tell nothing."""
    return np.full((count, NUM_PARTS + 1, 3), 120, np.float32)


def swaying() -> np.ndarray:
    return 0.2 * np.sin(np.arange(N) / 25 * 2 * np.pi * 0.8)


def test_a_head_that_sways_is_smooth_and_one_that_trembles_is_not() -> None:
    tremble = swaying() + 0.02 * np.random.default_rng(1).standard_normal(N)

    smooth, rough = head_numbers(a_head(swaying())), head_numbers(a_head(tremble))

    assert smooth["smoothness"] > 0.9
    assert rough["smoothness"] < 0.6
    assert smooth["trembling"] < rough["trembling"] - 1


def test_nothing_depends_on_the_size_of_the_face() -> None:
    nods = 0.5 * swaying()
    one, other = (head_numbers(a_head(swaying(), nods=nods, size=size)) for size in (60.0, 200.0))

    assert one == pytest.approx(other, abs=0.01)


def test_nodding_with_the_height_is_coupled_and_against_it_is_the_opposite() -> None:
    along = head_numbers(a_head(swaying(), nods=swaying()))["nod_coupling"]
    against = head_numbers(a_head(swaying(), nods=-swaying()))["nod_coupling"]

    assert abs(along) > 0.9
    assert along == pytest.approx(-against, abs=0.05)


def test_stillness_is_the_change_around_against_that_in_the_face() -> None:
    assert head_numbers(a_head(swaying()))["stillness"] == pytest.approx(np.log(1.05 / 2.05), abs=1e-4)


def test_a_head_in_sight_for_less_than_a_second_has_no_numbers() -> None:
    head = a_head(swaying())
    hidden = head.points.copy()
    hidden[::20] = np.nan

    assert head_numbers(replace(head, points=hidden)) == {}


def test_changes_are_told_apart_by_place() -> None:
    angle = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False)
    outline = np.stack([64 + 30 * np.cos(angle), 64 + 30 * np.sin(angle)], axis=1).astype(np.float32)
    before = np.full((128, 128, 3), 100, np.uint8)
    inside, outside = before.copy(), before.copy()
    inside[54:74, 54:74, 1] += 10
    outside[:, :10, 1] += 10

    in_face, quiet = changes_about(before, inside, outline)
    still, around = changes_about(before, outside, outline)

    assert (quiet, still) == (0.0, 0.0)
    assert in_face > 1
    assert around > 0.3


def test_a_face_beyond_the_picture_has_no_changes() -> None:
    outline = np.array([[500, 500], [560, 560]], np.float32)
    picture = np.zeros((64, 64, 3), np.uint8)

    assert np.isnan(changes_about(picture, picture, outline)).all()


def test_frames_pass_through_and_what_is_unseen_is_nan() -> None:
    mesh = Mesh(np.random.default_rng(0).uniform(20, 80, (468, 3)).astype(np.float32), 1.0)
    frames = [Frame(np.full((100, 100, 3), 10 * k, np.uint8), k / 25) for k in range(3)]
    pairs = [(frames[0], mesh), (frames[1], None), (frames[2], mesh)]
    watch = HeadWatch()

    passed = list(watch.watched(pairs))
    head = watch.track()

    assert passed == pairs
    assert head.in_sight.tolist() == [True, False, True]
    assert np.isnan(head.face_change[:2]).all()
    assert head.face_change[2] == pytest.approx(10.0)
    assert (head.points[0] == mesh.points[list(STEADY_POINTS)]).all()
    assert (head.colours[2] == 20).all()
    assert np.isnan(head.colours[1]).all()


def test_arrays_of_unequal_length_are_refused() -> None:
    nothing = np.zeros(2, np.float32)

    with pytest.raises(ValueError, match="differ in length"):
        HeadTrack(np.zeros(3), np.zeros((3, 18, 3), np.float32), nothing, nothing, skin(3))
