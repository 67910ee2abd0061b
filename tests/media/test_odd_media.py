"""Files that break readers, from public test suites and made for it: each gives what its manifest says."""

from __future__ import annotations

import csv
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ffdv.errors import MediaError
from ffdv.media.read import open_media, read_frames, read_samples

# Read from the manifest when tests are collected, so that each file is a test of its own name.
ODD_MEDIA = Path(__file__).resolve().parents[3] / "shared" / "data" / "odd_media"


def rows() -> list[dict[str, str]]:
    manifest = ODD_MEDIA / "manifest.csv"
    if not manifest.is_file():
        return []
    with manifest.open(encoding="utf-8", newline="") as file:
        return [
            row for row in csv.DictReader(file) if not row["file"].startswith(("generated/csv/", "generated/ckpt/"))
        ]


@dataclass
class Outcome:
    """What one file gave: seconds of sound, frames, codes of notes, and sentences of errors."""

    sound_seconds: float = 0.0
    num_frames: int = 0
    codes: frozenset[str] = frozenset()
    errors: tuple[str, ...] = ()


def outcome_of(path: Path) -> Outcome:
    outcome = Outcome()
    try:
        with open_media(path) as media:
            errors = []
            for has, read in ((media.facts.has_sound, hear), (media.facts.has_picture, watch)):
                try:
                    if has:
                        read(media, outcome)
                except MediaError as error:
                    errors.append(str(error))
            outcome.codes = frozenset(note.code for note in media.notes)
            outcome.errors = tuple(errors)
    except MediaError as error:
        outcome.errors = (str(error),)
    return outcome


def hear(media, outcome: Outcome) -> None:  # noqa: ANN001
    sound = read_samples(media, rate=16_000)
    assert np.isfinite(sound.values).all()
    assert np.abs(sound.values).max(initial=0.0) <= 1.0
    outcome.sound_seconds = sound.duration_seconds


def watch(media, outcome: Outcome) -> None:  # noqa: ANN001
    for frame in read_frames(media, fps=4):
        assert frame.pixels.ndim == 3
        assert frame.pixels.shape[2] == 3
        outcome.num_frames += 1


@pytest.mark.data
@pytest.mark.skipif(
    not ODD_MEDIA.is_dir(), reason="the odd files (../shared/data/odd_media) are not beside the project"
)
@pytest.mark.parametrize("row", rows(), ids=lambda row: row["file"].split("/")[-1])
def test_odd_files_give_what_is_expected(row: dict[str, str]) -> None:
    expected = row["expected_outcome"]
    began = time.monotonic()

    outcome = outcome_of(ODD_MEDIA / row["file"])

    assert time.monotonic() - began < 60
    for sentence in outcome.errors:
        assert Path(row["file"]).name in sentence
        assert "\n" not in sentence
    if expected == "clear error":
        assert (outcome.sound_seconds, outcome.num_frames) == (0.0, 0)
        assert outcome.errors
        return
    assert (outcome.sound_seconds > 0) == sound_expected(expected)
    assert (outcome.num_frames > 0) == picture_expected(expected, row["file"])
    assert codes_expected(expected, row["file"]) <= outcome.codes
    if "undecodable" not in expected:
        assert outcome.errors == ()


def sound_expected(expected: str) -> bool:
    return "video only (" not in expected  # too short a sound is there, but said to be short


def picture_expected(expected: str, file: str) -> bool:
    return not ("audio only" in expected or file.endswith((".wav", ".flac")))


def codes_expected(expected: str, file: str) -> set[str]:
    said = {
        "no audio track": "no_sound",
        "no video track": "no_picture",
        "cover art": "cover_art",
        "damage warning": "damaged",
        "too short": "short_sound",
        "which audio track": "audio_track",
        "sanitised": "sanitised",
        "clipped with": "sanitised",
        "within limits": "limited",
    }
    codes = {code for words, code in said.items() if words in expected}
    return codes | ({"truncated"} if "trunc_" in file else set())
