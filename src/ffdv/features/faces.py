"""Faces of a clip: found, followed and cut out, in bounded memory however long the clip is.

    frames ─▶ whole picture every k-th frame, after a cut, or when a face was lost   ┐
              else only a window around each known face                             ┴▶ tracks ─▶ gates ─▶ crops

What was looked at is counted, so that nothing is silently skipped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ffdv.features.crops import cut_square, face_square, moved_inside
from ffdv.features.face_detectors import NO_FACES, Detections, FaceDetector, containment, joined, shrunk
from ffdv.features.tracking import MovingBox, matched
from ffdv.records import FacesSeen, FaceTrack, FloatArray, Frame, Note, PixelArray
from ffdv.sentences import Sentence

WINDOW_MARGIN = 2.2  # a known face is looked for in a window this many times its side,
WINDOW_SIDE = 160  # shrunk to at most this many pixels: a face of 73
MAX_WINDOWS = 4  # with more known faces the whole picture is as cheap
IDLE_SECONDS = 0.3  # after a picture without faces the next one is looked at no sooner
RESCUE_SIDE = 160  # a picture without faces is looked at once a second this small: heavy noise averages out
MAX_INSIDE = 0.5  # share of the smaller of two boxes: a new face that much inside a known one is none
CROWD = 4  # with more faces than this in the picture each one's crops are cut less often, one in 2, 4, 8
MAX_OPEN_TRACKS = 32  # the largest faces of a crowd
FEWEST_KEPT = 8  # a track is not thinned below this many crops while there are others to thin
CUT_SHARE, CUT_LEVELS = 0.6, 25  # a cut changes this share of the picture by more than so many of 255 levels


class FaceSpec(BaseModel):
    """How faces are looked for and what is kept of them; prepared shards remember it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fps: float = Field(default=8.0, gt=0, le=120)  # frames looked at per second of video
    detector: str = "yunet"
    model: Path | None = None  # another file of the detector's network; None: the packaged one
    detect_side: int = Field(
        default=960, ge=128, le=4096
    )  # longer side of the shrunk whole picture, pixels: 640 loses faces of 35 in 720p
    scan_every: int = Field(default=8, ge=1)  # the whole picture is searched on every k-th looked-at frame
    start_score: float = Field(default=0.7, ge=0, le=1)  # a new face must be at least this sure ...
    keep_score: float = Field(default=0.45, ge=0, le=1)  # ... a known one this sure
    min_mean_score: float = Field(
        default=0.6, ge=0, le=1
    )  # over a track: real faces stay above 0.6 even turned by 90 degrees
    min_side: int = Field(default=24, ge=1)  # pixels of the picture; smaller faces hold nothing to judge
    min_share: float = Field(
        default=0.04, ge=0, le=1
    )  # of the picture's shorter side: smaller ones are logos and crowds
    min_sightings: int = Field(
        default=3, ge=1
    )  # shorter tracks are false alarms (fewer looked-at frames ask for fewer)
    max_gap_seconds: float = Field(default=1.0, gt=0)  # a face unseen for longer begins a new track
    crop_size: int = Field(default=224, ge=16, le=1024)  # pixels
    crop_margin: float = Field(default=1.3, ge=1, le=4)  # side of the crop / longer side of the face's box
    max_sightings: int = Field(default=256, ge=1)  # kept per track, evenly spread: one a second over four minutes
    max_crops: int = Field(default=512, ge=MAX_OPEN_TRACKS)  # kept per clip: 77 MB at 224 pixels


STANDARD_FACES = FaceSpec()


def find_faces(frames: Iterable[Frame], spec: FaceSpec, detector: FaceDetector) -> FacesSeen:
    """The faces of a clip, the most prominent (seen longest and largest) first; memory does not grow with the clip.

    frames: in time order, as read at spec.fps. A new size or a cut ends all tracks. Errors of the source pass through.
    """
    search = FaceSearch(spec, detector)
    for frame in frames:
        search.look(frame)
    return search.seen()


