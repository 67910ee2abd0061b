"""What a careful ear looks for in the sound, as numbers: repetition, silence, band limit, melody.

Each function measures one thing and knows nothing of real and fake; what the numbers are worth is in features/cues.py.
mono is float32 (n,) in [-1, 1], rate in Hz. NaN means that it could not be measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ffdv.features.filters import longest_run
from ffdv.features.fourier import next_fast_length
from ffdv.records import FloatArray

SEGMENT_SECONDS = 0.4  # a syllable or two: the shortest repetition that is not chance
APART_SECONDS = 0.5
HOP_SECONDS = 0.02
CANDIDATES = 16  # the segments most alike by their spectrum are compared sample by sample
LONGEST_SECONDS = 60.0  # compared with each other at once: 9 million pairs
QUIET_DB = -30.0  # below the loudest: segments of room noise are always alike
ZERO_LEVEL = 1e-4  # -80 dBFS
PITCH_HZ = (65.0, 400.0)
PITCH_HOP_SECONDS = 0.01
PITCH_WINDOW_SECONDS = 0.04
VOICED = 0.6  # normalised autocorrelation at the period


def repeated_sound(mono: FloatArray, rate: int) -> float:
    """How much alike the two most similar segments of 0.4 s are, sample by sample, in [0, 1]; 1 is a copy.

    Candidates come from the self-similarity of band powers; segments overlap no other nearer than half a second. Only the
    first minute is compared.
    """
    mono = mono[: int(LONGEST_SECONDS * rate)]
    bands = _band_frames(mono, rate)
    length, apart = round(SEGMENT_SECONDS / HOP_SECONDS), round((SEGMENT_SECONDS + APART_SECONDS) / HOP_SECONDS)
    if len(bands) < length + apart:
        return math.nan
    loud = bands.max(axis=1) > bands.max() + QUIET_DB
    centred = bands - bands.mean(axis=0)
    windows = np.lib.stride_tricks.sliding_window_view(centred, length, axis=0).reshape(len(bands) - length + 1, -1)
    heard = np.lib.stride_tricks.sliding_window_view(loud, length).mean(axis=1) > 0.5
    windows = windows - windows.mean(axis=1, keepdims=True)  # a copy may be quieter
    unit = (windows / np.maximum(np.linalg.norm(windows, axis=1, keepdims=True), 1e-9)).astype(np.float32)
    best: list[tuple[float, int, int]] = []
    for first in range(len(unit) - apart):
        if heard[first]:
            likeness = np.where(heard[first + apart :], unit[first + apart :] @ unit[first], -1.0)
            second = int(likeness.argmax())
            best.append((float(likeness[second]), first, first + apart + second))
    hop = round(HOP_SECONDS * rate)
    pairs = sorted(best, reverse=True)[:CANDIDATES]
    samples = round(SEGMENT_SECONDS * rate)
    return max((_alike(mono, a * hop, b * hop, length=samples, slack=2 * hop) for _, a, b in pairs), default=math.nan)


def _alike(mono: FloatArray, first: int, second: int, *, length: int, slack: int) -> float:
    """The highest normalised correlation of a segment with those within ±slack samples of another."""
    one = mono[first : first + length].astype(np.float64)
    begin = max(0, second - slack)
    other = mono[begin : second + length + slack].astype(np.float64)
    if len(one) < length or len(other) < length:
        return 0.0
    size = next_fast_length(len(one) + len(other))
    spectra = np.fft.rfft(other, size) * np.conj(np.fft.rfft(one, size))
    products = np.fft.irfft(spectra, size)[: len(other) - len(one) + 1]
    energy = np.cumsum(np.concatenate([[0.0], other**2]))
    energies = np.maximum(energy[length:] - energy[:-length], 1e-9) * max(float(one @ one), 1e-9)
    return float(min(1.0, np.abs(products / np.sqrt(energies)).max()))


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


def _band_frames(mono: FloatArray, rate: int, num_bands: int = 20) -> FloatArray:
    """DB in bands evenly spaced in mel every 20 ms (frames, bands), 100 Hz to 6 kHz or Nyquist."""
    hop, window = round(HOP_SECONDS * rate), round(2 * HOP_SECONDS * rate)
    if len(mono) < window:
        return np.zeros((0, num_bands), np.float32)
    starts = np.arange(0, len(mono) - window + 1, hop)
    mels = np.linspace(_mel(100.0), _mel(min(6000.0, rate / 2)), num_bands + 1)
    edges = np.round(700 * (10 ** (mels / 2595) - 1) * window / rate).astype(int)
    edges = np.maximum.accumulate(np.maximum(edges, np.arange(num_bands + 1) + edges[0]))
    power = []
    for block in np.array_split(starts, max(1, len(starts) // 512)):
        frames = mono[block[:, None] + np.arange(window)] * np.hanning(window).astype(np.float32)
        power.append(np.add.reduceat(np.abs(np.fft.rfft(frames, axis=1)) ** 2, edges[:-1], axis=1))
    return np.asarray(10 * np.log10(np.concatenate(power) + 1e-10), np.float32)


def longest_silence_seconds(mono: FloatArray, rate: int) -> float:
    """The longest time in which the sound is digitally silent (below -80 dBFS): rooms and microphones never are."""
    start, stop = longest_run(np.abs(mono) < ZERO_LEVEL)
    return (stop - start) / rate if len(mono) else math.nan


def pause_depth_db(mono: FloatArray, rate: int) -> float:
    """Level of the quietest twentieth of the sound under that of speech, in dB (negative): how clean the pauses are."""
    length = round(HOP_SECONDS * rate)
    whole = len(mono) // length * length
    if whole < 10 * length:
        return math.nan
    power = (mono[:whole].astype(np.float64).reshape(-1, length) ** 2).mean(axis=1)
    quiet, speech = np.percentile(power, [5, 90])
    return 10 * math.log10((float(quiet) + 1e-12) / (float(speech) + 1e-12)) if speech > 0 else math.nan


def band_limit_hz(mono: FloatArray, rate: int, *, under_peak_db: float = -60.0) -> float:
    """Above which frequency the mean spectrum stays more than 60 dB under its peak: vocoders and telephones end early."""
    size = 2048
    if len(mono) < size:
        return math.nan
    power = np.zeros(size // 2 + 1)
    window = np.hanning(size).astype(np.float32)
    for block in np.array_split(np.arange(0, len(mono) - size + 1, size // 2), max(1, len(mono) // (size * 256))):
        frames = mono[block[:, None] + np.arange(size)] * window
        power += (np.abs(np.fft.rfft(frames, axis=1)) ** 2).sum(axis=0)
    if power.max() <= 0:
        return math.nan
    loud = np.flatnonzero(power >= power.max() * 10 ** (under_peak_db / 10))
    return float(loud[-1] * rate / size)


def pitch_curve(mono: FloatArray, rate: int) -> FloatArray:
    """Fundamental frequency every 10 ms in Hz, NaN where there is no voice (frames,).

    The highest peak of the autocorrelation between 65 and 400 Hz, divided by that of the window (Boersma 1993), the
    period refined by a parabola.
    """
    hop, length = round(PITCH_HOP_SECONDS * rate), round(PITCH_WINDOW_SECONDS * rate)
    if len(mono) < length:
        return np.zeros(0, np.float32)
    loudest = float(np.abs(mono).max())
    return np.concatenate([_pitches(frames, rate, loudest) for frames in _frames(mono, length, hop)])


def pitch_spread_semitones(pitch_hz: FloatArray) -> float:
    """Deviation of the melody in semitones over the voiced frames, by quartiles; 2 to 4 in lively speech, less when flat."""
    voiced = pitch_hz[np.isfinite(pitch_hz)]
    if len(voiced) < 30:
        return math.nan
    low, high = np.percentile(12 * np.log2(voiced.astype(np.float64)), [25, 75])
    return float(high - low) / 1.349  # of a normal distribution; octave errors are outliers


def pitch_jitter_percent(pitch_hz: FloatArray) -> float:
    """Mean change of the pitch between neighbouring voiced frames, in percent: smooth in synthesis, uneven in throats."""
    both = np.isfinite(pitch_hz[1:]) & np.isfinite(pitch_hz[:-1])
    change = np.abs(pitch_hz[1:][both] / pitch_hz[:-1][both] - 1)
    change = change[change < 0.2]  # more is an octave error or another voice
    return 100 * float(change.mean()) if len(change) >= 20 else math.nan


def _frames(mono: FloatArray, length: int, hop: int, at_once: int = 2000) -> Iterator[FloatArray]:
    starts = np.arange(0, len(mono) - length + 1, hop)
    for block in np.array_split(starts, max(1, math.ceil(len(starts) / at_once))):
        yield mono[block[:, None] + np.arange(length)]


def _pitches(frames: FloatArray, rate: int, loudest: float) -> FloatArray:
    length = frames.shape[1]
    size = 1 << (2 * length - 1).bit_length()
    window = np.hanning(length)
    tapered = (frames - frames.mean(axis=1, keepdims=True)) * window
    correlation = np.fft.irfft(np.abs(np.fft.rfft(tapered, size, axis=1)) ** 2, size, axis=1)
    own = np.fft.irfft(np.abs(np.fft.rfft(window, size)) ** 2, size)
    shortest, longest = int(rate / PITCH_HZ[1]), min(int(rate / PITCH_HZ[0]), length * 2 // 3)
    lags = np.arange(shortest - 1, longest + 2)
    values = correlation[:, lags] / np.maximum(correlation[:, :1], 1e-12) / (own[lags] / own[0])
    # a longer period is as good a match as a shorter one: prefer the shorter
    peak = (values[:, 1:-1] - 0.02 * np.log2(lags[1:-1] / shortest)).argmax(axis=1) + 1
    rows = np.arange(len(frames))
    # where a period lies half-way between two lags the preference may have picked the lower of two equal neighbours
    higher = np.sign(values[rows, peak + 1] - values[rows, peak]).clip(0).astype(np.int64)
    peak = np.minimum(peak + higher, values.shape[1] - 2)
    before, here, after = values[rows, peak - 1], values[rows, peak], values[rows, peak + 1]
    bend = before - 2 * here + after
    shift = np.where(np.abs(bend) > 1e-9, 0.5 * (before - after) / np.where(np.abs(bend) > 1e-9, bend, 1), 0)
    top = (here >= before) & (here >= after)  # not the slope of a peak beyond the range
    voiced = top & (here > VOICED) & (np.abs(frames).max(axis=1) > 0.03 * loudest)
    hertz = rate / (lags[peak] + np.clip(shift, -0.5, 0.5))
    return np.where(voiced, hertz, np.nan).astype(np.float32)


def voiced_share(pitch_hz: FloatArray) -> float:
    """Share of the frames that have a pitch."""
    return float(np.isfinite(pitch_hz).mean()) if len(pitch_hz) else math.nan
