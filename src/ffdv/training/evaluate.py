"""How well a run does on labelled clips: a table with intervals, beside what shortcuts alone would reach.

    RUN/best.safetensors + shards ─▶ which clips ─▶ predict ─▶ calibrate ─▶ EvaluationTable (all, then each group, worst first)
                                          └─ neutralise ─▶ predict ─▶ the same table beside it
    scores.csv + labelled clips ─▶ which have a score ─────────────────────▶ the same table (training/outside)

Clips that the run was trained on are never part of the table unless they are asked for by name, and then it says so.
"""

from __future__ import annotations

import csv
import io
import json as json_format
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ffdv.arguments import one_path
from ffdv.data.corpus import group_spellings, owners
from ffdv.data.facts import ClipFacts, open_facts
from ffdv.data.neutral import neutral_steps, neutralise_shards
from ffdv.data.seen import (
    GROUP_CURE,
    TABLE_GROUP_CURE,
    LabelledClips,
    choose_clips,
    data_hash,
    data_hash_of,
    is_same_corpus,
    num_named_alike,
    read_parts,
    taught_names,
)
from ffdv.data.shards import Shards, open_shards
from ffdv.errors import CheckpointError, ManifestError, RecipeError
from ffdv.metrics.calibration import Calibration
from ffdv.metrics.confidence import Confidence, measure_confidence
from ffdv.metrics.decision import Decision
from ffdv.metrics.ranking import reals_needed, tpr_at_fpr
from ffdv.metrics.uncertainty import Estimate, bootstrap, check_settings, enough_reals
from ffdv.sentences import Sentence, joined
from ffdv.training.localising import Localisation, localise
from ffdv.training.outside import is_score_table, scores_of_table
from ffdv.training.shortcuts import AuditLine, audit_line
from ffdv.whole_file import write_atomically

if TYPE_CHECKING:
    from ffdv.training.engine import ScoredClips

_RATES = (1e-3, 0.01, 0.05)
_TPRS = ("tpr_at_fpr", "tpr_at_fpr_0.01", "tpr_at_fpr_0.05")  # at one false alarm in a thousand, a hundred, twenty
NUMBERS = ("auc", "average_precision", "eer", *_TPRS, "accuracy", "log_loss", "brier", "ece")
_RANKINGS = frozenset({"auc", "average_precision", "eer", *_TPRS})
GROUP_NUMBERS = ("auc", "eer", "accuracy")  # a group's few fakes hold no more
ENOUGH_REALS = 20  # of the fakes' own sources; with fewer, a group's fakes are set against all reals
FORMAT_VERSION = 1
BEST_NAME, LAST_NAME = "best.safetensors", "last.safetensors"


@dataclass(frozen=True)
class EvaluationRow:
    """Numbers of some clips: a group's fakes against reals, or all.

    name: the group's value, or "all"; reals: which reals the fakes were set against; numbers by name, each with its
    interval; empty where they are undefined (one class only), and without a TPR at a false-alarm rate that so few reals cannot
    carry (a warning of the table says how many it takes).
    """

    name: str
    num_real: int
    num_fake: int
    reals: str
    numbers: Mapping[str, Estimate]


@dataclass(frozen=True)
class Neutralised:
    """The same clips after the same treatment of both classes (data/neutral): steps, rows as in the table (by name, in an order of
    their own), the shortcuts that are left, and what must be known of the treatment.
    """

    steps: tuple[str, ...]
    rows: tuple[EvaluationRow, ...]
    audit: AuditLine
    warnings: tuple[Sentence, ...] = ()

    def row(self, name: str) -> EvaluationRow | None:
        """The row of this name, None where it has none."""
        return next((row for row in self.rows if row.name == name), None)


