"""What a forgery is: the forged array, how it was made, and which seconds of it are not genuine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ffdv.records import FloatArray, PixelArray

Segments = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class ForgedSound:
    """Sound made from real sound: samples float32 (n,), the method's name, forged stretches in seconds.

    segments: half-open [start, stop), in order, within the sound; one that spans all of it means forged throughout.
    sense: what is forged, the voice itself or only that it belongs to the picture; settings: what was drawn.
    """

    samples: FloatArray
    rate: int
    method: str
    segments: Segments
    sense: Literal["voice", "agreement"] = "voice"
    settings: Mapping[str, float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse other shapes, and segments out of order or out of the sound."""
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise ValueError(f"forged sound must be float32 (n,), got {self.samples.dtype} {self.samples.shape}")
        check_segments(self.segments, len(self.samples) / self.rate)


@dataclass(frozen=True)
class ForgedPicture:
    """Frames made from real frames: pixels uint8 (frames, h, w, 3), or one picture (h, w, 3); segments as ForgedSound.

    For one picture the segment is (0, 1 / fps) at the caller's fps, or empty when it has no time.
    mask: float32 (frames, h, w) or (h, w), how much of each pixel is forged, None where the method has no place.
    """

    pixels: PixelArray
    method: str
    segments: Segments
    mask: FloatArray | None = None
    settings: Mapping[str, float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse other shapes, and segments out of order."""
        if self.pixels.dtype != np.uint8 or self.pixels.ndim not in (3, 4) or self.pixels.shape[-1] != 3:
            raise ValueError(f"forged pixels must be uint8 (…, h, w, 3), got {self.pixels.dtype} {self.pixels.shape}")
        if self.mask is not None and self.mask.shape != self.pixels.shape[:-1]:
            raise ValueError(f"mask {self.mask.shape} does not fit pixels {self.pixels.shape}")
        check_segments(self.segments, math.inf)


def check_segments(segments: Segments, duration_seconds: float) -> None:
    """Raise ValueError unless the segments are non-empty, in order, apart, and within [0, duration_seconds]."""
    end_before = 0.0
    for start, stop in segments:
        # 1 µs: a sample count divided by the rate and multiplied back is not exact.
        if start < end_before - 1e-6 or stop <= start or stop > duration_seconds + 1e-6:
            raise ValueError(f"segments must be in order within [0, {duration_seconds}], got {segments}")
        end_before = stop


def whole(num_samples: int, rate: float) -> Segments:
    """All of it, or nothing of an empty array."""
    return ((0.0, num_samples / rate),) if num_samples else ()
