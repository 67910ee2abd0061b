"""Small corpora made on the spot."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from ffdv.media.write import write_media
from ffdv.records import Samples


@pytest.fixture
def write_tone() -> Callable[..., Path]:
    """Writes a sine of its own pitch: (path, seconds, rate, hertz) → path."""

    def write(path: Path, seconds: float = 0.3, rate: int = 8000, hertz: float = 440.0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
        return write_media(path, sound=Samples(wave.astype(np.float32)[None], rate))

    return write


@pytest.fixture
def write_table() -> Callable[..., Path]:
    """Writes rows as a table: (path, rows, delimiter) → path."""

    def write(path: Path, rows: Sequence[Sequence[object]], delimiter: str = ",") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=delimiter).writerows(rows)
        return path

    return write


@pytest.fixture
def tone_corpus(
    tmp_path: Path, write_tone: Callable[..., Path], write_table: Callable[..., Path]
) -> Callable[[int], Path]:
    """Makes a corpus of so many tones with labels in turn, two methods and three people: (clips) → folder."""

    def make(clips: int, seconds: float = 0.3) -> Path:
        root = tmp_path / "corpus"
        rows: list[Sequence[object]] = [("file", "label", "method", "identity", "split")]
        for number in range(clips):
            write_tone(root / f"{number:03d}.wav", seconds=seconds + 0.01 * (number % 7), hertz=200 + 10 * number)
            method = "real" if number % 2 == 0 else f"vocoder{number % 3}"
            rows.append(
                (f"{number:03d}.wav", number % 2, method, f"person{number % 5}", "train" if number % 4 else "dev")
            )
        write_table(root / "manifest.csv", rows)
        return root

    return make
