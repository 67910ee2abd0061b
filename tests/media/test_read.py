"""Sound and pictures by time: what is read does not depend on how it is asked for."""

from __future__ import annotations

import re
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from media_clips import click, noise, number_of, numbered, quarters, tone, with_matrix, write_sounds, write_timed

from ffdv.errors import MediaDamaged, MediaLimit, StreamMissing
from ffdv.media.limits import Limits
from ffdv.media.read import iter_samples, open_media, read_frames, read_samples
from ffdv.media.write import write_media
from ffdv.records import FloatArray, PixelArray, Samples

LIGHT = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def codes(path: Path, **kinds: object) -> set[str]:
    """The notes after the sound has been read."""
    with open_media(path) as media:
        read_samples(media, **kinds)  # type: ignore[arg-type]
        return {note.code for note in media.notes}


def sound_of(path: Path, **kinds: object) -> FloatArray:
    with open_media(path) as media:
        return read_samples(media, **kinds).values  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three seconds of noise in containers that count time in samples, in milliseconds and in 1/90000 s."""
    folder = tmp_path_factory.mktemp("noisy")
    sound = noise(3.1, channels=2)
    return {
        suffix: write_media(folder / f"a{suffix}", sound=sound) for suffix in (".wav", ".m4a", ".mka", ".mp3", ".ts")
    }


@LIGHT
@given(
    suffix=st.sampled_from([".wav", ".m4a", ".mka", ".mp3", ".ts"]),
    rate=st.sampled_from([None, 8_000, 16_000, 22_050, 44_100, 48_000]),
    cuts=st.lists(st.floats(0.0, 3.0, allow_nan=False), min_size=3, max_size=4),
)
def test_ranges_laid_end_to_end_are_the_whole(
    noisy: dict[str, Path], suffix: str, rate: int | None, cuts: list[float]
) -> None:
    edges = sorted(cuts)

    whole = sound_of(noisy[suffix], rate=rate, start_seconds=edges[0], stop_seconds=edges[-1])
    parts = [sound_of(noisy[suffix], rate=rate, start_seconds=a, stop_seconds=b) for a, b in pairwise(edges)]

    joined = np.concatenate(parts, axis=1)
    assert joined.shape == whole.shape
    np.testing.assert_allclose(joined, whole, atol=1e-5)


@pytest.mark.parametrize("rate", [None, 16_000])
def test_blocks_are_the_whole_whatever_their_length(noisy: dict[str, Path], rate: int | None) -> None:
    whole = sound_of(noisy[".m4a"], rate=rate)

    with open_media(noisy[".m4a"]) as media:
        blocks = list(iter_samples(media, rate=rate, block_seconds=0.37))

    assert np.array_equal(np.concatenate([block.values for block in blocks], axis=1), whole)
    assert all(
        later.start_seconds == pytest.approx(block.start_seconds + block.duration_seconds)
        for block, later in pairwise(blocks)
    )
    assert {block.duration_seconds for block in blocks[:-1]} == {round(0.37 * blocks[0].rate) / blocks[0].rate}


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mp4", "aac"), (".mp4", "libmp3lame"), (".mov", "pcm_s16le"), (".mkv", "libopus"), (".avi", "mp3")],
)
def test_sound_is_the_same_whether_or_not_the_picture_is_wanted(tmp_path: Path, suffix: str, codec: str) -> None:
    path = write_media(
        tmp_path / f"a{suffix}", sound=noise(1.5, 48_000), frames=numbered(30), fps=20, audio_codec=codec
    )

    with open_media(path, picture=False) as media:
        alone = read_samples(media)
        lengths = media.facts.duration_seconds, [sound.duration_seconds for sound in media.facts.sounds]

    with open_media(path) as media:
        assert np.array_equal(alone.values, read_samples(media).values)
        assert lengths == (media.facts.duration_seconds, [sound.duration_seconds for sound in media.facts.sounds])


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
def test_streaming_resampling_equals_resampling_at_once(noisy: dict[str, Path], rate: int) -> None:
    native = sound_of(noisy[".wav"], mono=True)[0]

    expected = np.clip(soxr.resample(native, 44_100, rate, quality="HQ"), -1, 1)

    np.testing.assert_allclose(sound_of(noisy[".wav"], rate=rate)[0], expected, atol=1e-5)


@pytest.mark.parametrize(("codec", "largest_error"), [
    ("pcm_u8", 1 / 128), ("pcm_s16le", 1 / 32768), ("pcm_s24le", 1e-6), ("pcm_s32le", 1e-6),
    ("pcm_f32le", 0.0), ("pcm_f64le", 1e-7),
])  # fmt: skip
@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_every_sample_format_gives_the_same_sound(
    tmp_path: Path, codec: str, largest_error: float, channels: int
) -> None:
    sound = Samples(noise(0.3, 16_000, channels=channels).values, 16_000)
    path = write_media(tmp_path / "a.wav", sound=sound, audio_codec=codec)

    stored, mixed = sound_of(path, mono=False), sound_of(path)

    np.testing.assert_allclose(stored, sound.values, atol=largest_error + 1e-7)
    np.testing.assert_allclose(mixed[0], sound.values.mean(axis=0), atol=largest_error + 1e-6)


@pytest.mark.parametrize(("suffix", "codec"), [(".mka", "libopus"), (".mka", "flac"), (".m4a", "aac")])
def test_eight_planar_channels_are_read(tmp_path: Path, suffix: str, codec: str) -> None:
    """PyAV's own array conversion ends the process here."""
    values = np.zeros((8, 24_000), np.float32)
    values[4] = tone(0.5, 48_000, level=0.8).values
    sound = Samples(values, 48_000)
    path = write_media(tmp_path / f"a{suffix}", sound=sound, audio_codec=codec, audio_bit_rate=512_000)

    stored = sound_of(path, mono=False)

    assert stored.shape[0] == 8
    assert np.count_nonzero(np.abs(stored).max(axis=1) > 0.4) == 1
    assert np.abs(sound_of(path)).max() == pytest.approx(0.1, abs=0.02)


