"""`ffdv serve` over HTTP: clips in, JSON and pages out; strangers, floods and half-sent clips refused with one sentence."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn
from served_clips import Answer, ask, scripted_detector, sound_bytes

from ffdv.app.serve import hand_in
from ffdv.app.serve import service as serving
from ffdv.app.serve.discreet_log import DiscreetLog
from ffdv.app.serve.hand_in import Limits
from ffdv.app.serve.server import create_app
from ffdv.app.serve.service import ScanService
from ffdv.detect.report import script_hash
from ffdv.media.write import write_media
from ffdv.records import Samples

MOST_BYTES = 200_000


@pytest.fixture
def at(tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A service that listens: its port, and itself."""
    scans = ScanService(tmp_path / "clips", workers=1, most_waiting=2, make=scripted_detector)
    scans.begin()
    app = create_app(scans, Limits(MOST_BYTES, ("Clips.Example",)))
    listener = socket.create_server(("127.0.0.1", 0))
    runner = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=runner.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield SimpleNamespace(port=listener.getsockname()[1], service=scans, folder=tmp_path)
    runner.should_exit = True
    thread.join(20)
    scans.end()
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
    assert list((at.folder / "clips").glob("*/*")) == []


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"Host": "evil.example"}, "not called 'evil.example'"),  # a name led to this address (DNS rebinding)
        ({"Origin": "http://evil.example"}, "a page of 'http://evil.example' may not use this service"),
        ({"Origin": "null"}, "a page of 'null'"),
        ({"Origin": "http://["}, "may not use"),
        ({"Origin": "http://clips.example.evil.example", "Host": "clips.example"}, "may not use"),
    ],
)
def test_pages_of_other_sites_are_refused(at: SimpleNamespace, headers: dict[str, str], says: str) -> None:
    answer = ask(at.port, "PUT", "/v1/scans/a.wav", b"x", headers)

    assert answer.status == 403
    assert says in answer.json()["detail"]
    assert at.service.in_hand == 0


@pytest.mark.parametrize("host", ["localhost:1", "clips.example", "CLIPS.example:443", "127.0.0.1", "[::1]:80"])
def test_its_own_names_and_pages_are_welcome(at: SimpleNamespace, host: str) -> None:
    for origin in (f"https://{host}", "https://clips.example:8443"):  # a proxy may put another name or port into Host
        answer = ask(at.port, "GET", "/v1/health", headers={"Host": host, "Origin": origin})

        assert answer.status == 200
        assert answer.json()["scanning"] is True
    assert ask(at.port, "HEAD", "/v1/health").status == ask(at.port, "HEAD", "/").status == 200


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (b"", {}, 400, "empty"),
        (b"x" * (MOST_BYTES + 1), {}, 413, "larger than 0.2 MB"),
        (b"x", {"Content-Type": "Multipart/Form-Data; boundary=b"}, 415, "curl -T"),
    ],
)
def test_what_cannot_be_a_clip_is_refused_with_the_cure(
    at: SimpleNamespace, body: bytes, headers: dict[str, str], status: int, says: str
) -> None:
    answer = ask(at.port, "POST", "/v1/scans", body, headers)

    assert answer.status == status
    assert says in answer.json()["detail"]
    assert at.service.in_hand == 0


def test_a_body_that_does_not_say_how_long_it_is_ends_at_the_limit(
    at: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hand_in, "DRAIN_SECONDS", 0.3)
    chunk = b"x" * 65_536
    with socket.create_connection(("127.0.0.1", at.port), timeout=30) as caller:
        caller.sendall(b"POST /v1/scans HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(MOST_BYTES // len(chunk) + 1):
            caller.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        answer = caller.recv(65_536)

    assert b" 413 " in answer.split(b"\r\n", 1)[0]
    assert at.service.in_hand == 0
    assert list((at.folder / "clips").glob("*/*")) == []


def test_who_goes_away_or_sends_nothing_more_holds_no_place(
    at: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hand_in, "PATIENCE_SECONDS", 0.3)
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
    assert list((at.folder / "clips").glob("*/*")) == []


def test_more_than_it_can_hold_is_sent_away_for_a_while(at: SimpleNamespace) -> None:
    for _ in range(2):
        assert ask(at.port, "POST", "/v1/scans", b"slow").status == 202

    answer = handed_in(at)

    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "later" in answer.json()["detail"]


def test_a_full_disk_is_told_before_the_clip_is_taken(at: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.shutil, "disk_usage", lambda _: SimpleNamespace(free=MOST_BYTES))

    answer = handed_in(at)

    assert answer.status == 507
    assert "disk is full" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["media/clip.mp4", "media/..%2F..%2Fclips", "clips/page.html", "clips/x.json", ""])
