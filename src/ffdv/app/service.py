"""Clips that are handed in one by one, scanned in turn by processes that stay, and forgotten after a while; knows nothing of HTTP.

    reserve ─▶ (the clip is written) ─▶ submit ─▶ waits ─▶ is scanned ─▶ its JSON and page lie in its folder ─▶ sweep, forget

Every clip has a folder of its own below `folder`, named by a random number that nobody guesses; whoever knows it sees what was found.
Nothing of it outlives the service: what a killed one left is removed when the next begins.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ffdv.data.pool import Part, PartQueue, Report, crew_size, run_parts
from ffdv.detect.judging import shipped_detector
from ffdv.detect.own_files import own_folder, read_plain
from ffdv.detect.own_names import readable
from ffdv.detect.scan import LEAST_TIMEOUT_SECONDS, SECONDS_PER_MINUTE, Make, PartScanner, ScanJob
from ffdv.detect.scan_json import failure_json
from ffdv.detect.told import CLIPS, MOST_BYTES, base_of
from ffdv.errors import FfdvError
from ffdv.records import Clip
from ffdv.sentences import Lang, Sentence, foreign

State = Literal["waiting", "running", "done", "failed"]
KEY = re.compile(r"[0-9a-f]{32}")  # of a clip: 128 random bits
MEDIA = "media"  # the folder of the clip itself, beside CLIPS
MOST_NAME = 200  # characters of a clip's name
RESTART_SECONDS = 1.0  # after the machine failed (a full disk, say)
UNWRITTEN = Sentence("its result was not written; scan it again")


class TooManyWaitError(FfdvError):
    """As many clips as are allowed wait already; later there is room again."""


@dataclass(frozen=True)
class Served:
    """One clip that was handed in. number: of its part; media: where its bytes are written."""

    key: str
    number: int
    name: str
    lang: Lang
    folder: Path
    media: Path


@dataclass(frozen=True)
class Standing:
    """How far a clip is. ahead: how many are begun before it, while it waits; told: its JSON (docs/scan-json.md) when it is done or failed; has_page."""

    key: str
    state: State
    ahead: int = 0
    told: dict[str, Any] | None = None
    has_page: bool = False


@dataclass
class _Held:
    served: Served
    submitted: bool = False
    told: dict[str, Any] | None = None
    finished: float | None = None
    forgotten: bool = False


@dataclass(frozen=True)
class ServedScanner:
    """Scans the clip of a part in a worker process, into the clip's own folder."""

    job: ScanJob

    def __call__(self, part: Part, tell: Callable[[int, str], None]) -> None:
        """Scan it and tell of it."""
        served: Served = part.items[0]
        job = replace(self.job, out=served.folder, lang=served.lang)
        clip = Clip(served.name, served.media)
        PartScanner(served.folder, job, pages=True)(Part(part.number, (clip,), part.given_up), tell)


