"""Decoded sound frames to one unbroken line of samples on the file's clock, at the native rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.plane import AudioPlane
from av.audio.resampler import AudioResampler

from ffdv.media.decode import Tally
from ffdv.records import FloatArray

# A timestamp may tremble this much before we believe it: FFmpeg's own threshold for hard compensation.
JITTER_SECONDS = 0.1
# After damage the next timestamp is believed at once; containers that count in milliseconds are this exact.
RESYNC_SECONDS = 0.002
# A jump ahead of more than this is believed only when the length in the header covers it.
MAX_GAP_SECONDS = 10.0
# Decoders fill the last frame of a codec up to its full size; no codec here has frames longer than 85 ms.
CODEC_PADDING_SECONDS = 0.1
# Real sound overshoots full scale by some dB; beyond this there are broken numbers, not loudness.
MAX_OVERSHOOT = 4.0
SILENT_PEAK = 1e-4  # -80 dB of full scale
BLOCK_SAMPLES = 1 << 16  # 1.5 s at 44.1 kHz: the overhead per call of numpy and soxr vanishes

# sample format without its planar "p" → numpy type, zero level, full scale
SAMPLE_FORMATS: dict[str, tuple[str, float, float]] = {
    "u8": ("u1", 128.0, 2.0**7),
    "s16": ("i2", 0.0, 2.0**15),
    "s32": ("i4", 0.0, 2.0**31),
    "s64": ("i8", 0.0, 2.0**63),
    "flt": ("f4", 0.0, 1.0),
    "dbl": ("f8", 0.0, 1.0),
}


@dataclass
class SoundSeen:
    """What the line of samples was made of, in native samples: for the notes."""

    first_index: int | None = None
    end_index: int = 0
    silence_samples: int = 0
    mended_samples: int = 0
    peak: float = 0.0
    rate_changed: bool = False


class RawBlock:
    """Decoded frames of one sample format held as they are; joined and converted once per block.

    Planes are taken one by one: PyAV's AudioFrame.to_ndarray reads past the end of its plane list (and crashes) for
    planar sound of eight channels. Joining a block at once is also much cheaper than an array per frame.
    """

    def __init__(self, frame: AudioFrame) -> None:
        self.format_name = frame.format.name
        self.channels = frame.layout.nb_channels
        self.filled = 0
        kind, self._zero, self._full_scale = SAMPLE_FORMATS[self.format_name.removesuffix("p")]
        self._kind = np.dtype(kind)
        planes, width = (self.channels, 1) if self.format_name.endswith("p") else (1, self.channels)
        self._sample_bytes = width * self._kind.itemsize
        self._planes: list[list[AudioPlane | memoryview]] = [[] for _ in range(planes)]
        self._numbered = tuple(enumerate(self._planes))

    def takes(self, frame: AudioFrame, count: int) -> bool:
        """Lay down the whole frame if it is of this kind and there is room; say whether."""
        if self.filled >= BLOCK_SAMPLES or frame.format.name != self.format_name:
            return False
        if frame.layout.nb_channels != self.channels:
            return False
        size = count * self._sample_bytes
        for number, parts in self._numbered:
            plane = AudioPlane(frame, number)
            parts.append(plane if plane.buffer_size == size else memoryview(plane)[:size])  # some are longer
        self.filled += count
        return True

    def append(self, frame: AudioFrame, first: int, last: int) -> None:
        """Lay down the frame's samples [first, last); it is of this kind."""
        for number, parts in self._numbered:
            parts.append(memoryview(AudioPlane(frame, number))[first * self._sample_bytes : last * self._sample_bytes])
        self.filled += last - first

    def stacked(self) -> FloatArray:
        """What was laid down, float32 (channels, n), full scale = 1."""
        values = np.empty((self.channels, self.filled), np.float32)
        with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite and is mended later
            for channel, row in enumerate(self._rows()):
                values[channel] = row
        return self._scaled(values)

    def mean(self) -> FloatArray:
        """The mean of the channels, float32 (1, n): FFmpeg's own down-mix to float mono is 3 dB louder."""
        first, *others = self._rows()
        with np.errstate(over="ignore", invalid="ignore"):
            if not others:
                return self._scaled(first.astype(np.float32)[np.newaxis])
            total = np.add(first, others[0], dtype=np.float32, casting="unsafe")
            for row in others[1:]:
                np.add(total, row, out=total, casting="unsafe")
            total *= np.float32(1.0 / self.channels)
        return self._scaled(total[np.newaxis])

    def clear(self) -> None:
        """Forget what was laid down."""
        self.filled = 0
        for parts in self._planes:
            parts.clear()

    def _rows(self) -> list[npt.NDArray[Any]]:
        """The channels as stored, each (n,)."""
        joined = [np.frombuffer(b"".join(parts), self._kind) for parts in self._planes]
        if len(joined) == self.channels:
            return joined
        return list(joined[0].reshape(self.filled, self.channels).T)

    def _scaled(self, values: FloatArray) -> FloatArray:
        if self._zero:
            values -= np.float32(self._zero)
        if self._full_scale != 1.0:
            values *= np.float32(1.0 / self._full_scale)
        return values


