"""Media files for tests, the demo and re-encoding: whole, deterministic, and readable again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from media_clips import noise, number_of, numbered, tone

from ffdv.media.probe import probe
from ffdv.media.read import open_media, read_frames, read_samples
from ffdv.media.write import write_media
from ffdv.records import PixelArray, Samples

SOUND_ONLY = [".wav", ".flac", ".mp3", ".opus", ".ogg", ".m4a", ".mka"]
ALWAYS_THE_SAME = (
    192,
    192,
)  # pixels: of smaller pictures x264 now and then writes another file (docs/log.md, "Things that bite")
BOTH = [".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts"]


@pytest.mark.parametrize("suffix", SOUND_ONLY + BOTH)
def test_the_same_input_gives_the_same_bytes_and_comes_back(tmp_path: Path, suffix: str) -> None:
    frames = numbered(25, *ALWAYS_THE_SAME) if suffix in BOTH else None
    sound = tone(1.0, channels=2)

    first = write_media(tmp_path / f"a{suffix}", sound=sound, frames=frames)
    second = write_media(tmp_path / f"b{suffix}", sound=sound, frames=frames)

    assert first.read_bytes() == second.read_bytes()
    with open_media(first) as media:
        heard = read_samples(media, mono=False)
        assert heard.values.shape[0] == 2
        assert heard.duration_seconds == pytest.approx(1.0, abs=0.06)
        spectrum = np.abs(np.fft.rfft(heard.values[0, : heard.rate * 9 // 10]))
        assert spectrum.argmax() / 0.9 == pytest.approx(440, abs=2)
        if frames is not None:
            assert [number_of(frame.pixels) for frame in read_frames(media)] == list(range(25))


@pytest.mark.parametrize(("suffix", "codec", "name"), [
    (".mp4", "libx264", "h264"), (".mp4", "libx265", "hevc"), (".webm", "libvpx-vp9", "vp9"), (".mp4", "libsvtav1", "av1"),
    (".mkv", "ffv1", "ffv1"), (".avi", "mpeg4", "mpeg4"), (".mkv", "mjpeg", "mjpeg"),
])  # fmt: skip
def test_every_picture_codec_is_deterministic(tmp_path: Path, suffix: str, codec: str, name: str) -> None:
    kinds = {"pixel_format": "yuvj420p"} if codec == "mjpeg" else {}
    frames = [frame + 40 for frame in numbered(20, *ALWAYS_THE_SAME)]

    first = write_media(tmp_path / f"a{suffix}", frames=frames, video_codec=codec, **kinds)  # type: ignore[arg-type]
    second = write_media(tmp_path / f"b{suffix}", frames=frames, video_codec=codec, **kinds)  # type: ignore[arg-type]

    assert first.read_bytes() == second.read_bytes()
    assert probe(first).pictures[0].codec == name
    with open_media(first) as media:
        seen = [frame.pixels.astype(int) for frame in read_frames(media)]
    assert len(seen) == 20
    assert max(np.abs(a - b).max() for a, b in zip(seen, frames, strict=True)) < 12


def test_lossless_sound_comes_back_bit_for_bit(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).integers(-32768, 32768, (2, 5000), dtype=np.int16)
    sound = Samples(whole.astype(np.float32) / 32768, 16_000)

    for suffix in (".wav", ".flac"):
        with open_media(write_media(tmp_path / f"a{suffix}", sound=sound)) as media:
            assert np.array_equal(read_samples(media, mono=False).values, sound.values)


def test_a_rate_that_the_codec_refuses_is_raised_to_one_that_it_takes(tmp_path: Path) -> None:
    sounds = {
        (".opus", 22_050): 48_000,
        (".opus", 11_025): 48_000,
        (".mp3", 7_000): 8_000,
        (".m4a", 44_000): 44_100,
        (".m4a", 192_000): 96_000,
    }
    for (suffix, rate), read_rate in sounds.items():
        with open_media(write_media(tmp_path / f"a{suffix}", sound=tone(1.0, rate))) as media:
            heard = read_samples(media)

        assert heard.rate == read_rate
        assert heard.duration_seconds == pytest.approx(1.0, abs=0.03)


def test_frames_are_taken_one_at_a_time(tmp_path: Path) -> None:
    alive = []

    def frames() -> Iterator[PixelArray]:
        for number in range(40):
            alive.append(number)
            yield np.full((32, 48, 3), number, np.uint8)

    generator = frames()
    path = write_media(tmp_path / "a.mp4", frames=generator, sound=tone(1.6))

    assert alive == list(range(40))
    assert probe(path).pictures[0].num_frames == 40


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mp4", frames=numbered(5))
    before = path.read_bytes()

    def failing() -> Iterator[PixelArray]:
        yield from numbered(3)
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        write_media(path, frames=failing())
    with pytest.raises(ValueError, match=r"a\.mp4: .*choose"):
        write_media(path, frames=[np.zeros((33, 47, 3), np.uint8)])  # 4:2:0 needs even sides
    with pytest.raises(ValueError, match=r"a\.mp4"):
        write_media(path, sound=tone(0.1), audio_codec="no-such-codec")

    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["a.mp4"]


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot write '\.xyz'; choose one of \.mp4"):
        write_media(tmp_path / "a.xyz", sound=tone(0.1))
    with pytest.raises(ValueError, match="nothing to write"):
        write_media(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match="holds sound only"):
        write_media(tmp_path / "a.wav", frames=numbered(3))
    with pytest.raises(ValueError, match=r"a\.mp4: no frames"):
        write_media(tmp_path / "a.mp4", frames=[])
    with pytest.raises(ValueError, match=r"a\.mp4: libx265 takes pictures from 64 pixels wide, got 48"):
        write_media(tmp_path / "a.mp4", frames=numbered(3), video_codec="libx265")
    assert list(tmp_path.iterdir()) == []


def test_a_bit_rate_is_kept_to(tmp_path: Path) -> None:
    sound = noise(4.0)

    sizes = [
        write_media(tmp_path / "a.m4a", sound=sound, audio_bit_rate=rate).stat().st_size for rate in (32_000, 128_000)
    ]

    assert 2.5 < sizes[1] / sizes[0] < 5
