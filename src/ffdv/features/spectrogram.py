"""Samples → log spectrograms: mel, linear, LFCC and CQT; and the published pipeline's uint8 mel picture.

    samples (n,) ─ frames ─ window ─ FFT ─ power ─ bands ─ dB ─▶ (rows, frames)      mel, linear; LFCC adds a DCT
    samples (n,) ─ frames ─ constant-Q kernels ─ power ──── dB ─▶ (rows, frames)      cqt

Numpy and scipy only: detection draws with it. models/audio.py holds the same sums as a torch layer and takes its fixed matrices from
here, so that the two cannot drift apart. Frame k is centred on sample k * hop_length; beyond the ends there is silence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ffdv.errors import RecipeError, StreamMissing
from ffdv.features.fourier import rfft
from ffdv.features.windows import LEAST_RATE, MOST_RATE
from ffdv.records import FloatArray, PixelArray, float_samples

FrontEndKind = Literal["mel", "linear", "lfcc", "cqt"]

PUBLISHED_SAMPLE_RATE = 22_050  # Hz; librosa.load's default, which the published pipeline left in place
PUBLISHED_N_FFT = 2_048
PUBLISHED_HOP_LENGTH = 512
PUBLISHED_TOP_DB = 80.0

SMALLEST_POWER = 1e-10  # librosa's smallest power before the logarithm: -100 dB
# Blocks that stay in the cache and bound the memory. They are written over and over: memory given back and taken anew costs a page
# fault for each 4 kB, in all a tenth of the time.
_FRAMES_AT_ONCE = 64
_BANDS_AT_ONCE = 16  # filters are narrow: 16 at a time on their own bins cost 0.4 of the full product


class FrontEndSpec(BaseModel):
    """How sound becomes a log spectrogram; the same numbers in training, export and report.

    kind: mel (librosa's default: Slaney scale and area), linear (triangles of equal width, same area), lfcc (cosine transform of linear),
    cqt (geometric bands between fmin and fmax). sample_rate, fmin, fmax in Hz, fmax None = Nyquist; n_fft and hop_length in samples.
    The power `reference` is 0 dB: for mel and linear a full-scale sine reaches about +40 dB then, for cqt exactly 0 dB. Everything below
    floor_db is floor_db. scaling says how dB become a picture in [0, 1]: fixed (floor_db → 0, floor_db + span_db → 1; levels keep their
    meaning), picture (the published one: loudest of the clip → 1, its quietest or 80 dB less → 0), bands (each row to mean 0.5 and
    deviation 0.25 over the clip).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: FrontEndKind = "mel"
    sample_rate: int = Field(default=PUBLISHED_SAMPLE_RATE, ge=LEAST_RATE, le=MOST_RATE)
    n_fft: int = Field(default=PUBLISHED_N_FFT, ge=16, le=65_536)
    hop_length: int = Field(default=PUBLISHED_HOP_LENGTH, ge=1)
    n_bands: int = Field(default=128, ge=1, le=4_096)
    n_coefficients: int | None = Field(default=None, ge=1)
    fmin: float = Field(default=0.0, ge=0.0)
    fmax: float | None = Field(default=None, gt=0.0)
    floor_db: float = Field(default=-80.0, ge=-300.0, le=100.0)
    span_db: float = Field(default=120.0, gt=0.0, le=400.0)
    reference: float = Field(default=1.0, gt=0.0)
    scaling: Literal["fixed", "picture", "bands"] = "fixed"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """Refuse settings that contradict each other, each with its cure."""
        if self.n_fft % 2:
            raise ValueError(f"n_fft must be even, got {self.n_fft}; {self.n_fft + 1} is")
        if self.hop_length > self.n_fft:
            raise ValueError(f"hop_length {self.hop_length} skips samples; it must not exceed n_fft {self.n_fft}")
        if self.top_hz > self.nyquist_hz:
            raise ValueError(
                f"fmax {self.top_hz:g} Hz lies above {self.nyquist_hz:g} Hz, half of sample_rate {self.sample_rate}; lower fmax or raise sample_rate"
            )
        if self.fmin >= self.top_hz:
            raise ValueError(f"fmin {self.fmin:g} Hz must lie below fmax {self.top_hz:g} Hz")
        if self.kind == "cqt":
            self._check_constant_q()
        else:
            self._check_filters()
        self._check_coefficients()
        return self

    def _check_constant_q(self) -> None:
        if self.fmin <= 0.0:
            raise ValueError(
                "a cqt needs fmin above 0 Hz: its bands are a constant ratio apart; 32.7 Hz (the note C1) is usual"
            )
        lowest = (
            2.0 * self.sample_rate / self.n_fft
        )  # half the main lobe of a Hann window: below it a tone meets its own mirror image
        if self.fmin < lowest:
            raise ValueError(
                f"fmin {self.fmin:g} Hz has less than two periods in n_fft {self.n_fft}; raise fmin to {lowest:g} or raise n_fft"
            )

    def _check_filters(self) -> None:
        empty = int(np.count_nonzero(filter_bank(self).max(axis=1) <= 0.0))
        if empty:
            raise ValueError(
                f"{empty} of n_bands {self.n_bands} {self.kind} bands are narrower than an FFT bin and would stay empty; lower n_bands or raise n_fft {self.n_fft}"
            )

    def _check_coefficients(self) -> None:
        if self.kind != "lfcc":
            if self.n_coefficients is not None:
                raise ValueError(f"n_coefficients belongs to lfcc; {self.kind} has n_bands rows, leave it out")
            return
        if self.n_coefficients is not None and self.n_coefficients > self.n_bands:
            raise ValueError(f"n_coefficients {self.n_coefficients} must not exceed n_bands {self.n_bands}")
        if self.scaling != "bands":
            raise ValueError(
                f'lfcc coefficients have no common scale, scaling "{self.scaling}" has no meaning for them; set scaling = "bands"'
            )

    @property
    def nyquist_hz(self) -> float:
        """Half of the sample rate."""
        return self.sample_rate / 2

    @property
    def top_hz(self) -> float:
        """The upper end of the highest band."""
        return self.nyquist_hz if self.fmax is None else self.fmax

    @property
    def num_rows(self) -> int:
        """Rows of the spectrogram: bands, or cepstral coefficients."""
        return self.n_coefficients or self.n_bands

    def num_frames(self, num_samples: int) -> int:
        """Columns of the spectrogram of so many samples; at least one."""
        return 1 + num_samples // self.hop_length

    def band_centres_hz(self) -> npt.NDArray[np.float64]:
        """Middle frequency of every band, rising (n_bands,); lfcc: of the bands below its cosine transform."""
        if self.kind == "cqt":
            return _geometric_hz(self.n_bands, self.fmin, self.top_hz)
        return _band_edges_hz(self)[1:-1]


# --- scales and fixed matrices ---------------------------------------------------------------------------------------------------


def hz_to_mel(hz: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Slaney's mel scale: linear below 1 kHz (15 mel), logarithmic above.

    Source: M. Slaney, Auditory Toolbox (Interval Research 1998-010); librosa's default.

    >>> hz_to_mel([0.0, 1000.0, 6400.0]).round(6).tolist()
    [0.0, 15.0, 42.0]
    """
    hz = np.asarray(hz, dtype=np.float64)
    log_part = 15.0 + np.log(np.maximum(hz, 1000.0) / 1000.0) / (math.log(6.4) / 27.0)
    return np.where(hz < 1000.0, hz * 3.0 / 200.0, log_part)


def mel_to_hz(mel: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The inverse of hz_to_mel.

    >>> mel_to_hz(hz_to_mel([50.0, 8000.0])).round(6).tolist()
    [50.0, 8000.0]
    """
    mel = np.asarray(mel, dtype=np.float64)
    log_part = 1000.0 * np.exp((math.log(6.4) / 27.0) * (np.maximum(mel, 15.0) - 15.0))
    return np.where(mel < 15.0, mel * 200.0 / 3.0, log_part)


def filter_bank(spec: FrontEndSpec) -> FloatArray:
    """Triangular filters over FFT bins, float32 (n_bands, n_fft / 2 + 1), read-only; for mel, linear and lfcc.

    Each triangle has area 1 over Hz (Slaney's norm), so that white noise is level across bands.
    """
    return _triangles(spec.sample_rate, spec.n_fft, tuple(_band_edges_hz(spec).tolist()))


def cosine_transform(n_bands: int, n_coefficients: int) -> FloatArray:
    """Orthonormal DCT-II matrix, float32 (n_coefficients, n_bands): row k is a cosine of k half periods."""
    k, band = np.arange(n_coefficients)[:, None], np.arange(n_bands)[None, :]
    matrix = np.sqrt(2.0 / n_bands) * np.cos(np.pi * k * (2 * band + 1) / (2 * n_bands))
    matrix[0] /= math.sqrt(2.0)
    return np.asarray(matrix, dtype=np.float32)


def constant_q_kernels(spec: FrontEndSpec) -> FloatArray:
    """Windowed complex tones, float32 (2, n_bands, n_fft): real and imaginary part, centred in the frame, read-only.

    Band k is at fmin * r**k, and band n_bands would be at fmax. Its Hann window spans Q periods, Q = 1 / (r - 1), so that neighbours
    meet, but at most n_fft samples: bands too low for that keep n_fft and have a smaller Q. A full-scale sine on the band gives magnitude 1.
    Source: J. C. Brown, Calculation of a constant Q spectral transform, JASA 89 (1991) 425; the windows as a fixed kernel matrix as in
    Brown & Puckette, JASA 92 (1992) 2698, here applied in time: for 128 bands a product with the frame is cheaper than its FFT
    and the product after it.
    """
    return _tones(spec.sample_rate, spec.n_fft, (spec.n_bands, spec.fmin, spec.top_hz))


def hann_window(length: int) -> FloatArray:
    """Periodic Hann window, float32 (length,), as scipy.signal.get_window("hann")."""
    return np.asarray(0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length), dtype=np.float32)


def _geometric_hz(count: int, low_hz: float, high_hz: float) -> npt.NDArray[np.float64]:
    """Count frequencies a constant ratio apart, from low_hz on; the next one would be high_hz."""
    return np.geomspace(low_hz, high_hz, count, endpoint=False)


def _band_edges_hz(spec: FrontEndSpec) -> npt.NDArray[np.float64]:
    """Corners of the triangles (n_bands + 2,): band k rises from corner k, peaks at k + 1, ends at k + 2."""
    if spec.kind == "mel":
        low, high = hz_to_mel([spec.fmin, spec.top_hz])
        return mel_to_hz(np.linspace(low, high, spec.n_bands + 2))
    return np.linspace(spec.fmin, spec.top_hz, spec.n_bands + 2)


@lru_cache(maxsize=16)
def _triangles(sample_rate: int, n_fft: int, edges: tuple[float, ...]) -> FloatArray:
    bins_hz = np.fft.rfftfreq(n_fft, 1.0 / sample_rate)
    corners = np.asarray(edges)
    widths = np.diff(corners)
    rising = (bins_hz[None, :] - corners[:-2, None]) / widths[:-1, None]
    falling = (corners[2:, None] - bins_hz[None, :]) / widths[1:, None]
    weights = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (corners[2:] - corners[:-2]))[:, None]
    return _frozen(weights)


