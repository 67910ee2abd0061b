"""prepare: decode a corpus once into shards. Parallel, resumable at any moment, every failure a row with a reason."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Self, get_args

from ffdv.arguments import each, one_of, positive, whole_number
from ffdv.data.blobs import MOST_SAMPLES, SoundCodec
from ffdv.data.corpus import Corpus, Problem
from ffdv.data.manifest import load_corpus
from ffdv.data.pool import ClipsProgress, Part, crew_size, num_cores, run_parts
from ffdv.data.shards import (
    FACES,
    INDEX_NAME,
    MOTION,
    MOUTH,
    SOUND,
    EncodedRow,
    ShardIndex,
    ShardRow,
    Shards,
    encode_row,
    part_has_failures,
    part_is_done,
    read_index,
    relabel_part,
    require_parquet,
    write_index,
    write_part,
)
from ffdv.errors import ManifestError, MediaError, RecipeError, ShardError
from ffdv.features.faces import STANDARD_FACES
from ffdv.features.motion import STANDARD_MOTION
from ffdv.features.recipe import MAX_SAMPLE_RATE, MIN_SOUND_RATE, ExtractSpec, extract_packed
from ffdv.features.sync import STANDARD_MOUTH
from ffdv.records import FAKE, REAL, Clip

# A killed run loses at most one part a worker; 128 clips of 7 s are 20 MB and some 5 s of work.
MAX_CLIPS_PER_PART, MIN_CLIPS_PER_PART, WANTED_PARTS = 128, 8, 32
# The reader itself stops at 60 s a media minute and 10 minutes; what is beyond that hangs.
CLIP_TIMEOUT_SECONDS = 900.0
DRY_RUN_CLIPS = 24
PROGRESS_SECONDS = 0.2
LIGHT_BYTES_PER_CLIP = 700  # measured: light columns and Parquet's own frame
# Of each face: nets take 8 to 32 of them, and 32 of 224 pixels are 0.4 MB a clip (docs/log.md).
CROPS_KEPT = 32
KEPT_PROBLEMS = 100  # sentences that shards.json repeats; the summary has all


Sense = Literal["voice", "picture", "motion", "agreement"]
ALL_SENSES: tuple[Sense, ...] = get_args(Sense)
# What of a clip each sense needs in the shards.
_KEPT_FOR: dict[Sense, str] = {"voice": SOUND, "picture": FACES, "motion": MOTION, "agreement": MOUTH}
# Files of these kinds show nothing: a corpus of them costs no more for senses that look.
SOUND_SUFFIXES = frozenset(
    {".wav", ".flac", ".mp3", ".opus", ".ogg", ".oga", ".m4a", ".aac", ".aif", ".aiff", ".amr", ".wma"}
)


@dataclass(frozen=True)
class Failure:
    """A clip without features, and why."""

    name: str
    reason: str


class LabelCounts(NamedTuple):
    """How many clips are labelled real, fake, or not at all."""

    real: int = 0
    fake: int = 0
    unlabelled: int = 0

    @classmethod
    def of(cls, clips: Sequence[Clip]) -> Self:
        """Those of these clips."""
        labels = [clip.label for clip in clips]
        return cls(labels.count(REAL), labels.count(FAKE), labels.count(None))


@dataclass(frozen=True)
class PrepareSummary:
    """What prepare did, or (dry_run) what it would cost: then seconds and size_bytes are estimates and nothing is written.

    clips: rows in the shards, failures included; resumed: how many of them were there already; relabelled: of how many of these label,
    split or groups were another and are now the corpus's; failures: of all rows;
    problems: what of the corpus could not be taken, by row; cut: clips of which only the first max_seconds are kept;
    labels: how the corpus labels the clips.
    """

    out: Path
    clips: int
    resumed: int
    failures: tuple[Failure, ...]
    problems: tuple[Problem, ...]
    seconds: float
    size_bytes: int
    labels: LabelCounts
    dry_run: bool = False
    cut: tuple[str, ...] = ()
    relabelled: int = 0


def prepare(
    data: Path | str,
    *,
    out: Path | str,
    workers: int | None = None,
    limit: int | None = None,
    dry_run: bool = False,
    senses: Sequence[str] | str | None = None,
    retry_failed: bool = False,
    sample_rate: int = MAX_SAMPLE_RATE,
    max_seconds: float = 600.0,
    sound_codec: SoundCodec = "flac",
    clip_timeout_seconds: float = CLIP_TIMEOUT_SECONDS,
    progress: Callable[[ClipsProgress], None] | None = None,
) -> PrepareSummary:
    """Decode every clip of `data` once into Parquet shards in `out`; run it again to resume, or after labels have changed.

    senses: what later steps may use: voice (always kept: sound), picture (crops of the faces), motion (how neighbouring frames
    resemble each other), agreement (the mouth at 25 pictures a second); None: all four where clips have a picture, else voice.
    retry_failed: decode parts that hold failed clips once more: it may have been the machine, or the file was mended since.
    Sound alone takes a fortieth of the time and an eleventh of the space (docs/log.md).
    sample_rate: sound keeps its own rate, at most this (Hz); limit: take so many clips, labels and splits in proportion; None: all.
    workers: processes, None or 0 as many as there are cores; clip_timeout_seconds: a clip that takes longer is a row with a reason.
    progress: called in this process with a ClipsProgress, at once and after each clip; what it raises ends the job.
    Rows come in the corpus's order and are the same bytes whatever `workers` is. Raises RecipeError for a value that makes no sense,
    ManifestError when the corpus cannot be used, ShardError when `out` holds other settings or other clips.
    """
    whole_number(1, limit=limit)
    whole_number(MIN_SOUND_RATE, 192_000, sample_rate=sample_rate)
    (max_seconds,) = positive(max_seconds=max_seconds)
    _check_length(sample_rate, max_seconds)
    (clip_timeout_seconds,) = positive(endless=True, clip_timeout_seconds=clip_timeout_seconds)
    one_of(get_args(SoundCodec), sound_codec=sound_codec)
    workers = crew_size(workers)
    folder = Path(out)
    corpus = load_corpus(data)
    clips = corpus.clips if limit is None else take_in_proportion(corpus.clips, limit)
    wanted = _chosen_senses(clips) if senses is None else checked_senses(senses)
    spec = extract_spec(wanted, sample_rate=sample_rate, max_seconds=max_seconds)
    kept = tuple(_KEPT_FOR[sense] for sense in wanted)
    index = _plan(corpus, clips, spec, sound_codec=sound_codec, senses=kept)
    if dry_run:
        return _estimate(folder, corpus, clips, index, workers=workers)
    require_parquet()
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        _claim(folder, index)
        done = [part for part in range(index.num_parts) if part_is_done(folder, index, part)]
        if retry_failed:
            done = [part for part in done if not part_has_failures(folder, index, part)]
        relabelled = sum(
            relabel_part(folder, index, part, [clips[row] for row in index.part_rows(part)]) for part in done
        )
        parts = sorted(set(range(index.num_parts)).difference(done))
        resumed = index.num_clips - sum(len(index.part_rows(part)) for part in parts)
        todo = [Part(part, tuple(clips[row] for row in index.part_rows(part))) for part in parts]
        reports = run_parts(todo, PartWriter(folder, index), workers=workers, item_timeout_seconds=clip_timeout_seconds)
        ledger = _Ledger(index, resumed, progress)
        for report in reports:
            ledger.take(report.kind == "part", report.part, report.position, report.reason)
        ledger.finish()
    shards, seconds = Shards(folder, index), time.monotonic() - began
    return PrepareSummary(
        out=folder,
        clips=len(clips),
        resumed=resumed,
        failures=_failures(shards),
        problems=corpus.problems,
        seconds=seconds,
        size_bytes=_size(folder),
        cut=_cut(shards),
        relabelled=relabelled,
        labels=LabelCounts.of(clips),
    )


def checked_senses(senses: Sequence[str] | str) -> tuple[Sense, ...]:
    """These senses (or this one) in the usual order, voice among them. Raises ManifestError for a word that is none.

    >>> checked_senses(["picture"]), checked_senses("voice")
    (('voice', 'picture'), ('voice',))
    """
    senses = each(senses)
    unknown = [sense for sense in senses if sense not in ALL_SENSES]
    if unknown:
        raise ManifestError(f"there is no sense {unknown[0]!r}; the senses are {', '.join(ALL_SENSES)}")
    return tuple(sense for sense in ALL_SENSES if sense == "voice" or sense in senses)


def _check_length(sample_rate: int, max_seconds: float) -> None:
    """Refuse to keep sounds that are too long to be read again. Raises RecipeError."""
    if sample_rate * max_seconds > MOST_SAMPLES:
        raise RecipeError(
            f"max_seconds must be at most {MOST_SAMPLES // sample_rate} at sample_rate {sample_rate}, got {max_seconds:g}; "
            "lower one of them, or cut the clips"
        )


def extract_spec(
    senses: Sequence[Sense], *, sample_rate: int = MAX_SAMPLE_RATE, max_seconds: float = 600.0
) -> ExtractSpec:
    """What is read of a file for these senses: prepare and predict take the same, or they would drift apart."""
    looks = any(sense != "voice" for sense in senses)
    return ExtractSpec(
        max_sample_rate=sample_rate,
        max_seconds=max_seconds,
        faces=STANDARD_FACES if looks else None,
        crops_kept=CROPS_KEPT if looks else None,
        motion=STANDARD_MOTION if "motion" in senses else None,
        mouth=STANDARD_MOUTH if "agreement" in senses else None,
    )


def _chosen_senses(clips: Sequence[Clip]) -> tuple[Sense, ...]:
    """All senses, or voice alone where no file can have a picture by its name."""
    shows = any(clip.path.suffix.lower() not in SOUND_SUFFIXES for clip in clips)
    return ALL_SENSES if shows else ("voice",)


def extract_row(clip: Clip, spec: ExtractSpec) -> ShardRow:
    """One clip → its row, whatever is wrong with its file."""
    try:
        features, sound = extract_packed(clip.path, spec)
        return ShardRow(clip, features, sound=sound)
    except MediaError as error:
        return ShardRow(clip, reason=error.reason)
    except MemoryError:
        return ShardRow(clip, reason="reading it needs more memory than there is")
    except Exception as error:  # noqa: BLE001 -- one file must not stop 300,000 others; the row says what happened
        return ShardRow(clip, reason=f"unexpected {type(error).__name__} while reading: {error}")


def take_in_proportion(clips: Sequence[Clip], limit: int) -> tuple[Clip, ...]:
    """`limit` clips, each label and split in proportion and present when it can be, in the old order; no luck involved.

    Raises ValueError when limit is less than one.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    if limit >= len(clips):
        return tuple(clips)
    strata: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, clip in enumerate(clips):
        strata[str(clip.label), str(clip.split)].append(number)
    for numbers in strata.values():
        numbers.sort(key=lambda number: hashlib.sha256(clips[number].name.encode()).digest())
    # Fill place by place: next comes the stratum that lags furthest behind its share (Sainte-Laguë).
    taken = dict.fromkeys(sorted(strata), 0)
    for _ in range(limit):
        key = max(taken, key=lambda key: (len(strata[key]) - taken[key] > 0, len(strata[key]) / (2 * taken[key] + 1)))
        taken[key] += 1
    chosen = sorted(number for key, count in taken.items() for number in strata[key][:count])
    return tuple(clips[number] for number in chosen)


