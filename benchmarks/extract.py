"""Promises: sound to mel picture at least 10 times as fast as published, at most 1.5 times bare decoding, and 2 workers do 1.7 times one.

    python benchmarks/extract.py [FILE ...] [--rounds 15] [--workers 2]

Four roads over the same clips, in turn within one process, each some times in a row as over a folder: opening alone, bare decoding
by PyAV (open, every sound frame to an array), our road (ffdv.generate_mel_spectrogram), and the published function (moviepy 1.0.3,
librosa, OpenCV) where these can be imported. Without files, two clips are made: one like the challenge's (384x384, 7 s, MP3) and one
of 10 s 720p with AAC.
Wall and CPU time are both printed, children's included: on a busy machine CPU time is the fairer one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from ffdv.features.spectrogram import generate_mel_spectrogram
from ffdv.media.write import write_media
from ffdv.records import PixelArray, Samples

SETTLING_SECONDS = 0.3
IN_A_ROW = 3
LEAST_FASTER, MOST_OF_BARE, LEAST_WORKER_GAIN = 10.0, 1.5, 1.7
HOW_TO_INSTALL = (
    "pip install moviepy==1.0.3 librosa==0.11.0 opencv-python-headless   (best in an environment of its own)"
)

Road = Callable[[Path], Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    roads: dict[str, Road] = {"open": open_only, "bare": decode_bare, "ours": generate_mel_spectrogram}
    published = published_road()
    if published is None:
        print(f"without the published road; to compare: {HOW_TO_INSTALL}")
    else:
        roads["published"] = published
    with tempfile.TemporaryDirectory() as folder:
        files = options.files or make_clips(Path(folder))
        kept = [compare(path, roads, options.rounds) for path in files]
        kept.append(compare_workers(files, options.workers))
    return 0 if all(kept) else 1


def compare(path: Path, roads: dict[str, Road], rounds: int) -> bool:
    """Time all roads on one clip in turn, print the table, and say whether the promises are kept."""
    wall: dict[str, list[float]] = {name: [] for name in roads}
    cpu: dict[str, list[float]] = {name: [] for name in roads}
    for road in roads.values():
        road(path)
    time.sleep(SETTLING_SECONDS)
    for number in range(rounds):
        for name, road in roads.items():
            if name == "published" and number % 3:  # it takes as long as all others together
                continue
            road(path)  # as over a folder: the first finds the caches full of another road's things, and is not counted
            for _ in range(IN_A_ROW):
                wall_time, cpu_time = timed(road, path)
                wall[name].append(wall_time)
                cpu[name].append(cpu_time)
            if name == "published":  # its matrix library's threads spin on for a while, and would be counted as ours
                time.sleep(SETTLING_SECONDS)
    print(
        f"\n{path.name}\n{'road':<10} {'wall ms':>8} {'CPU ms':>8}   median of {rounds} rounds of {IN_A_ROW}; load {os.getloadavg()[0]:.1f}"
    )
    for name in roads:
        print(f"{name:<10} {1e3 * statistics.median(wall[name]):8.1f} {1e3 * statistics.median(cpu[name]):8.1f}")
    kept = judge("ours / bare decoding", ratios(cpu, "ours", "bare"), ratios(wall, "ours", "bare"), most=MOST_OF_BARE)
    if "published" in roads:
        kept &= judge(
            "published / ours", ratios(cpu, "published", "ours"), ratios(wall, "published", "ours"), least=LEAST_FASTER
        )
    return kept


def ratios(seconds: dict[str, list[float]], above: str, below: str) -> float:
    return statistics.median(seconds[above]) / statistics.median(seconds[below])


def judge(name: str, cpu: float, wall: float, *, most: float = float("inf"), least: float = 0.0) -> bool:
    """Print one ratio beside its promise; the CPU's counts."""
    kept = least <= cpu <= most
    promise = f"at most {most:g}" if least == 0.0 else f"at least {least:g}"
    print(f"{name:<22} CPU {cpu:5.2f}   wall {wall:5.2f}   ({promise}: {'kept' if kept else 'BROKEN'})")
    return kept


def timed(road: Road, path: Path) -> tuple[float, float]:
    """Wall and CPU seconds, those of finished child processes included."""
    before, began = cpu_seconds(), time.perf_counter()
    road(path)
    return time.perf_counter() - began, cpu_seconds() - before


