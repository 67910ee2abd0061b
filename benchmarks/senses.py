"""Each sense on each kind of fake, by models that saw neither the person nor the source; and whether fusion beats the best of them.

    python benchmarks/senses.py --data SHARDS --out FOLDER [--recipes voice ...] [--folds 3] [--epochs 4] [--set table.key=value] [--clips N] [--given NAME=RUN]

SHARDS: clips with all senses and the columns identity, source_repo, video_fake, audio_fake. Whole families of clips that share a
person or a source are dealt into folds; each recipe is trained without a fold and judges it. Beside the recipes stand logistic
regressions on facts that prepare stores (sharpness and the like, headers, all of them), fitted on the same folds. AUC: of a fake
against the reals of its own fold, as levels of folds do not mix; 95 % intervals over identities. --given: this recipe is not trained on
the folds; a finished run speaks for it, in its own row and in fusion-late: a voice, say, that learnt from a corpus of sound. Fusion against the single
sense that does best in a column: paired difference on clips that both judge (the best was picked on these clips, which favours it).
Finished trainings and opinions are kept in --out: run it again to go on. Tables are Markdown; numbers also in FOLDER/senses.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from ffdv.data.loader import has_any
from ffdv.data.probe_models import PENALTY
from ffdv.data.probe_tests import centred_ranks
from ffdv.data.seen import data_hash, taught_clips
from ffdv.data.shards import Shards, open_shards
from ffdv.data.splits import families, split_by_group
from ffdv.errors import FfdvError, ManifestError
from ffdv.metrics.ranking import Numbers, rank, weighted_roc_auc
from ffdv.metrics.uncertainty import Difference, Estimate, Metric, Statistic, bootstrap, compare
from ffdv.records import FAKE, REAL
from ffdv.training.crossval import begin_plan, read_scored, write_scored
from ffdv.training.evaluate import BEST_NAME, LAST_NAME, interval_groups, score_run
from ffdv.training.kinds import kind_of
from ffdv.training.parts import Part, Parts, draw_parts
from ffdv.training.plan import Recipe, load_recipe
from ffdv.training.run import GivenParts, train_given
from ffdv.whole_file import write_atomically
from recipes import subset

RECIPES = ("voice", "faces-efficientnet", "faces-sbi", "motion-histogram", "sync", "fusion-late", "fusion-joint")
FUSIONS = frozenset({"fusion-late", "fusion-joint"})
BOUND_BY = ("identity", "source")
LOOKS = ("sharpness", "brightness", "contrast", "noise_levels", "blockiness", "saturation", "change_levels", "border")
HEADERS = (
    "bit_rate",
    "duration",
    "num_t",
    "size_bytes",
    "fps",
    "width",
    "height",
    "num_frames",
    "start_",
    "rate",
    "channels",
    "minus",
)
KINDS = ("all", "voice only", "picture", "wrong pairing")
ALIKE = "kinds alike"  # the mean over the kinds but "all", as fusions weigh them (decision 0023): of the clips most have a forged voice
COLUMNS = (*KINDS, ALIKE)

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Asked:
    """How the trainings are made."""

    folder: Path
    epochs: int | None
    sets: tuple[str, ...]
    seed: int
    accelerator: str
    given: Mapping[str, Path]


@dataclass(frozen=True)
class Cell:
    """AUC of a row on a kind of fake, on so many clips; reason: why there is none."""

    num_real: int
    num_fake: int
    auc: Estimate | None = None
    reason: str = ""

    def __str__(self) -> str:
        """As the table shows it."""
        return f"{self.auc or self.reason} ({self.num_real} / {self.num_fake})"


@dataclass(frozen=True)
class Lead:
    """A fusion less the best single sense, on clips that both judge."""

    best: str
    num_real: int
    num_fake: int
    difference: Difference

    def __str__(self) -> str:
        """As the table shows it."""
        found = self.difference
        return (
            f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}] ({self.best}, {self.num_real} / {self.num_fake})"
        )


@dataclass(frozen=True)
class Judged:
    """The clips and in which fold (clips,) each is judged, -1 for those that failed or have no label."""

    shards: Shards
    fold: npt.NDArray[np.int64]
    resamples: int

    @property
    def num_folds(self) -> int:
        """How many folds there are."""
        return int(self.fold.max()) + 1

    @cached_property
    def kinds(self) -> dict[str, Bools]:
        """Which fakes (clips,) are of each kind: voice forged and picture not; picture forged and voice not known to be; neither."""
        columns = (self.shards.group(name) for name in ("video_fake", "audio_fake"))
        picture, voice = (np.array([value or "" for value in column]) for column in columns)
        fake = self.shards.labels == FAKE
        return {
            "all": fake,
            "voice only": fake & (picture == "0") & (voice == "1"),
            "picture": fake & (picture == "1") & (voice != "1"),
            "wrong pairing": fake & (picture == "0") & (voice == "0"),
        }

    def kinds_of(self, column: str) -> list[Bools]:
        """Which fakes (clips,) are of the kinds that a column is the mean over."""
        return [self.kinds[kind] for kind in (KINDS[1:] if column == ALIKE else (column,))]

    def metric(self, rows: npt.NDArray[np.int64], column: str) -> Metric:
        """What a column tells of these rows: AUC within folds, where kinds count alike the mean over them."""
        return within_folds(self.fold[rows], [kind[rows] for kind in self.kinds_of(column)])

    def chosen(self, known: Bools, column: str) -> npt.NDArray[np.int64]:
        """Rows of the reals and the fakes of a column that are known, in folds that hold both among them."""
        asked = known & (self.fold >= 0) & (np.any(self.kinds_of(column), axis=0) | (self.shards.labels == REAL))
        folds = [np.flatnonzero(asked & (self.fold == number)) for number in range(self.num_folds)]
        both = [rows for rows in folds if len(set(self.shards.labels[rows].tolist())) == 2]
        return np.sort(np.concatenate(both)) if both else np.zeros(0, np.int64)

    def groups(self, rows: npt.NDArray[np.int64]) -> Sequence[str | None] | None:
        """What stays together in intervals."""
        return interval_groups(self.shards, rows)[1]

    def cells(self, logits: Numbers) -> dict[str, Cell]:
        """A row of the table."""
        return {column: self._cell(logits, column) for column in COLUMNS}

    def _cell(self, logits: Numbers, column: str) -> Cell:
        rows = self.chosen(np.isfinite(logits), column)
        labels = self.shards.labels[rows]
        real, fake = (int((labels == label).sum()) for label in (REAL, FAKE))
        if not len(rows):
            return Cell(real, fake, reason="no fold has both")
        metric = self.metric(rows, column)
        auc = bootstrap(labels, logits[rows], metric=metric, groups=self.groups(rows), resamples=self.resamples)
        return Cell(real, fake, auc)

    def in_words(self) -> str:
        """How the clips were dealt."""
        clips = [clip for clip, fold in zip(self.shards.clips(), self.fold.tolist(), strict=True) if fold >= 0]
        counts = [np.bincount(self.shards.labels[self.fold == number], minlength=2) for number in range(self.num_folds)]
        sizes = ", ".join(f"{count[REAL]} / {count[FAKE]}" for count in counts)
        bound = len(set(families(clips, by=BOUND_BY)))
        return f"{len(clips)} clips in {bound} families; folds, real / fake: {sizes}. AUC within folds [95 %], real / fake beside it."


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="prepared shards with all senses")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipes", nargs="*", default=list(RECIPES))
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="instead of each recipe's own")
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], help="table.key=value for recipes and members"
    )
    parser.add_argument("--given", action="append", default=[], metavar="NAME=RUN", help="a finished run for a recipe")
    parser.add_argument("--clips", type=int, help="only so many, evenly spread over the shards")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--resamples", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    shards = open_shards(options.data)
    if options.clips:
        shards = subset(shards, options.out / f"clips-{options.clips}", options.clips)
    strangers = {one.partition("=")[0] for one in options.given} - set(options.recipes)
    if strangers:
        parser.error(f"--given {', '.join(sorted(strangers))}: not among the recipes {', '.join(options.recipes)}")
    given = {name: Path(run) for name, _, run in (one.partition("=") for one in options.given)}
    asked = Asked(options.out, options.epochs, tuple(options.sets), options.seed, options.accelerator, given)
    plan = {"data": data_hash(shards), "folds": options.folds, "epochs": asked.epochs, "sets": list(asked.sets)}
    plan |= {"given": options.given} if given else {}
    begin_plan(options.out, {**plan, "seed": asked.seed})
    judged = Judged(shards, folds_of(shards, options.folds, options.seed), options.resamples)
    opinions: dict[str, Numbers] = {}
    failures: dict[str, str] = {}
    for name in options.recipes:
        try:
            opinions[name] = judged_by(name, judged, asked)
        except FfdvError as error:
            failures[name] = str(error)
            print(f"{name}: {error}", file=sys.stderr, flush=True)
    for name, chosen in probe_sets(shards).items():
        opinions[f"shortcuts: {name}"] = probed(judged, chosen)
    table = {name: judged.cells(logits) for name, logits in opinions.items()}
    against = fusion_against_best(judged, opinions, table)
    print(judged.in_words(), "\n")
    show(table, failures, against)
    content = {
        "table": {name: {kind: asdict(cell) for kind, cell in cells.items()} for name, cells in table.items()},
        "fusion": {name: {kind: asdict(each) for kind, each in row.items()} for name, row in against.items()},
        "failures": failures,
    }
    write_atomically(options.out / "senses.json", json.dumps(content, indent=1).encode())
    return 0


def folds_of(shards: Shards, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Which fold each clip is judged in (clips,); -1 for those that failed or have no label."""
    usable = np.flatnonzero((shards.labels >= 0) & ~shards.failed)
    clips = shards.clips()
    names = {f"fold{number}": 1.0 for number in range(count)}
    sides = split_by_group([clips[row] for row in usable.tolist()], by=BOUND_BY, shares=names, seed=seed)
    fold = np.full(len(shards), -1)
    fold[usable] = [int(side.removeprefix("fold")) for side in sides]
    return fold


