"""Files → scores: every input is a row, a failure has a reason and no number, a stopped job goes on where it was."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from ffdv.arguments import one_path, whole_number
from ffdv.data.corpus import Corpus
from ffdv.data.manifest import load_every_clip
from ffdv.data.pool import ClipsProgress, Part, ProgressTally, num_cores, run_parts
from ffdv.data.scores import write_scores
from ffdv.data.tables import write_whole
from ffdv.detect.network import Network, find_network
from ffdv.detect.own_files import own_folder
from ffdv.detect.scorers import SCORERS
from ffdv.errors import MediaError, SubmissionError
from ffdv.features.recipe import extract
from ffdv.records import Clip, Score

# A killed job loses at most one part a worker: 16 clips are a second or two of work.
CLIPS_PER_PART = 16
# The reader stops by itself long before (60 s a media minute); what is beyond that hangs.
CLIP_TIMEOUT_SECONDS = 900.0
# Rows of a table that name no usable file are inputs too; these were only told apart while loading.
_NOT_INPUTS = frozenset({"skipped", "duplicate", "unlabelled"})


@dataclass(frozen=True, repr=False)
class PredictSummary:
    """What predict wrote: all rows in the corpus's order; failures are those without a number."""

    out: Path
    scores: tuple[Score, ...]
    resumed: int
    seconds: float

    def __repr__(self) -> str:
        """One line: the rows are in `scores`."""
        return f"PredictSummary({str(self.out)!r}, {len(self.scores)} clips, {len(self.failures)} without a score)"

    @property
    def failures(self) -> tuple[Score, ...]:
        """The rows without a score, each with its reason."""
        return tuple(score for score in self.scores if score.status == "failed")


def predict(
    data: Path | str,
    *,
    out: Path | str,
    model: Path | str | None = None,
    workers: int | None = None,
    progress: Callable[[ClipsProgress], None] | None = None,
) -> PredictSummary:
    """Score every clip of `data` with a run's exported net and write `out` (video_name, y_pred, status, reason ... verdict).

    data: the challenge's folder, a label table, a folder (every clip in it) or one file; labels are not looked at. model: a run's
    folder or an exported .onnx file; without one the detector inside the package judges voice, picture and agreement, each in a
    column of its own. workers: processes, None or 0 as many as there are cores.
    progress: called in this process with a ClipsProgress, at once and after each clip; what it raises ends the job. A job that was stopped goes on when it is started
    again with the same arguments.
    Raises CheckpointError when the model cannot be used, ManifestError when there is nothing to score.
    """
    data = one_path(data)
    whole_number(0, workers=workers)
    if Path(out).is_dir():
        raise SubmissionError(f"{out}: is a folder; give a file for the scores (--out scores.csv)")
    if model is None:
        return _predict_shipped(data, Path(out), workers, progress)
    began = time.monotonic()
    network, target = find_network(Path(model)), Path(out)
    Network(network)  # a model that cannot be used is told at once, not by every clip
    corpus = load_every_clip(data)
    folder = target.with_name(f".{target.name}.{_fingerprint(data, network)[:16]}.parts")
    own_folder(folder)
    # Clips that came, went or changed since a job was stopped leave what was said of the others as it is.
    asked = [_Asked(clip, _state_of(clip)) for clip in corpus.clips]
    known = _known(folder)
    todo = [one for one in asked if one.state not in known]
    parts = [
        Part(number, tuple(todo[start : start + CLIPS_PER_PART]))
        for number, start in enumerate(range(0, len(todo), CLIPS_PER_PART))
    ]
    tally = ProgressTally(len(asked), len(asked) - len(todo), progress)
    for report in run_parts(
        parts,
        PartScorer(network, folder),
        workers=workers or num_cores(),
        item_timeout_seconds=CLIP_TIMEOUT_SECONDS,
    ):
        tally.take(report)
    known = _known(folder)
    scores = (*(known[one.state] for one in asked), *_unusable_rows(corpus))
    write_scores(target, scores)
    shutil.rmtree(folder)
    return PredictSummary(target, scores, len(asked) - len(todo), time.monotonic() - began)


def _predict_shipped(
    data: Path | str, out: Path, workers: int | None, progress: Callable[[ClipsProgress], None] | None
) -> PredictSummary:
    from ffdv.detect.shipped_scores import score_shipped

    scores, summary = score_shipped(data, out=out, workers=workers, progress=progress)
    return PredictSummary(out, scores, summary.resumed, summary.seconds)


