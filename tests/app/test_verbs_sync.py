"""`ffdv sync` in the terminal: a sentence, a table, JSON for machines, and one sentence for what cannot be compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ffdv.app import show_sync
from ffdv.app.cli import app
from ffdv.detect.sync import SyncEstimate, SyncMoment
from ffdv.media.write import write_media
from ffdv.records import Samples
from ffdv.sentences import Sentence


def estimate(*, offset_frames: float = 0.0, mismatch: float = 0.1) -> SyncEstimate:
    moment = SyncMoment(0.0, 2.0, offset_frames, 0.5, 0.4, mismatch)
    path = Path("clip.mp4")
    return SyncEstimate(path, offset_frames, offset_frames * 40, 0.5, 0.4, mismatch, 3.0, 15, (0.0,) * 31, (moment,))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (estimate(), "in step"),
        (estimate(offset_frames=5.0), "the sound is 200 ms late"),
        (estimate(offset_frames=-3.0), "the sound is 120 ms early"),
        (estimate(offset_frames=-12.0, mismatch=0.95), "do not seem to belong together"),
    ],
)
def test_the_first_line_says_it_in_words(found: SyncEstimate, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_sync.show_sync(found)
    shown = capsys.readouterr().out

    assert words in shown.splitlines()[0]
    assert f"{found.offset_frames:+.1f}" in shown
    assert "0.0–2.0 s" in shown


def test_an_estimate_shows_itself_without_its_curve() -> None:
    shown = repr(estimate())

    assert len(shown) < 300
    assert "offset_frames=0.0" in shown


def test_what_makes_it_doubtful_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    show_sync.show_sync(replace(estimate(), doubts=(Sentence("what is said is hard to make out"),)))

    assert "note: what is said is hard to make out" in capsys.readouterr().err


def test_what_cannot_be_compared_is_a_line_with_its_reason_and_status_1(tmp_path: Path, tone: Samples) -> None:
    clip = write_media(tmp_path / "voice.wav", sound=tone)
    done = CliRunner().invoke(app, ["sync", "--json", str(clip)])
    answer = json.loads(done.stdout)

    assert done.exit_code == 1
    assert answer["status"] == "failed"
    assert answer["reason"] == "it shows no lips to compare with the sound: the file has no moving picture"
