"""How pictures follow one another: similarity and difference of neighbours, in the face, around it and over all.

    frame t, frame t+1 ─▶ the same square about the face of frame t ─▶ 8 numbers for face, ring and picture ─▶ one row
    rows of a clip ─▶ mean, deviation, percentiles, correlations, covariance of histograms ─▶ one vector with names

In a real clip the face moves with the head and the ring with it; a synthesised face flickers, freezes or slides by itself.
Frames, not colour bins, are the samples of every mean and covariance. Histogram distances: OpenCV's four; SSIM: Wang et
al. 2004; block matching over all displacements of a small window.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from ffdv.features.crops import Square, cut_square
from ffdv.features.filters import uniform_filter
from ffdv.features.sync import luminance
from ffdv.records import FaceTrack, FloatArray, Frame, PixelArray

MARGIN = 2.0  # side of the square / longer side of the face: its inner half is the face, the rest the ring
HISTOGRAM_BINS = 16
SSIM_WINDOW = 7
SSIM_C1, SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # of the paper
REGIONS = ("picture", "face", "ring")
MEASURES = (
    "correlation",
    "intersection",
    "chi_square",
    "bhattacharyya",
    "ssim",
    "difference",
    "residual",
    "displacement",
)
SERIES = tuple(f"{region}_{measure}" for region in REGIONS for measure in MEASURES)
SUMMARIES = ("mean", "deviation", "p05", "p95")
MAX_GAP_SECONDS = 0.5  # a face that was not seen this near in time is not interpolated


class MotionSpec(BaseModel):
    """At which rate and size neighbours are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fps: float = Field(default=12.5, gt=0, le=120)
    size: int = Field(default=96, ge=32, le=512)  # pixels of the square, and of the whole picture's longer side
    block: int = Field(default=8, ge=4, le=64)  # pixels; divides size
    search: int = Field(default=3, ge=0, le=16)  # pixels in each direction


STANDARD_MOTION = MotionSpec()


@dataclass(frozen=True)
class PairTable:
    """One row per pair of neighbouring frames: seconds (n,) of the first one; values (n, 24) float32 in the order of
    SERIES, NaN where no face is in sight; histograms (n, 16) of the face's luminance (of the picture's without face).
    """

    seconds: npt.NDArray[np.float64]
    values: FloatArray
    histograms: FloatArray

    def series(self, name: str) -> FloatArray:
        """One column (n,) by its name in SERIES."""
        return self.values[:, SERIES.index(name)]


@dataclass(frozen=True)
class NamedVector:
    """Numbers with names, in a fixed order: values (n,) float32, NaN = could not be measured."""

    names: tuple[str, ...]
    values: FloatArray


def motion_vector(frames: Iterable[Frame], track: FaceTrack | None, spec: MotionSpec = STANDARD_MOTION) -> NamedVector:
    """The movement of a clip in one vector of fixed length; frames as read at spec.fps, memory 0.1 MB a minute."""
    return summarised(compare_neighbours(frames, track, spec))


def compare_neighbours(
    frames: Iterable[Frame], track: FaceTrack | None, spec: MotionSpec = STANDARD_MOTION
) -> PairTable:
    """Similarity and difference of neighbours; pairs of different picture sizes are left out."""
    comparison = NeighbourComparison(track, spec)
    for frame in frames:
        comparison.look(frame)
    return comparison.table()


class NeighbourComparison:
    """Compares each frame with the one before; `table` is the result so far. One comparison is one clip."""

    def __init__(self, track: FaceTrack | None, spec: MotionSpec = STANDARD_MOTION) -> None:
        self._track, self._spec = track, spec
        self._before: Frame | None = None
        self._seconds: list[float] = []
        self._rows: list[list[float]] = []
        self._histograms: list[FloatArray] = []

    def look(self, frame: Frame) -> None:
        """Compare the next frame with the one before; frames of different size are no pair."""
        before, self._before = self._before, frame
        if before is None or before.pixels.shape != frame.pixels.shape:
            return
        square = _square_at(before.seconds, self._track)
        whole = [_whole_picture(one.pixels, self._spec.size) for one in (before, frame)]
        numbers = _measured(whole[0], whole[1], [np.ones(whole[0].shape, bool)], self._spec)
        shown = whole[0]
        if square is None:
            numbers += [float("nan")] * (2 * len(MEASURES))
        else:
            cuts = _about_face(before, frame, square, self._spec)
            face = face_mask(self._spec.size)
            numbers += _measured(cuts[0], cuts[1], [face, ~face], self._spec)
            shown = cuts[0][face]
        self._seconds.append(before.seconds)
        self._rows.append(numbers)
        self._histograms.append(histogram(shown))

    def table(self) -> PairTable:
        """A row for each pair so far."""
        return PairTable(
            np.array(self._seconds, np.float64),
            np.array(self._rows, np.float32).reshape(-1, len(SERIES)),
            np.array(self._histograms, np.float32).reshape(-1, HISTOGRAM_BINS),
        )


