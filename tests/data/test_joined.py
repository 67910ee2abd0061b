"""Joined shards hold the rows of all folders, as they were, each told where it is from."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ffdv.data import joined
from ffdv.data.joined import join_shards
from ffdv.data.prepare import prepare
from ffdv.data.shards import open_shards, part_path, relabel_part
from ffdv.errors import ShardError


@pytest.fixture
def two(tmp_path: Path, tone_corpus: Callable[[int], Path]) -> tuple[Path, Path]:
    corpus = tone_corpus(7)
    prepare(corpus, out=tmp_path / "a", workers=1, senses=["voice"])
    prepare(corpus, out=tmp_path / "b", workers=1, senses=["voice"], limit=4)
    return tmp_path / "a", tmp_path / "b"


def test_the_examples_in_the_docs_hold() -> None:
    assert doctest.testmod(joined).failed == 0


def test_every_row_is_there_as_it_was_with_its_data_set(two: tuple[Path, Path], tmp_path: Path) -> None:
    whole = join_shards(two, tmp_path / "both")

    parts = [open_shards(folder) for folder in two]
    assert len(whole) == 11
    assert whole.group("dataset") == ("a",) * 7 + ("b",) * 4
    assert whole.names == tuple(f"{name}/{clip}" for name, part in zip("ab", parts, strict=True) for clip in part.names)
    assert whole.labels.tolist() == [*parts[0].labels, *parts[1].labels]
    assert whole.group("method")[:7] == parts[0].group("method")
    assert whole.splits[7:] == parts[1].splits
    for row, part, inside in ((3, parts[0], 3), (9, parts[1], 2)):
        one, other = whole.features(row), part.features(inside)
        assert one.sound is not None
        assert other.sound is not None
        np.testing.assert_array_equal(one.sound.values, other.sound.values)
        assert one.probes == other.probes
        assert one.facts.path == other.facts.path


def test_what_was_copied_before_is_not_copied_again(two: tuple[Path, Path], tmp_path: Path) -> None:
    join_shards(two, tmp_path / "both")
    part = part_path(tmp_path / "both", 0)
    written = part.stat().st_mtime_ns
    part_path(tmp_path / "both", 0, "sound").touch()

    again = join_shards(two, tmp_path / "both")

    assert len(again) == 11
    assert part.stat().st_mtime_ns == written
    with pytest.raises(ShardError, match="holds other clips"):
        join_shards(two[::-1], tmp_path / "both")


def test_a_label_that_changed_since_is_told(two: tuple[Path, Path], tmp_path: Path) -> None:
    whole = join_shards(two, tmp_path / "whole")
    source = open_shards(two[0])
    clips = [replace(clip, label=1 - (clip.label or 0)) for clip in source.clips()]
    for part in range(source.index.num_parts):
        relabel_part(two[0], source.index, part, [clips[row] for row in source.index.part_rows(part)])

    with pytest.raises(ShardError, match="holds other clips"):
        join_shards(two, tmp_path / "whole")
    assert (join_shards(two, tmp_path / "anew").labels[: len(clips)] != whole.labels[: len(clips)]).all()


def test_folders_prepared_otherwise_are_refused(
    two: tuple[Path, Path], tmp_path: Path, tone_corpus: Callable[[int], Path]
) -> None:
    prepare(tmp_path / "corpus", out=tmp_path / "low", workers=1, senses=["voice"], sample_rate=4000)

    with pytest.raises(ShardError, match=r"low: was prepared otherwise than .*a .*same settings"):
        join_shards([two[0], tmp_path / "low"], tmp_path / "both")
    with pytest.raises(ShardError, match="named twice"):
        join_shards([two[0], two[0]], tmp_path / "both")


def test_where_a_clip_lies_outlives_joining_without_its_trusted_folder(
    two: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, elsewhere = open_shards(two[0]), tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    (elsewhere / "z.wav").write_bytes(b"x")
    clips = [replace(clip, path=elsewhere / "z.wav") for clip in source.clips()]
    for part in range(source.index.num_parts):
        relabel_part(two[0], source.index, part, [clips[row] for row in source.index.part_rows(part)])

    both = join_shards(two, tmp_path / "both")

    assert not both.clips()[0].path.exists()
    assert both.clips()[7].path.samefile(open_shards(two[1]).clips()[0].path)
    monkeypatch.setenv("FFDV_DATA_ROOTS", str(elsewhere))
    assert both.clips()[0].path.samefile(elsewhere / "z.wav")
