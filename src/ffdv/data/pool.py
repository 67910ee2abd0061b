"""A pool of spawned workers that may crash or hang on one file without taking the others along.

The parent hands out parts; a worker tells of every clip that it finished, so that the parent knows which clip a dead worker
was at. That clip is tried once more, then it is a row with a reason; a clip beyond its time is one at once. Workers end by
themselves when the parent is gone, whatever killed it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Literal

from ffdv.arguments import positive, whole_number
from ffdv.cores import children_keep_to_one_thread
from ffdv.errors import FfdvError, ShardError
from ffdv.sentences import Sentence

# A crash may be the machine's (memory) and not the file's: the file is blamed when it happens twice.
MAX_CRASHES = 2
# Workers killed while they start (memory, an impatient user) are replaced, but not forever.
MAX_STILLBORN = 20
# How often a waiting parent looks for clips beyond their time.
PATIENCE_SECONDS = 0.5


@dataclass(frozen=True)
class Part:
    """One piece of work: `items` in order; `given_up` holds the positions not to try, with the reason."""

    number: int
    items: tuple[Any, ...]
    given_up: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What the parent learns: an item was finished (reason empty when well), or the part was written."""

    kind: Literal["item", "part"]
    part: int
    position: int = 0
    reason: str = ""


@dataclass(frozen=True)
class ClipsProgress:
    """Where a job that goes through clips stands: done counts resumed clips and failures too; eta_seconds is None before it can be known."""

    done: int
    total: int
    failures: int
    clips_per_second: float
    eta_seconds: float | None


class ProgressTally:
    """Counts what workers report and passes it on; a clip that is tried anew after a crash counts once."""

    def __init__(self, total: int, resumed: int, progress: Callable[[ClipsProgress], None] | None) -> None:
        self._total, self._resumed, self._progress = total, resumed, progress
        self._reasons: dict[tuple[int, int], str] = {}
        self._began = time.monotonic()
        self._tell()  # how many there are, before the first is done

    def take(self, report: Report) -> None:
        """Count a report; whoever follows the job is told after each."""
        if report.kind == "item":
            self._reasons[report.part, report.position] = report.reason
        self._tell()

    def _tell(self) -> None:
        if self._progress is None:
            return
        rate = len(self._reasons) / max(1e-9, time.monotonic() - self._began)
        done = self._resumed + len(self._reasons)
        eta = (self._total - done) / rate if rate > 0 else None
        self._progress(ClipsProgress(done, self._total, sum(map(bool, self._reasons.values())), rate, eta))


_NOTHING = object()
# Does a part and reports each item through the callback as (position, reason).
Work = Callable[[Part, Callable[[int, str], None]], None]


class PartQueue:
    """Parts that come while others are done: `put` from any thread until `close`, after which run_parts ends once all is done.

    has_workers: whether a worker is there that takes parts; had_workers: whether there was one since run_parts began; it keeps both.
    """

    def __init__(self, parts: Iterable[Part] = (), *, closed: bool = False) -> None:
        self._parts = deque(parts)
        self._numbers = {part.number for part in self._parts}
        self._closed = closed
        self._lock = threading.Lock()
        self._rung = False
        self._pipe = None if closed else multiprocessing.Pipe(duplex=False)
        self.is_abandoned = False
        self.has_workers = self.had_workers = False

    def put(self, part: Part, *, first: bool = False) -> None:
        """Have it done after all others, or before them."""
        with self._lock:
            (self._parts.appendleft if first else self._parts.append)(part)
            self._numbers.add(part.number)
            self._ring()

    def close(self, *, at_once: bool = False) -> None:
        """No more will come; at once: nor is what waits or is being done seen to its end."""
        with self._lock:
            self._closed = True
            self.is_abandoned = at_once
            self._ring()

    def waits(self, number: int) -> bool:
        """Whether the part of this number is not begun yet."""
        return number in self._numbers

    def drop(self, number: int) -> bool:
        """Do not do the part of this number; whether it still waited."""
        with self._lock:
            if number not in self._numbers:
                return False
            self._numbers.remove(number)
            self._parts = deque(part for part in self._parts if part.number != number)
            return True

    def take(self) -> Part | None:
        """The next part, None where none waits."""
        with self._lock:
            if not self._parts:
                return None
            part = self._parts.popleft()
            self._numbers.discard(part.number)
            return part

    @property
    def is_over(self) -> bool:
        """Whether none waits and none will come."""
        return self._closed and not self._parts

    @property
    def bells(self) -> list[Connection]:
        """What to wait for beside the workers: it rings when a part came, or the last one has."""
        return [] if self._pipe is None else [self._pipe[0]]

    def hush(self) -> None:
        """What the bell told has been seen to."""
        with self._lock:
            if self._pipe is not None and self._rung:
                self._pipe[0].recv_bytes()
                self._rung = False

    def _ring(self) -> None:
        if self._pipe is not None and not self._rung:
            self._pipe[1].send_bytes(b"!")
            self._rung = True