@lru_cache(maxsize=4)
def _tones(sample_rate: int, n_fft: int, bands: tuple[int, float, float]) -> FloatArray:
    n_bands, low_hz, high_hz = bands
    quality = 1.0 / ((high_hz / low_hz) ** (1.0 / n_bands) - 1.0)
    offsets = np.arange(n_fft) - n_fft // 2
    kernels = np.empty((2, n_bands, n_fft))
    for k, hz in enumerate(_geometric_hz(n_bands, low_hz, high_hz)):
        length = min(quality * sample_rate / hz, n_fft)
        window = np.where(np.abs(offsets) < length / 2, 0.5 + 0.5 * np.cos(2.0 * np.pi * offsets / length), 0.0)
        window *= 2.0 / window.sum()
        phase = 2.0 * np.pi * hz / sample_rate * offsets
        kernels[:, k] = window * np.cos(phase), window * np.sin(phase)
    return _frozen(kernels)


def _frozen(array: npt.NDArray[np.float64]) -> FloatArray:
    """A float32 copy that nobody can write to: it is shared through a cache."""
    copy = array.astype(np.float32)
    copy.flags.writeable = False
    return copy


# --- samples to decibels ---------------------------------------------------------------------------------------------------------


def log_spectrogram(samples: FloatArray, spec: FrontEndSpec) -> FloatArray:
    """The spectrogram of mono samples (n,) at spec.sample_rate in dB, float32 (num_rows, num_frames), never below spec.floor_db.

    lfcc: dB times an orthonormal cosine transform over the bands. Memory beyond the result does not grow with the length.
    Raises ValueError on samples that are not mono, not floats or not finite.
    """
    samples = float_samples(samples)
    power = constant_q_power(samples, spec) if spec.kind == "cqt" else band_power(samples, spec)
    decibels = power_to_db(power, reference=spec.reference, floor_db=spec.floor_db)
    if spec.kind != "lfcc":
        return decibels
    coefficients: FloatArray = cosine_transform(spec.n_bands, spec.num_rows) @ decibels
    return coefficients


