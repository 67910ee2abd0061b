"""The promise of the face road: decode, detect with tracking, and crop in at most 0.3 s per second of video on one core.

    python benchmarks/faces.py                    # drawn talking heads, 256 × 256, 640 × 360 and 1280 × 720
    python benchmarks/faces.py --data FOLDER      # the clips of a folder besides
    python benchmarks/faces.py --long             # memory at 1 and at 10 minutes of 720p
    python benchmarks/faces.py --crowd            # thirty people, a cut every second, no face at all

Times are CPU seconds of this process, so that a busy machine does not count; memory is the peak of the resident set.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ffdv.data.sources.drawn_face import draw_face
from ffdv.features.face_detectors import make_face_detector
from ffdv.features.faces import FaceSpec, find_faces
from ffdv.media.limits import Limits
from ffdv.media.read import open_media, read_frames
from ffdv.media.write import write_media
from ffdv.records import FacesSeen, PixelArray

PROMISE = 0.3  # CPU seconds per second of video
SIZES = ((256, 256, 200), (640, 360, 260), (1280, 720, 520))  # width, height, head


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, help="a folder of clips to measure besides")
    arguments.add_argument("--long", action="store_true", help="compare memory at 1 and 10 minutes")
    arguments.add_argument("--crowd", action="store_true", help="thirty people, many cuts, no face")
    arguments.add_argument("--seconds", type=float, default=10.0, help="length of the drawn clips")
    arguments.add_argument("--one", type=Path, help=argparse.SUPPRESS)  # a child process measures one file
    asked = arguments.parse_args()
    if asked.one:
        report(asked.one)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        clips = [drawn_clip(Path(folder), *size, seconds=asked.seconds) for size in SIZES]
        kept = min([measure(clip) for clip in clips])
        if asked.crowd:
            for clip in hard_clips(Path(folder)):
                measure(clip)  # shown; thirty faces may take longer than one
        if asked.long:
            kept &= same_memory(Path(folder))
    if asked.data:
        kept &= measure_folder(asked.data)
    print("promise kept" if kept else "PROMISE BROKEN")
    return 0 if kept else 1


def look(path: Path) -> tuple[FacesSeen, float, float]:
    """What was seen, CPU seconds, seconds of video; the network is warm."""
    detector, spec = make_face_detector(), FaceSpec()
    detector.detect(np.zeros((64, 64, 3), np.uint8))
    start = time.process_time()
    with open_media(path, limits=Limits(max_seconds=4 * 3600)) as media:
        seen = find_faces(read_frames(media, fps=spec.fps), spec, detector)
    return seen, time.process_time() - start, seen.frames_looked_at / spec.fps


def report(path: Path) -> None:
    """One line for machines: CPU seconds, seconds of video, tracks, frames with a face, frames, peak MB."""
    seen, cpu, length = look(path)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{cpu} {length} {len(seen.tracks)} {seen.frames_with_face} {seen.frames_looked_at} {peak}")


def measure(path: Path) -> bool:
    """Look at one file in a process of its own and print what it cost; whether the promise was kept."""
    cpu, length, tracks, with_face, frames, peak = child(path)
    share = cpu / length
    print(
        f"{path.stem:24s} {length:7.1f} s  {share:6.3f} of its length  {frames / cpu:6.0f} frames/s  "
        f"{tracks:3.0f} tracks  face in {with_face:.0f} of {frames:.0f} frames  peak {peak:.0f} MB"
    )
    return share <= PROMISE


def child(path: Path) -> list[float]:
    command = [sys.executable, __file__, "--one", str(path)]
    return [float(word) for word in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()]


def measure_folder(folder: Path) -> bool:
    cpu, length, found, count = 0.0, 0.0, 0, 0
    for path in sorted(path for path in folder.iterdir() if path.suffix in {".mp4", ".mov", ".mkv", ".webm"}):
        seen, spent, seconds = look(path)
        cpu, length, found, count = cpu + spent, length + seconds, found + bool(seen.tracks), count + 1
    print(f"{folder.name}: {count} clips, a face in {found}, {cpu / max(length, 1e-9):.3f} of their length")
    return cpu <= PROMISE * length


def same_memory(folder: Path) -> bool:
    short, long = (drawn_clip(folder, 1280, 720, 520, seconds=seconds, fps=8.0) for seconds in (60, 600))
    peaks = [child(path)[-1] for path in (short, long)]
    print(f"peak memory: {peaks[0]:.0f} MB at 1 minute, {peaks[1]:.0f} MB at 10 minutes")
    return peaks[1] <= 1.2 * peaks[0]


def drawn_clip(folder: Path, width: int, height: int, head: int, *, seconds: float, fps: float = 25.0) -> Path:
    """A head that sways and talks before a textured ground."""
    rng = np.random.default_rng(0)
    ground = (
        rng.integers(60, 140, (height // 8 + 1, width // 8 + 1, 3), np.uint8).repeat(8, 0).repeat(8, 1)[:height, :width]
    )
    heads = [draw_face(head, mouth=mouth) for mouth in np.linspace(0, 1, 6)]

    def frames() -> Iterator[PixelArray]:
        for k in range(round(seconds * fps)):
            picture = ground.copy()
            left = round((width - head) * (0.5 + 0.4 * np.sin(2 * np.pi * 0.1 * k / fps)))
            picture[height - head :, left : left + head] = heads[round(5 * abs(np.sin(2 * np.pi * 2 * k / fps)))]
            yield picture

    return write_media(folder / f"{width}x{height} {seconds:g} s.mp4", frames=frames(), fps=fps)


def hard_clips(folder: Path) -> list[Path]:
    crowd = np.full((720, 1280, 3), 100, np.uint8)
    head = draw_face(140)
    for k in range(30):
        top, left = 4 + 142 * (k // 6), 16 + 206 * (k % 6)
        crowd[top : top + 140, left : left + 140] = head
    plain = np.full((720, 1280, 3), 90, np.uint8)
    shots = []
    for k in range(10):
        shot = np.full((720, 1280, 3), 40 + 170 * (k % 2), np.uint8)
        shot[100:620, 80 * k : 80 * k + 520] = draw_face(520)
        shots.append(shot)
    return [
        write_media(folder / "thirty people.mp4", frames=[crowd] * 100, fps=25),
        write_media(folder / "no face.mp4", frames=[plain] * 100, fps=25),
        write_media(folder / "a cut every second.mp4", frames=[shots[k // 25] for k in range(250)], fps=25),
    ]


if __name__ == "__main__":
    sys.exit(main())