@dataclass(frozen=True, repr=False)
class EvaluationTable:
    """The first row is over all clips; the others by group, lowest AUC first.

    part: which clips, in words; interval_groups: the column whose values stay together in the bootstrap ("" = none);
    warnings: what a reader must know before believing the numbers; audit: the shortcuts on the same clips; confidence: calibration
    before and after, reliability, risk against coverage, and the stored thresholds on these clips, None with one class only;
    neutralised: the same numbers on neutralised clips, None where they were not asked for; localisation: how well forged seconds are
    found, None where no judged fake has windows and known forged seconds; about: how it came about: versions, data, recipe and seed of
    the run, hash of these shards, and the bootstrap.
    """

    model: str
    data: str
    part: Sentence
    by: str | None
    interval_groups: str
    rows: tuple[EvaluationRow, ...]
    audit: AuditLine
    warnings: tuple[Sentence, ...]
    confidence: Confidence | None = None
    neutralised: Neutralised | None = None
    localisation: Localisation | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """One line: the rows are in `cells`, everything is in `to_json`."""
        overall, auc = self.overall, self.overall.numbers.get("auc")
        return (
            f"EvaluationTable({self.model!r} on {self.data!r}, {overall.num_real} real, {overall.num_fake} fake, "
            f"auc={auc or 'undefined'}, {len(self.rows)} rows, {len(self.warnings)} warnings)"
        )

    @property
    def overall(self) -> EvaluationRow:
        """All clips."""
        return self.rows[0]

    def headings(self) -> list[str]:
        """Columns of `cells`."""
        return [self.by or "clips", "real", "fake", "against", *NUMBERS]

    def cells(self) -> list[list[str]]:
        """The table as text, a row a line; an undefined or unasked number is empty."""
        return [
            [row.name, str(row.num_real), str(row.num_fake), row.reals]
            + [str(row.numbers[name]) if name in row.numbers else "" for name in NUMBERS]
            for row in self.rows
        ]

    def to_json(self) -> str:
        """Everything, for machines, with the format's version."""
        return json_format.dumps({"version": FORMAT_VERSION, **asdict(self)}, indent=1, default=str)


def evaluate(
    model: Path | str,
    *,
    data: Path | str,
    by: str | None = None,
    split: str | None = None,
    neutralise: bool = False,
    steps: str | Sequence[str] | None = None,
    json: Path | str | None = None,
    scores: Path | str | None = None,
    report: Path | str | None = None,
    lang: str = "en",
    resamples: int = 1000,
) -> EvaluationTable:
    """The table of a run (its folder, or best.safetensors) on prepared shards; or of a CSV of scores that anything gave.

    A CSV (video_name, y_pred, as `predict` writes it) is judged on shards, or on a labelled corpus that was not prepared: its
    scores are taken for probabilities, there is nothing to neutralise and no report, and a corpus has no shortcuts beside it.

    by: a row for each value of this group column; split: only these clips, as the corpus or the run calls the part; by
    default those that the run has never seen: its test part, else its validation part on the data that it was trained on,
    and all labelled clips elsewhere. neutralise: judge the same clips once more after both classes went through one trim, band,
    loudness and encoder; steps: these remedies of the audit instead (implies neutralise). json: write the numbers to this file as
    well; scores: a CSV of each judged clip (video_name, target, y_pred, logit); report: write report.html (in `lang`, en or zh)
    and model_card.md into this folder; resamples: of each bootstrap.
    Raises CheckpointError, ShardError, ManifestError (no such part or column, no labels), RecipeError (no such step), MetricError
    (too few resamples), SubmissionError (no table of scores), with the cure.
    """
    check_settings(resamples=resamples)
    data = one_path(data)
    taken = neutral_steps(steps) if neutralise or steps is not None else ()
    if is_score_table(model):
        if taken or report is not None:
            raise RecipeError(f"{model}: scores in a table cannot be neutralised or get a report; give a run for that")
        judged, table = _judge_table(Path(model), data, by=by, split=split, resamples=resamples)
        _write_numbers(judged, table, scores=scores, json=json)
        return table
    folder = Path(model) if Path(model).is_dir() else Path(model).parent
    checkpoint_path = folder / BEST_NAME if Path(model).is_dir() else Path(model)
    shards = open_shards(data)
    _refuse_unknown_column(shards, by, data)
    own = own_parts(checkpoint_path, shards)
    chosen = choose_clips(LabelledClips.of_shards(shards), own, split)
    judged = score_run(checkpoint_path, shards, chosen.rows)
    taught = warn_of_taught(checkpoint_path, [shards.names[row] for row in chosen.rows.tolist()], own)
    names = TableNames(str(model), str(data), chosen.part)
    table = tabulate(
        judged.scored,
        shards,
        calibration=judged.calibration,
        decision=judged.decision,
        by=by,
        names=names,
        warnings=(*taught, *chosen.warnings, *judged.warnings),
        resamples=resamples,
    )
    table = replace(
        table,
        localisation=_localisation(judged.scored, shards, resamples),
        about=_about(checkpoint_path, shards, resamples),
    )
    if taken:
        of_same = _neutralised(checkpoint_path, shards, judged.scored.names, taken, by=by, resamples=resamples)
        table = replace(table, neutralised=of_same)
    _write_numbers(judged, table, scores=scores, json=json)
    if report is not None:
        _write_report(Path(report), checkpoint_path, shards, judged=judged, table=table, lang=lang, resamples=resamples)
    return table


