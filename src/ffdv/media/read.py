"""A file's sound and pictures by time, in bounded memory: ranges are half-open, on the file's clock.

The clock starts at the file's earliest timestamp. The sample at t seconds is what read_samples(start_seconds=t)
returns first; where the file has no sound, there is silence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from ffdv.errors import MediaDamaged, MediaLimit, StreamMissing
from ffdv.media.decode import Tally, decode_track
from ffdv.media.limits import Limits
from ffdv.media.opened import Media, open_media
from ffdv.media.picture import frame_seconds, upright_rgb
from ffdv.media.sound import Resampling, Seen, SoundLine, grid_window, resampled, unbroken
from ffdv.records import FloatArray, Frame, PixelArray, Samples

__all__ = ["Limits", "Media", "iter_samples", "open_media", "read_frames", "read_samples"]

PRIMING_SECONDS = 0.1  # a start this little before zero is a codec's priming, which decoders drop


def read_samples(
    media: Media,
    *,
    rate: int | None = None,
    start_seconds: float = 0.0,
    stop_seconds: float | None = None,
    mono: bool = True,
) -> Samples:
    """The sound of [start, stop) seconds at `rate` Hz (None: as stored), float32 (1 or channels, n).

    Raises StreamMissing (no or empty sound track), MediaDamaged or MediaUnreadable. An empty range gives n = 0.
    """
    blocks = list(iter_samples(media, rate=rate, start_seconds=start_seconds, stop_seconds=stop_seconds, mono=mono))
    if not blocks:
        channels = 1 if mono else max(1, media.facts.sounds[0].channels)
        return Samples(np.zeros((channels, 0), np.float32), rate or media.facts.sounds[0].rate, start_seconds)
    values = np.concatenate([block.values for block in blocks], axis=1) if len(blocks) > 1 else blocks[0].values
    return Samples(values, blocks[0].rate, blocks[0].start_seconds)


def iter_samples(
    media: Media,
    *,
    rate: int | None = None,
    start_seconds: float = 0.0,
    stop_seconds: float | None = None,
    mono: bool = True,
    block_seconds: float = 10.0,
) -> Iterator[Samples]:
    """The same as read_samples in blocks of block_seconds (the last may be shorter), in bounded memory."""
    if not media.facts.has_sound:
        raise StreamMissing(media.path, "the file has no sound track; give one with sound")
    stop = _limited_stop(media, start_seconds, stop_seconds)
    with media.container_at_start() as container:
        stream = cast(AudioStream, container.streams[media.facts.sounds[0].index])
        tally, seen = Tally(), Seen()
        frames = cast(
            Iterator[AudioFrame],
            decode_track(container, stream, tally, budget_seconds=_budget(media, start_seconds, stop)),
        )
        first = next(frames, None)
        if first is None:
            raise _nothing(media, tally, "sound")
        native_rate = first.sample_rate
        wanted = rate or native_rate
        line = SoundLine(
            native_rate, cast(Fraction, stream.time_base), zero_seconds(container), media.facts.duration_seconds, tally
        )
        plan = Resampling(native_rate, wanted, *grid_window(start_seconds, stop, wanted))
        blocks = unbroken(_chain(first, frames), line, seen, window=plan.window, mono=mono)
        position = plan.first
        for values in _blocked(resampled(blocks, plan), max(1, round(block_seconds * wanted))):
            yield Samples(values, wanted, position / wanted)
            position += values.shape[1]
    _sound_notes(media, tally, seen, limited=seen.more and stop_seconds is None, stop=stop)


def _chain(first: AudioFrame, rest: Iterator[AudioFrame]) -> Iterator[AudioFrame]:
    yield first
    yield from rest


def _blocked(parts: Iterator[FloatArray], size: int) -> Iterator[FloatArray]:
    """The same samples in blocks of `size` per channel; the last may be shorter."""
    held: list[FloatArray] = []
    count = 0
    for part in parts:
        held.append(part)
        count += part.shape[1]
        while count >= size:
            joined = np.concatenate(held, axis=1)
            yield joined[:, :size]
            held, count = [joined[:, size:]], count - size
    if count:
        yield np.concatenate(held, axis=1)


def _limited_stop(media: Media, start_seconds: float, stop_seconds: float | None) -> float:
    most = start_seconds + media.limits.max_seconds
    return most if stop_seconds is None else min(stop_seconds, most)


def _budget(media: Media, start_seconds: float, stop_seconds: float) -> float:
    length = min(stop_seconds, media.facts.duration_seconds or math.inf)
    return media.limits.seconds_per_media_minute * max(1.0, length / 60.0)


def _nothing(media: Media, tally: Tally, sense: str) -> StreamMissing | MediaDamaged:
    if tally.damaged:
        return MediaDamaged(
            media.path, f"its {sense} track cannot be decoded ({tally.damaged} of {tally.packets} packets damaged)"
        )
    return StreamMissing(media.path, f"its {sense} track is empty")


def _sound_notes(media: Media, tally: Tally, seen: Seen, *, limited: bool, stop: float) -> None:
    if tally.damaged:
        media.note("damaged", f"{100 * tally.damage_share:.1f} % of the sound is damaged")
    if seen.mended_samples:
        media.note(
            "sanitised", f"{seen.mended_samples} samples were not numbers or far beyond full scale and were mended"
        )
    if limited:
        media.note("limited", f"looked at the first {stop / 60:.4g} minutes of sound")


def zero_seconds(container: InputContainer) -> float:
    """Where the file's clock starts, in the container's own seconds: its earliest timestamp."""
    start = (container.start_time or 0) / av.time_base
    return 0.0 if -PRIMING_SECONDS < start < 0 else start


def read_frames(
    media: Media, *, fps: float | None = None, start_seconds: float = 0.0, stop_seconds: float | None = None
) -> Iterator[Frame]:
    """Upright RGB pictures of [start, stop) seconds: every frame (fps None), or the one shown at each k/fps.

    Raises StreamMissing (no or empty picture track), MediaDamaged, or MediaLimit (larger than max_side).
    """
    if not media.facts.has_picture:
        raise StreamMissing(media.path, "the file has no moving picture; give a video")
    stop = _limited_stop(media, start_seconds, stop_seconds)
    with media.container_at_start() as container:
        facts = media.facts.pictures[0]
        if max(facts.width, facts.height) > media.limits.max_side:
            raise MediaLimit(
                media.path,
                f"the picture is {facts.width}x{facts.height}, the limit max_side is {media.limits.max_side}",
            )
        stream = cast(VideoStream, container.streams[facts.index])
        stream.thread_type = "AUTO"  # type: ignore[assignment]
        stream.codec_context.options = {"max_pixels": str(media.limits.max_side**2)}
        tally = Tally()
        frames = cast(
            Iterator[VideoFrame],
            decode_track(container, stream, tally, budget_seconds=_budget(media, start_seconds, stop)),
        )
        reformatter = VideoReformatter()

        def pixels(frame: VideoFrame) -> PixelArray:
            return upright_rgb(frame, reformatter, facts.sample_aspect)

        zero, tick = zero_seconds(container), cast(Fraction, stream.time_base)
        interval = 1.0 / facts.fps if facts.fps else 0.04
        last: VideoFrame | None = None
        clock = -interval
        k = math.ceil(round(start_seconds * (fps or 1), 6))
        for frame in frames:
            seconds = frame_seconds(frame, tick, zero)
            clock = max(clock, seconds) if seconds is not None else clock + interval
            if fps is None:
                if clock >= stop:
                    break
                if clock >= start_seconds:
                    yield Frame(pixels(frame), clock)
                continue
            while last is not None and k / fps < min(clock, stop):
                yield Frame(pixels(last), k / fps)
                k += 1
            last = frame
            if clock >= stop:
                break
        if fps is not None and last is not None:
            while k / fps < min(clock + interval, stop):
                yield Frame(pixels(last), k / fps)
                k += 1
        if not tally.frames:
            raise _nothing(media, tally, "picture")
        if tally.damaged:
            media.note("damaged", f"{100 * tally.damage_share:.1f} % of the picture is damaged")
