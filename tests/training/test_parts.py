"""Which clip serves for what: nobody on two sides, the test part untouched, everything said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_corpus import corpus_clips, write_shards

from ffdv.data.seen import PARTS_NAME, data_hash, read_parts
from ffdv.data.shards import open_shards
from ffdv.errors import CheckpointError, ManifestError
from ffdv.records import Clip
from ffdv.training.parts import Parts, SplitSpec, choose_parts, write_parts


def parts_of(folder: Path, clips: list[Clip], spec: SplitSpec | None = None, **how: tuple[str, ...]) -> Parts:
    return choose_parts(open_shards(write_shards(folder / "shards", clips, **how)), spec or SplitSpec())


def people(clips: list[Clip], parts: Parts, part: str) -> set[str]:
    return {clip.groups["identity"] for clip, its in zip(clips, parts.of_row, strict=True) if its == part}


def test_the_corpuss_own_split_is_taken_where_it_names_both_sides(tmp_path: Path) -> None:
    clips = corpus_clips()
    clips[-8:] = [replace(clip, split="test") for clip in clips[-8:]]

    parts = parts_of(tmp_path, clips)

    assert parts.counts() == {"train": 36, "validation": 4, "test": 8}
    assert parts.notes == ()


def test_too_few_validation_clips_to_set_some_apart_are_not_warned_of_as_if_they_were(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clips = [replace(clip, groups={"identity": f"p{number}"}) for number, clip in enumerate(corpus_clips(24))]
    fakes, reals = ([clip for clip in clips if clip.label == label] for label in (1, 0))
    validation = {clip.name for clip in (*fakes[:4], reals[0])}  # of the one real clip no half can be made
    clips = [replace(clip, split="val" if clip.name in validation else "train") for clip in clips]

    parts = parts_of(tmp_path, clips)

    assert parts.counts() == {"train": 19, "validation": 5}
    assert caplog.text == ""


def test_clips_without_the_sense_are_told_by_class(tmp_path: Path) -> None:
    silent = ("clip000.wav", "clip002.wav", "clip003.wav")

    parts = choose_parts(open_shards(write_shards(tmp_path / "shards", corpus_clips(96), silent=silent)), SplitSpec())

    assert parts.notes[-1] == "3 of 96 labelled clips have no sound and serve for nothing: 2 real, 1 fake"


@pytest.mark.parametrize("seed", range(4))
def test_runs_of_different_senses_have_the_same_parts(tmp_path: Path, seed: int) -> None:
    clips, silent = corpus_clips(96, splits=False), tuple(f"clip{k:03d}.wav" for k in range(0, 96, 5))

    every = parts_of(tmp_path / "all", clips, SplitSpec(seed=seed))
    some = parts_of(tmp_path / "some", clips, SplitSpec(seed=seed), silent=silent)

    assert "left_out" not in every.of_row
    mute = set(range(0, 96, 5))
    assert {row for row, part in enumerate(some.of_row) if part == "left_out"} == mute
    assert all(some.of_row[row] == every.of_row[row] for row in range(96) if row not in mute)


def test_where_a_part_would_lack_a_class_the_clips_with_the_sense_are_divided_alone(tmp_path: Path) -> None:
    clips = corpus_clips(96, splits=False)
    validated = parts_of(tmp_path / "all", clips).rows("validation")
    silent = tuple(clips[row].name for row in validated if clips[row].label == 1)

    parts = parts_of(tmp_path / "some", clips, silent=silent)

    assert {clips[row].label for row in parts.rows("validation")} == {0, 1}
    assert (
        parts.notes[1]
        == "split: drawn among the clips with sound alone, so that it differs from that of other senses' runs"
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_drawn_split_has_no_person_and_no_source_on_two_sides(tmp_path: Path, seed: int) -> None:
    clips = corpus_clips(96, splits=False)

    parts = parts_of(tmp_path, clips, SplitSpec(seed=seed, test_share=0.2))

    for by in ("identity", "source_repo"):
        values = [
            {clip.groups[by] for clip, its in zip(clips, parts.of_row, strict=True) if its == part}
            for part in ("train", "validation", "test")
        ]
        assert not values[0] & values[1] | values[1] & values[2] | values[0] & values[2]
    assert sum(parts.counts().values()) == 96
    assert "no identity and no source on two sides" in parts.notes[0]


def test_without_groups_it_says_that_the_split_flatters(tmp_path: Path) -> None:
    clips = [replace(clip, groups={}) for clip in corpus_clips(splits=False)]

    parts = parts_of(tmp_path, clips)

    assert "expect the validation to flatter" in parts.notes[0]
    assert parts.counts() == {"train": 38, "validation": 10}


def test_people_on_both_sides_of_the_corpuss_split_leave_the_validation_and_are_told(tmp_path: Path) -> None:
    clips = corpus_clips()
    clips[0] = replace(clips[0], split="val")  # person0 is now on both sides

    parts = parts_of(tmp_path, clips)

    assert parts.of_row[0] == "left_out"
    assert parts.counts() == {"train": 35, "validation": 12, "left_out": 1}
    assert "identity person0" in parts.notes[0]
    assert "1 validation and test clips of these are left out" in parts.notes[0]
    assert not people(clips, parts, "train") & people(clips, parts, "validation")


def test_leaks_may_be_kept_but_are_told(tmp_path: Path) -> None:
    clips = corpus_clips()
    clips[0] = replace(clips[0], split="val")

    parts = parts_of(tmp_path, clips, SplitSpec(leaks="report"))

    assert parts.counts() == {"train": 35, "validation": 13}
    assert "1 validation and test clips leak" in parts.notes[0]


def test_clips_that_cannot_be_used_serve_for_nothing(tmp_path: Path) -> None:
    clips = corpus_clips()
    clips[4] = replace(clips[4], label=None)
    clips[5] = replace(clips[5], split="extra")

    parts = parts_of(tmp_path, clips, silent=("clip000.wav",), failed=("clip001.wav",))

    assert [parts.of_row[row] for row in (0, 1, 4, 5)] == ["left_out"] * 4
    assert "1 clips of extra serve for nothing" in parts.notes[0]


def test_a_part_without_both_classes_is_refused_with_ways_out(tmp_path: Path) -> None:
    clips = [clip for clip in corpus_clips() if clip.split == "train" or clip.label == 1]

    with pytest.raises(ManifestError, match=r"validation part has 0 real and 6 fake .* split.by=group"):
        parts_of(tmp_path, clips)


@pytest.mark.parametrize(
    ("label", "said"), [(None, "no clip has a label; give its folder a label table"), (1, "all 48 clips .* are fake")]
)
def test_clips_without_labels_or_of_one_class_cannot_be_divided(tmp_path: Path, label: int | None, said: str) -> None:
    clips = [replace(clip, label=label) for clip in corpus_clips()]

    with pytest.raises(ManifestError, match=said):
        parts_of(tmp_path, clips)


def test_the_same_clips_hash_alike_and_any_change_shows(tmp_path: Path) -> None:
    clips = corpus_clips()
    first = data_hash(open_shards(write_shards(tmp_path / "a", clips)))
    again = data_hash(open_shards(write_shards(tmp_path / "b", clips)))
    clips[3] = replace(clips[3], label=0)
    other = data_hash(open_shards(write_shards(tmp_path / "c", clips)))

    assert first == again
    assert first != other


def test_parts_survive_their_file_whatever_the_names(tmp_path: Path) -> None:
    names = ("a,b.mp4", 'quote".mp4', "line\nbreak.mp4", "--help.mp4", "视频.mp4")
    parts = Parts("hash", names, ("train", "validation", "test", "left_out", "train"))

    write_parts(tmp_path, parts)

    assert read_parts(tmp_path) == dict(zip(names, parts.of_row, strict=True))


def test_a_foreign_parts_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_parts(tmp_path)
    (tmp_path / PARTS_NAME).write_text("name,part\na,sometimes\n")
    with pytest.raises(CheckpointError, match="does not hold rows of name, part"):
        read_parts(tmp_path)
    (tmp_path / PARTS_NAME).write_text("")
    with pytest.raises(CheckpointError, match=r"parts\.csv"):
        read_parts(tmp_path)


def test_a_corpus_without_a_validation_part_gets_one_out_of_its_training_part(tmp_path: Path) -> None:
    clips = [replace(clip, split="train") for clip in corpus_clips(96, splits=False)]
    clips[-16:] = [replace(clip, split="dev") for clip in clips[-16:]]

    parts = parts_of(tmp_path, clips, SplitSpec(by="corpus", validation=(), test=("dev",), leaks="report"))

    assert [its == "test" for its in parts.of_row] == [clip.split == "dev" for clip in clips]
    assert parts.counts()["validation"] > 0
    assert not people(clips, parts, "train") & people(clips, parts, "validation")
    assert any("validation out of train" in note for note in parts.notes)


def test_clips_that_are_left_out_for_want_of_a_label_are_told(tmp_path: Path) -> None:
    clips = [
        replace(clip, label=None) if place >= 40 else clip for place, clip in enumerate(corpus_clips(splits=False))
    ]

    assert "8 of 48 clips have no label and are left out" in parts_of(tmp_path / "some", clips).notes
    assert not any("no label" in note for note in parts_of(tmp_path / "all", corpus_clips()).notes)
