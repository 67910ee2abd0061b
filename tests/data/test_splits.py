"""Groups stay whole, labels stay in proportion, and nothing depends on the order of the clips."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffdv.data.splits import families, find_leaks, split_by_group
from ffdv.errors import ManifestError
from ffdv.records import Clip


def clip(number: int, label: int, **groups: str) -> Clip:
    return Clip(f"{number}.mp4", Path(f"/x/{number}.mp4"), label, None, groups)


def families_slowly(clips: Sequence[Clip], by: Sequence[str]) -> set[frozenset[str]]:
    """Connected components by repeated merging of overlapping sets."""
    groups = [{clip.name} for clip in clips]
    for column in by:
        values = {clip.groups.get(column) for clip in clips} - {None}
        groups += [{clip.name for clip in clips if clip.groups.get(column) == value} for value in values]
    done: list[set[str]] = []
    while groups:
        group = groups.pop()
        touching = [other for other in groups if group & other]
        if touching:
            groups = [other for other in groups if not group & other] + [group.union(*touching)]
        else:
            done.append(group)
    return {frozenset(group) for group in done}


corpora = st.lists(
    st.tuples(st.integers(0, 1), st.none() | st.sampled_from("abcdefgh"), st.none() | st.sampled_from("pqrstuvw")),
    min_size=6,
    max_size=40,
).map(
    lambda rows: [
        clip(n, label, **{k: v for k, v in (("identity", person), ("source_repo", source)) if v})
        for n, (label, person, source) in enumerate(rows)
    ]
)


@settings(max_examples=40, deadline=None)
@given(corpora)
def test_families_are_the_connected_components(clips: list[Clip]) -> None:
    numbers = families(clips, by=["identity", "source"])

    found = {frozenset(c.name for c, n in zip(clips, numbers, strict=True) if n == family) for family in set(numbers)}
    assert found == families_slowly(clips, ["identity", "source_repo"])


@settings(max_examples=40, deadline=None)
@given(corpora, st.integers(0, 5), st.randoms())
def test_no_value_stands_on_two_sides_and_order_does_not_matter(clips: list[Clip], seed: int, random: object) -> None:
    by = ["identity", "source_repo"]
    if len(set(families(clips, by=by))) < 2:
        return
    parts = split_by_group(clips, by=by, shares={"train": 0.7, "dev": 0.3}, seed=seed)
    shuffled = list(clips)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = split_by_group(shuffled, by=by, shares={"train": 0.7, "dev": 0.3}, seed=seed)

    assert set(parts) == {"train", "dev"}
    assert find_leaks(clips, parts, by=by) == ()
    assert dict(zip([c.name for c in clips], parts, strict=True)) == dict(
        zip([c.name for c in shuffled], again, strict=True)
    )


def test_labels_come_in_proportion() -> None:
    clips = [clip(n, int(n % 10 < 3), identity=f"person{n // 4}") for n in range(800)]

    parts = split_by_group(clips, by=["identity"], shares={"train": 0.6, "dev": 0.2, "test": 0.2})

    counts = Counter((part, c.label) for part, c in zip(parts, clips, strict=True))
    for part, share in (("train", 0.6), ("dev", 0.2), ("test", 0.2)):
        assert counts[part, 1] == pytest.approx(share * 240, abs=6)
        assert counts[part, 0] == pytest.approx(share * 560, abs=6)


def test_another_seed_gives_another_split() -> None:
    clips = [clip(n, n % 2, identity=f"person{n // 2}") for n in range(100)]

    first, second = (split_by_group(clips, by=["identity"], shares={"a": 1, "b": 1}, seed=seed) for seed in (0, 1))

    assert first != second


def test_one_family_cannot_be_split() -> None:
    clips = [clip(n, n % 2, source_repo="one") for n in range(10)]

    with pytest.raises(ManifestError, match="only 1 families by source"):
        split_by_group(clips, by=["source"], shares={"train": 0.8, "dev": 0.2})


def test_a_part_without_a_class_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    clips = [clip(n, int(n < 5), identity="fake person" if n < 5 else "real person") for n in range(10)]

    with caplog.at_level(logging.WARNING):
        split_by_group(clips, by=["identity"], shares={"train": 0.5, "dev": 0.5})

    assert "note: part 'dev' has no clip of label" in caplog.text or "note: part 'train' has no clip" in caplog.text
    assert "split.groups" in caplog.text
    assert "split.seed" in caplog.text


def test_leaks_are_found_with_their_counts_worst_first() -> None:
    clips = [
        clip(0, 0, identity="ann", source_repo="s"),
        clip(1, 1, speaker="ann"),
        clip(2, 1, identity="bob", source_repo="s"),
        clip(3, 1, identity="cyd", source_repo="s"),
        clip(4, 1, identity="cyd"),
    ]

    leaks = find_leaks(clips, ["train", "dev", "dev", "train", None], by=["identity", "source"])

    assert [(leak.by, leak.value, leak.parts) for leak in leaks] == [
        ("source", "s", (("dev", 1), ("train", 2))),
        ("identity", "ann", (("dev", 1), ("train", 1))),
    ]