def region_residuals(
    before: Frame, after: Frame, track: FaceTrack | None, spec: MotionSpec = STANDARD_MOTION
) -> tuple[float, float]:
    """What no shift explains in the face and in the ring around it, in grey levels: two numbers of a PairTable's row for a
    quarter of its cost. NaN for pictures of different size and where no face is in sight.
    """
    square = _square_at(before.seconds, track)
    if square is None or before.pixels.shape != after.pixels.shape:
        return float("nan"), float("nan")
    one, other = _about_face(before, after, square, spec)
    residual, _ = match_blocks(one, other, block=spec.block, search=spec.search)
    face = _in_blocks(face_mask(spec.size), spec.block)
    return float(residual[face].mean()), float(residual[~face].mean())


def summarised(table: PairTable) -> NamedVector:
    """Mean, deviation and percentiles of each series, correlations between series of face and ring, and the covariance of
    the face's histogram over the frames; NaN where fewer than three pairs could be measured.
    """
    names: list[str] = []
    numbers: list[float] = []
    for i, series in enumerate(SERIES):
        values = table.values[:, i]
        values = values[np.isfinite(values)].astype(np.float64)
        measured = len(values) >= 3
        names += [f"{series}_{summary}" for summary in SUMMARIES]
        numbers += [values.mean(), values.std(), *np.percentile(values, [5, 95])] if measured else [float("nan")] * 4
    correlations = _correlations(table.values[:, len(MEASURES) :])
    inner = SERIES[len(MEASURES) :]
    upper = [(i, j) for i in range(len(inner)) for j in range(i + 1, len(inner))]
    names += [f"correlation_{inner[i]}_{inner[j]}" for i, j in upper]
    numbers += [float(correlations[i, j]) for i, j in upper]
    covariance = np.full((HISTOGRAM_BINS, HISTOGRAM_BINS), np.nan)
    if len(table.histograms) >= 3:
        covariance = np.cov(table.histograms.astype(np.float64), rowvar=False)  # frames are the samples
    upper = [(i, j) for i in range(HISTOGRAM_BINS) for j in range(i, HISTOGRAM_BINS)]
    names += [f"histogram_covariance_{i}_{j}" for i, j in upper]
    numbers += [float(covariance[i, j]) for i, j in upper]
    return NamedVector(tuple(names), np.array(numbers, np.float32))


def histogram(pixels: PixelArray) -> FloatArray:
    """Share of grey values in each of 16 equal bins (16,); sums to 1."""
    counts = np.bincount(pixels.ravel() >> 4, minlength=HISTOGRAM_BINS)
    return np.asarray(counts / max(1, pixels.size), np.float32)


def histogram_similarities(one: FloatArray, other: FloatArray) -> tuple[float, float, float, float]:
    """Correlation [-1, 1], intersection [0, 1] (1 = equal), χ² [0, 2] and Bhattacharyya distance [0, 1] (0 = equal).

    >>> [round(number, 3) for number in histogram_similarities(np.float32([0.5, 0.5]), np.float32([0.5, 0.5]))]
    [1.0, 1.0, 0.0, 0.0]
    """
    p, q = one.astype(np.float64), other.astype(np.float64)
    dp, dq = p - p.mean(), q - q.mean()
    spread = np.sqrt((dp**2).sum() * (dq**2).sum())
    correlation = float((dp * dq).sum() / spread) if spread > 1e-12 else float(np.allclose(p, q))
    total = p + q
    chi_square = float(((p - q) ** 2 / np.where(total > 0, total, 1)).sum())
    overlap = float(np.sqrt(p * q).sum())
    return correlation, float(np.minimum(p, q).sum()), chi_square, float(np.sqrt(max(0.0, 1 - overlap)))


def ssim_map(one: PixelArray, other: PixelArray) -> FloatArray:
    """Structural similarity [-1, 1] of two grey pictures of one size, at each pixel (7 × 7 windows, as in the paper)."""
    x, y = one.astype(np.float32), other.astype(np.float32)

    def local(values: FloatArray) -> FloatArray:
        mean: FloatArray = uniform_filter(values, SSIM_WINDOW)
        return mean

    mean_x, mean_y = local(x), local(y)
    var_x, var_y = local(x * x) - mean_x**2, local(y * y) - mean_y**2
    shared = local(x * y) - mean_x * mean_y
    top = (2 * mean_x * mean_y + SSIM_C1) * (2 * shared + SSIM_C2)
    bottom = (mean_x**2 + mean_y**2 + SSIM_C1) * (var_x + var_y + SSIM_C2)
    return np.asarray(top / bottom, np.float32)