def test_mono_is_the_mean_not_the_sum(tmp_path: Path) -> None:
    sound = tone(0.5, level=0.5, channels=2)
    path = write_media(tmp_path / "a.wav", sound=sound, audio_codec="pcm_f32le")

    np.testing.assert_allclose(sound_of(path)[0], sound.values[0], atol=1e-6)


@pytest.mark.parametrize(("suffix", "audio_codec", "video_codec"), [
    (".mp4", "aac", "libx264"), (".mp4", "libmp3lame", "libx264"), (".mp4", "libopus", "libx265"), (".mov", "pcm_s16le", "libx264"),
    (".mkv", "aac", "libx264"), (".mkv", "flac", "ffv1"), (".webm", "libopus", "libvpx-vp9"), (".webm", "libopus", "libsvtav1"),
    (".ts", "aac", "libx264"),
])  # fmt: skip
@pytest.mark.parametrize("late", [0.0, 0.5])
def test_a_click_and_a_flash_stay_together(
    tmp_path: Path, suffix: str, audio_codec: str, video_codec: str, late: float
) -> None:
    """A click 1 s into the sound and a flash at 1 s keep their distance, whatever the codecs' delays."""
    frames = [np.full((64, 96, 3), 255 if number == 25 else 10, np.uint8) for number in range(50)]
    sound = Samples(click(1.0).values, 44_100, late)
    path = write_media(
        tmp_path / f"a{suffix}", sound=sound, frames=frames, audio_codec=audio_codec, video_codec=video_codec
    )

    with open_media(path) as media:
        heard = read_samples(media)
        flashes = [frame.seconds for frame in read_frames(media) if frame.pixels.mean() > 120]

    loud = np.flatnonzero(np.abs(heard.values[0]) > 0.25 * np.abs(heard.values[0]).max())
    click_seconds = (loud[0] + loud[-1]) / 2 / heard.rate
    assert len(flashes) == 1
    assert click_seconds - late - flashes[0] == pytest.approx(0.0, abs=0.002)


