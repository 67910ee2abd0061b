"""Scores that something else gave, for the same tables as a run's: any detector, ours that ships included, as a CSV.

scores.csv (video_name, y_pred) + labelled clips ─▶ matched by name ─▶ ScoredClips
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ffdv.data.facts import ClipFacts
from ffdv.data.scores import read_scores
from ffdv.errors import ManifestError
from ffdv.sentences import Sentence

if TYPE_CHECKING:
    from ffdv.training.engine import ScoredClips

# Logits of scores of exactly 0 and 1, beyond those of every other number between: the order is kept.
_SURELY_REAL, _SURELY_FAKE = -750.0, 40.0


def is_score_table(model: Path | str) -> bool:
    """Whether this is a table of scores and no run: a CSV file, which may be missing."""
    return Path(model).suffix.lower() == ".csv" and not Path(model).is_dir()


def scores_of_table(
    path: Path | str, clips: ClipFacts, rows: npt.NDArray[np.int64]
) -> tuple[ScoredClips, npt.NDArray[np.float64], tuple[Sentence, ...]]:
    """What a table of scores says of these rows of the clips, its scores (n,) as they stand, and what a reader must know of it.

    A clip is found by its name; a name without a folder is found below any, where only one clip is called so. Scores are taken
    for probabilities. Clips without a score are left out, with a warning.
    Raises SubmissionError (data/scores) for a table that holds no scores, ManifestError when none of them is of these clips.
    """
    from ffdv.training.engine import ScoredClips

    table = read_scores(path)
    found = _matched({score.name: score.y_pred for score in table}, [clips.names[row] for row in rows.tolist()])
    judged = [(row, value) for row, value in zip(rows.tolist(), found, strict=True) if value is not None]
    if not judged:
        raise ManifestError(
            f"{path}: no labelled clip of {clips.folder} has a score in it; its names are like {table[0].name!r}, theirs like "
            f"{clips.names[int(rows[0])]!r}"
            if table
            else f"{path}: holds no scores; give one row a clip: video_name,y_pred"
        )
    chosen = np.array([row for row, _ in judged], np.int64)
    given = np.array([value for _, value in judged], np.float64)
    scored = ScoredClips(tuple(clips.names[row] for row in chosen.tolist()), clips.labels[chosen], _logits(given))
    warnings = [Sentence("nobody knows what the detector behind {table} was trained on; if it saw these clips, the numbers flatter it", table=path)]  # fmt: skip
    if len(judged) < len(rows):
        warnings.append(
            Sentence(
                "{count} of the {total} clips have no score in {table} and are left out",
                count=len(rows) - len(judged),
                total=len(rows),
                table=path,
            )
        )
    return scored, given, tuple(warnings)


def _matched(value_of: Mapping[str, float | None], names: list[str]) -> list[float | None]:
    """The score of each name, None where there is none; either side may leave folders away."""
    bare = _unique({name: name.rsplit("/", 1)[-1] for name in value_of})
    known = _unique({name: name.rsplit("/", 1)[-1] for name in names})
    found: list[float | None] = []
    for name in names:
        last = name.rsplit("/", 1)[-1]
        other = bare.get(last) if known.get(last) == name else None
        fits = other is not None and ("/" not in other or "/" not in name)
        found.append(value_of[name] if name in value_of else value_of[other] if fits and other else None)
    return found


def _unique(last_of: Mapping[str, str]) -> dict[str, str]:
    """Last part → name, of those that one name alone has."""
    names: dict[str, list[str]] = {}
    for name, last in last_of.items():
        names.setdefault(last, []).append(name)
    return {last: each[0] for last, each in names.items() if len(each) == 1}


def _logits(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Log odds, finite, in the same order and with the same ties."""
    inside = (scores > 0.0) & (scores < 1.0)
    safe = np.where(inside, scores, 0.5)
    odds = np.log(safe) - np.log1p(-safe)
    return np.where(inside, odds, np.where(scores <= 0.0, _SURELY_REAL, _SURELY_FAKE))
