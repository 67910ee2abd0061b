"""How loud: root mean square, decibels, and one sound mixed under another at a wanted ratio."""

from __future__ import annotations

import numpy as np

from ffdv.records import FloatArray

# Below this a sound is digital silence: -200 dB re full scale, far under the last bit of 24-bit sound.
SILENCE_RMS = 1e-10


def rms(samples: FloatArray) -> float:
    """Root mean square of an array, 0.0 for an empty one; summed in float64."""
    if samples.size == 0:
        return 0.0
    flat = samples.reshape(-1).astype(np.float64)
    return float(np.sqrt(flat @ flat / flat.size))


def amplitude(decibels: float) -> float:
    """20 dB more is ten times the amplitude."""
    return float(10.0 ** (decibels / 20.0))


def add_at_snr(samples: FloatArray, noise: FloatArray, *, snr_db: float) -> FloatArray:
    """The sound plus noise, the noise scaled so that its RMS lies snr_db below that of the whole sound.

    Silence stays silence (a ratio to nothing is undefined), and silent noise adds nothing.
    """
    sound_rms, noise_rms = rms(samples), rms(noise)
    if sound_rms < SILENCE_RMS or noise_rms < SILENCE_RMS:
        return samples
    mixed: FloatArray = samples + noise.astype(np.float32) * np.float32(sound_rms / noise_rms / amplitude(snr_db))
    return mixed
