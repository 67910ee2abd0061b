"""Where the faces are in one picture: a small protocol, and YuNet, which ships inside the package.

YuNet: Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023. Its weights come from libfacedetection
(features/weights/LICENSES.txt); why this one: docs/decisions/0009-faces.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ffdv.augment.steps import unknown
from ffdv.errors import RecipeError, WeightsError
from ffdv.features.networks import open_packaged, open_session
from ffdv.records import FloatArray, PixelArray

STRIDES = (8, 16, 32)  # picture pixels per cell of the three output grids
MIN_SCORE = 0.3  # below this the network's boxes are mostly noise; callers gate higher
MAX_OVERLAP = 0.3  # intersection over union above which the weaker of two boxes is dropped, as in libfacedetection
MAX_FACES = 100
LARGEST_SIDE = 4096  # pixels: a picture that the caller forgot to shrink must not take the machine's memory

# sha256 of the files that we know how to read (make_face_detector's `model`): OpenCV's model zoo, and the one in this package.
KNOWN_MODELS = {
    "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4": "face_detection_yunet_2023mar.onnx",
    "d0405ddda91a261af340e087219dfbac26cea1575aab2ccb7f2ed41e20708a82": "face_detection_yunet_2023mar_int8.onnx",
    "b57136bd710a3790b6806168936641626cead4041c6aa638dd1bf767b3f643a7": "yunet.onnx",
}


@dataclass(frozen=True)
class Detections:
    """The faces of one picture, best first: boxes (n, 4) float32 x0 y0 x1 y1; scores (n,) in [0, 1];
    landmarks (n, 5, 2): right eye, left eye, nose, right and left mouth corner of the person, NaN where unknown.
    """

    boxes: FloatArray
    scores: FloatArray
    landmarks: FloatArray

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        n = len(self.scores)
        if self.boxes.shape != (n, 4) or self.landmarks.shape != (n, 5, 2):
            raise ValueError(f"detections: {n} scores, boxes {self.boxes.shape}, landmarks {self.landmarks.shape}")

    def __len__(self) -> int:
        return len(self.scores)

    def moved(self, scale: float, left: float = 0.0, top: float = 0.0) -> Detections:
        """The same faces in a picture of which this one was a part, at (left, top), and `scale` times as small."""
        shift = np.array([left, top], np.float32)
        boxes = self.boxes * np.float32(scale) + np.concatenate([shift, shift])
        return Detections(boxes, self.scores, self.landmarks * np.float32(scale) + shift)

    def chosen(self, index: npt.NDArray[Any]) -> Detections:
        """Those of an index or mask, in its order."""
        return Detections(self.boxes[index], self.scores[index], self.landmarks[index])


def joined(parts: list[Detections]) -> Detections:
    """Several detections in one, best first; of faces that were found twice the better one."""
    if not parts:
        return NO_FACES
    boxes = np.concatenate([part.boxes for part in parts])
    scores = np.concatenate([part.scores for part in parts])
    landmarks = np.concatenate([part.landmarks for part in parts])
    return Detections(boxes, scores, landmarks).chosen(suppressed(boxes, scores))


NO_FACES = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))


class FaceDetector(Protocol):
    """Anything that finds faces in one picture; a new detector needs this one method."""

    def detect(self, pixels: PixelArray) -> Detections:
        """Faces in an upright RGB picture uint8 (height, width, 3), boxes in its pixels, best first."""
        ...


class YuNet:
    """The detector inside the package, or OpenCV's file of the same network; faces of about 10 to 300 pixels."""

    def __init__(self, model: Path | None = None) -> None:
        self._session = open_packaged("yunet.onnx") if model is None else open_session(_read_known(model))
        entry = self._session.get_inputs()[0]
        self._input, shape = entry.name, entry.shape
        # OpenCV's file declares one size; ours takes any multiple of 32.
        self._fixed = (int(shape[2]), int(shape[3])) if isinstance(shape[2], int) else None
        self._outputs = [f"{head}_{stride}" for stride in STRIDES for head in ("cls", "obj", "bbox", "kps")]

    def detect(self, pixels: PixelArray) -> Detections:
        """Faces in an upright RGB picture uint8 (height, width, 3), boxes in its pixels, best first."""
        height, width = pixels.shape[:2]
        if max(height, width) > LARGEST_SIDE:
            raise ValueError(f"picture is {width}x{height}; shrink it to {LARGEST_SIDE} pixels before detection")
        if self._fixed is None:
            return self._detect_padded(pixels, -(-height // 32) * 32, -(-width // 32) * 32)
        scale = max(height / self._fixed[0], width / self._fixed[1], 1.0)
        if scale > 1.0:
            pixels = shrunk(pixels, scale)
        return self._detect_padded(pixels, *self._fixed).moved(scale)

    def _detect_padded(self, pixels: PixelArray, height: int, width: int) -> Detections:
        picture = np.zeros((1, 3, height, width), np.float32)
        for plane, channel in zip(picture[0], (2, 1, 0), strict=True):  # RGB -> BGR
            plane[: pixels.shape[0], : pixels.shape[1]] = pixels[..., channel]
        values = self._session.run(self._outputs, {self._input: picture})
        return decode_grids(dict(zip(self._outputs, values, strict=True)), width)


def make_face_detector(name: str = "yunet", *, model: Path | None = None) -> FaceDetector:
    """A detector by name; `model` is a file of its network to use in place of the packaged one.

    Raises RecipeError for an unknown name (with the nearest ones) and WeightsError for a file that is not known.
    """
    if name not in FACE_DETECTORS:
        raise RecipeError(unknown(name, FACE_DETECTORS, what="face detector"))
    return FACE_DETECTORS[name](model)


# name → what makes it of a network's file (None: the packaged one); one of your own goes in here (docs/extending.md)
FACE_DETECTORS: dict[str, Callable[[Path | None], FaceDetector]] = {"yunet": YuNet}


def decode_grids(grids: dict[str, FloatArray], width: int) -> Detections:
    """YuNet's twelve output grids to faces, best first, overlapping ones suppressed.

    grids: cls_8, obj_8 (1, cells, 1) in [0, 1]; bbox_8 (1, cells, 4) centre offset in cells and log size; kps_8
    (1, cells, 10) offsets in cells; the same for strides 16 and 32; cells row by row of an input `width` pixels wide.
    A face's score is the geometric mean of its two probabilities.
    """
    boxes, scores, landmarks = [], [], []
    for stride in STRIDES:
        belief = np.sqrt(
            np.clip(grids[f"cls_{stride}"][0, :, 0], 0, 1) * np.clip(grids[f"obj_{stride}"][0, :, 0], 0, 1)
        )
        cells = np.flatnonzero(belief >= MIN_SCORE)
        rows, columns = np.divmod(cells, width // stride)
        corners = np.stack([columns, rows], axis=1).astype(np.float32)
        box = grids[f"bbox_{stride}"][0, cells]
        centre, size = (corners + box[:, :2]) * stride, np.exp(np.clip(box[:, 2:], None, 6)) * stride
        boxes.append(np.concatenate([centre - size / 2, centre + size / 2], axis=1))
        landmarks.append((grids[f"kps_{stride}"][0, cells].reshape(-1, 5, 2) + corners[:, None]) * stride)
        scores.append(belief[cells])
    all_boxes, all_scores = np.concatenate(boxes), np.concatenate(scores)
    kept = suppressed(all_boxes, all_scores)
    return Detections(all_boxes, all_scores, np.concatenate(landmarks)).chosen(kept)


def overlap(one: FloatArray, many: FloatArray) -> FloatArray:
    """Intersection over union of each box of `one` (n, 4) with each of `many` (m, 4): (n, m) in [0, 1].

    >>> overlap(np.float32([[0, 0, 2, 2]]), np.float32([[0, 0, 2, 1], [5, 5, 6, 6]])).tolist()
    [[0.5, 0.0]]
    """
    shared = _intersection(one, many)
    union = area(one)[:, None] + area(many)[None, :] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def containment(one: FloatArray, many: FloatArray) -> FloatArray:
    """Intersection over the smaller of two boxes, each of `one` (n, 4) with each of `many` (m, 4): (n, m) in [0, 1].

    >>> containment(np.float32([[0, 0, 9, 9]]), np.float32([[1, 0, 3, 2], [8, 0, 10, 2]])).tolist()
    [[1.0, 0.5]]
    """
    smaller = np.minimum(area(one)[:, None], area(many)[None, :])
    return np.asarray(_intersection(one, many) / np.maximum(smaller, 1e-9), np.float32)


def _intersection(one: FloatArray, many: FloatArray) -> FloatArray:
    inner = np.minimum(one[:, None, 2:], many[None, :, 2:]) - np.maximum(one[:, None, :2], many[None, :, :2])
    square: FloatArray = np.maximum(inner, np.float32(0)).prod(axis=2)
    return square


def area(boxes: FloatArray) -> FloatArray:
    """Square pixels of boxes (n, 4)."""
    square: FloatArray = np.maximum(boxes[:, 2:] - boxes[:, :2], np.float32(0)).prod(axis=1)
    return square


def suppressed(boxes: FloatArray, scores: FloatArray, max_overlap: float = MAX_OVERLAP) -> npt.NDArray[np.intp]:
    """Indices of the boxes to keep, best score first: none overlaps a better one by more than max_overlap."""
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order) and len(kept) < MAX_FACES:
        best, order = int(order[0]), order[1:]
        kept.append(best)
        order = order[overlap(boxes[best : best + 1], boxes[order])[0] <= max_overlap]
    return np.array(kept, np.intp)


def shrunk(pixels: PixelArray, scale: float) -> PixelArray:
    """A picture `scale` times as small, every pixel counted (box average, then bilinear)."""
    from PIL import Image

    height, width = pixels.shape[:2]
    size = (max(1, round(width / scale)), max(1, round(height / scale)))
    small: PixelArray = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, reducing_gap=1.5))
    return small


def _read_known(model: Path) -> bytes:
    try:
        content = model.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{model}: the face model cannot be read ({error.strerror}); give a file, or leave the option out"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest not in KNOWN_MODELS:
        raise WeightsError(
            f"{model}: not a face model that we know (sha256 {digest[:12]}…); give {', '.join(KNOWN_MODELS.values())}, or leave the option out"
        )
    return content
