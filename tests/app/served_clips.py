"""A detector that does what a clip's bytes say, and a caller of a service over HTTP: for the tests of `ffdv serve`."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ffdv.detect.judging import Detector
from ffdv.detect.verdict import Verdict
from ffdv.media.write import write_media
from ffdv.records import Samples


class Scripted(Detector):
    """Crashes, hangs, or looks slowly at clips that say so; all others it looks at, without any sense."""

    def on_one_thread(self) -> Scripted:
        return self

    def judge(
        self, path: Path | str, *, max_minutes: float = 10.0, progress: Callable[[float], None] | None = None
    ) -> Verdict:
        asked = Path(path).read_bytes()[:20]
        if asked == b"crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if asked in (b"hang", b"slow"):
            time.sleep(60 if asked == b"hang" else 1)
        return super().judge(path, max_minutes=max_minutes, progress=progress)


def scripted_detector() -> Detector:
    return Scripted(())


def sound_bytes(folder: Path, seconds: float = 1.0) -> bytes:
    moments = np.arange(int(16_000 * seconds)) / 16_000
    return write_media(
        folder / "tone.wav", sound=Samples((0.2 * np.sin(2764 * moments)).astype(np.float32)[None], 16_000)
    ).read_bytes()


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    port: int, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        told = connection.getresponse()
        return Answer(told.status, {name.lower(): value for name, value in told.getheaders()}, told.read())
    finally:
        connection.close()
