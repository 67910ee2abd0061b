"""Decoded sound frames to one unbroken line of samples on the file's clock, and from there to the wanted rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import soxr
from av.audio.frame import AudioFrame
from av.audio.plane import AudioPlane

from ffdv.media.decode import Tally
from ffdv.records import FloatArray

# A timestamp may tremble this much before we believe it: FFmpeg's own threshold for hard compensation.
JITTER_SECONDS = 0.1
# A silent gap longer than this is believed only when the header's duration covers it.
MAX_GAP_SECONDS = 10.0
# Real sound stays within a few dB of full scale; what lies beyond are broken numbers, not loudness.
FULL_SCALE_EXCESS = 4.0
NATIVE_BLOCK_SAMPLES = 1 << 16

# sample format without the planar "p" → numpy type, zero level, full scale
FORMATS: dict[str, tuple[str, float, float]] = {
    "u8": ("u1", 128.0, 128.0),
    "s16": ("i2", 0.0, 32768.0),
    "s32": ("i4", 0.0, 2147483648.0),
    "s64": ("i8", 0.0, 9223372036854775808.0),
    "flt": ("f4", 0.0, 1.0),
    "dbl": ("f8", 0.0, 1.0),
}


def frame_samples(frame: AudioFrame) -> FloatArray:
    """One decoded frame as float32 (channels, n), full scale = 1.

    Planes are taken one by one: PyAV's own to_ndarray reads past the end for planar sound of eight channels and more.
    """
    name = frame.format.name
    channels, count = frame.layout.nb_channels, frame.samples
    kind, zero, full_scale = FORMATS[name.removesuffix("p")]
    if frame.format.is_planar:
        values = np.empty((channels, count), np.float32)
        for channel in range(channels):
            values[channel] = np.frombuffer(AudioPlane(frame, channel), kind, count)  # type: ignore[call-arg]
    else:
        packed = np.frombuffer(AudioPlane(frame, 0), kind, count * channels)  # type: ignore[call-arg]
        values = np.ascontiguousarray(packed.reshape(count, channels).T, np.float32)
    if zero:
        values -= np.float32(zero)
    if full_scale != 1.0:
        values *= np.float32(1.0 / full_scale)
    return values


@dataclass
class SoundLine:
    """Where each frame belongs on the file's clock, in samples of the native rate."""

    rate: int
    tick: Fraction
    zero_seconds: float
    duration_seconds: float | None
    tally: Tally
    next_index: int | None = None

    def place(self, frame: AudioFrame) -> int:
        """The index of the frame's first sample: where the last frame ended, unless the timestamps firmly differ."""
        stamped = self._stamped(frame)
        expected = self.next_index
        if expected is None:
            begin = stamped if stamped is not None and self._believable(stamped) else 0
            if abs(begin) <= self.rate * self.tick:  # one tick of the container's clock is no delay
                begin = 0
        elif stamped is None:
            begin = expected
        else:
            tolerance = self.rate * (max(0.002, float(self.tick)) if self.tally.just_damaged else JITTER_SECONDS)
            moved = stamped - expected > tolerance and self._believable(stamped)
            begin = stamped if moved else expected
        self.tally.just_damaged = False
        self.next_index = begin + frame.samples
        return begin

    def _stamped(self, frame: AudioFrame) -> int | None:
        if frame.pts is None:
            return None
        return round((float(frame.pts * self.tick) - self.zero_seconds) * self.rate)

    def _believable(self, index: int) -> bool:
        """Whether a jump to this index can be meant: within the stated duration, or not far."""
        if self.duration_seconds is not None:
            return index <= (self.duration_seconds + 1.0) * self.rate
        return index - (self.next_index or 0) <= MAX_GAP_SECONDS * self.rate


@dataclass
class Seen:
    """What the line of samples was made of: for the notes."""

    first_index: int | None = None
    end_index: int = 0
    silence_samples: int = 0
    mended_samples: int = 0
    more: bool = False


