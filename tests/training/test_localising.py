"""Where clips are forged: right opinions are told from wrong ones, and a run that learns windows finds the forged half."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_corpus import CLIPS_PER_PART, RATE, tiny_recipe

from ffdv.data.shards import ShardIndex, ShardRow, Shards, encode_row, open_shards, write_index, write_part
from ffdv.features.recipe import ExtractSpec
from ffdv.records import Clip, Features, MediaFacts, Samples
from ffdv.training.engine import ScoredClips
from ffdv.training.evaluate import evaluate
from ffdv.training.localising import Localisation, localise
from ffdv.training.run import train

SECONDS = 2.0


def partly_forged(folder: Path, *, clips: int = 48, known: bool = True) -> Shards:
    """Two seconds of noise; of every second clip one half or the other holds a whistle, and its column says which."""
    folder.mkdir(parents=True)
    index = ShardIndex(
        extract=ExtractSpec(), data="/corpus", num_clips=clips, clips_per_part=CLIPS_PER_PART, fingerprint=f"p{clips}"
    )
    rows = []
    for number in range(clips):
        rng = np.random.default_rng(number)
        label, late = number % 2, number % 4 == 1
        values = 0.1 * rng.standard_normal(round(SECONDS * RATE))
        half = slice(RATE, 2 * RATE) if late else slice(0, RATE)
        values[half] += label * 0.1 * np.sin(2 * np.pi * 2_500 * np.arange(RATE) / RATE)
        spans = [[1.0, 2.0] if late else [0.0, 1.0]] if label else []
        groups = {"identity": f"person{number // 4}", **({"segments": json.dumps(spans)} if known else {})}
        split = "train" if number < 0.7 * clips else "val"
        clip = Clip(f"{number:03d}.wav", Path(f"/corpus/{number:03d}.wav"), label, split, groups)
        facts = MediaFacts(clip.path, 1000, "wav", SECONDS, None, (), (), encrypted=False, tags={})
        rows.append(encode_row(ShardRow(clip, Features(facts, Samples(values[None].astype(np.float32), RATE))), index))
    write_index(folder, index)
    for part in range(index.num_parts):
        inside = index.part_rows(part)
        write_part(folder, index, part, rows[inside.start : inside.stop])
    return open_shards(folder)


def opinions(shards: Shards, *, right: float, seed: int = 0) -> ScoredClips:
    """Logits of windows of half a second, a quarter apart: noise about -right / 2, higher by `right` where they touch what is forged."""
    rng = np.random.default_rng(seed)
    starts = np.arange(0.0, 1.51, 0.25)
    spans = np.stack([starts, starts + 0.5], axis=1)
    windows = []
    for forged in shards.forged_seconds:
        touched = sum(
            np.clip(np.minimum(spans[:, 1], b) - np.maximum(spans[:, 0], a), 0, 0.25) * 4 for a, b in forged or ()
        )
        windows.append(rng.standard_normal(len(starts)) + right * ((touched if forged else 0.0) - 0.5))
    count = len(shards)
    return ScoredClips(
        shards.names, shards.labels, np.zeros(count), windows=tuple(windows), spans=(spans,) * count
    )  # fmt: skip


def localised(shards: Shards, scored: ScoredClips) -> Localisation | None:
    where = np.arange(len(shards))
    return localise(scored, shards, where, groups=list(shards.group("identity")), resamples=100)


def test_right_opinions_find_what_is_forged_and_noise_does_not(tmp_path: Path) -> None:
    shards = partly_forged(tmp_path / "shards")

    right, noise = (localised(shards, opinions(shards, right=height)) for height in (10.0, 0.0))

    assert right is not None
    assert noise is not None
    assert (right.num_real, right.num_fake, right.num_segments) == (24, 24, 24)
    # Of seven windows of a fake four hold a quarter of a second and more of its half, three nothing.
    assert (right.num_forged, right.num_genuine) == (24 * 4, 24 * 7 + 24 * 3)
    assert right.window_seconds == 0.5
    assert right.numbers["window_auc"].value > 0.999
    assert right.numbers["ap_at_0.5"].value > 0.95
    assert right.numbers["ar_at_1"].value > 0.6
    assert noise.numbers["window_auc"].low < 0.5 < noise.numbers["window_auc"].high
    assert noise.numbers["ap_at_0.5"].high < right.numbers["ap_at_0.5"].low
    assert all(each.low <= each.value <= each.high for each in (*right.numbers.values(), *noise.numbers.values()))


def test_without_known_seconds_or_windows_nothing_is_said(tmp_path: Path) -> None:
    unknown, known = partly_forged(tmp_path / "a", known=False), partly_forged(tmp_path / "b")
    nowhere = replace(opinions(known, right=1.0), spans=(np.full((7, 2), np.nan),) * len(known))

    assert localised(unknown, opinions(unknown, right=1.0)) is None
    assert localised(known, nowhere) is None


@pytest.mark.parametrize("fake_seconds", [0.2, None])
def test_a_run_is_told_where_clips_are_forged_and_its_table_says_how_well_it_finds_them(
    tmp_path: Path, fake_seconds: float | None
) -> None:
    shards = partly_forged(tmp_path / "shards", clips=80)
    loader = {"window_seconds": 0.5, "hop_seconds": 0.25, "fake_seconds": fake_seconds}
    recipe = tiny_recipe(loader=loader, training={"epochs": 8, "aggregate": "auto"})

    run = train(recipe, data=shards.folder, out=tmp_path / "run", export=False)
    table = evaluate(run.folder, data=shards.folder, resamples=50)

    found = table.localisation
    assert found is not None
    assert found.num_fake == 12
    assert (
        json.loads(table.to_json())["localisation"]["numbers"]["ap_at_0.5"]["value"] == found.numbers["ap_at_0.5"].value
    )
    if fake_seconds is not None:
        assert found.numbers["window_auc"].value > 0.9
        assert found.numbers["ap_at_0.5"].value > 0.6
