"""The recipe `sync`: maps from real clips alone, fakes that it never saw told by their sound, and the same by the exported net."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ffdv.data.shards import ShardIndex, ShardRow, encode_row, open_shards, write_index, write_part
from ffdv.detect.network import Network, find_network
from ffdv.detect.scorers import SCORERS
from ffdv.errors import ManifestError, StreamMissing
from ffdv.features.agreement import MEASURES
from ffdv.features.faces import FaceSpec
from ffdv.features.landmarks import MOUTH_POINTS
from ffdv.features.lips import PLACES, SKULL_ROWS
from ffdv.features.recipe import ExtractSpec
from ffdv.features.sync import STANDARD_MOUTH
from ffdv.models.sync import SyncSpec
from ffdv.records import Clip, Features, MediaFacts, MouthTrack, Samples
from ffdv.training.evaluate import evaluate
from ffdv.training.plan import load_recipe, recipe_toml
from ffdv.training.run import train
from ffdv.training.sync import fit_agreement, make_pairs, sync_vectors

RATE, SECONDS = 16_000, 3.0
SETTINGS = ("sync.directions=2", "sync.picture_numbers=2", "sync.wrong_pairs=3")


def syllables(seed: int) -> np.ndarray:
    """How wide a mouth is open, 25 times a second, smooth and irregular (n,) in [0, 1]."""
    rng = np.random.default_rng(seed)
    raw = np.convolve(rng.normal(size=200), np.hanning(7), mode="same")
    return (1 / (1 + np.exp(-2 * raw)))[: round(SECONDS * 25)]


def spoken(opening: np.ndarray, seed: int) -> Samples:
    rng = np.random.default_rng(seed)
    time = np.arange(round(SECONDS * RATE)) / RATE
    loud = np.interp(time, np.arange(len(opening)) / 25, opening) ** 2
    voice = sum(np.sin(2 * np.pi * (120 + seed % 60) * k * time + k) for k in range(1, 25))
    return Samples((0.03 * loud * voice + 0.001 * rng.normal(size=len(time)))[None].astype(np.float32), RATE)


def mouth_of(opening: np.ndarray, seed: int) -> MouthTrack:
    rng = np.random.default_rng(seed)
    face = np.random.default_rng(0).uniform(-0.5, 0.5, (len(MOUTH_POINTS), 3))
    face[PLACES[33]], face[PLACES[263]] = (-0.5, -0.4, 0), (0.5, -0.4, 0)
    points = np.repeat(face[None], len(opening), axis=0) + rng.normal(0, 0.002, (len(opening), *face.shape))
    lower = [PLACES[number] for number in (84, 17, 314, 87, 14, 317, 152, 148, 377, 18, 200, 199)]
    points[:, lower, 1] += 0.2 * opening[:, None]
    points[:, SKULL_ROWS] = face[SKULL_ROWS]
    crops = np.full((len(opening), 96, 96), 120, np.uint8) + rng.integers(0, 9, (len(opening), 96, 96), np.uint8)
    for frame, gap in enumerate(opening):
        crops[frame, 50 : 52 + round(24 * gap), 30:66] = 20
    return MouthTrack(np.arange(len(opening)) / 25, crops, opening.astype(np.float32), points.astype(np.float32))


def row_of(number: int, *, fake: bool, split: str, mute: bool = False) -> ShardRow:
    clip = Clip(
        f"clip{number:03d}.mp4",
        Path("/corpus") / f"clip{number:03d}.mp4",
        int(fake),
        split,
        {"identity": f"person{number}"},
    )
    facts = MediaFacts(clip.path, 1000, "mp4", SECONDS, None, (), (), encrypted=False, tags={})
    opening = syllables(number)
    sound = None if mute else spoken(syllables(number + 500) if fake else opening, number)
    return ShardRow(clip, Features(facts, sound, mouth=mouth_of(opening, number), probes={"duration_seconds": SECONDS}))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("talking") / "shards"
    folder.mkdir()
    rows = [row_of(n, fake=n % 3 == 2, split="train" if n < 30 else "val", mute=n == 40) for n in range(48)]
    extract = ExtractSpec(faces=FaceSpec(), mouth=STANDARD_MOUTH)
    index = ShardIndex(
        extract=extract,
        data="/corpus",
        num_clips=48,
        clips_per_part=48,
        fingerprint="talking",
        senses=("sound", "mouth"),
    )
    write_index(folder, index)
    write_part(folder, index, 0, [encode_row(row, index) for row in rows])
    return folder


@pytest.mark.slow
def test_a_run_tells_wrong_pairs_that_it_was_never_taught(shards: Path, tmp_path: Path) -> None:
    recipe = load_recipe("sync", SETTINGS)
    train(recipe, data=shards, out=tmp_path / "run", accelerator="cpu")
    table = evaluate(tmp_path / "run", data=shards, split="val", resamples=50)
    network = Network(find_network(tmp_path / "run"))
    held, scorer = open_shards(shards), SCORERS["sync"]
    logits = {name: scorer.logit(held.features(row), network) for row, name in enumerate(held.names[30:40], start=30)}
    fake = [logit for row, logit in enumerate(logits.values(), start=30) if row % 3 == 2]
    real = [logit for row, logit in enumerate(logits.values(), start=30) if row % 3 != 2]

    assert table.overall.numbers["auc"].value > 0.9
    assert min(fake) > max(real)
    assert network.facts.kind == "sync"
    with pytest.raises(StreamMissing, match="sound"):
        scorer.logit(held.features(40), network)


@pytest.mark.slow
def test_a_late_fusion_takes_lips_and_sound_as_a_member(shards: Path, tmp_path: Path) -> None:
    members = [tmp_path / "few.toml", tmp_path / "more.toml"]
    for path, wrong_pairs in zip(members, (2, 3), strict=True):
        path.write_text(recipe_toml(load_recipe("sync", (*SETTINGS, f"sync.wrong_pairs={wrong_pairs}"))))
    recipe = load_recipe(
        "fusion-late", (f"fusion.members={[str(path) for path in members]}", "fusion.fitting_share=0.4")
    )

    train(recipe, data=shards, out=tmp_path / "run", accelerator="cpu", export=False)

    table = evaluate(tmp_path / "run", data=shards, split="val", resamples=50)
    assert table.overall.numbers["auc"].value > 0.9


def test_maps_are_fitted_on_real_clips_and_a_mute_clip_is_not_known(shards: Path, tmp_path: Path) -> None:
    held = open_shards(shards)
    spec = SyncSpec(directions=2, picture_numbers=2, wrong_pairs=2)
    fit_agreement(spec, held, range(30), tmp_path)
    table = sync_vectors(held, tmp_path)([30, 32, 40])

    assert table.shape == (3, len(MEASURES))
    assert table[0, 0] > table[1, 0] + 0.2
    assert np.isnan(table[2]).all()
    with pytest.raises(ManifestError, match="0 real training clips"):
        fit_agreement(spec, held, [2, 5, 8], tmp_path)


def test_made_pairs_know_their_group_and_each_clip_is_right_once(shards: Path) -> None:
    spec = SyncSpec(directions=2, picture_numbers=2, wrong_pairs=2)
    pairs = make_pairs(spec, open_shards(shards), range(24), by=("identity",), seed=0)

    assert (np.bincount(pairs.labels) == [16, 16 * 3]).all()
    assert all((pairs.labels[pairs.groups == group] == 0).sum() == 1 for group in set(pairs.groups.tolist()))
    assert pairs.measures[pairs.labels == 0, 0].mean() > pairs.measures[pairs.labels == 1, 0].mean() + 0.2
