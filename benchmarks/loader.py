"""Promise: training from shards runs at 0.9 or more of the speed of the same net fed from memory.

    python benchmarks/loader.py [--data SHARDS] [--recipe NAME] [--clips 48] [--rounds 3] [--workers 2] [--threads N]

Both sides train the same ResNet-18 on 256x256 spectrogram pictures, on the CPU, in alternating rounds of one run; the ratio is
the median over rounds. With --recipe they take its windows and its front end, and the side of the shards all its augmentations, while
the net fed from memory has none: then the ratio holds what the recipe's changes cost. Without --data, clips of 7.4 s of coloured
noise at 22,050 Hz are made (noise is the hardest case for the sound codec). On a machine that others use, wall time is their mood: then the second ratio counts, processor time of the net
fed from memory over that of net, reading and all, which is what the wall would show with every core busy.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
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
from ffdv.training.augmenting import picture_change, sound_augment, sound_forge
from ffdv.training.plan import load_recipe

PROMISE = 0.9
RATE, SECONDS = 22_050, 7.4


@dataclass(frozen=True)
class Spent:
    """Seconds of one epoch: by the wall, by the processor here and in the workers."""

    wall: float
    processor: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="prepared shards; made here when not given")
    parser.add_argument(
        "--recipe", help="whose windows, front end and augmentations; default: whole clips, mel bands, none"
    )
    parser.add_argument("--set", action="append", default=[], help="a change to the recipe, as in ffdv train")
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, help="of the net; torch's choice when not given")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        data = options.data or make_shards(Path(folder), options.clips)
        sides = make_sides(data, options)
        rounds = [measure(sides, epoch) for epoch in range(1, options.rounds + 1)]
    by_wall = statistics.median(memory.wall / shards.wall for memory, shards in rounds)
    by_processor = statistics.median(memory.processor / shards.processor for memory, shards in rounds)
    print(f"ratio {by_wall:.3f} by the wall, {by_processor:.3f} by processor time (promised: at least {PROMISE})")
    return 0 if max(by_wall, by_processor) >= PROMISE else 1


@dataclass(frozen=True)
class Sides:
    """What is compared: batches as they are for the memory, and changed ones for a net that changes its pictures."""

    plain: ClipLoader
    changed: ClipLoader
    front_end: FrontEndSpec
    picture_change: Callable[[torch.Tensor], torch.Tensor] | None

    def net(self, *, changes: bool) -> torch.nn.Module:
        """A fresh ResNet-18; with changes: one that changes its pictures while it trains."""
        net = build_model(ModelSpec(backbone="resnet18", initial_weights="none"), self.front_end)
        net.picture_change = self.picture_change if changes else None
        return net


def make_sides(data: Path, options: argparse.Namespace) -> Sides:
    rows = range(options.clips)
    if options.recipe is None:
        spec = LoaderSpec(batch_size=8, window_seconds=None, workers=options.workers)
        loader = make_loader(data, spec, rate=RATE, training=True, rows=rows)
        return Sides(loader, loader, FrontEndSpec(sample_rate=RATE), None)
    recipe = load_recipe(options.recipe, options.set)
    spec = recipe.loader.model_copy(update={"batch_size": 8, "workers": options.workers})
    rate, augment = recipe.front_end.sample_rate, recipe.augment
    plain = make_loader(data, spec, rate=rate, training=True, rows=rows)
    changed = make_loader(
        data, spec, rate=rate, training=True, rows=rows, augment=sound_augment(augment), forge=sound_forge(augment)
    )
    return Sides(plain, changed, recipe.front_end, picture_change(augment))


def measure(sides: Sides, epoch: int) -> tuple[Spent, Spent]:
    """One epoch from memory and one from shards."""
    held = list(sides.plain.epoch(1))
    clips = sum(len(batch) for batch in held)
    bare, changing = (sides.net(changes=changes) for changes in (False, True))
    for net in (bare, changing):
        train(net, held[:1])
    memory = timed(lambda: train(bare, held))
    shards = timed(lambda: train(changing, sides.changed.epoch(epoch)))
    for name, spent in (("memory", memory), ("shards", shards)):
        speed, each = clips / spent.wall, 1000 * spent.processor / clips
        print(f"round {epoch} {name}: {speed:6.2f} clips/s, {each:6.1f} ms of processor a clip", flush=True)
    return memory, shards


def train(net: torch.nn.Module, batches: Iterable[Batch]) -> None:
    optimiser = torch.optim.Adam(net.train().parameters(), lr=1e-4)
    for batch in batches:
        optimiser.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(net(batch.samples, batch.lengths), batch.labels).backward()
        optimiser.step()


def timed(work: Callable[[], None]) -> Spent:
    wall, processor = time.perf_counter(), processor_seconds()
    work()
    return Spent(time.perf_counter() - wall, processor_seconds() - processor)


def processor_seconds() -> float:
    """Of this process and its workers; of this one alone where there is no /proc."""
    seconds = time.process_time()
    for child in multiprocessing.active_children():
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()
            seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


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
