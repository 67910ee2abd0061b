"""Squares cut out of pictures around faces: turned upright, at a stated margin and size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

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


def face_square(box: FloatArray, landmarks: FloatArray, margin: float) -> Square:
    """The upright square around a face: side = margin × the longer side of its box (4,), about the box's centre."""
    side = float(max(box[2] - box[0], box[3] - box[1])) * margin
    return Square(float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2, max(side, 1.0), roll(landmarks))


def cut_square(pixels: PixelArray, square: Square, size: int) -> PixelArray:
    """The square as uint8 (size, size, 3): every source pixel counts when shrinking; beyond the picture its edge goes on."""
    from PIL import Image

    height, width = pixels.shape[:2]
    reach = math.ceil(square.side / 2 * (abs(math.cos(square.turn)) + abs(math.sin(square.turn)))) + 2
    left, top = math.floor(square.x) - reach, math.floor(square.y) - reach
    rows = np.clip(np.arange(top, top + 2 * reach + 1), 0, height - 1)
    columns = np.clip(np.arange(left, left + 2 * reach + 1), 0, width - 1)
    region = Image.fromarray(pixels[rows[:, None], columns[None, :]])
    finer = max(1, round(square.side / size))  # shrink in two steps: sample finely, then average blocks
    scale = square.side / (size * finer)
    cosine, sine = math.cos(square.turn) * scale, math.sin(square.turn) * scale
    half = size * finer / 2
    x0 = square.x - left - half * cosine + half * sine
    y0 = square.y - top - half * sine - half * cosine
    way = Image.Resampling.BICUBIC if scale < 1 else Image.Resampling.BILINEAR
    cut = region.transform(
        (size * finer, size * finer), Image.Transform.AFFINE, (cosine, -sine, x0, sine, cosine, y0), way
    )
    crop: PixelArray = np.asarray(cut.reduce(finer) if finer > 1 else cut)
    return crop
