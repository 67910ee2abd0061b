"""What `ffdv serve` costs beside `ffdv scan`, in one run:

    one clip      handed to a service that is idle and warm, and scanned by a process of its own
    many clips    handed in by several callers at once, and scanned as a folder with as many workers

    python benchmarks/serve.py [--clips 60] [--callers 4] [--workers 2] [--keep FOLDER]

Promises: one clip is answered sooner than by a process of its own, and many take at most 1.2 times as long as the folder, which starts its workers
within the time that is measured. Makes its clips itself (benchmarks/scan.py).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from scan import SHORT_CLIP_SECONDS, scanned, short_clips

MOST_BESIDE_FOLDER = 1.2
RUNS = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="a folder for the clips, kept for the next run")
    asked = parser.parse_args()
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        kept = asked.keep or folder
        kept.mkdir(parents=True, exist_ok=True)
        many = short_clips(kept, asked.clips)
        clip = min(many.iterdir())
        alone = statistics.median(scanned(clip).wall for _ in range(RUNS))
        batch = scanned(many, "--out", str(folder / "report"), "--workers", str(asked.workers)).wall
        with service(asked.workers) as port:
            handed_in(port, clip)  # every worker has its nets
            warm = statistics.median(handed_in(port, clip) for _ in range(RUNS))
            began = time.monotonic()
            with ThreadPoolExecutor(asked.callers) as callers:
                list(callers.map(lambda path: handed_in(port, path), sorted(many.iterdir())))
            served = time.monotonic() - began
    print(
        f"one clip of {SHORT_CLIP_SECONDS:g} s: {alone:.2f} s as a process, {warm:.2f} s by a warm service: {alone / warm:.1f} times as fast"
    )
    print(
        f"{asked.clips} clips, {asked.workers} workers: {batch:.1f} s as a folder, {served:.1f} s from {asked.callers} callers: {served / batch:.2f} times as long"
    )
    return 0 if warm < alone and served <= MOST_BESIDE_FOLDER * batch else 1


@contextmanager
def service(workers: int) -> Iterator[int]:
    """A service that listens; its port."""
    command = [sys.executable, "-m", "ffdv", "serve", "--port", "0", "--quiet", "--workers", str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r":(\d+)/", process.stdout.readline())
            assert found is not None, "the service did not begin"
            yield int(found[1])
        finally:
            process.terminate()


def handed_in(port: int, clip: Path) -> float:
    """Seconds from the first byte to the verdict."""
    began = time.monotonic()
    caller = http.client.HTTPConnection("127.0.0.1", port)
    with clip.open("rb") as content:
        caller.request("PUT", f"/v1/scans/{clip.name}?wait=300", content)
    told = json.load(caller.getresponse())
    assert told["state"] == "done", told
    caller.close()
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
