"""Sound and pictures to a media file: for tests, the demo, and re-encoding. The same input gives the same bytes."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import soxr
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec import Codec
from av.codec.codec import UnknownCodecError
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ffdv.records import FloatArray, PixelArray, Samples
from ffdv.svt import kept_priority

Options = Mapping[str, str]
# When its content plays, and the packets: what the multiplexer needs to lay tracks beside each other.
Track = Iterator[tuple[float, "Sequence[Packet[Any]]"]]


@dataclass(frozen=True)
class Container:
    """A container format, and the codecs that it takes when none is asked for (video None: it holds sound only)."""

    name: str
    video_codec: str | None
    audio_codec: str


CONTAINERS = {
    ".mp4": Container("mp4", "libx264", "aac"),
    ".mov": Container("mov", "libx264", "aac"),
    ".mkv": Container("matroska", "libx264", "aac"),
    ".webm": Container("webm", "libvpx-vp9", "libopus"),
    ".avi": Container("avi", "libx264", "libmp3lame"),
    ".ts": Container("mpegts", "libx264", "aac"),
    ".m4a": Container("ipod", None, "aac"),
    ".mka": Container("matroska", None, "aac"),
    ".wav": Container("wav", None, "pcm_s16le"),
    ".flac": Container("flac", None, "flac"),
    ".mp3": Container("mp3", None, "libmp3lame"),
    ".opus": Container("ogg", None, "libopus"),
    ".ogg": Container("ogg", None, "libopus"),
}

# One thread each: encoders cut their work by threads, so another machine would give other bytes.
ONE_THREAD = {
    "libx265": {"x265-params": "pools=none:frame-threads=1:log-level=none"},
    "libsvtav1": {"svtav1-params": "lp=1"},
    "libvpx-vp9": {"row-mt": "0", "deadline": "realtime", "cpu-used": "8"},
}

# The x265 inside PyAV 18.1 corrupts memory and ends the process for pictures 40 or 48 pixels wide; from 64 on it does not.
LEAST_WIDTH = {"libx265": 64}

LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
CHUNK_SAMPLES = 1024
BITEXACT_CODEC = int(av.codec.context.Flags.bitexact.value)
BITEXACT_CONTAINER = cast("int", av.container.Flags.bitexact.value)


def write_media(
    path: Path | str,
    *,
    sound: Samples | None = None,
    frames: Iterable[PixelArray] | None = None,
    fps: float = 25.0,
    video_codec: str | None = None,
    audio_codec: str | None = None,
    tags: Options | None = None,
    video_bit_rate: int | None = None,
    audio_bit_rate: int | None = None,
    pixel_format: str = "yuv420p",
    video_options: Options | None = None,
    audio_options: Options | None = None,
    container_options: Options | None = None,
    picture_start_seconds: float = 0.0,
) -> Path:
    """Write sound (channels, n) and/or pictures uint8 (height, width, 3) RGB; the suffix names the container.

    Codecs (FFmpeg's encoder names) default to the container's usual ones: mp4 libx264 and aac, webm libvpx-vp9 and
    libopus, wav pcm_s16le ... A codec that does not take the sound's rate gets the nearest higher one that it takes.
    sound.start_seconds and picture_start_seconds place the tracks in time. Frames are taken one at a time.
    The file appears whole or not at all: it is written under another name beside its place, then renamed.
    Raises ValueError for an unknown suffix or codec, nothing to write, or what the codec cannot take.
    """
    target = Path(path)
    kind = _container_for(target)
    if sound is None and frames is None:
        raise ValueError(f"{target.name}: nothing to write; give sound, frames or both")
    if frames is not None and kind.video_codec is None:
        raise ValueError(f"{target.name}: {target.suffix} holds sound only; choose .mp4, .mkv or .webm for pictures")
    picture_codec, sound_codec = video_codec or kind.video_codec or "", audio_codec or kind.audio_codec
    pictures = None if frames is None else _first_and_rest(target, frames, picture_codec)
    for codec in [picture_codec] * (frames is not None) + [sound_codec] * (sound is not None):
        _check_encoder(target, codec)
    with _whole_or_not(target) as part, _opened(part, kind, container_options) as output:
        output.metadata.update(tags or {})
        tracks: list[Track] = []
        if pictures is not None:
            stream = _video_stream(output, picture_codec, fps=fps, bit_rate=video_bit_rate, options=video_options)
            stream.pix_fmt = pixel_format
            tracks.append(_encoded_frames(stream, pictures, fps, picture_start_seconds))
        if sound is not None:
            fitting = _at_rate_of(sound_codec, sound)
            tracks.append(_encoded_sound(output, sound_codec, fitting, bit_rate=audio_bit_rate, options=audio_options))
        _interleave(output, tracks)
    return target


@contextlib.contextmanager
def _whole_or_not(target: Path) -> Iterator[Path]:
    """Another name beside the target, that takes its place once all is written, and vanishes if anything fails."""
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".ffdv-", suffix=".part")
    os.close(handle)
    part = Path(temporary)
    try:
        yield part
        part.chmod(0o666 & ~_umask())
        part.replace(target)
    except av.FFmpegError as error:
        reason = f"cannot be encoded as asked ({error.strerror})"
        raise ValueError(f"{target.name}: {reason}; choose another codec, pixel format or size") from error
    finally:
        part.unlink(missing_ok=True)


def _opened(part: Path, kind: Container, options: Options | None) -> OutputContainer:
    output = av.open(str(part), "w", format=kind.name, container_options=dict(options or {}))
    output.flags |= BITEXACT_CONTAINER
    return output


def _container_for(target: Path) -> Container:
    kind = CONTAINERS.get(target.suffix.lower())
    if kind is None:
        raise ValueError(f"{target.name}: cannot write {target.suffix!r}; choose one of {', '.join(CONTAINERS)}")
    return kind


def _first_and_rest(target: Path, frames: Iterable[PixelArray], codec: str) -> Iterator[PixelArray]:
    """The frames, of which there must be one at least, and that large enough for the codec."""
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise ValueError(f"{target.name}: no frames came; give one at least, or None for sound alone")
    if first.shape[1] < LEAST_WIDTH.get(codec, 1):
        least = LEAST_WIDTH[codec]
        raise ValueError(
            f"{target.name}: {codec} takes pictures from {least} pixels wide, got {first.shape[1]}; use libx264"
        )
    return chain((first,), iterator)


def _check_encoder(target: Path, codec: str) -> None:
    try:
        Codec(codec, "w")
    except UnknownCodecError as error:
        names = "libx264, libx265, libvpx-vp9, libsvtav1; aac, libmp3lame, libopus, flac, pcm_s16le"
        raise ValueError(f"{target.name}: there is no encoder {codec!r}; choose one of {names}") from error


def _umask() -> int:
    """The process's file mask; it can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _interleave(output: OutputContainer, tracks: list[Track]) -> None:
    """Encode and mux the tracks in the order of their times, so that neither runs ahead in memory."""
    waiting = [(track, item) for track in tracks if (item := next(track, None)) is not None]
    while waiting:
        earliest = min(range(len(waiting)), key=lambda number: waiting[number][1][0])
        track, (_, packets) = waiting.pop(earliest)
        output.mux(packets)
        if (item := next(track, None)) is not None:
            waiting.append((track, item))


def _video_stream(
    output: OutputContainer, codec: str, *, fps: float, bit_rate: int | None, options: Options | None
) -> VideoStream:
    """A picture track; its size follows from the first frame."""
    rate = Fraction(fps).limit_denominator(1001)
    chosen = {**ONE_THREAD.get(codec, {}), **(options or {})}
    stream = cast("VideoStream", output.add_stream(codec, rate=rate, options=chosen))
    stream.codec_context.thread_count = 1
    stream.codec_context.flags |= BITEXACT_CODEC
    if bit_rate:
        stream.codec_context.bit_rate = bit_rate
    return stream


def _encoded_frames(stream: VideoStream, frames: Iterable[PixelArray], fps: float, start_seconds: float) -> Track:
    rate = Fraction(fps).limit_denominator(1001)
    first = round(start_seconds * fps)
    number = 0
    for number, pixels in enumerate(frames):
        if number == 0:
            stream.height, stream.width = pixels.shape[:2]
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts, frame.time_base = first + number, 1 / rate
        with kept_priority(stream.codec_context.name):
            packets = stream.encode(frame)
        yield (first + number) / fps, packets
    yield (first + number + 1) / fps, stream.encode(None)


def _at_rate_of(codec: str, sound: Samples) -> Samples:
    """The sound at a rate that the codec takes: its own, or the nearest higher one."""
    rates = Codec(codec, "w").audio_rates
    if not rates or sound.rate in rates:
        return sound
    rate = min((rate for rate in rates if rate > sound.rate), default=max(rates))
    values = soxr.resample(np.ascontiguousarray(sound.values.T), sound.rate, rate).T
    return Samples(np.ascontiguousarray(values, np.float32), rate, sound.start_seconds)


def _encoded_sound(
    output: OutputContainer, codec: str, sound: Samples, *, bit_rate: int | None, options: Options | None
) -> Track:
    layout = LAYOUTS[len(sound.values)]
    stream = cast("AudioStream", output.add_stream(codec, rate=sound.rate, options=dict(options or {}), layout=layout))
    stream.codec_context.flags |= BITEXACT_CODEC
    if bit_rate:
        stream.codec_context.bit_rate = bit_rate
    return _encoded_chunks(stream, sound, layout)


def _encoded_chunks(stream: AudioStream, sound: Samples, layout: str) -> Track:
    converter = AudioResampler(stream.codec_context.format, layout, sound.rate)
    first = round(sound.start_seconds * sound.rate)
    for begin in range(0, sound.num_samples, CHUNK_SAMPLES):
        frame = AudioFrame.from_ndarray(_packed(sound.values[:, begin : begin + CHUNK_SAMPLES]), "flt", layout)
        frame.sample_rate, frame.pts, frame.time_base = sound.rate, first + begin, Fraction(1, sound.rate)
        packets = [packet for converted in converter.resample(frame) for packet in stream.encode(converted)]
        yield (first + begin) / sound.rate, packets
    yield (first + sound.num_samples) / sound.rate, stream.encode(None)


def _packed(values: FloatArray) -> FloatArray:
    """(channels, n) as the (1, n * channels) of a packed frame."""
    return np.ascontiguousarray(values.T).reshape(1, -1)