def judged_by(name: str, judged: Judged, asked: Asked) -> Numbers:
    """Logits of every clip (clips,) by the recipe's nets, each trained without the clip's fold; NaN where it lacks the sense."""
    shards, fold = judged.shards, judged.fold
    logits = np.full(len(shards), np.nan)
    row_of = {clip: row for row, clip in enumerate(shards.names)}
    if name in asked.given:
        if shared := taught_clips(asked.given[name]) & set(shards.names):
            raise ManifestError(
                f"{asked.given[name]}: was trained on {len(shared)} clips called as those it shall judge"
            )
        scored = score_run(asked.given[name] / BEST_NAME, shards, np.flatnonzero(fold >= 0)).scored
        logits[[row_of[clip] for clip in scored.names]] = scored.logits
        return logits
    for number in range(judged.num_folds):
        run = asked.folder / name / f"fold{number}"
        scored = read_scored(run / "fold.json")
        if scored is None:
            given = GivenParts(shards, parts_without(judged, number, load_recipe(name)), run)
            trained(recipe_of(name, asked), given, asked.accelerator)
            scored = score_run(run / BEST_NAME, shards, np.flatnonzero(fold == number)).scored
            write_scored(run / "fold.json", scored)
        print(f"{name}: fold {number}, {len(scored.names)} clips judged", file=sys.stderr, flush=True)
        logits[[row_of[clip] for clip in scored.names]] = scored.logits
    return logits


