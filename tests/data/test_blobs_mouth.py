"""A mouth comes back from its cells as it went in, within the loss that encode_mouth states."""

from __future__ import annotations

import numpy as np
import pytest

from ffdv.data.blobs import decode_mouth, encode_mouth
from ffdv.features.landmarks import MOUTH_POINTS
from ffdv.records import MouthTrack


@pytest.mark.parametrize("count", [0, 1, 40])
def test_points_come_back_within_a_half_thousandth(count: int) -> None:
    rng = np.random.default_rng(count)
    points = rng.uniform(-1, 1, (count, len(MOUTH_POINTS), 3)).astype(np.float32)
    points[::7] = np.nan
    mouth = MouthTrack(np.arange(count) / 25, np.zeros((count, 16, 16), np.uint8), points[:, 0, 0], points)
    back = decode_mouth(encode_mouth(mouth))

    assert back is not None
    assert back.points is not None
    assert len(back.points) == count
    assert np.isfinite(back.points).sum() == np.isfinite(points).sum()
    assert back.points[np.isfinite(back.points)] == pytest.approx(points[np.isfinite(points)], abs=5e-4)


def test_a_mouth_without_points_stays_without() -> None:
    back = decode_mouth(encode_mouth(MouthTrack(np.zeros(2), np.zeros((2, 8, 8), np.uint8), np.zeros(2, np.float32))))

    assert back is not None
    assert back.points is None


def test_points_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 moments"):
        MouthTrack(np.zeros(2), np.zeros((2, 8, 8), np.uint8), np.zeros(2, np.float32), np.zeros((3, 5, 3), np.float32))
