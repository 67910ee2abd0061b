"""Clips that are handed in one by one, scanned in turn by processes that stay, and forgotten after a while; knows nothing of HTTP.

    reserve ─▶ (the clip is written) ─▶ submit ─▶ waits ─▶ is scanned ─▶ its JSON and page lie in its folder ─▶ sweep, forget

Every clip has a folder of its own, named by a random number that nobody guesses; whoever knows it sees what was found. Nothing outlives the service.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ffdv.app.serve.place import ServicePlace
from ffdv.data.pool import Part, PartQueue, Report, crew_size, run_parts
from ffdv.detect.judging import shipped_detector
from ffdv.detect.own_files import read_plain
from ffdv.detect.own_names import readable
from ffdv.detect.scan import LEAST_TIMEOUT_SECONDS, SECONDS_PER_MINUTE, Make, PartScanner, ScanJob
from ffdv.detect.scan_json import failure_json
from ffdv.detect.told import CLIPS, MOST_BYTES, base_of
from ffdv.errors import FfdvError, SubmissionError
from ffdv.records import Clip
from ffdv.sentences import Lang, Sentence

log = logging.getLogger("ffdv.serve")
State = Literal["waiting", "running", "done", "failed"]
KEY = re.compile(r"[0-9a-f]{32}")  # 128 random bits
MEDIA = "media"  # the folder of the clip itself, beside CLIPS
MOST_NAME = 200  # characters of a clip's name
SPARE_BYTES = 200_000_000  # of the disk, kept for results and for others
# After the machine failed (a full disk, say) a pause, doubled until it works again; after so many failures in a row without any worker, some
# four minutes, the service gives up, for whoever supervises it.
RESTART_SECONDS, LONGEST_RESTART, MOST_FAILURES = 1.0, 60.0, 10
SHOWN_KEY = 8  # digits of a key in the log: enough to find a clip, too few to ask for it
FULL = Sentence("the service's disk is full; try again later")
UNWRITTEN = Sentence("the service could not write its result; hand the clip in again")


class TooManyWaitError(FfdvError):
    """As many clips as are allowed are in hand already; later there is room again."""


class NoRoomError(FfdvError):
    """The disk has no room for the clip."""


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
    """How far a clip is. ahead: how many are scanned before it is begun; told: its JSON (docs/scan-json.md) when it is done or failed."""

    key: str
    state: State
    ahead: int = 0
    told: dict[str, Any] | None = None

    @property
    def has_page(self) -> bool:
        """Whether there is a page to look at."""
        return self.state == "done"


@dataclass
class _Held:
    """What is known of a clip; expected: bytes that are still to come, began and finished: seconds of a clock of its own."""

    served: Served
    expected: int
    began: float
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
    """Scans what is handed in, with so many processes (as many as there are cores when None), in a folder of its own below `base`. most_waiting:
    clips that may be in hand at once, being written, waiting or scanned; keep_seconds: how long what was found is kept; on_broken: called when
    the machine has failed too often. Every method may be called from any thread.
    """

    base: Path
    workers: int | None = None
    max_minutes: float = 10.0
    most_waiting: int = 64
    keep_seconds: float = 3600.0
    make: Make = shipped_detector
    on_broken: Callable[[], None] = lambda: None
    stopping: threading.Event = field(default_factory=threading.Event, init=False)
    is_broken: bool = field(default=False, init=False)
    _place: ServicePlace | None = field(default=None, init=False)
    _held: dict[str, _Held] = field(default_factory=dict, init=False)
    # By number: what is being written, and what waits or is scanned, in that order.
    _writing: dict[int, _Held] = field(default_factory=dict, init=False)
    _doing: dict[int, _Held] = field(default_factory=dict, init=False)
    _failures: int = field(default=0, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)
    _queue: PartQueue = field(default_factory=PartQueue, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _count: int = field(default=0, init=False)

    def begin(self) -> None:
        """Start the workers. Raises CheckpointError when the weights cannot be used, SubmissionError when there is no place for clips."""
        self.make().senses()
        self._place = ServicePlace(self.base)
        self._thread = threading.Thread(target=self._run, name="scans", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop the workers and remove every clip and what was found."""
        self.stopping.set()
        self._queue.close(at_once=True)
        if self._thread is not None:
            self._thread.join(timeout=10)
        with self._lock:
            self._held.clear()
            if self._place is not None:
                self._place.close()

    def reserve(self, name: str, lang: Lang = "en", *, expected: int = 0, key: str = "") -> Served:
        """A place for a clip of so many bytes, which are then written to its `media`; `stop_writing` tells when that ends. key: 32 hex digits that
        the caller chose by chance; this clip takes the place of an earlier one under it. Raises TooManyWaitError, NoRoomError.
        """
        assert not key or KEY.fullmatch(key)
        with self._lock:
            if (before := self._held.get(key)) is not None:
                self.abandon(before.served)
            if self.in_hand >= self.most_waiting:
                raise TooManyWaitError(
                    Sentence("{most} clips are in hand already; try again later", most=self.most_waiting)
                )
            key, self._count = key or secrets.token_hex(16), self._count + 1
            plain = readable(name.replace("\\", "/").rsplit("/", 1)[-1])[-MOST_NAME:].strip() or "clip"
            folder = self._made(expected)
            served = Served(key, self._count, plain, lang, folder, folder / MEDIA / ("clip" + _ending_of(plain)))
            self._held[key] = self._writing[self._count] = _Held(served, expected, time.monotonic())
            return served

    def free_bytes(self) -> int:
        """What the disk has left for clips that nobody has announced yet; below 0 where it is full. Raises SubmissionError, OSError."""
        assert self._place is not None
        self._place.restore()
        with self._lock:
            coming = sum(held.expected for held in self._writing.values())
        return shutil.disk_usage(self._place.path).free - coming - SPARE_BYTES

    def expect(self, served: Served, count: int) -> None:
        """So many bytes of it are still to come."""
        with self._lock:
            if (held := self._writing.get(served.number)) is not None:
                held.expected = count

    def wants(self, served: Served) -> bool:
        """Whether it shall still be written: nobody removed it, or handed it in once more."""
        held = self._writing.get(served.number)
        return held is not None and not held.forgotten

    def stop_writing(self, served: Served) -> None:
        """Nobody writes it any more; if it was not submitted by now, nothing is left of it."""
        with self._lock:
            held = self._writing.pop(served.number, None)
            if held is None:
                return
            self._let_go(held)
        shutil.rmtree(served.folder, ignore_errors=True)

    def submit(self, served: Served) -> None:
        """All bytes are there: have it scanned, if it is still wanted."""
        with self._lock:
            if not self.wants(served):
                return
            held = self._writing.pop(served.number)
            held.began = time.monotonic()
            self._doing[served.number] = held
            self._queue.put(Part(served.number, (served,)))

    def is_over(self, key: str) -> bool:
        """Whether there is nothing to wait for: it is done, failed or not here; quick, for many who wait."""
        held = self._held.get(key)
        return held is None or held.forgotten or held.served.number not in self._doing

    def look(self, key: str) -> Standing | None:
        """How far a clip is; None where there is none of that key (any more)."""
        with self._lock:
            held = self._held.get(key)
            if held is None or held.forgotten or held.served.number in self._writing:
                return None
            if held.told is not None:
                return Standing(key, "done" if held.told["status"] == "ok" else "failed", told=held.told)
            number = held.served.number
            if not self._queue.waits(number):
                return Standing(key, "running")
            return Standing(key, "waiting", list(self._doing).index(number))

    def page(self, key: str) -> Path | None:
        """The page of a clip that was judged."""
        served = self._judged(key)
        return None if served is None else base_of(served.name, served.folder).with_suffix(".html")

    def media(self, key: str) -> Path | None:
        """The clip itself, for the player of its page."""
        served = self._judged(key)
        return None if served is None else served.media

    def forget(self, key: str) -> bool:
        """Remove a clip and what was found, at once or, while it is looked at, as soon as that ends; whether there was one."""
        held = self._held.get(key)
        return held is not None and self.abandon(held.served)

    def abandon(self, served: Served) -> bool:
        """The same of this very clip, whatever was handed in under its key since."""
        with self._lock:
            held = self._held.get(served.key)
            if held is None or held.forgotten or held.served is not served:
                return False
            held.forgotten = True
            being_scanned = served.number in self._doing and not self._queue.drop(served.number)
            if being_scanned or served.number in self._writing:  # whoever writes there removes it when he ends
                return True
            self._let_go(held)
        shutil.rmtree(served.folder, ignore_errors=True)  # without the lock: large clips take a while
        return True

    def sweep(self) -> None:
        """Forget what was kept long enough."""
        long_ago = time.monotonic() - self.keep_seconds
        with self._lock:
            old = [key for key, held in self._held.items() if (held.finished or long_ago) < long_ago]
        for key in old:
            self.forget(key)

    @property
    def in_hand(self) -> int:
        """Clips that are being written, wait or are scanned."""
        with self._lock:
            return len(self._writing) + len(self._doing)

    @property
    def kept(self) -> int:
        """Clips whose result can be seen."""
        with self._lock:
            return sum(held.told is not None for held in self._held.values())

    @property
    def works(self) -> bool:
        """Whether clips that are handed in are scanned: not where no worker could be started since the machine failed."""
        if self._thread is None or not self._thread.is_alive() or self.stopping.is_set():
            return False
        return self._failures == 0 or self._queue.has_workers

    def _made(self, expected: int) -> Path:
        """A folder for a clip of so many bytes; not called by its key, which its sender may use once more."""
        try:
            if self.free_bytes() < expected:
                raise NoRoomError(FULL)
            assert self._place is not None
            folder = self._place.path / secrets.token_hex(16)
            for one in (CLIPS, MEDIA):
                (folder / one).mkdir(parents=True, mode=0o700)
        except (OSError, SubmissionError) as error:
            log.warning("cannot keep a clip: %s", error)
            raise NoRoomError(FULL) from error
        return folder

    def _judged(self, key: str) -> Served | None:
        with self._lock:
            standing = self.look(key)
            return self._held[key].served if standing is not None and standing.has_page else None

    def _let_go(self, held: _Held) -> None:
        """Nothing is known of it any more; its folder is then to be removed."""
        if self._held.get(held.served.key) is held:
            del self._held[held.served.key]
        self._doing.pop(held.served.number, None)

    def _run(self) -> None:
        """The life of the thread that gives clips to workers; a failure of the machine costs the clips that are being scanned."""
        work = ServedScanner(ScanJob(out=None, max_minutes=self.max_minutes, make=self.make, listed=False))
        timeout = max(LEAST_TIMEOUT_SECONDS, SECONDS_PER_MINUTE * self.max_minutes)
        while not self.stopping.is_set():
            try:
                size = crew_size(self.workers)
                for report in run_parts(self._queue, work, workers=size, item_timeout_seconds=timeout):
                    self._failures = 0
                    self._take(report)
            except Exception as error:  # noqa: BLE001 -- whatever it was, those who come later must be served
                self._failures = 1 if self._queue.had_workers else self._failures + 1
                log.error(  # noqa: TRY400 -- the trace would be of the pool, and the same each time
                    "the machine failed (%d in a row): %s: %s; what was being scanned is given up",
                    self._failures,
                    type(error).__name__,
                    error,
                )
                self._give_up()
                if self._failures >= MOST_FAILURES:
                    self.is_broken = True
                    self.stopping.set()  # nobody is kept waiting
                    self.on_broken()
                    return
                self.stopping.wait(min(RESTART_SECONDS * 2 ** (self._failures - 1), LONGEST_RESTART))

    def _take(self, report: Report) -> None:
        with self._lock:
            held = self._doing.get(report.part)
            if report.kind == "item" and held is not None:
                self._finish(held, _told(held.served) or _failed(held.served))

    def _give_up(self) -> None:
        """What was being scanned when the machine failed gets no verdict; what waits is scanned later."""
        with self._lock:
            for number, held in list(self._doing.items()):
                if not self._queue.waits(number):
                    self._finish(held, _failed(held.served))

    def _finish(self, held: _Held, told: dict[str, Any]) -> None:
        held.told, held.finished = told, time.monotonic()
        self._doing.pop(held.served.number, None)
        failed = told["status"] != "ok"
        with contextlib.suppress(OSError):
            size, took = held.served.media.stat().st_size, held.finished - held.began
            said = f"failed ({told.get('code')})" if failed else told.get("verdict")
            log.info("%s... %s: %.1f MB, %.1f s", held.served.key[:SHOWN_KEY], said, size / 1e6, took)
            if failed:
                held.served.media.unlink()  # nobody is ever given it
        if held.forgotten:
            self._let_go(held)
            shutil.rmtree(held.served.folder, ignore_errors=True)


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


def _failed(served: Served) -> dict[str, Any]:
    return failure_json(served.name, UNWRITTEN, code="unexpected", lang=served.lang)