@dataclass
class SoundLine:
    """Where each frame belongs on the file's clock, in samples of the native rate."""

    rate: int
    tick: Fraction
    zero_seconds: float
    duration_seconds: float | None
    tally: Tally
    _next: int | None = None

    def __post_init__(self) -> None:
        """Fractions are too slow to meet once per frame."""
        self._numerator = self.tick.numerator * self.rate
        self._denominator = self.tick.denominator
        self._zero = round(self.zero_seconds * self.rate)
        self._jitter = round(JITTER_SECONDS * self.rate)
        self._resync = round(max(RESYNC_SECONDS, float(self.tick)) * self.rate)

    def place(self, pts: int | None, count: int) -> int:
        """The index of a frame's first sample: where the last frame ended, unless the timestamps firmly differ."""
        expected = self._next
        if pts is None:
            begin = expected or 0
        else:
            stamped = (pts * self._numerator + self._denominator // 2) // self._denominator - self._zero
            if expected is None:
                begin = self._first(stamped)
            elif stamped - expected > self._resync:
                begin = self._following(stamped, expected)
            else:
                begin = expected
                self.tally.resync = False
        self._next = begin + count
        return begin

    def _first(self, stamped: int) -> int:
        """Where the sound begins; less than one tick of the container's clock is no delay."""
        near = abs(stamped) * self._denominator <= self._numerator
        return 0 if near or not self._believable(stamped, 0) else stamped

    def _following(self, stamped: int, expected: int) -> int:
        """Where a later frame begins: only a clear jump ahead moves it, and after damage any step ahead."""
        ahead = stamped - expected
        tolerance = self._resync if self.tally.resync else self._jitter
        self.tally.resync = False
        return stamped if ahead > tolerance and self._believable(stamped, expected) else expected

    def _believable(self, index: int, expected: int) -> bool:
        """Whether a jump to this index can be meant: within the stated length, or not far."""
        if self.duration_seconds is not None and index <= (self.duration_seconds + 1.0) * self.rate:
            return True
        return index - expected <= MAX_GAP_SECONDS * self.rate


@dataclass
class LineReader:
    """Frames in; the samples of a window [begin, stop) of the native clock out, in order and without holes.

    Silence stands where the file has none; nothing is added after the last sample. padding_from: where the header says
    that the sound ends (None: unknown); what little comes after it is the codec's padding and is cut.
    """

    line: SoundLine
    window: tuple[int, int]
    mono: bool
    padding_from: int | None = None
    seen: SoundSeen = field(default_factory=SoundSeen)

    def blocks(self, frames: Iterator[AudioFrame]) -> Iterator[FloatArray]:
        """Blocks float32 (1 or channels, n), together at most the window."""
        position, stop = self.window
        raw: RawBlock | None = None
        channels = 1
        for frame, begin, end in self._placed(frames):
            if begin == position and end < stop and raw is not None and raw.takes(frame, end - begin):
                position = end  # as nearly always
                continue
            if raw is None:
                channels = 1 if self.mono else frame.layout.nb_channels
            elif raw.filled:
                yield self._finished(raw, channels)
            first, last = max(begin, position), min(end, stop)
            yield from _silence(channels, min(first, stop) - position)
            position = max(position, min(first, stop))
            raw = RawBlock(frame)
            if first < last:
                raw.append(frame, first - begin, last - begin)
                position = last
            if begin >= stop or end > stop:
                break
        if raw is not None and raw.filled:
            yield self._finished(raw, channels)

    def _placed(self, frames: Iterator[AudioFrame]) -> Iterator[tuple[AudioFrame, int, int]]:
        """Frames with their begin and end on the line, the codec's padding cut off."""
        seen, padding_from = self.seen, self.padding_from
        held: list[tuple[AudioFrame, int, int]] = []
        for frame in frames:
            begin = self.line.place(frame.pts, frame.samples)
            end = begin + frame.samples
            if seen.first_index is None:
                seen.first_index = begin
            elif begin > seen.end_index:
                seen.silence_samples += begin - seen.end_index
            seen.end_index = end
            if padding_from is None or end <= padding_from:
                yield frame, begin, end
                continue
            held.append((frame, begin, end))
            if end > padding_from + CODEC_PADDING_SECONDS * self.line.rate:  # more than padding: the header is wrong
                padding_from = None
                yield from held
                held = []
        for frame, begin, end in held:
            seen.end_index = padding_from = padding_from or end
            if begin < padding_from:
                yield frame, begin, min(end, padding_from)

    def _finished(self, raw: RawBlock, channels: int) -> FloatArray:
        """A block's samples, finite, in the wanted number of channels; their peak is remembered."""
        alike = raw.channels == channels
        values = raw.stacked() if alike and channels > 1 else raw.mean()
        peak = peak_of(values)
        if not peak <= MAX_OVERSHOOT:  # also true for NaN
            values, mended = mend(raw.stacked())
            self.seen.mended_samples += mended
            values = values if alike else values.mean(axis=0, keepdims=True)
            peak = peak_of(values)
        self.seen.peak = max(self.seen.peak, peak)
        raw.clear()
        return np.repeat(values, channels, axis=0) if len(values) < channels else values


def peak_of(values: FloatArray) -> float:
    """The largest magnitude; NaN if there is one."""
    return max(float(values.max()), -float(values.min())) if values.size else 0.0


def mend(values: FloatArray) -> tuple[FloatArray, int]:
    """The same samples, finite, and how many were not: NaN and infinity become silence, absurd numbers full scale."""
    finite = np.isfinite(values)
    absurd = ~finite | (np.abs(np.where(finite, values, 0.0)) > MAX_OVERSHOOT)
    mended = np.where(absurd, np.clip(np.where(finite, values, 0.0), -1.0, 1.0), values)
    return mended.astype(np.float32), int(np.count_nonzero(absurd))


def at_one_rate(frames: Iterator[AudioFrame], rate: int, seen: SoundSeen) -> Iterator[AudioFrame]:
    """The same frames, those of another rate resampled (streams joined end to end may change in the middle)."""
    bridge: _RateBridge | None = None
    for frame in frames:
        if bridge is None and frame.sample_rate == rate:
            yield frame
            continue
        seen.rate_changed = True
        bridge = bridge or _RateBridge(rate)
        yield from bridge.resample(frame)
    if bridge is not None:
        yield from bridge.flush()


class _RateBridge:
    """Brings frames of any rate to one rate; they lose their timestamps and follow the frames before them."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._kind: tuple[int, str, int] | None = None
        self._resampler: AudioResampler | None = None

    def resample(self, frame: AudioFrame) -> list[AudioFrame]:
        """What is ready once this frame is in."""
        kind = (frame.sample_rate, frame.format.name, frame.layout.nb_channels)
        if kind == self._kind:
            return self._converted(frame)
        rest = self.flush()
        self._kind, self._resampler = kind, None
        if frame.sample_rate != self._rate:
            self._resampler = AudioResampler(frame.format, frame.layout, self._rate)
        return rest + self._converted(frame)

    def flush(self) -> list[AudioFrame]:
        """What was held back."""
        return self._converted(None) if self._resampler is not None else []

    def _converted(self, frame: AudioFrame | None) -> list[AudioFrame]:
        if self._resampler is None:
            return [frame] if frame is not None else []
        try:
            frames = self._resampler.resample(frame)
        except (av.FFmpegError, ValueError):  # a layout that cannot be converted is as good as lost
            return []
        for converted in frames:
            converted.pts = None
        return frames


def _silence(channels: int, count: int) -> Iterator[FloatArray]:
    """Zeros (channels, count) in blocks, so that a long gap costs no more memory than a short one."""
    for begin in range(0, count, BLOCK_SAMPLES):
        yield np.zeros((channels, min(BLOCK_SAMPLES, count - begin)), np.float32)
