"""Forged faces: what is outside the forged place and time is real, what is inside is not, and frames agree."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from ffdv.augment.chain import FORGE_PICTURE
from ffdv.augment.forge_picture import (
    blend_other,
    draw_blend,
    drop_frames,
    jitter_face,
    self_blend,
    shift_mouth,
    temporal_splice,
)
from ffdv.augment.forgery import ForgedPicture
from ffdv.augment.outlines import deform, face_mask

FIVE = np.array([[38.0, 50.0], [62.0, 50.0], [50.0, 62.0], [41.0, 75.0], [59.0, 75.0]])  # eyes, nose, mouth corners


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def clip(frames: int = 12, side: int = 100, seed: int = 0) -> np.ndarray:
    """Frames that all differ: a texture that drifts by one pixel a frame, numbered by a brightness step."""
    smooth = gaussian_filter(rng(seed).standard_normal((side, side + frames, 3)), (2, 2, 0))
    texture = np.clip(120 + 50 * smooth / smooth.std(), 10, 240)
    return np.stack([texture[:, k : k + side] for k in range(frames)]).astype(np.uint8)


def forged_by(name: str, frames: np.ndarray, seed: int = 0, **extra: object) -> ForgedPicture:
    needed = {"other": clip(5, 64, seed=8)} if name == "blend_other" else {}
    return FORGE_PICTURE[name](frames, rng(seed), **needed, **extra)


@pytest.mark.parametrize("name", sorted(FORGE_PICTURE))
def test_forgeries_depend_on_the_seed_alone_and_leave_the_real_frames(name: str) -> None:
    real = clip()
    kept = real.copy()
    real.flags.writeable = False

    first, second, other = (forged_by(name, real, seed) for seed in (1, 1, 4))

    assert np.array_equal(first.pixels, second.pixels)
    assert not np.array_equal(first.pixels, other.pixels)
    assert np.array_equal(real, kept)
    assert first.segments
    assert first.pixels.shape[1:] == real.shape[1:]
    assert first.mask is None or (first.mask.min() >= 0 and first.mask.max() <= 1)


@pytest.mark.parametrize("name", sorted(FORGE_PICTURE))
def test_one_frame_comes_through(name: str) -> None:
    assert forged_by(name, clip(1)).pixels.shape == (1, 100, 100, 3)


@pytest.mark.parametrize("name", ["self_blend", "blend_other"])
def test_one_picture_comes_back_as_one(name: str) -> None:
    forged = forged_by(name, clip()[0])

    assert forged.pixels.shape == (100, 100, 3)
    assert forged.mask is not None
    assert forged.mask.shape == (100, 100)


@pytest.mark.parametrize("seed", range(8))
def test_a_blend_changes_the_face_and_leaves_the_rest(seed: int) -> None:
    real = clip(2)

    forged = self_blend(real, rng(seed), landmarks=FIVE, regions=("face",), ratios=(1.0,), strength=(1.0, 1.0))

    assert forged.mask is not None
    inside, outside = forged.mask[0] > 0.9, forged.mask[0] == 0.0
    difference = np.abs(forged.pixels[0].astype(int) - real[0]).mean(axis=2)
    assert inside.any()
    assert outside.mean() > 0.05
    if forged.settings["changed"] == "copy":
        assert difference[outside].max() == 0
        assert difference[inside].mean() > 1.0
    else:  # the whole frame was changed before its own face was laid back on it
        assert difference[outside].mean() > 0.5


def test_without_any_difference_a_blend_is_the_frame_itself() -> None:
    real = clip(1)

    forged = self_blend(real, rng(), strength=(0.0, 0.0), regions=("face",))

    assert np.array_equal(forged.pixels, real)


def test_frames_of_one_clip_get_the_same_blend() -> None:
    still = np.repeat(clip(1), 3, axis=0)

    forged = self_blend(still, rng(2), landmarks=np.stack([FIVE] * 3))

    assert np.array_equal(forged.pixels[0], forged.pixels[2])


def test_the_mask_follows_the_landmarks() -> None:
    real, shifted = clip(2), np.stack([FIVE, FIVE + np.array([20.0, 0.0])])

    forged = self_blend(real, rng(1), landmarks=shifted, regions=("face",), ratios=(1.0,))

    assert forged.mask is not None
    centres = [np.average(np.arange(100), weights=mask.sum(axis=0)) for mask in forged.mask]
    assert centres[1] - centres[0] == pytest.approx(20.0, abs=4.0)


def test_the_ratio_is_the_most_that_is_forged() -> None:
    forged = self_blend(clip(1), rng(1), ratios=(0.5,), regions=("face",))

    assert forged.mask is not None
    assert forged.mask.max() == pytest.approx(0.5, abs=0.01)


def test_another_face_is_laid_in_with_our_colours() -> None:
    real = clip(3)
    other = np.clip(clip(2, 64, seed=5).astype(int) // 2 + 120, 0, 255).astype(np.uint8)  # much brighter

    forged = blend_other(real, rng(1), other=other, landmarks=FIVE, regions=("face",), strength=(0.0, 0.0))

    assert forged.mask is not None
    inside = forged.mask[1] > 0.9
    assert np.abs(forged.pixels[1][inside].mean(axis=0) - real[1][inside].mean(axis=0)).max() < 12.0
    assert np.abs(np.corrcoef(forged.pixels[1][inside].ravel(), real[1][inside].ravel())[0, 1]) < 0.5


@pytest.mark.parametrize("seed", range(6))
def test_a_splice_replaces_just_its_stretch(seed: int) -> None:
    real, other = clip(20), clip(9, seed=3)

    for source in (None, other):
        forged = temporal_splice(real, rng(seed), other=source, fps=10.0)
        (start, stop) = (round(time * 10) for time in forged.segments[0])
        foreign = (forged.pixels != real).any(axis=(1, 2, 3))
        assert np.array_equal(np.flatnonzero(foreign), np.arange(start, stop))
        pool = real if source is None else other
        assert all((pool == frame).all(axis=(1, 2, 3)).any() for frame in forged.pixels[start:stop])


@pytest.mark.parametrize("seed", range(6))
def test_frozen_frames_repeat_the_one_before(seed: int) -> None:
    real = clip(30)

    forged = drop_frames(real, rng(seed), fps=10.0, how=("freeze",))

    assert len(forged.pixels) == 30
    frozen = np.zeros(30, bool)
    for start, stop in forged.segments:
        first, last = round(start * 10), round(stop * 10)
        assert (forged.pixels[first:last] == real[first - 1]).all()
        frozen[first:last] = True
    assert np.array_equal(forged.pixels[~frozen], real[~frozen])


@pytest.mark.parametrize("seed", range(6))
def test_skipped_frames_are_gone_and_the_jump_is_named(seed: int) -> None:
    real = clip(30)

    forged = drop_frames(real, rng(seed), fps=10.0, how=("skip",))

    order = [int(np.flatnonzero((real == frame).all(axis=(1, 2, 3)))[0]) for frame in forged.pixels]
    jumps = np.flatnonzero(np.diff(order) > 1) + 1
    assert len(order) < 30
    assert (np.diff(order) >= 1).all()
    assert [round(start * 10) for start, _ in forged.segments] == jumps.tolist()


def test_a_trembling_face_leaves_its_background() -> None:
    still = np.repeat(clip(1), 6, axis=0)

    forged = jitter_face(still, rng(1), landmarks=FIVE, pixels=(1.5, 1.5))

    assert forged.mask is not None
    outside, inside = forged.mask[0] == 0.0, forged.mask[0] > 0.9
    movement = np.abs(np.diff(forged.pixels.astype(int), axis=0)).mean(axis=(0, 3))
    assert movement[outside].max() == 0
    assert movement[inside].mean() > 1.0


@pytest.mark.parametrize("seed", range(4))
def test_the_mouth_is_of_another_moment_and_the_rest_of_this_one(seed: int) -> None:
    real = clip(16)

    forged = shift_mouth(real, rng(seed), landmarks=FIVE, fps=25.0, seconds=(0.16, 0.16))

    offset = int(float(forged.settings["offset_frames"]))
    assert abs(offset) == 4
    assert forged.mask is not None
    frame = 8
    outside, inside = forged.mask[frame] == 0.0, forged.mask[frame] > 0.999
    assert np.array_equal(forged.pixels[frame][outside], real[frame][outside])
    assert inside.sum() > 50
    assert np.array_equal(forged.pixels[frame][inside], real[frame + offset][inside])
    centre = np.average(np.mgrid[0:100, 0:100], axis=(1, 2), weights=np.stack([forged.mask[frame]] * 2))
    assert np.allclose(centre, FIVE[3:].mean(axis=0)[::-1], atol=3.0)


def test_the_mouth_is_carried_with_the_head() -> None:
    # The picture stands still but the landmarks say that the head moved: the mouth must be fetched from where it was.
    real = clip(2)
    landmarks = np.stack([FIVE, FIVE + np.array([6.0, 0.0])])

    forged = shift_mouth(real, rng(0), landmarks=landmarks, fps=25.0, seconds=(0.04, 0.04))

    assert forged.mask is not None
    inside = forged.mask[0] > 0.999
    rows, columns = np.nonzero(inside)
    assert np.array_equal(forged.pixels[0][rows, columns], real[1][rows, columns + 6])


def test_missing_landmarks_fall_back_to_box_and_middle() -> None:
    unknown = np.full((5, 2), np.nan)

    from_box = face_mask((100, 100), "face", landmarks=unknown, box=np.array([10, 20, 50, 80]))
    from_nothing = face_mask((100, 100), "face")

    rows, columns = np.nonzero(from_box)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == pytest.approx((10, 50, 20, 80), abs=1)
    assert from_nothing.mean() == pytest.approx(np.pi / 4 * 0.49, abs=0.02)


def test_many_landmarks_are_taken_by_their_hull() -> None:
    angles = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    points = np.stack([50 + 20 * np.cos(angles), 40 + 30 * np.sin(angles)], axis=1)

    mask = face_mask((100, 100), "face", landmarks=np.concatenate([points, [[50, 40]]]))
    lower, upper = (face_mask((100, 100), region, landmarks=points) for region in ("lower", "upper"))

    assert mask.sum() == pytest.approx(np.pi * 20 * 30, rel=0.04)
    assert np.array_equal(np.maximum(lower, upper), mask)
    assert not (lower * upper).any()
    assert face_mask((100, 100), "face", landmarks=np.stack([np.arange(9.0)] * 2, axis=1)).sum() <= 20  # a line


@pytest.mark.parametrize("blur", [0.0, 1.0, 4.0])
def test_a_deformed_mask_is_soft_and_about_as_large(blur: float) -> None:
    hard = face_mask((100, 100), "face")

    soft = deform(hard, rng(3), strength=6.0, blur=blur)

    assert soft.shape == hard.shape
    assert soft.sum() == pytest.approx(hard.sum(), rel=0.2)
    assert np.abs(np.diff(soft, axis=1)).max() <= (1.0 if blur == 0 else 0.6 / blur)
    assert not np.array_equal(soft, hard)


def test_plans_are_values() -> None:
    plan = draw_blend(rng(1), regions=("face",), ratios=(1.0,), strength=1.0)

    assert plan == draw_blend(rng(1), regions=("face",), ratios=(1.0,), strength=1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.ratio = 0.5  # type: ignore[misc]


def test_forged_pictures_refuse_nonsense() -> None:
    with pytest.raises(ValueError, match="uint8"):
        ForgedPicture(clip().astype(np.float32), "test", ())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mask"):
        ForgedPicture(clip(), "test", (), mask=np.zeros((2, 2), np.float32))