class PartWriter:
    """Does one part in a worker: extract each clip, encode it, write the part's files."""

    def __init__(self, folder: Path, index: ShardIndex) -> None:
        self.folder = folder
        self.index = index

    def __call__(self, part: Part, tell: Callable[[int, str], None]) -> None:
        """Write the part and tell of every clip as it is finished."""
        write_part(self.folder, self.index, part.number, self._rows(part, tell))

    def _rows(self, part: Part, tell: Callable[[int, str], None]) -> Iterator[EncodedRow]:
        """Row after row; none is held here while the next one is read."""
        for position, clip in enumerate(part.items):
            given_up = part.given_up.get(position)
            row = ShardRow(clip, reason=given_up) if given_up else extract_row(clip, self.index.extract)
            reason, encoded = row.reason, encode_row(row, self.index)
            del row
            yield encoded
            del encoded
            tell(position, reason)


class _Ledger:
    """Counts what workers report and passes it on, a few times a second."""

    def __init__(self, index: ShardIndex, resumed: int, progress: Callable[[ClipsProgress], None] | None) -> None:
        self._index, self._resumed, self._progress = index, resumed, progress
        self._began = time.monotonic()
        self._told = 0.0
        self._finished = resumed
        self._failed = 0
        self._open: dict[int, dict[int, str]] = defaultdict(dict)

    def take(self, is_part: bool, part: int, position: int, reason: str) -> None:
        """One report. A part that is done anew after a crash counts its clips once."""
        if is_part:
            reasons = self._open.pop(part, {})
            self._finished += len(self._index.part_rows(part))
            self._failed += sum(bool(text) for text in reasons.values())
        else:
            if position == 0:
                self._open[part].clear()
            self._open[part][position] = reason
        if time.monotonic() - self._told > PROGRESS_SECONDS:
            self.finish()

    def finish(self) -> None:
        """Tell the state as it is now."""
        if self._progress is None:
            return
        self._told = time.monotonic()
        done = self._finished + sum(len(positions) for positions in self._open.values())
        failures = self._failed + sum(bool(text) for reasons in self._open.values() for text in reasons.values())
        rate = (done - self._resumed) / max(1e-9, self._told - self._began)
        left = self._index.num_clips - done
        eta = left / rate if rate > 0 else None
        self._progress(ClipsProgress(done, self._index.num_clips, failures, rate, eta))


