"""A file → what the senses and the evidence need of it, in one pass over its sound and one over its pictures.

    sound    ─▶ mono at its own rate ─▶ cues of the voice            ┐
    pictures ─▶ faces about 8 times a second ─▶ mouth 25 times,      ├▶ Looked, a piece of at most two minutes after the other
                                                cues of the picture  ┘

Only one piece is held at a time, so that memory does not grow with the clip. In clips beyond a minute the mouth and the
picture's cues are looked at in a stretch of each piece, and faces are looked for less often; LookedAt says how much was seen.
"""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import soxr

from ffdv.detect.senses import Looked
from ffdv.errors import MediaDamaged, MediaLimit, MediaUnreadable, StreamMissing
from ffdv.features.cues import Cue, PictureWatch, agreement_cues, motion_cues, sound_cues
from ffdv.features.face_detectors import FaceDetector, make_face_detector
from ffdv.features.faces import STANDARD_FACES, FaceSearch, FaceSpec, Sighting, no_face_note
from ffdv.features.head import HeadTrack, HeadWatch
from ffdv.features.landmarks import FaceMesh, Mesh, mesh_at
from ffdv.features.motion import region_residuals
from ffdv.features.recipe import MAX_SAMPLE_RATE, MIN_SOUND_RATE, MIN_SOUND_SECONDS
from ffdv.features.sync import STANDARD_MOUTH, gather_mouths, iter_mouths
from ffdv.media.read import Limits, Media, iter_samples, open_media, read_frames
from ffdv.memory import give_back_memory
from ffdv.records import FacesSeen, FaceTrack, Features, FloatArray, Frame, MouthTrack, Note, Samples
from ffdv.sentences import Sentence

PIECE_SECONDS = 120.0  # 10 MB of sound, 77 MB of faces at most
WATCHED_SECONDS = 60.0  # of mouth in all, but at least
LEAST_WATCHED_SECONDS = 10.0  # in each piece
FACE_EVERY = 3  # of 25 frames a second, faces are looked for in every third: 8.3 a second
# Beyond the watched stretches: (clips up to so many seconds, faces looked for so often a second).
FACE_FPS = ((300.0, 8.0), (1200.0, 4.0), (math.inf, 2.0))
LOOK_SECONDS = 1.0  # between the dear cues of the picture
FLICKER_EVERY = 3  # of the groups of three frames between two looks, the first and last frame of one are compared
SOUND_CUE_SECONDS = 30.0  # cues of the voice are taken from so much of each piece
# What lies this little beyond the length in the header belongs to the last piece.
SLACK_SECONDS = 2.0
FRAMES_AHEAD = 6  # decoded while others are looked at: 17 MB of 720p,
GROUPS_AHEAD = 2  # or groups of three in which faces were looked for,
PAIRS_AHEAD = 3  # or frames with the mesh of the face that leads
# Memory is given back after so many frames, and when a piece of more than so many seconds was looked at: in a short clip there is little
# to gain, and taking it anew costs a tenth of a second.
FRAMES_BETWEEN_CLEARINGS, CLEARED_SECONDS = 251, 30.0

T = TypeVar("T")


@dataclass(frozen=True)
class LookSpec:
    """How much is looked at: max_seconds of the file; decoder threads (0: one a core; 1 inside a pool of workers, where everything
    else is done in turn too: a worker is a core).
    """

    max_seconds: float = 600.0
    threads: int = 0
    faces: FaceSpec = STANDARD_FACES

    @property
    def alone(self) -> bool:
        """All on one thread."""
        return self.threads == 1


@dataclass(frozen=True)
class LookedAt:
    """What was looked at, so that nothing is silently skipped. Seconds of sound, of picture, of picture watched closely enough for lips,
    and of visible mouth in it; frames looked at for faces, those that show one that is followed, those that show any, and faces followed; length by the header (None: it
    says none); picture_size width, height.
    """

    length_seconds: float | None
    sound_seconds: float = 0.0
    picture_seconds: float = 0.0
    watched_seconds: float = 0.0
    mouth_seconds: float = 0.0
    frames: int = 0
    frames_with_face: int = 0
    frames_glimpsed: int = 0
    faces: int = 0
    picture_size: tuple[int, int] | None = None
    pieces: int = 0


