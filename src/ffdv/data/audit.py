"""audit: how well facts that are not forgery predict the label, before any net is believed.

    shards, or files ─▶ ProbeTable ─▶ each fact alone ─ all together ─ sources ─ near-copies ─▶ AuditReport ─▶ HTML, JSON, PNG

With `against` there are no labels: the same tests then tell how one folder differs from another (training from test).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ffdv.arguments import whole_number
from ffdv.data.audit_report import AuditReport, Balance, Copies, Fact, SharedGroup, Spread, side_word
from ffdv.data.audit_words import shortcut_of
from ffdv.data.corpus import group_value
from ffdv.data.manifest import load_corpus
from ffdv.data.near_copies import PICTURE_BITS, SOUND_BITS, near_copies
from ffdv.data.prepare import take_in_proportion
from ffdv.data.probe_models import JointResult, joint_results
from ffdv.data.probe_table import ProbeTable, table_from_files, table_from_shards
from ffdv.data.probe_tests import separation_test
from ffdv.data.shards import INDEX_NAME, open_shards
from ffdv.data.splits import find_leaks
from ffdv.errors import ManifestError
from ffdv.metrics.ranking import Indices, Numbers, Truths, number_groups
from ffdv.metrics.uncertainty import Estimate, delong
from ffdv.records import FAKE, Clip
from ffdv.sentences import Sentence, language

# Of the 5 % in which a clean folder may be accused, four are for single facts and one for the two joint models.
ERROR_OF_FACTS = 0.04
FEWEST_PER_CLASS = 10
# Whole people are shuffled where there are so many in each class; fewer cannot show anything.
FEWEST_GROUPS = 10
# A word must be said of so many clips, and not of as many, to be a fact of its own.
FEWEST_SAID = 5
MOST_WORDS = 12
MOST_EXAMPLES = 10
OWNERS = ("identity", "source")


def audit(
    data: Path | str,
    *,
    out: Path | str | None = None,
    against: Path | str | None = None,
    workers: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    lang: str = "en",
    progress: Callable[[int, int], None] | None = None,
) -> AuditReport:
    """How well facts about container, sound and picture that are not forgery tell fake from real.

    data: prepared shards (nothing is decoded), or labelled clips in any form that prepare takes; against: another such
    folder, with or without labels, to tell how the two differ instead; out: folder for audit.html, audit.json and audit.png;
    limit: look at so many clips, labels in proportion (None: all); workers: processes, None or 0 as many as there are cores; seed: of the
    shufflings and folds; lang: of the page, en or zh. progress: called with clips done and clips in all, where they are decoded.
    Raises RecipeError for a value that makes no sense, ManifestError when there are no labels (and nothing to compare with), ShardError, or
    ExtraMissing.
    """
    language(lang)  # told before the looking
    whole_number(1, limit=limit)
    whole_number(0, seed=seed, workers=workers)
    if against is None:
        report = audit_table(_load(data, limit, workers, progress), data=str(data), seed=seed)
    else:
        first, second = (_load(side, limit, workers, progress) for side in (data, against))
        report = compare_tables(first, second, names=(str(data), str(against)), seed=seed)
    if out is not None:
        from ffdv.data.audit_page import write_pages

        write_pages(report, Path(out), lang=lang)
    return report


def audit_table(table: ProbeTable, *, data: str = "", seed: int = 0, together: bool = True) -> AuditReport:
    """The audit of facts that are there already; `together`: fit models on all of them, which takes the most time.

    Raises ManifestError when no clip has a label.
    """
    labelled = [row for row, clip in enumerate(table.clips) if clip.label is not None]
    if not labelled:
        raise ManifestError(
            f"{data or 'the data'}: no clip has a label, so nothing can leak; give another folder to compare with (against)"
        )
    known = table.take(labelled)
    fake = np.array([clip.label == FAKE for clip in known.clips])
    return _report(
        known,
        fake,
        data=data,
        against=None,
        classes=("real", "fake"),
        copies=_copies(table),
        seed=seed,
        together=together,
    )


def compare_tables(first: ProbeTable, second: ProbeTable, *, names: tuple[str, str], seed: int = 0) -> AuditReport:
    """How the clips of two tables differ, whatever their labels."""
    joined = join_tables(first, second)
    later = np.arange(len(joined)) >= len(first)
    classes = _short_names(*names)
    return _report(joined, later, data=names[0], against=names[1], classes=classes, copies=(), seed=seed)


def join_tables(first: ProbeTable, second: ProbeTable) -> ProbeTable:
    """The clips of both, those of `first` first; what only one side has is unknown on the other."""
    from ffdv.data.probe_table import Fingerprints

    sizes = (len(first), len(second))

    def number(name: str) -> Numbers:
        sides = zip((first, second), sizes, strict=True)
        return np.concatenate([side.numbers.get(name, np.full(size, np.nan)) for side, size in sides])

    def word(name: str) -> tuple[str | None, ...]:
        sides = zip((first, second), sizes, strict=True)
        return tuple(text for side, size in sides for text in side.words.get(name, (None,) * size))

    def prints(one: Fingerprints, other: Fingerprints) -> Fingerprints:
        return Fingerprints(np.concatenate([one.bits, other.bits]), np.concatenate([one.known, other.known]))

    return ProbeTable(
        (*first.clips, *second.clips),
        {name: number(name) for name in sorted({*first.numbers, *second.numbers})},
        {name: word(name) for name in sorted({*first.words, *second.words})},
        prints(first.sounds, second.sounds),
        prints(first.pictures, second.pictures),
        (*first.failures, *second.failures),
    )


def _load(
    data: Path | str, limit: int | None, workers: int | None, progress: Callable[[int, int], None] | None
) -> ProbeTable:
    if (Path(data) / INDEX_NAME).is_file():
        table = table_from_shards(open_shards(data))
        if limit is None:
            return table
        rows = {id(clip): row for row, clip in enumerate(table.clips)}
        return table.take([rows[id(clip)] for clip in take_in_proportion(table.clips, limit)])
    from dataclasses import replace

    corpus = load_corpus(data)
    if limit is not None:
        corpus = replace(corpus, clips=take_in_proportion(corpus.clips, limit))
    return table_from_files(corpus, workers=workers, progress=progress)


def _report(
    table: ProbeTable,
    second: Truths,
    *,
    data: str,
    against: str | None,
    classes: tuple[str, str],
    copies: tuple[Copies, ...],
    seed: int,
    together: bool = True,
) -> AuditReport:
    groups_by, groups = _owners(table.clips, second)
    sides = _Sides(second, groups, classes)
    warnings = _not_looked_at(table)
    facts: tuple[Fact, ...] = ()
    joint: tuple[JointResult, ...] = ()
    detectable = 1.0
    names, columns = fact_columns(table)
    if min(sides.counts) < FEWEST_PER_CLASS:
        warnings.append(
            Sentence(
                "Too few clips to say anything: {first} {one} and {second} {other}; it takes {fewest} of each",
                first=sides.counts[0],
                one=side_word(classes[0]),
                second=sides.counts[1],
                other=side_word(classes[1]),
                fewest=FEWEST_PER_CLASS,
            )
        )
    elif names:
        test = separation_test(columns, second, groups, error=ERROR_OF_FACTS, seed=seed)
        found = [_fact(name, columns[:, at], sides, p_value=float(test.p_value[at])) for at, name in enumerate(names)]
        facts = tuple(sorted(found, key=_outstanding))
        detectable = test.detectable_auc
        joint = joint_results(columns, second, groups, seed=seed) if together else ()
    return AuditReport(
        data=data,
        against=against,
        classes=classes,
        counts=sides.counts,
        groups_by=groups_by,
        facts=facts,
        joint=joint,
        detectable_auc=detectable,
        balances=() if against else _balances(table.clips, second),
        shared=() if against else _shared(table.clips),
        copies=copies,
        failures=table.failures,
        warnings=tuple(warnings),
    )


def _not_looked_at(table: ProbeTable) -> list[Sentence]:
    if "picture_codec" in table.words and "picture_brightness" not in table.numbers:
        return [
            Sentence("The pictures were not looked at: these shards hold no picture probes; audit the files themselves")
        ]
    return []


def fact_columns(table: ProbeTable) -> tuple[tuple[str, ...], Numbers]:
    """Everything testable as numbers: names (p,) and columns (n, p), NaN where unknown; what never differs is left out.

    Words become yes or no for each frequent text ("sound_codec = aac"); being unknown is a fact too ("no sound_level_db").
    """
    columns: dict[str, Numbers] = {}
    missing: dict[bytes, str] = {}
    for name, values in table.numbers.items():
        known = np.isfinite(values)
        if known.any() and np.ptp(values[known]) > 0:
            columns[name] = values
        if FEWEST_SAID <= known.sum() <= len(known) - FEWEST_SAID:
            missing.setdefault(known.tobytes(), name)
    for pattern, name in missing.items():
        columns[f"no {_track_or(name)}"] = (~np.frombuffer(pattern, dtype=bool)).astype(np.float64)
    for name, texts in table.words.items():
        counts = Counter(texts)
        usual = [
            text for text, count in counts.most_common(MOST_WORDS) if FEWEST_SAID <= count <= len(texts) - FEWEST_SAID
        ]
        # Of two texts one says it all.
        for text in usual[: len(usual) - (len(counts) == 2)] or usual:
            columns[f"{name} = {'(none)' if text is None else text}"] = np.array(
                [float(other == text) for other in texts]
            )
    if not columns:
        return (), np.empty((len(table), 0))
    return tuple(columns), np.stack(list(columns.values()), axis=1)


def _track_or(name: str) -> str:
    """What is missing when this probe is: a whole track, when it is one that every track has."""
    return {"sound_duration_seconds": "sound", "sound_channels": "sound", "picture_width": "picture"}.get(name, name)


@dataclass(frozen=True)
class _Sides:
    """Which clips are of the second class (n,), who owns each clip (n,), and what the two classes are called."""

    second: Truths
    groups: Indices
    names: tuple[str, str]

    @property
    def counts(self) -> tuple[int, int]:
        return int((~self.second).sum()), int(self.second.sum())


def _fact(name: str, values: Numbers, sides: _Sides, *, p_value: float) -> Fact:
    known = np.isfinite(values)
    family = shortcut_of(name)
    spreads = _spread(values[known & ~sides.second]), _spread(values[known & sides.second])
    auc, higher = Estimate(0.5, 0.5, 1.0, 0.95, "delong", 0), sides.names[1]
    if all(spread.num_known for spread in spreads):
        straight = delong(sides.second[known], values[known], groups=sides.groups[known])
        auc, higher = _better_way(straight), sides.names[int(straight.value >= 0.5)]
    return Fact(
        name=name,
        meaning=family.meaning,
        remedy=family.remedy,
        in_header=family.in_header,
        auc=auc,
        p_value=p_value,
        found=p_value <= ERROR_OF_FACTS,
        higher=higher,
        spreads=spreads,
    )


def _outstanding(fact: Fact) -> tuple[bool, float, float, str]:
    """Sorting key: found ones first, then by AUC; of equal ones the one whose classes lie farther apart for their spread."""
    real, fake = fact.spreads
    within = (real.high - real.low) + (fake.high - fake.low)
    apart = abs(real.median - fake.median)
    without_spread = math.inf if apart else 0.0
    clear = apart / within if within else without_spread
    return not fact.found, -round(fact.auc.value, 3), -clear, fact.name


def _better_way(straight: Estimate) -> Estimate:
    """An AUC read in its better direction; an interval that holds 0.5 then begins at 0.5."""
    from dataclasses import replace

    low, high = straight.low, straight.high
    if straight.value < 0.5:
        low, high = 1.0 - high, 1.0 - low
    value = max(straight.value, 1.0 - straight.value)
    return replace(straight, value=value, low=max(0.5, low), high=max(high, 1.0 - low if low < 0.5 else 0.0))


def _spread(values: Numbers) -> Spread:
    if not len(values):
        return Spread(0.0, 0.0, 0.0, 0.0, 0)
    low, median, high = np.quantile(values, [0.05, 0.5, 0.95])
    return Spread(float(low), float(median), float(high), float(values.mean()), len(values))


def _owners(clips: Sequence[Clip], fake: Truths) -> tuple[str, Indices]:
    """Whose clips are kept whole: people, where most clips name one and there are enough of them in each class."""
    people = [group_value(clip.groups, "identity") for clip in clips]
    if sum(bool(name) for name in people) >= len(clips) / 2:
        groups = number_groups(len(clips), people)
        if min(len(np.unique(groups[fake == label])) for label in (False, True)) >= FEWEST_GROUPS:
            return "identity", groups
    return "", np.arange(len(clips))


def _balances(clips: Sequence[Clip], fake: Truths) -> tuple[Balance, ...]:
    found = []
    for by in OWNERS:
        counts: dict[str, list[int]] = {}
        for clip, label in zip(clips, fake.tolist(), strict=True):
            value = group_value(clip.groups, by)
            if value:
                counts.setdefault(value, [0, 0])[label] += 1
        if len(counts) > 1:
            lone = [value for value, (real, forged) in counts.items() if not (real and forged)]
            of_lone = sum(sum(counts[value]) for value in lone)
            largest = sorted(counts.items(), key=lambda item: (-sum(item[1]), item[0]))[:MOST_EXAMPLES]
            total = sum(map(sum, counts.values()))
            rows = tuple((value, real, forged) for value, (real, forged) in largest)
            found.append(Balance(by, len(counts), len(lone), of_lone / total, rows))
    return tuple(found)


def _shared(clips: Sequence[Clip]) -> tuple[SharedGroup, ...]:
    parts = [clip.split for clip in clips]
    found = []
    for by in OWNERS:
        leaks = find_leaks(clips, parts, by=[by])
        if leaks:
            num_clips = sum(count for leak in leaks for _, count in leak.parts)
            found.append(SharedGroup(by, len(leaks), num_clips, tuple(leak.value for leak in leaks[:MOST_EXAMPLES])))
    return tuple(found)


def _copies(table: ProbeTable) -> tuple[Copies, ...]:
    found = []
    for sense, prints, most_bits in (("sound", table.sounds, SOUND_BITS), ("picture", table.pictures, PICTURE_BITS)):
        pairs = near_copies(prints.bits, prints.known, most_bits=most_bits)
        if len(pairs):
            found.append(_copies_of(sense, pairs, table.clips))
    return tuple(found)


def _copies_of(sense: str, pairs: Indices, clips: Sequence[Clip]) -> Copies:
    splits = np.array([clip.split or "" for clip in clips], dtype=object)[pairs]
    labels = np.array([-1 if clip.label is None else clip.label for clip in clips])[pairs]
    apart = (splits[:, 0] != splits[:, 1]) & (splits != "").all(axis=1)
    mixed = (labels[:, 0] != labels[:, 1]) & (labels >= 0).all(axis=1)
    shown = pairs[np.argsort(~apart, kind="stable")[:MOST_EXAMPLES]]
    examples = tuple((clips[first].name, clips[second].name) for first, second in shown.tolist())
    return Copies(sense, len(pairs), int(apart.sum()), int(mixed.sum()), examples)


def _short_names(first: str, second: str) -> tuple[str, str]:
    """The folders' own names, told apart where they are alike."""
    names = Path(first).resolve().name, Path(second).resolve().name
    return names if names[0] != names[1] else (first, second)
