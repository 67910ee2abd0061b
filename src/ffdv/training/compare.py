"""Is one run better than another? Both judge the same clips, which neither was trained on, and the difference gets an interval.

RUN_A, RUN_B (or a CSV of scores) + shards ─▶ clips that neither has seen ─▶ two opinions a clip ─▶ difference in AUC: bootstrap over groups, DeLong
"""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ffdv.arguments import one_path
from ffdv.data.facts import ClipFacts, open_facts
from ffdv.data.seen import SAME_CORPUS_SHARE, LabelledClips, choose_clips, num_named_alike, taught_names
from ffdv.data.shards import Shards, open_shards
from ffdv.errors import ManifestError
from ffdv.metrics.uncertainty import FEWEST_GROUPS, Difference, Estimate, check_settings, compare_delong, delong
from ffdv.metrics.uncertainty import compare as compare_scores
from ffdv.training.evaluate import BEST_NAME, RunOpinions, interval_groups, parts_of_run, score_run
from ffdv.training.outside import is_score_table, scores_of_table
from ffdv.whole_file import write_atomically

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same clips. difference and delong: AUC of b minus AUC of a, by two independent roads.

    part: which clips, in words; interval_groups: the column whose values stay together ("" = none); warnings: what a reader must
    know before believing it.
    """

    run_a: str
    run_b: str
    data: str
    part: str
    num_real: int
    num_fake: int
    interval_groups: str
    auc_a: Estimate
    auc_b: Estimate
    difference: Difference
    delong: Difference
    warnings: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What to conclude, in one sentence."""
        value, low, high = self.difference.value, self.difference.low, self.difference.high
        # The bootstrap's p belongs to its interval; DeLong's is too sure where one person has many of the clips (docs/log.md).
        measured = f"{value:+.3f} AUC [{low:+.3f}, {high:+.3f}], p = {self.difference.p_value:.3g} by bootstrap, {self.delong.p_value:.3g} by DeLong"
        if self.difference.few:
            groups = f"{self.difference.num_groups} independent groups of a class"
            if self.difference.num_groups >= FEWEST_GROUPS:
                groups += f", which tell no more than {self.difference.effective_groups:.1f} of equal size"
            return f"too few to call one better: {groups}, it takes {FEWEST_GROUPS}; {measured}"
        if not (self.difference.significant and self.delong.significant):
            return f"no difference can be shown on these clips: {measured}"
        better, worse = (self.run_b, self.run_a) if value > 0 else (self.run_a, self.run_b)
        return f"{better} ranks better than {worse}: {measured} (second minus first)"

    def to_json(self) -> str:
        """Everything, for machines, with the format's version."""
        return json_format.dumps({"version": FORMAT_VERSION, **asdict(self), "sentence": self.sentence}, indent=1)


def compare(
    run_a: Path | str,
    run_b: Path | str,
    *,
    data: Path | str,
    split: str | None = None,
    json: Path | str | None = None,
    resamples: int = 2000,
) -> Comparison:
    """Compare two runs (folders, or their best.safetensors) by AUC on prepared shards that neither was trained on.

    Either may be a CSV of scores that anything gave (video_name, y_pred); two of them are also compared on a labelled corpus that was
    not prepared. What was behind a CSV may have seen the clips: a warning says so.

    split: only these clips, as the corpus or the runs call the part; by default those that neither run has seen: the test parts'
    common clips, else the clips that chose least, and all labelled clips of other data. json: write the numbers to this file as
    well; resamples: of the bootstrap, whose groups are people or else sources.
    Raises ManifestError when a run was trained on the clips, or nothing is left to compare on; CheckpointError, ShardError,
    MetricError (too few resamples), SubmissionError (no table of scores).
    """
    check_settings(resamples=resamples)
    data = one_path(data)
    shards = open_facts(data) if is_score_table(run_a) and is_score_table(run_b) else open_shards(data)
    sides = [_Side.of(Path(run), shards) for run in (run_a, run_b)]
    rows, part, warnings = _common_clips(shards, sides, split)
    opinions = [side.judge(shards, rows) for side in sides]
    told = [each.warnings for side, each in zip(sides, opinions, strict=True) if is_score_table(side.run)]
    warnings = (*warnings, *(text for texts in told for text in texts))
    labels, logits, names = _paired(opinions)
    if len(np.unique(labels)) < 2:
        real, fake = np.bincount(labels, minlength=2).tolist()
        raise ManifestError(
            f"{data}: {part} has {real} real and {fake} fake clips that both runs can judge; it needs both classes"
        )
    index_of = {name: row for row, name in enumerate(shards.names)}
    by, groups = interval_groups(shards, np.array([index_of[name] for name in names], np.int64))
    if len(names) < len(rows):
        warnings = (*warnings, f"{len(rows) - len(names)} clips cannot be judged by both runs and are left out")
    comparison = Comparison(
        run_a=str(run_a),
        run_b=str(run_b),
        data=str(data),
        part=part,
        num_real=int((labels == 0).sum()),
        num_fake=int((labels == 1).sum()),
        interval_groups=by,
        auc_a=delong(labels, logits[0], groups=groups),
        auc_b=delong(labels, logits[1], groups=groups),
        difference=compare_scores(labels, *logits, groups=groups, resamples=resamples),
        delong=compare_delong(labels, *logits, groups=groups),
        warnings=warnings,
    )
    if json is not None:
        Path(json).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(json), comparison.to_json().encode())
    return comparison


