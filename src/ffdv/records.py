"""The nouns that travel between rooms: small frozen values that refuse nonsense at birth.

Score 1.0 means fake, everywhere. Time is in seconds, half-open ranges [start, stop). Samples are float32 in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
PixelArray = npt.NDArray[np.uint8]

REAL, FAKE = 0, 1
MOST_CHANNELS = 128  # ambisonics of the ninth order has 100: more rows than that are samples


@dataclass(frozen=True)
class Clip:
    """One row of a corpus: a media file, what is known of it, and the groups that it belongs to.

    name: unique in its corpus, as the label file writes it (`video_name`); path: a resolved regular file;
    label: 0 real, 1 fake, None unknown; split: as the corpus names it (train, val, dev, test) or None;
    groups: further columns of the manifest (method, identity, source_repo, speaker ...), text as written.
    """

    name: str
    path: Path
    label: int | None = None
    split: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse labels other than 0, 1 and None."""
        if self.label not in (REAL, FAKE, None):
            raise ValueError(f"clip {self.name!r}: label must be 0 (real), 1 (fake) or None, got {self.label!r}")


@dataclass(frozen=True)
class Note:
    """Something a user must know of how a file was read: what was missing, damaged, limited or mended.

    code: a stable word for machines (no_sound, no_picture, damaged, limited, sanitised, short_sound, audio_track ...);
    text: one plain sentence.
    """

    code: str
    text: str


@dataclass(frozen=True)
class Samples:
    """Sound: values float32, shape (channels, num_samples), finite; rate in Hz; start_seconds on the file's clock."""

    values: FloatArray
    rate: int
    start_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Refuse other shapes and rates."""
        if self.values.ndim != 2 or self.values.dtype != np.float32:
            raise ValueError(f"samples must be float32 (channels, n), got {self.values.dtype} {self.values.shape}")
        if self.rate <= 0:
            raise ValueError(f"sample rate must be positive, got {self.rate}")

    @property
    def num_samples(self) -> int:
        """Samples per channel."""
        return int(self.values.shape[1])

    @property
    def duration_seconds(self) -> float:
        """Length in seconds."""
        return self.num_samples / self.rate

    def mono(self) -> FloatArray:
        """The mean of the channels, shape (num_samples,): FFmpeg's own down-mix to float is 3 dB louder."""
        mean: FloatArray = self.values[0] if len(self.values) == 1 else self.values.mean(axis=0, dtype=np.float32)
        return mean


def float_samples(samples: npt.ArrayLike, *, channels: bool = False) -> FloatArray:
    """Sound as float32: (n,), or with `channels` also (channels, n). What a public function on arrays asks of its caller.

    Raises ValueError, with the cure, on whole numbers, on other shapes, and on NaN or infinity.
    """
    values = np.asarray(samples)
    if values.dtype.kind != "f":
        whole = f"; divide by {np.iinfo(values.dtype).max + 1}" if values.dtype.kind == "i" else ""
        raise ValueError(f"samples must be float32 within -1 and 1, got {values.dtype}{whole}")
    if values.ndim == 2 and values.shape[0] > max(MOST_CHANNELS, values.shape[1]):
        raise ValueError(f"samples of shape {values.shape} lie on their side: channels come first; transpose them")
    if values.ndim not in ((1, 2) if channels else (1,)):
        one = "; take one channel, or the mean over them" if values.ndim == 2 else ""
        raise ValueError(f"samples must have shape (n,){' or (channels, n)' * channels}, got {values.shape}{one}")
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise ValueError(f"{bad} of {values.size} samples are not finite; mend them, or leave them out")
    return values.astype(np.float32, copy=False)


@dataclass(frozen=True)
class Frame:
    """One picture: pixels uint8 (height, width, 3) RGB, upright and with square pixels; seconds on the file's clock."""

    pixels: PixelArray
    seconds: float


@dataclass(frozen=True)
class SoundFacts:
    """What a header says of one sound track; unknown numbers are None."""

    index: int
    codec: str
    rate: int
    channels: int
    start_seconds: float | None
    duration_seconds: float | None
    bit_rate: int | None
    profile: str | None = None


@dataclass(frozen=True)
class PictureFacts:
    """What a header says of one picture track; width and height as stored, rotation in {0, 90, 180, 270} clockwise."""

    index: int
    codec: str
    width: int
    height: int
    fps: float | None
    pixel_format: str | None
    rotation: int
    sample_aspect: float
    start_seconds: float | None
    duration_seconds: float | None
    bit_rate: int | None
    num_frames: int | None
    profile: str | None = None


@dataclass(frozen=True)
class MediaFacts:
    """What is in a file by its headers, nothing decoded; cover art is not a picture track."""

    path: Path
    size_bytes: int
    container: str
    duration_seconds: float | None
    bit_rate: int | None
    pictures: tuple[PictureFacts, ...]
    sounds: tuple[SoundFacts, ...]
    encrypted: bool
    tags: Mapping[str, str]
    notes: tuple[Note, ...] = ()

    @property
    def has_sound(self) -> bool:
        """Whether there is a sound track."""
        return bool(self.sounds)

    @property
    def has_picture(self) -> bool:
        """Whether there is a moving-picture track."""
        return bool(self.pictures)


