"""`ffdv serve` over HTTP: clips in, JSON and pages out; strangers, floods and half-sent clips refused with one sentence."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn
from served_clips import Answer, ask, scripted_detector, sound_bytes

from ffdv.app import server
from ffdv.app.server import Limits, create_app
from ffdv.app.service import ScanService
from ffdv.detect.report import script_hash
from ffdv.media.write import write_media
from ffdv.records import Samples

MOST_BYTES = 200_000


@pytest.fixture
def at(tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A service that listens: its port, and itself."""
    service = ScanService(tmp_path / "clips", workers=1, most_waiting=2, make=scripted_detector)
    app = create_app(service, Limits(MOST_BYTES, ("Clips.Example",)))
    listener = socket.create_server(("127.0.0.1", 0))
    runner = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=runner.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield SimpleNamespace(port=listener.getsockname()[1], service=service, folder=tmp_path)
    runner.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def handed_in(at: SimpleNamespace, name: str = "tone.wav", query: str = "?wait=30") -> Answer:
    return ask(at.port, "PUT", f"/v1/scans/{name}{query}", sound_bytes(at.folder))


def test_a_clip_in_a_verdict_out_and_its_page_with_the_clip(at: SimpleNamespace) -> None:
    answer = handed_in(at)

    state = answer.json()
    assert answer.status == 200
    assert (state["state"], state["result"]["verdict"]) == ("done", "cannot tell")
    assert answer.headers["location"] == state["url"]
    assert ask(at.port, "GET", state["url"]).json() == state
    page = ask(at.port, "GET", state["page"])
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    link = re.search(r'src="\./\.\./(media/[^"]+)"', page.body.decode())
    assert link is not None
    clip = ask(at.port, "GET", f"{state['url']}/{link[1]}", headers={"Range": "bytes=0-3"})
    assert (clip.status, clip.body) == (206, b"RIFF")  # a player asks for parts
    assert clip.headers["content-type"] == "audio/wav"


def test_it_may_be_posted_waited_for_and_removed(at: SimpleNamespace) -> None:
    answer = ask(at.port, "POST", "/v1/scans?name=slow.wav&lang=zh", b"slow")
    state = answer.json()
    assert answer.status == 202
    assert state["state"] in ("waiting", "running")
    assert state["result"] is None

    later = ask(at.port, "GET", state["url"] + "?wait=30").json()

    assert later["state"] == "failed"
    assert later["page"] is None
    assert re.search("[一-鿿]", later["result"]["reason"])
    assert ask(at.port, "DELETE", state["url"]).status == 204
    assert ask(at.port, "GET", state["url"]).status == ask(at.port, "DELETE", state["url"]).status == 404
    assert list((at.folder / "clips").iterdir()) == []


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"Host": "evil.example"}, "not called 'evil.example'"),  # a name led to this address (DNS rebinding)
        ({"Origin": "http://evil.example"}, "other sites"),
        ({"Origin": "null"}, "other sites"),
    ],
)
def test_pages_of_other_sites_are_refused(at: SimpleNamespace, headers: dict[str, str], says: str) -> None:
    answer = ask(at.port, "PUT", "/v1/scans/a.wav", b"x", headers)

    assert answer.status == 403
    assert says in answer.json()["detail"]
    assert at.service.in_hand == 0


@pytest.mark.parametrize("host", ["localhost:1", "clips.example", "CLIPS.example:443", "127.0.0.1", "[::1]:80"])
def test_its_own_names_and_pages_are_welcome(at: SimpleNamespace, host: str) -> None:
    answer = ask(at.port, "GET", "/v1/health", headers={"Host": host, "Origin": f"https://{host}"})

    assert answer.status == 200
    assert answer.json()["scanning"] is True


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (b"", {}, 400, "empty"),
        (b"x" * (MOST_BYTES + 1), {}, 413, "larger than 0 MB"),
        (b"x", {"Content-Type": "multipart/form-data; boundary=b"}, 415, "curl -T"),
    ],
)
def test_what_cannot_be_a_clip_is_refused_with_the_cure(
    at: SimpleNamespace, body: bytes, headers: dict[str, str], status: int, says: str
) -> None:
    answer = ask(at.port, "POST", "/v1/scans", body, headers)

    assert answer.status == status
    assert says in answer.json()["detail"]
    assert at.service.in_hand == 0