@dataclass
class ScanService:
    """Scans what is handed in, with so many processes (as many as there are cores when None). most_waiting: clips that may be in hand at once,
    being written, waiting or scanned; keep_seconds: how long what was found is kept. Every method may be called from any thread.
    """

    folder: Path
    workers: int | None = None
    max_minutes: float = 10.0
    most_waiting: int = 64
    keep_seconds: float = 3600.0
    make: Make = shipped_detector
    _held: dict[str, _Held] = field(default_factory=dict, init=False)
    _numbers: dict[int, str] = field(default_factory=dict, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)
    _queue: PartQueue = field(default_factory=PartQueue, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _ending: threading.Event = field(default_factory=threading.Event, init=False)
    _count: int = field(default=0, init=False)

    def begin(self) -> None:
        """Start the workers. Raises CheckpointError when the weights cannot be used, SubmissionError when `folder` cannot be written."""
        self.make().senses()
        own_folder(self.folder)
        for left in self.folder.iterdir():
            if KEY.fullmatch(left.name):
                shutil.rmtree(left, ignore_errors=True)
        self._thread = threading.Thread(target=self._run, name="scans", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop the workers and remove every clip and what was found."""
        self._ending.set()
        self._queue.close(at_once=True)
        if self._thread is not None:
            self._thread.join(timeout=10)
        with self._lock:
            for held in self._held.values():
                shutil.rmtree(held.served.folder, ignore_errors=True)
            self._held.clear()

    def reserve(self, name: str, lang: Lang = "en") -> Served:
        """A place for a clip, whose bytes are then written to its `media`. Raises TooManyWaitError, OSError where it cannot be made."""
        with self._lock:
            if self.in_hand >= self.most_waiting:
                raise TooManyWaitError(f"{self.most_waiting} clips wait already; try again later")
            key, self._count = secrets.token_hex(16), self._count + 1
            folder = self.folder / key
            plain = readable(name.replace("\\", "/").rsplit("/", 1)[-1])[-MOST_NAME:].strip() or "clip"
            served = Served(key, self._count, plain, lang, folder, folder / MEDIA / ("clip" + _ending_of(plain)))
            for one in (CLIPS, MEDIA):
                (folder / one).mkdir(parents=True, mode=0o700)
            self._held[key] = _Held(served)
            self._numbers[served.number] = key
            return served

    def submit(self, served: Served) -> None:
        """All bytes are there: have it scanned."""
        with self._lock:
            if (held := self._held.get(served.key)) is None:
                return
            held.submitted = True
        self._queue.put(Part(served.number, (served,)))

    def look(self, key: str) -> Standing | None:
        """How far a clip is; None where there is none of that key (any more)."""
        with self._lock:
            held = self._held.get(key)
            if held is None or held.forgotten or not held.submitted:
                return None
            if held.told is not None:
                well = held.told["status"] == "ok"
                return Standing(key, "done" if well else "failed", told=held.told, has_page=well)
            ahead = self._queue.ahead(held.served.number)
            return Standing(key, "running") if ahead is None else Standing(key, "waiting", ahead)

    def page(self, key: str) -> Path | None:
        """The page of a clip that was judged."""
        served = self._judged(key)
        return None if served is None else base_of(served.name, served.folder).with_suffix(".html")

    def media(self, key: str) -> Path | None:
        """The clip itself, for the player of its page."""
        served = self._judged(key)
        return None if served is None else served.media

    def _judged(self, key: str) -> Served | None:
        with self._lock:
            standing = self.look(key)
            return self._held[key].served if standing is not None and standing.has_page else None

    def forget(self, key: str) -> bool:
        """Remove a clip and what was found, at once or, while it is looked at, as soon as that ends; whether there was one."""
        with self._lock:
            held = self._held.get(key)
            if held is None or held.forgotten:
                return False
            held.forgotten = True
            being_scanned = held.submitted and held.told is None and not self._queue.drop(held.served.number)
            if not being_scanned:
                self._remove(held)
            return True

    def sweep(self) -> None:
        """Forget what was kept long enough."""
        long_ago = time.monotonic() - self.keep_seconds
        with self._lock:
            for key in [key for key, held in self._held.items() if (held.finished or long_ago) < long_ago]:
                self.forget(key)

    @property
    def in_hand(self) -> int:
        """Clips that are being written, wait or are scanned."""
        with self._lock:
            return sum(held.told is None for held in self._held.values())

    @property
    def kept(self) -> int:
        """Clips whose result can be seen."""
        with self._lock:
            return sum(held.told is not None for held in self._held.values())

    @property
    def works(self) -> bool:
        """Whether clips are being taken from the queue."""
        return self._thread is not None and self._thread.is_alive()

    def _remove(self, held: _Held) -> None:
        self._held.pop(held.served.key, None)
        self._numbers.pop(held.served.number, None)
        shutil.rmtree(held.served.folder, ignore_errors=True)

    def _run(self) -> None:
        """The life of the thread that gives clips to workers; a failure of the machine costs the clips that are being scanned."""
        work = ServedScanner(ScanJob(out=None, max_minutes=self.max_minutes, make=self.make, listed=False))
        timeout = max(LEAST_TIMEOUT_SECONDS, SECONDS_PER_MINUTE * self.max_minutes)
        while not self._ending.is_set():
            try:
                for report in run_parts(
                    self._queue, work, workers=crew_size(self.workers), item_timeout_seconds=timeout
                ):
                    self._take(report)
            except FfdvError as error:
                self._give_up(foreign(error))
                self._ending.wait(RESTART_SECONDS)

    def _take(self, report: Report) -> None:
        with self._lock:
            held = self._held.get(self._numbers.get(report.part, ""))
            if report.kind != "item" or held is None:
                return
            self._finish(held, _told(held.served) or _failed(held.served, UNWRITTEN))

    def _give_up(self, reason: Sentence) -> None:
        """What was being scanned when the machine failed gets no verdict; what waits is scanned later."""
        with self._lock:
            for held in list(self._held.values()):
                if held.submitted and held.told is None and self._queue.ahead(held.served.number) is None:
                    self._finish(held, _failed(held.served, reason))

    def _finish(self, held: _Held, told: dict[str, Any]) -> None:
        held.told, held.finished = told, time.monotonic()
        if held.forgotten:
            self._remove(held)


def _ending_of(name: str) -> str:
    """A name's ending, where it is a plain one: browsers and people know a clip by it."""
    found = re.search(r"\.[A-Za-z0-9]{1,5}$", name)
    return found[0].lower() if found else ""


def _told(served: Served) -> dict[str, Any] | None:
    """A clip's JSON as others may see it: where it lies on this machine is nobody's business."""
    content = read_plain(base_of(served.name, served.folder).with_suffix(".json"), most_bytes=MOST_BYTES)
    with contextlib.suppress(ValueError):
        if isinstance(told := json.loads(content or b""), dict):
            told.pop("request", None)
            return told
    return None


def _failed(served: Served, reason: Sentence) -> dict[str, Any]:
    return failure_json(served.name, reason, code="unexpected", lang=served.lang)
