"""How a detector stands what clips go through: re-encoding, rooms, noise, resizing, chat apps.

    labelled clips ─ hold the first seconds ─┬ as they are ─▶ judge ─┐
                                             ├ opus 16 kbit/s ─▶ judge ├─▶ table, heat map, page
                                             └ ...            ─▶ judge ─┘

A clip is read once and judged as often as there are alterations. A clip that cannot be judged is a row with a reason.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ffdv.arguments import each, positive, whole_number
from ffdv.augment.alterations import Alteration, alterations, rng_of
from ffdv.data.corpus import group_value
from ffdv.data.manifest import load_corpus
from ffdv.data.pool import ClipsProgress, Part, ProgressTally, num_cores, run_parts
from ffdv.data.scores import SENSES, format_score
from ffdv.data.seen import PARTS_NAME, LabelledClips, choose_clips, data_hash, read_parts
from ffdv.data.shards import INDEX_NAME, Shards, open_shards
from ffdv.data.tables import guard_formula, read_table, unguard_formula, write_table
from ffdv.detect.judges import Held, Judge, find_judge, hold
from ffdv.detect.network import Network
from ffdv.detect.own_files import own_folder
from ffdv.detect.stress_page import write_pages
from ffdv.detect.stress_table import OVERALL, UNALTERED, Answers, StressTable, left_out, tabulate
from ffdv.errors import ExtraMissing, ManifestError, MediaError, StreamMissing
from ffdv.metrics.ranking import Numbers, check_share
from ffdv.metrics.uncertainty import check_settings
from ffdv.records import FAKE, REAL, Clip, Samples, Score
from ffdv.sentences import Sentence, foreign

CLIPS_PER_PART = 4
# What a reader must know when the shipped detector is judged: only a run says which clips it has seen.
_SHIPPED = Sentence(
    "the detector of this package does not know which clips it was trained on (its model card does): read the changes, not the level, where these may be among them"
)
SECONDS_PER_SCORE = 60.0  # what one clip may take once; a hanging one is given up
_HEADER = ("clip", "family", "level", "y_pred", "status", "reason", *SENSES, "seconds", "verdict")


def stress(
    *,
    model: Path | str | None = None,
    data: Path | str,
    out: Path | str,
    only: Sequence[str] | str = (),
    split: str | None = None,
    limit: int | None = 200,
    max_seconds: float = 10.0,
    false_alarms: float = 0.05,
    lang: str = "en",
    workers: int | None = None,
    seed: int = 0,
    resamples: int = 1000,
    progress: Callable[[ClipsProgress], None] | None = None,
) -> StressTable:
    """Judge labelled clips as they are and under every alteration, and write table, heat map and page into `out`.

    model: a run's folder or an exported .onnx file; None: the detector that comes with the package. data: labelled clips or
    prepared shards. only: families of alterations (opus, chat ...), all when empty; split: as in evaluate, clips that the run
    has not seen by default; limit: so many clips at most, half of them fake, drawn by seed; max_seconds: of each clip;
    false_alarms: the share at which the threshold is fixed on unaltered clips; lang: of the page, en or zh.
    progress: called in this process with a ClipsProgress, at once and after each clip; what it raises ends the job.
    Writes stress.csv, stress.json, stress.html, stress.png and scores.csv (every clip under every alteration). A job that was
    stopped goes on when it is started again with the same arguments. Raises CheckpointError, ManifestError, RecipeError,
    SubmissionError, MetricError (too few resamples).
    """
    whole_number(2, limit=limit)
    whole_number(0, seed=seed, workers=workers)
    max_seconds, false_alarms = positive(max_seconds=max_seconds, false_alarms=false_alarms)
    check_share("false_alarms", false_alarms)
    if find_spec("scipy") is None:
        raise ExtraMissing("stress", "train")  # alterations are made with it
    check_settings(resamples=resamples)
    judge = find_judge(None if model is None else Path(model))
    chosen = alterations(senses=judge.looks_at, only=each(only))
    clips = _choose(Path(data), judge, None if model is None else Path(model), split)
    items, drawn = _limited(clips.items, limit, seed, part=clips.part)
    folder = Path(out)
    parts = [
        Part(number, tuple(items[first : first + CLIPS_PER_PART]))
        for number, first in enumerate(range(0, len(items), CLIPS_PER_PART))
    ]
    work = _StressPart(judge, chosen, clips.shards, folder, max_seconds, seed)
    work = work.inside(folder / f".stress-{_fingerprint(work, items)[:16]}")
    own_folder(work.folder)
    todo = [part for part in parts if not work.path(part.number).is_file()]
    tally = ProgressTally(len(items), len(items) - sum(len(part.items) for part in todo), progress)
    patience = SECONDS_PER_SCORE * (1 + len(chosen))
    for report in run_parts(todo, work, workers=workers or num_cores(), item_timeout_seconds=patience):
        tally.take(report)
    said = _read_answers(items, [work.path(part.number) for part in parts])
    rows, thresholds = tabulate(said.answers, wanted=false_alarms, resamples=resamples)
    table = StressTable(
        model=Sentence("the detector of this package") if model is None else str(model),
        data=str(data),
        part=drawn,
        wanted=false_alarms,
        thresholds=thresholds,
        groups_by=said.groups_by,
        rows=rows,
        max_seconds=max_seconds,
        seconds_per_score=said.seconds_per_score,
        failures=said.num_failed,
        warnings=((_SHIPPED,) if model is None else ()) + (*clips.warnings, *said.failures, *left_out(said.answers)),
    )
    write_table(folder / "scores.csv", _HEADER, said.cells)
    write_pages(table, folder, lang=lang)
    shutil.rmtree(work.folder)
    return table


@dataclass(frozen=True)
class Item:
    """One clip to be judged: where it is in the shards, None for a file."""

    clip: Clip
    row: int | None = None


@dataclass(frozen=True)
class _Clips:
    items: tuple[Item, ...]
    part: Sentence
    warnings: tuple[Sentence, ...]
    shards: Shards | None


def _choose(data: Path, judge: Judge, model: Path | None, split: str | None) -> _Clips:
    """The labelled clips that the model has not seen."""
    shards, part_of = None, {}
    if (data / INDEX_NAME).is_file():
        shards = open_shards(data)
        clips, table = shards.clips(), LabelledClips.of_shards(shards)
    else:
        corpus = load_corpus(data)
        clips, table = corpus.clips, LabelledClips.of_corpus(corpus)
    run = model if model is None or model.is_dir() else model.parent
    if run is not None and (run / PARTS_NAME).is_file() and (shards is None or _own(run, shards)):
        # Files carry no hash of the shards that were trained on: what has a name of theirs is taken for them.
        part_of = read_parts(run)
        part_of = part_of if any(name in part_of for name in table.names) else {}
    chosen = choose_clips(table, part_of, split)
    items = tuple(Item(clips[row], row if shards is not None else None) for row in chosen.rows.tolist())
    if {item.clip.label for item in items} != {REAL, FAKE}:
        raise ManifestError(f"{data}: {chosen.part} hold one class only; stress needs real and fake clips")
    if "picture" in judge.looks_at and shards is not None:
        # Shards hold faces as they were cut; alterations of the picture need the files themselves.
        return _Clips(tuple(Item(item.clip) for item in items), chosen.part, chosen.warnings, None)
    return _Clips(items, chosen.part, chosen.warnings, shards)


def _own(run: Path, shards: Shards) -> bool:
    """Whether a run was trained on these shards, by the hash in its exported net."""
    exported = run / "model.onnx"
    if not exported.is_file():
        return False
    trained = Network(exported).facts.provenance.get("data")
    return isinstance(trained, dict) and trained.get("hash") == data_hash(shards)


def _limited(items: Sequence[Item], limit: int | None, seed: int, *, part: Sentence) -> tuple[list[Item], Sentence]:
    """At most so many clips, half of each class where there are enough, in their order; and what they are."""
    if limit is None or len(items) <= limit:
        return list(items), part
    luck = np.random.default_rng(seed).permutation(len(items))
    of_class = {label: [at for at in luck.tolist() if items[at].clip.label == label] for label in (REAL, FAKE)}
    reals = min(len(of_class[REAL]), max(limit // 2, limit - len(of_class[FAKE])))
    kept = sorted(of_class[REAL][:reals] + of_class[FAKE][: limit - reals])
    drawn = Sentence(
        "{part}, {kept} of {total} clips drawn by seed {seed}",
        part=part,
        kept=len(kept),
        total=len(items),
        seed=seed,
    )
    return [items[at] for at in kept], drawn


@dataclass(frozen=True)
class _StressPart:
    """Judges one part in a worker process and writes its rows; picklable."""

    judge: Judge
    alterations: tuple[Alteration, ...]
    shards: Shards | None
    folder: Path
    max_seconds: float
    seed: int

    def inside(self, folder: Path) -> _StressPart:
        return _StressPart(self.judge, self.alterations, self.shards, folder, self.max_seconds, self.seed)

    def path(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.csv"

    def __call__(self, part: Part, tell: Callable[[int, str], None]) -> None:
        """Judge the part and tell of every clip as it is finished, with the reason where it failed as it is."""
        rows: list[tuple[str, ...]] = []
        for position, item in enumerate(part.items):
            given_up = part.given_up.get(position, "")
            scored = list(self._given_up(item, given_up) if given_up else self._scores(item))
            rows += [_cells(item, name, score, seconds) for name, score, seconds in scored]
            tell(position, scored[0][1].failure)
        write_table(self.path(part.number), _HEADER, rows)

    def _scores(self, item: Item) -> Iterator[tuple[tuple[str, str], Score, float]]:
        """Unaltered first, then every alteration: its name, the score, and the seconds that altering and judging took."""
        try:
            held = self._hold(item)
        except Exception as error:  # noqa: BLE001 -- one clip must not stop the others; its rows say what happened
            yield from self._given_up(item, _reason(error))
            return
        yield (UNALTERED, ""), *self._judged(item, lambda: held)
        for alteration in self.alterations:
            altered = partial(held.altered, alteration, partial(rng_of, self.seed, item.clip.name, alteration))
            yield (alteration.family, alteration.level), *self._judged(item, altered)

    def _hold(self, item: Item) -> Held:
        """The first seconds of one clip. Raises MediaError when there is nothing to judge."""
        clip = item.clip
        if self.shards is None or item.row is None:
            return hold(clip.name, clip.path, looks_at=self.judge.looks_at, max_seconds=self.max_seconds)
        sound = self.shards.sound(item.row)
        if sound is None:
            raise StreamMissing(clip.path, "the shards hold no sound of it")
        most = round(self.max_seconds * sound.rate)
        return Held(clip.name, clip.path, Samples(sound.values[:, :most], sound.rate, sound.start_seconds))

    def _judged(self, item: Item, make: Callable[[], Held]) -> tuple[Score, float]:
        """The score of the clip that `make` gives, and the seconds both took."""
        began = time.perf_counter()
        try:
            score = self.judge.judge(make())
        except Exception as error:  # noqa: BLE001 -- as above
            score = Score(item.clip.name, None, "failed", _reason(error))
        return score, time.perf_counter() - began

    def _given_up(self, item: Item, reason: str) -> Iterator[tuple[tuple[str, str], Score, float]]:
        """The same reason in every row of a clip."""
        for name in ((UNALTERED, ""), *((alteration.family, alteration.level) for alteration in self.alterations)):
            yield name, Score(item.clip.name, None, "failed", reason), 0.0


@dataclass(frozen=True)
class _Said:
    """All that the parts hold: answers for the table, the rows as written, and what went wrong in words."""

    answers: Answers
    groups_by: str
    cells: list[tuple[str, ...]]
    seconds_per_score: float
    num_failed: int
    failures: tuple[Sentence, ...]


def _read_answers(items: Sequence[Item], paths: Sequence[Path]) -> _Said:
    """Every part's rows as arrays by alteration and sense. Raises ManifestError when no clip could be judged at all."""
    cells = [row for path in paths for _, row in read_table(path, what="part of a stress job").rows]
    failed = [row for row in cells if row[4] == "failed"]
    scores = _by_alteration(items, cells)
    if not np.isfinite(scores[UNALTERED, ""][OVERALL]).any():
        raise ManifestError(f"none of the {len(items)} clips could be judged; {_first_failure(failed)}")
    groups_by, groups = _groups([item.clip for item in items])
    labels = np.array([item.clip.label for item in items], np.int64)
    said: tuple[Sentence, ...] = ()
    if failed:
        text = Sentence(
            "{failed} of {total} scores failed; {example}; scores.csv has them all",
            failed=len(failed),
            total=len(cells),
            example=_first_failure(failed),
        )
        said = (text,)
    return _Said(
        answers=Answers(labels, groups, scores, _verdicts(items, cells)),
        groups_by=groups_by,
        cells=cells,
        seconds_per_score=float(np.median([float(row[9]) for row in cells if row[4] != "failed"])),
        num_failed=len(failed),
        failures=said,
    )


