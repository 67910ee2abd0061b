"""Lips are measured apart from the head that carries them, and left and right say the same."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ffdv.features.landmarks import MOUTH_POINTS
from ffdv.features.lips import (
    PICTURE_SIDE,
    PLACES,
    SKULL_ROWS,
    bridged,
    lip_curves,
    motion,
    mouth_pictures,
    mouth_pictures_seen,
    skull_aligned,
    split_track,
)


def face(count: int = 30, *, seed: int = 0) -> np.ndarray:
    """A face whose skull is rigid, eyes left and right, nose below, lips moving (n, 86, 3)."""
    rng = np.random.default_rng(seed)
    still = rng.uniform(-0.6, 0.6, (len(MOUTH_POINTS), 3))
    still[PLACES[33]], still[PLACES[263]] = (-0.5, -0.4, 0), (0.5, -0.4, 0)
    still[PLACES[168]], still[PLACES[2]] = (0, -0.3, -0.2), (0, 0.3, -0.3)
    moving = np.repeat(still[None], count, axis=0)
    moving[:, :60, 1] += 0.05 * np.sin(np.arange(count) / 3)[:, None] * rng.uniform(0, 1, 60)
    moving[:, SKULL_ROWS] = still[SKULL_ROWS]
    moving[:, PLACES[2]] = still[PLACES[2]]
    return moving.astype(np.float32)


def test_curves_do_not_depend_on_pose_place_or_size() -> None:
    points = face()
    turns = Rotation.from_euler("yxz", np.linspace([-20, -10, -15], [25, 12, 20], len(points)), degrees=True)
    sizes = np.linspace(0.7, 1.6, len(points))[:, None, None]
    turned = (
        np.einsum("nij,nkj->nki", turns.as_matrix(), points) * sizes + np.linspace(0, 3, len(points))[:, None, None]
    )

    assert lip_curves(turned.astype(np.float32)) == pytest.approx(lip_curves(points), abs=1e-4)


def test_the_skull_lies_still_upright_and_an_eye_distance_wide() -> None:
    laid = skull_aligned(face())

    assert laid[:, SKULL_ROWS].std(axis=0).max() < 1e-6
    across = laid[0, PLACES[263]] - laid[0, PLACES[33]]
    assert across == pytest.approx([1, 0, 0], abs=1e-6)
    assert laid[0, PLACES[2], 1] > laid[0, PLACES[168], 1]


def test_the_first_curve_is_the_gap_of_the_inner_lips() -> None:
    points = face()
    wide = points.copy()
    wide[:, [PLACES[n] for n in (87, 14, 317)], 1] += 0.1

    assert lip_curves(wide)[:, 0] - lip_curves(points)[:, 0] == pytest.approx(0.1, abs=3e-3)


def test_small_pictures_do_not_change_with_mirror_or_light() -> None:
    crops = np.random.default_rng(0).integers(20, 120, (12, 96, 96), np.uint8)
    pictures = mouth_pictures(crops)

    assert pictures.shape == (12, PICTURE_SIDE**2)
    assert mouth_pictures(crops[:, :, ::-1]) == pytest.approx(pictures)
    assert mouth_pictures(crops + np.uint8(60)) == pytest.approx(pictures)
    assert np.abs(mouth_pictures(2 * crops) - pictures).max() < 0.5 * np.abs(pictures).max()
    assert mouth_pictures(crops[:, ::4, ::4]).shape == pictures.shape


def test_pictures_out_of_sight_are_unknown() -> None:
    crops = np.random.default_rng(0).integers(0, 255, (5, 96, 96), np.uint8)
    known = np.array([True, False, True, True, False])
    pictures = mouth_pictures_seen(crops, known)

    assert np.isnan(pictures[~known]).all()
    assert np.isfinite(pictures[known]).all()


def test_motion_is_blind_to_levels_and_slow_change() -> None:
    still = np.repeat([[3.0, -1.0]], 50, axis=0)
    drifting = still + np.linspace(0, 0.001, 50)[:, None]

    assert motion(still) == pytest.approx(np.zeros((50, 4)))
    assert np.abs(motion(drifting)).max() < 1e-3
    assert motion(still[:1]).shape == (1, 4)


def test_gaps_are_bridged_by_a_line() -> None:
    values = np.array([[0.0], [np.nan], [np.nan], [3.0]])

    assert bridged(values, np.isfinite(values[:, 0])) == pytest.approx(np.array([[0], [1], [2], [3.0]]))


def test_stretches_end_at_gaps_of_clock_and_sight() -> None:
    seconds = np.r_[np.arange(10), np.arange(30, 40)] / 25
    seen = np.ones(20, bool)
    seen[[0, 3]] = False

    assert split_track(seconds, seen, fps=25) == [slice(1, 10), slice(10, 20)]
    assert split_track(seconds, np.zeros(20, bool), fps=25) == []
