"""Memory is given back where the C library can do it, and nothing happens where it cannot."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ffdv import memory


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_what_was_let_go_leaves_the_process() -> None:
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("this C library has no malloc_trim")
    held = [bytes(60_000) for _ in range(2000)]  # too small to be mapped by themselves
    keep = held[-1]
    full = resident()
    del held

    memory.give_back_memory()

    assert keep
    assert resident() < full - 50_000_000


def test_another_c_library_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    memory._trim.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    try:
        memory.give_back_memory()
        assert not memory.share_one_arena()
    finally:
        memory._trim.cache_clear()


@pytest.mark.skipif(sys.platform != "linux", reason="arenas are glibc's")
@pytest.mark.parametrize(("asked", "shared"), [(None, "True"), ("4", "False")])
def test_threads_share_one_arena_unless_the_user_chose(asked: str | None, shared: str) -> None:
    """In a process of its own: it cannot be undone."""
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("this C library has no mallopt")
    surroundings = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    if asked is not None:
        surroundings["MALLOC_ARENA_MAX"] = asked
    code = "from ffdv.memory import share_one_arena; print(share_one_arena())"
    done = subprocess.run([sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == shared


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