@dataclass(frozen=True)
class _Side:
    """One run: its checkpoint (or table of scores), and what it did with each clip of these shards, by name; known: whether they are its own data."""

    run: Path
    checkpoint: Path
    part_of: Mapping[str, str]
    known: bool

    @classmethod
    def of(cls, run: Path, shards: ClipFacts) -> _Side:
        if is_score_table(run) or not isinstance(shards, Shards):
            return cls(run, run, {}, known=False)
        checkpoint = run / BEST_NAME if run.is_dir() else run
        return cls(run, checkpoint, *parts_of_run(checkpoint, shards))

    def judge(self, shards: ClipFacts, rows: npt.NDArray[np.int64]) -> RunOpinions:
        """Opinions on these rows, as the net gives them or as the table holds them."""
        if isinstance(shards, Shards) and not is_score_table(self.run):
            return score_run(self.checkpoint, shards, rows)
        scored, given, warnings = scores_of_table(self.run, shards, rows)
        return RunOpinions(scored, None, None, warnings, given)

    def trained_on(self, names: npt.NDArray[np.object_]) -> int:
        """How many of these clips served for training."""
        return num_named_alike(names.tolist(), taught_names(self.part_of))


def _common_clips(
    shards: ClipFacts, sides: list[_Side], split: str | None
) -> tuple[npt.NDArray[np.int64], str, tuple[str, ...]]:
    """Rows that both runs may be judged on, what to call them, and warnings.

    Raises ManifestError where a run was trained on them, or none is left.
    """
    clips = LabelledClips.of_shards(shards)
    choices = [choose_clips(clips, side.part_of if side.known else {}, split) for side in sides]
    rows = np.intersect1d(choices[0].rows, choices[1].rows)
    names = np.array(shards.names, dtype=object)
    warnings: list[str] = [text for choice in choices for text in choice.warnings]
    for side, other in zip(sides, choices[::-1], strict=True):
        if not len(rows):
            _refuse_trained(side, names[other.rows], shards)
        _refuse_trained(side, names[rows], shards)
        count = 0 if side.known else side.trained_on(names[rows])
        if count:
            warnings.append(
                f"{count} clips are named like clips that {side.run} was trained on; if they are the same, this flatters it"
            )
    if not len(rows):
        raise ManifestError(f"{shards.folder}: the runs have no unseen clip in common; train both with the same split")
    parts = dict.fromkeys(choice.part for choice in choices)
    return rows, " and ".join(parts), tuple(dict.fromkeys(warnings))


def _refuse_trained(side: _Side, names: npt.NDArray[np.object_], shards: ClipFacts) -> None:
    """Raise where the run knows the answers: of its own data any clip, of others so many that they must be the same."""
    count = side.trained_on(names)
    if count and (side.known or count >= SAME_CORPUS_SHARE * len(names)):
        raise ManifestError(
            f"{side.run} was trained on {count} of the {len(names)} clips of {shards.folder} to compare on, it knows their "
            "answers; compare on other data, or train both runs with the same split and a test part"
        )


def _paired(
    opinions: list[RunOpinions],
) -> tuple[npt.NDArray[np.int64], list[npt.NDArray[np.float64]], tuple[str, ...]]:
    """Labels (n,), both runs' logits (n,), and names of the clips that both could judge."""
    logit_of = [dict(zip(each.scored.names, each.scored.logits.tolist(), strict=True)) for each in opinions]
    label_of = dict(zip(opinions[0].scored.names, opinions[0].scored.labels.tolist(), strict=True))
    names = tuple(name for name in opinions[0].scored.names if name in logit_of[1])
    labels = np.array([label_of[name] for name in names], np.int64)
    return labels, [np.array([logits[name] for name in names], np.float64) for logits in logit_of], names
