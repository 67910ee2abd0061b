"""A file's sound and pictures by time, in bounded memory. Ranges are half-open, on the file's clock.

The clock starts at the file's earliest timestamp. The sample at t seconds is the first that
read_samples(start_seconds=t) returns; before a sound track begins, and in its holes, there is silence.

    file's clock   0         1         2         3
    picture        |A . B . C . D . E . F . G . H|
    sound                |~~~~~~~~~|    |~~~~~~~~~~~|      a late start and a hole
    read_samples   ......|~~~~~~~~~|....|~~~~~~~~~~~|      what is returned: dots are zeros, nothing after the end
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from ffdv.errors import MediaLimit
from ffdv.media.decode import Tally
from ffdv.media.forward import ForwardTrack, PictureClock
from ffdv.media.limits import Limits
from ffdv.media.opened import Media, open_media
from ffdv.media.picture import Shown, Upright, every_frame, frames_at, moments_between
from ffdv.media.probe import SHORT_SOUND_SECONDS, short_sound_note
from ffdv.media.resample import Resampling, grid_window, in_blocks, resampled
from ffdv.media.sound import SILENT_PEAK, SoundSeen
from ffdv.media.soundtrack import SoundTrack
from ffdv.media.tracks import choose_picture, choose_sound
from ffdv.records import Frame, PictureFacts, Samples

__all__ = ["Limits", "Media", "iter_samples", "open_media", "read_frames", "read_samples"]

# What the header promises and the file lacks is told from here on; less is rounding.
TRUNCATED_SECONDS = 0.5
# Below this a late start of the sound is not visible to a viewer, and common.
LATE_SECONDS = 0.1
UNKNOWN_FPS = 25.0


def read_samples(
    media: Media,
    *,
    rate: int | None = None,
    start_seconds: float = 0.0,
    stop_seconds: float | None = None,
    mono: bool = True,
) -> Samples:
    """The sound of [start, stop) seconds at `rate` Hz (None: as stored), values (1 or channels, n).

    At most limits.max_seconds are read, with a `limited` note. A range behind the end gives n = 0.
    Raises StreamMissing (no sound track, or an empty one) or MediaDamaged.
    """
    facts = choose_sound(media)
    blocks = list(iter_samples(media, rate=rate, start_seconds=start_seconds, stop_seconds=stop_seconds, mono=mono))
    if not blocks:
        nothing = np.zeros((1 if mono else max(1, facts.channels), 0), np.float32)
        return Samples(nothing, rate or facts.rate, start_seconds)
    if len(blocks) == 1:
        return blocks[0]
    values = np.concatenate([block.values for block in blocks], axis=1)
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
    """The same as read_samples, in blocks of block_seconds (the last may be shorter) and in bounded memory.

    Blocks follow each other without gap: each start_seconds is the end of the one before.
    """
    facts = choose_sound(media)
    stop = media.stop_within_limits(start_seconds, stop_seconds)
    with media.container_at_start() as container:
        track = SoundTrack(media, container, facts, start_seconds=start_seconds, stop_seconds=stop)
        if track.rate is not None:
            wanted = rate or track.rate
            plan = Resampling(track.rate, wanted, *grid_window(start_seconds, stop, wanted))
            position = plan.first
            parts = resampled(track.blocks(plan.native_window, mono=mono), plan)
            for values in in_blocks(parts, max(1, round(block_seconds * wanted))):
                yield Samples(values, wanted, position / wanted)
                position += values.shape[1]
    media.check_damage(track.tally, "sound")
    _note_sound(media, track, start_seconds=start_seconds, stop_seconds=stop_seconds)


def _note_sound(media: Media, track: SoundTrack, *, start_seconds: float, stop_seconds: float | None) -> None:
    """Tell what was special about the sound that was read."""
    seen, rate = track.seen, track.rate or 1
    end_seconds = seen.end_index / rate
    stop = media.stop_within_limits(start_seconds, stop_seconds)
    media.note_limit(track.tally, "sound", seen_seconds=end_seconds, stop=stop, asked_stop=stop_seconds)
    if track.missing_seconds > TRUNCATED_SECONDS:
        text = f"the sound ends {track.missing_seconds:.1f} s before the length in the header; the file seems cut off"
        media.note("truncated", text, sense="sound")
    if track.tally.ended and end_seconds < SHORT_SOUND_SECONDS:
        media.note("short_sound", short_sound_note(end_seconds).text)
    if seen.mended_samples:
        text = f"{seen.mended_samples} samples were not finite or far beyond full scale and were mended"
        media.note("sanitised", text)
    for code, text in _line_notes(seen, rate):
        media.note(code, text)


def _line_notes(seen: SoundSeen, rate: int) -> Iterator[tuple[str, str]]:
    if (seen.first_index or 0) > LATE_SECONDS * rate:
        yield "late_sound", f"the sound begins at {(seen.first_index or 0) / rate:.2f} s; before it there is silence"
    if seen.silence_samples:
        yield "sound_gap", f"{seen.silence_samples / rate:.2f} s of the sound are missing and were filled with silence"
    if seen.rate_changed:
        yield "rate_change", f"the sampling rate changes within the file; all of it is read at {rate} Hz"
    if seen.peak < SILENT_PEAK:
        yield "silent_sound", "the sound is silent"


def read_frames(
    media: Media, *, fps: float | None = None, start_seconds: float = 0.0, stop_seconds: float | None = None
) -> Iterator[Frame]:
    """Upright RGB pictures of [start, stop) seconds: every frame (fps None), or the one that is seen at each k/fps.

    A frame's seconds are when it begins, or k/fps. Sizes may change within a file (a note says so).
    Raises StreamMissing (no picture track, or an empty one), MediaDamaged, or MediaLimit (beyond max_side).
    """
    if fps is not None and not fps > 0:
        raise ValueError(f"fps must be positive or None (every frame), got {fps}")
    facts = choose_picture(media)
    _check_size(media, facts.width, facts.height)
    stop = media.stop_within_limits(start_seconds, stop_seconds)
    with media.container_at_start() as container:
        tally = Tally(clock=media.clock)
        clock = _picture_clock(media, container, facts)
        stream = _picture_stream(media, container, facts)
        track = ForwardTrack(container, stream, clock, tally, media.budget_seconds(stop))
        track.ask(start_seconds)
        upright = Upright(facts.sample_aspect, media.limits.max_side, media.threads)
        sizes = set()
        for seconds, frame in _asked(track, clock, fps, start_seconds, stop):
            _check_size(media, frame.width, frame.height)
            sizes.add((frame.width, frame.height))
            yield Frame(upright.pixels(frame), seconds)
    media.check_damage(tally, "picture")
    end_seconds = clock.now or 0.0
    media.note_limit(tally, "picture", seen_seconds=end_seconds, stop=stop, asked_stop=stop_seconds)
    if len(sizes) > 1:
        text = ", ".join(f"{width}x{height}" for width, height in sorted(sizes))
        media.note("size_change", f"the picture changes its size within the file ({text})")


def _asked(
    track: ForwardTrack, clock: PictureClock, fps: float | None, start_seconds: float, stop_seconds: float
) -> Iterator[Shown]:
    """The frames that the caller wants."""
    if fps is None:
        return every_frame(track.shown(), start_seconds, stop_seconds)
    # Half a tick is how far rounding moves a timestamp: 66.7 ms is stored as 67 in containers that count milliseconds.
    tolerance = min(float(clock.tick) / 2 + 1e-6, clock.interval_seconds / 2)
    return frames_at(
        track.shown(),
        moments_between(start_seconds, stop_seconds, fps),
        fps,
        end_seconds=lambda: clock.end_seconds,
        tolerance_seconds=tolerance,
        ask=track.ask,
    )


def _picture_clock(media: Media, container: InputContainer, facts: PictureFacts) -> PictureClock:
    tick = cast("Fraction", container.streams[facts.index].time_base)
    return PictureClock(tick, media.zero_seconds, 1.0 / (facts.fps or UNKNOWN_FPS), media.facts.duration_seconds)


def _picture_stream(media: Media, container: InputContainer, facts: PictureFacts) -> VideoStream:
    """The stream, its decoder bounded in pixels (that option must be set on the codec, opening ignores it)."""
    stream = cast("VideoStream", container.streams[facts.index])
    stream.thread_type = "AUTO"
    stream.thread_count = media.threads
    stream.codec_context.options = {"max_pixels": str(media.limits.max_side**2)}
    return stream


def _check_size(media: Media, width: int, height: int) -> None:
    most = media.limits.max_side
    if max(width, height) > most:
        raise MediaLimit(
            media.path, f"the picture has {width}x{height} pixels, max_side is {most}; raise the limit or scale it down"
        )