class _Worker:
    """The parent's view of one process."""

    def __init__(self, work: Work) -> None:
        context = multiprocessing.get_context("spawn")
        with contextlib.ExitStack() as ours:
            try:
                self.pipe, theirs = context.Pipe()
                ours.callback(self.pipe.close)
                with theirs, children_keep_to_one_thread():  # the pool uses the cores
                    self.process: SpawnProcess = context.Process(target=_serve, args=(theirs, work), daemon=True)
                    self.process.start()
            except (OSError, ValueError) as error:
                raise ShardError(
                    f"worker processes cannot be started ({getattr(error, 'strerror', None) or error}); see that the working directory "
                    "still exists, and that standard input, output and error are open, if only to /dev/null"
                ) from error
            ours.pop_all()
        self.ready = False
        self.part: Part | None = None
        self.position = 0
        self.since = time.monotonic()

    def give(self, part: Part) -> None:
        self.part, self.position, self.since = part, _next_position(part, 0), time.monotonic()
        with contextlib.suppress(OSError):  # it died just now; the next look at it gives the part to another
            self.pipe.send(part)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def run_parts(
    parts: Sequence[Part] | PartQueue, work: Work, *, workers: int, item_timeout_seconds: float
) -> Iterator[Report]:
    """Do all parts with so many processes and tell of every item and part; `work` must be picklable. A queue's parts are done as they come.

    Raises RecipeError for less than one worker or no time at all, ShardError when workers end before they begin, this process may have
    none, or the machine fails (a full disk). On leaving, however that happens, all workers are dead.
    """
    whole_number(1, workers=workers)
    positive(endless=True, item_timeout_seconds=item_timeout_seconds)
    if (isinstance(parts, PartQueue) or parts) and multiprocessing.current_process().daemon:
        raise ShardError(
            "many clips are done by processes of their own, which a daemonic process (a worker of multiprocessing.Pool, of Celery) may "
            "not start; hand over one file a call there"
        )
    waiting = parts if isinstance(parts, PartQueue) else PartQueue(parts, closed=True)
    waiting.had_workers = False
    crashes: Counter[tuple[int, int]] = Counter()
    stillborn = 0
    crew: list[_Worker] = []
    try:
        size = workers if isinstance(parts, PartQueue) else min(workers, len(parts))
        crew.extend(_Worker(work) for _ in range(size))
        while not (waiting.is_abandoned or (waiting.is_over and not any(worker.part for worker in crew))):
            for worker in crew:
                if worker.ready and worker.part is None and (part := waiting.take()) is not None:
                    worker.give(part)
            connection.wait([*waiting.bells, *(worker.pipe for worker in crew)], timeout=PATIENCE_SECONDS)
            waiting.hush()
            waiting.has_workers = any(worker.ready for worker in crew)
            waiting.had_workers |= waiting.has_workers
            for place, worker in enumerate(crew):
                alive = worker.process.is_alive()  # before listening, so that a dead worker's last words are heard
                yield from _listen(worker)
                stillborn += _is_stillborn(worker, stillborn, alive=alive)
                retry = _judge(worker, crashes, item_timeout_seconds, alive=alive)
                if retry is not None:
                    waiting.put(retry, first=True)
                if not alive or retry is not None:
                    worker.kill()
                    crew[place] = _Worker(work)
    finally:
        waiting.has_workers = False
        for worker in crew:
            worker.kill()


