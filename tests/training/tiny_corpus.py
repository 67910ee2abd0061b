"""Prepared shards without any media: short tones, the fakes with a whistle in them, people and methods as groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ffdv.data.shards import ShardIndex, ShardRow, encode_row, write_index, write_part
from ffdv.features.recipe import ExtractSpec
from ffdv.records import Clip, Features, MediaFacts, Samples
from ffdv.training.plan import Recipe

RATE = 8_000
CLIPS_PER_PART = 64


def tiny_recipe(**tables: dict[str, object]) -> Recipe:
    """A recipe that trains an epoch of 40 clips in a tenth of a second."""
    small: dict[str, dict[str, object]] = {
        "loader": {"batch_size": 8, "window_seconds": 0.4, "workers": 0, "balance_classes": False},
        "front_end": {"sample_rate": RATE, "n_fft": 256, "hop_length": 128, "n_bands": 16},
        "model": {"backbone": "test_resnet", "picture_size": [32, 32], "dropout": 0.1},
        "optimiser": {"kind": "adamw", "learning_rate": 0.003},
        "schedule": {"kind": "step", "step_epochs": 2, "factor": 0.5},
        "training": {"epochs": 2},
    }
    return Recipe.model_validate(
        {"name": "tiny", **{key: small.get(key, {}) | tables.get(key, {}) for key in {*small, *tables}}}
    )


def corpus_clips(num_clips: int = 48, *, splits: bool = True) -> list[Clip]:
    """Clips in the order real, fake, real ...; four to a person; the last quarter validates, fakes by two methods."""
    clips = []
    for number in range(num_clips):
        label, person = number % 2, number // 4
        split = ("train" if number < 0.75 * num_clips else "val") if splits else None
        groups = {"identity": f"person{person}", "method": f"vocoder{person % 2}" if label else "real"}
        groups["source_repo"] = f"site{person // 2}"
        clips.append(Clip(f"clip{number:03d}.wav", Path("/corpus") / f"clip{number:03d}.wav", label, split, groups))
    return clips


def sound_of(clip: Clip, seed: int = 0) -> Samples:
    """0.5 s of noise; in a fake a whistle at 2.5 kHz."""
    rng = np.random.default_rng([seed, _number(clip)])
    values = 0.1 * rng.standard_normal(RATE // 2)
    if clip.label == 1:
        values += 0.05 * np.sin(2 * np.pi * 2_500 * np.arange(RATE // 2) / RATE + rng.uniform(0, 6))
    return Samples(values[None].astype(np.float32), RATE)


def write_shards(
    folder: Path, clips: list[Clip], *, silent: tuple[str, ...] = (), failed: tuple[str, ...] = ()
) -> Path:
    """Shards of these clips; `silent` ones have no sound, `failed` ones have a reason instead of features."""
    folder.mkdir(parents=True)
    index = ShardIndex(
        extract=ExtractSpec(),
        data="/corpus",
        num_clips=len(clips),
        clips_per_part=CLIPS_PER_PART,
        fingerprint=f"tiny-{len(clips)}",
    )
    rows = [encode_row(_row(clip, silent=clip.name in silent, failed=clip.name in failed), index) for clip in clips]
    write_index(folder, index)
    for part in range(index.num_parts):
        inside = index.part_rows(part)
        write_part(folder, index, part, rows[inside.start : inside.stop])
    return folder


def _number(clip: Clip) -> int:
    return int("".join(filter(str.isdigit, clip.name)) or 0)


def _row(clip: Clip, *, silent: bool, failed: bool) -> ShardRow:
    if failed:
        return ShardRow(clip, reason="truncated before its index")
    facts = MediaFacts(clip.path, 1000, "wav", 0.5, None, (), (), encrypted=False, tags={})
    rng = np.random.default_rng(len(clip.name) + _number(clip))
    probes = {"duration_seconds": 0.5 + 0.1 * float(rng.standard_normal()), "level_db": float(rng.standard_normal())}
    return ShardRow(clip, Features(facts, None if silent else sound_of(clip), probes=probes))
