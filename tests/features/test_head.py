"""A head's movement and what changes about it: each number answers to what was put in, and to nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ffdv.features.head import HeadTrack, HeadWatch, changes_about, head_numbers
from ffdv.features.landmarks import FACE_OVAL, Mesh
from ffdv.features.unison import NUM_PARTS
from ffdv.records import Frame

N = 75


def a_head(count: int = N, *, unrest: float = 0.0) -> HeadTrack:
    """A head that sways, with so much that is new in each step, in face and chest alike."""
    rng = np.random.default_rng(1)
    steps = np.sin(np.arange(count) / 25 * 2 * np.pi * 0.8)[:, None, None] + unrest * rng.normal(0, 1, (count, 2, 2))
    changes = np.ones(count, np.float32)
    return HeadTrack(
        np.arange(count) / 25,
        np.full(count, True),
        (0.02 * steps).astype(np.float32),
        2 * changes,
        changes,
        skin(count),
    )


def skin(count: int) -> np.ndarray:
    """Colours that stand still, and so tell nothing."""
    return np.full((count, NUM_PARTS + 1, 3), 120, np.float32)


def test_a_head_that_glides_is_not_restless_and_one_that_trembles_is() -> None:
    smooth, rough = head_numbers(a_head()), head_numbers(a_head(unrest=1.0))

    for name in ("face_restlessness", "chest_restlessness"):
        assert smooth[name] < rough[name] - 1


def test_a_chest_that_is_not_in_the_picture_has_no_number() -> None:
    head = a_head()
    moves = head.moves.copy()
    moves[:, 1] = np.nan

    numbers = head_numbers(replace(head, moves=moves))

    assert "face_restlessness" in numbers
    assert "chest_restlessness" not in numbers


def test_stillness_is_the_change_around_against_that_in_the_face() -> None:
    assert head_numbers(a_head())["stillness"] == pytest.approx(np.log(1.05 / 2.05), abs=1e-4)


def test_a_head_in_sight_for_less_than_a_second_has_no_numbers() -> None:
    head = a_head()

    assert head_numbers(replace(head, in_sight=np.arange(N) % 20 > 0)) == {}


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
    assert np.isnan(head.moves).all()  # each time the frame before had no face
    assert (head.colours[2] == 20).all()
    assert np.isnan(head.colours[1]).all()


def test_arrays_of_unequal_length_are_refused() -> None:
    nothing = np.zeros(2, np.float32)

    with pytest.raises(ValueError, match="differ in length"):
        HeadTrack(np.zeros(3), np.full(3, True), np.zeros((3, 2, 2), np.float32), nothing, nothing, skin(3))


def test_a_face_in_two_frames_on_end_is_followed() -> None:
    mesh = Mesh(np.random.default_rng(0).uniform(20, 80, (468, 3)).astype(np.float32), 1.0)
    frames = [Frame(np.random.default_rng(0).integers(0, 255, (100, 100, 3), dtype=np.uint8), k / 25) for k in range(2)]
    watch = HeadWatch()

    list(watch.watched((frame, mesh) for frame in frames))
    moves = watch.track().moves

    assert np.isnan(moves[0]).all()
    assert moves[1, 0] == pytest.approx([0, 0], abs=1e-3)
