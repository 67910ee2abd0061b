"""Cues: each number answers to what was put in, and to nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import frames_of, scene
from scipy.ndimage import gaussian_filter, zoom

from ffdv.features.cues import (
    CUE_KINDS,
    Cue,
    PictureWatch,
    agreement_cues,
    motion_cues,
    picture_cues,
    sound_cues,
)
from ffdv.features.cues_picture import (
    background_region,
    blinks_per_minute,
    blockiness_difference_db,
    border_sharpness_db,
    eye_likeness,
    face_region,
    frozen_share,
    light_angle_degrees,
    light_slope,
    longest_freeze_seconds,
    median_of,
    noise_difference_db,
    pattern_repetition,
    repeated_frames_share,
    resampling_db,
    runs,
    sharpness_difference_db,
    signed_distance,
)
from ffdv.features.cues_sound import (
    band_limit_hz,
    longest_silence_seconds,
    pause_depth_db,
    pitch_curve,
    pitch_jitter_percent,
    pitch_spread_semitones,
    repeated_sound,
    voiced_share,
)
from ffdv.features.face_detectors import make_face_detector
from ffdv.features.faces import FaceSpec, find_faces
from ffdv.features.landmarks import FaceMesh, follow_mesh
from ffdv.features.sync import MouthTrack, gather_mouths, iter_mouths
from ffdv.records import Samples

RATE = 16_000
OVAL = np.stack(
    [100 + 40 * np.cos(np.linspace(0, 2 * np.pi, 36)), 100 + 55 * np.sin(np.linspace(0, 2 * np.pi, 36))], axis=1
).astype(np.float32)
BOX = np.float32([60, 45, 140, 155])


def textured(height: int, width: int, *, smooth: float = 1.5, seed: int = 0) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(seed).normal(0, 1, (height, width)), smooth)
    return np.clip(128 + 40 * noise / noise.std(), 0, 255).astype(np.float32)


def voice(pitch_hz: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Harmonics of a pitch given per sample, with a little breath."""
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE
    tone = sum(np.sin(k * phase) / k for k in range(1, 9))
    return (0.1 * tone + np.random.default_rng(seed).normal(0, 0.002, len(pitch_hz))).astype(np.float32)


def syllabic_noise(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE)
    level = np.interp(
        np.arange(count), np.linspace(0, count, round(seconds * 8)), rng.uniform(0.2, 1, round(seconds * 8))
    )
    return (0.1 * level * rng.normal(0, 1, count)).astype(np.float32)


# records


def test_a_cue_is_known_finite_and_has_a_unit() -> None:
    with pytest.raises(ValueError, match="no cue is called 'aura'"):
        Cue("aura", 1.0, "")
    with pytest.raises(ValueError, match="must be finite"):
        Cue("blink_rate", math.nan, "per minute")
    assert all(kind.unit for kind in CUE_KINDS.values())


def test_a_cue_whose_interval_reaches_one_half_does_not_separate() -> None:
    for kind in CUE_KINDS.values():
        assert kind.separates == (kind.auc_interval[0] > 0.5)
        assert kind.auc_interval[0] <= kind.auc <= kind.auc_interval[1]
        assert kind.real_range[0] <= kind.real_range[1]


# eyes


@given(st.lists(st.booleans(), max_size=40))
@settings(max_examples=25, deadline=None)
def test_runs_rebuild_the_flags(flags: list[bool]) -> None:
    rebuilt = [False] * len(flags)
    for start, stop in runs(np.array(flags, bool)):
        rebuilt[start:stop] = [True] * (stop - start)

    assert rebuilt == flags