def match_blocks(one: PixelArray, other: PixelArray, *, block: int, search: int) -> tuple[FloatArray, FloatArray]:
    """Best displacement of each block of `one` within ±search pixels of `other`.

    Returns the residual (rows, columns), mean absolute difference in grey levels after the best move, and the
    displacement's length in pixels (rows, columns). Pixels beyond whole blocks are ignored; of equal moves the
    shortest counts, so that a still picture does not move.
    """
    rows, columns = one.shape[0] // block, one.shape[1] // block
    here = one[: rows * block, : columns * block].astype(np.int16)
    there = np.pad(other, search, mode="edge").astype(np.int16)
    moves = [(dy, dx) for dy in range(-search, search + 1) for dx in range(-search, search + 1)]
    moves.sort(key=lambda move: move[0] ** 2 + move[1] ** 2)
    residual = np.full((rows, columns), np.inf, np.float32)
    length = np.zeros((rows, columns), np.float32)
    for dy, dx in moves:
        moved = there[search + dy : search + dy + rows * block, search + dx : search + dx + columns * block]
        cost = np.abs(here - moved).reshape(rows, block, columns, block).mean(axis=(1, 3), dtype=np.float32)
        better = cost < residual - 1e-6
        residual[better] = cost[better]
        length[better] = np.hypot(dy, dx)
    return residual, length


def face_mask(size: int) -> npt.NDArray[np.bool_]:
    """True in the inner square of a cut with MARGIN (size, size): the face; elsewhere the ring."""
    edge = round(size * (1 - 1 / MARGIN) / 2)
    mask = np.zeros((size, size), bool)
    mask[edge : size - edge, edge : size - edge] = True
    return mask


def _measured(
    one: PixelArray, other: PixelArray, masks: Sequence[npt.NDArray[np.bool_]], spec: MotionSpec
) -> list[float]:
    """The eight MEASURES between two grey pictures, inside each of several masks."""
    similarity = ssim_map(one, other)
    changed = np.abs(one.astype(np.int16) - other.astype(np.int16))
    residual, length = match_blocks(one, other, block=spec.block, search=spec.search)
    numbers: list[float] = []
    for mask in masks:
        blocks = _in_blocks(mask, spec.block)[: residual.shape[0], : residual.shape[1]]
        numbers += histogram_similarities(histogram(one[mask]), histogram(other[mask]))
        numbers += [float(similarity[mask].mean()), float(changed[mask].mean())]
        numbers += [float(residual[blocks].mean()), float(length[blocks].mean())]
    return numbers


def _about_face(before: Frame, after: Frame, square: Square, spec: MotionSpec) -> tuple[PixelArray, PixelArray]:
    """The same square of two frames, grey (size, size)."""
    one, other = (luminance(cut_square(frame.pixels, square, spec.size)) for frame in (before, after))
    return one, other


def _in_blocks(mask: npt.NDArray[np.bool_], block: int) -> npt.NDArray[np.bool_]:
    """A mask of pixels as one of blocks, by their middles."""
    return mask[block // 2 :: block, block // 2 :: block]


def _whole_picture(pixels: PixelArray, longer_side: int) -> PixelArray:
    """Grey, at least 16 and about longer_side pixels, every source pixel counted."""
    from PIL import Image

    height, width = pixels.shape[:2]
    scale = longer_side / max(height, width)
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    return luminance(np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX)))


def _square_at(seconds: float, track: FaceTrack | None) -> Square | None:
    """The upright square about the face at a moment, interpolated between sightings."""
    if track is None or np.abs(track.seconds - seconds).min() > MAX_GAP_SECONDS:
        return None
    x0, y0, x1, y1 = (float(np.interp(seconds, track.seconds, track.boxes[:, side])) for side in range(4))
    return Square((x0 + x1) / 2, (y0 + y1) / 2, max(max(x1 - x0, y1 - y0) * MARGIN, 1.0))


def _correlations(values: FloatArray) -> npt.NDArray[np.float64]:
    """Between the columns of (n, m) over its rows (m, m); 0 for a column that does not vary, NaN with fewer than three rows."""
    rows = values[np.isfinite(values).all(axis=1)].astype(np.float64)
    if len(rows) < 3:
        return np.full((values.shape[1],) * 2, np.nan)
    centred = rows - rows.mean(axis=0)
    spread = np.sqrt((centred**2).sum(axis=0))
    unit = centred / np.where(spread > 1e-9, spread, np.inf)
    correlations: npt.NDArray[np.float64] = unit.T @ unit
    return correlations


VECTOR_NAMES = summarised(NeighbourComparison(None).table()).names  # of every motion vector, in order
