"""Packets to frames of one track: damage is counted and survived, time is bounded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

# A reader that fails this often in a row is not getting anywhere (a healthy file fails never).
MAX_READ_FAILURES = 64


@dataclass
class Tally:
    """What was seen of one track while reading: packets in, packets damaged, frames out; the time it took."""

    packets: int = 0
    damaged: int = 0
    frames: int = 0
    spent_seconds: float = 0.0
    out_of_time: bool = False
    ended: bool = False
    just_damaged: bool = False
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)

    @property
    def damage_share(self) -> float:
        """Damaged packets over all, in [0, 1]."""
        return self.damaged / self.packets if self.packets else 0.0


def decode_track(
    container: InputContainer, stream: AudioStream | VideoStream, tally: Tally, *, budget_seconds: float
) -> Iterator[AudioFrame | VideoFrame]:
    """The frames of one track in decoding order, from where the container stands; the tally is kept up to date.

    Ends at the end of the file, or when the decoder has worked budget_seconds (tally.out_of_time).
    """
    for other in container.streams:
        other.discard = Discard.default if other.index == stream.index else Discard.all
    packets = _packets(container, stream, tally)
    while True:
        began = tally.clock()
        packet = next(packets, None)
        frames = _decode(stream, packet, tally)
        tally.spent_seconds += tally.clock() - began
        tally.frames += len(frames)
        yield from frames
        if packet is None:
            tally.ended = True
            return
        if tally.spent_seconds > budget_seconds:
            tally.out_of_time = True
            return


def _packets(
    container: InputContainer, stream: AudioStream | VideoStream, tally: Tally
) -> Iterator[Packet[AudioStream | VideoStream]]:
    """Packets of one track to the end of the file; a read that fails is counted, and reading goes on."""
    failures = 0
    while failures < MAX_READ_FAILURES:
        try:
            for packet in container.demux((stream,)):  # type: ignore[arg-type]
                if packet.size:  # an empty packet would tell the decoder that the track has ended
                    failures = 0
                    yield packet  # type: ignore[misc]
        except (av.FFmpegError, OSError):
            failures += 1
            tally.packets += 1
            tally.damaged += 1
        else:
            return


def _decode(
    stream: AudioStream | VideoStream, packet: Packet[AudioStream | VideoStream] | None, tally: Tally
) -> list[AudioFrame | VideoFrame]:
    """The frames that one packet (None: the end) brings; damage is counted."""
    try:
        frames = stream.codec_context.decode(packet)  # type: ignore[attr-defined]
    except (av.FFmpegError, ValueError):
        frames, damaged = [], True
    else:
        damaged = any(frame.is_corrupt for frame in frames)
    if packet is not None:
        tally.packets += 1
        tally.damaged += damaged
    tally.just_damaged |= damaged
    return list(frames)
