"""What each recipe is worth: a random split flatters, unseen sources do not, and shortcuts alone set the mark.

    python benchmarks/recipes.py --sound SHARDS --video SHARDS --out FOLDER [--recipes voice ...] [--clips 400] [--epochs 3]

Each recipe is trained twice on the same clips with the same settings: split clip by clip, and with no person and no source on two
sides. Both keep a test part out of everything. On it: AUC, its neutralised twin, what the stored shortcuts alone reach, calibration
error before and after, and the share of clips that can be judged with 5 % mistakes. Recipes of sound take --sound, others --video.
Finished trainings are kept in --out; run it again to go on. The table is Markdown, the sizes stand in it.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ffdv.data.shards import EncodedRow as Row
from ffdv.data.shards import Shards, open_shards, part_path, write_index, write_part
from ffdv.errors import FfdvError
from ffdv.training.evaluate import EvaluationTable, evaluate
from ffdv.training.plan import load_recipe, recipe_names
from ffdv.training.run import train

HEADINGS = (
    "recipe",
    "clips, epochs",
    "n real / fake",
    "random split",
    "unseen sources",
    "neutralised",
    "shortcuts alone",
    "ECE before → after",
    "judged at 5 % mistakes",
)
SPLIT = ("split.by=group", "split.validation_share=0.2", "split.test_share=0.25")
RANDOM, UNSEEN = "random", "unseen"


@dataclass(frozen=True)
class Size:
    """How small the trainings are."""

    clips: int
    epochs: int
    sets: tuple[str, ...]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sound", type=Path, help="prepared shards for recipes of sound")
    parser.add_argument("--video", type=Path, help="prepared shards for all others")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipes", nargs="*", default=recipe_names())
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--set", dest="sets", action="append", default=[], help="table.key=value for every recipe")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    size = Size(options.clips, options.epochs, tuple(options.sets))
    lines = []
    for name in options.recipes:
        data = options.sound if load_recipe(name).kind == "sound" else options.video
        if data is None:
            continue
        try:
            lines.append(measured(name, data, options.out, size))
        except FfdvError as error:
            lines.append((name, *[""] * (len(HEADINGS) - 2), str(error)))
        print(f"{name}: {lines[-1]}", file=sys.stderr, flush=True)
    print("| " + " | ".join(HEADINGS) + " |")
    print("|" + "---|" * len(HEADINGS))
    for line in lines:
        print("| " + " | ".join(line) + " |")
    return 0


def measured(name: str, data: Path, out: Path, size: Size) -> tuple[str, ...]:
    """One line of the table."""
    shards = subset(open_shards(data), out / f"{data.parent.name}-{data.name}-{size.clips}", size.clips)
    found = {split: result(name, shards, out, split=split, size=size) for split in (RANDOM, UNSEEN)}
    unseen = found[UNSEEN]
    overall, neutral = unseen["rows"][0], unseen["neutralised"]["rows"][0]
    confidence = unseen["confidence"]
    shortcuts = unseen["audit"]["all_auc"]
    best = unseen["audit"]["best_auc"]
    return (
        name,
        f"{len(shards)}, {size.epochs}",
        f"{overall['num_real']} / {overall['num_fake']}",
        auc(found[RANDOM]["rows"][0]),
        auc(overall),
        "not possible from shards" if load_recipe(name).kind == "motion" else auc(neutral),
        "" if best is None else f"{best:.3f} alone" + ("" if shortcuts is None else f", {shortcuts:.3f} together"),
        f"{confidence['ece_before']:.3f} → {confidence['ece_after']:.3f}",
        f"{confidence['coverage_at_risk']:.0%}",
    )


def result(name: str, shards: Shards, out: Path, *, split: str, size: Size) -> dict[str, Any]:
    """Train and evaluate, or read what was found before."""
    run = out / f"{name}-{split}-{shards.folder.name}-{size.epochs}"
    path = run / "evaluation.json"
    if not path.is_file():
        sets = [*SPLIT, *size.sets, *(["split.groups=[]"] if split == RANDOM else [])]
        train(name, data=shards.folder, out=run, resume=True, epochs=size.epochs, overrides=sets, export=False)
        table: EvaluationTable = evaluate(run, data=shards.folder, neutralise=split == UNSEEN, resamples=300)
        path.write_text(table.to_json())
    stored: dict[str, Any] = json.loads(path.read_text())
    return stored


def auc(row: dict[str, Any]) -> str:
    estimate = row["numbers"].get("auc")
    return (
        "undefined" if estimate is None else f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"
    )


def subset(shards: Shards, folder: Path, clips: int) -> Shards:
    """So many clips, evenly spread over the shards, copied once; all of them where there are no more."""
    if len(shards) <= clips:
        return shards
    rows = np.unique(np.linspace(0, len(shards) - 1, clips).round().astype(int)).tolist()
    index = shards.index.model_copy(
        update={"num_clips": len(rows), "fingerprint": f"{shards.index.fingerprint}-{len(rows)}"}
    )
    if not (folder / "shards.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        for part in range(index.num_parts):
            if not part_path(folder, part).is_file():
                write_part(folder, index, part, [copied(shards, rows[place]) for place in index.part_rows(part)])
        write_index(folder, index)
    return open_shards(folder)


def copied(shards: Shards, row: int) -> Row:
    light = shards.table.slice(row, 1).to_pylist()[0]
    return Row(light, {sense: shards.cells(sense, row) for sense in shards.index.senses})


if __name__ == "__main__":
    sys.exit(main())
