"""Sound and pictures to a media file: for tests, the demo, and re-encoding. The same input gives the same bytes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ffdv.records import PixelArray, Samples


@dataclass(frozen=True)
class _Container:
    """A container format and the codecs it takes when none is asked for (None: it holds no such track)."""

    name: str
    video_codec: str | None
    audio_codec: str


CONTAINERS = {
    ".mp4": _Container("mp4", "libx264", "aac"),
    ".mov": _Container("mov", "libx264", "aac"),
    ".mkv": _Container("matroska", "libx264", "aac"),
    ".avi": _Container("avi", "libx264", "libmp3lame"),
    ".ts": _Container("mpegts", "libx264", "aac"),
    ".webm": _Container("webm", "libvpx-vp9", "libopus"),
    ".m4a": _Container("ipod", None, "aac"),
    ".mka": _Container("matroska", None, "aac"),
    ".wav": _Container("wav", None, "pcm_s16le"),
    ".flac": _Container("flac", None, "flac"),
    ".mp3": _Container("mp3", None, "libmp3lame"),
    ".opus": _Container("ogg", None, "libopus"),
    ".ogg": _Container("ogg", None, "libopus"),
}

SOUND_CHUNK_SAMPLES = 1024


def write_media(
    path: Path | str,
    *,
    sound: Samples | None = None,
    frames: Iterable[PixelArray] | None = None,
    fps: float = 25.0,
    video_codec: str | None = None,
    audio_codec: str | None = None,
    tags: Mapping[str, str] | None = None,
    pixel_format: str = "yuv420p",
    video_options: Mapping[str, str] | None = None,
    audio_options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
    audio_bit_rate: int | None = None,
    video_bit_rate: int | None = None,
) -> Path:
    """Write sound (channels, n) and/or pictures uint8 (height, width, 3) RGB; the suffix names the container.

    Codecs default to the container's usual ones (mp4: libx264 and aac; webm: libvpx-vp9 and libopus; wav: pcm_s16le ...).
    The file appears whole or not at all: it is written under a temporary name beside its place, then renamed.
    Raises ValueError for an unknown suffix, for nothing to write, and for sizes that the codec cannot take.
    """
    target = Path(path)
    kind = CONTAINERS.get(target.suffix.lower())
    if kind is None:
        raise ValueError(f"{target.name}: cannot write {target.suffix!r}; choose one of {', '.join(CONTAINERS)}")
    if sound is None and frames is None:
        raise ValueError(f"{target.name}: nothing to write; give sound, frames or both")
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".ffdv-", suffix=".part")
    os.close(handle)
    try:
        with av.open(temporary, "w", format=kind.name, container_options=dict(container_options or {})) as container:
            container.flags |= av.container.Flags.bitexact.value
            container.metadata.update(tags or {})
            video = _video_track(
                container,
                frames,
                fps,
                video_codec or kind.video_codec or "libx264",
                pixel_format,
                video_bit_rate,
                dict(video_options or {}),
            )
            audio = _audio_track(
                container, sound, audio_codec or kind.audio_codec, audio_bit_rate, dict(audio_options or {})
            )
            _interleave(container, video, audio)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target


Track = Iterator[tuple[float, list[av.Packet]]]


def _interleave(container: OutputContainer, video: Track, audio: Track) -> None:
    """Mux both tracks in the order of their times."""
    waiting = [(track, item) for track in (video, audio) if (item := next(track, None)) is not None]
    while waiting:
        waiting.sort(key=lambda entry: entry[1][0])
        track, (_, packets) = waiting.pop(0)
        container.mux(packets)
        if (item := next(track, None)) is not None:
            waiting.append((track, item))


def _video_track(
    container: OutputContainer,
    frames: Iterable[PixelArray] | None,
    fps: float,
    codec: str,
    pixel_format: str,
    bit_rate: int | None,
    options: dict[str, str],
) -> Track:
    if frames is None:
        return
    rate = Fraction(fps).limit_denominator(1001)
    stream: VideoStream | None = None
    index = 0
    for index, pixels in enumerate(frames):
        if stream is None:
            stream = container.add_stream(codec, rate=rate, options=options)
            stream.height, stream.width = pixels.shape[:2]
            stream.pix_fmt = pixel_format
            stream.thread_count = 1
            stream.codec_context.flags |= av.codec.context.Flags.bitexact.value
            if bit_rate:
                stream.bit_rate = bit_rate
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts, frame.time_base = index, 1 / rate
        yield index / fps, stream.encode(frame)
    if stream is not None:
        yield (index + 1) / fps, stream.encode(None)


def _audio_track(
    container: OutputContainer, sound: Samples | None, codec: str, bit_rate: int | None, options: dict[str, str]
) -> Track:
    if sound is None:
        return
    layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[len(sound.values)]
    stream: AudioStream = container.add_stream(codec, rate=sound.rate, layout=layout, options=options)
    stream.codec_context.flags |= av.codec.context.Flags.bitexact.value
    if bit_rate:
        stream.bit_rate = bit_rate
    wanted = stream.codec_context.format
    offset = round(sound.start_seconds * sound.rate)
    resampler = av.AudioResampler(format=wanted, layout=layout, rate=sound.rate)
    for begin in range(0, sound.num_samples, SOUND_CHUNK_SAMPLES):
        chunk = np.ascontiguousarray(sound.values[:, begin : begin + SOUND_CHUNK_SAMPLES].T).reshape(1, -1)
        frame = AudioFrame.from_ndarray(chunk, format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = sound.rate, offset + begin, Fraction(1, sound.rate)
        for converted in resampler.resample(frame):
            yield (offset + begin) / sound.rate, stream.encode(converted)
    yield (offset + sound.num_samples) / sound.rate, stream.encode(None)