def _judge_table(
    path: Path, data: Path, *, by: str | None, split: str | None, resamples: int
) -> tuple[RunOpinions, EvaluationTable]:
    """What a CSV of scores says of labelled clips, and the table of it. Nobody knows what gave them was taught, so no part is unseen."""
    from ffdv import __version__

    clips = open_facts(data)
    _refuse_unknown_column(clips, by, data)
    chosen = choose_clips(
        replace(LabelledClips.of_shards(clips), usable=np.ones(len(clips.names), np.bool_)), {}, split
    )
    scored, given, warnings = scores_of_table(path, clips, chosen.rows)
    even = Calibration()  # they are judged as they stand
    table = tabulate(
        scored,
        clips,
        calibration=even,
        by=by,
        names=TableNames(str(path), str(data), chosen.part),
        warnings=(*chosen.warnings, *warnings),
        resamples=resamples,
    )
    about = {"ffdv": __version__, "bootstrap": _bootstrap_facts(resamples)}
    return RunOpinions(scored, even, None, given=given), replace(table, about=about)


def _refuse_unknown_column(clips: ClipFacts, by: str | None, data: Path | str) -> None:
    if by is not None and not any(clips.group(by)):
        known = ", ".join(clips.group_names) or "none"
        cure = GROUP_CURE if isinstance(clips, Shards) else TABLE_GROUP_CURE
        raise ManifestError(f"{data}: no clip has a {by!r}; group columns are {known}; {cure}")


def _write_numbers(
    judged: RunOpinions, table: EvaluationTable, *, scores: Path | str | None, json: Path | str | None
) -> None:
    """The files that were asked for."""
    if scores is not None:
        _write_clip_scores(Path(scores), judged)
    if json is not None:
        write_atomically(Path(json), table.to_json().encode())


def _bootstrap_facts(resamples: int) -> dict[str, Any]:
    return {
        "resamples": resamples,
        "seed": 0,
        "method": "BCa, classes kept; calibration errors by inversion",
    }


def _about(path: Path, shards: Shards, resamples: int) -> dict[str, Any]:
    """What a paper's table needs to be made again."""
    from ffdv import __version__
    from ffdv.models.checkpoint import read_header

    header = read_header(path)
    recipe: Mapping[str, Any] = header.recipe
    seeds = {
        name: recipe[name].get("seed") for name in ("training", "loader", "split") if isinstance(recipe.get(name), dict)
    }
    return {
        "ffdv": __version__,
        "data_hash": data_hash(shards),
        "run": {"recipe": recipe.get("name"), "seeds": seeds, "provenance": dict(header.provenance)},
        "bootstrap": _bootstrap_facts(resamples),
    }


def _write_clip_scores(path: Path, judged: RunOpinions) -> None:
    """Each judged clip's name, label, calibrated probability and logit, for tables and tests of one's own; given scores as they stand."""
    scored, given = judged.scored, judged.given
    told = _probabilities(scored, judged.calibration) if given is None else given
    texts = [f"{p:.9g}" if given is None else repr(p) for p in told.tolist()]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("video_name", "target", "y_pred", "logit"))
    writer.writerows(
        (name, label, probability, f"{logit:.9g}")
        for name, label, probability, logit in zip(
            scored.names, scored.labels.tolist(), texts, scored.logits.tolist(), strict=True
        )
    )
    write_atomically(path, text.getvalue().encode("utf-8", "surrogateescape"))


