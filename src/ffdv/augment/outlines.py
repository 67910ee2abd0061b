"""Where a face is in a picture, as soft masks: from landmarks, from a box, or from the fact that it is a face crop.

Masks are float32 (h, w) in [0, 1]. Coordinates are pixels, x to the right, y down.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from ffdv.records import FloatArray

Region = Literal["face", "lower", "upper", "mouth"]
Points = npt.NDArray[np.floating]


def face_mask(
    size: tuple[int, int], region: Region, *, landmarks: Points | None = None, box: Points | None = None
) -> FloatArray:
    """Hard mask (h, w) of {0, 1} of a region of one face.

    landmarks (n, 2): eight or more are taken by their convex hull, five (eyes, nose, mouth corners) by the ellipse
    that such a face fills; NaN counts as missing. box (4,) x0 y0 x1 y1. With neither, the picture is taken for an
    aligned face crop, whose face fills the middle seven tenths.
    """
    known = None if landmarks is None or not np.isfinite(landmarks).all() else np.asarray(landmarks, float)
    x0, y0, x1, y1 = _face_box(size, known, box)
    if region == "mouth":
        return _ellipse(size, *_mouth((x0, y0, x1, y1), known))
    if known is not None and len(known) >= 8:
        mask = _hull(size, known)
    else:
        mask = _ellipse(size, ((x0 + x1) / 2, (y0 + y1) / 2), ((x1 - x0) / 2, (y1 - y0) / 2))
    rows = np.arange(size[0])[:, None]
    # The nose's tip lies about six tenths down the face.
    border = y0 + 0.6 * (y1 - y0)
    if region == "lower":
        mask = mask * (rows >= border)
    if region == "upper":
        mask = mask * (rows < border)
    return mask.astype(np.float32)


def deform(mask: FloatArray, rng: np.random.Generator, *, strength: float, blur: float, knots: int = 5) -> FloatArray:
    """The mask bent by a smooth random field of up to `strength` pixels, its edge softened by a Gaussian of `blur` pixels.

    The field is drawn at knots × knots points and interpolated: elastic deformation (Simard et al. 2003) without its
    dear blur.
    """
    # Where the blur hides it, half the resolution does: a quarter of the time.
    step = 2 if blur >= 2.0 else 1
    small = mask[::step, ::step]
    if strength > 0:
        field = rng.uniform(-strength / step, strength / step, (2, knots, knots))
        shift_y, shift_x = (_stretched(part, small.shape) for part in field)
        rows, columns = np.mgrid[0 : small.shape[0], 0 : small.shape[1]].astype(np.float32)
        small = scipy.ndimage.map_coordinates(small, [rows + shift_y, columns + shift_x], order=1, mode="constant")
    if blur > 0:
        small = scipy.ndimage.gaussian_filter(small, blur / step, truncate=3.0)
    soft = _stretched(small, mask.shape) if step > 1 else small
    return np.clip(soft, 0.0, 1.0).astype(np.float32)


def _face_box(size: tuple[int, int], landmarks: Points | None, box: Points | None) -> tuple[float, float, float, float]:
    height, width = size
    if landmarks is not None and len(landmarks) >= 8:
        (x0, y0), (x1, y1) = landmarks.min(axis=0), landmarks.max(axis=0)
        return float(x0), float(y0), float(x1), float(y1)
    if landmarks is not None and len(landmarks) == 5:
        eyes, mouth = landmarks[:2].mean(axis=0), landmarks[3:].mean(axis=0)
        # Adult proportions: eyes at the middle of the head's height, mouth at three quarters; width 0.75 of the height.
        tall = max(4.0, 3.6 * float(np.linalg.norm(mouth - eyes)))
        x, y = float((eyes[0] + mouth[0]) / 2), float(eyes[1] + 0.12 * tall)
        return x - 0.36 * tall, y - 0.45 * tall, x + 0.36 * tall, y + 0.45 * tall
    if box is not None:
        x0, y0, x1, y1 = (float(value) for value in box)
        return x0, y0, x1, y1
    return 0.15 * width, 0.15 * height, 0.85 * width, 0.85 * height


def _mouth(
    face: tuple[float, float, float, float], landmarks: Points | None
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Centre and radii of the mouth with its surroundings."""
    x0, y0, x1, y1 = face
    radii = (0.30 * (x1 - x0), 0.17 * (y1 - y0))
    if landmarks is not None and len(landmarks) == 5:
        centre = landmarks[3:].mean(axis=0)
        return (float(centre[0]), float(centre[1])), radii
    return ((x0 + x1) / 2, y0 + 0.78 * (y1 - y0)), radii


def _ellipse(size: tuple[int, int], centre: tuple[float, float], radii: tuple[float, float]) -> FloatArray:
    rows, columns = np.ogrid[0 : size[0], 0 : size[1]]
    distance = ((columns - centre[0]) / max(radii[0], 1.0)) ** 2 + ((rows - centre[1]) / max(radii[1], 1.0)) ** 2
    inside: FloatArray = (distance <= 1.0).astype(np.float32)
    return inside


def _hull(size: tuple[int, int], landmarks: Points) -> FloatArray:
    from PIL import Image, ImageDraw
    from scipy.spatial import ConvexHull, QhullError

    try:
        corners = landmarks[ConvexHull(landmarks).vertices]
    except QhullError:  # all on one line: nothing to fill
        return np.zeros(size, np.float32)
    canvas = Image.new("L", (size[1], size[0]))
    ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in corners], fill=1)
    return np.asarray(canvas, dtype=np.float32)


def _stretched(values: npt.NDArray[np.floating], size: tuple[int, ...]) -> FloatArray:
    """A small field brought to the picture's size by cubic interpolation."""
    from PIL import Image

    field = Image.fromarray(values.astype(np.float32)).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(field, dtype=np.float32)
