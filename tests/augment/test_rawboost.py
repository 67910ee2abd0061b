"""RawBoost: each part disturbs what its name says and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from voices import RATE, level_db, noise, voice

from ffdv.augment.rawboost import convolutive_noise, impulsive_noise, rawboost, stationary_noise


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("share", [0.01, 0.1])
def test_impulses_hit_the_wanted_share_in_proportion_to_the_sample(share: float) -> None:
    real = 0.1 * np.sign(noise()) + noise(seed=1, level=0.01)

    pushed = impulsive_noise(real, RATE, rng(), share=(share, share), strength=(2.0, 2.0)) - real

    hit = np.abs(pushed) > 1e-9
    assert hit.mean() == pytest.approx(share, rel=0.02)
    assert np.abs(pushed[hit] / real[hit]).max() <= 2.0 + 1e-3
    assert np.abs(np.mean(np.sign(pushed[hit] * real[hit]))) < 0.3  # either way


def test_impulses_do_not_hit_silence() -> None:
    half = noise()
    half[:8000] = 0.0

    assert np.array_equal(impulsive_noise(half, RATE, rng(), share=(0.5, 0.5))[:8000], half[:8000])


@pytest.mark.parametrize("snr_db", [10.0, 30.0])
def test_stationary_noise_comes_at_the_ratio_and_has_notches(snr_db: float) -> None:
    real = voice()

    added = stationary_noise(real, RATE, rng(2), snr_db=(snr_db, snr_db)) - real

    assert level_db(real) - level_db(added) == pytest.approx(snr_db, abs=0.05)
    power = np.abs(np.fft.rfft(added)) ** 2
    bands = 10 * np.log10([part.mean() for part in np.array_split(power, 80)])
    assert bands.max() - bands.min() > 6.0  # white noise would be flat within 2 dB


def test_stationary_noise_does_not_depend_on_the_sound() -> None:
    first, second = voice(), -voice()

    added = [stationary_noise(sound, RATE, rng(2), snr_db=(10, 10)) - sound for sound in (first, second)]

    assert np.allclose(*added, atol=1e-6)


def test_one_order_is_linear_and_five_are_not() -> None:
    tone = (0.5 * np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE)).astype(np.float32)

    def harmonics_db(orders: int) -> float:
        spectrum = np.abs(np.fft.rfft(convolutive_noise(tone, RATE, rng(1), orders=(orders, orders)))) ** 2
        return float(10 * np.log10(sum(spectrum[k * 500] for k in (2, 3, 4, 5)) / spectrum[500]))

    assert harmonics_db(1) < -60
    assert harmonics_db(5) > -40


def test_nothing_passes_full_scale_or_moves_in_time() -> None:
    loud = (3.0 * voice()).astype(np.float32)

    changed = rawboost(loud, RATE, rng())

    assert convolutive_noise(loud, RATE, rng()).max() <= 1.0
    lags = np.correlate(changed[4000:12000].astype(float), loud[4000 - 40 : 12000 + 40].astype(float), "valid")
    assert abs(int(np.argmax(np.abs(lags))) - 40) <= 3
