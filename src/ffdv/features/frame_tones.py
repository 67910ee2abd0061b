"""Tones at multiples of a generator's frame rate: what layers that raise a rate leave at fixed frequencies, in step with the frames.

    samples ─ every place of the spectrogram at one loudness ─ spectra of a second ─ their mean against the surroundings
    ─▶ how far every frequency stands out ─▶ a score for each frame rate in use

A layer that raises the rate repeats its kernels with every frame, and so adds a faint pattern that is the same from frame to frame: tones at
multiples of the frame rate (Odena et al. 2016, Pons et al. 2021), strongest beside a quarter and an eighth of the generator's sampling rate.
Speech covers them by 30 to 50 dB where it is loud. Once every place in time and frequency is brought to one loudness they add up over the
clip, and speech, whose pitch wanders, does not. Codecs leave them: a fixed tone is what a codec keeps best. The beat that the same frames
leave in envelopes is found by `frame_lines`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from ffdv.features import fourier
from ffdv.features.filters import uniform_filter1d
from ffdv.features.frame_lines import FEWEST_SAMPLES, FRAME_RATES
from ffdv.features.voice_statistics import RATE, at_unit_level
from ffdv.records import FloatArray

# Flow vocoders (WaveGlow) fold eight samples into one and leave tones at an eighth and a quarter of their sampling rate.
FOLDED_HZ = 22_050 / 8
# Frames of 1,024 samples are AAC's own at 44.1 and 48 kHz, which leaves such tones in genuine clips below 20 kbit/s.
AAC_RATES = (44_100 / 1024, 48_000 / 1024)
_SEEN_IN_GENUINE = (125.0,)
TONE_RATES: tuple[float, ...] = (
    *(rate for rate in FRAME_RATES if rate not in (*AAC_RATES, *_SEEN_IN_GENUINE)),
    FOLDED_HZ,
)
LOWEST_HZ, HIGHEST_HZ = 2_000.0, 6_900.0  # below, harmonics of a voice are strong and wander little
# Tones at every second, third ... multiple alone are of another rate: a note, a motor, 120 Hz beside 40.
COARSER = (2, 3, 5, 7, 11, 13, 17, 19, 23)
FINER = (2, 3, 4, 5, 8)  # tones between the multiples as well, at halves, thirds ...: clicks, or sound that is repeated
FINER_FOLDED = (*FINER, 16, 32)  # of FOLDED_HZ: 16 and 32 are 172.27 and 86.13 Hz

WINDOW, WINDOW_HOP = 512, 128  # samples, of the spectrogram that is brought to one loudness
LOUDNESS_BINS, LOUDNESS_WINDOWS = 9, 9  # the mean over ± 125 Hz and ± 32 ms
QUIETEST = 1e-5  # of the clip's mean loudness: rounding has tones of its own, so what lies 50 dB below is not lifted to the rest
SPAN = RATE  # samples of the spectra that are averaged, 1 Hz a bin: longer ones found less, tones come and go with the speech
SPAN_HOP = SPAN // 8
AROUND_BINS = 20  # a tone is compared with the median so far on both sides

# The chance that a rate which is there shows at one multiple, how far in spreads, and the most that one tone and one rate count.
SHOWN, EXPECTED, MOST_STANDING, MOST_SCORE = 0.4, 1.7, 4.0, 10.0


def frame_tones(samples: FloatArray) -> FloatArray | None:
    """How far each Hz from 0 to HIGHEST_HZ stands out (n,), in spreads of 2 … 6.9 kHz of the clip, of mono sound at 16 kHz of any level.

    None below FEWEST_SAMPLES (0.6 s), and of silence. Ten seconds take a twentieth of a second of one core.
    """
    if len(samples) < FEWEST_SAMPLES:
        return None
    sound = at_unit_level(samples)
    if sound is None:
        return None
    even = _at_one_loudness(sound)
    spans = 1 + max(0, math.ceil((len(even) - SPAN) / SPAN_HOP))
    even = np.pad(even, (0, SPAN + (spans - 1) * SPAN_HOP - len(even)))
    window = np.hanning(SPAN).astype(np.float32)
    power = np.zeros(SPAN // 2 + 1)
    for first in range(0, spans * SPAN_HOP, SPAN_HOP):  # one by one: all at once take megabytes a second
        power += np.square(np.abs(fourier.rfft(even[first : first + SPAN] * window)), dtype=np.float64)
    logs = np.log(power / spans + 1e-9)
    standing = (logs - _median_around(logs))[: round(HIGHEST_HZ) + AROUND_BINS]
    spread = 1.4826 * float(np.median(np.abs(standing[round(LOWEST_HZ) :])))
    return np.asarray(standing / max(spread, 1e-6), np.float32)


def tone_scores(tones: FloatArray) -> npt.NDArray[np.float64]:
    """Tones (clips, n) → how much more likely they are with frames at each of TONE_RATES than without (clips, rates): a natural
    logarithm, at most MOST_SCORE, of what no other spacing explains.

    A rate that is there shows at some of its multiples. What counts is what is left without every second, third ... of them, less what
    shows between them. A hum of the mains, never at 50 Hz to a hundredth for long, has its hundredth tone beside that of a rate of 50.
    """
    each = _log_ratios(tones)
    return np.stack([np.minimum(_comb(rate).score(each), MOST_SCORE) for rate in TONE_RATES], axis=1)


def tones_between(tones: FloatArray) -> npt.NDArray[np.float64]:
    """Tones (clips, n) → what the places between the multiples of each of FRAME_RATES say (clips, rates), on average: above 0 the sound
    repeats itself more slowly than that, which makes it beat as well.
    """
    each = _log_ratios(tones)
    return np.stack([_comb(rate).beside(each) for rate in FRAME_RATES], axis=1)


def _log_ratios(tones: FloatArray) -> npt.NDArray[np.float64]:
    """What each Hz says by itself."""
    standing = np.clip(np.atleast_2d(tones), -MOST_STANDING, MOST_STANDING).astype(np.float64)
    return np.asarray(np.log(1.0 - SHOWN + SHOWN * np.exp(EXPECTED * standing - EXPECTED**2 / 2)))


@dataclass(frozen=True)
class _Comb:
    """Where the tones of one rate lie, in bins of 1 Hz: its multiples and their numbers (m,); sets of places between them."""

    bins: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int64]
    between: tuple[npt.NDArray[np.int64], ...]

    def score(self, each: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """What each place says (clips, n) → the comb as a whole (clips,)."""
        found = each[:, self.bins]
        left = found.sum(axis=1)
        for m in COARSER if len(self.bins) > 2 else ():  # of two tones none can be left out
            left = np.minimum(left, found[:, self.numbers % m != 0].sum(axis=1))
        return np.asarray(left - np.maximum(self.beside(each), 0.0) * len(self.bins))

    def beside(self, each: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The mean (clips,) of the set of places between that says most."""
        return np.asarray(np.max([each[:, places].mean(axis=1) for places in self.between], axis=0))


