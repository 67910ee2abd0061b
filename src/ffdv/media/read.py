"""A file's sound and pictures by time, in bounded memory. Ranges are half-open, on the file's clock.

The clock starts at the file's earliest timestamp. The sample at t seconds is the first that
read_samples(start_seconds=t) returns; before a sound track begins, and in its holes, there is silence.

    file's clock   0         1         2         3
    picture        |A . B . C . D . E . F . G . H|
    sound                |~~~~~~~~~|    |~~~~~~~~~~~|      a late start and a hole
    read_samples   ......|~~~~~~~~~|....|~~~~~~~~~~~|      what is returned: dots are zeros, nothing after the end
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ffdv.errors import MediaLimit
from ffdv.media.limits import Limits
from ffdv.media.opened import TRUNCATED_SECONDS, Media, open_media
from ffdv.media.picture import Shown, Upright, every_frame, frames_at, moments_between
from ffdv.media.picturetrack import PictureTrack
from ffdv.media.probe import SHORT_SOUND_SECONDS, short_sound
from ffdv.media.resample import Resampling, grid_window, in_blocks, resampled
from ffdv.media.sound import SILENT_PEAK, SoundSeen
from ffdv.media.soundtrack import SoundTrack
from ffdv.media.tracks import check_sound, choose_picture, choose_sound
from ffdv.records import Frame, Samples
from ffdv.sentences import Sentence

__all__ = ["Limits", "Media", "iter_samples", "open_media", "read_frames", "read_samples"]

MOST_AT_ONCE_SECONDS = 60.0
MOST_VALUES_AT_ONCE = 1 << 25  # of all channels: 134 MB, ten seconds of 64 channels at 48 kHz
# Below this a late start of the sound is not visible to a viewer, and common.
LATE_SECONDS = 0.1


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
    Raises StreamMissing (no sound track, or an empty one), MediaDamaged or MediaLimit.
    """
    facts = choose_sound(media)
    blocks = list(
        iter_samples(
            media,
            rate=rate,
            start_seconds=start_seconds,
            stop_seconds=stop_seconds,
            mono=mono,
            block_seconds=_seconds_at_once(media, start_seconds, stop_seconds),
        )
    )
    if not blocks:
        nothing = np.zeros((1 if mono else max(1, facts.channels), 0), np.float32)
        return Samples(nothing, rate or facts.rate, start_seconds)
    if len(blocks) == 1:
        return blocks[0]
    values = np.concatenate([block.values for block in blocks], axis=1)
    return Samples(values, blocks[0].rate, blocks[0].start_seconds)


