"""Whether the base install and the service work with every dependency at its lower bound of pyproject.toml at once: `make lowest`.

A throw-away environment is made and filled (from the network), then `ffdv doctor` must find nothing missing, and `ffdv scan` and `ffdv serve` judge a drawn face.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DRAW = """
import sys
import numpy as np
from ffdv.data.sources.drawn_face import draw_face
from ffdv.media.write import write_media
from ffdv.records import Samples
moments = np.arange(32_000) / 16_000
hum = sum(np.sin(2 * np.pi * 140 * k * moments) / k for k in range(1, 12)) * (1 + np.sin(18 * moments)) / 20
frames = [np.pad(draw_face(144, mouth=k % 8 / 8), ((0, 0), (32, 32), (0, 0)), constant_values=90) for k in range(50)]
write_media(sys.argv[1], sound=Samples(hum.astype(np.float32)[None], 16_000), frames=frames)
"""
SERVE = """
import json, re, subprocess, sys, urllib.request
service = subprocess.Popen([sys.executable, "-m", "ffdv", "serve", "--port", "0", "--workers", "1"], stdout=subprocess.PIPE, text=True)
try:
    at = re.search(r"http://[^ ]+", service.stdout.readline())[0]
    with open(sys.argv[1], "rb") as clip:
        asked = urllib.request.Request(at + "v1/scans?name=face.mp4&wait=120", clip.read(), method="POST")
    state = json.load(urllib.request.urlopen(asked))
    assert state["state"] == "done", state
    urllib.request.urlopen(at + state["page"][1:]).read()
    media = urllib.request.Request(at + state["url"][1:] + "/media/clip.mp4", headers={"Range": "bytes=0-3"})
    assert urllib.request.urlopen(media).status == 206
    assert urllib.request.urlopen(urllib.request.Request(at + state["url"][1:], method="DELETE")).status == 204
finally:
    service.terminate()
    service.wait(30)
"""


def main() -> int:
    """0 when all is well; what fails prints why."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["serve"]]
    pinned = [re.sub(r">=", "==", one) for one in asked]
    print("with", " ".join(pinned), flush=True)
    with tempfile.TemporaryDirectory(prefix="ffdv-lowest-") as folder:
        venv.create(folder, with_pip=True)
        bin_folder = Path(folder) / ("Scripts" if sys.platform == "win32" else "bin")
        python, clip = str(bin_folder / "python"), str(Path(folder) / "face.mp4")
        steps = (
            (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(ROOT), *pinned),
            (python, "-m", "pip", "check"),
            (python, "-m", "ffdv", "doctor"),
            (python, "-m", "ffdv", "scan", "--help"),
            (python, "-c", DRAW, clip),
            (python, "-m", "ffdv", "scan", clip),
            (python, "-c", SERVE, clip),
        )
        for step in steps:
            if subprocess.run(step, check=False, cwd=folder).returncode:  # noqa: S603 -- commands of this file alone
                print("failed:", *step[1:4])
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
