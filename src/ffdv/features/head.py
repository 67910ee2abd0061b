"""How a head and chest move, how much changes in the face and around it, and the colours of its skin, 25 times a second.

    frames, meshes ─▶ how far face and chest have come, change since the frame before in face and surroundings, colours ─▶ HeadTrack

A talking head that was drawn from one portrait glides while what lies around it stands still; a filmed one moves unevenly,
with the camera, the neck and the breath, and its surroundings change with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ffdv.features.filters import longest_run
from ffdv.features.landmarks import FACE_OVAL, Mesh
from ffdv.features.sway import NUM_REGIONS, displacements, restlessness, shrunk
from ffdv.features.unison import NUM_PARTS, part_colours, unison_numbers
from ffdv.records import FloatArray, Frame, PixelArray

VIEW = 1.9  # side of the square that is compared / longer side of the face's outline
VIEW_SIDE = (
    128  # it is shrunk by a whole number to at most twice so many pixels: sensor noise of large pictures averages out
)
AROUND = 1.35  # the surroundings begin at so many times the face's ellipse


@dataclass(frozen=True)
class HeadTrack:
    """One head over n frames: seconds (n,); in_sight (n,) bool; moves (n, 2, 2) float32, how far face and chest have come since the
    frame before (sway.displacements); face_change and around_change (n,) float32, mean change since the frame before in grey
    levels; colours (n, 5, 3) float32 of parts of the skin and the edges (unison.part_colours). NaN where unknown.
    """

    seconds: npt.NDArray[np.float64]
    in_sight: npt.NDArray[np.bool_]
    moves: FloatArray
    face_change: FloatArray
    around_change: FloatArray
    colours: FloatArray

    def __post_init__(self) -> None:
        """Refuse arrays of unequal length."""
        parts = (self.seconds, self.in_sight, self.moves, self.face_change, self.around_change, self.colours)
        lengths = {len(part) for part in parts}
        if len(lengths) != 1:
            raise ValueError(f"head track: arrays differ in length: {sorted(lengths)}")


class HeadWatch:
    """Gathers a HeadTrack while frames pass by on their way to something else; 3 kB a second of clip.

    watch = HeadWatch()
    for frame, mesh in watch.watched(follow_mesh(frames, track, face_mesh)): ...
    head = watch.track()
    """

    def __init__(self) -> None:
        self._seconds: list[float] = []
        self._in_sight: list[bool] = []
        self._moves: list[FloatArray] = []
        self._changes: list[tuple[float, float]] = []
        self._colours: list[FloatArray] = []
        self._before: Frame | None = None
        self._outline_before: FloatArray | None = None

    def watched(self, pairs: Iterable[tuple[Frame, Mesh | None]]) -> Iterator[tuple[Frame, Mesh | None]]:
        """The same pairs of frame and mesh (None where the face is not in sight), each looked at as it passes."""
        for frame, mesh in pairs:
            self._look(frame, mesh)
            yield frame, mesh

    def track(self) -> HeadTrack:
        """What was gathered."""
        changes = np.array(self._changes, np.float32).reshape(-1, 2)
        return HeadTrack(
            np.array(self._seconds, np.float64),
            np.array(self._in_sight, np.bool_),
            np.array(self._moves, np.float32).reshape(-1, NUM_REGIONS, 2),
            changes[:, 0].copy(),
            changes[:, 1].copy(),
            np.array(self._colours, np.float32).reshape(-1, NUM_PARTS + 1, 3),
        )

    def _look(self, frame: Frame, mesh: Mesh | None) -> None:
        before, self._before = self._before, frame
        outline_before, self._outline_before = self._outline_before, None
        colours = np.full((NUM_PARTS + 1, 3), np.nan, np.float32)
        moves = np.full((NUM_REGIONS, 2), np.nan, np.float32)
        changes = (math.nan, math.nan)
        if mesh is not None:
            colours = part_colours(frame.pixels, mesh.points, mesh.eye_distance)
            self._outline_before = outline = mesh.points[list(FACE_OVAL), :2]
            if before is not None and before.pixels.shape == frame.pixels.shape:
                changes = changes_about(before.pixels, frame.pixels, outline)
                if outline_before is not None:
                    moves = displacements(before.pixels, frame.pixels, outline, outline_before)
        self._seconds.append(frame.seconds)
        self._in_sight.append(mesh is not None)
        self._moves.append(moves)
        self._changes.append(changes)
        self._colours.append(colours)


def changes_about(before: PixelArray, after: PixelArray, outline: FloatArray) -> tuple[float, float]:
    """Mean absolute change of the green channel in a face and around it, in grey levels; NaN where nothing is in the picture.

    before, after: uint8 (height, width, 3) of one size; outline (m, 2): the face's, in pixels.
    """
    low, high = outline.min(axis=0).astype(np.float64), outline.max(axis=0).astype(np.float64)
    centre, radius = (low + high) / 2, np.maximum((high - low) / 2, 1.0)
    half = float(radius.max()) * VIEW
    left, top = (max(0, math.floor(c - half)) for c in centre)
    right, bottom = math.ceil(centre[0] + half), math.ceil(centre[1] + half)
    step = max(1, round(2 * half / VIEW_SIDE / 1.5))
    view = (slice(top, max(0, bottom)), slice(left, max(0, right)), 1)
    difference = after[view].astype(np.int16)
    difference -= before[view]
    change = np.abs(shrunk(difference, step))
    if not change.size:
        return math.nan, math.nan
    rows, columns = (np.arange(n) * step + (step - 1) / 2 for n in change.shape)
    far = ((columns[None] + left - centre[0]) / radius[0]) ** 2 + ((rows[:, None] + top - centre[1]) / radius[1]) ** 2
    parts = (change[far <= 1.0], change[far >= AROUND**2])
    face, around = (float(part.mean()) if part.size else math.nan for part in parts)
    return face, around


def head_numbers(head: HeadTrack, *, fps: float = 25.0) -> dict[str, float]:
    """Numbers of a head over its longest stretch in sight; empty below a second.

    face_restlessness, chest_restlessness: sway.restlessness, of the whole track, left out where unknown; stillness: log of the change
    around the face against that in it; and the numbers of unison.unison_numbers.
    """
    first, stop = longest_run(head.in_sight)
    if stop - first < fps:
        return {}
    restless = [restlessness(head.moves[:, region], fps=fps) for region in range(NUM_REGIONS)]
    named = zip(("face_restlessness", "chest_restlessness"), restless, strict=True)
    numbers = {name: value for name, value in named if math.isfinite(value)}
    face, around = (change[first + 1 : stop] for change in (head.face_change, head.around_change))
    known = np.isfinite(face) & np.isfinite(around)
    if known.sum() >= fps / 2:
        numbers["stillness"] = math.log(
            (float(np.median(around[known])) + 0.05) / (float(np.median(face[known])) + 0.05)
        )
    return numbers | unison_numbers(head.colours[first:stop], fps=fps)
