"""Masks on spectrograms: bands or stretches of time blotted out (Park et al., "SpecAugment", Interspeech 2019).

Each is (spectrogram (…, bands, frames), rng, own parameters) → a masked copy; numpy arrays and torch tensors alike, on any
device. Leading dimensions share one mask. What is blotted out takes the spectrogram's mean, so that it carries no news.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ffdv.augment.spans import Span, draw

Spectrogram = Any  # numpy array or torch tensor: both know shape, mean and slices

Share = Annotated[tuple[float, float], Span(0, 1)]


def frequency_mask(
    spectrogram: Spectrogram,
    rng: np.random.Generator,
    *,
    share: Share = (0.0, 0.15),
    count: Annotated[int, Field(ge=1, le=20)] = 2,
) -> Spectrogram:
    """`count` bars across all time, each `share` of the bands high (rounded), anywhere; they may overlap."""
    return _masked(spectrogram, rng, axis=-2, share=share, count=count)


def time_mask(
    spectrogram: Spectrogram,
    rng: np.random.Generator,
    *,
    share: Share = (0.0, 0.1),
    count: Annotated[int, Field(ge=1, le=20)] = 2,
) -> Spectrogram:
    """`count` bars across all bands, each `share` of the frames wide (rounded), anywhere; they may overlap."""
    return _masked(spectrogram, rng, axis=-1, share=share, count=count)


SPECTROGRAM_TRANSFORMS: dict[str, Callable[..., Spectrogram]] = {
    "frequency_mask": frequency_mask,
    "time_mask": time_mask,
}


def _masked(
    spectrogram: Spectrogram, rng: np.random.Generator, *, axis: int, share: tuple[float, float], count: int
) -> Spectrogram:
    masked = spectrogram.copy() if isinstance(spectrogram, np.ndarray) else spectrogram.clone()
    length = spectrogram.shape[axis]
    fill = spectrogram.mean() if length else 0.0
    for _ in range(count):
        size = round(draw(rng, share) * length)
        start = int(rng.integers(0, length - size + 1))
        if axis == -1:
            masked[..., start : start + size] = fill
        else:
            masked[..., start : start + size, :] = fill
    return masked
