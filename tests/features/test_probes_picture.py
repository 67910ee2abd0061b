from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

from ffdv.features import fingerprints, probes_picture
from ffdv.features.fingerprints import NUM_BITS, as_probes, from_probes, picture_fingerprint, sound_fingerprint, to_gray
from ffdv.features.probes_picture import PictureProbes, blockiness_db, noise_levels, sharpness_db
from ffdv.records import PixelArray, Samples


def scene(seed: int = 0, *, height: int = 96, width: int = 128) -> PixelArray:
    """A smooth random picture with structure at several scales."""
    rng = np.random.default_rng(seed)
    gray = np.zeros((height, width))
    for cells in (4, 8, 16):
        rows, columns = np.arange(height) * cells // height, np.arange(width) * cells // width
        gray += rng.normal(size=(cells, cells))[np.ix_(rows, columns)]
    smooth = np.cumsum(np.cumsum(np.pad(gray, 4, mode="edge"), axis=0), axis=1)
    gray = smooth[8:, 8:] - smooth[:-8, 8:] - smooth[8:, :-8] + smooth[:-8, :-8]
    gray = 60 + 130 * (gray - gray.min()) / np.ptp(gray)
    return np.repeat(gray[..., None], 3, axis=2).astype(np.uint8)


def probes_of(*frames: PixelArray) -> dict[str, float]:
    probes = PictureProbes()
    for frame in frames:
        probes.add(frame)
    return probes.finish()


def speech_like(seed: int, *, seconds: float = 3.0, rate: int = 16_000) -> Samples:
    """Noise whose bands rise and fall in their own rhythms, as syllables do."""
    import scipy.signal

    rng = np.random.default_rng(seed)
    total = np.zeros(round(seconds * rate))
    for low, high in [(200, 500), (500, 1000), (1000, 2000), (2000, 3400)]:
        band = scipy.signal.sosfilt(
            scipy.signal.butter(4, [low, high], "band", fs=rate, output="sos"), rng.normal(size=len(total))
        )
        knots = rng.uniform(0.02, 1, 2 + round(seconds * 8))
        total += band * np.interp(np.linspace(0, 1, len(total)), np.linspace(0, 1, len(knots)), knots)
    return Samples((0.3 * total / np.abs(total).max()).astype(np.float32)[None], rate)


@pytest.mark.parametrize("module", [fingerprints, probes_picture])
def test_the_examples_in_the_docs_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def test_each_probe_answers_to_its_own_change() -> None:
    """A brighter, a blurred, a noisy, a blocky and a framed copy each move their own probe, the way its name says."""
    picture = scene()
    rng = np.random.default_rng(1)
    clean = probes_of(picture)
    noisy = np.clip(picture + rng.normal(0, 6, picture.shape[:2])[..., None], 0, 255).astype(np.uint8)
    blocky = picture.reshape(12, 8, 16, 8, 3).mean(axis=(1, 3)).repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)
    framed = picture.copy()
    framed[:12] = 0
    framed[-12:] = 0

    assert probes_of(picture + 10)["picture_brightness"] == pytest.approx(clean["picture_brightness"] + 10, abs=0.1)
    assert probes_of(noisy)["picture_noise_levels"] == pytest.approx(6, rel=0.15)
    assert clean["picture_noise_levels"] < 1
    assert probes_of(blocky)["picture_blockiness_db"] > clean["picture_blockiness_db"] + 5
    assert probes_of(framed)["picture_border_share"] == pytest.approx(0.25)
    assert clean["picture_border_share"] == 0.0
    assert probes_of(noisy)["picture_sharpness_db"] > clean["picture_sharpness_db"] + 3


def test_blur_lowers_sharpness_step_by_step() -> None:
    gray = to_gray(scene())
    values = [sharpness_db(gray)]
    for _ in range(3):
        gray = (gray[:-1, :-1] + gray[1:, :-1] + gray[:-1, 1:] + gray[1:, 1:]) / 4
        values.append(sharpness_db(gray))

    assert values == sorted(values, reverse=True)


