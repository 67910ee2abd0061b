"""What training and detection share: extract (a file → Features, the dear part) and finish (Features → arrays, the cheap part).

    file ──extract──▶ Features: sound at its own rate (at most 22,050 Hz, mono), faces, movement, mouth, probes, notes
                         └──finish──▶ windows at the model's rate

prepare stores what extract returns; detect calls both in a row. The two roads cannot drift apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import soxr
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ffdv.errors import MediaDamaged, MediaLimit, MediaUnreadable, StreamMissing
from ffdv.features.crops import as_planes, evenly, jittered
from ffdv.features.face_detectors import FaceDetector, make_face_detector
from ffdv.features.faces import FaceSpec, find_faces, no_face_note
from ffdv.features.fingerprints import SoundFingerprint, as_probes
from ffdv.features.kept_sound import KeptSound
from ffdv.features.landmarks import FaceMesh, follow_mesh
from ffdv.features.motion import MotionSpec, NeighbourComparison, summarised
from ffdv.features.probes import SoundProbes, container_probes
from ffdv.features.probes_picture import PROBED_SECONDS, PictureProbes
from ffdv.features.sync import MouthSpec, gather_mouths, iter_mouths
from ffdv.media.limits import Limits
from ffdv.media.read import Media, iter_samples, open_media, read_frames
from ffdv.records import (
    FacesSeen,
    FaceTrack,
    Features,
    FloatArray,
    Frame,
    MouthTrack,
    Note,
    PixelArray,
    Samples,
)

# The published pipeline reads sound at 22,050 Hz; higher bands are kept only as probes.
MAX_SAMPLE_RATE = 22_050
MIN_SOUND_SECONDS = 0.1  # less holds no syllable: no opinion can stand on it
MIN_SOUND_RATE = 4000  # below telephone quality there is no speech to judge
# Movement and mouth are followed so long from the first sighting of the face: a minute of mouths takes 14 MB.
FOLLOWED_SECONDS = 60.0
MAX_FACES = 4  # judged of a clip: each further one is another chance of a false alarm


class ExtractSpec(BaseModel):
    """What extract keeps of a file; prepared shards remember it and refuse to mix two of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_sample_rate: int = Field(default=MAX_SAMPLE_RATE, ge=MIN_SOUND_RATE, le=192_000)  # Hz
    max_seconds: float = Field(default=600.0, gt=0)
    probes: bool = True
    faces: FaceSpec | None = None  # None: the picture is not looked at
    crops_kept: int | None = Field(default=None, ge=1)  # of each face, evenly spread over its sightings; None: all
    motion: MotionSpec | None = None  # None: neighbouring frames are not compared
    mouth: MouthSpec | None = None  # None: the mouth is not followed

    @model_validator(mode="after")
    def _followed_by_its_face(self) -> Self:
        """Refuse what needs a face without looking for one, and rates that cannot share one reading."""
        if self.faces is None and (self.motion or self.mouth):
            raise ValueError("motion and mouth follow a face; set faces as well")
        if self.motion and self.mouth and (self.mouth.fps / self.motion.fps) % 1:
            raise ValueError(f"mouth.fps {self.mouth.fps:g} must be a multiple of motion.fps {self.motion.fps:g}")
        return self


STANDARD = ExtractSpec()


def extract(path: Path | str, spec: ExtractSpec = STANDARD) -> Features:
    """Decode a file once, in bounded memory, and keep what any model may need.

    sound is mono at the file's own rate, at most spec.max_sample_rate; None with a note (no_sound, short_sound, low_rate)
    where there is none that can be judged; likewise faces (no_picture, damaged_picture, no_face), looked for when spec.faces
    says how. motion and mouth are those of the most prominent face, over the first minute that shows it. Beyond a minute
    sound has 16 bits. Raises MediaError when the file cannot be used at all.
    """
    features, sound = extract_packed(path, spec)
    return features if sound is None else replace(features, sound=sound.samples())


def extract_packed(path: Path | str, spec: ExtractSpec = STANDARD) -> tuple[Features, KeptSound | None]:
    """The same, the sound apart from the features and packed when it is long: ten minutes in 10 MB instead of 53."""
    with open_media(path, limits=Limits(max_seconds=spec.max_seconds)) as media:
        probes = container_probes(media.facts) if spec.probes else {}
        sound, missing = None, _no_sound(media)
        if missing is None:
            sound, heard, missing = _read_sound(media, spec)
            probes |= heard
        faces, shown, unseen = _find_faces(media, spec, alone=sound is None)
        probes |= shown
        motion, mouth = _follow(media, spec, faces) if faces else (None, None)
        known = {note.code for note in media.notes}
        notes = (*media.notes, *(note for note in (missing, unseen) if note and note.code not in known))
        return Features(media.facts, None, _thinned(faces, spec.crops_kept), probes, notes, motion, mouth), sound


