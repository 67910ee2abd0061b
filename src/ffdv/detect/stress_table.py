"""What each alteration does to a detector, in numbers: AUC, false alarms and hits, beside the same clips unaltered.

The threshold is fixed once, on the unaltered real clips, as a user would have it; then the clips change and it does not.
Differences are paired: a resample takes the same people altered and unaltered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ffdv.metrics.abstention import Verdict
from ffdv.metrics.ranking import Groups, Numbers, tpr_at_fpr
from ffdv.metrics.uncertainty import Difference, Estimate, Metric, bootstrap, compare, share_above
from ffdv.records import FAKE, REAL
from ffdv.sentences import Sentence

FORMAT_VERSION = 1
UNALTERED = "unaltered"
OVERALL = "overall"  # the score itself, beside those of single senses
_SENSES = {"voice": Sentence("voice"), "picture": Sentence("picture"), "agreement": Sentence("match of lips and sound")}
WORDS: tuple[Verdict, ...] = ("fake", "cannot tell", "real")
FEWEST = 5  # real and fake clips that a row needs before it has numbers


@dataclass(frozen=True)
class Called:
    """What the verdict says of a row's clips: how many real and how many fake ones it calls each of WORDS.

    Unlike the fixed threshold it may leave a clip open, and dares less where the clip is unlike what training saw.
    """

    real: tuple[int, int, int]
    fake: tuple[int, int, int]


@dataclass(frozen=True)
class StressRow:
    """One alteration as one sense judges it ("overall": the score).

    Counts are of clips scored both altered and unaltered; num_failed: scored unaltered, but not altered. AUC, share of reals
    called fake and share of fakes found at the fixed threshold, each with its interval and with its change against the same
    clips unaltered (None in the row of the unaltered clips, and where there are too few). called: of the score's rows, where
    the model gives verdicts.
    """

    family: str
    level: str
    sense: str
    num_real: int
    num_fake: int
    num_failed: int
    auc: Estimate | None = None
    false_alarms: Estimate | None = None
    hits: Estimate | None = None
    auc_change: Difference | None = None
    false_alarms_change: Difference | None = None
    hits_change: Difference | None = None
    called: Called | None = None


@dataclass(frozen=True)
class StressTable:
    """All rows, the unaltered first for each sense; thresholds by sense, fixed at `wanted` false alarms on unaltered clips.

    part: which clips, in words; groups_by: the column whose values stay together in intervals ("" = none);
    seconds_per_score: median wall time to alter and to judge one clip once; failures: scores that are not there, each a row
    with its reason in scores.csv; warnings: what a reader must know.
    """

    model: str
    data: str
    part: Sentence
    wanted: float
    thresholds: Mapping[str, float]
    groups_by: str
    rows: tuple[StressRow, ...]
    max_seconds: float
    seconds_per_score: float
    failures: int = 0
    warnings: tuple[Sentence, ...] = ()

    @property
    def senses(self) -> tuple[str, ...]:
        """The score first, then single senses where there are several."""
        return tuple(dict.fromkeys(row.sense for row in self.rows))

    def unaltered(self, sense: str) -> StressRow:
        """The row that the others are compared with."""
        return next(row for row in self.rows if row.family == UNALTERED and row.sense == sense)

    def altered(self, sense: str) -> tuple[StressRow, ...]:
        """All other rows of a sense."""
        return tuple(row for row in self.rows if row.family != UNALTERED and row.sense == sense)

    def to_json(self) -> str:
        """Everything, for machines, with the format's version."""
        return json.dumps({"version": FORMAT_VERSION, **asdict(self)}, indent=1, ensure_ascii=False)

    def headings(self) -> list[str]:
        """Columns of `cells`."""
        numbers = [f"{name}{end}" for name in ("auc", "false_alarms", "hits") for end in ("", "_low", "_high")]
        changes = [f"{name}_change{end}" for name in ("auc", "false_alarms", "hits") for end in ("", "_low", "_high")]
        called = [f"{of}_called_{word.replace(' ', '_')}" for of in ("real", "fake") for word in WORDS]
        return ["family", "level", "sense", "num_real", "num_fake", "num_failed", *numbers, *changes, *called]

    def cells(self) -> list[list[str]]:
        """The table as text for a CSV; a number that is not there is empty."""
        return [
            [row.family, row.level, row.sense, str(row.num_real), str(row.num_fake), str(row.num_failed)]
            + [
                text
                for number in (
                    row.auc, row.false_alarms, row.hits, row.auc_change, row.false_alarms_change, row.hits_change
                )
                for text in _three(number)
            ]
            + ([""] * 2 * len(WORDS) if row.called is None else [str(number) for number in (*row.called.real, *row.called.fake)])
            for row in self.rows
        ]  # fmt: skip