def band_power(samples: FloatArray, spec: FrontEndSpec) -> FloatArray:
    """Power in the triangular bands of mel, linear and lfcc, float32 (n_bands, num_frames); librosa.feature.melspectrogram's numbers."""
    window, groups = hann_window(spec.n_fft), _filter_groups(spec)
    used = slice(groups[0][1].start, groups[-1][1].stop)
    power = np.empty((spec.n_bands, spec.num_frames(len(samples))), dtype=np.float32)
    windowed = np.empty((min(_FRAMES_AT_ONCE, power.shape[1]), spec.n_fft), dtype=np.float32)
    squares = np.empty((2, len(windowed), used.stop - used.start), dtype=np.float32)
    for first, frames in _frame_blocks(samples, spec):
        count = len(frames)
        bin_power = _bin_power(np.multiply(frames, window, out=windowed[:count]), used, squares[:, :count])
        for rows, bins, weights in groups:
            inside = slice(bins.start - used.start, bins.stop - used.start)
            power[rows, first : first + count] = (bin_power[:, inside] @ weights).T
    return power


def _bin_power(windowed: FloatArray, used: slice, room: FloatArray) -> FloatArray:
    """Power of the used FFT bins of frames (n, n_fft), as room[0] of room (2, n, bins)."""
    spectrum = rfft(windowed)[:, used]
    power: FloatArray = room[0]
    imaginary = room[1]
    np.square(spectrum.real, out=power)
    np.square(spectrum.imag, out=imaginary)
    power += imaginary
    return power


