"""What a careful eye looks for in the picture, as numbers: eyes, sharpness, traces of pasting, light, repeated frames.

Each function measures one thing and knows nothing of real and fake; what the numbers are worth is in features/cues.py.
NaN means that it could not be measured. Grey pictures are float32 (height, width) in 0 … 255.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ffdv.features.filters import longest_run, runs
from ffdv.features.fourier import next_fast_length
from ffdv.features.probes_picture import blockiness_db, noise_levels, sharpness_db
from ffdv.records import FloatArray, PixelArray

EYE_SIDE = 32  # pixels of an eye's picture
BLINK_SHARE = 0.82  # of the median likeness; of 19 moments below it that were looked at, 15 were blinks
BLINK_SECONDS = (0.06, 0.5)  # a blink lasts this long; longer is a look down
FROZEN_LEVELS = 0.25  # mean change between frames, grey levels: below this a camera's own noise is missing
REPEATED_RUN = 5  # frames in a row that are the same as frames in a row before
SMALLEST_SIDE = 24  # pixels of a region: below this nothing is measured,
SMALLEST_TRACE = 48  # and below this no period


def eye_likeness(eyes: PixelArray, *, fps: float) -> FloatArray:
    """How much both eyes look as they mostly do around that time, correlation in [-1, 1] (n,); NaN where they are black.

    eyes uint8 (n, 2, side, side), grey, black where not in sight. Compared is with the median picture of about three
    seconds; the eye that is more like itself counts, so that a wink or a turned head is no blink.
    """
    values = eyes.astype(np.float32)
    spread = values.std(axis=(2, 3), keepdims=True)
    unit = (values - values.mean(axis=(2, 3), keepdims=True)) / (spread + 2)  # 2 levels: dark eyes are noise
    second = max(1, round(fps))
    likeness = np.zeros(eyes.shape[:2], np.float32)
    for start in range(0, len(eyes), second):
        usual = np.median(unit[max(0, start - second) : start + 2 * second], axis=0)
        usual = usual / (usual.std(axis=(1, 2), keepdims=True) + 1e-6)
        likeness[start : start + second] = (unit[start : start + second] * usual).mean(axis=(2, 3))
    seen = spread[:, :, 0, 0].max(axis=1) > 0
    return np.where(seen, likeness.max(axis=1), np.nan).astype(np.float32)


def blinks_per_minute(likeness: FloatArray, *, fps: float) -> float:
    """How often both eyes change for a moment, from eye_likeness (n,). People blink about 10 to 25 times.

    >>> eyes = np.full(250, 0.9, np.float32); eyes[100:104] = 0.3
    >>> blinks_per_minute(eyes, fps=25)
    6.0
    """
    seen = likeness[np.isfinite(likeness)]
    if len(seen) < fps:
        return math.nan
    changed = runs(seen < BLINK_SHARE * float(np.median(seen)))
    shortest, longest = (seconds * fps for seconds in BLINK_SECONDS)
    blinks = sum(shortest <= stop - start <= longest and start > 0 and stop < len(seen) for start, stop in changed)
    return 60.0 * blinks / (len(seen) / fps)


def face_region(gray: FloatArray, box: FloatArray, share: float = 0.7) -> FloatArray:
    """The middle of the face's box (4,), whole pixels, no resampling."""
    x, y, width, height = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]
    left, right = max(0, round(x - width * share / 2)), max(0, round(x + width * share / 2))
    top, bottom = max(0, round(y - height * share / 2)), max(0, round(y + height * share / 2))
    return gray[top:bottom, left:right]


def background_region(gray: FloatArray, boxes: FloatArray, margin: float = 1.35) -> FloatArray:
    """The largest strip (left, right or above) of the picture outside all enlarged face boxes (n, 4); may be empty."""
    grown = np.concatenate(
        [
            boxes[:, :2] - (boxes[:, 2:] - boxes[:, :2]) * (margin - 1) / 2,
            boxes[:, 2:] + (boxes[:, 2:] - boxes[:, :2]) * (margin - 1) / 2,
        ],
        axis=1,
    )
    left, top, right = (
        max(0, int(grown[:, 0].min())),
        max(0, int(grown[:, 1].min())),
        max(0, int(grown[:, 2].max()) + 1),
    )
    strips = (gray[:, :left], gray[:, right:], gray[:top])
    return max(strips, key=lambda strip: strip.size if min(strip.shape) >= SMALLEST_SIDE else 0)


def sharpness_difference_db(face: FloatArray, background: FloatArray) -> float:
    """How much sharper the face is than the background, in dB."""
    return _difference(sharpness_db, face, background)


