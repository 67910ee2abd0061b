"""How a recipe does on what it has not seen: train without a group, judge on it, for every group; or train on some data and judge on other.

    DATA (several: joined) ─▶ plan of folds ─▶ train ─▶ judge ─▶ OUT/folds/NAME/fold.json ─▶ crossval.csv · .json · .png

A finished fold is its fold.json: run the same command again and only what is missing is trained, a broken-off training from its
last state.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ffdv.data.joined import DATASET, JOINED, dataset_names, folders_of, open_one_or_joined
from ffdv.data.loader import has_any
from ffdv.data.seen import data_hash, num_named_alike
from ffdv.data.shards import Shards, open_shards
from ffdv.errors import CheckpointError, FfdvError, ManifestError
from ffdv.metrics.ranking import reals_needed
from ffdv.metrics.uncertainty import Estimate, bootstrap, check_settings, tpr_metric
from ffdv.training.engine import Progress, ScoredClips
from ffdv.training.evaluate import BEST_NAME, LAST_NAME, interval_groups, score_run
from ffdv.training.folds import Fold, HeldOut, plan_folds
from ffdv.training.kinds import kind_of
from ffdv.training.parts import choose_parts
from ffdv.training.plan import Recipe
from ffdv.training.run import GivenParts, resolve, train_given
from ffdv.whole_file import write_atomically

FORMAT_VERSION = 1
PLAN_NAME, FOLD_NAME, FOLDS = "plan.json", "fold.json", "folds"
_ANEW = "delete it, the fold is then trained again"
# The lowest false-alarm rate that a group's reals can carry is told: 4,380, 437, 86 and 42 reals.
FPRS = (1e-3, 0.01, 0.05, 0.1)


@dataclass(frozen=True)
class CrossvalRow:
    """One held-out group. tpr: share of fakes found at the false-alarm rate tpr_fpr, the lowest that num_real reals can carry;
    None (as the others) where it cannot be measured, and `reason` says why.
    """

    name: str
    fold: str
    num_real: int
    num_fake: int
    against: str
    auc: Estimate | None = None
    eer: Estimate | None = None
    tpr: Estimate | None = None
    tpr_fpr: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class CrossvalTable:
    """Rows by held-out group, lowest AUC first; groups that could not be judged last.

    by: the column, or "test data" where other data was judged; notes: how it was drawn, in plain words; failures: folds without a
    net, name and reason.
    """

    recipe: str
    data: tuple[str, ...]
    by: str
    folds: int
    rows: tuple[CrossvalRow, ...]
    notes: tuple[str, ...]
    failures: tuple[tuple[str, str], ...] = ()

    @property
    def mean_auc(self) -> float | None:
        """Mean over the groups that have one, each counting once."""
        areas = [row.auc.value for row in self.rows if row.auc is not None]
        return float(np.mean(areas)) if areas else None

    @property
    def worst(self) -> CrossvalRow | None:
        """The group of the lowest AUC."""
        return next((row for row in self.rows if row.auc is not None), None)

    def to_json(self) -> str:
        """Everything, for machines, with the format's version."""
        return json.dumps({"version": FORMAT_VERSION, **asdict(self), "mean_auc": self.mean_auc}, indent=1)


@dataclass(frozen=True)
class CrossvalProgress:
    """Where it stands: the fold (from 1) of so many, its name, and what its training tells."""

    fold: int
    folds: int
    name: str
    training: Progress


def crossval(
    *,
    data: Sequence[Path | str] | Path | str,
    out: Path | str,
    recipe: Recipe | Path | str = "voice",
    by: str | None = None,
    folds: int | None = None,
    test: Sequence[Path | str] | Path | str = (),
    epochs: int | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    resamples: int = 1000,
    accelerator: str = "auto",
    progress: Callable[[CrossvalProgress], None] | None = None,
) -> CrossvalTable:
    """Train `recipe` without a group and judge it on that group, in turn; writes crossval.csv, .json and .png into `out`.

    data: prepared shards, several are joined; by: the column to hold out (method, source_repo, identity, or dataset: one of several
    data); folds: hold out whole values in so many folds instead of one by one; test: train once on all of data and judge on each
    of these instead. What is held out, and against what a group of one class is judged: training/folds. epochs, overrides, seed:
    as in train; resamples: of each bootstrap; progress: called with a CrossvalProgress, which fold it is and what train tells of it.
    Run again with the same arguments it goes on where it was stopped.
    Raises ManifestError, ShardError, RecipeError, CheckpointError (`out` holds another cross-validation), MetricError (too few resamples).
    """
    check_settings(resamples=resamples)
    folder = Path(out)
    begun = (folder / PLAN_NAME).is_file()  # by the same recipe, or begin_plan refuses it
    resolved = resolve(recipe, overrides=overrides, epochs=epochs, seed=seed, trained_before=begun)
    train_on, judge_on = folders_of(data), folders_of(test)
    _check_request(by, folds, train_on, judge_on)
    begin_plan(folder, _plan(resolved, by=by, folds=folds, data=train_on, test=judge_on))
    shards = open_one_or_joined(train_on, folder / JOINED)
    work = _Work(folder, resolved, accelerator, progress)
    try:
        if judge_on:
            rows, notes, failures, count = _across(work, shards, judge_on, resamples)
        else:
            rows, notes, failures, count = _within(work, shards, by=by or "", folds=folds, resamples=resamples)
    except FfdvError:
        if not (folder / FOLDS).is_dir():  # nothing was begun, so nothing is in the way of another request
            (folder / PLAN_NAME).unlink(missing_ok=True)
        raise
    ranked = sorted(rows, key=lambda row: (row.auc.value if row.auc else math.inf, row.name))
    names = tuple(str(path) for path in train_on)
    table = CrossvalTable(resolved.name, names, by or "test data", count, tuple(ranked), tuple(notes), tuple(failures))
    from ffdv.training.crossval_page import write_table

    write_table(table, folder)
    return table


