"""Simulated rooms: the echoes stand where mirrors put them and die away as wanted."""

from __future__ import annotations

import numpy as np
import pytest

from ffdv.augment.rooms import SPEED_OF_SOUND, Room, draw_room, impulse_response, reverberate_with

RATE = 16_000


def measured_rt60(response: np.ndarray) -> float:
    """Schroeder's backward integral, a line from -5 to -25 dB, times three (ISO 3382's T20)."""
    left = np.cumsum((response.astype(np.float64) ** 2)[::-1])[::-1]
    decay = 10 * np.log10(left / left[0] + 1e-15)
    places = np.flatnonzero((decay < -5) & (decay > -25))
    return float(-60 / np.polyfit(places / RATE, decay[places], 1)[0])


@pytest.mark.parametrize("rt60_seconds", [0.15, 0.3, 0.6, 1.2])
@pytest.mark.parametrize("seed", range(8))
def test_the_room_rings_as_long_as_wanted(rt60_seconds: float, seed: int) -> None:
    rng = np.random.default_rng(seed)

    response = impulse_response(draw_room(rng, rt60_seconds=rt60_seconds, distance_metres=1.5), rng, rate=RATE)

    assert measured_rt60(response) == pytest.approx(rt60_seconds, rel=0.2)


def test_direct_sound_and_first_echo_stand_where_geometry_puts_them() -> None:
    # Talker and microphone 4 m apart in the middle of a large room; the floor is 1 m below both, all else far away.
    room = Room(size=(40.0, 40.0, 30.0), talker=(18.0, 20.0, 1.0), microphone=(22.0, 20.0, 1.0), rt60_seconds=1.0)

    response = impulse_response(room, np.random.default_rng(0), rate=RATE)

    echo_metres = np.hypot(4.0, 2.0)  # mirrored 1 m below the floor
    echo_at = round((echo_metres - 4.0) / SPEED_OF_SOUND * RATE)
    strongest = np.argsort(-np.abs(response))[:2]
    assert set(strongest) == {0, echo_at} or abs(sorted(strongest)[1] - echo_at) <= 1
    # Spherical spreading, 60 dB a second of path, and one wall that turns the sign.
    expected = -(4.0 / echo_metres) * 10 ** (-3 * (echo_metres - 4.0) / SPEED_OF_SOUND)
    assert response[echo_at - 3 : echo_at + 4].sum() / response[0] == pytest.approx(expected, abs=0.12)


def test_early_echoes_and_late_noise_meet_at_the_same_level() -> None:
    steps = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        response = impulse_response(draw_room(rng, rt60_seconds=0.5, distance_metres=1.0), rng, rate=RATE)
        before, after = response[int(0.03 * RATE) : int(0.044 * RATE)], response[int(0.052 * RATE) : int(0.066 * RATE)]
        expected_db = -60 * 0.022 / 0.5
        steps.append(10 * np.log10(np.mean(after**2) / np.mean(before**2)) - expected_db)

    assert np.median(steps) == pytest.approx(0.0, abs=2.0)


def test_the_response_is_silent_before_the_direct_sound() -> None:
    room = draw_room(np.random.default_rng(1), rt60_seconds=0.4, distance_metres=2.0)

    response = impulse_response(room, np.random.default_rng(1), rate=RATE)

    assert np.argmax(np.abs(response)) == 0


def test_reverberating_a_click_gives_the_response() -> None:
    room = draw_room(np.random.default_rng(1), rt60_seconds=0.2, distance_metres=1.0)
    response = impulse_response(room, np.random.default_rng(1), rate=RATE)
    click = np.zeros(RATE, np.float32)
    click[100] = 1.0

    wet = reverberate_with(click, response)

    assert np.allclose(wet[:100], 0, atol=1e-6)
    assert np.corrcoef(wet[100 : 100 + len(response)], response)[0, 1] > 0.9999


def test_rooms_refuse_nonsense() -> None:
    with pytest.raises(ValueError, match="not inside"):
        Room((3, 3, 3), (4, 1, 1), (1, 1, 1), 0.3)
    with pytest.raises(ValueError, match="RT60"):
        Room((3, 3, 3), (1, 1, 1), (2, 2, 2), 0.0)
