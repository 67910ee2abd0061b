"""What training and detection share: sound is kept whole, windows cover it, nothing is padded or lost silently."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from ffdv.errors import MediaError, MediaNotFound
from ffdv.features.faces import FaceSpec
from ffdv.features.recipe import ExtractSpec, extract, finish_sound, resample_mono, window_starts
from ffdv.media.read import open_media, read_samples
from ffdv.media.write import write_media
from ffdv.records import Samples


def noise(seconds: float, rate: int, channels: int = 1, seed: int = 0) -> Samples:
    values = np.random.default_rng(seed).uniform(-0.5, 0.5, (channels, round(seconds * rate)))
    return Samples(values.astype(np.float32), rate)


def pictures(count: int) -> list[np.ndarray]:
    return [np.full((32, 32, 3), number % 250, np.uint8) for number in range(count)]


def codes(path: Path) -> set[str]:
    return {note.code for note in extract(path).notes}


@settings(max_examples=60, deadline=None)
@given(
    num_samples=st.integers(1, 400),
    window=st.none() | st.integers(1, 60),
    hop=st.none() | st.integers(1, 60),
    start=st.floats(-5, 5),
)
def test_windows_are_pieces_of_the_sound_the_first_begins_it_and_the_last_ends_it(
    num_samples: int, window: int | None, hop: int | None, start: float
) -> None:
    sound = Samples(np.arange(num_samples, dtype=np.float32)[None], 10, start)

    windows, starts = finish_sound(sound, rate=10, window_seconds=window and window / 10, hop_seconds=hop and hop / 10)

    length = num_samples if window is None else min(window, num_samples)
    assert windows.shape == (len(starts), length)
    assert windows[0, 0] == 0
    assert windows[-1, -1] == num_samples - 1
    for values, seconds in zip(windows, starts, strict=True):
        first = round((seconds - start) * 10)
        np.testing.assert_array_equal(values, np.arange(first, first + length))
    if hop is None or hop <= length:
        assert set(windows.ravel()) == set(range(num_samples))


def test_windows_are_evenly_spaced_but_for_the_last() -> None:
    starts, length = window_starts(100, rate=10, window_seconds=3, hop_seconds=2)

    assert starts.tolist() == [0, 20, 40, 60, 70]
    assert length == 30


def test_a_sound_without_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        finish_sound(Samples(np.zeros((1, 0), np.float32), 8000), rate=8000, window_seconds=1, hop_seconds=None)


def test_resampling_keeps_the_length_and_the_tone() -> None:
    rate, hertz = 22_050, 1000
    tone = Samples(np.sin(2 * np.pi * hertz * np.arange(rate) / rate).astype(np.float32)[None], rate)

    resampled = resample_mono(tone, 16_000)

    wanted = np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000)
    assert len(resampled) == 16_000
    assert resampled.dtype == np.float32
    np.testing.assert_allclose(resampled[500:-500], wanted[500:-500], atol=2e-3)


@pytest.mark.parametrize(("rate", "kept"), [(8000, 8000), (16_000, 16_000), (44_100, 22_050), (48_000, 22_050)])
def test_sound_is_kept_at_its_own_rate_or_at_the_highest_allowed(tmp_path: Path, rate: int, kept: int) -> None:
    sound = noise(1.7, rate, channels=2)
    path = write_media(tmp_path / "a.wav", sound=sound)

    features = extract(path)

    assert features.sound is not None
    assert features.sound.rate == kept
    stored = np.round(sound.mono() * 32767) / 32768
    wanted = stored if kept == rate else soxr.resample(stored, rate, kept, quality="HQ")
    assert abs(features.sound.num_samples - len(wanted)) <= 1
    shorter = min(len(wanted), features.sound.num_samples)
    np.testing.assert_allclose(features.sound.mono()[:shorter], wanted[:shorter], atol=2e-4)


def test_reading_in_blocks_equals_reading_at_once(tmp_path: Path) -> None:
    """25 s are three blocks of the reader; the kept sound has no seam."""
    path = write_media(tmp_path / "a.wav", sound=noise(25, 44_100))

    features = extract(path)

    with open_media(path) as media:
        whole = read_samples(media).mono()
    wanted = soxr.resample(whole, 44_100, 22_050, quality="HQ")
    assert features.sound is not None
    np.testing.assert_allclose(features.sound.mono(), wanted[: features.sound.num_samples], atol=1e-6)


def test_only_the_first_seconds_are_read_when_asked_and_it_is_said(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.wav", sound=noise(3, 8000))

    features = extract(path, ExtractSpec(max_seconds=1.5))

    assert features.sound is not None
    assert features.sound.duration_seconds == pytest.approx(1.5)
    assert "limited" in {note.code for note in features.notes}


def test_a_clip_without_sound_says_so_once(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mp4", frames=pictures(10))

    features = extract(path)

    assert features.sound is None
    assert [note.code for note in features.notes].count("no_sound") == 1
    assert features.probes["picture_fps"] == 25
    assert not any(name.startswith("sound_") for name in features.probes)


def test_a_sound_too_short_to_judge_is_none_with_a_note(tmp_path: Path) -> None:
    features = extract(write_media(tmp_path / "a.wav", sound=noise(0.05, 16_000)))

    assert features.sound is None
    assert [note.code for note in features.notes].count("short_sound") == 1


def test_a_file_that_is_not_there_is_a_media_error(tmp_path: Path) -> None:
    with pytest.raises(MediaNotFound):
        extract(tmp_path / "gone.mp4")


def test_probes_can_be_left_out(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.wav", sound=noise(1, 16_000))

    assert extract(path, ExtractSpec(probes=False)).probes == {}
    assert np.array_equal(extract(path, ExtractSpec(probes=False)).sound.values, extract(path).sound.values)  # type: ignore[union-attr]


def test_picture_and_sound_lengths_are_compared(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mkv", sound=noise(2.4, 16_000), frames=pictures(50), audio_codec="pcm_s16le")

    probes = extract(path).probes

    assert probes["sound_decoded_seconds"] == pytest.approx(2.4, abs=0.001)
    assert probes["picture_width"] == 32


def test_what_an_audit_asks_is_measured_in_the_one_reading(tmp_path: Path) -> None:
    shades = np.random.default_rng(0).integers(0, 200, (96, 96, 3), np.uint8)
    path = write_media(tmp_path / "a.mp4", sound=noise(3.0, 16_000), frames=[shades] * 60, fps=20)

    heard = extract(path).probes
    looked = extract(path, ExtractSpec(faces=FaceSpec())).probes

    assert "fingerprint_sound_0" in heard
    assert not any(name.startswith(("picture_brightness", "fingerprint_picture")) for name in heard)
    assert looked["picture_brightness"] == pytest.approx(shades.mean(), abs=5)
    assert {"picture_sharpness_db", "picture_change_levels", "fingerprint_picture_0"} <= set(looked)


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="sample_rate"):
        ExtractSpec(sample_rate=16_000)  # type: ignore[call-arg]


@pytest.mark.data
def test_hostile_and_odd_files_give_features_or_one_sentence(shared_data: Path) -> None:
    """Never another exception, never a value that is not a number."""
    files = [
        path
        for path in sorted((shared_data / "odd_media").rglob("*"))
        if path.is_file() and path.stat().st_size < 2_000_000
    ]
    good, said = 0, []
    for path in files:
        if "csv" in path.parts or path.suffix in {".csv", ".pth", ".safetensors"} or "bomb" in path.name:
            continue
        try:
            features = extract(path, ExtractSpec(max_seconds=20))
        except MediaError as error:
            said.append(str(error))
            continue
        good += 1
        assert all(np.isfinite(value) for value in features.probes.values()), path
        assert features.sound is None or np.isfinite(features.sound.values).all(), path
    assert good > 10
    assert not [sentence for sentence in said if "\n" in sentence]


@pytest.mark.data
def test_sound_that_cannot_be_decoded_leaves_the_picture(shared_data: Path) -> None:
    path = shared_data / "odd_media/webmproject__libwebm/blockgroup_block_ends_beyond_blockgroup.mkv"

    features = extract(path)

    assert features.sound is None
    assert "damaged_sound" in {note.code for note in features.notes}
