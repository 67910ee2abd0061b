"""Do the lips move with the sound: mouth crops, curves of both, and the classical estimate of their offset.

    frames + face track ─▶ mouth crops, lip opening ┐
    samples ─▶ loudness, mel bands per frame        ┴▶ correlation at offsets −n … n ─▶ offset, confidence

An offset is positive when the sound comes later than the picture, in frames of the picture. The crops are what a
two-stream network learns from; the correlation here is the baseline that it must beat.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from ffdv.features.crops import Square, cut_square
from ffdv.features.filters import gaussian_filter1d
from ffdv.features.landmarks import MOUTH_POINTS, FaceMesh, Mesh, follow_mesh
from ffdv.records import FaceTrack, FloatArray, Frame, PixelArray, Samples
from ffdv.records import MouthTrack as MouthTrack  # noqa: PLC0414 -- it was born here; readers of this file may take it from here

SMOOTHED_FRAMES = 5  # place and size of the crop are means over so many frames: trembling would pose as motion
SPEECH_HZ = (150.0, 4000.0)
FLOOR_DB = -80.0  # under the loudest frame of a clip nothing is heard
# Lips part about a frame of 25 a second before the sound of what they form: the median over 86 real clips of the best
# offset, which is then called 0 (docs/log.md).
LEAD_SECONDS = 0.04
TREND_FRAMES = 8.0  # slower changes than this (Gaussian deviation) are the head's and the room's
NOISE_FRAMES = 0.8  # faster ones are the landmarks' trembling
HIGH_BANDS = slice(5, 8)  # of band_curves, 1.8 to 4 kHz: the opening of the mouth lets them out
MIN_SEEN_FRAMES = 25  # a second of visible mouth: below that a correlation is chance


UNSEEN_POINTS: FloatArray = np.full((len(MOUTH_POINTS), 3), np.nan, np.float32)


class MouthSpec(BaseModel):
    """How mouths are cut out; a network states the one that it was trained with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fps: float = Field(default=25.0, gt=0, le=120)
    size: int = Field(default=96, ge=16, le=512)  # pixels
    margin: float = Field(default=1.2, ge=0.5, le=4)  # side of the crop / distance of the eyes' outer corners


STANDARD_MOUTH = MouthSpec()


@dataclass(frozen=True)
class MouthFrame:
    """One moment of a mouth: crop uint8 (size, size) grey, black where not in sight; opening, gap of the inner lips / eye
    distance, NaN where not in sight; points (p, 3) of MOUTH_POINTS about their middle in eye distances, NaN likewise.
    """

    seconds: float
    crop: PixelArray
    opening: float
    points: FloatArray


@dataclass(frozen=True)
class OffsetEstimate:
    """Where sound and mouth agree best: offset_frames (positive: the sound is late), the correlation there in [-1, 1],
    and confidence, by how much it stands out from the median over all tried offsets; curve (2 * max_offset + 1,).
    """

    offset_frames: float
    correlation: float
    confidence: float
    curve: FloatArray


def mouth_crops(
    frames: Iterable[Frame], track: FaceTrack, face_mesh: FaceMesh, spec: MouthSpec = STANDARD_MOUTH
) -> MouthTrack:
    """The mouth of one tracked face in every frame, upright and steady; frames as read at spec.fps, one shot or part of it.

    25 frames a second of 96 pixels take 0.8 GB an hour: give long clips in parts, or use iter_mouths.
    """
    return gather_mouths(iter_mouths(follow_mesh(frames, track, face_mesh), spec), spec)


def gather_mouths(moments: Iterable[MouthFrame], spec: MouthSpec = STANDARD_MOUTH) -> MouthTrack:
    """The moments as arrays."""
    seen = list(moments)
    none = np.zeros((0, spec.size, spec.size), np.uint8)
    return MouthTrack(
        np.array([moment.seconds for moment in seen], np.float64),
        np.stack([moment.crop for moment in seen]) if seen else none,
        np.array([moment.opening for moment in seen], np.float32),
        np.stack([moment.points for moment in seen]) if seen else UNSEEN_POINTS[None][:0],
    )