def recipe_of(name: str, asked: Asked) -> Recipe:
    """The recipe with the asked changes; a late fusion's members get them, for they are what is trained."""
    sets = [f"training.seed={asked.seed}", f"loader.seed={asked.seed}", *asked.sets]
    epochs = [] if asked.epochs is None else [f"training.epochs={asked.epochs}"]
    recipe = load_recipe(name)
    if recipe.kind == "late":
        members = [str(asked.given.get(member, member)) for member in recipe.fusion.members]
        settings = [f"fusion.members={json.dumps(members)}", f"fusion.member_settings={json.dumps([*epochs, *sets])}"]
        return load_recipe(name, settings)
    return load_recipe(name, [*epochs, *sets])


def parts_without(judged: Judged, held: int, recipe: Recipe) -> Parts:
    """The held fold to test, the others to train, validate and calibrate on, people and sources apart as far as they allow."""
    shards, fold = judged.shards, judged.fold
    able = has_any(shards, kind_of(recipe).senses)
    rest = np.flatnonzero((fold >= 0) & (fold != held) & able).tolist()
    clips = shards.clips()
    drawn, how = draw_parts([clips[row] for row in rest], recipe.split.model_copy(update={"groups": BOUND_BY}))
    of_row: list[Part] = ["test" if number == held else "left_out" for number in fold.tolist()]
    for row, part in zip(rest, drawn, strict=True):
        of_row[row] = part
    return Parts(data_hash(shards), shards.names, tuple(of_row), (how,))


def trained(recipe: Recipe, given: GivenParts, accelerator: str) -> None:
    """Train, or go on training; the state for resuming is let go when it is done."""
    if (given.folder / BEST_NAME).is_file() and not (given.folder / LAST_NAME).is_file():
        return
    summary = train_given(recipe, given, resume=True, accelerator=accelerator, export=False)
    if summary.outcome == "interrupted":
        raise KeyboardInterrupt
    (given.folder / LAST_NAME).unlink(missing_ok=True)


def probe_sets(shards: Shards) -> dict[str, list[str]]:
    """The stored facts by what they are of: how the picture looks, what headers say, everything."""
    names = [name for name in shards.probe_names if not name.startswith("fingerprint")]
    looks = [name for name in names if name.startswith("picture") and any(part in name for part in LOOKS)]
    headers = [name for name in names if any(part in name for part in HEADERS)]
    return {"sharpness, brightness ...": looks, "headers": headers, f"all {len(names)}": names}


