"""The page of `ffdv serve` in a browser: sends what is dropped, waits for room, remembers its clips, removes them, says when the service is gone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from served_clips import ask, sound_bytes

from browser import Browser, needs_browser

pytestmark = needs_browser
ROWS = "[...document.querySelectorAll('#list li')].map(row => row.innerText.replace(/\\n+/g, ' | '))"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "ffdv", "serve", "--port", "0", "--workers", "1", "--queue", "2", "--max-mb", "1"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as begun:
        yield begun
        begun.kill()


def port_of(service: subprocess.Popen[str]) -> int:
    assert service.stdout is not None
    found = re.search(r":(\d+)/", service.stdout.readline())
    assert found is not None
    return int(found[1])


def test_clips_are_sent_judged_remembered_and_removed(service: subprocess.Popen[str], tmp_path: Path) -> None:
    port = port_of(service)
    clips = [tmp_path / f"{number}.wav" for number in range(4)]
    for clip in clips:
        clip.write_bytes(sound_bytes(tmp_path, 2.0))
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "large.mp4").write_bytes(bytes(1_000_001))
    with Browser(tmp_path / "profile") as page:
        page.open(f"http://127.0.0.1:{port}/")
        page.choose("#files", *clips, tmp_path / "empty.mp4", tmp_path / "large.mp4")
        page.wait_for(
            f"{ROWS}.filter(row => row.includes('Evidence')).length === 4"
        )  # more than the service holds at once
        rows = page.run(ROWS)
        assert [row for row in rows if "empty.mp4" in row and "the file is empty" in row]
        assert [row for row in rows if "large.mp4" in row and "larger than this service takes (1 MB)" in row]
        assert page.run("document.getElementById('spoken').textContent").startswith("3.wav")

        page.open(f"http://127.0.0.1:{port}/?lang=zh")
        page.wait_for(f"{ROWS}.filter(row => row.includes('查看依据')).length === 4")
        page.run("document.querySelector('#list li button').click()")
        page.wait_for(f"{ROWS}[0].includes('已删除')")
        assert ask(port, "GET", "/v1/health").json()["kept"] == 3
        assert page.run("document.activeElement.tagName") == "H2"
        link = page.run("document.querySelector('#list a').href")

        page.open(link)
        page.wait_for("document.getElementById('player').readyState === 4")
        assert [
            text for text in page.complaints if "Failed to load resource" not in text
        ] == []  # a full service is told so


def test_a_service_that_is_gone_is_told_and_so_is_one_that_came_back_without_the_clip(
    service: subprocess.Popen[str], tmp_path: Path
) -> None:
    port = port_of(service)
    (tmp_path / "clip.wav").write_bytes(sound_bytes(tmp_path, 20.0))
    with Browser(tmp_path / "profile") as page:
        page.open(f"http://127.0.0.1:{port}/")
        page.run(
            "window.realFetch = fetch; window.fetch = (...all) => new Promise(done => setTimeout(() => done(realFetch(...all)), 500))"
        )
        page.choose("#files", tmp_path / "clip.wav")
        page.wait_for("sessionStorage.length === 1")
        service.send_signal(signal.SIGKILL)
        page.wait_for(f"{ROWS}[0].includes('the connection is lost; trying again')")

        command = [sys.executable, "-m", "ffdv", "serve", "--port", str(port), "--workers", "1"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as again:
            page.wait_for(f"{ROWS}[0].includes('it is no longer here; hand it in again')")
            again.send_signal(signal.SIGINT)
