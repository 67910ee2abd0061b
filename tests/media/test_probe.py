"""What headers tell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from media_clips import noise, numbered, quarters, tone, with_matrix, write_sounds

from ffdv.media.probe import probe
from ffdv.media.read import open_media, read_samples
from ffdv.media.write import write_media


def test_streams_and_container_are_told(tmp_path: Path) -> None:
    path = write_media(
        tmp_path / "a.mp4", sound=noise(2.0, channels=2), frames=numbered(60), fps=30, tags={"title": "a talk"}
    )

    facts = probe(path)

    (picture,), (sound,) = facts.pictures, facts.sounds
    assert (picture.codec, picture.width, picture.height, picture.fps) == ("h264", 48, 32, 30.0)
    assert (picture.num_frames, picture.pixel_format, picture.rotation, picture.sample_aspect) == (
        60,
        "yuv420p",
        0,
        1.0,
    )
    assert (sound.codec, sound.rate, sound.channels, sound.profile) == ("aac", 44_100, 2, "LC")
    assert facts.duration_seconds == pytest.approx(2.0, abs=0.05)
    assert facts.size_bytes == path.stat().st_size
    assert facts.tags["title"] == "a talk"
    assert facts.notes == ()


@pytest.mark.parametrize(
    ("turn", "matrix"), [(0, (1, 0, 0, 1)), (90, (0, 1, -1, 0)), (180, (-1, 0, 0, -1)), (270, (0, -1, 1, 0))]
)
def test_rotation_is_told_clockwise(tmp_path: Path, turn: int, matrix: tuple[int, ...]) -> None:
    path = write_media(tmp_path / "a.mp4", frames=[quarters()] * 2)

    assert probe(with_matrix(path, *(65536 * value for value in matrix))).pictures[0].rotation == turn


def test_a_garbage_rotation_is_none(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mp4", frames=[quarters()] * 2)

    assert probe(with_matrix(path, -(2**31), 1, 2, 3)).pictures[0].rotation == 0


def test_missing_senses_are_noted(tmp_path: Path) -> None:
    assert [note.code for note in probe(write_media(tmp_path / "a.wav", sound=tone(1.0))).notes] == ["no_picture"]
    assert [note.code for note in probe(write_media(tmp_path / "a.mp4", frames=numbered(3))).notes] == ["no_sound"]
    assert "short_sound" in {note.code for note in probe(write_media(tmp_path / "b.wav", sound=tone(0.01))).notes}


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    with av.open(str(path), "w") as output:
        sound = output.add_stream("libmp3lame", rate=44_100, layout="mono")
        cover = output.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 96, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(quarters(), format="rgb24")
        output.mux(cover.encode(picture))
        output.mux(cover.encode(None))
        frame = av.AudioFrame.from_ndarray(tone(1.0).values, "fltp", "mono")
        frame.sample_rate = 44_100
        output.mux(sound.encode(frame))
        output.mux(sound.encode(None))

    facts = probe(path)

    assert not facts.has_picture
    assert {note.code for note in facts.notes} == {"no_picture", "cover_art"}
    with open_media(path) as media:
        heard = read_samples(media).values[0]
    assert np.abs(heard[:500]).max() > 0.1
    assert len(heard) == pytest.approx(44_100, abs=1152)


def test_a_file_without_a_length_is_read(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mkv", sound=tone(2.0), frames=numbered(50), container_options={"live": "1"})

    assert probe(path).duration_seconds is None
    with open_media(path) as media:
        assert read_samples(media).duration_seconds == pytest.approx(2.0, abs=0.05)


def test_all_sound_tracks_are_listed(tmp_path: Path) -> None:
    assert len(probe(write_sounds(tmp_path / "a.mka", [tone(0.5), tone(0.5)])).sounds) == 2


def test_probing_is_quick_to_import() -> None:
    """No torch, scipy or codec work is loaded for looking into a header."""
    code = "import sys, ffdv.media.probe; print(sorted({'torch', 'scipy', 'soxr', 'onnxruntime', 'pandas'} & set(sys.modules)))"

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"
