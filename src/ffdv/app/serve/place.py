"""Where a running service keeps its clips: a folder of its own that no other touches, gone when it ends or, if it was killed, when the next begins.

BASE/         ours alone (0700)
    NAME/     clips of one service, which holds a lock on this folder; the system lets go of it, however the service ends
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import tempfile
from pathlib import Path

from ffdv.detect.own_files import own_folder
from ffdv.errors import SubmissionError

NAME = re.compile(r"[0-9a-f]{32}")  # 128 random bits
BASE = "ffdv-serve-clips"
TRIES = 20  # another service that begins at the same moment may take a new folder for a dead one's


def base_folder(given: Path | None) -> Path:
    """Our folder below the one that was given, or below the system's for temporary files."""
    if given is not None:
        return given / BASE
    user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
    return Path(tempfile.gettempdir()) / (BASE + user)


class ServicePlace:
    """A folder of this service below base, which is made where it is not there. Raises SubmissionError where that cannot be."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._lock: int | None = None
        self.path = base
        self._make()
        _remove_dead(base)

    def restore(self) -> None:
        """Make it again where a cleaner of temporary files took it. Raises SubmissionError."""
        if not self.path.is_dir():
            self._make()

    def close(self) -> None:
        """Remove it with all that lies in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._let_go()

    def _make(self) -> None:
        self._let_go()
        own_folder(self._base, flag="--folder")
        try:
            for _ in range(TRIES):
                path = self._base / secrets.token_hex(16)
                path.mkdir(mode=0o700)
                with contextlib.suppress(BlockingIOError, FileNotFoundError):
                    self._lock = _locked(path)
                    self.path = path
                    return
        except OSError as error:
            raise SubmissionError(f"cannot write into {self._base}: {error.strerror or error}") from error
        raise SubmissionError(f"{self._base}: another service removes what is made there; give another --folder")

    def _let_go(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _remove_dead(base: Path) -> None:
    """What services left that were killed. What a living one holds stays, and all where the system cannot tell."""
    for path in list(base.iterdir()):
        if NAME.fullmatch(path.name):
            with contextlib.suppress(OSError):  # held, or no folder
                lock = _locked(path)
                if lock is not None:
                    shutil.rmtree(path, ignore_errors=True)
                    os.close(lock)


def _locked(folder: Path) -> int | None:
    """A lock on the folder of that name; None where the system has none. Raises BlockingIOError where another process has it,
    FileNotFoundError where the folder is gone since.
    """
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        return None
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, number)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # a share without locks
            return None
        if not os.path.samestat(os.fstat(number), os.lstat(folder)):
            raise FileNotFoundError(folder)
        undo.pop_all()
    return number