def score_clip(clip: Clip, network: Network) -> Score:
    """The opinion on one clip; whatever is wrong with its file becomes a reason."""
    try:
        scorer = SCORERS[network.facts.kind]
        features = extract(clip.path, scorer.spec)
        opinion = scorer.ask(features, network)
        probability = network.probability(opinion.logit)
        judged = network.judge(probability, features, distance=opinion.distance)
    except MediaError as error:
        return Score(clip.name, None, "failed", error.reason)
    except MemoryError:
        return Score(clip.name, None, "failed", "reading it needs more memory than there is")
    except Exception as error:  # noqa: BLE001 -- one file must not stop the others; the row says what happened
        return Score(clip.name, None, "failed", f"unexpected {type(error).__name__} while reading: {error}")
    senses = {scorer.sense: probability} if scorer.sense else {}
    unlooked = tuple(note.text for note in features.notes if note.code == "limited")
    reasons = (*opinion.without, *unlooked, *(() if judged is None else judged.outside))
    verdict = "" if judged is None else judged.verdict
    return Score(clip.name, probability, reason="; ".join(reasons), senses=senses, verdict=verdict)


@dataclass(frozen=True)
class _Asked:
    """A clip, and the state of its file that it is scored in."""

    clip: Clip
    state: str


@dataclass(frozen=True)
class PartScorer:
    """Scores one part in a worker process and writes its rows; picklable, the net is loaded once a process."""

    network: Path
    folder: Path

    def __call__(self, part: Part, tell: Callable[[int, str], None]) -> None:
        """Score the part and tell of every clip as it is finished."""
        scores = []
        for position, asked in enumerate(part.items):
            clip, given_up = asked.clip, part.given_up.get(position)
            score = Score(clip.name, None, "failed", given_up) if given_up else score_clip(clip, _load(self.network))
            scores.append(score)
            tell(position, score.failure)
        _keep(self.folder, [asked.state for asked in part.items], scores)


@lru_cache(maxsize=1)
def _load(path: Path) -> Network:
    return Network(path)


def _keep(folder: Path, states: Sequence[str], scores: Sequence[Score]) -> None:
    """Write what was said of files in these states, whole or not at all; a part is named by its states."""
    name = hashlib.sha256("".join(states).encode()).hexdigest()[:16]
    rows = [{"state": state, "score": asdict(score)} for state, score in zip(states, scores, strict=True)]
    write_whole(folder / f"{name}.json", json.dumps(rows).encode())


def _known(folder: Path) -> dict[str, Score]:
    """What finished parts say, by the state of the file it was said of; a damaged part says nothing."""
    known: dict[str, Score] = {}
    for path in folder.glob("*.json"):
        try:
            known |= {row["state"]: Score(**row["score"]) for row in json.loads(path.read_text(encoding="utf-8"))}
        except (OSError, ValueError, TypeError, KeyError):
            path.unlink(missing_ok=True)
    return known


def _unusable_rows(corpus: Corpus) -> list[Score]:
    """A failed row for every row of a label table that names no file to be scored."""
    named = {clip.name for clip in corpus.clips}
    rows: dict[str, Score] = {}
    for problem in corpus.problems:
        if problem.kind not in _NOT_INPUTS and problem.name and problem.name not in named:
            rows.setdefault(problem.name, Score(problem.name, None, "failed", problem.text))
    return list(rows.values())


def _fingerprint(data: Path | str, network: Path) -> str:
    """What the jobs that share their parts agree in: where the clips are, and the net."""
    place = str(Path(data).resolve()).encode("utf-8", "backslashreplace")
    return hashlib.sha256(network.read_bytes() + place).hexdigest()


def _state_of(clip: Clip) -> str:
    """What a score that was kept must agree in: the clip's name and place, and its file's size and date; of one that is gone its name."""
    told = f"{clip.name}\0{clip.path.resolve()}"
    with contextlib.suppress(OSError):  # gone since it was listed: reading it says so
        facts = clip.path.stat()
        told += f"\0{facts.st_size}\0{facts.st_mtime_ns}"
    return hashlib.sha256(told.encode("utf-8", "backslashreplace")).hexdigest()
