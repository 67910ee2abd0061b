"""Members of a late fusion: one that cannot be trained is left out, one broken off is gone on with, a finished run is taken as it is."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_corpus import corpus_clips, tiny_recipe, write_shards

from ffdv.data.seen import read_parts
from ffdv.data.shards import open_shards
from ffdv.errors import CheckpointError, ManifestError, RecipeError, ShardError
from ffdv.training.engine import Progress
from ffdv.training.evaluate import evaluate
from ffdv.training.late import finished_run, train_members
from ffdv.training.parts import Parts, choose_parts
from ffdv.training.plan import Recipe, recipe_toml
from ffdv.training.run import train


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_shards(tmp_path / "shards", corpus_clips(96))


def fusion(folder: Path, names: tuple[str, ...] = ("a", "b")) -> Recipe:
    """A fusion of small nets of sound that differ in their seed."""
    for seed, name in enumerate(names):
        recipe = tiny_recipe(training={"epochs": 3, "seed": seed}).model_copy(update={"name": name})
        (folder / f"{name}.toml").write_text(recipe_toml(recipe))
    members = [str(folder / f"{name}.toml") for name in names]
    late = tiny_recipe(fusion={"members": members, "fitting_share": 0.3}, training={"epochs": 1})
    return late.model_copy(update={"kind": "late"})


def test_epochs_reach_the_recipes_that_a_fusion_trains(data: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    train(fusion(tmp_path), data=data, out=tmp_path / "run", epochs=2, export=False, progress=told.append)

    epochs_of = [now.member for now in told if now.kind == "epoch"]
    assert epochs_of == ["a", "a", "b", "b", ""]  # the fusion itself is fitted at once
    for member in ("a", "b"):
        epochs = json.loads((tmp_path / "run" / "members" / member / "metrics.json").read_text())["epochs_done"]
        assert epochs == 2  # their recipes say 3


def test_a_member_that_cannot_be_trained_is_left_out_and_two_are_the_least(data: Path, tmp_path: Path) -> None:
    shards, recipe = open_shards(data), fusion(tmp_path, ("a", "b", "c"))
    parts = choose_parts(shards, recipe.split)
    trained: list[str] = []

    def some_fail(*failing: str) -> object:
        def one(member: Recipe, its: Parts, into: Path, _tell: object) -> None:
            assert its.counts()["train"] > 30
            if member.name in failing:
                raise ManifestError("only 4 real training clips show a talking mouth")
            trained.append(into.name)

        return one

    run = tmp_path / "run"
    train_members(recipe, shards, parts, run, train=some_fail("b"), take=print)  # type: ignore[arg-type]
    assert trained == ["a", "c"]
    with pytest.raises(ShardError, match="only 1 of the members"):
        train_members(recipe, shards, parts, run, train=some_fail("a", "b"), take=print)  # type: ignore[arg-type]


def test_a_member_that_was_broken_off_is_gone_on_with_and_a_finished_one_is_not_touched(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe, run = fusion(tmp_path), tmp_path / "run"

    def stop_in_the_second_member(now: Progress) -> None:
        finished = (run / "members" / "a" / "metrics.json").is_file()
        if finished and now.kind == "epoch" and now.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, data=data, out=run, progress=stop_in_the_second_member, export=False)
    caplog.clear()
    logs = {name: run / "members" / name / "log.csv" for name in "ab"}
    assert [len(path.read_text().splitlines()) - 1 for path in logs.values()] == [3, 2]
    before = logs["a"].stat().st_mtime_ns

    summary = train(data=data, out=run, resume=True, export=False)  # the fusion's own recipe, and no word of a new run

    assert summary.outcome == "finished"
    assert not any("holds no run" in record.getMessage() for record in caplog.records)
    assert [len(path.read_text().splitlines()) - 1 for path in logs.values()] == [3, 3]
    assert logs["a"].stat().st_mtime_ns == before


def test_members_of_an_earlier_attempt_on_other_parts_are_refused(data: Path, tmp_path: Path) -> None:
    """Taken over silently they would have been taught clips that judge this run."""
    recipe, run = fusion(tmp_path), tmp_path / "run"

    def stop_in_the_second_member(_: Progress) -> None:
        if (run / "members" / "a" / "metrics.json").is_file():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, data=data, out=run, progress=stop_in_the_second_member, export=False)
    (run / "last.safetensors").unlink(missing_ok=True)

    with pytest.raises(CheckpointError, match="other parts of the clips"):
        train(recipe, data=data, out=run, overrides=["split.by=group", "split.seed=7"], export=False)


def test_a_member_that_is_no_recipe_is_told_before_the_first_is_trained(data: Path, tmp_path: Path) -> None:
    recipe, run = fusion(tmp_path), tmp_path / "run"
    members = [*recipe.fusion.members, "nope"]

    with pytest.raises(RecipeError, match="nope"):
        train(recipe, data=data, out=run, overrides=[f"fusion.members={members!r}"], export=False)

    assert not (run / "members").exists()


def test_a_finished_run_is_a_member_as_it_is(data: Path, tmp_path: Path) -> None:
    others = [replace(clip, name=f"other{clip.name}") for clip in corpus_clips(60)]
    elsewhere = write_shards(tmp_path / "elsewhere", others)
    train(tiny_recipe(training={"epochs": 1}), data=elsewhere, out=tmp_path / "runs" / "given", export=False)
    recipe, run = fusion(tmp_path), tmp_path / "run"
    members = (recipe.fusion.members[0], str(tmp_path / "runs" / "given"))
    recipe = recipe.model_copy(update={"fusion": recipe.fusion.model_copy(update={"members": members})})

    train(recipe, data=data, out=run, export=False)

    taken, given = (folder / "best.safetensors" for folder in (run / "members" / "given", tmp_path / "runs" / "given"))
    assert taken.read_bytes() == given.read_bytes()
    changed = given.read_bytes()
    given.write_bytes(changed + b" ")
    with pytest.raises(CheckpointError, match="has changed since this fusion took it over"):
        train(recipe, data=data, out=run, resume=True, export=False)
    shutil.rmtree(tmp_path / "runs")
    assert train(recipe, data=data, out=run, resume=True, export=False).outcome == "finished"
    table = evaluate(run, data=data, split="validation", resamples=20)
    assert table.overall.num_real
    assert table.overall.num_fake


def test_runs_of_the_same_clips_are_weighed_on_half_of_the_validation_clips(data: Path, tmp_path: Path) -> None:
    for seed, name in enumerate(("one", "two")):
        recipe = tiny_recipe(training={"epochs": 2, "seed": seed})
        train(recipe, data=data, out=tmp_path / "runs" / name, export=False)
    members = [str(tmp_path / "runs" / name) for name in ("one", "two")]
    recipe = tiny_recipe(fusion={"members": members}).model_copy(update={"kind": "late"})

    summary = train(recipe, data=data, out=tmp_path / "run", export=False)

    before = choose_parts(open_shards(data), recipe.split).counts()
    assert summary.clips["train"] + summary.clips["validation"] == before["validation"]
    assert any("half of the validation clips" in note for note in summary.notes)
    parts = read_parts(tmp_path / "run")
    taught = {name for name, part in read_parts(tmp_path / "runs" / "one").items() if part == "train"}
    assert not taught & {name for name, part in parts.items() if part != "left_out"}
    person = {clip.name: clip.groups["identity"] for clip in open_shards(data).clips()}
    sides = [{person[name] for name, part in parts.items() if part == side} for side in ("train", "validation")]
    assert not sides[0] & sides[1]
    assert train(recipe, data=data, out=tmp_path / "run", resume=True, export=False).outcome == "finished"


def test_a_finished_run_that_knows_the_judging_clips_is_refused(data: Path, tmp_path: Path) -> None:
    everything = {"by": "group", "validation_share": 0.2, "seed": 5}
    train(tiny_recipe(training={"epochs": 1}, split=everything), data=data, out=tmp_path / "given", export=False)
    recipe = fusion(tmp_path)
    members = (recipe.fusion.members[0], str(tmp_path / "given"))
    recipe = recipe.model_copy(update={"fusion": recipe.fusion.model_copy(update={"members": members})})

    with pytest.raises(ManifestError, match=r"given: was trained on .* clips called as those that judge this run"):
        train(recipe, data=data, out=tmp_path / "run", export=False)


def test_a_run_that_was_not_trained_to_its_end_is_no_member(data: Path, tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "best.safetensors").write_bytes(b"")

    with pytest.raises(CheckpointError, match="given: was not trained to its end"):
        finished_run(str(tmp_path / "given"), tmp_path / "copy")
    with pytest.raises(CheckpointError, match="there is no such file"):
        finished_run(str(tmp_path / "gone.safetensors"), tmp_path / "copy")
    assert finished_run("voice", tmp_path / "copy") is None
