"""Where a running service keeps its clips: a folder of its own that no other touches, gone when it ends or, if it was killed, when the next begins.

BASE/            ours alone (0700)
    KEY.lock     held as long as the service lives; the system lets go of it, however that ends
    KEY/         its clips
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

KEY = re.compile(r"[0-9a-f]{32}")  # 128 random bits
BASE = "ffdv-serve"


def base_folder(given: Path | None) -> Path:
    """Our folder below the one that was given, or below the system's for temporary files."""
    if given is not None:
        return given / BASE
    user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
    return Path(tempfile.gettempdir()) / (BASE + user)


class ServiceFolder:
    """A folder of this service below base, which is made where it is not there. path: the folder. Raises SubmissionError where base cannot be had."""

    def __init__(self, base: Path) -> None:
        own_folder(base)
        _remove_dead(base)
        key = secrets.token_hex(16)
        self.path = base / key
        self._lock_path = base / f"{key}.lock"
        self._lock = _held(self._lock_path)
        self.path.mkdir(mode=0o700)

    def close(self) -> None:
        """Remove it with all that lies in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock_path.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _remove_dead(base: Path) -> None:
    """What services left that were killed; what one holds stays."""
    for path in list(base.iterdir()):
        key = path.name.removesuffix(".lock")
        if KEY.fullmatch(key) is None:
            continue
        lock_path = base / f"{key}.lock"
        lock = _held(lock_path)
        if lock is None:
            continue
        shutil.rmtree(base / key, ignore_errors=True)
        lock_path.unlink(missing_ok=True)
        os.close(lock)


def _held(path: Path) -> int | None:
    """A lock on that file; None where another process holds it, or the system has no such locks."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        return None
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(number)
        return None
    with contextlib.suppress(OSError):
        if os.fstat(number).st_nlink:  # it is still the file of that name
            return number
    os.close(number)
    return None
