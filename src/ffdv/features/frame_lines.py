"""Lines at the rate of a generator's frames: speech that was drawn frame by frame beats faintly, and exactly, at that rate.

    samples ─ log envelopes of narrow bands, 2,000 a second ─ what all bands share taken off ─ their spectra, each against its
    surroundings ─ mean over bands, against the other frequencies of the clip ─▶ how far every multiple of the frame rates in use
    stands out ─ LineScale ─▶ likelihood ratio of each rate

Layers that raise a rate repeat their kernels with every frame, and a codec's decoder starts anew with each, so narrow bands swing in
step with the frames from the first to the last second of a clip. Speech wanders: a throat's pulses smear over many frequencies. Seen in
the spectra that generators leave on development clips; that upsampling layers leave periodic traces is told by Odena et al.
2016 and Pons et al. 2021, cyclostationary lines are Gardner's (1986).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from ffdv.features import fourier
from ffdv.features.filters import uniform_filter1d
from ffdv.features.voice_statistics import RATE, at_unit_level
from ffdv.records import FloatArray

HOP = 8  # samples from envelope to envelope
WINDOWS = (96, 144)  # samples: bands every 167 and 111 Hz; narrower ones blur the beat, wider ones are fewer
LOW_HZ, HIGH_HZ = 500.0, 6_900.0  # most of a hum lies below, nothing that taught above
SMOOTH_FRAMES = 81  # 40 ms: slower swings are speech
MOST_SWING = 4.0  # natural log; silence must not count more than speech
TAPER = 0.3  # share of the clip that fades in and out
AROUND_HZ = 12.0  # a line is compared with so much on both sides,
APART_BINS = 3.0  # but for what its own width reaches
HIGHEST_LINE_HZ = 489.0  # bands of this width blur what is faster
FEWEST_SAMPLES = 9_600  # 0.6 s, the least speech that is judged
# Natural log against the surroundings: a beat that all bands share so much is pulses (a buzzing lamp, a voice on one note), not frames.
MOST_SHARED = 1.5

# Frames a second: sampling rate / hop. The first seven and 40 are seen in clips that have them, the others are usual settings.
FRAME_RATES: tuple[float, ...] = (
    22_050 / 256,  # HiFi-GAN, VITS, HiFTNet at 22.05 kHz; 44.1 kHz / 512 as well
    24_000 / 256,  # Vocos, UnivNet at 24 kHz; 48 kHz / 512
    24_000 / 300,  # StyleTTS, Kokoro
    16_000 / 256,
    16_000 / 160,  # vocoders with 10 ms
    50.0,  # codecs: SoundStream, tokens of 20 ms
    75.0,  # EnCodec
    40.0,  # half of StyleTTS2's 80
    25.0,  # tokens of 40 ms
    22_050 / 512,
    24_000 / 512,
    22_050 / 320,
    22_050 / 300,
    22_050 / 200,
    16_000 / 128,
)
# A line at so many times the frame rate counts so much; those below LEAST_HZ lie among syllables.
HARMONICS = (1.0, 0.9, 0.7, 0.5, 0.4, 0.3, 0.3)
MOST_HARMONICS = 6
LEAST_HZ = 30.0
EXPECTED = 2.5  # how far beyond genuine speech the rate of a generator is expected, in spreads
MOST_STANDING = 3.0  # of one line, in spreads: a tone may hit one frequency, frames hit several


@dataclass(frozen=True)
class LineScale:
    """What genuine speech shows, at line_frequencies and FRAME_RATES: centre and spread of each line (n,), spread of each rate's weighed sum (rates,)."""

    centre: FloatArray
    spread: FloatArray
    rate_spread: FloatArray

    def __post_init__(self) -> None:
        """Refuse arrays that are not of these frequencies and rates."""
        count = len(line_frequencies())
        if not len(self.centre) == len(self.spread) == count or len(self.rate_spread) != len(FRAME_RATES):
            raise ValueError("a scale of frame lines is of other frequencies; make the weights again")
        if not (np.all(self.spread > 0) and np.all(self.rate_spread > 0)):
            raise ValueError("a scale of frame lines has a spread of 0; make the weights again")

    @classmethod
    def of_genuine(cls, lines: FloatArray) -> LineScale:
        """From the lines (clips, n) of genuine speech."""
        centre, spread = lines.mean(axis=0), lines.std(axis=0)
        sums = _sums(lines, centre, spread)
        return cls(centre.astype(np.float32), spread.astype(np.float32), sums.std(axis=0).astype(np.float32))

    def standings(self, lines: FloatArray) -> npt.NDArray[np.float64]:
        """Lines (clips, n) → how far each rate stands out (clips, rates), in spreads of genuine speech."""
        return np.asarray(_sums(np.atleast_2d(lines), self.centre, self.spread) / self.rate_spread, np.float64)

    def ratios(self, lines: FloatArray) -> npt.NDArray[np.float64]:
        """Lines (clips, n) → natural log of the likelihood ratio (clips, rates) of frames at each rate, which stand out by EXPECTED spreads, against none."""
        return EXPECTED * self.standings(lines) - EXPECTED**2 / 2


@cache
def line_frequencies() -> npt.NDArray[np.float64]:
    """Multiples of FRAME_RATES that are looked at, in Hz, rising (n,)."""
    return np.unique([round(one, 4) for rate in FRAME_RATES for one, _ in _multiples(rate)])