@dataclass(frozen=True)
class TableNames:
    """What a table is of."""

    model: str
    data: str
    part: Sentence


def own_parts(path: Path, shards: Shards) -> dict[str, str]:
    """What each clip served for in the run's training, by name; empty when it was trained on other data."""
    parts, known = parts_of_run(path, shards)
    return parts if known else {}


def parts_of_run(path: Path, shards: Shards) -> tuple[dict[str, str], bool]:
    """What each clip served for in the training of the checkpoint at `path`, by name, and whether it was trained on this corpus.

    That may have been prepared again since, with a clip more, another label, column or rate: most of its names are the run's
    then. Raises CheckpointError when it was and does not say; a lone checkpoint of other data has no parts.
    """
    from ffdv.models.checkpoint import read_header

    known = data_hash_of(read_header(path).provenance) == data_hash(shards)
    if known:
        return read_parts(path.parent), True
    parts = _parts_beside(path)
    return parts, is_same_corpus(parts, shards.names)


def warn_of_taught(path: Path, names: Sequence[str], own: Mapping[str, str]) -> tuple[Sentence, ...]:
    """That clips of other data are named like training clips of the run at `path`, where they are."""
    count = 0 if own else num_named_alike(names, taught_names(_parts_beside(path)))
    if not count:
        return ()
    return (
        Sentence(
            "{count} of the {total} clips are named like clips that the run was trained on; if they are the same, these numbers flatter it",
            count=count,
            total=len(names),
        ),
    )


def _parts_beside(path: Path) -> dict[str, str]:
    """The parts that lie beside a checkpoint; empty where there are none to be read: nothing tells then what it saw."""
    try:
        return read_parts(path.parent)
    except CheckpointError:
        return {}


@dataclass(frozen=True)
class RunOpinions:
    """Opinions of a checkpoint on some clips, its calibration and thresholds (None where it holds none), and what could not be judged;
    given (n,): the scores of a table as they stand there, None where a net judged.
    """

    scored: ScoredClips
    calibration: Calibration | None
    decision: Decision | None
    warnings: tuple[Sentence, ...] = ()
    given: npt.NDArray[np.float64] | None = None


def score_run(path: Path, shards: Shards, rows: npt.NDArray[np.int64]) -> RunOpinions:
    """Let the checkpoint at `path` judge clips by row. Raises CheckpointError, or ShardError when it can judge none of them."""
    from lightning_fabric import Fabric

    from ffdv.models.checkpoint import load_checkpoint
    from ffdv.training.engine import predict
    from ffdv.training.kinds import Asked, kind_of, restore_embedding_range, restore_net
    from ffdv.training.plan import recipe_from

    checkpoint = load_checkpoint(path)
    recipe = recipe_from(checkpoint.header.recipe, where=str(path), trained_before=True)
    fabric = Fabric(accelerator="auto", devices=1, precision=recipe.training.precision)
    net = fabric.to_device(restore_net(checkpoint))
    loader = kind_of(recipe).loader(Asked(shards, recipe, rows.tolist(), training=False, folder=path.parent))
    near = restore_embedding_range(checkpoint)
    near = None if near is None else near.to(fabric.device)
    scored = predict(fabric, net, loader.epoch(1), how=recipe.training.aggregation, near=near)
    header, calibration, decision = checkpoint.header, None, None
    if header.calibration:
        calibration = Calibration.from_json(json_format.dumps(header.calibration))
    if header.decision:
        decision = Decision.from_json(json_format.dumps(header.decision))
    left_out = loader.left_out.sentence()
    return RunOpinions(scored, calibration, decision, (left_out,) if left_out else ())


