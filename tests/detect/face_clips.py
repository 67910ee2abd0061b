"""Short films of a drawn face that speaks, for the tests of detect."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from ffdv.data.sources.drawn_face import draw_face
from ffdv.media.write import write_media
from ffdv.records import PixelArray, Samples

RATE = 16_000


def voice(seconds: float) -> Samples:
    """A hum of 140 Hz with harmonics, louder and softer three times a second."""
    moments = np.arange(round(seconds * RATE)) / RATE
    hum = sum(np.sin(2 * np.pi * 140 * k * moments) / k for k in range(1, 12))
    loudness = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * moments)
    noise = np.random.default_rng(0).normal(0, 0.002, len(moments))
    return Samples((0.1 * hum * loudness + noise).astype(np.float32)[None], RATE)


@cache
def head(side: int, opening: int) -> PixelArray:
    """A drawn head with its mouth open by so many eighths; drawing one takes longer than finding it."""
    return draw_face(side, mouth=opening / 8)


def speaking(seconds: float, *, side: int = 144, face: bool = True) -> Iterator[PixelArray]:
    """A head that opens its mouth three times a second, drifting; or an empty wall."""
    wall = np.random.default_rng(1).integers(60, 110, (side, side + 64, 3), dtype=np.uint8)
    for k in range(round(seconds * 25)):
        picture = wall.copy()
        if face:
            left = 32 + round(6 * np.sin(k / 9))
            picture[:, left : left + side] = head(side, round(4 + 4 * np.sin(2 * np.pi * 3 * k / 25)))
        yield picture


def write_clip(path: Path, *, seconds: float = 2.0, sound: bool = True, face: bool = True) -> Path:
    return write_media(path, sound=voice(seconds) if sound else None, frames=speaking(seconds, face=face), fps=25)
