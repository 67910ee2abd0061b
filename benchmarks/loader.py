"""Promise: training from shards runs at 0.9 or more of the speed of the same net fed from memory.

    python benchmarks/loader.py [--data SHARDS] [--clips 64] [--rounds 3] [--workers 2]

Both sides train the same ResNet-18 on 256x256 spectrogram pictures, on the CPU, in alternating rounds of one run, so that
the machine's mood falls on both. Without --data, clips of 7.4 s of coloured noise at 22,050 Hz are made (noise is the hardest
case for the sound codec). Also printed: how fast the loader alone is, with nothing to feed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import scipy.signal
import torch

from ffdv.data.loader import Batch, ClipLoader, LoaderSpec, make_loader
from ffdv.data.shards import ShardIndex, ShardRow, encode_row, write_index, write_part
from ffdv.features.recipe import ExtractSpec
from ffdv.features.spectrogram import FrontEndSpec
from ffdv.models.zoo import ModelSpec, build_model
from ffdv.records import Clip, Features, MediaFacts, Samples

PROMISE = 0.9
RATE, SECONDS = 22_050, 7.4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="prepared shards; made here when not given")
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = options.data or make_shards(Path(folder), options.clips)
        rows = range(options.clips) if options.data else None
        ratio = measure(data, rows, options.rounds, options.workers)
    print(f"ratio {ratio:.3f} (promised: at least {PROMISE})")
    return 0 if ratio >= PROMISE else 1


def measure(data: Path, rows: Iterable[int] | None, rounds: int, workers: int) -> float:
    """Speed from shards over speed from memory."""
    front_end = FrontEndSpec(sample_rate=RATE)
    spec = LoaderSpec(batch_size=8, window_seconds=None, workers=workers)
    loader = make_loader(data, spec, rate=RATE, training=True, rows=None if rows is None else list(rows))
    held = list(loader.epoch(1))
    clips = sum(len(batch) for batch in held)
    net = build_model(ModelSpec(backbone="resnet18", initial_weights="none"), front_end)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-4)
    train(net, optimiser, held[:1])
    seconds = {"memory": 0.0, "shards": 0.0, "loader alone": 0.0}
    for epoch in range(2, rounds + 2):
        seconds["memory"] += timed(lambda: train(net, optimiser, held))
        seconds["shards"] += timed(lambda epoch=epoch: train(net, optimiser, loader.epoch(epoch)))
        seconds["loader alone"] += timed(lambda epoch=epoch: drain(loader, epoch))
    for name, spent in seconds.items():
        print(f"{name:13s} {clips * rounds / spent:8.1f} clips/s")
    return seconds["memory"] / seconds["shards"]


def train(net: torch.nn.Module, optimiser: torch.optim.Optimizer, batches: Iterable[Batch]) -> None:
    net.train()
    for batch in batches:
        optimiser.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(net(batch.samples, batch.lengths), batch.labels).backward()
        optimiser.step()


def drain(loader: ClipLoader, epoch: int) -> None:
    for _ in loader.epoch(epoch):
        pass


def timed(work: object) -> float:
    began = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - began


def make_shards(folder: Path, clips: int) -> Path:
    """Clips of coloured noise, half of them called fake."""
    index = ShardIndex(
        extract=ExtractSpec(), data="/made-here", num_clips=clips, clips_per_part=16, fingerprint="benchmark"
    )
    write_index(folder, index)
    rng = np.random.default_rng(0)
    for part in range(index.num_parts):
        rows = []
        for number in index.part_rows(part):
            noise = scipy.signal.lfilter([0.05], [1, -0.9], rng.standard_normal(round(SECONDS * RATE)))
            clip = Clip(f"{number}.wav", Path(f"/made-here/{number}.wav"), number % 2)
            facts = MediaFacts(clip.path, 0, "wav", SECONDS, None, (), (), encrypted=False, tags={})
            sound = Samples(noise.astype(np.float32)[None], RATE)
            rows.append(encode_row(ShardRow(clip, Features(facts, sound)), index))
        write_part(folder, index, part, rows)
    return folder


if __name__ == "__main__":
    sys.exit(main())
