"""Matrix libraries keep to one thread inside, and are as they were afterwards."""

from __future__ import annotations

import sys

import pytest

from ffdv.cores import one_thread


def test_loaded_libraries_keep_to_one_thread_inside() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    pytest.importorskip("sklearn.ensemble")

    with threadpoolctl.threadpool_limits(2):
        with one_thread():
            inside = {library["num_threads"] for library in threadpoolctl.threadpool_info()}
        afterwards = {library["num_threads"] for library in threadpoolctl.threadpool_info()}

    assert inside == {1}
    assert 2 in afterwards


def test_nothing_happens_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)

    with one_thread():
        pass