def constant_q_power(samples: FloatArray, spec: FrontEndSpec) -> FloatArray:
    """Squared magnitude of the constant-Q bands, float32 (n_bands, num_frames); 1.0 for a full-scale sine on a band."""
    cosines, sines = constant_q_kernels(spec)
    groups = [
        (rows, span, np.concatenate([weights, sines[rows, span].T], axis=1))
        for rows, span, weights in _narrow_groups(cosines)
    ]
    power = np.empty((spec.n_bands, spec.num_frames(len(samples))), dtype=np.float32)
    for first, frames in _frame_blocks(samples, spec):
        columns = slice(first, first + len(frames))
        for rows, span, weights in groups:
            parts = np.square(frames[:, span] @ weights)  # (frames, 2 * rows): cosines, then sines
            count = parts.shape[1] // 2
            power[rows, columns] = (parts[:, :count] + parts[:, count:]).T
    return power


def power_to_db(
    power: FloatArray, *, reference: float = 1.0, floor_db: float | None = None, top_db: float | None = None
) -> FloatArray:
    """Ten times the decimal logarithm of power / reference, float32 of the same shape.

    Powers below 1e-10 count as 1e-10 (librosa's amin), so silence stays finite. floor_db cuts below a fixed level, top_db below the
    loudest value minus top_db; both may be given.

    >>> power_to_db(np.array([1.0, 0.01, 0.0], dtype=np.float32), floor_db=-60.0).round(3).tolist()
    [0.0, -20.0, -60.0]
    """
    smallest = max(SMALLEST_POWER, reference * 10.0 ** (floor_db / 10.0)) if floor_db is not None else SMALLEST_POWER
    decibels = np.maximum(power, np.float32(smallest), dtype=np.float32)
    np.log10(decibels, out=decibels)
    decibels *= np.float32(10.0)
    decibels -= np.float32(10.0 * math.log10(max(reference, SMALLEST_POWER)))
    if top_db is not None and decibels.size:
        np.maximum(decibels, decibels.max() - np.float32(top_db), out=decibels)
    return decibels


