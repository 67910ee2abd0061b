"""How smoothly face and chest move: steps are measured to a fraction of a pixel, and a change of the frame rate is no unrest."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ffdv.features.filters import gaussian_filter1d
from ffdv.features.sway import displacements, restlessness, shrunk
from ffdv.records import FloatArray, PixelArray

CENTRE, RADIUS = np.array([100.0, 80.0]), np.array([40.0, 50.0])


def a_person(
    shift: tuple[float, float] = (0.0, 0.0), *, chest: tuple[float, float] = (0.0, 0.0), light: int = 0
) -> PixelArray:
    """A picture (240, 200, 3) of soft texture whose upper part is moved by `shift` and whose lower part by `chest` pixels."""
    rng = np.random.default_rng(0)
    texture = gaussian_filter1d(gaussian_filter1d(rng.normal(0, 1, (300, 260)), 3.0, axis=0), 3.0, axis=1)
    texture = 120 + 40 * texture / texture.std()
    rows, columns = np.arange(240) + 30.0, np.arange(200) + 30.0
    parts = []
    for dx, dy in (shift, chest):
        moved = np.array([np.interp(rows - dy, np.arange(300), texture[:, k]) for k in range(260)]).T
        parts.append(np.array([np.interp(columns - dx, np.arange(260), row) for row in moved]))
    whole = np.where(np.arange(240)[:, None] < 134, parts[0], parts[1])
    return np.repeat((whole + light).clip(0, 255).round().astype(np.uint8)[..., None], 3, axis=2)


def outline(shift: tuple[float, float] = (0.0, 0.0)) -> FloatArray:
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    points = CENTRE + shift + RADIUS * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points.astype(np.float32)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, 0.0), (0.0, -0.7), (1.5, 1.0), (-4.0, 2.5)])
def test_a_face_is_followed_to_a_tenth_of_a_pixel(shift: tuple[float, float]) -> None:
    face, _ = displacements(a_person(), a_person(shift), outline(shift), outline()) * RADIUS[0]

    assert face == pytest.approx(shift, abs=0.15)


def test_face_and_chest_are_told_apart() -> None:
    moved = a_person((1.0, 0.5), chest=(-0.6, 0.4))

    face, chest = displacements(a_person(), moved, outline((1.0, 0.5)), outline()) * RADIUS[0]

    assert face == pytest.approx((1.0, 0.5), abs=0.15)
    assert chest == pytest.approx((-0.6, 0.4), abs=0.15)


def test_light_that_is_added_is_no_movement() -> None:
    face, chest = displacements(a_person(), a_person(light=12), outline(), outline())

    assert np.abs([face, chest]).max() < 0.002


def test_a_chest_beyond_the_picture_is_unknown() -> None:
    cut = a_person()[:130]

    face, chest = displacements(cut, cut, outline(), outline())

    assert np.isfinite(face).all()
    assert np.isnan(chest).all()


def test_a_grey_wall_stays_where_it_is() -> None:
    wall = np.full((240, 200, 3), 90, np.uint8)

    assert np.abs(displacements(wall, wall, outline((2.0, 0.0)), outline())).max() < 0.06


def a_path(unrest: float, *, count: int = 150, seed: int = 0) -> FloatArray:
    """Steps (n, 2) of a head that sways, with so much that is new in each."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter1d(rng.normal(0, 1, (count, 2)), 4.0, axis=0)
    steps = smooth / smooth.std() + unrest * rng.normal(0, 1, (count, 2))
    return (0.02 * steps).astype(np.float32)


def shown_at_25(steps: FloatArray, rate: float) -> FloatArray:
    """The same head, filmed at `rate` pictures a second and shown at 25: the nearest picture before each moment."""
    path = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    seen = np.floor(np.arange(int(len(steps) * 25 / rate)) * rate / 25 + 0.3).astype(int)
    return np.diff(path[seen], axis=0).astype(np.float32)


def test_unrest_is_told_from_gliding_whatever_the_size() -> None:
    gliding, restless = restlessness(a_path(0.1)), restlessness(a_path(1.0))

    assert gliding < restless - 0.5
    assert restlessness(3 * a_path(1.0)) == pytest.approx(restless, abs=1e-3)
    assert restlessness(a_path(30.0)) == pytest.approx(math.log(math.sqrt(2)), abs=0.1)


@pytest.mark.parametrize("rate", [30.0, 30 / 1.001, 24.0, 24 / 1.001, 20.0])
def test_a_change_of_the_frame_rate_is_no_unrest(rate: float) -> None:
    path = a_path(0.2, count=240)
    changed = shown_at_25(path, rate)
    uneven = math.log(float(np.diff(changed, axis=0).std() / changed.std()))

    assert uneven > restlessness(path) + 0.1
    assert restlessness(changed) == pytest.approx(restlessness(path), abs=0.08)


def test_of_twelve_pictures_a_second_nothing_is_told() -> None:
    assert math.isnan(restlessness(shown_at_25(a_path(0.2, count=120), 12.5)))


def test_a_still_picture_a_short_clip_and_a_face_out_of_sight_have_none() -> None:
    path = a_path(0.5)
    hidden = path.copy()
    hidden[::20] = np.nan

    assert math.isnan(restlessness(np.zeros((100, 2), np.float32)))
    assert math.isnan(restlessness(path[:24]))
    assert math.isnan(restlessness(hidden))
    assert math.isnan(restlessness(path[:0]))
    assert math.isfinite(restlessness(np.concatenate([hidden[:30], path])))


@pytest.mark.parametrize("step", [1, 3, 200])
def test_pictures_and_differences_are_shrunk_to_means(step: int) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (401, 402), dtype=np.uint8)
    difference = picture.astype(np.int16) - 255
    high, wide = 401 // step, 402 // step

    expected = picture[: high * step, : wide * step].reshape(high, step, wide, step).mean(axis=(1, 3))

    assert shrunk(picture, step) == pytest.approx(expected, abs=1e-3)
    assert shrunk(difference, step) == pytest.approx(expected - 255, abs=1e-3)


def test_steps_that_repeat_to_the_last_digit_glide() -> None:
    drawn = np.tile(np.array([[0.01, 0.0]], np.float32), (60, 1))

    assert -10.0 < restlessness(drawn) < restlessness(a_path(0.0))
