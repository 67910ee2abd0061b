"""How lips and jaw move, apart from the head that carries them.

    points (n, 86, 3) ─ laid on the skull ─▶ curves: gaps, widths, heights, jaw (n, 21) ┐
    crops (n, s, s) ─ the mouth, small, left and right folded ─▶ pixels (n, 324)         ┴─ without trend, and rates ─▶ motion

Left and right of a mouth say the same of a sound, so every measure is symmetric: half the numbers, none of the head's turns.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ffdv.features.filters import gaussian_filter1d
from ffdv.features.landmarks import MOUTH_POINTS, SKULL
from ffdv.records import FloatArray, PixelArray

PLACES = {number: place for place, number in enumerate(MOUTH_POINTS)}  # a point's number in the mesh → its row
SKULL_ROWS = [PLACES[number] for number in SKULL]
RIGHT_EYE_CORNER, LEFT_EYE_CORNER, NOSE_BRIDGE, NOSE_BASE = (PLACES[number] for number in (33, 263, 168, 2))
ALIGNMENTS = 3  # rounds of laying all frames on their mean; the third changes nothing to see
PICTURE_SIDE = 18  # cells a side of the small mouth picture: 4 pixels of a crop of 96
PICTURE_ROWS, PICTURE_COLUMNS = (1 / 6, 11 / 12), (1 / 8, 7 / 8)  # shares of the crop that hold lips and chin
NOISE_FRAMES = 0.6  # Gaussian deviation: faster changes are the mesh's trembling
TREND_FRAMES = 20.0  # slower ones are the speaker's mood and the head's turns


def split_track(seconds: npt.NDArray[np.float64], in_sight: npt.NDArray[np.bool_], *, fps: float) -> list[slice]:
    """Stretches of frames without a gap: of the clock, or of the mouth for more than a fifth of a second."""
    known = np.flatnonzero(in_sight)
    if not len(known):
        return []
    breaks = np.flatnonzero(np.diff(seconds[known]) > max(0.2, 1.5 / fps))
    first, last = np.r_[known[0], known[breaks + 1]], np.r_[known[breaks], known[-1]]
    return [slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True)]


def skull_aligned(points: FloatArray) -> npt.NDArray[np.float64]:
    """Points (n, 86, 3), all known, turned, moved and scaled so that the skull's lie still: x to the speaker's left, y down,
    unit: the distance of the eyes' outer corners. Generalised Procrustes analysis on the points of SKULL.
    """
    laid = points.astype(np.float64)
    laid -= laid[:, SKULL_ROWS].mean(axis=1, keepdims=True)
    mean = laid[0, SKULL_ROWS]
    for _ in range(ALIGNMENTS):
        laid = _laid_on(laid, mean)
        mean = laid[:, SKULL_ROWS].mean(axis=0)
    middle = laid.mean(axis=0)
    across, down = middle[LEFT_EYE_CORNER] - middle[RIGHT_EYE_CORNER], middle[NOSE_BASE] - middle[NOSE_BRIDGE]
    unit = float(np.linalg.norm(across))
    across /= unit
    down -= across * (across @ down)
    down /= np.linalg.norm(down)
    upright: npt.NDArray[np.float64] = (laid @ np.stack([across, down, np.cross(across, down)], axis=1)) / unit
    return upright


def _laid_on(points: npt.NDArray[np.float64], mean: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Each frame turned and scaled so that its skull fits `mean` best (Kabsch, Umeyama)."""
    skull = points[:, SKULL_ROWS]
    left, strengths, right = np.linalg.svd(np.einsum("nki,kj->nij", skull, mean))
    sign = np.sign(np.linalg.det(left @ right))
    left[:, :, 2] *= sign[:, None]
    strengths[:, 2] *= sign
    scale = strengths.sum(axis=1) / (skull**2).sum(axis=(1, 2))
    turned: npt.NDArray[np.float64] = np.einsum("nki,nij->nkj", points, left @ right) * scale[:, None, None]
    return turned