def noise_difference_db(face: FloatArray, background: FloatArray) -> float:
    """How much noisier the face is than the background, in dB: a pasted face brings its own noise, or has none."""
    return _difference(lambda gray: 20 * math.log10(max(noise_levels(gray), 0.1)), face, background)


def blockiness_difference_db(face: FloatArray, background: FloatArray) -> float:
    """How much stronger the 8 × 8 grid of an encoder is in the face than in the background, in dB (double compression)."""
    return _difference(blockiness_db, face, background)


def resampling_difference_db(face: FloatArray, background: FloatArray) -> float:
    """How much more the face looks enlarged or turned than the background, in dB; see resampling_db."""
    return _difference(resampling_db, face, background)


def resampling_db(gray: FloatArray) -> float:
    """How periodic the second difference is along rows and columns: interpolation repeats itself (Gallagher 2005).

    The strongest peak of the spectrum against its median, in dB, without the lowest fifth and the frequencies of 8 × 8 blocks.
    """
    peaks = [_strongest_period_db(plane) for plane in (gray, gray.T) if plane.shape[1] >= SMALLEST_TRACE]
    return float(np.mean(peaks)) if peaks else math.nan


def _strongest_period_db(gray: FloatArray) -> float:
    trace = np.abs(np.diff(gray, 2, axis=1)).mean(axis=0)
    spectrum = np.abs(np.fft.rfft((trace - trace.mean()) * np.hanning(len(trace))))
    cycles = np.arange(len(spectrum)) / len(trace)  # per pixel
    usable = cycles > 0.1
    for harmonic in range(1, 5):
        usable &= np.abs(cycles - harmonic / 8) > 1.5 / len(trace)
    values = spectrum[usable]
    return 20 * math.log10((float(values.max()) + 1e-6) / (float(np.median(values)) + 1e-6))


def border_sharpness_db(gray: FloatArray, outline: FloatArray) -> float:
    """Detail in a band along the outline of the face (m, 2) against detail inside it, in dB: seams, or their blurring.

    The band reaches 4 % of the face's width to both sides; the inside begins 12 % within.
    """
    left, top = np.floor(outline.min(axis=0) - 8).astype(int).clip(0)
    right, bottom = np.ceil(outline.max(axis=0) + 8).astype(int)
    part = gray[top:bottom, left:right]
    width = float(np.ptp(outline[:, 0]))
    if min(part.shape) < SMALLEST_SIDE or width < SMALLEST_SIDE:
        return math.nan
    distance = signed_distance(outline - np.array([left, top], np.float32), part.shape)
    detail = np.zeros(part.shape, np.float32)
    detail[1:-1, 1:-1] = np.abs(
        4 * part[1:-1, 1:-1] - part[:-2, 1:-1] - part[2:, 1:-1] - part[1:-1, :-2] - part[1:-1, 2:]
    )
    band, inside = np.abs(distance) < 0.04 * width, distance > 0.12 * width
    if band.sum() < 50 or inside.sum() < 50:
        return math.nan
    return 20 * math.log10((float(detail[band].mean()) + 0.1) / (float(detail[inside].mean()) + 0.1))


def signed_distance(outline: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Distance in pixels of each pixel of a picture (rows, columns) from a closed outline (m, 2), positive inside."""
    rows, columns = np.indices(shape, np.float32)
    nearest = np.full(shape, np.inf, np.float32)
    for (x, y), (next_x, next_y) in zip(outline.tolist(), np.roll(outline, -1, axis=0).tolist(), strict=True):
        side_x, side_y = next_x - x, next_y - y
        along = ((columns - x) * side_x + (rows - y) * side_y) / np.float32(max(side_x**2 + side_y**2, 1e-9))
        along = np.clip(along, 0, 1)
        squared = (columns - x - along * np.float32(side_x)) ** 2 + (rows - y - along * np.float32(side_y)) ** 2
        nearest = np.minimum(nearest, squared)
    return np.where(inside_outline(outline, shape), 1, -1).astype(np.float32) * np.sqrt(nearest)


def inside_outline(outline: FloatArray, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The pixels of a picture (rows, columns) within a closed outline (m, 2)."""
    from PIL import Image, ImageDraw

    canvas = Image.new("1", (shape[1], shape[0]))
    ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in outline], fill=1)
    return np.array(canvas, bool)