def _by_alteration(
    items: Sequence[Item], cells: Sequence[tuple[str, ...]]
) -> dict[tuple[str, str], dict[str, Numbers]]:
    """Scores (clips,) by alteration and sense, NaN where there is none; a model of one sense has only its overall score."""
    place = {item.clip.name: at for at, item in enumerate(items)}
    judged = [sense for sense, column in zip(SENSES, (6, 7, 8), strict=True) if any(row[column] for row in cells)]
    columns = {OVERALL: 3} | ({sense: 6 + SENSES.index(sense) for sense in judged} if len(judged) > 1 else {})
    scores: dict[tuple[str, str], dict[str, Numbers]] = {}
    for row in cells:
        name, at = (row[1], row[2]), place[unguard_formula(row[0])]
        if name not in scores:
            scores[name] = {sense: np.full(len(items), np.nan) for sense in columns}
        for sense, column in columns.items():
            if row[column]:
                scores[name][sense][at] = float(row[column])
    return scores


def _verdicts(items: Sequence[Item], cells: Sequence[tuple[str, ...]]) -> dict[tuple[str, str], list[str]]:
    """Verdicts (clips,) by alteration, "" where there is none."""
    place = {item.clip.name: at for at, item in enumerate(items)}
    verdicts: dict[tuple[str, str], list[str]] = {}
    for row in cells:
        verdicts.setdefault((row[1], row[2]), [""] * len(items))[place[unguard_formula(row[0])]] = row[10]
    return verdicts