@cache
def _comb(rate: float) -> _Comb:
    first, last = int(np.ceil(LOWEST_HZ / rate)), int(HIGHEST_HZ / rate)
    numbers = np.arange(first, last + 1)
    between: list[npt.NDArray[np.int64]] = []
    for parts in FINER_FOLDED if rate == FOLDED_HZ else FINER:
        shares = [part / parts for part in range(1, parts) if np.gcd(part, parts) == 1]
        between.append(np.concatenate([_bins((numbers[:-1] + share) * rate) for share in shares]))
    return _Comb(_bins(rate * numbers), numbers, tuple(between))


def _bins(hz: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    return np.round(hz * SPAN / RATE).astype(np.int64)


def _at_one_loudness(sound: FloatArray) -> FloatArray:
    """The sound (n,) with every place of its spectrogram as loud as any other."""
    window = np.hanning(WINDOW + 1)[:WINDOW].astype(np.float32)
    padded = np.pad(sound, (WINDOW, WINDOW + WINDOW_HOP))
    spectrum = fourier.rfft(np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::WINDOW_HOP] * window, axis=1)
    power = np.square(np.abs(spectrum), dtype=np.float64)
    loudness = uniform_filter1d(uniform_filter1d(power, LOUDNESS_BINS, axis=1), LOUDNESS_WINDOWS, axis=0)
    loudness = np.maximum(loudness, QUIETEST * float(power.mean())) + 1e-20
    parts = fourier.irfft((spectrum / np.sqrt(loudness)).astype(np.complex64), WINDOW, axis=1) * window
    total = np.zeros(len(padded), np.float32)
    for number, part in enumerate(parts):
        total[number * WINDOW_HOP : number * WINDOW_HOP + WINDOW] += part
    return total[WINDOW : WINDOW + len(sound)]


def _median_around(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The median of the values (n,) within AROUND_BINS of each, edges held."""
    padded = np.pad(values, AROUND_BINS, mode="edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND_BINS + 1), axis=1))