class Look:
    """One file being looked at; `pieces` may be taken once, notes and looked_at are complete when it is through.

    Raises MediaError when the file cannot be used at all.
    """

    def __init__(self, path: Path | str, spec: LookSpec | None = None) -> None:
        self.spec = spec or LookSpec()
        self._media = open_media(path, limits=Limits(max_seconds=self.spec.max_seconds), threads=self.spec.threads)
        self.facts = self._media.facts
        self.looked_at = LookedAt(self.facts.duration_seconds)
        self._missing: dict[str, Note] = {}
        self._tracks = 0

    @property
    def notes(self) -> tuple[Note, ...]:
        """What a user must know of how the file was read, so far; one a code and sense."""
        read = self._media.notes
        if "limited" in self._missing:
            read = tuple(note for note in read if note.code != "limited")
        known = {note.code for note in read}
        return (*read, *(note for note in self._missing.values() if note.code not in known))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._media.close()

    def pieces(self) -> Iterator[Looked]:
        """The file, piece by piece; at least one. Raises MediaError when neither sound nor picture can be read."""
        plan = _Plan(self.facts.duration_seconds, self.spec.max_seconds)
        with ThreadPoolExecutor(1) as beside:
            sound = _Sound(
                self._media
            )  # reads its first block here: two threads must not open the file at the same moment
            picture = _Picture(self._media, self.spec)
            for number in range(plan.most_pieces):
                if number:
                    give_back_memory()  # of the piece before, which nobody holds any more
                looked = self._piece(plan.piece(number), plan, sound, picture, beside=beside)
                if number == 0 or looked.features.sound is not None or looked.features.faces is not None:
                    yield looked
                del looked
                if sound.ended and picture.ended:
                    return
            sound.until(math.inf)
            self._conclude(sound, picture)
            self._tell_limit()

    def _piece(
        self, span: tuple[float, float], plan: _Plan, sound: _Sound, picture: _Picture, *, beside: ThreadPoolExecutor
    ) -> Looked:
        """One piece, seen and heard; with the last one comes why a sense is missing."""
        start, stop = span
        hear = partial(_hear, sound, stop)
        heard = hear if self.spec.alone else beside.submit(hear).result
        seen, mouth, cues, head = picture.look(plan, start, stop, first_track=self._tracks)
        samples, voice_cues = heard()
        if stop - start > CLEARED_SECONDS:
            give_back_memory()
        self._count(samples, seen, mouth, picture, start_seconds=start)
        if sound.ended and picture.ended:
            self._conclude(sound, picture)
        audible = samples is not None and bool(samples.values.any())  # digital silence moves with nothing
        both = agreement_cues(mouth, samples) if mouth is not None and samples is not None and audible else ()
        features = Features(self.facts, samples, faces=seen, notes=self.notes, mouth=mouth)
        return Looked(features, mouth, (*voice_cues, *cues, *both), head)

    def _count(
        self,
        samples: Samples | None,
        seen: FacesSeen | None,
        mouth: MouthTrack | None,
        picture: _Picture,
        *,
        start_seconds: float,
    ) -> None:
        so_far = self.looked_at
        self._tracks += len(seen.tracks) if seen else 0
        self.looked_at = replace(
            so_far,
            sound_seconds=so_far.sound_seconds + (samples.duration_seconds if samples else 0.0),
            picture_seconds=so_far.picture_seconds + max(0.0, picture.reached_seconds - start_seconds),
            watched_seconds=picture.watched_seconds,
            mouth_seconds=so_far.mouth_seconds + (float(mouth.in_sight.sum()) / STANDARD_MOUTH.fps if mouth else 0.0),
            frames=so_far.frames + (seen.frames_looked_at if seen else 0),
            frames_with_face=so_far.frames_with_face + (seen.frames_with_face if seen else 0),
            frames_glimpsed=so_far.frames_glimpsed + (seen.frames_glimpsed if seen else 0),
            faces=self._tracks,
            picture_size=so_far.picture_size or (seen.picture_size if seen else None),
            pieces=so_far.pieces + 1,
        )

    def _conclude(self, sound: _Sound, picture: _Picture) -> None:
        """Why a sense is missing; an error where the only one is."""
        if self.looked_at.sound_seconds == 0.0 and self.looked_at.frames == 0:
            for error in (picture.error, sound.error):
                if error is not None:
                    raise error
        for part in (sound, picture):
            if part.missing is not None:
                self._missing.setdefault(part.missing.code, part.missing)
        if self.looked_at.frames and not self.looked_at.faces:
            self._missing.setdefault("no_face", no_face_note(self.looked_at.frames, self.looked_at.frames_glimpsed))

    def _tell_limit(self) -> None:
        """A header that knows more than was looked at makes it a limit; the media room notes the others itself."""
        length = self.facts.duration_seconds
        if length is not None and length > self.spec.max_seconds + SLACK_SECONDS:
            text = Sentence(
                "looked at the first {looked:.3g} of {length:.3g} minutes; give --max-minutes for more",
                looked=self.spec.max_seconds / 60,
                length=length / 60,
            )
            self._missing["limited"] = Note("limited", text)


