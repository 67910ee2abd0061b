"""What a corpus is once it is read: its clips, and every row that could not be used, by number."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ffdv.records import Clip

ProblemKind = Literal[
    "missing", "outside", "duplicate", "conflict", "label", "unlabelled", "segments", "row", "skipped"
]

# One idea, several spellings: the first column that a clip has a value in is taken.
GROUP_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "method": ("method", "generator", "attack", "attack_type", "manipulation", "vocoder"),
    "identity": ("identity", "speaker", "person", "subject"),
    "source": ("source_repo", "source", "dataset", "origin"),
    "segments": ("segments", "fake_segments", "fake_periods"),
}
Seconds = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Problem:
    """One thing in a corpus that could not be taken as written.

    kind: missing (no such file), outside (leaves the data's folder), duplicate (same clip again, the first is kept),
    conflict (same clip with another label, none is kept), label (not a known label, dropped), unlabelled (empty label, kept
    without one), segments (forged seconds that are none, kept without them), row (too few or too many cells, no name), skipped (files that no loader looks at);
    row: line in the table as an editor numbers it (the header is 1), None where there is no table;
    name: the clip as written; text: one sentence that names row and clip.
    """

    kind: ProblemKind
    text: str
    name: str = ""
    row: int | None = None


@dataclass(frozen=True)
class Corpus:
    """Clips in the order of their table (or by name), with unique names, all under `root` (resolved)."""

    root: Path
    clips: tuple[Clip, ...]
    problems: tuple[Problem, ...] = ()

    def __post_init__(self) -> None:
        """Refuse two clips of one name."""
        twice = [name for name, count in Counter(clip.name for clip in self.clips).items() if count > 1]
        if twice:
            raise ValueError(f"corpus {self.root}: clip names must be unique, {twice[0]!r} is there twice")


def group_value(groups: Mapping[str, str], by: str) -> str | None:
    """The value of group column `by`, or of another spelling of the same idea; None when the clip has none.

    >>> group_value({"generator": "WaveGrad2"}, "method"), group_value({"method": "real"}, "generator")
    ('WaveGrad2', 'real')
    """
    return next((groups[name] for name in group_spellings(by) if groups.get(name)), None)


def group_spellings(by: str) -> tuple[str, ...]:
    """The columns that mean the same as `by`, itself first.

    >>> group_spellings("speaker")
    ('speaker', 'identity', 'person', 'subject')
    """
    for names in GROUP_SPELLINGS.values():
        if by in names:
            return (by, *(name for name in names if name != by))
    return GROUP_SPELLINGS.get(by, (by,))


def owners(
    identities: Sequence[str | None], sources: Sequence[str | None]
) -> tuple[str, tuple[str | None, ...] | None]:
    """Whose each clip is, for what keeps people whole: (the column that says it, its values (n,)), or ("", None) where none does.

    Identities where half of the clips that say anything name one, else sources. A clip that lacks the one stands with those of
    its other, so that one named person among a thousand clips of few sources does not take these apart.

    >>> owners(["ann", "ann", None], ["a", "b", "c"])
    ('identity', ('ann', 'ann', 'source c'))
    >>> owners(["ann", None, None], ["a", "a", "b"])
    ('source', ('a', 'a', 'b'))
    """
    named = sum(bool(person) for person in identities)
    told = sum(bool(person or source) for person, source in zip(identities, sources, strict=True))
    if not told:
        return "", None
    by, first, other, second = "identity", identities, "source", sources
    if 2 * named < told:
        by, first, other, second = other, second, by, first
    pairs = zip(first, second, strict=True)
    return by, tuple(value or (f"{other} {instead}" if instead else None) for value, instead in pairs)


def forged_seconds(groups: Mapping[str, str]) -> Seconds | None:
    """Which seconds of a clip are forged, as its column `segments` says, in order and apart; None when it does not say.

    >>> forged_seconds({"fake_periods": "[[2.5, 3], [0.5, 1], [0.75, 1.5]]"}), forged_seconds({"segments": "[]"})
    (((0.5, 1.5), (2.5, 3.0)), ())

    Raises ValueError where the text is something else than [[start, stop], ...] with 0 <= start < stop.
    """
    text = group_value(groups, "segments")
    if text is None:
        return None
    try:
        spans = sorted((float(start), float(stop)) for start, stop in json.loads(text))
    except (TypeError, ValueError, OverflowError, RecursionError):  # the latter two: endless digits, endless brackets
        raise ValueError("not a list of [start, stop] in seconds") from None
    joined: list[tuple[float, float]] = []
    for start, stop in spans:
        if not 0.0 <= start < stop < math.inf:
            raise ValueError(f"[{start:g}, {stop:g}] is no stretch of time")
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return tuple(joined)
