"""Speech is heard, soft, noisy or over music; instruments, noise and silence are not taken for it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from music import KINDS, music

from ffdv.augment.levels import add_at_snr
from ffdv.data.sources.synthetic import RATE, Speaker, speak
from ffdv.features.recipe import ExtractSpec, extract, resample_mono
from ffdv.features.voice_activity import FRAME, hear_speech, speech_chances
from ffdv.records import FloatArray


def voice(seed: int = 0) -> FloatArray:
    rng = np.random.default_rng(seed)
    return speak(Speaker.drawn(rng), rng)[0]


def noise(length: int) -> FloatArray:
    return np.random.default_rng(0).standard_normal(length).astype(np.float32) * np.float32(0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_an_instrument_is_not_taken_for_speech(kind: str) -> None:
    assert not any(hear_speech(music(kind, seed)).anybody for seed in range(5))


def test_noise_hum_clicks_and_silence_are_not_speech() -> None:
    time = np.arange(3 * RATE) / RATE
    hum = sum(np.sin(2 * np.pi * 100 * k * time) / k for k in range(1, 9)).astype(np.float32)
    clicks = np.zeros(3 * RATE, np.float32)
    clicks[:: RATE // 3] = 0.5

    for nothing in (noise(3 * RATE), 0.1 * hum, clicks, voice()[:100], np.zeros(RATE, np.float32)):
        assert not hear_speech(nothing).anybody


def test_only_a_sound_below_the_floor_is_silent() -> None:
    assert hear_speech(np.zeros(RATE, np.float32)).silent
    assert hear_speech(np.zeros(0, np.float32)).silent
    assert hear_speech(noise(RATE) * np.float32(5e-4)).silent
    assert not hear_speech(noise(RATE) * np.float32(5e-3)).silent


@pytest.mark.parametrize("seed", range(3))
def test_speech_is_heard_soft_under_noise_and_over_music(seed: int) -> None:
    plain = voice(seed)

    for heard in (
        plain,
        plain * np.float32(0.01),
        add_at_snr(plain, noise(len(plain)), snr_db=5),
        add_at_snr(plain, music("piano", seed, seconds=len(plain) / RATE), snr_db=5),
    ):
        assert hear_speech(heard).anybody


def test_the_same_sound_at_another_level_is_as_much_speech() -> None:
    loud, soft = (hear_speech(voice() * np.float32(gain)).active_seconds for gain in (1.0, 0.02))

    assert soft == pytest.approx(loud, abs=2 * FRAME / RATE)


def test_pauses_are_not_counted_and_more_speech_is_more_seconds() -> None:
    once = hear_speech(voice()).active_seconds
    apart = np.concatenate([voice(), np.zeros(2 * RATE, np.float32), voice()])

    assert 0.5 * len(voice()) / RATE < once <= len(voice()) / RATE
    assert hear_speech(apart).active_seconds == pytest.approx(2 * once, rel=0.2)


def test_what_comes_later_changes_nothing_and_blocks_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = np.concatenate([voice(seed) for seed in range(5)])
    whole = speech_chances(sound)
    monkeypatch.setattr("ffdv.features.voice_activity.FRAMES_AT_ONCE", 50)

    assert len(whole) == -(-len(sound) // FRAME)
    assert speech_chances(sound) == pytest.approx(whole, abs=1e-4)
    assert speech_chances(sound[: 100 * FRAME]) == pytest.approx(whole[:100], abs=1e-4)


@pytest.mark.data
def test_real_and_forged_voices_are_heard_also_under_music(shared_data: Path) -> None:
    folder = shared_data / "audio" / "train"
    with (folder / "manifest.csv").open() as file:
        # Some of the recorded prompts are recordings of silence.
        rows = [row for row in csv.DictReader(file) if "/silence/" not in row["source_path"]][::200]

    missed = []
    for number, row in enumerate(rows):
        sound = extract(folder / row["path"], ExtractSpec(probes=False)).sound
        assert sound is not None
        samples = resample_mono(sound, RATE)
        tune = music(KINDS[number % len(KINDS)], number, seconds=len(samples) / RATE + 0.1)[: len(samples)]
        under_music = hear_speech(add_at_snr(samples, tune, snr_db=10))
        missed += [] if hear_speech(samples).anybody and under_music.anybody else [row["path"]]

    assert len(rows) > 20
    assert not missed


def test_a_long_silence_parts_what_is_talked_and_a_pause_does_not() -> None:
    said = voice()
    length, pause, silence = len(said) / RATE, np.zeros(RATE // 2, np.float32), np.zeros(3 * RATE, np.float32)

    paused = hear_speech(np.concatenate([said, pause, said])).talking
    parted = hear_speech(np.concatenate([said, silence, said])).talking

    assert paused.tolist() == [[0.0, pytest.approx(2 * length + 0.5)]]
    assert len(parted) == 2
    assert parted[0] == pytest.approx([0.0, length], abs=0.4)
    assert parted[1] == pytest.approx([length + 3.0, 2 * length + 3.0], abs=0.4)
    assert len(hear_speech(silence).talking) == 0
