"""468 points on a face: lips, eyes and outline, fine enough to see a syllable.

MediaPipe's face mesh (Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs", 2019) with a
second, closer look at the lips (Grishchenko et al., "Attention Mesh", 2020), which ships inside the package
(features/weights/LICENSES.txt). The closer look matters: lips and sound are told apart from strangers' with AUC 0.91 instead
of 0.84 (docs/log.md, 2026-11-25). Its lids do not follow a blink
(in 239 clips no eye fell below 0.85 of its usual height), so blinks are seen in the eyes' pixels (features/cues_picture.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ffdv.features.crops import Square, cut_square, face_square, roll
from ffdv.features.networks import open_packaged
from ffdv.records import FaceTrack, FloatArray, Frame, PixelArray

MESH_SIDE = 192  # pixels of the network's input
MESH_MARGIN = 1.5  # side of its input / longer side of the face's box
MIN_PRESENCE = 0.5  # below this the network itself says that there is no face
MAX_GAP_SECONDS = 1.0  # a track that was not seen for longer is not interpolated

# Numbers of points in the mesh. Right and left are the person's. Eyes: outer corner, two above, inner corner, two below.
RIGHT_EYE = (33, 160, 158, 133, 153, 144)
LEFT_EYE = (263, 387, 385, 362, 380, 373)
INNER_LIPS_UPPER, INNER_LIPS_LOWER = (81, 13, 311), (178, 14, 402)
MOUTH_CORNERS = (61, 291)
OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
# The order of the network's output `lips`: rings from the outside and the inside, then the two between.
LIPS = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409),
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415),
    *(76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408),
    *(62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407),
)
# What a mouth track keeps of a mesh: the lips' two rings, jaw and cheeks, and points that move with the skull alone.
JAW_AND_CHEEKS = (152, 148, 377, 176, 400, 149, 378, 150, 379, 18, 200, 199, 164, 2, 98, 327, 205, 425, 207, 427)
SKULL = (
    33,
    133,
    362,
    263,
    168,
    6,
    197,
    195,
    5,
    4,
    1,
    10,
    151,
    9,
    127,
    356,
    234,
    454,
    93,
    323,
    54,
    284,
    21,
    251,
    48,
    278,
)
MOUTH_POINTS = (*OUTER_LIPS, *INNER_LIPS, *JAW_AND_CHEEKS, *SKULL)
NOSE_TIP = 1
FOREHEAD, CHIN = 10, 152
FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)


@dataclass(frozen=True)
class Mesh:
    """One face's points (468, 3) float32: x, y in picture pixels, z in the same unit (smaller = nearer); presence in [0, 1]."""

    points: FloatArray
    presence: float

    @cached_property
    def eye_distance(self) -> float:
        """Between the outer corners of the eyes, in pixels, depth included: about 90 mm whatever the pose."""
        return max(float(np.linalg.norm(self.points[RIGHT_EYE[0]] - self.points[LEFT_EYE[0]])), 1e-3)

    def mouth_points(self) -> FloatArray:
        """MOUTH_POINTS (86, 3) float32, about their own middle, in eye distances."""
        points = self.points[list(MOUTH_POINTS)]
        centred: FloatArray = ((points - points.mean(axis=0)) / self.eye_distance).astype(np.float32)
        return centred

    @cached_property
    def lean(self) -> float:
        """How far the face leans clockwise, in radians."""
        return roll(self.five_points())

    @cached_property
    def mouth_place(self) -> tuple[float, float, float, float]:
        """Middle of the mouth's corners (they move little as it opens) in picture pixels, eye distance, lean."""
        x, y = self.points[list(MOUTH_CORNERS), :2].mean(axis=0)
        return float(x), float(y), self.eye_distance, self.lean

    def five_points(self) -> FloatArray:
        """The detector's landmarks (5, 2): right eye, left eye, nose, right and left mouth corner."""
        eyes = [self.points[list(eye), :2].mean(axis=0) for eye in (RIGHT_EYE, LEFT_EYE)]
        others = self.points[[NOSE_TIP, *MOUTH_CORNERS], :2]
        return np.concatenate([np.stack(eyes), others]).astype(np.float32)

    def eye_squares(self) -> tuple[Square, Square]:
        """Upright squares about the right and the left eye, 0.42 of the eye distance wide: the lids, without the brows."""
        turn, side = self.lean, 0.42 * self.eye_distance
        right, left = (self.points[list(eye), :2].mean(axis=0) for eye in (RIGHT_EYE, LEFT_EYE))
        return (
            Square(float(right[0]), float(right[1]), side, turn),
            Square(float(left[0]), float(left[1]), side, turn),
        )

    def mouth_opening(self) -> float:
        """Gap between the inner lips / eye distance: 0 closed, about 0.3 wide open."""
        gaps = self.points[list(INNER_LIPS_UPPER)] - self.points[list(INNER_LIPS_LOWER)]
        return float(np.linalg.norm(gaps, axis=1).mean()) / self.eye_distance