def test_a_body_that_does_not_say_how_long_it_is_ends_at_the_limit(at: SimpleNamespace) -> None:
    chunk = b"x" * 65_536
    with socket.create_connection(("127.0.0.1", at.port), timeout=30) as caller:
        caller.sendall(b"POST /v1/scans HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(MOST_BYTES // len(chunk) + 1):
            caller.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        answer = caller.recv(65_536)

    assert b" 413 " in answer.split(b"\r\n", 1)[0]
    assert at.service.in_hand == 0
    assert list((at.folder / "clips").iterdir()) == []


def test_who_goes_away_or_sends_nothing_more_holds_no_place(
    at: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PATIENCE_SECONDS", 0.3)
    head = b"POST /v1/scans HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nbegun"
    with socket.create_connection(("127.0.0.1", at.port), timeout=30) as gone:
        gone.sendall(head)
        until = time.monotonic() + 10
        while at.service.in_hand == 0:
            assert time.monotonic() < until
    with socket.create_connection(("127.0.0.1", at.port), timeout=30) as idle:
        idle.sendall(head)
        answer = idle.recv(65_536)

    assert b" 408 " in answer.split(b"\r\n", 1)[0]
    until = time.monotonic() + 10
    while at.service.in_hand:
        assert time.monotonic() < until
    assert list((at.folder / "clips").iterdir()) == []


def test_more_than_it_can_hold_is_sent_away_for_a_while(at: SimpleNamespace) -> None:
    for _ in range(2):
        assert ask(at.port, "POST", "/v1/scans", b"slow").status == 202

    answer = handed_in(at)

    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "later" in answer.json()["detail"]


def test_a_full_disk_is_told_before_the_clip_is_taken(at: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.shutil, "disk_usage", lambda _: SimpleNamespace(free=MOST_BYTES))

    answer = handed_in(at)

    assert answer.status == 507
    assert "disk is full" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["media/clip.mp4", "media/..%2F..%2Fclips", "clips/page.html", "clips/x.json", ""])
def test_nothing_but_what_was_made_for_a_clip_is_served(at: SimpleNamespace, path: str) -> None:
    known = handed_in(at).json()["url"]

    for url in ("/v1/scans/" + "0" * 32, known):
        answer = ask(at.port, "GET", f"{url}/{path}")
        made = url == known and path == "clips/page.html"
        assert answer.status == (200 if made else 307 if path == "" else 404)


@pytest.mark.parametrize(
    ("header", "words"), [("en-GB,zh;q=0.5", "Is this video forged?"), ("zh-CN", "这段视频是伪造的吗")]
)
def test_the_page_speaks_the_browsers_language_and_fetches_nothing(
    at: SimpleNamespace, header: str, words: str
) -> None:
    answer = ask(at.port, "GET", "/", headers={"Accept-Language": header})

    page = answer.body.decode()
    assert words in page
    assert not re.search(r"https?://(?!HOST)", page)
    script = re.search(r"<script>(.*)</script>", page, re.DOTALL)
    assert script is not None
    assert f"script-src '{script_hash(script[1])}'" in page
    assert "0 MB" in page  # what is taken at most, by this service's limits
    assert "60 " in page  # minutes that it is kept
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"


def test_programs_find_a_description_of_it(at: SimpleNamespace) -> None:
    told = ask(at.port, "GET", "/openapi.json").json()

    assert set(told["paths"]) == {
        "/v1/scans",
        "/v1/scans/{name}",
        "/v1/scans/{key}",
        "/v1/scans/{key}/clips/page.html",
        "/v1/scans/{key}/media/{name}",
        "/v1/health",
    }
    assert "application/octet-stream" in told["paths"]["/v1/scans"]["post"]["requestBody"]["content"]


def test_without_the_extra_the_command_says_how_to_get_it() -> None:
    code = (
        "import sys; sys.modules['fastapi'] = None; sys.argv = ['ffdv', 'serve']; from ffdv.app.cli import main; main()"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 2
    assert "[serve]" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_command_says_where_it_listens_scans_with_what_ships_and_leaves_nothing(
    tmp_path: Path, tone: Samples
) -> None:
    content = write_media(tmp_path / "tone.wav", sound=tone).read_bytes()
    begun = subprocess.Popen(
        [sys.executable, "-m", "ffdv", "serve", "--port", "0", "--workers", "1"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        assert begun.stdout is not None
        port = re.search(r"http://127\.0\.0\.1:(\d+)/", begun.stdout.readline())
        assert port is not None
        answer = ask(int(port[1]), "PUT", "/v1/scans/tone.wav?wait=60", content)
        taken = subprocess.run(
            [sys.executable, "-m", "ffdv", "serve", "--port", port[1]], capture_output=True, text=True, check=False
        )
        begun.send_signal(signal.SIGINT)
        out, err = begun.communicate(timeout=30)
    finally:
        begun.kill()
    assert answer.status == 200, answer
    assert json.loads(answer.body)["result"]["detector"]["weights"]
    assert taken.returncode == 2
    assert "choose another --port" in taken.stderr
    assert "Traceback" not in out + err + taken.stderr
    assert begun.returncode in (0, 130)
    assert [path.name for path in tmp_path.iterdir()] == ["tone.wav"]
