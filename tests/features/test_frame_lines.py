"""Frame lines: a beat at a generator's frame rate is found, whatever its level; noise and speech-like sound show none."""

from __future__ import annotations

import numpy as np
import pytest

from ffdv.features.frame_lines import FRAME_RATES, RATE, LineScale, frame_lines
from ffdv.records import FloatArray

SECONDS = 4.0


def noise(seed: int, *, beat_hz: float = 0.0, harmonics: int = 5, together: bool = False) -> FloatArray:
    """Noise in bands of 100 Hz that swing slowly like syllables, and each by a little with beat_hz and its multiples; all alike or not."""
    rng = np.random.default_rng(seed)
    count = round(SECONDS * RATE)
    t = np.arange(count) / RATE
    spectrum = np.fft.rfft(rng.standard_normal(count))
    hz = np.fft.rfftfreq(count, 1 / RATE)
    turns = rng.random((len(range(200, 6800, 100)), harmonics))
    total = np.zeros(count)
    for number, low in enumerate(range(200, 6800, 100)):
        band = np.fft.irfft(np.where((hz >= low) & (hz < low + 100), spectrum, 0), count)
        phases = turns[0] if together else turns[number]
        beat = sum(np.sin(2 * np.pi * (k * beat_hz * t + phase)) for k, phase in enumerate(phases, 1))
        total += band * (1 + 0.1 * beat * (beat_hz > 0))
    return np.asarray(0.1 * total * (1.2 + np.sin(2 * np.pi * 4 * t)), np.float32)


def lines(samples: FloatArray) -> FloatArray:
    found = frame_lines(samples)
    assert found is not None
    return found


def evidence(scale: LineScale, found: FloatArray) -> FloatArray:
    """Natural log of 1 + the mean likelihood ratio over rates."""
    return np.asarray(np.log1p(np.exp(scale.ratios(found)).mean(axis=1)))


@pytest.fixture(scope="module")
def scale() -> LineScale:
    return LineScale.of_genuine(np.stack([lines(noise(seed)) for seed in range(100, 120)]))


@pytest.mark.parametrize("rate", FRAME_RATES)
def test_a_beat_at_a_frame_rate_is_found(scale: LineScale, rate: float) -> None:
    found = lines(noise(1, beat_hz=rate))

    assert evidence(scale, found)[0] > 2
    assert FRAME_RATES[int(scale.ratios(found)[0].argmax())] == rate


def test_a_beat_of_all_bands_together_is_no_frame(scale: LineScale) -> None:
    """A lamp that buzzes, or a voice on one note, is pulses: they are in all bands at the same moment."""
    assert evidence(scale, lines(noise(1, beat_hz=50.0)))[0] > 3
    assert evidence(scale, lines(noise(1, beat_hz=50.0, together=True)))[0] < 1


def test_one_line_is_no_comb(scale: LineScale) -> None:
    """A tone may hit one frequency."""
    assert evidence(scale, lines(noise(1, beat_hz=FRAME_RATES[0], harmonics=1)))[0] < 3


@pytest.mark.parametrize("rate", [61.0, 90.0, 97.0])
def test_a_beat_at_another_rate_is_none(scale: LineScale, rate: float) -> None:
    """No generator in use has it; a clip's own rhythm, a motor or a dimmer may."""
    assert evidence(scale, lines(noise(2, beat_hz=rate)))[0] < 2


def test_noise_without_a_beat_is_no_evidence(scale: LineScale) -> None:
    said = evidence(scale, np.stack([lines(noise(seed)) for seed in range(12)]))

    assert np.all(said >= 0)
    assert np.median(said) < 1.2  # odds of a rate more or less, as luck has it


def test_level_does_not_count() -> None:
    samples = noise(4, beat_hz=80.0)

    assert np.allclose(lines(samples), lines(samples * np.float32(0.01)), atol=1e-3)


def test_hum_of_the_mains_is_no_beat(scale: LineScale) -> None:
    t = np.arange(round(SECONDS * RATE)) / RATE
    hum = sum(np.sin(2 * np.pi * 50 * number * t + number) / number for number in range(1, 8))

    assert evidence(scale, lines(noise(5) + np.asarray(0.05 * hum, np.float32)))[0] < 2


@pytest.mark.parametrize(
    "samples", [np.zeros(RATE, np.float32), np.ones(100, np.float32), np.full(RATE, np.nan, np.float32)]
)
def test_what_cannot_be_measured_has_no_lines(samples: FloatArray) -> None:
    assert frame_lines(samples) is None


def test_a_scale_of_other_frequencies_is_refused() -> None:
    with pytest.raises(ValueError, match="make the weights again"):
        LineScale(np.zeros(3, np.float32), np.ones(3, np.float32), np.ones(2, np.float32))
