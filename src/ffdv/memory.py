"""Memory that nobody uses any more, given back to the system.

glibc keeps an arena of memory for each thread and hardly ever returns any of it. Frames that are made in one thread and let go in another
leave such arenas full of holes: looking at two minutes of 720p took 850 MB where 360 were in use.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from functools import cache


def give_back_memory() -> None:
    """Some milliseconds; does nothing where the C library cannot do it (macOS, Windows, musl)."""
    _trim()(0)


def leave_imports_alone() -> None:
    """What has been imported by now is not looked through for garbage again, which took a fiftieth of a short scan."""
    gc.freeze()


@cache
def _trim() -> Callable[[int], object]:
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):
        return lambda _: None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return trim
