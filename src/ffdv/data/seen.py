"""Which labelled clips to judge a run on: those that it has not seen, unless others are asked for by name.

A run folder says in parts.csv what each clip served for (train, validation, calibration, test, left_out), and which data that was.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ffdv.data.corpus import Corpus
from ffdv.data.facts import ClipFacts
from ffdv.data.shards import UNKNOWN_LABEL, Shards
from ffdv.errors import CheckpointError, ManifestError
from ffdv.sentences import Sentence

PARTS_NAME = "parts.csv"
# Of the clips' names so many stand in a run's parts: it is the run's corpus, prepared again.
SAME_CORPUS_SHARE = 0.5
TABLE_CURE = "give its folder a label table (label.csv: video_name,target)"
LABEL_CURE = f"{TABLE_CURE} and run ffdv prepare again, which decodes nothing twice"
GROUP_CURE = (
    "add the column to the label table and run ffdv prepare again, which decodes nothing twice, or name another"
)
TABLE_GROUP_CURE = "add the column to the label table, or name another"
PARTS = ("train", "validation", "calibration", "test", "left_out")


@dataclass(frozen=True)
class LabelledClips:
    """What choosing needs of clips: names, labels (n,) of {0, 1, -1 unknown}, usable (n,) and the corpus's splits; where they lie, and
    how they get labels.
    """

    names: Sequence[str]
    labels: npt.NDArray[np.int64]
    usable: npt.NDArray[np.bool_]
    splits: Sequence[str | None]
    where: Path
    cure: str = LABEL_CURE

    @classmethod
    def of_shards(cls, shards: ClipFacts) -> Self:
        """All rows of prepared shards (or of a corpus that was not); those whose extraction failed are of no use."""
        cure = LABEL_CURE if isinstance(shards, Shards) else TABLE_CURE
        return cls(shards.names, shards.labels, ~shards.failed, shards.splits, shards.folder, cure)

    @classmethod
    def of_corpus(cls, corpus: Corpus) -> Self:
        """All clips of a corpus that was not prepared."""
        labels = [UNKNOWN_LABEL if clip.label is None else clip.label for clip in corpus.clips]
        names, splits = [clip.name for clip in corpus.clips], [clip.split for clip in corpus.clips]
        return cls(names, np.array(labels, np.int64), np.ones(len(names), np.bool_), splits, corpus.root, TABLE_CURE)


@dataclass(frozen=True)
class ChosenClips:
    """Which clips to judge, what to call them, and what to say about the choice."""

    rows: npt.NDArray[np.int64]
    part: Sentence
    warnings: tuple[Sentence, ...] = ()


def choose_clips(clips: LabelledClips, part_of: Mapping[str, str], split: str | None) -> ChosenClips:
    """The labelled clips to judge a run on: those it has not seen, unless `split` asks for others by name.

    part_of: what each clip served for in training, empty when the run was trained on other data.
    Raises ManifestError when there is no such split, or nothing to judge on.
    """
    labelled = np.flatnonzero((clips.labels >= 0) & clips.usable)
    parts = np.array([part_of.get(name, "") for name in clips.names], dtype=object)
    if split is not None:
        chosen = _named(clips, parts, labelled, split)
    elif part_of:
        chosen = _unseen(parts, labelled)
    else:
        chosen = ChosenClips(labelled, Sentence("all labelled clips"))
    if (clips.labels < 0).all():
        raise ManifestError(f"{clips.where}: no clip has a label; {clips.cure}")
    if len(chosen.rows) == 0:
        raise ManifestError(f"{clips.where}: no labelled clip in {chosen.part}; nothing to evaluate")
    trained_on = int((parts[chosen.rows] == "train").sum())
    if trained_on:
        text = Sentence(
            "{count} of the {total} clips were trained on: these numbers say nothing about new clips",
            count=trained_on,
            total=len(chosen.rows),
        )
        return replace(chosen, warnings=(*chosen.warnings, text))
    return chosen


def data_hash(shards: Shards) -> str:
    """What the shards hold, by their light columns: names, labels, splits, groups, failures and length of the sound."""
    digest = hashlib.sha256()
    said = (shards.table[name].to_pylist() for name in ("name", "label", "split", "groups"))
    for name, label, split, groups, failed, seconds in zip(
        *said, shards.failed.tolist(), shards.sound_seconds.tolist(), strict=True
    ):
        light = (name, label, split, sorted(dict(groups).items()), failed, seconds)
        digest.update(json.dumps(light).encode())
    return digest.hexdigest()[:32]


def data_hash_of(written: Mapping[str, Any]) -> str | None:
    """The hash of the data that a checkpoint with this provenance was trained on; None when it does not say."""
    data = written.get("data")
    found = data.get("hash") if isinstance(data, dict) else None
    return found if isinstance(found, str) else None


def read_parts(folder: Path) -> dict[str, str]:
    """Name → part, as a run wrote it. Raises CheckpointError when it is not there or not ours."""
    path = folder / PARTS_NAME
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            header, *rows = csv.reader(file)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); it says what was trained on, train the run again"
        ) from error
    if header != ["name", "part"] or not all(len(row) == 2 and row[1] in PARTS for row in rows):
        raise CheckpointError(
            f"{path} does not hold rows of name, part; it says what was trained on, train the run again"
        )
    return dict(rows)


def is_same_corpus(part_of: Mapping[str, str], names: Sequence[str]) -> bool:
    """Whether most of these clips stand, by their whole names, among those that a run was divided into, some of them as its training."""
    return bool(taught_names(part_of).intersection(names)) and (
        len(set(part_of).intersection(names)) >= SAME_CORPUS_SHARE * len(names)
    )


def num_named_alike(names: Iterable[str], others: Iterable[str]) -> int:
    """How many of these clips are named, their folders aside, like one of the others."""
    known = {name.rsplit("/", 1)[-1] for name in others}
    return sum(name.rsplit("/", 1)[-1] in known for name in names)


def taught_names(part_of: Mapping[str, str]) -> frozenset[str]:
    """Names of the clips that served for training."""
    return frozenset(name for name, part in part_of.items() if part == "train")


def taught_clips(run: Path) -> frozenset[str]:
    """Names of the clips that the run in this folder was trained on. Raises CheckpointError as read_parts does."""
    return taught_names(read_parts(run))


# What is to be known of numbers on clips of these parts.
_FLATTERS = {
    "calibration": Sentence(
        "the run's calibration was fitted on these clips: AUC, EER and TPR are honest, but log_loss, brier, ece, accuracy "
        "and verdicts flatter it"
    ),
    "validation": Sentence("the run's epoch and calibration were chosen on these clips: the numbers flatter it"),
}


def _unseen(parts: npt.NDArray[np.object_], labelled: npt.NDArray[np.int64]) -> ChosenClips:
    """The test part of the run, or else what chose least: the calibration part, or the validation part, with a warning."""
    test, calibration, validation = (
        labelled[parts[labelled] == part] for part in ("test", "calibration", "validation")
    )
    if len(test):
        return ChosenClips(test, Sentence("the run's test part"))
    if len(calibration):
        return ChosenClips(calibration, Sentence("the run's calibration part"), (_FLATTERS["calibration"],))
    return ChosenClips(validation, Sentence("the run's validation part"), (_FLATTERS["validation"],))


def _named(
    clips: LabelledClips, parts: npt.NDArray[np.object_], labelled: npt.NDArray[np.int64], split: str
) -> ChosenClips:
    """The clips of a split, by the corpus's name for it or by the run's."""
    named = np.array([name or "" for name in clips.splits], dtype=object)
    for names, part in (
        (named, Sentence("the corpus's split {name!r}", name=split)),
        (parts, Sentence("the run's part {name!r}", name=split)),
    ):
        chosen = labelled[names[labelled] == split]
        if len(chosen):
            served = set(parts[chosen].tolist()).intersection(("validation", "calibration"))
            told = tuple(text for part_name, text in _FLATTERS.items() if part_name in served)
            return ChosenClips(chosen, part, told)
    known = sorted({str(name) for names in (named, parts) for name in names if name})
    raise ManifestError(
        f"{clips.where}: there is no labelled clip in a split {split!r}; there are {', '.join(known) or 'none'}"
    )
