"""The log-mel track: level does not matter, a tone is where it belongs, moments find their frames."""

from __future__ import annotations

import numpy as np
import pytest

from ffdv.features.speech import NUM_BANDS, RATE, speech_track
from ffdv.records import Samples


def noise(seconds: float, *, rate: int = RATE, seed: int = 0) -> Samples:
    return Samples(np.random.default_rng(seed).normal(0, 0.1, (1, round(seconds * rate))).astype(np.float32), rate)


def test_bands_have_no_mean_and_do_not_know_the_level() -> None:
    sound = noise(2)
    track = speech_track(sound)

    assert track.bands.mean(axis=0) == pytest.approx(np.zeros(NUM_BANDS), abs=1e-5)
    assert speech_track(Samples(3 * sound.values, RATE)).bands == pytest.approx(track.bands, abs=0.01)


@pytest.mark.parametrize(("hertz", "band"), [(200, 2), (1000, 11), (4000, 25)])
def test_a_burst_of_a_tone_is_heard_in_its_band_and_at_its_time(hertz: float, band: int) -> None:
    values = noise(2).values[0] * 0.001
    values[RATE : RATE + RATE // 5] += np.sin(2 * np.pi * hertz * np.arange(RATE // 5) / RATE).astype(np.float32)
    track = speech_track(Samples(values[None], RATE, start_seconds=5.0))
    middle = int(track.at(np.array([6.1]))[0])

    assert abs(int(track.bands[middle].argmax()) - band) <= 1
    assert track.bands[middle, band] > track.bands[middle - 30, band] + 2


def test_the_nearest_frame_is_within_half_a_hop_and_ends_are_told() -> None:
    track = speech_track(noise(1))
    moments = np.linspace(0.1, 0.9, 37)
    frames = track.at(moments)

    assert track.start_seconds + frames / 100 == pytest.approx(moments, abs=0.0051)
    assert track.at(np.array([-1.0]))[0] < 0
    assert track.at(np.array([2.0]))[0] >= len(track.bands)


@pytest.mark.parametrize("samples", [0, 1, 399])
def test_less_than_a_window_is_no_frame(samples: int) -> None:
    assert speech_track(Samples(np.zeros((1, samples), np.float32), RATE)).bands.shape == (0, NUM_BANDS)


def test_other_rates_give_the_same_track() -> None:
    import soxr

    sound = noise(1, rate=44_100)
    low = Samples(soxr.resample(sound.values[0], 44_100, RATE, quality="HQ")[None], RATE)

    assert speech_track(sound).bands == pytest.approx(speech_track(low).bands, abs=1e-4)
