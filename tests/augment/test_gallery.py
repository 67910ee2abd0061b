"""The gallery shows every transform, none forgotten, each as strong as it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.ndimage import gaussian_filter
from voices import RATE, noise, voice

from ffdv.augment import gallery
from ffdv.augment.audio import SOUND_TRANSFORMS
from ffdv.augment.chain import FORGE_PICTURE, FORGE_SOUND
from ffdv.augment.gallery import (
    STRENGTHS,
    face_gallery,
    picture_gallery,
    sound_gallery,
    spectrogram_gallery,
)
from ffdv.augment.image import PICTURE_TRANSFORMS, TORCHVISION_PARAMETERS
from ffdv.augment.masks import SPECTROGRAM_TRANSFORMS


def picture() -> np.ndarray:
    smooth = gaussian_filter(np.random.default_rng(0).standard_normal((128, 128, 3)), (3, 3, 0))
    return np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def test_every_transform_has_three_strengths() -> None:
    assert set(gallery.SOUND_STRENGTHS) == set(SOUND_TRANSFORMS)
    assert set(gallery.SPECTROGRAM_STRENGTHS) == set(SPECTROGRAM_TRANSFORMS)
    assert set(gallery.PICTURE_STRENGTHS) == {*TORCHVISION_PARAMETERS, *PICTURE_TRANSFORMS}
    assert set(gallery.FORGE_SOUND_STRENGTHS) == set(FORGE_SOUND)
    assert set(gallery.FORGE_PICTURE_STRENGTHS) == set(FORGE_PICTURE)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> list[gallery.GalleryEntry]:
    folder: Path = tmp_path_factory.mktemp("recordings")
    soundfile.write(folder / "noise.wav", noise(0.5), RATE)
    stereo = np.stack([voice(seconds=0.8), voice(150.0, seconds=0.8)])
    return list(sound_gallery(stereo, RATE, folder=str(folder), other=voice(200.0, seconds=0.6)))


def test_sounds_come_three_by_three_with_their_promise(sounds: list[gallery.GalleryEntry]) -> None:
    assert [entry.name for entry in sounds[::3]] == [*SOUND_TRANSFORMS, *FORGE_SOUND]
    assert [entry.strength for entry in sounds] == [*STRENGTHS] * (len(sounds) // 3)
    assert all(len(entry.about) > 15 and "\n" not in entry.about for entry in sounds)
    assert all(entry.sound is not None and np.isfinite(entry.sound).all() for entry in sounds)
    assert all(entry.segments for entry in sounds if entry.family == "forged sound")


@pytest.mark.parametrize(
    "name",
    ["white_noise", "pink_noise", "noise_from_files", "gain", "clip", "band_limit", "mp3", "aac", "opus",
     "impulsive_noise", "stationary_noise"],
)  # fmt: skip
def test_strong_changes_more_than_weak(sounds: list[gallery.GalleryEntry], name: str) -> None:
    mono = np.mean([voice(seconds=0.8), voice(150.0, seconds=0.8)], axis=0)

    changes = [
        float(np.abs(entry.sound - mono).mean()) for entry in sounds if entry.name == name and entry.sound is not None
    ]

    assert changes[0] < changes[1] < changes[2]


def test_without_folder_and_other_what_needs_them_is_left_out() -> None:
    names = {entry.name for entry in sound_gallery(voice(seconds=0.2), RATE)}

    assert names == {*SOUND_TRANSFORMS, *FORGE_SOUND} - {
        "noise_from_files", "impulse_response", "splice_other", "swap_sound",
    }  # fmt: skip


def test_pictures_come_three_by_three_and_stronger() -> None:
    entries = list(picture_gallery(picture()))

    assert len(entries) % 3 == 0
    assert {"RandomRotation", "AugMix", "JPEG", "H264"} <= {entry.name for entry in entries}
    assert all(entry.pixels is not None and entry.pixels.dtype == np.uint8 for entry in entries)
    for name in ("GaussianBlur", "ColorJitter", "JPEG", "Rescale", "PixelNoise", "RandomPosterize", "H264"):
        changes = [
            float(np.abs(entry.pixels.astype(int) - picture()).mean())
            for entry in entries
            if entry.name == name and entry.pixels is not None
        ]
        assert changes[0] < changes[1] < changes[2], name


def test_masks_and_faces_come_too() -> None:
    spectrogram = np.random.default_rng(0).standard_normal((64, 100))
    frames = np.stack([np.roll(picture(), k, axis=1) for k in range(12)])

    masks = list(spectrogram_gallery(spectrogram))
    faces = list(face_gallery(frames, other=frames[::-1].copy()))
    alone = {entry.name for entry in face_gallery(frames)}

    hidden = [(entry.spectrogram != spectrogram).mean() for entry in masks if entry.name == "time_mask"]
    assert hidden[0] < hidden[1] < hidden[2]
    assert [entry.name for entry in faces[::3]] == list(FORGE_PICTURE)
    assert alone == set(FORGE_PICTURE) - {"blend_other"}
