"""The measures that training and detection share: what the net gets to see, nothing else."""

from __future__ import annotations

import doctest
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ffdv.features import familiar
from ffdv.features.familiar import damage_measure, face_measures, sound_measures
from ffdv.media.decode import Tally
from ffdv.media.limits import Limits
from ffdv.media.opened import Media
from ffdv.records import FacesSeen, FaceTrack, Note, Samples


def noise(seconds: float, rate: int, *, below_hz: float | None = None) -> Samples:
    values = np.random.default_rng(0).standard_normal(round(seconds * rate))
    if below_hz is not None:
        spectrum = np.fft.rfft(values)
        spectrum[np.fft.rfftfreq(len(values), 1 / rate) > below_hz] = 0
        values = np.fft.irfft(spectrum, len(values))
    return Samples((0.1 * values)[None].astype(np.float32), rate)


def track(number: int, widths: list[float]) -> FaceTrack:
    boxes = np.array([[10.0, 20.0, 10.0 + width, 90.0] for width in widths], np.float32)
    n = len(widths)
    return FaceTrack(
        number,
        np.arange(n, dtype=np.float64),
        boxes,
        np.full((n, 5, 2), np.nan, np.float32),
        np.ones(n, np.float32),
        np.zeros((n, 8, 8, 3), np.uint8),
    )


def test_the_examples_in_the_docs_hold() -> None:
    assert doctest.testmod(familiar).failed == 0


def test_rate_band_and_length_count_up_to_what_the_net_sees() -> None:
    wide = sound_measures(noise(9.0, 22_050), rate=16_000, longest_seconds=4.0)

    assert wide == {"sound_seconds": 4.0, "sound_rate_hz": 16_000.0, "sound_band_hz": 8_000.0}


def test_what_lies_below_is_told() -> None:
    low = sound_measures(noise(1.5, 8_000, below_hz=3_000), rate=16_000, longest_seconds=4.0)

    assert low["sound_seconds"] == 1.5
    assert low["sound_rate_hz"] == 8_000.0
    assert low["sound_band_hz"] == pytest.approx(3_000, abs=60)


def test_silence_has_no_band_and_that_is_left_out() -> None:
    silent = Samples(np.zeros((1, 16_000), np.float32), 16_000)

    assert "sound_band_hz" not in sound_measures(silent, rate=16_000, longest_seconds=4.0)


def test_the_face_seen_most_often_is_measured() -> None:
    faces = FacesSeen((track(0, [200.0, 210.0]), track(1, [50.0, 60.0, 70.0])), 5, 5, (640, 360))

    assert face_measures(faces) == {"face_pixels": 60.0}
    assert face_measures(None) == face_measures(FacesSeen((), 5, 0, (640, 360))) == {}


def test_damage_is_read_from_the_very_notes_that_reading_leaves() -> None:
    notes: list[Note] = []
    reader = SimpleNamespace(
        path=Path("x.mp4"), limits=Limits(), note=lambda code, text, **_: notes.append(Note(code, text))
    )

    Media.check_damage(reader, Tally(packets=120, lost=1, patched=14, frames=119), "sound")

    assert damage_measure([Note("limited", "x"), *notes]) == {"damaged_share": 0.125}
    assert damage_measure(notes, sense="picture") == {"damaged_share": 0.0}
