"""Frames with drawn faces at known places, for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ffdv.data.sources.drawn_face import draw_face
from ffdv.features.face_detectors import Detections
from ffdv.records import Frame, PixelArray


def scene(width: int, height: int, faces: Sequence[tuple[int, int, int]], *, mouth: float = 0.0) -> PixelArray:
    """A plain picture (grey, faint texture) with drawn heads: each (left, top, size)."""
    picture = np.full((height, width, 3), 110, np.uint8)
    picture[::7, ::5] = 118
    for left, top, size in faces:
        head = draw_face(size, mouth=mouth)
        rows, columns = slice(max(0, top), min(height, top + size)), slice(max(0, left), min(width, left + size))
        picture[rows, columns] = head[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return picture


def frames_of(pictures: Sequence[PixelArray], *, fps: float = 8.0) -> Iterator[Frame]:
    """Frames with an array each, as decoded ones have."""
    for k, picture in enumerate(pictures):
        yield Frame(picture.copy(), k / fps)


class Scripted:
    """A detector that returns what it is told, picture by picture; boxes (x0, y0, x1, y1) with one score each."""

    def __init__(self, answers: Sequence[Sequence[tuple[float, float, float, float]]], score: float = 0.9) -> None:
        self.answers = list(answers)
        self.score = score
        self.calls = 0

    def detect(self, pixels: PixelArray) -> Detections:  # noqa: ARG002
        boxes = np.array(self.answers[min(self.calls, len(self.answers) - 1)], np.float32).reshape(-1, 4)
        self.calls += 1
        return Detections(
            boxes, np.full(len(boxes), self.score, np.float32), np.full((len(boxes), 5, 2), np.nan, np.float32)
        )
