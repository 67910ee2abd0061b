"""A sound kept while a file is read: the same whether short or long, whole or in pieces, and small when it is long."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from ffdv.data.blobs import decode_sound, encode_sound
from ffdv.features.fingerprints import SoundFingerprint, sound_fingerprint
from ffdv.features.kept_sound import PLAIN_SECONDS, KeptSound
from ffdv.records import FloatArray, Samples

RATE = 8_000


def hum(seconds: float, level: float = 0.5) -> FloatArray:
    times = np.arange(round(seconds * RATE)) / RATE
    swell = 1 + np.sin(2 * np.pi * 0.7 * times)
    return (level * 0.5 * swell * np.sin(2 * np.pi * 300 * times + 3 * swell)).astype(np.float32)


def kept(values: FloatArray, piece_seconds: float = 7.0) -> KeptSound:
    sound = KeptSound(RATE, -0.5)
    for first in range(0, len(values), round(piece_seconds * RATE)):
        sound.add(values[first : first + round(piece_seconds * RATE)])
    return sound


def test_a_short_sound_is_what_was_added() -> None:
    values = hum(PLAIN_SECONDS)

    sound = kept(values)

    assert np.array_equal(sound.samples().values, values[None])
    assert (sound.samples().start_seconds, sound.duration_seconds) == (-0.5, PLAIN_SECONDS)
    assert sound.peak == np.abs(values).max()


@pytest.mark.parametrize("level", [0.01, 0.9, 1.7])
def test_a_long_sound_has_sixteen_bits(level: float) -> None:
    values = hum(2.2 * PLAIN_SECONDS, level)

    back = kept(values).samples().values[0]

    np.testing.assert_allclose(back, values, atol=max(1.0, level) / 65_000)


def test_shards_hold_the_same_bytes_however_the_sound_came() -> None:
    values = hum(1.5 * PLAIN_SECONDS)

    at_once = encode_sound(Samples(values[None], RATE, -0.5), "flac")

    assert encode_sound(kept(values), "flac") == at_once
    assert encode_sound(kept(values, 31.3), "flac") == at_once
    assert encode_sound(kept(values), "int16") == encode_sound(Samples(values[None], RATE, -0.5), "int16")


def test_a_sound_beyond_a_minute_is_a_row_a_minute_each_with_its_own_start_and_scale() -> None:
    values = hum(2.5 * PLAIN_SECONDS, 0.5)
    values[: round(PLAIN_SECONDS * RATE)] *= 4

    rows = encode_sound(kept(values), "flac")

    assert [row["start_seconds"] for row in rows] == [-0.5, 59.5, 119.5]
    assert rows[0]["scale"] == np.abs(values).max() > 1.0
    assert [row["scale"] for row in rows[1:]] == [1.0, 1.0]
    for number, row in enumerate(rows):
        alone = decode_sound([row], "flac")
        first = round(number * PLAIN_SECONDS * RATE)
        assert alone is not None
        np.testing.assert_allclose(
            alone.values[0], values[first : first + alone.values.size], atol=row["scale"] / 65_000
        )


def test_what_was_kept_can_grow_on_after_it_was_read() -> None:
    values = hum(1.4 * PLAIN_SECONDS)
    sound = kept(values[: 30 * RATE])
    sound.samples()

    sound.add(values[30 * RATE :])

    assert encode_sound(sound, "flac") == encode_sound(kept(values), "flac")


def test_nothing_added_is_a_sound_of_no_length() -> None:
    sound = KeptSound(RATE)
    sound.add(np.zeros(0, np.float32))

    assert sound.samples().values.shape == (1, 0)


def test_ten_minutes_take_less_room_than_one_as_they_were() -> None:
    piece = hum(10.0)
    tracemalloc.start()
    sound = KeptSound(RATE)
    for _ in range(60):
        sound.add(piece.copy())
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert sound.duration_seconds == 600.0
    assert held < 60 * piece.nbytes / 4


@pytest.mark.parametrize("piece_seconds", [0.01, 0.4, 3.3])
def test_a_fingerprint_does_not_depend_on_the_blocks(piece_seconds: float) -> None:
    values = hum(5.0) + np.random.default_rng(0).normal(0, 0.01, 5 * RATE).astype(np.float32)
    step = round(piece_seconds * RATE)

    gathered = SoundFingerprint(RATE)
    for first in range(0, len(values), step):
        gathered.add(values[first : first + step])

    whole = sound_fingerprint(Samples(values[None], RATE))
    assert whole is not None
    assert np.array_equal(gathered.finish(), whole)
