"""A file is looked at once, in pieces, and nothing is silently skipped."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from face_clips import RATE, voice, write_clip

from ffdv.detect import looking
from ffdv.detect.looking import Look, LookSpec
from ffdv.detect.senses import Looked
from ffdv.errors import MediaError
from ffdv.features.recipe import extract
from ffdv.media.write import write_media
from ffdv.records import Samples


def look_at(path: Path, **settings: float) -> tuple[list[Looked], Look]:
    with Look(path, LookSpec(threads=1, **settings)) as look:  # type: ignore[arg-type]
        return list(look.pieces()), look


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "speaking.mp4")


def test_a_clip_gives_its_sound_its_face_its_mouth_and_cues(clip: Path) -> None:
    (looked,), look = look_at(clip)

    seen = look.looked_at
    assert looked.features.sound is not None
    assert seen.sound_seconds == pytest.approx(2.0, abs=0.1)
    assert seen.picture_seconds == pytest.approx(2.0, abs=0.1)
    assert (seen.frames, seen.frames_with_face, seen.faces) == (17, 17, 1)
    assert looked.mouth is not None
    assert len(looked.mouth.seconds) == 50
    assert np.diff(looked.mouth.seconds) == pytest.approx(1 / 25)
    assert {cue.code for cue in looked.cues} >= {"pause_depth", "face_flicker", "blink_rate", "lip_sound_offset"}
    assert look.notes == ()


def test_the_sound_is_what_prepare_keeps(clip: Path) -> None:
    (looked,), _ = look_at(clip)
    kept = extract(clip).sound

    assert looked.features.sound is not None
    assert kept is not None
    assert (looked.features.sound.values == kept.values).all()
    assert (looked.features.sound.rate, looked.features.sound.start_seconds) == (kept.rate, kept.start_seconds)


def test_pieces_joined_are_the_whole_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_media(tmp_path / "long.wav", sound=voice(40.0))
    (whole,), _ = look_at(path)
    monkeypatch.setattr(looking, "PIECE_SECONDS", 15.0)

    pieces, look = look_at(path)

    sounds = [piece.features.sound for piece in pieces if piece.features.sound is not None]
    assert len(sounds) == 3
    assert whole.features.sound is not None
    assert (np.concatenate([sound.mono() for sound in sounds]) == whole.features.sound.mono()).all()
    for before, after in itertools.pairwise(sounds):
        assert after.start_seconds == pytest.approx(before.start_seconds + before.duration_seconds, abs=1e-3)
    assert look.looked_at.sound_seconds == pytest.approx(40.0, abs=0.01)


def test_faces_of_later_pieces_have_numbers_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "long.mp4", seconds=3.6)
    for name, seconds in (("PIECE_SECONDS", 1.7), ("WATCHED_SECONDS", 1.8), ("LEAST_WATCHED_SECONDS", 0.3)):
        monkeypatch.setattr(looking, name, seconds)

    pieces, look = look_at(path)

    tracks = [track for piece in pieces if piece.features.faces for track in piece.features.faces.tracks]
    assert len(pieces) == 3
    assert [track.track_id for track in tracks] == [0, 1, 2]
    assert all(a.seconds[-1] < b.seconds[0] for a, b in itertools.pairwise(tracks))
    assert 0 < look.looked_at.mouth_seconds < 3.0  # a stretch of each piece
    assert look.looked_at.picture_seconds == pytest.approx(3.6, abs=0.3)


def test_a_limit_is_kept_and_said(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", seconds=4.0)

    _, look = look_at(path, max_seconds=1.5)

    assert look.looked_at.sound_seconds == pytest.approx(1.5, abs=0.05)
    assert look.looked_at.picture_seconds == pytest.approx(1.5, abs=0.2)
    (note,) = [note for note in look.notes if note.code == "limited"]
    assert "--max-minutes" in note.text


@pytest.mark.parametrize(
    ("sound", "face", "codes"), [(False, True, {"no_sound"}), (True, False, {"no_face"}), (False, False, {"no_sound", "no_face"})]
)  # fmt: skip
def test_what_is_missing_is_said_and_not_invented(tmp_path: Path, *, sound: bool, face: bool, codes: set[str]) -> None:
    path = write_clip(tmp_path / "clip.mp4", seconds=1.0, sound=sound, face=face)

    (looked,), look = look_at(path)

    assert {note.code for note in look.notes} == codes
    assert (looked.features.sound is not None) == sound
    assert (looked.mouth is not None) == face
    assert {cue.code for cue in looked.cues if cue.code.startswith("lip_")} == (
        {"lip_sound_offset", "lip_sound_correlation", "lip_sound_confidence"} if sound and face else set()
    )


def test_sound_alone_has_no_picture_and_says_so(tmp_path: Path) -> None:
    (looked,), look = look_at(write_media(tmp_path / "voice.wav", sound=voice(1.0)))

    assert looked.features.faces is None
    assert {note.code for note in look.notes} == {"no_picture"}


def test_a_file_without_anything_to_judge_is_an_error_with_the_reason(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a film")

    with pytest.raises(MediaError):
        look_at(broken)


def test_too_short_a_sound_is_a_note(tmp_path: Path) -> None:
    path = write_media(tmp_path / "click.wav", sound=Samples(voice(1.0).values[:, : RATE // 50], RATE))

    (looked,), look = look_at(path)

    assert looked.features.sound is None
    assert "short_sound" in {note.code for note in look.notes}


def test_sound_that_no_recorder_makes_leaves_the_picture(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ffdv.media.tracks.MAX_NATIVE_RATE", RATE - 1)
    (looked,), look = look_at(clip)
    kept = extract(clip)

    assert looked.features.sound is None
    assert look.looked_at.frames == 17
    assert {note.code for note in look.notes} == {note.code for note in kept.notes if note.code != "no_face"}
    assert "damaged_sound" in {note.code for note in look.notes}