def _first_failure(failed: Sequence[tuple[str, ...]]) -> Sentence:
    clip, family, level, _, _, reason = failed[0][:6]
    return Sentence(
        "the first is {clip}, {alteration}: {reason}",
        clip=unguard_formula(clip),
        alteration=f"{family} {level}".rstrip(),
        reason=foreign(unguard_formula(reason)),
    )


def _groups(clips: Sequence[Clip]) -> tuple[str, list[str | None] | None]:
    """The column whose values stay together in intervals: identities, or else sources."""
    for by in ("identity", "source"):
        values = [group_value(clip.groups, by) for clip in clips]
        if any(values):
            return by, values
    return "", None


def _cells(item: Item, name: tuple[str, str], score: Score, seconds: float) -> tuple[str, ...]:
    number = "" if score.y_pred is None else format_score(score.y_pred)
    senses = (format_score(score.senses[sense]) if sense in score.senses else "" for sense in SENSES)
    return (
        guard_formula(item.clip.name),
        *name,
        number,
        score.status,
        guard_formula(score.reason),
        *senses,
        f"{seconds:.4f}",
        score.verdict,
    )


def _reason(error: Exception) -> str:
    if isinstance(error, MediaError):
        return error.reason
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    return f"unexpected {type(error).__name__}: {error}"


def _fingerprint(work: _StressPart, items: Sequence[Item]) -> str:
    """What a resumed job must agree in: columns, clips, weights, alterations, seed and length."""
    digest = hashlib.sha256(work.judge.fingerprint)
    settings = (_HEADER, work.max_seconds, work.seed, [alteration.name for alteration in work.alterations])
    digest.update(repr(settings).encode())
    for item in items:
        digest.update(f"{item.clip.name}\0{item.clip.path}\0{item.row}\n".encode("utf-8", "backslashreplace"))
    return digest.hexdigest()