def probed(judged: Judged, names: Sequence[str]) -> Numbers:
    """Logits (clips,) of a logistic regression on these facts, each clip by one that was fitted without its fold."""
    from sklearn.linear_model import LogisticRegression

    shards, fold = judged.shards, judged.fold
    logits = np.full(len(shards), np.nan)
    if not names:
        return logits
    ranks, _ = centred_ranks(np.stack([shards.probe(name) for name in names], axis=1))
    for number in range(judged.num_folds):
        rest = (fold >= 0) & (fold != number)
        model = LogisticRegression(C=1 / PENALTY, max_iter=300).fit(ranks[rest], shards.labels[rest])
        logits[fold == number] = model.decision_function(ranks[fold == number])
    return logits


def within_folds(fold: npt.NDArray[np.int64], kinds: Sequence[Bools]) -> Metric:
    """AUC over pairs of a fake and a real of one fold, the mean over kinds of fake (masks of clips), as a metric for bootstrap and compare."""

    def prepare(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Statistic:
        truth, values = np.asarray(labels), np.asarray(scores, np.float64)
        of_kind = []
        for kind in kinds:
            insides = [np.flatnonzero((fold == number) & (kind | (truth == REAL))) for number in np.unique(fold)]
            both = [inside for inside in insides if len(set(truth[inside].tolist())) == 2]
            of_kind.append([(rank(truth[inside], values[inside]), inside) for inside in both])
        return lambda weights: np.nanmean([_pairs_ranked_right(ranked, truth, weights) for ranked in of_kind], axis=0)

    return Metric(prepare)


def _pairs_ranked_right(
    ranked: Sequence[tuple[object, npt.NDArray[np.int64]]], truth: npt.NDArray[np.int64], weights: Numbers
) -> Numbers:
    right, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for ranking, inside in ranked:
        of_fold = weights[:, inside]
        count = (of_fold * (truth[inside] == FAKE)).sum(1) * (of_fold * (truth[inside] == REAL)).sum(1)
        there = count > 0
        right[there] += count[there] * weighted_roc_auc(ranking, of_fold[there])  # type: ignore[arg-type]
        pairs += count
    return np.divide(right, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)  # a draw may hold none of a kind


def fusion_against_best(
    judged: Judged, opinions: Mapping[str, Numbers], table: Mapping[str, Mapping[str, Cell]]
) -> dict[str, dict[str, Lead]]:
    """Each fusion less the single sense of the highest AUC, column by column."""
    found: dict[str, dict[str, Lead]] = {}
    singles = [name for name in table if name not in FUSIONS and not name.startswith("shortcuts")]
    for name, column in itertools.product([name for name in table if name in FUSIONS], COLUMNS):
        areas = {single: cell.auc.value for single in singles if (cell := table[single][column]).auc is not None}
        if not areas:
            continue
        best = max(areas, key=lambda single, areas=areas: areas[single])  # type: ignore[misc]
        rows = judged.chosen(np.isfinite(opinions[name]) & np.isfinite(opinions[best]), column)
        if not len(rows):
            continue
        labels = judged.shards.labels[rows]
        difference = compare(
            labels,
            opinions[best][rows],
            opinions[name][rows],
            metric=judged.metric(rows, column),
            groups=judged.groups(rows),
            resamples=judged.resamples,
        )
        counts = np.bincount(labels, minlength=2).tolist()
        found.setdefault(name, {})[column] = Lead(best, counts[REAL], counts[FAKE], difference)
    return found


def show(
    table: Mapping[str, Mapping[str, Cell]],
    failures: Mapping[str, str],
    against: Mapping[str, Mapping[str, Lead]],
) -> None:
    """The tables as Markdown."""
    rule = "|" + "---|" * (len(COLUMNS) + 1)
    print("| scores | " + " | ".join(COLUMNS) + " |\n" + rule)
    for name, cells in table.items():
        print(f"| {name} | " + " | ".join(str(cells[column]) for column in COLUMNS) + " |")
    for name, reason in failures.items():
        print(f"| {name} | {reason} |" + " |" * (len(COLUMNS) - 1))
    if against:
        print("\n| less the best single sense | " + " | ".join(COLUMNS) + " |\n" + rule)
    for name, row in against.items():
        print(f"| {name} | " + " | ".join(str(row.get(column, "")) for column in COLUMNS) + " |")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except FfdvError as fault:
        sys.exit(f"error: {fault}")