def finish_sound(
    samples: Samples, *, rate: int, window_seconds: float | None, hop_seconds: float | None
) -> tuple[FloatArray, npt.NDArray[np.float64]]:
    """Sound at the model's rate, cut into windows: float32 (windows, n) and the start of each on the file's clock (windows,).

    Windows stand hop_seconds apart (None: end to end); when the last one does not end with the sound, one more that does is added.
    A clip that is shorter than a window is one shorter window and is never padded: zeros would pose as silence. window_seconds
    None is the whole clip. Raises ValueError on a sound without samples.

        |------ sound ----------------|
        |-- w0 --|   |-- w2 --|
              |-- w1 --|   |--- w3 ---|     the last is aligned to the end
    """
    mono = resample_mono(samples, rate)
    starts, length = window_starts(len(mono), rate=rate, window_seconds=window_seconds, hop_seconds=hop_seconds)
    windows = np.stack([mono[start : start + length] for start in starts])
    return windows, samples.start_seconds + starts / rate


@dataclass(frozen=True)
class FinishedFace:
    """One face as a net for pictures takes it: crops uint8 (n, 3, size, size), seconds (n,), which track it is."""

    track_id: int
    crops: PixelArray
    seconds: npt.NDArray[np.float64]


def finish_faces(seen: FacesSeen, *, frames: int, size: int) -> tuple[FinishedFace, ...]:
    """The MAX_FACES most prominent faces of a clip, each as at most `frames` crops, evenly spread over its sightings."""
    chosen = [track.chosen(evenly(len(track.crops), frames)) for track in seen.tracks[:MAX_FACES]]
    return tuple(FinishedFace(track.track_id, as_planes(track.crops, size), track.seconds) for track in chosen)


@dataclass(frozen=True)
class JointWindow:
    """One stretch of a clip for a net that sees and hears: crops uint8 (frames, 3, size, size), crop_seconds (frames,) float32
    and sound (n,) float32 count from start_seconds; either may be empty.
    """

    crops: PixelArray
    crop_seconds: FloatArray
    sound: FloatArray
    start_seconds: float


@dataclass(frozen=True)
class JointPart:
    """The same before the crops are brought to size: crops (frames, h, w, 3), places (frames,) of them in their track."""

    crops: PixelArray
    places: npt.NDArray[np.int64]
    crop_seconds: FloatArray
    sound: FloatArray


def finish_joint(
    sound: Samples | None,
    seen: FacesSeen | None,
    *,
    rate: int,
    window_seconds: float,
    hop_seconds: float | None,
    frames: int,
    size: int,
) -> tuple[JointWindow, ...]:
    """Windows of sound at `rate` Hz with the most prominent face's crops in each, as finish_sound cuts them; over the face's time
    where there is no sound. Empty where there is neither.
    """
    track = seen.tracks[0] if seen and seen.tracks else None
    if sound is None and track is None:
        return ()
    first, last = joint_span(sound, track)
    starts, _ = window_starts(
        max(1, round((last - first) * 1000)), rate=1000, window_seconds=window_seconds, hop_seconds=hop_seconds
    )
    whole = None if sound is None else Samples(resample_mono(sound, rate)[None], rate, sound.start_seconds)
    windows = []
    for start in (first + starts / 1000).tolist():
        part = joint_window(whole, track, start=start, seconds=window_seconds, frames=frames)
        windows.append(JointWindow(as_planes(part.crops, size), part.crop_seconds, part.sound, start))
    kept = tuple(window for window in windows if len(window.crops) or len(window.sound))
    return kept or tuple(windows[:1])


def joint_span(sound: Samples | None, track: FaceTrack | None) -> tuple[float, float]:
    """From when to when there is something, in seconds: the sound's time, or else the face's."""
    if sound is not None:
        return sound.start_seconds, sound.start_seconds + sound.duration_seconds
    return (float(track.seconds[0]), float(track.seconds[-1]) + 0.1) if track is not None else (0.0, 0.0)


