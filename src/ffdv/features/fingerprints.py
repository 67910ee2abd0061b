"""Near-copies recognised: a clip's sound and picture as 240 bits each that a re-encode, a gain or a small cut hardly change.

Two clips of one recording differ in few bits, two recordings in about half of them. Bits travel as probes, 48 to a float
(exact below 2^53), so that prepared shards keep them without a column of their own.

    sound      bands (9) × moments (33) of the audible part, in dB     bit = does a band gain on its neighbour, moment by moment
    picture    mean of the frames looked at, grey, 16 × 16 cells       bit = is a cell brighter than its right neighbour
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ffdv.features.fourier import next_fast_length, rfft
from ffdv.records import FloatArray, PixelArray, Samples

Bits = npt.NDArray[np.bool_]

FINGERPRINT = "fingerprint_"  # how their probes' names begin: bits that recognise a clip are no fact about it
NUM_BITS = 240
BITS_PER_FLOAT = 48
SOUND_BANDS, SOUND_MOMENTS = 9, 31
PICTURE_ROWS, PICTURE_COLUMNS = 15, 17
# Telephone band: what every codec keeps.
LOWEST_HZ, HIGHEST_HZ = 200.0, 3400.0
FRAME_SECONDS, HOP_SECONDS = 0.064, 0.016
AUDIBLE_BELOW_PEAK_DB = -35.0
FRAMES_AT_ONCE = 256  # 1.4 MB: ten minutes at once would be 210
SHORTEST_SECONDS = 0.5  # less has no rhythm to know it by


def sound_fingerprint(sound: Samples) -> Bits | None:
    """240 bits of how energy moves between bands over the audible part; None when that is shorter than half a second."""
    gathered = SoundFingerprint(sound.rate)
    gathered.add(sound.mono())
    return gathered.finish()


class SoundFingerprint:
    """A sound's fingerprint, gathered block by block; memory is nine floats for each 16 ms.

    After Haitsma and Kalker (ISMIR 2002), with the whole clip as the frame so that it is one row of bits.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._hop = round(HOP_SECONDS * rate)
        self._size = next_fast_length(round(FRAME_SECONDS * rate))
        self._window = np.hanning(self._size).astype(np.float32)
        edges = np.geomspace(LOWEST_HZ, min(HIGHEST_HZ, 0.45 * rate), SOUND_BANDS + 1) * self._size / rate
        self._edges = np.round(edges).astype(int)
        self._rest = np.zeros(0, np.float32)  # what the next frame needs
        self._bands: list[FloatArray] = []

    def add(self, mono: FloatArray) -> None:
        """Take the next samples (n,)."""
        joined = np.concatenate((self._rest, mono)) if len(self._rest) else mono
        count = max(0, (len(joined) - self._size) // self._hop + 1)
        for first in range(0, count, FRAMES_AT_ONCE):
            last = min(first + FRAMES_AT_ONCE, count)
            stretch = joined[first * self._hop : (last - 1) * self._hop + self._size]
            self._bands.append(
                self._powers(np.lib.stride_tricks.sliding_window_view(stretch, self._size)[:: self._hop])
            )
        self._rest = joined[count * self._hop :].copy()

    def finish(self) -> Bits | None:
        """The 240 bits; None when the audible part is shorter than half a second."""
        bands = np.concatenate(self._bands) if self._bands else np.zeros((0, SOUND_BANDS), np.float32)
        self._bands = [bands]  # not twice
        if len(bands) < 2:
            return None
        level = bands.sum(axis=1, dtype=np.float64)
        audible = np.flatnonzero(level >= level.max() * 10 ** (AUDIBLE_BELOW_PEAK_DB / 10))
        if level.max() <= 0 or (audible[-1] - audible[0]) * self._hop < SHORTEST_SECONDS * self._rate:
            return None
        grid = 10 * np.log10(_shrunk(bands[audible[0] : audible[-1] + 1], SOUND_MOMENTS) + level.max() * 1e-7)
        slope = np.diff(grid, axis=1)
        bits: Bits = (np.diff(slope, axis=0) > 0).ravel()
        return bits

    def _powers(self, frames: FloatArray) -> FloatArray:
        """Power (frames, bands) in bands of equal width on a log scale."""
        spectra = rfft(frames * self._window, axis=1)[:, : self._edges[-1]]
        power = spectra.real**2 + spectra.imag**2
        bands: FloatArray = np.add.reduceat(power, self._edges[:-1], axis=1)
        return bands


def picture_fingerprint(mean_picture: FloatArray) -> Bits | None:
    """240 bits of where the mean picture (height, width), grey, is brighter than to the right; None when it is tiny or flat."""
    height, width = mean_picture.shape
    if height < PICTURE_ROWS or width < PICTURE_COLUMNS or float(np.ptp(mean_picture)) < 1.0:
        return None
    grid = _shrunk(_shrunk(mean_picture, PICTURE_ROWS).T, PICTURE_COLUMNS).T
    bits: Bits = (np.diff(grid, axis=1) > 0).ravel()
    return bits


def as_probes(sense: str, bits: Bits | None) -> dict[str, float]:
    """A fingerprint as probes `fingerprint_<sense>_0` … `_4`; none when there is no fingerprint."""
    if bits is None:
        return {}
    weights = 2.0 ** np.arange(BITS_PER_FLOAT)
    numbers = bits.reshape(-1, BITS_PER_FLOAT) @ weights
    return {f"{FINGERPRINT}{sense}_{at}": float(number) for at, number in enumerate(numbers)}


def from_probes(sense: str, probes: Mapping[str, npt.NDArray[np.float64]], num_clips: int) -> tuple[Bits, Bits]:
    """Fingerprints of many clips from their probes (clips,): bits (clips, 240), and which clips have one (clips,)."""
    names = [f"{FINGERPRINT}{sense}_{at}" for at in range(NUM_BITS // BITS_PER_FLOAT)]
    missing = np.full(num_clips, np.nan)
    numbers = np.stack([probes.get(name, missing) for name in names], axis=1)
    known: Bits = np.isfinite(numbers).all(axis=1)
    whole = np.where(known[:, None], numbers, 0.0).astype(np.uint64)
    bits = (whole[:, :, None] >> np.arange(BITS_PER_FLOAT, dtype=np.uint64)) & np.uint64(1)
    return bits.reshape(num_clips, NUM_BITS).astype(bool), known


def to_gray(pixels: PixelArray) -> FloatArray:
    """Luma (height, width) float32 0…255 of RGB pixels, by ITU-R BT.601 to a 256th."""
    red, green, blue = (pixels[..., channel].astype(np.uint16) for channel in range(3))
    gray: FloatArray = (77 * red + 150 * green + 29 * blue).astype(np.float32) / np.float32(256.0)
    return gray


def _shrunk(rows: npt.NDArray[np.floating], count: int) -> npt.NDArray[np.float64]:
    """Rows (n, m) averaged into `count` equal stretches (count, m), cutting rows where a border falls inside one."""
    sums = np.zeros((len(rows) + 1, rows.shape[1]))
    np.cumsum(rows, axis=0, out=sums[1:])
    borders = np.linspace(0, len(rows), count + 1)
    whole = np.minimum(borders.astype(int), len(rows) - 1)
    at_border = sums[whole] + (borders - whole)[:, None] * rows[whole]
    shrunk: npt.NDArray[np.float64] = np.diff(at_border, axis=0) / (len(rows) / count)
    return shrunk