class _Plan:
    """Where pieces begin and end, and how closely each is looked at. Pieces are of equal length where the header knows it."""

    def __init__(self, length_seconds: float | None, max_seconds: float) -> None:
        self.max_seconds = max_seconds
        known = min(length_seconds, max_seconds) if length_seconds and length_seconds > 0 else None
        self.known_pieces = max(1, math.ceil(known / PIECE_SECONDS - 0.05)) if known else 0
        self.piece_seconds = known / self.known_pieces if known else PIECE_SECONDS
        self._length_seconds = known or max_seconds
        # A header may promise less than there is, so further pieces follow until the streams end.
        beyond = max(0.0, max_seconds - (known or 0.0))
        self.most_pieces = max(1, self.known_pieces + math.ceil(beyond / PIECE_SECONDS))

    def piece(self, number: int) -> tuple[float, float]:
        """Half-open range in seconds; the last one that the header knows takes a little beyond."""
        if number < self.known_pieces:
            slack = SLACK_SECONDS if number == self.known_pieces - 1 else 0.0
            start, stop = number * self.piece_seconds, (number + 1) * self.piece_seconds + slack
        else:
            after = self.known_pieces * self.piece_seconds + (SLACK_SECONDS if self.known_pieces else 0.0)
            start = after + (number - self.known_pieces) * PIECE_SECONDS
            stop = start + PIECE_SECONDS
        return start, min(stop, self.max_seconds)

    def stretches(self, start: float, stop: float) -> Iterator[tuple[float, float, bool]]:
        """(start, stop, watched): a watched stretch at the piece's beginning, then the rest."""
        watched = max(LEAST_WATCHED_SECONDS, WATCHED_SECONDS / max(1, self.known_pieces))
        middle = stop if stop - start <= watched + LEAST_WATCHED_SECONDS else start + watched
        yield start, middle, True
        if middle < stop:
            yield middle, stop, False

    @property
    def face_fps(self) -> float:
        """How often faces are looked for outside the watched stretches."""
        return next(fps for most, fps in FACE_FPS if self._length_seconds <= most)


class _Sound:
    """The sound at its kept rate, piece after piece: the same samples as features/recipe.extract keeps."""

    def __init__(self, media: Media) -> None:
        self.missing: Note | None = None
        self.error: Exception | None = None
        self.ended = not media.facts.has_sound
        if self.ended:
            self.missing = Note("no_sound", Sentence("the file has no sound track"))
        self._blocks = None if self.ended else iter_samples(media, mono=False, block_seconds=10.0)
        self._resampler: soxr.ResampleStream | None = None
        self._rate = 0
        self._start_seconds = 0.0
        self._kept: list[FloatArray] = []
        if not self.ended:
            self._read_block()

    def until(self, stop_seconds: float) -> Samples | None:
        """What comes before a moment and was not taken yet; None when nothing does, or it is too short to be judged."""
        while not self.ended and self._held_until < stop_seconds:
            self._read_block()
        whole = np.concatenate(self._kept) if self._kept else np.zeros(0, np.float32)
        count = len(whole)
        if not self.ended:
            count = round((stop_seconds - self._start_seconds) * self._rate)
        taken, start = whole[:count], self._start_seconds
        self._kept, self._start_seconds = [whole[count:]], start + len(taken) / max(1, self._rate)
        if len(taken) < MIN_SOUND_SECONDS * self._rate or not len(taken):
            if len(taken) and start < MIN_SOUND_SECONDS:
                text = Sentence(
                    "the sound lasts only {milliseconds:.0f} ms; {least:.0f} ms are needed",
                    milliseconds=1000 * len(taken) / self._rate,
                    least=1000 * MIN_SOUND_SECONDS,
                )
                self.missing = Note("short_sound", text)
            return None
        return Samples(taken[None], self._rate, start)

    @property
    def _held_until(self) -> float:
        return self._start_seconds + sum(map(len, self._kept)) / self._rate if self._rate else -math.inf

    def _read_block(self) -> None:
        assert self._blocks is not None
        try:
            block = next(self._blocks, None)
        except (StreamMissing, MediaDamaged, MediaLimit, MediaUnreadable) as error:
            code = "no_sound" if isinstance(error, StreamMissing) else "damaged_sound"
            self.missing, self.error, self.ended = Note(code, error.reason), error, True
            return
        if block is None:
            self.ended = True
            if self._resampler is not None:
                self._kept.append(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))
            elif not self._rate:
                self.missing = Note("no_sound", Sentence("the sound track holds no sound"))
            return
        if not self._rate and not self._begin(block):
            return
        mono = block.mono()
        self._kept.append(mono if self._resampler is None else self._resampler.resample_chunk(mono))

    def _begin(self, block: Samples) -> bool:
        if block.rate < MIN_SOUND_RATE:
            text = Sentence("the sound has only {rate} samples a second, too few for speech", rate=block.rate)
            self.missing, self.ended = Note("low_rate", text), True
            return False
        self._rate, self._start_seconds = min(block.rate, MAX_SAMPLE_RATE), block.start_seconds
        if self._rate != block.rate:
            self._resampler = soxr.ResampleStream(block.rate, self._rate, 1, dtype="float32", quality="HQ")
        return True