def joint_window(
    sound: Samples | None,
    track: FaceTrack | None,
    *,
    start: float,
    seconds: float,
    frames: int,
    rng: np.random.Generator | None = None,
) -> JointPart:
    """What is heard and seen in [start, start + seconds): at most `frames` crops, evenly spread; with rng, one somewhere in each
    of equal shares.
    """
    heard = np.zeros(0, np.float32)
    if sound is not None:
        first = round((start - sound.start_seconds) * sound.rate)
        heard = sound.mono()[max(0, first) : max(0, first + round(seconds * sound.rate))]
    if track is None:
        none = np.zeros(0, np.float32)
        return JointPart(np.zeros((0, 1, 1, 3), np.uint8), np.zeros(0, np.int64), none, heard)
    inside = np.flatnonzero((track.seconds >= start) & (track.seconds < start + seconds))
    chosen = inside[evenly(len(inside), frames) if rng is None else jittered(len(inside), frames, rng)]
    moments = (track.seconds[chosen] - start).astype(np.float32)
    return JointPart(track.crops[chosen], chosen, moments, heard)


def window_starts(
    num_samples: int, *, rate: int, window_seconds: float | None, hop_seconds: float | None
) -> tuple[npt.NDArray[np.int64], int]:
    """Where windows begin, in samples, and their common length; see finish_sound.

    >>> window_starts(10, rate=1, window_seconds=4, hop_seconds=3)
    (array([0, 3, 6]), 4)
    >>> window_starts(11, rate=1, window_seconds=4, hop_seconds=3)
    (array([0, 3, 6, 7]), 4)
    >>> window_starts(3, rate=1, window_seconds=4, hop_seconds=None)
    (array([0]), 3)
    """
    if num_samples < 1:
        raise ValueError("the sound has no samples; a clip without sound is scored by its other senses")
    length = num_samples if window_seconds is None else min(num_samples, max(1, round(window_seconds * rate)))
    hop = length if hop_seconds is None else max(1, round(hop_seconds * rate))
    last = num_samples - length
    starts = np.arange(0, last + 1, hop, dtype=np.int64)
    return (starts if starts[-1] == last else np.append(starts, last)), length


def resample_mono(samples: Samples, rate: int) -> FloatArray:
    """The mean of the channels at `rate` Hz (n,), by soxr HQ; unchanged when it has that rate already."""
    mono = samples.mono()
    if samples.rate == rate:
        return mono
    resampled: FloatArray = soxr.resample(mono, samples.rate, rate, quality="HQ")
    return resampled


def _no_sound(media: Media) -> Note | None:
    return None if media.facts.has_sound else Note("no_sound", "the file has no sound track")


def _find_faces(
    media: Media, spec: ExtractSpec, *, alone: bool
) -> tuple[FacesSeen | None, dict[str, float], Note | None]:
    """The faces, the picture's probes, and why there are no faces; a picture that cannot be read is an error only where
    it is alone.
    """
    if spec.faces is None:
        return None, {}, None
    if not media.facts.has_picture:
        return None, {}, Note("no_picture", "the file has no moving picture")
    probes = PictureProbes() if spec.probes else None
    detector = _face_detector(spec.faces.detector, spec.faces.model)
    try:
        seen = find_faces(_probed(read_frames(media, fps=spec.faces.fps), probes), spec.faces, detector)
    except (StreamMissing, MediaDamaged, MediaLimit) as error:
        if alone:
            raise
        code = "no_picture" if isinstance(error, StreamMissing) else "damaged_picture"
        return None, {}, Note(code, error.reason)
    note = None
    if not seen.tracks:
        note = no_face_note(seen.frames_looked_at, seen.frames_glimpsed)
    elif seen.tracks_left_out:
        note = Note("faces_left_out", f"{seen.tracks_left_out} less prominent faces were seen but not kept")
    return seen, probes.finish() if probes else {}, note


def _probed(frames: Iterable[Frame], probes: PictureProbes | None) -> Iterator[Frame]:
    """The same frames; one a second of the first PROBED_SECONDS is measured as it passes."""
    second = 0
    for frame in frames:
        if probes is not None and second <= frame.seconds < PROBED_SECONDS:
            probes.add(frame.pixels)
            second = math.floor(frame.seconds) + 1
        yield frame