def unbroken(
    frames: Iterator[AudioFrame], line: SoundLine, seen: Seen, *, window: tuple[int, int], mono: bool
) -> Iterator[FloatArray]:
    """The samples [window) of the native clock, in order, without holes, as float32 (channels, n) blocks.

    Silence stands where the file has none; nothing is added after the last sample.
    """
    position, stop = window
    for frame in frames:
        begin = line.place(frame)
        if seen.first_index is None:
            seen.first_index = begin
        elif begin > seen.end_index:
            seen.silence_samples += begin - seen.end_index
        seen.end_index = max(seen.end_index, begin + frame.samples)
        if begin >= stop:
            seen.more = True
        channels = 1 if mono else frame.layout.nb_channels
        while position < min(begin, stop):
            count = min(begin - position, stop - position, NATIVE_BLOCK_SAMPLES)
            yield np.zeros((channels, count), np.float32)
            position += count
        if begin + frame.samples > position and position < stop:
            values = _mended(frame_samples(frame), seen)
            values = values.mean(axis=0, keepdims=True) if mono else values
            block = values[:, position - begin : stop - begin]
            position += block.shape[1]
            yield block
        if begin + frame.samples > stop:
            seen.more = True
        if seen.more:
            return


def _mended(values: FloatArray, seen: Seen) -> FloatArray:
    """The same samples, finite: NaN and infinity become silence, absurd numbers full scale; they are counted."""
    peak = np.abs(values).max(initial=0.0)
    if peak <= FULL_SCALE_EXCESS:
        return values
    finite = np.isfinite(values)
    seen.mended_samples += int(np.count_nonzero(~finite | (np.abs(values) > FULL_SCALE_EXCESS)))
    return np.clip(np.where(finite, values, 0.0), -1.0, 1.0).astype(np.float32)


@dataclass(frozen=True)
class Resampling:
    """How a window of the wanted rate maps to a window of the native rate, so that all windows share one grid.

    wanted    k0 ───────── k1            samples k/rate with start <= k/rate < stop
    native  n0 ·················· n1     n0 a multiple of native/gcd: there both grids meet; a margin on both sides
    """

    native_rate: int
    rate: int
    first: int
    stop: int

    @property
    def _margin(self) -> int:
        """Native samples of context that the filter needs on either side (soxr HQ, measured: 1e-5 at 400 taps)."""
        if self.native_rate == self.rate:
            return 0
        return 512 * max(1, math.ceil(self.native_rate / self.rate))

    @property
    def window(self) -> tuple[int, int]:
        """Native samples to feed, half-open."""
        step = self.native_rate // math.gcd(self.native_rate, self.rate)
        begin = math.floor(self.first * self.native_rate / self.rate) - self._margin
        end = math.ceil(self.stop * self.native_rate / self.rate) + self._margin
        return max(0, begin // step * step), end

    @property
    def lead(self) -> int:
        """Samples of the wanted rate to drop at the front."""
        return self.first - self.window[0] * self.rate // self.native_rate


def resampled(blocks: Iterator[FloatArray], plan: Resampling) -> Iterator[FloatArray]:
    """Native blocks (channels, n) at the wanted rate by soxr HQ, exactly the plan's window, clipped to [-1, 1]."""
    drop, left = plan.lead, plan.stop - plan.first
    for block in _converted(blocks, plan):
        part = block[:, drop:][:, :left]
        drop = max(0, drop - block.shape[1])
        left -= part.shape[1]
        if part.shape[1]:
            yield np.clip(part, -1.0, 1.0)
        if left == 0:
            return


def _converted(blocks: Iterator[FloatArray], plan: Resampling) -> Iterator[FloatArray]:
    if plan.native_rate == plan.rate:
        yield from blocks
        return
    stream: soxr.ResampleStream | None = None
    channels = 1
    for block in blocks:
        if stream is None:
            channels = len(block)
            stream = soxr.ResampleStream(plan.native_rate, plan.rate, channels, dtype="float32", quality="HQ")
        yield np.ascontiguousarray(stream.resample_chunk(np.ascontiguousarray(block.T)).T)
    if stream is not None:
        yield np.ascontiguousarray(stream.resample_chunk(np.zeros((0, channels), np.float32), last=True).T)


def grid_window(start_seconds: float, stop_seconds: float, rate: int) -> tuple[int, int]:
    """The indices k with start <= k/rate < stop, half-open; tiny rounding of the seconds does not move them."""
    return math.ceil(round(start_seconds * rate, 6)), math.ceil(round(stop_seconds * rate, 6))


Notify = Callable[[str, str], None]
