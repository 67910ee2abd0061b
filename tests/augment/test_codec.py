"""Codec round trips: same length, same place in time, and the band and detail that each codec takes away."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from voices import RATE, band_db, lag_samples, noise, voice

from ffdv.augment.codec import (
    PICTURE_CODECS,
    SOUND_CODECS,
    PictureCodecName,
    SoundCodecName,
    picture_codec_exists,
    sound_codec_exists,
    transcode_frames,
    transcode_jpeg,
    transcode_sound,
)
from ffdv.errors import RecipeError

HERE = [name for name in SOUND_CODECS if sound_codec_exists(name)]
PICTURES_HERE = [name for name in PICTURE_CODECS if picture_codec_exists(name)]


def picture(seed: int = 0, side: int = 96) -> np.ndarray:
    rough = np.random.default_rng(seed).standard_normal((side, side, 3))
    smooth = gaussian_filter(rough, (2, 2, 0))
    return np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def mean_error(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(float) - second).mean())


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_sound_keeps_its_length_and_its_place(name: SoundCodecName, rate: int) -> None:
    real = voice(rate=rate, seconds=0.6)

    changed = transcode_sound(real, rate=rate, name=name, kbps=24)

    assert changed.shape == real.shape
    assert changed.dtype == np.float32
    # Opus takes its pre-skip in whole samples of 48 kHz; below 16 kHz its own resampler rounds.
    assert abs(lag_samples(changed, real, rate)) <= (1.0 if name == "opus" else 0.5) * rate / 8_000
    assert np.corrcoef(changed, real)[0, 1] > (0.6 if name == "amr" else 0.8)


@pytest.mark.parametrize("name", HERE)
def test_codecs_are_deterministic(name: SoundCodecName) -> None:
    first, second = (transcode_sound(voice(seconds=0.5), rate=RATE, name=name, kbps=16) for _ in range(2))

    assert np.array_equal(first, second)


@pytest.mark.parametrize("name", sorted({"g711_mu", "g711_a", "amr"} & set(HERE)))
def test_the_telephone_ends_at_4_khz(name: SoundCodecName) -> None:
    real = noise(1.5)

    changed = transcode_sound(real, rate=RATE, name=name)

    assert band_db(changed, 4200, 8000) < band_db(real, 4200, 8000) - 35
    assert band_db(changed, 500, 3000) == pytest.approx(band_db(real, 500, 3000), abs=3.0)


@pytest.mark.parametrize(
    ("name", "kbps", "from_hz", "drop_db"), [("mp3", 8, 5000, 15), ("opus", 6, 5000, 15), ("aac", 8, 5000, 15)]
)
def test_low_rates_take_the_high_band_and_high_rates_leave_it(
    name: SoundCodecName, kbps: int, from_hz: int, drop_db: int
) -> None:
    real = noise(1.5)

    low = transcode_sound(real, rate=RATE, name=name, kbps=kbps)
    high = transcode_sound(real, rate=RATE, name=name, kbps=128)

    assert band_db(low, from_hz, 7500) < band_db(real, from_hz, 7500) - drop_db
    assert band_db(high, from_hz, 7000) == pytest.approx(band_db(real, from_hz, 7000), abs=2.0)


@pytest.mark.parametrize("name", ["mp3", "aac", "opus"])
def test_more_bits_mean_less_error(name: SoundCodecName) -> None:
    real = voice()

    errors = [
        np.sqrt(np.mean((transcode_sound(real, rate=RATE, name=name, kbps=kbps) - real) ** 2)) for kbps in (12, 96)
    ]

    assert errors[1] < 0.7 * errors[0]


def test_mu_law_error_follows_the_level() -> None:
    # 8-bit companding: about 38 dB of signal to noise for loud and quiet sound alike, unlike 8 linear bits.
    for level in (0.2, 0.02):
        real = (level * np.sin(2 * np.pi * 500 * np.arange(8000) / 8000)).astype(np.float32)
        error = transcode_sound(real, rate=8000, name="g711_mu") - real
        assert 30 < 20 * np.log10(level / np.sqrt(2) / np.sqrt(np.mean(error**2))) < 45


@pytest.mark.parametrize("name", HERE)
@settings(max_examples=6, deadline=None)
@given(length=st.integers(0, 2000))
@example(length=1)  # nothing is left of it at 8 kHz
def test_any_length_comes_back(name: SoundCodecName, length: int) -> None:
    changed = transcode_sound(noise(1.0)[:length], rate=22_050, name=name, kbps=20)

    assert changed.shape == (length,)
    assert np.isfinite(changed).all()


def test_values_beyond_full_scale_do_not_wrap() -> None:
    loud = np.full(8000, 1.7, np.float32)

    assert transcode_sound(loud, rate=8000, name="g711_a").min() > 0.9


@pytest.mark.parametrize("name", SOUND_CODECS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_sample_that_is_no_number_never_reaches_an_encoder(name: SoundCodecName, bad: float) -> None:
    """LAME aborts the whole process on it; the others give noise."""
    sound = np.zeros(16_000, np.float32)
    sound[5] = bad

    with pytest.raises(ValueError, match="1 of 16000 samples are not finite"):
        transcode_sound(sound, rate=16_000, name=name)


@pytest.mark.parametrize("grey", [False, True])
def test_jpeg_keeps_the_shape_and_loses_detail_with_quality(grey: bool) -> None:
    real = picture()[..., 0] if grey else picture()

    fine, coarse = (transcode_jpeg(real, quality=quality) for quality in (95, 20))

    assert fine.shape == coarse.shape == real.shape
    assert mean_error(fine, real) < mean_error(coarse, real) / 1.5


def test_jpeg_leaves_its_blocks() -> None:
    coarse = transcode_jpeg(picture()[..., 0], quality=8).astype(float)

    steps = np.abs(np.diff(coarse, axis=1)).mean(axis=0)
    assert steps[7::8].mean() > 1.15 * np.delete(steps, np.s_[7::8]).mean()


@pytest.mark.parametrize("name", PICTURES_HERE)
@pytest.mark.parametrize("size", [(64, 64), (33, 47), (5, 9)])
def test_frames_keep_their_count_and_size(name: PictureCodecName, size: tuple[int, int]) -> None:
    frames = np.stack([picture(seed)[: size[0], : size[1]] for seed in range(3)])

    assert transcode_frames(frames, name=name, constant_quality=30).shape == frames.shape


@pytest.mark.parametrize("name", PICTURES_HERE)
def test_frames_come_in_order_and_lose_detail_with_quality(name: PictureCodecName) -> None:
    frames = np.stack([np.roll(picture(side=64), 5 * k, axis=1) for k in range(6)])

    fine, coarse = (
        transcode_frames(frames, name=name, constant_quality=quality)
        for quality in (15, PICTURE_CODECS[name].worst_quality)
    )

    assert mean_error(fine, frames) < 0.6 * mean_error(coarse, frames)
    for k in range(6):
        assert np.argmin([mean_error(fine[k], other) for other in frames]) == k
    assert np.array_equal(fine, transcode_frames(frames, name=name, constant_quality=15))


@pytest.mark.parametrize(("name", "worst"), [("h264", 51), ("av1", 63)])
def test_a_quality_that_does_not_exist_is_told(name: PictureCodecName, worst: int) -> None:
    with pytest.raises(RecipeError, match=f"0 to {worst}"):
        transcode_frames(picture()[None], name=name, constant_quality=worst + 1)