def iter_mouths(pairs: Iterable[tuple[Frame, Mesh | None]], spec: MouthSpec = STANDARD_MOUTH) -> Iterator[MouthFrame]:
    """One moment per frame, in bounded memory; pairs as follow_mesh gives them."""
    half = SMOOTHED_FRAMES // 2
    near: deque[tuple[Frame, Mesh | None]] = deque()  # up to `half` frames before and after the one to cut
    position = 0
    for pair in pairs:
        near.append(pair)
        if len(near) > position + half:
            yield _cut_mouth(near, position, spec)
            position += 1
            if position > half:
                near.popleft()
                position -= 1
    while position < len(near):
        yield _cut_mouth(near, position, spec)
        position += 1


def _cut_mouth(near: deque[tuple[Frame, Mesh | None]], position: int, spec: MouthSpec) -> MouthFrame:
    frame, mesh = near[position]
    if mesh is None:
        return MouthFrame(frame.seconds, np.zeros((spec.size, spec.size), np.uint8), math.nan, UNSEEN_POINTS)
    first = max(0, position - SMOOTHED_FRAMES // 2)
    around = [m for _, m in list(near)[first : position + SMOOTHED_FRAMES // 2 + 1] if m is not None]
    x, y, eye_distance, turn = np.array([m.mouth_place for m in around], np.float64).mean(axis=0)
    crop = cut_square(frame.pixels, Square(x, y, eye_distance * spec.margin, turn), spec.size)
    return MouthFrame(frame.seconds, luminance(crop), mesh.mouth_opening(), mesh.mouth_points())


def luminance(pixels: PixelArray) -> PixelArray:
    """RGB uint8 (..., 3) to grey uint8 (...), Rec. 601 weights in integers."""
    red, green, blue = (pixels[..., channel].astype(np.uint16) for channel in range(3))
    return ((77 * red + 150 * green + 29 * blue) >> 8).astype(np.uint8)


def estimate_offset(
    mouth: MouthTrack, samples: Samples, *, fps: float = 25.0, max_offset: int = 15
) -> OffsetEstimate | None:
    """The offset at which lip opening and high-band loudness, and their rates of change, correlate best; None with less
    than a second of mouth in sight. max_offset in frames to both sides.

    The classical baseline without learning: of 86 real clips of 2 to 6 s, 0.37 are found within one frame of 0 (0.10 by
    chance). It is a curiosity beside a network that was taught (docs/log.md).
    """
    if int(mouth.in_sight.sum()) < MIN_SEEN_FRAMES:
        return None
    lead = round(LEAD_SECONDS * fps)
    bands = band_curves(samples, mouth.seconds, fps=fps)[:, HIGH_BANDS].mean(axis=1)
    curve = np.zeros(2 * max_offset + 1, np.float32)
    for order in (0, 1):
        lips, sound = _detrended(mouth.opening, order), _detrended(bands, order)
        curve += offset_correlations(lips, sound, first=lead - max_offset, last=lead + max_offset) / 2
    best = int(curve.argmax())
    return OffsetEstimate(float(best - max_offset), float(curve[best]), float(curve[best] - np.median(curve)), curve)


def offset_correlations(one: FloatArray, other: FloatArray, *, first: int, last: int) -> FloatArray:
    """Pearson correlation of one[t] with other[t + k] for k = first … last (last - first + 1,), over moments where both
    are known (not NaN); 0 where fewer than eight are.
    """
    count = len(one)
    correlations = np.zeros(last - first + 1, np.float32)
    for i, k in enumerate(range(first, last + 1)):
        x, y = one[max(0, -k) : count - max(0, k)], other[max(0, k) : count - max(0, -k)]
        known = np.isfinite(x) & np.isfinite(y)
        if known.sum() >= 8:
            dx, dy = x[known] - x[known].mean(), y[known] - y[known].mean()
            spread = float(np.sqrt((dx**2).sum() * (dy**2).sum()))
            correlations[i] = float((dx * dy).sum()) / spread if spread > 1e-9 else 0.0
    return correlations


def _detrended(curve: FloatArray, order: int) -> FloatArray:
    """A curve without its trend and trembling, or (order 1) its rate of change; gaps are bridged, then unknown again."""
    known = np.isfinite(curve)
    bridged = np.interp(np.arange(len(curve)), np.flatnonzero(known), curve[known]) if known.any() else curve
    smooth = gaussian_filter1d(bridged, NOISE_FRAMES)
    changed = np.gradient(smooth) if order else smooth - gaussian_filter1d(bridged, TREND_FRAMES)
    return np.where(known, changed, np.nan).astype(np.float32)


def motion_energy(crops: PixelArray) -> FloatArray:
    """How much of the mouth moved since the frame before: mean absolute change of the inner two thirds, less that of
    the rim (which is the head's), in grey levels (n,); 0 for the first frame.
    """
    values = crops.astype(np.float32)
    change = np.abs(np.diff(values, axis=0, prepend=values[:1]))  # (n, size, size)
    size = crops.shape[1]
    edge = size // 6
    inner = change[:, edge : size - edge, edge : size - edge]
    rim = (change.sum(axis=(1, 2)) - inner.sum(axis=(1, 2))) / max(1, size**2 - inner.shape[1] ** 2)
    moved: FloatArray = inner.mean(axis=(1, 2)) - rim
    return moved


def loudness_curve(samples: Samples, seconds: npt.NDArray[np.float64], *, fps: float) -> FloatArray:
    """Loudness of speech's band around each moment, dB under the loudest, at least FLOOR_DB (n,).

    seconds (n,): the middle of each window, two frames long, Hann; moments without sound get FLOOR_DB.
    """
    power = _band_powers(samples, seconds, fps=fps, edges_hz=SPEECH_HZ)[:, 0]
    return _decibels_under_peak(power)


def band_curves(samples: Samples, seconds: npt.NDArray[np.float64], *, fps: float, num_bands: int = 8) -> FloatArray:
    """Loudness in bands of equal width on the mel scale, 150 to 4000 Hz, dB under the loudest (n, num_bands)."""
    mels = 2595 * np.log10(1 + np.array(SPEECH_HZ) / 700)
    edges = 700 * (10 ** (np.linspace(mels[0], mels[1], num_bands + 1) / 2595) - 1)
    return _decibels_under_peak(_band_powers(samples, seconds, fps=fps, edges_hz=tuple(edges)))


def _band_powers(
    samples: Samples, seconds: npt.NDArray[np.float64], *, fps: float, edges_hz: tuple[float, ...]
) -> npt.NDArray[np.float64]:
    """Power between neighbouring edges around each moment (n, len(edges) - 1)."""
    mono, half = samples.mono(), max(8, round(samples.rate / fps))
    padded = np.pad(mono, half)
    middles = np.round((seconds - samples.start_seconds) * samples.rate).astype(np.int64)
    starts = np.clip(
        middles, 0, len(mono)
    )  # in the padded sound, a window that starts here has its middle at `middles`
    windows = padded[starts[:, None] + np.arange(2 * half)] * np.hanning(2 * half)
    spectrum = np.abs(np.fft.rfft(windows, axis=1)) ** 2
    frequencies = np.fft.rfftfreq(2 * half, 1 / samples.rate)
    bins = np.searchsorted(frequencies, edges_hz)
    heard = (middles >= 0) & (middles <= len(mono))
    powers = np.stack([spectrum[:, a : max(b, a + 1)].sum(axis=1) for a, b in itertools.pairwise(bins)], axis=1)
    return np.where(heard[:, None], powers, 0.0)


def _decibels_under_peak(power: npt.NDArray[np.float64]) -> FloatArray:
    peak = float(power.max(initial=0.0))
    if peak <= 0:
        return np.full(power.shape, FLOOR_DB, np.float32)
    decibels = 10 * np.log10(np.maximum(power / peak, 1e-12))
    return np.asarray(np.maximum(decibels, FLOOR_DB), np.float32)
