"""Blocks of sound from one rate to another by soxr, so that any two windows of a file share one grid of samples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soxr

from ffdv.records import FloatArray

# Samples of context that soxr's HQ filter needs on either side, counted at the lower of both rates.
FILTER_SAMPLES = 256


@dataclass(frozen=True)
class Resampling:
    """How a window of the wanted rate maps to a window of the native rate.

    wanted       first ─────────── stop          the samples k with start <= k/rate < stop
    native  n0 ···|·················|··· n1      n0 a multiple of native_rate/gcd: there both grids meet;
                                                 on both sides the context that the filter needs
    """

    native_rate: int
    rate: int
    first: int
    stop: int

    @property
    def native_window(self) -> tuple[int, int]:
        """Native samples to feed, half-open."""
        if self.native_rate == self.rate:
            return self.first, self.stop
        context = FILTER_SAMPLES * math.ceil(max(1.0, self.native_rate / self.rate))
        step = self.native_rate // math.gcd(self.native_rate, self.rate)
        begin = max(0, self.first * self.native_rate // self.rate - context)
        return begin // step * step, -(-self.stop * self.native_rate // self.rate) + context

    @property
    def lead(self) -> int:
        """Samples of the wanted rate that come before the window."""
        return self.first - self.native_window[0] * self.rate // self.native_rate


def grid_window(start_seconds: float, stop_seconds: float, rate: int) -> tuple[int, int]:
    """The indices k with start <= k/rate < stop, half-open; the rounding of decimal seconds does not move them.

    >>> grid_window(0.1, 0.3, 10)
    (1, 3)
    """
    first, stop = (math.ceil(round(seconds * rate, 6)) for seconds in (start_seconds, stop_seconds))
    return first, max(first, stop)


def resampled(blocks: Iterator[FloatArray], plan: Resampling) -> Iterator[FloatArray]:
    """Native blocks (channels, n) at the wanted rate by soxr HQ: exactly the plan's window."""
    drop, left = plan.lead, plan.stop - plan.first
    for block in _converted(blocks, plan):
        part = block[:, drop:][:, :left]
        drop = max(0, drop - block.shape[1])
        left -= part.shape[1]
        if part.shape[1]:
            yield part
        if left == 0:
            return


def _converted(blocks: Iterator[FloatArray], plan: Resampling) -> Iterator[FloatArray]:
    """All blocks at the wanted rate, the filter flushed at the end."""
    if plan.native_rate == plan.rate:
        yield from blocks
        return
    stream: soxr.ResampleStream | None = None
    channels = 0
    for block in blocks:
        if stream is None:
            channels = len(block)
            stream = soxr.ResampleStream(plan.native_rate, plan.rate, channels, dtype="float32", quality="HQ")
        yield stream.resample_chunk(np.ascontiguousarray(block.T)).T
    if stream is not None:
        yield stream.resample_chunk(np.zeros((0, channels), np.float32), last=True).T


def in_blocks(parts: Iterator[FloatArray], size: int) -> Iterator[FloatArray]:
    """The same samples, clipped to [-1, 1], in blocks of `size` per channel; the last may be shorter.

    Clipping is what every player and every 16-bit file does to the overshoot of lossy codecs and of the filter.
    """
    block: FloatArray | None = None
    filled = 0
    for part in parts:
        rest = part
        while rest.shape[1]:
            if block is None:
                block, filled = np.empty((len(part), size), np.float32), 0
            end = min(size, filled + rest.shape[1])
            np.clip(rest[:, : end - filled], -1.0, 1.0, out=block[:, filled:end])
            rest, filled = rest[:, end - filled :], end
            if filled == size:
                yield block
                block = None
    if block is not None:
        yield block[:, :filled]