def light_angle_degrees(gray: FloatArray, outline: FloatArray, box: FloatArray) -> float:
    """Angle in [0, 180] between the directions in which the face and what is around it get brighter.

    A plane is fitted to the logarithm of brightness inside the face's outline, and another to the rest of a square about
    it twice the size. Faces are rarely lit otherwise than their necks; hair and clothes weaken the measurement.
    """
    x, y, half = float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2, float(max(box[2] - box[0], box[3] - box[1]))
    left, top = max(0, int(x - half)), max(0, int(y - half))
    part = gray[top : int(y + half), left : int(x + half)]
    if min(part.shape) < SMALLEST_SIDE:
        return math.nan
    inside = inside_outline(outline - np.array([left, top], np.float32), part.shape)
    if inside.sum() < 100 or (~inside).sum() < 100:
        return math.nan
    face, around = _gradient(part, inside), _gradient(part, ~inside)
    cosine = float(face @ around) / max(float(np.linalg.norm(face) * np.linalg.norm(around)), 1e-9)
    return math.degrees(math.acos(min(1.0, max(-1.0, cosine))))


def light_slope(gray: FloatArray, outline: FloatArray) -> float:
    """How much brighter one side of the face is than the other: |natural logarithm of brightness| per face width."""
    width = float(np.ptp(outline[:, 0]))
    inside = inside_outline(outline, gray.shape)
    if inside.sum() < 100:
        return math.nan
    return abs(float(_gradient(gray, inside)[0])) * width


def frozen_share(changes: FloatArray) -> float:
    """Share of neighbouring frames (mean absolute change in grey levels, (n,)) between which nothing at all moved."""
    return float((changes < FROZEN_LEVELS).mean()) if len(changes) else math.nan


def longest_freeze_seconds(changes: FloatArray, *, fps: float) -> float:
    """The longest time in which nothing at all moved."""
    start, stop = longest_run(changes < FROZEN_LEVELS)
    return (stop - start) / fps if len(changes) else math.nan


def repeated_frames_share(thumbnails: PixelArray, changes: FloatArray) -> float:
    """Share of frames that lie in a moving run of five or more which was already shown (a loop).

    thumbnails uint8 (n, height, width); changes (n - 1,) as in frozen_share. Compared are all pairs of moments, so give
    a few hundred frames at most.
    """
    count = len(thumbnails)
    if count < 2 * REPEATED_RUN:
        return math.nan
    flat = thumbnails.reshape(count, -1).astype(np.float32)
    repeated = np.zeros(count, bool)
    moving = np.concatenate([[False], changes >= FROZEN_LEVELS])
    for lag in range(REPEATED_RUN, count):
        same = (np.abs(flat[lag:] - flat[:-lag]).mean(axis=1) < FROZEN_LEVELS) & moving[lag:]
        for start, stop in runs(same):
            if stop - start >= REPEATED_RUN:
                repeated[lag + start : lag + stop] = True
    return float(repeated.mean())


def pattern_repetition(gray: FloatArray) -> float:
    """How much a background repeats itself: the highest autocorrelation of its detail beyond 8 pixels, in [0, 1]."""
    if min(gray.shape) < SMALLEST_SIDE:
        return math.nan
    detail = np.diff(gray, axis=1)[:-1] + np.diff(gray, axis=0)[:, :-1]
    fades = (np.hanning(length).astype(np.float32) for length in detail.shape)
    detail = (detail - detail.mean()) * np.outer(*fades)
    # Half as much again of nothing: lags up to half the size are compared, and none of them may come round from the other end.
    shape = (next_fast_length(detail.shape[0] * 3 // 2), next_fast_length(detail.shape[1] * 3 // 2))
    correlation = np.fft.irfft2(np.abs(np.fft.rfft2(detail, shape)) ** 2, shape)
    if correlation[0, 0] <= 0:
        return math.nan
    rows, columns = (np.minimum(np.arange(length), length - np.arange(length)) for length in shape)
    far = (rows[:, None] ** 2 + columns[None] ** 2 > 64) & (rows < detail.shape[0] // 2)[:, None]
    far &= (columns < detail.shape[1] // 2)[None]
    return float(max(0.0, correlation[far].max() / correlation[0, 0])) if far.any() else math.nan


def _difference(measure: Callable[[FloatArray], float], face: FloatArray, background: FloatArray) -> float:
    if min(face.shape) < SMALLEST_SIDE or min(background.shape) < SMALLEST_SIDE:
        return math.nan
    return measure(face) - measure(background)


def _gradient(gray: FloatArray, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The plane's slope (x, y) that fits the logarithm of brightness best inside a mask, per pixel."""
    rows, columns = np.nonzero(mask)
    light = np.log(gray[mask].astype(np.float64) + 8.0)
    places = np.stack([columns - columns.mean(), rows - rows.mean()])
    return np.asarray(np.linalg.lstsq(places @ places.T, places @ (light - light.mean()), rcond=None)[0], np.float64)


def median_of(values: Sequence[float]) -> float:
    """The median of what could be measured; NaN where nothing could."""
    known = [value for value in values if math.isfinite(value)]
    return float(np.median(known)) if known else math.nan
