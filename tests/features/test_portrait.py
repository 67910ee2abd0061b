"""Portrait numbers: each answers to one thing that was done to a face, and to nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from ffdv.features.crops import Square, cut_square
from ffdv.features.portrait import (
    AVERAGE_FACE,
    NUMBERS,
    SIDE,
    face_regions,
    landmarks_in_crops,
    octaves,
    portrait_numbers,
)
from ffdv.records import FaceTrack

SIZE = 224
POINTS = AVERAGE_FACE[None] * SIZE


def a_face(*, detail: float = 12.0, sigma: float = 2.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    texture = gaussian_filter(rng.standard_normal((SIZE, SIZE)), sigma)
    gray = 120 + detail * texture / texture.std()
    return np.repeat(np.clip(gray, 0, 255).astype(np.uint8)[None, ..., None], 3, axis=3)


def numbers_of(crops: np.ndarray, points: np.ndarray = POINTS) -> dict[str, float]:
    return dict(zip(NUMBERS, portrait_numbers(crops, points)[0].tolist(), strict=True))


def test_twice_the_contrast_is_four_times_the_energy_in_all_octaves() -> None:
    low, high = numbers_of(a_face(detail=8, sigma=3)), numbers_of(a_face(detail=16, sigma=3))

    for octave in (1, 2, 3):
        assert high[f"skin_energy_{octave}"] - low[f"skin_energy_{octave}"] == pytest.approx(np.log(4), abs=0.15)
    assert high["skin_peaks_2"] == pytest.approx(low["skin_peaks_2"], abs=0.05)


def test_blur_takes_the_fine_octaves_and_leaves_the_coarse() -> None:
    sharp = a_face(sigma=2.0)
    soft = sharp.copy()
    soft[0] = gaussian_filter(sharp[0].astype(np.float32), (3, 3, 0)).astype(np.uint8)

    lost = {
        octave: numbers_of(sharp)[f"skin_energy_{octave}"] - numbers_of(soft)[f"skin_energy_{octave}"]
        for octave in range(4)
    }

    assert lost[0] > 2
    assert lost[3] < 0.6
    assert numbers_of(soft)["spectrum_slope"] < numbers_of(sharp)["spectrum_slope"]


def test_brightness_does_not_matter() -> None:
    one = numbers_of(a_face())
    other = numbers_of(a_face() + np.uint8(40))

    assert one == pytest.approx(other, abs=0.02)


def test_a_mouth_with_more_detail_is_told_of_the_mouth_alone() -> None:
    plain = a_face()
    changed = plain.copy()
    x, y = POINTS[0, 3:].mean(axis=0).astype(int)
    patch = changed[0, y - 14 : y + 14, x - 20 : x + 20].astype(np.float32)
    changed[0, y - 14 : y + 14, x - 20 : x + 20] = np.clip(120 + 2.5 * (patch - 120), 0, 255).astype(np.uint8)

    before, after = numbers_of(plain), numbers_of(changed)

    assert after["mouth_energy_2"] > before["mouth_energy_2"] + 0.3
    assert after["eyes_energy_2"] == before["eyes_energy_2"]
    assert after["skin_energy_2"] == pytest.approx(before["skin_energy_2"], abs=0.05)


def test_unknown_landmarks_are_those_of_an_average_face() -> None:
    unknown = np.full((1, 5, 2), np.nan, np.float32)

    assert numbers_of(a_face(), unknown) == numbers_of(a_face())


def test_regions_are_apart_and_lie_in_the_picture() -> None:
    regions = face_regions(AVERAGE_FACE * SIDE)

    assert all(mask.shape == (SIDE, SIDE) and mask.sum() > 50 for mask in regions.values())
    assert not (regions["skin"] & (regions["eyes"] | regions["mouth"] | regions["rim"])).any()


def test_octaves_and_what_is_left_are_the_picture() -> None:
    picture = np.random.default_rng(0).uniform(0, 255, (SIDE, SIDE)).astype(np.float32)

    first = octaves(picture)[0]

    assert [part.shape[0] for part in octaves(picture)] == [96, 48, 24, 12]
    assert octaves(np.full((SIDE, SIDE), 7.0, np.float32))[0] == pytest.approx(0, abs=1e-4)
    assert abs(first.mean()) < 1.0


def test_landmarks_follow_the_crop_that_was_cut() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (200, 300, 3), dtype=np.uint8)
    box = np.array([[120, 60, 200, 160]], np.float32)
    eyes = np.array([[[140, 95], [180, 95], [160, 115], [145, 135], [175, 135]]], np.float32)
    crop = cut_square(picture, Square(160, 110, 130), 224)[None]
    track = FaceTrack(0, np.zeros(1), box, eyes, np.ones(1, np.float32), crop)

    points = landmarks_in_crops(track, (300, 200), margin=1.3)

    assert points[0, 0] == pytest.approx(np.array([(140 - 95) / 130, (95 - 45) / 130]) * 224, abs=0.5)
