"""What an audit found, as frozen values, and how it says so in plain words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ffdv.data.audit_words import REMEDIES, strength, with_unit
from ffdv.data.probe_models import JointResult
from ffdv.metrics.uncertainty import Estimate
from ffdv.sentences import Sentence, joined

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
    meaning: Sentence
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


@dataclass(frozen=True, repr=False)
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
    warnings: tuple[Sentence, ...]

    def __repr__(self) -> str:
        """One line: the facts are in `facts`, and in plain words in `sentences`."""
        return (
            f"AuditReport({self.data!r}, {sum(self.counts)} clips, {len(self.found)} of {len(self.facts)} facts found)"
        )

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
    def sentences(self) -> tuple[Sentence, ...]:
        """The report in plain words: what leaks, how much, and what to do about it; `worded` has their Chinese."""
        return (*self.warnings, *_verdict(self), *_balance_sentences(self), *_split_sentences(self))

    def to_json(self) -> str:
        """Everything, for machines, with the format's version."""
        said = {"clean": self.clean, "remedies": self.remedies, "sentences": self.sentences}
        content = {"version": FORMAT_VERSION, **asdict(self), **said}
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)


def _verdict(report: AuditReport) -> list[Sentence]:
    """What was found, family by family, the strongest first; or that nothing was, and what would have been."""
    if not report.facts:
        if report.warnings:
            return []
        return [Sentence("No fact differs between clips: there is nothing to tell them apart by")]
    best = max(report.joint, key=lambda result: result.auc.value, default=None)
    count = len(report.facts)
    if report.clean:
        return [
            Sentence(
                "Nothing found: none of {count} facts {does} better than chance would{together}. A fact with an AUC of {auc:.2f} would have shown in one case of two",
                count=count,
                does=Sentence("tells the two apart") if report.against else Sentence("gives the label away"),
                together=""
                if best is None
                else Sentence(", nor do all together ({model}: AUC {auc})", model=best.model, auc=best.auc),
                auc=report.detectable_auc,
            )
        ]
    families: dict[str, list[Fact]] = {}
    for fact in sorted(report.found, key=lambda fact: -fact.auc.value):
        families.setdefault(fact.meaning, []).append(fact)
    said = [_family_sentence(report, facts) for facts in families.values()]
    if not said:
        said = [Sentence("None of {count} facts alone tells the classes apart better than chance would", count=count)]
    if best is not None and best.found:
        said.append(
            Sentence(
                "All {count} facts together reach AUC {auc} ({model}) on {whom} they were not fitted on{worth}",
                count=count,
                auc=best.auc,
                model=best.model,
                whom=Sentence("people") if report.groups_by else Sentence("clips"),
                worth="" if report.against else Sentence(": a net that does no better has shown nothing"),
            )
        )
    return said


def _family_sentence(report: AuditReport, facts: Sequence[Fact]) -> Sentence:
    first = facts[0]
    levels = [
        Sentence("{side}: {level}", side=side_word(side), level=_level(first, spread))
        for side, spread in zip(report.classes, first.spreads, strict=True)
    ]
    return Sentence(
        "{name} {does} {how}: {meaning}, AUC {auc}{more}. {levels}{header}{remedy}",
        name=first.name,
        does=Sentence("differs") if report.against else Sentence("gives the label away"),
        how=strength(first.auc.value),
        meaning=first.meaning,
        auc=first.auc,
        more="" if len(facts) == 1 else Sentence(" ({count} more facts say the same)", count=len(facts) - 1),
        levels=joined(levels),
        header=Sentence(
            ". It is in the header: a net on decoded sound or pictures does not see it, but it seldom comes alone"
        )
        if first.in_header
        else "",
        remedy=Sentence(". Remedy: {step} ({what})", step=first.remedy, what=REMEDIES[first.remedy])
        if first.remedy and not report.against
        else "",
    )


def side_word(side: str) -> str:
    """A class as a sentence, where it is one of the two usual ones; a folder's name as it is."""
    return {"real": Sentence("real"), "fake": Sentence("fake")}.get(side, side)


def _level(fact: Fact, spread: Spread) -> str:
    if not spread.num_known:
        return Sentence("unknown")
    if fact.is_word:
        return f"{100 * spread.mean:.0f} %"
    low, median, high = (with_unit(fact.name, value) for value in (spread.low, spread.median, spread.high))
    return Sentence("{median} ({low} to {high})", median=median, low=low, high=high)


def _balance_sentences(report: AuditReport) -> list[Sentence]:
    return [
        Sentence(
            "{one_class} of {count} values of {by} hold one class only ({share:.0f} % of the clips): who knows the value knows the label; keep each value on one side of every split and look at results by value",
            one_class=balance.num_one_class,
            count=balance.num_values,
            by=balance.by,
            share=100 * balance.share_of_clips,
        )
        for balance in report.balances
        if balance.share_of_clips > 0.5
    ]


def _split_sentences(report: AuditReport) -> list[Sentence]:
    said = [
        Sentence(
            "{count} values of {by} stand in several splits ({clips} clips, e.g. {example}): results on these splits are not on new ones; split by this column",
            count=group.num_values,
            by=group.by,
            clips=group.num_clips,
            example=group.examples[0],
        )
        for group in report.shared
    ]
    said += map(_copies_sentence, report.copies)
    return said


def _copies_sentence(copies: Copies) -> Sentence:
    """Near-copies in one sense; a single pair is spoken of as one."""
    sense = Sentence("sound") if copies.sense == "sound" else Sentence("picture")
    one, other = copies.examples[0]
    if copies.num_pairs == 1:
        apart = Sentence("; it stands in two splits ({one} and {other}): move it together", one=one, other=other)
        return Sentence(
            "One pair of clips is a near-copy in {sense}{across_classes}{across_splits}",
            sense=sense,
            across_classes=Sentence(", one real and one fake") if copies.across_classes else "",
            across_splits=apart if copies.across_splits else "",
        )
    mixed = Sentence(", {count} of them one real and one fake", count=copies.across_classes)
    apart = Sentence(
        "; {count} stand in two splits (e.g. {one} and {other}): move them together",
        count=copies.across_splits,
        one=one,
        other=other,
    )
    return Sentence(
        "{count} pairs of clips are near-copies in {sense}{across_classes}{across_splits}",
        count=copies.num_pairs,
        sense=sense,
        across_classes=mixed if copies.across_classes else "",
        across_splits=apart if copies.across_splits else "",
    )
