"""Real clips → forged ones on disk, with labels and the seconds that are forged: training material that nobody had to find.

    clips that are not labelled fake ─ read ─ forge (augment/forge_*) ─▶ OUT/METHOD/NAME.mp4|flac, manifest.csv
                                         └─ the same writer, untouched ─▶ OUT/real/NAME

The genuine clip is written again by the same encoder as its forgeries: otherwise a net would learn the encoder.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ffdv.arguments import each, positive, whole_number
from ffdv.augment.chain import FORGE_AGREEMENT, FORGE_PICTURE, FORGE_SOUND
from ffdv.augment.forgery import Segments
from ffdv.augment.pixels import resized
from ffdv.augment.steps import material_of, sample_rng, unknown
from ffdv.data.corpus import Corpus, group_spellings
from ffdv.data.manifest import load_corpus
from ffdv.data.pool import ClipsProgress, Part, ProgressTally, crew_size, run_parts
from ffdv.errors import ManifestError, MediaError, RecipeError
from ffdv.features.crops import Square, cut_square, face_square
from ffdv.features.face_detectors import FaceDetector, make_face_detector
from ffdv.features.faces import STANDARD_FACES, find_faces
from ffdv.features.landmarks import MESH_MARGIN, square_at
from ffdv.features.recipe import MIN_SOUND_SECONDS, resample_mono
from ffdv.media.limits import Limits
from ffdv.media.read import open_media, read_frames, read_samples
from ffdv.media.write import write_media
from ffdv.records import FAKE, REAL, Clip, FaceTrack, FloatArray, Frame, PixelArray, Samples
from ffdv.whole_file import write_atomically

MANIFEST_NAME = "manifest.csv"
LONGEST_SIDE = 640  # pixels of written pictures: ten seconds of 720p would be 700 MB while they are worked on
HIGHEST_FPS = 30.0
FACE_SIDES = (64, 320)  # pixels of the crop that is forged: the face's own size within these
MASK_TOUCH = 0.1  # from this share of forging on, a pixel is taken from the forged crop
FACE_MARGIN = 1.6  # side of that crop / longer side of the face's box
# Forgeries of time work on whole frames, forgeries of place on the face.
WHOLE_FRAME = frozenset({"temporal_splice", "drop_frames"})
CLIP_TIMEOUT_SECONDS = 900.0
CLIPS_PER_PART = 4

Sense = Literal["voice", "picture", "agreement"]


@dataclass(frozen=True)
class ForgedClip:
    """One line of the manifest; segments: half-open seconds that are not genuine, empty for a real clip.

    name: file below OUT; source: the clip it was made of, as its corpus names it; reason: why there is no file.
    """

    name: str
    target: int
    method: str
    source: str
    identity: str = ""
    source_repo: str = ""
    segments: Segments = ()
    video_fake: int = 0
    audio_fake: int = 0
    mismatch: int = 0
    reason: str = ""


@dataclass(frozen=True)
class ForgeSummary:
    """What forge wrote: clips with a file, and sources or methods that gave none, each with its reason."""

    out: Path
    clips: tuple[ForgedClip, ...]
    failures: tuple[ForgedClip, ...]
    seconds: float


def forge(
    data: Path | str,
    *,
    out: Path | str,
    methods: Sequence[str] | str = (),
    per_clip: int = 1,
    seed: int = 0,
    with_real: bool = True,
    max_seconds: float = 10.0,
    workers: int | None = None,
    limit: int | None = None,
    progress: Callable[[ClipsProgress], None] | None = None,
) -> ForgeSummary:
    """Make `per_clip` forgeries of every clip of `data` that is not labelled fake, and write `out`/manifest.csv.

    methods: names of augment.chain's FORGE_SOUND and FORGE_PICTURE to draw from, all by default; each clip draws among those
    that it has the streams for (swaps take another identity's clip). with_real: write the genuine clips too, through the same
    encoder. The same seed gives the same clips, however many workers (None or 0: as many as there are cores); only the first max_seconds are
    used, and of the clips the first `limit` (None: all).
    progress: called in this process with a ClipsProgress, at once and after each clip; what it raises ends the job.
    Raises RecipeError for an unknown method or a value that makes no sense,
    ManifestError when there is no clip to forge, or `out` holds forgeries already.
    """
    whole_number(1, limit=limit, per_clip=per_clip)
    whole_number(0, seed=seed)
    (max_seconds,) = positive(max_seconds=max_seconds)
    crew = crew_size(workers)
    began = time.monotonic()
    target = Path(out)
    chosen = _checked_methods(methods)
    corpus = load_corpus(data)
    sources = tuple(clip for clip in corpus.clips if clip.label != FAKE)[:limit]
    if not sources:
        raise ManifestError(f"{data}: every clip is labelled fake; forgeries are made of real ones")
    if (target / MANIFEST_NAME).exists():
        raise ManifestError(
            f"{target}: holds forgeries already, whose labels would be lost; choose another folder (--out)"
        )
    target.mkdir(parents=True, exist_ok=True)
    work = Forger(target, chosen, _others(corpus, sources, seed), per_clip, seed, with_real, max_seconds)
    places = list(enumerate(sources))
    parts = [
        Part(number, tuple(places[first : first + CLIPS_PER_PART]))
        for number, first in enumerate(range(0, len(places), CLIPS_PER_PART))
    ]
    tally = ProgressTally(len(sources), 0, progress)
    for report in run_parts(parts, work, workers=crew, item_timeout_seconds=CLIP_TIMEOUT_SECONDS):
        tally.take(report)
    rows = [row for part in parts for row in _read_rows(work.part_path(part.number))]
    write_atomically(target / MANIFEST_NAME, _as_csv([row for row in rows if not row.reason]).encode())
    for part in parts:
        work.part_path(part.number).unlink()
    clips, failures = (tuple(row for row in rows if bool(row.reason) is bad) for bad in (False, True))
    return ForgeSummary(target, clips, failures, time.monotonic() - began)


@dataclass(frozen=True)
class Material:
    """What is worked on: sound mono, frames uint8 (n, h, w, 3) at fps; None where the clip has no such stream."""

    sound: Samples | None
    frames: PixelArray | None
    fps: float
    face: FaceTrack | None

    def can(self, method: str) -> bool:
        """Whether the streams that a method works on are there; what belongs together takes both."""
        if method in FORGE_AGREEMENT:
            return self.sound is not None and self.frames is not None
        if method in FORGE_SOUND:
            return self.sound is not None
        return self.frames is not None and (method in WHOLE_FRAME or self.face is not None)


def read_material(path: Path, *, max_seconds: float) -> Material:
    """The first seconds of a clip, its pictures at most LONGEST_SIDE wide or high. Raises MediaError."""
    with open_media(path, limits=Limits(max_seconds=max_seconds)) as media:
        facts, sound, frames, face = media.facts, None, None, None
        fps = 25.0
        if facts.has_sound:
            sound = read_samples(media)
            if sound.duration_seconds < MIN_SOUND_SECONDS:
                sound = None
        if facts.has_picture:
            fps = min(facts.pictures[0].fps or fps, HIGHEST_FPS)
            count = round(max_seconds * fps)
            shown = [Frame(_small(frame.pixels), frame.seconds) for frame in islice(read_frames(media, fps=fps), count)]
            same = [frame for frame in shown if frame.pixels.shape == shown[0].pixels.shape]
            frames = np.stack([frame.pixels for frame in same])
            # Frames get the clock that they will have in the written file.
            clock = [Frame(frame.pixels, place / fps) for place, frame in enumerate(same)]
            step = max(1, round(fps / STANDARD_FACES.fps))
            tracks = find_faces(clock[::step], STANDARD_FACES, _detector()).tracks
            face = tracks[0] if tracks else None
        return Material(sound, frames, fps, face)


@dataclass(frozen=True)
class Made:
    """What came of one method: the changed material, its forged seconds, and the sense that is forged (None: it is real)."""

    method: str
    material: Material
    segments: Segments
    sense: Sense | None = None


@dataclass(frozen=True)
class Forger:
    """Forges the clips of one part in a worker process; picklable."""

    out: Path
    methods: tuple[str, ...]
    others: tuple[Path | None, ...]
    per_clip: int
    seed: int
    with_real: bool
    max_seconds: float

    def __call__(self, part: Part, tell: Callable[[int, str], None]) -> None:
        """Write every clip's files, then the part's rows."""
        rows: list[ForgedClip] = []
        for position, (place, clip) in enumerate(part.items):
            reason = part.given_up.get(position, "")
            made = [_failure(clip, reason)] if reason else list(self._forged(place, clip))
            rows += made
            tell(position, next((row.reason for row in made if row.reason), ""))
        write_atomically(self.part_path(part.number), _as_csv(rows, with_reason=True).encode())

    def part_path(self, number: int) -> Path:
        """Where a part's rows wait for the manifest."""
        return self.out / f".part-{number:06d}.csv"

    def _forged(self, place: int, clip: Clip) -> Iterator[ForgedClip]:
        try:
            material = read_material(clip.path, max_seconds=self.max_seconds)
        except MediaError as error:
            yield _failure(clip, error.reason)
            return
        other = self._other(place)
        able = [method for method in self.methods if material.can(method) and _has_other(method, other, material)]
        if not able:
            yield _failure(clip, "none of the methods fits what the clip holds (no sound, no picture, or no face)")
            return
        if self.with_real:
            yield self._written(clip, Made("real", material, ()))
        rng = sample_rng(self.seed, place)
        for method in rng.choice(able, size=min(self.per_clip, len(able)), replace=False).tolist():
            made = _forged_by(method, material, other, rng)
            if made.segments:
                yield self._written(clip, made)
            else:
                yield _failure(clip, f"{method} left the clip as it was: it is too short")

    def _written(self, clip: Clip, made: Made) -> ForgedClip:
        material = made.material
        name = f"{made.method}/{_file_name(clip, '.flac' if material.frames is None else '.mp4')}"
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_media(
            path,
            sound=material.sound,
            frames=None if material.frames is None else iter(material.frames),
            fps=material.fps,
            audio_bit_rate=None if material.frames is None else 128_000,
        )
        return ForgedClip(
            name=name,
            target=REAL if made.sense is None else FAKE,
            method=made.method,
            source=clip.name,
            identity=_group(clip, "identity") or clip.name,
            source_repo=_group(clip, "source_repo"),
            segments=made.segments,
            video_fake=int(made.sense == "picture"),
            audio_fake=int(made.sense == "voice"),
            mismatch=int(made.sense == "agreement"),
        )

    def _other(self, place: int) -> Material | None:
        path = self.others[place]
        try:
            return None if path is None else read_material(path, max_seconds=self.max_seconds)
        except MediaError:
            return None


def _checked_methods(methods: Sequence[str] | str) -> tuple[str, ...]:
    known, methods = (*FORGE_SOUND, *FORGE_PICTURE), each(methods)
    for method in methods:
        if method not in known:
            raise RecipeError(unknown(method, known, what="forging method"))
    return tuple(dict.fromkeys(methods)) or known


def _others(corpus: Corpus, sources: Sequence[Clip], seed: int) -> tuple[Path | None, ...]:
    """For each source another real clip, of another identity where identities are known."""
    reals = [clip for clip in corpus.clips if clip.label != FAKE]
    chosen: list[Path | None] = []
    for place, clip in enumerate(sources):
        mine = _group(clip, "identity")
        fits = [one for one in reals if one.name != clip.name and not (mine and _group(one, "identity") == mine)]
        fits = fits or [one for one in reals if one.name != clip.name]
        rng = sample_rng(seed, place, 1)
        chosen.append(fits[int(rng.integers(len(fits)))].path if fits else None)
    return tuple(chosen)


def _has_other(method: str, other: Material | None, material: Material) -> bool:
    """Whether the other clip has what a method needs of it (and methods that need none always can)."""
    function = (FORGE_SOUND | FORGE_PICTURE)[method]
    if "other" not in material_of(function):
        return True
    if method in FORGE_SOUND:
        return other is not None and other.sound is not None
    if method == "temporal_splice":
        return True
    return other is not None and other.face is not None and material.face is not None


def _forged_by(method: str, material: Material, other: Material | None, rng: np.random.Generator) -> Made:
    return (_forge_sound if method in FORGE_SOUND else _forge_picture)(method, material, other, rng)


def _forge_sound(method: str, material: Material, other: Material | None, rng: np.random.Generator) -> Made:
    sound, function = material.sound, FORGE_SOUND[method]
    assert sound is not None
    extra = {}
    if "other" in material_of(function) and other is not None and other.sound is not None:
        extra["other"] = resample_mono(other.sound, sound.rate)
    forged = function(sound.mono(), sound.rate, rng, **extra)
    changed = replace(material, sound=Samples(forged.samples[None], sound.rate, sound.start_seconds))
    # Beside pictures the sound keeps its place on the file's clock; alone it is written from 0 on.
    begins = 0.0 if material.frames is None else sound.start_seconds
    segments = tuple((max(0.0, start + begins), stop + begins) for start, stop in forged.segments if stop + begins > 0)
    return Made(method, changed, segments, forged.sense)


def _forge_picture(method: str, material: Material, other: Material | None, rng: np.random.Generator) -> Made:
    frames, function = material.frames, FORGE_PICTURE[method]
    assert frames is not None
    if method in WHOLE_FRAME:
        forged = function(frames, rng, fps=material.fps)
        return Made(method, replace(material, frames=forged.pixels), forged.segments, "picture")
    seen = _face_crops(material)
    crops = np.stack([crop for _, _, crop in seen])
    side = crops.shape[1]
    inner = side / FACE_MARGIN
    extra: dict[str, Any] = {"box": np.array([side - inner, side - inner, side + inner, side + inner]) / 2}
    if method == "blend_other" and other is not None:
        extra["other"] = np.stack([crop for _, _, crop in _face_crops(other)])
    forged = function(crops, rng, fps=material.fps, **extra)
    assert forged.mask is not None
    changed = frames.copy()
    for (place, square, _), new, mask in zip(seen, forged.pixels, forged.mask, strict=True):
        changed[place] = _laid_over(frames[place], new, mask, square)
    segments = _spans([place for place, *_ in seen], material.fps) if forged.segments else ()
    return Made(method, replace(material, frames=changed), segments, "picture")


def _face_crops(material: Material) -> list[tuple[int, Square, PixelArray]]:
    """(frame's number, square, crop) of every frame that shows the main face, crops of one size near the face's own."""
    assert material.frames is not None
    assert material.face is not None
    found = [(place, _face_at(place / material.fps, material.face)) for place in range(len(material.frames))]
    seen = [(place, square) for place, square in found if square is not None]
    middle = float(np.median([square.side for _, square in seen]))
    side = int(np.clip(round(middle), *FACE_SIDES))
    return [(place, square, cut_square(material.frames[place], square, side)) for place, square in seen]


def _face_at(seconds: float, track: FaceTrack) -> Square | None:
    """The upright square about a face at a moment, not turned, so that what changes can be laid back."""
    square = square_at(seconds, track)
    if square is None:
        return None
    box = np.array([square.x, square.y, square.x, square.y], np.float32) + (
        np.array([-1, -1, 1, 1], np.float32) * np.float32(square.side / MESH_MARGIN / 2)
    )
    return face_square(box, np.full((5, 2), np.nan, np.float32), FACE_MARGIN)


def _laid_over(frame: PixelArray, new: PixelArray, mask: FloatArray, square: Square) -> PixelArray:
    """The frame with the forged crop where its mask (size, size) touches: all other pixels stay exactly as they are."""
    side = max(2, round(square.side))
    left, top = round(square.x - square.side / 2), round(square.y - square.side / 2)
    touched = np.clip(mask / MASK_TOUCH, 0, 1)
    shown = resized(np.rint(255 * touched).astype(np.uint8), (side, side), "bilinear").astype(np.float32) / 255
    height, width = frame.shape[:2]
    rows = slice(max(0, top), min(height, top + side))
    columns = slice(max(0, left), min(width, left + side))
    inside = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    under = frame[rows, columns].astype(np.float32)
    over = resized(new, (side, side), "bicubic")[inside]
    changed = frame.copy()
    changed[rows, columns] = np.rint(under + shown[inside][..., None] * (over - under)).astype(np.uint8)
    return changed


def _spans(places: Sequence[int], fps: float) -> Segments:
    """Frames in a row as half-open stretches of seconds.

    >>> _spans([0, 1, 2, 5], 10.0)
    ((0.0, 0.3), (0.5, 0.6))
    """
    spans: list[tuple[int, int]] = []
    for place in places:
        if spans and spans[-1][1] == place:
            spans[-1] = (spans[-1][0], place + 1)
        else:
            spans.append((place, place + 1))
    return tuple((start / fps, stop / fps) for start, stop in spans)


def _small(pixels: PixelArray) -> PixelArray:
    """Even sides (4:2:0 asks for them), the longer at most LONGEST_SIDE."""
    height, width = pixels.shape[:2]
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    size = (max(2, round(height * scale / 2) * 2), max(2, round(width * scale / 2) * 2))
    if scale == 1.0:
        return pixels[: height // 2 * 2 or 1, : width // 2 * 2 or 1]
    return resized(pixels, size, "lanczos")


@cache
def _detector() -> FaceDetector:
    """One detector per process."""
    return make_face_detector(STANDARD_FACES.detector)


def _group(clip: Clip, by: str) -> str:
    return next((clip.groups[name] for name in group_spellings(by) if clip.groups.get(name)), "")


def _file_name(clip: Clip, suffix: str) -> str:
    """A flat file name that tells the clip; names that file systems or shells would choke on become a digest."""
    flat = clip.name.replace("/", "__")
    name = flat if flat.lower().endswith(suffix) else flat + suffix
    plain = name.isprintable() and not name.startswith("-") and len(name.encode()) < 200
    return name if plain else hashlib.sha256(clip.name.encode("utf-8", "backslashreplace")).hexdigest()[:24] + suffix


def _failure(clip: Clip, reason: str) -> ForgedClip:
    return ForgedClip("", FAKE, "", clip.name, reason=reason)


_COLUMNS = (
    "path", "label", "method", "source_clip", "identity", "source_repo", "segments", "video_fake", "audio_fake", "mismatch",
)  # fmt: skip


def _as_csv(rows: Sequence[ForgedClip], *, with_reason: bool = False) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_COLUMNS, *(("reason",) if with_reason else ())))
    for row in rows:
        spans = json.dumps([[round(second, 4) for second in span] for span in row.segments])
        cells = [row.name, row.target, row.method, row.source, row.identity, row.source_repo, spans]
        cells += [row.video_fake, row.audio_fake, row.mismatch]
        writer.writerow([*cells, *((row.reason,) if with_reason else ())])
    return text.getvalue()


def _read_rows(path: Path) -> Iterator[ForgedClip]:
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            yield ForgedClip(
                name=row["path"],
                target=int(row["label"]),
                method=row["method"],
                source=row["source_clip"],
                identity=row["identity"],
                source_repo=row["source_repo"],
                segments=tuple((start, stop) for start, stop in json.loads(row["segments"])),
                video_fake=int(row["video_fake"]),
                audio_fake=int(row["audio_fake"]),
                mismatch=int(row["mismatch"]),
                reason=row["reason"],
            )