def _plan(
    corpus: Corpus, clips: Sequence[Clip], spec: ExtractSpec, *, sound_codec: SoundCodec, senses: tuple[str, ...]
) -> ShardIndex:
    """What the folder will hold. The fingerprint is of what is decoded; what the corpus says of it may change (relabel_part)."""
    count = len(clips)
    per_part = min(MAX_CLIPS_PER_PART, max(MIN_CLIPS_PER_PART, -(-count // WANTED_PARTS)))
    digest = hashlib.sha256(f"{spec.model_dump_json()} {sound_codec} {per_part} {senses}\n".encode())
    for clip in clips:
        size = clip.path.stat().st_size if clip.path.is_file() else -1
        digest.update(json.dumps([clip.name, size]).encode())
    return ShardIndex(
        extract=spec,
        sound_codec=sound_codec,
        data=str(corpus.root).encode("utf-8", "backslashreplace").decode(),
        num_clips=count,
        clips_per_part=per_part,
        fingerprint=digest.hexdigest(),
        senses=senses,
        num_problems=len(corpus.problems),
        problems=tuple(problem.text for problem in corpus.problems[:KEPT_PROBLEMS]),
    )


def _claim(folder: Path, index: ShardIndex) -> None:
    """Write the index, or make sure that the one there is of the same settings and clips; clear what a killed run left."""
    there = read_index(folder)
    if there is None:
        foreign = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
        if foreign:
            raise ShardError(
                f"{folder}: not empty and without {INDEX_NAME} ({foreign[0]!r} is in it); give an empty folder as out"
            )
        write_index(folder, index)
    elif changed := _changed_settings(there, index):
        then, now = (", ".join(f"{name}={_settings(which)[name]}" for name in changed) for which in (there, index))
        raise ShardError(
            f"{folder}: was prepared with {then}, now asked for {now}; give another out or delete the folder"
        )
    elif there.fingerprint != index.fingerprint:
        raise ShardError(
            f"{folder}: was prepared from other clips ({there.num_clips} clips then, {index.num_clips} now); "
            "give another out or delete the folder"
        )
    elif there != index:  # the corpus lies elsewhere, or other rows of its table could not be taken
        write_index(folder, index)
    for left in folder.glob("**/.*.part"):
        left.unlink(missing_ok=True)


def _changed_settings(there: ShardIndex, index: ShardIndex) -> list[str]:
    """Names of the settings that differ; how each sense is read follows from which senses are kept."""
    then, now = _settings(there), _settings(index)
    changed = [name for name, value in now.items() if then[name] != value]
    return ["senses"] if "senses" in changed else changed


def _settings(index: ShardIndex) -> dict[str, object]:
    """What prepare was asked for, under the names of its keywords."""
    senses = ",".join(sense for sense, kept in _KEPT_FOR.items() if kept in index.senses)
    values = {"senses": senses, **index.extract.model_dump(), "sound_codec": index.sound_codec}
    return {"sample_rate": values.pop("max_sample_rate"), **values}


def _estimate(
    folder: Path, corpus: Corpus, clips: Sequence[Clip], index: ShardIndex, *, workers: int
) -> PrepareSummary:
    """Time and size for all clips from a timed sample of them, in this process, written nowhere."""
    sample = take_in_proportion(clips, DRY_RUN_CLIPS)
    extract_row(sample[0], index.extract)  # the first call pays for imports and plans
    failures, size = [], 0
    began = time.monotonic()
    for clip in sample:
        row = extract_row(clip, index.extract)
        cells = encode_row(row, index)
        size += cells.num_bytes(index.senses) + LIGHT_BYTES_PER_CLIP
        if row.reason:
            failures.append(Failure(clip.name, row.reason))
    scale = len(clips) / len(sample)
    seconds = (time.monotonic() - began) * scale / min(workers, num_cores())
    return PrepareSummary(
        folder,
        len(clips),
        0,
        tuple(failures),
        corpus.problems,
        seconds,
        round(size * scale),
        LabelCounts.of(clips),
        dry_run=True,
    )


def _failures(shards: Shards) -> tuple[Failure, ...]:
    return tuple(Failure(shards.names[row], shards.reasons[row]) for row in shards.failed.nonzero()[0])


def _cut(shards: Shards) -> tuple[str, ...]:
    """Names of clips that are longer than what was read of them."""
    notes = shards.table["notes"].to_pylist()
    return tuple(
        name
        for name, text in zip(shards.names, notes, strict=True)
        if any(note["code"] == "limited" for note in json.loads(text))
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*/*.parquet"))


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One prepare a folder; the lock falls with its process, however that ends. Where there is no flock, no lock."""
    try:
        import fcntl
    except ModuleNotFoundError:
        yield
        return
    # Who sent the folder may have laid a link there: it is not followed, and nothing is cut short.
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        handle = os.open(folder / ".lock", flags, 0o666)  # less the umask: a group may share the folder
    except PermissionError as error:
        raise ShardError(
            f"{folder / '.lock'}: another user made it and did not share it; ask for write permission, or give another out"
        ) from error
    except OSError as error:
        raise ShardError(
            f"{folder / '.lock'}: cannot be opened as a plain file ({error.strerror}); delete it, or give another out"
        ) from error
    with os.fdopen(handle, "rb+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ShardError(f"{folder}: another prepare is writing here; wait for it or give another out") from error
        yield
