"""A long MP4 read by its tables gives what FFmpeg's index of it gives; whatever is unusual is left to FFmpeg."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from media_clips import noise, quarters

from ffdv.errors import MediaError
from ffdv.media import longmp4
from ffdv.media.boxes import scan_boxes
from ffdv.media.longmp4 import LongMp4
from ffdv.media.probe import probe
from ffdv.media.read import open_media, read_frames, read_samples
from ffdv.media.write import write_media
from ffdv.records import PixelArray, Samples

ODD_MEDIA = Path(__file__).resolve().parents[3] / "shared" / "data" / "odd_media"
SECONDS = 6.0
B_FRAMES = {"preset": "veryfast", "g": "30", "bf": "3"}


@pytest.fixture(autouse=True)
def _short_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is long, and has so many groups of packets as hours of it would have."""
    use_tables(monkeypatch, True)
    monkeypatch.setattr("ffdv.media.longmp4.FIRST_PACKETS", 20)
    for module in ("longmp4", "sampletable"):
        monkeypatch.setattr(f"ffdv.media.{module}.PACKETS_AT_ONCE", 16)


def use_tables(monkeypatch: pytest.MonkeyPatch, yes: bool) -> None:
    monkeypatch.setattr("ffdv.media.longmp4.LONG_PACKETS", 1 if yes else 1 << 30)


def drifting(count: int) -> Iterator[PixelArray]:
    for number in range(count):
        yield np.roll(quarters(), 2 * number, axis=1)


def clip(folder: Path, name: str = "a.mp4", **how: Any) -> Path:
    how = {"sound": noise(SECONDS), "frames": drifting(150), "video_options": B_FRAMES} | how
    return write_media(folder / name, **how)


def tables(path: Path) -> LongMp4 | None:
    return LongMp4.of(path, scan_boxes(path), {})


def told(path: Path) -> list[object]:
    """All that a caller can learn of a file: facts, sound and pictures of some ranges, notes, or the refusal."""
    found: list[object] = []
    try:
        found.append(probe(path))
        with open_media(path, threads=1) as media:
            found.append(media.facts)
            length = media.facts.duration_seconds or 1.0
            ranges: list[dict[str, float]] = [
                {},
                {"start_seconds": 0.7, "stop_seconds": 1.9},
                {"start_seconds": 0.8 * length},
            ]
            if media.facts.has_sound:
                for range_ in ranges:
                    sound = read_samples(media, mono=False, **range_)
                    found += [sound.rate, sound.start_seconds, sound.values.tobytes()]
            if media.facts.has_picture:
                for range_ in [*ranges, {"fps": 0.25}, {"fps": 7, "start_seconds": 0.6 * length}]:
                    found += [(frame.seconds, frame.pixels.tobytes()) for frame in read_frames(media, **range_)]
            found += media.notes
    except MediaError as error:
        found.append(str(error))
    return found


def check_alike(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_tables = told(path)
    use_tables(monkeypatch, False)
    by_ffmpeg = told(path)
    use_tables(monkeypatch, True)

    assert by_tables == by_ffmpeg


USUAL: dict[str, tuple[str, dict[str, Any]]] = {
    "B-frames and priming": ("a.mp4", {}),
    "no B-frames": ("a.mp4", {"video_options": {"preset": "ultrafast", "g": "10"}}),
    "only keyframes": ("a.mp4", {"video_options": {"preset": "ultrafast", "g": "1"}}),
    "one keyframe": ("a.mp4", {"video_options": {"preset": "veryfast", "g": "999", "keyint_min": "999"}}),
    "open groups": (
        "a.mp4",
        {"video_options": {"preset": "veryfast", "x264-params": "open-gop=1:bframes=3:keyint=20"}},
    ),
    "shown before decoded": ("a.mp4", {"container_options": {"movflags": "negative_cts_offsets"}}),
    "header first": ("a.mp4", {"container_options": {"movflags": "faststart"}}),
    "no edit list": ("a.mp4", {"container_options": {"use_editlist": "0"}}),
    "sound late": ("a.mp4", {"sound": Samples(noise(SECONDS).values, 44_100, 1.3)}),
    "picture late": ("a.mp4", {"picture_start_seconds": 0.9}),
    "HEVC": ("a.mp4", {"video_codec": "libx265", "video_options": {"preset": "ultrafast", "x265-params": "keyint=20"}}),
    "QuickTime": ("a.mov", {}),
    "sound alone": ("a.m4a", {"sound": noise(70.0, 8_000), "frames": None}),
    "picture alone": ("a.mp4", {"sound": None}),
    "Opus": ("a.mp4", {"sound": noise(SECONDS, 48_000), "audio_codec": "libopus"}),
}


@pytest.mark.parametrize("name", USUAL)
def test_the_tables_tell_what_ffmpeg_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    file, how = USUAL[name]
    path = clip(tmp_path, file, **how)

    assert tables(path) is not None
    check_alike(path, monkeypatch)


def test_pictures_at_uneven_times_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options=B_FRAMES)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        rng = np.random.default_rng(0)
        times = np.cumsum(rng.integers(5, 90, 150))
        for pixels, time in zip(drifting(150), times.tolist(), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))

    assert tables(path) is not None
    check_alike(path, monkeypatch)


