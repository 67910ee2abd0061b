"""Runs that an earlier version began are gone on with, though a new one would divide clips otherwise or refuse a setting."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from tiny_corpus import corpus_clips, tiny_recipe, write_shards

from ffdv.data.seen import read_parts
from ffdv.errors import CheckpointError
from ffdv.records import Clip
from ffdv.training import late, parts, run
from ffdv.training.engine import Progress
from ffdv.training.plan import Recipe, recipe_toml

train = partial(run.train, export=False)


def after_one(progress: Progress) -> None:
    if progress.kind == "epoch" and progress.epoch == 1:
        raise KeyboardInterrupt


def clips_tested_twice() -> list[Clip]:
    """Person e stands in validation and test: the version before left its validation clips where they were."""
    named = [("train", "a"), ("train", "b"), ("dev", "d"), ("dev", "e"), ("test", "e"), ("test", "f")]
    return [
        Clip(f"clip{place}{at}.wav", Path("/corpus/x.wav"), at % 2, split, {"identity": person})
        for place, (split, person) in enumerate(named)
        for at in range(4)
    ]


def test_a_run_that_chose_by_clips_which_are_left_out_now_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = write_shards(tmp_path / "shards", clips_tested_twice()), tmp_path / "run"
    recipe = tiny_recipe(training={"epochs": 2})
    with monkeypatch.context() as before:
        before.setattr(parts, "_by_corpus", lambda clips, _: ([_PART_OF[clip.split] for clip in clips], []))
        train(recipe, data=data, out=out, progress=after_one)

    summary = train(data=data, out=out, resume=True)

    assert summary.outcome == "finished"
    assert list(read_parts(out).values()).count("validation") == 8
    assert any("as this run was begun" in note and "(4 differ)" in note for note in summary.notes)


_PART_OF = {"train": "train", "dev": "validation", "test": "test"}


def test_what_a_run_was_taught_still_has_to_be_the_same(tmp_path: Path) -> None:
    clips, out = clips_tested_twice(), tmp_path / "run"
    given = parts.Parts("", tuple(clip.name for clip in clips), tuple("train" for _ in clips))
    out.mkdir()
    parts.write_parts(out, given)

    other = replace(given, of_row=("validation", *given.of_row[1:]))
    assert parts.parts_as_begun(other, out) is other
    assert parts.parts_as_begun(given, out) is given


def fusion(folder: Path, *settings: str) -> Recipe:
    for seed, name in enumerate("ab"):
        recipe = tiny_recipe(training={"epochs": 1, "seed": seed}).model_copy(update={"name": name})
        (folder / f"{name}.toml").write_text(recipe_toml(recipe))
    members = [str(folder / f"{name}.toml") for name in "ab"]
    fused = {"members": members, "fitting_share": 0.5, "member_settings": settings}
    return tiny_recipe(fusion=fused, training={"epochs": 1}).model_copy(update={"kind": "late"})


def test_a_fusion_whose_members_chose_by_all_fitting_clips_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = write_shards(tmp_path / "shards", corpus_clips(400)), tmp_path / "run"
    monkeypatch.setattr(late, "_with_fitting_apart", lambda *given: given[2])

    def within_b(progress: Progress) -> None:
        if progress.member == "b":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(fusion(tmp_path), data=data, out=out, progress=within_b)
    monkeypatch.undo()

    summary = train(data=data, out=out, resume=True)

    assert summary.outcome == "finished"
    assert read_parts(out / "members" / "a") == read_parts(out / "members" / "b")
    assert any("clips that chose their epochs too" in note for note in summary.notes)


def test_settings_that_members_were_begun_with_and_that_change_nothing_are_no_hindrance() -> None:
    settings = ["loss.kind=focal"]
    before = late.load_recipe("sync", settings, trained_before=True)

    members = late._member_recipes(["motion-histogram", "sync"], settings, begun=True)

    assert run._differences(before, members["sync"]) == []
    assert run._differences(late.load_recipe("voice", settings), late.load_recipe("voice")) != []


def test_other_settings_and_parts_are_refused_as_before(tmp_path: Path) -> None:
    data = write_shards(tmp_path / "shards", clips_tested_twice())
    train(tiny_recipe(training={"epochs": 2}), data=data, out=tmp_path / "run", progress=after_one)
    written = tmp_path / "run" / parts.PARTS_NAME
    written.write_text(written.read_text().replace("train", "test"))

    with pytest.raises(CheckpointError, match="other parts of the clips"):
        train(data=data, out=tmp_path / "run", resume=True)
