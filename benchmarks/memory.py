"""Promise: a file of two hours costs no more memory than one of two minutes: at most 1.2 times, and at most 400 MB.

    python benchmarks/memory.py [--keep FOLDER]

Makes both files itself (two minutes are encoded once, the two hours repeat their packets), reads each in a process of its own,
and prints that process's peak. The limit of ten minutes is lifted, so that all of the two hours is read; the last rows keep it:
they are what a worker of `ffdv prepare` does with a file, and the whole command with one worker, its imports included.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from ffdv.media.write import write_media
from ffdv.records import PixelArray, Samples

MOST_RATIO, MOST_MEGABYTES = 1.2, 400.0
SHORT_SECONDS, REPEATS = 120, 60
PERIOD = Fraction(1201, 10)  # a tenth of a second more than the clip, as codecs overlap a little at its ends
RATE, FPS, SIDE = 44_100, 5, 256


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="a folder for the files, kept for the next run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = files_in(options.keep or Path(folder))
        kept = [measure(name, *files[suffix]) for name, suffix in JOBS]
    return 0 if all(kept) else 1


def measure(name: str, short: Path, long: Path) -> bool:
    """Read both files, print a row, and say whether the promise is kept."""
    (short_megabytes, _), (long_megabytes, seconds) = peak(name, short), peak(name, long)
    ratio = long_megabytes / short_megabytes
    kept = ratio <= MOST_RATIO and long_megabytes <= MOST_MEGABYTES
    row = f"{name:<22}{short.suffix:<7} 2 min {short_megabytes:5.0f} MB   2 h {long_megabytes:5.0f} MB   ratio {ratio:.2f}"
    print(f"{row}   {'kept' if kept else 'BROKEN'} ({seconds:.0f} s)", flush=True)
    return kept


def peak(name: str, path: Path) -> tuple[float, float]:
    """Peak memory in MB and seconds of one reading, in a fresh process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=read_and_report, args=(name, path, theirs))
    began = time.monotonic()
    process.start()
    theirs.close()
    megabytes: float = ours.recv()
    process.join()
    return megabytes, time.monotonic() - began


def read_and_report(name: str, path: Path, pipe: multiprocessing.connection.Connection) -> None:
    READINGS[name](path)
    kilobytes = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    pipe.send(kilobytes / (1024 * 1024 if sys.platform == "darwin" else 1024))


def read_sound(path: Path) -> None:
    from ffdv.media.read import Limits, iter_samples, open_media

    with open_media(path, limits=Limits(max_seconds=1e5)) as media:
        for _ in iter_samples(media, rate=16_000):
            pass


def read_pictures(path: Path) -> None:
    from ffdv.media.read import Limits, open_media, read_frames

    with open_media(path, limits=Limits(max_seconds=1e5)) as media:
        for _ in read_frames(media, fps=1):
            pass


def read_both_in_turn(path: Path) -> None:
    from ffdv.media.read import Limits, iter_samples, open_media, read_frames

    with open_media(path, limits=Limits(max_seconds=1e5)) as media:
        for _ in zip(iter_samples(media, block_seconds=1.0), read_frames(media, fps=1), strict=False):
            pass


def extract_within_limits(path: Path) -> None:
    from ffdv.features.recipe import extract_packed

    extract_packed(path)


def prepare_sound(path: Path) -> None:
    run_prepare(path, "voice")


def prepare_everything(path: Path) -> None:
    run_prepare(path, "voice,picture,motion,agreement")


def run_prepare(path: Path, senses: str) -> None:
    """The command as a user types it; its worker is a child of a child, and the larger peak counts."""
    with tempfile.TemporaryDirectory() as out:
        command = [
            sys.executable,
            "-m",
            "ffdv",
            "prepare",
            str(path),
            "--out",
            out,
            "--workers",
            "1",
            "--senses",
            senses,
        ]
        subprocess.run(command, check=True, capture_output=True)


READINGS: dict[str, Callable[[Path], None]] = {
    "sound": read_sound,
    "pictures": read_pictures,
    "sound and pictures": read_both_in_turn,
    "extract (10 min kept)": extract_within_limits,
    "prepare, voice": prepare_sound,
    "prepare, all senses": prepare_everything,
}
JOBS = [
    ("sound", ".mka"),
    ("sound", ".mp4"),
    ("pictures", ".mp4"),
    ("sound and pictures", ".mp4"),
    ("extract (10 min kept)", ".mka"),
    ("extract (10 min kept)", ".mp4"),
    ("prepare, voice", ".mka"),
    ("prepare, voice", ".mp4"),
    ("prepare, all senses", ".mp4"),
]


def files_in(folder: Path) -> dict[str, tuple[Path, Path]]:
    """For each suffix the two minutes and the two hours; files that are there already are taken.

    They are made in a process of its own: what a parent holds is counted into its children's peaks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {suffix: (folder / f"short{suffix}", folder / f"long{suffix}") for suffix in (".mp4", ".mka")}
    if not all(path.exists() for pair in files.values() for path in pair):
        maker = multiprocessing.get_context("spawn").Process(target=make_files, args=(files,))
        maker.start()
        maker.join()
    return files


def make_files(files: dict[str, tuple[Path, Path]]) -> None:
    short, long = files[".mp4"]
    write_media(short, sound=murmur(), frames=clouds(), fps=FPS, video_options={"preset": "ultrafast", "g": "50"})
    repeat(short, long)
    short, long = files[".mka"]
    write_media(short, sound=murmur(), audio_codec="flac")
    repeat(short, long)


def murmur() -> Samples:
    """Two minutes of a voice-like hum with some breath: without it, sound would pack better than speech does."""
    seconds = np.arange(SHORT_SECONDS * RATE) / RATE
    breath = 0.01 * np.random.default_rng(0).standard_normal(len(seconds))
    wave = 0.2 * np.sin(2 * np.pi * 140 * seconds) * (1 + np.sin(2 * np.pi * 3 * seconds))
    return Samples((wave + breath).astype(np.float32)[np.newaxis], RATE)


def clouds() -> Iterator[PixelArray]:
    """Two minutes of moving blocks."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 255, (SIDE // 16, SIDE // 16, 3), dtype=np.uint8)
    for number in range(SHORT_SECONDS * FPS):
        yield np.roll(np.repeat(np.repeat(blocks, 16, axis=0), 16, axis=1), number, axis=1)


def repeat(short: Path, long: Path) -> None:
    """The packets of a file REPEATS times over, their times moved on: hours of media without encoding them."""
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
