"""What is known of labelled clips, prepared or not: names, labels, groups, and the shortcut probes where there are shards.

shards folder ─▶ Shards            with probes
label table   ─▶ CorpusFacts       without: nothing was decoded
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from ffdv.data.corpus import Corpus, group_value
from ffdv.data.manifest import load_corpus
from ffdv.data.shards import INDEX_NAME, UNKNOWN_LABEL, open_shards


class ClipFacts(Protocol):
    """What a table of numbers needs of clips; Shards are such facts."""

    @property
    def folder(self) -> Path:
        """Where they lie."""

    @property
    def names(self) -> tuple[str, ...]:
        """Clip names, in order."""

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """(clips,) 0 real, 1 fake, -1 unknown."""

    @property
    def failed(self) -> npt.NDArray[np.bool_]:
        """(clips,) whether extraction failed."""

    @property
    def splits(self) -> tuple[str | None, ...]:
        """The split that the corpus names, in order."""

    @property
    def group_names(self) -> tuple[str, ...]:
        """All group columns that some clip has."""

    @property
    def probe_names(self) -> tuple[str, ...]:
        """All probes that some clip has."""

    def group(self, by: str) -> tuple[str | None, ...]:
        """Each clip's value of a group column, other spellings of the idea included."""

    def probe(self, name: str) -> npt.NDArray[np.float64]:
        """(clips,) one probe, NaN where a clip has none."""


@dataclass(frozen=True)
class CorpusFacts:
    """What a corpus says of its clips, with nothing decoded: there are no probes, and nothing has failed yet."""

    corpus: Corpus
    folder: Path
    names: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    failed: npt.NDArray[np.bool_]
    splits: tuple[str | None, ...]
    group_names: tuple[str, ...]
    probe_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, corpus: Corpus) -> Self:
        """From a corpus that was read."""
        clips = corpus.clips
        labels = [UNKNOWN_LABEL if clip.label is None else clip.label for clip in clips]
        return cls(
            corpus,
            corpus.root,
            tuple(clip.name for clip in clips),
            np.array(labels, np.int64),
            np.zeros(len(clips), np.bool_),
            tuple(clip.split for clip in clips),
            tuple(sorted({name for clip in clips for name, value in clip.groups.items() if value})),
        )

    def group(self, by: str) -> tuple[str | None, ...]:
        """As in Shards."""
        return tuple(group_value(clip.groups, by) for clip in self.corpus.clips)

    def probe(self, name: str) -> npt.NDArray[np.float64]:
        """There are none. Raises KeyError."""
        raise KeyError(name)


def open_facts(data: Path | str) -> ClipFacts:
    """What is known of prepared shards, or of a corpus as load_corpus reads it. Raises ShardError, ManifestError."""
    if (Path(data) / INDEX_NAME).is_file():
        return open_shards(data)
    return CorpusFacts.of(load_corpus(data))
