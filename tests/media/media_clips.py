"""Small made-up sounds and pictures, and files that write_media does not make (uneven times, several tracks, covers)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from ffdv.records import PixelArray, Samples

RED, GREEN, BLUE, GREY = (250, 10, 10), (10, 240, 10), (10, 10, 250), (128, 128, 128)


def noise(seconds: float, rate: int = 44_100, *, channels: int = 1, level: float = 0.2, seed: int = 0) -> Samples:
    values = np.random.default_rng(seed).standard_normal((channels, round(seconds * rate)))
    return Samples((level * values).clip(-0.99, 0.99).astype(np.float32), rate)


def tone(seconds: float, rate: int = 44_100, *, hertz: float = 440.0, channels: int = 1, level: float = 0.5) -> Samples:
    wave = level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return Samples(np.repeat(wave[np.newaxis].astype(np.float32), channels, axis=0), rate)


def click(at_seconds: float, seconds: float = 2.0, rate: int = 44_100) -> Samples:
    """Silence with a 9 ms burst that is centred at one moment."""
    values = np.zeros((2, round(seconds * rate)), np.float32)
    length = 400
    begin = round(at_seconds * rate) - length // 2
    values[:, begin : begin + length] = 0.8 * np.hanning(length) * np.sin(2 * np.pi * 2000 * np.arange(length) / rate)
    return Samples(values, rate)


def quarters(height: int = 64, width: int = 96) -> PixelArray:
    """Red top left, green top right, blue bottom left, grey bottom right."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = RED
    pixels[: height // 2, width // 2 :] = GREEN
    pixels[height // 2 :, : width // 2] = BLUE
    pixels[height // 2 :, width // 2 :] = GREY
    return pixels


def numbered(count: int, height: int = 32, width: int = 48) -> list[PixelArray]:
    """Frames whose grey level is 3 times their number (up to 80 of them)."""
    return [np.full((height, width, 3), 3 * number, np.uint8) for number in range(count)]


def number_of(pixels: PixelArray) -> int:
    """Which of the numbered frames this is."""
    return round(float(pixels.mean()) / 3)


def write_timed(path: Path, frames: Sequence[PixelArray], milliseconds: Sequence[int]) -> Path:
    """A Matroska file whose frames begin at these milliseconds."""
    with av.open(str(path), "w", format="matroska") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "bgr0"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for pixels, time in zip(frames, milliseconds, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def write_sounds(path: Path, sounds: Sequence[Samples], *, gaps: Sequence[tuple[float, float]] = ()) -> Path:
    """A Matroska file with several PCM tracks; packets that begin in one of the gaps (seconds) are left out."""
    with av.open(str(path), "w", format="matroska") as output:
        streams = [output.add_stream("pcm_s16le", rate=sound.rate, layout="mono") for sound in sounds]
        for stream, sound in zip(streams, sounds, strict=True):
            whole = (sound.values * 32767).astype(np.int16)
            for begin in range(0, whole.shape[1], 441):
                if any(low <= begin / sound.rate < high for low, high in gaps):
                    continue
                frame = av.AudioFrame.from_ndarray(whole[:, begin : begin + 441], "s16", "mono")
                frame.sample_rate, frame.pts, frame.time_base = sound.rate, begin, Fraction(1, sound.rate)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    return path


def with_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """The same MP4 with another display matrix in its first track header (16.16 fixed point)."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    for place, value in ((0, a), (4, b), (12, c), (16, d)):
        content[at + place : at + place + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(content)
    return path
