"""Clips handed in one by one are scanned in turn; crashes, hangs, failures of the machine and impatience cost only their own clip."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from served_clips import scripted_detector, sound_bytes

from ffdv.app import service as serving
from ffdv.app.service import ScanService, Standing, TooManyWaitError
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
    service: ScanService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    assert "directory" in standing.told["reason"] or "exists" in standing.told["reason"], standing.told
    assert finished(service, later).state == "done"
    assert service.works


def test_it_tells_how_many_are_before_and_takes_no_more_than_allowed(service: ScanService, tmp_path: Path) -> None:
    first = hand_in(service, b"slow")
    running(service, first)
    waiting = [hand_in(service, sound_bytes(tmp_path)) for _ in range(2)]
    service.reserve("being written.wav")

    assert [service.look(key) for key in waiting] == [Standing(key, "waiting", n) for n, key in enumerate(waiting)]
    assert service.in_hand == 4
    with pytest.raises(TooManyWaitError, match="4 clips wait already"):
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
    assert not (service.folder / waits).exists()
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
    assert list(service.folder.iterdir()) == []


def test_what_a_killed_service_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    (folder / ("0" * 32) / "media").mkdir(parents=True)
    (folder / "mine").mkdir()
    service = ScanService(folder, workers=1, make=scripted_detector)

    service.begin()
    service.end()

    assert [path.name for path in folder.iterdir()] == ["mine"]


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
