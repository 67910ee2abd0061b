"""Faces followed from picture to picture: geometry alone, no pixels.

A track is predicted by its last movement; detections are given to predictions so that the sum of overlaps is largest
(Hungarian assignment). A track that nothing was given to for a while has ended.
"""

from __future__ import annotations

import numpy as np

from ffdv.features.face_detectors import Detections, overlap
from ffdv.features.filters import assignment
from ffdv.records import FloatArray

MIN_OVERLAP = 0.15  # intersection over union with the prediction that is enough to be the same face
MAX_STEP = 0.7  # or: centres less than this many face sides apart,
MAX_GROWTH = 1.7  # and sides that differ by less than this factor
MAX_PREDICTION_SECONDS = 0.5  # beyond this the last movement says nothing
MAX_SIDES_PER_SECOND = 4.0  # faster is a cut or a mistake


class MovingBox:
    """Where a face was last seen and how it moves; boxes are (4,) float32 x0 y0 x1 y1 in picture pixels."""

    def __init__(self, box: FloatArray, seconds: float) -> None:
        self.box = box
        self.seconds = seconds
        self._velocity: FloatArray = np.zeros(2, np.float32)  # pixels per second of the centre

    @property
    def side(self) -> float:
        """The longer side in pixels."""
        return float(max(self.box[2] - self.box[0], self.box[3] - self.box[1]))

    def predicted(self, seconds: float) -> FloatArray:
        """The box at a later moment, were it to move on as it did."""
        step = self._velocity * np.float32(min(seconds - self.seconds, MAX_PREDICTION_SECONDS))
        box: FloatArray = self.box + np.concatenate([step, step])
        return box

    def seen(self, box: FloatArray, seconds: float) -> None:
        """The face was found again."""
        passed = max(seconds - self.seconds, 1e-3)
        moved = (centre_of(box) - centre_of(self.box)) / np.float32(passed)
        fastest = np.float32(MAX_SIDES_PER_SECOND * self.side)
        velocity: FloatArray = np.maximum((self._velocity + moved) * np.float32(0.5), -fastest)
        self._velocity = np.minimum(velocity, fastest)
        self.box, self.seconds = box, seconds


def centre_of(box: FloatArray) -> FloatArray:
    """The middle of a box (4,) -> (2,) x y."""
    middle: FloatArray = (box[:2] + box[2:]) * np.float32(0.5)
    return middle


def matched(predictions: FloatArray, found: Detections) -> list[tuple[int, int]]:
    """Pairs (index of the prediction, index of the detection), each index at most once.

    predictions (n, 4). The pairs have the largest sum of overlap and closeness that the gates at the file's top allow.
    """
    if not len(predictions) or not len(found):
        return []
    shared = overlap(predictions, found.boxes)
    size = np.maximum(predictions[:, 2:] - predictions[:, :2], 1e-3).max(axis=1)
    found_size = np.maximum(found.boxes[:, 2:] - found.boxes[:, :2], 1e-3).max(axis=1)
    middles = (
        predictions[:, None, :2] + predictions[:, None, 2:] - found.boxes[None, :, :2] - found.boxes[None, :, 2:]
    ) / 2
    steps = np.linalg.norm(middles, axis=2) / size[:, None]
    growth = np.maximum(size[:, None] / found_size[None, :], found_size[None, :] / size[:, None])
    allowed = (shared >= MIN_OVERLAP) | ((steps <= MAX_STEP) & (growth <= MAX_GROWTH))
    gain = np.where(allowed, 1.0 + shared + np.clip(1 - steps, 0, 1), 0.0)
    rows, columns = assignment(-gain)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if allowed[i, j]]
