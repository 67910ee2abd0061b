"""How long `ffdv --help` and `import ffdv` take, beside Python's own start. Promise: --help within 0.4 s, and no torch.

python benchmarks/startup.py [--runs 10]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import ffdv": ["-c", "import ffdv"],
    "ffdv --help": ["-m", "ffdv", "--help"],
    "import torch": ["-c", "import torch"],
}


def wall_seconds(arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs):  # in turn, so that a machine whose speed drifts treats all alike
        for name, arguments in COMMANDS.items():
            times[name].append(wall_seconds(arguments))
    base = statistics.median(times["python -c pass"])
    print(f"{'command':<16} {'min s':>7} {'median s':>9} {'× python':>9}")
    for name, seconds in times.items():
        print(
            f"{name:<16} {min(seconds):7.3f} {statistics.median(seconds):9.3f} {statistics.median(seconds) / base:9.1f}"
        )
    probe = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ffdv", "--help"], check=True, capture_output=True, text=True
    )
    loaded = sorted(
        {line.split("|")[-1].strip() for line in probe.stderr.splitlines()} & {"torch", "av", "onnxruntime"}
    )
    print(f"heavy modules that --help loads: {', '.join(loaded) or 'none'}")


if __name__ == "__main__":
    main()
