"""The handle of an opened media file: what every reading function holds on to."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from ffdv.errors import MediaDamaged, MediaEncrypted, StreamMissing
from ffdv.media.container import Demuxer, RegularFile, open_demuxer, regular_file
from ffdv.media.decode import Tally
from ffdv.media.limits import Limits
from ffdv.media.probe import read_facts
from ffdv.records import MediaFacts, Note
from ffdv.sentences import Sentence

# A start this little before zero is the priming of a codec, which decoders drop (Opus: 6.5 ms, AAC: 21 to 48 ms).
PRIMING_SECONDS = 0.1
# The containers whose header knows the length of each track exactly (FFmpeg's name for MP4, MOV, M4A, 3GP).
EXACT_CONTAINERS = ("mov",)
# What such a header promises and the file lacks is told from here on; less is rounding.
TRUNCATED_SECONDS = 0.5
_SENSES = {"sound": Sentence("sound"), "picture": Sentence("picture")}


class Media:
    """An opened file: its facts, its limits, and the notes that reading it gathers. Use it as a context manager.

    Any number of readings may run on it, also at the same time in one thread; each has the file to itself.
    """

    def __init__(
        self,
        file: RegularFile,
        facts: MediaFacts,
        demuxer: Demuxer,
        *,
        limits: Limits,
        threads: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = file.path
        self.facts = facts
        self.limits = limits
        self.threads = threads
        self.clock = clock
        self.sound_index: int | None = None  # the sound track that is read, once it has been chosen
        self._notes: dict[tuple[str, str], Note] = {(note.code, ""): note for note in facts.notes}
        self._file = file
        self._unread: Demuxer | None = demuxer
        self._layout = demuxer.layout

    @property
    def notes(self) -> tuple[Note, ...]:
        """What a user must know so far; one note per code and sense, the latest words win."""
        return tuple(self._notes.values())

    def note(self, code: str, text: Sentence, *, sense: str = "") -> None:
        """Add a note, or replace the one with the same code and sense."""
        self._notes[code, sense] = Note(code, text)

    @property
    def zero_seconds(self) -> float:
        """Where the file's clock starts, in the container's own seconds: its earliest timestamp."""
        return zero_seconds(self.facts)

    def demuxer_at_start(self) -> contextlib.closing[Demuxer]:
        """A demuxer that nobody has read from: the one that open_media opened, then new ones.

        A new one per reading keeps readings independent (rewinding is inexact in many formats); it costs 1 to 3 ms.
        """
        demuxer, self._unread = self._unread, None
        return contextlib.closing(demuxer or open_demuxer(self._file, self.limits, lean=True, layout=self._layout))

    def stop_within_limits(self, start_seconds: float, stop_seconds: float | None) -> float:
        """The end of a range, no further than limits.max_seconds from its start."""
        most = start_seconds + self.limits.max_seconds
        return most if stop_seconds is None else min(stop_seconds, most)

    def budget_seconds(self, stop_seconds: float) -> float:
        """Wall time for reading up to stop_seconds: one minute of media's worth at least."""
        length = min(stop_seconds, self.facts.duration_seconds or math.inf)
        return self.limits.seconds_per_media_minute * max(1.0, length / 60.0)

    def note_limit(self, tally: Tally, sense: str, *, reached_seconds: float, cut_off: bool) -> None:
        """Say how far a reading came when a limit, not the caller or the file's end, ended it.

        cut_off: the track goes on behind the end that max_seconds set.
        """
        if tally.out_of_time:
            most = self.limits.seconds_per_media_minute
            cause = Sentence("seconds_per_media_minute is {most:g}, and that time is spent", most=most)
        elif cut_off:
            cause = Sentence("max_seconds is {most:g}", most=self.limits.max_seconds)
        else:
            return
        named = _SENSES[sense]
        if reached_seconds >= 60:
            text = Sentence(
                "looked at the first {minutes:.3g} minutes of the {sense} ({cause})",
                minutes=reached_seconds / 60,
                sense=named,
                cause=cause,
            )
        else:
            text = Sentence(
                "looked at the first {seconds:.3g} seconds of the {sense} ({cause})",
                seconds=reached_seconds,
                sense=named,
                cause=cause,
            )
        self.note("limited", text, sense=sense)

    def note_cut_off(self, sense: str, *, missing_seconds: float) -> None:
        """Say that the file ends before its header says that the track does, where that is more than rounding."""
        if missing_seconds > TRUNCATED_SECONDS:
            text = Sentence(
                "the {sense} ends {seconds:.1f} s before the length in the header; the file seems cut off",
                sense=_SENSES[sense],
                seconds=missing_seconds,
            )
            self.note("truncated", text, sense=sense)

    def check_damage(self, tally: Tally, sense: str) -> None:
        """Note the damage of a track that was read; raise where nothing, or too little, could be decoded.

        Raises MediaDamaged, or StreamMissing for a track without content.
        """
        named = _SENSES[sense]
        counted = Sentence(
            "{lost} of {packets} packets lost, {patched} patched up",
            lost=tally.lost,
            packets=tally.packets,
            patched=tally.patched,
        )
        if tally.damaged:
            percent = min(100.0, max(0.1, 100 * tally.damaged / tally.packets))
            text = Sentence(
                "{percent:.1f} % of the {sense} is damaged ({counted})", percent=percent, sense=named, counted=counted
            )
            self.note("damaged", text, sense=sense)
        if not tally.frames and tally.lost:
            raise MediaDamaged(
                self.path,
                Sentence(
                    "the {sense} cannot be decoded ({counted}); find an intact copy", sense=named, counted=counted
                ),
            )
        if not tally.frames and tally.ended:
            raise StreamMissing(self.path, Sentence("the {sense} track is empty; find an intact copy", sense=named))
        if tally.lost_share > self.limits.max_damage_share:
            raise MediaDamaged(
                self.path,
                Sentence(
                    "the {sense} is too damaged to judge ({counted}, max_damage_share is {most:g}); find an intact copy",
                    sense=named,
                    counted=counted,
                    most=self.limits.max_damage_share,
                ),
            )

    def close(self) -> None:
        """Let the file go."""
        demuxer, self._unread = self._unread, None
        if demuxer is not None:
            demuxer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_media(
    path: Path | str,
    *,
    limits: Limits | None = None,
    threads: int = 0,
    picture: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> Media:
    """Open a file for reading sound and pictures; a context manager with .facts and .notes.

    threads: decoder threads (0: one per core; give 1 inside a pool of workers). picture: False where only the sound is
    wanted: opening is quicker, and the facts may lack what only decoding tells (pixel format, profiles). clock: for the wall-time limit.
    Raises MediaNotFound, MediaUnreadable, MediaLimit, MediaEncrypted, or StreamMissing when it holds neither sense.
    """
    bounds = limits or Limits()
    file = regular_file(path, bounds)
    demuxer = open_demuxer(file, bounds, lean=not picture)
    try:
        facts = read_facts(demuxer, file)
        _check_usable(facts)
    except BaseException:
        demuxer.close()
        raise
    return Media(file, facts, demuxer, limits=bounds, threads=threads, clock=clock)


def _check_usable(facts: MediaFacts) -> None:
    """Refuse what cannot be read at all."""
    if facts.encrypted:
        raise MediaEncrypted(facts.path, Sentence("the tracks are encrypted (DRM); give a copy without protection"))
    if not facts.has_sound and not facts.has_picture:
        raise StreamMissing(
            facts.path, Sentence("the file holds neither sound nor moving pictures; give a sound or video file")
        )


def zero_seconds(facts: MediaFacts) -> float:
    """The earliest timestamp of a file's streams, where ffdv's clock is 0; a player may count from the container's own 0."""
    starts = [picture.start_seconds for picture in facts.pictures]
    starts += [sound.start_seconds for sound in facts.sounds]
    start = min((start for start in starts if start is not None), default=0.0)
    return 0.0 if -PRIMING_SECONDS < start < 0 else start
