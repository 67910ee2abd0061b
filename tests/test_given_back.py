"""Memory is given back where the C library can do it, and nothing happens where it cannot."""

from __future__ import annotations

import ctypes
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
    try:
        memory.give_back_memory()
    finally:
        memory._trim.cache_clear()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
