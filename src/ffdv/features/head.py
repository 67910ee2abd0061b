"""How a head moves, how much changes in its face and around it, and the colours of its skin, 25 times a second.

    frames, meshes ─▶ 18 points that speech hardly moves, change since the frame before in face and surroundings, colours ─▶ HeadTrack

A talking head that was drawn from one portrait moves smoothly while what lies around it stands still; a filmed one trembles
with the camera, the neck and the compression, and its surroundings change with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ffdv.features.filters import gaussian_filter1d
from ffdv.features.landmarks import FACE_OVAL, Mesh
from ffdv.features.unison import NUM_PARTS, part_colours, unison_numbers
from ffdv.records import FloatArray, Frame, PixelArray

# Bridge and tip of the nose, inner and outer corners of the eyes, forehead, temples and cheeks: bone, not lips.
STEADY_POINTS = (168, 6, 197, 195, 5, 33, 133, 362, 263, 10, 151, 9, 8, 127, 356, 234, 454, 4)
VIEW = 1.9  # side of the square that is compared / longer side of the face's outline
VIEW_SIDE = (
    128  # it is shrunk by a whole number to at most twice so many pixels: sensor noise of large pictures averages out
)
AROUND = 1.35  # the surroundings begin at so many times the face's ellipse


@dataclass(frozen=True)
class HeadTrack:
    """One head over n frames: seconds (n,); points (n, 18, 3) float32, STEADY_POINTS in picture pixels, NaN where not in sight;
    face_change and around_change (n,) float32, mean change since the frame before in grey levels, NaN where unknown; colours
    (n, 5, 3) float32 of parts of the skin and the edges (unison.part_colours), NaN where not in sight.
    """

    seconds: npt.NDArray[np.float64]
    points: FloatArray
    face_change: FloatArray
    around_change: FloatArray
    colours: FloatArray

    def __post_init__(self) -> None:
        """Refuse arrays of unequal length."""
        parts = (self.seconds, self.points, self.face_change, self.around_change, self.colours)
        lengths = {len(part) for part in parts}
        if len(lengths) != 1:
            raise ValueError(f"head track: arrays differ in length: {sorted(lengths)}")

    @property
    def in_sight(self) -> npt.NDArray[np.bool_]:
        """Frames (n,) that show the head."""
        return np.isfinite(self.points[:, 0, 0])


class HeadWatch:
    """Gathers a HeadTrack while frames pass by on their way to something else; 7 kB a second of clip.

    watch = HeadWatch()
    for frame, mesh in watch.watched(follow_mesh(frames, track, face_mesh)): ...
    head = watch.track()
    """

    def __init__(self) -> None:
        self._seconds: list[float] = []
        self._points: list[FloatArray] = []
        self._changes: list[tuple[float, float]] = []
        self._colours: list[FloatArray] = []
        self._before: Frame | None = None

    def watched(self, pairs: Iterable[tuple[Frame, Mesh | None]]) -> Iterator[tuple[Frame, Mesh | None]]:
        """The same pairs of frame and mesh (None where the face is not in sight), each looked at as it passes."""
        for frame, mesh in pairs:
            self._look(frame, mesh)
            yield frame, mesh

    def track(self) -> HeadTrack:
        """What was gathered."""
        changes = np.array(self._changes, np.float32).reshape(-1, 2)
        points = np.stack(self._points) if self._points else np.zeros((0, len(STEADY_POINTS), 3), np.float32)
        colours = np.stack(self._colours) if self._colours else np.zeros((0, NUM_PARTS + 1, 3), np.float32)
        seconds = np.array(self._seconds, np.float64)
        return HeadTrack(seconds, points, changes[:, 0].copy(), changes[:, 1].copy(), colours)

    def _look(self, frame: Frame, mesh: Mesh | None) -> None:
        before, self._before = self._before, frame
        self._seconds.append(frame.seconds)
        if mesh is None:
            self._points.append(np.full((len(STEADY_POINTS), 3), np.nan, np.float32))
            self._changes.append((math.nan, math.nan))
            self._colours.append(np.full((NUM_PARTS + 1, 3), np.nan, np.float32))
            return
        self._colours.append(part_colours(frame.pixels, mesh.points, mesh.eye_distance))
        self._points.append(mesh.points[list(STEADY_POINTS)])
        same_size = before is not None and before.pixels.shape == frame.pixels.shape
        outline = mesh.points[list(FACE_OVAL), :2]
        self._changes.append(
            changes_about(before.pixels, frame.pixels, outline) if before is not None and same_size else (math.nan,) * 2
        )


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
    change = np.abs(_shrunk_difference(before[view], after[view], step))
    if not change.size:
        return math.nan, math.nan
    rows, columns = (np.arange(n) * step + (step - 1) / 2 for n in change.shape)
    far = ((columns[None] + left - centre[0]) / radius[0]) ** 2 + ((rows[:, None] + top - centre[1]) / radius[1]) ** 2
    parts = (change[far <= 1.0], change[far >= AROUND**2])
    face, around = (float(part.mean()) if part.size else math.nan for part in parts)
    return face, around


def head_numbers(head: HeadTrack, *, fps: float = 25.0) -> dict[str, float]:
    """Numbers of a head's movement over its longest stretch in sight; empty below a second. Higher speaks for one portrait.

    smoothness: correlation of the head's speed up and down with itself two frames later, in [-1, 1]; trembling: log share of
    its movement above 6 Hz; nod_coupling: correlation of nodding with going up and down; stillness: log of the change
    around the face against that in it; and the numbers of unison.unison_numbers.
    """
    run = _longest_run(head.in_sight)
    if run[1] - run[0] < fps:
        return {}
    points = head.points[run[0] : run[1]].astype(np.float64)
    heights, nods = _height_and_nod(points)
    speed = np.diff(heights)
    numbers = {
        "smoothness": _correlation(speed[2:], speed[:-2]),
        "trembling": _share_above(heights, 6.0, fps),
        "nod_coupling": _correlation(_smooth(np.diff(nods)), _smooth(speed)),
    }
    face, around = (change[run[0] + 1 : run[1]] for change in (head.face_change, head.around_change))
    known = np.isfinite(face) & np.isfinite(around)
    if known.sum() >= fps / 2:
        numbers["stillness"] = math.log(
            (float(np.median(around[known])) + 0.05) / (float(np.median(face[known])) + 0.05)
        )
    return numbers | unison_numbers(head.colours[run[0] : run[1]], fps=fps)


def _shrunk_difference(before: PixelArray, after: PixelArray, step: int) -> FloatArray:
    """Means of after - before over step × step pixels (step up to 128); what does not fill one is left out."""
    height, width = before.shape[0] // step, before.shape[1] // step
    whole = after[: height * step, : width * step].astype(np.int16)
    whole -= before[: height * step, : width * step]
    # Sums of every step-th row, then column: five times as fast as a mean over axes of length step.
    rows = whole[::step].copy()
    for k in range(1, step):
        rows += whole[k::step]
    sums = rows[:, ::step].astype(np.int32)
    for k in range(1, step):
        sums += rows[:, k::step]
    means: FloatArray = sums.astype(np.float32) / np.float32(step**2)
    return means


def _longest_run(seen: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Longest run of True as [start, stop); (0, 0) without any."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], seen, [False]]).astype(np.int8)))
    if not len(edges):
        return 0, 0
    starts, stops = edges[::2], edges[1::2]
    longest = int(np.argmax(stops - starts))
    return int(starts[longest]), int(stops[longest])


def _height_and_nod(points: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Height of the head's middle in eye distances, down is positive, and its nod in radians, both (n,).

    The turn against the mean shape is the least-squares rotation of the 18 points (Kabsch 1976).
    """
    eyes = [STEADY_POINTS.index(33), STEADY_POINTS.index(263)]
    eye_distance = float(np.median(np.linalg.norm(points[:, eyes[0]] - points[:, eyes[1]], axis=1)))
    shapes = points / max(eye_distance, 1e-3)
    middles = shapes.mean(axis=1)
    centred = shapes - middles[:, None]
    model = centred[len(centred) // 2]
    for _ in range(2):
        turns, sizes = _rotations(model, centred)
        model = (np.einsum("npk,njk->npj", centred, turns) / sizes[:, None, None]).mean(axis=0)
        model = model - model.mean(axis=0)
    return middles[:, 1], -np.arcsin(np.clip(turns[:, 1, 2], -1.0, 1.0))


def _rotations(
    model: npt.NDArray[np.float64], shapes: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Rotations (n, 3, 3) and sizes (n,) that bring the model (p, 3) nearest to each shape (n, p, 3); row vectors."""
    left, values, right = np.linalg.svd(np.einsum("pk,npj->nkj", model, shapes))
    signs = np.ones_like(values)
    signs[:, 2] = np.sign(np.linalg.det(left @ right))
    turns = np.einsum("nik,nk,nkj->nij", left, signs, right)
    return turns, (values * signs).sum(axis=1) / max(float((model**2).sum()), 1e-9)


def _correlation(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Pearson's, 0 where one of them does not vary."""
    a, b = one - one.mean(), other - other.mean()
    spread = math.sqrt(float((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / spread if spread > 1e-12 else 0.0


def _share_above(curve: npt.NDArray[np.float64], hz: float, fps: float) -> float:
    """Log share of the power of a curve above `hz`, of that above 0.3 Hz, its trend taken off."""
    line = np.linspace(curve[0], curve[-1], len(curve))
    power = np.abs(np.fft.rfft((curve - line) * np.hanning(len(curve)))) ** 2
    frequencies = np.fft.rfftfreq(len(curve), 1 / fps)
    total = float(power[frequencies > 0.3].sum()) + 1e-12
    return math.log(float(power[frequencies >= hz].sum()) / total + 1e-4)


def _smooth(curve: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return gaussian_filter1d(curve, 1.0)
