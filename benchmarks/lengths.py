"""Odd lengths and odd pictures through everything: each clip gets an opinion, or one sentence that says why it gets none.

    python benchmarks/lengths.py --data FOLDER --out FOLDER [--hours 4] [--recipes voice ...] [--only prepare,recipes,scan,sync] [--whole]

Clips: so many hours of one talking face (its packets repeat), thirty people, no face, no sound, one frame with and without sound, a
cut every fifth of a second, a third of a second. They are mixed with 64 labelled clips of --data, prepared, and each recipe is
trained on all of them for an epoch (small nets), evaluated, and asked by `ffdv predict`; `ffdv scan` and `ffdv sync` look at each odd clip. Every
command is a process of its own, with its wall and CPU seconds and its peak memory. Finished steps are kept in --out; run it again to
go on. The table is Markdown. Status 1 where a command crashed, or a clip got neither a number nor a sentence.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import numpy as np

from ffdv.data.manifest import load_corpus
from ffdv.data.prepare import take_in_proportion
from ffdv.media.write import write_media
from ffdv.records import PixelArray, Samples
from ffdv.training.plan import recipe_names
from scan import Cost, head, voice

FPS = 25
BLOCK_SECONDS = 120.0
USUAL_CLIPS = 64
SMALL = (
    "split.by=group",
    "split.validation_share=0.4",
    "split.groups=[]",
    "loader.batch_size=4",
    "loader.workers=0",
    "training.choose_by=auc",
)
SMALL_NETS = ("model.backbone=test_resnet", "model.initial_weights=none", "front_end.n_bands=32")
SIZE_OF_NET = {
    "sound": "model.picture_size=[32,32]",
    "faces": "model.picture_size=[64,64]",
    "joint": "model.picture_size=[64,64]",
}
# Runs a command, then prints its wall and CPU seconds, the peak of its largest process in MB, and its exit status.
MEASURED = """
import json, resource, subprocess, sys, time
began = time.monotonic()
status = subprocess.run(sys.argv[1:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(chr(10) + json.dumps([time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, status]))
"""
GAVE_UP = 2  # the exit status of a request that cannot be carried out: one sentence, no traceback


@dataclass(frozen=True)
class Outcome:
    """One command on one thing: what it cost, its exit status, and what it said."""

    what: str
    cost: Cost
    status: int
    said: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="labelled clips of talking people")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("--recipes", nargs="*", default=recipe_names())
    parser.add_argument("--only", default="prepare,recipes,scan,sync")
    parser.add_argument(
        "--whole", action="store_true", help="scan all of the long clip besides: a tenth of its length and more"
    )
    options = parser.parse_args()
    # In a process of its own: what a parent holds is counted into its children's peaks.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as maker:
        odd = maker.submit(odd_clips, options.out / "odd", options.hours).result()
    outcomes = [*prepared(options.data, odd, options.out)]
    if "recipes" in options.only:
        for name in options.recipes:
            outcomes += recipe(name, odd, options.out)
    for verb in ("scan", "sync"):
        if verb in options.only:
            outcomes += [kept(options.out, f"{verb} {clip.stem}", [verb, str(clip), "--json"]) for clip in odd]
    if options.whole:
        minutes = str(round(options.hours * 60) + 1)
        outcomes.append(kept(options.out, "scan the whole", ["scan", str(odd[0]), "--json", "--max-minutes", minutes]))
    print("| what | wall s | CPU s | MB | status | said |\n|---|---|---|---|---|---|")
    for each in outcomes:
        cost = each.cost
        print(
            f"| {each.what} | {cost.wall:.0f} | {cost.cpu:.0f} | {cost.megabytes:.0f} | {each.status} | {each.said} |"
        )
    return int(any(each.status not in {0, 1, GAVE_UP} or "Traceback" in each.said for each in outcomes))


def prepared(data: Path, odd: list[Path], out: Path) -> Iterator[Outcome]:
    """The odd clips and some usual ones as one corpus, in shards."""
    corpus = out / "corpus"
    if not (corpus / "manifest.csv").is_file():
        corpus.mkdir(parents=True, exist_ok=True)
        rows = [(clip.name, number % 2, f"odd{number}") for number, clip in enumerate(odd)]
        for clip in odd:
            os.link(clip, corpus / clip.name)
        for clip in take_in_proportion(load_corpus(data).clips, USUAL_CLIPS):
            shutil.copy(clip.path, corpus / clip.path.name)
            rows.append((clip.path.name, int(clip.label or 0), clip.groups.get("identity", "")))
        with (corpus / "manifest.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("path", "label", "identity"), *rows])
    yield kept(out, "prepare", ["prepare", str(corpus), "--out", str(out / "shards"), "--workers", "1"])


def recipe(name: str, odd: list[Path], out: Path) -> Iterator[Outcome]:
    """Train, evaluate and ask one recipe."""
    from ffdv.training.plan import load_recipe

    run, kind = out / "runs" / name, load_recipe(name).kind
    sets = [*SMALL, *(SMALL_NETS if kind in SIZE_OF_NET else ()), *([SIZE_OF_NET[kind]] if kind in SIZE_OF_NET else ())]
    if kind == "late":
        inner = ", ".join(f'"{each}"' for each in ("training.epochs=1", "schedule.warm_up_epochs=0", *SMALL_NETS))
        sets += [f"fusion.member_settings=[{inner}]"]
    else:
        sets += ["training.epochs=1", "schedule.warm_up_epochs=0"]
    flags = [word for each in sets for word in ("--set", each)]
    shards = str(out / "shards")
    yield kept(
        out, f"train {name}", ["train", "--recipe", name, "--data", shards, "--out", str(run), "--resume", *flags]
    )
    table = out / f"{name}.json"
    yield kept(
        out,
        f"evaluate {name}",
        ["evaluate", "--model", str(run), "--data", shards, "--split", "validation", "--json", str(table)],
    )
    listing = out / "odd.csv"
    with listing.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *((f"odd/{clip.name}", "") for clip in odd)])
    scores = out / f"{name}-scores.csv"
    yield kept(
        out,
        f"predict {name}",
        ["predict", "--model", str(run), "--data", str(listing), "--out", str(scores), "--workers", "1"],
    )
    if not scores.is_file():  # the line above says why
        return
    with scores.open(newline="") as file:
        for row in csv.DictReader(file):
            number = row["y_pred"] and f"{float(row['y_pred']):.3f}"
            said = number or row["reason"] or "Traceback: neither a number nor a reason"
            yield Outcome(f"predict {name}: {Path(row['video_name']).stem}", Cost(0, 0, 0), 0, said)


def kept(out: Path, what: str, arguments: list[str]) -> Outcome:
    """What a command came to: now, or when it was run before."""
    path = out / "outcomes" / f"{what}.json"
    if path.is_file():
        stored = json.loads(path.read_text())
        return Outcome(what, Cost(**stored["cost"]), stored["status"], stored["said"])
    found = ran(what, arguments)
    print(f"{what}: {found}", file=sys.stderr, flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(found)))
    return found


def ran(what: str, arguments: list[str]) -> Outcome:
    """One ffdv command in a process that starts cold, begun by a small one: a child's peak counts what its parent held."""
    command = [sys.executable, "-c", MEASURED, sys.executable, "-m", "ffdv", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    text, _, numbers = done.stdout.rstrip().rpartition("\n")
    wall, cpu, megabytes, status = json.loads(numbers)
    return Outcome(what, Cost(wall, cpu, megabytes), status, in_short(text, arguments[0]))


def in_short(text: str, verb: str) -> str:
    """The part of an answer that a reader of the table wants."""
    if "Traceback" in text:
        return " ".join(text.split())[-600:]
    lines = [line for line in text.splitlines() if line.strip()]
    first = next((place for place, line in enumerate(lines) if line.startswith("{")), None)
    if first is None or verb not in {"scan", "sync"}:
        return " / ".join(lines[-2:])[:300]
    answer, _ = json.JSONDecoder().raw_decode("\n".join(lines[first:]))  # in one line or in many
    if verb == "sync":
        wanted = ("reason", "offset_ms", "confidence", "mouth_seconds")
    else:
        wanted = ("status", "reason", "verdict", "probability", "fake_probability", "senses")
    return json.dumps({key: answer[key] for key in wanted if key in answer})[:300]


def odd_clips(folder: Path, hours: float) -> list[Path]:
    """Every odd clip; those that are there are taken."""
    folder.mkdir(parents=True, exist_ok=True)
    speech = voice(8.0)
    wall = np.random.default_rng(1).integers(60, 110, (360, 640, 3), dtype=np.uint8)
    made = {
        "thirty people": lambda path: write_media(
            path, sound=speech, frames=(crowd(k) for k in range(8 * FPS)), fps=FPS
        ),
        "no face": lambda path: write_media(
            path, sound=speech, frames=(np.roll(wall, k, 1) for k in range(8 * FPS)), fps=FPS
        ),
        "no sound": lambda path: write_media(path, frames=talking(8.0), fps=FPS),
        "one frame": lambda path: write_media(path, sound=speech, frames=[next(talking(1.0))], fps=FPS),
        "one frame, no sound": lambda path: write_media(path, frames=[next(talking(1.0))], fps=FPS),
        "cuts": lambda path: write_media(path, sound=speech, frames=cuts(8.0), fps=FPS),
        "third of a second": lambda path: write_media(
            path,
            sound=Samples(speech.values[:, : speech.rate // 3], speech.rate),
            frames=list(talking(1.0))[:8],
            fps=FPS,
        ),
    }
    for name, make in made.items():
        if not (folder / f"{name}.mp4").exists():
            make(folder / f"{name}.mp4")
    long = folder / f"{hours:g} hours.mp4"
    if not long.exists():
        block = write_media(
            folder.parent / "block.mp4",
            sound=voice(BLOCK_SECONDS),
            frames=talking(BLOCK_SECONDS),
            fps=FPS,
            video_options={"preset": "veryfast"},
        )
        repeat(block, long, round(hours * 3600 / BLOCK_SECONDS))
    return [long, *(folder / f"{name}.mp4" for name in made)]


def talking(seconds: float, height: int = 360, width: int = 640) -> Iterator[PixelArray]:
    """A drawn head that sways and speaks."""
    side = round(0.8 * height)
    wall = np.random.default_rng(1).integers(60, 110, (height, width, 3), dtype=np.uint8)
    for k in range(round(seconds * FPS)):
        picture = np.roll(wall, k // 2, axis=1)
        left = round((width - side) / 2 * (1 + 0.1 * np.sin(k / 9)))
        picture[height - side :, left : left + side] = head(side, round(4 + 4 * np.sin(2 * np.pi * 3 * k / FPS)))
        yield picture


def crowd(k: int) -> PixelArray:
    """Thirty heads that all speak."""
    picture = np.full((720, 1280, 3), 100, np.uint8)
    for number in range(30):
        top, left = 4 + 142 * (number // 6), 16 + 206 * (number % 6)
        picture[top : top + 140, left : left + 140] = head(140, round(4 + 4 * np.sin(2 * np.pi * 3 * k / FPS + number)))
    return picture


def cuts(seconds: float) -> Iterator[PixelArray]:
    """Another size, place and ground of the head every fifth of a second; every fourth shot shows none."""
    for k in range(round(seconds * FPS)):
        shot = k // 5
        rng = np.random.default_rng(shot)
        picture = np.full((360, 640, 3), 30 + 40 * (shot % 5), np.uint8)
        side = int(rng.integers(100, 330))
        if shot % 4:
            top, left = int(rng.integers(0, 360 - side)), int(rng.integers(0, 640 - side))
            picture[top : top + side, left : left + side] = head(side, round(4 + 4 * np.sin(2 * np.pi * 3 * k / FPS)))
        yield picture


def repeat(short: Path, long: Path, times: int) -> None:
    """The packets of a file so many times over, their times moved on: hours without encoding them."""
    with av.open(str(long.with_suffix(".part.mp4")), "w") as output, av.open(str(short)) as first:
        tracks = {stream.index: output.add_stream_from_template(stream) for stream in first.streams}
        for number in range(times):
            with av.open(str(short)) as source:
                for packet in source.demux():
                    if packet.dts is None or packet.pts is None or packet.time_base is None:
                        continue
                    shift = round(number * (BLOCK_SECONDS + 0.1) / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = tracks[packet.stream_index]
                    output.mux(packet)
    long.with_suffix(".part.mp4").replace(long)


if __name__ == "__main__":
    sys.exit(main())
