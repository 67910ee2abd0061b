"""Squares cut out of pictures around faces: turned upright, at a stated margin and size."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ffdv.records import FloatArray, PixelArray

# Eyes and mouth corners of an upright frontal face, x to the right and y down, any unit: only the angle is used.
UPRIGHT = np.array([-1 - 1j, 1 - 1j, -0.8 + 1.1j, 0.8 + 1.1j])
EYES_AND_MOUTH = [0, 1, 3, 4]  # of right eye, left eye, nose, right and left mouth corner


@dataclass(frozen=True)
class Square:
    """A square region of a picture: centre x y and side in pixels, turned clockwise by `turn` radians."""

    x: float
    y: float
    side: float
    turn: float = 0.0

    def to_picture(self, points: FloatArray, size: int) -> FloatArray:
        """Points (..., 2) of the cut square, `size` pixels wide, in the picture's pixels."""
        scale = self.side / size
        centred = (points.astype(np.float64) - size / 2) * scale
        cosine, sine = math.cos(self.turn), math.sin(self.turn)
        x = self.x + centred[..., 0] * cosine - centred[..., 1] * sine
        y = self.y + centred[..., 0] * sine + centred[..., 1] * cosine
        return np.stack([x, y], axis=-1).astype(np.float32)

    def from_picture(self, points: FloatArray, size: int) -> FloatArray:
        """Points (..., 2) of the picture, in pixels of the cut square `size` pixels wide; undoes to_picture."""
        scale = size / self.side
        dx, dy = points[..., 0].astype(np.float64) - self.x, points[..., 1].astype(np.float64) - self.y
        cosine, sine = math.cos(self.turn), math.sin(self.turn)
        x = (dx * cosine + dy * sine) * scale + size / 2
        y = (dy * cosine - dx * sine) * scale + size / 2
        return np.stack([x, y], axis=-1).astype(np.float32)


def roll(landmarks: FloatArray) -> float:
    """How far a face leans clockwise, in radians, from its five points (5, 2); 0 where they are unknown.

    The rotation that brings eyes and mouth corners closest to an upright face: eyes decide in a frontal view,
    the line from eyes to mouth in a profile.
    """
    points = landmarks[EYES_AND_MOUTH, 0] + 1j * landmarks[EYES_AND_MOUTH, 1]
    if not np.isfinite(points).all():
        return 0.0
    return float(np.angle(np.sum(np.conj(UPRIGHT - UPRIGHT.mean()) * (points - points.mean()))))


MAX_SHIFT = 0.15  # of a square's side: how far it may be moved to lie inside the picture


def face_square(box: FloatArray, landmarks: FloatArray, margin: float) -> Square:
    """The upright square around a face: side = margin × the longer side of its box (4,), about the box's centre."""
    side = float(max(box[2] - box[0], box[3] - box[1])) * margin
    return Square(float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2, max(side, 1.0), roll(landmarks))


def moved_inside(square: Square, width: int, height: int) -> Square:
    """The square moved towards the picture's inside, by at most MAX_SHIFT of its side: real pixels before invented ones."""
    reach, most = half_reach(square), MAX_SHIFT * square.side

    def moved(centre: float, length: int) -> float:
        inside = length / 2 if length < 2 * reach else min(max(centre, reach), length - reach)
        return centre + min(max(inside - centre, -most), most)

    return replace(square, x=moved(square.x, width), y=moved(square.y, height))


def half_reach(square: Square) -> float:
    """Half the side of the upright square around a turned one, in pixels."""
    return square.side / 2 * (abs(math.cos(square.turn)) + abs(math.sin(square.turn)))


def cut_square(pixels: PixelArray, square: Square, size: int) -> PixelArray:
    """The square as uint8 (size, size, 3): every source pixel counts when shrinking; beyond the picture its edge goes on."""
    from PIL import Image

    reach = math.ceil(half_reach(square)) + 2
    left, top = math.floor(square.x) - reach, math.floor(square.y) - reach
    region = Image.fromarray(_region(pixels, left, top, 2 * reach + 1))
    coarser = max(1, round(square.side / size))  # average blocks first, so that every source pixel counts
    if coarser > 1:
        region = region.reduce(coarser)
    scale = square.side / size / coarser
    cosine, sine = math.cos(square.turn) * scale, math.sin(square.turn) * scale
    x0 = (square.x - left) / coarser - (cosine - sine) * size / 2
    y0 = (square.y - top) / coarser - (sine + cosine) * size / 2
    enlarged = coarser == 1 and scale < 1
    way = Image.Resampling.BICUBIC if enlarged else Image.Resampling.BILINEAR  # bicubic costs 2.5 times as much
    crop: PixelArray = np.asarray(
        region.transform((size, size), Image.Transform.AFFINE, (cosine, -sine, x0, sine, cosine, y0), way)
    )
    return crop


def evenly(count: int, wanted: int) -> npt.NDArray[np.int64]:
    """At most `wanted` of the numbers 0 … count - 1, evenly spread, each in the middle of its share.

    >>> evenly(10, 3), evenly(2, 8)
    (array([1, 5, 8]), array([0, 1]))
    """
    if count <= wanted:
        return np.arange(count, dtype=np.int64)
    return np.floor((np.arange(wanted) + 0.5) * count / wanted).astype(np.int64)


def jittered(count: int, wanted: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """At most `wanted` of the numbers 0 … count - 1, rising: one somewhere in each of equal shares."""
    if count <= wanted:
        return np.arange(count, dtype=np.int64)
    edges = np.floor(np.arange(wanted + 1) * count / wanted).astype(np.int64)
    return rng.integers(edges[:-1], np.maximum(edges[1:], edges[:-1] + 1))


def as_planes(crops: PixelArray, size: int) -> PixelArray:
    """Crops (n, h, w, 3) as what nets take, (n, 3, size, size): shrunk with every pixel counted, enlarged bilinearly."""
    from PIL import Image

    if not len(crops):
        return np.zeros((0, 3, size, size), np.uint8)
    if crops.shape[1:3] != (size, size):
        way = Image.Resampling.BILINEAR  # Pillow's has support as wide as the shrinking
        crops = np.stack([np.asarray(Image.fromarray(crop).resize((size, size), way)) for crop in crops])
    return np.ascontiguousarray(crops.transpose(0, 3, 1, 2))


def _region(pixels: PixelArray, left: int, top: int, side: int) -> PixelArray:
    """A square of whole pixels; beyond the picture its edge goes on."""
    height, width = pixels.shape[:2]
    if left >= 0 and top >= 0 and left + side <= width and top + side <= height:
        return np.ascontiguousarray(pixels[top : top + side, left : left + side])
    rows = np.clip(np.arange(top, top + side), 0, height - 1)
    columns = np.clip(np.arange(left, left + side), 0, width - 1)
    first_row, stop_row = max(top, 0), min(top + side, height)
    first_column, stop_column = max(left, 0), min(left + side, width)
    if first_row >= stop_row or first_column >= stop_column:
        return pixels[rows[:, None], columns[None, :]]
    # Slices: 20 times as fast as picking every pixel by its number.
    inside = pixels[first_row:stop_row, first_column:stop_column]
    region: PixelArray = np.empty((side, side, *pixels.shape[2:]), np.uint8)
    above, below = first_row - top, stop_row - top
    before, after = first_column - left, stop_column - left
    region[above:below, before:after] = inside
    region[above:below, :before] = inside[:, :1]
    region[above:below, after:] = inside[:, -1:]
    region[:above] = region[above]
    region[below:] = region[below - 1]
    return region