def _hear(sound: _Sound, stop_seconds: float) -> tuple[Samples | None, tuple[Cue, ...]]:
    """A piece of sound and its cues; runs beside the looking."""
    samples = sound.until(stop_seconds)
    if samples is None:
        return None, ()
    most = round(SOUND_CUE_SECONDS * samples.rate)
    return samples, sound_cues(replace(samples, values=samples.values[:, :most]))


class _Picture:
    """The picture, piece after piece: faces, the mouth of the one that leads, and cues."""

    def __init__(self, media: Media, spec: LookSpec) -> None:
        self._media = media
        self._spec = spec.faces
        self._ahead = _in_turn if spec.alone else _ahead
        self.missing: Note | None = None
        self.error: Exception | None = None
        self.ended = not media.facts.has_picture
        self.reached_seconds = 0.0
        self.watched_seconds = 0.0
        if self.ended:
            self.missing = Note("no_picture", Sentence("the file has no moving picture"))

    def look(
        self, plan: _Plan, start: float, stop: float, *, first_track: int
    ) -> tuple[FacesSeen | None, MouthTrack | None, tuple[Cue, ...], HeadTrack | None]:
        """Look at one piece; track numbers begin at first_track. (None, None, (), None) once the picture has ended."""
        if self.ended:
            return None, None, (), None
        search = FaceSearch(self._spec, _face_detector(self._spec.detector, self._spec.model))
        follower = _Follower(search, _face_mesh())
        watch = PictureWatch(fps=STANDARD_MOUTH.fps, look_seconds=LOOK_SECONDS)
        heads = HeadWatch()
        mouth: MouthTrack | None = None
        self.reached_seconds = start
        for first, last, watched in plan.stretches(start, stop):
            if self.ended:
                break
            if watched:
                frames = self._frames(STANDARD_MOUTH.fps, first, last)
                with (
                    closing(self._ahead(follower.groups(frames), GROUPS_AHEAD)) as groups,
                    closing(self._ahead(follower.pairs(groups), PAIRS_AHEAD)) as pairs,
                ):
                    mouth = gather_mouths(iter_mouths(heads.watched(watch.watched(pairs))))
                self.watched_seconds += max(0.0, self.reached_seconds - first)
            else:
                with closing(self._ahead(self._frames(plan.face_fps, first, last), FRAMES_AHEAD)) as others:
                    for frame in others:
                        search.look(frame)
        seen = search.seen()
        renamed = [replace(track, track_id=first_track + k) for k, track in enumerate(seen.tracks)]
        seen = replace(seen, tracks=tuple(renamed))
        shown = mouth if mouth is not None and mouth.in_sight.any() else None
        cues = (*watch.cues(), *follower.cues()) if shown is not None else ()
        head = heads.track() if shown is not None else None
        return (seen if seen.frames_looked_at else None), shown, cues, head

    def _frames(self, fps: float, start: float, stop: float) -> Iterator[Frame]:
        """Frames at k/fps; an end of the picture before `stop`, or its damage, ends the looking and is remembered."""
        interval = 1.0 / fps
        try:
            frames = read_frames(self._media, fps=fps, start_seconds=start, stop_seconds=stop)
            for number, frame in enumerate(frames, 1):
                self.reached_seconds = frame.seconds + interval
                yield frame
                if number % FRAMES_BETWEEN_CLEARINGS == 0:
                    give_back_memory()
        except (StreamMissing, MediaDamaged, MediaLimit) as error:
            self.ended = True
            if self.reached_seconds <= start and start == 0.0:
                code = "no_picture" if isinstance(error, StreamMissing) else "damaged_picture"
                self.missing, self.error = Note(code, error.reason), error
        if self.reached_seconds < stop - max(1.0, 2 * interval):
            self.ended = True