def _seconds_at_once(media: Media, start_seconds: float, stop_seconds: float | None) -> float:
    """Long enough for one block where the header tells the truth: joining several costs their memory twice."""
    stop = media.stop_within_limits(start_seconds, stop_seconds)
    expected = min(stop, media.facts.duration_seconds or stop) - start_seconds
    return min(MOST_AT_ONCE_SECONDS, max(0.0, expected) + TRUNCATED_SECONDS)


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

    Blocks follow each other without gap: each start_seconds is the end of the one before. Very many channels make them shorter.
    Raises as read_samples, and MediaLimit (more channels, or samples a second, than any recorder makes).
    """
    facts = choose_sound(media)
    stop = media.stop_within_limits(start_seconds, stop_seconds)
    with media.demuxer_at_start() as demuxer:
        track = SoundTrack(media, demuxer, facts, start_seconds=start_seconds, stop_seconds=stop)
        if track.rate is not None:
            check_sound(media, track.rate, facts.channels)
            wanted = rate or track.rate
            plan = Resampling(track.rate, wanted, *grid_window(start_seconds, stop, wanted))
            position = plan.first
            parts = resampled(track.blocks(plan.native_window, mono=mono), plan)
            most = MOST_VALUES_AT_ONCE // (1 if mono else max(1, facts.channels))
            for values in in_blocks(parts, max(1, min(round(block_seconds * wanted), most))):
                yield Samples(values, wanted, position / wanted)
                position += values.shape[1]
    media.check_damage(track.tally, "sound")
    _note_sound(media, track, start_seconds=start_seconds, stop_seconds=stop_seconds)


def _note_sound(media: Media, track: SoundTrack, *, start_seconds: float, stop_seconds: float | None) -> None:
    """Tell what was special about the sound that was read."""
    seen, rate = track.seen, track.rate or 1
    end_seconds = seen.end_index / rate
    stop = media.stop_within_limits(start_seconds, stop_seconds)
    cut_off = end_seconds > stop and stop != stop_seconds
    media.note_limit(track.tally, "sound", reached_seconds=min(end_seconds, stop), cut_off=cut_off)
    media.note_cut_off("sound", missing_seconds=track.missing_seconds)
    if track.tally.ended and end_seconds < SHORT_SOUND_SECONDS:
        media.note("short_sound", short_sound(end_seconds))
    if seen.mended_samples:
        text = Sentence(
            "{count} samples were not finite or far beyond full scale and were mended", count=seen.mended_samples
        )
        media.note("sanitised", text)
    for code, text in _line_notes(seen, rate, whole=start_seconds <= 0.0 and stop_seconds is None):
        media.note(code, text)


def _line_notes(seen: SoundSeen, rate: int, *, whole: bool) -> Iterator[tuple[str, Sentence]]:
    """Notes on the line of samples; some can be told only when the whole track was asked for."""
    first = seen.first_index or 0
    if whole and first > LATE_SECONDS * rate:
        text = Sentence("the sound begins at {seconds:.2f} s; before it there is silence", seconds=first / rate)
        yield "late_sound", text
    if whole and seen.peak < SILENT_PEAK:
        yield "silent_sound", Sentence("the sound is silent")
    if seen.silence_samples:
        text = Sentence(
            "{seconds:.2f} s of the sound are missing and were filled with silence",
            seconds=seen.silence_samples / rate,
        )
        yield "sound_gap", text
    if seen.rate_changed:
        text = Sentence("the sampling rate changes within the file; all of it is read at {rate} Hz", rate=rate)
        yield "rate_change", text


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
    sizes = set()
    with media.demuxer_at_start() as demuxer:
        track = PictureTrack(media, demuxer, facts, stop_seconds=stop)
        upright = Upright(facts.sample_aspect, media.limits.max_side, media.threads)
        for seconds, frame in _asked_frames(track, fps, start_seconds, stop):
            _check_size(media, frame.width, frame.height)
            sizes.add((frame.width, frame.height))
            yield Frame(upright.pixels(frame), seconds)
    media.check_damage(track.tally, "picture")
    _note_picture(media, track, stop=stop, asked_stop=stop_seconds)
    if len(sizes) > 1:
        text = ", ".join(f"{width}x{height}" for width, height in sorted(sizes))
        media.note("size_change", Sentence("the picture changes its size within the file ({sizes})", sizes=text))


def _asked_frames(track: PictureTrack, fps: float | None, start_seconds: float, stop_seconds: float) -> Iterator[Shown]:
    """The frames that the caller wants."""
    track.ask(start_seconds)
    if fps is None:
        return every_frame(track.shown(), start_seconds, stop_seconds)
    return frames_at(
        track.shown(),
        moments_between(start_seconds, stop_seconds, fps),
        fps,
        end_seconds=lambda: track.clock.end_seconds,
        tolerance_seconds=track.tolerance_seconds,
        ask=track.ask,
    )


def _note_picture(media: Media, track: PictureTrack, *, stop: float, asked_stop: float | None) -> None:
    """Tell where a limit, or a file that was cut off, ended the reading; a grid of moments may be complete a little before its end."""
    tally = track.tally
    goes_on = not tally.ended and (media.facts.duration_seconds or math.inf) > stop
    reached = stop if goes_on and not tally.out_of_time else track.clock.end_seconds
    media.note_limit(tally, "picture", reached_seconds=reached, cut_off=goes_on and stop != asked_stop)
    media.note_cut_off("picture", missing_seconds=track.missing_seconds)


def _check_size(media: Media, width: int, height: int) -> None:
    most = media.limits.max_side
    if max(width, height) > most:
        raise MediaLimit(
            media.path,
            Sentence(
                "the picture has {width}x{height} pixels, max_side is {most}; raise the limit or scale it down",
                width=width,
                height=height,
                most=most,
            ),
        )
