"""Sound that is genuine and a picture that is genuine, but not of the same moment or person: only their agreement is forged."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from ffdv.augment.forgery import ForgedSound, whole
from ffdv.augment.levels import SILENCE_RMS, rms
from ffdv.augment.spans import Span, draw
from ffdv.records import FloatArray


def delay_sound(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    seconds: Annotated[tuple[float, float], Span(0.02, 60)] = (0.2, 1.0),
) -> ForgedSound:
    """The sound moved against the picture, later or earlier, what leaves at one end coming in at the other.

    A delay filled with silence would be told by its silence. settings["seconds"] is positive when the sound is late.
    Sound shorter than the delay is moved by half its length.
    """
    wanted = draw(rng, seconds) * (1 if rng.random() < 0.5 else -1)
    shift = round(wanted * rate)
    if abs(shift) >= len(samples):
        shift = len(samples) // 2
    return ForgedSound(
        np.roll(samples, shift),
        rate,
        "delay_sound",
        whole(len(samples), rate) if shift else (),
        sense="agreement",
        settings={"seconds": shift / rate},
    )


def swap_sound(samples: FloatArray, rate: int, rng: np.random.Generator, *, other: FloatArray) -> ForgedSound:
    """Another clip's sound instead: other float32 (m,) at the same rate, from a random place, repeated where it is short.

    As loud as the sound that it replaces.
    """
    if len(other) == 0:
        return ForgedSound(samples, rate, "swap_sound", (), sense="agreement")
    room = len(other) - len(samples)
    start = int(rng.integers(0, room + 1 if room >= 0 else len(other)))
    taken = np.resize(np.roll(other, -start), len(samples)).astype(np.float32)
    level = rms(taken)
    loud = taken if level < SILENCE_RMS else (taken * np.float32(rms(samples) / level)).astype(np.float32)
    return ForgedSound(loud, rate, "swap_sound", whole(len(samples), rate), sense="agreement")
