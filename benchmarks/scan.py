"""Promises of `ffdv scan`, each measured on a process of its own, from its start to its end:

    10 s of 720p          at most 4 s and 700 MB
    1 hour of 720p        --max-minutes 60: at most a quarter of its length, memory at most 1.2 times that of 2 minutes
    200 short clips       2 workers at least 1.7 times as fast as one

    python benchmarks/scan.py [--keep FOLDER] [--only ten,hour,batch] [--clips 200] [--runs 3]

Makes its clips itself from a drawn face that speaks (two minutes are encoded once; the hour repeats their packets). The promises
are for an idle machine with two cores; CPU seconds are printed beside wall seconds, because they suffer less from company.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np

from ffdv.data.sources.drawn_face import draw_face
from ffdv.media.read import open_media, read_samples
from ffdv.media.write import write_media
from ffdv.records import FloatArray, PixelArray, Samples

MOST_SECONDS, MOST_MEGABYTES = 4.0, 700.0
MOST_OF_LENGTH, MOST_MEMORY_RATIO = 0.25, 1.2
LEAST_WORKER_GAIN = 1.7
RATE, FPS = 44_100, 25
SHORT_CLIP_SECONDS = 3.0
PERIOD = Fraction(1201, 10)  # a tenth of a second more than two minutes, as codecs overlap a little at their ends
REPEATS = 30
SPEECH = Path("../shared/data/audio/train")


@dataclass(frozen=True)
class Cost:
    """What one process took: wall and CPU seconds (its workers' included), peak memory of its largest process."""

    wall: float
    cpu: float
    megabytes: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="a folder for the clips, kept for the next run")
    parser.add_argument("--only", default="ten,hour,batch")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        kept = []
        if "ten" in asked.only:
            kept.append(ten_seconds(folder, asked.runs))
        if "hour" in asked.only:
            kept.append(one_hour(folder))
        if "batch" in asked.only:
            kept.append(batch(folder, asked.clips))
    return 0 if all(kept) else 1


def ten_seconds(folder: Path, runs: int) -> bool:
    clip = made(folder / "ten.mp4", seconds=10.0, size=(720, 1280))
    costs = [scanned(clip) for _ in range(runs)]
    best = min(costs, key=lambda cost: cost.wall)
    well = best.wall <= MOST_SECONDS and best.megabytes <= MOST_MEGABYTES
    all_runs = ", ".join(f"{cost.wall:.1f}" for cost in costs)
    return told(
        "10 s of 720p", well, f"{best.wall:.1f} s wall (all: {all_runs}), {best.cpu:.1f} s CPU, {best.megabytes:.0f} MB"
    )


def one_hour(folder: Path) -> bool:
    short = made(folder / "minutes.mp4", seconds=120.0, size=(720, 1280))
    long = folder / "hour.mp4"
    if not long.exists():
        repeat(short, long)
    two_minutes, hour = scanned(short), scanned(long, "--max-minutes", "61")
    length = float(REPEATS * PERIOD)
    share, ratio = hour.wall / length, hour.megabytes / two_minutes.megabytes
    well = share <= MOST_OF_LENGTH and ratio <= MOST_MEMORY_RATIO
    told(
        "2 minutes of 720p",
        True,
        f"{two_minutes.wall:.0f} s wall, {two_minutes.cpu:.0f} s CPU, {two_minutes.megabytes:.0f} MB",
    )
    text = f"{hour.wall:.0f} s wall ({share:.2f} of its length), {hour.cpu:.0f} s CPU, {hour.megabytes:.0f} MB ({ratio:.2f} of 2 minutes)"
    return told("1 hour of 720p", well, text)


def batch(folder: Path, count: int) -> bool:
    clips = short_clips(folder, count)
    one, two = scanned(clips, "--workers", "1"), scanned(clips, "--workers", "2")
    gain = one.wall / two.wall
    text = f"{one.wall:.0f} s with 1 worker, {two.wall:.0f} s with 2: {gain:.2f} times ({count / two.wall:.1f} clips/s)"
    return told(f"{count} clips of {SHORT_CLIP_SECONDS:g} s", gain >= LEAST_WORKER_GAIN, text)