class FaceMesh:
    """Finds the mesh of faces whose place is known."""

    def __init__(self) -> None:
        self._session = open_packaged("face_mesh.onnx")

    def find(self, pixels: PixelArray, squares: Sequence[Square]) -> list[Mesh]:
        """One mesh per square (face_square(..., MESH_MARGIN)) of an upright RGB picture uint8 (height, width, 3)."""
        meshes = []
        for square in squares:
            planes = np.empty((1, 3, MESH_SIDE, MESH_SIDE), np.float32)
            planes[0] = cut_square(pixels, square, MESH_SIDE).transpose(2, 0, 1)
            planes /= 255.0
            points, presence, lips = self._session.run(["landmarks", "presence", "lips"], {"input": planes})
            points[0, LIPS, :2] = lips[0]
            flat = square.to_picture(points[0, :, :2], MESH_SIDE)
            depth = points[0, :, 2:] * (square.side / MESH_SIDE)
            meshes.append(Mesh(np.concatenate([flat, depth], axis=1).astype(np.float32), float(presence[0])))
        return meshes


def follow_mesh(frames: Iterable[Frame], track: FaceTrack, face_mesh: FaceMesh) -> Iterator[tuple[Frame, Mesh | None]]:
    """Each frame with the mesh of one face, whose boxes at other moments are known; None where it is not in sight.

    The track's boxes are interpolated in time, so that a face found 8 times a second is followed at 25. A track of more than
    a few minutes is thinned to sightings too far apart for that: look for faces in parts of a minute then.
    """
    for frame in frames:
        yield frame, mesh_at(frame, track, face_mesh)


def mesh_at(frame: Frame, track: FaceTrack, face_mesh: FaceMesh) -> Mesh | None:
    """The mesh of a tracked face in one frame; None where it is not in sight."""
    square = square_at(frame.seconds, track)
    if square is None:
        return None
    mesh = face_mesh.find(frame.pixels, [square])[0]
    return mesh if mesh.presence >= MIN_PRESENCE else None


def square_at(seconds: float, track: FaceTrack) -> Square | None:
    """Where the mesh is to be looked for at a moment, between the sightings before and after; None far from both."""
    known = track.seconds
    after = int(np.searchsorted(known, seconds))
    near = [i for i in (after - 1, after) if 0 <= i < len(known)]
    if not near or min(abs(known[i] - seconds) for i in near) > MAX_GAP_SECONDS / 2:
        return None
    first, last = (face_square(track.boxes[i], track.landmarks[i], MESH_MARGIN) for i in (near[0], near[-1]))
    passed = known[near[-1]] - known[near[0]]
    share = (seconds - known[near[0]]) / passed if passed > 0 else 0.0
    turned = math.remainder(last.turn - first.turn, 2 * math.pi)
    return Square(
        first.x + share * (last.x - first.x),
        first.y + share * (last.y - first.y),
        first.side + share * (last.side - first.side),
        first.turn + share * turned,
    )
