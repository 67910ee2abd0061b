"""Clips as vectors of numbers, all in memory: the movement of each clip, or what several senses say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ffdv.data.loader import Batch, ClipLoader, Draw, EpochSampler, Kept, LoaderSpec, choose_rows, refuse_none
from ffdv.data.shards import Shards
from ffdv.features.motion import VECTOR_NAMES
from ffdv.records import FloatArray
from ffdv.sentences import Sentence

# (rows of the shards) → vectors float32 (rows, n), NaN where a number is not known
Vectors = Callable[[Sequence[int]], FloatArray]


def make_vector_loader(
    shards: Shards,
    spec: LoaderSpec,
    vectors: Vectors,
    *,
    senses: Sequence[Kept],
    training: bool,
    rows: Sequence[int] | None = None,
    rank: int = 0,
    num_ranks: int = 1,
    lacking: Sentence | None = None,
) -> ClipLoader:
    """Batches of vectors of the clips `rows` that have any of `senses`: samples (rows, n), lengths (rows,) all n.

    lacking: what to call what a clip needs, where `senses` do not say it all. A clip of which no number is known is left out, so that
    it is not judged by what is usual. Raises ShardError when none can take part.
    """
    taken, left_out = choose_rows(shards, spec, rows=rows, senses=senses)
    table = vectors(taken.tolist())
    known = np.isfinite(table).any(axis=1)
    left_out = replace(
        left_out, no_sound=(*left_out.no_sound, *taken[~known].tolist()), lacking=lacking or left_out.lacking
    )
    taken, table = taken[known], table[known]
    refuse_none(shards, taken, left_out)
    sampler = EpochSampler(taken, shards.labels[taken], spec, training=training, rank=rank, num_ranks=num_ranks)
    return ClipLoader(_Held(shards, taken, table, sampler), sampler, taken, left_out)


def motion_vectors(shards: Shards) -> Vectors:
    """The movement of clips; all NaN where a clip has none."""

    def read(rows: Sequence[int]) -> FloatArray:
        table = np.full((len(rows), len(VECTOR_NAMES)), np.nan, np.float32)
        for place, row in enumerate(rows):
            values = shards.motion(row)
            if values is not None:
                table[place] = values
        return table

    return read


@dataclass(frozen=True)
class _Held:
    """What DataLoader is to clips on a disk."""

    shards: Shards
    rows: npt.NDArray[np.int64]
    table: FloatArray
    sampler: EpochSampler

    def __iter__(self) -> Iterator[Batch]:
        place_of = {int(row): place for place, row in enumerate(self.rows)}
        for draws in self.sampler:
            yield self._batch(draws, [place_of[draw.row] for draw in draws])

    def _batch(self, draws: Sequence[Draw], places: Sequence[int]) -> Batch:
        import torch

        rows = [draw.row for draw in draws]
        return Batch(
            samples=torch.from_numpy(self.table[places]),
            lengths=torch.full((len(rows),), self.table.shape[1]),
            labels=torch.from_numpy(self.shards.labels[rows].astype(np.int64)),
            names=tuple(self.shards.names[row] for row in rows),
            clips=torch.tensor(rows),
            start_seconds=torch.zeros(len(rows), dtype=torch.float64),
        )