def eyes_of(closed: list[range], *, count: int = 250, sway: float = 0.0) -> np.ndarray:
    """Pictures (count, 2, 32, 32) of two drawn eyes: a dark disc between lids, or skin with a dark line while closed."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    shut = {k for span in closed for k in span}
    pictures = np.zeros((count, 2, 32, 32))
    for k in range(count):
        shift = sway * np.sin(k / 7)
        opened = 150 - 110 * (np.hypot(x - shift, y) < 0.35) + 50 * ((np.abs(x - shift) < 0.8) & (np.abs(y) < 0.25))
        lid = 150 - 60 * (np.abs(y - 0.3) < 0.08) * (np.abs(x - shift) < 0.8)
        pictures[k] = (lid if k in shut else opened) + rng.normal(0, 4, (2, 32, 32))
    return np.clip(pictures, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("blinks", [0, 1, 4])
def test_blinks_are_counted_whatever_the_light_and_the_glance(blinks: int) -> None:
    eyes = eyes_of([range(20 + 50 * k, 25 + 50 * k) for k in range(blinks)], sway=0.05)

    for light in (1.0, 0.4):
        likeness = eye_likeness((eyes * light).astype(np.uint8), fps=25)
        assert blinks_per_minute(likeness, fps=25) == pytest.approx(6.0 * blinks)


def test_a_long_look_down_a_wink_and_a_flicker_of_one_frame_are_no_blinks() -> None:
    eyes = eyes_of([range(50, 75), range(120, 121)])
    eyes[180:184, 0] = eyes_of([range(4)], count=4)[:, 0]

    assert blinks_per_minute(eye_likeness(eyes, fps=25), fps=25) == 0


def test_too_short_or_hidden_eyes_are_unknown() -> None:
    assert math.isnan(blinks_per_minute(np.full(10, 0.9, np.float32), fps=25))
    assert np.isnan(eye_likeness(np.zeros((50, 2, 32, 32), np.uint8), fps=25)).all()


# face against background


def test_a_blurred_face_is_less_sharp_than_its_background() -> None:
    sharp = textured(60, 60, seed=1)
    blurred = gaussian_filter(sharp, 2)

    assert sharpness_difference_db(blurred, sharp) < -5 < 5 < sharpness_difference_db(sharp, blurred)
    assert sharpness_difference_db(sharp, sharp) == 0


def test_noise_in_the_face_alone_is_seen() -> None:
    clean = textured(80, 80, smooth=6)
    noisy = clean + np.random.default_rng(0).normal(0, 8, clean.shape).astype(np.float32)

    assert noise_difference_db(noisy, clean) > 6
    assert noise_difference_db(noisy, noisy) == 0


def test_blocks_of_eight_pixels_in_the_face_alone_are_seen() -> None:
    clean = textured(96, 96, smooth=4)
    blocks = clean + np.kron(np.random.default_rng(0).normal(0, 6, (12, 12)), np.ones((8, 8))).astype(np.float32)

    assert blockiness_difference_db(blocks, clean) > 1.5
    assert blockiness_difference_db(clean, clean) == 0


def test_enlarging_leaves_a_period() -> None:
    native = np.random.default_rng(0).normal(128, 30, (128, 128)).astype(np.float32)
    enlarged = zoom(native[:80, :80], 1.6, order=1)

    assert resampling_db(enlarged) > resampling_db(native) + 6


def test_small_regions_are_unknown() -> None:
    small, large = textured(20, 20), textured(60, 60)

    assert math.isnan(sharpness_difference_db(small, large))
    assert math.isnan(noise_difference_db(large, small))
    assert math.isnan(pattern_repetition(small))


def test_regions_lie_where_they_should() -> None:
    gray = np.zeros((200, 200), np.float32)
    gray[45:155, 60:140] = 1
    face = face_region(gray, BOX)
    background = background_region(gray, BOX[None])

    assert face.min() == 1
    assert face.shape == (76, 56)
    assert background.max() == 0
    assert background_region(gray, np.float32([[0, 0, 200, 200]])).size == 0


# the outline


def test_the_distance_from_the_outline_has_its_sign_and_size() -> None:
    distance = signed_distance(OVAL, (200, 200))

    assert distance[100, 100] == pytest.approx(40, abs=1.5)
    assert distance[100, 160] == pytest.approx(-20, abs=1.5)


def test_a_seam_along_the_outline_is_seen() -> None:
    plain = textured(200, 200, smooth=5)
    distance = signed_distance(OVAL, plain.shape)
    seam = plain + 40 * (distance > 0).astype(np.float32)

    assert border_sharpness_db(seam, OVAL) > border_sharpness_db(plain, OVAL) + 6


@pytest.mark.parametrize("degrees", [0, 90, 180])
def test_light_from_another_side_than_the_scenes_is_an_angle(degrees: int) -> None:
    y, x = np.mgrid[0:200, 0:200] / 200
    angle = math.radians(degrees)
    inside = signed_distance(OVAL, (200, 200)) > 0
    scene_light = 60 * np.exp(x)
    face_light = 60 * np.exp(x * math.cos(angle) + y * math.sin(angle))
    gray = np.where(inside, face_light, scene_light).astype(np.float32)

    assert light_angle_degrees(gray, OVAL, BOX) == pytest.approx(degrees, abs=12)


def test_side_light_is_a_slope_and_does_not_depend_on_the_side() -> None:
    x = np.mgrid[0:200, 0:200][1] / 200
    left, right = (60 * np.exp(-x)).astype(np.float32), (22 * np.exp(x)).astype(np.float32)

    assert light_slope(left, OVAL) == pytest.approx(light_slope(right, OVAL), rel=0.3)
    assert light_slope(np.full((200, 200), 90, np.float32), OVAL) == pytest.approx(0, abs=1e-6)


# time


def test_frozen_frames_are_counted_and_timed() -> None:
    changes = np.float32([3, 3, 0, 0, 0, 3, 0, 3, 3, 3])

    assert frozen_share(changes) == pytest.approx(0.4)
    assert longest_freeze_seconds(changes, fps=25) == pytest.approx(3 / 25)
    assert math.isnan(frozen_share(np.zeros(0, np.float32)))


def test_a_loop_is_seen_and_a_stand_still_is_none() -> None:
    rng = np.random.default_rng(0)
    moving = rng.integers(0, 255, (20, 9, 16), np.uint8)
    loop = np.concatenate([moving, moving])
    still = np.repeat(moving[:1], 40, axis=0)

    def changes(thumbnails: np.ndarray) -> np.ndarray:
        return np.abs(np.diff(thumbnails.astype(float), axis=0)).mean(axis=(1, 2)).astype(np.float32)

    assert repeated_frames_share(loop, changes(loop)) == pytest.approx(0.5)
    assert repeated_frames_share(rng.integers(0, 255, (40, 9, 16), np.uint8), np.full(39, 50, np.float32)) == 0
    assert repeated_frames_share(still, changes(still)) == 0
    assert math.isnan(repeated_frames_share(moving[:4], changes(moving[:4])))


def test_a_background_that_repeats_itself_is_seen() -> None:
    tile = textured(30, 30, smooth=1)

    assert pattern_repetition(np.tile(tile, (4, 4))) > 0.5
    assert pattern_repetition(textured(120, 120, smooth=1)) < 0.2


def test_the_median_leaves_out_what_could_not_be_measured() -> None:
    assert median_of([1.0, math.nan, 3.0, 2.0]) == 2.0
    assert math.isnan(median_of([math.nan]))


# sound


@given(st.floats(90, 300))
@settings(max_examples=10, deadline=None)
def test_the_pitch_of_a_tone_is_found(hertz: float) -> None:
    pitch = pitch_curve(voice(np.full(RATE, hertz)), RATE)

    assert voiced_share(pitch) > 0.9
    assert np.nanmedian(pitch) == pytest.approx(hertz, rel=0.01)


def test_noise_and_silence_have_no_pitch() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)

    assert voiced_share(pitch_curve(noise, RATE)) < 0.1
    assert voiced_share(pitch_curve(np.zeros(RATE, np.float32), RATE)) == 0
    assert math.isnan(pitch_spread_semitones(pitch_curve(noise[:100], RATE)))


def test_a_livelier_melody_has_a_larger_spread_whatever_the_octave() -> None:
    moments = np.arange(2 * RATE) / RATE

    def spread(semitones: float, base: float) -> float:
        return pitch_spread_semitones(
            pitch_curve(voice(base * 2 ** (semitones / 12 * np.sin(2 * np.pi * 0.8 * moments))), RATE)
        )

    assert spread(0.2, 120) < spread(2, 120) < spread(5, 120)
    assert spread(3, 110) == pytest.approx(spread(3, 180), rel=0.15)


def test_an_uneven_throat_jitters() -> None:
    rng = np.random.default_rng(0)
    smooth = np.full(2 * RATE, 140.0)
    uneven = 140 * (1 + 0.02 * np.repeat(rng.normal(0, 1, 2 * RATE // 160), 160))

    assert pitch_jitter_percent(pitch_curve(voice(smooth), RATE)) < 0.3
    assert pitch_jitter_percent(pitch_curve(voice(uneven), RATE)) > 0.6


def test_a_copied_syllable_is_found_and_chance_is_not() -> None:
    sound = syllabic_noise(5)
    copied = sound.copy()
    copied[3 * RATE + 77 : 3 * RATE + 9677] = 0.7 * sound[RATE : RATE + 9600]

    assert repeated_sound(copied, RATE) > 0.99
    assert repeated_sound(sound, RATE) < 0.3
    assert math.isnan(repeated_sound(sound[:RATE], RATE))


def test_digital_silence_is_timed_and_room_noise_is_none() -> None:
    sound = syllabic_noise(2)
    cut = sound.copy()
    cut[RATE : RATE + 4000] = 0

    assert longest_silence_seconds(cut, RATE) == pytest.approx(0.25, abs=0.005)
    assert longest_silence_seconds(sound, RATE) < 0.01
    assert pause_depth_db(cut, RATE) < pause_depth_db(sound, RATE) - 20


def test_loudness_changes_no_cue_of_the_sound_but_silence() -> None:
    sound = syllabic_noise(3)
    one = {cue.code: cue.value for cue in sound_cues(Samples(sound[None], RATE))}
    other = {cue.code: cue.value for cue in sound_cues(Samples(0.5 * sound[None], RATE))}

    assert one.keys() == other.keys()
    assert all(one[code] == pytest.approx(other[code], abs=1e-3) for code in one if code != "longest_silence")


@pytest.mark.parametrize("limit_hz", [2000, 4000])
def test_a_band_limit_is_found(limit_hz: int) -> None:
    spectrum = np.fft.rfft(np.random.default_rng(0).normal(0, 0.1, 2 * RATE))
    spectrum[np.fft.rfftfreq(2 * RATE, 1 / RATE) > limit_hz] = 0

    assert band_limit_hz(np.fft.irfft(spectrum).astype(np.float32), RATE) == pytest.approx(limit_hz, abs=60)


def test_no_sound_is_no_cues() -> None:
    assert sound_cues(Samples(np.zeros((1, 0), np.float32), RATE)) == ()


# whole clips


@pytest.fixture(scope="module")
def drawn_clip() -> tuple:
    rng = np.random.default_rng(0)
    pictures = []
    for k in range(30):
        picture = scene(320, 240, [(70 + k // 3, 20, 200)]).astype(np.int16)
        pictures.append(np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8))
    frames = list(frames_of(pictures, fps=25))
    return frames, find_faces(frames[::3], FaceSpec(), make_face_detector()).tracks[0], FaceMesh()


def test_a_clip_gives_known_cues_with_their_units(drawn_clip: tuple) -> None:
    frames, track, face_mesh = drawn_clip
    cues = picture_cues(frames, track, face_mesh)

    assert {cue.code for cue in cues} >= {"sharpness_difference", "border_sharpness", "light_slope", "frozen_share"}
    assert all(cue.unit == CUE_KINDS[cue.code].unit for cue in cues)
    assert next(cue.value for cue in cues if cue.code == "frozen_share") == 0


def test_one_pass_with_mouths_sees_the_same_and_hands_every_pair_on(drawn_clip: tuple) -> None:
    frames, track, face_mesh = drawn_clip
    watch = PictureWatch()
    mouth = gather_mouths(iter_mouths(watch.watched(follow_mesh(frames, track, face_mesh))))

    assert len(mouth.seconds) == len(frames)
    assert watch.cues() == picture_cues(frames, track, face_mesh)


def test_flicker_and_lips_make_cues() -> None:
    opening = np.abs(np.sin(np.arange(100) / 3)).astype(np.float32) * 0.2
    mouth = MouthTrack(np.arange(100) / 25, np.zeros((100, 8, 8), np.uint8), opening)
    face, ring = np.full(10, 9.5, np.float32), np.full(10, 0.5, np.float32)

    assert motion_cues(face, ring)[0].value == pytest.approx(20)
    assert {cue.code for cue in agreement_cues(mouth, Samples(syllabic_noise(4)[None], RATE))} == {
        "lip_sound_offset",
        "lip_sound_correlation",
        "lip_sound_confidence",
    }


def test_what_cannot_be_measured_is_left_out() -> None:
    nothing = MouthTrack(
        np.arange(10) / 25,
        np.zeros((10, 8, 8), np.uint8),
        np.full(10, np.nan, np.float32),
    )

    assert agreement_cues(nothing, Samples(syllabic_noise(1)[None], RATE)) == ()
    assert motion_cues(np.zeros(0, np.float32), np.zeros(0, np.float32)) == ()
    assert motion_cues(np.full(3, np.nan, np.float32), np.full(3, np.nan, np.float32)) == ()