def frame_lines(samples: FloatArray) -> FloatArray | None:
    """How far each of `line_frequencies` stands out (n,), in spreads of all frequencies of the clip, of mono sound at 16 kHz of any level.

    Against the clip itself, for sound that is repeated has lines everywhere, and generators need not be why. None below FEWEST_SAMPLES, and of silence. Ten seconds take a tenth of a second of one core.
    """
    if len(samples) < FEWEST_SAMPLES:
        return None
    sound = at_unit_level(samples)
    if sound is None:
        return None
    hz, *logs = (np.mean(part, axis=0) for part in zip(*(_ratios(sound, length) for length in WINDOWS), strict=True))
    low, middle, high = np.percentile(logs[0][(hz > LEAST_HZ) & (hz < HIGHEST_LINE_HZ)], [16, 50, 84])
    own, shared = (np.interp(line_frequencies(), hz, part) for part in logs)
    found = (own - middle) / max((high - low) / 2, 1e-6)
    return np.asarray(np.where(shared > MOST_SHARED, np.minimum(found, 0.0), found), np.float32)


def _ratios(sound: FloatArray, length: int) -> tuple[npt.NDArray[np.float64], ...]:
    """Frequencies (m,), and the log of the power there against its surroundings (m,) of single bands of one width and of all together."""
    swings = _swings(sound, length)
    together = swings.mean(axis=1, keepdims=True)
    swings = np.concatenate([swings - together, together], axis=1)
    count, fps = len(swings), RATE / HOP
    padded = 1 << int(np.ceil(np.log2(2 * len(sound) / HOP)))
    kept = int((HIGHEST_LINE_HZ + 2 * AROUND_HZ) * padded / fps)
    spectrum = fourier.rfft(swings * _taper(count)[:, None], padded, axis=0)[:kept]
    power = np.square(np.abs(spectrum), dtype=np.float64)
    bin_hz = fps / padded
    around = round(AROUND_HZ / bin_hz)
    apart = round(max(1.0, APART_BINS * fps / count) / bin_hz)
    ratio = power / np.maximum(_surroundings(power, around, apart), 1e-12)
    own_and_shared = np.stack([ratio[:, :-1].mean(axis=1), ratio[:, -1]])
    own, shared = np.log(own_and_shared + 1e-3)
    return np.arange(kept, dtype=np.float64) * bin_hz, own, shared


def _swings(sound: FloatArray, length: int) -> FloatArray:
    """Log envelopes (frames, bands) without what is slow."""
    windows = np.lib.stride_tricks.sliding_window_view(sound, length)[::HOP] * np.hanning(length).astype(np.float32)
    low, high = (int(np.ceil(hz * length / RATE)) for hz in (LOW_HZ, HIGH_HZ))
    spectrum = fourier.rfft(windows, axis=1)[:, low:high]
    logs = np.log(np.square(np.abs(spectrum)) + 1e-4).astype(np.float32)
    slow = uniform_filter1d(logs, SMOOTH_FRAMES, axis=0).astype(np.float32)
    return np.asarray(np.clip(logs - slow, -MOST_SWING, MOST_SWING), np.float32)


def _surroundings(power: npt.NDArray[np.float64], around: int, apart: int) -> npt.NDArray[np.float64]:
    """The mean of power (n, bands) within `around` rows of each, without those within `apart`."""
    sums = np.concatenate([np.zeros((1, power.shape[1])), np.cumsum(power, axis=0)])
    rows = np.arange(len(power))

    def within(reach: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        first, last = np.maximum(rows - reach, 0), np.minimum(rows + reach + 1, len(power))
        return sums[last] - sums[first], last - first

    (far, most), (near, fewest) = within(around), within(apart)
    return np.asarray((far - near) / np.maximum(most - fewest, 1)[:, None])


def _taper(count: int) -> FloatArray:
    """Half a cosine up, level, half a cosine down (Tukey)."""
    fading = max(1, round(count * TAPER / 2))
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(fading) + 0.5) / fading)
    window = np.ones(count, np.float32)
    window[:fading], window[-fading:] = rise, rise[::-1]
    return window


def _multiples(rate: float) -> Sequence[tuple[float, float]]:
    """(Hz, weight) of a frame rate's lines."""
    found = [
        (number * rate, weight)
        for number, weight in enumerate(HARMONICS, 1)
        if LEAST_HZ < number * rate < HIGHEST_LINE_HZ
    ]
    return found[:MOST_HARMONICS]


def _sums(lines: FloatArray, centre: FloatArray, spread: FloatArray) -> npt.NDArray[np.float64]:
    """The weighed sum of each rate's lines (clips, rates), each line at most MOST_STANDING spreads off its centre."""
    standings = np.clip((lines - centre) / spread, -MOST_STANDING, MOST_STANDING)
    return np.asarray(standings.astype(np.float64) @ _weights().T)


@cache
def _weights() -> npt.NDArray[np.float64]:
    """(rates, n): what each line counts for each rate."""
    frequencies = line_frequencies()
    table = np.zeros((len(FRAME_RATES), len(frequencies)))
    for row, rate in enumerate(FRAME_RATES):
        for hz, weight in _multiples(rate):
            table[row, int(np.abs(frequencies - hz).argmin())] = weight
    return table
