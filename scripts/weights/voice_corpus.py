"""The rows of audio/train and their sound, for the scripts that teach the voice: open rows may be taught, closed ones never."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from ffdv.detect.voice import RATE
from ffdv.records import FloatArray


@dataclass(frozen=True)
class Row:
    """One clip of audio/train."""

    path: str
    label: int
    generator: str
    source: str
    pair: str
    open: bool


class ClosedRowError(ValueError):
    """A row that may not be taught was about to be."""


def check_open(rows: Sequence[Row]) -> Sequence[Row]:
    """The same rows. Raises ClosedRowError when one may not be reused in a product."""
    for row in rows:
        if not row.open:
            raise ClosedRowError(f"{row.path}: its licence does not allow weights that ship; teach open rows only")
    return rows


def read_rows(data: Path) -> list[Row]:
    """The manifest of audio/train."""
    with (data / "audio/train/manifest.csv").open(newline="", encoding="utf-8") as file:
        return [
            Row(
                one["path"], int(one["label"]), one["generator"], one["source_repo"], one["pair_id"], one["open"] == "1"
            )
            for one in csv.DictReader(file)
        ]


class Sound:
    """The corpus at 16 kHz, int16 in one memory-mapped file; sound[i] is row i as float32, as it is."""

    def __init__(self, data: Path, rows: Sequence[Row], work: Path) -> None:
        self._data, self._rows, self._kept = data, rows, work / "voice-sound"

    @cached_property
    def _parts(self) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int64]]:
        pcm, starts = self._kept.with_suffix(".npy"), self._kept.with_suffix(".starts.npy")
        if not starts.is_file():
            clips = [self._decode(row) for row in self._rows]
            np.save(pcm, np.concatenate(clips))
            np.save(starts, np.cumsum([0, *map(len, clips)]))
        return np.load(pcm, mmap_mode="r"), np.load(starts)

    def _decode(self, row: Row) -> npt.NDArray[np.int16]:
        samples, rate = soundfile.read(self._data / "audio/train" / row.path, dtype="float32", always_2d=True)
        mono = samples.mean(axis=1)
        mono = soxr.resample(mono, rate, RATE) if rate != RATE else mono
        return np.clip(mono * 32768, -32768, 32767).astype(np.int16)

    def pcm(self, place: int) -> npt.NDArray[np.int16]:
        """Row i as it is kept."""
        pcm, starts = self._parts
        return np.array(pcm[starts[place] : starts[place + 1]])

    def __getitem__(self, place: int) -> FloatArray:
        return self.pcm(place).astype(np.float32) / 32768
