"""Tones of frames: a faint comb at a generator's frame rate is found under speech; hum, whine, music and single tones are none."""

from __future__ import annotations

import numpy as np
import pytest

from ffdv.augment.codec import transcode_sound
from ffdv.features.frame_tones import RATE, TONE_RATES, frame_tones, tone_frequencies, tone_ratios
from ffdv.records import FloatArray

SECONDS = 4.0


def speech_like(seed: int) -> FloatArray:
    """Noise that is louder below and swings like syllables."""
    rng = np.random.default_rng(seed)
    count = round(SECONDS * RATE)
    t = np.arange(count) / RATE
    spectrum = np.fft.rfft(rng.standard_normal(count)) / (1 + np.fft.rfftfreq(count, 1 / RATE) / 500)
    return np.asarray(np.fft.irfft(spectrum, count) * (1.05 + np.sin(2 * np.pi * 4 * t)), np.float32)


def tones(hz: float, decibels: float, *, first: float = 0.0, tilt: float = 0.0, seed: int = 0) -> FloatArray:
    """All multiples of hz from `first` to 7 kHz, each of so many decibels, falling by tilt decibels an octave."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(SECONDS * RATE)) / RATE
    total = np.zeros_like(t)
    for k in range(max(1, int(np.ceil(first / hz))), int(7000 / hz) + 1):
        level = 10 ** ((decibels - tilt * np.log2(k)) / 20)
        total += level * np.sin(2 * np.pi * (k * hz * t + rng.random()))
    return np.asarray(total, np.float32)


def ratios(samples: FloatArray) -> dict[float, float]:
    found = frame_tones(samples)
    assert found is not None
    assert found.shape == tone_frequencies().shape
    return dict(zip(TONE_RATES, tone_ratios(found)[0], strict=True))


@pytest.mark.parametrize("rate", TONE_RATES)
def test_faint_tones_at_a_frame_rate_are_found(rate: float) -> None:
    """Each 40 dB and more under the speech."""
    sound = speech_like(1)
    level = 20 * np.log10(np.sqrt(np.mean(np.square(sound)))) - 42
    said = ratios(sound + tones(rate, level, first=2000))

    assert said[rate] > 5
    assert said[rate] == max(said.values())


def test_speech_without_tones_has_none() -> None:
    said = [max(ratios(speech_like(seed)).values()) for seed in range(20, 32)]

    assert np.max(said) < 5
    assert np.median(said) < 2


def test_one_tone_proves_nothing() -> None:
    t = np.arange(round(SECONDS * RATE)) / RATE
    sound = speech_like(2) + np.asarray(0.05 * np.sin(2 * np.pi * 2756.25 * t), np.float32)

    assert max(ratios(sound).values()) < 5


@pytest.mark.parametrize("hz", [61.0, 90.0, 440.0, 523.25])
def test_tones_of_another_rate_are_none(hz: float) -> None:
    """A note of an instrument, a motor."""
    assert max(ratios(speech_like(3) + tones(hz, -40)).values()) < 4


@pytest.mark.parametrize("hz", [50.0, 100.0, 120.0])
def test_a_buzz_of_the_mains_is_none(hz: float) -> None:
    """It is strongest at the bottom."""
    assert max(ratios(speech_like(4) + tones(hz, -20, tilt=6)).values()) < 4


def test_the_whine_of_usb_sound_is_none() -> None:
    assert max(ratios(speech_like(5) + tones(1000.0, -40)).values()) < 4


def test_level_does_not_count() -> None:
    sound = speech_like(6) + tones(80.0, -40, first=2000)
    loud, quiet = ratios(sound), ratios(sound * np.float32(0.01))

    assert np.allclose(list(loud.values()), list(quiet.values()), atol=0.05)


def test_tones_outlive_a_codec() -> None:
    """A fixed tone is what a codec keeps best."""
    rate = TONE_RATES[0]
    sound = 0.2 * (speech_like(7) + tones(rate, -45, first=2000))
    worn = transcode_sound(np.asarray(sound, np.float32), rate=RATE, name="aac", kbps=32)

    assert ratios(worn)[rate] > 5


@pytest.mark.parametrize(
    "samples", [np.zeros(RATE, np.float32), np.ones(100, np.float32), np.full(RATE, np.nan, np.float32)]
)
def test_what_cannot_be_measured_has_no_tones(samples: FloatArray) -> None:
    assert frame_tones(samples) is None


def test_a_sound_of_less_than_a_second_is_measured() -> None:
    found = frame_tones(speech_like(8)[: round(0.7 * RATE)])

    assert found is not None
    assert np.isfinite(found).all()