def test_sound_that_starts_late_is_preceded_by_silence(tmp_path: Path) -> None:
    sound = Samples(tone(1.0, 16_000).values, 16_000, 0.75)
    path = write_media(tmp_path / "a.mkv", sound=sound, frames=numbered(50), audio_codec="pcm_s16le")

    with open_media(path) as media:
        values = read_samples(media).values[0]
        part = read_samples(media, start_seconds=0.7, stop_seconds=0.8).values[0]

        assert not values[:12_000].any()
        assert values[12_000:].std() > 0.3
        assert np.array_equal(part, values[11_200:12_800])
        assert "late_sound" in {note.code for note in media.notes}


def test_a_hole_in_the_sound_is_silence_and_said(tmp_path: Path) -> None:
    whole = tone(2.0, 44_100)
    path = write_sounds(tmp_path / "a.mka", [whole], gaps=[(0.8, 1.2)])

    values = sound_of(path)[0]

    assert len(values) == 88_200
    assert not values[round(0.81 * 44_100) : round(1.19 * 44_100)].any()
    np.testing.assert_allclose(values[60_000:], whole.values[0, 60_000:], atol=1e-4)
    assert "sound_gap" in codes(path)


def test_two_speeds_in_one_file_are_read_at_one(tmp_path: Path) -> None:
    first = write_media(tmp_path / "a.ts", sound=tone(1.0, 44_100))
    second = write_media(tmp_path / "b.ts", sound=tone(1.0, 22_050))
    joined = tmp_path / "c.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())

    with open_media(joined) as media:
        sound = read_samples(media)

    assert sound.rate == 44_100
    spectrum = np.abs(np.fft.rfft(sound.values[0, -30_000:-3_000] * np.hanning(27_000)))
    assert spectrum.argmax() * 44_100 / 27_000 == pytest.approx(440, abs=3)
    assert "rate_change" in codes(joined)


def test_codec_padding_behind_the_end_is_cut(tmp_path: Path) -> None:
    """AAC frames hold 1024 samples; the header of an MP4 knows to the millisecond how many of the last were sound."""
    for count in (44_100, 44_101, 50_000, 60_123):
        sound = Samples(noise(2.0).values[:, :count], 44_100)

        assert sound_of(write_media(tmp_path / "a.m4a", sound=sound)).shape[1] == pytest.approx(count, abs=45)


def test_numbers_that_are_no_sound_are_mended_and_said(tmp_path: Path) -> None:
    values = tone(1.0, 16_000).values.copy()
    values[0, [100, 5000, 9000, 12_000]] = np.nan, np.inf, -np.inf, 1e30
    path = write_media(tmp_path / "a.wav", sound=Samples(values, 16_000), audio_codec="pcm_f32le")

    for mono in (True, False):
        read = sound_of(path, mono=mono)

        assert np.isfinite(read).all()
        assert np.abs(read).max() <= 1.0
        assert read[0, [100, 5000, 9000, 12_000]].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert "sanitised" in codes(path)
    assert np.isfinite(sound_of(path, rate=22_050)).all()


