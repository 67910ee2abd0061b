"""A Chromium that does what a test says, by its debugging pipe (two file descriptors and JSON): no driver to install, no port."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from shutil import which
from typing import Any, Self

import pytest

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome", "chrome") if (found := which(name))), None
)
# Asked for, not run by itself: a Chromium run by root gave its threads real-time priority once, spun, and starved the machine.
needs_browser = pytest.mark.skipif(
    CHROMIUM is None or not os.environ.get("FFDV_BROWSER"),
    reason="needs Chromium or Chrome, and FFDV_BROWSER=1 to run it",
)
# Lays the pipes where Chromium looks for them (3 and 4), then becomes it.
LAY_PIPES = """
import fcntl, os, sys
high = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
os.dup2(high[0], 3)
os.dup2(high[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One page of a headless Chromium."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM is not None
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        flags = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
        ]
        command = [sys.executable, "-c", LAY_PIPES, str(theirs_in), str(theirs_out), CHROMIUM, *flags, "about:blank"]
        self._process = subprocess.Popen(command, pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self._heard, self._number = b"", 0
        self._session: str | None = None
        self.complaints: list[str] = []
        page = next(one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "DOM", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def call(self, method: str, **parameters: Any) -> Any:
        """What a method of the Chrome DevTools Protocol gives."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (told := self._next()).get("id") != self._number:
            if told.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.complaints.append(json.dumps(told["params"]))
        assert "error" not in told, told
        return told["result"]

    def open(self, address: str) -> None:
        """Go there, and wait until all is loaded."""
        self.call("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """What a script gives."""
        return self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)["result"].get(
            "value"
        )

    def wait_for(self, condition: str, seconds: float = 60) -> None:
        """Until a condition holds."""
        until = time.monotonic() + seconds
        while not self.run(condition):
            assert time.monotonic() < until, (condition, self.run("document.body.innerText"), self.complaints)
            time.sleep(0.1)

    def choose(self, selector: str, *files: Path) -> None:
        """Give files to a file input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in files])

    def _next(self) -> Any:
        while b"\0" not in self._heard:
            part = os.read(self._in, 1 << 16)
            assert part, "the browser is gone"
            self._heard += part
        message, self._heard = self._heard.split(b"\0", 1)
        return json.loads(message)
