"""Lips and sound: curves that follow what was drawn and played, and offsets that were put there."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import frames_of, scene

from ffdv.features.face_detectors import make_face_detector
from ffdv.features.faces import FaceSpec, find_faces
from ffdv.features.landmarks import FaceMesh
from ffdv.features.sync import (
    FLOOR_DB,
    LEAD_SECONDS,
    MouthSpec,
    MouthTrack,
    band_curves,
    estimate_offset,
    iter_mouths,
    loudness_curve,
    luminance,
    motion_energy,
    mouth_crops,
    offset_correlations,
)
from ffdv.media.read import open_media, read_frames, read_samples
from ffdv.records import FaceTrack, Frame, Samples

RATE = 16_000
FPS = 25.0


def syllables(count: int, seed: int = 0) -> np.ndarray:
    """An opening in [0, 1] per frame: pulses of irregular length and height."""
    rng = np.random.default_rng(seed)
    curve = np.zeros(count)
    start = 3
    while start < count - 4:
        length = int(rng.integers(3, 8))
        curve[start : start + length] = rng.uniform(0.4, 1) * np.hanning(length + 2)[1:-1][: count - start]
        start += length + int(rng.integers(1, 5))
    return curve


def spoken(opening: np.ndarray, *, late_frames: float = 0.0, seed: int = 1) -> Samples:
    """Noise whose loudness follows an opening, LEAD_SECONDS after it as in real speech, plus late_frames."""
    moments = np.arange(round(len(opening) / FPS * RATE)) / RATE
    level = np.interp(
        moments - LEAD_SECONDS - late_frames / FPS, np.arange(len(opening)) / FPS, opening, left=0, right=0
    )
    noise = np.random.default_rng(seed).normal(0, 1, len(moments))
    return Samples((0.1 * (level + 0.003) * noise)[None].astype(np.float32), RATE)


def seen(opening: np.ndarray) -> MouthTrack:
    count = len(opening)
    values = (0.25 * opening).astype(np.float32)
    return MouthTrack(np.arange(count) / FPS, np.zeros((count, 16, 16), np.uint8), values)


@pytest.fixture(scope="module")
def talking() -> tuple[np.ndarray, list[Frame], FaceTrack, FaceMesh]:
    """A drawn face, 2 s at 25 frames a second, whose mouth opens in syllables."""
    opening = syllables(50)
    frames = list(frames_of([scene(200, 200, [(10, 10, 180)], mouth=float(m)) for m in opening], fps=FPS))
    track = find_faces(frames[::3], FaceSpec(), make_face_detector()).tracks[0]
    return opening, frames, track, FaceMesh()


# curves


def test_the_opening_follows_the_drawn_mouth(talking: tuple) -> None:
    opening, frames, track, face_mesh = talking
    mouth = mouth_crops(frames, track, face_mesh)

    assert mouth.crops.shape == (50, 96, 96)
    assert mouth.in_sight.all()
    assert np.corrcoef(mouth.opening, opening)[0, 1] > 0.9
    assert mouth.seconds == pytest.approx(np.arange(50) / FPS)


def test_the_mouth_stands_in_the_middle_and_moves_when_it_speaks(talking: tuple) -> None:
    opening, frames, track, face_mesh = talking
    mouth = mouth_crops(frames, track, face_mesh)
    widest = mouth.crops[int(opening.argmax())].astype(int)
    energy = motion_energy(mouth.crops)

    assert widest[40:56, 36:60].mean() < widest[5:15, 20:76].mean() - 40  # dark throat under bright cheeks
    assert np.corrcoef(energy[1:], np.abs(np.diff(opening)))[0, 1] > 0.6
    assert energy[0] == 0


def test_streaming_gives_the_same_moments_and_every_frame_once(talking: tuple) -> None:
    _, frames, track, face_mesh = talking
    from ffdv.features.landmarks import follow_mesh

    whole = mouth_crops(frames[:20], track, face_mesh)
    moments = list(iter_mouths(follow_mesh(iter(frames[:20]), track, face_mesh)))

    assert [moment.seconds for moment in moments] == whole.seconds.tolist()
    assert np.array_equal(np.stack([moment.crop for moment in moments]), whole.crops)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_very_short_clips_have_as_many_moments_as_frames(talking: tuple, count: int) -> None:
    _, frames, track, face_mesh = talking

    assert len(mouth_crops(frames[:count], track, face_mesh).seconds) == count


def test_out_of_sight_is_unknown_and_black(talking: tuple) -> None:
    _, frames, track, face_mesh = talking
    late = [Frame(frame.pixels, frame.seconds + 60) for frame in frames[:3]]
    mouth = mouth_crops(late, track, face_mesh, MouthSpec(size=32))

    assert not mouth.in_sight.any()
    assert mouth.points is not None
    assert np.isnan(mouth.points).all()
    assert mouth.crops.max() == 0
    assert mouth.crops.shape == (3, 32, 32)


def test_luminance_is_rec_601() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    expected = pixels @ np.array([0.299, 0.587, 0.114])

    assert luminance(pixels) == pytest.approx(expected, abs=1.5)


def test_motion_of_the_whole_head_is_not_motion_of_the_mouth() -> None:
    rng = np.random.default_rng(0)
    flash = np.full((3, 48, 48), 100, np.uint8)
    flash[1] += 30  # everything changes: light, or the head
    inner = np.full((3, 48, 48), 100, np.uint8)
    inner[1, 12:36, 12:36] += rng.integers(20, 40, (24, 24), np.uint8)

    assert abs(motion_energy(flash)).max() < 1
    assert motion_energy(inner)[1] > 5


def test_loudness_is_relative_and_silence_is_the_floor() -> None:
    sound = spoken(np.concatenate([np.zeros(10), np.ones(15)]))
    quiet = Samples(sound.values * 0.1, RATE)
    moments = np.arange(25) / FPS
    curve = loudness_curve(sound, moments, fps=FPS)

    assert curve.max() == pytest.approx(0)
    assert curve == pytest.approx(loudness_curve(quiet, moments, fps=FPS), abs=0.01)
    assert curve[15:].mean() > curve[:8].mean() + 30
    assert (loudness_curve(Samples(np.zeros((1, RATE), np.float32), RATE), moments, fps=FPS) == FLOOR_DB).all()


def test_moments_without_sound_are_the_floor_and_the_clock_is_the_files() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    late = Samples(tone[None], RATE, start_seconds=1.0)
    curve = loudness_curve(late, np.array([0.0, 0.5, 1.5, 2.5]), fps=FPS)

    assert curve[[0, 1, 3]] == pytest.approx(FLOOR_DB)
    assert curve[2] == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(("hertz", "band"), [(200, 0), (1000, 3), (3600, 7)])
def test_a_tone_is_loudest_in_its_band(hertz: float, band: int) -> None:
    tone = np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE).astype(np.float32)
    curves = band_curves(Samples(tone[None], RATE), np.array([0.5]), fps=FPS)

    assert int(curves[0].argmax()) == band


# offsets


@given(st.integers(-6, 6), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_correlations_equal_the_slow_formula(shift: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.normal(0, 1, 40).astype(np.float32), rng.normal(0, 1, 40).astype(np.float32)
    one[3] = np.nan
    pairs = [(one[t], other[t + shift]) for t in range(40) if 0 <= t + shift < 40 and np.isfinite(one[t])]

    assert offset_correlations(one, other, first=-6, last=6)[shift + 6] == pytest.approx(
        np.corrcoef(np.array(pairs).T)[0, 1], abs=1e-5
    )


@pytest.mark.parametrize("late", [-12, -5, 0, 4, 15])
def test_an_offset_that_was_put_there_is_found(late: int) -> None:
    opening = syllables(125)
    estimate = estimate_offset(seen(opening), spoken(opening, late_frames=late))

    assert estimate is not None
    assert estimate.offset_frames == pytest.approx(late, abs=1)
    assert estimate.correlation > 0.5
    assert estimate.confidence > 0.3


def test_right_sound_is_clearer_than_another_ones() -> None:
    right = [estimate_offset(seen(syllables(125, k)), spoken(syllables(125, k))) for k in range(5)]
    wrong = [estimate_offset(seen(syllables(125, k)), spoken(syllables(125, k + 50))) for k in range(5)]

    assert min(e.correlation for e in right if e) > max(e.correlation for e in wrong if e)


def test_the_offset_does_not_depend_on_loudness_or_on_how_far_the_mouth_opens() -> None:
    opening = syllables(100)
    sound = spoken(opening, late_frames=3)
    one = estimate_offset(seen(opening), sound)
    other = estimate_offset(seen(0.3 * opening), Samples(0.1 * sound.values, RATE))

    assert one is not None
    assert other is not None
    assert one.offset_frames == other.offset_frames


def test_too_little_mouth_is_no_opinion() -> None:
    opening = np.full(100, np.nan)
    opening[:20] = 0.1

    assert estimate_offset(seen(opening), spoken(syllables(100))) is None


def test_silence_and_a_closed_mouth_give_a_number_without_confidence() -> None:
    still = estimate_offset(seen(np.zeros(100)), Samples(np.zeros((1, 4 * RATE), np.float32), RATE))

    assert still is not None
    assert (still.correlation, still.confidence) == (0, 0)


@pytest.mark.data
@pytest.mark.slow
def test_real_mouths_open_with_their_own_sound_more_than_with_another(shared_data: Path) -> None:
    folder = shared_data / "video" / "train"
    with (folder / "manifest.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["target"] == "0" and r["has_audio"] == "1"][:24:4]
    detector, face_mesh, mouths, sounds = make_face_detector(), FaceMesh(), [], []
    for row in rows:
        with open_media(folder / row["file"]) as media:
            track = find_faces(read_frames(media, fps=8, stop_seconds=3), FaceSpec(), detector).tracks[0]
            mouths.append(mouth_crops(read_frames(media, fps=FPS, stop_seconds=3), track, face_mesh))
            sounds.append(read_samples(media, stop_seconds=3))
    own = [estimate_offset(m, s) for m, s in zip(mouths, sounds, strict=True)]
    other = [estimate_offset(m, s) for m, s in zip(mouths, sounds[1:] + sounds[:1], strict=True)]

    assert np.mean([e.correlation for e in own if e]) > np.mean([e.correlation for e in other if e])
