"""Talking clips worn as chat apps wear them, for the odds of scripts/weights/agreement.py.

Coarse pictures make the mesh of a face tremble, and few bits blur its phones: lips and their own sound then seem strangers. With clean
clips alone in the odds, 70 % of genuine clips that came by telephone lay above what 5 % of clean ones exceed (docs/log.md, 2026-11-27).
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from voice_wear import worn_often

from ffdv.augment.alterations import Alteration
from ffdv.augment.codec import transcode_frames
from ffdv.augment.pixels import resized
from ffdv.detect.judges import hold, write_held
from ffdv.records import FloatArray, PixelArray

DRAWS = 3  # worn copies of each clip
SMALLEST = 0.3  # of its sides
BEST_CRF, WORST_CRF = 24, 40
COPIED_SECONDS = 30.0


@contextmanager
def worn_copy(path: Path, draw: int) -> Iterator[Path]:
    """The clip's picture shrunk and once to three times through H.264, its sound once to three times through codecs of low rate: a file
    that is there for as long as the context.
    """
    held = hold(path.name, path, looks_at=frozenset({"sound", "picture"}), max_seconds=COPIED_SECONDS)
    rng = np.random.default_rng([zlib.crc32(path.name.encode()), draw])
    share = float(rng.uniform(SMALLEST, 1.0))
    qualities = rng.integers(BEST_CRF, WORST_CRF + 1, int(rng.integers(1, 4)))

    def frames(pictures: PixelArray, _: np.random.Generator) -> PixelArray:
        height, width = (max(32, round(side * share / 2) * 2) for side in pictures.shape[1:3])
        worn = np.stack([resized(picture, (height, width), "bilinear") for picture in pictures])
        for quality in qualities:
            worn = transcode_frames(worn, name="h264", constant_quality=int(quality))
        return worn

    def sound(samples: FloatArray, rate: int, luck: np.random.Generator) -> FloatArray:
        return worn_often(samples, luck, rate)

    wear = Alteration("chat", "drawn", sound, frames)
    with tempfile.TemporaryDirectory() as folder:
        yield write_held(held.altered(wear, lambda: np.random.default_rng(draw)), Path(folder))