@dataclass(frozen=True)
class _Work:
    """What all folds share."""

    folder: Path
    recipe: Recipe
    accelerator: str
    progress: Callable[[CrossvalProgress], None] | None

    def run_folder(self, fold: str) -> Path:
        return self.folder / FOLDS / fold

    def train(self, given: GivenParts, *, number: int, count: int) -> None:
        """Train, or go on training, one fold's net; the state for resuming is let go when it is done."""
        if (given.folder / BEST_NAME).is_file() and not (given.folder / LAST_NAME).is_file():
            return  # trained to its end before

        def told(now: Progress) -> None:
            if self.progress is not None:
                self.progress(CrossvalProgress(number, count, given.folder.name, now))

        summary = train_given(
            self.recipe, given, resume=True, progress=told, accelerator=self.accelerator, export=False
        )
        if summary.outcome == "interrupted":
            raise KeyboardInterrupt
        (given.folder / LAST_NAME).unlink(missing_ok=True)


def _within(
    work: _Work, shards: Shards, *, by: str, folds: int | None, resamples: int
) -> tuple[list[CrossvalRow], list[str], list[tuple[str, str]], int]:
    """Hold out groups of the data itself: rows, notes, failures, number of folds."""
    usable = (shards.labels >= 0) & ~shards.failed & has_any(shards, kind_of(work.recipe).senses)
    plan = plan_folds(shards, usable, by=by, folds=folds, spec=work.recipe.split)
    rows: list[CrossvalRow] = []
    failures = []
    for number, fold in enumerate(plan.folds, start=1):
        try:
            scored = _fold_scores(work, shards, fold, number=number, count=len(plan.folds))
        except FfdvError as error:
            failures.append((fold.name, str(error)))
            rows += [_unjudged(shards, fold.name, group, str(error)) for group in fold.groups]
            continue
        rows += [_row(shards, group, scored, fold=fold.name, resamples=resamples) for group in fold.groups]
    return rows, list(plan.notes), failures, len(plan.folds)


def _fold_scores(work: _Work, shards: Shards, fold: Fold, *, number: int, count: int) -> ScoredClips:
    """The fold's opinions on its held-out clips: read where they are there, else trained for."""
    run = work.run_folder(fold.name)
    stored = read_scored(run / FOLD_NAME)
    if stored is not None:
        return stored
    work.train(GivenParts(shards, fold.parts, run), number=number, count=count)
    scored = score_run(run / BEST_NAME, shards, np.array(fold.rows, np.int64)).scored
    write_scored(run / FOLD_NAME, scored)
    return scored


def _across(
    work: _Work, shards: Shards, judge_on: Sequence[Path], resamples: int
) -> tuple[list[CrossvalRow], list[str], list[tuple[str, str]], int]:
    """Train on all of the data, judge on each of the others."""
    run = work.run_folder("all")
    names = dataset_names(judge_on)
    stored = [read_scored(run / f"{name}.json") for name in names]
    parts = choose_parts(shards, work.recipe.split, kind_of(work.recipe).senses)
    if not all(stored):
        work.train(GivenParts(shards, parts, run), number=1, count=1)
    rows = []
    for path, name, done in zip(judge_on, names, stored, strict=True):
        other = open_shards(path)
        labelled = np.flatnonzero((other.labels >= 0) & ~other.failed)
        scored = done or score_run(run / BEST_NAME, other, labelled).scored
        write_scored(run / f"{name}.json", scored)
        index_of = {clip: row for row, clip in enumerate(other.names)}
        group = HeldOut(name, tuple(index_of[clip] for clip in scored.names), "own")
        rows.append(_row(other, group, scored, fold="all", resamples=resamples))
    shared = sum(num_named_alike(open_shards(path).names, shards.names) for path in judge_on)
    notes = ["one net, trained on all of the data, judged on all labelled clips of each test data", *parts.notes]
    if shared:
        notes.append(
            f"{shared} test clips are named like clips of the training data; if they are the same, this flatters"
        )
    return rows, notes, [], 1