def test_nothing_but_what_was_made_for_a_clip_is_served(at: SimpleNamespace, path: str) -> None:
    known = handed_in(at).json()["url"]

    for url in ("/v1/scans/" + "0" * 32, known):
        answer = ask(at.port, "GET", f"{url}/{path}")
        made = url == known and path == "clips/page.html"
        assert answer.status in ((200,) if made else (404, 405))
        assert made or "no such clip" in answer.body.decode() or not path.startswith(("clips/page", "media/clip"))


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
    assert "0.2 MB" in page  # what is taken at most, by this service's limits
    assert "60 " in page  # minutes that it is kept
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"


def test_several_clips_are_asked_for_at_once_and_strangers_left_out(at: SimpleNamespace) -> None:
    keys = [handed_in(at).json()["key"] for _ in range(2)]

    told = ask(at.port, "GET", f"/v1/scans?key={keys[1]}&key={'0' * 32}&key={keys[0]}").json()

    assert [state["key"] for state in told] == keys[::-1]
    assert all(state["result"]["verdict"] == "cannot tell" for state in told)


@pytest.mark.parametrize("query", ["?wait=abc", "?wait=301", "?lang=xx"])
def test_wrong_values_are_one_sentence_too(at: SimpleNamespace, query: str) -> None:
    answer = handed_in(at, query=query)

    assert answer.status == 400
    assert isinstance(answer.json()["detail"], str)


def test_refusals_speak_the_asked_language(at: SimpleNamespace) -> None:
    assert ask(at.port, "PUT", "/v1/scans/a.mp4?lang=zh", b"").json()["detail"].startswith("请求正文为空")
    gone = ask(at.port, "GET", "/v1/scans/" + "0" * 32 + "/clips/page.html", headers={"Accept-Language": "zh-CN"})
    assert "已不在服务中" in gone.body.decode()


@pytest.mark.parametrize("path", ["/v1/scans", "/v1/scans/", "/v1/scans/a%2Fb.wav", "/v1/scans/a/b.wav"])
def test_any_way_of_naming_a_clip_will_do(at: SimpleNamespace, path: str) -> None:
    assert ask(at.port, "PUT", path + "?wait=30", sound_bytes(at.folder)).status == 200


def test_a_sender_who_listens_last_hears_why_his_clip_was_refused(at: SimpleNamespace) -> None:
    for _ in range(2):
        ask(at.port, "POST", "/v1/scans", b"slow")
    request = urllib.request.Request(f"http://127.0.0.1:{at.port}/v1/scans", b"x" * (MOST_BYTES - 1), method="POST")

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)  # noqa: S310 -- our own service

    assert refused.value.code == 503
    refused.value.close()


def test_a_clip_that_is_handed_in_once_more_is_the_same_clip(at: SimpleNamespace) -> None:
    query = f"?wait=30&key={'0f' * 16}"
    first, second = handed_in(at, query=query), handed_in(at, query=query)

    assert first.status == second.status == 200
    assert first.json() == second.json()
    assert at.service.kept == 1
    assert handed_in(at, query="?key=short").status == 400


def test_who_asks_before_sending_is_refused_at_once(at: SimpleNamespace) -> None:
    with socket.create_connection(("127.0.0.1", at.port), timeout=30) as caller:
        caller.sendall(
            b"PUT /v1/scans/a.mp4 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\nExpect: 100-continue\r\n\r\n"
        )
        answer = caller.recv(65_536)

    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_sender_who_pauses_is_let_go_when_the_service_ends(at: SimpleNamespace) -> None:
    with socket.create_connection(("127.0.0.1", at.port), timeout=30) as idle:
        idle.sendall(b"POST /v1/scans HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nbegun")
        until = time.monotonic() + 10
        while at.service.in_hand == 0:
            assert time.monotonic() < until
        at.service.stopping.set()
        answer = idle.recv(65_536)

    assert b" 503 " in answer.split(b"\r\n", 1)[0]


