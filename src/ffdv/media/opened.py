"""The handle of an opened media file: what every reading function holds on to."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType

from av.container import InputContainer

from ffdv.errors import MediaEncrypted, StreamMissing
from ffdv.media.container import open_container, regular_file
from ffdv.media.limits import Limits
from ffdv.media.probe import read_facts
from ffdv.records import MediaFacts, Note


class Media:
    """An opened file: its facts, its limits, and the notes that reading it gathers. Use it as a context manager."""

    def __init__(self, facts: MediaFacts, limits: Limits, container: InputContainer) -> None:
        self.path: Path = facts.path
        self.facts = facts
        self.limits = limits
        self.sound_index: int | None = None  # the track that is read, once it has been chosen
        self._notes = {note.code: note for note in facts.notes}
        self._unread: InputContainer | None = container

    @property
    def notes(self) -> tuple[Note, ...]:
        """What a user must know so far; one note per code, the latest words win."""
        return tuple(self._notes.values())

    def note(self, code: str, text: str) -> None:
        """Add a note, or replace the one with the same code."""
        self._notes[code] = Note(code, text)

    def container_at_start(self) -> contextlib.closing[InputContainer]:
        """A container that nobody has read from: the one that open_media opened, then new ones.

        A new one per reading keeps readings independent (rewinding is inexact in many formats); it costs 1 to 5 ms.
        """
        container, self._unread = self._unread, None
        return contextlib.closing(container or open_container(self.path, self.limits))

    def close(self) -> None:
        """Let the file go."""
        container, self._unread = self._unread, None
        if container is not None:
            container.close()

    def __enter__(self) -> Media:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_media(path: Path | str, *, limits: Limits | None = None) -> Media:
    """Open a file for reading sound and pictures; a context manager with .facts and .notes.

    Raises MediaNotFound, MediaUnreadable, MediaLimit, MediaEncrypted, or StreamMissing when it holds neither sense.
    """
    bounds = limits or Limits()
    resolved = regular_file(path, bounds)
    container = open_container(resolved, bounds)
    try:
        facts = read_facts(container, resolved)
        if facts.encrypted:
            raise MediaEncrypted(resolved, "the tracks are encrypted (DRM); give a copy without protection")
        if not facts.has_sound and not facts.has_picture:
            raise StreamMissing(
                resolved, "the file holds neither sound nor moving pictures; give a sound or video file"
            )
    except BaseException:
        container.close()
        raise
    return Media(facts, bounds, container)
