"""How much a face changes as one: whether forehead, cheeks and nose get lighter, redder and bluer at the same moments.

    frame, mesh ─▶ mean colour of four parts of the skin and of the picture's edges, 25 times a second ─▶ change over a fifth of a second
      ─▶ lightness, red and blue against green, without what the edges share ─▶ correlation of the parts with each other

On a filmed face each part has its own shading, its own movement and its own noise, and light that changes for all of them mostly changes for
the scene too. A face that is drawn or pasted frame by frame also has what the drawing gives to all of it at once: its colours waver together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from ffdv.records import FloatArray, PixelArray

# Points of the face mesh, six a part, away from eyes, brows, mouth and outline; the right cheek is the person's own.
FOREHEAD = (151, 9, 108, 337, 69, 299)
RIGHT_CHEEK = (50, 101, 118, 123, 36, 205)
LEFT_CHEEK = (280, 330, 347, 352, 266, 425)
NOSE = (168, 6, 197, 195, 5, 4)
SKIN_POINTS = (*FOREHEAD, *RIGHT_CHEEK, *LEFT_CHEEK, *NOSE)
NUM_PARTS = 4
SPREAD = 0.05  # of the distance of the eyes: half of the square about a point that is looked at
LEAST_SPREAD = 2.0  # pixels
GRID, EDGE_GRID = 5, 8  # a square is looked at in so many places a side
EDGES = tuple((x, y) for x in (0.08, 0.5, 0.92) for y in (0.08, 0.5, 0.92) if (x, y) != (0.5, 0.5))
EDGE_SPREAD = 1 / 16  # of the picture's height
LAG_SECONDS = 0.2
LEAST_SECONDS = 1.0
MOST_CHANGE = 3.0  # median changes: a cut or a flash must not decide
STRONGEST = 0.95  # correlation, before Fisher's transform
UNTOLD = 0.2  # between what genuine and forged clips show: where the light changes, nothing can be told
_LUMINANCE = np.array([0.299, 0.587, 0.114])  # BT.601
# What is followed in colours (..., 3) of 0 … 255; logarithms, so that shading cancels out of the last two.
SIGNALS: Mapping[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
    "unison_light": lambda colours: np.log(colours @ _LUMINANCE + 2.0),
    "unison_red": lambda colours: np.log((colours[..., 0] + 1.0) / (colours[..., 1] + 1.0)),
    "unison_blue": lambda colours: np.log((colours[..., 2] + 1.0) / (colours[..., 1] + 1.0)),
}


def part_colours(pixels: PixelArray, points: FloatArray, eye_distance: float) -> FloatArray:
    """Mean colours (NUM_PARTS + 1, 3), 0 … 255: of forehead, cheeks and nose, and last of the picture's edges.

    pixels uint8 (height, width, 3); points (468, 2 or more): the face mesh in pixels; eye_distance in pixels. A part that is not
    wholly in the picture is NaN.
    """
    height, width = pixels.shape[:2]
    centres = points[list(SKIN_POINTS), :2].astype(np.float64)
    skin = _colours_about(pixels, centres, max(LEAST_SPREAD, SPREAD * eye_distance), GRID)
    outside = (centres < 0).any(axis=1) | (centres[:, 0] >= width) | (centres[:, 1] >= height)
    skin[outside] = np.nan
    edges = _colours_about(pixels, np.array(EDGES) * (width, height), EDGE_SPREAD * height, EDGE_GRID)
    parts = [*skin.reshape(NUM_PARTS, -1, 3).mean(axis=1), edges.mean(axis=0)]
    colours: FloatArray = np.stack(parts).astype(np.float32)
    return colours


def unison_numbers(colours: FloatArray, *, fps: float = 25.0) -> dict[str, float]:
    """How much the parts change together: a number for each of SIGNALS, 0 = not at all, higher speaks for a drawn or pasted face.

    colours (n, NUM_PARTS + 1, 3): of one face in n frames on end, as `part_colours` gives them; frames that lack a part are left out.
    A number is Fisher's transform of the mean correlation between two parts' changes over LAG_SECONDS; as far as the scene changes
    with them, it is drawn to UNTOLD. Empty where less than a second is left, or a part stands still. Our own (docs/decisions/0026).
    """
    lag = max(1, round(LAG_SECONDS * fps))
    whole_frames: npt.NDArray[np.bool_] = np.asarray(np.isfinite(colours).all(axis=(1, 2)))
    known = whole_frames[lag:] & whole_frames[:-lag]
    if known.sum() < LEAST_SECONDS * fps - lag:
        return {}
    numbers = {}
    for name, signal in SIGNALS.items():
        values = signal(colours.astype(np.float64))
        changes = (values[lag:] - values[:-lag])[known]
        changes -= np.median(changes, axis=0)
        most = MOST_CHANGE * np.median(np.abs(changes), axis=0)
        changes = np.clip(changes, -most, most)
        parts, scene = changes[:, :NUM_PARTS], changes[:, NUM_PARTS]
        by_light = 0.0
        if scene.any() and parts.any():
            whole = parts.mean(axis=1)
            by_light = float((whole @ scene) ** 2 / max((whole @ whole) * (scene @ scene), 1e-30))
            parts = parts - np.outer(scene, scene @ parts / (scene @ scene))
        shared = parts.T @ parts
        spread = np.sqrt(np.diag(shared))
        if not most[:NUM_PARTS].all() or not spread.all():
            return {}
        pairs = (shared / np.outer(spread, spread))[np.triu_indices(NUM_PARTS, 1)]
        # Taking the scene's change off leaves its noise in every part: under changing light that alone would look like unison.
        found = math.atanh(min(STRONGEST, max(-STRONGEST, float(pairs.mean()))))
        numbers[name] = UNTOLD + (1.0 - by_light) * (found - UNTOLD)
    return numbers


def _colours_about(
    pixels: PixelArray, centres: npt.NDArray[np.float64], spread: float, grid: int
) -> npt.NDArray[np.float64]:
    """Mean colour (n, 3) of the square about each centre (n, 2), looked at in grid × grid places; beyond the picture its edge counts."""
    height, width = pixels.shape[:2]
    offsets = np.linspace(-spread, spread, grid)
    columns = np.round(centres[:, 0, None, None] + offsets[None, None, :]).astype(np.int64)
    rows = np.round(centres[:, 1, None, None] + offsets[None, :, None]).astype(np.int64)
    return np.asarray(pixels[rows.clip(0, height - 1), columns.clip(0, width - 1)].mean(axis=(1, 2)))