def to_picture(decibels: FloatArray, spec: FrontEndSpec) -> FloatArray:
    """A log spectrogram (rows, frames) scaled for a net as spec.scaling says: around [0, 1], float32, same shape, always finite."""
    if spec.scaling == "fixed":
        return (decibels - np.float32(spec.floor_db)) / np.float32(spec.span_db)
    if spec.scaling == "picture":
        return _stretch(np.maximum(decibels, decibels.max() - np.float32(PUBLISHED_TOP_DB)))
    mean = decibels.mean(axis=1, keepdims=True)
    deviation = decibels.std(axis=1, keepdims=True)
    return np.asarray(0.5 + 0.25 * (decibels - mean) / np.maximum(deviation, 1e-3), dtype=np.float32)


def _frame_blocks(samples: FloatArray, spec: FrontEndSpec) -> Iterator[tuple[int, FloatArray]]:
    """(index of the first frame, frames (k, n_fft)) in order; frame i is centred on sample i * hop_length, silence beyond the ends."""
    half, hop = spec.n_fft // 2, spec.hop_length
    num_frames = spec.num_frames(len(samples))
    for first in range(0, num_frames, _FRAMES_AT_ONCE):
        count = min(_FRAMES_AT_ONCE, num_frames - first)
        start, stop = first * hop - half, (first + count - 1) * hop + half
        piece = samples[max(start, 0) : stop]
        if start < 0 or stop > len(samples):
            before = max(-start, 0)
            piece = np.pad(piece, (before, stop - start - before - len(piece)))
        yield first, np.lib.stride_tricks.sliding_window_view(piece, spec.n_fft)[::hop]


@lru_cache(maxsize=16)
def _filter_groups(spec: FrontEndSpec) -> list[tuple[slice, slice, FloatArray]]:
    return _narrow_groups(filter_bank(spec))


def _narrow_groups(filters: FloatArray) -> list[tuple[slice, slice, FloatArray]]:
    """Filters (n_bands, n) as (rows, columns, weights (columns, rows)): each group of rows on the columns that it touches."""
    groups = []
    for first in range(0, len(filters), _BANDS_AT_ONCE):
        rows = slice(first, min(first + _BANDS_AT_ONCE, len(filters)))
        touched = np.flatnonzero(filters[rows].any(axis=0))
        columns = slice(int(touched[0]), int(touched[-1]) + 1)
        groups.append((rows, columns, np.ascontiguousarray(filters[rows, columns].T)))
    return groups


# --- the published picture -------------------------------------------------------------------------------------------------------


