"""Is anybody speaking here? A plain check by loudness and periodicity, so that no voice is judged where none is.

Speech swings in level by the syllable and is periodic in part; steady noise does not swing, hiss is never periodic, and silence is
neither. Music and singing may well pass: this is no music detector, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ffdv.features import fourier
from ffdv.records import FloatArray

RATE = 16_000
HOP = RATE // 100  # 10 ms
ACTIVE_DB = 32.0  # so far under the loud frames a frame still counts as sound
VOICED = 0.55  # height of the autocorrelation's peak, 1 = perfectly periodic; noise stays below 0.4
LOWEST_HZ, HIGHEST_HZ = 70.0, 400.0
SMALLEST_RMS = 1e-4  # -80 dBFS: below that a file is silent
LEAST_VOICED_SECONDS = 0.3
LEAST_SPREAD_DB = 3.5  # of the active frames' level: speech 6 … 11, a melody of struck strings 3.7, noise below 1


@dataclass(frozen=True)
class SpeechHeard:
    """active_seconds: not pauses; voiced_seconds: of these with a pitch; level_spread_db: standard deviation of their level."""

    active_seconds: float
    voiced_seconds: float
    level_spread_db: float

    @property
    def anybody(self) -> bool:
        """Whether this can be speech at all."""
        return self.voiced_seconds >= LEAST_VOICED_SECONDS and self.level_spread_db >= LEAST_SPREAD_DB


def hear_speech(samples: FloatArray) -> SpeechHeard:
    """How much of mono sound (n,) at 16 kHz can be speech; the same whatever the level, down to SMALLEST_RMS."""
    if len(samples) < 2 * HOP or float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) < SMALLEST_RMS:
        return SpeechHeard(0.0, 0.0, 0.0)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, 320), 640)[::HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    level = 10.0 * np.log10(np.mean(np.square(frames, dtype=np.float64), axis=1) + 1e-12)
    active = level > np.percentile(level, 95) - ACTIVE_DB
    voiced = active & (_periodicity(frames) > VOICED)
    return SpeechHeard(float(active.sum() * HOP / RATE), float(voiced.sum() * HOP / RATE), float(np.std(level[active])))


def _periodicity(frames: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Highest normalised autocorrelation of each frame (k, 640) at lags of a voice's pitch (k,), below 900 Hz."""
    spectrum = fourier.rfft(frames * np.hanning(frames.shape[1]).astype(np.float32), 1280, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    power[:, 72:] = 0.0  # 12.5 Hz a bin: the first harmonics are enough, and noise above them would hide a voice
    power[:, :5] = 0.0
    lags = fourier.irfft(power, axis=1)
    window = np.hanning(frames.shape[1])
    taper = fourier.irfft(np.abs(fourier.rfft(window, 1280)) ** 2)
    first, last = int(RATE / HIGHEST_HZ), int(RATE / LOWEST_HZ)
    shape = lags[:, first:last] / (lags[:, :1] + 1e-12) / (taper[first:last] / taper[0])
    return np.asarray(shape.max(axis=1), dtype=np.float64)
