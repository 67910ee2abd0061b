"""Plans of cross-validation: nobody held out is trained on, groups of one class are judged against people set apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_corpus import corpus_clips, write_shards

from ffdv.data.shards import Shards, open_shards
from ffdv.errors import ManifestError
from ffdv.records import Clip
from ffdv.training.folds import FoldPlan, plan_folds
from ffdv.training.parts import SplitSpec


def shards_of(folder: Path, clips: list[Clip]) -> Shards:
    return open_shards(write_shards(folder / "shards", clips))


def plan(shards: Shards, by: str, folds: int | None = None, spec: SplitSpec | None = None) -> FoldPlan:
    usable = (shards.labels >= 0) & ~shards.failed
    return plan_folds(shards, usable, by=by, folds=folds, spec=spec or SplitSpec())


def methods(clips: int = 160, count: int = 4) -> list[Clip]:
    """Fakes by `count` methods; every person has reals, and fakes by all of them in turn."""
    return [
        replace(clip, groups={**clip.groups, "method": f"vocoder{at // 2 % count}" if clip.label else "bonafide"})
        for at, clip in enumerate(corpus_clips(clips, splits=False))
    ]


def test_a_generator_is_trained_without_and_judged_against_people_that_no_fold_saw(tmp_path: Path) -> None:
    clips = methods()
    shards = shards_of(tmp_path, clips)

    planned = plan(shards, "method")

    assert [[group.value for group in fold.groups] for fold in planned.folds] == [[f"vocoder{n}"] for n in range(4)]
    apart: set[frozenset[str]] = set()
    for fold in planned.folds:
        (group,) = fold.groups
        fakes = [row for row in group.rows if clips[row].label == 1]
        reals = [row for row in group.rows if clips[row].label == 0]
        assert {clips[row].groups["method"] for row in fakes} == {group.value}
        assert len(fakes) == sum(clip.groups["method"] == group.value for clip in clips)
        assert group.against.startswith("real clips set apart")
        used = [row for row, part in enumerate(fold.parts.of_row) if part in {"train", "validation", "calibration"}]
        assert group.value not in {clips[row].groups["method"] for row in used}
        people = frozenset(clips[row].groups["identity"] for row in reals)
        assert not people & {clips[row].groups["identity"] for row in used}
        assert {part for row, part in enumerate(fold.parts.of_row) if row in set(group.rows)} == {"test"}
        apart.add(people)
    assert len(apart) == 1  # the same reals for every row
    assert any("groups of one class are judged against 16 real" in note for note in planned.notes)


def test_reals_of_the_fakes_own_source_are_taken_where_there_are_enough(tmp_path: Path) -> None:
    clips = [
        replace(clip, groups={**clip.groups, "source_repo": "one" if at < 240 else "two"})
        for at, clip in enumerate(methods(400, count=2))
    ]
    clips = [
        replace(clip, groups={**clip.groups, "method": f"{clip.groups['source_repo']}-vocoder"}) if clip.label else clip
        for clip in clips
    ]
    shards = shards_of(tmp_path, clips)

    one = next(fold for fold in plan(shards, "method").folds if fold.groups[0].value == "one-vocoder")

    assert one.groups[0].against == "real clips set apart, same source"
    assert {clips[row].groups["source_repo"] for row in one.groups[0].rows} == {"one"}


def test_a_group_with_both_classes_is_judged_by_itself_and_its_people_are_nowhere_else(tmp_path: Path) -> None:
    clips = [
        replace(clip, groups={**clip.groups, "source_repo": f"site{at // 24}"})
        for at, clip in enumerate(corpus_clips(96, splits=False))
    ]
    clips[40] = replace(
        clips[40], groups={**clips[40].groups, "identity": "person0"}
    )  # who is of another source as well
    shards = shards_of(tmp_path, clips)

    planned = plan(shards, "source_repo", folds=2)

    assert len(planned.folds) == 2
    assert sorted(group.value for fold in planned.folds for group in fold.groups) == [f"site{n}" for n in range(4)]
    assert all(len(group.rows) == 24 for fold in planned.folds for group in fold.groups)
    for fold in planned.folds:
        held = {clips[row].groups["identity"] for row in fold.rows}
        used = {
            clips[row].groups["identity"]
            for row, part in enumerate(fold.parts.of_row)
            if part in {"train", "validation", "calibration"}
        }
        assert not held & used
    assert not any("set apart" in note for note in planned.notes)


def test_every_usable_group_is_held_out_once_and_small_ones_are_counted(tmp_path: Path) -> None:
    clips = methods(164)
    clips[-1] = replace(clips[-1], groups={**clips[-1].groups, "method": "rare"})
    shards = shards_of(tmp_path, clips)

    planned = plan(shards, "generator", folds=2)

    assert sorted(group.value for fold in planned.folds for group in fold.groups) == [f"vocoder{n}" for n in range(4)]
    assert any("1 values have fewer than 5 clips" in note for note in planned.notes)


def test_people_of_few_clips_are_held_out_together_a_row_a_fold(tmp_path: Path) -> None:
    clips = corpus_clips(160, splits=False)
    clips = [replace(clip, groups={**clip.groups, "identity": f"person{at // 4}"}) for at, clip in enumerate(clips)]
    shards = shards_of(tmp_path, clips)

    planned = plan(shards, "identity", folds=4)

    judged = [row for fold in planned.folds for group in fold.groups for row in group.rows]
    assert sorted(judged) == list(range(160))
    assert [len(fold.groups) for fold in planned.folds] == [1] * 4
    assert planned.folds[0].groups[0].value == "fold 1: 10 together"
    for fold in planned.folds:
        held = {clips[row].groups["identity"] for row in fold.rows}
        used = [row for row, part in enumerate(fold.parts.of_row) if part in {"train", "validation", "calibration"}]
        assert used
        assert not held & {clips[row].groups["identity"] for row in used}
    assert "a row is a fold: all who are held out in it" in planned.notes
    with pytest.raises(ManifestError, match=r"hold them out together \(--folds 5\)"):
        plan(shards, "identity")
    with pytest.raises(ManifestError, match="ask for fewer folds"):
        plan(shards, "identity", folds=40)


def test_the_plan_depends_on_the_seed_and_nothing_else(tmp_path: Path) -> None:
    shards = shards_of(tmp_path, methods())

    assert plan(shards, "method") == plan(shards, "method")
    assert plan(shards, "method") != plan(shards, "method", spec=SplitSpec(seed=1))


def test_folders_are_named_readably_and_each_its_own_way(tmp_path: Path) -> None:
    names = ["a/b", "a b", "..", "a?b"]
    clips = [
        replace(clip, groups={**clip.groups, "method": names[at // 2 % 4] if clip.label else "real"})
        for at, clip in enumerate(corpus_clips(160, splits=False))
    ]

    folders = [fold.name for fold in plan(shards_of(tmp_path, clips), "method").folds]

    assert len(set(folders)) == 4
    assert all(name and "/" not in name and not name.startswith(".") for name in folders)


@pytest.mark.parametrize(
    ("by", "folds", "sentence"),
    [
        (
            "planet",
            None,
            r"no clip has a 'planet'; group columns are identity, method, source_repo; add the column to the label table",
        ),
        ("method", 9, r"folds must be 2 to the 4 values of 'method', got 9"),
        ("method", 1, r"folds must be 2 to the 4"),
        ("label", None, r"no clip has a 'label'"),
    ],
)
def test_what_cannot_be_held_out_is_refused(tmp_path: Path, by: str, folds: int | None, sentence: str) -> None:
    with pytest.raises(ManifestError, match=sentence):
        plan(shards_of(tmp_path, methods()), by, folds)


def test_one_method_alone_cannot_be_held_out(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"1 values of 'method' have at least 5 clips"):
        plan(shards_of(tmp_path, methods(count=1)), "method")


def test_too_few_reals_to_judge_fakes_against_are_told(tmp_path: Path) -> None:
    clips = [clip for at, clip in enumerate(methods(200)) if clip.label == 1 or at < 20]

    with pytest.raises(ManifestError, match=r"groups of 'method' lack real clips, and people set apart have only"):
        plan(shards_of(tmp_path, clips), "method")


def test_unusable_clips_take_no_part(tmp_path: Path) -> None:
    shards = shards_of(tmp_path, methods())
    usable = np.arange(len(shards)) % 5 > 0

    planned = plan_folds(shards, usable, by="method", folds=None, spec=SplitSpec())

    for fold in planned.folds:
        assert all(usable[row] for row in fold.rows)
        assert all(part == "left_out" for row, part in enumerate(fold.parts.of_row) if not usable[row])
