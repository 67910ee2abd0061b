"""Who is judged in the test part chooses neither epoch nor thresholds, also where the corpus itself divides clips."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tiny_corpus import write_shards

from ffdv.records import Clip
from ffdv.training.parts import Parts, SplitSpec, choose_parts


def clips_of(**people: list[str]) -> list[Clip]:
    """Two real and two fake clips of each person in each split."""
    named = [(split, person) for split, persons in people.items() for person in persons for _ in range(4)]
    return [
        Clip(f"clip{at:03d}.wav", Path("/corpus/x.wav"), at % 2, split, {"identity": person})
        for at, (split, person) in enumerate(named)
    ]


def parts_of(folder: Path, clips: list[Clip], **spec: str) -> Parts:
    from ffdv.data.shards import open_shards

    return choose_parts(open_shards(write_shards(folder / "shards", clips)), SplitSpec.model_validate(spec))


def test_validation_clips_of_people_of_the_test_part_are_left_out(tmp_path: Path) -> None:
    clips = clips_of(train=["a", "b", "c"], dev=["d", "e", "c"], test=["e", "f", "b"])

    parts = parts_of(tmp_path, clips)

    assert parts.counts() == {"train": 12, "validation": 4, "test": 8, "left_out": 12}
    assert [clips[row].groups["identity"] for row in parts.rows("validation")] == ["d"] * 4
    assert (
        "the 8 validation and test clips of these are left out; "
        "the 4 validation clips that share one with the test part are left out" in parts.notes[0]
    )


@pytest.mark.parametrize("leaks", ["drop", "report"])
def test_where_they_stay_it_is_said(tmp_path: Path, leaks: str) -> None:
    """All people of validation are tested, so there would be nothing left to choose by; or only a report is wanted."""
    clips = clips_of(train=["a", "b"], dev=["d", "e"], test=["d", "e"])

    parts = parts_of(tmp_path, clips, leaks=leaks)

    assert Counter(parts.of_row) == {"train": 8, "validation": 8, "test": 8}
    assert "8 validation clips that share one" in parts.notes[0] or "8 validation clips share one" in parts.notes[0]
    assert "test clips choose the epoch and the thresholds and their scores flatter" in parts.notes[0]
    assert "are left out" not in parts.notes[0]
