"""Shortcut probes of the picture: brightness, sharpness, block edges, noise, borders. None of them is forgery.

They are taken on whole frames, a few a clip, before any face is cut out; what cannot be measured is left out.
"""

from __future__ import annotations

import math

import numpy as np

from ffdv.features.fingerprints import as_probes, picture_fingerprint, to_gray
from ffdv.features.probes import finite
from ffdv.records import FloatArray, PixelArray

# Sharpness and noise live in neighbouring pixels, so they are measured without scaling, on the middle of large pictures.
# 256: half the time of 512 on a 384-pixel clip (7.3 ms a frame before).
MIDDLE_SIDE = 256
# Encoders of the last thirty years transform blocks of 8×8 or multiples of it.
BLOCK = 8
# Of each clip one frame a second for so long is measured: three frames tell brightness and noise.
PROBED_SECONDS = 3.0
ROUNDING = 0.5  # grey levels: smaller steps are what 8 bits make of none
BORDER_DEVIATION = 3.0  # grey levels; a film's border is flat
BORDER_DARKEST = 40.0
FINGERPRINT_SIDE = 64
FLOOR_DB = -60.0


class PictureProbes:
    """Gathers the picture's probes frame by frame; memory is one thumbnail and a few floats a frame."""

    def __init__(self) -> None:
        self._rows: list[dict[str, float]] = []
        self._before: FloatArray | None = None
        self._thumbnails = np.zeros((0, 0), np.float32)

    def add(self, pixels: PixelArray) -> None:
        """Take the next frame that is looked at, uint8 (height, width, 3) RGB."""
        whole = to_gray(pixels)
        gray = _middle(whole)
        small = pixels[:: max(1, pixels.shape[0] // 128), :: max(1, pixels.shape[1] // 128)].astype(np.float32)
        row = {
            "picture_brightness": float(gray.mean()),
            "picture_contrast": float(gray.std()),
            "picture_saturation": float(np.mean(small.max(axis=2) - small.min(axis=2))),
            "picture_border_share": border_share(whole),
        }
        if min(gray.shape) > 2 * BLOCK:
            row |= {
                "picture_sharpness_db": sharpness_db(gray),
                "picture_noise_levels": noise_levels(gray),
                "picture_blockiness_db": blockiness_db(gray),
            }
        if self._before is not None and self._before.shape == gray.shape:
            row["picture_change_levels"] = float(np.abs(gray - self._before).mean())
        self._before = gray
        self._rows.append(row)
        self._add_thumbnail(whole)

    def finish(self) -> dict[str, float]:
        """The mean of each probe over the frames, and the picture's fingerprint; empty when there was no frame."""
        names = sorted({name for row in self._rows for name in row})
        means = {name: float(np.mean([row[name] for row in self._rows if name in row])) for name in names}
        if not self._rows:
            return {}
        return finite(means) | as_probes("picture", picture_fingerprint(self._thumbnails / np.float32(len(self._rows))))

    def _add_thumbnail(self, gray: FloatArray) -> None:
        rows = np.linspace(0, gray.shape[0] - 1, min(FINGERPRINT_SIDE, gray.shape[0])).astype(int)
        columns = np.linspace(0, gray.shape[1] - 1, min(FINGERPRINT_SIDE, gray.shape[1])).astype(int)
        thumbnail = gray[np.ix_(rows, columns)]
        same = self._thumbnails.shape == thumbnail.shape
        self._thumbnails = np.add(self._thumbnails, thumbnail, dtype=np.float32) if same else thumbnail


def sharpness_db(gray: FloatArray) -> float:
    """Energy of the Laplacian against the energy of the picture, in dB: 0 is noise, far below 0 is blur."""
    curve = 4 * gray[1:-1, 1:-1] - gray[:-2, 1:-1] - gray[2:, 1:-1] - gray[1:-1, :-2] - gray[1:-1, 2:]
    return _ratio_db(float(np.mean(curve**2)), 20.0 * float(gray.var()))


def noise_levels(gray: FloatArray) -> float:
    """Deviation of the noise in grey levels, from the median of what a smooth picture does not have.

    Immerkær (1996) with the median in place of the mean, so that edges count little.
    """
    rest = gray[:-2] - 2 * gray[1:-1] + gray[2:]
    rest = rest[:, :-2] - 2 * rest[:, 1:-1] + rest[:, 2:]
    return float(np.median(np.abs(rest[::2, ::2]))) / (0.6745 * 6.0)


def blockiness_db(gray: FloatArray) -> float:
    """Steps across the borders of 8×8 blocks against steps inside them, in dB; 0 when there are no blocks.

    The grid may begin anywhere (a crop shifts it), so the phase with the largest steps counts, less the one expected of
    chance by comparing with the median phase.
    """
    values = []
    for steps in (np.abs(np.diff(gray, axis=0)).mean(axis=1), np.abs(np.diff(gray, axis=1)).mean(axis=0)):
        whole = len(steps) // BLOCK * BLOCK
        phases = steps[:whole].reshape(-1, BLOCK).mean(axis=0)
        values.append(_ratio_db(float(phases.max()) + ROUNDING, float(np.median(phases)) + ROUNDING))
    return float(np.mean(values))


def border_share(gray: FloatArray) -> float:
    """Share of the height and width that flat dark bars at the edges take, from 0 to 1.

    >>> bars = np.full((40, 40), 128, np.float32); bars[::2, ::2] = 200; bars[:5] = 0
    >>> border_share(bars)
    0.125
    """
    return 1.0 - (1.0 - _bars(gray)) * (1.0 - _bars(gray.T))


def _bars(gray: FloatArray) -> float:
    """Share of rows, from both ends, that are flat and dark; 0 when all are."""
    some = gray[:, :: max(1, gray.shape[1] // 64)]
    inside = np.flatnonzero((some.std(axis=1) > BORDER_DEVIATION) | (some.mean(axis=1) > BORDER_DARKEST))
    return 0.0 if not len(inside) else 1.0 - (int(inside[-1]) - int(inside[0]) + 1) / len(gray)


def _middle(gray: FloatArray) -> FloatArray:
    """The middle of a large picture, cut on the 8×8 grid."""
    top, left = (max(0, (side - MIDDLE_SIDE) // 2) // BLOCK * BLOCK for side in gray.shape)
    return gray[top : top + MIDDLE_SIDE, left : left + MIDDLE_SIDE]


def _ratio_db(part: float, whole: float) -> float:
    if part <= 0 or whole <= 0:
        return FLOOR_DB
    return max(FLOOR_DB, 10 * math.log10(part / whole))
