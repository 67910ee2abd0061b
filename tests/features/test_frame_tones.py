"""Tones of frames: a faint comb at a generator's frame rate is found under speech; hum, whine, music and single tones are none."""

from __future__ import annotations

import numpy as np
import pytest

from ffdv.augment.codec import transcode_sound
from ffdv.features.frame_lines import FRAME_RATES
from ffdv.features.frame_tones import RATE, TONE_RATES, frame_tones, tone_scores, tones_between
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
    """All multiples of hz from `first` to 7 kHz, falling by tilt decibels an octave, so loud altogether against speech_like."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(SECONDS * RATE)) / RATE
    total = np.zeros_like(t)
    for k in range(max(1, int(np.ceil(first / hz))), int(7000 / hz) + 1):
        total += 10 ** (-tilt * np.log2(k) / 20) * np.sin(2 * np.pi * (k * hz * t + rng.random()))
    level = np.sqrt(np.mean(np.square(speech_like(0)))) / np.sqrt(np.mean(np.square(total)))
    return np.asarray(10 ** (decibels / 20) * level * total, np.float32)


def scores(samples: FloatArray) -> dict[float, float]:
    found = frame_tones(samples)
    assert found is not None
    assert np.isfinite(found).all()
    return dict(zip(TONE_RATES, tone_scores(found)[0], strict=True))


@pytest.mark.parametrize("rate", TONE_RATES)
def test_faint_tones_at_a_frame_rate_are_found(rate: float) -> None:
    """Some thirty decibels under the speech altogether, each one ten more."""
    said = scores(speech_like(1) + tones(rate, -28, first=2000))

    assert said[rate] > 5
    assert said[rate] == max(said.values())


def test_speech_without_tones_has_none() -> None:
    said = [max(scores(speech_like(seed)).values()) for seed in range(20, 32)]

    assert np.max(said) < 5
    assert np.median(said) < 2


@pytest.mark.parametrize("hz", [2756.25, 5512.5, 4000.0])
def test_one_tone_proves_nothing(hz: float) -> None:
    t = np.arange(round(SECONDS * RATE)) / RATE
    sound = speech_like(2) + np.asarray(0.05 * np.sin(2 * np.pi * hz * t), np.float32)

    assert max(scores(sound).values()) < 5


@pytest.mark.parametrize("hz", [61.0, 90.0, 160.0, 172.27, 187.5, 320.0, 344.53, 375.0, 440.0, 523.25])
def test_a_note_is_no_frame(hz: float) -> None:
    """Those that are multiples of a frame rate, too: the others of its multiples do not show."""
    assert max(scores(speech_like(3) + tones(hz, -20, tilt=6)).values()) < 4


@pytest.mark.parametrize("hz", [5.0, 10.0, 13.333, 16.0, 33.333])
def test_what_repeats_itself_more_slowly_is_no_frame(hz: float) -> None:
    """A ticking, or sound in a loop: tones lie between the multiples as well."""
    assert max(scores(speech_like(3) + tones(hz, -25)).values()) < 4


@pytest.mark.parametrize("hz", [49.97, 50.04, 60.0, 100.08, 120.0])
@pytest.mark.parametrize("decibels", [-30, -40, -50])
def test_a_hum_of_the_mains_is_no_frame(hz: float, decibels: float) -> None:
    """Mains are hardly ever at 50 Hz to a hundredth, and the hundredth tone is a hundred times as far off."""
    assert max(scores(speech_like(4) + tones(hz, decibels)).values()) < 6


def test_the_whine_of_usb_sound_is_none() -> None:
    assert max(scores(speech_like(5) + tones(1000.0, -30)).values()) < 4


def test_a_beep_before_speech_in_whole_numbers_is_none() -> None:
    """What rounding leaves of a tone lies at multiples of many rates, far below all else."""
    t = np.arange(2 * RATE) / RATE
    sound = np.concatenate([0.05 * np.sin(2 * np.pi * 440 * t), 0.2 * speech_like(6)])

    assert max(scores(np.asarray(np.round(sound * 32767) / 32768, np.float32)).values()) < 4


def test_places_between_tell_of_slower_repeats() -> None:
    found = {hz: frame_tones(speech_like(3) + tones(hz, -25, first=2000)) for hz in (10.0, 80.0)}
    place = FRAME_RATES.index(80.0)

    assert found[10.0] is not None
    assert found[80.0] is not None
    assert tones_between(found[10.0])[0, place] > 0
    assert tones_between(found[80.0])[0, place] < 0


def test_level_does_not_count() -> None:
    sound = speech_like(6) + tones(80.0, -25, first=2000)
    loud, quiet = scores(sound), scores(sound * np.float32(0.01))

    assert np.allclose(list(loud.values()), list(quiet.values()), atol=0.05)


def test_tones_outlive_a_codec() -> None:
    """A fixed tone is what a codec keeps best."""
    rate = TONE_RATES[0]
    sound = 0.2 * (speech_like(7) + tones(rate, -28, first=2000))
    worn = transcode_sound(np.asarray(sound, np.float32), rate=RATE, name="aac", kbps=32)

    assert scores(worn)[rate] > 5


@pytest.mark.parametrize(
    "samples", [np.zeros(RATE, np.float32), np.ones(100, np.float32), np.full(RATE, np.nan, np.float32)]
)
def test_what_cannot_be_measured_has_no_tones(samples: FloatArray) -> None:
    assert frame_tones(samples) is None


def test_a_sound_of_less_than_a_second_is_measured() -> None:
    found = frame_tones(speech_like(8)[: round(0.7 * RATE)])

    assert found is not None
    assert np.isfinite(found).all()