def no_face_note(frames: int, glimpsed: int) -> Note:
    """Why a clip has no face to judge: none in so many frames, or only such as are gone at once."""
    if glimpsed < STANDARD_FACES.min_sightings:
        return Note("no_face", Sentence("no face was found in the {frames} frames that were looked at", frames=frames))
    text = Sentence(
        "faces are seen in {glimpsed} of the {frames} frames that were looked at, but none stays long enough to be followed",
        glimpsed=glimpsed,
        frames=frames,
    )
    return Note("no_face", text)


@dataclass(frozen=True)
class Sighting:
    """A face at one moment, as found: box (4,) x0 y0 x1 y1 and landmarks (5, 2) in picture pixels."""

    track_id: int
    seconds: float
    box: FloatArray
    landmarks: FloatArray
    score: float


class _Track:
    """A face being followed, with an evenly thinned record of its sightings."""

    def __init__(self, number: int, box: FloatArray, seconds: float, *, every: int) -> None:
        self.number = number
        self.place = MovingBox(box, seconds)
        self.last: Sighting | None = None
        self.kept: list[tuple[float, FloatArray, FloatArray, float, PixelArray]] = []
        self.sightings = 0
        self.first_frames: list[int] = []  # numbers of the frames before the track was long enough to count
        self.prominence = 0.0  # sum of sides over all sightings,
        self.score_sum = 0.0  # and of scores
        self._every = every  # sightings from one crop to the next

    def wants_next(self) -> bool:
        return self.sightings % self._every == 0

    def thin(self) -> None:
        self.kept = self.kept[::2]
        self._every *= 2

    def record(self) -> FaceTrack:
        seconds, boxes, landmarks, scores, crops = zip(*self.kept, strict=True)
        return FaceTrack(
            track_id=self.number,
            seconds=np.array(seconds, np.float64),
            boxes=np.stack(boxes).astype(np.float32),
            landmarks=np.stack(landmarks).astype(np.float32),
            scores=np.array(scores, np.float32),
            crops=np.stack(crops),
        )


