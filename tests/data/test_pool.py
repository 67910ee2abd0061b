"""A worker may crash, hang or be killed: the others go on, the work is done once, the culprit is named."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from ffdv.cores import VARIABLES
from ffdv.data import pool
from ffdv.data.pool import Part, Report, crew_size, num_cores, run_parts
from ffdv.errors import RecipeError, ShardError


def work(part: Part, tell: Callable[[int, str], None]) -> None:
    """Items are words: what to do. Leaves a file per finished part whose text is what was given up."""
    folder = Path(part.items[0])
    for position, item in enumerate(part.items):
        reason = part.given_up.get(position, "")
        if not reason:
            act(folder, str(item))
        tell(position, reason)
    (folder / f"{part.number}.done").write_text(str(dict(part.given_up)))


def act(folder: Path, item: str) -> None:
    if item == "hang":
        time.sleep(60)
    elif item == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif item == "crash once" and not (folder / "crashed").exists():
        (folder / "crashed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    elif item == "bug":
        raise KeyError("not expected")
    elif item == "slow":
        time.sleep(0.2)
    elif item == "threads":
        (folder / "threads").write_text(" ".join(os.environ.get(name, "") for name in VARIABLES))


def run(folder: Path, *parts: tuple[str, ...], workers: int = 2, timeout: float = 30) -> list[Report]:
    todo = [Part(number, (str(folder), *items)) for number, items in enumerate(parts)]
    return list(run_parts(todo, work, workers=workers, item_timeout_seconds=timeout))


def given_up(folder: Path) -> dict[int, str]:
    return {int(path.stem): path.read_text() for path in folder.glob("*.done")}


def test_crashes_and_hangs_cost_only_their_own_items(tmp_path: Path) -> None:
    parts = (("ok", "crash", "ok"), ("ok",), ("hang", "ok"), ("ok", "crash once", "ok"), ("crash", "hang", "crash"))

    reports = run(tmp_path, *parts, timeout=1.0)

    done = given_up(tmp_path)
    assert sorted(done) == [0, 1, 2, 3, 4]
    assert Counter(report.part for report in reports if report.kind == "part") == dict.fromkeys(range(5), 1)
    assert "SIGSEGV" in done[0]
    assert "2 times" in done[0]
    assert done[1] == done[3] == "{}"
    assert "longer than 1 s" in done[2]
    assert all(f"{position}: " in done[4] for position in (1, 2, 3))


def test_parts_share_the_workers(tmp_path: Path) -> None:
    reports = run(tmp_path, *[("slow",) * 3] * 4, workers=2)

    numbers = [report.part for report in reports]
    changes = sum(one != other for one, other in itertools.pairwise(numbers))
    assert changes > 3, "two parts at a time are under work, so their reports mix"
    assert len(given_up(tmp_path)) == 4


def test_a_bug_in_the_work_is_raised_and_no_worker_stays(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="KeyError"):
        run(tmp_path, ("bug",), ("slow",) * 100)

    assert len(given_up(tmp_path)) == 0


def test_leaving_early_kills_the_workers(tmp_path: Path) -> None:
    reports = run_parts([Part(0, (str(tmp_path), *["slow"] * 20))], work, workers=1, item_timeout_seconds=9)
    next(reports)

    reports.close()  # type: ignore[attr-defined]
    time.sleep(1)

    assert given_up(tmp_path) == {}


def test_a_worker_that_dies_while_it_has_nothing_to_do_costs_nothing(tmp_path: Path) -> None:
    todo = [Part(number, (str(tmp_path), "ok")) for number in range(3)]
    reports = []
    for report in run_parts(todo, work, workers=1, item_timeout_seconds=30):
        reports.append(report)
        if report.kind == "part" and report.part == 0:  # it is idle while whoever follows the progress has his say
            (worker,) = multiprocessing.active_children()
            worker.kill()
            worker.join()

    assert [report.part for report in reports if report.kind == "part"] == [0, 1, 2]
    assert given_up(tmp_path) == dict.fromkeys(range(3), "{}")


def test_a_script_without_a_main_guard_is_told_what_to_do(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from ffdv.data.pool import Part, run_parts\n"
        "import functools\n"
        "list(run_parts([Part(0, ())], print, workers=1, item_timeout_seconds=9))\n"
    )

    result = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)

    assert result.returncode == 1
    assert "if __name__ == '__main__'" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "lost",
    [
        "folder = tempfile.mkdtemp(); os.chdir(folder); os.rmdir(folder)",
        "os.closerange(0, 3)",
    ],
)
def test_workers_that_cannot_be_started_are_one_sentence(tmp_path: Path, lost: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, pathlib, sys, tempfile\n"
        "from ffdv.data.pool import Part, run_parts\n"
        "from ffdv.errors import ShardError\n"
        "if __name__ == '__main__':\n"
        f"    {lost}\n"
        "    try: list(run_parts([Part(0, ())], print, workers=1, item_timeout_seconds=9))\n"
        "    except ShardError as error: pathlib.Path(sys.argv[1]).write_text(str(error))\n"
    )

    subprocess.run([sys.executable, script, tmp_path / "said"], capture_output=True, timeout=60, check=True)

    assert (tmp_path / "said").read_text().startswith("worker processes cannot be started (")


def test_a_worker_s_matrix_libraries_keep_to_one_thread_and_ours_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = VARIABLES
    for name in others:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(first, "3")  # the user's wish

    run(tmp_path, ("threads",))

    assert (tmp_path / "threads").read_text() == "3 1 1"
    assert os.environ[first] == "3"
    assert not set(others) & set(os.environ)


@pytest.mark.parametrize(("workers", "timeout"), [(0, 30.0), (-1, 30.0), (2, 0.0), (2, -1.0), (2, float("nan"))])
def test_no_workers_and_no_time_are_refused_instead_of_waited_for(tmp_path: Path, workers: int, timeout: float) -> None:
    with pytest.raises(RecipeError, match=r"workers must be|item_timeout_seconds must be"):
        run(tmp_path, ("slow",), workers=workers, timeout=timeout)


def test_none_and_zero_workers_are_as_many_as_there_are_cores() -> None:
    assert crew_size(None) == crew_size(0) == num_cores() >= 1
    assert crew_size(3) == 3
    with pytest.raises(RecipeError, match="workers"):
        crew_size(-1)


def test_workers_that_cannot_be_started_name_the_python_that_should() -> None:
    worker = SimpleNamespace(ready=False, process=SimpleNamespace(join=lambda: None, exitcode=1))

    with pytest.raises(ShardError, match=re.escape(sys.executable)):
        pool._is_stillborn(worker, 0, alive=False)  # type: ignore[arg-type]
