"""A sound as it is kept while a file is read: its last minute as it is, the minutes before it packed.

    add ─▶ |FLAC|FLAC|float32|float32| ...          ten minutes: 53 MB as float32, about 15 packed

Prepared shards hold 16 bits too, and the same minutes, so nothing is lost that they would have kept and nothing is encoded twice.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import soundfile

from ffdv.records import FloatArray, Samples

PLAIN_SECONDS = 60.0  # 5 MB; a shorter sound is not worth packing
INT16_FULL_SCALE = 32767
# Between libFLAC's levels 5 and 8 the size falls by 3 % while encoding takes twice as long (docs/decisions/0005).
FLAC_LEVEL = 0.625
ENCODED_AT_ONCE = 1 << 18  # samples: 12 s

IntegerArray = np.ndarray[tuple[int], np.dtype[np.int16]]


@dataclass(frozen=True)
class Stretch:
    """At most PLAIN_SECONDS of a sound as 16 bits, to be multiplied by scale; start_seconds on the file's clock.

    Packed as FLAC, or still as float32 in pieces.
    """

    rate: int
    start_seconds: float
    num_samples: int
    scale: float
    blob: bytes | None = None
    plain: tuple[FloatArray, ...] = ()

    def flac(self) -> bytes:
        """The samples as a FLAC file."""
        return self.blob if self.blob is not None else _flac(self._parts(), self.rate)

    def integers(self) -> IntegerArray:
        """The samples as 16-bit integers (num_samples,)."""
        if self.blob is not None:
            return np.asarray(soundfile.read(io.BytesIO(self.blob), dtype="int16")[0], np.int16)
        return np.concatenate([np.zeros(0, np.int16), *self._parts()])

    def values(self) -> Iterator[FloatArray]:
        """The samples as float32 (n,), in pieces."""
        if self.blob is None:
            yield from self.plain
        else:
            yield to_float(self.integers(), self.scale)

    def packed(self) -> Stretch:
        """The same, small."""
        return Stretch(self.rate, self.start_seconds, self.num_samples, self.scale, self.flac())

    def _parts(self) -> Iterator[IntegerArray]:
        for piece in self.plain:
            for first in range(0, len(piece), ENCODED_AT_ONCE):
                yield to_int16(piece[first : first + ENCODED_AT_ONCE], self.scale)


class KeptSound:
    """A mono sound that grows at its end; `start_seconds` on the file's clock, `peak` its largest magnitude."""

    def __init__(self, rate: int, start_seconds: float = 0.0) -> None:
        self.rate = rate
        self.start_seconds = start_seconds
        self.peak = 0.0
        self.num_samples = 0
        self._packed: list[Stretch] = []
        self._plain: list[FloatArray] = []
        self._minute = round(PLAIN_SECONDS * rate)

    @classmethod
    def of(cls, sound: Samples) -> KeptSound:
        """The mean of a sound's channels."""
        kept = cls(sound.rate, sound.start_seconds)
        kept.add(sound.mono())
        return kept

    @property
    def duration_seconds(self) -> float:
        """How long it is."""
        return self.num_samples / self.rate

    def add(self, values: FloatArray) -> None:
        """Lay float32 (n,) behind what is there; the array is kept, not copied, until its minute is full."""
        while len(values):
            room = (len(self._packed) + 1) * self._minute - self.num_samples
            if not room:
                self._packed.append(self._last().packed())
                self._plain = []
                continue
            self._plain.append(values[:room])
            self.num_samples += len(self._plain[-1])
            self.peak = max(self.peak, _peak(self._plain[-1]))
            values = values[room:]

    def stretches(self) -> Iterator[Stretch]:
        """The sound in order: each full minute, then what is left; they do not depend on how the sound was added."""
        yield from self._packed
        if self._plain:
            yield self._last()

    def samples(self) -> Samples:
        """All of it at once, (1, n)."""
        values = np.empty((1, self.num_samples), np.float32)
        position = 0
        for stretch in self.stretches():
            for piece in stretch.values():
                values[0, position : position + len(piece)] = piece
                position += len(piece)
        return Samples(values, self.rate, self.start_seconds)

    def _last(self) -> Stretch:
        """What is not packed yet."""
        before = len(self._packed) * self._minute
        scale = scale_of(max(map(_peak, self._plain)))
        start = self.start_seconds + before / self.rate
        return Stretch(self.rate, start, self.num_samples - before, scale, plain=tuple(self._plain))


def to_int16(values: FloatArray, scale: float) -> IntegerArray:
    """float32 (n,) in [-scale, scale] as 16-bit integers."""
    return np.asarray(np.rint(values * np.float32(INT16_FULL_SCALE / scale)), np.int16)


def to_float(integers: IntegerArray, scale: float) -> FloatArray:
    """16-bit integers (n,) as float32 in [-scale, scale]."""
    values: FloatArray = integers.astype(np.float32)
    values *= np.float32(scale / INT16_FULL_SCALE)
    return values


def scale_of(peak: float) -> float:
    """What 16-bit samples are to be multiplied by: sound beyond full scale is scaled into it, never clipped."""
    return float(np.float32(max(1.0, peak)))


def _flac(parts: Iterable[IntegerArray], rate: int) -> bytes:
    sink = io.BytesIO()
    with soundfile.SoundFile(sink, "w", rate, 1, "PCM_16", format="FLAC", compression_level=FLAC_LEVEL) as file:
        for part in parts:
            file.write(part)
    return sink.getvalue()


def _peak(values: FloatArray) -> float:
    return max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))