def generate_mel_spectrogram(
    video_path: Path | str, n_mels: int = 128, fmax: float | None = 8000, target_size: tuple[int, int] = (256, 256)
) -> PixelArray:
    """The published pipeline's mel picture of a clip's sound, uint8 (height, width), loudest = 255; row 0 is the lowest band.

    video_path: any media file with sound; fmax in Hz, None = the full band to 11,025 Hz (the original ignored its fmax and always took that);
    target_size: (width, height). Sound is read mono at 22,050 Hz; a silent clip gives an all-zero picture.
    Raises MediaError (StreamMissing where there is no sound) and RecipeError (bands that do not fit). Values are within one grey level of
    moviepy + librosa.feature.melspectrogram + power_to_db(ref=np.max) + cv2.normalize + cv2.resize, without their temporary file.
    """
    from ffdv.media.read import open_media, read_samples

    spec = _published_spec(n_mels, fmax)
    with open_media(video_path, picture=False) as media:
        samples = read_samples(media, rate=spec.sample_rate).mono()
    if not samples.size:
        raise StreamMissing(video_path, "its sound track holds no samples; nothing to draw")
    return mel_picture(samples, spec, target_size)


@lru_cache(maxsize=16)
def _published_spec(n_mels: int, fmax: float | None) -> FrontEndSpec:
    try:
        return FrontEndSpec(n_bands=n_mels, fmax=fmax)
    except ValidationError as error:
        raise RecipeError(
            f"n_mels={n_mels}, fmax={fmax}: {error.errors()[0]['msg'].removeprefix('Value error, ')}"
        ) from None


def mel_picture(samples: FloatArray, spec: FrontEndSpec, target_size: tuple[int, int]) -> PixelArray:
    """Samples (n,) as the published uint8 picture (height, width): dB under the loudest, 80 dB deep, stretched to 0 … 255, resized.

    Raises ValueError as log_spectrogram does.
    """
    power = band_power(float_samples(samples), spec)
    decibels = power_to_db(power, reference=max(float(power.max()), SMALLEST_POWER), top_db=PUBLISHED_TOP_DB)
    grey = (255.0 * _stretch(decibels)).astype(np.uint8)
    width, height = target_size
    return resize_bilinear(grey, width=width, height=height)


def resize_bilinear(picture: PixelArray, *, width: int, height: int) -> PixelArray:
    """A uint8 picture (h, w) at another size, as cv2.resize with INTER_LINEAR: pixel centres at half, edges repeated, no smoothing."""
    rows_below, row_share = _sources(picture.shape[0], height)
    columns_left, column_share = _sources(picture.shape[1], width)
    values = picture.astype(np.float32)
    above, below = values[rows_below], values[np.minimum(rows_below + 1, picture.shape[0] - 1)]
    values = _between(above, below, row_share[:, None])
    left, right = values[:, columns_left], values[:, np.minimum(columns_left + 1, picture.shape[1] - 1)]
    return np.asarray(np.rint(_between(left, right, column_share)), dtype=np.uint8)


def _between(first: FloatArray, second: FloatArray, share: FloatArray) -> FloatArray:
    """So far on the way from the first to the second; both are overwritten."""
    second -= first
    second *= share
    first += second
    return first


def _sources(size: int, new_size: int) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """For each new pixel the old one before its centre, and the share of the next old one."""
    centres = np.clip((np.arange(new_size) + 0.5) * (size / new_size) - 0.5, 0.0, size - 1.0)
    before = np.floor(centres).astype(np.intp)
    return before, (centres - before).astype(np.float32)


def _stretch(values: FloatArray) -> FloatArray:
    """Values stretched to [0, 1]; all zero when they are all the same (cv2.normalize does so too)."""
    low, high = values.min(), values.max()
    if high - low <= np.finfo(np.float32).eps:
        return np.zeros_like(values)
    return np.asarray((values - low) / (high - low), dtype=np.float32)