def _localisation(scored: ScoredClips, shards: Shards, resamples: int) -> Localisation | None:
    """How well the forged seconds of the judged clips are found."""
    row_of = {name: row for row, name in enumerate(shards.names)}
    where = np.array([row_of[name] for name in scored.names], np.int64)
    _, groups = interval_groups(shards, where)
    return localise(scored, shards, where, groups=list(groups or [None] * len(where)), resamples=resamples)


def _neutralised(
    path: Path, shards: Shards, names: Sequence[str], steps: Sequence[str], *, by: str | None, resamples: int
) -> Neutralised:
    """The table of the named clips once more, neutralised in a temporary folder."""
    row_of = {name: row for row, name in enumerate(shards.names)}
    with tempfile.TemporaryDirectory(prefix="ffdv-neutral-") as folder:
        clips = neutralise_shards(shards, [row_of[name] for name in names], out=folder, steps=steps)
        judged = score_run(path, clips.shards, np.arange(len(clips.shards)))
        table = tabulate(
            judged.scored,
            clips.shards,
            calibration=judged.calibration,
            by=by,
            names=TableNames(str(path), str(shards.folder), Sentence("the same clips, neutralised")),
            resamples=resamples,
        )
    return Neutralised(clips.steps, table.rows, table.audit, (*clips.warnings, *judged.warnings))


def _write_report(
    folder: Path, path: Path, shards: Shards, *, judged: RunOpinions, table: EvaluationTable, lang: str, resamples: int
) -> None:
    """Page and model card of a table, with a table by method beside that by the asked column."""
    from ffdv.models.checkpoint import read_header
    from ffdv.training.report import JudgedClips, write_report

    clips = _clips_of(judged.scored, shards, judged.calibration, resamples)
    by_group = {} if table.by is None else {table.by: table.rows[1:]}
    if not set(group_spellings("method")).intersection(by_group) and any(
        methods := _column(shards, "method", clips.where)
    ):
        by_group["method"] = tuple(_group_rows(clips, methods, "method"))
    write_report(
        folder,
        table=table,
        clips=JudgedClips(clips.where, clips.labels, clips.logits, clips.scores, clips.groups),
        shards=shards,
        header=read_header(path),
        by_group=by_group,
        lang=lang,
        resamples=resamples,
    )


def tabulate(
    scored: ScoredClips,
    shards: ClipFacts,
    *,
    calibration: Calibration | None,
    decision: Decision | None = None,
    by: str | None,
    names: TableNames,
    warnings: Sequence[Sentence] = (),
    resamples: int = 1000,
) -> EvaluationTable:
    """The table of opinions on clips of these shards; without `calibration` the net's own probabilities are judged."""
    clips = _clips_of(scored, shards, calibration, resamples)
    where = clips.where
    said = list(warnings)
    if calibration is None:
        said.append(Sentence("the run holds no calibration: log_loss, brier and ece judge the raw scores"))
    overall = clips.row("all", np.ones(len(clips.labels), dtype=bool), numbers=NUMBERS, reals="all")
    said += _undefined(overall) or _few_reals(clips)
    rows = [] if by is None else _group_rows(clips, _column(shards, by, where), by)
    audit = audit_line(
        clips.labels,
        {probe: shards.probe(probe)[where] for probe in shards.probe_names},
        groups=clips.groups,
        net_auc=overall.numbers["auc"].value if overall.numbers else None,
    )
    confidence = None
    if overall.numbers:
        confidence = measure_confidence(
            clips.labels, clips.logits, calibration=calibration, decision=decision, distances=scored.distances
        )
    return EvaluationTable(
        model=names.model,
        data=names.data,
        part=names.part,
        by=by,
        interval_groups=clips.groups_by,
        rows=(overall, *rows),
        audit=audit,
        warnings=tuple(said),
        confidence=confidence,
    )


