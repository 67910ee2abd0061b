"""Files and folders that somebody else may have laid or may change: read without being led astray, kept where only we write."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from ffdv.errors import SubmissionError

# No link is followed, no pipe waited for, no line end changed; a platform that lacks one of them has no such danger.
_WARY = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))


class FileState(NamedTuple):
    """Which file it is, and as it is now: two states are equal only where it is the same file and nobody wrote into it."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, facts: os.stat_result) -> Self:
        """The state that a stat tells of."""
        return cls(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)


@dataclass(frozen=True)
class WatchedFile:
    """A file as it was before it was judged. path: where its links led then."""

    path: Path
    state: FileState

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """The file as it is now; None where there is none: reading it says why."""
        try:
            resolved = path.resolve()
            return cls(resolved, FileState.of(resolved.stat()))
        except (OSError, ValueError, RuntimeError):  # a zero byte in the name, links that lead in a circle
            return None

    @property
    def unchanged(self) -> bool:
        """Whether it still lies there, and nothing else in its place."""
        try:
            return FileState.of(os.lstat(self.path)) == self.state
        except OSError:
            return False

    def read(self) -> bytes | None:
        """Its bytes; None where something else lies in its place, or it was changed, also while it was read."""
        found = _read(self.path, self.state.size_bytes)
        return found[0] if found is not None and found[1] == self.state else None


def read_plain(path: Path, *, most_bytes: int) -> bytes | None:
    """The bytes of a regular file of at most so many; None where there is none: a link, a pipe, a device, a larger one."""
    found = _read(path, most_bytes)
    return None if found is None else found[0]


def _read(path: Path, most_bytes: int) -> tuple[bytes, FileState] | None:
    """A regular file's bytes and its state after they were read; never more than it says to hold, nor than asked for."""
    try:
        number = os.open(path, _WARY)
    except (OSError, ValueError):
        return None
    with os.fdopen(number, "rb") as file:
        try:
            facts = os.fstat(number)
            if not stat.S_ISREG(facts.st_mode) or facts.st_size > most_bytes:
                return None
            content = file.read(most_bytes + 1)
            state = FileState.of(os.fstat(number))
        except OSError:
            return None
    return (content, state) if len(content) == state.size_bytes else None


def _owner_of_new_file(folder: Path) -> int:
    """Whom a file that we make there belongs to: on shares that map owners not to us, and then our own folders do not either."""
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_uid


def own_folder(path: Path, *, flag: str = "--out") -> Path:
    """A folder for results that are kept until a job is done, which nobody else can write into; what a stopped job left is there.

    Raises SubmissionError, which names the flag that cures it, where something else lies in its place: what a stranger laid there would be
    taken for results.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.mkdir(mode=0o700)
            made = True
        except FileExistsError:
            made = False
        facts = os.lstat(path)
        if not stat.S_ISDIR(facts.st_mode):
            raise SubmissionError(
                f"{path}: is a link or a file where results are kept while a job runs; remove it, or write elsewhere ({flag})"
            )
        if hasattr(os, "getuid") and not made and facts.st_uid not in (os.getuid(), _owner_of_new_file(path)):
            raise SubmissionError(
                f"{path}: belongs to another user, and results are kept there while a job runs; write elsewhere ({flag})"
            )
    except OSError as error:
        raise SubmissionError(f"cannot write into {path}: {error.strerror or error}") from error
    with contextlib.suppress(OSError):  # one that an earlier version made; some file systems know no permissions
        path.chmod(0o700)
    return path
