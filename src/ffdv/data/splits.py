"""Splits that keep groups whole: clips which share a person or a source stay on one side, both classes in proportion.

    clips ─ share a value of any column ─▶ families (union-find) ─ largest first, to the part that lacks them most ─▶ parts

Nothing here draws luck but the seed, and the order of the clips does not matter.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ffdv.data.corpus import group_spellings, group_value
from ffdv.errors import ManifestError
from ffdv.records import Clip

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Leak:
    """One value of a group column that stands on two sides: clips of it per part, parts in order of their names."""

    by: str
    value: str
    parts: tuple[tuple[str, int], ...]


def split_by_group(
    clips: Sequence[Clip], *, by: Sequence[str], shares: Mapping[str, float], seed: int = 0, warn: bool = True
) -> tuple[str, ...]:
    """The part of each clip, in order: families of clips that share a value of any column in `by` are never divided.

    shares: wanted share of the clips per part name, e.g. {"train": 0.8, "dev": 0.2}; labels come in the same proportion as far
    as whole families allow. A clip without a value in a column is bound by its other columns only. Every spelling of a column
    counts (identity = speaker, source = source_repo). warn: of parts that lack a label, in the log; not where the split is a try that the
    caller judges itself. Raises ManifestError when there are fewer families than parts.
    """
    total = sum(shares.values())
    if not shares or min(shares.values()) <= 0:
        raise ValueError(f"shares must be positive, got {dict(shares)}")
    bound = _families(clips, by)
    if len(bound) < len(shares):
        families, cure = f"{len(bound)} clips", "add clips"
        if by:
            families, cure = (
                f"{len(bound)} families by {', '.join(by)}",
                "split by fewer columns, or add clips",
            )
        raise ManifestError(f"there are only {families}, too few for the parts {', '.join(shares)}; {cure}")
    wanted = {part: share / total for part, share in shares.items()}
    parts = _fill(clips, _in_order(clips, bound, seed), wanted)
    if warn:
        _warn_of_missing_labels(clips, parts)
    return parts


def find_leaks(clips: Sequence[Clip], parts: Sequence[str | None], *, by: Sequence[str]) -> tuple[Leak, ...]:
    """Values of the columns `by` that clips of different parts share, worst first; clips whose part is None do not count."""
    leaks: list[Leak] = []
    for column in by:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for clip, part in zip(clips, parts, strict=True):
            value = group_value(clip.groups, column)
            if value is not None and part is not None:
                counts[value][part] += 1
        leaks.extend(
            Leak(column, value, tuple(sorted(count.items()))) for value, count in counts.items() if len(count) > 1
        )
    return tuple(sorted(leaks, key=lambda leak: (-sum(count for _, count in leak.parts), leak.by, leak.value)))


def families(clips: Sequence[Clip], *, by: Sequence[str]) -> tuple[int, ...]:
    """The number of each clip's family, from 0 in order of first appearance: what bootstrap and cross-validation keep whole."""
    numbers = [0] * len(clips)
    for number, members in enumerate(sorted(_families(clips, by), key=min)):
        for member in members:
            numbers[member] = number
    return tuple(numbers)


def _families(clips: Sequence[Clip], by: Sequence[str]) -> list[list[int]]:
    """Clips bound together by shared values, directly or through others (union-find with path halving)."""
    parent = list(range(len(clips)))

    def root(member: int) -> int:
        while parent[member] != member:
            parent[member] = parent[parent[member]]
            member = parent[member]
        return member

    seen: dict[tuple[str, str], int] = {}
    for number, clip in enumerate(clips):
        for column in by:
            value = group_value(clip.groups, column)
            if value is not None:
                parent[root(number)] = root(seen.setdefault((group_spellings(column)[0], value), number))
    members: dict[int, list[int]] = defaultdict(list)
    for number in range(len(clips)):
        members[root(number)].append(number)
    return list(members.values())


def _in_order(clips: Sequence[Clip], families: list[list[int]], seed: int) -> list[list[int]]:
    """Largest families first, equals in an order that only the seed and the clips' names decide."""

    def key(family: list[int]) -> tuple[int, bytes]:
        first = min(clips[member].name for member in family)
        return -len(family), hashlib.sha256(f"{seed} {first}".encode()).digest()

    return sorted(families, key=key)


def _fill(clips: Sequence[Clip], families: list[list[int]], wanted: Mapping[str, float]) -> tuple[str, ...]:
    """Each family goes where the wanted counts, per label, are then missed least."""
    totals = Counter(clip.label for clip in clips)
    counts = {part: Counter[int | None]() for part in wanted}
    chosen: list[str] = [""] * len(clips)
    for left, family in zip(range(len(families), 0, -1), families, strict=True):
        adds = Counter(clips[member].label for member in family)
        empty = [part for part in wanted if not counts[part]]
        # The last families are kept for parts that have none yet.
        choice = empty if len(empty) >= left else list(wanted)
        part = min(choice, key=lambda part: _excess(counts[part], adds, totals, wanted[part]))
        counts[part].update(adds)
        for member in family:
            chosen[member] = part
    return tuple(chosen)


def _excess(have: Counter[int | None], adds: Counter[int | None], totals: Counter[int | None], share: float) -> float:
    """How much worse the part fits after taking the family: squared misses of the wanted count, each label alike."""
    change = 0.0
    for label, count in adds.items():
        target = share * totals[label]
        change += ((have[label] + count - target) ** 2 - (have[label] - target) ** 2) / (totals[label] ** 2 * share)
    return change


def _warn_of_missing_labels(clips: Sequence[Clip], parts: Sequence[str]) -> None:
    labels = {clip.label for clip in clips if clip.label is not None}
    for part in sorted(set(parts)):
        missing = labels - {clip.label for clip, its in zip(clips, parts, strict=True) if its == part}
        if missing:
            log.warning(
                "note: part %r has no clip of label %s; fewer columns of split.groups, or another split.seed, may give it some",
                part,
                ", ".join(map(str, sorted(missing))),
            )
