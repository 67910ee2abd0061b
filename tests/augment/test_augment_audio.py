"""Sound transforms: each does what its name says, by a measure of its own, and chance comes only from the rng."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import welch
from voices import RATE, band_db, lag_samples, level_db, noise, pitch_of, voice

from ffdv.augment.audio import (
    SOUND_TRANSFORMS,
    Channel,
    SoundTransform,
    band_limit,
    change_speed,
    clip,
    from_audiomentations,
    gain,
    impulse_response,
    noise_from_files,
    pink_noise,
    pitch_shift,
    reverberate,
    separate_channels,
    set_loudness,
    set_rms,
    time_stretch,
    trim_silence,
    white_noise,
)
from ffdv.augment.noise import Colour, coloured_noise
from ffdv.errors import RecipeError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def semitones_between(high_hz: float, low_hz: float) -> float:
    return float(12 * np.log2(high_hz / low_hz))


@pytest.mark.parametrize("semitones", [-5.0, -2.0, 1.0, 4.0])
@pytest.mark.parametrize("pitch_hz", [110.0, 210.0])
def test_pitch_shift_moves_the_pitch_and_keeps_the_length(semitones: float, pitch_hz: float) -> None:
    real = voice(pitch_hz)

    shifted = pitch_shift(real, RATE, rng(), semitones=(semitones, semitones))

    assert len(shifted) == len(real)
    assert semitones_between(pitch_of(shifted), pitch_hz) == pytest.approx(semitones, abs=0.25)


@pytest.mark.parametrize("factor", [0.75, 0.9, 1.1, 1.4])
def test_time_stretch_changes_the_length_and_keeps_the_pitch(factor: float) -> None:
    real = voice(140.0)

    stretched = time_stretch(real, RATE, rng(), factor=(factor, factor))

    assert len(stretched) == round(len(real) / factor)
    assert semitones_between(pitch_of(stretched), 140.0) == pytest.approx(0.0, abs=0.1)


def test_time_stretch_moves_events_with_the_clock() -> None:
    clicks = np.zeros(2 * RATE, np.float32)
    clicks[[8000, 24000]] = 1.0

    stretched = time_stretch(clicks, RATE, rng(), factor=(0.8, 0.8))

    halves = np.array_split(np.abs(stretched), 2)
    places = np.array([halves[0].argmax(), len(halves[0]) + halves[1].argmax()])
    assert np.abs(places - np.array([10000, 30000])).max() <= 16  # 1 ms


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_change_speed_moves_pitch_and_length_together(factor: float) -> None:
    faster = change_speed(voice(140.0), RATE, rng(), factor=(factor, factor))

    assert len(faster) == pytest.approx(len(voice(140.0)) / factor, abs=2)
    assert pitch_of(faster) == pytest.approx(140.0 * factor, rel=0.005)


@pytest.mark.parametrize("snr_db", [-3.0, 10.0, 35.0])
@pytest.mark.parametrize("add_noise", [white_noise, pink_noise])
def test_noise_comes_at_the_wanted_ratio(add_noise: SoundTransform, snr_db: float) -> None:
    real = voice()

    noisy = add_noise(real, RATE, rng(), snr_db=(snr_db, snr_db))

    assert level_db(real) - level_db(noisy - real) == pytest.approx(snr_db, abs=0.05)


def test_a_drawn_ratio_lies_in_its_range_and_varies() -> None:
    real = voice()

    ratios = [
        level_db(real) - level_db(white_noise(real, RATE, rng(seed), snr_db=(5, 25)) - real) for seed in range(20)
    ]

    assert min(ratios) >= 4.9
    assert max(ratios) <= 25.1
    assert np.std(ratios) > 2.0


@pytest.mark.parametrize(("colour", "db_per_octave"), [("white", 0.0), ("pink", -3.01), ("brown", -6.02)])
@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_noise_has_the_slope_of_its_colour(colour: Colour, db_per_octave: float, rate: int) -> None:
    sound = coloured_noise(12 * rate, rng(), colour=colour)

    hertz, power = welch(sound, rate, nperseg=8192)
    edges = 40.0 * 2.0 ** np.arange(1 + int(np.log2(rate / 2 / 40.0)))
    octaves = [
        10 * np.log10(power[(hertz >= low) & (hertz < 2 * low)].mean()) for low in edges[:-1] if 2 * low <= rate / 2
    ]
    assert np.polyfit(np.arange(len(octaves)), octaves, 1)[0] == pytest.approx(db_per_octave, abs=0.25)
    assert level_db(sound) == pytest.approx(0.0, abs=0.1)


def test_noise_from_files_takes_a_stretch_of_the_recording_at_the_ratio(tmp_path: Path) -> None:
    tone = np.sin(2 * np.pi * 3000 * np.arange(44_100 * 3) / 44_100).astype(np.float32)
    soundfile.write(tmp_path / "tone.wav", np.stack([tone, tone], axis=1), 44_100)
    (tmp_path / "notes.txt").write_text("not a sound")
    real = voice()

    added = noise_from_files(real, RATE, rng(), folder=tmp_path, snr_db=(10, 10)) - real

    assert level_db(real) - level_db(added) == pytest.approx(10.0, abs=0.5)
    assert band_db(added, 2900, 3100) > band_db(added, 0, 2900) + 30  # still 3 kHz: resampled, not reinterpreted


def test_a_short_noise_file_is_repeated(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", noise(0.1), RATE)
    real = voice()

    added = noise_from_files(real, RATE, rng(), folder=tmp_path, snr_db=(10, 10)) - real

    assert np.abs(added[: len(added) // 10]).max() > 0
    assert np.abs(added[-len(added) // 10 :]).max() > 0
    assert np.allclose(added[:1600], added[1600:3200], atol=1e-6)


def test_a_folder_without_sounds_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no sound files"):
        noise_from_files(voice(), RATE, rng(), folder=tmp_path)
    with pytest.raises(RecipeError, match="is not a folder"):
        noise_from_files(voice(), RATE, rng(), folder=tmp_path / "absent")


def test_a_broken_noise_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF....")

    with pytest.raises(RecipeError, match=r"broken\.wav.*take it out"):
        noise_from_files(voice(), RATE, rng(), folder=tmp_path)


def test_reverberation_keeps_length_level_and_place() -> None:
    real = voice()

    wet = reverberate(real, RATE, rng(3), rt60_seconds=(0.4, 0.4))

    assert wet.shape == real.shape
    assert level_db(wet) == pytest.approx(level_db(real), abs=0.01)
    assert np.corrcoef(wet, real)[0, 1] < 0.99


def test_a_measured_impulse_response_is_applied_without_its_delay(tmp_path: Path) -> None:
    response = np.zeros(4000, np.float32)
    response[700], response[1100] = 1.0, 0.5  # 700 samples of delay, an echo 400 samples later
    soundfile.write(tmp_path / "room.wav", response, RATE, subtype="FLOAT")
    real = noise()

    wet = impulse_response(real, RATE, rng(), folder=tmp_path)

    expected = real.copy()
    expected[400:] += 0.5 * real[:-400]
    expected *= np.sqrt(np.mean(real**2) / np.mean(expected**2))
    assert np.allclose(wet, expected, atol=1e-5)


def test_channels_are_separated() -> None:
    left, right = noise(seed=1), noise(seed=2)
    stereo = np.stack([left, right])

    def taken(channel: Channel) -> np.ndarray:
        return separate_channels(stereo, RATE, rng(), take=(channel,))

    assert np.array_equal(taken("left"), left)
    assert np.array_equal(taken("right"), right)
    assert np.allclose(taken("mid") + taken("side"), left, atol=1e-7)
    assert np.allclose(taken("mid") - taken("side"), right, atol=1e-7)
    assert np.array_equal(separate_channels(left, RATE, rng(), take=("side",)), left)
    assert np.array_equal(separate_channels(left[None], RATE, rng(), take=("side",)), left)
    assert np.allclose(separate_channels(np.stack([left, right, left]), RATE, rng()), (2 * left + right) / 3, atol=1e-6)


@pytest.mark.parametrize("decibels", [-20.0, 6.0])
def test_gain_is_in_decibels(decibels: float) -> None:
    assert level_db(gain(voice(), RATE, rng(), decibels=(decibels, decibels))) == pytest.approx(
        level_db(voice()) + decibels, abs=0.001
    )


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_clip_cuts_the_wanted_share_to_one_ceiling(share: float) -> None:
    real = noise()

    clipped = clip(real, RATE, rng(), share=(share, share))

    at_ceiling = np.abs(clipped) >= np.abs(clipped).max() - 1e-9
    assert at_ceiling.mean() == pytest.approx(share, abs=0.002)
    assert np.array_equal(clipped[~at_ceiling], real[~at_ceiling])


def test_band_limit_keeps_the_band_and_removes_the_rest_without_delay() -> None:
    real = noise(2.0)

    limited = band_limit(real, RATE, rng(), low_hz=(300, 300), high_hz=(3400, 3400))

    assert band_db(limited, 600, 3100) == pytest.approx(band_db(real, 600, 3100), abs=0.1)
    assert band_db(limited, 3700, 8000) < band_db(real, 3700, 8000) - 50
    assert band_db(limited, 0, 40) < band_db(real, 0, 40) - 30
    assert lag_samples(limited, real) == 0.0


def test_a_band_without_width_is_refused() -> None:
    with pytest.raises(RecipeError, match="lower low_hz"):
        band_limit(voice(), RATE, rng(), low_hz=(4000, 4000), high_hz=(3000, 3000))


def test_neutralising_steps_reach_their_target() -> None:
    padded = np.concatenate([np.zeros(4000, np.float32), voice(), np.zeros(6000, np.float32)])

    assert len(trim_silence(padded, RATE, rng())) == pytest.approx(len(voice()), abs=2 * 320)
    assert level_db(set_rms(voice(), RATE, rng(), dbfs=(-30, -30))) == pytest.approx(-30, abs=0.01)
    assert not np.array_equal(set_loudness(voice(), RATE, rng(), lufs=(-30, -30)), voice())


def test_audiomentations_is_seeded_and_leaves_the_global_generators_alone() -> None:
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    before = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002

    def changed(seed: int) -> np.ndarray:
        return from_audiomentations(
            voice(), RATE, rng(seed), transform="TanhDistortion", settings={"min_distortion": 0.1}
        )

    assert np.array_equal(changed(1), changed(1))
    assert not np.array_equal(changed(1), changed(2))
    assert random.getstate() == before[0]
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_audiomentations_mistakes_are_told() -> None:
    with pytest.raises(RecipeError, match="has no transform 'Tanh'"):
        from_audiomentations(voice(), RATE, rng(), transform="Tanh")
    with pytest.raises(RecipeError, match="min_distrotion"):
        from_audiomentations(voice(), RATE, rng(), transform="TanhDistortion", settings={"min_distrotion": 0.1})


WITHOUT_FILES = sorted(set(SOUND_TRANSFORMS) - {"noise_from_files", "impulse_response", "audiomentations"})


@pytest.mark.parametrize("name", WITHOUT_FILES)
def test_the_same_seed_gives_the_same_sound_and_the_given_one_is_left_alone(name: str) -> None:
    real = voice(seconds=0.7)
    kept = real.copy()
    real.flags.writeable = False

    first, second = (SOUND_TRANSFORMS[name](real, RATE, rng(7)) for _ in range(2))

    assert np.array_equal(first, second)
    assert np.array_equal(real, kept)


RANDOM = sorted(set(WITHOUT_FILES) - {"separate_channels", "g722", "trim_silence", "set_rms", "set_loudness"})


@pytest.mark.parametrize("name", RANDOM)
def test_another_seed_gives_another_sound(name: str) -> None:
    real = voice(seconds=0.7)

    results = [SOUND_TRANSFORMS[name](real, RATE, rng(seed)) for seed in range(4)]

    assert len({result.tobytes() for result in results}) > 1


@pytest.mark.parametrize("name", WITHOUT_FILES)
@settings(max_examples=6, deadline=None)
@given(length=st.integers(0, 700), rate=st.sampled_from([8_000, 44_100]), silent=st.booleans())
def test_any_length_and_silence_come_through_finite(name: str, length: int, rate: int, silent: bool) -> None:
    sound = np.zeros(length, np.float32) if silent else noise(1.0)[:length]

    changed = SOUND_TRANSFORMS[name](sound, rate, rng())

    assert changed.dtype == np.float32
    assert changed.ndim == 1
    assert np.isfinite(changed).all()
    if silent:
        assert np.abs(changed).max(initial=0.0) < 1e-3
