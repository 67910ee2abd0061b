"""Speech a hundred times a second: the log-mel track that the phone network hears."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from ffdv.features.recipe import resample_mono
from ffdv.records import FloatArray, Samples

RATE = 16_000  # Hz
TRACK_FPS = 100
HOP = RATE // TRACK_FPS
WINDOW = 400  # 25 ms
FFT = 512
NUM_BANDS = 32
BAND_HZ = (60.0, 6800.0)  # speech corpora and codecs end near 7 kHz; what lies above is theirs, not the mouth's
FLOOR = 1e-7
LEAST_SPREAD = 0.3  # added to the deviation: digital silence must not be blown up


@dataclass(frozen=True)
class SpeechTrack:
    """Log-mel bands float32 (n, 32), each about its own mean, in units of the whole track's deviation; frame i is heard at
    start_seconds + i / TRACK_FPS (the middle of its window).
    """

    bands: FloatArray
    start_seconds: float

    def at(self, seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """The nearest frame to each moment; beyond the ends: below 0, or n and more."""
        return np.round((seconds - self.start_seconds) * TRACK_FPS).astype(np.int64)


def speech_track(samples: Samples) -> SpeechTrack:
    """The track of a sound; empty when it is shorter than one window."""
    mono = resample_mono(samples, RATE)
    count = max(0, (len(mono) - WINDOW) // HOP + 1)
    start_seconds = samples.start_seconds + WINDOW / 2 / RATE
    if count == 0:
        return SpeechTrack(np.zeros((0, NUM_BANDS), np.float32), start_seconds)
    windows = np.lib.stride_tricks.sliding_window_view(mono, WINDOW)[::HOP][:count]
    power = np.abs(np.fft.rfft(windows * _hann(), FFT, axis=1)) ** 2
    bands = np.log(power @ _mel_bands().T + FLOOR)
    spread = float(bands.std()) + LEAST_SPREAD
    return SpeechTrack(((bands - bands.mean(axis=0)) / spread).astype(np.float32), start_seconds)


@cache
def _hann() -> npt.NDArray[np.float64]:
    return np.hanning(WINDOW)


@cache
def _mel_bands() -> npt.NDArray[np.float64]:
    """Triangles of equal width on the mel scale (NUM_BANDS, FFT // 2 + 1)."""
    mels = 2595 * np.log10(1 + np.array(BAND_HZ) / 700)
    edges = 700 * (10 ** (np.linspace(mels[0], mels[1], NUM_BANDS + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(FFT, 1 / RATE)
    rising = (frequencies - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - frequencies) / np.diff(edges)[1:, None]
    return np.maximum(0.0, np.minimum(rising, falling))