def short_clips(folder: Path, count: int) -> Path:
    """A folder of so many short clips; those that are there already are taken."""
    clips = folder / f"clips{count}"
    first = made(folder / "short.mp4", seconds=SHORT_CLIP_SECONDS, size=(256, 256))
    clips.mkdir(exist_ok=True)
    for number in range(count):
        if not (clips / f"{number:04d}.mp4").exists():
            shutil.copy(first, clips / f"{number:04d}.mp4")
    return clips


def told(what: str, well: bool, text: str) -> bool:
    print(f"{what:<22}{text}   {'kept' if well else 'BROKEN'}", flush=True)
    return well


def scanned(data: Path, *flags: str) -> Cost:
    """The cost of one `ffdv scan`, in a process that starts cold."""
    command = [sys.executable, "-m", "ffdv", "scan", str(data), "--json", *flags]
    began = time.monotonic()
    quiet = os.open(os.devnull, os.O_WRONLY)
    # Compiled modules are kept, as an installed package has them.
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = os.posix_spawn(
        sys.executable,
        command,
        surroundings,
        file_actions=[(os.POSIX_SPAWN_DUP2, quiet, 1), (os.POSIX_SPAWN_CLOSE, quiet)],
    )
    _, status, usage = os.wait4(process, 0)
    os.close(quiet)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{' '.join(command)} ended with status {os.waitstatus_to_exitcode(status)}")
    megabytes = usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
    return Cost(time.monotonic() - began, usage.ru_utime + usage.ru_stime, megabytes)


def made(path: Path, *, seconds: float, size: tuple[int, int]) -> Path:
    """A clip of a drawn face that speaks in front of a moving wall; one that is there already is taken."""
    if not path.exists():
        write_media(
            path, sound=voice(seconds), frames=speaking(seconds, *size), fps=FPS, video_options={"preset": "veryfast"}
        )
    return path


def voice(seconds: float) -> Samples:
    """Real speech, clip after clip, where the folder SPEECH is there; else a hum, which no sense takes for a voice."""
    clips = sorted(SPEECH.glob("*.opus"))
    if not clips:
        print(f"no speech in {SPEECH}: voice and agreement will not judge, so the times flatter")
        return hum(seconds)
    spoken: list[FloatArray] = []
    for clip in itertools.cycle(clips):
        with open_media(clip) as media:
            spoken.append(read_samples(media, rate=RATE).mono())
        if sum(map(len, spoken)) >= seconds * RATE:
            break
    return Samples(np.concatenate(spoken)[None, : round(seconds * RATE)], RATE)


def hum(seconds: float) -> Samples:
    """Harmonics, louder and softer, over faint noise."""
    moments = np.arange(round(seconds * RATE)) / RATE
    pitch = 140 + 20 * np.sin(2 * np.pi * 0.4 * moments)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    harmonics = sum(np.sin(k * phase) / k for k in range(1, 20))
    loudness = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * moments)
    noise = np.random.default_rng(0).normal(0, 0.002, len(moments))
    return Samples((0.1 * harmonics * loudness + noise).astype(np.float32)[None], RATE)


@cache
def head(side: int, opening: int) -> PixelArray:
    return draw_face(side, mouth=opening / 8)


def speaking(seconds: float, height: int, width: int) -> Iterator[PixelArray]:
    side = round(0.8 * height)
    wall = np.random.default_rng(1).integers(60, 110, (height, width, 3), dtype=np.uint8)
    for k in range(round(seconds * FPS)):
        picture = np.roll(wall, k // 2, axis=1)
        left = round((width - side) / 2 * (1 + 0.1 * np.sin(k / 9)))
        picture[height - side :, left : left + side] = head(side, round(4 + 4 * np.sin(2 * np.pi * 3 * k / FPS)))
        yield picture


def repeat(short: Path, long: Path) -> None:
    """The packets of a file REPEATS times over, their times moved on: an hour without encoding it."""
    with av.open(str(long), "w") as output, av.open(str(short)) as first:
        tracks = {stream.index: output.add_stream_from_template(stream) for stream in first.streams}
        for number in range(REPEATS):
            with av.open(str(short)) as source:
                for packet in source.demux():
                    if packet.dts is None or packet.pts is None:
                        continue
                    shift = round(number * PERIOD / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = tracks[packet.stream_index]
                    output.mux(packet)


if __name__ == "__main__":
    sys.exit(main())