@dataclass(frozen=True)
class _Clips:
    """Labels (n,), logits (n,) to rank by, scores (n,) to judge as probabilities, what stays together in intervals, where each clip
    is from, and its row in the shards.
    """

    labels: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    groups_by: str
    groups: Sequence[str | None] | None
    sources: Sequence[str | None]
    resamples: int
    where: npt.NDArray[np.int64]

    def row(self, name: str, chosen: npt.NDArray[np.bool_], *, numbers: Sequence[str], reals: str) -> EvaluationRow:
        """The asked numbers over the chosen clips; none where a class is missing."""
        labels = self.labels[chosen]
        # Probabilities of very sure nets are all the same in the end; the net's own order is in its logits.
        values = {number: (self.logits if number in _RANKINGS else self.scores)[chosen] for number in numbers}
        groups = None if self.groups is None else [self.groups[at] for at in np.flatnonzero(chosen).tolist()]
        real, fake = np.bincount(labels, minlength=2).tolist()
        estimates = {}
        if real and fake:
            estimates = {
                number: bootstrap(labels, values[number], metric=number, groups=groups, resamples=self.resamples)
                for number in numbers
                if enough_reals(number, real)
            }
        return EvaluationRow(name, real, fake, reals, estimates)


def _clips_of(scored: ScoredClips, shards: ClipFacts, calibration: Calibration | None, resamples: int) -> _Clips:
    """The judged clips with what the shards know of them."""
    index_of = {name: index for index, name in enumerate(shards.names)}
    where = np.array([index_of[name] for name in scored.names], dtype=np.int64)
    return _Clips(
        scored.labels,
        scored.logits,
        _probabilities(scored, calibration),
        *interval_groups(shards, where),
        _column(shards, "source", where),
        resamples,
        where,
    )


def _probabilities(scored: ScoredClips, calibration: Calibration | None) -> npt.NDArray[np.float64]:
    """Calibrated where the run holds a calibration, else the net's own."""
    return scored.scores if calibration is None else calibration.apply(scored.logits)


def _column(shards: ClipFacts, by: str, where: npt.NDArray[np.int64]) -> list[str | None]:
    """A group column at these clips."""
    values = shards.group(by)
    return [values[index] for index in where]


def interval_groups(shards: ClipFacts, where: npt.NDArray[np.int64]) -> tuple[str, Sequence[str | None] | None]:
    """The column whose values stay together: identities, or sources where more is known of them (data/corpus.owners)."""
    return owners(_column(shards, "identity", where), _column(shards, "source", where))


def _group_rows(clips: _Clips, values: Sequence[str | None], by: str) -> list[EvaluationRow]:
    """A row for each value that some fake has: its fakes against its own reals, its sources' reals, or all reals."""
    rows = []
    of_group = np.array([value or "" for value in values], dtype=object)
    sources = np.array([source or "" for source in clips.sources], dtype=object)
    real = clips.labels == 0
    for value in sorted({name for name, label in zip(of_group, clips.labels, strict=True) if name and label == 1}):
        fakes = (of_group == value) & ~real
        own = real & (of_group == value)
        same_source = real & np.isin(sources, [name for name in np.unique(sources[fakes].astype(str)) if name])
        against, words = next(
            (choice, text)
            for choice, text in ((own, f"same {by}"), (same_source, "same source"), (real, "all"))
            if choice.sum() >= ENOUGH_REALS or choice is real
        )
        rows.append(clips.row(value, fakes | against, numbers=GROUP_NUMBERS, reals=words))
    return sorted(rows, key=lambda row: row.numbers["auc"].value if row.numbers else math.inf)


def _undefined(row: EvaluationRow) -> list[Sentence]:
    """Why the table has no numbers, where it has none."""
    if row.numbers:
        return []
    return [
        Sentence(
            "{real} real and {fake} fake clips: no number is defined without both classes",
            real=row.num_real,
            fake=row.num_fake,
        )
    ]


def _few_reals(clips: _Clips) -> list[Sentence]:
    """Which false-alarm rates so few reals cannot carry, and how many they take."""
    num_real = int((clips.labels == 0).sum())
    lacking = [rate for rate in _RATES if num_real < reals_needed(rate)]
    if not lacking:
        return []
    first = tpr_at_fpr(clips.labels, clips.logits, fpr=lacking[0]).warning
    others = [Sentence("at {fpr:g} it takes {needed:,}", fpr=rate, needed=reals_needed(rate)) for rate in lacking[1:]]
    return [] if first is None else [joined([first, *others])]
