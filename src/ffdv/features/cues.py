"""The check-list of a careful viewer as measured numbers, each with its unit, for a person to weigh.

    frames, face ─▶ picture_cues   eyes, sharpness, noise, traces of pasting, light, frozen and repeated frames
    samples      ─▶ sound_cues     repetition, silence, band limit, melody
    both         ─▶ agreement_cues lip-sound offset and how clear it is

A cue is information, not a verdict. CUE_KINDS says for each what real clips show and how well it separates real from fake
on development clips; where the interval of its AUC reaches 0.5 it does not, and nothing may be concluded from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ffdv.features.crops import cut_square
from ffdv.features.cues_picture import (
    EYE_SIDE,
    background_region,
    blinks_per_minute,
    blockiness_difference_db,
    border_sharpness_db,
    eye_likeness,
    face_region,
    frozen_share,
    light_angle_degrees,
    light_slope,
    longest_freeze_seconds,
    median_of,
    noise_difference_db,
    pattern_repetition,
    repeated_frames_share,
    resampling_difference_db,
    sharpness_difference_db,
)
from ffdv.features.cues_sound import (
    band_limit_hz,
    longest_silence_seconds,
    pause_depth_db,
    pitch_curve,
    pitch_jitter_percent,
    pitch_spread_semitones,
    repeated_sound,
)
from ffdv.features.landmarks import FACE_OVAL, FaceMesh, Mesh, follow_mesh
from ffdv.features.sync import MouthTrack, estimate_offset, luminance
from ffdv.records import FaceTrack, FloatArray, Frame, PixelArray, Samples

LOOK_SECONDS = 0.5  # between the dear measurements (20 ms each); their medians hardly change with more
MEASURED_SIDE = (
    160  # pixels: a larger face is shrunk by a whole factor before those, as the ranges below are of faces that size
)
EYE_FRAMES = 15_000  # ten minutes: blinks are counted in so many frames at most
REPETITION_FRAMES = 1500  # a minute: loops are looked for in so many frames at most
THUMBNAIL = (36, 64)
LOOKED_AT = (
    "sharpness_difference",
    "noise_difference",
    "blockiness_difference",
    "resampling_difference",
    "border_sharpness",
    "light_angle",
    "light_slope",
    "background_repetition",
)


@dataclass(frozen=True)
class Cue:
    """One measured number: code names it (a key of CUE_KINDS), value is finite, unit says what it counts."""

    code: str
    value: float
    unit: str

    def __post_init__(self) -> None:
        """Refuse cues that nobody described and numbers that are none."""
        if self.code not in CUE_KINDS:
            raise ValueError(f"no cue is called {self.code!r}; the known ones are {', '.join(CUE_KINDS)}")
        if not math.isfinite(self.value):
            raise ValueError(f"cue {self.code}: a value must be finite, got {self.value}; leave it out")


@dataclass(frozen=True)
class CueKind:
    """What is known of a cue: its unit; the sense that it belongs to; which side is suspicious; the 5th and 95th percentile
    over real development clips; the AUC on balanced development clips, suspicious side up, with its 95 % interval.
    """

    unit: str
    sense: Literal["picture", "voice", "agreement"]
    suspicious: Literal["low", "high"]
    real_range: tuple[float, float]
    auc: float
    auc_interval: tuple[float, float]

    @property
    def separates(self) -> bool:
        """Whether it tells real from fake at all on development clips; otherwise it is shown as information only."""
        return self.auc_interval[0] > 0.5


def picture_cues(
    frames: Iterable[Frame], track: FaceTrack, face_mesh: FaceMesh, *, fps: float = 25.0
) -> tuple[Cue, ...]:
    """Cues of one face and the picture around it; frames as read at fps."""
    watch = PictureWatch(fps=fps)
    for _ in watch.watched(follow_mesh(frames, track, face_mesh)):
        pass
    return watch.cues()


class PictureWatch:
    """Gathers the picture's cues while frames pass by on their way to something else; memory 0.1 MB a second for ten
    minutes, then flat.

        pairs = follow_mesh(frames, track, face_mesh)
        mouth = gather_mouths(iter_mouths(watch.watched(pairs)))
        cues = watch.cues()
    """

    def __init__(self, *, fps: float = 25.0, look_seconds: float = LOOK_SECONDS) -> None:
        self._fps = fps
        self._look_seconds = look_seconds
        self._looks: dict[str, list[float]] = {code: [] for code in LOOKED_AT}
        self._thumbnails: list[PixelArray] = []
        self._changes: list[float] = []
        self._before: PixelArray | None = None
        self._eyes: list[PixelArray] = []
        self._next_look_seconds = -math.inf

    def watched(self, pairs: Iterable[tuple[Frame, Mesh | None]]) -> Iterator[tuple[Frame, Mesh | None]]:
        """The same pairs of frame and mesh (None where the face is not in sight), each looked at as it passes."""
        for frame, mesh in pairs:
            self._compare(frame.pixels)
            if mesh is not None:
                self._look(frame, mesh)
            yield frame, mesh

    def cues(self) -> tuple[Cue, ...]:
        """What was gathered."""
        moved = np.array(self._changes, np.float32)
        numbers = {code: median_of(values) for code, values in self._looks.items()}
        numbers |= {
            "frozen_share": frozen_share(moved),
            "longest_freeze": longest_freeze_seconds(moved, fps=self._fps),
        }
        if self._eyes:
            likeness = eye_likeness(np.stack(self._eyes), fps=self._fps)
            numbers["blink_rate"] = blinks_per_minute(likeness, fps=self._fps)
        if self._thumbnails:
            shown = moved[: len(self._thumbnails) - 1]
            numbers["repeated_frames"] = repeated_frames_share(np.stack(self._thumbnails), shown)
        return _cues(numbers)

    def _look(self, frame: Frame, mesh: Mesh) -> None:
        if len(self._eyes) < EYE_FRAMES:
            self._eyes.append(
                np.stack([luminance(cut_square(frame.pixels, eye, EYE_SIDE)) for eye in mesh.eye_squares()])
            )
        if frame.seconds >= self._next_look_seconds:
            self._next_look_seconds = frame.seconds + self._look_seconds
            gray, outline = _around_face(frame.pixels, mesh.points[list(FACE_OVAL), :2])
            for code, value in _region_numbers(gray, outline).items():
                self._looks[code].append(value)

    def _compare(self, pixels: PixelArray) -> None:
        small = _thumbnail(pixels)
        if self._before is not None:
            self._changes.append(float(np.abs(small.astype(np.int16) - self._before).mean()))
        self._before = small
        if len(self._thumbnails) < REPETITION_FRAMES:
            self._thumbnails.append(small)


def motion_cues(face: FloatArray, ring: FloatArray) -> tuple[Cue, ...]:
    """How much more than its surroundings the face changes in a way that no shift explains.

    face, ring: residuals (n,) of pairs of frames, see motion.region_residuals; NaN where no face is in sight. Empty without any pair.
    """
    if not len(face):
        return ()
    known = np.isfinite(face) & np.isfinite(ring)
    ratio = 20 * np.log10((face[known] + 0.5) / (ring[known] + 0.5))
    return _cues({"face_flicker": float(np.median(ratio)) if known.any() else math.nan})


def sound_cues(samples: Samples) -> tuple[Cue, ...]:
    """Cues of the voice, from the whole sound at its own rate."""
    mono, rate = samples.mono(), samples.rate
    pitch = pitch_curve(mono, rate)
    return _cues(
        {
            "repeated_sound": repeated_sound(mono, rate),
            "longest_silence": longest_silence_seconds(mono, rate),
            "pause_depth": pause_depth_db(mono, rate),
            "band_limit": band_limit_hz(mono, rate),
            "pitch_spread": pitch_spread_semitones(pitch),
            "pitch_jitter": pitch_jitter_percent(pitch),
        }
    )


def agreement_cues(mouth: MouthTrack, samples: Samples, *, fps: float = 25.0) -> tuple[Cue, ...]:
    """Offset of the sound against the lips and how clear it is, by correlation alone; empty with too little mouth."""
    offset = estimate_offset(mouth, samples, fps=fps)
    if offset is None:
        return ()
    return _cues(
        {
            "lip_sound_offset": abs(offset.offset_frames) / fps * 1000,
            "lip_sound_correlation": offset.correlation,
            "lip_sound_confidence": offset.confidence,
        }
    )


def _around_face(pixels: PixelArray, outline: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The face and as much again to each side, grey (height, width), and its outline (m, 2) there; a face of more than
    MEASURED_SIDE pixels is shrunk by a whole factor: what a face shows must not depend on the size of the picture.
    """
    from PIL import Image

    low, high = outline.min(axis=0), outline.max(axis=0)
    side = float((high - low).max())
    left, top = np.floor(low - side).astype(int).clip(0)
    right, bottom = np.ceil(high + side).astype(int)
    factor = max(1, round(side / MEASURED_SIDE))
    gray = luminance(pixels[top:bottom, left:right])
    if factor > 1 and min(gray.shape) >= factor:
        gray = np.asarray(Image.fromarray(gray).reduce(factor))
    return gray.astype(np.float32), (outline - np.array([left, top], np.float32)) / np.float32(factor)


