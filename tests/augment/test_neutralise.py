"""Neutralisers: after them, silence, loudness, band and codec no longer tell one class from the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from voices import RATE, band_db, level_db, noise, voice

from ffdv.augment.neutralise import (
    NeutraliseSpec,
    loudness,
    neutralise,
    neutralise_frames,
    set_loudness,
    set_rms,
    trim_edges,
    trim_silence,
)


@settings(max_examples=15, deadline=None)
@given(before=st.integers(0, 9000), after=st.integers(0, 9000))
def test_trimming_undoes_padding_to_within_a_frame(before: int, after: int) -> None:
    sound = noise(0.5)
    padded = np.concatenate([np.zeros(before, np.float32), sound, np.zeros(after, np.float32)])

    trimmed = trim_silence(padded, RATE)

    # Frames of 20 ms: one that holds a sample or two of sound among zeros is quiet and goes, one that holds many stays whole.
    assert len(sound) - 2 * 320 < len(trimmed) < len(sound) + 2 * 320
    assert np.isin(sound[320:-320], trimmed).all()


def test_trimming_twice_is_trimming_once_and_pauses_stay() -> None:
    sound = np.concatenate([noise(0.3), np.zeros(8000, np.float32), noise(0.3, seed=1)])

    trimmed = trim_silence(sound, RATE)

    assert np.array_equal(trimmed, sound)
    assert np.array_equal(trim_silence(trimmed, RATE), trimmed)


def test_some_silence_may_be_kept() -> None:
    padded = np.concatenate([np.zeros(6400, np.float32), noise(0.5), np.zeros(6400, np.float32)])

    assert len(trim_silence(padded, RATE, keep_seconds=0.1)) == 8000 + 2 * 1600


def test_silence_has_no_edge_to_trim() -> None:
    assert len(trim_silence(np.zeros(1000, np.float32), RATE)) == 1000
    assert len(trim_silence(np.zeros(0, np.float32), RATE)) == 0


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_a_full_scale_sine_has_the_loudness_of_the_standard(rate: int) -> None:
    # ITU-R BS.1770-4: 0 dBFS at 997 Hz in one front channel reads -3.01 LKFS.
    sine = np.sin(2 * np.pi * 997 * np.arange(3 * rate) / rate).astype(np.float32)

    assert loudness(sine, rate) == pytest.approx(-3.01, abs=0.1)
    assert loudness(0.1 * sine, rate) == pytest.approx(-23.01, abs=0.1)


def test_loudness_ignores_pauses_and_weighs_treble_over_bass() -> None:
    sound = noise(2.0)
    bass, treble = (
        (0.1 * np.sin(2 * np.pi * hertz * np.arange(2 * RATE) / RATE)).astype(np.float32) for hertz in (40, 4000)
    )

    with_pause = loudness(np.concatenate([sound, np.zeros(4 * RATE, np.float32)]), RATE)

    assert with_pause == pytest.approx(loudness(sound, RATE), abs=0.5)
    assert loudness(treble, RATE) == pytest.approx(loudness(bass, RATE) + 8.0, abs=2.0)
    assert loudness(np.zeros(RATE, np.float32), RATE) is None


def test_quiet_passages_do_not_lower_the_loudness() -> None:
    loud = noise(3.0)
    with_murmur = np.concatenate([loud, 0.1 * loud])  # 20 LU quieter: above the absolute gate, below the relative one

    assert loudness(with_murmur, RATE) == pytest.approx(loudness(loud, RATE), abs=0.5)


def test_levels_are_reached_and_silence_stays_silent() -> None:
    assert level_db(set_rms(voice(), dbfs=-25.0)) == pytest.approx(-25.0, abs=0.01)
    assert loudness(set_loudness(voice(), RATE, lufs=-23.0), RATE) == pytest.approx(-23.0, abs=0.1)
    assert not set_rms(np.zeros(100, np.float32), dbfs=-25.0).any()
    assert not set_loudness(np.zeros(100, np.float32), RATE, lufs=-25.0).any()


def test_container_history_no_longer_tells_the_class() -> None:
    # "Real": quiet, with leading silence and full band. "Fake": loud, no silence, band up to 6 kHz.
    speech = voice(seconds=1.2) + noise(1.2, level=0.01)
    real = np.concatenate([np.zeros(5000, np.float32), 0.1 * speech])
    fake = 2.0 * speech
    spec = NeutraliseSpec(high_hz=5000.0, sound_codec="opus", sound_kbps=32)

    first, second = (neutralise(sound, RATE, spec) for sound in (real, fake))

    assert abs(len(first) - len(second)) <= 2 * 320
    assert level_db(first) == pytest.approx(level_db(second), abs=0.3)
    assert band_db(first, 5600, 8000) < band_db(first, 0, 5000) - 40
    assert band_db(second, 5600, 8000) < band_db(second, 0, 5000) - 40


def test_steps_can_be_left_out() -> None:
    untouched = NeutraliseSpec(trim_below_db=None, high_hz=None, rms_dbfs=None, sound_codec=None)

    assert np.array_equal(neutralise(voice(), RATE, untouched), voice())
    with pytest.raises(ValidationError, match="trim_below_db"):
        NeutraliseSpec(trim_below_db=3.0)


def test_frames_of_both_classes_get_one_codec() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), dtype=np.uint8)

    assert neutralise_frames(frames).shape == frames.shape
    assert not np.array_equal(neutralise_frames(frames), frames)


def test_edges_are_trimmed_to_the_sample() -> None:
    sound = np.concatenate([np.full(7, 0.001), [0.5, -0.02, 0.9], np.zeros(331)]).astype(np.float32)

    assert trim_edges(sound).tolist() == sound[7:10].tolist()
    assert trim_edges(np.zeros(9, np.float32)).shape == (9,)
    assert trim_edges(np.zeros(0, np.float32)).shape == (0,)