def lip_curves(points: FloatArray) -> npt.NDArray[np.float64]:
    """Gaps, widths and places of lips and jaw (n, 21) in eye distances, from points (n, 86, 3) that are all known."""
    laid = skull_aligned(points)

    def place(*numbers: int) -> npt.NDArray[np.float64]:
        mean: npt.NDArray[np.float64] = laid[:, [PLACES[number] for number in numbers]].mean(axis=1)
        return mean

    def apart(one: int, other: int) -> npt.NDArray[np.float64]:
        distance: npt.NDArray[np.float64] = np.linalg.norm(place(one) - place(other), axis=1)
        return distance

    upper_in, lower_in = place(82, 13, 312), place(87, 14, 317)
    upper_out, lower_out = place(37, 0, 267), place(84, 17, 314)
    corners, chin = place(61, 291), place(152, 148, 377)
    curves = (
        (lower_in - upper_in)[:, 1],
        (place(88, 318) - place(80, 310))[:, 1],
        (place(95, 324) - place(191, 415))[:, 1],
        (lower_out - upper_out)[:, 1],
        apart(61, 291),
        apart(78, 308),
        *(one[:, 1] for one in (upper_out, lower_out, upper_in, lower_in, corners)),
        *(one[:, 2] for one in (upper_out, lower_out, corners)),
        *(chin[:, 1], chin[:, 2], place(18, 200, 199)[:, 1]),
        (upper_in - upper_out)[:, 1],
        (lower_out - lower_in)[:, 1],
        apart(205, 425),
        place(98, 327)[:, 1],
    )
    return np.stack(curves, axis=1)


def mouth_pictures(crops: PixelArray) -> npt.NDArray[np.float64]:
    """Lips and chin of crops (n, s, s) as PICTURE_SIDE² numbers (n, 324): cells' means about the stretch's mean brightness and
    in units of its contrast, each added to its mirror image.
    """
    size = crops.shape[1]
    rows, columns = (
        np.round(np.linspace(low * size, high * size, PICTURE_SIDE + 1)).astype(np.int64)
        for low, high in (PICTURE_ROWS, PICTURE_COLUMNS)
    )
    region = crops[:, rows[0] : rows[-1], columns[0] : columns[-1]].astype(np.float64)
    sums = np.add.reduceat(np.add.reduceat(region, rows[:-1] - rows[0], axis=1), columns[:-1] - columns[0], axis=2)
    cells = sums / (np.diff(rows)[:, None] * np.diff(columns))
    cells = (cells - cells.mean()) / (cells.std() + 5.0)  # 5 grey levels: a flat picture has no contrast to divide by
    folded: npt.NDArray[np.float64] = (cells + cells[:, :, ::-1]).reshape(len(crops), -1)
    return folded


def motion(curves: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Curves (n, m) of one stretch without trend and trembling, and three times their change a frame (n, 2 m)."""
    smooth = gaussian_filter1d(curves, NOISE_FRAMES, axis=0, mode="nearest")
    level = smooth - gaussian_filter1d(smooth, TREND_FRAMES, axis=0, mode="nearest")
    change = np.gradient(smooth, axis=0) if len(smooth) > 1 else np.zeros_like(smooth)
    return np.concatenate([level, 3 * change], axis=1)


def bridged(values: npt.NDArray[np.float64], known: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Values (n, ...) with unknown rows interpolated between their neighbours; at least one row is known."""
    if known.all():
        return values
    flat = values.reshape(len(values), -1)
    where = np.flatnonzero(known)
    filled = np.stack([np.interp(np.arange(len(flat)), where, column[where]) for column in flat.T], axis=1)
    return filled.reshape(values.shape)


def mouth_pictures_seen(crops: PixelArray, known: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """mouth_pictures of the crops that show the mouth; NaN for the others."""
    pictures = np.full((len(crops), PICTURE_SIDE**2), np.nan)
    pictures[known] = mouth_pictures(crops[known])
    return pictures
