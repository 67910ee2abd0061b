"""Which frame is seen at which moment, against a slow reference."""

from __future__ import annotations

import doctest
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ffdv.media.orientation
import ffdv.media.picture
import ffdv.media.resample
from ffdv.media.orientation import ORIENTATIONS, orientation, turned
from ffdv.media.picture import frames_at, moments_between, square_size
from ffdv.media.resample import Resampling, grid_window


@pytest.mark.parametrize("module", [ffdv.media.orientation, ffdv.media.picture, ffdv.media.resample])
def test_the_examples_in_the_docstrings_hold(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(st.integers(1, 30), min_size=1, max_size=20),
    first=st.integers(0, 30),
    fps=st.sampled_from([0.5, 1.0, 3.0, 7.0, 25.0]),
    start=st.integers(0, 40),
    length=st.integers(0, 60),
)
def test_the_frame_seen_is_the_last_that_began(
    steps: list[int], first: int, fps: float, start: int, length: int
) -> None:
    """Times in tenths of a second, as floats, so that the reference can compare them exactly."""
    begins = np.concatenate([[first], first + np.cumsum(steps)])
    *frames, end = [float(begin) / 10 for begin in begins]
    moments = moments_between(start / 10, (start + length) / 10, fps)

    seen = list(
        frames_at(
            iter([(seconds, seconds) for seconds in frames]),  # type: ignore[list-item]
            moments,
            fps,
            end_seconds=lambda: end,
            tolerance_seconds=1e-6,
            ask=lambda _: None,
        )
    )

    expected = []
    for moment in (k / fps for k in moments):
        begun = [begin for begin in frames if begin <= moment + 1e-6]
        if begun and moment < end - 1e-6:
            expected.append((moment, begun[-1]))
        elif not begun and moment + 1 / fps > frames[0] - 1e-6:
            expected.append((moment, frames[0]))
    assert seen == expected


@settings(max_examples=100)
@given(edges=st.lists(st.floats(0, 100), min_size=3, max_size=5), rate=st.sampled_from([1, 25, 8000, 22_050, 44_100]))
def test_grids_of_ranges_share_no_moment_and_miss_none(edges: list[float], rate: int) -> None:
    edges.sort()
    whole = grid_window(edges[0], edges[-1], rate)
    parts = [grid_window(low, high, rate) for low, high in pairwise(edges)]

    assert [low for low, _ in parts] + [parts[-1][1]] == [whole[0]] + [high for _, high in parts]
    assert parts[-1][1] == whole[1]


@settings(max_examples=200)
@given(
    native=st.sampled_from([100, 8000, 11_025, 22_050, 44_100, 44_101, 48_000, 96_000]),
    rate=st.sampled_from([8000, 16_000, 22_050, 44_100, 48_000]),
    first=st.integers(0, 10**7),
)
def test_native_windows_begin_where_both_grids_meet(native: int, rate: int, first: int) -> None:
    plan = Resampling(native, rate, first, first + 1000)
    begin, end = plan.native_window

    assert begin * rate % native == 0
    assert plan.lead == first - begin * rate // native >= 0
    assert begin / native <= first / rate
    assert end / native >= (first + 1000) / rate


@pytest.mark.parametrize("signs", ORIENTATIONS)
def test_every_orientation_is_what_the_matrix_does_to_points(signs: tuple[int, int, int, int]) -> None:
    """The pixel at (x, y) goes to (a x + c y, b x + d y), moved back into the picture."""
    a, b, c, d = signs
    height, width = 3, 4
    pixels = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    to_x, to_y = a * columns + c * rows, b * columns + d * rows
    to_x, to_y = to_x - to_x.min(), to_y - to_y.min()
    expected = np.empty((to_y.max() + 1, to_x.max() + 1, 3), np.uint8)
    expected[to_y, to_x] = pixels

    quarter_turns, mirrored = orientation(*(65536 * sign for sign in signs))

    assert np.array_equal(turned(pixels, quarter_turns, mirrored=mirrored), expected)


@given(aspect=st.floats(1 / 8, 8), width=st.integers(1, 4096), height=st.integers(1, 4096))
def test_square_pixels_keep_the_shape_and_the_limit(aspect: float, width: int, height: int) -> None:
    new_width, new_height = square_size(width, height, aspect, 4096)

    assert 1 <= new_width <= 4096
    assert 1 <= new_height <= 4096
    if min(new_width, new_height) > 50:
        assert new_width / new_height == pytest.approx(width * aspect / height, rel=0.03)