def cpu_seconds() -> float:
    """CPU seconds of this process and its finished children so far."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def open_only(path: Path) -> None:
    with av.open(str(path)):
        pass


def decode_bare(path: Path) -> int:
    """What PyAV alone needs to give the samples: open, decode, one array per frame."""
    with av.open(str(path)) as container:
        return sum(frame.to_ndarray().size for frame in container.decode(audio=0))


def published_road() -> Road | None:
    """The published function, line for line; None where its libraries are not installed."""
    try:
        import cv2
        import librosa
        import moviepy.editor as mp
    except ImportError:
        return None

    def generate_mel_spectrogram(video_path: Path) -> PixelArray:
        with tempfile.TemporaryDirectory() as folder:
            audio_path = f"{folder}/extracted_audio.wav"
            video = mp.VideoFileClip(str(video_path))
            video.audio.write_audiofile(audio_path, verbose=False, logger=None)
            video.close()
            y, sr = librosa.load(audio_path)
            power = librosa.feature.melspectrogram(y=y, sr=sr, n_mels=128)
            decibels = librosa.power_to_db(power, ref=np.max)
            grey = cv2.normalize(decibels, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
            return cv2.resize(grey, (256, 256), interpolation=cv2.INTER_LINEAR)

    return generate_mel_spectrogram


def compare_workers(files: list[Path], workers: int) -> bool:
    """Clips a second of one and of several processes, their start not counted, in alternating rounds."""
    jobs = [str(path) for path in files] * 20
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as one, context.Pool(workers) as several:
        for pool, count in ((one, 1), (several, workers)):
            pool.map(work, jobs[: 4 * count], chunksize=1)
        seconds: dict[int, list[float]] = {1: [], workers: []}
        spent: dict[int, list[float]] = {1: [], workers: []}
        for _ in range(3):
            for pool, count in ((one, 1), (several, workers)):
                began = time.perf_counter()
                cpu = sum(pool.imap_unordered(work, jobs, chunksize=4))
                seconds[count].append(time.perf_counter() - began)
                spent[count].append(cpu)
    gain = min(seconds[1]) / min(seconds[workers])
    dearer = min(spent[workers]) / min(spent[1])
    idle = os.getloadavg()[0] < (os.cpu_count() or 1) + 0.5
    kept = gain >= LEAST_WORKER_GAIN or not idle
    verdict = "kept" if gain >= LEAST_WORKER_GAIN else "BROKEN" if idle else "not judged: the machine is busy"
    print(
        f"\n{workers} workers: {len(jobs) / min(seconds[workers]):.0f} clips/s, one: {len(jobs) / min(seconds[1]):.0f} clips/s"
    )
    print(
        f"gain {gain:.2f} (at least {LEAST_WORKER_GAIN}: {verdict}); CPU time per clip {dearer:.2f} times that of one worker"
    )
    return kept


def work(path: str) -> float:
    """One clip; returns its CPU seconds."""
    began = time.process_time()
    generate_mel_spectrogram(path)
    return time.process_time() - began


def make_clips(folder: Path) -> list[Path]:
    """One clip like the challenge's, and ten seconds of 720p."""
    options = {"preset": "veryfast"}
    like_the_challenge = write_media(
        folder / "challenge_384_7s_mp3.mp4",
        sound=murmur(7.0),
        frames=clouds(210, 384, 384),
        fps=30,
        audio_codec="libmp3lame",
        video_options=options,
    )
    larger = write_media(
        folder / "hd_720p_10s_aac.mp4", sound=murmur(10.0), frames=clouds(300, 720, 1280), fps=30, video_options=options
    )
    return [like_the_challenge, larger]


def murmur(seconds: float, rate: int = 44_100) -> Samples:
    """A voice-like hum with some breath, stereo."""
    rng = np.random.default_rng(0)
    times = np.arange(round(seconds * rate)) / rate
    tones = sum(0.2 / k * np.sin(2 * np.pi * 120 * k * times + rng.random()) for k in range(1, 20))
    wave = 0.3 * tones * (1 + np.sin(2 * np.pi * 3 * times)) + 0.01 * rng.standard_normal(len(times))
    return Samples(np.stack([wave, 0.8 * wave]).clip(-1, 1).astype(np.float32), rate)


def clouds(count: int, height: int, width: int) -> Iterator[PixelArray]:
    """Blocks that drift."""
    blocks = np.random.default_rng(0).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    for number in range(count):
        yield np.repeat(np.repeat(np.roll(blocks, number // 3, axis=1), 8, axis=0), 8, axis=1)


if __name__ == "__main__":
    sys.exit(main())
