"""How smoothly a head and the chest below it move: what is filmed never goes on quite as it went before.

    frame, frame after, outline of the face ─▶ how far face and chest have come, by least squares on grey levels (Lucas and Kanade 1981)
      ─▶ without what a change of the frame rate did ─▶ how much the steps change from one to the next, against the steps

The neck, the breath, the hand that holds the camera and the camera's own shutter make neighbouring steps differ; a drawn person glides. A change
of the frame rate makes them differ too, whoever filmed: every fifth step of 30 pictures a second shown as 25 is twice as long. It is found and
taken off, for many genuine clips were changed so and few forged ones.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ffdv.features.filters import longest_run
from ffdv.records import FloatArray, PixelArray

NUM_REGIONS = 2  # face, chest
CELLS = 32  # across a face: pictures are shrunk by a whole number to about so many
FACE_PART = 0.8  # of the outline's ellipse: hair and background stay out
CHEST_WIDTH, CHEST_TOP, CHEST_FLOOR = 2.0, 1.15, 2.6  # in half widths and half heights of the face, from its middle
MARGIN, COARSE_MARGIN = 3, 2  # cells at the edges that a step may reach into
ROUNDS, COARSE_ROUNDS = 3, 2
RIDGE = 0.05  # grey levels squared a cell: a region without texture stays where it is
LEAST_CELLS = 12
MOST_IN_16_BITS = 128  # so many levels of 255 add up to less than 2 ** 15
CLOSE_ENOUGH = 0.01  # cells

LEAST_SECONDS = 1.0
LEAST_MOVE = 5e-4  # half widths a step: a still picture neither glides nor trembles
# Pictures a second that clips are often changed from, so many beginnings each is tried with, and what makes one believed.
FILMED_RATES = (30.0, 30 / 1.001, 24.0, 24 / 1.001, 60.0, 60 / 1.001, 20.0, 15.0, 12.5)
BEGINNINGS = 10
LEAST_T, LEAST_SLOPE = 5.0, 0.4
SLOWEST = 19.0  # pictures a second: of fewer the steps are too long to be compared with what is known
MOST_LOG = 1.5  # a standstill must not decide
LEAST_CHANGE = 1e-6  # half widths: drawn motion may repeat its step to the last digit


def displacements(before: PixelArray, after: PixelArray, outline: FloatArray, outline_before: FloatArray) -> FloatArray:
    """How far face and chest have come from one picture to the next: (2, 2) right and down, in half widths of the face.

    before, after: uint8 (height, width, 3) of one size; outlines (m, 2): of the face in `after` and in `before`, in pixels. NaN where a
    region lies outside of the picture or was lost.
    """
    low, high = outline.min(axis=0).astype(np.float64), outline.max(axis=0).astype(np.float64)
    centre, radius = (low + high) / 2, np.maximum((high - low) / 2, 1.0)
    step = max(1, round(2 * radius[0] / CELLS))
    greens = before[..., 1], after[..., 1]
    reach = FACE_PART * radius
    guess = (outline.mean(axis=0) - outline_before.mean(axis=0)).astype(np.float64)
    face = _displacement(
        *greens, np.stack([centre - reach, centre + reach]), step, ellipse=(centre, reach), guess=guess
    )
    low = centre + np.array([-CHEST_WIDTH, CHEST_TOP]) * radius
    chest = _displacement(*greens, np.stack([low, centre + np.array([CHEST_WIDTH, CHEST_FLOOR]) * radius]), step)
    moves: FloatArray = (np.stack([face, chest]) / radius[0]).astype(np.float32)
    return moves


def restlessness(moves: FloatArray, *, fps: float = 25.0) -> float:
    """How much a region's steps change from one to the next: log of their changes' spread against their own; low speaks for a drawn person.

    moves (n, 2): its steps in n pictures on end, as `displacements` gives them, NaN where unknown; the longest stretch without a gap counts.
    About 0.35 if every step is new, below 0 if it goes on like the one before. NaN below a second, where nothing moves, and where fewer
    than twenty different pictures a second are shown. Our own (docs/decisions/0027).
    """
    known: npt.NDArray[np.bool_] = np.asarray(np.isfinite(moves).all(axis=1))
    first, stop = longest_run(known)
    if stop - first < LEAST_SECONDS * fps:
        return math.nan
    steps = _as_filmed(moves[first:stop].astype(np.float64), fps)
    if steps is None or len(steps) < LEAST_SECONDS * SLOWEST or steps.std() < LEAST_MOVE:
        return math.nan
    return math.log(max(float(np.diff(steps, axis=0).std()), LEAST_CHANGE) / float(steps.std()))


def shrunk(picture: npt.NDArray[np.integer], step: int) -> FloatArray:
    """Means over step × step pixels of one channel (height, width), of grey levels or their differences; what does not fill one is left out."""
    height, width = picture.shape[0] // step, picture.shape[1] // step
    whole = picture[: height * step, : width * step]
    # Sums of every step-th row, then column: five times as fast as a mean over axes of length step.
    rows: npt.NDArray[Any] = whole[::step].astype(np.int16 if step <= MOST_IN_16_BITS else np.int32)
    for k in range(1, step):
        rows += whole[k::step]
    sums = rows[:, ::step].astype(np.int32)
    for k in range(1, step):
        sums += rows[:, k::step]
    means: FloatArray = sums.astype(np.float32) / np.float32(step**2)
    return means


def _displacement(
    before: npt.NDArray[np.uint8],
    after: npt.NDArray[np.uint8],
    box: npt.NDArray[np.float64],
    step: int,
    *,
    ellipse: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None,
    guess: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.float64]:
    """How far, in pixels, what lies in the box ((left, top), (right, bottom)) of `after` has come; NaN (2,) where that cannot be told."""
    lost = np.full(2, np.nan)
    height, width = after.shape
    left, top = (max(0, math.floor(edge - MARGIN * step)) for edge in box[0])
    right = min(width, math.ceil(box[1, 0] + MARGIN * step))
    bottom = min(height, math.ceil(box[1, 1] + MARGIN * step))
    if min(right - left, bottom - top) < (2 * MARGIN + 4) * step:
        return lost
    here, there = shrunk(after[top:bottom, left:right], step), shrunk(before[top:bottom, left:right], step)
    weight = np.ones_like(here)
    if ellipse is not None:
        rows, columns = (np.arange(n) * step + step / 2 for n in here.shape)
        (x, y), (across, down) = ellipse
        far = ((columns[None] + left - x) / across) ** 2 + ((rows[:, None] + top - y) / down) ** 2
        weight = (far < 1.0).astype(np.float32)
    most = COARSE_MARGIN - 1.0
    start = np.zeros(2) if guess is None else (-guess / (2 * step)).clip(-most, most)
    halves = _halved(here), _halved(there), np.round(_halved(weight))
    coarse = _followed(*halves, start=start, margin=COARSE_MARGIN, rounds=COARSE_ROUNDS)
    start = np.zeros(2) if coarse is None else (2 * coarse).clip(1.0 - MARGIN, MARGIN - 1.0)
    found = _followed(here, there, weight, start=start, margin=MARGIN, rounds=ROUNDS)
    return lost if found is None else -found * step


def _followed(
    here: FloatArray,
    there: FloatArray,
    weight: FloatArray,
    *,
    start: npt.NDArray[np.float64],
    margin: int,
    rounds: int,
) -> npt.NDArray[np.float64] | None:
    """Where `there` (x + d) looks like `here` (x), (2,) in cells, whatever light was added to all of it; None beyond the margin."""
    height, width = here.shape
    inner = slice(margin, height - margin), slice(margin, width - margin)
    own, kept = here[inner], weight[inner]
    across = (here[inner[0], margin + 1 : width - margin + 1] - here[inner[0], margin - 1 : width - margin - 1]) / 2
    down = (here[margin + 1 : height - margin + 1, inner[1]] - here[margin - 1 : height - margin - 1, inner[1]]) / 2
    slopes = np.stack([(across * kept).ravel(), (down * kept).ravel(), kept.ravel()])
    normal = (slopes @ slopes.T).astype(np.float64)
    if normal[2, 2] < LEAST_CELLS:
        return None
    normal[[0, 1], [0, 1]] += RIDGE * normal[2, 2]
    answer = (np.linalg.inv(normal)[:2] @ slopes).astype(np.float32)
    moved = start.astype(np.float64)
    for _ in range(rounds):
        if np.abs(moved).max() > margin - 1:
            return None
        columns, rows = np.floor(moved).astype(int)
        right, below = (moved - np.floor(moved)).astype(np.float32)
        seen = there[margin + rows : height - margin + rows + 1, margin + columns : width - margin + columns + 1]
        seen = seen[:-1] + (seen[1:] - seen[:-1]) * below
        seen = seen[:, :-1] + (seen[:, 1:] - seen[:, :-1]) * right
        change = answer @ ((own - seen) * kept).ravel()
        moved += change
        if np.abs(change).sum() < CLOSE_ENOUGH:
            break
    return moved if np.abs(moved).max() <= margin - 1 else None


def _halved(picture: FloatArray) -> FloatArray:
    """Means over 2 × 2 cells."""
    height, width = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
    rows = picture[0:height:2, :width] + picture[1:height:2, :width]
    return np.asarray((rows[:, ::2] + rows[:, 1::2]) / 4, np.float32)


def _as_filmed(steps: npt.NDArray[np.float64], fps: float) -> npt.NDArray[np.float64] | None:
    """The steps (n, 2) without what a change of the frame rate did to their lengths; None of fewer than SLOWEST pictures a second."""
    speeds = np.linalg.norm(steps, axis=1)
    found = _against_neighbours(speeds, 0.1 * float(np.median(speeds)) + 1e-6)
    best, filmed = 0.0, fps
    lengths: npt.NDArray[np.float64] | None = None
    for rate in FILMED_RATES:
        for beginning in range(BEGINNINGS):
            shown = np.floor(np.arange(len(steps) + 1) * rate / fps + beginning / BEGINNINGS)
            own = np.diff(shown) * fps / rate
            expected = _against_neighbours(own, 0.1)
            power = float(expected @ expected)
            if power < 1e-6:
                continue
            slope = float(expected @ found) / power
            rest = found - slope * expected
            t = slope * math.sqrt(power / max(float(rest @ rest) / max(len(found) - 2, 1), 1e-12))
            if t > best and slope > LEAST_SLOPE:
                best, lengths, filmed = t, own, rate
    if lengths is None or best < LEAST_T:
        return steps
    new = lengths > 0
    return steps[new] / lengths[new, None] if filmed >= SLOWEST else None


def _against_neighbours(speeds: npt.NDArray[np.float64], least: float) -> npt.NDArray[np.float64]:
    """Log of each speed against the mean of those before and after, its mean taken off; all but the first and the last."""
    around = (speeds[:-2] + speeds[2:]) / 2
    logs = np.log((speeds[1:-1] + least) / (around + least)).clip(-MOST_LOG, MOST_LOG)
    return np.asarray(logs - logs.mean())
