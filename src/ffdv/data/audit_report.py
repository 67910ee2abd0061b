"""What an audit found, as frozen values, and how it says so in plain words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ffdv.data.audit_words import REMEDIES, strength, with_unit
from ffdv.data.probe_models import JointResult
from ffdv.metrics.uncertainty import Estimate

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Spread:
    """A fact in one class: 5th, 50th and 95th percentile, mean (a share, where the fact is yes or no), clips known.

    All are 0 where it is known of no clip.
    """

    low: float
    median: float
    high: float
    mean: float
    num_known: int


@dataclass(frozen=True)
class Fact:
    """One fact: how well it tells the classes apart (AUC in its better direction), and what that is worth.

    p_value: chance of any fact being so outstanding where none tells anything; higher: the class with the larger values.
    """

    name: str
    meaning: str
    remedy: str
    in_header: bool
    auc: Estimate
    p_value: float
    found: bool
    higher: str
    spreads: tuple[Spread, Spread]

    @property
    def is_word(self) -> bool:
        """Whether it is a yes or no: a codec, a tag's text, a missing track."""
        return " = " in self.name or self.name.startswith("no ")


@dataclass(frozen=True)
class Balance:
    """How classes spread over the values of a group column: how many values hold one class only, the largest first."""

    by: str
    num_values: int
    num_one_class: int
    share_of_clips: float
    largest: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class SharedGroup:
    """Values of a group column (people, sources) that clips of several splits share."""

    by: str
    num_values: int
    num_clips: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Copies:
    """Pairs of clips that are near-copies in one sense, and how many of them stand in two splits or two classes."""

    sense: str
    num_pairs: int
    across_splits: int
    across_classes: int
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class AuditReport:
    """What an audit found; facts, the most outstanding first.

    classes: names of the two sides, (real, fake) or two folders; counts: clips of each; groups_by: the column whose values
    were kept whole, empty when clips were taken one by one; detectable_auc: what one fact would have shown at.
    """

    data: str
    against: str | None
    classes: tuple[str, str]
    counts: tuple[int, int]
    groups_by: str
    facts: tuple[Fact, ...]
    joint: tuple[JointResult, ...]
    detectable_auc: float
    balances: tuple[Balance, ...]
    shared: tuple[SharedGroup, ...]
    copies: tuple[Copies, ...]
    failures: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]

    @property
    def found(self) -> tuple[Fact, ...]:
        """The facts that tell the classes apart better than chance."""
        return tuple(fact for fact in self.facts if fact.found)

    @property
    def clean(self) -> bool:
        """Whether facts were tested and nothing was found, alone or together."""
        return bool(self.facts) and not self.found and not any(result.found for result in self.joint)

    @property
    def remedies(self) -> tuple[str, ...]:
        """Names of the neutralisers that take away what was found, the most needed first."""
        return tuple(dict.fromkeys(fact.remedy for fact in self.found if fact.remedy))

    @property
    def sentences(self) -> tuple[str, ...]:
        """The report in plain words: what leaks, how much, and what to do about it."""
        return (*self.warnings, *_verdict(self), *_balance_sentences(self), *_split_sentences(self))

    def to_json(self) -> str:
        """Everything, for machines, with the format's version."""
        said = {"clean": self.clean, "remedies": self.remedies, "sentences": self.sentences}
        content = {"version": FORMAT_VERSION, **asdict(self), **said}
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)


def _verdict(report: AuditReport) -> list[str]:
    """What was found, family by family, the strongest first; or that nothing was, and what would have been."""
    if not report.facts:
        return [] if report.warnings else ["No fact differs between clips: there is nothing to tell them apart by."]
    best = max(report.joint, key=lambda result: result.auc.value, default=None)
    if report.clean:
        what = "tells the two apart" if report.against else "gives the label away"
        together = "" if best is None else f", nor do all together ({best.model}: AUC {best.auc})"
        text = f"Nothing found: none of {len(report.facts)} facts {what} better than chance would{together}. "
        return [text + f"A fact with an AUC of {report.detectable_auc:.2f} would have shown in one case of two."]
    families: dict[str, list[Fact]] = {}
    for fact in sorted(report.found, key=lambda fact: -fact.auc.value):
        families.setdefault(fact.meaning, []).append(fact)
    said = [_family_sentence(report, facts) for facts in families.values()]
    if not said:
        said = [f"None of {len(report.facts)} facts alone tells the classes apart better than chance would."]
    if best is not None and best.found:
        worth = "" if report.against else ": a net that does no better has shown nothing"
        said.append(
            f"All {len(report.facts)} facts together reach AUC {best.auc} ({best.model}) "
            f"on {'people' if report.groups_by else 'clips'} they were not fitted on{worth}."
        )
    return said


def _family_sentence(report: AuditReport, facts: Sequence[Fact]) -> str:
    first = facts[0]
    more = "" if len(facts) == 1 else f" ({len(facts) - 1} more facts say the same)"
    does = "differs" if report.against else "gives the label away"
    how = f"{does} {strength(first.auc.value)}"
    sides = "; ".join(
        f"{side}: {_level(first, spread)}" for side, spread in zip(report.classes, first.spreads, strict=True)
    )
    text = f"{first.meaning[0].upper()}{first.meaning[1:]} {how}: {first.name} has AUC {first.auc}{more}. {sides}."
    if first.in_header:
        text += " It is in the header: a net on decoded sound or pictures does not see it, but it seldom comes alone."
    if first.remedy and not report.against:
        text += f" Remedy: {first.remedy} ({REMEDIES[first.remedy]})."
    return text


def _level(fact: Fact, spread: Spread) -> str:
    if not spread.num_known:
        return "unknown"
    if fact.is_word:
        return f"{spread.mean:.0%}"
    low, median, high = (with_unit(fact.name, value) for value in (spread.low, spread.median, spread.high))
    return f"{median} ({low} to {high})"


def _balance_sentences(report: AuditReport) -> list[str]:
    return [
        f"{balance.num_one_class} of {balance.num_values} values of {balance.by} hold one class only "
        f"({balance.share_of_clips:.0%} of the clips): who knows the {balance.by} knows the label; "
        f"keep them on one side of every split and look at results by {balance.by}."
        for balance in report.balances
        if balance.share_of_clips > 0.5
    ]


def _split_sentences(report: AuditReport) -> list[str]:
    said = [
        f"{group.num_values} values of {group.by} stand in several splits ({group.num_clips} clips, e.g. {group.examples[0]}): "
        f"results on these splits are not on new ones; split by {group.by}."
        for group in report.shared
    ]
    for copies in report.copies:
        text = f"{copies.num_pairs} pairs of clips are near-copies in {copies.sense}"
        if copies.across_classes:
            text += f", {copies.across_classes} of them one real and one fake"
        if copies.across_splits:
            text += f"; {copies.across_splits} stand in two splits (e.g. {copies.examples[0][0]} and {copies.examples[0][1]}): move them together"
        said.append(text + ".")
    return said