def test_overshoot_is_clipped_without_a_word(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.wav", sound=tone(0.5, 16_000, level=1.3), audio_codec="pcm_f32le")

    assert np.abs(sound_of(path)).max() == 1.0
    assert "sanitised" not in codes(path)


def test_ten_milliseconds_and_silence_are_said(tmp_path: Path) -> None:
    assert "short_sound" in codes(write_media(tmp_path / "a.wav", sound=tone(0.01)))
    assert "silent_sound" in codes(write_media(tmp_path / "b.wav", sound=tone(1.0, level=0.0)))
    assert codes(write_media(tmp_path / "c.wav", sound=tone(1.0))) == {"no_picture"}


def test_a_missing_sense_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    silent_film = write_media(tmp_path / "film.mp4", frames=numbered(10))
    radio = write_media(tmp_path / "radio.wav", sound=tone(0.5))

    with open_media(silent_film) as media, pytest.raises(StreamMissing, match=r"film\.mp4: .*no sound"):
        read_samples(media)
    with open_media(radio) as media, pytest.raises(StreamMissing, match=r"radio\.wav: .*no moving picture"):
        list(read_frames(media))


def test_a_range_behind_the_end_is_empty(noisy: dict[str, Path]) -> None:
    with open_media(noisy[".wav"]) as media:
        assert read_samples(media, start_seconds=50.0, stop_seconds=51.0).num_samples == 0
        assert read_samples(media, rate=8_000, start_seconds=50.0).values.shape == (1, 0)
        assert read_samples(media, start_seconds=2.0, stop_seconds=1.0).num_samples == 0


def test_of_several_sound_tracks_the_first_that_speaks_is_read(tmp_path: Path) -> None:
    path = write_sounds(tmp_path / "a.mka", [tone(1.0, level=0.0), tone(1.0, hertz=880), tone(1.0, hertz=220)])

    with open_media(path) as media:
        values = read_samples(media).values[0]

        assert np.abs(np.fft.rfft(values)).argmax() == 880
        assert [note.text for note in media.notes if note.code == "audio_track"] == [
            "of 3 sound tracks number 2 is read (the first that is not silent)"
        ]


def test_far_ranges_are_sought_and_still_exact(tmp_path: Path) -> None:
    """Beyond a minute the reader seeks; where the container counts samples, not one is off."""
    sound = noise(75.0, 8_000)
    path = write_media(tmp_path / "a.mka", sound=sound, audio_codec="flac")
    wav = write_media(tmp_path / "a.wav", sound=sound)

    for file in (path, wav):
        part = sound_of(file, start_seconds=70.0, stop_seconds=70.5)

        np.testing.assert_allclose(part, sound.values[:, 560_000:564_000], atol=1e-4)


def test_a_far_range_of_lossy_sound_is_in_its_place(tmp_path: Path) -> None:
    sound = Samples(
        np.concatenate([np.zeros((1, 70 * 16_000), np.float32), click(0.5, 1.0, 16_000).values[:1]], axis=1), 16_000
    )
    for suffix in (".m4a", ".mka", ".opus", ".mp3"):
        path = write_media(tmp_path / f"a{suffix}", sound=sound)

        with open_media(path) as media:
            heard = read_samples(media, rate=16_000, start_seconds=70.0).values[0]

            assert abs(int(np.abs(heard).argmax()) - 8_000) < 100, suffix
            assert "damaged" not in {note.code for note in media.notes}


def test_limits_end_the_reading_and_are_told(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mp4", sound=tone(3.0), frames=numbered(75))

    with open_media(path, limits=Limits(max_seconds=1.0)) as media:
        assert read_samples(media).num_samples == 44_100
        assert len(list(read_frames(media))) == 25
        assert len(list(read_frames(media, fps=10))) == 10
        assert read_samples(media, start_seconds=1.0, stop_seconds=1.5).num_samples == 22_050
        texts = [note.text for note in media.notes if note.code == "limited"]

    assert texts == [
        "looked at the first 1 seconds of the sound (max_seconds is 1)",
        "looked at the first 1 seconds of the picture (max_seconds is 1)",
    ]


def test_a_file_within_the_limits_is_not_called_limited(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mp4", sound=tone(1.0), frames=numbered(25))

    with open_media(path, limits=Limits(max_seconds=1.0)) as media:
        read_samples(media)
        list(read_frames(media))

        assert "limited" not in {note.code for note in media.notes}


def test_the_decoder_is_stopped_when_its_time_is_over(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mp4", sound=tone(3.0), frames=numbered(75))
    ticks = iter(range(10**9))

    with open_media(path, limits=Limits(seconds_per_media_minute=20), clock=lambda: float(next(ticks))) as media:
        heard, seen = read_samples(media), list(read_frames(media))
        texts = [note.text for note in media.notes if note.code == "limited"]

    assert 0 < heard.num_samples < 60_000
    assert 0 < len(seen) < 60
    assert len(texts) == 2
    assert "seconds_per_media_minute is 20" in texts[0]


def test_the_callers_own_time_is_not_counted(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mp4", frames=numbered(50))
    now = 0.0

    with open_media(path, clock=lambda: now) as media:
        for _ in read_frames(media):
            now += 1000.0

        assert "limited" not in {note.code for note in media.notes}


# pictures


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """75 numbered frames at 25 per second; MP4 with B-frames, and a container that counts milliseconds."""
    folder = tmp_path_factory.mktemp("counted")
    sizes = {"video_options": {"g": "12", "bf": "3", "qp": "1"}}
    return {
        suffix: write_media(folder / f"a{suffix}", frames=numbered(75), **sizes) for suffix in (".mp4", ".mkv", ".ts")
    }  # type: ignore[arg-type]


def numbers(path: Path, **kinds: object) -> list[tuple[float, int]]:
    with open_media(path) as media:
        return [(round(frame.seconds, 3), number_of(frame.pixels)) for frame in read_frames(media, **kinds)]  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_every_frame_comes_once_in_order_at_its_time(counted: dict[str, Path], suffix: str) -> None:
    assert numbers(counted[suffix]) == [(round(number / 25, 3), number) for number in range(75)]


@LIGHT
@given(
    suffix=st.sampled_from([".mp4", ".mkv", ".ts"]),
    fps=st.sampled_from([None, 1.0, 4.0, 7.3, 25.0, 30.0, 60.0]),
    cuts=st.lists(st.floats(0.0, 3.5, allow_nan=False), min_size=3, max_size=4),
)
def test_ranges_of_frames_laid_end_to_end_are_the_whole(
    counted: dict[str, Path], suffix: str, fps: float | None, cuts: list[float]
) -> None:
    edges = sorted(cuts)

    whole = numbers(counted[suffix], fps=fps, start_seconds=edges[0], stop_seconds=edges[-1])
    parts = [numbers(counted[suffix], fps=fps, start_seconds=a, stop_seconds=b) for a, b in pairwise(edges)]

    assert list(chain.from_iterable(parts)) == whole


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("fps", [1.0, 4.0, 7.3, 12.5, 25.0, 30.0, 100.0])
def test_the_frame_at_a_moment_is_the_last_that_began(counted: dict[str, Path], suffix: str, fps: float) -> None:
    shown = numbers(counted[suffix], fps=fps)

    expected = [(round(k / fps, 3), int(np.floor(k / fps * 25 + 1e-6))) for k in range(400) if k / fps < 3.0 - 1e-6]
    assert shown == expected


def test_uneven_frames_are_shown_until_the_next_begins(tmp_path: Path) -> None:
    path = write_timed(tmp_path / "a.mkv", numbered(4), [0, 300, 1000, 1040])

    assert numbers(path) == [(0.0, 0), (0.3, 1), (1.0, 2), (1.04, 3)]
    assert numbers(path, fps=5)[:6] == [(0.0, 0), (0.2, 0), (0.4, 1), (0.6, 1), (0.8, 1), (1.0, 2)]


def test_times_that_run_back_or_away_are_mended(tmp_path: Path) -> None:
    """An hour's leap inside a file of seconds is no time; frames keep their order."""
    path = write_timed(tmp_path / "a.mkv", numbered(5), [0, 40, 80, 3_600_000, 3_600_040])
    content = path.read_bytes()

    seconds = [time for time, _ in numbers(path)]

    assert content
    assert seconds == sorted(seconds)
    assert [number for _, number in numbers(path, stop_seconds=1e6)][:3] == [0, 1, 2]


def test_one_frame_is_seen_at_any_rate(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mp4", frames=numbered(1))

    for fps in (0.1, 1.0, 25.0):
        assert numbers(path, fps=fps) == [(0.0, 0)]


def test_a_frame_that_is_seen_at_many_moments_is_converted_once(tmp_path: Path) -> None:
    path = write_timed(tmp_path / "a.mkv", numbered(3), [0, 4000, 4040])

    with open_media(path) as media:
        frames = list(read_frames(media, fps=25))

    assert len(frames) >= 102
    assert len({id(frame.pixels) for frame in frames}) == 3
    assert [number_of(frame.pixels) for frame in frames][:102] == [0] * 100 + [1, 2]


def test_leaping_over_keyframes_changes_nothing(tmp_path: Path) -> None:
    frames = [frame for frame in numbered(80) for _ in range(25)]
    path = write_media(tmp_path / "a.mp4", frames=frames, video_options={"g": "25", "bf": "2", "qp": "4"})

    leapt = numbers(path, fps=0.2)
    late = numbers(path, start_seconds=71.0, stop_seconds=71.2)

    assert leapt == [(5.0 * k, 5 * k) for k in range(16)]
    assert late == [(round(71 + number / 25, 3), 71) for number in range(5)]


def test_a_leap_ends_where_keyframes_are_far_apart(tmp_path: Path) -> None:
    """x264's own distance of 250 frames: seeking to a keyframe's decoding time went one further back, again and again."""
    frames = [frame for frame in numbered(14) for _ in range(25)]
    path = write_media(tmp_path / "a.mp4", frames=frames, video_options={"preset": "veryfast"})

    with open_media(path, limits=Limits(seconds_per_media_minute=5)) as media:
        shown = [(frame.seconds, number_of(frame.pixels)) for frame in read_frames(media, fps=2, start_seconds=12.0)]

    assert shown == [(12.0, 12), (12.5, 12), (13.0, 13), (13.5, 13)]
    assert "limited" not in {note.code for note in media.notes}


@pytest.mark.parametrize(("matrix", "turn"), [
    ((1, 0, 0, 1), lambda p: p),
    ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
    ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
    ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    ((1, 0, 0, -1), lambda p: p[::-1]),
    ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
    ((1, 1, -1, 1), lambda p: p),
])  # fmt: skip
def test_pictures_are_turned_upright(tmp_path: Path, matrix: tuple[int, ...], turn) -> None:  # noqa: ANN001
    path = write_media(tmp_path / "a.mp4", frames=[quarters()] * 3, pixel_format="yuv444p")

    with open_media(with_matrix(path, *(65536 * value for value in matrix))) as media:
        (*_, frame) = read_frames(media)

    np.testing.assert_allclose(frame.pixels.astype(int), turn(quarters()).astype(int), atol=12)


def test_a_garbage_matrix_turns_nothing(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mp4", frames=[quarters()] * 3, pixel_format="yuv444p")

    with open_media(with_matrix(path, -(2**31), 2**31 - 1, 77, -5)) as media:
        (*_, frame) = read_frames(media)

    assert frame.pixels.shape == (64, 96, 3)


@pytest.mark.parametrize(("aspect", "shape"), [("1:1", (64, 96)), ("2:1", (64, 192)), ("1:2", (128, 96))])
def test_pixels_become_square(tmp_path: Path, aspect: str, shape: tuple[int, int]) -> None:
    path = write_media(tmp_path / "a.mp4", frames=[quarters()] * 2, video_options={"aspect": aspect})

    with open_media(path) as media:
        assert next(read_frames(media)).pixels.shape == (*shape, 3)


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p10le", "yuv444p", "yuv411p", "yuva420p", "bgra", "rgb48le", "yuvj420p"]
)
def test_every_pixel_format_becomes_rgb(tmp_path: Path, pixel_format: str) -> None:
    codec = "mjpeg" if pixel_format == "yuvj420p" else "ffv1"
    path = write_media(tmp_path / "a.mkv", frames=[quarters()] * 2, video_codec=codec, pixel_format=pixel_format)

    with open_media(path) as media:
        pixels = next(read_frames(media)).pixels

    for row, column in ((16, 24), (16, 72), (48, 24), (48, 72)):
        np.testing.assert_allclose(pixels[row, column].astype(int), quarters()[row, column].astype(int), atol=12)


@pytest.mark.parametrize("pixel_format", ["gray", "gray10le"])
def test_grey_becomes_rgb(tmp_path: Path, pixel_format: str) -> None:
    path = write_media(tmp_path / "a.mkv", frames=numbered(3), video_codec="ffv1", pixel_format=pixel_format)

    assert [number for _, number in numbers(path)] == [0, 1, 2]


def test_a_change_of_size_is_followed_and_said(tmp_path: Path) -> None:
    small = write_media(tmp_path / "a.ts", frames=numbered(10, 32, 48))
    large = write_media(tmp_path / "b.ts", frames=numbered(10, 64, 96))
    joined = tmp_path / "c.ts"
    joined.write_bytes(small.read_bytes() + large.read_bytes())

    with open_media(joined) as media:
        shapes = {frame.pixels.shape[:2] for frame in read_frames(media)}

        assert shapes == {(32, 48), (64, 96)}
        assert "size_change" in {note.code for note in media.notes}


def test_pictures_larger_than_the_limit_are_refused_but_their_sound_is_read(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mp4", sound=tone(1.0), frames=numbered(5, 64, 320))

    with open_media(path, limits=Limits(max_side=256)) as media:
        with pytest.raises(MediaLimit, match=r"a\.mp4: .*320x64.*max_side is 256"):
            list(read_frames(media))
        assert read_samples(media).num_samples == 44_100


def test_readings_of_one_media_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mp4", sound=noise(3.0), frames=numbered(75))
    alone = sound_of(path)

    with open_media(path) as media:
        heard, seen = [], []
        for block, frame in zip(iter_samples(media, block_seconds=0.1), read_frames(media, fps=10), strict=True):
            heard.append(block.values)
            seen.append(number_of(frame.pixels))

    assert np.array_equal(np.concatenate(heard, axis=1), alone)
    assert seen == [int(k * 2.5) for k in range(30)]


# damage


def flipped(path: Path, target: Path, *, share: float, seed: int = 0) -> Path:
    """A copy with this share of the bytes of the media data changed."""
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    begin = path.read_bytes().index(b"mdat") + 8
    end = path.read_bytes().rindex(b"moov") - 8 if path.read_bytes().rindex(b"moov") > begin else len(content)
    rng = np.random.default_rng(seed)
    hit = begin + rng.choice(end - begin, int(share * (end - begin)), replace=False)
    content[hit] ^= rng.integers(1, 256, len(hit), dtype=np.uint8)
    target.write_bytes(content.tobytes())
    return target


def test_damage_is_survived_and_told_in_percent(tmp_path: Path) -> None:
    whole = write_media(tmp_path / "a.m4a", sound=noise(5.0))
    broken = flipped(whole, tmp_path / "b.m4a", share=0.0005)

    with open_media(broken, limits=Limits(max_damage_share=0.9)) as media:
        sound = read_samples(media)
        texts = [note.text for note in media.notes if note.code == "damaged"]

    assert sound.num_samples == pytest.approx(5 * 44_100, abs=4096)
    assert np.isfinite(sound.values).all()
    assert len(texts) == 1
    assert "% of the sound is damaged" in texts[0]


def test_what_is_mostly_damage_is_refused(tmp_path: Path) -> None:
    whole = write_media(tmp_path / "a.m4a", sound=noise(5.0))
    broken = flipped(whole, tmp_path / "b.m4a", share=0.2)

    with (
        open_media(broken) as media,
        pytest.raises(MediaDamaged, match=r"b\.m4a: the sound (is too damaged|cannot be decoded)"),
    ):
        read_samples(media)


def test_damaged_pictures_come_in_part(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    frames = [rng.integers(0, 255, (64, 96, 3), dtype=np.uint8) for _ in range(50)]
    whole = write_media(tmp_path / "a.mp4", frames=frames, video_options={"g": "5"})
    broken = flipped(whole, tmp_path / "b.mp4", share=0.0005)

    with open_media(broken) as media:
        seen = list(read_frames(media))

        assert 25 <= len(seen) <= 50
        assert "damaged" in {note.code for note in media.notes}


def test_a_file_that_ends_early_is_called_cut_off(tmp_path: Path) -> None:
    whole = write_media(tmp_path / "a.m4a", sound=noise(4.0), container_options={"movflags": "faststart"})
    cut = tmp_path / "b.m4a"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])

    with open_media(cut) as media:
        assert 1.0 < read_samples(media).duration_seconds < 3.0
        assert "truncated" in {note.code for note in media.notes}


def moving(seconds: float) -> list[PixelArray]:
    return [np.roll(quarters(), 2 * number, axis=1) for number in range(round(25 * seconds))]


def with_length(path: Path, box: bytes, factor: float) -> Path:
    """The same MP4 with another length in one of its headers (32 bits, 12 bytes behind the version, or as an edit's first number)."""
    content = bytearray(path.read_bytes())
    at = content.index(box) + {b"mvhd": 20, b"mdhd": 20, b"tkhd": 24, b"elst": 12}[box]
    length = int.from_bytes(content[at : at + 4], "big")
    content[at : at + 4] = round(factor * length).to_bytes(4, "big")
    path.write_bytes(content)
    return path


def picture_notes(path: Path, *, fps: float | None = None) -> dict[str, str]:
    with open_media(path) as media:
        assert sum(1 for _ in read_frames(media, fps=fps)) > 5
        return {note.code: note.text for note in media.notes}


@pytest.mark.parametrize("by_tables", [False, True])
def test_pictures_that_end_early_are_called_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_tables: bool
) -> None:
    monkeypatch.setattr("ffdv.media.longmp4.LONG_PACKETS", 1 if by_tables else 1 << 30)
    monkeypatch.setattr("ffdv.media.longmp4.FIRST_PACKETS", 20)
    options = {"g": "30", "bf": "3"}
    whole = write_media(
        tmp_path / "a.mp4", frames=moving(6.0), video_options=options, container_options={"movflags": "faststart"}
    )
    cut = tmp_path / "b.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])

    for fps in (None, 8.0):
        assert "truncated" not in picture_notes(whole, fps=fps)
        told = picture_notes(cut, fps=fps)["truncated"]
        assert re.fullmatch(r"the picture ends [2-4]\.\d s before the length in the header; .*cut off", told)
    with open_media(cut) as media:
        list(read_frames(media, stop_seconds=1.0))
        assert "truncated" not in {note.code for note in media.notes}  # nobody looked so far


@pytest.mark.parametrize("box", [b"mvhd", b"mdhd", b"tkhd", b"elst"])
@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_a_whole_file_with_a_wrong_length_in_its_header_is_not_called_cut_off(
    tmp_path: Path, box: bytes, factor: float
) -> None:
    path = write_media(tmp_path / "a.mp4", frames=moving(3.0), video_options={"g": "30", "bf": "3"})

    assert "truncated" not in picture_notes(with_length(path, box, factor))


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("fragments.mp4", {"container_options": {"movflags": "frag_keyframe+delay_moov+dash"}}),
        ("late.mp4", {"picture_start_seconds": 2.0, "sound": noise(6.0)}),
        ("mpeg4.mov", {"video_codec": "mpeg4"}),
        ("long_sound.mp4", {"sound": noise(6.0)}),
        ("long_sound.mkv", {"sound": noise(6.0)}),
        ("noedit.mp4", {"container_options": {"use_editlist": "0"}, "video_options": {"bf": "3"}}),
    ],
)
def test_a_whole_file_of_any_kind_is_not_called_cut_off(tmp_path: Path, name: str, how: dict[str, Any]) -> None:
    assert "truncated" not in picture_notes(write_media(tmp_path / name, frames=moving(3.0), **how))
