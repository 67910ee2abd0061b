"""Every kind of recipe goes the one road: train, evaluate, export, and score a clip's features without torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ffdv.data.shards import (
    FACES,
    MOTION,
    SOUND,
    ShardIndex,
    ShardRow,
    Shards,
    encode_row,
    open_shards,
    write_index,
    write_part,
)
from ffdv.detect.network import Network
from ffdv.detect.scorers import SCORERS
from ffdv.errors import RecipeError, StreamMissing
from ffdv.features.faces import STANDARD_FACES
from ffdv.features.motion import STANDARD_MOTION, VECTOR_NAMES
from ffdv.features.recipe import ExtractSpec
from ffdv.records import Clip, FacesSeen, FaceTrack, Features, MediaFacts, Samples
from ffdv.training.evaluate import evaluate, score_run
from ffdv.training.plan import Recipe, load_recipe, recipe_from
from ffdv.training.run import train

RATE, SIDE = 8000, 32
SMALL = {
    "loader": {"batch_size": 8, "workers": 0, "window_seconds": 0.5, "balance_classes": False},
    "front_end": {"kind": "linear", "sample_rate": RATE, "n_fft": 256, "hop_length": 80, "n_bands": 32},
    "model": {"backbone": "test_resnet", "picture_size": [SIDE, SIDE]},
    "faces": {"frames": 2},
    "joint": {"width": 16, "layers": 1},
    "optimiser": {"kind": "adamw", "learning_rate": 0.003},
    "schedule": {"kind": "constant"},
    "training": {"epochs": 2, "aggregate": "auto"},
}


def features_of(number: int) -> Features:
    """Fakes (odd) have brighter crops, a whistle, and fifty numbers of movement that are higher; 3 has no sound, 4 no face, 5 no picture."""
    rng = np.random.default_rng(number)
    label = number % 2
    sound = 0.1 * rng.standard_normal(RATE).astype(np.float32)
    sound += np.float32(0.1 * label) * np.sin(np.arange(RATE, dtype=np.float32))
    crops = rng.integers(60 + 60 * label, 120 + 60 * label, (6, SIDE, SIDE, 3), dtype=np.uint8)
    points = np.tile(np.float32([[10, 10], [20, 10], [15, 15], [11, 20], [19, 20]]), (6, 1, 1))
    boxes = np.tile(np.float32([5, 5, 25, 28]), (6, 1))
    track = FaceTrack(0, np.arange(6) / 8, boxes, points, np.ones(6, np.float32), crops)
    motion = rng.standard_normal(len(VECTOR_NAMES)).astype(np.float32)
    motion[10:60] += 2 * label
    facts = MediaFacts(Path(f"/corpus/{number}.mp4"), 1000, "mp4", 1.0, None, (), (), encrypted=False, tags={})
    return Features(
        facts,
        None if number == 3 else Samples(sound[None], RATE),
        FacesSeen(() if number in (4, 5) else (track,), 6, 6, (64, 64)),
        {"level_db": float(rng.standard_normal())},
        motion=None if number == 5 else motion,
    )


def with_face(number: int, **factors: int) -> Features:
    """The same clip with crops or boxes of its face multiplied."""
    features = features_of(number)
    assert features.faces is not None
    track = features.faces.tracks[0]
    changed = {
        name: (getattr(track, name) * factor).astype(getattr(track, name).dtype) for name, factor in factors.items()
    }
    return replace(features, faces=replace(features.faces, tracks=(replace(track, **changed),)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    folder = tmp_path_factory.mktemp("kinds") / "shards"
    folder.mkdir()
    index = ShardIndex(
        extract=ExtractSpec(faces=STANDARD_FACES, motion=STANDARD_MOTION),
        data="/corpus",
        num_clips=64,
        clips_per_part=64,
        fingerprint="kinds",
        senses=(SOUND, FACES, MOTION),
    )
    rows = []
    for number in range(64):
        groups = {"identity": f"person{number // 4}", "source_repo": f"site{number // 8}"}
        clip = Clip(f"{number}.mp4", Path(f"/corpus/{number}.mp4"), number % 2, None, groups)
        rows.append(ShardRow(clip, features_of(number)))
    write_index(folder, index)
    write_part(folder, index, 0, [encode_row(row, index) for row in rows])
    return open_shards(folder)


def small(kind: str, **tables: dict[str, object]) -> Recipe:
    merged = {**SMALL, **{name: {**SMALL.get(name, {}), **table} for name, table in tables.items()}}  # type: ignore[dict-item]
    return Recipe.model_validate({"name": f"tiny-{kind}", "kind": kind, **merged})


def test_movement_is_fitted_at_once_saved_exported_and_judged(shards: Shards, tmp_path: Path) -> None:
    summary = train(small("motion"), data=shards.folder, out=tmp_path / "run")

    assert summary.outcome == "finished"
    assert summary.epochs_done == 1
    assert summary.best is not None
    assert summary.best.auc > 0.8
    assert evaluate(tmp_path / "run", data=shards.folder, resamples=50).overall.numbers["auc"].value > 0.8
    network = Network(tmp_path / "run" / "model.onnx")
    real, fake = (SCORERS["motion"].logit(features_of(number), network) for number in (40, 41))
    assert real < fake
    with pytest.raises(StreamMissing):
        SCORERS["motion"].logit(features_of(5), network)
    new = features_of(140)
    assert new.motion is not None
    usual, far = (SCORERS["motion"].ask(each, network).distance for each in (new, replace(new, motion=3 * new.motion)))
    assert usual < 1.5
    assert far > usual + 2  # three times as strong lies in the same direction


@pytest.mark.parametrize("classifier", ["boosting", "net"])
def test_the_other_classifiers_of_movement_go_the_same_road(shards: Shards, tmp_path: Path, classifier: str) -> None:
    recipe = small("motion", motion={"classifier": classifier, "trees": 30}, training={"epochs": 20})

    summary = train(recipe, data=shards.folder, out=tmp_path / "run", export=False)

    assert summary.best is not None
    assert summary.best.auc > 0.75
    assert evaluate(tmp_path / "run", data=shards.folder, resamples=50).overall.numbers["auc"].value > 0.75


def test_a_recipe_on_reals_alone_without_forgeries_is_refused() -> None:
    with pytest.raises(RecipeError, match="leaves nothing to tell apart without forgeries"):
        recipe_from({"name": "x", "kind": "faces", "faces": {"train_on": "real"}}, where="x")


@pytest.mark.parametrize("name", ["faces-efficientnet", "faces-sbi", "motion-histogram", "fusion-late", "fusion-joint"])
def test_the_packaged_recipes_can_be_read_and_their_members_exist(name: str) -> None:
    recipe = load_recipe(name)

    assert recipe.kind in SCORERS
    if recipe.kind == "late":
        assert all(load_recipe(member).name == member for member in recipe.fusion.members)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["faces", "joint", "late"])
def test_every_kind_learns_and_its_exported_net_says_the_same_of_any_clip(
    shards: Shards, tmp_path: Path, kind: str
) -> None:
    recipe = small(kind)
    if kind == "late":
        for member in ("faces", "motion"):
            (tmp_path / f"tiny-{member}.toml").write_text(_toml(small(member)))
        members = [str(tmp_path / f"tiny-{member}.toml") for member in ("faces", "motion")]
        recipe = small(
            kind, fusion={"members": members, "fitting_share": 0.15}
        )  # fewer clips tell no member its distance

    summary = train(recipe, data=shards.folder, out=tmp_path / "run")

    assert summary.best is not None
    assert summary.best.auc > 0.8
    table = evaluate(tmp_path / "run", data=shards.folder, resamples=50)
    assert table.overall.numbers["auc"].value > 0.8
    network = Network(tmp_path / "run" / "model.onnx")
    logit = SCORERS[kind].logit
    numbers = [logit(features_of(number), network) for number in (40, 41, 3)]
    assert numbers[0] < numbers[1]
    assert np.isfinite(numbers).all()
    if kind == "faces":
        with pytest.raises(StreamMissing):
            logit(features_of(4), network)
        usual, flat, large = features_of(40), with_face(40, crops=0), with_face(40, boxes=10)
        near, far = (SCORERS[kind].ask(each, network).distance for each in (usual, flat))
        assert near < 2 < far
        reasons = [judged.outside for each in (usual, large) if (judged := network.judge(0.9, each)) is not None]
        assert [len(each) for each in reasons] == [0, 1]
        assert "width of the face is 200 pixels, training saw 20 pixels" in reasons[1][0]
    else:
        faceless = SCORERS[kind].ask(features_of(4), network)
        assert np.isfinite(faceless.logit)
        assert [text.split(":")[0] for text in faceless.without] == [
            "without tiny-faces" if kind == "late" else "without a face"
        ]
        assert SCORERS[kind].ask(features_of(40), network).without == ()
        usual, flat = (SCORERS[kind].ask(each, network).distance for each in (features_of(40), with_face(40, crops=0)))
        assert usual < flat
        decision = network.facts.decision
        assert decision is not None
        assert "embedding_distance" in decision.seen.names
        far = network.judge(1.0, features_of(40), distance=3.0)
        assert far is not None
        assert far.verdict == "cannot tell"
    if kind == "late":
        members = [
            Network(tmp_path / "run" / "members" / f"tiny-{name}" / "model.onnx") for name in ("faces", "motion")
        ]
        judged = score_run(tmp_path / "run" / "best.safetensors", shards, np.array([3, 40, 41])).scored
        there = [logit(features_of(int(number)), network) for number in (3, 40, 41)]
        by_name = dict(zip(judged.names, judged.logits.tolist(), strict=True))
        assert there == pytest.approx(
            [by_name[shards.names[row]] for row in (3, 40, 41)], abs=0.3
        )  # faces are kept as JPEG
        own = [SCORERS[member.facts.kind].ask(features_of(40), member).distance for member in members]
        assert SCORERS[kind].ask(features_of(40), network).distance == pytest.approx(max(own))
        assert SCORERS[kind].ask(features_of(4), network).distance == pytest.approx(
            SCORERS["motion"].ask(features_of(4), members[1]).distance  # no face, so the movement alone speaks
        )


def _toml(recipe: Recipe) -> str:
    from ffdv.training.plan import recipe_toml

    return recipe_toml(recipe)
