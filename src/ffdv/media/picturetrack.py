"""A picture track read forward: its frames on the file's clock, leaping over keyframes that nobody asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ffdv.media.container import Demuxer
from ffdv.media.decode import Tally, decode_track
from ffdv.media.opened import EXACT_CONTAINERS, Media
from ffdv.media.picture import Shown
from ffdv.records import PictureFacts

# Seeking costs about as much as decoding this much; nearer targets are reached by decoding on.
LEAP_SECONDS = 2.0
# The index counts in decoding times, which lag behind by the reordering of B-frames.
REORDER_SECONDS = 0.5
# A jump ahead of more than this is believed only when the length in the header covers it.
MAX_GAP_SECONDS = 10.0
UNKNOWN_FPS = 25.0


@dataclass
class PictureClock:
    """When each frame is shown, in seconds on the file's clock: never backwards, and no jumps beyond belief."""

    tick: Fraction
    zero_seconds: float
    interval_seconds: float
    duration_seconds: float | None
    now: float | None = None

    def show(self, frame: VideoFrame) -> float:
        """The frame's time; a missing, earlier or absurd timestamp is replaced by its place in the row."""
        expected = 0.0 if self.now is None else self.now + self.interval_seconds
        stamped = expected if frame.pts is None else self.seconds(frame.pts)
        if not self._believable(stamped, expected):
            stamped = expected
        self.now = stamped if self.now is None else max(self.now, stamped)
        if frame.duration:
            self.interval_seconds = float(frame.duration * self.tick)
        return self.now

    @property
    def end_seconds(self) -> float:
        """When the latest frame ends."""
        return 0.0 if self.now is None else self.now + self.interval_seconds

    def seconds(self, ticks: int) -> float:
        """A timestamp of the track on the file's clock."""
        return float(ticks * self.tick) - self.zero_seconds

    def ticks(self, seconds: float) -> int:
        """A time on the file's clock as a timestamp of the track."""
        return int((seconds + self.zero_seconds) / self.tick)

    def _believable(self, stamped: float, expected: float) -> bool:
        if self.duration_seconds is not None and stamped <= self.duration_seconds + 1.0:
            return True
        return stamped - expected <= MAX_GAP_SECONDS


class PictureTrack:
    """The frames of one picture track with their times; ask() lets it leap to the last keyframe before a moment."""

    def __init__(self, media: Media, demuxer: Demuxer, facts: PictureFacts, *, stop_seconds: float) -> None:
        self.tally = Tally(clock=media.clock)
        self._stream = _bounded_stream(media, demuxer, facts)
        self._reading = demuxer.reading(self._stream)
        tick = cast("Fraction", self._stream.time_base)
        interval_seconds = 1.0 / (facts.fps or UNKNOWN_FPS)
        self.clock = PictureClock(tick, media.zero_seconds, interval_seconds, media.facts.duration_seconds)
        self._promised_seconds = _promised_end(media, facts)
        self._budget_seconds = media.budget_seconds(stop_seconds)
        self._asked = 0.0
        self._leaped_from: float | None = None
        self._may_leap = True

    @property
    def tolerance_seconds(self) -> float:
        """How far rounding moves a timestamp: 66.7 ms is stored as 67 in containers that count milliseconds."""
        return min(float(self.clock.tick) / 2 + 1e-6, self.clock.interval_seconds / 2)

    @property
    def missing_seconds(self) -> float:
        """How much less there is than the header promises; 0.0 unless the track was read to its end.

        Packets count, not frames: a codec may say "as before" without one, and what cannot be decoded is told as damage.
        """
        end, promised = self.tally.end_ticks, self._promised_seconds
        if promised is None or end is None or not self.tally.ended:
            return 0.0
        return max(0.0, promised - self.clock.seconds(end))

    def ask(self, seconds: float) -> None:
        """Tell that no frame before the one seen at this moment is needed."""
        self._asked = seconds

    def shown(self) -> Iterator[Shown]:
        """Times on the file's clock and frames, never backwards."""
        self._leap()
        while True:
            moved = False
            for frame in self._decoded():
                if moved := self._landed_late(frame):
                    break
                yield self.clock.show(frame), frame
                if moved := self._leap():
                    break
            if not moved:
                return

    def _decoded(self) -> Iterator[VideoFrame]:
        return decode_track(
            self._reading,
            self._stream.codec_context.decode,
            tally=self.tally,
            budget_seconds=self._budget_seconds,
        )

    def _leap(self) -> bool:
        """Seek where a keyframe of the index lies far ahead, but surely before the asked moment."""
        now = self.clock.now or 0.0
        if not self._may_leap or self._asked - now < LEAP_SECONDS:
            return False
        target = self.clock.ticks(self._asked - REORDER_SECONDS)
        keyframe = self._reading.keyframe_before(target)
        if keyframe is None or self.clock.seconds(keyframe) - now < LEAP_SECONDS:
            return False
        try:
            # To a moment behind the keyframe: its own entry counts in decoding times, and a demuxer that counts in presentation
            # times would take it for a moment before the keyframe and go one further back.
            self._reading.seek(target)
        except av.FFmpegError:
            self._may_leap = False
            return False
        self._leaped_from = now
        return True

    def _landed_late(self, frame: VideoFrame) -> bool:
        """Whether the leap missed the asked moment; then everything is decoded from the start."""
        leaped_from, self._leaped_from = self._leaped_from, None
        if leaped_from is not None and (frame.pts is None or self.clock.seconds(frame.pts) <= leaped_from):
            self._may_leap = False  # it led nowhere, and would again
        if leaped_from is None or (frame.pts is not None and self.clock.seconds(frame.pts) <= self._asked):
            return False
        self._may_leap = False
        self.clock.now = None
        self._reading.seek(self._stream.start_time or 0)
        return True


def _promised_end(media: Media, facts: PictureFacts) -> float | None:
    """Where the header says that the pictures end, on the file's clock.

    None where it only guesses: a header without a table of its pictures (num_frames) was written before they were.
    """
    if not (facts.duration_seconds and facts.num_frames) or not media.facts.container.startswith(EXACT_CONTAINERS):
        return None
    return (facts.start_seconds or 0.0) - media.zero_seconds + facts.duration_seconds


def _bounded_stream(media: Media, demuxer: Demuxer, facts: PictureFacts) -> VideoStream:
    """The stream, its decoder bounded in pixels (what opening is told does not reach the decoder)."""
    stream = cast("VideoStream", demuxer.container.streams[facts.index])
    stream.thread_type = "AUTO"
    stream.thread_count = media.threads
    stream.codec_context.options = {"max_pixels": str(media.limits.max_side**2)}
    return stream