def _row(shards: Shards, group: HeldOut, scored: ScoredClips, *, fold: str, resamples: int) -> CrossvalRow:
    """A group's numbers with intervals over people or else sources."""
    place_of = {name: place for place, name in enumerate(scored.names)}
    rows = [
        row for row in group.rows if shards.names[row] in place_of
    ]  # the net cannot judge what has no sound, or no face
    places = [place_of[shards.names[row]] for row in rows]
    labels, logits = scored.labels[places], scored.logits[places]
    num_real, num_fake = int((labels == 0).sum()), int((labels == 1).sum())
    empty = CrossvalRow(group.value, fold, num_real, num_fake, group.against)
    if not num_real or not num_fake:
        return CrossvalRow(
            **{**asdict(empty), "reason": f"{num_real} real and {num_fake} fake clips: undefined without both"}
        )
    _, groups = interval_groups(shards, np.array(rows, np.int64))

    def measured(metric: Any) -> Estimate:
        return bootstrap(labels, logits, metric=metric, groups=groups, resamples=resamples)

    rate = next((fpr for fpr in FPRS if num_real >= reals_needed(fpr)), None)
    return CrossvalRow(
        name=group.value,
        fold=fold,
        num_real=num_real,
        num_fake=num_fake,
        against=group.against,
        auc=measured("auc"),
        eer=measured("eer"),
        tpr=None if rate is None else measured(tpr_metric(rate)),
        tpr_fpr=rate,
        reason=""
        if rate is not None
        else f"TPR takes {reals_needed(FPRS[-1])} reals, at FPR {FPRS[0]:g} {reals_needed(FPRS[0]):,}",
    )


def _unjudged(shards: Shards, fold: str, group: HeldOut, reason: str) -> CrossvalRow:
    labels = shards.labels[list(group.rows)]
    return CrossvalRow(
        group.value, fold, int((labels == 0).sum()), int((labels == 1).sum()), group.against, reason=reason
    )


def _check_request(by: str | None, folds: int | None, data: Sequence[Path], test: Sequence[Path]) -> None:
    """Refuse what contradicts itself."""
    if not data:
        raise ManifestError("no data is named; give prepared shards (--data SHARDS)")
    if bool(by) == bool(test):
        raise ManifestError(
            "give either a column to hold out (--by method, source_repo, identity or dataset) or other data to judge on (--test SHARDS)"
        )
    if test and folds is not None:
        raise ManifestError(
            "folds hold out groups of the data; with test data there is one training, leave --folds out"
        )
    if by == DATASET and len(data) == 1 and DATASET not in open_shards(data[0]).group_names:
        raise ManifestError(f"{data[0]} is one data set; to hold out data sets give several (--data A --data B)")
    same = {path.resolve() for path in data} & {path.resolve() for path in test}
    if same:
        raise ManifestError(f"{min(same)} is both trained on and tested on; name it once")


def _plan(
    recipe: Recipe, *, by: str | None, folds: int | None, data: Sequence[Path], test: Sequence[Path]
) -> dict[str, Any]:
    """What two calls must agree in to be the same cross-validation."""
    settings = recipe.model_dump(mode="json")
    settings["loader"].pop("workers")
    return {
        "version": FORMAT_VERSION,
        "recipe": settings,
        "by": by,
        "folds": folds,
        "data": [data_hash(open_shards(path)) for path in data],
        "test": [data_hash(open_shards(path)) for path in test],
    }


def begin_plan(folder: Path, plan: dict[str, Any]) -> None:
    """Write plan.json, or check that the one which is there is the same. Raises CheckpointError where it is another."""
    path = folder / PLAN_NAME
    if path.is_file():
        try:
            begun = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CheckpointError(f"{path} cannot be read ({error}); choose another folder (--out)") from error
        different = [key for key in plan if begun.get(key) != plan[key]]
        if different:
            raise CheckpointError(
                f"{folder} holds a cross-validation with another {', '.join(different)}; choose another folder (--out)"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(plan, indent=1).encode())


def write_scored(path: Path, scored: ScoredClips) -> None:
    """A fold's opinions as JSON: names, labels, logits."""
    content = {
        "version": FORMAT_VERSION,
        "names": list(scored.names),
        "labels": scored.labels.tolist(),
        "logits": scored.logits.tolist(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(content).encode())


def read_scored(path: Path) -> ScoredClips | None:
    """What write_scored wrote, None when it is not there. Raises CheckpointError when it is something else."""
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        version, names = stored["version"], tuple(stored["names"])
        labels, logits = np.array(stored["labels"], np.int64), np.array(stored["logits"], np.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: is no finished fold ({error}); {_ANEW}") from error
    if version != FORMAT_VERSION or not len(names) == len(labels) == len(logits):
        found = f"version {version}, {len(names)} names, {len(labels)} labels, {len(logits)} logits"
        raise CheckpointError(f"{path}: is no finished fold of this ffdv ({found}); {_ANEW}")
    return ScoredClips(names, labels, logits)
