"""Neighbouring frames compared: identities, slow references, and movements that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scenes import frames_of, scene

from ffdv.features.motion import (
    HISTOGRAM_BINS,
    MEASURES,
    SERIES,
    MotionSpec,
    PairTable,
    compare_neighbours,
    face_mask,
    histogram,
    histogram_similarities,
    match_blocks,
    motion_vector,
    ssim_map,
    summarised,
)
from ffdv.records import FaceTrack, PixelArray

shares = st.lists(st.floats(0.01, 1), min_size=8, max_size=8).map(lambda v: np.float32(v) / np.sum(np.float32(v)))


def textured(height: int, width: int, seed: int = 0) -> PixelArray:
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).normal(0, 1, (height, width)), 2)
    return np.clip(128 + 300 * noise, 0, 255).astype(np.uint8)


def track_at(box: tuple[float, float, float, float], moments: int = 20) -> FaceTrack:
    return FaceTrack(
        0,
        np.arange(moments) / 12.5,
        np.tile(np.float32(box), (moments, 1)),
        np.full((moments, 5, 2), np.nan, np.float32),
        np.ones(moments, np.float32),
        np.zeros((moments, 4, 4, 3), np.uint8),
    )


@given(shares, shares)
@settings(max_examples=25, deadline=None)
def test_similarities_equal_their_textbook_formulas_and_are_symmetric(p: np.ndarray, q: np.ndarray) -> None:
    assume(p.std() > 1e-3 and q.std() > 1e-3)  # a flat histogram has no correlation; the next test has that case
    correlation, intersection, chi_square, distance = histogram_similarities(p, q)

    assert correlation == pytest.approx(np.corrcoef(p, q)[0, 1], abs=1e-5)
    assert intersection == pytest.approx(sum(min(a, b) for a, b in zip(p, q, strict=True)), abs=1e-6)
    assert chi_square == pytest.approx(sum((a - b) ** 2 / (a + b) for a, b in zip(p, q, strict=True)), abs=1e-6)
    assert distance == pytest.approx(math.sqrt(max(0, 1 - sum(np.sqrt(p * q)))), abs=2e-3)
    assert histogram_similarities(q, p) == pytest.approx((correlation, intersection, chi_square, distance), abs=1e-9)


def test_equal_histograms_are_wholly_similar_and_disjoint_ones_not_at_all() -> None:
    left, right = np.float32([1, 0]), np.float32([0, 1])

    assert histogram_similarities(left, left) == pytest.approx((1, 1, 0, 0))
    assert histogram_similarities(left, right) == pytest.approx((-1, 0, 2, 1))
    flat = np.full(4, 0.25, np.float32)
    assert histogram_similarities(flat, flat) == pytest.approx((1, 1, 0, 0))  # no variance, yet equal


def test_a_histogram_counts_shares() -> None:
    assert histogram(np.uint8([[0, 15], [16, 255]])) == pytest.approx(np.float32([0.5, 0.25, *[0] * 13, 0.25]))


def test_ssim_is_one_for_equal_pictures_and_falls_with_noise_not_with_a_shift_of_level() -> None:
    picture = textured(64, 64)
    rng = np.random.default_rng(1)
    noisy = [np.clip(picture + rng.normal(0, s, picture.shape), 0, 255).astype(np.uint8) for s in (5, 20, 60)]
    means = [float(ssim_map(picture, other).mean()) for other in (picture, *noisy)]

    assert means[0] == pytest.approx(1, abs=1e-4)
    assert means == sorted(means, reverse=True)
    assert float(ssim_map(picture // 2 + 60, picture // 2 + 70).mean()) > 0.95


def test_ssim_equals_the_slow_formula_in_the_middle() -> None:
    one, other = textured(15, 15, 1), textured(15, 15, 2)
    x, y = (p[4:11, 4:11].astype(np.float64) for p in (one, other))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    covariance = ((x - x.mean()) * (y - y.mean())).mean()
    expected = (
        (2 * x.mean() * y.mean() + c1)
        * (2 * covariance + c2)
        / ((x.mean() ** 2 + y.mean() ** 2 + c1) * (x.var() + y.var() + c2))
    )

    assert float(ssim_map(one, other)[7, 7]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (2, 0), (-1, 3), (3, -3)])
def test_a_shift_is_found_and_leaves_no_residual(dx: int, dy: int) -> None:
    picture = textured(64, 64)
    moved = np.roll(picture, (dy, dx), (0, 1))
    residual, length = match_blocks(picture, moved, block=8, search=3)

    assert residual[1:-1, 1:-1].max() == 0
    assert length[1:-1, 1:-1] == pytest.approx(np.hypot(dx, dy))


def test_a_still_flat_picture_does_not_move() -> None:
    flat = np.full((32, 32), 100, np.uint8)
    residual, length = match_blocks(flat, flat, block=8, search=4)

    assert residual.max() == length.max() == 0


def test_block_matching_equals_an_exhaustive_search() -> None:
    one, other = textured(16, 24, 3), textured(16, 24, 4)
    residual, _ = match_blocks(one, other, block=8, search=2)
    padded = np.pad(other, 2, mode="edge").astype(int)
    for row in range(2):
        for column in range(3):
            block = one[8 * row : 8 * row + 8, 8 * column : 8 * column + 8].astype(int)
            costs = [
                np.abs(block - padded[8 * row + dy : 8 * row + dy + 8, 8 * column + dx : 8 * column + dx + 8]).mean()
                for dy in range(5)
                for dx in range(5)
            ]
            assert residual[row, column] == pytest.approx(min(costs), abs=1e-4)


def test_a_repeated_picture_is_wholly_similar_to_itself() -> None:
    picture = scene(320, 240, [(80, 40, 140)])
    table = compare_neighbours(frames_of([picture] * 4, fps=12.5), track_at((115, 62, 185, 158)))
    values = dict(zip(SERIES, table.values[0], strict=True))

    assert len(table.values) == 3
    for region in ("picture", "face", "ring"):
        assert [values[f"{region}_{measure}"] for measure in MEASURES] == pytest.approx(
            [1, 1, 0, 0, 1, 0, 0, 0], abs=1e-4
        )


def test_a_flickering_face_shows_in_the_face_and_not_in_the_ring() -> None:
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(6):
        picture = scene(320, 240, [(80, 40, 140)])
        flicker = rng.normal(0, 15, (60, 44, 1))
        picture[80:140, 128:172] = np.clip(picture[80:140, 128:172] + flicker, 0, 255)
        pictures.append(picture)
    values = compare_neighbours(frames_of(pictures, fps=12.5), track_at((110, 60, 190, 160))).values.mean(axis=0)
    numbers = dict(zip(SERIES, values, strict=True))

    assert numbers["face_residual"] > 5 * numbers["ring_residual"]
    assert numbers["face_ssim"] < numbers["ring_ssim"]


def test_without_a_face_the_picture_alone_is_measured() -> None:
    pictures = [np.stack([textured(60, 80, k)] * 3, axis=2) for k in range(5)]
    table = compare_neighbours(frames_of(pictures, fps=12.5), None)
    vector = motion_vector(frames_of(pictures, fps=12.5), None)

    assert np.isfinite(table.values[:, : len(MEASURES)]).all()
    assert np.isnan(table.values[:, len(MEASURES) :]).all()
    assert len(vector.values) == len(vector.names)


def test_a_change_of_size_is_no_pair() -> None:
    pictures = [scene(160, 120, [])] * 3 + [scene(80, 60, [])] * 2

    assert len(compare_neighbours(frames_of(pictures, fps=12.5), None).values) == 3


def test_the_vector_is_named_fixed_in_length_and_made_of_frames() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (50, len(SERIES))).astype(np.float32)
    histograms = rng.dirichlet(np.ones(HISTOGRAM_BINS), 50).astype(np.float32)
    vector = summarised(PairTable(np.arange(50) / 12.5, values, histograms))
    numbers = dict(zip(vector.names, vector.values, strict=True))
    inner = SERIES[len(MEASURES) :]

    assert len(set(vector.names)) == len(vector.names) == len(SERIES) * 4 + 16 * 15 // 2 + 16 * 17 // 2
    assert numbers["face_ssim_mean"] == pytest.approx(values[:, SERIES.index("face_ssim")].mean(), abs=1e-5)
    assert numbers["ring_difference_p95"] == pytest.approx(
        np.percentile(values[:, SERIES.index("ring_difference")], 95), abs=1e-5
    )
    assert numbers[f"correlation_{inner[0]}_{inner[3]}"] == pytest.approx(
        np.corrcoef(values[:, 8], values[:, 11])[0, 1], abs=1e-5
    )
    assert numbers["histogram_covariance_2_5"] == pytest.approx(
        np.cov(histograms[:, 2], histograms[:, 5])[0, 1], abs=1e-7
    )


def test_the_order_of_frames_does_not_matter_to_the_summary() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (20, len(SERIES))).astype(np.float32)
    histograms = rng.dirichlet(np.ones(HISTOGRAM_BINS), 20).astype(np.float32)
    order = rng.permutation(20)
    one = summarised(PairTable(np.arange(20.0), values, histograms))
    other = summarised(PairTable(np.arange(20.0), values[order], histograms[order]))

    assert one.values == pytest.approx(other.values, abs=1e-5)


def test_too_few_pairs_are_unknown_and_not_zero() -> None:
    vector = motion_vector(frames_of([scene(80, 60, [])] * 2, fps=12.5), None)

    assert np.isnan(vector.values).all()


def test_the_mask_is_the_inner_half() -> None:
    assert face_mask(96).mean() == pytest.approx(0.25, abs=0.01)
    assert MotionSpec().size % MotionSpec().block == 0
