"""Alterations are fixed, graded, and touch only the senses that they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from voices import RATE, band_db, lag_samples, noise, voice

from ffdv.augment.alterations import FAMILIES, Alteration, alterations, play_at_speed, re_record, rng_of
from ffdv.augment.levels import rms
from ffdv.errors import RecipeError

EVERY = alterations()
FRAMES = np.stack([np.full((64, 80, 3), 60 + 10 * k, np.uint8) for k in range(3)])


def textured() -> np.ndarray:
    smooth = gaussian_filter(np.random.default_rng(0).standard_normal((2, 96, 96, 3)), (0, 1.5, 1.5, 0))
    return np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def level(family: str, number: int) -> Alteration:
    return FAMILIES[family][number]


@pytest.mark.parametrize("alteration", EVERY, ids=lambda alteration: alteration.name)
def test_each_is_the_same_every_time_and_leaves_the_other_sense_alone(alteration: Alteration) -> None:
    sound = voice(seconds=0.6)

    heard, again = (alteration.alter_sound(sound, RATE, rng_of(0, "clip", alteration)) for _ in range(2))
    seen = alteration.alter_frames(FRAMES, rng_of(0, "clip", alteration))

    assert np.array_equal(heard, again)
    assert np.abs(heard).max() <= 1.0
    assert len(seen) == len(FRAMES)
    # A voice that begins loud and has nothing up there passes trimming and the widest band as it is.
    assert np.array_equal(heard, sound) == ("sound" not in alteration.senses) or alteration.family in (
        "trim",
        "low-pass",
    )
    assert "picture" in alteration.senses or np.array_equal(seen, FRAMES)


def test_names_are_unique_and_clips_draw_their_own_noise() -> None:
    first = level("white-noise", 0)

    assert len({alteration.name for alteration in EVERY}) == len(EVERY)
    assert rng_of(0, "a", first).random() != rng_of(0, "b", first).random() != rng_of(1, "b", first).random()
    assert rng_of(0, "a", first).random() == rng_of(0, "a", first).random()


@pytest.mark.parametrize("family", ["white-noise", "pink-noise"])
def test_noise_lies_at_its_ratio(family: str) -> None:
    sound = voice(seconds=1.0)

    for alteration in FAMILIES[family]:
        added = alteration.alter_sound(0.3 * sound, RATE, np.random.default_rng(1)) - 0.3 * sound
        wanted = float(alteration.level.split()[1])
        assert 20 * np.log10(rms(0.3 * sound) / rms(added)) == pytest.approx(wanted, abs=0.1)


@pytest.mark.parametrize("family", ["h264", "hevc", "vp9", "av1", "blur", "grain", "re-recorded"])
def test_strength_rises_along_a_row(family: str) -> None:
    frames, sound = textured(), noise(1.0) * 0.1

    errors = []
    for alteration in FAMILIES[family]:
        rng = np.random.default_rng(3)
        if "picture" in alteration.senses:
            errors.append(np.abs(alteration.alter_frames(frames, rng).astype(float) - frames).mean())
        else:
            errors.append(-np.corrcoef(alteration.alter_sound(sound, RATE, rng), sound)[0, 1])

    assert errors == sorted(errors)


def test_a_small_speaker_takes_the_lows_and_the_sound_stays_in_place() -> None:
    sound = noise(1.5)
    heard = re_record(
        sound, RATE, np.random.default_rng(0),
        band_hz=(500.0, 4000.0), drive=1.0, rt60_seconds=0.2, distance_metres=0.3, noise_db=60.0,
    )  # fmt: skip

    assert heard.shape == sound.shape
    assert band_db(heard, 100, 300) < band_db(sound, 100, 300) - 25
    assert abs(lag_samples(heard, sound, RATE)) <= 2


def test_speed_changes_length_and_pitch_and_nothing_at_one() -> None:
    seconds = np.arange(RATE) / RATE
    tone = np.sin(2 * np.pi * 440 * seconds).astype(np.float32)

    faster = play_at_speed(tone, RATE, factor=1.1)

    assert len(faster) == pytest.approx(RATE / 1.1, abs=2)
    spectrum = np.abs(np.fft.rfft(faster * np.hanning(len(faster))))
    assert np.argmax(spectrum) * RATE / len(faster) == pytest.approx(484, abs=2)


def test_pictures_get_smaller_but_never_vanish() -> None:
    small = level("resize", 3).alter_frames(FRAMES, np.random.default_rng(0))
    cut = level("crop", 3).alter_frames(FRAMES, np.random.default_rng(0))

    assert small.shape == (3, 32, 32, 3)
    assert cut.shape == (3, 38, 48, 3)


def test_only_what_a_model_looks_at_is_offered_and_an_unknown_family_names_the_nearest() -> None:
    heard = alterations(senses=("sound",))

    assert all("sound" in alteration.senses for alteration in heard)
    assert {"opus", "chat", "speed"} <= {alteration.family for alteration in heard}
    assert {alteration.family for alteration in alterations(only=("gain", "h264"))} == {"gain", "h264"}
    with pytest.raises(RecipeError, match="white-noise"):
        alterations(only=("whitenoise",))
    with pytest.raises(RecipeError, match="sound"):
        alterations(senses=("sound",), only=("blur",))