@dataclass(frozen=True)
class Answers:
    """What was said of the chosen clips (n,) under each alteration: name → sense → scores (n,), NaN where there is none.

    verdicts: name → one of WORDS for each clip (n,), "" where there is none.
    """

    labels: npt.NDArray[np.int64]
    groups: Groups | None
    by_alteration: Mapping[tuple[str, str], Mapping[str, Numbers]]
    verdicts: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)


def tabulate(answers: Answers, *, wanted: float, resamples: int) -> tuple[tuple[StressRow, ...], dict[str, float]]:
    """Rows for every sense and alteration, and the threshold of each sense. The unaltered scores are at (UNALTERED, "").

    Raises MetricError when the unaltered clips that could be judged lack a class.
    """
    plain = answers.by_alteration[UNALTERED, ""]
    rows: list[StressRow] = []
    thresholds = {}
    for sense, before in plain.items():
        known = np.isfinite(before)
        if sense != OVERALL and min(_num_judged(answers, sense)) < FEWEST:
            continue  # a sense that judged next to nothing
        thresholds[sense] = tpr_at_fpr(answers.labels[known], before[known], fpr=wanted).threshold
        names = ((UNALTERED, ""), *(name for name in answers.by_alteration if name != (UNALTERED, "")))
        rows += [_row(answers, name, sense, threshold=thresholds[sense], resamples=resamples) for name in names]
    return tuple(rows), thresholds


def left_out(answers: Answers) -> list[Sentence]:
    """Which senses have no rows, and why; and that there are too few clips for any number."""
    said = []
    for sense in answers.by_alteration[UNALTERED, ""]:
        real, fake = _num_judged(answers, sense)
        if min(real, fake) >= FEWEST:
            continue
        if sense == OVERALL:
            text = Sentence(
                "no numbers: only {real} real and {fake} fake clips could be judged, {fewest} of each are needed",
                real=real,
                fake=fake,
                fewest=FEWEST,
            )
        else:
            text = Sentence(
                "no rows for {sense}: it judged {real} real and {fake} fake clips as they are, {fewest} of each are needed",
                sense=_SENSES.get(sense, sense),
                real=real,
                fake=fake,
                fewest=FEWEST,
            )
        said.append(text)
    return said


def _num_judged(answers: Answers, sense: str) -> tuple[int, int]:
    """How many real and fake clips a sense judged as they are."""
    known = np.isfinite(answers.by_alteration[UNALTERED, ""][sense])
    real, fake = np.bincount(answers.labels[known], minlength=2).tolist()
    return real, fake


def _row(answers: Answers, name: tuple[str, str], sense: str, *, threshold: float, resamples: int) -> StressRow:
    before = answers.by_alteration[UNALTERED, ""][sense]
    after = answers.by_alteration[name].get(sense, np.full(len(before), np.nan))
    both = np.isfinite(before) & np.isfinite(after)
    labels = answers.labels[both]
    real, fake = np.bincount(labels, minlength=2).tolist()
    row = StressRow(*name, sense, real, fake, int((np.isfinite(before) & ~both).sum()))
    if sense == OVERALL:
        row = replace(row, called=_called(answers, name, both))
    if min(real, fake) < FEWEST:
        return row
    groups = None if answers.groups is None else [answers.groups[at] for at in np.flatnonzero(both).tolist()]
    metrics: dict[str, str | Metric] = {
        "auc": "auc",
        "false_alarms": share_above(threshold, of_fakes=False),
        "hits": share_above(threshold, of_fakes=True),
    }
    numbers: dict[str, Estimate | Difference] = {
        number: bootstrap(labels, after[both], metric=metric, groups=groups, resamples=resamples)
        for number, metric in metrics.items()
    }
    if name != (UNALTERED, ""):
        numbers |= {
            f"{number}_change": compare(
                labels, before[both], after[both], metric=metric, groups=groups, resamples=resamples
            )
            for number, metric in metrics.items()
        }
    return replace(row, **numbers)  # type: ignore[arg-type]


def _called(answers: Answers, name: tuple[str, str], chosen: npt.NDArray[np.bool_]) -> Called | None:
    """What the verdict says of the chosen clips; None where the model gives none."""
    verdicts = answers.verdicts.get(name, ())
    if not any(verdicts):
        return None

    def count(label: int) -> tuple[int, int, int]:
        own = [verdicts[at] for at in np.flatnonzero(chosen & (answers.labels == label)).tolist()]
        fake, undecided, real = (own.count(word) for word in WORDS)
        return fake, undecided, real

    return Called(count(REAL), count(FAKE))


def _three(number: Estimate | Difference | None) -> Sequence[str]:
    return (
        ("", "", "") if number is None else tuple(f"{value:.6g}" for value in (number.value, number.low, number.high))
    )