def test_a_clip_that_is_removed_while_it_is_sent_is_not_written_on(at: SimpleNamespace) -> None:
    key = "12" * 16
    head = f"PUT /v1/scans/a.mp4?key={key} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nbegun"
    with socket.create_connection(("127.0.0.1", at.port), timeout=30) as sender:
        sender.sendall(head.encode())
        until = time.monotonic() + 10
        while at.service.in_hand == 0:
            assert time.monotonic() < until
        assert ask(at.port, "DELETE", f"/v1/scans/{key}").status == 204
        answer = sender.recv(65_536)

    assert b" 409 " in answer.split(b"\r\n", 1)[0]
    assert at.service.in_hand == 0
    assert list((at.folder / "clips").glob("*/*")) == []


def test_the_log_names_no_clip_that_its_readers_could_fetch(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(discreet := DiscreetLog())
    key = "0123456789abcdef" * 2

    logging.getLogger("ffdv.serve").error("cannot write /srv/%s/%s/clips/secret name.mp4: no space", "ab" * 16, key)
    for _ in range(100):
        logging.getLogger("asyncio").error("socket.accept() out of system resource")
    caplog.handler.removeFilter(discreet)

    assert caplog.messages == [
        "cannot write /srv/abababab...: no space",
        "socket.accept() out of system resource",
    ]


def test_who_waits_is_let_go_when_the_service_ends(at: SimpleNamespace) -> None:
    url = ask(at.port, "POST", "/v1/scans", b"hang").json()["url"]
    threading.Timer(0.3, at.service.stopping.set).start()
    began = time.monotonic()

    answer = ask(at.port, "GET", url + "?wait=100")

    assert answer.status == 200
    assert time.monotonic() - began < 20
    assert ask(at.port, "GET", "/v1/health").status == 503
    assert handed_in(at).status == 503


def test_what_a_broken_off_clip_leaves_is_nothing_not_even_a_traceback(
    at: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_connection(("127.0.0.1", at.port), timeout=30) as gone:
        gone.sendall(b"POST /v1/scans HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nbegun")
        until = time.monotonic() + 10
        while at.service.in_hand == 0:
            assert time.monotonic() < until
    until = time.monotonic() + 10
    while at.service.in_hand:
        assert time.monotonic() < until
    time.sleep(0.2)

    assert "Traceback" not in caplog.text
    assert [record for record in caplog.records if record.exc_info] == []


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
    handed = told["paths"]["/v1/scans"]["post"]["responses"]
    assert set(handed) == {"200", "202", "400", "403", "408", "409", "413", "415", "503", "507"}
    assert handed["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/ScanState")
    assert told["components"]["schemas"]["Refusal"]["properties"]["detail"]["type"] == "string"
    assert "application/octet-stream" in told["paths"]["/v1/scans"]["post"]["requestBody"]["content"]


def test_without_the_extra_the_command_says_how_to_get_it() -> None:
    code = (
        "import sys; sys.modules['fastapi'] = None; sys.argv = ['ffdv', 'serve']; from ffdv.app.cli import main; main()"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 2
    assert "[serve]" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--folder", "/proc/self"), "cannot write"),
        (("--allow-host", "http://x/"), "no name of a host"),
        (("--max-mb", "inf"), "max-mb"),
        (("--host", "256.1.1.1"), "cannot listen"),
    ],
)
def test_what_it_cannot_do_is_one_sentence_before_it_listens(flags: tuple[str, str], says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ffdv", "serve", "--port", "0", *flags],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "listening" not in done.stdout


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
        paused = socket.create_connection(("127.0.0.1", int(port[1])), timeout=30)
        paused.sendall(b"POST /v1/scans HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nbegun")
        taken = subprocess.run(
            [sys.executable, "-m", "ffdv", "serve", "--port", port[1]], capture_output=True, text=True, check=False
        )
        begun.send_signal(signal.SIGINT)
        with paused:
            refused = paused.recv(65_536)
        out, err = begun.communicate(timeout=30)
    finally:
        begun.kill()
    assert answer.status == 200, answer
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert json.loads(answer.body)["result"]["detector"]["weights"]
    assert taken.returncode == 2
    assert "choose another --port" in taken.stderr
    assert "Traceback" not in out + err + taken.stderr
    assert begun.returncode in (0, 130)
    assert re.search(r"\w{8}\.\.\. cannot tell: 0\.0 MB, \d+\.\d s", err)  # a line a clip, without its name
    assert [path.name for path in tmp_path.glob("*/*")] == []
