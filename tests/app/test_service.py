"""Clips handed in one by one are scanned in turn; crashes, hangs, failures of the machine and impatience cost only their own clip."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from served_clips import scripted_detector, sound_bytes

from ffdv.app.serve import service as serving
from ffdv.app.serve.place import ServicePlace, base_folder
from ffdv.app.serve.service import UNWRITTEN, NoRoomError, ScanService, Standing, TooManyWaitError
from ffdv.errors import SubmissionError


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ScanService]:
    made = ScanService(tmp_path / "clips", workers=1, most_waiting=4, make=scripted_detector)
    made.begin()
    yield made
    made.end()
    assert list((tmp_path / "clips").iterdir()) == []  # whatever the test did, nothing outlives the service


def hand_in(service: ScanService, content: bytes, name: str = "clip.wav") -> str:
    served = service.reserve(name)
    served.media.write_bytes(content)
    service.submit(served)
    return served.key


def finished(service: ScanService, key: str, seconds: float = 30) -> Standing:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        standing = service.look(key)
        if standing is None or standing.told is not None:
            break
        time.sleep(0.02)
    assert standing is not None
    assert standing.told is not None, standing
    return standing


def running(service: ScanService, key: str) -> None:
    until = time.monotonic() + 30
    while (standing := service.look(key)) is None or standing.state != "running":
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_clip_gets_its_json_and_page_without_a_word_of_where_it_lies(service: ScanService, tmp_path: Path) -> None:
    key = hand_in(service, sound_bytes(tmp_path), "../../etc/Ünder <b>.wav")

    standing = finished(service, key)

    assert standing.state == "done"
    assert standing.told is not None
    assert standing.told["name"] == "Ünder <b>.wav"
    assert standing.told["verdict"] == "cannot tell"
    assert "request" not in standing.told
    assert str(tmp_path) not in str(standing.told)
    page, media = service.page(key), service.media(key)
    assert page is not None
    assert media is not None
    text = page.read_text()
    assert str(tmp_path) not in text
    assert f'src="./../media/{media.name}"' in text
    assert "index.html" not in text  # there is no list to go back to


def test_what_cannot_be_read_has_a_reason_and_no_page(service: ScanService) -> None:
    standing = finished(service, hand_in(service, b"not media", "clip.mp4"))

    assert standing.state == "failed"
    assert not standing.has_page
    assert standing.told is not None
    assert standing.told["code"] == "unreadable"
    assert service.page(standing.key) is None
    assert service.media(standing.key) is None


def test_a_crash_costs_only_its_clip(service: ScanService, tmp_path: Path) -> None:
    bad, good = hand_in(service, b"crash"), hand_in(service, sound_bytes(tmp_path))

    told = finished(service, bad).told

    assert told is not None
    assert told["code"] == "stopped"
    assert "SIGKILL" in told["reason"]
    assert finished(service, good).state == "done"


def test_who_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "LEAST_TIMEOUT_SECONDS", 0.5)
    service = ScanService(tmp_path / "clips", workers=1, max_minutes=0.005, make=scripted_detector)
    service.begin()
    try:
        told = finished(service, hand_in(service, b"hang")).told
    finally:
        service.end()
    assert told is not None
    assert "longer than" in told["reason"]


def test_a_failure_of_the_machine_costs_what_was_scanned_and_no_more(
    service: ScanService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(serving, "RESTART_SECONDS", 0.01)
    first = service.reserve("first.wav")
    first.media.write_bytes(b"slow")
    service.submit(first)
    later = hand_in(service, sound_bytes(tmp_path))
    running(service, first.key)
    (first.folder / "clips").rmdir()
    (first.folder / "clips").touch()  # its result cannot be written

    standing = finished(service, first.key)

    assert standing.state == "failed"
    assert standing.told is not None
    assert standing.told["reason"] == UNWRITTEN  # not a word of where, and of whose clip, the machine failed
    assert not first.media.exists()
    assert "machine failed" in caplog.text
    assert finished(service, later).state == "done"
    assert service.works


def test_it_tells_how_many_are_before_and_takes_no_more_than_allowed(service: ScanService, tmp_path: Path) -> None:
    first = hand_in(service, b"slow")
    running(service, first)
    waiting = [hand_in(service, sound_bytes(tmp_path)) for _ in range(2)]
    service.reserve("being written.wav")

    assert [service.look(key) for key in waiting] == [Standing(key, "waiting", n + 1) for n, key in enumerate(waiting)]
    assert service.in_hand == 4
    with pytest.raises(TooManyWaitError, match="4 clips are in hand"):
        service.reserve("one more.wav")
    finished(service, first)
    service.reserve("there is room.wav")


def test_forgetting_removes_at_once_or_when_the_looking_ends(service: ScanService, tmp_path: Path) -> None:
    looked_at = service.reserve("slow.wav")
    looked_at.media.write_bytes(b"slow")
    service.submit(looked_at)
    waits = hand_in(service, sound_bytes(tmp_path))
    running(service, looked_at.key)

    assert service.forget(waits)
    assert service.forget(looked_at.key)
    assert service.look(waits) is None
    assert service.look(looked_at.key) is None
    assert not service.forget(waits)
    assert len(list(looked_at.folder.parent.iterdir())) == 1  # the waiting one's is gone
    assert looked_at.folder.exists()  # its worker still writes there
    until = time.monotonic() + 30
    while looked_at.folder.exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    assert finished(service, hand_in(service, sound_bytes(tmp_path))).state == "done"


def test_what_was_kept_long_enough_is_swept(service: ScanService, tmp_path: Path) -> None:
    key = hand_in(service, sound_bytes(tmp_path))
    finished(service, key)

    service.sweep()
    assert service.kept == 1
    service.keep_seconds = 0
    service.sweep()

    assert service.look(key) is None
    assert service.kept == 0
    assert list((tmp_path / "clips").glob("*/*")) == []


def test_what_a_killed_service_left_is_removed_and_what_another_holds_stays(tmp_path: Path) -> None:
    base = base_folder(tmp_path)
    other = ServicePlace(base)
    code = (
        "import os, sys; from pathlib import Path; from ffdv.app.serve.place import ServicePlace; "
        "(ServicePlace(Path(sys.argv[1])).path / 'clip').touch(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(base)], check=False, timeout=60)
    (base / "mine").mkdir()
    assert len(list(base.glob("*/clip"))) == 1
    service = ScanService(base, workers=1, make=scripted_detector)

    service.begin()
    left = {path.name for path in base.iterdir()}
    service.end()

    assert list(base.glob("*/clip")) == []
    assert {other.path.name, "mine"} < left
    other.close()
    assert [path.name for path in base.iterdir()] == ["mine"]


def test_a_folder_of_the_user_keeps_its_files_and_permissions(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    album = tmp_path / ("d41d8cd98f00b204e9800998ecf8427e") / "photo.jpg"
    album.parent.mkdir()
    album.touch()
    service = ScanService(base_folder(tmp_path), workers=1, make=scripted_detector)

    service.begin()
    service.end()

    assert album.exists()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert stat.S_IMODE(base_folder(tmp_path).stat().st_mode) == 0o700


def test_whatever_ends_the_giving_out_of_clips_it_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(serving, "RESTART_SECONDS", 0.01)
    real, failures = serving.run_parts, iter([OSError(24, "too many open files"), ValueError("nobody thought of this")])

    def run_parts(*given: Any, **more: Any) -> Any:
        for failure in failures:
            raise failure
        return real(*given, **more)

    monkeypatch.setattr(serving, "run_parts", run_parts)
    service = ScanService(tmp_path / "clips", workers=1, make=scripted_detector)
    service.begin()
    try:
        assert finished(service, hand_in(service, sound_bytes(tmp_path))).state == "done"
        assert service.works
    finally:
        service.end()
    assert "(2 in a row): ValueError: nobody thought of this" in caplog.text


def test_a_machine_that_fails_for_good_is_told_and_then_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "RESTART_SECONDS", 0.001)

    def run_parts(*_: Any, **__: Any) -> Any:
        raise OSError(24, "too many open files")

    monkeypatch.setattr(serving, "run_parts", run_parts)
    told = threading.Event()
    service = ScanService(tmp_path / "clips", workers=1, make=scripted_detector, on_broken=told.set)
    service.begin()
    try:
        assert told.wait(30)
        assert service.is_broken
        assert not service.works
    finally:
        service.end()


def test_services_that_begin_at_the_same_moment_all_hold_their_folders(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ffdv.app.serve.place import ServicePlace\n"
        "for _ in range(150):\n"
        "    place = ServicePlace(Path(sys.argv[1])); (place.path / 'clip').touch(); assert (place.path / 'clip').exists(); assert place._lock; place.close()"
    )
    others = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "base")]) for _ in range(3)]

    assert [other.wait(120) for other in others] == [0, 0, 0]
    assert list((tmp_path / "base").iterdir()) == []


def test_no_more_is_promised_than_the_disk_has(service: ScanService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.shutil, "disk_usage", lambda _: SimpleNamespace(free=serving.SPARE_BYTES + 100))
    service.reserve("a.mp4", expected=60)

    with pytest.raises(NoRoomError, match="full"):
        service.reserve("b.mp4", expected=60)
    service.reserve("c.mp4", expected=40)
    assert service.in_hand == 2
    served = next(iter(service._held.values())).served
    service.expect(served, 0)  # written by now: the disk's own count has it
    service.reserve("d.mp4", expected=60)


def test_a_second_try_under_one_key_finds_the_first_clip_or_takes_its_place(
    service: ScanService, tmp_path: Path
) -> None:
    key = "ab" * 16
    broken = service.reserve("a.wav", key=key)
    broken.media.write_bytes(b"half of")
    second = service.reserve("a.wav", key=key)
    second.media.write_bytes(sound_bytes(tmp_path))
    assert not service.wants(broken)
    assert service.in_hand == 2  # as long as somebody writes it
    service.submit(broken)  # too late
    assert service.look(key) is None
    service.stop_writing(broken)  # nor does its end touch the second
    assert not broken.folder.exists()
    service.submit(second)

    assert finished(service, key).state == "done"
    assert (service.kept, service.in_hand) == (1, 0)
    assert service.forget(key)


def test_a_key_may_be_used_anew_while_its_first_clip_is_still_looked_at(service: ScanService, tmp_path: Path) -> None:
    key = "cd" * 16
    slow = service.reserve("slow.wav", key=key)
    slow.media.write_bytes(b"slow")
    service.submit(slow)
    running(service, key)
    assert service.forget(key)
    again = service.reserve("tone.wav", key=key)
    again.media.write_bytes(sound_bytes(tmp_path))
    service.submit(again)

    standing = finished(service, key)

    assert (standing.state, standing.told and standing.told["name"]) == ("done", "tone.wav")
    assert not slow.folder.exists()


def test_cleaners_of_temporary_files_end_nothing(service: ScanService, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "clips")

    assert finished(service, hand_in(service, sound_bytes(tmp_path))).state == "done"


def test_a_folder_that_cannot_be_had_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SubmissionError, match="file"):
        ScanService(tmp_path / "file", make=scripted_detector).begin()


def test_ending_does_not_wait_for_what_is_looked_at(tmp_path: Path) -> None:
    service = ScanService(tmp_path / "clips", workers=1, make=scripted_detector)
    service.begin()
    running(service, hand_in(service, b"hang"))
    began = time.monotonic()

    service.end()

    assert time.monotonic() - began < 10
    assert not service.works