def _region_numbers(gray: FloatArray, outline: FloatArray) -> dict[str, float]:
    """The dear measurements of one picture (height, width) with the outline of its face (m, 2)."""
    box = np.concatenate([outline.min(axis=0), outline.max(axis=0)]).astype(np.float32)
    face, background = face_region(gray, box), background_region(gray, box[None])
    return {
        "sharpness_difference": sharpness_difference_db(face, background),
        "noise_difference": noise_difference_db(face, background),
        "blockiness_difference": blockiness_difference_db(face, background),
        "resampling_difference": resampling_difference_db(face, background),
        "border_sharpness": border_sharpness_db(gray, outline),
        "light_angle": light_angle_degrees(gray, outline, box),
        "light_slope": light_slope(gray, outline),
        "background_repetition": pattern_repetition(background),
    }


def _thumbnail(pixels: PixelArray) -> PixelArray:
    """36 by 64 points of the green channel, not smoothed: a camera's noise must stay."""
    rows = np.linspace(0, pixels.shape[0] - 1, THUMBNAIL[0]).astype(int)
    columns = np.linspace(0, pixels.shape[1] - 1, THUMBNAIL[1]).astype(int)
    thumbnail: PixelArray = pixels[:, :, 1][rows][:, columns]  # rows whole first: three times as fast as point by point
    return thumbnail