class FaceSearch:
    """Looks at one frame after another; `seen` is the result so far. One search is one clip."""

    def __init__(self, spec: FaceSpec, detector: FaceDetector) -> None:
        self._spec, self._detector = spec, detector
        self._open: list[_Track] = []
        self._ended: list[_Track] = []
        self._frames = 0
        self._with_face = bytearray()  # 1 for each looked-at frame that shows a face of a track that counts
        self._glimpsed = 0  # frames with a face that could begin a track
        self._tracks_begun = 0
        self._left_out = 0
        self._size: tuple[int, int] | None = None
        self._thumbnail: PixelArray | None = None
        self._last_scan, self._last_rescue = -(10**9), -math.inf
        self._idle_until = -math.inf  # seconds; nothing is known and nothing was found just before
        self._picture: PixelArray | None = None  # the latest one,
        self._answers: dict[tuple[int, ...], Detections] = {}  # and what was found in it, by side or window

    def look(self, frame: Frame) -> None:
        """Find and follow faces in the next frame; one that holds the very array of the frame before is not searched again."""
        if frame.pixels is not self._picture:
            self._picture, self._answers = frame.pixels, {}
        thumbnail = _thumbnail(frame.pixels)
        if self._thumbnail is not None and is_cut(self._thumbnail, thumbnail):
            self._end(self._open)
            self._last_scan, self._idle_until = -(10**9), -math.inf
        self._thumbnail = thumbnail
        self._with_face.append(0)
        height, width = frame.pixels.shape[:2]
        self._size = self._size or (width, height)
        found = self._gated(self._detected(frame), min(height, width))
        self._glimpsed += bool((found.scores >= self._spec.start_score).any())
        pairs = matched(self._predictions(frame.seconds), found)
        for i, j in pairs:
            self._add(self._open[i], found.chosen(np.array([j])), frame)
        given = {j for _, j in pairs}
        for j in range(len(found)):
            if j not in given and found.scores[j] >= self._spec.start_score and self._may_begin(found.boxes[j]):
                every = 1 << max(0, math.ceil(math.log2(max(len(found), len(self._open), 1) / CROWD)))
                track = _Track(self._tracks_begun, found.boxes[j], frame.seconds, every=every)
                self._tracks_begun += 1
                self._open.append(track)
                self._add(track, found.chosen(np.array([j])), frame)
        lost = [t for t in self._open if frame.seconds - t.place.seconds > self._spec.max_gap_seconds]
        self._end(lost)
        self._frames += 1
        self._bound()

    def leading(self) -> Sighting | None:
        """The last sighting of the most prominent face among those that are being followed; None when there is none."""
        return max(self._open, key=lambda track: track.prominence).last if self._open else None

    def seen(self) -> FacesSeen:
        """The tracks that pass the gates, most prominent first, and what was looked at."""
        fewest = min(self._spec.min_sightings, max(1, self._frames))
        tracks = [track for track in (*self._ended, *self._open) if self._counts(track, fewest)]
        tracks.sort(key=lambda track: -track.prominence)
        with_face = bytearray(self._with_face)
        for number in (number for track in tracks for number in track.first_frames):
            with_face[number] = 1
        return FacesSeen(
            tracks=tuple(track.record() for track in tracks),
            frames_looked_at=self._frames,
            frames_with_face=sum(with_face),
            picture_size=self._size,
            tracks_left_out=self._left_out,
            frames_glimpsed=self._glimpsed,
        )

    def _predictions(self, seconds: float) -> FloatArray:
        boxes = [track.place.predicted(seconds) for track in self._open]
        return np.stack(boxes) if boxes else np.zeros((0, 4), np.float32)

    def _detected(self, frame: Frame) -> Detections:
        if not self._open and frame.seconds < self._idle_until:
            return NO_FACES
        due = self._frames - self._last_scan >= self._spec.scan_every
        if due or not self._open or len(self._open) > MAX_WINDOWS:
            return self._whole(frame)
        predictions = self._predictions(frame.seconds)
        found = joined([self._window(frame.pixels, box) for box in predictions])
        found = found.chosen(found.scores >= self._spec.keep_score)
        return found if len(matched(predictions, found)) == len(predictions) else self._whole(frame)

    def _whole(self, frame: Frame) -> Detections:
        """Faces of the whole picture, and of windows around known ones that it shows too small or too large."""
        self._last_scan = self._frames
        found = self._answer((self._spec.detect_side,), frame.pixels)
        nothing = not len(found) or found.scores[0] < self._spec.start_score
        self._idle_until = frame.seconds + IDLE_SECONDS if nothing else -math.inf
        if nothing and not self._open and frame.seconds - self._last_rescue >= 1.0:
            self._last_rescue = frame.seconds
            found = joined([found, self._answer((RESCUE_SIDE,), frame.pixels)])
        if 0 < len(self._open) <= MAX_WINDOWS:
            predictions = self._predictions(frame.seconds)
            taken = {i for i, _ in matched(predictions, found.chosen(found.scores >= self._spec.keep_score))}
            missing = [self._window(frame.pixels, box) for i, box in enumerate(predictions) if i not in taken]
            found = joined([found, *missing]) if missing else found
        return found

    def _answer(self, asked: tuple[int, ...], pixels: PixelArray) -> Detections:
        """Faces of the whole latest picture shrunk to a side, or of a window (side, left, top, right, bottom) of it."""
        if asked not in self._answers:
            side, *window = asked
            if window:
                left, top, right, bottom = window
                pixels = np.ascontiguousarray(pixels[top:bottom, left:right])
            self._answers[asked] = self._shrunk_to(pixels, side)
        return self._answers[asked]

    def _shrunk_to(self, pixels: PixelArray, side: int) -> Detections:
        scale = max(pixels.shape[:2]) / side
        if scale <= 1.0:
            return self._detector.detect(pixels)
        return self._detector.detect(shrunk(pixels, scale)).moved(scale)

    def _window(self, pixels: PixelArray, box: FloatArray) -> Detections:
        """Faces in a square around a known one."""
        half = max(float(box[2] - box[0]), float(box[3] - box[1]), 16.0) * WINDOW_MARGIN / 2
        x, y = float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2
        left, top = max(0, round(x - half)), max(0, round(y - half))
        right, bottom = max(0, round(x + half)), max(0, round(y + half))
        if min(pixels[top:bottom, left:right].shape[:2]) < 2:
            return NO_FACES
        return self._answer((WINDOW_SIDE, left, top, right, bottom), pixels).moved(1.0, left, top)

    def _gated(self, found: Detections, shorter_side: int) -> Detections:
        side = np.maximum(found.boxes[:, 2] - found.boxes[:, 0], found.boxes[:, 3] - found.boxes[:, 1])
        smallest = max(self._spec.min_side, self._spec.min_share * shorter_side)
        return found.chosen((found.scores >= self._spec.keep_score) & (side >= smallest))

    def _may_begin(self, box: FloatArray) -> bool:
        """A box half inside a known face is a piece of it (an ear, the half that a hand leaves)."""
        known = [track.place.box for track in self._open]
        if not known:
            return True
        return len(known) < MAX_OPEN_TRACKS and float(containment(box[None], np.stack(known)).max()) < MAX_INSIDE

    def _add(self, track: _Track, one: Detections, frame: Frame) -> None:
        box, landmarks, score = one.boxes[0], one.landmarks[0], float(one.scores[0])
        if track.wants_next():
            height, width = frame.pixels.shape[:2]
            square = moved_inside(face_square(box, landmarks, self._spec.crop_margin), width, height)
            crop = cut_square(frame.pixels, square, self._spec.crop_size)
            track.kept.append((frame.seconds, box, landmarks, score, crop))
            if len(track.kept) > self._spec.max_sightings:
                track.thin()
        track.last = Sighting(track.number, frame.seconds, box, landmarks, score)
        track.sightings += 1
        track.place.seen(box, frame.seconds)
        track.prominence += track.place.side
        track.score_sum += score
        if track.sightings < self._spec.min_sightings:
            track.first_frames.append(self._frames)
            return
        for number in (*track.first_frames, self._frames):
            self._with_face[number] = 1
        track.first_frames = []

    def _counts(self, track: _Track, fewest: int) -> bool:
        """Whether a track is a face, by length and mean score."""
        return track.sightings >= fewest and track.score_sum >= self._spec.min_mean_score * track.sightings

    def _end(self, tracks: list[_Track]) -> None:
        going = {id(track) for track in tracks}
        fewest = self._spec.min_sightings
        self._ended += [track for track in self._open if id(track) in going and self._counts(track, fewest)]
        self._open = [track for track in self._open if id(track) not in going]

    def _bound(self) -> None:
        """Keep at most max_crops crops: thin the fullest track, or leave out the least prominent of the ended ones."""
        while sum(len(track.kept) for track in (*self._ended, *self._open)) > self._spec.max_crops:
            fullest = max((*self._ended, *self._open), key=lambda track: len(track.kept))
            if len(fullest.kept) > FEWEST_KEPT or not self._ended:
                fullest.thin()
            else:
                self._ended.remove(min(self._ended, key=lambda track: track.prominence))
                self._left_out += 1


def _thumbnail(pixels: PixelArray) -> PixelArray:
    """About 36 by 64 points of a picture's green channel, evenly spread, with the picture's size as their frame."""
    rows, columns = max(1, pixels.shape[0] // 36), max(1, pixels.shape[1] // 64)
    return pixels[rows // 2 :: rows, columns // 2 :: columns, 1].copy()


def is_cut(before: PixelArray, after: PixelArray) -> bool:
    """Whether two thumbnails belong to different shots (or sizes): most of the picture changed by much."""
    if before.shape != after.shape:
        return True
    changed = np.abs(before.astype(np.int16) - after.astype(np.int16)) > CUT_LEVELS
    return bool(changed.mean() > CUT_SHARE)