def test_the_sound_ends_where_its_edit_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = with_edit(clip(tmp_path, "a.m4a", frames=None), length=0.5)

    assert 2.9 < read(path).duration_seconds < 3.1
    assert tables(path) is not None
    check_alike(path, monkeypatch)


UNUSUAL: dict[str, dict[str, Any]] = {
    "fragments": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "MP3, which FFmpeg cuts anew": {"audio_codec": "libmp3lame"},
    "PCM without a size for each packet": {"audio_codec": "pcm_s16le"},
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_is_unusual_is_left_to_ffmpeg(tmp_path: Path, name: str) -> None:
    path = clip(tmp_path, "a.mov", **UNUSUAL[name])

    assert tables(path) is None


@pytest.mark.parametrize(
    "edit", [{"length": 0.5}, {"rate": 0x20000}, {"begin": -2}, {"length": 0.0}], ids=["short", "fast", "odd", "empty"]
)
def test_edits_of_another_kind_are_left_to_ffmpeg(tmp_path: Path, edit: dict[str, Any]) -> None:
    path = with_edit(clip(tmp_path, sound=None), **edit)

    assert tables(path) is None


def test_a_file_that_is_cut_off_is_left_to_ffmpeg(tmp_path: Path) -> None:
    path = clip(tmp_path, container_options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[:-2000])

    assert tables(path) is None
    assert read(path).duration_seconds > 4.0


def test_few_packets_are_left_to_ffmpeg_and_so_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clip(tmp_path)

    monkeypatch.setattr(longmp4, "MAX_PACKETS", 300)
    assert tables(path) is None
    monkeypatch.undo()
    assert tables(path) is None


def test_two_readings_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = clip(tmp_path, "a.m4a", sound=noise(70.0, 8_000), frames=None)

    with open_media(path) as media:
        alone = read_samples(media).values
        one, other = (read_samples(media, start_seconds=start).values[0] for start in (0.0, 65.0))
        whole = list(islice(zip(samples(media, 0.0), samples(media, 65.0), strict=False), 5))

    np.testing.assert_array_equal(one, alone[0])
    np.testing.assert_array_equal(np.concatenate([block for block, _ in whole]), one[: 5 * 8_000])
    np.testing.assert_array_equal(np.concatenate([block for _, block in whole]), other)


def samples(media: Any, start_seconds: float) -> Iterator[np.ndarray]:
    from ffdv.media.read import iter_samples

    for block in iter_samples(media, start_seconds=start_seconds, block_seconds=1.0):
        yield block.values[0]


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from([b"stts", b"ctts", b"stsz", b"stsc", b"stco", b"stss", b"elst", b"mdhd", b"mvhd", b"tkhd"]),
    which=st.integers(0, 1),
    changes=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), min_size=1, max_size=3),
)
def test_damage_to_the_tables_changes_nothing_that_ffmpeg_would_not(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    kind: bytes,
    which: int,
    changes: list[tuple[int, int]],
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    source, path = folder / "whole.mp4", folder / "damaged.mp4"
    if not source.exists():
        clip(folder, "whole.mp4", sound=noise(2.0), frames=drifting(50))
    content = bytearray(source.read_bytes())
    at = content.find(kind)
    at = max(at, content.find(kind, at + 1)) if which else at
    for place, byte in changes:
        content[at + 4 + place] = byte
    path.write_bytes(content)

    check_alike(path, monkeypatch)


@pytest.mark.data
@pytest.mark.skipif(
    not ODD_MEDIA.is_dir(), reason="the odd files (../shared/data/odd_media) are not beside the project"
)
@pytest.mark.parametrize("path", sorted(ODD_MEDIA.rglob("*.[mM]*[4vV]")), ids=lambda path: path.name)
def test_odd_files_give_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_alike(path, monkeypatch)


def read(path: Path) -> Samples:
    with open_media(path) as media:
        return read_samples(media)


def with_edit(path: Path, *, length: float | None = None, begin: int | None = None, rate: int | None = None) -> Path:
    """The same MP4 with its first edit so many times as long, from another moment on, or at another rate (16.16)."""
    content = bytearray(path.read_bytes())
    at = content.index(b"elst") + 4 + 8
    was = struct.unpack(">IiI", content[at : at + 12])
    changed = (
        was[0] if length is None else round(length * was[0]),
        was[1] if begin is None else begin,
        was[2] if rate is None else rate,
    )
    content[at : at + 12] = struct.pack(">IiI", *changed)
    path.write_bytes(content)
    return path
