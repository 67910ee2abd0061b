"""Memory that nobody uses any more, given back to the system.

glibc keeps an arena of memory for each thread and hardly ever returns any of it. Frames that are made in one thread and let go in another
leave such arenas full of holes: looking at two minutes of 720p took 850 MB where 360 were in use.
"""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable
from functools import cache

_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h


def give_back_memory() -> None:
    """Some milliseconds; does nothing where the C library cannot do it (macOS, Windows, musl)."""
    _trim()(0)


def share_one_arena() -> bool:
    """All threads to come take their memory from one arena, unless MALLOC_ARENA_MAX says otherwise; whether it could be done.

    For a process that is ours alone, before it starts threads. With arenas of their own an hour took a third more than two minutes; numpy
    works outside Python's lock so seldom on small blocks that sharing costs no time that could be measured (docs/log.md, 2026-11-27).
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return False
    try:
        option = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return False
    option.argtypes, option.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    return bool(option(_ARENA_MAX, 1))


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