def _cues(numbers: dict[str, float]) -> tuple[Cue, ...]:
    """Cues of what could be measured; what could not is left out, never zero."""
    return tuple(Cue(code, value, CUE_KINDS[code].unit) for code, value in numbers.items() if math.isfinite(value))


# Measured by benchmarks/cues.py on the balanced rows of the development clips (docs/log.md, 2026-11-22): 99 real, 45 or 46 fake of
# the cue's own sense. Only longest_stare, face_flicker, pause_depth and lip_sound_offset separate; the others are information.
CUE_KINDS: Mapping[str, CueKind] = {
    "blink_rate": CueKind("per minute", "picture", "low", (0.0, 0.0), 0.51, (0.50, 0.53)),
    "longest_stare": CueKind("s", "picture", "high", (1.52, 5.28), 0.61, (0.53, 0.70)),
    "sharpness_difference": CueKind("dB", "picture", "low", (-4.79, 12.1), 0.54, (0.43, 0.65)),
    "noise_difference": CueKind("dB", "picture", "low", (0.0, 17.4), 0.50, (0.40, 0.61)),
    "blockiness_difference": CueKind("dB", "picture", "high", (-1.08, 0.067), 0.49, (0.40, 0.60)),
    "resampling_difference": CueKind("dB", "picture", "high", (-5.03, 2.14), 0.55, (0.45, 0.65)),
    "border_sharpness": CueKind("dB", "picture", "high", (-2.73, 4.99), 0.49, (0.39, 0.60)),
    "light_angle": CueKind("degrees", "picture", "high", (8.78, 152.0), 0.55, (0.45, 0.64)),
    "light_slope": CueKind("log brightness per face width", "picture", "low", (0.0334, 1.13), 0.47, (0.38, 0.57)),
    "background_repetition": CueKind("share", "picture", "high", (0.146, 0.676), 0.48, (0.38, 0.59)),
    "face_flicker": CueKind("dB", "picture", "high", (-0.204, 10.1), 0.68, (0.58, 0.76)),
    "frozen_share": CueKind("share", "picture", "high", (0.0, 0.249), 0.50, (0.41, 0.59)),
    "longest_freeze": CueKind("s", "picture", "high", (0.0, 0.248), 0.52, (0.43, 0.62)),
    "repeated_frames": CueKind("share", "picture", "high", (0.0, 0.0), 0.50, (0.50, 0.50)),
    "repeated_sound": CueKind("correlation", "voice", "high", (0.0729, 0.442), 0.51, (0.42, 0.61)),
    "longest_silence": CueKind("s", "voice", "high", (6.25e-05, 0.00203), 0.51, (0.41, 0.61)),
    "pause_depth": CueKind("dB", "voice", "low", (-46.4, -12.9), 0.63, (0.54, 0.71)),
    "band_limit": CueKind("Hz", "voice", "low", (7990.0, 8000.0), 0.51, (0.46, 0.57)),
    "pitch_spread": CueKind("semitones", "voice", "low", (1.15, 6.95), 0.54, (0.44, 0.64)),
    "pitch_jitter": CueKind("%", "voice", "low", (1.06, 2.58), 0.43, (0.32, 0.52)),
    "lip_sound_offset": CueKind("ms", "agreement", "high", (0.0, 560.0), 0.63, (0.53, 0.71)),
    "lip_sound_correlation": CueKind("correlation", "agreement", "low", (0.27, 0.663), 0.58, (0.48, 0.67)),
    "lip_sound_confidence": CueKind("correlation", "agreement", "low", (0.279, 0.71), 0.59, (0.49, 0.68)),
}
