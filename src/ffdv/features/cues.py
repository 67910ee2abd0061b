"""The check-list of a careful viewer as measured numbers, each with its unit, for a person to weigh.

    frames, face ─▶ picture_cues   eyes, sharpness, noise, traces of pasting, light, frozen and repeated frames
    samples      ─▶ sound_cues     repetition, silence, band limit, melody
    both         ─▶ agreement_cues lip-sound offset and how clear it is

A cue is information, not a verdict. CUE_KINDS says for each what real clips show and how well it separates real from fake
on development clips; where the interval of its AUC reaches 0.5 it does not, and nothing may be concluded from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ffdv.features.cues_picture import (
    background_region,
    blinks_per_minute,
    blockiness_difference_db,
    border_sharpness_db,
    face_region,
    frozen_share,
    light_angle_degrees,
    light_slope,
    longest_freeze_seconds,
    longest_stare_seconds,
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
from ffdv.features.landmarks import FACE_OVAL, FaceMesh, Mesh, mesh_at
from ffdv.features.motion import SERIES, PairTable
from ffdv.features.sync import MouthTrack, estimate_offset, luminance
from ffdv.records import FaceTrack, FloatArray, Frame, PixelArray, Samples

LOOK_SECONDS = 0.5  # between the dear measurements (20 ms each); their medians hardly change with more
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
    for frame, _ in watch.watched((frame, None) for frame in frames):
        if watch.is_due(frame):
            watch.look(frame, mesh_at(frame, track, face_mesh))
    return watch.cues()


class PictureWatch:
    """Gathers the picture's cues while frames pass by on their way to something else; memory 60 kB a second for a minute,
    then flat.

        pairs = follow_mesh(frames, track, face_mesh)
        mouth = gather_mouths(iter_mouths(watch.watched(pairs)))
        cues = watch.cues() + eye_cues(mouth)
    """

    def __init__(self, *, fps: float = 25.0) -> None:
        self._fps = fps
        self._looks: dict[str, list[float]] = {code: [] for code in LOOKED_AT}
        self._thumbnails: list[PixelArray] = []
        self._changes: list[float] = []
        self._before: PixelArray | None = None
        self._next_look_seconds = -math.inf

    def watched(self, pairs: Iterable[tuple[Frame, Mesh | None]]) -> Iterator[tuple[Frame, Mesh | None]]:
        """The same pairs of frame and mesh (None where the face is not in sight), each looked at as it passes."""
        for frame, mesh in pairs:
            self._compare(frame.pixels)
            if mesh is not None and self.is_due(frame):
                self.look(frame, mesh)
            yield frame, mesh

    def is_due(self, frame: Frame) -> bool:
        """Whether the dear measurements should be taken of this frame."""
        return frame.seconds >= self._next_look_seconds

    def look(self, frame: Frame, mesh: Mesh | None) -> None:
        """Take the dear measurements of one frame."""
        self._next_look_seconds = frame.seconds + LOOK_SECONDS
        if mesh is not None:
            gray = luminance(frame.pixels).astype(np.float32)
            for code, value in _look(gray, mesh.points[list(FACE_OVAL), :2]).items():
                self._looks[code].append(value)

    def cues(self) -> tuple[Cue, ...]:
        """What was gathered."""
        moved = np.array(self._changes, np.float32)
        numbers = {code: median_of(values) for code, values in self._looks.items()}
        numbers |= {
            "frozen_share": frozen_share(moved),
            "longest_freeze": longest_freeze_seconds(moved, fps=self._fps),
        }
        if self._thumbnails:
            shown = moved[: len(self._thumbnails) - 1]
            numbers["repeated_frames"] = repeated_frames_share(np.stack(self._thumbnails), shown)
        return _cues(numbers)

    def _compare(self, pixels: PixelArray) -> None:
        small = _thumbnail(pixels)
        if self._before is not None:
            self._changes.append(float(np.abs(small.astype(np.int16) - self._before).mean()))
        self._before = small
        if len(self._thumbnails) < REPETITION_FRAMES:
            self._thumbnails.append(small)


def eye_cues(mouth: MouthTrack, *, fps: float = 25.0) -> tuple[Cue, ...]:
    """Blinks, and the longest time without one, from the openings that mouth_crops measured on the way."""
    return _cues(
        {
            "blink_rate": blinks_per_minute(mouth.eye_opening, fps=fps),
            "longest_stare": longest_stare_seconds(mouth.eye_opening, fps=fps),
        }
    )


def motion_cues(table: PairTable) -> tuple[Cue, ...]:
    """How much more than its surroundings the face changes in a way that no shift explains."""
    face, ring = (table.values[:, SERIES.index(f"{region}_residual")] for region in ("face", "ring"))
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


def _look(gray: FloatArray, outline: FloatArray) -> dict[str, float]:
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
    thumbnail: PixelArray = pixels[rows[:, None], columns[None, :], 1]
    return thumbnail


def _cues(numbers: dict[str, float]) -> tuple[Cue, ...]:
    """Cues of what could be measured; what could not is left out, never zero."""
    return tuple(Cue(code, value, CUE_KINDS[code].unit) for code, value in numbers.items() if math.isfinite(value))


Sense = Literal["picture", "voice", "agreement"]
Side = Literal["low", "high"]
_UNKNOWN = (0.0, 0.0)


def _kinds(rows: tuple[tuple[str, str, Sense, Side], ...]) -> dict[str, CueKind]:
    return {code: CueKind(unit, sense, side, _UNKNOWN, 0.5, _UNKNOWN) for code, unit, sense, side in rows}


CUE_KINDS = _kinds(
    (
        ("blink_rate", "per minute", "picture", "low"),
        ("longest_stare", "s", "picture", "high"),
        ("sharpness_difference", "dB", "picture", "low"),
        ("noise_difference", "dB", "picture", "low"),
        ("blockiness_difference", "dB", "picture", "high"),
        ("resampling_difference", "dB", "picture", "high"),
        ("border_sharpness", "dB", "picture", "high"),
        ("light_angle", "degrees", "picture", "high"),
        ("light_slope", "log brightness per face width", "picture", "low"),
        ("background_repetition", "share", "picture", "high"),
        ("face_flicker", "dB", "picture", "high"),
        ("frozen_share", "share", "picture", "high"),
        ("longest_freeze", "s", "picture", "high"),
        ("repeated_frames", "share", "picture", "high"),
        ("repeated_sound", "correlation", "voice", "high"),
        ("longest_silence", "s", "voice", "high"),
        ("pause_depth", "dB", "voice", "low"),
        ("band_limit", "Hz", "voice", "low"),
        ("pitch_spread", "semitones", "voice", "low"),
        ("pitch_jitter", "%", "voice", "low"),
        ("lip_sound_offset", "ms", "agreement", "high"),
        ("lip_sound_correlation", "correlation", "agreement", "low"),
        ("lip_sound_confidence", "correlation", "agreement", "low"),
    )
)
