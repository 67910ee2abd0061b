"""Statistics of a voice: finite, the same at any level, moved by what vocoders do."""

from __future__ import annotations

import numpy as np
import pytest

from ffdv.data.sources.synthetic import RATE, Speaker, speak
from ffdv.features.voice_statistics import FEWEST_ACTIVE_FRAMES, HOP, active_frames, statistic_names, voice_statistics
from ffdv.records import FloatArray


def voice(seed: int = 0) -> FloatArray:
    rng = np.random.default_rng(seed)
    return speak(Speaker.drawn(rng), rng)[0]


def test_every_value_has_a_name_and_is_finite() -> None:
    measured = voice_statistics(voice())

    assert measured is not None
    assert measured.values.shape == (len(statistic_names()),)
    assert len(set(statistic_names())) == len(statistic_names()) > 700
    assert np.isfinite(measured.values).all()
    assert 0.5 < measured.active_seconds <= 2.05


def test_the_same_sound_at_another_level_measures_the_same() -> None:
    loud, soft = (voice_statistics(voice() * np.float32(gain)) for gain in (1.0, 0.02))

    assert loud is not None
    assert soft is not None
    assert np.median(np.abs(loud.values - soft.values)) < 1e-4


def test_a_voice_with_noise_for_harmonics_is_less_deep_in_them() -> None:
    rng = np.random.default_rng(1)
    real = voice_statistics(voice())
    breathy = voice_statistics((voice() + 0.03 * rng.standard_normal(len(voice()))).astype(np.float32))

    assert real is not None
    assert breathy is not None
    deep = [place for place, name in enumerate(statistic_names()) if name.startswith("depth_voiced_mean[")]
    assert breathy.values[deep].mean() < real.values[deep].mean()


@pytest.mark.parametrize("sound", [np.zeros(RATE, np.float32), voice()[: FEWEST_ACTIVE_FRAMES * HOP // 2]])
def test_silence_and_scraps_have_no_statistics(sound: FloatArray) -> None:
    assert voice_statistics(sound) is None


def test_pauses_are_not_active() -> None:
    sound = np.concatenate([voice(), np.zeros(RATE, np.float32)])

    active = active_frames(sound)

    assert active[: len(voice()) // HOP].mean() > 0.5
    assert not active[-50:].any()
