"""One clip or ten thousand → verdicts with their evidence: what `ffdv scan` does.

    file                        ─▶ Verdict
    folder, table, several      ─▶ ScanSummary, and in `out`:
        index.html  scores.csv  clips/NAME-<digest>.html  .json  .jpg

A clip's JSON is written last, so a clip that has one is done: a scan that was stopped goes on when it is started again.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple, overload
from urllib.parse import quote_from_bytes

from ffdv.data.manifest import load_every_clip
from ffdv.data.pool import ClipsProgress, Part, ProgressTally, Report, crew_size, run_parts
from ffdv.data.scores import write_scores
from ffdv.data.sources.table import TABLE_SUFFIXES
from ffdv.data.tables import write_whole
from ffdv.detect.index_page import IndexRow, index_page
from ffdv.detect.judging import Detector, shipped_detector, shipped_weights
from ffdv.detect.own_files import WatchedFile, own_folder
from ffdv.detect.own_names import apart, claimed, readable, whole_path
from ffdv.detect.report import Linked, clip_page, data_link, thumbnail
from ffdv.detect.scan_json import failure_json, verdict_json
from ffdv.detect.senses import SENSES
from ffdv.detect.told import CLIPS, Told, base_of, read_told, told_of, write_told
from ffdv.detect.verdict import Verdict
from ffdv.errors import (
    CheckpointError,
    ManifestError,
    MediaChanged,
    MediaError,
    MediaMemory,
    MediaNotFound,
    RecipeError,
    SubmissionError,
)
from ffdv.records import Clip, Score
from ffdv.sentences import GAPS, STOPS, Lang, Sentence, foreign, language, worded

# The reader stops by itself long before (60 s a media minute); what is beyond that hangs.
SECONDS_PER_MINUTE = 90.0
LEAST_TIMEOUT_SECONDS = 900.0
# A clip up to this size lies inside its page, which can then be passed on alone; in a batch pages link to their clips.
MOST_INSIDE_BYTES = 4_000_000
MOST_REWRITES = 5  # of the lists, while others write into the same report; whoever ends last lists all
TOO_MUCH_MEMORY = Sentence("reading it needs more memory than there is")
CHANGED = Sentence("the file changed while it was looked at; scan it again")
Make = Callable[[], Detector]
OnePath = str | os.PathLike[str]


@dataclass(frozen=True)
class ScannedClip:
    """One clip of a scan: its verdict in numbers, or why it has none (reason, and code for machines). page: its HTML file, None
    without `out`. limited: that only a part of the clip was looked at, "" where all was. path: Path(what was given).resolve(), by
    which an input finds its row: names depend on their neighbours. It is None for a row of a table that names no file.
    """

    name: str
    status: str
    word: str = ""
    fake_probability: float | None = None
    senses: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    page: Path | None = None
    code: str = ""
    limited: str = ""
    path: Path | None = None


@dataclass(frozen=True, repr=False)
class ScanSummary:
    """What a scan of many clips found, most suspicious first; out: the folder of its pages, None when none were asked for; skipped: what was
    not looked at in the folders, a sentence each.
    """

    clips: tuple[ScannedClip, ...]
    out: Path | None
    resumed: int
    seconds: float
    skipped: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """One line: the rows are in `clips`."""
        return f"ScanSummary({len(self.clips)} clips, {len(self.failures)} without a verdict, out={self.out and str(self.out)!r})"

    @property
    def failures(self) -> tuple[ScannedClip, ...]:
        """The files that gave no verdict, each with its reason."""
        return tuple(clip for clip in self.clips if clip.status == "failed")


@overload
def scan(  # type: ignore[overload-overlap] # a text is a Sequence of texts, but one path
    data: OnePath,
    *,
    out: OnePath | None = None,
    lang: str = "en",
    workers: int | None = None,
    max_minutes: float = 10.0,
    progress: Callable[[ClipsProgress], None] | None = None,
) -> Verdict | ScanSummary: ...
@overload
def scan(
    data: Sequence[OnePath],
    *,
    out: OnePath | None = None,
    lang: str = "en",
    workers: int | None = None,
    max_minutes: float = 10.0,
    progress: Callable[[ClipsProgress], None] | None = None,
) -> ScanSummary: ...
def scan(
    data: OnePath | Sequence[OnePath],
    *,
    out: OnePath | None = None,
    lang: str = "en",
    workers: int | None = None,
    max_minutes: float = 10.0,
    progress: Callable[[ClipsProgress], None] | None = None,
) -> Verdict | ScanSummary:
    """How likely a clip is forged, by which sense, in which seconds, and why: a Verdict for one file, a ScanSummary for more.

    data: a media file; or a folder, a table of clips, or a list of these, which gives a summary however long it is and looks once at a
    file that it names twice. (A text may name either, so a type checker wants isinstance(found, Verdict) before a verdict's own fields.)
    out: a folder for pages, JSON and scores.csv. lang:
    "en" or "zh", of pages and sentences. workers: processes for many clips, as many as there are cores when 0 or not given.
    max_minutes: how much of each clip is looked at. progress: called in this thread with a ClipsProgress, at once and after each clip, in a
    single file also every two minutes of it; what it raises ends the scan. Raises MediaError when a single file cannot be used (in a
    list that is a row with a reason), ManifestError when there is nothing to look at, CheckpointError when the weights cannot be used, RecipeError
    for a setting that is none, SubmissionError when `out` cannot be written, ShardError when a batch cannot go on (a full disk, or a
    process that may start no others): all of them FfdvError.
    """
    speech = language(lang)
    if not isinstance(max_minutes, Real) or not 0 < max_minutes < math.inf:
        shown = f"{max_minutes!r:.40}"
        raise RecipeError(
            Sentence("max_minutes (--max-minutes) must be a positive number, got {minutes}", minutes=shown)
        )
    crew_size(workers)  # refused before anything is read
    _refuse_nothing(data, out)
    job = ScanJob(out=Path(out) if out is not None else None, lang=speech, max_minutes=float(max_minutes))
    single = _single_file(data)
    if single is not None:
        return _scan_single(single, job, progress)
    clips, problems, skipped = clips_of(data)
    summary = scan_clips(clips, job, unusable=problems, workers=workers, progress=progress)
    given = {str(item): _place(item) for item in _items(data)}
    found = tuple(one if one.path else replace(one, path=given.get(one.name)) for one in summary.clips)
    return replace(summary, clips=found, skipped=tuple(worded(text, speech) for text in skipped))


def _scan_single(path: Path, job: ScanJob, progress: Callable[[ClipsProgress], None] | None) -> Verdict:
    """One file's verdict, written where the job says; it is watched from before it is judged until it lies in its page.

    Raises MediaError, MediaChanged where the file did not stay as it was.
    """
    watched, clip = WatchedFile.of(path), _by_name(path)
    asked = {} if watched is None else _request(clip, job)
    tally = ProgressTally(1, 0, progress)
    try:
        verdict = shipped_detector().judge(
            path, max_minutes=job.max_minutes, progress=lambda _: tally.take(Report("part", 0))
        )
    except MemoryError:
        raise MediaMemory(path, TOO_MUCH_MEMORY) from None
    if _request(clip, job) != asked:
        raise MediaChanged(path, CHANGED)
    if job.out is not None:
        _write_single(verdict, job, watched=watched, asked=asked)
    tally.take(Report("item", 0))
    return verdict


@dataclass(frozen=True)
class ScanJob:
    """How clips are scanned and where their pages go; picklable. make: what builds the detector in each worker; keep: a folder
    for results alone, so that a job without pages resumes too. listed: whether pages lead back to a list of all clips.
    """

    out: Path | None
    lang: Lang = "en"
    max_minutes: float = 10.0
    make: Make = shipped_detector
    keep: Path | None = None
    listed: bool = True


def scan_clips(
    clips: Sequence[Clip],
    job: ScanJob,
    *,
    unusable: Mapping[str, str] | None = None,
    workers: int | None = None,
    progress: Callable[[ClipsProgress], None] | None = None,
) -> ScanSummary:
    """Scan clips in worker processes; unusable: further inputs that have no file to look at, with the reason."""
    began = time.monotonic()
    job.make().senses()  # weights that cannot be used are told at once, not by every clip
    if job.out is None and job.keep is not None:
        own_folder(job.keep)
    with _folder(job.out or job.keep) as folder, claimed(clips, folder) as named:
        clips = named
        todo = [clip for clip in clips if not is_done(clip, folder, job)]
        tally = ProgressTally(len(clips), len(clips) - len(todo), progress)
        timeout = max(LEAST_TIMEOUT_SECONDS, SECONDS_PER_MINUTE * job.max_minutes)
        parts = [Part(number, (clip,)) for number, clip in enumerate(todo)]
        work = PartScanner(folder, job, pages=job.out is not None)
        try:
            for report in run_parts(parts, work, workers=crew_size(workers), item_timeout_seconds=timeout):
                tally.take(report)
        except (KeyboardInterrupt, SystemExit):  # Ctrl-C, or a service manager's "stop"
            if job.out is not None:  # what is done is worth a list
                told = [(clip, told_of(clip.name, folder)) for clip in clips]
                done = [clip for clip, its in told if its is not None and _is_of(its, clip, job)]
                _write_lists([_read_back(clip, folder, job) for clip in done], job.out, job.lang)
            raise
        scanned = [_read_back(clip, folder, job) for clip in clips]
        scanned += [
            ScannedClip(name, "failed", reason=worded(reason, job.lang), code="not_found")
            for name, reason in (unusable or {}).items()
        ]
        if job.out is not None:
            _write_lists(scanned, job.out, job.lang)
    return ScanSummary(_by_suspicion(scanned), job.out, len(clips) - len(todo), time.monotonic() - began)


@dataclass(frozen=True)
class PartScanner:
    """Scans the clips of one part in a worker process and writes their files; the detector is loaded once a process."""

    folder: Path
    job: ScanJob
    pages: bool

    def __call__(self, part: Part, tell: Callable[[int, str], None]) -> None:
        """Scan the part and tell of every clip as it is finished."""
        for position, clip in enumerate(part.items):
            reason = part.given_up.get(position) or scan_clip(clip, self.folder, self.job, pages=self.pages)
            if position in part.given_up:
                _write_failure(clip, self.folder, self.job, reason, code="stopped")
            tell(position, reason)


def scan_clip(clip: Clip, folder: Path, job: ScanJob, *, pages: bool) -> str:
    """Judge one clip and write its files; returns why there is no verdict, "" when there is one."""
    asked = _request(clip, job)
    try:
        verdict = _detector(job.make).judge(clip.path, max_minutes=job.max_minutes)
    except CheckpointError:  # the installation's fault: all other clips would fail like this one
        raise
    except MediaError as error:
        return _write_failure(clip, folder, job, error.reason, code=error.code)
    except MemoryError:
        return _write_failure(clip, folder, job, TOO_MUCH_MEMORY, code=MediaMemory.code)
    except Exception as error:  # noqa: BLE001 -- one file must not stop the others; the row says what happened
        reason = Sentence("unexpected {kind} while reading: {error}", kind=type(error).__name__, error=foreign(error))
        return _write_failure(clip, folder, job, reason, code="unexpected")
    if _request(clip, job) != asked:
        return _write_failure(clip, folder, job, CHANGED, code=MediaChanged.code)
    media = _relative_link(clip.path, folder / CLIPS, verdict) if pages else None
    _write_verdict(verdict, clip, folder, job, asked=asked, media=media)
    return ""


def is_done(clip: Clip, folder: Path, job: ScanJob) -> bool:
    """Whether this clip was scanned with the same weights, language and limit, and has not changed since.

    One that failed is tried again: it may have been the machine.
    """
    told = told_of(clip.name, folder)
    return told is not None and told.status != "failed" and _is_of(told, clip, job)


def _is_of(told: Told, clip: Clip, job: ScanJob) -> bool:
    """Whether a JSON tells of this clip as it is now, asked as now, wherever it lies."""
    return {**told.request, "file": None} == {**_request(clip, job), "file": None}


@cache
def _detector(make: Make) -> Detector:
    """One detector a worker process, on one thread: the pool uses the cores."""
    detector = make()
    return detector.on_one_thread()


def _refuse_nothing(data: object, out: object) -> None:
    """An empty name would be the working directory, and what is no path at all would fail somewhere deep."""
    items = [data] if isinstance(data, (str, os.PathLike)) else data if isinstance(data, Sequence) else [None]
    names = [os.fspath(item) if isinstance(item, (str, os.PathLike)) else None for item in items]
    if not all(isinstance(name, str) and name.strip() for name in names):
        shown = f"{data!r:.60}"
        raise ManifestError(Sentence("nothing to scan: data must be a path, or several, not {data}", data=shown))
    if isinstance(out, str) and not out.strip():
        raise RecipeError(Sentence("out (--out) is an empty name; give a folder for the pages"))


def _items(data: OnePath | Sequence[OnePath]) -> list[Path]:
    """What was given, one or several."""
    return [Path(item) for item in ([data] if isinstance(data, (str, os.PathLike)) else data)]


def _place(item: Path) -> Path:
    """Where a file is, or would be; a name that no file system takes stays as it is."""
    try:
        return item.resolve()
    except (OSError, ValueError, RuntimeError):
        return item


def _single_file(data: OnePath | Sequence[OnePath]) -> Path | None:
    """The one media file that was asked for; None when it is a list, a folder or a table."""
    if not isinstance(data, (str, os.PathLike)):
        return None
    path = Path(data)
    try:
        folder = path.is_dir()
    except (OSError, ValueError) as error:  # a name that no file system takes
        why = foreign(getattr(error, "strerror", None) or error)
        raise MediaNotFound(path, Sentence("no such file ({why}); check the name and the folder", why=why)) from None
    if folder or path.suffix.lower() in TABLE_SUFFIXES or (path.suffix.lower() == ".txt" and path.is_file()):
        return None
    return path


class Inputs(NamedTuple):
    """Clips by unique names, inputs without a file with the reason, and a sentence for what was not looked at in each folder."""

    clips: list[Clip]
    unusable: dict[str, str]
    skipped: tuple[str, ...]


def clips_of(data: OnePath | Sequence[OnePath]) -> Inputs:
    """All that is to be scanned. Raises ManifestError when there is nothing; in a list, what cannot be used is told of among the others."""
    items, listed = _items(data), not isinstance(data, (str, os.PathLike))
    if not items:
        raise ManifestError(Sentence("nothing to scan; give a file, a folder or a table of clips"))
    clips: dict[str, Clip] = {}
    unusable: dict[str, str] = {}
    skipped: list[str] = []
    seen: set[Path] = set()
    for item in items:
        if listed and not item.exists():
            unusable[str(item)] = Sentence("no such file")
            continue
        inside = f"{item.name}/" if len(items) > 1 and item.is_dir() and item.name else ""
        try:
            corpus = load_every_clip(item)
        except ManifestError as error:
            if not listed:
                raise
            unusable[str(item)] = error.args[0]
            continue
        for clip in corpus.clips:
            if clip.path in seen:
                continue
            seen.add(clip.path)
            name = readable(inside + clip.name)
            name = name if name not in clips else readable(str(clip.path))
            clips[name] = Clip(name, clip.path)
        skipped += [problem.text for problem in corpus.problems if problem.kind == "skipped"]
        for problem in corpus.problems:
            if problem.kind not in {"skipped", "duplicate", "unlabelled"} and problem.name:
                unusable.setdefault(inside + problem.name, problem.text)
    unusable = {name: text for name, text in unusable.items() if name not in clips}
    return Inputs(list(clips.values()), unusable, tuple(skipped))


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """Where clips' files go: `out`, or a folder that lives as long as the scan."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix="ffdv-scan-") as folder:
            (Path(folder) / CLIPS).mkdir()
            yield Path(folder)
        return
    if out.is_file():
        raise SubmissionError(Sentence("{out}: is a file; give a folder for the pages (--out report)", out=out))
    try:
        (out / CLIPS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = foreign(error.strerror or error)
        told = Sentence("cannot write into {folder} ({why}); give another folder (--out)", folder=out, why=why)
        raise SubmissionError(told) from error
    yield out


def _request(clip: Clip, job: ScanJob) -> dict[str, Any]:
    try:
        facts: os.stat_result | None = clip.path.stat()
    except OSError:
        facts = None  # it is gone; reading it says so
    return {
        "file": whole_path(clip),
        "file_bytes": facts.st_size if facts else None,
        "file_modified_ns": facts.st_mtime_ns if facts else None,
        "language": job.lang,
        "max_minutes": job.max_minutes,
        "weights": dict(shipped_weights()),
    }


def _write_single(verdict: Verdict, job: ScanJob, *, watched: WatchedFile | None, asked: Mapping[str, Any]) -> None:
    """The page, JSON and lists of a single file. watched, asked: the file and the request as they were before it was judged."""
    with _folder(job.out) as folder, claimed([_by_name(verdict.path)], folder) as (clip,):
        _write_verdict(verdict, clip, folder, job, asked=asked, media=_media_of(verdict, watched, folder / CLIPS))
        _write_lists([_read_back(clip, folder, job)], folder, job.lang)


def _media_of(verdict: Verdict, watched: WatchedFile | None, folder: Path) -> Linked | None:
    """The clip for a page in `folder`: inside it where it is small, else linked; None where it is not the file any more that was judged."""
    if watched is None or not watched.unchanged:
        return None
    if watched.state.size_bytes <= MOST_INSIDE_BYTES:
        content = watched.read()
        if content is None:
            return None
        inside = data_link(content, verdict.facts.container, is_video=verdict.facts.has_picture)
        if inside is not None:
            return inside
    return _relative_link(watched.path, folder, verdict)


def page_of(verdict: Verdict, out: Path) -> Path:
    """Where scan has written, or would write, the page of a single file."""
    return base_of(apart(_by_name(verdict.path), out).name, out).with_suffix(".html")


def _by_name(path: Path) -> Clip:
    """A single file under its own name."""
    return Clip(readable(path.name), path)


def _write_verdict(
    verdict: Verdict, clip: Clip, folder: Path, job: ScanJob, *, asked: Mapping[str, Any], media: Linked | None
) -> None:
    """asked: the request, with the file's size and date as they were before it was judged."""
    base = base_of(clip.name, folder)
    if job.out is not None:
        small = thumbnail(verdict)
        if small is not None:
            write_whole(base.with_suffix(".jpg"), small)
        back = "../index.html" if job.listed else ""
        page = clip_page(verdict, clip.name, lang=job.lang, media=media, back=back)
        write_whole(base.with_suffix(".html"), page.encode("utf-8", "backslashreplace"))
    write_told(base.with_suffix(".json"), verdict_json(verdict, clip.name, lang=job.lang) | {"request": asked})


def _write_failure(clip: Clip, folder: Path, job: ScanJob, reason: str, *, code: str) -> str:
    told = failure_json(clip.name, reason, code=code, lang=job.lang) | {"request": _request(clip, job)}
    write_told(base_of(clip.name, folder).with_suffix(".json"), told)
    return reason


def _read_back(clip: Clip, folder: Path, job: ScanJob) -> ScannedClip:
    told = told_of(clip.name, folder)
    if told is None:
        reason = worded(Sentence("its result was not written; scan it again"), job.lang)
        return ScannedClip(clip.name, "failed", reason=reason, code="unexpected", path=clip.path)
    if told.file != whole_path(clip) and not _is_of(told, clip, job):
        foreign_hand = Sentence("another scan wrote over its result; scan it again")
        reason = worded(foreign_hand, job.lang)
        return ScannedClip(clip.name, "failed", reason=reason, code="unexpected", path=clip.path)
    line = _line(told, base_of(clip.name, folder).with_suffix(".html") if job.out is not None else None)
    return replace(line, path=clip.path)


def _line(told: Told, page: Path | None) -> ScannedClip:
    """What the JSON of a clip says, as a line of the lists."""
    if told.status == "failed":
        return ScannedClip(told.name, "failed", reason=told.reason, code=told.code)
    said = {sense: told.senses[sense] for sense in SENSES}
    senses: dict[str, float] = {sense: one.probability for sense, one in said.items() if one.probability is not None}
    why = next((reason.text for reason in told.reasons), "")
    if told.fake_probability is None:
        absent = dict.fromkeys(one.text.rstrip(".。") for one in said.values() if one.text)
        why = ("; " if told.language == "en" else "；").join([why.rstrip(".。"), *absent]) + STOPS[told.language]
    part = GAPS[told.language].join(told.limited)
    return ScannedClip(told.name, "ok", told.verdict or "", told.fake_probability, senses, why, page, limited=part)


def _by_suspicion(scanned: Sequence[ScannedClip]) -> tuple[ScannedClip, ...]:
    """What is called fake first, then what cannot be told, then the rest, each the most suspicious first; failures last."""
    order = {word: place for place, word in enumerate(("fake", "cannot tell", "real"))}

    def place(one: ScannedClip) -> tuple[bool, int, float, str]:
        return one.status == "failed", order.get(one.word, len(order)), -(one.fake_probability or -1.0), one.name

    return tuple(sorted(scanned, key=place))


def _earlier(out: Path, scanned: Sequence[ScannedClip]) -> list[ScannedClip]:
    """What earlier scans left in the folder: a report that clips are added to one by one lists them all."""
    now = {one.name for one in scanned}
    found = []
    for path in sorted((out / CLIPS).glob("*.json")):
        told = read_told(path)
        # A JSON under a name that is not its clip's was not written by a scan.
        if told is not None and told.name not in now and base_of(told.name, out).with_suffix(".json").name == path.name:
            found.append(_line(told, path.with_suffix(".html")))
    return found


def _write_lists(now: Sequence[ScannedClip], out: Path, lang: Lang) -> None:
    """index.html and scores.csv of all that was ever scanned into the folder, also by others while they are written."""
    for _ in range(MOST_REWRITES):
        before = _results(out)
        _write_lists_once(now, out, lang)
        if _results(out) == before:
            return


def _results(out: Path) -> set[tuple[str, int]]:
    """The JSON files of a report with their dates: whoever wrote an older list than they make writes it again."""
    found = set()
    with os.scandir(out / CLIPS) as entries:
        for one in entries:
            with suppress(OSError):  # somebody removed it just now
                found |= {(one.name, one.stat().st_mtime_ns)} if one.name.endswith(".json") else set()
    return found


def _write_lists_once(now: Sequence[ScannedClip], out: Path, lang: Lang) -> None:
    """A clip that no sense could judge is a failed score."""
    scanned = _by_suspicion([*now, *_earlier(out, now)])
    rows = []
    for one in scanned:
        page = f"{CLIPS}/{one.page.name}" if one.page is not None else ""
        picture = one.page.with_suffix(".jpg") if one.page is not None else None
        small = f"{CLIPS}/{picture.name}" if picture is not None and picture.is_file() else ""
        facts = (one.name, one.status, one.word, one.fake_probability, dict(one.senses), one.reason, page, small)
        rows.append(IndexRow(*facts, limited=one.limited))
    write_whole(out / "index.html", index_page(rows, lang=lang).encode("utf-8", "backslashreplace"))
    write_scores(out / "scores.csv", [as_score(one, lang) for one in scanned], all_senses=True)


def as_score(one: ScannedClip, lang: Lang = "en") -> Score:
    """A row of scores.csv; nothing is invented where no sense could judge."""
    if one.fake_probability is None:
        reason = one.reason or worded(Sentence("no sense could judge it"), lang)
        return Score(one.name, None, "failed", reason, verdict=one.word if one.status == "ok" else "")
    return Score(one.name, one.fake_probability, reason=one.limited, senses=dict(one.senses), verdict=one.word)


def _relative_link(path: Path, folder: Path, verdict: Verdict) -> Linked | None:
    """How a page in `folder` reaches the clip; None where no relative path leads there (another drive)."""
    try:
        relative = os.path.relpath(path.resolve(), folder.resolve())
    except ValueError:
        return None
    # "./" keeps a name with a colon from being taken for an address of its own.
    return Linked("./" + quote_from_bytes(os.fsencode(relative.replace(os.sep, "/"))), verdict.facts.has_picture)
