"""Sounds whose pitch, band and place in time are known, for the tests of this folder."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ffdv.augment.world import import_world

RATE = 16_000
Floats = npt.NDArray[np.float32]


def voice(pitch_hz: float = 140.0, seconds: float = 1.5, rate: int = RATE, seed: int = 0) -> Floats:
    """A steady vowel: harmonics under three formants, syllables of loudness, a little breath."""
    n = round(seconds * rate)
    t = np.arange(n) / rate
    sound = np.zeros(n)
    for harmonic in range(1, int(0.45 * rate / pitch_hz)):
        hz = harmonic * pitch_hz
        weight = 0.03 + sum(1 / (1 + ((hz - formant) / 120) ** 2) for formant in (600, 1300, 2500))
        sound += weight * np.sin(2 * np.pi * hz * t + harmonic)
    sound *= 0.6 + 0.4 * np.sin(2 * np.pi * 3.0 * t)
    sound += 0.02 * np.random.default_rng(seed).standard_normal(n) * np.abs(sound).max()
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def noise(seconds: float = 1.0, rate: int = RATE, seed: int = 0, level: float = 0.1) -> Floats:
    """White noise of RMS `level`."""
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(np.float32)


def pitch_of(samples: Floats, rate: int = RATE) -> float:
    """Median pitch of the voiced frames, by WORLD's estimator."""
    world = import_world()
    sound = samples.astype(np.float64)
    pitch, _ = world.harvest(sound, rate, f0_ceil=500.0, frame_period=10.0)
    return float(np.median(pitch[pitch > 0]))


def band_db(samples: Floats, low_hz: float, high_hz: float, rate: int = RATE) -> float:
    """Power between two frequencies, in dB of an arbitrary reference."""
    power = np.abs(np.fft.rfft(samples.astype(np.float64))) ** 2 / len(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / rate)
    return float(10 * np.log10(power[(hertz >= low_hz) & (hertz < high_hz)].sum() + 1e-20))


def level_db(samples: Floats) -> float:
    """RMS in dB re full scale."""
    return float(20 * np.log10(np.sqrt(np.mean(np.square(samples, dtype=np.float64))) + 1e-20))


def lag_samples(late: Floats, early: Floats, rate: int = RATE) -> float:
    """By how many samples `late` comes after `early`, to an eighth of a sample."""
    from scipy.signal import correlate, resample_poly

    length = min(len(late), len(early), rate // 2)
    first, second = (resample_poly(sound[:length].astype(np.float64), 8, 1) for sound in (late, early))
    return (int(np.argmax(correlate(first, second, "full", method="fft"))) - (len(second) - 1)) / 8
