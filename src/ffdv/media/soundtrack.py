"""A sound track read forward from a moment: its native rate, and its samples on the file's clock."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from typing import cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

from ffdv.media.container import Demuxer
from ffdv.media.decode import Tally, decode_track
from ffdv.media.opened import EXACT_CONTAINERS, Media
from ffdv.media.sound import LineReader, SoundLine, SoundSeen, at_one_rate
from ffdv.records import FloatArray, SoundFacts

# Up to here sound is decoded from the start of the file (0.2 s of work): seeking is not exact to the sample where
# containers count in milliseconds, and AAC's synthetic noise depends on everything decoded before.
SEEK_SECONDS = 60.0
# Decoded and thrown away after a seek, until the codec's memory is filled (MP3's bit reservoir, Opus: 80 ms).
PREROLL_SECONDS = 1.0


class SoundTrack:
    """The sound of one track from `start_seconds` on; rate is known once the first frame is decoded (None: empty).

    A header may say half the rate (HE-AAC), so the first frame decides.
    """

    def __init__(
        self, media: Media, demuxer: Demuxer, facts: SoundFacts, *, start_seconds: float, stop_seconds: float
    ) -> None:
        self.seen = SoundSeen()
        self.tally = Tally(clock=media.clock)
        self._media = media
        self._facts = facts
        self._stream = cast("AudioStream", demuxer.container.streams[facts.index])
        self._reading = demuxer.reading(self._stream)
        self._stream.codec_context.thread_count = 1  # sound decoders gain nothing from threads
        self._tick = cast("Fraction", self._stream.time_base)
        self._budget_seconds = media.budget_seconds(stop_seconds)
        self._frames = self._started(start_seconds)
        first = next(self._frames, None)
        self.rate: int | None = None
        if first is not None:
            self.rate = first.sample_rate
            self._frames = chain((first,), self._frames)

    def blocks(self, window: tuple[int, int], *, mono: bool) -> Iterator[FloatArray]:
        """The samples [window) of the native rate in blocks float32 (1 or channels, n); silence fills holes."""
        rate = self.rate or 1
        line = SoundLine(
            rate,
            self._tick,
            self._media.zero_seconds,
            duration_seconds=self._media.facts.duration_seconds,
            tally=self.tally,
        )
        reader = LineReader(line, window, mono, self._header_end(rate), self.seen)
        return reader.blocks(at_one_rate(self._frames, rate, self.seen))

    @property
    def missing_seconds(self) -> float:
        """How much less there is than the header promises; 0.0 unless the track was read to its end."""
        promised = self._header_end(self.rate or 1)
        if promised is None or not self.tally.ended or self.seen.first_index is None:
            return 0.0
        return max(0.0, (promised - self.seen.end_index) / (self.rate or 1))

    def _header_end(self, rate: int) -> int | None:
        """Where the header says that the sound ends, in native samples."""
        facts = self._facts
        if facts.duration_seconds is None or not self._media.facts.container.startswith(EXACT_CONTAINERS):
            return None
        start = (facts.start_seconds or 0.0) - self._media.zero_seconds
        return round((start + facts.duration_seconds) * rate)

    def _started(self, start_seconds: float) -> Iterator[AudioFrame]:
        """Frames from the start of the file, or from a little before a far moment."""
        if start_seconds > SEEK_SECONDS:
            frames = self._sought(start_seconds - PREROLL_SECONDS)
            if frames is not None:
                return frames
            self.tally = Tally(clock=self.tally.clock)
            with contextlib.suppress(av.FFmpegError):
                self._reading.seek(self._stream.start_time or 0)
        return self._from_here()

    def _sought(self, target_seconds: float) -> Iterator[AudioFrame] | None:
        """Frames from about the target on; None where seeking fails or lands late."""
        zero_seconds = self._media.zero_seconds
        try:
            self._reading.seek(int((target_seconds + zero_seconds) / self._tick))
        except av.FFmpegError:
            return None
        frames = self._from_here()
        first = next(frames, None)
        if first is None or first.pts is None:
            return None
        if float(first.pts * self._tick) - zero_seconds > target_seconds + PREROLL_SECONDS / 2:
            return None
        # The first packets after a seek may lack what they build on; that is no damage.
        self.tally.packets, self.tally.lost, self.tally.patched = 1, 0, 0
        return chain((first,), frames)

    def _from_here(self) -> Iterator[AudioFrame]:
        return decode_track(
            self._reading,
            self._stream.codec_context.decode,
            tally=self.tally,
            budget_seconds=self._budget_seconds,
        )