def _follow(media: Media, spec: ExtractSpec, seen: FacesSeen) -> tuple[FloatArray | None, MouthTrack | None]:
    """Movement and mouth of the most prominent face in one more reading of the picture; None where they were not asked for.

    Without a face the movement of the whole picture is left, and no mouth.
    """
    track = seen.tracks[0] if seen.tracks else None
    mouth_spec = spec.mouth if track is not None else None
    if spec.motion is None and mouth_spec is None:
        return None, None
    start = max(0.0, float(track.seconds[0]) - 1.0) if track is not None else 0.0
    fps = mouth_spec.fps if mouth_spec else spec.motion.fps if spec.motion else 1.0
    frames = read_frames(
        media, fps=fps, start_seconds=math.floor(start * fps) / fps, stop_seconds=start + FOLLOWED_SECONDS
    )
    comparison = NeighbourComparison(track, spec.motion) if spec.motion else None
    if comparison is not None and spec.motion is not None:
        frames = _shown_to(comparison, frames, every=round(fps / spec.motion.fps))
    mouth = None
    if mouth_spec is not None and track is not None:
        mouth = gather_mouths(iter_mouths(follow_mesh(frames, track, _face_mesh()), mouth_spec), mouth_spec)
    else:
        for _ in frames:
            pass
    return summarised(comparison.table()).values if comparison else None, mouth


def _shown_to(comparison: NeighbourComparison, frames: Iterable[Frame], *, every: int) -> Iterator[Frame]:
    """The same frames; every `every`-th is compared as it passes."""
    for number, frame in enumerate(frames):
        if number % every == 0:
            comparison.look(frame)
        yield frame


def _thinned(seen: FacesSeen | None, crops_kept: int | None) -> FacesSeen | None:
    """At most so many sightings of each face, evenly spread."""
    if seen is None or crops_kept is None:
        return seen
    return replace(seen, tracks=tuple(_thinned_track(track, crops_kept) for track in seen.tracks))


def _thinned_track(track: FaceTrack, crops_kept: int) -> FaceTrack:
    return track.chosen(evenly(len(track.seconds), crops_kept))


@cache
def _face_mesh() -> FaceMesh:
    """One mesh network per process."""
    return FaceMesh()


@cache
def _face_detector(name: str, model: Path | None) -> FaceDetector:
    """One detector per process: opening its network costs more than a picture."""
    return make_face_detector(name, model=model)


def _read_sound(media: Media, spec: ExtractSpec) -> tuple[KeptSound | None, dict[str, float], Note | None]:
    """The sound at its kept rate, its probes, and why there is none."""
    reader: _SoundReader | None = None
    try:
        for block in iter_samples(media, mono=False):
            if reader is None:
                if block.rate < MIN_SOUND_RATE:
                    return (
                        None,
                        {},
                        Note("low_rate", f"the sound has only {block.rate} samples a second, too few for speech"),
                    )
                reader = _SoundReader(block, spec)
            reader.add(block)
    except StreamMissing as error:
        return None, {}, Note("no_sound", error.reason)
    except (MediaDamaged, MediaLimit, MediaUnreadable) as error:
        if not media.facts.has_picture:
            raise
        return None, {}, Note("damaged_sound", error.reason)
    if reader is None:
        return None, {}, Note("no_sound", "the sound track holds no sound")
    sound, probes = reader.finish()
    if sound.duration_seconds < MIN_SOUND_SECONDS:
        text = (
            f"the sound lasts only {sound.duration_seconds * 1000:.0f} ms; {MIN_SOUND_SECONDS * 1000:.0f} ms are needed"
        )
        return None, probes, Note("short_sound", text)
    return sound, probes, None


class _SoundReader:
    """Probes at the file's rate, the kept sound and its fingerprint, block by block."""

    def __init__(self, first: Samples, spec: ExtractSpec) -> None:
        kept_rate = min(first.rate, spec.max_sample_rate)
        self._kept = KeptSound(kept_rate, first.start_seconds)
        self._probes = SoundProbes(first.rate) if spec.probes else None
        self._fingerprint = SoundFingerprint(kept_rate) if spec.probes else None
        self._resampler = None
        if kept_rate != first.rate:
            self._resampler = soxr.ResampleStream(first.rate, kept_rate, 1, dtype="float32", quality="HQ")

    def add(self, block: Samples) -> None:
        mono = block.mono()
        if self._probes is not None:
            self._probes.add(block.values, mono)
        self._keep(mono if self._resampler is None else self._resampler.resample_chunk(mono))

    def _keep(self, more: FloatArray) -> None:
        self._kept.add(more)
        if self._fingerprint is not None:
            self._fingerprint.add(more)

    def finish(self) -> tuple[KeptSound, dict[str, float]]:
        if self._resampler is not None:
            self._keep(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        probes = {} if self._probes is None else self._probes.finish()
        if self._fingerprint is not None:
            probes |= as_probes("sound", self._fingerprint.finish())
        return self._kept, probes
