"""How a face looks as a surface: contrast of skin and mouth at several scales, how it is spread, and the shape of its spectrum.

    aligned crop 224 ─▶ 96 pixels, grey ─▶ four octaves (pyramid) ─▶ energy and peakedness on skin, eyes, mouth, rim
                                        └▶ spectrum about the middle ─▶ its slope, and where it leaves the slope

Faces of generators come from studio portraits and lose what a lens, a sensor and a stage do to skin; swapped ones are softer than
what surrounds them. Scales are relative to the face, so that a close-up and a distant speaker compare.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ffdv.features.crops import face_square, moved_inside
from ffdv.features.sync import luminance
from ffdv.records import FaceTrack, FloatArray, PixelArray

SIDE = 96  # pixels of the picture that is measured; crops have 2.3 times as many
OCTAVES = 4  # details of about 1.5, 3, 6 and 12 of its pixels
REGIONS = ("skin", "eyes", "mouth", "rim")
SPECTRUM_EDGES = (0.02, 0.04, 0.07, 0.1, 0.14, 0.18, 0.23, 0.28, 0.34, 0.4, 0.46, 0.5)  # cycles per pixel
NUMBERS = (
    *(f"{region}_{what}_{octave}" for region in REGIONS for octave in range(OCTAVES) for what in ("energy", "peaks")),
    "spectrum_slope",
    *(f"spectrum_{band}" for band in range(len(SPECTRUM_EDGES) - 1)),
    "contrast",
)
LEAST_POINTS = 6  # of a region in an octave


def portrait_numbers(crops: PixelArray, landmarks: FloatArray) -> FloatArray:
    """NUMBERS of each face (n, 53), NaN where a region is out of sight.

    crops uint8 (n, size, size, 3) RGB, aligned; landmarks (n, 5, 2) in the crops' pixels: right eye, left eye, nose, right and
    left mouth corner; NaN where unknown, then those of an average face count.
    """
    rows = np.full((len(crops), len(NUMBERS)), np.nan, np.float32)
    window = np.hanning(SIDE)[:, None] * np.hanning(SIDE)[None]
    for k, (crop, points) in enumerate(zip(crops, landmarks, strict=True)):
        gray = _small(crop)
        scaled = points * (SIDE / crop.shape[0]) if np.isfinite(points).all() else AVERAGE_FACE * SIDE
        numbers = _surface(gray, face_regions(np.asarray(scaled, np.float32)))
        numbers += _spectrum((gray - gray.mean()) * window)
        numbers.append(math.log(float(gray.std()) + 0.1))
        rows[k] = numbers
    return rows


def landmarks_in_crops(track: FaceTrack, picture_size: tuple[int, int] | None, *, margin: float) -> FloatArray:
    """A track's landmarks (n, 5, 2) in the pixels of its crops; margin and the picture's (width, height) as they were cut with."""
    size = track.crops.shape[1]
    points = np.full((len(track.crops), 5, 2), np.nan, np.float32)
    for k, (box, landmarks) in enumerate(zip(track.boxes, track.landmarks, strict=True)):
        square = face_square(box, landmarks, margin)
        if picture_size is not None:
            square = moved_inside(square, *picture_size)
        points[k] = square.from_picture(landmarks, size)
    return points


def face_regions(points: FloatArray) -> dict[str, npt.NDArray[np.bool_]]:
    """Where skin, eyes, mouth and the rim of the face lie in a picture of SIDE pixels; points (5, 2) in its pixels."""
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    height = max(float(np.linalg.norm(mouth - eyes)), 4.0)
    width = max(float(np.linalg.norm(points[1] - points[0])), 0.8 * height)  # a profile is as wide as it is long
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    centre = eyes + 0.42 * (mouth - eyes)
    far = ((columns - centre[0]) / (0.95 * width)) ** 2 + ((rows - centre[1]) / (1.35 * height)) ** 2

    def disc(middle: FloatArray, radius: float) -> npt.NDArray[np.bool_]:
        inside: npt.NDArray[np.bool_] = (columns - middle[0]) ** 2 + (rows - middle[1]) ** 2 < radius**2
        return inside

    both_eyes = disc(points[0], 0.32 * width) | disc(points[1], 0.32 * width)
    lips = disc(mouth, 0.52 * width)
    return {
        "skin": (far < 0.8) & ~both_eyes & ~lips,
        "eyes": both_eyes,
        "mouth": lips,
        "rim": (far >= 1.0) & (far < 1.7),
    }


AVERAGE_FACE = np.array([[0.35, 0.43], [0.65, 0.43], [0.5, 0.58], [0.38, 0.72], [0.62, 0.72]], np.float32)


def octaves(gray: FloatArray) -> list[FloatArray]:
    """Differences between a picture and its blur, then of the halved blur, and so on (Burt and Adelson 1983, without expansion)."""
    parts, rest = [], gray
    for _ in range(OCTAVES):
        soft = _blurred(rest)
        parts.append(np.asarray(rest - soft, np.float32))
        rest = soft[::2, ::2]
    return parts


def _surface(gray: FloatArray, regions: dict[str, npt.NDArray[np.bool_]]) -> list[float]:
    """Log energy, and log of it against the squared mean size (peaks are low where few points hold the energy)."""
    parts = octaves(gray)
    numbers = []
    for region in REGIONS:
        inside = regions[region]
        for part in parts:
            step = SIDE // part.shape[0]
            values = part[inside[step // 2 :: step, step // 2 :: step]] if step > 1 else part[inside]
            if len(values) < LEAST_POINTS:
                numbers += [math.nan, math.nan]
                continue
            energy = float((values**2).mean()) + 1e-3
            numbers += [math.log(energy), math.log(float(np.abs(values).mean()) ** 2 + 1e-3) - math.log(energy)]
    return numbers


def _spectrum(gray: npt.NDArray[np.float64] | FloatArray) -> list[float]:
    """Slope of log power over log frequency, and how far each band lies above the line."""
    power = np.abs(np.fft.rfft2(gray)) ** 2
    radius = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    edges = np.array(SPECTRUM_EDGES)
    bands = np.digitize(radius.ravel(), edges) - 1
    levels = np.array([math.log(float(power.ravel()[bands == b].mean()) + 1.0) for b in range(len(edges) - 1)])
    middles = np.log((edges[:-1] + edges[1:]) / 2)
    slope, offset = np.polyfit(middles, levels, 1)
    return [float(slope), *(levels - slope * middles - offset).tolist()]


def _small(crop: PixelArray) -> FloatArray:
    """Grey, SIDE pixels, every source pixel counted."""
    from PIL import Image

    gray = luminance(crop)
    if gray.shape[0] != SIDE:
        gray = np.asarray(Image.fromarray(gray).resize((SIDE, SIDE), Image.Resampling.BOX))
    return gray.astype(np.float32)


def _blurred(values: FloatArray) -> FloatArray:
    """1 4 6 4 1 in both directions, the border mirrored."""
    for axis in (0, 1):
        padded = np.pad(values, [(2, 2) if a == axis else (0, 0) for a in (0, 1)], mode="reflect")
        n = values.shape[axis]
        parts = [np.take(padded, np.arange(k, k + n), axis=axis) for k in range(5)]
        values = np.asarray((parts[0] + parts[4] + 4 * (parts[1] + parts[3]) + 6 * parts[2]) / 16, np.float32)
    return values