def test_noise_is_measured_by_what_was_added() -> None:
    rng = np.random.default_rng(0)
    slope = np.linspace(0, 255, 200)[:, None] + np.linspace(0, 30, 220)[None]

    for level in (1.0, 4.0, 16.0):
        assert noise_levels((slope + rng.normal(0, level, slope.shape)).astype(np.float32)) == pytest.approx(
            level, rel=0.05
        )


def test_blocks_are_seen_wherever_their_grid_begins() -> None:
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.integers(50, 200, (12, 12)), np.ones((8, 8))) + rng.normal(0, 1, (96, 96))

    for shift in (0, 1, 5):
        assert blockiness_db(blocks[shift:, shift:].astype(np.float32)) > 8
    assert blockiness_db(rng.normal(100, 5, (96, 96)).astype(np.float32)) < 1.5


def test_a_still_picture_does_not_change_and_a_cut_does() -> None:
    assert probes_of(scene(0), scene(0))["picture_change_levels"] == 0.0
    assert probes_of(scene(0), scene(1))["picture_change_levels"] > 10
    assert "picture_change_levels" not in probes_of(scene(0))


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((90, 90, 3), np.uint8),
        np.full((17, 300, 3), 255, np.uint8),
        scene()[:9, :9],
    ],
    ids=["one pixel", "black", "white strip", "tiny"],
)
def test_any_picture_gives_finite_numbers(frame: PixelArray) -> None:
    probes = probes_of(frame, frame)

    assert probes
    assert all(math.isfinite(value) for value in probes.values())


def test_frames_of_changing_size_do_not_break_it() -> None:
    assert probes_of(scene(), scene(height=48, width=64))["picture_brightness"] > 0
    assert probes_of() == {}


def test_a_picture_is_known_again_after_what_happens_to_files() -> None:
    picture = scene()
    rng = np.random.default_rng(0)
    original = picture_fingerprint(to_gray(picture))
    brighter = picture_fingerprint(to_gray(picture) * 1.1 + 5)
    noisy = picture_fingerprint(to_gray(picture) + rng.normal(0, 3, picture.shape[:2]).astype(np.float32))
    half = picture_fingerprint(to_gray(picture[::2, ::2]))
    other = picture_fingerprint(to_gray(scene(1)))
    assert original is not None

    for copy in (brighter, noisy, half):
        assert (copy != original).sum() < 30
    assert (other != original).sum() > 80


def test_a_sound_is_known_again_after_what_happens_to_files() -> None:
    import soxr

    sound = speech_like(0)
    rng = np.random.default_rng(0)
    original = sound_fingerprint(sound)
    assert original is not None
    mono = sound.mono()
    copies = {
        "quieter": Samples(0.1 * sound.values, sound.rate),
        "padded": Samples(np.pad(mono, (800, 1600))[None], sound.rate),
        "resampled": Samples(soxr.resample(mono, 16_000, 22_050).astype(np.float32)[None], 22_050),
        "noisy": Samples((mono + rng.normal(0, 1e-3, len(mono)).astype(np.float32))[None], sound.rate),
    }

    for name, copy in copies.items():
        bits = sound_fingerprint(copy)
        assert bits is not None
        assert (bits != original).sum() < 60, name
    other = sound_fingerprint(speech_like(1))
    assert (other != original).sum() > 85


@pytest.mark.parametrize("seconds", [0.01, 0.1, 0.4])
def test_what_is_too_short_or_silent_has_no_fingerprint(seconds: float) -> None:
    assert sound_fingerprint(speech_like(0, seconds=seconds)) is None
    assert sound_fingerprint(Samples(np.zeros((1, 16_000), np.float32), 16_000)) is None
    assert picture_fingerprint(np.full((90, 90), 7.0, np.float32)) is None


def test_fingerprints_travel_as_probes() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (5, NUM_BITS)).astype(bool)
    rows = [as_probes("sound", row) for row in bits]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    columns["fingerprint_sound_3"][2] = np.nan

    back, known = from_probes("sound", columns, 5)

    assert known.tolist() == [True, True, False, True, True]
    np.testing.assert_array_equal(back[known], bits[known])
    assert as_probes("sound", None) == {}
    assert not from_probes("picture", columns, 5)[1].any()
