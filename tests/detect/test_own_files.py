"""Links, pipes, devices and strangers' folders lead nobody astray."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from ffdv.detect import own_files
from ffdv.detect.own_files import WatchedFile, own_folder, read_plain
from ffdv.errors import SubmissionError


def test_a_watched_file_is_read_only_as_it_was(tmp_path: Path) -> None:
    clip, secret = tmp_path / "clip.mp4", tmp_path / "secret"
    clip.write_bytes(b"moving pictures")
    secret.write_bytes(b"a secret, as it")
    watched = WatchedFile.of(clip)
    assert watched is not None
    assert watched.read() == b"moving pictures"
    assert watched.unchanged

    for swap in (lambda: clip.symlink_to(secret), lambda: os.link(secret, clip), lambda: os.mkfifo(clip)):
        clip.unlink(missing_ok=True)
        assert (watched.unchanged, watched.read()) == (False, None)
        swap()
        assert (watched.unchanged, watched.read()) == (False, None)


def test_a_file_that_is_written_into_is_another(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"moving pictures")
    watched = WatchedFile.of(clip)
    os.utime(clip, ns=(0, 0))

    assert watched is not None
    assert watched.read() is None
    assert WatchedFile.of(tmp_path / "nowhere") is None
    (tmp_path / "round").symlink_to(tmp_path / "round")
    assert WatchedFile.of(tmp_path / "round") is None


def test_a_link_to_the_clip_is_followed_before_it_is_watched(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"moving pictures")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "clip.mp4")
    watched = WatchedFile.of(tmp_path / "link.mp4")

    assert watched is not None
    assert watched.read() == b"moving pictures"


def test_only_plain_files_of_some_size_are_read(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "plain")
    (tmp_path / "endless").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    found: dict[str, bytes | None] = {}

    def read_all() -> None:
        for path in tmp_path.iterdir():
            found[path.name] = read_plain(path, most_bytes=5)

    reading = threading.Thread(target=read_all, daemon=True)
    reading.start()
    reading.join(timeout=10)

    assert found == {"plain": b"12345", "link": None, "endless": None, "pipe": None}
    assert read_plain(tmp_path / "plain", most_bytes=4) is None
    assert read_plain(tmp_path / "nowhere", most_bytes=4) is None


def test_a_folder_of_ones_own_is_closed_to_others_and_found_again(tmp_path: Path) -> None:
    folder = own_folder(tmp_path / "new" / ".kept")
    (folder / "part").touch()
    folder.chmod(0o755)

    assert own_folder(folder) == folder
    assert (folder / "part").is_file()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_somebody_else_laid_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted").mkdir()
    (tmp_path / ".link").symlink_to(tmp_path / "planted")
    (tmp_path / ".file").touch()

    for name in (".link", ".file"):
        with pytest.raises(SubmissionError, match="is a link or a file"):
            own_folder(tmp_path / name)
    with pytest.raises(SubmissionError, match="cannot write into"):
        own_folder(tmp_path / ".file" / "below")
    stranger = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: stranger)
    monkeypatch.setattr(own_files, "_owner_of_new_file", lambda _: stranger)
    with pytest.raises(SubmissionError, match="belongs to another user"):
        own_folder(tmp_path / "planted")


def test_a_share_that_gives_all_files_to_one_owner_can_be_written_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: stranger)  # what we make belongs to somebody else, as on a mapped share

    folder = own_folder(tmp_path / "kept")

    assert own_folder(folder) == folder