def crew_size(workers: int | None) -> int:
    """How many processes that asks for: as many as there are cores where it is None or 0. Raises RecipeError below 0."""
    whole_number(0, workers=workers)
    return workers or num_cores()


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _listen(worker: _Worker) -> Iterator[Report]:
    """Take all that a worker has said so far."""
    while (message := _heard(worker.pipe)) is not _NOTHING:
        if message is None:
            worker.ready = True
            continue
        if isinstance(message, BaseException):  # of the machine (a full disk, say), not of a clip
            raise message
        if message.kind == "part":
            worker.part = None
        elif worker.part is not None:
            worker.position, worker.since = _next_position(worker.part, message.position + 1), time.monotonic()
        yield message


def _heard(pipe: Connection) -> Any:
    """The next thing said; _NOTHING where there is none, or the worker is gone."""
    try:
        return pipe.recv() if pipe.poll() else _NOTHING
    except (EOFError, OSError):
        return _NOTHING


def _is_stillborn(worker: _Worker, before: int, *, alive: bool) -> bool:
    """Whether it died before it began. Raises ShardError when it did so by itself, or too many others did."""
    if alive or worker.ready:
        return False
    worker.process.join()
    if (worker.process.exitcode or 0) > 0 or before >= MAX_STILLBORN:
        raise ShardError(
            "worker processes end before they begin; in a script, make the call below: if __name__ == '__main__'; "
            f"from the command line, see that {sys.executable} and the Python it belongs to can be started by you"
        )
    return True


def _judge(worker: _Worker, crashes: Counter[tuple[int, int]], timeout_seconds: float, *, alive: bool) -> Part | None:
    """The part to be done anew because its worker died or sat too long at one item; None when all is well."""
    part, position = worker.part, worker.position
    if part is None:
        return None
    if alive and time.monotonic() - worker.since <= timeout_seconds:
        return None
    if alive:
        late = Sentence("reading took longer than {most:g} s and was stopped", most=timeout_seconds)
        return _give_up(part, position, late)
    worker.process.join()
    crashes[part.number, position] += 1
    if crashes[part.number, position] < MAX_CRASHES:
        return part
    crashed = Sentence(
        "the reader crashed on this file {times} times ({cause})",
        times=MAX_CRASHES,
        cause=_cause(worker.process.exitcode),
    )
    return _give_up(part, position, crashed)


def _give_up(part: Part, position: int, reason: Sentence) -> Part:
    return Part(part.number, part.items, {**part.given_up, position: reason})


def _cause(code: int | None) -> Sentence:
    if code is None or code >= 0:
        return Sentence("exit status {code}", code=code)
    known = {number.value: number.name for number in signal.Signals}
    name = known.get(-code, str(-code))
    if -code == signal.SIGKILL:
        return Sentence("signal {signal}, out of memory perhaps", signal=name)
    return Sentence("signal {signal}", signal=name)


def _next_position(part: Part, position: int) -> int:
    """The first position from here on that is tried at all."""
    while position in part.given_up:
        position += 1
    return position


def _serve(pipe: Connection, work: Work) -> None:
    """A worker's life: until the parent says no more, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_die_with_parent, daemon=True).start()
    pipe.send(None)
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            part: Part = pipe.recv()
            number = part.number

            def tell(position: int, reason: str, number: int = number) -> None:
                pipe.send(Report("item", number, position, reason))

            try:
                work(part, tell)
            except Exception as error:  # noqa: BLE001 -- raised again in the parent
                pipe.send(_portable(error))
                return
            pipe.send(Report("part", number))


def _portable(error: Exception) -> Exception:
    """The error as something that certainly travels between processes."""
    if isinstance(error, FfdvError):
        return ShardError(str(error))
    if isinstance(error, OSError):
        what = f"{error.filename}: " if error.filename else ""
        return ShardError(
            f"{what}{(error.strerror or str(error)).lower()}; mend that and run the same command again, it resumes"
        )
    return ShardError(f"a worker failed: {type(error).__name__}: {error}")


def _die_with_parent() -> None:
    """End this process the moment its parent is gone, also after SIGKILL: no orphan may go on working."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
