"""A sound as it is kept while a file is read: short ones as they are, long ones in packed pieces.

    add ─▶ |float32|float32| ... beyond PLAIN_SECONDS ─▶ |FLAC|FLAC|FLAC|...          ten minutes: 53 MB as float32, about 10 packed

Prepared shards hold 16 bits too, so nothing is lost that they would have kept.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soundfile

from ffdv.records import FloatArray, Samples

PLAIN_SECONDS = 60.0  # 5 MB; a shorter sound is not worth packing
INT16_FULL_SCALE = 32767
# Between libFLAC's levels 5 and 8 the size falls by 3 % while encoding takes twice as long (docs/decisions/0005).
FLAC_LEVEL = 0.625


@dataclass(frozen=True)
class _Packed:
    """16-bit samples as FLAC, to be multiplied by scale."""

    blob: bytes
    scale: float
    rate: int

    def values(self) -> FloatArray:
        integers = soundfile.read(io.BytesIO(self.blob), dtype="int16")[0]
        values: FloatArray = integers.astype(np.float32)
        values *= np.float32(self.scale / INT16_FULL_SCALE)
        return values


class KeptSound:
    """A mono sound that grows at its end; `start_seconds` on the file's clock, `peak` its largest magnitude."""

    def __init__(self, rate: int, start_seconds: float = 0.0) -> None:
        self.rate = rate
        self.start_seconds = start_seconds
        self.peak = 0.0
        self.num_samples = 0
        self._pieces: list[FloatArray | _Packed] = []

    @classmethod
    def of(cls, sound: Samples) -> KeptSound:
        """The mean of a sound's channels, as one piece that is not packed."""
        kept = cls(sound.rate, sound.start_seconds)
        mono = sound.mono()
        kept.num_samples, kept.peak = len(mono), _peak(mono)
        kept._pieces = [mono]
        return kept

    @property
    def duration_seconds(self) -> float:
        """How long it is."""
        return self.num_samples / self.rate

    def add(self, values: FloatArray) -> None:
        """Lay float32 (n,) behind what is there; the array is kept, not copied, as long as the sound is short."""
        if not len(values):
            return
        self.num_samples += len(values)
        self.peak = max(self.peak, _peak(values))
        self._pieces.append(values)
        if self.duration_seconds > PLAIN_SECONDS:
            self._pieces = [_packed(piece, self.rate) for piece in self._pieces]

    def pieces(self) -> Iterator[FloatArray]:
        """The sound in order, float32 (n,) each."""
        for piece in self._pieces:
            yield piece.values() if isinstance(piece, _Packed) else piece

    def samples(self) -> Samples:
        """All of it at once, (1, n)."""
        values = np.empty((1, self.num_samples), np.float32)
        position = 0
        for piece in self.pieces():
            values[0, position : position + len(piece)] = piece
            position += len(piece)
        return Samples(values, self.rate, self.start_seconds)


def to_int16(values: FloatArray, scale: float) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """float32 (n,) in [-scale, scale] as 16-bit integers."""
    return np.asarray(np.rint(values * np.float32(INT16_FULL_SCALE / scale)), np.int16)


def scale_of(peak: float) -> float:
    """What 16-bit samples are to be multiplied by: sound beyond full scale is scaled into it, never clipped."""
    return float(np.float32(max(1.0, peak)))


def _packed(piece: FloatArray | _Packed, rate: int) -> _Packed:
    if isinstance(piece, _Packed):
        return piece
    scale = scale_of(_peak(piece))
    sink = io.BytesIO()
    soundfile.write(sink, to_int16(piece, scale), rate, format="FLAC", subtype="PCM_16", compression_level=FLAC_LEVEL)
    return _Packed(sink.getvalue(), scale, rate)


def _peak(values: FloatArray) -> float:
    return max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))