@dataclass(frozen=True)
class FaceTrack:
    """One face followed through a clip, n sightings in time order.

    seconds (n,) float64; boxes (n, 4) float32 x0 y0 x1 y1 in upright picture pixels; landmarks (n, 5, 2) float32
    right eye, left eye, nose, right and left mouth corner (as seen, in picture pixels), NaN where unknown;
    scores (n,) float32 detector confidence; crops uint8 (n, size, size, 3) aligned RGB, margin stated by the recipe.
    """

    track_id: int
    seconds: npt.NDArray[np.float64]
    boxes: FloatArray
    landmarks: FloatArray
    scores: FloatArray
    crops: PixelArray

    def __post_init__(self) -> None:
        """Refuse arrays of unequal length."""
        lengths = {len(self.seconds), len(self.boxes), len(self.landmarks), len(self.scores), len(self.crops)}
        if len(lengths) != 1:
            raise ValueError(f"face track {self.track_id}: arrays differ in length: {sorted(lengths)}")

    def chosen(self, index: npt.NDArray[np.int64]) -> FaceTrack:
        """These sightings of the same face."""
        return FaceTrack(
            self.track_id,
            self.seconds[index],
            self.boxes[index],
            self.landmarks[index],
            self.scores[index],
            self.crops[index],
        )


@dataclass(frozen=True)
class FacesSeen:
    """What was looked at for faces, so that nothing is silently skipped."""

    tracks: tuple[FaceTrack, ...]
    frames_looked_at: int
    frames_with_face: int
    picture_size: tuple[int, int] | None  # width, height of the upright picture
    tracks_left_out: int = 0  # faces beyond what is kept of one clip, the least prominent ones
    frames_glimpsed: int = 0  # that show a face at all, also one which is gone before it can be followed; 0 from shards


@dataclass(frozen=True)
class MouthTrack:
    """A mouth over time, n frames: seconds (n,) on the file's clock; crops uint8 (n, size, size) grey, black where it is not
    in sight; opening (n,) float32, gap of the inner lips / eye distance, NaN where it is not in sight; points float32 (n, p, 3),
    those of features/landmarks.MOUTH_POINTS about their own middle in eye distances, NaN where it is not in sight; None where
    they were not kept.
    """

    seconds: npt.NDArray[np.float64]
    crops: PixelArray
    opening: FloatArray
    points: FloatArray | None = None

    def __post_init__(self) -> None:
        """Refuse arrays of unequal length."""
        if not len(self.seconds) == len(self.crops) == len(self.opening):
            lengths = (len(self.seconds), len(self.crops), len(self.opening))
            raise ValueError(f"mouth track: seconds, crops and opening differ in length: {lengths}")
        if self.points is not None and (self.points.ndim != 3 or len(self.points) != len(self.seconds)):
            raise ValueError(f"mouth track: {len(self.seconds)} moments, but points of shape {self.points.shape}")

    @property
    def in_sight(self) -> npt.NDArray[np.bool_]:
        """Frames (n,) that show the mouth."""
        return np.isfinite(self.opening)


@dataclass(frozen=True, repr=False)
class Features:
    """All that extract keeps of one file: the dear part, done once, shared by training and detection.

    sound: mono (1, n) at the kept rate, None when the file has none that can be used (a note says why);
    faces: None when the picture was not looked at or there is none (a note says why);
    motion: how neighbouring frames resemble each other, float32 in the order of features/motion.VECTOR_NAMES, NaN where it
    could not be measured; mouth: of the most prominent face; both None when they were not asked for or there is no picture;
    probes: shortcut facts (duration, silence, band, sharpness ...) by name, finite floats.
    """

    facts: MediaFacts
    sound: Samples | None
    faces: FacesSeen | None = None
    probes: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    motion: FloatArray | None = None
    mouth: MouthTrack | None = None

    def __repr__(self) -> str:
        """One line: what there is of each sense."""
        sound = "no sound" if self.sound is None else f"{self.sound.duration_seconds:.1f} s of sound"
        faces = "" if self.faces is None else f", {len(self.faces.tracks)} faces"
        rest = "".join(f", {name}" for name in ("motion", "mouth") if getattr(self, name) is not None)
        return f"Features({self.facts.path.name!r}, {sound}{faces}{rest}, {len(self.probes)} probes, {len(self.notes)} notes)"


Status = Literal["ok", "failed"]


@dataclass(frozen=True)
class Score:
    """The opinion on one clip: y_pred in [0, 1], 1 = fake; None with a reason when there can be none.

    With a number, reason says what could not be looked at and how the clip is unlike what training saw, empty where neither is. senses: the same per sense (voice,
    picture, agreement), only for senses that were there to be judged; verdict: real, fake or
    cannot tell where the model holds thresholds, else empty.
    """

    name: str
    y_pred: float | None
    status: Status = "ok"
    reason: str = ""
    senses: Mapping[str, float] = field(default_factory=dict)
    verdict: str = ""

    def __post_init__(self) -> None:
        """A score is finite and in [0, 1]; a failure has a reason and no number."""
        if self.status == "failed":
            if self.y_pred is not None or not self.reason:
                raise ValueError(f"score of {self.name!r}: a failure has a reason and no y_pred")
            return
        if self.y_pred is None or not math.isfinite(self.y_pred) or not 0.0 <= self.y_pred <= 1.0:
            raise ValueError(f"score of {self.name!r}: y_pred must lie in [0, 1], got {self.y_pred!r}")

    @property
    def failure(self) -> str:
        """Why there is no score, empty where there is one."""
        return self.reason if self.status == "failed" else ""


def member_name(member: str) -> str:
    """What a fusion calls a member, and its folder in the run: a recipe's name, its file's stem, or the name of a finished run's folder.

    >>> [member_name(one) for one in ("voice", "my/nets.toml", "runs/a.2", "runs/b/best.safetensors")]
    ['voice', 'nets', 'a.2', 'b']
    """
    path = Path(member)
    if path.suffix == ".safetensors":
        return path.parent.name
    return path.stem if path.suffix == ".toml" else path.name
