"""A face that changes as one is told from one whose parts change each by itself, and from light that falls on the whole scene."""

from __future__ import annotations

import numpy as np
import pytest

from ffdv.features.unison import NUM_PARTS, SIGNALS, SKIN_POINTS, UNTOLD, part_colours, unison_numbers

N = 100


def colours(*, own: float = 1.0, shared: float = 0.0, scene: float = 0.0) -> np.ndarray:
    """Skin of N frames: grey levels by which each part, all of the skin, and skin and scene together waver; the scene also by itself."""
    rng = np.random.default_rng(0)
    skin = (
        np.array([150.0, 120.0, 100.0]) + own * rng.normal(size=(N, NUM_PARTS, 3)) + shared * rng.normal(size=(N, 1, 3))
    )
    edges = np.full((N, 1, 3), 90.0) + 0.1 * rng.normal(size=(N, 1, 3))
    both = np.concatenate([skin, edges], axis=1)
    return (both * (1 + scene / 100 * rng.normal(size=(N, 1, 3)))).astype(np.float32)


def test_parts_that_change_each_by_itself_say_nothing_and_together_much() -> None:
    alone, together = unison_numbers(colours()), unison_numbers(colours(shared=2.0))

    assert set(alone) == set(together) == set(SIGNALS)
    assert all(abs(value) < 0.15 for value in alone.values())
    assert all(value > 0.6 for value in together.values())


def test_light_that_changes_for_the_scene_too_does_not_count() -> None:
    lit, flooded = colours(scene=1.0), colours(scene=10.0)
    without = lit.copy()
    without[:, NUM_PARTS] = 90  # the same skin, before a scene that stands still

    assert all(value < UNTOLD + 0.1 for value in unison_numbers(lit).values())
    assert all(value == pytest.approx(UNTOLD, abs=0.1) for value in unison_numbers(flooded).values())
    assert all(value > 0.3 for value in unison_numbers(without).values())


def test_a_cut_does_not_decide() -> None:
    cut = colours()
    cut[N // 2 :, :NUM_PARTS] *= 0.5

    whole, half = unison_numbers(colours()), unison_numbers(cut)

    assert all(half[name] < whole[name] + 0.35 for name in SIGNALS)


@pytest.mark.parametrize("spoilt", ["short", "still", "out of sight"])
def test_what_cannot_be_known_is_left_out(spoilt: str) -> None:
    seen = colours(shared=2.0)
    if spoilt == "short":
        seen = seen[:20]
    elif spoilt == "still":
        seen[:, 0] = 100
    else:
        seen[:, 2] = np.nan

    assert unison_numbers(seen) == {}


def test_frames_that_lack_a_part_are_left_out() -> None:
    seen = colours(shared=2.0)
    hidden = seen.copy()
    hidden[40:50, 2] = np.nan

    assert unison_numbers(hidden) == pytest.approx(unison_numbers(seen), abs=0.25)


def test_colours_are_those_of_forehead_cheeks_nose_and_edges() -> None:
    pixels = np.zeros((200, 300, 3), np.uint8)
    pixels[..., 0] = np.arange(300)[None] // 2
    points = np.full((468, 3), 500.0, np.float32)
    middles = ((150, 40), (100, 120), (200, 120), (150, 100))
    for part, middle in enumerate(middles):
        points[list(SKIN_POINTS[6 * part : 6 * part + 6]), :2] = middle

    seen = part_colours(pixels, points, 60.0)
    points[SKIN_POINTS[0], 0] = -1

    assert seen[:4, 0] == pytest.approx([x // 2 for x, _ in middles], abs=0.6)
    assert seen[4, 0] == pytest.approx(75, abs=1)
    assert np.isnan(part_colours(pixels, points, 60.0)).any(axis=1).tolist() == [True, False, False, False, False]
