"""Packets to frames of one track: damage is counted and survived, time is bounded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.stream import VideoStream

# A reader that fails this often in a row is not getting anywhere (a healthy file never fails).
MAX_READ_FAILURES = 64


class DecodedFrame(Protocol):
    """What sound and picture frames have in common here."""

    @property
    def is_corrupt(self) -> bool:
        """Whether the decoder concealed missing parts."""


FrameT = TypeVar("FrameT", bound=DecodedFrame)
# PyAV's Packet is generic for type checkers alone
Decode = Callable[["Packet[Any] | None"], list[FrameT]]


class Reading(Protocol):
    """One track being read; times in its own ticks."""

    def packets(self) -> Iterator[Packet[Any]]:
        """Packets from where the reading stands to the end."""

    def seek(self, ticks: int) -> None:
        """Go to the last keyframe at or before a time, and forget what the decoder holds. Raises av.FFmpegError."""

    def keyframe_before(self, ticks: int) -> int | None:
        """When the last keyframe at or before a time is, by the index; None where the index knows none."""


class ContainerReading:
    """A track as FFmpeg reads it; the container's other tracks are left aside."""

    def __init__(self, container: InputContainer, stream: AudioStream | VideoStream) -> None:
        self._container, self._stream = container, stream

    def packets(self) -> Iterator[Packet[Any]]:
        """Packets from where the container stands to the end."""
        for other in self._container.streams:
            other.discard = Discard.default if other.index == self._stream.index else Discard.all
        yield from self._container.demux(self._stream)

    def seek(self, ticks: int) -> None:
        """Go to the last keyframe at or before a time. Raises av.FFmpegError."""
        self._container.seek(ticks, stream=self._stream)

    def keyframe_before(self, ticks: int) -> int | None:
        """When the last keyframe at or before a time is, by FFmpeg's index."""
        entries = self._stream.index_entries
        place = entries.search_timestamp(ticks)
        return entries[place].timestamp if place >= 0 else None


@dataclass
class Tally:
    """What was seen of one track while reading, and the time it took.

    packets: all; lost: those that gave nothing but an error; patched: those whose frame the decoder had to mend;
    frames: what came out. resync: something was lost just now, so that the next timestamp says where we are (the reader clears it).
    end_ticks: when the last packet ends, also one that shows nothing new or cannot be decoded; None where none says.
    """

    packets: int = 0
    lost: int = 0
    patched: int = 0
    frames: int = 0
    spent_seconds: float = 0.0
    out_of_time: bool = False
    ended: bool = False
    resync: bool = False
    end_ticks: int | None = None
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)

    @property
    def damaged(self) -> int:
        """Packets that were lost or patched."""
        return self.lost + self.patched

    def reach(self, packet: Packet[Any]) -> None:
        """Note where a packet ends, in the track's ticks."""
        if packet.pts is not None:
            end = packet.pts + (packet.duration or 0)
            self.end_ticks = end if self.end_ticks is None else max(end, self.end_ticks)

    @property
    def lost_share(self) -> float:
        """Lost packets over all, in [0, 1]."""
        return self.lost / self.packets if self.packets else 0.0


def decode_track(reading: Reading, decode: Decode[FrameT], *, tally: Tally, budget_seconds: float) -> Iterator[FrameT]:
    """The frames of one track in decoding order, from where the reading stands; the tally is kept up to date.

    decode is the method of the stream's codec context. Ends at the end of the file, or when reading and decoding
    (not the caller's own work between frames) have taken budget_seconds: tally.out_of_time.
    """
    mark = tally.clock()
    for packet in _packets(reading, tally):
        for frame in _decoded(decode, packet, tally):
            tally.spent_seconds += tally.clock() - mark
            yield frame
            mark = tally.clock()
        if tally.spent_seconds + tally.clock() - mark > budget_seconds:
            tally.out_of_time = True
            return
    tally.ended = True


def _packets(reading: Reading, tally: Tally) -> Iterator[Packet[Any] | None]:
    """Packets of one track, then None; a read that fails is counted, and reading goes on behind it."""
    failures = 0
    while failures < MAX_READ_FAILURES:
        try:
            for packet in reading.packets():
                tally.reach(packet)
                if packet.size:  # an empty packet would tell the decoder that the track has ended
                    failures = 0
                    yield packet
            break
        except (av.FFmpegError, OSError):
            failures += 1
            tally.packets += 1
            tally.lost += 1
            tally.resync = True
    yield None


def _decoded(decode: Decode[FrameT], packet: Packet[Any] | None, tally: Tally) -> list[FrameT]:
    """The frames that one packet (None: the end) brings, counted."""
    try:
        frames = decode(packet)
    except (av.FFmpegError, ValueError):
        frames = []
        # At the end an error means something only where nothing came before: the decoder could not even be opened.
        if packet is not None or not tally.packets:
            tally.packets += packet is None
            tally.lost += 1
            tally.resync = True
    tally.packets += packet is not None
    tally.frames += len(frames)
    for frame in frames:
        if frame.is_corrupt:
            tally.patched += 1
            tally.resync = True
    return frames
