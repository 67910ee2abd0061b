"""Promises: an audit of prepared shards takes at most 2 s per 1,000 clips; one of files at most 1.3 times their bare decoding.

    python benchmarks/audit.py [--clips 2000] [--files 8] [--data FOLDER]

Shards are made here: 45 drawn probes, codecs and tags, and 2 s of noise a clip; the statistics (shuffling, five-fold models)
are the real ones. Files are made too, 384×384 at 30 fps with AAC, unless --data names some. Bare decoding is every packet
of both tracks through PyAV, nothing kept. Processor time counts, wall time depends on who else is there.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from ffdv.data.audit import audit, audit_table
from ffdv.data.manifest import load_corpus
from ffdv.data.probe_table import table_from_files, table_from_shards
from ffdv.data.shards import ShardIndex, ShardRow, encode_row, open_shards, write_index, write_part
from ffdv.features.fingerprints import as_probes
from ffdv.features.recipe import ExtractSpec
from ffdv.media.write import write_media
from ffdv.records import Clip, Features, MediaFacts, PictureFacts, Samples, SoundFacts

SECONDS_PER_THOUSAND, TIMES_DECODING = 2.0, 1.3
RATE = 22_050


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--data", type=Path, help="clips to decode, instead of those made here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        of_shards = measure_shards(Path(folder), options.clips)
        of_files = measure_files(options.data or make_files(Path(folder) / "files", options.files))
    print(f"shards: {of_shards:.2f} s per 1,000 clips (promised: at most {SECONDS_PER_THOUSAND})")
    print(f"files: {of_files:.2f} of bare decoding (promised: at most {TIMES_DECODING})")
    return 0 if of_shards <= SECONDS_PER_THOUSAND and of_files <= TIMES_DECODING else 1


def measure_shards(folder: Path, clips: int) -> float:
    """Processor seconds per 1,000 clips, fingerprints stored; what their absence would add is told."""
    audit(make_shards(folder / "warm", 60))  # the first call pays for imports
    stored = make_shards(folder / "stored", clips)
    seconds = spent(lambda: audit(stored)) / clips * 1000
    table = table_from_shards(open_shards(stored))
    alone = spent(lambda: audit_table(table, together=False)) / clips * 1000
    bare = make_shards(folder / "bare", clips // 4, fingerprints=False)
    added = spent(lambda: table_from_shards(open_shards(bare))) / (clips // 4) * 1000
    print(
        f"per 1,000 clips: {seconds:.2f} s, of which single facts {alone:.2f} s; decoding 2 s of sound for fingerprints {added:.2f} s"
    )
    return seconds


def measure_files(data: Path) -> float:
    """Processor time of probing files over that of decoding them, the median of three rounds."""
    corpus = load_corpus(data)
    corpus = replace(corpus, clips=corpus.clips[:40])
    table_from_files(replace(corpus, clips=corpus.clips[:1]), workers=1)
    ratios = []
    for _ in range(3):
        bare = spent(lambda: [decode(clip.path) for clip in corpus.clips])
        probed = spent(lambda: table_from_files(corpus, workers=1))
        print(f"{len(corpus.clips)} files: decoding {bare:.2f} s, audit {probed:.2f} s", flush=True)
        ratios.append(probed / bare)
    return statistics.median(ratios)


def decode(path: Path) -> None:
    for kind in ("audio", "video"):
        with av.open(str(path)) as container:
            for stream in getattr(container.streams, kind)[:1]:
                stream.thread_count = 1
                for _ in container.decode(stream):
                    pass


def spent(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def make_shards(folder: Path, clips: int, *, fingerprints: bool = True) -> Path:
    folder.mkdir()
    index = ShardIndex(
        extract=ExtractSpec(), data="/made-here", num_clips=clips, clips_per_part=128, fingerprint="benchmark"
    )
    write_index(folder, index)
    rng = np.random.default_rng(0)
    for part in range(index.num_parts):
        rows = [encode_row(made_row(number, rng, fingerprints=fingerprints), index) for number in index.part_rows(part)]
        write_part(folder, index, part, rows)
    return folder


def made_row(number: int, rng: np.random.Generator, *, fingerprints: bool) -> ShardRow:
    path = Path(f"/made-here/{number}.mp4")
    groups = {"identity": f"person {number // 4}", "source_repo": f"repo {number // 100}"}
    clip = Clip(path.name, path, int(rng.integers(2)), "train" if number % 5 else "dev", groups)
    facts = MediaFacts(
        path=path,
        size_bytes=int(rng.integers(300_000, 400_000)),
        container="mov,mp4,m4a",
        duration_seconds=2.0,
        bit_rate=400_000,
        pictures=(PictureFacts(0, "h264", 384, 384, 30.0, "yuv420p", 0, 1.0, 0.0, 2.0, 300_000, 60, "High"),),
        sounds=(SoundFacts(1, "aac", RATE, 1, 0.0, 2.0, 100_000, "LC"),),
        encrypted=False,
        tags={"encoder": f"Lavf{number % 3}", "major_brand": "isom"},
    )
    probes = {f"sound_probe_{at}_db": float(value) for at, value in enumerate(rng.normal(size=45))}
    if fingerprints:
        for sense in ("sound", "picture"):
            probes |= as_probes(sense, rng.random(240) < 0.5)
    sound = Samples((0.1 * rng.standard_normal((1, 2 * RATE))).astype(np.float32), RATE)
    return ShardRow(clip, Features(facts, sound, probes=probes))


def make_files(folder: Path, files: int) -> Path:
    """Videos of 7.4 s with smooth moving noise and a hissing tone, in the challenge's format."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["file,label"]
    for number in range(files):
        wide = np.kron(rng.integers(60, 200, (24, 64, 3)), np.ones((16, 16, 1))).astype(np.uint8)
        frames = [wide[:, shift : shift + 384] for shift in range(222)]
        time_seconds = np.arange(round(7.4 * 44_100)) / 44_100
        tone = 0.2 * np.sin(2 * np.pi * 220 * time_seconds) + 0.02 * rng.standard_normal(len(time_seconds))
        sound = Samples(np.stack([tone, tone]).astype(np.float32), 44_100)
        write_media(folder / f"{number}.mp4", sound=sound, frames=frames, fps=30.0)
        rows.append(f"{number}.mp4,{number % 2}")
    (folder / "label.csv").write_text("\n".join(rows))
    return folder


if __name__ == "__main__":
    sys.exit(main())
