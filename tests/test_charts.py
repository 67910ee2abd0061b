"""Charts put numbers where their axes say, and stay small."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ffdv.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    MOST_POINTS,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    Curve,
    curve_chart,
    interval_bar,
    percent_ticks,
    two_histograms,
)


def path_of(svg: str) -> list[tuple[float, float]]:
    found = re.search(r'<path d="M([^"]+)"', svg)
    assert found
    return [tuple(map(float, pair.split())) for pair in found[1].split("L")]  # type: ignore[misc]


def test_a_curve_runs_from_corner_to_corner() -> None:
    svg = curve_chart([Curve([0.0, 1.0], [0.0, 1.0])], x=Axis("x"), y=Axis("y"), title="t")

    assert path_of(svg) == [(LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, TOP)]
    assert 'aria-label="t"' in svg


@pytest.mark.parametrize(
    ("scale", "low", "high", "middle"), [("linear", 0, 1, 0.5), ("log", 1e-4, 1, 1e-2), ("probit", 0.01, 0.99, 0.5)]
)
def test_scales_have_their_middle_where_it_belongs(scale: str, low: float, high: float, middle: float) -> None:
    axis = Axis("", low, high, (), scale)  # type: ignore[arg-type]

    assert axis.share([low, middle, high]) == pytest.approx([0.0, 0.5, 1.0])
    assert axis.share([-1.0, 2.0]) == pytest.approx([0.0, 1.0])
    assert np.all(np.diff(axis.share(np.linspace(low, high, 50))) > 0)


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    x = np.linspace(0, 1, 50_000)

    svg = curve_chart([Curve(x, np.sin(40 * x) ** 2)], x=Axis("x"), y=Axis("y"), title="t")

    places = path_of(svg)
    assert len(places) <= MOST_POINTS + 1
    assert places[0][0] == LEFT
    assert places[-1][0] == WIDTH - RIGHT


def test_points_have_bars_and_bands_close() -> None:
    dots = curve_chart([Curve([0.5], [0.5], low=[0.2], high=[0.9], sizes=[4])], x=Axis("x"), y=Axis("y"), title="t")
    band = curve_chart([Curve([0, 1], [0, 1], low=[0, 0.5], high=[0.5, 1])], x=Axis("x"), y=Axis("y"), title="t")

    assert dots.count("<circle") == 1
    assert dots.count('stroke-width="1.5"') == 1
    assert re.search(r'd="M[^"]+Z"', band)


def test_an_interval_never_leaves_its_line() -> None:
    svg = interval_bar(0.7, -3.0, 9.0, mark=0.5, width=100)

    assert 'x1="6.0"' in svg
    assert 'x2="94.0"' in svg


def test_both_classes_stand_on_one_scale_whatever_their_number() -> None:
    few, many = (
        two_histograms([0.1] * 2, [0.9] * 2, labels=("s", "r", "f")),
        two_histograms([0.1] * 2, [0.9] * 200, labels=("s", "r", "f")),
    )

    heights = [re.findall(r'<rect[^>]*height="([\d.]+)"', svg) for svg in (few, many)]
    assert heights[0] == heights[1]
    assert len(heights[0]) == 2


def test_labels_are_text() -> None:
    svg = curve_chart([], x=Axis("<b>"), y=Axis("y", ticks=percent_ticks(0.5)), title="</svg><script>")

    assert "<b>" not in svg
    assert "<script>" not in svg
    assert "50 %" in svg
