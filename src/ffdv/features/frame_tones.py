"""Tones at multiples of a generator's frame rate: what layers that raise a rate leave at fixed frequencies, in step with the frames.

    samples ─ every place of the spectrogram at one loudness ─ spectra of a second ─ their mean against the surroundings
    ─▶ how far every multiple of the frame rates in use stands out ─▶ likelihood ratio of each rate

A layer that raises the rate repeats its kernels with every frame, and so adds a faint pattern that is the same from frame to frame: tones at
multiples of the frame rate (Odena et al. 2016, Pons et al. 2021), strongest beside a quarter and an eighth of the generator's sampling rate.
Speech covers them by 30 to 50 dB where it is loud. Once every place in time and frequency is brought to one loudness they add up over the
clip, and speech, whose pitch wanders, does not. Codecs leave them: a fixed tone is what a codec keeps best. The beat that the same frames
leave in envelopes is found by `frame_lines`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from ffdv.features import fourier
from ffdv.features.filters import uniform_filter1d
from ffdv.features.frame_lines import FEWEST_SAMPLES, FRAME_RATES
from ffdv.features.voice_statistics import RATE, at_unit_level
from ffdv.records import FloatArray

# Frames a second, and an eighth of 22,050 Hz: flow vocoders (WaveGlow) that fold eight samples into one leave tones there and at its double.
TONE_RATES: tuple[float, ...] = (*FRAME_RATES, 22_050 / 8)
LOW_HZ, HIGH_HZ = 2_000.0, 6_900.0  # below, harmonics of a voice are strong and wander little
HUM_LOW_HZ = 300.0  # a lamp's or a motor's buzz is as strong below LOW_HZ, a generator's tones are not
MAINS_HZ = 12.5  # rates that are multiples of a quarter of 50 Hz share tones with a buzz
COARSER = (
    3,
    5,
    7,
    8,
    11,
    13,
    17,
    19,
    23,
)  # tones at every third, fifth ... multiple alone are of another rate: a note, or 120 Hz beside 40
WHINE_HZ, WHINE_REACH_HZ = 1_000.0, 2.0  # packets of USB sound, 1,000 a second, leave tones in genuine recordings

FRAME, HOP = 512, 128  # samples, of the spectrogram that is evened out
EVEN_BINS, EVEN_FRAMES = 9, 9  # loudness is the mean over ± 125 Hz and ± 32 ms
QUIETEST = 1e-8  # against the clip's mean loudness: what is quieter than -80 dB is not made louder
SECOND = RATE  # of the spectra that are averaged: longer ones found less, tones come and go with the speech
SECOND_HOP = SECOND // 8
AROUND_BINS = 20  # a tone is compared with the median so far on both sides, 1 Hz a bin

# The chance that a rate which is there shows at one multiple, how far in spreads, and the most that one tone counts.
SHOWN, EXPECTED, MOST_STANDING = 0.4, 1.7, 4.0


def frame_tones(samples: FloatArray) -> FloatArray | None:
    """How far each of `tone_frequencies` stands out (n,), in spreads of 2 … 6.9 kHz of the clip, of mono sound at 16 kHz of any level.

    None below FEWEST_SAMPLES (0.6 s), and of silence. Ten seconds take a twentieth of a second of one core.
    """
    if len(samples) < FEWEST_SAMPLES:
        return None
    sound = at_unit_level(samples)
    if sound is None:
        return None
    even = _even(sound)
    even = np.pad(even, (0, max(0, SECOND - len(even))))
    window = np.hanning(SECOND).astype(np.float32)
    seconds = np.lib.stride_tricks.sliding_window_view(even, SECOND)[::SECOND_HOP]
    power = np.zeros(SECOND // 2 + 1)
    for second in seconds:  # one by one: all at once take megabytes a second
        power += np.square(np.abs(fourier.rfft(second * window)), dtype=np.float64)
    logs = np.log(power / len(seconds) + 1e-9)
    standing = logs - _median_around(logs)
    spread = 1.4826 * float(np.median(np.abs(standing[round(LOW_HZ) : round(HIGH_HZ)])))
    return np.asarray(standing[np.round(tone_frequencies()).astype(int)] / max(spread, 1e-6), np.float32)


def tone_ratios(tones: FloatArray) -> npt.NDArray[np.float64]:
    """Tones (clips, n) → natural log of the likelihood ratio (clips, rates) of frames at each of TONE_RATES against none.

    Tones of a rate show at some of its multiples only, but not at every m-th alone: what counts is what is left without these. For rates
    that mains have too, what shows below LOW_HZ is held against them.
    """
    standing = np.clip(np.atleast_2d(tones), -MOST_STANDING, MOST_STANDING).astype(np.float64)
    each = np.log(1.0 - SHOWN + SHOWN * np.exp(EXPECTED * standing - EXPECTED**2 / 2))
    high, low = _chosen()
    left = np.min([each @ one.T for one in high], axis=0)
    below = each @ low.T / np.maximum(low.sum(axis=1), 1.0)
    return np.asarray(left - np.maximum(below, 0.0) * high[0].sum(axis=1))


@cache
def tone_frequencies() -> npt.NDArray[np.float64]:
    """Multiples of TONE_RATES that are looked at, in Hz, rising (n,)."""
    return np.unique(np.concatenate([_multiples(rate) for rate in TONE_RATES]))


def _even(sound: FloatArray) -> FloatArray:
    """The sound (n,) with every place of its spectrogram at one loudness."""
    window = np.hanning(FRAME + 1)[:FRAME].astype(np.float32)
    padded = np.pad(sound, (FRAME, FRAME + HOP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    spectrum = fourier.rfft(frames * window, axis=1)
    power = np.square(np.abs(spectrum), dtype=np.float64)
    around = uniform_filter1d(uniform_filter1d(power, EVEN_BINS, axis=1), EVEN_FRAMES, axis=0)
    loudness = np.maximum(around, QUIETEST * float(power.mean())) + 1e-20
    parts = fourier.irfft((spectrum / np.sqrt(loudness)).astype(np.complex64), FRAME, axis=1) * window
    total = np.zeros(len(padded), np.float32)
    for number, part in enumerate(parts):
        total[number * HOP : number * HOP + FRAME] += part
    return total[FRAME : FRAME + len(sound)]


def _median_around(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The median of the values (n,) within AROUND_BINS of each, edges held."""
    padded = np.pad(values, AROUND_BINS, mode="edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND_BINS + 1), axis=1))


def _multiples(rate: float) -> npt.NDArray[np.float64]:
    """The frequencies (n,) of a rate that are looked at: from LOW_HZ on, from HUM_LOW_HZ on where mains may have them."""
    low = HUM_LOW_HZ if _of_mains(rate) else LOW_HZ
    hz = rate * np.arange(np.ceil(low / rate), np.floor(HIGH_HZ / rate) + 1)
    return np.asarray(hz[np.abs(hz - WHINE_HZ * np.round(hz / WHINE_HZ)) > WHINE_REACH_HZ].round(4))


def _of_mains(rate: float) -> bool:
    return rate % MAINS_HZ == 0


@cache
def _chosen() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Which of tone_frequencies belong to each rate: from LOW_HZ on, all of them and without every m-th (1 + COARSER, rates, n), and below (rates, n)."""
    hz = tone_frequencies()
    belongs = np.stack([np.isin(hz, _multiples(rate)) for rate in TONE_RATES])
    order = np.stack([np.round(hz / rate) for rate in TONE_RATES])
    high = belongs & (hz >= LOW_HZ)
    kept = [high, *(high & (order % m != 0) for m in COARSER)]
    return np.stack(kept).astype(np.float64), (belongs & (hz < LOW_HZ)).astype(np.float64)