@dataclass(frozen=True)
class _Group:
    """Frames up to the next one in which faces were looked for, and the leading face before and at their end."""

    frames: tuple[Frame, ...]
    before: Sighting | None
    now: Sighting | None

    def track(self) -> FaceTrack | None:
        """The face over these frames; None where none leads."""
        known = [sighting for sighting in (self.before, self.now) if sighting is not None]
        if len(known) == 2 and known[0].track_id != known[1].track_id:
            known = known[1:]
        return _short_track(known) if known else None


class _Follower:
    """Follows the face that leads: a mesh for every frame, from sightings in every third."""

    def __init__(self, search: FaceSearch, mesh: FaceMesh) -> None:
        self._search, self._mesh = search, mesh
        self._flicker: list[tuple[float, float]] = []

    def groups(self, frames: Iterable[Frame]) -> Iterator[_Group]:
        """Look for faces in every third frame."""
        waiting: list[Frame] = []
        before: Sighting | None = None
        for number, frame in enumerate(frames):
            waiting.append(frame)
            if number % FACE_EVERY:
                continue
            self._search.look(frame)
            now = self._search.leading()
            if now is not None and now.seconds < frame.seconds:
                now = None
            yield _Group(tuple(waiting), before, now)
            waiting, before = [], now
        if waiting:
            yield _Group(tuple(waiting), before, None)

    def pairs(self, groups: Iterable[_Group]) -> Iterator[tuple[Frame, Mesh | None]]:
        """Each frame with the mesh of the face that leads around it; None where there is none."""
        for number, group in enumerate(groups):
            track = group.track()
            for frame in group.frames:
                yield frame, None if track is None else mesh_at(frame, track, self._mesh)
            if track is not None and len(group.frames) == FACE_EVERY and number % FLICKER_EVERY == 1:
                self._flicker.append(region_residuals(group.frames[0], group.frames[-1], track))

    def cues(self) -> tuple[Cue, ...]:
        """What neighbouring frames of the face tell."""
        residuals = np.array(self._flicker, np.float32).reshape(-1, 2)
        return motion_cues(residuals[:, 0], residuals[:, 1])


def _short_track(sightings: list[Sighting]) -> FaceTrack:
    """One or two sightings of a face as a track without crops."""
    return FaceTrack(
        sightings[0].track_id,
        np.array([one.seconds for one in sightings], np.float64),
        np.stack([one.box for one in sightings]).astype(np.float32),
        np.stack([one.landmarks for one in sightings]).astype(np.float32),
        np.array([one.score for one in sightings], np.float32),
        np.zeros((len(sightings), 1, 1, 3), np.uint8),
    )


def _ahead(items: Iterator[T], most: int) -> Generator[T]:
    """The same items, made in a thread of its own while earlier ones are looked at; errors pass through."""
    waiting: queue.Queue[T | BaseException | None] = queue.Queue(most)
    enough = threading.Event()

    def put(item: T | BaseException | None) -> None:
        while not enough.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def decode() -> None:
        try:
            for item in items:
                put(item)
                if enough.is_set():
                    break
            put(None)
        except BaseException as error:  # noqa: BLE001 -- raised again where the frames are taken
            put(error)

    thread = threading.Thread(target=decode, daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        enough.set()
        thread.join()


def _in_turn(items: Iterator[T], most: int) -> Generator[T]:  # noqa: ARG001
    """The same items, made when they are asked for: what _ahead is on one thread."""
    yield from items


@cache
def _face_detector(name: str, model: Path | None) -> FaceDetector:
    return make_face_detector(name, model=model)


@cache
def _face_mesh() -> FaceMesh:
    return FaceMesh()
