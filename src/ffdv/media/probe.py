"""What is in a file by its headers: streams, codecs, length, rate, rotation; nothing is decoded for it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from ffdv.media.container import Demuxer, RegularFile, open_demuxer, regular_file
from ffdv.media.limits import Limits
from ffdv.records import MediaFacts, Note, PictureFacts, SoundFacts
from ffdv.sentences import Sentence

SHORT_SOUND_SECONDS = 0.1  # about one spectrogram window of 2048 samples at 22.05 kHz

UNKNOWN_CODEC = "unknown"  # FFmpeg has no decoder for the track
STILL_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails


def probe(path: Path | str, *, limits: Limits | None = None) -> MediaFacts:
    """Facts about a media file from its headers; an encrypted file is described, not refused.

    Rotation is told for MP4 and MOV alone (reading applies it whatever the container).
    Raises MediaNotFound, MediaUnreadable or MediaLimit.
    """
    bounds = limits or Limits()
    file = regular_file(path, bounds)
    with open_demuxer(file, bounds) as demuxer:
        return read_facts(demuxer, file)


def read_facts(demuxer: Demuxer, file: RegularFile) -> MediaFacts:
    """Facts about an opened file."""
    container, boxes = demuxer.container, demuxer.layout.boxes
    pictures = tuple(_picture_facts(demuxer, stream) for stream in moving_pictures(container))
    sounds = tuple(_sound_facts(demuxer, stream) for stream in container.streams.audio)
    encrypted = boxes.encrypted or any("enc_key_id" in stream.metadata for stream in container.streams)
    return MediaFacts(
        path=file.path,
        size_bytes=file.size_bytes,
        container=container.format.name,
        duration_seconds=_positive(container.duration, Fraction(1, av.time_base)),
        bit_rate=container.bit_rate or None,
        pictures=pictures,
        sounds=sounds,
        encrypted=encrypted,
        tags=dict(container.metadata),
        notes=tuple(_header_notes(container, pictures, sounds, encrypted=encrypted)),
    )


def moving_pictures(container: InputContainer) -> list[VideoStream]:
    """The picture tracks of an opened file, without cover art and thumbnails."""
    return [stream for stream in container.streams.video if not stream.disposition & STILL_PICTURES]


def short_sound(seconds: float) -> Sentence:
    """What the note on sound says that is too short to tell anything."""
    return Sentence("the sound lasts only {milliseconds:.0f} ms, too short to judge", milliseconds=1000 * seconds)


def _picture_facts(demuxer: Demuxer, stream: VideoStream) -> PictureFacts:
    context = stream.codec_context  # None where this FFmpeg has no decoder, whatever the types say
    return PictureFacts(
        index=stream.index,
        codec=context.codec.canonical_name if context else UNKNOWN_CODEC,
        width=context.width if context else 0,
        height=context.height if context else 0,
        fps=float(stream.average_rate) if stream.average_rate else None,
        pixel_format=context.pix_fmt if context else None,
        rotation=demuxer.layout.boxes.rotations.get(stream.id, 0),
        sample_aspect=float(stream.sample_aspect_ratio or 1) if context else 1.0,
        start_seconds=_seconds(stream.start_time, stream.time_base),
        duration_seconds=_positive(stream.duration, stream.time_base),
        bit_rate=demuxer.bit_rate(stream),
        num_frames=stream.frames or None,
        profile=stream.profile,
    )


def _sound_facts(demuxer: Demuxer, stream: AudioStream) -> SoundFacts:
    context = stream.codec_context
    return SoundFacts(
        index=stream.index,
        codec=context.codec.canonical_name if context else UNKNOWN_CODEC,
        rate=context.sample_rate if context else 0,
        channels=context.channels if context else 0,
        start_seconds=_seconds(stream.start_time, stream.time_base),
        duration_seconds=_positive(stream.duration, stream.time_base),
        bit_rate=demuxer.bit_rate(stream),
        profile=stream.profile,
    )


def _header_notes(
    container: InputContainer,
    pictures: tuple[PictureFacts, ...],
    sounds: tuple[SoundFacts, ...],
    *,
    encrypted: bool,
) -> list[Note]:
    """What the headers alone tell a user."""
    notes = []
    if encrypted:
        notes.append(Note("encrypted", Sentence("the tracks are encrypted; what a decoder returns would be noise")))
    if not sounds:
        notes.append(Note("no_sound", Sentence("the file has no sound track")))
    if not pictures:
        notes.append(Note("no_picture", Sentence("the file has no moving picture")))
    if len(pictures) < len(container.streams.video):
        notes.append(Note("cover_art", Sentence("a still cover picture is not taken for video")))
    lengths = [sound.duration_seconds for sound in sounds]
    if lengths and all(length is not None and length < SHORT_SOUND_SECONDS for length in lengths):
        notes.append(Note("short_sound", short_sound(max(length or 0.0 for length in lengths))))
    return notes


def _seconds(ticks: int | None, tick: Fraction | None) -> float | None:
    return None if ticks is None or tick is None else float(ticks * tick)


def _positive(ticks: int | None, tick: Fraction | None) -> float | None:
    seconds = _seconds(ticks, tick)
    return seconds if seconds is not None and seconds > 0 else None
