"""An evaluation as a folder for people: report.html (self-contained) and model_card.md, both from the numbers of one table.

EvaluationTable + scores + shards ─▶ ReportData ─┬▶ report_page ─▶ report.html
                                                 └▶ model_card  ─▶ model_card.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ffdv.data.shards import Shards
from ffdv.errors import MetricError
from ffdv.metrics.confidence import Confidence
from ffdv.metrics.decision import Decision
from ffdv.metrics.ranking import clopper_pearson
from ffdv.metrics.uncertainty import Estimate, bootstrap, share_above
from ffdv.training.mistakes import Mistake, show_mistakes, surest_mistakes
from ffdv.whole_file import write_atomically

if TYPE_CHECKING:
    from ffdv.models.checkpoint import CheckpointHeader
    from ffdv.training.evaluate import EvaluationRow, EvaluationTable

MISTAKES_SHOWN = 6  # of each kind
EVEN = 0.5


@dataclass(frozen=True)
class JudgedClips:
    """The clips behind a table: rows of the shards, labels, the net's logits and the calibrated scores, each (n,), and what stays
    together in intervals.
    """

    rows: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    groups: Sequence[str | None] | None


@dataclass(frozen=True)
class AtThreshold:
    """What calling fake above `value` does on these clips; meant_for: a wanted false-alarm rate, None for even odds."""

    value: float
    meant_for: float | None
    false_alarms: Estimate
    hits: Estimate


@dataclass(frozen=True)
class SourceRow:
    """One source at a threshold of 0.5: counts, share of its reals called fake, share of its fakes found, each (value, low, high)."""

    name: str
    num_real: int
    num_fake: int
    false_alarms: tuple[float, float, float] | None
    hits: tuple[float, float, float] | None


@dataclass(frozen=True)
class ReportData:
    """Everything that page and card show.

    by_group: rows by column (method ...), worst first; num_groups: how many values stay together in intervals; called_fake,
    called_real: mistakes.
    """

    table: EvaluationTable
    header: CheckpointHeader
    clips: JudgedClips
    by_group: Mapping[str, tuple[EvaluationRow, ...]]
    sources: tuple[SourceRow, ...]
    thresholds: tuple[AtThreshold, ...]
    num_groups: int
    called_fake: tuple[Mistake, ...]
    called_real: tuple[Mistake, ...]

    @property
    def confidence(self) -> Confidence:
        """Calibration, risk and coverage, which every table with numbers has."""
        assert self.table.confidence is not None
        return self.table.confidence


def write_report(
    folder: Path,
    *,
    table: EvaluationTable,
    clips: JudgedClips,
    shards: Shards,
    header: CheckpointHeader,
    by_group: Mapping[str, tuple[EvaluationRow, ...]],
    lang: str = "en",
    resamples: int = 1000,
) -> None:
    """Write report.html and model_card.md, each whole or not at all.

    Raises MetricError when the clips lack a class (there is nothing to draw), RecipeError for an unknown language.
    """
    from ffdv.training.model_card import as_markdown
    from ffdv.training.report_page import as_html

    if not table.overall.numbers:
        raise MetricError(
            f"{table.data}: a report needs real and fake clips, there are {table.overall.num_real} and {table.overall.num_fake}"
        )
    data = gather(table, clips, shards, header, by_group=by_group, resamples=resamples)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "report.html", as_html(data, lang=lang).encode("utf-8", "backslashreplace"))
    write_atomically(folder / "model_card.md", as_markdown(data).encode("utf-8", "backslashreplace"))


def gather(
    table: EvaluationTable,
    clips: JudgedClips,
    shards: Shards,
    header: CheckpointHeader,
    *,
    by_group: Mapping[str, tuple[EvaluationRow, ...]],
    resamples: int,
) -> ReportData:
    """All numbers and media of a report."""
    decision = Decision.from_json(json.dumps(header.decision)) if header.decision else None
    rows = clips.rows.tolist()
    mistakes = {}
    for label in (0, 1):
        chosen = surest_mistakes(clips.labels, clips.scores, label=label, most=MISTAKES_SHOWN, threshold=EVEN)
        scores = [float(clips.scores[at]) for at in chosen]
        mistakes[label] = tuple(show_mistakes(shards, [rows[at] for at in chosen], scores))
    values = shards.group("source")
    groups = clips.groups
    return ReportData(
        table=table,
        header=header,
        clips=clips,
        by_group=by_group,
        sources=source_rows(clips, [values[row] or "" for row in rows]),
        thresholds=_thresholds(clips, decision, resamples),
        num_groups=len({name for name in groups if name}) if groups is not None else 0,
        called_fake=mistakes[0],
        called_real=mistakes[1],
    )


def source_rows(clips: JudgedClips, sources: Sequence[str]) -> tuple[SourceRow, ...]:
    """Each source's mistakes at a threshold of 0.5 with Clopper-Pearson intervals, most mistakes first; empty without sources."""
    named = np.array(sources, dtype=object)
    rows = []
    for name in sorted({source for source in sources if source}):
        inside = named == name
        above = clips.scores > EVEN
        real, fake = inside & (clips.labels == 0), inside & (clips.labels == 1)
        rows.append(SourceRow(name, int(real.sum()), int(fake.sum()), _share(above[real]), _share(above[fake])))
    return tuple(sorted(rows, key=lambda row: -_mistakes(row)))


def _share(hits: npt.NDArray[np.bool_]) -> tuple[float, float, float] | None:
    if not len(hits):
        return None
    return float(hits.mean()), *clopper_pearson(int(hits.sum()), len(hits))


def _mistakes(row: SourceRow) -> float:
    wrong = row.false_alarms[0] * row.num_real if row.false_alarms else 0.0
    wrong += (1.0 - row.hits[0]) * row.num_fake if row.hits else 0.0
    return wrong / (row.num_real + row.num_fake)


def _thresholds(clips: JudgedClips, decision: Decision | None, resamples: int) -> tuple[AtThreshold, ...]:
    """Even odds, then those that the run was given for wanted false-alarm rates and that promise something."""
    wanted: list[tuple[float, float | None]] = [(EVEN, None)]
    if decision is not None:
        wanted += [(each.value, each.wanted) for each in decision.thresholds if each.enough]
    return tuple(
        AtThreshold(
            value,
            meant_for,
            *(
                bootstrap(
                    clips.labels,
                    clips.scores,
                    metric=share_above(value, of_fakes=of_fakes),
                    groups=clips.groups,
                    resamples=resamples,
                )
                for of_fakes in (False, True)
            ),
        )
        for value, meant_for in wanted
    )
